/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What runs on a coroutine's stack: its bottom, and the kfuncs that only bodies call.
 * These are declared for their users in bpf/costack.bpf.h.
 */
#ifndef _COSTACK_BODY_H
#define _COSTACK_BODY_H

#include <linux/types.h>

struct costack_co;
struct costack_self;

int bpf_costack_yield(struct costack_self *self, u64 value);
int bpf_costack_read(struct costack_self *self, void *buf, u32 buf__sz);
int bpf_costack_read_some(struct costack_self *self, void *buf, u32 buf__sz);
int bpf_costack_peek(struct costack_self *self, void *buf, u32 buf__sz);
int bpf_costack_skip(struct costack_self *self, u64 n);
u32 bpf_costack_avail(struct costack_self *self);
u8 *bpf_costack_local(struct costack_self *self, u32 off, const u32 rdwr_buf_size);
int bpf_costack_call(struct costack_self *self, struct costack_co *co, u64 value,
		     u64 *result__nullable);
int bpf_costack_finish(struct costack_self *self, s64 result);

#endif /* _COSTACK_BODY_H */
