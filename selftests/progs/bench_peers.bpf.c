// SPDX-License-Identifier: GPL-2.0
/*
 * What a BPF program can take instead of a stack, and how it can go on later without a
 * coroutine: loops timed by the program itself, and programs that are run once for each event.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "costack.bpf.h"
#include "costack_misc.h"

char _license[] SEC("license") = "GPL";

#define __arena __attribute__((address_space(1)))

extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, u32 page_cnt,
					   int node_id, u64 flags) __weak __ksym;
extern void bpf_arena_free_pages(void *map, void __arena *addr, u32 page_cnt) __weak __ksym;

struct bpf_wq {
	__u64 __opaque[2];
};

struct bpf_task_work {
	__u64 __opaque;
};

struct bpf_map {
};

extern int bpf_wq_init(struct bpf_wq *wq, void *map, unsigned int flags) __weak __ksym;
extern int bpf_wq_start(struct bpf_wq *wq, unsigned int flags) __weak __ksym;
extern int bpf_wq_set_callback_impl(struct bpf_wq *wq, int (*callback)(void *map, int *key,
				    void *value), unsigned int flags, void *aux) __weak __ksym;
/* What the former is called from 7.0 on, where the last argument is the verifier's. */
extern int bpf_wq_set_callback(struct bpf_wq *wq, int (*callback)(void *map, int *key,
			       void *value), unsigned int flags) __weak __ksym;
extern int bpf_task_work_schedule_signal(struct task_struct *task, struct bpf_task_work *tw,
					 void *map, int (*callback)(struct bpf_map *map,
					 void *key, void *value)) __weak __ksym;

u32 rounds, size;	/* set by who runs a loop */
u64 ns, failed, done;

/* ns of rounds that each do it */
#define TIMED(it)						\
	do {							\
		u64 start = bpf_ktime_get_ns();			\
		int round;					\
								\
		bpf_for(round, 0, rounds)			\
			it;					\
		ns = bpf_ktime_get_ns() - start;		\
	} while (0)

SEC("xdp")
int loop_empty(struct xdp_md *ctx)
{
	TIMED(barrier());
	return XDP_PASS;
}

static __always_inline void costack_pair(void)
{
	struct costack *cs = bpf_costack_alloc(size, 0);

	if (cs)
		bpf_costack_release(cs);
	else
		failed++;
}

SEC("xdp")
int loop_costack(struct xdp_md *ctx)
{
	TIMED(costack_pair());
	return XDP_PASS;
}

#define OBJECT(bytes)								\
struct object_##bytes {								\
	u8 data[bytes];								\
};										\
										\
static __always_inline void object_pair_##bytes(void)				\
{										\
	void *p = bpf_obj_new_impl(bpf_core_type_id_local(struct object_##bytes), NULL); \
										\
	if (p)									\
		bpf_obj_drop_impl(p, NULL);					\
	else									\
		failed++;							\
}										\
										\
SEC("xdp")									\
int loop_obj_new_##bytes(struct xdp_md *ctx)					\
{										\
	TIMED(object_pair_##bytes());						\
	return XDP_PASS;							\
}

OBJECT(1024)
OBJECT(4088)

/* The value of an element that is inserted has to come from somewhere. */
#define HASH(bytes)								\
struct value_##bytes {								\
	u8 data[bytes];								\
};										\
										\
struct {									\
	__uint(type, BPF_MAP_TYPE_HASH);					\
	__uint(map_flags, BPF_F_NO_PREALLOC);					\
	__uint(max_entries, 64);						\
	__type(key, u64);							\
	__type(value, struct value_##bytes);					\
} hash_##bytes SEC(".maps");							\
										\
struct {									\
	__uint(type, BPF_MAP_TYPE_ARRAY);					\
	__uint(max_entries, 1);							\
	__type(key, u32);							\
	__type(value, struct value_##bytes);					\
} from_##bytes SEC(".maps");							\
										\
static __always_inline void hash_pair_##bytes(void *value)			\
{										\
	u64 key = 1;								\
										\
	failed += !!bpf_map_update_elem(&hash_##bytes, &key, value, BPF_ANY);	\
	failed += !!bpf_map_delete_elem(&hash_##bytes, &key);			\
}										\
										\
SEC("xdp")									\
int loop_hash_##bytes(struct xdp_md *ctx)					\
{										\
	u32 zero = 0;								\
	void *value = bpf_map_lookup_elem(&from_##bytes, &zero);		\
										\
	if (value)								\
		TIMED(hash_pair_##bytes(value));				\
	return XDP_PASS;							\
}

HASH(1024)
HASH(4096)
HASH(16384)

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, 1024 /* BPF_F_MMAPABLE */);
	__uint(max_entries, 64);
} arena SEC(".maps");

static __always_inline void arena_pair(void)
{
	u32 pages = size / 4096;
	void __arena *p = bpf_arena_alloc_pages(&arena, NULL, pages, -1, 0);

	if (p)
		bpf_arena_free_pages(&arena, p, pages);
	else
		failed++;
}

SEC("syscall")
int loop_arena(void *ctx)
{
	TIMED(arena_pair());
	return 0;
}

/*
 * Going on later. Each has state, a sum, that an event finds by its key: what the second
 * event does is seen in done.
 */
struct state {
	u32 step;
	u64 sum;
	struct costack_co __kptr *co;
	struct bpf_timer timer;
	struct bpf_wq wq;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u64);
	__type(value, struct state);
} states SEC(".maps");

static __always_inline s64 sum_up(struct costack_self *self)
{
	u64 sum = 0;

	bpf_repeat(COSTACK_LOOP_MAX) {
		if (bpf_costack_yield(self, sum))
			break;
		sum += self->value;
	}
	return 0;
}

COSTACK_BODY(bench_later, u64 arg)
{
	return sum_up(self);
}
COSTACK_OPS(bench_later, .flags = COSTACK_OPS_PRIVATE);

/* Many that live at once. */
struct one_of_many {
	struct costack_co __kptr *co;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1000000);
	__type(key, u32);
	__type(value, struct one_of_many);
} many SEC(".maps");

u32 nr_many, random;

COSTACK_BODY(bench_many, u64 arg)
{
	return sum_up(self);
}
COSTACK_OPS(bench_many);

/* @rounds of them, more than there were. */
SEC("xdp")
int many_spawn(struct xdp_md *ctx)
{
	struct one_of_many *one;
	struct costack_co *co;
	u32 i, key;

	bpf_for(i, 0, rounds) {
		key = nr_many + i;
		one = bpf_map_lookup_elem(&many, &key);
		co = one ? costack_spawn(bench_many, 0) : NULL;
		if (!co) {
			failed++;
			continue;
		}
		bpf_costack_resume(co, 0, NULL);
		co = bpf_kptr_xchg(&one->co, co);
		if (co)
			bpf_costack_co_release(co);
	}
	nr_many += rounds;
	return XDP_PASS;
}

/* One of them, whichever. */
static __always_inline void resume_any(void)
{
	struct one_of_many *one;
	struct costack_co *co;
	u32 key;

	random = random * 1664525 + 1013904223;
	key = (u64)random * nr_many >> 32;
	one = bpf_map_lookup_elem(&many, &key);
	co = one ? bpf_kptr_xchg(&one->co, NULL) : NULL;
	if (!co) {
		failed++;
		return;
	}
	failed += bpf_costack_resume(co, 1, NULL) != COSTACK_YIELDED;
	co = bpf_kptr_xchg(&one->co, co);
	if (co)
		bpf_costack_co_release(co);
}

SEC("xdp")
int loop_many(struct xdp_md *ctx)
{
	TIMED(resume_any());
	return XDP_PASS;
}

static __always_inline struct state *state_of_event(void)
{
	u64 key = 1;

	return bpf_map_lookup_elem(&states, &key);
}

SEC("tc")
int later_prepare(struct __sk_buff *skb)
{
	struct state empty = {}, *state;
	struct costack_co *co;
	u64 key = 1;

	bpf_map_update_elem(&states, &key, &empty, BPF_ANY);
	state = state_of_event();
	co = costack_spawn(bench_later, 0);
	if (!state || !co) {
		failed++;
		if (co)
			bpf_costack_co_release(co);
		return 0;
	}
	bpf_for(key, 0, 20)
		bpf_costack_resume(co, 0, NULL);
	co = bpf_kptr_xchg(&state->co, co);
	if (co)
		bpf_costack_co_release(co);
	return 0;
}

SEC("tc")
int later_nothing(struct __sk_buff *skb)
{
	return 0;
}

static __always_inline void resume_one(void)
{
	struct state *state = state_of_event();
	struct costack_co *co = state ? bpf_kptr_xchg(&state->co, NULL) : NULL;

	if (!co) {
		failed++;
		return;
	}
	failed += bpf_costack_resume(co, 1, NULL) != COSTACK_YIELDED;
	co = bpf_kptr_xchg(&state->co, co);
	if (co)
		bpf_costack_co_release(co);
	done++;
}

/* The coroutine of the event's key, taken out of the map and put back. */
SEC("tc")
int later_coroutine(struct __sk_buff *skb)
{
	resume_one();
	return 0;
}

static __noinline int call_step(struct state *state)
{
	if (!state)
		return 0;
	switch (state->step) {
	case 0:
		state->sum++;
		break;
	case 1:
		state->sum--;
		break;
	default:
		state->step = 0;
	}
	done++;
	return 0;
}

/* A function that looks into the state for where to go on. */
SEC("tc")
int later_call(struct __sk_buff *skb)
{
	return call_step(state_of_event());
}

SEC("tc")
int tail_target(struct __sk_buff *skb)
{
	struct state *state = state_of_event();

	if (state)
		state->sum++;
	done++;
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(u32));
	__array(values, int (struct __sk_buff *));
} steps SEC(".maps") = {
	.values = { tail_target },
};

/* A program for each place to go on at. */
SEC("tc")
int later_tail_call(struct __sk_buff *skb)
{
	struct state *state = state_of_event();

	if (state)
		bpf_tail_call(skb, &steps, state->step);
	failed++;
	return 0;
}

static int on_timer(void *map, u64 *key, struct state *state)
{
	state->sum++;
	done++;
	return 0;
}

SEC("tc")
int later_timer(struct __sk_buff *skb)
{
	struct state *state = state_of_event();

	if (!state)
		return 0;
	bpf_timer_init(&state->timer, &states, 1 /* CLOCK_MONOTONIC */);
	bpf_timer_set_callback(&state->timer, on_timer);
	failed += !!bpf_timer_start(&state->timer, 0, 0);
	return 0;
}

static int on_wq(void *map, int *key, void *value)
{
	struct state *state = value;

	state->sum++;
	done++;
	return 0;
}

SEC("tc")
int later_wq(struct __sk_buff *skb)
{
	struct state *state = state_of_event();

	if (!state)
		return 0;
	bpf_wq_init(&state->wq, &states, 0);
	if (bpf_ksym_exists(bpf_wq_set_callback))
		bpf_wq_set_callback(&state->wq, on_wq, 0);
	else
		bpf_wq_set_callback_impl(&state->wq, on_wq, 0, NULL);
	failed += !!bpf_wq_start(&state->wq, 0);
	return 0;
}

/* Linux 6.18 and newer */
struct work_state {
	u64 sum;
	struct bpf_task_work work;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct work_state);
} works SEC(".maps");

static int on_work(struct bpf_map *map, void *key, void *value)
{
	struct work_state *state = value;

	state->sum++;
	done++;
	return 0;
}

SEC("tc")
int later_task_work(struct __sk_buff *skb)
{
	u32 zero = 0;
	struct work_state *state = bpf_map_lookup_elem(&works, &zero);

	if (state)
		failed += !!bpf_task_work_schedule_signal(bpf_get_current_task_btf(), &state->work,
							  &works, on_work);
	return 0;
}
