/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Types of coroutines: what a struct costack_ops that is attached looks like from
 * below. Found by number, limited in number, and watched.
 */
#ifndef _COSTACK_TYPE_H
#define _COSTACK_TYPE_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

#include "../bpf/costack_types.h"

struct costack_self;
struct seq_file;

/**
 * struct costack_ops - a type as its owner, a BPF program, defines it
 * @body: runs on the coroutine's stack
 * @name: for people
 * @id: number that it is spawned by
 * @flags: &enum costack_ops_flags
 * @frame_size: bytes of memory beside the locals
 * @stack_size: bytes of a private execution stack
 * @limit: coroutines at once
 *
 * A struct_ops type; programs see it as bpf/costack.bpf.h has it.
 */
struct costack_ops {
	int (*body)(struct costack_self *self, u64 arg);
	char name[COSTACK_NAME_MAX];
	u32 id;
	u32 flags;
	u32 frame_size;
	u32 stack_size;
	u32 limit;
};

/**
 * struct costack_share - a CPU's part of a type; any context
 * @avail: coroutines that may be made here without asking; any CPU may take from it
 * @ended: coroutines that were freed here; this_cpu_inc
 * @resumes: how often those had run; this_cpu_add
 */
struct costack_share {
	atomic_t avail;
	unsigned long ended;
	unsigned long resumes;
};

/* Depths from 2^8 to 2^17 bytes. */
#define COSTACK_DEPTH_LOG2_MIN	8
#define COSTACK_DEPTH_BUCKETS	10

/**
 * struct costack_type - a type that is attached
 * @body: see &struct costack_ops; constant, as are the next five
 * @id: number
 * @frame_size: bytes of memory beside the locals
 * @stack_size: bytes of a private execution stack; 0: bodies share their CPU's
 * @limit: coroutines at once
 * @ops: whose it is; the key of costack_type_unregister()
 * @dead: no coroutine of it may run any more; set once, before they are cancelled
 * @live_max: most bytes of a stack that were kept over a yield; only grows, races lose
 *	little
 * @avail: coroutines that may still be made, apart from the CPUs' shares
 * @share: CPUs' shares of them, and what ended there
 * @resumes: of the coroutines that there are, while they are listed; costack_type_lock
 * @depth_max: deepest stack seen; as @live_max
 * @depth: stacks that deep, by log2; atomic
 * @live: yields with that much on the stack, of those looked at
 * @node: in the table; costack_type_lock
 * @name: for people; constant
 */
struct costack_type {
	int (*body)(struct costack_self *self, u64 arg);
	u32 id;
	u32 frame_size;
	u32 stack_size;
	u32 limit;
	const struct costack_ops *ops;
	bool dead;
	u32 live_max;
	struct costack_share __percpu *share;
	unsigned long resumes;
	struct hlist_node node;
	char name[COSTACK_NAME_MAX];
	atomic_t avail ____cacheline_aligned;
	u32 depth_max;
	atomic_t depth[COSTACK_DEPTH_BUCKETS];
	atomic_t live[COSTACK_DEPTH_BUCKETS];
};

/* In the place of a type that is gone: dead, and never freed. */
extern struct costack_type costack_dead_type;

int costack_type_register(const struct costack_ops *ops);
struct costack_type *costack_type_retire(const struct costack_ops *ops);
void costack_type_free(struct costack_type *type);
struct costack_type *costack_type_charge(u32 id, bool *limited);
void costack_type_uncharge(struct costack_type *type);
void costack_type_note_end(struct costack_type *type, unsigned long resumes);
int costack_type_charged(const struct costack_type *type);
void costack_type_note_depth(struct costack_type *type, u32 depth, u32 live);
void costack_types_show(struct seq_file *m, void (*count_resumes)(void));

#endif /* _COSTACK_TYPE_H */
