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
 * A map element that is deleted or evicted (LRU) releases the stack in it.
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
