// SPDX-License-Identifier: GPL-2.0
/*
 * Coroutines whose loader is killed. Bodies own a stack each while they are suspended,
 * so that one that was dropped in its middle would be found.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "costack.bpf.h"

#define NR_SLOTS	10000

char _license[] SEC("license") = "GPL";

COSTACK_BODY(victim, u64 id)
{
	struct costack *cs = NULL;
	s64 sum = 0;

	/* One in sixteen, or the pool is empty soon. */
	if (!(id % 16))
		cs = bpf_costack_alloc_nolock(512, 0);
	bpf_repeat(COSTACK_LOOP_MAX) {
		if (bpf_costack_yield(self, sum))
			break;
		sum += self->value;
	}
	if (cs)
		bpf_costack_release(cs);
	return sum;
}

COSTACK_OPS(victim);

struct slot {
	struct costack_co __kptr *co;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NR_SLOTS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

u32 first;		/* spawn() goes on here */
u64 spawned, resumed, stale, gone, others;
s64 last_error;
u32 stop;

static __always_inline void put_back(struct slot *slot, struct costack_co *co)
{
	co = bpf_kptr_xchg(&slot->co, co);
	if (co)
		bpf_costack_co_release(co);
}

/* Fills all slots with suspended coroutines. Returns how many are. */
SEC("syscall")
int spawn(void *ctx)
{
	struct costack_co *co;
	struct slot *slot;
	u32 i, key, n = 0;

	bpf_for(i, 0, NR_SLOTS) {
		key = i;
		slot = bpf_map_lookup_elem(&slots, &key);
		co = slot ? bpf_costack_spawn(victim_id, i) : NULL;
		if (!co)
			continue;
		n += bpf_costack_resume(co, 0, NULL) == COSTACK_YIELDED;
		put_back(slot, co);
	}
	return n;
}

/* Resumes at random until it is told to stop. */
SEC("tc")
int resume(struct __sk_buff *skb)
{
	struct costack_co *co;
	struct slot *slot;
	u32 i, key;
	int ret;

	bpf_for(i, 0, 1000) {
		if (stop)
			break;
		key = bpf_get_prandom_u32() % NR_SLOTS;
		slot = bpf_map_lookup_elem(&slots, &key);
		co = slot ? bpf_kptr_xchg(&slot->co, NULL) : NULL;
		if (!co)
			continue;
		ret = bpf_costack_resume(co, 1, NULL);
		if (ret == COSTACK_YIELDED) {
			__sync_fetch_and_add(&resumed, 1);
		} else if (ret == -116) {	/* ESTALE */
			__sync_fetch_and_add(&stale, 1);
			if (bpf_costack_state(co) != -116)
				__sync_fetch_and_add(&others, 1);
		} else if (ret != -16) {	/* EBUSY */
			__sync_fetch_and_add(&others, 1);
			last_error = ret;
		}
		put_back(slot, co);
	}
	return stop;
}
