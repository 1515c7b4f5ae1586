// SPDX-License-Identifier: GPL-2.0
/*
 * kfuncs: the whole interface to BPF programs. Each is a thin, checked step to
 * stack.c; what the verifier proves about a caller is written down in the ID
 * sets below.
 *
 * Unstable, as all kfuncs are (Documentation/bpf/kfuncs.rst, 3.): they follow the
 * module, not the kernel, and programs find out with bpf_ksym_exists().
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/cfi.h>
#include <linux/kernel.h>
#include <linux/module.h>

#include "compat.h"
#include "kfunc.h"
#include "stack.h"

__bpf_kfunc_start_defs();

/**
 * bpf_costack_alloc_sleepable() - take a stack where the caller may sleep
 * @size: bytes wanted, 1 to 65,536; rounded up to a power of two, at least 512
 * @flags: 0 or COSTACK_F_GUARD
 *
 * For sleepable programs of any type; the verifier refuses others, and any
 * program inside an RCU section, a lock, or with preemption or interrupts disabled.
 * An empty pool is no obstacle: memory is obtained with GFP_KERNEL and
 * charged to the memory cgroup of the current task, until it is trimmed.
 *
 * The stack reads as zero. It must be released with bpf_costack_release() or
 * kept in a map as a referenced kptr.
 *
 * Return:
 * * a stack with one reference
 * * NULL: size 0 or too large, unknown flags, limit reached, or out of memory; each
 *   cause is counted in debugfs
 */
__bpf_kfunc struct costack *bpf_costack_alloc_sleepable(u32 size, u64 flags)
{
	enum costack_context context = costack_context_now();

	/* The verifier of 6.12 lets a timer's callback in a sleepable program come here. */
	if (unlikely(context != COSTACK_CTX_PROCESS))
		return costack_stack_alloc(size, flags, COSTACK_MODE_NOLOCK, context);
	return costack_stack_alloc(size, flags, COSTACK_MODE_SLEEPABLE, COSTACK_CTX_SLEEPABLE);
}

/**
 * bpf_costack_alloc() - take a stack in the network path
 * @size: bytes wanted, 1 to 65,536; rounded up to a power of two, at least 512
 * @flags: 0 or COSTACK_F_GUARD
 *
 * For XDP, TC, cgroup, socket filter, sk_skb, netfilter, LWT and syscall programs:
 * they never run inside the slab allocator or under the scheduler's locks. An empty
 * pool obtains memory with GFP_ATOMIC, up to 32 KB; larger and guarded stacks
 * come from the pool's reserve alone, which a worker refills.
 *
 * The stack reads as zero. It must be released with bpf_costack_release() or
 * kept in a map as a referenced kptr.
 *
 * Return:
 * * a stack with one reference
 * * NULL: size 0 or too large, unknown flags, limit reached, out of memory, or the
 *   reserve is empty; each cause is counted in debugfs
 */
__bpf_kfunc struct costack *bpf_costack_alloc(u32 size, u64 flags)
{
	enum costack_context context = costack_context_now();

	/* A softirq's program does not run in NMI today; should one, it is no worse. */
	return costack_stack_alloc(size, flags,
				   likely(context != COSTACK_CTX_NMI) ? COSTACK_MODE_ATOMIC :
									COSTACK_MODE_NOLOCK,
				   context);
}

/**
 * bpf_costack_alloc_nolock() - take a stack anywhere
 * @size: bytes wanted, 1 to 65,536; rounded up to a power of two, at least 512
 * @flags: 0 or COSTACK_F_GUARD
 *
 * For programs of every type, and the one for kprobe, fentry, tracepoint,
 * perf_event, LSM and struct_ops programs: they may interrupt the slab allocator or
 * hold the scheduler's locks, so no lock is taken and nobody is woken. An
 * empty pool obtains up to 8 KB with kmalloc_nolock() on kernels that have it
 * (6.18); otherwise it is the reserve alone, which a worker refills.
 *
 * The stack reads as zero. It must be released with bpf_costack_release() or
 * kept in a map as a referenced kptr.
 *
 * Return:
 * * a stack with one reference
 * * NULL: size 0 or too large, unknown flags, limit reached, out of memory, or the
 *   reserve is empty; each cause is counted in debugfs
 */
__bpf_kfunc struct costack *bpf_costack_alloc_nolock(u32 size, u64 flags)
{
	return costack_stack_alloc(size, flags, COSTACK_MODE_NOLOCK, costack_context_now());
}

/**
 * bpf_costack_acquire() - one more reference to a stack
 * @cs: stack; must be a trusted pointer
 *
 * To keep the same stack in two maps, say. Each reference is released on its own;
 * two holders that write to the same bytes at once must agree among themselves.
 * Any program type, any context.
 *
 * Return: @cs, with a reference that must be released or kept in a map.
 */
__bpf_kfunc struct costack *bpf_costack_acquire(struct costack *cs)
{
	return costack_get(cs);
}

/**
 * bpf_costack_release() - give a reference back
 * @cs: stack; must be a reference that the program holds
 *
 * The last one gives the stack to the pool of this CPU, wherever it was
 * taken. Frames of @cs are invalid from here; the verifier sees to it. Any program
 * type, any context.
 */
__bpf_kfunc void bpf_costack_release(struct costack *cs)
{
	costack_put(cs);
}

/* For kptrs left in a map that goes away or evicts them. Any context. */
__bpf_kfunc void bpf_costack_release_dtor(void *cs)
{
	costack_put(cs);
}
CFI_NOSEAL(bpf_costack_release_dtor);

/**
 * bpf_costack_size() - how large the stack really is
 * @cs: stack; must be a trusted pointer
 *
 * Any program type, any context.
 *
 * Return: bytes, a power of two, at least what was asked for.
 */
__bpf_kfunc u32 bpf_costack_size(struct costack *cs)
{
	return costack_size(cs);
}

/**
 * bpf_costack_frame() - read and write a part of the stack
 * @cs: stack; must be a trusted pointer
 * @off: where the part begins, in bytes; may be a variable
 * @rdwr_buf_size: its length in bytes; must be a constant
 *
 * The program may read and write the part until it releases @cs or puts it
 * into a map. Any program type, any context.
 *
 * Return:
 * * the part
 * * NULL: it does not lie within the stack, or its length is 0
 */
__bpf_kfunc u8 *bpf_costack_frame(struct costack *cs, u32 off, const u32 rdwr_buf_size)
{
	return costack_frame(cs, off, rdwr_buf_size);
}

/**
 * bpf_costack_counter() - read a counter of the module
 * @id: one of &enum costack_counter
 *
 * Sums over CPUs: for reports, not for each packet. Any program type, any context.
 *
 * Return:
 * * the counter
 * * -EINVAL: no such counter
 */
__bpf_kfunc s64 bpf_costack_counter(u32 id)
{
	return costack_counter(id);
}

__bpf_kfunc_end_defs();

/*
 * Every program type. The sleepable allocation is guarded by its flag, and the
 * lock-free one is right wherever a program can run at all.
 *
 * No .filter is needed, which matters: it would compare against BTF ids that are
 * not relocated when the module's BTF is split from a distilled base.
 */
BTF_KFUNCS_START(costack_kfunc_ids)
BTF_ID_FLAGS(func, bpf_costack_alloc_sleepable, KF_ACQUIRE | KF_RET_NULL | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_costack_alloc_nolock, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_costack_acquire, KF_ACQUIRE | KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_release, KF_RELEASE | KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_size, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_frame, KF_RET_NULL | KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_counter)
BTF_KFUNCS_END(costack_kfunc_ids)

static const struct btf_kfunc_id_set costack_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &costack_kfunc_ids,
};

/* Program types that never run where a lock of an allocator or a runqueue is held. */
BTF_KFUNCS_START(costack_atomic_kfunc_ids)
BTF_ID_FLAGS(func, bpf_costack_alloc, KF_ACQUIRE | KF_RET_NULL)
BTF_KFUNCS_END(costack_atomic_kfunc_ids)

static const struct btf_kfunc_id_set costack_atomic_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &costack_atomic_kfunc_ids,
};

/* One type for each hook; the kernel maps related types to the same one. */
static const enum bpf_prog_type costack_atomic_types[] __initconst = {
	BPF_PROG_TYPE_XDP,
	BPF_PROG_TYPE_SCHED_CLS,
	BPF_PROG_TYPE_SCHED_ACT,
	BPF_PROG_TYPE_CGROUP_SKB,
	BPF_PROG_TYPE_SOCKET_FILTER,
	BPF_PROG_TYPE_SK_SKB,
	BPF_PROG_TYPE_LWT_IN,
	BPF_PROG_TYPE_NETFILTER,
	BPF_PROG_TYPE_SYSCALL,
};

BTF_ID_LIST(costack_dtor_ids)
BTF_ID(struct, costack)
BTF_ID(func, bpf_costack_release_dtor)

/**
 * costack_kfunc_init() - offer the kfuncs to programs
 *
 * There is no way back: the kernel forgets them with the module's BTF. So this is
 * the last step of init.
 *
 * Context: process, may sleep.
 * Return: 0 or the error of the registration. A module without BTF registers
 * nothing and gets 0, with a line in the log from the kernel.
 */
int __init costack_kfunc_init(void)
{
	const struct btf_id_dtor_kfunc dtor = {
		.btf_id = costack_dtor_ids[0],
		.kfunc_btf_id = costack_dtor_ids[1],
	};
	unsigned int i;
	int ret;

	ret = register_btf_id_dtor_kfuncs(&dtor, 1, THIS_MODULE);
	ret = ret ?: register_btf_kfunc_id_set(BPF_PROG_TYPE_UNSPEC, &costack_kfunc_set);
	for (i = 0; i < ARRAY_SIZE(costack_atomic_types); i++)
		ret = ret ?: register_btf_kfunc_id_set(costack_atomic_types[i],
						       &costack_atomic_kfunc_set);
	if (ret)
		pr_err("cannot register kfuncs: %pe\n", ERR_PTR(ret));
	return ret;
}
