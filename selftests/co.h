/* SPDX-License-Identifier: GPL-2.0 */
/* Programs of progs/co_drive.h from C: one call, one thing done. */
#ifndef __TEST_CO_H
#define __TEST_CO_H

#include "testing.h"
#include "progs/co.h"

/* Runs the program with what is in @args, and leaves there what it says. */
#define co_do(skel, what, ...)							\
({										\
	struct co_args __args = { .count = 1, ##__VA_ARGS__ };			\
	int __err = prog_run((skel)->progs.do_##what, &__args, sizeof(__args), NULL); \
	if (__err)								\
		test_fail(__FILE__, __LINE__, #what ": %s", strerror(-__err));	\
	__args;									\
})

/* The number of a type. */
#define co_type(skel, name) ((skel)->struct_ops.name##_ops->id)

/* Spawns one of a type into a slot. Was there one to spawn? */
#define co_spawn(skel, _name, _slot, _arg, ...)					\
({										\
	int __ret = co_do(skel, spawn, .type = co_type(skel, _name), .slot = (_slot), \
			  .arg = (_arg), ##__VA_ARGS__).ret;			\
	__ret;									\
})

#endif /* __TEST_CO_H */
