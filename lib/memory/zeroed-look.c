/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holds the zeros that are remembered against the files as they are now, and gives them to a repair. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scan/scan.h"
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

/* ---- what became of a device-dax: its bytes tell */

static struct pmr_device *find_device(const struct pmr_topology *topology,
				      const struct pmr_zeros *zeros)
{
	for (size_t i = 0; i < topology->n_devices; i++)
		if (topology->devices[i]->name && pmr_device_is_dax(topology->devices[i]) &&
		    pmr_zeros_are_on(zeros, topology->devices[i]))
			return topology->devices[i];
	return NULL;
}

/* What cannot be read is not somebody else's. Return: 1, 0, -errno. */
static int has_zeros(struct pmr_media *media, const struct pmr_device *device,
		     const struct pmr_range *range)
{
	static const char zeros[PMR_PAGE];
	struct pmr_ranges unreadable = { 0 };
	bool are_zeros = true;
	char page[PMR_PAGE];
	uint64_t length;
	int ret = 0;

	for (uint64_t done = 0; !ret && are_zeros && done < range->length; done += length) {
		length = range->length - done < PMR_PAGE ? range->length - done : PMR_PAGE;
		memset(page, 0, sizeof(page));
		unreadable.n = 0;
		ret = pmr_media_salvage(media, range->offset + done, length,
					&device->badblocks.ranges, page, &unreadable);
		if (ret)
			break;
		for (size_t i = 0; i < unreadable.n; i++)
			memset(page + (unreadable.v[i].offset - range->offset - done), 0,
			       (size_t)unreadable.v[i].length);
		are_zeros = !memcmp(page, zeros, (size_t)length);
	}
	pmr_ranges_release(&unreadable);
	return ret ? ret : are_zeros;
}

static enum pmr_zeroed_file look_whole(struct pmr_ctx *ctx, const struct pmr_topology *topology,
				       struct pmr_zeros_entry *entry)
{
	const struct pmr_device *device = find_device(topology, &entry->zeros);
	enum pmr_zeroed_file now = PMR_ZEROED_FILE_SAME;
	struct pmr_media *media = NULL;
	int ret = 0;

	if (!device)
		return PMR_ZEROED_FILE_GONE;
	if (device->size != entry->zeros.file.size) {
		snprintf(entry->differences, sizeof(entry->differences), "size");
		return PMR_ZEROED_FILE_CHANGED;
	}
	if (pmr_media_open(ctx, device, &media))
		return PMR_ZEROED_FILE_UNKNOWN;
	for (size_t i = 0; i < entry->zeros.n_ranges && ret >= 0; i++) {
		const struct pmr_earlier_range *at = &entry->zeros.ranges[i].at;

		ret = has_zeros(media, device, &(struct pmr_range){ at->offset, at->length });
		if (!ret)
			now = PMR_ZEROED_FILE_CHANGED;
	}
	pmr_media_close(media);
	if (ret < 0)
		return PMR_ZEROED_FILE_UNKNOWN;
	if (now == PMR_ZEROED_FILE_CHANGED)
		snprintf(entry->differences, sizeof(entry->differences), "bytes");
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
		if (!zeros->file.whole_device)
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
			entry->now = entry->zeros.file.whole_device
					     ? look_whole(zeroes->ctx, topology, entry)
					     : look(topology, entry);
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

static int add_whole(struct pmr_scan *scan, const struct pmr_zeros *zeros)
{
	struct pmr_device *device = find_device(scan->topology, zeros);
	struct pmr_ranges ranges = { 0 };
	int ret = 0;

	for (size_t i = 0; i < zeros->n_ranges && !ret; i++)
		ret = pmr_ranges_add(&ranges, zeros->ranges[i].at.offset,
				     zeros->ranges[i].at.length);
	pmr_ranges_normalize(&ranges);
	for (size_t i = 0; i < scan->n_devices && !ret; i++)
		if (scan->devices[i] == device)
			ret = pmr_scan_whole_zeros(scan, device, &ranges);
	pmr_ranges_release(&ranges);
	return ret;
}

int pmr_scan_add_zeroes(struct pmr_ctx *ctx, struct pmr_scan *scan, const struct pmr_zeroes *zeroes)
{
	int ret = 0;

	for (size_t i = 0; i < zeroes->list.n && !ret; i++) {
		const struct pmr_zeros_entry *entry = &zeroes->list.v[i];

		if (entry->error || entry->is_left_out || entry->now != PMR_ZEROED_FILE_SAME)
			continue;
		ret = entry->zeros.file.whole_device ? add_whole(scan, &entry->zeros)
						     : add_file(ctx, scan, entry);
	}
	return ret;
}
