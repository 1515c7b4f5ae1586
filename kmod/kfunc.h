/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kfuncs' registration. The kfuncs themselves are declared for their
 * users, BPF programs, in bpf/costack.bpf.h.
 */
#ifndef _COSTACK_KFUNC_H
#define _COSTACK_KFUNC_H

int costack_kfunc_init(void);

#endif /* _COSTACK_KFUNC_H */
