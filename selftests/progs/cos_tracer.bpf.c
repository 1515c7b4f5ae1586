// SPDX-License-Identifier: GPL-2.0
/* Tracers for the bodies of cos_trace.bpf.c, and for what the module does beneath. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

u64 entries, exits, probes, returns, samples, walked;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64[64]);
} stacks SEC(".maps");

static __always_inline void walk(void *ctx)
{
	u32 zero = 0;
	u64 *stack = bpf_map_lookup_elem(&stacks, &zero);

	if (stack && bpf_get_stack(ctx, stack, 512, 0) > 0)
		__sync_fetch_and_add(&walked, 1);
}

/* What they are attached to is told when they are loaded. */
SEC("?fentry/body")
int entry(void *ctx)
{
	__sync_fetch_and_add(&entries, 1);
	return 0;
}

SEC("?fexit/body")
int leave(void *ctx)
{
	__sync_fetch_and_add(&exits, 1);
	return 0;
}

SEC("?kprobe.multi/costack_*")
int probe(void *ctx)
{
	__sync_fetch_and_add(&probes, 1);
	walk(ctx);
	return 0;
}

SEC("?kretprobe.multi/costack_*")
int ret(void *ctx)
{
	__sync_fetch_and_add(&returns, 1);
	walk(ctx);
	return 0;
}

SEC("?perf_event")
int clock(void *ctx)
{
	__sync_fetch_and_add(&samples, 1);
	walk(ctx);
	return 0;
}

SEC("?tp_btf/nmi_handler")
int nmi(void *ctx)
{
	__sync_fetch_and_add(&samples, 1);
	walk(ctx);
	return 0;
}
