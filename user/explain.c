// SPDX-License-Identifier: GPL-2.0
/* Why an object could not be opened or loaded, in one line. */
#include <errno.h>
#include <string.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "cmd.h"
#include "prog.h"

#define KFUNC_PREFIX	"bpf_costack_"

/* ENOTSUPP, which only the kernel knows. */
#define ENOTSUPP_KERNEL	524

/* The name of a kfunc of costack that the object calls, or NULL. */
static const char *calls_costack(const struct bpf_object *obj)
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
		if (name && !strncmp(name, KFUNC_PREFIX, strlen(KFUNC_PREFIX)))
			return name;
	}
	return NULL;
}

/* A program of a type that this kernel was built without. */
static const struct bpf_program *lacking_type(const struct bpf_object *obj)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj) {
		enum bpf_prog_type type = bpf_program__type(prog);

		if (!bpf_program__autoload(prog))
			continue;
		if (type == BPF_PROG_TYPE_UNSPEC || libbpf_probe_bpf_prog_type(type, NULL) == 0)
			return prog;
	}
	return NULL;
}

static bool is_body(const struct bpf_object *obj, const char *name)
{
	const struct bpf_program *prog = bpf_object__find_program_by_name(obj, name);

	return prog && bpf_program__type(prog) == BPF_PROG_TYPE_STRUCT_OPS && calls_costack(obj);
}

static int explain_refusal(const struct bpf_object *obj, const char *prog, const char *reason,
			   int err)
{
	const char *todo = "mend it, -d shows the whole log";

	if (strstr(reason, "of struct costack_ops")) {
		todo = "the kernel log says why (dmesg)";
	} else if (strstr(reason, "program of this type cannot use helper") &&
		   is_body(obj, prog)) {
		todo = "costack.bpf.h says what a body may call";
	} else if (strstr(reason, KFUNC_PREFIX)) {
		if (strstr(reason, "wasn't resolved"))
			todo = "use the program and the module of the same version";
		else if (strstr(reason, "is not allowed"))
			todo = "costack.bpf.h says which programs may call it";
	}
	return fail("the kernel refuses program %s: %s: %s", prog,
		    *reason ? reason : strerror(-err), todo);
}

/**
 * explain_load() - say why libbpf could not load an object
 * @obj: the object
 * @file: where it came from
 * @err: what libbpf returned
 *
 * Return: CMD_FAILED.
 */
int explain_load(const struct bpf_object *obj, const char *file, int err)
{
	const char *prog, *reason, *said, *kfunc = calls_costack(obj), *first = log_first();
	const struct bpf_program *lacking;

	if (kfunc && !module_loaded())
		return fail("%.200s calls %.80s, but the module costack is not loaded: insmod kmod/costack.ko, or modprobe costack",
			    file, kfunc);
	if (kfunc && !module_has_btf())
		return fail("the module costack has no BTF, so programs cannot call it: install pahole and the kernel's headers, then build and load it again");
	if (ids_any() && !libbpf_loads_types())
		return fail("libbpf %s cannot load the types of coroutines in %.200s: install libbpf 1.4 or newer",
			    libbpf_version_string(), file);
	if (ids_any() && err == -ENOTSUPP_KERNEL)
		return fail("%.200s has coroutines, and this kernel has none: costack status says why",
			    file);
	said = klog_reason(obj);
	if (*said)
		return fail("the module refuses %s", said);
	if (log_refusal(&prog, &reason))
		return explain_refusal(obj, prog, reason, err);
	if (err == -EPERM || err == -EACCES)
		return fail("the kernel does not let %.200s in: %s: run as root; under lockdown some kinds of programs never are (costack status)",
			    file, *first ? first : strerror(-err));
	if (err == -ENOMEM)
		return fail("no memory to load %.200s: make its maps smaller, or raise RLIMIT_MEMLOCK or the memory limit of the cgroup",
			    file);
	if (err == -E2BIG)
		return fail("%.200s is too large for the kernel: %s: make its programs or maps smaller",
			    file, *first ? first : strerror(-err));
	if (err == -ESRCH || err == -ENOENT)
		return fail("%.200s refers to what this kernel has not: %s: -d shows more", file,
			    *first ? first : strerror(-err));
	lacking = lacking_type(obj);
	if (lacking)
		return fail("this kernel has no programs of the type that %s wants (section %s): use another kernel or section",
			    bpf_program__name(lacking), bpf_program__section_name(lacking));
	return fail("cannot load %.200s: %s: -d shows more", file,
		    *first ? first : strerror(-err));
}

/**
 * explain_type() - say why a type of coroutines could not be attached
 * @obj: the object
 * @map: the type
 * @err: what libbpf returned
 *
 * Return: CMD_FAILED.
 */
int explain_type(const struct bpf_object *obj, const struct bpf_map *map, int err)
{
	const char *said = klog_reason(obj), *first = log_first();

	if (err == -EEXIST)
		return ids_fail(map);
	if (*said)
		return fail("the module refuses %s", said);
	return fail("cannot attach %s: %s: the kernel log may say more (dmesg)",
		    bpf_map__name(map), *first ? first : strerror(-err));
}

/**
 * explain_open() - say why libbpf could not open an object
 * @file: where it came from
 * @err: what libbpf returned
 *
 * Return: CMD_FAILED.
 */
int explain_open(const char *file, int err)
{
	const char *first = log_first();

	if (err == -ENOMEM)
		return fail("no memory to read %.200s", file);
	if (err == -ENOTSUP)
		return fail("%.200s has something that this libbpf does not know: %s", file,
			    *first ? first : "-d shows what");
	return fail("%.200s is damaged or no BPF object file: %s: compile it again (clang -g -O2 -target bpf)",
		    file, *first ? first : strerror(-err));
}
