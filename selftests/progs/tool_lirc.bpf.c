// SPDX-License-Identifier: GPL-2.0
/* For the costack tool: a type of program that Debian's kernels are built without. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

SEC("lirc_mode2")
int decode(void *ctx)
{
	return 0;
}
