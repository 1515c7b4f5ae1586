// SPDX-License-Identifier: GPL-2.0
/* Programs of two types with a function that freplace.bpf.c replaces. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

__noinline int replaceable_kprobe(int x)
{
	asm volatile ("" : "+r"(x));
	return x;
}

__noinline int replaceable_tc(int x)
{
	asm volatile ("" : "+r"(x));
	return x + 1;
}

SEC("kprobe")
int target_kprobe(void *ctx)
{
	return replaceable_kprobe(1);
}

SEC("tc")
int target_tc(struct __sk_buff *skb)
{
	return replaceable_tc(1);
}

char _license[] SEC("license") = "GPL";
