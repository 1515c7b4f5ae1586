// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz_kernel sni|resp PINS SEED RUNS SECONDS CRASH FILE...
 *
 * The targets in the kernel: the program is loaded by the tool and pinned below PINS; each
 * packet is a BPF_PROG_TEST_RUN, on any CPU. The files, then mutations of them: so many, and at
 * least for so long. What an input was that something is wrong with, is kept as CRASH.
 */
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "fuzz.h"

#define INPUT_MAX	4096
#define TCX_NEXT	(-1)

static const char *pins, *crash;
static uint8_t input[INPUT_MAX];
static size_t input_size;
static int prog_fd;
static struct ring_buffer *ring;
static unsigned long packets;

void bug(const char *fmt, ...)
{
	va_list ap;
	FILE *f;

	fputs("BUG: ", stdout);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	f = fopen(crash, "wb");
	if (f && fwrite(input, 1, input_size, f) == input_size && !fclose(f))
		printf("its input: %s\n", crash);
	exit(1);
}

static void die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(2);
}

static int open_pin(const char *dir, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/%s", pins, dir, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		die(path);
	return fd;
}

/* Few names, each of them one pointer: the first call opens. */
static int map_fd(const char *name)
{
	static struct {
		const char *name;
		int fd;
	} open[16];
	int i;

	for (i = 0; i < 15 && open[i].name; i++) {
		if (!strcmp(open[i].name, name))
			return open[i].fd;
	}
	open[i].name = name;
	open[i].fd = open_pin("maps", name);
	return open[i].fd;
}

int world_next(const char *map, const void *key, void *next)
{
	return bpf_map_get_next_key(map_fd(map), key, next);
}

int world_lookup(const char *map, const void *key, void *value)
{
	return bpf_map_lookup_elem(map_fd(map), key, value);
}

int world_delete(const char *map, const void *key)
{
	return bpf_map_delete_elem(map_fd(map), key);
}

void *world_global(const char *name)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info), i;
	const struct btf_var_secinfo *var;
	const struct btf_type *sec;
	static struct btf *btf;
	static char *bss;

	if (!bss) {
		if (bpf_map_get_info_by_fd(map_fd("bss"), &info, &len))
			die("bss");
		btf = btf__load_from_kernel_by_id(info.btf_id);
		bss = mmap(NULL, info.value_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   map_fd("bss"), 0);
		if (!btf || bss == MAP_FAILED)
			die("bss");
	}
	sec = btf__type_by_id(btf, btf__find_by_name_kind(btf, ".bss", BTF_KIND_DATASEC));
	for (i = 0, var = btf_var_secinfos(sec); i < btf_vlen(sec); i++, var++) {
		const struct btf_type *t = btf__type_by_id(btf, var->type);

		if (!strcmp(btf__name_by_offset(btf, t->name_off), name))
			return bss + var->offset;
	}
	die(name);
	return NULL;
}

void world_send(const void *packet, unsigned int len)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = len);
	int err;

	err = bpf_prog_test_run_opts(prog_fd, &opts);
	/* It takes none that is too short or too long. */
	if (err == -EINVAL || err == -ENOMEM || err == -E2BIG)
		return;
	if (err || (int)opts.retval != TCX_NEXT)
		bug("a packet of %u bytes: %d, %d", len, err, opts.retval);
	packets++;
}

struct last_event {
	void *to;
	size_t size;
	unsigned int nr;
};

static struct last_event event;

static int on_event(void *ctx, void *data, size_t size)
{
	/* The ring buffer rounds sizes up. */
	if (size < event.size || size > event.size + 8)
		bug("an event of %zu bytes", size);
	memcpy(event.to, data, event.size);
	event.nr++;
	return 0;
}

unsigned int world_events(void *to, size_t size)
{
	event = (struct last_event){ to, size, 0 };
	if (ring_buffer__consume(ring) < 0)
		die("events");
	return event.nr;
}

/* Who loaded the program sees to that, when it is unloaded. */
void world_empty(void)
{
}

static void mutate_once(uint32_t *rng, const uint8_t *other, size_t other_size)
{
	static const uint8_t special[] = { 0, 1, 0xff, 0x7f, '\r', '\n', '$', '*', '-', '9', ' ' };
	size_t at = rand_below(rng, input_size), n = 1 + rand_below(rng, 8), from;

	switch (rand_below(rng, 6)) {
	case 0:
		input[at] ^= 1 << rand_below(rng, 8);
		break;
	case 1:
		input[at] = special[rand_below(rng, sizeof(special))];
		break;
	case 2:		/* cut out */
		if (at + n < input_size) {
			memmove(input + at, input + at + n, input_size - at - n);
			input_size -= n;
		}
		break;
	case 3:		/* again */
		n *= 8;
		if (at + n < input_size && input_size + n <= INPUT_MAX) {
			memmove(input + at + n, input + at, input_size - at);
			input_size += n;
		}
		break;
	case 4:		/* a piece of another one */
		from = rand_below(rng, other_size);
		n *= 4;
		if (at + n <= input_size && from + n <= other_size)
			memcpy(input + at, other + from, n);
		break;
	default:
		input_size = input_size > 8 && !rand_below(rng, 4) ? at + 1 : input_size;
	}
}

static size_t read_file(const char *path, uint8_t *to)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f)
		die(path);
	n = fread(to, 1, INPUT_MAX, f);
	fclose(f);
	return n;
}

static void any_cpu(uint32_t *rng)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(rand_below(rng, n), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

int main(int argc, char **argv)
{
	int (*target)(const uint8_t *data, size_t size);
	static uint8_t other[INPUT_MAX];
	unsigned long run, runs, seconds;
	uint32_t rng, seed;
	size_t other_size;
	time_t begin = time(NULL);
	int i, nr_files = argc - 7;

	if (nr_files < 1)
		return 2;
	target = strcmp(argv[1], "sni") ? fuzz_resp : fuzz_sni;
	pins = argv[2];
	rng = strtoul(argv[3], NULL, 0) | 1;
	runs = strtoul(argv[4], NULL, 0);
	seconds = strtoul(argv[5], NULL, 0);
	crash = argv[6];
	argv += 7;
	prog_fd = open_pin("progs", target == fuzz_sni ? "sni_ingress" : "resp_ingress");
	if (target == fuzz_sni) {
		ring = ring_buffer__new(map_fd("events"), on_event, NULL, NULL);
		if (!ring)
			die("events");
	}
	printf("seed %u\n", rng);
	for (run = 0; run < runs || time(NULL) - begin < (time_t)seconds; run++) {
		i = run < (unsigned long)nr_files ? (int)run : (int)rand_below(&rng, nr_files);
		input_size = read_file(argv[i], input);
		other_size = read_file(argv[rand_below(&rng, nr_files)], other);
		if (run >= (unsigned long)nr_files && input_size > 4 && other_size) {
			for (i = rand_below(&rng, 5); i >= 0; i--)
				mutate_once(&rng, other, other_size);
			/* In pieces of another kind each time; what it is, stays. */
			seed = rng & 0xffffff;
			memcpy(input, &seed, 3);
		}
		any_cpu(&rng);
		target(input, input_size);
	}
	printf("%lu runs, %lu packets, %ld seconds\n", run, packets, (long)(time(NULL) - begin));
	return 0;
}
