// SPDX-License-Identifier: GPL-2.0
/*
 * The same work from programs that run in each context; they count what they did.
 * Which context it is follows from where they are attached alone.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "costack.bpf.h"
#include "costack_misc.h"

#define ETH_P_TEST	0x88b5	/* for local experiments: nobody else sends it */
#define NR_HOLDERS	64

u64 runs, got, failed, corrupt;
u64 dropped;
u32 watched;	/* thread; 0: any */
u16 port;

struct holder {
	struct costack __kptr *cs;
};

struct holder_slot {
	struct holder __kptr *holder;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NR_HOLDERS);
	__type(key, u32);
	__type(value, struct holder_slot);
} holders SEC(".maps");

struct timer_slot {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct timer_slot);
} timers SEC(".maps");

static __always_inline bool is_watched(void)
{
	return !watched || (u32)bpf_get_current_pid_tgid() == watched;
}

static __always_inline void use(struct costack *cs)
{
	u64 *p;

	if (!cs) {
		__sync_fetch_and_add(&failed, 1);
		return;
	}
	p = (u64 *)bpf_costack_frame(cs, bpf_costack_size(cs) - 64, 64);
	if (!p || p[0] || p[7])
		__sync_fetch_and_add(&corrupt, 1);
	if (p) {
		p[0] = ~0ULL;
		p[7] = ~0ULL;
	}
	__sync_fetch_and_add(&got, 1);
	bpf_costack_release(cs);
}

static __always_inline void work_sleepable(void)
{
	__sync_fetch_and_add(&runs, 1);
	use(bpf_costack_alloc_sleepable(1024, 0));
	use(bpf_costack_alloc_sleepable(65536, COSTACK_F_GUARD));
}

static __always_inline void work_atomic(void)
{
	__sync_fetch_and_add(&runs, 1);
	use(bpf_costack_alloc(1024, 0));
	use(bpf_costack_alloc(65536, COSTACK_F_GUARD));
}

static __always_inline void work_nolock(void)
{
	__sync_fetch_and_add(&runs, 1);
	use(bpf_costack_alloc_nolock(1024, 0));
	use(bpf_costack_alloc_nolock(65536, COSTACK_F_GUARD));
}

/* Drops an object with a stack in it: the kernel calls the destructor right here. */
static __always_inline void work_drop(void)
{
	u32 key = __sync_fetch_and_add(&runs, 1);
	struct holder_slot *slot;
	struct holder *holder;

	slot = bpf_map_lookup_elem(&holders, &key);
	if (!slot)
		return;
	holder = bpf_kptr_xchg(&slot->holder, NULL);
	if (!holder)
		return;
	bpf_obj_drop_impl(holder, NULL);
	__sync_fetch_and_add(&dropped, 1);
}

/* Makes those objects. */
SEC("syscall")
int fill_holders(void *ctx)
{
	struct holder_slot *slot;
	struct holder *holder;
	struct costack *cs;
	u32 i;

	bpf_for(i, 0, NR_HOLDERS) {
		u32 key = i;

		slot = bpf_map_lookup_elem(&holders, &key);
		if (!slot)
			return 0;
		holder = bpf_obj_new_impl(bpf_core_type_id_local(struct holder), NULL);
		if (!holder)
			return 0;
		cs = bpf_costack_alloc_sleepable(2048, 0);
		if (cs)
			cs = bpf_kptr_xchg(&holder->cs, cs);
		if (cs)
			bpf_costack_release(cs);
		holder = bpf_kptr_xchg(&slot->holder, holder);
		if (holder)
			bpf_obj_drop_impl(holder, NULL);
	}
	return 0;
}

/* May sleep */

SEC("syscall")
int sleepable_syscall(void *ctx)
{
	work_sleepable();
	return 0;
}

SEC("fentry.s/bpf_fentry_test1")
int sleepable_fentry(void *ctx)
{
	if (is_watched())
		work_sleepable();
	return 0;
}

SEC("lsm.s/socket_bind")
int sleepable_lsm(void *ctx)
{
	if (is_watched())
		work_sleepable();
	return 0;
}

/* A process that may not */

/* Does nothing but to have bpf_fentry_test1() called when it is run. */
SEC("fentry/bpf_fentry_test2")
int trigger(void *ctx)
{
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int process_fentry(void *ctx)
{
	if (is_watched())
		work_nolock();
	return 0;
}

SEC("fexit/bpf_fentry_test1")
int process_fexit(void *ctx)
{
	if (is_watched())
		work_nolock();
	return 0;
}

SEC("kprobe/bpf_fentry_test1")
int process_kprobe(void *ctx)
{
	if (is_watched())
		work_nolock();
	return 0;
}

SEC("kprobe.multi/bpf_fentry_test1")
int process_kprobe_multi(void *ctx)
{
	if (is_watched())
		work_nolock();
	return 0;
}

SEC("lsm/socket_bind")
int process_lsm(void *ctx)
{
	if (is_watched())
		work_nolock();
	return 0;
}

SEC("tp/syscalls/sys_enter_getpgid")
int process_tracepoint(void *ctx)
{
	if (is_watched())
		work_nolock();
	return 0;
}

SEC("raw_tp/sys_enter")
int process_raw_tp(void *ctx)
{
	if (is_watched())
		work_nolock();
	return 0;
}

SEC("xdp")
int process_xdp(struct xdp_md *ctx)
{
	work_atomic();
	return XDP_PASS;
}

SEC("tc")
int process_tc(struct __sk_buff *skb)
{
	work_atomic();
	return 0;
}

static __always_inline bool is_ours(struct __sk_buff *skb)
{
	u16 dest;

	return !bpf_skb_load_bytes(skb, sizeof(struct iphdr) + 2, &dest, sizeof(dest)) &&
	       dest == port;
}

SEC("cgroup_skb/egress")
int process_cgroup_skb(struct __sk_buff *skb)
{
	if (is_ours(skb))
		work_atomic();
	return 1;
}

SEC("?syscall")
int process_drop(void *ctx)
{
	work_drop();
	return 0;
}

/* softirq */

SEC("cgroup_skb/ingress")
int softirq_cgroup_skb(struct __sk_buff *skb)
{
	if (is_ours(skb))
		work_atomic();
	return 1;
}

SEC("xdp")
int softirq_xdp(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) <= (void *)(long)ctx->data_end &&
	    eth->h_proto == bpf_htons(ETH_P_TEST))
		work_atomic();
	return XDP_PASS;
}

SEC("tcx/ingress")
int softirq_tcx(struct __sk_buff *skb)
{
	if (skb->protocol == bpf_htons(ETH_P_TEST))
		work_atomic();
	return -1;	/* TCX_NEXT */
}

SEC("?tcx/ingress")
int softirq_drop(struct __sk_buff *skb)
{
	if (skb->protocol == bpf_htons(ETH_P_TEST))
		work_drop();
	return -1;
}

SEC("netfilter")
int softirq_netfilter(void *ctx)
{
	work_atomic();
	return 1;	/* NF_ACCEPT */
}

static int on_timer(void *map, u32 *key, struct timer_slot *slot)
{
	work_nolock();
	return 0;
}

SEC("syscall")
int softirq_timer(void *ctx)
{
	u32 key = 0;
	struct timer_slot *slot = bpf_map_lookup_elem(&timers, &key);

	if (!slot)
		return 1;
	bpf_timer_init(&slot->timer, &timers, 1 /* CLOCK_MONOTONIC */);
	bpf_timer_set_callback(&slot->timer, on_timer);
	return bpf_timer_start(&slot->timer, 0, 0);
}

/* Interrupts */

/* Run on another CPU: by an interrupt there. */
SEC("raw_tp")
int hardirq_ipi(void *ctx)
{
	work_nolock();
	return 0;
}

SEC("tp_btf/irq_handler_entry")
int hardirq_device(void *ctx)
{
	work_nolock();
	return 0;
}

SEC("perf_event")
int hardirq_clock(void *ctx)
{
	work_nolock();
	return 0;
}

SEC("?perf_event")
int hardirq_drop(void *ctx)
{
	work_drop();
	return 0;
}

/* NMI */

SEC("tp_btf/nmi_handler")
int nmi_tp_btf(void *ctx)
{
	work_nolock();
	return 0;
}

SEC("?tp_btf/nmi_handler")
int nmi_drop(void *ctx)
{
	work_drop();
	return 0;
}

char _license[] SEC("license") = "GPL";
