// SPDX-License-Identifier: GPL-2.0
/* Frames at run time: what lies within the stack, what does not. */
#include "stacks.h"

static const u32 lens[] = { 1, 8, 512, 4096, 65536 };

TEST(frame_range)
{
	struct stacks *skel = stacks__open_and_load();
	unsigned int i, j;
	u32 size, len;

	if (!ASSERT_PTR(skel))
		return;
	for (size = COSTACK_SIZE_MIN; size <= COSTACK_SIZE_MAX; size *= 2) {
		stacks_do(skel, take, .size = size);
		for (i = 0; i < ARRAY_SIZE(lens); i++) {
			len = lens[i];
			/* Ends: the last that fits, one further, and where u32 wraps. */
			const struct {
				u32 off;
				bool fits;
			} cases[] = {
				{ 0, len <= size },
				{ size - len, len <= size },
				{ size - len + 1, false },
				{ size, false },
				{ 0u - len, false },
				{ 0u - len / 2 - 1, false },
				{ 0xffffffff, false },
				{ 0x80000000, false },
			};

			for (j = 0; j < ARRAY_SIZE(cases); j++) {
				if (!ASSERT_EQ(stacks_do(skel, frame, .off = cases[j].off,
							 .len = len).result, cases[j].fits))
					test_note("off %u len %u size %u", cases[j].off, len,
						  size);
			}
		}
		ASSERT_EQ(stacks_do(skel, frame_of_nothing, .off = 0).result, 0);
		ASSERT_EQ(stacks_do(skel, frame_of_nothing, .off = size).result, 0);
		stacks_do(skel, put);
	}
	stacks__destroy(skel);
}

/* What is written is read again; neighbours are not touched. */
TEST(frame_contents)
{
	struct stacks *skel = stacks__open_and_load();
	u32 size, n, i;

	if (!ASSERT_PTR(skel))
		return;
	for (size = COSTACK_SIZE_MIN; size <= COSTACK_SIZE_MAX; size *= 2) {
		n = 16;
		/* All words of this class' stacks that lie at their ends. */
		stacks_do(skel, take, .size = size, .count = n);
		for (i = 0; i < n; i++) {
			stacks_do(skel, write_word, .slot = i, .off = 0, .value = 1000 + i);
			stacks_do(skel, write_word, .slot = i, .off = size - 8,
				  .value = 2000 + i);
		}
		for (i = 0; i < n; i++) {
			ASSERT_EQ(stacks_do(skel, read_word, .slot = i, .off = 0).result,
				  1000 + i);
			ASSERT_EQ(stacks_do(skel, read_word, .slot = i, .off = size - 8).result,
				  2000 + i);
			ASSERT_EQ(stacks_do(skel, count_nonzero, .slot = i).result, 2);
		}
		stacks_do(skel, put, .count = n);
	}
	stacks__destroy(skel);
}
