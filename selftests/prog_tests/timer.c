// SPDX-License-Identifier: GPL-2.0
/*
 * bpf_costack_alloc_sleepable() in a timer's callback: the verifier of 6.12 takes that
 * for a sleepable program, as for all kfuncs. The allocation must not sleep then.
 */
#include "testing.h"
#include "timer.skel.h"

TEST(timer_in_sleepable, .params = "guard_reserve=0")
{
	struct context_stats before[NR_CONTEXTS], after[NR_CONTEXTS];
	struct timer *skel = timer__open();
	long long end = now_ms() + 2000;
	char log[16384] = "";
	int retval;

	if (!ASSERT_PTR(skel))
		return;
	bpf_program__set_log_buf(skel->progs.start, log, sizeof(log));
	if (timer__load(skel)) {
		ASSERT_TRUE(strstr(log, "program must be sleepable to call sleepable kfunc"));
		timer__destroy(skel);
		return;
	}
	test_note("the verifier of this kernel takes it");
	contexts_read(before);
	ASSERT_OK(prog_run(skel->progs.start, NULL, 0, &retval));
	ASSERT_EQ(retval, 0);
	while (!*(volatile u64 *)&skel->bss->runs && now_ms() < end)
		sleep_ms(1);
	contexts_read(after);
	ASSERT_EQ(skel->bss->runs, 1);
	ASSERT_EQ(contexts_allocs(&after[CTX_SLEEPABLE]), contexts_allocs(&before[CTX_SLEEPABLE]));
	/* Guarded memory cannot be had without sleeping, and none is in reserve. */
	ASSERT_EQ(after[CTX_SOFTIRQ].failed - before[CTX_SOFTIRQ].failed, 20);
	ASSERT_EQ(skel->bss->got, 0);
	timer__destroy(skel);
}
