// SPDX-License-Identifier: GPL-2.0
/* Attaching, always by BPF links that are pinned, so that they outlive the tool. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "cmd.h"
#include "prog.h"

/**
 * enum target - what kind of thing a program is attached to
 * @TARGET_SELF: what its section names: a function, a tracepoint, a hook
 * @TARGET_DEV: an interface
 * @TARGET_CGROUP: a cgroup
 */
enum target {
	TARGET_SELF,
	TARGET_DEV,
	TARGET_CGROUP,
};

static enum target target_of(enum bpf_prog_type type, enum bpf_attach_type attach)
{
	switch (type) {
	case BPF_PROG_TYPE_XDP:
		return attach == BPF_XDP ? TARGET_DEV : TARGET_SELF;
	case BPF_PROG_TYPE_SCHED_CLS:
		return TARGET_DEV;
	case BPF_PROG_TYPE_CGROUP_SKB:
	case BPF_PROG_TYPE_CGROUP_SOCK:
	case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
	case BPF_PROG_TYPE_CGROUP_SOCKOPT:
	case BPF_PROG_TYPE_CGROUP_SYSCTL:
	case BPF_PROG_TYPE_CGROUP_DEVICE:
	case BPF_PROG_TYPE_SOCK_OPS:
		return TARGET_CGROUP;
	case BPF_PROG_TYPE_LSM:
		return attach == BPF_LSM_CGROUP ? TARGET_CGROUP : TARGET_SELF;
	default:
		return TARGET_SELF;
	}
}

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

/**
 * targets_add_dev() - one more interface
 * @t: to add to
 * @ifname: its name
 *
 * Return: an exit status.
 */
int targets_add_dev(struct targets *t, const char *ifname)
{
	int i;

	if (!ifname || !*ifname)
		return usage("dev wants an interface");
	if (t->nr == DEVS_MAX)
		return usage("more than %d interfaces", DEVS_MAX);
	t->ifindex[t->nr] = (int)if_nametoindex(ifname);
	if (!t->ifindex[t->nr])
		return fail("no interface '%.80s': ip link shows those that there are", ifname);
	for (i = 0; i < t->nr; i++) {
		if (t->ifindex[i] == t->ifindex[t->nr])
			return usage("dev %s is named twice", ifname);
	}
	snprintf(t->ifname[t->nr], IF_NAMESIZE, "%s", ifname);
	t->nr++;
	return CMD_OK;
}

/**
 * attach_prepare() - settle before loading how a program will be attached
 * @prog: the program
 *
 * A bare SEC("tc") or SEC("classifier") means ingress.
 */
void attach_prepare(struct bpf_program *prog)
{
	if (bpf_program__type(prog) == BPF_PROG_TYPE_SCHED_CLS)
		bpf_program__set_expected_attach_type(
			prog, tc_attach_type(bpf_program__expected_attach_type(prog)));
	else if (bpf_program__type(prog) == BPF_PROG_TYPE_XDP &&
		 bpf_program__expected_attach_type(prog) == 0)
		bpf_program__set_expected_attach_type(prog, BPF_XDP);
}

/**
 * attach_needs() - is what the program is attached to given?
 * @prog: the program
 * @t: what is given
 *
 * Return: CMD_OK, or CMD_FAILED after saying what is missing.
 */
int attach_needs(const struct bpf_program *prog, const struct targets *t)
{
	switch (target_of(bpf_program__type(prog), bpf_program__expected_attach_type(prog))) {
	case TARGET_DEV:
		if (!t->nr)
			return fail("program %s (%s) wants an interface: add dev IFACE, or noattach",
				    bpf_program__name(prog), bpf_program__section_name(prog));
		return CMD_OK;
	case TARGET_CGROUP:
		if (!t->cgroup)
			return fail("program %s (%s) wants a cgroup: add cgroup PATH, or noattach",
				    bpf_program__name(prog), bpf_program__section_name(prog));
		return CMD_OK;
	default:
		return CMD_OK;
	}
}

static int fail_attach(const char *prog, const char *target, int err)
{
	switch (err) {
	case -EBUSY:
	case -EEXIST:
		return fail("cannot attach %s to %s: already attached there: detach what is, or choose another",
			    prog, target);
	case -EPERM:
	case -EACCES:
		return fail("cannot attach %s to %s: no rights: run as root", prog, target);
	case -EOPNOTSUPP:
		return fail("cannot attach %s to %s: not supported there by this kernel or driver",
			    prog, target);
	case -ENOENT:
	case -ESRCH:
		return fail("cannot attach %s to %s: there is no such thing on this kernel",
			    prog, target);
	default:
		return fail("cannot attach %s to %s: %s: -d shows more", prog, target,
			    strerror(-err));
	}
}

/* Links pinned so far: what prog attach undoes when a later one fails. */
static char *pinned[1024];
static size_t nr_pinned;

static void undo_links(void)
{
	while (nr_pinned) {
		unlink(pinned[--nr_pinned]);
		free(pinned[nr_pinned]);
	}
}

static int pin_link(int fd, const char *where, const char *prog, const char *target)
{
	char leaf[128], path[PATH_MAX];

	pin_leaf(leaf, sizeof(leaf), prog, target);
	if (pin_path(path, sizeof(path), where, "links", leaf))
		return CMD_FAILED;
	if (fd >= 0 && !bpf_obj_pin(fd, path)) {
		if (nr_pinned < sizeof(pinned) / sizeof(pinned[0]))
			pinned[nr_pinned++] = strdup(path);
		return CMD_OK;
	}
	if (fd >= 0 && errno == EEXIST)
		return fail("%s is attached%s%s already: see costack prog list", prog,
			    target ? " to " : "", target ?: "");
	return fail("cannot pin the link of %s: %s: it would be detached when this tool ends",
			    prog, fd < 0 ? "it has none" : strerror(errno));
}

/* Pin the link that libbpf made, and let go of it. */
static int keep_link(struct bpf_link *link, const char *where, const char *prog, const char *target)
{
	int ret = pin_link(bpf_link__fd(link), where, prog, target);

	/* With the pin in place this closes a descriptor; without, it detaches. */
	bpf_link__destroy(link);
	return ret;
}

static void note_generic_xdp(const char *prog, int ifindex, const char *ifname)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	if (!bpf_xdp_query(ifindex, 0, &query) && query.attach_mode == XDP_ATTACHED_SKB)
		note("%s on %s runs in generic mode: the driver has no XDP", prog, ifname);
}

static int attach_dev(int prog_fd, const char *prog, enum bpf_prog_type type,
		      enum bpf_attach_type attach, const struct targets *t, const char *where)
{
	int i, fd, ret;

	if (type == BPF_PROG_TYPE_SCHED_CLS)
		attach = tc_attach_type(attach);
	for (i = 0; i < t->nr; i++) {
		fd = bpf_link_create(prog_fd, t->ifindex[i], attach, NULL);
		if (fd < 0)
			return fail_attach(prog, t->ifname[i], -errno);
		ret = pin_link(fd, where, prog, t->ifname[i]);
		close(fd);
		if (ret)
			return ret;
		if (type == BPF_PROG_TYPE_XDP)
			note_generic_xdp(prog, t->ifindex[i], t->ifname[i]);
	}
	return CMD_OK;
}

static int attach_cgroup(int prog_fd, const char *prog, enum bpf_attach_type attach,
			 const char *path, const char *where)
{
	struct statfs st;
	int cgroup, fd, ret;

	cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0)
		return fail("cannot open cgroup %.200s: %s", path, strerror(errno));
	if (fstatfs(cgroup, &st) || (unsigned long)st.f_type != CGROUP2_SUPER_MAGIC) {
		close(cgroup);
		return fail("%.200s is no cgroup: give a directory of a cgroup2 file system, such as /sys/fs/cgroup",
			    path);
	}
	fd = bpf_link_create(prog_fd, cgroup, attach, NULL);
	ret = fd < 0 ? -errno : 0;
	close(cgroup);
	if (fd < 0)
		return fail_attach(prog, path, ret);
	ret = pin_link(fd, where, prog, "cgroup");
	close(fd);
	return ret;
}

/* Attach to what the section names. Sets *unattached where it names nothing. */
static int attach_self(struct bpf_program *prog, const char *where, int *unattached)
{
	struct bpf_link *link;
	int err;

	link = bpf_program__attach(prog);
	if (link)
		return keep_link(link, where, bpf_program__name(prog), NULL);
	err = -errno;
	/* libbpf's word for a section that cannot be attached by itself. */
	if (err == -EOPNOTSUPP || err == -EINVAL) {
		if (!strchr(bpf_program__section_name(prog), '/')) {
			(*unattached)++;
			return CMD_OK;
		}
	}
	return fail_attach(bpf_program__name(prog), bpf_program__section_name(prog), err);
}

/**
 * attach_object() - attach all programs and struct_ops of a loaded object
 * @obj: the object
 * @t: interfaces and cgroup
 * @where: name under which links are pinned
 * @unattached: written: programs that are only called, not attached
 *
 * Return: an exit status. After a failure some may be attached.
 */
int attach_object(struct bpf_object *obj, const struct targets *t, const char *where,
		  int *unattached)
{
	struct bpf_program *prog;
	struct bpf_link *link;
	struct bpf_map *map;
	int ret;

	*unattached = 0;
	bpf_object__for_each_program(prog, obj) {
		enum bpf_prog_type type = bpf_program__type(prog);
		enum bpf_attach_type attach = bpf_program__expected_attach_type(prog);
		const char *name = bpf_program__name(prog);
		int fd = bpf_program__fd(prog);

		/* Not loaded (autoload off), or attached as part of its map. */
		if (fd < 0 || type == BPF_PROG_TYPE_STRUCT_OPS)
			continue;
		switch (target_of(type, attach)) {
		case TARGET_DEV:
			ret = attach_dev(fd, name, type, attach, t, where);
			break;
		case TARGET_CGROUP:
			/* "cgroup/skb" has no direction of its own. */
			if (type == BPF_PROG_TYPE_CGROUP_SKB && attach == 0 &&
			    !strcmp(bpf_program__section_name(prog), "cgroup/skb"))
				attach = BPF_CGROUP_INET_INGRESS;
			ret = attach_cgroup(fd, name, attach, t->cgroup, where);
			break;
		default:
			ret = attach_self(prog, where, unattached);
		}
		if (ret)
			return ret;
	}
	bpf_object__for_each_map(map, obj) {
		if (bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS || bpf_map__fd(map) < 0)
			continue;
		if (!(bpf_map__map_flags(map) & BPF_F_LINK))
			return fail("struct_ops %s has no link and could not outlive this tool: put it into SEC(\".struct_ops.link\")",
				    bpf_map__name(map));
		link = bpf_map__attach_struct_ops(map);
		if (!link)
			return fail_attach(bpf_map__name(map), "its struct_ops type", -errno);
		ret = keep_link(link, where, bpf_map__name(map), NULL);
		if (ret)
			return ret;
	}
	return CMD_OK;
}

/* Attach one pinned program, whose section says to what. */
static int attach_one(const char *name, const char *leaf, const struct targets *t, bool only)
{
	enum bpf_attach_type attach;
	enum bpf_prog_type type;
	char path[PATH_MAX], section[256];
	ssize_t n;
	int fd, link, ret;

	if (pin_path(path, sizeof(path), name, "sections", leaf))
		return CMD_FAILED;
	n = readlink(path, section, sizeof(section) - 1);
	if (n < 0)
		return fail("'%s' has no program %s: see costack prog list", name, leaf);
	section[n] = '\0';
	if (libbpf_prog_type_by_name(section, &type, &attach))
		return fail("section %s of %s is unknown to this libbpf: load again without noattach",
			    section, leaf);
	if (pin_path(path, sizeof(path), name, "progs", leaf))
		return CMD_FAILED;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fail("cannot open %s: %s", path, strerror(errno));
	switch (target_of(type, type == BPF_PROG_TYPE_XDP && !attach ? BPF_XDP : attach)) {
	case TARGET_DEV:
		if (!t->nr)
			ret = fail("program %s (%s) wants an interface: add dev IFACE", leaf,
				   section);
		else
			ret = attach_dev(fd, leaf, type,
					 type == BPF_PROG_TYPE_XDP ? BPF_XDP : attach, t, name);
		break;
	case TARGET_CGROUP:
		if (!t->cgroup)
			ret = fail("program %s (%s) wants a cgroup: add cgroup PATH", leaf,
				   section);
		else
			ret = attach_cgroup(fd, leaf, attach, t->cgroup, name);
		break;
	default:
		/* As at load: a section that names no hook is only called. */
		if (!only && !strchr(section, '/')) {
			ret = CMD_OK;
			break;
		}
		if (type != BPF_PROG_TYPE_TRACING && type != BPF_PROG_TYPE_LSM) {
			ret = fail("program %s (%s) can only be attached while it is loaded: unload, and load without noattach",
				   leaf, section);
			break;
		}
		link = bpf_link_create(fd, 0, attach, NULL);
		if (link < 0) {
			ret = fail_attach(leaf, section, -errno);
			break;
		}
		ret = pin_link(link, name, leaf, NULL);
		close(link);
	}
	close(fd);
	return ret;
}

/**
 * attach_pinned() - attach programs that were loaded with noattach
 * @name: what they were loaded as
 * @only: one program, or NULL for all
 * @t: interfaces and cgroup
 *
 * Return: an exit status. After a failure nothing more is attached than before.
 */
int attach_pinned(const char *name, const char *only, const struct targets *t)
{
	char progs[PATH_MAX];
	int ret = CMD_OK, n = 0;
	struct dirent *d;
	DIR *handle;

	if (only) {
		ret = attach_one(name, only, t, true);
		goto out;
	}
	if (pin_path(progs, sizeof(progs), name, "progs", NULL))
		return CMD_FAILED;
	handle = opendir(progs);
	if (!handle)
		return fail("cannot read %s: %s", progs, strerror(errno));
	while (!ret && (d = readdir(handle))) {
		if (d->d_name[0] == '.')
			continue;
		ret = attach_one(name, d->d_name, t, false);
		n++;
	}
	closedir(handle);
	if (!ret && !n)
		ret = fail("'%s' has no programs", name);
out:
	if (ret)
		undo_links();
	return ret;
}
