// SPDX-License-Identifier: GPL-2.0
/* For costack prog load: what wants an interface or a cgroup. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define TCX_NEXT	(-1)

char _license[] SEC("license") = "GPL";

SEC("xdp")
int on_xdp(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("tc")
int on_tc(struct __sk_buff *skb)
{
	return TCX_NEXT;
}

SEC("tc/egress")
int on_egress(struct __sk_buff *skb)
{
	return TCX_NEXT;
}

SEC("cgroup_skb/egress")
int on_cgroup(struct __sk_buff *skb)
{
	return 1;
}
