/* SPDX-License-Identifier: GPL-2.0 */
/* What co_arena.bpf.c and the test say to each other. */
#ifndef __PROGS_CO_ARENA_H
#define __PROGS_CO_ARENA_H

#define ARENA_PAGES	16

/**
 * struct node - in a list in the arena
 * @value: becomes the sum of all up to it
 * @next: the next one, as user space has it; 0: none
 * @runs: of the bodies that came along
 */
struct node {
	__u64 value;
	__u64 next;
	__u32 runs;
};

#endif /* __PROGS_CO_ARENA_H */
