// SPDX-License-Identifier: GPL-2.0
/* A congestion control that allocates, on a real TCP connection. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "testing.h"
#include "struct_ops.skel.h"
#include "struct_ops_fail.skel.h"

#define BYTES	(256 * 1024)

static long long allocs(void)
{
	struct context_stats contexts[NR_CONTEXTS];
	long long sum = 0;
	int i;

	contexts_read(contexts);
	for (i = 0; i < NR_CONTEXTS; i++)
		sum += contexts_allocs(&contexts[i]);
	return sum;
}

static void transfer(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(addr);
	char buf[4096] = {};
	int sent = 0, got = 0, peer, n;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (ASSERT_OK(bind(server, (void *)&addr, len)) && ASSERT_OK(listen(server, 1)) &&
	    ASSERT_OK(getsockname(server, (void *)&addr, &len)) &&
	    ASSERT_OK(setsockopt(client, IPPROTO_TCP, TCP_CONGESTION, "bpf_costack", 11)) &&
	    ASSERT_OK(connect(client, (void *)&addr, len))) {
		peer = accept(server, NULL, NULL);
		while (got < BYTES) {
			if (sent < BYTES) {
				n = write(client, buf, sizeof(buf));
				if (!ASSERT_GT(n, 0))
					break;
				sent += n;
			}
			n = read(peer, buf, sizeof(buf));
			if (!ASSERT_GT(n, 0))
				break;
			got += n;
		}
		close(peer);
	}
	close(client);
	close(server);
}

TEST(struct_ops)
{
	struct struct_ops *skel = struct_ops__open_and_load();
	long long before, end = now_ms() + PATIENCE_MS;
	struct bpf_link *link;

	if (!ASSERT_PTR(skel))
		return;
	before = allocs();
	link = bpf_map__attach_struct_ops(skel->maps.costack_cc);
	if (ASSERT_PTR(link)) {
		transfer();
		bpf_link__destroy(link);
		/* The connection's last packets may still be on their way. */
		do {
			sleep_ms(50);
		} while (allocs() - before != (long long)skel->bss->got && now_ms() < end);
		ASSERT_GT(skel->bss->runs, 0);
		ASSERT_EQ(skel->bss->failed, 0);
		ASSERT_EQ(skel->bss->corrupt, 0);
		ASSERT_EQ(allocs() - before, skel->bss->got);
		test_note("%llu calls, %llu stacks", (unsigned long long)skel->bss->runs,
			  (unsigned long long)skel->bss->got);
		contexts_print();
	}
	struct_ops__destroy(skel);
}

TEST(struct_ops_fail)
{
	RUN_TESTS(struct_ops_fail);
}
