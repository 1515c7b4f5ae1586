// SPDX-License-Identifier: GPL-2.0
/*
 * On this processor, in user space: switches of stacks, which is what coroutines elsewhere do, there
 * and back; and what it costs to use the end of one of many stacks, all ends being in the same
 * sets of the caches, or spread over them (coloured). A line for each, as in guest.sh, in
 * nanoseconds.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <ucontext.h>

#define ROUNDS	7
#define STACK	65536

/* Boost.Context has these for C++; they are plain functions. */
struct transfer {
	void *from;
	void *data;
};

struct transfer jump_fcontext(void *to, void *data);
void *make_fcontext(void *stack, size_t size, void (*body)(struct transfer t));

static char stack[STACK] __attribute__((aligned(16)));
static void *boost;
static ucontext_t base, other;
static sem_t ping, pong;

static void boost_body(struct transfer t)
{
	for (;;)
		t = jump_fcontext(t.from, NULL);
}

static void boost_loop(long n)
{
	while (n--)
		boost = jump_fcontext(boost, NULL).from;
}

static void context_body(void)
{
	for (;;)
		swapcontext(&other, &base);
}

static void context_loop(long n)
{
	while (n--)
		swapcontext(&base, &other);
}

static void *thread_body(void *unused)
{
	for (;;) {
		sem_wait(&ping);
		sem_post(&pong);
	}
	return unused;
}

static void thread_loop(long n)
{
	while (n--) {
		sem_post(&ping);
		sem_wait(&pong);
	}
}

#define ENDS		1000
#define END_BYTES	512
#define COLOURS		64
#define LINE		64

static char *ends[ENDS];

/* A few cache lines at the end of each are written to, as a body that goes on does. */
static void ends_loop(long n)
{
	unsigned int i = 0, k;

	while (n--) {
		i = (i + 617) % ENDS;
		for (k = LINE; k <= END_BYTES; k += LINE)
			(*(volatile long *)(ends[i] - k))++;
	}
}

static void measure(const char *name, unsigned int size, void (*loop)(long n), long n)
{
	struct timespec start, end;
	int i;

	loop(n);
	printf("native %s %u", name, size);
	for (i = 0; i < ROUNDS; i++) {
		clock_gettime(CLOCK_MONOTONIC, &start);
		loop(n);
		clock_gettime(CLOCK_MONOTONIC, &end);
		printf(" %.2f", ((end.tv_sec - start.tv_sec) * 1e9 + end.tv_nsec - start.tv_nsec) / n);
	}
	printf("\n");
}

static void measure_ends(size_t size)
{
	char *memory = aligned_alloc(65536, size * ENDS);
	size_t i;

	if (!memory)
		exit(1);
	for (i = 0; i < ENDS; i++)
		ends[i] = memory + (i + 1) * size;
	measure("ends_same", size, ends_loop, 1000000);
	for (i = 0; i < ENDS; i++)
		ends[i] -= i % COLOURS * LINE;
	measure("ends_coloured", size, ends_loop, 1000000);
	free(memory);
}

int main(void)
{
	pthread_t thread;

	boost = make_fcontext(stack + STACK, STACK, boost_body);
	measure("jump_fcontext", 0, boost_loop, 10000000);
	getcontext(&other);
	other.uc_stack.ss_sp = stack;
	other.uc_stack.ss_size = STACK;
	makecontext(&other, context_body, 0);
	measure("swapcontext", 0, context_loop, 500000);
	sem_init(&ping, 0, 0);
	sem_init(&pong, 0, 0);
	if (pthread_create(&thread, NULL, thread_body, NULL))
		return 1;
	measure("pthreads", 0, thread_loop, 20000);
	measure_ends(16384);
	measure_ends(65536);
	return 0;
}
