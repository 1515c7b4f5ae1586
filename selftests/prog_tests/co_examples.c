// SPDX-License-Identifier: GPL-2.0
/*
 * The examples of bpf/, stopped at every wait that their coroutines have: byte by byte is what
 * comes, and there is a connection for each number of bytes, which gets so many. Then all are
 * stopped at once, in each way that there is. Nothing is left, and all is accounted for.
 */
#include <arpa/inet.h>
#include <libgen.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/btf.h>

#include "co.h"
#include "co_context.skel.h"

#define FIN	1
#define SYN	2
#define RST	4
#define ACK	16

#define MAX_LINKS	8
#define MAX_EVENTS	256

/* Examples, loaded */

static struct bpf_object *obj;
static struct bpf_link *links[MAX_LINKS];

static bool attach_types(void)
{
	struct bpf_map *map;
	int n = 0;

	bpf_object__for_each_map(map, obj) {
		if (bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS)
			continue;
		links[n] = bpf_map__attach_struct_ops(map);
		if (!ASSERT_PTR(links[n]))
			return false;
		n++;
	}
	return true;
}

static void detach_types(void)
{
	int i;

	for (i = 0; i < MAX_LINKS; i++) {
		bpf_link__destroy(links[i]);
		links[i] = NULL;
	}
}

static void unload(void)
{
	bpf_object__close(obj);
	obj = NULL;
}

/* Of the tree that this runner was built in. */
static bool load(const char *name)
{
	char path[PATH_MAX + 64];
	ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 1);

	if (!ASSERT_GT(len, 0))
		return false;
	path[len] = 0;
	len = strlen(dirname(path));
	snprintf(path + len, sizeof(path) - len, "/../../bpf/%s.bpf.o", name);
	obj = bpf_object__open_file(path, NULL);
	if (!ASSERT_PTR(obj))
		return false;
	if (ASSERT_OK(bpf_object__load(obj)) && attach_types())
		return true;
	detach_types();
	unload();
	return false;
}

static struct bpf_program *prog(const char *name)
{
	return bpf_object__find_program_by_name(obj, name);
}

/* A counter of the example: a member of a global variable. */
static u64 counter(const char *variable, const char *member)
{
	const struct btf *btf = bpf_object__btf(obj);
	int id = btf__find_by_name_kind(btf, ".bss", BTF_KIND_DATASEC), i, j;
	const struct btf_var_secinfo *sec;
	const struct btf_type *t, *type;
	const char *bss;
	size_t size;

	bss = bpf_map__initial_value(bpf_object__find_map_by_name(obj, ".bss"), &size);
	t = id < 0 ? NULL : btf__type_by_id(btf, id);
	for (i = 0; bss && t && i < btf_vlen(t); i++) {
		sec = btf_var_secinfos(t) + i;
		type = btf__type_by_id(btf, sec->type);
		if (strcmp(btf__name_by_offset(btf, type->name_off), variable))
			continue;
		type = btf__type_by_id(btf, type->type);
		for (j = 0; j < btf_vlen(type); j++) {
			if (!strcmp(btf__name_by_offset(btf, btf_members(type)[j].name_off), member))
				return *(volatile u64 *)(bss + sec->offset +
							 btf_members(type)[j].offset / 8);
		}
	}
	test_fail(__FILE__, __LINE__, "no %s.%s", variable, member);
	return 0;
}

/* How many coroutines are suspended. */
static long long suspended(void)
{
	char *text = read_file(DEBUGFS "coroutines"), *rest = text, *line, state[16];
	long long n = 0;

	while (rest && (line = strsep(&rest, "\n")))
		n += sscanf(line, "%*u %*s %15s", state) == 1 && !strcmp(state, "suspended");
	free(text);
	return n;
}

/* Delete all that is in the example's maps, or, of an array, write over it. */
static void delete_elements(void)
{
	static const char zeros[8192];
	struct bpf_map *map;
	u8 key[64];
	int fd;

	bpf_object__for_each_map(map, obj) {
		fd = bpf_map__fd(map);
		if (bpf_map__type(map) == BPF_MAP_TYPE_HASH ||
		    bpf_map__type(map) == BPF_MAP_TYPE_LRU_HASH) {
			while (!bpf_map_get_next_key(fd, NULL, key))
				bpf_map_delete_elem(fd, key);
		} else if (bpf_map__type(map) == BPF_MAP_TYPE_ARRAY && !bpf_map__is_internal(map)) {
			memset(key, 0, sizeof(key));
			bpf_map_update_elem(fd, key, zeros, 0);
		}
	}
}

/* Newer kernels let go of what a deleted element has when its memory is used again. */
static bool deletes_at_once(void)
{
	return kernel_version() <= KERNEL(6, 12);
}

/* Ways to stop */

enum stop {
	STOP_CLOSE,	/* by the program, that sees an RST */
	STOP_DELETE,	/* elements of maps are deleted */
	STOP_DETACH,	/* the types go; the next packet finds it so */
	STOP_UNLOAD,	/* the types go, and then all the rest */
	STOP_VANISH,	/* maps and programs go, and then the types */
	NR_STOPS
};

static const char * const stop_names[] = {
	[STOP_CLOSE] = "closed",
	[STOP_DELETE] = "deleted",
	[STOP_DETACH] = "detached",
	[STOP_UNLOAD] = "unloaded",
	[STOP_VANISH] = "vanished",
};

/* What was suspended has been cancelled, and what was taken is given back. */
static void check_accounts(const struct stats *before, long long was_suspended)
{
	struct stats after;

	ASSERT_TRUE(wait_coroutines(0));
	ASSERT_TRUE(wait_live(0));
	stats_read(&after);
	ASSERT_EQ(after.allocs - before->allocs, after.frees - before->frees);
	ASSERT_EQ(after.co_cancelled - before->co_cancelled, was_suspended);
	ASSERT_EQ(after.co_fail_memory, before->co_fail_memory);
}

/* Connections */

struct event {
	bool server;		/* from it; or else from the client */
	u8 flags, byte;
	bool data;		/* there is a byte */
	u32 at;			/* its place in what that side sends */
	bool due;		/* it is the next one */
};

static struct event events[MAX_EVENTS];
static int nr_events;
static u32 at[2];
static u16 server_port;

static void begin_script(u16 port, bool server, u8 flags)
{
	server_port = port;
	at[0] = 0;
	at[1] = 0;
	events[0] = (struct event){ .server = server, .flags = flags };
	nr_events = 1;
}

/* Byte by byte */
static void say(bool server, const void *data, u32 len)
{
	const u8 *bytes = data;
	u32 i;

	for (i = 0; i < len && nr_events < MAX_EVENTS; i++)
		events[nr_events++] = (struct event){
			.server = server, .flags = ACK, .data = true, .byte = bytes[i],
			.at = at[server]++, .due = true,
		};
}

/* One comes before the one before it. */
static void swap(int i)
{
	struct event event = events[i];

	events[i] = events[i + 1];
	events[i + 1] = event;
	events[i].due = false;
}

static void put16(u8 *to, u16 value)
{
	to[0] = value >> 8;
	to[1] = value;
}

static void put32(u8 *to, u32 value)
{
	put16(to, value >> 16);
	put16(to + 2, value);
}

static void send_packet(struct bpf_program *prog, u16 client_port, const struct event *e)
{
	u32 seq = e->server ? 5000 : 1000, ack = e->server ? 1000 : 5000, len = 40 + e->data;
	u8 packet[64] = {
		[12] = 8, 0,
		[14] = 0x45, 0, 0, len, [22] = 64, IPPROTO_TCP,
		[26] = 192, 0, 2, 1 + e->server, 192, 0, 2, 2 - e->server,
		[46] = 0x50, e->flags, [54] = e->byte,
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = 1);

	put16(packet + 34, e->server ? server_port : client_port);
	put16(packet + 36, e->server ? client_port : server_port);
	put32(packet + 38, seq + (e->flags & SYN ? 0 : 1 + e->at));
	put32(packet + 42, ack + 1);
	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts))
		test_fail(__FILE__, __LINE__, "%s: %s", bpf_program__name(prog), strerror(errno));
}

#define PORT(n) (10000 + (n))

/* Connection number n has n events. */
static void play_all(struct bpf_program *prog)
{
	int n, i;

	for (n = 0; n <= nr_events; n++) {
		for (i = 0; i < n; i++)
			send_packet(prog, PORT(n), &events[i]);
	}
}

static void close_all(struct bpf_program *prog)
{
	const struct event rst = { .flags = RST };
	int n;

	for (n = 0; n <= nr_events; n++)
		send_packet(prog, PORT(n), &rst);
}

/* The next event of each, whose coroutine is gone: is it counted so? @over: as below */
static bool count_gone(struct bpf_program *prog, int over, const char *counters,
		       const char *member)
{
	u64 before = counter(counters, member), due = 0;
	int n;

	for (n = 1; n < nr_events; n++) {
		send_packet(prog, PORT(n), &events[n]);
		due += events[n].due && n <= nr_events - over;
	}
	return ASSERT_EQ(counter(counters, member) - before, due);
}

/*
 * @fresh: connections, the first ones, whose coroutines have not run yet
 * @over: connections, the last ones, that have come to their end by themselves
 * @each: coroutines of a connection
 */
static void sweep(const char *name, const char *prog_name, enum stop stop, int fresh, int over,
		  int each)
{
	long long was_suspended;
	struct stats before;
	bool gone;

	if (!subtest_begin("%s", stop_names[stop]))
		return;
	if (!obj && !load(name))
		goto out;
	stats_read(&before);
	play_all(prog(prog_name));
	was_suspended = suspended();
	ASSERT_EQ(was_suspended, each * (nr_events - fresh - over));
	switch (stop) {
	case STOP_CLOSE:
		close_all(prog(prog_name));
		break;
	case STOP_DELETE:
		delete_elements();
		break;
	case STOP_DETACH:
		detach_types();
		ASSERT_EQ(suspended(), 0);
		/* What is not followed any more is counted. */
		if (!strcmp(name, "sni"))
			gone = count_gone(prog(prog_name), over, "sni_counters", "detached");
		else
			gone = count_gone(prog(prog_name), over, "tcp_counters", "lost");
		ASSERT_TRUE(gone);
		close_all(prog(prog_name));
		break;
	case STOP_UNLOAD:
		detach_types();
		unload();
		break;
	default:
		unload();
		/* Programs and maps go a little later, but long before this is over. */
		ASSERT_TRUE(wait_coroutines(0));
		detach_types();
		break;
	}
	if (stop == STOP_DELETE && !deletes_at_once()) {
		detach_types();
		unload();
	}
	check_accounts(&before, was_suspended);
	if (obj && stop == STOP_DETACH)
		attach_types();
out:
	subtest_end();
}

static void sweep_all(const char *name, const char *prog_name, int fresh, int over, int each)
{
	enum stop stop;

	/* A coroutine belongs to the CPU that it is spawned on. */
	pin_to_cpu(0);
	for (stop = 0; stop < NR_STOPS; stop++)
		sweep(name, prog_name, stop, fresh, over, each);
	detach_types();
	unload();
}

/* TLS */

/* A ClientHello in two records, with an extension before the name and one behind it. */
static int client_hello(u8 *hello)
{
	static const u8 extensions[] = {
		0, 21, 0, 3, 0, 0, 0,				/* padding */
		0, 0, 0, 11, 0, 9, 0, 0, 6, 'a', '.', 't', 'e', 's', 't',
		0, 23, 0, 0,
	};
	u8 message[128] = { 1 }, *p = message + 4;
	int len, cut = 60;

	*p++ = 3;				/* version, random */
	*p++ = 3;
	p += 32;
	*p++ = 2;				/* session */
	p += 2;
	put16(p, 2);				/* cipher suites */
	p += 4;
	*p++ = 1;				/* compression */
	*p++ = 0;
	put16(p, sizeof(extensions));
	memcpy(p + 2, extensions, sizeof(extensions));
	len = p + 2 + sizeof(extensions) - message;
	put16(message + 2, len - 4);

	p = hello;
	memcpy(p, (u8[]){ 22, 3, 1, 0, cut }, 5);
	memcpy(p + 5, message, cut);
	p += 5 + cut;
	memcpy(p, (u8[]){ 22, 3, 1, 0, len - cut }, 5);
	memcpy(p + 5, message + cut, len - cut);
	return p + 5 + len - cut - hello;
}

static void script_sni(void)
{
	u8 hello[160];
	int len = client_hello(hello);

	begin_script(443, false, SYN);
	say(false, hello, len);
	swap(20);
	swap(70);
}

TEST(co_example_sni)
{
	u64 found;

	script_sni();
	if (subtest_begin("whole")) {
		if (load("sni")) {
			play_all(prog("sni_ingress"));
			/* All that have the name's last byte: what comes then, matters no more. */
			found = counter("sni_counters", "found");
			ASSERT_EQ(counter("sni_counters", "flows"), nr_events);
			ASSERT_EQ(found, 5);
		}
		detach_types();
		unload();
		subtest_end();
	}
	sweep_all("sni", "sni_ingress", 1, 5, 1);
}

/*
 * Another CPU is at a body of the CPU that the connection's coroutine belongs to: for longer
 * than a resume waits, and for longer than the program tries again.
 */

static struct co_context *other;
static volatile bool wait_again;

static void *run_waiter(void *arg)
{
	pin_to_cpu(0);
	co_do(other, resume);
	while (!wait_again)
		sched_yield();
	co_do(other, resume);
	return arg;
}

static bool wait_in_body(void)
{
	long long end = now_ms() + PATIENCE_MS;

	while (!*(volatile u32 *)&other->bss->in_body && now_ms() < end)
		;
	return other->bss->in_body;
}

TEST(co_example_sni_in_use, .cpus = 2)
{
	struct bpf_link *link = NULL;
	struct stats before;
	struct bpf_link *clock = NULL;
	pthread_t thread;

	script_sni();
	other = co_context__open_and_load();
	if (!ASSERT_PTR(other))
		return;
	other->data->patience = 1000;
	wait_again = false;
	link = bpf_map__attach_struct_ops(other->maps.waiter_ops);
	pin_to_cpu(0);
	if (!ASSERT_PTR(link) || !ASSERT_EQ(co_spawn(other, waiter, 0, 0), 1) || !load("sni"))
		goto out;
	stats_read(&before);
	send_packet(prog("sni_ingress"), PORT(1), &events[0]);
	pin_to_cpu(1);
	pthread_create(&thread, NULL, run_waiter, NULL);
	ASSERT_TRUE(wait_in_body());
	/* Ends the wait within 100 ms. */
	clock = attach_clock(other->progs.on_clock, 0, 100000);
	ASSERT_PTR(clock);
	send_packet(prog("sni_ingress"), PORT(1), &events[1]);
	bpf_link__destroy(clock);
	ASSERT_EQ(counter("sni_counters", "in_use"), 0);
	wait_again = true;
	ASSERT_TRUE(wait_in_body());
	send_packet(prog("sni_ingress"), PORT(1), &events[2]);
	other->bss->tick_in_body = 1;
	pthread_join(thread, NULL);
	/* That is the connection's end, and what it counts as. */
	ASSERT_EQ(counter("sni_counters", "in_use"), 1);
	ASSERT_EQ(counter("sni_counters", "no_stack"), 0);
	ASSERT_EQ(counter("sni_counters", "busy"), 0);
	ASSERT_EQ(counter("sni_counters", "flows"), 1);
	ASSERT_TRUE(wait_coroutines(1));
	detach_types();
	unload();
out:
	bpf_link__destroy(link);
	co_context__destroy(other);
}

/* Redis */

#define SAY(server, text) say(server, text, sizeof(text) - 1)

TEST(co_example_resp)
{
	begin_script(6379, true, SYN | ACK);
	SAY(false, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\nping x\r\n");
	SAY(true, "$2\r\nab\r\n+PONG\r\n");
	SAY(false, "*1\r\n$5\r\nMULTI\r\nget k\r\n*1\r\n$4\r\nEXEC\r\n");
	SAY(true, "+OK\r\n+QUEUED\r\n*1\r\n-ERR\r\n");
	SAY(false, "subscribe a\r\n");
	SAY(true, "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>1\r\n+x\r\n|1\r\n#t\r\n%1\r\n");
	swap(10);
	swap(130);
	sweep_all("resp", "resp_ingress", 0, 0, 2);
}

/* Fibonacci: one coroutine for all packets */

TEST(co_example_fib)
{
	struct stats before;
	enum stop stop;
	int n, i;

	for (stop = STOP_DELETE; stop < NR_STOPS; stop++) {
		if (!subtest_begin("%s", stop_names[stop]))
			continue;
		for (n = 0; n < 3; n++) {
			if (!obj && !load("fib"))
				break;
			stats_read(&before);
			for (i = 0; i < n; i++)
				ASSERT_OK(prog_run(prog("next_number"), NULL, 0, NULL));
			ASSERT_EQ(suspended(), n > 0);
			if (stop == STOP_DETACH) {
				detach_types();
				/* It is gone, and the packets go on. */
				ASSERT_OK(prog_run(prog("next_number"), NULL, 0, NULL));
			}
			if (stop == STOP_DELETE)
				delete_elements();
			if (stop == STOP_UNLOAD)
				detach_types();
			if (stop != STOP_DELETE || !deletes_at_once())
				unload();
			if (stop == STOP_VANISH)
				ASSERT_TRUE(wait_coroutines(0));
			if (!obj)
				detach_types();
			check_accounts(&before, n > 0);
		}
		subtest_end();
	}
	detach_types();
	unload();
}

/* Handshakes: the server's accept() ends it */

static int listen_on(struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*addr);

	*addr = (struct sockaddr_in){ .sin_family = AF_INET };
	addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ASSERT_OK(bind(fd, (void *)addr, len));
	ASSERT_OK(listen(fd, 4));
	ASSERT_OK(getsockname(fd, (void *)addr, &len));
	return fd;
}

static int connect_to(const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ASSERT_OK(connect(fd, (void *)addr, sizeof(*addr)));
	return fd;
}

static void accept_story(enum stop stop)
{
	const struct event syn = { .flags = SYN }, ack = { .flags = ACK };
	struct bpf_link *packets, *accepts;
	struct sockaddr_in addr;
	struct stats before;
	int server, fds[3];

	stats_read(&before);
	packets = bpf_program__attach_tcx(prog("receives"), 1, NULL);
	accepts = bpf_program__attach(prog("accepts"));
	ASSERT_PTR(packets);
	ASSERT_PTR(accepts);
	server_port = 4242;
	/* A SYN, and a handshake that no server knows of */
	send_packet(prog("receives"), PORT(1), &syn);
	send_packet(prog("receives"), PORT(2), &syn);
	send_packet(prog("receives"), PORT(2), &ack);
	ASSERT_EQ(suspended(), 2);
	/* One that is accepted, which is the end of it; and one that waits for that */
	server = listen_on(&addr);
	fds[0] = connect_to(&addr);
	ASSERT_EQ(suspended(), 3);
	fds[1] = accept(server, NULL, NULL);
	ASSERT_OK(fds[1]);
	ASSERT_EQ(suspended(), 2);
	fds[2] = connect_to(&addr);
	ASSERT_EQ(suspended(), 3);
	bpf_link__destroy(packets);
	if (stop == STOP_DELETE)
		delete_elements();
	if (stop == STOP_DETACH || stop == STOP_UNLOAD)
		detach_types();
	if (stop == STOP_DETACH)
		ASSERT_OK(close(accept(server, NULL, NULL)));
	bpf_link__destroy(accepts);
	unload();
	if (stop == STOP_DELETE || stop == STOP_VANISH)
		ASSERT_TRUE(wait_coroutines(0));
	detach_types();
	check_accounts(&before, 3);
	close(fds[0]);
	close(fds[1]);
	close(fds[2]);
	close(server);
}

TEST(co_example_accepts)
{
	enum stop stop;

	for (stop = STOP_DELETE; stop < NR_STOPS; stop++) {
		if (!subtest_begin("%s", stop_names[stop]))
			continue;
		if (load("accepts"))
			accept_story(stop);
		subtest_end();
	}
}

/* Programs: one that has ended, and one that runs */

static pid_t run_cat(int *to)
{
	int fds[2];
	pid_t pid;

	if (!ASSERT_OK(pipe(fds)))
		return -1;
	pid = fork();
	if (!pid) {
		dup2(fds[0], 0);
		close(fds[0]);
		close(fds[1]);
		execl("/bin/cat", "cat", NULL);
		_exit(1);
	}
	close(fds[0]);
	*to = fds[1];
	return pid;
}

static void end_cat(pid_t pid, int to)
{
	close(to);
	waitpid(pid, NULL, 0);
}

static bool wait_suspended(long long n)
{
	long long end = now_ms() + PATIENCE_MS;

	while (suspended() != n && now_ms() < end)
		sleep_ms(1);
	return ASSERT_EQ(suspended(), n);
}

static void execution(enum stop stop)
{
	struct bpf_link *executes = bpf_program__attach(prog("executes"));
	struct bpf_link *exits = bpf_program__attach(prog("exits"));
	struct stats before;
	pid_t pid;
	int to;

	stats_read(&before);
	ASSERT_PTR(executes);
	ASSERT_PTR(exits);
	pid = run_cat(&to);
	wait_suspended(1);
	end_cat(pid, to);
	ASSERT_TRUE(wait_coroutines(0));
	pid = run_cat(&to);
	wait_suspended(1);
	if (stop == STOP_DELETE)
		delete_elements();
	if (stop == STOP_DETACH || stop == STOP_UNLOAD)
		detach_types();
	if (stop == STOP_DETACH)
		end_cat(pid, to);
	bpf_link__destroy(executes);
	bpf_link__destroy(exits);
	unload();
	if (stop == STOP_DELETE || stop == STOP_VANISH)
		ASSERT_TRUE(wait_coroutines(0));
	detach_types();
	check_accounts(&before, 1);
	if (stop != STOP_DETACH)
		end_cat(pid, to);
}

TEST(co_example_execs)
{
	enum stop stop;

	for (stop = STOP_DELETE; stop < NR_STOPS; stop++) {
		if (!subtest_begin("%s", stop_names[stop]))
			continue;
		if (!lsm_is_active())
			test_skip("the BPF LSM is not active");
		else if (load("execs"))
			execution(stop);
		subtest_end();
	}
}
