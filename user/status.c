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
	NULL
};

/* Those that coroutines are made of: for their owners, and for bodies. */
static const char * const co_kfuncs[] = {
	"bpf_costack_spawn_sleepable",
	"bpf_costack_spawn",
	"bpf_costack_spawn_nolock",
	"bpf_costack_resume",
	"bpf_costack_resume_mem",
	"bpf_costack_resume_skb",
	"bpf_costack_resume_xdp",
	"bpf_costack_cancel",
	"bpf_costack_state",
	"bpf_costack_co_acquire",
	"bpf_costack_co_release",
	"bpf_costack_yield",
	"bpf_costack_read",
	"bpf_costack_read_some",
	"bpf_costack_peek",
	"bpf_costack_skip",
	"bpf_costack_avail",
	"bpf_costack_local",
	"bpf_costack_call",
	"bpf_costack_map_read",
	"bpf_costack_map_add",
	"bpf_costack_finish",
	NULL
};

#define SAME_VERSION	"use the tool and the module of the same version"

static struct json_object *checks;
static bool all_well;

/*
 * One line: what was looked at, how it is, and what to do when it is not well. @optional:
 * many programs do without.
 */
static void check_one(const char *what, bool well, bool optional, const char *is, const char *todo)
{
	all_well = all_well && (well || optional);
	if (opts.json) {
		struct json_object *obj = json_object_new_object();

		add_text(obj, "check", what);
		json_object_object_add(obj, "ok", json_object_new_boolean(well));
		if (optional)
			json_object_object_add(obj, "optional", json_object_new_boolean(true));
		add_text(obj, "is", is);
		if (!well)
			add_text(obj, "todo", todo);
		json_object_array_add(checks, obj);
		return;
	}
	printf("%-12s %-4s %s\n", what, well ? "ok" : optional ? "no" : "NO", is);
	if (!well)
		printf("%-12s      -> %s\n", "", todo);
}

static void check(const char *what, bool well, const char *is, const char *todo)
{
	check_one(what, well, false, is, todo);
}

/* How many of these has the module? The others' names are added to @missing. */
static size_t count_kfuncs(const struct btf *btf, const char * const *names, char *missing,
			   size_t len)
{
	size_t n = 0;

	for (; *names; names++) {
		if (btf && btf__find_by_name_kind(btf, *names, BTF_KIND_FUNC) > 0)
			n++;
		else
			snprintf(missing + strlen(missing), len - strlen(missing), " %s", *names);
	}
	return n;
}

static void check_kfuncs(const struct btf *btf)
{
	char missing[512] = "", is[640];
	size_t n = count_kfuncs(btf, kfuncs, missing, sizeof(missing));

	if (*missing)
		snprintf(is, sizeof(is), "missing:%s", missing);
	else
		snprintf(is, sizeof(is), "%zu", n);
	check("kfuncs", !*missing, is, SAME_VERSION);
}

#if LIBBPF_MAJOR_VERSION > 1 || LIBBPF_MINOR_VERSION >= 4
/* A descriptor of the module's BTF, which has a number only there. */
static int module_btf_fd(void)
{
	struct bpf_btf_info info;
	__u32 id = 0, len;
	char name[64];
	int fd;

	while (!bpf_btf_get_next_id(id, &id)) {
		fd = bpf_btf_get_fd_by_id(id);
		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		info.name = (unsigned long)name;
		info.name_len = sizeof(name);
		len = sizeof(info);
		if (!bpf_btf_get_info_by_fd(fd, &info, &len) && info.kernel_btf &&
		    !strcmp(name, "costack"))
			return fd;
		close(fd);
	}
	return -1;
}

/*
 * Did the module register its struct_ops? That it has the type says nothing. The kernel
 * looks for that before it finds out that the map has a wrong size.
 */
static bool is_registered(int type_id)
{
	LIBBPF_OPTS(bpf_map_create_opts, map_opts, .map_flags = BPF_F_VTYPE_BTF_OBJ_FD | BPF_F_LINK,
		    .btf_vmlinux_value_type_id = (__u32)type_id);
	bool registered = true;
	int btf, fd;

	btf = module_btf_fd();
	if (btf < 0)
		return true;
	map_opts.value_type_btf_obj_fd = btf;
	fd = bpf_map_create(BPF_MAP_TYPE_STRUCT_OPS, "costack_probe", sizeof(__u32), 1, 1,
			    &map_opts);
	if (fd >= 0)
		close(fd);
	else
		registered = errno != 524;	/* ENOTSUPP, which is the kernel's alone */
	close(btf);
	return registered;
}
#else
static bool is_registered(int type_id)
{
	(void)type_id;
	return true;
}
#endif

static void check_coroutines(const struct btf *btf)
{
	char missing[1024] = "", is[1152], why[128] = "";
	size_t n = count_kfuncs(btf, co_kfuncs, missing, sizeof(missing));
	bool has_type = btf && btf__find_by_name_kind(btf, "costack_ops", BTF_KIND_STRUCT) > 0;
	int id = btf ? btf__find_by_name_kind(btf, "bpf_struct_ops_costack_ops", BTF_KIND_STRUCT) :
		       -1;

	if (has_type && (id <= 0 || !is_registered(id))) {
		klog_find("no coroutines on this kernel", why, sizeof(why));
		why[strcspn(why, ";")] = '\0';
		snprintf(is, sizeof(is), "not on this kernel%s", why);
		check_one("coroutines", false, true, is,
			  "they want x86-64 without PREEMPT_RT; stacks and frames work without");
	} else if (!has_type || *missing) {
		snprintf(is, sizeof(is), "missing:%s%s", has_type ? "" : " struct costack_ops",
			 missing);
		check("coroutines", false, is, SAME_VERSION);
	} else if (!libbpf_loads_types()) {
		snprintf(is, sizeof(is), "libbpf %s cannot load struct costack_ops",
			 libbpf_version_string());
		check_one("coroutines", false, true, is, "install libbpf 1.4 or newer");
	} else {
		snprintf(is, sizeof(is), "struct costack_ops, %zu kfuncs", n);
		check_one("coroutines", true, true, is, "");
	}
}

static void check_functions(void)
{
	struct btf *vmlinux, *btf = NULL;

	vmlinux = btf__load_vmlinux_btf();
	if (vmlinux)
		btf = btf__load_module_btf("costack", vmlinux);
	check_kfuncs(btf);
	check_coroutines(btf);
	btf__free(btf);
	btf__free(vmlinux);
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
		check_functions();
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
	       "Exit status 0 when all is there, 1 otherwise. Coroutines may be absent: not every\n"
	       "kernel can have them.\n");
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
