/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which bytes of a device can be read, and what that says of a page. */

#include <errno.h>
#include <string.h>

#include "media.h"

/* all of [offset, offset + length) into the bounce buffer, or why not */
static int read_whole(struct pmr_media *media, uint64_t offset, size_t length)
{
	return pmr_media_read_block(media, offset, media->bounce, length);
}

struct salvage {
	struct pmr_media *media;
	uint64_t offset; /* what buffer[0] stands for, and how far it goes */
	uint64_t end;
	char *buffer;
	struct pmr_ranges *failed;
};

/* Block aligned [offset, offset + length), at most PMR_MEDIA_BOUNCE: halve until what fails is one block. */
static int salvage_or_split(struct salvage *s, uint64_t offset, size_t length)
{
	uint64_t from, to;
	size_t half;
	int ret;

	ret = read_whole(s->media, offset, length);
	if (!ret) {
		from = offset > s->offset ? offset : s->offset;
		to = offset + length < s->end ? offset + length : s->end;
		if (s->buffer && from < to)
			memcpy(s->buffer + (from - s->offset), s->media->bounce + (from - offset),
			       to - from);
		return 0;
	}
	if (!pmr_media_is_error(ret))
		return ret;
	if (length == s->media->block)
		return pmr_ranges_add(s->failed, offset, length);
	half = length / 2;
	half -= half % s->media->block;
	if (!half)
		half = s->media->block;
	ret = salvage_or_split(s, offset, half);
	return ret ? ret : salvage_or_split(s, offset + half, length - half);
}

/*
 * Each load of poison is a machine check, so none is repeated to find where it is: what precedes it is known, and behind
 * its sector it goes on. Those that the kernel took out of the mapping with it fail one by one.
 */
static int load_range(struct salvage *s, uint64_t offset, uint64_t end)
{
	size_t length, got;
	int ret;

	while (offset < end) {
		length =
			end - offset < PMR_MEDIA_BOUNCE ? (size_t)(end - offset) : PMR_MEDIA_BOUNCE;
		ret = pmr_media_load(s->media, offset, s->media->bounce, length, &got);
		if (ret && ret != -EIO)
			return ret;
		if (s->buffer)
			memcpy(s->buffer + (offset - s->offset), s->media->bounce, got);
		offset += got;
		if (!ret)
			continue;
		ret = pmr_ranges_add(s->failed, offset, PMR_SECTOR);
		if (ret)
			return ret;
		offset += PMR_SECTOR;
	}
	return 0;
}

static int salvage_range(struct salvage *s, const struct pmr_range *range)
{
	uint64_t offset = range->offset, end = range->offset + range->length;
	size_t length;
	int ret;

	if (s->media->loads)
		return load_range(s, offset, end);
	while (offset < end) {
		length =
			end - offset < PMR_MEDIA_BOUNCE ? (size_t)(end - offset) : PMR_MEDIA_BOUNCE;
		ret = salvage_or_split(s, offset, length);
		if (ret)
			return ret;
		offset += length;
	}
	return 0;
}

/* [offset, offset + length) widened to whole logical blocks; the device's size is a multiple of them */
static int widen(const struct pmr_media *media, uint64_t offset, uint64_t length,
		 struct pmr_range *out)
{
	uint64_t end;

	if (!length || __builtin_add_overflow(offset, length, &end) || end > media->size)
		return -EINVAL;
	out->offset = offset - offset % media->block;
	end += (media->block - end % media->block) % media->block;
	out->length = end - out->offset;
	return 0;
}

/* @list, each range widened to whole logical blocks, where it meets @within */
static int widen_list(const struct pmr_media *media, const struct pmr_ranges *list,
		      const struct pmr_range *within, struct pmr_ranges *out)
{
	struct pmr_range r;
	int ret;

	for (size_t i = pmr_ranges_first(list, within->offset); i < list->n; i++) {
		if (list->v[i].offset >= within->offset + within->length)
			break;
		ret = widen(media, list->v[i].offset, list->v[i].length, &r);
		if (!ret)
			ret = pmr_ranges_add(out, r.offset, r.length);
		if (ret)
			return ret;
	}
	pmr_ranges_normalize(out);
	return 0;
}

int pmr_media_salvage(struct pmr_media *media, uint64_t offset, uint64_t length,
		      const struct pmr_ranges *listed, void *buffer, struct pmr_ranges *unreadable)
{
	struct pmr_ranges whole = { 0 }, avoid = { 0 }, todo = { 0 }, failed = { 0 };
	struct salvage s = { media, offset, offset + length, buffer, &failed };
	struct pmr_range range;
	int ret;

	if (offset % PMR_SECTOR || length % PMR_SECTOR)
		return -EINVAL;
	ret = widen(media, offset, length, &range);
	if (!ret)
		ret = pmr_ranges_add(&whole, range.offset, range.length);
	if (!ret)
		ret = widen_list(media, listed, &range, &avoid);
	if (!ret)
		ret = pmr_ranges_subtract(&todo, &whole, &avoid);
	for (size_t i = 0; !ret && i < todo.n; i++)
		ret = salvage_range(&s, &todo.v[i]);
	for (size_t i = 0; !ret && i < avoid.n; i++)
		ret = pmr_ranges_add(&failed, avoid.v[i].offset, avoid.v[i].length);
	if (ret)
		goto out;
	pmr_ranges_normalize(&failed);
	ret = pmr_ranges_clip(unreadable, &failed, offset, length);
	pmr_ranges_normalize(unreadable);
out:
	pmr_ranges_release(&whole);
	pmr_ranges_release(&avoid);
	pmr_ranges_release(&todo);
	pmr_ranges_release(&failed);
	return ret;
}

int pmr_media_confirm(struct pmr_media *media, uint64_t offset, uint64_t length,
		      struct pmr_ranges *failing)
{
	static const struct pmr_ranges none;

	return pmr_media_salvage(media, offset, length, &none, NULL, failing);
}

int pmr_media_page_state(struct pmr_media *media, uint64_t page, const struct pmr_ranges *listed,
			 enum pmr_page_state *state, struct pmr_ranges *unreadable)
{
	struct pmr_ranges whole = { 0 }, avoid = { 0 }, lost = { 0 }, siblings = { 0 },
			  dead = { 0 };
	struct pmr_range range = { page, PMR_PAGE };
	int ret;

	if (page >= media->size)
		return -EINVAL;
	if (range.length > media->size - page)
		range.length = media->size - page;
	ret = pmr_ranges_add(&whole, range.offset, range.length);
	if (!ret)
		ret = pmr_media_salvage(media, range.offset, range.length, listed, NULL, &lost);
	if (!ret)
		ret = widen_list(media, listed, &range, &avoid);
	if (!ret)
		ret = pmr_ranges_subtract(&siblings, &whole, &avoid);
	if (!ret)
		ret = pmr_ranges_subtract(&dead, &lost, &avoid);
	if (ret)
		goto out;
	if (!siblings.n)
		*state = PMR_PAGE_UNTOLD;
	else if (pmr_ranges_bytes(&dead) == pmr_ranges_bytes(&siblings))
		*state = PMR_PAGE_OFFLINED;
	else
		*state = dead.n ? PMR_PAGE_PARTLY : PMR_PAGE_OK;
	/* what the listed sectors' own logical blocks take with them is unreadable too */
	ret = pmr_ranges_subtract(unreadable, &lost, listed);
	pmr_ranges_normalize(unreadable);
out:
	pmr_ranges_release(&whole);
	pmr_ranges_release(&avoid);
	pmr_ranges_release(&lost);
	pmr_ranges_release(&siblings);
	pmr_ranges_release(&dead);
	return ret;
}
