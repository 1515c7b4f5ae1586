// SPDX-License-Identifier: GPL-2.0
/*
 * Everything that programs can do with stacks and coroutines, at random, on all CPUs and in
 * each context at once. Whoever has something looks whether it is his own:
 *
 * - A stack that was just taken reads as zero.
 * - Who keeps a stack in a slot writes the slot and a number that is unique at its
 *   beginning, its middle and its end; who takes it out finds that there. While
 *   he has it, he has his number in it, and nobody else does.
 * - A body computes what it yields from its argument, what it was passed in this run and
 *   the one before, and locals and memory that it changes in each run. Who
 *   resumes it computes the same from the handle.
 *
 * Choices follow from the seed, the worker and the round.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "stress.h"

char _license[] SEC("license") = "GPL";

#define EBUSY		16
#define ESRCH		3
#define ESTALE		116
#define EOPNOTSUPP	95
#define ENOMEM		12
#define ECANCELED	125
#define EINVAL		22

const volatile u64 seed;

u64 counts[STRESS_CPUS][NR_ROWS][NR_OPS][NR_RESULTS];
u64 faults[NR_FAULTS];
u64 fault_details[NR_FAULTS][3];	/* of the last one */
u32 stop;
u32 rounds[STRESS_CPUS];		/* of interrupts, which nobody tells theirs */
u64 not_before[STRESS_CPUS];		/* they leave some time to others */

static __always_inline u64 mix(u64 x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

__noinline int count(u32 row, u32 op, s32 ret)
{
	u32 cpu = bpf_get_smp_processor_id() % STRESS_CPUS, res = RES_other;

	switch (ret) {
#define X(name, err) case err: res = RES_##name; break;
	STRESS_RESULTS(X)
#undef X
	}
	if (row < NR_ROWS && op < NR_OPS && res < NR_RESULTS)
		__sync_fetch_and_add(&counts[cpu][row][op][res], 1);
	return 0;
}

__noinline int fault(u32 what, u64 a, u64 b, u64 c)
{
	if (what < NR_FAULTS) {
		__sync_fetch_and_add(&faults[what], 1);
		fault_details[what][0] = a;
		fault_details[what][1] = b;
		fault_details[what][2] = c;
	}
	return 0;
}

/* Maps */

struct slot {
	struct costack __kptr *cs;
	struct costack_co __kptr *co;
};

#define SLOTS(name, kind, entries)						\
	struct {								\
		__uint(type, BPF_MAP_TYPE_##kind);				\
		__uint(max_entries, entries);					\
		__type(key, u32);						\
		__type(value, struct slot);					\
	} name SEC(".maps")

#define NR_SLOTS	128
#define NR_SHARED	32
#define NR_KEYS		64

SLOTS(slots, ARRAY, NR_SLOTS);		/* whoever takes one out has it alone */
SLOTS(shared, ARRAY, NR_SHARED);	/* several slots have the same one */
SLOTS(readers, ARRAY, NR_SHARED);	/* of coroutines that read */
SLOTS(hash, HASH, NR_KEYS);
SLOTS(lru, LRU_HASH, NR_KEYS);

/* Where a stack is, for its mark; beside the numbers of the first map's slots. */
#define IN_SHARED	1000
#define IN_HASH		1001
#define IN_LRU		1002
#define IN_BODY		1003

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NR_ROWS);
	__type(key, u32);
	__type(value, u64);
} added SEC(".maps");

/* Stacks */

struct head {
	volatile u64 holder;	/* 0 when nobody has it */
	volatile u64 mark;
	volatile u32 span;	/* of the three places */
};

static __always_inline u64 *word_at(struct costack *cs, u32 off)
{
	return (u64 *)bpf_costack_frame(cs, off, 8);
}

/* Is all of it zero, or, of a larger one, some of it? */
static __noinline int check_zero(struct costack *cs, u32 size, u64 random)
{
	u32 i, off, n = size <= 1024 ? size / 64 : 10;
	u64 *p;

	bpf_for(i, 0, n) {
		off = i * 64;
		if (size > 1024) {
			random = mix(random);
			off = i ? random % (size - 63) : size - 64;
		}
		p = (u64 *)bpf_costack_frame(cs, off, 64);
		if (!p)
			fault(FAULT_frame, off, size, 0);
		else if (p[0] | p[1] | p[2] | p[3] | p[4] | p[5] | p[6] | p[7])
			fault(FAULT_not_zero, off, size, p[0]);
	}
	return 0;
}

/* Ours from now on: it is for the slot @where. */
static __noinline int mark_stack(struct costack *cs, u32 where, u64 random)
{
	struct head *head = (struct head *)bpf_costack_frame(cs, 0, sizeof(*head));
	u64 mark = (u64)where << 48 | random >> 16, *middle, *end;
	u32 span;

	if (!head) {
		fault(FAULT_frame, 0, sizeof(*head), where);
		return 0;
	}
	span = head->span;
	middle = word_at(cs, span / 2 & ~7);
	end = word_at(cs, span - 8);
	if (!middle || !end) {
		fault(FAULT_frame, span, where, 1);
		return 0;
	}
	head->mark = mark;
	*middle = ~mark;
	*end = mix(mark);
	return 0;
}

/* Is it the one that was put there? */
static __noinline int check_stack(struct costack *cs, u32 where, u32 row)
{
	struct head *head = (struct head *)bpf_costack_frame(cs, 0, sizeof(*head));
	u32 size = bpf_costack_size(cs), span;
	u64 *middle, *end, mark;

	count(row, OP_size, 0);
	count(row, OP_frame, 0);
	if (!head) {
		fault(FAULT_frame, 0, sizeof(*head), where);
		return 0;
	}
	span = head->span;
	middle = word_at(cs, span / 2 & ~7);
	end = word_at(cs, span - 8);
	mark = head->mark;
	if (!middle || !end || mark >> 48 != where || *middle != ~mark || *end != mix(mark))
		fault(FAULT_contents, where, mark, span);
	if (word_at(cs, size - 7))
		fault(FAULT_frame, size - 7, size, 0);
	else
		count(row, OP_frame_refused, 0);
	return 0;
}

/* Nobody else has it now; who looks away for a while finds his number still there. */
static __noinline int hold(struct costack *cs, u64 number)
{
	struct head *head = (struct head *)bpf_costack_frame(cs, 0, sizeof(*head));
	u64 was;

	if (!head)
		return 0;
	number |= 1;
	was = __sync_lock_test_and_set(&head->holder, number);
	if (was)
		fault(FAULT_twice, was, number, head->mark);
	return 0;
}

static __noinline int let_go(struct costack *cs, u64 number)
{
	struct head *head = (struct head *)bpf_costack_frame(cs, 0, sizeof(*head));
	u64 was;

	if (!head)
		return 0;
	number |= 1;
	was = __sync_lock_test_and_set(&head->holder, 0);
	if (was != number)
		fault(FAULT_twice, was, number, head->mark);
	return 0;
}

static __noinline int fresh_stack(struct costack *cs, u32 wanted, u64 random)
{
	u32 size = bpf_costack_size(cs);
	struct head *head;

	if (size < wanted || size < COSTACK_SIZE_MIN || size > COSTACK_SIZE_MAX)
		fault(FAULT_size, size, wanted, 0);
	check_zero(cs, size, random);
	head = (struct head *)bpf_costack_frame(cs, 0, sizeof(*head));
	/* Not all of it becomes dirty. */
	if (head)
		head->span = 64 + (random % (size - 63) & ~7);
	return 0;
}

static __always_inline struct slot *slot_at(void *map, u32 i)
{
	return bpf_map_lookup_elem(map, &i);
}

static __always_inline struct costack *take_stack(u32 i)
{
	struct slot *slot = slot_at(&slots, i);

	return slot ? bpf_kptr_xchg(&slot->cs, NULL) : NULL;
}

static __always_inline void drop_stack(struct costack *cs, u32 row)
{
	bpf_costack_release(cs);
	count(row, OP_release, 0);
}

/* Into a slot; what was there comes back out, and goes. */
static __always_inline void put_stack(struct costack *cs, u32 i, u32 row, u64 random)
{
	struct slot *slot = slot_at(&slots, i);

	mark_stack(cs, i, random);
	if (slot)
		cs = bpf_kptr_xchg(&slot->cs, cs);
	if (cs) {
		check_stack(cs, i, row);
		drop_stack(cs, row);
	}
}

/* 1 byte to 64 KB, the small ones more often. */
static __always_inline u32 random_size(u64 random)
{
	u32 a = random & 7, b = random >> 3 & 7, most = COSTACK_SIZE_MIN << (a < b ? a : b);

	return 1 + (random >> 8) % most;
}

static __always_inline struct costack *alloc(const int row, u32 size, u64 flags, u64 random)
{
	if (row == ROW_SLEEPABLE)
		return bpf_costack_alloc_sleepable(size, flags);
	if (row <= ROW_SOFTIRQ && random & 1)
		return bpf_costack_alloc(size, flags);
	return bpf_costack_alloc_nolock(size, flags);
}

static __always_inline void do_alloc(const int row, u64 random)
{
	u32 kind = random % 32, op = OP_alloc, size = random_size(random >> 8);
	struct costack *cs;
	u64 flags = 0;

	if (kind == 0) {
		op = OP_alloc_refused;
		if (random & 0x100)
			size = 0;
		else
			size = COSTACK_SIZE_MAX + 1 + (random >> 40);
	} else if (kind == 1) {
		op = OP_alloc_refused;
		flags = (random | 2) & ~COSTACK_F_GUARD;
	} else if (kind < 5) {
		op = OP_alloc_guard;
		flags = COSTACK_F_GUARD;
		size = 4096 + size % (COSTACK_SIZE_MAX - 4095);
	}
	cs = alloc(row, size, flags, random >> 5);
	if (op == OP_alloc_refused) {
		count(row, op, 0);
		if (cs) {
			fault(FAULT_not_refused, size, flags, 0);
			bpf_costack_release(cs);
		}
		return;
	}
	count(row, op, !cs);
	if (!cs)
		return;
	fresh_stack(cs, size, mix(random));
	put_stack(cs, (random >> 40) % NR_SLOTS, row, mix(random + 1));
}

/* From slot to slot, or away. */
__noinline int move_stack(u32 row, u64 random)
{
	u32 from = random % NR_SLOTS, to = (random >> 16) % NR_SLOTS;
	struct costack *cs = take_stack(from);

	if (!cs)
		return 0;
	hold(cs, random);
	check_stack(cs, from, row);
	let_go(cs, random);
	if (random >> 32 & 3) {
		put_stack(cs, to, row, mix(random));
		count(row, OP_exchange, 0);
	} else {
		drop_stack(cs, row);
	}
	return 0;
}

/* Several slots have the same stack, which nobody changes. */
__noinline int share_stack(u32 row, u64 random)
{
	struct slot *slot = slot_at(&shared, random % NR_SHARED);
	struct slot *other = slot_at(&shared, (random >> 8) % NR_SHARED);
	struct costack *cs, *more;
	u32 from = (random >> 16) % NR_SLOTS;

	if (!slot || !other)
		return 0;
	cs = bpf_kptr_xchg(&slot->cs, NULL);
	if (cs) {
		check_stack(cs, IN_SHARED, row);
	} else {
		cs = take_stack(from);
		if (!cs)
			return 0;
		check_stack(cs, from, row);
		mark_stack(cs, IN_SHARED, random);
	}
	more = bpf_costack_acquire(cs);
	count(row, OP_acquire, 0);
	if (random >> 32 & 1)
		cs = bpf_kptr_xchg(&slot->cs, cs);
	if (cs)
		drop_stack(cs, row);
	if (random >> 32 & 2)
		more = bpf_kptr_xchg(&other->cs, more);
	if (more) {
		check_stack(more, IN_SHARED, row);
		drop_stack(more, row);
	}
	return 0;
}

static __always_inline int counters(u32 row, u64 random)
{
	s64 n = bpf_costack_counter(random % (COSTACK_CNT_MAX + 1));

	if (random % (COSTACK_CNT_MAX + 1) == COSTACK_CNT_MAX ? n != -EINVAL : n == -EINVAL)
		fault(FAULT_answer, OP_counter, n, 0);
	count(row, OP_counter, 0);
	return 0;
}

/* Coroutines */

/*
 * What a resume passes: the number of the run, a random number, who resumes, and the
 * argument. The handle has it until the next run.
 */
#define STEP(v)		((u16)(v))
#define RANDOM(v)	((u32)((v) >> 16))
#define ARG(v)		((v) >> 48 & 15)
#define ROW(v)		((v) >> 52 & 7)
#define SHARED		(1ULL << 63)	/* others resume it, too: no numbers */
#define VALUE(step, random, arg, row)						\
	((u64)(u16)(step) | (u64)(u32)(random) << 16 | (u64)(arg) << 48 | \
	 (u64)((row) ?: ROW_PROCESS) << 52)

/* Its last run is that which is passed such a number. */
#define IS_LAST(v)	(RANDOM(v) % 64 == 1)

#define WAS_CANCELLED	0xcafe
#define HAD_NO_MEMORY	0xdead
#define MEMORY_WORDS	32

static __always_inline u64 expected(u64 id, u64 value, u64 before)
{
	return value & SHARED ? mix(id ^ value) : mix(id ^ value ^ mix(before));
}

/* In each run. Return: what is to be yielded. */
static __always_inline u64 run_body(struct costack_self *self, u64 arg, u64 *past, u64 *sum,
				    u64 *before, bool memory)
{
	u64 v = self->value, x = 0, *p;
	u32 i = STEP(v) % 8, j;

	if (!(v & SHARED)) {
		if (STEP(v) != (u16)(STEP(*before) + 1))
			fault(FAULT_step, self->id, v, *before);
		if (ARG(v) != arg)
			fault(FAULT_result, self->id, v, arg);
	}
	bpf_for(j, 0, 8)
		x += past[j & 7];
	x -= *sum;
	if (x)
		fault(FAULT_locals, self->id, x, *sum);
	*sum += v - past[i];
	past[i] = v;
	if (memory) {
		/* The same eight, elsewhere. */
		p = (u64 *)bpf_costack_local(self, i * 256 + 8, 8);
		count(ROW(v), OP_local, p ? 0 : 1);
		if (p && *p && !(v & SHARED) && STEP(*p) != (u16)(STEP(v) - 8))
			fault(FAULT_memory, self->id, *p, v);
		if (p)
			*p = v;
	}
	x += expected(self->id, v, *before);
	*before = v & SHARED ? 0 : v;
	return x;
}

static __always_inline int yield(struct costack_self *self, u64 x, u32 row)
{
	u32 tries;
	int ret = 0;

	bpf_for(tries, 0, 3) {
		ret = bpf_costack_yield(self, x);
		if (ret != -ENOMEM)
			break;
		count(row, OP_yield, ret);
	}
	if (!ret)
		count(row, OP_yield, 0);
	return ret;
}

static __always_inline s64 end_of(int ret)
{
	return ret == -ECANCELED ? WAS_CANCELLED : HAD_NO_MEMORY;
}

static __always_inline s64 plain_body(struct costack_self *self, u64 arg, bool memory)
{
	u64 past[8] = {}, sum = 0, before = 0, x;
	int ret;

	bpf_repeat(COSTACK_LOOP_MAX) {
		x = run_body(self, arg, past, &sum, &before, memory);
		if (IS_LAST(self->value))
			return x;
		ret = yield(self, x, ROW(self->value));
		if (ret)
			return end_of(ret);
	}
	return 0;
}

COSTACK_BODY(dense, u64 arg)
{
	return plain_body(self, arg, false);
}
COSTACK_OPS(dense);

COSTACK_BODY(own, u64 arg)
{
	return plain_body(self, arg, true);
}
COSTACK_OPS(own, .flags = COSTACK_OPS_PRIVATE, .frame_size = 2048);

/* More on its stack than is kept at first, and a stack that it owns all the time. */
COSTACK_BODY(deep, u64 arg)
{
	u64 past[8] = {}, more[32], sum = 0, before = 0, x = 0, id = self->id;
	u32 row = ROW(self->value), i;
	struct costack *cs;
	int ret = 0;

	cs = bpf_costack_alloc_nolock(700, 0);
	count(row, OP_body_alloc, !cs);
	if (cs) {
		fresh_stack(cs, 700, id);
		mark_stack(cs, IN_BODY, id);
	}
	bpf_for(i, 0, 32)
		more[i & 31] = mix(id + i);
	bpf_repeat(COSTACK_LOOP_MAX) {
		x = run_body(self, arg, past, &sum, &before, false);
		row = ROW(self->value);
		i = RANDOM(self->value) % 32;
		if (more[i] != mix(id + i))
			fault(FAULT_locals, id, i, more[i]);
		if (cs)
			check_stack(cs, IN_BODY, row);
		if (IS_LAST(self->value))
			break;
		ret = yield(self, x, ROW(self->value));
		if (ret)
			break;
	}
	if (cs)
		bpf_costack_release(cs);
	return ret ? end_of(ret) : x;
}
COSTACK_OPS(deep);

/* Has one of its own, that it resumes whenever it is resumed. */
COSTACK_BODY(caller, u64 arg)
{
	u64 past[8] = {}, sum = 0, before = 0, x = 0, y = 0, v, was;
	struct costack_co *callee;
	bool over = false;
	int ret = 0;
	u32 row = ROW(self->value);

	callee = bpf_costack_spawn_nolock(self->id & 1 ? dense_id : own_id, 3);
	count(row, self->id & 1 ? OP_spawn : OP_spawn_private, !callee);
	bpf_repeat(COSTACK_LOOP_MAX) {
		x = run_body(self, arg, past, &sum, &before, false);
		row = ROW(self->value);
		if (callee && !over) {
			was = callee->self.value;
			v = VALUE(STEP(was) + 1, mix(x), 3, row);
			ret = bpf_costack_call(self, callee, v, &y);
			count(row, OP_call, ret == COSTACK_DONE ? 0 : ret);
			if (ret >= 0 && y != WAS_CANCELLED && y != HAD_NO_MEMORY &&
			    (y != expected(callee->self.id, v, was) ||
			     (ret == COSTACK_DONE) != IS_LAST(v)))
				fault(FAULT_callee, callee->self.id, y, v);
			over = ret == COSTACK_DONE || ret == -ESTALE;
			if (ret == -ECANCELED)
				break;
			if (ret < 0 && ret != -ESTALE && ret != -EBUSY && ret != -ENOMEM)
				fault(FAULT_answer, OP_call, ret, 0);
			ret = 0;
		}
		if (IS_LAST(self->value))
			break;
		ret = yield(self, x, ROW(self->value));
		if (ret)
			break;
	}
	if (callee)
		bpf_costack_co_release(callee);
	return ret ? end_of(ret) : x;
}
COSTACK_OPS(caller);

/* Counts what it does where user space finds it. */
COSTACK_BODY(adder, u64 arg)
{
	u64 past[8] = {}, sum = 0, before = 0, x, n;
	u32 row;
	int ret;

	bpf_repeat(COSTACK_LOOP_MAX) {
		x = run_body(self, arg, past, &sum, &before, false);
		row = ROW(self->value);
		ret = bpf_costack_map_add(&added, &row, sizeof(row), 0, 1);
		count(row, OP_map_add, ret);
		if (ret)
			fault(FAULT_map, OP_map_add, ret, row);
		ret = bpf_costack_map_read(&added, &row, sizeof(row), &n, sizeof(n));
		count(row, OP_map_read, ret);
		if (ret || !n)
			fault(FAULT_map, OP_map_read, ret, n);
		if (IS_LAST(self->value))
			return x;
		ret = yield(self, x, ROW(self->value));
		if (ret)
			return end_of(ret);
	}
	return 0;
}
COSTACK_OPS(adder);

/* All bytes of a message are the same, and say in which row they are read. */
static __always_inline bool is_byte(u8 b)
{
	return (b >> 4) == (~b & 15);
}

static __always_inline u64 reader_result(u64 id, u32 n)
{
	return mix(id ^ n) << 32 | n;
}

COSTACK_BODY(reader, u64 arg)
{
	u32 n = self->id, i, got;	/* begins anywhere */
	u8 buf[16] = { ROW_PROCESS };
	int ret;

	bpf_repeat(COSTACK_LOOP_MAX) {
		got = sizeof(buf);
		n++;
		switch (n % 4) {
		case 0:
			ret = bpf_costack_read(self, buf, sizeof(buf));
			break;
		case 1:
			ret = bpf_costack_read_some(self, buf, sizeof(buf));
			got = ret;
			break;
		case 2:
			ret = bpf_costack_peek(self, buf, sizeof(buf));
			got = ret;
			if (ret > (s64)bpf_costack_avail(self))
				fault(FAULT_message, self->id, ret, n);
			break;
		default:
			ret = bpf_costack_skip(self, self->id % 32);
			got = 0;
			break;
		}
		if (ret == -ENOMEM)
			continue;
		if (ret < 0)
			return end_of(ret);
		bpf_for(i, 0, 16) {
			if (i < got && (!is_byte(buf[i]) || (n % 4 && buf[i] != buf[0])))
				fault(FAULT_message, self->id, i, buf[i]);
		}
		if (got)
			count(buf[0] & 7, OP_read, 0);
		if (n % 256 == 255)
			return reader_result(self->id, n);
		if (n % 5 == 0) {
			ret = yield(self, reader_result(self->id, n), buf[0] & 7);
			if (ret)
				return end_of(ret);
		}
	}
	return 0;
}
COSTACK_OPS(reader);

static __always_inline struct costack_co *take_co(void *map, u32 i)
{
	struct slot *slot = slot_at(map, i);

	return slot ? bpf_kptr_xchg(&slot->co, NULL) : NULL;
}

static __always_inline void drop_co(struct costack_co *co, u32 row)
{
	bpf_costack_co_release(co);
	count(row, OP_co_release, 0);
}

static __always_inline void put_co(void *map, struct costack_co *co, u32 i, u32 row)
{
	struct slot *slot = slot_at(map, i);

	if (slot)
		co = bpf_kptr_xchg(&slot->co, co);
	if (co)
		drop_co(co, row);
}

static __always_inline int state_of(struct costack_co *co, u32 row)
{
	int state = bpf_costack_state(co);

	count(row, OP_state, state < 0 ? state : 0);
	if (state < 0 ? state != -ESTALE : state > COSTACK_FINISHED)
		fault(FAULT_answer, OP_state, state, 0);
	return state;
}

/* One that nobody else has, and whose body has returned: nothing happens to it any more. */
static __noinline int check_finished(struct costack_co *co, u32 row)
{
	int state = state_of(co, row), ret;

	if (state != COSTACK_FINISHED && state != -ESTALE)
		fault(FAULT_state, co->self.id, state, 0);
	if (row == ROW_NMI)
		return 0;
	ret = bpf_costack_resume(co, 0, NULL);
	count(row, OP_resume, ret);
	if (ret != -ESRCH && ret != -ESTALE)
		fault(FAULT_answer, OP_resume, ret, co->self.id);
	return 0;
}

/* Is it still of use? @ret: what came of a resume */
static __always_inline bool check_event(int ret, u32 row, u32 op)
{
	if (row == ROW_NMI)
		op = OP_resume_nmi;
	count(row, op, ret == COSTACK_READING ? 0 : ret == COSTACK_DONE ? 0 : ret);
	if (row == ROW_NMI ? ret != -EOPNOTSUPP :
	    ret < 0 && ret != -EBUSY && ret != -ESTALE)
		fault(FAULT_answer, op, ret, row);
	return ret != COSTACK_DONE && ret != -ESTALE;
}

/* One that nobody else has. Return: is it still of use? */
static __noinline int resume_own(struct costack_co *co, u32 row, u64 arg, u64 random)
{
	u64 before = co->self.value, v, x = 0;
	bool more;
	int ret;

	v = VALUE(STEP(before) + 1, random, STEP(before) ? ARG(before) : arg, row);
	ret = bpf_costack_resume(co, v, &x);
	more = check_event(ret, row, OP_resume);
	if (ret == COSTACK_DONE && (x == WAS_CANCELLED || x == HAD_NO_MEMORY))
		return 0;
	if (ret >= 0 && (ret == COSTACK_DONE) != IS_LAST(v))
		fault(FAULT_event, co->self.id, ret, x);
	if (ret >= 0 && x != expected(co->self.id, v, before))
		fault(FAULT_result, co->self.id, x, v);
	if (ret == COSTACK_DONE && random >> 60 < 4)
		check_finished(co, row);
	return more;
}

static __always_inline struct costack_co *spawn(const int row, u32 id, u64 arg, u64 random)
{
	if (row == ROW_SLEEPABLE)
		return bpf_costack_spawn_sleepable(id, arg);
	if (row <= ROW_SOFTIRQ && random & 1)
		return bpf_costack_spawn(id, arg);
	return bpf_costack_spawn_nolock(id, arg);
}

static __always_inline void do_spawn(const int row, u64 random)
{
	u32 kind = random % 16, op = OP_spawn, id = dense_id, i = (random >> 40) % NR_SLOTS;
	u64 arg = random >> 32 & 15;
	struct costack_co *co;
	int state;

	if (kind < 3) {
		op = OP_spawn_private;
		id = own_id;
	} else if (kind == 3) {
		id = deep_id;
	} else if (kind < 6) {
		id = caller_id;
	} else if (kind < 9) {
		id = adder_id;
	} else if (kind < 11) {
		id = reader_id;
	}
	/* Left for others to run first, and these know of no argument. */
	if (random >> 60 == 0 && id != reader_id)
		arg = 0;
	co = spawn(row, id, arg, random >> 5);
	count(row, op, !co);
	if (!co)
		return;
	state = state_of(co, row);
	if (state != COSTACK_NEW && state != -ESTALE)
		fault(FAULT_state, co->self.id, state, COSTACK_NEW);
	if (co->self.value)
		fault(FAULT_state, co->self.id, co->self.value, 0);
	if (id == reader_id) {
		put_co(&readers, co, i % NR_SHARED, row);
	} else if (random >> 60 == 0 ||
		   (resume_own(co, row, arg, mix(random)) && STEP(co->self.value))) {
		put_co(&slots, co, i, row);
	} else {
		drop_co(co, row);
	}
}

__noinline int resume_one(u32 row, u64 random)
{
	struct costack_co *co = take_co(&slots, random % NR_SLOTS);

	if (!co)
		return 0;
	if (resume_own(co, row, 0, mix(random)))
		put_co(&slots, co, (random >> 8) % NR_SLOTS, row);
	else
		drop_co(co, row);
	return 0;
}

/* End one, or let go of it as it is. */
__noinline int end_one(u32 row, u64 random)
{
	struct costack_co *co = take_co(&slots, random % NR_SLOTS);
	int ret;

	if (!co)
		return 0;
	if (random >> 32 & 1) {
		ret = bpf_costack_cancel(co);
		if (row != ROW_NMI)
			count(row, OP_cancel, ret);
		if (row == ROW_NMI ? ret != -EOPNOTSUPP :
		    ret && ret != -EBUSY && ret != -ESTALE)
			fault(FAULT_answer, OP_cancel, ret, row);
		if (!ret)
			check_finished(co, row);
		if (ret == -EBUSY || ret == -EOPNOTSUPP) {
			put_co(&slots, co, (random >> 8) % NR_SLOTS, row);
			return 0;
		}
	}
	drop_co(co, row);
	return 0;
}

/* In several slots: others run it at the same time. */
__noinline int share_one(u32 row, u64 random)
{
	u32 i = random % NR_SHARED, j = (random >> 8) % NR_SHARED;
	struct costack_co *co = take_co(&shared, i), *more;
	u64 v, x = 0;
	int ret;

	if (!co)
		co = take_co(&slots, (random >> 16) % NR_SLOTS);
	if (!co)
		return 0;
	more = bpf_costack_co_acquire(co);
	count(row, OP_co_acquire, 0);
	put_co(&shared, more, j, row);
	v = VALUE(random, mix(random), 0, row) | SHARED;
	ret = bpf_costack_resume(co, v, &x);
	if (ret == -ESRCH && row != ROW_NMI)
		count(row, OP_resume_shared, ret);
	else
		check_event(ret, row, OP_resume_shared);
	if (ret >= 0 && x != expected(co->self.id, v, 0) && x != WAS_CANCELLED &&
	    x != HAD_NO_MEMORY)
		fault(FAULT_result, co->self.id, x, v);
	if (ret >= 0 && x != WAS_CANCELLED && x != HAD_NO_MEMORY &&
	    (ret == COSTACK_DONE) != IS_LAST(v))
		fault(FAULT_event, co->self.id, ret, x);
	if (ret != COSTACK_DONE && ret != -ESRCH && ret != -ESTALE)
		put_co(&shared, co, i, row);
	else
		drop_co(co, row);
	return 0;
}

/* Return: is it still of use? */
static __always_inline bool check_reader(struct costack_co *co, int ret, u64 x, u32 row, u32 op)
{
	if ((ret == COSTACK_YIELDED || ret == COSTACK_DONE) && x != WAS_CANCELLED &&
	    x != HAD_NO_MEMORY && x != reader_result(co->self.id, x))
		fault(FAULT_result, co->self.id, x, ret);
	return check_event(ret, row, op);
}

__noinline int message_one(u32 row, u64 random)
{
	u32 i = random % NR_SHARED;
	struct costack_co *co = take_co(&readers, i);
	u64 bytes[16], x = 0;
	u8 b = (row ?: ROW_PROCESS) | (random >> 32 & 8);

	if (!co)
		return 0;
	b |= (~b & 15) << 4;	/* is_byte() */
	bytes[0] = b * 0x0101010101010101ULL;
	for (int j = 1; j < 16; j++)
		bytes[j] = bytes[0];
	if (check_reader(co, bpf_costack_resume_mem(co, bytes, (random >> 40) % sizeof(bytes), &x),
			 x, row, OP_resume_mem))
		put_co(&readers, co, (random >> 8) % NR_SHARED, row);
	else
		drop_co(co, row);
	return 0;
}

/* Elements that come and go with what is in them. */
#define IN_MAP(map, op_update, op_delete)					\
__noinline int in_##map(u32 row, u64 random)					\
{										\
	u32 key = random % (2 * NR_KEYS), in = op_update == OP_lru_update ? IN_LRU : IN_HASH; \
	struct costack_co *co;							\
	struct slot empty = {}, *slot;						\
	struct costack *cs;							\
	int ret;								\
										\
	if (row == ROW_NMI)							\
		return 0;							\
	if (random >> 32 & 1) {							\
		slot = bpf_map_lookup_elem(&map, &key);				\
		cs = slot ? bpf_kptr_xchg(&slot->cs, NULL) : NULL;		\
		if (cs) {							\
			check_stack(cs, in, row);				\
			drop_stack(cs, row);					\
		}								\
		co = slot ? bpf_kptr_xchg(&slot->co, NULL) : NULL;		\
		if (co) {							\
			if (resume_own(co, row, 0, mix(random)))		\
				put_co(&slots, co, (random >> 8) % NR_SLOTS, row); \
			else							\
				drop_co(co, row);				\
		}								\
	}									\
	if (random >> 33 & 1) {							\
		ret = bpf_map_delete_elem(&map, &key);				\
		count(row, op_delete, ret);					\
	}									\
	ret = bpf_map_update_elem(&map, &key, &empty, BPF_NOEXIST);		\
	count(row, op_update, ret);						\
	slot = bpf_map_lookup_elem(&map, &key);					\
	if (!slot)								\
		return 0;							\
	cs = take_stack((random >> 16) % NR_SLOTS);				\
	if (cs) {								\
		check_stack(cs, (random >> 16) % NR_SLOTS, row);		\
		mark_stack(cs, in, random);					\
		cs = bpf_kptr_xchg(&slot->cs, cs);				\
	}									\
	if (cs) {								\
		check_stack(cs, in, row);					\
		drop_stack(cs, row);						\
	}									\
	co = take_co(&slots, (random >> 24) % NR_SLOTS);			\
	if (co)									\
		co = bpf_kptr_xchg(&slot->co, co);				\
	if (co)									\
		drop_co(co, row);						\
	return 0;								\
}

IN_MAP(hash, OP_hash_update, OP_hash_delete)
IN_MAP(lru, OP_lru_update, OP_hash_delete)

/* Programs */

#define OPS(row, run_worker, run_round, run_ops)				\
({										\
	u64 __r = mix(seed ^ (u64)(run_worker) << 32 ^ (run_round)), __own;	\
	u32 __i;								\
										\
	bpf_for(__i, 0, run_ops) {						\
		if (stop)							\
			break;							\
		__r = mix(__r);							\
		__own = mix(~__r);						\
		switch (__r >> 59) {						\
		case 0 ... 6: do_alloc(row, __own); break;			\
		case 7 ... 11: move_stack(row, __own); break;			\
		case 12 ... 13: share_stack(row, __own); break;			\
		case 14 ... 16: do_spawn(row, __own); break;			\
		case 17 ... 23: resume_one(row, __own); break;			\
		case 24: end_one(row, __own); break;				\
		case 25 ... 26: share_one(row, __own); break;			\
		case 27 ... 28: message_one(row, __own); break;			\
		case 29: in_hash(row, __own); break;				\
		case 30: in_lru(row, __own); break;				\
		default: counters(row, __own); break;				\
		}								\
	}									\
})

SEC("syscall")
int sleepable(struct stress_run *run)
{
	OPS(ROW_SLEEPABLE, run->worker, run->round, run->ops);
	return 0;
}

#define RESUME_PACKET(row, kind, ctx, random)					\
({										\
	u32 __i = (random) % NR_SHARED;						\
	struct costack_co *__co = take_co(&readers, __i);			\
	u32 __off = STRESS_OFFSET + sizeof(struct stress_run) + ((random) >> 8) % 200; \
	u32 __len = ((random) >> 16) % 64;					\
	u64 __x = 0;								\
	int __ret;								\
										\
	if (__co) {								\
		/* Beyond the end, now and then. */				\
		if ((random) >> 60 == 0)					\
			__off = STRESS_PACKET - __len + 1;			\
		__ret = bpf_costack_resume_##kind(__co, ctx, __off, __len, &__x); \
		if (__ret == -EINVAL ? (random) >> 60 == 0 :			\
		    check_reader(__co, __ret, __x, row, OP_resume_##kind))	\
			put_co(&readers, __co, ((random) >> 24) % NR_SHARED, row); \
		else								\
			drop_co(__co, row);					\
	}									\
})

#define NET(row, kind, ctx)							\
({										\
	u64 __random;								\
	u32 __n;								\
										\
	OPS(row, run.worker, run.round, run.ops);				\
	__random = mix(seed ^ ~((u64)run.worker << 32 | run.round));		\
	bpf_for(__n, 0, run.ops / 16 + 1) {					\
		__random = mix(__random);					\
		RESUME_PACKET(row, kind, ctx, __random);			\
	}									\
})

SEC("tc")
int process_skb(struct __sk_buff *ctx)
{
	struct stress_run run;

	if (bpf_skb_load_bytes(ctx, STRESS_OFFSET, &run, sizeof(run)) || run.magic != STRESS_MAGIC)
		return 0;
	NET(ROW_PROCESS, skb, ctx);
	return 0;
}

SEC("xdp")
int process_xdp(struct xdp_md *ctx)
{
	struct stress_run run;

	if (bpf_xdp_load_bytes(ctx, STRESS_OFFSET, &run, sizeof(run)) || run.magic != STRESS_MAGIC)
		return XDP_PASS;
	NET(ROW_PROCESS, xdp, ctx);
	return XDP_PASS;
}

/* Packets of ours go no further. */
SEC("tcx/ingress")
int softirq_skb(struct __sk_buff *ctx)
{
	struct stress_run run;

	if (bpf_skb_load_bytes(ctx, STRESS_OFFSET, &run, sizeof(run)) || run.magic != STRESS_MAGIC)
		return -1;	/* TCX_NEXT */
	NET(ROW_SOFTIRQ, skb, ctx);
	return 2;		/* TCX_DROP */
}

/* Of every other packet: the rest is the other's. */
SEC("xdp")
int softirq_xdp(struct xdp_md *ctx)
{
	struct stress_run run;

	if (bpf_xdp_load_bytes(ctx, STRESS_OFFSET, &run, sizeof(run)) ||
	    run.magic != STRESS_MAGIC || run.round & 1)
		return XDP_PASS;
	NET(ROW_SOFTIRQ, xdp, ctx);
	return XDP_DROP;
}

/* On a slow machine there is always the next interrupt already. */
#define INTERRUPT(row)								\
({										\
	u32 cpu = bpf_get_smp_processor_id() % STRESS_CPUS;			\
	u64 start = bpf_ktime_get_ns(), end;					\
										\
	if (start >= not_before[cpu]) {						\
		OPS(row, 1000 * (row) + cpu, __sync_fetch_and_add(&rounds[cpu], 1), 12); \
		end = bpf_ktime_get_ns();					\
		not_before[cpu] = end + 4 * (end - start);			\
	}									\
})

SEC("perf_event")
int hardirq(void *ctx)
{
	INTERRUPT(ROW_HARDIRQ);
	return 0;
}

SEC("tp_btf/nmi_handler")
int nmi(void *ctx)
{
	INTERRUPT(ROW_NMI);
	return 0;
}

/* At a quiet point: what the slots hold. */
u64 held_stacks, held_cos;

SEC("syscall")
int drain(void *ctx)
{
	struct costack_co *co;
	struct costack *cs;
	u32 i;

	bpf_for(i, 0, NR_SLOTS) {
		cs = take_stack(i);
		if (cs) {
			check_stack(cs, i, ROW_PROCESS);
			bpf_costack_release(cs);
			held_stacks++;
		}
		co = take_co(&slots, i);
		if (co) {
			bpf_costack_co_release(co);
			held_cos++;
		}
		co = take_co(&readers, i);
		if (co) {
			bpf_costack_co_release(co);
			held_cos++;
		}
	}
	return 0;
}
