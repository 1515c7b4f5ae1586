// SPDX-License-Identifier: GPL-2.0
/*
 * Why the module refuses the body or the type of a coroutine: it can return an error
 * number only, and says the rest in the kernel log.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "prog.h"

#define KMSG		"/dev/kmsg"
#define RECORD_MAX	8192	/* longer ones are never given out */
#define PREFIX		"costack: "
#define PROG_NAME_MAX	15	/* of a program's name, what the kernel keeps */

static int kmsg = -1;
static char reason[1024];

/* The text of the next record that the module wrote, or NULL at the end. */
static const char *next_line(int fd, char *buf)
{
	char *text, *end;
	ssize_t n;

	for (;;) {
		n = read(fd, buf, RECORD_MAX);
		/* Overtaken by newer ones; the next read goes on with the oldest. */
		if (n < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		if (n <= 0)
			return NULL;
		buf[n] = '\0';
		/* "PRIORITY,SEQUENCE,TIME,...;TEXT\n"; from 8 on it is not the kernel's. */
		text = strchr(buf, ';');
		if (!text || strtoul(buf, NULL, 10) >= 8 || strncmp(++text, PREFIX, strlen(PREFIX)))
			continue;
		end = strchr(text, '\n');
		if (end)
			*end = '\0';
		return text + strlen(PREFIX);
	}
}

/** klog_start() - what is in the kernel log by now is of no interest */
void klog_start(void)
{
	if (kmsg < 0)
		kmsg = open(KMSG, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kmsg >= 0)
		lseek(kmsg, 0, SEEK_END);
}

/* Does "body NAME: ..." speak of a program of this object? */
static bool is_body_of(const struct bpf_object *obj, const char *line)
{
	struct bpf_program *prog;
	const char *name;
	size_t len;

	bpf_object__for_each_program(prog, obj) {
		name = bpf_program__name(prog);
		len = strnlen(name, PROG_NAME_MAX);
		if (bpf_program__type(prog) == BPF_PROG_TYPE_STRUCT_OPS &&
		    !strncmp(line, name, len) && !strncmp(line + len, ": ", 2))
			return true;
	}
	return false;
}

/**
 * klog_reason() - why did the module refuse something of this object?
 * @obj: the object
 *
 * Return: what it said last since klog_start(); empty when it said nothing, or the log
 * cannot be read.
 */
const char *klog_reason(const struct bpf_object *obj)
{
	char buf[RECORD_MAX + 1];
	const char *line;

	reason[0] = '\0';
	while (kmsg >= 0 && (line = next_line(kmsg, buf))) {
		if ((!strncmp(line, "body ", 5) && is_body_of(obj, line + 5)) ||
		    !strncmp(line, "ops: ", 5) || !strncmp(line, "ops '", 5))
			snprintf(reason, sizeof(reason), "%s", line);
	}
	return reason;
}

/**
 * klog_find() - look for a line of the module in all of the log
 * @beginning: how it begins
 * @buf: written: what follows, of the last such line
 * @len: its size
 *
 * Return: true if there is one.
 */
bool klog_find(const char *beginning, char *buf, size_t len)
{
	int fd = open(KMSG, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char record[RECORD_MAX + 1];
	bool found = false;
	const char *line;

	if (fd < 0)
		return false;
	while ((line = next_line(fd, record))) {
		if (strncmp(line, beginning, strlen(beginning)))
			continue;
		snprintf(buf, len, "%s", line + strlen(beginning));
		found = true;
	}
	close(fd);
	return found;
}
