/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the three programs that find the server names of TLS connections share: the packets,
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
#include "segment.bpf.h"

#define ENOMEM		12
#define EBUSY		16
#define EINVAL		22
#define ENOSPC		28
#define ESTALE		116

#define INGRESS		0
#define EGRESS		1

#define FLOWS_MAX	1024		/* followed at once */
#define STREAM_MAX	(31 * 1024)	/* bytes of a connection that are looked at */
#define EARLY_MAX	8		/* gaps in the stream, at once */
#define SLICE		256		/* of the stream, copied at once */

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
 * @no_stack: there was no memory for the connection's state
 * @in_use: the coroutine could not be run: for too long its execution stack was in use
 * @detached: ... its type was gone
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
	__u64 in_use;
	__u64 detached;
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

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

#ifdef __COSTACK_BPF_H
/* Put the data of a packet onto a costack: the stream begins at @at. Return: 0, or an error. */
static __noinline int store_bytes(struct __sk_buff *skb, struct costack *cs, __u32 at,
				  const struct segment *p)
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
static __always_inline int trim(struct segment *p, __u32 first, __u32 have)
{
	__s32 old = have - (p->seq - first);	/* right also where sequence numbers wrap */

	if (old >= (__s32)p->len)
		return over(repeated);
	if (old < 0)
		count(early);
	else
		p->len -= old;
	p->at += old > 0 ? old : 0;
	p->from = have + (old < 0 ? -(__u32)old : 0);
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

/* All that an event says of the connection, but the time, the packets, the name. */
static __always_inline void describe(struct costack_event_flow *event,
				     const struct __sk_buff *skb, const struct segment *p,
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

/* Packets. What follows calls these three, of which each program has its own. */

/* A client's SYN: a new connection, unless it is the last one's SYN again. */
int open_flow(const struct segment *p);

/* Data of the client. */
int follow(struct __sk_buff *skb, struct segment *p, __u8 dir);

/* The end of what one side sends. */
static void close_flow(const struct flow_key *key);

/* A FIN or RST of either side ends it. */
__noinline int close_flows(const struct segment *p __arg_nonnull)
{
	struct flow_key back;

	reverse(&back, &p->key);
	close_flow(&p->key);
	close_flow(&back);
	return 0;
}

static __always_inline int sni(struct __sk_buff *skb, __u8 dir)
{
	struct segment p = {};

	switch (dissect(skb, &p)) {
	case 0:
		break;
	case IS_FRAGMENT:
		count(fragments);
		return TCX_NEXT;
	case IS_BAD:
		count(bad_packets);
		return TCX_NEXT;
	default:
		return TCX_NEXT;
	}
	if (p.syn && !p.acks && !p.fin && !p.rst)
		open_flow(&p);
	if (p.len)
		follow(skb, &p, dir);
	if (p.fin || p.rst)
		close_flows(&p);
	return TCX_NEXT;
}

SEC("tcx/ingress")
int sni_ingress(struct __sk_buff *skb)
{
	return sni(skb, INGRESS);
}

SEC("tcx/egress")
int sni_egress(struct __sk_buff *skb)
{
	return sni(skb, EGRESS);
}

#endif /* __SNI_BPF_H */
