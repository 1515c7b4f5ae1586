/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only place that knows kernel versions. Whatever a supported kernel lacks
 * is defined here under its upstream name, with the version that brought it
 * (or took it away), so that it can be removed when that version is the oldest
 * one supported.
 */
#ifndef _COSTACK_COMPAT_H
#define _COSTACK_COMPAT_H

#include <linux/btf.h>
#include <linux/slab.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "costack needs Linux 6.12 or newer"
#endif

/*
 * kfunc and struct_ops interfaces are not stable. A kernel that nobody tried
 * is refused, not guessed at.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 4, 0) && !defined(COSTACK_UNTESTED_KERNEL)
#error "costack was tested up to Linux 7.3; build with UNTESTED=1 to try anyway"
#endif

#ifndef CONFIG_DEBUG_INFO_BTF_MODULES
#error "costack needs a kernel with CONFIG_DEBUG_INFO_BTF_MODULES"
#endif

/* See unwind.h. */
#if defined(CONFIG_X86_64) && defined(CONFIG_UNWINDER_ORC) && !defined(CONFIG_PREEMPT_RT) && \
	!defined(CONFIG_DYNAMIC_FTRACE_WITH_ARGS)
#error "costack needs a kernel with CONFIG_DYNAMIC_FTRACE_WITH_ARGS"
#endif

/*
 * 128-bit compare-and-exchange: x86-64 and arm64. The pool's depots are built on
 * it.
 */
#ifndef system_has_cmpxchg128
#error "costack needs a 128-bit compare-and-exchange (x86-64, arm64)"
#endif

/*
 * KF_TRUSTED_ARGS became the default, and the flag went away, after 6.18. On
 * 6.12 a kfunc without it takes untrusted pointers, so it is always written.
 */
#ifndef KF_TRUSTED_ARGS
#define KF_TRUSTED_ARGS 0
#endif

/*
 * kmalloc_nolock(): 6.18. The largest size is that of the largest slab cache,
 * and memory obtained with it is returned with kfree_nolock() alone.
 */
#ifdef kmalloc_nolock
#define COSTACK_NOLOCK_MAX	KMALLOC_MAX_CACHE_SIZE
#else
#define COSTACK_NOLOCK_MAX	0
static inline void *kmalloc_nolock(size_t size, gfp_t gfp, int node)
{
	return NULL;
}

static inline void kfree_nolock(const void *object)
{
}
#endif

#endif /* _COSTACK_COMPAT_H */
