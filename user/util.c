// SPDX-License-Identifier: GPL-2.0
/* Errors, output, and what the machine offers. */
#include <errno.h>
#include <stdarg.h>
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

static void verror(const char *fmt, va_list ap)
{
	char text[2048];
	char *p;

	vsnprintf(text, sizeof(text), fmt, ap);
	/* One line, whatever a kernel or a file name put into it. */
	for (p = text; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	}
	if (opts.json) {
		struct json_object *obj = json_object_new_object();

		json_object_object_add(obj, "error", json_object_new_string(text));
		print_json(obj);
		json_object_put(obj);
	} else {
		fprintf(stderr, "costack: %s\n", text);
	}
}

/**
 * fail() - say in one line what is wrong and what to do
 * @fmt: as printf; "what is wrong: what to do"
 *
 * Return: CMD_FAILED.
 */
int fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verror(fmt, ap);
	va_end(ap);
	return CMD_FAILED;
}

/**
 * usage() - say in one line what is wrong with the command line
 * @fmt: as printf
 *
 * Return: CMD_USAGE.
 */
int usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verror(fmt, ap);
	va_end(ap);
	return CMD_USAGE;
}

/**
 * note() - a remark for a person, on stderr
 * @fmt: as printf
 */
void note(const char *fmt, ...)
{
	va_list ap;

	if (opts.json)
		return;
	va_start(ap, fmt);
	fputs("costack: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

/**
 * print_json() - print one JSON value and a newline
 * @obj: the value
 */
void print_json(struct json_object *obj)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

	flags |= opts.pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED :
			       JSON_C_TO_STRING_PLAIN;
	puts(json_object_to_json_string_ext(obj, flags));
	fflush(stdout);
}

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
	return fail("no bpffs at %s: mount -t bpf bpf %s, or name another with --bpffs",
		    opts.bpffs, opts.bpffs);
}

/*
 * libbpf explains failures in what it prints. It is kept, and shown at -d; the
 * end is what matters, so when the buffer is full its first half goes.
 */
static char log_buf[65536];
static size_t log_len;

static int log_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char line[16384];
	size_t len;
	int n;

	if (level == LIBBPF_DEBUG && !opts.debug)
		return 0;
	n = vsnprintf(line, sizeof(line), fmt, ap);
	if (n <= 0)
		return 0;
	len = (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;
	if (opts.debug)
		fwrite(line, 1, len, stderr);
	if (log_len + len >= sizeof(log_buf)) {
		log_len -= sizeof(log_buf) / 2 < log_len ? sizeof(log_buf) / 2 : log_len;
		memmove(log_buf, log_buf + sizeof(log_buf) / 2, log_len);
	}
	if (log_len + len >= sizeof(log_buf))
		return n;
	memcpy(log_buf + log_len, line, len);
	log_len += len;
	log_buf[log_len] = '\0';
	return n;
}

/** libbpf_log_start() - keep what libbpf prints from here on */
void libbpf_log_start(void)
{
	log_len = 0;
	log_buf[0] = '\0';
	libbpf_set_print(log_print);
}

/**
 * libbpf_log() - what libbpf printed
 *
 * Return: text, valid until libbpf prints again.
 */
const char *libbpf_log(void)
{
	return log_buf;
}
