/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The losses of a journal, cut where its pieces end: what was decided of a piece becomes their state, or a step. */

#include <errno.h>
#include <string.h>

#include "resume.h"
#include "scan/scan.h"

/* ---- as they are found */

static bool is_in(const struct pmr_journal_piece *piece, uint64_t offset)
{
	return offset >= piece->offset && offset - piece->offset < piece->length;
}

/* What is left of a loss from @offset on: up to where a piece begins or ends. @piece: the one it is in, or n_pieces */
static uint64_t next_cut(const struct pmr_journal_file *was, uint64_t offset, uint64_t end,
			 size_t *piece)
{
	const struct pmr_journal_piece *p;
	size_t low = 0, high = was->n_pieces, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (was->pieces[mid].offset + was->pieces[mid].length <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	*piece = was->n_pieces;
	if (low == was->n_pieces)
		return end;
	p = &was->pieces[low];
	if (is_in(p, offset)) {
		*piece = low;
		return end < p->offset + p->length ? end : p->offset + p->length;
	}
	return end < p->offset ? end : p->offset;
}

/* the states that a loss of the journal may have had before it was skipped, repaired, ... */
static enum pmr_state first_state(const struct pmr_journal_file *was, const struct pmr_loss *loss)
{
	if (loss->state == PMR_UNWRITTEN)
		return PMR_UNWRITTEN;
	return loss->offset >= was->size ? PMR_PAST_EOF : PMR_LOST;
}

static const char *source_of(const struct pmr_resume_subject *s, const struct pmr_loss *loss)
{
	if (loss->source)
		return loss->source;
	if (loss->state == PMR_CACHED)
		return "page-cache";
	/* of what was interrupted it was not noted yet, and it is the same for all of a repair */
	return s->resume->entry->zero_fill || loss->offset >= s->was->size ? "zero" : "backup";
}

static int add_loss(struct pmr_resume_subject *s, struct pmr_losses *losses,
		    const struct pmr_loss *was, const struct pmr_range *part, size_t piece)
{
	const struct pmr_device *device = s->filesystem->device;
	struct pmr_loss *loss;
	int ret;

	ret = pmr_grow(&losses->v, losses->n, &losses->alloc, sizeof(losses->v[0]));
	if (ret)
		return ret;
	loss = &losses->v[losses->n++];
	*loss = *was;
	loss->offset = part->offset;
	loss->length = part->length;
	loss->device_offset += part->offset - was->offset;
	loss->state = first_state(s->was, loss);
	loss->reason = NULL;
	loss->method = NULL;
	if (piece < s->was->n_pieces) {
		loss->source = source_of(s, was);
		/* what is in no list any more has no poison in the way; of a device-dax it says that zeros are a repair's */
		if (!s->was->whole_device && !pmr_ranges_overlap(&device->badblocks.ranges,
								 loss->device_offset, loss->length))
			loss->vanished = true;
	} else if (pmr_plan_wants(&(struct pmr_file){ .size = s->was->size }, loss)) {
		loss->source = NULL;
		loss->state = PMR_SKIPPED;
		loss->reason = "not-journalled";
	}
	return 0;
}

int pmr_resume_take_losses(struct pmr_resume_subject *s, struct pmr_losses *losses)
{
	const struct pmr_loss *loss;
	struct pmr_range part;
	uint64_t end;
	size_t piece;
	int ret = 0;

	for (size_t i = 0; !ret && i < s->was->n_losses; i++) {
		loss = &s->was->losses[i];
		end = loss->offset + loss->length;
		for (part.offset = loss->offset; !ret && part.offset < end;
		     part.offset += part.length) {
			part.length = next_cut(s->was, part.offset, end, &piece) - part.offset;
			ret = add_loss(s, losses, loss, &part, piece);
		}
	}
	return ret;
}

/* ---- what becomes of them */

size_t pmr_resume_first_loss(const struct pmr_loss *losses, size_t n, uint64_t offset)
{
	size_t low = 0, high = n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (losses[mid].offset + losses[mid].length > offset)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* the losses of a piece: [*from, *to) */
static void losses_of(const struct pmr_file *file, const struct pmr_journal_piece *piece,
		      size_t *from, size_t *to)
{
	*from = pmr_resume_first_loss(file->losses, file->n_losses, piece->offset);
	for (*to = *from; *to < file->n_losses; ++*to)
		if (file->losses[*to].offset >= piece->offset + piece->length)
			break;
}

void pmr_resume_conclude(struct pmr_resume_subject *s, const struct pmr_journal_piece *piece,
			 enum pmr_verdict verdict, const char *reason)
{
	static const enum pmr_state states[] = {
		[PMR_VERDICT_SETTLED] = PMR_REPAIRED,
		[PMR_VERDICT_SKIPPED] = PMR_SKIPPED,
		[PMR_VERDICT_CONFLICT] = PMR_CONFLICT,
		[PMR_VERDICT_FAILED] = PMR_FAILED,
	};
	struct pmr_file *file = s->plan->file;
	struct pmr_loss *loss;
	size_t from, to;

	if (!s->reasons[verdict]) {
		s->reasons[verdict] = reason;
		s->first[verdict] = piece->offset;
	}
	losses_of(file, piece, &from, &to);
	for (; from < to; from++) {
		loss = &file->losses[from];
		if (loss->state == PMR_UNWRITTEN)
			continue;
		loss->reason = reason;
		if (verdict == PMR_VERDICT_SETTLED && piece->mark != PMR_MARK_NONE)
			loss->method = pmr_method_name(piece->method);
		if (verdict == PMR_VERDICT_SETTLED && loss->state != PMR_PAST_EOF &&
		    !strcmp(loss->source, "zero"))
			loss->state = PMR_ZEROED;
		else
			loss->state = states[verdict];
	}
}

int pmr_resume_add_step(struct pmr_resume_subject *s, const struct pmr_journal_piece *piece,
			size_t *alloc)
{
	struct pmr_file_plan *plan = s->plan;
	struct pmr_step *step;
	size_t from, to;
	int ret;

	losses_of(plan->file, piece, &from, &to);
	ret = pmr_grow(&plan->steps, plan->n_steps, alloc, sizeof(*plan->steps));
	if (ret)
		return ret;
	step = &plan->steps[plan->n_steps++];
	*step = (struct pmr_step){
		.offset = piece->offset,
		.length = piece->length,
		.device_offset = piece->device_offset,
		.first_loss = from,
		.n_losses = to - from,
		.journal_offset = piece->position,
		.method = piece->method,
		.redo = piece->mark == PMR_MARK_OPEN,
	};
	return 0;
}
