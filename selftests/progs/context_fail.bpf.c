// SPDX-License-Identifier: GPL-2.0
/* Allocations that are wrong for the kind of program or where it does them. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"

#define __not_allowed	__failure __msg("calling kernel function bpf_costack_alloc is not allowed")
#define __not_sleepable	__failure						\
	__msg("program must be sleepable to call sleepable kfunc bpf_costack_alloc_sleepable")

static __always_inline int use(struct costack *cs)
{
	if (!cs)
		return 0;
	bpf_costack_release(cs);
	return 0;
}

static __always_inline int use_sleepable(void)
{
	return use(bpf_costack_alloc_sleepable(512, 0));
}

static __always_inline int use_atomic(void)
{
	return use(bpf_costack_alloc(512, 0));
}

/* bpf_costack_alloc() where a lock of an allocator or a runqueue may be held */

SEC("kprobe")
__not_allowed
int kprobe_alloc(void *ctx)
{
	return use_atomic();
}

SEC("kprobe.multi")
__not_allowed
int kprobe_multi_alloc(void *ctx)
{
	return use_atomic();
}

SEC("uprobe")
__not_allowed
int uprobe_alloc(void *ctx)
{
	return use_atomic();
}

SEC("fentry/bpf_fentry_test1")
__not_allowed
int fentry_alloc(void *ctx)
{
	return use_atomic();
}

SEC("fexit/bpf_fentry_test1")
__not_allowed
int fexit_alloc(void *ctx)
{
	return use_atomic();
}

SEC("fentry.s/bpf_fentry_test1")
__not_allowed
int fentry_sleepable_alloc(void *ctx)
{
	return use_atomic();
}

SEC("tp/syscalls/sys_enter_getpgid")
__not_allowed
int tracepoint_alloc(void *ctx)
{
	return use_atomic();
}

SEC("raw_tp")
__not_allowed
int raw_tp_alloc(void *ctx)
{
	return use_atomic();
}

SEC("tp_btf/sys_enter")
__not_allowed
int tp_btf_alloc(void *ctx)
{
	return use_atomic();
}

SEC("perf_event")
__not_allowed
int perf_event_alloc(void *ctx)
{
	return use_atomic();
}

SEC("lsm/socket_bind")
__not_allowed
int lsm_alloc(void *ctx)
{
	return use_atomic();
}

SEC("iter/task")
__not_allowed
int iter_alloc(void *ctx)
{
	return use_atomic();
}

/* The kernel has no list of kfuncs for these kinds. */
SEC("sk_msg")
__not_allowed
int sk_msg_alloc(void *ctx)
{
	return use_atomic();
}

SEC("sk_lookup")
__not_allowed
int sk_lookup_alloc(void *ctx)
{
	return use_atomic();
}

SEC("flow_dissector")
__not_allowed
int flow_dissector_alloc(struct __sk_buff *skb)
{
	return use_atomic();
}

/* bpf_costack_alloc_sleepable() in programs that may not sleep */

SEC("xdp")
__not_sleepable
int xdp_sleepable(struct xdp_md *ctx)
{
	return use_sleepable();
}

SEC("tc")
__not_sleepable
int tc_sleepable(struct __sk_buff *skb)
{
	return use_sleepable();
}

SEC("cgroup_skb/ingress")
__not_sleepable
int cgroup_skb_sleepable(struct __sk_buff *skb)
{
	return use_sleepable();
}

SEC("socket")
__not_sleepable
int socket_filter_sleepable(struct __sk_buff *skb)
{
	return use_sleepable();
}

SEC("netfilter")
__not_sleepable
int netfilter_sleepable(void *ctx)
{
	return use_sleepable();
}

SEC("kprobe")
__not_sleepable
int kprobe_sleepable(void *ctx)
{
	return use_sleepable();
}

SEC("fentry/bpf_fentry_test1")
__not_sleepable
int fentry_sleepable(void *ctx)
{
	return use_sleepable();
}

SEC("raw_tp")
__not_sleepable
int raw_tp_sleepable(void *ctx)
{
	return use_sleepable();
}

SEC("perf_event")
__not_sleepable
int perf_event_sleepable(void *ctx)
{
	return use_sleepable();
}

SEC("lsm/socket_bind")
__not_sleepable
int lsm_sleepable(void *ctx)
{
	return use_sleepable();
}

/* and where one that may does not */

SEC("syscall")
__failure
__msg("kernel func bpf_costack_alloc_sleepable is sleepable within rcu_read_lock region")
int sleepable_under_rcu(void *ctx)
{
	bpf_rcu_read_lock();
	use_sleepable();
	bpf_rcu_read_unlock();
	return 0;
}

SEC("syscall")
__failure
__msg("kernel func bpf_costack_alloc_sleepable is sleepable within non-preemptible region")
int sleepable_without_preemption(void *ctx)
{
	bpf_preempt_disable();
	use_sleepable();
	bpf_preempt_enable();
	return 0;
}

struct locked {
	struct bpf_spin_lock lock;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct locked);
} locked SEC(".maps");

SEC("syscall")
__failure __msg("function calls are not allowed while holding a lock")
int sleepable_under_lock(void *ctx)
{
	u32 key = 0;
	struct locked *l = bpf_map_lookup_elem(&locked, &key);

	if (!l)
		return 0;
	bpf_spin_lock(&l->lock);
	use_sleepable();
	bpf_spin_unlock(&l->lock);
	return 0;
}

char _license[] SEC("license") = "GPL";
