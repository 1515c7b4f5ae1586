// SPDX-License-Identifier: GPL-2.0
/* The command line: a word a line. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

#define WORDS_MAX	100

int fuzz_args(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *argv[WORDS_MAX + 2] = { "costack" }, *words = text;
	char *copies[WORDS_MAX];
	int argc = 1, i;

	memcpy(text, data, size);
	text[size] = '\0';
	/* Each in memory of its own. */
	while (words && *words && argc <= WORDS_MAX) {
		argv[argc] = strdup(strsep(&words, "\n"));
		copies[argc - 1] = argv[argc];
		argc++;
	}
	argv[argc] = NULL;
	tool_begin();
	optind = 0;
	costack_main(argc, argv);
	for (i = 0; i < argc - 1; i++)
		free(copies[i]);
	free(text);
	return 0;
}
