// SPDX-License-Identifier: GPL-2.0
/* Kinds of programs and places where an allocation is refused. */
#include "testing.h"
#include "context_fail.skel.h"

TEST(context_fail)
{
	RUN_TESTS(context_fail);
}
