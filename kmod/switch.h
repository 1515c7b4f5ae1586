/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Switch: the only part that knows the processor. An architecture has a file
 * switch_ARCH.S and a paragraph here; without them there are no coroutines, and all
 * the rest works.
 */
#ifndef _COSTACK_SWITCH_H
#define _COSTACK_SWITCH_H

#include <linux/compiler.h>
#include <linux/types.h>

struct costack_co;

/* Where a new stack's first switch ends up; runs the body and never returns. */
void costack_co_main(struct costack_co *co);

#ifdef CONFIG_X86_64
#define COSTACK_HAVE_SWITCH	1

/* More of the stack than the caller of costack_switch() sees: a return address, 6 registers. */
#define COSTACK_SWITCH_BYTES	56

/**
 * costack_switch() - go on with another stack
 * @save: where this stack's pointer is kept
 * @load: where the other's is, from costack_switch_init() or an earlier call's @save
 *
 * Saves what a called function has to save, and no more; it returns when somebody
 * switches back. What belongs to the task or the CPU is not touched: both stacks
 * are run by the same.
 *
 * The idea is __switch_to_asm() of arch/x86/entry/entry_64.S.
 *
 * Context: preemption disabled, not NMI.
 */
void costack_switch(unsigned long *save, const unsigned long *load);

/* Not called: the first costack_switch() to a new stack returns to it. */
void costack_switch_entry(void);

/**
 * costack_switch_init() - prepare a stack for its first switch
 * @top: its end, aligned to 16
 * @co: passed to costack_co_main()
 *
 * Context: any.
 * Return: what costack_switch() is to load.
 */
static inline unsigned long costack_switch_init(unsigned long top, struct costack_co *co)
{
	unsigned long *sp = (unsigned long *)top;

	*--sp = 0;				/* whoever unwinds is at the end */
	*--sp = 0;				/* keeps the alignment */
	*--sp = (unsigned long)costack_switch_entry;
	*--sp = 0;				/* rbp */
	*--sp = (unsigned long)co;		/* rbx */
	*--sp = 0;				/* r12 */
	*--sp = 0;				/* r13 */
	*--sp = 0;				/* r14 */
	*--sp = 0;				/* r15 */
	return (unsigned long)sp;
}

/* Copy whole words between a stack and where it is kept; small, and of any size. */
static __always_inline void costack_switch_copy(void *to, const void *from, unsigned long bytes)
{
	unsigned long words = bytes / sizeof(long);

	asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
}

#else

#define COSTACK_HAVE_SWITCH	0
#define COSTACK_SWITCH_BYTES	0

static inline void costack_switch(unsigned long *save, const unsigned long *load)
{
}

static inline unsigned long costack_switch_init(unsigned long top, struct costack_co *co)
{
	return 0;
}

static inline void costack_switch_copy(void *to, const void *from, unsigned long bytes)
{
}

#endif

#endif /* _COSTACK_SWITCH_H */
