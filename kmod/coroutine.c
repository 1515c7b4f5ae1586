// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <linux/bottom_half.h>
#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/kdebug.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/rcupdate_trace.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "coroutine.h"
#include "stack.h"
#include "switch.h"
#include "trace.h"

/*
 * One coroutine in so many is watched for how deep its stack gets, in the first, second,
 * fourth, ... run.
 */
#define COSTACK_WATCH_PERIOD	1024
#define COSTACK_WATCH_RUNS	16

/* Handles looked at before others get the list. */
#define COSTACK_RETIRE_BATCH	64

/* Watch all coroutines made from now on, in each run: debugfs' depth_all. */
bool costack_depth_all;

/* Rows of the debugfs file coroutines. */
#define COSTACK_SHOW_MAX	4096

DEFINE_PER_CPU(struct costack_co *, costack_running);

/*
 * All handles of coroutines that there are, those in the pool included: who goes through
 * all coroutines of a type needs no list that spawning would have to lock. New ones
 * come by a lock-free list.
 */
static LIST_HEAD(costack_all);
static DEFINE_MUTEX(costack_all_lock);
static DEFINE_MUTEX(costack_retire_lock);	/* taken before costack_all_lock */
static LLIST_HEAD(costack_fresh);

/* Coroutines to cancel and free, without references. */
static LLIST_HEAD(costack_dropped);
static struct workqueue_struct *costack_co_wq __ro_after_init;

static void costack_drop_kick(struct irq_work *work);
static void costack_drop_work(struct work_struct *work);

static struct irq_work costack_drop_irq_work = IRQ_WORK_INIT_HARD(costack_drop_kick);
static DECLARE_DELAYED_WORK(costack_drop, costack_drop_work);

/* States */

/* What the one who ran it wrote is there for the next who claims it, or frees it. */
static __always_inline void costack_co_set_state(struct costack_co *co, int state)
{
	/* Pairs with costack_co_claim() and costack_co_get_state(). */
	smp_store_release(&co->state, state);
}

static __always_inline int costack_co_get_state(const struct costack_co *co)
{
	/* Pairs with costack_co_set_state(). */
	return smp_load_acquire(&co->state);
}

/* Handles */

static struct costack_co *costack_co_of(struct costack *cs)
{
	return container_of((void *)cs, struct costack_co, cs);
}

static struct costack *costack_co_cs(struct costack_co *co)
{
	return (struct costack *)co->cs;
}

static void costack_co_born(struct costack *cs)
{
	struct costack_co *co = costack_co_of(cs);

	co->state = COSTACK_FREE;
	llist_add(&co->fresh_node, &costack_fresh);
}

static void costack_collect_fresh(void)
{
	struct costack_co *co, *next;

	lockdep_assert_held(&costack_all_lock);
	llist_for_each_entry_safe(co, next, llist_del_all(&costack_fresh), fresh_node)
		list_add(&co->all, &costack_all);
}

static void costack_co_dies(struct costack *cs)
{
	mutex_lock(&costack_all_lock);
	costack_collect_fresh();
	list_del(&costack_co_of(cs)->all);
	mutex_unlock(&costack_all_lock);
}

const struct costack_handle_type costack_co_handle = {
	.size = sizeof(struct costack_co),
	.born = costack_co_born,
	.dies = costack_co_dies,
};

/* Spawn */

static struct costack_co *costack_spawn_fail(u32 id, enum costack_context context,
					     enum costack_co_stat why)
{
	costack_co_stat_inc(why);
	trace_costack_spawn(0, id, context, why);
	return NULL;
}

static void costack_co_free_memory(struct costack_co *co)
{
	if (co->stack)
		costack_put(co->stack);
	if (co->frame)
		costack_put(co->frame);
	if (co->spill)
		costack_put(co->spill);
	co->stack = NULL;
	co->frame = NULL;
	co->spill = NULL;
}

static bool costack_co_get_memory(struct costack_co *co, struct costack_type *type,
				  enum costack_mode mode, enum costack_context context)
{
	co->dense = !type->stack_size;
	if (!co->dense) {
		co->stack = costack_stack_alloc_unzeroed(type->stack_size, COSTACK_BACKING_GUARD,
							 mode, context);
		if (!co->stack)
			return false;
		co->own.low = (unsigned long)co->stack->mem;
		co->own.top = co->own.low + co->stack->size;
		co->estack = &co->own;
	}
	if (type->frame_size) {
		co->frame = costack_stack_alloc(type->frame_size, 0, mode, context);
		if (!co->frame)
			return false;
	}
	return true;
}

/**
 * costack_co_spawn() - make a coroutine
 * @id: number of its type
 * @arg: its body's argument
 * @mode: what the caller's context allows
 * @context: the row it is counted under
 *
 * What it keeps at a yield is taken to be what others of its type kept at most.
 *
 * Context: as @mode says.
 * Return: a coroutine with one reference; NULL, counted by its cause.
 */
struct costack_co *costack_co_spawn(u32 id, u64 arg, enum costack_mode mode,
				    enum costack_context context)
{
	enum costack_source source;
	struct costack_type *type;
	struct costack_co *co;
	unsigned long nr;
	struct costack *cs;
	bool limited;
	u32 keep;

	type = costack_type_charge(id, &limited);
	if (unlikely(!type))
		return costack_spawn_fail(id, context, limited ? COSTACK_CO_FAIL_LIMIT :
								 COSTACK_CO_FAIL_TYPE);
	keep = type->stack_size ? 1 : clamp(READ_ONCE(type->live_max), 1U,
					    COSTACK_SIZE_MIN << (COSTACK_NR_CO_CLASSES - 1));
	cs = costack_pool_get(costack_pool_find(keep, COSTACK_BACKING_COROUTINE), mode, context,
			      &source);
	if (unlikely(!cs)) {
		costack_type_uncharge(type);
		costack_stat_inc(context, source - COSTACK_FAIL_LIMIT + COSTACK_STAT_FAIL_LIMIT);
		return costack_spawn_fail(id, context, COSTACK_CO_FAIL_MEMORY);
	}
	costack_stat_source(context, source);
	co = costack_co_of(cs);
	if (unlikely((type->stack_size || type->frame_size) &&
		     !costack_co_get_memory(co, type, mode, context))) {
		costack_co_free_memory(co);
		costack_type_uncharge(type);
		costack_pool_put(cs, context);
		return costack_spawn_fail(id, context, COSTACK_CO_FAIL_MEMORY);
	}
	co->save = cs->mem;
	co->save_size = cs->size;
	co->live = 0;
	co->slow = COSTACK_SLOW_FRESH;
	/* No stack pointer is in there. */
	co->sp_min = ULONG_MAX;
	co->sp_room = 0;
	co->entered = false;
	co->cancelled = false;
	co->caller = NULL;
	preempt_disable();
	nr = costack_co_stat_inc_return(COSTACK_CO_SPAWNED);
	co->self.id = (u64)nr * nr_cpu_ids + smp_processor_id();
	if (!type->stack_size) {
		co->estack = costack_estack_here();
		co->dense = true;
	}
	preempt_enable();
	if (unlikely(nr % COSTACK_WATCH_PERIOD == 1))
		co->slow |= COSTACK_SLOW_WATCH;
	if (unlikely(READ_ONCE(costack_depth_all)))
		co->slow |= COSTACK_SLOW_WATCH_ALL;
	/* Programs can read it before the first resume. */
	co->self.value = 0;
	co->out = arg;
	co->msg.left = 0;
	co->resumes = 0;
	co->born = jiffies;
	/* Pairs with costack_co_retire_one(): the type of before is seen to be gone, then. */
	smp_wmb();
	refcount_set(&cs->ref, 1);
	WRITE_ONCE(co->type, type);
	/* From here on costack_co_retire() sees it. */
	costack_co_set_state(co, COSTACK_NEW);
	trace_costack_spawn(co->self.id, id, context, COSTACK_CO_SPAWNED);
	return co;
}

static int costack_co_grow(struct costack_co *co, u32 live)
{
	struct costack *spill;

	/* The body may run anywhere. */
	spill = costack_stack_alloc_unzeroed(live, COSTACK_BACKING_KMALLOC, COSTACK_MODE_NOLOCK,
					     costack_context_now());
	if (!spill)
		return -ENOMEM;
	if (co->spill)
		costack_put(co->spill);
	co->spill = spill;
	co->save = spill->mem;
	co->save_size = spill->size;
	return 0;
}

/**
 * costack_co_leave_slow() - what a yield has to do once, or for a deeper stack than before
 * @co: coroutine that runs here
 * @sp: its stack pointer at the yield
 *
 * Context: any but NMI, on the coroutine's stack.
 * Return: 0; -ENOMEM: no room to keep the stack; -EINVAL: this is not the coroutine's
 * stack, which no program can bring about.
 */
int costack_co_leave_slow(struct costack_co *co, unsigned long sp)
{
	const struct costack_estack *es = co->estack;
	u32 live = es->top - sp, room;

	if (sp < es->low || sp >= es->top)
		return -EINVAL;
	if (live > co->save_size && co->dense && costack_co_grow(co, live))
		return -ENOMEM;
	if (live > READ_ONCE(co->type->live_max))
		WRITE_ONCE(co->type->live_max, live);
	room = READ_ONCE(co->type->live_max);
	if (co->dense)
		room = min(room, co->save_size);
	co->sp_min = es->top - room;
	co->sp_room = room;
	if (co->entered) {
		co->entered = false;
		migrate_enable();
		rcu_read_unlock_trace();
	}
	return 0;
}

/* Run */

/*
 * Preemption is off while a body runs, and softirqs too: they would find the execution
 * stack in use beneath them. Return: is there something to undo?
 */
static __always_inline bool costack_run_begin(void)
{
	if (likely(preempt_count() & (HARDIRQ_MASK | SOFTIRQ_MASK)) || irqs_disabled())
		return false;
	local_bh_disable();
	return true;
}

static __always_inline void costack_run_end(bool bh)
{
	if (unlikely(bh))
		local_bh_enable();
}

/* Why a coroutine cannot be claimed as one that is suspended; a new one is claimed. */
static noinline int costack_co_claim_slow(struct costack_co *co, int state, bool dying)
{
	switch (state) {
	case COSTACK_NEW:
		return try_cmpxchg(&co->state, &state, COSTACK_RUNNING) ? 0 : -EBUSY;
	case COSTACK_RUNNING:
		return -EBUSY;
	default:
		return !dying && READ_ONCE(co->type)->dead ? -ESTALE : -ESRCH;
	}
}

/* It did not run, after all. */
static void costack_co_unclaim(struct costack_co *co)
{
	costack_co_set_state(co, co->slow & COSTACK_SLOW_FRESH ? COSTACK_NEW : COSTACK_SUSPENDED);
}

/*
 * Become the one who runs a coroutine. 0, -EBUSY, -ESRCH, -ESTALE; @dying: it is to be
 * cancelled, so that its type may be gone.
 */
static __always_inline int costack_co_claim(struct costack_co *co, bool dying)
{
	int state = COSTACK_SUSPENDED, ret;

	if (unlikely(!try_cmpxchg(&co->state, &state, COSTACK_RUNNING))) {
		ret = costack_co_claim_slow(co, state, dying);
		if (ret)
			return ret;
	}
	/* Ordered by the exchange: costack_co_retire() looks the other way round. */
	if (unlikely(READ_ONCE(READ_ONCE(co->type)->dead)) && !dying) {
		costack_co_unclaim(co);
		return -ESTALE;
	}
	return 0;
}

/*
 * The execution stack is in use: wait for another CPU's body to yield, if this context
 * may. It may not in an interrupt, which may have interrupted the user; and not on top
 * of a body, which the other may be waiting for.
 */
static noinline int costack_co_lock_slow(struct costack_co *co)
{
	if (!in_hardirq() && !irqs_disabled() && !costack_co_inside() &&
	    costack_estack_wait(co->estack))
		return 0;
	costack_co_unclaim(co);
	costack_co_stat_inc(COSTACK_CO_BUSY);
	return -EBUSY;
}

/* Are too many runs stacked up on this CPU, by programs that interrupt a body? */
static noinline bool costack_too_deep(void)
{
	struct costack_co *co;
	int n = 0;

	for (co = this_cpu_read(costack_running); co; co = co->beneath)
		n++;
	return n >= COSTACK_DEPTH_MAX;
}

/* Claim a coroutine, and take its execution stack. 0, -EBUSY, -ESRCH, -ESTALE. */
static __always_inline int costack_co_begin(struct costack_co *co, bool dying)
{
	int ret;

	if (unlikely(costack_co_inside()) && costack_too_deep())
		return -EBUSY;
	ret = costack_co_claim(co, dying);
	if (unlikely(ret))
		return ret;
	return likely(costack_estack_lock(co->estack)) ? 0 : costack_co_lock_slow(co);
}

/* Keep what is on the stack, dense, so that others may use it. */
static __always_inline void costack_co_keep(struct costack_co *co)
{
	if (likely(co->dense)) {
		co->live = co->estack->top - co->sp;
		costack_switch_copy(co->save, (void *)co->sp, co->live);
	}
}

/* Of one that never ran, there is nothing. */
static __always_inline void costack_co_unkeep(struct costack_co *co)
{
	if (likely(co->dense))
		costack_switch_copy((void *)co->sp, co->save, co->live);
}

/* The first run: the trampoline that calls the body wants more than a switch. */
static void costack_co_first_leg(struct costack_co *co)
{
	struct bpf_run_ctx *ctx = current->bpf_ctx;

	co->slow &= ~COSTACK_SLOW_FRESH;
	co->ctx = ctx;
	co->sp = costack_switch_init(co->estack->top, co);
	/* It says that it might fault, as programs that sleep may. */
	pagefault_disable();
	costack_switch(&co->base_sp, &co->sp);
	pagefault_enable();
	current->bpf_ctx = ctx;
}

static noinline int costack_co_slow_leg(struct costack_co *co)
{
	struct costack_estack *es = co->estack;
	bool fresh = co->slow & COSTACK_SLOW_FRESH;
	/* Of each type the first that runs is, too. */
	bool watch = co->slow & COSTACK_SLOW_WATCH_ALL ||
		     (co->slow & COSTACK_SLOW_WATCH && is_power_of_2(co->resumes)) ||
		     (fresh && !READ_ONCE(co->type->depth_max));
	u64 *low = (u64 *)es->low;

	if (watch) {
		/* Paint what is not in use, to see how much of it will be. */
		es->depth = max(es->depth, costack_estack_depth(es));
		memset64(low, COSTACK_PAINT, ((fresh ? es->top : co->sp) - es->low) / sizeof(*low));
		if (co->resumes >= COSTACK_WATCH_RUNS)
			co->slow &= ~COSTACK_SLOW_WATCH;
	}
	if (fresh)
		costack_co_first_leg(co);
	else
		costack_switch(&co->base_sp, &co->sp);
	if (watch)
		costack_type_note_depth(co->type, costack_estack_depth(es),
					co->event == COSTACK_DONE ? 0 : es->top - co->sp);
	return co->event;
}

/* Run it to where it switches back. Its stack is in place. */
static __always_inline int costack_co_leg(struct costack_co *co)
{
	if (unlikely(co->slow))
		return costack_co_slow_leg(co);
	costack_switch(&co->base_sp, &co->sp);
	return co->event;
}

/* Let go of a coroutine whose body is over, but for its execution stack. */
static void costack_co_done(struct costack_co *co)
{
	/* At its end the trampoline brought back what was here when it began. */
	current->bpf_ctx = co->ctx;
}

/*
 * The body of @co wants another coroutine to run. It was switched away from like for a
 * yield, and its stack, if the other's body belongs to the same, is free to use. Return:
 * who runs next, which is @co again when that cannot be.
 */
static struct costack_co *costack_co_begin_call(struct costack_co *co)
{
	struct costack_co *callee = co->callee, *up;
	int depth = 1;

	for (up = co; up->caller; up = up->caller)
		depth++;
	co->ret = -ELOOP;
	if (depth >= COSTACK_DEPTH_MAX)
		return co;
	co->ret = costack_co_claim(callee, false);
	if (co->ret)
		return co;
	if (callee->estack == co->estack) {
		costack_co_keep(co);
	} else if (!costack_estack_lock(callee->estack)) {
		/* Not waited for: its user may want ours. */
		costack_co_unclaim(callee);
		costack_co_stat_inc(COSTACK_CO_BUSY);
		co->ret = -EBUSY;
		return co;
	}
	costack_co_stat_inc(COSTACK_CO_RESUMED);
	callee->resumes++;
	callee->caller = co;
	WRITE_ONCE(callee->beneath, co->beneath);
	callee->self.value = co->out;
	callee->msg.left = 0;
	costack_co_unkeep(callee);
	this_cpu_write(costack_running, callee);
	return callee;
}

/* The coroutine that the body of another called is at rest: back to that one. */
static struct costack_co *costack_co_end_call(struct costack_co *callee, int event)
{
	struct costack_co *co = callee->caller;

	co->ret = event;
	co->out = callee->out;
	callee->caller = NULL;
	if (event == COSTACK_DONE)
		costack_co_done(callee);
	else
		costack_co_keep(callee);
	if (callee->estack == co->estack)
		costack_co_unkeep(co);
	else
		costack_estack_unlock(callee->estack);
	/* Before somebody else may have the callee. */
	this_cpu_write(costack_running, co);
	costack_co_set_state(callee, event == COSTACK_DONE ? COSTACK_FINISHED : COSTACK_SUSPENDED);
	return co;
}

/* Run those that the body of @co calls, and it, until it does something else. */
static noinline int costack_co_run_calls(struct costack_co *co, int event)
{
	while (event == COSTACK_CALLING || co->caller) {
		co = event == COSTACK_CALLING ? costack_co_begin_call(co) :
						costack_co_end_call(co, event);
		event = costack_co_leg(co);
	}
	if (event == COSTACK_DONE)
		costack_co_done(co);
	return event;
}

/* Run a coroutine that is ours, with its execution stack, and let go of both. */
static __always_inline int costack_co_run(struct costack_co *co, u64 *result, bool cancel)
{
	struct costack_co *outer = this_cpu_read(costack_running);
	int event;

	costack_co_stat_inc(COSTACK_CO_RESUMED);
	co->resumes++;
	/* Interrupts follow both: costack_co_estack(). */
	WRITE_ONCE(co->beneath, outer);
	this_cpu_write(costack_running, co);
	/* A program attached here may resume others: this stack is seen to be in use. */
	if (cancel)
		trace_costack_cancel(co->self.id);
	else
		trace_costack_resume(co->self.id, co->self.value);
	costack_co_unkeep(co);
	event = costack_co_leg(co);
	if (unlikely(event >= COSTACK_DONE))
		event = costack_co_run_calls(co, event);
	this_cpu_write(costack_running, outer);
	if (result)
		*result = co->out;
	if (unlikely(event == COSTACK_DONE)) {
		costack_estack_unlock(co->estack);
		costack_co_set_state(co, COSTACK_FINISHED);
	} else {
		costack_co_keep(co);
		costack_estack_unlock(co->estack);
		costack_co_set_state(co, COSTACK_SUSPENDED);
	}
	return event;
}

/**
 * costack_co_resume() - run a coroutine until its body yields, waits or returns
 * @co: it; the caller has a reference
 * @value: for @co->self.value
 * @msg: to read, or NULL
 * @result: what the body yielded or returned; may be NULL
 *
 * Context: any but NMI.
 * Return: &enum costack_event; -EOPNOTSUPP in NMI; -EBUSY, -ESRCH, -ESTALE, as
 * bpf/costack.bpf.h says.
 */
int costack_co_resume(struct costack_co *co, u64 value, const struct costack_message *msg,
		      u64 *result)
{
	bool bh;
	int ret;

	if (unlikely(in_nmi()))
		return -EOPNOTSUPP;
	bh = costack_run_begin();
	ret = costack_co_begin(co, false);
	if (unlikely(ret))
		goto out;
	co->self.value = value;
	if (msg)
		co->msg = *msg;
	else
		co->msg.left = 0;
	ret = costack_co_run(co, result, false);
	trace_costack_yield(co->self.id, ret);
out:
	costack_run_end(bh);
	return ret;
}

/* End */

/* Give a coroutine that nobody has, and whose body is over, back to the pool. */
static void costack_co_free(struct costack_co *co)
{
	struct costack_type *type = xchg(&co->type, NULL);

	costack_co_free_memory(co);
	if (type != &costack_dead_type) {
		costack_type_note_end(type, co->resumes);
		costack_type_uncharge(type);
	}
	WRITE_ONCE(co->state, COSTACK_FREE);
	costack_pool_put(costack_co_cs(co), costack_context_now());
}

/* End a coroutine. 0, -ESRCH, -EBUSY, -ESTALE. */
static int costack_co_end(struct costack_co *co, bool dying)
{
	bool bh = costack_run_begin();
	int ret = costack_co_begin(co, dying);

	if (ret)
		goto out;
	if (co->slow & COSTACK_SLOW_FRESH) {
		/* Its body never began, and will not. */
		costack_estack_unlock(co->estack);
		costack_co_set_state(co, COSTACK_FINISHED);
		goto out;
	}
	WRITE_ONCE(co->cancelled, true);
	co->msg.left = 0;
	costack_co_run(co, NULL, true);
	costack_co_stat_inc(COSTACK_CO_CANCELLED);
out:
	costack_run_end(bh);
	return ret;
}

/**
 * costack_co_cancel() - end a coroutine
 * @co: it; the caller has a reference
 *
 * Context: any but NMI.
 * Return: 0 when it is finished, -EOPNOTSUPP in NMI, -ESTALE, or -EBUSY: a running one ends
 * at its next wait, and one whose execution stack is in use does when it is resumed.
 */
int costack_co_cancel(struct costack_co *co)
{
	int ret;

	if (unlikely(in_nmi()))
		return -EOPNOTSUPP;
	WRITE_ONCE(co->cancelled, true);
	/* One that never ran needs no execution stack to end, which may be in use. */
	if (cmpxchg(&co->state, COSTACK_NEW, COSTACK_FINISHED) == COSTACK_NEW)
		return 0;
	ret = costack_co_end(co, false);
	return ret == -ESRCH ? 0 : ret;
}

/**
 * costack_co_state() - what a coroutine is at
 * @co: it; the caller has a reference
 *
 * Context: any.
 * Return: &enum costack_state, or -ESTALE when its type is gone.
 */
int costack_co_state(const struct costack_co *co)
{
	/* First: who retires its type ends it once the type is dead, and is to be seen as that. */
	int state = costack_co_get_state(co);
	bool dead;

	/* A sleepable program holds off nobody who frees a type. */
	rcu_read_lock();
	dead = READ_ONCE(READ_ONCE(co->type)->dead);
	rcu_read_unlock();
	return dead ? -ESTALE : state;
}

/**
 * costack_co_get() - one more reference
 * @co: coroutine to which the caller has a reference
 *
 * Context: any.
 * Return: @co.
 */
struct costack_co *costack_co_get(struct costack_co *co)
{
	refcount_inc(&costack_co_cs(co)->ref);
	return co;
}

/**
 * costack_co_put() - give a reference back
 * @co: coroutine to which the caller has a reference; not to be used afterwards
 *
 * When it was the last, and the body is suspended, a worker cancels it.
 *
 * Context: any, NMI included.
 */
void costack_co_put(struct costack_co *co)
{
	int state;

	if (!refcount_dec_and_test(&costack_co_cs(co)->ref))
		return;
	/* Nobody can run it any more. */
	state = costack_co_get_state(co);
	if (state == COSTACK_FINISHED || state == COSTACK_NEW)
		costack_co_free(co);
	else if (llist_add(&co->dropped, &costack_dropped))
		irq_work_queue(&costack_drop_irq_work);
}

static void costack_drop_kick(struct irq_work *work)
{
	queue_delayed_work(costack_co_wq, &costack_drop, 0);
}

static void costack_drop_work(struct work_struct *work)
{
	struct costack_co *co, *next;
	int ret;

	llist_for_each_entry_safe(co, next, llist_del_all(&costack_dropped), dropped) {
		ret = costack_co_end(co, true);
		if (ret == -EBUSY) {
			/* It runs, or its execution stack is in use. */
			llist_add(&co->dropped, &costack_dropped);
			queue_delayed_work(costack_co_wq, &costack_drop, 1);
			continue;
		}
		costack_co_free(co);
		cond_resched();
	}
}

/*
 * End a coroutine if it is of a type that is going. It is looked at without a reference, and
 * may be freed and spawned anew, as something else: whoever has it then must not find it
 * running. So it is not claimed before it is held, and known to be the same.
 *
 * One that nobody has is in the making, in the pool, or the worker's to end.
 */
static void costack_co_retire_one(struct costack_co *co, struct costack_type *type)
{
	if (READ_ONCE(co->type) != type || !refcount_inc_not_zero(&costack_co_cs(co)->ref))
		return;
	/* Pairs with costack_co_spawn(). */
	smp_acquire__after_ctrl_dep();
	while (READ_ONCE(co->type) == type) {
		if (costack_co_get_state(co) == COSTACK_FINISHED) {
			/* For handles that live on. */
			WRITE_ONCE(co->type, &costack_dead_type);
			costack_type_uncharge(type);
		} else if (costack_co_end(co, true)) {
			/* It runs, its execution stack is in use, or it is in the making. */
			usleep_range(50, 500);
		}
	}
	costack_co_put(co);
}

/*
 * Go through all handles. A million bodies take their time, and reclaim waits for the list
 * (costack_co_dies()): a place is kept in it, by what looks like a handle in the pool.
 */
static void costack_co_retire_pass(struct costack_type *type)
{
	static struct costack_co place = { .state = COSTACK_FREE };
	unsigned int n = 0;
	struct costack_co *co;

	lockdep_assert_held(&costack_retire_lock);
	mutex_lock(&costack_all_lock);
	costack_collect_fresh();
	list_add(&place.all, &costack_all);
	while (!list_is_last(&place.all, &costack_all)) {
		co = list_next_entry(&place, all);
		list_move(&place.all, &co->all);
		costack_co_retire_one(co, type);
		if (++n % COSTACK_RETIRE_BATCH)
			continue;
		mutex_unlock(&costack_all_lock);
		cond_resched();
		mutex_lock(&costack_all_lock);
	}
	list_del(&place.all);
	mutex_unlock(&costack_all_lock);
}

/**
 * costack_co_retire() - end all coroutines of a type
 * @type: from costack_type_retire(): nobody can resume or spawn any more
 *
 * The body's program and trampoline may be freed afterwards. Handles that live on are
 * those of finished coroutines.
 *
 * Context: process, may sleep.
 */
void costack_co_retire(struct costack_type *type)
{
	mutex_lock(&costack_retire_lock);
	/* Pairs with the exchange in costack_co_claim(). */
	smp_mb();
	for (;;) {
		costack_co_retire_pass(type);
		/* One is in the making, is being freed, or waits for the worker. */
		if (!costack_type_charged(type))
			break;
		flush_delayed_work(&costack_drop);
		usleep_range(100, 1000);
	}
	mutex_unlock(&costack_retire_lock);
	/* Who looked at the type before it was dead is done with it after this. */
	synchronize_rcu();
}

/* Looking */

static const char * const costack_state_names[] = {
	[COSTACK_NEW] = "new",
	[COSTACK_SUSPENDED] = "suspended",
	[COSTACK_RUNNING] = "running",
	[COSTACK_FINISHED] = "finished",
};

/**
 * costack_co_show() - the body of the debugfs file coroutines
 * @m: to
 *
 * Context: process, may sleep.
 */
void costack_co_show(struct seq_file *m)
{
	unsigned long shown = 0, more = 0;
	struct costack_type *type;
	struct costack_co *co;
	int state;

	seq_puts(m, "id ops state cpu age_ms resumes kept private\n");
	mutex_lock(&costack_all_lock);
	costack_collect_fresh();
	list_for_each_entry(co, &costack_all, all) {
		cond_resched();
		rcu_read_lock();
		type = READ_ONCE(co->type);
		state = READ_ONCE(co->state);
		if (type && state <= COSTACK_FINISHED && shown++ < COSTACK_SHOW_MAX)
			seq_printf(m, "%llu %s %s %d %u %lu %u %d\n", co->self.id, type->name,
				   costack_state_names[state], costack_estack_cpu(co->estack),
				   jiffies_to_msecs(jiffies - co->born), READ_ONCE(co->resumes),
				   READ_ONCE(co->live), !co->dense);
		rcu_read_unlock();
	}
	mutex_unlock(&costack_all_lock);
	if (shown > COSTACK_SHOW_MAX)
		more = shown - COSTACK_SHOW_MAX;
	seq_printf(m, "more: %lu\n", more);
}

/* For costack_types_show(). */
static void costack_co_count_resumes(void)
{
	struct costack_type *type;
	struct costack_co *co;

	mutex_lock(&costack_all_lock);
	costack_collect_fresh();
	list_for_each_entry(co, &costack_all, all) {
		cond_resched();
		rcu_read_lock();
		type = READ_ONCE(co->type);
		if (type && type != &costack_dead_type && READ_ONCE(co->state) <= COSTACK_FINISHED)
			type->resumes += READ_ONCE(co->resumes);
		rcu_read_unlock();
	}
	mutex_unlock(&costack_all_lock);
}

/**
 * costack_depth_show() - the body of the debugfs file depth
 * @m: to
 *
 * Context: process, may sleep.
 */
void costack_depth_show(struct seq_file *m)
{
	struct costack_estack *es;
	unsigned int cpu, n;
	bool irq;

	costack_types_show(m, costack_co_count_resumes);
	seq_puts(m, "stacks:\n");
	seq_puts(m, "cpu for size depth_max\n");
	for (n = 0; (es = costack_estack_nth(n, &cpu, &irq)); n++)
		seq_printf(m, "%u %s %lu %u\n", cpu, irq ? "interrupts" : "tasks_and_softirqs",
			   es->top - es->low, max(READ_ONCE(es->depth), costack_estack_depth(es)));
}

/*
 * An overflow ends in the unmapped page behind the execution stack. The fault cannot be
 * delivered there either: a double fault, which dies. Say whose it was before.
 */
static int costack_die(struct notifier_block *nb, unsigned long val, void *data)
{
	struct costack_co *co = this_cpu_read(costack_running);
	struct costack_type *type;
	unsigned long sp;

	/* DIE_OOPS follows. */
	if (val != DIE_TRAP || !co || !costack_switch_overflow(data, &sp))
		return NOTIFY_DONE;
	type = READ_ONCE(co->type);
	if (sp - (co->estack->low - PAGE_SIZE) <= 2 * PAGE_SIZE)
		pr_emerg("stack overflow: coroutine %llu of ops '%s' ran over its execution stack of %lu bytes into the guard page\n",
			 co->self.id, type ? type->name : "?",
			 co->estack->top - co->estack->low);
	return NOTIFY_DONE;
}

static struct notifier_block costack_die_nb = { .notifier_call = costack_die };

/* Init and exit */

/**
 * costack_co_init() - get ready for coroutines
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int __init costack_co_init(void)
{
	int ret;

	if (!COSTACK_HAVE_SWITCH)
		return 0;
	ret = costack_estacks_init();
	if (ret)
		return ret;
	costack_co_wq = alloc_workqueue("costack_co", WQ_UNBOUND, 0);
	if (!costack_co_wq) {
		costack_estacks_exit();
		return -ENOMEM;
	}
	register_die_notifier(&costack_die_nb);
	return 0;
}

/**
 * costack_co_exit() - the end of coroutines
 *
 * No type is attached, and no program has a handle.
 *
 * Context: process, may sleep.
 */
void costack_co_exit(void)
{
	if (!COSTACK_HAVE_SWITCH)
		return;
	irq_work_sync(&costack_drop_irq_work);
	/* A pass that could not end one asks for another. */
	while (flush_delayed_work(&costack_drop))
		;
	unregister_die_notifier(&costack_die_nb);
	destroy_workqueue(costack_co_wq);
	costack_estacks_exit();
}
