// SPDX-License-Identifier: GPL-2.0
/* costack prog load: an object file into the kernel, all or nothing. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "cmd.h"
#include "object.h"
#include "prog.h"

#define CLAIM_TRIES	20
#define ID_TRIES	8

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	interrupted = sig;
}

/**
 * struct load - what prog load was asked for
 * @file: object file
 * @name: name to load it as
 * @targets: what to attach to
 * @noattach: only load
 * @follow: follow afterwards
 * @count: for follow
 * @timeout: for follow
 */
struct load {
	const char *file;
	char name[NAME_MAX + 1];
	struct targets targets;
	bool noattach;
	bool follow;
	unsigned long count;
	unsigned long timeout;
};

static int check_interrupted(void)
{
	return interrupted ? fail("interrupted: everything is undone") : CMD_OK;
}

/* The first mkdir decides which of two loaders goes on. */
static int make_dir(const char *where)
{
	char path[PATH_MAX];

	if (pin_path(path, sizeof(path), where, NULL, NULL))
		return -ENAMETOOLONG;
	return mkdir(path, 0700) ? -errno : 0;
}

static int make_subdirs(const char *where)
{
	static const char * const subs[] = { "progs", "maps", "links", "sections" };
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof(subs) / sizeof(subs[0]); i++) {
		if (pin_path(path, sizeof(path), where, subs[i], NULL))
			return CMD_FAILED;
		if (mkdir(path, 0700))
			return fail("cannot make %s: %s", path, strerror(errno));
	}
	return CMD_OK;
}

static int pin_prog(const struct bpf_program *prog, const char *where)
{
	char path[PATH_MAX], leaf[NAME_MAX + 1];

	pin_leaf(leaf, sizeof(leaf), bpf_program__name(prog), NULL);
	if (pin_path(path, sizeof(path), where, "progs", leaf))
		return CMD_FAILED;
	if (bpf_obj_pin(bpf_program__fd(prog), path))
		return fail("cannot pin program %s: %s", bpf_program__name(prog), strerror(errno));
	if (pin_path(path, sizeof(path), where, "sections", leaf))
		return CMD_FAILED;
	if (symlink(bpf_program__section_name(prog), path))
		return fail("cannot note the section of program %s: %s", bpf_program__name(prog),
			    strerror(errno));
	return CMD_OK;
}

static int pin_map(const struct bpf_map *map, const char *where)
{
	const char *name = bpf_map__name(map), *dot = strchr(name, '.');
	char path[PATH_MAX], leaf[NAME_MAX + 1];

	/* libbpf calls global data OBJECT.bss, .data.my and so on. */
	if (bpf_map__is_internal(map) && dot && dot[1])
		pin_leaf(leaf, sizeof(leaf), dot + 1, NULL);
	else
		pin_leaf(leaf, sizeof(leaf), name, NULL);
	if (pin_path(path, sizeof(path), where, "maps", leaf))
		return CMD_FAILED;
	if (!bpf_obj_pin(bpf_map__fd(map), path))
		return CMD_OK;
	return fail("cannot pin map %s: %s", name, strerror(errno));
}

static int pin_object(struct bpf_object *obj, const char *where)
{
	struct bpf_program *prog;
	struct bpf_map *map;
	int ret;

	bpf_object__for_each_program(prog, obj) {
		ret = bpf_program__fd(prog) < 0 ? CMD_OK : pin_prog(prog, where);
		if (ret)
			return ret;
	}
	bpf_object__for_each_map(map, obj) {
		ret = bpf_map__fd(map) < 0 ? CMD_OK : pin_map(map, where);
		if (ret)
			return ret;
	}
	return CMD_OK;
}

static int load_into(struct bpf_object *obj, const struct load *l, const char *where)
{
	int ret, err;

	ret = check_interrupted();
	if (ret)
		return ret;
	log_start();
	klog_start();
	err = bpf_object__load(obj);
	if (err)
		return check_interrupted() ?: explain_load(obj, l->file, err);
	ret = check_interrupted() ?: pin_object(obj, where) ?: check_interrupted();
	if (!ret && !l->noattach)
		ret = attach_object(obj, &l->targets, where);
	return ret ?: check_interrupted();
}

static void report(const struct load *l)
{
	struct json_object *obj = list_name(l->name), *progs;
	size_t n;

	if (opts.json) {
		print_json(obj);
	} else {
		json_object_object_get_ex(obj, "programs", &progs);
		n = json_object_array_length(progs);
		printf("%s: %zu program%s loaded%s\n", l->name, n, n == 1 ? "" : "s",
		       l->noattach ? ", not attached" : "");
		fflush(stdout);
	}
	json_object_put(obj);
}

/* Make the directory NAME~ and take the lock on it: from here on it is ours. */
static int claim(const char *name, const char *partial, int *lock)
{
	char top[PATH_MAX];
	bool locked = false;
	int ret, tries;

	if (pin_path(top, sizeof(top), NULL, NULL, NULL))
		return CMD_FAILED;
	for (tries = 0; tries < CLAIM_TRIES; tries++) {
		if (mkdir(top, 0700) && errno != EEXIST)
			return fail("cannot make %s: %s", top, strerror(errno));
		ret = make_dir(partial);
		if (!ret || (ret != -EEXIST && ret != -ENOENT))
			break;
		locked = ret == -EEXIST && pin_is_locked(partial);
		if (locked)
			break;
		/*
		 * Who has just made it has not locked it yet; or the last unload has
		 * removed the directory of all.
		 */
		usleep(10000);
	}
	if (locked)
		return fail("'%s' is being loaded by another costack: wait, or choose another name: name NAME",
			    name);
	if (ret == -EEXIST)
		return fail("a loader of '%s' was killed: costack prog unload %s removes what it left",
			    name, name);
	if (ret < 0)
		return fail("cannot make %s/%s: %s", top, partial, strerror(-ret));
	ret = pin_lock(partial, NULL, lock);
	if (ret)
		return fail("'%s' is being unloaded by another costack: try again", name);
	return CMD_OK;
}

static int load_object(struct bpf_object *obj, struct load *l)
{
	char dir[PATH_MAX], done[PATH_MAX], top[PATH_MAX], partial[NAME_MAX + 2];
	struct bpf_program *prog;
	struct bpf_map *map;
	int ret, err, lock, n = 0;

	bpf_object__for_each_program(prog, obj)
		n++;
	if (!n)
		return fail("%.200s has no BPF programs: nothing to load", l->file);
	/* Maps that ask to be pinned elsewhere would be traces that unload leaves. */
	bpf_object__for_each_map(map, obj)
		bpf_map__set_pin_path(map, NULL);
	ret = attach_check(obj, l->noattach ? NULL : &l->targets);
	if (ret)
		return ret;

	snprintf(partial, sizeof(partial), "%s~", l->name);
	if (pin_path(dir, sizeof(dir), partial, NULL, NULL) ||
	    pin_path(done, sizeof(done), l->name, NULL, NULL) ||
	    pin_path(top, sizeof(top), NULL, NULL, NULL))
		return CMD_FAILED;
	ret = claim(l->name, partial, &lock);
	if (ret)
		return ret;
	ret = make_subdirs(partial);
	if (!ret && pin_exists(l->name))
		ret = fail("'%s' is loaded already: unload it, or choose another name: name NAME",
			   l->name);
	if (!ret)
		ret = load_into(obj, l, partial);
	if (!ret && rename(dir, done))
		ret = fail("cannot rename %s: %s", dir, strerror(errno));
	if (ret) {
		err = pin_remove(partial);
		rmdir(top);	/* stays when others are in it */
		if (err)
			note("cannot remove %s: %s: costack prog unload %s", dir, strerror(-err),
			     l->name);
	}
	close(lock);
	return ret;
}

/* Open and load the object. @again: not the first try. */
static int open_and_load(const struct object_file *file, struct load *l, bool again)
{
	LIBBPF_OPTS(bpf_object_open_opts, open_opts);
	struct bpf_object *obj;
	int ret;

	log_start();
	open_opts.object_name = l->name;
	open_opts.kernel_log_level = opts.debug ? 1 : 0;
	obj = bpf_object__open_mem(file->data, file->size, &open_opts);
	if (!obj)
		return explain_open(l->file, -errno);
	ret = ids_assign(obj, again) ?: load_object(obj, l);
	bpf_object__close(obj);
	return ret;
}

/* "dir/sni.bpf.o" is loaded as "sni". */
static void default_name(char *name, size_t len, const char *file)
{
	const char *base = strrchr(file, '/');

	base = base ? base + 1 : file;
	snprintf(name, len, "%.*s", (int)strcspn(base, "."), base);
}

static int parse_load(int argc, char **argv, struct load *l)
{
	const char *word;
	int i, ret = CMD_OK;

	if (argc < 1 || !*argv[0])
		return usage("prog load wants a FILE: see costack prog help");
	l->file = argv[0];
	default_name(l->name, sizeof(l->name), l->file);
	for (i = 1; !ret && i < argc; i++) {
		word = argv[i];
		if (is_word(word, "name")) {
			if (!argv[++i])
				return usage("name wants a NAME");
			snprintf(l->name, sizeof(l->name), "%s", argv[i]);
		} else if (is_word(word, "dev")) {
			ret = targets_add_dev(&l->targets, argv[++i]);
		} else if (is_word(word, "cgroup")) {
			l->targets.cgroup = argv[++i];
			if (!l->targets.cgroup || !*l->targets.cgroup)
				return usage("cgroup wants a PATH");
		} else if (is_word(word, "noattach")) {
			l->noattach = true;
		} else if (is_word(word, "follow") || !strcmp(word, "--follow")) {
			l->follow = true;
		} else if (is_word(word, "count")) {
			ret = parse_number(argv[++i], "count", 1000000000, &l->count);
		} else if (is_word(word, "timeout")) {
			ret = parse_number(argv[++i], "timeout", 1000000, &l->timeout);
		} else {
			return usage("prog load takes no '%.80s': see costack prog help", word);
		}
	}
	if (!ret && !l->follow && (l->count || l->timeout))
		return usage("count and timeout are for follow: add --follow");
	if (!ret && l->noattach && (l->targets.nr || l->targets.cgroup))
		return usage("noattach with dev or cgroup: leave out one");
	return ret ?: pin_check_name(l->name) ?: targets_check_cgroup(&l->targets);
}

/**
 * prog_load() - the command prog load
 * @argc: number of words
 * @argv: FILE and what follows it
 *
 * Return: an exit status. After a failure nothing is left in the kernel.
 */
int prog_load(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	char release[128] = "unknown";
	struct object_file file = {};
	struct load l = {};
	int ret, tries;

	ret = parse_load(argc, argv, &l) ?: object_read(l.file, &file);
	if (ret)
		goto out;
	if (!kernel_supported(release, sizeof(release))) {
		ret = fail("kernel %s is too old: costack needs Linux 6.12 or newer", release);
		goto out;
	}
	ret = need_rights() ?: need_bpffs();
	if (ret)
		goto out;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	/* Between the choice of a number and its use another loader may take it. */
	for (tries = 0, ret = LOAD_AGAIN; ret == LOAD_AGAIN && tries < ID_TRIES; tries++)
		ret = open_and_load(&file, &l, tries);
	if (ret == LOAD_AGAIN)
		ret = fail("the numbers chosen for the types of %.200s were taken by others each time: try again",
			   l.file);
	if (!ret && !l.follow)
		report(&l);
	if (!ret && l.follow)
		ret = follow_name(l.name, l.count, l.timeout);
out:
	object_free(&file);
	return ret;
}
