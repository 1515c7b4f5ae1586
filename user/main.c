// SPDX-License-Identifier: GPL-2.0
/* costack: look at the module, load programs that use it, watch it. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "cmd.h"

#if LIBBPF_MAJOR_VERSION < 1 || (LIBBPF_MAJOR_VERSION == 1 && LIBBPF_MINOR_VERSION < 3)
#error "the costack tool needs libbpf 1.3 or newer (TCX links)"
#endif

struct options opts = {
	.bpffs = "/sys/fs/bpf",
	.debugfs = "/sys/kernel/debug/costack",
};

static int do_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("Usage: costack [OPTIONS] OBJECT { COMMAND | help }\n"
	       "       costack { version | help }\n"
	       "\n"
	       "       OBJECT := { status | prog | stats }\n"
	       "       OPTIONS := { -j|--json [-p|--pretty] | -d|--debug | -V|--version | -h|--help |\n"
	       "                    --bpffs DIR | --debugfs DIR }\n"
	       "\n"
	       "  status   is everything there that costack needs, and if not, what to do\n"
	       "  prog     load, attach, list, follow and unload BPF programs\n"
	       "  stats    figures of the pools\n");
	return CMD_OK;
}

static int do_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	if (opts.json) {
		struct json_object *obj = json_object_new_object();

		json_object_object_add(obj, "version", json_object_new_string(COSTACK_VERSION));
		json_object_object_add(obj, "libbpf_version",
				       json_object_new_string(libbpf_version_string() + 1));
		print_json(obj);
		json_object_put(obj);
	} else {
		printf("costack %s, libbpf %s\n", COSTACK_VERSION, libbpf_version_string());
	}
	return CMD_OK;
}

static const struct cmd objects[] = {
	{ "status", do_status },
	{ "prog", do_prog },
	{ "stats", do_stats },
	{ "version", do_version },
	{ "help", do_help },
	{ NULL, NULL },
};

/**
 * cmd_select() - call the command that the first word names
 * @cmds: table, ended by an empty entry; of two that fit, the first one counts
 * @argc: number of words
 * @argv: the words
 * @help: called when there is no word
 *
 * Return: what the command returned, or CMD_USAGE.
 */
int cmd_select(const struct cmd *cmds, int argc, char **argv, int (*help)(int, char **))
{
	size_t len;
	int i;

	if (argc < 1)
		return help(0, NULL), CMD_USAGE;
	len = strlen(argv[0]);
	for (i = 0; cmds[i].name; i++) {
		if (len && !strncmp(cmds[i].name, argv[0], len))
			return cmds[i].func(argc - 1, argv + 1);
	}
	return usage("unknown word '%s': see costack help", argv[0]);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "pretty", no_argument, NULL, 'p' },
		{ "debug", no_argument, NULL, 'd' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ "bpffs", required_argument, NULL, 'B' },
		{ "debugfs", required_argument, NULL, 'D' },
		{ NULL, 0, NULL, 0 },
	};
	int opt, ret;

	libbpf_log_start();
	opterr = 0;
	/* '+': options end at the object, so that its words may begin with a dash. */
	while ((opt = getopt_long(argc, argv, "+jpdVh", options, NULL)) != -1) {
		switch (opt) {
		case 'j':
			opts.json = true;
			break;
		case 'p':
			opts.json = true;
			opts.pretty = true;
			break;
		case 'd':
			opts.debug = true;
			break;
		case 'V':
			return do_version(0, NULL);
		case 'h':
			return do_help(0, NULL);
		case 'B':
			opts.bpffs = optarg;
			break;
		case 'D':
			opts.debugfs = optarg;
			break;
		default:
			return usage("unknown option, or one without its value: '%s': see costack help",
				     argv[optind - 1]);
		}
	}
	ret = cmd_select(objects, argc - optind, argv + optind, do_help);
	if (fflush(stdout) && errno != EPIPE && ret == CMD_OK)
		ret = fail("cannot write the output: %s", strerror(errno));
	return ret;
}
