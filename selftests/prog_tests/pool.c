// SPDX-License-Identifier: GPL-2.0
/* The pool from outside: reserve, limit, what goes back to the kernel and when. */
#include <sched.h>
#include <unistd.h>

#include "stacks.h"

#define TRIM_MS	1000	/* the default */

static long long nodes(void)
{
	struct class_stats class;

	/* At load each node has the reserve. */
	class_read("kmalloc", 512, &class);
	return class.reserve ? max(class.target / class.reserve, 1) : 1;
}

/* The rows of debugfs' classes: each kind of memory has its smallest size first. */
static const struct {
	const char *backing;
	long long size;
	int sizes;
} kinds[] = { { "kmalloc", 512, 8 }, { "guard", 4096, 5 }, { "coroutine", 512, 4 } };

#define RESERVES "reserve=1,2,3,4,5,6,7,8 guard_reserve=9 co_reserve=10"

/* As many as were asked for, no more and no less, in each class. */
TEST(pool_reserve, .params = RESERVES " trim_ms=600000")
{
	struct class_stats classes[NR_CLASSES];
	int i, kind = 0, nth = 0, n = classes_read(classes);
	long long want;

	ASSERT_EQ(n, NR_KINDS);
	for (i = 0; i < n; i++, nth++) {
		if (nth == kinds[kind].sizes) {
			kind++;
			nth = 0;
		}
		want = kind == 0 ? nth + 1 : 8 + kind;
		ASSERT_STR(classes[i].backing, kinds[kind].backing);
		ASSERT_EQ(classes[i].size, kinds[kind].size << nth);
		ASSERT_EQ(classes[i].reserve, want);
		ASSERT_EQ(classes[i].cached_depot % want, 0);
		ASSERT_EQ(classes[i].cached_depot, classes[i].target);
		ASSERT_EQ(classes[i].cached_cpu, 0);
		ASSERT_EQ(classes[i].obtained, classes[i].cached_depot);
		ASSERT_EQ(classes[i].refilled, classes[i].obtained);
		ASSERT_EQ(classes[i].magazine, max(4, min(32, 262144 / classes[i].size)));
	}
}

/*
 * Nothing in reserve: who may not obtain memory has to go without, which is counted,
 * and the worker sees to it that the next one need not.
 */
TEST(pool_empty, .params = "reserve=0,0,0,0,0,0,0,0 guard_reserve=0 trim_ms=600000")
{
	struct stacks *skel = stacks__open_and_load();
	const struct {
		u32 mode, size;
		u64 flags;
	} none[] = {
		{ MODE_NOLOCK, 65536, 0 },
		{ MODE_NOLOCK, 16384, 0 },
		{ MODE_NOLOCK, 4096, COSTACK_F_GUARD },
		{ MODE_ATOMIC, 65536, COSTACK_F_GUARD },
		/* The class of the first one: by now the worker has refilled it. */
	};
	struct stats before, after;
	struct stack_args a;
	unsigned int i;
	long long end;

	if (!ASSERT_PTR(skel))
		return;
	for (i = 0; i < ARRAY_SIZE(none); i++) {
		stats_read(&before);
		a = stacks_do(skel, take, .mode = none[i].mode, .size = none[i].size,
			      .flags = none[i].flags);
		stats_read(&after);
		ASSERT_EQ(a.done, 0);
		ASSERT_EQ(after.fail_empty - before.fail_empty, 1);
		ASSERT_EQ(after.live, before.live);
		end = now_ms() + PATIENCE_MS;
		do {
			sleep_ms(1);
			a = stacks_do(skel, take, .mode = none[i].mode, .size = none[i].size,
				      .flags = none[i].flags);
		} while (!a.done && now_ms() < end);
		ASSERT_EQ(a.done, 1);
		stacks_do(skel, put);
	}
	/* Those who may obtain are not refused. */
	ASSERT_EQ(stacks_do(skel, take, .mode = MODE_ATOMIC, .size = 32768).done, 1);
	stacks_do(skel, put);
	for (i = 512; i <= 65536; i *= 2) {
		ASSERT_EQ(stacks_do(skel, take, .mode = MODE_SLEEPABLE, .size = i).done, 1);
		ASSERT_EQ(stacks_do(skel, take, .mode = MODE_SLEEPABLE, .size = i,
				    .flags = COSTACK_F_GUARD).done, 1);
	}
	stacks__destroy(skel);
}

/* The books of all classes, and the one figure that the limit is compared with. */
static void check_bytes(struct stacks *skel, const struct stats *s)
{
	ASSERT_EQ(stacks_do(skel, counter, .off = COSTACK_CNT_BYTES).result,
		  s->obtained_bytes - s->returned_bytes);
	ASSERT_EQ(s->live_bytes + s->cached_bytes, s->obtained_bytes - s->returned_bytes);
	ASSERT_LE(s->obtained_bytes - s->returned_bytes, s->limit_bytes);
}

/* Read the figures when the worker, which fills up to the limit as well, is done. */
static void stats_read_quiet(struct stats *s)
{
	*s = wait_still();
}

/* Half of the reserves, so that those of two nodes fit. */
#define LIMITED "limit_mb=8 trim_ms=600000 reserve=32,32,32,32,32,32,16,8 guard_reserve=4 co_reserve=32"

/* The limit is exact, says why, and holds for each way to allocate. */
TEST(pool_limit, .params = LIMITED)
{
	struct stacks *skel = stacks__open_and_load();
	long long nr_nodes = nodes();
	const u32 n = 400;
	struct stats before, after;
	struct stack_args a;
	int i;

	if (!ASSERT_PTR(skel))
		return;
	stats_read(&before);
	ASSERT_EQ(before.limit_bytes, 8 << 20);
	a = stacks_do(skel, take, .mode = MODE_SLEEPABLE, .size = 65536, .count = n);
	stats_read_quiet(&after);
	check_bytes(skel, &after);
	ASSERT_LT(a.done, n);
	ASSERT_EQ(after.live, a.done);
	ASSERT_EQ(after.fail_limit - before.fail_limit, n - a.done);
	ASSERT_EQ(after.fail_nomem + after.fail_empty, before.fail_nomem + before.fail_empty);
	/*
	 * Not one more fits. The worker may have tried for the last one at the same time,
	 * so that neither had it; when it is done, it is to be had.
	 */
	for (i = 0; i < 20; i++) {
		stats_read_quiet(&after);
		if (after.obtained_bytes - after.returned_bytes > after.limit_bytes - 65536)
			break;
		stacks_do(skel, take, .mode = MODE_SLEEPABLE, .size = 65536, .slot = n + i);
	}
	check_bytes(skel, &after);
	ASSERT_GT(after.obtained_bytes - after.returned_bytes, after.limit_bytes - 65536);
	test_note("limit %lld: %u stacks of 65536 held, %lld bytes in all", after.limit_bytes,
		  a.done, after.obtained_bytes - after.returned_bytes);

	/* Guarded memory counts just the same, and so does that of the network path. */
	before = after;
	a = stacks_do(skel, take, .mode = MODE_SLEEPABLE, .size = 65536,
		      .flags = COSTACK_F_GUARD, .slot = 1000, .count = 50);
	stats_read_quiet(&after);
	check_bytes(skel, &after);
	ASSERT_EQ(after.fail_limit - before.fail_limit, 50 - a.done);
	ASSERT_LE(a.done, 4 * nr_nodes);	/* the reserve */
	before = after;
	a = stacks_do(skel, take, .mode = MODE_ATOMIC, .size = 32768, .slot = 2000, .count = 200);
	stats_read_quiet(&after);
	check_bytes(skel, &after);
	ASSERT_EQ(after.fail_limit - before.fail_limit, 200 - a.done);

	/* What is given back can be had again. */
	a = stacks_do(skel, put, .count = 1);
	ASSERT_EQ(a.done, 1);
	ASSERT_EQ(stacks_do(skel, take, .mode = MODE_SLEEPABLE, .size = 65536).done, 1);
	stacks__destroy(skel);
}

/* What is cached of each class: not below the floor, not a magazine above it. */
static bool at_floor(long long nr_nodes)
{
	struct class_stats classes[NR_CLASSES];
	int i, n = classes_read(classes);
	long long cached;

	for (i = 0; i < n; i++) {
		cached = classes[i].cached_cpu + classes[i].cached_depot;
		if (cached < classes[i].reserve * nr_nodes ||
		    cached > (classes[i].reserve + classes[i].magazine - 1) * nr_nodes)
			return false;
	}
	return n == NR_KINDS;
}

/* A hundred times the reserve, and it is over: within two periods it is all back. */
TEST(pool_trim)
{
	struct stacks *skel = stacks__open_and_load();
	struct stats before, after;
	struct stack_args a;
	long long start, ms, turn, late = 0, nr_nodes = nodes();

	if (!ASSERT_PTR(skel))
		return;
	a = stacks_do(skel, take, .size = 2048, .count = 6400);
	ASSERT_EQ(a.done, 6400);
	a = stacks_do(skel, take, .size = 4096, .flags = COSTACK_F_GUARD, .slot = 6400,
		      .count = 800);
	ASSERT_EQ(a.done, 800);
	stats_read(&before);
	ASSERT_EQ(before.live, 7200);
	a = stacks_do(skel, put, .count = 7200);
	start = now_ms();
	ASSERT_EQ(a.done, 7200);
	stats_read(&after);
	ASSERT_GE(after.cached, 7200);
	test_note("after the spike: %lld bytes cached", after.cached_bytes);
	while (!at_floor(nr_nodes) && now_ms() - start < PATIENCE_MS) {
		turn = now_ms();
		sleep_ms(10);
		/* A machine that has no time for us has none for the worker. */
		late += max(now_ms() - turn - 20, 0);
	}
	ms = now_ms() - start;
	ASSERT_TRUE(at_floor(nr_nodes));
	ASSERT_LE(ms - late, (slow_kernel() ? 10 : 2) * TRIM_MS + 300);
	/* The worker counts what it trimmed when it is through. */
	stats_read_quiet(&after);
	ASSERT_GE(after.trimmed - before.trimmed, 7200 - NR_KINDS * 32);
	ASSERT_EQ(after.trimmed - before.trimmed, after.returned - before.returned);
	check_bytes(skel, &after);
	test_note("at the floor after %lld ms (period %d ms, machine late %lld ms): %lld bytes cached",
		  ms, TRIM_MS, late, after.cached_bytes);
	stacks__destroy(skel);
}

/* Memory pressure: what is above the floor goes at once; guarded memory waits for its age. */
TEST(pool_shrinker, .params = "trim_ms=600000")
{
	struct stacks *skel = stacks__open_and_load();
	struct class_stats before, after, guard;
	long long end = now_ms() + PATIENCE_MS, nr_nodes = nodes(), floor, most;
	struct stack_args a;
	int i;

	if (!ASSERT_PTR(skel))
		return;
	a = stacks_do(skel, take, .size = 2048, .count = 3200);
	ASSERT_EQ(a.done, 3200);
	a = stacks_do(skel, take, .size = 4096, .flags = COSTACK_F_GUARD, .slot = 6400,
		      .count = 400);
	ASSERT_EQ(a.done, 400);
	pin_to_cpu(0);
	stacks_do(skel, put, .count = 7200);
	wait_quiet();
	class_read("kmalloc", 2048, &before);
	floor = before.reserve * nr_nodes;
	most = (before.reserve + before.magazine - 1) * nr_nodes;
	ASSERT_GE(before.cached_depot, 3200 - 2 * before.magazine);
	/* The pool's worker may be trimming, or another shrinker's turn be longer. */
	do {
		sleep_ms(10);
		ASSERT_OK(write_file("/proc/sys/vm/drop_caches", "2"));
		class_read("kmalloc", 2048, &after);
	} while (after.cached_depot > most && now_ms() < end);
	wait_quiet();
	class_read("kmalloc", 2048, &after);
	ASSERT_LE(after.cached_depot, most);
	ASSERT_GE(after.cached_depot, floor);
	ASSERT_EQ(after.cached_cpu, before.cached_cpu);
	ASSERT_EQ(after.trimmed - before.trimmed, after.returned - before.returned);
	ASSERT_EQ((after.returned - before.returned) - (after.obtained - before.obtained),
		  before.cached_depot - after.cached_depot);
	class_read("guard", 4096, &guard);
	ASSERT_EQ(guard.trimmed, 0);
	test_note("depot of 2048 bytes: %lld before, %lld after drop_caches, floor %lld",
		  before.cached_depot, after.cached_depot, floor);

	/* Nor does the next one who takes a stack have the worker bring the spike back. */
	stacks_do(skel, take, .size = 2048, .count = 96);
	sleep_ms(100);
	wait_quiet();
	class_read("kmalloc", 2048, &after);
	ASSERT_LE(after.cached_depot, floor + 2 * after.magazine * nr_nodes);
	stacks_do(skel, put, .count = 96);

	/* Again: nothing goes below the floor. */
	for (i = 0; i < 5; i++)
		ASSERT_OK(write_file("/proc/sys/vm/drop_caches", "2"));
	class_read("kmalloc", 2048, &after);
	ASSERT_LE(after.cached_depot, most);
	ASSERT_GE(after.cached_depot, floor);
	stacks__destroy(skel);
}

/* A dead CPU keeps nothing. */
TEST(pool_hotplug, .cpus = 2, .params = "trim_ms=600000")
{
	struct stacks *skel = stacks__open_and_load();
	struct class_stats before[NR_CLASSES], after[NR_CLASSES];
	long long had = 0, want = 0;
	cpu_set_t all;
	int i, n;

	if (!ASSERT_PTR(skel))
		return;
	if (access("/sys/devices/system/cpu/cpu1/online", W_OK)) {
		test_skip("CPU 1 cannot be taken offline");
		goto out;
	}
	sched_getaffinity(0, sizeof(all), &all);
	/* Fill CPU 1's magazines, both of each class, from the reserve alone. */
	pin_to_cpu(1);
	n = classes_read(before);
	for (i = 0; i < 8; i++) {
		want += 2 * before[i].magazine;
		stacks_do(skel, take, .size = before[i].size, .count = 2 * before[i].magazine);
		stacks_do(skel, put, .count = 2 * before[i].magazine);
	}
	sched_setaffinity(0, sizeof(all), &all);
	pin_to_cpu(0);
	wait_quiet();
	ASSERT_EQ(classes_read(before), n);
	for (i = 0; i < n; i++)
		had += before[i].cached_cpu;
	ASSERT_EQ(had, want);
	ASSERT_OK(write_file("/sys/devices/system/cpu/cpu1/online", "0"));
	ASSERT_EQ(classes_read(after), n);
	for (i = 0; i < n; i++) {
		ASSERT_EQ(after[i].cached_cpu, 0);
		ASSERT_EQ(after[i].cached_depot, before[i].cached_cpu + before[i].cached_depot);
		ASSERT_EQ(after[i].returned, before[i].returned);
	}
	test_note("%lld stacks were in the magazines of CPU 1", had);
	ASSERT_OK(write_file("/sys/devices/system/cpu/cpu1/online", "1"));
	/* They can be had again, by the CPU that is back, too. */
	pin_to_cpu(1);
	ASSERT_EQ(stacks_do(skel, take, .mode = MODE_NOLOCK, .size = 65536, .count = 16).done, 16);
out:
	stacks__destroy(skel);
}
