/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Common to the parts of the costack tool: options, output, errors, and the table
 * of commands. Every command returns an exit status: 0 done, 1 failed (and said
 * why), 2 called in a wrong way.
 */
#ifndef COSTACK_CMD_H
#define COSTACK_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include <json-c/json.h>

#ifndef COSTACK_VERSION
#define COSTACK_VERSION "0.1.0"
#endif

enum {
	CMD_OK,
	CMD_FAILED,
	CMD_USAGE,
};

/**
 * struct options - what stands before the object on the command line
 * @json: print JSON
 * @pretty: print it indented
 * @debug: print libbpf's and the verifier's log
 * @bpffs: where bpffs is mounted
 * @debugfs: the module's debugfs directory
 */
struct options {
	bool json;
	bool pretty;
	bool debug;
	const char *bpffs;
	const char *debugfs;
};

extern struct options opts;

/**
 * struct cmd - a command of an object, or an object
 * @name: what is typed; a unique beginning will do
 * @func: called with the words behind the name
 */
struct cmd {
	const char *name;
	int (*func)(int argc, char **argv);
};

int cmd_select(const struct cmd *cmds, int argc, char **argv, int (*help)(int, char **));

int do_status(int argc, char **argv);
int do_prog(int argc, char **argv);
int do_stats(int argc, char **argv);

/* util.c */
int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void print_json(struct json_object *obj);
int parse_number(const char *text, const char *what, unsigned long max, unsigned long *val);
bool module_loaded(void);
bool module_has_btf(void);
bool is_bpffs(const char *path);
int need_rights(void);
int need_bpffs(void);
bool kernel_supported(char *release, size_t len);
void libbpf_log_start(void);
const char *libbpf_log(void);

#endif /* COSTACK_CMD_H */
