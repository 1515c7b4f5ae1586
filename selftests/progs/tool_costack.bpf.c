// SPDX-License-Identifier: GPL-2.0
/* For the costack tool: a program that needs the module, and keeps a stack of it. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "costack.bpf.h"

char _license[] SEC("license") = "GPL";

struct value {
	struct costack __kptr *cs;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct value);
} kept SEC(".maps");

SEC("tc")
int keep(struct __sk_buff *skb)
{
	struct costack *cs;
	struct value *v;
	__u32 zero = 0;

	v = bpf_map_lookup_elem(&kept, &zero);
	if (!v || v->cs)
		return -1;
	cs = costack_alloc(4096);
	if (!cs)
		return -1;
	cs = bpf_kptr_xchg(&v->cs, cs);
	if (cs)
		bpf_costack_release(cs);
	return -1;
}
