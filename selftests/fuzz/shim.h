/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In the place of <bpf/bpf_helpers.h>: a program of ../../bpf is included behind this, and is
 * then a part of a user-space program. shim.c has the helpers, the kfuncs, and a stack
 * for each coroutine.
 */
#ifndef SHIM_H
#define SHIM_H

#define __BPF_HELPERS__

#include "vmlinux.h"

#ifndef NULL
#define NULL ((void *)0)
#endif
#undef __always_inline
#define SEC(name) __attribute__((annotate(name)))
#define __ksym
#define __kptr
#define __weak
#define __arg_nonnull
#define __always_inline	inline __attribute__((always_inline))
#define __noinline	__attribute__((noinline))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) __typeof__(val) *name
#define barrier_var(var) asm volatile("" : "+r"(var))

void *bpf_map_lookup_elem(const void *map, const void *key);
long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags);
long bpf_map_delete_elem(void *map, const void *key);
void *bpf_kptr_xchg(void *where, void *ptr);
long bpf_ringbuf_output(void *map, void *data, __u64 size, __u64 flags);
long bpf_skb_load_bytes(const void *skb, __u32 off, void *to, __u32 len);
long bpf_strncmp(const char *s1, __u32 size, const char *s2);
long bpf_strtoul(const char *buf, size_t len, __u64 flags, unsigned long *res);
__u64 bpf_ktime_get_ns(void);

/* The kernel's iterator makes no round when it is asked for too many. */
static inline long shim_rounds(long end)
{
	return end > 8 * 1024 * 1024 ? 0 : end;
}

#define bpf_for(i, start, end)							\
	for (long ___it = (start), ___last = shim_rounds(end);			\
	     ___it < ___last && ((i) = ___it, 1); ___it++)
#define bpf_repeat(n)								\
	for (long ___it = 0, ___last = shim_rounds(n); ___it < ___last; ___it++)

#include "costack.bpf.h"

/* An instruction of BPF. */
#undef costack_can_loop
#define costack_can_loop true

/* What a program tells shim.c of itself. */

struct shim_map {
	const char *name;
	const void *map;
	__u32 key_size;
	__u32 value_size;
	__u32 max;
	int kptrs[2];		/* offsets in the value, or -1 */
};

#define SHIM_MAP(_map, _value_size, _kptr1, _kptr2)				\
	{ #_map, &(_map), sizeof(*(_map).key), _value_size,			\
	  sizeof(*(_map).max_entries) / sizeof(int), { _kptr1, _kptr2 } }

struct shim_var {
	const char *name;
	void *var;
};

#define SHIM_VAR(_var) { #_var, &(_var) }

extern const struct shim_map shim_maps[];
extern const struct shim_var shim_vars[];
extern const struct costack_ops *const shim_types[];
extern int (*const shim_prog)(struct __sk_buff *skb);

#endif /* SHIM_H */
