// SPDX-License-Identifier: GPL-2.0
/*
 * A map of something that is called as the module's handles are; made before the module is
 * there, it is the program's own type for ever.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

struct costack_co {
	u64 number;
};

struct slot {
	struct costack_co __attribute__((btf_type_tag("kptr"))) *co;
};

static struct costack_co unused SEC(".data.unused");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

SEC("syscall")
int anything(void *ctx)
{
	return unused.number;
}
