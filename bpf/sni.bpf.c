// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Which servers do TLS clients ask for? For each new TCP connection that an
 * interface sees, on any port, the server name in its ClientHello.
 *
 *	costack prog load sni.bpf.o dev eth0 --follow
 *
 * A ClientHello does not fit into a packet any more: post-quantum key shares and a
 * handful of extensions are more than 1,500 bytes, and clients cut it up on
 * purpose. Here each connection has a coroutine, client_hello(), that reads from top to
 * bottom what the RFC says, as one would from a socket. Where bytes are missing, be it
 * amid a number, the loop over the extensions, or the name, it waits in
 * bpf_costack_read(), and the packet that has them resumes it. Nothing is put together
 * first: what is read is gone, and a connection costs what the coroutine has on its
 * stack, less than a kilobyte.
 *
 * The rest is TCP: follow() hands the coroutine the bytes in their order. A connection
 * that loses or swaps packets gets a costack, too, where bytes wait that came early.
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
#include <bpf/bpf_helpers.h>

#include "costack.bpf.h"
#include "sni.bpf.h"

#define HEAD_SIZE	__builtin_offsetof(struct costack_event_flow, text)
#define EARLY_SIZE	32768
#define EARLY_AT	128		/* has STREAM_MAX bytes, and a SLICE */

/*
 * The event of the packet at hand, without the name. A body runs within the program that
 * resumes it, on the same CPU; so this is how that tells it more than bytes.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__uint(value_size, HEAD_SIZE);
} heads SEC(".maps");

/* The ClientHello. What follows, to COSTACK_OPS(), runs in the connection's coroutine. */

/**
 * struct reader - where it is
 * @hello: bytes left of the ClientHello
 * @record: bytes left of the TLS record
 * @begun: there was a first record
 * @over: the end, whose cause is counted: nothing more is read
 */
struct reader {
	__u32 hello;
	__u32 record;
	bool begun;
	bool over;
};

#define end(r, cause)							\
	({								\
		if (!(r)->over)						\
			count(cause);					\
		(r)->over = true;					\
	})

/* What a wait returned. It fails when the coroutine is cancelled: the connection closed. */
static __always_inline void check(struct reader *r, int err)
{
	if (err == -ENOMEM)
		end(r, no_stack);
	r->over |= err < 0;
}

/* RFC 8446, 5.1 */
static __noinline void next_record(struct costack_self *self, struct reader *r)
{
	__u8 head[RECORD_HEADER] = {};

	/* What is not TLS shows in its first byte: do not wait for five. */
	check(r, bpf_costack_read(self, head, 1));
	if (head[0] == RECORD_HANDSHAKE)
		check(r, bpf_costack_read(self, head + 1, RECORD_HEADER - 1));
	r->record = head[3] << 8 | head[4];
	if (head[1] == 3 && r->record && r->record <= RECORD_MAX)
		r->begun = true;
	else if (r->begun)
		end(r, malformed);
	else
		end(r, not_tls);
}

/* The ClientHello may be cut into several records. Return: is there more of it? */
static __always_inline bool in_record(struct costack_self *self, struct reader *r)
{
	if (!r->over && !r->record)
		next_record(self, r);
	return !r->over;
}

/* Account for @n bytes that will be read. Return: are they in this record? */
static __always_inline bool one_record(struct reader *r, __u32 n)
{
	if (n > r->hello)
		end(r, malformed);
	r->hello -= n;
	if (r->over || n > r->record)
		return false;
	r->record -= n;
	return true;
}

/* Read @n bytes. */
static __noinline void take(struct costack_self *self, struct reader *r, __u8 *buf, __u32 n)
{
	int i;

	if (one_record(r, n)) {
		check(r, bpf_costack_read(self, buf, n));
		return;
	}
	bpf_for(i, 0, n) {
		if (!in_record(self, r))
			break;
		r->record--;
		check(r, bpf_costack_read(self, buf + i, 1));
	}
}

/* Read a number of @n bytes, 1 to 4; 0 when it is over. */
static __always_inline __u32 number(struct costack_self *self, struct reader *r, const __u32 n)
{
	__be32 be = 0;

	take(self, r, (__u8 *)&be + sizeof(be) - n, n);
	return r->over ? 0 : bpf_ntohl(be);
}

/* Pass over @n bytes; at the end they need not come. */
static __noinline void skip(struct costack_self *self, struct reader *r, __u32 n)
{
	__u32 here;

	if (one_record(r, n)) {
		if (r->hello)
			check(r, bpf_costack_skip(self, n));
		return;
	}
	bpf_repeat(HELLO_MAX) {
		if (!n || !r->hello || !in_record(self, r))
			break;
		here = n < r->record ? n : r->record;
		r->record -= here;
		n -= here;
		check(r, bpf_costack_skip(self, here));
	}
}

/* RFC 6066, 3: read the extension of @len bytes, and report the name in it. */
static __noinline void server_name(struct costack_self *self, struct reader *r, __u32 ext_len)
{
	struct costack_event_flow event = {};
	__u32 len, zero = 0;

	number(self, r, 2);		/* of the list: one name is all there can be */
	if (number(self, r, 1) != SERVER_NAME_HOST)
		end(r, no_name);
	len = number(self, r, 2);
	if (!len || len >= COSTACK_EVENT_TEXT || len + SERVER_NAME_HEADER > ext_len)
		end(r, malformed);
	else
		take(self, r, (__u8 *)event.text, len);
	if (r->over)
		return;
	bpf_costack_map_read(&heads, &zero, sizeof(zero), &event, HEAD_SIZE);
	event.len = len;
	event.time_ns = bpf_ktime_get_ns();
	if (bpf_ringbuf_output(&events, &event, sizeof(event), 0))
		end(r, no_event);
	else
		end(r, found);
}

/* RFC 8446, 4.1.2 */
COSTACK_BODY(client_hello, u64 unused)
{
	struct reader r = { .hello = HELLO_HEADER };
	__u32 len, extension;

	if (number(self, &r, 1) != CLIENT_HELLO)
		end(&r, not_tls);
	len = number(self, &r, 3);
	if (len > HELLO_MAX - HELLO_HEADER)
		end(&r, too_long);
	r.hello = len;

	skip(self, &r, VERSION_RANDOM);
	skip(self, &r, number(self, &r, 1));		/* session id */
	skip(self, &r, number(self, &r, 2));		/* cipher suites */
	skip(self, &r, number(self, &r, 1));		/* compression methods */
	if (!r.hello)
		end(&r, no_name);	/* extensions may be missing altogether */
	len = number(self, &r, 2);
	if (len != r.hello)
		end(&r, malformed);
	bpf_repeat(HELLO_MAX / 4) {
		if (r.over || !r.hello)
			break;
		extension = number(self, &r, 4);
		len = extension & 0xffff;
		if (extension >> 16 == EXTENSION_SERVER_NAME)
			server_name(self, &r, len);
		else
			skip(self, &r, len);
	}
	end(&r, no_name);
	return 0;
}

COSTACK_OPS(client_hello);

/* Connections. */

/**
 * struct flow - a connection
 * @co: reads its ClientHello; not here while a CPU is at work on it
 * @early: has a struct stream, and the bytes behind a gap; NULL as long as there was none
 * @first: sequence number of the stream's first byte
 * @over: by its SYN's data; stays, lest the SYN's copy begin it anew
 * @id: number of the coroutine
 * @key: whose it is
 * @have: bytes of the stream that the coroutine got
 * @packets: that brought them
 */
struct flow {
	struct costack_co __kptr *co;
	struct costack __kptr *early;
	__u32 first;
	__u32 over;
	__u64 id;
	struct flow_key key;
	__u32 have;
	__u32 packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FLOWS_MAX);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

/* Keep the data of a packet for later. */
static int put_aside(struct __sk_buff *skb, struct costack *early, const struct segment *p,
		     __u32 have)
{
	struct stream *s = (struct stream *)bpf_costack_frame(early, 0, sizeof(*s));

	if (!s)
		return -ENOSPC;
	s->have = have;
	return note_range(s, p->from, p->from + p->len) ?: store_bytes(skb, early, EARLY_AT, p);
}

/* A packet closed the gap before @*have: what waits there is next. */
static __noinline int catch_up(struct costack_co *co, struct costack *early,
			       const struct segment *p, __u32 *have)
{
	struct stream *s = (struct stream *)bpf_costack_frame(early, 0, sizeof(*s));
	int ret = COSTACK_READING;
	__u8 *data;
	__u32 n;

	if (!s)
		return ret;
	s->have = p->from;
	note_range(s, p->from, *have);
	while (*have < s->have && ret == COSTACK_READING && costack_can_loop) {
		data = bpf_costack_frame(early, EARLY_AT + *have, SLICE);
		n = s->have - *have < SLICE ? s->have - *have : SLICE;
		barrier_var(n);
		if (!data || n > SLICE)
			break;
		ret = COSTACK_PATIENTLY(bpf_costack_resume_mem(co, data, n, NULL));
		*have += n;
	}
	return ret;
}

/* Give the coroutine what is next, and say with what it comes. */
static int deliver(struct __sk_buff *skb, struct costack_co *co, const struct segment *p,
		   __u8 dir, __u32 packets)
{
	__u32 zero = 0;
	struct costack_event_flow *head = bpf_map_lookup_elem(&heads, &zero);

	if (head) {
		describe(head, skb, p, dir);
		head->packets = packets;
	}
	return COSTACK_PATIENTLY(bpf_costack_resume_skb(co, skb, p->at, p->len, NULL));
}

/* The coroutine could not be run; what the connection counts as is why. */
static void not_run(int err)
{
	if (err == -EBUSY)
		count(in_use);
	else if (err == -ESTALE)
		count(detached);
	else
		count(bad_packets);	/* no such bytes */
}

/* Data of the client: what is next, to the coroutine; what is early, aside. */
__noinline int follow(struct __sk_buff *skb, struct segment *p __arg_nonnull, __u8 dir)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, &p->key);
	int ret = COSTACK_READING;
	struct costack *early;
	struct costack_co *co;
	__u32 have, packets;
	__u64 id;

	if (!flow || flow->over)
		return 0;
	co = bpf_kptr_xchg(&flow->co, NULL);
	if (!co) {
		/*
		 * Another CPU is at it. Does not happen while an interface keeps a
		 * connection's packets in order; if it does, and the data does not come
		 * again, the connection ends up as closed.
		 */
		count(busy);
		return 0;
	}
	early = bpf_kptr_xchg(&flow->early, NULL);
	have = flow->have;
	packets = flow->packets;
	id = co->self.id;
	/* An LRU map may give an element to another connection under our hands. */
	if (flow->id != id || !same_key(&flow->key, &p->key)) {
		ret = over(stale);
	} else if (trim(p, flow->first, have)) {
		;	/* seen already */
	} else if (p->from > have) {
		if (!early)
			early = costack_alloc(EARLY_SIZE);
		if (early && !put_aside(skb, early, p, have))
			packets++;
		else
			count(no_room);
	} else {
		packets++;
		have += p->len;
		ret = deliver(skb, co, p, dir, packets);
		if (ret == COSTACK_READING && early)
			ret = catch_up(co, early, p, &have);
		if (ret == COSTACK_READING && have >= STREAM_MAX)
			ret = over(too_long);
		else if (ret < 0)
			not_run(ret);
	}
	if (ret != COSTACK_READING && p->syn) {
		flow->over = true;
	} else if (ret != COSTACK_READING) {
		bpf_map_delete_elem(&flows, &p->key);
	} else if (flow->id == id) {
		flow->have = have;
		flow->packets = packets;
		if (early)
			early = bpf_kptr_xchg(&flow->early, early);
		co = bpf_kptr_xchg(&flow->co, co);
	}
	if (early)
		bpf_costack_release(early);
	if (co)
		bpf_costack_co_release(co);
	return 0;
}

/*
 * Take what an element holds and give it back. Not left to the map: newer kernels
 * leave it in the memory of an element that is deleted or evicted, until the map goes, and
 * the next connection that this memory is used for finds it there.
 */
static void drop(struct flow *flow)
{
	struct costack *early = bpf_kptr_xchg(&flow->early, NULL);
	struct costack_co *co = bpf_kptr_xchg(&flow->co, NULL);

	if (early)
		bpf_costack_release(early);
	if (co)
		bpf_costack_co_release(co);	/* waits in a read: is cancelled */
}

__noinline int open_flow(const struct segment *p __arg_nonnull)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, &p->key);
	struct flow fresh = { .first = p->seq, .key = p->key };
	struct costack_co *co;

	if (flow && flow->first == p->seq)
		return 0;
	if (flow) {
		if (!flow->over)
			count(restarted);
		drop(flow);
		bpf_map_delete_elem(&flows, &p->key);
	}
	count(flows);
	co = costack_spawn(client_hello, 0);
	if (!co) {
		count(no_stack);
		return 0;
	}
	fresh.id = co->self.id;
	bpf_map_update_elem(&flows, &p->key, &fresh, BPF_ANY);
	flow = bpf_map_lookup_elem(&flows, &p->key);
	if (flow) {
		drop(flow);
		co = bpf_kptr_xchg(&flow->co, co);
	}
	if (co)
		bpf_costack_co_release(co);
	return 0;
}

static void close_flow(const struct flow_key *key)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, key);

	if (!flow)
		return;
	if (!flow->over)
		count(closed);
	drop(flow);
	bpf_map_delete_elem(&flows, key);
}
