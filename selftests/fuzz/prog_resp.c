// SPDX-License-Identifier: GPL-2.0
/* ../../bpf/resp.bpf.c as a part of a user-space program. */
#include "shim.h"
#include "../../bpf/resp.bpf.c"

#define VALUE(map) sizeof(*(map).value)

const struct shim_map shim_maps[] = {
	SHIM_MAP(streams, VALUE(streams), __builtin_offsetof(struct stream, co), -1),
	SHIM_MAP(early, VALUE(early), __builtin_offsetof(struct early, cs), -1),
	SHIM_MAP(commands, VALUE(commands), -1, -1),
	SHIM_MAP(clients, VALUE(clients), -1, -1),
	SHIM_MAP(pending, VALUE(pending), -1, -1),
	{}
};

const struct shim_var shim_vars[] = {
	SHIM_VAR(tcp_counters), SHIM_VAR(resp_counters), SHIM_VAR(latency), {}
};

const struct costack_ops *const shim_types[] = { &resp_client_ops, &resp_server_ops, NULL };

int (*const shim_prog)(struct __sk_buff *skb) = resp_ingress;
