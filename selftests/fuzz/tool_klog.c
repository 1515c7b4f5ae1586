// SPDX-License-Identifier: GPL-2.0
/* What the kernel and libbpf say: records of the kernel log, then, behind a zero, a warning. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "prog.h"
#include "tool.h"

#define RECORD	1	/* between two records */

static void send_records(const uint8_t *data, size_t size)
{
	const uint8_t *next;
	int n;

	for (n = 0; size && n < 100; n++) {
		next = memchr(data, RECORD, size);
		tool_record(data, next ? (size_t)(next - data) : size);
		if (!next)
			break;
		size -= next + 1 - data;
		data = next + 1;
	}
}

static void say(libbpf_print_fn_t print, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(LIBBPF_WARN, fmt, ap);
	va_end(ap);
}

int fuzz_klog(const uint8_t *data, size_t size)
{
	static struct bpf_object *obj;
	const char *prog, *reason;
	libbpf_print_fn_t print;
	const uint8_t *end;
	char *text, buf[32];

	tool_begin();
	if (!obj)
		obj = bpf_object__open_file(FUZZ_OBJECT, NULL);
	if (!obj)
		bug("no " FUZZ_OBJECT);
	log_start();
	print = libbpf_set_print(NULL);
	libbpf_set_print(print);
	end = memchr(data, 0, size);
	if (end) {
		text = malloc(data + size - end);
		memcpy(text, end + 1, data + size - end - 1);
		text[data + size - end - 1] = '\0';
		say(print, "libbpf: %s", text);
		say(print, "%s", text);
		free(text);
		size = end - data;
	}
	log_refusal(&prog, &reason);
	klog_start();
	send_records(data, size);
	klog_reason(obj);
	send_records(data, size);
	explain_load(obj, "fuzz.bpf.o", -22);
	send_records(data, size);
	klog_find("coroutines: ", buf, sizeof(buf));
	return 0;
}
