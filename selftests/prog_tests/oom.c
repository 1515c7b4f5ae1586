// SPDX-License-Identifier: GPL-2.0
/*
 * No memory for real: a process eats all there is, is killed for it, and another begins, while
 * stacks and coroutines are wanted in every mode. To be run in a guest of its own with little
 * memory, whose log then speaks of it.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "co.h"
#include "co.skel.h"
#include "stacks.h"

#define RUN_MS		3000
#define STEP		(1 << 20)

/* Does not come back. */
static void eat(void)
{
	char *p;

	write_file("/proc/self/oom_score_adj", "1000");
	for (;;) {
		p = mmap(NULL, STEP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p != MAP_FAILED)
			memset(p, 1, STEP);
	}
}

static long long refused(const struct stats *stats)
{
	return stats->fail_nomem + stats->fail_empty;
}

TEST(oom, .params = "limit_mb=1024", .manual = true)
{
	struct stats before, after;
	struct stacks *skel = stacks__open_and_load();
	struct co *co = co__open_and_load();
	int i, killed = 0, status;
	long long end;
	u32 taken = 0, spawned = 0;
	pid_t pid = 0;

	if (!ASSERT_PTR(skel) || !ASSERT_PTR(co) || !ASSERT_OK(co__attach(co)))
		return;
	ASSERT_OK(write_file("/proc/self/oom_score_adj", "-1000"));
	stats_read(&before);
	end = now_ms() + RUN_MS;
	for (i = 0; killed < 2 || now_ms() < end; i++) {
		struct stack_args a = { .count = 64, .mode = i % 3, .size = 1024 << i % 7,
					.slot = 64 * (i % 32), .flags = i % 5 ? 0 : COSTACK_F_GUARD };

		if (now_ms() > end + PATIENCE_MS)
			break;
		if (pid && waitpid(pid, &status, WNOHANG) == pid) {
			killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
			pid = 0;
		}
		if (!pid) {
			fflush(stdout);
			pid = fork();
			if (!pid)
				eat();
		}
		/* What was in these slots goes: half of the memory comes and goes. */
		prog_run(skel->progs.take, &a, sizeof(a), NULL);
		taken += a.done;
		spawned += co_spawn(co, forever, i % CO_SLOTS, 0, .mode = i % 3);
		co_do(co, resume, .slot = i % CO_SLOTS);
	}
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	ASSERT_GE(killed, 2);
	stats_read(&after);
	test_note("%d processes killed for want of memory; %u stacks taken, %u coroutines spawned, %lld times refused",
		  killed, taken, spawned, refused(&after) - refused(&before));
	ASSERT_GT(refused(&after), refused(&before));
	/* It has memory again, and so have we. */
	stacks_do(skel, put, .count = NR_SLOTS);
	for (i = MODE_SLEEPABLE; i <= MODE_ATOMIC; i++)
		ASSERT_EQ(stacks_do(skel, cycle, .mode = i, .size = 16384, .count = 64).done, 64);
	co__destroy(co);
	stacks__destroy(skel);
}
