/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chunks onto the medium through the block device, in one freeze of their filesystem: what the guardian is told, and what
 * came of it.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "repair.h"

/* Milliseconds that a filesystem may stand still. */
#define LIMIT 1000u

#define METHOD "device"

/* ---- what the guardian is told */

/* Whether a block of the chunk may be readable: it is in no list any more, or an earlier run began to write it. */
static bool may_read(const struct pmr_chunk *chunk, size_t at, size_t length)
{
	const struct pmr_loss *loss;

	/* what could not be read right before is its owner's where it now can, whoever began to write it */
	if (pmr_ranges_overlap(&chunk->failing, chunk->step.device_offset + at, length))
		return false;
	for (size_t i = 0; !chunk->redo && i < chunk->step.n_losses; i++) {
		loss = pmr_chunk_loss(chunk, i, at, length);
		if (loss && !loss->vanished)
			return false;
	}
	return true;
}

static bool is_written_in(const struct pmr_chunk *chunks, size_t n, uint64_t at, size_t length)
{
	for (size_t i = 0; i < n; i++)
		if (chunks[i].step.device_offset < at + length &&
		    chunks[i].step.device_offset + chunks[i].length > at)
			return true;
	return false;
}

/* Blocks of the chunk's page that are listed nowhere and not to be written: they tell whether it is mapped. */
static unsigned int find_siblings(const struct pmr_chunk *chunk, const struct pmr_chunk *chunks,
				  size_t n, unsigned int block)
{
	const struct pmr_device *device = chunk->plan->file->filesystem->device;
	uint64_t page = chunk->step.device_offset - chunk->step.device_offset % PMR_PAGE;
	unsigned int siblings = 0;

	for (size_t at = 0; at < PMR_PAGE; at += block)
		if (!pmr_ranges_overlap(&device->badblocks.ranges, page + at, block) &&
		    !is_written_in(chunks, n, page + at, block))
			siblings |= 1u << at / block;
	return siblings;
}

static void tell(struct pmr_frozen *frozen, const struct pmr_chunk *chunk,
		 const struct pmr_chunk *chunks, size_t n)
{
	struct pmr_frozen_chunk *to = &frozen->chunks[frozen->n++];
	unsigned int block = pmr_media_block(frozen->media);

	*to = (struct pmr_frozen_chunk){
		.index = (size_t)(chunk - chunks),
		.offset = chunk->step.offset,
		.length = chunk->length,
		.device_offset = chunk->step.device_offset,
		.bytes = chunk->bytes,
		.before = chunk->before,
		.siblings = find_siblings(chunk, chunks, n, block),
	};
	for (size_t at = 0; at < chunk->length; at += block)
		if (may_read(chunk, at, block))
			to->may_read |= 1u << at / block;
}

/* ---- what came of it */

static const char *explain(const char *reason)
{
	static const struct {
		const char *reason, *text;
	} texts[] = {
		{ "frozen",
		  "its filesystem is frozen already: by a snapshot or a backup, then repair again when that is done, or by a "
		  "repair that was killed, guardian and all, then thaw it first with 'fsfreeze -u MOUNTPOINT'" },
		{ "cannot-freeze",
		  "its filesystem cannot be frozen: run as root, and see the kernel log" },
		{ "freeze-timeout",
		  "freezing its filesystem, or writing to it, took longer than it may stand still, so it was stopped" },
		{ "thawed-by-others",
		  "another program thawed its filesystem in the middle: see which, and repair again" },
		{ "guardian-died",
		  "the process that wrote while its filesystem stood still was killed" },
		{ "still-frozen", "its filesystem may still be frozen" },
		{ "other-owner",
		  "its block is shared (reflink) and was not repaired through the file that was to write it" },
		{ "readable",
		  "it can be read again: its owner wrote it, or it was not lost; scan again" },
		{ "page-offlined",
		  "no other sector of its page can be read: a write might crash the kernel; reboot and repair again" },
		{ "in-use", "another program wants to open the file: stop it and repair again, or "
			    "repair it in use with --online" },
		{ "device-not-writable", "its device cannot be opened for writing" },
		{ "device-error",
		  "the device cannot be read, and not for poison: see the kernel log" },
		{ "no-memory", "there is not enough memory" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!strcmp(texts[i].reason, reason))
			return texts[i].text;
	return "the file or its place changed since it was planned: scan again";
}

static void leave(struct pmr_writer *writer, const struct pmr_chunk *chunk, const char *reason)
{
	if (pmr_chunk_is_left(chunk))
		return;
	pmr_say(writer->ctx, PMR_WARNING, reason, chunk->plan->file->path,
		"is left at byte %llu: %s", (unsigned long long)chunk->step.offset,
		explain(reason));
	pmr_plan_leave(chunk->plan->file, &chunk->step, chunk->step.offset, reason);
}

/*
 * Reads it back through the file and the device. What was in use was compared while it stood still: since then its owner
 * may have written what is there now.
 */
static int verify(struct pmr_writer *writer, struct pmr_chunk *chunk, bool is_compared)
{
	const char *expected = is_compared && chunk->claim->in_use ? NULL : chunk->bytes;
	enum pmr_spoiled spoiled = PMR_SPOILED_NOT;
	int ret;

	chunk->touched = true;
	ret = pmr_verify_chunk(writer->ctx, chunk->compose, chunk->plan, &chunk->step,
			       chunk->step.offset, chunk->length, expected, &chunk->listed, METHOD,
			       &spoiled);
	pmr_write_spoiled(writer, chunk, 0, chunk->length, spoiled);
	return ret;
}

static bool has_failed(const struct pmr_chunk *chunk)
{
	for (size_t i = 0; i < chunk->step.n_losses; i++) {
		const struct pmr_loss *loss = pmr_chunk_loss(chunk, i, 0, chunk->length);

		if (loss && loss->state == PMR_FAILED)
			return true;
	}
	return false;
}

/* @why: the guardian did not come to its end, and why; else NULL */
static int conclude(struct pmr_writer *writer, struct pmr_chunk *chunk,
		    const struct pmr_frozen_chunk *frozen, const char *why)
{
	int ret;

	switch (frozen->state) {
	case PMR_FROZEN_PENDING:
		leave(writer, chunk, why ? why : "guardian-died");
		return 0;
	case PMR_FROZEN_LEFT:
		leave(writer, chunk, frozen->reason);
		return 0;
	default:
		/* where the freeze did not last, nobody knows what was compared */
		ret = verify(writer, chunk, frozen->state == PMR_FROZEN_WRITTEN && !why);
		/* what may be half written must be found again from the journal */
		if (frozen->state == PMR_FROZEN_WRITING && has_failed(chunk))
			writer->needs_journal = true;
		return ret;
	}
}

/* Another owner of the block wrote it, or was to. */
static int conclude_follower(struct pmr_writer *writer, struct pmr_chunk *chunk)
{
	struct pmr_ranges failing = { 0 };
	int ret;

	ret = pmr_media_confirm(chunk->compose->media, chunk->step.device_offset, chunk->length,
				&failing);
	if (ret == -ENOMEM || (!ret && !failing.n))
		ret = ret ? ret : verify(writer, chunk, false);
	else
		leave(writer, chunk, ret ? "device-error" : "other-owner");
	pmr_ranges_release(&failing);
	return ret == -ENOMEM ? ret : 0;
}

/* ---- one freeze */

/* NULL, or why the guardian did not come to its end; then those that it did not begin are left for that */
static const char *write_frozen(struct pmr_writer *writer, const struct pmr_claim *claim,
				struct pmr_frozen *frozen)
{
	static const struct {
		int error;
		const char *reason;
	} reasons[] = {
		{ -EBUSY, "frozen" },	      { -ETIMEDOUT, "freeze-timeout" },
		{ -ECHILD, "guardian-died" }, { -EIO, "still-frozen" },
		{ -ENOMEM, "no-memory" },     { -EAGAIN, "thawed-by-others" },
	};
	const struct pmr_freezer *freezer = pmr_ctx_freezer(writer->ctx);
	struct pmr_freeze *freeze = &frozen->freeze;
	int ret;

	*freeze = (struct pmr_freeze){
		.fd = claim->fd,
		.devno = claim->file->filesystem->devno,
		.limit = LIMIT,
		.work = pmr_frozen_work,
		.data = frozen,
	};
	/* whatever it was, more of it would keep others waiting */
	if (writer->not_again == claim->file->filesystem->device)
		return writer->why_not;
	if (!freezer)
		return "no-freezer";
	ret = freezer->run(freezer->data, freeze);
	if (freeze->frozen) {
		writer->plan->freezes++;
		writer->plan->frozen += freeze->frozen;
		if (freeze->frozen > writer->plan->longest_freeze)
			writer->plan->longest_freeze = freeze->frozen;
	}
	if (!ret)
		return NULL;
	if (ret == -EAGAIN)
		pmr_say(writer->ctx, PMR_WARNING, "thawed-by-others", claim->file->path,
			"another program thawed its filesystem in the middle of a write: only what reads back right now "
			"counts as repaired");
	writer->not_again = claim->file->filesystem->device;
	writer->why_not = "cannot-freeze";
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].error == ret)
			writer->why_not = reasons[i].reason;
	return writer->why_not;
}

static int leave_all(struct pmr_writer *writer, struct pmr_chunk *chunks, size_t n,
		     const char *reason)
{
	for (size_t i = 0; i < n; i++)
		leave(writer, &chunks[i], reason);
	return 0;
}

/* Outcomes in order, up to the first page that there was no time for. */
static int conclude_all(struct pmr_writer *writer, struct pmr_chunk *chunks, size_t n,
			const struct pmr_frozen *frozen, const char *why, size_t *done)
{
	size_t told = 0;
	int ret;

	ret = pmr_device_refresh(writer->ctx, chunks->plan->file->filesystem->device);
	for (*done = 0; !ret && *done < n; ++*done) {
		struct pmr_chunk *chunk = &chunks[*done];

		/* one that was told has its outcome, also where a loss that it shares with another one was left with that */
		if (told == frozen->n || frozen->chunks[told].index != *done) {
			if (!pmr_chunk_is_left(chunk))
				ret = conclude_follower(writer, chunk);
			continue;
		}
		if (!why && told && frozen->chunks[told].state == PMR_FROZEN_PENDING)
			break;
		ret = conclude(writer, chunk, &frozen->chunks[told++], why);
	}
	return ret;
}

static int write_all(struct pmr_writer *writer, struct pmr_chunk *chunks, size_t n,
		     struct pmr_frozen *frozen, size_t *done)
{
	const struct pmr_claim *claim = chunks->claim;
	const char *why = NULL;

	frozen->claim = claim;
	for (size_t i = 0; i < n; i++)
		if (!pmr_chunk_is_left(&chunks[i]) && !chunks[i].step.follows)
			tell(frozen, &chunks[i], chunks, n);
	if (frozen->n && !claim->in_use && pmr_lease_is_wanted(claim->fd))
		return leave_all(writer, chunks, n, "in-use");
	if (frozen->n)
		why = write_frozen(writer, claim, frozen);
	return conclude_all(writer, chunks, n, frozen, why, done);
}

int pmr_device_write(struct pmr_writer *writer, struct pmr_chunk *chunks, size_t n, size_t *done)
{
	struct pmr_media *media = NULL;
	struct pmr_frozen *frozen;
	int ret;

	*done = n;
	frozen = mmap(NULL, sizeof(*frozen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (frozen == MAP_FAILED)
		return leave_all(writer, chunks, n, "no-memory");
	ret = pmr_media_open_writable(writer->ctx, chunks->plan->file->filesystem->device, &media);
	if (ret) {
		ret = leave_all(writer, chunks, n, "device-not-writable");
	} else {
		frozen->media = media;
		ret = write_all(writer, chunks, n, frozen, done);
	}
	pmr_media_close(media);
	munmap(frozen, sizeof(*frozen));
	return ret;
}
