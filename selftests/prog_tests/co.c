// SPDX-License-Identifier: GPL-2.0
/* What coroutines do: values, locals, memory, messages, calls, and their end. */
#include <stdlib.h>

#include "co.h"
#include "co.skel.h"

static struct co *load(void)
{
	struct co *skel = co__open();

	if (!ASSERT_PTR(skel))
		return NULL;
	skel->rodata->forever_number = co_type(skel, forever);
	skel->rodata->forever_own_number = co_type(skel, forever_own);
	skel->rodata->chain_number = co_type(skel, chain);
	skel->rodata->values_number = co_type(skel, values);
	if (!ASSERT_OK(co__load(skel)) || !ASSERT_OK(co__attach(skel))) {
		co__destroy(skel);
		return NULL;
	}
	return skel;
}

/* One resume; what it returned, and what the body gave. */
static void expect(struct co *skel, u32 slot, u64 value, int ret, u64 result)
{
	struct co_args a = co_do(skel, resume, .slot = slot, .arg = value);

	ASSERT_EQ(a.ret, ret);
	if (a.ret == ret && ret >= 0)
		ASSERT_EQ(a.result, result);
}

static int state(struct co *skel, u32 slot)
{
	return co_do(skel, state, .slot = slot).ret;
}

static int cancel(struct co *skel, u32 slot)
{
	return co_do(skel, cancel, .slot = slot).ret;
}

static void release(struct co *skel, u32 slot)
{
	ASSERT_EQ(co_do(skel, release, .slot = slot).ret, 1);
}

TEST(co_values)
{
	struct co *skel = load();
	int mode;

	if (!skel)
		return;
	for (mode = CO_SLEEPABLE; mode <= CO_NOLOCK; mode++) {
		if (!ASSERT_EQ(co_spawn(skel, values, 0, 1000, .mode = mode), 1))
			continue;
		ASSERT_EQ(state(skel, 0), COSTACK_NEW);
		/* What the first resume passes, nobody asks for. */
		expect(skel, 0, 5, COSTACK_YIELDED, 1000);
		ASSERT_EQ(state(skel, 0), COSTACK_SUSPENDED);
		expect(skel, 0, 20, COSTACK_YIELDED, 1020);
		expect(skel, 0, 300, COSTACK_YIELDED, 1320);
		expect(skel, 0, 1ULL << 40, COSTACK_DONE, 1320 + (1ULL << 40));
		ASSERT_EQ(state(skel, 0), COSTACK_FINISHED);
		expect(skel, 0, 1, -ESRCH, 0);
		ASSERT_EQ(cancel(skel, 0), 0);
		release(skel, 0);
	}
	co__destroy(skel);
}

TEST(co_cancel)
{
	struct stats before, after;
	struct co *skel = load();
	struct co_args a;

	if (!skel)
		return;
	stats_read(&before);
	/* One that never ran */
	co_spawn(skel, values, 0, 1);
	ASSERT_EQ(cancel(skel, 0), 0);
	ASSERT_EQ(state(skel, 0), COSTACK_FINISHED);
	expect(skel, 0, 0, -ESRCH, 0);
	release(skel, 0);
	/* One that waits */
	co_spawn(skel, values, 0, 1);
	expect(skel, 0, 0, COSTACK_YIELDED, 1);
	ASSERT_EQ(cancel(skel, 0), 0);
	ASSERT_EQ(state(skel, 0), COSTACK_FINISHED);
	ASSERT_EQ(cancel(skel, 0), 0);
	release(skel, 0);
	/* One that reads */
	co_spawn(skel, reader, 0, 1);
	a = co_do(skel, message, .len = 0);
	ASSERT_EQ(a.ret, COSTACK_READING);
	ASSERT_EQ(cancel(skel, 0), 0);
	release(skel, 0);
	stats_read(&after);
	ASSERT_EQ(after.co_cancelled - before.co_cancelled, 2);
	ASSERT_EQ(after.co_spawned - before.co_spawned, 3);
	co__destroy(skel);
}

/* Let go of in each state: the worker does the rest. */
TEST(co_release)
{
	struct stats before, after;
	struct co *skel = load();

	if (!skel)
		return;
	stats_read(&before);
	co_spawn(skel, forever, 0, 1);
	release(skel, 0);
	co_spawn(skel, forever, 0, 1);
	expect(skel, 0, 0, COSTACK_YIELDED, 1);
	release(skel, 0);
	co_spawn(skel, values, 0, 1);
	co_do(skel, resume, .count = 4);
	ASSERT_EQ(state(skel, 0), COSTACK_FINISHED);
	release(skel, 0);
	/* Two references */
	co_spawn(skel, forever, 0, 1);
	expect(skel, 0, 0, COSTACK_YIELDED, 1);
	co_do(skel, share, .slot = 0, .slot2 = 1);
	release(skel, 0);
	sleep_ms(20);
	expect(skel, 1, 0, COSTACK_YIELDED, 2);
	release(skel, 1);
	ASSERT_TRUE(wait_coroutines(0));
	ASSERT_TRUE(wait_live(0));
	stats_read(&after);
	ASSERT_EQ(after.co_cancelled - before.co_cancelled, 2);
	/* And by a map that goes away */
	co_spawn(skel, forever_own, 0, 1);
	expect(skel, 0, 0, COSTACK_YIELDED, 1);
	co_spawn(skel, framed, 1, 1);
	co__destroy(skel);
}

TEST(co_nested)
{
	struct co *skel = load();
	int waits = 0;
	struct co_args a;

	if (!skel)
		return;
	co_spawn(skel, nested, 0, 0x123456789);
	do {
		a = co_do(skel, resume);
		/* Others use the same execution stack between. */
		co_spawn(skel, nested, 1, waits);
		co_do(skel, resume, .slot = 1, .count = 1 + waits % 7);
		waits++;
	} while (a.ret == COSTACK_YIELDED && waits < 100);
	ASSERT_EQ(a.ret, COSTACK_DONE);
	/* 2 + 2 * (2 + 2 * (2 + 2 * 2)) */
	ASSERT_EQ(a.result, 4711);
	ASSERT_EQ(waits, 31);
	co__destroy(skel);
}

/* More to keep than a new one has room for */
TEST(co_wide)
{
	struct co *skel = load();
	int i, j;

	if (!skel)
		return;
	for (i = 0; i < 8; i++)
		ASSERT_EQ(co_spawn(skel, wide, i, i), 1);
	for (i = 0; i < 8; i++)
		expect(skel, i, 0, COSTACK_YIELDED, 2);
	/* Those that are spawned when it is known */
	for (i = 8; i < 16; i++) {
		ASSERT_EQ(co_spawn(skel, wide, i, i), 1);
		expect(skel, i, 0, COSTACK_YIELDED, 2);
	}
	for (j = 15; j >= 0; j--)
		expect(skel, j, 0, COSTACK_DONE, 100);
	for (j = 0; j < 16; j++)
		release(skel, j);
	ASSERT_TRUE(wait_live(0));
	co__destroy(skel);
}

TEST(co_frame)
{
	struct co *skel = load();
	int i;

	if (!skel)
		return;
	/* Later ones get the memory of earlier ones, as zeros. */
	for (i = 0; i < 8; i++) {
		co_spawn(skel, framed, 0, i + 99);
		co_spawn(skel, framed_own, 1, i);
		expect(skel, 0, 0, COSTACK_YIELDED, 0);
		expect(skel, 1, 0, COSTACK_YIELDED, 0);
		expect(skel, 0, 0, COSTACK_DONE, 7);
		if (i & 1)
			expect(skel, 1, 0, COSTACK_DONE, 7);
		release(skel, 0);
		release(skel, 1);
	}
	co_spawn(skel, frameless, 0, 0);
	expect(skel, 0, 0, COSTACK_DONE, 1);
	co__destroy(skel);
}

TEST(co_limit)
{
	struct stats before, after;
	struct co *skel = load();
	int i, round;

	if (!skel)
		return;
	stats_read(&before);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 5; i++) {
			pin_to_cpu(i % nr_cpus());
			ASSERT_EQ(co_spawn(skel, limited, i, 0), 1);
		}
		ASSERT_EQ(co_spawn(skel, limited, 5, 0), 0);
		pin_to_cpu(0);
		ASSERT_EQ(co_spawn(skel, limited, 5, 0, .mode = CO_NOLOCK), 0);
		stats_read(&after);
		ASSERT_EQ(after.co_fail_limit - before.co_fail_limit, 2 * (round + 1));
		/* Finished, but somebody has it */
		co_do(skel, resume, .count = 2);
		ASSERT_EQ(state(skel, 0), COSTACK_FINISHED);
		ASSERT_EQ(co_spawn(skel, limited, 5, 0), 0);
		before.co_fail_limit++;
		for (i = 0; i < 5; i++) {
			if (round == 1)
				co_do(skel, resume, .slot = i);
			release(skel, i);
		}
		ASSERT_TRUE(wait_coroutines(0));
	}
	/* No such type */
	stats_read(&before);
	ASSERT_EQ(co_do(skel, spawn, .type = 12345).ret, 0);
	ASSERT_EQ(co_do(skel, spawn, .type = 0, .mode = CO_NOLOCK).ret, 0);
	stats_read(&after);
	ASSERT_EQ(after.co_fail_type - before.co_fail_type, 2);
	co__destroy(skel);
}

/* A message with a piece of the pattern */
static struct co_args send_message(struct co *skel, u32 slot, u32 off, u32 len)
{
	u32 i;

	for (i = 0; i < len; i++)
		skel->bss->message[i] = co_pattern(off + i);
	return co_do(skel, message, .slot = slot, .len = len);
}

TEST(co_read)
{
	u32 random = 1, off = 0, len, i;
	struct co *skel = load();
	struct co_args a;

	if (!skel)
		return;
	co_spawn(skel, reader, 0, 12345);
	for (i = 0; i < 200; i++) {
		random = random * 1103515245 + 12345;
		len = (random >> 16) % (i % 4 ? 50 : 2000);
		a = send_message(skel, 0, off, len);
		if (!ASSERT_EQ(a.ret, COSTACK_READING) || !ASSERT_EQ(a.result, 0))
			break;
		/* A resume without a message is one with nothing to read. */
		if (i % 16 == 0)
			expect(skel, 0, 9, COSTACK_READING, 0);
		off += len;
		/* A read that is not full yet has not been counted. */
		if (!ASSERT_LE(skel->bss->read_bytes, off) ||
		    !ASSERT_GT(skel->bss->read_bytes + 64, off) ||
		    !ASSERT_EQ(skel->bss->read_bad, 0))
			break;
	}
	ASSERT_EQ(cancel(skel, 0), 0);
	co__destroy(skel);
}

TEST(co_read_rest)
{
	struct co *skel = load();
	struct co_args a;

	if (!skel)
		return;
	memcpy(skel->bss->message, "abcdefghij", 10);
	co_spawn(skel, dropper, 0, 0);
	/* The six bytes that are left are gone with the message. */
	a = co_do(skel, message, .len = 10);
	ASSERT_EQ(a.ret, COSTACK_YIELDED);
	ASSERT_EQ(a.result, 6ULL << 32 | 0x64636261);
	expect(skel, 0, 0, COSTACK_READING, 0);
	memcpy(skel->bss->message, "ABCDEFGHIJ", 10);
	a = co_do(skel, message, .len = 3);
	ASSERT_EQ(a.ret, COSTACK_READING);
	memcpy(skel->bss->message, "XYZ", 3);
	a = co_do(skel, message, .len = 2);
	ASSERT_EQ(a.ret, COSTACK_YIELDED);
	ASSERT_EQ(a.result, 1ULL << 32 | 0x58434241);
	ASSERT_EQ(cancel(skel, 0), 0);

	/* What each says of a message */
	co_spawn(skel, asker, 1, 0);
	a = co_do(skel, message, .slot = 1, .len = 5);
	ASSERT_EQ(a.result, 5);			/* peek */
	a = co_do(skel, message, .slot = 1, .len = 7);
	ASSERT_EQ(a.result, 7);			/* avail */
	expect(skel, 1, 0, COSTACK_READING, 0);	/* read_some: nothing there */
	a = co_do(skel, message, .slot = 1, .len = 3);
	ASSERT_EQ(a.ret, COSTACK_YIELDED);
	ASSERT_EQ(a.result, 3);
	expect(skel, 1, 0, COSTACK_YIELDED, 0);	/* skip */
	a = co_do(skel, message, .slot = 1, .len = 1);
	ASSERT_EQ(a.ret, COSTACK_READING);
	a = co_do(skel, message, .slot = 1, .len = 1);
	ASSERT_EQ(a.ret, COSTACK_DONE);
	ASSERT_EQ(a.result, 2 + 'X' * 257);
	co__destroy(skel);
}

#define CALLED(ret, result) ((u64)(u32)(ret) << 32 | (u32)(result))

/* @own: the caller has a stack of its own; @callee_own: the called one has */
static void call(struct co *skel, bool own, bool callee_own)
{
	if (!subtest_begin("%s_%s", own ? "private" : "dense", callee_own ? "private" : "dense"))
		return;
	if (callee_own)
		co_spawn(skel, forever_own, 1, 10);
	else
		co_spawn(skel, forever, 1, 10);
	co_do(skel, share, .slot = 1, .slot2 = 2);
	ASSERT_EQ(co_do(skel, give, .slot = 1).ret, 1);
	if (own)
		co_spawn(skel, call_mine_own, 0, 0);
	else
		co_spawn(skel, call_mine, 0, 0);
	expect(skel, 0, 0, COSTACK_YIELDED, CALLED(COSTACK_YIELDED, 10));
	expect(skel, 0, 0, COSTACK_YIELDED, CALLED(COSTACK_YIELDED, 11));
	/* In turn by a program and by the body */
	expect(skel, 2, 0, COSTACK_YIELDED, 12);
	expect(skel, 0, 0, COSTACK_YIELDED, CALLED(COSTACK_YIELDED, 13));
	ASSERT_EQ(cancel(skel, 2), 0);
	/* What it gave last is left. */
	expect(skel, 0, 0, COSTACK_YIELDED, CALLED(-ESRCH, 13));
	ASSERT_EQ(cancel(skel, 0), 0);
	release(skel, 0);
	release(skel, 2);
	/* One that ends */
	co_spawn(skel, values, 1, 100);
	co_do(skel, give, .slot = 1);
	if (own)
		co_spawn(skel, call_mine_own, 0, 0);
	else
		co_spawn(skel, call_mine, 0, 0);
	expect(skel, 0, 1, COSTACK_YIELDED, CALLED(COSTACK_YIELDED, 100));
	expect(skel, 0, 1, COSTACK_YIELDED, CALLED(COSTACK_YIELDED, 101));
	expect(skel, 0, 1, COSTACK_YIELDED, CALLED(COSTACK_YIELDED, 102));
	expect(skel, 0, 1, COSTACK_YIELDED, CALLED(COSTACK_DONE, 103));
	expect(skel, 0, 1, COSTACK_YIELDED, CALLED(-ESRCH, 103));
	release(skel, 0);
	subtest_end();
}

TEST(co_call)
{
	struct co *skel = load();

	if (!skel)
		return;
	/* Coroutines belong to the CPU on which they are spawned. */
	pin_to_cpu(0);
	call(skel, false, false);
	call(skel, false, true);
	call(skel, true, false);
	call(skel, true, true);
	if (subtest_begin("self")) {
		co_spawn(skel, call_mine, 0, 0);
		co_do(skel, share, .slot = 0, .slot2 = 1);
		co_do(skel, give, .slot = 1);
		expect(skel, 0, 0, COSTACK_YIELDED, CALLED(-EBUSY, 77));
		expect(skel, 0, 0, COSTACK_YIELDED, CALLED(-EBUSY, 77));
		release(skel, 0);
		/* It has itself: nobody else will end it. */
		co__destroy(skel);
		skel = load();
		subtest_end();
		if (!skel)
			return;
	}
	if (subtest_begin("other_cpu") && nr_cpus() > 1) {
		co_spawn(skel, forever, 1, 10);
		co_do(skel, give, .slot = 1);
		pin_to_cpu(1);
		co_spawn(skel, call_mine, 0, 0);
		expect(skel, 0, 0, COSTACK_YIELDED, CALLED(COSTACK_YIELDED, 10));
		pin_to_cpu(0);
		expect(skel, 0, 0, COSTACK_YIELDED, CALLED(COSTACK_YIELDED, 11));
		release(skel, 0);
		subtest_end();
	}
	if (subtest_begin("depth")) {
		co_spawn(skel, chain, 0, 1);
		expect(skel, 0, 0, COSTACK_YIELDED, (u64)ELOOP << 32 | COSTACK_DEPTH_MAX);
		/* All but the first are suspended, and theirs to let go of. */
		expect(skel, 0, 0, COSTACK_DONE, (u64)ELOOP << 32 | COSTACK_DEPTH_MAX);
		ASSERT_TRUE(wait_coroutines(1));
		release(skel, 0);
		ASSERT_TRUE(wait_coroutines(0));
		subtest_end();
	}
	co__destroy(skel);
}

/* Cancelled at each wait, by each who may: all that it owns is given back. */
TEST(co_cancel_sweep)
{
	struct stats before, after;
	struct co *skel = load();
	int i, how;

	if (!skel)
		return;
	for (how = 0; how < 3; how++) {
		for (i = 0; i < 9; i++) {
			stats_read(&before);
			if (!ASSERT_EQ(co_spawn(skel, owner, 0, 0), 1))
				break;
			if (i)
				co_do(skel, resume, .count = i);
			if (how == 0)
				ASSERT_EQ(cancel(skel, 0), 0);
			if (how < 2) {
				release(skel, 0);
			} else {
				/* All of the type */
				co__destroy(skel);
				skel = load();
				if (!skel)
					return;
			}
			if (!ASSERT_TRUE(wait_coroutines(0)) || !ASSERT_TRUE(wait_live(0)))
				test_note("after %d waits, way %d", i, how);
			stats_read(&after);
			ASSERT_EQ(after.allocs - before.allocs, after.frees - before.frees);
		}
	}
	co__destroy(skel);
}
