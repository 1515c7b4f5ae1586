/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files in prog_tests/ use: cases, assertions, the module and its
 * counters, programs and the places they run in.
 *
 * A test is a function; its name is the case in the KTAP output, or the prefix of
 * its subtests' names when it has any. After each the runner looks at what
 * holds always: no stack is held, all are accounted for, and the kernel has not
 * complained.
 */
#ifndef __TESTING_H
#define __TESTING_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <linux/types.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "costack_types.h"

/* The names that skeletons take over from the programs. */
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))

/* Cases */

/**
 * struct test - one test
 * @name: the function's
 * @run: the function
 * @params: parameters that the module is to be loaded with
 * @cpus: CPUs it needs; skipped with fewer
 * @manual: run only when it is named in full: it brings the machine down, or takes long
 * @next: list of all
 */
struct test {
	const char *name;
	void (*run)(void);
	const char *params;
	int cpus;
	bool manual;
	struct test *next;
};

void test_register(struct test *test);

/* TEST(name, .params = "limit_mb=8", .cpus = 2) { ... } */
#define TEST(_name, ...)							\
	static void test_##_name(void);						\
	static void __attribute__((constructor)) test_register_##_name(void)	\
	{									\
		static struct test test = {					\
			.name = #_name, .run = test_##_name, .params = "",	\
			##__VA_ARGS__						\
		};								\
		test_register(&test);						\
	}									\
	static void test_##_name(void)

/* False when the user did not ask for this one. */
bool subtest_begin(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void subtest_end(void);

/* Marks the case as skipped; the caller returns. */
void test_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void test_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A comment in the output, of any number of lines. */
void test_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A row of the table at the end of the output: what was tried, and how it ended. */
void test_row(const char *attempt, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

extern bool test_verbose;

/* Assertions: report, do not return; the value says whether to go on. */

#define ASSERT_CMP(_a, _op, _b, _name_a, _name_b)				\
({										\
	long long __a = (_a), __b = (_b);					\
	bool __ok = __a _op __b;						\
	if (!__ok)								\
		test_fail(__FILE__, __LINE__, "%s " #_op " %s: %lld, %lld",	\
			  _name_a, _name_b, __a, __b);				\
	__ok;									\
})
#define ASSERT_EQ(a, b) ASSERT_CMP(a, ==, b, #a, #b)
#define ASSERT_NE(a, b) ASSERT_CMP(a, !=, b, #a, #b)
#define ASSERT_GE(a, b) ASSERT_CMP(a, >=, b, #a, #b)
#define ASSERT_GT(a, b) ASSERT_CMP(a, >, b, #a, #b)
#define ASSERT_LE(a, b) ASSERT_CMP(a, <=, b, #a, #b)
#define ASSERT_LT(a, b) ASSERT_CMP(a, <, b, #a, #b)

#define ASSERT_TRUE(_c)								\
({										\
	bool __ok = (_c);							\
	if (!__ok)								\
		test_fail(__FILE__, __LINE__, "%s", #_c);			\
	__ok;									\
})

/* 0 or more: as system calls and libbpf return. */
#define ASSERT_OK(_e)								\
({										\
	long __r = (_e);							\
	if (__r < 0)								\
		test_fail(__FILE__, __LINE__, "%s: %ld (%s)", #_e, __r,		\
			  strerror(errno));					\
	__r >= 0;								\
})

#define ASSERT_PTR(_p)								\
({										\
	const void *__p = (_p);							\
	if (!__p)								\
		test_fail(__FILE__, __LINE__, "%s: %s", #_p, strerror(errno));	\
	__p != NULL;								\
})

#define ASSERT_STR(_a, _b)							\
({										\
	const char *__a = (_a), *__b = (_b);					\
	bool __ok = !strcmp(__a, __b);						\
	if (!__ok)								\
		test_fail(__FILE__, __LINE__, "%s is '%s', not '%s'", #_a, __a, __b); \
	__ok;									\
})

/* Annotated programs (progs/costack_misc.h), each a subtest */

void run_tests(const void *elf, size_t size);

#define RUN_TESTS(skel)								\
({										\
	size_t __size;								\
	const void *__elf = skel##__elf_bytes(&__size);				\
										\
	run_tests(__elf, __size);					\
})

/* The module */

int module_load(const char *params);
int module_unload(void);
/* One of modules/, built with the tests. */
int test_module_load(const char *name);
int test_module_unload(const char *name);
bool module_loaded(void);

/* Its counters */

#define NR_KINDS	17	/* rows of its classes: of kmalloc, of guarded memory, of coroutines */
#define NR_CLASSES	24

struct stats {
	long long obtained, returned, live, cached;
	long long obtained_bytes, returned_bytes, live_bytes, cached_bytes;
	long long limit_bytes, allocs, frees, hits, misses, refilled, trimmed;
	long long fail_size, fail_flags, fail_limit, fail_nomem, fail_empty;
	long long co_spawned, co_resumed, co_cancelled, co_busy;
	long long co_fail_type, co_fail_limit, co_fail_memory;
};

struct class_stats {
	char backing[16];
	long long size, live, cached_cpu, cached_depot, obtained, returned;
	long long hits, misses, refilled, trimmed, failed, reserve, target, magazine;
};

struct context_stats {
	long long magazine, depot, kernel, atomic, nolock, failed, freed;
};

enum {
	CTX_SLEEPABLE,
	CTX_PROCESS,
	CTX_SOFTIRQ,
	CTX_HARDIRQ,
	CTX_NMI,
	NR_CONTEXTS,
};

extern const char * const context_names[NR_CONTEXTS];

void stats_read(struct stats *stats);
int classes_read(struct class_stats *classes);
void class_read(const char *backing, long long size, struct class_stats *class);
void contexts_read(struct context_stats *contexts);
void contexts_print(void);
/* Successful allocations of a row. */
long long contexts_allocs(const struct context_stats *row);
/*
 * How long to wait for what must come. Only a test that fails waits that long: no
 * machine is so slow that it comes later.
 */
#define PATIENCE_MS	30000
/* Waits until @want stacks are held: programs and maps go away a little later. */
bool wait_live(long long want);
/* Waits until there are @want coroutines, those that a worker is to cancel included. */
bool wait_coroutines(long long want);
/* Waits until the refill worker has nothing to do. */
void wait_refilled(void);
/* Waits until nothing is obtained or returned any more; figures of then, which agree. */
struct stats wait_still(void);
/* Both. */
void wait_quiet(void);

#define DEBUGFS "/sys/kernel/debug/costack/"
#define MONITOR "/dev/virtio-ports/costack.monitor"

/*
 * Memory of the kernel's that only the kernel can free: slabs and vmalloc. With the module
 * unloaded, same_bytes() says what there is and what there was, and fails when a round of
 * test_rounds() left more than the machine's own coming and going.
 */
long long kernel_bytes(void);
void same_bytes(long long before);
/* How many rounds: what the environment says (ROUNDS), or these few. */
int test_rounds(int few);

/* The rest */

/* Runs a program once by itself; -errno or 0, with its return value in @retval. */
int prog_run(struct bpf_program *prog, void *ctx, size_t ctx_size, int *retval);
/* All programs that had begun have ended, and freed what waits for that. */
void sync_rcu(void);
#define KERNEL(major, minor) ((major) << 8 | (minor))
unsigned int kernel_version(void);
/* Every access to memory is checked here (KASAN, KCSAN), which takes a hundred times as long. */
bool slow_kernel(void);
/* How many of something there is time for: @n, or a fiftieth of it on such a kernel. */
long scaled(long n);
int pin_to_cpu(int cpu);
int nr_cpus(void);
long long now_ms(void);
void sleep_ms(long ms);
int write_file(const char *path, const char *text);
char *read_file(const char *path);
bool lsm_is_active(void);
/* What the kernel says in between; the text is to be freed, NULL when there is none. */
int klog_begin(void);
char *klog_end(int klog);
/*
 * Runs a perf_event program in the timer interrupt of a CPU. Not a tracepoint in that
 * interrupt: to switch one on and off patches code that all CPUs are about to run,
 * and emulators are not good at that (an int3 is run when it is no longer there).
 */
struct bpf_link *attach_clock(const struct bpf_program *prog, int cpu, unsigned int us);
/* Injects an NMI into each CPU; false when the machine cannot. */
bool inject_nmi(void);

#endif /* __TESTING_H */
