// SPDX-License-Identifier: GPL-2.0
/*
 * A list that was changed and looks as before (ABA), and what a CPU has loaded, changed in any
 * way: each exchange in the module's code is interrupted, right before it and, if a slot is
 * exchanged, right behind, by a program that does just that. Chance does not find these in
 * the time that a test has.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "testing.h"
#include "aba.skel.h"
#include "progs/aba.h"

#define MAX_SITES	128

struct site {
	char func[64];
	unsigned long offset;
};

static struct site sites[MAX_SITES];
static int nr_sites;

#define aba_do(skel, what, ...)							\
({										\
	struct aba_args __args = { .count = 1, ##__VA_ARGS__ };			\
										\
	ASSERT_OK(prog_run((skel)->progs.what, &__args, sizeof(__args), NULL));	\
})

/* Where an allocation or a release gets to. */
static bool reached(const char *func)
{
	static const char *const begin[] = {
		"bpf_costack_alloc_nolock", "bpf_costack_release", "costack_depot_", "costack_list_",
		"costack_pool_", "costack_slots_", "costack_stack_",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(begin); i++) {
		if (!strncmp(func, begin[i], strlen(begin[i])))
			return true;
	}
	return false;
}

static void add_site(const char *func, unsigned long offset)
{
	if (nr_sites == MAX_SITES)
		return;
	snprintf(sites[nr_sites].func, sizeof(sites[0].func), "%s", func);
	sites[nr_sites++].offset = offset;
}

/* Bytes of a ModRM byte and what belongs to it, that is not a register. */
static unsigned int operand_size(const u8 *modrm)
{
	bool sib = (modrm[0] & 7) == 4;
	u8 base = sib ? modrm[1] & 7 : modrm[0] & 7;

	switch (modrm[0] >> 6) {
	case 0:
		return 1 + sib + (base == 5 ? 4 : 0);
	case 1:
		return 1 + sib + 1;
	default:
		return 1 + sib + 4;
	}
}

/* Of lists, cmpxchg16b: REX.W 0f c7 /1, locked or not; of slots, cmpxchg: 65 REX.W 0f b1. */
static void find_in(struct aba *skel, const char *func, unsigned long address,
		    unsigned long size)
{
	const u8 *c = skel->bss->code;
	unsigned long i;
	int retval;

	skel->bss->address = address;
	if (!ASSERT_OK(prog_run(skel->progs.read_code, NULL, 0, &retval)) || retval)
		return;
	for (i = 1; i + 5 <= min(size, CODE_MAX); i++) {
		if ((c[i] & 0xf8) != 0x48 || c[i + 1] != 0x0f)
			continue;
		if (c[i + 2] == 0xc7 && (c[i + 3] & 0x38) == 0x08) {
			add_site(func, c[i - 1] == 0xf0 ? i - 1 : i);
		} else if (c[i + 2] == 0xb1 && c[i - 1] == 0x65) {
			add_site(func, i - 1);
			add_site(func, i + 3 + operand_size(&c[i + 3]));
		}
	}
}

static void find_sites(struct aba *skel)
{
	char *text = read_file("/proc/kallsyms"), *rest = text, *line, type;
	static struct {
		unsigned long address;
		char name[64];
	} funcs[512];
	unsigned long next;
	int i, j, n = 0;

	while (rest && (line = strsep(&rest, "\n")) && n < (int)ARRAY_SIZE(funcs)) {
		if (strstr(line, "[costack]") &&
		    sscanf(line, "%lx %c %63s", &funcs[n].address, &type, funcs[n].name) == 3 &&
		    (type == 't' || type == 'T'))
			n++;
	}
	free(text);
	nr_sites = 0;
	for (i = 0; i < n; i++) {
		next = funcs[i].address + CODE_MAX;
		for (j = 0; j < n; j++) {
			if (funcs[j].address > funcs[i].address)
				next = min(next, funcs[j].address);
		}
		if (reached(funcs[i].name))
			find_in(skel, funcs[i].name, funcs[i].address, next - funcs[i].address);
	}
}

static struct bpf_link *attach(struct aba *skel, const struct site *site)
{
	LIBBPF_OPTS(bpf_kprobe_opts, opts, .offset = site->offset);

	return bpf_program__attach_kprobe_opts(skel->progs.interrupt, site->func, &opts);
}

/* One operation with the interrupt in it; did it come, and is all as it should be? */
static bool interrupted(struct aba *skel, int what)
{
	skel->bss->hits = 0;
	skel->bss->lost = 0;
	skel->bss->short_of = 0;
	if (what == ABA_CPU_FILLED) {
		aba_do(skel, allocate, .slot = ABA_OUTER);
		skel->bss->armed = what;
		aba_do(skel, release, .slot = ABA_OUTER);
	} else {
		skel->bss->armed = what;
		aba_do(skel, allocate, .slot = ABA_OUTER);
	}
	skel->bss->armed = ABA_NOTHING;
	if (!skel->bss->hits)
		return false;
	/* Who comes next must not get what the interrupt holds. */
	aba_do(skel, allocate, .slot = ABA_LATER, .count = 4 * ABA_MAGAZINE);
	aba_do(skel, check, .slot = ABA_SECOND,
	       .count = what == ABA_DEPOT_LIST ? ABA_MAGAZINE : 1);
	ASSERT_EQ(skel->bss->lost, 0);
	ASSERT_EQ(skel->bss->short_of, 0);
	return true;
}

static long long cached_cpu(u32 size)
{
	struct class_stats class;

	class_read("kmalloc", size, &class);
	return class.cached_cpu;
}

static void run(int what, u32 size)
{
	struct aba *skel = aba__open_and_load();
	struct bpf_link *link;
	int i, j, n = 0;

	if (!ASSERT_PTR(skel))
		return;
	pin_to_cpu(0);
	skel->bss->watched = syscall(SYS_gettid);
	skel->bss->size = size;
	find_sites(skel);
	ASSERT_GE(nr_sites, 4);
	for (i = 0; i < nr_sites; i++) {
		link = attach(skel, &sites[i]);
		if (!link)
			continue;
		/* In the depot's case the CPU must have nothing left. */
		wait_quiet();
		if (what != ABA_DEPOT_LIST) {
			aba_do(skel, allocate, .slot = ABA_LATER, .count = 8);
			aba_do(skel, release, .slot = ABA_LATER, .count = 8);
			aba_do(skel, allocate, .slot = ABA_SPARE, .count = 2);
		} else {
			for (j = 0; j < 9 || (cached_cpu(size) && j < 32); j++)
				aba_do(skel, allocate, .slot = ABA_SPARE + j);
		}
		if (interrupted(skel, what)) {
			test_note("interrupted %s+0x%lx", sites[i].func, sites[i].offset);
			n++;
		}
		bpf_link__destroy(link);
		ASSERT_OK(prog_run(skel->progs.release_all, NULL, 0, NULL));
	}
	ASSERT_GE(n, 1);
	aba__destroy(skel);
	ASSERT_TRUE(wait_live(0));
	/* Where a stack that got lost is seen. */
	ASSERT_EQ(module_unload(), 0);
}

TEST(aba_cpu_same, .params = "trim_ms=600000")
{
	run(ABA_CPU_SAME, 2048);
}

TEST(aba_cpu_taken, .params = "trim_ms=600000")
{
	run(ABA_CPU_TAKEN, 2048);
}

TEST(aba_cpu_filled, .params = "trim_ms=600000")
{
	run(ABA_CPU_FILLED, 2048);
}

TEST(aba_depot, .params = "reserve=64,64,64,64,64,64,32,64 trim_ms=600000")
{
	run(ABA_DEPOT_LIST, 65536);
}
