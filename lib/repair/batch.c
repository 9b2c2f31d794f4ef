/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The steps of a file, some chunks at a time: out of the journal, looked at, written, and verified.
 */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "repair.h"
#include "device/topology.h"

struct batch {
	struct pmr_writer *writer;
	const struct pmr_compose *compose;
	struct pmr_claim *claim;
	struct pmr_file_plan *plan;
	struct pmr_chunk chunks[PMR_BATCH];
	size_t n;
	size_t used; /* of the buffers */
	uint64_t reached; /* file offset: what lies before it has its outcome */
};

/* seconds of a clock that nobody sets */
static time_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
	return time.tv_sec;
}

bool pmr_chunk_is_left(const struct pmr_chunk *chunk)
{
	const struct pmr_loss *loss;

	for (size_t i = 0; i < chunk->step.n_losses; i++) {
		loss = pmr_chunk_loss(chunk, i, 0, chunk->length);
		if (loss && loss->state != PMR_SKIPPED)
			return false;
	}
	return true;
}

/* said for each reason not to write after all */
static const char *explain(const char *reason)
{
	static const struct {
		const char *reason, *text;
	} texts[] = {
		{ "readable", "a listed sector can be read after all: scan again" },
		{ "interrupted", "interrupted" },
		{ "in-use", "another program wants to open the file: stop it and repair again" },
		{ "shared", "its blocks have come to be shared (reflink)" },
		{ "no-recovery-write",
		  "the kernel did not write over poison before, so it was not tried; " PMR_PUNCH_HELP },
		{ "no-space",
		  "its filesystem is too full to put the bytes elsewhere: free some space and repair again" },
		{ "file-size-limit",
		  "the limit on the size of files (ulimit -f) is below that: raise it and repair again" },
		{ "no-memory", "there is not enough memory" },
		{ "remapped",
		  "the table of its volume, or of one below, was changed or is suspended (device mapper): scan again" },
		{ "btt-map",
		  "where its blocks lie is lost by now with the map of their BTT: scan again" },
		{ "btt-log",
		  "the log of the BTT below has poison by now, so that writes may fail: scan again" },
		{ "btt-no-clear",
		  "the BTT below is on a bus that cannot clear poison, so that the kernel may hang" },
		{ "btt-unknown",
		  "of the BTT below it is not known what the poison took of its map and log: scan again" },
		{ "device-error",
		  "the device cannot be read, and not for poison: see the kernel log" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!strcmp(texts[i].reason, reason))
			return texts[i].text;
	return "the file or its place changed since it was planned: scan again";
}

/*
 * A chunk that is not written leaves the rest of its step too. It is said; once for a file where it is the kernel's
 * doing.
 */
static void leave(struct batch *b, const struct pmr_chunk *chunk, const char *reason)
{
	bool once = !strcmp(reason, "no-recovery-write");

	if (!once || !b->writer->told)
		pmr_say(b->writer->ctx, once ? PMR_ERROR : PMR_WARNING, reason, b->plan->file->path,
			"is left at byte %llu: %s", (unsigned long long)chunk->step.offset,
			explain(reason));
	b->writer->told |= once;
	pmr_plan_leave(b->plan->file, &chunk->step, chunk->step.offset, reason);
}

/*
 * Notes in the journal how far chunks [from, to) came: those of which is_marked() is true. Before a look, not between it
 * and the writes: that it is on stable storage takes its time.
 */
static int note(struct batch *b, size_t from, size_t to, enum pmr_mark mark,
		bool (*is_marked)(const struct pmr_chunk *chunk))
{
	uint64_t pieces[PMR_BATCH];
	size_t n = 0;

	for (size_t i = from; i < to; i++)
		if (is_marked(&b->chunks[i]))
			pieces[n++] = b->chunks[i].piece;
	return pmr_journal_mark(b->writer->journal, b->writer->index, mark, pieces, n,
				&b->claim->change_time);
}

static bool is_wanted(const struct pmr_chunk *chunk)
{
	return !pmr_chunk_is_left(chunk);
}

/* What an earlier run may have begun stays so. */
static bool is_untouched(const struct pmr_chunk *chunk)
{
	return !chunk->touched && !chunk->redo;
}

/* Whether all of it was written, or found to be there, and verified. */
static bool is_done(const struct pmr_chunk *chunk)
{
	const struct pmr_loss *loss;

	for (size_t i = 0; chunk->touched && i < chunk->step.n_losses; i++) {
		loss = pmr_chunk_loss(chunk, i, 0, chunk->length);
		if (loss && loss->state != PMR_REPAIRED && loss->state != PMR_ZEROED)
			return false;
	}
	return chunk->touched;
}

/* What goes through the file may be refused for that, and after a punch it would be too late. */
static bool is_over_limit(const struct pmr_chunk *chunk)
{
	struct rlimit limit;

	return chunk->step.method != PMR_METHOD_DEVICE && !getrlimit(RLIMIT_FSIZE, &limit) &&
	       limit.rlim_cur != RLIM_INFINITY &&
	       chunk->step.offset + chunk->length > limit.rlim_cur;
}

/* Right before the writes: the list, the file, and then each chunk from @from on that is to be written. */
static int look(struct batch *b, size_t from)
{
	struct pmr_places places = { 0 };
	const char *of_file, *reason;
	int ret;

	ret = pmr_device_refresh(b->writer->ctx, b->plan->file->filesystem->device);
	if (ret)
		return ret;
	/* what is planned and listed by the pieces of another table may be anybody's */
	of_file = pmr_device_moved(b->plan->file->filesystem->device);
	if (!of_file)
		of_file = pmr_claim_check(b->claim);
	for (size_t i = from; i < b->n; i++) {
		if (pmr_chunk_is_left(&b->chunks[i]))
			continue;
		/* of what is looked at again, as there was no time for it, only the last look counts */
		b->chunks[i].failing.n = 0;
		b->chunks[i].listed.n = 0;
		reason = pmr_is_cancelled(b->writer->ctx) ? "interrupted" : of_file;
		if (!reason)
			reason = pmr_btt_refuses(b->plan->file->filesystem->device,
						 b->chunks[i].step.device_offset,
						 b->chunks[i].length);
		if (!reason && is_over_limit(&b->chunks[i]))
			reason = "file-size-limit";
		if (!reason)
			reason = b->writer->look(b->writer, &places, &b->chunks[i]);
		if (reason)
			leave(b, &b->chunks[i], reason);
	}
	pmr_places_release(&places);
	return 0;
}

static bool is_punched(const struct batch *b, const struct pmr_chunk *chunk)
{
	/* a block that lies past the end of the file has nothing that could be written anew */
	return chunk->step.method != PMR_METHOD_DEVICE && b->plan->method == PMR_METHOD_PUNCH &&
	       chunk->step.offset < b->plan->file->size;
}

/*
 * NULL, or why nothing may be written after all: others wait, or were here. What keeps them from changing is cheap enough to
 * be asked each time. A punch undoes all that they wrote; nothing of ours was written since its look, so the file must still
 * be just what it was.
 */
static const char *refuse(const struct batch *b, const struct pmr_chunk *chunk)
{
	if (is_punched(b, chunk))
		return pmr_claim_check(b->claim);
	return pmr_lease_is_wanted(b->claim->fd) ? "in-use" : NULL;
}

/* Chunks from @from on, as many as the mark before them still stands for. @reached: the first one that was not. */
static int write_chunks(struct batch *b, size_t from, size_t *reached)
{
	time_t until = now() + PMR_MARK_SECONDS;
	struct pmr_chunk *chunk;
	const char *reason;
	size_t done = 0;
	int ret = 0;

	/* a batch is of one kind */
	if (b->chunks[from].step.method == PMR_METHOD_DEVICE) {
		ret = pmr_device_write(b->writer, b->chunks + from, b->n - from, &done);
		*reached = from + done;
		return ret;
	}
	for (*reached = from; !ret && *reached < b->n; ++*reached) {
		chunk = &b->chunks[*reached];
		if (pmr_chunk_is_left(chunk))
			continue;
		if (*reached > from && now() > until)
			break;
		reason = refuse(b, chunk);
		if (reason)
			leave(b, chunk, reason);
		else if (is_punched(b, chunk))
			ret = pmr_punch_chunk(b->writer, chunk);
		else
			pmr_write_chunk(b->writer, chunk);
	}
	return ret;
}

/* Chunks from @from on, with marks before and after. */
static int run_from(struct batch *b, size_t from, size_t *reached)
{
	int ret, verified;

	ret = note(b, from, b->n, PMR_MARK_OPEN, is_wanted);
	if (!ret)
		ret = look(b, from);
	if (ret)
		return ret;
	ret = write_chunks(b, from, reached);
	verified = pmr_write_verify(b->writer, b->chunks + from, *reached - from);
	if (!ret)
		ret = verified;
	if (!ret)
		ret = note(b, from, *reached, PMR_MARK_DONE, is_done);
	if (!ret)
		ret = note(b, from, *reached, PMR_MARK_NONE, is_untouched);
	return ret;
}

static int run(struct batch *b)
{
	size_t reached = 0;
	int ret = 0;

	if (!b->n)
		return 0;
	while (!ret && reached < b->n)
		ret = run_from(b, reached, &reached);
	if (!ret)
		b->reached = b->chunks[b->n - 1].step.offset + b->chunks[b->n - 1].length;
	for (size_t i = 0; i < b->n; i++) {
		pmr_ranges_release(&b->chunks[i].failing);
		pmr_ranges_release(&b->chunks[i].listed);
	}
	b->writer->done += b->used;
	pmr_tell_progress(b->writer->ctx, "repair", b->plan->file->path, b->writer->done,
			  b->writer->total);
	b->n = 0;
	b->used = 0;
	return ret;
}

/* Whether @step, of which @length bytes are next, has to wait for the next batch. */
static bool is_full(const struct batch *b, const struct pmr_step *step, size_t length)
{
	const struct pmr_step *last = b->n ? &b->chunks[b->n - 1].step : NULL;
	bool device = step->method == PMR_METHOD_DEVICE;

	if (b->n == PMR_BATCH || length > PMR_CHUNK - b->used)
		return true;
	if (!last)
		return false;
	if (device != (last->method == PMR_METHOD_DEVICE))
		return true;
	/* what goes through the device goes all of a page together, and of a page there are at most so many steps */
	if (device)
		return step->offset / PMR_PAGE != last->offset / PMR_PAGE &&
		       b->n > PMR_BATCH - PMR_PAGE / PMR_SECTOR / 2;
	return b->plan->method == PMR_METHOD_PUNCH;
}

static int add(struct batch *b, const struct pmr_step *step, uint64_t done, uint64_t *position)
{
	size_t length = pmr_chunk_length(step, done);
	uint64_t piece = *position;
	struct pmr_chunk *chunk;
	int ret;

	if (is_full(b, step, length)) {
		ret = run(b);
		if (ret)
			return ret;
	}
	chunk = &b->chunks[b->n];
	*chunk = (struct pmr_chunk){
		.compose = b->compose,
		.claim = b->claim,
		.plan = b->plan,
		.step = *step,
		.length = length,
		.redo = step->redo,
		.bytes = b->writer->bytes + b->used,
		.before = b->writer->before + b->used,
	};
	chunk->step.offset += done;
	chunk->step.device_offset += done;
	chunk->step.length = length;
	ret = pmr_journal_read(b->writer->journal, position, b->writer->bytes + b->used, length);
	if (ret)
		return ret;
	chunk->piece = piece;
	chunk->journal_offset = *position - length;
	b->n++;
	/* where blocks are smaller than pages a chunk may be too, and the next one still begins with a page */
	b->used += length + (PMR_PAGE - length % PMR_PAGE) % PMR_PAGE;
	return 0;
}

static int add_step(struct batch *b, const struct pmr_step *step)
{
	uint64_t position = step->journal_offset;
	int ret;

	if (pmr_plan_is_left(b->plan->file, step))
		return 0;
	for (uint64_t done = 0; done < step->length; done += pmr_chunk_length(step, done)) {
		ret = add(b, step, done, &position);
		if (ret)
			return ret;
	}
	return 0;
}

/* nothing goes on: what did not come to be written is left, also where a part of it was */
static void leave_rest(const struct batch *b, const char *reason)
{
	const struct pmr_step *step;

	for (size_t i = 0; i < b->plan->n_steps; i++) {
		step = &b->plan->steps[i];
		if (step->offset + step->length > b->reached)
			pmr_plan_leave(b->plan->file, step, b->reached, reason);
	}
}

int pmr_batch_run(struct pmr_writer *writer, const struct pmr_compose *compose,
		  struct pmr_claim *claim, struct pmr_file_plan *plan)
{
	struct batch b = { .writer = writer, .compose = compose, .claim = claim, .plan = plan };
	int ret = 0;

	for (size_t i = 0; !ret && i < plan->n_steps; i++)
		ret = add_step(&b, &plan->steps[i]);
	if (!ret)
		ret = run(&b);
	if (ret)
		leave_rest(&b, ret == -ENOMEM ? "no-memory" : "journal-error");
	return ret;
}

/* Whether something of a chunk was written, or found to be there, and verified. */
static bool is_verified(const struct pmr_file *file, const struct pmr_step *step, uint64_t offset,
			size_t length)
{
	const struct pmr_loss *loss;

	for (size_t i = 0; i < step->n_losses; i++) {
		loss = &file->losses[step->first_loss + i];
		if (loss->offset < offset + length && loss->offset + loss->length > offset &&
		    (loss->state == PMR_REPAIRED || loss->state == PMR_ZEROED))
			return true;
	}
	return false;
}

int pmr_batch_reopen(struct pmr_writer *writer, const struct pmr_claim *claim,
		     const struct pmr_file_plan *plan)
{
	uint64_t pieces[PMR_BATCH], position;
	const struct pmr_step *step;
	size_t n = 0, length;
	int ret = 0;

	for (size_t i = 0; !ret && i < plan->n_steps; i++) {
		step = &plan->steps[i];
		if (pmr_plan_is_left(plan->file, step))
			continue;
		position = step->journal_offset;
		for (uint64_t done = 0; !ret && done < step->length; done += length) {
			length = pmr_chunk_length(step, done);
			if (is_verified(plan->file, step, step->offset + done, length))
				pieces[n++] = position;
			ret = pmr_journal_read(writer->journal, &position, writer->bytes, length);
			if (ret || n < PMR_BATCH)
				continue;
			ret = pmr_journal_mark(writer->journal, writer->index, PMR_MARK_OPEN,
					       pieces, n, &claim->change_time);
			n = 0;
		}
	}
	return ret ? ret
		   : pmr_journal_mark(writer->journal, writer->index, PMR_MARK_OPEN, pieces, n,
				      &claim->change_time);
}
