/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters by context and cause, the latency histogram, and debugfs.
 */
#ifndef _COSTACK_STATS_H
#define _COSTACK_STATS_H

#include <linux/jump_label.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/types.h>

#include "pool.h"

/**
 * enum costack_cause - columns of what did not work
 * @COSTACK_STAT_FAIL_SIZE: refused: size 0 or over COSTACK_SIZE_MAX
 * @COSTACK_STAT_FAIL_FLAGS: refused: unknown flags
 * @COSTACK_STAT_FAIL_LIMIT: failed: the limit is reached
 * @COSTACK_STAT_FAIL_NOMEM: failed: the kernel had no memory
 * @COSTACK_STAT_FAIL_EMPTY: failed: pool empty, context cannot obtain
 * @COSTACK_NR_STATS: number of columns, those of &enum costack_source included
 */
enum costack_cause {
	COSTACK_STAT_FAIL_SIZE = COSTACK_NR_SOURCES,
	COSTACK_STAT_FAIL_FLAGS,
	COSTACK_STAT_FAIL_LIMIT,
	COSTACK_STAT_FAIL_NOMEM,
	COSTACK_STAT_FAIL_EMPTY,
	COSTACK_NR_STATS,
};

/**
 * enum costack_co_stat - what is counted of coroutines
 * @COSTACK_CO_SPAWNED: spawned
 * @COSTACK_CO_RESUMED: runs, from a resume to what ended it
 * @COSTACK_CO_CANCELLED: ended by cancelling
 * @COSTACK_CO_BUSY: runs refused, since the execution stack was in use
 * @COSTACK_CO_FAIL_TYPE: not spawned: no such type
 * @COSTACK_CO_FAIL_LIMIT: not spawned: the type's limit is reached
 * @COSTACK_CO_FAIL_MEMORY: not spawned: no memory, counted by its cause too
 * @COSTACK_NR_CO_STATS: how many there are
 */
enum costack_co_stat {
	COSTACK_CO_SPAWNED,
	COSTACK_CO_RESUMED,
	COSTACK_CO_CANCELLED,
	COSTACK_CO_BUSY,
	COSTACK_CO_FAIL_TYPE,
	COSTACK_CO_FAIL_LIMIT,
	COSTACK_CO_FAIL_MEMORY,
	COSTACK_NR_CO_STATS,
};

#define COSTACK_LATENCY_BUCKETS	32

/**
 * struct costack_cpu_stats - one CPU's counters
 * @count: by context and by source or cause; this_cpu_inc, any context. What comes from a
 *	CPU's magazines and what goes back there is counted by the pool.
 * @co: of coroutines; likewise
 * @latency: allocations by log2 of their nanoseconds; this_cpu_inc
 */
struct costack_cpu_stats {
	u64 count[COSTACK_NR_CONTEXTS][COSTACK_NR_STATS];
	unsigned long co[COSTACK_NR_CO_STATS];
	u64 latency[COSTACK_LATENCY_BUCKETS];
};

DECLARE_PER_CPU(struct costack_cpu_stats, costack_cpu_stats);
DECLARE_STATIC_KEY_FALSE(costack_latency_key);

/**
 * costack_context_now() - the context by the preemption count
 *
 * Never @COSTACK_CTX_SLEEPABLE: whether one may sleep cannot be read there.
 *
 * Context: any.
 * Return: one of the other four.
 */
static inline enum costack_context costack_context_now(void)
{
	unsigned int pc = preempt_count();

	if (likely(!(pc & (NMI_MASK | HARDIRQ_MASK | SOFTIRQ_OFFSET))))
		return COSTACK_CTX_PROCESS;
	if (pc & NMI_MASK)
		return COSTACK_CTX_NMI;
	return pc & HARDIRQ_MASK ? COSTACK_CTX_HARDIRQ : COSTACK_CTX_SOFTIRQ;
}

static inline void costack_stat_inc(enum costack_context context, unsigned int stat)
{
	this_cpu_inc(costack_cpu_stats.count[context][stat]);
}

/* Where a stack came from, unless the pool counts it. */
static inline void costack_stat_source(enum costack_context context, enum costack_source source)
{
	if (unlikely(source != COSTACK_SRC_MAGAZINE))
		costack_stat_inc(context, source);
}

static inline void costack_co_stat_inc(enum costack_co_stat stat)
{
	this_cpu_inc(costack_cpu_stats.co[stat]);
}

static inline unsigned long costack_co_stat_inc_return(enum costack_co_stat stat)
{
	return this_cpu_inc_return(costack_cpu_stats.co[stat]);
}

s64 costack_counter(u32 id);
void costack_latency_add(u64 ns);
void costack_stats_init(void);
void costack_stats_exit(void);

#endif /* _COSTACK_STATS_H */
