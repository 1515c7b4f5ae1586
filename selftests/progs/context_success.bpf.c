// SPDX-License-Identifier: GPL-2.0
/*
 * Each kind of program with the allocation that is right for it. Those that can
 * be run by themselves are, and return 0 when they had their stack.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"

static __always_inline int use(struct costack *cs)
{
	int ret = 1;
	u8 *p;

	if (!cs)
		return ret;
	p = bpf_costack_frame(cs, bpf_costack_size(cs) - 8, 8);
	if (p && !*p) {
		*p = 1;
		ret = bpf_costack_counter(COSTACK_CNT_LIVE) < 1;
	}
	bpf_costack_release(bpf_costack_acquire(cs));
	bpf_costack_release(cs);
	return ret;
}

static __always_inline int use_sleepable(void)
{
	return use(bpf_costack_alloc_sleepable(65536, 0)) |
	       use(bpf_costack_alloc_sleepable(4096, COSTACK_F_GUARD));
}

static __always_inline int use_atomic(void)
{
	return use(bpf_costack_alloc(16384, 0)) | use(bpf_costack_alloc(4096, COSTACK_F_GUARD));
}

static __always_inline int use_nolock(void)
{
	return use(bpf_costack_alloc_nolock(16384, 0)) |
	       use(bpf_costack_alloc_nolock(4096, COSTACK_F_GUARD));
}

/* bpf_costack_alloc_sleepable() */

SEC("syscall")
__success __retval(0)
int syscall_sleepable(void *ctx)
{
	return use_sleepable();
}

SEC("fentry.s/bpf_fentry_test1")
__success
int fentry_sleepable(void *ctx)
{
	use_sleepable();
	return 0;
}

SEC("lsm.s/socket_bind")
__success
int lsm_sleepable(void *ctx)
{
	use_sleepable();
	return 0;
}

SEC("iter.s/task")
__success
int iter_sleepable(void *ctx)
{
	use_sleepable();
	return 0;
}

SEC("uprobe.s")
__success
int uprobe_sleepable(void *ctx)
{
	use_sleepable();
	return 0;
}

/* bpf_costack_alloc() */

SEC("xdp")
__success __retval(0)
int xdp_alloc(struct xdp_md *ctx)
{
	return use_atomic();
}

SEC("tc")
__success __retval(0)
int tc_alloc(struct __sk_buff *skb)
{
	return use_atomic();
}

SEC("action")
__success __retval(0)
int action_alloc(struct __sk_buff *skb)
{
	return use_atomic();
}

SEC("cgroup_skb/ingress")
__success __retval(0)
int cgroup_skb_ingress_alloc(struct __sk_buff *skb)
{
	return use_atomic();
}

SEC("cgroup_skb/egress")
__success __retval(0)
int cgroup_skb_egress_alloc(struct __sk_buff *skb)
{
	return use_atomic();
}

SEC("cgroup/sock_create")
__success
int cgroup_sock_alloc(void *ctx)
{
	return !use_atomic();
}

SEC("cgroup/connect4")
__success
int cgroup_sock_addr_alloc(void *ctx)
{
	return !use_atomic();
}

SEC("cgroup/setsockopt")
__success
int cgroup_sockopt_alloc(void *ctx)
{
	return !use_atomic();
}

SEC("cgroup/dev")
__success
int cgroup_device_alloc(void *ctx)
{
	return !use_atomic();
}

SEC("cgroup/sysctl")
__success
int cgroup_sysctl_alloc(void *ctx)
{
	return !use_atomic();
}

/* The kernel offers these programs the kfuncs of cgroup programs since 6.15. */
SEC("sockops")
__success_since(6.15) __msg("calling kernel function bpf_costack_alloc is not allowed")
int sockops_alloc(void *ctx)
{
	return !use_atomic();
}

SEC("socket")
__success __retval(0)
int socket_filter_alloc(struct __sk_buff *skb)
{
	return use_atomic();
}

SEC("sk_skb")
__success
int sk_skb_alloc(struct __sk_buff *skb)
{
	return !use_atomic();
}

SEC("netfilter")
__success __retval(0)
int netfilter_alloc(void *ctx)
{
	return use_atomic();
}

SEC("lwt_in")
__success __retval(0)
int lwt_in_alloc(struct __sk_buff *skb)
{
	return use_atomic();
}

SEC("lwt_out")
__success __retval(0)
int lwt_out_alloc(struct __sk_buff *skb)
{
	return use_atomic();
}

SEC("lwt_xmit")
__success __retval(0)
int lwt_xmit_alloc(struct __sk_buff *skb)
{
	return use_atomic();
}

SEC("lwt_seg6local")
__success
int lwt_seg6local_alloc(struct __sk_buff *skb)
{
	return use_atomic();
}

SEC("syscall")
__success __retval(0)
int syscall_alloc(void *ctx)
{
	return use_atomic();
}

SEC("syscall")
__success __retval(0)
int syscall_alloc_under_rcu(void *ctx)
{
	int ret;

	bpf_rcu_read_lock();
	ret = use_atomic();
	bpf_rcu_read_unlock();
	return ret;
}

SEC("syscall")
__success __retval(0)
int syscall_alloc_without_preemption(void *ctx)
{
	int ret;

	bpf_preempt_disable();
	ret = use_atomic();
	bpf_preempt_enable();
	return ret;
}

/* bpf_costack_alloc_nolock() */

SEC("kprobe")
__success
int kprobe_nolock(void *ctx)
{
	return use_nolock();
}

SEC("kretprobe")
__success
int kretprobe_nolock(void *ctx)
{
	return use_nolock();
}

SEC("kprobe.multi")
__success
int kprobe_multi_nolock(void *ctx)
{
	return use_nolock();
}

SEC("uprobe")
__success
int uprobe_nolock(void *ctx)
{
	return use_nolock();
}

SEC("fentry/bpf_fentry_test1")
__success
int fentry_nolock(void *ctx)
{
	use_nolock();
	return 0;
}

SEC("fexit/bpf_fentry_test1")
__success
int fexit_nolock(void *ctx)
{
	use_nolock();
	return 0;
}

SEC("fmod_ret/bpf_modify_return_test")
__success
int fmod_ret_nolock(void *ctx)
{
	use_nolock();
	return 0;
}

SEC("tp/syscalls/sys_enter_getpgid")
__success
int tracepoint_nolock(void *ctx)
{
	return use_nolock();
}

SEC("raw_tp")
__success __retval(0)
int raw_tp_nolock(void *ctx)
{
	return use_nolock();
}

SEC("tp_btf/sys_enter")
__success
int tp_btf_nolock(void *ctx)
{
	use_nolock();
	return 0;
}

SEC("perf_event")
__success
int perf_event_nolock(void *ctx)
{
	return use_nolock();
}

SEC("lsm/socket_bind")
__success
int lsm_nolock(void *ctx)
{
	use_nolock();
	return 0;
}

SEC("iter/task")
__success
int iter_nolock(void *ctx)
{
	use_nolock();
	return 0;
}

SEC("sk_msg")
__success
int sk_msg_nolock(void *ctx)
{
	return !use_nolock();
}

SEC("sk_lookup")
__success
int sk_lookup_nolock(void *ctx)
{
	return !use_nolock();
}

SEC("sk_reuseport")
__success
int sk_reuseport_nolock(void *ctx)
{
	return !use_nolock();
}

SEC("flow_dissector")
__success
int flow_dissector_nolock(struct __sk_buff *skb)
{
	return use_nolock();
}

SEC("sockops")
__success
int sockops_nolock(void *ctx)
{
	return !use_nolock();
}

SEC("xdp")
__success __retval(0)
int xdp_nolock(struct xdp_md *ctx)
{
	return use_nolock();
}

SEC("tc")
__success __retval(0)
int tc_nolock(struct __sk_buff *skb)
{
	return use_nolock();
}

SEC("syscall")
__success __retval(0)
int syscall_nolock(void *ctx)
{
	return use_nolock();
}

char _license[] SEC("license") = "GPL";
