/* SPDX-License-Identifier: GPL-2.0 */
/* Programs that spawn and resume coroutines of any type, and a map to keep them in. */
#ifndef __CO_DRIVE_H
#define __CO_DRIVE_H

#include "co.h"

struct slot {
	struct costack_co __kptr *co;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CO_SLOTS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

u8 message[CO_MESSAGE];

static __always_inline struct costack_co *slot_take(u32 i)
{
	struct slot *slot = bpf_map_lookup_elem(&slots, &i);

	return slot ? bpf_kptr_xchg(&slot->co, NULL) : NULL;
}

static __always_inline void slot_put(u32 i, struct costack_co *co)
{
	struct slot *slot = bpf_map_lookup_elem(&slots, &i);

	if (slot)
		co = bpf_kptr_xchg(&slot->co, co);
	if (co)
		bpf_costack_co_release(co);
}

SEC("syscall")
int do_spawn(struct co_args *a)
{
	struct costack_co *co;

	if (a->mode == CO_SLEEPABLE)
		co = bpf_costack_spawn_sleepable(a->type, a->arg);
	else if (a->mode == CO_ATOMIC)
		co = bpf_costack_spawn(a->type, a->arg);
	else
		co = bpf_costack_spawn_nolock(a->type, a->arg);
	a->ret = !!co;
	if (co)
		slot_put(a->slot, co);
	return 0;
}

SEC("syscall")
int do_resume(struct co_args *a)
{
	struct costack_co *co = slot_take(a->slot);
	u32 i, yielded = 0, stale = 0, busy = 0;
	u64 result = 0;
	int ret = -2;

	a->ret = -2;
	if (!co)
		return 0;
	bpf_for(i, 0, a->count) {
		ret = bpf_costack_resume(co, a->arg, &result);
		yielded += ret == COSTACK_YIELDED;
		stale += ret == -116;
		busy += ret == -16;
	}
	a->ret = ret;
	a->result = result;
	a->yielded = yielded;
	a->stale = stale;
	a->busy = busy;
	slot_put(a->slot, co);
	return 0;
}

SEC("syscall")
int do_message(struct co_args *a)
{
	struct costack_co *co = slot_take(a->slot);
	u64 result = 0;

	a->ret = -2;
	if (!co)
		return 0;
	a->ret = bpf_costack_resume_mem(co, message, a->len & (CO_MESSAGE - 1), &result);
	a->result = result;
	slot_put(a->slot, co);
	return 0;
}

SEC("syscall")
int do_cancel(struct co_args *a)
{
	struct costack_co *co = slot_take(a->slot);

	a->ret = -2;
	if (!co)
		return 0;
	a->ret = bpf_costack_cancel(co);
	slot_put(a->slot, co);
	return 0;
}

SEC("syscall")
int do_state(struct co_args *a)
{
	struct costack_co *co = slot_take(a->slot);

	a->ret = -2;
	if (!co)
		return 0;
	a->ret = bpf_costack_state(co);
	slot_put(a->slot, co);
	return 0;
}

SEC("syscall")
int do_release(struct co_args *a)
{
	struct costack_co *co = slot_take(a->slot);

	a->ret = !!co;
	if (co)
		bpf_costack_co_release(co);
	return 0;
}

/* One more reference, into another slot. */
SEC("syscall")
int do_share(struct co_args *a)
{
	struct costack_co *co = slot_take(a->slot);

	if (!co)
		return 0;
	slot_put(a->slot2, bpf_costack_co_acquire(co));
	slot_put(a->slot, co);
	return 0;
}

#endif /* __CO_DRIVE_H */
