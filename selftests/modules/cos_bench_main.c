// SPDX-License-Identifier: GPL-2.0
/*
 * What stacks cost from C, and what else one could take costs there. Each file in debugfs'
 * cos_bench/ runs one part when it is read, and has a line for each figure:
 *
 *	NAME SIZE ROUND ROUND ...
 *
 * in nanoseconds for one operation (most: a pair of taking and giving back), that of an empty
 * loop subtracted. In a guest whose clock counts instructions, a nanosecond is one of these.
 */
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mempool.h>
#include <linux/module.h>
#include <linux/objpool.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "../../kmod/costack.h"
#include "../../kmod/stats.h"
#include "../../kmod/switch.h"

#define ROUNDS		7
#define ROUND_OPS	2000
#define BURST		64
#define BURST_SIZE	SZ_16K
#define LIVE_SIZE	512
#define LIVE_MAX	1000000	/* or what there is memory for */
#define MIXED_OPS	6000000
#define MIXED_ROUNDS	8
#define MIXED_SLOTS	1024
#define RING		256
#define SWITCH_STACK	SZ_4K

static unsigned long failed;
static u64 empty;		/* hundredths of a nanosecond of an empty loop's round */
static struct kmem_cache *cache;
static mempool_t *mempool;
static struct objpool_head objpool;

static u32 random_next(u32 *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/*
 * The operations: each is a loop of its own, since an indirect call costs more than
 * some of them.
 */
#define PAIR(name, take, give)							\
static noinline void run_##name(u32 size, unsigned long n)			\
{										\
	void *p;								\
										\
	while (n--) {								\
		p = take;							\
		if (unlikely(!p)) {						\
			failed++;						\
			continue;						\
		}								\
		OPTIMIZER_HIDE_VAR(p);						\
		give;								\
	}									\
}

/* As the kernel keeps the stacks of threads that ended: two for each CPU, cleared when taken. */
static DEFINE_PER_CPU(void *, thread_stacks[2]);

static __always_inline void *thread_stack_take(u32 size)
{
	unsigned int i;
	void *p;

	for (i = 0; i < ARRAY_SIZE(thread_stacks); i++) {
		p = this_cpu_xchg(thread_stacks[i], NULL);
		if (p) {
			memset(p, 0, size);
			return p;
		}
	}
	return vmalloc(size);
}

static __always_inline void thread_stack_give(void *p)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(thread_stacks); i++) {
		if (!this_cpu_cmpxchg(thread_stacks[i], NULL, p))
			return;
	}
	vfree(p);
}

static void thread_stacks_free(void)
{
	unsigned int cpu, i;

	for_each_possible_cpu(cpu) {
		for (i = 0; i < ARRAY_SIZE(thread_stacks); i++) {
			vfree(per_cpu(thread_stacks[i], cpu));
			per_cpu(thread_stacks[i], cpu) = NULL;
		}
	}
}

/* As if all of it had been handed out. */
static __always_inline void costack_put_written(struct costack *cs, u32 size)
{
	costack_frame(cs, 0, size);
	costack_put(cs);
}

PAIR(empty, &failed, barrier())
PAIR(costack, costack_alloc(size, GFP_ATOMIC, 0), costack_put(p))
PAIR(costack_written, costack_alloc(size, GFP_ATOMIC, 0), costack_put_written(p, size))
PAIR(kmalloc, kmalloc(size, GFP_ATOMIC), kfree(p))
PAIR(kzalloc, kzalloc(size, GFP_ATOMIC), kfree(p))
PAIR(kmem_cache, kmem_cache_alloc(cache, GFP_ATOMIC), kmem_cache_free(cache, p))
PAIR(mempool, mempool_alloc(mempool, GFP_ATOMIC), mempool_free(p, mempool))
PAIR(objpool, objpool_pop(&objpool), objpool_push(p, &objpool))
PAIR(vmalloc, vmalloc(size), vfree(p))
PAIR(thread_stack, thread_stack_take(size), thread_stack_give(p))
#ifdef kmalloc_nolock
PAIR(kmalloc_nolock, kmalloc_nolock(size, 0, NUMA_NO_NODE), kfree_nolock(p))
#endif

/* What an operation of the pool does to be counted. */
static DEFINE_PER_CPU(u64, counters[COSTACK_NR_CONTEXTS]);
PAIR(statistics, &failed, this_cpu_inc(*(counters + costack_context_now())))

/* What a pair cannot be without: a slot is emptied and filled. */
static DEFINE_PER_CPU(void *, slot);

static noinline void run_exchange(u32 size, unsigned long n)
{
	void *full = &failed, *p = NULL;

	this_cpu_write(slot, full);
	while (n--) {
		p = full;
		failed += !this_cpu_try_cmpxchg(slot, &p, NULL);
		p = NULL;
		failed += !this_cpu_try_cmpxchg(slot, &p, full);
	}
}

/* Nor without two calls into the module, as the kernel is configured. */
static noinline __noclone void *call_take(u32 size, gfp_t gfp, u64 flags)
{
	void *p = &failed;

	OPTIMIZER_HIDE_VAR(p);
	return p;
}

static noinline __noclone void call_give(void *p)
{
	barrier();
}

PAIR(calls, call_take(size, GFP_ATOMIC, 0), call_give(p))

#if COSTACK_HAVE_SWITCH
static unsigned long sp_base, sp_other;
static u8 switch_stack[SWITCH_STACK] __aligned(16);

/* The other side of a switch; what costack_switch_init() was told does not matter. */
void costack_co_main(struct costack_co *co)
{
	while (READ_ONCE(sp_base))
		costack_switch(&sp_other, &sp_base);
}

/* There and back; with @size bytes of a stack copied, there and back. */
static noinline void run_switch(u32 size, unsigned long n)
{
	static u8 save[SWITCH_STACK];

	preempt_disable();
	sp_other = costack_switch_init((unsigned long)switch_stack + SWITCH_STACK, NULL);
	while (n--) {
		if (size)
			costack_switch_copy(switch_stack + SWITCH_STACK / 2, save, size);
		costack_switch(&sp_base, &sp_other);
		if (size)
			costack_switch_copy(save, switch_stack + SWITCH_STACK / 2, size);
	}
	preempt_enable();
}
#else
#define run_switch run_empty
#endif

static const struct bench {
	const char *name;
	u32 min, max;		/* sizes, doubled from one to the next */
	void (*run)(u32 size, unsigned long n);
} benches[] = {
	{ "costack", 512, SZ_64K, run_costack },
	{ "costack_written", 512, SZ_64K, run_costack_written },
	{ "kmalloc", 512, SZ_64K, run_kmalloc },
	{ "kzalloc", 512, SZ_64K, run_kzalloc },
	{ "kmem_cache", 512, SZ_64K, run_kmem_cache },
	{ "mempool", 512, SZ_64K, run_mempool },
	{ "objpool", SZ_16K, SZ_16K, run_objpool },
	{ "thread_stack", SZ_16K, SZ_16K, run_thread_stack },
	{ "vmalloc", SZ_4K, SZ_64K, run_vmalloc },
#ifdef kmalloc_nolock
	{ "kmalloc_nolock", 512, SZ_8K, run_kmalloc_nolock },
#endif
	{ "statistics", 0, 0, run_statistics },
	{ "exchange", 0, 0, run_exchange },
	{ "calls", 0, 0, run_calls },
	{ "switch", 0, 0, run_switch },
	{ "switch_copy", 256, 256, run_switch },
};

/* Hundredths of a nanosecond for one operation. */
static u64 measure(void (*run)(u32 size, unsigned long n), u32 size, unsigned long n)
{
	u64 start;

	cond_resched();
	start = ktime_get_ns();
	run(size, n);
	return (ktime_get_ns() - start) * 100 / n;
}

static void print_value(struct seq_file *m, s64 value)
{
	value = max(value, 0LL);
	seq_printf(m, " %lld.%02lld", value / 100, value % 100);
}

static void print_bench(struct seq_file *m, const char *name, u32 size,
			void (*run)(u32 size, unsigned long n))
{
	int i;

	failed = 0;
	run(size, ROUND_OPS);
	if (failed == ROUND_OPS)
		return;
	/* Whoever refills something because of that may do it now. */
	msleep(20);
	seq_printf(m, "%s %u", name, size);
	for (i = 0; i < ROUNDS; i++)
		print_value(m, measure(run, size, ROUND_OPS) - empty);
	seq_putc(m, '\n');
	if (failed)
		seq_printf(m, "%s_failed %u %lu\n", name, size, failed);
}

static void *pairs_start(struct seq_file *m, loff_t *pos)
{
	return *pos < ARRAY_SIZE(benches) ? (void *)(benches + *pos) : NULL;
}

static void *pairs_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return pairs_start(m, pos);
}

static void pairs_stop(struct seq_file *m, void *v)
{
}

static int pairs_show(struct seq_file *m, void *v)
{
	const struct bench *b = v;
	int ret = 0;
	u32 size;

	measure(run_empty, 0, ROUND_OPS);
	empty = measure(run_empty, 0, ROUND_OPS);
	for (size = b->min; !ret && size <= b->max; size *= 2) {
		cache = kmem_cache_create("cos_bench", size ?: 1, 0, 0, NULL);
		mempool = mempool_create_kmalloc_pool(4, size ?: 1);
		if (!cache || !mempool)
			ret = -ENOMEM;
		else
			print_bench(m, b->name, size, b->run);
		kmem_cache_destroy(cache);
		mempool_destroy(mempool);
		if (!size)
			break;
	}
	thread_stacks_free();
	return ret;
}
static const struct seq_operations pairs_sops = {
	.start = pairs_start,
	.next = pairs_next,
	.stop = pairs_stop,
	.show = pairs_show,
};

DEFINE_SEQ_ATTRIBUTE(pairs);

/* As many as a packet burst may want, where nothing can be refilled meanwhile. */
static int burst_show(struct seq_file *m, void *unused)
{
	static void *p[BURST];
	u64 ns[2][ROUNDS];
	int i, k, peer, missing[2] = {};

	for (peer = 0; peer < 2; peer++) {
		for (i = 0; i < ROUNDS; i++) {
			unsigned long flags;

			msleep(20);
			local_irq_save(flags);
			ns[peer][i] = ktime_get_ns();
			for (k = 0; k < BURST; k++)
				p[k] = peer ? kmalloc(BURST_SIZE, GFP_ATOMIC) :
					      (void *)costack_alloc(BURST_SIZE, GFP_ATOMIC, 0);
			for (k = 0; k < BURST; k++) {
				if (!p[k])
					missing[peer]++;
				else if (peer)
					kfree(p[k]);
				else
					costack_put(p[k]);
			}
			ns[peer][i] = (ktime_get_ns() - ns[peer][i]) * 100 / BURST;
			local_irq_restore(flags);
		}
		seq_printf(m, "burst_%s %u", peer ? "kmalloc" : "costack", BURST_SIZE);
		for (i = 0; i < ROUNDS; i++)
			print_value(m, ns[peer][i]);
		seq_printf(m, "\nburst_%s_failed %u %d\n", peer ? "kmalloc" : "costack",
			   BURST_SIZE, missing[peer]);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(burst);

/* One of many is given back, and another taken in its place: with the loop that picks it. */
static void **live;
static u32 nr_live;

#define REPLACE(name, take, give)						\
static noinline void run_##name(u32 size, unsigned long n)			\
{										\
	u32 seed = n, i;							\
										\
	while (n--) {								\
		i = (u64)nr_live * random_next(&seed) >> 24;			\
		give;								\
		live[i] = take;							\
		if (WARN_ON_ONCE(!live[i]))					\
			return;							\
	}									\
}

REPLACE(replace_costack, costack_alloc(LIVE_SIZE, GFP_KERNEL, 0), costack_put(live[i]))
REPLACE(replace_kmem_cache, kmem_cache_alloc(cache, GFP_KERNEL),
	kmem_cache_free(cache, live[i]))

static void print_live(struct seq_file *m, const char *name, bool costack)
{
	u32 n, i;
	int r;

	for (n = 10; n <= LIVE_MAX; n *= 10) {
		for (; nr_live < n; nr_live++) {
			live[nr_live] = costack ? costack_alloc(LIVE_SIZE, GFP_KERNEL, 0) :
						  kmem_cache_alloc(cache, GFP_KERNEL);
			if (!live[nr_live])
				goto out;
			if (!(nr_live % 1024))
				cond_resched();
		}
		seq_printf(m, "live_%s %u", name, n);
		for (r = 0; r < ROUNDS; r++)
			print_value(m, measure(costack ? run_replace_costack :
					       run_replace_kmem_cache, 0, ROUND_OPS));
		seq_putc(m, '\n');
	}
out:
	for (i = 0; i < nr_live; i++) {
		if (costack && live[i])
			costack_put(live[i]);
		else if (live[i])
			kmem_cache_free(cache, live[i]);
	}
	nr_live = 0;
}

static int live_show(struct seq_file *m, void *unused)
{
	live = kvcalloc(LIVE_MAX, sizeof(*live), GFP_KERNEL);
	cache = kmem_cache_create("cos_bench", LIVE_SIZE, 0, 0, NULL);
	if (live && cache) {
		print_live(m, "costack", true);
		print_live(m, "kmem_cache", false);
	}
	kvfree(live);
	kmem_cache_destroy(cache);
	return live && cache ? 0 : -ENOMEM;
}
DEFINE_SHOW_ATTRIBUTE(live);

/*
 * All sizes, taken and given back in any order, with a demand that rises and falls: how the
 * pool ages, and what trimming costs. A round is six million operations; in every other one
 * few stacks are wanted.
 */
static int mixed_show(struct seq_file *m, void *unused)
{
	static struct costack *slots[MIXED_SLOTS];
	u32 seed = 1, slot, round, i;
	u64 start;

	seq_puts(m, "mixed 0");
	for (round = 0; round < MIXED_ROUNDS; round++) {
		start = ktime_get_ns();
		for (i = 0; i < MIXED_OPS; i++) {
			slot = random_next(&seed) % MIXED_SLOTS;
			if (slots[slot]) {
				costack_put(slots[slot]);
				slots[slot] = NULL;
			} else if (round % 2 == 0 || slot < MIXED_SLOTS / 16) {
				slots[slot] = costack_alloc(COSTACK_SIZE_MIN <<
							    random_next(&seed) % 8, GFP_KERNEL, 0);
			}
			if (!(i % 1024))
				cond_resched();
		}
		print_value(m, (ktime_get_ns() - start) * 100 / MIXED_OPS);
	}
	seq_putc(m, '\n');
	for (slot = 0; slot < MIXED_SLOTS; slot++) {
		if (slots[slot])
			costack_put(slots[slot]);
		slots[slot] = NULL;
	}
	print_bench(m, "costack_aged", SZ_16K, run_costack);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mixed);

/*
 * CPUs. Each thread takes and gives back its own; or passes what it took on to another
 * thread, or with one thread to itself, which gives it back.
 */
struct ring {
	void *slot[RING];
	unsigned long in ____cacheline_aligned;
	unsigned long out ____cacheline_aligned;
};

static struct thread {
	void (*run)(u32 size, unsigned long n);
	struct ring ring, *from;
	bool costack;
	struct completion ready, done;
} threads[8];
static u32 bench_threads = 1;
static atomic_t threads_waiting;

#define THREAD_OPS	1000000UL

static void thread_pass(struct thread *t)
{
	unsigned long sent = 0, got = 0, end;

	while (sent < THREAD_OPS || got < THREAD_OPS) {
		/* Slots are free when who has read them says so: a batch at a time, both ways. */
		end = min(smp_load_acquire(&t->ring.out) + RING, sent + RING / 4);
		for (end = min(end, THREAD_OPS); sent < end; sent++)
			t->ring.slot[sent % RING] = t->costack ?
				(void *)costack_alloc(SZ_1K, GFP_KERNEL, 0) :
				kmem_cache_alloc(cache, GFP_KERNEL);
		/* What is in the slots comes before that it is there. */
		smp_store_release(&t->ring.in, sent);

		/* After the other's release. */
		end = min(smp_load_acquire(&t->from->in), got + RING / 4);
		for (; got < end; got++) {
			if (t->costack)
				costack_put(t->from->slot[got % RING]);
			else
				kmem_cache_free(cache, t->from->slot[got % RING]);
		}
		/* Read before they are overwritten. */
		smp_store_release(&t->from->out, got);
		cond_resched();
	}
}

static int thread_main(void *data)
{
	struct thread *t = data;

	atomic_dec(&threads_waiting);
	while (atomic_read(&threads_waiting))
		cond_resched();
	if (t->run)
		t->run(SZ_1K, THREAD_OPS);
	else
		thread_pass(t);
	complete(&t->done);
	return 0;
}

static u64 measure_threads(int n, void (*run)(u32 size, unsigned long n), bool costack)
{
	struct task_struct *task;
	u64 start;
	int i;

	atomic_set(&threads_waiting, n + 1);
	for (i = 0; i < n; i++) {
		threads[i].run = run;
		threads[i].costack = costack;
		threads[i].from = &threads[n - 1 - i].ring;
		threads[i].ring.in = 0;
		threads[i].ring.out = 0;
		init_completion(&threads[i].done);
		task = kthread_create_on_cpu(thread_main, &threads[i], i, "cos_bench/%u");
		if (IS_ERR(task))
			return 0;
		wake_up_process(task);
	}
	while (atomic_read(&threads_waiting) > 1)
		usleep_range(100, 200);
	start = ktime_get_ns();
	atomic_dec(&threads_waiting);
	for (i = 0; i < n; i++)
		wait_for_completion(&threads[i].done);
	return (ktime_get_ns() - start) * 100 / ((u64)n * THREAD_OPS);
}

/* The time for one pair, all threads together: halved where two do not hinder each other. */
static int print_threads(struct seq_file *m, const char *name,
			 void (*run)(u32 size, unsigned long n), bool costack)
{
	unsigned int n = READ_ONCE(bench_threads), r;

	if (!n || n > min(num_online_cpus(), ARRAY_SIZE(threads)))
		return -EINVAL;
	cache = kmem_cache_create("cos_bench", SZ_1K, 0, 0, NULL);
	if (!cache)
		return -ENOMEM;
	measure_threads(n, run, costack);
	seq_printf(m, "%s %u", name, n);
	for (r = 0; r < ROUNDS; r++)
		print_value(m, measure_threads(n, run, costack));
	seq_putc(m, '\n');
	kmem_cache_destroy(cache);
	return 0;
}

static int own_show(struct seq_file *m, void *unused)
{
	return print_threads(m, "own_costack", run_costack, true) ?:
	       print_threads(m, "own_kmem_cache", run_kmem_cache, false);
}
DEFINE_SHOW_ATTRIBUTE(own);

static int other_show(struct seq_file *m, void *unused)
{
	return print_threads(m, "other_costack", NULL, true) ?:
	       print_threads(m, "other_kmem_cache", NULL, false);
}
DEFINE_SHOW_ATTRIBUTE(other);

static struct dentry *dir;

static int __init cos_bench_init(void)
{
	int ret = objpool_init(&objpool, BURST, SZ_16K, GFP_KERNEL, NULL, NULL, NULL);

	if (ret)
		return ret;
	dir = debugfs_create_dir("cos_bench", NULL);
	debugfs_create_file("pairs", 0400, dir, NULL, &pairs_fops);
	debugfs_create_file("burst", 0400, dir, NULL, &burst_fops);
	debugfs_create_file("live", 0400, dir, NULL, &live_fops);
	debugfs_create_file("mixed", 0400, dir, NULL, &mixed_fops);
	debugfs_create_u32("threads", 0600, dir, &bench_threads);
	debugfs_create_file("own", 0400, dir, NULL, &own_fops);
	debugfs_create_file("other", 0400, dir, NULL, &other_fops);
	return 0;
}
module_init(cos_bench_init);

static void __exit cos_bench_exit(void)
{
	debugfs_remove(dir);
	objpool_fini(&objpool);
}
module_exit(cos_bench_exit);

MODULE_AUTHOR("costack maintainers");
MODULE_DESCRIPTION("Measures costack and what else one could take");
MODULE_LICENSE("GPL");
