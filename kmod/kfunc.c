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

#include "body.h"
#include "compat.h"
#include "coroutine.h"
#include "kfunc.h"
#include "stack.h"

/*
 * May a caller that the verifier takes for sleepable sleep? Not a timer's callback, which the
 * verifier of 6.12 takes for as sleepable as its program; and nobody above a body.
 *
 * No sleepable program runs above a body today: no test can reach that.
 */
static bool costack_may_sleep(enum costack_context context)
{
	return likely(context == COSTACK_CTX_PROCESS && !costack_co_inside());
}

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

	if (!costack_may_sleep(context))
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
	costack_stack_put(cs);
}

/* For kptrs left in a map that goes away or evicts them. Any context. */
__bpf_kfunc void bpf_costack_release_dtor(void *cs)
{
	costack_stack_put(cs);
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

/**
 * bpf_costack_spawn_sleepable() - make a coroutine where the caller may sleep
 * @id: number of its type, from &struct costack_ops
 * @arg: its body's argument
 *
 * For sleepable programs, and memory, as bpf_costack_alloc_sleepable(). The body does not run
 * before it is resumed. The coroutine must be released with
 * bpf_costack_co_release() or kept in a map as a referenced kptr.
 *
 * Return:
 * * a coroutine with one reference
 * * NULL: no such type, its limit or the module's reached, or out of memory; each cause
 *   is counted in debugfs
 */
__bpf_kfunc struct costack_co *bpf_costack_spawn_sleepable(u32 id, u64 arg)
{
	enum costack_context context = costack_context_now();

	if (!costack_may_sleep(context))
		return costack_co_spawn(id, arg, COSTACK_MODE_NOLOCK, context);
	return costack_co_spawn(id, arg, COSTACK_MODE_SLEEPABLE, COSTACK_CTX_SLEEPABLE);
}

/**
 * bpf_costack_spawn() - make a coroutine in the network path
 * @id: number of its type, from &struct costack_ops
 * @arg: its body's argument
 *
 * For the programs, and memory, of bpf_costack_alloc(); otherwise as
 * bpf_costack_spawn_sleepable().
 *
 * Return: as bpf_costack_spawn_sleepable(); NULL also when the reserve is empty
 */
__bpf_kfunc struct costack_co *bpf_costack_spawn(u32 id, u64 arg)
{
	enum costack_context context = costack_context_now();

	return costack_co_spawn(id, arg,
				likely(context != COSTACK_CTX_NMI) ? COSTACK_MODE_ATOMIC :
								     COSTACK_MODE_NOLOCK,
				context);
}

/**
 * bpf_costack_spawn_nolock() - make a coroutine anywhere
 * @id: number of its type, from &struct costack_ops
 * @arg: its body's argument
 *
 * For the programs, and memory, of bpf_costack_alloc_nolock(); otherwise as
 * bpf_costack_spawn_sleepable().
 *
 * Return: as bpf_costack_spawn_sleepable(); NULL also when the reserve is empty
 */
__bpf_kfunc struct costack_co *bpf_costack_spawn_nolock(u32 id, u64 arg)
{
	return costack_co_spawn(id, arg, COSTACK_MODE_NOLOCK, costack_context_now());
}

/**
 * bpf_costack_resume() - run a coroutine until its body yields, waits or returns
 * @co: coroutine; must be a trusted pointer
 * @value: what the body's yield gives it, in its &struct costack_self
 * @result__nullable: written: what the body yielded or returned; may be NULL
 *
 * The body runs in the caller's context, and control comes back to it. Any
 * program type, any context but NMI.
 *
 * Return:
 * * &enum costack_event
 * * -EBUSY: it runs already; or its execution stack is in use by what this program
 *   interrupts, or by another CPU for too long; or too many runs are stacked up
 * * -ESRCH: its body has returned
 * * -ESTALE: its type is gone
 * * -EOPNOTSUPP: in NMI
 */
__bpf_kfunc int bpf_costack_resume(struct costack_co *co, u64 value, u64 *result__nullable)
{
	return costack_co_resume(co, value, NULL, result__nullable);
}

/**
 * bpf_costack_resume_mem() - run a coroutine and hand it a message in memory
 * @co: coroutine; must be a trusted pointer
 * @data: the message: of the caller's stack, a map's value, a packet
 * @data__sz: its bytes
 * @result__nullable: written: what the body yielded or returned; may be NULL
 *
 * The body can read the message until it yields, waits or returns; the value that it
 * sees is 0. Otherwise as bpf_costack_resume().
 *
 * Return: as bpf_costack_resume()
 */
__bpf_kfunc int bpf_costack_resume_mem(struct costack_co *co, const void *data, u32 data__sz,
				       u64 *result__nullable)
{
	const struct costack_message msg = {
		.from = data,
		.left = data__sz,
		.kind = COSTACK_MSG_MEM,
	};

	return costack_co_resume(co, 0, &msg, result__nullable);
}

/**
 * bpf_costack_cancel() - end a coroutine
 * @co: coroutine; must be a trusted pointer
 *
 * Its waits return -ECANCELED at once from now on, and it is resumed until its body returns.
 * A body that never ran will not. Any program type, any context but NMI.
 *
 * Return:
 * * 0: it is finished
 * * -EBUSY: as bpf_costack_resume(); it ends at its next wait
 * * -ESTALE, -EOPNOTSUPP: as bpf_costack_resume()
 */
__bpf_kfunc int bpf_costack_cancel(struct costack_co *co)
{
	return costack_co_cancel(co);
}

/**
 * bpf_costack_state() - what a coroutine is at
 * @co: coroutine; must be a trusted pointer
 *
 * Any program type, any context.
 *
 * Return:
 * * &enum costack_state
 * * -ESTALE: its type is gone
 */
__bpf_kfunc int bpf_costack_state(struct costack_co *co)
{
	return costack_co_state(co);
}

/**
 * bpf_costack_co_acquire() - one more reference to a coroutine
 * @co: coroutine; must be a trusted pointer
 *
 * Any program type, any context.
 *
 * Return: @co, with a reference that must be released or kept in a map.
 */
__bpf_kfunc struct costack_co *bpf_costack_co_acquire(struct costack_co *co)
{
	return costack_co_get(co);
}

/**
 * bpf_costack_co_release() - give a reference back
 * @co: coroutine; must be a reference that the program holds
 *
 * A coroutine without references whose body is suspended is cancelled, by a worker. Any
 * program type, any context.
 */
__bpf_kfunc void bpf_costack_co_release(struct costack_co *co)
{
	costack_co_put(co);
}

/* For kptrs left in a map that goes away or evicts them. Any context. */
__bpf_kfunc void bpf_costack_co_release_dtor(void *co)
{
	costack_co_put(co);
}
CFI_NOSEAL(bpf_costack_co_release_dtor);

/**
 * bpf_costack_resume_skb() - run a coroutine and hand it a part of a packet
 * @co: coroutine; must be a trusted pointer
 * @skb: the program's context
 * @off: first byte, counted as bpf_skb_load_bytes() does
 * @len: how many bytes; they need not be linear, and nothing is copied but what is read
 * @result__nullable: written: what the body yielded or returned; may be NULL
 *
 * For programs that have an skb; otherwise as bpf_costack_resume_mem().
 *
 * Return:
 * * as bpf_costack_resume()
 * * -EINVAL: the packet has no such bytes
 */
__bpf_kfunc int bpf_costack_resume_skb(struct costack_co *co, struct __sk_buff *skb, u32 off,
				       u32 len, u64 *result__nullable)
{
	struct costack_message msg;

	if (!costack_message_skb(&msg, (struct sk_buff *)skb, off, len))
		return -EINVAL;
	return costack_co_resume(co, 0, &msg, result__nullable);
}

/**
 * bpf_costack_resume_xdp() - run a coroutine and hand it a part of a packet
 * @co: coroutine; must be a trusted pointer
 * @xdp: the program's context
 * @off: first byte
 * @len: how many bytes
 * @result__nullable: written: what the body yielded or returned; may be NULL
 *
 * For XDP programs, with frags or without; otherwise as bpf_costack_resume_mem().
 *
 * Return:
 * * as bpf_costack_resume()
 * * -EINVAL: the packet has no such bytes
 */
__bpf_kfunc int bpf_costack_resume_xdp(struct costack_co *co, struct xdp_md *xdp, u32 off,
				       u32 len, u64 *result__nullable)
{
	struct costack_message msg;

	if (!costack_message_xdp(&msg, (struct xdp_buff *)xdp, off, len))
		return -EINVAL;
	return costack_co_resume(co, 0, &msg, result__nullable);
}

/*
 * The maps whose values can be read by copy, and without what must not be copied. @denied:
 * flag of those that programs may not do this with; of a map that they may not write to,
 * the verifier may know the values. @percpu: also those that have a value for each CPU.
 */
static int costack_map_check(const struct bpf_map *map, u32 key_size, u32 denied, bool percpu)
{
	if (map->map_flags & denied)
		return -EACCES;
	switch (map->map_type) {
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
		break;
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		if (percpu)
			break;
		fallthrough;
	default:
		return -EOPNOTSUPP;
	}
	if (!IS_ERR_OR_NULL(map->record))
		return -EOPNOTSUPP;
	return key_size == map->key_size ? 0 : -EINVAL;
}

/**
 * bpf_costack_map_read() - copy a map's value
 * @p__map: array, hash or LRU hash map, also per CPU
 * @key: its key
 * @key__sz: bytes of it, as the map has
 * @value: written
 * @value__sz: bytes of it, as the map has
 *
 * For bodies, to which a pointer to the value would go bad while they wait. A value that
 * changes meanwhile may be read half old and half new.
 *
 * Return:
 * * 0: read
 * * -ENOENT: no such element
 * * -EINVAL: a size is wrong
 * * -EACCES: the map is BPF_F_WRONLY_PROG
 * * -EOPNOTSUPP: another kind of map, or its values hold kptrs, locks, timers or the like
 */
__bpf_kfunc int bpf_costack_map_read(void *p__map, const void *key, u32 key__sz, void *value,
				     u32 value__sz)
{
	struct bpf_map *map = p__map;
	int ret = costack_map_check(map, key__sz, BPF_F_WRONLY_PROG, true);
	void *from;

	if (ret)
		return ret;
	if (value__sz != map->value_size)
		return -EINVAL;
	rcu_read_lock();
	from = map->ops->map_lookup_elem(map, (void *)key);
	if (from)
		memcpy(value, from, value__sz);
	rcu_read_unlock();
	return from ? 0 : -ENOENT;
}

/* Where new values come from; map values are no larger than a program can read at once. */
static const u8 costack_zeros[PAGE_SIZE] __aligned(8);

static int costack_map_make(struct bpf_map *map, void *key)
{
	if (map->value_size > sizeof(costack_zeros))
		return -EOPNOTSUPP;
	return map->ops->map_update_elem(map, key, (void *)costack_zeros, BPF_NOEXIST);
}

/**
 * bpf_costack_map_add() - add to a number in a map's value
 * @p__map: array, hash or LRU hash map
 * @key: its key
 * @key__sz: bytes of it, as the map has
 * @off: where the number of 64 bits is in the value, aligned
 * @delta: what to add
 *
 * Atomically; an element that is not there is made, its value zero. For bodies.
 *
 * Return:
 * * 0: added
 * * -EINVAL: a size is wrong, or @off
 * * -EACCES: the map is BPF_F_RDONLY_PROG
 * * -EOPNOTSUPP: as bpf_costack_map_read(), or per CPU
 * * -E2BIG, -ENOMEM, -EBUSY: the map's, when an element cannot be made
 */
__bpf_kfunc int bpf_costack_map_add(void *p__map, const void *key, u32 key__sz, u32 off,
				    s64 delta)
{
	struct bpf_map *map = p__map;
	int ret = costack_map_check(map, key__sz, BPF_F_RDONLY_PROG, false);
	void *value;

	if (ret)
		return ret;
	if (off % sizeof(s64) || (u64)off + sizeof(s64) > map->value_size)
		return -EINVAL;
	rcu_read_lock();
	value = map->ops->map_lookup_elem(map, (void *)key);
	if (!value) {
		ret = costack_map_make(map, (void *)key);
		value = map->ops->map_lookup_elem(map, (void *)key);
	}
	if (value) {
		atomic64_add(delta, value + off);
		ret = 0;
	}
	rcu_read_unlock();
	return value ? 0 : ret ?: -ENOENT;
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
BTF_ID_FLAGS(func, bpf_costack_spawn_sleepable, KF_ACQUIRE | KF_RET_NULL | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_costack_spawn_nolock, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_costack_resume, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_resume_mem, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_cancel, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_state, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_co_acquire, KF_ACQUIRE | KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_co_release, KF_RELEASE | KF_TRUSTED_ARGS)
BTF_KFUNCS_END(costack_kfunc_ids)

static const struct btf_kfunc_id_set costack_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &costack_kfunc_ids,
};

/* Program types that never run where a lock of an allocator or a runqueue is held. */
BTF_KFUNCS_START(costack_atomic_kfunc_ids)
BTF_ID_FLAGS(func, bpf_costack_alloc, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_costack_spawn, KF_ACQUIRE | KF_RET_NULL)
BTF_KFUNCS_END(costack_atomic_kfunc_ids)

/* The same, where there is an skb. */
BTF_KFUNCS_START(costack_skb_kfunc_ids)
BTF_ID_FLAGS(func, bpf_costack_alloc, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_costack_spawn, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_costack_resume_skb, KF_TRUSTED_ARGS)
BTF_KFUNCS_END(costack_skb_kfunc_ids)

BTF_KFUNCS_START(costack_xdp_kfunc_ids)
BTF_ID_FLAGS(func, bpf_costack_alloc, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_costack_spawn, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_costack_resume_xdp, KF_TRUSTED_ARGS)
BTF_KFUNCS_END(costack_xdp_kfunc_ids)

/*
 * For bodies. The hook is that of all struct_ops programs; but only bodies have a
 * struct costack_self. What waits is called sleepable, so that the verifier refuses it
 * where something is held that must not be held over a wait.
 */
BTF_KFUNCS_START(costack_body_kfunc_ids)
BTF_ID_FLAGS(func, bpf_costack_yield, KF_SLEEPABLE | KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_read, KF_SLEEPABLE | KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_read_some, KF_SLEEPABLE | KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_peek, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_skip, KF_SLEEPABLE | KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_avail, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_local, KF_RET_NULL | KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_call, KF_SLEEPABLE | KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_map_read, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_map_add, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_costack_finish, KF_SLEEPABLE | KF_TRUSTED_ARGS)
BTF_KFUNCS_END(costack_body_kfunc_ids)

#define COSTACK_KFUNC_SET(name)							\
	static const struct btf_kfunc_id_set name##_kfunc_set = {		\
		.owner = THIS_MODULE,						\
		.set = &name##_kfunc_ids,					\
	}

COSTACK_KFUNC_SET(costack_atomic);
COSTACK_KFUNC_SET(costack_skb);
COSTACK_KFUNC_SET(costack_xdp);
COSTACK_KFUNC_SET(costack_body);

/* One type for each hook; the kernel maps related types to the same one. */
struct costack_hook {
	enum bpf_prog_type type;
	const struct btf_kfunc_id_set *set;
};

static const struct costack_hook costack_hooks[] __initconst = {
	{ BPF_PROG_TYPE_XDP, &costack_xdp_kfunc_set },
	{ BPF_PROG_TYPE_SCHED_CLS, &costack_skb_kfunc_set },
	{ BPF_PROG_TYPE_SCHED_ACT, &costack_skb_kfunc_set },
	{ BPF_PROG_TYPE_CGROUP_SKB, &costack_skb_kfunc_set },
	{ BPF_PROG_TYPE_SOCKET_FILTER, &costack_skb_kfunc_set },
	{ BPF_PROG_TYPE_SK_SKB, &costack_skb_kfunc_set },
	{ BPF_PROG_TYPE_LWT_IN, &costack_skb_kfunc_set },
	{ BPF_PROG_TYPE_NETFILTER, &costack_atomic_kfunc_set },
	{ BPF_PROG_TYPE_SYSCALL, &costack_atomic_kfunc_set },
	{ BPF_PROG_TYPE_STRUCT_OPS, &costack_body_kfunc_set },
};

BTF_ID_LIST(costack_dtor_ids)
BTF_ID(struct, costack)
BTF_ID(func, bpf_costack_release_dtor)
BTF_ID(struct, costack_co)
BTF_ID(func, bpf_costack_co_release_dtor)

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
	const struct btf_id_dtor_kfunc dtors[] = {
		{ .btf_id = costack_dtor_ids[0], .kfunc_btf_id = costack_dtor_ids[1] },
		{ .btf_id = costack_dtor_ids[2], .kfunc_btf_id = costack_dtor_ids[3] },
	};
	unsigned int i;
	int ret;

	ret = register_btf_id_dtor_kfuncs(dtors, ARRAY_SIZE(dtors), THIS_MODULE);
	ret = ret ?: register_btf_kfunc_id_set(BPF_PROG_TYPE_UNSPEC, &costack_kfunc_set);
	for (i = 0; i < ARRAY_SIZE(costack_hooks); i++)
		ret = ret ?: register_btf_kfunc_id_set(costack_hooks[i].type,
						       costack_hooks[i].set);
	if (ret)
		pr_err("cannot register kfuncs: %pe\n", ERR_PTR(ret));
	return ret;
}
