// SPDX-License-Identifier: GPL-2.0
/* What is refused when it is loaded, with what is said of it. */
#include "testing.h"
#include "co_bad.skel.h"
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
}
