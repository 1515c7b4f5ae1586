// SPDX-License-Identifier: GPL-2.0
/*
 * Plants one bug of a kind that a detector of the debug kernels is there for. The first report
 * turns some detectors off, so it is one bug a boot: selftests/debug.sh. Loading succeeds; the
 * proof is in the kernel's log.
 */
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#define COS_PLANTED_BYTES	1000
#define COS_PLANTED_LEAKS	200
#define COS_PLANTED_ROUNDS	2000000

static char *bug = "";
module_param(bug, charp, 0444);
MODULE_PARM_DESC(bug, "what to do wrong");

/* So that the compiler neither sees the bug nor leaves it out. */
static char cos_planted_sink;

static void *cos_planted_hidden(void *p)
{
	OPTIMIZER_HIDE_VAR(p);
	return p;
}

static void cos_planted_slab_bounds(void)
{
	char *p = cos_planted_hidden(kmalloc(COS_PLANTED_BYTES, GFP_KERNEL));

	if (p)
		WRITE_ONCE(p[COS_PLANTED_BYTES], 1);
	kfree(p);
}

static void cos_planted_vmalloc_bounds(void)
{
	char *p = cos_planted_hidden(vmalloc(COS_PLANTED_BYTES));

	if (p)
		WRITE_ONCE(p[COS_PLANTED_BYTES], 1);
	vfree(p);
}

static void cos_planted_use_after_free(void)
{
	char *p = kmalloc(COS_PLANTED_BYTES, GFP_KERNEL);
	char *stale = cos_planted_hidden(p);

	kfree(p);
	WRITE_ONCE(cos_planted_sink, READ_ONCE(stale[1]));
}

static void cos_planted_double_free(void)
{
	char *p = kmalloc(COS_PLANTED_BYTES, GFP_KERNEL);
	char *stale = cos_planted_hidden(p);

	kfree(p);
	kfree(stale);
}

static DEFINE_SPINLOCK(cos_planted_lock);

static void cos_planted_atomic_sleep(void)
{
	spin_lock(&cos_planted_lock);
	might_sleep();
	spin_unlock(&cos_planted_lock);
}

static void cos_planted_schedule_atomic(void)
{
	preempt_disable();
	schedule_timeout_uninterruptible(1);
	preempt_enable();
}

static DEFINE_MUTEX(cos_planted_a);
static DEFINE_MUTEX(cos_planted_b);

static void cos_planted_lock_order(void)
{
	mutex_lock(&cos_planted_a);
	mutex_lock(&cos_planted_b);
	mutex_unlock(&cos_planted_b);
	mutex_unlock(&cos_planted_a);
	mutex_lock(&cos_planted_b);
	mutex_lock(&cos_planted_a);
	mutex_unlock(&cos_planted_a);
	mutex_unlock(&cos_planted_b);
}

static void cos_planted_tasklet(struct tasklet_struct *tasklet)
{
	spin_lock(&cos_planted_lock);
	spin_unlock(&cos_planted_lock);
}

static DECLARE_TASKLET(cos_planted_soft, cos_planted_tasklet);

static void cos_planted_lock_softirq(void)
{
	tasklet_schedule(&cos_planted_soft);
	tasklet_kill(&cos_planted_soft);
	spin_lock(&cos_planted_lock);
	spin_unlock(&cos_planted_lock);
}

static void cos_planted_lock_kept(void)
{
	mutex_lock(&cos_planted_a);
}

static char __rcu *cos_planted_pointer;

static void cos_planted_rcu_deref(void)
{
	if (rcu_dereference(cos_planted_pointer))
		WRITE_ONCE(cos_planted_sink, 1);
}

static void cos_planted_rcu_sleep(void)
{
	rcu_read_lock();
	might_sleep();
	rcu_read_unlock();
}

static void cos_planted_list(void)
{
	static LIST_HEAD(head);
	static struct list_head one;

	list_add(&one, &head);
	list_del(&one);
	list_del(&one);
}

struct cos_planted_timer {
	struct timer_list timer;
	struct work_struct work;
	struct rcu_head rcu;
};

static void cos_planted_expire(struct timer_list *timer)
{
}

static void cos_planted_work(struct work_struct *work)
{
	msleep(100);
}

static void cos_planted_object_freed(void)
{
	struct cos_planted_timer *t = kzalloc(sizeof(*t), GFP_KERNEL);

	if (!t)
		return;
	timer_setup(&t->timer, cos_planted_expire, 0);
	mod_timer(&t->timer, jiffies + 3600 * HZ);
	kfree(t);
}

static void cos_planted_object_work(void)
{
	struct cos_planted_timer *t = kzalloc(sizeof(*t), GFP_KERNEL);

	if (!t)
		return;
	INIT_WORK(&t->work, cos_planted_work);
	schedule_work(&t->work);
	INIT_WORK(&t->work, cos_planted_work);
	msleep(300);
}

static void cos_planted_called(struct rcu_head *rcu)
{
}

static void cos_planted_object_rcu(void)
{
	struct cos_planted_timer *t = kzalloc(sizeof(*t), GFP_KERNEL);

	if (!t)
		return;
	call_rcu(&t->rcu, cos_planted_called);
	call_rcu(&t->rcu, cos_planted_called);
	rcu_barrier();
}

static void cos_planted_preemptible(void)
{
	WRITE_ONCE(cos_planted_sink, smp_processor_id());
}

static void cos_planted_refcount(void)
{
	static refcount_t count = REFCOUNT_INIT(0);

	refcount_inc(&count);
}

static void cos_planted_leak(void)
{
	int i;

	for (i = 0; i < COS_PLANTED_LEAKS; i++)
		WRITE_ONCE(cos_planted_sink, !kmalloc(COS_PLANTED_BYTES, GFP_KERNEL));
}

static long cos_planted_counter;

static noinline int cos_planted_racer(void *unused)
{
	long i;

	for (i = 0; i < COS_PLANTED_ROUNDS && !kthread_should_stop(); i++) {
		cos_planted_counter++;
		barrier();
		cond_resched();
	}
	while (!kthread_should_stop())
		msleep(20);
	return 0;
}

static void cos_planted_race(void)
{
	struct task_struct *racers[2];
	int i;

	for (i = 0; i < ARRAY_SIZE(racers); i++)
		racers[i] = kthread_run(cos_planted_racer, NULL, "cos_planted/%d", i);
	msleep(3000);
	for (i = 0; i < ARRAY_SIZE(racers); i++) {
		if (!IS_ERR(racers[i]))
			kthread_stop(racers[i]);
	}
}

static const struct {
	const char *name;
	void (*plant)(void);
} cos_planted[] = {
	{ "slab-bounds", cos_planted_slab_bounds },
	{ "vmalloc-bounds", cos_planted_vmalloc_bounds },
	{ "use-after-free", cos_planted_use_after_free },
	{ "double-free", cos_planted_double_free },
	{ "atomic-sleep", cos_planted_atomic_sleep },
	{ "schedule-atomic", cos_planted_schedule_atomic },
	{ "lock-order", cos_planted_lock_order },
	{ "lock-softirq", cos_planted_lock_softirq },
	{ "lock-kept", cos_planted_lock_kept },
	{ "rcu-deref", cos_planted_rcu_deref },
	{ "rcu-sleep", cos_planted_rcu_sleep },
	{ "list", cos_planted_list },
	{ "object-freed", cos_planted_object_freed },
	{ "object-work", cos_planted_object_work },
	{ "object-rcu", cos_planted_object_rcu },
	{ "preemptible", cos_planted_preemptible },
	{ "refcount", cos_planted_refcount },
	{ "leak", cos_planted_leak },
	{ "race", cos_planted_race },
};

static int __init cos_planted_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(cos_planted); i++) {
		if (sysfs_streq(bug, cos_planted[i].name)) {
			pr_info("planting: %s\n", bug);
			cos_planted[i].plant();
			return 0;
		}
	}
	pr_err("bug=%s is none of those that can be planted\n", bug);
	return -EINVAL;
}
module_init(cos_planted_init);

static void __exit cos_planted_exit(void)
{
}
module_exit(cos_planted_exit);

MODULE_AUTHOR("costack maintainers");
MODULE_DESCRIPTION("Plants a bug for a detector to find, for the selftests");
MODULE_LICENSE("GPL");
MODULE_INFO(test, "Y");
