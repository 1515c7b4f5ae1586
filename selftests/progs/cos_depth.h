/* SPDX-License-Identifier: GPL-2.0 */
/* What cos_depth.bpf.c and its test tell each other. */
#ifndef __COS_DEPTH_H
#define __COS_DEPTH_H

#define MAX_CPUS	8
#define PORT		40007

#endif /* __COS_DEPTH_H */
