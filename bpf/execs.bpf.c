// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * How long do programs run? One line when a process ends: what it had executed, its status,
 * its time.
 *
 *	costack prog load execs.bpf.o --follow
 *
 * A coroutine lives as long as the program that it tells of. It is born in an LSM hook,
 * which may sleep, so that its memory is got with GFP_KERNEL and charged to the
 * process; it goes on in a tracepoint, which may not.
 *
 * Limitations: needs the BPF LSM (bpf in /sys/kernel/security/lsm). A process that
 * executes another program is told of once, by the last.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define COSTACK_SLEEPABLE
#include "costack.bpf.h"
#include "costack_event.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} events SEC(".maps");

COSTACK_BODY(execution, u64 pid)
{
	struct costack_event_task *e = (void *)bpf_costack_local(self, 0, sizeof(*e));
	u64 start = bpf_ktime_get_ns();
	int len;

	if (!e)
		return 0;
	len = bpf_costack_read_some(self, e->text, sizeof(e->text));	/* the file's name */
	if (len <= 0)
		return 0;
	if (bpf_costack_yield(self, 0))		/* from here on, in the tracepoint */
		return 0;
	e->type = COSTACK_EVENT_TASK;
	e->len = len;
	e->pid = pid;
	e->status = self->value;
	e->time_ns = bpf_ktime_get_ns();
	e->duration_ns = e->time_ns - start;
	bpf_ringbuf_output(&events, e, sizeof(*e), 0);
	return 0;
}
COSTACK_OPS(execution, .frame_size = sizeof(struct costack_event_task));

struct process {
	struct costack_co __kptr *co;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct process);
} processes SEC(".maps");

/* The new program is loaded; there is no way back to the old one. */
SEC("lsm.s/bprm_committed_creds")
int BPF_PROG(executes, struct linux_binprm *bprm)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct process *process, none = {};
	struct costack_co *co;
	char name[128];
	long len;

	len = bpf_probe_read_kernel_str(name, sizeof(name), bprm->filename);
	if (len <= 1)
		return 0;
	co = costack_spawn(execution, pid);
	if (!co)
		return 0;
	bpf_costack_resume_mem(co, name, len - 1 < sizeof(name) ? len - 1 : sizeof(name), NULL);
	bpf_map_update_elem(&processes, &pid, &none, BPF_NOEXIST);
	process = bpf_map_lookup_elem(&processes, &pid);
	if (process)
		co = bpf_kptr_xchg(&process->co, co);
	if (co)
		bpf_costack_co_release(co);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exits, struct task_struct *task)
{
	u32 pid = task->tgid;
	struct process *process;
	struct costack_co *co;

	if (task->pid != task->tgid)
		return 0;
	process = bpf_map_lookup_elem(&processes, &pid);
	if (!process)
		return 0;
	co = bpf_kptr_xchg(&process->co, NULL);
	if (co) {
		bpf_costack_resume(co, task->exit_code, NULL);
		bpf_costack_co_release(co);
	}
	bpf_map_delete_elem(&processes, &pid);
	return 0;
}
