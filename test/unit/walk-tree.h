/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A directory of a test's own, and what a walk met in it. To be included once, after cmocka.h.
 */
#ifndef WALK_TREE_H
#define WALK_TREE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "owner/owner.h"

struct name {
	char *path;
	uint64_t inode;
	unsigned char type;
};

struct names {
	struct name *v;
	size_t n;
	size_t alloc;
};

/*
 * @only: keep entries with this inode alone; 0 for all
 * @stop_at: the so-many-th entry returns 7; 0 for none
 * @cancel_at: it sets the flag
 * @met_fn: called for each, with the lock held
 * @wrong: what cannot be: an entry that its directory has not, a worker that is none
 */
struct tree {
	char top[64];
	struct pmr_ctx *ctx;
	volatile sig_atomic_t cancel;
	pthread_mutex_t lock;
	struct names met;
	uint64_t only;
	size_t stop_at;
	size_t cancel_at;
	void (*met_fn)(struct tree *tree, const struct pmr_walk_entry *entry);
	bool is_counting;
	unsigned int threads;
	size_t count;
	size_t wrong;
	size_t messages;
	char codes[512]; /* "code object\n" each, without the top */
	uint64_t told;
	bool complete;
};

static inline void names_add(struct names *names, const char *path, uint64_t inode,
			     unsigned char type)
{
	if (names->n == names->alloc) {
		names->alloc = names->alloc * 2 + 64;
		names->v = realloc(names->v, names->alloc * sizeof(names->v[0]));
		if (!names->v)
			abort();
	}
	names->v[names->n++] = (struct name){ strdup(path), inode, type };
}

static inline void names_empty(struct names *names)
{
	while (names->n)
		free(names->v[--names->n].path);
	free(names->v);
	*names = (struct names){ 0 };
}

static inline int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->path, ((const struct name *)b)->path);
}

static inline void names_sort(struct names *names)
{
	qsort(names->v, names->n, sizeof(names->v[0]), compare_names);
}

static inline bool tree_wants(void *data, uint64_t inode, unsigned char type)
{
	const struct tree *tree = data;

	(void)type;
	return !tree->only || inode == tree->only;
}

static inline int tree_meet(void *data, const struct pmr_walk_entry *entry)
{
	struct tree *tree = data;
	int ret = 0;

	pthread_mutex_lock(&tree->lock);
	tree->count++;
	if (entry->worker >= tree->threads)
		tree->wrong++;
	if (!tree->is_counting)
		names_add(&tree->met, entry->path, entry->inode, entry->type);
	if (tree->met_fn)
		tree->met_fn(tree, entry);
	if (tree->count == tree->cancel_at)
		tree->cancel = 1;
	if (tree->count == tree->stop_at)
		ret = 7;
	pthread_mutex_unlock(&tree->lock);
	return ret;
}

static inline void tree_hear(void *data, const struct pmr_message *message)
{
	struct tree *tree = data;
	size_t used = strlen(tree->codes), top = strlen(tree->top);
	bool is_below = !strncmp(message->object, tree->top, top);

	tree->messages++;
	snprintf(tree->codes + used, sizeof(tree->codes) - used, "%s %s\n", message->code,
		 message->object + (is_below ? top : 0));
}

static inline void tree_progress(void *data, const struct pmr_progress *progress)
{
	struct tree *tree = data;

	if (strcmp(progress->phase, "names") != 0 || progress->done < tree->told)
		tree->wrong++;
	tree->told = progress->done;
}

/* In memory where that is possible: nothing here need survive. */
static inline int tree_set_up(void **state)
{
	struct tree *tree = calloc(1, sizeof(*tree));

	*state = tree;
	if (!tree)
		return -1;
	strcpy(tree->top, "/dev/shm/pmem-recover-walk.XXXXXX");
	if (!mkdtemp(tree->top)) {
		strcpy(tree->top, "/var/tmp/pmem-recover-walk.XXXXXX");
		if (!mkdtemp(tree->top))
			return -1;
	}
	if (chmod(tree->top, 0755) || pmr_new(&tree->ctx))
		return -1;
	pthread_mutex_init(&tree->lock, NULL);
	pmr_set_message_fn(tree->ctx, tree_hear, tree);
	pmr_set_progress_fn(tree->ctx, tree_progress, tree);
	pmr_set_cancel(tree->ctx, &tree->cancel);
	return 0;
}

static inline int tree_tear_down(void **state)
{
	struct tree *tree = *state;
	char command[256];
	int ret;

	/* of any depth, which nftw() cannot */
	snprintf(command, sizeof(command), "rm -rf %s", tree->top);
	ret = system(command);
	names_empty(&tree->met);
	pthread_mutex_destroy(&tree->lock);
	pmr_unref(tree->ctx);
	free(tree);
	return ret;
}

/* Walk what is below a directory of the tree anew. Return: as pmr_walk(). */
static inline int tree_walk_below(struct tree *tree, const char *below, unsigned int threads)
{
	struct pmr_walker walker = {
		.wants = tree_wants, .meet = tree_meet, .data = tree, .threads = threads
	};
	char path[512];
	int fd, ret;

	names_empty(&tree->met);
	tree->threads = threads;
	tree->count = tree->wrong = tree->messages = 0;
	tree->codes[0] = '\0';
	tree->told = 0;
	tree->cancel = 0;
	tree->complete = true;
	snprintf(path, sizeof(path), "%s%s", tree->top, below);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	ret = pmr_walk(tree->ctx, fd, path, 0, &walker, &tree->complete);
	assert_int_equal(close(fd), 0);
	assert_int_equal(tree->wrong, 0);
	return ret;
}

static inline int tree_walk(struct tree *tree, unsigned int threads)
{
	return tree_walk_below(tree, "", threads);
}

/* Make something in the tree: a path that ends in '/' is a directory, with all that it lies in. */
static inline void tree_make(struct tree *tree, const char *path)
{
	char full[512];
	char *slash;
	int fd;

	snprintf(full, sizeof(full), "%s/%s", tree->top, path);
	for (slash = strchr(full + strlen(tree->top) + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(full, 0755))
			assert_int_equal(errno, EEXIST);
		*slash = '/';
	}
	if (full[strlen(full) - 1] == '/')
		return;
	fd = open(full, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
}

/* How often a path was met, after names_sort() or before. */
static inline size_t tree_times(const struct tree *tree, const char *path)
{
	size_t i, n = 0, top = strlen(tree->top);

	for (i = 0; i < tree->met.n; i++) {
		if (!strcmp(tree->met.v[i].path + top, path))
			n++;
	}
	return n;
}

#endif
