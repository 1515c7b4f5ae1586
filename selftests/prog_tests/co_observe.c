// SPDX-License-Identifier: GPL-2.0
/* What an administrator sees of coroutines: debugfs, tracepoints. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "co.h"
#include "co.skel.h"

#define INSTANCE	"/sys/kernel/tracing/instances/costack_co/"

static struct co *load(void)
{
	struct co *skel = co__open_and_load();

	if (ASSERT_PTR(skel) && ASSERT_OK(co__attach(skel)))
		return skel;
	co__destroy(skel);
	return NULL;
}

/* The line after the first that begins so, or "" */
static const char *line_with(const char *text, const char *begin)
{
	static char line[512];
	const char *p = text;

	line[0] = 0;
	while (p && strncmp(p, begin, strlen(begin))) {
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	if (p)
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(p, "\n"), p);
	return line;
}

TEST(co_debugfs)
{
	unsigned long long id, first = 0;
	unsigned int age, kept, rows = 0;
	char ops[32], state[32], *text, *rest, *line;
	struct co *skel = load();
	unsigned long resumes;
	int cpu, own;

	if (!skel)
		return;
	pin_to_cpu(0);
	co_spawn(skel, forever, 0, 0);
	co_spawn(skel, forever, 1, 0);
	co_do(skel, resume, .slot = 1, .count = 7);
	co_spawn(skel, forever_own, 2, 0);
	co_do(skel, resume, .slot = 2, .count = 3);
	co_spawn(skel, values, 3, 0);
	co_do(skel, resume, .slot = 3, .count = 4);

	text = read_file(DEBUGFS "coroutines");
	rest = text;
	line = strsep(&rest, "\n");
	ASSERT_STR(line, "costack-coroutines: 1");
	line = strsep(&rest, "\n");
	ASSERT_STR(line, "id ops state cpu age_ms resumes kept private");
	while (rest && (line = strsep(&rest, "\n"))) {
		if (sscanf(line, "%llu %31s %31s %d %u %lu %u %d", &id, ops, state, &cpu, &age,
			   &resumes, &kept, &own) != 8)
			break;
		ASSERT_NE(id, first);
		first = id;
		rows++;
		if (!strcmp(ops, "forever_own")) {
			ASSERT_STR(state, "suspended");
			ASSERT_EQ(cpu, -1);
			ASSERT_EQ(resumes, 3);
			ASSERT_EQ(own, 1);
		} else if (!strcmp(ops, "values")) {
			ASSERT_STR(state, "finished");
			ASSERT_EQ(resumes, 4);
			ASSERT_EQ(own, 0);
		} else if (!strcmp(state, "new")) {
			ASSERT_STR(ops, "forever");
			ASSERT_EQ(cpu, 0);
			ASSERT_EQ(resumes, 0);
			ASSERT_EQ(kept, 0);
		} else {
			ASSERT_STR(ops, "forever");
			ASSERT_STR(state, "suspended");
			ASSERT_EQ(resumes, 7);
			ASSERT_GT(kept, 100);
			ASSERT_LT(kept, 1024);
		}
		ASSERT_LT(age, 100000);
	}
	ASSERT_EQ(rows, 4);
	ASSERT_STR(line, "more: 0");
	free(text);

	text = read_file(DEBUGFS "depth");
	if (ASSERT_PTR(text)) {
		char name[32], begin[32];
		unsigned int id32, live, depth, stack, live_max;
		unsigned int limit;

		ASSERT_STR(line_with(text, "costack-depth"), "costack-depth: 1");
		ASSERT_TRUE(!strncmp(line_with(text, "id name"),
				     "id name coroutines limit stack depth_max live_max ended ", 56));
		snprintf(begin, sizeof(begin), "%#x ", co_type(skel, forever));
		ASSERT_EQ(sscanf(line_with(text, begin), "%x %31s %u %u %u %u %u", &id32, name,
				 &live, &limit, &stack, &depth, &live_max), 7);
		ASSERT_STR(name, "forever");
		ASSERT_EQ(live, 2);
		ASSERT_EQ(stack, 0);
		ASSERT_GT(depth, live_max);
		ASSERT_GT(live_max, 100);
		snprintf(begin, sizeof(begin), "%#x ", co_type(skel, limited));
		ASSERT_EQ(sscanf(line_with(text, begin), "%x %31s %u %u %u", &id32, name,
				 &live, &limit, &stack), 5);
		ASSERT_EQ(limit, 5);
		ASSERT_EQ(live, 0);
		snprintf(begin, sizeof(begin), "%#x ", co_type(skel, forever_own));
		ASSERT_EQ(sscanf(line_with(text, begin), "%x %31s %u %u %u", &id32, name,
				 &live, &limit, &stack), 5);
		ASSERT_EQ(live, 1);
		ASSERT_EQ(stack, COSTACK_STACK_DEFAULT);
		ASSERT_STR(line_with(text, "cpu for"), "cpu for size depth_max");
		ASSERT_TRUE(!strncmp(line_with(text, "0 tasks"), "0 tasks_and_softirqs 32768 ", 27));
		ASSERT_TRUE(!strncmp(line_with(text, "0 int"), "0 interrupts 32768 ", 19));
	}
	free(text);
	text = read_file(DEBUGFS "stats");
	if (ASSERT_PTR(text)) {
		ASSERT_STR(line_with(text, "costack-stats"), "costack-stats: 1");
		ASSERT_TRUE(line_with(text, "co_spawned: ")[0]);
		ASSERT_TRUE(line_with(text, "co_fail_memory: ")[0]);
	}
	free(text);
	co__destroy(skel);
}

static int traced(const char *text)
{
	char *trace = read_file(INSTANCE "trace"), *p = trace;
	int n = 0;

	while (p && (p = strstr(p, text))) {
		n++;
		p += strlen(text);
	}
	free(trace);
	return n;
}

TEST(co_tracepoints)
{
	struct co *skel = load();
	char text[128];

	if (!skel)
		return;
	if (mkdir(INSTANCE, 0755)) {
		test_skip("cannot make an instance in tracefs");
		goto out;
	}
	ASSERT_OK(write_file(INSTANCE "events/costack/enable", "1"));
	co_spawn(skel, values, 0, 5);
	co_spawn(skel, values, 1, 5, .mode = CO_NOLOCK);
	co_do(skel, spawn, .type = 4711, .mode = CO_ATOMIC);
	co_do(skel, resume, .slot = 0, .arg = 77);
	co_do(skel, resume, .slot = 0, .arg = 78, .count = 3);
	co_do(skel, resume, .slot = 1, .arg = 79);
	co_do(skel, cancel, .slot = 1);
	co_spawn(skel, reader, 2, 1);
	co_do(skel, message, .slot = 2);
	snprintf(text, sizeof(text), " ops=%#x context=sleepable result=spawned",
		 co_type(skel, values));
	ASSERT_EQ(traced(text), 1);
	snprintf(text, sizeof(text), " ops=%#x context=process result=spawned",
		 co_type(skel, values));
	ASSERT_EQ(traced(text), 1);
	ASSERT_EQ(traced("costack_spawn: id=0 ops=0x1267 context=process result=type"), 1);
	ASSERT_EQ(traced(" value=77\n"), 1);
	ASSERT_EQ(traced(" value=78\n"), 3);
	ASSERT_EQ(traced(" event=yielded\n"), 4);
	ASSERT_EQ(traced(" event=done\n"), 1);
	ASSERT_EQ(traced(" event=reading\n"), 1);
	ASSERT_EQ(traced("costack_cancel: id="), 1);
	ASSERT_OK(write_file(INSTANCE "events/costack/enable", "0"));
	rmdir(INSTANCE);
out:
	co__destroy(skel);
}
