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
/*
 * What four CPUs keep in slabs that are used in part comes and goes; of the 100,000 stacks of a
 * round, one in a hundred that is lost is more. KASAN keeps what was freed for a while, a
 * 32nd of memory, and each place that it was freed from for ever.
 */
#define NOISE_BYTES	(slow_kernel() ? 32 << 20 : 4 << 20)
#define NR_OPS_RUN	128
#define NR_OPS_PACKET	32

struct stress *skel;
volatile bool stopped;
struct bpf_link *clocks[STRESS_CPUS];
bool skipped[NR_ROWS];

static u64 seed;
static int failed;		/* of the case that runs */
static int nr_cases, nr_failed;
static u64 totals[NR_ROWS][NR_OPS][NR_RESULTS];	/* of all rounds */
static u64 thrown;		/* exceptions on top of bodies, in all rounds */
static u64 counts[NR_ROWS][NR_OPS][NR_RESULTS];	/* of this one */

/* Rows in which an operation cannot work; bodies do not sleep. */
#define NOT_NMI		(1 << ROW_NMI)
#define NOT_BODY	(1 << ROW_NMI | 1 << ROW_SLEEPABLE)
#define NO_PACKET	(NOT_BODY | 1 << ROW_HARDIRQ)
#define ONLY_NMI	(NOT_NMI - 1)

static const struct {
	const char *name;
	u32 not;
} ops[] = {
#define X(name, not) { #name, not },
	STRESS_OPS(X)
#undef X
};

static const char * const result_names[] = {
#define X(name, ...) #name,
	STRESS_RESULTS(X)
#undef X
	"other",
};

static const struct {
	const char *name, *text;
} fault_kinds[] = {
#define X(name, text) { #name, text },
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

static void *work(void *arg)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct packet packet = {
		.headers = { [12] = 8, [14] = 0x45 }, .run.magic = STRESS_MAGIC,
		.run.worker = (long)arg,
	};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), i;
	void *run = &packet.run;
	LIBBPF_OPTS(bpf_test_run_opts, call, .ctx_in = run, .ctx_size_in = sizeof(packet.run));
	LIBBPF_OPTS(bpf_test_run_opts, net, .data_in = &packet, .data_size_in = sizeof(packet),
		    .repeat = 1);

	for (; !stopped; packet.run.round++) {
		pin_to_cpu((long)arg);	/* it may have been away */
		packet.run.ops = NR_OPS_RUN;
		bpf_prog_test_run_opts(bpf_program__fd(skel->progs.sleepable), &call);
		packet.run.row = ROW_PROCESS;
		memset(packet.bytes, STRESS_BYTE(ROW_PROCESS), sizeof(packet.bytes));
		bpf_prog_test_run_opts(bpf_program__fd(packet.run.round & 1 ? skel->progs.net_skb :
								       skel->progs.net_xdp), &net);
		packet.run.ops = NR_OPS_PACKET;
		packet.run.row = ROW_SOFTIRQ;
		memset(packet.bytes, STRESS_BYTE(ROW_SOFTIRQ), sizeof(packet.bytes));
		for (i = 0; i < 4; i++, packet.run.round++)
			sendto(fd, run, sizeof(packet) - STRESS_OFFSET, 0, (void *)&addr,
			       sizeof(addr));
		/* A CPU that goes must be able to get rid of this thread. */
		sched_yield();
	}
	close(fd);
	return NULL;
}

/* What was counted */

#define for_all(row, op, res)							\
	for (row = 0; row < NR_ROWS; row++)					\
		for (op = 0; op < NR_OPS; op++)					\
			for (res = 0; res < NR_RESULTS; res++)

/* In this round: in a row, or, with -1, in all. */
static long long sum(int row, int op, int res)
{
	long long n = 0;
	int i;

	for (i = 0; i < NR_ROWS; i++)
		n += row < 0 || row == i ? counts[i][op][res] : 0;
	return n;
}

/* In all rounds. */
static u64 total(int op, int row, int res)
{
	u64 n = 0;
	int i, j;

	for (i = 0; i < NR_ROWS; i++)
		for (j = 0; j < NR_RESULTS; j++)
			n += (row < 0 || row == i) && (res < 0 || res == j) ? totals[i][op][j] : 0;
	return n;
}

static void collect(void)
{
	int row, op, res, cpu;

	memset(counts, 0, sizeof(counts));
	thrown += skel->bss->thrown;
	for_all(row, op, res) {
		for (cpu = 0; cpu < STRESS_CPUS; cpu++)
			counts[row][op][res] += skel->bss->counts[cpu][row][op][res];
		totals[row][op][res] += counts[row][op][res];
	}
}

/* Could this operation work in this context, on this machine? */
static bool can_work(int row, int op)
{
	return !(ops[op].not & 1 << row) && !skipped[row];
}

/* Did it, everywhere? */
static bool all_worked(bool say)
{
	bool met = true;
	int row, op;

	for (row = 0; row < NR_ROWS; row++) {
		for (op = 0; op < NR_OPS; op++) {
			if (!can_work(row, op) ||
			    totals[row][op][op == OP_resume_nmi ? RES_EOPNOTSUPP : RES_ok])
				continue;
			met = false;
			if (say)
				test_fail(__FILE__, __LINE__, "%s never worked in %s", ops[op].name,
					  context_names[row]);
		}
	}
	return met;
}

static bool all_happened(void)
{
	return all_worked(false) && disturbed(false) && thrown;
}

static unsigned long long print_table(void)
{
	unsigned long long all = 0, by_row[NR_ROWS] = {};
	int row, op, res;

	printf("# %-16s", "operation");
	for (row = 0; row < NR_ROWS; row++)
		printf("%12s", context_names[row]);
	printf("  of these not done, and why\n");
	for (op = 0; op < NR_OPS; op++) {
		printf("# %-16s", ops[op].name);
		for (row = 0; row < NR_ROWS; row++) {
			by_row[row] += total(op, row, -1);
			if (can_work(row, op))
				printf("%12llu", (unsigned long long)total(op, row, -1));
			else
				printf("%12s", "-");
		}
		for (res = 1; res < NR_RESULTS; res++) {
			if (total(op, -1, res))
				printf("  %s %llu", result_names[res],
				       (unsigned long long)total(op, -1, res));
		}
		printf("\n");
	}
	printf("# %-16s", "all");
	for (row = 0; row < NR_ROWS; row++) {
		printf("%12llu", by_row[row]);
		all += by_row[row];
	}
	printf("\n");
	return all;
}

/* What must be true */

static void check_faults(void)
{
	const unsigned long long *d;
	int i;

	for (i = 0; i < NR_FAULTS; i++) {
		d = (void *)skel->bss->fault_details[i];
		if (skel->bss->faults[i])
			test_fail(__FILE__, __LINE__, "%s, %llu times: %s; the last: %#llx, %#llx",
				  fault_kinds[i].name, (unsigned long long)skel->bss->faults[i],
				  fault_kinds[i].text, d[0], d[1]);
	}
}

/* The module's counts and ours, of a round in which it was loaded, and nothing is held. */
static void check_counts(void)
{
	long long allocs = 0, frees = 0, fails = 0, more, no_spawn, no_alloc, slack = 0;
	struct context_stats contexts[NR_CONTEXTS], *c;
	struct stats s;
	int row;

	stats_read(&s);
	contexts_read(contexts);
	for (row = 0; row < NR_ROWS; row++) {
		c = &contexts[row];
		allocs += contexts_allocs(c);
		frees += c->freed;
		fails += c->failed;
		/* Coroutines are a stack each; private ones have one to run on, and memory. */
		more = contexts_allocs(c) - sum(row, OP_alloc, RES_ok) -
		       sum(row, OP_alloc_guard, RES_ok) - sum(row, OP_body_alloc, RES_ok) -
		       sum(row, OP_spawn, RES_ok) - 3 * sum(row, OP_spawn_private, RES_ok);
		/* Those that were spawned half-way, and what is kept of suspended ones. */
		ASSERT_GE(more, 0);
		ASSERT_LE(more, 2 * sum(row, OP_spawn_private, RES_NULL) +
				sum(row, OP_yield, RES_ok));
		slack += more;
		no_alloc = sum(row, OP_alloc, RES_NULL) + sum(row, OP_alloc_guard, RES_NULL) +
			   sum(row, OP_body_alloc, RES_NULL) + sum(row, OP_alloc_refused, RES_ok);
		no_spawn = sum(row, OP_spawn, RES_NULL) + sum(row, OP_spawn_private, RES_NULL) +
			   sum(row, OP_yield, RES_ENOMEM);
		ASSERT_GE(c->failed, no_alloc);
		ASSERT_LE(c->failed, no_alloc + no_spawn);
	}
	ASSERT_EQ(allocs, s.allocs);
	ASSERT_EQ(frees, s.frees);
	ASSERT_EQ(fails, s.fail_size + s.fail_flags + s.fail_limit + s.fail_nomem + s.fail_empty);
	ASSERT_EQ(s.fail_size + s.fail_flags, sum(-1, OP_alloc_refused, RES_ok));
	ASSERT_EQ(s.co_spawned, sum(-1, OP_spawn, RES_ok) + sum(-1, OP_spawn_private, RES_ok));
	ASSERT_EQ(s.co_fail_type + s.co_fail_limit + s.co_fail_memory,
		  sum(-1, OP_spawn, RES_NULL) + sum(-1, OP_spawn_private, RES_NULL));
	ASSERT_EQ(s.co_resumed - s.co_cancelled,
		  sum(-1, OP_resume, RES_ok) + sum(-1, OP_resume_shared, RES_ok) +
		  sum(-1, OP_resume_mem, RES_ok) + sum(-1, OP_resume_skb, RES_ok) +
		  sum(-1, OP_resume_xdp, RES_ok) + sum(-1, OP_call, RES_ok));
	test_note("round: %lld allocated, %lld of these by the module for itself, %lld not; %lld spawned, %lld runs, %lld cancelled",
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
	s = wait_still();
	ASSERT_EQ(s.live, 0);
	ASSERT_EQ(s.allocs, s.frees);
	ASSERT_EQ(s.cached, s.obtained - s.returned);
	ASSERT_EQ(s.cached_bytes, s.obtained_bytes - s.returned_bytes);
}

/* Rounds */

/* Nothing runs: the books agree, and at least what goes out of the slots is gone. */
static void drain(void)
{
	long long end = now_ms() + PATIENCE_MS;
	struct stats before, after;
	int n;

	before = wait_still();
	ASSERT_EQ(before.live + before.cached, before.obtained - before.returned);
	ASSERT_OK(prog_run(skel->progs.drain, NULL, 0, &n));
	/* Coroutines are cancelled a little later. */
	do {
		stats_read(&after);
	} while (before.live - after.live < n && now_ms() < end);
	ASSERT_GE(before.live - after.live, n);
}

static struct bpf_link *links[3];

/* What a kernel cannot do is left out, and said. */
static struct bpf_link *attached(int row, struct bpf_link *link)
{
	if (!link && !skipped[row])
		test_note("skipped: all in %s: cannot be attached to: %s", context_names[row],
			  strerror(errno));
	skipped[row] |= !link;
	return link;
}

static void attach(void)
{
	int i, lo = if_nametoindex("lo");

	links[0] = attached(ROW_SOFTIRQ, bpf_program__attach_tcx(skel->progs.net_skb, lo, NULL));
	links[1] = attached(ROW_SOFTIRQ, bpf_program__attach_xdp(skel->progs.net_xdp, lo));
	if (!skipped[ROW_NMI])
		links[2] = attached(ROW_NMI, bpf_program__attach(skel->progs.nmi));
	for (i = 0; i < nr_cpus() && i < STRESS_CPUS; i++)
		clocks[i] = attached(ROW_HARDIRQ, attach_clock(skel->progs.hardirq, i, 1000));
}

static void detach(void)
{
	unsigned int i;

	for (i = 0; i < STRESS_CPUS; i++) {
		bpf_link__destroy(clocks[i]);
		clocks[i] = NULL;
	}
	for (i = 0; i < ARRAY_SIZE(links); i++) {
		bpf_link__destroy(links[i]);
		links[i] = NULL;
	}
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
	pthread_t threads[STRESS_CPUS];
	int i, n = min(nr_cpus(), STRESS_CPUS);
	long long start;

	if (!ASSERT_OK(module_load(param)))
		return;
	start = now_ms();
	skel = stress__open();
	if (!ASSERT_PTR(skel))
		return;
	skel->rodata->seed = round_seed;
	bpf_program__set_autoload(skel->progs.nmi, !skipped[ROW_NMI]);
	if (!ASSERT_OK(stress__load(skel)))
		goto out;
	stopped = false;
	attach();
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
	detach();
	drain();
	collect();
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
	check_counts();
	if (!ASSERT_OK(module_unload()))
		exit(1);
}

int main(int argc, char **argv)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	long seconds = argc > 1 ? atol(argv[1]) : 0, round_ms;
	long long start = now_ms(), end, bytes = 0, after;
	unsigned long long all;
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
	skipped[ROW_NMI] = access(MONITOR, W_OK);
	if (skipped[ROW_NMI])
		test_note("skipped: all in nmi: no %s to inject them with", MONITOR);
	if (!ASSERT_OK(module_unload()))
		return 1;
	end = start + seconds * 1000;
	round_ms = min(ROUND_MS, seconds * 1000 / 2);
	/* A slow machine gets a few rounds more than asked for. */
	for (i = 0; now_ms() < end || (i < 20 && !all_happened()); i++) {
		round_of(mix(seed + i), round_ms);
		if (failed)
			break;
		if (i == 1)
			bytes = kernel_bytes();
	}
	all = print_table();
	test_note("%llu operations in %lld s, %d rounds, seed %llu", all,
		  (now_ms() - start) / 1000, i, (unsigned long long)seed);
	result("contents, results and counts are as they must be");
	all_worked(true);
	result("everything worked in each context");
	disturbed(true);
	test_note("%llu programs threw on top of a body", (unsigned long long)thrown);
	ASSERT_GT(thrown, 0);
	result("everything was disturbed");
	if (i > 2) {
		test_note("slabs and vmalloc: %lld bytes after two rounds, %lld at the end", bytes,
			  after = kernel_bytes());
		ASSERT_LE(after - bytes, NOISE_BYTES);
	}
	ASSERT_TRUE(!module_loaded());
	result("nothing is left");
	printf("1..%d\n", nr_cases);
	return nr_failed ? 1 : 0;
}
