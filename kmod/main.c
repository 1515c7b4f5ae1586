// SPDX-License-Identifier: GPL-2.0
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>

#include "kfunc.h"
#include "pool.h"
#include "stats.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

#define COSTACK_RESERVE_MAX		4096U
#define COSTACK_GUARD_RESERVE_MAX	1024U
#define COSTACK_LIMIT_MB_MAX		1048576U
#define COSTACK_TRIM_MS_MIN		100U
#define COSTACK_TRIM_MS_MAX		600000U

static unsigned int reserve[COSTACK_NR_CLASSES] = { 64, 64, 64, 64, 64, 64, 32, 16 };
module_param_array(reserve, uint, NULL, 0444);
MODULE_PARM_DESC(reserve, "stacks kept ready per NUMA node, of 512,1024,...,65536 bytes (0..4096 each; default 64,64,64,64,64,64,32,16)");

static unsigned int guard_reserve = 8;
module_param(guard_reserve, uint, 0444);
MODULE_PARM_DESC(guard_reserve, "guard-paged stacks kept ready per NUMA node, of each size from 4096 bytes (0..1024; default 8)");

static unsigned int limit_mb;
module_param(limit_mb, uint, 0444);
MODULE_PARM_DESC(limit_mb, "megabytes that all stacks together may take (0..1048576; default 0: an eighth of memory)");

static unsigned int trim_ms = 1000;
module_param(trim_ms, uint, 0444);
MODULE_PARM_DESC(trim_ms, "milliseconds after which a stack counts as unused; it is returned after one to two of them (100..600000; default 1000)");

static int __init costack_check_range(const char *name, unsigned int val, unsigned int min,
				      unsigned int max)
{
	if (val >= min && val <= max)
		return 0;
	pr_err("parameter %s=%u is out of range %u..%u\n", name, val, min, max);
	return -EINVAL;
}

static int __init costack_check_params(struct costack_pool_config *config)
{
	u64 memory = (u64)totalram_pages() << PAGE_SHIFT, floor = 0;
	unsigned int class;
	int ret = 0;

	for (class = 0; class < COSTACK_NR_CLASSES; class++) {
		ret = ret ?: costack_check_range("reserve", reserve[class], 0, COSTACK_RESERVE_MAX);
		config->reserve[class] = reserve[class];
		floor += (u64)reserve[class] * (COSTACK_SIZE_MIN << class);
		if ((COSTACK_SIZE_MIN << class) >= PAGE_SIZE)
			floor += (u64)guard_reserve * (COSTACK_SIZE_MIN << class);
	}
	ret = ret ?: costack_check_range("guard_reserve", guard_reserve, 0,
					 COSTACK_GUARD_RESERVE_MAX);
	ret = ret ?: costack_check_range("limit_mb", limit_mb, 0, COSTACK_LIMIT_MB_MAX);
	ret = ret ?: costack_check_range("trim_ms", trim_ms, COSTACK_TRIM_MS_MIN,
					 COSTACK_TRIM_MS_MAX);
	if (ret)
		return ret;

	config->guard_reserve = guard_reserve;
	config->trim_ms = trim_ms;
	config->limit = limit_mb ? (u64)limit_mb << 20 : memory / 8;
	floor *= num_online_nodes();
	if (floor > config->limit) {
		pr_err("the reserves take %llu bytes, over the limit of %llu: lower reserve or raise limit_mb (%llu..%u)\n",
		       floor, config->limit, DIV_ROUND_UP_ULL(floor, 1 << 20),
		       COSTACK_LIMIT_MB_MAX);
		return -EINVAL;
	}
	return 0;
}

static int __init costack_init(void)
{
	struct costack_pool_config config;
	int ret;

	ret = costack_check_params(&config);
	if (ret)
		return ret;
	ret = costack_pools_init(&config);
	if (ret)
		return ret;
	costack_stats_init();
	ret = costack_kfunc_init();
	if (ret)
		goto err_kfunc;
	return 0;

err_kfunc:
	costack_stats_exit();
	costack_pools_exit();
	return ret;
}
module_init(costack_init);

static void __exit costack_exit(void)
{
	costack_stats_exit();
	costack_pools_exit();
}
module_exit(costack_exit);

MODULE_AUTHOR("costack maintainers");
MODULE_DESCRIPTION("Coroutine stacks for eBPF programs");
MODULE_VERSION(COSTACK_VERSION);
MODULE_LICENSE("GPL");
