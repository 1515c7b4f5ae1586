// SPDX-License-Identifier: GPL-2.0
/* costack status: what is there, what is missing, and how to get it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>

#include "cmd.h"

static const char * const kfuncs[] = {
	"bpf_costack_alloc_sleepable",
	"bpf_costack_alloc",
	"bpf_costack_alloc_nolock",
	"bpf_costack_acquire",
	"bpf_costack_release",
	"bpf_costack_size",
	"bpf_costack_frame",
	"bpf_costack_counter",
};

static struct json_object *checks;
static bool all_well;

/* One line: what was looked at, how it is, and what to do when it is not well. */
static void check(const char *what, bool well, const char *is, const char *todo)
{
	all_well = all_well && well;
	if (opts.json) {
		struct json_object *obj = json_object_new_object();

		add_text(obj, "check", what);
		json_object_object_add(obj, "ok", json_object_new_boolean(well));
		add_text(obj, "is", is);
		if (!well)
			add_text(obj, "todo", todo);
		json_object_array_add(checks, obj);
		return;
	}
	printf("%-12s %-4s %s\n", what, well ? "ok" : "NO", is);
	if (!well)
		printf("%-12s      -> %s\n", "", todo);
}

static void check_kfuncs(void)
{
	struct btf *vmlinux, *btf = NULL;
	char missing[512] = "";
	size_t i, n = 0;

	vmlinux = btf__load_vmlinux_btf();
	if (vmlinux)
		btf = btf__load_module_btf("costack", vmlinux);
	for (i = 0; i < sizeof(kfuncs) / sizeof(kfuncs[0]); i++) {
		if (btf && btf__find_by_name_kind(btf, kfuncs[i], BTF_KIND_FUNC) > 0) {
			n++;
			continue;
		}
		snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing), " %s",
			 kfuncs[i]);
	}
	btf__free(btf);
	btf__free(vmlinux);
	if (*missing) {
		char is[640];

		snprintf(is, sizeof(is), "missing:%s", missing);
		check("kfuncs", false, is, "use the tool and the module of the same version");
	} else {
		char is[32];

		snprintf(is, sizeof(is), "%zu", n);
		check("kfuncs", true, is, "");
	}
}

static void check_module(void)
{
	char buf[128], is[160];
	bool btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;

	check("kernel BTF", btf, btf ? "/sys/kernel/btf/vmlinux" : "absent",
	      "use a kernel with CONFIG_DEBUG_INFO_BTF (Debian's have it)");
	if (!module_loaded()) {
		check("module", false, "not loaded",
		      "insmod kmod/costack.ko, or modprobe costack after make install");
		return;
	}
	snprintf(is, sizeof(is), "version %s",
		 read_line("/sys/module/costack/version", buf, sizeof(buf)));
	check("module", true, is, "");
	btf = module_has_btf();
	check("module BTF", btf, btf ? "/sys/kernel/btf/costack" : "absent",
	      "install pahole and the linux-headers package of this kernel, then build the module again");
	if (btf)
		check_kfuncs();
}

static void check_debugfs(void)
{
	const char *todo = "mount -t debugfs none /sys/kernel/debug, and read it as root";
	char path[256], is[320];
	struct statfs st;
	bool well;

	if (module_loaded()) {
		snprintf(path, sizeof(path), "%.200s/stats", opts.debugfs);
		well = access(path, R_OK) == 0;
		snprintf(is, sizeof(is), "%.200s%s", opts.debugfs, well ? "" : " cannot be read");
	} else {
		well = statfs("/sys/kernel/debug", &st) == 0 &&
		       (unsigned long)st.f_type == DEBUGFS_MAGIC;
		snprintf(is, sizeof(is), "%s",
			 well ? "mounted; the module's files come with it" : "not mounted");
	}
	check("debugfs", well, is, todo);
}

/* One byte, 0 or 1, behind four of attributes; unreadable where there is no EFI. */
static const char *secure_boot(void)
{
	static const char var[] =
		"/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
	unsigned char buf[5] = {};
	ssize_t n = -1;
	int fd;

	fd = open(var, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, buf, sizeof(buf));
		close(fd);
	}
	return n != (ssize_t)sizeof(buf) ? "" : buf[4] ? ", Secure Boot on" : ", Secure Boot off";
}

/* Only what hinders: a signed module is loaded under lockdown all the same. */
static void check_lockdown(void)
{
	char buf[128], is[192];
	bool well;

	read_line("/sys/kernel/security/lockdown", buf, sizeof(buf));
	snprintf(is, sizeof(is), "%s%s", *buf ? buf : "none (or not readable)", secure_boot());
	well = !*buf || strstr(buf, "[none]") ||
	       (strstr(buf, "[integrity]") && module_loaded());
	check("lockdown", well, is,
	      "unsigned modules and some kinds of programs are refused: sign the module (README, Secure Boot)");
}

static int status_help(void)
{
	printf("Usage: costack [OPTIONS] status\n"
	       "\n"
	       "Prints what costack needs, whether it is there, and what to do when it is not.\n"
	       "Exit status 0 when all is there, 1 otherwise.\n");
	return CMD_OK;
}

/**
 * do_status() - the object status
 * @argc: number of words
 * @argv: none, or help
 *
 * Return: CMD_OK when programs can be loaded and use costack.
 */
int do_status(int argc, char **argv)
{
	char release[128] = "unknown", buf[256], is[320];
	bool well;

	if (argc && is_word(argv[0], "help"))
		return status_help();
	if (argc > 1 || (argc && !is_word(argv[0], "show")))
		return usage("status takes no '%.80s'", argv[0]);
	all_well = true;
	checks = json_object_new_array();

	well = kernel_supported(release, sizeof(release));
	check("kernel", well, release, "costack needs Linux 6.12 or newer");
	check_module();

	read_line("/proc/sys/net/core/bpf_jit_enable", buf, sizeof(buf));
	/* Unreadable: compiled to be always on, or not root, which is another line. */
	well = strcmp(buf, "0") != 0;
	check("BPF JIT", well, well ? "on" : "off", "sysctl net.core.bpf_jit_enable=1");

	well = is_bpffs(opts.bpffs);
	snprintf(is, sizeof(is), "%s%s", opts.bpffs, well ? "" : " is no bpffs");
	check("bpffs", well, is, "mount -t bpf none /sys/fs/bpf");

	check_debugfs();

	well = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SCHED_CLS, NULL) == 1;
	check("rights", well, well ? "programs can be loaded" : "no program can be loaded",
	      "run as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN");

	check_lockdown();

	if (opts.json) {
		struct json_object *obj = json_object_new_object();

		json_object_object_add(obj, "ok", json_object_new_boolean(all_well));
		json_object_object_add(obj, "checks", checks);
		print_json(obj);
		json_object_put(obj);
	} else {
		json_object_put(checks);
	}
	return all_well ? CMD_OK : CMD_FAILED;
}
