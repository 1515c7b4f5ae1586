// SPDX-License-Identifier: GPL-2.0
/* A timer's callback, which may not sleep, in a program that may. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"
#include "costack_misc.h"

struct slot {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

u64 runs, got, failed;

static int callback(void *map, u32 *key, struct slot *slot)
{
	struct costack *cs;
	u32 i;

	/* Nothing is in reserve: the first would have to be obtained. */
	bpf_for(i, 0, 20) {
		cs = bpf_costack_alloc_sleepable(65536, COSTACK_F_GUARD);
		if (!cs) {
			failed++;
			continue;
		}
		got++;
		bpf_costack_release(cs);
	}
	runs++;
	return 0;
}

SEC("syscall")
int start(void *ctx)
{
	u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &key);

	if (!slot)
		return 1;
	bpf_timer_init(&slot->timer, &slots, 1 /* CLOCK_MONOTONIC */);
	bpf_timer_set_callback(&slot->timer, callback);
	return bpf_timer_start(&slot->timer, 0, 0);
}

char _license[] SEC("license") = "GPL";
