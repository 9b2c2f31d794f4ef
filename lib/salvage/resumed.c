/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an earlier run could not read: what of it is in no list any more, and what cannot be believed although it can be read. */

#include <linux/fiemap.h>

#include "salvage.h"

static uint64_t page_of(uint64_t offset)
{
	return offset - offset % PMR_PAGE;
}

static bool is_lost(const struct pmr_loss *loss)
{
	return loss->state == PMR_LOST || loss->state == PMR_CACHED;
}

/* What only reading found is no record: it may be read again, and is then in doubt. */
static int learn_listed(struct pmr_rescue *r, const struct pmr_ranges *listed)
{
	struct pmr_ranges records = { 0 }, here = { 0 };
	const struct pmr_loss *known;
	int ret;

	ret = pmr_ranges_copy(&r->listed, &r->noted);
	if (!ret)
		ret = pmr_ranges_subtract(&records, listed, &r->filesystem->device->reading.found);
	for (size_t i = 0; i < r->n_known && !ret; i++) {
		known = &r->known[i];
		if (!is_lost(known))
			continue;
		here.n = 0;
		ret = pmr_ranges_clip(&here, &records, known->device_offset, known->length);
		for (size_t j = 0; j < here.n && !ret; j++)
			ret = pmr_ranges_add(&r->listed,
					     known->offset +
						     (here.v[j].offset - known->device_offset),
					     here.v[j].length);
	}
	pmr_ranges_normalize(&r->listed);
	pmr_ranges_release(&records);
	pmr_ranges_release(&here);
	return ret;
}

/* What lies in the same pages is read around it, as around what is listed. */
static int learn_vanished(struct pmr_rescue *r)
{
	struct pmr_ranges lost = { 0 };
	int ret = 0;

	for (size_t i = 0; i < r->n_known && !ret; i++)
		if (is_lost(&r->known[i]))
			ret = pmr_ranges_add(&lost, r->known[i].offset, r->known[i].length);
	pmr_ranges_normalize(&lost);
	r->vanished.n = 0;
	if (!ret)
		ret = pmr_ranges_subtract(&r->vanished, &r->noted, &lost);
	for (size_t i = 0; i < r->vanished.n && !ret; i++) {
		uint64_t from = page_of(r->vanished.v[i].offset);
		uint64_t end = r->vanished.v[i].offset + r->vanished.v[i].length;

		ret = pmr_ranges_add(&r->pages, from, page_of(end + PMR_PAGE - 1) - from);
	}
	pmr_ranges_normalize(&r->pages);
	pmr_ranges_release(&lost);
	return ret;
}

int pmr_resumed_learn(struct pmr_rescue *r, const struct pmr_ranges *listed)
{
	int ret;

	ret = learn_listed(r, listed);
	if (!ret)
		ret = learn_vanished(r);
	/* poison in its page says why the rest of it could not be read */
	r->doubted.n = 0;
	return ret ? ret : pmr_ranges_subtract(&r->doubted, &r->failed, &r->pages);
}

int pmr_resumed_lose(struct pmr_rescue *r, uint64_t offset, uint64_t length)
{
	uint64_t position = offset, end = offset + length, place;
	struct pmr_extents *extents = NULL;
	struct pmr_extent part;
	int ret = 0;

	/* lost wherever it lies, and also where that is not told */
	if (pmr_rescue_list(r, offset, length, &extents))
		extents = NULL;
	while (!ret && position < end) {
		if (!extents || pmr_extents_next(extents, &part) <= 0 || part.offset != position)
			part = (struct pmr_extent){ .offset = position,
						    .length = end - position,
						    .flags = FIEMAP_EXTENT_UNKNOWN };
		if (!pmr_extent_is_trusted(&part) || r->unplaced ||
		    pmr_filesystem_to_device(r->filesystem, part.physical, &place))
			place = PMR_NO_ADDRESS;
		ret = pmr_rescue_lose(r, position, part.length, place, NULL);
		position += part.length;
	}
	pmr_extents_close(extents);
	return ret;
}
