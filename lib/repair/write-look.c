/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A chunk right before it is written: do its losses still fail to be read, and does it lie where it did? */

#include "repair.h"

/* NULL when every loss of the chunk fails to be read right now; else why it must not be written */
static const char *still_failing(const struct pmr_chunk *chunk)
{
	uint64_t from = chunk->step.device_offset, at, end;
	struct pmr_ranges readable = { 0 }, wanted = { 0 };
	const char *reason = "device-error";
	const struct pmr_loss *loss;

	for (size_t i = 0; i < chunk->step.n_losses; i++) {
		loss = pmr_chunk_loss(chunk, i, 0, chunk->length);
		/* without a record of it poison that was cleared can be read; an earlier report vouches for it */
		if (!loss || loss->vanished)
			continue;
		at = loss->device_offset > from ? loss->device_offset : from;
		end = loss->device_offset + loss->length;
		if (end > from + chunk->length)
			end = from + chunk->length;
		if (at < end && pmr_ranges_add(&wanted, at, end - at))
			goto out;
	}
	pmr_ranges_normalize(&wanted);
	if (!pmr_ranges_subtract(&readable, &wanted, &chunk->failing))
		reason = readable.n ? "readable" : NULL;
out:
	pmr_ranges_release(&readable);
	pmr_ranges_release(&wanted);
	return reason;
}

/* Reads [from, to) of the device, the chunk's, into the same place of what was there before. */
static int read_part(struct pmr_chunk *chunk, uint64_t from, uint64_t to)
{
	static const struct pmr_ranges none;

	if (from >= to)
		return 0;
	return pmr_media_salvage(chunk->compose->media, from, to - from, &none,
				 chunk->before + (from - chunk->step.device_offset),
				 &chunk->failing);
}

/* What is listed is read too, for it is about to be written; by itself, so that it fails by itself. */
static int read_before(struct pmr_chunk *chunk)
{
	uint64_t from = chunk->step.device_offset, end = from + chunk->length;
	const struct pmr_range *listed;
	int ret = 0;

	for (size_t i = 0; !ret && i < chunk->listed.n; i++) {
		listed = &chunk->listed.v[i];
		ret = read_part(chunk, from, listed->offset);
		from = listed->offset + listed->length;
		if (!ret)
			ret = read_part(chunk, listed->offset, from);
	}
	return ret ? ret : read_part(chunk, from, end);
}

static bool is_device(const struct pmr_chunk *chunk)
{
	return chunk->step.method == PMR_METHOD_DEVICE;
}

static bool is_punched(const struct pmr_chunk *chunk)
{
	return !is_device(chunk) && chunk->plan->method == PMR_METHOD_PUNCH;
}

bool pmr_chunk_needs_recovery(const struct pmr_chunk *chunk, size_t at, size_t length)
{
	const struct pmr_loss *loss;

	for (size_t i = 0; chunk->plan->file->dax && i < chunk->step.n_losses; i++) {
		loss = pmr_chunk_loss(chunk, i, at, length);
		if (loss && !loss->vanished)
			return true;
	}
	return false;
}

const char *pmr_write_look(struct pmr_writer *writer, struct pmr_places *places,
			   struct pmr_chunk *chunk)
{
	const struct pmr_file *file = chunk->plan->file;
	const struct pmr_device *device = file->filesystem->device;
	const char *reason;

	if (writer->refusals >= PMR_REFUSALS && !is_punched(chunk) && !is_device(chunk) &&
	    pmr_chunk_needs_recovery(chunk, 0, chunk->length))
		return "no-recovery-write";
	reason = pmr_places_check(places, chunk->claim, &chunk->step);
	if (reason)
		return reason;
	if (pmr_ranges_clip(&chunk->listed, &device->badblocks.ranges, chunk->step.device_offset,
			    chunk->length))
		return "no-memory";
	/* another owner of the same blocks writes them, maybe right before */
	if (chunk->step.follows)
		return NULL;
	if (read_before(chunk))
		return "device-error";
	if (!chunk->redo && (!writer->trust_badblocks || !device->from_file)) {
		reason = still_failing(chunk);
		if (reason)
			return reason;
	}
	return is_punched(chunk) ? pmr_punch_look(chunk) : NULL;
}
