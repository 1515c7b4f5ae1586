// SPDX-License-Identifier: GPL-2.0
/*
 * For costack prog follow: one event for each UDP datagram to port 7777 and some
 * above. Port 7777: a flow, its text the datagram; 7778: a type nobody knows;
 * 7779: a record too short to have a type; 7780: a flow whose fields are nonsense.
 */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "costack_event.h"

#define ETH_P_IP	0x0800
#define ETH_P_IPV6	0x86dd
#define UDP		17
#define PORT		7777

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

static void flow(struct __sk_buff *skb, __u32 payload, __u8 family, const void *saddr,
		 const void *daddr, const struct udphdr *udp, bool nonsense)
{
	struct costack_event_flow *e;
	__u32 len;

	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return;
	__builtin_memset(e, nonsense ? 0xff : 0, sizeof(*e));
	e->type = COSTACK_EVENT_FLOW;
	if (nonsense) {
		bpf_ringbuf_submit(e, 0);
		return;
	}
	len = bpf_ntohs(udp->len) - sizeof(*udp);
	if (len > sizeof(e->text))
		len = sizeof(e->text);
	if (len && !bpf_skb_load_bytes(skb, payload, e->text, len))
		e->len = len;
	e->time_ns = bpf_ktime_get_ns();
	e->ifindex = skb->ifindex;
	e->family = family;
	e->proto = UDP;
	e->sport = bpf_ntohs(udp->source);
	e->dport = bpf_ntohs(udp->dest);
	__builtin_memcpy(e->saddr, saddr, family == 2 ? 4 : 16);
	__builtin_memcpy(e->daddr, daddr, family == 2 ? 4 : 16);
	e->packets = 1;
	bpf_ringbuf_submit(e, 0);
}

static void other(__u32 type, __u32 size)
{
	__u32 buf[12] = { type };

	bpf_ringbuf_output(&events, buf, size <= sizeof(buf) ? size : 0, 0);
}

SEC("tcx/ingress")
int see(struct __sk_buff *skb)
{
	__u32 off = sizeof(struct ethhdr);
	struct ipv6hdr ip6;
	struct udphdr udp;
	struct iphdr ip;
	__u8 family;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, off, &ip, sizeof(ip)) || ip.protocol != UDP)
			return -1;
		family = 2;
		off += sizeof(ip);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if (bpf_skb_load_bytes(skb, off, &ip6, sizeof(ip6)) || ip6.nexthdr != UDP)
			return -1;
		family = 10;
		off += sizeof(ip6);
	} else {
		return -1;
	}
	if (bpf_skb_load_bytes(skb, off, &udp, sizeof(udp)))
		return -1;
	off += sizeof(udp);
	switch (bpf_ntohs(udp.dest)) {
	case PORT:
	case PORT + 3:
		if (family == 2)
			flow(skb, off, family, &ip.saddr, &ip.daddr, &udp,
			     bpf_ntohs(udp.dest) != PORT);
		else
			flow(skb, off, family, &ip6.saddr, &ip6.daddr, &udp,
			     bpf_ntohs(udp.dest) != PORT);
		break;
	case PORT + 1:
		other(4711, 48);
		break;
	case PORT + 2:
		other(1, 3);
		break;
	}
	return -1;
}
