/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every name of a directory and of all below it, in one filesystem. A thread holds no more than three directories open
 * however deep the tree is: it goes in by name and back by "..".
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "walk.h"

#include "uapi.h"

/* Bytes of a path below the root that are few enough to be gone down again. */
#define NEAR_ROOT 256u

/* ---- down and up */

static int push(struct pmr_walk_worker *w, size_t outer_length, ino_t inode)
{
	int ret;

	ret = pmr_grow(&w->frames, w->n, &w->alloc, sizeof(w->frames[0]));
	if (ret)
		return ret;
	w->frames[w->n++] = (struct pmr_walk_frame){ .inode = inode,
						     .outer_length = outer_length,
						     .start = w->n_names,
						     .next = w->n_names,
						     .end = w->n_names,
						     .text_start = w->text_length };
	return 0;
}

static void pop(struct pmr_walk_worker *w)
{
	struct pmr_walk_frame *frame = &w->frames[--w->n];

	w->n_names = frame->start;
	w->text_length = frame->text_start;
	pmr_walk_cut(w, frame->outer_length);
}

static bool has_names(const struct pmr_walk_frame *frame)
{
	return frame->next < frame->end;
}

/* -EXDEV: a mountpoint, of whatever is mounted there. */
static int look(struct pmr_walk_worker *w, int fd, const char *name, struct statx *stx)
{
	int flags = AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;

	if (statx(fd, name, flags | (*name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH), STATX_INO, stx))
		return -errno;
	if (makedev(stx->stx_dev_major, stx->stx_dev_minor) != w->walk->dev ||
	    stx->stx_attributes & stx->stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
		return -EXDEV;
	return 0;
}

/* An automount point is not even opened: that would mount. RESOLVE_NO_XDEV would too, before Linux 6.18. */
static int open_below(struct pmr_walk_worker *w, const char *name, ino_t *inode)
{
	struct statx stx;
	int fd, ret;

	ret = look(w, w->fd, name, &stx);
	if (ret)
		return ret;
	fd = openat(w->fd, name, PMR_WALK_OPEN | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	ret = look(w, fd, "", &stx);
	if (ret) {
		close(fd);
		return ret;
	}
	*inode = stx.stx_ino;
	return fd;
}

/* A directory without subdirectories is left at once, and the one it is in stays open meanwhile. */
static int enter(struct pmr_walk_worker *w, const char *name)
{
	size_t outer_length = w->path_length;
	int fd, above = w->fd, ret;
	bool is_path = w->is_path;
	ino_t inode = 0;

	ret = pmr_walk_append(w, name);
	if (ret)
		return ret;
	fd = open_below(w, name, &inode);
	if (fd < 0) {
		/* Gone, replaced by something else, or a mountpoint: nothing of ours. */
		if (fd != -ENOENT && fd != -ENOTDIR && fd != -EXDEV)
			pmr_walk_cannot_read(w->walk, w->path, fd);
		pmr_walk_cut(w, outer_length);
		return 0;
	}
	ret = push(w, outer_length, inode);
	if (ret) {
		close(fd);
		return ret;
	}
	w->fd = fd;
	w->is_path = false;
	ret = pmr_walk_read(w);
	if (ret || has_names(&w->frames[w->n - 1])) {
		close(above);
		return ret;
	}
	pop(w);
	close(fd);
	w->fd = above;
	w->is_path = is_path;
	return 0;
}

static bool is_ours(struct pmr_walk_worker *w, int fd, ino_t inode)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_dev == w->walk->dev && (!inode || st.st_ino == inode);
}

/*
 * From the walk's root down to a frame by its path, through nothing but directories of its filesystem. Return: a
 * descriptor for names in it; -1.
 */
static int find_from_root(struct pmr_walk_worker *w, const struct pmr_walk_frame *frame)
{
	size_t length = frame + 1 < w->frames + w->n ? frame[1].outer_length : w->path_length;
	int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, fd, below;
	char *name = w->path + w->walk->root_length, *past = w->path + length, *end, cut;

	fd = openat(w->walk->fd, ".", flags);
	while (fd >= 0 && is_ours(w, fd, 0)) {
		name += strspn(name, "/");
		if (name >= past) {
			if (is_ours(w, fd, frame->inode))
				return fd;
			break;
		}
		end = name + strcspn(name, "/");
		cut = *end;
		*end = '\0';
		below = openat(fd, name, flags);
		*end = cut;
		close(fd);
		fd = below;
		name = end;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The top frame is @levels above the directory that is open. Return: a descriptor for names in it; -1. */
static int find_above(struct pmr_walk_worker *w, size_t levels)
{
	static const char dots[] = "../../../../../../../..";
	struct pmr_walk_frame *frame = &w->frames[w->n - 1];
	int fd = w->fd, above;
	size_t n;

	for (; levels && fd >= 0; levels -= n) {
		n = levels < sizeof(dots) / 3 ? levels : sizeof(dots) / 3;
		above = openat(fd, dots + sizeof(dots) - 3 * n, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd != w->fd)
			close(fd);
		fd = above;
	}
	if (fd >= 0 && is_ours(w, fd, frame->inode))
		return fd;
	if (fd >= 0)
		close(fd);
	return find_from_root(w, frame);
}

static bool is_anything_left(const struct pmr_walk_worker *w)
{
	return has_names(&w->frames[w->n - 1]) || !w->frames[w->n - 1].is_read;
}

/* Back to the next frame that has something left, which is where ".." leads unless a directory was moved meanwhile. */
static void leave(struct pmr_walk_worker *w)
{
	bool is_lost = false;
	size_t levels = 1;
	int fd;

	for (pop(w); w->n; pop(w), levels++) {
		if (!is_anything_left(w))
			continue;
		fd = is_lost ? find_from_root(w, &w->frames[w->n - 1]) : find_above(w, levels);
		if (fd >= 0) {
			close(w->fd);
			w->fd = fd;
			w->is_path = true;
			return;
		}
		pmr_walk_incomplete(w->walk);
		if (!is_lost)
			pmr_say(w->walk->ctx, PMR_ERROR, "tree-changed", w->path,
				"a directory below it was moved while it was read, the rest was not looked at: scan again");
		is_lost = true;
	}
}

/* ---- threads */

/*
 * Where names to give away begin: half of those of the uppermost frame that has any, where most is likely to be below
 * them, unless it takes long to find it again; else half of the top frame's, but never the very next.
 */
static struct pmr_walk_frame *find_gift(struct pmr_walk_worker *w, size_t *from)
{
	struct pmr_walk_frame *frame = w->frames, *top = &w->frames[w->n - 1];

	while (frame < top && !has_names(frame))
		frame++;
	if (frame < top && frame[1].outer_length - w->walk->root_length > NEAR_ROOT)
		frame = top;
	if (!has_names(frame))
		return NULL;
	*from = frame->next + (frame->end - frame->next + (frame == top)) / 2;
	return *from < frame->end ? frame : NULL;
}

static size_t pack_names(const struct pmr_walk_worker *w, size_t from, size_t end, char *to)
{
	size_t length = 0, one;

	for (; from < end; from++) {
		one = strlen(w->text + w->names[from].at) + 1;
		if (to)
			memcpy(to + length, w->text + w->names[from].at, one);
		length += one;
	}
	return length;
}

static void give(struct pmr_walk_worker *w)
{
	struct pmr_walk_share *share;
	struct pmr_walk_frame *frame;
	size_t from, length;
	int fd;

	frame = find_gift(w, &from);
	if (!frame)
		return;
	if (frame + 1 == w->frames + w->n) {
		length = w->path_length;
		fd = fcntl(w->fd, F_DUPFD_CLOEXEC, 0);
	} else {
		length = frame[1].outer_length;
		fd = find_from_root(w, frame);
	}
	if (fd < 0)
		return;
	share = pmr_walk_share_new(fd, w->path, length, pack_names(w, from, frame->end, NULL));
	if (!share) {
		close(fd);
		return;
	}
	pack_names(w, from, frame->end, share->text + length + 1);
	share->inode = frame->inode;
	frame->end = from;
	pmr_walk_give(w->pool, share);
}

static int begin(struct pmr_walk_worker *w, struct pmr_walk_share *share)
{
	const char *name = share->text + share->path_length + 1, *past = name + share->names_length;
	int ret;

	w->fd = share->fd;
	w->is_path = false;
	share->fd = -1;
	w->path_length = w->n_names = w->text_length = 0;
	ret = pmr_walk_append(w, share->text);
	if (!ret)
		ret = push(w, 0, share->inode);
	if (ret)
		return ret;
	if (name == past)
		return pmr_walk_meet_root(w);
	w->frames[0].is_read = true;
	for (; !ret && name < past; name += strlen(name) + 1)
		ret = pmr_walk_remember(w, name, 0);
	return ret;
}

static int walk_share(struct pmr_walk_worker *w, struct pmr_walk_share *share)
{
	int ret;

	for (ret = begin(w, share); !ret && w->n && !pmr_walk_is_over(w->pool);) {
		struct pmr_walk_frame *top = &w->frames[w->n - 1];

		if (pmr_is_cancelled(w->walk->ctx)) {
			ret = -ECANCELED;
		} else if (has_names(top)) {
			if (pmr_walk_is_wanted(w->pool))
				give(w);
			ret = enter(w, w->text + w->names[top->next++].at);
		} else if (!top->is_read) {
			ret = pmr_walk_read(w);
		} else {
			leave(w);
		}
	}
	w->n = 0;
	close(w->fd);
	return ret;
}

static int work(struct pmr_walk_pool *pool, void *data, unsigned int number)
{
	struct pmr_walk_worker w = { .walk = data, .pool = pool, .number = number };
	struct pmr_walk_share *share;
	int ret = 0;

	w.buffer = malloc(PMR_WALK_BUFFER);
	if (!w.buffer)
		return -ENOMEM;
	while (!ret && (share = pmr_walk_take(pool))) {
		ret = walk_share(&w, share);
		pmr_walk_tell(&w);
		pmr_walk_share_release(share);
	}
	free(w.buffer);
	free(w.path);
	free(w.names);
	free(w.text);
	free(w.frames);
	return ret;
}

int pmr_walk(struct pmr_ctx *ctx, int fd, const char *path, uint64_t total,
	     const struct pmr_walker *walker, bool *complete)
{
	struct pmr_walk walk = { .ctx = ctx,
				 .walker = walker,
				 .fd = fd,
				 .root_length = strlen(path),
				 .total = total,
				 .is_complete = true };
	struct pmr_walk_share *share = NULL;
	struct stat st;
	int own, ret = 0;

	pthread_mutex_init(&walk.lock, NULL);
	/* with an offset of its own */
	own = openat(fd, ".", PMR_WALK_OPEN);
	if (own < 0 || fstat(own, &st)) {
		pmr_walk_cannot_read(&walk, path, -errno);
		goto out;
	}
	share = pmr_walk_share_new(own, path, walk.root_length, 0);
	if (!share) {
		ret = -ENOMEM;
		goto out;
	}
	own = -1;
	walk.dev = st.st_dev;
	share->inode = st.st_ino;
	ret = pmr_walk_pool_run(share, walker->threads, work, &walk);
out:
	if (own >= 0)
		close(own);
	pthread_mutex_destroy(&walk.lock);
	if (ret < 0 || !walk.is_complete)
		*complete = false;
	return ret;
}
