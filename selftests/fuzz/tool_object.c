// SPDX-License-Identifier: GPL-2.0
/* Object files: as far as "prog load" goes before it calls the kernel. */
#include <errno.h>

#include "cmd.h"
#include "object.h"
#include "prog.h"
#include "tool.h"

static void use(const char *path, const struct object_file *file)
{
	LIBBPF_OPTS(bpf_object_open_opts, open_opts, .object_name = "fuzz");
	struct targets targets = { .nr = 1, .ifname = { "lo" } };
	struct bpf_object *obj;

	log_start();
	obj = bpf_object__open_mem(file->data, file->size, &open_opts);
	if (!obj) {
		explain_open(path, -errno);
		return;
	}
	ids_assign(obj, false);
	ids_assign(obj, true);
	attach_check(obj, &targets);
	attach_check(obj, NULL);
	explain_load(obj, path, -EINVAL);
	bpf_object__close(obj);
}

int fuzz_object(const uint8_t *data, size_t size)
{
	struct object_file file;
	const char *path;

	tool_begin();
	path = tool_file(0, data, size);
	if (!object_read(path, &file))
		use(path, &file);
	object_free(&file);
	return 0;
}
