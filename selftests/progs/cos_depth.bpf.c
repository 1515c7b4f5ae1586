// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies that spin in a softirq, deep in helpers, so that interrupts find them there and
 * are served on their stacks. The clock's program walks the stack, and runs a
 * coroutine of its own.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"
#include "cos_depth.h"

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, u64);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

u64 spin_ns;
u64 spins;

/* All that a body may use of the BPF stack, and the helpers that go deepest. */
static __always_inline s64 spin(struct costack_self *self)
{
	u64 words[32] = {}, end, rounds = 0;
	u32 i, j, key;

	bpf_repeat(COSTACK_LOOP_MAX) {
		end = bpf_ktime_get_ns() + spin_ns;
		bpf_for(i, 0, 1000000) {
			key = bpf_get_prandom_u32() % 2048;
			words[i % 32] += key;
			bpf_map_update_elem(&hash, &key, &words[0], BPF_ANY);
			bpf_map_delete_elem(&hash, &key);
			bpf_ringbuf_output(&ring, words, 64, 0);
			bpf_for(j, 0, 16)
				words[j & 31] ^= words[31 - (j & 15)];
			if (bpf_ktime_get_ns() >= end)
				break;
		}
		__sync_fetch_and_add(&spins, 1);
		if (bpf_costack_yield(self, ++rounds))
			break;
	}
	return rounds;
}

COSTACK_BODY(spin_dense, u64 unused)
{
	return spin(self);
}

COSTACK_OPS(spin_dense);

COSTACK_BODY(spin_private, u64 unused)
{
	return spin(self);
}

COSTACK_OPS(spin_private, .flags = COSTACK_OPS_PRIVATE, .stack_size = 16384);

/* In interrupts. */
COSTACK_BODY(tick, u64 first)
{
	char text[64];
	u64 n = first;

	bpf_repeat(COSTACK_LOOP_MAX) {
		if (bpf_costack_yield(self, n))
			break;
		bpf_snprintf(text, sizeof(text), "%llu", &n, sizeof(n));
		n += self->value;
	}
	return n;
}

COSTACK_OPS(tick);

struct slot {
	struct costack_co __kptr *dense;
	struct costack_co __kptr *private;
	struct costack_co __kptr *tick;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CPUS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64[64]);
} stacks SEC(".maps");

u32 inside[MAX_CPUS];	/* 1: the dense one runs there, 2: the private one */
u64 hits[4], ticks, walked;
u64 runs, failed;
s64 last_error;

static __always_inline struct slot *my_slot(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&slots, &cpu);
}

static __always_inline void fail(s64 error)
{
	__sync_fetch_and_add(&failed, 1);
	last_error = error;
}

static __always_inline int run(struct slot *slot)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct costack_co *co;
	int ret;

	co = bpf_kptr_xchg(&slot->dense, NULL);
	if (!co)
		co = bpf_costack_spawn(spin_dense_id, 0);
	if (!co) {
		fail(1);
		return 0;
	}
	if (cpu < MAX_CPUS)
		inside[cpu] = 1;
	ret = bpf_costack_resume(co, 0, NULL);
	if (cpu < MAX_CPUS)
		inside[cpu] = 0;
	if (ret)
		fail(ret);
	co = bpf_kptr_xchg(&slot->dense, co);
	if (co)
		bpf_costack_co_release(co);

	/* The pool of guarded stacks may be empty here. */
	co = bpf_kptr_xchg(&slot->private, NULL);
	if (!co)
		co = bpf_costack_spawn(spin_private_id, 0);
	if (!co)
		return 0;
	if (cpu < MAX_CPUS)
		inside[cpu] = 2;
	ret = bpf_costack_resume(co, 0, NULL);
	if (cpu < MAX_CPUS)
		inside[cpu] = 0;
	if (ret)
		fail(ret);
	co = bpf_kptr_xchg(&slot->private, co);
	if (co)
		bpf_costack_co_release(co);
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

/* UDP to the port that the test sends to: from a softirq, or run by itself. */
SEC("tcx/ingress")
int packet(struct __sk_buff *skb)
{
	struct slot *slot = my_slot();
	u16 port = 0;

	if (skb->protocol != 0x0008 ||
	    bpf_skb_load_bytes_relative(skb, 22, &port, sizeof(port), BPF_HDR_START_NET) ||
	    port != (u16)(PORT << 8 | PORT >> 8) || !slot)
		return TCX_NEXT;
	run(slot);
	return TCX_NEXT;
}

SEC("tc")
int direct(struct __sk_buff *skb)
{
	struct slot *slot = my_slot();

	return slot ? run(slot) : 0;
}

SEC("perf_event")
int clock(void *ctx)
{
	struct slot *slot = my_slot();
	u32 cpu = bpf_get_smp_processor_id(), zero = 0;
	struct costack_co *co;
	u64 *stack, n;

	if (cpu < MAX_CPUS)
		__sync_fetch_and_add(&hits[inside[cpu] & 3], 1);
	stack = bpf_map_lookup_elem(&stacks, &zero);
	if (stack && bpf_get_stack(ctx, stack, 512, 0) > 0)
		__sync_fetch_and_add(&walked, 1);
	if (!slot)
		return 0;
	co = bpf_kptr_xchg(&slot->tick, NULL);
	if (!co)
		co = bpf_costack_spawn_nolock(tick_id, 1);
	if (!co)
		return 0;
	if (!bpf_costack_resume(co, 1, &n))
		__sync_fetch_and_add(&ticks, 1);
	co = bpf_kptr_xchg(&slot->tick, co);
	if (co)
		bpf_costack_co_release(co);
	return 0;
}
