// SPDX-License-Identifier: GPL-2.0
/* Coroutines that packets resume, in the programs that have one. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "co_drive.h"
#include "co_reader.h"

char _license[] SEC("license") = "GPL";

u32 slot, off, len;		/* which coroutine; which bytes of the packet; len 0: all */
s32 ret;
u64 result;
u32 packets;
u16 port;


SEC("xdp.frags")
int do_xdp(struct xdp_md *xdp)
{
	struct costack_co *co = slot_take(slot);

	if (!co)
		return XDP_PASS;
	ret = bpf_costack_resume_xdp(co, xdp, off, len ?: bpf_xdp_get_buff_len(xdp) - off, &result);
	slot_put(slot, co);
	return XDP_PASS;
}

static __always_inline void run_skb(struct __sk_buff *skb, u32 from, u32 n)
{
	struct costack_co *co = slot_take(slot);

	if (!co)
		return;
	ret = bpf_costack_resume_skb(co, skb, from, n, &result);
	slot_put(slot, co);
}

SEC("tc")
int do_tc(struct __sk_buff *skb)
{
	run_skb(skb, off, len ?: skb->len - off);
	return 0;
}

/* A datagram's bytes from @from on, which is the UDP header's place, if it is ours */
static __always_inline void datagram(struct __sk_buff *skb, u32 from)
{
	u16 to;

	if (bpf_skb_load_bytes(skb, from + 2, &to, sizeof(to)) || to != port)
		return;
	run_skb(skb, from + 8, skb->len - from - 8);
	__sync_fetch_and_add(&packets, 1);
}

SEC("tcx/ingress")
int on_tcx(struct __sk_buff *skb)
{
	datagram(skb, 14 + 20);
	return TCX_NEXT;
}

SEC("tcx/egress")
int on_egress(struct __sk_buff *skb)
{
	datagram(skb, 14 + 20);
	return TCX_NEXT;
}

SEC("cgroup_skb/ingress")
int on_cgroup(struct __sk_buff *skb)
{
	datagram(skb, 20);
	return 1;
}

SEC("socket")
int on_socket(struct __sk_buff *skb)
{
	datagram(skb, 0);
	return -1;
}
