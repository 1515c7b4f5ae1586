// SPDX-License-Identifier: GPL-2.0
/* costack coroutine: the coroutines that there are, and their types. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

/* Columns of the debugfs file depth that make a histogram. */
#define DEPTH	"depth_"
#define LIVE	"live_"

/* "depth_512" is 512 of the histogram "depth_"; what is none of it is -1. */
static long bucket_of(const char *key, const char *histogram)
{
	size_t len = strlen(histogram);
	long n;
	char *end;

	if (strncmp(key, histogram, len) || key[len] < '0' || key[len] > '9')
		return -1;
	n = strtol(key + len, &end, 10);
	return *end ? -1 : n;
}

/**
 * coroutines_print() - print the file coroutines, for people
 * @obj: what debugfs_read() gave
 * @max: rows at most; how many more there are is said
 */
void coroutines_print(struct json_object *obj, size_t max)
{
	struct json_object *rows = get_array(obj, "rows"), *shown, *row, *new;
	size_t i, n = rows ? json_object_array_length(rows) : 0;
	long long more = get_number(obj, "more");
	char text[32];

	if (n > max) {
		more += (long long)(n - max);
		n = max;
	}
	shown = json_object_new_array();
	for (i = 0; i < n; i++) {
		row = json_object_array_get_idx(rows, i);
		new = json_object_new_object();
		add_text(new, "id", get_text(row, "id"));
		add_text(new, "ops", get_text(row, "ops"));
		add_text(new, "state", get_text(row, "state"));
		add_text(new, "cpu", get_number(row, "cpu") < 0 ? "-" : get_text(row, "cpu"));
		snprintf(text, sizeof(text), "%.1f s", (double)get_number(row, "age_ms") / 1000);
		add_text(new, "age", text);
		add_number(new, "resumes", get_number(row, "resumes"));
		add_number(new, "kept", get_number(row, "kept"));
		add_text(new, "private", get_number(row, "private") ? "yes" : "no");
		json_object_array_add(shown, new);
	}
	table_print(shown, false);
	json_object_put(shown);
	if (!n)
		puts("none");
	if (more > 0)
		printf("and %lld more\n", more);
}

/* What a type is, without the histograms. */
static struct json_object *type_row(struct json_object *type)
{
	struct json_object *row = json_object_new_object();

	add_text(row, "ops", get_text(type, "name"));
	add_text(row, "id", get_text(type, "id"));
	add_number(row, "coroutines", get_number(type, "coroutines"));
	add_text(row, "limit", get_number(type, "limit") ? get_text(type, "limit") : "none");
	add_text(row, "stack", get_number(type, "stack") ? get_text(type, "stack") : "shared");
	add_number(row, "depth_max", get_number(type, "depth_max"));
	add_number(row, "live_max", get_number(type, "live_max"));
	add_number(row, "ended", get_number(type, "ended"));
	add_number(row, "resumes", get_number(type, "resumes"));
	return row;
}

/**
 * types_print() - print the file depth, for people, but for the histograms
 * @obj: what debugfs_read() gave
 */
void types_print(struct json_object *obj)
{
	struct json_object *rows = get_array(obj, "rows"), *shown = json_object_new_array();
	struct json_object *stacks = get_array(obj, "stacks");
	size_t i, n = rows ? json_object_array_length(rows) : 0;

	for (i = 0; i < n; i++)
		json_object_array_add(shown, type_row(json_object_array_get_idx(rows, i)));
	table_print(shown, false);
	json_object_put(shown);
	if (!n)
		puts("no types");
	if (stacks) {
		puts("\nexecution stacks");
		table_print(stacks, false);
	}
}

/* One line for each power of two with anything in it. */
static void add_buckets(struct json_object *lines, struct json_object *type)
{
	struct json_object *line;
	char live[32], text[32];
	long long deep, kept;
	bool first = true;
	long from;

	json_object_object_foreach(type, key, val) {
		from = bucket_of(key, DEPTH);
		if (from < 0)
			continue;
		snprintf(live, sizeof(live), LIVE "%ld", from);
		deep = json_object_get_int64(val);
		kept = get_number(type, live);
		/* The first one has the smaller ones, too. */
		snprintf(text, sizeof(text), "%ld", first ? 0 : from);
		first = false;
		if (!deep && !kept)
			continue;
		line = json_object_new_object();
		add_text(line, "ops", get_text(type, "name"));
		add_text(line, "id", get_text(type, "id"));
		add_text(line, "bytes from", text);
		add_number(line, "deep", deep);
		add_number(line, "kept", kept);
		json_object_array_add(lines, line);
	}
}

static void print_histograms(struct json_object *rows)
{
	struct json_object *lines = json_object_new_array();
	size_t i;

	for (i = 0; i < json_object_array_length(rows); i++)
		add_buckets(lines, json_object_array_get_idx(rows, i));
	if (json_object_array_length(lines)) {
		puts("\nhow deep stacks were, and how much yields kept, by powers of two");
		table_print(lines, false);
	}
	json_object_put(lines);
}

static void add_histogram(struct json_object *to, const char *name, struct json_object *type,
			  const char *histogram)
{
	struct json_object *obj = json_object_new_object();
	char text[32];
	long from;

	json_object_object_foreach(type, key, val) {
		from = bucket_of(key, histogram);
		if (from < 0)
			continue;
		snprintf(text, sizeof(text), "%ld", from);
		json_object_object_add(obj, text, json_object_get(val));
	}
	json_object_object_add(to, name, obj);
}

/* A type as JSON: each histogram is an object. */
static struct json_object *type_json(struct json_object *type)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_foreach(type, key, val) {
		if (bucket_of(key, DEPTH) < 0 && bucket_of(key, LIVE) < 0)
			json_object_object_add(obj, key, json_object_get(val));
	}
	add_histogram(obj, "depth", type, DEPTH);
	add_histogram(obj, "live", type, LIVE);
	return obj;
}

static int coroutine_list(int argc, char **argv)
{
	struct json_object *obj, *out;

	if (argc)
		return usage("coroutine list takes no '%.80s'", argv[0]);
	obj = debugfs_read("coroutines", false);
	if (!obj)
		return CMD_FAILED;
	if (opts.json) {
		out = json_object_new_object();
		json_object_object_add(out, "coroutines", json_object_get(get_array(obj, "rows")) ?:
				       json_object_new_array());
		add_number(out, "more", get_number(obj, "more"));
		print_json(out);
		json_object_put(out);
	} else {
		coroutines_print(obj, (size_t)-1);
	}
	json_object_put(obj);
	return CMD_OK;
}

static int coroutine_types(int argc, char **argv)
{
	struct json_object *obj, *rows, *out, *types;
	size_t i, n;

	if (argc)
		return usage("coroutine types takes no '%.80s'", argv[0]);
	obj = debugfs_read("depth", false);
	if (!obj)
		return CMD_FAILED;
	rows = get_array(obj, "rows");
	n = rows ? json_object_array_length(rows) : 0;
	if (opts.json) {
		out = json_object_new_object();
		types = json_object_new_array();
		for (i = 0; i < n; i++)
			json_object_array_add(types, type_json(json_object_array_get_idx(rows, i)));
		json_object_object_add(out, "types", types);
		json_object_object_add(out, "stacks", json_object_get(get_array(obj, "stacks")) ?:
				       json_object_new_array());
		print_json(out);
		json_object_put(out);
	} else {
		types_print(obj);
		if (n)
			print_histograms(rows);
	}
	json_object_put(obj);
	return CMD_OK;
}

static int coroutine_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("Usage: costack [OPTIONS] coroutine list\n"
	       "       costack [OPTIONS] coroutine types\n"
	       "       costack [OPTIONS] coroutine help\n"
	       "\n"
	       "  list   the coroutines: what type, what they are at, on which CPU's stack, how\n"
	       "         old, how often resumed, how many bytes they keep while suspended\n"
	       "  types  their types (struct costack_ops), how deep bodies went, and how much\n"
	       "         of the CPUs' execution stacks was ever used\n"
	       "\n"
	       "The module shows the first 4096 coroutines, and says how many more there are.\n");
	return CMD_OK;
}

static const struct cmd commands[] = {
	{ "list", coroutine_list },
	{ "show", coroutine_list },
	{ "types", coroutine_types },
	{ "help", coroutine_help },
	{ NULL, NULL },
};

/**
 * do_coroutine() - the object coroutine
 * @argc: number of words
 * @argv: the words
 *
 * Return: an exit status.
 */
int do_coroutine(int argc, char **argv)
{
	return cmd_select(commands, argc, argv, "coroutine ");
}
