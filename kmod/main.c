// SPDX-License-Identifier: GPL-2.0
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sizes.h>

#include "coroutine.h"
#include "kfunc.h"
#include "ops.h"
#include "pool.h"
#include "stats.h"
#include "unwind.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/*
 * Parameters are checked where they are parsed, so that whatever is wrong with
 * them, a word in the place of a number included, is answered with the range.
 */
static int costack_param_set(const char *val, const struct kernel_param *kp, unsigned int min,
			     unsigned int max)
{
	unsigned int num;

	if (kstrtouint(val, 0, &num) || num < min || num > max) {
		pr_err("parameter %s=%s is out of range %u..%u\n", kp->name, val, min, max);
		return -EINVAL;
	}
	*(unsigned int *)kp->arg = num;
	return 0;
}

#define COSTACK_PARAM_TYPE(type, min, max)						\
	static int param_set_##type(const char *val, const struct kernel_param *kp)	\
	{										\
		return costack_param_set(val, kp, min, max);				\
	}										\
	static const struct kernel_param_ops param_ops_##type = {			\
		.set = param_set_##type,						\
		.get = param_get_uint,							\
	}

#define param_check_reserve(name, p)	param_check_uint(name, p)
#define param_check_guarded(name, p)	param_check_uint(name, p)
#define param_check_coroutine(name, p)	param_check_uint(name, p)
#define param_check_limit(name, p)	param_check_uint(name, p)
#define param_check_period(name, p)	param_check_uint(name, p)

COSTACK_PARAM_TYPE(reserve, 0, 4096);
COSTACK_PARAM_TYPE(guarded, 0, 1024);
COSTACK_PARAM_TYPE(coroutine, 0, 65536);
COSTACK_PARAM_TYPE(limit, 0, 1048576);
COSTACK_PARAM_TYPE(period, 100, 600000);

static unsigned int reserve[COSTACK_NR_CLASSES] = { 64, 64, 64, 64, 64, 64, 32, 16 };
module_param_array(reserve, reserve, NULL, 0444);
MODULE_PARM_DESC(reserve, "stacks kept ready per NUMA node, of 512,1024,...,65536 bytes (0..4096 each; default 64,64,64,64,64,64,32,16)");

static unsigned int guard_reserve = 8;
module_param(guard_reserve, guarded, 0444);
MODULE_PARM_DESC(guard_reserve, "guard-paged stacks kept ready per NUMA node, of each size from 4096 bytes (0..1024; default 8)");

static unsigned int co_reserve = 64;
module_param(co_reserve, coroutine, 0444);
MODULE_PARM_DESC(co_reserve, "coroutines kept ready per NUMA node, of each size of what they keep while suspended (0..65536; default 64)");

static unsigned int limit_mb;
module_param(limit_mb, limit, 0444);
MODULE_PARM_DESC(limit_mb, "megabytes that all stacks together may take (0..1048576; default 0: an eighth of memory)");

static unsigned int trim_ms = 1000;
module_param(trim_ms, period, 0444);
MODULE_PARM_DESC(trim_ms, "milliseconds after which a stack counts as unused; it is returned after one to two of them (100..600000; default 1000)");

/* Fill @config; what the parameters cannot be told one by one is checked here. */
static int __init costack_configure(struct costack_pool_config *config)
{
	u64 memory = (u64)totalram_pages() << PAGE_SHIFT, floor = 0, size;
	unsigned int class;

	for (class = 0; class < COSTACK_NR_CLASSES; class++) {
		size = COSTACK_SIZE_MIN << class;
		config->reserve[class] = reserve[class];
		floor += reserve[class] * size;
		if (size >= PAGE_SIZE)
			floor += guard_reserve * size;
		if (class < COSTACK_NR_CO_CLASSES)
			floor += co_reserve * size;
	}
	floor *= num_online_nodes();
	config->guard_reserve = guard_reserve;
	config->co_reserve = co_reserve;
	config->co_handle = &costack_co_handle;
	config->trim_ms = trim_ms;
	config->limit = limit_mb ? (u64)limit_mb << 20 : memory / 8;
	if (floor > config->limit) {
		pr_err("reserve, guard_reserve and co_reserve take %llu bytes, more than the limit of %llu: lower them or set limit_mb in the range %llu..1048576\n",
		       floor, config->limit, DIV_ROUND_UP_ULL(floor, SZ_1M));
		return -EINVAL;
	}
	return 0;
}

static int __init costack_init(void)
{
	struct costack_pool_config config;
	int ret;

	ret = costack_configure(&config);
	if (ret)
		return ret;
	ret = costack_pools_init(&config);
	if (ret)
		return ret;
	ret = costack_co_init();
	if (ret)
		goto err_co;
	ret = costack_unwind_init();
	if (ret)
		goto err_unwind;
	costack_stats_init();
	ret = costack_kfunc_init();
	if (ret)
		goto err_kfunc;
	ret = costack_ops_init();
	if (ret)
		goto err_kfunc;
	return 0;

err_kfunc:
	costack_stats_exit();
	costack_unwind_exit();
err_unwind:
	costack_co_exit();
err_co:
	costack_pools_exit();
	return ret;
}
module_init(costack_init);

static void __exit costack_exit(void)
{
	costack_stats_exit();
	costack_unwind_exit();
	costack_co_exit();
	costack_pools_exit();
}
module_exit(costack_exit);

MODULE_AUTHOR("costack maintainers");
MODULE_DESCRIPTION("Coroutine stacks for eBPF programs");
MODULE_VERSION(COSTACK_VERSION);
MODULE_LICENSE("GPL");
