/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The switch between two stacks, and where a new one begins. The order of what is on
 * the stack is known to costack_switch_init().
 */
#include <linux/linkage.h>
#include <linux/stringify.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/asm-offsets.h>
#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/unwind_hints.h>

/*
 * void costack_switch_asm(unsigned long *save, const unsigned long *load)
 *
 * The return stack buffer predicts returns of the stack that is left. What is in it are
 * addresses of the kernel, and beneath them of the user who entered it. The kernel's own
 * switch fills the buffer where RSB_CTXSW says so; as to a switch within one task,
 * Documentation/admin-guide/hw-vuln/rsb.rst has it that SMEP prevents what a user could
 * have put there from being run, and that underflows are not cured by filling. So it
 * is filled where there is no SMEP.
 */
SYM_FUNC_START(costack_switch_asm)
	pushq	%rbp
	movq	%rsp, (%rdi)
	movq	(%rsi), %rsp
	ALTERNATIVE_2 "jmp .Lfilled", \
		      __stringify(__FILL_RETURN_BUFFER(%r12, RSB_CLEAR_LOOPS)), \
		      X86_FEATURE_RSB_CTXSW, \
		      "jmp .Lfilled", X86_FEATURE_SMEP
.Lfilled:
	popq	%rbp
	RET
SYM_FUNC_END(costack_switch_asm)
_ASM_NOKPROBE(costack_switch_asm)

/* Reached by the RET above, not by an indirect branch: no ENDBR. */
SYM_CODE_START(costack_switch_entry)
	UNWIND_HINT_UNDEFINED
	ANNOTATE_NOENDBR
	movq	%rbp, %rdi
	xorl	%ebp, %ebp
	call	costack_co_main
	/* Nobody resumes what is finished. */
	ud2
SYM_CODE_END(costack_switch_entry)
