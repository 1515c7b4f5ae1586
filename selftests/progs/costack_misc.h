/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Annotations of programs, read back from BTF by test_loader.c. The names are those of
 * the kernel's bpf_misc.h.
 *
 * __success		the verifier takes the program
 * __failure		the verifier refuses it
 * __success_since(v)	refused by kernels before version v, taken from there on
 * __needs(v)		skipped by kernels before version v, which lack what it calls
 * __msg(text)		the log of the refusal has this text, after the texts of the
 *			__msg before; {{...}} is an extended regular expression
 * __klog(text)		the kernel's log has this text then, as __msg
 * __retval(n)		it is taken, and returns n when it is run by itself
 * __attempt(text)	what it tries, for the table of what was tried and how it ended
 */
#ifndef __COSTACK_MISC_H
#define __COSTACK_MISC_H

#define __str_of(s)	#s
#define __str(s)	__str_of(s)
#define __test_tag(tag)	__attribute__((btf_decl_tag("test:" __str(__COUNTER__) ":" tag)))

#define __success	__test_tag("success")
#define __failure	__test_tag("failure")
#define __success_since(v) __test_tag("success_since=" #v)
#define __needs(v)	__test_tag("needs=" #v)
#define __msg(text)	__test_tag("msg=" text)
#define __klog(text)	__test_tag("klog=" text)
#define __retval(n)	__test_tag("retval=" #n)
#define __attempt(text)	__test_tag("attempt=" text)

/* kfuncs of the kernel */
extern void bpf_rcu_read_lock(void) __weak __ksym;
extern void bpf_rcu_read_unlock(void) __weak __ksym;
extern void bpf_preempt_disable(void) __weak __ksym;
extern void bpf_preempt_enable(void) __weak __ksym;
extern void *bpf_obj_new_impl(u64 local_type_id, void *meta) __weak __ksym;
extern void bpf_obj_drop_impl(void *obj, void *meta) __weak __ksym;

/*
 * BODY(name, annotations) { ... } - a type of coroutines, called "test", whose body has
 * the argument `arg`
 */
#define BODY(_name, ...)							\
	__VA_ARGS__ int _name(unsigned long long *ctx);				\
	TEST_OPS(_name);							\
	COSTACK_BODY(_name, u64 arg)

#define TEST_OPS(_name)								\
	SEC(".struct_ops.link")							\
	struct costack_ops _name##_ops = {					\
		.body = (void *)_name, .name = "test", .id = COSTACK_ID(#_name),	\
	}

#endif /* __COSTACK_MISC_H */
