// SPDX-License-Identifier: GPL-2.0
/* ../../bpf/sni.bpf.c as a part of a user-space program. */
#include "shim.h"
#include "../../bpf/sni.bpf.c"

const struct shim_map shim_maps[] = {
	SHIM_MAP(heads, HEAD_SIZE, -1, -1),
	SHIM_MAP(flows, sizeof(struct flow), __builtin_offsetof(struct flow, co),
		 __builtin_offsetof(struct flow, early)),
	{ "events", &events, 0, 0, 0, { -1, -1 } },
	{}
};

const struct shim_var shim_vars[] = { SHIM_VAR(sni_counters), {} };

const struct costack_ops *const shim_types[] = { &client_hello_ops, NULL };

int (*const shim_prog)(struct __sk_buff *skb) = sni_ingress;
