// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Fibonacci's numbers, one with each packet: the smallest coroutine. Its loop knows
 * nothing of packets, its locals live from one to the next.
 *
 *	costack prog load fib.bpf.o dev lo
 *	ping -c 10 127.0.0.1
 *	bpftool map dump name .bss
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"

char LICENSE[] SEC("license") = "GPL";

u64 numbers[64];	/* the first ones that it made */
u64 packets;

COSTACK_BODY(fib, u64 first)
{
	u64 a = 0, b = first, t;

	bpf_repeat(COSTACK_LOOP_MAX) {
		if (bpf_costack_yield(self, a))
			break;			/* cancelled */
		t = a + b;
		a = b;
		b = t;
	}
	return a;
}

COSTACK_OPS(fib);

struct slot {
	struct costack_co __kptr *co;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

SEC("tcx/ingress")
int next_number(struct __sk_buff *skb)
{
	u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &key);
	struct costack_co *co;
	u64 number = 0, n;

	if (!slot)
		return TCX_NEXT;
	co = bpf_kptr_xchg(&slot->co, NULL);		/* ours alone, until it is put back */
	if (!co)
		co = costack_spawn(fib, 1);
	if (!co)
		return TCX_NEXT;
	if (bpf_costack_resume(co, 0, &number) == COSTACK_YIELDED) {
		n = __sync_fetch_and_add(&packets, 1);
		if (n < 64)
			numbers[n] = number;
	}
	co = bpf_kptr_xchg(&slot->co, co);
	if (co)
		bpf_costack_co_release(co);
	return TCX_NEXT;
}
