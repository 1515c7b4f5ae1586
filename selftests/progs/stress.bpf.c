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

#define ESRCH		3
#define ENOMEM		12
#define EBUSY		16
#define EINVAL		22
#define EOPNOTSUPP	95
#define ESTALE		116
#define ECANCELED	125

const volatile u64 seed;

u64 counts[STRESS_CPUS][NR_ROWS][NR_OPS][NR_RESULTS];
u64 faults[NR_FAULTS];
u64 fault_details[NR_FAULTS][2];	/* of the last one */
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
	u32 cpu = bpf_get_smp_processor_id() % STRESS_CPUS, res;

#define X(name, err) (ret == (err)) ? RES_##name :
	res = STRESS_RESULTS(X) RES_other;
#undef X
	if (row < NR_ROWS && op < NR_OPS && res < NR_RESULTS)
		__sync_fetch_and_add(&counts[cpu][row][op][res], 1);
	return 0;
}

__noinline int fault(u32 what, u64 a, u64 b)
{
	if (what < NR_FAULTS) {
		__sync_fetch_and_add(&faults[what], 1);
		fault_details[what][0] = a;
		fault_details[what][1] = b;
	}
	return 0;
}

/* What must be true; two numbers for people, when it is not. */
#define EXPECT(cond, what, a, b)						\
	do {									\
		if (!(cond))							\
			fault(FAULT_##what, a, b);				\
	} while (0)

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

static __always_inline struct costack *take_cs(void *map, u32 i)
{
	struct slot *slot = bpf_map_lookup_elem(map, &i);

	return slot ? bpf_kptr_xchg(&slot->cs, NULL) : NULL;
}

static __always_inline struct costack_co *take_co(void *map, u32 i)
{
	struct slot *slot = bpf_map_lookup_elem(map, &i);

	return slot ? bpf_kptr_xchg(&slot->co, NULL) : NULL;
}

/* Stacks */

struct head {
	volatile u64 holder;	/* 0 when nobody has it */
	volatile u64 mark;
	volatile u32 span;	/* of the three places */
};

/* Three places of a stack, within its span. */
static __always_inline bool places(struct costack *cs, struct head **head, u64 **middle, u64 **end)
{
	*head = (struct head *)bpf_costack_frame(cs, 0, sizeof(**head));
	if (!*head)
		return false;
	*middle = (u64 *)bpf_costack_frame(cs, (*head)->span / 2 & ~7, 8);
	*end = (u64 *)bpf_costack_frame(cs, (*head)->span - 8, 8);
	return *middle && *end;
}

/* It is for the slot @where. */
static __noinline int mark_stack(struct costack *cs, u32 where, u64 random)
{
	u64 mark = (u64)where << 48 | random >> 16, *middle, *end;
	struct head *head;

	if (!places(cs, &head, &middle, &end))
		return fault(FAULT_frame, where, 0);
	head->mark = mark;
	*middle = ~mark;
	*end = mix(mark);
	return 0;
}

/* Is it the one that was put there? */
static __noinline int check_stack(struct costack *cs, u32 where, u32 row)
{
	u32 size = bpf_costack_size(cs);
	u64 *middle, *end, mark;
	struct head *head;

	count(row, OP_size, 0);
	count(row, OP_frame, 0);
	if (!places(cs, &head, &middle, &end))
		return fault(FAULT_contents, where, 0);
	mark = head->mark;
	EXPECT(mark >> 48 == where && *middle == ~mark && *end == mix(mark), contents, where, mark);
	EXPECT(!bpf_costack_frame(cs, size - 7, 8), frame, size - 7, size);
	count(row, OP_frame_refused, 0);
	return 0;
}

/* From one holder to another; 0 is nobody. */
static __noinline int hand_over(struct costack *cs, u64 from, u64 to)
{
	struct head *head = (struct head *)bpf_costack_frame(cs, 0, sizeof(*head));
	u64 was = head ? __sync_lock_test_and_set(&head->holder, to) : ~0ULL;

	EXPECT(was == from, twice, was, from);
	return 0;
}

/* All of it is zero; of a larger one, some places are looked at. Not all becomes dirty. */
static __noinline int fresh_stack(struct costack *cs, u32 wanted, u64 random)
{
	u32 size = bpf_costack_size(cs), i, off, n = size <= 1024 ? size / 64 : 10;
	struct head *head;
	u64 *p;

	EXPECT(size >= wanted && size >= COSTACK_SIZE_MIN && size <= COSTACK_SIZE_MAX, size,
	       size, wanted);
	bpf_for(i, 0, n) {
		random = mix(random);
		off = size <= 1024 ? i * 64 : i ? random % (size - 63) : size - 64;
		p = (u64 *)bpf_costack_frame(cs, off, 64);
		EXPECT(p, frame, off, size);
		if (p)
			EXPECT(!(p[0] | p[1] | p[2] | p[3] | p[4] | p[5] | p[6] | p[7]), not_zero,
			       off, size);
	}
	head = (struct head *)bpf_costack_frame(cs, 0, sizeof(*head));
	if (head)
		head->span = 64 + (random % (size - 63) & ~7);
	return 0;
}

static __always_inline void drop_cs(struct costack *cs, u32 row)
{
	bpf_costack_release(cs);
	count(row, OP_release, 0);
}

/* What was there goes; as does this one, if there is no such slot. */
static __always_inline void put_cs(void *map, struct costack *cs, u32 i, u32 where, u32 row,
				   u64 random)
{
	struct slot *slot = bpf_map_lookup_elem(map, &i);

	mark_stack(cs, where, random);
	if (slot)
		cs = bpf_kptr_xchg(&slot->cs, cs);
	if (cs) {
		check_stack(cs, where, row);
		drop_cs(cs, row);
	}
}

/* Which kfuncs a program may call. */
enum {
	ANYWHERE,
	IN_NET,
	SLEEPABLE,
};

static __always_inline struct costack *alloc(const int kind, u32 size, u64 flags, u64 random)
{
	if (kind == SLEEPABLE)
		return bpf_costack_alloc_sleepable(size, flags);
	if (kind == IN_NET && random & 1)
		return bpf_costack_alloc(size, flags);
	return bpf_costack_alloc_nolock(size, flags);
}

/* 1 byte to 64 KB, the small ones more often; and what must be refused. */
static __always_inline void do_alloc(const int kind, u32 row, u64 random)
{
	u32 what = random % 32, a = random >> 5 & 7, b = random >> 8 & 7, op = OP_alloc, size;
	u32 i = (random >> 40) % NR_SLOTS;
	struct costack *cs;
	u64 flags = 0;

	size = 1 + (random >> 11) % (COSTACK_SIZE_MIN << (a < b ? a : b));
	if (what == 0) {
		op = OP_alloc_refused;
		size = random & 0x100 ? 0 : COSTACK_SIZE_MAX + 1 + (random >> 40);
	} else if (what == 1) {
		op = OP_alloc_refused;
		flags = (random | 2) & ~COSTACK_F_GUARD;
	} else if (what < 5) {
		op = OP_alloc_guard;
		flags = COSTACK_F_GUARD;
	}
	cs = alloc(kind, size, flags, random >> 63);
	count(row, op, op == OP_alloc_refused ? 0 : !cs);
	if (!cs)
		return;
	EXPECT(op != OP_alloc_refused, not_refused, size, flags);
	fresh_stack(cs, size, mix(random));
	put_cs(&slots, cs, i, i, row, mix(random + 1));
}

/* From slot to slot, or away. */
__noinline int move_stack(u32 row, u64 random)
{
	u32 from = random % NR_SLOTS, to = (random >> 16) % NR_SLOTS;
	struct costack *cs = take_cs(&slots, from);

	if (!cs)
		return 0;
	hand_over(cs, 0, random | 1);
	check_stack(cs, from, row);
	hand_over(cs, random | 1, 0);
	if (random >> 32 & 3) {
		put_cs(&slots, cs, to, to, row, mix(random));
		count(row, OP_exchange, 0);
	} else {
		drop_cs(cs, row);
	}
	return 0;
}

/* Several slots have the same stack, which nobody changes. */
__noinline int share_stack(u32 row, u64 random)
{
	u32 key = random % NR_SHARED, other = (random >> 8) % NR_SHARED, from;
	struct costack *cs = take_cs(&shared, key), *more;
	struct slot *slot;

	if (!cs) {
		from = (random >> 16) % NR_SLOTS;
		cs = take_cs(&slots, from);
		if (!cs)
			return 0;
		check_stack(cs, from, row);
		mark_stack(cs, IN_SHARED, random);
	}
	check_stack(cs, IN_SHARED, row);
	more = bpf_costack_acquire(cs);
	count(row, OP_acquire, 0);
	slot = bpf_map_lookup_elem(&shared, &key);
	if (slot && random >> 32 & 1)
		cs = bpf_kptr_xchg(&slot->cs, cs);
	if (cs)
		drop_cs(cs, row);
	slot = bpf_map_lookup_elem(&shared, &other);
	if (slot && random >> 32 & 2)
		more = bpf_kptr_xchg(&slot->cs, more);
	if (more) {
		check_stack(more, IN_SHARED, row);
		drop_cs(more, row);
	}
	return 0;
}

/* Coroutines */

/*
 * What a resume passes: the number of the run, a random number, the argument, and who resumes
 * (bodies are not allowed to sleep). The handle has it until the next run.
 */
#define STEP(v)		((u16)(v))
#define RANDOM(v)	((u32)((v) >> 16))
#define ARG(v)		((v) >> 48 & 15)
#define ROW(v)		((v) >> 52 & 7)
#define SHARED		0x8000000000000000ULL	/* others resume it, too: no numbers */
#define VALUE(step, random, arg, row)						\
	((u64)(u16)(step) | (u64)(u32)(random) << 16 | (u64)(arg) << 48 |	\
	 (u64)((row) ?: ROW_PROCESS) << 52)

/* Its last run is that which is passed such a number. */
#define IS_LAST(v)	(RANDOM(v) % 64 == 1)

/* What it says at an end that nobody can expect. */
#define WAS_CANCELLED	0xcafe
#define HAD_NO_MEMORY	0xdead
#define IS_EARLY(x)	((x) == WAS_CANCELLED || (x) == HAD_NO_MEMORY)

static __always_inline u64 expected(u64 id, u64 value, u64 before)
{
	return value & SHARED ? mix(id ^ value) : mix(id ^ value ^ mix(before));
}

/* Resumes one that a body has. Return: can it be resumed again? */
static __always_inline bool call(struct costack_self *self, struct costack_co *callee, u64 random,
				 u32 row)
{
	u64 before = callee->self.value, x = 0, v = VALUE(STEP(before) + 1, random, 3, row);
	int ret = bpf_costack_call(self, callee, v, &x);

	count(row, OP_call, ret == COSTACK_DONE ? 0 : ret);
	if (ret >= 0 && !IS_EARLY(x))
		EXPECT(x == expected(callee->self.id, v, before) &&
		       (ret == COSTACK_DONE) == IS_LAST(v), callee, x, v);
	else
		EXPECT(ret >= 0 || ret == -EBUSY || ret == -ESTALE || ret == -ENOMEM ||
		       ret == -ECANCELED, answer, OP_call, ret);
	return ret != COSTACK_DONE && ret != -ESTALE;
}

/* How bodies differ. */
#define REMEMBERS	1	/* has memory of its own */
#define OWNS		2	/* a stack, and more locals than are kept at first */
#define CALLS		4	/* has a coroutine of its own */
#define ADDS		8	/* counts where user space finds it */

extern const volatile u32 dense_id, own_id;

/* Attached now and then to what bodies alone call: it ends by an exception, on their stack. */

extern void bpf_throw(u64 cookie) __ksym;

u64 thrown;

SEC("fentry/bpf_strtoul")
int throws(void *ctx)
{
	__sync_fetch_and_add(&thrown, 1);
	bpf_throw(0);
	return 0;
}

static __always_inline s64 body(struct costack_self *self, u64 arg, const int how)
{
	u64 past[8] = {}, more[32], sum = 0, before = 0, x = 0, v, n, *p, id = self->id;
	u32 row = ROW(self->value), i;
	struct costack_co *callee = NULL;
	struct costack *cs = NULL;
	unsigned long digit;
	int ret = 0;

	if (how & OWNS) {
		bpf_for(i, 0, 32)
			more[i & 31] = mix(id + i);
		cs = bpf_costack_alloc_nolock(700, 0);
		count(row, OP_body_alloc, !cs);
		if (cs) {
			fresh_stack(cs, 700, id);
			mark_stack(cs, IN_BODY, id);
		}
	}
	if (how & CALLS) {
		callee = bpf_costack_spawn_nolock(id & 1 ? dense_id : own_id, 3);
		count(row, id & 1 ? OP_spawn : OP_spawn_private, !callee);
	}
	bpf_repeat(COSTACK_LOOP_MAX) {
		v = self->value;
		row = ROW(v);
		if (!(v & SHARED))
			EXPECT(STEP(v) == (u16)(STEP(before) + 1) && ARG(v) == arg, step, v, before);
		x = -sum;
		bpf_for(i, 0, 8)
			x += past[i & 7];
		EXPECT(!x, locals, id, x);
		x += expected(id, v, before);
		before = v & SHARED ? 0 : v;
		i = STEP(v) % 8;
		sum += v - past[i];
		past[i] = v;
		if (how & REMEMBERS) {
			/* The same eight, elsewhere. */
			p = (u64 *)bpf_costack_local(self, i * 256 + 8, 8);
			count(row, OP_local, !p);
			EXPECT(p && (!*p || v & SHARED || STEP(*p) == (u16)(STEP(v) - 8)), memory,
			       id, v);
			if (p)
				*p = v;
		}
		if (how & OWNS) {
			i = RANDOM(v) % 32;
			EXPECT(more[i] == mix(id + i), locals, id, more[i]);
			if (cs)
				check_stack(cs, IN_BODY, row);
		}
		if (how & CALLS && callee && !call(self, callee, mix(x), row)) {
			bpf_costack_co_release(callee);
			callee = NULL;
		}
		if (how & (ADDS | REMEMBERS)) {
			digit = 0;
			ret = bpf_strtoul("7", 2, 10, &digit);
			EXPECT(ret == 1 && digit == 7, locals, id, digit);
			ret = 0;
		}
		if (how & ADDS) {
			ret = bpf_costack_map_add(&added, &row, sizeof(row), 0, 1);
			count(row, OP_map_add, ret);
			EXPECT(!ret, map, OP_map_add, ret);
			ret = bpf_costack_map_read(&added, &row, sizeof(row), &n, sizeof(n));
			count(row, OP_map_read, ret);
			EXPECT(!ret && n, map, OP_map_read, ret);
			ret = 0;
		}
		if (IS_LAST(v))
			break;
		ret = bpf_costack_yield(self, x);
		count(row, OP_yield, ret == -ECANCELED ? 0 : ret);
		if (ret)
			break;
	}
	if (cs)
		bpf_costack_release(cs);
	if (callee)
		bpf_costack_co_release(callee);
	return !ret ? x : ret == -ECANCELED ? WAS_CANCELLED : HAD_NO_MEMORY;
}

#define STRESS_BODY(name, how, ...)						\
	COSTACK_BODY(name, u64 arg)						\
	{									\
		return body(self, arg, how);					\
	}									\
	COSTACK_OPS(name, ##__VA_ARGS__)

STRESS_BODY(dense, 0);
STRESS_BODY(own, REMEMBERS, .flags = COSTACK_OPS_PRIVATE, .frame_size = 2048);
STRESS_BODY(deep, OWNS);
STRESS_BODY(caller, CALLS);
STRESS_BODY(adder, ADDS);

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
		n++;
		if (n % 4 == 0)
			ret = bpf_costack_read(self, buf, sizeof(buf)) ?: sizeof(buf);
		else if (n % 4 == 1)
			ret = bpf_costack_read_some(self, buf, sizeof(buf));
		else if (n % 4 == 2)
			ret = bpf_costack_peek(self, buf, sizeof(buf));
		else
			ret = bpf_costack_skip(self, self->id % 32);
		if (n % 4 == 2)
			EXPECT(ret <= (s64)bpf_costack_avail(self), message, ret, n);
		if (ret > 0)
			count(buf[0] & 7, OP_read, 0);
		got = ret < 0 ? 0 : ret;
		bpf_for(i, 0, 16)
			EXPECT(i >= got || (buf[i] == (u8)STRESS_BYTE(buf[i] & 15) && (n % 4 == 0 || buf[i] == buf[0])),
			       message, i, buf[i]);
		if (n % 256 == 255)
			return reader_result(self->id, n);
		if (n % 5 == 0 && ret >= 0) {
			ret = bpf_costack_yield(self, reader_result(self->id, n));
			count(buf[0] & 7, OP_yield, ret == -ECANCELED ? 0 : ret);
		}
		if (ret < 0)
			return ret == -ECANCELED ? WAS_CANCELLED : HAD_NO_MEMORY;
	}
	return 0;
}
COSTACK_OPS(reader);

static __always_inline void drop_co(struct costack_co *co, u32 row)
{
	bpf_costack_co_release(co);
	count(row, OP_co_release, 0);
}

/* Away with it if it is of no use; what was there goes, too. */
static __always_inline void put_co(void *map, struct costack_co *co, u32 i, bool useful, u32 row)
{
	struct slot *slot = bpf_map_lookup_elem(map, &i);

	if (slot && useful)
		co = bpf_kptr_xchg(&slot->co, co);
	if (co)
		drop_co(co, row);
}

/* Nobody else has it: it is in this state, or its type is gone. */
static __always_inline void check_state(struct costack_co *co, int want, u32 row)
{
	int state = bpf_costack_state(co);

	count(row, OP_state, state < 0 ? state : 0);
	EXPECT(state == want || state == -ESTALE, state, state, want);
}

/* Its body has returned: nothing happens to it any more. */
static __noinline int check_finished(struct costack_co *co, u32 row)
{
	int ret;

	check_state(co, COSTACK_FINISHED, row);
	if (row == ROW_NMI)
		return 0;
	ret = bpf_costack_resume(co, 0, NULL);
	count(row, OP_resume, ret);
	EXPECT(ret == -ESRCH || ret == -ESTALE, answer, OP_resume, ret);
	return 0;
}

/* @ret: what came of a resume. Return: is it still of use? */
static __always_inline bool check_event(int ret, u32 row, u32 op)
{
	if (row == ROW_NMI)
		op = OP_resume_nmi;
	count(row, op, ret == COSTACK_READING || ret == COSTACK_DONE ? 0 : ret);
	EXPECT(row == ROW_NMI ? ret == -EOPNOTSUPP :
	       ret >= 0 || ret == -EBUSY || ret == -ESTALE ||
	       (ret == -ESRCH && op == OP_resume_shared), answer, op, ret);
	return ret != COSTACK_DONE && ret != -ESTALE && ret != -ESRCH;
}

/* Nobody else has it, but for SHARED in @how. Return: is it still of use? */
static __noinline int resume(struct costack_co *co, u32 row, u64 arg, u64 random, u64 how)
{
	u64 before = how ? 0 : co->self.value, v, x = 0;
	int ret;

	v = how | VALUE(STEP(before) + 1, random, STEP(before) ? ARG(before) : arg, row);
	ret = bpf_costack_resume(co, v, &x);
	if (ret >= 0 && !(ret == COSTACK_DONE && IS_EARLY(x))) {
		EXPECT((ret == COSTACK_DONE) == IS_LAST(v), event, ret, v);
		EXPECT(x == expected(co->self.id, v, before), result, x, v);
	}
	if (ret == COSTACK_DONE && !how && random >> 60 < 4)
		check_finished(co, row);
	return check_event(ret, row, how ? OP_resume_shared : OP_resume);
}

static __always_inline struct costack_co *spawn(const int kind, u32 id, u64 arg, u64 random)
{
	if (kind == SLEEPABLE)
		return bpf_costack_spawn_sleepable(id, arg);
	if (kind == IN_NET && random & 1)
		return bpf_costack_spawn(id, arg);
	return bpf_costack_spawn_nolock(id, arg);
}

static __always_inline void do_spawn(const int kind, u32 row, u64 random)
{
	u32 what = random % 16, id = dense_id, i = (random >> 40) % NR_SLOTS;
	u64 arg = random >> 32 & 15;
	bool later = random >> 60 == 0, useful = true;
	struct costack_co *co;

	if (what < 3)
		id = own_id;
	else if (what == 3)
		id = deep_id;
	else if (what < 6)
		id = caller_id;
	else if (what < 9)
		id = adder_id;
	else if (what < 11)
		id = reader_id;
	/* Whoever runs it first, if not we, knows of no argument. */
	if (later)
		arg = 0;
	co = spawn(kind, id, arg, random >> 5);
	count(row, id == own_id ? OP_spawn_private : OP_spawn, !co);
	if (!co)
		return;
	check_state(co, COSTACK_NEW, row);
	EXPECT(!co->self.value, state, co->self.value, 0);
	if (id == reader_id) {
		put_co(&readers, co, i % NR_SHARED, true, row);
		return;
	}
	if (!later)
		useful = resume(co, row, arg, mix(random), 0) && co->self.value;
	put_co(&slots, co, i, useful, row);
}

__noinline int resume_one(u32 row, u64 random)
{
	struct costack_co *co = take_co(&slots, random % NR_SLOTS);

	if (co)
		put_co(&slots, co, (random >> 8) % NR_SLOTS, resume(co, row, 0, mix(random), 0), row);
	return 0;
}

/* In several slots: others run it at the same time. */
__noinline int share_one(u32 row, u64 random)
{
	struct costack_co *co = take_co(&shared, random % NR_SHARED);

	if (!co)
		co = take_co(&slots, (random >> 16) % NR_SLOTS);
	if (!co)
		return 0;
	put_co(&shared, bpf_costack_co_acquire(co), (random >> 8) % NR_SHARED, true, row);
	count(row, OP_co_acquire, 0);
	put_co(&shared, co, random % NR_SHARED, resume(co, row, 0, mix(random), SHARED), row);
	return 0;
}

/* End one, or let go of it as it is. */
__noinline int end_one(u32 row, u64 random)
{
	struct costack_co *co = take_co(&slots, random % NR_SLOTS);
	int ret = -ESTALE;

	if (!co)
		return 0;
	if (random >> 32 & 1) {
		ret = bpf_costack_cancel(co);
		if (row != ROW_NMI)
			count(row, OP_cancel, ret);
		EXPECT(row == ROW_NMI ? ret == -EOPNOTSUPP :
		       !ret || ret == -EBUSY || ret == -ESTALE, answer, OP_cancel, ret);
		if (!ret)
			check_finished(co, row);
	}
	put_co(&slots, co, (random >> 8) % NR_SLOTS, ret && ret != -ESTALE, row);
	return 0;
}

/* Return: is it still of use? */
static __always_inline bool check_reader(struct costack_co *co, int ret, u64 x, u32 row, u32 op)
{
	EXPECT(ret < 0 || ret == COSTACK_READING || IS_EARLY(x) ||
	       x == reader_result(co->self.id, x), result, x, ret);
	return check_event(ret, row, op);
}

__noinline int message_one(u32 row, u64 random)
{
	struct costack_co *co = take_co(&readers, random % NR_SHARED);
	u8 bytes[128], b = (row ?: ROW_PROCESS) | (random >> 32 & 8);
	u64 x = 0;
	int ret;

	if (!co)
		return 0;
	__builtin_memset(bytes, STRESS_BYTE(b), sizeof(bytes));
	ret = bpf_costack_resume_mem(co, bytes, (random >> 40) % sizeof(bytes), &x);
	put_co(&readers, co, (random >> 8) % NR_SHARED,
	       check_reader(co, ret, x, row, OP_resume_mem), row);
	return 0;
}

/* Elements that come and go with what is in them. */
static __always_inline int in_map(void *map, u32 in, u32 update, u32 row, u64 random)
{
	u32 key = random % (2 * NR_KEYS), from = (random >> 16) % NR_SLOTS;
	struct slot empty = {};
	struct costack_co *co;
	struct costack *cs;

	if (row == ROW_NMI)
		return 0;
	if (random >> 32 & 1) {
		cs = take_cs(map, key);
		if (cs) {
			check_stack(cs, in, row);
			drop_cs(cs, row);
		}
		co = take_co(map, key);
		if (co)
			put_co(&slots, co, from, resume(co, row, 0, mix(random), 0), row);
	}
	if (random >> 33 & 1)
		count(row, OP_map_delete, bpf_map_delete_elem(map, &key));
	count(row, update, bpf_map_update_elem(map, &key, &empty, BPF_NOEXIST));
	cs = take_cs(&slots, from);
	if (cs) {
		check_stack(cs, from, row);
		put_cs(map, cs, key, in, row, random);
	}
	co = take_co(&slots, (random >> 24) % NR_SLOTS);
	if (co)
		put_co(map, co, key, true, row);
	return 0;
}

__noinline int in_hash(u32 row, u64 random)
{
	return in_map(&hash, IN_HASH, OP_hash_update, row, random);
}

__noinline int in_lru(u32 row, u64 random)
{
	return in_map(&lru, IN_LRU, OP_lru_update, row, random);
}

static __always_inline void counters(u32 row, u32 id)
{
	EXPECT((bpf_costack_counter(id) == -EINVAL) == (id == COSTACK_CNT_MAX), answer, OP_counter, id);
	count(row, OP_counter, 0);
}

/* Programs */

static __always_inline void work(const int kind, u32 row, u32 worker, u32 round, u32 ops)
{
	u64 next = mix(seed ^ (u64)worker << 32 ^ round), random;
	u32 i, what;

	bpf_for(i, 0, ops) {
		if (stop)
			break;
		next = mix(next);
		random = mix(~next);
		what = next >> 59;
		if (what < 7)
			do_alloc(kind, row, random);
		else if (what < 12)
			move_stack(row, random);
		else if (what < 14)
			share_stack(row, random);
		else if (what < 17)
			do_spawn(kind, row, random);
		else if (what < 24)
			resume_one(row, random);
		else if (what < 25)
			end_one(row, random);
		else if (what < 27)
			share_one(row, random);
		else if (what < 29)
			message_one(row, random);
		else if (what < 30)
			in_hash(row, random);
		else if (what < 31)
			in_lru(row, random);
		else
			counters(row, random % (COSTACK_CNT_MAX + 1));
	}
}

SEC("syscall")
int sleepable(struct stress_run *run)
{
	work(SLEEPABLE, ROW_SLEEPABLE, run->worker, run->round, run->ops);
	return 0;
}

/* One of our packets: work, and let others read it. */
#define NET(kind, ctx, run)							\
({										\
	u64 __random = mix(seed ^ ~((u64)(run).worker << 32 | (run).round)), __x = 0; \
	u32 __off = STRESS_OFFSET + sizeof(run) + __random % 190, __i;		\
	u32 __len = (__random >> 16) % 64;					\
	bool __beyond = __random >> 60 == 0;					\
	struct costack_co *__co;						\
	int __ret;								\
										\
	work(IN_NET, (run).row, (run).worker, (run).round, (run).ops);		\
	if (__beyond)								\
		__off = STRESS_PACKET - __len + 1;				\
	bpf_for(__i, 0, 8) {							\
		__co = take_co(&readers, (__random + __i) % NR_SHARED);		\
		if (!__co)							\
			continue;						\
		__ret = bpf_costack_resume_##kind(__co, ctx, __off, __len, &__x); \
		put_co(&readers, __co, (__random + __i) % NR_SHARED,		\
		       __ret == -EINVAL ? __beyond :				\
		       check_reader(__co, __ret, __x, (run).row, OP_resume_##kind), \
		       (run).row);						\
		if (__ret == -EINVAL)						\
			EXPECT(__beyond, answer, OP_resume_##kind, __ret);	\
	}									\
})

#define IS_OURS(kind, ctx, run)							\
	(!bpf_##kind##_load_bytes(ctx, STRESS_OFFSET, &(run), sizeof(run)) &&	\
	 (run).magic == STRESS_MAGIC && (run).row <= ROW_SOFTIRQ)

/* Every other packet is the other's. They go no further. */
SEC("xdp")
int net_xdp(struct xdp_md *ctx)
{
	struct stress_run run;

	if (!IS_OURS(xdp, ctx, run) || run.round & 1)
		return XDP_PASS;
	NET(xdp, ctx, run);
	return XDP_DROP;
}

SEC("tcx/ingress")
int net_skb(struct __sk_buff *ctx)
{
	struct stress_run run;

	if (!IS_OURS(skb, ctx, run))
		return -1;	/* TCX_NEXT */
	NET(skb, ctx, run);
	return 2;		/* TCX_DROP */
}

/* On a slow machine there is always the next interrupt already. */
static __always_inline void interrupt(u32 row)
{
	u32 cpu = bpf_get_smp_processor_id() % STRESS_CPUS;
	u64 start = bpf_ktime_get_ns(), end;

	if (start < not_before[cpu])
		return;
	work(ANYWHERE, row, 1000 * row + cpu, __sync_fetch_and_add(&rounds[cpu], 1), 12);
	end = bpf_ktime_get_ns();
	not_before[cpu] = end + 4 * (end - start);
}

SEC("perf_event")
int hardirq(void *ctx)
{
	interrupt(ROW_HARDIRQ);
	return 0;
}

SEC("tp_btf/nmi_handler")
int nmi(void *ctx)
{
	interrupt(ROW_NMI);
	return 0;
}

/* At a quiet point: give back what the slots hold. Return: how many. */
SEC("syscall")
int drain(void *ctx)
{
	struct costack_co *co;
	struct costack *cs;
	u32 i, n = 0;

	bpf_for(i, 0, NR_SLOTS) {
		cs = take_cs(&slots, i);
		if (cs) {
			check_stack(cs, i, ROW_PROCESS);
			drop_cs(cs, ROW_PROCESS);
			n++;
		}
		co = take_co(&slots, i);
		if (co) {
			drop_co(co, ROW_PROCESS);
			n++;
		}
	}
	return n;
}
