// SPDX-License-Identifier: GPL-2.0
/*
 * Counts instructions: resume and yield, spawn and release, allocation, from a TC
 * program, at the default settings, hot. KTAP; a figure is a failure when it is over its limit,
 * or a tenth over what the file expected has for the kernel.
 *
 * To be run in a guest whose clock counts instructions: see resume.sh.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <linux/types.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

typedef __u32 u32;
typedef __u64 u64;

#include "bench_resume.skel.h"

#define ROUNDS	7
#define DEPTH	"/sys/kernel/debug/costack/depth"

static struct bench_resume *skel;
static int number, failures;

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Instructions of one round, less @empty, or below 0: the median of what is printed. */
static double measure(const char *name, const struct bpf_program *prog, double empty)
{
	char packet[64] = { [12] = 8, [14] = 0x45 };	/* enough of an IPv4 frame */
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet,
		    .data_size_in = sizeof(packet), .repeat = 1);
	double rounds[ROUNDS];
	int i;

	/* The first two warm up. */
	printf("# rounds %s 0", name);
	for (i = -2; i < ROUNDS; i++) {
		skel->bss->failed = 0;
		if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts) || skel->bss->failed) {
			printf(" failed\n");
			return -1;
		}
		if (i < 0)
			continue;
		rounds[i] = (double)skel->bss->ns / skel->rodata->rounds - empty;
		printf(" %.2f", rounds[i]);
	}
	printf("\n");
	qsort(rounds, ROUNDS, sizeof(*rounds), compare);
	return rounds[ROUNDS / 2];
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

/* What the file has for this kernel, or 0; below 0 when there is no such file. */
static double expected(const char *name)
{
	char line[128], its_name[64], kernel[16];
	struct utsname uts;
	double value;
	FILE *f = fopen("bench/expected", "r");

	if (!f)
		return -1;
	uname(&uts);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %15s %lf", its_name, kernel, &value) == 3 &&
		    !strcmp(its_name, name) && !strncmp(uts.release, kernel, strlen(kernel)) &&
		    uts.release[strlen(kernel)] == '.') {
			fclose(f);
			return value;
		}
	}
	fclose(f);
	return 0;
}

static void report(const char *name, const char *what, double instructions, double limit)
{
	double was = expected(name);
	int ok = instructions >= 0 && (!limit || instructions <= limit) &&
		 (!was || instructions <= was * 1.1);

	printf("%s %d %s: %.1f instructions", ok ? "ok" : "not ok", ++number, what,
	       instructions);
	if (limit)
		printf(", limit %.0f", limit);
	if (was)
		printf(", expected %.1f", was);
	printf("\n");
	if (was && instructions >= 0 && instructions < was * 0.9)
		printf("# %s: a tenth less than expected: bench/expected could be lowered\n", name);
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
	empty = measure("empty", skel->progs.empty_loop, 0);
	printf("# an empty loop is subtracted, twice where the body has one\n");
	report("resume_private", "resume + yield, private stack",
	       measure("resume_private", skel->progs.resume_private, 2 * empty), 150);
	dense = measure("resume_dense", skel->progs.resume_dense, 2 * empty);
	kept = bytes_kept("bench_dense");
	/* A string instruction counts once for each word that it copies. */
	printf("# resume + yield, dense: %.1f instructions, of these %.0f for copying %.0f bytes there and back\n",
	       dense, 2 * kept / 8, kept);
	report("resume_dense", "resume + yield, dense, without the copies",
	       kept < 0 ? -1 : dense - 2 * kept / 8, 150);
	report("spawn_release", "spawn + release",
	       measure("spawn_release", skel->progs.spawn_release, empty), 0);
	report("alloc_release", "alloc + release, 16 KB",
	       measure("alloc_release", skel->progs.alloc_release, empty), 120);
	printf("1..%d\n", number);
	bench_resume__destroy(skel);
	return !!failures;
}
