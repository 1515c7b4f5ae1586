// SPDX-License-Identifier: GPL-2.0
/*
 * A program whose loader may not look at kernel memory: it has its stacks, and does
 * not learn where they are.
 */
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/capability.h>

#include "testing.h"
#include "noperfmon.skel.h"

static struct __user_cap_data_struct all[2];

static int set_caps(const struct __user_cap_data_struct *caps)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capset, &header, caps);
}

/* libbpf itself needs more, to find the kfuncs: drop the rest for the load alone. */
static int drop(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long cookie)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	(void)prog;
	(void)opts;
	(void)cookie;
	if (syscall(SYS_capget, &header, all))
		return -errno;
	memcpy(caps, all, sizeof(caps));
	caps[0].effective = CAP_TO_MASK(CAP_NET_ADMIN);
	caps[1].effective = CAP_TO_MASK(CAP_BPF);
	return set_caps(caps) ? -errno : 0;
}

static void load(const char *name, const char *msg)
{
	struct noperfmon *skel = noperfmon__open();
	struct bpf_program *prog;
	char log[65536] = "";
	int err;

	if (!ASSERT_PTR(skel))
		return;
	prog = bpf_object__find_program_by_name(skel->obj, name);
	bpf_program__set_autoload(prog, true);
	bpf_program__set_log_buf(prog, log, sizeof(log));
	bpf_program__set_log_level(prog, 1);
	err = noperfmon__load(skel);
	if (all[0].permitted)
		ASSERT_OK(set_caps(all));
	if (!msg) {
		ASSERT_OK(err);
	} else {
		ASSERT_LT(err, 0);
		if (!ASSERT_TRUE(strstr(log, msg)))
			test_note("%s", log);
	}
	noperfmon__destroy(skel);
}

TEST(noperfmon)
{
	LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_prepare_load_fn = drop);
	int handler = libbpf_register_prog_handler("noperfmon", BPF_PROG_TYPE_SCHED_CLS, 0, &opts);

	if (!ASSERT_OK(handler))
		return;
	load("use", NULL);
	load("store_frame", "leaks addr into map");
	load("store_handle", "leaks addr into map");
	libbpf_unregister_prog_handler(handler);
}
