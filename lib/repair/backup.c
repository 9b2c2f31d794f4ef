/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a file's replacement bytes come from: which backup, whether it is really another file, its bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repair.h"

/* what of @path lies below @top, or NULL; both without regard to slashes at the end of @top */
static const char *below(const char *path, const char *top)
{
	size_t length = strlen(top);

	while (length && top[length - 1] == '/')
		length--;
	if (strncmp(path, top, length) || path[length] != '/')
		return NULL;
	path += length;
	while (*path == '/')
		path++;
	return *path ? path : NULL;
}

static const char *below_target(const char *path, const char *const *targets, size_t n_targets)
{
	const char *rest = NULL, *longest = NULL;

	for (size_t i = 0; i < n_targets; i++) {
		rest = below(path, targets[i]);
		if (rest && (!longest || rest > longest))
			longest = rest;
	}
	return longest;
}

static int join(const char *directory, const char *rest, char **path)
{
	return asprintf(path, "%s/%s", directory, rest) < 0 ? -ENOMEM : 0;
}

/* the same path below @top, both with their symbolic links resolved */
static int path_below_real(const struct pmr_file *file, const char *top, const char *backup,
			   char **path)
{
	char *real_top, *real_file = NULL;
	const char *rest;
	int ret = -ENOENT;

	real_top = realpath(top, NULL);
	if (real_top)
		real_file = realpath(file->path, NULL);
	if (!real_file) {
		ret = -errno;
	} else {
		rest = below(real_file, real_top);
		if (rest)
			ret = join(backup, rest, path);
	}
	free(real_top);
	free(real_file);
	return ret;
}

int pmr_backup_path(const struct pmr_file *file, const char *const *targets, size_t n_targets,
		    const struct pmr_repair_options *options, char **path)
{
	const char *rest;
	struct stat st;

	if (stat(options->backup, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode)) {
		*path = strdup(options->backup);
		return *path ? 0 : -ENOMEM;
	}
	if (options->backup_root)
		return path_below_real(file, options->backup_root, options->backup, path);
	rest = below_target(file->path, targets, n_targets);
	if (rest)
		return join(options->backup, rest, path);
	if (!file->filesystem->mountpoint)
		return -ENOENT;
	return path_below_real(file, file->filesystem->mountpoint, options->backup, path);
}

static int refuse(struct pmr_ctx *ctx, const char *path, const char *code, const char *text,
		  const char **refused)
{
	pmr_say(ctx, PMR_ERROR, code, path, "%s", text);
	*refused = code;
	return -EINVAL;
}

/*
 * Whether a file of the same filesystem shares blocks with the one to be repaired: then its bytes are no second copy,
 * and the extents that poison takes of one are taken of both.
 */
static int shares_poison(int fd, const struct pmr_claim *claim, bool *shares)
{
	const struct pmr_file *file = claim->file;
	struct pmr_losses losses = { 0 };
	struct pmr_ranges bad = { 0 };
	bool complete;
	int ret;

	for (size_t i = 0; i < file->n_losses; i++) {
		ret = pmr_ranges_add(&bad, file->losses[i].device_offset - file->filesystem->start,
				     file->losses[i].length);
		if (ret)
			goto out;
	}
	pmr_ranges_normalize(&bad);
	ret = pmr_file_losses(fd, file->filesystem, &bad, UINT64_MAX, &losses, &complete);
	if (!ret)
		*shares = losses.n > 0;
out:
	pmr_ranges_release(&bad);
	free(losses.v);
	return ret;
}

/* What can be told without opening it: the target's own write lease would stop an open of the target. */
static int check_kind(struct pmr_ctx *ctx, const char *path, const struct pmr_file *file,
		      const char **refused)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOENT
			       ? refuse(ctx, path, "no-backup", "there is no such backup", refused)
			       : refuse(ctx, path, "backup-unreadable", strerror(errno), refused);
	if (!S_ISREG(st.st_mode))
		return refuse(ctx, path, "backup-unreadable", "is not a regular file", refused);
	if (st.st_dev == file->filesystem->devno && st.st_ino == file->inode)
		return refuse(ctx, path, "backup-is-target",
			      "the backup is the damaged file itself", refused);
	return 0;
}

static int check_blocks(struct pmr_ctx *ctx, const char *path, int fd,
			const struct pmr_claim *claim, const char **refused)
{
	bool shares = false;

	/* On the other device of an XFS they are others, whatever their numbers. */
	if (!pmr_file_is_on(fd, claim->file->filesystem))
		return 0;
	if (shares_poison(fd, claim, &shares))
		return refuse(ctx, path, "backup-shares-blocks",
			      "cannot be shown to have blocks of its own on the same filesystem",
			      refused);
	if (shares)
		return refuse(
			ctx, path, "backup-shares-blocks",
			"shares the damaged blocks with the file (reflink): it is no second copy",
			refused);
	return 0;
}

int pmr_backup_open(struct pmr_ctx *ctx, const char *path, const struct pmr_claim *claim,
		    struct pmr_backup *backup, const char **refused)
{
	struct pmr_backup b = { .fd = -1 };
	struct stat st;
	int ret;

	ret = check_kind(ctx, path, claim->file, refused);
	if (ret)
		return ret;
	b.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (b.fd < 0 || fstat(b.fd, &st) < 0) {
		ret = refuse(ctx, path, "backup-unreadable",
			     errno == EAGAIN ? "is leased by another program" : strerror(errno),
			     refused);
		goto fail;
	}
	if (st.st_dev == claim->file->filesystem->devno)
		ret = check_blocks(ctx, path, b.fd, claim, refused);
	if (ret)
		goto fail;
	b.size = (uint64_t)st.st_size;
	b.inode = st.st_ino;
	b.change_time = st.st_ctim;
	b.path = strdup(path);
	if (!b.path) {
		ret = -ENOMEM;
		goto fail;
	}
	*backup = b;
	return 0;
fail:
	pmr_backup_close(&b);
	return ret;
}

int pmr_backup_read(const struct pmr_backup *backup, uint64_t offset, void *buffer, size_t length)
{
	size_t got;
	int ret;

	ret = pmr_media_read_file(backup->fd, offset, buffer, length, &got);
	if (ret)
		return ret;
	return got == length ? 0 : -ERANGE;
}

bool pmr_backup_has_changed(const struct pmr_backup *backup)
{
	struct stat st;

	return fstat(backup->fd, &st) < 0 || (uint64_t)st.st_size != backup->size ||
	       !pmr_is_same_time(&st.st_ctim, &backup->change_time);
}

void pmr_backup_close(struct pmr_backup *backup)
{
	if (backup->fd >= 0)
		close(backup->fd);
	free(backup->path);
	backup->fd = -1;
	backup->path = NULL;
}
