/* SPDX-License-Identifier: GPL-2.0 */
/*
 * costack for other kernel modules. BPF programs include bpf/costack.bpf.h.
 *
 * A stack is zeroed memory of 512 bytes to 64 KB behind a refcounted handle.
 * It is taken from per-CPU pools without a lock, in any context.
 */
#ifndef _COSTACK_H
#define _COSTACK_H

#include <linux/gfp_types.h>
#include <linux/types.h>

struct costack;

struct costack *costack_alloc(u32 size, gfp_t gfp, u64 flags);
struct costack *costack_get(struct costack *cs);
void costack_put(struct costack *cs);
u32 costack_size(const struct costack *cs);
void *costack_frame(struct costack *cs, u32 off, u32 size);

#endif /* _COSTACK_H */
