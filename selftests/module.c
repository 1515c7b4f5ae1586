// SPDX-License-Identifier: GPL-2.0
/* The module under test and its counters in debugfs. */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "testing.h"

/* Slabs are not given back while an object of theirs is used: the machine's own noise. */
#define SLACK_BYTES	(1 << 20)

const char * const context_names[NR_CONTEXTS] = {
	[CTX_SLEEPABLE] = "sleepable",
	[CTX_PROCESS] = "process",
	[CTX_SOFTIRQ] = "softirq",
	[CTX_HARDIRQ] = "hardirq",
	[CTX_NMI] = "nmi",
};

/* The tree that this runner was built in has the modules. */
static int module_insert(const char *dir, const char *name, const char *params)
{
	char path[PATH_MAX + 128] = ".";
	ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 1);
	int fd, err = 0;

	if (len >= 0) {
		path[len] = 0;
		dirname(path);
	}
	len = strlen(path);
	snprintf(path + len, sizeof(path) - len, "/../../%s/%s.ko", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (syscall(__NR_finit_module, fd, params, 0))
		err = -errno;
	close(fd);
	return err;
}

bool module_loaded(void)
{
	return !access("/sys/module/costack", F_OK);
}

int module_load(const char *params)
{
	return module_insert("kmod", "costack", params);
}

int test_module_load(const char *name)
{
	return module_insert("selftests/modules", name, "");
}

/* Programs and maps that used it hold a module a little longer. */
static int module_remove(const char *name)
{
	long long end = now_ms() + PATIENCE_MS;

	while (syscall(__NR_delete_module, name, O_NONBLOCK)) {
		if ((errno != EAGAIN && errno != EBUSY) || now_ms() > end)
			return -errno;
		sleep_ms(20);
	}
	return 0;
}

int module_unload(void)
{
	return module_loaded() ? module_remove("costack") : 0;
}

int test_module_unload(const char *name)
{
	return module_remove(name);
}

static long long value_of(const char *text, const char *key)
{
	char pattern[32];
	const char *p;

	snprintf(pattern, sizeof(pattern), "\n%s: ", key);
	p = text ? strstr(text, pattern) : NULL;
	return p ? strtoll(p + strlen(pattern), NULL, 10) : -1;
}

void stats_read(struct stats *stats)
{
	char *text = read_file(DEBUGFS "stats");

#define READ(key) (stats->key = value_of(text, #key))
	READ(obtained);
	READ(returned);
	READ(live);
	READ(cached);
	READ(obtained_bytes);
	READ(returned_bytes);
	READ(live_bytes);
	READ(cached_bytes);
	READ(limit_bytes);
	READ(allocs);
	READ(frees);
	READ(hits);
	READ(misses);
	READ(refilled);
	READ(trimmed);
	READ(fail_size);
	READ(fail_flags);
	READ(fail_limit);
	READ(fail_nomem);
	READ(fail_empty);
	READ(co_spawned);
	READ(co_resumed);
	READ(co_cancelled);
	READ(co_busy);
	READ(co_fail_type);
	READ(co_fail_limit);
	READ(co_fail_memory);
#undef READ
	free(text);
}

/* Fills NR_CLASSES of them; returns how many there are. */
int classes_read(struct class_stats *classes)
{
	char *text = read_file(DEBUGFS "classes"), *rest = text, *line;
	struct class_stats *c;
	int n = 0;

	memset(classes, 0, NR_CLASSES * sizeof(*classes));
	while (rest && n < NR_CLASSES && (line = strsep(&rest, "\n"))) {
		c = &classes[n];
		if (sscanf(line, "%15s %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld",
			   c->backing, &c->size, &c->live, &c->cached_cpu, &c->cached_depot,
			   &c->obtained, &c->returned, &c->hits, &c->misses, &c->refilled,
			   &c->trimmed, &c->failed, &c->reserve, &c->target,
			   &c->magazine) == 15)
			n++;
	}
	free(text);
	return n;
}

void class_read(const char *backing, long long size, struct class_stats *class)
{
	struct class_stats classes[NR_CLASSES];
	int i, n = classes_read(classes);

	for (i = 0; i < n; i++) {
		if (classes[i].size == size && !strcmp(classes[i].backing, backing)) {
			*class = classes[i];
			return;
		}
	}
	memset(class, 0xff, sizeof(*class));
}

void contexts_read(struct context_stats *contexts)
{
	char *text = read_file(DEBUGFS "contexts"), *rest = text, *line, name[16];
	struct context_stats row;
	int i;

	memset(contexts, 0xff, NR_CONTEXTS * sizeof(*contexts));
	while (rest && (line = strsep(&rest, "\n"))) {
		if (sscanf(line, "%15s %lld %lld %lld %lld %lld %lld %lld", name, &row.magazine,
			   &row.depot, &row.kernel, &row.atomic, &row.nolock, &row.failed,
			   &row.freed) != 8)
			continue;
		for (i = 0; i < NR_CONTEXTS; i++) {
			if (!strcmp(name, context_names[i]))
				contexts[i] = row;
		}
	}
	free(text);
}

void contexts_print(void)
{
	char *text = read_file(DEBUGFS "contexts");

	test_note("%s", text);
	free(text);
}

long long contexts_allocs(const struct context_stats *row)
{
	return row->magazine + row->depot + row->kernel + row->atomic + row->nolock;
}

bool wait_live(long long want)
{
	long long end = now_ms() + PATIENCE_MS;
	struct stats stats;

	for (;;) {
		stats_read(&stats);
		if (stats.live == want)
			return true;
		if (now_ms() > end)
			return false;
		sleep_ms(5);
	}
}

static long long coroutines(void)
{
	char *text = read_file(DEBUGFS "coroutines"), *rest = text, *line;
	long long n = 0;

	while (rest && (line = strsep(&rest, "\n")))
		n += *line >= '0' && *line <= '9';
	free(text);
	return n;
}

bool wait_coroutines(long long want)
{
	long long end = now_ms() + PATIENCE_MS;

	while (coroutines() != want) {
		if (now_ms() > end)
			return false;
		sleep_ms(5);
	}
	return true;
}

void wait_refilled(void)
{
	struct class_stats classes[NR_CLASSES];
	long long end = now_ms() + PATIENCE_MS;
	int i, n;

	do {
		n = classes_read(classes);
		for (i = 0; i < n; i++) {
			if (classes[i].cached_depot < classes[i].target)
				break;
		}
		if (i == n)
			return;
		sleep_ms(2);
	} while (now_ms() < end);
}

struct stats wait_still(void)
{
	long long end = now_ms() + PATIENCE_MS;
	struct stats last, now;
	int same = 0;

	stats_read(&last);
	while (same < 3 && now_ms() < end) {
		sleep_ms(15);
		/* No CPU that the host does not let run has something left to do. */
		sync_rcu();
		stats_read(&now);
		same = now.obtained == last.obtained && now.returned == last.returned &&
		       now.live + now.cached == now.obtained - now.returned ? same + 1 : 0;
		last = now;
	}
	return last;
}

void wait_quiet(void)
{
	wait_refilled();
	wait_still();
}

static long long meminfo(const char *text, const char *key)
{
	const char *p = text ? strstr(text, key) : NULL;

	return p ? 1024 * strtoll(p + strlen(key), NULL, 10) : 0;
}

long long kernel_bytes(void)
{
	char *text;
	long long n;

	/* What waits to be freed, is; what is cached by files is not the kernel's own. */
	sync_rcu();
	write_file("/proc/sys/vm/drop_caches", "3");
	sleep_ms(200);
	text = read_file("/proc/meminfo");
	n = meminfo(text, "\nSUnreclaim:") + meminfo(text, "\nVmallocUsed:");
	free(text);
	return n;
}

void same_bytes(long long before)
{
	long long now, end = now_ms() + 5000;

	/* A stack of one size only would be more, had each round left one. */
	while ((now = kernel_bytes()) - before > SLACK_BYTES && now_ms() < end)
		;
	test_note("slabs and vmalloc: %lld bytes before, %lld after", before, now);
	/* There a part of all memory that was freed is kept from being used again. */
	if (!slow_kernel())
		ASSERT_LE(now - before, SLACK_BYTES);
}

int test_rounds(int few)
{
	const char *rounds = getenv("ROUNDS");

	return rounds ? atoi(rounds) : few;
}
