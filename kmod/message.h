/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Messages: what a resumer hands to a body to read, where it lies. Knows no coroutine.
 */
#ifndef _COSTACK_MESSAGE_H
#define _COSTACK_MESSAGE_H

#include <linux/string.h>
#include <linux/types.h>

struct sk_buff;
struct xdp_buff;

/**
 * enum costack_message_kind - what the bytes lie in
 * @COSTACK_MSG_MEM: memory, such as a packet's linear part
 * @COSTACK_MSG_SKB: a &struct sk_buff, from its data on, not all of it in the linear part
 * @COSTACK_MSG_XDP: a &struct xdp_buff, likewise
 */
enum costack_message_kind {
	COSTACK_MSG_MEM,
	COSTACK_MSG_SKB,
	COSTACK_MSG_XDP,
};

/**
 * struct costack_message - bytes to read
 * @from: what they lie in
 * @pos: the next one
 * @left: how many there are
 * @kind: &enum costack_message_kind
 *
 * Valid during one resume; the coroutine's that runs.
 */
struct costack_message {
	const void *from;
	u32 pos;
	u32 left;
	u32 kind;
};

bool costack_message_skb(struct costack_message *msg, const struct sk_buff *skb, u32 off, u32 len);
bool costack_message_xdp(struct costack_message *msg, struct xdp_buff *xdp, u32 off, u32 len);
void costack_message_copy_packet(const struct costack_message *msg, void *to, u32 n);

/**
 * costack_message_copy() - copy the next bytes
 * @msg: the message
 * @to: where to
 * @n: how many, no more than are left
 *
 * Context: any.
 */
static inline void costack_message_copy(const struct costack_message *msg, void *to, u32 n)
{
	if (msg->kind == COSTACK_MSG_MEM)
		memcpy(to, msg->from + msg->pos, n);
	else
		costack_message_copy_packet(msg, to, n);
}

#endif /* _COSTACK_MESSAGE_H */
