/* SPDX-License-Identifier: GPL-2.0 */
/* stacks.bpf.c from C: one call, one thing done. */
#ifndef __TEST_STACKS_H
#define __TEST_STACKS_H

#include "testing.h"
#include "progs/stacks.h"
#include "stacks.skel.h"

static const char * const mode_names[] = {
	[MODE_SLEEPABLE] = "sleepable",
	[MODE_ATOMIC] = "atomic",
	[MODE_NOLOCK] = "nolock",
};

/* Runs the program with what is in @args, and leaves there what it says. */
#define stacks_do(skel, what, ...)						\
({										\
	struct stack_args __args = { .count = 1, ##__VA_ARGS__ };		\
	int __err = prog_run((skel)->progs.what, &__args, sizeof(__args), NULL); \
	if (__err)								\
		test_fail(__FILE__, __LINE__, #what ": %s", strerror(-__err));	\
	__args;									\
})

#endif /* __TEST_STACKS_H */
