// SPDX-License-Identifier: GPL-2.0
/* Attaching, always by BPF links that are pinned, so that they outlive the tool. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/if_link.h>

#include "cmd.h"
#include "prog.h"

/**
 * struct attachment - attaching in progress
 * @t: to what
 * @where: name below which links are pinned
 * @made: file names of the links pinned so far, for undoing
 * @nr: how many
 * @taken: programs that there was something to attach to
 */
struct attachment {
	const struct targets *t;
	const char *where;
	char (*made)[NAME_MAX + 1];
	int nr;
	int taken;
};

/* The attach type of a TC program that does not name one. */
static enum bpf_attach_type tc_attach_type(enum bpf_attach_type attach)
{
	switch (attach) {
	case BPF_TCX_INGRESS:
	case BPF_TCX_EGRESS:
	case BPF_NETKIT_PRIMARY:
	case BPF_NETKIT_PEER:
		return attach;
	default:
		return BPF_TCX_INGRESS;
	}
}

/* Before loading: settle how, and see that what the program wants is given. */
static int check_prog(struct bpf_program *prog, const struct targets *t, bool *dev, bool *cgroup)
{
	enum bpf_attach_type attach = bpf_program__expected_attach_type(prog);
	enum bpf_prog_type type = bpf_program__type(prog);
	const char *name = bpf_program__name(prog);

	if (type == BPF_PROG_TYPE_SCHED_CLS)
		attach = tc_attach_type(attach);
	else if (type == BPF_PROG_TYPE_XDP && !attach)
		attach = BPF_XDP;
	bpf_program__set_expected_attach_type(prog, attach);
	if (!t || !bpf_program__autoload(prog))
		return CMD_OK;
	switch (target_of(type, attach)) {
	case TARGET_DEV:
		*dev = true;
		if (!t->nr)
			return fail("program %s (%s) wants an interface: add dev IFACE, or noattach",
				    name, bpf_program__section_name(prog));
		break;
	case TARGET_CGROUP:
		*cgroup = true;
		if (!t->cgroup)
			return fail("program %s (%s) wants a cgroup: add cgroup PATH, or noattach",
				    name, bpf_program__section_name(prog));
		break;
	default:
		break;
	}
	return CMD_OK;
}

/**
 * attach_check() - before loading: does what is given fit the programs?
 * @obj: the object, not loaded
 * @t: what is given, or NULL when nothing is to be attached
 *
 * Return: CMD_OK, or CMD_FAILED after saying what is missing or too much.
 */
int attach_check(struct bpf_object *obj, const struct targets *t)
{
	bool dev = false, cgroup = false;
	struct bpf_program *prog;
	struct bpf_map *map;
	int ret;

	bpf_object__for_each_program(prog, obj) {
		ret = check_prog(prog, t, &dev, &cgroup);
		if (ret)
			return ret;
	}
	if (t && t->nr && !dev)
		return fail("no program wants an interface: leave out dev %s", t->ifname[0]);
	if (t && t->cgroup && !cgroup)
		return fail("no program wants a cgroup: leave out cgroup %.200s", t->cgroup);
	bpf_object__for_each_map(map, obj) {
		if (t && bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS &&
		    bpf_map__autocreate(map) && !(bpf_map__map_flags(map) & BPF_F_LINK))
			return fail("struct_ops %s has no link and could not outlive this tool: put it into SEC(\".struct_ops.link\")",
				    bpf_map__name(map));
	}
	return CMD_OK;
}

static int fail_attach(const char *prog, const char *target, int err)
{
	const char *first = log_first();

	switch (err) {
	case -EBUSY:
	case -EEXIST:
		return fail("cannot attach %s to %.200s: something is attached there already: detach that first",
			    prog, target);
	case -EPERM:
	case -EACCES:
		return fail("cannot attach %s to %.200s: no rights: run as root", prog, target);
	case -EOPNOTSUPP:
		return fail("cannot attach %s to %.200s: this kernel or driver cannot: choose another target",
			    prog, target);
	case -ENOENT:
	case -ESRCH:
		return fail("cannot attach %s to %.200s: this kernel has no such thing: %s", prog,
			    target, *first ? first : "-d shows more");
	default:
		return fail("cannot attach %s to %.200s: %s: -d shows more", prog, target,
			    *first ? first : strerror(-err));
	}
}

/* Is this pin what is left of a link whose interface is gone? */
static bool link_is_dead(const char *path)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	bool dead = false;
	int fd;

	fd = bpf_obj_get(path);
	if (fd < 0)
		return false;
	if (!bpf_link_get_info_by_fd(fd, &info, &len))
		dead = (info.type == BPF_LINK_TYPE_XDP && !info.xdp.ifindex) ||
		       (info.type == BPF_LINK_TYPE_TCX && !info.tcx.ifindex) ||
		       (info.type == BPF_LINK_TYPE_NETKIT && !info.netkit.ifindex);
	close(fd);
	return dead;
}

/* A free path for a link: asked before attaching, when saying no costs nothing. */
static int link_path(struct attachment *a, const char *prog, const char *target, char *path,
		     size_t len, char *leaf, size_t leaf_len)
{
	pin_leaf(leaf, leaf_len, prog, target);
	if (pin_path(path, len, a->where, "links", leaf))
		return CMD_FAILED;
	if (access(path, F_OK))
		return CMD_OK;
	if (link_is_dead(path) && !unlink(path))
		return CMD_OK;
	return fail("%s is already attached%s%s: see costack prog list", prog,
		    target ? " to " : "", target ?: "");
}

static int pin_link(struct attachment *a, int fd, const char *prog, const char *path,
		    const char *leaf)
{
	void *more = realloc(a->made, (size_t)(a->nr + 1) * sizeof(*a->made));

	if (!more)
		return fail("no memory");
	a->made = more;
	if (fd < 0 || bpf_obj_pin(fd, path))
		return fail("the link of %s cannot be pinned and would end with this tool: %s: use another kind of section",
			    prog, fd < 0 ? "it has no descriptor" : strerror(errno));
	snprintf(a->made[a->nr++], sizeof(*a->made), "%s", leaf);
	return CMD_OK;
}

static void undo_links(struct attachment *a)
{
	char path[PATH_MAX];

	while (a->nr--) {
		if (!pin_path(path, sizeof(path), a->where, "links", a->made[a->nr]))
			unlink(path);
	}
}

static void note_generic_xdp(const char *prog, int ifindex, const char *ifname)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	if (!bpf_xdp_query(ifindex, 0, &query) && query.attach_mode == XDP_ATTACHED_SKB)
		note("%s on %s runs in generic mode: the driver has no XDP", prog, ifname);
}

/* Without a mode in its flags the kernel takes native XDP where the driver has it. */
static int attach_dev(struct attachment *a, int prog_fd, const char *prog,
		      enum bpf_prog_type type, enum bpf_attach_type attach)
{
	char path[PATH_MAX], leaf[NAME_MAX + 1];
	int i, fd, ret;

	for (i = 0; i < a->t->nr; i++) {
		ret = link_path(a, prog, a->t->ifname[i], path, sizeof(path), leaf, sizeof(leaf));
		if (ret)
			return ret;
		fd = bpf_link_create(prog_fd, a->t->ifindex[i], attach, NULL);
		if (fd < 0)
			return fail_attach(prog, a->t->ifname[i], -errno);
		ret = pin_link(a, fd, prog, path, leaf);
		close(fd);
		if (ret)
			return ret;
		if (type == BPF_PROG_TYPE_XDP)
			note_generic_xdp(prog, a->t->ifindex[i], a->t->ifname[i]);
	}
	return CMD_OK;
}

static int attach_cgroup(struct attachment *a, int prog_fd, const char *prog,
			 enum bpf_attach_type attach)
{
	char path[PATH_MAX], leaf[NAME_MAX + 1], target[48];
	const char *cgroup = a->t->cgroup;
	int dir, fd, ret;
	struct stat st;

	ret = targets_check_cgroup(a->t);
	if (ret)
		return ret;
	dir = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st)) {
		ret = fail("cannot open cgroup %.200s: %s", cgroup, strerror(errno));
		goto out;
	}
	/* Its inode number is its id. */
	snprintf(target, sizeof(target), "cgroup%llu", (unsigned long long)st.st_ino);
	ret = link_path(a, prog, target, path, sizeof(path), leaf, sizeof(leaf));
	if (ret)
		goto out;
	fd = bpf_link_create(prog_fd, dir, attach, NULL);
	if (fd < 0) {
		ret = fail_attach(prog, cgroup, -errno);
		goto out;
	}
	ret = pin_link(a, fd, prog, path, leaf);
	close(fd);
out:
	if (dir >= 0)
		close(dir);
	return ret;
}

/* Pin the link that libbpf made, and let go of it. */
static int keep_link(struct attachment *a, struct bpf_link *link, const char *name)
{
	char path[PATH_MAX], leaf[NAME_MAX + 1];
	int ret;

	ret = link_path(a, name, NULL, path, sizeof(path), leaf, sizeof(leaf)) ?:
	      pin_link(a, bpf_link__fd(link), name, path, leaf);
	/* With the pin in place this closes a descriptor; without, it detaches. */
	bpf_link__destroy(link);
	return ret;
}

static int attach_self(struct attachment *a, struct bpf_program *prog)
{
	const char *section = bpf_program__section_name(prog), *name = bpf_program__name(prog);
	struct bpf_link *link;
	int err;

	log_start();
	link = bpf_program__attach(prog);
	if (link)
		return keep_link(a, link, name);
	err = -errno;
	/* libbpf's word for a section that does not say what to attach to. */
	if (err == -EOPNOTSUPP && !strchr(section, '/')) {
		note("%s is loaded, not attached: its section '%s' does not say to what", name,
		     section);
		return CMD_OK;
	}
	return fail_attach(name, section, err);
}

static int attach_prog(struct attachment *a, struct bpf_program *prog)
{
	enum bpf_attach_type attach = bpf_program__expected_attach_type(prog);
	enum bpf_prog_type type = bpf_program__type(prog);
	const char *name = bpf_program__name(prog);
	int fd = bpf_program__fd(prog);

	if (fd < 0)	/* not loaded: autoload is off */
		return CMD_OK;
	switch (target_of(type, attach)) {
	case TARGET_DEV:
		return attach_dev(a, fd, name, type, attach);
	case TARGET_CGROUP:
		return attach_cgroup(a, fd, name, attach);
	case TARGET_SELF:
		return attach_self(a, prog);
	default:
		/* A struct_ops program is attached as part of its map. */
		if (type != BPF_PROG_TYPE_STRUCT_OPS)
			note("%s is loaded, not attached: nothing to attach section '%s' to", name,
			     bpf_program__section_name(prog));
		return CMD_OK;
	}
}

static int attach_struct_ops(struct attachment *a, const struct bpf_object *obj,
			     struct bpf_map *map)
{
	const char *name = bpf_map__name(map);
	struct bpf_link *link;
	int err;

	if (bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS || bpf_map__fd(map) < 0)
		return CMD_OK;
	log_start();
	klog_start();
	link = bpf_map__attach_struct_ops(map);
	if (link)
		return keep_link(a, link, name);
	err = -errno;
	if (err == -EEXIST && ids_may_change(map))
		return LOAD_AGAIN;
	return ids_is_type(map) ? explain_type(obj, map, err) :
				  fail_attach(name, "its subsystem", err);
}

/**
 * attach_object() - attach all programs and struct_ops of a loaded object
 * @obj: the object
 * @t: interfaces and cgroup
 * @where: name under which links are pinned
 *
 * struct_ops come first: programs spawn coroutines of types that are attached.
 *
 * Return: an exit status, or LOAD_AGAIN. After a failure some may be attached.
 */
int attach_object(struct bpf_object *obj, const struct targets *t, const char *where)
{
	struct attachment a = { .t = t, .where = where };
	struct bpf_program *prog;
	struct bpf_map *map;
	int ret = CMD_OK;

	bpf_object__for_each_map(map, obj) {
		ret = attach_struct_ops(&a, obj, map);
		if (ret)
			goto out;
	}
	bpf_object__for_each_program(prog, obj) {
		ret = attach_prog(&a, prog);
		if (ret)
			goto out;
	}
out:
	free(a.made);
	return ret;
}

/* Attach a pinned program to what its section names: only those that need no more. */
static int attach_pinned_self(struct attachment *a, int fd, const char *leaf, const char *section,
			      enum bpf_prog_type type, enum bpf_attach_type attach)
{
	char path[PATH_MAX], link_leaf[NAME_MAX + 1];
	const char *tp = NULL;
	int link, ret;

	ret = link_path(a, leaf, NULL, path, sizeof(path), link_leaf, sizeof(link_leaf));
	if (ret)
		return ret;
	switch (type) {
	case BPF_PROG_TYPE_TRACING:
	case BPF_PROG_TYPE_LSM:
		link = bpf_link_create(fd, 0, attach, NULL);
		break;
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
		tp = strchr(section, '/');
		link = bpf_raw_tracepoint_open(tp ? tp + 1 : section, fd);
		break;
	default:
		return fail("program %s (%s) can only be attached when it is loaded: unload it, and load it without noattach",
			    leaf, section);
	}
	if (link < 0)
		return fail_attach(leaf, section, -errno);
	ret = pin_link(a, link, leaf, path, link_leaf);
	close(link);
	return ret;
}

/* Attach one pinned program; @named: the user asked for this one. */
static int attach_one(struct attachment *a, const char *leaf, bool named)
{
	char path[PATH_MAX], section[256];
	enum bpf_attach_type attach;
	enum bpf_prog_type type;
	enum target target;
	ssize_t n;
	int fd, ret;

	if (pin_path(path, sizeof(path), a->where, "sections", leaf))
		return CMD_FAILED;
	n = readlink(path, section, sizeof(section) - 1);
	if (n < 0)
		return fail("'%s' has no program %s: see costack prog list", a->where, leaf);
	section[n] = '\0';
	if (libbpf_prog_type_by_name(section, &type, &attach))
		return fail("section %s of %s is unknown to this libbpf: unload it, and load it without noattach",
			    section, leaf);
	if (type == BPF_PROG_TYPE_SCHED_CLS)
		attach = tc_attach_type(attach);
	else if (type == BPF_PROG_TYPE_XDP && !attach)
		attach = BPF_XDP;
	target = target_of(type, attach);
	/* Of several programs, those that what is given is for. */
	if (!named && ((target == TARGET_DEV && !a->t->nr) || target == TARGET_NONE ||
		       (target == TARGET_CGROUP && !a->t->cgroup) ||
		       (target == TARGET_SELF && (a->t->nr || a->t->cgroup))))
		return CMD_OK;
	a->taken++;
	if (pin_path(path, sizeof(path), a->where, "progs", leaf))
		return CMD_FAILED;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fail("cannot open %s: %s", path, strerror(errno));
	if (target == TARGET_NONE)
		ret = fail("program %s (%s) is not attached to anything, only called", leaf,
			   section);
	else if (target == TARGET_DEV && !a->t->nr)
		ret = fail("program %s (%s) wants an interface: add dev IFACE", leaf, section);
	else if (target == TARGET_CGROUP && !a->t->cgroup)
		ret = fail("program %s (%s) wants a cgroup: add cgroup PATH", leaf, section);
	else if ((a->t->nr && target != TARGET_DEV) || (a->t->cgroup && target != TARGET_CGROUP))
		ret = fail("program %s (%s) is not attached to that: leave out %s", leaf, section,
			   a->t->nr && target != TARGET_DEV ? "dev" : "cgroup");
	else if (target == TARGET_DEV)
		ret = attach_dev(a, fd, leaf, type, attach);
	else if (target == TARGET_CGROUP)
		ret = attach_cgroup(a, fd, leaf, attach);
	else
		ret = attach_pinned_self(a, fd, leaf, section, type, attach);
	close(fd);
	return ret;
}

static int attach_each(const char *leaf, void *arg)
{
	return attach_one(arg, leaf, false);
}

/**
 * attach_pinned() - attach programs that were loaded with noattach
 * @name: what they were loaded as
 * @only: one program, or NULL for all that what is given is for
 * @t: interfaces and cgroup
 *
 * Return: an exit status. After a failure nothing more is attached than before.
 */
int attach_pinned(const char *name, const char *only, const struct targets *t)
{
	struct attachment a = { .t = t, .where = name };
	int ret;

	ret = only ? attach_one(&a, only, true) : pin_each(name, "progs", attach_each, &a);
	if (!ret && !a.taken)
		ret = fail("'%s' has no program for that: see costack prog list, and give dev IFACE or cgroup PATH",
			   name);
	if (ret)
		undo_links(&a);
	free(a.made);
	return ret;
}
