/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Unwind: arch_bpf_stack_walk() on an execution stack.
 *
 * The kernel's unwinder has a fixed list of stacks (get_stack_info()), on which an execution
 * stack is not. To most who unwind, that is an empty backtrace. bpf_throw() looks for its
 * program that way, and calls through a NULL pointer if it does not find it: no body can
 * call it, but a tracing program on top of a body can. And 7.3 asks which program it was
 * that an arena has no page for. So calls of arch_bpf_stack_walk() are seen by ftrace, as by
 * a livepatch, and those that are made on an execution stack are answered here.
 */
#ifndef _COSTACK_UNWIND_H
#define _COSTACK_UNWIND_H

#if defined(CONFIG_X86_64) && defined(CONFIG_UNWINDER_ORC) && !defined(CONFIG_PREEMPT_RT)

int costack_unwind_init(void);
void costack_unwind_exit(void);

#else

/*
 * There are no bodies, or the verifier refuses bpf_throw(), which x86 has with that unwinder
 * alone: bpf_jit_supports_exceptions().
 */
static inline int costack_unwind_init(void)
{
	return 0;
}

static inline void costack_unwind_exit(void)
{
}

#endif

#endif /* _COSTACK_UNWIND_H */
