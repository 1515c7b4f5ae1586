// SPDX-License-Identifier: GPL-2.0
/* Names and paths below bpffs, and the removal of what is there. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "cmd.h"
#include "prog.h"

#define LOCK_TRIES	20
#define DEPTH_MAX	8

static bool is_name(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) && name[i] != '_' &&
		    (name[i] != '-' || !i))
			return false;
	}
	return len && len < NAME_LEN;
}

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
	if (!is_name(name, strlen(name)))
		return usage("'%.80s' is no name: 1 to %d letters, digits, '_' or '-', give one with: name NAME",
			     name, NAME_LEN - 1);
	return CMD_OK;
}

/**
 * pin_is_ours() - is this a directory that prog load has made?
 * @name: its name below BPFFS/costack
 *
 * Return: true if it looks so.
 */
bool pin_is_ours(const char *name)
{
	size_t len = strlen(name);
	char path[PATH_MAX];
	struct stat st;

	if (len && name[len - 1] == '~')
		len--;
	return is_name(name, len) && !pin_path(path, sizeof(path), name, NULL, NULL) &&
	       !lstat(path, &st) && S_ISDIR(st.st_mode);
}

/**
 * pin_check_prog() - can this be the name of a pinned program?
 * @name: the name
 *
 * Return: CMD_OK or CMD_USAGE.
 */
int pin_check_prog(const char *name)
{
	char leaf[NAME_MAX + 1];

	pin_leaf(leaf, sizeof(leaf), name, NULL);
	if (!*name || strcmp(leaf, name))
		return usage("'%.80s' is no name of a program: see costack prog list", name);
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
		if (!isalnum((unsigned char)*p) && *p != '_' && *p != '-')
			*p = '_';
	}
}

/*
 * Remove what is called @name in @parent. It is opened first and looked at then,
 * so that nobody can put a symbolic link or a mount in its place: this runs as
 * root and removes whatever it finds.
 */
static int remove_at(int parent, const char *name, dev_t dev, int depth)
{
	struct dirent *d;
	struct stat st;
	int fd, err, ret = 0;
	DIR *dir;

	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		if (errno != ENOTDIR && errno != ELOOP)
			return errno == ENOENT ? 0 : -errno;
		return unlinkat(parent, name, 0) && errno != ENOENT ? -errno : 0;
	}
	if (fstat(fd, &st) || st.st_dev != dev || depth > DEPTH_MAX) {
		close(fd);
		return -EXDEV;
	}
	dir = fdopendir(fd);
	if (!dir) {
		err = -errno;
		close(fd);
		return err;
	}
	while ((d = readdir(dir))) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		err = remove_at(fd, d->d_name, dev, depth + 1);
		ret = ret ?: err;
	}
	closedir(dir);
	if (unlinkat(parent, name, AT_REMOVEDIR) && errno != ENOENT)
		ret = ret ?: -errno;
	return ret;
}

/**
 * pin_remove() - remove what is loaded under a name, and all below it
 * @name: the name; of a partial one, the name of its directory
 *
 * Return: 0, or -errno of the first thing that could not be removed.
 */
int pin_remove(const char *name)
{
	char top[PATH_MAX];
	struct statfs fs;
	struct stat st;
	int fd, ret;

	if (pin_path(top, sizeof(top), NULL, NULL, NULL))
		return -ENAMETOOLONG;
	fd = open(top, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || fstatfs(fd, &fs))
		ret = -errno;
	else if ((unsigned long)fs.f_type != BPF_FS_MAGIC)
		ret = -EXDEV;
	else
		ret = remove_at(fd, name, st.st_dev, 0);
	close(fd);
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

/**
 * pin_lock() - take the lock on a directory
 * @name: what was loaded
 * @sub: directory below it, or NULL
 * @fd: written: closing it gives the lock back
 *
 * Return: 0; -EWOULDBLOCK when somebody else has it; -ENOENT when there is no such
 * directory; or another -errno.
 */
int pin_lock(const char *name, const char *sub, int *fd)
{
	char path[PATH_MAX];
	struct stat st, now;
	int err, tries;

	if (pin_path(path, sizeof(path), name, sub, NULL))
		return -ENAMETOOLONG;
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0)
		return -errno;
	/* prog list looks whether there is a lock by taking it for a moment. */
	for (tries = 0; (err = flock(*fd, LOCK_EX | LOCK_NB) ? -errno : 0) == -EWOULDBLOCK &&
	     tries < LOCK_TRIES; tries++)
		usleep(10000);
	/* Its last holder may have removed it, and somebody else made it again. */
	if (!err && (fstat(*fd, &st) || stat(path, &now) || st.st_ino != now.st_ino))
		err = -ENOENT;
	if (err)
		close(*fd);
	return err;
}

/**
 * pin_is_locked() - is somebody at work on this?
 * @name: what is loaded
 *
 * Return: true if so.
 */
bool pin_is_locked(const char *name)
{
	char path[PATH_MAX];
	bool locked;
	int fd;

	if (pin_path(path, sizeof(path), name, NULL, NULL))
		return false;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return false;
	locked = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	close(fd);
	return locked;
}

/**
 * pin_each() - call a function for all that is in a directory, in order
 * @name: what was loaded, or NULL
 * @sub: directory below it, or NULL
 * @func: the function; what it returns, if not 0, ends the walk
 * @arg: for the function
 *
 * Return: what @func returned last, or 0. A directory that is not there is empty.
 */
int pin_each(const char *name, const char *sub, int (*func)(const char *leaf, void *arg),
	     void *arg)
{
	struct dirent **list;
	char path[PATH_MAX];
	int i, n, ret = 0;

	if (pin_path(path, sizeof(path), name, sub, NULL))
		return CMD_FAILED;
	n = scandir(path, &list, NULL, alphasort);
	if (n < 0)
		return 0;
	for (i = 0; i < n; i++) {
		if (!ret && list[i]->d_name[0] != '.')
			ret = func(list[i]->d_name, arg);
		free(list[i]);
	}
	free(list);
	return ret;
}
