// SPDX-License-Identifier: GPL-2.0
/*
 * How deep the stacks of bodies get when interrupts are served on them. Half must be
 * left in any case.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "testing.h"
#include "progs/cos_depth.h"
#include "cos_depth.skel.h"

#define ESTACK_SIZE	32768
#define RUN_MS		4000
#define SPIN_NS		1500000

static volatile bool stop;

/* Packets that are received by softirqs of this CPU. */
static void *sender(void *cpu)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	pin_to_cpu((long)cpu);
	while (!stop)
		sendto(fd, "x", 1, MSG_DONTWAIT, (void *)&to, sizeof(to));
	close(fd);
	return NULL;
}

/* Interrupts of devices: a file of the host is read again and again; and NMIs. */
static void *devices(void *)
{
	static char buf[65536];
	int fd;

	while (!stop) {
		fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			break;
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		while (!stop && read(fd, buf, sizeof(buf)) > 0)
			;
		close(fd);
		inject_nmi();
		sleep_ms(20);
	}
	return NULL;
}

/* Columns of a type's row in debugfs' file depth. */
static bool type_depth(const char *name, u32 *size, u32 *depth, u32 *live)
{
	char *text = read_file(DEBUGFS "depth"), *rest = text, *line, found[32];
	bool ok = false;

	while (rest && !ok && (line = strsep(&rest, "\n")))
		ok = sscanf(line, "%*s %31s %*d %*u %u %u %u", found, size, depth, live) == 4 &&
		     !strcmp(found, name);
	free(text);
	return ok;
}

/* The deepest of the CPUs' shared stacks. */
static u32 shared_depth(const char *context)
{
	char *text = read_file(DEBUGFS "depth"), *rest = text, *line, found[32];
	u32 size, depth, deepest = 0;

	while (rest && (line = strsep(&rest, "\n"))) {
		if (sscanf(line, "%*u %31s %u %u", found, &size, &depth) != 3 ||
		    strcmp(found, context))
			continue;
		ASSERT_EQ(size, ESTACK_SIZE);
		deepest = max(deepest, depth);
	}
	free(text);
	return deepest;
}

/* A module of its own, so that the stacks are as new. */
TEST(cos_depth, .cpus = 2, .params = "guard_reserve=9")
{
	int i, n = min(nr_cpus(), MAX_CPUS), link_err = 0;
	u32 size, dense, private, live, quiet_dense, quiet_private, tick;
	struct bpf_link *ops[3] = {}, *clocks[MAX_CPUS] = {}, *tcx;
	struct cos_depth *skel = cos_depth__open_and_load();
	pthread_t senders[MAX_CPUS], reader;
	long long end;

	if (!ASSERT_PTR(skel))
		return;
	if (!ASSERT_OK(write_file(DEBUGFS "depth_all", "1")))
		goto out;
	ops[0] = bpf_map__attach_struct_ops(skel->maps.spin_dense_ops);
	ops[1] = bpf_map__attach_struct_ops(skel->maps.spin_private_ops);
	ops[2] = bpf_map__attach_struct_ops(skel->maps.tick_ops);
	if (!ASSERT_PTR(ops[0]) || !ASSERT_PTR(ops[1]) || !ASSERT_PTR(ops[2]))
		goto out;

	/* By themselves, and in a task, whose interrupts have a stack of their own. */
	for (i = 0; i < 20; i++)
		ASSERT_OK(prog_run(skel->progs.direct, NULL, 0, NULL));
	ASSERT_TRUE(type_depth("spin_dense", &size, &quiet_dense, &live));
	ASSERT_TRUE(type_depth("spin_private", &size, &quiet_private, &live));

	skel->bss->spin_ns = SPIN_NS;
	tcx = bpf_program__attach_tcx(skel->progs.packet, 1, NULL);
	if (!ASSERT_PTR(tcx))
		goto out;
	for (i = 0; i < n; i++) {
		clocks[i] = attach_clock(skel->progs.clock, i, 250);
		link_err |= !ASSERT_PTR(clocks[i]);
	}
	stop = false;
	pthread_create(&reader, NULL, devices, NULL);
	for (i = 0; i < n; i++)
		pthread_create(&senders[i], NULL, sender, (void *)(long)i);
	end = now_ms() + RUN_MS;
	while (now_ms() < end)
		sleep_ms(100);
	stop = true;
	for (i = 0; i < n; i++)
		pthread_join(senders[i], NULL);
	pthread_join(reader, NULL);
	for (i = 0; i < n; i++)
		bpf_link__destroy(clocks[i]);
	bpf_link__destroy(tcx);
	sync_rcu();

	ASSERT_EQ(skel->bss->failed, 0);
	if (skel->bss->failed)
		test_note("the last gave %lld", (long long)skel->bss->last_error);
	ASSERT_GT(skel->bss->hits[1], 100);
	ASSERT_GT(skel->bss->hits[2], 100);
	ASSERT_GT(skel->bss->ticks, 100);
	ASSERT_TRUE(type_depth("spin_dense", &size, &dense, &live));
	ASSERT_TRUE(type_depth("spin_private", &size, &private, &live));
	ASSERT_TRUE(type_depth("tick", &live, &tick, &live));
	test_note("%llu packets; %llu ticks of the clock found a dense body, %llu a private one, %llu neither; %llu walked the stack, %llu ran a coroutine",
		  (unsigned long long)skel->bss->runs, (unsigned long long)skel->bss->hits[1],
		  (unsigned long long)skel->bss->hits[2], (unsigned long long)skel->bss->hits[0],
		  (unsigned long long)skel->bss->walked, (unsigned long long)skel->bss->ticks);
	test_note("bytes of stack at most: dense %u of %u (undisturbed %u), private %u of %u (undisturbed %u), in interrupts %u of %u; shared by tasks and softirqs %u, by interrupts %u",
		  dense, ESTACK_SIZE, quiet_dense, private, size, quiet_private, tick, ESTACK_SIZE,
		  shared_depth("tasks_and_softirqs"), shared_depth("interrupts"));
	/* Interrupts were served on them. */
	ASSERT_GT(dense, quiet_dense);
	ASSERT_GT(private, quiet_private);
	ASSERT_LE(dense, ESTACK_SIZE / 2);
	ASSERT_LE(private, size / 2);
	ASSERT_LE(shared_depth("tasks_and_softirqs"), ESTACK_SIZE / 2);
	ASSERT_LE(shared_depth("interrupts"), ESTACK_SIZE / 2);
out:
	for (i = 0; i < 3; i++)
		bpf_link__destroy(ops[i]);
	cos_depth__destroy(skel);
}
