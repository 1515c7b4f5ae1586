// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * What do Redis clients ask for, how often, and how long do they wait? For each new
 * connection to the port that an interface sees: which commands got which answers,
 * as the server's own INFO commandstats counts them.
 *
 *	costack prog load resp.bpf.o dev eth0
 *	bpftool map dump name commands		# calls, failed, rejected of each command
 *	bpftool map dump name clients		# the same of each client's address
 *	bpftool map dump name resp.bss		# a histogram of latencies, and counters
 *
 * Each direction of a connection has a coroutine, which knows nothing of packets:
 *
 *	resp_client	reads commands: arrays, or words on a line, pipelined or not. It
 *			notes each, with the time, under its number in the map `pending`.
 *	resp_server	reads replies, RESP2 or RESP3, takes the command with the next
 *			number out again, and counts it.
 *
 * They read from top to bottom and wait in the middle of a loop in the middle of a
 * number; a value of a megabyte is passed over in one call. tcp.bpf.h gives them their
 * bytes, in order and once.
 *
 * What is counted. A command counts when its reply is seen; what it counts as is what the
 * reply says:
 *	rejected	an error that the server gives without running the command: wrong
 *			number of arguments, no permission, out of memory, ...
 *	failed calls	any other error
 *	calls		any other error, and everything else
 * An unknown command is none. What MULTI queues is counted when EXEC gives the replies, and
 * never if it does not. Subscriptions are confirmed by messages, one for each channel;
 * other messages, and pushes, are no replies. CLIENT REPLY OFF and SKIP are obeyed.
 * Not seen, and so not counted, are the commands of scripts, functions and
 * modules, and replies that did not come since the connection ended first. After
 * MONITOR, SYNC and PSYNC a connection is not followed any more.
 *
 * Limitations: those of tcp.bpf.h. CLIENT REPLY in a transaction is not understood, and
 * what it silences counts as run. Backslashes in a quoted name are not understood, either.
 * A few commands complain of their own number of arguments, when they run, in the words of
 * the server: of these the ones that Redis 8.0 has are known here.
 */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "costack.bpf.h"
#include "tcp.bpf.h"

#define ENOMEM		12
#define EPROTO		71

char LICENSE[] SEC("license") = "GPL";

/* The server's. */
const volatile __u16 port = 6379;

/**
 * struct resp_counters - what happened since the program was loaded; more is in tcp_counters
 * @unknown: commands that the server does not know
 * @messages: pushes and messages of subscribed channels
 * @left: connections that became something else: MONITOR, SYNC, PSYNC
 * @unasked: ... that had a reply to nothing, and are not followed any more
 * @malformed: ... that had what is no RESP; likewise
 * @no_memory: ... that there was no memory for; likewise
 */
struct resp_counters {
	__u64 unknown;
	__u64 messages;
	__u64 left;
	__u64 unasked;
	__u64 malformed;
	__u64 no_memory;
} resp_counters;

#define count(what) __sync_fetch_and_add(&resp_counters.what, 1)

/* It is not followed any more: count why, and be done with it. */
#define OVER (-1)
#define over(cause) ({ count(cause); OVER; })

/* Time from the end of a command to its reply's begin, no message: [n] is 2^n to 2^(n+1) ns. */
__u64 latency[64];

struct calls {
	__u64 calls;
	__u64 failed;
	__u64 rejected;
};

#define NAME_LEN 32

/* As INFO commandstats has it: "get", "config|get". */
struct name {
	char text[NAME_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct name);
	__type(value, struct calls);
} commands SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct tcp_client);
	__type(value, struct calls);
} clients SEC(".maps");

/* Commands without a reply yet, by connection and number. */
struct pending_key {
	__u64 conn;
	__u64 number;
};

struct command {
	struct name name;
	__u64 time;
	__u32 argc;
	__u16 kind;
	__u16 arg;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct pending_key);
	__type(value, struct command);
} pending SEC(".maps");

enum outcome {
	CALLED,
	FAILED,
	REJECTED,
	UNKNOWN,
	QUEUED,
};

/* Count a command in both maps. */
static void tally(const struct name *name, const struct tcp_client *who, enum outcome outcome)
{
#define add(field)								\
	do {									\
		bpf_costack_map_add(&commands, name, sizeof(*name),		\
				    __builtin_offsetof(struct calls, field), 1);	\
		bpf_costack_map_add(&clients, who, sizeof(*who),		\
				    __builtin_offsetof(struct calls, field), 1);	\
	} while (0)

	if (outcome == CALLED || outcome == FAILED)
		add(calls);
	if (outcome == FAILED)
		add(failed);
	if (outcome == REJECTED)
		add(rejected);
	if (outcome == UNKNOWN)
		count(unknown);
#undef add
}

/*
 * Commands that are more than a name.
 */
enum kind {
	PLAIN,
	CONTAINER,		/* of subcommands; arg: length of its name */
	CHECKS_ARGC,		/* itself, too, if it has arg of them */
	MULTI,
	EXEC,
	DISCARD,
	RESET,
	SUBSCRIPTION,		/* or its end; arg: of what */
	LEAVES,			/* RESP, if it succeeds */
};

enum {
	CHANNELS,
	PATTERNS,
	SHARDS,
	KINDS = 4,		/* a power of two, whose remainder the verifier knows */
};

static const struct special {
	char name[16];
	__u16 kind;
	__u16 arg;
	__u32 pad;
} specials[] = {
	{ "acl", CONTAINER, 3 },
	{ "client", CONTAINER, 6 },
	{ "cluster", CONTAINER, 7 },
	{ "command", CONTAINER, 7 },
	{ "config", CONTAINER, 6 },
	{ "function", CONTAINER, 8 },
	{ "latency", CONTAINER, 7 },
	{ "memory", CONTAINER, 6 },
	{ "module", CONTAINER, 6 },
	{ "object", CONTAINER, 6 },
	{ "pubsub", CONTAINER, 6 },
	{ "script", CONTAINER, 6 },
	{ "slowlog", CONTAINER, 7 },
	{ "xgroup", CONTAINER, 6 },
	{ "xinfo", CONTAINER, 5 },
	{ "ping", CHECKS_ARGC, 1 },
	{ "lpop", CHECKS_ARGC, 2 },
	{ "rpop", CHECKS_ARGC, 2 },
	{ "mset", CHECKS_ARGC, 3 },
	{ "msetnx", CHECKS_ARGC, 3 },
	{ "hset", CHECKS_ARGC, 4 },
	{ "hmset", CHECKS_ARGC, 4 },
	{ "xadd", CHECKS_ARGC, 5 },
	{ "multi", MULTI },
	{ "exec", EXEC },
	{ "discard", DISCARD },
	{ "reset", RESET },
	{ "subscribe", SUBSCRIPTION, CHANNELS },
	{ "unsubscribe", SUBSCRIPTION, CHANNELS },
	{ "psubscribe", SUBSCRIPTION, PATTERNS },
	{ "punsubscribe", SUBSCRIPTION, PATTERNS },
	{ "ssubscribe", SUBSCRIPTION, SHARDS },
	{ "sunsubscribe", SUBSCRIPTION, SHARDS },
	{ "monitor", LEAVES },
	{ "sync", LEAVES },
	{ "psync", LEAVES },
};

#define NR_SPECIALS (sizeof(specials) / sizeof(struct special))

/* What both directions read */

/* Numbers that are none: no value, a value that does not say how long it is, and a sign alone. */
#define ABSENT		(-1)
#define STREAMED	(-2)
#define SIGN		(-3)

/* More than there is memory for; what is added up of them, does not overflow. */
#define NUMBER_MAX	0x100000000LL

/*
 * A number, to the end of its line, as the server takes it: string2ll() and a CR, behind which
 * it looks at nothing. Return: 0, or a negative errno. (The verifier follows what is in
 * registers and on the stack, but not what is in a coroutine's memory: @number is there to
 * keep its work small.)
 */
static __noinline int read_number(struct costack_self *self, __s64 *number)
{
	int i, b;

	*number = 0;
	bpf_for(i, 0, 19) {
		b = costack_read_u8(self);
		if (b < 0)
			return b;
		if (b == '\r')
			return !i || *number == SIGN ? -EPROTO : bpf_costack_skip(self, 1);
		if (!i && b == '-')
			*number = SIGN;
		else if (!i && b == '?')
			*number = STREAMED;
		else if (b < '0' || b > '9' || *number == STREAMED || (i && !*number) ||
			 (*number == SIGN && b == '0'))
			return -EPROTO;
		else if (*number < 0)
			*number = ABSENT;
		else
			*number = *number * 10 + b - '0';
		if (*number > NUMBER_MAX)
			return -EPROTO;
	}
	return -EPROTO;
}

/* The first bytes of @len, and the end of line behind them. */
#define read_text(self, buf, len)						\
	({									\
		__u64 all = (len), n = all;					\
										\
		if (n > sizeof(buf) - 1)					\
			n = sizeof(buf) - 1;					\
		bpf_costack_read(self, buf, n) ?:				\
			bpf_costack_skip(self, all - n + 2);			\
	})

/* The body returns: say why, if the connection has not just ended. */
static void note_end(int ret)
{
	if (ret == -EPROTO)
		count(malformed);
	else if (ret == -ENOMEM)
		count(no_memory);
}

/*
 * The client: commands.
 */

#define WORDS		3	/* that matter: a name, a subcommand, ON or OFF */
#define ARGC_MAX	1048576
#define BULK_MAX	(512 << 20)
#define INLINE_MAX	65536

/**
 * struct request - what resp_client has in its memory
 * @who: the client
 * @key: of the last command
 * @cmd: the one that it reads
 * @words: its first words
 * @argc: how many words there will be
 * @size: of the next one
 * @len: what is kept of it
 * @quote: the quotes that it is in
 * @word: in a word, not between two
 * @quoted: the last byte was the quote that ends one: it ends the word, too
 * @escaped: the last byte was a backslash
 * @muted: there are no replies
 * @mute_next: there is none to the next command
 */
struct request {
	struct tcp_client who;
	struct pending_key key;
	struct command cmd;
	char words[WORDS][NAME_LEN];
	__s64 argc;
	__s64 size;
	__u32 len;
	__u8 quote;
	bool word;
	bool quoted;
	bool escaped;
	bool muted;
	bool mute_next;
};

/* "*2\r\n$3\r\nGET\r\n$5\r\nhello\r\n", behind the asterisk. */
static __noinline int read_array(struct costack_self *self, struct request *r)
{
	int ret, i;

	ret = read_number(self, &r->argc);
	if (ret)
		return ret;
	if (r->argc > ARGC_MAX || r->argc == STREAMED)
		return -EPROTO;
	bpf_for(i, 0, r->argc) {
		ret = costack_read_u8(self);
		if (ret < 0)
			return ret;
		if (ret != '$')
			return -EPROTO;
		ret = read_number(self, &r->size);
		if (ret)
			return ret;
		if (r->size < 0 || r->size > BULK_MAX)
			return -EPROTO;
		ret = i < WORDS ? read_text(self, r->words[i], r->size) :
				  bpf_costack_skip(self, r->size + 2);
		if (ret)
			return ret;
		r->cmd.argc++;
	}
	return 0;
}

/* A byte of a word, if it matters. */
static void keep_byte(struct request *r, char b)
{
	__u32 word = r->cmd.argc - 1, len = r->len;

	if (word < WORDS && len < NAME_LEN - 1) {
		r->words[word][len] = b;
		r->len = len + 1;
	}
}

/* Is @b between two words? As isspace() has it, at the begin of one; within one, fewer are. */
static bool is_blank(const struct request *r, int b)
{
	if (r->quote)
		return false;
	return b == ' ' || b == '\t' || b == '\r' ||
	       ((b == '\v' || b == '\f') && (!r->word || r->quoted));
}

/* "get hello\r\n", of which @b is read: words, which may be in quotes. */
static __noinline int read_line_of_words(struct costack_self *self, struct request *r, int b)
{
	int i;

	r->quote = 0;
	r->word = false;
	r->quoted = false;
	bpf_for(i, 0, INLINE_MAX) {
		if (b == '\n')
			return r->quote ? -EPROTO : 0;
		if (!b)
			return -EPROTO;		/* the server sees no end of the line behind it */
		if (is_blank(r, b)) {
			r->word = false;
			r->quoted = false;
		} else {
			if (r->quoted)
				return -EPROTO;
			if (!r->word) {
				r->word = true;
				r->cmd.argc++;
				r->len = 0;
			}
			if (!r->quote && (b == '"' || b == '\'')) {
				r->quote = b;
				r->escaped = false;
			} else if (b == r->quote && !r->escaped) {
				r->quote = 0;
				r->quoted = true;
			} else {
				keep_byte(r, b);
				r->escaped = b == '\\' && !(r->escaped && r->quote == '"');
			}
		}
		b = costack_read_u8(self);
		if (b < 0)
			return b;
	}
	return -EPROTO;
}

/* Eight ASCII letters at once, to lower case: no branches for the verifier to follow. */
static __u64 lower(__u64 x)
{
	const __u64 ones = 0x0101010101010101;
	__u64 low = x & ones * 0x7f;
	__u64 upper = (low + ones * (0x80 - 'A')) & ~(low + ones * (0x7f - 'Z')) & ~x;

	return x | (upper & ones * 0x80) >> 2;
}

/* Give the command its name and kind. */
__noinline int identify(struct request *r __arg_nonnull)
{
	__u64 *words = (__u64 *)r->words;
	__u32 i, at;

	for (i = 0; i < sizeof(r->words) / sizeof(*words); i++)
		words[i] = lower(words[i]);
	__builtin_memcpy(&r->cmd.name, r->words[0], NAME_LEN);
	bpf_for(i, 0, NR_SPECIALS) {
		const __u64 *name = (const __u64 *)specials[i].name;

		if (name[0] == words[0] && name[1] == words[1]) {
			r->cmd.kind = specials[i].kind;
			r->cmd.arg = specials[i].arg;
			break;
		}
	}
	if (r->cmd.kind != CONTAINER || r->cmd.argc == 1)
		return 0;
	at = r->cmd.arg;
	r->cmd.name.text[at % NAME_LEN] = '|';
	bpf_for(i, 0, NAME_LEN) {
		if (++at >= NAME_LEN - 1 || !r->words[1][i])
			break;
		r->cmd.name.text[at] = r->words[1][i];
	}
	return 0;
}

/* CLIENT REPLY ON, OFF, SKIP. Return: will there be a reply? */
static bool is_answered(struct request *r)
{
	bool answered = !r->muted && !r->mute_next;

	if (r->cmd.kind == SUBSCRIPTION)
		return true;		/* by messages, which are no replies */
	if (r->cmd.kind == RESET) {
		r->muted = false;
		answered = !r->mute_next;
	}
	r->mute_next = false;
	if (r->cmd.kind != CONTAINER || r->cmd.argc != 3 ||
	    bpf_strncmp(r->cmd.name.text, NAME_LEN, "client|reply"))
		return answered;
	if (!bpf_strncmp(r->words[2], NAME_LEN, "on")) {
		r->muted = false;
		return true;
	}
	if (!bpf_strncmp(r->words[2], NAME_LEN, "off"))
		r->muted = true;
	else if (!bpf_strncmp(r->words[2], NAME_LEN, "skip"))
		r->mute_next = true;
	else
		return answered;
	return false;
}

static int read_commands(struct costack_self *self, struct request *r)
{
	int b, ret;

	bpf_repeat(COSTACK_LOOP_MAX) bpf_repeat(COSTACK_LOOP_MAX) {	/* for ever */
		b = costack_read_u8(self);
		if (b < 0)
			return b;
		__builtin_memset(&r->cmd, 0, sizeof(r->cmd));
		__builtin_memset(r->words, 0, sizeof(r->words));
		ret = b == '*' ? read_array(self, r) : read_line_of_words(self, r, b);
		if (ret)
			return ret;
		if (!r->cmd.argc)
			continue;
		r->cmd.time = bpf_ktime_get_ns();
		identify(r);
		if (!is_answered(r)) {
			tally(&r->cmd.name, &r->who, CALLED);
			continue;
		}
		if (bpf_map_update_elem(&pending, &r->key, &r->cmd, BPF_ANY))
			return over(no_memory);
		r->key.number++;
	}
	return 0;
}

COSTACK_BODY(resp_client, __u64 conn)
{
	struct request *r = (struct request *)bpf_costack_local(self, 0, sizeof(*r));
	int ret;

	if (!r)
		return -ENOSPC;
	r->key.conn = conn;
	r->key.number = 1;
	ret = bpf_costack_read(self, &r->who, sizeof(r->who)) ?: read_commands(self, r);
	note_end(ret);
	return ret;
}

COSTACK_OPS(resp_client, .frame_size = sizeof(struct request));

/*
 * The server: replies.
 */

#define TEXT_LEN 64

/**
 * struct reply - what resp_server has in its memory
 * @who: the client
 * @key: of the command that the next reply is for
 * @cmd: this command
 * @asked: there is one
 * @outcome: what it counts as
 * @multi: number of the first command behind MULTI; 0: there was none
 * @exec: number of the last EXEC; commands before it are executed now
 * @text: begin of an error, a status, or the last word of a message
 * @number: the last one that was read
 * @items: values in a message
 * @values: to pass over
 * @streams: of these, strings and aggregates that do not say how long they are
 * @subscribed: to how many channels, patterns and shard channels
 * @confirmed: channels that the present SUBSCRIBE or the like has confirmed
 * @confirm: how many it will confirm
 * @array: the reply to EXEC is one: of the replies to what was queued
 * @push: messages come as pushes ...
 * @in_band: ... or as arrays, like replies
 * @message: this is one
 */
struct reply {
	struct tcp_client who;
	struct pending_key key;
	struct command cmd;
	bool asked;
	enum outcome outcome;
	__u64 multi;
	__u64 exec;
	char text[TEXT_LEN];
	__s64 number;
	__s64 items;
	__s64 values;
	__u32 streams;
	__u32 subscribed[KINDS];
	__u32 confirmed;
	__u32 confirm;
	bool array;
	bool push;
	bool in_band;
	bool message;
};

/* The rest of a line; its begin is kept in @r, if there is one. */
static __noinline int read_line(struct costack_self *self, struct reply *r)
{
	int i, b;

	bpf_for(i, 0, COSTACK_LOOP_MAX) {
		b = costack_read_u8(self);
		if (b < 0)
			return b;
		if (b == '\n')
			return 0;
		if (i < TEXT_LEN - 1 && b != '\r')
			r->text[i] = b;
	}
	return -EPROTO;
}

/* What follows the byte that says of which type a value is. */
enum {
	LINE = 1,		/* a line, and that is all */
	STRING = 2,		/* its length, and so many bytes */
	AGGREGATE = 4,		/* how many values are in it */
	PAIRS = 8,		/* ... are twice as many */
	PART = 16,		/* a string's part, the last one is empty: no value */
	END = 32,		/* of an aggregate */
	ABOUT = 64,		/* no value, but something about the next one */
};

static const __u8 types[256] = {
	['+'] = LINE, ['-'] = LINE, [':'] = LINE, ['_'] = LINE, ['#'] = LINE, [','] = LINE,
	['('] = LINE, ['$'] = STRING, ['='] = STRING, ['!'] = STRING, ['*'] = AGGREGATE,
	['~'] = AGGREGATE, ['>'] = AGGREGATE, ['%'] = AGGREGATE | PAIRS,
	['|'] = AGGREGATE | PAIRS | ABOUT, [';'] = STRING | PART, ['.'] = LINE | END,
};

/* Pass over a value of the type @t; what an aggregate has in it is left to be read. */
static __always_inline int pass_one(struct costack_self *self, struct reply *r, __u8 t)
{
	int ret;

	if (!t)
		return -EPROTO;
	if (t & LINE)
		ret = read_line(self, r);
	else
		ret = read_number(self, &r->number);
	if (ret)
		return ret;
	if (!(t & LINE) && r->number == STREAMED) {
		r->streams++;
		return 0;
	}
	if ((t & STRING) && r->number >= 0 && !(t & PART && !r->number)) {
		ret = bpf_costack_skip(self, r->number + 2);
		if (ret || t & PART)
			return ret;
	}
	if (t & (END | PART)) {
		if (!r->streams)
			return -EPROTO;
		r->streams--;
	}
	if (r->streams)
		return 0;
	if ((t & AGGREGATE) && r->number > 0)
		r->values += t & PAIRS ? 2 * r->number : r->number;
	if (!(t & ABOUT))
		r->values--;
	return 0;
}

/*
 * Pass over values, and all that is in them, however deep: what an aggregate has in it is
 * added to what is to be read. The first one's type is @type, and @more come after it.
 */
static __noinline int pass(struct costack_self *self, struct reply *r, int type, __s64 more)
{
	int ret;

	r->streams = 0;
	r->values = more + 1;
	bpf_repeat(COSTACK_LOOP_MAX) {
		ret = pass_one(self, r, types[type & 255]);
		if (ret)
			return ret;
		if (r->values <= 0 && !r->streams)
			return 0;
		type = costack_read_u8(self);
		if (type < 0)
			return type;
	}
	return -EPROTO;
}

/* The text of a value whose type is @type: an error, a status, a string, a number. */
static __noinline int read_rest(struct costack_self *self, struct reply *r, int type)
{
	__u8 t = types[type & 255];
	int ret;

	__builtin_memset(r->text, 0, sizeof(r->text));
	if (t & LINE)
		return read_line(self, r);
	if (!(t & STRING))
		return -EPROTO;
	ret = read_number(self, &r->number);
	if (ret || r->number == ABSENT)
		return ret;
	return r->number < 0 ? -EPROTO : read_text(self, r->text, r->number);
}

static int read_string(struct costack_self *self, struct reply *r)
{
	int type = costack_read_u8(self);

	return type < 0 ? type : read_rest(self, r, type);
}

#define begins(text, with) (!bpf_strncmp(text, sizeof(with) - 1, with))

/*
 * Did the server refuse to run the command, or did the command fail? There is nothing but
 * the text to tell (processCommand() in Redis' server.c). In a transaction EXEC was the
 * one to refuse.
 */
__noinline int judge(const struct reply *r __arg_nonnull)
{
	const char *t = r->text;

	if (r->key.number < r->exec)
		return begins(t, "NOPERM ") ? UNKNOWN : FAILED;
	if (begins(t, "ERR unknown command") || begins(t, "ERR unknown subcommand '"))
		return UNKNOWN;
	if (begins(t, "ERR wrong number of arguments"))
		return r->cmd.kind == CHECKS_ARGC && r->cmd.argc >= r->cmd.arg ? FAILED : REJECTED;
	if (begins(t, "EXECABORT Transaction discarded because of:") ||
	    begins(t, "ERR Command not allowed inside a transaction") ||
	    begins(t, "ERR Can't execute '") ||
	    begins(t, "ERR DEBUG command not allowed") ||
	    begins(t, "ERR MODULE command not allowed") ||
	    begins(t, "ERR Replica can't interact") ||
	    begins(t, "NOAUTH Authentication required") ||
	    begins(t, "NOPERM ") || begins(t, "OOM ") || begins(t, "MISCONF ") ||
	    begins(t, "NOREPLICAS ") || begins(t, "READONLY ") || begins(t, "MASTERDOWN ") ||
	    begins(t, "LOADING ") || begins(t, "BUSY ") || begins(t, "MOVED ") ||
	    begins(t, "ASK ") || begins(t, "CROSSSLOT ") || begins(t, "CLUSTERDOWN ") ||
	    begins(t, "TRYAGAIN "))
		return REJECTED;
	return FAILED;
}

/* Forget the queue of a transaction. */
__noinline int end_multi(struct reply *r __arg_nonnull)
{
	struct pending_key key = { r->key.conn, r->multi };
	int i;

	if (!r->multi)
		return 0;
	bpf_for(i, 0, COSTACK_LOOP_MAX) {
		if (key.number >= r->key.number)
			break;
		bpf_map_delete_elem(&pending, &key);
		key.number++;
	}
	r->multi = 0;
	return 0;
}

/* The command has its reply: count it, and go on to the next one. */
__noinline int answered(struct reply *r __arg_nonnull)
{
	if (r->outcome == QUEUED) {
		r->key.number++;
		return 0;
	}
	tally(&r->cmd.name, &r->who, r->outcome);
	bpf_map_delete_elem(&pending, &r->key);
	switch (r->cmd.kind) {
	case MULTI:
		if (r->outcome == CALLED) {
			end_multi(r);
			r->multi = r->key.number + 1;
		}
		break;
	case EXEC:
		if (r->array) {
			/* What is left in the map behind MULTI was queued: its turn now. */
			if (r->exec < r->key.number)
				r->exec = r->key.number;
			r->key.number = r->multi;
			r->multi = 0;
			return 0;
		}
		end_multi(r);
		break;
	case DISCARD:
	case RESET:
		if (r->outcome != CALLED)
			break;
		end_multi(r);
		if (r->cmd.kind == RESET) {
			__builtin_memset(r->subscribed, 0, sizeof(r->subscribed));
			r->in_band = false;
		}
		break;
	case LEAVES:
		if (r->outcome == CALLED)
			return over(left);
		break;
	}
	r->key.number++;
	return 0;
}

/* Find the command that the next reply is for, if there is one. */
__noinline int next_command(struct reply *r __arg_nonnull)
{
	int i;

	bpf_for(i, 0, COSTACK_LOOP_MAX) {
		r->asked = !bpf_costack_map_read(&pending, &r->key, sizeof(r->key), &r->cmd,
						 sizeof(r->cmd));
		/* In a transaction those are missing that were not queued, and EXEC. */
		if (r->asked || r->key.number > r->exec)
			break;
		r->key.number++;
	}
	return 0;
}

/* Is the word in @r->text what SUBSCRIBE, say, is answered with: "subscribe"? */
static bool is_confirmation(const struct reply *r)
{
	const __u64 *a = (const __u64 *)r->text, *b = (const __u64 *)r->cmd.name.text;

	return r->asked && r->cmd.kind == SUBSCRIPTION && a[0] == b[0] && a[1] == b[1];
}

/*
 * Channels and patterns are counted together, and shard channels on their own: @r->text
 * is how many there are now. A command without channels is about all that there
 * are, and confirms at least one.
 */
__noinline int confirmed(struct reply *r __arg_nonnull)
{
	__u32 of = r->cmd.arg % KINDS;
	unsigned long now = 0;

	bpf_strtoul(r->text, sizeof(r->text), 10, &now);
	if (!r->confirmed)
		r->confirm = r->cmd.argc > 1 ? r->cmd.argc - 1 : r->subscribed[of] ?: 1;
	if (of == CHANNELS)
		now -= r->subscribed[PATTERNS];
	else if (of == PATTERNS)
		now -= r->subscribed[CHANNELS];
	r->subscribed[of] = now;
	r->in_band = !r->push && (r->subscribed[CHANNELS] || r->subscribed[PATTERNS] ||
				  r->subscribed[SHARDS]);
	if (++r->confirmed < r->confirm)
		return 0;
	r->confirmed = 0;
	return answered(r);
}

/*
 * An array or push that may be a message: "subscribe", a channel and a number, say,
 * which replies to SUBSCRIBE. "message", a channel and a text, replies to nothing.
 */
static __noinline int read_message(struct costack_self *self, struct reply *r)
{
	int ret, type;

	ret = read_number(self, &r->items) ?: read_string(self, r);
	if (ret)
		return ret;
	if (is_confirmation(r))
		return read_string(self, r) ?: read_string(self, r) ?: confirmed(r);
	r->message = r->push || begins(r->text, "message") || begins(r->text, "pmessage") ||
		     begins(r->text, "smessage");
	if (r->items > 1) {
		type = costack_read_u8(self);
		if (type < 0)
			return type;
		ret = pass(self, r, type, r->items - 2);
		if (ret)
			return ret;
	}
	if (r->message) {
		count(messages);
		return 0;
	}
	return r->asked ? answered(r) : over(unasked);
}

static void note_latency(__u64 ns)
{
	__u32 log = 63 - __builtin_clzll(ns | 1);

	barrier_var(log);	/* the verifier does not know that this is less than 64 */
	__sync_fetch_and_add(&latency[log % 64], 1);
}

/* A reply, or what else comes from a server. */
static __noinline int read_reply(struct costack_self *self, struct reply *r)
{
	int type = costack_read_u8(self), ret;

	if (type < 0)
		return type;
	if (type == '|')
		return pass(self, r, type, -1);		/* about what follows */
	next_command(r);
	r->outcome = CALLED;
	r->array = false;
	r->push = type == '>';
	if (r->push || (type == '*' && (r->in_band || (r->asked && r->cmd.kind == SUBSCRIPTION))))
		return read_message(self, r);
	if (!r->asked)
		return over(unasked);
	if (r->key.number > r->exec)
		note_latency(bpf_ktime_get_ns() - r->cmd.time);
	if (r->cmd.kind == LEAVES && type != '-')
		return answered(r);

	if (type == '-' || type == '!') {
		ret = read_rest(self, r, type);
		r->outcome = judge(r);
	} else if (type == '+') {
		ret = read_rest(self, r, type);
		if (r->multi && begins(r->text, "QUEUED"))
			r->outcome = QUEUED;
	} else if (type == '*' && r->cmd.kind == EXEC && r->multi) {
		ret = read_number(self, &r->number);
		r->array = r->number >= 0;	/* it is none if a WATCH said no */
	} else {
		ret = pass(self, r, type, 0);
	}
	return ret ?: answered(r);
}

static int read_replies(struct costack_self *self, struct reply *r)
{
	int ret;

	bpf_repeat(COSTACK_LOOP_MAX) bpf_repeat(COSTACK_LOOP_MAX) {	/* for ever */
		ret = read_reply(self, r);
		if (ret)
			return ret;
	}
	return 0;
}

COSTACK_BODY(resp_server, __u64 conn)
{
	struct reply *r = (struct reply *)bpf_costack_local(self, 0, sizeof(*r));
	int ret, i;

	if (!r)
		return -ENOSPC;
	r->key.conn = conn;
	r->key.number = 1;
	ret = bpf_costack_read(self, &r->who, sizeof(r->who)) ?: read_replies(self, r);
	note_end(ret);
	/* The connection has ended, maybe by a cancellation: nobody will be answered any more. */
	end_multi(r);
	bpf_for(i, 0, COSTACK_LOOP_MAX) {
		/* In a transaction some are missing, as in next_command(). */
		if (bpf_map_delete_elem(&pending, &r->key) && r->key.number > r->exec)
			break;
		r->key.number++;
	}
	return ret;
}

COSTACK_OPS(resp_server, .frame_size = sizeof(struct reply));

SEC("tcx/ingress")
int resp_ingress(struct __sk_buff *skb)
{
	return tcp_watch(skb, port, resp_client_id, resp_server_id);
}

SEC("tcx/egress")
int resp_egress(struct __sk_buff *skb)
{
	return tcp_watch(skb, port, resp_client_id, resp_server_id);
}
