// SPDX-License-Identifier: GPL-2.0
/*
 * af_packet FRAMES - what following server names costs in user space: a parser that gets a copy of
 * each packet by AF_PACKET (PACKET_MMAP, as packet(7) and tools built on it have it), in a guest
 * that counts instructions. sni.sh runs it.
 *
 * FRAMES has the connections that sni.py measures the programs with: frames of a 32-bit length and
 * bytes, each connection's behind a length of 0. They are sent over lo one by one; counted is what
 * sending and reading one takes beyond sending it when nobody listens. The same task does both, so
 * that no switch to a reader is in there, nor its wakeup: a real one has these, too.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_FRAMES	8	/* of a connection */
#define MAX_CONNECTIONS	1024
#define BUCKETS		1024
#define STREAM_MAX	17000
#define BLOCK		65536
#define BLOCKS		16
#define SLOT		4096

struct frame {
	uint32_t len;
	uint8_t *data;
};

struct connection {
	struct frame frames[MAX_FRAMES];
	unsigned int n;
};

struct flow {
	struct flow *next;
	uint32_t saddr, daddr, ports, first, have;
	uint8_t data[STREAM_MAX];
};

static struct connection connections[MAX_CONNECTIONS];
static unsigned int nr_connections;
static struct flow *flows[BUCKETS];
static unsigned long names;
static int out, in = -1;
static uint8_t *ring;
static unsigned int ring_at;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned int get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

/* The name in a ClientHello that is all there. One record; enough for what is measured. */
static bool find_name(const uint8_t *p, uint32_t have, char name[256])
{
	uint32_t end, at, ext_end, n;

	if (have < 5 || p[0] != 22)
		return false;
	end = 5 + get16(p + 3);
	if (have < end || end < 44 || p[5] != 1)
		return false;
	at = 5 + 4 + 2 + 32;
	at += 1 + p[at];			/* session */
	if (at + 2 > end)
		return false;
	at += 2 + get16(p + at);		/* ciphers */
	if (at + 1 > end)
		return false;
	at += 1 + p[at];			/* compression */
	if (at + 2 > end)
		return false;
	ext_end = at + 2 + get16(p + at);
	if (ext_end > end)
		return false;
	for (at += 2; at + 4 <= ext_end; at += 4 + n) {
		n = get16(p + at + 2);
		if (at + 4 + n > ext_end)
			return false;
		if (get16(p + at) || n < 5)
			continue;
		n = get16(p + at + 7);
		if (at + 9 + n > ext_end || n > 255)
			return false;
		memcpy(name, p + at + 9, n);
		name[n] = '\0';
		return true;
	}
	return false;
}

static struct flow **find_flow(uint32_t saddr, uint32_t daddr, uint32_t ports)
{
	struct flow **f = &flows[(saddr ^ daddr ^ ports ^ ports >> 16) % BUCKETS];

	while (*f && ((*f)->saddr != saddr || (*f)->daddr != daddr || (*f)->ports != ports))
		f = &(*f)->next;
	return f;
}

static void look_at(const uint8_t *packet, uint32_t len)
{
	const struct iphdr *ip = (const void *)(packet + ETH_HLEN);
	const struct tcphdr *tcp;
	struct flow **at, *flow;
	uint32_t ports, data, n;
	char name[256];

	if (len < ETH_HLEN + sizeof(*ip) + sizeof(*tcp) || get16(packet + 12) != ETH_P_IP ||
	    ip->protocol != IPPROTO_TCP)
		return;
	tcp = (const void *)((const uint8_t *)ip + ip->ihl * 4);
	memcpy(&ports, tcp, sizeof(ports));
	at = find_flow(ip->saddr, ip->daddr, ports);
	flow = *at;
	if (tcp->syn && !flow) {
		flow = malloc(sizeof(*flow));
		if (!flow)
			die("malloc");
		flow->next = NULL;
		flow->saddr = ip->saddr;
		flow->daddr = ip->daddr;
		flow->ports = ports;
		flow->first = ntohl(tcp->seq) + 1;
		flow->have = 0;
		*at = flow;
		return;
	}
	data = ETH_HLEN + ip->ihl * 4 + tcp->doff * 4;
	n = ETH_HLEN + ntohs(ip->tot_len);
	if (!flow || data > n || n > len)
		return;
	n -= data;
	if (ntohl(tcp->seq) - flow->first != flow->have || n > STREAM_MAX - flow->have)
		return;
	memcpy(flow->data + flow->have, packet + data, n);
	flow->have += n;
	if (!find_name(flow->data, flow->have, name))
		return;
	names++;
	*at = flow->next;
	free(flow);
}

static void listen_to(unsigned int ifindex)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = ifindex,
	};
	struct tpacket_req req = {
		.tp_block_size = BLOCK,
		.tp_block_nr = BLOCKS,
		.tp_frame_size = SLOT,
		.tp_frame_nr = BLOCK / SLOT * BLOCKS,
	};
	int version = TPACKET_V2, one = 1;

	in = socket(AF_PACKET, SOCK_RAW, 0);
	if (in < 0 || setsockopt(in, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
	    setsockopt(in, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(in, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) ||
	    bind(in, (struct sockaddr *)&to, sizeof(to)))
		die("AF_PACKET");
	ring = mmap(NULL, BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, in, 0);
	if (ring == MAP_FAILED)
		die("mmap");
}

static void read_ring(void)
{
	struct tpacket2_hdr *h;

	for (;;) {
		h = (void *)(ring + ring_at * SLOT);
		if (!(__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			return;
		look_at((uint8_t *)h + h->tp_mac, h->tp_snaplen);
		__atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		ring_at = (ring_at + 1) % (BLOCK / SLOT * BLOCKS);
	}
}

static double send_one(const struct frame *frame)
{
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (send(out, frame->data, frame->len, 0) != (ssize_t)frame->len)
		die("send");
	if (in >= 0)
		read_ring();
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (end.tv_sec - start.tv_sec) * 1e9 + end.tv_nsec - start.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Medians for the frames of those connections that have @n of them. */
static void measure(unsigned int n, double median[MAX_FRAMES])
{
	static double took[MAX_FRAMES][MAX_CONNECTIONS];
	unsigned int i, k, nr = 0;

	for (i = 0; i < nr_connections; i++) {
		if (connections[i].n != n)
			continue;
		for (k = 0; k < n; k++)
			took[k][nr] = send_one(&connections[i].frames[k]);
		nr++;
	}
	for (k = 0; k < n; k++) {
		qsort(took[k], nr, sizeof(double), compare);
		median[k] = nr ? took[k][nr / 2] : 0;
	}
}

static void read_frames(const char *path)
{
	struct connection *c = connections;
	FILE *f = fopen(path, "r");
	struct frame *frame;
	uint32_t len;

	if (!f)
		die(path);
	while (fread(&len, sizeof(len), 1, f) == 1) {
		if (!len) {
			if (++c == connections + MAX_CONNECTIONS)
				break;
			continue;
		}
		if (c->n == MAX_FRAMES)
			die("too many frames");
		frame = &c->frames[c->n++];
		frame->len = len;
		frame->data = malloc(len);
		if (!frame->data || fread(frame->data, len, 1, f) != 1)
			die(path);
	}
	nr_connections = c - connections;
	fclose(f);
}

int main(int argc, char **argv)
{
	double alone[2][MAX_FRAMES], with[2][MAX_FRAMES], five = 0;
	static const unsigned int kinds[2] = { 2, 6 };
	unsigned int ifindex = if_nametoindex("lo"), i;
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = ifindex };
	struct frame *other;

	if (argc != 2)
		return 2;
	read_frames(argv[1]);
	out = socket(AF_PACKET, SOCK_RAW, 0);
	if (out < 0 || bind(out, (struct sockaddr *)&to, sizeof(to)))
		die("AF_PACKET");
	for (i = 0; i < 2; i++)
		measure(kinds[i], alone[i]);
	listen_to(ifindex);
	for (i = 0; i < 2; i++)
		measure(kinds[i], with[i]);
	if (names != nr_connections) {
		fprintf(stderr, "af_packet: %lu names in %u connections\n", names, nr_connections);
		return 1;
	}
	/* The ClientHello in one segment, once more: nobody follows it any more. */
	other = &connections[0].frames[1];
	for (i = 0; i < 10; i++)
		with[0][2] = send_one(other);
	for (i = 1; i < 6; i++)
		five += with[1][i] - alone[1][i];
	printf("af_packet: instructions\n");
	printf("  %6.0f a packet of a connection that is of no interest\n",
	       with[0][2] - alone[0][1]);
	printf("  %6.0f a SYN\n", with[1][0] - alone[1][0]);
	printf("  %6.0f a ClientHello in one segment\n", with[0][1] - alone[0][1]);
	printf("  %6.0f a ClientHello in five segments\n", five);
	return 0;
}
