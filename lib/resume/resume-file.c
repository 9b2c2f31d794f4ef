/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file of an interrupted repair: what is left to be done to it? */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "resume.h"
#include "journal/journal.h"
#include "scan/scan.h"

/* ---- its pieces */

/*
 * What an earlier resume found, that the piece may hold somebody's bytes: what it noted of the file since, and a boot that
 * is over, take nothing of that back. Else PMR_VERDICT_REDO.
 */
static enum pmr_verdict earlier_verdict(const struct pmr_journal_file *was,
					const struct pmr_journal_piece *piece)
{
	size_t i = pmr_resume_first_loss(was->losses, was->n_losses, piece->offset);
	const struct pmr_loss *loss;

	for (; i < was->n_losses; i++) {
		loss = &was->losses[i];
		if (loss->offset >= piece->offset + piece->length)
			break;
		if (loss->state == PMR_CONFLICT)
			return PMR_VERDICT_CONFLICT;
		if (loss->state == PMR_SKIPPED && loss->reason)
			return PMR_VERDICT_SKIPPED;
	}
	return PMR_VERDICT_REDO;
}

/* A verdict of each piece, into the file's, and why, into @reasons. Nothing is concluded before all of them are there. */
static int examine_pieces(struct pmr_resume_subject *s, struct pmr_media *media,
			  const char **reasons)
{
	struct pmr_ranges listed = { 0 };
	const struct pmr_resume_look look = {
		.resume = s->resume,
		.fd = s->fd,
		.media = media,
		.filesystem = s->filesystem,
		.of = s->of,
		.listed = &listed,
	};
	const struct pmr_journal_piece *piece;
	struct pmr_evidence evidence;
	enum pmr_verdict verdict;
	int ret;

	/* a list from a file is what was known before, and may have been written since */
	ret = pmr_reading_living(s->filesystem->device, &listed);
	for (size_t i = 0; !ret && i < s->was->n_pieces; i++) {
		piece = &s->was->pieces[i];
		ret = pmr_journal_read_bytes(s->resume->journal, piece->position, NULL,
					     s->resume->expected, piece->length);
		if (!ret)
			ret = pmr_resume_examine(&look, piece, s->resume->expected, &evidence);
		if (ret)
			break;
		verdict = pmr_judge(&evidence, &reasons[i]);
		if (verdict == PMR_VERDICT_REDO &&
		    earlier_verdict(s->was, piece) != PMR_VERDICT_REDO) {
			verdict = earlier_verdict(s->was, piece);
			reasons[i] = "changed";
		}
		s->of->verdicts[i] = verdict;
	}
	pmr_ranges_release(&listed);
	/* of a device that went meanwhile, what could not be read says nothing of its bytes */
	if (!ret && pmr_media_has_shrunk(media)) {
		s->unknown = "gone";
		ret = -ENODEV;
	}
	return ret;
}

static int judge_pieces(struct pmr_resume_subject *s, struct pmr_media *media)
{
	const struct pmr_journal_file *was = s->was;
	const char **reasons = calloc(was->n_pieces + 1, sizeof(*reasons));
	size_t alloc = 0;
	int ret;

	if (!reasons)
		return -ENOMEM;
	ret = examine_pieces(s, media, reasons);
	for (size_t i = 0; !ret && i < was->n_pieces; i++) {
		if (s->of->verdicts[i] == PMR_VERDICT_REDO)
			ret = pmr_resume_add_step(s, &was->pieces[i], &alloc);
		else
			pmr_resume_conclude(s, &was->pieces[i], s->of->verdicts[i], reasons[i]);
	}
	free(reasons);
	return ret;
}

/* of a file that is not there: what was not begun is nobody's, what was is in conflict */
static void judge_gone(struct pmr_resume_subject *s)
{
	const struct pmr_journal_piece *piece;

	for (size_t i = 0; i < s->was->n_pieces; i++) {
		piece = &s->was->pieces[i];
		s->of->verdicts[i] = piece->mark == PMR_MARK_DONE   ? PMR_VERDICT_SETTLED
				     : piece->mark == PMR_MARK_OPEN ? PMR_VERDICT_CONFLICT
								    : PMR_VERDICT_SKIPPED;
		pmr_resume_conclude(s, piece, s->of->verdicts[i],
				    piece->mark == PMR_MARK_DONE ? "changed-since" : "gone");
	}
}

static void leave_unknown(struct pmr_resume_subject *s)
{
	struct pmr_file *file = s->plan->file;

	s->of->is_missing = true;
	file->complete = false;
	for (size_t i = 0; i < file->n_losses; i++)
		if (pmr_plan_wants(file, &file->losses[i])) {
			file->losses[i].state = PMR_UNKNOWN;
			file->losses[i].reason = s->unknown ? s->unknown : "not-mounted";
		}
}

/* ---- how it is written */

static void choose_file_method(struct pmr_resume_subject *s)
{
	struct pmr_file_plan *plan = s->plan;
	bool others = false, by_device = false, punched = false;

	for (size_t i = 0; i < plan->n_steps; i++) {
		by_device |= plan->steps[i].method == PMR_METHOD_DEVICE;
		punched |= plan->steps[i].method == PMR_METHOD_PUNCH;
		others |= plan->steps[i].method != PMR_METHOD_DEVICE;
	}
	plan->in_use = by_device && !others;
	plan->method = punched ? PMR_METHOD_PUNCH : PMR_METHOD_WRITE;
	/* another kernel may do it in another way */
	if (others && !punched)
		pmr_method_choose(s->resume->ctx, plan, PMR_METHOD_AUTO, &plan->refused);
	for (size_t i = 0; i < plan->n_steps; i++)
		if (plan->steps[i].method != PMR_METHOD_DEVICE)
			plan->steps[i].method = plan->method;
	if (s->filesystem->read_only && plan->n_steps) {
		plan->refused = "read-only-filesystem";
		pmr_say(s->resume->ctx, PMR_ERROR, plan->refused, s->was->path,
			"lies on a filesystem mounted read-only: remount it read-write and resume again");
	}
}

static void choose_method(struct pmr_resume_subject *s)
{
	struct pmr_file_plan *plan = s->plan;

	if (s->was->whole_device) {
		plan->method = PMR_METHOD_CLEAR;
		plan->refused = plan->n_steps ? pmr_resume_refuse_whole(s) : NULL;
	} else {
		choose_file_method(s);
	}
	if (!plan->refused)
		return;
	pmr_plan_skip(plan->file, plan->refused);
	plan->n_steps = 0;
	plan->file->complete = false;
	s->of->is_missing = true;
}

/* ---- the whole */

/* what is not done is said once of a file */
static void say_verdicts(const struct pmr_resume_subject *s)
{
	struct pmr_ctx *ctx = s->resume->ctx;
	const char *path = s->was->path;
	const struct pmr_file *file = s->plan->file;
	char *journal = pmr_quote(s->resume->entry->path);

	if (s->reasons[PMR_VERDICT_CONFLICT] && s->of->is_there)
		pmr_say(ctx, PMR_ERROR, "conflict", path,
			"is left at byte %" PRIu64
			": it was being written when the repair was interrupted, and was changed or moved since (%s); compare it "
			"with a backup; the bytes of the journal can be had with 'pmem-recover journal --export=DIR %s', and "
			"'pmem-recover journal --set-aside' puts it away",
			s->first[PMR_VERDICT_CONFLICT], s->reasons[PMR_VERDICT_CONFLICT],
			journal ? journal : s->resume->entry->path);
	free(journal);
	if (s->reasons[PMR_VERDICT_SKIPPED] && s->of->is_there)
		pmr_say(ctx, PMR_WARNING, "left", path,
			"is left at byte %" PRIu64
			" (%s): nothing of that was written, and it is not what it was when its repair was planned; scan it",
			s->first[PMR_VERDICT_SKIPPED], s->reasons[PMR_VERDICT_SKIPPED]);
	if (s->reasons[PMR_VERDICT_FAILED])
		pmr_say(ctx, PMR_ERROR, "not-repaired", path,
			"byte %" PRIu64
			" was repaired and is not any more (%s): scan it, and repair it again",
			s->first[PMR_VERDICT_FAILED], s->reasons[PMR_VERDICT_FAILED]);
	for (size_t i = 0; i < file->n_losses; i++)
		if (file->losses[i].reason && !strcmp(file->losses[i].reason, "not-journalled")) {
			pmr_say(ctx, PMR_WARNING, "not-journalled", path,
				"is left at byte %" PRIu64
				": the repair was interrupted before its bytes were in the journal; repair it again",
				file->losses[i].offset);
			break;
		}
}

static int make_file(struct pmr_resume_subject *s)
{
	struct pmr_losses losses = { 0 };
	struct pmr_file *file;
	int ret;

	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	s->plan->file = file;
	/* it is the source; NULL stands for zeros */
	if (!s->resume->entry->zero_fill) {
		s->plan->backup = strdup(s->resume->entry->path);
		if (!s->plan->backup)
			return -ENOMEM;
	}
	file->path = strdup(s->was->path);
	file->inode = s->was->inode;
	file->size = s->of->is_there && !s->of->is_grown ? s->of->size : s->was->size;
	file->generation = s->was->generation;
	file->change_time = s->of->is_there ? s->st.st_ctim : s->was->change_time;
	file->dax = s->of->is_there && !s->was->whole_device ? pmr_file_is_dax(s->fd, s->filesystem)
							     : s->was->dax;
	file->whole_device = s->was->whole_device;
	file->filesystem = s->filesystem;
	file->complete = true;
	ret = file->path ? pmr_resume_take_losses(s, &losses) : -ENOMEM;
	file->losses = losses.v;
	file->n_losses = losses.n;
	return ret;
}

static int judge_file(struct pmr_resume_subject *s)
{
	struct pmr_media *media = NULL;
	int ret;

	if (s->of->is_missing || !s->of->is_there) {
		if (s->of->is_missing)
			leave_unknown(s);
		else
			judge_gone(s);
		return 0;
	}
	ret = pmr_media_open(s->resume->ctx, s->filesystem->device, &media);
	if (!ret)
		ret = judge_pieces(s, media);
	pmr_media_close(media);
	if (ret == -ENOMEM)
		return ret;
	if (ret) {
		pmr_say(s->resume->ctx, PMR_ERROR, "cannot-open", s->was->path,
			"cannot be looked at for what is left to do: %s", strerror(-ret));
		s->plan->n_steps = 0;
		leave_unknown(s);
		return 0;
	}
	choose_method(s);
	return 0;
}

int pmr_resume_file(struct pmr_resume *resume, struct pmr_topology *topology, size_t index,
		    struct pmr_resume_file *of, struct pmr_file_plan *plan)
{
	struct pmr_resume_subject s = {
		.resume = resume,
		.topology = topology,
		.was = &resume->entry->files[index],
		.of = of,
		.plan = plan,
		.fd = -1,
	};
	int ret = 0;

	of->was = s.was;
	of->index = index;
	of->verdicts = calloc(s.was->n_pieces + 1, sizeof(*of->verdicts));
	if (!of->verdicts)
		return -ENOMEM;
	for (size_t i = 0; i < s.was->n_pieces; i++)
		of->begun |= s.was->pieces[i].mark == PMR_MARK_OPEN;
	if (s.was->whole_device)
		pmr_resume_find_whole(&s);
	else
		pmr_resume_find_file(&s);
	if (s.filesystem)
		ret = make_file(&s);
	if (!ret && s.filesystem)
		ret = judge_file(&s);
	if (!ret && s.filesystem)
		say_verdicts(&s);
	if (s.fd >= 0)
		close(s.fd);
	return ret;
}
