/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzz targets share.
 *
 * A target is a function that gets some bytes and does not return when it finds
 * something. Those for programs (sni.c, resp.c) make packets of them and know nothing of
 * what runs the program: a world, which is user space (shim.c, with sanitizers) or the
 * kernel (kernel.c, by BPF_PROG_TEST_RUN).
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

int fuzz_sni(const uint8_t *data, size_t size);
int fuzz_resp(const uint8_t *data, size_t size);
int fuzz_object(const uint8_t *data, size_t size);
int fuzz_debugfs(const uint8_t *data, size_t size);
int fuzz_klog(const uint8_t *data, size_t size);
int fuzz_args(const uint8_t *data, size_t size);

/* Something is wrong: say what, and do not return. */
void bug(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* The world. */

/* Hand a packet, which begins with an Ethernet header, to the program. */
void world_send(const void *packet, unsigned int len);
/* Where a global variable is. */
void *world_global(const char *name);
/* Maps, as bpf_map_*_elem() has them: 0, or not. */
int world_next(const char *map, const void *key, void *next);
int world_lookup(const char *map, const void *key, void *value);
int world_delete(const char *map, const void *key);
/* What came out of the ring buffer since the last call: the last one of so many. */
unsigned int world_events(void *event, size_t size);
/* All maps are empty: is all that was in them gone? If that can be told here. */
void world_empty(void);

/* stream.c: a connection, and how it is cut into packets. */

/**
 * struct conn - a connection
 * @v6: of IPv6
 * @isn: of both sides; the client's is [0]
 * @sent: bytes of each
 * @port: the client's
 * @server_port: the server's
 * @early_data: the client's SYN brings data
 * @rng: 0: as few packets as there can be, in order; else how they are cut and shuffled
 */
struct conn {
	bool v6;
	uint32_t isn[2];
	uint32_t sent[2];
	uint16_t port;
	uint16_t server_port;
	bool early_data;
	uint32_t rng;
};

void conn_init(struct conn *c, uint32_t seed, bool whole);
void conn_open(struct conn *c, const uint8_t *data, size_t len);
void conn_send(struct conn *c, int dir, const uint8_t *data, size_t len);
void conn_close(struct conn *c);
unsigned int rand_below(uint32_t *rng, unsigned int n);
/* Packets as they are: each behind its length, of 16 bits. */
void raw_packets(const uint8_t *data, size_t size);
/* Delete all that is in a map. Return: how many. */
unsigned int map_clear(const char *map, size_t key_size);

#endif /* FUZZ_H */
