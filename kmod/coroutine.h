/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Coroutines: bodies that are suspended in their middle and go on later, elsewhere.
 *
 * A body runs where it is resumed: the resumer's task or interrupt switches to the
 * execution stack, and switches back when the body yields. Nothing of the scheduler is
 * involved, and control never leaves the task or interrupt.
 *
 *	resumer                          coroutine
 *	bpf_costack_resume()
 *	  costack_co_run()
 *	    copy kept bytes to the stack
 *	    costack_switch() ----------> in costack_co_leave(), goes on
 *	                                 body
 *	                                 bpf_costack_yield()
 *	    copy the stack's bytes away <- costack_co_leave() -> costack_switch()
 *
 * Dense coroutines share the execution stacks of the CPU that they were born on. What
 * is on the stack at a yield, some hundred bytes since BPF bounds its frames, is
 * copied to the memory behind the handle, and back to the same place at the resume,
 * since frames are linked by absolute addresses. (Shared stacks: Tencent's libco; H.
 * Yuan's libaco.) Private ones have a stack each, and no copies.
 *
 * A body is called by the trampoline that the kernel makes for struct_ops, for sleepable
 * programs: it enters rcu_read_lock_trace() and migrate_disable(), both counted in the
 * task. They are left at the first yield and entered again only by
 * bpf_costack_finish(), at the end, for the trampoline to leave. Between, preemption is
 * off whenever a body runs, which serves for both: it cannot migrate, and grace
 * periods of RCU Tasks Trace contain one of RCU. That body and map are not freed is seen
 * to by costack_co_retire().
 *
 * States:
 *	NEW ------> RUNNING <-----> SUSPENDED		resume, yield
 *	  \            \-> FINISHED			the body returned
 *	   \-------------> FINISHED			cancelled
 * Whoever changes a coroutine to RUNNING, by cmpxchg, owns it until he changes it back:
 * that is all the mutual exclusion there is.
 *
 * End: a suspended body may own references, so it is never dropped. Cancelling is
 * resuming it when every wait returns -ECANCELED at once; the verifier has proved that
 * it ends then, and gives back what it owns.
 */
#ifndef _COSTACK_COROUTINE_H
#define _COSTACK_COROUTINE_H

#include <linux/list.h>
#include <linux/llist.h>

#include "estack.h"
#include "message.h"
#include "pool.h"
#include "stats.h"
#include "type.h"

/**
 * struct costack_self - a coroutine as its body has it
 * @id: number, unique
 * @value: what the last resume passed
 * @not_scalars: nothing. To the verifier a struct of numbers alone is memory, and it would
 *	take any of a program's own in the place of one of these
 */
struct costack_self {
	u64 id;
	u64 value;
	void *not_scalars[0];
};

/**
 * struct costack_co_self - the same as a part of &struct costack_co
 * @id: as &struct costack_self
 * @value: as &struct costack_self
 *
 * A pointer to a struct is to the verifier one to each of its members, too. Nobody shall pass
 * a part of a coroutine that he holds where his own is asked for.
 */
struct costack_co_self {
	u64 id;
	u64 value;
};

/* States beyond &enum costack_state, and events beyond &enum costack_event. */
#define COSTACK_FREE		4	/* in the pool */
#define COSTACK_CALLING		3	/* the body wants another coroutine to run */

/**
 * struct costack_co - a coroutine
 * @cs: a &struct costack, the handle of what it keeps while suspended, and counter of
 *	references; as bytes, for the reason of &struct costack_co_self
 * @state: &enum costack_state; cmpxchg, released by whoever runs it
 * @live: bytes kept; the owner's, who runs it: so are all that follow, but where
 *	something else is said
 * @type: its type, or costack_dead_type; NULL in the pool. Changed by who spawns or frees it,
 *	and with a reference by costack_co_retire()
 * @estack: where it runs; constant for its life
 * @sp: its stack pointer while it does not run
 * @base_sp: the stack pointer of who runs it
 * @sp_min: a yield with the stack pointer from here to @sp_room bytes above need not look
 *	further; all others do, the first among them
 * @sp_room: see @sp_min
 * @ctx: current->bpf_ctx of who runs it, in the first and the last run
 * @save: where its stack is kept, dense
 * @save_size: bytes there
 * @ret: what the call of another coroutine gave
 * @event: why it switched back
 * @dense: its stack is copied; constant for its life
 * @slow: why its next run is not like all others, COSTACK_SLOW_*
 * @entered: the trampoline's RCU and migration sections are held
 * @cancelled: waits return -ECANCELED; set by anybody, once
 * @self: what its body sees
 * @out: what it yielded; at first what it was spawned with
 * @msg: what is to be read
 * @caller: the coroutine whose body called this one
 * @beneath: the coroutine whose run this one's interrupted on this CPU; written by who runs it,
 *	before costack_running is this one, and followed by interrupts of that CPU alone
 * @callee: the coroutine that this one's body wants to call
 * @own: execution stack of a private one
 * @stack: memory of that; constant for its life
 * @frame: memory for bpf_costack_local(); constant for its life
 * @spill: memory for @save, when what is behind @cs is too small
 * @resumes: how often it ran
 * @born: jiffies
 * @dropped: list of those without references whose bodies must be cancelled
 * @fresh_node: list of handles that are new from the kernel; until it is in @all
 * @all: list of all handles; costack_all_lock
 */
struct costack_co {
	u8 cs[sizeof(struct costack)] __aligned(__alignof__(struct costack));

	int state;
	u32 live;
	struct costack_type *type;
	struct costack_estack *estack;
	unsigned long sp;
	unsigned long base_sp;
	unsigned long sp_min;
	unsigned long sp_room;
	struct bpf_run_ctx *ctx;
	void *save;
	u32 save_size;
	int ret;
	u8 event;
	bool dense;
	u8 slow;
	bool entered;
	bool cancelled;

	struct costack_co_self self;
	u64 out;
	struct costack_message msg;
	struct costack_co *caller;
	struct costack_co *callee;
	struct costack_co *beneath;

	struct costack_estack own;
	struct costack *stack;
	struct costack *frame;
	struct costack *spill;
	unsigned long resumes;
	unsigned long born;
	struct llist_node dropped;
	union {
		struct llist_node fresh_node;
		struct list_head all;
	};
};

/* A coroutine whose body was not called yet; one that is watched; and in each run. */
#define COSTACK_SLOW_FRESH	1
#define COSTACK_SLOW_WATCH	2
#define COSTACK_SLOW_WATCH_ALL	4

extern const struct costack_handle_type costack_co_handle;

DECLARE_PER_CPU(struct costack_co *, costack_running);

extern bool costack_depth_all;

/**
 * costack_co_inside() - does a body run on this CPU, beneath the caller?
 *
 * Such a caller may not sleep, whatever the verifier thinks.
 *
 * Context: any.
 * Return: does one?
 */
static inline bool costack_co_inside(void)
{
	return this_cpu_read(costack_running);
}

/**
 * costack_co_estack() - on which execution stack of this CPU is it?
 * @sp: a stack pointer
 *
 * Context: preemption disabled.
 * Return: the stack, of a body that runs here, on top or beneath; NULL: on none.
 */
static inline const struct costack_estack *costack_co_estack(unsigned long sp)
{
	const struct costack_co *co;

	for (co = this_cpu_read(costack_running); co; co = READ_ONCE(co->beneath)) {
		if (sp - co->estack->low < co->estack->top - co->estack->low)
			return co->estack;
	}
	return NULL;
}

int costack_co_init(void);
void costack_co_exit(void);
void costack_co_retire(struct costack_type *type);
struct costack_co *costack_co_spawn(u32 id, u64 arg, enum costack_mode mode,
				    enum costack_context context);
int costack_co_resume(struct costack_co *co, u64 value, const struct costack_message *msg,
		      u64 *result);
int costack_co_cancel(struct costack_co *co);
int costack_co_state(const struct costack_co *co);
struct costack_co *costack_co_get(struct costack_co *co);
void costack_co_put(struct costack_co *co);
int costack_co_leave_slow(struct costack_co *co, unsigned long sp);
void costack_co_show(struct seq_file *m);
void costack_depth_show(struct seq_file *m);

#endif /* _COSTACK_COROUTINE_H */
