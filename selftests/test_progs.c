// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the tests of prog_tests/ and prints KTAP. Each case is one line; comments
 * that belong to it come before it.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "testing.h"

#define EXIT_PASS	0
#define EXIT_FAIL	1
#define EXIT_SKIP	4

bool test_verbose;

static struct test *tests;

static struct {
	const char *filter[32];
	int nr_filters;
	const struct test *test;
	char name[128];		/* of the case that runs */
	bool had_subtest;
	bool failed;
	bool failed_outside;	/* of its subtests, before or between them */
	char skip[256];		/* why; empty when it is not skipped */
	int count, nr_failed, nr_skipped;
	char **rows;
	int nr_rows;
	int kmsg;
	long long start;
} run = { .kmsg = -1 };

void test_register(struct test *test)
{
	struct test **p = &tests;

	while (*p && strcmp((*p)->name, test->name) < 0)
		p = &(*p)->next;
	test->next = *p;
	*p = test;
}

static void comment(const char *fmt, va_list args)
{
	char *text = NULL, *line, *rest;

	if (vasprintf(&text, fmt, args) < 0)
		return;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		if (*line || rest)
			printf("# %s\n", line);
	}
	free(text);
}

void test_note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	comment(fmt, args);
	va_end(args);
}

/* Of a case that failed there is none: it did not end as it says. */
void test_row(const char *attempt, const char *fmt, ...)
{
	char **rows, *how;
	va_list args;

	if (run.failed)
		return;
	va_start(args, fmt);
	if (vasprintf(&how, fmt, args) < 0)
		how = NULL;
	va_end(args);
	rows = realloc(run.rows, (run.nr_rows + 1) * sizeof(*rows));
	if (how && rows) {
		run.rows = rows;
		if (asprintf(&rows[run.nr_rows], "%s | %s", attempt, how) >= 0)
			run.nr_rows++;
	}
	free(how);
}

static void print_rows(void)
{
	int i;

	if (!run.nr_rows)
		return;
	printf("# attempt | how it ends\n");
	for (i = 0; i < run.nr_rows; i++)
		printf("# %s\n", run.rows[i]);
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	run.failed = true;
	file = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
	printf("# %s: %s:%d: ", run.name, file, line);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

void test_skip(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(run.skip, sizeof(run.skip), fmt, args);
	va_end(args);
}

/* -t TEST or -t TEST/SUBTEST, or parts of them */
static bool selected(const char *name, bool is_test)
{
	char part[128];
	int i;

	for (i = 0; i < run.nr_filters; i++) {
		snprintf(part, sizeof(part), "%s", run.filter[i]);
		if (is_test)
			part[strcspn(part, "/")] = 0;
		if (strstr(name, part))
			return true;
	}
	return !run.nr_filters;
}

static bool selected_manual(const char *name)
{
	int i;

	for (i = 0; i < run.nr_filters; i++) {
		if (!strcmp(name, run.filter[i]))
			return true;
	}
	return false;
}

/* The kernel complained since the last look: that fails whatever case runs. */
static void check_kmsg(void)
{
	static const char * const bad[] = {
		"WARNING:", "BUG:", "Oops", "general protection fault", "refcount_t:",
		"UBSAN:", "INFO: rcu", "INFO: task", "soft lockup", "still has objects",
		"Objects remaining",
	};
	char buf[8192], *text;
	unsigned int i;
	ssize_t len;

	for (;;) {
		len = read(run.kmsg, buf, sizeof(buf) - 1);
		if (len < 0 && errno == EPIPE)
			continue;	/* overwritten; the next is the oldest left */
		if (len <= 0)
			return;
		buf[len] = 0;
		text = strchr(buf, ';');
		if (!text)
			continue;
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			if (strstr(text, bad[i]))
				test_fail("kernel log", 0, "%.*s",
					  (int)strcspn(text + 1, "\n"), text + 1);
		}
	}
}

/* What holds after every case. */
static void check_invariants(void)
{
	struct stats stats;

	if (!module_loaded())
		return;
	if (!wait_live(0)) {
		stats_read(&stats);
		test_fail("invariant", 0, "%lld stacks are held by nobody", stats.live);
	}
	if (!wait_coroutines(0))
		test_fail("invariant", 0, "a coroutine is left");
	stats_read(&stats);
	if (stats.live + stats.cached != stats.obtained - stats.returned) {
		wait_still();	/* the worker may have been at it */
		stats_read(&stats);
	}
	if (stats.live + stats.cached != stats.obtained - stats.returned)
		test_fail("invariant", 0, "live %lld + cached %lld != obtained %lld - returned %lld",
			  stats.live, stats.cached, stats.obtained, stats.returned);
}

static void case_begin(void)
{
	run.failed = false;
	run.skip[0] = 0;
	run.start = now_ms();
}

static void case_end(void)
{
	check_invariants();
	check_kmsg();
	run.count++;
	if (run.failed) {
		run.nr_failed++;
		printf("not ok %d %s\n", run.count, run.name);
	} else if (run.skip[0]) {
		run.nr_skipped++;
		printf("ok %d %s # SKIP %s\n", run.count, run.name, run.skip);
	} else {
		printf("ok %d %s\n", run.count, run.name);
	}
	/* Where the time goes. */
	if (test_verbose || now_ms() - run.start > 5000)
		printf("# %s: %lld ms\n", run.name, now_ms() - run.start);
	fflush(stdout);
}

bool subtest_begin(const char *fmt, ...)
{
	int len = snprintf(run.name, sizeof(run.name), "%s/", run.test->name);
	va_list args;

	va_start(args, fmt);
	vsnprintf(run.name + len, sizeof(run.name) - len, fmt, args);
	va_end(args);
	run.had_subtest = true;
	if (!selected(run.name, false))
		return false;
	run.failed_outside |= run.failed;
	case_begin();
	return true;
}

void subtest_end(void)
{
	case_end();
	run.failed = false;
	run.skip[0] = 0;
}

static void run_test(const struct test *test)
{
	static const char *loaded;

	run.test = test;
	run.had_subtest = false;
	run.failed_outside = false;
	snprintf(run.name, sizeof(run.name), "%s", test->name);
	case_begin();
	if (nr_cpus() < test->cpus) {
		test_skip("needs %d CPUs", test->cpus);
		case_end();
		return;
	}
	if (!loaded || strcmp(loaded, test->params) || !module_loaded()) {
		int err = module_unload() ?: module_load(test->params);

		loaded = test->params;
		if (err) {
			test_fail(__FILE__, __LINE__, "cannot load the module with '%s': %s",
				  test->params, strerror(-err));
			loaded = NULL;
			case_end();
			return;
		}
	}
	test->run();
	/* An assertion outside of subtests is a case of its own. */
	run.failed |= run.failed_outside;
	if (!run.had_subtest || run.failed) {
		snprintf(run.name, sizeof(run.name), "%s", test->name);
		case_end();
	}
}

static int print_nothing(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (test_verbose && level <= LIBBPF_INFO)
		comment(fmt, args);
	return 0;
}

static void usage(FILE *to)
{
	fputs("usage: test_progs [-t NAME]... [-l] [-v]\n"
	      "  -t NAME  only tests, or TEST/SUBTESTs, whose name contains NAME\n"
	      "  -l       list the tests\n"
	      "  -v       say what libbpf and the verifier say, and how long each takes\n",
	      to);
}

int main(int argc, char **argv)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	const struct test *test;
	bool list = false;
	int opt;

	while ((opt = getopt(argc, argv, "t:lvh")) != -1) {
		switch (opt) {
		case 't':
			if (run.nr_filters < (int)ARRAY_SIZE(run.filter))
				run.filter[run.nr_filters++] = optarg;
			break;
		case 'l':
			list = true;
			break;
		case 'v':
			test_verbose = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_PASS;
		default:
			usage(stderr);
			return EXIT_FAIL;
		}
	}
	if (list) {
		for (test = tests; test; test = test->next)
			puts(test->name);
		return EXIT_PASS;
	}

	setvbuf(stdout, NULL, _IOLBF, 0);
	libbpf_set_print(print_nothing);
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	printf("TAP version 13\n");
	if (geteuid()) {
		printf("1..0 # SKIP must be run as root\n");
		return EXIT_SKIP;
	}
	run.kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	if (run.kmsg >= 0)
		lseek(run.kmsg, 0, SEEK_END);
	for (test = tests; test; test = test->next) {
		if (test->manual ? selected_manual(test->name) : selected(test->name, true))
			run_test(test);
	}
	print_rows();
	printf("1..%d\n", run.count);
	printf("# pass:%d fail:%d skip:%d\n", run.count - run.nr_failed - run.nr_skipped,
	       run.nr_failed, run.nr_skipped);
	if (run.nr_failed || !run.count)
		return EXIT_FAIL;
	return run.count == run.nr_skipped ? EXIT_SKIP : EXIT_PASS;
}
