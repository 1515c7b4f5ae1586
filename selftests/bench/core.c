// SPDX-License-Identifier: GPL-2.0
/*
 * core KERNEL - the module's own machine code for taking and giving back a stack, timed on this processor as a
 * part of a plain program: what no emulator and no other kernel can say. Linked with kmod/costack.ko;
 * a CPU's own memory is at %gs, which is 0 in a program, so its variables are plain ones here.
 *
 * As the kernel does at boot, calls of the tracer are made no-ops, and returns are returns. A CPU
 * that wants more of a return (retbleed, SRSO) takes longer for the module, and for all others.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define ROUNDS		7
#define PAIRS		1000000
#define SIZE		16384
#define GFP_ATOMIC	0x820

/* As kmod/pool.h has them. */
#define CONTEXTS	5
#define CONTEXT_PROCESS	1
#define MAGAZINE_MAX	32
#define MAGAZINE	16

struct share;

struct costack {
	struct costack *next;
	void *mem;
	uint32_t size, dirty, ref, chain_count;
	struct costack *chain_next;
	void *pool;
	struct share *pcp;
	uint8_t allocator;
} __attribute__((aligned(64)));

struct share {
	unsigned long top;
	uint64_t hits[CONTEXTS], others;
	struct costack *prev;
	uint64_t frees[CONTEXTS], seen;
	struct costack *slot[MAGAZINE_MAX + 2];
} __attribute__((aligned(64)));

struct costack *costack_alloc(uint32_t size, unsigned int gfp, uint64_t flags);
void costack_put(struct costack *cs);
extern struct share *costack_pcps[];

/* What the code wants of the kernel. */
int __preempt_count;
char pcpu_hot[64];		/* where that is in 6.12 */
void __fentry__(void);
asm(".globl __fentry__, __x86_return_thunk; __fentry__: __x86_return_thunk: ret; int3");

static struct costack stacks[MAGAZINE];
static struct share share;

/* Behind endbr64 is the call of the tracer; anything else is not what this was made for. */
static void without_tracer(void *function)
{
	static const uint8_t nop[5] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
	uint8_t *call = (uint8_t *)function + 4;
	int32_t to;

	memcpy(&to, call + 1, sizeof(to));
	if (call[0] != 0xe8 || call + 5 + to != (uint8_t *)__fentry__ ||
	    mprotect((void *)((uintptr_t)call & ~4095UL), 8192,
		     PROT_READ | PROT_WRITE | PROT_EXEC)) {
		fprintf(stderr, "core: no call of the tracer where one should be\n");
		exit(1);
	}
	memcpy(call, nop, sizeof(nop));
}

static double pairs(void)
{
	struct timespec start, end;
	struct costack *cs;
	int i;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (i = 0; i < PAIRS; i++) {
		cs = costack_alloc(SIZE, GFP_ATOMIC, 0);
		asm volatile("" : "+r" (cs));
		costack_put(cs);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	return ((end.tv_sec - start.tv_sec) * 1e9 + end.tv_nsec - start.tv_nsec) / PAIRS;
}

int main(int argc, char **argv)
{
	int i;

	if (argc != 2)
		return 2;

	without_tracer(costack_alloc);
	without_tracer(costack_put);
	for (i = 0; i < MAGAZINE; i++) {
		stacks[i].size = SIZE;
		stacks[i].pcp = &share;
		share.slot[i + 1] = &stacks[i];
	}
	share.slot[MAGAZINE + 1] = (void *)-1L;
	share.top = MAGAZINE;
	for (i = 0; i < 32; i++)
		costack_pcps[i] = &share;
	pairs();
	printf("native costack_%s %u", argv[1], SIZE);
	for (i = 0; i < ROUNDS; i++)
		printf(" %.2f", pairs());
	printf("\n");
	if (share.hits[CONTEXT_PROCESS] != (ROUNDS + 1L) * PAIRS ||
	    share.frees[CONTEXT_PROCESS] != share.hits[CONTEXT_PROCESS]) {
		fprintf(stderr, "core: the module did something else\n");
		return 1;
	}
	return 0;
}
