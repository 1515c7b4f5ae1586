// SPDX-License-Identifier: GPL-2.0
/* Bodies that each do one thing, for prog_tests/co.c to look at what comes out. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "co_drive.h"
#include "co_reader.h"

char _license[] SEC("license") = "GPL";

/* Yields the sum of what it is given. */
COSTACK_BODY(values, u64 first)
{
	u64 sum = first;
	int i;

	bpf_for(i, 0, 3) {
		if (bpf_costack_yield(self, sum))
			return -1000;
		sum += self->value;
	}
	return sum;
}
COSTACK_OPS(values);

/* Yields for ever; the private one, too. */
static __always_inline s64 count(struct costack_self *self, u64 n)
{
	bpf_repeat(COSTACK_LOOP_MAX) {
		if (bpf_costack_yield(self, n))
			return CO_CANCELLED;
		n++;
	}
	return 0;
}

COSTACK_BODY(forever, u64 n)
{
	return count(self, n);
}
COSTACK_OPS(forever);

COSTACK_BODY(forever_own, u64 n)
{
	return count(self, n);
}
COSTACK_OPS(forever_own, .flags = COSTACK_OPS_PRIVATE);

/*
 * Functions in functions with loops, locals and waits in each: what each had before a
 * wait it must have after.
 */
#define NEST(n, below)								\
	static __noinline int nest_##n(struct costack_self *self, u64 seed)	\
	{									\
		volatile u64 local[4];						\
		int i;								\
										\
		local[0] = seed;						\
		local[1] = seed * 3;						\
		local[2] = ~seed;						\
		local[3] = seed << n;						\
		bpf_for(i, 0, 2) {						\
			if (bpf_costack_yield(self, n) || (below))		\
				return -1;					\
			if (local[0] != seed || local[1] != seed * 3 ||		\
			    local[2] != ~seed || local[3] != seed << n)		\
				return -2;					\
		}								\
		return 0;							\
	}
NEST(4, 0)
NEST(3, nest_4(self, seed + 1))
NEST(2, nest_3(self, seed * 5))
NEST(1, nest_2(self, ~seed))

COSTACK_BODY(nested, u64 seed)
{
	return nest_1(self, seed) ?: 4711;
}
COSTACK_OPS(nested);

/* As much on the stack as BPF allows, or nearly, at a wait deep in it. */
static __noinline int deep(struct costack_self *self, u64 seed)
{
	volatile u64 local[28];
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < 28; i++)
		local[i] = seed + i;
	if (bpf_costack_yield(self, 2))
		return -1;
#pragma clang loop unroll(disable)
	for (i = 0; i < 28; i++) {
		if (local[i] != seed + i)
			return -2;
	}
	return 0;
}

COSTACK_BODY(wide, u64 seed)
{
	volatile u64 local[28];
	int i, ret;

#pragma clang loop unroll(disable)
	for (i = 0; i < 28; i++)
		local[i] = seed * i;
	ret = deep(self, seed);
	if (ret)
		return ret;
#pragma clang loop unroll(disable)
	for (i = 0; i < 28; i++) {
		if (local[i] != seed * i)
			return -3;
	}
	return 100;
}
COSTACK_OPS(wide);

/* Memory of the coroutine: zero at first, and what was written is there after a wait. */
#define FRAME	4096

static __always_inline s64 use_frame(struct costack_self *self, u64 seed)
{
	u64 *p;
	u32 i;

	bpf_for(i, 0, FRAME / 64) {
		p = (u64 *)bpf_costack_local(self, i * 64, 64);
		if (!p)
			return -1;
		if (p[0] || p[1] || p[6] || p[7])
			return -2;
		p[0] = seed + i;
		p[7] = ~seed;
	}
	/* Kept in a register or on the stack over the wait. */
	p = (u64 *)bpf_costack_local(self, 128, 64);
	if (!p || bpf_costack_yield(self, 0))
		return -3;
	if (p[0] != seed + 2)
		return -4;
	bpf_for(i, 0, FRAME / 64) {
		p = (u64 *)bpf_costack_local(self, i * 64, 64);
		if (!p || p[0] != seed + i || p[7] != ~seed)
			return -5;
	}
	if (bpf_costack_local(self, FRAME, 8) || bpf_costack_local(self, FRAME - 7, 8) ||
	    bpf_costack_local(self, -8, 8) || bpf_costack_local(self, ~0U, 1))
		return -6;
	return 7;
}

COSTACK_BODY(framed, u64 seed)
{
	return use_frame(self, seed);
}
COSTACK_OPS(framed, .frame_size = FRAME);

COSTACK_BODY(framed_own, u64 seed)
{
	return use_frame(self, seed);
}
COSTACK_OPS(framed_own, .frame_size = FRAME, .flags = COSTACK_OPS_PRIVATE,
	    .stack_size = COSTACK_STACK_MIN);

COSTACK_BODY(frameless, u64 arg)
{
	return !bpf_costack_local(self, 0, 1);
}
COSTACK_OPS(frameless);

COSTACK_BODY(limited, u64 arg)
{
	bpf_costack_yield(self, 0);
	return 0;
}
COSTACK_OPS(limited, .limit = 5);

/* One call of each kind, on what there is. Yields what each returned. */
COSTACK_BODY(asker, u64 arg)
{
	u8 buf[16] = {};

	if (bpf_costack_yield(self, bpf_costack_peek(self, buf, 16)) ||
	    bpf_costack_yield(self, bpf_costack_avail(self)) ||
	    bpf_costack_yield(self, bpf_costack_read_some(self, buf, 16)) ||
	    bpf_costack_yield(self, bpf_costack_skip(self, 0)))
		return 1;
	return bpf_costack_read(self, buf, 2) ?: 2 + buf[0] * 256 + buf[1];
}
COSTACK_OPS(asker);

/* Calls */

static struct costack_co __kptr *mine SEC(".data.mine");
const volatile u32 forever_number, forever_own_number, chain_number, values_number;

/* The coroutine of a slot becomes what bodies find in `mine`. */
SEC("syscall")
int do_give(struct co_args *a)
{
	struct costack_co *co = slot_take(a->slot);

	a->ret = !!co;
	co = bpf_kptr_xchg(&mine, co);
	if (co)
		bpf_costack_co_release(co);
	return 0;
}

/* Calls what it is given, once in each run, and yields what that returned. */
COSTACK_BODY(call_mine, u64 arg)
{
	struct costack_co *co = bpf_kptr_xchg(&mine, NULL);
	u64 result = 77;
	int ret;

	if (!co)
		return -1;
	bpf_repeat(COSTACK_LOOP_MAX) {
		ret = bpf_costack_call(self, co, self->value, &result);
		if (bpf_costack_yield(self, (u64)(u32)ret << 32 | (u32)result))
			break;
	}
	bpf_costack_co_release(co);
	return CO_CANCELLED;
}
COSTACK_OPS(call_mine);

COSTACK_BODY(call_mine_own, u64 arg)
{
	struct costack_co *co = bpf_kptr_xchg(&mine, NULL);
	u64 result = 77;
	int ret;

	if (!co)
		return -1;
	bpf_repeat(COSTACK_LOOP_MAX) {
		ret = bpf_costack_call(self, co, self->value, &result);
		if (bpf_costack_yield(self, (u64)(u32)ret << 32 | (u32)result))
			break;
	}
	bpf_costack_co_release(co);
	return CO_CANCELLED;
}
COSTACK_OPS(call_mine_own, .flags = COSTACK_OPS_PRIVATE);

/* Spawns one of its own kind and calls that, which does the same; yields how deep it went. */
COSTACK_BODY(chain, u64 depth)
{
	struct costack_co *co = bpf_costack_spawn_nolock(chain_number, depth + 1);
	u64 result = 0;
	int ret;

	if (!co)
		return -1;
	ret = bpf_costack_call(self, co, 0, &result);
	if (ret < 0)
		result = (u64)-ret << 32 | depth;
	/* Suspended, with a child that is suspended or new. */
	bpf_costack_yield(self, result);
	bpf_costack_co_release(co);
	return result;
}
COSTACK_OPS(chain);

/* Owns things at each of its waits. */
COSTACK_BODY(owner, u64 arg)
{
	struct costack *cs, *more;
	struct costack_co *co;
	s64 ret = 1;

	if (bpf_costack_yield(self, 0))
		return ret;
	cs = bpf_costack_alloc_nolock(1024, 0);
	if (!cs)
		return -1;
	ret = 2;
	if (bpf_costack_yield(self, 1))
		goto put;
	ret = 3;
	co = bpf_costack_spawn_nolock(forever_number, 5);
	if (!co)
		goto put;
	if (bpf_costack_yield(self, 2))
		goto put_co;
	bpf_costack_call(self, co, 0, NULL);
	if (bpf_costack_yield(self, 3))
		goto put_co;
	more = bpf_costack_acquire(cs);
	bpf_costack_yield(self, 4);
	bpf_costack_release(more);
	bpf_costack_yield(self, 5);
	ret = 4;
put_co:
	bpf_costack_co_release(co);
put:
	bpf_costack_release(cs);
	return ret;
}
COSTACK_OPS(owner);

/* An element that is evicted or deleted lets go of its coroutine. */
#define FLOWS(_name, _type, _flags)						\
	struct {								\
		__uint(type, BPF_MAP_TYPE_##_type);				\
		__uint(max_entries, 32);					\
		__uint(map_flags, _flags);					\
		__type(key, u32);						\
		__type(value, struct slot);					\
	} _name SEC(".maps");							\
										\
	SEC("syscall")								\
	int do_##_name(struct co_args *a)					\
	{									\
		return flow(a, &_name);						\
	}									\
										\
	SEC("syscall")								\
	int do_##_name##_end(struct co_args *a)					\
	{									\
		return flow_end(a, &_name);					\
	}

static __always_inline int flow(struct co_args *a, void *map)
{
	struct slot none = {}, *flow;
	struct costack_co *co;
	u32 key = a->slot;

	bpf_map_update_elem(map, &key, &none, 0);
	flow = bpf_map_lookup_elem(map, &key);
	co = bpf_costack_spawn_sleepable(a->type, a->arg);
	if (!flow || !co) {
		if (co)
			bpf_costack_co_release(co);
		return 0;
	}
	a->ret = bpf_costack_resume(co, 0, NULL);
	co = bpf_kptr_xchg(&flow->co, co);
	if (co)
		bpf_costack_co_release(co);
	return 0;
}

/* @mode: the coroutine is taken out before. */
static __always_inline int flow_end(struct co_args *a, void *map)
{
	struct costack_co *co = NULL;
	u32 key = a->slot;
	struct slot *flow;

	flow = bpf_map_lookup_elem(map, &key);
	if (flow && a->mode)
		co = bpf_kptr_xchg(&flow->co, NULL);
	if (co)
		bpf_costack_co_release(co);
	a->ret = bpf_map_delete_elem(map, &key);
	return 0;
}

FLOWS(lru, LRU_HASH, 0)
FLOWS(hash, HASH, 0)
FLOWS(lazy, HASH, 1 /* BPF_F_NO_PREALLOC */)
