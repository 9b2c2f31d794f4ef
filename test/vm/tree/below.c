// SPDX-License-Identifier: GPL-2.0-or-later
/* below.c: where a volume lies on the PMEM below it, learned from numbers written to the one and read from the other. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "tree.h"

enum { CHUNK = 1 << 20, MOST_DEVICES = 4 };

/* A place below. */
struct place {
	uint32_t device; /* index */
	uint32_t sector; /* of that device */
};

struct map {
	char *devices[MOST_DEVICES];
	uint32_t n_devices;
	struct place *places; /* by the volume's sector */
	uint64_t n_sectors;
};

static const struct place nowhere = { UINT32_MAX, 0 };

static uint64_t sectors_of(int fd, const char *device)
{
	uint64_t bytes;

	if (ioctl(fd, BLKGETSIZE64, &bytes))
		die("%s: no block device: %s", device, strerror(errno));
	return bytes / SECTOR;
}

static unsigned char *new_chunk(void)
{
	unsigned char *chunk = aligned_alloc(BLOCK, CHUNK);

	if (!chunk)
		die("out of memory");
	memset(chunk, 0, CHUNK);
	return chunk;
}

/* ---- learned */

/* Every sector of the volume gets its number. */
static void stamp(struct map *map, const char *volume, uint64_t magic)
{
	int fd = must_open(volume, O_WRONLY | O_DIRECT);
	unsigned char *chunk = new_chunk();
	uint64_t base, i, n;

	map->n_sectors = sectors_of(fd, volume);
	for (base = 0; base < map->n_sectors; base += n) {
		n = map->n_sectors - base < CHUNK / SECTOR ? map->n_sectors - base : CHUNK / SECTOR;
		for (i = 0; i < n; i++)
			*(struct tag *)(chunk + i * SECTOR) = (struct tag){ magic, base + i };
		if (pwrite(fd, chunk, n * SECTOR, (off_t)(base * SECTOR)) != (ssize_t)(n * SECTOR))
			die("%s: cannot write: %s", volume, strerror(errno));
	}
	if (fsync(fd))
		die("%s: cannot sync: %s", volume, strerror(errno));
	free(chunk);
	close(fd);
}

static void find_stamps(struct map *map, uint32_t device, uint64_t magic)
{
	const char *path = map->devices[device];
	int fd = must_open(path, O_RDONLY | O_DIRECT);
	uint64_t base, i, n, n_sectors = sectors_of(fd, path);
	unsigned char *chunk = new_chunk();

	for (base = 0; base < n_sectors; base += n) {
		n = n_sectors - base < CHUNK / SECTOR ? n_sectors - base : CHUNK / SECTOR;
		if (must_pread(fd, path, chunk, n * SECTOR, base * SECTOR) != n * SECTOR)
			die("%s: shorter than it was", path);
		for (i = 0; i < n; i++) {
			const struct tag *tag = (const struct tag *)(chunk + i * SECTOR);

			if (tag->magic != magic || tag->serial >= map->n_sectors)
				continue;
			if (map->places[tag->serial].device != nowhere.device)
				die("%s: sector %lu of the volume lies at two places", path,
				    tag->serial);
			map->places[tag->serial] = (struct place){ device, (uint32_t)(base + i) };
		}
	}
	free(chunk);
	close(fd);
}

static void write_map(const struct map *map, const char *path)
{
	FILE *f = fopen(path, "we");
	uint64_t i, n;

	if (!f)
		die("%s: cannot create: %s", path, strerror(errno));
	for (i = 0; i < map->n_devices; i++)
		fprintf(f, "device %s\n", map->devices[i]);
	for (i = 0; i < map->n_sectors; i += n) {
		const struct place *first = &map->places[i];

		for (n = 1; i + n < map->n_sectors && first[n].device == first->device &&
			    first[n].sector == first->sector + n;
		     n++)
			;
		fprintf(f, "run %lu %lu %u %u\n", i, n, first->device, first->sector);
	}
	if (fclose(f))
		die("%s: cannot write: %s", path, strerror(errno));
}

int verb_trace(int argc, char **argv)
{
	struct map map = { .n_devices = (uint32_t)argc - 2 };
	uint64_t magic, i;

	if (getentropy(&magic, sizeof(magic)))
		die("no random number: %s", strerror(errno));
	stamp(&map, argv[0], magic);
	map.places = must_alloc(map.n_sectors, sizeof(*map.places));
	for (i = 0; i < map.n_sectors; i++)
		map.places[i] = nowhere;
	for (i = 0; i < map.n_devices; i++) {
		map.devices[i] = argv[i + 2];
		find_stamps(&map, (uint32_t)i, magic);
	}
	for (i = 0; i < map.n_sectors; i++) {
		if (map.places[i].device == nowhere.device)
			die("%s: sector %lu is nowhere below", argv[0], i);
	}
	write_map(&map, argv[1]);
	return 0;
}

/* ---- read back */

static void read_run(struct map *map, const char *path, const char *line)
{
	uint64_t sector, count, i;
	struct place place;

	if (sscanf(line, "run %lu %lu %u %u", &sector, &count, &place.device, &place.sector) != 4 ||
	    sector != map->n_sectors || place.device >= map->n_devices)
		die("%s: cannot understand \"%s\"", path, line);
	map->n_sectors += count;
	map->places = reallocarray(map->places, map->n_sectors, sizeof(*map->places));
	if (!map->places)
		die("out of memory");
	for (i = 0; i < count; i++, place.sector++)
		map->places[sector + i] = place;
}

static void read_map(struct map *map, const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t alloc = 0;

	*map = (struct map){ .n_devices = 0 };
	if (!f)
		die("%s: cannot open: %s", path, strerror(errno));
	while (getline(&line, &alloc, f) > 0) {
		if (map->n_devices < MOST_DEVICES &&
		    sscanf(line, "device %ms", &map->devices[map->n_devices]) == 1)
			map->n_devices++;
		else
			read_run(map, path, line);
	}
	free(line);
	fclose(f);
}

static void release_map(struct map *map)
{
	while (map->n_devices)
		free(map->devices[--map->n_devices]);
	free(map->places);
}

/* A list of the volume's sectors, as one of a device below. */
int verb_lower(int argc, char **argv)
{
	uint32_t device = (uint32_t)strtoul(argv[2], NULL, 0);
	uint64_t sector, count, *sectors = NULL;
	FILE *list = fopen(argv[1], "re");
	size_t n = 0, alloc = 0, i, run;
	struct map map;

	(void)argc;
	read_map(&map, argv[0]);
	/* The last line is a comment. */
	while (list && fscanf(list, "%lu %lu", &sector, &count) == 2) {
		for (; count; count--, sector++) {
			if (sector >= map.n_sectors)
				die("%s: behind the end of the volume", argv[1]);
			if (map.places[sector].device != device)
				continue;
			sectors = must_grow(sectors, n, &alloc, sizeof(*sectors));
			sectors[n++] = map.places[sector].sector;
		}
	}
	if (!list)
		die("%s: cannot open: %s", argv[1], strerror(errno));
	fclose(list);
	if (n)
		qsort(sectors, n, sizeof(*sectors), compare_u64);
	for (i = 0; i < n; i += run) {
		for (run = 1; i + run < n && sectors[i + run] == sectors[i] + run; run++)
			;
		printf("%lu %zu\n", sectors[i], run);
	}
	free(sectors);
	release_map(&map);
	return 0;
}

uint64_t *listed_below(const char *path, size_t *n)
{
	uint64_t *sectors = NULL, *listed, i;
	size_t n_listed, alloc = 0;
	struct map map;
	uint32_t device;

	*n = 0;
	read_map(&map, path);
	for (device = 0; device < map.n_devices; device++) {
		listed = listed_sectors_of(map.devices[device], &n_listed);
		if (n_listed)
			qsort(listed, n_listed, sizeof(*listed), compare_u64);
		for (i = 0; n_listed && i < map.n_sectors; i++) {
			uint64_t sector = map.places[i].sector;

			if (map.places[i].device != device ||
			    !bsearch(&sector, listed, n_listed, sizeof(sector), compare_u64))
				continue;
			sectors = must_grow(sectors, *n, &alloc, sizeof(*sectors));
			sectors[(*n)++] = i;
		}
		free(listed);
	}
	release_map(&map);
	return sectors;
}

/* ---- the report */

/* One range: its pieces below, byte for byte in its order. */
static void check_range(const struct map *map, struct json_object *range, unsigned int *faults)
{
	struct json_object *lower = json_get(range, "lower"), *piece;
	uint64_t at = json_number(range, "device_offset", faults),
		 end = at + json_number(range, "length", faults), below, length;
	const struct place *place;
	const char *name;
	size_t i;

	for (i = 0; i < json_length(lower) && at < end; i++) {
		piece = json_object_array_get_idx(lower, i);
		below = json_number(piece, "device_offset", faults);
		length = json_number(piece, "length", faults);
		for (; length && at < end; length--, at++, below++) {
			place = at / SECTOR < map->n_sectors ? &map->places[at / SECTOR] : &nowhere;
			name = place->device < map->n_devices
				       ? strrchr(map->devices[place->device], '/') + 1
				       : "nothing";
			if (strcmp(json_text(piece, "device"), name) == 0 &&
			    below == place->sector * (uint64_t)SECTOR + at % SECTOR)
				continue;
			fault(faults, "byte %lu of the volume is said to lie at %lu of %s", at,
			      below, json_text(piece, "device"));
			return;
		}
		if (length)
			break;
	}
	if (at != end || i != json_length(lower))
		fault(faults, "what lies below is of another length: %.200s",
		      json_object_to_json_string(range));
}

void compare_lower(const struct report *report, const char *path, unsigned int *faults)
{
	struct json_object *files = json_get(report->json, "files"), *ranges;
	struct map map;
	size_t i, j;

	read_map(&map, path);
	for (i = 0; i < json_length(files); i++) {
		ranges = json_get(json_object_array_get_idx(files, i), "ranges");
		for (j = 0; j < json_length(ranges); j++)
			check_range(&map, json_object_array_get_idx(ranges, j), faults);
	}
	release_map(&map);
}
