/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * May a journal lie here? Not where a power cut takes it, and not on the device it is to save.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "repair.h"

#define MAX_STACK 8 /* device mapper over partition over ... */

static const struct {
	unsigned long magic;
	const char *name;
} volatile_types[] = {
	{ TMPFS_MAGIC, "tmpfs" },
	{ RAMFS_MAGIC, "ramfs" },
	{ OVERLAYFS_SUPER_MAGIC, "overlay, whose upper layer may be in memory" },
};

static dev_t read_devno(int directory, const char *name)
{
	unsigned int major_number, minor_number;
	char path[512], *text = NULL;
	dev_t devno = 0;
	size_t length;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s/dev", directory, name);
	if (!pmr_read_text(path, 64, &text, &length) &&
	    sscanf(text, "%u:%u", &major_number, &minor_number) == 2)
		devno = makedev(major_number, minor_number);
	free(text);
	return devno;
}

/* whether @devno is, or is built on, the whole block device @device */
static bool lies_on(dev_t devno, dev_t device, unsigned int depth)
{
	struct dirent *entry;
	bool found = false;
	char path[128];
	DIR *slaves;
	dev_t below;

	if (!device || depth > MAX_STACK)
		return false;
	if (devno == device)
		return true;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(devno), minor(devno));
	if (!access(path, F_OK)) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(devno), minor(devno));
		slaves = opendir(path);
		below = slaves ? read_devno(dirfd(slaves), "..") : 0;
		if (slaves)
			closedir(slaves);
		return below && lies_on(below, device, depth + 1);
	}
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/slaves", major(devno), minor(devno));
	slaves = opendir(path);
	if (!slaves)
		return false;
	while (!found && (entry = readdir(slaves))) {
		if (entry->d_name[0] == '.')
			continue;
		below = read_devno(dirfd(slaves), entry->d_name);
		found = below && lies_on(below, device, depth + 1);
	}
	closedir(slaves);
	return found;
}

int pmr_place_check(struct pmr_ctx *ctx, int directory, const char *name,
		    const struct pmr_plan *plan)
{
	const struct pmr_filesystem *fs;
	struct statfs sf;
	struct stat st;

	if (fstat(directory, &st) < 0 || fstatfs(directory, &sf) < 0) {
		int ret = -errno;

		pmr_say(ctx, PMR_ERROR, "journal", name, "cannot be looked at: %s", strerror(-ret));
		return ret;
	}
	for (size_t i = 0; i < sizeof(volatile_types) / sizeof(volatile_types[0]); i++)
		if ((unsigned long)sf.f_type == volatile_types[i].magic) {
			pmr_say(ctx, PMR_ERROR, "journal-volatile", name,
				"lies on %s: a journal there does not survive a power cut; name a directory on a disk with --journal",
				volatile_types[i].name);
			return -EINVAL;
		}
	for (size_t i = 0; i < plan->n_files; i++) {
		if (!plan->files[i].n_steps)
			continue;
		fs = plan->files[i].file->filesystem;
		if (st.st_dev == fs->devno || lies_on(st.st_dev, fs->device->devno, 0)) {
			pmr_say(ctx, PMR_ERROR, "journal-on-target", name,
				"lies on the damaged device %s: name a directory on another disk with --journal",
				fs->device->name);
			return -EINVAL;
		}
	}
	return 0;
}

/* From the region's list, with its source. */
static int place_list(const struct pmr_region *region, uint64_t offset, uint64_t length,
		      struct pmr_badblocks *list)
{
	struct pmr_badblocks made = { 0 };
	int err;

	err = pmr_place_badblocks(&region->badblocks, offset, length, &made);
	if (err)
		return err;
	if (region->badblocks.source) {
		made.source = strdup(region->badblocks.source);
		if (!made.source) {
			pmr_badblocks_release(&made);
			return -ENOMEM;
		}
	}
	pmr_badblocks_release(list);
	*list = made;
	return 0;
}

/* Poison ahead of the device's first byte; all of it where a BTT hides which block it hit. */
static int place_metadata(struct pmr_device *device)
{
	bool is_mapped = device->enabled && device->mode == PMR_MODE_SECTOR;

	if (!is_mapped && device->data_offset == 0) {
		pmr_badblocks_release(&device->metadata_badblocks);
		device->metadata_badblocks.trust = PMR_LIST_COMPLETE;
		return 0;
	}
	return place_list(device->region, device->own->ns_offset,
			  is_mapped ? device->ns_size : device->data_offset,
			  &device->metadata_badblocks);
}

static int place_sector(struct pmr_device *device)
{
	const struct pmr_badblocks *inside = &device->metadata_badblocks;
	int err;

	err = place_list(device->region, 0, 0, &device->badblocks);
	if (err)
		return err;
	if (device->badblocks.trust == PMR_LIST_COMPLETE &&
	    (inside->ranges.n || inside->trust != PMR_LIST_COMPLETE)) {
		device->badblocks.trust = PMR_LIST_INCOMPLETE;
		device->badblocks.reason = "region-only";
	}
	return 0;
}

int pmr_place_lists(struct pmr_device *device)
{
	int err;

	err = place_metadata(device);
	if (err || device->from_file || device->own->attribute)
		return err;
	if (device->enabled && device->mode == PMR_MODE_SECTOR)
		return place_sector(device);
	return place_list(device->region, device->region_offset,
			  device->enabled ? device->size : device->ns_size, &device->badblocks);
}
