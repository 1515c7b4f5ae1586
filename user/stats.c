// SPDX-License-Identifier: GPL-2.0
/* costack stats: the module's debugfs files as tables or JSON. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"

/* Coroutines are listed by 'costack coroutine list'; here are some. */
#define COROUTINES_MAX	16

static const char * const files[] = {
	"stats", "classes", "contexts", "latency", "coroutines", "depth",
};

#define NR_FILES	(sizeof(files) / sizeof(files[0]))

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* Does this figure only ever grow, so that it has a rate? */
static bool is_counter(const char *file, const char *key)
{
	static const char * const others[] = {
		"live", "cached", "live_bytes", "cached_bytes", "limit_bytes", "size",
		"cached_cpu", "cached_depot", "reserve", "target", "log2_ns", "enabled",
		"id", "cpu", "coroutines", "limit", "stack", "depth_max", "live_max",
	};
	size_t i;

	/* Of a class it is a size, of a context a source. */
	if (!strcmp(key, "magazine"))
		return strcmp(file, "classes") != 0;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (!strcmp(key, others[i]))
			return false;
	}
	return true;
}

/* The row that row @i of @now was: where rows come and go, they have ids. */
static struct json_object *row_before(struct json_object *last, struct json_object *now, size_t i)
{
	size_t k, n = last ? json_object_array_length(last) : 0;
	struct json_object *row;
	const char *id = get_text(now, "id");

	if (!*id)
		return i < n ? json_object_array_get_idx(last, i) : NULL;
	for (k = 0; k < n; k++) {
		row = json_object_array_get_idx(last, (i + k) % n);
		if (!strcmp(get_text(row, "id"), id))
			return row;
	}
	return NULL;
}

/**
 * rates() - what was added to each counter in a second
 * @file: whose counters
 * @last: what debugfs_read() gave before, or NULL
 * @now: what it gives now
 * @seconds: between
 *
 * Return: a copy of @now, the caller's, with rates in the place of counters. A row that
 * was not in @last counts from 0.
 */
struct json_object *rates(const char *file, struct json_object *last, struct json_object *now,
			  double seconds)
{
	struct json_object *obj = json_object_new_object(), *rows, *old, *row;
	int64_t diff;
	size_t i;

	json_object_object_foreach(now, key, val) {
		if (json_object_is_type(val, json_type_array)) {
			rows = json_object_new_array();
			old = get_array(last, key);
			for (i = 0; i < json_object_array_length(val); i++) {
				row = json_object_array_get_idx(val, i);
				json_object_array_add(rows, rates(file, row_before(old, row, i),
								  row, seconds));
			}
			json_object_object_add(obj, key, rows);
		} else if (is_number(val) && is_counter(file, key)) {
			diff = (int64_t)((uint64_t)json_object_get_int64(val) -
					 (uint64_t)get_number(last, key));
			add_number(obj, key, (int64_t)((double)diff / seconds));
		} else {
			json_object_object_add(obj, key, json_object_get(val));
		}
	}
	return obj;
}

/* The single figures; with @rate, what changed in a second as well. */
static void print_figures(struct json_object *stats, struct json_object *rate)
{
	char buf[32];
	size_t len;
	bool bytes;

	json_object_object_foreach(stats, key, val) {
		if (!is_number(val))
			continue;
		len = strlen(key);
		bytes = len > 6 && !strcmp(key + len - 6, "_bytes");
		printf("%-15s %14s", key,
		       bytes ? human(json_object_get_int64(val), buf, sizeof(buf)) :
			       json_object_get_string(val));
		if (rate && is_counter("stats", key)) {
			if (bytes)
				printf(" %14s/s", human(get_number(rate, key), buf, sizeof(buf)));
			else
				printf(" %14lld/s", get_number(rate, key));
		}
		putchar('\n');
	}
}

static void print_tables(struct json_object *all, struct json_object *rate)
{
	struct json_object *obj, *shown, *rows;
	size_t i;

	json_object_object_get_ex(all, "stats", &obj);
	json_object_object_get_ex(rate, "stats", &shown);
	print_figures(obj, shown);
	for (i = 1; i < NR_FILES; i++) {
		bool latency = !strcmp(files[i], "latency");

		json_object_object_get_ex(all, files[i], &obj);
		if (latency && !get_number(obj, "enabled"))
			continue;
		if (!strcmp(files[i], "coroutines")) {
			printf("\n%s\n", files[i]);
			coroutines_print(obj, COROUTINES_MAX);
			continue;
		}
		if (rate && json_object_object_get_ex(rate, files[i], &shown))
			obj = shown;
		rows = get_array(obj, "rows");
		if (!rows)
			continue;
		printf("\n%s%s\n", files[i], rate ? ", counts a second" : "");
		if (!strcmp(files[i], "depth"))
			types_print(obj);
		else
			table_print(rows, latency);
	}
	fflush(stdout);
}

/* All files; NULL after saying what is wrong. */
static struct json_object *read_files(void)
{
	struct json_object *all = json_object_new_object(), *obj;
	size_t i;

	for (i = 0; i < NR_FILES; i++) {
		obj = debugfs_read(files[i], false);
		if (!obj) {
			json_object_put(all);
			return NULL;
		}
		json_object_object_add(all, files[i], obj);
	}
	return all;
}

/* Print once; with @last, rates since then. Returns what was read. */
static struct json_object *show(struct json_object *last, double seconds)
{
	struct json_object *all = read_files(), *rate = NULL, *was, *now;
	size_t i;

	if (!all)
		return NULL;
	if (last) {
		rate = json_object_new_object();
		for (i = 0; i < NR_FILES; i++) {
			if (!strcmp(files[i], "coroutines"))
				continue;
			json_object_object_get_ex(last, files[i], &was);
			json_object_object_get_ex(all, files[i], &now);
			json_object_object_add(rate, files[i], rates(files[i], was, now, seconds));
		}
	}
	if (opts.json) {
		if (rate) {
			json_object_object_add(all, "seconds", json_object_new_double(seconds));
			json_object_object_add(all, "rates", json_object_get(rate));
		}
		print_json(all);
	} else {
		print_tables(all, rate);
	}
	json_object_put(rate);
	return all;
}

double clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int watch(unsigned long seconds)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct json_object *last = NULL, *now;
	bool tty = isatty(STDOUT_FILENO) && !opts.json;
	double before = 0, t;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	while (!stop && !ferror(stdout)) {
		t = clock_now();
		if (tty)
			fputs("\033[H\033[2J", stdout);
		else if (last && !opts.json)
			putchar('\n');
		now = show(last, t - before);
		json_object_put(last);
		if (!now)
			return CMD_FAILED;
		last = now;
		before = t;
		sleep((unsigned int)seconds);
	}
	json_object_put(last);
	return CMD_OK;
}

static int stats_help(void)
{
	printf("Usage: costack [OPTIONS] stats [--watch [SECONDS]]\n"
	       "\n"
	       "Prints the figures of the pools: in all, by class, by context, and the latency\n"
	       "histogram while it is enabled (echo 1 > /sys/kernel/debug/costack/latency_enable);\n"
	       "then some coroutines, their types, and execution stacks.\n"
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
	struct json_object *all;
	unsigned long seconds = 1;
	int ret;

	if (argc && is_word(argv[0], "help"))
		return stats_help();
	if (argc && is_word(argv[0], "show")) {
		argc--;
		argv++;
	}
	if (argc && (!strcmp(argv[0], "--watch") || is_word(argv[0], "watch"))) {
		if (argc > 2)
			return usage("stats --watch takes no '%.80s'", argv[2]);
		if (argc == 2) {
			ret = parse_number(argv[1], "--watch", 86400, &seconds);
			if (ret)
				return ret;
		}
		return watch(seconds);
	}
	if (argc)
		return usage("stats takes no '%.80s': see costack stats help", argv[0]);
	all = show(NULL, 0);
	json_object_put(all);
	return all ? CMD_OK : CMD_FAILED;
}
