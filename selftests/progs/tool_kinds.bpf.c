// SPDX-License-Identifier: GPL-2.0
/* For costack prog load: what is attached to what its section names. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

__u64 count;
static const __u64 steps[4] = { 1, 2, 3, 4 };

/* Asks to be pinned by name, which would be outside of what unload removes. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, 1);
} shared SEC(".maps");

/* What events is not: follow says so. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} events SEC(".maps");

static int seen(void)
{
	__u32 zero = 0;

	count += steps[count & 3];
	bpf_map_lookup_elem(&shared, &zero);
	bpf_map_lookup_elem(&events, &zero);
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int on_fentry(void *ctx)
{
	return seen();
}

SEC("kprobe/bpf_fentry_test1")
int on_kprobe(void *ctx)
{
	return seen();
}

SEC("raw_tp/sched_process_exit")
int on_raw_tp(void *ctx)
{
	return seen();
}

SEC("tp_btf/sched_process_fork")
int on_tp_btf(void *ctx)
{
	return seen();
}

SEC("tracepoint/sched/sched_process_exec")
int on_tracepoint(void *ctx)
{
	return seen();
}

SEC("lsm/path_chroot")
int on_lsm(void *ctx)
{
	return 0;
}

/* Nothing to attach to: called by BPF_PROG_RUN. */
SEC("syscall")
int called(void *ctx)
{
	return seen();
}

/* Not even loaded, unless somebody asks for it. */
SEC("?fentry/no_such_function_anywhere")
int optional(void *ctx)
{
	return 0;
}
