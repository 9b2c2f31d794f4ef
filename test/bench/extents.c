/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * extents make FILE COUNT STRIDE: a file of COUNT one-block extents, one every STRIDE bytes.
 * extents list FILE: the bare loop of FIEMAP ioctls that a scan of one file is measured against.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BATCH 512

static void make(const char *path, long count, long stride)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

	if (fd < 0)
		err(1, "%s", path);
	/* written so that no two touch, without the bytes: the layout is what matters */
	for (long i = 0; i < count; i++)
		if (fallocate(fd, 0, i * stride, stride / 2))
			err(1, "%s: fallocate", path);
	if (fsync(fd) || close(fd))
		err(1, "%s", path);
}

static void list(const char *path)
{
	struct fiemap *map = calloc(1, sizeof(*map) + BATCH * sizeof(map->fm_extents[0]));
	const struct fiemap_extent *last = NULL;
	int fd = open(path, O_RDONLY);
	unsigned long count = 0;

	if (fd < 0 || !map)
		err(1, "%s", path);
	do {
		map->fm_start = last ? last->fe_logical + last->fe_length : 0;
		map->fm_length = FIEMAP_MAX_OFFSET - map->fm_start;
		map->fm_flags = FIEMAP_FLAG_SYNC;
		map->fm_extent_count = BATCH;
		map->fm_mapped_extents = 0;
		if (ioctl(fd, FS_IOC_FIEMAP, map) < 0)
			err(1, "%s: FIEMAP", path);
		if (!map->fm_mapped_extents)
			break;
		count += map->fm_mapped_extents;
		last = &map->fm_extents[map->fm_mapped_extents - 1];
	} while (!(last->fe_flags & FIEMAP_EXTENT_LAST));
	printf("%lu extents\n", count);
	free(map);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "make"))
		make(argv[2], atol(argv[3]), atol(argv[4]));
	else if (argc == 3 && !strcmp(argv[1], "list"))
		list(argv[2]);
	else
		errx(2, "usage: extents make FILE COUNT STRIDE | extents list FILE");
	return 0;
}
