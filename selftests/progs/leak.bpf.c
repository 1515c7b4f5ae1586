// SPDX-License-Identifier: GPL-2.0
/* Coroutines that leave their memory full of a pattern, and others that look for it. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "co_drive.h"

char _license[] SEC("license") = "GPL";

#define FRAME	4096
#define PATTERN	0xa5a5a5a5a5a5a5a5

/* More on the stack at a wait than the handle's own memory keeps. */
static __noinline int wait_deep(struct costack_self *self)
{
	volatile u64 local[32];
	int i, ret;

	bpf_for(i, 0, 32)
		local[i & 31] = PATTERN;
	ret = bpf_costack_yield(self, 1);
	bpf_for(i, 0, 32) {
		if (local[i & 31] != PATTERN)
			return -1;
	}
	return ret;
}

static __always_inline s64 scribble(struct costack_self *self)
{
	volatile u64 local[20];
	u64 *p;
	u32 i;

	bpf_for(i, 0, 20)
		local[i % 20] = PATTERN;
	bpf_for(i, 0, FRAME / 8) {
		p = (u64 *)bpf_costack_local(self, i * 8, 8);
		if (p)
			*p = PATTERN;
	}
	bpf_repeat(COSTACK_LOOP_MAX) {
		if (wait_deep(self))
			break;
	}
	return local[7] == PATTERN ? 0 : -1;
}

COSTACK_BODY(scribbler, u64 arg)
{
	return scribble(self);
}
COSTACK_OPS(scribbler, .frame_size = FRAME);

COSTACK_BODY(scribbler_own, u64 arg)
{
	return scribble(self);
}
COSTACK_OPS(scribbler_own, .frame_size = FRAME, .flags = COSTACK_OPS_PRIVATE);

/* Words of its memory that are not zero; what it could not look at counts, too. */
static __always_inline s64 look(struct costack_self *self)
{
	s64 found = 0;
	u64 *p;
	u32 i;

	bpf_for(i, 0, FRAME / 8) {
		p = (u64 *)bpf_costack_local(self, i * 8, 8);
		if (!p || *p)
			found++;
	}
	return found;
}

COSTACK_BODY(looker, u64 arg)
{
	s64 found = look(self);

	bpf_costack_yield(self, found);
	return found;
}
COSTACK_OPS(looker, .frame_size = FRAME);

COSTACK_BODY(looker_own, u64 arg)
{
	s64 found = look(self);

	bpf_costack_yield(self, found);
	return found;
}
COSTACK_OPS(looker_own, .frame_size = FRAME, .flags = COSTACK_OPS_PRIVATE,
	    .stack_size = COSTACK_STACK_MIN);

/* What it is told goes with it. */
COSTACK_BODY(told, u64 arg)
{
	bpf_costack_yield(self, self->value);
	return self->value;
}
COSTACK_OPS(told);

/* Of a coroutine that has not run: its value */
SEC("syscall")
int do_value(struct co_args *a)
{
	struct costack_co *co = slot_take(a->slot);

	if (!co)
		return 0;
	a->result = co->self.value;
	slot_put(a->slot, co);
	return 0;
}

/* What a read that gives less than asked for leaves as it was. */
static __always_inline bool untouched(const u8 buf[16], int from)
{
	bool same = true;
	int i;

#pragma clang loop unroll(full)
	for (i = 0; i < 16; i++)
		same &= i < from || buf[i] == 0x5a;
	return same;
}

struct value {
	u64 first, second;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct value);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct value);
} lru SEC(".maps");

static __always_inline int made_anew(void *map)
{
	struct value value = { PATTERN, PATTERN };
	u32 key = 1, other = 2;

	if (bpf_map_update_elem(map, &key, &value, 0) || bpf_map_delete_elem(map, &key))
		return __LINE__;
	if (bpf_costack_map_add(map, &other, sizeof(other), 0, 3))
		return __LINE__;
	if (bpf_costack_map_read(map, &other, sizeof(other), &value, sizeof(value)))
		return __LINE__;
	if (value.first != 3 || value.second)
		return __LINE__;
	return bpf_map_delete_elem(map, &other) ? __LINE__ : 0;
}

/* To be handed 3 bytes, twice; 0, or the line that found something */
static __always_inline int try_reads(struct costack_self *self)
{
	struct value value = { PATTERN, PATTERN };
	u8 buf[16];
	u32 key = 7;

	__builtin_memset(buf, 0x5a, sizeof(buf));
	if (bpf_costack_peek(self, buf, sizeof(buf)) != 3)
		return __LINE__;
	if (!untouched(buf, 3))
		return __LINE__;
	__builtin_memset(buf, 0x5a, sizeof(buf));
	if (bpf_costack_read_some(self, buf, sizeof(buf)) != 3)
		return __LINE__;
	if (!untouched(buf, 3))
		return __LINE__;
	/* Nothing is left. */
	__builtin_memset(buf, 0x5a, sizeof(buf));
	if (bpf_costack_peek(self, buf, sizeof(buf)))
		return __LINE__;
	if (!untouched(buf, 0))
		return __LINE__;
	/* Cancelled in its middle */
	if (!bpf_costack_read(self, buf, sizeof(buf)))
		return __LINE__;
	if (!untouched(buf, 3))
		return __LINE__;
	/* No such element */
	if (!bpf_costack_map_read(&hash, &key, sizeof(key), &value, sizeof(value)) ||
	    value.first != PATTERN || value.second != PATTERN)
		return __LINE__;
	return made_anew(&hash) ?: made_anew(&lru);
}

s64 read_line, read_result;

COSTACK_BODY(reads, u64 arg)
{
	read_line = try_reads(self);
	return 0;
}
COSTACK_OPS(reads);

SEC("syscall")
int do_reads(void *ctx)
{
	struct costack_co *co = bpf_costack_spawn_sleepable(COSTACK_ID("reads"), 0);
	u8 data[3] = { 1, 2, 3 };
	u64 result = PATTERN;
	int ret = 0;

	read_result = 1;
	if (!co)
		return 0;
	if (bpf_costack_resume_mem(co, data, sizeof(data), &result) != COSTACK_READING ||
	    result || bpf_costack_resume_mem(co, data, sizeof(data), &result) != COSTACK_READING)
		ret = 2;
	/* A failure leaves the result alone. */
	result = PATTERN;
	if (bpf_costack_cancel(co) || bpf_costack_resume(co, 0, &result) != -3 /* -ESRCH */ ||
	    result != PATTERN)
		ret = 3;
	bpf_costack_co_release(co);
	read_result = ret;
	return 0;
}
