/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rooms of pmr_walk(). Each thread goes depth first on its own; where another has nothing to do, it gives away
 * half of the subdirectories that it has yet to enter of one directory: their names and a descriptor of that.
 *
 *   walk.c       one thread's way down by names and back up by ".."; what it gives away
 *   walk-read.c  one directory: its names met, its subdirectories remembered
 *   walk-pool.c  the threads and what waits to be taken by one of them
 */
#ifndef PMR_WALK_H
#define PMR_WALK_H

#include <pthread.h>
#include <stdatomic.h>

#include "owner.h"

struct pmr_walk_pool;

/**
 * struct pmr_walk_share - subdirectories to enter
 * @fd: the directory they are in, perhaps only for its path (O_PATH)
 * @inode: of that directory
 * @path_length: of its path, which @text begins with, without the NUL
 * @names_length: of the names behind it, each with its NUL; 0 for the first share of all: nothing was read yet
 */
struct pmr_walk_share {
	struct pmr_walk_share *next;
	int fd;
	ino_t inode;
	size_t path_length;
	size_t names_length;
	char text[];
};

/* ---- walk-read.c */

#define PMR_WALK_BUFFER (64u << 10)

/* A directory is opened for reading in no other way: it neither waits nor becomes a terminal. */
#define PMR_WALK_OPEN (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* What all threads share. */
struct pmr_walk {
	struct pmr_ctx *ctx;
	const struct pmr_walker *walker;
	int fd;
	dev_t dev;
	size_t root_length;
	uint64_t total;
	pthread_mutex_t lock; /* of what follows */
	uint64_t met;
	bool is_complete;
};

/* A subdirectory that waits to be entered: where its name is in the worker's text. */
struct pmr_walk_name {
	uint64_t inode;
	size_t at;
};

/*
 * A directory some of whose subdirectories may wait to be entered.
 * @outer_length: of the path without its name
 * @start: its first among the worker's names
 * @next: the first of those that were not entered
 * @end: past its last
 * @text_start: of its names' in the worker's text
 * @cookie: where to read on, unless @is_read
 */
struct pmr_walk_frame {
	ino_t inode;
	size_t outer_length;
	size_t start;
	size_t next;
	size_t end;
	size_t text_start;
	off_t cookie;
	bool is_read;
};

/*
 * A thread.
 * @fd: the directory of the top frame, @is_path: good for names in it alone
 * @names: the subdirectories of all frames; the top frame's are the last
 * @text: their names, each with its NUL
 */
struct pmr_walk_worker {
	struct pmr_walk *walk;
	struct pmr_walk_pool *pool;
	unsigned int number;
	int fd;
	bool is_path;
	uint64_t met;
	char *buffer; /* PMR_WALK_BUFFER bytes */
	char *path;
	size_t path_length;
	size_t path_alloc;
	struct pmr_walk_name *names;
	size_t n_names;
	size_t names_alloc;
	char *text;
	size_t text_length;
	size_t text_alloc;
	struct pmr_walk_frame *frames;
	size_t n;
	size_t alloc;
};

/** pmr_walk_remember() - a subdirectory of the top frame. Return: 0, -ENOMEM. */
int pmr_walk_remember(struct pmr_walk_worker *w, const char *name, uint64_t inode);

/** pmr_walk_append() - go on from the path by a name. Return: 0, -ENOMEM. */
int pmr_walk_append(struct pmr_walk_worker *w, const char *name);

/** pmr_walk_cut() - back to the first @length bytes of the path */
void pmr_walk_cut(struct pmr_walk_worker *w, size_t length);

/** pmr_walk_incomplete() - something was not looked at */
void pmr_walk_incomplete(struct pmr_walk *walk);

/** pmr_walk_cannot_read() - a directory could not be read, or not to its end */
void pmr_walk_cannot_read(struct pmr_walk *walk, const char *path, int err);

/** pmr_walk_tell() - tell of progress what was not told yet */
void pmr_walk_tell(struct pmr_walk_worker *w);

/** pmr_walk_meet_root() - Return: 0, what the walker's @meet returned. */
int pmr_walk_meet_root(struct pmr_walk_worker *w);

/**
 * pmr_walk_read() - read the directory of the top frame, none of whose names is left; all of it unless there are many
 *
 * Return: 0, also where it cannot be read, which is said; what the walker's @meet returned; -ECANCELED; -ENOMEM.
 */
int pmr_walk_read(struct pmr_walk_worker *w);

/* ---- walk-pool.c */

/**
 * pmr_walk_pool_run() - have threads work at shares until there are none
 * @first: the first share; taken over, also on failure
 * @work: a thread's life: takes shares until there are none. What it returns, unless 0, stops all
 * @threads: how many, the calling one among them; fewer where the system gives no more
 *
 * Return: 0, or the first result that was not.
 */
int pmr_walk_pool_run(struct pmr_walk_share *first, unsigned int threads,
		      int (*work)(struct pmr_walk_pool *pool, void *data, unsigned int worker),
		      void *data);

/** pmr_walk_take() - wait for a share; NULL: there will be no more. To be released */
struct pmr_walk_share *pmr_walk_take(struct pmr_walk_pool *pool);

/** pmr_walk_is_wanted() - whether a thread waits that nothing is there for */
bool pmr_walk_is_wanted(struct pmr_walk_pool *pool);

/** pmr_walk_is_over() - whether another thread has stopped the walk */
bool pmr_walk_is_over(struct pmr_walk_pool *pool);

/** pmr_walk_give() - to whoever takes it */
void pmr_walk_give(struct pmr_walk_pool *pool, struct pmr_walk_share *share);

/** pmr_walk_share_new() - with room for names; NULL without memory, and @fd then stays the caller's */
struct pmr_walk_share *pmr_walk_share_new(int fd, const char *path, size_t path_length,
					  size_t names_length);

/** pmr_walk_share_release() - close and free; takes NULL */
void pmr_walk_share_release(struct pmr_walk_share *share);

#endif
