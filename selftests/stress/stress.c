// SPDX-License-Identifier: GPL-2.0
/*
 * Everything that programs can do, at random, on all CPUs and in each context at once
 * (progs/stress.bpf.c), while others disturb (disturb.c). In rounds: at the end of each
 * nothing runs, what was counted here and there is compared, and everything goes: maps
 * with what is in them, types, the module.
 *
 *	stress SECONDS [SEED]
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stress.h"

#define ROUND_MS	15000
#define NR_OPS_RUN	128
#define NR_OPS_PACKET	32

struct stress *skel;
volatile bool stopped;
struct bpf_link *clocks[STRESS_CPUS];
bool has_nmi;

static u64 seed;
static int failed;		/* of the case that runs */
static int nr_cases, nr_failed;
static u64 totals[NR_ROWS][NR_OPS][NR_RESULTS];	/* of all rounds */
static u64 counts[NR_ROWS][NR_OPS][NR_RESULTS];	/* of this one */

static const char * const op_names[] = {
#define X(name, not) #name,
	STRESS_OPS(X)
#undef X
};

static const u32 op_not[] = {
#define X(name, not) not,
	STRESS_OPS(X)
#undef X
};

static const char * const result_names[] = {
#define X(name, err) #name,
	STRESS_RESULTS(X)
#undef X
	"other",
};

static const char * const fault_texts[] = {
#define X(name, text) text,
	STRESS_FAULTS(X)
#undef X
};

/* What module.c and util.c say goes here */

void test_note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("# ");
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	failed = 1;
	printf("# %s:%d: ", file, line);
	va_start(args, fmt);
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
}

static void result(const char *name)
{
	nr_cases++;
	nr_failed += failed;
	printf("%s %d %s\n", failed ? "not ok" : "ok", nr_cases, name);
	failed = 0;
}

static u64 mix(u64 x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

unsigned int choose(u64 *state, unsigned int n)
{
	*state = mix(*state);
	return *state % n;
}

/* Workers */

struct packet {
	char headers[STRESS_OFFSET];
	struct stress_run run;
	u8 bytes[STRESS_BYTES];
} __attribute__((packed));

static void send_packets(int fd, struct packet *packet, u32 *round)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int i;

	packet->run.ops = NR_OPS_PACKET;
	memset(packet->bytes, 0xd2, sizeof(packet->bytes));	/* row 2 */
	for (i = 0; i < 4; i++) {
		packet->run.round = (*round)++;
		sendto(fd, &packet->run, sizeof(*packet) - STRESS_OFFSET, 0, (void *)&addr,
		       sizeof(addr));
	}
}

static void *work(void *arg)
{
	struct packet packet = { .headers = { [12] = 8, [14] = 0x45 } };
	u32 worker = (long)arg, round = 0;
	LIBBPF_OPTS(bpf_test_run_opts, call, .ctx_in = &packet.run,
		    .ctx_size_in = sizeof(packet.run));
	LIBBPF_OPTS(bpf_test_run_opts, net, .data_in = &packet, .data_size_in = sizeof(packet),
		    .repeat = 1);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	packet.run = (struct stress_run) { .magic = STRESS_MAGIC, .worker = worker };
	while (!stopped) {
		pin_to_cpu(worker);	/* it may have been away */
		packet.run.ops = NR_OPS_RUN;
		packet.run.round = round++;
		bpf_prog_test_run_opts(bpf_program__fd(skel->progs.sleepable), &call);
		packet.run.round = round++;
		memset(packet.bytes, 0xe1, sizeof(packet.bytes));	/* row 1 */
		bpf_prog_test_run_opts(bpf_program__fd(round & 2 ? skel->progs.process_skb :
								   skel->progs.process_xdp), &net);
		send_packets(fd, &packet, &round);
		/* A CPU that goes must be able to get rid of this thread. */
		sched_yield();
	}
	close(fd);
	return NULL;
}

/* What was counted */

static u64 sum(int row, int op, int res)
{
	return row < 0 ? sum(0, op, res) + sum(1, op, res) + sum(2, op, res) + sum(3, op, res) +
			 sum(4, op, res) : counts[row][op][res];
}

static void collect(void)
{
	int cpu, row, op, res;

	memset(counts, 0, sizeof(counts));
	for (cpu = 0; cpu < STRESS_CPUS; cpu++)
		for (row = 0; row < NR_ROWS; row++)
			for (op = 0; op < NR_OPS; op++)
				for (res = 0; res < NR_RESULTS; res++)
					counts[row][op][res] += skel->bss->counts[cpu][row][op][res];
	for (row = 0; row < NR_ROWS; row++)
		for (op = 0; op < NR_OPS; op++)
			for (res = 0; res < NR_RESULTS; res++)
				totals[row][op][res] += counts[row][op][res];
}

static bool all_met(bool say)
{
	bool met = true;
	int row, op;

	for (row = 0; row < NR_ROWS; row++) {
		if (row == ROW_NMI && !has_nmi)
			continue;
		for (op = 0; op < NR_OPS; op++) {
			int res = op == OP_resume_nmi ? RES_EOPNOTSUPP : RES_ok;

			if (op_not[op] & 1 << row || totals[row][op][res])
				continue;
			met = false;
			if (say)
				test_fail(__FILE__, __LINE__, "%s never worked in %s", op_names[op],
					  context_names[row]);
		}
	}
	return met;
}

static unsigned long long print_table(void)
{
	unsigned long long total = 0, n, by_row[NR_ROWS] = {};
	int row, op, res;

	printf("# %-16s", "operation");
	for (row = 0; row < NR_ROWS; row++)
		printf("%12s", context_names[row]);
	printf("  of these not done\n");
	for (op = 0; op < NR_OPS; op++) {
		printf("# %-16s", op_names[op]);
		for (row = 0; row < NR_ROWS; row++) {
			for (n = 0, res = 0; res < NR_RESULTS; res++)
				n += totals[row][op][res];
			by_row[row] += n;
			total += n;
			if (n || !(op_not[op] & 1 << row))
				printf("%12llu", n);
			else
				printf("%12s", "-");
		}
		for (res = 1; res < NR_RESULTS; res++) {
			for (n = 0, row = 0; row < NR_ROWS; row++)
				n += totals[row][op][res];
			if (n)
				printf("  %s %llu", result_names[res], n);
		}
		printf("\n");
	}
	printf("# %-16s", "all");
	for (row = 0; row < NR_ROWS; row++)
		printf("%12llu", by_row[row]);
	printf("\n");
	return total;
}

/* What must be true */

static void check_faults(void)
{
	const unsigned long long *d;
	int i;

	for (i = 0; i < NR_FAULTS; i++) {
		d = (void *)skel->bss->fault_details[i];
		if (skel->bss->faults[i])
			test_fail(__FILE__, __LINE__, "%llu times: %s; the last: %#llx, %#llx, %#llx",
				  (unsigned long long)skel->bss->faults[i], fault_texts[i],
				  d[0], d[1], d[2]);
	}
}

/* The module's counts and ours, of a round in which it was loaded. */
static void check_counts(const struct context_stats *contexts)
{
	long long allocs, more, halves, runs, spawned, refused, slack = 0;
	struct stats s;
	int row;

	stats_read(&s);
	for (row = 0; row < NR_ROWS; row++) {
		/* Coroutines are a stack each; private ones have one to run on, and memory. */
		allocs = sum(row, OP_alloc, RES_ok) + sum(row, OP_alloc_guard, RES_ok) +
			 sum(row, OP_body_alloc, RES_ok) + sum(row, OP_spawn, RES_ok) +
			 3 * sum(row, OP_spawn_private, RES_ok);
		more = contexts_allocs(&contexts[row]) - allocs;
		/* Spawned half-way; and what did not fit into what is kept of a suspended one. */
		halves = 2 * sum(row, OP_spawn_private, RES_NULL);
		ASSERT_GE(more, 0);
		ASSERT_LE(more, halves + (long long)sum(row, OP_yield, RES_ok));
		slack += more;
		refused = sum(row, OP_alloc, RES_NULL) + sum(row, OP_alloc_guard, RES_NULL) +
			  sum(row, OP_body_alloc, RES_NULL) + sum(row, OP_alloc_refused, RES_ok);
		ASSERT_GE(contexts[row].failed, refused);
		refused += sum(row, OP_spawn, RES_NULL) + sum(row, OP_spawn_private, RES_NULL) +
			   sum(row, OP_yield, RES_ENOMEM);
		ASSERT_LE(contexts[row].failed, refused);
	}
	ASSERT_EQ(s.fail_size + s.fail_flags, sum(-1, OP_alloc_refused, RES_ok));
	spawned = sum(-1, OP_spawn, RES_ok) + sum(-1, OP_spawn_private, RES_ok);
	ASSERT_EQ(s.co_spawned, spawned);
	ASSERT_EQ(s.co_fail_type + s.co_fail_limit + s.co_fail_memory,
		  sum(-1, OP_spawn, RES_NULL) + sum(-1, OP_spawn_private, RES_NULL));
	runs = sum(-1, OP_resume, RES_ok) + sum(-1, OP_resume_shared, RES_ok) +
	       sum(-1, OP_resume_mem, RES_ok) + sum(-1, OP_resume_skb, RES_ok) +
	       sum(-1, OP_resume_xdp, RES_ok) + sum(-1, OP_call, RES_ok);
	ASSERT_EQ(s.co_resumed - s.co_cancelled, runs);
	test_note("round: %lld allocated, %lld more by the module for itself, %lld not; %lld spawned, %lld runs, %lld cancelled",
		  s.allocs, slack, s.fail_limit + s.fail_nomem + s.fail_empty, s.co_spawned,
		  s.co_resumed, s.co_cancelled);
}

static void check_map(void)
{
	u64 n;
	u32 row;

	for (row = 0; row < NR_ROWS; row++) {
		if (ASSERT_OK(bpf_map__lookup_elem(skel->maps.added, &row, sizeof(row), &n,
						   sizeof(n), 0)))
			ASSERT_EQ(n, sum(row, OP_map_add, RES_ok));
	}
}

static void check_zero(void)
{
	struct stats s;

	ASSERT_TRUE(wait_live(0));
	ASSERT_TRUE(wait_coroutines(0));
	wait_still();
	stats_read(&s);
	ASSERT_EQ(s.live, 0);
	ASSERT_EQ(s.allocs, s.frees);
	ASSERT_EQ(s.cached, s.obtained - s.returned);
	ASSERT_EQ(s.cached_bytes, s.obtained_bytes - s.returned_bytes);
}

/* Rounds */

static struct bpf_link *tc, *xdp, *nmis;

static bool attach(void)
{
	int i, lo = if_nametoindex("lo");

	tc = bpf_program__attach_tcx(skel->progs.softirq_skb, lo, NULL);
	xdp = bpf_program__attach_xdp(skel->progs.softirq_xdp, lo);
	nmis = has_nmi ? bpf_program__attach(skel->progs.nmi) : NULL;
	for (i = 0; i < nr_cpus() && i < STRESS_CPUS; i++) {
		clocks[i] = attach_clock(skel->progs.hardirq, i, 1000);
		if (!ASSERT_PTR(clocks[i]))
			return false;
	}
	return ASSERT_PTR(tc) && ASSERT_PTR(xdp) && (!has_nmi || ASSERT_PTR(nmis));
}

static void detach(void)
{
	int i;

	for (i = 0; i < STRESS_CPUS; i++) {
		bpf_link__destroy(clocks[i]);
		clocks[i] = NULL;
	}
	bpf_link__destroy(nmis);
	bpf_link__destroy(xdp);
	bpf_link__destroy(tc);
	sync_rcu();
	sleep_ms(10);
}

/* Small reserves, much trimming, little memory. */
static const char * const params[] = {
	"",
	"reserve=8,8,8,8,8,8,0,0 guard_reserve=2 co_reserve=8 trim_ms=100",
	"reserve=16,16,16,16,16,8,4,2 guard_reserve=1 co_reserve=16 trim_ms=200 limit_mb=4",
	"trim_ms=100 co_reserve=0 guard_reserve=0",
};

static void round_of(u64 round_seed, long ms)
{
	const char *param = params[choose(&round_seed, ARRAY_SIZE(params))];
	struct context_stats contexts[NR_CONTEXTS];
	pthread_t threads[STRESS_CPUS];
	int i, n = min(nr_cpus(), STRESS_CPUS);
	long long start;
	struct stats s;

	if (!ASSERT_OK(module_load(param)))
		return;
	start = now_ms();
	skel = stress__open();
	if (!ASSERT_PTR(skel))
		return;
	skel->rodata->seed = round_seed;
	if (!ASSERT_OK(stress__load(skel)))
		goto out;
	stopped = false;
	if (!attach())
		goto detach;
	disturb_begin(round_seed);
	test_note("round with '%s', ready after %lld ms", param, now_ms() - start);
	start = now_ms();
	for (i = 0; i < n; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, work, (void *)(long)i), 0);
	while (now_ms() < start + ms)
		sleep_ms(20);
	stopped = true;
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	disturb_end();
detach:
	detach();
	collect();
	wait_still();
	stats_read(&s);
	prog_run(skel->progs.drain, NULL, 0, NULL);
	ASSERT_GE(s.live, skel->bss->held_stacks + skel->bss->held_cos);
	check_faults();
	check_map();
	/* The types go before those that have coroutines of them, or after. */
	if (choose(&round_seed, 2))
		disturb_types_end();
out:
	stress__destroy(skel);
	disturb_types_end();
	sync_rcu();
	check_zero();
	contexts_read(contexts);
	check_counts(contexts);
	if (!ASSERT_OK(module_unload()))
		exit(1);
}

int main(int argc, char **argv)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	long seconds = argc > 1 ? atol(argv[1]) : 0, round_ms;
	long long start = now_ms(), end, bytes = 0;
	unsigned long long total;
	int i;

	if (argc > 2)
		seed = strtoull(argv[2], NULL, 0);
	if (seconds <= 0 || argc > 3) {
		fprintf(stderr, "usage: stress SECONDS [SEED]\n");
		return 1;
	}
	if (!seed)
		seed = mix(time(NULL) ^ (u64)getpid() << 32) % 1000000000 + 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	printf("TAP version 13\n# seed %llu, %ld seconds, %d CPUs\n", (unsigned long long)seed,
	       seconds, nr_cpus());
	has_nmi = !access(MONITOR, W_OK);
	if (!has_nmi)
		test_note("skipped: NMI: no %s to inject them with", MONITOR);
	if (!ASSERT_OK(module_unload()))
		return 1;
	end = start + seconds * 1000;
	round_ms = min(ROUND_MS, seconds * 1000 / 2);
	for (i = 0; !failed && (now_ms() < end || ((!all_met(false) || !disturbed(false)) && i < 100)); i++) {
		round_of(mix(seed + i), round_ms);
		if (i == 1)
			bytes = kernel_bytes();
	}
	total = print_table();
	test_note("%llu operations in %lld s, %d rounds, seed %llu", total,
		  (now_ms() - start) / 1000, i, (unsigned long long)seed);
	result("contents, results and counts are as they must be");
	all_met(true);
	result("everything worked in each context");
	disturbed(true);
	result("everything was disturbed");
	if (i > 2)
		same_bytes(bytes);
	ASSERT_TRUE(!module_loaded());
	result("nothing is left");
	printf("1..%d\n", nr_cases);
	return nr_failed ? 1 : 0;
}
