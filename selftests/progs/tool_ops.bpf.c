// SPDX-License-Identifier: GPL-2.0
/* For costack prog load: struct_ops, here a congestion control that does nothing. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

struct sock;
struct rate_sample;

/* The members used; libbpf finds them in the kernel's by name. */
struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
};

SEC("struct_ops/tool_ssthresh")
int tool_ssthresh(unsigned long long *ctx)
{
	return 2;
}

SEC("struct_ops/tool_cong_avoid")
int tool_cong_avoid(unsigned long long *ctx)
{
	return 0;
}

SEC("struct_ops/tool_undo_cwnd")
int tool_undo_cwnd(unsigned long long *ctx)
{
	return 2;
}

#ifndef SECTION
#define SECTION ".struct_ops.link"
#endif

SEC(SECTION)
struct tcp_congestion_ops tool_ops = {
	.ssthresh = (void *)tool_ssthresh,
	.cong_avoid = (void *)tool_cong_avoid,
	.undo_cwnd = (void *)tool_undo_cwnd,
	.name = "costack_tool",
};
