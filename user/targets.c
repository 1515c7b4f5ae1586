// SPDX-License-Identifier: GPL-2.0
/* What programs are attached to, and what kind of target each wants. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "cmd.h"
#include "prog.h"

/**
 * target_of() - what a program is attached to
 * @type: its type
 * @attach: its attach type
 *
 * Return: the kind of target.
 */
enum target target_of(enum bpf_prog_type type, enum bpf_attach_type attach)
{
	switch (type) {
	case BPF_PROG_TYPE_XDP:
		/* Other XDP programs are called from a devmap or cpumap. */
		return attach == BPF_XDP ? TARGET_DEV : TARGET_NONE;
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
	case BPF_PROG_TYPE_KPROBE:
	case BPF_PROG_TYPE_TRACEPOINT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
	case BPF_PROG_TYPE_TRACING:
	case BPF_PROG_TYPE_EXT:
	case BPF_PROG_TYPE_PERF_EVENT:
		return TARGET_SELF;
	default:
		return TARGET_NONE;
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
 * targets_check_cgroup() - is the cgroup, if one is named, one?
 * @t: targets
 *
 * Return: an exit status.
 */
int targets_check_cgroup(const struct targets *t)
{
	struct statfs fs;
	struct stat st;

	if (!t->cgroup)
		return CMD_OK;
	if (stat(t->cgroup, &st) || statfs(t->cgroup, &fs))
		return fail("no cgroup '%.200s': %s: give a directory of a cgroup2 file system",
			    t->cgroup, strerror(errno));
	if (!S_ISDIR(st.st_mode) || (unsigned long)fs.f_type != CGROUP2_SUPER_MAGIC)
		return fail("%.200s is no cgroup: give a directory of a cgroup2 file system, such as /sys/fs/cgroup",
			    t->cgroup);
	return CMD_OK;
}
