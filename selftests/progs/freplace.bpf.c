// SPDX-License-Identifier: GPL-2.0
/* What a replacement may call is what the replaced program's type may call. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"

static __always_inline int use(struct costack *cs)
{
	if (!cs)
		return 1;
	bpf_costack_release(cs);
	return 0;
}

SEC("?freplace/replaceable_kprobe")
int kprobe_alloc(int x)
{
	return use(bpf_costack_alloc(512, 0));
}

SEC("?freplace/replaceable_kprobe")
int kprobe_nolock(int x)
{
	return use(bpf_costack_alloc_nolock(512, 0));
}

SEC("?freplace/replaceable_tc")
int tc_alloc(int x)
{
	return use(bpf_costack_alloc(512, 0));
}

SEC("?freplace/replaceable_tc")
int tc_sleepable(int x)
{
	return use(bpf_costack_alloc_sleepable(512, 0));
}

char _license[] SEC("license") = "GPL";
