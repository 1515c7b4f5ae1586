// SPDX-License-Identifier: GPL-2.0
/*
 * A world in user space: what a program of ../../bpf needs of the kernel and of the module.
 * Everything has memory of its own, exactly as long as it is, so that AddressSanitizer sees
 * what goes beyond; an element that was deleted is gone at once.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"
#include "fuzz.h"

#ifdef __SANITIZE_ADDRESS__
#define ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN 1
#endif
#endif

#define ENOENT		2
#define E2BIG		7
#define EINVAL		22
#define ESRCH		3
#define ECANCELED	125

#define STACK_SIZE	(64 * 1024)
#define STACKS_MAX	64

void bug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("BUG: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	abort();
}

/* Handles: of stacks, and of coroutines, whose handle programs may look into. */

struct shim_object {
	struct costack_self self;
	bool is_co;
	__u8 *mem;		/* the stack, or bpf_costack_local() */
	__u32 size;
	/* coroutines */
	const struct costack_ops *ops;
	__u64 arg;
	__u8 *stack;
	void *sp;
	void *fake;
	const __u8 *msg;
	__u32 left;
	bool cancelled;
	bool done;
};

static __u64 last_id;
static unsigned int nr_objects;
static __u8 *stacks[STACKS_MAX];
static int nr_stacks;

static struct shim_object *new_object(bool is_co, __u32 size)
{
	struct shim_object *o = calloc(1, sizeof(*o));

	o->is_co = is_co;
	o->self.id = ++last_id;
	o->size = size;
	o->mem = calloc(1, size ?: 1);
	nr_objects++;
	return o;
}

static void free_object(struct shim_object *o)
{
	free(o->mem);
	free(o);
	nr_objects--;
}

struct costack *bpf_costack_alloc(__u32 size, __u64 flags)
{
	if (!size || size > 65536 || flags)
		return NULL;
	return (struct costack *)new_object(false, size);
}

void bpf_costack_release(struct costack *cs)
{
	free_object((struct shim_object *)cs);
}

__u8 *bpf_costack_frame(struct costack *cs, __u32 off, const __u32 size)
{
	struct shim_object *o = (struct shim_object *)cs;

	if (o->is_co)
		bug("a coroutine is no stack");
	return off <= o->size && size <= o->size - off ? o->mem + off : NULL;
}

/* Coroutines. */

#ifdef ASAN
void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size);
#else
static void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size) {}
static void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size) {}
#endif

/* Keep the registers that a call keeps, and go on where @to was left. */
void shim_switch(void **from, void *to);
asm("shim_switch:\n"
	"push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
	"mov %rsp, (%rdi)\n"
	"mov %rsi, %rsp\n"
	"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
	"ret\n");

static struct shim_object *running;
static void *main_sp;
static const void *main_bottom;
static size_t main_size;

static void leave(struct shim_object *o)
{
	__sanitizer_start_switch_fiber(o->done ? NULL : &o->fake, main_bottom, main_size);
	shim_switch(&o->sp, main_sp);
	__sanitizer_finish_switch_fiber(o->fake, &main_bottom, &main_size);
}

static void begin(void)
{
	struct shim_object *o = running;
	__u64 ctx[2] = { (unsigned long)&o->self, o->arg };

	__sanitizer_finish_switch_fiber(NULL, &main_bottom, &main_size);
	/* What COSTACK_BODY() makes. */
	((int (*)(__u64 *))(void *)o->ops->body)(ctx);
	o->done = true;
	leave(o);
}

static void run(struct shim_object *o)
{
	void *fake, **top;

	if (running)
		bug("a body resumes a coroutine");
	if (!o->stack) {
		o->stack = nr_stacks ? stacks[--nr_stacks] : malloc(STACK_SIZE);
		top = (void **)(o->stack + STACK_SIZE);
		*--top = NULL;		/* begin() does not return */
		*--top = (void *)begin;
		o->sp = top - 6;
		memset(o->sp, 0, 6 * sizeof(*top));
	}
	running = o;
	__sanitizer_start_switch_fiber(&fake, o->stack, STACK_SIZE);
	shim_switch(&main_sp, o->sp);
	__sanitizer_finish_switch_fiber(fake, NULL, NULL);
	running = NULL;
	o->left = 0;
	if (o->done) {
		if (nr_stacks < STACKS_MAX)
			stacks[nr_stacks++] = o->stack;
		else
			free(o->stack);
		o->stack = NULL;
	}
}

struct costack_co *bpf_costack_spawn(__u32 id, __u64 arg)
{
	struct shim_object *o;
	int i;

	for (i = 0; shim_types[i] && shim_types[i]->id != id; i++)
		;
	if (!shim_types[i])
		bug("no type %#x", id);
	o = new_object(true, shim_types[i]->frame_size);
	o->ops = shim_types[i];
	o->arg = arg;
	return (struct costack_co *)o;
}

int bpf_costack_resume_mem(struct costack_co *co, const void *data, __u32 len, __u64 *result)
{
	struct shim_object *o = (struct shim_object *)co;
	__u8 *msg;

	if (!o->is_co)
		bug("a stack is no coroutine");
	if (o->done)
		return -ESRCH;
	/* A copy that ends where the message does. */
	msg = malloc(len ?: 1);
	memcpy(msg, data, len);
	o->msg = msg;
	o->left = len;
	run(o);
	free(msg);
	if (result)
		*result = 0;
	return o->done ? COSTACK_DONE : COSTACK_READING;
}

int bpf_costack_cancel(struct costack_co *co)
{
	struct shim_object *o = (struct shim_object *)co;

	o->cancelled = true;
	if (!o->done && o->stack)
		run(o);
	if (o->stack)
		bug("%s waits though it is cancelled", o->ops->name);
	o->done = true;
	return 0;
}

void bpf_costack_co_release(struct costack_co *co)
{
	bpf_costack_cancel(co);
	free_object((struct shim_object *)co);
}

int bpf_costack_finish(struct costack_self *self, __s64 result)
{
	return 0;
}

__u8 *bpf_costack_local(struct costack_self *self, __u32 off, const __u32 size)
{
	struct shim_object *o = (struct shim_object *)self;

	return off <= o->size && size <= o->size - off ? o->mem + off : NULL;
}

/* Bytes for @buf, or nobody. */
static int take_bytes(struct costack_self *self, __u8 *buf, __u64 n)
{
	struct shim_object *o = (struct shim_object *)self;
	__u32 here;

	if (o != running)
		bug("reads, and does not run");
	for (;;) {
		here = o->left < n ? o->left : n;
		if (buf) {
			memcpy(buf, o->msg, here);
			buf += here;
		}
		o->msg += here;
		o->left -= here;
		n -= here;
		if (!n)
			return 0;
		if (o->cancelled)
			return -ECANCELED;
		leave(o);
		if (o->cancelled)
			return -ECANCELED;
	}
}

int bpf_costack_read(struct costack_self *self, void *buf, __u32 size)
{
	return take_bytes(self, buf, size);
}

int bpf_costack_skip(struct costack_self *self, __u64 n)
{
	return take_bytes(self, NULL, n);
}

/* Maps. */

#define BUCKETS		256

struct elem {
	struct elem *next;
	__u8 *key;
	__u8 *value;
};

static struct elem *table[8][BUCKETS];
static __u32 nr_elems[8];

static int map_of(const void *map)
{
	int i;

	for (i = 0; shim_maps[i].name; i++) {
		if (shim_maps[i].map == map)
			return i;
	}
	bug("a map that was not told of");
}

static struct elem **find(int i, const void *key)
{
	const __u8 *k = key;
	struct elem **e;
	__u32 h = 0, n;

	for (n = 0; n < shim_maps[i].key_size; n++)
		h = h * 31 + k[n];
	for (e = &table[i][h % BUCKETS]; *e; e = &(*e)->next) {
		if (!memcmp((*e)->key, key, shim_maps[i].key_size))
			break;
	}
	return e;
}

static void free_value(int i, __u8 *value)
{
	void *ptr;
	int k;

	for (k = 0; k < 2 && shim_maps[i].kptrs[k] >= 0; k++) {
		memcpy(&ptr, value + shim_maps[i].kptrs[k], sizeof(ptr));
		if (!ptr)
			continue;
		if (((struct shim_object *)ptr)->is_co)
			bpf_costack_co_release(ptr);
		else
			bpf_costack_release(ptr);
	}
	free(value);
}

void *bpf_map_lookup_elem(const void *map, const void *key)
{
	int i = map_of(map);
	struct elem *e;

	/* The one array: its elements are there from the beginning. */
	if (!strcmp(shim_maps[i].name, "heads") && !*find(i, key)) {
		void *zeros = calloc(1, shim_maps[i].value_size);

		bpf_map_update_elem((void *)map, key, zeros, 0);
		free(zeros);
	}
	e = *find(i, key);
	return e ? e->value : NULL;
}

long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags)
{
	int i = map_of(map);
	struct elem **e = find(i, key);
	int k;

	if (!*e) {
		if (nr_elems[i] == shim_maps[i].max)
			return -E2BIG;
		nr_elems[i]++;
		*e = calloc(1, sizeof(**e));
		(*e)->key = malloc(shim_maps[i].key_size);
		memcpy((*e)->key, key, shim_maps[i].key_size);
	} else {
		free_value(i, (*e)->value);
	}
	(*e)->value = malloc(shim_maps[i].value_size);
	memcpy((*e)->value, value, shim_maps[i].value_size);
	for (k = 0; k < 2 && shim_maps[i].kptrs[k] >= 0; k++)
		memset((*e)->value + shim_maps[i].kptrs[k], 0, sizeof(void *));
	return 0;
}

long bpf_map_delete_elem(void *map, const void *key)
{
	int i = map_of(map);
	struct elem **e = find(i, key), *old = *e;

	if (!old)
		return -ENOENT;
	*e = old->next;
	nr_elems[i]--;
	free_value(i, old->value);
	free(old->key);
	free(old);
	return 0;
}

int bpf_costack_map_read(void *map, const void *key, __u32 key_size, void *value, __u32 size)
{
	int i = map_of(map);
	void *from = bpf_map_lookup_elem(map, key);

	if (key_size != shim_maps[i].key_size || size != shim_maps[i].value_size)
		bug("sizes of %s", shim_maps[i].name);
	if (!from)
		return -ENOENT;
	memcpy(value, from, size);
	return 0;
}

int bpf_costack_map_add(void *map, const void *key, __u32 key_size, __u32 off, __s64 delta)
{
	int i = map_of(map);
	__u8 *value = bpf_map_lookup_elem(map, key);
	__s64 n;

	if (key_size != shim_maps[i].key_size || off + sizeof(n) > shim_maps[i].value_size)
		bug("sizes of %s", shim_maps[i].name);
	if (!value) {
		value = calloc(1, shim_maps[i].value_size);
		bpf_map_update_elem(map, key, value, 0);
		free(value);
		value = bpf_map_lookup_elem(map, key);
	}
	if (!value)
		return -E2BIG;
	memcpy(&n, value + off, sizeof(n));
	n += delta;
	memcpy(value + off, &n, sizeof(n));
	return 0;
}

void *bpf_kptr_xchg(void *where, void *ptr)
{
	void *old = *(void **)where;

	*(void **)where = ptr;
	return old;
}

/* Helpers. */

static __u8 last_event[1024];
static __u64 last_event_size;
static unsigned int nr_events;

long bpf_ringbuf_output(void *map, void *data, __u64 size, __u64 flags)
{
	if (size > sizeof(last_event))
		bug("an event of %llu bytes", size);
	memcpy(last_event, data, size);
	last_event_size = size;
	nr_events++;
	return 0;
}

__u64 bpf_ktime_get_ns(void)
{
	static __u64 now;

	return now += 1000;
}

long bpf_strncmp(const char *s1, __u32 size, const char *s2)
{
	return strncmp(s1, s2, size);
}

/* As kernel/bpf/helpers.c: blanks, then digits. */
long bpf_strtoul(const char *buf, size_t len, __u64 flags, unsigned long *res)
{
	unsigned long n = 0;
	size_t i = 0, first;

	while (i < len && (buf[i] == ' ' || (buf[i] >= '\t' && buf[i] <= '\r')))
		i++;
	for (first = i; i < len && buf[i] >= '0' && buf[i] <= '9'; i++) {
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, buf[i] - '0', &n))
			return -EINVAL;
	}
	if (i == first)
		return -EINVAL;
	*res = n;
	return i;
}

/* The packet at hand. */

static const __u8 *packet;
static __u32 packet_len;

long bpf_skb_load_bytes(const void *skb, __u32 off, void *to, __u32 len)
{
	if (off > packet_len || len > packet_len - off) {
		memset(to, 0, len);
		return -EINVAL;
	}
	memcpy(to, packet + off, len);
	return 0;
}

void *bpf_cast_to_kern_ctx(void *ctx)
{
	static struct sk_buff skb = { .network_header = 64 + 14, .mac_header = 64 };

	return &skb;
}

int bpf_costack_resume_skb(struct costack_co *co, struct __sk_buff *skb, __u32 off, __u32 len,
			   __u64 *result)
{
	if (off > packet_len || len > packet_len - off)
		bug("%u bytes at %u, of a packet of %u", len, off, packet_len);
	return bpf_costack_resume_mem(co, packet + off, len, result);
}

/* The world that the targets see. */

void world_send(const void *data, unsigned int len)
{
	struct __sk_buff skb = { .len = len, .ifindex = 1 };
	__u16 protocol;
	__u8 *copy;

	if (len < 14)
		return;
	copy = malloc(len);
	memcpy(copy, data, len);
	memcpy(&protocol, copy + 12, sizeof(protocol));
	skb.protocol = protocol;
	packet = copy;
	packet_len = len;
	if (shim_prog(&skb) != TCX_NEXT)
		bug("the packet does not go on");
	free(copy);
}

void *world_global(const char *name)
{
	int i;

	for (i = 0; shim_vars[i].name; i++) {
		if (!strcmp(shim_vars[i].name, name))
			return shim_vars[i].var;
	}
	bug("no variable %s", name);
}

static int map_named(const char *name)
{
	int i;

	for (i = 0; shim_maps[i].name; i++) {
		if (!strcmp(shim_maps[i].name, name))
			return i;
	}
	bug("no map %s", name);
}

int world_next(const char *map, const void *key, void *next)
{
	int i = map_named(map), b;
	struct elem *e = key ? *find(i, key) : NULL;
	bool seen = !e;

	for (b = 0; b < BUCKETS; b++) {
		struct elem *x;

		for (x = table[i][b]; x; x = x->next) {
			if (seen) {
				memcpy(next, x->key, shim_maps[i].key_size);
				return 0;
			}
			seen = x == e;
		}
	}
	return -ENOENT;
}

int world_lookup(const char *map, const void *key, void *value)
{
	int i = map_named(map);
	struct elem *e = *find(i, key);

	if (!e)
		return -ENOENT;
	memcpy(value, e->value, shim_maps[i].value_size);
	return 0;
}

int world_delete(const char *map, const void *key)
{
	return bpf_map_delete_elem((void *)shim_maps[map_named(map)].map, key);
}

unsigned int world_events(void *event, size_t size)
{
	unsigned int n = nr_events;

	if (n && last_event_size != size)
		bug("an event of %llu bytes", last_event_size);
	memcpy(event, last_event, size);
	nr_events = 0;
	return n;
}

void world_empty(void)
{
	if (nr_objects)
		bug("%u stacks and coroutines are left", nr_objects);
}
