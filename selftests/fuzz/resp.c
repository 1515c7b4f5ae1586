// SPDX-License-Identifier: GPL-2.0
/*
 * RESP, in ../../bpf/resp.bpf.c: what clients and servers say must be counted the same however
 * it is cut into packets; and what clients say, as a plain parser of a whole stream has it,
 * which knows what the server takes for a command (Redis' networking.c and sds.c).
 *
 * An input is four bytes of a seed, and a conversation: the client begins, and SWITCH lets the
 * other one speak.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define RAW		0xff		/* in the fourth byte: packets follow */
#define SWITCH		0xfe
#define NAME_LEN	32
#define NAMES_MAX	8192
#define ARGC_MAX	1048576
#define BULK_MAX	(512 << 20)
#define PORT		6379

/* As in the program: struct calls, tcp_client, pending_key, command. */
struct entry {
	char name[NAME_LEN];
	uint64_t calls[3];
};

struct client {
	uint8_t addr[16];
	uint32_t family;
};

struct pending_key {
	uint64_t conn;
	uint64_t number;
};

struct pending {
	char name[NAME_LEN];
	uint8_t rest[16];
};

enum { UNKNOWN, MESSAGES, LEFT, UNASKED, MALFORMED, NO_MEMORY, NR_COUNTERS };
enum { CONNECTIONS, RESTARTED, CLOSED, LOST, BUSY, EARLY, REPEATED, FRAGMENTS, BAD, NR_TCP };

/* What was counted. */
struct outcome {
	struct entry commands[1024];
	uint64_t nr;
	uint64_t client[3];
	uint64_t counters[NR_COUNTERS];
	uint64_t tcp[NR_TCP];
	uint64_t latencies;
	uint64_t pending;
	/* Of all of them, before the end. */
	char names[NAMES_MAX][NAME_LEN];
	unsigned int nr_names;
};

static int compare_names(const void *a, const void *b)
{
	return memcmp(a, b, NAME_LEN);
}

/* What is behind the name of a container is the program's business. */
static void add_name(struct outcome *o, const char *name)
{
	char *to = o->names[o->nr_names], *bar;

	if (o->nr_names == NAMES_MAX)
		return;
	o->nr_names++;
	memcpy(to, name, NAME_LEN);
	bar = memchr(to, '|', NAME_LEN);
	if (bar)
		memset(bar, 0, to + NAME_LEN - bar);
}

static void read_commands(struct outcome *o)
{
	char key[NAME_LEN], next[NAME_LEN];
	struct entry *e;
	void *last = NULL;
	uint64_t i;

	for (o->nr = 0; !world_next("commands", last, next); o->nr++) {
		if (o->nr == ARRAY_LEN(o->commands))
			bug("more commands than the map has");
		memcpy(key, next, sizeof(key));
		last = key;
		e = &o->commands[o->nr];
		memcpy(e->name, key, sizeof(key));
		if (world_lookup("commands", key, e->calls))
			bug("a command is gone");
		for (i = 0; i < e->calls[0]; i++)
			add_name(o, e->name);
	}
	qsort(o->commands, o->nr, sizeof(o->commands[0]), compare_names);
}

static void read_pending(struct outcome *o)
{
	struct pending_key key, next;
	struct pending command;
	void *last = NULL;

	for (o->pending = 0; !world_next("pending", last, &next); o->pending++) {
		key = next;
		last = &key;
		if (world_lookup("pending", &key, &command))
			bug("a command is gone");
		add_name(o, command.name);
	}
}

static void forget(void)
{
	map_clear("commands", NAME_LEN);
	map_clear("clients", sizeof(struct client));
	memset(world_global("resp_counters"), 0, NR_COUNTERS * sizeof(uint64_t));
	memset(world_global("tcp_counters"), 0, NR_TCP * sizeof(uint64_t));
	memset(world_global("latency"), 0, 64 * sizeof(uint64_t));
}

/* Nothing may be left of a connection that has ended. */
static void check_end(void)
{
	uint8_t key[64];

	if (!world_next("pending", NULL, key))
		bug("commands are left");
	if (!world_next("streams", NULL, key))
		bug("a stream is left");
	if (!world_next("early", NULL, key))
		bug("early data are left");
}

static void collect(struct outcome *o, struct conn *c)
{
	const uint64_t *latency = world_global("latency");
	struct client who;
	int i;

	memset(o, 0, offsetof(struct outcome, names));
	o->nr_names = 0;
	read_commands(o);
	read_pending(o);
	if (!world_next("clients", NULL, &who))
		world_lookup("clients", &who, o->client);
	conn_close(c);
	memcpy(o->counters, world_global("resp_counters"), sizeof(o->counters));
	memcpy(o->tcp, world_global("tcp_counters"), sizeof(o->tcp));
	for (i = 0; i < 64; i++)
		o->latencies += latency[i];
	/* These say how it came. */
	o->tcp[EARLY] = 0;
	o->tcp[REPEATED] = 0;
	check_end();
	forget();
	world_empty();
}

/* @both: the server, too, or the client alone */
static void play(struct outcome *o, const uint8_t *data, size_t size, uint32_t seed, bool whole,
		 bool both)
{
	const uint8_t *end = data + size, *next;
	struct conn c;
	int dir = 0;

	conn_init(&c, seed, whole);
	c.server_port = PORT;
	c.early_data = false;
	conn_open(&c, NULL, 0);
	for (; data < end; data = next + 1, dir = !dir) {
		next = memchr(data, SWITCH, end - data);
		if (!next)
			next = end;
		if (!dir || both)
			conn_send(&c, dir, data, next - data);
	}
	collect(o, &c);
}

/* The plain parser. */

enum verdict {
	GOOD,		/* as far as it goes */
	BROKEN,		/* the server takes no more */
	UNSURE,		/* the server does, but nobody says so */
};

struct model {
	struct outcome names;
	const uint8_t *p;
	const uint8_t *end;
	bool odd;	/* a name is not what is written there */
};

static void model_name(struct model *m, const uint8_t *word, size_t len)
{
	char name[NAME_LEN] = {};
	size_t i;

	for (i = 0; i < len && i < NAME_LEN - 1; i++)
		name[i] = word[i] >= 'A' && word[i] <= 'Z' ? word[i] + 32 : word[i];
	add_name(&m->names, name);
}

/* string2ll(), up to a CR. Return: 1, 0 if the end is not there, -1 if it is no number. */
static int model_number(struct model *m, long long *val)
{
	const uint8_t *cr = m->p;
	char text[32], *end, again[32];

	while (cr < m->end && *cr && *cr != '\r')
		cr++;
	/* The server waits for the CR, the program does not. */
	if (cr == m->end || cr + 1 == m->end) {
		for (; m->p < cr; m->p++) {
			if (!isdigit(*m->p) && *m->p != '-' && *m->p != '?')
				return -1;
		}
		return 0;
	}
	if (!*cr || cr == m->p || cr - m->p > 18)
		return -1;
	memcpy(text, m->p, cr - m->p);
	text[cr - m->p] = 0;
	*val = strtoll(text, &end, 10);
	snprintf(again, sizeof(again), "%lld", *val);
	if (strcmp(again, text))
		return -1;
	m->p = cr + 2;
	return 1;
}

static enum verdict model_array(struct model *m, bool *more)
{
	const uint8_t *name = NULL;
	long long argc, len, i, name_len = 0;
	int ret;

	*more = false;
	m->p++;
	ret = model_number(m, &argc);
	if (ret <= 0)
		return ret ? BROKEN : UNSURE;
	if (argc > ARGC_MAX)
		return argc > INT32_MAX ? BROKEN : UNSURE;
	for (i = 0; i < argc; i++) {
		if (m->p == m->end)
			return GOOD;
		if (*m->p++ != '$')
			return BROKEN;
		ret = model_number(m, &len);
		if (ret <= 0)
			return ret ? BROKEN : UNSURE;
		if (len < 0 || len > BULK_MAX)
			return BROKEN;
		if (len + 2 > m->end - m->p)
			return GOOD;
		if (!i) {
			name = m->p;
			name_len = len;
		}
		m->p += len + 2;
	}
	if (argc > 0)
		model_name(m, name, name_len);
	*more = true;
	return GOOD;
}

/* isspace(), of the C locale. */
static bool blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* sdssplitargs() of a line. Return: are its quotes in order? */
static bool model_words(struct model *m, const uint8_t *p, const uint8_t *end)
{
	uint8_t name[NAME_LEN];
	size_t len = 0, words = 0;
	uint8_t quote;
	bool odd = false;

	for (;; words++) {
		while (p < end && blank(*p))
			p++;
		if (p == end)
			break;
		for (quote = 0; p < end; p++) {
			if (quote && *p == '\\' && p + 1 < end && (quote == '"' || p[1] == '\'')) {
				odd |= !words;
				p++;
			} else if (quote && *p == quote) {
				if (p + 1 < end && !blank(p[1]))
					return false;
				quote = 0;
				p++;
				break;
			} else if (!quote && strchr("\n\r\t ", *p)) {
				break;
			} else if (!quote && (*p == '"' || *p == '\'')) {
				quote = *p;
				continue;
			}
			if (!words && len < sizeof(name))
				name[len++] = *p;
		}
		if (quote)
			return false;
	}
	m->odd |= odd;
	if (words)
		model_name(m, name, len);
	return true;
}

static enum verdict model_line(struct model *m, bool *more)
{
	const uint8_t *end = m->p, *begin = m->p;

	*more = false;
	while (end < m->end && *end && *end != '\n')
		end++;
	if (end == m->end)
		return UNSURE;		/* something may be wrong with what is here */
	if (!*end)
		return BROKEN;
	*more = true;
	m->p = end + 1;
	if (end > begin && end[-1] == '\r')
		end--;
	return model_words(m, begin, end) ? GOOD : BROKEN;
}

static enum verdict model_stream(struct model *m)
{
	enum verdict v = GOOD;
	bool more = true;

	while (more && v == GOOD && m->p < m->end)
		v = *m->p == '*' ? model_array(m, &more) : model_line(m, &more);
	return v;
}

static void check_client(const struct outcome *o, struct model *m)
{
	enum verdict v = model_stream(m);
	bool broken = v == BROKEN;
	unsigned int i;

	if (v != UNSURE && o->counters[MALFORMED] != broken)
		bug("the client is %s", broken ? "malformed" : "well formed");
	/* Who is malformed is forgotten. */
	if (o->counters[MALFORMED])
		return;
	if (o->nr_names != m->names.nr_names)
		bug("%u commands, not %u", o->nr_names, m->names.nr_names);
	if (m->odd || o->nr_names == NAMES_MAX)
		return;
	qsort(m->names.names, m->names.nr_names, NAME_LEN, compare_names);
	for (i = 0; i < o->nr_names; i++) {
		if (memcmp(o->names[i], m->names.names[i], NAME_LEN))
			bug("command '%.32s', not '%.32s'", o->names[i], m->names.names[i]);
	}
}

static void show(const struct outcome *o)
{
	unsigned int i;

	for (i = 0; i < o->nr; i++)
		fprintf(stderr, "'%.32s' %llu %llu %llu\n", o->commands[i].name,
			(unsigned long long)o->commands[i].calls[0],
			(unsigned long long)o->commands[i].calls[1],
			(unsigned long long)o->commands[i].calls[2]);
	for (i = 0; i < NR_COUNTERS + NR_TCP; i++)
		fprintf(stderr, "%llu ", (unsigned long long)(i < NR_COUNTERS ? o->counters[i] :
							      o->tcp[i - NR_COUNTERS]));
	fprintf(stderr, "latencies %llu pending %llu\n", (unsigned long long)o->latencies,
		(unsigned long long)o->pending);
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
	if (!memcmp(a, b, offsetof(struct outcome, names)))
		return;
	show(a);
	show(b);
	bug("the second was cut up");
}

/* What clients say, one thing after the other. */
static size_t client_side(uint8_t *to, const uint8_t *data, size_t size)
{
	size_t n = 0;
	bool client = true;

	for (; size; size--, data++) {
		if (*data == SWITCH)
			client = !client;
		else if (client)
			to[n++] = *data;
	}
	return n;
}

static void raw(const uint8_t *data, size_t size)
{
	raw_packets(data, size);
	map_clear("streams", 40);
	map_clear("early", 16);
	world_empty();
	map_clear("pending", sizeof(struct pending_key));
	forget();
}

int fuzz_resp(const uint8_t *data, size_t size)
{
	static struct outcome whole, pieces;
	static struct model model;
	uint8_t *client;
	uint32_t seed;

	if (size < sizeof(seed) || size > 8192)
		return 0;
	memcpy(&seed, data, sizeof(seed));
	data += sizeof(seed);
	size -= sizeof(seed);
	if (seed >> 24 == RAW) {
		raw(data, size);
		return 0;
	}
	play(&whole, data, size, seed, true, true);
	play(&pieces, data, size, seed, false, true);
	check_same(&whole, &pieces);

	client = malloc(size ?: 1);
	size = client_side(client, data, size);
	play(&whole, client, size, seed, true, false);
	qsort(whole.names, whole.nr_names, NAME_LEN, compare_names);
	model.names.nr_names = 0;
	model.odd = false;
	model.p = client;
	model.end = client + size;
	check_client(&whole, &model);
	free(client);
	return 0;
}
