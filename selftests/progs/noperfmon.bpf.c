// SPDX-License-Identifier: GPL-2.0
/* For a loader with CAP_BPF and CAP_NET_ADMIN, but not CAP_PERFMON. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"
#include "costack_misc.h"

struct slot {
	struct costack __kptr *cs;
	u64 word;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

static struct slot *slot(void)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&slots, &key);
}

/* Stacks need no more than that. */
SEC("?noperfmon")
int use(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(4096, 0);
	struct slot *s = slot();
	u8 *p;

	if (!cs)
		return 1;
	p = bpf_costack_frame(cs, skb->len, 8);
	if (p)
		*p = 1;
	if (s)
		cs = bpf_kptr_xchg(&s->cs, cs);
	if (cs)
		bpf_costack_release(cs);
	return 0;
}

SEC("?noperfmon")
int store_frame(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(4096, 0);
	struct slot *s = slot();
	u8 *p;

	if (!cs)
		return 1;
	p = bpf_costack_frame(cs, 0, 8);
	if (p && s)
		*(volatile u64 *)&s->word = (u64)p;
	bpf_costack_release(cs);
	return 0;
}

SEC("?noperfmon")
int store_handle(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(4096, 0);
	struct slot *s = slot();

	if (!cs)
		return 1;
	if (s)
		*(volatile u64 *)&s->word = (u64)cs;
	bpf_costack_release(cs);
	return 0;
}

char _license[] SEC("license") = "GPL";
