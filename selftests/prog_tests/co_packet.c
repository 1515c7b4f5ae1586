// SPDX-License-Identifier: GPL-2.0
/*
 * Packets as messages: linear and not, in test runs and on a socket's way. The bodies look
 * at each byte.
 */
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "co.h"
#include "co_packet.skel.h"

#define MAX	60000

static unsigned char packet[MAX];

static void fill(u32 skip, u32 off, u32 len)
{
	u32 i;

	memset(packet, 0xee, skip);
	packet[12] = 8;
	packet[13] = 0;
	packet[14] = 0x45;
	for (i = 0; i < len; i++)
		packet[skip + i] = co_pattern(off + i);
}

static int run(struct bpf_program *prog, u32 size)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = size,
		    .repeat = 1);

	return bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
}

static struct co_packet *load(void)
{
	struct co_packet *skel = co_packet__open();

	/* Attached one by one. */
	if (ASSERT_PTR(skel) && ASSERT_OK(co_packet__load(skel))) {
		skel->links.reader_ops = bpf_map__attach_struct_ops(skel->maps.reader_ops);
		skel->links.dropper_ops = bpf_map__attach_struct_ops(skel->maps.dropper_ops);
		if (ASSERT_PTR(skel->links.reader_ops) && ASSERT_PTR(skel->links.dropper_ops))
			return skel;
	}
	co_packet__destroy(skel);
	return NULL;
}

/* The body has read all of @off bytes, but what it waits for more of. */
static bool read_all(struct co_packet *skel, u32 off)
{
	return ASSERT_EQ(skel->bss->ret, COSTACK_READING) &&
	       ASSERT_EQ(skel->bss->read_bad, 0) &&
	       ASSERT_LE(skel->bss->read_bytes, off) &&
	       ASSERT_GT(skel->bss->read_bytes + 64, off);
}

static void test_runs(struct co_packet *skel, struct bpf_program *prog, u32 most)
{
	u32 random = 7, off = 0, len, skip, i;

	skel->bss->read_bytes = 0;
	co_spawn(skel, reader, 0, 99);
	for (i = 0; i < 40; i++) {
		random = random * 1103515245 + 12345;
		skip = 40 + (random >> 20) % 50;
		len = (random >> 8) % (most - skip - 1) + 1;
		fill(skip, off, len);
		skel->bss->off = skip;
		skel->bss->len = i % 2 ? len : 0;
		if (!ASSERT_OK(run(prog, skip + len)))
			break;
		off += len;
		if (!read_all(skel, off)) {
			test_note("packet %u of %u + %u bytes", i, skip, len);
			break;
		}
	}
	/* Bytes that it does not have */
	skel->bss->off = 60;
	skel->bss->len = 5;
	ASSERT_OK(run(prog, 64));
	ASSERT_EQ(skel->bss->ret, -EINVAL);
	skel->bss->off = -1;
	skel->bss->len = 2;
	ASSERT_OK(run(prog, 64));
	ASSERT_EQ(skel->bss->ret, -EINVAL);
	skel->bss->off = 1;
	skel->bss->len = -1;
	ASSERT_OK(run(prog, 64));
	ASSERT_EQ(skel->bss->ret, -EINVAL);
	ASSERT_EQ(co_do(skel, release).ret, 1);
}

static void datagrams(struct co_packet *skel)
{
	static const u32 lens[] = { 1, 100, 9000, 20000, 50000, 3, 33333, 64, 47000, 17 };
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int rx = socket(AF_INET, SOCK_DGRAM, 0), tx = socket(AF_INET, SOCK_DGRAM, 0);
	int size = 1 << 20;
	socklen_t n = sizeof(addr);
	u32 off = 0, i, j;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(rx, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(tx, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (ASSERT_OK(rx) && ASSERT_OK(tx) && ASSERT_OK(bind(rx, (void *)&addr, n)) &&
	    ASSERT_OK(getsockname(rx, (void *)&addr, &n))) {
		skel->bss->port = addr.sin_port;
		skel->bss->read_bytes = 0;
		skel->bss->packets = 0;
		co_spawn(skel, reader, 0, 4711);
		if (!skel->links.on_tcx && !skel->links.on_egress && !skel->links.on_cgroup) {
			int fd = bpf_program__fd(skel->progs.on_socket);

			ASSERT_OK(setsockopt(rx, SOL_SOCKET, 50 /* SO_ATTACH_BPF */, &fd,
					     sizeof(fd)));
		}
		for (i = 0; i < ARRAY_SIZE(lens); i++) {
			fill(0, off, 0);
			for (j = 0; j < lens[i]; j++)
				packet[j] = co_pattern(off + j);
			if (!ASSERT_EQ(sendto(tx, packet, lens[i], 0, (void *)&addr, n), lens[i]) ||
			    !ASSERT_EQ(recv(rx, packet, MAX, 0), lens[i]))
				break;
			off += lens[i];
			if (!read_all(skel, off)) {
				test_note("datagram %u", i);
				break;
			}
		}
		ASSERT_EQ(skel->bss->packets, ARRAY_SIZE(lens));
		ASSERT_EQ(co_do(skel, release).ret, 1);
	}
	close(rx);
	close(tx);
}

TEST(co_packet)
{
	struct co_packet *skel = load();

	if (!skel)
		return;
	if (subtest_begin("tc")) {
		test_runs(skel, skel->progs.do_tc, 3000);
		subtest_end();
	}
	if (subtest_begin("xdp")) {
		test_runs(skel, skel->progs.do_xdp, 3000);
		subtest_end();
	}
	if (subtest_begin("xdp_frags")) {
		test_runs(skel, skel->progs.do_xdp, 30000);
		subtest_end();
	}
	/* From 16 KB on what a socket sends is not linear. */
	if (subtest_begin("tcx")) {
		skel->links.on_tcx = bpf_program__attach_tcx(skel->progs.on_tcx,
							     if_nametoindex("lo"), NULL);
		if (ASSERT_PTR(skel->links.on_tcx))
			datagrams(skel);
		bpf_link__destroy(skel->links.on_tcx);
		skel->links.on_tcx = NULL;
		subtest_end();
	}
	if (subtest_begin("tcx_egress")) {
		skel->links.on_egress = bpf_program__attach_tcx(skel->progs.on_egress,
								if_nametoindex("lo"), NULL);
		if (ASSERT_PTR(skel->links.on_egress))
			datagrams(skel);
		bpf_link__destroy(skel->links.on_egress);
		skel->links.on_egress = NULL;
		subtest_end();
	}
	if (subtest_begin("cgroup_skb")) {
		int fd = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY);

		skel->links.on_cgroup = bpf_program__attach_cgroup(skel->progs.on_cgroup, fd);
		close(fd);
		if (skel->links.on_cgroup)
			datagrams(skel);
		else
			test_skip("no cgroup2 at /sys/fs/cgroup");
		bpf_link__destroy(skel->links.on_cgroup);
		skel->links.on_cgroup = NULL;
		subtest_end();
	}
	if (subtest_begin("socket_filter")) {
		datagrams(skel);
		subtest_end();
	}
	co_packet__destroy(skel);
}

/* Packets that are gone by the next resume, with the stack of the task that had them */

#define NR_GONE	32

static struct co_packet *gone;
static pthread_barrier_t barrier;

static void *have_packet(void *arg)
{
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return arg;
}

static void *run_and_go(void *arg)
{
	gone->bss->slot = (long)arg;
	gone->bss->off = 20;
	gone->bss->len = 6;
	ASSERT_OK(run(gone->progs.do_xdp, 64));
	return have_packet(arg);
}

TEST(co_packet_gone)
{
	pthread_t threads[NR_GONE];
	struct co_args a;
	long i;

	gone = load();
	if (!gone)
		return;
	fill(20, 0, 44);
	pthread_barrier_init(&barrier, NULL, NR_GONE + 1);
	for (i = 0; i < NR_GONE; i++) {
		co_spawn(gone, dropper, i, 0);
		gone->bss->ret = -1;
		ASSERT_EQ(pthread_create(&threads[i], NULL, run_and_go, (void *)i), 0);
		/* One after the other, but all there at once. */
		while (*(volatile s32 *)&gone->bss->ret == -1)
			sleep_ms(1);
		ASSERT_EQ(gone->bss->ret, COSTACK_YIELDED);
	}
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	for (i = 0; i < NR_GONE; i++)
		pthread_join(threads[i], NULL);
	sleep_ms(100);
	/* They read on, with nothing there to read. */
	for (i = 0; i < NR_GONE; i++) {
		a = co_do(gone, resume, .slot = i);
		ASSERT_EQ(a.ret, COSTACK_READING);
		ASSERT_EQ(co_do(gone, cancel, .slot = i).ret, 0);
	}
	pthread_barrier_destroy(&barrier);
	co_packet__destroy(gone);
}
