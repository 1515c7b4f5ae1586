/* SPDX-License-Identifier: GPL-2.0 */
/* The members of the kernel's struct that a congestion control must have. */
#ifndef __TCP_CC_H
#define __TCP_CC_H

struct sock;

struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
} __attribute__((preserve_access_index));

#endif /* __TCP_CC_H */
