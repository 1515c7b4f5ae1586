// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that try to get out: at memory that is not theirs, at pointers whose time is over, at
 * the kernel's locks. What kfunc_fail, co_fail, co_bad and context_fail try is not here
 * again.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "costack.bpf.h"
#include "costack_misc.h"

char _license[] SEC("license") = "GPL";

#define __not_null(n)	__failure						\
	__msg("Possibly NULL pointer passed to trusted {{arg" #n "|R[0-9]}}")
#define __not_trusted	__failure __msg("R1 must be referenced or trusted")
#define __no_helper	__failure						\
	__msg("{{program of this type cannot use helper [a-z_#0-9]+|unknown func [a-z_#0-9]+}}")
#define __read_only	__failure __msg("{{only read is supported|cannot write into|may write into memory}}")
#define __not_ctx	__failure __msg("{{invalid bpf_context access|type=ctx expected=}}")

extern void *bpf_refcount_acquire_impl(void *obj, void *meta) __weak __ksym;
extern void *bpf_rdonly_cast(const void *obj, u32 btf_id) __weak __ksym;

/* Types as the kernel has them, by their names there */

struct bpf_map {
	struct bpf_map *inner_map_meta;
} __attribute__((preserve_access_index));

struct costack_co___kernel {
	struct costack_co *caller;
	struct costack *frame;
} __attribute__((preserve_access_index));

struct slot {
	struct costack_co __kptr *co;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, u64);
} hash SEC(".maps");

struct object {
	u64 number;
	struct bpf_refcount ref;
};

struct shared {
	struct bpf_spin_lock lock;
	struct object __kptr *object;
};

static struct shared shared SEC(".data.shared");
/* So that the type is known. */
static struct object unused SEC(".data.unused");

/* Pointers that may be NULL, or whose memory may be gone, to functions that read or write there */

BODY(map_key_null, __not_null(1) __attempt("a map's key that may be NULL"))
{
	void *key = bpf_costack_local(self, -1, 4);
	u64 value = 0;

	return bpf_costack_map_read(&hash, key, 4, &value, sizeof(value));
}

BODY(map_value_null, __not_null(3) __attempt("a value to read to that may be NULL"))
{
	void *value = bpf_costack_local(self, -1, 8);
	u32 key = 0;

	return bpf_costack_map_read(&hash, &key, sizeof(key), value, 8);
}

BODY(map_add_key_null, __not_null(1) __attempt("a key to add at that may be NULL"))
{
	void *key = bpf_costack_local(self, -1, 4);

	return bpf_costack_map_add(&hash, key, 4, 0, 1);
}

BODY(map_walked, __not_trusted __attempt("read a map found by walking the kernel's structs"))
{
	struct bpf_map *map = ((struct bpf_map *)&hash)->inner_map_meta;
	u64 value = 0;
	u32 key = 0;

	return bpf_costack_map_read(map, &key, sizeof(key), &value, sizeof(value));
}

BODY(map_add_walked, __not_trusted __attempt("add to a map found by walking"))
{
	struct bpf_map *map = ((struct bpf_map *)&hash)->inner_map_meta;
	u32 key = 0;

	return bpf_costack_map_add(map, &key, sizeof(key), 0, 1);
}

/* Waits in a section, by way of a function that the verifier looks at by itself */

static __noinline int wait_below(unsigned long long *ctx)
{
	return bpf_costack_yield((void *)ctx[0], 0);
}

__noinline int wait_global(unsigned long long *ctx __arg_ctx)
{
	return wait_below(ctx);
}

#define RAW_BODY(name, ...)							\
	int name(unsigned long long *ctx);					\
	TEST_OPS(name);								\
	SEC("struct_ops.s/" #name)						\
	__VA_ARGS__ int name(unsigned long long *ctx)

RAW_BODY(wait_in_section, __failure
	__klog("an RCU section cannot be in a body with global functions: make them static")
	__attempt("wait in an RCU section, in a global function"))
{
	struct costack_self *self = (void *)ctx[0];

	bpf_rcu_read_lock();
	wait_global(ctx);
	bpf_rcu_read_unlock();
	return bpf_costack_finish(self, 0);
}

RAW_BODY(wait_without_preemption, __failure
	__msg("{{global function calls are not allowed with preemption disabled|sleepable global function}}")
	__attempt("wait with preemption disabled, in a global function"))
{
	struct costack_self *self = (void *)ctx[0];

	bpf_preempt_disable();
	wait_global(ctx);
	bpf_preempt_enable();
	return bpf_costack_finish(self, 0);
}

__noinline int takes_self(struct costack_self *self __arg_trusted)
{
	return bpf_costack_yield(self, 0);
}

BODY(self_of_global, __failure __msg("points to kernel module type (unsupported)")
	__attempt("a coroutine's self as an argument of a global function"))
{
	return takes_self(self);
}

/* What a section protected, after the section */

BODY(object_after_rcu, __failure __msg("{{only read is supported|ref_obj_id for allocated object}}")
	__attempt("write to an object after its RCU section, and a yield"))
{
	struct object *object;

	bpf_rcu_read_lock();
	object = shared.object;
	bpf_rcu_read_unlock();
	if (!object || bpf_costack_yield(self, 0))
		return unused.number;
	object->number = 0x4141414141414141;
	return 0;
}

BODY(object_after_preemption, __failure
	__msg("{{only read is supported|ref_obj_id for allocated object}}")
	__attempt("write to an object after preemption is on again, and a yield"))
{
	struct object *object;

	bpf_preempt_disable();
	object = shared.object;
	bpf_preempt_enable();
	if (!object || bpf_costack_yield(self, 0))
		return unused.number;
	object->number = 0x4141414141414141;
	return 0;
}

/* Verifiers before 7.3 would take this, and the object be gone. */
BODY(object_after_lock, __no_helper
	__attempt("write to an object after its lock, and a yield"))
{
	struct object *object;

	bpf_spin_lock(&shared.lock);
	object = shared.object;
	bpf_spin_unlock(&shared.lock);
	if (!object || bpf_costack_yield(self, 0))
		return unused.number;
	object->number = 0x4141414141414141;
	return 0;
}

BODY(object_acquired_late, __failure __msg("is neither owning or non-owning ref")
	__attempt("acquire an object after its RCU section, and a yield"))
{
	struct object *object, *mine;

	bpf_rcu_read_lock();
	object = shared.object;
	bpf_rcu_read_unlock();
	if (!object || bpf_costack_yield(self, 0))
		return unused.number;
	mine = bpf_refcount_acquire_impl(object, NULL);
	if (mine)
		bpf_obj_drop_impl(mine, NULL);
	return 0;
}

/* A body's own coroutine, and the context that its address comes in */

BODY(self_beyond, __failure __msg("access beyond struct costack_self at off 24 size 8")
	__attempt("read what is behind a coroutine's self"))
{
	return ((u64 *)self)[3];
}

BODY(self_read_into, __failure __msg("{{pointer type UNKNOWN .* is not supported|only read is supported}}")
	__attempt("read a message into the coroutine's self"))
{
	return bpf_costack_read(self, &self->id, sizeof(self->id));
}

BODY(self_probed_into, __read_only
	__attempt("bpf_probe_read_kernel() into the coroutine's self"))
{
	return bpf_probe_read_kernel(self, sizeof(*self), (void *)arg);
}

RAW_BODY(ctx_peeked_into, __not_ctx
	__attempt("copy a message over the address of self in the context"))
{
	struct costack_self *self = (void *)ctx[0];

	bpf_costack_peek(self, ctx, 9);
	self = (void *)ctx[0];
	return bpf_costack_finish(self, 0);
}

RAW_BODY(ctx_probed_into, __not_ctx
	__attempt("bpf_probe_read_kernel() over the address of self in the context"))
{
	struct costack_self *self = (void *)ctx[0];

	bpf_probe_read_kernel(ctx, 8, (void *)ctx[1]);
	self = (void *)ctx[0];
	return bpf_costack_finish(self, 0);
}

RAW_BODY(ctx_written, __not_ctx __attempt("write an address of self into the context"))
{
	struct costack_self *self = (void *)ctx[0];

	*(volatile unsigned long long *)ctx = ctx[1];
	self = (void *)ctx[0];
	return bpf_costack_finish(self, 0);
}

BODY(local_too_large, __failure
	__msg("{{rdonly/rdwr_buf_size exceeds u32 max|allocation size exceeds u32 max}}")
	__attempt("a part of 2^32 + 8 bytes, of which the function sees 8"))
{
	u8 *p;

	/* In assembly, or the compiler takes the upper half away. */
	asm volatile ("r1 = %[self]; r2 = 0; r3 = 0x100000008 ll; call %[local]; %[p] = r0"
		      : [p] "=r"(p) : [self] "r"(self), [local] "i"(bpf_costack_local)
		      : "r0", "r1", "r2", "r3", "r4", "r5");
	return p ? p[16] : 0;
}

/* Types of the same name, and pointers that are walked to or cast */

SEC("syscall")
__failure __msg("expected pointer to STRUCT costack_co but R1 has a pointer to STRUCT costack_co")
__attempt("resume an object of the program's own struct costack_co")
int own_type_resumed(void *ctx)
{
	struct costack_co *co = bpf_obj_new_impl(bpf_core_type_id_local(struct costack_co), NULL);

	if (!co)
		return 0;
	bpf_costack_resume(co, 0, NULL);
	bpf_obj_drop_impl(co, NULL);
	return 0;
}

SEC("syscall")
__failure __msg("invalid kptr access, R2 type={{.*}}expected=ptr_costack_co")
__attempt("keep an object of the program's own struct costack_co as a coroutine")
int own_type_kept(void *ctx)
{
	struct costack_co *co;
	struct slot *slot;
	u32 key = 0;

	slot = bpf_map_lookup_elem(&slots, &key);
	if (!slot)
		return 0;
	co = bpf_obj_new_impl(bpf_core_type_id_local(struct costack_co), NULL);
	if (!co)
		return 0;
	co = bpf_kptr_xchg(&slot->co, co);
	if (co)
		bpf_costack_co_release(co);
	return 0;
}

SEC("tc")
__not_trusted __attempt("resume the coroutine that is the caller of one's own")
int caller_resumed(struct __sk_buff *skb)
{
	struct costack_co *co = bpf_costack_spawn(1, 0), *caller;

	if (!co)
		return 0;
	caller = ((struct costack_co___kernel *)co)->caller;
	if (caller)
		bpf_costack_resume(caller, 0, NULL);
	bpf_costack_co_release(co);
	return 0;
}

SEC("tc")
__not_trusted __attempt("a part of the stack that is a coroutine's memory")
int memory_of_co(struct __sk_buff *skb)
{
	struct costack_co *co = bpf_costack_spawn(1, 0);
	struct costack *cs;
	u8 *p = NULL;

	if (!co)
		return 0;
	cs = ((struct costack_co___kernel *)co)->frame;
	if (cs)
		p = bpf_costack_frame(cs, 0, 8);
	if (p)
		*p = 1;
	bpf_costack_co_release(co);
	return 0;
}

SEC("syscall")
__failure __msg("{{type ID argument must be of a struct|Unknown type ID}}")
__attempt("cast a number to a coroutine: bpf_rdonly_cast()")
int cast_to_co(void *ctx)
{
	struct costack_co *co = bpf_rdonly_cast((void *)0x4141414141414141,
						bpf_core_type_id_kernel(struct costack_co));

	return bpf_costack_resume(co, 0, NULL);
}

/* Programs on the functions of the module */

SEC("fentry/bpf_costack_local")
__failure __msg("calling kernel function bpf_costack_avail is not allowed")
__attempt("use the self that a traced function is passed")
int BPF_PROG(self_traced, struct costack_self *self)
{
	return bpf_costack_avail(self);
}

SEC("fentry.s/bpf_costack_local")
__failure __msg("bpf_costack_local is not sleepable")
__attempt("a program that sleeps on what a body calls")
int sleeps_in_body(void *ctx)
{
	return 0;
}

SEC("fmod_ret/bpf_costack_local")
__failure __msg("is not modifiable")
__attempt("another result for a function of the module")
int BPF_PROG(local_replaced, struct costack_self *self, u32 off, u32 size)
{
	return 1;
}
