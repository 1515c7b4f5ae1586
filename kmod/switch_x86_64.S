/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The switch between two stacks, and where a new one begins. The order of the
 * registers is known to costack_switch_init().
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>

/* void costack_switch(unsigned long *save, const unsigned long *load) */
SYM_FUNC_START(costack_switch)
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, (%rdi)
	movq	(%rsi), %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	RET
SYM_FUNC_END(costack_switch)
_ASM_NOKPROBE(costack_switch)

/* Reached by the RET above, not by an indirect branch: no ENDBR. */
SYM_CODE_START(costack_switch_entry)
	UNWIND_HINT_UNDEFINED
	ANNOTATE_NOENDBR
	movq	%rbx, %rdi
	call	costack_co_main
	ud2
SYM_CODE_END(costack_switch_entry)
