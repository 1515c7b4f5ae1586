/* SPDX-License-Identifier: GPL-2.0 */
/* What stacks.bpf.c and the tests that use it tell each other. */
#ifndef __STACKS_H
#define __STACKS_H

#define NR_SLOTS	8192	/* stacks that can be kept */

enum stack_mode {
	MODE_SLEEPABLE,
	MODE_ATOMIC,
	MODE_NOLOCK,
};

/**
 * struct stack_args - what a program is to do, and what came of it
 * @mode: which allocation; enum stack_mode
 * @size: bytes to ask for
 * @flags: for the allocation
 * @slot: first slot to use
 * @count: how many slots from there
 * @off: offset in the stack, or id of the counter
 * @len: bytes of the frame: 1, 8, 512, 4096 or 65536
 * @value: what to write
 * @done: how many of @count worked
 * @usable: bpf_costack_size() of the last stack
 * @result: what was read or counted
 */
struct stack_args {
	__u32 mode;
	__u32 size;
	__u64 flags;
	__u32 slot;
	__u32 count;
	__u32 off;
	__u32 len;
	__u64 value;
	__u32 done;
	__u32 usable;
	__s64 result;
};

#endif /* __STACKS_H */
