// SPDX-License-Identifier: GPL-2.0
/*
 * A million dense coroutines at once, and fifty thousand with stacks of their own: each
 * computes what it should, takes no more memory than it should, and gives it back.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "testing.h"
#include "progs/cos_scale.h"
#include "cos_scale.skel.h"

#define NR_DENSE	1000000
#define NR_PRIVATE	50000
#define MAX_THREADS	8
#define TRIM_MS		200

/* What a dense one may take in all: saved stack, handle, and element of the map. */
#define BYTES_MAX	1024

/* An element of a hash map, beside key and value; and its bucket. */
#define HASH_ELEM	48
#define HASH_BUCKET	16

static struct bpf_program *worker;

static long long available_bytes(void)
{
	char *text = read_file("/proc/meminfo"), *p;
	long long kb = -1;

	p = text ? strstr(text, "MemAvailable:") : NULL;
	if (p)
		kb = strtoll(p + strlen("MemAvailable:"), NULL, 10);
	free(text);
	return kb * 1024;
}

static long long slab_bytes(const char *cache)
{
	char path[96], *text;
	long long n = -1;

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/slab_size", cache);
	text = read_file(path);
	if (text)
		n = strtoll(text, NULL, 10);
	free(text);
	return n;
}

static void *thread(void *cpu)
{
	int retval = 0;

	pin_to_cpu((long)cpu);
	while (!retval && !prog_run(worker, NULL, 0, &retval))
		;
	return NULL;
}

/* Goes over all coroutines once, on all CPUs. Returns how long it took. */
static long long everywhere(struct cos_scale *skel, struct bpf_program *prog, u32 step)
{
	int i, n = min(nr_cpus(), MAX_THREADS);
	pthread_t threads[MAX_THREADS];
	long long start = now_ms();

	skel->bss->cursor = 0;
	skel->bss->step = step;
	skel->bss->salt = step * 77777 + 12345;
	worker = prog;
	for (i = 0; i < n; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, thread, (void *)(long)i), 0);
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	return now_ms() - start;
}

/* What is cached of a backing, and what may be: the reserve, and a magazine on each CPU. */
static long long cached(const char *backing, long long *floor)
{
	struct class_stats classes[NR_CLASSES];
	int i, n = classes_read(classes), cpus = nr_cpus();
	long long sum = 0;

	*floor = 0;
	for (i = 0; i < n; i++) {
		if (strcmp(classes[i].backing, backing))
			continue;
		sum += classes[i].cached_cpu + classes[i].cached_depot;
		*floor += classes[i].reserve + cpus * classes[i].magazine;
	}
	return sum;
}

static bool wait_trimmed(const char *backing, int periods)
{
	long long floor, now, start = now_ms();

	while ((now = cached(backing, &floor)) > floor) {
		if (now_ms() - start > periods * TRIM_MS) {
			test_note("%lld of %s are cached, more than %lld", now, backing, floor);
			return false;
		}
		sleep_ms(TRIM_MS / 10);
	}
	return true;
}

static void run(u32 nr, bool private, int live_each)
{
	struct cos_scale *skel = cos_scale__open();
	const char *backing = private ? "guard" : "coroutine";
	long long ms[COS_ROUNDS + 2], memory, handle, save, slot, start;
	struct class_stats classes[NR_CLASSES];
	struct bpf_link *link = NULL;
	struct stats stats;
	int i, n;
	u32 step;

	if (!ASSERT_PTR(skel))
		return;
	sync_rcu();
	memory = available_bytes();
	bpf_map__set_max_entries(skel->maps.slots, nr);
	if (!ASSERT_OK(cos_scale__load(skel)))
		goto out;
	link = bpf_map__attach_struct_ops(private ? skel->maps.private_ops : skel->maps.dense_ops);
	if (!ASSERT_PTR(link))
		goto out;
	skel->bss->nr = nr;
	skel->bss->keep = 1;
	while (1U << skel->bss->bits < nr)
		skel->bss->bits++;

	ms[0] = everywhere(skel, private ? skel->progs.spawn_private : skel->progs.spawn_dense, 0);
	ASSERT_EQ(skel->bss->spawned, nr);
	for (step = 0; step < COS_ROUNDS; step++)
		ms[1 + step] = everywhere(skel, skel->progs.resume_all, step);
	ASSERT_EQ(skel->bss->resumed, (u64)nr * COS_ROUNDS);
	stats_read(&stats);
	ASSERT_EQ(stats.live, (long long)nr * live_each);

	/* All are suspended: what do they take? */
	wait_trimmed(backing, 30);
	memory -= available_bytes();
	handle = slab_bytes("costack_co");
	save = 0;
	n = classes_read(classes);
	for (i = 0; i < n; i++) {
		if (!strcmp(classes[i].backing, "coroutine"))
			save += classes[i].live * classes[i].size;
	}
	save = (save + nr - 1) / nr;
	slot = HASH_ELEM + HASH_BUCKET + 8 + 8;
	if (private)
		test_note("%u private coroutines suspended: %lld bytes each of memory", nr,
			  memory / nr);
	else
		test_note("%u dense coroutines suspended, bytes each: save area %lld + handle %lld + element of a hash map %lld = %lld; difference of MemAvailable %lld",
			  nr, save, handle, slot, save + handle + slot, memory / nr);
	if (!private && !slow_kernel()) {
		ASSERT_GT(handle, 0);
		ASSERT_LE(save + handle + slot, BYTES_MAX);
		ASSERT_LE(memory / nr, BYTES_MAX);
	}

	/* Half of them return, the rest are cancelled when the map goes. */
	ms[1 + COS_ROUNDS] = everywhere(skel, skel->progs.resume_all, COS_ROUNDS);
	ASSERT_EQ(skel->bss->done, nr / 2);
	ASSERT_EQ(skel->bss->resumed, (u64)nr * COS_ROUNDS + nr / 2);
	ASSERT_EQ(skel->bss->wrong, 0);
	ASSERT_EQ(skel->bss->missing, 0);
	ASSERT_EQ(skel->bss->failed_spawn, 0);
	ASSERT_EQ(skel->bss->failed_map, 0);
	if (!ASSERT_EQ(skel->bss->failed_resume, 0))
		test_note("the last gave %lld", (long long)skel->bss->last_error);
	test_note("spawned in %lld ms, resumed in %lld, %lld, %lld, half of them to their end in %lld; %llu times another CPU had the execution stack for too long",
		  ms[0], ms[1], ms[2], ms[3], ms[4], (unsigned long long)skel->bss->busy);
out:
	start = now_ms();
	/* The one time the worker cancels them, the other time the end of their type. */
	if (private)
		bpf_link__destroy(link);
	cos_scale__destroy(skel);
	while (!wait_live(0) && now_ms() - start < 60000)
		;
	if (!private)
		bpf_link__destroy(link);
	test_note("all given back %lld ms after the end", now_ms() - start);
	stats_read(&stats);
	ASSERT_EQ(stats.live, 0);
	start = now_ms();
	ASSERT_TRUE(wait_trimmed("coroutine", 100));
	ASSERT_TRUE(wait_trimmed("guard", 100));
	test_note("back at the floor after %lld periods", (now_ms() - start) / TRIM_MS);
	wait_quiet();
	stats_read(&stats);
	ASSERT_EQ(stats.live + stats.cached, stats.obtained - stats.returned);
}

TEST(cos_scale_dense, .cpus = 2, .params = "limit_mb=2000 trim_ms=200")
{
	if (available_bytes() < 3LL << 30) {
		test_skip("needs 3 GB of memory");
		return;
	}
	run(scaled(NR_DENSE), false, 1);
}

TEST(cos_scale_private, .cpus = 2, .params = "limit_mb=2000 trim_ms=200")
{
	if (available_bytes() < 2LL << 30) {
		test_skip("needs 2 GB of memory");
		return;
	}
	run(scaled(NR_PRIVATE), true, 2);
}
