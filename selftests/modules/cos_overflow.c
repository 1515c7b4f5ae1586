// SPDX-License-Identifier: GPL-2.0
/*
 * Plants a bug: a probe on a function that bodies call, whose handler recurses until the
 * stack that it runs on is over. Nobody else calls that function in the test.
 */
#include <linux/kernel.h>
#include <linux/kprobes.h>
#include <linux/module.h>

/* Deeper than any stack of a coroutine. */
#define COS_OVERFLOW_DEPTH	1024

static noinline unsigned long cos_overflow_deeper(unsigned long n)
{
	volatile unsigned long frame[32];

	frame[n % ARRAY_SIZE(frame)] = n;
	return n ? cos_overflow_deeper(n - 1) + frame[n % ARRAY_SIZE(frame)] : 0;
}

static int cos_overflow_handler(struct kprobe *probe, struct pt_regs *regs)
{
	pr_alert("using up the stack at %p\n", &regs);
	return cos_overflow_deeper(COS_OVERFLOW_DEPTH) == 1;
}

static struct kprobe cos_overflow_probe = {
	.symbol_name = "bpf_ktime_get_boot_ns",
	.pre_handler = cos_overflow_handler,
};

static int __init cos_overflow_init(void)
{
	return register_kprobe(&cos_overflow_probe);
}
module_init(cos_overflow_init);

static void __exit cos_overflow_exit(void)
{
	unregister_kprobe(&cos_overflow_probe);
}
module_exit(cos_overflow_exit);

MODULE_AUTHOR("costack maintainers");
MODULE_DESCRIPTION("Lets a coroutine run over its stack, for the selftests");
MODULE_LICENSE("GPL");
MODULE_INFO(test, "Y");
