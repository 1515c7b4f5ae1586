// SPDX-License-Identifier: GPL-2.0
/* Many at once: on one coroutine, and while its type goes. */
#include <pthread.h>
#include <stdlib.h>

#include "co.h"
#include "co.skel.h"

#define NR_THREADS	4

static struct co *skel;
static volatile bool stop;
static bool own;
static u64 yielded, stale, busy, refused, spawned, failed;

static bool load(void)
{
	skel = co__open();
	if (!ASSERT_PTR(skel))
		return false;
	skel->rodata->forever_number = co_type(skel, forever);
	skel->rodata->forever_own_number = co_type(skel, forever_own);
	skel->rodata->chain_number = co_type(skel, chain);
	if (ASSERT_OK(co__load(skel)) && ASSERT_OK(co__attach(skel)))
		return true;
	co__destroy(skel);
	return false;
}

static void start(pthread_t *threads, void *(*run)(void *))
{
	long i;

	yielded = 0;
	stale = 0;
	busy = 0;
	refused = 0;
	spawned = 0;
	failed = 0;
	stop = false;
	for (i = 0; i < NR_THREADS; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, run, (void *)i), 0);
}

static void join(pthread_t *threads)
{
	int i;

	stop = true;
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* One coroutine, which each has a reference to */
static void *resume_shared(void *arg)
{
	struct co_args a;

	pin_to_cpu((long)arg % nr_cpus());
	while (!stop) {
		a = co_do(skel, resume, .slot = (long)arg, .count = 200);
		__sync_fetch_and_add(&yielded, a.yielded);
		__sync_fetch_and_add(&busy, a.busy);
		__sync_fetch_and_add(&failed, 200 - a.yielded - a.busy);
	}
	return NULL;
}

static void shared(const char *name)
{
	pthread_t threads[NR_THREADS];
	struct co_args a;
	int i;

	if (!subtest_begin("%s", name))
		return;
	if (own)
		ASSERT_EQ(co_spawn(skel, forever_own, 0, 0), 1);
	else
		ASSERT_EQ(co_spawn(skel, forever, 0, 0), 1);
	for (i = 1; i < NR_THREADS; i++)
		co_do(skel, share, .slot = 0, .slot2 = i);
	start(threads, resume_shared);
	sleep_ms(500);
	join(threads);
	ASSERT_GT(yielded, 0);
	ASSERT_EQ(failed, 0);
	/* Each step was one step. */
	a = co_do(skel, resume);
	ASSERT_EQ(a.result, yielded);
	test_note("%llu steps, %llu times it ran already", (unsigned long long)yielded,
		  (unsigned long long)busy);
	for (i = 0; i < NR_THREADS; i++)
		co_do(skel, release, .slot = i);
	subtest_end();
}

TEST(co_shared, .cpus = 2)
{
	if (!load())
		return;
	own = false;
	shared("dense");
	own = true;
	shared("private");
	co__destroy(skel);
}

/* Spawn, resume, call, let go, in a loop */
static void *use_types(void *arg)
{
	u32 slot = (long)arg * 4;
	struct co_args a;

	pin_to_cpu((long)arg % nr_cpus());
	while (!stop) {
		if (!co_spawn(skel, forever, slot, 0) ||
		    !co_spawn(skel, forever_own, slot + 1, 0) ||
		    !co_spawn(skel, chain, slot + 2, 0)) {
			__sync_fetch_and_add(&refused, 1);
			sleep_ms(1);
		} else {
			__sync_fetch_and_add(&spawned, 3);
		}
		a = co_do(skel, resume, .slot = slot, .count = 300);
		__sync_fetch_and_add(&yielded, a.yielded);
		__sync_fetch_and_add(&stale, a.stale);
		a = co_do(skel, resume, .slot = slot + 1, .count = 300);
		__sync_fetch_and_add(&yielded, a.yielded);
		__sync_fetch_and_add(&stale, a.stale);
		a = co_do(skel, resume, .slot = slot + 2, .count = 2);
		co_do(skel, state, .slot = slot);
		if (slot & 4) {
			co_do(skel, cancel, .slot = slot);
			co_do(skel, release, .slot = slot);
			co_do(skel, release, .slot = slot + 1);
		}
	}
	return NULL;
}

TEST(co_unregister, .cpus = 2)
{
	pthread_t threads[NR_THREADS];
	int round;

	if (!load())
		return;
	start(threads, use_types);
	for (round = 0; round < 12; round++) {
		sleep_ms(60);
		co__detach(skel);
		if (!ASSERT_OK(co__attach(skel)))
			break;
	}
	sleep_ms(50);
	/* The last time while they go on */
	co__detach(skel);
	sleep_ms(50);
	join(threads);
	ASSERT_GT(spawned, 0);
	ASSERT_GT(yielded, 0);
	ASSERT_GT(stale, 0);
	ASSERT_GT(refused, 0);
	test_note("%llu spawned, %llu steps, %llu of coroutines that were gone, %llu times no type",
		  (unsigned long long)spawned, (unsigned long long)yielded,
		  (unsigned long long)stale, (unsigned long long)refused);
	/* What is left is dead. */
	ASSERT_EQ(co_do(skel, resume, .slot = 0).ret, -ESTALE);
	co__destroy(skel);
}

/*
 * Handles of a type that goes, in the hands of their next owner: nobody else runs what
 * has one reference and a stack of its own.
 */
static void *reuse(void *arg)
{
	u32 first = (long)arg * 16, slot;
	struct co_args a;

	pin_to_cpu((long)arg % nr_cpus());
	while (!stop) {
		/* Freed here and now, since they never ran: the next ones get their handles. */
		for (slot = first; slot < first + 8; slot++)
			co_spawn(skel, forever, slot, 0);
		for (slot = first; slot < first + 8; slot++)
			co_do(skel, state, .slot = slot);
		for (slot = first; slot < first + 8; slot++)
			co_do(skel, release, .slot = slot);
		for (slot = first; slot < first + 8; slot++)
			ASSERT_EQ(co_spawn(skel, forever_own, slot, 0), 1);
		for (slot = first; slot < first + 8; slot++) {
			a = co_do(skel, resume, .slot = slot, .count = 10);
			__sync_fetch_and_add(&yielded, a.yielded);
			__sync_fetch_and_add(&failed, 10 - a.yielded);
			__sync_fetch_and_add(&busy, a.busy);
			a = co_do(skel, cancel, .slot = slot);
			__sync_fetch_and_add(&failed, !!a.ret);
			co_do(skel, release, .slot = slot);
		}
	}
	return NULL;
}

TEST(co_reused, .cpus = 2)
{
	pthread_t threads[NR_THREADS];
	int round;

	if (!load())
		return;
	start(threads, reuse);
	for (round = 0; round < 20; round++) {
		sleep_ms(10);
		bpf_link__destroy(skel->links.forever_ops);
		skel->links.forever_ops = bpf_map__attach_struct_ops(skel->maps.forever_ops);
		if (!ASSERT_PTR(skel->links.forever_ops))
			break;
	}
	join(threads);
	ASSERT_GT(yielded, 0);
	ASSERT_EQ(busy, 0);
	ASSERT_EQ(failed, 0);
	co__destroy(skel);
}

TEST(co_evicted)
{
	struct stats before, after;
	u32 i;

	if (!load())
		return;
	stats_read(&before);
	/* A multiple of what the map evicts at once, which the number of CPUs decides. */
	for (i = 0; i < 512; i++)
		ASSERT_EQ(co_do(skel, lru, .slot = i, .type = co_type(skel, forever)).ret,
			  COSTACK_YIELDED);
	ASSERT_TRUE(wait_coroutines(32));
	stats_read(&after);
	ASSERT_EQ(after.co_spawned - before.co_spawned, 512);
	ASSERT_EQ(after.co_cancelled - before.co_cancelled, 480);
	/* And those that are in it when it goes */
	co__destroy(skel);
}

/*
 * Newer kernels leave what is in an element that is deleted until its memory is used
 * again, or the map goes: who wants it to end takes it out before.
 */
#define DELETED(_map, _take)							\
	do {									\
		u32 __i;							\
										\
		for (__i = 0; __i < 30; __i++)					\
			ASSERT_EQ(co_do(skel, _map, .slot = __i,		\
					.type = co_type(skel, forever)).ret,	\
				  COSTACK_YIELDED);				\
		for (__i = 0; __i < 30; __i++)					\
			ASSERT_EQ(co_do(skel, _map##_end, .slot = __i,		\
					.mode = (_take)).ret, 0);		\
		if ((_take) || kernel_version() <= KERNEL(6, 12))		\
			ASSERT_TRUE(wait_coroutines(0));			\
	} while (0)

TEST(co_deleted)
{
	if (!load())
		return;
	DELETED(lru, true);
	DELETED(hash, true);
	DELETED(lazy, true);
	DELETED(lru, false);
	DELETED(hash, false);
	DELETED(lazy, false);
	co__destroy(skel);
}
