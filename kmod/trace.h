/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints. No argument has the type struct costack *: a tp_btf program
 * would get it as a trusted pointer and could take a reference to a stack that is
 * being freed. Nor is it const void *: 6.12 lets tp_btf programs read void * alone.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM costack

#if !defined(_COSTACK_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _COSTACK_TRACE_H

#include <linux/tracepoint.h>

#include "pool.h"

/* It lies on the long way, and has all allocations go there. */
TRACE_EVENT_FN(costack_alloc,

	TP_PROTO(void *stack, u32 size, int context, int source),

	TP_ARGS(stack, size, context, source),

	TP_STRUCT__entry(
		__field(void *, stack)
		__field(u32, size)
		__field(int, context)
		__field(int, source)
	),

	TP_fast_assign(
		__entry->stack = stack;
		__entry->size = size;
		__entry->context = context;
		__entry->source = source;
	),

	TP_printk("stack=%p size=%u context=%s source=%s", __entry->stack, __entry->size,
		  __print_symbolic(__entry->context,
				   { 0, "sleepable" }, { 1, "process" }, { 2, "softirq" },
				   { 3, "hardirq" }, { 4, "nmi" }),
		  __print_symbolic(__entry->source,
				   { 0, "magazine" }, { 1, "depot" }, { 2, "kernel" },
				   { 3, "atomic" }, { 4, "nolock" }, { 5, "limit" },
				   { 6, "nomem" }, { 7, "empty" }, { 8, "size" }, { 9, "flags" })),

	costack_pools_divert, costack_pools_undivert
);

TRACE_EVENT(costack_free,

	TP_PROTO(void *stack, u32 size, u32 dirty),

	TP_ARGS(stack, size, dirty),

	TP_STRUCT__entry(
		__field(void *, stack)
		__field(u32, size)
		__field(u32, dirty)
	),

	TP_fast_assign(
		__entry->stack = stack;
		__entry->size = size;
		__entry->dirty = dirty;
	),

	TP_printk("stack=%p size=%u dirty=%u", __entry->stack, __entry->size, __entry->dirty)
);

DECLARE_EVENT_CLASS(costack_pool_class,

	TP_PROTO(u32 size, int backing, int node, int stacks),

	TP_ARGS(size, backing, node, stacks),

	TP_STRUCT__entry(
		__field(u32, size)
		__field(int, backing)
		__field(int, node)
		__field(int, stacks)
	),

	TP_fast_assign(
		__entry->size = size;
		__entry->backing = backing;
		__entry->node = node;
		__entry->stacks = stacks;
	),

	TP_printk("size=%u backing=%s node=%d stacks=%d", __entry->size,
		  __print_symbolic(__entry->backing, { 0, "kmalloc" }, { 1, "guard" }),
		  __entry->node, __entry->stacks)
);

DEFINE_EVENT(costack_pool_class, costack_refill,
	     TP_PROTO(u32 size, int backing, int node, int stacks),
	     TP_ARGS(size, backing, node, stacks));

DEFINE_EVENT(costack_pool_class, costack_trim,
	     TP_PROTO(u32 size, int backing, int node, int stacks),
	     TP_ARGS(size, backing, node, stacks));

TRACE_EVENT(costack_spawn,

	TP_PROTO(u64 id, u32 ops, int context, int result),

	TP_ARGS(id, ops, context, result),

	TP_STRUCT__entry(
		__field(u64, id)
		__field(u32, ops)
		__field(int, context)
		__field(int, result)
	),

	TP_fast_assign(
		__entry->id = id;
		__entry->ops = ops;
		__entry->context = context;
		__entry->result = result;
	),

	TP_printk("id=%llu ops=%#x context=%s result=%s", __entry->id, __entry->ops,
		  __print_symbolic(__entry->context,
				   { 0, "sleepable" }, { 1, "process" }, { 2, "softirq" },
				   { 3, "hardirq" }, { 4, "nmi" }),
		  __print_symbolic(__entry->result, { 0, "spawned" }, { 4, "type" },
				   { 5, "limit" }, { 6, "memory" }))
);

TRACE_EVENT(costack_resume,

	TP_PROTO(u64 id, u64 value),

	TP_ARGS(id, value),

	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, value)
	),

	TP_fast_assign(
		__entry->id = id;
		__entry->value = value;
	),

	TP_printk("id=%llu value=%llu", __entry->id, __entry->value)
);

TRACE_EVENT(costack_yield,

	TP_PROTO(u64 id, int event),

	TP_ARGS(id, event),

	TP_STRUCT__entry(
		__field(u64, id)
		__field(int, event)
	),

	TP_fast_assign(
		__entry->id = id;
		__entry->event = event;
	),

	TP_printk("id=%llu event=%s", __entry->id,
		  __print_symbolic(__entry->event, { 0, "yielded" }, { 1, "reading" },
				   { 2, "done" }))
);

TRACE_EVENT(costack_cancel,

	TP_PROTO(u64 id),

	TP_ARGS(id),

	TP_STRUCT__entry(
		__field(u64, id)
	),

	TP_fast_assign(
		__entry->id = id;
	),

	TP_printk("id=%llu", __entry->id)
);

#endif /* _COSTACK_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
