// SPDX-License-Identifier: GPL-2.0
/*
 * What the verifier refuses whatever the program's type is: references that are
 * lost or used twice, memory that is not the program's, wrong pointers.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "costack.bpf.h"
#include "costack_misc.h"

struct slot {
	struct costack __kptr *cs;
	u64 word;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

struct task_slot {
	struct task_struct __kptr *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct task_slot);
} task_slots SEC(".maps");

volatile u32 var;

extern struct task_struct *bpf_task_from_pid(s32 pid) __weak __ksym;
extern void bpf_task_release(struct task_struct *task) __weak __ksym;

static struct slot *slot(void)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&slots, &key);
}

/* References */

SEC("syscall")
__failure __msg("call bpf_costack_alloc_sleepable") __msg("Unreleased reference id=")
int leak_alloc_sleepable(void *ctx)
{
	return !bpf_costack_alloc_sleepable(512, 0);
}

SEC("tc")
__failure __msg("call bpf_costack_alloc") __msg("Unreleased reference id=")
int leak_alloc(struct __sk_buff *skb)
{
	return !bpf_costack_alloc(512, 0);
}

SEC("raw_tp")
__failure __msg("call bpf_costack_alloc_nolock") __msg("Unreleased reference id=")
int leak_alloc_nolock(void *ctx)
{
	return !bpf_costack_alloc_nolock(512, 0);
}

SEC("tc")
__failure __msg("call bpf_costack_acquire") __msg("Unreleased reference id=")
int leak_acquire(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);

	if (cs) {
		bpf_costack_acquire(cs);
		bpf_costack_release(cs);
	}
	return 0;
}

SEC("tc")
__failure __msg("call bpf_kptr_xchg") __msg("Unreleased reference id=")
int leak_from_map(struct __sk_buff *skb)
{
	struct slot *s = slot();

	if (s)
		bpf_kptr_xchg(&s->cs, NULL);
	return 0;
}

SEC("tc")
__failure __msg("Unreleased reference id=")
int leak_on_one_path(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);

	if (!cs || skb->mark)
		return 0;
	bpf_costack_release(cs);
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_release") __msg("call bpf_costack_release")
__msg("{{(arg#0|R1) pointer type STRUCT costack must point to|release kfunc bpf_costack_release expects referenced}}")
int release_twice(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);

	if (cs) {
		bpf_costack_release(cs);
		bpf_costack_release(cs);
	}
	return 0;
}

SEC("tc")
__failure __msg("call bpf_kptr_xchg") __msg("call bpf_costack_release")
__msg("{{(arg#0|R1) pointer type STRUCT costack must point to|release kfunc bpf_costack_release expects referenced}}")
int release_after_xchg(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0), *old;
	struct slot *s = slot();

	if (cs && s) {
		old = bpf_kptr_xchg(&s->cs, cs);
		if (old)
			bpf_costack_release(old);
	}
	if (cs)
		bpf_costack_release(cs);
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_release") __msg("call bpf_costack_size")
__msg("{{(arg#0|R1) pointer type STRUCT costack must point to|R1 is scalar expected STRUCT costack}}")
int size_after_release(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);

	if (!cs)
		return 0;
	bpf_costack_release(cs);
	return bpf_costack_size(cs);
}

SEC("tc")
__failure __msg("call bpf_costack_release") __msg("call bpf_costack_acquire")
__msg("{{(arg#0|R1) pointer type STRUCT costack must point to|R1 is scalar expected STRUCT costack}}")
int acquire_after_release(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);

	if (cs) {
		bpf_costack_release(cs);
		bpf_costack_release(bpf_costack_acquire(cs));
	}
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_release") __msg("call bpf_costack_frame")
__msg("{{(arg#0|R1) pointer type STRUCT costack must point to|R1 is scalar expected STRUCT costack}}")
int frame_of_released(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);

	if (!cs)
		return 0;
	bpf_costack_release(cs);
	return !bpf_costack_frame(cs, 0, 8);
}

SEC("tc")
__failure __msg("call bpf_costack_release")
__msg("R2 type=scalar expected=ptr_, trusted_ptr_, rcu_ptr_")
int xchg_after_release(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	struct slot *s = slot();

	if (!cs)
		return 0;
	bpf_costack_release(cs);
	if (s) {
		cs = bpf_kptr_xchg(&s->cs, cs);
		if (cs)
			bpf_costack_release(cs);
	}
	return 0;
}

/* NULL */

SEC("syscall")
__failure __msg("call bpf_costack_release")
__msg("Possibly NULL pointer passed to trusted {{arg0|R1}}")
int release_null_sleepable(void *ctx)
{
	bpf_costack_release(bpf_costack_alloc_sleepable(512, 0));
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_release")
__msg("Possibly NULL pointer passed to trusted {{arg0|R1}}")
int release_null(struct __sk_buff *skb)
{
	bpf_costack_release(bpf_costack_alloc(512, 0));
	return 0;
}

SEC("raw_tp")
__failure __msg("call bpf_costack_release")
__msg("Possibly NULL pointer passed to trusted {{arg0|R1}}")
int release_null_nolock(void *ctx)
{
	bpf_costack_release(bpf_costack_alloc_nolock(512, 0));
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_release")
__msg("Possibly NULL pointer passed to trusted {{arg0|R1}}")
int release_null_from_map(struct __sk_buff *skb)
{
	struct slot *s = slot();

	if (s)
		bpf_costack_release(bpf_kptr_xchg(&s->cs, NULL));
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_acquire")
__msg("Possibly NULL pointer passed to trusted {{arg0|R1}}")
int acquire_null(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0), *more;

	more = bpf_costack_acquire(cs);
	bpf_costack_release(more);
	if (cs)
		bpf_costack_release(cs);
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_size")
__msg("Possibly NULL pointer passed to trusted {{arg0|R1}}")
int size_null(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	int size = bpf_costack_size(cs);

	if (cs)
		bpf_costack_release(cs);
	return size;
}

SEC("tc")
__failure __msg("call bpf_costack_frame")
__msg("Possibly NULL pointer passed to trusted {{arg0|R1}}")
int frame_null(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	u8 *p = bpf_costack_frame(cs, 0, 8);

	if (cs)
		bpf_costack_release(cs);
	return !p;
}

/* Frames */

SEC("tc")
__failure __msg("R0 invalid mem access 'mem_or_null'")
int frame_unchecked(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);

	if (cs) {
		*bpf_costack_frame(cs, 0, 8) = 1;
		bpf_costack_release(cs);
	}
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_release") __msg("R{{[0-9]}} invalid mem access 'scalar'")
int frame_after_release(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	u8 *p;

	if (!cs)
		return 0;
	p = bpf_costack_frame(cs, 0, 8);
	bpf_costack_release(cs);
	if (p)
		*p = 1;
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_release") __msg("R{{[0-9]}} invalid mem access 'scalar'")
int frame_read_after_release(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	u8 *p;

	if (!cs)
		return 0;
	p = bpf_costack_frame(cs, 0, 8);
	if (!p) {
		bpf_costack_release(cs);
		return 0;
	}
	bpf_costack_release(cs);
	return *p;
}

SEC("tc")
__failure __msg("call bpf_kptr_xchg") __msg("R{{[0-9]}} invalid mem access 'scalar'")
int frame_after_xchg(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	struct slot *s = slot();
	u8 *p;

	if (!cs)
		return 0;
	p = bpf_costack_frame(cs, 0, 8);
	if (!s || !p) {
		bpf_costack_release(cs);
		return 0;
	}
	cs = bpf_kptr_xchg(&s->cs, cs);
	if (cs)
		bpf_costack_release(cs);
	*p = 1;
	return 0;
}

SEC("tc")
__failure __msg("invalid access to memory, mem_size=64 off=64 size=1")
int frame_beyond_constant(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	u8 *p;

	if (!cs)
		return 0;
	p = bpf_costack_frame(cs, 0, 64);
	if (p)
		p[64] = 1;
	bpf_costack_release(cs);
	return 0;
}

SEC("tc")
__failure __msg("invalid access to memory, mem_size=64 off=60 size=8")
int frame_straddles_end(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	u8 *p;

	if (!cs)
		return 0;
	p = bpf_costack_frame(cs, 0, 64);
	if (p)
		*(u64 *)(p + 60) = 1;
	bpf_costack_release(cs);
	return 0;
}

SEC("tc")
__failure __msg("invalid access to memory, mem_size=64 off=-1 size=1")
int frame_before_begin(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	u8 *p;

	if (!cs)
		return 0;
	p = bpf_costack_frame(cs, 64, 64);
	if (p)
		p[-1] = 1;
	bpf_costack_release(cs);
	return 0;
}

SEC("tc")
__failure __msg("invalid access to memory, mem_size=64 off=64 size=1")
__msg("R0 max value is outside of the allowed memory range")
int frame_beyond_variable(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	u32 i = var;
	u8 *p;

	if (!cs)
		return 0;
	p = bpf_costack_frame(cs, 0, 64);
	if (p && i <= 64)
		p[i] = 1;
	bpf_costack_release(cs);
	return 0;
}

SEC("tc")
__failure __msg("R0 unbounded memory access")
int frame_unbounded(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	u32 i = var;
	u8 *p;

	if (!cs)
		return 0;
	p = bpf_costack_frame(cs, 0, 64);
	if (p)
		p[i] = 1;
	bpf_costack_release(cs);
	return 0;
}

SEC("tc")
__failure __msg("value -2147483648 makes mem pointer be out of bounds")
int frame_negative(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	s64 i = (s32)var;
	u8 *p;

	if (!cs)
		return 0;
	p = bpf_costack_frame(cs, 0, 64);
	if (p && i < 64)
		p[i] = 1;
	bpf_costack_release(cs);
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_frame") __msg("R3 is not a const")
int frame_size_variable(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	int ret;

	if (!cs)
		return 0;
	ret = !bpf_costack_frame(cs, 0, var & 63);
	bpf_costack_release(cs);
	return ret;
}

/* A slice of no length is no slice; what there is then may not be written to. */
SEC("tc")
__failure __msg("call bpf_costack_frame")
__msg("{{R0 cannot write into rdonly_mem|mem_size=0 off=0 size=1}}")
int frame_size_zero(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	u8 *p;

	if (!cs)
		return 0;
	p = bpf_costack_frame(cs, 0, 0);
	if (p)
		*p = 1;
	bpf_costack_release(cs);
	return 0;
}

SEC("tc")
__failure __msg("store to referenced kptr disallowed")
int frame_stored_as_kptr(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	struct slot *s = slot();
	u8 *p;

	if (!cs)
		return 0;
	p = bpf_costack_frame(cs, 0, 64);
	if (p && s)
		*(volatile u64 *)&s->cs = (u64)p;
	bpf_costack_release(cs);
	return 0;
}

SEC("tc")
__failure __msg("call bpf_kptr_xchg")
__msg("R2 type=mem expected=ptr_, trusted_ptr_, rcu_ptr_")
int frame_xchg_into_map(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0), *old;
	struct slot *s = slot();
	u8 *p;

	if (!cs)
		return 0;
	p = bpf_costack_frame(cs, 0, 64);
	if (p && s) {
		old = bpf_kptr_xchg(&s->cs, (struct costack *)p);
		if (old)
			bpf_costack_release(old);
	}
	bpf_costack_release(cs);
	return 0;
}

/* A privileged program may store the number; it is no pointer when it is read. */
SEC("tc")
__failure __msg("R1 invalid mem access 'scalar'")
int frame_stored_as_number(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	struct slot *s = slot();
	u8 *p;

	if (!cs)
		return 0;
	p = bpf_costack_frame(cs, 0, 64);
	if (p && s) {
		*(volatile u64 *)&s->word = (u64)p;
		p = (u8 *)*(volatile u64 *)&s->word;
		*p = 1;
	}
	bpf_costack_release(cs);
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_size")
__msg("{{(arg#0|R1) pointer type STRUCT costack must point to|R1 is mem expected STRUCT costack}}")
int frame_as_handle(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);
	u8 *p;
	u32 size = 0;

	if (!cs)
		return 0;
	p = bpf_costack_frame(cs, 0, 64);
	if (p)
		size = bpf_costack_size((struct costack *)p);
	bpf_costack_release(cs);
	return size;
}

/* Pointers that are not a reference to a stack */

SEC("syscall")
__failure __msg("{{only read is supported|cannot write into ptr_costack}}")
int handle_written(void *ctx)
{
	struct costack *cs = bpf_costack_alloc_sleepable(512, 0);

	if (!cs)
		return 0;
	*(volatile u64 *)cs = 1;
	bpf_costack_release(cs);
	return 0;
}

SEC("tc")
__failure __msg("R1 must have zero offset when passed to release func")
int handle_moved(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);

	if (cs)
		bpf_costack_release((void *)cs + 8);
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_size") __msg("R1 must be referenced or trusted")
int untrusted_size(struct __sk_buff *skb)
{
	struct slot *s = slot();
	struct costack *cs = s ? s->cs : NULL;

	return cs ? bpf_costack_size(cs) : 0;
}

SEC("tc")
__failure __msg("call bpf_costack_frame") __msg("R1 must be referenced or trusted")
int untrusted_frame(struct __sk_buff *skb)
{
	struct slot *s = slot();
	struct costack *cs = s ? s->cs : NULL;

	return cs ? !bpf_costack_frame(cs, 0, 8) : 0;
}

SEC("tc")
__failure __msg("call bpf_costack_acquire") __msg("R1 must be referenced or trusted")
int untrusted_acquire(struct __sk_buff *skb)
{
	struct slot *s = slot();
	struct costack *cs = s ? s->cs : NULL;

	if (cs)
		bpf_costack_release(bpf_costack_acquire(cs));
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_release")
__msg("{{R1 must be referenced or trusted|release kfunc bpf_costack_release expects referenced}}")
int untrusted_release(struct __sk_buff *skb)
{
	struct slot *s = slot();
	struct costack *cs = s ? s->cs : NULL;

	if (cs)
		bpf_costack_release(cs);
	return 0;
}

SEC("tc")
__failure __msg("call bpf_costack_size") __msg("R1 must be referenced or trusted")
int untrusted_under_rcu(struct __sk_buff *skb)
{
	struct slot *s = slot();
	struct costack *cs;
	u32 size = 0;

	bpf_rcu_read_lock();
	cs = s ? s->cs : NULL;
	if (cs)
		size = bpf_costack_size(cs);
	bpf_rcu_read_unlock();
	return size;
}

SEC("fentry/costack_put")
__failure __msg("call bpf_costack_size") __msg("R1 must be referenced or trusted")
int BPF_PROG(argument_size, struct costack *cs)
{
	return bpf_costack_size(cs);
}

SEC("fentry/costack_put")
__failure __msg("call bpf_costack_frame") __msg("R1 must be referenced or trusted")
int BPF_PROG(argument_frame, struct costack *cs)
{
	return !bpf_costack_frame(cs, 0, 8);
}

SEC("fentry/costack_put")
__failure __msg("call bpf_costack_acquire") __msg("R1 must be referenced or trusted")
int BPF_PROG(argument_acquire, struct costack *cs)
{
	bpf_costack_release(bpf_costack_acquire(cs));
	return 0;
}

SEC("fentry/costack_put")
__failure __msg("call bpf_costack_release")
__msg("{{R1 must be referenced or trusted|release kfunc bpf_costack_release expects referenced}}")
int BPF_PROG(argument_release, struct costack *cs)
{
	bpf_costack_release(cs);
	return 0;
}

/* The tracepoint's argument is not of the handle's type, for this very reason. */
SEC("tp_btf/costack_free")
__failure
__msg("{{(arg#0|R1) pointer type STRUCT costack must point to|R1 is scalar expected STRUCT costack}}")
int BPF_PROG(argument_of_tracepoint, const void *stack)
{
	bpf_costack_release(bpf_costack_acquire((struct costack *)stack));
	return 0;
}

SEC("tc")
__failure
__msg("{{(arg#0|R1) pointer type STRUCT costack must point to|R1 is scalar expected STRUCT costack}}")
int number_size(struct __sk_buff *skb)
{
	return bpf_costack_size((struct costack *)(u64)skb->mark);
}

SEC("tc")
__failure
__msg("{{(arg#0|R1) pointer type STRUCT costack must point to|R1 is ctx expected STRUCT costack}}")
int context_size(struct __sk_buff *skb)
{
	return bpf_costack_size((struct costack *)skb);
}

SEC("tc")
__failure
__msg("{{(arg#0|R1) pointer type STRUCT costack must point to|R1 is map_value expected STRUCT costack}}")
int map_value_size(struct __sk_buff *skb)
{
	struct slot *s = slot();

	return s ? bpf_costack_size((struct costack *)s) : 0;
}

SEC("syscall")
__failure
__msg("kernel function bpf_costack_size {{args#0|R1}} expected pointer to STRUCT costack but R1 has a pointer to STRUCT task_struct")
int other_type_size(void *ctx)
{
	return bpf_costack_size((struct costack *)bpf_get_current_task_btf());
}

SEC("syscall")
__failure
__msg("kernel function bpf_costack_frame {{args#0|R1}} expected pointer to STRUCT costack but R1 has a pointer to STRUCT task_struct")
int other_type_frame(void *ctx)
{
	return !bpf_costack_frame((struct costack *)bpf_get_current_task_btf(), 0, 8);
}

SEC("syscall")
__failure
__msg("kernel function bpf_costack_release {{args#0|R1}} expected pointer to STRUCT costack but R1 has a pointer to STRUCT task_struct")
int other_type_release(void *ctx)
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (task)
		bpf_costack_release((struct costack *)task);
	return 0;
}

SEC("syscall")
__failure
__msg("kernel function bpf_costack_acquire {{args#0|R1}} expected pointer to STRUCT costack but R1 has a pointer to STRUCT task_struct")
int other_type_acquire(void *ctx)
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (task) {
		bpf_costack_release(bpf_costack_acquire((struct costack *)task));
		bpf_task_release(task);
	}
	return 0;
}

SEC("tc")
__failure
__msg("kernel function bpf_task_release {{args#0|R1}} expected pointer to STRUCT task_struct but R1 has a pointer to STRUCT costack")
int released_as_other_type(struct __sk_buff *skb)
{
	struct costack *cs = bpf_costack_alloc(512, 0);

	if (cs)
		bpf_task_release((struct task_struct *)cs);
	return 0;
}

SEC("syscall")
__failure
__msg("kernel function bpf_costack_release {{args#0|R1}} expected pointer to STRUCT costack but R1 has a pointer to STRUCT slot")
int own_type_release(void *ctx)
{
	struct costack *cs = bpf_obj_new_impl(bpf_core_type_id_local(struct slot), NULL);

	if (cs)
		bpf_costack_release(cs);
	return 0;
}

SEC("syscall")
__failure __msg("call bpf_obj_drop_impl")
__msg("{{arg#0|R1}} expected pointer to allocated object")
int released_as_own_type(void *ctx)
{
	struct costack *cs = bpf_costack_alloc_sleepable(512, 0);

	if (cs)
		bpf_obj_drop_impl(cs, NULL);
	return 0;
}

SEC("syscall")
__failure
__msg("invalid kptr access, R2 type={{(trusted_)?}}ptr_costack expected=ptr_task_struct")
int kept_as_other_type(void *ctx)
{
	struct costack *cs = bpf_costack_alloc_sleepable(512, 0);
	struct task_slot *s;
	struct task_struct *old;
	u32 key = 0;

	if (!cs)
		return 0;
	s = bpf_map_lookup_elem(&task_slots, &key);
	if (!s) {
		bpf_costack_release(cs);
		return 0;
	}
	old = bpf_kptr_xchg(&s->task, (struct task_struct *)cs);
	if (old)
		bpf_task_release(old);
	return 0;
}

SEC("syscall")
__failure
__msg("invalid kptr access, R2 type={{(trusted_)?}}ptr_task_struct expected=ptr_costack")
int other_type_kept(void *ctx)
{
	struct task_struct *task = bpf_task_from_pid(1);
	struct costack *old;
	struct slot *s;

	if (!task)
		return 0;
	s = slot();
	if (!s) {
		bpf_task_release(task);
		return 0;
	}
	old = bpf_kptr_xchg(&s->cs, (struct costack *)task);
	if (old)
		bpf_costack_release(old);
	return 0;
}

char _license[] SEC("license") = "GPL";
