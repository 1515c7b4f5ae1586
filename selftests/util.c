// SPDX-License-Identifier: GPL-2.0
/* Running programs, CPUs, files. */
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <linux/membarrier.h>
#include <linux/perf_event.h>

#include "testing.h"

int prog_run(struct bpf_program *prog, void *ctx, size_t ctx_size, int *retval)
{
	char packet[64] = { [12] = 8, [14] = 0x45 };	/* enough of an IPv4 frame */
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int err;

	switch (bpf_program__type(prog)) {
	case BPF_PROG_TYPE_SYSCALL:
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
		opts.ctx_in = ctx;
		opts.ctx_size_in = ctx_size;
		break;
	case BPF_PROG_TYPE_TRACING:
	case BPF_PROG_TYPE_STRUCT_OPS:
		break;
	default:
		opts.data_in = packet;
		opts.data_size_in = sizeof(packet);
		opts.repeat = 1;
		break;
	}
	err = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
	if (retval)
		*retval = (int)opts.retval;
	return err;
}

unsigned int kernel_version(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	uname(&name);
	sscanf(name.release, "%u.%u", &major, &minor);
	return KERNEL(major, minor);
}

void sync_rcu(void)
{
	syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

bool slow_kernel(void)
{
	static int slow = -1;
	char line[256];
	FILE *f;

	if (slow >= 0)
		return slow;
	slow = 0;
	f = fopen("/proc/kallsyms", "r");
	while (f && !slow && fgets(line, sizeof(line), f))
		slow = strstr(line, " kasan_report\n") || strstr(line, " kcsan_report_known_origin\n");
	if (f)
		fclose(f);
	return slow;
}

long scaled(long n)
{
	return slow_kernel() ? max(n / 50, 1L) : n;
}

int pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

int nr_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

void sleep_ms(long ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* The caller frees it; NULL when there is none. */
char *read_file(const char *path)
{
	size_t len = 0, size = 16384;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL, *more;
	ssize_t n;

	if (fd < 0)
		return NULL;
	do {
		more = realloc(text, len + size + 1);
		if (!more)
			break;
		text = more;
		n = read(fd, text + len, size);
		len += max(n, 0);
	} while (n > 0);
	close(fd);
	if (text)
		text[len] = 0;
	return text;
}

int klog_begin(void)
{
	int klog = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (klog >= 0)
		lseek(klog, 0, SEEK_END);
	return klog;
}

char *klog_end(int klog)
{
	char record[8192], *text = NULL, *line, *more;
	size_t len = 0, size;
	ssize_t n;

	if (klog < 0)
		return NULL;
	while ((n = read(klog, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		record[max(n, 0)] = 0;
		line = strchr(record, ';');
		if (!line++)
			continue;
		size = strcspn(line, "\n");
		more = realloc(text, len + size + 2);
		if (!more)
			break;
		text = more;
		memcpy(text + len, line, size);
		len += size;
		text[len++] = '\n';
		text[len] = 0;
	}
	close(klog);
	return text;
}

bool lsm_is_active(void)
{
	char dir[] = "/tmp/costack.XXXXXX", path[64], *text;
	bool active = false;

	if (!mkdtemp(dir))
		return false;
	if (!mount("securityfs", dir, "securityfs", 0, NULL)) {
		snprintf(path, sizeof(path), "%s/lsm", dir);
		text = read_file(path);
		active = text && strstr(text, "bpf");
		free(text);
		umount(dir);
	}
	rmdir(dir);
	return active;
}

struct bpf_link *attach_clock(const struct bpf_program *prog, int cpu, unsigned int us)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK, .sample_period = us * 1000ULL,
	};
	int fd = syscall(__NR_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? NULL : bpf_program__attach_perf_event(prog, fd);
}

bool inject_nmi(void)
{
	return !write_file(MONITOR, "nmi\n");
}
