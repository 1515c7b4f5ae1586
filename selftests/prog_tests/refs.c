// SPDX-License-Identifier: GPL-2.0
/*
 * References in maps: the stack lives as long as one is left, and each way out of
 * a map gives it back.
 */
#include <stdlib.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stacks.h"
#include "refs.skel.h"

/* A stack under @key of the map, by a program. */
static bool insert(struct refs *skel, struct bpf_program *prog, u32 key)
{
	skel->bss->key = key;
	return ASSERT_OK(prog_run(prog, NULL, 0, NULL)) && ASSERT_EQ(skel->bss->result, 1);
}

static long long live(void)
{
	struct stats stats;

	stats_read(&stats);
	return stats.live;
}

/*
 * Does the kernel release the stack in an element that is deleted or overwritten?
 * Somewhere between 6.12 and 7.3 it began to leave it there until the element is
 * used again (the program finds it) or the map goes.
 */
static bool frees_at_once(void)
{
	return kernel_version() < KERNEL(6, 13);
}

/* After @gone of @held stacks' elements went by the kernel's hand. */
static void check_gone(long long held, long long gone)
{
	if (frees_at_once()) {
		ASSERT_TRUE(wait_live(held - gone));
		return;
	}
	sync_rcu();
	ASSERT_GE(live(), held - gone);
	ASSERT_LE(live(), held);
}

/* Each element of a full map has one stack: none got lost, none is there twice. */
static void check_refilled(struct refs *skel, struct bpf_program *prog, bool exact)
{
	u32 key;

	for (key = 100; key < 108; key++)
		insert(skel, prog, key);
	if (exact)
		ASSERT_TRUE(wait_live(8));
	else
		ASSERT_GE(live(), 1);
}

static void delete_from(const char *name, bool exact)
{
	struct refs *skel = refs__open_and_load();
	struct bpf_program *prog;
	struct bpf_map *map;
	char buf[64];
	u32 key;

	if (!ASSERT_PTR(skel))
		return;
	snprintf(buf, sizeof(buf), "insert_%s", name);
	prog = bpf_object__find_program_by_name(skel->obj, buf);
	map = bpf_object__find_map_by_name(skel->obj, name);
	for (key = 0; key < 4; key++)
		insert(skel, prog, key);
	ASSERT_EQ(live(), 4);
	for (key = 0; key < 4; key++) {
		ASSERT_OK(bpf_map__delete_elem(map, &key, sizeof(key), 0));
		check_gone(4, key + 1);
	}
	check_refilled(skel, prog, exact);
	refs__destroy(skel);
}

TEST(refs_delete)
{
	struct refs *skel;

	if (subtest_begin("hash")) {
		delete_from("hash", true);
		subtest_end();
	}
	if (subtest_begin("hash_noprealloc")) {
		delete_from("hash_noprealloc", frees_at_once());
		subtest_end();
	}
	if (subtest_begin("lru")) {
		delete_from("lru", false);
		subtest_end();
	}
	skel = refs__open_and_load();
	if (!ASSERT_PTR(skel))
		return;
	if (subtest_begin("from_program")) {
		insert(skel, skel->progs.insert_hash, 1);
		ASSERT_EQ(live(), 1);
		prog_run(skel->progs.delete_hash, NULL, 0, NULL);
		ASSERT_EQ(skel->bss->result, 1);
		check_gone(1, 1);
		check_refilled(skel, skel->progs.insert_hash, true);
		refs__destroy(skel);
		skel = NULL;
		subtest_end();
	}
	skel = skel ?: refs__open_and_load();
	if (!ASSERT_PTR(skel))
		return;
	if (subtest_begin("task_storage")) {
		insert(skel, skel->progs.insert_task, 0);
		ASSERT_EQ(live(), 1);
		prog_run(skel->progs.delete_task, NULL, 0, NULL);
		ASSERT_EQ(skel->bss->result, 1);
		ASSERT_TRUE(wait_live(0));
		subtest_end();
	}
	refs__destroy(skel);
}

/* A new value over the old one. */
TEST(refs_update)
{
	struct refs *skel = refs__open_and_load();
	const u64 empty = 0;
	u32 key = 3;

	if (!ASSERT_PTR(skel))
		return;
	insert(skel, skel->progs.insert_array, key);
	insert(skel, skel->progs.insert_hash, key);
	ASSERT_EQ(live(), 2);
	ASSERT_OK(bpf_map__update_elem(skel->maps.array, &key, sizeof(key), &empty,
				       sizeof(empty), BPF_ANY));
	ASSERT_OK(bpf_map__update_elem(skel->maps.hash, &key, sizeof(key), &empty,
				       sizeof(empty), BPF_ANY));
	check_gone(2, 2);
	refs__destroy(skel);
	ASSERT_TRUE(wait_live(0));

	skel = refs__open_and_load();
	if (!ASSERT_PTR(skel))
		return;
	/* A program that puts one where another was has that one to release. */
	insert(skel, skel->progs.insert_array, key);
	insert(skel, skel->progs.insert_array, key);
	ASSERT_EQ(live(), 1);
	ASSERT_OK(prog_run(skel->progs.overwrite_array, NULL, 0, NULL));
	ASSERT_EQ(skel->bss->result, 1);
	check_gone(1, 1);
	refs__destroy(skel);
}

/* What a new element has in it that a deleted one had. */
TEST(refs_recycled)
{
	struct refs *skel = refs__open_and_load();
	const u64 empty = 0;
	long long found = 0;
	u32 key = 1;

	if (!ASSERT_PTR(skel))
		return;
	insert(skel, skel->progs.insert_hash, key);
	ASSERT_OK(bpf_map__delete_elem(skel->maps.hash, &key, sizeof(key), 0));
	for (key = 10; key < 18; key++) {
		ASSERT_OK(bpf_map__update_elem(skel->maps.hash, &key, sizeof(key), &empty,
					       sizeof(empty), BPF_ANY));
		skel->bss->key = key;
		prog_run(skel->progs.take_hash, NULL, 0, NULL);
		found += skel->bss->result;
	}
	/* Each element of the map is in use: the stack is in one, or it was released. */
	ASSERT_EQ(found, !frees_at_once());
	ASSERT_TRUE(wait_live(0));
	refs__destroy(skel);
}

/* An LRU map that is full evicts, and holds no more stacks than it has elements. */
TEST(refs_lru_eviction)
{
	struct refs *skel = refs__open_and_load();
	struct stats before, after;
	long long held;
	u32 key;

	if (!ASSERT_PTR(skel))
		return;
	pin_to_cpu(0);
	stats_read(&before);
	for (key = 0; key < 1000; key++)
		insert(skel, skel->progs.insert_lru, key);
	/* Evicted elements wait, with their values, for the one who needs them. */
	held = live();
	stats_read(&after);
	ASSERT_GE(held, 1);
	ASSERT_LE(held, bpf_map__max_entries(skel->maps.lru));
	ASSERT_EQ(after.allocs - before.allocs, 1000);
	ASSERT_EQ(after.frees - before.frees, 1000 - held);
	refs__destroy(skel);
}

/* The map goes with all that is in it. */
TEST(refs_map_free)
{
	struct refs *skel;
	u32 key;

	skel = refs__open_and_load();
	if (!ASSERT_PTR(skel))
		return;
	const u64 empty[256] = {};

	for (key = 0; key < 4; key++) {
		insert(skel, skel->progs.insert_array, key);
		insert(skel, skel->progs.insert_hash, key);
		insert(skel, skel->progs.insert_hash_noprealloc, key);
		insert(skel, skel->progs.insert_lru, key);
		insert(skel, skel->progs.insert_percpu_array, key);
		ASSERT_OK(bpf_map__update_elem(skel->maps.percpu_hash, &key, sizeof(key), empty,
					       8 * libbpf_num_possible_cpus(), BPF_ANY));
		insert(skel, skel->progs.insert_percpu_hash, key);
	}
	insert(skel, skel->progs.insert_task, 0);
	ASSERT_EQ(live(), 25);
	refs__destroy(skel);
	ASSERT_TRUE(wait_live(0));
}

TEST(refs_shared)
{
	struct refs *skel = refs__open_and_load();
	u32 key = 5;

	if (!ASSERT_PTR(skel))
		return;
	insert(skel, skel->progs.insert_shared, key);
	ASSERT_EQ(live(), 1);
	prog_run(skel->progs.read_shared, NULL, 0, NULL);
	ASSERT_EQ(skel->bss->word_hash, 0x600df00d);
	ASSERT_EQ(skel->bss->word_array, 0x600df00d);
	/* One reference is gone, the stack is not. */
	prog_run(skel->progs.take_hash, NULL, 0, NULL);
	ASSERT_EQ(skel->bss->result, 1);
	ASSERT_EQ(live(), 1);
	prog_run(skel->progs.read_shared, NULL, 0, NULL);
	ASSERT_EQ(skel->bss->word_hash, 0);
	ASSERT_EQ(skel->bss->word_array, 0x600df00d);
	prog_run(skel->progs.take_array, NULL, 0, NULL);
	ASSERT_EQ(skel->bss->result, 1);
	ASSERT_EQ(live(), 0);
	refs__destroy(skel);
}

/* A loader that is killed: the kernel closes its maps, and all stacks come back. */
TEST(refs_loader_killed)
{
	struct stats before, after;
	int pipes[2], status;
	char c = 0;
	pid_t pid;

	if (!ASSERT_OK(pipe(pipes)))
		return;
	stats_read(&before);
	pid = fork();
	if (!pid) {
		struct stacks *skel = stacks__open_and_load();
		struct stack_args a = { .size = 1024, .count = 1000 };

		c = skel && !prog_run(skel->progs.take, &a, sizeof(a), NULL) && a.done == 1000;
		write(pipes[1], &c, 1);
		for (;;)
			pause();
	}
	if (!ASSERT_GT(pid, 0))
		return;
	ASSERT_EQ(read(pipes[0], &c, 1), 1);
	ASSERT_EQ(c, 1);
	ASSERT_EQ(live(), 1000);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ASSERT_TRUE(wait_live(0));
	stats_read(&after);
	ASSERT_EQ(after.frees - before.frees, 1000);
	close(pipes[0]);
	close(pipes[1]);
}
