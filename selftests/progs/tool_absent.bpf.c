// SPDX-License-Identifier: GPL-2.0
/* For the costack tool: attached to what no kernel has. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

SEC("fentry/no_such_function_anywhere")
int absent(void *ctx)
{
	return 0;
}
