/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which files of an earlier report lie at or below what the user named. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "earlier.h"

/* An absolute path without links; of what is not there, as far as it is. NULL without memory. */
static char *resolve(const char *path)
{
	char *real = realpath(path, NULL), *above, *joined = NULL;
	const char *rest;

	if (real || errno == ENOMEM)
		return real;
	rest = strrchr(path, '/');
	if (!rest || rest == path)
		return strdup(path);
	above = strndup(path, (size_t)(rest - path));
	real = above ? resolve(above) : NULL;
	joined = real ? malloc(strlen(real) + strlen(rest) + 1) : NULL;
	if (joined)
		strcat(strcpy(joined, real), rest);
	free(above);
	free(real);
	return joined;
}

static bool is_below(const char *directory, const char *path)
{
	size_t length = strlen(directory);

	if (!strcmp(directory, "/"))
		return true;
	return !strncmp(directory, path, length) && (path[length] == '/' || !path[length]);
}

static bool is_on_device(const struct pmr_topology *topology, const struct stat *st,
			 const struct pmr_device *device, dev_t devno)
{
	const struct pmr_filesystem *filesystem;

	for (size_t i = 0; i < topology->n_filesystems; i++) {
		filesystem = topology->filesystems[i];
		if (filesystem->devno != st->st_dev)
			continue;
		/* of an XFS with a realtime device, there are two */
		if (filesystem->device == device || filesystem->devno == devno ||
		    (devno && filesystem->device->devno == devno))
			return true;
	}
	return false;
}

/* Whether what is named is the file of the report, under that name or another. */
static bool is_file(const struct pmr_topology *topology, const struct stat *st,
		    const struct pmr_earlier_file *file, const struct stat *is)
{
	const char *uuid;

	if (is)
		return is->st_dev == st->st_dev && is->st_ino == st->st_ino;
	for (size_t i = 0; i < topology->n_filesystems; i++) {
		uuid = topology->filesystems[i]->uuid;
		if (topology->filesystems[i]->devno == st->st_dev && uuid && file->filesystem_uuid)
			return !strcmp(uuid, file->filesystem_uuid) && st->st_ino == file->inode;
	}
	return false;
}

int pmr_earlier_lies_at(const struct pmr_topology *topology, const char *target,
			const struct pmr_earlier_file *file)
{
	struct stat st, is = { 0 };
	bool is_there = !stat(file->path, &is);
	char *directory, *path;
	int ret;

	if (stat(target, &st))
		return is_there &&
		       is_on_device(topology, &is, pmr_topology_find(topology, target), 0);
	if (S_ISREG(st.st_mode))
		return is_file(topology, &st, file, is_there ? &is : NULL);
	if (S_ISBLK(st.st_mode))
		return is_there && is_on_device(topology, &is, NULL, st.st_rdev);
	directory = resolve(target);
	path = resolve(file->path);
	ret = directory && path ? is_below(directory, path) : -ENOMEM;
	free(directory);
	free(path);
	return ret;
}

int pmr_earlier_select(struct pmr_ctx *ctx, struct pmr_earlier *earlier,
		       const struct pmr_topology *topology, const char *const *targets,
		       size_t n_targets)
{
	size_t kept = 0;
	int found;

	for (size_t i = 0; i < earlier->n_files; i++) {
		found = 0;
		for (size_t j = 0; j < n_targets && !found; j++)
			found = pmr_earlier_lies_at(topology, targets[j], &earlier->files[i]);
		if (found < 0)
			return found;
		earlier->files[i].is_left_out = !found;
		kept += (size_t)found;
	}
	if (kept < earlier->n_files)
		pmr_say(ctx, kept ? PMR_INFO : PMR_WARNING, "ranges-left-out", earlier->name,
			"files that it names and that are not among the targets: %zu",
			earlier->n_files - kept);
	return 0;
}
