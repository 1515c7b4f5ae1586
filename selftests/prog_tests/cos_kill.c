// SPDX-License-Identifier: GPL-2.0
/*
 * Loaders that are killed with ten thousand suspended coroutines: by the time that
 * the kernel has cleaned up after them nothing is left, and the module can go.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/btf.h>

#include "testing.h"
#include "cos_kill.skel.h"

#define NR_SLOTS	10000
#define NR_KILLED	100
#define NR_LOADERS	4	/* at once: it is waiting that takes the time */
#define MAX_THREADS	4

static struct cos_kill *skel;

static void *resumer(void *cpu)
{
	int retval = 0;

	pin_to_cpu((long)cpu);
	while (!retval && !prog_run(skel->progs.resume, NULL, 0, &retval))
		;
	return NULL;
}

static int start_resumers(pthread_t *threads)
{
	int i, n = min(nr_cpus(), MAX_THREADS);

	for (i = 0; i < n; i++)
		pthread_create(&threads[i], NULL, resumer, (void *)(long)i);
	return n;
}

/* What the loader does until it is killed: says on @to when it is ready. */
static void loader(int to, int nr, bool resume)
{
	pthread_t threads[MAX_THREADS];
	int retval = 0;

	skel = cos_kill__open();
	if (skel) {
		skel->struct_ops.victim_ops->id += nr;
		skel->rodata->victim_id += nr;
	}
	if (skel && !cos_kill__load(skel) && bpf_map__attach_struct_ops(skel->maps.victim_ops) &&
	    !prog_run(skel->progs.spawn, NULL, 0, &retval) && resume)
		start_resumers(threads);
	if (write(to, &retval, sizeof(retval)) < 0)
		_exit(1);
	for (;;)
		pause();
}

/* Starts loaders, and waits until the coroutines of all are suspended. */
static bool start_loaders(pid_t *pids, int n, bool resume)
{
	int fds[2], ready, i;
	bool ok = true;

	if (!ASSERT_OK(pipe(fds)))
		return false;
	fflush(stdout);
	for (i = 0; i < n; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			close(fds[0]);
			loader(fds[1], i, resume);
		}
	}
	close(fds[1]);
	for (i = 0; i < n; i++) {
		ready = 0;
		ok &= ASSERT_EQ(read(fds[0], &ready, sizeof(ready)), sizeof(ready));
		ok &= ASSERT_EQ(ready, NR_SLOTS);
	}
	close(fds[0]);
	return ok;
}

static void kill_loaders(const pid_t *pids, int n)
{
	int i;

	for (i = 0; i < n; i++)
		kill(pids[i], SIGKILL);
	for (i = 0; i < n; i++)
		waitpid(pids[i], NULL, 0);
}

/* Lines of a debugfs file, less those that are always there. */
static int rows(const char *path, const char *last)
{
	char *text = read_file(path), *p, *end;
	int n = 0;

	/* A line that says what the file is, one that names the columns. */
	p = text ? strchr(text, '\n') : NULL;
	p = p ? strchr(p + 1, '\n') : NULL;
	end = p ? strstr(p, last) : NULL;
	if (!end)
		n = -1;
	for (; end && p < end; p++)
		n += *p == '\n';
	free(text);
	return n - 1;
}

static bool nothing_left(void)
{
	struct stats stats;
	bool ok = true;

	wait_live(0);
	stats_read(&stats);
	ok &= ASSERT_EQ(stats.live, 0);
	ok &= ASSERT_EQ(rows(DEBUGFS "coroutines", "more: 0\n"), 0);
	ok &= ASSERT_EQ(rows(DEBUGFS "depth", "stacks:"), 0);
	return ok;
}

static void rounds(int total, int at_once, bool resume)
{
	long long start = now_ms(), died = 0, unloaded = 0, since;
	int i, killed = 0, unloads = 0;

	btf__load_vmlinux_btf();	/* the children inherit it: btf_cache.c */
	for (i = 0; killed < total; i++) {
		pid_t pids[NR_LOADERS];
		bool ok;

		ok = start_loaders(pids, at_once, resume);
		if (resume)
			sleep_ms(i % 16);
		since = now_ms();
		kill_loaders(pids, at_once);
		killed += at_once;
		if (!nothing_left() || !ok) {
			test_note("round %d", i);
			return;
		}
		died += now_ms() - since;
		if (i % 5 != 4)
			continue;
		since = now_ms();
		if (!ASSERT_OK(module_unload()) || !ASSERT_OK(module_load("")))
			return;
		unloads++;
		unloaded += now_ms() - since;
	}
	test_note("%d loaders killed, %d at once, in %lld ms; %lld of them until nothing was left, %lld to unload and load %d times",
		  killed, at_once, now_ms() - start, died, unloaded, unloads);
}

TEST(cos_kill)
{
	rounds(scaled(NR_KILLED), NR_LOADERS, false);
}

/* The loader's threads resume on all CPUs when it dies. */
TEST(cos_kill_resuming, .cpus = 2)
{
	rounds(scaled(NR_KILLED / 10), 1, true);
}

static int try_unload(void)
{
	return syscall(__NR_delete_module, "costack", O_NONBLOCK) ? -errno : 0;
}

/*
 * At any moment of its life, from before it has opened anything; now and then somebody tries
 * to unload the module at the same time.
 */
TEST(cos_kill_anytime)
{
	int i, early = 0, ready = 0, unloaded = 0, held = 0, total = test_rounds(slow_kernel() ? 8 : 20);
	long long before = 0, life, start = now_ms();
	unsigned int seed = start;

	test_note("seed %u", seed);
	srand(seed);
	btf__load_vmlinux_btf();
	/* How long is a life? */
	for (i = -1, life = 0; i < total; i++) {
		int fds[2], err, spawned = 0;
		long long since;
		pid_t pid;

		if (!ASSERT_OK(pipe(fds)))
			return;
		fflush(stdout);
		since = now_ms();
		pid = fork();
		if (!pid) {
			close(fds[0]);
			loader(fds[1], 0, true);
		}
		close(fds[1]);
		if (i < 0) {
			ASSERT_EQ(read(fds[0], &spawned, sizeof(spawned)), sizeof(spawned));
			life = 1 + 5 * (now_ms() - since) / 4;
		} else {
			usleep(rand() % (1000 * life));
			err = rand() % 4 ? -EAGAIN : try_unload();
			unloaded += !err;
			held += err == -EAGAIN || err == -EBUSY;
			if (err && err != -EAGAIN && err != -EBUSY)
				ASSERT_OK(err);
		}
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		if (i >= 0 && read(fds[0], &spawned, sizeof(spawned)) == sizeof(spawned))
			ready++;
		else
			early++;
		close(fds[0]);
		if (!module_loaded() && !ASSERT_OK(module_load("")))
			return;
		if (!nothing_left()) {
			test_note("round %d", i);
			return;
		}
		if (i == total / 4) {
			/* By then the kernel's own caches are as large as they become. */
			ASSERT_OK(module_unload());
			before = kernel_bytes();
			ASSERT_OK(module_load(""));
		}
	}
	ASSERT_OK(module_unload());
	test_note("%d loaders killed within %lld ms of their start, %d before they were ready, %d after; %d times the module went meanwhile",
		  total, life, early, ready, unloaded);
	same_bytes(before);
	ASSERT_OK(module_load(""));
	ASSERT_GT(early, 0);
	ASSERT_GT(held, 0);
}

/* Others have the coroutines, and go on resuming while their type goes, and afterwards. */
TEST(cos_kill_type, .cpus = 2)
{
	unsigned long long resumed = 0, stale = 0;
	pthread_t threads[MAX_THREADS];
	int i, t, n, retval = 0;
	pid_t pid;

	for (i = 0; i < (slow_kernel() ? 2 : 5); i++) {
		int fds[2];

		skel = cos_kill__open_and_load();
		if (!ASSERT_PTR(skel) || !ASSERT_OK(pipe(fds)))
			return;
		/* The link is the child's, everything else ours, too. */
		pid = fork();
		if (!pid) {
			retval = !bpf_map__attach_struct_ops(skel->maps.victim_ops);
			if (write(fds[1], &retval, sizeof(retval)) < 0)
				_exit(1);
			for (;;)
				pause();
		}
		ASSERT_EQ(read(fds[0], &retval, sizeof(retval)), sizeof(retval));
		ASSERT_EQ(retval, 0);
		close(fds[0]);
		close(fds[1]);
		ASSERT_OK(prog_run(skel->progs.spawn, NULL, 0, &retval));
		ASSERT_EQ(retval, NR_SLOTS);
		n = start_resumers(threads);
		sleep_ms(10 * i);
		kill_loaders(&pid, 1);
		sleep_ms(50);
		ASSERT_EQ(rows(DEBUGFS "depth", "stacks:"), 0);
		skel->bss->stop = 1;
		for (t = 0; t < n; t++)
			pthread_join(threads[t], NULL);
		if (!ASSERT_EQ(skel->bss->others, 0))
			test_note("the last gave %lld", (long long)skel->bss->last_error);
		resumed += skel->bss->resumed;
		stale += skel->bss->stale;
		ASSERT_TRUE(rows(DEBUGFS "coroutines", "more: ") > 0);
		cos_kill__destroy(skel);
		if (!nothing_left())
			return;
	}
	ASSERT_GT(resumed, 0);
	ASSERT_GT(stale, 0);
	test_note("%llu resumed, %llu answered that their type is gone", resumed, stale);
	ASSERT_OK(module_unload());
}
