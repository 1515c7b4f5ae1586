/* SPDX-License-Identifier: GPL-2.0 */
/* What co.bpf.c and the tests say to each other. */
#ifndef __PROGS_CO_H
#define __PROGS_CO_H

#define CO_SLOTS	64
#define CO_MESSAGE	4096
#define CO_CANCELLED	(-125)	/* -ECANCELED */

/* The pattern that messages are made of: byte number @i of all. */
static inline unsigned char co_pattern(unsigned int i)
{
	return i * 167 + (i >> 8) * 13 + 5;
}

/**
 * struct co_args - argument of each program
 * @slot: where the coroutine is kept
 * @slot2: another one
 * @type: number of the type
 * @mode: which of the spawns
 * @arg: spawn's argument; resume's value
 * @off: of the message, in the pattern
 * @len: of the message
 * @count: how often
 * @ret: what was returned, the last time
 * @result: what the body gave, the last time
 * @yielded: how often that was COSTACK_YIELDED
 * @stale: -ESTALE
 * @busy: -EBUSY
 */
struct co_args {
	__u32 slot, slot2;
	__u32 type, mode;
	__u64 arg;
	__u32 off, len;
	__u32 count;
	__s32 ret;
	__u64 result;
	__u32 yielded, stale, busy;
};

enum { CO_SLEEPABLE, CO_ATOMIC, CO_NOLOCK };

#endif /* __PROGS_CO_H */
