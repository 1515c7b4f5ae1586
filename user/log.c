// SPDX-License-Identifier: GPL-2.0
/*
 * libbpf tells why something failed in what it prints, not in what it returns.
 * So its warnings are read as they pass; -d shows everything.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "cmd.h"

static char refused_prog[256];
static char refused_reason[1024];
static char first[1024];

/*
 * Is this line of a verifier log the reason, rather than its surroundings? Newer
 * kernels add a report to it: indented lines below headings.
 */
static bool tells_reason(const char *line, size_t len)
{
	static const char * const noise[] = {
		"processed ", "verification time", "stack depth", "-- END", "-- BEGIN",
		"max_states", "mark_precise", "insn_processed", "libbpf:", "peak_states",
		"from ", "func#", "Live regs", "Verification failed:", "Reason:", "At:",
		"Causal path:", "Suggestion:",
	};
	size_t i;

	/* "12: (85) call" and "; source @ file" are the way there. */
	if (!len || line[0] == ';' || line[0] == ' ' || (line[0] >= '0' && line[0] <= '9'))
		return false;
	for (i = 0; i < sizeof(noise) / sizeof(noise[0]); i++) {
		if (!strncmp(line, noise[i], strlen(noise[i])))
			return false;
	}
	return true;
}

/* "prog 'x': -- BEGIN PROG LOAD LOG --\n...": which program, and the last reason. */
static void keep_refusal(const char *text, const char *log)
{
	static const char heading[] = "\nReason:\n  ";
	const char *prog = strstr(text, "prog '"), *line;
	size_t len;

	if (!prog || prog > log)
		return;
	prog += strlen("prog '");
	snprintf(refused_prog, sizeof(refused_prog), "%.*s", (int)strcspn(prog, "'\n"), prog);
	refused_reason[0] = '\0';
	for (line = strchr(log, '\n'); line; line = strchr(line, '\n')) {
		len = strcspn(++line, "\n");
		if (tells_reason(line, len))
			snprintf(refused_reason, sizeof(refused_reason), "%.*s", (int)len, line);
	}
	line = strstr(log, heading);
	if (!refused_reason[0] && line) {
		line += strlen(heading);
		snprintf(refused_reason, sizeof(refused_reason), "%.*s",
			 (int)strcspn(line, "\n"), line);
	}
}

static void keep_first(const char *text)
{
	/* Not failures: libbpf goes on without. */
	if (first[0] || strstr(text, "Retrying without") || strstr(text, "BTF is optional"))
		return;
	if (!strncmp(text, "libbpf: ", strlen("libbpf: ")))
		text += strlen("libbpf: ");
	snprintf(first, sizeof(first), "%.*s", (int)strcspn(text, "\n"), text);
}

static int log_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	const char *log;
	char *text;
	int n;

	if (level == LIBBPF_DEBUG && !opts.debug)
		return 0;
	n = vasprintf(&text, fmt, ap);
	if (n < 0)
		return 0;
	if (opts.debug)
		fputs(text, stderr);
	if (level == LIBBPF_WARN) {
		log = strstr(text, "-- BEGIN PROG LOAD LOG --");
		if (log)
			keep_refusal(text, log);
		else
			keep_first(text);
	}
	free(text);
	return n;
}

/** log_start() - listen to libbpf, and forget what it said before */
void log_start(void)
{
	refused_prog[0] = '\0';
	refused_reason[0] = '\0';
	first[0] = '\0';
	libbpf_set_print(log_print);
}

/**
 * log_refusal() - did the verifier refuse a program?
 * @prog: written: which
 * @reason: written: the last line of its log that says why; may be empty
 *
 * Return: true if so.
 */
bool log_refusal(const char **prog, const char **reason)
{
	*prog = refused_prog;
	*reason = refused_reason;
	return refused_prog[0] != '\0';
}

/**
 * log_first() - the first thing that libbpf complained of
 *
 * Return: one line, or an empty string.
 */
const char *log_first(void)
{
	return first;
}
