// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * How long do clients wait? For each TCP connection to this host: the time of its
 * handshake, and the time until the server accepted it.
 *
 *	costack prog load accepts.bpf.o dev eth0 --follow
 *
 * A coroutine tells the story of a connection from top to bottom. It begins in the
 * softirq that receives the SYN, goes on in the one that receives the client's ACK, and ends
 * in the server's process, in accept(), on whatever CPUs these are.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_event.h"

#define AF_INET		2
#define AF_INET6	10
#define ETH_P_IP	0x0800
#define ETH_P_IPV6	0x86dd

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} events SEC(".maps");

/* A connection as the server sees it. IPv4 addresses are in the first 4 bytes. */
struct conn {
	u8 remote[16];
	u8 local[16];
	__be16 remote_port;
	u16 local_port;
	u32 family;
};

/* What a coroutine is resumed for. */
enum { ACK = 1, ACCEPT };

static const char text[] = "handshake %llu us, then waited %llu us for accept";

COSTACK_BODY(accept_story, u64 ifindex)
{
	struct costack_event_flow *e = (void *)bpf_costack_local(self, 0, sizeof(*e));
	u64 syn = bpf_ktime_get_ns(), times[2] = {};
	struct conn c;

	if (!e || bpf_costack_read(self, &c, sizeof(c)))	/* the SYN */
		return 0;
	if (bpf_costack_yield(self, 0))				/* the ACK */
		return 0;
	times[0] = (bpf_ktime_get_ns() - syn) / 1000;
	if (self->value == ACK && bpf_costack_yield(self, 0))	/* accept() */
		return 0;
	times[1] = (bpf_ktime_get_ns() - syn) / 1000 - times[0];

	e->type = COSTACK_EVENT_FLOW;
	e->time_ns = bpf_ktime_get_ns();
	e->ifindex = ifindex;
	e->family = c.family;
	e->proto = IPPROTO_TCP;
	e->sport = bpf_ntohs(c.remote_port);
	e->dport = c.local_port;
	__builtin_memcpy(e->saddr, c.remote, sizeof(e->saddr));
	__builtin_memcpy(e->daddr, c.local, sizeof(e->daddr));
	e->len = bpf_snprintf(e->text, sizeof(e->text), text, times, sizeof(times)) - 1;
	bpf_ringbuf_output(&events, e, sizeof(*e), 0);
	return 0;
}
COSTACK_OPS(accept_story, .frame_size = sizeof(struct costack_event_flow));

struct waiting {
	struct costack_co __kptr *co;
	u32 acked;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct conn);
	__type(value, struct waiting);
} conns SEC(".maps");

static void begins(const struct conn *c, struct costack_co *co)
{
	struct waiting *w, fresh = {};

	bpf_map_update_elem(&conns, c, &fresh, BPF_ANY);
	w = bpf_map_lookup_elem(&conns, c);
	/* A coroutine that is there already is that of a SYN before: it ends here. */
	if (w)
		co = bpf_kptr_xchg(&w->co, co);
	if (co)
		bpf_costack_co_release(co);
}

static void goes_on(struct waiting *w, u64 event)
{
	struct costack_co *co = bpf_kptr_xchg(&w->co, NULL);

	if (!co)
		return;
	/* Not done: back into the map. */
	if (bpf_costack_resume(co, event, NULL) == COSTACK_YIELDED)
		co = bpf_kptr_xchg(&w->co, co);
	if (co)
		bpf_costack_co_release(co);
}

/* The connection and the TCP header of a packet to this host. */
static bool dissect(struct __sk_buff *skb, struct conn *c, struct tcphdr *tcp)
{
	struct ipv6hdr ip6;
	struct iphdr ip;
	u32 at;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes_relative(skb, 0, &ip, sizeof(ip), BPF_HDR_START_NET) ||
		    ip.protocol != IPPROTO_TCP)
			return false;
		c->family = AF_INET;
		__builtin_memcpy(c->remote, &ip.saddr, sizeof(ip.saddr));
		__builtin_memcpy(c->local, &ip.daddr, sizeof(ip.daddr));
		at = ip.ihl * 4;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if (bpf_skb_load_bytes_relative(skb, 0, &ip6, sizeof(ip6), BPF_HDR_START_NET) ||
		    ip6.nexthdr != IPPROTO_TCP)
			return false;
		c->family = AF_INET6;
		__builtin_memcpy(c->remote, &ip6.saddr, sizeof(ip6.saddr));
		__builtin_memcpy(c->local, &ip6.daddr, sizeof(ip6.daddr));
		at = sizeof(ip6);
	} else {
		return false;
	}
	if (bpf_skb_load_bytes_relative(skb, at, tcp, sizeof(*tcp), BPF_HDR_START_NET))
		return false;
	c->remote_port = tcp->source;
	c->local_port = bpf_ntohs(tcp->dest);
	return true;
}

SEC("tcx/ingress")
int receives(struct __sk_buff *skb)
{
	struct conn c = {};
	struct costack_co *co;
	struct tcphdr tcp;
	struct waiting *w;

	if (!dissect(skb, &c, &tcp))
		return TCX_NEXT;
	if (tcp.syn && !tcp.ack) {
		co = costack_spawn(accept_story, skb->ifindex);
		if (!co)
			return TCX_NEXT;
		bpf_costack_resume_mem(co, &c, sizeof(c), NULL);
		begins(&c, co);
	} else if (tcp.ack && !tcp.rst) {
		w = bpf_map_lookup_elem(&conns, &c);
		if (w && !__sync_lock_test_and_set(&w->acked, 1))
			goes_on(w, ACK);
	}
	return TCX_NEXT;
}

/* An IPv4 client of a server that listens on IPv6. */
static bool is_mapped(const struct in6_addr *a)
{
	return !a->in6_u.u6_addr32[0] && !a->in6_u.u6_addr32[1] &&
	       a->in6_u.u6_addr32[2] == bpf_htonl(0xffff);
}

SEC("fexit/inet_csk_accept")
int BPF_PROG(accepts, struct sock *listener, struct proto_accept_arg *arg, struct sock *sk)
{
	struct in6_addr remote, local;
	struct conn c = {};
	struct waiting *w;
	__be32 addr;

	if (!sk)
		return 0;
	c.remote_port = sk->__sk_common.skc_dport;
	c.local_port = sk->__sk_common.skc_num;
	BPF_CORE_READ_INTO(&remote, sk, __sk_common.skc_v6_daddr);
	BPF_CORE_READ_INTO(&local, sk, __sk_common.skc_v6_rcv_saddr);
	if (sk->__sk_common.skc_family == AF_INET6 && !is_mapped(&remote)) {
		c.family = AF_INET6;
		__builtin_memcpy(c.remote, &remote, sizeof(remote));
		__builtin_memcpy(c.local, &local, sizeof(local));
	} else {
		c.family = AF_INET;
		addr = sk->__sk_common.skc_daddr;
		__builtin_memcpy(c.remote, &addr, sizeof(addr));
		addr = sk->__sk_common.skc_rcv_saddr;
		__builtin_memcpy(c.local, &addr, sizeof(addr));
	}
	w = bpf_map_lookup_elem(&conns, &c);
	if (w) {
		goes_on(w, ACCEPT);
		bpf_map_delete_elem(&conns, &c);
	}
	return 0;
}
