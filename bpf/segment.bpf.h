/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * TCP segments in packets, for TC programs: IPv4 and IPv6, behind an Ethernet header or
 * none, linear or not. Include after vmlinux.h and the helpers.
 */
#ifndef __SEGMENT_BPF_H
#define __SEGMENT_BPF_H

#define AF_INET		2
#define AF_INET6	10
#define ETH_P_IP	0x0800
#define ETH_P_IPV6	0x86dd
#define EXTHDRS_MAX	8

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym;

/* A direction of a connection: from whom to whom. */
struct flow_key {
	__u8 saddr[16];
	__u8 daddr[16];
	__be16 sport;
	__be16 dport;
	__u32 family;
};

/**
 * struct segment - what matters of a packet
 * @key: its direction
 * @seq: sequence number of its first data byte, also in a SYN
 * @ack: what it acknowledges
 * @at: where its data begin, as bpf_skb_load_bytes() counts
 * @len: bytes of data
 * @from: where in the stream these belong, for who puts segments in order
 * @syn: begins a direction
 * @acks: @ack is valid
 * @fin: ends a direction, behind its data
 * @rst: ends the connection
 */
struct segment {
	struct flow_key key;
	__u32 seq;
	__u32 ack;
	__u32 at;
	__u32 len;
	__u32 from;
	bool syn;
	bool acks;
	bool fin;
	bool rst;
};

/* What dissect() says of what is not a segment. */
enum {
	NOT_TCP = 1,
	IS_FRAGMENT,
	IS_BAD,
};

static int parse_ipv4(struct __sk_buff *skb, struct segment *seg, __u32 *end)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, seg->at, &ip, sizeof(ip)))
		return IS_BAD;
	if (ip.protocol != IPPROTO_TCP)
		return NOT_TCP;
	if (ip.frag_off & bpf_htons(0x3fff))
		return IS_FRAGMENT;
	if (ip.ihl < 5)
		return IS_BAD;
	seg->key.family = AF_INET;
	__builtin_memcpy(seg->key.saddr, &ip.saddr, sizeof(ip.saddr));
	__builtin_memcpy(seg->key.daddr, &ip.daddr, sizeof(ip.daddr));
	if (ip.tot_len)		/* 0: larger than it can say */
		*end = seg->at + bpf_ntohs(ip.tot_len);
	seg->at += ip.ihl * 4;
	return 0;
}

static int parse_ipv6(struct __sk_buff *skb, struct segment *seg, __u32 *end)
{
	struct ipv6_opt_hdr opt;
	struct ipv6hdr ip;
	__u8 next;
	int i;

	if (bpf_skb_load_bytes(skb, seg->at, &ip, sizeof(ip)))
		return IS_BAD;
	seg->key.family = AF_INET6;
	__builtin_memcpy(seg->key.saddr, &ip.saddr, sizeof(ip.saddr));
	__builtin_memcpy(seg->key.daddr, &ip.daddr, sizeof(ip.daddr));
	seg->at += sizeof(ip);
	if (ip.payload_len)
		*end = seg->at + bpf_ntohs(ip.payload_len);
	next = ip.nexthdr;
	for (i = 0; i < EXTHDRS_MAX; i++) {
		if (next == IPPROTO_TCP)
			return 0;
		if (next == IPPROTO_FRAGMENT)
			return IS_FRAGMENT;
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
			return NOT_TCP;
		if (bpf_skb_load_bytes(skb, seg->at, &opt, sizeof(opt)))
			return IS_BAD;
		next = opt.nexthdr;
		seg->at += (opt.hdrlen + 1) * 8;
	}
	return IS_BAD;
}

/* Find the segment in a packet. Return: 0, or why there is none. */
__noinline int dissect(struct __sk_buff *skb, struct segment *seg __arg_nonnull)
{
	struct sk_buff *kskb = bpf_cast_to_kern_ctx(skb);
	__u32 end = skb->len;
	struct tcphdr tcp;
	int ret = NOT_TCP;

	/*
	 * The IP header, behind an Ethernet header or none. (BPF_HDR_START_NET would find
	 * it, too, but bpf_skb_load_bytes_relative() reads the linear part alone.)
	 */
	seg->at = kskb->network_header - kskb->mac_header;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		ret = parse_ipv4(skb, seg, &end);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		ret = parse_ipv6(skb, seg, &end);
	if (ret)
		return ret;
	if (bpf_skb_load_bytes(skb, seg->at, &tcp, sizeof(tcp)))
		return IS_BAD;
	seg->at += tcp.doff * 4;
	if (tcp.doff < 5 || seg->at > end || end > skb->len)
		return IS_BAD;
	seg->len = end - seg->at;
	seg->key.sport = tcp.source;
	seg->key.dport = tcp.dest;
	seg->syn = tcp.syn;
	seg->acks = tcp.ack;
	seg->fin = tcp.fin;
	seg->rst = tcp.rst;
	seg->seq = bpf_ntohl(tcp.seq) + tcp.syn;
	seg->ack = bpf_ntohl(tcp.ack_seq);
	return 0;
}

/* The other direction. */
static inline void reverse(struct flow_key *to, const struct flow_key *from)
{
	__builtin_memcpy(to->saddr, from->daddr, sizeof(to->saddr));
	__builtin_memcpy(to->daddr, from->saddr, sizeof(to->daddr));
	to->sport = from->dport;
	to->dport = from->sport;
	to->family = from->family;
}

static inline bool same_key(const struct flow_key *one, const struct flow_key *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;
	int i;

	for (i = 0; i < sizeof(*one) / sizeof(*a); i++) {
		if (a[i] != b[i])
			return false;
	}
	return true;
}

#endif /* __SEGMENT_BPF_H */
