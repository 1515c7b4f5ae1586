/* SPDX-License-Identifier: GPL-2.0 */
/* What the targets for the costack tool share; its sources are a part of them. */
#ifndef TOOL_H
#define TOOL_H

#include "fuzz.h"

/* No rights, so that nothing can be loaded or removed; nothing on standard output. */
void tool_begin(void);
/* A file with these bytes: a path that is good until the next call with this @slot. */
const char *tool_file(int slot, const uint8_t *data, size_t size);
/* The directory that is --debugfs. */
extern char tool_dir[];
/* Called when the tool waits for the next picture. */
extern void (*tool_waits)(void);
/* One record of the kernel log. */
void tool_record(const uint8_t *data, size_t size);
int costack_main(int argc, char **argv);

#endif /* TOOL_H */
