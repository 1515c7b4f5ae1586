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
	struct class_stats class_before, class_after;
	struct context_stats *softirq = &after[CTX_SOFTIRQ];
	struct timer *skel = timer__open();
	long long end = now_ms() + PATIENCE_MS;
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
	class_read("guard", 65536, &class_before);
	contexts_read(before);
	ASSERT_OK(prog_run(skel->progs.start, NULL, 0, &retval));
	ASSERT_EQ(retval, 0);
	while (!*(volatile u64 *)&skel->bss->runs && now_ms() < end)
		sleep_ms(1);
	ASSERT_EQ(skel->bss->runs, 1);
	wait_quiet();
	contexts_read(after);
	class_read("guard", 65536, &class_after);
	ASSERT_EQ(contexts_allocs(&after[CTX_SLEEPABLE]), contexts_allocs(&before[CTX_SLEEPABLE]));
	ASSERT_EQ(after[CTX_SLEEPABLE].failed, before[CTX_SLEEPABLE].failed);
	/*
	 * Guarded memory cannot be had without sleeping. None is in reserve, so the first
	 * goes without; then the worker may bring some while the callback still runs.
	 */
	ASSERT_EQ(softirq->kernel + softirq->atomic + softirq->nolock,
		  before[CTX_SOFTIRQ].kernel + before[CTX_SOFTIRQ].atomic +
		  before[CTX_SOFTIRQ].nolock);
	ASSERT_EQ(class_after.obtained - class_before.obtained,
		  class_after.refilled - class_before.refilled);
	ASSERT_GE(skel->bss->failed, 1);
	ASSERT_EQ(skel->bss->got + skel->bss->failed, 20);
	ASSERT_EQ(softirq->failed - before[CTX_SOFTIRQ].failed, skel->bss->failed);
	ASSERT_EQ(contexts_allocs(softirq) - contexts_allocs(&before[CTX_SOFTIRQ]),
		  skel->bss->got);
	test_note("%llu of 20 were not to be had", (unsigned long long)skel->bss->failed);
	timer__destroy(skel);
}
