// SPDX-License-Identifier: GPL-2.0
/*
 * Counts instructions: resume and yield, spawn and release, allocation, from a TC
 * program, at the default settings, hot. KTAP; a figure over its limit is a failure.
 *
 * To be run in a guest whose clock counts instructions: see resume.sh.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/types.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

typedef __u32 u32;
typedef __u64 u64;

#include "bench_resume.skel.h"

#define DEPTH	"/sys/kernel/debug/costack/depth"

static struct bench_resume *skel;
static int number, failures;

/* Instructions of one round, or below 0. The first runs warm up; then they repeat. */
static double measure(const struct bpf_program *prog)
{
	char packet[64] = { [12] = 8, [14] = 0x45 };	/* enough of an IPv4 frame */
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet,
		    .data_size_in = sizeof(packet), .repeat = 1);
	int i;

	for (i = 0; i < 3; i++) {
		skel->bss->failed = 0;
		if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts) || skel->bss->failed)
			return -1;
	}
	return (double)skel->bss->ns / skel->rodata->rounds;
}

/* Bytes that a type's coroutines keep at a yield. */
static double bytes_kept(const char *ops)
{
	char line[1024], name[64];
	unsigned int live;
	FILE *f = fopen(DEPTH, "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %63s %*s %*s %*s %*s %u", name, &live) == 2 &&
		    !strcmp(name, ops)) {
			fclose(f);
			return live;
		}
	}
	if (f)
		fclose(f);
	return -1;
}

static void report(const char *what, double instructions, double limit)
{
	int ok = instructions >= 0 && (!limit || instructions <= limit);

	printf("%s %d %s: %.1f instructions", ok ? "ok" : "not ok", ++number, what,
	       instructions);
	if (limit)
		printf(", limit %.0f", limit);
	printf("\n");
	failures += !ok;
}

int main(void)
{
	double empty, dense, kept;

	skel = bench_resume__open_and_load();
	if (!skel || bench_resume__attach(skel)) {
		fprintf(stderr, "resume: cannot load the programs\n");
		return 1;
	}
	printf("TAP version 13\n");
	empty = measure(skel->progs.empty_loop);
	printf("# an empty loop takes %.1f instructions: subtracted, twice where the body has one\n",
	       empty);
	report("resume + yield, private stack", measure(skel->progs.resume_private) - 2 * empty,
	       150);
	dense = measure(skel->progs.resume_dense) - 2 * empty;
	kept = bytes_kept("bench_dense");
	/* A string instruction counts once for each word that it copies. */
	printf("# resume + yield, dense: %.1f instructions, of these %.0f for copying %.0f bytes there and back\n",
	       dense, 2 * kept / 8, kept);
	report("resume + yield, dense, without the copies", kept < 0 ? -1 : dense - 2 * kept / 8,
	       150);
	report("spawn + release", measure(skel->progs.spawn_release) - empty, 0);
	report("alloc + release, 16 KB", measure(skel->progs.alloc_release) - empty, 120);
	printf("1..%d\n", number);
	bench_resume__destroy(skel);
	return !!failures;
}
