// SPDX-License-Identifier: GPL-2.0
/* What is refused when it is loaded, with what is said of it. */
#include "testing.h"
#include "co_bad.skel.h"
#include "co_bad_arena.skel.h"
#include "co_bad_module.skel.h"
#include "co_fail.skel.h"
#include "co_fail_ops.skel.h"

TEST(co_fail)
{
	RUN_TESTS(co_fail);
}

TEST(co_fail_ops)
{
	RUN_TESTS(co_fail_ops);
}

TEST(co_bad)
{
	RUN_TESTS(co_bad);
	RUN_TESTS(co_bad_arena);
}

TEST(co_bad_module)
{
	if (!ASSERT_OK(test_module_load("cos_kfunc")))
		return;
	RUN_TESTS(co_bad_module);
	ASSERT_OK(test_module_unload("cos_kfunc"));
}
