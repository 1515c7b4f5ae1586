// SPDX-License-Identifier: GPL-2.0
/* What an administrator sees: latency, tracepoints. */
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stacks.h"

#define TRACEFS		"/sys/kernel/tracing/"
#define INSTANCE	TRACEFS "instances/costack_test/"

static long long latency_sum(void)
{
	char *text = read_file(DEBUGFS "latency"), *rest = text, *line;
	long long sum = 0, bucket, n;

	while (rest && (line = strsep(&rest, "\n"))) {
		if (sscanf(line, "%lld %lld", &bucket, &n) == 2)
			sum += n;
	}
	free(text);
	return sum;
}

TEST(latency)
{
	struct stacks *skel = stacks__open_and_load();
	long long before = latency_sum();
	char *text;

	if (!ASSERT_PTR(skel))
		return;
	/* Off, which is the default: nothing is counted. */
	stacks_do(skel, cycle, .size = 512, .count = 100);
	ASSERT_EQ(latency_sum(), before);
	ASSERT_OK(write_file(DEBUGFS "latency_enable", "1"));
	text = read_file(DEBUGFS "latency");
	ASSERT_TRUE(text && strstr(text, "\nenabled: 1\n"));
	free(text);
	stacks_do(skel, cycle, .size = 512, .count = 100);
	stacks_do(skel, cycle, .mode = MODE_NOLOCK, .size = 65536, .count = 10);
	/* What is refused took no time worth counting. */
	stacks_do(skel, cycle, .size = 0, .count = 10);
	ASSERT_EQ(latency_sum(), before + 110);
	ASSERT_OK(write_file(DEBUGFS "latency_enable", "0"));
	stacks_do(skel, cycle, .size = 512, .count = 100);
	ASSERT_EQ(latency_sum(), before + 110);
	ASSERT_EQ(write_file(DEBUGFS "latency_enable", "2"), -EINVAL);
	stacks__destroy(skel);
}

/* How often a text is in the trace. */
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

static bool wait_traced(const char *text)
{
	long long end = now_ms() + PATIENCE_MS;

	while (!traced(text)) {
		if (now_ms() > end)
			return false;
		sleep_ms(20);
	}
	return true;
}

TEST(tracepoints, .params = "trim_ms=100")
{
	struct stacks *skel = stacks__open_and_load();

	if (!ASSERT_PTR(skel))
		return;
	if (mkdir(INSTANCE, 0755)) {
		test_skip("cannot make an instance in " TRACEFS);
		goto out;
	}
	ASSERT_OK(write_file(INSTANCE "events/costack/enable", "1"));
	stacks_do(skel, take, .mode = MODE_SLEEPABLE, .size = 3000);
	stacks_do(skel, take, .mode = MODE_NOLOCK, .size = 65536, .slot = 1);
	stacks_do(skel, write_word, .slot = 1, .off = 1000, .value = 1);
	stacks_do(skel, put, .count = 2);
	stacks_do(skel, take, .mode = MODE_NOLOCK, .size = 0);
	stacks_do(skel, take, .mode = MODE_SLEEPABLE, .size = 77, .flags = 2);
	ASSERT_EQ(traced("size=4096 context=sleepable source="), 1);
	ASSERT_EQ(traced("size=65536 context=process source="), 1);
	ASSERT_EQ(traced("size=4096 dirty=0"), 1);
	ASSERT_EQ(traced("size=65536 dirty=1008"), 1);
	ASSERT_EQ(traced("size=0 context=process source=size"), 1);
	ASSERT_EQ(traced("size=77 context=sleepable source=flags"), 1);
	ASSERT_EQ(traced("costack_alloc: stack="), 4);
	ASSERT_EQ(traced("costack_free: stack="), 2);
	/* The workers': a depot that was emptied is refilled, a spike is trimmed. */
	stacks_do(skel, take, .mode = MODE_SLEEPABLE, .size = 1024, .count = 300);
	ASSERT_TRUE(wait_traced("costack_refill: size=1024 backing=kmalloc node="));
	stacks_do(skel, put, .count = 300);
	ASSERT_TRUE(wait_traced("costack_trim: size=1024 backing=kmalloc node="));
	ASSERT_OK(write_file(INSTANCE "events/costack/enable", "0"));
	rmdir(INSTANCE);
out:
	stacks__destroy(skel);
}

/* The same to a program: who was it, what did it get. */
TEST(tracepoints_to_programs, .params = "trim_ms=600000")
{
	struct stacks *skel = stacks__open_and_load();

	if (!ASSERT_PTR(skel))
		return;
	skel->bss->watched = syscall(SYS_gettid);
	if (ASSERT_OK(stacks__attach(skel))) {
		pin_to_cpu(0);
		stacks_do(skel, take, .mode = MODE_SLEEPABLE, .size = 5000);
		ASSERT_EQ(skel->bss->alloc_events, 1);
		ASSERT_EQ(skel->bss->alloc_size, 8192);
		ASSERT_EQ(skel->bss->alloc_context, CTX_SLEEPABLE);
		ASSERT_LE(skel->bss->alloc_source, 2);	/* magazine, depot or kernel */
		ASSERT_NE(skel->bss->alloc_stack, 0);
		stacks_do(skel, put);
		ASSERT_EQ(skel->bss->free_events, 1);
		ASSERT_EQ(skel->bss->free_size, 8192);
		ASSERT_EQ(skel->bss->free_stack, skel->bss->alloc_stack);
		/* The one that was just given back, from this CPU's magazine. */
		stacks_do(skel, take, .mode = MODE_NOLOCK, .size = 5000);
		ASSERT_EQ(skel->bss->alloc_stack, skel->bss->free_stack);
		ASSERT_EQ(skel->bss->alloc_context, CTX_PROCESS);
		ASSERT_EQ(skel->bss->alloc_source, 0);
		/* A failure has no stack, and the size that was asked for. */
		stacks_do(skel, take, .size = 65537);
		ASSERT_EQ(skel->bss->alloc_stack, 0);
		ASSERT_EQ(skel->bss->alloc_size, 65537);
		ASSERT_EQ(skel->bss->alloc_source, 8);	/* size */
	}
	stacks__destroy(skel);
}
