// SPDX-License-Identifier: GPL-2.0
/* What the machine offers, and numbers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/syscall.h>

#include "cmd.h"

/**
 * parse_number() - a number of the command line
 * @text: what was typed, or NULL
 * @what: its name in the error
 * @max: largest value; the smallest is 1
 * @val: written
 *
 * Return: CMD_OK or CMD_USAGE.
 */
int parse_number(const char *text, const char *what, unsigned long max, unsigned long *val)
{
	char *end;

	if (!text || *text < '0' || *text > '9')
		return usage("%s wants a number from 1 to %lu", what, max);
	errno = 0;
	*val = strtoul(text, &end, 10);
	if (errno || *end || !*val || *val > max)
		return usage("%s: '%s' is not a number from 1 to %lu", what, text, max);
	return CMD_OK;
}

bool module_loaded(void)
{
	return access("/sys/module/costack", F_OK) == 0;
}

bool module_has_btf(void)
{
	return access("/sys/kernel/btf/costack", F_OK) == 0;
}

bool is_bpffs(const char *path)
{
	struct statfs st;

	return statfs(path, &st) == 0 && (unsigned long)st.f_type == BPF_FS_MAGIC;
}

/**
 * kernel_supported() - is the kernel new enough?
 * @release: filled with its version
 * @len: size of @release
 *
 * Return: true from 6.12 on.
 */
bool kernel_supported(char *release, size_t len)
{
	unsigned int major = 0, minor = 0;
	struct utsname u;

	if (uname(&u) || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return false;
	snprintf(release, len, "%s", u.release);
	return major > 6 || (major == 6 && minor >= 12);
}

/**
 * libbpf_loads_types() - is libbpf new enough for types of coroutines?
 *
 * Return: true from 1.4 on, which knows the struct_ops of modules.
 */
bool libbpf_loads_types(void)
{
	return libbpf_major_version() > 1 || libbpf_minor_version() >= 4;
}

static bool have_cap(int cap)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	if (syscall(SYS_capget, &hdr, data))
		return false;
	return data[CAP_TO_INDEX(cap)].effective & CAP_TO_MASK(cap);
}

/**
 * need_rights() - may we load programs at all?
 *
 * Return: CMD_OK, or CMD_FAILED after saying why not.
 */
int need_rights(void)
{
	if (have_cap(CAP_SYS_ADMIN) || have_cap(CAP_BPF))
		return CMD_OK;
	return fail("no rights to use BPF: run as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN");
}

/**
 * need_bpffs() - is there a file system to pin in?
 *
 * Return: CMD_OK, or CMD_FAILED after saying what to do.
 */
int need_bpffs(void)
{
	if (is_bpffs(opts.bpffs))
		return CMD_OK;
	return fail("no bpffs at %s: mount -t bpf none %s, or name another with --bpffs",
		    opts.bpffs, opts.bpffs);
}

/**
 * read_line() - the first line of a small file
 * @path: the file
 * @buf: written
 * @len: its size
 *
 * Return: @buf; empty when the file cannot be read.
 */
const char *read_line(const char *path, char *buf, size_t len)
{
	FILE *f = fopen(path, "re");

	buf[0] = '\0';
	if (f) {
		if (fgets(buf, (int)len, f))
			buf[strcspn(buf, "\n")] = '\0';
		fclose(f);
	}
	return buf;
}
