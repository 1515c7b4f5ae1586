// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * What sni.bpf.c does, without coroutines and costacks: for comparison.
 *
 *	costack prog load sni_plain.bpf.o dev eth0 --follow
 *
 * The ClientHello is put together in a map's value of 32 KB and parsed with each packet as
 * far as it is here. What cannot be read yet ends the attempt, and the next one begins
 * where a list says that it may: at the beginning, or at the extension that broke off.
 *
 * An insertion copies a map's whole value, so a connection's first data is put into a
 * value of this CPU; it is inserted only if the ClientHello does not end there.
 *
 * It finds and counts the same on the same traffic; but there are
 * limitations that sni.bpf.c has not:
 *   - memory for FLOWS_MAX connections, 33 MB, is taken when it is loaded, since LRU
 *     maps are preallocated, and each connection of two packets or more costs a copy
 *     of 32 KB;
 *   - a map's value is nobody's own. A flag keeps other CPUs off it, but not the map: a
 *     value that is evicted while a CPU is at work on it is another connection's, and what is
 *     written then goes into that. So nothing is ever counted as stale.
 * And as of sni.bpf.c.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "sni.bpf.h"

#define AGAIN	(-11)		/* -EAGAIN: the rest is not here yet */
#define HELLO_AT RECORD_HEADER

enum flow_state {
	FLOW_OPEN,	/* no data yet */
	FLOW_DATA,	/* it is in the map conns, or with the CPU that saw the first data */
	FLOW_OVER,	/* by its SYN's data; stays, lest the SYN's copy begin it anew */
};

struct flow {
	__u32 first;		/* sequence number of the first byte */
	__u32 state;
};

/**
 * struct conn - a connection that has sent data
 * @busy: a CPU is at work on it
 * @stream: which bytes of it are here
 * @records: of these, bytes that are unpacked from their records
 * @left: bytes to come of the current record
 * @hello: bytes of the ClientHello that this gave
 * @hello_len: its length, as it says itself
 * @pos: the extension to go on with; 0 while not all before them is here
 * @event: what will be reported
 * @bytes: the stream, each where its sequence number puts it, until it is unpacked
 */
struct conn {
	__u32 busy;
	struct stream stream;
	__u32 records;
	__u32 left;
	__u32 hello;
	__u32 hello_len;
	__u32 pos;
	struct costack_event_flow event;
	__u8 bytes[STREAM_MAX + SLICE];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FLOWS_MAX);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FLOWS_MAX);
	__type(key, struct flow_key);
	__type(value, struct conn);
} conns SEC(".maps");

/* Where a connection is that is not in conns yet. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct conn);
} fresh_conn SEC(".maps");

/* The ClientHello. */

/* Read a number of @n bytes, 1 to 3, and pass over them. */
static __always_inline int number(const struct conn *c, __u32 *pos, const __u32 n)
{
	const __u8 *p;

	if (*pos + n > c->hello_len)
		return over(malformed);
	if (*pos + n > c->hello)
		return AGAIN;
	if (*pos >= HELLO_MAX)
		return over(too_long);
	p = c->bytes + HELLO_AT + *pos;
	*pos += n;
	return n == 1 ? p[0] : n == 2 ? p[0] << 8 | p[1] : p[0] << 16 | p[1] << 8 | p[2];
}

/* Pass over @n bytes, which need not be here yet. */
static __always_inline int skip(const struct conn *c, __u32 *pos, __u32 n)
{
	if (n > c->hello_len - *pos)
		return over(malformed);
	*pos += n;
	return 0;
}

#define NUMBER(to, n)							\
	do {								\
		int _ret = number(c, &pos, n);				\
									\
		if (_ret < 0)						\
			return _ret;					\
		(to) = _ret;						\
	} while (0)

#define SKIP(n)								\
	do {								\
		if (skip(c, &pos, n))					\
			return OVER;					\
	} while (0)

/* RFC 6066, 3: read the extension of @len bytes at @pos, and report the name in it. */
static __noinline int server_name(struct conn *c, __u32 pos, __u32 ext_len)
{
	__u32 len, type;
	int i;

	NUMBER(len, 2);		/* of the list: one name is all there can be */
	NUMBER(type, 1);
	if (type != SERVER_NAME_HOST)
		return over(no_name);
	NUMBER(len, 2);
	if (!len || len >= COSTACK_EVENT_TEXT || len + SERVER_NAME_HEADER > ext_len ||
	    pos + len > c->hello_len)
		return over(malformed);
	if (pos + len > c->hello)
		return AGAIN;
	if (pos >= HELLO_MAX)
		return over(too_long);
	bpf_for(i, 0, len)
		c->event.text[i] = c->bytes[HELLO_AT + pos + i];
	c->event.len = len;
	c->event.time_ns = bpf_ktime_get_ns();
	if (bpf_ringbuf_output(&events, &c->event, sizeof(c->event), 0))
		return over(no_event);
	return over(found);
}

/* What comes before the extensions. Return: 0, AGAIN, OVER. */
static __noinline int fixed_part(struct conn *c)
{
	__u32 pos = 0, type, len;

	c->hello_len = HELLO_HEADER;
	NUMBER(type, 1);
	if (type != CLIENT_HELLO)
		return over(not_tls);
	NUMBER(len, 3);
	if (len > HELLO_MAX - HELLO_HEADER)
		return over(too_long);
	c->hello_len += len;
	SKIP(VERSION_RANDOM);
	NUMBER(len, 1);
	SKIP(len);			/* session id */
	NUMBER(len, 2);
	SKIP(len);			/* cipher suites */
	NUMBER(len, 1);
	SKIP(len);			/* compression methods */
	if (pos == c->hello_len)
		return over(no_name);	/* extensions may be missing altogether */
	NUMBER(len, 2);
	if (pos + len != c->hello_len)
		return over(malformed);
	c->pos = pos;
	return 0;
}

/* RFC 8446, 4.1.2. Return: AGAIN, or OVER. */
static __noinline int client_hello(struct conn *c)
{
	__u32 pos, type, len;
	int ret;

	if (!c->pos) {
		ret = fixed_part(c);
		if (ret)
			return ret;
	}
	bpf_repeat(HELLO_MAX / 4) {
		pos = c->pos;
		if (pos >= c->hello_len)
			break;
		NUMBER(type, 2);
		NUMBER(len, 2);
		if (type == EXTENSION_SERVER_NAME)
			return server_name(c, pos, len);
		SKIP(len);
		c->pos = pos;
	}
	return over(no_name);
}

/*
 * RFC 8446, 5.1: the ClientHello may be cut into several records. They are unpacked where
 * they lie, so that the bytes of the first, which is all of it as a rule, stay where they
 * are. Return: AGAIN, or OVER where the handshake ends or is none.
 */
static __noinline int unpack(struct conn *c)
{
	__u32 have = c->stream.have, at, n, i;
	__u64 src, dst;
	const __u8 *p;

	bpf_repeat(STREAM_MAX) {
		at = c->records;
		if (have <= at)
			return AGAIN;
		if (at >= STREAM_MAX)
			return OVER;
		p = c->bytes + at;
		if (!c->left) {
			/* What is not TLS shows in its first byte: do not wait for five. */
			if (p[0] != RECORD_HANDSHAKE)
				return OVER;
			if (have < at + RECORD_HEADER)
				return AGAIN;
			n = p[3] << 8 | p[4];
			if (p[1] != 3 || !n || n > RECORD_MAX)
				return OVER;
			c->left = n;
			c->records += RECORD_HEADER;
			continue;
		}
		n = c->left < have - at ? c->left : have - at;
		if (at != HELLO_AT + c->hello) {
			bpf_for(i, 0, n) {
				src = at + i;
				dst = HELLO_AT + c->hello + i;
				barrier_var(dst);
				if (src >= STREAM_MAX || dst >= STREAM_MAX)
					return OVER;
				c->bytes[dst] = c->bytes[src];
			}
		}
		c->left -= n;
		c->records += n;
		c->hello += n;
	}
	return OVER;
}

/* Parse what is here. Return: AGAIN, or OVER. */
__noinline int parse(struct conn *c __arg_nonnull)
{
	int more = unpack(c), ret = client_hello(c);

	if (ret != AGAIN || more == AGAIN)
		return ret;
	/* It wants more, but there is no more to come. */
	if (c->records + RECORD_HEADER > STREAM_MAX)
		return over(too_long);
	return c->hello ? over(malformed) : over(not_tls);
}

/* Put the data of a packet where it belongs. */
static __noinline int store(struct __sk_buff *skb, struct conn *c, struct segment *p, __u32 first)
{
	__u32 at, left, n;
	__u64 from;		/* of 64 bits for the verifier, as are others below */

	if (trim(p, first, c->stream.have))
		return 0;
	from = p->from;
	at = p->at;
	left = p->len;
	if (note_range(&c->stream, from, from + left)) {
		count(no_room);
		return 0;
	}
	c->event.packets++;
	bpf_repeat(STREAM_MAX / SLICE + 1) {
		if (!left || from >= STREAM_MAX)
			break;
		n = left < SLICE ? left : SLICE;
		/* Both bounds again, one by one: the verifier does not see them otherwise. */
		barrier_var(n);
		if (!n)
			break;
		barrier_var(n);
		if (n > SLICE || bpf_skb_load_bytes(skb, at, c->bytes + from, n))
			return over(bad_packets);
		from += n;
		at += n;
		left -= n;
	}
	return 0;
}

/* Connections. */

/* Data of the client: put it into the stream, parse on. */
__noinline int follow(struct __sk_buff *skb, struct segment *p __arg_nonnull, __u8 dir)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, &p->key);
	__u32 state, zero = 0;
	struct conn *c;
	int ret;

	if (!flow)
		return 0;
	/* Whoever sees the first data makes the connection; all others find it in the map. */
	state = __sync_val_compare_and_swap(&flow->state, FLOW_OPEN, FLOW_DATA);
	if (state == FLOW_OVER)
		return 0;
	if (state == FLOW_OPEN) {
		c = bpf_map_lookup_elem(&fresh_conn, &zero);
		if (!c)
			return 0;
		__builtin_memset(c, 0, __builtin_offsetof(struct conn, bytes));
		describe(&c->event, skb, p, dir);
	} else {
		c = bpf_map_lookup_elem(&conns, &p->key);
		if (!c || __sync_val_compare_and_swap(&c->busy, 0, 1)) {
			count(busy);
			return 0;
		}
	}
	ret = store(skb, c, p, flow->first) ?: parse(c);
	if (ret == AGAIN && state == FLOW_DATA) {
		c->busy = 0;
		return 0;
	}
	if (ret == AGAIN) {
		if (!bpf_map_update_elem(&conns, &p->key, c, BPF_ANY))
			return 0;
		count(no_stack);
	}
	if (state == FLOW_DATA)
		bpf_map_delete_elem(&conns, &p->key);
	if (p->syn)
		flow->state = FLOW_OVER;
	else
		bpf_map_delete_elem(&flows, &p->key);
	return 0;
}

__noinline int open_flow(const struct segment *p __arg_nonnull)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, &p->key), fresh = { .first = p->seq };

	if (flow && flow->first == p->seq)
		return 0;
	if (flow && flow->state != FLOW_OVER)
		count(restarted);
	count(flows);
	bpf_map_delete_elem(&conns, &p->key);
	bpf_map_update_elem(&flows, &p->key, &fresh, BPF_ANY);
	return 0;
}

static void close_flow(const struct flow_key *key)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, key);

	if (!flow)
		return;
	if (flow->state != FLOW_OVER)
		count(closed);
	bpf_map_delete_elem(&conns, key);
	bpf_map_delete_elem(&flows, key);
}
