// SPDX-License-Identifier: GPL-2.0
#include <linux/error-injection.h>
#include <linux/gfp.h>
#include <linux/numa.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "backing.h"
#include "compat.h"

/**
 * costack_backing_can() - may this context obtain memory of this kind at all?
 * @backing: kind of memory
 * @mode: what the caller's context allows
 * @size: bytes
 *
 * With PREEMPT_RT even GFP_ATOMIC takes sleeping locks, so there only callers
 * that may sleep obtain memory.
 *
 * Context: any.
 * Return: false when costack_backing_obtain() would fail for certain, so that
 * the caller need not prepare for it.
 */
bool costack_backing_can(enum costack_backing backing, enum costack_mode mode,
			 size_t size)
{
	switch (mode) {
	case COSTACK_MODE_SLEEPABLE:
	case COSTACK_MODE_REFILL:
		return true;
	case COSTACK_MODE_ATOMIC:
		return backing != COSTACK_BACKING_GUARD &&
		       size <= COSTACK_ATOMIC_MAX && !IS_ENABLED(CONFIG_PREEMPT_RT);
	case COSTACK_MODE_NOLOCK:
		return backing != COSTACK_BACKING_GUARD &&
		       size <= COSTACK_NOLOCK_MAX;
	}
	return false;
}

static gfp_t costack_mode_gfp(enum costack_mode mode)
{
	switch (mode) {
	case COSTACK_MODE_SLEEPABLE:
		return GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN;
	case COSTACK_MODE_REFILL:
		return GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN | __GFP_NORETRY;
	default:
		return GFP_ATOMIC | __GFP_ZERO | __GFP_NOWARN;
	}
}

/**
 * costack_backing_obtain() - get zeroed memory for one stack
 * @backing: kind of memory
 * @mode: what the caller's context allows
 * @size: bytes, a power of two; for @COSTACK_BACKING_GUARD a multiple of the
 *	page size
 * @node: NUMA node, or NUMA_NO_NODE; a wish (vmalloc takes the local one)
 * @allocator: written on success: what costack_backing_return() wants to know
 *
 * vmalloc leaves an unmapped page behind each area, so that a guarded stack
 * has one in front of it, its neighbour's, and one behind it.
 *
 * Context: as @mode says.
 * Return: the memory, or NULL.
 */
void *costack_backing_obtain(enum costack_backing backing, enum costack_mode mode,
			     size_t size, int node, u8 *allocator)
{
	if (!costack_backing_can(backing, mode, size))
		return NULL;
	if (backing == COSTACK_BACKING_GUARD) {
		*allocator = COSTACK_ALLOCATOR_VMALLOC;
		return __vmalloc(size, costack_mode_gfp(mode));
	}
	if (mode == COSTACK_MODE_NOLOCK) {
		*allocator = COSTACK_ALLOCATOR_NOLOCK;
		return kmalloc_nolock(size, __GFP_ZERO | __GFP_NOWARN, node);
	}
	*allocator = COSTACK_ALLOCATOR_KMALLOC;
	return kmalloc_node(size, costack_mode_gfp(mode), node);
}
ALLOW_ERROR_INJECTION(costack_backing_obtain, NULL);

/**
 * costack_backing_return() - give the memory of a stack back to the kernel
 * @mem: from costack_backing_obtain()
 * @allocator: what that call wrote
 *
 * Context: process, may sleep; from reclaim only for memory that is not
 * guarded (vfree() may take a mutex that vmalloc holds while it reclaims).
 */
void costack_backing_return(void *mem, u8 allocator)
{
	switch (allocator) {
	case COSTACK_ALLOCATOR_KMALLOC:
		kfree(mem);
		break;
	case COSTACK_ALLOCATOR_NOLOCK:
		kfree_nolock(mem);
		break;
	case COSTACK_ALLOCATOR_VMALLOC:
		vfree(mem);
		break;
	}
}
