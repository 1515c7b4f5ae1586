// SPDX-License-Identifier: GPL-2.0
/* What the verifier refuses, with its message. */
#include "testing.h"
#include "kfunc_fail.skel.h"

TEST(kfunc_fail)
{
	RUN_TESTS(kfunc_fail);
}
