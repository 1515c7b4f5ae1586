/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * costack for BPF programs. Include after vmlinux.h (any: the small one of this
 * project or one that bpftool generated) and <bpf/bpf_helpers.h>.
 *
 * What it gives: a stack of up to 64 KB, in any program type and context, that
 * outlives the program's run when it is kept in a map:
 *
 *	struct flow { struct costack __kptr *cs; };	// a map's value
 *
 *	struct costack *cs = costack_alloc(16384);	// zeroed, or NULL
 *	...
 *	old = bpf_kptr_xchg(&flow->cs, cs);		// keep it
 *	if (old)
 *		bpf_costack_release(old);
 *	...
 *	cs = bpf_kptr_xchg(&flow->cs, NULL);		// next packet: take it out;
 *	if (!cs)					// it is nobody else's now
 *		return ...;
 *	p = bpf_costack_frame(cs, off, 64);		// 64 bytes to read and write
 *
 * A map element that is evicted (LRU) or deleted releases the stack in it. Newer kernels
 * (7.3; not 6.12) do that when the memory of a deleted element is used again, or the map
 * goes: take the stack out, bpf_kptr_xchg(), before you delete.
 *
 * Limitations: memory is reached in slices of constant size at a variable offset,
 * as the verifier wants it; a slice ends with the reference it was made from.
 */
#ifndef __COSTACK_BPF_H
#define __COSTACK_BPF_H

#include "costack_types.h"

/*
 * struct costack - handle of a stack. Opaque, refcounted by the kernel side; the
 * verifier knows it as a kptr. In a map's value: struct costack __kptr *cs;
 */
struct costack {
} __attribute__((preserve_access_index));

#ifndef __kptr
#define __kptr __attribute__((btf_type_tag("kptr")))
#endif
#ifndef __ksym
#define __ksym __attribute__((section(".ksyms")))
#endif

/*
 * Three ways to allocate. Which one is right is a matter of where the program
 * runs, and the verifier refuses what is wrong.
 *
 *	bpf_costack_alloc_sleepable	sleepable programs (SEC("fentry.s/..."),
 *					lsm.s, syscall, ...). GFP_KERNEL, charged to
 *					the task's memory cgroup.
 *	bpf_costack_alloc		XDP, TC, cgroup, socket filter, sk_skb,
 *					netfilter, LWT, syscall. GFP_ATOMIC up to
 *					32 KB when the pool is empty.
 *	bpf_costack_alloc_nolock	any program; the one for kprobe, fentry,
 *					tracepoint, perf_event, LSM, struct_ops. Pool
 *					alone, or kmalloc_nolock() up to 8 KB (6.18).
 *
 * @size: bytes, 1 to 65,536; rounded up to a power of two, at least 512.
 * @flags: 0 or COSTACK_F_GUARD.
 * Return: a stack that reads as zero and must be released or kept in a map; NULL
 * when the size or the flags are wrong, the limit is reached, or there is no
 * memory (debugfs counts which).
 */
extern struct costack *bpf_costack_alloc_sleepable(__u32 size, __u64 flags) __weak __ksym;
extern struct costack *bpf_costack_alloc(__u32 size, __u64 flags) __weak __ksym;
extern struct costack *bpf_costack_alloc_nolock(__u32 size, __u64 flags) __weak __ksym;

/*
 * costack_alloc(size) is the right one of the three for a file of programs of
 * one kind: network programs unless COSTACK_SLEEPABLE or COSTACK_TRACING is
 * defined before this header is included.
 */
#if defined(COSTACK_SLEEPABLE)
#define costack_alloc(size) bpf_costack_alloc_sleepable(size, 0)
#elif defined(COSTACK_TRACING)
#define costack_alloc(size) bpf_costack_alloc_nolock(size, 0)
#else
#define costack_alloc(size) bpf_costack_alloc(size, 0)
#endif

/*
 * One more reference to a stack that the program holds; never NULL. Each is
 * released, or kept in a map, on its own. Any context.
 */
extern struct costack *bpf_costack_acquire(struct costack *cs) __weak __ksym;

/*
 * Give a reference back. The last one returns the stack to the pool. Any context.
 */
extern void bpf_costack_release(struct costack *cs) __weak __ksym;

/*
 * Usable bytes: the size asked for, rounded up. Any context.
 */
extern __u32 bpf_costack_size(struct costack *cs) __weak __ksym;

/*
 * A part of the stack's memory to read and write, until @cs is released or put
 * into a map. @off may be a variable; @size must be a constant for the verifier.
 * Return: the part, or NULL if it does not lie within the stack. Any context.
 */
extern __u8 *bpf_costack_frame(struct costack *cs, __u32 off,
			       const __u32 rdwr_buf_size) __weak __ksym;

/*
 * One of enum costack_counter, or -EINVAL. Sums over all CPUs: for reports. Any
 * context.
 */
extern __s64 bpf_costack_counter(__u32 id) __weak __ksym;

/*
 * Coroutines: a body in straight-line C that yields in its middle, with its
 * locals alive, and is resumed by the next packet or event, on any CPU.
 *
 *	COSTACK_BODY(running_sum, u64 first)		// the body; `self` is its coroutine
 *	{
 *		u64 sum = first;
 *		int i;
 *
 *		bpf_for(i, 0, 3) {
 *			if (bpf_costack_yield(self, sum))
 *				break;			// cancelled
 *			sum += self->value;		// what the resumer passed
 *		}
 *		return sum;
 *	}
 *	COSTACK_OPS(running_sum);			// makes it a type of coroutines
 *
 *	struct flow { struct costack_co __kptr *co; };	// a map's value
 *
 *	co = costack_spawn(running_sum, 1);		// in XDP, say: suspended, or NULL
 *	ret = bpf_costack_resume(co, 5, &sum);		// runs to the next yield
 *	old = bpf_kptr_xchg(&flow->co, co);		// keep it for the next packet
 *	if (old)
 *		bpf_costack_co_release(old);
 *
 * A type exists while its struct_ops map is attached, as the tool and libbpf's
 * skeletons do it. When that ends, with its loader's death for instance, all of its
 * coroutines are cancelled; a handle that is still in a map answers -ESTALE.
 *
 * Limitations of a body. It never sleeps, though the verifier knows it as sleepable:
 * it runs where it is resumed, a softirq as a rule. It may call what cannot leave
 * a pointer behind that a yield makes wrong; anything else is refused at load, with
 * its name in the kernel log:
 *	helpers: ktime_get_{,boot_,tai_}ns, jiffies64, get_prandom_u32,
 *		get_smp_processor_id, get_numa_node_id, get_current_pid_tgid,
 *		get_current_{uid_gid,comm} (since Linux 6.16), trace_printk, trace_vprintk,
 *		snprintf, strtol, strtoul, strncmp, probe_read_kernel, probe_read_kernel_str,
 *		ringbuf_output, ringbuf_query,
 *		map_{update,delete,push,pop,peek}_elem, kptr_xchg
 *	kfuncs: those below, bpf_costack_{alloc_nolock,acquire,release,size,frame,
 *		counter,spawn_nolock,co_acquire,co_release,state}, the number iterator
 *		(bpf_for, bpf_repeat), bpf_rcu_read_{lock,unlock}, bpf_preempt_{disable,
 *		enable}, bpf_obj_{new,drop}, bpf_refcount_acquire
 * An RCU section and global functions do not go together: make these static. Map values are
 * read by copy, bpf_costack_map_read(), and changed with bpf_costack_map_add() or the
 * helpers; there are no locks. Global variables and arenas are used as ever, with atomic
 * operations where it matters. Loops that yield are bpf_for() or bpf_repeat(): can_loop and
 * cond_break measure time on newer kernels, and a suspended body's time passes too.
 */

/**
 * struct costack_self - what a body has of its coroutine; read-only
 * @id: number of the coroutine, unique since the module was loaded
 * @value: what the last bpf_costack_resume() passed
 *
 * Bodies alone have one, so that the verifier refuses to all others what only bodies may
 * call.
 */
struct costack_self {
	__u64 id;
	__u64 value;
} __attribute__((preserve_access_index));

/*
 * struct costack_co - handle of a coroutine. Refcounted; in a map's value:
 * struct costack_co __kptr *co; taking it out with bpf_kptr_xchg() makes it nobody
 * else's. A coroutine whose last reference goes, with a deleted element, say, is
 * cancelled by a worker a moment later. co->self.id can be read: what is in a map may
 * be another coroutine than the one that was put there.
 */
struct costack_co {
	struct costack_self self;
} __attribute__((preserve_access_index));

/**
 * struct costack_ops - a type of coroutines; made by COSTACK_OPS()
 * @body: the body, made by COSTACK_BODY()
 * @name: for people; not empty
 * @id: what it is spawned by; not 0, unique on the machine
 * @flags: &enum costack_ops_flags
 * @frame_size: bytes of memory that each coroutine has besides its locals, for
 *	bpf_costack_local(); 0 to COSTACK_SIZE_MAX
 * @stack_size: bytes of a private coroutine's stack, COSTACK_STACK_MIN to
 *	COSTACK_SIZE_MAX; 0: COSTACK_STACK_DEFAULT
 * @limit: coroutines that may exist at once; 0: as many as memory allows
 */
struct costack_ops {
	int (*body)(struct costack_self *self, __u64 arg);
	char name[COSTACK_NAME_MAX];
	__u32 id;
	__u32 flags;
	__u32 frame_size;
	__u32 stack_size;
	__u32 limit;
};

/*
 * COSTACK_BODY(name, type arg) { ... } - define a body. `self` is its coroutine, `arg`
 * what it was spawned with; it returns the result of the last resume, a number of
 * 64 bits.
 *
 * Behind it is a program that ends in bpf_costack_finish(). A coroutine begins in one
 * context and ends in another, and that call evens out what the kernel's trampoline
 * entered in the one and leaves in the other; a program with an exit that is not
 * such a call is refused.
 */
#define COSTACK_BODY(_name, _arg)						\
	static __always_inline __s64 ____##_name(struct costack_self *self, _arg); \
	SEC("struct_ops.s/" #_name)						\
	int _name(unsigned long long *ctx)					\
	{									\
		struct costack_self *self = (void *)ctx[0];			\
										\
		return bpf_costack_finish(self, ____##_name(self, ctx[1]));	\
	}									\
	static __always_inline __s64 ____##_name(struct costack_self *self, _arg)

/*
 * COSTACK_OPS(name, .member = value, ...) - make a body a type of coroutines.
 *
 * The type's id is made from its name. A loader that attaches the same object twice
 * gives each a number of its own: in `name`_ops.id, and in `name`_id for the programs
 * that spawn. `costack prog load` does.
 */
#define COSTACK_OPS(_name, ...)							\
	const volatile __u32 _name##_id = COSTACK_ID(#_name);			\
	SEC(".struct_ops.link")							\
	struct costack_ops _name##_ops = {					\
		.body = (void *)_name,						\
		.name = #_name,							\
		.id = COSTACK_ID(#_name),					\
		##__VA_ARGS__							\
	}

/*
 * Rounds that bpf_for() and bpf_repeat() make at most; asked for more, they make none.
 * Two of them, nested, are as good as for ever.
 */
#define COSTACK_LOOP_MAX (8 * 1024 * 1024)

/*
 * The result of a resume, tried again for as long as it is -EBUSY; for dense coroutines that other
 * CPUs resume. Each try waits for the execution stack, 20 ms at most; where the machine is a guest,
 * a virtual CPU may be stopped in the middle of a body for longer. Gives up, with -EBUSY, after 50
 * more tries: at worst it spins for a second.
 */
#define COSTACK_PATIENTLY(resume)						\
({										\
	int __ret = resume;							\
										\
	if (__ret == -16 /* EBUSY */) {						\
		bpf_repeat(50) {						\
			__ret = resume;						\
			if (__ret != -16)					\
				break;						\
		}								\
	}									\
	__ret;									\
})

/* A number for a name, as a constant; odd, so never 0. */
#define COSTACK_ID(s)								\
	((__u32)((COSTACK_ID_CHAR(s, 0) + COSTACK_ID_CHAR(s, 1) + COSTACK_ID_CHAR(s, 2) + \
		  COSTACK_ID_CHAR(s, 3) + COSTACK_ID_CHAR(s, 4) + COSTACK_ID_CHAR(s, 5) + \
		  COSTACK_ID_CHAR(s, 6) + COSTACK_ID_CHAR(s, 7) + COSTACK_ID_CHAR(s, 8) + \
		  COSTACK_ID_CHAR(s, 9) + COSTACK_ID_CHAR(s, 10) + COSTACK_ID_CHAR(s, 11) + \
		  COSTACK_ID_CHAR(s, 12) + COSTACK_ID_CHAR(s, 13) + COSTACK_ID_CHAR(s, 14)) | 1))
#define COSTACK_ID_CHAR(s, i)							\
	((i) < sizeof(s) - 1 ? (__u32)(s)[(i) < sizeof(s) ? (i) : 0] *		\
			       (2654435761u + (i) * 2246822518u) : 0u)

/*
 * Spawn a coroutine of the type @id with the argument @arg. It does not run until it is
 * resumed. Memory is got as by the three allocation kfuncs, and the same programs
 * may call them; costack_spawn(name, arg) picks one as costack_alloc() does.
 * Return: a coroutine that must be released or kept in a map; NULL when there is no such
 * type, its limit or the module's is reached, or there is no memory (debugfs counts which).
 */
extern struct costack_co *bpf_costack_spawn_sleepable(__u32 id, __u64 arg) __weak __ksym;
extern struct costack_co *bpf_costack_spawn(__u32 id, __u64 arg) __weak __ksym;
extern struct costack_co *bpf_costack_spawn_nolock(__u32 id, __u64 arg) __weak __ksym;

#if defined(COSTACK_SLEEPABLE)
#define costack_spawn(name, arg) bpf_costack_spawn_sleepable(name##_id, arg)
#elif defined(COSTACK_TRACING)
#define costack_spawn(name, arg) bpf_costack_spawn_nolock(name##_id, arg)
#else
#define costack_spawn(name, arg) bpf_costack_spawn(name##_id, arg)
#endif

/*
 * Run a coroutine, here and now, until its body yields, waits for more to read, or
 * returns. The variants hand it a message: memory of the program, or @len bytes of a
 * packet from @off on (of an skb from where bpf_skb_load_bytes() counts, linear
 * or not). A message is the body's to read during this resume alone; what it leaves is
 * dropped. @result, which may be NULL, gets what the body yielded or returned.
 *
 * Any context but NMI; any program (the packets: those that have one) but a body, which
 * has bpf_costack_call().
 * Return: one of enum costack_event;
 * -EBUSY	it runs already; or its execution stack is in use: beneath this program (an
 *		interrupt's program that resumes what the interrupted one works with), or by
 *		another CPU for more than 20 ms; or COSTACK_DEPTH_MAX runs are stacked up on
 *		this CPU. It did not run, and may be tried again
 * -ESRCH	its body has returned
 * -ESTALE	its type is gone
 * -EINVAL	the packet has no such bytes
 * -EOPNOTSUPP	in NMI
 */
extern int bpf_costack_resume(struct costack_co *co, __u64 value,
			      __u64 *result__nullable) __weak __ksym;
extern int bpf_costack_resume_mem(struct costack_co *co, const void *data, __u32 data__sz,
				  __u64 *result__nullable) __weak __ksym;
extern int bpf_costack_resume_skb(struct costack_co *co, struct __sk_buff *skb, __u32 off,
				  __u32 len, __u64 *result__nullable) __weak __ksym;
extern int bpf_costack_resume_xdp(struct costack_co *co, struct xdp_md *xdp, __u32 off,
				  __u32 len, __u64 *result__nullable) __weak __ksym;

/*
 * End a coroutine: its yields and reads return -ECANCELED at once from now on, and it is
 * resumed until its body returns. One that never ran, will not. Any context but NMI.
 * Return: 0; or as bpf_costack_resume(), and then a running one is cancelled at its
 * next yield.
 */
extern int bpf_costack_cancel(struct costack_co *co) __weak __ksym;

/*
 * One of enum costack_state, which may be another by now if others have the coroutine,
 * too; -ESTALE when its type is gone. Any context.
 */
extern int bpf_costack_state(struct costack_co *co) __weak __ksym;

/* One more reference, never NULL; give one back. Any context. */
extern struct costack_co *bpf_costack_co_acquire(struct costack_co *co) __weak __ksym;
extern void bpf_costack_co_release(struct costack_co *co) __weak __ksym;

/*
 * For bodies alone. What waits returns -ECANCELED, at once, when the coroutine is
 * cancelled: the body releases what it has and returns. -ENOMEM: more is on the
 * stack than was ever kept, and no memory to keep it in could be had here; nothing
 * happened, and it may be tried again. The verifier refuses to wait in an RCU
 * section, with a lock held, or with preemption disabled.
 */

/* Give @value to the resumer and wait to be resumed. Return: 0; -ECANCELED, -ENOMEM. */
extern int bpf_costack_yield(struct costack_self *self, __u64 value) __weak __ksym;

/* Read @buf__sz bytes of messages, waiting for more. Return: 0; -ECANCELED, -ENOMEM. */
extern int bpf_costack_read(struct costack_self *self, void *buf, __u32 buf__sz) __weak __ksym;

/* Read what there is, at least a byte. Return: bytes; -ECANCELED, -ENOMEM. */
extern int bpf_costack_read_some(struct costack_self *self, void *buf,
				 __u32 buf__sz) __weak __ksym;

/* Copy the next bytes of this message, and leave them there. Never waits. Return: bytes. */
extern int bpf_costack_peek(struct costack_self *self, void *buf, __u32 buf__sz) __weak __ksym;

/* Pass over @n bytes of messages without a copy. Return: 0; -ECANCELED, -ENOMEM. */
extern int bpf_costack_skip(struct costack_self *self, __u64 n) __weak __ksym;

/* Bytes left of this message. */
extern __u32 bpf_costack_avail(struct costack_self *self) __weak __ksym;

/*
 * A part of the coroutine's own memory (costack_ops.frame_size), to read and write; it
 * stays valid over yields. Zero at first. Return: the part, or NULL if it does not lie within.
 */
extern __u8 *bpf_costack_local(struct costack_self *self, __u32 off,
			       const __u32 rdwr_buf_size) __weak __ksym;

/*
 * Run another coroutine from within a body. As bpf_costack_resume(); -EBUSY also when
 * another CPU uses the other's execution stack, or a caller further up with a third
 * coroutine on another stack between; -ELOOP when COSTACK_DEPTH_MAX are at it.
 */
extern int bpf_costack_call(struct costack_self *self, struct costack_co *co, __u64 value,
			    __u64 *result__nullable) __weak __ksym;

/*
 * Copy a map's value. Array, hash and LRU hash maps, per-CPU ones (this CPU's) too, whose
 * values hold no kptr, lock, timer or the like; sizes as the map's.
 * Return: 0; -ENOENT, -EINVAL (sizes), -EACCES (BPF_F_WRONLY_PROG), -EOPNOTSUPP (another
 * kind of map).
 */
extern int bpf_costack_map_read(void *p__map, const void *key, __u32 key__sz, void *value,
				__u32 value__sz) __weak __ksym;

/*
 * Add to a number of 64 bits at @off of a map's value, atomically; a value that is not
 * there is made, of zeros. Maps as above, not per-CPU.
 * Return: 0; -EINVAL (sizes, @off not aligned or outside), -EACCES (BPF_F_RDONLY_PROG),
 * -EOPNOTSUPP, or the map's error.
 */
extern int bpf_costack_map_add(void *p__map, const void *key, __u32 key__sz, __u32 off,
			       __s64 delta) __weak __ksym;

/* COSTACK_BODY() calls this, at the end. Return: 0. */
extern int bpf_costack_finish(struct costack_self *self, __s64 result) __weak __ksym;

/* Read a number in network byte order. Return: it, or a negative errno. */
static __always_inline __s64 costack_read_u8(struct costack_self *self)
{
	__u8 b;

	return bpf_costack_read(self, &b, 1) ?: b;
}

static __always_inline __s64 costack_read_be16(struct costack_self *self)
{
	__u8 b[2];

	return bpf_costack_read(self, b, 2) ?: b[0] << 8 | b[1];
}

static __always_inline __s64 costack_read_be24(struct costack_self *self)
{
	__u8 b[3];

	return bpf_costack_read(self, b, 3) ?: b[0] << 16 | b[1] << 8 | b[2];
}

static __always_inline __s64 costack_read_be32(struct costack_self *self)
{
	__u8 b[4];

	return bpf_costack_read(self, b, 4) ?: (__u32)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
}

/* Is the module there, and new enough? A program may want to do without it. */
#define costack_available() bpf_ksym_exists(bpf_costack_alloc_nolock)

/*
 * Frames: coroutines without a stack switch.
 *
 * A function that must wait in its middle keeps its locals in a struct on the
 * costack, and a number that says where to go on (A. Dunkels' protothreads,
 * SenSys 2006). Waiting is returning COSTACK_AGAIN; going on is calling it again.
 *
 *	struct pair { COSTACK_RESUME_POINT; __u32 first; };
 *
 *	static int read_pair(struct costack *cs, __u32 off, struct input *in)
 *	{
 *		struct pair *f = costack_push(cs, off, struct pair);
 *
 *		if (!f)
 *			return -ENOSPC;
 *		costack_begin(f);
 *		costack_wait_until(f, in->len >= 1);	// returns COSTACK_AGAIN
 *		f->first = in->byte;
 *		costack_yield(f);			// goes on here next time
 *		costack_call(f, ret, read_rest(cs, costack_next(off, f), in));
 *		costack_end(f);
 *		costack_return(f, 0);			// pops the frame
 *	}
 *
 * The callee's frame lies behind the caller's: costack_next(). A frame that is
 * popped is cleared, so the next function called there begins at its beginning;
 * a fresh stack is clear as it is.
 *
 * A loop that waits asks costack_can_loop: while (f->left && costack_can_loop).
 *
 * Limitations: what must survive a wait is in the frame, C locals do not; no
 * wait inside another switch statement or bpf_for(); at most one wait on a source
 * line.
 */
#define COSTACK_AGAIN (-11)	/* -EAGAIN: call again when there is more */

/* First member of every frame: where to go on, 0 at the beginning. */
#define COSTACK_RESUME_POINT __u32 resume_point

/* The frame of type @type at @off: what is there already, or zeros. NULL: no room. */
#define costack_push(cs, off, type) ((type *)bpf_costack_frame(cs, off, sizeof(type)))

/* Where the frame of a function that the owner of frame @f at @off calls belongs. */
#define costack_next(off, f) ((off) + ((sizeof(*(f)) + 7) & ~7UL))

/* Clear the frame: its function is over. */
#define costack_pop(f) __builtin_memset(f, 0, sizeof(*(f)))

/* Opens the part of the function that waits; goes to where it waited. */
#define costack_begin(f) switch ((f)->resume_point) { case 0:

/* Closes it. A resume point that is none of this function's ends up here too. */
#define costack_end(f) break; default: break; }

/* Wait for the next call. */
#define costack_yield(f)						\
	do {								\
		(f)->resume_point = __LINE__;				\
		return COSTACK_AGAIN;					\
	case __LINE__:;							\
	} while (0)

/* Wait until @cond, which is looked at now and at each call. */
#define costack_wait_until(f, cond)					\
	do {								\
		(f)->resume_point = __LINE__;				\
	case __LINE__:							\
		if (!(cond))						\
			return COSTACK_AGAIN;				\
	} while (0)

/* Call a function that may wait; while it waits, so does this one. */
#define costack_call(f, ret, call)					\
	do {								\
		(f)->resume_point = __LINE__;				\
	case __LINE__:							\
		(ret) = (call);						\
		if ((ret) == COSTACK_AGAIN)				\
			return COSTACK_AGAIN;				\
	} while (0)

/*
 * True, but after some 8 million rounds; by this the verifier knows that the loop
 * ends. bpf_for() keeps its state among the C locals, which a wait loses. (The
 * instruction is may_goto, Linux 6.9, as bytes for the assemblers that do not know it.)
 */
#define costack_can_loop						\
	({								\
		__label__ l_end, l_out;					\
		bool more = true;					\
									\
		asm volatile goto("1: .byte 0xe5; .byte 0; "		\
				  ".long ((%l[l_end] - 1b - 8) / 8) & 0xffff; "	\
				  ".short 0"				\
				  :::: l_end);				\
		goto l_out;						\
	l_end:								\
		more = false;						\
	l_out:								\
		more;							\
	})

/* Pop the frame and return. */
#define costack_return(f, val)						\
	do {								\
		costack_pop(f);						\
		return (val);						\
	} while (0)

#endif /* __COSTACK_BPF_H */
