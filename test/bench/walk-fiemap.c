/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What anybody would write: nftw, FIEMAP of every file, in one thread.
 *
 * walk-fiemap find DIR LIST: how many files have bytes that are in a list of "sector count" lines.
 * walk-fiemap pick DIR COUNT LIST [COUNT LIST]...: makes such lists, of one sector in each of COUNT extents of files, chosen
 * at random, the same ones each time.
 */
#include <err.h>
#include <fcntl.h>
#include <ftw.h>
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

enum { SECTOR = 512, BATCH = 512 };

struct span {
	uint64_t start;
	uint64_t length;
};

struct spans {
	struct span *v;
	size_t n;
	size_t alloc;
};

/* nftw hands nothing on to its callback. */
static struct {
	struct fiemap *map;
	struct spans spans; /* find: the list; pick: the extents so far */
	bool is_pick;
	unsigned long found;
} walk;

static void add(struct spans *spans, uint64_t start, uint64_t length)
{
	if (spans->n == spans->alloc) {
		spans->alloc = spans->alloc ? spans->alloc * 2 : 1024;
		spans->v = realloc(spans->v, spans->alloc * sizeof(spans->v[0]));
		if (!spans->v)
			err(1, "memory");
	}
	spans->v[spans->n++] = (struct span){ start, length };
}

static int by_start(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* Whether anything of the list, which is sorted and whose parts do not touch, lies in these bytes. */
static bool is_hit(const struct spans *list, uint64_t start, uint64_t length)
{
	size_t low = 0, high = list->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (list->v[middle].start + list->v[middle].length <= start)
			low = middle + 1;
		else
			high = middle;
	}
	return low < list->n && list->v[low].start < start + length;
}

/* Whether the file is hit; to pick from, its extents are kept, without what lies behind its end. */
static bool look(int fd, const char *path, uint64_t size)
{
	const struct fiemap_extent *last = NULL;
	struct fiemap *map = walk.map;
	bool hit = false;

	do {
		map->fm_start = last ? last->fe_logical + last->fe_length : 0;
		map->fm_length = FIEMAP_MAX_OFFSET - map->fm_start;
		map->fm_flags = FIEMAP_FLAG_SYNC;
		map->fm_extent_count = BATCH;
		map->fm_mapped_extents = 0;
		if (ioctl(fd, FS_IOC_FIEMAP, map) < 0)
			err(1, "%s: FIEMAP", path);
		for (uint32_t i = 0; i < map->fm_mapped_extents; i++) {
			last = &map->fm_extents[i];
			if (walk.is_pick && last->fe_logical + last->fe_length <= size)
				add(&walk.spans, last->fe_physical, last->fe_length);
			else if (walk.is_pick && last->fe_logical < size)
				add(&walk.spans, last->fe_physical, size - last->fe_logical);
			else if (!walk.is_pick &&
				 is_hit(&walk.spans, last->fe_physical, last->fe_length))
				hit = true;
		}
	} while (map->fm_mapped_extents && !(last->fe_flags & FIEMAP_EXTENT_LAST));
	return hit;
}

static int meet(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	int fd;

	(void)ftw;
	if (type != FTW_F || !S_ISREG(st->st_mode))
		return 0;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	if (look(fd, path, (uint64_t)st->st_size))
		walk.found++;
	close(fd);
	return 0;
}

static void read_list(const char *path)
{
	unsigned long long sector, count;
	FILE *file = fopen(path, "re");

	if (!file)
		err(1, "%s", path);
	while (fscanf(file, "%llu %llu", &sector, &count) == 2)
		add(&walk.spans, sector * SECTOR, count * SECTOR);
	fclose(file);
	qsort(walk.spans.v, walk.spans.n, sizeof(walk.spans.v[0]), by_start);
}

/* splitmix64: the same everywhere for the same seed */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void pick(size_t count, const char *path)
{
	struct span *v = walk.spans.v;
	uint64_t seed = count;
	FILE *file;

	if (count > walk.spans.n)
		errx(1, "%zu extents are too few", walk.spans.n);
	/* the order in which directories are read depends on more than the seed */
	qsort(v, walk.spans.n, sizeof(v[0]), by_start);
	for (size_t i = 0; i < count; i++) {
		size_t other = i + next_random(&seed) % (walk.spans.n - i);
		struct span chosen = v[other];

		v[other] = v[i];
		v[i] = chosen;
	}
	qsort(v, count, sizeof(v[0]), by_start);
	file = fopen(path, "we");
	for (size_t i = 0; file && i < count; i++) {
		/* whole sectors: what straddles the end of a file is another matter */
		uint64_t sectors = v[i].length < SECTOR ? 1 : v[i].length / SECTOR;

		fprintf(file, "%llu 1\n",
			(unsigned long long)(v[i].start / SECTOR + next_random(&seed) % sectors));
	}
	if (!file || fclose(file))
		err(1, "%s", path);
}

int main(int argc, char **argv)
{
	walk.is_pick = argc >= 5 && argc % 2 && !strcmp(argv[1], "pick");
	if (!walk.is_pick && (argc != 4 || strcmp(argv[1], "find")))
		errx(2,
		     "usage: walk-fiemap find DIR LIST | walk-fiemap pick DIR COUNT LIST [COUNT LIST]...");
	if (!walk.is_pick)
		read_list(argv[3]);
	walk.map = calloc(1, sizeof(*walk.map) + BATCH * sizeof(walk.map->fm_extents[0]));
	if (!walk.map)
		err(1, "memory");
	if (nftw(argv[2], meet, 64, FTW_PHYS | FTW_MOUNT))
		err(1, "%s", argv[2]);
	for (int i = 3; walk.is_pick && i < argc; i += 2)
		pick(strtoul(argv[i], NULL, 10), argv[i + 1]);
	if (!walk.is_pick)
		printf("%lu\n", walk.found);
	free(walk.spans.v);
	free(walk.map);
	return 0;
}
