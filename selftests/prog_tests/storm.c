// SPDX-License-Identifier: GPL-2.0
/*
 * All CPUs and contexts at once. Each stack says who holds it; afterwards all are
 * back and the books balance.
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "testing.h"
#include "storm.skel.h"

#define MAX_THREADS	8

static struct storm *storm;

/*
 * A kernel that preempts a running program, as Debian's 7.3 does and its 6.12 does
 * not, leaves the task on a CPU that goes, since programs do not migrate, and pushes it
 * away when that CPU next schedules. Alone there the task is not preempted again, and
 * the CPU never goes. So go through the scheduler between two runs.
 */
static void *thread(void *cpu)
{
	pin_to_cpu((long)cpu);
	while (!*(volatile u32 *)&storm->bss->stop) {
		prog_run(storm->progs.threads, NULL, 0, NULL);
		sched_yield();
	}
	return NULL;
}

static void nmi(void)
{
	if (!access(MONITOR, W_OK))
		inject_nmi();
}

static void hotplug(void)
{
	ASSERT_OK(write_file("/sys/devices/system/cpu/cpu1/online", "0"));
	sleep_ms(50);
	ASSERT_OK(write_file("/sys/devices/system/cpu/cpu1/online", "1"));
}

/* Has everything met that is to meet? A busy machine takes longer than the test has. */
static bool met(int nr_threads, bool one_way, const struct context_stats *before)
{
	struct context_stats now[NR_CONTEXTS];

	contexts_read(now);
	return storm->bss->rounds >= 1000 && (nr_threads == 1 || storm->bss->foreign) &&
	       contexts_allocs(&now[CTX_PROCESS]) && contexts_allocs(&now[CTX_HARDIRQ]) &&
	       (!one_way || now[CTX_PROCESS].depot - before[CTX_PROCESS].depot > 200);
}

static void run(int nr_threads, long ms, bool one_way, void (*disturb)(void))
{
	struct bpf_link *links[MAX_THREADS + 2] = {};
	struct context_stats before[NR_CONTEXTS], contexts[NR_CONTEXTS];
	pthread_t threads[MAX_THREADS];
	long long end;
	int i, n = 0;

	storm = storm__open_and_load();
	if (!ASSERT_PTR(storm))
		return;
	storm->bss->one_way = one_way;
	contexts_read(before);
	links[n++] = bpf_program__attach(storm->progs.nmis);
	links[n++] = bpf_program__attach(storm->progs.inside);
	for (i = 0; i < nr_threads; i++)
		links[n++] = attach_clock(storm->progs.interrupts, i, 500);
	for (i = 0; i < n; i++)
		ASSERT_PTR(links[i]);

	for (i = 0; i < nr_threads; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, thread, (void *)(long)i), 0);
	end = now_ms() + ms;
	while (now_ms() < end ||
	       (!met(nr_threads, one_way, before) && now_ms() < end + PATIENCE_MS)) {
		disturb();
		sleep_ms(20);
	}
	storm->bss->stop = 1;
	for (i = 0; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
	while (n)
		bpf_link__destroy(links[--n]);
	sync_rcu();
	sleep_ms(10);

	ASSERT_EQ(storm->bss->not_zero, 0);
	ASSERT_EQ(storm->bss->held_twice, 0);
	ASSERT_EQ(storm->bss->stolen, 0);
	ASSERT_EQ(storm->bss->torn, 0);
	ASSERT_GE(storm->bss->rounds, 1000);
	if (nr_threads > 1)
		ASSERT_GT(storm->bss->foreign, 0);
	contexts_read(contexts);
	ASSERT_GT(contexts_allocs(&contexts[CTX_PROCESS]), 0);
	ASSERT_GT(contexts_allocs(&contexts[CTX_HARDIRQ]), 0);
	if (one_way)
		ASSERT_GT(contexts[CTX_PROCESS].depot - before[CTX_PROCESS].depot, 200);
	if (disturb == nmi && !access(MONITOR, W_OK))
		ASSERT_GT(contexts_allocs(&contexts[CTX_NMI]), 0);
	test_note("%llu rounds, %llu allocated, %llu not to be had, %llu taken over from another CPU",
		  (unsigned long long)storm->bss->rounds,
		  (unsigned long long)storm->bss->allocated,
		  (unsigned long long)storm->bss->empty,
		  (unsigned long long)storm->bss->foreign);
	contexts_print();

	prog_run(storm->progs.drain, NULL, 0, NULL);
	ASSERT_TRUE(wait_live(0));
	storm__destroy(storm);
}

TEST(storm_2_cpus, .cpus = 2)
{
	run(2, 1200, false, nmi);
}

TEST(storm_4_cpus, .cpus = 4)
{
	run(4, 1200, false, nmi);
}

/* Allocated on the one, freed on the other: magazines cross the depot all the time. */
TEST(storm_one_way, .cpus = 2)
{
	run(min(nr_cpus(), MAX_THREADS), 1200, true, nmi);
}

/* Small reserves, and a short period: refilling and trimming go on all the time. */
TEST(storm_trimming, .cpus = 2, .params = "reserve=8,8,8,8,8,8,0,0 guard_reserve=2 trim_ms=100")
{
	run(min(nr_cpus(), MAX_THREADS), 1200, false, nmi);
}

/* A CPU goes and comes back. */
TEST(storm_hotplug, .cpus = 2)
{
	if (access("/sys/devices/system/cpu/cpu1/online", W_OK)) {
		test_skip("CPU 1 cannot be taken offline");
		return;
	}
	run(min(nr_cpus(), MAX_THREADS), 1200, false, hotplug);
}
