/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Backing: where the memory of a stack comes from and goes back to. Knows
 * nothing of pools.
 */
#ifndef _COSTACK_BACKING_H
#define _COSTACK_BACKING_H

#include <linux/types.h>

/**
 * enum costack_backing - kinds of memory, each with pools of its own
 * @COSTACK_BACKING_KMALLOC: physically contiguous, no guard page
 * @COSTACK_BACKING_GUARD: virtually mapped, with an unmapped page behind it
 * @COSTACK_BACKING_COROUTINE: as kmalloc, for what a suspended coroutine keeps; its
 *	handles are larger
 * @COSTACK_NR_BACKINGS: how many there are
 */
enum costack_backing {
	COSTACK_BACKING_KMALLOC,
	COSTACK_BACKING_GUARD,
	COSTACK_BACKING_COROUTINE,
	COSTACK_NR_BACKINGS,
};

/**
 * enum costack_mode - what the caller's context allows
 * @COSTACK_MODE_NOLOCK: any context at all, NMI and the inside of the slab
 *	allocator included: no lock, no wake-up
 * @COSTACK_MODE_ATOMIC: may not sleep, but holds no lock of the allocator or
 *	of the scheduler
 * @COSTACK_MODE_SLEEPABLE: may sleep; memory is charged to the caller's cgroup
 * @COSTACK_MODE_REFILL: the pool's own worker: may sleep, does not try hard,
 *	charges nobody
 */
enum costack_mode {
	COSTACK_MODE_NOLOCK,
	COSTACK_MODE_ATOMIC,
	COSTACK_MODE_SLEEPABLE,
	COSTACK_MODE_REFILL,
};

/**
 * enum costack_allocator - who must take a piece of memory back
 * @COSTACK_ALLOCATOR_KMALLOC: kfree()
 * @COSTACK_ALLOCATOR_NOLOCK: kfree_nolock()
 * @COSTACK_ALLOCATOR_VMALLOC: vfree()
 */
enum costack_allocator {
	COSTACK_ALLOCATOR_KMALLOC,
	COSTACK_ALLOCATOR_NOLOCK,
	COSTACK_ALLOCATOR_VMALLOC,
};

/* Largest request that does not depend on luck in the page allocator's zone lock. */
#define COSTACK_ATOMIC_MAX	32768U

bool costack_backing_can(enum costack_backing backing, enum costack_mode mode,
			 size_t size);
void *costack_backing_obtain(enum costack_backing backing, enum costack_mode mode,
			     size_t size, int node, u8 *allocator);
void costack_backing_return(void *mem, u8 allocator);

#endif /* _COSTACK_BACKING_H */
