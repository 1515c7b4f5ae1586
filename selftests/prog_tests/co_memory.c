// SPDX-License-Identifier: GPL-2.0
/* Memory of coroutines: when there is none, and what of it others see. */
#include <sys/syscall.h>
#include <unistd.h>

#include "co.h"
#include "progs/co_memory.h"
#include "co_memory.skel.h"

static struct co_memory *load(bool attach)
{
	struct co_memory *skel = co_memory__open();

	if (!ASSERT_PTR(skel))
		return NULL;
	skel->rodata->callee_number = co_type(skel, callee);
	if (!ASSERT_OK(co_memory__load(skel)) ||
	    (attach && !ASSERT_OK(co_memory__attach(skel)))) {
		co_memory__destroy(skel);
		return NULL;
	}
	skel->bss->watched = syscall(SYS_gettid);
	pin_to_cpu(0);
	return skel;
}

/*
 * A wait that must keep more than there is room for, and no memory is to be had: it says
 * so, and nothing else has happened.
 */

/* All the memory that there may be; also what the refill worker was about to take. */
static void take_all(struct co_memory *skel)
{
	u32 size, n;

	do {
		n = 0;
		for (size = COSTACK_SIZE_MAX; size >= COSTACK_SIZE_MIN; size /= 2)
			n += co_do(skel, take, .len = size, .count = NR_KEPT).ret;
		sleep_ms(20);
	} while (n);
}

static long long failures(const struct stats *stats)
{
	return stats->fail_limit + stats->fail_nomem + stats->fail_empty;
}

/* One run, in which each wait fails, or none does. */
static void starve(struct co_memory *skel, u32 slot, bool private)
{
	struct stats before, after;
	struct co_args a;
	int i;

	memset(skel->bss->deep_ret, 0x55, sizeof(skel->bss->deep_ret));
	stats_read(&before);
	a = co_do(skel, resume, .slot = slot);
	ASSERT_EQ(a.ret, COSTACK_YIELDED);
	if (private) {
		ASSERT_EQ(a.result, 9);
		return;
	}
	ASSERT_EQ(a.result, STARVED);
	stats_read(&after);
	for (i = 0; i < NR_DEEP; i++)
		ASSERT_EQ(skel->bss->deep_ret[i], -ENOMEM);
	/* The one that was called, did not run. */
	ASSERT_EQ(skel->bss->callee_state, COSTACK_NEW);
	ASSERT_EQ(after.co_resumed - before.co_resumed, 1);
	/* Each is counted, where it is for want of memory that one asks. */
	ASSERT_EQ(failures(&after) - failures(&before), NR_DEEP);
	ASSERT_EQ(after.live, before.live);
	ASSERT_EQ(after.allocs, before.allocs);
}

/* Each wait waits, from the first one on, which is resumed already. */
static void feed(struct co_memory *skel, u32 slot)
{
	struct co_args a;
	int i;

	for (i = DEEP_READ; i <= DEEP_SKIP; i++) {
		a = co_do(skel, message, .slot = slot, .len = i == DEEP_READ ? 0 : 1);
		ASSERT_EQ(a.ret, COSTACK_READING);
	}
	a = co_do(skel, message, .slot = slot, .len = 1);
	ASSERT_EQ(a.ret, COSTACK_YIELDED);
	ASSERT_EQ(a.result, STARVED);
	ASSERT_EQ(skel->bss->deep_ret[DEEP_YIELD], 0);
	ASSERT_EQ(skel->bss->deep_ret[DEEP_READ], 0);
	ASSERT_EQ(skel->bss->deep_ret[DEEP_READ_SOME], 1);
	ASSERT_EQ(skel->bss->deep_ret[DEEP_SKIP], 0);
	ASSERT_EQ(skel->bss->deep_ret[DEEP_CALL], 7);
	ASSERT_EQ(skel->bss->callee_state, COSTACK_SUSPENDED);
}

TEST(co_no_memory, .params = "limit_mb=1 guard_reserve=0 co_reserve=0 reserve=0,0,0,0,0,0,0,0 trim_ms=600000")
{
	struct co_memory *skel = load(true);
	struct stats stats;
	struct co_args a;
	int i;

	if (!skel)
		return;
	for (i = 0; i < 3; i++)
		ASSERT_EQ(co_spawn(skel, starving, i, 0), 1);
	ASSERT_EQ(co_spawn(skel, starving_own, 3, 0), 1);
	/* Of coroutines to be called there are some in the pool, since these end. */
	for (i = 4; i < 8; i++)
		ASSERT_EQ(co_spawn(skel, callee, i, 0), 1);
	for (i = 4; i < 8; i++)
		ASSERT_EQ(co_do(skel, release, .slot = i).ret, 1);
	for (i = 0; i < 4; i++) {
		a = co_do(skel, resume, .slot = i);
		ASSERT_EQ(a.ret, COSTACK_YIELDED);
		ASSERT_EQ(a.result, STARVED);
	}
	/* One of the size that they will want is to be given back. */
	ASSERT_EQ(co_do(skel, take, .len = 1024).ret, 1);
	take_all(skel);
	stats_read(&stats);
	ASSERT_GT(stats.obtained_bytes - stats.returned_bytes, stats.limit_bytes - 1024);
	ASSERT_LE(stats.obtained_bytes - stats.returned_bytes, stats.limit_bytes);
	/* Again and again */
	for (i = 0; i < 3; i++) {
		starve(skel, 0, false);
		starve(skel, 1, false);
	}
	/* One that has a stack of its own needs none. */
	starve(skel, 3, true);
	feed(skel, 3);
	/* To end, none is needed either. */
	ASSERT_EQ(co_do(skel, cancel, .slot = 1).ret, 0);
	ASSERT_EQ(co_do(skel, state, .slot = 1).ret, COSTACK_FINISHED);
	ASSERT_EQ(co_do(skel, release, .slot = 1).ret, 1);
	/* As soon as there is some, it works. */
	ASSERT_GE(co_do(skel, put, .len = 1024).ret, 1);
	a = co_do(skel, resume, .slot = 0);
	ASSERT_EQ(a.ret, COSTACK_YIELDED);
	ASSERT_EQ(a.result, 9);
	feed(skel, 0);
	/* What has grown stays so: nothing is to be had again. */
	co_do(skel, take, .len = 1024, .count = NR_KEPT);
	a = co_do(skel, resume, .slot = 0);
	ASSERT_EQ(a.result, 9);
	ASSERT_EQ(co_do(skel, cancel, .slot = 0).ret, 0);
	/* The worker ends the one that it called. */
	ASSERT_TRUE(wait_coroutines(5));
	/* Without having been cancelled: the last reference goes. */
	starve(skel, 2, false);
	for (i = 0; i < 4; i++)
		co_do(skel, release, .slot = i);
	ASSERT_TRUE(wait_coroutines(0));
	co_do(skel, put);
	ASSERT_TRUE(wait_live(0));
	stats_read(&stats);
	ASSERT_EQ(stats.allocs, stats.frees);
	co_memory__destroy(skel);
}

/*
 * What was on a body's stack, and in its memory, nobody gets to see: whatever becomes of it
 * reads as zeros. (An execution stack is not cleared for the next body. It may read there
 * what it has not written if it may read all of the kernel's memory, as with any program
 * on the kernel's own stacks; all others the verifier refuses.)
 */

enum end { END_FINISH, END_CANCEL, END_RELEASE };

/* For each kind of stack: one thing, with so many of them. */
#define EACH_KIND(skel, what, _count, sum)					\
	do {									\
		for (size = COSTACK_SIZE_MIN; size <= COSTACK_SIZE_MAX; size *= 2) { \
			sum += co_do(skel, what, .len = size, .count = (_count)).result; \
			if (size >= 4096)					\
				sum += co_do(skel, what, .len = size, .count = (_count), \
					     .arg = COSTACK_F_GUARD).result;	\
		}								\
	} while (0)

/*
 * @clean: of the stacks that it gets nothing is known to be written to, so that it is its own
 * doing that they are zeros again.
 */
static void leave_nothing(struct co_memory *skel, u32 type, u32 frame, enum end end, bool clean)
{
	u64 dirty = 0;
	struct co_args a;
	u32 size, had;
	int cpu;

	/* Stacks, for the coroutine's memory to be of */
	skel->bss->whose = LOOKERS;
	skel->bss->nr_kept = 0;
	EACH_KIND(skel, paint, 2, dirty);
	co_do(skel, put);
	if (clean) {
		EACH_KIND(skel, take, 2, dirty);
		co_do(skel, put);
	}
	skel->bss->whose = COROUTINES;
	skel->bss->had = 0;
	skel->bss->seen_again = 0;
	ASSERT_EQ(co_do(skel, spawn, .type = type, .arg = frame).ret, 1);
	a = co_do(skel, resume);
	ASSERT_EQ(a.ret, COSTACK_YIELDED);
	ASSERT_EQ(a.result, 0);			/* words of its memory that were not */
	a = co_do(skel, resume);
	ASSERT_EQ(a.ret, COSTACK_YIELDED);
	ASSERT_EQ(a.result, PATTERN);		/* it is on the stack now */
	if (end == END_FINISH)
		ASSERT_EQ(co_do(skel, resume).ret, COSTACK_DONE);
	if (end == END_CANCEL)
		ASSERT_EQ(co_do(skel, cancel).ret, 0);
	ASSERT_EQ(co_do(skel, release).ret, 1);
	ASSERT_TRUE(wait_coroutines(0));
	/* It had what stacks were: its memory; and its own stack, or what that was kept in. */
	had = skel->bss->had;
	ASSERT_EQ(had, !!frame + 1);
	ASSERT_EQ(skel->bss->seen_again, had);
	/* And stacks have what was its; the worker that frees it is on any CPU. */
	skel->bss->whose = LOOKERS;
	skel->bss->seen_again = 0;
	for (cpu = 0; cpu < (end == END_RELEASE ? nr_cpus() : 1); cpu++) {
		pin_to_cpu(cpu);
		EACH_KIND(skel, look, 2, dirty);
	}
	pin_to_cpu(0);
	ASSERT_EQ(dirty, 0);
	ASSERT_EQ(skel->bss->seen_again, had);
	skel->bss->whose = NOBODY;
	co_do(skel, put);
}

static void leave_nothing_by(struct co_memory *skel, struct bpf_map *ops, u32 type, u32 frame,
			     const char *name, enum end end)
{
	static const char * const how[] = { "finished", "cancelled", "released" };
	struct bpf_link *link;
	int clean;

	if (!subtest_begin("%s_%s", name, how[end]))
		return;
	for (clean = 0; clean < 2; clean++) {
		/* A type of its own, so that it is not known how much it keeps. */
		link = bpf_map__attach_struct_ops(ops);
		if (!ASSERT_PTR(link))
			break;
		leave_nothing(skel, type, frame, end, clean);
		bpf_link__destroy(link);
	}
	subtest_end();
}

#define LEAVE_NOTHING(skel, name, frame)					\
	do {									\
		for (end = END_FINISH; end <= END_RELEASE; end++)		\
			leave_nothing_by(skel, (skel)->maps.name##_ops, co_type(skel, name), \
					 frame, #name, end);			\
	} while (0)

/* The trim worker must not take away what is looked for. */
TEST(co_zeroing, .params = "trim_ms=600000")
{
	struct co_memory *skel = load(false);
	enum end end;

	if (!skel)
		return;
	ASSERT_PTR(skel->links.on_alloc = bpf_program__attach(skel->progs.on_alloc));
	LEAVE_NOTHING(skel, paint_0, 0);
	LEAVE_NOTHING(skel, paint_512, 512);
	LEAVE_NOTHING(skel, paint_1k, 1024);
	LEAVE_NOTHING(skel, paint_4k, 4096);
	LEAVE_NOTHING(skel, paint_64k, 65536);
	LEAVE_NOTHING(skel, paint_own_8k, 2048);
	LEAVE_NOTHING(skel, paint_own_16k, 8192);
	LEAVE_NOTHING(skel, paint_own_64k, 32768);
	co_memory__destroy(skel);
}
