// SPDX-License-Identifier: GPL-2.0
/*
 * Ways out: each is refused when it is loaded, or comes to nothing when it is run. What each came
 * to is in the table at the end of the output.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/btf.h>
#include <linux/filter.h>

#include "co.h"
#include "escape.skel.h"
#include "escape_alone.skel.h"
#include "escape_run.skel.h"

TEST(escape)
{
	RUN_TESTS(escape);
}

/* Bodies as no compiler makes them */

#define CALL_KFUNC(id)								\
	((struct bpf_insn) { .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_KFUNC_CALL, \
			     .off = 1, .imm = (id) })
#define CALL_KERNEL(id)								\
	((struct bpf_insn) { .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_KFUNC_CALL, \
			     .imm = (id) })
#define CALL_HELPER(id)								\
	((struct bpf_insn) { .code = BPF_JMP | BPF_CALL, .imm = (id) })
#define CALL_LOCAL(to)								\
	((struct bpf_insn) { .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = (to) })
#define LOAD(dst, src, _off)							\
	((struct bpf_insn) { .code = BPF_LDX | BPF_DW | BPF_MEM, .dst_reg = (dst), \
			     .src_reg = (src), .off = (_off) })
#define MOVE(dst, src)								\
	((struct bpf_insn) { .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (dst), \
			     .src_reg = (src) })
#define SET(dst, value)								\
	((struct bpf_insn) { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (dst), \
			     .imm = (value) })
#define JUMP(to)								\
	((struct bpf_insn) { .code = BPF_JMP | BPF_JA, .off = (to) })
#define JUMP_FAR(to)								\
	((struct bpf_insn) { .code = BPF_JMP32 | BPF_JA, .imm = (to) })
#define JUMP_IF(dst, to)							\
	((struct bpf_insn) { .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = (dst), .off = (to) })
#define JUMP_IF32(dst, to)							\
	((struct bpf_insn) { .code = BPF_JMP32 | BPF_JEQ | BPF_K, .dst_reg = (dst), .off = (to) })
#define OTHER(_code, _off, _imm)						\
	((struct bpf_insn) { .code = (_code), .off = (_off), .imm = (_imm) })
#define EXIT()	((struct bpf_insn) { .code = BPF_JMP | BPF_EXIT })

/* The module as the kernel numbers it */
static struct {
	struct btf *kernel, *module;
	int module_fd, ops, finish, yield;
} k;

/* The module's BTF, or that of another with a name; the kernel has one for each module. */
static int module_btf(const char *name, __u32 *id)
{
	struct bpf_btf_info info;
	char found[64];
	__u32 len;
	int fd;

	*id = 0;
	while (!bpf_btf_get_next_id(*id, id)) {
		fd = bpf_btf_get_fd_by_id(*id);
		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		len = sizeof(info);
		info.name = (unsigned long)found;
		info.name_len = sizeof(found);
		if (!bpf_btf_get_info_by_fd(fd, &info, &len) && info.kernel_btf &&
		    !strcmp(found, name))
			return fd;
		close(fd);
	}
	return -ENOENT;
}

static int func_id(const char *name)
{
	return btf__find_by_name_kind(k.module, name, BTF_KIND_FUNC);
}

static bool setup(void)
{
	__u32 id;

	k.kernel = btf__load_vmlinux_btf();
	k.module_fd = module_btf("costack", &id);
	k.module = btf__load_from_kernel_by_id_split(id, k.kernel);
	if (!ASSERT_PTR(k.kernel) || !ASSERT_OK(k.module_fd) || !ASSERT_PTR(k.module))
		return false;
	k.ops = btf__find_by_name_kind(k.module, "costack_ops", BTF_KIND_STRUCT);
	k.finish = func_id("bpf_costack_finish");
	k.yield = func_id("bpf_costack_yield");
	return ASSERT_GT(k.ops, 0) && ASSERT_GT(k.finish, 0) && ASSERT_GT(k.yield, 0);
}

static void teardown(void)
{
	btf__free(k.module);
	btf__free(k.kernel);
	if (k.module_fd >= 0)
		close(k.module_fd);
}

/* Loads a body; what is said of it is in @log, the verifier's, and after it the kernel's. */
static int load_body(const struct bpf_insn *insns, size_t n, int fd1, int fd2, char *log,
		     size_t size)
{
	int fds[] = { -1, fd1, fd2 }, klog = klog_begin(), fd;
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = 0,
		    .attach_btf_id = k.ops, .attach_btf_obj_fd = k.module_fd,
		    .prog_flags = BPF_F_SLEEPABLE, .fd_array = fds, .log_buf = log,
		    .log_size = size, .log_level = 1);
	char *said;

	log[0] = 0;
	fd = bpf_prog_load(BPF_PROG_TYPE_STRUCT_OPS, "raw", "GPL", insns, n, &opts);
	said = klog_end(klog);
	if (said)
		strncat(log, said, size - strlen(log) - 1);
	free(said);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

/* The line of a log where a text is */
static const char *line_with(const char *log, const char *text, int *len)
{
	const char *line = strstr(log, text);

	while (line && line > log && line[-1] != '\n')
		line--;
	*len = line ? strcspn(line, "\n") : 0;
	return line;
}

static void raw(const char *name, const char *attempt, const struct bpf_insn *insns, size_t n,
		int fd2, const char *msg)
{
	static char log[65536];
	const char *line;
	int err, len;

	if (!subtest_begin("%s", name))
		return;
	err = load_body(insns, n, k.module_fd, fd2, log, sizeof(log));
	if (!msg) {
		if (!ASSERT_EQ(err, 0))
			test_note("%s", log);
	} else if (ASSERT_LT(err, 0)) {
		line = line_with(log, msg, &len);
		if (!line)
			test_fail(name, 0, "no '%s' in the log, but", msg);
		if (!line)
			test_note("%s", log);
		else
			test_row(attempt, "refused at load: %.*s", len, line);
	}
	subtest_end();
}

#define RAW(name, attempt, msg, ...)						\
	do {									\
		const struct bpf_insn __insns[] = { __VA_ARGS__ };		\
										\
		raw(name, attempt, __insns, ARRAY_SIZE(__insns), k.module_fd, msg); \
	} while (0)

#define NO_FINISH "exit without bpf_costack_finish()"

/* self = r6 */
#define BEGIN	LOAD(6, 1, 0)
/* finish(self, 0) */
#define FINISH	MOVE(1, 6), SET(2, 0), CALL_KFUNC(k.finish)

TEST(escape_raw)
{
	bool older = kernel_version() <= KERNEL(6, 12);

	if (!setup())
		goto out;
	RAW("plain", "", NULL, BEGIN, FINISH, EXIT());
	RAW("result_changed", "", NULL, BEGIN, FINISH, SET(0, 7), EXIT());
	RAW("back_to_finish", "", NULL, BEGIN, JUMP_IF(6, 0), FINISH, EXIT());
	RAW("over_finish", "jump over the end's bpf_costack_finish()", NO_FINISH,
	    BEGIN, SET(0, 0), MOVE(7, 6), JUMP_IF(7, 3), FINISH, EXIT());
	RAW("behind_finish", "jump between bpf_costack_finish() and the exit", NO_FINISH,
	    BEGIN, SET(0, 0), JUMP_IF(6, 3), FINISH, SET(0, 0), EXIT());
	RAW("behind_finish_32", "the same with a jump of 32 bits", NO_FINISH,
	    BEGIN, SET(0, 0), JUMP_IF32(0, 3), FINISH, SET(0, 0), EXIT());
	RAW("behind_finish_far", "the same with a far jump", NO_FINISH,
	    BEGIN, SET(0, 0), JUMP_IF(6, 1), JUMP_FAR(3), FINISH, SET(0, 0), EXIT());
	RAW("load_behind_finish", "something else between the two", NO_FINISH,
	    BEGIN, FINISH, OTHER(BPF_LD | BPF_IMM | BPF_DW, 0, 0), OTHER(0, 0, 0), EXIT());
	RAW("yield_for_finish", "a yield in the place of bpf_costack_finish()", NO_FINISH,
	    BEGIN, MOVE(1, 6), SET(2, 0), CALL_KFUNC(k.yield), EXIT());
	RAW("finish_below", "bpf_costack_finish() in a function alone", NO_FINISH,
	    BEGIN, MOVE(1, 6), CALL_LOCAL(1), EXIT(),
	    SET(2, 0), CALL_KFUNC(k.finish), EXIT());
	RAW("finish_below_and_here", "", NULL,
	    BEGIN, MOVE(1, 6), CALL_LOCAL(4), FINISH, EXIT(),
	    SET(2, 0), CALL_KFUNC(k.finish), EXIT());
	RAW("itself", "a body that calls itself as a function",
	    older ? "frames is too deep" : "recursive call",
	    MOVE(7, 1), BEGIN, MOVE(1, 7), CALL_LOCAL(-4), FINISH, EXIT());
	RAW("may_goto", "a loop that the kernel ends by its time",
	    "may_goto (can_loop, cond_break) cannot be in a body",
	    BEGIN, OTHER(BPF_JMP | 0xe0 /* BPF_JCOND */, 0, 0), FINISH, EXIT());
	RAW("jump_indirect", "an indirect jump",
	    older ? "unknown opcode 0d" : "no jump tables found",
	    BEGIN, OTHER(BPF_JMP | BPF_JA | BPF_X, 0, 0), FINISH, EXIT());
	RAW("call_indirect", "an indirect call", "unknown opcode 8d",
	    BEGIN, OTHER(BPF_JMP | BPF_CALL | BPF_X, 0, 0), FINISH, EXIT());
	RAW("two_indices", "functions of two modules, one of which is costack twice",
	    "a module's kfunc",
	    BEGIN, MOVE(1, 6), SET(2, 0),
	    ((struct bpf_insn) { .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_KFUNC_CALL,
				 .off = 2, .imm = k.yield }),
	    FINISH, EXIT());
	RAW("size_huge", "a part of 2^32 - 1 bytes of the coroutine's memory (it is NULL)", NULL,
	    BEGIN, MOVE(1, 6), SET(2, 1),
	    ((struct bpf_insn) { .code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = 3, .imm = -1 }),
	    CALL_KFUNC(func_id("bpf_costack_local")), FINISH, EXIT());
out:
	teardown();
}

/* Numbers of modules' functions begin anew in each module; this one has some function of any. */
TEST(escape_module)
{
	static char log[65536];
	const struct btf_type *t;
	struct btf *btf = NULL;
	const char *line;
	int fd = -1, len;
	__u32 id;

	if (!setup() || !ASSERT_OK(test_module_load("cos_numbers")))
		goto out;
	fd = module_btf("cos_numbers", &id);
	btf = btf__load_from_kernel_by_id_split(id, k.kernel);
	t = btf ? btf__type_by_id(btf, k.finish) : NULL;
	if (ASSERT_OK(fd) && ASSERT_PTR(t) && ASSERT_TRUE(btf_is_func(t))) {
		const struct bpf_insn insns[] = { CALL_KFUNC(k.finish), EXIT() };

		ASSERT_EQ(load_body(insns, ARRAY_SIZE(insns), fd, fd, log, sizeof(log)), -EACCES);
		line = line_with(log, "kfuncs of another module cannot be called by a body", &len);
		if (ASSERT_PTR(line))
			test_row("a function of another module with the number of one of ours",
				 "refused at load: %.*s", len, line);
		else
			test_note("%s", log);
	}
	if (fd >= 0)
		close(fd);
	btf__free(btf);
	syscall(__NR_delete_module, "cos_numbers", 0);
out:
	teardown();
}

/* Everything that a body may call is in these lists; whatever else there is, is refused. */

static const int helpers[] = {
	BPF_FUNC_ktime_get_ns, BPF_FUNC_ktime_get_boot_ns, BPF_FUNC_ktime_get_tai_ns,
	BPF_FUNC_jiffies64, BPF_FUNC_get_prandom_u32, BPF_FUNC_get_smp_processor_id,
	BPF_FUNC_get_numa_node_id, BPF_FUNC_get_current_pid_tgid,
	BPF_FUNC_get_current_uid_gid, BPF_FUNC_get_current_comm, BPF_FUNC_trace_printk,
	BPF_FUNC_trace_vprintk, BPF_FUNC_snprintf, BPF_FUNC_strtol, BPF_FUNC_strtoul,
	BPF_FUNC_strncmp, BPF_FUNC_probe_read_kernel, BPF_FUNC_probe_read_kernel_str,
	BPF_FUNC_ringbuf_output, BPF_FUNC_ringbuf_query, BPF_FUNC_map_update_elem,
	BPF_FUNC_map_delete_elem, BPF_FUNC_map_push_elem, BPF_FUNC_map_pop_elem,
	BPF_FUNC_map_peek_elem, BPF_FUNC_kptr_xchg,
};

static const char * const kfuncs[] = {
	"bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy",
	"bpf_rcu_read_lock", "bpf_rcu_read_unlock", "bpf_preempt_disable", "bpf_preempt_enable",
	"bpf_obj_new_impl", "bpf_obj_new", "bpf_obj_drop_impl", "bpf_obj_drop",
	"bpf_refcount_acquire_impl", "bpf_refcount_acquire",
	"bpf_costack_finish", "bpf_costack_yield", "bpf_costack_read", "bpf_costack_read_some",
	"bpf_costack_peek", "bpf_costack_skip", "bpf_costack_avail", "bpf_costack_local",
	"bpf_costack_call", "bpf_costack_map_read", "bpf_costack_map_add",
	"bpf_costack_spawn_nolock", "bpf_costack_co_acquire", "bpf_costack_co_release",
	"bpf_costack_state", "bpf_costack_alloc_nolock", "bpf_costack_acquire",
	"bpf_costack_release", "bpf_costack_size", "bpf_costack_frame", "bpf_costack_counter",
};

#define AROUND(call)								\
	{ BEGIN, SET(1, 0), SET(2, 0), SET(3, 0), SET(4, 0), SET(5, 0), call, FINISH, EXIT() }

TEST(escape_helpers)
{
	static char log[65536];
	int id, refused = 0, allowed = 0;
	unsigned int i;

	if (!setup())
		goto out;
	for (id = 1; id < 1000; id++) {
		const struct bpf_insn insns[] = AROUND(CALL_HELPER(id));
		int err = load_body(insns, ARRAY_SIZE(insns), k.module_fd, -1, log, sizeof(log));
		bool no = strstr(log, "cannot use helper") || strstr(log, "unknown func");

		if (strstr(log, "invalid func"))
			break;
		for (i = 0; i < ARRAY_SIZE(helpers) && helpers[i] != id; i++)
			;
		if (i == ARRAY_SIZE(helpers)) {
			refused++;
			/* Special to the verifier: it has maps only where there may be none. */
			no |= id == BPF_FUNC_tail_call;
			if (!ASSERT_LT(err, 0) || !ASSERT_TRUE(no))
				test_note("helper %d: %s", id, log);
		} else if (!no) {
			allowed++;
		}
	}
	ASSERT_GE(refused, 180);
	/* Two of them came later. */
	ASSERT_GE(allowed, (int)ARRAY_SIZE(helpers) - 2);
	test_row("each other helper there is", "refused at load, all %d: cannot use helper",
		 refused);
out:
	teardown();
}

static bool may_call(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kfuncs); i++) {
		if (!strcmp(kfuncs[i], name))
			return true;
	}
	return false;
}

/* One function that is none of a body's. */
static void refuse_kfunc(struct bpf_insn call, const char *name, int *refused)
{
	const struct bpf_insn insns[] = AROUND(call);
	static char log[65536];
	int err = load_body(insns, ARRAY_SIZE(insns), k.module_fd, -1, log, sizeof(log));

	if (!ASSERT_LT(err, 0))
		test_note("%s", name);
	/* Some the kernel has in its list and cannot call. */
	if (strstr(log, "cannot be called by a body"))
		++*refused;
	else if (!ASSERT_TRUE(err != -EACCES))
		test_note("%s: %s", name, log);
}

TEST(escape_kfuncs)
{
	int refused = 0, ours = 0, all = 0;
	const struct btf_type *t, *tag;
	const char *name;
	__u32 id;

	if (!setup())
		goto out;
	for (id = 1; id < btf__type_cnt(k.kernel); id++) {
		tag = btf__type_by_id(k.kernel, id);
		if (!btf_is_decl_tag(tag) ||
		    strcmp(btf__name_by_offset(k.kernel, tag->name_off), "bpf_kfunc"))
			continue;
		t = btf__type_by_id(k.kernel, tag->type);
		name = btf__name_by_offset(k.kernel, t->name_off);
		if (may_call(name))
			continue;
		all++;
		refuse_kfunc(CALL_KERNEL(tag->type), name, &refused);
	}
	for (id = btf__type_cnt(k.kernel); id < btf__type_cnt(k.module); id++) {
		t = btf__type_by_id(k.module, id);
		name = btf__name_by_offset(k.module, t->name_off);
		if (btf_is_func(t) && !may_call(name))
			refuse_kfunc(CALL_KFUNC(id), name, &ours);
	}
	ASSERT_GE(all, 100);
	ASSERT_GE(refused, all * 9 / 10);
	ASSERT_GE(ours, 10);
	test_row("each other kfunc that the kernel has (iterators, dynptrs, locks, interrupts, ...)",
		 "refused at load, all %d: cannot be called by a body", all);
	test_row("each other function of the module", "refused at load, all %d", ours);
out:
	teardown();
}

/* What is taken, and run */

static struct escape_run *load(void)
{
	struct escape_run *skel = escape_run__open_and_load();

	if (!ASSERT_PTR(skel))
		return NULL;
	if (ASSERT_OK(escape_run__attach(skel)))
		return skel;
	escape_run__destroy(skel);
	return NULL;
}

static void look(struct escape_run *skel)
{
	struct co_args a;

	if (!subtest_begin("coroutine_gone"))
		return;
	ASSERT_EQ(co_spawn(skel, forever, 0, 1), 1);
	ASSERT_EQ(co_do(skel, resume).ret, COSTACK_YIELDED);
	ASSERT_EQ(co_do(skel, give).ret, 1);
	ASSERT_EQ(co_spawn(skel, looker, 1, 0), 1);
	ASSERT_EQ(co_do(skel, resume, .slot = 1).ret, COSTACK_YIELDED);
	/* It goes, and its handle is the next one's. */
	co_do(skel, give, .slot = 2);
	ASSERT_TRUE(wait_coroutines(1));
	ASSERT_EQ(co_spawn(skel, forever, 2, 1), 1);
	a = co_do(skel, resume, .slot = 1);
	ASSERT_EQ(a.ret, COSTACK_DONE);
	ASSERT_TRUE(a.result == 1 || a.result == 2);
	test_row("look at a coroutine in a map before and after it is gone",
		 "harmless: a number was read, the %s", a.result == 1 ? "same" : "next one's");
	co_do(skel, release, .slot = 1);
	co_do(skel, release, .slot = 2);
	subtest_end();
}

static void context_kept(struct escape_run *skel)
{
	struct co_args a;

	if (!subtest_begin("context"))
		return;
	ASSERT_EQ(co_spawn(skel, context, 0, 14), 1);
	ASSERT_EQ(co_spawn(skel, forever, 1, 1), 1);
	ASSERT_EQ(co_do(skel, resume).ret, COSTACK_YIELDED);
	/* On the same stack */
	ASSERT_EQ(co_do(skel, resume, .slot = 1).ret, COSTACK_YIELDED);
	ASSERT_EQ(co_do(skel, resume).ret, COSTACK_YIELDED);
	ASSERT_EQ(co_do(skel, resume, .slot = 1).ret, COSTACK_YIELDED);
	a = co_do(skel, resume);
	ASSERT_EQ(a.ret, COSTACK_DONE);
	ASSERT_EQ(a.result, 42);
	test_row("read the context after a yield", "harmless: it has self and the argument still");
	co_do(skel, release);
	co_do(skel, release, .slot = 1);
	subtest_end();
}

static void nowhere(struct escape_run *skel)
{
	struct co_args a;

	if (!subtest_begin("nowhere"))
		return;
	ASSERT_EQ(co_spawn(skel, nowhere, 0, co_type(skel, forever)), 1);
	a = co_do(skel, resume);
	ASSERT_EQ(a.ret, COSTACK_DONE);
	ASSERT_EQ(a.result, COSTACK_YIELDED);
	test_row("a result's place that is NULL at run time", "harmless: nothing was written");
	co_do(skel, release);
	subtest_end();
}

static void page_freed(struct escape_run *skel)
{
	struct co_args a;

	if (!subtest_begin("arena"))
		return;
	ASSERT_EQ(co_do(skel, page).ret, 1);
	ASSERT_EQ(co_spawn(skel, reader, 0, 0), 1);
	ASSERT_EQ(co_do(skel, resume).ret, COSTACK_YIELDED);
	co_do(skel, free_page);
	ASSERT_EQ(co_do(skel, resume).ret, COSTACK_YIELDED);
	a = co_do(skel, resume);
	ASSERT_EQ(a.ret, COSTACK_DONE);
	ASSERT_EQ(a.result, 0x5ca1ab1e00000000);
	test_row("an arena's page, kept over a yield and freed meanwhile",
		 "harmless: it reads as 0, and is written to without effect");
	co_do(skel, release);
	subtest_end();
}

static void two_types(struct escape_run *skel)
{
	u32 other = skel->struct_ops.twice_more->id;

	if (!subtest_begin("two_types"))
		return;
	ASSERT_EQ(co_spawn(skel, twice, 0, 5), 1);
	ASSERT_EQ(co_do(skel, spawn, .type = other, .slot = 1, .arg = 50).ret, 1);
	ASSERT_EQ(co_do(skel, resume).result, 5);
	ASSERT_EQ(co_do(skel, resume, .slot = 1).result, 50);
	bpf_link__destroy(skel->links.twice_more);
	skel->links.twice_more = NULL;
	ASSERT_EQ(co_do(skel, resume, .slot = 1).ret, -ESTALE);
	ASSERT_EQ(co_do(skel, resume).result, 6);
	ASSERT_EQ(co_do(skel, resume).ret, COSTACK_DONE);
	test_row("one program as the body of two types", "harmless: each ends for itself");
	co_do(skel, release);
	co_do(skel, release, .slot = 1);
	subtest_end();
}

static void map_changed(struct escape_run *skel)
{
	struct bpf_map *map = skel->maps.forever_ops;
	u32 zero = 0, size = bpf_map__value_size(map);
	void *value = calloc(1, size);

	if (!subtest_begin("map_changed"))
		return;
	ASSERT_EQ(co_spawn(skel, forever, 0, 5), 1);
	ASSERT_EQ(co_do(skel, resume).result, 5);
	ASSERT_LT(bpf_map_update_elem(bpf_map__fd(map), &zero, value, 0), 0);
	ASSERT_LT(bpf_map_delete_elem(bpf_map__fd(map), &zero), 0);
	ASSERT_EQ(co_do(skel, resume).result, 6);
	test_row("overwrite or delete a type's map while it is attached",
		 "harmless: the system calls fail, its coroutines go on");
	co_do(skel, release);
	free(value);
	subtest_end();
}

static void attach_refused(struct escape_run *skel, const char *name, const char *attempt,
			   const char *msg)
{
	static char log[65536];
	struct escape_run *more;
	struct bpf_program *prog;
	const char *line;
	int len;

	if (!subtest_begin("%s", name))
		return;
	more = escape_run__open();
	if (ASSERT_PTR(more)) {
		prog = bpf_object__find_program_by_name(more->obj, name);
		bpf_program__set_autoload(prog, true);
		bpf_program__set_log_buf(prog, log, sizeof(log));
		bpf_program__set_log_level(prog, 1);
		ASSERT_OK(bpf_program__set_attach_target(prog, bpf_program__fd(skel->progs.forever),
							 "forever"));
		log[0] = 0;
		ASSERT_LT(escape_run__load(more), 0);
		line = line_with(log, msg, &len);
		if (ASSERT_PTR(line))
			test_row(attempt, "refused at load: %.*s", len, line);
		else
			test_note("%s", log);
	}
	escape_run__destroy(more);
	subtest_end();
}

/* A kprobe on a body's first instruction, by its address */
static void probe_refused(void)
{
	static const char events[] = "/sys/kernel/tracing/kprobe_events";
	char *text, *line, *name, command[64];
	int err;

	if (!subtest_begin("kprobe"))
		return;
	text = read_file("/proc/kallsyms");
	name = text ? strstr(text, "_forever\t[bpf]") : NULL;
	if (ASSERT_PTR(name)) {
		line = name;
		while (line > text && line[-1] != '\n')
			line--;
		snprintf(command, sizeof(command), "p:escape 0x%.16s\n", line);
		err = write_file(events, command);
		ASSERT_LT(err, 0);
		test_row("a kprobe on a body", "refused: %s", strerror(-err));
	}
	free(text);
	subtest_end();
}

static void narcissus(void)
{
	struct escape_run *skel;
	struct co_args a;

	if (!subtest_begin("owns_itself"))
		return;
	skel = load();
	if (skel) {
		ASSERT_EQ(co_spawn(skel, narcissus, 0, 0), 1);
		co_do(skel, share, .slot = 0, .slot2 = 1);
		ASSERT_EQ(co_do(skel, give, .slot = 1).ret, 1);
		a = co_do(skel, resume);
		ASSERT_EQ(a.ret, COSTACK_YIELDED);
		ASSERT_EQ((s32)a.result, -EBUSY);
		ASSERT_EQ(co_do(skel, release).ret, 1);
		/* Nobody but itself has it. */
		sync_rcu();
		ASSERT_TRUE(wait_coroutines(1));
		bpf_link__destroy(skel->links.narcissus_ops);
		skel->links.narcissus_ops = NULL;
		ASSERT_TRUE(wait_coroutines(0));
		test_row("a coroutine that owns and calls itself",
			 "harmless: -EBUSY; it lives until its type is detached");
		escape_run__destroy(skel);
	}
	subtest_end();
}

TEST(escape_run)
{
	struct escape_run *skel = load();

	if (!skel)
		return;
	pin_to_cpu(0);
	look(skel);
	context_kept(skel);
	nowhere(skel);
	page_freed(skel);
	two_types(skel);
	map_changed(skel);
	attach_refused(skel, "sleeps", "a program that sleeps on a body's entry",
		       "is not sleepable");
	attach_refused(skel, "replaces", "another result for a body: fmod_ret",
		       "can't modify return codes of BPF programs");
	probe_refused();
	escape_run__destroy(skel);
	narcissus();
}

/* Maps of types with the module's names, from when the module was not there */
TEST(escape_alone)
{
	struct escape_alone *alone;
	struct escape_run *skel;
	static char log[65536];
	const char *line;
	int len;

	if (!ASSERT_EQ(module_unload(), 0))
		return;
	alone = escape_alone__open_and_load();
	if (!ASSERT_PTR(alone) || !ASSERT_EQ(module_load(""), 0))
		goto out;
	skel = escape_run__open();
	if (!ASSERT_PTR(skel))
		goto out;
	bpf_program__set_log_buf(skel->progs.do_spawn, log, sizeof(log));
	bpf_program__set_log_level(skel->progs.do_spawn, 1);
	/* Programs that put coroutines into it are loaded with that one in its place. */
	bpf_map__set_max_entries(skel->maps.slots, 1);
	if (ASSERT_OK(bpf_map__reuse_fd(skel->maps.slots, bpf_map__fd(alone->maps.slots)))) {
		ASSERT_LT(escape_run__load(skel), 0);
		line = line_with(log, "invalid kptr access", &len);
		if (ASSERT_PTR(line))
			test_row("a map made before the module was loaded, with the program's own struct costack_co",
				 "refused at load: %.*s", len, line);
		else
			test_note("%s", log);
	}
	escape_run__destroy(skel);
out:
	escape_alone__destroy(alone);
}

/* A tracing program on top of a body leaves by an exception: the body does not notice. */
static void throws(const char *name, const char *attempt, int times)
{
	struct escape_run *skel, *more;
	struct bpf_program *prog;
	struct bpf_link *link;
	struct co_args a;
	int i;

	if (!subtest_begin("%s", name))
		return;
	skel = load();
	more = escape_run__open();
	if (!skel || !ASSERT_PTR(more))
		goto out;
	prog = bpf_object__find_program_by_name(more->obj, name);
	bpf_program__set_autoload(prog, true);
	if (!strcmp(name, "throws"))
		ASSERT_OK(bpf_program__set_attach_target(prog,
							 bpf_program__fd(skel->progs.reads), "reads"));
	if (!ASSERT_OK(escape_run__load(more)))
		goto out;
	ASSERT_EQ(co_spawn(skel, reads, 0, 5), 1);
	ASSERT_EQ(co_spawn(skel, reads_private, 1, 5), 1);
	link = bpf_program__attach(prog);
	if (ASSERT_PTR(link)) {
		for (i = 0; i < 6; i++) {
			a = co_do(skel, resume, .slot = i % 2);
			ASSERT_EQ(a.ret, COSTACK_YIELDED);
			ASSERT_EQ(a.result, 7 * (5 + i / 2));
		}
		ASSERT_EQ(more->bss->nr_thrown, times);
		bpf_link__destroy(link);
		test_row(attempt, "harmless: that program ends, and the body goes on");
	}
	ASSERT_EQ(co_do(skel, release).ret, 1);
	ASSERT_EQ(co_do(skel, release, .slot = 1).ret, 1);
	ASSERT_TRUE(wait_coroutines(0));
out:
	escape_run__destroy(more);
	escape_run__destroy(skel);
	subtest_end();
}

TEST(escape_throw)
{
	pin_to_cpu(0);
	throws("throws", "bpf_throw() on a body's entry", 2);
	throws("throws_deep", "bpf_throw() in a subprogram, on a function that a body calls", 6);
}
