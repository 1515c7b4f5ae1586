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
 * unload removes. Who makes, changes or removes a directory holds a lock (flock)
 * on it, which the kernel drops when its holder dies; who follows holds one on
 * the directory maps.
 */
#ifndef COSTACK_PROG_H
#define COSTACK_PROG_H

#include <limits.h>
#include <net/if.h>

#include <bpf/bpf.h>
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

/**
 * enum target - what kind of thing a program is attached to
 * @TARGET_SELF: what its section names: a function, a tracepoint, a hook
 * @TARGET_DEV: an interface
 * @TARGET_CGROUP: a cgroup
 * @TARGET_NONE: nothing; other programs, maps or sockets call it
 */
enum target {
	TARGET_SELF,
	TARGET_DEV,
	TARGET_CGROUP,
	TARGET_NONE,
};

/* Beside exit statuses: a number of a type was taken meanwhile, try with another. */
#define LOAD_AGAIN	3

/* pin.c */
int pin_check_name(const char *name);
int pin_check_prog(const char *name);
int pin_path(char *buf, size_t len, const char *name, const char *sub, const char *leaf);
void pin_leaf(char *buf, size_t len, const char *a, const char *b);
int pin_remove(const char *name);
bool pin_is_ours(const char *name);
bool pin_exists(const char *name);
int pin_lock(const char *name, const char *sub, int *fd);
bool pin_is_locked(const char *name);
int pin_each(const char *name, const char *sub, int (*func)(const char *leaf, void *arg),
	     void *arg);

/* targets.c */
int targets_add_dev(struct targets *t, const char *ifname);
int targets_check_cgroup(const struct targets *t);
enum target target_of(enum bpf_prog_type type, enum bpf_attach_type attach);

/* attach.c */
int attach_check(struct bpf_object *obj, const struct targets *t);
int attach_object(struct bpf_object *obj, const struct targets *t, const char *where);
int attach_pinned(const char *name, const char *only, const struct targets *t);

/* ids.c */
int ids_assign(struct bpf_object *obj, bool again);
bool ids_is_type(const struct bpf_map *map);
bool ids_may_change(const struct bpf_map *map);
bool ids_any(void);
int ids_fail(const struct bpf_map *map);
__u32 ids_of_map(int fd, const struct bpf_map_info *info);

/* klog.c */
void klog_start(void);
const char *klog_reason(const struct bpf_object *obj);

/* load.c */
int prog_load(int argc, char **argv);

/* explain.c */
int explain_open(const char *file, int err);
int explain_load(const struct bpf_object *obj, const char *file, int err);
int explain_type(const struct bpf_object *obj, const struct bpf_map *map, int err);

/* list.c */
int prog_list(int argc, char **argv);
struct json_object *list_name(const char *name);
void list_print(struct json_object *obj);

/* unload.c */
int prog_unload(int argc, char **argv);

/* follow.c */
int prog_follow(int argc, char **argv);
int follow_name(const char *name, unsigned long count, unsigned long timeout);

#endif /* COSTACK_PROG_H */
