// SPDX-License-Identifier: GPL-2.0
/*
 * The end of a stack. The machine dies of these, so they are run when named, in
 * a guest of their own: see test.sh.
 */
#include <unistd.h>

#include "testing.h"
#include "cos_overflow.skel.h"

static void run(bool private)
{
	struct cos_overflow *skel = cos_overflow__open_and_load();
	struct bpf_map *ops;
	int retval = -1;

	if (!ASSERT_PTR(skel))
		return;
	ops = private ? skel->maps.over_private_ops : skel->maps.over_dense_ops;
	if (!ASSERT_PTR(bpf_map__attach_struct_ops(ops)))
		return;
	/* It works, as long as there is no probe. */
	ASSERT_OK(prog_run(private ? skel->progs.private : skel->progs.dense, NULL, 0, &retval));
	ASSERT_EQ(retval, COSTACK_DONE);
	if (!ASSERT_OK(test_module_load("cos_overflow")))
		return;
	prog_run(private ? skel->progs.private : skel->progs.dense, NULL, 0, &retval);
	test_fail(__FILE__, __LINE__, "the machine lives, the coroutine returned %d", retval);
}

TEST(cos_overflow_dense, .manual = true)
{
	run(false);
}

TEST(cos_overflow_private, .manual = true)
{
	run(true);
}
