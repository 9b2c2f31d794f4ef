/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file of our own beside nobody's data: found with care, made for its owner's eyes alone, written sparsely. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "salvage.h"
#include "scan/scan.h"

struct pmr_output {
	struct pmr_ctx *ctx;
	const struct pmr_output_place *place;
	int fd;
	int old; /* what it takes the place of, locked; or -1 */
	bool made; /* by this run */
	const char *unfinished; /* the name to remove it by if it cannot be used; NULL for none */
	char temporary[64]; /* the name that it has until it takes the other's place */
	bool told; /* that it failed */
	struct pmr_behind *behind;
	int sync_error; /* the first: the kernel tells of bytes that it could not write only once */
};

/* ---- where */

static int split(const char *path, char **directory, char **name)
{
	const char *slash = strrchr(path, '/');

	*name = strdup(slash ? slash + 1 : path);
	if (slash)
		*directory = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	else
		*directory = strdup(".");
	return *name && *directory ? 0 : -ENOMEM;
}

static int refuse(struct pmr_ctx *ctx, const char *code, const char *path, const char *text,
		  int error)
{
	pmr_say(ctx, PMR_ERROR, code, path, "%s", text);
	return error;
}

static int check_kind(struct pmr_ctx *ctx, const char *code, const struct stat *input,
		      const struct pmr_output_place *place)
{
	const struct stat *st = &place->st;

	if (!st->st_mode)
		return 0;
	if (st->st_dev == input->st_dev && st->st_ino == input->st_ino)
		return refuse(ctx, "output-is-input", place->path,
			      "is the damaged file itself: it would be overwritten", -EINVAL);
	if (S_ISLNK(st->st_mode))
		return refuse(ctx, code, place->path,
			      "is a symbolic link: name the file that is meant", -ELOOP);
	if (S_ISDIR(st->st_mode))
		return refuse(ctx, code, place->path, "is a directory: name a file in it", -EISDIR);
	if (!S_ISREG(st->st_mode))
		return refuse(ctx, code, place->path, "is no regular file", -EINVAL);
	return 0;
}

int pmr_output_find(struct pmr_ctx *ctx, const char *code, const char *path,
		    const struct stat *input, struct pmr_output_place *place)
{
	struct pmr_output_place p = { .directory = -1, .path = path };
	char *directory = NULL;
	int ret;

	ret = split(path, &directory, &p.name);
	if (ret)
		goto out;
	if (!*p.name || !strcmp(p.name, ".") || !strcmp(p.name, "..")) {
		ret = refuse(ctx, code, path, "is a directory: name a file in it", -EISDIR);
		goto out;
	}
	p.directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.directory < 0) {
		ret = -errno;
		pmr_say(ctx, PMR_ERROR, code, path, "its directory cannot be opened: %s",
			strerror(-ret));
		goto out;
	}
	if (fstatat(p.directory, p.name, &p.st, AT_SYMLINK_NOFOLLOW)) {
		ret = errno == ENOENT ? 0 : -errno;
		p.st = (struct stat){ 0 };
	}
	if (ret)
		pmr_say(ctx, PMR_ERROR, code, path, "cannot be looked at: %s", strerror(-ret));
	else
		ret = check_kind(ctx, code, input, &p);
out:
	free(directory);
	if (ret)
		pmr_output_leave(&p);
	else
		*place = p;
	return ret;
}

void pmr_output_leave(struct pmr_output_place *place)
{
	if (place->directory >= 0)
		close(place->directory);
	free(place->name);
	place->directory = -1;
	place->name = NULL;
}

/* ---- the file */

static int fail(struct pmr_output *output, const char *what, int error)
{
	if (output->told)
		return error;
	output->told = true;
	if (error == -ENOSPC || error == -EDQUOT)
		pmr_say(output->ctx, PMR_ERROR, "output-full", output->place->path,
			"%s: %s: make room, and go on with the same mapfile if there is one", what,
			strerror(-error));
	else
		pmr_say(output->ctx, PMR_ERROR, "output", output->place->path, "%s: %s", what,
			strerror(-error));
	return error;
}

static int identify(int fd, struct pmr_mapfile *map)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st))
		return -errno;
	map->output = st.stx_ino;
	map->output_generation = pmr_file_generation(fd);
	map->output_birth = (struct timespec){ 0 };
	if (st.stx_mask & STATX_BTIME)
		map->output_birth = (struct timespec){ .tv_sec = st.stx_btime.tv_sec,
						       .tv_nsec = st.stx_btime.tv_nsec };
	return 0;
}

/* What the mapfile does not say is no difference. */
static bool is_same_file(const struct pmr_mapfile *then, const struct pmr_mapfile *now)
{
	const struct timespec *birth = &then->output_birth;

	if (then->output && then->output != now->output)
		return false;
	if (then->output_generation && then->output_generation != now->output_generation)
		return false;
	return (!birth->tv_sec && !birth->tv_nsec) || pmr_is_same_time(birth, &now->output_birth);
}

static int open_again(const struct pmr_output_place *place)
{
	int fd = openat(place->directory, place->name,
			O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	return fd;
}

/* @map: what the mapfile says; NULL where anything of the right size will do */
static int check_same(struct pmr_ctx *ctx, const struct pmr_output_place *place, int fd,
		      const struct pmr_mapfile *map)
{
	struct pmr_mapfile now = { 0 };
	int ret;

	if (!map)
		return 0;
	ret = identify(fd, &now);
	if (ret)
		pmr_say(ctx, PMR_ERROR, "output", place->path, "cannot be looked at: %s",
			strerror(-ret));
	else if (!is_same_file(map, &now))
		ret = refuse(
			ctx, "mapfile-output", place->path,
			"is not the file that bytes were rescued to, and would be overwritten: name that one; if this is a "
			"copy of it, insist with --force",
			-EINVAL);
	return ret;
}

/* @st: of what has the name now, or once it is open */
static int check_again(struct pmr_ctx *ctx, const struct pmr_output_place *place,
		       const struct stat *st, uint64_t size, uint64_t end)
{
	if (!place->st.st_mode || !S_ISREG(st->st_mode) || st->st_dev != place->st.st_dev ||
	    st->st_ino != place->st.st_ino)
		return refuse(
			ctx, "mapfile-output", place->path,
			"is not there, but the mapfile says that bytes were rescued to it: remove the mapfile to "
			"begin anew",
			-ENOENT);
	if ((uint64_t)st->st_size < end || (uint64_t)st->st_size > size) {
		pmr_say(ctx, PMR_ERROR, "mapfile-output", place->path,
			"has %" PRIu64 " bytes, which does not fit the mapfile (%" PRIu64
			" to %" PRIu64 "): it is not the file that bytes were rescued to",
			(uint64_t)st->st_size, end, size);
		return -EINVAL;
	}
	return 0;
}

int pmr_output_check(struct pmr_ctx *ctx, const struct pmr_output_place *place, uint64_t end,
		     const struct pmr_mapfile *map, bool force)
{
	int fd, ret;

	if (end != PMR_NO_ADDRESS) {
		ret = check_again(ctx, place, &place->st, map->size, end);
		if (ret || force)
			return ret;
		fd = open_again(place);
		if (fd < 0) {
			pmr_say(ctx, PMR_ERROR, "output", place->path, "cannot be opened: %s",
				strerror(-fd));
			return fd;
		}
		ret = check_same(ctx, place, fd, map);
		close(fd);
		return ret;
	}
	if (!place->st.st_mode || force)
		return 0;
	return refuse(ctx, "output-exists", place->path,
		      "exists: name another file, or replace it with --force", -EEXIST);
}

int pmr_output_beside(const struct pmr_output_place *place, const char *kind, mode_t mode,
		      char *name, size_t size)
{
	int fd = -1;

	snprintf(name, size, ".pmem-recover-%ld.%s", (long)getpid(), kind);
	for (int i = 0; i < 2 && fd < 0; i++) {
		fd = openat(place->directory, name,
			    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
		/* left behind by a run that was killed and had the same number */
		if (fd < 0 && (errno != EEXIST || unlinkat(place->directory, name, 0)))
			break;
	}
	return fd < 0 ? -errno : fd;
}

static int lock(const struct pmr_output *output, int fd)
{
	if (!flock(fd, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK)
		return 0;
	return refuse(output->ctx, "output", output->place->path, "another run is writing to it",
		      -EBUSY);
}

/* Where a lock is more than the filesystem can do, or takes the right to write, it is nobody's. */
static int lock_old(struct pmr_output *output)
{
	const int flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	const struct pmr_output_place *place = output->place;
	struct stat locked, named;
	int ret;

	output->old = openat(place->directory, place->name, O_WRONLY | flags);
	if (output->old < 0)
		output->old = openat(place->directory, place->name, O_RDONLY | flags);
	if (output->old < 0)
		return fail(output, "cannot be opened, to see whether another run writes to it",
			    -errno);
	ret = lock(output, output->old);
	if (ret)
		return ret;
	if (fstat(output->old, &locked) ||
	    fstatat(place->directory, place->name, &named, AT_SYMLINK_NOFOLLOW))
		return fail(output, "cannot be looked at", -errno);
	if (locked.st_dev != named.st_dev || locked.st_ino != named.st_ino ||
	    !S_ISREG(named.st_mode))
		return refuse(output->ctx, "output", place->path,
			      "was replaced meanwhile: see what it is now, then try again", -EBUSY);
	return 0;
}

/* What has the name keeps it until the new one is ready. */
static int make(struct pmr_output *output)
{
	const struct pmr_output_place *place = output->place;
	int ret;

	if (!place->st.st_mode) {
		output->fd = openat(place->directory, place->name,
				    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY,
				    0600);
		if (output->fd < 0)
			return fail(output, "cannot be made", -errno);
		output->unfinished = place->name;
	} else {
		ret = lock_old(output);
		if (ret)
			return ret;
		output->fd = pmr_output_beside(place, "out", 0600, output->temporary,
					       sizeof(output->temporary));
		if (output->fd < 0)
			return fail(output, "cannot be made", output->fd);
		output->unfinished = output->temporary;
	}
	output->made = true;
	return 0;
}

/* Its name is taken, not its blocks: other names of it keep what they have. */
static int take_place(struct pmr_output *output)
{
	const struct pmr_output_place *place = output->place;

	if (output->unfinished == output->temporary) {
		if (renameat(place->directory, output->temporary, place->directory, place->name))
			return fail(output, "cannot be replaced", -errno);
		output->unfinished = NULL;
		/* its blocks are free now, and the new one may need them */
		close(output->old);
		output->old = -1;
	}
	/* its name must outlive a power cut as its bytes do; what cannot sync a directory has no such promise to break */
	if (fsync(place->directory) && errno != EINVAL && errno != EROFS)
		return fail(output, "its directory cannot be synced", -errno);
	return 0;
}

static int reopen(struct pmr_output *output, uint64_t end, const struct pmr_mapfile *map,
		  bool force)
{
	const struct pmr_output_place *place = output->place;
	struct stat st;
	int ret;

	output->fd = open_again(place);
	if (output->fd < 0)
		return fail(output, "cannot be opened", output->fd);
	if (fstat(output->fd, &st))
		return fail(output, "cannot be looked at", -errno);
	ret = check_again(output->ctx, place, &st, map->size, end);
	return ret ? ret : check_same(output->ctx, place, output->fd, force ? NULL : map);
}

int pmr_output_open(struct pmr_ctx *ctx, const struct pmr_output_place *place, uint64_t end,
		    struct pmr_mapfile *map, bool force, struct pmr_output **output)
{
	struct pmr_mapfile now = { 0 };
	struct pmr_output *o;
	int ret;

	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->ctx = ctx;
	o->place = place;
	o->fd = -1;
	o->old = -1;
	ret = pmr_output_check(ctx, place, end, map, force);
	if (!ret)
		ret = end == PMR_NO_ADDRESS ? make(o) : reopen(o, end, map, force);
	if (!ret)
		ret = lock(o, o->fd);
	if (!ret && ftruncate(o->fd, (off_t)map->size))
		ret = fail(o, "cannot be made as large as the file", -errno);
	if (!ret)
		ret = pmr_behind_new(o->fd, &o->behind);
	if (!ret && (ret = identify(o->fd, &now)))
		fail(o, "cannot be looked at", ret);
	if (!ret && o->made)
		ret = take_place(o);
	if (ret) {
		if (o->unfinished)
			unlinkat(place->directory, o->unfinished, 0);
		pmr_output_close(o);
		return ret;
	}
	map->output = now.output;
	map->output_generation = now.output_generation;
	map->output_birth = now.output_birth;
	*output = o;
	return 0;
}

void *pmr_output_buffer(struct pmr_output *output)
{
	return pmr_behind_buffer(output->behind);
}

int pmr_output_write(struct pmr_output *output, uint64_t offset, const void *bytes, size_t length)
{
	int ret = pmr_behind_write(output->behind, offset, bytes, length);

	return ret ? fail(output, "cannot be written", ret) : 0;
}

int pmr_output_drain(struct pmr_output *output, uint64_t *failed_at)
{
	int ret = pmr_behind_drain(output->behind, failed_at);

	return ret ? fail(output, "cannot be written", ret) : 0;
}

int pmr_output_sync(struct pmr_output *output)
{
	if (!output->sync_error && fsync(output->fd))
		output->sync_error = -errno;
	return output->sync_error ? fail(output, "cannot be synced", output->sync_error) : 0;
}

/* umask(2) tells only by changing it, for all threads. */
static mode_t get_umask(void)
{
	mode_t mask = 077;
	char *text = NULL, *line;
	unsigned int found;
	size_t length;

	if (!pmr_read_text("/proc/self/status", 65536, &text, &length)) {
		line = strstr(text, "\nUmask:");
		if (line && sscanf(line, "\nUmask: %o", &found) == 1)
			mask = (mode_t)found;
	}
	free(text);
	return mask;
}

int pmr_output_finish(struct pmr_output *output, mode_t mode)
{
	if (output->made && fchmod(output->fd, mode & 0777 & ~get_umask()))
		return fail(output, "cannot be given its permissions", -errno);
	return 0;
}

void pmr_output_close(struct pmr_output *output)
{
	if (!output)
		return;
	pmr_behind_free(output->behind);
	if (output->fd >= 0)
		close(output->fd);
	if (output->old >= 0)
		close(output->old);
	free(output);
}
