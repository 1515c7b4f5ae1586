// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Which servers do TLS clients ask for? For each new TCP connection that an
 * interface sees, on any port, the server name in its ClientHello.
 *
 *	costack prog load sni.bpf.o dev eth0 --follow
 *
 * A ClientHello does not fit into a packet any more: post-quantum key shares and a
 * handful of extensions are more than 1,500 bytes, and clients cut it up on
 * purpose. So it has to be put together, up to 16 KB of it, and parsed, over
 * packets and over runs of this program: 32 KB of state for each connection,
 * and 512 bytes of BPF stack. Here the state lies on a costack, taken at the
 * connection's first data, kept in an LRU map between its packets, and given
 * back at its end, whichever way that comes:
 *
 *	0		struct conn	what is known of the connection
 *	RECORDS_AT	struct records	a coroutine that takes the ClientHello out of
 *					its TLS records
 *	PARSER_AT	struct hello	a coroutine that parses it
 *			struct name	... and the one it calls for the server name
 *	STREAM_AT	the client's bytes, each where its sequence number puts it
 *
 * Traffic is never changed or held up. What the program sees is counted in
 * sni_counters, so that each connection is accounted for: flows are found, or
 * one of the causes after it, or still here, or evicted from the map.
 *
 * Limitations: watches, and does not judge. Checksums, windows and the sequence
 * numbers of RST and FIN are not looked at; where segments overlap that wait for
 * an earlier one, the last wins; IP fragments are counted, not put together. With
 * Encrypted ClientHello the name is that of the outer hello.
 */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "costack.bpf.h"
#include "costack_event.h"

#define ENOSPC		28
#define AF_INET		2
#define AF_INET6	10
#define ETH_P_IP	0x0800
#define ETH_P_IPV6	0x86dd

#define INGRESS		0
#define EGRESS		1

#define FLOWS_MAX	1024		/* followed at once; with data: 32 KB each */
#define STACK_SIZE	32768
#define RECORDS_AT	512
#define PARSER_AT	520
#define STREAM_AT	640
#define HELLO_AT	(STREAM_AT + RECORD_HEADER)
#define SLICE		256		/* of the stream, copied at once */
#define STREAM_MAX	(STACK_SIZE - STREAM_AT - SLICE)
#define EARLY_MAX	8		/* gaps in the stream, at once */
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
 * @no_stack: there was no stack for the connection
 * @stale: the stack found was another connection's
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

/* What matters of a packet. @seq is that of its data, also in a SYN. */
struct packet {
	struct flow_key key;
	__u32 seq;
	__u32 at;
	__u32 len;
	bool syn;
	bool ack;
	bool end;
};

enum flow_state {
	FLOW_OPEN,	/* no data yet, and no stack */
	FLOW_DATA,	/* the stack is in the map, or with a CPU at work on it */
	FLOW_OVER,	/* by its SYN's data; stays, lest the SYN's copy begin it anew */
};

struct flow {
	struct costack __kptr *cs;
	__u32 first;		/* sequence number of the first byte */
	__u32 state;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FLOWS_MAX);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/* Bytes @from to @to of the stream are here; none if @to is 0. */
struct range {
	__u32 from;
	__u32 to;
};

/**
 * struct conn - a connection, first on its costack
 * @key: whose it is
 * @first: sequence number of the stream's first byte
 * @have: bytes of the stream that are here without a gap
 * @records: of these, bytes that are unpacked from their records
 * @hello: bytes of the ClientHello that this gave
 * @hello_len: its length, as it says itself
 * @pos: how far it is parsed; may be ahead of what is here
 * @early: what else is here of the stream: ranges behind a gap, apart from each other
 * @event: what will be reported
 */
struct conn {
	struct flow_key key;
	__u32 first;
	__u32 have;
	__u32 records;
	__u32 hello;
	__u32 hello_len;
	__u32 pos;
	struct range early[EARLY_MAX];
	struct costack_event_flow event;
};

/*
 * The ClientHello: a coroutine that reads from top to bottom, as the RFC does. Where
 * bytes are not here yet it returns COSTACK_AGAIN, and goes on there with a later
 * packet.
 */

/* Read a number of @n bytes, 1 to 3. */
static __always_inline int number(struct costack *cs, struct conn *c, const __u32 n)
{
	__u8 *p;

	if (c->pos + n > c->hello_len)
		return over(malformed);
	if (c->pos + n > c->hello)
		return COSTACK_AGAIN;
	p = bpf_costack_frame(cs, HELLO_AT + c->pos, n);
	if (!p)
		return over(too_long);
	c->pos += n;
	return n == 1 ? p[0] : n == 2 ? p[0] << 8 | p[1] : p[0] << 16 | p[1] << 8 | p[2];
}

/* Pass over @n bytes, which need not be here yet. */
static __always_inline int skip(struct conn *c, __u32 n)
{
	if (n > c->hello_len - c->pos)
		return over(malformed);
	c->pos += n;
	return 0;
}

#define NUMBER(f, to, n)						\
	do {								\
		costack_call(f, ret, number(cs, c, n));			\
		if (ret < 0)						\
			return ret;					\
		(to) = ret;						\
	} while (0)

static int report(struct conn *c)
{
	c->event.time_ns = bpf_ktime_get_ns();
	/* The event lies on the costack as well: it would be half of a BPF stack. */
	if (bpf_ringbuf_output(&events, &c->event, sizeof(c->event), 0))
		return over(no_event);
	return over(found);
}

struct name {
	COSTACK_RESUME_POINT;
	__u32 type;
	__u32 len;
};

/* RFC 6066, 3: read the extension of @len bytes, and report the name in it. */
static __noinline int server_name(struct costack *cs, __u32 at, struct conn *c, __u32 len)
{
	struct name *f = costack_push(cs, at, struct name);
	int ret;

	if (!f)
		return over(too_long);
	costack_begin(f);
	NUMBER(f, f->len, 2);		/* of the list: one name is all there can be */
	NUMBER(f, f->type, 1);
	if (f->type != SERVER_NAME_HOST)
		return over(no_name);
	NUMBER(f, f->len, 2);
	if (!f->len || f->len >= COSTACK_EVENT_TEXT || f->len + SERVER_NAME_HEADER > len)
		return over(malformed);
	for (; c->event.len < f->len && costack_can_loop; c->event.len++)
		NUMBER(f, c->event.text[c->event.len % COSTACK_EVENT_TEXT], 1);
	costack_end(f);
	return report(c);
}

struct hello {
	COSTACK_RESUME_POINT;
	__u32 type;
	__u32 len;
	__u32 end;		/* of the extensions */
};

/* RFC 8446, 4.1.2. Return: COSTACK_AGAIN, or OVER. */
static __noinline int client_hello(struct costack *cs, __u32 at, struct conn *c)
{
	struct hello *f = costack_push(cs, at, struct hello);
	int ret;

	if (!f)
		return over(too_long);
	costack_begin(f);
	c->hello_len = HELLO_HEADER;
	NUMBER(f, f->type, 1);
	if (f->type != CLIENT_HELLO)
		return over(not_tls);
	NUMBER(f, f->len, 3);
	if (f->len > HELLO_MAX - HELLO_HEADER)
		return over(too_long);
	c->hello_len = HELLO_HEADER + f->len;

	if (skip(c, VERSION_RANDOM))
		return OVER;
	NUMBER(f, f->len, 1);
	if (skip(c, f->len))		/* session id */
		return OVER;
	NUMBER(f, f->len, 2);
	if (skip(c, f->len))		/* cipher suites */
		return OVER;
	NUMBER(f, f->len, 1);
	if (skip(c, f->len))		/* compression methods */
		return OVER;
	if (c->pos == c->hello_len)
		return over(no_name);	/* extensions may be missing altogether */
	NUMBER(f, f->end, 2);
	f->end += c->pos;
	if (f->end != c->hello_len)
		return over(malformed);
	while (c->pos < f->end && costack_can_loop) {
		NUMBER(f, f->type, 2);
		NUMBER(f, f->len, 2);
		if (f->type == EXTENSION_SERVER_NAME) {
			costack_call(f, ret, server_name(cs, costack_next(at, f), c, f->len));
			return ret;
		}
		if (skip(c, f->len))
			return OVER;
	}
	costack_end(f);
	return over(no_name);
}

/*
 * TLS records: the ClientHello may be cut into several. They are unpacked where they
 * lie, so that the bytes of the first, which is all of it as a rule, stay where they
 * are. This waits, too, on its own: for the bytes of the stream.
 */

/* Move up to @n bytes that are here down to the rest of the ClientHello. */
static __noinline __u32 unpack(struct costack *cs, struct conn *c, __u32 n)
{
	__u32 from = STREAM_AT + c->records, to = HELLO_AT + c->hello, i;
	__u8 *src, *dst;

	if (n > c->have - c->records)
		n = c->have - c->records;
	if (from != to) {
		if (n > SLICE)
			n = SLICE;
		src = bpf_costack_frame(cs, from, SLICE);
		dst = bpf_costack_frame(cs, to, SLICE);
		if (!src || !dst)
			return 0;
		for (i = 0; i < n && costack_can_loop; i++)
			dst[i % SLICE] = src[i % SLICE];
	}
	c->records += n;
	c->hello += n;
	return n;
}

struct records {
	COSTACK_RESUME_POINT;
	__u32 left;		/* of the current one */
};

/* RFC 8446, 5.1. Return: COSTACK_AGAIN, or OVER where the handshake ends or is none. */
static __noinline int records(struct costack *cs, __u32 at, struct conn *c)
{
	struct records *f = costack_push(cs, at, struct records);
	__u8 *p;

	if (!f)
		return OVER;
	costack_begin(f);
	while (costack_can_loop) {
		/* What is not TLS shows in its first byte: do not wait for five. */
		costack_wait_until(f, c->have > c->records);
		p = bpf_costack_frame(cs, STREAM_AT + c->records, 1);
		if (!p || *p != RECORD_HANDSHAKE)
			return OVER;
		costack_wait_until(f, c->have >= c->records + RECORD_HEADER);
		p = bpf_costack_frame(cs, STREAM_AT + c->records, RECORD_HEADER);
		if (!p)
			return OVER;
		f->left = p[3] << 8 | p[4];
		if (p[1] != 3 || !f->left || f->left > RECORD_MAX)
			return OVER;
		c->records += RECORD_HEADER;
		while (f->left && costack_can_loop) {
			costack_wait_until(f, c->have > c->records);
			f->left -= unpack(cs, c, f->left);
		}
	}
	costack_end(f);
	return OVER;
}

/* Parse what is here. Return: COSTACK_AGAIN, or OVER. */
static int parse(struct costack *cs, struct conn *c)
{
	int more = records(cs, RECORDS_AT, c), ret = client_hello(cs, PARSER_AT, c);

	if (ret != COSTACK_AGAIN || more == COSTACK_AGAIN)
		return ret;
	/* It wants more, but there is no more to come. */
	if (c->records + RECORD_HEADER > STREAM_MAX)
		return over(too_long);
	return c->hello ? over(malformed) : over(not_tls);
}

/* The stream: segments in any order, more than once, overlapping. */

/*
 * Note that the bytes @from to @to are here. What touches becomes one range; ranges
 * are apart from each other, so one pass finds all that a new one touches. Return: 0, or
 * -ENOSPC.
 */
__noinline int note_range(struct conn *c __arg_nonnull, __u32 from, __u32 to)
{
	int i, slot = -1;
	struct range *r;

	for (i = 0; i < EARLY_MAX; i++) {
		r = &c->early[i];
		if (r->to && from <= r->to && r->from <= to) {
			from = r->from < from ? r->from : from;
			to = r->to > to ? r->to : to;
			r->to = 0;
		}
		if (!r->to)
			slot = i;
	}
	if (from <= c->have) {
		c->have = to;
		return 0;
	}
	if (slot < 0)
		return -ENOSPC;
	c->early[slot].from = from;
	c->early[slot].to = to;
	return 0;
}

/*
 * Put the data of a packet where it belongs. What has been parsed, or can be, stays
 * as it came first. Return: 0, or OVER.
 */
static __noinline int store(struct __sk_buff *skb, struct costack *cs, struct conn *c,
			    struct packet *p)
{
	__u32 from = p->seq - c->first, at = p->at, left = p->len, n;
	__s32 old = c->have - from;	/* right also where sequence numbers wrap */
	__u8 *to;

	if (old >= (__s32)left) {
		count(repeated);
		return 0;
	}
	if (old > 0) {
		from += old;
		at += old;
		left -= old;
	}
	if (from > c->have)
		count(early);
	if (from >= STREAM_MAX || note_range(c, from, from + left)) {
		count(no_room);
		return 0;
	}
	c->event.packets++;
	while (left && from < STREAM_MAX && costack_can_loop) {
		to = bpf_costack_frame(cs, STREAM_AT + from, SLICE);
		n = left < SLICE ? left : SLICE;
		/* Both bounds again, one by one: the verifier does not see them otherwise. */
		barrier_var(n);
		if (!to || !n)
			return over(bad_packets);
		barrier_var(n);
		if (n > SLICE || bpf_skb_load_bytes(skb, at, to, n))
			return over(bad_packets);
		from += n;
		at += n;
		left -= n;
	}
	return 0;
}

/* Connections and their stacks. */

static void init_conn(struct conn *c, struct __sk_buff *skb, const struct packet *p, __u32 first,
		      __u8 dir)
{
	c->key = p->key;
	c->first = first;
	c->event.type = COSTACK_EVENT_FLOW;
	c->event.ifindex = skb->ifindex;
	c->event.family = p->key.family;
	c->event.proto = IPPROTO_TCP;
	c->event.dir = dir;
	c->event.sport = bpf_ntohs(p->key.sport);
	c->event.dport = bpf_ntohs(p->key.dport);
	__builtin_memcpy(c->event.saddr, p->key.saddr, sizeof(p->key.saddr));
	__builtin_memcpy(c->event.daddr, p->key.daddr, sizeof(p->key.daddr));
}

static bool same_conn(const struct conn *c, const struct packet *p, __u32 first)
{
	const __u64 *a = (const __u64 *)&c->key, *b = (const __u64 *)&p->key;
	int i;

	for (i = 0; i < sizeof(c->key) / sizeof(*a); i++) {
		if (a[i] != b[i])
			return false;
	}
	return c->first == first;
}

/*
 * Give the stack to the map again. The element may be gone by now, evicted or for a
 * new connection of the same ports.
 */
static void keep(struct costack *cs, const struct packet *p, __u32 first)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, &p->key);

	if (flow && flow->first == first)
		cs = bpf_kptr_xchg(&flow->cs, cs);
	if (cs)
		bpf_costack_release(cs);
}

/* Data of the client: put it into the stream, parse on. */
__noinline int follow(struct __sk_buff *skb, struct packet *p __arg_nonnull, __u8 dir)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, &p->key);
	__u32 first, state;
	struct costack *cs;
	struct conn *c;
	int ret;

	if (!flow)
		return 0;
	first = flow->first;
	/* Whoever sees the first data takes the stack; all others find it in the map. */
	state = __sync_val_compare_and_swap(&flow->state, FLOW_OPEN, FLOW_DATA);
	if (state == FLOW_OVER)
		return 0;
	if (state == FLOW_OPEN)
		cs = costack_alloc(STACK_SIZE);
	else
		cs = bpf_kptr_xchg(&flow->cs, NULL);
	if (!cs && state == FLOW_DATA) {
		/*
		 * Another CPU is at it. Does not happen while an interface keeps a
		 * connection's packets in order; if it does, and the data does not come
		 * again, the connection ends up as closed.
		 */
		count(busy);
		return 0;
	}
	if (!cs) {
		count(no_stack);
		bpf_map_delete_elem(&flows, &p->key);
		return 0;
	}
	c = costack_push(cs, 0, struct conn);
	if (!c) {
		bpf_costack_release(cs);
		return 0;
	}
	if (state == FLOW_OPEN)
		init_conn(c, skb, p, first, dir);
	/* An LRU map may give an element to another connection under our hands. */
	if (!same_conn(c, p, first))
		ret = over(stale);
	else
		ret = store(skb, cs, c, p) ?: parse(cs, c);
	if (ret == COSTACK_AGAIN) {
		keep(cs, p, first);
		return 0;
	}
	bpf_costack_release(cs);
	if (p->syn)
		flow->state = FLOW_OVER;
	else
		bpf_map_delete_elem(&flows, &p->key);
	return 0;
}

/*
 * Take the stack out of an element and give it back. Not left to the map: newer
 * kernels leave it in the memory of an element that is deleted or evicted, until the
 * map goes, and the next connection that this memory is used for finds it there.
 */
static void drop_stack(struct flow *flow)
{
	struct costack *cs = bpf_kptr_xchg(&flow->cs, NULL);

	if (cs)
		bpf_costack_release(cs);
}

/* A client's SYN: a new connection, unless it is the last one's SYN again. */
__noinline int open_flow(const struct packet *p __arg_nonnull)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, &p->key), fresh = { .first = p->seq };

	if (flow && flow->first == p->seq)
		return 0;
	if (flow) {
		if (flow->state != FLOW_OVER)
			count(restarted);
		drop_stack(flow);
	}
	count(flows);
	bpf_map_update_elem(&flows, &p->key, &fresh, BPF_ANY);
	flow = bpf_map_lookup_elem(&flows, &p->key);
	if (flow)
		drop_stack(flow);
	return 0;
}

static void close_flow(const struct flow_key *key)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, key);

	if (!flow)
		return;
	if (flow->state != FLOW_OVER)
		count(closed);
	drop_stack(flow);
	bpf_map_delete_elem(&flows, key);
}

/* A FIN or RST of either side ends it. */
__noinline int close_flows(const struct packet *p __arg_nonnull)
{
	struct flow_key back = { .sport = p->key.dport, .dport = p->key.sport,
				 .family = p->key.family };

	close_flow(&p->key);
	__builtin_memcpy(back.saddr, p->key.daddr, sizeof(back.saddr));
	__builtin_memcpy(back.daddr, p->key.saddr, sizeof(back.daddr));
	close_flow(&back);
	return 0;
}

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

static __always_inline int sni(struct __sk_buff *skb, __u8 dir)
{
	struct packet p = {};

	if (dissect(skb, &p))
		return TCX_NEXT;
	if (p.syn && !p.ack && !p.end)
		open_flow(&p);
	if (p.len)
		follow(skb, &p, dir);
	if (p.end)
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
