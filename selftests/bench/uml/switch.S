/* SPDX-License-Identifier: GPL-2.0 */
#include "../../modules/cos_bench_switch.S"
