/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holds the zeros that are remembered against the files as they are now, and gives them to a repair. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zeroed.h"

/* ---- what became of a file */

static const struct pmr_filesystem *find_filesystem(const struct pmr_topology *topology,
						    dev_t devno)
{
	for (size_t i = 0; i < topology->n_filesystems; i++)
		if (topology->filesystems[i]->devno == devno)
			return topology->filesystems[i];
	return NULL;
}

static enum pmr_zeroed_file look(const struct pmr_topology *topology, struct pmr_zeros_entry *entry)
{
	const struct pmr_filesystem *filesystem;
	enum pmr_zeroed_file now = PMR_ZEROED_FILE_UNKNOWN;
	struct stat st;
	int fd;

	fd = pmr_file_open(AT_FDCWD, entry->zeros.file.path, O_RDONLY);
	/* what is no file any more, is another's */
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -EINVAL)
		return PMR_ZEROED_FILE_GONE;
	if (fd < 0)
		return now;
	filesystem = fstat(fd, &st) ? NULL : find_filesystem(topology, st.st_dev);
	if (filesystem) {
		pmr_earlier_compare(fd, &st, filesystem, &entry->zeros.file, entry->differences);
		now = *entry->differences ? PMR_ZEROED_FILE_CHANGED : PMR_ZEROED_FILE_SAME;
	}
	close(fd);
	return now;
}

/* ---- what was asked about */

/* A device's name where the file is not there to tell. */
static bool is_on_target(const struct pmr_zeros *zeros, const struct pmr_topology *topology,
			 const char *target)
{
	const struct pmr_device *device = pmr_topology_find(topology, target);
	struct stat st;

	if (device)
		return pmr_zeros_are_on(zeros, device);
	for (size_t i = 0; i < topology->n_filesystems && !stat(target, &st); i++) {
		const struct pmr_filesystem *filesystem = topology->filesystems[i];

		if (S_ISBLK(st.st_mode) && filesystem->devno == st.st_rdev && filesystem->uuid &&
		    zeros->file.filesystem_uuid &&
		    !strcmp(filesystem->uuid, zeros->file.filesystem_uuid))
			return true;
	}
	return false;
}

/* 1, 0, -ENOMEM */
static int is_asked(const struct pmr_zeros *zeros, const struct pmr_topology *topology,
		    const char *const *targets, size_t n)
{
	int found = !n;

	for (size_t i = 0; i < n && !found; i++) {
		found = pmr_earlier_lies_at(topology, targets[i], &zeros->file);
		if (!found)
			found = is_on_target(zeros, topology, targets[i]);
	}
	return found;
}

int pmr_zeroes_look(struct pmr_zeroes *zeroes, const struct pmr_topology *topology,
		    const char *const *targets, size_t n_targets)
{
	int asked;

	for (size_t i = 0; i < zeroes->list.n; i++) {
		struct pmr_zeros_entry *entry = &zeroes->list.v[i];

		if (entry->error)
			continue;
		asked = is_asked(&entry->zeros, topology, targets, n_targets);
		if (asked < 0)
			return asked;
		entry->is_left_out = !asked;
		*entry->differences = '\0';
		if (asked)
			entry->now = look(topology, entry);
	}
	return pmr_zeroes_list(zeroes);
}

/* ---- for a repair */

static int add_file(struct pmr_ctx *ctx, struct pmr_scan *scan, const struct pmr_zeros_entry *entry)
{
	struct pmr_earlier_file file = entry->zeros.file;
	struct pmr_earlier earlier = {
		.name = entry->name,
		.is_complete = true,
		.files = &file,
		.n_files = 1,
	};
	int ret;

	file.n_ranges = entry->zeros.n_ranges;
	file.ranges = calloc(file.n_ranges, sizeof(*file.ranges));
	if (!file.ranges)
		return -ENOMEM;
	for (size_t i = 0; i < file.n_ranges; i++)
		file.ranges[i] = entry->zeros.ranges[i].at;
	ret = pmr_scan_add_earlier(ctx, scan, &earlier);
	free(file.ranges);
	return ret;
}

int pmr_scan_add_zeroes(struct pmr_ctx *ctx, struct pmr_scan *scan, const struct pmr_zeroes *zeroes)
{
	int ret = 0;

	for (size_t i = 0; i < zeroes->list.n && !ret; i++) {
		const struct pmr_zeros_entry *entry = &zeroes->list.v[i];

		if (!entry->error && !entry->is_left_out && entry->now == PMR_ZEROED_FILE_SAME)
			ret = add_file(ctx, scan, entry);
	}
	return ret;
}
