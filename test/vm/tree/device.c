// SPDX-License-Identifier: GPL-2.0-or-later
/* device.c: partition tables at a place the seed decides; the kernel's list of bad sectors, and its end. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tree.h"

enum { GPT_ENTRIES = 128, GPT_ENTRY_BYTES = 128, GPT_TABLE = GPT_ENTRIES * GPT_ENTRY_BYTES };

/* Linux filesystem data: 0FC63DAF-8483-4772-8E79-3D69D8477DE4 as it stands on disk. */
static const unsigned char linux_data[16] = { 0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47,
					      0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4 };

static void put(unsigned char *at, uint64_t value, unsigned int bytes)
{
	for (; bytes--; value >>= 8)
		*at++ = (unsigned char)value;
}

static uint32_t crc32(const unsigned char *bytes, size_t n)
{
	uint32_t crc = 0xffffffffu;
	int bit;

	while (n--) {
		crc ^= *bytes++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static void must_write(int fd, const char *device, const void *bytes, size_t n, uint64_t sector)
{
	if (pwrite(fd, bytes, n, (off_t)(sector * SECTOR)) != (ssize_t)n)
		die("%s: cannot write: %s", device, strerror(errno));
}

static void write_mbr(int fd, const char *device, unsigned char type, uint64_t first,
		      uint64_t count)
{
	unsigned char mbr[SECTOR] = { 0 };

	mbr[446 + 4] = type;
	put(mbr + 446 + 8, first, 4);
	put(mbr + 446 + 12, count, 4);
	put(mbr + 510, 0xaa55, 2);
	must_write(fd, device, mbr, sizeof(mbr), 0);
}

static void write_gpt_header(int fd, const char *device, const unsigned char *table, uint64_t here,
			     uint64_t other, uint64_t table_at)
{
	uint64_t last = here > other ? here : other;
	unsigned char header[SECTOR] = "EFI PART";

	put(header + 8, 0x10000, 4);
	put(header + 12, 92, 4);
	put(header + 24, here, 8);
	put(header + 32, other, 8);
	put(header + 40, 34, 8);
	put(header + 48, last - 33, 8);
	memset(header + 56, 0x5a, 16);
	put(header + 72, table_at, 8);
	put(header + 80, GPT_ENTRIES, 4);
	put(header + 84, GPT_ENTRY_BYTES, 4);
	put(header + 88, crc32(table, GPT_TABLE), 4);
	put(header + 16, crc32(header, 92), 4);
	must_write(fd, device, table, GPT_TABLE, table_at);
	must_write(fd, device, header, sizeof(header), here);
}

static void write_gpt(int fd, const char *device, uint64_t sectors, uint64_t first, uint64_t count)
{
	unsigned char table[GPT_TABLE] = { 0 };

	memcpy(table, linux_data, sizeof(linux_data));
	memset(table + 16, 0xa5, 16);
	put(table + 32, first, 8);
	put(table + 40, first + count - 1, 8);
	write_mbr(fd, device, 0xee, 1, sectors - 1);
	write_gpt_header(fd, device, table, 1, sectors - 1, 2);
	write_gpt_header(fd, device, table, sectors - 1, 1, sectors - 33);
}

int verb_partition(int argc, char **argv)
{
	struct prng prng = { strtoull(argv[0], NULL, 0) ^ 0x9a27 };
	const char *device = argv[1];
	uint64_t count = strtoull(argv[2], NULL, 0) << 11, first, sectors;
	int fd = must_open(device, O_RDWR);
	/* Every fourth seed has a partition: of them, every other one. */
	bool gpt = strtoull(argv[0], NULL, 0) / 4 % 2;

	if (ioctl(fd, BLKGETSIZE64, &sectors))
		die("%s: no block device: %s", device, strerror(errno));
	sectors /= SECTOR;
	/* DAX wants whole pages, and no more. */
	first = argc > 3 ? strtoull(argv[3], NULL, 0) << 11
			 : 2048 + SECTORS_IN_BLOCK * prng_below(&prng, 5000);
	if (first + count + 64 > sectors)
		die("%s: too small", device);
	if (gpt)
		write_gpt(fd, device, sectors, first, count);
	else
		write_mbr(fd, device, 0x83, first, count);
	if (fsync(fd) || ioctl(fd, BLKRRPART))
		die("%s: the kernel does not read the partition table: %s", device,
		    strerror(errno));
	close(fd);
	printf("%s at sector %lu\n", gpt ? "gpt" : "mbr", first);
	return 0;
}

static uint64_t *read_list(const char *path, size_t *n)
{
	FILE *f = fopen(path, "re");
	uint64_t sector, count, *sectors = NULL;
	size_t alloc = 0;

	*n = 0;
	if (!f)
		die("%s: cannot open: %s", path, strerror(errno));
	while (fscanf(f, "%lu %lu", &sector, &count) == 2) {
		for (; count; count--) {
			sectors = must_grow(sectors, *n, &alloc, sizeof(*sectors));
			sectors[(*n)++] = sector++;
		}
	}
	fclose(f);
	return sectors;
}

uint64_t *listed_sectors_of(const char *device, size_t *n)
{
	char *path = must_format("/sys/block/%s/badblocks", strrchr(device, '/') + 1);
	uint64_t *sectors = read_list(path, n);

	free(path);
	return sectors;
}

uint64_t *listed_sectors(const char *device, size_t *n)
{
	const char *list = getenv("TREE_LIST"), *map = getenv("TREE_MAP");

	if (map && *map)
		return listed_below(map, n);
	return list ? read_list(list, n) : listed_sectors_of(device, n);
}

int verb_inject(int argc, char **argv)
{
	uint64_t offset = argc > 2 ? strtoull(argv[2], NULL, 0) : 0, sector, count;
	FILE *list = fopen(argv[0], "re");
	int knob = must_open(argv[1], O_WRONLY);
	char *line;

	if (!list)
		die("%s: cannot open: %s", argv[0], strerror(errno));
	/* The last line is a comment. */
	while (fscanf(list, "%lu %lu", &sector, &count) == 2) {
		line = argc > 2 ? must_format("%lu,%lu", offset + sector * SECTOR, count * SECTOR)
				: must_format("%lu %lu", sector, count);
		if (pwrite(knob, line, strlen(line), 0) < 0)
			die("%s: cannot write %s: %s", argv[1], line, strerror(errno));
		free(line);
	}
	fclose(list);
	close(knob);
	return 0;
}

/* A write of the sector itself, which also clears it where it is listed. */
void scramble(const char *device, const uint64_t *sectors, size_t n)
{
	unsigned char *garbage = aligned_alloc(BLOCK, BLOCK);
	int fd = must_open(device, O_WRONLY | O_DIRECT);
	size_t i;

	if (!garbage)
		die("out of memory");
	memset(garbage, 0xdb, BLOCK);
	for (i = 0; i < n; i++)
		must_write(fd, device, garbage, SECTOR, sectors[i]);
	free(garbage);
	close(fd);
}

int verb_scramble(int argc, char **argv)
{
	uint64_t sector = strtoull(argv[1], NULL, 0), end = sector + strtoull(argv[2], NULL, 0);

	(void)argc;
	for (; sector < end; sector++)
		scramble(argv[0], &sector, 1);
	return 0;
}

int verb_clear(int argc, char **argv)
{
	size_t n;
	uint64_t *sectors = listed_sectors(argv[0], &n);

	(void)argc;
	scramble(argv[0], sectors, n);
	free(sectors);
	return 0;
}

int verb_probe(int argc, char **argv)
{
	int fd = must_open(argv[0], O_RDONLY | O_DIRECT);
	unsigned char *buffer = aligned_alloc(BLOCK, BLOCK);
	struct expect expect;
	int block = 0;
	size_t i;

	(void)argc;
	expect_read(&expect, argv[1]);
	if (!buffer)
		die("out of memory");
	/* fewer bytes are an error of another kind */
	if (ioctl(fd, BLKSSZGET, &block) || block < (int)SECTOR || block > (int)BLOCK)
		die("%s: what is its sector?", argv[0]);
	for (i = 0; i < expect.n_bad; i++) {
		uint64_t offset = expect.bad[i] * SECTOR;

		if (pread(fd, buffer, (size_t)block, (off_t)(offset - offset % (uint64_t)block)) <
		    0)
			printf("%lu 1\n", expect.bad[i]);
	}
	free(buffer);
	close(fd);
	return 0;
}
