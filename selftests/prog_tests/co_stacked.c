// SPDX-License-Identifier: GPL-2.0
/* As many runs on top of each other on a CPU as there may be, and one more. */
#include <sys/syscall.h>
#include <unistd.h>

#include "co.h"
#include "co_stacked.skel.h"

#define TOP	COSTACK_DEPTH_MAX	/* the slot of the one that is too many */

/* On stacks that are free: of this CPU, of another, and their own. */
static void spawn_all(struct co_stacked *skel)
{
	pin_to_cpu(1);
	ASSERT_EQ(co_spawn(skel, stacked, 2, 200), 1);
	pin_to_cpu(0);
	ASSERT_EQ(co_spawn(skel, stacked, 0, 0), 1);
	ASSERT_EQ(co_spawn(skel, stacked_own, 1, 100), 1);
	ASSERT_EQ(co_spawn(skel, stacked_own, 3, 300), 1);
	ASSERT_EQ(co_spawn(skel, stacked_own, TOP, 400), 1);
	ASSERT_EQ(co_spawn(skel, stacked_own, 7, 700), 1);
	ASSERT_EQ(co_do(skel, resume, .slot = 7).ret, COSTACK_YIELDED);
}

static void stack_up(struct co_stacked *skel)
{
	struct stats before, after;
	struct co_args a;
	int i, round;

	spawn_all(skel);
	for (round = 0; round < 10; round++) {
		ASSERT_EQ(co_spawn(skel, stacked_own, 6, 600), 1);
		memset(skel->bss->ret, 0x55, sizeof(skel->bss->ret));
		skel->bss->cancel_new = -1;
		stats_read(&before);
		skel->bss->level = 1;
		a = co_do(skel, resume);
		skel->bss->level = 0;
		stats_read(&after);
		ASSERT_EQ(a.ret, COSTACK_YIELDED);
		if (!ASSERT_EQ(a.result, round))
			break;
		for (i = 1; i < TOP; i++) {
			ASSERT_EQ(skel->bss->ret[i], COSTACK_YIELDED);
			ASSERT_EQ(skel->bss->result[i], 100 * i + round);
		}
		ASSERT_EQ(skel->bss->ret[TOP], -EBUSY);
		ASSERT_EQ(after.co_resumed - before.co_resumed, TOP);
		/* It is too many, not in anybody's way. */
		ASSERT_EQ(after.co_busy, before.co_busy);
		/* What needs no run can be done; what does is as busy. */
		ASSERT_EQ(skel->bss->spawned, 1);
		ASSERT_EQ(skel->bss->cancel_new, 0);
		ASSERT_EQ(skel->bss->state_new, COSTACK_FINISHED);
		ASSERT_EQ(skel->bss->cancel_suspended, -EBUSY);
		ASSERT_EQ(after.co_cancelled, before.co_cancelled);
	}
	/* Nothing of it happened to the last one; that to be cancelled ends when it runs. */
	ASSERT_EQ(co_do(skel, resume, .slot = TOP).result, 400);
	ASSERT_EQ(co_do(skel, state, .slot = 7).ret, COSTACK_SUSPENDED);
	a = co_do(skel, resume, .slot = 7);
	ASSERT_EQ(a.ret, COSTACK_DONE);
	ASSERT_EQ(a.result, CO_CANCELLED);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(co_do(skel, resume, .slot = i).result, 100 * i + 10);
	for (i = 0; i < 8; i++)
		co_do(skel, release, .slot = i);
	ASSERT_TRUE(wait_coroutines(0));
}

TEST(co_stacked, .cpus = 2)
{
	struct co_stacked *skel = co_stacked__open_and_load();
	struct bpf_link *ops[2], *links[TOP] = {};
	int i;

	if (!ASSERT_PTR(skel))
		return;
	struct bpf_program *update[] = {
		skel->progs.on_update_1, skel->progs.on_update_2, skel->progs.on_update_3,
		skel->progs.on_update_4,
	};
	struct bpf_program *resume[] = {
		skel->progs.on_resume_1, skel->progs.on_resume_2, skel->progs.on_resume_3,
		skel->progs.on_resume_4,
	};

	ops[0] = bpf_map__attach_struct_ops(skel->maps.stacked_ops);
	ops[1] = bpf_map__attach_struct_ops(skel->maps.stacked_own_ops);
	ASSERT_PTR(ops[0]);
	ASSERT_PTR(ops[1]);
	skel->bss->watched = syscall(SYS_gettid);
	skel->bss->new_type = co_type(skel, stacked_own);
	if (subtest_begin("function")) {
		for (i = 0; i < TOP; i++)
			ASSERT_PTR(links[i] = bpf_program__attach(update[i]));
		stack_up(skel);
		for (i = 0; i < TOP; i++)
			bpf_link__destroy(links[i]);
		subtest_end();
	}
	if (subtest_begin("tracepoint")) {
		for (i = 0; i < TOP; i++)
			ASSERT_PTR(links[i] = bpf_program__attach(resume[i]));
		stack_up(skel);
		for (i = 0; i < TOP; i++)
			bpf_link__destroy(links[i]);
		subtest_end();
	}
	bpf_link__destroy(ops[0]);
	bpf_link__destroy(ops[1]);
	co_stacked__destroy(skel);
}
