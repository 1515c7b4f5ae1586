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

/* @time_ns comes from a program and can be anything. */
static int64_t wall_clock(const struct follow *f, uint64_t time_ns)
{
	return (int64_t)(time_ns + (uint64_t)f->wall_offset);
}

static void format_time(char *buf, size_t len, int64_t ns)
{
	time_t sec = ns / 1000000000;
	char text[32] = "?";
	struct tm tm;

	if (ns >= 0 && localtime_r(&sec, &tm))
		strftime(text, sizeof(text), "%H:%M:%S", &tm);
	snprintf(buf, len, "%s.%03u", text, (unsigned int)((uint64_t)ns / 1000000 % 1000));
}

static const char *format_address(char *buf, size_t len, int family, const __u8 *addr)
{
	if (family != AF_INET && family != AF_INET6)
		return "?";
	return inet_ntop(family, addr, buf, (socklen_t)len) ?: "?";
}

/* What came over the network is shown, not obeyed, by the terminal. */
static void format_text(char *buf, size_t len, const char *text, size_t n)
{
	size_t i, at = 0;

	for (i = 0; i < n && at + 5 < len; i++) {
		unsigned char c = text[i];

		if (c >= ' ' && c < 0x7f && c != '\\')
			buf[at++] = (char)c;
		else
			at += (size_t)snprintf(buf + at, len - at, "\\x%02x", c);
	}
	buf[at] = '\0';
}

static void print_flow(const struct follow *f, const struct costack_event_flow *e)
{
	size_t n = e->len < sizeof(e->text) ? e->len : sizeof(e->text);
	char when[48], from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN], ifname[IF_NAMESIZE];
	const char *src = format_address(from, sizeof(from), e->family, e->saddr);
	const char *dst = format_address(to, sizeof(to), e->family, e->daddr);
	int64_t wall = wall_clock(f, e->time_ns);
	char text[4 * COSTACK_EVENT_TEXT + 8];
	struct json_object *obj;

	format_text(text, sizeof(text), e->text, n);
	if (!opts.json) {
		format_time(when, sizeof(when), wall);
		printf(e->family == AF_INET6 ? "%s [%s]:%u -> [%s]:%u %s\n" :
					       "%s %s:%u -> %s:%u %s\n",
		       when, src, e->sport, dst, e->dport, text);
		return;
	}
	obj = json_object_new_object();
	add_text(obj, "type", "flow");
	add_number(obj, "time_ns", wall);
	add_number(obj, "ifindex", e->ifindex);
	if (if_indextoname(e->ifindex, ifname))
		add_text(obj, "dev", ifname);
	add_text(obj, "dir", e->dir ? "egress" : "ingress");
	add_number(obj, "proto", e->proto);
	add_text(obj, "src", src);
	add_number(obj, "sport", e->sport);
	add_text(obj, "dst", dst);
	add_number(obj, "dport", e->dport);
	add_number(obj, "packets", e->packets);
	add_text(obj, "text", text);
	print_json(obj);
	json_object_put(obj);
}

static void print_task(const struct follow *f, const struct costack_event_task *e)
{
	size_t n = e->len < sizeof(e->text) ? e->len : sizeof(e->text);
	int64_t wall = wall_clock(f, e->time_ns);
	char text[4 * COSTACK_EVENT_TEXT + 8];
	struct json_object *obj;
	char when[48];

	format_text(text, sizeof(text), e->text, n);
	if (!opts.json) {
		format_time(when, sizeof(when), wall);
		printf("%s pid %u %s status %u after %llu.%03llu ms\n", when, e->pid, text,
		       e->status, e->duration_ns / 1000000, e->duration_ns / 1000 % 1000);
		return;
	}
	obj = json_object_new_object();
	add_text(obj, "type", "task");
	add_number(obj, "time_ns", wall);
	add_number(obj, "duration_ns", (long long)e->duration_ns);
	add_number(obj, "pid", e->pid);
	add_number(obj, "status", e->status);
	add_text(obj, "text", text);
	print_json(obj);
	json_object_put(obj);
}

static void print_unknown(const void *data, size_t size)
{
	const unsigned char *p = data;
	size_t i, n = size < 32 ? size : 32;
	struct json_object *obj;
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
	obj = json_object_new_object();
	add_number(obj, "type", type);
	add_number(obj, "size", (long long)size);
	add_text(obj, "hex", hex);
	print_json(obj);
	json_object_put(obj);
}

static int on_event(void *ctx, void *data, size_t size)
{
	struct costack_event_flow flow;
	struct costack_event_task task;
	struct follow *f = ctx;
	__u32 type = 0;

	if (f->counted && !f->left)
		return 0;
	if (size >= sizeof(type))
		memcpy(&type, data, sizeof(type));
	if (type == COSTACK_EVENT_FLOW && size >= sizeof(flow)) {
		memcpy(&flow, data, sizeof(flow));
		print_flow(f, &flow);
	} else if (type == COSTACK_EVENT_TASK && size >= sizeof(task)) {
		memcpy(&task, data, sizeof(task));
		print_task(f, &task);
	} else {
		print_unknown(data, size);
	}
	fflush(stdout);
	if (f->counted)
		f->left--;
	return 0;
}

/* Until enough is seen, a signal, the end of time, of the reader or of the program. */
static int follow_ring(struct ring_buffer *rb, struct follow *f, const char *path, int64_t end)
{
	int n;

	while (!stop && !ferror(stdout) && !(f->counted && !f->left)) {
		n = ring_buffer__poll(rb, 100);
		if (n < 0 && n != -EINTR)
			return fail("cannot read the ring buffer: %s", strerror(-n));
		if (end && clock_ns(CLOCK_MONOTONIC) >= end)
			break;
		if (!n && access(path, F_OK)) {
			note("it was unloaded");
			break;
		}
	}
	/* What came before the end is not lost. */
	if (!ferror(stdout))
		ring_buffer__consume(rb);
	return CMD_OK;
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
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	struct ring_buffer *rb;
	char path[PATH_MAX];
	int fd, lock, ret;

	if (pin_path(path, sizeof(path), name, "maps", "events"))
		return CMD_FAILED;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fail("'%s' has no ring buffer map called events: only programs with one can be followed",
			    name);
	if (bpf_map_get_info_by_fd(fd, &info, &len) || info.type != BPF_MAP_TYPE_RINGBUF) {
		close(fd);
		return fail("map events of '%s' is no ring buffer: make it a BPF_MAP_TYPE_RINGBUF",
			    name);
	}
	/* An event goes to one reader: two would each see some. */
	ret = pin_lock(name, "maps", &lock);
	if (ret) {
		close(fd);
		return ret == -EWOULDBLOCK ?
		       fail("'%s' is followed by another costack: end that one first", name) :
		       fail("'%s' cannot be followed: %s", name, strerror(-ret));
	}
	rb = ring_buffer__new(fd, on_event, &f, NULL);
	if (rb) {
		f.wall_offset = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
		sigaction(SIGINT, &sa, NULL);
		sigaction(SIGTERM, &sa, NULL);
		sigaction(SIGHUP, &sa, NULL);
		ret = follow_ring(rb, &f, path, end);
		ring_buffer__free(rb);
	} else {
		ret = fail("cannot map the ring buffer of '%s': %s", name, strerror(errno));
	}
	close(lock);
	close(fd);
	if (!ret && f.left && !stop && !ferror(stdout))
		ret = fail("%lu of %lu events came: %s", count - f.left, count,
			   timeout ? "raise timeout, or look whether the program sees anything" :
				     "it was unloaded");
	return ret;
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
		if (is_word(argv[i], "count"))
			ret = parse_number(argv[i + 1], "count", 1000000000, &count);
		else if (is_word(argv[i], "timeout"))
			ret = parse_number(argv[i + 1], "timeout", 1000000, &timeout);
		else
			ret = usage("prog follow takes no '%.80s'", argv[i]);
	}
	ret = ret ?: need_rights() ?: need_bpffs();
	if (ret)
		return ret;
	if (!pin_exists(argv[0]))
		return fail("nothing is loaded as '%s': see costack prog list", argv[0]);
	return follow_name(argv[0], count, timeout);
}
