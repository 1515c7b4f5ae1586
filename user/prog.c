// SPDX-License-Identifier: GPL-2.0
/* costack prog: the commands on what is loaded. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "cmd.h"
#include "prog.h"

#define IDS_MAX		256
#define UNLOAD_WAIT_MS	5000

static void add_prog(struct json_object *list, const char *leaf, int fd)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	struct json_object *obj;
	struct timespec boot;
	const char *type;

	if (bpf_prog_get_info_by_fd(fd, &info, &len))
		return;
	type = libbpf_bpf_prog_type_str(info.type);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	obj = json_object_new_object();
	json_object_object_add(obj, "name", json_object_new_string(leaf));
	json_object_object_add(obj, "id", json_object_new_int64(info.id));
	json_object_object_add(obj, "type", json_object_new_string(type ?: "unknown"));
	json_object_object_add(obj, "age_seconds",
			       json_object_new_int64(boot.tv_sec -
						     (int64_t)(info.load_time / 1000000000)));
	json_object_array_add(list, obj);
}

static void add_map(struct json_object *list, const char *leaf, int fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	struct json_object *obj;
	const char *type;

	if (bpf_map_get_info_by_fd(fd, &info, &len))
		return;
	type = libbpf_bpf_map_type_str(info.type);
	obj = json_object_new_object();
	json_object_object_add(obj, "name", json_object_new_string(leaf));
	json_object_object_add(obj, "id", json_object_new_int64(info.id));
	json_object_object_add(obj, "type", json_object_new_string(type ?: "unknown"));
	json_object_array_add(list, obj);
}

static void add_dev(struct json_object *obj, __u32 ifindex)
{
	char name[IF_NAMESIZE];

	json_object_object_add(obj, "ifindex", json_object_new_int64(ifindex));
	if (ifindex && if_indextoname(ifindex, name))
		json_object_object_add(obj, "dev", json_object_new_string(name));
}

static void add_link(struct json_object *list, const char *leaf, int fd)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	struct json_object *obj;
	char target[128] = "";
	const char *type, *attach = NULL;

	if (bpf_link_get_info_by_fd(fd, &info, &len))
		return;
	/* The kernel writes the name of a raw tracepoint only when asked. */
	if (info.type == BPF_LINK_TYPE_RAW_TRACEPOINT) {
		info.raw_tracepoint.tp_name = (unsigned long)target;
		info.raw_tracepoint.tp_name_len = sizeof(target);
		bpf_link_get_info_by_fd(fd, &info, &len);
	}
	type = libbpf_bpf_link_type_str(info.type);
	obj = json_object_new_object();
	json_object_object_add(obj, "name", json_object_new_string(leaf));
	json_object_object_add(obj, "id", json_object_new_int64(info.id));
	json_object_object_add(obj, "type", json_object_new_string(type ?: "unknown"));
	json_object_object_add(obj, "prog_id", json_object_new_int64(info.prog_id));
	switch (info.type) {
	case BPF_LINK_TYPE_XDP:
		add_dev(obj, info.xdp.ifindex);
		break;
	case BPF_LINK_TYPE_TCX:
		add_dev(obj, info.tcx.ifindex);
		attach = libbpf_bpf_attach_type_str(info.tcx.attach_type);
		break;
	case BPF_LINK_TYPE_NETKIT:
		add_dev(obj, info.netkit.ifindex);
		attach = libbpf_bpf_attach_type_str(info.netkit.attach_type);
		break;
	case BPF_LINK_TYPE_CGROUP:
		json_object_object_add(obj, "cgroup_id",
				       json_object_new_int64((int64_t)info.cgroup.cgroup_id));
		attach = libbpf_bpf_attach_type_str(info.cgroup.attach_type);
		break;
	case BPF_LINK_TYPE_TRACING:
		attach = libbpf_bpf_attach_type_str(info.tracing.attach_type);
		break;
	case BPF_LINK_TYPE_RAW_TRACEPOINT:
		json_object_object_add(obj, "tracepoint", json_object_new_string(target));
		break;
	case BPF_LINK_TYPE_STRUCT_OPS:
		json_object_object_add(obj, "map_id",
				       json_object_new_int64(info.struct_ops.map_id));
		break;
	default:
		break;
	}
	if (attach)
		json_object_object_add(obj, "attach", json_object_new_string(attach));
	json_object_array_add(list, obj);
}

/* One array of what is pinned in a directory of a name. */
static struct json_object *list_sub(const char *name, const char *sub,
				    void (*add)(struct json_object *, const char *, int))
{
	struct json_object *list = json_object_new_array();
	char dir[PATH_MAX], path[PATH_MAX];
	struct dirent *d;
	DIR *handle;
	int fd;

	if (pin_path(dir, sizeof(dir), name, sub, NULL))
		return list;
	handle = opendir(dir);
	if (!handle)
		return list;
	while ((d = readdir(handle))) {
		if (d->d_name[0] == '.' || pin_path(path, sizeof(path), name, sub, d->d_name))
			continue;
		fd = bpf_obj_get(path);
		if (fd < 0)
			continue;
		add(list, d->d_name, fd);
		close(fd);
	}
	closedir(handle);
	return list;
}

static const char *text_of(struct json_object *obj, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(obj, key, &val) ? json_object_get_string(val) : "";
}

static void print_list(struct json_object *list, const char *what)
{
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++) {
		struct json_object *obj = json_object_array_get_idx(list, i);
		const char *dev = text_of(obj, "dev"), *attach = text_of(obj, "attach");

		if (!*dev)
			dev = text_of(obj, "tracepoint");
		printf("  %-5s %-24s id %-6s %s%s%s%s%s\n", what, text_of(obj, "name"),
		       text_of(obj, "id"), text_of(obj, "type"), *attach ? " " : "", attach,
		       *dev ? " on " : "", dev);
	}
}

static int prog_list(int argc, char **argv)
{
	struct json_object *all = json_object_new_array(), *obj, *sub;
	char top[PATH_MAX], name[NAME_MAX + 1];
	struct dirent *d;
	size_t len;
	bool partial;
	DIR *dir;
	int ret;

	ret = argc ? usage("prog list takes no '%.80s'", argv[0]) : need_rights() ?: need_bpffs();
	if (ret || pin_path(top, sizeof(top), NULL, NULL, NULL)) {
		json_object_put(all);
		return ret ?: CMD_FAILED;
	}
	dir = opendir(top);
	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s", d->d_name);
		len = strlen(name);
		partial = name[len - 1] == '~';
		obj = json_object_new_object();
		json_object_object_add(obj, "name",
				       json_object_new_string_len(name, (int)(len - partial)));
		json_object_object_add(obj, "partial", json_object_new_boolean(partial));
		json_object_object_add(obj, "programs", list_sub(name, "progs", add_prog));
		json_object_object_add(obj, "links", list_sub(name, "links", add_link));
		json_object_object_add(obj, "maps", list_sub(name, "maps", add_map));
		json_object_array_add(all, obj);
		if (opts.json)
			continue;
		printf("%s%s\n", text_of(obj, "name"),
		       partial ? " (partial: being loaded, or its loader was killed)" : "");
		json_object_object_get_ex(obj, "programs", &sub);
		print_list(sub, "prog");
		json_object_object_get_ex(obj, "links", &sub);
		print_list(sub, "link");
		json_object_object_get_ex(obj, "maps", &sub);
		print_list(sub, "map");
	}
	if (dir)
		closedir(dir);
	if (opts.json)
		print_json(all);
	json_object_put(all);
	return CMD_OK;
}

/* Ids of the programs pinned under a name, so that their end can be waited for. */
static int collect_ids(const char *name, __u32 *ids)
{
	struct json_object *progs = list_sub(name, "progs", add_prog), *val;
	size_t i, n = json_object_array_length(progs);

	if (n > IDS_MAX)
		n = IDS_MAX;
	for (i = 0; i < n; i++) {
		json_object_object_get_ex(json_object_array_get_idx(progs, i), "id", &val);
		ids[i] = (__u32)json_object_get_int64(val);
	}
	json_object_put(progs);
	return (int)n;
}

/* The kernel frees programs a moment after the last reference; rmmod would fail. */
static void wait_for_end(const __u32 *ids, int n)
{
	const struct timespec ms10 = { .tv_nsec = 10000000 };
	int i = 0, waited, fd;

	for (waited = 0; i < n && waited < UNLOAD_WAIT_MS; waited += 10) {
		fd = bpf_prog_get_fd_by_id(ids[i]);
		if (fd < 0) {
			i++;
			continue;
		}
		close(fd);
		nanosleep(&ms10, NULL);
	}
	if (i < n)
		note("program %u lives on: somebody else holds it", ids[i]);
}

static void detach_links(const char *name)
{
	char dir[PATH_MAX], path[PATH_MAX];
	struct dirent *d;
	DIR *handle;
	int fd;

	if (pin_path(dir, sizeof(dir), name, "links", NULL))
		return;
	handle = opendir(dir);
	while (handle && (d = readdir(handle))) {
		if (d->d_name[0] == '.' || pin_path(path, sizeof(path), name, "links", d->d_name))
			continue;
		fd = bpf_obj_get(path);
		if (fd < 0)
			continue;
		/* Not all kinds can; those end with the pin. */
		bpf_link_detach(fd);
		close(fd);
	}
	if (handle)
		closedir(handle);
}

static int unload_one(const char *name)
{
	__u32 ids[IDS_MAX];
	char dir[PATH_MAX];
	int n, err;

	n = collect_ids(name, ids);
	detach_links(name);
	if (pin_path(dir, sizeof(dir), name, NULL, NULL))
		return CMD_FAILED;
	err = pin_remove(dir);
	if (err)
		return fail("cannot remove %s: %s", dir, strerror(-err));
	wait_for_end(ids, n);
	return CMD_OK;
}

static int prog_unload(int argc, char **argv)
{
	char partial[NAME_LEN + 1], top[PATH_MAX];
	bool whole, part;
	int ret;

	if (argc != 1)
		return usage("prog unload wants one NAME: see costack prog list");
	ret = pin_check_name(argv[0]) ?: need_rights() ?: need_bpffs();
	if (ret)
		return ret;
	snprintf(partial, sizeof(partial), "%s~", argv[0]);
	whole = pin_exists(argv[0]);
	part = pin_exists(partial);
	if (!whole && !part)
		return fail("nothing is loaded as '%s': see costack prog list", argv[0]);
	if (whole)
		ret = unload_one(argv[0]);
	if (part)
		ret = unload_one(partial) ?: ret;
	if (!pin_path(top, sizeof(top), NULL, NULL, NULL))
		rmdir(top);	/* stays when others are in it */
	return ret;
}

static int prog_attach(int argc, char **argv)
{
	struct targets t = {};
	const char *only = NULL;
	int i, ret;

	if (argc < 1)
		return usage("prog attach wants the NAME of something loaded: see costack prog list");
	ret = pin_check_name(argv[0]);
	for (i = 1; !ret && i < argc; i++) {
		if (!strcmp(argv[i], "dev")) {
			ret = targets_add_dev(&t, argv[++i]);
		} else if (!strcmp(argv[i], "cgroup")) {
			t.cgroup = argv[++i];
			if (!t.cgroup)
				ret = usage("cgroup wants a PATH");
		} else if (i == 1) {
			only = argv[i];
			ret = pin_check_name(only);
		} else {
			ret = usage("prog attach takes no '%.80s'", argv[i]);
		}
	}
	ret = ret ?: need_rights() ?: need_bpffs();
	if (ret)
		return ret;
	if (!pin_exists(argv[0]))
		return fail("nothing is loaded as '%s': see costack prog list", argv[0]);
	return attach_pinned(argv[0], only, &t);
}

static int prog_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("Usage: costack [OPTIONS] prog load FILE [name NAME] [dev IFACE]... [cgroup PATH]\n"
	       "                                [noattach] [--follow [count N] [timeout SECONDS]]\n"
	       "       costack [OPTIONS] prog attach NAME [PROG] [dev IFACE]... [cgroup PATH]\n"
	       "       costack [OPTIONS] prog list\n"
	       "       costack [OPTIONS] prog follow NAME [count N] [timeout SECONDS]\n"
	       "       costack [OPTIONS] prog unload NAME\n"
	       "       costack [OPTIONS] prog help\n"
	       "\n"
	       "  load    load every program of an object file, attach it, and pin it below\n"
	       "          %s/costack/NAME, where it lives on; all or nothing\n"
	       "  attach  attach what was loaded with noattach\n"
	       "  follow  print the events of its ring buffer map called events\n"
	       "  unload  detach and remove it\n"
	       "\n"
	       "XDP and TC programs want dev, cgroup programs want cgroup; tracing, LSM and\n"
	       "struct_ops programs are attached to what their section names.\n", opts.bpffs);
	return CMD_OK;
}

static const struct cmd commands[] = {
	{ "load", prog_load },
	{ "attach", prog_attach },
	{ "list", prog_list },
	{ "show", prog_list },
	{ "follow", prog_follow },
	{ "unload", prog_unload },
	{ "help", prog_help },
	{ NULL, NULL },
};

/**
 * do_prog() - the object prog
 * @argc: number of words
 * @argv: the words
 *
 * Return: an exit status.
 */
int do_prog(int argc, char **argv)
{
	return cmd_select(commands, argc, argv, prog_help);
}
