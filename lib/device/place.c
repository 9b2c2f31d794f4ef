/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does a file lie on a damaged device, or on what is built on it?
 */
#include <dirent.h>
#include <libmount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "private.h"

#define MAX_STACK 8 /* device mapper over partition over ... */

static dev_t read_devno(int directory, const char *name)
{
	char path[512];
	dev_t devno = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", directory, name);
	pmr_sysfs_devno(path, &devno);
	return devno;
}

static bool lies_on(dev_t devno, dev_t device, unsigned int depth);

/* whether @devno is a loop device whose image lies on @device */
static bool is_image_on(dev_t devno, dev_t device, unsigned int depth)
{
	char path[128], *image = NULL;
	struct stat st;
	size_t length;
	bool found = false;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/loop/backing_file", major(devno),
		 minor(devno));
	if (!pmr_read_text(path, 8192, &image, &length)) {
		image[strcspn(image, "\n")] = '\0';
		/* the image may be a device itself, whose node lies anywhere */
		found = !stat(image, &st) &&
			lies_on(S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev, device, depth + 1);
	}
	free(image);
	return found;
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
	if (is_image_on(devno, device, depth))
		return true;
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

/*
 * The block device of a mounted filesystem whose files have no block device's number, such as btrfs (of several
 * devices the one it was mounted by); 0 where there is none, as with network filesystems.
 */
static dev_t mounted_device(dev_t devno)
{
	struct libmnt_table *table = mnt_new_table_from_file("/proc/self/mountinfo");
	struct libmnt_fs *fs;
	const char *source;
	struct stat st;
	dev_t found = 0;

	fs = table ? mnt_table_find_devno(table, devno, MNT_ITER_BACKWARD) : NULL;
	source = fs ? mnt_fs_get_srcpath(fs) : NULL;
	if (source && !stat(source, &st) && S_ISBLK(st.st_mode))
		found = st.st_rdev;
	mnt_unref_table(table);
	return found;
}

/* The directory that an overlay writes to, as it was named when that was mounted; false where it is no overlay's. */
static bool overlaid(dev_t devno, struct stat *upper)
{
	struct libmnt_table *table = mnt_new_table_from_file("/proc/self/mountinfo");
	char *value = NULL, *path = NULL;
	struct libmnt_fs *fs;
	bool found = false;
	size_t length = 0;

	fs = table ? mnt_table_find_devno(table, devno, MNT_ITER_BACKWARD) : NULL;
	if (fs && !mnt_fs_get_option(fs, "upperdir", &value, &length) && value)
		path = strndup(value, length);
	if (path)
		found = !stat(path, upper);
	free(path);
	mnt_unref_table(table);
	return found;
}

/* What lies below a mapped device is damaged, too: other volumes of it are no better a place. */
static bool lies_on_device(dev_t devno, const struct pmr_device *device)
{
	bool found = lies_on(devno, device->devno, 0);

	for (size_t i = 0; !found && i < device->n_lowers; i++)
		found = lies_on_device(devno, device->lowers[i]);
	return found;
}

bool pmr_place_is_on(const struct stat *st, const struct pmr_filesystem *filesystem)
{
	struct stat here = *st, upper;
	dev_t below;

	for (unsigned int depth = 0; depth < MAX_STACK; depth++) {
		if (here.st_dev == filesystem->devno)
			return true;
		below = major(here.st_dev) ? here.st_dev : mounted_device(here.st_dev);
		if (below)
			return lies_on_device(below, filesystem->device);
		if (!overlaid(here.st_dev, &upper))
			return false;
		here = upper;
	}
	return false;
}
