// SPDX-License-Identifier: GPL-2.0
/*
 * Those who disturb a stress test: each does one thing again and again, in a thread of its own.
 * What a kernel or machine cannot do is said, once, and left out.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stress.h"

#define TRACEFS		"/sys/kernel/tracing/"
#define CGROUP		"/sys/fs/cgroup/"
#define GROUP		CGROUP "costack-stress/"
#define EATEN		(24 << 20)
#define MAX_FUNCTIONS	512
#define TRACED		4

/* Types of coroutines go while others have them, and come again. */

static struct bpf_link *types[6];

static bool attach_type(int i)
{
	const struct bpf_map *maps[] = {
		skel->maps.dense_ops, skel->maps.own_ops, skel->maps.deep_ops,
		skel->maps.caller_ops, skel->maps.adder_ops, skel->maps.reader_ops,
	};

	types[i] = bpf_map__attach_struct_ops(maps[i]);
	return types[i];
}

static void detach_type(int i)
{
	bpf_link__destroy(types[i]);
	types[i] = NULL;
}

static bool register_again(u64 *state)
{
	int i = choose(state, ARRAY_SIZE(types));

	detach_type(i);
	sleep_ms(choose(state, 20));
	return ASSERT_TRUE(attach_type(i));
}

static bool send_nmi(u64 *state)
{
	(void)state;
	return inject_nmi();
}

/* CPUs but the first; the clock does not survive that. */
static bool plug(u64 *state)
{
	int cpu = 1 + choose(state, min(nr_cpus(), STRESS_CPUS) - 1);
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	if (access(path, W_OK))
		return false;
	bpf_link__destroy(clocks[cpu]);
	clocks[cpu] = NULL;
	if (!ASSERT_OK(write_file(path, "0")))
		return false;
	sleep_ms(choose(state, 200));
	if (!ASSERT_OK(write_file(path, "1")))
		return false;
	clocks[cpu] = attach_clock(skel->progs.hardirq, cpu, 1000);
	return skipped[ROW_HARDIRQ] || ASSERT_PTR(clocks[cpu]);
}

static bool shrink(u64 *state)
{
	return !write_file("/proc/sys/vm/drop_caches", choose(state, 2) ? "2" : "3");
}

/* This process is over what it should have: it reclaims, and waits. */
static bool press(u64 *state)
{
	char *p, *text, size[32];

	(void)state;
	mkdir(GROUP, 0755);
	write_file(CGROUP "cgroup.subtree_control", "+memory");
	if (write_file(GROUP "memory.high", "max") || write_file(GROUP "cgroup.procs", "0"))
		return false;
	p = mmap(NULL, EATEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		 -1, 0);
	text = read_file(GROUP "memory.current");
	if (text) {
		snprintf(size, sizeof(size), "%lld", strtoll(text, NULL, 10) - (1 << 20));
		write_file(GROUP "memory.high", size);
		sleep_ms(5);
		write_file(GROUP "memory.high", "max");
	}
	write_file(GROUP "memory.reclaim", "4M");
	free(text);
	return !munmap(p, EATEN) && text;
}

/* All files of a directory: read, and those that can be written get what they have. */
static bool read_all(const char *name, bool write)
{
	DIR *dir = opendir(name);
	struct dirent *entry;
	char path[512], *text;

	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s", name, entry->d_name);
		text = entry->d_name[0] == '.' ? NULL : read_file(path);
		if (text && write && !access(path, W_OK))
			write_file(path, text);
		free(text);
	}
	return dir && !closedir(dir);
}

static bool look(u64 *state)
{
	(void)state;
	return read_all("/sys/kernel/debug/costack", false);
}

static bool set(u64 *state)
{
	write_file(DEBUGFS "depth_all", choose(state, 2) ? "1" : "0");
	return read_all("/sys/module/costack/parameters", true);
}

static bool measure(u64 *state)
{
	if (write_file(DEBUGFS "latency_enable", "1"))
		return false;
	sleep_ms(choose(state, 500));
	return !write_file(DEBUGFS "latency_enable", "0");
}

static bool trace_events(u64 *state)
{
	if (write_file(TRACEFS "events/costack/enable", "1"))
		return false;
	sleep_ms(choose(state, 500));
	return !write_file(TRACEFS "events/costack/enable", "0");
}

/* Programs end by exceptions on top of bodies. */
static bool throw(u64 *state)
{
	struct bpf_link *link = bpf_program__attach(skel->progs.throws);

	sleep_ms(choose(state, 500));
	bpf_link__destroy(link);
	return ASSERT_PTR(link);
}

static char functions[MAX_FUNCTIONS][64];

/* The module's functions that can be traced. Return: how many. */
static int list_functions(void)
{
	FILE *f = fopen(TRACEFS "available_filter_functions", "r");
	char line[256];
	int n = 0;

	while (f && n < MAX_FUNCTIONS && fgets(line, sizeof(line), f)) {
		if (strstr(line, "[costack]") && sscanf(line, "%63s", functions[n]) == 1)
			n++;
	}
	if (f)
		fclose(f);
	return n;
}

/* A few functions, others each time: all are too many for the emulator, see below. */
static bool trace_graph(u64 *state)
{
	static int n;
	FILE *filter;
	bool done;
	int i;

	n = n ?: list_functions();
	filter = n ? fopen(TRACEFS "set_ftrace_filter", "w") : NULL;
	if (!filter)
		return false;
	for (i = 0; i < TRACED; i++)
		fprintf(filter, "%s ", functions[choose(state, n)]);
	fclose(filter);
	done = !write_file(TRACEFS "current_tracer", "function_graph");
	sleep_ms(choose(state, 500));
	write_file(TRACEFS "current_tracer", "nop");
	return done;
}

/**
 * struct disturber - one that disturbs
 * @name: what it does
 * @does: does it once; false when that is not to be had here
 * @ms: it waits so long between, at most
 * @state: of its choices
 * @count: how often it did it
 * @cannot: this machine cannot
 * @calm: it is to end
 * @thread: in which it runs, or 0
 */
static struct disturber {
	const char *name;
	bool (*does)(u64 *state);
	int ms;
	u64 state, count;
	bool cannot;
	volatile bool calm;
	pthread_t thread;
} disturbers[] = {
	/* Ends first: the kernel may warn of a task that ends on a CPU that goes. */
	{ "CPU hotplug", plug, 1000 },
	{ "register a type again", register_again, 100 },
	{ "NMI", send_nmi, 40 },
	{ "drop_caches", shrink, 1000 },
	{ "memory pressure in a cgroup", press, 500 },
	{ "read debugfs", look, 100 },
	{ "write debugfs and parameters", set, 200 },
	/*
	 * These have code patched that all CPUs run. Not more often: now and then an emulator runs
	 * an instruction that is no longer there (selftests/vm/README.md).
	 */
	{ "measure latencies", measure, 20000 },
	{ "trace events", trace_events, 20000 },
	{ "function_graph", trace_graph, 5000 },
	{ "throw", throw, 10000 },
};

static void *disturb(void *arg)
{
	struct disturber *d = arg;

	while (!d->calm && !d->cannot) {
		sleep_ms(choose(&d->state, d->ms));
		if (d->does(&d->state))
			d->count++;
		else
			d->cannot = true;
	}
	return NULL;
}

/* Types first: without them there are no coroutines. */
void disturb_begin(u64 seed)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(types); i++)
		ASSERT_TRUE(attach_type(i));
	for (i = 0; i < ARRAY_SIZE(disturbers); i++) {
		disturbers[i].state = seed + i;
		disturbers[i].thread = 0;
		disturbers[i].calm = false;
		if (!disturbers[i].cannot)
			pthread_create(&disturbers[i].thread, NULL, disturb, &disturbers[i]);
	}
}

void disturb_end(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(disturbers); i++) {
		disturbers[i].calm = true;
		if (disturbers[i].thread)
			pthread_join(disturbers[i].thread, NULL);
	}
}

void disturb_types_end(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(types); i++)
		detach_type(i);
}

bool disturbed(bool say)
{
	struct disturber *d;
	bool all = true;

	for (d = disturbers; d < disturbers + ARRAY_SIZE(disturbers); d++) {
		all &= d->count || d->cannot;
		if (!say)
			continue;
		if (d->cannot)
			test_note("skipped: %s: this machine cannot (after %llu times)", d->name,
				  (unsigned long long)d->count);
		else
			test_note("%s: %llu times", d->name, (unsigned long long)d->count);
		if (!d->count && !d->cannot)
			test_fail(__FILE__, __LINE__, "%s: not once", d->name);
	}
	return all;
}
