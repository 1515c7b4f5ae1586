// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that the verifier takes, and that hold on to what is not theirs: they get nothing of
 * it, and the kernel lives.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "co_drive.h"

char _license[] SEC("license") = "GPL";

#define WAIT() do { if (bpf_costack_yield(self, 0)) return CO_CANCELLED; } while (0)

/* Another coroutine, looked at and never taken; it may be gone, and its handle another's. */

static struct costack_co __kptr *mine SEC(".data.mine");

SEC("syscall")
int do_give(struct co_args *a)
{
	struct costack_co *co = slot_take(a->slot);

	a->ret = !!co;
	co = bpf_kptr_xchg(&mine, co);
	if (co)
		bpf_costack_co_release(co);
	return 0;
}

COSTACK_BODY(looker, u64 arg)
{
	struct costack_co *co = mine;
	u64 id, again;

	if (!co)
		return -1;
	id = co->self.id;
	WAIT();
	again = co->self.id;
	return id == again ? 1 : 2;
}
COSTACK_OPS(looker);

/* A coroutine that owns itself, and calls itself */
COSTACK_BODY(narcissus, u64 arg)
{
	struct costack_co *co = bpf_kptr_xchg(&mine, NULL);
	int ret;

	if (!co)
		return -1;
	ret = bpf_costack_call(self, co, 0, NULL);
	/* For ever, if it were its own affair */
	bpf_repeat(COSTACK_LOOP_MAX) {
		if (bpf_costack_yield(self, (u32)ret))
			break;
	}
	bpf_costack_co_release(co);
	return CO_CANCELLED;
}
COSTACK_OPS(narcissus);

COSTACK_BODY(forever, u64 n)
{
	bpf_repeat(COSTACK_LOOP_MAX) {
		if (bpf_costack_yield(self, n++))
			break;
	}
	return CO_CANCELLED;
}
COSTACK_OPS(forever);

/* The same program in two types */
COSTACK_BODY(twice, u64 n)
{
	bpf_costack_yield(self, n);
	bpf_costack_yield(self, n + 1);
	return n + 2;
}
COSTACK_OPS(twice);

SEC(".struct_ops.link")
struct costack_ops twice_more = {
	.body = (void *)twice,
	.name = "twice_more",
	.id = COSTACK_ID("twice_more"),
};

/* Its arguments lie on the stack that is copied away and back. */
int context(unsigned long long *ctx);
COSTACK_OPS(context);
SEC("struct_ops.s/context")
int context(unsigned long long *ctx)
{
	struct costack_self *self = (void *)ctx[0];
	u64 sum = ctx[1];

	bpf_costack_yield(self, 0);
	self = (void *)ctx[0];
	sum += ctx[1];
	bpf_costack_yield(self, 0);
	return bpf_costack_finish((void *)ctx[0], sum + ctx[1]);
}

/* Where a result goes that may be NULL, and is */
COSTACK_BODY(nowhere, u64 type)
{
	struct costack_co *co = bpf_costack_spawn_nolock(type, 5);
	int ret;

	if (!co)
		return -1;
	ret = bpf_costack_call(self, co, 0, (u64 *)bpf_costack_local(self, ~0U, 8));
	bpf_costack_co_release(co);
	return ret;
}
COSTACK_OPS(nowhere, .frame_size = 64);

/* An arena's page is taken away meanwhile. */

#define __arena __attribute__((address_space(1)))

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, 1024 /* BPF_F_MMAPABLE */);
	__uint(max_entries, 4);
} arena SEC(".maps");

extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, u32 page_cnt,
					   int node_id, u64 flags) __weak __ksym;
extern void bpf_arena_free_pages(void *map, void __arena *ptr, u32 page_cnt) __weak __ksym;

u64 __arena *page;

SEC("syscall")
int do_page(struct co_args *a)
{
	page = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (page)
		*page = 0x5ca1ab1e;
	a->ret = !!page;
	return 0;
}

SEC("syscall")
int do_free_page(struct co_args *a)
{
	bpf_arena_free_pages(&arena, page, 1);
	return 0;
}

COSTACK_BODY(reader, u64 arg)
{
	u64 __arena *p = page;
	u64 before, after;
	void *map = &arena;

	/* The program is to have the arena. */
	asm volatile ("" : : "r"(map));
	if (!p)
		return -1;
	before = *p;
	WAIT();
	after = *p;
	*p = 1;
	WAIT();
	return before << 32 | (u32)after;
}
COSTACK_OPS(reader);

/* On the body, or its functions */

SEC("?fentry.s/forever")
int sleeps(void *ctx)
{
	return 0;
}

SEC("?fmod_ret/forever")
int replaces(void *ctx)
{
	return 1;
}

/* On top of a body: they end by an exception, from one and from three frames. */

extern void bpf_throw(u64 cookie) __weak __ksym;

int nr_thrown;

COSTACK_BODY(reads, u64 n)
{
	unsigned long digit;

	bpf_repeat(COSTACK_LOOP_MAX) {
		if (bpf_strtoul("7", 2, 10, &digit) != 1 || bpf_costack_yield(self, n++ * digit))
			break;
	}
	return CO_CANCELLED;
}
COSTACK_OPS(reads);

SEC(".struct_ops.link")
struct costack_ops reads_private_ops = {
	.body = (void *)reads,
	.name = "reads_private",
	.id = COSTACK_ID("reads_private"),
	.flags = COSTACK_OPS_PRIVATE,
};

SEC("?fentry/reads")
int throws(void *ctx)
{
	nr_thrown++;
	bpf_throw(0);
	nr_thrown = -1000;
	return 0;
}

static __noinline int throw_third(int n)
{
	char room[64] = {};

	barrier_var(n);
	room[n & 63] = 1;
	barrier();
	if (room[n & 31])
		bpf_throw(0);
	return room[5];
}

__noinline int throw_second(int n)
{
	return throw_third(n) + 1;
}

SEC("?fexit/bpf_strtoul")
int throws_deep(void *ctx)
{
	nr_thrown++;
	throw_second(3);
	nr_thrown = -1000;
	return 0;
}
