// SPDX-License-Identifier: GPL-2.0
/* Bodies that call what the module cos_overflow has a probe on. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"

char _license[] SEC("license") = "GPL";

COSTACK_BODY(over_dense, u64 unused)
{
	return bpf_ktime_get_boot_ns();
}

COSTACK_OPS(over_dense);

COSTACK_BODY(over_private, u64 unused)
{
	return bpf_ktime_get_boot_ns();
}

COSTACK_OPS(over_private, .flags = COSTACK_OPS_PRIVATE, .stack_size = 16384);

static __always_inline int run(struct costack_co *co)
{
	int ret;

	if (!co)
		return -12;	/* ENOMEM */
	ret = bpf_costack_resume(co, 0, NULL);
	bpf_costack_co_release(co);
	return ret;
}

SEC("syscall")
int dense(void *ctx)
{
	return run(bpf_costack_spawn(over_dense_id, 0));
}

SEC("syscall")
int private(void *ctx)
{
	return run(bpf_costack_spawn_sleepable(over_private_id, 0));
}
