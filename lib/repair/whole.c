/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device-dax, chunk by chunk: looked at right before, cleared by its bus, stored, read back, and looked for in the list.
 */
#include <errno.h>
#include <string.h>

#include "repair.h"

#define METHOD "clear"

struct whole {
	struct pmr_writer *writer;
	struct pmr_file_plan *plan;
	struct pmr_file *file;
	struct pmr_device *device;
	struct pmr_media *media; /* writable */
	uint64_t reached; /* what lies before it has its outcome */
};

/* A part of a step, where its bytes are in the journal, and which of them are cleared ahead of the store. */
struct part {
	const struct pmr_step *step;
	uint64_t offset;
	size_t length;
	uint64_t piece;
	struct pmr_ranges dead;
};

static struct pmr_loss *loss_in(const struct whole *w, const struct part *part, size_t i)
{
	struct pmr_loss *loss = &w->file->losses[part->step->first_loss + i];

	return loss->offset < part->offset + part->length &&
			       loss->offset + loss->length > part->offset
		       ? loss
		       : NULL;
}

/* ---- before */

/* NULL where what is listed of the part is what was to be repaired of it, no more and no less. */
static const char *check_list(const struct whole *w, const struct part *part)
{
	struct pmr_ranges wanted = { 0 }, listed = { 0 }, more = { 0 }, less = { 0 };
	const char *reason = "no-memory";

	for (size_t i = 0; i < part->step->n_losses; i++) {
		const struct pmr_loss *loss = &w->file->losses[part->step->first_loss + i];

		/* what is left by policy must not go with what is not; zeros that a repair wrote are in no list */
		if (loss->state != PMR_SKIPPED && !loss->vanished &&
		    pmr_ranges_add(&wanted, loss->offset, loss->length))
			goto out;
	}
	pmr_ranges_normalize(&wanted);
	if (w->device->badblocks.trust == PMR_LIST_UNKNOWN) {
		reason = "list-unknown";
		goto out;
	}
	if (pmr_ranges_clip(&listed, &w->device->badblocks.ranges, part->offset, part->length) ||
	    pmr_ranges_subtract(&more, &listed, &wanted))
		goto out;
	listed.n = 0;
	if (pmr_ranges_clip(&listed, &wanted, part->offset, part->length) ||
	    pmr_ranges_subtract(&less, &listed, &w->device->badblocks.ranges))
		goto out;
	reason = more.n ? "newly-unreadable" : less.n ? "readable" : NULL;
out:
	pmr_ranges_release(&wanted);
	pmr_ranges_release(&listed);
	pmr_ranges_release(&more);
	pmr_ranges_release(&less);
	return reason;
}

/* Whether a sector of a part is to be written over zeros of an earlier repair's. */
static bool has_zeros(const struct whole *w, const struct part *part, size_t at)
{
	const struct pmr_loss *loss;

	for (size_t i = 0; i < part->step->n_losses; i++) {
		loss = &w->file->losses[part->step->first_loss + i];
		if (loss->vanished && loss->offset < part->offset + at + PMR_SECTOR &&
		    loss->offset + loss->length > part->offset + at)
			return true;
	}
	return false;
}

/* NULL where what is not listed of the part is still what will be stored over it. */
static const char *check_rest(struct whole *w, const struct part *part)
{
	static const char zeros[PMR_SECTOR];
	const struct pmr_ranges *listed = &w->device->badblocks.ranges;
	struct pmr_ranges unreadable = { 0 }, more = { 0 };
	const char *reason = NULL;
	int ret;

	ret = pmr_media_salvage(w->media, part->offset, part->length, listed, w->writer->before,
				&unreadable);
	if (!ret)
		ret = pmr_ranges_subtract(&more, &unreadable, listed);
	if (ret)
		reason = ret == -ENOMEM ? "no-memory" : "device-error";
	else if (more.n)
		reason = "newly-unreadable";
	for (size_t at = 0; !reason && at < part->length; at += PMR_SECTOR)
		if (!pmr_ranges_overlap(listed, part->offset + at, PMR_SECTOR) &&
		    memcmp(w->writer->before + at,
			   has_zeros(w, part, at) ? zeros : w->writer->bytes + at, PMR_SECTOR))
			reason = "changed";
	pmr_ranges_release(&unreadable);
	pmr_ranges_release(&more);
	return reason;
}

/* Why a device could not be asked. One that is another is none of whose bytes anybody changed. */
static const char *reason_of(int ret)
{
	if (!ret)
		return NULL;
	if (ret == -ENOMEM)
		return "no-memory";
	return ret == -ENODEV || ret == -ESTALE ? "gone" : "device-error";
}

static const char *look_at_bytes(struct whole *w, struct part *part)
{
	const char *reason;

	if (w->writer->look_whole)
		return w->writer->look_whole(w->writer, w->media, part->piece, &part->dead);
	reason = check_list(w, part);
	if (!reason)
		reason = check_rest(w, part);
	if (!reason &&
	    pmr_ranges_overlap(&w->device->badblocks.ranges, part->offset, part->length) &&
	    pmr_ranges_add(&part->dead, part->offset, part->length))
		reason = "no-memory";
	return reason;
}

/* NULL, or why the part must not be touched. */
static const char *look(struct whole *w, struct part *part)
{
	const char *reason, *gone;
	char who[256];
	int ret;

	if (pmr_is_cancelled(w->writer->ctx))
		return "interrupted";
	ret = pmr_dax_check(w->device);
	if (!ret)
		ret = pmr_device_refresh(w->writer->ctx, w->device);
	if (ret)
		return reason_of(ret);
	if (!w->plan->in_use) {
		/* our own two descriptors of it are not told of */
		pmr_whole_users(w->device, who, sizeof(who));
		if (*who)
			return "in-use";
	}
	reason = look_at_bytes(w, part);
	/* of what went away meanwhile nothing could be loaded, which tells nothing of its bytes */
	gone = reason_of(pmr_dax_check(w->device));
	return gone ? gone : reason;
}

static const char *explain(const char *reason)
{
	static const struct {
		const char *reason, *text;
	} texts[] = {
		{ "interrupted", "interrupted" },
		{ "changed",
		  "what lies around the loss was stored to: stop who uses it, and repair again" },
		{ "clear-unit",
		  "its bus clears more at a time than it did when the repair was planned" },
		{ "device-error",
		  "it or what is listed of it cannot be looked at: see the kernel log" },
		{ "gone",
		  "the device is not there any more, or is another: look with 'pmem-recover list', enable its namespace, and go on" },
		{ "in-use", "another program has it open or mapped: stop it and repair again" },
		{ "list-unknown", "its list of bad blocks cannot be read any more" },
		{ "newly-unreadable", "more of it has become bad since the scan; repair again" },
		{ "no-clear-error", "its bus does not clear poison any more" },
		{ "readable", "it is in the list no more: somebody has cleared it; scan again" },
		{ "no-memory", "there is not enough memory" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!strcmp(texts[i].reason, reason))
			return texts[i].text;
	return reason;
}

static void leave(struct whole *w, const struct part *part, const char *reason)
{
	pmr_say(w->writer->ctx, PMR_WARNING, reason, w->file->path, "is left at byte %llu: %s",
		(unsigned long long)part->offset, explain(reason));
	pmr_plan_leave(w->file, part->step, part->offset, reason);
}

/* ---- after */

static const char *check_range(struct whole *w, const struct part *part,
			       const struct pmr_range *range)
{
	char *actual = w->writer->before;
	size_t length = (size_t)range->length, got;

	if (pmr_media_load(w->media, range->offset, actual, length, &got))
		return "read-back-error";
	if (memcmp(actual, w->writer->bytes + (range->offset - part->offset), length))
		return "read-back-differs";
	if (w->device->badblocks.trust == PMR_LIST_UNKNOWN)
		return "list-unknown";
	/* what only reading found was loaded just now, and no kernel forgets it */
	if (!pmr_reading_explains(w->device, range->offset, length))
		return "still-listed";
	return pmr_reading_forget(w->device, range->offset, length) ? "unverified" : NULL;
}

/* Whether the device may not hold the bytes, rather than that its list does not say so. */
static bool is_read_wrong(const char *reason)
{
	return reason && (!strcmp(reason, "read-back-error") ||
			  !strcmp(reason, "read-back-differs") || !strcmp(reason, "unverified"));
}

/*
 * NULL, or why what was stored of a part is not repaired; the list is as it was read after the write. What matters most is
 * whether it holds its bytes.
 */
static const char *check_back(struct whole *w, const struct part *part,
			      const struct pmr_ranges *stored)
{
	const char *reason = NULL, *other;

	for (size_t i = 0; i < stored->n && !is_read_wrong(reason); i++) {
		other = check_range(w, part, &stored->v[i]);
		if (!reason || is_read_wrong(other))
			reason = other;
	}
	return reason;
}

/* The losses of a part take its outcome; one that lies in several parts keeps its first failure. */
static void conclude(const struct whole *w, const struct part *part,
		     const struct pmr_ranges *stored, const char *reason)
{
	for (size_t i = 0; i < part->step->n_losses; i++) {
		struct pmr_loss *loss = loss_in(w, part, i);

		if (!loss)
			continue;
		/* zeros are remembered by it: where nothing was stored there are none */
		if (pmr_ranges_overlap(stored, loss->offset, loss->length))
			loss->method = METHOD;
		if (loss->state == PMR_FAILED || loss->state == PMR_SKIPPED)
			continue;
		loss->reason = reason;
		if (reason)
			loss->state = PMR_FAILED;
		else
			loss->state = loss->source && !strcmp(loss->source, "zero") ? PMR_ZEROED
										    : PMR_REPAIRED;
	}
}

static void say_failed(struct whole *w, const struct part *part, uint64_t cleared,
		       const char *reason)
{
	unsigned long long at = part->offset, wanted = pmr_ranges_bytes(&part->dead);

	if (!strcmp(reason, "clear-failed") && part->step->redo)
		pmr_say(w->writer->ctx, PMR_ERROR, "clear-failed", w->file->path,
			"is cleared by its bus for %llu of %llu bytes at %llu, and what an earlier run cleared of the rest may be in "
			"the journal alone, from which 'pmem-recover repair --resume' stores it: see the kernel log",
			(unsigned long long)cleared, wanted, at);
	else if (!strcmp(reason, "clear-failed"))
		pmr_say(w->writer->ctx, PMR_ERROR, "clear-failed", w->file->path,
			"is cleared by its bus for %llu of %llu bytes at %llu, and the rest is as it was, still listed: see the kernel "
			"log, save what can be read, and move to other memory",
			(unsigned long long)cleared, wanted, at);
	else if (!is_read_wrong(reason))
		pmr_say(w->writer->ctx, PMR_ERROR, "not-repaired", w->file->path,
			"holds its bytes again from byte %llu on, but its list does not say so (%s): scan it again, after a reboot "
			"where it stays so",
			at, reason);
	else
		pmr_say(w->writer->ctx, PMR_ERROR, "not-repaired", w->file->path,
			"was cleared at byte %llu and is not repaired (%s): its bytes are in the journal, from which 'pmem-recover "
			"repair --resume' stores them",
			at, reason);
}

/* ---- one part */

/* @run: cut to what of it may be stored: all, or where it is @dead what could be cleared, which may be nothing. */
static int clear_run(const struct whole *w, bool dead, struct pmr_range *run)
{
	uint64_t length, address, wanted = run->length;
	int ret;

	if (!dead)
		return 0;
	run->length = 0;
	/* what is cleared is an address, whoever has it by now */
	ret = pmr_dax_check(w->device);
	if (ret)
		return ret;
	address = pmr_device_address(w->device, run->offset, &length);
	if (address == PMR_NO_ADDRESS || length < wanted)
		return -ENODEV;
	return pmr_clear(w->device, address, wanted, &run->length);
}

/* What is cleared of [at, end), or is not, from @at on. */
static bool next_run(const struct part *part, uint64_t at, uint64_t end, struct pmr_range *run)
{
	size_t i = pmr_ranges_first(&part->dead, at);
	const struct pmr_range *next = i < part->dead.n ? &part->dead.v[i] : NULL;
	bool dead = next && next->offset <= at;

	if (dead && next->offset + next->length < end)
		end = next->offset + next->length;
	else if (!dead && next && next->offset < end)
		end = next->offset;
	*run = (struct pmr_range){ at, end - at };
	return dead;
}

/*
 * From the clear on its record is gone and its bytes are anything, until they are stored. What of it was cleared is stored
 * also where not all was: the journal is not the place that a program looks for them.
 *
 * @stored: gains what was cleared, or needed no clear, whatever came of the store
 * @cleared: result, bytes
 */
static int write_part(struct whole *w, const struct part *part, struct pmr_ranges *stored,
		      uint64_t *cleared)
{
	uint64_t end = part->offset + part->length, next;
	int ret = 0, error = 0, failed;
	struct pmr_range run;
	bool dead;

	*cleared = 0;
	for (uint64_t at = part->offset; at < end; at = next) {
		dead = next_run(part, at, end, &run);
		next = at + run.length;
		/* room for it, before there is no way back */
		if (pmr_ranges_add(stored, run.offset, run.length))
			return -ENOMEM;
		failed = clear_run(w, dead, &run);
		error = error ? error : failed;
		stored->v[stored->n - 1].length = run.length;
		*cleared += dead ? run.length : 0;
		if (!run.length) {
			stored->n--;
			continue;
		}
		failed = pmr_media_write_block(w->media, run.offset,
					       w->writer->bytes + (run.offset - part->offset),
					       (size_t)run.length);
		ret = ret ? ret : failed;
	}
	return error ? error : ret;
}

static int note(struct whole *w, const struct part *part, enum pmr_mark mark)
{
	static const struct timespec never;

	return pmr_journal_mark(w->writer->journal, w->writer->index, mark, &part->piece, 1,
				&never);
}

static int write_and_verify(struct whole *w, const struct part *part, struct pmr_ranges *stored)
{
	/* an earlier run may have cleared it */
	enum pmr_mark mark = part->step->redo ? PMR_MARK_OPEN : PMR_MARK_NONE;
	const char *reason;
	uint64_t cleared;
	int ret, error;

	error = write_part(w, part, stored, &cleared);
	if (stored->n)
		mark = PMR_MARK_OPEN;
	ret = pmr_device_refresh(w->writer->ctx, w->device);
	if (ret == -ENOMEM)
		return ret;
	if (ret && stored->n)
		reason = "unverified";
	else
		reason = check_back(w, part, stored);
	if (!reason && error)
		reason = "clear-failed";
	/* what was cleared, now or by an earlier run, and does not hold its bytes has them in the journal alone */
	w->writer->needs_journal |= is_read_wrong(reason) || (error && part->step->redo);
	conclude(w, part, stored, reason);
	if (reason)
		say_failed(w, part, cleared, reason);
	return note(w, part, reason ? mark : PMR_MARK_DONE);
}

static int run_part(struct whole *w, struct part *part)
{
	struct pmr_ranges stored = { 0 };
	const char *reason;
	int ret;

	ret = note(w, part, PMR_MARK_OPEN);
	if (ret)
		return ret;
	reason = look(w, part);
	if (reason) {
		leave(w, part, reason);
		return note(w, part, part->step->redo ? PMR_MARK_OPEN : PMR_MARK_NONE);
	}
	ret = write_and_verify(w, part, &stored);
	pmr_ranges_release(&stored);
	return ret;
}

static bool is_part_left(const struct whole *w, const struct part *part)
{
	const struct pmr_loss *loss;

	for (size_t i = 0; i < part->step->n_losses; i++) {
		loss = loss_in(w, part, i);
		if (loss && loss->state != PMR_SKIPPED)
			return false;
	}
	return true;
}

static int run_step(struct whole *w, const struct pmr_step *step)
{
	uint64_t position = step->journal_offset;
	/* of what was refused when it was composed the journal need not have all, or any, bytes */
	bool left = pmr_plan_is_left(w->file, step);
	struct part part = { .step = step };
	int ret = 0;

	for (uint64_t done = 0; done < step->length && !ret; done += part.length) {
		part.offset = step->offset + done;
		part.length = pmr_chunk_length(step, done);
		part.piece = position;
		if (!left)
			ret = pmr_journal_read(w->writer->journal, &position, w->writer->bytes,
					       part.length);
		part.dead.n = 0;
		if (!ret && !left && !is_part_left(w, &part))
			ret = run_part(w, &part);
		if (!ret)
			w->reached = part.offset + part.length;
		w->writer->done += part.length;
		pmr_tell_progress(w->writer->ctx, "repair", w->file->path, w->writer->done,
				  w->writer->total);
	}
	pmr_ranges_release(&part.dead);
	return ret;
}

/* Nothing goes on: what has no outcome is left, also where a part of it was written. */
static void leave_rest(const struct whole *w, const char *reason)
{
	const struct pmr_step *step;

	for (size_t i = 0; i < w->plan->n_steps; i++) {
		step = &w->plan->steps[i];
		if (step->offset + step->length > w->reached)
			pmr_plan_leave(w->file, step, w->reached, reason);
	}
}

int pmr_whole_run(struct pmr_writer *writer, struct pmr_file_plan *plan)
{
	struct whole w = {
		.writer = writer,
		.plan = plan,
		.file = plan->file,
		.device = plan->file->filesystem->device,
	};
	int ret;

	ret = pmr_media_open_writable(writer->ctx, w.device, &w.media);
	if (ret) {
		pmr_say(writer->ctx, PMR_ERROR, "device-not-writable", w.file->path,
			"cannot be opened: %s", strerror(-ret));
		pmr_plan_skip(w.file, "device-not-writable");
		return ret == -ENOMEM ? ret : 0;
	}
	for (size_t i = 0; i < plan->n_steps && !ret; i++)
		ret = run_step(&w, &plan->steps[i]);
	if (ret)
		leave_rest(&w, ret == -ENOMEM ? "no-memory" : "journal-error");
	pmr_media_close(w.media);
	return ret;
}
