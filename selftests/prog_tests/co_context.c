// SPDX-License-Identifier: GPL-2.0
/* Coroutines that go from context to context, and contexts on top of each other. */
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "co.h"
#include "co_context.skel.h"

static struct co_context *load(void)
{
	struct co_context *skel = co_context__open();

	if (ASSERT_PTR(skel) && ASSERT_OK(co_context__load(skel))) {
		skel->links.counter_ops = bpf_map__attach_struct_ops(skel->maps.counter_ops);
		skel->links.counter_own_ops =
			bpf_map__attach_struct_ops(skel->maps.counter_own_ops);
		skel->links.waiter_ops = bpf_map__attach_struct_ops(skel->maps.waiter_ops);
		skel->links.waiter_own_ops = bpf_map__attach_struct_ops(skel->maps.waiter_own_ops);
		skel->links.updater_ops = bpf_map__attach_struct_ops(skel->maps.updater_ops);
		if (ASSERT_PTR(skel->links.updater_ops))
			return skel;
	}
	co_context__destroy(skel);
	return NULL;
}

/* Datagrams to ourselves; a program sees each on its way in, in softirq. */
static void send_packets(struct co_context *skel, int n)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int rx = socket(AF_INET, SOCK_DGRAM, 0), tx = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof(addr);
	char c = 0;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (ASSERT_OK(rx) && ASSERT_OK(tx) && ASSERT_OK(bind(rx, (void *)&addr, len)) &&
	    ASSERT_OK(getsockname(rx, (void *)&addr, &len))) {
		skel->bss->port = addr.sin_port;
		while (n--) {
			ASSERT_EQ(sendto(tx, &c, 1, 0, (void *)&addr, sizeof(addr)), 1);
			ASSERT_EQ(recv(rx, &c, 1, 0), 1);
		}
	}
	close(rx);
	close(tx);
}

static struct bpf_link *attach_packets(struct co_context *skel)
{
	return bpf_program__attach_tcx(skel->progs.on_packet, if_nametoindex("lo"), NULL);
}

static struct bpf_link *attach_alone(struct co_context *skel, int cpu)
{
	return attach_clock(skel->progs.on_clock_alone, cpu, 1000);
}

/* The clock has resumed the one in slot 5 up to more than @n. */
static bool wait_clock(struct co_context *skel, u64 n)
{
	long long end = now_ms() + 10000;

	while (*(volatile u64 *)&skel->bss->clock_count <= n && now_ms() < end)
		sleep_ms(1);
	return ASSERT_GT(skel->bss->clock_count, n);
}

/* From a process to a softirq, to an interrupt, on each CPU, and back */
static void travel(struct co_context *skel, u32 type, const char *name)
{
	struct bpf_link *link, *clock;
	u64 n = 100;
	struct co_args a;
	int cpu;

	if (!subtest_begin("%s", name))
		return;
	link = attach_packets(skel);
	ASSERT_PTR(link);
	pin_to_cpu(0);
	ASSERT_EQ(co_do(skel, spawn, .type = type, .arg = n).ret, 1);
	for (cpu = 0; cpu < nr_cpus(); cpu++) {
		pin_to_cpu(cpu);
		a = co_do(skel, resume, .count = 3);
		ASSERT_EQ(a.ret, COSTACK_YIELDED);
		ASSERT_EQ(a.result, n + 2);
		n += 3;
		skel->bss->slot = 0;
		skel->bss->packets = 0;
		send_packets(skel, 5);
		ASSERT_EQ(skel->bss->packets, 5);
		ASSERT_EQ(skel->bss->packet_ret, COSTACK_YIELDED);
		ASSERT_EQ(skel->bss->packet_result, n + 4);
		n += 5;
		/* To the clock, and back when it has made some steps */
		skel->bss->clock_count = 0;
		co_do(skel, share, .slot = 0, .slot2 = 5);
		ASSERT_EQ(co_do(skel, release, .slot = 0).ret, 1);
		clock = attach_alone(skel, (cpu + 1) % nr_cpus());
		if (ASSERT_PTR(clock))
			wait_clock(skel, n + 3);
		bpf_link__destroy(clock);
		sync_rcu();
		sleep_ms(10);
		co_do(skel, share, .slot = 5, .slot2 = 0);
		ASSERT_EQ(co_do(skel, release, .slot = 5).ret, 1);
		n = skel->bss->clock_count + 1;
	}
	ASSERT_EQ(co_do(skel, cancel).ret, 0);
	ASSERT_EQ(co_do(skel, release).ret, 1);
	bpf_link__destroy(link);
	subtest_end();
}

TEST(co_contexts)
{
	struct co_context *skel = load();

	if (!skel)
		return;
	travel(skel, co_type(skel, counter), "dense");
	travel(skel, co_type(skel, counter_own), "private");
	co_context__destroy(skel);
}

/*
 * A body runs, in a process or a softirq, and the clock interrupts it, whose program
 * resumes others: one that belongs to the execution stack that is in use, a private one, one
 * of another CPU, and one born in the interrupt.
 */
static void interrupt(struct co_context *skel, bool softirq, bool own)
{
	struct stats before, after;
	struct bpf_link *clock, *link = NULL;
	struct co_args a;
	int i;

	if (!subtest_begin("%s_%s", own ? "private" : "dense", softirq ? "softirq" : "process"))
		return;
	pin_to_cpu(1);
	ASSERT_EQ(co_spawn(skel, counter, 3, 30), 1);
	pin_to_cpu(0);
	if (own)
		ASSERT_EQ(co_spawn(skel, waiter_own, 0, 0), 1);
	else
		ASSERT_EQ(co_spawn(skel, waiter, 0, 0), 1);
	ASSERT_EQ(co_spawn(skel, counter, 1, 10), 1);
	ASSERT_EQ(co_spawn(skel, counter_own, 2, 20), 1);
	skel->bss->tick_type = co_type(skel, counter);
	skel->bss->slot = 0;
	clock = attach_clock(skel->progs.on_clock, 0, 2000);
	if (softirq)
		link = attach_packets(skel);
	if (!ASSERT_PTR(clock))
		goto out;
	for (i = 0; i < 5; i++) {
		/* Ended without a stack */
		ASSERT_EQ(co_spawn(skel, counter, 7, 0), 1);
		/* Whose place in slot 4 was taken unwinds on the clock's stack. */
		ASSERT_TRUE(wait_coroutines(i ? 6 : 5));
		skel->bss->tick_cancel = -1;
		stats_read(&before);
		if (softirq) {
			skel->bss->packet_ret = -1;
			send_packets(skel, 1);
			a.ret = skel->bss->packet_ret;
			a.result = skel->bss->packet_result;
		} else {
			a = co_do(skel, resume);
		}
		stats_read(&after);
		ASSERT_EQ(a.ret, COSTACK_YIELDED);
		if (!ASSERT_EQ(a.result, 1))
			break;
		ASSERT_EQ(skel->bss->tick_ret[0], own ? COSTACK_YIELDED : -EBUSY);
		ASSERT_EQ(skel->bss->tick_ret[1], COSTACK_YIELDED);
		ASSERT_EQ(skel->bss->tick_ret[2], COSTACK_YIELDED);
		ASSERT_EQ(skel->bss->tick_ret[3], COSTACK_YIELDED);
		ASSERT_EQ(after.co_busy - before.co_busy, !own);
		ASSERT_EQ(skel->bss->tick_cancel, 0);
		ASSERT_EQ(skel->bss->tick_state, COSTACK_FINISHED);
	}
	/* Nothing was lost: they count on. */
	ASSERT_EQ(co_do(skel, resume, .slot = 1).result, own ? 10 + i : 10);
	ASSERT_EQ(co_do(skel, resume, .slot = 2).result, 20 + i);
	ASSERT_EQ(co_do(skel, resume, .slot = 3).result, 30 + i);
	ASSERT_EQ(co_do(skel, resume, .slot = 4).result, 51);
out:
	bpf_link__destroy(clock);
	bpf_link__destroy(link);
	sync_rcu();
	for (i = 0; i < 8; i++)
		co_do(skel, release, .slot = i);
	subtest_end();
}

TEST(co_interrupted, .cpus = 2)
{
	struct co_context *skel = load();

	if (!skel)
		return;
	interrupt(skel, false, false);
	interrupt(skel, false, true);
	interrupt(skel, true, false);
	interrupt(skel, true, true);
	co_context__destroy(skel);
}

TEST(co_nmi)
{
	struct co_context *skel;
	struct bpf_link *link;
	long long end;
	int i;

	if (access(MONITOR, W_OK)) {
		test_skip("no %s to inject NMIs with", MONITOR);
		return;
	}
	skel = load();
	if (!skel)
		return;
	link = bpf_program__attach(skel->progs.on_nmi);
	if (ASSERT_PTR(link)) {
		for (i = 0; i < 5; i++) {
			ASSERT_EQ(co_spawn(skel, counter, 6, 1), 1);
			ASSERT_EQ(co_do(skel, resume, .slot = 6).ret, COSTACK_YIELDED);
			skel->bss->nmis = 0;
			skel->bss->nmi_type = co_type(skel, counter);
			end = now_ms() + 5000;
			if (!ASSERT_TRUE(inject_nmi()))
				break;
			while (!*(volatile u32 *)&skel->bss->nmis && now_ms() < end)
				sleep_ms(1);
			skel->bss->nmi_type = 0;
			ASSERT_GT(skel->bss->nmis, 0);
			ASSERT_EQ(skel->bss->nmi_spawned, 1);
			ASSERT_EQ(skel->bss->nmi_resume, -EOPNOTSUPP);
			ASSERT_EQ(skel->bss->nmi_cancel, -EOPNOTSUPP);
			ASSERT_EQ(skel->bss->nmi_state, COSTACK_NEW);
			ASSERT_TRUE(wait_coroutines(0));
		}
		bpf_link__destroy(link);
	}
	co_context__destroy(skel);
}

/* A program on what a body calls resumes others. */
TEST(co_traced, .cpus = 2)
{
	struct co_context *skel = load();
	struct stats before, after;
	struct bpf_link *link;
	struct co_args a;
	int i;

	if (!skel)
		return;
	pin_to_cpu(1);
	ASSERT_EQ(co_spawn(skel, counter, 3, 30), 1);
	pin_to_cpu(0);
	ASSERT_EQ(co_spawn(skel, updater, 0, 5), 1);
	ASSERT_EQ(co_spawn(skel, counter, 1, 10), 1);
	ASSERT_EQ(co_spawn(skel, counter_own, 2, 20), 1);
	link = bpf_program__attach(skel->progs.on_update);
	if (ASSERT_PTR(link)) {
		skel->bss->watched = syscall(SYS_gettid);
		stats_read(&before);
		for (i = 0; i < 10; i++) {
			a = co_do(skel, resume);
			ASSERT_EQ(a.ret, COSTACK_YIELDED);
			ASSERT_EQ(a.result, 5 + i);
			ASSERT_EQ(skel->bss->trace_ret[0], -EBUSY);
			ASSERT_EQ(skel->bss->trace_ret[1], COSTACK_YIELDED);
			ASSERT_EQ(skel->bss->trace_ret[2], COSTACK_YIELDED);
		}
		stats_read(&after);
		ASSERT_EQ(skel->bss->traces, 10);
		ASSERT_EQ(after.co_busy - before.co_busy, 10);
		ASSERT_EQ(after.co_resumed - before.co_resumed, 30);
		skel->bss->watched = 0;
		ASSERT_EQ(co_do(skel, resume, .slot = 2).result, 30);
		bpf_link__destroy(link);
	}
	co_context__destroy(skel);
}
