// SPDX-License-Identifier: GPL-2.0
/* The module's core as it is, with what it needs of the parts that are not here. */
#include "../../../kmod/pool.c"
#include "../../../kmod/backing.c"
#include "../../../kmod/stack.c"

DEFINE_PER_CPU(struct costack_cpu_stats, costack_cpu_stats);
DEFINE_STATIC_KEY_FALSE(costack_latency_key);

void costack_latency_add(u64 ns)
{
}

static int __init core_init(void)
{
	static const struct costack_pool_config config = {
		.reserve = { 64, 64, 64, 64, 64, 64, 32, 16 },
		.guard_reserve = 8,
		.co_reserve = 64,
		.limit = SZ_1G,
		.trim_ms = 1000,
	};

	return costack_pools_init(&config);
}
module_init(core_init);

static void __exit core_exit(void)
{
	costack_pools_exit();
}
module_exit(core_exit);

MODULE_AUTHOR("costack maintainers");
MODULE_DESCRIPTION("costack without BPF, to be measured");
MODULE_LICENSE("GPL");
