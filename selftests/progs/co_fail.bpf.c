// SPDX-License-Identifier: GPL-2.0
/* What the verifier refuses of those who spawn and resume. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"

char _license[] SEC("license") = "GPL";

#define __not_allowed(name) __failure __msg("calling kernel function " name " is not allowed")
#define __not_trusted(arg) __failure __msg("R" #arg " must be referenced or trusted")
#define __released	__failure __msg("call bpf_costack_co_release")		\
	__msg("{{pointer type STRUCT costack_co must point to|R1 is scalar expected STRUCT costack_co|expects referenced}}")
#define __not_a_co	__failure						\
	__msg("{{expected pointer to STRUCT costack_co|is trusted_ptr_costack expected|expected STRUCT costack_co|expected costack_co}}")

struct slot {
	struct costack_co __kptr *co;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

const volatile u64 constant;
u32 var;

static __always_inline struct costack_co *untrusted(void)
{
	u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &key);

	return slot ? slot->co : NULL;
}

static __always_inline int use(struct costack_co *co)
{
	if (co)
		bpf_costack_co_release(co);
	return 0;
}

/* References */

SEC("syscall")
__failure __msg("call bpf_costack_spawn_sleepable") __msg("Unreleased reference id=")
int leak_spawn_sleepable(void *ctx)
{
	return !bpf_costack_spawn_sleepable(1, 0);
}

SEC("tc")
__failure __msg("call bpf_costack_spawn") __msg("Unreleased reference id=")
int leak_spawn(struct __sk_buff *skb)
{
	return !bpf_costack_spawn(1, 0);
}

SEC("raw_tp")
__failure __msg("call bpf_costack_spawn_nolock") __msg("Unreleased reference id=")
int leak_spawn_nolock(void *ctx)
{
	return !bpf_costack_spawn_nolock(1, 0);
}

SEC("tc")
__failure __msg("call bpf_costack_co_acquire") __msg("Unreleased reference id=")
int leak_acquire(struct __sk_buff *skb)
{
	struct costack_co *co = bpf_costack_spawn(1, 0);

	if (co) {
		bpf_costack_co_acquire(co);
		bpf_costack_co_release(co);
	}
	return 0;
}

SEC("tc")
__failure __msg("call bpf_kptr_xchg") __msg("Unreleased reference id=")
int leak_from_map(struct __sk_buff *skb)
{
	u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &key);

	if (slot)
		bpf_kptr_xchg(&slot->co, NULL);
	return 0;
}

#define AFTER_RELEASE(name, call)						\
	SEC("tc")								\
	__released								\
	int name##_after_release(struct __sk_buff *skb)				\
	{									\
		struct costack_co *co = bpf_costack_spawn(1, 0);		\
		u64 word = 0;							\
										\
		if (!co)							\
			return 0;						\
		bpf_costack_co_release(co);					\
		call;								\
		return word;							\
	}

AFTER_RELEASE(release, bpf_costack_co_release(co))
AFTER_RELEASE(acquire, use(bpf_costack_co_acquire(co)))
AFTER_RELEASE(resume, bpf_costack_resume(co, 0, &word))
AFTER_RELEASE(resume_mem, bpf_costack_resume_mem(co, &word, sizeof(word), NULL))
AFTER_RELEASE(resume_skb, bpf_costack_resume_skb(co, skb, 0, 1, NULL))
AFTER_RELEASE(cancel, bpf_costack_cancel(co))
AFTER_RELEASE(state, bpf_costack_state(co))

SEC("xdp")
__released
int resume_xdp_after_release(struct xdp_md *xdp)
{
	struct costack_co *co = bpf_costack_spawn(1, 0);

	if (!co)
		return 0;
	bpf_costack_co_release(co);
	return bpf_costack_resume_xdp(co, xdp, 0, 1, NULL);
}

/* A NULL that was not looked for */

#define IF_NULL(name, call)							\
	SEC("tc")								\
	__failure __msg("Possibly NULL pointer passed to trusted {{arg0|R1}}")	\
	int name##_null(struct __sk_buff *skb)					\
	{									\
		struct costack_co *co = bpf_costack_spawn(1, 0);		\
		u64 word = 0;							\
										\
		call;								\
		use(co);							\
		return word;							\
	}

IF_NULL(acquire, use(bpf_costack_co_acquire(co)))
IF_NULL(resume, bpf_costack_resume(co, 0, &word))
IF_NULL(resume_mem, bpf_costack_resume_mem(co, &word, sizeof(word), NULL))
IF_NULL(resume_skb, bpf_costack_resume_skb(co, skb, 0, 1, NULL))
IF_NULL(cancel, bpf_costack_cancel(co))
IF_NULL(state, bpf_costack_state(co))

SEC("tc")
__failure __msg("Possibly NULL pointer passed to trusted {{arg0|R1}}")
int release_null(struct __sk_buff *skb)
{
	bpf_costack_co_release(bpf_costack_spawn(1, 0));
	return 0;
}

/* One that is in a map, and may be gone */

#define FROM_MAP(name, call)							\
	SEC("tc")								\
	__not_trusted(1)							\
	int name##_untrusted(struct __sk_buff *skb)				\
	{									\
		struct costack_co *co = untrusted();				\
		u64 word = 0;							\
										\
		if (co)								\
			call;							\
		return word;							\
	}

FROM_MAP(acquire, use(bpf_costack_co_acquire(co)))
FROM_MAP(resume, bpf_costack_resume(co, 0, &word))
FROM_MAP(resume_mem, bpf_costack_resume_mem(co, &word, sizeof(word), NULL))
FROM_MAP(resume_skb, bpf_costack_resume_skb(co, skb, 0, 1, NULL))
FROM_MAP(cancel, bpf_costack_cancel(co))
FROM_MAP(state, bpf_costack_state(co))

SEC("tc")
__failure __msg("{{R1 must be referenced or trusted|release kfunc bpf_costack_co_release expects referenced}}")
int release_untrusted(struct __sk_buff *skb)
{
	struct costack_co *co = untrusted();

	if (co)
		bpf_costack_co_release(co);
	return 0;
}

/* Something else */

#define STACK_FOR(name, call)							\
	SEC("tc")								\
	__not_a_co								\
	int name##_stack(struct __sk_buff *skb)					\
	{									\
		struct costack *cs = bpf_costack_alloc(512, 0);			\
		struct costack_co *co = (void *)cs;				\
		u64 word = 0;							\
										\
		if (!cs)							\
			return 0;						\
		call;								\
		bpf_costack_release(cs);					\
		return word;							\
	}

STACK_FOR(acquire, use(bpf_costack_co_acquire(co)))
STACK_FOR(resume, bpf_costack_resume(co, 0, &word))
STACK_FOR(resume_mem, bpf_costack_resume_mem(co, &word, sizeof(word), NULL))
STACK_FOR(resume_skb, bpf_costack_resume_skb(co, skb, 0, 1, NULL))
STACK_FOR(cancel, bpf_costack_cancel(co))
STACK_FOR(state, bpf_costack_state(co))

SEC("tc")
__not_a_co
int release_stack(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);

	if (cs)
		bpf_costack_co_release((void *)cs);
	return 0;
}

SEC("tc")
__failure __msg("{{.*}}costack{{.*}}costack_co")
int release_co_as_stack(struct __sk_buff *skb)
{
	struct costack_co *co = bpf_costack_spawn(1, 0);

	if (co)
		bpf_costack_release((void *)co);
	return 0;
}

/* What it keeps of its execution stack is a stack's memory, but not for programs. */
SEC("tc")
__failure __msg("call bpf_costack_frame")
__msg("expected pointer to STRUCT costack but R1 has a pointer to STRUCT costack_co")
int frame_of_co(struct __sk_buff *skb)
{
	struct costack_co *co = bpf_costack_spawn(1, 0);
	u8 *p;

	if (!co)
		return 0;
	p = bpf_costack_frame((void *)co, 0, 64);
	if (p)
		*p = 1;
	bpf_costack_co_release(co);
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_size")
__msg("expected pointer to STRUCT costack but R1 has a pointer to STRUCT costack_co")
int size_of_co(struct __sk_buff *skb)
{
	struct costack_co *co = bpf_costack_spawn(1, 0);
	u32 size;

	if (!co)
		return 0;
	size = bpf_costack_size((void *)co);
	bpf_costack_co_release(co);
	return size;
}

SEC("tc")
__failure __msg("call bpf_costack_acquire") __msg("STRUCT costack_co")
int acquire_of_co(struct __sk_buff *skb)
{
	struct costack_co *co = bpf_costack_spawn(1, 0);

	if (!co)
		return 0;
	bpf_costack_release(bpf_costack_acquire((void *)co));
	bpf_costack_co_release(co);
	return 0;
}

SEC("tc")
__failure __msg("{{expected pointer to ctx|arg#1 expected pointer to ctx}}")
int resume_skb_of_nothing(struct __sk_buff *skb)
{
	struct costack_co *co = bpf_costack_spawn(1, 0);

	if (!co)
		return 0;
	bpf_costack_resume_skb(co, (void *)co, 0, 1, NULL);
	bpf_costack_co_release(co);
	return 0;
}

SEC("xdp")
__failure __msg("expected pointer to ctx")
int resume_xdp_of_nothing(struct xdp_md *xdp)
{
	struct costack_co *co = bpf_costack_spawn(1, 0);

	if (!co)
		return 0;
	bpf_costack_resume_xdp(co, (void *)co, 0, 1, NULL);
	bpf_costack_co_release(co);
	return 0;
}

/* Memory */

SEC("tc")
__failure __msg("call bpf_costack_resume_mem") __msg("{{invalid .*access to stack|invalid read from stack}}")
int resume_mem_too_long(struct __sk_buff *skb)
{
	struct costack_co *co = bpf_costack_spawn(1, 0);
	u64 word = 0;

	if (!co)
		return 0;
	bpf_costack_resume_mem(co, &word, 16, NULL);
	bpf_costack_co_release(co);
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_resume") __msg("{{invalid .*access to stack|invalid read from stack}}")
int result_too_short(struct __sk_buff *skb)
{
	struct costack_co *co = bpf_costack_spawn(1, 0);
	u32 half = 0;

	if (!co)
		return 0;
	bpf_costack_resume(co, 0, (u64 *)&half);
	bpf_costack_co_release(co);
	return half;
}

SEC("tc")
__failure __msg("call bpf_costack_resume") __msg("write into map forbidden")
int result_constant(struct __sk_buff *skb)
{
	struct costack_co *co = bpf_costack_spawn(1, 0);

	if (!co)
		return 0;
	bpf_costack_resume(co, 0, (u64 *)&constant);
	bpf_costack_co_release(co);
	return 0;
}

SEC("syscall")
__failure __msg("{{only read is supported|cannot write into ptr_costack_co}}")
int handle_written(void *ctx)
{
	struct costack_co *co = bpf_costack_spawn_sleepable(1, 0);

	if (!co)
		return 0;
	*(volatile u64 *)co = 1;
	bpf_costack_co_release(co);
	return 0;
}

/* Programs of the wrong kind */

SEC("kprobe")
__not_allowed("bpf_costack_spawn")
int kprobe_spawn(void *ctx)
{
	return use(bpf_costack_spawn(1, 0));
}

SEC("fentry/bpf_fentry_test1")
__not_allowed("bpf_costack_spawn")
int fentry_spawn(void *ctx)
{
	return use(bpf_costack_spawn(1, 0));
}

SEC("perf_event")
__not_allowed("bpf_costack_spawn")
int perf_event_spawn(void *ctx)
{
	return use(bpf_costack_spawn(1, 0));
}

SEC("lsm/socket_bind")
__not_allowed("bpf_costack_spawn")
int lsm_spawn(void *ctx)
{
	return use(bpf_costack_spawn(1, 0));
}

SEC("tc")
__failure __msg("program must be sleepable to call sleepable kfunc bpf_costack_spawn_sleepable")
int tc_spawn_sleepable(struct __sk_buff *skb)
{
	return use(bpf_costack_spawn_sleepable(1, 0));
}

SEC("fentry/bpf_fentry_test1")
__failure __msg("program must be sleepable to call sleepable kfunc bpf_costack_spawn_sleepable")
int fentry_spawn_sleepable(void *ctx)
{
	return use(bpf_costack_spawn_sleepable(1, 0));
}

SEC("syscall")
__failure __msg("kernel func bpf_costack_spawn_sleepable is sleepable within rcu_read_lock region")
int spawn_sleepable_under_rcu(void *ctx)
{
	bpf_rcu_read_lock();
	use(bpf_costack_spawn_sleepable(1, 0));
	bpf_rcu_read_unlock();
	return 0;
}

SEC("syscall")
__failure __msg("kernel func bpf_costack_spawn_sleepable is sleepable within non-preemptible region")
int spawn_sleepable_without_preemption(void *ctx)
{
	bpf_preempt_disable();
	use(bpf_costack_spawn_sleepable(1, 0));
	bpf_preempt_enable();
	return 0;
}

SEC("xdp")
__not_allowed("bpf_costack_resume_skb")
int xdp_resume_skb(struct xdp_md *xdp)
{
	struct costack_co *co = bpf_costack_spawn(1, 0);

	if (!co)
		return 0;
	bpf_costack_resume_skb(co, (void *)xdp, 0, 1, NULL);
	bpf_costack_co_release(co);
	return 0;
}

SEC("tc")
__not_allowed("bpf_costack_resume_xdp")
int tc_resume_xdp(struct __sk_buff *skb)
{
	struct costack_co *co = bpf_costack_spawn(1, 0);

	if (!co)
		return 0;
	bpf_costack_resume_xdp(co, (void *)skb, 0, 1, NULL);
	bpf_costack_co_release(co);
	return 0;
}

SEC("kprobe")
__not_allowed("bpf_costack_resume_skb")
int kprobe_resume_skb(void *ctx)
{
	struct costack_co *co = bpf_costack_spawn_nolock(1, 0);

	if (!co)
		return 0;
	bpf_costack_resume_skb(co, ctx, 0, 1, NULL);
	bpf_costack_co_release(co);
	return 0;
}

/* The hook is that of cgroup_skb, too; but there is no skb. */
SEC("cgroup/bind4")
__failure __msg("call bpf_costack_resume_skb") __msg("{{arg#1|R2}}")
int sock_addr_resume_skb(void *ctx)
{
	struct costack_co *co = bpf_costack_spawn(1, 0);

	if (!co)
		return 1;
	bpf_costack_resume_skb(co, ctx, 0, 1, NULL);
	bpf_costack_co_release(co);
	return 1;
}

/* What is for bodies, elsewhere */

#define NOT_A_BODY(type, name, ...)						\
	SEC(type)								\
	__not_allowed("bpf_costack_" #name)					\
	int name##_not_a_body(struct __sk_buff *skb)				\
	{									\
		u64 word = 0;							\
		u32 key = 0;							\
										\
		bpf_costack_##name(__VA_ARGS__);				\
		return word + key;						\
	}

NOT_A_BODY("tc", yield, (void *)skb, 0)
NOT_A_BODY("tc", read, (void *)skb, &word, sizeof(word))
NOT_A_BODY("tc", read_some, (void *)skb, &word, sizeof(word))
NOT_A_BODY("tc", peek, (void *)skb, &word, sizeof(word))
NOT_A_BODY("tc", skip, (void *)skb, 1)
NOT_A_BODY("syscall", avail, (void *)skb)
NOT_A_BODY("syscall", local, (void *)skb, 0, 8)
NOT_A_BODY("syscall", call, (void *)skb, NULL, 0, NULL)
NOT_A_BODY("syscall", finish, (void *)skb, 0)
NOT_A_BODY("raw_tp", map_read, &slots, &key, sizeof(key), &word, sizeof(word))
NOT_A_BODY("raw_tp", map_add, &slots, &key, sizeof(key), 0, 1)
