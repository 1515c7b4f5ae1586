// SPDX-License-Identifier: GPL-2.0
/* For the costack tool: struct_ops without a link would end with the tool. */
#define SECTION ".struct_ops"
#include "tool_ops.bpf.c"
