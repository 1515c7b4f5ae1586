// SPDX-License-Identifier: GPL-2.0
/*
 * Numbers of types of coroutines. COSTACK_OPS(NAME) makes NAME_ops, whose member id is a
 * number made from the name, and NAME_id in .rodata, by which programs spawn. On the
 * machine each type has a number of its own, so an object that is loaded again, under
 * another name, gets another one, in both places.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <bpf/btf.h>

#include "cmd.h"
#include "prog.h"

#define OPS_TYPE	"costack_ops"
#define OPS_SUFFIX	"_ops"
#define ID_SUFFIX	"_id"

/**
 * struct type_id - a type of coroutines in the object that is being loaded
 * @map: its struct_ops map
 * @id: its number
 * @ours: it may be another one
 */
struct type_id {
	const struct bpf_map *map;
	__u32 id;
	bool ours;
};

/* libbpf forgets the types of maps when it loads them. */
static struct type_id *types;
static size_t nr_types;

/* A type's name, without what CO-RE lets follow: "costack_ops___v2". */
static bool is_ops_name(const char *name)
{
	size_t len = strlen(OPS_TYPE);

	return name && !strncmp(name, OPS_TYPE, len) &&
	       (!name[len] || !strncmp(name + len, "___", 3));
}

static bool is_type(const struct bpf_object *obj, const struct bpf_map *map)
{
	const struct btf *btf = bpf_object__btf(obj);
	const struct btf_type *t;

	if (!btf || bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS)
		return false;
	t = btf__type_by_id(btf, bpf_map__btf_value_type_id(map));
	return t && btf_is_struct(t) && is_ops_name(btf__name_by_offset(btf, t->name_off));
}

static bool is_u32(const struct btf *btf, __u32 type_id)
{
	const struct btf_type *t;
	int id = btf__resolve_type(btf, type_id);

	/* Not through typedefs and the like, but through const and volatile: all. */
	t = id < 0 ? NULL : btf__type_by_id(btf, (__u32)id);
	return t && btf_is_int(t) && t->size == sizeof(__u32);
}

/* Where the member id of NAME_ops is, before the object is loaded; or NULL. */
static __u32 *ops_id(const struct bpf_object *obj, const struct bpf_map *map)
{
	const struct btf *btf = bpf_object__btf(obj);
	const struct btf_type *t = btf__type_by_id(btf, bpf_map__btf_value_type_id(map));
	const struct btf_member *m = btf_members(t);
	size_t size = 0;
	void *data;
	__u16 i;

	/* Of struct_ops since libbpf 1.4, which is the first that can load these. */
	data = bpf_map__initial_value((struct bpf_map *)map, &size);
	for (i = 0; data && i < btf_vlen(t); i++, m++) {
		const char *name = btf__name_by_offset(btf, m->name_off);
		__u32 off = btf_member_bit_offset(t, i) / 8;

		if (name && !strcmp(name, "id") && is_u32(btf, m->type) &&
		    off % sizeof(__u32) == 0 && off + sizeof(__u32) <= size)
			return (__u32 *)((char *)data + off);
	}
	return NULL;
}

/* Where NAME_id is, before the object is loaded; or NULL. */
static __u32 *rodata_id(const struct bpf_object *obj, const struct bpf_map *map)
{
	const struct bpf_map *rodata = bpf_object__find_map_by_name(obj, ".rodata");
	const char *ops = bpf_map__name(map), *name;
	const struct btf *btf = bpf_object__btf(obj);
	const struct btf_var_secinfo *var;
	const struct btf_type *t, *v;
	size_t size = 0, len = strlen(ops);
	char wanted[256];
	char *data;
	__u16 i;

	if (!rodata || len <= strlen(OPS_SUFFIX) || len > sizeof(wanted) - 8 ||
	    strcmp(ops + len - strlen(OPS_SUFFIX), OPS_SUFFIX))
		return NULL;
	snprintf(wanted, sizeof(wanted), "%.*s" ID_SUFFIX, (int)(len - strlen(OPS_SUFFIX)), ops);
	data = bpf_map__initial_value((struct bpf_map *)rodata, &size);
	t = btf__type_by_id(btf, bpf_map__btf_value_type_id(rodata));
	if (!data || !t || !btf_is_datasec(t))
		return NULL;
	var = btf_var_secinfos(t);
	for (i = 0; i < btf_vlen(t); i++, var++) {
		v = btf__type_by_id(btf, var->type);
		name = v ? btf__name_by_offset(btf, v->name_off) : NULL;
		if (name && !strcmp(name, wanted) && is_u32(btf, v->type) &&
		    var->offset % sizeof(__u32) == 0 && var->offset + sizeof(__u32) <= size)
			return (__u32 *)(data + var->offset);
	}
	return NULL;
}

/* Whose is this number? NULL: nobody's, as far as can be seen. */
static const char *owner(struct json_object *depth, __u32 id)
{
	struct json_object *rows = get_array(depth, "rows"), *row;
	size_t i, n = rows ? json_object_array_length(rows) : 0;
	char text[16];

	snprintf(text, sizeof(text), "%#x", id);
	for (i = 0; i < n; i++) {
		row = json_object_array_get_idx(rows, i);
		if (!strcmp(get_text(row, "id"), text))
			return get_text(row, "name");
	}
	return NULL;
}

static bool is_taken(struct json_object *depth, __u32 id)
{
	size_t i;

	for (i = 0; i < nr_types; i++) {
		if (types[i].id == id)
			return true;
	}
	return owner(depth, id);
}

static __u32 choose(struct json_object *depth, __u32 id, bool again)
{
	unsigned short far = 0;

	/* Without debugfs this is all that helps, and two loaders part. */
	if (again && getrandom(&far, sizeof(far), 0) == sizeof(far))
		id += 2 + 2U * far;
	while (!id || is_taken(depth, id))
		id += 2;
	return id;
}

/**
 * ids_assign() - give each type of an object a number that nobody has
 * @obj: the object, not loaded
 * @again: somebody took one of them meanwhile: others than the last time
 *
 * Its own, if that is free, or one of those that follow. Types without NAME_id keep
 * what they have, and so do those where it says something else: whoever wrote that
 * spawns by another number.
 *
 * Return: an exit status.
 */
int ids_assign(struct bpf_object *obj, bool again)
{
	struct json_object *depth = debugfs_read("depth", true);
	__u32 *in_ops, *in_rodata;
	struct type_id *more, *t;
	struct bpf_map *map;
	int ret = CMD_OK;

	nr_types = 0;
	bpf_object__for_each_map(map, obj) {
		if (!is_type(obj, map))
			continue;
		more = realloc(types, (nr_types + 1) * sizeof(*types));
		if (!more) {
			ret = fail("no memory");
			break;
		}
		types = more;
		t = &types[nr_types];
		in_ops = ops_id(obj, map);
		in_rodata = rodata_id(obj, map);
		t->map = map;
		t->id = in_ops ? *in_ops : 0;
		t->ours = in_ops && in_rodata && *in_ops == *in_rodata;
		if (t->ours) {
			t->id = choose(depth, t->id, again);
			*in_ops = t->id;
			*in_rodata = t->id;
		}
		nr_types++;
	}
	json_object_put(depth);
	return ret;
}

static const struct type_id *find(const struct bpf_map *map)
{
	size_t i;

	for (i = 0; i < nr_types; i++) {
		if (types[i].map == map)
			return &types[i];
	}
	return NULL;
}

/**
 * ids_is_type() - does this map make a type of coroutines?
 * @map: a map of the object that ids_assign() was called for last
 *
 * Return: true if so.
 */
bool ids_is_type(const struct bpf_map *map)
{
	return find(map);
}

/**
 * ids_may_change() - could this type have another number?
 * @map: its map
 *
 * Return: true if so.
 */
bool ids_may_change(const struct bpf_map *map)
{
	const struct type_id *t = find(map);

	return t && t->ours;
}

/**
 * ids_any() - are there types of coroutines in the object?
 *
 * Return: true if so.
 */
bool ids_any(void)
{
	return nr_types > 0;
}

/**
 * ids_fail() - say that the number of a type is taken
 * @map: its map
 *
 * Return: CMD_FAILED.
 */
int ids_fail(const struct bpf_map *map)
{
	struct json_object *depth = debugfs_read("depth", true);
	const struct type_id *t = find(map);
	const char *name = t ? owner(depth, t->id) : NULL;
	int ret;

	ret = fail("%s: ops id %#x is taken%s%.20s%s, already loaded? unload that first, or define the type with COSTACK_OPS() and its own id",
		   bpf_map__name(map), t ? t->id : 0, name ? " by ops '" : "", name ?: "",
		   name ? "'" : "");
	json_object_put(depth);
	return ret;
}

/* Offset of a member, or -1. @type: written: its type. */
static long member_offset(const struct btf *btf, __u32 type_id, const char *member, __u32 *type)
{
	const struct btf_type *t = btf__type_by_id(btf, type_id);
	const struct btf_member *m;
	const char *name;
	__u16 i;

	if (!t || !btf_is_struct(t))
		return -1;
	for (i = 0, m = btf_members(t); i < btf_vlen(t); i++, m++) {
		name = btf__name_by_offset(btf, m->name_off);
		if (!name || strcmp(name, member))
			continue;
		*type = m->type;
		return (long)(btf_member_bit_offset(t, i) / 8);
	}
	return -1;
}

/* The number in the value of such a map, which is a header and a struct costack_ops. */
static __u32 id_in_value(const struct btf *btf, int fd, const struct bpf_map_info *info)
{
	int type_id = btf__find_by_name_kind(btf, "bpf_struct_ops_" OPS_TYPE, BTF_KIND_STRUCT);
	char value[1024];
	long data, off;
	__u32 type, id, key = 0;

	/* Behind those of the kernel numbers mean something else in each module. */
	if (type_id <= 0 || (__u32)type_id != info->btf_vmlinux_value_type_id ||
	    btf__type_by_id(btf, (__u32)type_id)->size != info->value_size ||
	    info->value_size > sizeof(value))
		return 0;
	data = member_offset(btf, (__u32)type_id, "data", &type);
	off = data < 0 ? -1 : member_offset(btf, type, "id", &type);
	if (off < 0 || (size_t)(data + off) + sizeof(id) > info->value_size ||
	    bpf_map_lookup_elem(fd, &key, value))
		return 0;
	memcpy(&id, value + data + off, sizeof(id));
	return id;
}

/**
 * ids_of_map() - the number of a type of coroutines that is loaded
 * @fd: its struct_ops map
 * @info: of that
 *
 * Return: the number, or 0: it is none, or not attached.
 */
__u32 ids_of_map(int fd, const struct bpf_map_info *info)
{
	struct btf *vmlinux, *btf = NULL;
	__u32 id = 0;

	if (info->type != BPF_MAP_TYPE_STRUCT_OPS || !module_has_btf())
		return 0;
	vmlinux = btf__load_vmlinux_btf();
	if (vmlinux)
		btf = btf__load_module_btf("costack", vmlinux);
	if (btf)
		id = id_in_value(btf, fd, info);
	btf__free(btf);
	btf__free(vmlinux);
	return id;
}
