// SPDX-License-Identifier: GPL-2.0
/*
 * A stack reads as zero, whatever its last holder did, and no more of it is
 * cleared than that holder can have written to.
 */
#include <unistd.h>
#include <sys/syscall.h>

#include "stacks.h"

/* Write @value at @off, free, take again: the same memory, and it is zero. */
static void dirty_at(struct stacks *skel, u32 size, u64 flags, u32 off)
{
	struct stack_args a;
	u64 stack;

	stacks_do(skel, take, .mode = MODE_NOLOCK, .size = size, .flags = flags);
	stack = skel->bss->alloc_stack;
	a = stacks_do(skel, write_word, .off = off, .value = ~0ULL);
	ASSERT_EQ(a.done, 1);
	stacks_do(skel, put);
	ASSERT_EQ(skel->bss->free_stack, stack);
	if (!ASSERT_EQ(skel->bss->free_dirty, off + 8))
		test_note("size %u flags %llu off %u", size, flags, off);

	stacks_do(skel, take, .mode = MODE_NOLOCK, .size = size, .flags = flags);
	ASSERT_EQ(skel->bss->alloc_stack, stack);
	a = stacks_do(skel, count_nonzero);
	if (!ASSERT_EQ(a.done, a.usable / 8) || !ASSERT_EQ(a.result, 0))
		test_note("size %u flags %llu off %u", size, flags, off);
	stacks_do(skel, put);
	/* count_nonzero had it all in its hands */
	ASSERT_EQ(skel->bss->free_dirty, a.usable);

	/* Nobody wrote: nothing is to be cleared. */
	stacks_do(skel, take, .mode = MODE_NOLOCK, .size = size, .flags = flags);
	ASSERT_EQ(skel->bss->alloc_stack, stack);
	stacks_do(skel, put);
	ASSERT_EQ(skel->bss->free_dirty, 0);
}

static void run_class(u32 size, u64 flags)
{
	struct stacks *skel = stacks__open_and_load();

	if (!ASSERT_PTR(skel))
		return;
	skel->bss->watched = syscall(SYS_gettid);
	pin_to_cpu(0);
	if (ASSERT_OK(stacks__attach(skel))) {
		dirty_at(skel, size, flags, 0);
		dirty_at(skel, size, flags, 8);
		dirty_at(skel, size, flags, size / 4);
		dirty_at(skel, size, flags, size / 2 - 8);
		dirty_at(skel, size, flags, size - 8);
	}
	stacks__destroy(skel);
}

/* The trim worker must not take the stack out of the magazine meanwhile. */
TEST(zeroing, .params = "trim_ms=600000")
{
	u32 size;

	for (size = COSTACK_SIZE_MIN; size <= COSTACK_SIZE_MAX; size *= 2) {
		if (subtest_begin("kmalloc_%u", size)) {
			run_class(size, 0);
			subtest_end();
		}
		if (size >= 4096 && subtest_begin("guard_%u", size)) {
			run_class(size, COSTACK_F_GUARD);
			subtest_end();
		}
	}
}

/* Fresh from the kernel, by each way that there is: pools of their own are empty. */
TEST(zeroing_fresh, .params = "reserve=0,0,0,0,0,0,0,0 guard_reserve=0")
{
	struct stacks *skel = stacks__open_and_load();
	struct stack_args a;
	u32 size, mode, flags, slot = 0;
	int got = 0;

	if (!ASSERT_PTR(skel))
		return;
	for (size = COSTACK_SIZE_MIN; size <= COSTACK_SIZE_MAX; size *= 2) {
		for (mode = MODE_SLEEPABLE; mode <= 2 * MODE_NOLOCK + 1; mode++) {
			flags = mode > MODE_NOLOCK ? COSTACK_F_GUARD : 0;
			a = stacks_do(skel, take, .mode = mode % 3, .size = size, .flags = flags);
			/* without a reserve this one may fail, and says so */
			if (!a.done) {
				ASSERT_NE(mode % 3, MODE_SLEEPABLE);
				continue;
			}
			got++;
			a = stacks_do(skel, count_nonzero);
			/* Guarded ones are of a page at least. */
			ASSERT_EQ(a.done, max(size, flags ? 4096U : 0U) / 8);
			if (!ASSERT_EQ(a.result, 0))
				test_note("size %u mode %u", size, mode);
			/* kept: the next is a fresh one again */
			stacks_do(skel, share, .count = ++slot);
		}
	}
	/* The network path obtains up to 32 KB, sleepable programs guarded ones, too. */
	ASSERT_GE(got, 8 + 7 + 8);
	stacks__destroy(skel);
}
