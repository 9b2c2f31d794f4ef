/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Do the parts of a file lie where they did? Asked right before they are written, of many with one listing.
 */
#include <errno.h>
#include <linux/fiemap.h>

#include "repair.h"

void pmr_places_release(struct pmr_places *places)
{
	pmr_extents_close(places->extents);
	*places = (struct pmr_places){ 0 };
}

/* makes places->extent the one with the byte at @pos */
static bool find(struct pmr_places *places, const struct pmr_claim *claim, uint64_t pos)
{
	const struct pmr_extent *e = &places->extent;
	uint64_t length = PMR_PLACES;

	if (!places->extents || pos < e->offset || pos >= places->end) {
		pmr_places_release(places);
		if (__builtin_add_overflow(pos, length, &places->end))
			length = UINT64_MAX - pos;
		places->end = pos + length;
		if (pmr_extents_open(claim->fd, pos, length, false, &places->extents))
			return false;
	}
	while (pos >= e->offset + e->length)
		if (pmr_extents_next(places->extents, &places->extent) != 1)
			return false;
	return e->offset <= pos;
}

const char *pmr_places_check(struct pmr_places *places, const struct pmr_claim *claim,
			     const struct pmr_step *step)
{
	uint64_t pos = step->offset, end = step->offset + step->length, device_offset;
	const struct pmr_extent *e = &places->extent;

	while (pos < end) {
		if (!find(places, claim, pos) || !pmr_extent_is_trusted(e) ||
		    (e->flags & FIEMAP_EXTENT_UNWRITTEN))
			return "moved";
		if ((e->flags & FIEMAP_EXTENT_SHARED) && step->method != PMR_METHOD_DEVICE)
			return "shared";
		if (pmr_filesystem_to_device(claim->file->filesystem,
					     e->physical + (pos - e->offset), &device_offset) ||
		    device_offset != step->device_offset + (pos - step->offset))
			return "moved";
		pos = e->offset + e->length;
	}
	return NULL;
}
