/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the three programs that find the server names of TLS connections share: IP, TCP,
 * the counters, the events. They differ in where a connection's state is, and in how the
 * ClientHello is parsed while only a part of it is here:
 *
 *	sni.bpf.c		in a coroutine, which waits
 *	sni_frames.bpf.c	on a costack, by functions that return and are called again
 *	sni_plain.bpf.c		in map values alone, without this project's module
 */
#ifndef __SNI_BPF_H
#define __SNI_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "costack_event.h"

#define ENOMEM		12
#define EINVAL		22
#define ENOSPC		28
#define AF_INET		2
#define AF_INET6	10
#define ETH_P_IP	0x0800
#define ETH_P_IPV6	0x86dd

#define INGRESS		0
#define EGRESS		1

#define FLOWS_MAX	1024		/* followed at once */
#define STREAM_MAX	(31 * 1024)	/* bytes of a connection that are looked at */
#define EARLY_MAX	8		/* gaps in the stream, at once */
#define SLICE		256		/* of the stream, copied at once */
#define EXTHDRS_MAX	8

/* TLS: RFC 8446, 4 and 5.1; RFC 6066, 3 */
#define RECORD_HANDSHAKE	22
#define RECORD_HEADER		5
#define RECORD_MAX		16384
#define CLIENT_HELLO		1
#define HELLO_HEADER		4
#define HELLO_MAX		16384	/* with its header */
#define VERSION_RANDOM		34
#define EXTENSION_SERVER_NAME	0
#define SERVER_NAME_HEADER	5	/* list length, type, name length */
#define SERVER_NAME_HOST	0

char LICENSE[] SEC("license") = "GPL";

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym;

/**
 * struct sni_counters - what happened since the program was loaded
 * @flows: connections that began
 * @found: names reported
 * @no_event: names found, but the ring buffer was full
 * @no_name: ClientHellos that name no server
 * @not_tls: connections that do not begin with a ClientHello
 * @malformed: ClientHellos that contradict themselves, or have absurd lengths
 * @too_long: ClientHellos of more than 16 KB, or cut into too many records
 * @closed: FIN or RST came before any of the above
 * @restarted: a new SYN came before any of the above
 * @no_stack: there was no memory for the connection's state, or no stack to run on
 * @stale: the state found was another connection's
 * @busy: packets not looked at: another CPU was at the same connection
 * @repeated: packets that brought nothing new
 * @early: packets that came before an earlier part of the stream
 * @no_room: packets too early to be kept
 * @fragments: IP fragments
 * @bad_packets: packets whose headers or lengths are wrong
 */
struct sni_counters {
	__u64 flows;
	__u64 found;
	__u64 no_event;
	__u64 no_name;
	__u64 not_tls;
	__u64 malformed;
	__u64 too_long;
	__u64 closed;
	__u64 restarted;
	__u64 no_stack;
	__u64 stale;
	__u64 busy;
	__u64 repeated;
	__u64 early;
	__u64 no_room;
	__u64 fragments;
	__u64 bad_packets;
} sni_counters;

#define count(what) __sync_fetch_and_add(&sni_counters.what, 1)

/* The connection has shown what it is: count it, and be done with it. */
#define OVER (-1)
#define over(cause) ({ count(cause); OVER; })

/* The connection as its client sends it. */
struct flow_key {
	__u8 saddr[16];
	__u8 daddr[16];
	__be16 sport;
	__be16 dport;
	__u32 family;
};

/**
 * struct packet - what matters of a packet
 * @key: its connection
 * @seq: sequence number of its data, also in a SYN
 * @at: where in the packet its data is
 * @len: bytes of that
 * @from: where in the stream it belongs; see trim()
 * @syn: begins a connection
 * @ack: of the side that did not begin it, if @syn is set
 * @end: FIN or RST
 */
struct packet {
	struct flow_key key;
	__u32 seq;
	__u32 at;
	__u32 len;
	__u32 from;
	bool syn;
	bool ack;
	bool end;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

#ifdef __COSTACK_BPF_H
/* Put the data of a packet onto a costack: the stream begins at @at. Return: 0, or an error. */
static __noinline int store_bytes(struct __sk_buff *skb, struct costack *cs, __u32 at,
				  const struct packet *p)
{
	__u32 done, n;
	__u8 *to;

	for (done = 0; done < p->len && costack_can_loop; done += n) {
		n = p->len - done;
		if (n > SLICE)
			n = SLICE;
		to = bpf_costack_frame(cs, at + p->from + done, SLICE);
		if (!to)
			break;			/* behind STREAM_MAX */
		/* Both bounds again, one by one: the verifier does not see them otherwise. */
		barrier_var(n);
		if (!n)
			break;
		barrier_var(n);
		if (n > SLICE || bpf_skb_load_bytes(skb, p->at + done, to, n))
			return -EINVAL;
	}
	return 0;
}
#endif

/* Packets: find TCP in IP. Return: is it TCP, and whole? */

static int parse_ipv4(struct __sk_buff *skb, struct packet *p, __u32 *end)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, p->at, &ip, sizeof(ip)))
		return over(bad_packets);
	if (ip.protocol != IPPROTO_TCP)
		return OVER;
	if (ip.frag_off & bpf_htons(0x3fff))
		return over(fragments);
	if (ip.ihl < 5)
		return over(bad_packets);
	p->key.family = AF_INET;
	__builtin_memcpy(p->key.saddr, &ip.saddr, sizeof(ip.saddr));
	__builtin_memcpy(p->key.daddr, &ip.daddr, sizeof(ip.daddr));
	if (ip.tot_len)		/* 0: larger than it can say */
		*end = p->at + bpf_ntohs(ip.tot_len);
	p->at += ip.ihl * 4;
	return 0;
}

static int parse_ipv6(struct __sk_buff *skb, struct packet *p, __u32 *end)
{
	struct ipv6_opt_hdr opt;
	struct ipv6hdr ip;
	__u8 next;
	int i;

	if (bpf_skb_load_bytes(skb, p->at, &ip, sizeof(ip)))
		return over(bad_packets);
	p->key.family = AF_INET6;
	__builtin_memcpy(p->key.saddr, &ip.saddr, sizeof(ip.saddr));
	__builtin_memcpy(p->key.daddr, &ip.daddr, sizeof(ip.daddr));
	p->at += sizeof(ip);
	if (ip.payload_len)
		*end = p->at + bpf_ntohs(ip.payload_len);
	next = ip.nexthdr;
	for (i = 0; i < EXTHDRS_MAX; i++) {
		if (next == IPPROTO_TCP)
			return 0;
		if (next == IPPROTO_FRAGMENT)
			return over(fragments);
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
			return OVER;
		if (bpf_skb_load_bytes(skb, p->at, &opt, sizeof(opt)))
			return over(bad_packets);
		next = opt.nexthdr;
		p->at += (opt.hdrlen + 1) * 8;
	}
	return over(bad_packets);
}

__noinline int dissect(struct __sk_buff *skb, struct packet *p __arg_nonnull)
{
	struct sk_buff *kskb = bpf_cast_to_kern_ctx(skb);
	__u32 end = skb->len;
	struct tcphdr tcp;
	int ret = OVER;

	/*
	 * The IP header, behind an Ethernet header or none. (BPF_HDR_START_NET would find
	 * it, too, but bpf_skb_load_bytes_relative() reads the linear part alone.)
	 */
	p->at = kskb->network_header - kskb->mac_header;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		ret = parse_ipv4(skb, p, &end);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		ret = parse_ipv6(skb, p, &end);
	if (ret)
		return ret;
	if (bpf_skb_load_bytes(skb, p->at, &tcp, sizeof(tcp)))
		return over(bad_packets);
	p->at += tcp.doff * 4;
	if (tcp.doff < 5 || p->at > end || end > skb->len)
		return over(bad_packets);
	p->len = end - p->at;
	p->key.sport = tcp.source;
	p->key.dport = tcp.dest;
	p->syn = tcp.syn;
	p->ack = tcp.ack;
	p->end = tcp.fin || tcp.rst;
	p->seq = bpf_ntohl(tcp.seq) + tcp.syn;
	return 0;
}

/* The stream: segments in any order, more than once, overlapping. */

/* Bytes @from to @to of the stream are here; none if @to is 0. */
struct range {
	__u32 from;
	__u32 to;
};

/**
 * struct stream - what is here of a connection's bytes
 * @have: so many from the first on, without a gap
 * @early: ranges behind a gap, apart from each other
 */
struct stream {
	__u32 have;
	struct range early[EARLY_MAX];
};

/*
 * Leave of a packet's data what is not here yet, and find where that belongs: at
 * p->from. Return: 0, or OVER if there is nothing new.
 */
static __always_inline int trim(struct packet *p, __u32 first, __u32 have)
{
	__s32 old = have - (p->seq - first);	/* right also where sequence numbers wrap */

	if (old >= (__s32)p->len)
		return over(repeated);
	if (old < 0)
		count(early);
	else
		p->len -= old;
	p->at += old > 0 ? old : 0;
	p->from = have + (old < 0 ? -old : 0);
	return 0;
}

/*
 * Note that the bytes @from to @to are here. What touches becomes one range; ranges
 * are apart from each other, so one pass finds all that a new one touches. Return: 0, or
 * -ENOSPC.
 */
__noinline int note_range(struct stream *s __arg_nonnull, __u32 from, __u32 to)
{
	int i, slot = -1;
	struct range *r;

	if (from >= STREAM_MAX)
		return -ENOSPC;
	for (i = 0; i < EARLY_MAX; i++) {
		r = &s->early[i];
		if (r->to && from <= r->to && r->from <= to) {
			from = r->from < from ? r->from : from;
			to = r->to > to ? r->to : to;
			r->to = 0;
		}
		if (!r->to)
			slot = i;
	}
	if (from <= s->have) {
		s->have = to;
		return 0;
	}
	if (slot < 0)
		return -ENOSPC;
	s->early[slot].from = from;
	s->early[slot].to = to;
	return 0;
}

static __always_inline bool same_key(const struct flow_key *one, const struct flow_key *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;
	int i;

	for (i = 0; i < sizeof(*one) / sizeof(*a); i++) {
		if (a[i] != b[i])
			return false;
	}
	return true;
}

/* The key of what the server sends. */
static __always_inline void turn_key(const struct flow_key *key, struct flow_key *back)
{
	__builtin_memcpy(back->saddr, key->daddr, sizeof(back->saddr));
	__builtin_memcpy(back->daddr, key->saddr, sizeof(back->daddr));
	back->sport = key->dport;
	back->dport = key->sport;
	back->family = key->family;
}

/* All that an event says of the connection, but the time, the packets, the name. */
static __always_inline void describe(struct costack_event_flow *event,
				     const struct __sk_buff *skb, const struct packet *p,
				     __u8 dir)
{
	event->type = COSTACK_EVENT_FLOW;
	event->ifindex = skb->ifindex;
	event->family = p->key.family;
	event->proto = IPPROTO_TCP;
	event->dir = dir;
	event->sport = bpf_ntohs(p->key.sport);
	event->dport = bpf_ntohs(p->key.dport);
	__builtin_memcpy(event->saddr, p->key.saddr, sizeof(event->saddr));
	__builtin_memcpy(event->daddr, p->key.daddr, sizeof(event->daddr));
}

#endif /* __SNI_BPF_H */
