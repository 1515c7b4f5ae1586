// SPDX-License-Identifier: GPL-2.0
/*
 * Programs on bodies, attached and detached while these are suspended, and programs in
 * the place of a body's functions.
 */
#include <stdlib.h>

#include "co.h"
#include "co_target.skel.h"
#include "co_attach.skel.h"

static struct co_attach *load(struct co_target *target, const char *name, const char *func,
			      bool sleepable, char *log, size_t size)
{
	struct co_attach *skel = co_attach__open();
	struct bpf_program *prog;

	if (!ASSERT_PTR(skel))
		return NULL;
	prog = bpf_object__find_program_by_name(skel->obj, name);
	bpf_program__set_autoload(prog, true);
	bpf_program__set_log_buf(prog, log, size);
	bpf_program__set_log_level(prog, 1);
	if (sleepable)
		bpf_program__set_flags(prog, BPF_F_SLEEPABLE);
	ASSERT_OK(bpf_program__set_attach_target(prog, bpf_program__fd(target->progs.target), func));
	if (co_attach__load(skel)) {
		co_attach__destroy(skel);
		return NULL;
	}
	skel->bss->type = co_type(target, other);
	skel->bss->type_own = co_type(target, other_own);
	return skel;
}

/* To the end; how many steps that took */
static int finish(struct co_target *target, u32 slot)
{
	struct co_args a;
	int i;

	for (i = 1; i < 20; i++) {
		a = co_do(target, resume, .slot = slot);
		if (a.ret != COSTACK_YIELDED)
			break;
	}
	ASSERT_EQ(a.ret, COSTACK_DONE);
	ASSERT_EQ(a.result, 4711);
	return i;
}

static void trace(struct co_target *target, const char *name, const char *func, int per_run,
		  bool at_exit)
{
	char log[16384] = "";
	struct bpf_program *prog;
	struct co_attach *skel;
	struct bpf_link *link;
	u64 *count, total;
	int i;

	if (!subtest_begin("%s", name))
		return;
	skel = load(target, name, func, false, log, sizeof(log));
	if (!ASSERT_PTR(skel)) {
		test_note("%s", log);
		goto out;
	}
	prog = bpf_object__find_program_by_name(skel->obj, name);
	count = per_run == 1 ? at_exit ? &skel->bss->exits : &skel->bss->entries :
			       at_exit ? &skel->bss->sub_exits : &skel->bss->sub_entries;
	/* Slot i has had i steps before it is attached, slot 10 + i none. */
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(co_spawn(target, target, i, i), 1);
		if (i)
			co_do(target, resume, .slot = i, .count = i);
		ASSERT_EQ(co_spawn(target, target, 10 + i, i), 1);
	}
	link = bpf_program__attach_trace(prog);
	if (ASSERT_PTR(link)) {
		for (i = 0; i < 4; i++) {
			ASSERT_EQ(finish(target, i), 9 - i);
			ASSERT_EQ(finish(target, 10 + i), 9);
		}
		if (per_run == 1)
			/* Those that began before do not count, as they end. */
			ASSERT_EQ(*count, 5);
		else
			ASSERT_GE(*count, 4 * per_run);
		/* Suspended, with that beneath, or above, when it goes */
		for (i = 4; i < 8; i++)
			co_do(target, resume, .slot = 10 + i, .count = i - 1);
		bpf_link__destroy(link);
		total = *count;
		co_attach__destroy(skel);
		skel = NULL;
		sync_rcu();
		sleep_ms(50);
		for (i = 4; i < 7; i++) {
			ASSERT_EQ(finish(target, i), 9 - i);
			ASSERT_EQ(finish(target, 10 + i), 9 - (i - 1));
		}
		(void)total;
		/* One is cancelled. */
		ASSERT_EQ(co_do(target, cancel, .slot = 7).ret, 0);
		ASSERT_EQ(co_do(target, cancel, .slot = 17).ret, 0);
	}
	for (i = 0; i < 8; i++) {
		co_do(target, release, .slot = i);
		co_do(target, release, .slot = 10 + i);
	}
	if (skel)
		co_attach__destroy(skel);
out:
	subtest_end();
}

static void replace(struct co_target *target)
{
	char log[16384] = "";
	struct co_attach *skel;
	struct bpf_link *link;
	int i, yield[4];

	if (!subtest_begin("replace"))
		return;
	skel = load(target, "replace", "replaceable", false, log, sizeof(log));
	if (!ASSERT_PTR(skel)) {
		test_note("%s", log);
	} else {
		ASSERT_EQ(co_spawn(target, target, 0, 7), 1);
		yield[0] = co_do(target, resume).result;
		link = bpf_program__attach_freplace(skel->progs.replace,
						    bpf_program__fd(target->progs.target),
						    "replaceable");
		if (ASSERT_PTR(link)) {
			yield[1] = co_do(target, resume).result;
			yield[2] = co_do(target, resume).result;
			bpf_link__destroy(link);
			sync_rcu();
			yield[3] = co_do(target, resume).result;
			ASSERT_EQ(yield[0], 8);
			ASSERT_EQ(yield[1], 8000);
			ASSERT_EQ(yield[2], 9000);
			ASSERT_EQ(yield[3], 11);
		}
		for (i = 0; i < 1; i++)
			ASSERT_EQ(finish(target, 0), 5);
		co_do(target, release);
		co_attach__destroy(skel);
	}
	subtest_end();
}

static void replace_resume(struct co_target *target)
{
	char log[16384] = "";
	struct co_attach *skel;
	struct bpf_link *link;

	if (!subtest_begin("replace_resume"))
		return;
	skel = load(target, "replace_resume", "replaceable", false, log, sizeof(log));
	if (!skel) {
		test_skip("refused by this kernel");
	} else {
		pin_to_cpu(0);
		ASSERT_EQ(co_spawn(target, target, 0, 7), 1);
		link = bpf_program__attach_freplace(skel->progs.replace_resume,
						    bpf_program__fd(target->progs.target),
						    "replaceable");
		if (ASSERT_PTR(link)) {
			ASSERT_EQ(co_do(target, resume).result, 5);
			ASSERT_EQ(skel->bss->ret, -EBUSY);
			ASSERT_EQ(skel->bss->ret_own, COSTACK_YIELDED);
			bpf_link__destroy(link);
		}
		co_do(target, release);
		co_attach__destroy(skel);
	}
	subtest_end();
}

static void refused(struct co_target *target, const char *name, bool sleepable, const char *msg)
{
	char log[16384] = "";
	struct co_attach *skel;

	if (!subtest_begin("%s_refused", name))
		return;
	skel = load(target, name, "replaceable", sleepable, log, sizeof(log));
	if (ASSERT_TRUE(!skel) && !ASSERT_TRUE(strstr(log, msg)))
		test_note("%s", log);
	co_attach__destroy(skel);
	subtest_end();
}

TEST(co_attach)
{
	struct co_target *target = co_target__open_and_load();

	if (!ASSERT_PTR(target))
		return;
	if (ASSERT_OK(co_target__attach(target))) {
		trace(target, "enter_body", "target", 1, false);
		trace(target, "leave_body", "target", 1, true);
		trace(target, "enter_sub", "wait_twice", 4, false);
		trace(target, "leave_sub", "wait_twice", 4, true);
		/*
		 * Up to 7.3 at least, check_return_code() of newer verifiers runs into a
		 * NULL pointer when an extension of any struct_ops program is loaded.
		 */
		if (kernel_version() > KERNEL(6, 12)) {
			test_note("extensions of bodies are not tried: this kernel may oops");
			goto out;
		}
		replace(target);
		replace_resume(target);
		refused(target, "replace_yield", false, "");
		refused(target, "replace_sleepable", true, "");
		refused(target, "replace_helper", false, "");
	}
out:
	co_target__destroy(target);
}

/* What has its frame on a suspended stack cannot be traced. */
TEST(co_notrace)
{
	static const char * const names[] = {
		"bpf_costack_yield", "bpf_costack_read", "bpf_costack_read_some",
		"bpf_costack_skip", "bpf_costack_call", "costack_co_main",
	};
	char *functions = read_file("/sys/kernel/tracing/available_filter_functions");
	char pattern[64];
	unsigned int i;

	if (!functions) {
		test_skip("no list of functions that can be traced");
		return;
	}
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(pattern, sizeof(pattern), "\n%s [costack]", names[i]);
		if (!ASSERT_TRUE(!strstr(functions, pattern)))
			test_note("%s", names[i]);
	}
	free(functions);
}
