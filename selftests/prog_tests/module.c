// SPDX-License-Identifier: GPL-2.0
/* Who holds the module: programs, and maps that can have a stack in them. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stacks.h"

static int try_unload(void)
{
	return syscall(__NR_delete_module, "costack", O_NONBLOCK) ? -errno : 0;
}

TEST(module_pinned)
{
	struct stacks *skel = stacks__open_and_load();
	int map;

	if (!ASSERT_PTR(skel))
		return;
	ASSERT_EQ(try_unload(), -EAGAIN);
	ASSERT_TRUE(module_loaded());
	stacks_do(skel, take, .size = 512);

	/* The programs go, a map stays that has a stack in it. */
	map = dup(bpf_map__fd(skel->maps.slots));
	ASSERT_OK(map);
	stacks__destroy(skel);
	sync_rcu();
	sleep_ms(200);
	ASSERT_EQ(try_unload(), -EAGAIN);
	ASSERT_TRUE(wait_live(1));

	close(map);
	ASSERT_TRUE(wait_live(0));
	ASSERT_EQ(module_unload(), 0);
	ASSERT_EQ(module_loaded(), false);
}

#define FTRACE_ENABLED	"/proc/sys/kernel/ftrace_enabled"

/* Without ftrace, bpf_throw() on top of a body would be deadly: it stays on, or there is no module. */
TEST(module_ftrace)
{
	int klog, err = write_file(FTRACE_ENABLED, "0");
	char *log;

	if (err == -EOPNOTSUPP) {
		test_skip("this kernel's ftrace cannot be switched off");
		return;
	}
	ASSERT_EQ(err, -EBUSY);
	ASSERT_OK(module_unload());
	ASSERT_OK(write_file(FTRACE_ENABLED, "0"));
	klog = klog_begin();
	ASSERT_EQ(module_load(""), -EBUSY);
	log = klog_end(klog);
	ASSERT_TRUE(log && strstr(log, "is kernel.ftrace_enabled 0"));
	free(log);
	ASSERT_EQ(module_loaded(), false);
	ASSERT_OK(write_file(FTRACE_ENABLED, "1"));
	ASSERT_OK(module_load(""));
}

/* Loaded, used a little, and unloaded again: nothing is left of it. */
TEST(module_reload)
{
	int i, total = test_rounds(12);
	long long before;

	/* The first time the kernel makes things that stay, like caches of its own. */
	ASSERT_OK(module_unload());
	ASSERT_OK(module_load(""));
	ASSERT_OK(module_unload());
	before = kernel_bytes();
	for (i = 0; i < total; i++) {
		if (!ASSERT_OK(module_load(i % 2 ? "" : "reserve=64,32 co_reserve=1000")))
			return;
		if (i % 3)
			wait_refilled();
		if (!ASSERT_OK(module_unload()))
			return;
	}
	test_note("loaded and unloaded %d times", total);
	same_bytes(before);
	ASSERT_OK(module_load(""));
}
