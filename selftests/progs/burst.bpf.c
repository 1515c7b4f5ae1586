// SPDX-License-Identifier: GPL-2.0
/*
 * Many allocations in a row where nothing can be refilled meanwhile: in the timer
 * interrupt, with interrupts disabled. One run does one thing, when asked to.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "costack.bpf.h"
#include "costack_misc.h"

#define NR_STACKS	64

enum {
	DO_NOTHING,
	DO_TAKE,
	DO_PUT,
	DO_NEW,
	DO_DROP,
};

u32 todo;	/* DO_*; reset by the run that does it */
u32 size, count;
u64 flags;
u32 got, failed;
u32 done;	/* set when it is */

/* As large as bpf_obj_new() makes them. */
struct object {
	u8 data[4088];
};

struct slot {
	struct costack __kptr *cs;
	struct object __kptr *object;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NR_STACKS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

static __always_inline void take(struct slot *slot)
{
	struct costack *cs = bpf_costack_alloc_nolock(size, flags);

	if (!cs) {
		failed++;
		return;
	}
	got++;
	cs = bpf_kptr_xchg(&slot->cs, cs);
	if (cs)
		bpf_costack_release(cs);
}

static __always_inline void put(struct slot *slot)
{
	struct costack *cs = bpf_kptr_xchg(&slot->cs, NULL);

	if (!cs)
		return;
	bpf_costack_release(cs);
	got++;
}

static __always_inline void new_object(struct slot *slot)
{
	struct object *object = bpf_obj_new_impl(bpf_core_type_id_local(struct object), NULL);

	if (!object) {
		failed++;
		return;
	}
	got++;
	object = bpf_kptr_xchg(&slot->object, object);
	if (object)
		bpf_obj_drop_impl(object, NULL);
}

static __always_inline void drop_object(struct slot *slot)
{
	struct object *object = bpf_kptr_xchg(&slot->object, NULL);

	if (!object)
		return;
	bpf_obj_drop_impl(object, NULL);
	got++;
}

SEC("perf_event")
int on_clock(void *ctx)
{
	u32 what = todo, i;

	if (what == DO_NOTHING || !__sync_bool_compare_and_swap(&todo, what, DO_NOTHING))
		return 0;
	bpf_for(i, 0, count) {
		u32 key = i;
		struct slot *slot = bpf_map_lookup_elem(&slots, &key);

		if (!slot)
			break;
		if (what == DO_TAKE)
			take(slot);
		else if (what == DO_PUT)
			put(slot);
		else if (what == DO_NEW)
			new_object(slot);
		else
			drop_object(slot);
	}
	done = 1;
	return 0;
}

char _license[] SEC("license") = "GPL";
