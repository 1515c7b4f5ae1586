// SPDX-License-Identifier: GPL-2.0
/*
 * Exchanges the coroutines, or stacks, of two connections of bpf/sni.bpf.c and
 * bpf/sni_frames.bpf.c, or takes one out, from the maps that it is given in place of its
 * own: what else only a race between CPUs and evictions could do.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "costack.bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct flow_key {
	__u64 words[5];
};

struct args {
	struct flow_key one;
	struct flow_key other;
};

#define SWAP(version, kind, release, rest)					\
	struct version##_flow {							\
		struct kind __kptr *held;					\
		__u64 others[(rest) / 8];					\
	};									\
										\
	struct {								\
		__uint(type, BPF_MAP_TYPE_LRU_HASH);				\
		__uint(max_entries, 1024);					\
		__type(key, struct flow_key);					\
		__type(value, struct version##_flow);				\
	} version##_flows SEC(".maps");						\
										\
	SEC("syscall")								\
	int version##_take(struct args *args)					\
	{									\
		struct flow_key key = args->one;				\
		struct version##_flow *flow;					\
		struct kind *held;						\
										\
		flow = bpf_map_lookup_elem(&version##_flows, &key);		\
		held = flow ? bpf_kptr_xchg(&flow->held, NULL) : NULL;		\
		if (!held)							\
			return -1;						\
		release(held);							\
		return 0;							\
	}									\
										\
	SEC("syscall")								\
	int version##_swap(struct args *args)					\
	{									\
		struct version##_flow *one, *other;				\
		struct kind *first, *second;					\
		struct flow_key key;						\
										\
		key = args->one;						\
		one = bpf_map_lookup_elem(&version##_flows, &key);		\
		key = args->other;						\
		other = bpf_map_lookup_elem(&version##_flows, &key);		\
		if (!one || !other)						\
			return -1;						\
		first = bpf_kptr_xchg(&one->held, NULL);			\
		if (!first)							\
			return -1;						\
		second = bpf_kptr_xchg(&other->held, first);			\
		if (!second)							\
			return -1;						\
		first = bpf_kptr_xchg(&one->held, second);			\
		if (first)							\
			release(first);						\
		return 0;							\
	}

SWAP(sni, costack_co, bpf_costack_co_release, 72)
SWAP(sni_frames, costack, bpf_costack_release, 8)
