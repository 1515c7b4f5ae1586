// SPDX-License-Identifier: GPL-2.0
/* The network path's allocation is not for a struct_ops program. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "tcp_cc.h"

SEC("struct_ops")
__failure __msg("calling kernel function bpf_costack_alloc is not allowed")
u32 BPF_PROG(struct_ops_alloc, struct sock *sk)
{
	struct costack *cs = bpf_costack_alloc(512, 0);

	if (cs)
		bpf_costack_release(cs);
	return 2;
}

SEC(".struct_ops")
struct tcp_congestion_ops costack_cc = {
	.ssthresh = (void *)struct_ops_alloc,
	.name = "bpf_costack",
};

char _license[] SEC("license") = "GPL";
