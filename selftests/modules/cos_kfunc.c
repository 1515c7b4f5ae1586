// SPDX-License-Identifier: GPL-2.0
/*
 * A kfunc that struct_ops programs may call, for a body that tries to. (Not marked as a
 * test: the kernel would be tainted, and other tests go on with it.)
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/module.h>

__bpf_kfunc_start_defs();

/**
 * cos_kfunc_next() - does nothing of interest
 * @number: any
 *
 * Return: the one after it.
 */
__bpf_kfunc int cos_kfunc_next(int number)
{
	return number + 1;
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(cos_kfunc_ids)
BTF_ID_FLAGS(func, cos_kfunc_next)
BTF_KFUNCS_END(cos_kfunc_ids)

static const struct btf_kfunc_id_set cos_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &cos_kfunc_ids,
};

static int __init cos_kfunc_init(void)
{
	return register_btf_kfunc_id_set(BPF_PROG_TYPE_STRUCT_OPS, &cos_kfunc_set);
}
module_init(cos_kfunc_init);

static void __exit cos_kfunc_exit(void)
{
}
module_exit(cos_kfunc_exit);

MODULE_AUTHOR("costack maintainers");
MODULE_DESCRIPTION("A kfunc that no body may call, for the selftests");
MODULE_LICENSE("GPL");
