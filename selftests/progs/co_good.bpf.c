// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies with everything that bodies may call, waits between. Each returns 0, or the line
 * where it saw something wrong.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "co_drive.h"

char _license[] SEC("license") = "GPL";

#define CHECK(c) do { if (!(c)) return __LINE__; } while (0)
#define WAIT() do { if (bpf_costack_yield(self, 0)) return CO_CANCELLED; } while (0)

#define BPF_F_RDONLY_PROG	128
#define BPF_F_WRONLY_PROG	256

struct value {
	u64 a, b;
	u32 c, d;
};

#define MAP(_name, _type, _value, _flags)					\
	struct {								\
		__uint(type, BPF_MAP_TYPE_##_type);				\
		__uint(max_entries, 8);						\
		__uint(map_flags, _flags);					\
		__type(key, u32);						\
		__type(value, _value);						\
	} _name SEC(".maps")

struct locked {
	struct bpf_spin_lock lock;
	u32 x;
	u64 number;
};

struct kept {
	struct costack_co __kptr *co;
	u64 number;
};

struct big {
	u64 words[1024];
};

MAP(array, ARRAY, struct value, 0);
MAP(hash, HASH, struct value, 0);
MAP(hash_lazy, HASH, struct value, 1 /* BPF_F_NO_PREALLOC */);
MAP(lru, LRU_HASH, struct value, 0);
MAP(cpu_array, PERCPU_ARRAY, struct value, 0);
MAP(cpu_hash, PERCPU_HASH, struct value, 0);
MAP(locked, ARRAY, struct locked, 0);
MAP(kept, HASH, struct kept, 0);
MAP(read_only, ARRAY, struct value, BPF_F_RDONLY_PROG);
MAP(write_only, HASH, struct value, BPF_F_WRONLY_PROG);
MAP(big, HASH, struct big, 1);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, u64);
} queue SEC(".maps");

/* Maps */

#define READ(map, key, value) bpf_costack_map_read(&(map), &(key), 4, &(value), sizeof(value))
#define ADD(map, key, off, delta) bpf_costack_map_add(&(map), &(key), 4, off, delta)

/* Of a map that has nothing yet at this key */
#define READ_AND_ADD(_map, _is_array)						\
	do {									\
		struct value v = { 1, 2, 3, 4 };				\
		u32 key = 3, none = 77;						\
										\
		CHECK(READ(_map, key, v) == ((_is_array) ? 0 : -2));		\
		CHECK(v.a == ((_is_array) ? 0 : 1));				\
		CHECK(READ(_map, none, v) == -2);				\
		CHECK(!ADD(_map, key, 0, 5));					\
		WAIT();								\
		CHECK(!ADD(_map, key, 0, -7));					\
		CHECK(!ADD(_map, key, 8, 1LL << 40));				\
		CHECK(!READ(_map, key, v));					\
		CHECK(v.a == -2ULL && v.b == 1ULL << 40 && !v.c && !v.d);	\
		v.c = 9;							\
		CHECK(!bpf_map_update_elem(&(_map), &key, &v, 0));		\
		WAIT();								\
		CHECK(!ADD(_map, key, 16, 1));					\
		CHECK(!READ(_map, key, v) && v.c == 10);			\
		/* Not aligned; beyond; far beyond */				\
		CHECK(ADD(_map, key, 4, 1) == -22);				\
		CHECK(ADD(_map, key, 24, 1) == -22);				\
		CHECK(ADD(_map, key, -8, 1) == -22);				\
		CHECK(!READ(_map, key, v) && v.c == 10);			\
		/* Sizes */							\
		CHECK(bpf_costack_map_read(&(_map), &v, 8, &v, sizeof(v)) == -22); \
		CHECK(bpf_costack_map_read(&(_map), &key, 4, &v, 8) == -22);	\
		CHECK(bpf_costack_map_read(&(_map), &key, 2, &v, sizeof(v)) == -22); \
		CHECK(bpf_costack_map_add(&(_map), &v, 8, 0, 1) == -22);	\
	} while (0)

BODY(map_array)
{
	u32 none = 8;

	READ_AND_ADD(array, true);
	CHECK(ADD(array, none, 0, 1) < 0);
	return 0;
}

BODY(map_hash)
{
	READ_AND_ADD(hash, false);
	return 0;
}

BODY(map_hash_lazy)
{
	READ_AND_ADD(hash_lazy, false);
	return 0;
}

BODY(map_lru)
{
	READ_AND_ADD(lru, false);
	return 0;
}

/* More elements than it has room for */
BODY(map_full)
{
	u32 key = 3;

	bpf_map_delete_elem(&hash_lazy, &key);
	bpf_for(key, 100, 108) {
		u32 k = key;

		CHECK(!ADD(hash_lazy, k, 0, 1));
	}
	key = 200;
	CHECK(ADD(hash_lazy, key, 0, 1) == -7 /* -E2BIG */);
	bpf_for(key, 100, 108) {
		u32 k = key;

		CHECK(!bpf_map_delete_elem(&hash_lazy, &k));
	}
	return 0;
}

BODY(map_percpu)
{
	struct value v = { 1, 2, 3, 4 };
	u32 key = 1;

	CHECK(!READ(cpu_array, key, v) && !v.a);
	v.a = 8;
	CHECK(!bpf_map_update_elem(&cpu_array, &key, &v, 0));
	v.a = 0;
	CHECK(!READ(cpu_array, key, v) && v.a == 8);
	CHECK(READ(cpu_hash, key, v) == -2);
	CHECK(!bpf_map_update_elem(&cpu_hash, &key, &v, 0));
	v.a = 0;
	CHECK(!READ(cpu_hash, key, v) && v.a == 8);
	CHECK(ADD(cpu_array, key, 0, 1) == -95 /* -EOPNOTSUPP */);
	CHECK(ADD(cpu_hash, key, 0, 1) == -95);
	return 0;
}

/* Whose values must not be copied, or added to */
BODY(map_special)
{
	struct locked l;
	struct kept k;
	u64 word = 0;
	u32 key = 0;

	CHECK(READ(locked, key, l) == -95);
	CHECK(ADD(locked, key, 8, 1) == -95);
	CHECK(READ(kept, key, k) == -95);
	CHECK(ADD(kept, key, 0, 1) == -95);
	CHECK(bpf_costack_map_read(&queue, &key, 4, &word, 8) == -95);
	CHECK(bpf_costack_map_read(&ring, &key, 4, &word, 8) == -95);
	CHECK(bpf_costack_map_add(&queue, &key, 4, 0, 1) == -95);
	CHECK(bpf_costack_map_add(&big, &key, 4, 0, 1) == -95);
	return 0;
}

/* The verifier may know what is in a map that programs do not write to. */
BODY(map_denied)
{
	struct value v;
	u32 key = 0;

	CHECK(ADD(read_only, key, 0, 1) == -13 /* -EACCES */);
	CHECK(!READ(read_only, key, v));
	CHECK(!v.a);
	CHECK(READ(write_only, key, v) == -13);
	CHECK(!ADD(write_only, key, 0, 1));
	return 0;
}

/* Helpers */

BODY(helpers)
{
	char text[32] = {}, comm[16];
	u64 data[2] = { 17, 4 }, word = 0;
	unsigned long number;
	long signed_number;

	CHECK(bpf_ktime_get_ns());
	CHECK(bpf_ktime_get_boot_ns());
	CHECK(bpf_ktime_get_tai_ns());
	CHECK(bpf_jiffies64());
	bpf_get_prandom_u32();
	bpf_get_smp_processor_id();
	bpf_get_numa_node_id();
	bpf_get_current_pid_tgid();
	WAIT();
	CHECK(BPF_SNPRINTF(text, sizeof(text), "%llu and %llu", data[0], data[1]) == 9);
	CHECK(!bpf_strncmp(text, 8, "17 and 4"));
	CHECK(bpf_strtoul(text, 2, 0, &number) == 2 && number == 17);
	CHECK(bpf_strtol(text, 2, 0, &signed_number) == 2 && signed_number == 17);
	CHECK(!bpf_probe_read_kernel(&word, sizeof(word), data) && word == 17);
	CHECK(bpf_probe_read_kernel(&word, sizeof(word), NULL) < 0);
	CHECK(bpf_probe_read_kernel_str(comm, sizeof(comm), text) == 9);
	WAIT();
	CHECK(!bpf_ringbuf_output(&ring, data, sizeof(data), 0));
	CHECK(bpf_ringbuf_query(&ring, 0 /* BPF_RB_AVAIL_DATA */) == 24);
	CHECK(!bpf_map_push_elem(&queue, &data[0], 0));
	CHECK(!bpf_map_push_elem(&queue, &data[1], 0));
	WAIT();
	CHECK(!bpf_map_peek_elem(&queue, &word) && word == 17);
	CHECK(!bpf_map_pop_elem(&queue, &word) && word == 17);
	CHECK(!bpf_map_pop_elem(&queue, &word) && word == 4);
	CHECK(bpf_map_pop_elem(&queue, &word) == -2);
	bpf_printk("costack test: %d", 1);
	return 0;
}

/* kfuncs */

struct object {
	u64 number;
	struct bpf_refcount ref;
	struct costack_co __kptr *co;
};

extern void *bpf_refcount_acquire_impl(void *obj, void *meta) __weak __ksym;

static struct object __kptr *kept_object SEC(".data.object");
static struct costack_co __kptr *kept_co SEC(".data.co");
const volatile u32 number_of_helpers;

BODY(objects)
{
	struct object *object, *more;
	struct costack_co *co;

	object = bpf_obj_new_impl(bpf_core_type_id_local(struct object), NULL);
	if (!object)
		return 0;
	object->number = 3;
	more = bpf_refcount_acquire_impl(object, NULL);
	bpf_obj_drop_impl(object, NULL);
	if (bpf_costack_yield(self, 0)) {
		bpf_obj_drop_impl(more, NULL);
		return CO_CANCELLED;
	}
	if (more->number != 3) {
		bpf_obj_drop_impl(more, NULL);
		return __LINE__;
	}
	/* With a coroutine in it */
	co = bpf_costack_spawn_nolock(number_of_helpers, 0);
	if (co)
		co = bpf_kptr_xchg(&more->co, co);
	if (co)
		bpf_costack_co_release(co);
	more = bpf_kptr_xchg(&kept_object, more);
	if (more) {
		bpf_obj_drop_impl(more, NULL);
		return __LINE__;
	}
	WAIT();
	more = bpf_kptr_xchg(&kept_object, NULL);
	CHECK(more);
	bpf_obj_drop_impl(more, NULL);
	bpf_rcu_read_lock();
	bpf_preempt_disable();
	bpf_preempt_enable();
	bpf_rcu_read_unlock();
	return 0;
}

BODY(kfuncs)
{
	struct costack_co *co = bpf_costack_spawn_nolock(number_of_helpers, 0), *more;
	struct costack *cs;
	u64 *p;
	int bad = 0, ret;

	CHECK(co);
	cs = bpf_costack_alloc_nolock(2000, 0);
	if (!cs) {
		bpf_costack_co_release(co);
		return __LINE__;
	}
	p = (u64 *)bpf_costack_frame(cs, 1000, 8);
	if (p)
		*p = 4711;
	more = bpf_costack_co_acquire(co);
	bpf_costack_release(bpf_costack_acquire(cs));
	ret = bpf_costack_yield(self, 0);
	/* A slice of a stack that is the body's stays its own. */
	if (!p || *p != 4711 || bpf_costack_size(cs) != 2048)
		bad = __LINE__;
	if (bpf_costack_state(co) != COSTACK_NEW || bpf_costack_counter(COSTACK_CNT_LIVE) < 3)
		bad = __LINE__;
	bpf_costack_release(cs);
	bpf_costack_co_release(more);
	bpf_costack_co_release(co);
	return ret ?: bad;
}


u64 global, global_wait;

BODY(globals)
{
	u64 i = global;

	global = 1;
	WAIT();
	CHECK(global == 2);
	global = 3;
	WAIT();
	CHECK(global_wait == 4);
	return i;
}
