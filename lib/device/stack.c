/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Block devices as sysfs shows them: whole disks, partitions, and what is built of other block devices. */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "private.h"
#include "topology.h"

/* Of the devices below a stack as many are named as a person reads. */
#define NAMED_BELOW 4

static bool has_entry(const char *directory, const char *name)
{
	char *path;
	bool found;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		return false;
	found = access(path, F_OK) == 0;
	free(path);
	return found;
}

/* 0 where there is none */
static dev_t get_devno(const char *directory)
{
	dev_t devno = 0;

	pmr_sysfs_devno(directory, &devno);
	return devno;
}

/* sysfs writes the '/' of names such as "cciss/c0d0" as '!'. */
static void swap_slashes(char *name, char from, char to)
{
	for (; *name; name++) {
		if (*name == from)
			*name = to;
	}
}

static char *to_name(const char *directory)
{
	char *name = strdup(strrchr(directory, '/') + 1);

	if (name)
		swap_slashes(name, '!', '/');
	return name;
}

static char *to_directory(const char *name)
{
	static const char prefix[] = "/sys/class/block/";
	char *path;

	if (asprintf(&path, "%s%s", prefix, name) < 0)
		return NULL;
	swap_slashes(path + strlen(prefix), '/', '!');
	return path;
}

static bool is_held(const char *directory)
{
	struct dirent *entry;
	bool found = false;
	char *path;
	DIR *dir;

	if (asprintf(&path, "%s/holders", directory) < 0)
		return false;
	dir = opendir(path);
	free(path);
	while (!found && dir && (entry = readdir(dir)))
		found = entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return found;
}

/* @directory: of the block device; cut to its disk's when it is a partition. */
static int fill_block(char *directory, struct pmr_block *block)
{
	uint64_t number, sectors;
	int err;

	block->devno = get_devno(directory);
	block->name = to_name(directory);
	if (!block->name)
		return -ENOMEM;
	err = pmr_sysfs_number(directory, "size", &sectors);
	if (err)
		return err;
	if (__builtin_mul_overflow(sectors, PMR_SECTOR, &block->size))
		return -EOVERFLOW;
	block->read_only = pmr_sysfs_number(directory, "ro", &number) == 0 && number;
	block->held = is_held(directory);

	if (has_entry(directory, "partition")) {
		err = pmr_sysfs_number(directory, "start", &sectors);
		if (err)
			return err;
		if (__builtin_mul_overflow(sectors, PMR_SECTOR, &block->start))
			return -EOVERFLOW;
		*strrchr(directory, '/') = '\0';
	}
	block->disk = get_devno(directory);
	block->disk_name = to_name(directory);
	if (!block->disk_name)
		return -ENOMEM;
	err = pmr_sysfs_number(directory, "size", &sectors);
	if (err)
		return err;
	if (__builtin_mul_overflow(sectors, PMR_SECTOR, &block->disk_size))
		return -EOVERFLOW;
	block->logical_block = PMR_SECTOR;
	if (pmr_sysfs_number(directory, "queue/logical_block_size", &number) == 0)
		block->logical_block = number;
	block->dax = pmr_sysfs_number(directory, "queue/dax", &number) == 0 && number;
	return 0;
}

int pmr_block_get(dev_t devno, struct pmr_block *block)
{
	struct pmr_block made = { 0 };
	char *path, *directory;
	int err;

	if (asprintf(&path, "/sys/dev/block/%u:%u", major(devno), minor(devno)) < 0)
		return -ENOMEM;
	directory = realpath(path, NULL);
	err = directory ? 0 : -errno;
	free(path);
	if (!err)
		err = fill_block(directory, &made);
	free(directory);
	if (err) {
		pmr_block_release(&made);
		return err == -ENOENT ? -ENODEV : err;
	}
	*block = made;
	return 0;
}

void pmr_block_release(struct pmr_block *block)
{
	free(block->name);
	free(block->disk_name);
	memset(block, 0, sizeof(*block));
}

dev_t pmr_block_devno(const char *name)
{
	char *directory = to_directory(name);
	dev_t devno;

	if (!directory)
		return 0;
	devno = get_devno(directory);
	free(directory);
	return devno;
}

char *pmr_block_path(const char *name)
{
	char *path;

	return asprintf(&path, "/dev/%s", name) < 0 ? NULL : path;
}

static int visit_partition(const char *disk, const char *entry,
			   int (*fn)(void *data, const struct pmr_block *partition), void *data)
{
	struct pmr_block block = { 0 };
	char *directory;
	dev_t devno = 0;
	int err;

	if (asprintf(&directory, "%s/%s", disk, entry) < 0)
		return -ENOMEM;
	if (has_entry(directory, "partition"))
		devno = get_devno(directory);
	free(directory);
	if (!devno)
		return 0;
	err = pmr_block_get(devno, &block);
	/* Partitions come and go; what is gone is no partition. */
	if (err)
		return err == -ENOMEM ? err : 0;
	err = fn(data, &block);
	pmr_block_release(&block);
	return err;
}

int pmr_block_partitions(const char *disk, int (*fn)(void *data, const struct pmr_block *partition),
			 void *data)
{
	char *directory = to_directory(disk);
	struct dirent *entry;
	DIR *dir;
	int err = 0;

	if (!directory)
		return -ENOMEM;
	dir = opendir(directory);
	while (!err && dir && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.' && entry->d_type == DT_DIR)
			err = visit_partition(directory, entry->d_name, fn, data);
	}
	if (dir)
		closedir(dir);
	free(directory);
	return err;
}

/* "pmem0, pmem1", NULL without memory, empty when it stands on nothing. */
static char *list_below(const char *directory)
{
	struct dirent *entry;
	unsigned int n = 0;
	char *path, *list, *longer;
	DIR *dir;

	if (asprintf(&path, "%s/slaves", directory) < 0)
		return NULL;
	dir = opendir(path);
	free(path);
	list = strdup("");
	while (list && dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (asprintf(&longer, "%s%s%s", list, n ? ", " : "",
			     n == NAMED_BELOW ? "..." : entry->d_name) < 0)
			longer = NULL;
		free(list);
		list = longer;
		if (n++ == NAMED_BELOW)
			break;
	}
	if (dir)
		closedir(dir);
	return list;
}

char *pmr_block_below(const char *disk)
{
	char *directory = to_directory(disk), *below = NULL;

	if (directory)
		below = list_below(directory);
	free(directory);
	return below;
}

static int is_entry(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Names of block devices are links; what has gone since it was listed is none. */
static int visit_all(const char *path, const char *prefix,
		     int (*fn)(void *data, const struct pmr_block *block), void *data)
{
	struct pmr_block block = { 0 };
	struct dirent **entries;
	int n, i, err = 0;

	n = scandir(path, &entries, is_entry, versionsort);
	if (n < 0)
		return errno == ENOMEM ? -ENOMEM : 0;
	for (i = 0; i < n; i++) {
		if (!err && strncmp(entries[i]->d_name, prefix, strlen(prefix)) == 0) {
			err = pmr_block_get(pmr_block_devno(entries[i]->d_name), &block);
			if (!err)
				err = fn(data, &block);
			else if (err != -ENOMEM)
				err = 0;
			pmr_block_release(&block);
		}
		free(entries[i]);
	}
	free(entries);
	return err;
}

int pmr_block_relations(const char *name, const char *which,
			int (*fn)(void *data, const struct pmr_block *block), void *data)
{
	char *directory = to_directory(name), *path = NULL;
	int err = -ENOMEM;

	if (directory && asprintf(&path, "%s/%s", directory, which) >= 0)
		err = visit_all(path, "", fn, data);
	else
		path = NULL;
	free(path);
	free(directory);
	return err;
}

int pmr_block_each(const char *prefix, int (*fn)(void *data, const struct pmr_block *block),
		   void *data)
{
	return visit_all("/sys/class/block", prefix, fn, data);
}

static const struct {
	const char *prefix;
	const char *layer;
} layers[] = {
	{ "md", "md RAID" },
	{ "bcache", "bcache" },
	{ "drbd", "DRBD" },
};

static const char *find_layer(const char *name, const char *below)
{
	size_t i;

	for (i = 0; i < sizeof(layers) / sizeof(*layers); i++) {
		if (strncmp(name, layers[i].prefix, strlen(layers[i].prefix)) == 0)
			return layers[i].layer;
	}
	return *below ? "a stack of block devices" : NULL;
}

int pmr_stack_check(struct pmr_ctx *ctx, const struct pmr_block *block, const char *object)
{
	char *directory = to_directory(block->disk_name);
	char *below = NULL;
	const char *layer;
	int err = 0;

	if (directory)
		below = list_below(directory);
	if (!below) {
		err = -ENOMEM;
		goto out;
	}
	layer = find_layer(block->disk_name, below);
	if (!layer)
		goto out;
	err = -EOPNOTSUPP;
	if (object)
		pmr_say(ctx, PMR_ERROR, "unsupported-stack", object,
			"lies on %s (%s%s%s), which badblocks cannot be followed through", layer,
			block->disk_name, *below ? " over " : "", below);
out:
	free(below);
	free(directory);
	return err;
}
