// SPDX-License-Identifier: GPL-2.0
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "stack.h"
#include "trace.h"

static struct costack *costack_stack_fail(u32 size, enum costack_context context,
					  enum costack_cause cause, enum costack_source why)
{
	costack_stat_inc(context, cause);
	trace_costack_alloc(NULL, size, context, why);
	return NULL;
}

/* A stack of the pool, its memory as the last holder left it. */
static struct costack *costack_stack_take(u32 size, enum costack_backing backing,
					  enum costack_mode mode, enum costack_context context)
{
	enum costack_source source;
	struct costack *cs;

	cs = costack_pool_get(costack_pool_find(size, backing), mode, context, &source);
	if (unlikely(!cs))
		return costack_stack_fail(size, context,
					  source - COSTACK_FAIL_LIMIT + COSTACK_STAT_FAIL_LIMIT,
					  source);
	refcount_set(&cs->ref, 1);
	costack_stat_source(context, source);
	trace_costack_alloc(cs, cs->size, context, source);
	return cs;
}

/**
 * costack_stack_clear() - clear what the last holder may have written
 * @cs: a stack that was just taken
 *
 * Context: any.
 * Return: @cs
 */
noinline struct costack *costack_stack_clear(struct costack *cs)
{
	memset(cs->mem, 0, cs->dirty);
	cs->dirty = 0;
	return cs;
}

/**
 * costack_stack_alloc_slow() - costack_stack_alloc() where something is out of the ordinary
 * @size: as there
 * @mode: as there
 * @flags: as there
 * @context: as there
 *
 * Context: as @mode says.
 * Return: as there.
 */
noinline struct costack *costack_stack_alloc_slow(u32 size, enum costack_mode mode, u64 flags,
						  enum costack_context context)
{
	struct costack *cs;
	u64 start = 0;

	if (size - 1 >= COSTACK_SIZE_MAX)
		return costack_stack_fail(size, context, COSTACK_STAT_FAIL_SIZE, COSTACK_FAIL_SIZE);
	if (flags & ~(u64)COSTACK_F_GUARD)
		return costack_stack_fail(size, context, COSTACK_STAT_FAIL_FLAGS,
					  COSTACK_FAIL_FLAGS);
	if (static_branch_unlikely(&costack_latency_key))
		start = ktime_get_mono_fast_ns();

	cs = costack_stack_take(size, flags & COSTACK_F_GUARD ? COSTACK_BACKING_GUARD :
								COSTACK_BACKING_KMALLOC,
				mode, context);
	if (cs)
		costack_stack_clear(cs);
	if (static_branch_unlikely(&costack_latency_key) && start && cs)
		costack_latency_add(ktime_get_mono_fast_ns() - start);
	return cs;
}

/**
 * costack_stack_put_traced() - give a stack back, with the tracepoint of a release
 * @cs: the stack, without references; not the caller's afterwards
 *
 * Context: any.
 */
noinline void costack_stack_put_traced(struct costack *cs)
{
	trace_costack_free(cs, cs->size, cs->dirty);
	costack_pool_put(cs, costack_context_now());
}

/**
 * costack_stack_alloc_unzeroed() - take a stack that no program sees
 * @size: bytes wanted, 1 to COSTACK_SIZE_MAX; rounded up to the class
 * @backing: kind of memory
 * @mode: what the caller's context allows
 * @context: the row it is counted under
 *
 * All of it counts as written to, and is cleared before a program sees it.
 *
 * Context: as @mode says.
 * Return: a stack with one reference, or NULL; the cause is counted.
 */
struct costack *costack_stack_alloc_unzeroed(u32 size, enum costack_backing backing,
					     enum costack_mode mode,
					     enum costack_context context)
{
	struct costack *cs = costack_stack_take(size, backing, mode, context);

	if (cs)
		cs->dirty = cs->size;
	return cs;
}

/* Apart from those who may not: what might_sleep() calls would have costack_alloc() keep things. */
static noinline struct costack *costack_alloc_sleepable(u32 size, u64 flags)
{
	might_sleep();
	return costack_stack_alloc(size, flags, COSTACK_MODE_SLEEPABLE, COSTACK_CTX_SLEEPABLE);
}

/* Its arguments are where those of costack_alloc() were. */
static noinline struct costack *costack_alloc_slow(u32 size, gfp_t gfp, u64 flags,
						   enum costack_context context)
{
	return costack_stack_alloc_slow(size,
					gfp && context != COSTACK_CTX_NMI ? COSTACK_MODE_ATOMIC :
									    COSTACK_MODE_NOLOCK,
					flags, context);
}

/**
 * costack_alloc() - take a stack, for kernel modules
 * @size: bytes wanted, 1 to COSTACK_SIZE_MAX; rounded up to a power of two
 * @gfp: GFP_KERNEL where the caller may sleep, GFP_ATOMIC where it may not, 0
 *	where a lock of the slab allocator or the scheduler may be held, or in NMI
 * @flags: &enum costack_flags
 *
 * Only these three values of @gfp have a meaning; others are taken for the next
 * weaker one.
 *
 * Context: as @gfp says.
 * Return: zeroed stack with one reference, to be given to costack_put(); or NULL.
 */
struct costack *costack_alloc(u32 size, gfp_t gfp, u64 flags)
{
	enum costack_context context;
	struct costack *cs;

	if (gfpflags_allow_blocking(gfp))
		return costack_alloc_sleepable(size, flags);
	context = costack_context_now();
	cs = costack_stack_take_hot(size, flags, context);
	if (unlikely(!cs))
		return costack_alloc_slow(size, gfp, flags, context);
	return costack_stack_hand_out(cs);
}
EXPORT_SYMBOL_GPL(costack_alloc);

/**
 * costack_get() - one more reference
 * @cs: stack to which the caller holds a reference
 *
 * Context: any.
 * Return: @cs.
 */
struct costack *costack_get(struct costack *cs)
{
	refcount_inc(&cs->ref);
	return cs;
}
EXPORT_SYMBOL_GPL(costack_get);

/**
 * costack_put() - give a reference back
 * @cs: stack to which the caller holds a reference; not to be used afterwards
 *
 * The last one gives the stack back to the pool of the CPU that this runs on.
 *
 * Context: any, NMI included.
 */
void costack_put(struct costack *cs)
{
	costack_stack_put(cs);
}
EXPORT_SYMBOL_GPL(costack_put);

/**
 * costack_size() - how large the stack really is
 * @cs: stack to which the caller holds a reference
 *
 * Context: any.
 * Return: bytes, at least what was asked for.
 */
u32 costack_size(const struct costack *cs)
{
	return cs->size;
}
EXPORT_SYMBOL_GPL(costack_size);

/**
 * costack_frame() - a part of the stack's memory
 * @cs: stack to which the caller holds a reference
 * @off: where it begins, in bytes
 * @size: its length in bytes, not 0
 *
 * What was handed out counts as written to, and is cleared before the next
 * holder sees it.
 *
 * Context: any.
 * Return: the part, valid while the reference is held; NULL when it does not lie
 * within the stack.
 */
void *costack_frame(struct costack *cs, u32 off, u32 size)
{
	u32 dirty = READ_ONCE(cs->dirty);
	u64 end = (u64)off + size;

	if (unlikely(!size || end > cs->size))
		return NULL;
	/* Two holders may do this at once; the mark must never fall back. */
	while (unlikely(end > dirty)) {
		if (try_cmpxchg(&cs->dirty, &dirty, (u32)end))
			break;
	}
	return cs->mem + off;
}
EXPORT_SYMBOL_GPL(costack_frame);
