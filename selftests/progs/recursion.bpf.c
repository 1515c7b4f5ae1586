// SPDX-License-Identifier: GPL-2.0
/*
 * Programs on the module's own functions and tracepoints, which allocate and free:
 * each is called from within an allocation, and calls for one itself.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"

u64 ran[8], got;

static __always_inline int again(u32 i)
{
	struct costack *cs;

	__sync_fetch_and_add(&ran[i], 1);
	cs = bpf_costack_alloc_nolock(1024, 0);
	if (!cs)
		return 0;
	__sync_fetch_and_add(&got, 1);
	bpf_costack_release(cs);
	return 0;
}

SEC("fentry/costack_stack_alloc_slow")
int fentry_get(void *ctx)
{
	return again(0);
}

SEC("fexit/costack_stack_alloc_slow")
int fexit_get(void *ctx)
{
	return again(1);
}

SEC("kprobe/costack_stack_alloc_slow")
int kprobe_get(void *ctx)
{
	return again(2);
}

SEC("fentry/costack_stack_put_traced")
int fentry_put(void *ctx)
{
	return again(3);
}

SEC("kprobe/costack_stack_put_traced")
int kprobe_put(void *ctx)
{
	return again(4);
}

SEC("kretprobe/costack_stack_alloc_slow")
int kretprobe_alloc(void *ctx)
{
	return again(5);
}

SEC("tp_btf/costack_alloc")
int tp_btf_alloc(void *ctx)
{
	return again(6);
}

SEC("raw_tp/costack_free")
int raw_tp_free(void *ctx)
{
	return again(7);
}

char _license[] SEC("license") = "GPL";
