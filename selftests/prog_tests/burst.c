// SPDX-License-Identifier: GPL-2.0
/*
 * What the reserve is for: this many stacks at once, where there is no other source,
 * at the default settings and without one failure.
 */
#include "stacks.h"
#include "burst.skel.h"

enum {
	DO_NOTHING,
	DO_TAKE,
	DO_PUT,
	DO_NEW,
	DO_DROP,
};

/* One run in a timer interrupt; what it got. */
static u32 in_interrupt(struct burst *skel, u32 what, u32 count)
{
	long long end = now_ms() + PATIENCE_MS;

	skel->bss->got = 0;
	skel->bss->failed = 0;
	skel->bss->done = 0;
	skel->bss->count = count;
	__atomic_store_n(&skel->bss->todo, what, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&skel->bss->done, __ATOMIC_SEQ_CST) && now_ms() < end)
		sleep_ms(1);
	ASSERT_EQ(skel->bss->done, 1);
	return skel->bss->got;
}

static void run_class(struct burst *skel, u32 size, u64 flags, u32 count)
{
	struct context_stats before[NR_CONTEXTS], after[NR_CONTEXTS];

	wait_refilled();
	contexts_read(before);
	skel->bss->size = size;
	skel->bss->flags = flags;
	ASSERT_EQ(in_interrupt(skel, DO_TAKE, count), count);
	ASSERT_EQ(skel->bss->failed, 0);
	contexts_read(after);
	ASSERT_EQ(contexts_allocs(&after[CTX_HARDIRQ]) - contexts_allocs(&before[CTX_HARDIRQ]),
		  count);
	ASSERT_EQ(after[CTX_HARDIRQ].failed - before[CTX_HARDIRQ].failed, 0);
	test_note("%u of %u stacks of %u bytes in one interrupt, %u failures; magazine %lld, depot %lld, nolock %lld",
		  skel->bss->got, count, size, skel->bss->failed,
		  after[CTX_HARDIRQ].magazine - before[CTX_HARDIRQ].magazine,
		  after[CTX_HARDIRQ].depot - before[CTX_HARDIRQ].depot,
		  after[CTX_HARDIRQ].nolock - before[CTX_HARDIRQ].nolock);
	ASSERT_EQ(in_interrupt(skel, DO_PUT, count), count);
}

TEST(burst)
{
	struct burst *skel = burst__open_and_load();
	struct class_stats classes[NR_CLASSES];
	struct bpf_link *link = NULL;
	u32 got, failed;
	int i, n;

	if (!ASSERT_PTR(skel))
		return;
	link = attach_clock(skel->progs.on_clock, 0, 1000);
	if (!ASSERT_PTR(link))
		goto out;
	n = classes_read(classes);
	ASSERT_EQ(n, NR_KINDS);
	for (i = 0; i < n; i++) {
		/* Defaults: 64 up to 16 KB, 32 of 32 KB, 16 of 64 KB, 8 guarded of each. */
		u32 want = classes[i].size <= 16384 ? 64 : classes[i].size == 32768 ? 32 : 16;
		bool guard = !strcmp(classes[i].backing, "guard");

		if (guard)
			want = 8;
		if (!subtest_begin("%s_%lld_x%u", classes[i].backing, classes[i].size, want))
			continue;
		ASSERT_EQ(classes[i].reserve, want);
		run_class(skel, classes[i].size, guard ? COSTACK_F_GUARD : 0, want);
		subtest_end();
	}
	/* For comparison, not for a verdict: 4 KB, the largest that there is. */
	if (subtest_begin("beside_bpf_obj_new")) {
		skel->bss->size = 16384;
		skel->bss->flags = 0;
		wait_refilled();
		ASSERT_EQ(in_interrupt(skel, DO_TAKE, 64), 64);
		ASSERT_EQ(in_interrupt(skel, DO_PUT, 64), 64);
		got = in_interrupt(skel, DO_NEW, 64);
		failed = skel->bss->failed;
		ASSERT_EQ(got + failed, 64);
		ASSERT_EQ(in_interrupt(skel, DO_DROP, 64), got);
		test_note("in one interrupt, 64 asked for: costack of 16384 bytes: 64; bpf_obj_new of 4088 bytes: %u",
			  got);
		subtest_end();
	}
out:
	bpf_link__destroy(link);
	burst__destroy(skel);
}

/* 64 KB in the network path, as many as the reserve has, one run. */
TEST(burst_network)
{
	struct stacks *skel = stacks__open_and_load();
	int retval;

	if (!ASSERT_PTR(skel))
		return;
	wait_refilled();
	skel->bss->xdp_size = 65536;
	skel->bss->xdp_count = 16;
	ASSERT_OK(prog_run(skel->progs.take_by_packet, NULL, 0, &retval));
	ASSERT_EQ(retval, 2);	/* XDP_PASS */
	ASSERT_EQ(skel->bss->xdp_done, 16);
	ASSERT_EQ(stacks_do(skel, put, .count = 16).done, 16);
	stacks__destroy(skel);
}
