/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stacks: the handle's life and the memory behind it. Above the pool, below the
 * kfuncs; the interface for other modules (costack.h) is made here.
 */
#ifndef _COSTACK_STACK_H
#define _COSTACK_STACK_H

#include "costack.h"
#include "stats.h"

struct costack *costack_stack_alloc(u32 size, u64 flags, enum costack_mode mode,
				    enum costack_context context);
struct costack *costack_stack_alloc_unzeroed(u32 size, enum costack_backing backing,
					     enum costack_mode mode,
					     enum costack_context context);

#endif /* _COSTACK_STACK_H */
