// SPDX-License-Identifier: GPL-2.0
/* Types: what of their definition is refused, with what is said in the kernel's log. */
#include <stdlib.h>

#include "co.h"
#include "co.skel.h"

/* Where the name is: skeletons leave out arrays. */
#define NAME(ops) ((char *)(ops) + sizeof(void *))

/* Attaches one type as it is now, which shall fail, and say so. */
static void refused(struct co *skel, int err, const char *text)
{
	int klog = klog_begin();
	struct bpf_link *link = bpf_map__attach_struct_ops(skel->maps.values_ops);
	char *said;

	if (link)
		bpf_link__destroy(link);
	else
		ASSERT_EQ(-errno, err);
	ASSERT_TRUE(!link);
	said = klog_end(klog);
	if (!ASSERT_TRUE(said && strstr(said, text)))
		test_note("not '%s' but '%s'", text, said ?: "nothing");
	free(said);
}

#define REFUSED(_name, _err, _text, ...)					\
	do {									\
		struct co *skel;						\
										\
		if (!subtest_begin("%s", #_name))				\
			break;							\
		skel = co__open();						\
		if (ASSERT_PTR(skel)) {						\
			typeof(*skel->struct_ops.values_ops) *ops =		\
				skel->struct_ops.values_ops;			\
										\
			__VA_ARGS__;						\
			if (ASSERT_OK(co__load(skel)))				\
				refused(skel, _err, _text);			\
			co__destroy(skel);					\
		}								\
		subtest_end();							\
	} while (0)

TEST(co_ops_refused)
{
	REFUSED(name_empty, -EINVAL, "costack: ops: name must have 1 to 15 characters",
		NAME(ops)[0] = 0);
	REFUSED(name_long, -EINVAL, "costack: ops: name must have 1 to 15 characters",
		memset(NAME(ops), 'x', 16));
	REFUSED(name_space, -EINVAL,
		"costack: ops: name must be of printable ASCII without spaces",
		NAME(ops)[1] = ' ');
	REFUSED(name_newline, -EINVAL,
		"costack: ops: name must be of printable ASCII without spaces",
		NAME(ops)[1] = '\n');
	REFUSED(id_zero, -EINVAL, "costack: ops 'values': id must not be 0", ops->id = 0);
	REFUSED(flags, -EINVAL, "costack: ops 'values': unknown flags 0x2", ops->flags = 3);
	REFUSED(frame_large, -EINVAL,
		"costack: ops 'values': frame_size 65537 is out of range 0..65536",
		ops->frame_size = 65537);
	REFUSED(stack_not_private, -EINVAL,
		"costack: ops 'values': stack_size is for COSTACK_OPS_PRIVATE",
		ops->stack_size = 16384);
	REFUSED(stack_small, -EINVAL,
		"costack: ops 'values': stack_size 8191 is out of range 8192..65536, or 0",
		ops->flags = 1; ops->stack_size = 8191);
	REFUSED(stack_large, -EINVAL,
		"costack: ops 'values': stack_size 65537 is out of range 8192..65536, or 0",
		ops->flags = 1; ops->stack_size = 65537);
	REFUSED(limit_large, -EINVAL,
		"costack: ops 'values': limit 1073741824 is out of range 0..1073741823",
		ops->limit = 1 << 30);
	REFUSED(no_body, -EINVAL, "costack: ops 'values': there is no body", ops->body = NULL);
}

/* What is just still right */
TEST(co_ops_limits)
{
	struct co *skel = co__open();

	if (!ASSERT_PTR(skel))
		return;
	memset(NAME(skel->struct_ops.values_ops), 'x', 15);
	skel->struct_ops.values_ops->flags = COSTACK_OPS_PRIVATE;
	skel->struct_ops.values_ops->frame_size = 65536;
	skel->struct_ops.values_ops->stack_size = 65536;
	skel->struct_ops.values_ops->limit = (1 << 30) - 1;
	skel->struct_ops.forever_ops->id = ~0U;
	if (ASSERT_OK(co__load(skel)) && ASSERT_OK(co__attach(skel))) {
		ASSERT_EQ(co_spawn(skel, values, 0, 7), 1);
		ASSERT_EQ(co_do(skel, resume).result, 7);
		ASSERT_EQ(co_spawn(skel, forever, 1, 8), 1);
		ASSERT_EQ(co_do(skel, resume, .slot = 1).result, 8);
	}
	co__destroy(skel);
}

TEST(co_ops_twice)
{
	struct co *one = co__open_and_load(), *two = co__open_and_load();
	struct bpf_link *link;
	int err;

	if (!ASSERT_PTR(one) || !ASSERT_PTR(two))
		goto out;
	link = bpf_map__attach_struct_ops(one->maps.values_ops);
	if (ASSERT_PTR(link)) {
		refused(two, -EEXIST, "is taken by ops 'values', attached already: give them another id");
		/* Not to be exchanged for another: its coroutines are in the midst of the body. */
		err = bpf_link__update_map(link, two->maps.values_ops);
		ASSERT_LT(err, 0);
		ASSERT_EQ(co_spawn(one, values, 0, 3), 1);
		ASSERT_EQ(co_do(one, resume).result, 3);
		bpf_link__destroy(link);
		ASSERT_EQ(co_do(one, resume).ret, -ESTALE);
		ASSERT_EQ(co_do(one, state).ret, -ESTALE);
		ASSERT_EQ(co_do(one, cancel).ret, -ESTALE);
		ASSERT_EQ(co_spawn(one, values, 1, 3), 0);
		/* Now it is free. */
		link = bpf_map__attach_struct_ops(two->maps.values_ops);
		ASSERT_PTR(link);
		ASSERT_EQ(co_spawn(two, values, 0, 4), 1);
		ASSERT_EQ(co_do(two, resume).result, 4);
		ASSERT_EQ(co_do(one, resume).ret, -ESTALE);
		bpf_link__destroy(link);
	}
out:
	co__destroy(one);
	co__destroy(two);
}

/* A body is no program to be run by itself. */
TEST(co_ops_test_run)
{
	struct co *skel = co__open_and_load();
	u64 ctx[2] = {};

	if (!ASSERT_PTR(skel))
		return;
	ASSERT_LT(prog_run(skel->progs.values, ctx, sizeof(ctx), NULL), 0);
	ASSERT_LT(prog_run(skel->progs.values, NULL, 0, NULL), 0);
	co__destroy(skel);
}
