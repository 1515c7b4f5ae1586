// SPDX-License-Identifier: GPL-2.0
/*
 * A body that calls bpf_costack_finish() in its middle, and goes on: what that entered must
 * be left again at the next wait, or the task that resumes is left with it.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"

char _license[] SEC("license") = "GPL";

u64 yields;

COSTACK_BODY(co_finish, u64 arg)
{
	int i;

	bpf_for(i, 0, 100) {
		if (i % 3 == 1)
			bpf_costack_finish(self, i);
		if (bpf_costack_yield(self, i))
			break;
		yields++;
		if (i % 5 == 1) {
			bpf_costack_finish(self, i);
			bpf_costack_finish(self, i);
		}
	}
	return 4711;
}

COSTACK_OPS(co_finish);

struct slot {
	struct costack_co __kptr *co;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

u64 result;

/* One step; the coroutine may be resumed by another task each time. */
SEC("syscall")
int step(void *ctx)
{
	u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &key);
	struct costack_co *co;
	int ret;

	if (!slot)
		return -1;
	co = bpf_kptr_xchg(&slot->co, NULL);
	if (!co)
		co = costack_spawn(co_finish, 0);
	if (!co)
		return -1;
	ret = bpf_costack_resume(co, 0, &result);
	co = bpf_kptr_xchg(&slot->co, co);
	if (co)
		bpf_costack_co_release(co);
	return ret;
}
