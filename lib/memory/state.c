/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Small files in the state directory: how they are found, read and replaced. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "state.h"

/* Held for a few operations on files: who holds it for longer than 5 s was stopped. */
#define LOCK_TRIES 500
#define LOCK_PAUSE_NS 10000000L

/* One directory in another; a new one is there also after a crash. */
static int open_directory(int parent, const char *name, bool make, int *fd)
{
	bool made = make && !mkdirat(parent, name, 0700);

	if (make && !made && errno != EEXIST)
		return -errno;
	*fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return -errno;
	if (made) {
		int above = openat(*fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (above >= 0) {
			fsync(above);
			close(above);
		}
	}
	return 0;
}

int pmr_state_open(const char *directory, const char *name, bool make, int *fd)
{
	int top, err;

	err = open_directory(AT_FDCWD, directory, make, &top);
	if (err)
		return err;
	err = open_directory(top, name, make, fd);
	close(top);
	return err;
}

int pmr_state_lock(int fd)
{
	const struct timespec pause = { 0, LOCK_PAUSE_NS };

	for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (tries == LOCK_TRIES)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return 0;
}

void pmr_state_unlock(int fd)
{
	flock(fd, LOCK_UN);
}

static int read_file(int file, size_t limit, char **text, size_t *length, time_t *when)
{
	struct stat st;
	size_t got = 0;
	char *made;
	int err;

	if (fstat(file, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > limit)
		return -EBADMSG;
	made = malloc((size_t)st.st_size + 1);
	if (!made)
		return -ENOMEM;
	err = pmr_media_read_file(file, 0, made, (size_t)st.st_size, &got);
	if (err) {
		free(made);
		return err;
	}
	*text = made;
	*length = got;
	if (when)
		*when = st.st_mtime;
	return 0;
}

int pmr_state_read(int fd, const char *name, size_t limit, char **text, size_t *length,
		   time_t *when)
{
	int file, err;

	file = openat(fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (file < 0)
		return errno == ELOOP ? -EBADMSG : -errno;
	err = read_file(file, limit, text, length, when);
	close(file);
	return err;
}

static int write_file(int fd, const char *name, const char *text, size_t length, time_t when)
{
	const struct timespec times[] = { { .tv_sec = when }, { .tv_sec = when } };
	size_t written;
	int file, err;

	file = openat(fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0)
		return -errno;
	err = pmr_media_write_file(file, 0, 0, text, length, &written);
	if (!err && (futimens(file, times) < 0 || fsync(file) < 0))
		err = -errno;
	if (close(file) < 0 && !err)
		err = -errno;
	return err;
}

int pmr_state_replace(int fd, const char *name, const char *text, size_t length, time_t when)
{
	char *fresh;
	int err;

	if (asprintf(&fresh, ".%s.new", name) < 0)
		return -ENOMEM;
	err = write_file(fd, fresh, text, length, when);
	if (!err && renameat(fd, fresh, fd, name) < 0)
		err = -errno;
	if (err)
		unlinkat(fd, fresh, 0);
	free(fresh);
	if (!err && fsync(fd) < 0)
		err = -errno;
	return err;
}

int pmr_state_remove(int fd, const char *name)
{
	if (unlinkat(fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

int pmr_state_set_aside(int fd, const char *name)
{
	char *aside;
	int err = 0;

	if (asprintf(&aside, "%s.bad", name) < 0)
		return -ENOMEM;
	if (renameat(fd, name, fd, aside) < 0)
		err = -errno;
	free(aside);
	return err;
}
