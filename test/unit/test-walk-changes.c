/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A walk of a tree that changes meanwhile: it ends, meets once what nobody touches, and never leaves its filesystem. */

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "walk-tree.h"

#define STEADY 400
#define WALKS 40

static void full_path(const struct tree *tree, char *path, size_t size, const char *below)
{
	/* no assertion: threads call this */
	if (snprintf(path, size, "%s/%s", tree->top, below) >= (int)size)
		abort();
}

static int move(const struct tree *tree, const char *from, const char *to)
{
	char old[256], new[256];

	full_path(tree, old, sizeof(old), from);
	full_path(tree, new, sizeof(new), to);
	return rename(old, new);
}

/* ---- moved at one moment */

/* When "trigger" is met, which lies in one of several directories, that one is moved away with what leads to it. */
static void move_inner(struct tree *tree, const struct pmr_walk_entry *entry)
{
	char from[128];
	const char *below = entry->path + strlen(tree->top) + 1;

	if (strcmp(entry->name, "trigger") != 0)
		return;
	snprintf(from, sizeof(from), "%.*s", (int)(strchr(below + 2, '/') - below), below);
	if (move(tree, from, "z"))
		tree->wrong++;
}

static void move_both(struct tree *tree, const struct pmr_walk_entry *entry)
{
	bool is_it = !strcmp(entry->name, "trigger");

	move_inner(tree, entry);
	if (is_it && move(tree, "a", "y"))
		tree->wrong++;
	if (is_it)
		tree->met_fn = NULL;
}

static void make_movable(struct tree *tree)
{
	char path[64];
	unsigned int i;

	for (i = 0; i < 9; i++) {
		snprintf(path, sizeof(path), "a/b%u/c/d/", i);
		tree_make(tree, path);
		snprintf(path, sizeof(path), "a/b%u/c/file", i);
		tree_make(tree, path);
	}
}

static void test_moved_and_found(void **state)
{
	struct tree *tree = *state;
	unsigned int i;
	char path[64];

	make_movable(tree);
	tree_make(tree, "a/b4/c/d/trigger");
	tree->met_fn = move_inner;
	assert_int_equal(tree_walk(tree, 1), 0);
	assert_true(tree->complete);
	assert_int_equal(tree->messages, 0);
	for (i = 0; i < 9; i++) {
		snprintf(path, sizeof(path), "/a/b%u/c/d", i);
		assert_int_equal(tree_times(tree, path), 1);
	}
}

static void test_moved_and_lost(void **state)
{
	struct tree *tree = *state;
	unsigned int i;
	char path[64];

	make_movable(tree);
	for (i = 0; i < 9; i++) {
		snprintf(path, sizeof(path), "a/b%u/c/d/trigger", i);
		tree_make(tree, path);
	}
	tree_make(tree, "file");
	tree->met_fn = move_both;
	assert_int_equal(tree_walk(tree, 1), 0);
	assert_false(tree->complete);
	assert_string_equal(tree->codes, "tree-changed /a\n");
	assert_int_equal(tree_times(tree, "/file"), 1);
}

/* What was a directory when its name was read is a symbolic link when it is its turn. */
static void swap(struct tree *tree, const struct pmr_walk_entry *entry)
{
	char path[128];

	(void)entry;
	tree->met_fn = NULL;
	full_path(tree, path, sizeof(path), "a");
	if (rmdir(path) || symlink("/", path))
		tree->wrong++;
	full_path(tree, path, sizeof(path), "b");
	if (rmdir(path))
		tree->wrong++;
}

static void swap_at_c(struct tree *tree, const struct pmr_walk_entry *entry)
{
	if (tree->count == 5)
		swap(tree, entry);
}

static void test_swapped(void **state)
{
	struct tree *tree = *state;

	tree_make(tree, "a/");
	tree_make(tree, "b/");
	tree_make(tree, "c");
	tree_make(tree, "d");
	tree->met_fn = swap_at_c;
	assert_int_equal(tree_walk(tree, 1), 0);
	assert_true(tree->complete);
	assert_int_equal(tree->met.n, 5);
}

/* ---- moved all the while */

struct churn {
	struct tree *tree;
	unsigned int seed;
	atomic_bool is_over;
	atomic_size_t rounds;
	pthread_t thread;
};

static unsigned int next(struct churn *churn)
{
	churn->seed = churn->seed * 1103515245u + 12345u;
	return churn->seed >> 16;
}

/* Two directories that come and go, or stay: what goes on in the latter is to disturb nothing that stays there too. */
static void make_place(struct churn *churn, char *path, size_t size)
{
	unsigned int n = next(churn);

	if (n % 2)
		snprintf(path, size, "%s/steady%u/moving%u", churn->tree->top, n / 2 % 20,
			 n / 64 % 4);
	else
		snprintf(path, size, "%s/steady%u/moving%u/in%u", churn->tree->top, n / 2 % 20,
			 n / 64 % 4, n / 256 % 3);
}

static void *change(void *data)
{
	struct churn *churn = data;
	char from[128], to[128], file[160];
	int fd;

	while (!atomic_load(&churn->is_over)) {
		make_place(churn, from, sizeof(from));
		make_place(churn, to, sizeof(to));
		if (mkdir(from, 0755) && errno == ENOENT)
			continue;
		snprintf(file, sizeof(file), "%s/file", from);
		fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		if (fd >= 0)
			close(fd);
		(void)!rename(from, to);
		if (next(churn) % 3 == 0) {
			snprintf(file, sizeof(file), "%s/file", to);
			unlink(file);
			rmdir(to);
		}
		atomic_fetch_add(&churn->rounds, 1);
	}
	return NULL;
}

static void check_steady(const struct tree *tree)
{
	size_t met[STEADY] = { 0 }, directories = 0, i, top = strlen(tree->top);
	unsigned int directory, number;
	int end;

	for (i = 0; i < tree->met.n; i++) {
		const char *path = tree->met.v[i].path + top;

		end = 0;
		if (sscanf(path, "/steady%u/file%u%n", &directory, &number, &end) == 2 &&
		    !path[end]) {
			assert_in_range(number, 0, STEADY - 1);
			met[number]++;
		}
		end = 0;
		if (sscanf(path, "/steady%u%n", &directory, &end) == 1 && !path[end])
			directories++;
	}
	for (i = 0; i < STEADY; i++)
		assert_int_equal(met[i], 1);
	assert_int_equal(directories, 20);
}

static void test_churn(void **state)
{
	struct tree *tree = *state;
	struct churn churn = { .tree = tree, .seed = 1 };
	unsigned int i;
	char path[64];

	for (i = 0; i < STEADY; i++) {
		snprintf(path, sizeof(path), "steady%u/file%u", i % 20, i);
		tree_make(tree, path);
	}
	assert_int_equal(pthread_create(&churn.thread, NULL, change, &churn), 0);
	for (i = 0; i < WALKS; i++) {
		size_t before = atomic_load(&churn.rounds);

		assert_int_equal(tree_walk(tree, 1 + i % 8), 0);
		/* only a moved directory's own rest may be lost */
		if (!tree->complete)
			assert_non_null(strstr(tree->codes, "tree-changed /steady"));
		check_steady(tree);
		while (atomic_load(&churn.rounds) < before + 20)
			sched_yield();
	}
	atomic_store(&churn.is_over, true);
	pthread_join(churn.thread, NULL);
}

/* ---- mounts */

/* Whether this process, which is no other's, can mount now. */
static bool may_mount(void)
{
	if (unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return false;
	return !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static void *mount_and_unmount(void *data)
{
	struct churn *churn = data;
	char path[128], file[160];
	int fd;

	full_path(churn->tree, path, sizeof(path), "comes-and-goes");
	snprintf(file, sizeof(file), "%s/foreign", path);
	while (!atomic_load(&churn->is_over)) {
		if (mount("none", path, "tmpfs", 0, NULL))
			break;
		fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		if (fd >= 0)
			close(fd);
		atomic_fetch_add(&churn->rounds, 1);
		umount2(path, MNT_DETACH);
	}
	return NULL;
}

static bool is_foreign_met(const struct tree *tree)
{
	size_t i;

	for (i = 0; i < tree->met.n; i++) {
		if (strstr(tree->met.v[i].path, "/foreign") ||
		    strstr(tree->met.v[i].path, "/bound/"))
			return true;
	}
	return false;
}

/* Return: what is wrong; NULL. */
static const char *walk_mounts(struct tree *tree, uint64_t hidden)
{
	size_t i;

	if (tree_walk(tree, 2) || !tree->complete || is_foreign_met(tree))
		return "a walk, or what it met";
	if (tree_times(tree, "/mounted") != 1 || tree_times(tree, "/bound") != 1 ||
	    tree_times(tree, "/over") != 1 || tree_times(tree, "/a/file") != 1)
		return "a mountpoint";
	for (i = 0; i < tree->met.n; i++) {
		if (strstr(tree->met.v[i].path, "/mounted") && tree->met.v[i].inode != hidden)
			return "the mountpoint's inode is not the hidden one";
	}
	return NULL;
}

static const char *mount_all(struct tree *tree)
{
	struct churn churn = { .tree = tree };
	char path[128], other[128];
	const char *wrong = NULL;
	struct stat st;
	int i;

	full_path(tree, path, sizeof(path), "mounted");
	if (stat(path, &st) || mount("none", path, "tmpfs", 0, NULL))
		return "mount";
	tree_make(tree, "mounted/foreign/file");
	full_path(tree, other, sizeof(other), "a");
	full_path(tree, path, sizeof(path), "bound");
	if (mount(other, path, NULL, MS_BIND, NULL))
		return "bind";
	full_path(tree, path, sizeof(path), "over");
	if (mount("/proc/self/status", path, NULL, MS_BIND, NULL))
		return "bind a file";
	if (pthread_create(&churn.thread, NULL, mount_and_unmount, &churn))
		return "thread";
	for (i = 0; i < 200 && !wrong; i++)
		wrong = walk_mounts(tree, st.st_ino);
	atomic_store(&churn.is_over, true);
	pthread_join(churn.thread, NULL);
	return wrong || atomic_load(&churn.rounds) ? wrong : "nothing came and went";
}

static void test_mounts(void **state)
{
	struct tree *tree = *state;
	const char *wrong;
	int status;
	pid_t pid;

	tree_make(tree, "mounted/hidden");
	tree_make(tree, "bound/");
	tree_make(tree, "over");
	tree_make(tree, "a/file");
	tree_make(tree, "comes-and-goes/");
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (!may_mount())
			_exit(77);
		wrong = mount_all(tree);
		if (wrong)
			fprintf(stderr, "%s; %s\n", wrong, tree->codes);
		_exit(wrong ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_moved_and_found, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(test_moved_and_lost, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(test_swapped, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(test_churn, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(test_mounts, tree_set_up, tree_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
