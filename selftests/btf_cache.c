// SPDX-License-Identifier: GPL-2.0
/*
 * libbpf parses the kernel's BTF again for each object it loads, and goes through all of it for
 * each kfunc: in emulation nearly all of the 0.3 s that a load takes, and there are 400 loads.
 * The functions of this file stand in for libbpf's, here and for calls inside of the shared
 * library: one parse and one index serve the process and the children that it forks.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/btf.h>

static struct btf *cached;	/* libbpf only reads it */
static __u32 *slots;		/* by hash of the name: type IDs, in their order; 0: free */
static __u32 mask;

static __u32 hash_name(const char *name)
{
	__u32 hash = 5381;

	while (*name)
		hash = 33 * hash + (unsigned char)*name++;
	return hash;
}

static void make_index(void)
{
	__u32 n = btf__type_cnt(cached), id, i;
	const char *name;

	for (mask = 1; mask < 2 * n; mask *= 2)
		;
	slots = calloc(mask--, sizeof(*slots));
	for (id = 1; slots && id < n; id++) {
		name = btf__name_by_offset(cached, btf__type_by_id(cached, id)->name_off);
		if (!*name)
			continue;
		for (i = hash_name(name) & mask; slots[i]; i = (i + 1) & mask)
			;
		slots[i] = id;
	}
}

struct btf *btf__load_vmlinux_btf(void)
{
	if (!cached) {
		typeof(btf__load_vmlinux_btf) *load = dlsym(RTLD_NEXT, __func__);

		cached = load();
		if (cached)
			make_index();
	}
	return cached;
}

void btf__free(struct btf *btf)
{
	typeof(btf__free) *release = dlsym(RTLD_NEXT, __func__);

	if (!btf || btf != cached)
		release(btf);
}

__s32 btf__find_by_name_kind(const struct btf *btf, const char *name, __u32 kind)
{
	const struct btf_type *t;
	__u32 i;

	if (!slots || btf != cached || kind == BTF_KIND_UNKN || !strcmp(name, "void")) {
		typeof(btf__find_by_name_kind) *find = dlsym(RTLD_NEXT, __func__);

		return find(btf, name, kind);
	}
	for (i = hash_name(name) & mask; slots[i]; i = (i + 1) & mask) {
		t = btf__type_by_id(cached, slots[i]);
		if (btf_kind(t) == kind && !strcmp(btf__name_by_offset(cached, t->name_off), name))
			return slots[i];
	}
	errno = ENOENT;
	return -ENOENT;
}
