// SPDX-License-Identifier: GPL-2.0
#include <linux/hashtable.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "type.h"

/* A CPU takes this many from the common stock at once, less when there are few. */
#define COSTACK_SHARE_MAX	64

#define COSTACK_NO_LIMIT	(INT_MAX / 2)

static DEFINE_HASHTABLE(costack_type_table, 6);	/* read under RCU */
static DEFINE_MUTEX(costack_type_lock);		/* writers, and whoever lists */

struct costack_type costack_dead_type = { .dead = true, .name = "(gone)" };

static struct costack_type *costack_type_find(u32 id)
{
	struct costack_type *type;

	hash_for_each_possible_rcu(costack_type_table, type, node, id,
				   lockdep_is_held(&costack_type_lock)) {
		if (type->id == id)
			return type;
	}
	return NULL;
}

/**
 * costack_type_register() - make a type known
 * @ops: what its owner says; checked by the caller
 *
 * Context: process, may sleep.
 * Return: 0; -EEXIST: the number is taken, said in the log; -ENOMEM.
 */
int costack_type_register(const struct costack_ops *ops)
{
	struct costack_type *type, *other;

	type = kzalloc(sizeof(*type), GFP_KERNEL);
	if (!type)
		return -ENOMEM;
	type->share = alloc_percpu(struct costack_share);
	if (!type->share) {
		kfree(type);
		return -ENOMEM;
	}
	type->body = ops->body;
	type->id = ops->id;
	type->frame_size = ops->frame_size;
	if (ops->flags & COSTACK_OPS_PRIVATE)
		type->stack_size = ops->stack_size ?: COSTACK_STACK_DEFAULT;
	type->limit = ops->limit ?: COSTACK_NO_LIMIT;
	type->ops = ops;
	strscpy(type->name, ops->name);
	atomic_set(&type->avail, type->limit);

	mutex_lock(&costack_type_lock);
	other = costack_type_find(type->id);
	if (other) {
		pr_err("ops '%s': id %#x is taken by ops '%s', attached already: give them another id\n",
		       type->name, type->id, other->name);
		mutex_unlock(&costack_type_lock);
		costack_type_free(type);
		return -EEXIST;
	}
	hash_add_rcu(costack_type_table, &type->node, type->id);
	mutex_unlock(&costack_type_lock);
	return 0;
}

/**
 * costack_type_retire() - let nobody find a type any more, and nothing of it run
 * @ops: as registered
 *
 * A coroutine of it may be running, and one may be in the making: see
 * costack_type_charged().
 *
 * Context: process, may sleep.
 * Return: the type, for costack_type_free() when it has no coroutine any more.
 */
struct costack_type *costack_type_retire(const struct costack_ops *ops)
{
	struct costack_type *type;
	int bucket;

	mutex_lock(&costack_type_lock);
	hash_for_each(costack_type_table, bucket, type, node) {
		if (type->ops == ops) {
			hash_del_rcu(&type->node);
			WRITE_ONCE(type->dead, true);
			break;
		}
	}
	mutex_unlock(&costack_type_lock);
	return type;
}

/**
 * costack_type_free() - free a type that is not in the table
 * @type: it; nobody looks at it any more
 *
 * Context: process, may sleep.
 */
void costack_type_free(struct costack_type *type)
{
	free_percpu(type->share);
	kfree(type);
}

static bool costack_take(atomic_t *from, int n)
{
	int old = atomic_read(from);

	do {
		if (old < n)
			return false;
	} while (!atomic_try_cmpxchg(from, &old, old - n));
	return true;
}

static int costack_share_size(const struct costack_type *type)
{
	return clamp_t(int, type->limit / (4 * num_possible_cpus()), 1, COSTACK_SHARE_MAX);
}

/* This CPU has none left: a share of the common stock, or one of another CPU's. */
static noinline bool costack_type_charge_slow(struct costack_type *type)
{
	int n = costack_share_size(type);
	unsigned int cpu;

	if (costack_take(&type->avail, n)) {
		atomic_add(n - 1, &this_cpu_ptr(type->share)->avail);
		return true;
	}
	if (costack_take(&type->avail, 1))
		return true;
	for_each_possible_cpu(cpu) {
		if (costack_take(&per_cpu_ptr(type->share, cpu)->avail, 1))
			return true;
	}
	return false;
}

/**
 * costack_type_charge() - find a type, and take one of the coroutines it may have
 * @id: its number
 * @limited: written when it has none left
 *
 * The type stays while anything is charged.
 *
 * Context: any, NMI included.
 * Return: the type; NULL when there is none, or its limit is reached.
 */
struct costack_type *costack_type_charge(u32 id, bool *limited)
{
	struct costack_type *type;

	*limited = false;
	rcu_read_lock();
	preempt_disable();
	type = costack_type_find(id);
	if (type && unlikely(!costack_take(&this_cpu_ptr(type->share)->avail, 1)) &&
	    !costack_type_charge_slow(type)) {
		*limited = true;
		type = NULL;
	}
	preempt_enable();
	rcu_read_unlock();
	return type;
}

/**
 * costack_type_uncharge() - a coroutine is no more
 * @type: its type, not to be used afterwards
 *
 * Context: any, NMI included.
 */
void costack_type_uncharge(struct costack_type *type)
{
	int n = costack_share_size(type);
	atomic_t *share;

	/* The type may be freed the moment that it counts none; not before we let go. */
	rcu_read_lock();
	preempt_disable();
	share = &this_cpu_ptr(type->share)->avail;
	if (atomic_inc_return(share) > 2 * n && costack_take(share, n))
		atomic_add(n, &type->avail);
	preempt_enable();
	rcu_read_unlock();
}

/**
 * costack_type_note_end() - count a coroutine that is about to be uncharged
 * @type: its type
 * @resumes: how often it ran
 *
 * Context: any, NMI included.
 */
void costack_type_note_end(struct costack_type *type, unsigned long resumes)
{
	this_cpu_inc(type->share->ended);
	this_cpu_add(type->share->resumes, resumes);
}

/**
 * costack_type_charged() - coroutines of a type, those in the making included
 * @type: it
 *
 * Exact when nobody charges any more, and 0 once it was 0 then.
 *
 * Context: any; goes over all CPUs.
 * Return: how many.
 */
int costack_type_charged(const struct costack_type *type)
{
	int left = atomic_read(&type->avail);
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		left += atomic_read(&per_cpu_ptr(type->share, cpu)->avail);
	return type->limit - left;
}

static unsigned int costack_bucket(u32 bytes)
{
	return clamp_t(int, ilog2(bytes | 1) - COSTACK_DEPTH_LOG2_MIN, 0,
		       COSTACK_DEPTH_BUCKETS - 1);
}

/**
 * costack_type_note_depth() - count how deep a body's stack was
 * @type: the body's
 * @depth: bytes used at its deepest, interrupts included
 * @live: bytes in use at its yield; 0: it did not yield
 *
 * Context: any.
 */
void costack_type_note_depth(struct costack_type *type, u32 depth, u32 live)
{
	if (depth > READ_ONCE(type->depth_max))
		WRITE_ONCE(type->depth_max, depth);
	atomic_inc(&type->depth[costack_bucket(depth)]);
	if (live)
		atomic_inc(&type->live[costack_bucket(live)]);
}

/* What ended on all CPUs, and how often it ran, to what there is. */
static void costack_type_sum(const struct costack_type *type, unsigned long *ended,
			     unsigned long *resumes)
{
	struct costack_share *share;
	unsigned int cpu;

	*ended = 0;
	*resumes = type->resumes;
	for_each_possible_cpu(cpu) {
		share = per_cpu_ptr(type->share, cpu);
		*ended += READ_ONCE(share->ended);
		*resumes += READ_ONCE(share->resumes);
	}
}

/**
 * costack_types_show() - the body of the debugfs file depth, but for the shared stacks
 * @m: to
 * @count_resumes: adds how often each coroutine ran to its type's @resumes
 *
 * Context: process, may sleep.
 */
void costack_types_show(struct seq_file *m, void (*count_resumes)(void))
{
	unsigned long ended, resumes;
	struct costack_type *type;
	int bucket, i;

	seq_puts(m, "id name coroutines limit stack depth_max live_max ended resumes");
	for (i = 0; i < COSTACK_DEPTH_BUCKETS; i++)
		seq_printf(m, " depth_%u", 1U << (COSTACK_DEPTH_LOG2_MIN + i));
	for (i = 0; i < COSTACK_DEPTH_BUCKETS; i++)
		seq_printf(m, " live_%u", 1U << (COSTACK_DEPTH_LOG2_MIN + i));
	seq_putc(m, '\n');
	mutex_lock(&costack_type_lock);
	hash_for_each(costack_type_table, bucket, type, node)
		type->resumes = 0;
	count_resumes();
	hash_for_each(costack_type_table, bucket, type, node) {
		costack_type_sum(type, &ended, &resumes);
		seq_printf(m, "%#x %s %d %u %u %u %u %lu %lu", type->id, type->name,
			   costack_type_charged(type),
			   type->limit == COSTACK_NO_LIMIT ? 0 : type->limit, type->stack_size,
			   READ_ONCE(type->depth_max), READ_ONCE(type->live_max), ended, resumes);
		for (i = 0; i < COSTACK_DEPTH_BUCKETS; i++)
			seq_printf(m, " %d", atomic_read(&type->depth[i]));
		for (i = 0; i < COSTACK_DEPTH_BUCKETS; i++)
			seq_printf(m, " %d", atomic_read(&type->live[i]));
		seq_putc(m, '\n');
	}
	mutex_unlock(&costack_type_lock);
}
