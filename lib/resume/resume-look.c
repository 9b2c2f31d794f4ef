/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is found of a piece of an interrupted repair: where it lies, and what its sectors hold. */

#include <errno.h>
#include <linux/fiemap.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "journal/journal.h"
#include "resume.h"

#define LOOP_MAJOR 7 /* linux/major.h */

/* ---- where it lies */

static bool is_hole(const struct pmr_extent *e)
{
	return e->flags & FIEMAP_EXTENT_UNWRITTEN;
}

/* One extent of the listing: whether it is where the piece lay. */
static bool is_in_place(const struct pmr_resume_look *look, const struct pmr_journal_piece *piece,
			const struct pmr_extent *e)
{
	uint64_t at = e->offset > piece->offset ? e->offset : piece->offset, place;

	return pmr_extent_is_trusted(e) &&
	       !pmr_filesystem_to_device(look->filesystem, e->physical + (at - e->offset),
					 &place) &&
	       place == piece->device_offset + (at - piece->offset);
}

static int find_spot(const struct pmr_resume_look *look, const struct pmr_journal_piece *piece,
		     enum pmr_spot *spot)
{
	uint64_t at = piece->offset, end = piece->offset + piece->length;
	bool moved = false, hole = false, shared = false;
	struct pmr_extents *extents = NULL;
	struct pmr_extent e;
	int ret;

	ret = pmr_extents_open(look->fd, at, piece->length, true, &extents);
	if (ret)
		return ret;
	while (at < end && (ret = pmr_extents_next(extents, &e)) == 1) {
		hole |= e.offset > at || is_hole(&e);
		moved |= !is_hole(&e) && !is_in_place(look, piece, &e);
		shared |= e.flags & FIEMAP_EXTENT_SHARED;
		at = e.offset + e.length;
	}
	pmr_extents_close(extents);
	if (ret < 0)
		return ret;
	hole |= at < end;
	*spot = hole ? PMR_SPOT_HOLE : moved ? PMR_SPOT_MOVED : PMR_SPOT_SAME;
	/* by the device, all owners of a block are written at once */
	if (*spot == PMR_SPOT_SAME && shared && piece->method != PMR_METHOD_DEVICE)
		*spot = PMR_SPOT_SHARED;
	return 0;
}

/* ---- what it holds */

const struct pmr_loss *pmr_resume_loss_at(const struct pmr_journal_file *was, uint64_t offset)
{
	size_t low = 0, high = was->n_losses, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (was->losses[mid].offset + was->losses[mid].length <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low < was->n_losses && was->losses[low].offset < offset + PMR_SECTOR
		       ? &was->losses[low]
		       : NULL;
}

/* A list that is believed against what can be read, as with --trust-badblocks; the medium of loop devices never fails. */
static bool is_list_believed(const struct pmr_resume_look *look)
{
	const struct pmr_device *device = look->filesystem->device;

	return device->from_file && major(device->devno) == LOOP_MAJOR;
}

/* Within a boot the owner may have written the file since, as well as we. */
static bool may_be_written(const struct pmr_evidence *evidence)
{
	return evidence->here && evidence->change != PMR_CHANGE_NONE;
}

/* Sector @at (offset in the piece), whose bytes could be read. */
static enum pmr_sector compare(const struct pmr_resume_look *look,
			       const struct pmr_journal_piece *piece, const struct pmr_loss *loss,
			       const char *expected, size_t at, const struct pmr_evidence *evidence)
{
	const struct pmr_device *device = look->filesystem->device;
	uint64_t offset = piece->offset + at, size = look->of->was->size;
	size_t inside = PMR_SECTOR;
	bool equal;

	if (offset + inside > size)
		inside = offset < size ? (size_t)(size - offset) : 0;
	equal = !memcmp(look->resume->actual + at, expected + at, inside);
	if (equal)
		/* behind the end of the file there is nothing but what our own write may have left */
		return piece->mark != PMR_MARK_OPEN || inside == PMR_SECTOR ||
				       !memcmp(look->resume->actual + at + inside,
					       expected + at + inside, PMR_SECTOR - inside)
			       ? PMR_SECTOR_EQUAL
			       : PMR_SECTOR_UNREADABLE;
	/* what was in no list then, or is believed to be lost, can be read and is nothing */
	if (loss &&
	    ((loss->vanished && !may_be_written(evidence)) ||
	     (is_list_believed(look) && pmr_ranges_overlap(&device->badblocks.ranges,
							   piece->device_offset + at, PMR_SECTOR))))
		return PMR_SECTOR_UNREADABLE;
	return PMR_SECTOR_DIFFERENT;
}

static void count(const struct pmr_resume_look *look, const struct pmr_journal_piece *piece,
		  const char *expected, const struct pmr_ranges *failing,
		  struct pmr_evidence *evidence)
{
	const struct pmr_loss *loss;
	enum pmr_sector sector;

	for (size_t at = 0; at < piece->length; at += PMR_SECTOR) {
		loss = pmr_resume_loss_at(look->of->was, piece->offset + at);
		sector = pmr_ranges_overlap(failing, at, PMR_SECTOR)
				 ? PMR_SECTOR_UNREADABLE
				 : compare(look, piece, loss, expected, at, evidence);
		if (loss)
			evidence->lost[sector]++;
		else
			evidence->kept[sector]++;
	}
}

/* What of the piece cannot be read through the file, page by page; @failing: offsets in the piece */
static int read_file(const struct pmr_resume_look *look, const struct pmr_journal_piece *piece,
		     struct pmr_ranges *failing)
{
	size_t next, got, want;
	uint64_t offset;
	int ret = 0;

	for (size_t at = 0; !ret && at < piece->length; at = next) {
		offset = piece->offset + at;
		next = at + PMR_PAGE - offset % PMR_PAGE;
		if (next > piece->length)
			next = piece->length;
		want = next - at;
		memset(look->resume->actual + at, 0, want);
		ret = pmr_media_read_file(look->fd, offset, look->resume->actual + at, want, &got);
		if (ret && pmr_media_is_error(ret))
			ret = pmr_ranges_add(failing, at, want);
	}
	return ret;
}

/* The same through the device; @failing: offsets in the piece */
static int read_device(const struct pmr_resume_look *look, const struct pmr_journal_piece *piece,
		       struct pmr_ranges *failing)
{
	struct pmr_ranges unreadable = { 0 };
	int ret;

	ret = pmr_media_salvage(look->media, piece->device_offset, piece->length, look->listed,
				look->resume->actual, &unreadable);
	for (size_t i = 0; !ret && i < unreadable.n; i++)
		ret = pmr_ranges_add(failing, unreadable.v[i].offset - piece->device_offset,
				     unreadable.v[i].length);
	pmr_ranges_release(&unreadable);
	return ret;
}

static bool is_equal(const struct pmr_evidence *e)
{
	return !e->lost[PMR_SECTOR_DIFFERENT] && !e->lost[PMR_SECTOR_UNREADABLE] &&
	       !e->kept[PMR_SECTOR_DIFFERENT] && !e->kept[PMR_SECTOR_UNREADABLE];
}

static int examine_bytes(const struct pmr_resume_look *look, const struct pmr_journal_piece *piece,
			 const char *expected, struct pmr_evidence *evidence)
{
	struct pmr_ranges failing = { 0 };
	struct pmr_evidence again = { 0 };
	int ret;

	if (evidence->spot != PMR_SPOT_MOVED) {
		ret = read_device(look, piece, &failing);
		if (!ret)
			count(look, piece, expected, &failing, evidence);
		if (ret || !is_equal(evidence))
			goto out;
	}
	/* what is right on the device must be right for who reads the file, too */
	failing.n = 0;
	ret = read_file(look, piece, &failing);
	if (!ret)
		count(look, piece, expected, &failing, &again);
	if (!ret && (evidence->spot == PMR_SPOT_MOVED || !is_equal(&again))) {
		memcpy(evidence->lost, again.lost, sizeof(again.lost));
		memcpy(evidence->kept, again.kept, sizeof(again.kept));
	}
out:
	pmr_ranges_release(&failing);
	return ret;
}

int pmr_resume_examine(const struct pmr_resume_look *look, const struct pmr_journal_piece *piece,
		       const char *expected, struct pmr_evidence *evidence)
{
	const struct pmr_resume_file *of = look->of;
	int ret = 0;

	if (of->was->whole_device)
		return pmr_resume_examine_whole(look, piece, expected, evidence, NULL);
	*evidence = (struct pmr_evidence){
		.mark = piece->mark,
		.here = pmr_resume_is_here(look->resume, piece),
		/* by the device nothing but the lost sectors is written, and a file in use may grow meanwhile */
		.is_file = of->is_there && (of->is_same || (piece->method == PMR_METHOD_DEVICE &&
							    of->size >= of->was->size)),
		.change = of->change,
		.punched = piece->method == PMR_METHOD_PUNCH,
		.device = piece->method == PMR_METHOD_DEVICE,
	};
	if (!evidence->is_file)
		return 0;
	ret = find_spot(look, piece, &evidence->spot);
	if (!ret && evidence->spot != PMR_SPOT_HOLE &&
	    (evidence->spot != PMR_SPOT_MOVED || evidence->punched))
		ret = examine_bytes(look, piece, expected, evidence);
	return ret;
}
