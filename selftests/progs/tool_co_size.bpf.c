// SPDX-License-Identifier: GPL-2.0
/* For costack prog load: two types, the second of which the module does not take. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"

char _license[] SEC("license") = "GPL";

COSTACK_BODY(tool_first, u64 arg)
{
	return arg;
}

COSTACK_OPS(tool_first);

COSTACK_BODY(tool_second, u64 arg)
{
	return arg;
}

COSTACK_OPS(tool_second, .frame_size = COSTACK_SIZE_MAX + 1);
