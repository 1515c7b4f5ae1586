// SPDX-License-Identifier: GPL-2.0
/* costack prog: its commands, and the one that is short. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "prog.h"

static int prog_attach(int argc, char **argv)
{
	struct json_object *obj;
	struct targets t = {};
	const char *only = NULL;
	int i, err, lock, ret;

	if (argc < 1)
		return usage("prog attach wants the NAME of something loaded: see costack prog list");
	ret = pin_check_name(argv[0]);
	for (i = 1; !ret && i < argc; i++) {
		if (!strcmp(argv[i], "dev")) {
			ret = targets_add_dev(&t, argv[++i]);
		} else if (!strcmp(argv[i], "cgroup")) {
			t.cgroup = argv[++i];
			if (!t.cgroup || !*t.cgroup)
				ret = usage("cgroup wants a PATH");
		} else if (i == 1) {
			only = argv[i];
			ret = pin_check_prog(only);
		} else {
			ret = usage("prog attach takes no '%.80s'", argv[i]);
		}
	}
	ret = ret ?: targets_check_cgroup(&t) ?: need_rights() ?: need_bpffs();
	if (ret)
		return ret;
	err = pin_lock(argv[0], NULL, &lock);
	if (err == -EWOULDBLOCK)
		return fail("'%s' is being changed or unloaded by another costack: wait for it",
			    argv[0]);
	if (err)
		return fail("nothing is loaded as '%s': see costack prog list", argv[0]);
	ret = attach_pinned(argv[0], only, &t);
	if (!ret && opts.json) {
		obj = list_name(argv[0]);
		print_json(obj);
		json_object_put(obj);
	}
	close(lock);
	return ret;
}

static int prog_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("Usage: costack [OPTIONS] prog load FILE [name NAME] [dev IFACE]... [cgroup PATH]\n"
	       "                                [noattach] [--follow [count N] [timeout SECONDS]]\n"
	       "       costack [OPTIONS] prog attach NAME [PROG] [dev IFACE]... [cgroup PATH]\n"
	       "       costack [OPTIONS] prog list\n"
	       "       costack [OPTIONS] prog follow NAME [count N] [timeout SECONDS]\n"
	       "       costack [OPTIONS] prog unload NAME\n"
	       "       costack [OPTIONS] prog help\n"
	       "\n"
	       "  load    load every program of an object file, attach it, and pin it below\n"
	       "          %s/costack/NAME, where it lives on; all or nothing\n"
	       "  attach  attach what was loaded with noattach, or to one more target\n"
	       "  list    what is loaded, and what it is attached to\n"
	       "  follow  print the events of its ring buffer map called events\n"
	       "  unload  detach and remove it\n"
	       "\n"
	       "XDP and TC programs want dev, cgroup programs want cgroup; tracing, LSM and\n"
	       "struct_ops programs are attached to what their section names.\n", opts.bpffs);
	return CMD_OK;
}

static const struct cmd commands[] = {
	{ "list", prog_list },
	{ "show", prog_list },
	{ "load", prog_load },
	{ "attach", prog_attach },
	{ "follow", prog_follow },
	{ "unload", prog_unload },
	{ "help", prog_help },
	{ NULL, NULL },
};

/**
 * do_prog() - the object prog
 * @argc: number of words
 * @argv: the words
 *
 * Return: an exit status.
 */
int do_prog(int argc, char **argv)
{
	return cmd_select(commands, argc, argv, "prog ");
}
