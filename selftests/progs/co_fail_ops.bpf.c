// SPDX-License-Identifier: GPL-2.0
/* What is for bodies, in programs of another struct_ops. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "tcp_cc.h"

char _license[] SEC("license") = "GPL";

SEC("struct_ops")
__failure __msg("{{program must be sleepable to call sleepable kfunc bpf_costack_yield|expected STRUCT costack_self}}")
u32 BPF_PROG(cc_yield, struct sock *sk)
{
	return bpf_costack_yield((void *)sk, 0);
}

SEC("struct_ops")
__failure __msg("call bpf_costack_avail") __msg("STRUCT costack_self")
u32 BPF_PROG(cc_avail, struct sock *sk)
{
	return bpf_costack_avail((void *)sk);
}

SEC("struct_ops")
__failure __msg("call bpf_costack_local") __msg("STRUCT costack_self")
u32 BPF_PROG(cc_local, struct sock *sk)
{
	return !bpf_costack_local((void *)sk, 0, 8);
}

SEC("struct_ops")
__failure __msg("call bpf_costack_avail") __msg("{{must point to scalar|R1 is [a-z_]+ expected STRUCT costack_self}}")
u32 BPF_PROG(cc_fake, struct sock *sk)
{
	struct costack_self fake = {};

	return bpf_costack_avail(&fake);
}

#define CC(_prog)								\
	SEC(".struct_ops")							\
	struct tcp_congestion_ops _prog##_ops = {				\
		.ssthresh = (void *)_prog,					\
		.name = #_prog,							\
	}

CC(cc_yield);
CC(cc_avail);
CC(cc_local);
CC(cc_fake);
