// SPDX-License-Identifier: GPL-2.0
/*
 * Every context really entered. The program counts what it did, the module counts
 * by context, and the two agree exactly; rows of other contexts do not move.
 */
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>

#include "testing.h"
#include "contexts.skel.h"

#define ETH_P_TEST	0x88b5
#define NR_PACKETS	100
#define NMI_UNSAFE	"cannot be used in tracing programs on types with NMI unsafe fields"

/* Nothing of it runs any more, on any CPU. */
static void detach(struct bpf_link *link)
{
	bpf_link__destroy(link);
	sync_rcu();
	sleep_ms(10);
}

/*
 * Module and program agree, in the row @context and in it alone. Whoever gives a stack
 * back does not say whether it might sleep: that is a process.
 */
static void check_rows(struct contexts *skel, const struct context_stats *before, int context,
		       long long min_runs)
{
	struct context_stats after[NR_CONTEXTS];
	int i, free_context = context == CTX_SLEEPABLE ? CTX_PROCESS : context;
	long long allocs, fails, freed;

	contexts_read(after);
	ASSERT_GE(skel->bss->runs, min_runs);
	ASSERT_EQ(skel->bss->failed, 0);
	ASSERT_EQ(skel->bss->corrupt, 0);
	ASSERT_EQ(skel->bss->got, 2 * skel->bss->runs);
	for (i = 0; i < NR_CONTEXTS; i++) {
		allocs = contexts_allocs(&after[i]) - contexts_allocs(&before[i]);
		fails = after[i].failed - before[i].failed;
		freed = after[i].freed - before[i].freed;
		if (!ASSERT_EQ(allocs, i == context ? skel->bss->got : 0) ||
		    !ASSERT_EQ(fails, 0) ||
		    !ASSERT_EQ(freed, i == free_context ? skel->bss->got : 0))
			test_note("row %s", context_names[i]);
	}
	test_note("program: %llu runs, %llu allocated and freed, in %s; debugfs after it:",
		  (unsigned long long)skel->bss->runs, (unsigned long long)skel->bss->got,
		  context_names[context]);
	contexts_print();
}

/* Ways to have a program run */

static void by_test_run(struct contexts *skel, struct bpf_program *prog)
{
	int i;

	(void)skel;
	for (i = 0; i < 10; i++)
		ASSERT_OK(prog_run(prog, NULL, 0, NULL));
}

static void by_fentry_test(struct contexts *skel, struct bpf_program *prog)
{
	(void)prog;
	by_test_run(skel, skel->progs.trigger);
}

static void by_syscall(struct contexts *skel, struct bpf_program *prog)
{
	int i;

	(void)skel;
	(void)prog;
	for (i = 0; i < 10; i++)
		syscall(SYS_getpgid, 0);
}

static void by_bind(struct contexts *skel, struct bpf_program *prog)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int i, fd;

	(void)skel;
	(void)prog;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; i < 10; i++) {
		fd = socket(AF_INET, SOCK_DGRAM, 0);
		if (ASSERT_OK(fd) && ASSERT_OK(bind(fd, (void *)&addr, sizeof(addr))))
			close(fd);
	}
}

static volatile bool keep_busy;

static void *busy(void *cpu)
{
	pin_to_cpu((long)cpu);
	while (keep_busy)
		;
	return NULL;
}

/* An idle CPU would look for what it is asked to do without an interrupt. */
static void by_ipi(struct contexts *skel, struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .flags = BPF_F_TEST_RUN_ON_CPU, .cpu = 1);
	pthread_t thread;
	int i;

	(void)skel;
	pin_to_cpu(0);
	keep_busy = true;
	if (!ASSERT_EQ(pthread_create(&thread, NULL, busy, (void *)1L), 0))
		return;
	sleep_ms(10);
	for (i = 0; i < 50; i++)
		ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts));
	keep_busy = false;
	pthread_join(thread, NULL);
}

static void wait_runs(struct contexts *skel, u64 runs)
{
	long long end = now_ms() + PATIENCE_MS;

	while (*(volatile u64 *)&skel->bss->runs < runs && now_ms() < end)
		sleep_ms(1);
}

static void by_timer(struct contexts *skel, struct bpf_program *prog)
{
	int i, retval;

	for (i = 0; i < 10; i++) {
		ASSERT_OK(prog_run(prog, NULL, 0, &retval));
		ASSERT_EQ(retval, 0);
		wait_runs(skel, i + 1);
	}
}

static void by_time(struct contexts *skel, struct bpf_program *prog)
{
	(void)prog;
	wait_runs(skel, 50);
}

/* What any machine has that a file is looked up on: disk, or a share of the host. */
static void by_device(struct contexts *skel, struct bpf_program *prog)
{
	long long end = now_ms() + 5000;
	char path[64];
	int i, fd;

	(void)prog;
	fd = open(MONITOR, O_RDWR | O_NONBLOCK);
	for (i = 0; *(volatile u64 *)&skel->bss->runs < 50 && now_ms() < end; i++) {
		snprintf(path, sizeof(path), "no-such-file.%d.%d", getpid(), i);
		access(path, F_OK);
		if (fd >= 0)
			(void)!write(fd, "\n", 1);
		sleep_ms(1);
	}
	if (fd >= 0) {
		char buf[4096];

		while (read(fd, buf, sizeof(buf)) > 0)
			;
		close(fd);
	}
}

static void by_nmi(struct contexts *skel, struct bpf_program *prog)
{
	int i;

	(void)prog;
	for (i = 0; i < 10; i++) {
		if (!ASSERT_TRUE(inject_nmi()))
			return;
		wait_runs(skel, i + 1);
		sleep_ms(5);
	}
}

static void by_udp(struct contexts *skel, struct bpf_program *prog)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int rx = socket(AF_INET, SOCK_DGRAM, 0), tx = socket(AF_INET, SOCK_DGRAM, 0), i;
	char c = 0;

	(void)prog;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (ASSERT_OK(rx) && ASSERT_OK(tx) && ASSERT_OK(bind(rx, (void *)&addr, len)) &&
	    ASSERT_OK(getsockname(rx, (void *)&addr, &len))) {
		skel->bss->port = addr.sin_port;
		for (i = 0; i < NR_PACKETS; i++) {
			ASSERT_EQ(sendto(tx, &c, 1, 0, (void *)&addr, sizeof(addr)), 1);
			ASSERT_EQ(recv(rx, &c, 1, 0), 1);
		}
		wait_runs(skel, NR_PACKETS);
	}
	close(rx);
	close(tx);
}

static bool make_veth(void)
{
	return !system("ip link add costack0 type veth peer name costack1 >/dev/null 2>&1 &&"
		       "ip link set costack0 up && ip link set costack1 up");
}

static void remove_veth(void)
{
	(void)!system("ip link del costack0 >/dev/null 2>&1");
}

static void by_packets(struct contexts *skel, struct bpf_program *prog)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET, .sll_halen = 6,
		.sll_ifindex = if_nametoindex("costack0"),
	};
	unsigned char frame[64] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1,
				    ETH_P_TEST >> 8, ETH_P_TEST & 0xff };
	int fd = socket(AF_PACKET, SOCK_RAW, 0), i;

	(void)prog;
	if (!ASSERT_OK(fd))
		return;
	for (i = 0; i < NR_PACKETS; i++)
		ASSERT_EQ(sendto(fd, frame, sizeof(frame), 0, (void *)&addr, sizeof(addr)),
			  sizeof(frame));
	wait_runs(skel, NR_PACKETS);
	close(fd);
}

/* Ways to attach one */

static struct bpf_link *to_nothing(const struct bpf_program *prog)
{
	(void)prog;
	return NULL;
}

static struct bpf_link *to_cgroup(const struct bpf_program *prog)
{
	char *mounts = read_file("/proc/mounts"), *rest = mounts, *line, path[256];
	struct bpf_link *link = NULL;
	int fd;

	while (!link && rest && (line = strsep(&rest, "\n"))) {
		if (sscanf(line, "%*s %255s cgroup2", path) != 1 || !strstr(line, " cgroup2 "))
			continue;
		fd = open(path, O_RDONLY | O_DIRECTORY);
		if (fd >= 0) {
			link = bpf_program__attach_cgroup(prog, fd);
			close(fd);
		}
	}
	free(mounts);
	return link;
}

static struct bpf_link *to_netfilter(const struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_netfilter_opts, opts, .pf = NFPROTO_IPV4, .hooknum = NF_INET_LOCAL_IN,
		    .priority = -128);

	return bpf_program__attach_netfilter(prog, &opts);
}

static struct bpf_link *to_xdp(const struct bpf_program *prog)
{
	return bpf_program__attach_xdp(prog, if_nametoindex("costack1"));
}

static struct bpf_link *to_tcx(const struct bpf_program *prog)
{
	return bpf_program__attach_tcx(prog, if_nametoindex("costack1"), NULL);
}

static struct bpf_link *to_clock(const struct bpf_program *prog)
{
	return attach_clock(prog, 0, 1000);
}

/**
 * struct way - one way into a context
 * @prog: name of the program; begins with that of the context
 * @context: row
 * @attach: to what
 * @cause: how it comes to run
 * @runs: how often at least
 * @needs: what the machine must have
 */
static const struct way {
	const char *prog;
	int context;
	struct bpf_link *(*attach)(const struct bpf_program *prog);
	void (*cause)(struct contexts *skel, struct bpf_program *prog);
	int runs;
	enum { NOTHING, LSM, VETH, NMI, TWO_CPUS, DEVICE } needs;
} ways[] = {
	{ "sleepable_syscall", CTX_SLEEPABLE, to_nothing, by_test_run, 10 },
	{ "sleepable_fentry", CTX_SLEEPABLE, bpf_program__attach, by_fentry_test, 10 },
	{ "sleepable_lsm", CTX_SLEEPABLE, bpf_program__attach, by_bind, 10, LSM },
	{ "process_fentry", CTX_PROCESS, bpf_program__attach, by_fentry_test, 10 },
	{ "process_fexit", CTX_PROCESS, bpf_program__attach, by_fentry_test, 10 },
	{ "process_kprobe", CTX_PROCESS, bpf_program__attach, by_fentry_test, 10 },
	{ "process_kprobe_multi", CTX_PROCESS, bpf_program__attach, by_fentry_test, 10 },
	{ "process_lsm", CTX_PROCESS, bpf_program__attach, by_bind, 10, LSM },
	{ "process_tracepoint", CTX_PROCESS, bpf_program__attach, by_syscall, 10 },
	{ "process_raw_tp", CTX_PROCESS, bpf_program__attach, by_syscall, 10 },
	{ "process_xdp", CTX_PROCESS, to_nothing, by_test_run, 10 },
	{ "process_tc", CTX_PROCESS, to_nothing, by_test_run, 10 },
	{ "process_cgroup_skb", CTX_PROCESS, to_cgroup, by_udp, NR_PACKETS },
	{ "softirq_cgroup_skb", CTX_SOFTIRQ, to_cgroup, by_udp, NR_PACKETS },
	{ "softirq_netfilter", CTX_SOFTIRQ, to_netfilter, by_udp, NR_PACKETS },
	{ "softirq_xdp", CTX_SOFTIRQ, to_xdp, by_packets, NR_PACKETS, VETH },
	{ "softirq_tcx", CTX_SOFTIRQ, to_tcx, by_packets, NR_PACKETS, VETH },
	{ "softirq_timer", CTX_SOFTIRQ, to_nothing, by_timer, 10 },
	{ "hardirq_ipi", CTX_HARDIRQ, to_nothing, by_ipi, 50, TWO_CPUS },
	{ "hardirq_clock", CTX_HARDIRQ, to_clock, by_time, 50 },
	{ "hardirq_device", CTX_HARDIRQ, bpf_program__attach, by_device, 1, DEVICE },
	{ "nmi_tp_btf", CTX_NMI, bpf_program__attach, by_nmi, 10, NMI },
};

/* False when the machine cannot do it, which is said. */
static bool can_do(const struct way *way)
{
	if (way->needs == LSM && !lsm_is_active())
		test_skip("BPF LSM is not active: boot with lsm=...,bpf");
	else if (way->needs == VETH && !make_veth())
		test_skip("cannot make veth interfaces: CONFIG_VETH, ip(8)");
	else if (way->needs == NMI && access(MONITOR, W_OK))
		test_skip("no %s to inject NMIs with", MONITOR);
	else if (way->needs == TWO_CPUS && nr_cpus() < 2)
		test_skip("needs 2 CPUs");
	else
		return true;
	return false;
}

static void go(struct contexts *skel, const struct way *way)
{
	struct context_stats before[NR_CONTEXTS];
	struct bpf_program *prog;
	struct bpf_link *link;

	prog = bpf_object__find_program_by_name(skel->obj, way->prog);
	memset(skel->bss, 0, sizeof(*skel->bss));
	skel->bss->watched = syscall(SYS_gettid);
	wait_refilled();
	contexts_read(before);
	link = way->attach(prog);
	if (way->attach != to_nothing && !ASSERT_PTR(link))
		return;
	way->cause(skel, prog);
	detach(link);
	if (way->needs == DEVICE && !skel->bss->runs)
		test_skip("no device interrupts on this machine");
	else
		check_rows(skel, before, way->context, way->runs);
}

TEST(contexts)
{
	struct contexts *skel = contexts__open_and_load();
	unsigned int i;

	if (!ASSERT_PTR(skel))
		return;
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		if (!subtest_begin("%s", ways[i].prog))
			continue;
		if (can_do(&ways[i]))
			go(skel, &ways[i]);
		if (ways[i].needs == VETH)
			remove_veth();
		subtest_end();
	}
	contexts__destroy(skel);
}

/* The kernel calls the destructor of a stack in an object that is dropped. */
static const struct way drops[] = {
	{ "process_drop", CTX_PROCESS, to_nothing, by_test_run, 10 },
	{ "softirq_drop", CTX_SOFTIRQ, to_tcx, by_packets, 64, VETH },
	{ "hardirq_drop", CTX_HARDIRQ, to_clock, by_time, 50 },
	{ "nmi_drop", CTX_NMI, bpf_program__attach, by_nmi, 10, NMI },
};

static void go_drop(const struct way *way)
{
	struct context_stats before[NR_CONTEXTS], after[NR_CONTEXTS];
	struct contexts *skel = contexts__open();
	struct bpf_program *prog;
	struct bpf_link *link;
	struct stats stats;
	char log[16384] = "";
	int i;

	if (!ASSERT_PTR(skel))
		return;
	prog = bpf_object__find_program_by_name(skel->obj, way->prog);
	bpf_program__set_autoload(prog, true);
	bpf_program__set_log_buf(prog, log, sizeof(log));
	if (contexts__load(skel)) {
		/* Since some version between these two, a program that may run anywhere. */
		if (kernel_version() >= KERNEL(6, 13) && strstr(log, NMI_UNSAFE) &&
		    (way->context == CTX_HARDIRQ || way->context == CTX_NMI))
			test_note("refused by this kernel: '%s'", NMI_UNSAFE);
		else
			test_fail(__FILE__, __LINE__, "%s: not loaded: %s", way->prog, log);
		contexts__destroy(skel);
		return;
	}
	ASSERT_OK(prog_run(skel->progs.fill_holders, NULL, 0, NULL));
	stats_read(&stats);
	ASSERT_EQ(stats.live, 64);
	contexts_read(before);
	link = way->attach(prog);
	if (way->attach == to_nothing || ASSERT_PTR(link)) {
		way->cause(skel, prog);
		detach(link);
		contexts_read(after);
		ASSERT_GE(skel->bss->dropped, way->runs);
		for (i = 0; i < NR_CONTEXTS; i++) {
			if (!ASSERT_EQ(after[i].freed - before[i].freed,
				       i == way->context ? skel->bss->dropped : 0))
				test_note("row %s", context_names[i]);
		}
		stats_read(&stats);
		ASSERT_EQ(stats.live, 64 - skel->bss->dropped);
		test_note("program: %llu destructors in %s",
			  (unsigned long long)skel->bss->dropped, context_names[way->context]);
	}
	contexts__destroy(skel);
	ASSERT_TRUE(wait_live(0));
}

TEST(contexts_destructor)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(drops); i++) {
		if (!subtest_begin("%s", drops[i].prog))
			continue;
		if (can_do(&drops[i]))
			go_drop(&drops[i]);
		if (drops[i].needs == VETH)
			remove_veth();
		subtest_end();
	}
}
