// SPDX-License-Identifier: GPL-2.0
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/processor.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "estack.h"

/* How long a resume waits for another CPU's body to yield. */
#define COSTACK_ESTACK_WAIT_NS	(20 * NSEC_PER_MSEC)

/**
 * struct costack_estacks - the execution stacks of a CPU
 * @normal: of coroutines born in a task or softirq, which never interrupt each other:
 *	tasks run bodies with softirqs off
 * @irq: of those born in an interrupt
 */
struct costack_estacks {
	struct costack_estack normal;
	struct costack_estack irq;
};

static DEFINE_PER_CPU_ALIGNED(struct costack_estacks, costack_estacks);

static int costack_estack_init(struct costack_estack *es)
{
	void *mem = __vmalloc(COSTACK_ESTACK_SIZE, GFP_KERNEL);

	if (!mem)
		return -ENOMEM;
	memset64(mem, COSTACK_PAINT, COSTACK_ESTACK_SIZE / sizeof(u64));
	es->low = (unsigned long)mem;
	es->top = es->low + COSTACK_ESTACK_SIZE;
	return 0;
}

/**
 * costack_estacks_exit() - free all shared execution stacks
 *
 * Nobody may run, or be suspended, on one any more.
 *
 * Context: process, may sleep.
 */
void costack_estacks_exit(void)
{
	struct costack_estacks *both;
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		both = per_cpu_ptr(&costack_estacks, cpu);
		vfree((void *)both->normal.low);
		vfree((void *)both->irq.low);
	}
}

/**
 * costack_estacks_init() - make the execution stacks of all CPUs that there may be
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int __init costack_estacks_init(void)
{
	struct costack_estacks *both;
	unsigned int cpu;
	int ret = 0;

	for_each_possible_cpu(cpu) {
		both = per_cpu_ptr(&costack_estacks, cpu);
		ret = ret ?: costack_estack_init(&both->normal);
		ret = ret ?: costack_estack_init(&both->irq);
	}
	if (ret)
		costack_estacks_exit();
	return ret;
}

/**
 * costack_estack_here() - the execution stack of coroutines born here and now
 *
 * Context: preemption disabled.
 * Return: this CPU's, for this kind of context.
 */
struct costack_estack *costack_estack_here(void)
{
	struct costack_estacks *both = this_cpu_ptr(&costack_estacks);

	return in_hardirq() ? &both->irq : &both->normal;
}

/**
 * costack_estack_nth() - go over all shared execution stacks
 * @n: counts from 0
 * @cpu: written: whose it is
 * @irq: written: is it the one for interrupts?
 *
 * Context: any.
 * Return: a stack, or NULL after the last.
 */
struct costack_estack *costack_estack_nth(unsigned int n, unsigned int *cpu, bool *irq)
{
	struct costack_estacks *both;

	*irq = n & 1;
	for_each_possible_cpu(*cpu) {
		if (n < 2) {
			both = per_cpu_ptr(&costack_estacks, *cpu);
			return *irq ? &both->irq : &both->normal;
		}
		n -= 2;
	}
	return NULL;
}

/**
 * costack_estack_cpu() - whose execution stack is it?
 * @es: the stack
 *
 * Context: any.
 * Return: the CPU, or -1 for that of a private coroutine.
 */
int costack_estack_cpu(const struct costack_estack *es)
{
	struct costack_estack *other;
	unsigned int cpu, n;
	bool irq;

	for (n = 0; (other = costack_estack_nth(n, &cpu, &irq)); n++) {
		if (other == es)
			return cpu;
	}
	return -1;
}

/**
 * costack_estack_wait() - take an execution stack that another CPU uses
 * @es: the stack
 *
 * That CPU lets go of it when its body yields. The end to waiting is for a program that
 * holds, without knowing, a lock which that body needs: one attached to the inside of
 * a helper.
 *
 * Context: softirq, or process with softirqs off; interrupts enabled; no body runs on the CPU
 * beneath.
 * Return: is it ours? If not, the time is over.
 */
bool costack_estack_wait(struct costack_estack *es)
{
	u64 end = ktime_get_mono_fast_ns() + COSTACK_ESTACK_WAIT_NS;

	while (!costack_estack_lock(es)) {
		if (ktime_get_mono_fast_ns() > end)
			return false;
		cpu_relax();
	}
	return true;
}

/**
 * costack_estack_depth() - how much of a painted stack was ever used
 * @es: the stack
 *
 * Context: any; the stack may be in use.
 * Return: bytes.
 */
u32 costack_estack_depth(const struct costack_estack *es)
{
	const unsigned long *word = (const unsigned long *)es->low;

	while ((unsigned long)word < es->top && READ_ONCE_NOCHECK(*word) == COSTACK_PAINT)
		word++;
	return es->top - (unsigned long)word;
}
