// SPDX-License-Identifier: GPL-2.0
/* Stacks in maps of each kind, and each way in which they get out of them. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"

struct slot {
	struct costack __kptr *cs;
};

#define MAP(name, kind, entries, ...)						\
struct {									\
	__uint(type, BPF_MAP_TYPE_##kind);					\
	__uint(max_entries, entries);						\
	__type(key, u32);							\
	__type(value, struct slot);						\
	__VA_ARGS__								\
} name SEC(".maps")

MAP(array, ARRAY, 8);
MAP(hash, HASH, 8);
MAP(hash_noprealloc, HASH, 8, __uint(map_flags, BPF_F_NO_PREALLOC););
MAP(lru, LRU_HASH, 8);
MAP(percpu_array, PERCPU_ARRAY, 8);
MAP(percpu_hash, PERCPU_HASH, 8);

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct slot);
} task SEC(".maps");

u32 key;
u32 result;	/* 1: done */

static void keep(struct slot *s)
{
	struct costack *cs;

	if (!s)
		return;
	cs = bpf_costack_alloc_nolock(1024, 0);
	if (!cs)
		return;
	cs = bpf_kptr_xchg(&s->cs, cs);
	if (cs)
		bpf_costack_release(cs);
	result = 1;
}

static void insert(void *map)
{
	struct slot empty = {};
	u32 k = key;

	result = 0;
	bpf_map_update_elem(map, &k, &empty, BPF_ANY);
	keep(bpf_map_lookup_elem(map, &k));
}

#define INSERT(map)								\
SEC("syscall")									\
int insert_##map(void *ctx)							\
{										\
	insert(&map);								\
	return 0;								\
}

INSERT(array)
INSERT(hash)
INSERT(hash_noprealloc)
INSERT(lru)

/* The kernel has no update of a per-CPU element with a kptr by a program. */
SEC("syscall")
int insert_percpu_array(void *ctx)
{
	u32 k = key;

	result = 0;
	keep(bpf_map_lookup_elem(&percpu_array, &k));
	return 0;
}

SEC("syscall")
int insert_percpu_hash(void *ctx)
{
	u32 k = key;

	result = 0;
	keep(bpf_map_lookup_elem(&percpu_hash, &k));
	return 0;
}

SEC("syscall")
int insert_task(void *ctx)
{
	result = 0;
	keep(bpf_task_storage_get(&task, bpf_get_current_task_btf(), 0,
				  BPF_LOCAL_STORAGE_GET_F_CREATE));
	return 0;
}

SEC("syscall")
int delete_task(void *ctx)
{
	result = !bpf_task_storage_delete(&task, bpf_get_current_task_btf());
	return 0;
}

/* From a program, where the context is one's own */

SEC("syscall")
int delete_hash(void *ctx)
{
	u32 k = key;

	result = !bpf_map_delete_elem(&hash, &k);
	return 0;
}

static u32 take_from(struct slot *s)
{
	struct costack *cs = s ? bpf_kptr_xchg(&s->cs, NULL) : NULL;

	if (!cs)
		return 0;
	bpf_costack_release(cs);
	return 1;
}

SEC("syscall")
int take_hash(void *ctx)
{
	u32 k = key;

	result = take_from(bpf_map_lookup_elem(&hash, &k));
	return 0;
}

SEC("syscall")
int take_array(void *ctx)
{
	u32 k = key;

	result = take_from(bpf_map_lookup_elem(&array, &k));
	return 0;
}

SEC("syscall")
int overwrite_array(void *ctx)
{
	struct slot empty = {};
	u32 k = key;

	result = !bpf_map_update_elem(&array, &k, &empty, BPF_ANY);
	return 0;
}

/* The same stack in two maps: acquire, write through the one, read through the other. */
SEC("syscall")
int insert_shared(void *ctx)
{
	struct slot empty = {}, *a, *b;
	struct costack *cs, *more;
	u32 k = key;
	u64 *p;

	result = 0;
	bpf_map_update_elem(&hash, &k, &empty, BPF_ANY);
	a = bpf_map_lookup_elem(&hash, &k);
	b = bpf_map_lookup_elem(&array, &k);
	if (!a || !b)
		return 0;
	cs = bpf_costack_alloc(1024, 0);
	if (!cs)
		return 0;
	p = (u64 *)bpf_costack_frame(cs, 64, 8);
	if (p)
		*p = 0x600df00d;
	more = bpf_costack_acquire(cs);
	cs = bpf_kptr_xchg(&a->cs, cs);
	if (cs)
		bpf_costack_release(cs);
	more = bpf_kptr_xchg(&b->cs, more);
	if (more)
		bpf_costack_release(more);
	result = 1;
	return 0;
}

static u64 read_from(struct slot *s)
{
	struct costack *cs;
	u64 *p, word = 0;

	if (!s)
		return 0;
	cs = bpf_kptr_xchg(&s->cs, NULL);
	if (!cs)
		return 0;
	p = (u64 *)bpf_costack_frame(cs, 64, 8);
	if (p)
		word = *p;
	cs = bpf_kptr_xchg(&s->cs, cs);
	if (cs)
		bpf_costack_release(cs);
	return word;
}

u64 word_hash, word_array;

SEC("syscall")
int read_shared(void *ctx)
{
	u32 k = key;

	word_hash = read_from(bpf_map_lookup_elem(&hash, &k));
	word_array = read_from(bpf_map_lookup_elem(&array, &k));
	return 0;
}

char _license[] SEC("license") = "GPL";
