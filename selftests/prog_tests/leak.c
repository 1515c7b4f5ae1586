// SPDX-License-Identifier: GPL-2.0
/*
 * No program sees a byte that another one wrote, or the kernel: whatever is taken reads as
 * zero, however the one before it ended. zeroing.c looks at what is cleared, and at
 * memory fresh from the kernel. That has something to find when the guest is booted so that
 * the kernel leaves a pattern in it: see test.sh.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>

#include "co.h"
#include "co.skel.h"
#include "leak.skel.h"
#include "stacks.h"

#define PATTERN		0xa5a5a5a5a5a5a5a5ULL
#define FRAME		4096

static u32 usable(u32 size, u32 flags)
{
	return flags ? max(size, 4096U) : size;
}

/* All of it is written to, given back, and taken again by each kfunc. */
static void run_class(u32 size, u32 flags)
{
	struct stacks *skel = stacks__open_and_load(), *next;
	struct stack_args a;
	u32 mode, again;

	if (!ASSERT_PTR(skel))
		return;
	for (mode = MODE_SLEEPABLE; mode <= MODE_NOLOCK; mode++) {
		again = (mode + 1) % 3;
		ASSERT_EQ(stacks_do(skel, take, .mode = mode, .size = size, .flags = flags).done, 1);
		a = stacks_do(skel, fill, .value = PATTERN);
		ASSERT_EQ(a.done, usable(size, flags) / 8);
		ASSERT_EQ(stacks_do(skel, read_word, .off = size - 8).result, (s64)PATTERN);
		stacks_do(skel, put);
		ASSERT_EQ(stacks_do(skel, take, .mode = again, .size = size, .flags = flags).done,
			  1);
		a = stacks_do(skel, count_nonzero);
		ASSERT_EQ(a.done, usable(size, flags) / 8);
		if (!ASSERT_EQ(a.result, 0))
			test_note("mode %u after %u", again, mode);
		stacks_do(skel, fill, .value = PATTERN);
		stacks_do(skel, put);
	}
	/* It is in a map when that goes, with the programs. */
	stacks_do(skel, take, .mode = MODE_SLEEPABLE, .size = size, .flags = flags);
	stacks_do(skel, fill, .value = PATTERN);
	stacks__destroy(skel);
	ASSERT_TRUE(wait_live(0));
	next = stacks__open_and_load();
	if (ASSERT_PTR(next)) {
		/* Wherever it went. */
		for (mode = 0; mode < 40; mode++) {
			a = stacks_do(next, take, .mode = MODE_SLEEPABLE, .size = size,
				      .flags = flags, .slot = mode);
			if (a.done && size <= 4096)
				ASSERT_EQ(stacks_do(next, count_nonzero, .slot = mode).result, 0);
		}
	}
	stacks__destroy(next);
}

TEST(leak_stacks, .params = "trim_ms=600000")
{
	u32 size;

	pin_to_cpu(0);
	for (size = COSTACK_SIZE_MIN; size <= COSTACK_SIZE_MAX; size *= 2) {
		if (subtest_begin("kmalloc_%u", size)) {
			run_class(size, 0);
			subtest_end();
		}
		if (size >= 4096 && subtest_begin("guard_%u", size)) {
			run_class(size, COSTACK_F_GUARD);
			subtest_end();
		}
	}
}

/*
 * What coroutines had: the memory beside their locals, kept stacks, execution stacks of private
 * ones. It comes back as memory of coroutines or as stacks, on some CPU.
 */
static void find(struct leak *skel, struct stacks *stacks, const char *after)
{
	static const struct { u32 size, flags; } classes[] = {
		{ 1024, 0 }, { 2048, 0 }, { FRAME, 0 }, { 8192, COSTACK_F_GUARD },
		{ 16384, COSTACK_F_GUARD },
	};
	u32 types[] = { co_type(skel, looker), co_type(skel, looker_own) };
	u64 looked = 0, words = 0;
	struct stack_args s;
	struct co_args a;
	unsigned int i, n;
	int cpu;

	for (cpu = 0; cpu < nr_cpus(); cpu++) {
		pin_to_cpu(cpu);
		for (n = 0; n < CO_SLOTS; n++) {
			co_do(skel, spawn, .type = types[n % 2], .slot = n);
			a = co_do(skel, resume, .slot = n);
			if (!ASSERT_EQ(a.ret, COSTACK_YIELDED) || !ASSERT_EQ(a.result, 0))
				test_note("after %s: memory of a coroutine", after);
			looked++;
		}
		for (n = 0; n < CO_SLOTS; n++)
			co_do(skel, release, .slot = n);
		ASSERT_TRUE(wait_coroutines(0));
		for (i = 0; i < ARRAY_SIZE(classes); i++) {
			for (n = 0; n < 12; n++) {
				s = stacks_do(stacks, take, .mode = MODE_SLEEPABLE, .slot = n,
					      .size = classes[i].size, .flags = classes[i].flags);
				ASSERT_EQ(s.done, 1);
			}
			for (n = 0; n < 12; n++) {
				s = stacks_do(stacks, count_nonzero, .slot = n);
				words += s.done;
				if (!ASSERT_EQ(s.result, 0))
					test_note("after %s: a stack of %u", after, classes[i].size);
			}
			stacks_do(stacks, put, .count = 12);
		}
	}
	pin_to_cpu(0);
	ASSERT_GT(looked, 0);
	ASSERT_GT(words, 0);
	test_row(after, "nothing of it in %llu coroutines and %llu words of stacks",
		 (unsigned long long)looked, (unsigned long long)words);
}

/* Those of a slot wait, their memory full. */
static void scribble(struct leak *skel, u32 slot, u32 type)
{
	ASSERT_EQ(co_do(skel, spawn, .type = type, .slot = slot).ret, 1);
	ASSERT_EQ(co_do(skel, resume, .slot = slot, .count = 3).ret, COSTACK_YIELDED);
}

#define ENDS(name, after, ...)							\
	do {									\
		if (!subtest_begin(name))					\
			break;							\
		for (i = 0; i < 8; i++)						\
			scribble(skel, i, types[i % 2]);			\
		for (i = 0; i < 8; i++) {					\
			__VA_ARGS__;						\
		}								\
		ASSERT_TRUE(wait_coroutines(0));				\
		find(skel, stacks, "memory of coroutines after " after);	\
		subtest_end();							\
	} while (0)

/* Newer kernels leave in a deleted element what was in it until the map goes. */
#define GOES(name, after, ...)							\
	do {									\
		if (!subtest_begin(name))					\
			break;							\
		stats_read(&before);						\
		maps = co__open_and_load();					\
		if (ASSERT_PTR(maps)) {						\
			__VA_ARGS__;						\
		}								\
		co__destroy(maps);						\
		ASSERT_TRUE(wait_coroutines(0));				\
		find(skel, stacks, "memory of coroutines after " after);	\
		subtest_end();							\
	} while (0)

static bool wait_cancelled(long long n)
{
	long long end = now_ms() + PATIENCE_MS;
	struct stats stats;

	do {
		sleep_ms(5);
		stats_read(&stats);
	} while (stats.co_cancelled < n && now_ms() < end);
	return stats.co_cancelled >= n;
}

/* More than the map keeps: half of them and more are evicted. */
static void fill_lru(struct co *maps, const u32 *types)
{
	int i;

	for (i = 0; i < 100; i++)
		ASSERT_EQ(co_do(maps, lru, .slot = i, .type = types[i % 2]).ret,
			  COSTACK_YIELDED);
}

static void fill_and_delete(struct co *maps, const u32 *types)
{
	int i;

	for (i = 0; i < 30; i++)
		ASSERT_EQ(co_do(maps, hash, .slot = i, .type = types[i % 2]).ret,
			  COSTACK_YIELDED);
	for (i = 0; i < 30; i++)
		co_do(maps, hash_end, .slot = i);
}

TEST(leak_coroutines, .params = "trim_ms=600000")
{
	struct leak *skel = leak__open_and_load();
	struct stacks *stacks = stacks__open_and_load();
	struct stats before;
	struct co *maps;
	u32 types[2], i;

	pin_to_cpu(0);
	if (!ASSERT_PTR(skel) || !ASSERT_PTR(stacks) ||
	    !ASSERT_OK(leak__attach(skel)))
		goto out;
	types[0] = co_type(skel, scribbler);
	types[1] = co_type(skel, scribbler_own);
	ENDS("released", "the release of a waiting one", co_do(skel, release, .slot = i));
	ENDS("cancelled", "a cancellation",
	     ASSERT_EQ(co_do(skel, cancel, .slot = i).ret, 0);
	     co_do(skel, release, .slot = i));
	/* In another object's maps, with types of this one */
	GOES("evicted", "an LRU map's eviction, and its end",
	     fill_lru(maps, types);
	     ASSERT_TRUE(wait_cancelled(before.co_cancelled + 50)));
	GOES("deleted", "the deletion of elements, and of their map",
	     fill_and_delete(maps, types));
	/* The type goes with its program; the handles live on, and go later. */
	if (subtest_begin("type_gone")) {
		for (i = 0; i < 8; i++)
			scribble(skel, i, types[i % 2]);
		bpf_link__destroy(skel->links.scribbler_ops);
		bpf_link__destroy(skel->links.scribbler_own_ops);
		skel->links.scribbler_ops = NULL;
		skel->links.scribbler_own_ops = NULL;
		for (i = 0; i < 8; i++) {
			ASSERT_EQ(co_do(skel, resume, .slot = i).ret, -ESTALE);
			co_do(skel, release, .slot = i);
		}
		ASSERT_TRUE(wait_coroutines(0));
		find(skel, stacks, "memory of coroutines after the death of their program");
		subtest_end();
	}
out:
	stacks__destroy(stacks);
	leak__destroy(skel);
}

/* New from the kernel: pools of their own are empty. */
TEST(leak_fresh, .params = "reserve=0,0,0,0,0,0,0,0 guard_reserve=0 co_reserve=0")
{
	struct leak *skel = leak__open_and_load();
	u32 types[2], modes[] = { CO_SLEEPABLE, CO_ATOMIC, CO_NOLOCK }, i, got = 0;
	struct co_args a;

	if (ASSERT_PTR(skel) && ASSERT_OK(leak__attach(skel))) {
		types[0] = co_type(skel, looker);
		types[1] = co_type(skel, looker_own);
		for (i = 0; i < CO_SLOTS; i++) {
			if (!co_do(skel, spawn, .type = types[i % 2], .mode = modes[i / 2 % 3],
				   .slot = i).ret)
				continue;
			got++;
			a = co_do(skel, resume, .slot = i);
			ASSERT_EQ(a.ret, COSTACK_YIELDED);
			ASSERT_EQ(a.result, 0);
		}
		ASSERT_GE(got, CO_SLOTS / 3);
	}
	leak__destroy(skel);
}

/* What is seen of a handle: the value of the last resume is not the next coroutine's. */
TEST(leak_value)
{
	struct leak *skel = leak__open_and_load();
	int i;

	pin_to_cpu(0);
	if (ASSERT_PTR(skel) && ASSERT_OK(leak__attach(skel))) {
		for (i = 0; i < 5; i++) {
			co_spawn(skel, told, 0, 0);
			ASSERT_EQ(co_do(skel, value).result, 0);
			ASSERT_EQ(co_do(skel, resume, .arg = PATTERN).result, PATTERN);
			ASSERT_EQ(co_do(skel, resume, .arg = PATTERN).ret, COSTACK_DONE);
			co_do(skel, release);
		}
		test_row("a handle's value before the first resume", "0");
	}
	leak__destroy(skel);
}

/* Reads that give less than asked for, and results of what failed */
TEST(leak_reads)
{
	struct leak *skel = leak__open_and_load();

	if (ASSERT_PTR(skel) && ASSERT_OK(leak__attach(skel))) {
		ASSERT_OK(prog_run(skel->progs.do_reads, NULL, 0, NULL));
		ASSERT_EQ(skel->bss->read_result, 0);
		if (!ASSERT_EQ(skel->bss->read_line, 0))
			test_note("see line %lld of leak.bpf.c", (long long)skel->bss->read_line);
		test_row("what a read, a failed resume or a new map element leaves in memory",
			 "what was there, or zeros");
	}
	leak__destroy(skel);
}

/* No address of the kernel's: 16 digits that begin with ff */
static bool has_address(const char *text)
{
	const char *p;
	int digits;

	for (p = text; *p; p++) {
		if (p[0] != 'f' || p[1] != 'f' || (p > text && isxdigit(p[-1])))
			continue;
		for (digits = 0; isxdigit(p[digits]); digits++)
			;
		if (digits == 16)
			return true;
	}
	return false;
}

TEST(leak_debugfs)
{
	struct leak *skel = leak__open_and_load();
	struct dirent *entry;
	char path[512], *text;
	int files = 0;
	DIR *dir;

	if (ASSERT_PTR(skel) && ASSERT_OK(leak__attach(skel)))
		scribble(skel, 0, co_type(skel, scribbler));
	ASSERT_TRUE(has_address("x ff468ae60053be48\n") && !has_address("0 4294967295 ffff\n"));
	dir = opendir(DEBUGFS);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), DEBUGFS "%s", entry->d_name);
		text = read_file(path);
		if (text && !ASSERT_TRUE(!has_address(text)))
			test_note("%s: %s", path, text);
		files += text && *text;
		free(text);
	}
	if (dir)
		closedir(dir);
	ASSERT_GE(files, 6);
	test_row("addresses of the kernel in debugfs", "none in %d files", files);
	leak__destroy(skel);
}
