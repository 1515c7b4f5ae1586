// SPDX-License-Identifier: GPL-2.0
/*
 * The same coroutines in each context, and one context on top of another: a body that runs
 * until a program has interrupted it, which resumes coroutines, too.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "co_drive.h"

char _license[] SEC("license") = "GPL";

u16 port;
u32 slot;		/* what packets resume */
u64 packets;
s32 packet_ret;
u64 packet_result;

u32 watched;		/* thread that tracing is about */
u32 ticks;		/* of the clock */
u32 tick_type;		/* spawned by the clock; 0: none */
s32 tick_ret[4];	/* of resuming the slots 1, 2, 3, and what the clock spawned itself */
s32 tick_cancel, tick_state; /* of cancelling slot 7 */
u32 tick_in_body;	/* ticks while a body waited for one */
u32 in_body;
u32 patience = 1;	/* times COSTACK_LOOP_MAX rounds that it waits */

u32 nmis;
u32 nmi_type;
s32 nmi_spawned, nmi_resume, nmi_cancel, nmi_state;

static __always_inline s64 count(struct costack_self *self, u64 n)
{
	bpf_repeat(COSTACK_LOOP_MAX) {
		if (bpf_costack_yield(self, n))
			return CO_CANCELLED;
		n++;
	}
	return 0;
}

COSTACK_BODY(counter, u64 n)
{
	return count(self, n);
}
COSTACK_OPS(counter);

COSTACK_BODY(counter_own, u64 n)
{
	return count(self, n);
}
COSTACK_OPS(counter_own, .flags = COSTACK_OPS_PRIVATE);

/* Runs until the clock has ticked while it does, and says whether. */
static __always_inline s64 wait_tick(struct costack_self *self)
{
	int i, k, ticked;

	bpf_repeat(COSTACK_LOOP_MAX) {
		tick_in_body = 0;
		in_body = 1;
		bpf_for(k, 0, patience) {
			bpf_for(i, 0, COSTACK_LOOP_MAX) {
				if (*(volatile u32 *)&tick_in_body)
					break;
			}
			if (*(volatile u32 *)&tick_in_body)
				break;
		}
		in_body = 0;
		ticked = tick_in_body;
		if (bpf_costack_yield(self, ticked))
			break;
	}
	return CO_CANCELLED;
}

COSTACK_BODY(waiter, u64 arg)
{
	return wait_tick(self);
}
COSTACK_OPS(waiter);

COSTACK_BODY(waiter_own, u64 arg)
{
	return wait_tick(self);
}
COSTACK_OPS(waiter_own, .flags = COSTACK_OPS_PRIVATE);

SEC("tcx/ingress")
int on_packet(struct __sk_buff *skb)
{
	struct costack_co *co;
	u16 to;

	if (bpf_skb_load_bytes(skb, 36, &to, sizeof(to)) || to != port)
		return TCX_NEXT;
	__sync_fetch_and_add(&packets, 1);
	co = slot_take(slot);
	if (!co)
		return TCX_NEXT;
	packet_ret = bpf_costack_resume(co, 0, &packet_result);
	slot_put(slot, co);
	return TCX_NEXT;
}

static __always_inline s32 resume_slot(u32 i)
{
	struct costack_co *co = slot_take(i);
	s32 ret = -2;

	if (co) {
		ret = bpf_costack_resume(co, 0, NULL);
		slot_put(i, co);
	}
	return ret;
}

SEC("perf_event")
int on_clock(void *ctx)
{
	struct costack_co *co;
	u32 i;

	ticks++;
	if (!in_body || tick_in_body)
		return 0;
	for (i = 0; i < 3; i++)
		tick_ret[i] = resume_slot(i + 1);
	co = slot_take(7);
	if (co) {
		tick_cancel = bpf_costack_cancel(co);
		tick_state = bpf_costack_state(co);
		slot_put(7, co);
	}
	tick_ret[3] = -2;
	if (tick_type) {
		co = bpf_costack_spawn_nolock(tick_type, 50);
		if (co) {
			tick_ret[3] = bpf_costack_resume(co, 0, NULL);
			/* For others to go on with */
			slot_put(4, co);
		}
	}
	tick_in_body = 1;
	return 0;
}

/* One that has the clock as its only resumer */
u64 clock_count;

SEC("perf_event")
int on_clock_alone(void *ctx)
{
	struct costack_co *co = slot_take(5);
	u64 n = 0;

	if (!co)
		return 0;
	if (bpf_costack_resume(co, 0, &n) == COSTACK_YIELDED)
		clock_count = n;
	slot_put(5, co);
	return 0;
}

SEC("tp_btf/nmi_handler")
int on_nmi(void *ctx)
{
	struct costack_co *co;

	if (!nmi_type)
		return 0;
	co = bpf_costack_spawn_nolock(nmi_type, 1);
	nmi_spawned = !!co;
	if (co) {
		nmi_resume = bpf_costack_resume(co, 0, NULL);
		nmi_cancel = bpf_costack_cancel(co);
		nmi_state = bpf_costack_state(co);
		bpf_costack_co_release(co);
	}
	/* One that is suspended, let go of here */
	co = slot_take(6);
	if (co)
		bpf_costack_co_release(co);
	nmis++;
	return 0;
}

/* Tracing what a body calls */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} traced SEC(".maps");

COSTACK_BODY(updater, u64 arg)
{
	u64 value = arg;
	u32 key = 0;

	bpf_repeat(COSTACK_LOOP_MAX) {
		bpf_map_update_elem(&traced, &key, &value, 0);
		if (bpf_costack_yield(self, value))
			break;
		value++;
	}
	return 0;
}
COSTACK_OPS(updater);

s32 trace_ret[3];
u32 traces;

SEC("fentry/array_map_update_elem")
int BPF_PROG(on_update, void *map)
{
	u32 i;

	if ((u32)bpf_get_current_pid_tgid() != watched)
		return 0;
	for (i = 0; i < 3; i++)
		trace_ret[i] = resume_slot(i + 1);
	traces++;
	return 0;
}
