/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every regular file and directory below a directory, in one filesystem. Holds two directories open however deep the tree is:
 * a directory is read to its end, then its subdirectories are entered, and ".." leads back.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private.h"

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* A directory that was read and whose subdirectories wait to be entered. */
struct frame {
	dev_t dev;
	ino_t inode;
	size_t path_length;
	char **names;
	size_t n;
	size_t alloc;
	size_t next;
};

struct walk {
	struct pmr_ctx *ctx;
	int (*fn)(void *data, const struct pmr_old_walk_entry *entry);
	void *data;
	bool *complete;
	int fd; /* the directory of the top frame */
	char *path;
	size_t path_length;
	size_t path_alloc;
	struct frame *frames;
	size_t n;
	size_t alloc;
};

static int append_path(struct walk *w, const char *name)
{
	bool slash = w->path_length && w->path[w->path_length - 1] != '/';
	size_t length = strlen(name), wanted = w->path_length + slash + length + 1;
	char *grown;

	if (wanted > w->path_alloc) {
		wanted += wanted / 2;
		grown = realloc(w->path, wanted);
		if (!grown)
			return -ENOMEM;
		w->path = grown;
		w->path_alloc = wanted;
	}
	if (slash)
		w->path[w->path_length++] = '/';
	memcpy(w->path + w->path_length, name, length + 1);
	w->path_length += length;
	return 0;
}

static void cut_path(struct walk *w, size_t length)
{
	w->path_length = length;
	w->path[length] = '\0';
}

static void cannot_read(struct walk *w, int err)
{
	*w->complete = false;
	if (err == -EACCES || err == -EPERM)
		pmr_say(w->ctx, PMR_ERROR, "cannot-read-directory", w->path,
			"%s: nothing below it was looked at; CAP_DAC_READ_SEARCH (or root) is needed",
			strerror(-err));
	else
		pmr_say(w->ctx, PMR_ERROR, "cannot-read-directory", w->path,
			"%s: files below it may be missing from this answer", strerror(-err));
}

static int remember(struct frame *frame, const char *name)
{
	int ret;

	ret = pmr_grow(&frame->names, frame->n, &frame->alloc, sizeof(frame->names[0]));
	if (ret)
		return ret;
	frame->names[frame->n] = strdup(name);
	if (!frame->names[frame->n])
		return -ENOMEM;
	frame->n++;
	return 0;
}

static int meet_file(struct walk *w, const char *name, const struct stat *st)
{
	struct pmr_old_walk_entry entry = { .dirfd = w->fd, .name = name, .st = st };
	size_t length = w->path_length;
	int ret;

	ret = append_path(w, name);
	if (ret)
		return ret;
	entry.path = w->path;
	ret = w->fn(w->data, &entry);
	cut_path(w, length);
	return ret;
}

static int meet_directory(struct walk *w, const struct stat *st)
{
	struct pmr_old_walk_entry entry = { .path = w->path, .dirfd = w->fd, .name = ".", .st = st };

	return w->fn(w->data, &entry);
}

static int meet(struct walk *w, const struct dirent *d)
{
	struct frame *frame = &w->frames[w->n - 1];
	struct stat st;
	int err;

	if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
		return 0;
	if (d->d_type == DT_DIR)
		return remember(frame, d->d_name);
	if (d->d_type != DT_REG && d->d_type != DT_UNKNOWN)
		return 0;
	if (fstatat(w->fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT)) {
		err = -errno;
		if (err == -ENOENT)
			return 0;
		*w->complete = false;
		pmr_say(w->ctx, PMR_ERROR, "cannot-stat", w->path,
			"%s: entry \"%s\" was not looked at", strerror(-err), d->d_name);
		return 0;
	}
	if (S_ISDIR(st.st_mode))
		return remember(frame, d->d_name);
	/* A file of another filesystem may be mounted on this name. */
	if (!S_ISREG(st.st_mode) || st.st_dev != w->frames[0].dev)
		return 0;
	return meet_file(w, d->d_name, &st);
}

static int read_directory(struct walk *w)
{
	struct dirent *d;
	DIR *dir;
	int fd, ret = 0;

	fd = fcntl(w->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		ret = -errno;
		close(fd);
		return ret;
	}
	while (!ret) {
		if (pmr_is_cancelled(w->ctx)) {
			*w->complete = false;
			break;
		}
		errno = 0;
		d = readdir(dir);
		if (!d) {
			if (errno)
				cannot_read(w, -errno);
			break;
		}
		ret = meet(w, d);
	}
	closedir(dir);
	return ret;
}

/* Make @fd, whose path is already in place, the top frame and read it. */
static int push(struct walk *w, int fd, const struct stat *st, size_t outer_length)
{
	int ret;

	ret = pmr_grow(&w->frames, w->n, &w->alloc, sizeof(w->frames[0]));
	if (ret) {
		close(fd);
		return ret;
	}
	w->frames[w->n++] = (struct frame){ .dev = st->st_dev,
					    .inode = st->st_ino,
					    .path_length = outer_length };
	if (w->fd >= 0)
		close(w->fd);
	w->fd = fd;
	ret = meet_directory(w, st);
	return ret ? ret : read_directory(w);
}

/* Another filesystem's directory, an automount point above all, is not even opened: that could mount it. */
static int open_below(struct walk *w, const char *name, struct stat *st)
{
	int fd, err;

	if (fstatat(w->fd, name, st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT))
		return -errno;
	if (!S_ISDIR(st->st_mode) || st->st_dev != w->frames[0].dev)
		return -ENOENT;
	fd = openat(w->fd, name, OPEN_DIRECTORY | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstat(fd, st))
		err = -errno;
	else
		err = st->st_dev != w->frames[0].dev ? -ENOENT : 0;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static int enter(struct walk *w, const char *name)
{
	size_t outer_length = w->path_length;
	struct stat st;
	int fd, ret;

	ret = append_path(w, name);
	if (ret)
		return ret;
	fd = open_below(w, name, &st);
	if (fd >= 0)
		return push(w, fd, &st, outer_length);
	/* Gone, replaced by something else, or of another filesystem: nothing of ours. */
	if (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP)
		cannot_read(w, fd);
	cut_path(w, outer_length);
	return 0;
}

static void pop(struct walk *w)
{
	struct frame *frame = &w->frames[--w->n];
	size_t i;

	for (i = 0; i < frame->n; i++)
		free(frame->names[i]);
	free(frame->names);
	cut_path(w, frame->path_length);
}

static bool is_anything_left(const struct walk *w)
{
	size_t i;

	for (i = 0; i < w->n; i++) {
		if (w->frames[i].next < w->frames[i].n)
			return true;
	}
	return false;
}

static void leave(struct walk *w)
{
	struct frame *above;
	struct stat st;
	int fd;

	pop(w);
	if (!w->n)
		return;
	above = &w->frames[w->n - 1];
	fd = openat(w->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && !fstat(fd, &st) && st.st_dev == above->dev && st.st_ino == above->inode) {
		close(w->fd);
		w->fd = fd;
		return;
	}
	if (fd >= 0)
		close(fd);
	if (is_anything_left(w)) {
		*w->complete = false;
		pmr_say(w->ctx, PMR_ERROR, "tree-changed", w->path,
			"a directory below it was moved while it was read, the rest was not looked at: scan again");
	}
	while (w->n)
		pop(w);
}

int pmr_old_walk(struct pmr_ctx *ctx, const char *path,
	     int (*fn)(void *data, const struct pmr_old_walk_entry *entry), void *data, bool *complete)
{
	struct walk w = { .ctx = ctx, .fn = fn, .data = data, .complete = complete, .fd = -1 };
	struct stat st;
	int fd, ret;

	ret = append_path(&w, path);
	if (ret)
		return ret;
	fd = open(path, OPEN_DIRECTORY);
	if (fd < 0) {
		cannot_read(&w, -errno);
		goto out;
	}
	if (fstat(fd, &st)) {
		cannot_read(&w, -errno);
		close(fd);
		goto out;
	}
	ret = push(&w, fd, &st, 0);
	while (!ret && w.n) {
		struct frame *top = &w.frames[w.n - 1];

		if (pmr_is_cancelled(ctx)) {
			*complete = false;
			break;
		}
		if (top->next == top->n)
			leave(&w);
		else
			ret = enter(&w, top->names[top->next++]);
	}
out:
	while (w.n)
		pop(&w);
	free(w.frames);
	free(w.path);
	if (w.fd >= 0)
		close(w.fd);
	return ret;
}
