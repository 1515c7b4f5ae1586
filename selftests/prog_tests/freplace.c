// SPDX-License-Identifier: GPL-2.0
/* Replacements of functions: the type that counts is the target's. */
#include "testing.h"
#include "freplace.skel.h"
#include "freplace_target.skel.h"

static void replace(const char *name, const struct bpf_program *target, const char *func,
		    const char *msg)
{
	struct freplace *skel = freplace__open();
	struct bpf_program *prog;
	struct bpf_link *link;
	char log[16384] = "";
	int err, retval;

	if (!ASSERT_PTR(skel))
		return;
	prog = bpf_object__find_program_by_name(skel->obj, name);
	bpf_program__set_autoload(prog, true);
	bpf_program__set_log_buf(prog, log, sizeof(log));
	ASSERT_OK(bpf_program__set_attach_target(prog, bpf_program__fd(target), func));
	err = freplace__load(skel);
	if (msg) {
		ASSERT_LT(err, 0);
		/* Newer kernels look at that before they look at the calls. */
		if (!ASSERT_TRUE(strstr(log, msg) ||
				 strstr(log, "Extension program may sleep, while original does not")))
			test_note("%s", log);
	} else if (ASSERT_OK(err) && bpf_program__type(target) == BPF_PROG_TYPE_SCHED_CLS) {
		link = bpf_program__attach_freplace(prog, bpf_program__fd(target), func);
		if (ASSERT_PTR(link)) {
			ASSERT_OK(prog_run((struct bpf_program *)target, NULL, 0, &retval));
			ASSERT_EQ(retval, 0);
			bpf_link__destroy(link);
		}
	}
	freplace__destroy(skel);
}

TEST(freplace)
{
	struct freplace_target *target = freplace_target__open_and_load();

	if (!ASSERT_PTR(target))
		return;
	if (subtest_begin("kprobe_alloc_refused")) {
		replace("kprobe_alloc", target->progs.target_kprobe, "replaceable_kprobe",
			"calling kernel function bpf_costack_alloc is not allowed");
		subtest_end();
	}
	if (subtest_begin("kprobe_nolock")) {
		replace("kprobe_nolock", target->progs.target_kprobe, "replaceable_kprobe", NULL);
		subtest_end();
	}
	if (subtest_begin("tc_alloc")) {
		replace("tc_alloc", target->progs.target_tc, "replaceable_tc", NULL);
		subtest_end();
	}
	if (subtest_begin("tc_sleepable_refused")) {
		replace("tc_sleepable", target->progs.target_tc, "replaceable_tc",
			"program must be sleepable to call sleepable kfunc");
		subtest_end();
	}
	freplace_target__destroy(target);
}
