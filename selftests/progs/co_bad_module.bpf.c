// SPDX-License-Identifier: GPL-2.0
/* Bodies that call what another module offers to struct_ops programs, cos_kfunc.ko. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"
#include "costack_misc.h"

char _license[] SEC("license") = "GPL";

extern int cos_kfunc_next(int number) __weak __ksym;

#define __refused __failure __klog("body {{.*}}: instruction {{[0-9]+}}: a module's kfunc (BTF id {{[0-9]+}}) cannot be called by a body: see costack.bpf.h")

/* The first module that a program calls is the one that others are told from. */
BODY(bad_module_first, __refused)
{
	if (cos_kfunc_next(arg))
		bpf_costack_yield(self, 0);
	return 0;
}

BODY(bad_module_last, __refused)
{
	bpf_costack_yield(self, 0);
	return cos_kfunc_next(arg);
}

static __noinline int call(u64 arg)
{
	return cos_kfunc_next(arg) + cos_kfunc_next(arg + 1);
}

BODY(bad_module_in_function, __refused)
{
	return call(arg);
}

/* It calls nothing else: no wait either, but an end that there must be. */
int bad_module_alone(unsigned long long *ctx);
TEST_OPS(bad_module_alone);
SEC("struct_ops.s/bad_module_alone")
__refused
int bad_module_alone(unsigned long long *ctx)
{
	return cos_kfunc_next(ctx[1]);
}
