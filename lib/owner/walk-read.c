/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One directory of a walk, read by getdents64: its names are met, its subdirectories remembered. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "walk.h"

/* Bytes about subdirectories in memory from which on a directory is not read further before they were entered. */
#define MANY (512u << 10)
/* Names met after which progress is told. */
#define TELL_EVERY 2048u

static int make_room(char **text, size_t wanted, size_t *alloc)
{
	char *grown;

	if (wanted <= *alloc)
		return 0;
	wanted += wanted / 2;
	grown = realloc(*text, wanted);
	if (!grown)
		return -ENOMEM;
	*text = grown;
	*alloc = wanted;
	return 0;
}

int pmr_walk_append(struct pmr_walk_worker *w, const char *name)
{
	bool slash = w->path_length && w->path[w->path_length - 1] != '/';
	size_t length = strlen(name);
	int ret;

	ret = make_room(&w->path, w->path_length + slash + length + 1, &w->path_alloc);
	if (ret)
		return ret;
	if (slash)
		w->path[w->path_length++] = '/';
	memcpy(w->path + w->path_length, name, length + 1);
	w->path_length += length;
	return 0;
}

void pmr_walk_cut(struct pmr_walk_worker *w, size_t length)
{
	w->path_length = length;
	w->path[length] = '\0';
}

int pmr_walk_remember(struct pmr_walk_worker *w, const char *name, uint64_t inode)
{
	size_t length = strlen(name) + 1;
	int ret;

	ret = pmr_grow(&w->names, w->n_names, &w->names_alloc, sizeof(w->names[0]));
	if (!ret)
		ret = make_room(&w->text, w->text_length + length, &w->text_alloc);
	if (ret)
		return ret;
	w->names[w->n_names++] = (struct pmr_walk_name){ inode, w->text_length };
	memcpy(w->text + w->text_length, name, length);
	w->text_length += length;
	w->frames[w->n - 1].end = w->n_names;
	return 0;
}

void pmr_walk_incomplete(struct pmr_walk *walk)
{
	pthread_mutex_lock(&walk->lock);
	walk->is_complete = false;
	pthread_mutex_unlock(&walk->lock);
}

void pmr_walk_cannot_read(struct pmr_walk *walk, const char *path, int err)
{
	pmr_walk_incomplete(walk);
	if (err == -EACCES || err == -EPERM)
		pmr_say(walk->ctx, PMR_ERROR, "cannot-read-directory", path,
			"%s: nothing below it was looked at; CAP_DAC_READ_SEARCH (or root) is needed",
			strerror(-err));
	else
		pmr_say(walk->ctx, PMR_ERROR, "cannot-read-directory", path,
			"%s: files below it may be missing from this answer", strerror(-err));
}

/* In the order of the sums, so that no step goes back. */
void pmr_walk_tell(struct pmr_walk_worker *w)
{
	struct pmr_walk *walk = w->walk;

	pthread_mutex_lock(&walk->lock);
	walk->met += w->met;
	w->met = 0;
	pmr_tell_progress(walk->ctx, "names", w->path, walk->met, walk->total);
	pthread_mutex_unlock(&walk->lock);
}

static bool wants(const struct pmr_walk_worker *w, uint64_t inode, unsigned char type)
{
	const struct pmr_walker *walker = w->walk->walker;

	return !walker->wants || walker->wants(walker->data, inode, type);
}

static int meet(struct pmr_walk_worker *w, const char *name, uint64_t inode, unsigned char type)
{
	const struct pmr_walker *walker = w->walk->walker;
	struct pmr_walk_entry entry = { .path = w->path,
					.dirfd = w->fd,
					.name = name,
					.inode = inode,
					.type = type,
					.worker = w->number };

	return walker->meet(walker->data, &entry);
}

int pmr_walk_meet_root(struct pmr_walk_worker *w)
{
	uint64_t inode = w->frames[0].inode;

	return wants(w, inode, DT_DIR) ? meet(w, ".", inode, DT_DIR) : 0;
}

static int meet_below(struct pmr_walk_worker *w, const char *name, uint64_t inode,
		      unsigned char type)
{
	size_t length = w->path_length;
	int ret;

	ret = pmr_walk_append(w, name);
	if (ret)
		return ret;
	ret = meet(w, name, inode, type);
	pmr_walk_cut(w, length);
	return ret;
}

/* Whether an entry goes on being one; a mountpoint's type is not what is mounted there, unless that is a directory. */
static bool find_type(struct pmr_walk_worker *w, const char *name, unsigned char *type)
{
	struct stat st;
	int err;

	if (!fstatat(w->fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT)) {
		if (S_ISDIR(st.st_mode) || st.st_dev == w->walk->dev)
			*type = IFTODT(st.st_mode);
		return true;
	}
	err = errno;
	if (err == ENOENT)
		return false;
	pmr_walk_incomplete(w->walk);
	pmr_say(w->walk->ctx, PMR_ERROR, "cannot-stat", w->path,
		"%s: entry \"%s\" was not looked at", strerror(err), name);
	return false;
}

static int read_entry(struct pmr_walk_worker *w, const struct dirent64 *d)
{
	const char *name = d->d_name;
	unsigned char type = d->d_type;
	int ret = 0;

	if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
		return 0;
	w->met++;
	if (type == DT_UNKNOWN && !find_type(w, name, &type))
		return 0;
	if (wants(w, d->d_ino, type))
		ret = meet_below(w, name, d->d_ino, type);
	if (!ret && type == DT_DIR)
		ret = pmr_walk_remember(w, name, d->d_ino);
	return ret;
}

static int read_buffer(struct pmr_walk_worker *w, size_t length)
{
	struct pmr_walk_frame *frame = &w->frames[w->n - 1];
	size_t at = 0;
	int ret = 0;

	while (!ret && at < length) {
		const struct dirent64 *d = (const void *)(w->buffer + at);

		at += d->d_reclen;
		frame->cookie = d->d_off;
		ret = read_entry(w, d);
	}
	if (w->met >= TELL_EVERY)
		pmr_walk_tell(w);
	return ret;
}

static bool has_many(const struct pmr_walk_worker *w)
{
	return w->text_length + w->n_names * sizeof(w->names[0]) >= MANY;
}

static int read_on(struct pmr_walk_worker *w)
{
	struct pmr_walk_frame *frame = &w->frames[w->n - 1];
	ssize_t length;
	int ret;

	w->n_names = frame->next = frame->end = frame->start;
	w->text_length = frame->text_start;
	do {
		if (pmr_walk_is_over(w->pool))
			return 0;
		if (pmr_is_cancelled(w->walk->ctx))
			return -ECANCELED;
		length = getdents64(w->fd, w->buffer, PMR_WALK_BUFFER);
		if (length <= 0) {
			frame->is_read = true;
			/* ENOENT: it was removed, and was empty then. */
			if (length < 0 && errno != ENOENT)
				pmr_walk_cannot_read(w->walk, w->path, -errno);
			return 0;
		}
		ret = read_buffer(w, (size_t)length);
	} while (!ret && (frame->end == frame->start || !has_many(w)));
	return ret;
}

static int compare_inodes(const void *a, const void *b)
{
	const struct pmr_walk_name *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

/* To be entered in the order of their inodes, which is near to the order in which a cold filesystem has to read them. */
static int read_and_sort(struct pmr_walk_worker *w)
{
	struct pmr_walk_frame *frame;
	int ret;

	ret = read_on(w);
	frame = &w->frames[w->n - 1];
	if (frame->end > frame->start)
		qsort(w->names + frame->start, frame->end - frame->start, sizeof(w->names[0]),
		      compare_inodes);
	return ret;
}

int pmr_walk_read(struct pmr_walk_worker *w)
{
	struct pmr_walk_frame *frame = &w->frames[w->n - 1];
	int fd, err;

	/* After the way back up it is to be opened again, and read from where that ended. */
	if (!w->is_path)
		return read_and_sort(w);
	fd = openat(w->fd, ".", PMR_WALK_OPEN);
	err = fd < 0 ? -errno : 0;
	if (!err && lseek(fd, frame->cookie, SEEK_SET) < 0) {
		err = -errno;
		close(fd);
	}
	if (err) {
		frame->is_read = true;
		if (err != -ENOENT)
			pmr_walk_cannot_read(w->walk, w->path, err);
		return 0;
	}
	close(w->fd);
	w->fd = fd;
	w->is_path = false;
	return read_and_sort(w);
}
