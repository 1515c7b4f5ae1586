// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies that are refused when they are loaded: by the verifier, or by the module, which says
 * in the kernel's log why.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "costack.bpf.h"
#include "costack_misc.h"

char _license[] SEC("license") = "GPL";

#define __no_helper	__failure __msg("{{program of this type cannot use helper|unknown func}}")
#define __no_kfunc(name) __failure __klog("body {{.*}}: " name "() cannot be called by a body")
#define __log(text)	__failure __klog("body {{.*}}: instruction {{[0-9]+}}: " text)

extern struct task_struct *bpf_task_from_pid(s32 pid) __weak __ksym;
extern void bpf_task_release(struct task_struct *task) __weak __ksym;
extern void bpf_throw(u64 cookie) __weak __ksym;
extern void bpf_local_irq_save(unsigned long *flags) __weak __ksym;
extern void bpf_local_irq_restore(unsigned long *flags) __weak __ksym;

struct value {
	u64 number;
	u64 more;
};

struct object {
	u64 number;
	struct costack_co __kptr *co;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, struct value);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} progs SEC(".maps");

u32 var;
const volatile u64 constant;
static struct bpf_spin_lock lock SEC(".data.lock");
static struct bpf_timer timer SEC(".data.timer");
static struct costack_co __kptr *kept SEC(".data.kept");

/* What leaves a pointer that a wait makes wrong */

BODY(bad_lookup, __no_helper)
{
	u32 key = 0;
	struct value *v = bpf_map_lookup_elem(&hash, &key);

	bpf_costack_yield(self, 0);
	return v ? v->number : 0;
}

BODY(bad_current_task, __no_helper)
{
	return (long)bpf_get_current_task_btf();
}

BODY(bad_ringbuf_reserve, __no_helper)
{
	u64 *p = bpf_ringbuf_reserve(&ring, 8, 0);

	bpf_costack_yield(self, 0);
	if (p)
		bpf_ringbuf_discard(p, 0);
	return 0;
}

BODY(bad_task_from_pid, __no_kfunc("bpf_task_from_pid"))
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (task)
		bpf_task_release(task);
	return 0;
}

/* What goes elsewhere */

BODY(bad_tail_call, __failure
	__msg("{{Sleepable programs can only use array, hash|cannot use helper bpf_tail_call}}"))
{
	bpf_tail_call((void *)&arg, &progs, 0);
	return 0;
}

BODY(bad_throw, __no_kfunc("bpf_throw"))
{
	if (arg)
		bpf_throw(arg);
	return 0;
}

static int callback(u32 i, void *ctx)
{
	return 0;
}

BODY(bad_loop, __log("callbacks cannot be in a body"))
{
	bpf_loop(10, callback, NULL, 0);
	return 0;
}

BODY(bad_timer_callback, __log("callbacks cannot be in a body"))
{
	bpf_timer_set_callback(&timer, callback);
	return 0;
}

BODY(bad_timer, __no_helper)
{
	return bpf_timer_start(&timer, 0, 0);
}

static int in_map(void *map, u32 *key, struct value *value, void *ctx)
{
	return 0;
}

BODY(bad_for_each, __log("callbacks cannot be in a body"))
{
	bpf_for_each_map_elem(&hash, in_map, NULL, 0);
	return 0;
}

BODY(bad_can_loop, __log("may_goto (can_loop, cond_break) cannot be in a body"))
{
	while (costack_can_loop)
		bpf_costack_yield(self, 0);
	return 0;
}

/* What sleeps */

BODY(bad_copy_from_user, __no_helper)
{
	u64 word = 0;

	bpf_copy_from_user(&word, sizeof(word), (void *)arg);
	return word;
}

BODY(bad_probe_read_user, __no_helper)
{
	u64 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)arg);
	return word;
}

BODY(bad_alloc_sleepable, __log("a module's kfunc (BTF id {{[0-9]+}}) cannot be called by a body"))
{
	struct costack *cs = bpf_costack_alloc_sleepable(512, 0);

	if (cs)
		bpf_costack_release(cs);
	return 0;
}

BODY(bad_spawn_sleepable, __log("a module's kfunc"))
{
	struct costack_co *co = bpf_costack_spawn_sleepable(1, 0);

	if (co)
		bpf_costack_co_release(co);
	return 0;
}

BODY(bad_spawn, __log("a module's kfunc"))
{
	struct costack_co *co = bpf_costack_spawn(1, 0);

	if (co)
		bpf_costack_co_release(co);
	return 0;
}

/* A body has bpf_costack_call(). */
BODY(bad_resume, __log("a module's kfunc"))
{
	struct costack_co *co = bpf_costack_spawn_nolock(1, 0);

	if (co) {
		bpf_costack_resume(co, 0, NULL);
		bpf_costack_co_release(co);
	}
	return 0;
}

BODY(bad_cancel, __log("a module's kfunc"))
{
	struct costack_co *co = bpf_costack_spawn_nolock(1, 0);

	if (co) {
		bpf_costack_cancel(co);
		bpf_costack_co_release(co);
	}
	return 0;
}

/* Deep in a function, of either kind */

static __noinline int deep(u64 arg)
{
	struct task_struct *task = bpf_task_from_pid(arg);

	if (task)
		bpf_task_release(task);
	return 0;
}

BODY(bad_in_function, __no_kfunc("bpf_task_from_pid"))
{
	return deep(arg) + deep(arg + 1);
}

__noinline int deep_global(u64 arg)
{
	u32 key = arg;

	return !bpf_map_lookup_elem(&hash, &key);
}

BODY(bad_in_global_function, __no_helper)
{
	return deep_global(arg);
}

/* What does not end as it must */

int bad_plain(unsigned long long *ctx);
TEST_OPS(bad_plain);
SEC("struct_ops.s/bad_plain")
__log("exit without bpf_costack_finish(): define it with COSTACK_BODY()")
int BPF_PROG(bad_plain, struct costack_self *self, u64 arg)
{
	return bpf_costack_yield(self, 0);
}

int bad_around(unsigned long long *ctx);
TEST_OPS(bad_around);
SEC("struct_ops.s/bad_around")
__log("exit without bpf_costack_finish(): define it with COSTACK_BODY()")
int bad_around(unsigned long long *ctx)
{
	struct costack_self *self = (void *)ctx[0];

	if (bpf_costack_yield(self, 0))
		return 0;
	return bpf_costack_finish(self, 0);
}

int bad_two_exits(unsigned long long *ctx);
TEST_OPS(bad_two_exits);
SEC("struct_ops.s/bad_two_exits")
__log("exit without bpf_costack_finish(): define it with COSTACK_BODY()")
int bad_two_exits(unsigned long long *ctx)
{
	struct costack_self *self = (void *)ctx[0];

	if (bpf_costack_yield(self, 0))
		asm volatile ("r0 = 0; exit;" ::: "r0");
	return bpf_costack_finish(self, 0);
}

int bad_not_sleepable(unsigned long long *ctx);
TEST_OPS(bad_not_sleepable);
SEC("struct_ops/bad_not_sleepable")
__failure __klog("body {{.*}}: must be in a section struct_ops.s/...: define it with COSTACK_BODY()")
int bad_not_sleepable(unsigned long long *ctx)
{
	return bpf_costack_finish((void *)ctx[0], 0);
}

/* Waits where something is held */

BODY(bad_yield_rcu, __failure
	__msg("kernel func bpf_costack_yield is sleepable within rcu_read_lock region"))
{
	bpf_rcu_read_lock();
	bpf_costack_yield(self, 0);
	bpf_rcu_read_unlock();
	return 0;
}

BODY(bad_read_rcu, __failure
	__msg("kernel func bpf_costack_read is sleepable within rcu_read_lock region"))
{
	u64 word = 0;

	bpf_rcu_read_lock();
	bpf_costack_read(self, &word, sizeof(word));
	bpf_rcu_read_unlock();
	return word;
}

BODY(bad_read_some_rcu, __failure
	__msg("kernel func bpf_costack_read_some is sleepable within rcu_read_lock region"))
{
	u64 word = 0;

	bpf_rcu_read_lock();
	bpf_costack_read_some(self, &word, sizeof(word));
	bpf_rcu_read_unlock();
	return word;
}

BODY(bad_skip_rcu, __failure
	__msg("kernel func bpf_costack_skip is sleepable within rcu_read_lock region"))
{
	bpf_rcu_read_lock();
	bpf_costack_skip(self, 1);
	bpf_rcu_read_unlock();
	return 0;
}

BODY(bad_call_rcu, __failure
	__msg("kernel func bpf_costack_call is sleepable within rcu_read_lock region"))
{
	struct costack_co *co = bpf_costack_spawn_nolock(1, 0);

	if (!co)
		return 0;
	bpf_rcu_read_lock();
	bpf_costack_call(self, co, 0, NULL);
	bpf_rcu_read_unlock();
	bpf_costack_co_release(co);
	return 0;
}

BODY(bad_yield_preempt, __failure
	__msg("kernel func bpf_costack_yield is sleepable within non-preemptible region"))
{
	bpf_preempt_disable();
	bpf_costack_yield(self, 0);
	bpf_preempt_enable();
	return 0;
}

BODY(bad_read_preempt, __failure
	__msg("kernel func bpf_costack_read is sleepable within non-preemptible region"))
{
	u64 word = 0;

	bpf_preempt_disable();
	bpf_costack_read(self, &word, sizeof(word));
	bpf_preempt_enable();
	return word;
}

BODY(bad_finish_rcu, __failure __msg("{{rcu_read_lock region|inside bpf_rcu_read_lock}}"))
{
	bpf_rcu_read_lock();
	return 0;
}

BODY(bad_finish_preempt, __failure __msg("non-preemptible region"))
{
	bpf_preempt_disable();
	return 0;
}

/* Who runs a body may have interrupted the one who holds the lock. */
BODY(bad_lock, __no_helper)
{
	bpf_spin_lock(&lock);
	bpf_spin_unlock(&lock);
	return 0;
}

BODY(bad_irq_save, __needs(6.14) __no_kfunc("bpf_local_irq_save"))
{
	unsigned long flags;

	bpf_local_irq_save(&flags);
	bpf_costack_yield(self, 0);
	bpf_local_irq_restore(&flags);
	return 0;
}

/* Pointers */

BODY(bad_self_written, __failure __msg("{{only read is supported|cannot write into}}"))
{
	*(volatile u64 *)&self->value = 1;
	return 0;
}

BODY(bad_self_null, __failure __msg("Possibly NULL pointer passed to trusted {{arg0|R1}}"))
{
	return bpf_costack_yield(NULL, 0);
}

BODY(bad_self_number, __failure
	__msg("{{(arg#0|R1) pointer type STRUCT costack_self must point to|R1 is scalar expected STRUCT costack_self}}"))
{
	return bpf_costack_yield((void *)arg, 0);
}

BODY(bad_self_moved, __failure __msg("call bpf_costack_yield")
	__msg("expected pointer to STRUCT costack_self but R1 has a pointer to STRUCT costack_self"))
{
	return bpf_costack_yield((void *)self + 8, 0);
}

BODY(bad_self_other, __failure __msg("call bpf_costack_yield")
	__msg("expected {{pointer to |}}STRUCT costack_self"))
{
	struct costack_co *co = bpf_costack_spawn_nolock(1, 0);
	int ret;

	if (!co)
		return 0;
	ret = bpf_costack_yield((void *)co, 0);
	bpf_costack_co_release(co);
	return ret;
}

BODY(bad_read_too_much, __failure __msg("call bpf_costack_read")
	__msg("{{invalid .*access to stack|invalid read from stack}}"))
{
	u64 word = 0;

	bpf_costack_read(self, &word, 16);
	return word;
}

BODY(bad_read_constant, __failure __msg("call bpf_costack_read")
	__msg("{{write into map forbidden|cannot write into}}"))
{
	return bpf_costack_read(self, (void *)&constant, sizeof(constant));
}

BODY(bad_read_null, __failure __msg("call bpf_costack_read")
	__msg("Possibly NULL pointer passed to trusted {{arg1|R2}}"))
{
	return bpf_costack_read(self, NULL, 8);
}

BODY(bad_read_number, __failure __msg("call bpf_costack_read")
	__msg("R2 type=scalar expected=fp"))
{
	return bpf_costack_read(self, (void *)arg, 8);
}

BODY(bad_read_unbounded, __failure __msg("{{unbounded memory access|min value is negative|bounded}}"))
{
	u64 word = 0;

	bpf_costack_read(self, &word, arg);
	return word;
}

BODY(bad_read_some_too_much, __failure __msg("{{invalid .*access to stack|invalid read from stack}}"))
{
	u64 word = 0;

	bpf_costack_read_some(self, &word, 16);
	return word;
}

BODY(bad_peek_too_much, __failure __msg("{{invalid .*access to stack|invalid read from stack}}"))
{
	u64 word = 0;

	bpf_costack_peek(self, &word, 16);
	return word;
}

BODY(bad_skip_self, __failure __msg("{{R1 is scalar expected|must point to}}"))
{
	return bpf_costack_skip((void *)arg, 1);
}

BODY(bad_avail_self, __failure __msg("{{R1 is scalar expected|must point to}}"))
{
	return bpf_costack_avail((void *)arg);
}

BODY(bad_finish_self, __failure __msg("{{R1 is scalar expected|must point to}}"))
{
	self = (void *)arg;
	barrier_var(self);
	return bpf_costack_local(self, 0, 8) ? 1 : 0;
}

BODY(bad_local_unchecked, __failure __msg("R0 invalid mem access 'mem_or_null'"))
{
	*bpf_costack_local(self, 0, 8) = 1;
	return 0;
}

BODY(bad_local_beyond, __failure __msg("invalid access to memory, mem_size=8 off=8 size=1"))
{
	u8 *p = bpf_costack_local(self, 0, 8);

	if (p)
		p[8] = 1;
	return 0;
}

BODY(bad_local_before, __failure __msg("invalid access to memory, mem_size=8 off=-1 size=1"))
{
	u8 *p = bpf_costack_local(self, 8, 8);

	if (p)
		p[-1] = 1;
	return 0;
}

BODY(bad_local_variable, __failure __msg("R3 is not a const"))
{
	return !bpf_costack_local(self, 0, arg & 63);
}

/* References */

BODY(bad_leak_spawn, __failure __msg("call bpf_costack_spawn_nolock")
	__msg("Unreleased reference id="))
{
	return !bpf_costack_spawn_nolock(1, 0);
}

BODY(bad_leak_stack, __failure __msg("call bpf_costack_alloc_nolock")
	__msg("Unreleased reference id="))
{
	return !bpf_costack_alloc_nolock(512, 0);
}

/* The verifier takes a wait for a call that returns: what is owned must be given back. */
BODY(bad_leak_cancelled, __failure __msg("Unreleased reference id="))
{
	struct costack *cs = bpf_costack_alloc_nolock(512, 0);

	if (!cs)
		return 0;
	if (bpf_costack_yield(self, 0))
		return -1;
	bpf_costack_release(cs);
	return 0;
}

BODY(bad_call_released, __failure __msg("call bpf_costack_co_release")
	__msg("{{must point to|R2 is scalar expected STRUCT costack_co}}"))
{
	struct costack_co *co = bpf_costack_spawn_nolock(1, 0);

	if (!co)
		return 0;
	bpf_costack_co_release(co);
	return bpf_costack_call(self, co, 0, NULL);
}

BODY(bad_call_null, __failure __msg("call bpf_costack_call")
	__msg("Possibly NULL pointer passed to trusted {{arg1|R2}}"))
{
	struct costack_co *co = bpf_costack_spawn_nolock(1, 0);

	bpf_costack_call(self, co, 0, NULL);
	if (co)
		bpf_costack_co_release(co);
	return 0;
}

BODY(bad_call_untrusted, __failure __msg("call bpf_costack_call")
	__msg("R2 must be referenced or trusted"))
{
	struct costack_co *co = kept;

	return co ? bpf_costack_call(self, co, 0, NULL) : 0;
}

BODY(bad_call_self, __failure __msg("call bpf_costack_call")
	__msg("expected {{pointer to |}}STRUCT costack_co"))
{
	return bpf_costack_call(self, (void *)self, 0, NULL);
}

BODY(bad_call_result, __failure __msg("call bpf_costack_call")
	__msg("{{invalid .*access to stack|invalid read from stack}}"))
{
	struct costack_co *co = bpf_costack_spawn_nolock(1, 0);
	u32 half = 0;

	if (!co)
		return 0;
	bpf_costack_call(self, co, 0, (u64 *)&half);
	bpf_costack_co_release(co);
	return half;
}

/* Maps */

BODY(bad_map_null, __failure __msg("call bpf_costack_map_read")
	__msg("Possibly NULL pointer passed to trusted {{arg0|R1}}"))
{
	u64 word = 0;
	u32 key = 0;

	return bpf_costack_map_read(NULL, &key, sizeof(key), &word, sizeof(word));
}

BODY(bad_map_self, __failure __msg("call bpf_costack_map_read")
	__msg("{{expected (pointer to )?STRUCT bpf_map|isn't map pointer}}"))
{
	u64 word = 0;
	u32 key = 0;

	return bpf_costack_map_read(self, &key, sizeof(key), &word, sizeof(word));
}

BODY(bad_map_memory, __failure __msg("call bpf_costack_map_read")
	__msg("{{R1 must be referenced or trusted|R1 is map_value expected STRUCT bpf_map}}"))
{
	u64 word = 0;
	u32 key = 0;

	return bpf_costack_map_read(&var, &key, sizeof(key), &word, sizeof(word));
}

BODY(bad_map_key, __failure __msg("{{invalid .*access to stack|invalid read from stack}}"))
{
	u64 word = 0;
	u32 key = 0;

	return bpf_costack_map_read(&hash, &key, 16, &word, sizeof(word));
}

BODY(bad_map_value, __failure __msg("{{write into map forbidden|cannot write into}}"))
{
	u32 key = 0;

	return bpf_costack_map_read(&hash, &key, sizeof(key), (void *)&constant,
				    sizeof(constant));
}

BODY(bad_map_add_self, __failure __msg("call bpf_costack_map_add")
	__msg("{{expected (pointer to )?STRUCT bpf_map|isn't map pointer}}"))
{
	u32 key = 0;

	return bpf_costack_map_add(self, &key, sizeof(key), 0, 1);
}

/* Memory of the program that looks like what is asked for */

BODY(bad_self_stack, __failure __msg("call bpf_costack_yield")
	__msg("{{must point to scalar|R1 is [a-z_]+ expected STRUCT costack_self}}"))
{
	struct costack_self fake = {};

	return bpf_costack_yield(&fake, 0);
}

static struct costack_self fake_self;

BODY(bad_self_global, __failure __msg("call bpf_costack_avail")
	__msg("{{must point to scalar|R1 is [a-z_]+ expected STRUCT costack_self}}"))
{
	return bpf_costack_avail(&fake_self);
}

BODY(bad_self_local, __failure __msg("call bpf_costack_avail")
	__msg("{{must point to scalar|R1 is [a-z_]+ expected STRUCT costack_self}}"))
{
	struct costack_self *fake = (void *)bpf_costack_local(self, 0, 64);

	return fake ? bpf_costack_avail(fake) : 0;
}

/* The part of another coroutine that is its body's */
BODY(bad_self_member, __failure __msg("call bpf_costack_yield")
	__msg("expected pointer to STRUCT costack_self but R1 has a pointer to STRUCT costack_co"))
{
	struct costack_co *co = bpf_costack_spawn_nolock(1, 0);
	int ret;

	if (!co)
		return 0;
	ret = bpf_costack_yield(&co->self, 0);
	bpf_costack_co_release(co);
	return ret;
}
