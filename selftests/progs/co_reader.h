/* SPDX-License-Identifier: GPL-2.0 */
/* Bodies that read messages. */
#ifndef __CO_READER_H
#define __CO_READER_H

u64 read_bytes;		/* by all readers */
u32 read_bad;		/* where the first wrong byte was, and 1 */

/* Reads pieces of all sizes of the pattern, until it is cancelled. @how: with what. */
static __noinline int read_piece(struct costack_self *self, u32 pos, u32 n, u32 how)
{
	bool looked = false;
	u8 buf[64];
	int ret, i;

	if (!n || n > sizeof(buf))
		return -1;
	switch (how & 3) {
	case 0:
		ret = bpf_costack_skip(self, n);
		return ret ?: n;
	case 1:
		ret = bpf_costack_read_some(self, buf, n);
		break;
	case 2:
		ret = bpf_costack_peek(self, buf, n);
		if (ret > 0) {
			if (ret > bpf_costack_avail(self))
				read_bad = pos + 1;
			looked = true;
			break;
		}
		/* Nothing there: wait for it. */
		__attribute__((fallthrough));
	default:
		ret = bpf_costack_read(self, buf, n) ?: n;
	}
	bpf_for(i, 0, ret) {
		if (i >= sizeof(buf))
			break;
		if (buf[i] != co_pattern(pos + i) && !read_bad)
			read_bad = pos + i + 1;
	}
	/* What was looked at only comes again. */
	if (looked && bpf_costack_skip(self, ret))
		return -1;
	return ret;
}

COSTACK_BODY(reader, u64 seed)
{
	u32 pos = 0, random = seed;
	int ret;

	bpf_repeat(COSTACK_LOOP_MAX) {
		random = random * 1664525 + 1013904223;
		ret = read_piece(self, pos, 1 + (random >> 16) % 64, random >> 28);
		if (ret < 0)
			return ret;
		pos += ret;
		__sync_fetch_and_add(&read_bytes, ret);
	}
	return pos;
}
COSTACK_OPS(reader);

/* Yields when it has read four bytes, and leaves the rest. */
COSTACK_BODY(dropper, u64 arg)
{
	u32 word;

	bpf_repeat(COSTACK_LOOP_MAX) {
		if (bpf_costack_read(self, &word, sizeof(word)) ||
		    bpf_costack_yield(self, (u64)bpf_costack_avail(self) << 32 | word))
			break;
	}
	return bpf_costack_avail(self);
}
COSTACK_OPS(dropper);

#endif /* __CO_READER_H */
