// SPDX-License-Identifier: GPL-2.0
#include <linux/cleanup.h>
#include <linux/ftrace.h>
#include <linux/init.h>
#include <linux/kasan.h>
#include <linux/preempt.h>
#include <linux/string.h>
#include <asm/unwind.h>

#include "coroutine.h"
#include "unwind.h"

/* What is asked of each frame: shall it go on? */
typedef bool (*costack_frame_fn)(void *cookie, u64 ip, u64 sp, u64 bp);

static const char costack_walk_name[] = "arch_bpf_stack_walk";

/*
 * Frames that an exception leaves without a return leave their red zones. bpf_throw() clears
 * those of a task's stack, taking it to be aligned to its size.
 */
static void costack_unpoison(const struct costack_estack *es, unsigned long end)
{
#if defined(CONFIG_KASAN_GENERIC) && defined(CONFIG_KASAN_STACK)
	u8 *first = kasan_mem_to_shadow((void *)es->low);

	/* Not instrumented: there is no shadow of a shadow. */
	if (end > es->low && end <= es->top)
		__memset(first, 0, (u8 *)kasan_mem_to_shadow((void *)end) - first);
#endif
}

/*
 * arch_bpf_stack_walk() for the stack this runs on. The kernel's function is left by the
 * jump that brings its caller here, with its arguments.
 */
static void costack_unwind(costack_frame_fn consume_fn, void *cookie)
{
	const struct costack_estack *es = costack_co_estack(current_stack_pointer);
	struct unwind_state state = {
		.stack_info = {
			.type = STACK_TYPE_TASK,
			.begin = (unsigned long *)es->low,
			.end = (unsigned long *)es->top,
		},
		.task = current,
	};
	unsigned long addr;

	/* As __unwind_start(), which would look the stack up. */
	asm volatile("lea (%%rip), %0\n\t"
		     "mov %%rsp, %1\n\t"
		     "mov %%rbp, %2\n\t"
		     : "=r" (state.ip), "=r" (state.sp), "=r" (state.bp));
	/* The caller's frame is the first. */
	while (unwind_next_frame(&state)) {
		addr = unwind_get_return_address(&state);
		if (!addr)
			return;
		if (!consume_fn(cookie, addr, state.sp, state.bp)) {
			costack_unpoison(es, state.sp);
			return;
		}
	}
}

static void costack_unwind_here(unsigned long ip, unsigned long parent_ip,
				struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	/* On an execution stack it is off anyway. */
	guard(preempt_notrace)();
	if (costack_co_estack(ftrace_regs_get_stack_pointer(fregs)))
		ftrace_regs_set_instruction_pointer(fregs, (unsigned long)costack_unwind);
}

/*
 * Not FTRACE_OPS_FL_RECURSION: it calls nothing that is traced, and is not to be left out where
 * callbacks nest. Where others trace the same function, too, ftrace itself leaves all out from
 * the third on.
 */
static struct ftrace_ops costack_unwind_ops = {
	.func = costack_unwind_here,
	.flags = FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_PERMANENT,
};

/**
 * costack_unwind_init() - from now on bpf_throw() can be called on execution stacks
 *
 * Context: process, may sleep.
 * Return: 0; -EBUSY: ftrace is switched off (kernel.ftrace_enabled=0), or a livepatch or a
 * kprobe with a post_handler has that function; -EINVAL: there is none of that name, or, for
 * ftrace_set_filter() does not tell, no memory to look for it; others of
 * register_ftrace_function().
 */
int __init costack_unwind_init(void)
{
	int ret;

	ret = ftrace_set_filter(&costack_unwind_ops, (u8 *)costack_walk_name,
				sizeof(costack_walk_name) - 1, 1);
	if (!ret)
		ret = register_ftrace_function(&costack_unwind_ops);
	if (ret == -EBUSY)
		pr_err("ftrace cannot have calls of %s(): is kernel.ftrace_enabled 0, or has a livepatch or kprobe that function?\n",
		       costack_walk_name);
	else if (ret)
		pr_err("ftrace cannot have calls of %s(): error %d\n", costack_walk_name, ret);
	if (ret)
		ftrace_free_filter(&costack_unwind_ops);
	return ret;
}

/**
 * costack_unwind_exit() - undo costack_unwind_init()
 *
 * Context: process, may sleep; no body runs any more.
 */
void costack_unwind_exit(void)
{
	int ret = unregister_ftrace_function(&costack_unwind_ops);

	/* ftrace has given itself up, with a WARN, and leaves all as it is: for ever. */
	if (ret)
		pr_emerg("cannot leave %s() to the kernel: error %d; bpf_throw() will crash: reboot\n",
			 costack_walk_name, ret);
	else
		ftrace_free_filter(&costack_unwind_ops);
}
