// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies that want more memory than there is, and bodies that leave something in what they
 * had, for whom gets it next to look for.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "co_drive.h"
#include "co_memory.h"

char _license[] SEC("license") = "GPL";

/* Stacks */

struct kept {
	struct costack __kptr *cs;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NR_KEPT);
	__type(key, u32);
	__type(value, struct kept);
} kept SEC(".maps");

u32 nr_kept;

static void keep(struct costack *cs)
{
	u32 key = nr_kept;
	struct kept *k = bpf_map_lookup_elem(&kept, &key);

	if (k)
		cs = bpf_kptr_xchg(&k->cs, cs);
	if (cs)
		bpf_costack_release(cs);
	nr_kept++;
}

/* Takes stacks of @len bytes, all that there are but no more than @count. */
SEC("syscall")
int do_take(struct co_args *a)
{
	struct costack *cs;
	u32 i, n = 0;

	bpf_for(i, 0, a->count) {
		cs = bpf_costack_alloc_sleepable(a->len, a->arg);
		if (!cs)
			break;
		keep(cs);
		n++;
	}
	a->ret = n;
	return 0;
}

/* Gives back those of @len bytes, or all. */
SEC("syscall")
int do_put(struct co_args *a)
{
	struct costack *cs;
	struct kept *k;
	u32 i, key;

	a->ret = 0;
	bpf_for(i, 0, NR_KEPT) {
		key = i;
		k = bpf_map_lookup_elem(&kept, &key);
		cs = k ? bpf_kptr_xchg(&k->cs, NULL) : NULL;
		if (!cs)
			continue;
		if (!a->len || bpf_costack_size(cs) == a->len) {
			bpf_costack_release(cs);
			a->ret++;
			continue;
		}
		cs = bpf_kptr_xchg(&k->cs, cs);
		if (cs)
			bpf_costack_release(cs);
	}
	return 0;
}

/* More to keep than the smallest has room for, at a wait of each kind */

s32 deep_ret[NR_DEEP];
s32 callee_state;
const volatile u32 callee_number;

COSTACK_BODY(callee, u64 n)
{
	bpf_costack_yield(self, n);
	return n + 1;
}
COSTACK_OPS(callee);

static __noinline int deep(struct costack_self *self, struct costack_co *co, u32 kind)
{
	volatile u64 local[44];
	u64 result = 0;
	u8 byte = 0;
	int i, ret;

#pragma clang loop unroll(disable)
	for (i = 0; i < 44; i++)
		local[i] = kind * 1000 + i;
	switch (kind) {
	case DEEP_YIELD:
		ret = bpf_costack_yield(self, 9);
		break;
	case DEEP_READ:
		ret = bpf_costack_read(self, &byte, 1);
		break;
	case DEEP_READ_SOME:
		ret = bpf_costack_read_some(self, &byte, 1);
		break;
	case DEEP_SKIP:
		ret = bpf_costack_skip(self, 1);
		break;
	default:
		ret = bpf_costack_call(self, co, 0, &result);
		break;
	}
#pragma clang loop unroll(disable)
	for (i = 0; i < 44; i++) {
		if (local[i] != kind * 1000 + i)
			return -1000;
	}
	if (ret == COSTACK_YIELDED && kind == DEEP_CALL)
		return result;
	return ret;
}

/* Tries all of them in a run, as often as it is asked to. */
static __always_inline s64 starve(struct costack_self *self)
{
	struct costack_co *co = bpf_costack_spawn_nolock(callee_number, 7);
	u32 kind, key;

	if (!co)
		return -1;
	bpf_repeat(COSTACK_LOOP_MAX) {
		if (bpf_costack_yield(self, STARVED))
			break;
		bpf_for(kind, 0, NR_DEEP) {
			key = kind;
			if (key < NR_DEEP)
				deep_ret[key] = deep(self, co, key);
		}
		callee_state = bpf_costack_state(co);
	}
	bpf_costack_co_release(co);
	return CO_CANCELLED;
}

COSTACK_BODY(starving, u64 arg)
{
	return starve(self);
}
COSTACK_OPS(starving);

COSTACK_BODY(starving_own, u64 arg)
{
	return starve(self);
}
COSTACK_OPS(starving_own, .flags = COSTACK_OPS_PRIVATE);

/* The pattern, wherever a body can leave it */

static __noinline int paint_deep(struct costack_self *self)
{
	volatile u64 local[44];
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < 44; i++)
		local[i] = PATTERN;
	return bpf_costack_yield(self, local[7]) ?: local[43] != PATTERN;
}

/* Finds its memory as zeros, says how much of it is not, and leaves the pattern in it. */
static __always_inline s64 paint(struct costack_self *self, u64 size)
{
	volatile u64 local[4];
	u64 dirty = 0, *p;
	u32 i, j;

	bpf_for(i, 0, size / 512) {
		p = (u64 *)bpf_costack_local(self, i * 512, 512);
		if (!p)
			return -1;
		bpf_for(j, 0, 64) {
			dirty += !!p[j & 63];
			p[j & 63] = PATTERN;
		}
	}
	for (i = 0; i < 4; i++)
		local[i] = PATTERN;
	if (bpf_costack_yield(self, dirty))
		return CO_CANCELLED;
	if (local[3] != PATTERN || paint_deep(self))
		return -2;
	return 0;
}

#define PAINTER(_name, _frame, ...)						\
	COSTACK_BODY(_name, u64 size)						\
	{									\
		return paint(self, size);					\
	}									\
	COSTACK_OPS(_name, .frame_size = (_frame), ##__VA_ARGS__)

PAINTER(paint_0, 0);
PAINTER(paint_512, 512);
PAINTER(paint_1k, 1024);
PAINTER(paint_4k, 4096);
PAINTER(paint_64k, 65536);
PAINTER(paint_own_8k, 2048, .flags = COSTACK_OPS_PRIVATE, .stack_size = 8192);
PAINTER(paint_own_16k, 8192, .flags = COSTACK_OPS_PRIVATE);
PAINTER(paint_own_64k, 32768, .flags = COSTACK_OPS_PRIVATE, .stack_size = 65536);

/* Stacks full of the pattern: takes as many as @count, and keeps them. */
SEC("syscall")
int do_paint(struct co_args *a)
{
	struct costack *cs;
	u32 i, j, k, n = 0;
	u64 *p;

	bpf_for(i, 0, a->count) {
		cs = bpf_costack_alloc_sleepable(a->len, a->arg);
		if (!cs)
			break;
		bpf_for(j, 0, a->len / 512) {
			p = (u64 *)bpf_costack_frame(cs, j * 512, 512);
			if (!p)
				break;
			bpf_for(k, 0, 64)
				p[k & 63] = PATTERN;
		}
		keep(cs);
		n++;
	}
	a->ret = n;
	return 0;
}

/* As many words of as many stacks are not zero; keeps them. */
SEC("syscall")
int do_look(struct co_args *a)
{
	struct costack *cs;
	u32 i, j, k, n = 0;
	u64 *p;

	a->result = 0;
	bpf_for(i, 0, a->count) {
		cs = bpf_costack_alloc_sleepable(a->len, a->arg);
		if (!cs)
			break;
		bpf_for(j, 0, a->len / 512) {
			p = (u64 *)bpf_costack_frame(cs, j * 512, 512);
			if (!p)
				break;
			n++;
			bpf_for(k, 0, 64)
				a->result += !!p[k & 63];
		}
		keep(cs);
	}
	a->ret = n;
	return 0;
}

/* Which stacks coroutines had, and who gets them then */

u32 watched;		/* thread that it is about */
u32 whose;		/* stacks that are taken now */
u32 had, seen_again;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u32);
} had_by SEC(".maps");

SEC("tp_btf/costack_alloc")
int BPF_PROG(on_alloc, const void *stack)
{
	u64 key = (u64)stack;
	u32 now = whose, *last;

	if ((u32)bpf_get_current_pid_tgid() != watched || !stack || now == NOBODY)
		return 0;
	last = bpf_map_lookup_elem(&had_by, &key);
	if (last && *last != now)
		seen_again++;
	had++;
	bpf_map_update_elem(&had_by, &key, &now, 0);
	return 0;
}
