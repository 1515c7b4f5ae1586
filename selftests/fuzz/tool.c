// SPDX-License-Identifier: GPL-2.0
/*
 * The tool's surroundings: time that passes by itself, /dev/kmsg, and no rights. The Makefile
 * gives the names of what follows to what the tool calls.
 */
#undef poll
#undef sleep
#undef clock_gettime
#undef open
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

#define main costack_main
#include "../../user/main.c"
#undef main

int tool_poll(struct pollfd *fds, nfds_t nfds, int timeout);
unsigned int tool_sleep(unsigned int seconds);
int tool_clock(clockid_t clock, struct timespec *ts);
int tool_open(const char *path, int flags, ...);

char tool_dir[] = "/tmp/fuzz-tool-XXXXXX";
void (*tool_waits)(void);
static int kmsg[2] = { -1, -1 };

static void remove_dir(void)
{
	static const char * const files[] = {
		"stats", "classes", "contexts", "latency", "coroutines", "depth",
	};
	char path[64];
	size_t i;

	for (i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", tool_dir, files[i]);
		unlink(path);
	}
	rmdir(tool_dir);
}

void tool_begin(void)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
	static bool begun;

	opts = (struct options){ .bpffs = "/sys/fs/bpf", .debugfs = tool_dir };
	if (begun)
		return;
	begun = true;
	if (!mkdtemp(tool_dir) || syscall(SYS_capset, &hdr, none) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, kmsg) ||
	    !freopen("/dev/null", "w", stdout))
		abort();
	atexit(remove_dir);
}

const char *tool_file(int slot, const uint8_t *data, size_t size)
{
	static char paths[2][32];
	static int fds[2] = { -1, -1 };

	if (fds[slot] < 0)
		fds[slot] = memfd_create("fuzz", MFD_CLOEXEC);
	if (ftruncate(fds[slot], 0) || pwrite(fds[slot], data, size, 0) != (ssize_t)size)
		abort();
	snprintf(paths[slot], sizeof(paths[slot]), "/proc/self/fd/%d", fds[slot]);
	return paths[slot];
}

void tool_record(const uint8_t *data, size_t size)
{
	/* What the kernel would never give out is too long for the socket, too. */
	if (size && size <= 8192)
		send(kmsg[1], data, size, 0);
}

int tool_poll(struct pollfd *fds, nfds_t nfds, int timeout)
{
	if (tool_waits)
		tool_waits();
	return 0;
}

/* Between two pictures that would go on without end. */
unsigned int tool_sleep(unsigned int seconds)
{
	raise(SIGTERM);
	return 0;
}

int tool_clock(clockid_t clock, struct timespec *ts)
{
	static time_t now;

	*ts = (struct timespec){ .tv_sec = now += 100000 };
	return 0;
}

int tool_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (!strcmp(path, "/dev/kmsg"))
		return fcntl(kmsg[0], F_DUPFD_CLOEXEC, 0);
	va_start(ap, flags);
	if (flags & O_CREAT)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return open(path, flags, mode);
}

void bug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	abort();
}
