// SPDX-License-Identifier: GPL-2.0
/* costack prog list: what is pinned, as the kernel describes it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/if_link.h>

#include "cmd.h"
#include "prog.h"

/* Not in the headers of all C libraries. */
#define FILEID_KERNFS_TYPE	0xfe

static void add_type(struct json_object *obj, const char *type)
{
	add_text(obj, "type", type ?: "unknown");
}

static void add_prog(struct json_object *obj, int fd)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	struct timespec boot;

	if (bpf_prog_get_info_by_fd(fd, &info, &len))
		return;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	add_number(obj, "id", info.id);
	add_type(obj, libbpf_bpf_prog_type_str(info.type));
	add_number(obj, "age_seconds", boot.tv_sec - (long long)(info.load_time / 1000000000));
}

static void add_map(struct json_object *obj, int fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info), ops_id;
	char text[16];

	if (bpf_map_get_info_by_fd(fd, &info, &len))
		return;
	add_number(obj, "id", info.id);
	add_type(obj, libbpf_bpf_map_type_str(info.type));
	add_number(obj, "max_entries", info.max_entries);
	ops_id = ids_of_map(fd, &info);
	if (ops_id) {
		snprintf(text, sizeof(text), "%#x", ops_id);
		add_text(obj, "ops_id", text);
	}
}

static void add_dev(struct json_object *obj, __u32 ifindex)
{
	char name[IF_NAMESIZE];

	add_number(obj, "ifindex", ifindex);
	if (!ifindex)
		add_text(obj, "target", "an interface that is gone");
	else if (if_indextoname(ifindex, name))
		add_text(obj, "target", name);
}

static void add_xdp_mode(struct json_object *obj, __u32 ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	if (!ifindex || bpf_xdp_query((int)ifindex, 0, &query))
		return;
	add_text(obj, "mode", query.attach_mode == XDP_ATTACHED_SKB ? "generic" :
			      query.attach_mode == XDP_ATTACHED_HW ? "offload" : "native");
}

/* Path of a cgroup: its id is also a file handle in the cgroup file system. */
static void add_cgroup(struct json_object *obj, __u64 id)
{
	struct {
		struct file_handle handle;
		__u64 id;
	} h = { .handle = { .handle_bytes = sizeof(id), .handle_type = FILEID_KERNFS_TYPE } };
	char proc[64], path[PATH_MAX];
	int mount, fd;
	ssize_t n;

	add_number(obj, "cgroup_id", (long long)id);
	mount = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount < 0)
		return;
	memcpy(h.handle.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(mount, &h.handle, O_PATH | O_CLOEXEC);
	close(mount);
	if (fd < 0)
		return;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, path, sizeof(path) - 1);
	close(fd);
	if (n > 0) {
		path[n] = '\0';
		add_text(obj, "target", path);
	}
}

/* Name of the function that a tracing program is attached to. */
static void add_function(struct json_object *obj, __u32 btf_id, __u32 type_id)
{
	struct btf *vmlinux, *btf = NULL;
	const struct btf_type *t;
	const char *name = NULL;

	/* Functions of a module are numbered behind those of the kernel. */
	vmlinux = btf__load_vmlinux_btf();
	if (!vmlinux)
		return;
	if (type_id >= btf__type_cnt(vmlinux))
		btf = btf__load_from_kernel_by_id_split(btf_id, vmlinux);
	t = btf__type_by_id(btf ?: vmlinux, type_id);
	if (t)
		name = btf__name_by_offset(btf ?: vmlinux, t->name_off);
	if (name && *name)
		add_text(obj, "target", name);
	btf__free(btf);
	btf__free(vmlinux);
}

static void add_perf_event(struct json_object *obj, const struct bpf_link_info *info,
			   const char *name)
{
	switch (info->perf_event.type) {
	case BPF_PERF_EVENT_KPROBE:
	case BPF_PERF_EVENT_KRETPROBE:
	case BPF_PERF_EVENT_TRACEPOINT:
	case BPF_PERF_EVENT_UPROBE:
	case BPF_PERF_EVENT_URETPROBE:
		if (*name)
			add_text(obj, "target", name);
		break;
	default:
		break;
	}
}

/* The kernel writes names only where it is told to. */
static void ask_name(int fd, struct bpf_link_info *info, char *name, __u32 size)
{
	__u32 len = sizeof(*info), type = info->type, event = info->perf_event.type;

	memset(info, 0, sizeof(*info));
	if (type == BPF_LINK_TYPE_RAW_TRACEPOINT) {
		info->raw_tracepoint.tp_name = (unsigned long)name;
		info->raw_tracepoint.tp_name_len = size;
	} else if (type == BPF_LINK_TYPE_ITER) {
		info->iter.target_name = (unsigned long)name;
		info->iter.target_name_len = size;
	} else if (type == BPF_LINK_TYPE_PERF_EVENT) {
		if (event == BPF_PERF_EVENT_TRACEPOINT) {
			info->perf_event.tracepoint.tp_name = (unsigned long)name;
			info->perf_event.tracepoint.name_len = size;
		} else if (event == BPF_PERF_EVENT_UPROBE || event == BPF_PERF_EVENT_URETPROBE) {
			info->perf_event.uprobe.file_name = (unsigned long)name;
			info->perf_event.uprobe.name_len = size;
		} else {
			info->perf_event.kprobe.func_name = (unsigned long)name;
			info->perf_event.kprobe.name_len = size;
		}
	}
	bpf_link_get_info_by_fd(fd, info, &len);
	name[size - 1] = '\0';
}

static void add_attach_type(struct json_object *obj, __u32 type)
{
	const char *text = libbpf_bpf_attach_type_str(type);

	if (text)
		add_text(obj, "attach", text);
}

static void add_link(struct json_object *obj, int fd)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	char name[256] = "";

	if (bpf_link_get_info_by_fd(fd, &info, &len))
		return;
	if (info.type == BPF_LINK_TYPE_RAW_TRACEPOINT || info.type == BPF_LINK_TYPE_ITER ||
	    info.type == BPF_LINK_TYPE_PERF_EVENT)
		ask_name(fd, &info, name, sizeof(name));
	add_number(obj, "id", info.id);
	add_type(obj, libbpf_bpf_link_type_str(info.type));
	add_number(obj, "prog_id", info.prog_id);
	switch (info.type) {
	case BPF_LINK_TYPE_XDP:
		add_dev(obj, info.xdp.ifindex);
		add_xdp_mode(obj, info.xdp.ifindex);
		break;
	case BPF_LINK_TYPE_TCX:
		add_attach_type(obj, info.tcx.attach_type);
		add_dev(obj, info.tcx.ifindex);
		break;
	case BPF_LINK_TYPE_NETKIT:
		add_attach_type(obj, info.netkit.attach_type);
		add_dev(obj, info.netkit.ifindex);
		break;
	case BPF_LINK_TYPE_CGROUP:
		add_attach_type(obj, info.cgroup.attach_type);
		add_cgroup(obj, info.cgroup.cgroup_id);
		break;
	case BPF_LINK_TYPE_TRACING:
		add_attach_type(obj, info.tracing.attach_type);
		add_function(obj, info.tracing.target_obj_id, info.tracing.target_btf_id);
		break;
	case BPF_LINK_TYPE_RAW_TRACEPOINT:
	case BPF_LINK_TYPE_ITER:
		if (*name)
			add_text(obj, "target", name);
		break;
	case BPF_LINK_TYPE_PERF_EVENT:
		add_perf_event(obj, &info, name);
		break;
	case BPF_LINK_TYPE_STRUCT_OPS:
		add_number(obj, "map_id", info.struct_ops.map_id);
		break;
	default:
		break;
	}
}

/**
 * struct listing - one directory being listed
 * @name: what is loaded
 * @sub: the directory
 * @add: adds what the kernel says of a descriptor
 * @list: added to
 */
struct listing {
	const char *name;
	const char *sub;
	void (*add)(struct json_object *obj, int fd);
	struct json_object *list;
};

static int list_entry(const char *leaf, void *arg)
{
	struct listing *l = arg;
	struct json_object *obj;
	char path[PATH_MAX];
	int fd;

	if (pin_path(path, sizeof(path), l->name, l->sub, leaf))
		return CMD_OK;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return CMD_OK;
	obj = json_object_new_object();
	add_text(obj, "name", leaf);
	l->add(obj, fd);
	json_object_array_add(l->list, obj);
	close(fd);
	return CMD_OK;
}

static void list_sub(struct json_object *obj, const char *key, const char *name, const char *sub,
		     void (*add)(struct json_object *obj, int fd))
{
	struct listing l = { name, sub, add, json_object_new_array() };

	pin_each(name, sub, list_entry, &l);
	json_object_object_add(obj, key, l.list);
}

/**
 * list_name() - all that is known of what is loaded under a name
 * @name: the name; of a partial one, the name of its directory
 *
 * Return: a JSON object that is the caller's.
 */
struct json_object *list_name(const char *name)
{
	struct json_object *obj = json_object_new_object();
	size_t len = strlen(name);
	bool partial = len && name[len - 1] == '~';
	char shown[NAME_MAX + 1];

	snprintf(shown, sizeof(shown), "%.*s", (int)(len - partial), name);
	add_text(obj, "name", shown);
	json_object_object_add(obj, "partial", json_object_new_boolean(partial));
	if (partial)
		json_object_object_add(obj, "loading",
				       json_object_new_boolean(pin_is_locked(name)));
	list_sub(obj, "programs", name, "progs", add_prog);
	list_sub(obj, "links", name, "links", add_link);
	list_sub(obj, "maps", name, "maps", add_map);
	return obj;
}

static void print_sub(struct json_object *obj, const char *key, const char *what)
{
	struct json_object *list;
	size_t i;

	if (!json_object_object_get_ex(obj, key, &list))
		return;
	for (i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *attach = get_text(o, "attach"), *target = get_text(o, "target");
		const char *mode = get_text(o, "mode"), *ops_id = get_text(o, "ops_id");

		printf("  %-5s %-24s id %-6s %s", what, get_text(o, "name"), get_text(o, "id"),
		       get_text(o, "type"));
		if (*attach)
			printf(" %s", attach);
		if (*target)
			printf(" on %s", target);
		if (*mode)
			printf(" (%s)", mode);
		if (*ops_id)
			printf(", type of coroutines %s", ops_id);
		if (!strcmp(what, "prog"))
			printf(" loaded %s s ago", get_text(o, "age_seconds"));
		putchar('\n');
	}
}

/**
 * list_print() - print what list_name() found, for people
 * @obj: what it found
 */
void list_print(struct json_object *obj)
{
	printf("%s%s\n", get_text(obj, "name"),
	       !get_number(obj, "partial") ? "" :
	       get_number(obj, "loading") ? " (being loaded)" :
	       " (partial: its loader was killed; prog unload removes it)");
	print_sub(obj, "programs", "prog");
	print_sub(obj, "links", "link");
	print_sub(obj, "maps", "map");
}

static int list_one(const char *name, void *arg)
{
	if (pin_is_ours(name))
		json_object_array_add(arg, list_name(name));
	return CMD_OK;
}

/**
 * prog_list() - the command prog list
 * @argc: number of words, 0
 * @argv: the words
 *
 * Return: an exit status.
 */
int prog_list(int argc, char **argv)
{
	struct json_object *all;
	size_t i;
	int ret;

	ret = argc ? usage("prog list takes no '%.80s'", argv[0]) : need_rights() ?: need_bpffs();
	if (ret)
		return ret;
	all = json_object_new_array();
	pin_each(NULL, NULL, list_one, all);
	if (opts.json) {
		print_json(all);
	} else {
		for (i = 0; i < json_object_array_length(all); i++)
			list_print(json_object_array_get_idx(all, i));
	}
	json_object_put(all);
	return CMD_OK;
}
