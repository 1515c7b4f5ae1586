// SPDX-License-Identifier: GPL-2.0
/* costack prog load: an object file into the kernel, all or nothing. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "cmd.h"
#include "prog.h"

#define OBJECT_MAX	(64 << 20)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE_DATA	ELFDATA2LSB
#else
#define NATIVE_DATA	ELFDATA2MSB
#endif

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

/* Say what is wrong with a file before libbpf, which says less, sees it. */
static int check_file(const char *file)
{
	Elf64_Ehdr hdr;
	struct stat st;
	ssize_t n;
	int fd;

	if (stat(file, &st))
		return fail("cannot open %.200s: %s", file, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return fail("%.200s is a directory: give a BPF object file (clang -target bpf)",
			    file);
	/* A FIFO would be waited for, a device has no end. */
	if (!S_ISREG(st.st_mode))
		return fail("%.200s is no regular file: give a BPF object file (clang -target bpf)",
			    file);
	if (st.st_size > OBJECT_MAX)
		return fail("%.200s is larger than %d MB: that is no BPF object file", file,
			    OBJECT_MAX >> 20);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail("cannot open %.200s: %s", file, strerror(errno));
	n = read(fd, &hdr, sizeof(hdr));
	close(fd);
	if (n == 0)
		return fail("%.200s is empty: did the compiler fail?", file);
	if (n < SELFMAG || memcmp(hdr.e_ident, ELFMAG, SELFMAG))
		return fail("%.200s is no ELF file: give a BPF object file (clang -target bpf)",
			    file);
	if (n < (ssize_t)sizeof(hdr))
		return fail("%.200s is truncated: compile it again", file);
	if (hdr.e_ident[EI_CLASS] != ELFCLASS64 || hdr.e_machine != EM_BPF)
		return fail("%.200s is made for another machine: compile it with clang -target bpf",
			    file);
	if (hdr.e_ident[EI_DATA] != NATIVE_DATA)
		return fail("%.200s has the other byte order: compile it with clang -target bpf on this machine",
			    file);
	return CMD_OK;
}

/* Does the object call a kfunc of costack? */
static bool uses_costack(const struct bpf_object *obj)
{
	const struct btf *btf = bpf_object__btf(obj);
	const struct btf_type *t;
	const char *name;
	__u32 i;

	for (i = 1; btf && i < btf__type_cnt(btf); i++) {
		t = btf__type_by_id(btf, i);
		if (!t || !btf_is_func(t))
			continue;
		name = btf__name_by_offset(btf, t->name_off);
		if (name && !strncmp(name, "bpf_costack_", strlen("bpf_costack_")))
			return true;
	}
	return false;
}

/* Is this line of a verifier log the reason, rather than its surroundings? */
static bool tells_reason(const char *line, size_t len)
{
	static const char * const noise[] = {
		"processed ", "verification time", "stack depth", "-- END", "-- BEGIN",
		"max_states", "mark_precise", "arg#", "libbpf:", "peak_states",
	};
	size_t i;

	if (!len)
		return false;
	/* "12: (85) call", "; source @ file", "R0=..." are the way there. */
	if (line[0] == ';' || (line[0] >= '0' && line[0] <= '9'))
		return false;
	for (i = 0; i < sizeof(noise) / sizeof(noise[0]); i++) {
		if (!strncmp(line, noise[i], strlen(noise[i])))
			return false;
	}
	return true;
}

/*
 * Find the program that the kernel refused and the last line that says why in
 * what libbpf printed.
 */
static bool find_refusal(char *prog, size_t prog_len, char *reason, size_t reason_len)
{
	static const char begin[] = "-- BEGIN PROG LOAD LOG --", end[] = "-- END PROG LOAD LOG --";
	const char *log = libbpf_log(), *b = NULL, *e, *line, *p;

	/* The last one: libbpf tries again for its own reasons. */
	for (p = log; (p = strstr(p, begin)); p++)
		b = p;
	if (!b)
		return false;
	e = strstr(b, end);
	if (!e)
		e = b + strlen(b);
	*prog = '\0';
	*reason = '\0';
	for (p = b; p > log; p--) {
		if (!strncmp(p, "prog '", 6)) {
			snprintf(prog, prog_len, "%.*s", (int)strcspn(p + 6, "'\n"), p + 6);
			break;
		}
	}
	for (line = strchr(b, '\n'); line && line < e; line = strchr(line, '\n')) {
		size_t len = strcspn(++line, "\n");

		if (line + len <= e && tells_reason(line, len))
			snprintf(reason, reason_len, "%.*s", (int)len, line);
	}
	return *prog != '\0';
}

static int explain_load(const struct bpf_object *obj, const char *file, int err)
{
	char prog[128], reason[1024];
	bool costack = uses_costack(obj);

	if (costack && !module_loaded())
		return fail("%.200s uses costack, but the module is not loaded: insmod kmod/costack.ko or modprobe costack",
			    file);
	if (costack && !module_has_btf())
		return fail("the module costack has no BTF, so programs cannot call it: install pahole and the kernel's headers, build and load it again");
	if (find_refusal(prog, sizeof(prog), reason, sizeof(reason)))
		return fail("the kernel refuses program %s: %s: -d shows the whole log", prog,
			    *reason ? reason : strerror(-err));
	switch (err) {
	case -EPERM:
		return fail("no rights to load %.200s: run as root", file);
	case -ENOMEM:
		return fail("no memory to load %.200s: make its maps smaller or raise RLIMIT_MEMLOCK",
			    file);
	case -E2BIG:
		return fail("%.200s is too large for the kernel: make its programs smaller", file);
	case -EINVAL:
	case -EOPNOTSUPP:
		return fail("this kernel cannot do what %.200s wants: %s: -d shows which program or map",
			    file, strerror(-err));
	case -ESRCH:
	case -ENOENT:
		return fail("%.200s refers to what this kernel has not: -d shows what", file);
	default:
		return fail("cannot load %.200s: %s: -d shows more", file, strerror(-err));
	}
}

static int explain_open(const char *file, int err)
{
	switch (-err) {
	case LIBBPF_ERRNO__FORMAT:
	case LIBBPF_ERRNO__LIBELF:
	case LIBBPF_ERRNO__ENDIAN:
	case LIBBPF_ERRNO__KVERSION:
	case LIBBPF_ERRNO__RELOC:
	case EINVAL:
	case ENOENT:
	case ESRCH:
	case ENODATA:
	case ERANGE:
		return fail("%.200s is damaged or no BPF object file: compile it again (clang -g -target bpf)",
			    file);
	case ENOTSUP:
		return fail("%.200s has a section or map that this libbpf does not know: -d shows which",
			    file);
	case ENOMEM:
		return fail("no memory to read %.200s", file);
	default:
		return fail("cannot read %.200s: %s: -d shows more", file, strerror(-err));
	}
}

static int check_interrupted(void)
{
	return interrupted ? fail("interrupted: everything is undone") : CMD_OK;
}

static int make_dirs(const char *where)
{
	static const char * const subs[] = { NULL, "progs", "maps", "links", "sections" };
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof(subs) / sizeof(subs[0]); i++) {
		if (pin_path(path, sizeof(path), where, subs[i], NULL))
			return CMD_FAILED;
		if (!mkdir(path, 0700))
			continue;
		/* The first mkdir decides which of two loaders goes on. */
		if (errno == EEXIST && !subs[i])
			return -EEXIST;
		return fail("cannot make %s: %s", path, strerror(errno));
	}
	return CMD_OK;
}

static int pin_prog(const struct bpf_program *prog, const char *where)
{
	char path[PATH_MAX], leaf[128];

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
	const char *name = bpf_map__name(map), *dot = strrchr(name, '.'), *tail = name;
	char path[PATH_MAX], leaf[128];

	/* libbpf calls global data OBJECT.bss and so on; the object is known. */
	if (bpf_map__is_internal(map) && dot && dot != name)
		tail = dot + 1;
	pin_leaf(leaf, sizeof(leaf), tail, NULL);
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
	int ret, err, unattached = 0;

	ret = check_interrupted();
	if (ret)
		return ret;
	err = bpf_object__load(obj);
	if (err)
		return explain_load(obj, l->file, err);
	ret = check_interrupted() ?: pin_object(obj, where) ?: check_interrupted();
	if (!ret && !l->noattach)
		ret = attach_object(obj, &l->targets, where, &unattached);
	if (!ret && unattached)
		note("%d program%s cannot be attached, only called", unattached,
		     unattached == 1 ? "" : "s");
	return ret ?: check_interrupted();
}

static void report(const struct load *l, const struct bpf_object *obj)
{
	struct bpf_program *prog;
	int n = 0;

	bpf_object__for_each_program(prog, obj)
		n += bpf_program__fd(prog) >= 0;
	if (opts.json) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "name", json_object_new_string(l->name));
		json_object_object_add(o, "programs", json_object_new_int(n));
		json_object_object_add(o, "attached", json_object_new_boolean(!l->noattach));
		print_json(o);
		json_object_put(o);
	} else {
		printf("%s: %d program%s loaded%s\n", l->name, n, n == 1 ? "" : "s",
		       l->noattach ? ", not attached" : "");
		fflush(stdout);
	}
}

static int load_object(struct bpf_object *obj, struct load *l)
{
	char top[PATH_MAX], dir[PATH_MAX], done[PATH_MAX], partial[NAME_MAX + 2];
	struct bpf_program *prog;
	int ret, n = 0;

	bpf_object__for_each_program(prog, obj) {
		n++;
		attach_prepare(prog);
		if (!l->noattach && bpf_program__autoload(prog)) {
			ret = attach_needs(prog, &l->targets);
			if (ret)
				return ret;
		}
	}
	if (!n)
		return fail("%.200s has no programs: nothing to load", l->file);

	snprintf(partial, sizeof(partial), "%s~", l->name);
	if (pin_path(top, sizeof(top), NULL, NULL, NULL) ||
	    pin_path(dir, sizeof(dir), partial, NULL, NULL) ||
	    pin_path(done, sizeof(done), l->name, NULL, NULL))
		return CMD_FAILED;
	if (mkdir(top, 0700) && errno != EEXIST)
		return fail("cannot make %s: %s", top, strerror(errno));
	ret = make_dirs(partial);
	if (ret == -EEXIST)
		return fail("'%s' is being loaded, or its loader was killed: costack prog unload %s removes what is left",
			    l->name, l->name);
	if (!ret && pin_exists(l->name))
		ret = fail("'%s' is loaded already: unload it, or choose another name: name NAME",
			   l->name);
	if (!ret)
		ret = load_into(obj, l, partial);
	if (!ret && rename(dir, done))
		ret = fail("cannot rename %s: %s", dir, strerror(errno));
	if (ret) {
		int err = pin_remove(dir);

		rmdir(top);	/* stays when others are in it */
		if (err)
			note("cannot remove %s: %s: costack prog unload %s", dir, strerror(-err),
			     l->name);
	}
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

	if (argc < 1)
		return usage("prog load wants a FILE: see costack prog help");
	l->file = argv[0];
	default_name(l->name, sizeof(l->name), l->file);
	for (i = 1; !ret && i < argc; i++) {
		word = argv[i];
		if (!strcmp(word, "name")) {
			snprintf(l->name, sizeof(l->name), "%s", argv[++i] ?: "");
		} else if (!strcmp(word, "dev")) {
			ret = targets_add_dev(&l->targets, argv[++i]);
		} else if (!strcmp(word, "cgroup")) {
			l->targets.cgroup = argv[++i];
			if (!l->targets.cgroup)
				ret = usage("cgroup wants a PATH");
		} else if (!strcmp(word, "noattach")) {
			l->noattach = true;
		} else if (!strcmp(word, "follow") || !strcmp(word, "--follow")) {
			l->follow = true;
		} else if (!strcmp(word, "count")) {
			ret = parse_number(argv[++i], "count", 1000000000, &l->count);
		} else if (!strcmp(word, "timeout")) {
			ret = parse_number(argv[++i], "timeout", 1000000, &l->timeout);
		} else {
			ret = usage("prog load takes no '%.80s': see costack prog help", word);
		}
	}
	return ret ?: pin_check_name(l->name);
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
	struct load l = {};
	struct bpf_object *obj;
	int ret;

	ret = parse_load(argc, argv, &l) ?: check_file(l.file);
	if (ret)
		return ret;
	if (!kernel_supported(release, sizeof(release)))
		return fail("kernel %s is too old: costack needs Linux 6.12 or newer", release);
	ret = need_rights() ?: need_bpffs();
	if (ret)
		return ret;

	libbpf_log_start();
	obj = bpf_object__open_file(l.file, NULL);
	if (!obj)
		return explain_open(l.file, -errno);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	ret = load_object(obj, &l);
	if (!ret && !l.follow)
		report(&l, obj);
	bpf_object__close(obj);
	if (!ret && l.follow)
		ret = follow_name(l.name, l.count, l.timeout);
	return ret;
}
