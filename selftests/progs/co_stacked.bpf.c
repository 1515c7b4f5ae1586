// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that resume coroutines whose bodies bring about what the next program is attached
 * to: a function that the bodies call, or the resume itself. A program is not run on
 * top of itself, hence one for each level.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "co_drive.h"

char _license[] SEC("license") = "GPL";

u32 watched;			/* thread that it is about */
u32 level;			/* runs there are; the next is of the coroutine in this slot */
s32 ret[8], result[8];		/* of the coroutine in each slot */
u32 new_type;			/* at the top: spawned and let go of */
s32 cancel_new, cancel_suspended, state_new, spawned;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} traced SEC(".maps");

static __always_inline s64 count(struct costack_self *self, u64 n)
{
	u32 key = 0;

	bpf_repeat(COSTACK_LOOP_MAX) {
		bpf_map_update_elem(&traced, &key, &n, 0);
		if (bpf_costack_yield(self, n))
			break;
		n++;
	}
	return CO_CANCELLED;
}

COSTACK_BODY(stacked, u64 n)
{
	return count(self, n);
}
COSTACK_OPS(stacked);

COSTACK_BODY(stacked_own, u64 n)
{
	return count(self, n);
}
COSTACK_OPS(stacked_own, .flags = COSTACK_OPS_PRIVATE);

/* What else there is to try where no run fits any more */
static __always_inline void at_top(void)
{
	struct costack_co *co;

	co = slot_take(6);
	if (co) {
		cancel_new = bpf_costack_cancel(co);
		state_new = bpf_costack_state(co);
		slot_put(6, co);
	}
	co = slot_take(7);
	if (co) {
		cancel_suspended = bpf_costack_cancel(co);
		slot_put(7, co);
	}
	co = bpf_costack_spawn_nolock(new_type, 0);
	spawned = !!co;
	if (co)
		bpf_costack_co_release(co);
}

static __always_inline int one_more(u32 i)
{
	struct costack_co *co;
	u64 value = 0;

	if ((u32)bpf_get_current_pid_tgid() != watched || level != i)
		return 0;
	co = slot_take(i);
	if (!co)
		return 0;
	level = i + 1;
	ret[i] = bpf_costack_resume(co, 0, &value);
	result[i] = value;
	level = i;
	slot_put(i, co);
	if (i == COSTACK_DEPTH_MAX)
		at_top();
	return 0;
}

#define LEVEL(i)								\
	SEC("fentry/array_map_update_elem")					\
	int BPF_PROG(on_update_##i, void *map)					\
	{									\
		return one_more(i);						\
	}									\
										\
	SEC("tp_btf/costack_resume")						\
	int BPF_PROG(on_resume_##i)						\
	{									\
		return one_more(i);						\
	}

LEVEL(1)
LEVEL(2)
LEVEL(3)
LEVEL(4)

#if COSTACK_DEPTH_MAX != 4
#error "a level more or less"
#endif
