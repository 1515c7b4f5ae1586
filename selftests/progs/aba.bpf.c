// SPDX-License-Identifier: GPL-2.0
/*
 * The worst that can interrupt an allocation or a release, at the worst places: between the
 * look at a list's head, or a slot, and its exchange; and between that and the change of the
 * top. The program is a kprobe there; it takes what the interrupted one has seen, and
 * puts back the first of it with something else behind, so that all looks as before; or takes it
 * for good; or puts something where there was nothing.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "aba.h"

struct slot {
	struct costack __kptr *cs;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NR_SLOTS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

u32 watched, size;
u32 armed;	/* ABA_*; reset by the run that does it */
u32 hits, short_of;
u32 lost;	/* held stacks whose mark is gone */
u64 address;
u8 code[CODE_MAX];

static struct costack *take_out(u32 key)
{
	struct slot *s = bpf_map_lookup_elem(&slots, &key);

	return s ? bpf_kptr_xchg(&s->cs, NULL) : NULL;
}

static void put_in(u32 key, struct costack *cs)
{
	struct slot *s = bpf_map_lookup_elem(&slots, &key);

	if (s)
		cs = bpf_kptr_xchg(&s->cs, cs);
	if (cs)
		bpf_costack_release(cs);
}

static void take(u32 key, bool marked)
{
	struct costack *cs = bpf_costack_alloc_nolock(size, 0);
	u64 *p;

	if (!cs) {
		short_of++;
		return;
	}
	p = (u64 *)bpf_costack_frame(cs, 0, 8);
	if (p && marked)
		*p = ABA_MARK;
	put_in(key, cs);
}

static void put(u32 key)
{
	struct costack *cs = take_out(key);

	if (cs)
		bpf_costack_release(cs);
	else
		short_of++;
}

/* The CPU has A, B, ...: hold B, and put another one behind A. */
static void on_cpu_same(void)
{
	take(ABA_FIRST, false);
	take(ABA_SECOND, true);
	put(ABA_SPARE);
	put(ABA_FIRST);
}

/*
 * The depot's list is X, Y, ... and the CPU has nothing: take both magazines, hold
 * Y's stacks, and make a magazine with X's first stack in front.
 */
static void on_depot_list(void)
{
	u32 i;

	bpf_for(i, 0, ABA_MAGAZINE)
		take(ABA_FIRST + i, false);
	bpf_for(i, 0, ABA_MAGAZINE)
		take(ABA_SECOND + i, true);
	bpf_for(i, 0, ABA_MAGAZINE - 1)
		put(ABA_SPARE + i);
	put(ABA_FIRST);
	/* One more makes it the previous magazine, and a magazine and one the depot's. */
	bpf_for(i, ABA_MAGAZINE - 1, 2 * ABA_MAGAZINE)
		put(ABA_SPARE + i);
}

SEC("kprobe")
int interrupt(void *ctx)
{
	u32 what = armed;

	if (!what || (u32)bpf_get_current_pid_tgid() != watched)
		return 0;
	armed = ABA_NOTHING;
	hits++;
	switch (what) {
	case ABA_CPU_SAME:
		on_cpu_same();
		break;
	case ABA_CPU_TAKEN:
		take(ABA_SECOND, true);
		break;
	case ABA_CPU_FILLED:
		take(ABA_SECOND, true);
		put(ABA_SPARE);
		put(ABA_SPARE + 1);
		break;
	default:
		on_depot_list();
	}
	return 0;
}

/* What is interrupted: one allocation. */
SEC("syscall")
int allocate(struct aba_args *args)
{
	u32 i;

	bpf_for(i, 0, args->count)
		take(args->slot + i, false);
	return 0;
}

SEC("syscall")
int release(struct aba_args *args)
{
	u32 i;

	bpf_for(i, 0, args->count)
		put(args->slot + i);
	return 0;
}

SEC("syscall")
int release_all(void *ctx)
{
	struct costack *cs;
	u32 i;

	bpf_for(i, 0, NR_SLOTS) {
		cs = take_out(i);
		if (cs)
			bpf_costack_release(cs);
	}
	return 0;
}

/* Those that the interrupt holds are its own. */
SEC("syscall")
int check(struct aba_args *args)
{
	struct costack *cs;
	u64 *p;
	u32 i;

	bpf_for(i, 0, args->count) {
		cs = take_out(args->slot + i);
		if (!cs) {
			short_of++;
			continue;
		}
		p = (u64 *)bpf_costack_frame(cs, 0, 8);
		if (p && *p != ABA_MARK)
			lost++;
		put_in(args->slot + i, cs);
	}
	return 0;
}

/* The module's code, to find the exchanges in it. */
SEC("syscall")
int read_code(void *ctx)
{
	return bpf_probe_read_kernel(code, sizeof(code), (void *)address);
}

char _license[] SEC("license") = "GPL";
