// SPDX-License-Identifier: GPL-2.0
#include <linux/debugfs.h>
#include <linux/log2.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>

#include "coroutine.h"
#include "stats.h"

DEFINE_PER_CPU(struct costack_cpu_stats, costack_cpu_stats);
DEFINE_STATIC_KEY_FALSE(costack_latency_key);

static struct dentry *costack_debugfs;

static const char * const costack_backing_names[] = {
	[COSTACK_BACKING_KMALLOC] = "kmalloc",
	[COSTACK_BACKING_GUARD] = "guard",
	[COSTACK_BACKING_COROUTINE] = "coroutine",
};

static const char * const costack_context_names[] = {
	[COSTACK_CTX_SLEEPABLE] = "sleepable",
	[COSTACK_CTX_PROCESS] = "process",
	[COSTACK_CTX_SOFTIRQ] = "softirq",
	[COSTACK_CTX_HARDIRQ] = "hardirq",
	[COSTACK_CTX_NMI] = "nmi",
};

static u64 costack_stat_sum(unsigned int context, unsigned int stat)
{
	unsigned int cpu;
	u64 sum = 0;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(costack_cpu_stats, cpu).count[context][stat]);
	return sum;
}

static u64 costack_stat_total(unsigned int stat)
{
	unsigned int context;
	u64 sum = 0;

	for (context = 0; context < COSTACK_NR_CONTEXTS; context++)
		sum += costack_stat_sum(context, stat);
	return sum;
}

static u64 costack_fails(unsigned int context)
{
	unsigned int stat;
	u64 sum = 0;

	for (stat = COSTACK_STAT_FAIL_SIZE; stat < COSTACK_NR_STATS; stat++)
		sum += costack_stat_sum(context, stat);
	return sum;
}

/* Figures of all pools added up, in stacks, and live and cached in bytes. */
static void costack_pools_sum(struct costack_pool_sum *all, s64 *live_bytes, s64 *cached_bytes,
			      s64 *obtained_bytes, s64 *returned_bytes)
{
	struct costack_pool_sum sum;
	struct costack_pool *pool;
	unsigned int i;

	memset(all, 0, sizeof(*all));
	*live_bytes = 0;
	*cached_bytes = 0;
	*obtained_bytes = 0;
	*returned_bytes = 0;
	for (i = 0; (pool = costack_pool_nth(i)); i++) {
		costack_pool_sum(pool, &sum);
		all->live += sum.live;
		all->cached_cpu += sum.cached_cpu;
		all->cached_depot += sum.cached_depot;
		all->obtained += sum.obtained;
		all->returned += sum.returned;
		all->allocs += sum.allocs;
		all->frees += sum.frees;
		all->refilled += sum.refilled;
		all->grown += sum.grown;
		all->trimmed += sum.trimmed;
		all->failed += sum.failed;
		*live_bytes += sum.live * pool->size;
		*cached_bytes += (sum.cached_cpu + sum.cached_depot) * pool->size;
		*obtained_bytes += sum.obtained * pool->size;
		*returned_bytes += sum.returned * pool->size;
	}
}

/**
 * costack_counter() - read one counter
 * @id: an &enum costack_counter
 *
 * Context: any. Goes over all CPUs: not for each packet.
 * Return: the counter, or -EINVAL.
 */
s64 costack_counter(u32 id)
{
	s64 live_bytes, cached_bytes, obtained_bytes, returned_bytes, fails = 0;
	struct costack_pool_sum sum;
	unsigned int context;

	costack_pools_sum(&sum, &live_bytes, &cached_bytes, &obtained_bytes, &returned_bytes);
	switch (id) {
	case COSTACK_CNT_LIVE:
		return sum.live;
	case COSTACK_CNT_CACHED:
		return sum.cached_cpu + sum.cached_depot;
	case COSTACK_CNT_OBTAINED:
		return sum.obtained;
	case COSTACK_CNT_RETURNED:
		return sum.returned;
	case COSTACK_CNT_ALLOCS:
		return sum.allocs;
	case COSTACK_CNT_FREES:
		return sum.frees;
	case COSTACK_CNT_MISSES:
		return sum.grown + sum.failed;
	case COSTACK_CNT_FAILS:
		for (context = 0; context < COSTACK_NR_CONTEXTS; context++)
			fails += costack_fails(context);
		return fails;
	case COSTACK_CNT_BYTES:
		return costack_pools_bytes();
	default:
		return -EINVAL;
	}
}

/**
 * costack_latency_add() - count one allocation in the latency histogram
 * @ns: how long it took
 *
 * Context: any.
 */
void costack_latency_add(u64 ns)
{
	unsigned int bucket = ns ? min(ilog2(ns), COSTACK_LATENCY_BUCKETS - 1) : 0;

	this_cpu_inc(costack_cpu_stats.latency[bucket]);
}

static unsigned long costack_co_stat_sum(enum costack_co_stat stat)
{
	unsigned long sum = 0;
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(costack_cpu_stats, cpu).co[stat]);
	return sum;
}

static int stats_show(struct seq_file *m, void *unused)
{
	s64 live_bytes, cached_bytes, obtained_bytes, returned_bytes;
	struct costack_pool_sum sum;
	u64 exchanges, retries;

	exchanges = costack_pools_exchanges(&retries);
	costack_pools_sum(&sum, &live_bytes, &cached_bytes, &obtained_bytes, &returned_bytes);
	seq_puts(m, "costack-stats: 1\n");
	seq_printf(m, "obtained: %lld\n", sum.obtained);
	seq_printf(m, "returned: %lld\n", sum.returned);
	seq_printf(m, "live: %lld\n", sum.live);
	seq_printf(m, "cached: %lld\n", sum.cached_cpu + sum.cached_depot);
	seq_printf(m, "obtained_bytes: %lld\n", obtained_bytes);
	seq_printf(m, "returned_bytes: %lld\n", returned_bytes);
	seq_printf(m, "live_bytes: %lld\n", live_bytes);
	seq_printf(m, "cached_bytes: %lld\n", cached_bytes);
	seq_printf(m, "limit_bytes: %llu\n", costack_pools_limit());
	seq_printf(m, "allocs: %lld\n", sum.allocs);
	seq_printf(m, "frees: %lld\n", sum.frees);
	seq_printf(m, "hits: %lld\n", sum.allocs - sum.grown);
	seq_printf(m, "misses: %lld\n", sum.grown + sum.failed);
	seq_printf(m, "refilled: %lld\n", sum.refilled);
	seq_printf(m, "trimmed: %lld\n", sum.trimmed);
	seq_printf(m, "exchanges: %llu\n", exchanges);
	seq_printf(m, "retries: %llu\n", retries);
	seq_printf(m, "fail_size: %llu\n", costack_stat_total(COSTACK_STAT_FAIL_SIZE));
	seq_printf(m, "fail_flags: %llu\n", costack_stat_total(COSTACK_STAT_FAIL_FLAGS));
	seq_printf(m, "fail_limit: %llu\n", costack_stat_total(COSTACK_STAT_FAIL_LIMIT));
	seq_printf(m, "fail_nomem: %llu\n", costack_stat_total(COSTACK_STAT_FAIL_NOMEM));
	seq_printf(m, "fail_empty: %llu\n", costack_stat_total(COSTACK_STAT_FAIL_EMPTY));
	seq_printf(m, "co_spawned: %lu\n", costack_co_stat_sum(COSTACK_CO_SPAWNED));
	seq_printf(m, "co_resumed: %lu\n", costack_co_stat_sum(COSTACK_CO_RESUMED));
	seq_printf(m, "co_cancelled: %lu\n", costack_co_stat_sum(COSTACK_CO_CANCELLED));
	seq_printf(m, "co_busy: %lu\n", costack_co_stat_sum(COSTACK_CO_BUSY));
	seq_printf(m, "co_fail_type: %lu\n", costack_co_stat_sum(COSTACK_CO_FAIL_TYPE));
	seq_printf(m, "co_fail_limit: %lu\n", costack_co_stat_sum(COSTACK_CO_FAIL_LIMIT));
	seq_printf(m, "co_fail_memory: %lu\n", costack_co_stat_sum(COSTACK_CO_FAIL_MEMORY));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

static int classes_show(struct seq_file *m, void *unused)
{
	struct costack_pool_sum sum;
	struct costack_pool *pool;
	unsigned int i;

	seq_puts(m, "costack-classes: 1\n");
	seq_puts(m, "backing size live cached_cpu cached_depot obtained returned hits misses");
	seq_puts(m, " refilled trimmed failed reserve target magazine\n");
	for (i = 0; (pool = costack_pool_nth(i)); i++) {
		costack_pool_sum(pool, &sum);
		seq_printf(m, "%s %u %lld %lld %lld %lld %lld",
			   costack_backing_names[pool->backing], pool->size, sum.live,
			   sum.cached_cpu, sum.cached_depot, sum.obtained, sum.returned);
		seq_printf(m, " %lld %lld %lld %lld %lld %d %lld %u\n",
			   sum.allocs - sum.grown, sum.grown + sum.failed, sum.refilled,
			   sum.trimmed, sum.failed, pool->reserve, sum.target, pool->magazine);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(classes);

static int contexts_show(struct seq_file *m, void *unused)
{
	unsigned int context, source;

	seq_puts(m, "costack-contexts: 1\n");
	seq_puts(m, "context magazine depot kernel atomic nolock failed freed\n");
	for (context = 0; context < COSTACK_NR_CONTEXTS; context++) {
		seq_puts(m, costack_context_names[context]);
		seq_printf(m, " %llu", costack_pools_count(context, false));
		for (source = COSTACK_SRC_DEPOT; source < COSTACK_NR_SOURCES; source++)
			seq_printf(m, " %llu", costack_stat_sum(context, source));
		seq_printf(m, " %llu %llu\n", costack_fails(context),
			   costack_pools_count(context, true));
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(contexts);

static int latency_show(struct seq_file *m, void *unused)
{
	unsigned int bucket, cpu;
	u64 sum;

	seq_puts(m, "costack-latency: 1\n");
	seq_printf(m, "enabled: %d\n", static_key_enabled(&costack_latency_key));
	seq_puts(m, "log2_ns count\n");
	for (bucket = 0; bucket < COSTACK_LATENCY_BUCKETS; bucket++) {
		sum = 0;
		for_each_possible_cpu(cpu)
			sum += READ_ONCE(per_cpu(costack_cpu_stats, cpu).latency[bucket]);
		seq_printf(m, "%u %llu\n", bucket, sum);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(latency);

static int coroutines_show(struct seq_file *m, void *unused)
{
	seq_puts(m, "costack-coroutines: 1\n");
	costack_co_show(m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(coroutines);

static int depth_show(struct seq_file *m, void *unused)
{
	seq_puts(m, "costack-depth: 1\n");
	costack_depth_show(m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(depth);

static int costack_latency_get(void *data, u64 *val)
{
	*val = static_key_enabled(&costack_latency_key);
	return 0;
}

static int costack_latency_set(void *data, u64 val)
{
	static DEFINE_MUTEX(lock);

	if (val > 1)
		return -EINVAL;
	mutex_lock(&lock);
	if (val && !static_key_enabled(&costack_latency_key)) {
		costack_pools_divert();
		static_branch_enable(&costack_latency_key);
	} else if (!val && static_key_enabled(&costack_latency_key)) {
		static_branch_disable(&costack_latency_key);
		costack_pools_undivert();
	}
	mutex_unlock(&lock);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(costack_latency_fops, costack_latency_get, costack_latency_set,
			 "%llu\n");

/**
 * costack_stats_init() - make the debugfs files
 *
 * debugfs that is absent or locked down is no error: nothing depends on it.
 *
 * Context: process, may sleep.
 */
void __init costack_stats_init(void)
{
	costack_debugfs = debugfs_create_dir(KBUILD_MODNAME, NULL);
	debugfs_create_file("stats", 0444, costack_debugfs, NULL, &stats_fops);
	debugfs_create_file("classes", 0444, costack_debugfs, NULL, &classes_fops);
	debugfs_create_file("contexts", 0444, costack_debugfs, NULL, &contexts_fops);
	debugfs_create_file("coroutines", 0444, costack_debugfs, NULL, &coroutines_fops);
	debugfs_create_file("depth", 0444, costack_debugfs, NULL, &depth_fops);
	debugfs_create_bool("depth_all", 0600, costack_debugfs, &costack_depth_all);
	debugfs_create_file("latency", 0444, costack_debugfs, NULL, &latency_fops);
	debugfs_create_file_unsafe("latency_enable", 0600, costack_debugfs, NULL,
				   &costack_latency_fops);
}

/**
 * costack_stats_exit() - remove the debugfs files
 *
 * Context: process, may sleep.
 */
void costack_stats_exit(void)
{
	debugfs_remove(costack_debugfs);
}
