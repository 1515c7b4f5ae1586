// SPDX-License-Identifier: GPL-2.0
/*
 * TLS, in ../../bpf/sni.bpf.c: a stream must come to the same end however it is cut into
 * packets; and where it begins with a ClientHello without a fault, the name in it must be the
 * one that a plain parser finds, which has all of it at once.
 *
 * An input is four bytes of a seed, and what the client says.
 */
#include <string.h>

#include <linux/types.h>

#include "fuzz.h"
#include "costack_event.h"

#define RAW		0xff	/* in the fourth byte: packets follow */
#define STREAM_MAX	20000	/* less than the program looks at */
#define HELLO_MAX	16384
#define NAME_MAX	256

/* struct sni_counters */
enum {
	FLOWS, FOUND, NO_EVENT, NO_NAME, NOT_TLS, MALFORMED, TOO_LONG, CLOSED, RESTARTED, NO_STACK,
	IN_USE, DETACHED, STALE, BUSY, REPEATED, EARLY, NO_ROOM, FRAGMENTS, BAD_PACKETS, NR_COUNTERS
};

struct outcome {
	uint64_t counters[NR_COUNTERS];
	uint32_t len;
	char name[NAME_MAX];
};

/* Connections that came to an end are all that began. */
static void check_sum(const uint64_t *counters)
{
	uint64_t sum = 0;
	int i;

	for (i = FOUND; i <= STALE; i++)
		sum += counters[i];
	if (sum != counters[FLOWS])
		bug("%llu connections, %llu ends", (unsigned long long)counters[FLOWS],
		    (unsigned long long)sum);
}

static void play(struct outcome *o, const uint8_t *data, size_t size, uint32_t seed, bool whole)
{
	struct costack_event_flow event;
	uint8_t key[64];
	struct conn c;
	unsigned int n;

	memset(o, 0, sizeof(*o));
	memset(world_global("sni_counters"), 0, sizeof(o->counters));
	conn_init(&c, seed, whole);
	conn_open(&c, data, size);
	conn_send(&c, 0, data, size);
	conn_close(&c);
	if (!world_next("flows", NULL, key))
		bug("a flow is left");
	world_empty();
	memcpy(o->counters, world_global("sni_counters"), sizeof(o->counters));
	check_sum(o->counters);
	/* These say how it came. */
	o->counters[EARLY] = 0;
	o->counters[REPEATED] = 0;

	n = world_events(&event, sizeof(event));
	if (n != o->counters[FOUND] || n > 1)
		bug("%llu names found, %u events", (unsigned long long)o->counters[FOUND], n);
	if (!n)
		return;
	if (!event.len || event.len >= NAME_MAX || event.sport != c.port ||
	    event.dport != c.server_port || event.family != (c.v6 ? 10 : 2))
		bug("an event says what is not so");
	o->len = event.len;
	memcpy(o->name, event.text, event.len);
}

/* The plain parser. */

struct bytes {
	const uint8_t *p;
	size_t left;
	bool bad;
};

static uint32_t get(struct bytes *b, int n)
{
	uint32_t val = 0;

	if (b->left < (size_t)n) {
		b->bad = true;
		return 0;
	}
	b->left -= n;
	while (n--)
		val = val << 8 | *b->p++;
	return val;
}

static struct bytes part(struct bytes *b, size_t len)
{
	struct bytes some = { b->p, len, b->bad || len > b->left };

	if (some.bad) {
		b->bad = true;
		some.left = 0;
		return some;
	}
	b->p += len;
	b->left -= len;
	return some;
}

/* The handshake message, out of its records. Return: bytes, 0 if it is not there. */
static size_t unwrap(const uint8_t *data, size_t size, uint8_t *hello)
{
	struct bytes in = { data, size }, record;
	size_t have = 0, want = 4;

	while (have < want) {
		if (get(&in, 1) != 22 || get(&in, 1) != 3)
			return 0;
		get(&in, 1);
		record = part(&in, get(&in, 2));
		if (in.bad || !record.left || record.left > 16384)
			return 0;
		if (have + record.left > 2 * HELLO_MAX)
			return 0;
		memcpy(hello + have, record.p, record.left);
		have += record.left;
		if (have >= 4)
			want = 4 + (hello[1] << 16 | hello[2] << 8 | hello[3]);
		if (want > HELLO_MAX)
			return 0;
	}
	return want;
}

/* Return: the length of the name, 0 if there is none, -1 if there is anything wrong. */
static int model_name(const uint8_t *data, size_t size, char *name)
{
	static uint8_t hello[2 * HELLO_MAX];
	struct bytes b = { hello, unwrap(data, size, hello) }, ext, list;
	uint32_t type;
	int len = 0;

	if (get(&b, 1) != 1)
		return -1;
	get(&b, 3);
	part(&b, 34);
	part(&b, get(&b, 1));
	part(&b, get(&b, 2));
	part(&b, get(&b, 1));
	if (b.bad)
		return -1;
	if (!b.left)
		return 0;
	if (get(&b, 2) != b.left)
		return -1;
	while (b.left) {
		type = get(&b, 2);
		ext = part(&b, get(&b, 2));
		if (type || b.bad) {
			if (b.bad)
				return -1;
			continue;
		}
		list = part(&ext, get(&ext, 2));
		if (len || ext.bad || ext.left || get(&list, 1))
			return -1;
		len = get(&list, 2);
		if (list.bad || !len || list.left != (size_t)len || len >= NAME_MAX)
			return -1;
		memcpy(name, list.p, len);
	}
	return len;
}

int fuzz_sni(const uint8_t *data, size_t size)
{
	struct outcome whole, pieces;
	struct costack_event_flow event;
	char name[NAME_MAX];
	uint32_t seed;
	int i, len;

	if (size < sizeof(seed) || size > STREAM_MAX)
		return 0;
	memcpy(&seed, data, sizeof(seed));
	data += sizeof(seed);
	size -= sizeof(seed);
	if (seed >> 24 == RAW) {
		raw_packets(data, size);
		map_clear("flows", 40);
		world_events(&event, sizeof(event));
		world_empty();
		return 0;
	}
	play(&whole, data, size, seed, true);
	play(&pieces, data, size, seed, false);
	for (i = 0; i < NR_COUNTERS; i++) {
		if (whole.counters[i] != pieces.counters[i])
			bug("counter %d is %llu, cut up %llu", i,
			    (unsigned long long)whole.counters[i],
			    (unsigned long long)pieces.counters[i]);
	}
	if (whole.len != pieces.len || memcmp(whole.name, pieces.name, sizeof(whole.name)))
		bug("the name is '%.255s', cut up '%.255s'", whole.name, pieces.name);

	len = model_name(data, size, name);
	if (len > 0 && (!whole.counters[FOUND] || whole.len != (uint32_t)len ||
			memcmp(whole.name, name, len)))
		bug("the name is '%.255s', not '%.*s'", whole.name, len, name);
	if (!len && !whole.counters[NO_NAME])
		bug("there is no name, and nobody says so");
	return 0;
}
