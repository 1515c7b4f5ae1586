// SPDX-License-Identifier: GPL-2.0
/* The allocation is traced by programs that allocate. */
#include "stacks.h"
#include "recursion.skel.h"

/* A round is thousands of allocations: each program runs within each other one. */
#define ROUNDS	10

TEST(recursion)
{
	struct recursion *recursion = recursion__open_and_load();
	struct stacks *skel = stacks__open_and_load();
	struct stack_args a;
	unsigned int i;

	if (!ASSERT_PTR(recursion) || !ASSERT_PTR(skel))
		goto out;
	if (!ASSERT_OK(recursion__attach(recursion)))
		goto out;
	a = stacks_do(skel, cycle, .mode = MODE_SLEEPABLE, .size = 1024, .count = ROUNDS);
	ASSERT_EQ(a.done, ROUNDS);
	a = stacks_do(skel, cycle, .mode = MODE_ATOMIC, .size = 1024, .count = ROUNDS);
	ASSERT_EQ(a.done, ROUNDS);
	a = stacks_do(skel, cycle, .mode = MODE_NOLOCK, .size = 1024, .count = ROUNDS);
	ASSERT_EQ(a.done, ROUNDS);
	recursion__detach(recursion);
	/* Each ran for each allocation, or the kernel's guard against recursion held it off. */
	for (i = 0; i < ARRAY_SIZE(recursion->bss->ran); i++) {
		if (!ASSERT_GE(recursion->bss->ran[i], 3 * ROUNDS))
			test_note("program %u", i);
	}
	ASSERT_GE(recursion->bss->got, 8 * 3 * ROUNDS);
	ASSERT_TRUE(wait_live(0));
out:
	recursion__destroy(recursion);
	stacks__destroy(skel);
}
