// SPDX-License-Identifier: GPL-2.0
#include <linux/minmax.h>
#include <linux/skbuff.h>
#include <net/xdp.h>

#include "message.h"

static bool costack_message_set(struct costack_message *msg, const void *from, u32 kind,
				u64 total, u32 off, u32 len)
{
	if ((u64)off + len > total)
		return false;
	msg->from = from;
	msg->pos = off;
	msg->left = len;
	msg->kind = kind;
	return true;
}

/**
 * costack_message_skb() - bytes of an skb
 * @msg: written
 * @skb: packet
 * @off: first byte, counted from the skb's data
 * @len: how many
 *
 * Context: any.
 * Return: does the skb have them?
 */
bool costack_message_skb(struct costack_message *msg, const struct sk_buff *skb, u32 off, u32 len)
{
	/* Nobody changes it while it is read: whoever has the packet waits for that. */
	if (costack_message_set(msg, skb->data, COSTACK_MSG_MEM, skb_headlen(skb), off, len))
		return true;
	return costack_message_set(msg, skb, COSTACK_MSG_SKB, skb->len, off, len);
}

/**
 * costack_message_xdp() - bytes of a packet in XDP
 * @msg: written
 * @xdp: packet
 * @off: first byte
 * @len: how many
 *
 * Context: any.
 * Return: does the packet have them?
 */
bool costack_message_xdp(struct costack_message *msg, struct xdp_buff *xdp, u32 off, u32 len)
{
	if (costack_message_set(msg, xdp->data, COSTACK_MSG_MEM, xdp->data_end - xdp->data, off,
				len))
		return true;
	return costack_message_set(msg, xdp, COSTACK_MSG_XDP, xdp_get_buff_len(xdp), off, len);
}

/* As bpf_xdp_copy_buf() of net/core/filter.c, which modules cannot call. */
static void costack_xdp_copy(const struct xdp_buff *xdp, u32 off, u8 *to, u32 n)
{
	u32 size = xdp->data_end - xdp->data, here;
	const struct skb_shared_info *frags;
	const u8 *from = xdp->data;
	unsigned int i = 0;

	while (n) {
		if (off < size) {
			here = min(n, size - off);
			memcpy(to, from + off, here);
			to += here;
			n -= here;
			off = 0;
		} else {
			off -= size;
		}
		if (!n)
			return;
		frags = xdp_get_shared_info_from_buff(xdp);
		from = skb_frag_address(&frags->frags[i]);
		size = skb_frag_size(&frags->frags[i]);
		i++;
	}
}

/**
 * costack_message_copy_packet() - costack_message_copy() for packets
 * @msg: the message
 * @to: where to
 * @n: how many, no more than are left
 *
 * Context: any.
 */
void costack_message_copy_packet(const struct costack_message *msg, void *to, u32 n)
{
	const struct sk_buff *skb = msg->from;

	/* Of a message that nothing is left of, the packet may be gone. */
	if (!n)
		return;
	if (msg->kind == COSTACK_MSG_XDP)
		costack_xdp_copy(msg->from, msg->pos, to, n);
	/* Cannot fail: the bytes are there. Unreadable frags read as zero. */
	else if (skb_copy_bits(skb, msg->pos, to, n))
		memset(to, 0, n);
}
