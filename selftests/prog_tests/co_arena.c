// SPDX-License-Identifier: GPL-2.0
/* Arenas: a body loads and stores by pointers that it keeps over its waits. */
#include <unistd.h>

#include "co.h"
#include "progs/co_arena.h"
#include "co_arena.skel.h"

#define NODES	8

/* Nodes of 1, 2, 4, ..., each in a page of its own. */
static struct node *make_list(char *base)
{
	size_t page = getpagesize();
	struct node *node;
	int i;

	for (i = 0; i < NODES; i++) {
		node = (struct node *)(base + i * page + i * 64);
		node->value = 1ULL << i;
		node->next = i + 1 < NODES ? (u64)(base + (i + 1) * (page + 64)) : 0;
		node->runs = 0;
	}
	return (struct node *)base;
}

static struct node *next(const struct node *node)
{
	return (struct node *)node->next;
}

static void walk(struct co_arena *skel, u32 type, const char *name, char *base)
{
	struct node *list = make_list(base), *node;
	struct co_args a;
	u64 sum = 0;
	int i;

	if (!subtest_begin("%s", name))
		return;
	pin_to_cpu(0);
	ASSERT_EQ(co_do(skel, spawn, .type = type, .arg = (u64)list).ret, 1);
	for (i = 0; i < NODES; i++) {
		/* On any CPU, in any context */
		pin_to_cpu(i % nr_cpus());
		if (i % 3 == 2) {
			ASSERT_OK(prog_run(skel->progs.do_packet, NULL, 0, NULL));
		} else {
			a = co_do(skel, resume);
			ASSERT_EQ(a.ret, COSTACK_YIELDED);
			ASSERT_EQ(a.result, (2ULL << i) - 1);
		}
	}
	a = co_do(skel, resume);
	ASSERT_EQ(a.ret, COSTACK_DONE);
	ASSERT_EQ(a.result, (1ULL << NODES) - 1);
	for (node = list; node; node = next(node)) {
		sum = 2 * sum + 1;
		ASSERT_EQ(node->value, sum);
		ASSERT_EQ(node->runs, 1);
	}
	ASSERT_EQ(co_do(skel, release).ret, 1);
	subtest_end();
}

/* The page that a body is about to use goes while it waits: it reads zeros. */
static void page_goes(struct co_arena *skel, u32 type, const char *name, char *base)
{
	struct node *list = make_list(base);
	struct co_args a;

	if (!subtest_begin("page_goes_%s", name))
		return;
	pin_to_cpu(0);
	ASSERT_EQ(co_do(skel, spawn, .type = type, .arg = (u64)list).ret, 1);
	ASSERT_EQ(co_do(skel, resume).result, 1);
	ASSERT_EQ(co_do(skel, resume).result, 3);
	co_do(skel, pages, .arg = (u64)base + getpagesize());
	/* What it writes to the second node is lost, and a third there is not. */
	a = co_do(skel, resume);
	ASSERT_EQ(a.ret, COSTACK_DONE);
	ASSERT_EQ(a.result, 3);
	ASSERT_EQ(list->value, 1);
	ASSERT_EQ(co_do(skel, release).ret, 1);
	subtest_end();
}

TEST(co_arena)
{
	struct co_arena *skel = co_arena__open_and_load();
	char *base;
	size_t size;

	if (!ASSERT_PTR(skel))
		return;
	base = bpf_map__initial_value(skel->maps.arena, &size);
	if (ASSERT_OK(co_arena__attach(skel)) && ASSERT_PTR(base)) {
		walk(skel, co_type(skel, walker), "dense", base);
		walk(skel, co_type(skel, walker_own), "private", base);
		page_goes(skel, co_type(skel, walker), "dense", base);
		page_goes(skel, co_type(skel, walker_own), "private", base);
		if (subtest_begin("unloaded")) {
			/* The arena goes with the program, when the body has come to its end. */
			co_spawn(skel, walker, 0, (u64)make_list(base));
			co_do(skel, resume, .count = 3);
			co_arena__destroy(skel);
			skel = NULL;
			subtest_end();
		}
	}
	co_arena__destroy(skel);
}
