// SPDX-License-Identifier: GPL-2.0
/* Programs that are attached to a body, or put in the place of its functions. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"

char _license[] SEC("license") = "GPL";

u64 entries, exits, sub_entries, sub_exits;
u32 type, type_own;
s32 ret, ret_own;

SEC("?fentry/target")
int enter_body(void *ctx)
{
	__sync_fetch_and_add(&entries, 1);
	return 0;
}

SEC("?fexit/target")
int leave_body(void *ctx)
{
	__sync_fetch_and_add(&exits, 1);
	return 0;
}

SEC("?fentry/wait_twice")
int enter_sub(void *ctx)
{
	__sync_fetch_and_add(&sub_entries, 1);
	return 0;
}

SEC("?fexit/wait_twice")
int leave_sub(void *ctx)
{
	__sync_fetch_and_add(&sub_exits, 1);
	return 0;
}

SEC("?freplace/replaceable")
int replace(u64 x)
{
	return x * 1000;
}

/* One that resumes others, as any program may, on top of the body */
SEC("?freplace/replaceable")
int replace_resume(u64 x)
{
	struct costack_co *co = bpf_costack_spawn_nolock(type, 1);

	if (co) {
		ret = bpf_costack_resume(co, 0, NULL);
		bpf_costack_co_release(co);
	}
	co = bpf_costack_spawn_nolock(type_own, 1);
	if (co) {
		ret_own = bpf_costack_resume(co, 0, NULL);
		bpf_costack_co_release(co);
	}
	return 5;
}

SEC("?freplace/replaceable")
int replace_yield(u64 x)
{
	return bpf_costack_yield((void *)x, 0);
}

SEC("?freplace/replaceable")
int replace_sleepable(u64 x)
{
	return 0;
}

SEC("?freplace/replaceable")
int replace_helper(u64 x)
{
	return (long)bpf_get_current_task_btf();
}
