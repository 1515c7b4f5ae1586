/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Switch: the only part that knows the processor. An architecture has a file
 * switch_ARCH.S and a paragraph here; without them there are no coroutines, and all
 * the rest works.
 */
#ifndef _COSTACK_SWITCH_H
#define _COSTACK_SWITCH_H

#include <linux/compiler.h>
#include <linux/kdebug.h>
#include <linux/types.h>

struct costack_co;

/* Where a new stack's first switch ends up; runs the body and never returns. */
void costack_co_main(struct costack_co *co);

#ifdef CONFIG_X86_64
#include <asm/trapnr.h>

#define COSTACK_HAVE_SWITCH	1

/* More of the stack than the caller of costack_switch() sees: a return address, rbp. */
#define COSTACK_SWITCH_BYTES	16

/* Not called from C. */
void costack_switch_asm(unsigned long *save, const unsigned long *load);
void costack_switch_entry(void);

/**
 * costack_switch() - go on with another stack
 * @save: where this stack's pointer is kept
 * @load: where the other's is, from costack_switch_init() or an earlier call
 *
 * It returns when somebody switches back. The compiler keeps what it needs of the
 * registers, by being told that all are lost: on both sides together that is half of
 * what a function would save that does not know its callers. What belongs to the task or
 * the CPU is not touched: both stacks are run by the same.
 *
 * The idea is __switch_to_asm() of arch/x86/entry/entry_64.S.
 *
 * Context: preemption disabled, not NMI.
 */
static __always_inline void costack_switch(unsigned long *save, const unsigned long *load)
{
	asm volatile("call costack_switch_asm"
		     : "+D" (save), "+S" (load), ASM_CALL_CONSTRAINT
		     :
		     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13",
		       "r14", "r15", "memory", "cc");
}

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
	*--sp = (unsigned long)co;		/* rbp */
	return (unsigned long)sp;
}

/* Copy whole words between a stack and where it is kept; small, and of any size. */
static __always_inline void costack_switch_copy(void *to, const void *from, unsigned long bytes)
{
	unsigned long words = bytes / sizeof(long);

	asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
}

/* Does the kernel die of a fault that could not be delivered? Where was the stack? */
static inline bool costack_switch_overflow(const struct die_args *args, unsigned long *sp)
{
	*sp = kernel_stack_pointer(args->regs);
	return args->trapnr == X86_TRAP_DF;
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

static inline bool costack_switch_overflow(const struct die_args *args, unsigned long *sp)
{
	return false;
}

#endif

#endif /* _COSTACK_SWITCH_H */
