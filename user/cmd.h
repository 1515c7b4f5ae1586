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
 * struct options - what the command line says apart from the command
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
 * @name: what is typed; a beginning of it will do
 * @func: called with the words behind the name
 */
struct cmd {
	const char *name;
	int (*func)(int argc, char **argv);
};

int cmd_select(const struct cmd *cmds, int argc, char **argv, const char *object);
bool is_word(const char *typed, const char *word);

int do_status(int argc, char **argv);
int do_prog(int argc, char **argv);
int do_coroutine(int argc, char **argv);
int do_stats(int argc, char **argv);
int do_top(int argc, char **argv);

/* output.c */
int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void print_json(struct json_object *obj);
void add_text(struct json_object *obj, const char *key, const char *text);
void add_number(struct json_object *obj, const char *key, long long number);
const char *get_text(struct json_object *obj, const char *key);
long long get_number(struct json_object *obj, const char *key);
struct json_object *get_array(struct json_object *obj, const char *key);

/* table.c */
bool is_number(struct json_object *val);
const char *human(long long bytes, char *buf, size_t len);
void table_print(struct json_object *rows, bool skip_zero);

/* util.c */
int parse_number(const char *text, const char *what, unsigned long max, unsigned long *val);
bool module_loaded(void);
bool module_has_btf(void);
bool is_bpffs(const char *path);
int need_rights(void);
int need_bpffs(void);
bool libbpf_loads_types(void);
bool kernel_supported(char *release, size_t len);
const char *read_line(const char *path, char *buf, size_t len);

/* log.c */
void log_start(void);
bool log_refusal(const char **prog, const char **reason);
const char *log_first(void);

/* klog.c */
bool klog_find(const char *beginning, char *buf, size_t len);

/* debugfs.c */
struct json_object *debugfs_read(const char *name, bool quiet);

/* stats.c */
double clock_now(void);
struct json_object *rates(const char *file, struct json_object *last, struct json_object *now,
			  double seconds);

/* coroutine.c */
void coroutines_print(struct json_object *obj, size_t max);
void types_print(struct json_object *obj);

#endif /* COSTACK_CMD_H */
