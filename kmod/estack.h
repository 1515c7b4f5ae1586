/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Execution stacks: where bodies run. A CPU has two, one for its tasks and softirqs
 * and one for its interrupts, that all dense coroutines born there share; a private
 * coroutine has its own.
 *
 * Room: a body and what it calls take less than 2 KB. But an interrupt that arrives
 * while a body runs in a softirq is served on the body's stack, since the CPU's own
 * interrupt stack is in use beneath; a task's faults are, too. Hence 32 KB, with an
 * unmapped page behind the end: what runs over dies there, and is named.
 */
#ifndef _COSTACK_ESTACK_H
#define _COSTACK_ESTACK_H

#include <linux/atomic.h>
#include <linux/types.h>

#define COSTACK_ESTACK_SIZE	32768U

/* Unused words of an execution stack that is watched. */
#define COSTACK_PAINT		0x9a1d9a1d9a1d9a1dUL

/**
 * struct costack_estack - an execution stack
 * @taken: is it in use? Taken by cmpxchg, released by store
 * @low: lowest address; constant
 * @top: end; constant
 * @depth: bytes that were in use before it was last painted; the owner's
 */
struct costack_estack {
	atomic_t taken;
	unsigned long low;
	unsigned long top;
	u32 depth;
};

int costack_estacks_init(void);
void costack_estacks_exit(void);
struct costack_estack *costack_estack_here(void);
struct costack_estack *costack_estack_nth(unsigned int n, unsigned int *cpu, bool *irq);
bool costack_estack_wait(struct costack_estack *es);
int costack_estack_cpu(const struct costack_estack *es);
u32 costack_estack_depth(const struct costack_estack *es);

/**
 * costack_estack_lock() - take an execution stack if it is free
 * @es: the stack
 *
 * Context: preemption disabled.
 * Return: is it ours?
 */
static __always_inline bool costack_estack_lock(struct costack_estack *es)
{
	int old = 0;

	return atomic_try_cmpxchg_acquire(&es->taken, &old, 1);
}

static __always_inline void costack_estack_unlock(struct costack_estack *es)
{
	atomic_set_release(&es->taken, 0);
}

#endif /* _COSTACK_ESTACK_H */
