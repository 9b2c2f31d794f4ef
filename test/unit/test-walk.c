/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A walk of names meets what a plain recursive listing lists, by any number of threads, in trees of any shape. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "walk-tree.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define MIB (1024 * 1024l)

/* A sanitizer keeps what was freed. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool is_measured;
#else
static const bool is_measured = true;
#endif

/* ---- the other way to list a tree */

static void list(struct names *names, const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *d;

	assert_non_null(dir);
	while ((d = readdir(dir))) {
		char *below;

		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		assert_true(asprintf(&below, "%s/%s", path, d->d_name) > 0);
		names_add(names, below, d->d_ino, d->d_type);
		if (d->d_type == DT_DIR)
			list(names, below);
		free(below);
	}
	closedir(dir);
}

static void check_same(struct tree *tree, const char *top)
{
	struct names wanted = { 0 };
	struct stat st;
	size_t i;

	assert_int_equal(stat(top, &st), 0);
	names_add(&wanted, top, st.st_ino, DT_DIR);
	list(&wanted, top);
	/* the root is met before all others */
	assert_string_equal(tree->met.v[0].path, top);
	names_sort(&wanted);
	names_sort(&tree->met);
	assert_int_equal(tree->met.n, wanted.n);
	for (i = 0; i < wanted.n; i++) {
		assert_string_equal(tree->met.v[i].path, wanted.v[i].path);
		assert_true(tree->met.v[i].inode == wanted.v[i].inode);
		assert_int_equal(tree->met.v[i].type, wanted.v[i].type);
	}
	assert_int_equal(tree->told, wanted.n - 1);
	names_empty(&wanted);
}

/* ---- random trees */

static void random_name(char *name, unsigned int number)
{
	size_t length = 1 + (size_t)(random() % 20), i;

	for (i = 0; i < length; i++) {
		do
			name[i] = (char)random();
		while (!name[i] || name[i] == '/');
	}
	sprintf(name + length, "%u", number);
}

static void make_entry(int fd, const char *name, unsigned int depth, unsigned int *left);

static void make_directory(int fd, unsigned int depth, unsigned int *left)
{
	unsigned int n = (unsigned int)random() % 30;
	char name[64];

	for (; n && *left; n--) {
		random_name(name, (*left)--);
		make_entry(fd, name, depth, left);
	}
}

static void make_entry(int fd, const char *name, unsigned int depth, unsigned int *left)
{
	int ret = 0, below;

	switch (random() % 8) {
	case 0:
		ret = symlinkat(random() % 2 ? "." : "nothing", fd, name);
		break;
	case 1:
		ret = mkfifoat(fd, name, 0600);
		break;
	case 2:
	case 3:
	case 4:
		ret = mkdirat(fd, name, 0755);
		below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(below >= 0);
		if (depth < 12)
			make_directory(below, depth + 1, left);
		close(below);
		break;
	default:
		below = openat(fd, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
		assert_true(below >= 0);
		close(below);
		if (random() % 2)
			ret = linkat(fd, name, fd, "a second name", 0);
		if (ret && errno == EEXIST)
			ret = 0;
	}
	assert_int_equal(ret, 0);
}

static void test_random(void **state)
{
	struct tree *tree = *state;
	unsigned int seed, threads, left;
	char path[128];
	int fd;

	for (seed = 0; seed < 20; seed++) {
		srandom(seed);
		snprintf(path, sizeof(path), "%s/%u", tree->top, seed);
		assert_int_equal(mkdir(path, 0755), 0);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(fd >= 0);
		left = 300;
		make_directory(fd, 0, &left);
		close(fd);
		for (threads = 1; threads <= 8; threads++) {
			assert_int_equal(tree_walk_below(tree, strrchr(path, '/'), threads), 0);
			assert_true(tree->complete);
			assert_int_equal(tree->messages, 0);
			check_same(tree, path);
		}
	}
}

/* What is said of an entry is true of the directory that it is in. */
static void check_entry(struct tree *tree, const struct pmr_walk_entry *entry)
{
	size_t length = strlen(entry->path), name = strlen(entry->name);
	struct stat st;

	if (fstatat(entry->dirfd, entry->name, &st, AT_SYMLINK_NOFOLLOW) ||
	    st.st_ino != entry->inode || IFTODT(st.st_mode) != entry->type)
		tree->wrong++;
	if (strcmp(entry->name, ".") != 0 && strcmp(entry->path + length - name, entry->name) != 0)
		tree->wrong++;
}

static void test_entries(void **state)
{
	struct tree *tree = *state;
	unsigned int left = 500;
	int fd = open(tree->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	srandom(4711);
	make_directory(fd, 0, &left);
	close(fd);
	tree->met_fn = check_entry;
	assert_int_equal(tree_walk(tree, 1), 0);
	assert_int_equal(tree_walk(tree, 3), 0);
	tree->met_fn = NULL;
	tree->only = tree->met.v[tree->met.n / 2].inode;
	assert_int_equal(tree_walk(tree, 2), 0);
	assert_true(tree->count >= 1);
	assert_true(tree->met.v[0].inode == tree->only);
	assert_true(tree->told > tree->count);
}

/* A second walk by the same descriptor begins at the beginning, and a root may end in a slash. */
static void test_root(void **state)
{
	struct tree *tree = *state;
	struct pmr_walker walker = { .meet = tree_meet, .data = tree, .threads = 1 };
	bool complete = true;
	char path[128];
	int fd, i;

	tree_make(tree, "a/b");
	snprintf(path, sizeof(path), "%s//", tree->top);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tree->threads = 1;
	for (i = 1; i <= 2; i++) {
		assert_int_equal(pmr_walk(tree->ctx, fd, path, 0, &walker, &complete), 0);
		assert_int_equal(tree->met.n, 3 * i);
		assert_int_equal(tree_times(tree, "//"), i);
		assert_int_equal(tree_times(tree, "//a"), i);
		assert_int_equal(tree_times(tree, "//a/b"), i);
	}
	assert_true(complete);
	close(fd);
}

/* ---- stopped */

static void test_stopped(void **state)
{
	static const size_t at[] = { 1, 2, 3, 50, 170, 201 };
	struct tree *tree = *state;
	unsigned int threads;
	char path[64];
	size_t i;

	for (i = 0; i < 200; i++) {
		snprintf(path, sizeof(path), "%zu/%zu", i % 20, i);
		tree_make(tree, path);
	}
	for (i = 0; i < N(at); i++) {
		for (threads = 1; threads <= 8; threads += 7) {
			tree->stop_at = at[i];
			tree->cancel_at = 0;
			assert_int_equal(tree_walk(tree, threads), 7);
			assert_true(tree->complete);
			tree->stop_at = 0;
			tree->cancel_at = at[i];
			assert_int_equal(tree_walk(tree, threads), -ECANCELED);
			assert_false(tree->complete);
			/* each thread may finish the directory that it is in */
			assert_true(tree->count <= at[i] + threads * 20);
		}
	}
	tree->cancel_at = 221;
	assert_int_equal(tree_walk(tree, 1), -ECANCELED);
	assert_int_equal(tree->messages, 0);
}

/* ---- what cannot be read */

static void test_forbidden(void **state)
{
	/* of what can be listed but not searched, the names are met */
	static const struct {
		const char *path;
		mode_t mode;
	} closed[] = {
		{ "closed", 0 },
		{ "search", 0311 },
		{ "deep/list", 0 },
		{ "listed", 0444 },
	};
	static const char *const said[] = { "cannot-read-directory /closed\n",
					    "cannot-read-directory /deep/list\n",
					    "cannot-read-directory /search\n",
					    "cannot-read-directory /listed/below\n" };
	static const char *const met[] = {
		"",	      "/closed", "/deep",   "/deep/list",    "/open",
		"/open/file", "/search", "/listed", "/listed/below", "/listed/file"
	};
	struct tree *tree = *state;
	unsigned int threads;
	char path[128];
	size_t i;

	tree_make(tree, "closed/below/file");
	tree_make(tree, "deep/list/below/file");
	tree_make(tree, "search/below/file");
	tree_make(tree, "listed/below/");
	tree_make(tree, "listed/file");
	tree_make(tree, "open/file");
	for (i = N(closed); i--;) {
		snprintf(path, sizeof(path), "%s/%s", tree->top, closed[i].path);
		assert_int_equal(chmod(path, closed[i].mode), 0);
	}
	if (!getuid())
		assert_int_equal(seteuid(65534), 0);
	for (threads = 1; threads <= 4; threads++) {
		assert_int_equal(tree_walk(tree, threads), 0);
		assert_false(tree->complete);
		assert_int_equal(tree->messages, N(said));
		for (i = 0; i < N(said); i++)
			assert_non_null(strstr(tree->codes, said[i]));
		assert_int_equal(tree->met.n, N(met));
		for (i = 0; i < N(met); i++)
			assert_int_equal(tree_times(tree, met[i]), 1);
	}
	if (!getuid())
		assert_int_equal(seteuid(0), 0);
	/* so that they can be removed by anybody */
	for (i = 0; i < N(closed); i++) {
		snprintf(path, sizeof(path), "%s/%s", tree->top, closed[i].path);
		assert_int_equal(chmod(path, 0755), 0);
	}
}

/* ---- deep and wide */

static void test_deep(void **state)
{
	struct rlimit before, few;
	struct tree *tree = *state;
	int fd = open(tree->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC), below;
	unsigned int threads, i;

	/* at each level a file, and here and there a second directory */
	for (i = 0; i < 4000; i++) {
		assert_int_equal(mknodat(fd, "file", S_IFREG | 0600, 0), 0);
		if (i % 7 == 3)
			assert_int_equal(mkdirat(fd, i % 2 ? "a" : "z", 0755), 0);
		assert_int_equal(mkdirat(fd, "directory", 0755), 0);
		below = openat(fd, "directory", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(below >= 0);
		close(fd);
		fd = below;
	}
	close(fd);
	tree->is_counting = true;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (threads = 1; threads <= 8; threads *= 2) {
		assert_int_equal(tree_walk(tree, threads), 0);
		assert_true(tree->complete);
		assert_int_equal(tree->count, 1 + 4000 * 2 + 571);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static long status_kib(const char *key)
{
	char line[128];
	long value = -1;
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, key, strlen(key)))
			value = atol(line + strlen(key));
	}
	if (file)
		fclose(file);
	return value;
}

/* Walk in a process of its own, whose peak is its own, which must not rise by more than so many bytes. */
static void walk_apart(struct tree *tree, unsigned int threads, size_t wanted, long most)
{
	long before, after, rose;
	int status;
	pid_t pid;

	tree->is_counting = true;
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		before = status_kib("VmRSS:");
		if (tree_walk(tree, threads) || !tree->complete || tree->count != wanted)
			_exit(255);
		after = status_kib("VmHWM:");
		rose = (after - before) * 1024;
		_exit(before < 0 || after < 0 ? 254 : !is_measured || rose <= most ? 0 : 253);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* 100,000 subdirectories whose names are 20 MB; below some of them is more, from where the way leads back up. */
static void test_wide(void **state)
{
	struct tree *tree = *state;
	int fd = open(tree->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t i, wanted = 1;
	char name[256];

	for (i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "%0200zu", i);
		assert_int_equal(mkdirat(fd, name, 0755), 0);
		wanted++;
		if (i % 1000)
			continue;
		snprintf(name, sizeof(name), "%0200zu/below", i);
		assert_int_equal(mkdirat(fd, name, 0755), 0);
		wanted++;
	}
	close(fd);
	walk_apart(tree, 1, wanted, 6 * MIB);
	walk_apart(tree, 2, wanted, 8 * MIB);
	walk_apart(tree, 8, wanted, 20 * MIB);
}

/* A million names of few files. */
static void test_flat(void **state)
{
	struct tree *tree = *state;
	int fd = open(tree->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[64], first[64] = "";
	unsigned int i;

	for (i = 0; i < 1000000; i++) {
		snprintf(name, sizeof(name), "a-name-of-some-length-%07u", i);
		/* fewer than any filesystem allows */
		if (i % 30000) {
			assert_int_equal(linkat(fd, first, fd, name, 0), 0);
			continue;
		}
		strcpy(first, name);
		assert_int_equal(mknodat(fd, name, S_IFREG | 0600, 0), 0);
	}
	close(fd);
	walk_apart(tree, 1, 1000001, 4 * MIB);
	walk_apart(tree, 4, 1000001, 8 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(test_entries, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(test_root, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(test_stopped, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(test_forbidden, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(test_deep, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(test_wide, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(test_flat, tree_set_up, tree_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
