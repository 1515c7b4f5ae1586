// SPDX-License-Identifier: GPL-2.0
/*
 * Very many coroutines, kept in maps. They are gone over once a step, in an order that
 * looks random, by any number of CPUs that share a cursor. A run does a batch:
 * system calls are few.
 *
 * Each body computes numbers of its own, from what it was spawned with and what it is
 * passed, and keeps them all in its locals to the end. The resumer computes the
 * same without a coroutine.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"
#include "cos_scale.h"

#define BATCH	4096
#define TRIES	1000

char _license[] SEC("license") = "GPL";

static __always_inline s64 numbers(struct costack_self *self, u64 id)
{
	u64 past[COS_ROUNDS + 1] = {}, x = cos_mix(id), sum = 0;
	int i;

	bpf_for(i, 0, COS_ROUNDS) {
		past[i] = x;
		if (bpf_costack_yield(self, x))
			return 0;
		x = cos_mix(x ^ self->value);
	}
	past[COS_ROUNDS] = x;
	bpf_for(i, 0, COS_ROUNDS + 1)
		sum = cos_mix(sum + past[i]);
	return sum;
}

COSTACK_BODY(dense, u64 id)
{
	return numbers(self, id);
}

COSTACK_OPS(dense);

COSTACK_BODY(private, u64 id)
{
	return numbers(self, id);
}

COSTACK_OPS(private, .flags = COSTACK_OPS_PRIVATE, .stack_size = 16384);

struct slot {
	struct costack_co __kptr *co;
};

/* User space says how many there are. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

u32 nr;			/* coroutines */
u32 bits;		/* 1 << bits is no less */
u32 salt;		/* of the order */
u32 step;		/* 0: the first resume */
u32 keep;		/* at the last step, leave each second one as it is */
u64 cursor;		/* next in the order */

u64 spawned, resumed, done, busy;
u64 failed_spawn, failed_map, failed_resume, wrong, missing;
u64 last_error;

/* One to one on the numbers of that many bits. */
static __always_inline u32 permute(u32 i)
{
	u32 mask = (1U << (bits & 31)) - 1, half = (bits / 2) & 31;

	i = (i * 0x9e3779b1U + salt) & mask;
	i ^= i >> half;
	i = (i * 0x85ebca6bU + salt) & mask;
	i ^= i >> half;
	return (i * 0xc2b2ae35U) & mask;
}

/* What the resume of that step is to give. */
static __always_inline u64 expected(u64 id)
{
	u64 x = cos_mix(id), sum = cos_mix(x);
	u32 i;

	bpf_for(i, 1, COS_ROUNDS + 1) {
		if (i > step)
			break;
		x = cos_mix(x ^ cos_value(id, i));
		sum = cos_mix(sum + x);
	}
	return step == COS_ROUNDS ? sum : x;
}

static __always_inline void count(u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

static __always_inline void keep_spawned(u32 id, struct costack_co *co)
{
	struct slot empty = {}, *slot;

	if (!co) {
		count(&failed_spawn);
		return;
	}
	if (bpf_map_update_elem(&slots, &id, &empty, BPF_NOEXIST)) {
		count(&failed_map);
		bpf_costack_co_release(co);
		return;
	}
	slot = bpf_map_lookup_elem(&slots, &id);
	if (!slot) {
		count(&failed_map);
		bpf_costack_co_release(co);
		return;
	}
	co = bpf_kptr_xchg(&slot->co, co);
	if (co) {
		count(&failed_map);
		bpf_costack_co_release(co);
		return;
	}
	count(&spawned);
}

/* Each program returns 0 as long as there is more to do. */

SEC("tc")
int spawn_dense(struct __sk_buff *skb)
{
	u64 from = __sync_fetch_and_add(&cursor, BATCH);
	u32 i, id;

	bpf_for(i, 0, BATCH) {
		id = permute(from + i);
		if (from + i < 1ULL << (bits & 31) && id < nr)
			keep_spawned(id, costack_spawn(dense, id));
	}
	return from + BATCH >= 1ULL << (bits & 31);
}

SEC("syscall")
int spawn_private(void *ctx)
{
	u64 from = __sync_fetch_and_add(&cursor, BATCH);
	u32 i, id;

	bpf_for(i, 0, BATCH) {
		id = permute(from + i);
		if (from + i < 1ULL << (bits & 31) && id < nr)
			keep_spawned(id, bpf_costack_spawn_sleepable(private_id, id));
	}
	return from + BATCH >= 1ULL << (bits & 31);
}

static __always_inline void resume_one(u32 id)
{
	int ret = -16, want = step == COS_ROUNDS ? COSTACK_DONE : COSTACK_YIELDED;
	struct slot *slot = bpf_map_lookup_elem(&slots, &id);
	struct costack_co *co;
	u64 result = 0;
	u32 i;

	co = slot ? bpf_kptr_xchg(&slot->co, NULL) : NULL;
	if (!co) {
		count(&missing);
		return;
	}
	/* Another CPU may use its execution stack, and be held up for long. */
	bpf_for(i, 0, TRIES) {
		ret = bpf_costack_resume(co, cos_value(id, step), &result);
		if (ret != -16)
			break;
		count(&busy);
	}
	if (ret != want) {
		count(&failed_resume);
		last_error = ret;
	} else {
		count(&resumed);
		if (result != expected(id))
			count(&wrong);
	}
	if (ret == COSTACK_DONE)
		count(&done);
	else
		co = bpf_kptr_xchg(&slot->co, co);
	if (co)
		bpf_costack_co_release(co);
}

SEC("tc")
int resume_all(struct __sk_buff *skb)
{
	u64 from = __sync_fetch_and_add(&cursor, BATCH);
	u32 i, id;

	bpf_for(i, 0, BATCH) {
		id = permute(from + i);
		if (from + i < 1ULL << (bits & 31) && id < nr &&
		    !(keep && step == COS_ROUNDS && id & 1))
			resume_one(id);
	}
	return from + BATCH >= 1ULL << (bits & 31);
}
