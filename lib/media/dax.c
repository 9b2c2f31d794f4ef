/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a device-dax instance is right now: its number, size and alignment, and where its bytes lie, by sysfs. */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private.h"
#include "device/topology.h"

static int read_range(const char *directory, const char *name, uint64_t page,
		      struct pmr_dax_range *range)
{
	uint64_t start, end, pages;
	char *path;
	int err;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		return -ENOMEM;
	err = pmr_sysfs_number(path, "start", &start);
	if (!err)
		err = pmr_sysfs_number(path, "end", &end);
	if (!err)
		err = pmr_sysfs_number(path, "page_offset", &pages);
	free(path);
	/* the end is the last byte */
	if (!err && (end < start || end == UINT64_MAX ||
		     __builtin_mul_overflow(pages, page, &range->offset)))
		err = -EINVAL;
	if (err)
		return err;
	range->address = start;
	range->length = end - start + 1;
	return 0;
}

static bool is_mapping(const char *name)
{
	size_t length = strlen("mapping");

	return !strncmp(name, "mapping", length) && name[length] &&
	       strspn(name + length, "0123456789") == strlen(name + length);
}

/* Kernels before 5.10 have no such directories. What cannot be read of one leaves all of them unknown. */
static int read_ranges(const char *directory, struct pmr_devdax *dax)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct dirent *entry;
	size_t alloc = 0;
	int err = 0;
	DIR *dir;

	dir = opendir(directory);
	if (!dir)
		return -errno;
	while (!err && (entry = readdir(dir))) {
		if (!is_mapping(entry->d_name))
			continue;
		dax->has_ranges = true;
		err = pmr_grow(&dax->ranges, dax->n, &alloc, sizeof(*dax->ranges));
		if (!err)
			err = read_range(directory, entry->d_name, page, &dax->ranges[dax->n]);
		if (!err)
			dax->n++;
	}
	closedir(dir);
	if (err && err != -ENOMEM)
		dax->n = 0;
	return err == -ENOMEM ? err : 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct pmr_dax_range *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

bool pmr_dax_settle(struct pmr_devdax *dax)
{
	uint64_t end = 0;
	size_t i;

	if (!dax->n)
		return true;
	qsort(dax->ranges, dax->n, sizeof(*dax->ranges), compare_ranges);
	for (i = 0; i < dax->n; i++) {
		if (dax->ranges[i].offset != end || !dax->ranges[i].length ||
		    __builtin_add_overflow(end, dax->ranges[i].length, &end))
			return false;
	}
	return end == dax->size;
}

int pmr_dax_read(const char *directory, struct pmr_devdax *dax)
{
	struct pmr_devdax made = { 0 };
	int err;

	err = pmr_sysfs_number(directory, "size", &made.size);
	if (!err)
		err = pmr_sysfs_devno(directory, &made.devno);
	if (!err)
		err = read_ranges(directory, &made);
	if (err) {
		pmr_dax_release(&made);
		return err;
	}
	if (pmr_sysfs_number(directory, "align", &made.align))
		made.align = 0;
	if (!pmr_dax_settle(&made))
		made.n = 0;
	/* of the namespace that it is made of */
	if (pmr_sysfs_line(directory, "../uuid", &made.uuid))
		made.uuid = NULL;
	*dax = made;
	return 0;
}

void pmr_dax_release(struct pmr_devdax *dax)
{
	free(dax->ranges);
	free(dax->uuid);
	*dax = (struct pmr_devdax){ 0 };
}

static char *directory_of(const struct pmr_device *device)
{
	char *path;

	return asprintf(&path, "/sys/bus/dax/devices/%s", device->name) < 0 ? NULL : path;
}

int pmr_dax_find(struct pmr_device *device)
{
	char *directory = directory_of(device);
	int err;

	if (!directory)
		return -ENOMEM;
	err = pmr_dax_read(directory, &device->own->dax);
	free(directory);
	return err;
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

int pmr_dax_check(const struct pmr_device *device)
{
	const struct pmr_devdax *then = &device->own->dax;
	char *directory = directory_of(device);
	struct pmr_devdax now = { 0 };
	int err;

	if (!directory)
		return -ENOMEM;
	err = pmr_dax_read(directory, &now);
	free(directory);
	if (err)
		return err == -ENOMEM ? err : -ENODEV;
	if (now.size != then->size || now.devno != then->devno ||
	    (now.align && now.align != then->align) || now.n != then->n ||
	    !is_same_text(now.uuid, then->uuid) ||
	    (now.n && memcmp(now.ranges, then->ranges, now.n * sizeof(*now.ranges))))
		err = -ESTALE;
	pmr_dax_release(&now);
	return err;
}

bool pmr_device_is_dax(const struct pmr_device *device)
{
	return device->own && device->own->dax.devno;
}
