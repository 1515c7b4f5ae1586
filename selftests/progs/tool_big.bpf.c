// SPDX-License-Identifier: GPL-2.0
/* For the costack tool: a map for which no machine that runs tests has the memory. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64 * 1024 * 1024);
	__type(key, __u32);
	__uint(value_size, 32 * 1024);
} big SEC(".maps");

SEC("syscall")
int called(void *ctx)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&big, &zero) != 0;
}
