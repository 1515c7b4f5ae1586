// SPDX-License-Identifier: GPL-2.0
/*
 * One thing to do with stacks each, for tests that look at what comes of it. Stacks
 * are kept in an array map from one program run to the next.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "costack.bpf.h"
#include "costack_misc.h"
#include "stacks.h"

struct slot {
	struct costack __kptr *cs;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NR_SLOTS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

/* Of the last event of each kind on behalf of @watched */
u32 watched;
u64 alloc_events, alloc_stack;
u32 alloc_size;
int alloc_context, alloc_source;
u64 free_events, free_stack;
u32 free_size, free_dirty;

static struct costack *alloc(const struct stack_args *args)
{
	switch (args->mode) {
	case MODE_SLEEPABLE:
		return bpf_costack_alloc_sleepable(args->size, args->flags);
	case MODE_ATOMIC:
		return bpf_costack_alloc(args->size, args->flags);
	default:
		return bpf_costack_alloc_nolock(args->size, args->flags);
	}
}

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

/* Allocate @count stacks into slots. */
SEC("syscall")
int take(struct stack_args *args)
{
	struct costack *cs;
	u32 i;

	bpf_for(i, 0, args->count) {
		cs = alloc(args);
		if (!cs)
			continue;
		args->usable = bpf_costack_size(cs);
		args->done++;
		put_in(args->slot + i, cs);
	}
	return 0;
}

/* The same in the network path: an XDP program has no arguments but these. */
u32 xdp_size, xdp_count, xdp_done;

SEC("xdp")
int take_by_packet(struct xdp_md *ctx)
{
	struct costack *cs;
	u32 i;

	bpf_for(i, 0, xdp_count) {
		cs = bpf_costack_alloc(xdp_size, 0);
		if (!cs)
			continue;
		xdp_done++;
		put_in(i, cs);
	}
	return XDP_PASS;
}

/* Release those in @count slots. */
SEC("syscall")
int put(struct stack_args *args)
{
	struct costack *cs;
	u32 i;

	bpf_for(i, 0, args->count) {
		cs = take_out(args->slot + i);
		if (!cs)
			continue;
		bpf_costack_release(cs);
		args->done++;
	}
	return 0;
}

/* Allocate and release at once, @count times. */
SEC("syscall")
int cycle(struct stack_args *args)
{
	struct costack *cs;
	u32 i;

	bpf_for(i, 0, args->count) {
		cs = alloc(args);
		if (!cs)
			continue;
		bpf_costack_release(cs);
		args->done++;
	}
	return 0;
}

/* One more reference to the stack in a slot, into the slot @count further. */
SEC("syscall")
int share(struct stack_args *args)
{
	struct costack *cs = take_out(args->slot);

	if (!cs)
		return 0;
	put_in(args->slot + args->count, bpf_costack_acquire(cs));
	put_in(args->slot, cs);
	args->done++;
	return 0;
}

/* Is there a frame of @len at @off? */
SEC("syscall")
int frame(struct stack_args *args)
{
	struct costack *cs = take_out(args->slot);
	u8 *p = NULL;

	if (!cs)
		return 0;
	if (args->len == 1)
		p = bpf_costack_frame(cs, args->off, 1);
	else if (args->len == 8)
		p = bpf_costack_frame(cs, args->off, 8);
	else if (args->len == 512)
		p = bpf_costack_frame(cs, args->off, 512);
	else if (args->len == 4096)
		p = bpf_costack_frame(cs, args->off, 4096);
	else if (args->len == 65536)
		p = bpf_costack_frame(cs, args->off, 65536);
	args->result = p != NULL;
	put_in(args->slot, cs);
	args->done++;
	return 0;
}

/* No frame has no bytes; the length is not an error for the verifier. */
SEC("syscall")
int frame_of_nothing(struct stack_args *args)
{
	struct costack *cs = take_out(args->slot);

	if (!cs)
		return 0;
	args->result = bpf_costack_frame(cs, args->off, 0) != NULL;
	put_in(args->slot, cs);
	args->done++;
	return 0;
}

SEC("syscall")
int write_word(struct stack_args *args)
{
	struct costack *cs = take_out(args->slot);
	u64 *p;

	if (!cs)
		return 0;
	p = (u64 *)bpf_costack_frame(cs, args->off, 8);
	if (p) {
		*p = args->value;
		args->done++;
	}
	put_in(args->slot, cs);
	return 0;
}

/* Write to all of the stack. */
SEC("syscall")
int fill(struct stack_args *args)
{
	struct costack *cs = take_out(args->slot);
	u32 i;
	u64 *p;

	if (!cs)
		return 0;
	bpf_for(i, 0, bpf_costack_size(cs) / 8) {
		p = (u64 *)bpf_costack_frame(cs, i * 8, 8);
		if (p) {
			*p = args->value;
			args->done++;
		}
	}
	put_in(args->slot, cs);
	return 0;
}

SEC("syscall")
int read_word(struct stack_args *args)
{
	struct costack *cs = take_out(args->slot);
	u64 *p;

	if (!cs)
		return 0;
	p = (u64 *)bpf_costack_frame(cs, args->off, 8);
	if (p) {
		args->result = *p;
		args->done++;
	}
	put_in(args->slot, cs);
	return 0;
}

/* How many words of the whole stack are not zero? */
SEC("syscall")
int count_nonzero(struct stack_args *args)
{
	struct costack *cs = take_out(args->slot);
	u32 i, done = 0, n = 0;
	u64 *p;

	if (!cs)
		return 0;
	args->usable = bpf_costack_size(cs);
	bpf_for(i, 0, args->usable / 8) {
		p = (u64 *)bpf_costack_frame(cs, i * 8, 8);
		if (!p)
			break;
		done++;
		if (*p)
			n++;
	}
	args->done = done;
	args->result = n;
	put_in(args->slot, cs);
	return 0;
}

SEC("syscall")
int counter(struct stack_args *args)
{
	args->result = bpf_costack_counter(args->off);
	args->done++;
	return 0;
}

static bool is_watched(void)
{
	return (u32)bpf_get_current_pid_tgid() == watched;
}

SEC("tp_btf/costack_alloc")
int BPF_PROG(on_alloc, const void *stack, u32 size, int context, int source)
{
	if (!is_watched())
		return 0;
	alloc_events++;
	alloc_stack = (u64)stack;
	alloc_size = size;
	alloc_context = context;
	alloc_source = source;
	return 0;
}

SEC("tp_btf/costack_free")
int BPF_PROG(on_free, const void *stack, u32 size, u32 dirty)
{
	if (!is_watched())
		return 0;
	free_events++;
	free_stack = (u64)stack;
	free_size = size;
	free_dirty = dirty;
	return 0;
}

char _license[] SEC("license") = "GPL";
