// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * What sni.bpf.c does, with stacks but without a stack switch: works also where there are
 * no coroutines.
 *
 *	costack prog load sni_frames.bpf.o dev eth0 --follow
 *
 * The ClientHello is put together, up to 16 KB of it, and parsed, over packets and over
 * runs of this program: 32 KB of state for each connection, and 512 bytes of BPF
 * stack. Here the state lies on a costack, taken at the connection's first data, kept in
 * an LRU map between its packets, and given back at its end, whichever way that comes:
 *
 *	0		struct conn	what is known of the connection
 *	RECORDS_AT	struct records	a coroutine that takes the ClientHello out of
 *					its TLS records
 *	PARSER_AT	struct hello	a coroutine that parses it
 *			struct name	... and the one it calls for the server name
 *	STREAM_AT	the client's bytes, each where its sequence number puts it
 *
 * Functions that wait keep their locals and their place in frames on it, and return; with
 * the next packet they are called again and go on.
 *
 * Limitations: as of sni.bpf.c.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "costack.bpf.h"
#include "sni.bpf.h"

#define STACK_SIZE	32768
#define RECORDS_AT	512
#define PARSER_AT	520
#define STREAM_AT	640		/* has STREAM_MAX bytes, and a SLICE */
#define HELLO_AT	(STREAM_AT + RECORD_HEADER)

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

/**
 * struct conn - a connection, first on its costack
 * @key: whose it is
 * @first: sequence number of the stream's first byte
 * @stream: which of its bytes are here
 * @records: of these, bytes that are unpacked from their records
 * @hello: bytes of the ClientHello that this gave
 * @hello_len: its length, as it says itself
 * @pos: how far it is parsed; may be ahead of what is here
 * @event: what will be reported
 */
struct conn {
	struct flow_key key;
	__u32 first;
	struct stream stream;
	__u32 records;
	__u32 hello;
	__u32 hello_len;
	__u32 pos;
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

	if (n > c->stream.have - c->records)
		n = c->stream.have - c->records;
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
		costack_wait_until(f, c->stream.have > c->records);
		p = bpf_costack_frame(cs, STREAM_AT + c->records, 1);
		if (!p || *p != RECORD_HANDSHAKE)
			return OVER;
		costack_wait_until(f, c->stream.have >= c->records + RECORD_HEADER);
		p = bpf_costack_frame(cs, STREAM_AT + c->records, RECORD_HEADER);
		if (!p)
			return OVER;
		f->left = p[3] << 8 | p[4];
		if (p[1] != 3 || !f->left || f->left > RECORD_MAX)
			return OVER;
		c->records += RECORD_HEADER;
		while (f->left && costack_can_loop) {
			costack_wait_until(f, c->stream.have > c->records);
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

/*
 * Put the data of a packet where it belongs. What has been parsed, or can be, stays
 * as it came first. Return: 0, or OVER.
 */
static int store(struct __sk_buff *skb, struct costack *cs, struct conn *c, struct segment *p)
{
	if (trim(p, c->first, c->stream.have))
		return 0;
	if (note_range(&c->stream, p->from, p->from + p->len)) {
		count(no_room);
		return 0;
	}
	c->event.packets++;
	return store_bytes(skb, cs, STREAM_AT, p) ? over(bad_packets) : 0;
}

/* Connections and their stacks. */

/*
 * Give the stack to the map again. The element may be gone by now, evicted or for a
 * new connection of the same ports.
 */
static void keep(struct costack *cs, const struct segment *p, __u32 first)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, &p->key);

	if (flow && flow->first == first)
		cs = bpf_kptr_xchg(&flow->cs, cs);
	if (cs)
		bpf_costack_release(cs);
}

/* Data of the client: put it into the stream, parse on. */
__noinline int follow(struct __sk_buff *skb, struct segment *p __arg_nonnull, __u8 dir)
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
	if (state == FLOW_OPEN) {
		c->key = p->key;
		c->first = first;
		describe(&c->event, skb, p, dir);
	}
	/* An LRU map may give an element to another connection under our hands. */
	if (!same_key(&c->key, &p->key) || c->first != first)
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

__noinline int open_flow(const struct segment *p __arg_nonnull)
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
