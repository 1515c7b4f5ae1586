// SPDX-License-Identifier: GPL-2.0
/*
 * Coroutines of all kinds, whose bodies call what a body may, for tracers to look at:
 * spawned, resumed on any CPU, finished, cancelled and dropped at random, all the
 * time. Each yields numbers that the resumer computes, too.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"
#include "cos_scale.h"

#define NR_SLOTS	64
#define BATCH		256

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, u64);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

/* What bodies found to be wrong, and how often they began and returned. */
u64 body_wrong, began, returned, calls;

/* Never gets as far as a yield. */
static __always_inline void work(struct costack_self *self, u64 x)
{
	u32 key = x % 512;
	struct costack *cs;
	char text[32];
	u64 *local;

	bpf_map_update_elem(&hash, &key, &x, BPF_ANY);
	bpf_costack_map_add(&hash, &key, sizeof(key), 0, 1);
	bpf_costack_map_read(&hash, &key, sizeof(key), &x, sizeof(x));
	bpf_map_delete_elem(&hash, &key);
	bpf_snprintf(text, sizeof(text), "%llx", &x, sizeof(x));
	bpf_ringbuf_output(&ring, text, sizeof(text), 0);
	cs = bpf_costack_alloc_nolock(512, 0);
	if (cs) {
		local = (u64 *)bpf_costack_frame(cs, 0, 8);
		if (!local || *local)
			__sync_fetch_and_add(&body_wrong, 1);
		bpf_costack_release(cs);
	}
	local = (u64 *)bpf_costack_local(self, 8 * (bpf_ktime_get_ns() % 8), 8);
	if (local)
		*local = x;
}

/* Yields until it is cancelled, or has made its rounds. */
static __always_inline s64 numbers(struct costack_self *self, u64 id)
{
	u64 x = cos_mix(id), y;
	int i;

	__sync_fetch_and_add(&began, 1);
	bpf_for(i, 0, id % 7 + 1) {
		work(self, x);
		if (bpf_costack_yield(self, x)) {
			x = 0;
			break;
		}
		y = x;
		x = cos_mix(y ^ self->value);
	}
	__sync_fetch_and_add(&returned, 1);
	return x;
}

COSTACK_BODY(tr_dense, u64 id)
{
	return numbers(self, id);
}

COSTACK_OPS(tr_dense, .frame_size = 64);

COSTACK_BODY(tr_private, u64 id)
{
	return numbers(self, id);
}

COSTACK_OPS(tr_private, .flags = COSTACK_OPS_PRIVATE, .stack_size = 16384, .frame_size = 64);

/* Runs a dense one besides, from its own body. */
COSTACK_BODY(tr_caller, u64 id)
{
	struct costack_co *child = bpf_costack_spawn_nolock(tr_dense_id, id);
	u64 x = cos_mix(id), got = 0;
	int i, ret;

	__sync_fetch_and_add(&began, 1);
	bpf_for(i, 0, id % 7 + 1) {
		if (child) {
			ret = bpf_costack_call(self, child, self->value, &got);
			__sync_fetch_and_add(&calls, 1);
			/* Somebody may be on the child's stack: then it is behind for good. */
			if (ret == COSTACK_YIELDED && got != x)
				__sync_fetch_and_add(&body_wrong, 1);
			if (ret != COSTACK_YIELDED) {
				bpf_costack_co_release(child);
				child = NULL;
			}
		}
		if (bpf_costack_yield(self, x)) {
			x = 0;
			break;
		}
		x = cos_mix(x ^ self->value);
	}
	if (child)
		bpf_costack_co_release(child);
	__sync_fetch_and_add(&returned, 1);
	return x;
}

COSTACK_OPS(tr_caller);

struct slot {
	struct costack_co __kptr *co;
	u64 busy;	/* somebody is at it: what follows is his */
	u64 id;
	u64 step;
	u64 x;		/* what it gives next */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NR_SLOTS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

u64 next_id;
u64 spawned, resumed, done, cancelled, dropped, busy, moved, empty;
u64 wrong, failed;
s64 last_error;
u32 stop;

static __always_inline void count(u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

static __always_inline void fail(s64 error)
{
	count(&failed);
	last_error = error;
}

static __always_inline void step_slot(struct slot *slot, u32 random)
{
	struct costack_co *co;
	u64 got = 0, value;
	int ret;

	co = bpf_kptr_xchg(&slot->co, NULL);
	if (!co) {
		slot->id = __sync_fetch_and_add(&next_id, 1);
		slot->step = 0;
		slot->x = cos_mix(slot->id);
		if (random % 4 == 0)
			co = bpf_costack_spawn(tr_private_id, slot->id);
		else if (random % 4 == 1)
			co = bpf_costack_spawn(tr_caller_id, slot->id);
		if (!co)
			co = bpf_costack_spawn(tr_dense_id, slot->id);
		if (!co) {
			count(&empty);
			return;
		}
		count(&spawned);
	}
	if ((random >> 8) % 32 == 0) {
		/* Dropped in its middle. */
		bpf_costack_co_release(co);
		count(&dropped);
		return;
	}
	if ((random >> 8) % 16 == 1) {
		ret = bpf_costack_cancel(co);
		if (ret && ret != -16)
			fail(ret);
		bpf_costack_co_release(co);
		count(&cancelled);
		return;
	}
	value = cos_value(slot->id, slot->step & 0xff);
	if (slot->step)
		slot->x = cos_mix(slot->x ^ value);
	ret = bpf_costack_resume(co, value, &got);
	if (ret == -16) {
		/* It starts over: what it would give is not known any more. */
		count(&busy);
		bpf_costack_co_release(co);
		return;
	}
	slot->step++;
	if (ret != COSTACK_YIELDED && ret != COSTACK_DONE) {
		fail(ret);
		bpf_costack_co_release(co);
		return;
	}
	count(&resumed);
	if (got != slot->x)
		count(&wrong);
	if (ret == COSTACK_DONE) {
		if (slot->step != slot->id % 7 + 2)
			count(&wrong);
		count(&done);
		bpf_costack_co_release(co);
		return;
	}
	co = bpf_kptr_xchg(&slot->co, co);
	if (co)
		bpf_costack_co_release(co);
}

SEC("tc")
int churn(struct __sk_buff *skb)
{
	struct slot *slot;
	u32 i, key, random;

	bpf_for(i, 0, BATCH) {
		if (stop)
			break;
		random = bpf_get_prandom_u32();
		key = random % NR_SLOTS;
		slot = bpf_map_lookup_elem(&slots, &key);
		if (!slot || __sync_val_compare_and_swap(&slot->busy, 0, 1))
			continue;
		step_slot(slot, random >> 8);
		__sync_val_compare_and_swap(&slot->busy, 1, 0);
	}
	return stop;
}

/* One coroutine, step by step. */

u64 one_result;
int one_event;
u32 one_private;

SEC("syscall")
int one_spawn(void *ctx)
{
	struct costack_co *co;
	struct slot *slot;
	u32 key = 0;

	slot = bpf_map_lookup_elem(&slots, &key);
	if (!slot)
		return -1;
	co = bpf_costack_spawn_sleepable(one_private ? tr_private_id : tr_dense_id, 2);
	if (!co)
		return -1;
	co = bpf_kptr_xchg(&slot->co, co);
	if (co)
		bpf_costack_co_release(co);
	return 0;
}

SEC("syscall")
int one_resume(void *ctx)
{
	struct costack_co *co;
	struct slot *slot;
	u32 key = 0;

	slot = bpf_map_lookup_elem(&slots, &key);
	co = slot ? bpf_kptr_xchg(&slot->co, NULL) : NULL;
	if (!co)
		return -1;
	one_event = bpf_costack_resume(co, 0, &one_result);
	co = bpf_kptr_xchg(&slot->co, co);
	if (co)
		bpf_costack_co_release(co);
	return one_event;
}
