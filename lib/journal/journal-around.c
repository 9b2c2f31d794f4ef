/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sectors around what is cleared of a device-dax, of which nothing is written: by them it shows whether somebody stored there
 * since, where the cleared ones cannot tell.
 */
#include <errno.h>
#include <stdlib.h>

#include "journal.h"

/* The rest of its pages, and at least a sector on each side. */
static void widen(uint64_t offset, uint64_t length, uint64_t size, uint64_t *from, uint64_t *to)
{
	uint64_t end = offset + length;

	*from = pmr_page_down(offset);
	if (*from == offset && offset)
		*from -= PMR_SECTOR;
	*to = pmr_page_up(end);
	if (*to == end)
		*to += PMR_SECTOR;
	if (*to > size)
		*to = size;
}

/* ---- taken before the first write */

struct taker {
	struct pmr_media *media;
	const struct pmr_ranges *listed;
	struct pmr_ranges written; /* by any step */
	struct pmr_claim *claim;
	size_t alloc;
};

static int add(struct taker *t, uint64_t offset, const void *bytes)
{
	struct pmr_claim *claim = t->claim;
	int ret = pmr_grow(&claim->around, claim->n_around, &t->alloc, sizeof(*claim->around));

	if (ret)
		return ret;
	claim->around[claim->n_around++] = (struct pmr_journal_around){
		.offset = offset,
		.crc = pmr_record_crc(bytes, PMR_SECTOR),
	};
	return 0;
}

/* [from, to): less than a page, on one side of a step */
static int take_side(struct taker *t, uint64_t from, uint64_t to)
{
	const struct pmr_claim *claim = t->claim;
	struct pmr_ranges unreadable = { 0 };
	char bytes[PMR_PAGE];
	int ret;

	/* between two steps that are near each other they are of both */
	if (claim->n_around && claim->around[claim->n_around - 1].offset >= from)
		from = claim->around[claim->n_around - 1].offset + PMR_SECTOR;
	if (from >= to)
		return 0;
	ret = pmr_media_salvage(t->media, from, to - from, t->listed, bytes, &unreadable);
	for (uint64_t at = from; !ret && at < to; at += PMR_SECTOR)
		if (!pmr_ranges_overlap(&unreadable, at, PMR_SECTOR) &&
		    !pmr_ranges_overlap(&t->written, at, PMR_SECTOR))
			ret = add(t, at, bytes + (at - from));
	pmr_ranges_release(&unreadable);
	return ret;
}

int pmr_journal_look_around(struct pmr_media *media, const struct pmr_file_plan *plan,
			    struct pmr_claim *claim)
{
	struct taker t = {
		.media = media,
		.listed = &plan->file->filesystem->device->badblocks.ranges,
		.claim = claim,
	};
	const struct pmr_step *step;
	uint64_t from, to;
	int ret = 0;

	for (size_t i = 0; !ret && i < plan->n_steps; i++)
		ret = pmr_ranges_add(&t.written, plan->steps[i].offset, plan->steps[i].length);
	pmr_ranges_normalize(&t.written);
	for (size_t i = 0; !ret && i < plan->n_steps; i++) {
		step = &plan->steps[i];
		widen(step->offset, step->length, plan->file->size, &from, &to);
		ret = take_side(&t, from, step->offset);
		if (!ret)
			ret = take_side(&t, step->offset + step->length, to);
	}
	pmr_ranges_release(&t.written);
	return ret;
}

/* ---- held against what is there now */

static size_t first(const struct pmr_journal_file *was, uint64_t offset)
{
	size_t low = 0, high = was->n_around, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (was->around[mid].offset < offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Sectors around were taken of whole steps, and none where another step touches. */
static void find_run(const struct pmr_journal_file *was, const struct pmr_journal_piece *piece,
		     uint64_t *begin, uint64_t *end)
{
	const struct pmr_journal_piece *pieces = was->pieces;
	size_t low = 0, high = was->n_pieces, mid;

	*begin = piece->offset;
	*end = piece->offset + piece->length;
	while (low < high) {
		mid = low + (high - low) / 2;
		if (pieces[mid].offset < piece->offset)
			low = mid + 1;
		else
			high = mid;
	}
	for (size_t i = low; i && pieces[i - 1].offset + pieces[i - 1].length == *begin; i--)
		*begin = pieces[i - 1].offset;
	for (size_t i = low + 1; i < was->n_pieces && pieces[i].offset == *end; i++)
		*end += pieces[i].length;
}

int pmr_journal_is_around_changed(struct pmr_media *media, const struct pmr_journal_file *was,
				  const struct pmr_journal_piece *piece,
				  const struct pmr_ranges *listed, bool *changed)
{
	struct pmr_ranges unreadable = { 0 };
	char bytes[PMR_SECTOR];
	uint64_t from, to, begin, end;
	bool found = false;
	int ret = 0;

	find_run(was, piece, &begin, &end);
	widen(begin, end - begin, was->size, &from, &to);
	for (size_t i = first(was, from); !ret && !found && i < was->n_around; i++) {
		if (was->around[i].offset >= to)
			break;
		unreadable.n = 0;
		ret = pmr_media_salvage(media, was->around[i].offset, PMR_SECTOR, listed, bytes,
					&unreadable);
		/* what went bad since tells nothing */
		found = !ret && !unreadable.n &&
			pmr_record_crc(bytes, PMR_SECTOR) != was->around[i].crc;
	}
	pmr_ranges_release(&unreadable);
	if (!ret)
		*changed = found;
	return ret;
}
