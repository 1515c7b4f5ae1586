// SPDX-License-Identifier: GPL-2.0
/* Helpers that newer kernels alone let all programs call. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"
#include "costack_misc.h"

char _license[] SEC("license") = "GPL";

BODY(get_uid_gid, __success_since(6.16) __msg("cannot use helper bpf_get_current_uid_gid"))
{
	return bpf_get_current_uid_gid();
}

BODY(get_comm, __success_since(6.16) __msg("cannot use helper bpf_get_current_comm"))
{
	char comm[16];

	return bpf_get_current_comm(comm, sizeof(comm));
}
