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

static void print_help(FILE *f)
{
	fprintf(f,
		"Usage: costack [OPTIONS] OBJECT { COMMAND | help }\n"
		"       costack { version | help }\n"
		"\n"
		"       OBJECT := { status | prog | coroutine | stats | top }\n"
		"       OPTIONS := { -j|--json | -p|--pretty | -d|--debug | -V|--version | -h|--help |\n"
		"                    --bpffs DIR | --debugfs DIR }\n"
		"\n"
		"  status     is everything there that costack needs, and if not, what to do\n"
		"  prog       load, attach, list, follow and unload BPF programs\n"
		"  coroutine  list coroutines, and their types\n"
		"  stats      figures of the pools\n"
		"  top        types of coroutines, and what happens to them, again and again\n"
		"\n"
		"Words may be shortened. 'costack OBJECT help' tells more, costack(8) most.\n");
}

static int do_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	print_help(stdout);
	return CMD_OK;
}

static int do_version(int argc, char **argv)
{
	(void)argv;
	if (argc)
		return usage("version takes no words");
	if (opts.json) {
		struct json_object *obj = json_object_new_object();

		add_text(obj, "version", COSTACK_VERSION);
		add_text(obj, "libbpf_version", libbpf_version_string() + 1);
		print_json(obj);
		json_object_put(obj);
	} else {
		printf("costack %s, libbpf %s\n", COSTACK_VERSION, libbpf_version_string());
	}
	return CMD_OK;
}

static const struct cmd objects[] = {
	{ "status", do_status },
	{ "stats", do_stats },
	{ "prog", do_prog },
	{ "coroutine", do_coroutine },
	{ "top", do_top },
	{ "version", do_version },
	{ "help", do_help },
	{ NULL, NULL },
};

/**
 * is_word() - is what was typed this word, or its beginning?
 * @typed: what was typed
 * @word: the word
 *
 * Return: true if so.
 */
bool is_word(const char *typed, const char *word)
{
	size_t len = strlen(typed);

	return len && !strncmp(word, typed, len);
}

/**
 * cmd_select() - call the command that the first word names
 * @cmds: table, ended by an empty entry; of two that fit, the first one counts
 * @argc: number of words
 * @argv: the words
 * @object: what the table belongs to, followed by a space; or an empty string
 *
 * Return: what the command returned, or CMD_USAGE.
 */
int cmd_select(const struct cmd *cmds, int argc, char **argv, const char *object)
{
	int i;

	if (argc < 1)
		return usage("%swants a command: see costack %shelp", object, object);
	for (i = 0; cmds[i].name; i++) {
		if (is_word(argv[0], cmds[i].name))
			return cmds[i].func(argc - 1, argv + 1);
	}
	return usage("%shas no '%.80s': see costack %shelp", *object ? object : "costack ",
		     argv[0], object);
}

/*
 * Options may also stand behind the object, as with bpftool. Only those that are
 * written in one word: anything else that begins with a dash can be a file.
 */
static int late_options(int argc, char **argv)
{
	int i, n = 0;

	for (i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "-j") || !strcmp(argv[i], "--json"))
			opts.json = true;
		else if (!strcmp(argv[i], "-p") || !strcmp(argv[i], "--pretty"))
			opts.pretty = true;
		else if (!strcmp(argv[i], "-d") || !strcmp(argv[i], "--debug"))
			opts.debug = true;
		else
			argv[n++] = argv[i];
	}
	argv[n] = NULL;
	return n;
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
	bool version = false, help = false;
	int opt, ret;

	log_start();
	if (argc < 1)
		return CMD_USAGE;
	/* A reader that has gone must not end a load half-way. */
	signal(SIGPIPE, SIG_IGN);
	opterr = 0;
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
			version = true;
			break;
		case 'h':
			help = true;
			break;
		case 'B':
			opts.bpffs = optarg;
			break;
		case 'D':
			opts.debugfs = optarg;
			break;
		default:
			return usage("'%.80s' is no option, or wants a value: see costack help",
				     argv[optind - 1]);
		}
	}
	argv += optind;
	argc = late_options(argc - optind, argv);
	opts.json = opts.json || opts.pretty;
	if (help) {
		ret = do_help(0, NULL);
	} else if (version) {
		ret = do_version(0, NULL);
	} else if (!argc) {
		print_help(stderr);
		ret = CMD_USAGE;
	} else {
		ret = cmd_select(objects, argc, argv, "");
	}
	errno = 0;
	/* Also what an earlier flush could not write. */
	if ((fflush(stdout) || ferror(stdout)) && ret == CMD_OK) {
		fprintf(stderr, "costack: cannot write the output: %s\n",
			errno ? strerror(errno) : "an earlier write failed");
		ret = CMD_FAILED;
	}
	return ret;
}
