// SPDX-License-Identifier: GPL-2.0
/* For the costack tool: an object without programs. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

__u64 alone;
