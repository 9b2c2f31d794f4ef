/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One chunk onto other blocks: its own are given back, poison and all, and its bytes written anew.
 */
#include <errno.h>
#include <linux/fiemap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "repair.h"

/* What a split extent may want of free space for its own records, with much to spare. */
#define MARGIN (1024u * 1024)

/* What was given back may be free only after the next commit, so all of it is asked for once more. */
const char *pmr_punch_look(const struct pmr_chunk *chunk)
{
	struct statvfs st;
	uint64_t free;

	if (fstatvfs(chunk->claim->fd, &st) < 0 ||
	    __builtin_mul_overflow((uint64_t)st.f_bavail, (uint64_t)st.f_frsize, &free))
		return "no-space";
	return free < chunk->length + MARGIN ? "no-space" : NULL;
}

static size_t inside(const struct pmr_chunk *chunk)
{
	uint64_t left = chunk->plan->file->size - chunk->step.offset;

	return left < chunk->length ? (size_t)left : chunk->length;
}

/* Whether others had time to write between punch and write, and did: what was punched is no hole, or lies past the end. */
static bool is_theirs(const struct pmr_chunk *chunk)
{
	struct pmr_extents *extents = NULL;
	struct pmr_extent e;
	struct stat st;
	bool is_hole;

	if (!pmr_lease_is_lost(chunk->claim->fd))
		return false;
	if (fstat(chunk->claim->fd, &st) < 0 ||
	    (uint64_t)st.st_size < chunk->step.offset + inside(chunk))
		return true;
	is_hole = !pmr_extents_open(chunk->claim->fd, chunk->step.offset, chunk->length, true,
				    &extents) &&
		  pmr_extents_next(extents, &e) == 0;
	pmr_extents_close(extents);
	return !is_hole;
}

/* never past the end: the file must not grow */
static int write_anew(const struct pmr_chunk *chunk)
{
	size_t written;
	int ret;

	ret = pmr_media_write_file(chunk->claim->fd, 0, chunk->step.offset, chunk->bytes,
				   inside(chunk), &written);
	return !ret && fsync(chunk->claim->fd) < 0 ? -errno : ret;
}

/* The file no longer has these bytes, and not those beside them that could be read: it must be said where they are. */
static void fail(struct pmr_writer *writer, const struct pmr_chunk *chunk, const char *reason,
		 const char *why)
{
	if (reason)
		pmr_write_fail(chunk, reason);
	writer->needs_journal = true;
	pmr_say(writer->ctx, PMR_ERROR, "punched-not-written", chunk->plan->file->path,
		"the blocks of its %zu bytes from byte %llu on were given back, and %s; they are in the journal %s from "
		"byte %llu on: copy them to the file from there",
		inside(chunk), (unsigned long long)chunk->step.offset, why,
		pmr_journal_path(writer->journal), (unsigned long long)chunk->journal_offset);
}

/* One piece of the chunk where it lies now. Return: 0; -ENOMEM. */
static int verify_piece(struct pmr_writer *writer, const struct pmr_chunk *chunk, uint64_t offset,
			uint64_t length, uint64_t device_offset)
{
	static const struct pmr_ranges none;
	struct pmr_step piece = chunk->step;
	/* of what was punched all is, and is said by fail() */
	enum pmr_spoiled spoiled = PMR_SPOILED_NOT;

	piece.offset = offset;
	piece.length = length;
	piece.device_offset = device_offset;
	return pmr_verify_chunk(writer->ctx, chunk->compose, chunk->plan, &piece, offset,
				(size_t)length, chunk->bytes + (offset - chunk->step.offset), &none,
				"punch", &spoiled);
}

/* Where the chunk lies now, and whether it does. Return: 0; -ENXIO: it has no place to be sure of; -ENOMEM. */
static int verify_places(struct pmr_writer *writer, const struct pmr_chunk *chunk)
{
	uint64_t pos = chunk->step.offset, end = pos + inside(chunk), to, place;
	struct pmr_extents *extents = NULL;
	struct pmr_extent e;
	int ret;

	ret = pmr_extents_open(chunk->claim->fd, pos, chunk->length, true, &extents);
	while (!ret && pos < end) {
		if (pmr_extents_next(extents, &e) != 1 || e.offset > pos ||
		    e.offset + e.length <= pos || !pmr_extent_is_trusted(&e) ||
		    (e.flags & (FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_SHARED)) ||
		    pmr_filesystem_to_device(chunk->plan->file->filesystem,
					     e.physical + (pos - e.offset), &place)) {
			ret = -ENXIO;
			break;
		}
		to = e.offset + e.length;
		if (to > chunk->step.offset + chunk->length)
			to = chunk->step.offset + chunk->length;
		ret = verify_piece(writer, chunk, pos, to - pos, place);
		pos = to;
	}
	pmr_extents_close(extents);
	return ret;
}

static bool has_failed(const struct pmr_chunk *chunk)
{
	const struct pmr_loss *loss;

	for (size_t i = 0; i < chunk->step.n_losses; i++) {
		loss = pmr_chunk_loss(chunk, i, 0, chunk->length);
		if (loss && loss->state == PMR_FAILED)
			return true;
	}
	return false;
}

static void set_method(const struct pmr_chunk *chunk)
{
	struct pmr_loss *loss;

	for (size_t i = 0; i < chunk->step.n_losses; i++) {
		loss = pmr_chunk_loss(chunk, i, 0, chunk->length);
		if (loss)
			loss->method = "punch";
	}
}

/* Return: 0; -EBUSY: the chunk is as it was, and left */
static int punch(struct pmr_writer *writer, struct pmr_chunk *chunk)
{
	struct pmr_places places = { 0 };
	bool moved;
	int ret;

	ret = pmr_media_punch_file(chunk->claim->fd, chunk->step.offset, chunk->step.length);
	if (!ret)
		return 0;
	pmr_write_settle(writer, chunk->claim);
	moved = pmr_places_check(&places, chunk->claim, &chunk->step);
	pmr_places_release(&places);
	/* a part of it is gone all the same */
	if (moved)
		return 0;
	pmr_say(writer->ctx, PMR_ERROR, "cannot-punch", chunk->plan->file->path,
		"is left at byte %llu: its blocks cannot be given back: %s",
		(unsigned long long)chunk->step.offset, strerror(-ret));
	pmr_write_leave(chunk, 0, chunk->length, "cannot-punch");
	return -EBUSY;
}

int pmr_punch_chunk(struct pmr_writer *writer, struct pmr_chunk *chunk)
{
	size_t before = writer->given.n;
	int ret = 0;

	for (size_t i = 0; !ret && i < chunk->listed.n; i++)
		ret = pmr_ranges_add(&writer->given, chunk->listed.v[i].offset,
				     chunk->listed.v[i].length);
	if (ret)
		return ret;
	if (punch(writer, chunk)) {
		writer->given.n = before;
		return 0;
	}
	chunk->touched = true;
	set_method(chunk);
	ret = is_theirs(chunk) ? -EBUSY : write_anew(chunk);
	if (ret && ret != -EBUSY)
		ret = write_anew(chunk);
	pmr_write_settle(writer, chunk->claim);
	if (ret) {
		fail(writer, chunk, "punched-not-written",
		     ret == -EBUSY ? "another program wrote to the file meanwhile"
				   : strerror(-ret));
		return 0;
	}
	ret = pmr_device_refresh(writer->ctx, chunk->plan->file->filesystem->device);
	if (!ret)
		ret = verify_places(writer, chunk);
	if (ret && ret != -ENOMEM) {
		fail(writer, chunk, "unplaced", "where they lie now cannot be told");
		return 0;
	}
	if (ret)
		fail(writer, chunk, "unverified", "there was no memory to read them back");
	else if (has_failed(chunk))
		fail(writer, chunk, NULL, "the new ones do not hold what was written");
	return ret;
}

/* ---- what stays behind */

/* An owned range that is free now, in so far as it is; the rest of it stays somebody's. */
static int split_owned(struct pmr_scan *scan, size_t i, const struct pmr_range *freed)
{
	struct pmr_owned parts[3], *owned = &scan->owned[i];
	uint64_t end = owned->range.offset + owned->range.length;
	uint64_t from = freed->offset > owned->range.offset ? freed->offset : owned->range.offset;
	uint64_t to = freed->offset + freed->length < end ? freed->offset + freed->length : end;
	size_t n = 0;

	if (from > owned->range.offset) {
		parts[n] = *owned;
		parts[n++].range.length = from - owned->range.offset;
	}
	parts[n] = *owned;
	parts[n].range = (struct pmr_range){ from, to - from };
	parts[n++].owner = PMR_OWNER_FREE;
	if (to < end) {
		parts[n] = *owned;
		parts[n++].range = (struct pmr_range){ to, end - to };
	}
	owned = reallocarray(scan->owned, scan->n_owned + n - 1, sizeof(*owned));
	if (!owned)
		return -ENOMEM;
	scan->owned = owned;
	memmove(owned + i + n, owned + i + 1, (scan->n_owned - i - 1) * sizeof(*owned));
	memcpy(owned + i, parts, n * sizeof(*owned));
	scan->n_owned += n - 1;
	return 0;
}

static int free_owned(struct pmr_scan *scan, const struct pmr_device *device,
		      const struct pmr_range *freed)
{
	const struct pmr_owned *owned;
	int ret = 0;

	for (size_t i = 0; !ret && i < scan->n_owned; i++) {
		owned = &scan->owned[i];
		if (owned->device == device && owned->owner == PMR_OWNER_FILE &&
		    owned->range.offset < freed->offset + freed->length &&
		    owned->range.offset + owned->range.length > freed->offset)
			ret = split_owned(scan, i, freed);
	}
	return ret;
}

/* what could not be told to have left its old blocks, or to have come to sound ones */
static bool is_in_doubt(const struct pmr_file *file)
{
	for (size_t i = 0; i < file->n_losses; i++)
		if (file->losses[i].state == PMR_FAILED)
			return true;
	return false;
}

int pmr_punch_conclude(struct pmr_writer *writer, const struct pmr_file *file)
{
	struct pmr_device *device = file->filesystem->device;
	struct pmr_ranges gone = { 0 }, left = { 0 };
	int ret = 0;

	if (!writer->given.n)
		return 0;
	pmr_ranges_normalize(&writer->given);
	/* where the new blocks are the old ones, their poison was cleared with the write */
	ret = pmr_ranges_subtract(&gone, &writer->given, &device->badblocks.ranges);
	if (!ret)
		ret = pmr_ranges_subtract(&left, &writer->given, &gone);
	for (size_t i = 0; !ret && !is_in_doubt(file) && i < left.n; i++)
		ret = free_owned(writer->scan, device, &left.v[i]);
	if (!ret && left.n)
		pmr_say(writer->ctx, PMR_WARNING, "poison-left", device->name,
			"%llu bytes of poison that were in %s lie in free space now, and stay listed until those "
			"blocks are written again",
			(unsigned long long)pmr_ranges_bytes(&left), file->path);
	pmr_ranges_release(&gone);
	pmr_ranges_release(&left);
	pmr_ranges_release(&writer->given);
	return ret;
}
