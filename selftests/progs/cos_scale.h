/* SPDX-License-Identifier: GPL-2.0 */
/* What the bodies of cos_scale.bpf.c yield; the checks compute the same. */
#ifndef __COS_SCALE_H
#define __COS_SCALE_H

#define COS_ROUNDS	3	/* yields of a body before it returns */

/* What one number follows another: xorshift-multiply. */
static __always_inline u64 cos_mix(u64 x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 32;
	return x;
}

/* What a resume passes: of its coroutine and its step alone. */
static __always_inline u64 cos_value(u64 id, u32 step)
{
	return cos_mix(id << 8 | step);
}

#endif /* __COS_SCALE_H */
