// SPDX-License-Identifier: GPL-2.0
/*
 * A body is verified as a sleepable program, although it never sleeps: so the
 * verifier refuses a wait where a lock or an RCU section is held, and takes pointers
 * that RCU protects for untrusted outside of one. What it does not know is that a
 * wait ends everything else that protected a pointer. Hence what follows: two lists of
 * what a body may call, none of which leaves such a pointer behind. Anything else is
 * refused when the program is loaded.
 *
 * Left out, and why:
 *   - map lookups, storage of sockets, tasks and cgroups: value pointers, dangling once the
 *     element is freed; current task and the like: pointers that only this run has;
 *   - bpf_loop, bpf_for_each_map_elem, timers, work queues: callbacks, run elsewhere or
 *     with frames of the kernel's traced functions beneath;
 *   - ring buffer records reserved: they block the reader until the body goes on;
 *   - bpf_spin_lock: verifiers before 7.3 take a kptr read with a lock held for one that RCU
 *     protects, after the unlock and a wait, too. And programs run bodies that may
 *     interrupt whoever holds the lock, and are refused it themselves for that (kprobes);
 *   - tail calls, bpf_throw: would leave without bpf_costack_finish();
 *   - whatever sleeps: a body runs in softirqs;
 *   - may_goto: newer kernels give such a loop 250 ms, and count the suspended time.
 */
#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/ctype.h>
#include <linux/filter.h>
#include <linux/module.h>
#include <linux/string.h>

#include "body.h"
#include "compat.h"
#include "coroutine.h"
#include "ops.h"
#include "switch.h"

/*
 * kfuncs of the kernel that a body may call, by name: their numbers differ from kernel
 * to kernel.
 */
static const char * const costack_kernel_kfuncs[] = {
	"bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy",
	"bpf_rcu_read_lock", "bpf_rcu_read_unlock",
	"bpf_preempt_disable", "bpf_preempt_enable",
	"bpf_obj_new_impl", "bpf_obj_new", "bpf_obj_drop_impl", "bpf_obj_drop",
	"bpf_refcount_acquire_impl", "bpf_refcount_acquire",
};

/* Ours. The first is the type that numbers are counted from, the second the last call. */
BTF_ID_LIST(costack_body_ids)
BTF_ID(struct, costack_ops)
BTF_ID(func, bpf_costack_finish)
BTF_ID(func, bpf_costack_yield)
BTF_ID(func, bpf_costack_read)
BTF_ID(func, bpf_costack_read_some)
BTF_ID(func, bpf_costack_peek)
BTF_ID(func, bpf_costack_skip)
BTF_ID(func, bpf_costack_avail)
BTF_ID(func, bpf_costack_local)
BTF_ID(func, bpf_costack_call)
BTF_ID(func, bpf_costack_map_read)
BTF_ID(func, bpf_costack_map_add)
BTF_ID(func, bpf_costack_spawn_nolock)
BTF_ID(func, bpf_costack_co_acquire)
BTF_ID(func, bpf_costack_co_release)
BTF_ID(func, bpf_costack_state)
BTF_ID(func, bpf_costack_alloc_nolock)
BTF_ID(func, bpf_costack_acquire)
BTF_ID(func, bpf_costack_release)
BTF_ID(func, bpf_costack_size)
BTF_ID(func, bpf_costack_frame)
BTF_ID(func, bpf_costack_counter)
#define COSTACK_NR_BODY_IDS	23

#define COSTACK_ID_OPS		0
#define COSTACK_ID_FINISH	1

/* Helpers */

static const struct bpf_func_proto *
costack_ops_func_proto(enum bpf_func_id id, const struct bpf_prog *prog)
{
	switch (id) {
	case BPF_FUNC_ktime_get_ns:
	case BPF_FUNC_ktime_get_boot_ns:
	case BPF_FUNC_ktime_get_tai_ns:
	case BPF_FUNC_jiffies64:
	case BPF_FUNC_get_prandom_u32:
	case BPF_FUNC_get_smp_processor_id:
	case BPF_FUNC_get_numa_node_id:
	case BPF_FUNC_get_current_pid_tgid:
	case BPF_FUNC_get_current_uid_gid:
	case BPF_FUNC_get_current_comm:
	case BPF_FUNC_trace_printk:
	case BPF_FUNC_trace_vprintk:
	case BPF_FUNC_snprintf:
	case BPF_FUNC_strtol:
	case BPF_FUNC_strtoul:
	case BPF_FUNC_strncmp:
	case BPF_FUNC_probe_read_kernel:
	case BPF_FUNC_probe_read_kernel_str:
	case BPF_FUNC_ringbuf_output:
	case BPF_FUNC_ringbuf_query:
	case BPF_FUNC_map_update_elem:
	case BPF_FUNC_map_delete_elem:
	case BPF_FUNC_map_push_elem:
	case BPF_FUNC_map_pop_elem:
	case BPF_FUNC_map_peek_elem:
	case BPF_FUNC_kptr_xchg:
		return bpf_base_func_proto(id, prog);
	default:
		return NULL;
	}
}

static bool costack_ops_access(int off, int size, enum bpf_access_type type,
			       const struct bpf_prog *prog, struct bpf_insn_access_aux *info)
{
	return bpf_tracing_btf_ctx_access(off, size, type, prog, info);
}

static const struct bpf_verifier_ops costack_verifier_ops = {
	.get_func_proto = costack_ops_func_proto,
	.is_valid_access = costack_ops_access,
};

/* Instructions */

/*
 * The name of a type of the kernel. Its BTF is one piece of memory, laid out as in
 * include/uapi/linux/btf.h: a header, right before type 1, says where the strings are.
 */
static const char *costack_kernel_type_name(const struct btf *btf, u32 id)
{
	const struct btf_type *type = btf_type_by_id(btf, id);
	const void *first = btf_type_by_id(btf, 1);
	const struct btf_header *hdr;
	u32 len;

	if (!type || !first)
		return NULL;
	for (len = offsetofend(struct btf_header, str_len); len <= 64; len += sizeof(u32)) {
		hdr = first - len;
		if (hdr->magic == BTF_MAGIC && hdr->hdr_len == len && !hdr->type_off &&
		    type->name_off < hdr->str_len)
			return first + hdr->str_off + type->name_off;
	}
	return NULL;
}

static bool costack_kernel_kfunc_ok(const struct bpf_prog *prog, u32 id, const char **name)
{
	*name = costack_kernel_type_name(prog->aux->attach_btf, id);
	return *name && match_string(costack_kernel_kfuncs, ARRAY_SIZE(costack_kernel_kfuncs),
				     *name) >= 0;
}

/*
 * Is this the number of one of our functions, and of which? Numbers in the list are those
 * of the build, which a module whose BTF was moved does not have; but all move by the same.
 */
static int costack_our_kfunc(const struct bpf_prog *prog, u32 id)
{
	u32 moved = prog->aux->attach_btf_id - costack_body_ids[COSTACK_ID_OPS];
	int i;

	for (i = COSTACK_ID_FINISH; i < COSTACK_NR_BODY_IDS; i++) {
		if (id == costack_body_ids[i] + moved)
			return i;
	}
	return -1;
}

/*
 * Are the functions of a module that a program calls this one's? The verifier has a table of
 * modules, of a type that is its own: since 5.16 it begins with an array of a BTF, a module
 * and an index each. A program with a single index has one entry, and its BTF is what
 * the table begins with. On a kernel where it is not, all bodies are refused.
 */
static bool costack_calls_us(const struct bpf_prog *prog)
{
	struct btf * const *table = (struct btf * const *)prog->aux->kfunc_btf_tab;

	return table && *table == prog->aux->attach_btf;
}

static bool costack_is_kfunc_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_KFUNC_CALL;
}

static bool costack_is_exit(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_EXIT);
}

/* Instructions of the main program, which comes first: to the first function called. */
static int costack_main_len(const struct bpf_prog *prog)
{
	const struct bpf_insn *insn = prog->insnsi;
	int i, target, len = prog->len;

	for (i = 0; i < (int)prog->len; i++) {
		if (insn[i].code != (BPF_JMP | BPF_CALL) || insn[i].src_reg != BPF_PSEUDO_CALL)
			continue;
		target = i + 1 + insn[i].imm;
		if (target > 0 && target < len)
			len = target;
	}
	return len;
}

/* Does an instruction of the main program jump to one of @from to @to? */
static bool costack_jumps_between(const struct bpf_prog *prog, int len, int from, int to)
{
	const struct bpf_insn *insn = prog->insnsi;
	int i, target;
	u8 class;

	for (i = 0; i < len; i++) {
		class = BPF_CLASS(insn[i].code);
		if ((class != BPF_JMP && class != BPF_JMP32) ||
		    BPF_OP(insn[i].code) == BPF_CALL || BPF_OP(insn[i].code) == BPF_EXIT)
			continue;
		target = i + 1 + (insn[i].code == (BPF_JMP32 | BPF_JA) ? insn[i].imm : insn[i].off);
		if (target >= from && target <= to)
			return true;
	}
	return false;
}

/*
 * Each exit of the main program must come right after bpf_costack_finish(): nothing but a
 * change of the result lies between, and nobody jumps there. Exits of functions are
 * none of the program.
 */
static int costack_check_exits(const struct bpf_prog *prog)
{
	int len = costack_main_len(prog), i, call;
	const struct bpf_insn *insn = prog->insnsi;

	for (i = 0; i < len; i++) {
		if (!costack_is_exit(&insn[i]))
			continue;
		for (call = i - 1; call >= 0; call--) {
			if ((BPF_CLASS(insn[call].code) != BPF_ALU &&
			     BPF_CLASS(insn[call].code) != BPF_ALU64) ||
			    insn[call].dst_reg != BPF_REG_0)
				break;
		}
		if (call < 0 || !costack_is_kfunc_call(&insn[call]) ||
		    costack_our_kfunc(prog, insn[call].imm) != COSTACK_ID_FINISH ||
		    costack_jumps_between(prog, len, call + 1, i)) {
			pr_err("body %s: instruction %d: exit without bpf_costack_finish(): define it with COSTACK_BODY()\n",
			       prog->aux->name, i);
			return -EINVAL;
		}
	}
	return 0;
}

/*
 * Each call of a kfunc must be on a list. Numbers of modules' functions are told apart
 * by insn->off, an index that stands for a module. There may be one such index only, and
 * it must stand for this one: another module may have a function of the same number.
 */
static int costack_check_calls(const struct bpf_prog *prog)
{
	const struct bpf_insn *insn = prog->insnsi;
	int i, module = 0;
	const char *name;

	for (i = 0; i < (int)prog->len; i++) {
		if (insn[i].code == (BPF_LD | BPF_IMM | BPF_DW)) {
			if (insn[i].src_reg == BPF_PSEUDO_FUNC) {
				pr_err("body %s: instruction %d: callbacks cannot be in a body\n",
				       prog->aux->name, i);
				return -EINVAL;
			}
			i++;
			continue;
		}
		if (insn[i].code == (BPF_JMP | BPF_JCOND)) {
			pr_err("body %s: instruction %d: may_goto (can_loop, cond_break) cannot be in a body, its time runs on while suspended: use bpf_for() or bpf_repeat()\n",
			       prog->aux->name, i);
			return -EINVAL;
		}
		/* Where these go cannot be read here. */
		if (insn[i].code == (BPF_JMP | BPF_JA | BPF_X) ||
		    insn[i].code == (BPF_JMP | BPF_CALL | BPF_X)) {
			pr_err("body %s: instruction %d: indirect jumps and calls cannot be in a body: compile it with -mcpu=v3\n",
			       prog->aux->name, i);
			return -EINVAL;
		}
		if (!costack_is_kfunc_call(&insn[i]))
			continue;
		if (!insn[i].off) {
			if (costack_kernel_kfunc_ok(prog, insn[i].imm, &name))
				continue;
			pr_err("body %s: instruction %d: %s() cannot be called by a body: see costack.bpf.h\n",
			       prog->aux->name, i, name ?: "an unknown kfunc");
			return -EACCES;
		}
		if (!module)
			module = insn[i].off;
		if (insn[i].off != module || costack_our_kfunc(prog, insn[i].imm) < 0) {
			pr_err("body %s: instruction %d: a module's kfunc (BTF id %d) cannot be called by a body: see costack.bpf.h\n",
			       prog->aux->name, i, insn[i].imm);
			return -EACCES;
		}
	}
	if (module && !costack_calls_us(prog)) {
		pr_err("body %s: kfuncs of another module cannot be called by a body\n",
		       prog->aux->name);
		return -EACCES;
	}
	return 0;
}

/*
 * Verifiers before 6.15 look at a global function by itself and know nothing of an RCU
 * section around its call; it might wait in there. Both together are nothing that a body
 * needs.
 */
static int costack_check_sections(const struct bpf_prog *prog)
{
	const struct bpf_insn *insn = prog->insnsi;
	const char *name;
	bool global = false;
	u32 i;

	for (i = 1; prog->aux->func_info_aux && i < prog->aux->func_info_cnt; i++)
		global |= prog->aux->func_info_aux[i].linkage == BTF_FUNC_GLOBAL;
	for (i = 0; global && i < prog->len; i++) {
		if (!costack_is_kfunc_call(&insn[i]) || insn[i].off)
			continue;
		name = costack_kernel_type_name(prog->aux->attach_btf, insn[i].imm);
		if (name && !strcmp(name, "bpf_rcu_read_lock")) {
			pr_err("body %s: instruction %d: an RCU section cannot be in a body with global functions: make them static\n",
			       prog->aux->name, i);
			return -EACCES;
		}
	}
	return 0;
}

/* struct_ops */

static int costack_ops_check_member(const struct btf_type *t, const struct btf_member *member,
				    const struct bpf_prog *prog)
{
	int ret;

	if (__btf_member_bit_offset(t, member) / 8 != offsetof(struct costack_ops, body))
		return -EINVAL;
	if (!prog->sleepable) {
		pr_err("body %s: must be in a section struct_ops.s/...: define it with COSTACK_BODY()\n",
		       prog->aux->name);
		return -EINVAL;
	}
	ret = costack_check_calls(prog);
	ret = ret ?: costack_check_sections(prog);
	return ret ?: costack_check_exits(prog);
}

static int costack_ops_init_member(const struct btf_type *t, const struct btf_member *member,
				   void *kdata, const void *udata)
{
	const struct costack_ops *from = udata;
	struct costack_ops *to = kdata;
	int i;

	switch (__btf_member_bit_offset(t, member) / 8) {
	case offsetof(struct costack_ops, name):
		if (!from->name[0] || !memchr(from->name, 0, sizeof(from->name))) {
			pr_err("ops: name must have 1 to %d characters\n", COSTACK_NAME_MAX - 1);
			return -EINVAL;
		}
		for (i = 0; from->name[i]; i++) {
			if (!isascii(from->name[i]) || !isgraph(from->name[i])) {
				pr_err("ops: name must be of printable ASCII without spaces\n");
				return -EINVAL;
			}
		}
		memcpy(to->name, from->name, sizeof(to->name));
		return 1;
	case offsetof(struct costack_ops, id):
		if (!from->id) {
			pr_err("ops '%s': id must not be 0\n", to->name);
			return -EINVAL;
		}
		to->id = from->id;
		return 1;
	case offsetof(struct costack_ops, flags):
		if (from->flags & ~COSTACK_OPS_PRIVATE) {
			pr_err("ops '%s': unknown flags %#x\n", to->name,
			       from->flags & ~COSTACK_OPS_PRIVATE);
			return -EINVAL;
		}
		to->flags = from->flags;
		return 1;
	case offsetof(struct costack_ops, frame_size):
		if (from->frame_size > COSTACK_SIZE_MAX) {
			pr_err("ops '%s': frame_size %u is out of range 0..%d\n", to->name,
			       from->frame_size, COSTACK_SIZE_MAX);
			return -EINVAL;
		}
		to->frame_size = from->frame_size;
		return 1;
	case offsetof(struct costack_ops, stack_size):
		if (from->stack_size && !(to->flags & COSTACK_OPS_PRIVATE)) {
			pr_err("ops '%s': stack_size is for COSTACK_OPS_PRIVATE\n", to->name);
			return -EINVAL;
		}
		if (from->stack_size && (from->stack_size < COSTACK_STACK_MIN ||
					 from->stack_size > COSTACK_SIZE_MAX)) {
			pr_err("ops '%s': stack_size %u is out of range %d..%d, or 0\n", to->name,
			       from->stack_size, COSTACK_STACK_MIN, COSTACK_SIZE_MAX);
			return -EINVAL;
		}
		to->stack_size = from->stack_size;
		return 1;
	case offsetof(struct costack_ops, limit):
		if (from->limit > INT_MAX / 2) {
			pr_err("ops '%s': limit %u is out of range 0..%d\n", to->name, from->limit,
			       INT_MAX / 2);
			return -EINVAL;
		}
		to->limit = from->limit;
		return 1;
	}
	return 0;
}

static int costack_ops_validate(void *kdata)
{
	const struct costack_ops *ops = kdata;

	if (!ops->body) {
		pr_err("ops '%s': there is no body\n", ops->name);
		return -EINVAL;
	}
	return 0;
}

static int costack_ops_reg(void *kdata, struct bpf_link *link)
{
	return costack_type_register(kdata);
}

static void costack_ops_unreg(void *kdata, struct bpf_link *link)
{
	struct costack_type *type = costack_type_retire(kdata);

	if (WARN_ON(!type))
		return;
	costack_co_retire(type);
	costack_type_free(type);
}

static int costack_ops_btf_init(struct btf *btf)
{
	return 0;
}

static int costack_ops_body_stub(struct costack_self *self, u64 arg)
{
	return 0;
}

static struct costack_ops costack_ops_stubs = {
	.body = costack_ops_body_stub,
};

static struct bpf_struct_ops costack_struct_ops = {
	.verifier_ops = &costack_verifier_ops,
	.init = costack_ops_btf_init,
	.check_member = costack_ops_check_member,
	.init_member = costack_ops_init_member,
	.validate = costack_ops_validate,
	.reg = costack_ops_reg,
	.unreg = costack_ops_unreg,
	.cfi_stubs = &costack_ops_stubs,
	.owner = THIS_MODULE,
	.name = "costack_ops",
};

/**
 * costack_ops_init() - let programs be bodies
 *
 * There is no way back, as with kfuncs.
 *
 * Context: process, may sleep.
 * Return: 0 or the error of the registration.
 */
int __init costack_ops_init(void)
{
	int ret;

	if (!COSTACK_HAVE_SWITCH || IS_ENABLED(CONFIG_PREEMPT_RT)) {
		pr_info("no coroutines on this kernel (%s); stacks and frames work\n",
			COSTACK_HAVE_SWITCH ? "PREEMPT_RT" : "no switch for its architecture");
		return 0;
	}
	/* Members are checked in their order, stack_size against the flags. */
	BUILD_BUG_ON(offsetof(struct costack_ops, stack_size) <
		     offsetof(struct costack_ops, flags));
	ret = register_bpf_struct_ops(&costack_struct_ops, costack_ops);
	if (ret)
		pr_err("cannot register struct costack_ops: %pe\n", ERR_PTR(ret));
	return ret;
}
