// SPDX-License-Identifier: GPL-2.0
/* Those who disturb a stress test. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "stress.h"

static struct bpf_link *types[6];

static bool attach_type(int i)
{
	const struct bpf_map *maps[] = {
		skel->maps.dense_ops, skel->maps.own_ops, skel->maps.deep_ops,
		skel->maps.caller_ops, skel->maps.adder_ops, skel->maps.reader_ops,
	};

	types[i] = bpf_map__attach_struct_ops(maps[i]);
	return types[i];
}

void disturb_begin(u64 seed)
{
	unsigned int i;

	(void)seed;
	for (i = 0; i < ARRAY_SIZE(types); i++)
		ASSERT_TRUE(attach_type(i));
}

void disturb_end(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(types); i++)
		bpf_link__destroy(types[i]);
}

bool disturb_report(void)
{
	return true;
}
