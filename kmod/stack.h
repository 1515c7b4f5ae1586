/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stacks: the handle's life and the memory behind it. Above the pool, below the
 * kfuncs; the interface for other modules (costack.h) is made here.
 *
 * What an allocation and a release do when nothing is out of the ordinary is in line, down to
 * the pool's slots; all else is in a function that begins anew.
 */
#ifndef _COSTACK_STACK_H
#define _COSTACK_STACK_H

#include <linux/refcount.h>
#include <linux/string.h>
#include <linux/tracepoint-defs.h>

#include "costack.h"
#include "stats.h"

DECLARE_TRACEPOINT(costack_free);

struct costack *costack_stack_alloc_slow(u32 size, enum costack_mode mode, u64 flags,
					 enum costack_context context);
struct costack *costack_stack_alloc_unzeroed(u32 size, enum costack_backing backing,
					     enum costack_mode mode,
					     enum costack_context context);
struct costack *costack_stack_clear(struct costack *cs);
void costack_stack_put_traced(struct costack *cs);

/* What is tried first. Sizes that there are not find nothing. */
static __always_inline struct costack *costack_stack_take_hot(u32 size, u64 flags,
							      enum costack_context context)
{
	if (unlikely(flags))
		return NULL;
	return costack_pool_take(READ_ONCE(*(costack_pcps + costack_size_bit(size))), context);
}

/* Nothing has to be kept over a call: it is the last thing done. */
static __always_inline struct costack *costack_stack_hand_out(struct costack *cs)
{
	refcount_set(&cs->ref, 1);
	return cs->dirty ? costack_stack_clear(cs) : cs;
}

/**
 * costack_stack_alloc() - take a stack
 * @size: bytes wanted, 1 to COSTACK_SIZE_MAX; rounded up to the class
 * @flags: &enum costack_flags
 * @mode: what the caller's context allows
 * @context: the row it is counted under
 *
 * All of its memory reads as zero: memory comes zeroed from the kernel, and what
 * the last holder may have written is cleared here, no more than that.
 *
 * Context: as @mode says.
 * Return: a stack with one reference, or NULL; the cause is counted.
 */
static __always_inline struct costack *costack_stack_alloc(u32 size, u64 flags,
							   enum costack_mode mode,
							   enum costack_context context)
{
	struct costack *cs = costack_stack_take_hot(size, flags, context);

	if (unlikely(!cs))
		return costack_stack_alloc_slow(size, mode, flags, context);
	return costack_stack_hand_out(cs);
}

/**
 * costack_stack_put() - give a reference back
 * @cs: stack to which the caller holds a reference; not to be used afterwards
 *
 * The last one gives the stack back to the pool of the CPU that this runs on.
 *
 * Context: any, NMI included.
 */
static __always_inline void costack_stack_put(struct costack *cs)
{
	/* Nobody else can make another reference of the only one: no locked instruction. */
	if (likely(refcount_read(&cs->ref) == 1)) {
		smp_acquire__after_ctrl_dep();
		refcount_set(&cs->ref, 0);
	} else if (!refcount_dec_and_test(&cs->ref)) {
		return;
	}
	if (tracepoint_enabled(costack_free))
		costack_stack_put_traced(cs);
	else
		costack_pool_put(cs, costack_context_now());
}

#endif /* _COSTACK_STACK_H */
