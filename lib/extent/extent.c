/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a file's bytes lie: FIEMAP in batches, so that memory does not grow with the number of extents. */

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "private.h"

/* 28 KiB of answers: the ioctl's own cost is lost in them, and they stay in the nearest cache. */
#define BATCH 512u

#define UNTRUSTED_FLAGS                                                                         \
	(FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_ENCODED |               \
	 FIEMAP_EXTENT_DATA_ENCRYPTED | FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_DATA_INLINE | \
	 FIEMAP_EXTENT_DATA_TAIL)

struct pmr_extents {
	int fd;
	pmr_fiemap_fn fiemap;
	uint64_t position; /* nothing before it is given any more */
	uint64_t end;
	bool sync;
	bool around;
	bool last;
	uint64_t size; /* of the file, once that mattered; 0 before */
	unsigned int next;
	struct fiemap *map;
};

static int fiemap_ioctl(int fd, struct fiemap *map)
{
	int err;

	do {
		err = ioctl(fd, FS_IOC_FIEMAP, map) ? -errno : 0;
	} while (err == -EINTR);
	return err;
}

int pmr_extents_open_with(int fd, uint64_t offset, uint64_t length, bool sync, pmr_fiemap_fn fiemap,
			  struct pmr_extents **extents)
{
	struct pmr_extents *e;
	uint64_t end;

	if (__builtin_add_overflow(offset, length, &end))
		end = UINT64_MAX;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->map = calloc(1, sizeof(*e->map) + BATCH * sizeof(e->map->fm_extents[0]));
	if (!e->map) {
		free(e);
		return -ENOMEM;
	}
	e->fd = fd;
	e->fiemap = fiemap;
	e->position = offset;
	e->end = end;
	e->sync = sync;
	*extents = e;
	return 0;
}

int pmr_extents_open(int fd, uint64_t offset, uint64_t length, bool sync,
		     struct pmr_extents **extents)
{
	return pmr_extents_open_with(fd, offset, length, sync, fiemap_ioctl, extents);
}

void pmr_extents_close(struct pmr_extents *extents)
{
	if (!extents)
		return;
	free(extents->map);
	free(extents);
}

/* Only the first batch syncs: a writer that never rests would otherwise be waited for at every batch. */
static int fetch(struct pmr_extents *e)
{
	int err;

	*e->map = (struct fiemap){
		.fm_start = e->position,
		.fm_length = e->end - e->position,
		.fm_flags = e->sync ? FIEMAP_FLAG_SYNC : 0,
		.fm_extent_count = BATCH,
	};
	e->next = 0;
	err = e->fiemap(e->fd, e->map);
	/* The position is past what this filesystem can address: no extent can lie there. */
	if (err == -EFBIG) {
		e->map->fm_mapped_extents = 0;
		err = 0;
	}
	if (err)
		return err;
	e->sync = false;
	if (e->map->fm_mapped_extents > BATCH)
		return -EPROTO;
	if (e->map->fm_mapped_extents == 0)
		e->last = true;
	return 0;
}

/* Kernels differ in whether they cut an extent at the start of the question; here it always is. */
static int clip(struct pmr_extents *e, const struct fiemap_extent *fe, struct pmr_extent *extent)
{
	uint64_t end, cut = 0;

	if (!fe->fe_length || __builtin_add_overflow(fe->fe_logical, fe->fe_length, &end) ||
	    end <= e->position)
		return -EPROTO;
	if (fe->fe_logical < e->position)
		cut = e->position - fe->fe_logical;
	if (end > e->end)
		end = e->end;
	extent->offset = fe->fe_logical + cut;
	if (extent->offset >= end)
		return 0;
	extent->length = end - extent->offset;
	if (__builtin_add_overflow(fe->fe_physical, cut, &extent->physical))
		return -EPROTO;
	extent->flags = fe->fe_flags;
	return 1;
}

static uint64_t size_of(struct pmr_extents *e)
{
	struct stat st;

	if (!e->size)
		e->size = fstat(e->fd, &st) ? UINT64_MAX : (uint64_t)st.st_size;
	return e->size;
}

/*
 * Where the next mapping cannot be read, iomap (5.15) calls the extent before it the last one, and keeps the error to
 * itself. So the last one has to reach the end; else it is asked once more what follows. The size is taken once: a file that
 * grows is not waited for.
 */
static bool is_last(struct pmr_extents *e)
{
	return e->position >= e->end || e->position >= size_of(e);
}

/* ---- around what cannot be listed */

/* Whether the first extent of a range can be told, or that there is none in it. */
static bool can_list(const struct pmr_extents *e, uint64_t offset, uint64_t length)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
	} answer = { .map = { .fm_start = offset, .fm_length = length, .fm_extent_count = 1 } };

	return !pmr_is_map_error(e->fiemap(e->fd, &answer.map));
}

static uint64_t middle_of(uint64_t low, uint64_t high)
{
	uint64_t half = (high - low) / 2;

	return low + (half < PMR_SECTOR ? PMR_SECTOR : half - half % PMR_SECTOR);
}

/* No extent came after the position, so what lies between it and the first mapping that cannot be read is a hole. */
static uint64_t first_unlisted(const struct pmr_extents *e, uint64_t limit)
{
	uint64_t low = e->position, high = limit, middle;

	if (can_list(e, low, high - low))
		return limit;
	while (high - low > PMR_SECTOR) {
		middle = middle_of(low, high);
		if (can_list(e, e->position, middle - e->position))
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* In steps that grow with what lies behind, as one block of a map can stand for much of a file; then exactly. */
static uint64_t end_of_unlisted(const struct pmr_extents *e, uint64_t from, uint64_t limit)
{
	uint64_t low = from, high = limit, step = PMR_PAGE, middle;

	while (limit - low > step) {
		if (can_list(e, low + step, PMR_SECTOR)) {
			high = low + step;
			break;
		}
		low += step;
		if (step < (low - from) / 8)
			step = (low - from) / 8 / PMR_SECTOR * PMR_SECTOR;
	}
	while (high - low > PMR_SECTOR) {
		middle = middle_of(low, high);
		if (can_list(e, middle, pmr_min64(PMR_SECTOR, limit - middle)))
			high = middle;
		else
			low = middle;
	}
	return high;
}

/* @error: of the listing, from the position on. Return: as pmr_extents_next(). */
static int go_around(struct pmr_extents *e, int error, struct pmr_extent *extent)
{
	uint64_t limit = pmr_min64(e->end, size_of(e)), from, to;

	/* behind the end of the file there is nothing to look for */
	if (e->position >= limit) {
		e->last = true;
		return 0;
	}
	from = first_unlisted(e, limit);
	if (from >= limit)
		return error;
	to = end_of_unlisted(e, from, limit);
	*extent = (struct pmr_extent){ .offset = from,
				       .length = to - from,
				       .flags = FIEMAP_EXTENT_UNKNOWN | PMR_EXTENT_UNLISTED };
	e->position = to;
	return 1;
}

void pmr_extents_go_around(struct pmr_extents *extents)
{
	extents->around = true;
}

/* ---- the listing */

int pmr_extents_next(struct pmr_extents *extents, struct pmr_extent *extent)
{
	const struct fiemap_extent *fe;
	int ret;

	if (extents->next == extents->map->fm_mapped_extents) {
		if (extents->last || extents->position >= extents->end)
			return 0;
		ret = fetch(extents);
		/* delayed data that could not be written shows in the listing */
		if (pmr_is_map_error(ret) && extents->around && extents->sync) {
			extents->sync = false;
			ret = fetch(extents);
		}
		if (pmr_is_map_error(ret) && extents->around)
			return go_around(extents, ret, extent);
		if (ret)
			return ret;
		if (extents->last)
			return 0;
	}
	fe = &extents->map->fm_extents[extents->next];
	ret = clip(extents, fe, extent);
	if (ret <= 0) {
		/* Past the window, or nonsense: either way nothing more comes. */
		extents->last = true;
		extents->next = extents->map->fm_mapped_extents;
		return ret;
	}
	extents->next++;
	extents->position = extent->offset + extent->length;
	if (fe->fe_flags & FIEMAP_EXTENT_LAST)
		extents->last = is_last(extents);
	return 1;
}

int pmr_extent_at(int fd, uint64_t offset, uint64_t length, struct pmr_extent *extent)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
	} answer = { .map = { .fm_start = offset, .fm_length = length, .fm_extent_count = 1 } };
	struct pmr_extents e = { .position = offset, .end = offset + length };
	int ret;

	ret = fiemap_ioctl(fd, &answer.map);
	if (ret || !answer.map.fm_mapped_extents)
		return ret;
	return clip(&e, &answer.map.fm_extents[0], extent);
}

bool pmr_extent_is_trusted(const struct pmr_extent *extent)
{
	return !(extent->flags & UNTRUSTED_FLAGS);
}
