/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pages make FILE MIB: a file whose pages all differ.
 * pages list FILE COUNT: "sector count" lines with one bad sector in each of COUNT pages, spread over the file.
 * pages write FILE COUNT: 4 KiB writes over the same pages and one fsync: what a repair of them is measured against.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, SECTOR = 512, EXTENTS = 256, WORDS = PAGE / sizeof(uint64_t), MIB_PAGES = 256 };

/*
 * The kernel shows no more than 4095 bytes of a list and keeps 512 records. Of so many pages the first few are neighbours
 * whose bad sectors touch, and so one record.
 */
static bool is_paired(uint64_t n, uint64_t count)
{
	return count > 500 && n < 16;
}

static uint64_t page_of(uint64_t n, uint64_t count, uint64_t pages)
{
	uint64_t step = pages / count;

	return is_paired(n, count) ? n / 2 * 2 * step + n % 2 : n * step + n * 7 % step;
}

static uint64_t sector_in(uint64_t n, uint64_t count)
{
	return is_paired(n, count) ? (n % 2 ? 0 : PAGE / SECTOR - 1) : n % (PAGE / SECTOR);
}

static void fill(uint64_t *page, uint64_t number)
{
	for (uint64_t i = 0; i < WORDS; i++)
		page[i] = (number * WORDS + i) * 0x9e3779b97f4a7c15u + 1;
}

static int open_file(const char *path, int flags, uint64_t *pages)
{
	int fd = open(path, flags, 0644);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", path);
	*pages = (uint64_t)st.st_size / PAGE;
	return fd;
}

static void finish(int fd, const char *path)
{
	if (fsync(fd) || close(fd))
		err(1, "%s", path);
}

static void make(const char *path, uint64_t mib)
{
	static uint64_t buffer[MIB_PAGES * WORDS];
	uint64_t pages;
	int fd = open_file(path, O_RDWR | O_CREAT | O_TRUNC, &pages);

	if (posix_fallocate(fd, 0, (off_t)mib << 20))
		errx(1, "%s: no space", path);
	for (uint64_t i = 0; i < mib; i++) {
		for (uint64_t page = 0; page < MIB_PAGES; page++)
			fill(buffer + page * WORDS, i * MIB_PAGES + page);
		if (pwrite(fd, buffer, sizeof(buffer), (off_t)i << 20) != (ssize_t)sizeof(buffer))
			err(1, "%s", path);
	}
	finish(fd, path);
}

static uint64_t device_sector(const struct fiemap *map, uint64_t offset)
{
	for (uint32_t i = 0; i < map->fm_mapped_extents; i++) {
		const struct fiemap_extent *extent = &map->fm_extents[i];

		if (offset >= extent->fe_logical && offset < extent->fe_logical + extent->fe_length)
			return (extent->fe_physical + offset - extent->fe_logical) / SECTOR;
	}
	errx(1, "nothing at %llu", (unsigned long long)offset);
}

static void list(const char *path, uint64_t count)
{
	struct fiemap *map = calloc(1, sizeof(*map) + EXTENTS * sizeof(map->fm_extents[0]));
	uint64_t pages, offset;
	int fd = open_file(path, O_RDONLY, &pages);

	if (!map)
		err(1, "%s", path);
	map->fm_length = FIEMAP_MAX_OFFSET;
	map->fm_flags = FIEMAP_FLAG_SYNC;
	map->fm_extent_count = EXTENTS;
	if (ioctl(fd, FS_IOC_FIEMAP, map))
		err(1, "%s: FIEMAP", path);
	for (uint64_t n = 0; n < count; n++) {
		offset = page_of(n, count, pages) * PAGE + sector_in(n, count) * SECTOR;
		printf("%llu 1\n", (unsigned long long)device_sector(map, offset));
	}
	free(map);
	close(fd);
}

static void write_pages(const char *path, uint64_t count)
{
	uint64_t pages, number, page[WORDS];
	int fd = open_file(path, O_RDWR, &pages);

	for (uint64_t n = 0; n < count; n++) {
		number = page_of(n, count, pages);
		fill(page, number);
		if (pwrite(fd, page, PAGE, (off_t)(number * PAGE)) != PAGE)
			err(1, "%s", path);
	}
	finish(fd, path);
}

int main(int argc, char **argv)
{
	uint64_t number = argc == 4 ? strtoull(argv[3], NULL, 0) : 0;

	if (number && !strcmp(argv[1], "make"))
		make(argv[2], number);
	else if (number && !strcmp(argv[1], "list"))
		list(argv[2], number);
	else if (number && !strcmp(argv[1], "write"))
		write_pages(argv[2], number);
	else
		errx(2, "usage: pages make FILE MIB | pages list|write FILE COUNT");
	return 0;
}
