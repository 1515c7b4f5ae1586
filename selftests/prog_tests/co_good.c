// SPDX-License-Identifier: GPL-2.0
/* What bodies may do, done, and what comes of it. */
#include "co.h"
#include "co_good.skel.h"
#include "co_helpers.skel.h"

/* Runs a body to its end. */
static void run(struct co_good *skel, const char *name, u32 type)
{
	struct co_args a;
	int i;

	if (!subtest_begin("%s", name))
		return;
	if (ASSERT_EQ(co_do(skel, spawn, .type = type).ret, 1)) {
		for (i = 0; i < 100; i++) {
			a = co_do(skel, resume);
			if (a.ret != COSTACK_YIELDED)
				break;
		}
		ASSERT_EQ(a.ret, COSTACK_DONE);
		if (!ASSERT_EQ(a.result, 0))
			test_note("see line %lld of co_good.bpf.c", (long long)a.result);
		ASSERT_EQ(co_do(skel, release).ret, 1);
	}
	subtest_end();
}

#define RUN(skel, name) run(skel, #name, co_type(skel, name))

TEST(co_good)
{
	struct co_good *skel = co_good__open();

	if (!ASSERT_PTR(skel))
		return;
	skel->rodata->number_of_helpers = co_type(skel, helpers);
	if (ASSERT_OK(co_good__load(skel)) && ASSERT_OK(co_good__attach(skel))) {
		RUN(skel, map_array);
		RUN(skel, map_hash);
		RUN(skel, map_hash_lazy);
		RUN(skel, map_lru);
		RUN(skel, map_full);
		RUN(skel, map_percpu);
		RUN(skel, map_special);
		RUN(skel, map_denied);
		RUN(skel, helpers);
		RUN(skel, objects);
		RUN(skel, kfuncs);
		if (subtest_begin("globals")) {
			struct co_args a;

			co_do(skel, spawn, .type = co_type(skel, globals));
			skel->bss->global = 9;
			co_do(skel, resume);
			ASSERT_EQ(skel->bss->global, 1);
			skel->bss->global = 2;
			co_do(skel, resume);
			ASSERT_EQ(skel->bss->global, 3);
			skel->bss->global_wait = 4;
			a = co_do(skel, resume);
			ASSERT_EQ(a.ret, COSTACK_DONE);
			ASSERT_EQ(a.result, 9);
			co_do(skel, release);
			subtest_end();
		}
	}
	co_good__destroy(skel);
}

TEST(co_helpers)
{
	RUN_TESTS(co_helpers);
}
