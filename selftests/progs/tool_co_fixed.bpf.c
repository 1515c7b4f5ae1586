// SPDX-License-Identifier: GPL-2.0
/* For costack prog load: a type of coroutines whose number the loader cannot change. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"

char _license[] SEC("license") = "GPL";

COSTACK_BODY(tool_fixed, u64 arg)
{
	return arg;
}

SEC(".struct_ops.link")
struct costack_ops tool_fixed_ops = {
	.body = (void *)tool_fixed,
	.name = "tool_fixed",
	.id = 4711,
};
