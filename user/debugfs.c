// SPDX-License-Identifier: GPL-2.0
/*
 * The module's debugfs files.
 *
 * A file is a line "costack-NAME: VERSION", then "key: value" lines and tables: a line
 * of column names and rows of as many words. The first table is called rows; a line
 * "NAME:" ends one table and names the next. It is text from the kernel, but is read
 * as if anybody had written it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"

#define FORMAT_VERSION	"1"
#define FILE_SIZE_MAX	(1 << 20)
#define COLUMNS_MAX	32

/* All of a file as a string, and its length; NULL with errno. */
static char *read_file(const char *path, size_t *len)
{
	char *buf = NULL;
	struct stat st;
	ssize_t n = 0;
	int fd, err;

	/* Without O_NONBLOCK the open of a FIFO waits for its writer. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return NULL;
	*len = 0;
	if (fstat(fd, &st))
		goto err;
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		goto err;
	}
	buf = malloc(FILE_SIZE_MAX + 1);
	if (!buf)
		goto err;
	while (*len < FILE_SIZE_MAX && (n = read(fd, buf + *len, FILE_SIZE_MAX - *len)) > 0)
		*len += (size_t)n;
	if (n < 0)
		goto err;
	close(fd);
	buf[*len] = '\0';
	return buf;
err:
	err = errno;
	close(fd);
	free(buf);
	errno = err;
	return NULL;
}

static struct json_object *value(const char *text)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (*text && !*end && !errno)
		return json_object_new_int64(n);
	return json_object_new_string(text);
}

/* Split a line into words, in place. Returns how many, or -1 if too many. */
static int split(char *line, char **words)
{
	char *save = NULL, *word;
	int n = 0;

	for (word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (n == COLUMNS_MAX)
			return -1;
		words[n++] = word;
	}
	return n;
}

/* Printable ASCII that ends in a newline: else it is something else, or cut off. */
static bool is_text(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if ((text[i] < ' ' && text[i] != '\n') || text[i] > '~')
			return false;
	}
	return len && text[len - 1] == '\n';
}

/* Nothing has a name that something has already. */
static bool is_new(struct json_object *obj, const char *key)
{
	return !json_object_object_get_ex(obj, key, NULL);
}

/* Is this "key: value"? Then cut it in two. */
static char *split_pair(char *line)
{
	char *colon = strstr(line, ": ");

	if (!colon || colon == line || !colon[2] || memchr(line, ' ', (size_t)(colon - line)))
		return NULL;
	*colon = '\0';
	return colon + 2;
}

/* Is this "NAME:"? Then cut the colon off. */
static bool is_table_name(char *line)
{
	size_t len = strlen(line);

	if (len < 2 || line[len - 1] != ':' || strchr(line, ' '))
		return false;
	line[len - 1] = '\0';
	return true;
}

static bool add_row(struct json_object *rows, char **columns, char **words, int n)
{
	struct json_object *row = json_object_new_object();
	int i;

	for (i = 0; i < n; i++)
		json_object_object_add(row, columns[i], value(words[i]));
	/* Two columns of one name would shift the rest. */
	if (json_object_object_length(row) != n) {
		json_object_put(row);
		return false;
	}
	json_object_array_add(rows, row);
	return true;
}

/*
 * The lines behind the first into @obj, each table as an array. Returns the number of
 * the line that is wrong, or 0.
 */
static int parse_lines(struct json_object *obj, char *save)
{
	char *line, *val, *words[COLUMNS_MAX], *columns[COLUMNS_MAX];
	int n, nr = 1, nr_columns = 0, named = 0;
	const char *table = "rows";
	struct json_object *rows = NULL;

	while ((line = strsep(&save, "\n"))) {
		nr++;
		if (!save && !*line)
			return named;	/* what is behind the last newline */
		val = split_pair(line);
		if (val) {
			if (!is_new(obj, line))
				return nr;
			json_object_object_add(obj, line, value(val));
			continue;
		}
		if (is_table_name(line)) {
			if (named)
				return named;
			table = line;
			named = nr;
			nr_columns = 0;
			continue;
		}
		n = split(line, words);
		if (n < 1 || (nr_columns ? n != nr_columns : n < 2))
			return nr;
		if (nr_columns) {
			if (!add_row(rows, columns, words, n))
				return nr;
			continue;
		}
		if (!is_new(obj, table))
			return nr;
		nr_columns = n;
		named = 0;
		memcpy(columns, words, sizeof(*words) * (size_t)n);
		rows = json_object_new_array();
		json_object_object_add(obj, table, rows);
	}
	return 0;
}

/* In the place of fail(). */
static int mute(const char *fmt, ...)
{
	(void)fmt;
	return CMD_FAILED;
}

static struct json_object *parse(const char *path, const char *name, char *text, size_t len,
				 int (*say)(const char *fmt, ...))
{
	struct json_object *obj;
	char expect[64], *line;
	int bad;

	snprintf(expect, sizeof(expect), "costack-%s: ", name);
	if (strncmp(text, expect, strlen(expect)) || !is_text(text, len)) {
		say("%.200s is not what the module writes: is --debugfs right?", path);
		return NULL;
	}
	line = strsep(&text, "\n") + strlen(expect);
	if (strcmp(line, FORMAT_VERSION)) {
		say("%.200s has format %.20s, this tool knows %s: use the tool and the module of the same version",
		    path, line, FORMAT_VERSION);
		return NULL;
	}
	obj = json_object_new_object();
	bad = parse_lines(obj, text);
	if (bad) {
		json_object_put(obj);
		say("%.200s: line %d is unreadable: use the tool and the module of the same version",
		    path, bad);
		return NULL;
	}
	return obj;
}

/**
 * debugfs_read() - one of the module's files
 * @name: its name
 * @quiet: do not say why it cannot be read
 *
 * Return: a JSON object that is the caller's, or NULL, after saying why.
 */
struct json_object *debugfs_read(const char *name, bool quiet)
{
	int (*say)(const char *fmt, ...) = quiet ? mute : fail;
	struct json_object *obj;
	char path[PATH_MAX];
	size_t len;
	char *text;
	int err;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", opts.debugfs, name) >= sizeof(path)) {
		say("--debugfs is too long");
		return NULL;
	}
	text = read_file(path, &len);
	if (!text) {
		err = errno;
		if (err == EACCES || err == EPERM)
			say("cannot read %.200s: %s: run as root", path, strerror(err));
		else if (err == ENOENT && !module_loaded())
			say("the module costack is not loaded: insmod kmod/costack.ko, or modprobe costack");
		else if (err == ENOENT && strcmp(name, "stats") && !access(opts.debugfs, X_OK))
			say("there is no %.200s: use the tool and the module of the same version",
			    path);
		else if (err == ENOENT)
			say("there is no %.200s: mount -t debugfs none /sys/kernel/debug", path);
		else
			say("cannot read %.200s: %s: is --debugfs right?", path, strerror(err));
		return NULL;
	}
	obj = parse(path, name, text, len, say);
	free(text);
	return obj;
}
