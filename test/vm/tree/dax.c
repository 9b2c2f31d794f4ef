// SPDX-License-Identifier: GPL-2.0-or-later
/* dax.c: the bytes of a device-dax, which has no read and no write; and which of them to poison. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tree.h"

/* What it is spoiled with, as what a clear leaves is no data either. */
#define SPOILED 0xc1

static size_t size_of(const char *device)
{
	char *path = must_format("/sys/bus/dax/devices/%s/size", strrchr(device, '/') + 1);
	FILE *f = fopen(path, "re");
	size_t size;

	if (!f || fscanf(f, "%zu", &size) != 1)
		die("%s: cannot be read", path);
	fclose(f);
	free(path);
	return size;
}

static char *must_map(const char *device, size_t *size)
{
	int fd = must_open(device, O_RDWR);
	void *at;

	*size = size_of(device);
	at = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		die("%s: cannot be mapped: %s", device, strerror(errno));
	close(fd);
	return at;
}

int verb_store(int argc, char **argv)
{
	int fd = must_open(argv[1], O_RDONLY);
	char *at, *bytes;
	size_t size, n;

	(void)argc;
	at = must_map(argv[0], &size);
	bytes = must_alloc(size, 1);
	n = must_pread(fd, argv[1], bytes, size, 0);
	memcpy(at, bytes, n);
	free(bytes);
	close(fd);
	return 0;
}

int verb_load(int argc, char **argv)
{
	size_t size, done = 0;
	char *at;
	ssize_t n;

	(void)argc;
	at = must_map(argv[0], &size);
	for (; done < size; done += (size_t)n) {
		n = write(STDOUT_FILENO, at + done, size - done < 65536 ? size - done : 65536);
		if (n <= 0)
			die("standard output: %s", strerror(errno));
	}
	return 0;
}

int verb_spoil(int argc, char **argv)
{
	FILE *list = fopen(argv[1], "re");
	size_t size, sector, count;
	char *at;

	(void)argc;
	at = must_map(argv[0], &size);
	while (list && fscanf(list, "%zu %zu", &sector, &count) == 2)
		memset(at + sector * SECTOR, SPOILED, count * SECTOR);
	/* The last line may be a comment. */
	if (!list)
		die("%s: cannot open: %s", argv[1], strerror(errno));
	fclose(list);
	return 0;
}

int verb_hold(int argc, char **argv)
{
	size_t size;
	char *at = must_map(argv[0], &size);

	(void)argc;
	puts(at[0] ? "held" : "held, and zero");
	fflush(stdout);
	pause();
	return 0;
}

/* ---- poison */

/* What a run of bad sectors can be. */
enum shape {
	SHAPE_SINGLE,
	SHAPE_APART, /* two in a page, and good ones between them */
	SHAPE_ACROSS, /* the border of two pages */
	SHAPE_PAGE, /* a whole one */
	SHAPE_PAGES, /* more than that, with parts at both ends */
	SHAPE_HUGE, /* across a border of 2 MiB, where mappings end */
	SHAPE_FIRST, /* of the device */
	SHAPE_LAST,
	N_SHAPES,
};

static const struct {
	const char *name;
	unsigned int most;
} shapes[N_SHAPES] = {
	[SHAPE_SINGLE] = { "single", 12 }, [SHAPE_APART] = { "apart", 6 },
	[SHAPE_ACROSS] = { "across", 6 },  [SHAPE_PAGE] = { "page", 4 },
	[SHAPE_PAGES] = { "pages", 3 },	   [SHAPE_HUGE] = { "huge", 2 },
	[SHAPE_FIRST] = { "first", 1 },	   [SHAPE_LAST] = { "last", 1 },
};

enum { SECTORS_IN_HUGE = (2 << 20) / SECTOR };

static void mark(bool *bad, uint64_t sector, uint64_t count)
{
	for (; count; count--)
		bad[sector++] = true;
}

static void mark_shape(struct prng *prng, bool *bad, uint64_t n_sectors, enum shape shape)
{
	/* Never the first page or the last one, which have shapes of their own. */
	uint64_t page = prng_between(prng, 1, n_sectors / SECTORS_IN_BLOCK - 4) * SECTORS_IN_BLOCK;
	uint64_t before = prng_between(prng, 1, SECTORS_IN_BLOCK - 1), border;

	switch (shape) {
	case SHAPE_SINGLE:
		mark(bad, page + before, 1);
		break;
	case SHAPE_APART:
		mark(bad, page, 1);
		mark(bad, page + prng_between(prng, 2, SECTORS_IN_BLOCK - 1), 1);
		break;
	case SHAPE_ACROSS:
		mark(bad, page + before, SECTORS_IN_BLOCK - before + prng_between(prng, 1, 7));
		break;
	case SHAPE_PAGE:
		mark(bad, page, SECTORS_IN_BLOCK);
		break;
	case SHAPE_PAGES:
		mark(bad, page + before, 2 * SECTORS_IN_BLOCK);
		break;
	case SHAPE_HUGE:
		border = prng_between(prng, 1, n_sectors / SECTORS_IN_HUGE - 1) * SECTORS_IN_HUGE;
		mark(bad, border - before, before + prng_between(prng, 1, 12));
		break;
	case SHAPE_FIRST:
		mark(bad, 0, prng_between(prng, 1, 3));
		break;
	default:
		mark(bad, n_sectors - before, before);
		break;
	}
}

/* Each shape but the device's ends at least once. */
static void mark_all(struct prng *prng, bool *bad, uint64_t n_sectors, unsigned int *counts)
{
	enum shape shape;
	unsigned int n;

	for (shape = 0; shape < N_SHAPES; shape++) {
		counts[shape] =
			(unsigned int)prng_between(prng, shape < SHAPE_FIRST, shapes[shape].most);
		for (n = 0; n < counts[shape]; n++)
			mark_shape(prng, bad, n_sectors, shape);
	}
}

static struct expect expect_dax(const char *device, size_t size, const bool *bad)
{
	struct expect expect = { .mount = must_format("%s", "/dev"),
				 .device = must_format("%s", device) };
	uint64_t i;

	expect.files = must_alloc(1, sizeof(*expect.files));
	expect.n_files = 1;
	expect.files[0] =
		(struct file){ .path = must_format("%s", strrchr(device, '/') + 1), .size = size };
	expect.lost = must_alloc(size / SECTOR, sizeof(*expect.lost));
	expect.aside = must_alloc(size / SECTOR, sizeof(*expect.aside));
	for (i = 0; i < size / SECTOR; i++) {
		if (!bad[i])
			continue;
		expect.lost[expect.n_lost++] = (struct lost){ 0, i * SECTOR, SECTOR, i, false };
		expect.aside[expect.n_aside++] = (struct aside){ must_format("%s", "device"), i };
	}
	return expect;
}

int verb_poison_dax(int argc, char **argv)
{
	struct prng prng = { strtoull(argv[0], NULL, 0) ^ 0xda7 };
	size_t size = size_of(argv[1]), n_sectors = size / SECTOR, i, n;
	unsigned int counts[N_SHAPES], records = 0;
	bool *bad = must_alloc(n_sectors, sizeof(*bad));
	struct expect expect;
	enum shape shape;

	(void)argc;
	mark_all(&prng, bad, n_sectors, counts);
	expect = expect_dax(argv[1], size, bad);
	expect_write(&expect, argv[2]);
	for (i = 0; i < n_sectors; i += n) {
		for (n = 1; i + n < n_sectors && bad[i + n] == bad[i]; n++)
			;
		if (bad[i])
			printf("%zu %zu\n", i, n);
		records += bad[i];
	}
	printf("# bad=%zu records=%u", expect.n_lost, records);
	for (shape = 0; shape < N_SHAPES; shape++)
		printf(" %s=%u", shapes[shape].name, counts[shape]);
	printf("\n");
	return 0;
}
