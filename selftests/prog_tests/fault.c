// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation of the module fails in turn, when it is loaded, used and unloaded, and
 * then many at random, in its worker and in interrupts: what was asked for is refused with
 * the documented error, and all is accounted for.
 *
 * By the kernel's fault injection, which counts down the allocations of a task
 * (/proc/thread-self/fail-nth), and looks at the stack to tell those that a module
 * makes from all others. Debian's kernels have none of it; the debug kernel has.
 */
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "co.h"
#include "co.skel.h"
#include "stacks.h"

#define FAILSLAB	"/sys/kernel/debug/failslab/"
#define FAIL_PAGES	"/sys/kernel/debug/fail_page_alloc/"
#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define MODULES_END	"0xffffffffff000000"

#define BARE		"reserve=0,0,0,0,0,0,0,0 guard_reserve=0 co_reserve=0 trim_ms=600000"
#define MANY		20000	/* more than any single operation allocates */
#define SLOTS		32	/* for the stacks of one test; more than it can get */
#define RUN_MS		2000

static bool set_both(const char *name, const char *value)
{
	char slab[96], pages[96];

	snprintf(slab, sizeof(slab), FAILSLAB "%s", name);
	snprintf(pages, sizeof(pages), FAIL_PAGES "%s", name);
	return !write_file(slab, value) && !write_file(pages, value);
}

/* Where modules lie, which have the kernel below them. */
static bool modules_start(char *start, size_t size)
{
	char *text = read_file("/proc/modules"), *p;
	unsigned long long address = 0;

	p = text ? strstr(text, "costack ") : NULL;
	p = p ? strstr(p, " 0x") : NULL;
	if (p)
		address = strtoull(p, NULL, 16);
	free(text);
	snprintf(start, size, "0x%llx", address & ~0x1fffffffULL);
	return ASSERT_TRUE(address >= 0xffffffffa0000000ULL);
}

/* Of allocations with a module on the stack, those that may sleep, too. */
static bool prepare(void)
{
	char start[32];

	if (access(FAILSLAB "require-start", W_OK) || access(FAIL_PAGES "require-start", W_OK) ||
	    access(FAIL_NTH, W_OK)) {
		test_skip("this kernel cannot inject faults: CONFIG_FAULT_INJECTION_STACKTRACE_FILTER");
		return false;
	}
	return modules_start(start, sizeof(start)) &&
	       ASSERT_TRUE(set_both("probability", "0") && set_both("ignore-gfp-wait", "N") &&
			   !write_file(FAIL_PAGES "ignore-gfp-highmem", "N") &&
			   !write_file(FAIL_PAGES "min-order", "0") && set_both("verbose", "0") &&
			   set_both("task-filter", "N") && set_both("stacktrace-depth", "32") &&
			   set_both("require-start", start) &&
			   set_both("require-end", MODULES_END));
}

/* The @n-th allocation from now on fails. */
static void fail_nth(int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", n);
	ASSERT_OK(write_file(FAIL_NTH, text));
}

/*
 * Everybody else's fail, the refill worker's above all, so that the pool stays as empty as
 * it is; those of this thread do not while it counts down.
 */
static void starve(bool on)
{
	if (on)
		fail_nth(1000000);
	ASSERT_TRUE(set_both("times", "-1") && set_both("probability", on ? "100" : "0"));
	if (!on)
		write_file(FAIL_NTH, "0");
}

/* No more of that. Was it reached? */
static bool failed_nth(void)
{
	char *text = read_file(FAIL_NTH);
	bool failed = text && !atoi(text);

	free(text);
	write_file(FAIL_NTH, "1000000");
	return failed;
}

/* What a load that failed, or an unload, leaves of the module. */
static void nothing_remains(void)
{
	glob_t found = {};

	ASSERT_EQ(module_loaded(), false);
	ASSERT_TRUE(access("/sys/kernel/debug/costack", F_OK));
	if (!ASSERT_EQ(glob("/sys/kernel/slab/costack*", 0, NULL, &found), GLOB_NOMATCH))
		test_note("%s", found.gl_pathv[0]);
	globfree(&found);
}

/* ftrace_set_filter() takes the want of memory for that of a function. */
static bool no_filter(int err, const char *log)
{
	return err == -EINVAL && log && strstr(log, "arch_bpf_stack_walk(): error -22");
}

TEST(fault_load)
{
	int klog, n, err, injected = 0, tolerated = 0, step = test_rounds(0) ? 1 : 8;
	bool failed = true;
	char *log;

	if (!prepare())
		return;
	ASSERT_OK(module_unload());
	/* All of them, or what a short run has the time for. */
	for (n = 1; failed && n < MANY; n += n < 40 ? 1 : step) {
		klog = klog_begin();
		fail_nth(n);
		err = module_load("");
		failed = failed_nth();
		write_file(FAIL_NTH, "0");
		log = klog_end(klog);
		injected += failed;
		if (!failed) {
			ASSERT_EQ(err, 0);
		} else if (err) {
			if (!no_filter(err, log) && !ASSERT_EQ(err, -ENOMEM))
				test_note("allocation %d", n);
			free(log);
			nothing_remains();
			continue;
		} else {
			tolerated++;
		}
		free(log);
		/* It does without, or there was nothing to fail any more. */
		ASSERT_TRUE(module_loaded());
		ASSERT_OK(module_unload());
		nothing_remains();
	}
	ASSERT_GT(n, 50);
	ASSERT_LT(n, MANY);
	test_note("%d failures injected; %d of them are done without", injected, tolerated);
	ASSERT_OK(module_load(""));
}

TEST(fault_unload)
{
	struct co *skel;
	int n;

	if (!prepare())
		return;
	for (n = 1; n < 4; n++) {
		skel = co__open_and_load();
		if (!ASSERT_PTR(skel) || !ASSERT_OK(co__attach(skel)))
			return;
		ASSERT_EQ(co_spawn(skel, values, 0, 0), 1);
		co_do(skel, resume);
		co__destroy(skel);
		starve(true);
		fail_nth(n);
		ASSERT_OK(module_unload());
		starve(false);
		nothing_remains();
		ASSERT_OK(module_load(""));
	}
}

static long long refusals(const struct stats *stats)
{
	return stats->fail_nomem + stats->fail_empty;
}

/*
 * One stack, from a pool that has none; the n-th allocation and all after it fail. It is kept,
 * so that the pool has none for the next either.
 *
 * Some the kernel does without: a larger slab, what KASAN and kmemleak note of who asked. With
 * how many, is its affair: each is a failure after which there is a stack, and a whole one.
 */
static void fault_alloc(struct stacks *skel, u32 slot, int mode, u32 size, u64 flags)
{
	struct stats before, after;
	struct stack_args a;
	bool failed = true;
	int n, refused = 0, got = 0;

	for (n = 1; failed && n < MANY; n++) {
		stats_read(&before);
		fail_nth(n);
		a = stacks_do(skel, take, .mode = mode, .size = size, .flags = flags,
			      .slot = slot + got);
		failed = failed_nth();
		stats_read(&after);
		ASSERT_EQ(refusals(&after) - refusals(&before), !a.done);
		ASSERT_EQ(after.live - before.live, a.done);
		refused += failed && !a.done;
		if (!a.done)
			continue;
		ASSERT_EQ(a.usable, size);
		ASSERT_EQ(stacks_do(skel, write_word, .slot = slot + got).done, 1);
		ASSERT_EQ(stacks_do(skel, write_word, .slot = slot + got, .off = size - 8).done, 1);
		got++;
	}
	ASSERT_LT(n, MANY);
	ASSERT_LE(got, SLOTS);
	/*
	 * Where a lock may be held, nobody is asked; nor for a guard, or for more than the
	 * kernel keeps ready, where one cannot sleep. A stack wants a handle, and memory.
	 */
	if (mode == MODE_SLEEPABLE || (mode == MODE_ATOMIC && !flags && size <= 32768)) {
		ASSERT_GE(refused, 2);
		ASSERT_EQ(a.done, 1);
	}
	test_note("%u bytes%s: %d failures injected, %d refused, then %s", size,
		  flags ? ", guarded" : "", n - 2, refused, a.done ? "a stack" : "the pool is empty");
}

/* With nothing in any pool */
static bool bare(void)
{
	return ASSERT_OK(module_unload()) && ASSERT_OK(module_load(BARE)) && prepare();
}

static void fault_stacks(int mode)
{
	static const u32 sizes[] = { 1024, 4096, 16384, 65536 };
	struct stacks *skel;
	u32 i;

	if (!subtest_begin("%s", mode_names[mode]))
		return;
	skel = bare() ? stacks__open_and_load() : NULL;
	if (skel) {
		starve(true);
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			fault_alloc(skel, 2 * SLOTS * i, mode, sizes[i], 0);
			if (sizes[i] >= 4096)
				fault_alloc(skel, (2 * i + 1) * SLOTS, mode, sizes[i],
					    COSTACK_F_GUARD);
		}
		starve(false);
		stacks__destroy(skel);
	}
	subtest_end();
}

TEST(fault_stacks, .params = BARE)
{
	int mode;

	for (mode = MODE_SLEEPABLE; mode <= MODE_NOLOCK; mode++)
		fault_stacks(mode);
	ASSERT_OK(module_unload());	/* the next has a pool as it should be */
}

static struct co *co_open(void)
{
	struct co *skel = co__open();

	if (!ASSERT_PTR(skel))
		return NULL;
	skel->rodata->forever_number = co_type(skel, forever);
	skel->rodata->forever_own_number = co_type(skel, forever_own);
	skel->rodata->chain_number = co_type(skel, chain);
	skel->rodata->values_number = co_type(skel, values);
	if (ASSERT_OK(co__load(skel)))
		return skel;
	co__destroy(skel);
	return NULL;
}

static void fault_type(struct co *skel)
{
	struct bpf_link *link = NULL;
	bool failed = true;
	int n;

	for (n = 1; failed && n < MANY; n++) {
		fail_nth(n);
		link = bpf_map__attach_struct_ops(skel->maps.values_ops);
		failed = failed_nth();
		if (failed && !link)
			ASSERT_EQ(errno, ENOMEM);
		else if (failed)
			bpf_link__destroy(link);
	}
	ASSERT_PTR(link);
	ASSERT_GT(n - 2, 0);
	bpf_link__destroy(link);
	test_note("a type: %d failures injected", n - 2);
}

/* It is kept, too. */
static void fault_spawn(struct co *skel, u32 slot, const char *name, u32 type, int mode)
{
	struct stats before, after;
	bool failed = true;
	int n, done;

	for (n = 1; failed && n < MANY; n++) {
		stats_read(&before);
		fail_nth(n);
		done = co_do(skel, spawn, .type = type, .mode = mode, .slot = slot).ret;
		failed = failed_nth();
		stats_read(&after);
		ASSERT_EQ(after.co_fail_memory - before.co_fail_memory, !done);
		ASSERT_EQ(after.co_spawned - before.co_spawned, done);
		if (!done)
			ASSERT_EQ(after.live, before.live);
		if (done && failed)
			co_do(skel, release, .slot = slot);
	}
	ASSERT_LT(n, MANY);
	if (mode == CO_SLEEPABLE) {
		ASSERT_GT(n - 2, 0);
		ASSERT_EQ(done, 1);
	}
	test_note("%s: %d failures injected, then %s", name, n - 2,
		  done ? "a coroutine" : "the pool is empty");
}

static void fault_coroutines(int mode)
{
	struct co *skel;

	if (!subtest_begin("%s", mode_names[mode]))
		return;
	skel = bare() ? co_open() : NULL;
	if (skel) {
		starve(true);
		fault_type(skel);
		if (ASSERT_OK(co__attach(skel))) {
			fault_spawn(skel, 0, "dense", co_type(skel, values), mode);
			fault_spawn(skel, 1, "private", co_type(skel, forever_own), mode);
			fault_spawn(skel, 2, "with a frame", co_type(skel, framed), mode);
			fault_spawn(skel, 3, "private, with a frame", co_type(skel, framed_own),
				    mode);
		}
		starve(false);
		co__destroy(skel);
	}
	subtest_end();
}

TEST(fault_coroutines, .params = BARE)
{
	int mode;

	for (mode = CO_SLEEPABLE; mode <= CO_NOLOCK; mode++)
		fault_coroutines(mode);
	ASSERT_OK(module_unload());
}

#define FAIL_FUNCTION	"/sys/kernel/debug/fail_function/"

/* What asks the kernel fails itself, so that the allocator that takes no lock is seen to, too. */
TEST(fault_function, .params = BARE)
{
	struct stats before, after;
	struct stacks *skel;
	int mode;

	if (access(FAIL_FUNCTION "inject", W_OK)) {
		test_skip("this kernel cannot make functions fail: CONFIG_FAIL_FUNCTION");
		return;
	}
	skel = stacks__open_and_load();
	if (!ASSERT_PTR(skel))
		return;
	ASSERT_OK(write_file(FAIL_FUNCTION "inject", "costack_backing_obtain"));
	ASSERT_OK(write_file(FAIL_FUNCTION "costack_backing_obtain/retval", "0"));
	ASSERT_OK(write_file(FAIL_FUNCTION "verbose", "0"));
	ASSERT_OK(write_file(FAIL_FUNCTION "times", "-1"));
	ASSERT_OK(write_file(FAIL_FUNCTION "probability", "100"));
	for (mode = MODE_SLEEPABLE; mode <= MODE_NOLOCK; mode++) {
		stats_read(&before);
		ASSERT_EQ(stacks_do(skel, take, .mode = mode, .size = 2048, .count = 10).done, 0);
		stats_read(&after);
		ASSERT_EQ(refusals(&after) - refusals(&before), 10);
	}
	wait_quiet();
	stats_read(&after);
	ASSERT_EQ(after.obtained, 0);
	ASSERT_OK(write_file(FAIL_FUNCTION "probability", "0"));
	ASSERT_OK(write_file(FAIL_FUNCTION "inject", "!costack_backing_obtain"));
	ASSERT_EQ(stacks_do(skel, take, .size = 2048, .count = 10).done, 10);
	stacks__destroy(skel);
	ASSERT_OK(module_unload());
}

static volatile bool stop;

static void *worker(void *arg)
{
	struct stacks *skel = arg;
	static int nr;
	int me = __atomic_fetch_add(&nr, 1, __ATOMIC_RELAXED), i;

	for (i = 0; !stop; i++) {
		struct stack_args a = {
			.mode = i % 3, .size = 1024 << (i / 3 % 7), .slot = 512 * (me % 8),
			.flags = i % 5 ? 0 : COSTACK_F_GUARD, .count = 16,
		};

		prog_run(skel->progs.take, &a, sizeof(a), NULL);
		prog_run(i % 2 ? skel->progs.put : skel->progs.cycle, &a, sizeof(a), NULL);
	}
	return NULL;
}

/* Half of all that the module asks for, in every context; and then it is as good as new. */
TEST(fault_random, .cpus = 2)
{
	struct stats before, after;
	struct stacks *skel;
	pthread_t threads[2];
	int i;

	if (!prepare())
		return;
	skel = stacks__open_and_load();
	if (!ASSERT_PTR(skel))
		return;
	stats_read(&before);
	stop = false;
	set_both("times", "-1");
	set_both("probability", "50");
	for (i = 0; i < (int)ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, worker, skel);
	sleep_ms(RUN_MS);
	set_both("probability", "0");
	stop = true;
	for (i = 0; i < (int)ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	wait_quiet();
	stats_read(&after);
	ASSERT_GT(after.fail_nomem, before.fail_nomem);
	ASSERT_GT(after.allocs, before.allocs);
	test_note("%lld allocations, %lld refused for want of memory, %lld because the pool was empty",
		  after.allocs - before.allocs, after.fail_nomem - before.fail_nomem,
		  after.fail_empty - before.fail_empty);
	stacks_do(skel, put, .count = NR_SLOTS);
	stats_read(&after);
	ASSERT_EQ(after.live, 0);
	for (i = MODE_SLEEPABLE; i <= MODE_ATOMIC; i++)
		ASSERT_EQ(stacks_do(skel, cycle, .mode = i, .size = 16384, .count = 64).done, 64);
	stacks__destroy(skel);
}
