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
	struct context_stats before[NR_CONTEXTS], after[NR_CONTEXTS];
	struct bpf_link *link;
	long long allocs = 0;
	int i;

	if (!ASSERT_PTR(skel))
		return;
	contexts_read(before);
	link = bpf_map__attach_struct_ops(skel->maps.costack_cc);
	if (ASSERT_PTR(link)) {
		transfer();
		bpf_link__destroy(link);
		sleep_ms(50);
		contexts_read(after);
		for (i = 0; i < NR_CONTEXTS; i++)
			allocs += contexts_allocs(&after[i]) - contexts_allocs(&before[i]);
		ASSERT_GT(skel->bss->runs, 0);
		ASSERT_EQ(skel->bss->failed, 0);
		ASSERT_EQ(skel->bss->corrupt, 0);
		ASSERT_EQ(allocs, skel->bss->got);
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
