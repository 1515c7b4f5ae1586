/* SPDX-License-Identifier: GPL-2.0 */
/* What stress.bpf.c and those who drive it tell each other. */
#ifndef __STRESS_H
#define __STRESS_H

#define STRESS_CPUS	8	/* a power of two */

/* Rows are those of debugfs' contexts: CTX_* of testing.h. */
enum {
	ROW_SLEEPABLE,
	ROW_PROCESS,
	ROW_SOFTIRQ,
	ROW_HARDIRQ,
	ROW_NMI,
	NR_ROWS,
};

/* X(name, contexts in which it cannot work), stress.c knows which these are */
#define STRESS_OPS(X)								\
	X(alloc, 0)		/* a stack of any size */			\
	X(alloc_guard, 0)	/* with a guard page */				\
	X(alloc_refused, 0)	/* of a wrong size, or with wrong flags */	\
	X(acquire, 0)								\
	X(release, 0)								\
	X(size, 0)								\
	X(frame, 0)		/* contents looked at */			\
	X(frame_refused, 0)	/* beyond the end */				\
	X(exchange, 0)		/* from slot to slot */				\
	X(counter, 0)								\
	X(hash_update, NOT_NMI)							\
	X(lru_update, NOT_NMI)	/* and with it eviction */			\
	X(map_delete, NOT_NMI)	/* of either, with what is in it */		\
	X(spawn, 0)		/* dense */					\
	X(spawn_private, 0)							\
	X(resume, NOT_NMI)							\
	X(resume_shared, NOT_NMI) /* of one that others resume, too */		\
	X(resume_mem, NOT_NMI)							\
	X(resume_skb, NO_PACKET)						\
	X(resume_xdp, NO_PACKET)						\
	X(resume_nmi, ONLY_NMI) /* refused */						\
	X(cancel, NOT_NMI)							\
	X(state, 0)								\
	X(co_acquire, 0)							\
	X(co_release, 0)	/* suspended ones among them */			\
	X(body_alloc, NOT_BODY)	/* by bodies, as all that follow */		\
	X(call, NOT_BODY)							\
	X(yield, NOT_BODY)							\
	X(read, NOT_BODY)							\
	X(local, NOT_BODY)							\
	X(map_add, NOT_BODY)							\
	X(map_read, NOT_BODY)

enum {
#define X(name, ...) OP_##name,
	STRESS_OPS(X)
#undef X
	NR_OPS,
};

/* X(name, errno) - what may come of one */
#define STRESS_RESULTS(X)							\
	X(ok, 0)								\
	X(NULL, 1)								\
	X(EBUSY, -16)								\
	X(ESRCH, -3)								\
	X(ESTALE, -116)								\
	X(EOPNOTSUPP, -95)							\
	X(ENOMEM, -12)								\
	X(ELOOP, -40)								\
	X(ECANCELED, -125)							\
	X(E2BIG, -7)								\
	X(ENOENT, -2)								\
	X(EEXIST, -17)

enum {
#define X(name, ...) RES_##name,
	STRESS_RESULTS(X)
#undef X
	RES_other,
	NR_RESULTS,
};

/* X(name, what is wrong) */
#define STRESS_FAULTS(X)							\
	X(not_zero, "a stack just taken is not zero")				\
	X(twice, "a stack has two holders")					\
	X(contents, "a stack's contents are not its holder's")			\
	X(frame, "a frame within a stack is refused, or one beyond it is not")	\
	X(size, "a stack is smaller than what was asked for")			\
	X(not_refused, "an allocation that must be refused is not")		\
	X(answer, "a call's answer is none that it may give")			\
	X(event, "a coroutine yielded where it was to end, or the other way")	\
	X(result, "a coroutine's result is wrong")				\
	X(step, "a coroutine missed a resume, or was passed something else")	\
	X(locals, "a coroutine's locals have changed")				\
	X(memory, "a coroutine's own memory has changed")			\
	X(state, "a coroutine is not in the state that it must be in")		\
	X(message, "a coroutine read what nobody wrote")			\
	X(callee, "the result of a nested coroutine is wrong")			\
	X(map, "a body's map operation failed")

enum {
#define X(name, ...) FAULT_##name,
	STRESS_FAULTS(X)
#undef X
	NR_FAULTS,
};

/*
 * A run: its choices follow from these and the seed. As the context of a program, or
 * in a packet, where bytes to read are behind it.
 */
struct stress_run {
	__u32 magic;
	__u32 worker;
	__u32 round;
	__u32 ops;
	__u32 row;
};

#define STRESS_MAGIC	0xc057ac4e
#define STRESS_OFFSET	42	/* of that in a packet: Ethernet, IPv4, UDP */
#define STRESS_BYTES	256	/* to read */
/* Which of them are written: the same all over, a row among them. */
#define STRESS_BYTE(row)	((row) | (~(row) & 15) << 4)
#define STRESS_PACKET	(STRESS_OFFSET + sizeof(struct stress_run) + STRESS_BYTES)

#endif /* __STRESS_H */
