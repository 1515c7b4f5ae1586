// SPDX-License-Identifier: GPL-2.0
/*
 * costack stats: the module's debugfs files as tables or JSON.
 *
 * A file is a line "costack-NAME: VERSION", then "key: value" lines, then perhaps
 * a line of column names and rows of as many words. Files are text from the
 * kernel, but they are parsed as if anybody had written them.
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"

#define FORMAT_VERSION	1
#define FILE_MAX	(1 << 20)
#define COLUMNS_MAX	32

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* All of a file, as a string; NULL with errno. */
static char *read_file(const char *path)
{
	char *buf = malloc(FILE_MAX + 1);
	size_t len;
	FILE *f;

	if (!buf)
		return NULL;
	f = fopen(path, "r");
	if (!f) {
		free(buf);
		return NULL;
	}
	errno = 0;
	len = fread(buf, 1, FILE_MAX, f);
	if (ferror(f)) {
		int err = errno;

		fclose(f);
		free(buf);
		errno = err ? err : EIO;
		return NULL;
	}
	fclose(f);
	buf[len] = '\0';
	return buf;
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

	for (word = strtok_r(line, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
		if (n == COLUMNS_MAX)
			return -1;
		words[n++] = word;
	}
	return n;
}

/*
 * Parse one file into an object; its rows, if it has any, become the array
 * "rows". NULL after saying what is wrong with it.
 */
static struct json_object *parse(const char *name, char *text)
{
	struct json_object *obj = json_object_new_object(), *rows = NULL, *row;
	char *save = NULL, *line, *colon, *words[COLUMNS_MAX], *columns[COLUMNS_MAX];
	int n, i, nr_columns = 0;
	char expect[64];

	snprintf(expect, sizeof(expect), "costack-%s: ", name);
	line = strtok_r(text, "\n", &save);
	if (!line || strncmp(line, expect, strlen(expect))) {
		fail("debugfs file %s is not costack's: is --debugfs right?", name);
		goto err;
	}
	if (atoi(line + strlen(expect)) != FORMAT_VERSION) {
		fail("debugfs file %s has format %s, this tool knows %d: use the tool and the module of the same version",
		     name, line + strlen(expect), FORMAT_VERSION);
		goto err;
	}
	while ((line = strtok_r(NULL, "\n", &save))) {
		colon = strstr(line, ": ");
		if (!nr_columns && colon) {
			*colon = '\0';
			json_object_object_add(obj, line, value(colon + 2));
			continue;
		}
		n = split(line, words);
		if (n < 1 || (nr_columns && n != nr_columns)) {
			fail("debugfs file %s has a line that this tool cannot read: use the tool and the module of the same version",
			     name);
			goto err;
		}
		if (!nr_columns) {
			nr_columns = n;
			memcpy(columns, words, sizeof(*words) * n);
			rows = json_object_new_array();
			json_object_object_add(obj, "rows", rows);
			continue;
		}
		row = json_object_new_object();
		for (i = 0; i < n; i++)
			json_object_object_add(row, columns[i], value(words[i]));
		json_object_array_add(rows, row);
	}
	return obj;
err:
	json_object_put(obj);
	return NULL;
}

static struct json_object *load(const char *name)
{
	struct json_object *obj;
	char path[4096];
	char *text;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", opts.debugfs, name) >= sizeof(path)) {
		fail("--debugfs is too long");
		return NULL;
	}
	text = read_file(path);
	if (!text) {
		if (errno == ENOENT && !module_loaded())
			fail("module costack is not loaded: insmod kmod/costack.ko or modprobe costack");
		else if (errno == EACCES || errno == EPERM)
			fail("cannot read %s: %s: run as root", path, strerror(errno));
		else
			fail("cannot read %s: %s: mount -t debugfs debugfs /sys/kernel/debug",
			     path, strerror(errno));
		return NULL;
	}
	obj = parse(name, text);
	free(text);
	return obj;
}

static int64_t number(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_int64(val) : 0;
}

static const char *human(int64_t bytes, char *buf, size_t len)
{
	static const char * const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes;
	size_t unit = 0;

	while (v >= 1024 && unit < sizeof(units) / sizeof(units[0]) - 1) {
		v /= 1024;
		unit++;
	}
	snprintf(buf, len, unit ? "%.1f %s" : "%.0f %s", v, units[unit]);
	return buf;
}

static bool row_is_zero(struct json_object *row)
{
	json_object_object_foreach(row, key, val) {
		if (json_object_is_type(val, json_type_int) && json_object_get_int64(val) &&
		    strcmp(key, "size") && strcmp(key, "log2_ns"))
			return false;
	}
	return true;
}

/* Rows with columns as wide as their widest word. */
static void print_rows(struct json_object *rows, bool skip_zero)
{
	int width[COLUMNS_MAX] = {};
	size_t i, n = json_object_array_length(rows);
	int c;

	for (i = 0; i < n; i++) {
		c = 0;
		json_object_object_foreach(json_object_array_get_idx(rows, i), key, val) {
			int len = (int)strlen(json_object_get_string(val));

			if ((int)strlen(key) > width[c])
				width[c] = (int)strlen(key);
			if (len > width[c])
				width[c] = len;
			c++;
		}
	}
	for (i = 0; i < n; i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (!i) {
			c = 0;
			json_object_object_foreach(row, key, val) {
				(void)val;
				printf("%*s ", c ? width[c] : -width[c], key);
				c++;
			}
			putchar('\n');
		}
		if (skip_zero && row_is_zero(row))
			continue;
		c = 0;
		json_object_object_foreach(row, key2, val2) {
			(void)key2;
			printf("%*s ", c ? width[c] : -width[c], json_object_get_string(val2));
			c++;
		}
		putchar('\n');
	}
}

/* The single figures; with @last, what changed in a second as well. */
static void print_figures(struct json_object *stats, struct json_object *last, double seconds)
{
	char buf[32];

	json_object_object_foreach(stats, key, val) {
		int64_t now = json_object_get_int64(val);
		bool bytes = strlen(key) > 6 && !strcmp(key + strlen(key) - 6, "_bytes");

		if (bytes)
			printf("%-15s %14s", key, human(now, buf, sizeof(buf)));
		else
			printf("%-15s %14lld", key, (long long)now);
		if (last && !bytes)
			printf(" %14.0f/s", (double)(now - number(last, key)) / seconds);
		putchar('\n');
	}
}

static int show(struct json_object **last, double seconds)
{
	static const char * const names[] = { "stats", "classes", "contexts", "latency" };
	struct json_object *all = json_object_new_object(), *obj, *old = NULL, *rows;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		obj = load(names[i]);
		if (!obj) {
			json_object_put(all);
			return CMD_FAILED;
		}
		json_object_object_add(all, names[i], obj);
	}
	if (opts.json) {
		print_json(all);
	} else {
		if (*last)
			json_object_object_get_ex(*last, "stats", &old);
		json_object_object_get_ex(all, "stats", &obj);
		print_figures(obj, old, seconds);
		for (i = 1; i < sizeof(names) / sizeof(names[0]); i++) {
			json_object_object_get_ex(all, names[i], &obj);
			if (!strcmp(names[i], "latency") && !number(obj, "enabled"))
				continue;
			if (!json_object_object_get_ex(obj, "rows", &rows))
				continue;
			printf("\n%s\n", names[i]);
			print_rows(rows, !strcmp(names[i], "latency"));
		}
		fflush(stdout);
	}
	json_object_put(*last);
	*last = all;
	return CMD_OK;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int watch(unsigned long seconds)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct json_object *last = NULL;
	bool tty = isatty(STDOUT_FILENO) && !opts.json;
	double before = 0, t;
	int ret = CMD_OK;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	while (!stop) {
		t = now();
		if (tty)
			fputs("\033[H\033[2J", stdout);
		else if (last && !opts.json)
			putchar('\n');
		ret = show(&last, t - before);
		before = t;
		if (ret || ferror(stdout))
			break;
		sleep((unsigned int)seconds);
	}
	json_object_put(last);
	return ret;
}

static int stats_help(void)
{
	printf("Usage: costack [OPTIONS] stats [--watch [SECONDS]]\n"
	       "\n"
	       "Prints the figures of the pools: in all, by class, by context, and the latency\n"
	       "histogram while it is enabled (echo 1 > /sys/kernel/debug/costack/latency_enable).\n"
	       "--watch prints them again and again, with rates.\n");
	return CMD_OK;
}

/**
 * do_stats() - the object stats
 * @argc: number of words
 * @argv: the words
 *
 * Return: an exit status.
 */
int do_stats(int argc, char **argv)
{
	struct json_object *last = NULL;
	unsigned long seconds = 1;
	int ret;

	if (argc && !strcmp(argv[0], "help"))
		return stats_help();
	if (argc && (!strcmp(argv[0], "--watch") || !strcmp(argv[0], "watch"))) {
		if (argc > 2)
			return usage("stats --watch takes no '%s'", argv[2]);
		if (argc == 2) {
			ret = parse_number(argv[1], "--watch", 86400, &seconds);
			if (ret)
				return ret;
		}
		return watch(seconds);
	}
	if (argc)
		return usage("stats takes no '%s': see costack stats help", argv[0]);
	ret = show(&last, 1);
	json_object_put(last);
	return ret;
}
