/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages that a file does not give: whether that is poison, and the sectors of them that the device gives. */

#include <errno.h>
#include <linux/fiemap.h>

#include "salvage.h"

static uint64_t page_of(uint64_t offset)
{
	return offset - offset % PMR_PAGE;
}

/* ---- is it poison? */

/*
 * A page that cannot be read through the file may be poison, or the filesystem has shut down and fails everything: see
 * whether it gives any other page.
 */
static bool is_file_alive(struct pmr_rescue *r, uint64_t offset)
{
	uint64_t page = page_of(offset), last = r->size ? page_of(r->size - 1) : 0;
	const uint64_t others[] = {
		r->own.good, page + PMR_PAGE, page - PMR_PAGE, page + 2ull * PMR_PAGE, 0, last
	};
	size_t got;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (others[i] > last || others[i] == page ||
		    pmr_ranges_overlap(&r->pages, others[i], PMR_PAGE))
			continue;
		if (!r->io->read(r->data, others[i], r->own.spare, PMR_PAGE, &got) && got) {
			r->own.good = others[i];
			return true;
		}
	}
	return false;
}

/* The same of the device, of which a whole range could not be read. */
static bool is_device_alive(struct pmr_rescue *r, uint64_t offset, uint64_t length)
{
	const uint64_t size = r->filesystem->device->size;
	const uint64_t others[] = { page_of(offset) - PMR_PAGE,
				    page_of(offset + length + PMR_PAGE - 1),
				    page_of(r->filesystem->start), page_of(size / 2),
				    page_of(size - 1) };
	struct pmr_ranges unreadable = { 0 };
	bool alive = false;

	for (size_t i = 0; !alive && i < sizeof(others) / sizeof(others[0]); i++) {
		if (others[i] >= size || size - others[i] < PMR_PAGE ||
		    pmr_ranges_overlap(&r->avoid, others[i], PMR_PAGE))
			continue;
		unreadable.n = 0;
		alive = !r->io->device(r->data, others[i], PMR_PAGE, &r->avoid, r->own.spare,
				       &unreadable) &&
			pmr_ranges_bytes(&unreadable) < PMR_PAGE;
	}
	pmr_ranges_release(&unreadable);
	return alive;
}

/* ---- below the page */

/* Of opening a device. A device that was open and is gone answers with some of these, too. */
static bool is_closed(int error)
{
	return error == -EACCES || error == -EPERM || error == -ENODEV || error == -EROFS ||
	       error == -EBUSY;
}

/* Whether a part still lies where it did before it was read there. Return: 0, -ESTALE, another errno. */
static int check_place(const struct pmr_rescue *r, const struct pmr_extent *part)
{
	/* the last of what was asked for is mostly called the last of all */
	const uint32_t untelling = FIEMAP_EXTENT_LAST | FIEMAP_EXTENT_MERGED;
	struct pmr_extents *extents;
	struct pmr_extent now;
	int ret;

	ret = pmr_rescue_list(r, part->offset, part->length, &extents);
	if (ret)
		return ret;
	ret = pmr_extents_next(extents, &now);
	if (ret == 1 && now.offset == part->offset && now.physical == part->physical &&
	    now.length == part->length && !((now.flags ^ part->flags) & ~untelling))
		ret = 0;
	else if (ret >= 0)
		ret = ret && now.flags & PMR_EXTENT_UNLISTED ? -EIO : -ESTALE;
	pmr_extents_close(extents);
	return ret;
}

/* What the device gave of a part, and what it did not: @buffer[0] is the byte at device offset @from. */
static int sort_out(struct pmr_rescue *r, const struct pmr_extent *part, uint64_t device_offset,
		    uint64_t from, const struct pmr_ranges *unreadable, const char *reason)
{
	uint64_t position = device_offset, end = device_offset + part->length, to;
	int ret = 0;

	for (size_t i = 0; !ret && position < end; i++) {
		to = i < unreadable->n ? pmr_min64(unreadable->v[i].offset, end) : end;
		if (to > position) {
			ret = pmr_rescue_take(r, part->offset + (position - device_offset),
					      r->own.buffer + (position - from), to - position);
			position = to;
		}
		if (ret || position == end)
			break;
		to = pmr_min64(unreadable->v[i].offset + unreadable->v[i].length, end);
		if (to <= position)
			continue;
		ret = pmr_rescue_lose(r, part->offset + (position - device_offset), to - position,
				      position, reason);
		position = to;
	}
	return ret;
}

/* Without the device: what is listed is lost for certain, and so is what @error proves. */
static int lose_closed(struct pmr_rescue *r, const struct pmr_extent *part, uint64_t device_offset,
		       int error, int closed)
{
	if (error && error != -EFAULT && !is_file_alive(r, part->offset))
		return -EIO;
	r->no_device = closed;
	return pmr_rescue_lose(r, part->offset, part->length, device_offset, "no-device-access");
}

/* Where the bytes lie on the device is not known. */
static int lose_unplaced(struct pmr_rescue *r, const struct pmr_extent *part, int error,
			 const char *reason)
{
	if (error && error != -EFAULT && !is_file_alive(r, part->offset))
		return -EIO;
	return pmr_rescue_lose(r, part->offset, part->length, PMR_NO_ADDRESS, reason);
}

/* A part of one extent; @error: of reading it through the file, 0 for pages with listed poison. */
static int rescue_part(struct pmr_rescue *r, const struct pmr_extent *part, int error)
{
	struct pmr_ranges unreadable = { 0 }, news = { 0 };
	uint64_t device_offset, last, from, length;
	bool whole;
	int closed, ret;

	ret = pmr_filesystem_to_device(r->filesystem, part->physical, &device_offset);
	if (!ret)
		ret = pmr_filesystem_to_device(r->filesystem, part->physical + part->length - 1,
					       &last);
	if (ret)
		return -ESTALE;
	from = device_offset - device_offset % PMR_SECTOR;
	length = last + 1 - from;
	length += (PMR_SECTOR - length % PMR_SECTOR) % PMR_SECTOR;
	r->own.buffer = r->io->buffer(r->data);
	ret = r->io->device(r->data, from, length, &r->avoid, r->own.buffer, &unreadable);
	closed = ret ? r->io->closed(r->data) : 0;
	if (is_closed(closed))
		return lose_closed(r, part, device_offset, error, closed);
	if (!ret)
		ret = pmr_ranges_subtract(&news, &unreadable, &r->avoid);
	else if (ret == -EIO) /* which stands for the filesystem */
		ret = -ENODEV;
	if (ret)
		goto out;
	whole = pmr_ranges_bytes(&unreadable) == length;
	if (error && error != -EFAULT && !unreadable.n && !is_file_alive(r, part->offset))
		ret = -EIO;
	else if (whole && news.n && !is_device_alive(r, from, length))
		ret = -ENODEV;
	if (!ret)
		ret = check_place(r, part);
	if (!ret)
		ret = sort_out(r, part, device_offset, from, &unreadable,
			       whole && length == PMR_PAGE ? "page-offlined" : "unlisted");
out:
	pmr_ranges_release(&unreadable);
	pmr_ranges_release(&news);
	return ret;
}

/* All of [offset, offset + length) was data when the file was listed. */
static int rescue_window(struct pmr_rescue *r, uint64_t offset, uint64_t length, int error)
{
	uint64_t position = offset, end = offset + length;
	struct pmr_extents *extents;
	struct pmr_extent part;
	int ret;

	ret = pmr_rescue_list(r, offset, length, &extents);
	if (ret)
		return ret;
	while (position < end && (ret = pmr_extents_next(extents, &part)) > 0) {
		if (part.offset != position || (part.flags & FIEMAP_EXTENT_UNWRITTEN)) {
			ret = -ESTALE;
			break;
		}
		ret = pmr_extent_is_trusted(&part) ? rescue_part(r, &part, error)
		      : part.flags & PMR_EXTENT_UNLISTED
			      ? lose_unplaced(r, &part, error, "no-extents")
			      : lose_unplaced(r, &part, error, "unlisted");
		if (ret)
			break;
		position = part.offset + part.length;
	}
	pmr_extents_close(extents);
	return !ret && position < end ? -ESTALE : ret;
}

int pmr_rescue_sectors(struct pmr_rescue *r, uint64_t offset, uint64_t length, int error)
{
	const struct pmr_extent unplaced = { .offset = offset, .length = length };
	uint64_t n;
	int ret = 0;

	/* what is in no list was not asked for yet */
	if (error && r->io->cached) {
		r->own.buffer = r->io->buffer(r->data);
		if (r->io->cached(r->data, offset, r->own.buffer, (size_t)length) == 1)
			return pmr_rescue_take(r, offset, r->own.buffer, length);
	}
	if (r->unplaced)
		return lose_unplaced(r, &unplaced, error, r->unplaced);
	for (; length && !ret; length -= n, offset += n) {
		n = pmr_min64(length, PMR_RESCUE_CHUNK);
		ret = r->io->tick(r->data);
		if (!ret)
			ret = rescue_window(r, offset, n, error);
	}
	return ret;
}
