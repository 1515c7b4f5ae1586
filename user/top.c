// SPDX-License-Identifier: GPL-2.0
/*
 * costack top: types of coroutines, those that are resumed most first, again and again.
 * On a terminal each frame is written over the last one; else they follow each other.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"

/* The first frame on a terminal comes after so many milliseconds. */
#define FIRST_MS	250

/**
 * struct top - what it was asked for, and what it does
 * @batch: no terminal control
 * @count: frames; 0: without end
 * @seconds: between them
 * @keys: single keys are read from the terminal
 * @saved: what the terminal was set to
 */
struct top {
	bool batch;
	unsigned long count;
	unsigned long seconds;
	bool keys;
	struct termios saved;
};

/* Figures of the file stats that are shown: the rate of each, under a shorter name. */
static const char * const figures[][2] = {
	{ "co_spawned", "spawned" },
	{ "co_resumed", "resumed" },
	{ "co_cancelled", "cancelled" },
	{ "co_busy", "busy" },
	{ "co_fail_type", "no type" },
	{ "co_fail_limit", "at limit" },
	{ "co_fail_memory", "no memory" },
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* Counters are read one by one, so that one may seem to have gone back by a few. */
static long long rate_of(struct json_object *rate, const char *key)
{
	long long n = get_number(rate, key);

	return n < 0 ? 0 : n;
}

static int by_resumes(const void *a, const void *b)
{
	struct json_object *const *x = a, *const *y = b;
	long long m = get_number(*x, "resumed_per_second");
	long long n = get_number(*y, "resumed_per_second");

	if (m != n)
		return m < n ? 1 : -1;
	return strcmp(get_text(*x, "name"), get_text(*y, "name"));
}

/* A type with what happened to it in a second. @rate: of the same row. */
static struct json_object *type_frame(struct json_object *type, struct json_object *last,
				      struct json_object *rate, double seconds)
{
	long long before = get_number(last, "coroutines") + get_number(last, "ended");
	long long now = get_number(type, "coroutines") + get_number(type, "ended");
	struct json_object *obj = json_object_new_object();
	double spawned = (double)(now - before) / seconds;

	add_text(obj, "name", get_text(type, "name"));
	add_text(obj, "id", get_text(type, "id"));
	add_number(obj, "coroutines", get_number(type, "coroutines"));
	add_number(obj, "limit", get_number(type, "limit"));
	add_number(obj, "spawned_per_second", spawned < 0 ? 0 : (long long)spawned);
	add_number(obj, "resumed_per_second", rate_of(rate, "resumes"));
	add_number(obj, "resumes", get_number(type, "resumes"));
	add_number(obj, "depth_max", get_number(type, "depth_max"));
	add_number(obj, "live_max", get_number(type, "live_max"));
	return obj;
}

static struct json_object *find_type(struct json_object *types, const char *id)
{
	size_t i, n = types ? json_object_array_length(types) : 0;
	struct json_object *type;

	for (i = 0; i < n; i++) {
		type = json_object_array_get_idx(types, i);
		if (!strcmp(get_text(type, "id"), id))
			return type;
	}
	return NULL;
}

static struct json_object *types_frame(struct json_object *last, struct json_object *now,
				       double seconds)
{
	struct json_object *all = rates("depth", last, now, seconds);
	struct json_object *types = get_array(now, "rows"), *was = get_array(last, "rows");
	struct json_object *list = json_object_new_array(), *type, *before, *rate;
	size_t i, n = types ? json_object_array_length(types) : 0;

	for (i = 0; i < n; i++) {
		type = json_object_array_get_idx(types, i);
		before = find_type(was, get_text(type, "id"));
		rate = json_object_array_get_idx(get_array(all, "rows"), i);
		json_object_array_add(list, type_frame(type, before, rate, seconds));
	}
	json_object_put(all);
	json_object_array_sort(list, by_resumes);
	return list;
}

/* Both files as one object, or NULL after saying why not. */
static struct json_object *reading(void)
{
	struct json_object *all = json_object_new_object();
	struct json_object *stats = debugfs_read("stats", false);
	struct json_object *depth = stats ? debugfs_read("depth", false) : NULL;

	if (!depth) {
		json_object_put(stats);
		json_object_put(all);
		return NULL;
	}
	json_object_object_add(all, "stats", stats);
	json_object_object_add(all, "depth", depth);
	return all;
}

static struct json_object *member(struct json_object *obj, const char *key)
{
	struct json_object *val = NULL;

	json_object_object_get_ex(obj, key, &val);
	return val;
}

static struct json_object *frame(struct json_object *last, struct json_object *now, double seconds)
{
	struct json_object *obj = json_object_new_object(), *sums = json_object_new_object();
	struct json_object *stats = member(now, "stats"), *rate;
	size_t i;

	rate = rates("stats", member(last, "stats"), stats, seconds);
	for (i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		add_number(sums, figures[i][0], rate_of(rate, figures[i][0]));
	json_object_put(rate);
	json_object_object_add(obj, "seconds", json_object_new_double(seconds));
	json_object_object_add(obj, "rates", sums);
	add_number(obj, "live", get_number(stats, "live"));
	add_number(obj, "live_bytes", get_number(stats, "live_bytes"));
	add_number(obj, "limit_bytes", get_number(stats, "limit_bytes"));
	json_object_object_add(obj, "types",
			       types_frame(member(last, "depth"), member(now, "depth"), seconds));
	return obj;
}

/* At most @max types; 0: all. */
static void print_frame(struct json_object *obj, size_t max)
{
	struct json_object *types = get_array(obj, "types"), *rows = json_object_new_array();
	size_t i, n = json_object_array_length(types);
	struct json_object *sums, *type, *row;
	char live[32], limit[32];
	long long total = 0;

	for (i = 0; i < n; i++) {
		type = json_object_array_get_idx(types, i);
		total += get_number(type, "coroutines");
		if (max && i >= max)
			continue;
		row = json_object_new_object();
		add_text(row, "ops", get_text(type, "name"));
		add_text(row, "id", get_text(type, "id"));
		add_number(row, "coroutines", get_number(type, "coroutines"));
		add_number(row, "spawned/s", get_number(type, "spawned_per_second"));
		add_number(row, "resumed/s", get_number(type, "resumed_per_second"));
		add_number(row, "resumes", get_number(type, "resumes"));
		add_number(row, "depth_max", get_number(type, "depth_max"));
		add_number(row, "live_max", get_number(type, "live_max"));
		json_object_array_add(rows, row);
	}
	printf("coroutines %lld, types %zu, memory in use %s of %s\n", total, n,
	       human(get_number(obj, "live_bytes"), live, sizeof(live)),
	       human(get_number(obj, "limit_bytes"), limit, sizeof(limit)));
	sums = member(obj, "rates");
	printf("a second:");
	for (i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		printf("%s %s %lld", i ? "," : "", figures[i][1], get_number(sums, figures[i][0]));
	printf("\n\n");
	table_print(rows, false);
	if (!n)
		puts("no types");
	else if (max && n > max)
		printf("and %zu more\n", n - max);
	json_object_put(rows);
}

/* Types that fit below the two lines of sums, an empty one and the heading. */
static size_t screen_rows(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_row < 8)
		return 2;
	return size.ws_row - 6;
}

static void show(const struct top *t, struct json_object *obj, bool first)
{
	if (opts.json) {
		print_json(obj);
		return;
	}
	if (!t->batch)
		fputs("\033[H\033[2J", stdout);
	else if (!first)
		putchar('\n');
	print_frame(obj, t->batch ? 0 : screen_rows());
	fflush(stdout);
}

/* Until the time is over, a signal, or a key: q ends it, others show the next frame. */
static void pause_ms(const struct top *t, unsigned long ms)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	double end = clock_now() + (double)ms / 1000, left;
	char key;

	while (!stop && (left = end - clock_now()) > 0) {
		if (poll(&in, t->keys ? 1 : 0, (int)(left * 1000) + 1) <= 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q')
			stop = 1;
		return;
	}
}

/* Single keys, not shown; Ctrl-C stays what it is. */
static void take_keys(struct top *t)
{
	struct termios raw;

	t->keys = !t->batch && isatty(STDIN_FILENO) && !tcgetattr(STDIN_FILENO, &t->saved);
	if (!t->keys)
		return;
	raw = t->saved;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

static int run(struct top *t)
{
	struct json_object *last = reading(), *now, *obj;
	double before = clock_now(), time;
	unsigned long n;

	for (n = 0; last && !stop && !ferror(stdout) && (!t->count || n < t->count); n++) {
		pause_ms(t, !n && !t->batch ? FIRST_MS : t->seconds * 1000);
		if (stop)
			break;
		now = reading();
		time = clock_now();
		if (now) {
			obj = frame(last, now, time > before ? time - before : 1);
			show(t, obj, !n);
			json_object_put(obj);
		}
		json_object_put(last);
		last = now;
		before = time;
	}
	if (!last)
		return CMD_FAILED;
	json_object_put(last);
	return CMD_OK;
}

static int top_help(void)
{
	printf("Usage: costack [OPTIONS] top [-b|--batch] [count N] [interval SECONDS]\n"
	       "\n"
	       "Shows the types of coroutines, those that are resumed most first, and what happened\n"
	       "in a second. On a terminal the picture is renewed until q or Ctrl-C; with --batch, as\n"
	       "JSON, or into a pipe, N frames follow each other: one, if nothing is said.\n");
	return CMD_OK;
}

/**
 * do_top() - the object top
 * @argc: number of words
 * @argv: the words
 *
 * Return: an exit status.
 */
int do_top(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct top t = { .seconds = 1 };
	int i, ret = CMD_OK;

	if (argc && is_word(argv[0], "help"))
		return top_help();
	for (i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "-b") || !strcmp(argv[i], "--batch"))
			t.batch = true;
		else if (is_word(argv[i], "count"))
			ret = parse_number(argv[++i], "count", 1000000000, &t.count);
		else if (is_word(argv[i], "interval"))
			ret = parse_number(argv[++i], "interval", 86400, &t.seconds);
		else
			ret = usage("top takes no '%.80s': see costack top help", argv[i]);
		if (ret)
			return ret;
	}
	t.batch = t.batch || opts.json || !isatty(STDOUT_FILENO);
	if (t.batch && !t.count)
		t.count = 1;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	take_keys(&t);
	ret = run(&t);
	if (t.keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &t.saved);
	return ret;
}
