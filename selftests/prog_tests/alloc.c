// SPDX-License-Identifier: GPL-2.0
/* Sizes and flags: what is given, what is refused, and what that is counted as. */
#include "stacks.h"

static const struct {
	u32 ask, get, get_guarded;
} sizes[] = {
	{ 1, 512, 4096 },	   { 511, 512, 4096 },	     { 512, 512, 4096 },
	{ 513, 1024, 4096 },	   { 1024, 1024, 4096 },     { 1025, 2048, 4096 },
	{ 2048, 2048, 4096 },	   { 2049, 4096, 4096 },     { 4096, 4096, 4096 },
	{ 4097, 8192, 8192 },	   { 8192, 8192, 8192 },     { 8193, 16384, 16384 },
	{ 16384, 16384, 16384 },   { 16385, 32768, 32768 },  { 32768, 32768, 32768 },
	{ 32769, 65536, 65536 },   { 65535, 65536, 65536 },  { 65536, 65536, 65536 },
};

TEST(alloc_sizes)
{
	struct stacks *skel = stacks__open_and_load();
	struct stack_args a;
	unsigned int i, mode;

	if (!ASSERT_PTR(skel))
		return;
	for (mode = MODE_SLEEPABLE; mode <= MODE_NOLOCK; mode++) {
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			a = stacks_do(skel, take, .mode = mode, .size = sizes[i].ask);
			ASSERT_EQ(a.done, 1);
			ASSERT_EQ(a.usable, sizes[i].get);
			a = stacks_do(skel, take, .mode = mode, .size = sizes[i].ask,
				      .flags = COSTACK_F_GUARD);
			ASSERT_EQ(a.done, 1);
			ASSERT_EQ(a.usable, sizes[i].get_guarded);
		}
	}
	stacks__destroy(skel);
}

/* Nothing is allocated, and what was wrong is counted. */
static void refused(struct stacks *skel, u32 mode, u32 size, u64 flags, bool is_size)
{
	struct stats before, after;
	struct stack_args a;

	stats_read(&before);
	a = stacks_do(skel, take, .mode = mode, .size = size, .flags = flags);
	stats_read(&after);
	if (!ASSERT_EQ(a.done, 0) || !ASSERT_EQ(after.allocs, before.allocs) ||
	    !ASSERT_EQ(after.live, before.live) ||
	    !ASSERT_EQ(after.fail_size - before.fail_size, is_size) ||
	    !ASSERT_EQ(after.fail_flags - before.fail_flags, !is_size) ||
	    !ASSERT_EQ(after.fail_limit + after.fail_nomem + after.fail_empty,
		       before.fail_limit + before.fail_nomem + before.fail_empty))
		test_note("size %u flags %llx %s", size, flags, mode_names[mode]);
}

TEST(alloc_refused)
{
	struct stacks *skel = stacks__open_and_load();
	unsigned int mode;

	if (!ASSERT_PTR(skel))
		return;
	for (mode = MODE_SLEEPABLE; mode <= MODE_NOLOCK; mode++) {
		refused(skel, mode, 0, 0, true);
		refused(skel, mode, 65537, 0, true);
		refused(skel, mode, 131072, COSTACK_F_GUARD, true);
		refused(skel, mode, 0x80000000, 0, true);
		refused(skel, mode, 0xffffffff, 0, true);
		refused(skel, mode, 512, 2, false);
		refused(skel, mode, 512, COSTACK_F_GUARD | 2, false);
		refused(skel, mode, 512, 1ULL << 32, false);
		refused(skel, mode, 512, 1ULL << 63, false);
		refused(skel, mode, 512, ~0ULL, false);
	}
	stacks__destroy(skel);
}

/* The kfunc says what debugfs says. */
TEST(alloc_counters)
{
	struct stacks *skel = stacks__open_and_load();
	struct stats s;
	unsigned int i;

	if (!ASSERT_PTR(skel))
		return;
	stacks_do(skel, take, .size = 4096, .count = 100);
	stacks_do(skel, put, .slot = 10, .count = 50);
	stacks_do(skel, take, .size = 0);
	wait_quiet();
	stats_read(&s);

	const long long want[COSTACK_CNT_MAX] = {
		[COSTACK_CNT_LIVE] = s.live,
		[COSTACK_CNT_CACHED] = s.cached,
		[COSTACK_CNT_OBTAINED] = s.obtained,
		[COSTACK_CNT_RETURNED] = s.returned,
		[COSTACK_CNT_ALLOCS] = s.allocs,
		[COSTACK_CNT_FREES] = s.frees,
		[COSTACK_CNT_MISSES] = s.misses,
		[COSTACK_CNT_FAILS] = s.fail_size + s.fail_flags + s.fail_limit + s.fail_nomem +
				      s.fail_empty,
		[COSTACK_CNT_BYTES] = s.obtained_bytes - s.returned_bytes,
	};

	ASSERT_EQ(s.live, 50);
	for (i = 0; i < COSTACK_CNT_MAX; i++) {
		if (!ASSERT_EQ(stacks_do(skel, counter, .off = i).result, want[i]))
			test_note("counter %u", i);
	}
	ASSERT_EQ(stacks_do(skel, counter, .off = COSTACK_CNT_MAX).result, -EINVAL);
	ASSERT_EQ(stacks_do(skel, counter, .off = 0xffffffff).result, -EINVAL);
	stacks__destroy(skel);
}
