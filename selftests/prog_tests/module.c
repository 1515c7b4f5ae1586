// SPDX-License-Identifier: GPL-2.0
/* Who holds the module: programs, and maps that can have a stack in them. */
#include <fcntl.h>
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
