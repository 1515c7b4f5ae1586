// SPDX-License-Identifier: GPL-2.0
/*
 * Loads annotated programs one by one and looks at what the verifier says, and the
 * module, in the kernel's log.
 */
#include <regex.h>
#include <stdlib.h>
#include <bpf/btf.h>

#include "testing.h"

#define MAX_MSGS	8
#define LOG_SIZE	(1 << 20)

/**
 * struct spec - what the annotations of a program say
 * @marked: it has any
 * @failure: the verifier refuses it
 * @since: first kernel version that takes it nevertheless; 0: none
 * @needs: first kernel version that has what it calls; 0: any has
 * @run: it is run
 * @retval: what it returns then
 * @klog: text of the kernel's log
 * @attempt: what it tries; NULL: its name says it
 * @msg: texts of the verifier's log, by the order in the source; NULL between
 */
struct spec {
	bool marked, failure, run;
	unsigned int since, needs;
	int retval;
	const char *klog;
	const char *attempt;
	const char *msg[MAX_MSGS];
	unsigned int order[MAX_MSGS];
	int nr_msgs;
};

static void add_msg(struct spec *spec, unsigned int order, const char *msg)
{
	int i = spec->nr_msgs;

	if (i == MAX_MSGS)
		return;
	for (; i && spec->order[i - 1] > order; i--) {
		spec->order[i] = spec->order[i - 1];
		spec->msg[i] = spec->msg[i - 1];
	}
	spec->order[i] = order;
	spec->msg[i] = msg;
	spec->nr_msgs++;
}

static void read_spec(const struct btf *btf, const char *func, struct spec *spec)
{
	int id = btf__find_by_name_kind(btf, func, BTF_KIND_FUNC), i;
	unsigned int order, major, minor;
	const struct btf_type *t;
	const char *tag;

	memset(spec, 0, sizeof(*spec));
	for (i = 1; i < (int)btf__type_cnt(btf); i++) {
		t = btf__type_by_id(btf, i);
		if (!btf_is_decl_tag(t) || (int)t->type != id ||
		    btf_decl_tag(t)->component_idx != -1)
			continue;
		tag = btf__name_by_offset(btf, t->name_off);
		if (sscanf(tag, "test:%u:", &order) != 1)
			continue;
		spec->marked = true;
		tag = strchr(tag + 5, ':') + 1;
		if (!strncmp(tag, "msg=", 4)) {
			add_msg(spec, order, tag + 4);
		} else if (!strncmp(tag, "klog=", 5)) {
			spec->klog = tag + 5;
		} else if (!strncmp(tag, "attempt=", 8)) {
			spec->attempt = tag + 8;
		} else if (!strncmp(tag, "retval=", 7)) {
			spec->run = true;
			spec->retval = strtol(tag + 7, NULL, 0);
		} else if (!strcmp(tag, "failure")) {
			spec->failure = true;
		} else if (sscanf(tag, "needs=%u.%u", &major, &minor) == 2) {
			spec->needs = KERNEL(major, minor);
		} else if (sscanf(tag, "success_since=%u.%u", &major, &minor) == 2) {
			spec->failure = true;
			spec->since = KERNEL(major, minor);
		}
	}
	if (spec->since && kernel_version() >= spec->since)
		spec->failure = false;
}

/* Text with {{regex}} in it to an extended regular expression. */
static char *to_regex(const char *msg)
{
	char *regex = malloc(2 * strlen(msg) + 1), *to = regex;
	bool in_regex = false;

	if (!regex)
		return NULL;
	for (; *msg; msg++) {
		if (!strncmp(msg, in_regex ? "}}" : "{{", 2)) {
			*to++ = in_regex ? ')' : '(';
			in_regex = !in_regex;
			msg++;
			continue;
		}
		if (!in_regex && strchr("\\^$.[]|()?*+{}", *msg))
			*to++ = '\\';
		*to++ = *msg;
	}
	*to = 0;
	return regex;
}

/* Where the text ends in the log, or NULL. */
static const char *find_msg(const char *log, const char *msg)
{
	char *pattern = to_regex(msg);
	const char *end = NULL;
	regmatch_t match;
	regex_t regex;

	if (pattern && !regcomp(&regex, pattern, REG_EXTENDED)) {
		if (!regexec(&regex, log, 1, &match, 0))
			end = log + match.rm_eo;
		regfree(&regex);
	}
	free(pattern);
	return end;
}

/*
 * Is this line of a log one of the program's source? It may have the very text that is
 * looked for, in its annotations.
 */
static bool is_source(const char *line)
{
	unsigned int nr;
	int len = 0;

	if (!strncmp(line, "; ", 2))
		return true;
	line += strspn(line, " ");
	if (!strncmp(line, ">>> ", 4))
		line += 4;
	return sscanf(line, "%u |%n", &nr, &len) == 1 && len;
}

static void drop_source(char *log)
{
	char *from = log, *to = log;
	size_t len;

	for (; *from; from += len) {
		len = strcspn(from, "\n");
		len += from[len] == '\n';
		if (is_source(from))
			continue;
		memmove(to, from, len);
		to += len;
	}
	*to = 0;
}

/* The end of a log is where the verifier says what it is about. */
static const char *log_tail(const char *log, int lines)
{
	const char *p = log + strlen(log);

	while (p > log && (p[-1] != '\n' || lines-- > 0))
		p--;
	return p;
}

/* The program is loaded; what does it return? */
static void run_loaded(struct bpf_object *obj, const char *name, const struct spec *spec)
{
	int retval = 0, err;

	if (!spec->run)
		return;
	err = prog_run(bpf_object__find_program_by_name(obj, name), NULL, 0, &retval);
	if (err)
		test_fail(name, 0, "cannot be run: %s", strerror(-err));
	else if (retval != spec->retval)
		test_fail(name, 0, "returns %d, not %d", retval, spec->retval);
}

/* The line of a log that a position is in, without what the kernel puts before it. */
static void add_row(const char *name, const struct spec *spec, const char *log, const char *pos)
{
	const char *line = pos;

	while (line > log && line[-1] != '\n')
		line--;
	test_row(spec->attempt ?: name, "refused at load: %.*s", (int)strcspn(line, "\n"), line);
}

/* Where the last text is, NULL if one is not there; @log when there is none. */
static const char *check_log(const char *name, const struct spec *spec, const char *log)
{
	const char *pos = log;
	int i;

	if (!spec->nr_msgs && !spec->klog)
		test_fail(name, 0, "no message is given to look for");
	for (i = 0; i < spec->nr_msgs; i++) {
		pos = find_msg(pos, spec->msg[i]);
		if (!pos) {
			test_fail(name, 0, "no '%s' in the log, whose end is", spec->msg[i]);
			test_note("%s", log_tail(log, 12));
			return NULL;
		}
	}
	return pos;
}

static void check_refusal(const char *name, const struct spec *spec, const char *log, char *klog)
{
	const char *pos = check_log(name, spec, log);

	if (spec->klog) {
		log = klog ?: "nothing";
		pos = find_msg(log, spec->klog);
		if (!pos) {
			test_fail(name, 0, "no '%s' in the kernel log, but", spec->klog);
			test_note("%s", log);
		}
	}
	if (pos)
		add_row(name, spec, log, pos);
	free(klog);
}

/*
 * A struct_ops program is loaded if the map is made that has it, whatever is said of the
 * program: for bodies, the one that COSTACK_OPS() gave its name.
 */
static void set_autoload(struct bpf_object *obj, struct bpf_program *prog, bool load)
{
	struct bpf_map *map;
	char name[128];

	bpf_program__set_autoload(prog, load);
	snprintf(name, sizeof(name), "%s_ops", bpf_program__name(prog));
	map = bpf_object__find_map_by_name(obj, name);
	if (map && bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
		bpf_map__set_autocreate(map, load);
}

static void load_one(const void *elf, size_t size, const char *name, const struct spec *spec,
		     char *log)
{
	struct bpf_object *obj = bpf_object__open_mem(elf, size, NULL);
	struct bpf_program *prog;
	int err, klog;

	if (!ASSERT_PTR(obj))
		return;
	log[0] = 0;
	bpf_object__for_each_program(prog, obj) {
		set_autoload(obj, prog, !strcmp(bpf_program__name(prog), name));
		/* Its log alone: the object's would have that of its types, annotations and all. */
		bpf_program__set_log_buf(prog, log, LOG_SIZE);
		bpf_program__set_log_level(prog, 1);
	}
	klog = klog_begin();
	err = bpf_object__load(obj);
	if (test_verbose)
		test_note("%s", log);
	drop_source(log);
	if (!spec->failure && err) {
		test_fail(name, 0, "is refused: %s", strerror(-err));
		test_note("%s", log_tail(log, 12));
	} else if (!spec->failure) {
		run_loaded(obj, name, spec);
	} else if (!err) {
		test_fail(name, 0, "is not refused");
	} else {
		check_refusal(name, spec, log, klog_end(klog));
		klog = -1;
	}
	free(klog_end(klog));
	bpf_object__close(obj);
}

/*
 * All programs that shall be taken, in one go: most of the time of a load is spent
 * on the kernel's BTF. NULL when one is refused, to be found out one by one.
 */
static struct bpf_object *load_good(const void *elf, size_t size)
{
	struct bpf_object *obj = bpf_object__open_mem(elf, size, NULL);
	struct bpf_program *prog;
	struct spec spec;

	if (!obj)
		return NULL;
	bpf_object__for_each_program(prog, obj) {
		read_spec(bpf_object__btf(obj), bpf_program__name(prog), &spec);
		set_autoload(obj, prog, spec.marked && !spec.failure);
	}
	if (bpf_object__load(obj)) {
		bpf_object__close(obj);
		return NULL;
	}
	return obj;
}

void run_tests(const void *elf, size_t size)
{
	struct bpf_object *obj = bpf_object__open_mem(elf, size, NULL);
	struct bpf_object *good = load_good(elf, size);
	char *log = malloc(LOG_SIZE);
	struct bpf_program *prog;
	struct spec spec;

	if (ASSERT_PTR(obj) && ASSERT_PTR(log)) {
		bpf_object__for_each_program(prog, obj) {
			const char *name = bpf_program__name(prog);

			read_spec(bpf_object__btf(obj), name, &spec);
			if (!spec.marked || !subtest_begin("%s", name))
				continue;
			if (spec.needs > kernel_version())
				test_skip("this kernel has no such function");
			else if (good && !spec.failure)
				run_loaded(good, name, &spec);
			else
				load_one(elf, size, name, &spec, log);
			subtest_end();
		}
	}
	free(log);
	bpf_object__close(good);
	bpf_object__close(obj);
}
