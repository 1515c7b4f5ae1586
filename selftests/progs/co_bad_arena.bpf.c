// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies with an arena that are refused when they are loaded. They are on their own since each
 * arena takes 4 GB of addresses, whose shadow a kernel with KASAN writes for seconds.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"

char _license[] SEC("license") = "GPL";

extern void *bpf_arena_alloc_pages(void *map, void *addr, u32 page_cnt, int node_id,
				   u64 flags) __weak __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, 1024 /* BPF_F_MMAPABLE */);
	__uint(max_entries, 1);
} arena SEC(".maps");

BODY(bad_arena_alloc, __failure
	__klog("body {{.*}}: bpf_arena_alloc_pages() cannot be called by a body"))
{
	return (long)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
}

/* Memory of an arena is nothing that a kfunc may be given to write to. */
BODY(bad_read_arena, __failure __msg("call bpf_costack_read")
	__msg("R2 type=arena expected=fp"))
{
	void *map = &arena;

	asm volatile ("" :: "r"(map));
	return bpf_costack_read(self, (void *)(void __attribute__((address_space(1))) *)arg, 8);
}
