/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COSTACK_OBJECT_H
#define COSTACK_OBJECT_H

#include <stddef.h>

/**
 * struct object_file - an object file in memory
 * @data: its bytes
 * @size: how many
 */
struct object_file {
	unsigned char *data;
	size_t size;
};

int object_read(const char *path, struct object_file *file);
void object_free(struct object_file *file);

#endif /* COSTACK_OBJECT_H */
