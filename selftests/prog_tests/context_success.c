// SPDX-License-Identifier: GPL-2.0
/* Kinds of programs and the allocation that is right for each. */
#include "testing.h"
#include "context_success.skel.h"

TEST(context_success)
{
	RUN_TESTS(context_success);
}
