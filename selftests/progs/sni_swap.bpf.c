// SPDX-License-Identifier: GPL-2.0
/*
 * Exchanges the stacks of two connections of bpf/sni.bpf.c, whose map it is given
 * in place of its own: what else only a race between CPUs and evictions could do.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "costack.bpf.h"

#define KEY_SIZE 40

struct flow {
	struct costack __kptr *cs;
	__u32 first;
	__u32 state;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__uint(key_size, KEY_SIZE);
	__type(value, struct flow);
} flows SEC(".maps");

char LICENSE[] SEC("license") = "GPL";

struct args {
	__u64 one[KEY_SIZE / 8];
	__u64 other[KEY_SIZE / 8];
};

SEC("syscall")
int sni_swap(struct args *args)
{
	struct costack *first, *second;
	struct flow *one, *other;
	__u64 key[KEY_SIZE / 8];

	__builtin_memcpy(key, args->one, sizeof(key));
	one = bpf_map_lookup_elem(&flows, key);
	__builtin_memcpy(key, args->other, sizeof(key));
	other = bpf_map_lookup_elem(&flows, key);
	if (!one || !other)
		return -1;
	first = bpf_kptr_xchg(&one->cs, NULL);
	if (!first)
		return -1;
	second = bpf_kptr_xchg(&other->cs, first);
	if (!second)
		return -1;
	first = bpf_kptr_xchg(&one->cs, second);
	if (first)
		bpf_costack_release(first);
	return 0;
}
