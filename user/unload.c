// SPDX-License-Identifier: GPL-2.0
/* costack prog unload: detach, unpin, and wait for the kernel to have freed it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "cmd.h"
#include "prog.h"

#define WAIT_MS		5000
#define STABLE_MS	1500
#define STEP_MS		10

/**
 * struct ids - programs to wait for
 * @name: what they are pinned below
 * @id: their ids
 * @nr: how many
 */
struct ids {
	const char *name;
	__u32 *id;
	int nr;
};

static int collect_id(const char *leaf, void *arg)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	struct ids *ids = arg;
	char path[PATH_MAX];
	__u32 *more;
	int fd;

	if (pin_path(path, sizeof(path), ids->name, "progs", leaf))
		return CMD_OK;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return CMD_OK;
	more = realloc(ids->id, (size_t)(ids->nr + 1) * sizeof(*more));
	if (more) {
		ids->id = more;
		if (!bpf_prog_get_info_by_fd(fd, &info, &len))
			ids->id[ids->nr++] = info.id;
	}
	close(fd);
	return CMD_OK;
}

/* Even if somebody else has it open. Not all kinds can; those end with the pin. */
static int detach_link(const char *leaf, const char *name, bool struct_ops)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	bool is_struct_ops = false;
	char path[PATH_MAX];
	int fd;

	if (pin_path(path, sizeof(path), name, "links", leaf))
		return CMD_OK;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return CMD_OK;
	if (!bpf_link_get_info_by_fd(fd, &info, &len) && info.type == BPF_LINK_TYPE_STRUCT_OPS)
		is_struct_ops = true;
	if (is_struct_ops == struct_ops)
		bpf_link_detach(fd);
	close(fd);
	return CMD_OK;
}

static int detach_prog(const char *leaf, void *arg)
{
	return detach_link(leaf, arg, false);
}

static int detach_struct_ops(const char *leaf, void *arg)
{
	return detach_link(leaf, arg, true);
}

/* References to the module; 0 when it is not loaded. */
static long module_users(void)
{
	char buf[32];

	return strtol(read_line("/sys/module/costack/refcnt", buf, sizeof(buf)), NULL, 10);
}

static void step(int *waited)
{
	const struct timespec ts = { .tv_nsec = STEP_MS * 1000000 };

	nanosleep(&ts, NULL);
	*waited += STEP_MS;
}

/*
 * Programs, and with them their references to the module, go a moment after the
 * last reference: rmmod would fail. Others may use the module as well, so that its
 * count not changing any more ends the wait, too.
 */
static void wait_for_end(const struct ids *ids, long users)
{
	int i = 0, waited = 0, stable = 0, fd;
	long now, last = users;

	while (i < ids->nr && waited < WAIT_MS) {
		fd = bpf_prog_get_fd_by_id(ids->id[i]);
		if (fd < 0) {
			i++;
			continue;
		}
		close(fd);
		step(&waited);
	}
	if (i < ids->nr) {
		note("program %u lives on: somebody else holds it", ids->id[i]);
		return;
	}
	while (users && (now = module_users()) && waited < WAIT_MS && stable < STABLE_MS) {
		stable = now == last ? stable + STEP_MS : 0;
		last = now;
		step(&waited);
	}
}

/* Returns -ENOENT when there is nothing of that name, else an exit status. */
static int unload_one(const char *name, const char *shown)
{
	struct ids ids = { .name = name };
	long users = module_users();
	char dir[PATH_MAX];
	int lock, err, ret = CMD_OK;

	if (pin_path(dir, sizeof(dir), name, NULL, NULL))
		return CMD_FAILED;
	err = pin_lock(name, NULL, &lock);
	if (err == -ENOENT)
		return err;
	if (err == -EWOULDBLOCK)
		return fail("'%s' is being loaded, changed or unloaded by another costack: wait for it",
			    shown);
	if (err)
		return fail("cannot open %s: %s", dir, strerror(-err));
	pin_each(name, "progs", collect_id, &ids);
	/* What spawns coroutines goes before their types. */
	pin_each(name, "links", detach_prog, (void *)name);
	pin_each(name, "links", detach_struct_ops, (void *)name);
	err = pin_remove(name);
	if (err)
		ret = fail("cannot remove %s: %s", dir, strerror(-err));
	close(lock);
	if (!ret)
		wait_for_end(&ids, users);
	free(ids.id);
	return ret;
}

/**
 * prog_unload() - the command prog unload
 * @argc: number of words
 * @argv: NAME
 *
 * Return: an exit status.
 */
int prog_unload(int argc, char **argv)
{
	char partial[NAME_LEN + 1], top[PATH_MAX];
	int ret, part;

	if (argc != 1)
		return usage("prog unload wants one NAME: see costack prog list");
	ret = pin_check_name(argv[0]) ?: need_rights() ?: need_bpffs();
	if (ret)
		return ret;
	snprintf(partial, sizeof(partial), "%s~", argv[0]);
	/* The partial one first: it may become the whole one meanwhile. */
	part = unload_one(partial, argv[0]);
	if (part > 0)
		return part;
	ret = unload_one(argv[0], argv[0]);
	if (!pin_path(top, sizeof(top), NULL, NULL, NULL))
		rmdir(top);	/* stays when others are in it */
	if (ret == -ENOENT && part == -ENOENT)
		return fail("nothing is loaded as '%s': see costack prog list", argv[0]);
	if (ret > 0)
		return ret;
	if (opts.json) {
		struct json_object *obj = json_object_new_object();

		add_text(obj, "unloaded", argv[0]);
		print_json(obj);
		json_object_put(obj);
	}
	return CMD_OK;
}
