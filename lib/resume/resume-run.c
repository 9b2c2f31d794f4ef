/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finishes an interrupted repair: what is left is looked at once more, written, verified, and marked in its journal. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "resume.h"
#include "journal/journal.h"
#include "memory/zeroed.h"

struct run {
	struct pmr_ctx *ctx;
	struct pmr_plan *plan;
	struct pmr_resume *resume;
	struct pmr_writer writer;
	bool left; /* something of it waits for another resume */
};

/* one file, while it is ours */
struct work {
	struct run *run;
	struct pmr_resume_file *of;
	struct pmr_file_plan *plan;
	struct pmr_claim claim;
	struct pmr_media *media;
	uint64_t *positions; /* room for those of all pieces */
	bool is_uncut; /* it could not be cut to its size */
};

/* ---- right before a write */

static bool is_punched(const struct pmr_chunk *chunk)
{
	return chunk->step.method == PMR_METHOD_PUNCH;
}

/* What can be read now and is in no list has no poison in the way of a write. */
static void note_vanished(const struct pmr_chunk *chunk)
{
	struct pmr_loss *loss;

	for (size_t i = 0; i < chunk->step.n_losses; i++) {
		loss = pmr_chunk_loss(chunk, i, 0, chunk->length);
		if (loss)
			loss->vanished = !pmr_ranges_overlap(&chunk->listed, loss->device_offset,
							     loss->length) &&
					 !pmr_ranges_overlap(&chunk->failing, loss->device_offset,
							     loss->length);
	}
}

/* NULL where a chunk may be written; else why not. The place of pmr_write_look(). */
static const char *look(struct pmr_writer *writer, struct pmr_places *places,
			struct pmr_chunk *chunk)
{
	const struct pmr_resume_look *at = writer->look_data;
	const struct pmr_device *device = at->filesystem->device;
	const struct pmr_journal_piece *piece = pmr_journal_find_piece(at->of->was, chunk->piece);
	static const struct pmr_ranges none;
	struct pmr_evidence evidence;
	enum pmr_verdict verdict;
	const char *reason;

	(void)places;
	if (!piece)
		return "changed";
	if (pmr_ranges_clip(&chunk->listed, &device->badblocks.ranges, chunk->step.device_offset,
			    chunk->length))
		return "no-memory";
	if (pmr_media_salvage(at->media, chunk->step.device_offset, chunk->length, &none,
			      chunk->before, &chunk->failing) ||
	    pmr_resume_examine(at, piece, chunk->bytes, &evidence))
		return "device-error";
	verdict = pmr_judge(&evidence, &reason);
	if (verdict != PMR_VERDICT_REDO && verdict != PMR_VERDICT_SETTLED)
		return reason;
	/* what is where it was not is not the file's any more */
	if (evidence.spot != PMR_SPOT_SAME)
		chunk->listed.n = 0;
	note_vanished(chunk);
	return is_punched(chunk) ? pmr_punch_look(chunk) : NULL;
}

/* ---- a file */

/* the pieces that are open, or those that are settled and not yet noted as that */
static int mark_pieces(struct work *w, enum pmr_mark mark)
{
	const struct pmr_journal_file *was = w->of->was;
	size_t n = 0;

	for (size_t i = 0; i < was->n_pieces; i++)
		if (mark == PMR_MARK_OPEN ? was->pieces[i].mark == PMR_MARK_OPEN
					  : was->pieces[i].mark != PMR_MARK_DONE &&
						    w->of->verdicts[i] == PMR_VERDICT_SETTLED)
			w->positions[n++] = was->pieces[i].position;
	return pmr_journal_mark(w->run->writer.journal, w->of->index, mark, w->positions, n,
				&w->claim.change_time);
}

/* Set-id bits that are gone: our write took them, if it is one that does; else somebody's chmod did, which holds. */
static void restore_mode(struct work *w)
{
	const mode_t set_id = S_ISUID | S_ISGID, was = w->of->was->mode;
	mode_t gone = was & set_id & ~w->claim.mode;

	if (!gone || (w->claim.mode & ~set_id) != (was & ~set_id))
		return;
	if (pmr_claim_drops_set_id()) {
		w->claim.mode |= gone;
		w->claim.drops_set_id = true;
		return;
	}
	pmr_say(w->run->ctx, PMR_WARNING, "attributes", w->of->was->path,
		"had mode %04o when its repair began, and has %04o now: a chmod, or a repair without CAP_FSETID, took set-id bits "
		"away, which are not put back; see chmod(1)",
		(unsigned int)was, (unsigned int)w->claim.mode);
}

/* What our write dropped of mode and capability, and only that, is put back. */
static int restore_attributes(struct work *w)
{
	const struct pmr_journal_file *was = w->of->was;

	restore_mode(w);
	if (!was->capability || w->claim.capability)
		return 0;
	w->claim.capability = malloc(was->capability_length);
	if (!w->claim.capability)
		return -ENOMEM;
	memcpy(w->claim.capability, was->capability, was->capability_length);
	w->claim.capability_length = was->capability_length;
	return 0;
}

/* Whether a write of it may have begun, and nobody has changed it since. */
static bool is_ours(const struct pmr_resume_file *of)
{
	return of->begun && of->is_same && of->change != PMR_CHANGE_OTHERS;
}

/* Of a file that somebody else changed, the change time that was ours stays noted. */
static int tell_outcome(struct run *r, const struct pmr_resume_file *of, struct pmr_file_plan *plan)
{
	struct timespec now = plan->file->change_time;
	int ret;

	plan->file->change_time = of->was->change_time;
	ret = pmr_journal_outcome(r->writer.journal, plan, of->index);
	plan->file->change_time = now;
	return ret;
}

/* Whether somebody else may have been at a part of the file. */
static bool is_mixed(const struct work *w)
{
	for (size_t i = 0; i < w->of->was->n_pieces; i++)
		if (w->of->verdicts[i] == PMR_VERDICT_CONFLICT ||
		    w->of->verdicts[i] == PMR_VERDICT_SKIPPED)
			return true;
	return false;
}

/* Size, mode and capability as they were; noted ahead of it, for this changes the change time. */
static int settle(struct work *w)
{
	int ret = 0, size_error;

	if (!is_ours(w->of) || w->claim.in_use)
		return 0;
	/* a mark notes the file as it is now, and what is somebody's must not become ours by that */
	if (is_mixed(w))
		ret = tell_outcome(w->run, w->of, w->plan);
	if (!ret)
		ret = restore_attributes(w);
	if (!ret)
		ret = mark_pieces(w, PMR_MARK_OPEN);
	if (ret)
		return ret;
	size_error = pmr_write_settle(&w->run->writer, &w->claim);
	if (size_error)
		w->run->left = true;
	/* too long by our own write, it would be taken for one that others changed: the next resume cuts it, by its open pieces */
	w->is_uncut = size_error && size_error != -ESTALE;
	if (w->is_uncut)
		pmr_plan_skip(w->plan->file, "size");
	return 0;
}

static bool is_end(const char *reason)
{
	static const char *const words[] = { "changed",	 "moved",	   "shared",
					     "readable", "not-journalled", "newly-unreadable" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (reason && !strcmp(words[i], reason))
			return true;
	return false;
}

/* What was begun before and could not be gone on with is in conflict, as it would have been when it was planned. */
static void find_conflicts(const struct pmr_file_plan *plan)
{
	const struct pmr_step *step;
	struct pmr_loss *loss;

	for (size_t i = 0; i < plan->n_steps; i++) {
		step = &plan->steps[i];
		for (size_t j = 0; step->redo && j < step->n_losses; j++) {
			loss = &plan->file->losses[step->first_loss + j];
			if (loss->state == PMR_SKIPPED && is_end(loss->reason))
				loss->state = PMR_CONFLICT;
		}
	}
}

static void fail_written(struct pmr_file *file)
{
	for (size_t i = 0; i < file->n_losses; i++)
		if (file->losses[i].state == PMR_REPAIRED || file->losses[i].state == PMR_ZEROED) {
			file->losses[i].state = PMR_FAILED;
			file->losses[i].reason = "sync";
		}
}

static int work_claimed(struct work *w)
{
	struct pmr_writer *writer = &w->run->writer;
	struct pmr_compose compose = { &w->claim, w->media, NULL };
	struct pmr_resume_look at = {
		.resume = w->run->resume,
		.fd = w->claim.fd,
		.media = w->media,
		.filesystem = w->plan->file->filesystem,
		.of = w->of,
		.listed = &(const struct pmr_ranges){ 0 },
	};
	int ret, error;

	/* of what goes by the device alone nothing may wait for a freeze: it may be that of the repair that was killed */
	if (!w->plan->in_use)
		pmr_cow_drop(&w->claim);
	ret = settle(w);
	writer->look_data = &at;
	if (!ret && !w->is_uncut && w->plan->n_steps)
		ret = pmr_batch_run(writer, &compose, &w->claim, w->plan);
	writer->look_data = NULL;
	if (fsync(w->claim.fd) < 0) {
		pmr_say(w->run->ctx, PMR_ERROR, "sync", w->of->was->path,
			"cannot be synced, so what was written may not last: %s", strerror(errno));
		/* what is settled without a write stays open as well */
		error = pmr_batch_reopen(writer, &w->claim, w->plan);
		ret = ret ? ret : error;
		fail_written(w->plan->file);
		w->run->left = true;
	} else if (!ret && !w->is_uncut) {
		ret = mark_pieces(w, PMR_MARK_DONE);
	}
	if (pmr_punch_conclude(writer, w->plan->file))
		ret = -ENOMEM;
	find_conflicts(w->plan);
	w->plan->file->change_time = w->claim.change_time;
	return ret;
}

static int open_work(struct work *w, const char **refused)
{
	struct pmr_file *file = w->plan->file;
	uint64_t size = file->size;
	int ret;

	/* as it is now it must still be, whatever it is to become */
	file->size = w->of->size;
	ret = pmr_claim_take(w->run->ctx, file, w->plan->in_use, &w->claim, refused);
	file->size = size;
	if (ret)
		return ret;
	w->claim.grown = w->of->is_grown ? w->of->size : 0;
	ret = pmr_media_open(w->run->ctx, file->filesystem->device, &w->media);
	if (ret) {
		pmr_say(w->run->ctx, PMR_ERROR, "no-device-access", file->filesystem->device->name,
			"cannot be read: %s", strerror(-ret));
		*refused = "no-device-access";
		return ret;
	}
	w->positions = calloc(w->of->was->n_pieces + 1, sizeof(*w->positions));
	return w->positions ? 0 : -ENOMEM;
}

static int work_file(struct run *r, struct pmr_resume_file *of, struct pmr_file_plan *plan)
{
	struct work w = { .run = r, .of = of, .plan = plan, .claim = { .fd = -1 } };
	struct pmr_writer *writer = &r->writer;
	const char *refused = NULL;
	int ret;

	writer->told = writer->told_unread = false;
	if (writer->device != plan->file->filesystem->device)
		writer->refusals = 0;
	writer->device = plan->file->filesystem->device;
	writer->index = of->index;
	ret = open_work(&w, &refused);
	if (!ret)
		ret = work_claimed(&w);
	if (refused) {
		plan->refused = refused;
		pmr_plan_skip(plan->file, refused);
		r->left = true;
		ret = 0;
	} else if (!ret) {
		ret = pmr_journal_outcome(writer->journal, plan, of->index);
	}
	free(w.positions);
	pmr_media_close(w.media);
	pmr_claim_release(&w.claim);
	pmr_repair_say_failures(r->ctx, plan->file);
	return ret;
}

/* Our write of its last page made it longer, and who changed it since may want that: only a person can tell. */
static void fail_grown(const struct run *r, const struct pmr_resume_file *of,
		       struct pmr_file_plan *plan)
{
	struct pmr_loss *loss;

	pmr_say(r->ctx, PMR_ERROR, "size", of->was->path,
		"was %llu bytes long, has grown by the write of its last page that was interrupted, and was changed since: it is "
		"not cut back; truncate it by hand if nobody else made it longer",
		(unsigned long long)of->was->size);
	for (size_t i = 0; i < plan->file->n_losses; i++) {
		loss = &plan->file->losses[i];
		if (loss->offset + loss->length > of->was->size / PMR_PAGE * PMR_PAGE &&
		    (loss->state == PMR_REPAIRED || loss->state == PMR_ZEROED)) {
			loss->state = PMR_FAILED;
			loss->reason = "size";
		}
	}
}

/* A device-dax: it has no lease, and nothing to be put back. */
static int work_whole(struct run *r, struct pmr_resume_file *of, struct pmr_file_plan *plan)
{
	struct work w = { .run = r, .of = of, .plan = plan, .claim = { .fd = -1 } };
	int ret;

	r->writer.told = false;
	r->writer.index = of->index;
	w.positions = calloc(of->was->n_pieces + 1, sizeof(*w.positions));
	if (!w.positions)
		return -ENOMEM;
	ret = pmr_resume_run_whole(&r->writer, r->resume, of, plan, &r->left);
	if (!ret)
		ret = mark_pieces(&w, PMR_MARK_DONE);
	free(w.positions);
	find_conflicts(plan);
	/* what waits has no outcome yet */
	return ret || plan->refused ? ret : pmr_journal_outcome(r->writer.journal, plan, of->index);
}

static int finish_file(struct run *r, size_t i)
{
	struct pmr_resume_file *of = &r->resume->files[i];
	struct pmr_file_plan *plan = &r->plan->files[i];

	if (of->is_missing || !of->is_there)
		return 0;
	if (of->is_grown && !is_ours(of))
		fail_grown(r, of, plan);
	if (!plan->n_steps && (of->was->whole_device || !is_ours(of)))
		return tell_outcome(r, of, plan);
	if (!pmr_is_cancelled(r->ctx))
		return of->was->whole_device ? work_whole(r, of, plan) : work_file(r, of, plan);
	r->left = true;
	return 0;
}

/* ---- the whole */

/* Whether a loss keeps its journal unfinished. What failed does not, as in a repair. */
static bool is_open(const struct pmr_loss *loss)
{
	return loss->state == PMR_CONFLICT || loss->state == PMR_UNKNOWN ||
	       (loss->state == PMR_SKIPPED && !is_end(loss->reason));
}

/* @waits: for more than a person's decision */
static bool is_left(const struct pmr_plan *plan, bool *waits)
{
	const struct pmr_file *file;
	bool left = false;

	for (size_t i = 0; i < plan->n_files; i++) {
		file = plan->files[i].file;
		for (size_t j = 0; j < file->n_losses; j++)
			if (is_open(&file->losses[j])) {
				left = true;
				*waits |= file->losses[j].state != PMR_CONFLICT;
			}
	}
	return left;
}

static int finish(struct run *r)
{
	struct pmr_journal *journal = r->writer.journal;
	bool waits = r->left || r->resume->is_missing || r->writer.needs_journal ||
		     pmr_is_cancelled(r->ctx);

	if (!is_left(r->plan, &waits) && !waits)
		return pmr_journal_finish(journal);
	pmr_say(r->ctx, PMR_WARNING, "unfinished-journal", pmr_journal_path(journal),
		"stays unfinished: resume it again once what was said is dealt with, or put it away with 'pmem-recover "
		"journal --set-aside'");
	if (waits)
		r->plan->scan->complete = false;
	return 0;
}

static int finish_files(struct run *r)
{
	struct pmr_plan *plan = r->plan;
	int ret = 0;

	r->writer.before = calloc(1, PMR_CHUNK);
	if (!r->writer.before || posix_memalign((void **)&r->writer.bytes, PMR_PAGE, PMR_CHUNK)) {
		free(r->writer.before);
		r->writer.before = NULL;
		return -ENOMEM;
	}
	for (size_t i = 0; i < plan->n_files; i++) {
		if (!ret)
			ret = finish_file(r, i);
		/* whatever was not reached was not written */
		pmr_plan_skip(plan->files[i].file,
			      pmr_is_cancelled(r->ctx) ? "interrupted" : "journal-error");
	}
	free(r->writer.before);
	free(r->writer.bytes);
	return ret;
}

/* when the file was last known, for who remembers its zeros */
static struct timespec *before(const struct pmr_resume *resume)
{
	struct timespec *times = calloc(resume->n_files + 1, sizeof(*times));

	for (size_t i = 0; times && i < resume->n_files; i++)
		times[i] = resume->files[i].was->planned_time;
	return times;
}

static int run_locked(struct run *r, const struct pmr_journal_entry *entry)
{
	struct pmr_scan *scan = r->plan->scan;
	struct timespec *times = before(r->resume);
	int ret;

	if (!times)
		return -ENOMEM;
	ret = pmr_journal_reopen(r->ctx, entry, r->plan, &r->writer.journal);
	if (ret) {
		free(times);
		return ret;
	}
	ret = finish_files(r);
	pmr_zeros_account(r->ctx, r->plan, times);
	if (!ret)
		ret = finish(r);
	free(r->plan->journal);
	r->plan->journal = strdup(pmr_journal_path(r->writer.journal));
	pmr_repair_account(r->ctx, r->plan);
	if (ret)
		scan->complete = false;
	pmr_journal_close(r->writer.journal);
	free(times);
	return 0;
}

int pmr_resume_run(struct pmr_ctx *ctx, struct pmr_plan *plan,
		   const struct pmr_journal_entry *entry, const struct pmr_repair_options *options)
{
	struct run r = {
		.ctx = ctx,
		.plan = plan,
		.resume = plan->resume,
		.writer = { .ctx = ctx,
			    .scan = plan->scan,
			    .plan = plan,
			    .look = look,
			    .wanted = PMR_METHOD_AUTO,
			    .trust_badblocks = options->trust_badblocks,
			    .total = plan->bytes },
	};
	struct pmr_locks locks = { 0 };
	int ret;

	ret = pmr_lock_devices(ctx, (const struct pmr_device *const *)plan->scan->devices,
			       plan->scan->n_devices, &locks);
	if (!ret)
		ret = run_locked(&r, entry);
	pmr_locks_release(&locks);
	return ret;
}
