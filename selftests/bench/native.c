// SPDX-License-Identifier: GPL-2.0
/*
 * Switches of stacks in user space, which is what coroutines elsewhere do, on this processor: a line
 * for each, as in guest.sh, in nanoseconds for there and back.
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

static void measure(const char *name, void (*loop)(long n), long n)
{
	struct timespec start, end;
	int i;

	loop(n);
	printf("native %s 0", name);
	for (i = 0; i < ROUNDS; i++) {
		clock_gettime(CLOCK_MONOTONIC, &start);
		loop(n);
		clock_gettime(CLOCK_MONOTONIC, &end);
		printf(" %.2f", ((end.tv_sec - start.tv_sec) * 1e9 + end.tv_nsec - start.tv_nsec) / n);
	}
	printf("\n");
}

int main(void)
{
	pthread_t thread;

	boost = make_fcontext(stack + STACK, STACK, boost_body);
	measure("jump_fcontext", boost_loop, 10000000);
	getcontext(&other);
	other.uc_stack.ss_sp = stack;
	other.uc_stack.ss_size = STACK;
	makecontext(&other, context_body, 0);
	measure("swapcontext", context_loop, 500000);
	sem_init(&ping, 0, 0);
	sem_init(&pong, 0, 0);
	if (pthread_create(&thread, NULL, thread_body, NULL))
		return 1;
	measure("pthreads", thread_loop, 20000);
	return 0;
}
