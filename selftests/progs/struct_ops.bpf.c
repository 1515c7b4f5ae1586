// SPDX-License-Identifier: GPL-2.0
/*
 * A congestion control with a stack: struct_ops programs are called under the socket's
 * lock, mostly in softirq.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "tcp_cc.h"

u64 runs, got, failed, corrupt;

static __always_inline void work(void)
{
	struct costack *cs = bpf_costack_alloc_nolock(16384, 0);
	u64 *p;

	__sync_fetch_and_add(&runs, 1);
	if (!cs) {
		__sync_fetch_and_add(&failed, 1);
		return;
	}
	p = (u64 *)bpf_costack_frame(cs, 16376, 8);
	if (!p || *p)
		__sync_fetch_and_add(&corrupt, 1);
	if (p)
		*p = ~0ULL;
	__sync_fetch_and_add(&got, 1);
	bpf_costack_release(cs);
}

SEC("struct_ops")
u32 BPF_PROG(cc_ssthresh, struct sock *sk)
{
	work();
	return 2;
}

SEC("struct_ops")
u32 BPF_PROG(cc_undo_cwnd, struct sock *sk)
{
	work();
	return 10;
}

SEC("struct_ops")
void BPF_PROG(cc_cong_avoid, struct sock *sk, u32 ack, u32 acked)
{
	work();
}

SEC(".struct_ops")
struct tcp_congestion_ops costack_cc = {
	.ssthresh = (void *)cc_ssthresh,
	.undo_cwnd = (void *)cc_undo_cwnd,
	.cong_avoid = (void *)cc_cong_avoid,
	.name = "bpf_costack",
};

char _license[] SEC("license") = "GPL";
