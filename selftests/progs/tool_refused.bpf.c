// SPDX-License-Identifier: GPL-2.0
/*
 * For the costack tool: what the verifier refuses, at the end of a log that is
 * longer than a screen, or than 64 KB.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

SEC("xdp")
int fine(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp")
int reads_beyond(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u32 sum = 0;
	int i;

	for (i = 0; i < 2000; i++)
		sum += bpf_get_prandom_u32();
	/* No comparison with data_end. */
	return data[0] + sum ? XDP_PASS : XDP_DROP;
}
