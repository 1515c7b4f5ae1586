// SPDX-License-Identifier: GPL-2.0
/* Names and paths below bpffs, and the removal of what is there. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "prog.h"

/**
 * pin_check_name() - is this a name under which things can be pinned?
 * @name: the name
 *
 * Letters, digits, '_' and '-', not at the beginning: bpffs allows no dots, and
 * the rest keeps paths, JSON and completion simple.
 *
 * Return: CMD_OK or CMD_USAGE.
 */
int pin_check_name(const char *name)
{
	size_t i, len = strlen(name);

	for (i = 0; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) && name[i] != '_' &&
		    (name[i] != '-' || !i))
			break;
	}
	if (!len || i < len || len >= NAME_LEN)
		return usage("'%.80s' is no name: 1 to %d letters, digits, '_' or '-', give one with: name NAME",
			     name, NAME_LEN - 1);
	return CMD_OK;
}

/**
 * pin_path() - path of something that is pinned
 * @buf: written
 * @len: its size
 * @name: what it was loaded as, or NULL for the directory of all
 * @sub: directory below, or NULL
 * @leaf: file in it, or NULL
 *
 * Return: CMD_OK or CMD_FAILED.
 */
int pin_path(char *buf, size_t len, const char *name, const char *sub, const char *leaf)
{
	int n = snprintf(buf, len, "%s/costack%s%s%s%s%s%s", opts.bpffs, name ? "/" : "",
			 name ?: "", sub ? "/" : "", sub ?: "", leaf ? "/" : "", leaf ?: "");

	if (n < 0 || (size_t)n >= len)
		return fail("--bpffs is too long");
	return CMD_OK;
}

/**
 * pin_leaf() - a file name that bpffs takes
 * @buf: written
 * @len: its size
 * @a: first part
 * @b: second part, after a dash, or NULL
 */
void pin_leaf(char *buf, size_t len, const char *a, const char *b)
{
	char *p;

	snprintf(buf, len, "%s%s%s", a, b ? "-" : "", b ?: "");
	for (p = buf; *p; p++) {
		if (*p == '.' || *p == '/')
			*p = '_';
	}
}

/**
 * pin_remove() - remove a directory and all below it
 * @path: the directory; no symbolic link is followed
 *
 * Return: 0, or -errno of the first thing that could not be removed.
 */
int pin_remove(const char *path)
{
	char sub[PATH_MAX];
	struct dirent *d;
	struct stat st;
	int ret = 0;
	DIR *dir;

	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((d = readdir(dir))) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		if ((size_t)snprintf(sub, sizeof(sub), "%s/%s", path, d->d_name) >= sizeof(sub) ||
		    lstat(sub, &st))
			continue;
		if (S_ISDIR(st.st_mode))
			ret = pin_remove(sub) ?: ret;
		else if (unlink(sub) && errno != ENOENT)
			ret = -errno;
	}
	closedir(dir);
	if (rmdir(path) && errno != ENOENT)
		ret = ret ?: -errno;
	return ret;
}

/**
 * pin_exists() - is something loaded under this name, wholly or in part?
 * @name: the name
 *
 * Return: true if so.
 */
bool pin_exists(const char *name)
{
	char path[PATH_MAX];

	return !pin_path(path, sizeof(path), name, NULL, NULL) && !access(path, F_OK);
}
