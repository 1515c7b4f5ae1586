// SPDX-License-Identifier: GPL-2.0
/*
 * Everybody takes, exchanges and gives back stacks at the same time, on all CPUs and
 * in each context, and looks whether what it holds is its own:
 * - a stack that is new reads as zero;
 * - who holds a stack writes its number into it, and finds it there until it
 *   lets go: nobody else holds it;
 * - a stack that comes out of a slot has the marks of the last holder at
 *   its ends, which belong together.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"

#define NR_SLOTS	64
#define MAGIC		0xc057ac4c057ac4ULL

struct slot {
	struct costack __kptr *cs;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NR_SLOTS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

struct head {
	volatile u64 holder;	/* 0 when nobody holds it */
	volatile u64 mark;	/* the last holder's */
};

u64 next_id;
u64 rounds, allocated, empty, foreign;	/* foreign: freed on another CPU */
u64 not_zero, held_twice, stolen, torn;
u32 stop;
u32 one_way;	/* even CPUs allocate, odd ones free: all goes through the depot */

static __always_inline struct slot *random_slot(u32 random)
{
	u32 key = random % NR_SLOTS;

	return bpf_map_lookup_elem(&slots, &key);
}

static __always_inline void count(u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

/* 512 bytes to 16 KB, the small ones more often; a guarded one now and then. */
static __always_inline struct costack *new_stack(u32 random)
{
	u32 size = 512 << (random % 6);

	return bpf_costack_alloc_nolock(size, (random >> 8) % 16 ? 0 : COSTACK_F_GUARD);
}

static __always_inline void round(void)
{
	u32 random = bpf_get_prandom_u32(), i, cpu = bpf_get_smp_processor_id();
	u64 id = __sync_fetch_and_add(&next_id, 1) + 1, mark;
	bool fresh = false;
	struct costack *cs;
	struct head *head;
	struct slot *slot;
	u64 *tail;

	slot = random_slot(random);
	if (!slot)
		return;
	cs = bpf_kptr_xchg(&slot->cs, NULL);
	if (!cs && one_way && cpu & 1)
		return;
	if (!cs) {
		cs = new_stack(random >> 8);
		fresh = true;
	}
	if (!cs) {
		count(&empty);
		return;
	}
	head = (struct head *)bpf_costack_frame(cs, 0, sizeof(*head));
	tail = (u64 *)bpf_costack_frame(cs, bpf_costack_size(cs) - 8, 8);
	if (!head || !tail) {
		count(&torn);
		bpf_costack_release(cs);
		return;
	}
	mark = head->mark;
	if (fresh) {
		count(&allocated);
		if (mark || *tail)
			count(&not_zero);
	} else if (*tail != (mark ^ MAGIC)) {
		count(&torn);
	}
	if (head->holder)
		count(&held_twice);
	/* The CPU of the last holder is in its mark. */
	if (!fresh && (mark & 0xff) != cpu)
		count(&foreign);
	head->holder = id;
	mark = id << 8 | cpu;
	head->mark = mark;
	*(volatile u64 *)tail = mark ^ MAGIC;
	bpf_for(i, 0, 4) {
		if (head->holder != id || head->mark != mark)
			count(&stolen);
	}
	head->holder = 0;

	slot = random_slot(random >> 16);
	if (slot && (one_way ? !(cpu & 1) : random & 0x300))
		cs = bpf_kptr_xchg(&slot->cs, cs);
	if (cs)
		bpf_costack_release(cs);
	count(&rounds);
}

SEC("syscall")
int threads(void *ctx)
{
	u32 i;

	bpf_for(i, 0, 200) {
		if (stop)
			break;
		round();
	}
	return 0;
}

SEC("perf_event")
int interrupts(void *ctx)
{
	u32 i;

	bpf_for(i, 0, 4)
		round();
	return 0;
}

SEC("tp_btf/nmi_handler")
int nmis(void *ctx)
{
	u32 i;

	bpf_for(i, 0, 4)
		round();
	return 0;
}

/* Within each allocation, between the list and its end: a round of its own. */
SEC("tp_btf/costack_alloc")
int inside(void *ctx)
{
	round();
	return 0;
}

SEC("syscall")
int drain(void *ctx)
{
	struct costack *cs;
	struct slot *slot;
	u32 i;

	bpf_for(i, 0, NR_SLOTS) {
		slot = random_slot(i);
		cs = slot ? bpf_kptr_xchg(&slot->cs, NULL) : NULL;
		if (cs)
			bpf_costack_release(cs);
	}
	return 0;
}

char _license[] SEC("license") = "GPL";
