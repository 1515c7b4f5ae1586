// SPDX-License-Identifier: GPL-2.0
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/rcupdate.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/topology.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "pool.h"
#include "trace.h"

/* Handles without memory kept for contexts that may not ask the slab allocator. */
#define COSTACK_SPARE_HANDLES	64

/* What is in the slot behind the last one: nothing is put there. */
#define COSTACK_SLOT_END	((struct costack *)-1L)

/* A full magazine: this many bytes, within these bounds in stacks. */
#define COSTACK_MAGAZINE_BYTES	SZ_256K
#define COSTACK_MAGAZINE_MIN	4

struct costack_pool costack_pools[COSTACK_NR_POOLS];
struct costack_pcp __percpu *costack_pcps[BITS_PER_TYPE(u32)] __read_mostly;

/* Of no pool: nothing is in there, nor ever given back to it. */
static DEFINE_PER_CPU(struct costack_pcp, costack_pcp_empty);

static DEFINE_MUTEX(costack_divert_lock);	/* innermost */
static unsigned int costack_diverted;		/* how many want it; under that lock */

/**
 * struct costack_handles - handles of one type, apart from their memory
 * @cache: slab cache; set by init
 * @type: what is special about them, or NULL; set by init
 * @spares: handles without memory, each a magazine of one; changed as a depot's list is
 * @nr_spares: how many; raised before one is put there, lowered after one was taken
 */
struct costack_handles {
	struct kmem_cache *cache;
	const struct costack_handle_type *type;
	union costack_head spares;
	atomic_t nr_spares;
};

static struct costack_handles costack_handles;		/* of plain stacks */
static struct costack_handles costack_co_handles;	/* of coroutines */

static atomic64_t costack_bytes;	/* obtained and not returned; add before obtaining */
static u64 costack_limit __ro_after_init;
static unsigned long costack_trim_period __ro_after_init;	/* jiffies */

static struct workqueue_struct *costack_wq __ro_after_init;
static struct shrinker *costack_shrinker __ro_after_init;
static int costack_cpuhp_state __ro_after_init;

/* Nonzero while the trim worker is scheduled; read by whoever uses a depot. */
static atomic_t costack_trim_armed;

/* The worker's passes over the pools, trimming by age and by pressure: one at a time. */
static DEFINE_MUTEX(costack_trim_lock);

static void costack_kick(struct irq_work *work);
static void costack_refill_work(struct work_struct *work);
static void costack_trim_work(struct work_struct *work);

static struct irq_work costack_irq_work = IRQ_WORK_INIT_HARD(costack_kick);
static DECLARE_WORK(costack_refill, costack_refill_work);
static DECLARE_DELAYED_WORK(costack_trim, costack_trim_work);

static void costack_kick(struct irq_work *work)
{
	queue_work(costack_wq, &costack_refill);
	if (!atomic_xchg(&costack_trim_armed, 1))
		queue_delayed_work(costack_wq, &costack_trim, costack_trim_period);
}

/* Ask for the workers. Any context: irq_work_queue() takes no lock. */
static void costack_ask(void)
{
	irq_work_queue(&costack_irq_work);
}

/*
 * What this CPU has loaded. All of the following want preemption disabled: the slots are
 * those of one CPU. An interrupt may take or give back a stack at any point.
 */

/* The highest stack there is, wherever the top was thought to be. */
static struct costack *costack_slots_take(struct costack_pool *pool)
{
	struct costack_pcp __percpu *pcp = pool->pcp;
	struct costack *cs = NULL;
	u32 i;

	for (i = pool->magazine; i && !cs; i--) {
		cs = this_cpu_read(pcp->slot[i]);
		while (cs && !this_cpu_try_cmpxchg(pcp->slot[i], &cs, NULL))
			;
	}
	this_cpu_write(pcp->top, i);
	return cs;
}

/* Into the slot above the highest stack, or any; false when all are full. */
static bool costack_slots_put(struct costack_pool *pool, struct costack *cs)
{
	struct costack_pcp __percpu *pcp = pool->pcp;
	struct costack *empty;
	u32 i;

	for (i = pool->magazine; i && !this_cpu_read(pcp->slot[i]); i--)
		;
	for (i++; i <= pool->magazine; i++) {
		empty = NULL;
		if (this_cpu_try_cmpxchg(pcp->slot[i], &empty, cs)) {
			this_cpu_write(pcp->top, i);
			return true;
		}
	}
	/* A wrong top may have left holes. */
	for (i = pool->magazine; i; i--) {
		empty = this_cpu_read(pcp->slot[i]);
		if (!empty && this_cpu_try_cmpxchg(pcp->slot[i], &empty, cs)) {
			this_cpu_write(pcp->top, pool->magazine);
			return true;
		}
	}
	return false;
}

/* Load a chain, the first of it on top; what there is no slot for is left over. */
static struct costack *costack_slots_load(struct costack_pool *pool, struct costack *chain)
{
	struct costack_pcp __percpu *pcp = pool->pcp;
	u32 left = chain->chain_count, i, top = 0;
	struct costack *next, *empty;

	for (i = min(left, pool->magazine); chain && i; i--) {
		/* Who takes it from the slot may change its link at once. */
		next = chain->next;
		empty = NULL;
		if (!this_cpu_try_cmpxchg(pcp->slot[i], &empty, chain))
			continue;
		if (!top)
			top = i;
		chain = next;
		left--;
	}
	this_cpu_write(pcp->top, top);
	if (chain)
		WRITE_ONCE(chain->chain_count, left);
	return chain;
}

/* Make a magazine of all slots of a CPU: this one, or a dead one. */
static struct costack *costack_slots_unload(struct costack_pool *pool, struct costack_pcp *pcp)
{
	struct costack *chain = NULL, *cs;
	u32 i, n = 0;

	for (i = 1; i <= pool->magazine; i++) {
		cs = READ_ONCE(pcp->slot[i]);
		while (cs && !try_cmpxchg_local(&pcp->slot[i], &cs, NULL))
			;
		if (!cs)
			continue;
		WRITE_ONCE(cs->next, chain);
		chain = cs;
		n++;
	}
	WRITE_ONCE(pcp->top, 0);
	if (chain)
		WRITE_ONCE(chain->chain_count, n);
	return chain;
}

/*
 * Lists. Preemption is disabled: that is the RCU read-side section that keeps handles of the
 * right type while a stale link is read.
 */

/* How often lists were changed, and how often another CPU was faster; this_cpu_inc */
static DEFINE_PER_CPU(unsigned long, costack_exchanges);
static DEFINE_PER_CPU(unsigned long, costack_retries);

static bool costack_list_change(union costack_head *list, union costack_head *old,
				struct costack *first)
{
	union costack_head new;

	new.first = first;
	new.tag = old->tag + 1;
	if (likely(try_cmpxchg128(&list->full, &old->full, new.full))) {
		this_cpu_inc(costack_exchanges);
		return true;
	}
	this_cpu_inc(costack_retries);
	return false;
}

static void costack_list_push(union costack_head *list, struct costack *chain)
{
	union costack_head old;

	old.tag = READ_ONCE(list->tag);
	old.first = READ_ONCE(list->first);
	do {
		WRITE_ONCE(chain->chain_next, old.first);
	} while (!costack_list_change(list, &old, chain));
}

static struct costack *costack_list_pop(union costack_head *list)
{
	union costack_head old;

	old.tag = READ_ONCE(list->tag);
	old.first = READ_ONCE(list->first);
	do {
		if (!old.first)
			return NULL;
	} while (!costack_list_change(list, &old, READ_ONCE(old.first->chain_next)));
	return old.first;
}

/* Depot */

static void costack_depot_push(struct costack_depot *depot, struct costack *chain, bool cold)
{
	unsigned int hot = READ_ONCE(depot->hot);

	atomic_add(chain->chain_count, &depot->count);
	costack_list_push(&depot->list[cold ? !hot : hot], chain);
	if (!atomic_read(&costack_trim_armed))
		costack_ask();
}

static struct costack *costack_depot_pop(struct costack_depot *depot)
{
	unsigned int hot = READ_ONCE(depot->hot);
	struct costack *chain;
	int left;

	chain = costack_list_pop(&depot->list[hot]);
	if (!chain)
		chain = costack_list_pop(&depot->list[!hot]);
	if (!chain)
		return NULL;
	left = atomic_sub_return(chain->chain_count, &depot->count);
	if (left < READ_ONCE(depot->low))
		WRITE_ONCE(depot->low, left);
	if (left < READ_ONCE(depot->target) || !atomic_read(&costack_trim_armed))
		costack_ask();
	return chain;
}

static struct costack *costack_pool_pop_chain(struct costack_pool *pool)
{
	int home = numa_node_id(), nid;
	struct costack *chain;

	chain = costack_depot_pop(pool->depot[home]);
	if (chain || nr_node_ids == 1)
		return chain;
	for_each_node(nid) {
		if (nid == home)
			continue;
		chain = costack_depot_pop(pool->depot[nid]);
		if (chain)
			return chain;
	}
	return NULL;
}

/* Obtaining from and returning to the kernel */

static void costack_handle_init(struct costack *cs, struct costack_pool *pool)
{
	unsigned int rest = pool->handles->type ? pool->handles->type->size - sizeof(*cs) : 0;

	/* Somebody may still read a stale link of what this memory was before. */
	WRITE_ONCE(cs->next, NULL);
	WRITE_ONCE(cs->chain_next, NULL);
	WRITE_ONCE(cs->chain_count, 1);
	cs->mem = NULL;
	cs->size = pool->size;
	cs->dirty = 0;
	cs->pool = pool;
	cs->pcp = pool->pcp;
	refcount_set(&cs->ref, 0);
	memset(cs + 1, 0, rest);
}

static struct costack *costack_spare_get(struct costack_handles *handles)
{
	struct costack *cs;

	preempt_disable_notrace();
	cs = costack_list_pop(&handles->spares);
	preempt_enable_notrace();
	if (cs)
		atomic_dec(&handles->nr_spares);
	return cs;
}

static void costack_spare_put(struct costack_handles *handles, struct costack *cs)
{
	atomic_inc(&handles->nr_spares);
	preempt_disable_notrace();
	costack_list_push(&handles->spares, cs);
	preempt_enable_notrace();
}

static struct costack *costack_handle_get(struct costack_pool *pool, enum costack_mode mode,
					  int node)
{
	struct costack *cs;

	if (mode == COSTACK_MODE_NOLOCK) {
		cs = costack_spare_get(pool->handles);
	} else {
		gfp_t gfp = mode == COSTACK_MODE_ATOMIC ? GFP_ATOMIC : GFP_KERNEL;

		cs = kmem_cache_alloc_node(pool->handles->cache, gfp | __GFP_NOWARN, node);
	}
	if (cs)
		costack_handle_init(cs, pool);
	return cs;
}

/* Obtain one stack, counted; @source is written on failure only. */
static struct costack *costack_obtain(struct costack_pool *pool, enum costack_mode mode,
				      int node, enum costack_source *source)
{
	struct costack *cs;

	if (atomic64_add_return(pool->size, &costack_bytes) > costack_limit) {
		*source = COSTACK_FAIL_LIMIT;
		goto err_bytes;
	}
	*source = COSTACK_FAIL_NOMEM;
	cs = costack_handle_get(pool, mode, node);
	if (!cs)
		goto err_bytes;
	cs->mem = costack_backing_obtain(pool->backing, mode, pool->size, node, &cs->allocator);
	if (!cs->mem)
		goto err_handle;
	if (pool->handles->type)
		pool->handles->type->born(cs);
	atomic_long_inc(&pool->obtained);
	return cs;

err_handle:
	if (mode == COSTACK_MODE_NOLOCK)
		costack_spare_put(pool->handles, cs);
	else
		kmem_cache_free(pool->handles->cache, cs);
err_bytes:
	atomic64_sub(pool->size, &costack_bytes);
	return NULL;
}

/* Return the stacks of a chain to the kernel. Process context. */
static int costack_return_chain(struct costack *chain)
{
	struct costack_pool *pool = chain->pool;
	struct costack *next;
	int n = 0;

	for (; chain; chain = next, n++) {
		next = chain->next;
		if (pool->handles->type)
			pool->handles->type->dies(chain);
		costack_backing_return(chain->mem, chain->allocator);
		kmem_cache_free(pool->handles->cache, chain);
	}
	atomic64_sub((u64)n * pool->size, &costack_bytes);
	atomic_long_add(n, &pool->returned);
	return n;
}

/*
 * The depots could not serve: obtain from the kernel if the context can, and
 * let the depot know that it was too small.
 */
static struct costack *costack_pool_grow(struct costack_pool *pool, enum costack_mode mode,
					 enum costack_source *source)
{
	static const enum costack_source source_of_mode[] = {
		[COSTACK_MODE_NOLOCK] = COSTACK_SRC_NOLOCK,
		[COSTACK_MODE_ATOMIC] = COSTACK_SRC_ATOMIC,
		[COSTACK_MODE_SLEEPABLE] = COSTACK_SRC_KERNEL,
	};
	struct costack *cs = NULL;

	atomic_inc(&pool->depot[numa_node_id()]->misses);
	if (costack_backing_can(pool->backing, mode, pool->size))
		cs = costack_obtain(pool, mode, NUMA_NO_NODE, source);
	else
		*source = COSTACK_FAIL_EMPTY;
	/* Not before: a worker that had nothing to do would have seen nothing of it. */
	costack_ask();
	if (!cs) {
		atomic_long_inc(&pool->failed);
		return NULL;
	}
	atomic_long_inc(&pool->grown);
	this_cpu_inc(pool->pcp->others);
	*source = source_of_mode[mode];
	return cs;
}

/* What is loaded, wherever in the slots; or load a magazine, that of @prev first. */
static struct costack *costack_pool_get_loaded(struct costack_pool *pool,
					       enum costack_context context,
					       enum costack_source *source)
{
	struct costack *cs, *rest;

	preempt_disable_notrace();
	*source = COSTACK_SRC_MAGAZINE;
	cs = costack_slots_take(pool);
	if (!cs) {
		cs = this_cpu_xchg(pool->pcp->prev, NULL);
		if (!cs) {
			cs = costack_pool_pop_chain(pool);
			*source = COSTACK_SRC_DEPOT;
		}
		if (!cs)
			goto out;
		rest = cs->next;
		if (cs->chain_count > 1) {
			WRITE_ONCE(rest->chain_count, cs->chain_count - 1);
			/* An interrupt may have given stacks back meanwhile. */
			rest = costack_slots_load(pool, rest);
			if (rest)
				costack_depot_push(pool->depot[numa_node_id()], rest, false);
		}
	}
	if (*source == COSTACK_SRC_MAGAZINE)
		this_cpu_inc(pool->pcp->hits[context]);
	else
		this_cpu_inc(pool->pcp->others);
out:
	preempt_enable_notrace();
	return cs;
}

/**
 * costack_pool_get() - take a stack
 * @pool: where from
 * @mode: what the caller's context allows; decides what happens when the pool
 *	is empty
 * @context: the row it is counted under if it comes from this CPU's magazines; the
 *	caller counts all else
 * @source: written: where the stack is from, or why there is none
 *
 * The contents are what the last holder left.
 *
 * Context: any, NMI included, if @mode says so.
 * Return: a stack that the caller owns, or NULL.
 */
struct costack *costack_pool_get(struct costack_pool *pool, enum costack_mode mode,
				 enum costack_context context, enum costack_source *source)
{
	struct costack *cs = costack_pool_take(pool->pcp, context);

	*source = COSTACK_SRC_MAGAZINE;
	if (!cs)
		cs = costack_pool_get_loaded(pool, context, source);
	return cs ?: costack_pool_grow(pool, mode, source);
}

/**
 * costack_pool_put_slow() - give a stack back when the slot above the top is not empty
 * @cs: the stack; not the caller's afterwards
 * @context: the row it is counted under
 *
 * Context: any, NMI included.
 */
noinline void costack_pool_put_slow(struct costack *cs, enum costack_context context)
{
	struct costack_pool *pool = cs->pool;
	struct costack *chain;

	preempt_disable_notrace();
	while (!costack_slots_put(pool, cs)) {
		chain = costack_slots_unload(pool, this_cpu_ptr(pool->pcp));
		if (chain)
			chain = this_cpu_xchg(pool->pcp->prev, chain);
		if (chain)
			costack_depot_push(pool->depot[numa_node_id()], chain, false);
	}
	/* As in costack_pool_put(). */
	smp_wmb();
	this_cpu_inc(pool->pcp->frees[context]);
	preempt_enable_notrace();
}

/* Refill */

static void costack_spares_refill(struct costack_handles *handles)
{
	struct costack *cs;

	if (!COSTACK_NOLOCK_MAX)
		return;
	while (atomic_read(&handles->nr_spares) < COSTACK_SPARE_HANDLES) {
		cs = kmem_cache_alloc(handles->cache, GFP_KERNEL | __GFP_NOWARN);
		if (!cs)
			return;
		costack_spare_put(handles, cs);
	}
}

/* Obtain up to @n stacks as one chain and put it into the depot. */
static int costack_depot_refill(struct costack_pool *pool, struct costack_depot *depot, int n)
{
	struct costack *chain = NULL, *cs;
	enum costack_source ignored;
	int got;

	for (got = 0; got < n; got++) {
		cs = costack_obtain(pool, COSTACK_MODE_REFILL, depot->nid, &ignored);
		if (!cs)
			break;
		WRITE_ONCE(cs->next, chain);
		chain = cs;
	}
	if (!chain)
		return 0;
	WRITE_ONCE(chain->chain_count, got);
	preempt_disable_notrace();
	costack_depot_push(depot, chain, false);
	preempt_enable_notrace();
	atomic_long_add(got, &pool->refilled);
	trace_costack_refill(pool->size, pool->backing, depot->nid, got);
	return got;
}

/* The most that a depot keeps ready, however large the demand. */
static int costack_target_max(struct costack_pool *pool)
{
	return clamp_t(u64, costack_limit / (4 * pool->size), pool->reserve, INT_MAX / 2);
}

static void costack_refill_work(struct work_struct *work)
{
	struct costack_pool *pool;
	struct costack_depot *depot;
	int nid, want;
	unsigned int i;

	costack_spares_refill(&costack_handles);
	costack_spares_refill(&costack_co_handles);
	for (i = 0; i < COSTACK_NR_POOLS; i++) {
		pool = &costack_pools[i];
		if (!pool->pcp)
			continue;
		for_each_online_node(nid) {
			depot = pool->depot[nid];
			want = min(pool->reserve + atomic_read(&depot->misses),
				   costack_target_max(pool));
			if (want > READ_ONCE(depot->target))
				WRITE_ONCE(depot->target, want);
			do {
				want = READ_ONCE(depot->target) - atomic_read(&depot->count);
				want = min_t(int, want, pool->magazine);
			} while (want > 0 && costack_depot_refill(pool, depot, want));
			cond_resched();
		}
	}
}

/* Trim */

/* Return magazines to the kernel while the depot stays at @keep or above. */
static int costack_depot_trim(struct costack_pool *pool, struct costack_depot *depot,
			      unsigned int list, int keep, int max)
{
	struct costack *chain;
	int n = 0;

	while (n < max && atomic_read(&depot->count) > keep) {
		preempt_disable_notrace();
		chain = costack_list_pop(&depot->list[list]);
		preempt_enable_notrace();
		if (!chain)
			break;
		if (atomic_sub_return(chain->chain_count, &depot->count) < keep) {
			preempt_disable_notrace();
			atomic_add(chain->chain_count, &depot->count);
			costack_list_push(&depot->list[list], chain);
			preempt_enable_notrace();
			break;
		}
		n += costack_return_chain(chain);
		cond_resched();
	}
	if (n) {
		atomic_long_add(n, &pool->trimmed);
		trace_costack_trim(pool->size, pool->backing, depot->nid, n);
	}
	return n;
}

/* Stacks that a CPU has loaded. */
static u32 costack_pcp_loaded(struct costack_pool *pool, struct costack_pcp *pcp)
{
	u32 i, n = 0;

	for (i = 1; i <= pool->magazine; i++)
		n += !!READ_ONCE(pcp->slot[i]);
	return n;
}

/* How often something was taken or given back. */
static u64 costack_pcp_uses(struct costack_pcp *pcp)
{
	u64 uses = READ_ONCE(pcp->others);
	unsigned int i;

	for (i = 0; i < COSTACK_NR_CONTEXTS; i++)
		uses += READ_ONCE(pcp->hits[i]) + READ_ONCE(pcp->frees[i]);
	return uses;
}

static bool costack_pcp_idle(struct costack_pool *pool, struct costack_pcp *pcp)
{
	return costack_pcp_uses(pcp) == pcp->seen &&
	       (READ_ONCE(pcp->prev) || costack_pcp_loaded(pool, pcp));
}

/*
 * Empty this CPU's idle magazines into the cold lists: they have not been used
 * for a period. By IPI, with interrupts off.
 */
static void costack_flush_idle(void *unused)
{
	struct costack_pool *pool;
	struct costack *chain;
	struct costack_pcp *pcp;
	unsigned int i;

	for (i = 0; i < COSTACK_NR_POOLS; i++) {
		pool = &costack_pools[i];
		if (!pool->pcp)
			continue;
		pcp = this_cpu_ptr(pool->pcp);
		if (!costack_pcp_idle(pool, pcp))
			continue;
		chain = this_cpu_xchg(pool->pcp->prev, NULL);
		if (chain)
			costack_depot_push(pool->depot[numa_node_id()], chain, true);
		chain = costack_slots_unload(pool, pcp);
		if (chain)
			costack_depot_push(pool->depot[numa_node_id()], chain, true);
	}
}

static bool costack_cpu_idle(unsigned int cpu)
{
	struct costack_pool *pool;
	unsigned int i;

	for (i = 0; i < COSTACK_NR_POOLS; i++) {
		pool = &costack_pools[i];
		if (pool->pcp && costack_pcp_idle(pool, per_cpu_ptr(pool->pcp, cpu)))
			return true;
	}
	return false;
}

static void costack_flush_cpus(void)
{
	struct costack_pcp *pcp;
	unsigned int cpu, i;

	cpus_read_lock();
	for_each_online_cpu(cpu) {
		if (costack_cpu_idle(cpu))
			smp_call_function_single(cpu, costack_flush_idle, NULL, 1);
		for (i = 0; i < COSTACK_NR_POOLS; i++) {
			if (!costack_pools[i].pcp)
				continue;
			pcp = per_cpu_ptr(costack_pools[i].pcp, cpu);
			pcp->seen = costack_pcp_uses(pcp);
		}
	}
	cpus_read_unlock();
}

/*
 * The end of a period. Kept are the reserve and what the period took out on top of
 * it: a CPU that goes idle for a moment brings its magazine back and takes it
 * again, and memory would go back and forth to the kernel otherwise.
 */
static void costack_depot_period(struct costack_pool *pool, struct costack_depot *depot)
{
	int demand = max(depot->start - READ_ONCE(depot->low), 0) +
		     atomic_xchg(&depot->misses, 0);
	int most = costack_target_max(pool);
	unsigned int cold = !depot->hot;
	int count;

	WRITE_ONCE(depot->target, clamp(demand, pool->reserve, most));
	costack_depot_trim(pool, depot, cold, clamp(pool->reserve + demand, pool->reserve, most),
			   INT_MAX);
	WRITE_ONCE(depot->hot, cold);
	count = atomic_read(&depot->count);
	depot->start = count;
	WRITE_ONCE(depot->low, count);
}

/* Is there nothing that a further period could change? */
static bool costack_quiet(void)
{
	struct costack_pool_sum sum;
	struct costack_pool *pool;
	unsigned int i;
	int nid;

	for (i = 0; i < COSTACK_NR_POOLS; i++) {
		pool = &costack_pools[i];
		if (!pool->pcp)
			continue;
		costack_pool_sum(pool, &sum);
		/* What is in no depot is held, a CPU's, or on its way between these. */
		if (sum.obtained - sum.returned != sum.cached_depot)
			return false;
		for_each_node(nid) {
			struct costack_depot *depot = pool->depot[nid];

			if (READ_ONCE(depot->target) > pool->reserve ||
			    depot->start > READ_ONCE(depot->low) ||
			    atomic_read(&depot->count) >= pool->reserve + (int)pool->magazine)
				return false;
		}
	}
	return true;
}

static void costack_trim_work(struct work_struct *work)
{
	unsigned int i;
	int nid;

	mutex_lock(&costack_trim_lock);
	costack_flush_cpus();
	for (i = 0; i < COSTACK_NR_POOLS; i++) {
		if (!costack_pools[i].pcp)
			continue;
		for_each_node(nid)
			costack_depot_period(&costack_pools[i], costack_pools[i].depot[nid]);
	}
	mutex_unlock(&costack_trim_lock);

	/*
	 * Stop when nothing is left to do: an idle machine is not woken for us.
	 * Whoever next uses a depot arms the worker again; the second look is
	 * for one who did so before it could see that the worker was disarmed.
	 */
	if (costack_quiet()) {
		/* Fully ordered, unlike atomic_set(): disarmed before the second look. */
		atomic_xchg(&costack_trim_armed, 0);
		if (costack_quiet() || atomic_xchg(&costack_trim_armed, 1))
			return;
	}
	queue_delayed_work(costack_wq, &costack_trim, costack_trim_period);
}

/*
 * Shrinker: not for guarded memory, which goes back by age alone; vfree() in
 * reclaim could meet the mutex of a vmalloc that reclaims.
 */

static unsigned long costack_shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long n = 0;
	unsigned int i;
	int nid;

	for (i = 0; i < COSTACK_NR_POOLS; i++) {
		struct costack_pool *pool = &costack_pools[i];

		if (!pool->pcp || pool->backing == COSTACK_BACKING_GUARD)
			continue;
		for_each_node(nid)
			n += max(atomic_read(&pool->depot[nid]->count) - pool->reserve, 0);
	}
	return n ?: SHRINK_EMPTY;
}

static unsigned long costack_shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	int max = min(sc->nr_to_scan, INT_MAX);
	unsigned long freed = 0;
	unsigned int i;
	int nid;

	/* The worker may hold the lock; it is trimming then. */
	if (!mutex_trylock(&costack_trim_lock))
		return SHRINK_STOP;
	for (i = 0; i < COSTACK_NR_POOLS; i++) {
		struct costack_pool *pool = &costack_pools[i];

		if (!pool->pcp || pool->backing == COSTACK_BACKING_GUARD)
			continue;
		for_each_node(nid) {
			struct costack_depot *depot = pool->depot[nid];

			/* Or the next refill would bring back what goes now. */
			atomic_set(&depot->misses, 0);
			WRITE_ONCE(depot->target, pool->reserve);
			freed += costack_depot_trim(pool, depot, !depot->hot, pool->reserve,
						    max - freed);
			freed += costack_depot_trim(pool, depot, depot->hot, pool->reserve,
						    max - freed);
			if (freed >= max)
				goto out;
		}
	}
out:
	mutex_unlock(&costack_trim_lock);
	return freed ?: SHRINK_STOP;
}

/* Hotplug */

/* @cpu is dead, or nobody runs any more: what it has may be taken from here. */
static void costack_drain_cpu(unsigned int cpu)
{
	struct costack_depot *depot;
	struct costack_pool *pool;
	struct costack *chain;
	struct costack_pcp *pcp;
	unsigned int i;

	preempt_disable();
	for (i = 0; i < COSTACK_NR_POOLS; i++) {
		pool = &costack_pools[i];
		if (!pool->pcp)
			continue;
		pcp = per_cpu_ptr(pool->pcp, cpu);
		depot = pool->depot[cpu_to_node(cpu)];
		chain = xchg(&pcp->prev, NULL);
		if (chain)
			costack_depot_push(depot, chain, false);
		chain = costack_slots_unload(pool, pcp);
		if (chain)
			costack_depot_push(depot, chain, false);
	}
	preempt_enable();
}

static int costack_cpu_dead(unsigned int cpu)
{
	costack_drain_cpu(cpu);
	return 0;
}

/* Looking */

/**
 * costack_pool_nth() - go over all pools
 * @n: counts from 0
 *
 * Context: any.
 * Return: a pool, or NULL after the last.
 */
struct costack_pool *costack_pool_nth(unsigned int n)
{
	unsigned int i;

	for (i = 0; i < COSTACK_NR_POOLS; i++) {
		if (costack_pools[i].pcp && !n--)
			return &costack_pools[i];
	}
	return NULL;
}

/**
 * costack_pool_sum() - figures of a pool
 * @pool: the pool
 * @sum: written
 *
 * Context: any; goes over all CPUs.
 */
void costack_pool_sum(struct costack_pool *pool, struct costack_pool_sum *sum)
{
	struct costack *prev;
	struct costack_pcp *pcp;
	unsigned int cpu, i;
	int nid;

	memset(sum, 0, sizeof(*sum));
	/* Frees first: a stack freed between the two readings would make live negative. */
	for_each_possible_cpu(cpu) {
		for (i = 0; i < COSTACK_NR_CONTEXTS; i++)
			sum->frees += READ_ONCE(per_cpu_ptr(pool->pcp, cpu)->frees[i]);
	}
	/* Pairs with costack_pool_put(). */
	smp_rmb();
	for_each_possible_cpu(cpu) {
		pcp = per_cpu_ptr(pool->pcp, cpu);
		sum->allocs += READ_ONCE(pcp->others);
		for (i = 0; i < COSTACK_NR_CONTEXTS; i++)
			sum->allocs += READ_ONCE(pcp->hits[i]);
		sum->cached_cpu += costack_pcp_loaded(pool, pcp);
		rcu_read_lock();
		prev = READ_ONCE(pcp->prev);
		if (prev)
			sum->cached_cpu += READ_ONCE(prev->chain_count);
		rcu_read_unlock();
	}
	sum->live = sum->allocs - sum->frees;
	for_each_node(nid) {
		sum->cached_depot += atomic_read(&pool->depot[nid]->count);
		sum->target += READ_ONCE(pool->depot[nid]->target);
	}
	sum->obtained = atomic_long_read(&pool->obtained);
	sum->returned = atomic_long_read(&pool->returned);
	sum->refilled = atomic_long_read(&pool->refilled);
	sum->grown = atomic_long_read(&pool->grown);
	sum->trimmed = atomic_long_read(&pool->trimmed);
	sum->failed = atomic_long_read(&pool->failed);
}

/**
 * costack_pools_count() - stacks of all pools by context
 * @context: the row
 * @freed: those given back; otherwise those taken from a CPU's magazines
 *
 * Context: any; goes over all CPUs.
 * Return: how many there were.
 */
u64 costack_pools_count(enum costack_context context, bool freed)
{
	struct costack_pcp *pcp;
	unsigned int cpu, i;
	u64 sum = 0;

	for (i = 0; i < COSTACK_NR_POOLS; i++) {
		if (!costack_pools[i].pcp)
			continue;
		for_each_possible_cpu(cpu) {
			pcp = per_cpu_ptr(costack_pools[i].pcp, cpu);
			sum += READ_ONCE((freed ? pcp->frees : pcp->hits)[context]);
		}
	}
	return sum;
}

/**
 * costack_pools_exchanges() - changes of the lists that CPUs share
 * @retries: written: how often one had to try again, since another CPU was faster
 *
 * Context: any; goes over all CPUs.
 * Return: how many there were.
 */
u64 costack_pools_exchanges(u64 *retries)
{
	unsigned int cpu;
	u64 sum = 0;

	*retries = 0;
	for_each_possible_cpu(cpu) {
		sum += READ_ONCE(per_cpu(costack_exchanges, cpu));
		*retries += READ_ONCE(per_cpu(costack_retries, cpu));
	}
	return sum;
}

/**
 * costack_pools_limit() - bytes that all stacks together may take
 *
 * Context: any.
 * Return: the limit in bytes.
 */
u64 costack_pools_limit(void)
{
	return costack_limit;
}

/**
 * costack_pools_bytes() - bytes of all stacks, live and cached
 *
 * Context: any.
 * Return: bytes obtained from the kernel and not returned.
 */
u64 costack_pools_bytes(void)
{
	return atomic64_read(&costack_bytes);
}

/* Init and exit */

static void costack_pool_fini(struct costack_pool *pool)
{
	struct costack *chain;
	int nid, list;

	for_each_node(nid) {
		if (!pool->depot || !pool->depot[nid])
			continue;
		for (list = 0; list < 2; list++) {
			preempt_disable();
			while ((chain = costack_list_pop(&pool->depot[nid]->list[list]))) {
				preempt_enable();
				costack_return_chain(chain);
				preempt_disable();
			}
			preempt_enable();
		}
		kfree(pool->depot[nid]);
	}
	WARN(atomic_long_read(&pool->obtained) != atomic_long_read(&pool->returned),
	     "%ld stacks of %u bytes are lost",
	     atomic_long_read(&pool->obtained) - atomic_long_read(&pool->returned), pool->size);
	kfree(pool->depot);
	free_percpu(pool->pcp);
	memset(pool, 0, sizeof(*pool));
}

static int costack_pool_init(enum costack_backing backing, u32 size, unsigned int reserve)
{
	struct costack_pool *pool = costack_pool_find(size, backing);
	struct costack_depot *depot;
	unsigned int cpu;
	int nid;

	pool->handles = backing == COSTACK_BACKING_COROUTINE ? &costack_co_handles :
							       &costack_handles;
	pool->size = size;
	pool->backing = backing;
	pool->reserve = reserve;
	pool->magazine = clamp_t(u32, COSTACK_MAGAZINE_BYTES / size, COSTACK_MAGAZINE_MIN,
				 COSTACK_MAGAZINE_MAX);
	pool->depot = kcalloc(nr_node_ids, sizeof(*pool->depot), GFP_KERNEL);
	if (!pool->depot)
		return -ENOMEM;
	for_each_node(nid) {
		depot = kzalloc_node(sizeof(*depot), GFP_KERNEL,
				     node_online(nid) ? nid : NUMA_NO_NODE);
		if (!depot)
			return -ENOMEM;
		depot->nid = nid;
		depot->target = reserve;
		pool->depot[nid] = depot;
	}
	pool->pcp = alloc_percpu(struct costack_pcp);
	if (!pool->pcp)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		per_cpu_ptr(pool->pcp, cpu)->slot[pool->magazine + 1] = COSTACK_SLOT_END;
	return 0;
}

static int costack_handles_init(struct costack_handles *handles, const char *name,
				const struct costack_handle_type *type)
{
	/* Who holds a stale link does not read @mem. Behind a handle, it takes a cache line. */
	struct kmem_cache_args args = {
		.align = __alignof__(struct costack),
		.use_freeptr_offset = true,
		.freeptr_offset = offsetof(struct costack, mem),
	};

	handles->type = type;
	handles->cache = kmem_cache_create(name, type ? type->size : sizeof(struct costack),
					   &args, SLAB_TYPESAFE_BY_RCU);
	return handles->cache ? 0 : -ENOMEM;
}

static void costack_handles_fini(struct costack_handles *handles)
{
	struct costack *cs;

	while ((cs = costack_spare_get(handles)))
		kmem_cache_free(handles->cache, cs);
	kmem_cache_destroy(handles->cache);
}

static void costack_pools_fini(void)
{
	unsigned int i;

	for (i = 0; i < COSTACK_NR_POOLS; i++)
		costack_pool_fini(&costack_pools[i]);
	costack_handles_fini(&costack_co_handles);
	costack_handles_fini(&costack_handles);
}

/* Fill costack_pcps. */
static void costack_pcps_set(void)
{
	struct costack_pcp __percpu *pcp;
	unsigned long bit;
	u32 size;

	lockdep_assert_held(&costack_divert_lock);
	for (bit = 0; bit < ARRAY_SIZE(costack_pcps); bit++) {
		size = BIT(bit);
		pcp = &costack_pcp_empty;
		if (!costack_diverted && size >= COSTACK_SIZE_MIN / 2 && size < COSTACK_SIZE_MAX)
			pcp = costack_pool_find(size + 1, COSTACK_BACKING_KMALLOC)->pcp;
		WRITE_ONCE(costack_pcps[bit], pcp);
	}
}

/**
 * costack_pools_divert() - have all allocations take the long way, costack_stack_alloc_slow()
 *
 * Whoever is past that point is not waited for. Also called before costack_pools_init(): a
 * tracepoint may be switched on by the kernel's command line.
 *
 * Context: process, may sleep.
 * Return: 0
 */
int costack_pools_divert(void)
{
	mutex_lock(&costack_divert_lock);
	costack_diverted++;
	costack_pcps_set();
	mutex_unlock(&costack_divert_lock);
	return 0;
}

/**
 * costack_pools_undivert() - undo one costack_pools_divert()
 *
 * Context: process, may sleep.
 */
void costack_pools_undivert(void)
{
	mutex_lock(&costack_divert_lock);
	costack_diverted--;
	costack_pcps_set();
	mutex_unlock(&costack_divert_lock);
}

/**
 * costack_pools_init() - make all pools and fill their reserves
 * @config: sizes and limits; checked by the caller
 *
 * Context: process, may sleep.
 * Return: 0, -EOPNOTSUPP when the CPU lacks the 128-bit exchange, -ENOMEM, or
 * the error of registering with CPU hotplug.
 */
int __init costack_pools_init(const struct costack_pool_config *config)
{
	unsigned int class;
	u32 size;
	int ret;

	if (!system_has_cmpxchg128()) {
		pr_err("this CPU has no 128-bit compare-and-exchange (cx16)\n");
		return -EOPNOTSUPP;
	}
	costack_limit = config->limit;
	costack_trim_period = msecs_to_jiffies(config->trim_ms);

	ret = costack_handles_init(&costack_handles, "costack", NULL);
	ret = ret ?: costack_handles_init(&costack_co_handles, "costack_co", config->co_handle);
	if (ret)
		goto err_pools;
	for (class = 0; class < COSTACK_NR_CLASSES; class++) {
		size = COSTACK_SIZE_MIN << class;
		ret = costack_pool_init(COSTACK_BACKING_KMALLOC, size, config->reserve[class]);
		if (!ret && class < COSTACK_NR_CO_CLASSES)
			ret = costack_pool_init(COSTACK_BACKING_COROUTINE, size,
						config->co_reserve);
		if (ret)
			goto err_pools;
		if (size < PAGE_SIZE)
			continue;
		ret = costack_pool_init(COSTACK_BACKING_GUARD, size, config->guard_reserve);
		if (ret)
			goto err_pools;
	}
	costack_wq = alloc_workqueue("costack", WQ_UNBOUND | WQ_FREEZABLE, 0);
	if (!costack_wq) {
		ret = -ENOMEM;
		goto err_pools;
	}
	ret = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "costack:dead", NULL,
					costack_cpu_dead);
	if (ret < 0)
		goto err_wq;
	costack_cpuhp_state = ret;
	costack_shrinker = shrinker_alloc(0, "costack");
	if (!costack_shrinker) {
		ret = -ENOMEM;
		goto err_cpuhp;
	}
	costack_shrinker->count_objects = costack_shrink_count;
	costack_shrinker->scan_objects = costack_shrink_scan;
	shrinker_register(costack_shrinker);

	mutex_lock(&costack_divert_lock);
	costack_pcps_set();
	mutex_unlock(&costack_divert_lock);

	/* The first program may run the moment that it is loaded: be full before. */
	queue_work(costack_wq, &costack_refill);
	flush_work(&costack_refill);
	return 0;

err_cpuhp:
	cpuhp_remove_state_nocalls(costack_cpuhp_state);
err_wq:
	destroy_workqueue(costack_wq);
err_pools:
	costack_pools_fini();
	return ret;
}

/**
 * costack_pools_exit() - return everything
 *
 * Nobody may hold a stack any more, nor ask for one.
 *
 * Context: process, may sleep.
 */
void costack_pools_exit(void)
{
	unsigned int cpu;

	shrinker_free(costack_shrinker);
	cpuhp_remove_state_nocalls(costack_cpuhp_state);
	/* Whoever asks for the workers now gets none; draining finds that they are there. */
	disable_delayed_work_sync(&costack_trim);
	disable_work_sync(&costack_refill);
	atomic_set(&costack_trim_armed, 1);
	irq_work_sync(&costack_irq_work);
	for_each_possible_cpu(cpu)
		costack_drain_cpu(cpu);
	destroy_workqueue(costack_wq);
	costack_pools_fini();
}
