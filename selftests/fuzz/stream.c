// SPDX-License-Identifier: GPL-2.0
/* A connection as packets: cut up, swapped, repeated and overlapping, by a seed. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define FIN		1
#define SYN		2
#define RST		4
#define ACK		16

#define PIECE_MAX	1400
#define WINDOW		6	/* pieces among which the order changes */
#define HEADERS_MAX	(14 + 40 + 20)

unsigned int rand_below(uint32_t *rng, unsigned int n)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 17;
	*rng ^= *rng << 5;
	return *rng % n;
}

static uint8_t *put(uint8_t *p, uint32_t val, int bytes)
{
	while (bytes--)
		*p++ = val >> 8 * bytes;
	return p;
}

/* From side @dir: @len bytes from byte @at of its stream on. */
static void send_segment(const struct conn *c, int dir, int flags, uint32_t at,
			 const uint8_t *data, unsigned int len)
{
	uint8_t packet[HEADERS_MAX + PIECE_MAX] = {}, *p = packet + 12;
	uint32_t seq = c->isn[dir] + at + !(flags & SYN);
	int i;

	p = put(p, c->v6 ? 0x86dd : 0x0800, 2);
	if (c->v6) {
		p = put(p, 0x60000000, 4);
		p = put(p, 20 + len, 2);
		p = put(p, 6 << 8 | 64, 2);
	} else {
		p = put(p, 0x45000000 | (40 + len), 4);
		p = put(p, 0, 4);
		p = put(p, 64 << 24 | 6 << 16, 4);
	}
	for (i = 0; i < 2; i++) {
		p = put(p, c->v6 ? 0x20010db8 : 0xc0000200 + (i ^ dir), 4);
		if (c->v6) {
			memset(p, 0, 12);
			p[11] = i ^ dir;
			p += 12;
		}
	}
	p = put(p, dir ? c->server_port : c->port, 2);
	p = put(p, dir ? c->port : c->server_port, 2);
	p = put(p, seq, 4);
	p = put(p, c->isn[!dir] + 1, 4);
	p = put(p, 5 << 12 | flags, 2);
	p = put(p, 0xffff0000, 4);
	p = put(p, 0, 2);
	if (len)
		memcpy(p, data, len);
	world_send(packet, p - packet + len);
}

/* @whole: as plain as can be; else as the seed says. */
void conn_init(struct conn *c, uint32_t seed, bool whole)
{
	static uint16_t port;

	memset(c, 0, sizeof(*c));
	port = port % 50000 + 1;
	c->port = port + 1024;
	c->server_port = 443;
	seed |= 1;
	c->v6 = rand_below(&seed, 2);
	/* Also numbers that wrap. */
	c->isn[0] = rand_below(&seed, 3) ? 1000 : -rand_below(&seed, 2000);
	c->isn[1] = rand_below(&seed, 3) ? 5000 : -rand_below(&seed, 2000);
	c->early_data = !whole && !rand_below(&seed, 4);
	c->rng = whole ? 0 : seed;
}

/* @data: what the client is going to say; some of it may be sent now. */
void conn_open(struct conn *c, const uint8_t *data, size_t len)
{
	if (!c->early_data)
		len = 0;
	if (len)
		len = 1 + rand_below(&c->rng, len < PIECE_MAX ? len : PIECE_MAX);
	send_segment(c, 0, SYN, 0, data, len);
	if (c->rng && !rand_below(&c->rng, 4))
		send_segment(c, 0, SYN, 0, data, len);
	send_segment(c, 1, SYN | ACK, 0, NULL, 0);
	if (c->rng && !rand_below(&c->rng, 4))
		send_segment(c, 1, SYN | ACK, 0, NULL, 0);
	send_segment(c, 0, ACK, 0, NULL, 0);
}

struct piece {
	size_t at;
	size_t len;
};

/* The next few pieces of @data, from @at on, each at least a byte further. */
static int cut(struct conn *c, struct piece *pieces, size_t at, size_t len, unsigned int size)
{
	size_t n, back;
	int i;

	for (i = 0; i < WINDOW && at < len; i++) {
		n = c->rng ? 1 + rand_below(&c->rng, size) : PIECE_MAX;
		if (n > len - at)
			n = len - at;
		/* Overlaps what came before. */
		back = c->rng && !rand_below(&c->rng, 8) ? rand_below(&c->rng, 20) : 0;
		if (back > at || n + back > PIECE_MAX)
			back = 0;
		pieces[i] = (struct piece){ at - back, n + back };
		at += n;
	}
	return i;
}

/* One side says something, all of which has come when this is over. */
void conn_send(struct conn *c, int dir, const uint8_t *data, size_t len)
{
	static const unsigned int sizes[] = { 1, 3, 20, 200, PIECE_MAX };
	unsigned int size = c->rng ? sizes[rand_below(&c->rng, ARRAY_LEN(sizes))] : 0;
	struct piece pieces[WINDOW], tmp;
	size_t at = 0;
	int i, k, n;

	/* Not too many packets. */
	if (c->rng && len / size > 200)
		size = len / 200 + 1;
	while (at < len) {
		n = cut(c, pieces, at, len, size);
		at = pieces[n - 1].at + pieces[n - 1].len;
		for (i = 0; c->rng && i < n; i++) {
			if (rand_below(&c->rng, 3))
				continue;
			k = rand_below(&c->rng, n);
			tmp = pieces[i];
			pieces[i] = pieces[k];
			pieces[k] = tmp;
		}
		for (i = 0; i < n; i++) {
			send_segment(c, dir, ACK, c->sent[dir] + pieces[i].at,
				     data + pieces[i].at, pieces[i].len);
			if (c->rng && !rand_below(&c->rng, 10))
				send_segment(c, dir, ACK, c->sent[dir] + pieces[i].at,
					     data + pieces[i].at, pieces[i].len);
		}
	}
	c->sent[dir] += len;
}

/* By FIN of both, or RST. */
void conn_close(struct conn *c)
{
	if (c->rng && rand_below(&c->rng, 2)) {
		send_segment(c, 0, FIN | ACK, c->sent[0], NULL, 0);
		send_segment(c, 1, FIN | ACK, c->sent[1], NULL, 0);
	} else {
		send_segment(c, 0, RST, c->sent[0], NULL, 0);
	}
}

void raw_packets(const uint8_t *data, size_t size)
{
	unsigned int len;

	while (size >= 2) {
		len = data[0] << 8 | data[1];
		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		world_send(data, len);
		data += len;
		size -= len;
	}
}

unsigned int map_clear(const char *map, size_t key_size)
{
	uint8_t key[64];
	unsigned int n = 0;

	if (key_size > sizeof(key))
		bug("keys of %s", map);
	while (!world_next(map, NULL, key)) {
		if (world_delete(map, key))
			bug("cannot delete from %s", map);
		n++;
	}
	return n;
}
