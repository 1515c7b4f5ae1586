/* SPDX-License-Identifier: GPL-2.0 */
/* The stress test: what its two halves have of each other. */
#ifndef __STRESS_STRESS_H
#define __STRESS_STRESS_H

#include "testing.h"
#include "progs/stress.h"
#include "stress.skel.h"

extern struct stress *skel;
extern volatile bool stopped;	/* this round is over */
extern struct bpf_link *clocks[STRESS_CPUS];
extern bool skipped[NR_ROWS];	/* what this machine cannot do */

/* The same sequence for the same seed; each user has his own state. */
unsigned int choose(u64 *state, unsigned int n);

/* Those who disturb: begin, with types attached; end, before all others; and types gone, too. */
void disturb_begin(u64 seed);
void disturb_end(void);
void disturb_types_end(void);
/* Has each of them done something? */
bool disturbed(bool say);

#endif /* __STRESS_STRESS_H */
