/* SPDX-License-Identifier: GPL-2.0 */
/*
 * User Mode Linux, for what is measured there. Included before all else.
 */
#ifndef __UML_H
#define __UML_H

#include <linux/module.h>
#include <linux/percpu.h>

/*
 * A CPU's own counter is changed by one instruction on a machine. Here the generic code
 * disables interrupts for it, which is a system call's worth of work; without it, it is
 * what the compiler makes of an addition.
 */
#undef this_cpu_generic_to_op
#define this_cpu_generic_to_op(pcp, val, op)	raw_cpu_generic_to_op(pcp, val, op)
#undef this_cpu_generic_xchg
#define this_cpu_generic_xchg(pcp, new)		raw_cpu_generic_xchg(pcp, new)
#undef this_cpu_generic_cmpxchg
#define this_cpu_generic_cmpxchg(pcp, old, new)	raw_cpu_generic_cmpxchg(pcp, old, new)

/* And this is the instruction that it is on a machine. */
#undef this_cpu_generic_try_cmpxchg
#define this_cpu_generic_try_cmpxchg(pcp, ovalp, nval)			\
	try_cmpxchg_local(raw_cpu_ptr(&(pcp)), ovalp, nval)

/* Not that it is used. */
#define kernel_stack_pointer(regs)	user_stack_pointer(regs)

/* What kmod/compat.h asks for; there is no BPF here. */
#define CONFIG_DEBUG_INFO_BTF_MODULES	1

#endif /* __UML_H */
