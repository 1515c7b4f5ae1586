/* SPDX-License-Identifier: GPL-2.0 */
/* The module's switch, for a module that measures it. */
#include "../../kmod/switch_x86_64.S"
