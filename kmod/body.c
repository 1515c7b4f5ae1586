// SPDX-License-Identifier: GPL-2.0
/*
 * Whatever has its frame on a coroutine's stack while the body is suspended. The
 * Makefile builds this file apart, since such a frame begins in one task and ends in
 * another:
 *   - not traced, here and by kprobes: the function graph tracer and return probes
 *     keep a shadow stack in each task;
 *   - no stack protector: its canary is the task's;
 *   - not under KASAN: red zones of a suspended frame would be found by the next body
 *     on the same stack.
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/kprobes.h>
#include <linux/rcupdate_trace.h>
#include <linux/string.h>

#include "body.h"
#include "coroutine.h"
#include "costack.h"
#include "switch.h"

static struct costack_co *costack_co_of_self(struct costack_self *self)
{
	BUILD_BUG_ON(offsetof(struct costack_self, id) != offsetof(struct costack_co_self, id) ||
		     offsetof(struct costack_self, value) !=
		     offsetof(struct costack_co_self, value));
	return container_of((struct costack_co_self *)self, struct costack_co, self);
}

/* Back to who resumes. Return: 0 when resumed, -ECANCELED, -ENOMEM. */
static __always_inline int costack_co_leave(struct costack_co *co, u8 event)
{
	unsigned long sp = current_stack_pointer - COSTACK_SWITCH_BYTES;
	int ret;

	if (unlikely(READ_ONCE(co->cancelled)))
		return -ECANCELED;
	if (unlikely(sp - co->sp_min >= co->sp_room)) {
		ret = costack_co_leave_slow(co, sp);
		if (ret)
			return ret;
	}
	co->event = event;
	costack_switch(&co->sp, &co->base_sp);
	return unlikely(READ_ONCE(co->cancelled)) ? -ECANCELED : 0;
}

/**
 * costack_co_main() - the bottom of a coroutine's stack
 * @co: whose
 *
 * Context: as its first resume.
 */
void costack_co_main(struct costack_co *co)
{
	co->entered = true;
	co->type->body((struct costack_self *)&co->self, co->out);
	co->event = COSTACK_DONE;
	costack_switch(&co->sp, &co->base_sp);
}
NOKPROBE_SYMBOL(costack_co_main);

__bpf_kfunc_start_defs();

/**
 * bpf_costack_yield() - give a value to the resumer, and wait
 * @self: the body's coroutine
 * @value: the resumer's result
 *
 * For bodies; the verifier refuses it in an RCU section, with a lock held, or with
 * preemption or interrupts disabled.
 *
 * Return:
 * * 0: resumed; @self->value is what was passed
 * * -ECANCELED: the body is to release what it has, and return
 * * -ENOMEM: no room to keep the stack; nothing happened
 */
__bpf_kfunc int bpf_costack_yield(struct costack_self *self, u64 value)
{
	struct costack_co *co = costack_co_of_self(self);

	co->out = value;
	return costack_co_leave(co, COSTACK_YIELDED);
}
NOKPROBE_SYMBOL(bpf_costack_yield);

/**
 * bpf_costack_read() - read messages
 * @self: the body's coroutine
 * @buf: memory of the body: its stack, bpf_costack_local(), a global variable
 * @buf__sz: bytes to read
 *
 * Waits until there are that many, over any number of resumes. For bodies, as
 * bpf_costack_yield().
 *
 * Return:
 * * 0: @buf is full
 * * -ECANCELED, -ENOMEM: as bpf_costack_yield(); a part may be read already
 */
__bpf_kfunc int bpf_costack_read(struct costack_self *self, void *buf, u32 buf__sz)
{
	struct costack_co *co = costack_co_of_self(self);
	u32 n;
	int ret;

	for (;;) {
		n = min(co->msg.left, buf__sz);
		costack_message_copy(&co->msg, buf, n);
		co->msg.pos += n;
		co->msg.left -= n;
		buf += n;
		buf__sz -= n;
		if (!buf__sz)
			return 0;
		co->out = 0;
		ret = costack_co_leave(co, COSTACK_READING);
		if (ret)
			return ret;
	}
}
NOKPROBE_SYMBOL(bpf_costack_read);

/**
 * bpf_costack_read_some() - read what there is of messages
 * @self: the body's coroutine
 * @buf: memory of the body
 * @buf__sz: bytes to read at most, not 0
 *
 * Waits when there is nothing. For bodies, as bpf_costack_yield().
 *
 * Return:
 * * bytes read
 * * -ECANCELED, -ENOMEM: as bpf_costack_yield(); nothing is read
 */
__bpf_kfunc int bpf_costack_read_some(struct costack_self *self, void *buf, u32 buf__sz)
{
	struct costack_co *co = costack_co_of_self(self);
	u32 n;
	int ret;

	while (!co->msg.left) {
		co->out = 0;
		ret = costack_co_leave(co, COSTACK_READING);
		if (ret)
			return ret;
	}
	n = min3(co->msg.left, buf__sz, (u32)INT_MAX);
	costack_message_copy(&co->msg, buf, n);
	co->msg.pos += n;
	co->msg.left -= n;
	return n;
}
NOKPROBE_SYMBOL(bpf_costack_read_some);

/**
 * bpf_costack_skip() - pass over bytes of messages
 * @self: the body's coroutine
 * @n: how many
 *
 * Waits until they have come; nothing is copied. For bodies, as bpf_costack_yield().
 *
 * Return:
 * * 0: passed over
 * * -ECANCELED, -ENOMEM: as bpf_costack_yield(); a part may be passed over already
 */
__bpf_kfunc int bpf_costack_skip(struct costack_self *self, u64 n)
{
	struct costack_co *co = costack_co_of_self(self);
	u32 here;
	int ret;

	for (;;) {
		here = min_t(u64, co->msg.left, n);
		co->msg.pos += here;
		co->msg.left -= here;
		n -= here;
		if (!n)
			return 0;
		co->out = 0;
		ret = costack_co_leave(co, COSTACK_READING);
		if (ret)
			return ret;
	}
}
NOKPROBE_SYMBOL(bpf_costack_skip);

/**
 * bpf_costack_call() - run another coroutine
 * @self: the body's coroutine
 * @co: the other; must be a reference or a trusted pointer
 * @value: passed to its body
 * @result__nullable: written: what that yielded or returned; may be NULL
 *
 * For bodies, as bpf_costack_yield().
 *
 * Return:
 * * &enum costack_event, -EBUSY, -ESRCH, -ESTALE: as bpf_costack_resume()
 * * -ELOOP: COSTACK_DEPTH_MAX coroutines called each other
 * * -ECANCELED, -ENOMEM: as bpf_costack_yield(); the other did not run
 */
__bpf_kfunc int bpf_costack_call(struct costack_self *self, struct costack_co *co, u64 value,
				 u64 *result__nullable)
{
	struct costack_co *caller = costack_co_of_self(self);
	int ret;

	if (READ_ONCE(caller->cancelled))
		return -ECANCELED;
	caller->callee = co;
	caller->out = value;
	caller->ret = -ECANCELED;
	ret = costack_co_leave(caller, COSTACK_CALLING);
	/* The other may have run, and this one been cancelled meanwhile. */
	if (ret && ret != -ECANCELED)
		return ret;
	if (caller->ret >= 0 && result__nullable)
		*result__nullable = caller->out;
	return caller->ret;
}
NOKPROBE_SYMBOL(bpf_costack_call);

/**
 * bpf_costack_finish() - the last thing that a body's program calls
 * @self: the body's coroutine
 * @result: the last resume's
 *
 * The trampoline that called the body leaves what it entered next; when that was
 * left at the first yield, it is entered again here, in this task. COSTACK_BODY() calls
 * it. For bodies.
 *
 * Return: 0
 */
__bpf_kfunc int bpf_costack_finish(struct costack_self *self, s64 result)
{
	struct costack_co *co = costack_co_of_self(self);

	co->out = result;
	if (!co->entered) {
		co->ctx = current->bpf_ctx;
		rcu_read_lock_trace();
		migrate_disable();
		co->entered = true;
		/* A program may call this and yet wait again: that leaves them again. */
		co->sp_min = ULONG_MAX;
		co->sp_room = 0;
	}
	return 0;
}
NOKPROBE_SYMBOL(bpf_costack_finish);

/**
 * bpf_costack_peek() - copy what comes next, and leave it there
 * @self: the body's coroutine
 * @buf: memory of the body
 * @buf__sz: bytes to copy at most
 *
 * Of this message alone; does not wait. For bodies.
 *
 * Return: bytes copied
 */
__bpf_kfunc int bpf_costack_peek(struct costack_self *self, void *buf, u32 buf__sz)
{
	struct costack_co *co = costack_co_of_self(self);
	u32 n = min3(co->msg.left, buf__sz, (u32)INT_MAX);

	costack_message_copy(&co->msg, buf, n);
	return n;
}

/**
 * bpf_costack_avail() - how much is there to read without waiting
 * @self: the body's coroutine
 *
 * For bodies.
 *
 * Return: bytes
 */
__bpf_kfunc u32 bpf_costack_avail(struct costack_self *self)
{
	return costack_co_of_self(self)->msg.left;
}

/**
 * bpf_costack_local() - read and write a part of the coroutine's memory
 * @self: the body's coroutine
 * @off: where the part begins, in bytes; may be a variable
 * @rdwr_buf_size: its length in bytes; must be a constant
 *
 * The memory is costack_ops.frame_size bytes, zero at first. A part stays valid while the
 * body lives. For bodies.
 *
 * Return:
 * * the part
 * * NULL: it does not lie within that memory, or its length is 0
 */
__bpf_kfunc u8 *bpf_costack_local(struct costack_self *self, u32 off, const u32 rdwr_buf_size)
{
	struct costack_co *co = costack_co_of_self(self);

	return co->frame ? costack_frame(co->frame, off, rdwr_buf_size) : NULL;
}

__bpf_kfunc_end_defs();
