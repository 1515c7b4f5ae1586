// SPDX-License-Identifier: GPL-2.0
/*
 * For the costack tool: loads, and one program attaches, before another one
 * cannot be attached. All of it must be undone.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

SEC("raw_tp/sched_process_exit")
int first(void *ctx)
{
	return 0;
}

SEC("kprobe/no_such_function_anywhere")
int second(void *ctx)
{
	return 0;
}
