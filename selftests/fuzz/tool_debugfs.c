// SPDX-License-Identifier: GPL-2.0
/*
 * The module's debugfs files, one behind the other, and all that is made of them. Behind a byte
 * SECOND is how they are when they are read again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "tool.h"

#define SECOND	1

static const char *second;

static void write_file(const char *name, const char *text, size_t size)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", tool_dir, name);
	f = fopen(path, "w");
	if (!f || fwrite(text, 1, size, f) != size || fclose(f))
		abort();
}

/* Those that are there; the others stay what they were. */
static void write_files(const char *text)
{
	static const char * const names[] = {
		"stats", "classes", "contexts", "latency", "coroutines", "depth",
	};
	const char *begin, *end;
	char head[32];
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(head, sizeof(head), "costack-%s:", names[i]);
		begin = strstr(text, head);
		if (!begin)
			continue;
		end = strstr(begin + 1, "\ncostack-");
		write_file(names[i], begin, end ? (size_t)(end + 1 - begin) : strlen(begin));
	}
}

static void go_on(void)
{
	if (second)
		write_files(second);
	second = NULL;
}

static void call(int (*func)(int argc, char **argv), const char *words)
{
	char text[64], *argv[8], *save = NULL;
	int argc = 0;

	snprintf(text, sizeof(text), "%s", words);
	while ((argv[argc] = strtok_r(argc ? NULL : text, " ", &save)))
		argc++;
	func(argc, argv);
}

int fuzz_debugfs(const uint8_t *data, size_t size)
{
	static const char empty[] = "costack-stats: 1\ncostack-classes: 1\ncostack-contexts: 1\n"
				    "costack-latency: 1\ncostack-coroutines: 1\ncostack-depth: 1\n";
	char *text = malloc(size + 1), *at;
	int json;

	tool_begin();
	memcpy(text, data, size);
	text[size] = '\0';
	for (json = 0; json < 2; json++) {
		opts.json = json;
		opts.pretty = json;
		write_files(empty);
		at = memchr(text, SECOND, size);
		if (at)
			*at = '\0';
		write_files(text);
		call(do_stats, "show");
		call(do_coroutine, "list");
		call(do_coroutine, "types");
		second = at ? at + 1 : NULL;
		tool_waits = go_on;
		call(do_top, "count 2 interval 3");
		if (at)
			*at = SECOND;
	}
	free(text);
	return 0;
}
