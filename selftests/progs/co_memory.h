/* SPDX-License-Identifier: GPL-2.0 */
/* What co_memory.bpf.c and the tests say to each other. */
#ifndef __PROGS_CO_MEMORY_H
#define __PROGS_CO_MEMORY_H

#define NR_KEPT		4096	/* stacks that can be kept */
#define PATTERN		0x5ec2e75ec2e75ec2ULL

enum { DEEP_YIELD, DEEP_READ, DEEP_READ_SOME, DEEP_SKIP, DEEP_CALL, NR_DEEP };

/* Whose stacks are taken now */
enum { NOBODY, COROUTINES, LOOKERS };

/* What the body starving says, being done with all that it tried in a run. */
#define STARVED		1000

#endif /* __PROGS_CO_MEMORY_H */
