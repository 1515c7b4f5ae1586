/* SPDX-License-Identifier: GPL-2.0 */
/* What aba.bpf.c and prog_tests/aba.c have in common. */
#ifndef __ABA_H
#define __ABA_H

#define CODE_MAX	1024
#define NR_SLOTS	256

#define ABA_MARK	0xababababababababULL
#define ABA_MAGAZINE	4	/* stacks of 64 KB in one */

/* Slots */
#define ABA_FIRST	0
#define ABA_SECOND	16
#define ABA_SPARE	32
#define ABA_OUTER	64	/* what the interrupted one got */
#define ABA_LATER	96	/* and those after it */

enum {
	ABA_NOTHING,
	ABA_CPU_SAME,	/* what the CPU has loaded looks as before */
	ABA_CPU_TAKEN,	/* what was seen is gone */
	ABA_CPU_FILLED,	/* a stack is where one was to be put */
	ABA_DEPOT_LIST,
};

struct aba_args {
	__u32 slot;
	__u32 count;
};

#endif /* __ABA_H */
