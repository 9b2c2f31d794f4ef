/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lies where in a namespace in sector mode: its arenas, and what these are made of. Pure. */

#include <string.h>

#include "private.h"
#include "topology.h"

/* As drivers/nvdimm/btt.c has laid arenas out since it was written (4.2), in 6.1 and 6.12 alike. */
#define BTT_PAGE 4096u
#define ARENA_MIN (1ULL << 24)
#define ARENA_MAX (1ULL << 39)
#define N_FREE 256u
#define LOG_GROUP 64u
#define MAP_ENTRY 4u
#define BLOCK_ALIGN 64u

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

/* @begin: of the arena, in the namespace; @size: of it. Arenas are at most ARENA_MAX long, so nothing overflows. */
static void lay_out(const struct pmr_btt *btt, uint64_t begin, uint64_t size,
		    struct pmr_btt_arena *arena)
{
	uint64_t log = round_up((uint64_t)N_FREE * LOG_GROUP, BTT_PAGE);
	uint64_t available = size - size % BTT_PAGE - 2 * BTT_PAGE - log;
	uint64_t blocks = (available - BTT_PAGE) / (btt->block + MAP_ENTRY);
	uint64_t map = round_up((blocks - N_FREE) * MAP_ENTRY, BTT_PAGE);

	arena->n_blocks = blocks - N_FREE;
	arena->info = begin;
	arena->data = begin + BTT_PAGE;
	arena->data_end = arena->data + blocks * btt->block;
	arena->map = arena->data + available - map;
	arena->map_end = arena->map + arena->n_blocks * MAP_ENTRY;
	arena->log = arena->map + map;
	arena->info2 = arena->log + log;
	arena->end = arena->info2 + BTT_PAGE;
}

/* The @n-th arena. Return: whether there is one. */
static bool get_arena(const struct pmr_btt *btt, uint64_t n, struct pmr_btt_arena *arena)
{
	uint64_t all = btt->ns_size - btt->start, size;

	if (n > all / ARENA_MAX)
		return false;
	size = all - n * ARENA_MAX;
	if (size < ARENA_MIN)
		return false;
	lay_out(btt, btt->start + n * ARENA_MAX, size < ARENA_MAX ? size : ARENA_MAX, arena);
	/* All but the last are of one size. */
	arena->device_offset = n * arena->n_blocks * btt->sector;
	if (n && size < ARENA_MAX) {
		struct pmr_btt_arena whole;

		lay_out(btt, btt->start, ARENA_MAX, &whole);
		arena->device_offset = n * whole.n_blocks * btt->sector;
	}
	return true;
}

static uint64_t device_size(const struct pmr_btt *btt)
{
	struct pmr_btt_arena arena;
	uint64_t size = 0;

	for (uint64_t n = 0; get_arena(btt, n, &arena); n++)
		size += arena.n_blocks * btt->sector;
	return size;
}

bool pmr_btt_init(struct pmr_btt *btt, uint64_t ns_size, unsigned int lba_size, uint64_t size)
{
	/* Version 1.1 leaves the first page alone, 2.0 (labels of UEFI) does not; sysfs does not tell which it is. */
	static const uint64_t starts[] = { BTT_PAGE, 0 };
	struct pmr_btt made = { .ns_size = ns_size };
	unsigned int found = 0;

	memset(btt, 0, sizeof(*btt));
	if (lba_size < PMR_SECTOR || lba_size > 2 * BTT_PAGE || ns_size < ARENA_MIN)
		return false;
	made.sector = lba_size >= BTT_PAGE ? BTT_PAGE : PMR_SECTOR;
	made.block = (uint32_t)round_up(lba_size, BLOCK_ALIGN);
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		made.start = starts[i];
		if (device_size(&made) != size)
			continue;
		*btt = made;
		found++;
	}
	if (found == 1)
		return true;
	memset(btt, 0, sizeof(*btt));
	return false;
}

bool pmr_btt_arena(const struct pmr_btt *btt, uint64_t offset, struct pmr_btt_arena *arena)
{
	return offset >= btt->start && offset < btt->ns_size &&
	       get_arena(btt, (offset - btt->start) / ARENA_MAX, arena) && offset < arena->end;
}

enum pmr_part pmr_btt_part(const struct pmr_btt *btt, uint64_t offset, uint64_t *until)
{
	struct pmr_btt_arena a;
	uint64_t next;

	*until = btt->ns_size;
	if (offset < btt->start) {
		*until = btt->start;
		return PMR_PART_BTT_UNUSED;
	}
	if (!pmr_btt_arena(btt, offset, &a)) {
		/* Behind the last page of an arena, or of all. */
		next = btt->start + round_up(offset - btt->start + 1, ARENA_MAX);
		if (next < btt->ns_size && pmr_btt_arena(btt, next, &a))
			*until = next;
		return PMR_PART_BTT_UNUSED;
	}

	const struct {
		uint64_t end;
		enum pmr_part part;
	} parts[] = {
		{ a.data, PMR_PART_BTT_INFO },	{ a.data_end, PMR_PART_BTT_DATA },
		{ a.map, PMR_PART_BTT_UNUSED }, { a.map_end, PMR_PART_BTT_MAP },
		{ a.log, PMR_PART_BTT_UNUSED }, { a.info2, PMR_PART_BTT_LOG },
		{ a.end, PMR_PART_BTT_INFO },
	};
	size_t i = 0;

	while (offset >= parts[i].end)
		i++;
	*until = parts[i].end;
	return parts[i].part;
}

int pmr_btt_unmapped(const struct pmr_btt *btt, const struct pmr_ranges *bad,
		     struct pmr_ranges *lost)
{
	struct pmr_ranges made = { 0 };
	int ret = 0;

	for (size_t i = 0; i < bad->n && !ret; i++) {
		uint64_t at = bad->v[i].offset, end = at + bad->v[i].length, until;

		for (; at < end && !ret; at = until) {
			enum pmr_part part = pmr_btt_part(btt, at, &until);
			struct pmr_btt_arena a;
			uint64_t first, n;

			if (until > end || until <= at)
				until = end;
			if (part != PMR_PART_BTT_MAP || !pmr_btt_arena(btt, at, &a))
				continue;
			first = (at - a.map) / MAP_ENTRY;
			n = (until - a.map + MAP_ENTRY - 1) / MAP_ENTRY - first;
			ret = pmr_ranges_add(&made, a.device_offset + first * btt->sector,
					     n * btt->sector);
		}
	}
	if (ret) {
		pmr_ranges_release(&made);
		return ret;
	}
	pmr_ranges_normalize(&made);
	pmr_ranges_release(lost);
	*lost = made;
	return 0;
}

static bool is_log_bad(const struct pmr_btt *btt, const struct pmr_ranges *bad)
{
	for (size_t i = 0; i < bad->n; i++) {
		uint64_t at = bad->v[i].offset, end = at + bad->v[i].length, until;

		for (; at < end; at = until)
			if (pmr_btt_part(btt, at, &until) == PMR_PART_BTT_LOG)
				return true;
	}
	return false;
}

/* Whether there may be poison in its map or log that nothing tells of. A list that had no room for all tells what it has. */
static bool is_unknown(const struct pmr_device *device)
{
	const struct pmr_badblocks *list = &device->metadata_badblocks;

	if (list->trust == PMR_LIST_UNKNOWN)
		return true;
	if (!device->own || !device->own->btt.sector)
		return list->ranges.n || list->trust != PMR_LIST_COMPLETE;
	return list->trust != PMR_LIST_COMPLETE && device->own->ns_offset == PMR_NO_ADDRESS;
}

/*
 * Of 6.1 and 6.12: a write whose entry in the map or whose lane's log is bad fails, having written its block. Where a clear
 * fails, the block that was left becomes a free one that is still bad, and the next write that is to go there spins in the
 * kernel for good: btt_write_pg() has it cleared again and again, and nsio_rw_bytes() takes a negative errno for success.
 */
static const char *refuses_itself(const struct pmr_device *device, uint64_t offset, uint64_t length)
{
	const struct pmr_btt *btt = device->own ? &device->own->btt : NULL;
	const struct pmr_ranges *bad = &device->metadata_badblocks.ranges;
	struct pmr_ranges lost = { 0 };
	const char *why = NULL;

	if (!device->region->bus->can_clear)
		return "btt-no-clear";
	if (is_unknown(device))
		return "btt-unknown";
	if (!btt || !btt->sector)
		return NULL;
	if (is_log_bad(btt, bad))
		return "btt-log";
	if (pmr_btt_unmapped(btt, bad, &lost))
		why = "no-memory";
	else if (pmr_ranges_overlap(&lost, offset, length))
		why = "btt-map";
	pmr_ranges_release(&lost);
	return why;
}

static const char *refuses_below(const struct pmr_device *device, uint64_t offset, uint64_t length)
{
	struct pmr_range range = { offset, length };
	const struct pmr_ranges one = { .v = &range, .n = 1 };
	struct pmr_ranges down = { 0 };
	const char *why = NULL;

	for (size_t i = 0; i < device->n_lowers && !why; i++) {
		down.n = 0;
		if (pmr_pieces_to(device, device->lowers[i], &one, &down))
			why = "no-memory";
		for (size_t j = 0; j < down.n && !why; j++)
			why = pmr_btt_refuses(device->lowers[i], down.v[j].offset,
					      down.v[j].length);
	}
	pmr_ranges_release(&down);
	return why;
}

const char *pmr_btt_refuses(const struct pmr_device *device, uint64_t offset, uint64_t length)
{
	if (device->mode == PMR_MODE_MAPPED)
		return refuses_below(device, offset, length);
	if (!device->enabled || device->mode != PMR_MODE_SECTOR)
		return NULL;
	return refuses_itself(device, offset, length);
}
