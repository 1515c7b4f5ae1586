// SPDX-License-Identifier: GPL-2.0
/* A body for co_attach.bpf.c to trace and replace parts of. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "co_drive.h"

char _license[] SEC("license") = "GPL";

__noinline int replaceable(u64 x)
{
	asm volatile ("" : "+r"(x));
	return x + 1;
}

static __noinline int wait_twice(struct costack_self *self, u64 n)
{
	int ret = bpf_costack_yield(self, replaceable(n));

	return ret ?: bpf_costack_yield(self, replaceable(n + 1));
}

COSTACK_BODY(target, u64 n)
{
	int i;

	bpf_for(i, 0, 3) {
		if (wait_twice(self, n + 2 * i))
			return CO_CANCELLED;
	}
	return wait_twice(self, 100) ? CO_CANCELLED : 4711;
}
COSTACK_OPS(target);

COSTACK_BODY(other, u64 n)
{
	bpf_repeat(COSTACK_LOOP_MAX) {
		if (bpf_costack_yield(self, n++))
			break;
	}
	return 0;
}
COSTACK_OPS(other);

COSTACK_BODY(other_own, u64 n)
{
	bpf_repeat(COSTACK_LOOP_MAX) {
		if (bpf_costack_yield(self, n++))
			break;
	}
	return 0;
}
COSTACK_OPS(other_own, .flags = COSTACK_OPS_PRIVATE);
