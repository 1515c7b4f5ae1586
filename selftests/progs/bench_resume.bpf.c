// SPDX-License-Identifier: GPL-2.0
/*
 * What a resume and a yield cost, and what they stand on: loops in TC programs, timed by the
 * clock of a guest in which a nanosecond is an instruction (vm.sh run --icount).
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"

char _license[] SEC("license") = "GPL";

const volatile u32 rounds = 100000;
u64 ns;			/* of all rounds */
u64 failed;

static __always_inline s64 yield_forever(struct costack_self *self)
{
	int i;

	bpf_for(i, 0, COSTACK_LOOP_MAX) {
		if (bpf_costack_yield(self, 1))
			break;
	}
	return 0;
}

COSTACK_BODY(bench_dense, u64 arg)
{
	return yield_forever(self);
}

COSTACK_OPS(bench_dense);

COSTACK_BODY(bench_private, u64 arg)
{
	return yield_forever(self);
}

COSTACK_OPS(bench_private, .flags = COSTACK_OPS_PRIVATE);

/* What is subtracted: a loop of the resumer, and one of the body. */
SEC("tc")
int empty_loop(struct __sk_buff *skb)
{
	u64 start = bpf_ktime_get_ns();
	int i;

	bpf_for(i, 0, rounds)
		barrier();
	ns = bpf_ktime_get_ns() - start;
	return 0;
}

static int resume_yield(struct costack_co *co)
{
	u64 start;
	int i;

	if (!co) {
		failed++;
		return 0;
	}
	/* Into the loop, and past the runs that are watched. */
	bpf_for(i, 0, 20)
		bpf_costack_resume(co, 0, NULL);
	start = bpf_ktime_get_ns();
	bpf_for(i, 0, rounds) {
		if (bpf_costack_resume(co, 0, NULL) != COSTACK_YIELDED) {
			failed++;
			break;
		}
	}
	ns = bpf_ktime_get_ns() - start;
	bpf_costack_co_release(co);
	return 0;
}

SEC("tc")
int resume_dense(struct __sk_buff *skb)
{
	return resume_yield(costack_spawn(bench_dense, 0));
}

SEC("tc")
int resume_private(struct __sk_buff *skb)
{
	return resume_yield(costack_spawn(bench_private, 0));
}

SEC("tc")
int spawn_release(struct __sk_buff *skb)
{
	u64 start = bpf_ktime_get_ns();
	struct costack_co *co;
	int i;

	bpf_for(i, 0, rounds) {
		co = costack_spawn(bench_dense, 0);
		if (!co) {
			failed++;
			break;
		}
		bpf_costack_co_release(co);
	}
	ns = bpf_ktime_get_ns() - start;
	return 0;
}

SEC("tc")
int alloc_release(struct __sk_buff *skb)
{
	u64 start = bpf_ktime_get_ns();
	struct costack *cs;
	int i;

	bpf_for(i, 0, rounds) {
		cs = costack_alloc(16384);
		if (!cs) {
			failed++;
			break;
		}
		bpf_costack_release(cs);
	}
	ns = bpf_ktime_get_ns() - start;
	return 0;
}
