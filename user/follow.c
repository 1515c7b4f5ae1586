// SPDX-License-Identifier: GPL-2.0
/* costack prog follow: print what a program puts into its ring buffer `events`. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/types.h>

#include "cmd.h"
#include "costack_event.h"
#include "prog.h"

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/**
 * struct follow - state of one run
 * @left: events still wanted; 0 when there is no limit
 * @counted: is there a limit?
 * @wall_offset: what makes wall-clock nanoseconds out of monotonic ones
 */
struct follow {
	unsigned long left;
	bool counted;
	int64_t wall_offset;
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void format_time(char *buf, size_t len, int64_t ns)
{
	time_t sec = ns / 1000000000;
	struct tm tm;
	char text[32];

	localtime_r(&sec, &tm);
	strftime(text, sizeof(text), "%H:%M:%S", &tm);
	snprintf(buf, len, "%s.%03d", text, (int)(ns / 1000000 % 1000));
}

static void format_address(char *buf, size_t len, int family, const __u8 *addr, unsigned int port)
{
	char text[INET6_ADDRSTRLEN] = "?";

	inet_ntop(family == AF_INET ? AF_INET : AF_INET6, addr, text, sizeof(text));
	snprintf(buf, len, family == AF_INET ? "%s:%u" : "[%s]:%u", text, port);
}

/* What came over the network is shown, not obeyed, by the terminal. */
static void format_text(char *buf, size_t len, const char *text, size_t n)
{
	size_t i, at = 0;

	for (i = 0; i < n && at + 5 < len; i++) {
		unsigned char c = text[i];

		if (c > ' ' && c < 0x7f && c != '\\')
			buf[at++] = (char)c;
		else
			at += (size_t)snprintf(buf + at, len - at, "\\x%02x", c);
	}
	buf[at] = '\0';
}

static void print_flow(const struct follow *f, const struct costack_event_flow *e)
{
	size_t n = e->len < sizeof(e->text) ? e->len : sizeof(e->text);
	char when[48], src[80], dst[80], text[4 * COSTACK_EVENT_TEXT + 8];
	int64_t wall = (int64_t)e->time_ns + f->wall_offset;

	format_address(src, sizeof(src), e->family, e->saddr, e->sport);
	format_address(dst, sizeof(dst), e->family, e->daddr, e->dport);
	format_text(text, sizeof(text), e->text, n);
	if (!opts.json) {
		format_time(when, sizeof(when), wall);
		printf("%s %s -> %s %s\n", when, src, dst, text);
		return;
	}
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "time_ns", json_object_new_int64(wall));
	json_object_object_add(obj, "ifindex", json_object_new_int64(e->ifindex));
	json_object_object_add(obj, "src", json_object_new_string(src));
	json_object_object_add(obj, "dst", json_object_new_string(dst));
	json_object_object_add(obj, "dir", json_object_new_string(e->dir ? "egress" : "ingress"));
	json_object_object_add(obj, "packets", json_object_new_int64(e->packets));
	json_object_object_add(obj, "text", json_object_new_string(text));
	print_json(obj);
	json_object_put(obj);
}

static void print_unknown(const void *data, size_t size)
{
	const unsigned char *p = data;
	size_t i, n = size < 32 ? size : 32;
	char hex[65] = "";
	__u32 type = 0;

	if (size >= sizeof(type))
		memcpy(&type, data, sizeof(type));
	for (i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", p[i]);
	if (!opts.json) {
		printf("event of type %u, %zu bytes: %s\n", type, size, hex);
		return;
	}
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "type", json_object_new_int64(type));
	json_object_object_add(obj, "size", json_object_new_int64((int64_t)size));
	json_object_object_add(obj, "hex", json_object_new_string(hex));
	print_json(obj);
	json_object_put(obj);
}

static int on_event(void *ctx, void *data, size_t size)
{
	struct costack_event_flow e;
	struct follow *f = ctx;

	if (f->counted && !f->left)
		return 0;
	if (size >= sizeof(e)) {
		memcpy(&e, data, sizeof(e));
		if (e.type == COSTACK_EVENT_FLOW)
			print_flow(f, &e);
		else
			print_unknown(data, size);
	} else {
		print_unknown(data, size);
	}
	fflush(stdout);
	if (f->counted)
		f->left--;
	return 0;
}

/**
 * follow_name() - print the events of what is loaded under a name
 * @name: the name
 * @count: stop after so many; 0: no limit
 * @timeout: stop after so many seconds; 0: no limit
 *
 * Return: CMD_OK; CMD_FAILED when it cannot be followed, or when @count events
 * did not come within @timeout.
 */
int follow_name(const char *name, unsigned long count, unsigned long timeout)
{
	struct follow f = { .left = count, .counted = count > 0 };
	struct sigaction sa = { .sa_handler = on_signal };
	int64_t end = timeout ? clock_ns(CLOCK_MONOTONIC) + (int64_t)timeout * 1000000000 : 0;
	struct ring_buffer *rb;
	char path[PATH_MAX];
	int fd, n;

	if (pin_path(path, sizeof(path), name, "maps", "events"))
		return CMD_FAILED;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fail("'%s' has no ring buffer map called events: only programs with one can be followed",
			    name);
	rb = ring_buffer__new(fd, on_event, &f, NULL);
	if (!rb) {
		close(fd);
		return fail("map events of '%s' is no ring buffer: make it a BPF_MAP_TYPE_RINGBUF",
			    name);
	}
	f.wall_offset = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	while (!stop && !ferror(stdout) && !(f.counted && !f.left)) {
		n = ring_buffer__poll(rb, 100);
		if (n < 0 && n != -EINTR)
			break;
		if (end && clock_ns(CLOCK_MONOTONIC) >= end)
			break;
	}
	/* What came before the signal is not lost. */
	if (!ferror(stdout))
		ring_buffer__consume(rb);
	ring_buffer__free(rb);
	close(fd);
	return f.counted && f.left && !stop ? CMD_FAILED : CMD_OK;
}

/**
 * prog_follow() - the command prog follow
 * @argc: number of words
 * @argv: NAME [count N] [timeout SECONDS]
 *
 * Return: an exit status.
 */
int prog_follow(int argc, char **argv)
{
	unsigned long count = 0, timeout = 0;
	int i, ret;

	if (argc < 1)
		return usage("prog follow wants the NAME of something loaded: see costack prog list");
	ret = pin_check_name(argv[0]);
	for (i = 1; !ret && i < argc; i += 2) {
		if (!strcmp(argv[i], "count"))
			ret = parse_number(argv[i + 1], "count", 1000000000, &count);
		else if (!strcmp(argv[i], "timeout"))
			ret = parse_number(argv[i + 1], "timeout", 1000000, &timeout);
		else
			ret = usage("prog follow takes no '%s'", argv[i]);
	}
	ret = ret ?: need_rights() ?: need_bpffs();
	if (ret)
		return ret;
	if (!pin_exists(argv[0]))
		return fail("nothing is loaded as '%s': see costack prog list", argv[0]);
	return follow_name(argv[0], count, timeout);
}
