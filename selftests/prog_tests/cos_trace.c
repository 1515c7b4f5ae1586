// SPDX-License-Identifier: GPL-2.0
/*
 * Tracers keep books of their own on who called whom: those must not be torn by bodies that
 * go from one stack, task and CPU to another. All that there are, are turned on while
 * coroutines run; then everything must have come back.
 */
#include <ctype.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "testing.h"
#include "cos_trace.skel.h"
#include "cos_tracer.skel.h"

#define TRACEFS		"/sys/kernel/tracing/"
#define MAX_THREADS	8
#define RUN_MS		500

static struct cos_trace *skel;
static struct bpf_link *ops[3];

/* Above a body and beneath it: who resumes, what its helpers call. */
static const char * const others[] = {
	"bpf_test_run", "bpf_ktime_get_ns", "bpf_ringbuf_output", "bpf_snprintf",
	"bpf_bprintf_prepare", "htab_map_update_elem", "htab_map_delete_elem", "alloc_htab_elem",
	"__htab_map_lookup_elem", "bpf_iter_num_new", "bpf_iter_num_next",
};

/* Of the module, what is on the way to a body and back; arming takes a while for each. */
static const char * const ours[] = {
	"bpf_costack_resume", "costack_co_resume", "costack_co_slow_leg", "costack_co_leave_slow",
	"costack_co_run_calls", "costack_co_cancel", "costack_co_end", "bpf_costack_map_add",
	"costack_pool_get",
};

static bool all_probes;

static bool start(void)
{
	int i;

	skel = cos_trace__open_and_load();
	if (!ASSERT_PTR(skel))
		return false;
	ops[0] = bpf_map__attach_struct_ops(skel->maps.tr_dense_ops);
	ops[1] = bpf_map__attach_struct_ops(skel->maps.tr_private_ops);
	ops[2] = bpf_map__attach_struct_ops(skel->maps.tr_caller_ops);
	for (i = 0; i < 3; i++)
		ASSERT_PTR(ops[i]);
	return true;
}

/* Ends the types, then the maps; or the other way round. */
static void end(bool maps_first)
{
	int i;

	if (!maps_first) {
		for (i = 0; i < 3; i++)
			bpf_link__destroy(ops[i]);
		/* A caller owns another: it is given back by the worker. */
		ASSERT_EQ(skel->bss->began, skel->bss->returned);
	}
	cos_trace__destroy(skel);
	ASSERT_TRUE(wait_live(0));
	if (maps_first) {
		for (i = 0; i < 3; i++)
			bpf_link__destroy(ops[i]);
	}
}

static void *thread(void *cpu)
{
	int retval = 0;

	pin_to_cpu((long)cpu);
	/* Who patches code waits for all CPUs. */
	while (!retval && !prog_run(skel->progs.churn, NULL, 0, &retval))
		sleep_ms(1);
	return NULL;
}

static int start_threads(pthread_t *threads)
{
	int i, n = min(nr_cpus(), MAX_THREADS);

	skel->bss->stop = 0;
	for (i = 0; i < n; i++)
		pthread_create(&threads[i], NULL, thread, (void *)(long)i);
	return n;
}

static void stop_threads(pthread_t *threads, int n)
{
	skel->bss->stop = 1;
	while (n)
		pthread_join(threads[--n], NULL);
}

static void check(void)
{
	ASSERT_EQ(skel->bss->wrong, 0);
	ASSERT_EQ(skel->bss->body_wrong, 0);
	if (!ASSERT_EQ(skel->bss->failed, 0))
		test_note("the last gave %lld", (long long)skel->bss->last_error);
	ASSERT_GT(skel->bss->done, 100);
	ASSERT_GT(skel->bss->cancelled, 10);
	ASSERT_GT(skel->bss->dropped, 10);
	ASSERT_GT(skel->bss->calls, 10);
	test_note("%llu spawned, %llu resumed, %llu done, %llu cancelled, %llu dropped, %llu calls, %llu busy, %llu not to be had",
		  (unsigned long long)skel->bss->spawned, (unsigned long long)skel->bss->resumed,
		  (unsigned long long)skel->bss->done, (unsigned long long)skel->bss->cancelled,
		  (unsigned long long)skel->bss->dropped, (unsigned long long)skel->bss->calls,
		  (unsigned long long)skel->bss->busy, (unsigned long long)skel->bss->empty);
}

/* Long enough that check() finds something of each kind, on a busy machine too. */
static void churn_on(void)
{
	long long end = now_ms() + PATIENCE_MS;

	sleep_ms(RUN_MS);
	while ((skel->bss->done <= 100 || skel->bss->cancelled <= 10 ||
		skel->bss->dropped <= 10 || skel->bss->calls <= 10) && now_ms() < end)
		sleep_ms(RUN_MS / 10);
}

static void churn(void)
{
	pthread_t threads[MAX_THREADS];
	int n = start_threads(threads);

	churn_on();
	stop_threads(threads, n);
}

/* kprobe_events */

static bool in_tracefs(void)
{
	if (!access(TRACEFS "kprobe_events", W_OK))
		return true;
	test_skip("no tracefs");
	return false;
}

static int add_event(int fd, char kind, const char *func)
{
	char text[160];
	int len = snprintf(text, sizeof(text), "%c:costack_test/%c_%s %s\n", kind, kind, func, func);
	char *p;

	for (p = text; *p && *p != ' '; p++)
		if (*p == '.')
			*p = '_';
	return write(fd, text, len) == len;
}

/* A probe and a return probe on each function of the module that may have one. */
static int add_events(void)
{
	int fd = open(TRACEFS "kprobe_events", O_WRONLY | O_APPEND | O_CLOEXEC), n = 0;
	char *text = NULL, *rest, *line;
	unsigned int i;

	if (!ASSERT_OK(fd)) {
		free(text);
		return 0;
	}
	if (all_probes)
		text = read_file(TRACEFS "available_filter_functions");
	for (rest = text; rest && (line = strsep(&rest, "\n"));) {
		if (!strstr(line, "[costack]"))
			continue;
		line[strcspn(line, " \t")] = 0;
		n += add_event(fd, 'p', line) + add_event(fd, 'r', line);
	}
	for (i = 0; !all_probes && i < ARRAY_SIZE(ours); i++)
		n += add_event(fd, 'p', ours[i]) + add_event(fd, 'r', ours[i]);
	for (i = 0; i < ARRAY_SIZE(others); i++)
		n += add_event(fd, 'p', others[i]) + add_event(fd, 'r', others[i]);
	close(fd);
	free(text);
	return n;
}

static void remove_events(void)
{
	long long until = now_ms() + 5000;

	write_file(TRACEFS "events/costack_test/enable", "0");
	/* O_TRUNC is what removes them. */
	while (now_ms() < until) {
		int fd = open(TRACEFS "kprobe_events", O_WRONLY | O_TRUNC | O_CLOEXEC);

		if (fd >= 0) {
			close(fd);
			return;
		}
		sleep_ms(50);
	}
	test_fail(__FILE__, __LINE__, "kprobe events cannot be removed");
}

static void trace_kprobes(void)
{
	pthread_t threads[MAX_THREADS];
	int events, n;

	if (!in_tracefs() || !start())
		return;
	events = add_events();
	ASSERT_GT(events, 24);
	/* They appear and go while bodies are suspended and run. */
	n = start_threads(threads);
	ASSERT_OK(write_file(TRACEFS "events/costack_test/enable", "1"));
	churn_on();
	ASSERT_OK(write_file(TRACEFS "events/costack_test/enable", "0"));
	stop_threads(threads, n);
	check();
	end(false);
	remove_events();
	test_note("%d probes and return probes", events);
}

/* function_graph */

/* Words, of which it takes one at a time; functions of that name may not exist. */
static void set_filter(const char *filter)
{
	int fd = open(TRACEFS "set_ftrace_filter", O_WRONLY | O_TRUNC | O_CLOEXEC);
	ssize_t n;

	if (!ASSERT_OK(fd))
		return;
	while (*filter) {
		n = write(fd, filter, strlen(filter));
		if (!ASSERT_GT(n, 0))
			break;
		filter += n;
	}
	close(fd);
}

static void trace_graph(const char *filter, const char *seen)
{
	pthread_t threads[MAX_THREADS];
	char *text;
	int n;

	if (!in_tracefs() || !start())
		return;
	write_file(TRACEFS "buffer_size_kb", "64");
	set_filter(filter);
	n = start_threads(threads);
	if (ASSERT_OK(write_file(TRACEFS "current_tracer", "function_graph"))) {
		churn_on();
		ASSERT_OK(write_file(TRACEFS "tracing_on", "0"));
		text = read_file(TRACEFS "trace");
		/* It was at work, or nothing is shown by this. */
		ASSERT_TRUE(text && strstr(text, seen));
		free(text);
		ASSERT_OK(write_file(TRACEFS "tracing_on", "1"));
	}
	/* Those that are suspended now began under the tracer, and end without. */
	ASSERT_OK(write_file(TRACEFS "current_tracer", "nop"));
	sleep_ms(RUN_MS / 4);
	stop_threads(threads, n);
	check();
	end(true);
	set_filter("");
}

/* fentry and fexit on the bodies themselves */

static struct cos_tracer *attach_body(struct bpf_program *body, struct bpf_link **links)
{
	struct cos_tracer *tracer = cos_tracer__open();
	const char *name = bpf_program__name(body);
	int fd = bpf_program__fd(body);

	if (!ASSERT_PTR(tracer))
		return NULL;
	bpf_program__set_autoload(tracer->progs.entry, true);
	bpf_program__set_autoload(tracer->progs.leave, true);
	ASSERT_OK(bpf_program__set_attach_target(tracer->progs.entry, fd, name));
	ASSERT_OK(bpf_program__set_attach_target(tracer->progs.leave, fd, name));
	if (!ASSERT_OK(cos_tracer__load(tracer))) {
		cos_tracer__destroy(tracer);
		return NULL;
	}
	links[0] = bpf_program__attach(tracer->progs.entry);
	links[1] = bpf_program__attach(tracer->progs.leave);
	ASSERT_PTR(links[0]);
	ASSERT_PTR(links[1]);
	return tracer;
}

static void detach_body(struct cos_tracer *tracer, struct bpf_link **links)
{
	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	cos_tracer__destroy(tracer);
}

static void trace_bodies(void)
{
	struct bpf_link *links[3][2] = {};
	struct cos_tracer *tracers[3];
	u64 entries = 0, exits = 0;
	int i;

	if (!start())
		return;
	tracers[0] = attach_body(skel->progs.tr_dense, links[0]);
	tracers[1] = attach_body(skel->progs.tr_private, links[1]);
	tracers[2] = attach_body(skel->progs.tr_caller, links[2]);
	churn();
	check();
	for (i = 0; i < 3; i++)
		bpf_link__destroy(ops[i]);
	for (i = 0; i < 3; i++) {
		if (!tracers[i])
			continue;
		entries += tracers[i]->bss->entries;
		exits += tracers[i]->bss->exits;
	}
	/* What it began under them, each ended under them. */
	ASSERT_EQ(entries, skel->bss->began);
	ASSERT_EQ(exits, skel->bss->began);
	ASSERT_EQ(skel->bss->returned, skel->bss->began);
	for (i = 0; i < 3; i++) {
		if (tracers[i])
			detach_body(tracers[i], links[i]);
	}
	cos_trace__destroy(skel);
}

/* They come and go while bodies are suspended and run. */
static void trace_bodies_coming(void)
{
	pthread_t threads[MAX_THREADS];
	struct bpf_link *links[3][2];
	struct cos_tracer *tracers[3];
	long long until = now_ms() + 2 * RUN_MS;
	int i, n, rounds;

	if (!start())
		return;
	n = start_threads(threads);
	for (rounds = 0; rounds < 3 || now_ms() < until; rounds++) {
		tracers[0] = attach_body(skel->progs.tr_dense, links[0]);
		tracers[1] = attach_body(skel->progs.tr_private, links[1]);
		tracers[2] = attach_body(skel->progs.tr_caller, links[2]);
		sleep_ms(20);
		for (i = 0; i < 3; i++) {
			if (tracers[i])
				detach_body(tracers[i], links[i]);
		}
	}
	stop_threads(threads, n);
	check();
	end(false);
	test_note("attached and detached %d times", rounds);
}

/* One body, suspended: attached before it or after, detached before its end or after. */
static void trace_suspended(bool private, bool before, bool cancel)
{
	struct bpf_program *body;
	struct cos_tracer *tracer = NULL;
	struct bpf_link *links[2];
	int retval = -1, i;

	if (!start())
		return;
	body = private ? skel->progs.tr_private : skel->progs.tr_dense;
	skel->bss->one_private = private;
	if (before)
		tracer = attach_body(body, links);
	ASSERT_OK(prog_run(skel->progs.one_spawn, NULL, 0, &retval));
	ASSERT_EQ(retval, 0);
	prog_run(skel->progs.one_resume, NULL, 0, &retval);
	ASSERT_EQ(retval, COSTACK_YIELDED);
	if (before && tracer) {
		ASSERT_EQ(tracer->bss->entries, 1);
		ASSERT_EQ(tracer->bss->exits, 0);
		detach_body(tracer, links);
		/* What can be freed without the body's end, is. */
		sync_rcu();
		sleep_ms(100);
	} else {
		tracer = attach_body(body, links);
	}
	for (i = 0; !cancel && i < 2; i++) {
		prog_run(skel->progs.one_resume, NULL, 0, &retval);
		ASSERT_EQ(retval, COSTACK_YIELDED);
	}
	if (!cancel) {
		prog_run(skel->progs.one_resume, NULL, 0, &retval);
		ASSERT_EQ(retval, COSTACK_DONE);
	}
	for (i = 0; i < 3; i++)
		bpf_link__destroy(ops[i]);
	ASSERT_EQ(skel->bss->began, 1);
	ASSERT_EQ(skel->bss->returned, 1);
	if (!before && tracer) {
		/* It began without them. */
		ASSERT_EQ(tracer->bss->entries, 0);
		ASSERT_EQ(tracer->bss->exits, 0);
		detach_body(tracer, links);
	}
	cos_trace__destroy(skel);
}

/* What the others are compared with */
static void trace_nothing(void)
{
	if (!start())
		return;
	churn();
	check();
	end(false);
}

/*
 * Samples of the stack, by programs in probes and return probes, and after these by the
 * clock and in NMIs. Not at once: the unwinder of 7.3 complains ("stack going in the wrong
 * direction?") when the interrupt that asks it comes in the last instructions of
 * return_to_handler(), which return probes run through on whatever stack.
 */

static void trace_stacks(void)
{
	LIBBPF_OPTS(bpf_kprobe_multi_opts, opts);
	struct cos_tracer *tracer = cos_tracer__open();
	struct bpf_link *links[MAX_THREADS + 3] = {};
	pthread_t threads[MAX_THREADS];
	int i, n, k = 0;
	struct bpf_link *ret;
	long long until;

	if (!ASSERT_PTR(tracer) || !start())
		return;
	bpf_program__set_autoload(tracer->progs.probe, true);
	bpf_program__set_autoload(tracer->progs.ret, true);
	bpf_program__set_autoload(tracer->progs.clock, true);
	bpf_program__set_autoload(tracer->progs.nmi, true);
	if (!ASSERT_OK(cos_tracer__load(tracer)))
		goto out;
	n = start_threads(threads);
	links[k++] = bpf_program__attach_kprobe_multi_opts(tracer->progs.probe, "*costack_*", &opts);
	opts.retprobe = true;
	ret = bpf_program__attach_kprobe_multi_opts(tracer->progs.ret, "*costack_*", &opts);
	ASSERT_PTR(ret);
	churn_on();
	bpf_link__destroy(ret);
	links[k++] = bpf_program__attach(tracer->progs.nmi);
	for (i = 0; i < n; i++)
		links[k++] = attach_clock(tracer->progs.clock, i, 300);
	for (i = 0; i < k; i++)
		ASSERT_PTR(links[i]);
	until = now_ms() + RUN_MS;
	while (now_ms() < until) {
		inject_nmi();
		sleep_ms(20);
	}
	while (k)
		bpf_link__destroy(links[--k]);
	sleep_ms(100);
	stop_threads(threads, n);
	check();
	ASSERT_GT(tracer->bss->probes, 0);
	ASSERT_GT(tracer->bss->returns, 0);
	ASSERT_GT(tracer->bss->walked, 0);
	test_note("%llu probes, %llu returns, %llu samples, %llu stacks",
		  (unsigned long long)tracer->bss->probes, (unsigned long long)tracer->bss->returns,
		  (unsigned long long)tracer->bss->samples, (unsigned long long)tracer->bss->walked);
out:
	end(false);
	cos_tracer__destroy(tracer);
}

#define SUBTEST(name, call)							\
	do {									\
		if (subtest_begin(name)) {					\
			call;							\
			subtest_end();						\
		}								\
	} while (0)

TEST(cos_trace, .cpus = 2, .params = "guard_reserve=64 trim_ms=200")
{
	SUBTEST("nothing", trace_nothing());
	SUBTEST("kprobes", trace_kprobes());
	SUBTEST("graph_module", trace_graph("*costack*", "costack_"));
	/* Not all there are: an emulated processor would be in its clock's interrupt for ever. */
	SUBTEST("graph_kernel", trace_graph("*bpf* *costack* *htab* *ringbuf* *kmem* *skb*",
					    "bpf_"));
	SUBTEST("bodies", trace_bodies());
	SUBTEST("bodies_coming", trace_bodies_coming());
	SUBTEST("suspended_dense_detached", trace_suspended(false, true, false));
	SUBTEST("suspended_dense_attached", trace_suspended(false, false, false));
	SUBTEST("suspended_dense_detached_cancelled", trace_suspended(false, true, true));
	SUBTEST("suspended_private_detached", trace_suspended(true, true, false));
	SUBTEST("suspended_private_attached", trace_suspended(true, false, false));
	SUBTEST("suspended_private_detached_cancelled", trace_suspended(true, true, true));
	SUBTEST("stacks", trace_stacks());
	/* And after all of that. */
	SUBTEST("unload", ASSERT_OK(module_unload()));
}

/* Takes some minutes. */
TEST(cos_trace_all_probes, .cpus = 2, .params = "guard_reserve=64 trim_ms=200", .manual = true)
{
	all_probes = true;
	trace_kprobes();
	all_probes = false;
}
