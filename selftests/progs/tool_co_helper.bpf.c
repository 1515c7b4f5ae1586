// SPDX-License-Identifier: GPL-2.0
/* For costack prog load: a body that calls what bodies must not; the verifier refuses it. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"

char _license[] SEC("license") = "GPL";

COSTACK_BODY(tool_helper, u64 arg)
{
	return bpf_get_current_task();
}

COSTACK_OPS(tool_helper);
