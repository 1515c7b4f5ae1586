/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Constants that the module, BPF programs and user space share. Nothing is
 * included here: the includer brings its own fixed-width types.
 */
#ifndef __COSTACK_TYPES_H
#define __COSTACK_TYPES_H

/* Smallest and largest stack, in bytes. Sizes between are rounded up to a power of two. */
#define COSTACK_SIZE_MIN	512
#define COSTACK_SIZE_MAX	65536

/**
 * enum costack_flags - flags of the allocation kfuncs
 * @COSTACK_F_GUARD: memory mapped on its own pages, with an unmapped page
 *	behind it. Sizes from 4,096 bytes. Mapping memory may sleep, so outside
 *	sleepable programs it comes from the pool's reserve alone.
 */
enum costack_flags {
	COSTACK_F_GUARD	= 1,
};

/**
 * enum costack_counter - what bpf_costack_counter() reads
 * @COSTACK_CNT_LIVE: stacks that somebody holds
 * @COSTACK_CNT_CACHED: stacks that wait in the pool
 * @COSTACK_CNT_OBTAINED: stacks ever obtained from the kernel
 * @COSTACK_CNT_RETURNED: stacks ever returned to the kernel
 * @COSTACK_CNT_ALLOCS: successful allocations
 * @COSTACK_CNT_FREES: stacks given back by their last holder
 * @COSTACK_CNT_MISSES: allocations that the pool could not serve itself
 * @COSTACK_CNT_FAILS: allocations that returned NULL, of any cause
 * @COSTACK_CNT_BYTES: bytes now obtained from the kernel
 * @COSTACK_CNT_MAX: how many there are
 */
enum costack_counter {
	COSTACK_CNT_LIVE,
	COSTACK_CNT_CACHED,
	COSTACK_CNT_OBTAINED,
	COSTACK_CNT_RETURNED,
	COSTACK_CNT_ALLOCS,
	COSTACK_CNT_FREES,
	COSTACK_CNT_MISSES,
	COSTACK_CNT_FAILS,
	COSTACK_CNT_BYTES,
	COSTACK_CNT_MAX,
};

/* Name of a type of coroutines: this long with its final zero. */
#define COSTACK_NAME_MAX	16

/**
 * enum costack_ops_flags - flags of struct costack_ops
 * @COSTACK_OPS_PRIVATE: each coroutine has an execution stack of its own, with
 *	guard pages, in the place of a share in its CPU's: for few and busy ones
 */
enum costack_ops_flags {
	COSTACK_OPS_PRIVATE = 1,
};

/* Runs of coroutines on top of each other on a CPU. */
#define COSTACK_DEPTH_MAX	4

/* Execution stack of a private coroutine, in bytes. */
#define COSTACK_STACK_MIN	8192
#define COSTACK_STACK_DEFAULT	16384

/**
 * enum costack_event - what bpf_costack_resume() and its like return, if not a
 *	negative errno
 * @COSTACK_YIELDED: the body yielded a value
 * @COSTACK_READING: the body has read all there was and waits for more
 * @COSTACK_DONE: the body has returned; its value is the result
 */
enum costack_event {
	COSTACK_YIELDED,
	COSTACK_READING,
	COSTACK_DONE,
};

/**
 * enum costack_state - what bpf_costack_state() returns
 * @COSTACK_NEW: never resumed
 * @COSTACK_SUSPENDED: in a yield or a read
 * @COSTACK_RUNNING: its body runs, on some CPU
 * @COSTACK_FINISHED: its body has returned, or will never run
 */
enum costack_state {
	COSTACK_NEW,
	COSTACK_SUSPENDED,
	COSTACK_RUNNING,
	COSTACK_FINISHED,
};

#endif /* __COSTACK_TYPES_H */
