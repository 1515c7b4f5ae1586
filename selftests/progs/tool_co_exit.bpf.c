// SPDX-License-Identifier: GPL-2.0
/* For costack prog load: a body that COSTACK_BODY() did not make; the module refuses it. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"

char _license[] SEC("license") = "GPL";

SEC("struct_ops.s/tool_exits_early")
int tool_exits_early(unsigned long long *ctx)
{
	return 0;
}

COSTACK_OPS(tool_exits_early);
