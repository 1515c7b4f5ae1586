// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies that use an arena. Its pages come and go, but the range of addresses that its
 * pointers lead to lives as long as the program: what a body keeps over a wait is safe.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "co_drive.h"
#include "co_arena.h"

char _license[] SEC("license") = "GPL";

#define __arena __attribute__((address_space(1)))

extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, u32 page_cnt,
					   int node_id, u64 flags) __weak __ksym;
extern void bpf_arena_free_pages(void *map, void __arena *addr, u32 page_cnt) __weak __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, 1024 /* BPF_F_MMAPABLE */);
	__uint(max_entries, ARENA_PAGES);
} arena SEC(".maps");

/* A program has the arena that it names. */
#define HAVE_ARENA() asm volatile ("" :: "r"(&arena))

/* Along a list, a node in each run; the pointer is kept over the waits. */
static __always_inline s64 walk(struct costack_self *self, u64 list)
{
	struct node __arena *node = (struct node __arena *)list;
	u64 sum = 0;

	HAVE_ARENA();
	bpf_repeat(COSTACK_LOOP_MAX) {
		if (!node)
			break;
		sum += node->value;
		if (bpf_costack_yield(self, sum))
			return CO_CANCELLED;
		node->value = sum;
		__sync_fetch_and_add(&node->runs, 1);
		node = (struct node __arena *)node->next;
	}
	return sum;
}

COSTACK_BODY(walker, u64 list)
{
	return walk(self, list);
}
COSTACK_OPS(walker);

COSTACK_BODY(walker_own, u64 list)
{
	return walk(self, list);
}
COSTACK_OPS(walker_own, .flags = COSTACK_OPS_PRIVATE);

/* In a softirq's context, or what is like it */
SEC("tc")
int do_packet(struct __sk_buff *skb)
{
	struct costack_co *co = slot_take(0);

	if (co) {
		bpf_costack_resume(co, 0, NULL);
		slot_put(0, co);
	}
	return 0;
}

/* @arg: page to free; 0: to allocate, and @result is where */
SEC("syscall")
int do_pages(struct co_args *a)
{
	if (a->arg)
		bpf_arena_free_pages(&arena, (void __arena *)a->arg, 1);
	else
		a->result = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	return 0;
}
