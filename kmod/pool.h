/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pool: stacks of one size class and one kind of memory, kept ready for any
 * context. Knows no BPF.
 *
 * Each stack has a handle of one cache line, struct costack, allocated with its
 * memory and kept with it, so that taking and giving back a stack never touches
 * the memory behind it.
 *
 *   CPU 0: loaded [a b c - - - -]        taken and given back here, LIFO
 *          prev   -> d -> e -> ...       a full magazine, so that a swing around
 *   CPU 1: ...                           a boundary does not go to the depot each time
 *   node:  depot  -> [magazine] -> [magazine] -> ...   exchanged whole
 *
 * That is Bonwick's magazine layer (J. Bonwick, J. Adams: Magazines and Vmem,
 * USENIX 2001). Why it is safe in NMI, in the slab allocator, and in a tracing program
 * that interrupts this very code: there is no lock.
 *
 * What is loaded lies in an array of slots. Taking a stack changes its slot to NULL, giving
 * one back changes a slot from NULL, each by one compare-and-exchange without the LOCK
 * prefix, since a CPU's slots are changed by that CPU alone (kernel/fork.c keeps the stacks of
 * threads that ended so, in two slots). Nothing is read through a stack before it is
 * owned, so there is no ABA: a stack that was taken and came back is as free as before. Nor
 * need preemption be disabled: each step uses the slots of the CPU that it runs on. The top, the
 * highest slot in use, is a hint: who is interrupted or migrated between a slot and
 * the top leaves it wrong. Whoever then finds its slot empty, or the one above in use,
 * looks at all of them, and sets it right.
 *
 * The depot's lists link magazines, and are common to all CPUs: their heads are pairs (first,
 * tag) changed by a 128-bit compare-and-exchange, and the tag counts changes, so that a
 * list that was popped and pushed in between is told apart. The link of a handle that
 * somebody else has just taken may be read; handles are type-stable (SLAB_TYPESAFE_BY_RCU)
 * and readers have preemption disabled, so this is a read of a stale link, and the exchange
 * then fails.
 *
 * The depot has two lists. Magazines are put on the hot one; once a period the
 * two change roles. What is still on the cold one when its period ends has not
 * been used for a whole period: it goes back to the kernel, down to the
 * target. There is never a moment in which the depot's stacks are on no list.
 *
 * Target: the reserve (the floor, a module parameter) or what the last period
 * took out of the depot, whichever is more (Bonwick's working set: the
 * lowest level of a period is what nobody needed). Refill and trim run
 * in a worker; any context asks for them through an irq_work.
 */
#ifndef _COSTACK_POOL_H
#define _COSTACK_POOL_H

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/cache.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/refcount.h>
#include <linux/types.h>

#include "../bpf/costack_types.h"
#include "backing.h"

#define COSTACK_NR_CLASSES	8	/* 512 bytes << 0..7 */
#define COSTACK_NR_CO_CLASSES	4	/* of these, what a suspended coroutine can keep */

/* Stacks in a full magazine, at most. */
#define COSTACK_MAGAZINE_MAX	32

struct costack;
struct costack_handles;
struct costack_pcp;
struct costack_pool;

/**
 * struct costack_handle_type - handles that are more than a &struct costack
 * @size: bytes of one; it begins with a &struct costack
 * @born: called when one has got its memory from the kernel; any context, NMI included
 * @dies: called before that memory goes back; process context, may be in reclaim
 *
 * A handle lies zeroed when it is born and is never cleared after that: what the
 * layer above keeps in it outlasts its stays in the pool.
 */
struct costack_handle_type {
	unsigned int size;
	void (*born)(struct costack *cs);
	void (*dies)(struct costack *cs);
};

/**
 * struct costack - handle of one stack
 * @next: link of the magazine the stack is in, unless that is loaded; the holder's otherwise
 * @mem: the stack's memory; constant
 * @size: bytes at @mem; constant
 * @dirty: bytes from the start of @mem that may differ from zero; only grows
 *	(cmpxchg) while the stack is held, reset by the next allocation
 * @ref: references; 0 in the pool
 * @chain_count: stacks in the magazine of which this is the first; written
 *	before the magazine is published, by its only owner
 * @chain_next: next magazine in the depot; as @chain_count
 * @pool: where the stack belongs; constant
 * @pcp: that of @pool; constant
 * @allocator: for costack_backing_return(); constant
 *
 * For BPF programs this is an opaque type; they hold it as a referenced kptr.
 */
struct costack {
	struct costack *next;
	void *mem;
	u32 size;
	u32 dirty;
	refcount_t ref;
	u32 chain_count;
	struct costack *chain_next;
	struct costack_pool *pool;
	struct costack_pcp __percpu *pcp;
	u8 allocator;
} ____cacheline_aligned;

/**
 * union costack_head - head of a lock-free list
 * @first: first handle, or NULL
 * @tag: number of changes
 * @full: both, for the 128-bit exchange
 */
union costack_head {
	struct {
		struct costack *first;
		u64 tag;
	};
	u128 full;
};

/**
 * enum costack_context - rows of the debugfs file contexts
 * @COSTACK_CTX_SLEEPABLE: process context, allowed to sleep
 * @COSTACK_CTX_PROCESS: process context, not allowed to sleep
 * @COSTACK_CTX_SOFTIRQ: serving a softirq
 * @COSTACK_CTX_HARDIRQ: serving an interrupt
 * @COSTACK_CTX_NMI: serving an NMI
 * @COSTACK_NR_CONTEXTS: how many there are
 */
enum costack_context {
	COSTACK_CTX_SLEEPABLE,
	COSTACK_CTX_PROCESS,
	COSTACK_CTX_SOFTIRQ,
	COSTACK_CTX_HARDIRQ,
	COSTACK_CTX_NMI,
	COSTACK_NR_CONTEXTS,
};

/**
 * struct costack_pcp - one CPU's share of a pool
 * @top: index of the highest slot in use, 0 when there is none: a hint; this_cpu_write
 * @hits: stacks handed out from this CPU's two magazines, by context; this_cpu_inc, perhaps of
 *	the CPU that one has migrated to meanwhile: sums over all CPUs are exact
 * @others: stacks handed out on this CPU from elsewhere; this_cpu_inc
 * @prev: a whole magazine, or NULL; changed by this CPU alone, this_cpu_xchg
 * @frees: stacks given back on this CPU, by context; as @hits
 * @seen: @hits, @others and @frees when the trim worker last looked; the worker's
 * @slot: what is loaded, in slots 1 to the pool's magazine; changed by this CPU
 *	alone, any context, this_cpu_try_cmpxchg; by another CPU once this one is dead. The slots at
 *	both ends are constant: the first is empty, and the one behind the last is not, so
 *	that neither end needs to be looked for.
 */
struct costack_pcp {
	unsigned long top;
	u64 hits[COSTACK_NR_CONTEXTS];
	u64 others;
	struct costack *prev;
	u64 frees[COSTACK_NR_CONTEXTS];
	u64 seen;
	struct costack *slot[COSTACK_MAGAZINE_MAX + 2];
} ____cacheline_aligned;

/**
 * struct costack_depot - the shared magazines of one NUMA node
 * @list: hot and cold magazines; try_cmpxchg128
 * @hot: index of the hot list; written by the trim worker
 * @nid: the node; constant
 * @count: stacks on both lists; raised before a magazine is put there, lowered
 *	after it was taken
 * @misses: allocations since the last period that found the depot empty
 * @low: lowest @count in this period; a racy minimum, an estimate
 * @start: @count when this period began; the trim worker's
 * @target: stacks to keep ready; written by the worker
 */
struct costack_depot {
	union costack_head list[2];
	unsigned int hot;
	int nid;
	atomic_t count ____cacheline_aligned;
	atomic_t misses;
	int low;
	int start;
	int target;
};

/**
 * struct costack_pool - all stacks of one class and backing
 * @pcp: per CPU
 * @depot: per NUMA node, nr_node_ids of them
 * @handles: where its handles come from
 * @size: bytes of a stack; constant
 * @backing: kind of memory; constant
 * @magazine: stacks in a full magazine; constant
 * @reserve: floor of each depot; constant
 * @obtained: stacks obtained from the kernel, ever
 * @returned: stacks returned to the kernel, ever
 * @refilled: those of @obtained that the worker fetched ahead of demand
 * @grown: those of @obtained that an allocation fetched for itself
 * @trimmed: those of @returned that age or memory pressure sent back
 * @failed: allocations that got nothing
 */
struct costack_pool {
	struct costack_pcp __percpu *pcp;
	struct costack_depot **depot;
	struct costack_handles *handles;
	u32 size;
	enum costack_backing backing;
	u32 magazine;
	int reserve;
	atomic_long_t obtained ____cacheline_aligned;
	atomic_long_t returned;
	atomic_long_t refilled;
	atomic_long_t grown;
	atomic_long_t trimmed;
	atomic_long_t failed;
};

/**
 * enum costack_source - where an allocation was served from, or why it was not
 * @COSTACK_SRC_MAGAZINE: this CPU's magazines
 * @COSTACK_SRC_DEPOT: the depot
 * @COSTACK_SRC_KERNEL: obtained with GFP_KERNEL
 * @COSTACK_SRC_ATOMIC: obtained with GFP_ATOMIC
 * @COSTACK_SRC_NOLOCK: obtained with kmalloc_nolock()
 * @COSTACK_NR_SOURCES: how many sources there are
 * @COSTACK_FAIL_LIMIT: the limit on all stacks is reached
 * @COSTACK_FAIL_NOMEM: the kernel had no memory
 * @COSTACK_FAIL_EMPTY: the pool is empty and this context cannot obtain
 * @COSTACK_FAIL_SIZE: not a size that there is; decided above the pool
 * @COSTACK_FAIL_FLAGS: unknown flags; decided above the pool
 */
enum costack_source {
	COSTACK_SRC_MAGAZINE,
	COSTACK_SRC_DEPOT,
	COSTACK_SRC_KERNEL,
	COSTACK_SRC_ATOMIC,
	COSTACK_SRC_NOLOCK,
	COSTACK_NR_SOURCES,
	COSTACK_FAIL_LIMIT = COSTACK_NR_SOURCES,
	COSTACK_FAIL_NOMEM,
	COSTACK_FAIL_EMPTY,
	COSTACK_FAIL_SIZE,
	COSTACK_FAIL_FLAGS,
};

/**
 * struct costack_pool_config - what costack_pools_init() is told
 * @reserve: stacks kept ready, per class of kmalloc memory
 * @guard_reserve: the same for each class of guarded memory
 * @co_reserve: the same for each class of a coroutine's memory
 * @co_handle: handles of those
 * @limit: bytes that all stacks together may take
 * @trim_ms: length of a trim period in milliseconds
 */
struct costack_pool_config {
	unsigned int reserve[COSTACK_NR_CLASSES];
	unsigned int guard_reserve;
	unsigned int co_reserve;
	const struct costack_handle_type *co_handle;
	u64 limit;
	unsigned int trim_ms;
};

/**
 * struct costack_pool_sum - figures of one pool, or of all
 * @live: stacks held, by the counts of allocations and frees
 * @cached_cpu: stacks in CPU magazines, counted there
 * @cached_depot: stacks in depots, counted there
 * @obtained: as in &struct costack_pool
 * @returned: as in &struct costack_pool
 * @allocs: successful allocations
 * @frees: stacks given back
 * @refilled: as in &struct costack_pool
 * @grown: as in &struct costack_pool
 * @trimmed: as in &struct costack_pool
 * @failed: as in &struct costack_pool
 * @target: sum of the depots' targets
 *
 * At a quiet point @live + @cached_cpu + @cached_depot equals @obtained -
 * @returned; while others allocate, the parts are read one after another.
 */
struct costack_pool_sum {
	s64 live, cached_cpu, cached_depot;
	s64 obtained, returned;
	s64 allocs, frees;
	s64 refilled, grown, trimmed, failed;
	s64 target;
};

int costack_pools_init(const struct costack_pool_config *config);
void costack_pools_exit(void);

struct costack_pool *costack_pool_nth(unsigned int n);
struct costack *costack_pool_get(struct costack_pool *pool, enum costack_mode mode,
				 enum costack_context context, enum costack_source *source);
void costack_pool_put_slow(struct costack *cs, enum costack_context context);
void costack_pool_sum(struct costack_pool *pool, struct costack_pool_sum *sum);
int costack_pools_divert(void);
void costack_pools_undivert(void);
u64 costack_pools_count(enum costack_context context, bool freed);
u64 costack_pools_exchanges(u64 *retries);
u64 costack_pools_limit(void);
u64 costack_pools_bytes(void);

#define COSTACK_NR_POOLS	(COSTACK_NR_BACKINGS * COSTACK_NR_CLASSES)

extern struct costack_pool costack_pools[COSTACK_NR_POOLS];

/*
 * Where an allocation looks first: the CPUs' share of the pool of kmalloc memory for a size, by
 * costack_size_bit(). For what is no size, it is a share that is always empty, and so it is for
 * all while costack_pools_divert() has it: what is out of the ordinary is asked about behind
 * that, and costs nothing before. Written under costack_divert_lock; read without: what was
 * there just now will do.
 */
extern struct costack_pcp __percpu *costack_pcps[BITS_PER_TYPE(u32)];

/*
 * What every allocation and every release does, for its callers to have in line.
 */

/* The index of the highest bit of a size less one, the same for all of the smallest class. */
static __always_inline unsigned long costack_size_bit(u32 size)
{
	return __fls((size - 1) | (COSTACK_SIZE_MIN - 1));
}

/**
 * costack_pool_find() - the pool for stacks of a size
 * @size: bytes, 1 to COSTACK_SIZE_MAX
 * @backing: kind of memory
 *
 * Guarded memory comes in whole pages, so smaller sizes are rounded up to one.
 *
 * Context: any.
 * Return: the pool, whose stacks hold @size bytes or more.
 */
static inline struct costack_pool *costack_pool_find(u32 size, enum costack_backing backing)
{
	if (backing == COSTACK_BACKING_GUARD)
		size = max_t(u32, size, PAGE_SIZE);
	return costack_pools + backing * COSTACK_NR_CLASSES + costack_size_bit(size) -
	       costack_size_bit(COSTACK_SIZE_MIN);
}

/**
 * costack_pool_take() - take the stack at the top of what this CPU has loaded
 * @pcp: of the pool where from
 * @context: the row it is counted under
 *
 * The contents are what the last holder left.
 *
 * Context: any, NMI included.
 * Return: a stack that the caller owns, or NULL: costack_pool_get() looks further.
 */
static __always_inline struct costack *costack_pool_take(struct costack_pcp __percpu *pcp,
							 enum costack_context context)
{
	/* Sums, not indices, here and below: kernels with UBSAN check each of these. */
	unsigned long top = this_cpu_read(pcp->top);
	struct costack *cs = this_cpu_read(*(&pcp->slot[0] + top));

	if (unlikely(!cs || !this_cpu_try_cmpxchg(*(&pcp->slot[0] + top), &cs, NULL)))
		return NULL;
	this_cpu_write(pcp->top, top - 1);
	this_cpu_inc(*(&pcp->hits[0] + context));
	return cs;
}

/**
 * costack_pool_put() - give a stack back
 * @cs: the stack; not the caller's afterwards
 * @context: the row it is counted under
 *
 * On whatever CPU it was taken. Never calls an allocator.
 *
 * Context: any, NMI included.
 */
static __always_inline void costack_pool_put(struct costack *cs, enum costack_context context)
{
	struct costack_pcp __percpu *pcp = cs->pcp;
	unsigned long slot = this_cpu_read(pcp->top) + 1;
	struct costack *empty = NULL;

	if (unlikely(!this_cpu_try_cmpxchg(*(&pcp->slot[0] + slot), &empty, cs))) {
		costack_pool_put_slow(cs, context);
		return;
	}
	this_cpu_write(pcp->top, slot);
	/*
	 * Last: until then it counts as held. Pairs with costack_pool_sum(), which shall not see
	 * this, but not that it was taken before.
	 */
	smp_wmb();
	this_cpu_inc(*(&pcp->frees[0] + context));
}

#endif /* _COSTACK_POOL_H */
