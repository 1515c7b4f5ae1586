/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The struct_ops type by which programs become bodies of coroutines: what a body may
 * do, and when its type is there.
 */
#ifndef _COSTACK_OPS_H
#define _COSTACK_OPS_H

int costack_ops_init(void);

#endif /* _COSTACK_OPS_H */
