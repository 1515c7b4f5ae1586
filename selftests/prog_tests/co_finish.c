// SPDX-License-Identifier: GPL-2.0
/*
 * What the trampoline enters, it leaves: after any mixture of finishing and waiting each
 * task can be moved to another CPU, and grace periods of RCU Tasks Trace end.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "testing.h"
#include "co_finish.skel.h"

/* One step in a task of its own, which must be free to move afterwards. */
static int step_in_child(struct co_finish *skel)
{
	int status, retval = -1, err, cpu;
	pid_t pid = fork();

	if (!pid) {
		err = prog_run(skel->progs.step, NULL, 0, &retval);
		for (cpu = 0; !err && cpu < nr_cpus(); cpu++)
			err = pin_to_cpu(cpu);
		_exit(err ? 100 : retval);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST(co_finish, .cpus = 2)
{
	struct co_finish *skel = co_finish__open_and_load();
	int i, ret = 0;

	if (!ASSERT_PTR(skel))
		return;
	if (ASSERT_OK(co_finish__attach(skel))) {
		for (i = 0; i < 101 && ASSERT_EQ(ret, COSTACK_YIELDED); i++)
			ret = step_in_child(skel);
		ASSERT_EQ(ret, COSTACK_DONE);
		ASSERT_EQ(skel->bss->yields, 100);
		ASSERT_EQ(skel->bss->result, 4711);
	}
	/* Waits for such a grace period, or hangs. */
	co_finish__destroy(skel);
}
