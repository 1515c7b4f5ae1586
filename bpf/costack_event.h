/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Events that a program puts into its ring buffer map `events` and that
 * `costack prog follow` prints. Include after vmlinux.h, or after <linux/types.h> in
 * user space.
 */
#ifndef __COSTACK_EVENT_H
#define __COSTACK_EVENT_H

#define COSTACK_EVENT_FLOW	1
#define COSTACK_EVENT_TASK	2

#define COSTACK_EVENT_TEXT	256

/**
 * struct costack_event_flow - something found in a connection
 * @type: COSTACK_EVENT_FLOW
 * @len: bytes of @text that are used; it need not end in a zero
 * @time_ns: bpf_ktime_get_ns(): CLOCK_MONOTONIC
 * @ifindex: interface it was seen on
 * @family: 2 (AF_INET) or 10 (AF_INET6)
 * @proto: IP protocol
 * @dir: 0 towards this host, 1 away from it
 * @pad: 0
 * @sport: port of the sender, host byte order
 * @dport: port of the receiver, host byte order
 * @saddr: address of the sender, network byte order; IPv4 in the first 4 bytes
 * @daddr: address of the receiver, likewise
 * @packets: packets that it took
 * @text: what was found
 */
struct costack_event_flow {
	__u32 type;
	__u32 len;
	__u64 time_ns;
	__u32 ifindex;
	__u8 family;
	__u8 proto;
	__u8 dir;
	__u8 pad;
	__u16 sport;
	__u16 dport;
	__u8 saddr[16];
	__u8 daddr[16];
	__u32 packets;
	char text[COSTACK_EVENT_TEXT];
};

/**
 * struct costack_event_task - something found in a process
 * @type: COSTACK_EVENT_TASK
 * @len: bytes of @text that are used; it need not end in a zero
 * @time_ns: bpf_ktime_get_ns(): CLOCK_MONOTONIC
 * @duration_ns: how long it took
 * @pid: the process
 * @status: how it ended, as wait(2) has it
 * @text: what was found
 */
struct costack_event_task {
	__u32 type;
	__u32 len;
	__u64 time_ns;
	__u64 duration_ns;
	__u32 pid;
	__u32 status;
	char text[COSTACK_EVENT_TEXT];
};

#endif /* __COSTACK_EVENT_H */
