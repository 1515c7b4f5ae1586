/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Unwind: bpf_throw() on an execution stack.
 *
 * The kernel's unwinder has a fixed list of stacks (get_stack_info()), on which an execution
 * stack is not. To most who unwind that is an empty backtrace. bpf_throw() looks for its
 * program that way, arch_bpf_stack_walk(), and calls through a NULL pointer if it does not
 * find it. No body can call it, but a tracing program on top of a body can. So calls of
 * that function are seen by ftrace, as by a livepatch, and those that are made on an
 * execution stack are answered here.
 */
#ifndef _COSTACK_UNWIND_H
#define _COSTACK_UNWIND_H

#if defined(CONFIG_UNWINDER_ORC) && !defined(CONFIG_PREEMPT_RT)

int costack_unwind_init(void);
void costack_unwind_exit(void);

#else

/*
 * Without the one the verifier refuses bpf_throw(), bpf_jit_supports_exceptions(); with the
 * other there are no bodies.
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
