/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * TCP for coroutines: tcp_watch(), called by a TC program with each packet, both ways,
 * spawns two for each new connection to a port and gives them what the two sides
 * say: every byte, in order and once, however it was sent. They read it with
 * bpf_costack_read() from the packet, and nothing else is copied; only what comes early,
 * before a part that is missing, is kept until its turn: on a costack.
 *
 * A coroutine is spawned with the number of its connection, and first of all reads a
 * struct tcp_client. It is cancelled when its direction ends; when it returns
 * before, the connection is not followed any more.
 *
 * Limitations: watches, and does not judge: checksums and windows are not looked at, nor the
 * sequence numbers of RST; where segments overlap that wait for an earlier one, either
 * may be taken. A connection whose begin was not seen is not followed. IP fragments are
 * counted, not put together. An early packet of more than 64 KB (BIG TCP) is not kept.
 *
 * Include after vmlinux.h, the helpers and costack.bpf.h.
 */
#ifndef __TCP_BPF_H
#define __TCP_BPF_H

#include "segment.bpf.h"

#define EBUSY		16
#define ENOSPC		28

/**
 * struct tcp_counters - what happened since the program was loaded
 * @connections: that began
 * @restarted: began anew, with the same ports, before they ended
 * @closed: directions that ended with FIN or RST
 * @lost: directions that there was no coroutine for, or none any more, or no room for what
 *	came early; not followed any more
 * @busy: ... whose coroutine another CPU was in the way of for too long; likewise
 * @early: packets that came before an earlier part of the stream
 * @repeated: packets that brought nothing new
 * @fragments: IP fragments
 * @bad_packets: packets whose headers or lengths are wrong
 */
struct tcp_counters {
	__u64 connections;
	__u64 restarted;
	__u64 closed;
	__u64 lost;
	__u64 busy;
	__u64 early;
	__u64 repeated;
	__u64 fragments;
	__u64 bad_packets;
} tcp_counters;

#define tcp_count(what) __sync_fetch_and_add(&tcp_counters.what, 1)

/* The direction is not followed any more: count why. */
#define TCP_OVER (-1)
#define tcp_over(cause) ({ tcp_count(cause); TCP_OVER; })

/* The client of a connection; IPv4 in the first 4 bytes. */
struct tcp_client {
	__u8 addr[16];
	__u32 family;
};

#define STREAMS_MAX	8192
#define EARLY_MAX	16	/* gaps in a stream, at once */
#define EARLY_SIZE	65536	/* as large as a segment */
#define SLICE		256
#define SPINS		1000000

/**
 * struct stream - one direction of a connection
 * @co: its coroutine. Whoever takes it out may change the rest, too.
 * @key: which direction
 * @id: of the stream
 * @first: sequence number of the first byte
 * @next: sequence number of the byte that is due
 * @end: sequence number of the FIN
 * @ends: there is a FIN
 * @over: not followed any more
 * @early: segments that are kept
 */
struct stream {
	struct costack_co __kptr *co;
	struct flow_key key;
	__u64 id;
	__u32 first;
	__u32 next;
	__u32 end;
	bool ends;
	bool over;
	__u32 early;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STREAMS_MAX);
	__type(key, struct flow_key);
	__type(value, struct stream);
} streams SEC(".maps");

/* Segments that came early, and those that follow on them. */
struct early_key {
	__u64 stream;
	__u64 slot;
};

struct early {
	struct costack __kptr *cs;
	__u32 seq;
	__u32 len;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct early_key);
	__type(value, struct early);
} early SEC(".maps");

__u64 nr_connections;

/* Copy a segment to the end of what a costack has. */
static int copy_segment(struct __sk_buff *skb, struct costack *cs, __u32 to,
			const struct segment *seg)
{
	__u32 at = seg->at, left = seg->len, n, i;
	__u8 *p;

	bpf_for(i, 0, EARLY_SIZE / SLICE) {
		if (!left)
			return 0;
		p = bpf_costack_frame(cs, to, SLICE);
		n = left < SLICE ? left : SLICE;
		barrier_var(n);
		if (!p || !n)
			return -ENOSPC;
		barrier_var(n);
		if (n > SLICE || bpf_skb_load_bytes(skb, at, p, n))
			return -ENOSPC;
		at += n;
		to += n;
		left -= n;
	}
	return left ? -ENOSPC : 0;
}

/* Keep a segment until its turn comes. Return: 0, or TCP_OVER. */
static __noinline int keep_early(struct __sk_buff *skb, struct stream *s,
				 const struct segment *seg)
{
	struct early_key key = { .stream = s->id }, unused = { .slot = EARLY_MAX };
	struct early *e, fresh = { .seq = seg->seq };
	struct costack *cs;
	__s32 behind;
	__u64 i;
	int ret;

	tcp_count(early);
	bpf_for(i, 0, EARLY_MAX) {
		key.slot = i;
		e = bpf_map_lookup_elem(&early, &key);
		if (!e) {
			unused = key;
			continue;
		}
		behind = seg->seq - e->seq;
		if (behind >= 0 && behind + seg->len <= e->len)
			return 0;
		if (behind == e->len && e->len + seg->len <= EARLY_SIZE - SLICE)
			goto found;
	}
	key = unused;
	if (key.slot == EARLY_MAX || seg->len > EARLY_SIZE - SLICE ||
	    bpf_map_update_elem(&early, &key, &fresh, BPF_ANY))
		return tcp_over(lost);
	s->early++;
	e = bpf_map_lookup_elem(&early, &key);
	if (!e)
		return tcp_over(lost);
found:
	cs = bpf_kptr_xchg(&e->cs, NULL);
	if (!cs)
		cs = costack_alloc(EARLY_SIZE);
	if (!cs)
		return tcp_over(lost);
	ret = copy_segment(skb, cs, e->len, seg);
	e->len += seg->len;
	cs = bpf_kptr_xchg(&e->cs, cs);
	if (cs)
		bpf_costack_release(cs);
	return ret ? tcp_over(lost) : 0;
}

/* Bytes @from to @to of a costack: their turn has come. */
static int give_kept(struct costack_co *co, struct costack *cs, __u32 from, __u32 to)
{
	__u32 n, i;
	__u8 *p;

	bpf_for(i, 0, EARLY_SIZE / SLICE) {
		if (from >= to)
			return 0;
		p = bpf_costack_frame(cs, from, SLICE);
		n = to - from < SLICE ? to - from : SLICE;
		barrier_var(n);
		if (!p || n > SLICE)
			return tcp_over(lost);
		if (COSTACK_PATIENTLY(bpf_costack_resume_mem(co, p, n, NULL)) != COSTACK_READING)
			return TCP_OVER;
		from += n;
	}
	return 0;
}

/* See what was kept, as often as one of them may let another one follow. */
static __noinline int give_early(struct costack_co *co, struct stream *s)
{
	struct early_key key = { .stream = s->id };
	struct costack *cs;
	struct early *e;
	__u32 len;
	__s32 old;
	int i, ret;

	bpf_for(i, 0, EARLY_MAX * EARLY_MAX) {
		if (!s->early)
			return 0;
		key.slot = i % EARLY_MAX;
		e = bpf_map_lookup_elem(&early, &key);
		if (!e)
			continue;
		old = s->next - e->seq;		/* right also where sequence numbers wrap */
		if (old < 0)
			continue;
		len = e->len;
		cs = bpf_kptr_xchg(&e->cs, NULL);
		bpf_map_delete_elem(&early, &key);
		s->early--;
		if (!cs)
			return tcp_over(lost);
		ret = 0;
		if (old < (__s32)len) {
			ret = give_kept(co, cs, old, len);
			s->next += len - old;
		}
		bpf_costack_release(cs);
		if (ret)
			return ret;
	}
	return 0;
}

/* Give the coroutine what is due. Return: 0, or TCP_OVER. */
static __noinline int give(struct __sk_buff *skb, struct costack_co *co, struct stream *s,
			   const struct segment *seg)
{
	__s32 old = s->next - seg->seq;		/* bytes of it that came before */
	int ret;

	if (seg->fin) {
		s->end = seg->seq + seg->len;
		s->ends = true;
	}
	if (old < 0)
		return seg->len ? keep_early(skb, s, seg) : 0;
	if (old < (__s32)seg->len) {
		ret = COSTACK_PATIENTLY(bpf_costack_resume_skb(co, skb, seg->at + old,
							       seg->len - old, NULL));
		s->next += seg->len - old;
		if (ret == -EBUSY)
			tcp_count(busy);
		else if (ret < 0)
			tcp_count(lost);
		if (ret != COSTACK_READING)
			return TCP_OVER;
		ret = give_early(co, s);
		if (ret)
			return ret;
	} else if (seg->len) {
		tcp_count(repeated);
	}
	return 0;
}

static void put(struct stream *s, struct costack_co *co)
{
	co = bpf_kptr_xchg(&s->co, co);
	if (co)
		bpf_costack_co_release(co);
}

/*
 * Take the coroutine, and with it the stream, for this CPU. Another one may have it,
 * with the packet before: wait, it has its interrupts' second half disabled as well.
 */
static struct costack_co *take(struct stream *s, const struct flow_key *key)
{
	struct costack_co *co = NULL;

	bpf_repeat(SPINS) {
		co = bpf_kptr_xchg(&s->co, NULL);
		if (co || s->over)
			break;
	}
	/* The map may have given the element to another connection under our hands. */
	if (co && !same_key(&s->key, key)) {
		put(s, co);
		return NULL;
	}
	return co;
}

/* The stream is over: end its coroutine, which may have something to tidy up. */
static void finish(struct stream *s, struct costack_co *co)
{
	struct early_key key = { .stream = s->id };
	struct costack *cs;
	struct early *e;
	__u64 i;

	s->over = true;
	bpf_costack_cancel(co);
	bpf_costack_co_release(co);
	bpf_for(i, 0, EARLY_MAX) {
		if (!s->early)
			break;
		key.slot = i;
		e = bpf_map_lookup_elem(&early, &key);
		if (!e)
			continue;
		cs = bpf_kptr_xchg(&e->cs, NULL);
		if (cs)
			bpf_costack_release(cs);
		bpf_map_delete_elem(&early, &key);
		s->early--;
	}
}

static __noinline void close_stream(const struct flow_key *key)
{
	struct stream *s = bpf_map_lookup_elem(&streams, key);
	struct costack_co *co;

	if (!s)
		return;
	co = take(s, key);
	if (co) {
		tcp_count(closed);
		finish(s, co);
	}
	bpf_map_delete_elem(&streams, key);
}

/* Either side's RST ends both directions. */
__noinline int close_both(const struct segment *seg __arg_nonnull)
{
	struct flow_key back;

	reverse(&back, &seg->key);
	close_stream(&seg->key);
	close_stream(&back);
	return 0;
}

/* A direction begins. Takes the coroutine. */
static __noinline void open_stream(const struct flow_key *key, __u32 first, __u64 id,
				   struct costack_co *co, const struct tcp_client *who)
{
	struct stream fresh = { .key = *key, .id = id, .first = first, .next = first }, *s;
	struct costack_co *old;

	if (!co) {
		tcp_count(lost);
		return;
	}
	if (COSTACK_PATIENTLY(bpf_costack_resume_mem(co, who, sizeof(*who), NULL)) !=
		COSTACK_READING ||
	    bpf_map_update_elem(&streams, key, &fresh, BPF_ANY)) {
		tcp_count(lost);
		bpf_costack_co_release(co);
		return;
	}
	s = bpf_map_lookup_elem(&streams, key);
	if (!s) {
		bpf_costack_co_release(co);
		return;
	}
	/* Newer kernels leave a kptr in the memory of an element that was evicted. */
	old = bpf_kptr_xchg(&s->co, co);
	if (old)
		bpf_costack_co_release(old);
}

/* The server's SYN: it says where both directions begin. */
__noinline int open_both(const struct segment *seg __arg_nonnull, __u32 client, __u32 server)
{
	struct stream *s = bpf_map_lookup_elem(&streams, &seg->key);
	struct tcp_client who = { .family = seg->key.family };
	struct flow_key back;
	__u64 conn;

	if (s && s->first == seg->seq)
		return 0;
	if (s) {
		tcp_count(restarted);
		close_both(seg);
	}
	tcp_count(connections);
	conn = __sync_fetch_and_add(&nr_connections, 1);
	__builtin_memcpy(who.addr, seg->key.daddr, sizeof(who.addr));
	reverse(&back, &seg->key);
	open_stream(&back, seg->ack, 2 * conn, bpf_costack_spawn(client, conn), &who);
	open_stream(&seg->key, seg->seq, 2 * conn + 1, bpf_costack_spawn(server, conn), &who);
	return 0;
}

/* Data, or an end. */
__noinline int follow(struct __sk_buff *skb, const struct segment *seg __arg_nonnull)
{
	struct stream *s = bpf_map_lookup_elem(&streams, &seg->key);
	struct costack_co *co;

	if (!s)
		return 0;
	co = take(s, &seg->key);
	if (!co)
		return 0;
	if (give(skb, co, s, seg)) {
		finish(s, co);
		close_both(seg);
		return 0;
	}
	if (s->ends && s->next == s->end) {
		tcp_count(closed);
		finish(s, co);
		bpf_map_delete_elem(&streams, &seg->key);
		return 0;
	}
	put(s, co);
	return 0;
}

/**
 * tcp_watch() - follow the connections to a port
 * @skb: a packet, of either direction
 * @port: the server's
 * @client: type of the coroutines that read what clients say: name_id of COSTACK_OPS(name)
 * @server: ... what servers say
 *
 * Return: TCX_NEXT
 */
static __always_inline int tcp_watch(struct __sk_buff *skb, __u16 port, __u32 client,
				     __u32 server)
{
	struct segment seg = {};

	switch (dissect(skb, &seg)) {
	case 0:
		break;
	case IS_FRAGMENT:
		tcp_count(fragments);
		return TCX_NEXT;
	case IS_BAD:
		tcp_count(bad_packets);
		return TCX_NEXT;
	default:
		return TCX_NEXT;
	}
	if (seg.key.sport != bpf_htons(port) && seg.key.dport != bpf_htons(port))
		return TCX_NEXT;
	if (seg.rst)
		close_both(&seg);
	else if (seg.syn && seg.acks)
		open_both(&seg, client, server);
	else if (seg.len || seg.fin)
		follow(skb, &seg);
	return TCX_NEXT;
}

#endif /* __TCP_BPF_H */
