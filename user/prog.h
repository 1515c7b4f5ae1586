/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the commands of the object prog share. What is loaded lives in bpffs:
 *
 *	BPFFS/costack/NAME/progs/PROG		pinned programs
 *	BPFFS/costack/NAME/maps/MAP		pinned maps
 *	BPFFS/costack/NAME/links/PROG[-TARGET]	pinned links: what keeps it attached
 *	BPFFS/costack/NAME/sections/PROG	symbolic link to the section's name
 *
 * While it is made, the directory is called NAME~, and is renamed when all is
 * there: a loader that is killed leaves a NAME~, which list calls partial and
 * unload removes.
 */
#ifndef COSTACK_PROG_H
#define COSTACK_PROG_H

#include <limits.h>
#include <net/if.h>

#include <bpf/libbpf.h>

#define NAME_LEN	64
#define DEVS_MAX	64

/**
 * struct targets - what to attach to
 * @ifindex: interfaces
 * @ifname: their names
 * @nr: how many
 * @cgroup: path, or NULL
 */
struct targets {
	int ifindex[DEVS_MAX];
	char ifname[DEVS_MAX][IF_NAMESIZE];
	int nr;
	const char *cgroup;
};

/* pin.c */
int pin_check_name(const char *name);
int pin_path(char *buf, size_t len, const char *name, const char *sub, const char *leaf);
void pin_leaf(char *buf, size_t len, const char *a, const char *b);
int pin_remove(const char *path);
bool pin_exists(const char *name);

/* attach.c */
int targets_add_dev(struct targets *t, const char *ifname);
int attach_object(struct bpf_object *obj, const struct targets *t, const char *where,
		  int *unattached);
int attach_pinned(const char *name, const char *only, const struct targets *t);
int attach_needs(const struct bpf_program *prog, const struct targets *t);
void attach_prepare(struct bpf_program *prog);

/* load.c */
int prog_load(int argc, char **argv);

/* follow.c */
int prog_follow(int argc, char **argv);
int follow_name(const char *name, unsigned long count, unsigned long timeout);

#endif /* COSTACK_PROG_H */
