// SPDX-License-Identifier: GPL-2.0
/*
 * Runs what bench_peers.bpf.c has, and prints a line for each figure: NAME SIZE ROUND ROUND ...,
 * in nanoseconds, which are instructions where the clock counts these.
 */
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <linux/types.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

typedef __u8 u8;
typedef __u32 u32;
typedef __u64 u64;

#include "bench_peers.skel.h"

#define ROUNDS		7
#define LOOPS		10000
#define EVENTS		500
/* What an event brings about is over when as much was done as this. */
#define PAUSE		5000
#define LONG_PAUSE	100000000

static struct bench_peers *skel;
static int status;

static int run(const struct bpf_program *prog, u32 repeat, u32 *duration)
{
	char packet[64] = { [12] = 8, [14] = 0x45 };	/* enough of an IPv4 frame */
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int err;

	if (bpf_program__type(prog) != BPF_PROG_TYPE_SYSCALL) {
		opts.data_in = packet;
		opts.data_size_in = sizeof(packet);
		opts.repeat = repeat;
	}
	err = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
	if (duration)
		*duration = opts.duration;
	return err;
}

static double loop_round(const struct bpf_program *prog, u32 loops)
{
	skel->bss->rounds = loops;
	if (run(prog, 1, NULL))
		skel->bss->failed++;
	return (double)skel->bss->ns / loops;
}

static void loop_rounds(const struct bpf_program *prog, u32 loops)
{
	double empty;
	int i;

	loop_round(skel->progs.loop_empty, LOOPS);
	empty = loop_round(skel->progs.loop_empty, LOOPS);
	skel->bss->failed = 0;
	loop_round(prog, loops);
	for (i = 0; i < ROUNDS; i++)
		printf(" %.2f", loop_round(prog, loops) - empty);
	printf("\n");
}

static void loop(const char *name, const struct bpf_program *prog, u32 size, u32 loops)
{
	skel->bss->size = size;
	printf("%s %u", name, size);
	loop_rounds(prog, loops);
	if (skel->bss->failed)
		printf("%s_failed %u %llu\n", name, size, skel->bss->failed);
}

/* What is done in the program itself, over many runs; the run of an empty one is subtracted. */
static void at_once(const char *name, const struct bpf_program *prog)
{
	u32 empty, duration;
	int i;

	run(skel->progs.later_nothing, LOOPS, &empty);
	skel->bss->done = 0;
	run(prog, LOOPS, &duration);
	printf("%s 0", name);
	for (i = 0; i < ROUNDS; i++) {
		run(skel->progs.later_nothing, LOOPS, &empty);
		if (run(prog, LOOPS, &duration))
			skel->bss->failed++;
		printf(" %d", (int)(duration - empty));
	}
	printf("\n");
	if (skel->bss->done != (ROUNDS + 1) * LOOPS) {
		fprintf(stderr, "peers: %s: went on %llu times\n", name, skel->bss->done);
		status = 1;
	}
}

static double events_round(const struct bpf_program *prog, bool done)
{
	volatile __u64 *gone_on = &skel->bss->done;
	struct timespec start, end;
	volatile int pause;
	__u64 before;
	int i;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (i = 0; i < EVENTS; i++) {
		before = *gone_on;
		if (run(prog, 1, NULL))
			skel->bss->failed++;
		for (pause = 0; pause < PAUSE; pause++)
			;
		/* Where it is another CPU that does it, it may take longer. */
		for (pause = 0; done && *gone_on == before && pause < LONG_PAUSE; pause++)
			;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	return ((end.tv_sec - start.tv_sec) * 1e9 + end.tv_nsec - start.tv_nsec) / EVENTS;
}

/*
 * What is done after the program, in an interrupt, a worker or this task: all that the
 * CPU does more than for an empty program is counted, while this task always has work.
 */
static void afterwards(const char *name, const struct bpf_program *prog)
{
	double nothing;
	int i;

	events_round(skel->progs.later_nothing, false);
	skel->bss->done = 0;
	events_round(prog, true);
	printf("%s 0", name);
	for (i = 0; i < ROUNDS; i++) {
		nothing = events_round(skel->progs.later_nothing, false);
		printf(" %.0f", events_round(prog, true) - nothing);
	}
	printf("\n");
	if (skel->bss->done != (ROUNDS + 1) * EVENTS) {
		fprintf(stderr, "peers: %s: went on %llu times\n", name, skel->bss->done);
		status = 1;
	}
}

/* What a resume of one of many takes, with the look into the map. */
static void many(void)
{
	u32 n;

	for (n = 10; n <= 1000000; n *= 10) {
		skel->bss->rounds = n - skel->bss->nr_many;
		skel->bss->failed = 0;
		run(skel->progs.many_spawn, 1, NULL);
		/* No memory for as many: what was measured stands. */
		if (skel->bss->failed)
			return;
		printf("many %u", n);
		loop_rounds(skel->progs.loop_many, LOOPS);
	}
}

int main(int argc, char **argv)
{
	const struct sched_param param = { 0 };
	const struct btf *btf = btf__load_vmlinux_btf();
	bool task_work = btf__find_by_name_kind(btf, "bpf_task_work_schedule_signal",
						BTF_KIND_FUNC) > 0;
	u32 size;

	skel = bench_peers__open();
	if (!skel)
		return 1;
	bpf_program__set_autoload(skel->progs.later_task_work, task_work);
	if (bench_peers__load(skel) || bench_peers__attach(skel)) {
		fprintf(stderr, "peers: cannot load the programs\n");
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && !strcmp(argv[1], "many")) {
		many();
		bench_peers__destroy(skel);
		return status;
	}
	for (size = 1024; size <= 65536; size *= 4)
		loop("costack", skel->progs.loop_costack, size, LOOPS);
	loop("obj_new", skel->progs.loop_obj_new_1024, 1024, LOOPS);
	loop("obj_new", skel->progs.loop_obj_new_4088, 4088, LOOPS);
	loop("hash", skel->progs.loop_hash_1024, 1024, LOOPS / 10);
	loop("hash", skel->progs.loop_hash_4096, 4096, LOOPS / 10);
	loop("hash", skel->progs.loop_hash_16384, 16384, LOOPS / 10);
	for (size = 4096; size <= 65536; size *= 4)
		loop("arena", skel->progs.loop_arena, size, LOOPS / 10);

	skel->bss->failed = 0;
	run(skel->progs.later_prepare, 1, NULL);
	at_once("later_coroutine", skel->progs.later_coroutine);
	at_once("later_call", skel->progs.later_call);
	at_once("later_tail_call", skel->progs.later_tail_call);
	/* Whatever else is to run, runs at once. */
	sched_setscheduler(0, SCHED_IDLE, &param);
	afterwards("later_timer", skel->progs.later_timer);
	afterwards("later_wq", skel->progs.later_wq);
	if (task_work)
		afterwards("later_task_work", skel->progs.later_task_work);
	if (skel->bss->failed) {
		fprintf(stderr, "peers: %llu events failed\n", skel->bss->failed);
		status = 1;
	}
	bench_peers__destroy(skel);
	return status;
}
