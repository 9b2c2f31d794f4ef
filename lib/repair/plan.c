/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From losses and policy to steps: what is written where. Decides, and does no I/O.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repair.h"

int pmr_plan_split_tail(struct pmr_file *file)
{
	uint64_t tail = pmr_page_up(file->size), head;
	struct pmr_loss *losses, *loss;

	for (size_t i = 0; i < file->n_losses; i++) {
		loss = &file->losses[i];
		if (loss->state != PMR_PAST_EOF || loss->offset >= tail ||
		    loss->offset + loss->length <= tail)
			continue;
		losses = reallocarray(file->losses, file->n_losses + 1, sizeof(*losses));
		if (!losses)
			return -ENOMEM;
		file->losses = losses;
		loss = &losses[i];
		head = tail - loss->offset;
		memmove(loss + 1, loss, (file->n_losses - i) * sizeof(*loss));
		file->n_losses++;
		loss[0].length = head;
		loss[1].offset += head;
		loss[1].device_offset += head;
		loss[1].length -= head;
	}
	return 0;
}

/* Whether all that is wanted of a file is in no list any more, so that no poison is in the way. */
static bool is_vanished(const struct pmr_file *file)
{
	bool vanished = false;

	for (size_t i = 0; i < file->n_losses; i++) {
		if (!pmr_plan_wants(file, &file->losses[i]))
			continue;
		if (!file->losses[i].vanished)
			return false;
		vanished = true;
	}
	return vanished;
}

const char *pmr_plan_method(const struct pmr_file *file, enum pmr_method wanted,
			    const struct pmr_recovery *recovery, enum pmr_method *method)
{
	/* where no poison is in the way a write needs no more than on any other file */
	bool plain = !file->dax || is_vanished(file);

	if (wanted == PMR_METHOD_FLAG && !(file->dax && recovery->flag))
		return "no-flag";
	if (wanted == PMR_METHOD_AUTO && !plain && recovery->flag) {
		*method = PMR_METHOD_FLAG;
		return NULL;
	}
	/* a write that is named is tried where it is not known to fail: where it does, the page stays as it was */
	if (!plain &&
	    ((wanted == PMR_METHOD_AUTO && recovery->capability != PMR_CAPABILITY_WRITE) ||
	     (wanted == PMR_METHOD_WRITE && recovery->capability == PMR_CAPABILITY_NONE)))
		return "no-recovery-write";
	*method = wanted == PMR_METHOD_AUTO ? PMR_METHOD_WRITE : wanted;
	return NULL;
}

bool pmr_plan_wants(const struct pmr_file *file, const struct pmr_loss *loss)
{
	switch (loss->state) {
	case PMR_LOST:
	case PMR_CACHED:
		return true;
	case PMR_PAST_EOF:
		/* not a byte of it is missed, but the last page, if it was written, cannot be read while it is bad */
		return !loss->unwritten && loss->offset < pmr_page_up(file->size);
	default:
		return false;
	}
}

void pmr_plan_skip(struct pmr_file *file, const char *reason)
{
	for (size_t i = 0; i < file->n_losses; i++) {
		if (!pmr_plan_wants(file, &file->losses[i]))
			continue;
		file->losses[i].state = PMR_SKIPPED;
		file->losses[i].reason = reason;
	}
}

void pmr_plan_leave(struct pmr_file *file, const struct pmr_step *step, uint64_t offset,
		    const char *reason)
{
	struct pmr_loss *loss;

	/* a loss that was written in part is not whole, so it is left too */
	for (size_t i = 0; i < step->n_losses; i++) {
		loss = &file->losses[step->first_loss + i];
		if (loss->offset + loss->length <= offset || loss->state == PMR_FAILED ||
		    loss->state == PMR_SKIPPED)
			continue;
		loss->state = PMR_SKIPPED;
		loss->reason = reason;
	}
}

bool pmr_plan_is_left(const struct pmr_file *file, const struct pmr_step *step)
{
	for (size_t i = 0; i < step->n_losses; i++)
		if (file->losses[step->first_loss + i].state != PMR_SKIPPED)
			return false;
	return true;
}

static bool is_offlined(const struct pmr_loss *loss)
{
	return loss->reason && !strcmp(loss->reason, "page-offlined");
}

/* the losses that touch the pages of loss @i: [*from, *to) */
static void find_neighbours(const struct pmr_file *file, size_t i, size_t *from, size_t *to)
{
	const struct pmr_loss *loss = &file->losses[i];
	uint64_t begin = pmr_page_down(loss->offset),
		 end = pmr_page_up(loss->offset + loss->length);

	for (*from = i; *from; --*from)
		if (file->losses[*from - 1].offset + file->losses[*from - 1].length <= begin)
			break;
	for (*to = i + 1; *to < file->n_losses && file->losses[*to].offset < end;)
		++*to;
}

bool pmr_plan_by_device(const struct pmr_file *file, const struct pmr_policy *policy, size_t i)
{
	size_t from, to;

	if (policy->wanted == PMR_METHOD_DEVICE || policy->in_use)
		return true;
	if (policy->wanted != PMR_METHOD_AUTO)
		return false;
	find_neighbours(file, i, &from, &to);
	for (; from < to; from++)
		if (file->losses[from].shared)
			return true;
	return false;
}

/* Whether a page of loss @i has no block left that could show that the page is mapped. */
static bool is_page_lost(const struct pmr_file *file, const struct pmr_policy *policy, size_t i)
{
	const struct pmr_loss *loss = &file->losses[i];
	uint64_t page = pmr_page_down(loss->offset), end = loss->offset + loss->length, at;
	unsigned int block = policy->block ? policy->block : PMR_SECTOR;
	bool is_good;
	size_t from, to;

	find_neighbours(file, i, &from, &to);
	for (; page < end; page += PMR_PAGE) {
		is_good = false;
		for (at = page; !is_good && at < page + PMR_PAGE; at += block) {
			is_good = true;
			for (size_t k = from; is_good && k < to; k++)
				is_good = file->losses[k].offset >= at + block ||
					  file->losses[k].offset + file->losses[k].length <= at;
		}
		if (!is_good)
			return true;
	}
	return false;
}

/* why loss @i cannot go through the device, or NULL */
static const char *refuse_device(const struct pmr_file *file, const struct pmr_policy *policy,
				 size_t i)
{
	if (is_offlined(&file->losses[i]))
		return "page-offlined";
	if (policy->no_device)
		return policy->no_device;
	/* what its owner wrote there since nobody could tell from what the clear left */
	if (policy->in_use && file->losses[i].vanished)
		return "in-use";
	return is_page_lost(file, policy, i) ? "no-sibling" : NULL;
}

static const char *refuse_file(const struct pmr_file *file, const struct pmr_policy *policy,
			       size_t i)
{
	const struct pmr_loss *loss = &file->losses[i];

	if (loss->shared)
		return "shared";
	return is_offlined(loss) && !(policy->accept_offlined && file->dax) ? loss->reason : NULL;
}

void pmr_plan_policy(struct pmr_file *file, const struct pmr_policy *policy)
{
	const char *reason;

	for (size_t i = 0; i < file->n_losses; i++) {
		if (!pmr_plan_wants(file, &file->losses[i]))
			continue;
		reason = pmr_plan_by_device(file, policy, i) ? refuse_device(file, policy, i)
							     : refuse_file(file, policy, i);
		if (!reason)
			continue;
		file->losses[i].state = PMR_SKIPPED;
		file->losses[i].reason = reason;
	}
}

static const struct pmr_extent *find_extent(const struct pmr_extent *extents, size_t n,
					    uint64_t offset)
{
	size_t low = 0, high = n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (extents[mid].offset + extents[mid].length <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && extents[low].offset <= offset ? &extents[low] : NULL;
}

/* The write that a loss needs: its pages, inside its extent. False where the loss is not inside one extent. */
static bool widen(const struct pmr_loss *loss, const struct pmr_extent *extent,
		  struct pmr_step *step)
{
	uint64_t from = pmr_page_down(loss->offset), to = pmr_page_up(loss->offset + loss->length),
		 end;

	if (!extent || !pmr_extent_is_trusted(extent))
		return false;
	end = extent->offset + extent->length;
	if (loss->offset + loss->length > end)
		return false;
	if (from < extent->offset)
		from = extent->offset;
	if (to > end)
		to = end;
	step->offset = from;
	step->length = to - from;
	step->device_offset = loss->device_offset - (loss->offset - from);
	return true;
}

/* why a part of the step's pages is left alone, or NULL */
static const char *left_in(const struct pmr_file *file, size_t i, const struct pmr_step *step)
{
	size_t from, to;

	/* a step is inside the pages of its loss */
	find_neighbours(file, i, &from, &to);
	for (; from < to; from++) {
		const struct pmr_loss *loss = &file->losses[from];

		if (loss->state == PMR_SKIPPED && loss->offset < step->offset + step->length &&
		    loss->offset + loss->length > step->offset)
			return loss->reason;
	}
	return NULL;
}

/*
 * Leave losses that have no place to be written, and those whose page holds one that is left: a page is written
 * whole, so what is skipped for one is skipped for all. Leaving one may reach the next page, hence the rounds.
 */
static void leave_unwritable(struct pmr_file *file, const struct pmr_extent *extents,
			     size_t n_extents)
{
	struct pmr_loss *loss;
	struct pmr_step step;
	const char *left;
	bool again;

	do {
		again = false;
		for (size_t i = 0; i < file->n_losses; i++) {
			loss = &file->losses[i];
			if (!pmr_plan_wants(file, loss))
				continue;
			left = "moved";
			if (widen(loss, find_extent(extents, n_extents, loss->offset), &step))
				left = left_in(file, i, &step);
			if (!left)
				continue;
			loss->state = PMR_SKIPPED;
			loss->reason = left;
			again = true;
		}
	} while (again);
}

struct steps {
	struct pmr_step *v;
	size_t n;
	size_t alloc;
};

static bool joins(const struct pmr_step *last, const struct pmr_step *step)
{
	if (step->method != last->method || step->offset > last->offset + last->length ||
	    step->device_offset != last->device_offset + (step->offset - last->offset))
		return false;
	/* through the device no further than its page: what tells that it may be written is beside it */
	return step->method != PMR_METHOD_DEVICE ||
	       pmr_page_down(step->offset) == pmr_page_down(last->offset);
}

/* @step, of loss @index, becomes a part of the last one, or one of its own. */
static int add_step(struct steps *steps, const struct pmr_step *step, size_t index)
{
	struct pmr_step *last = steps->n ? &steps->v[steps->n - 1] : NULL;
	uint64_t end = step->offset + step->length;

	if (last && joins(last, step)) {
		if (end > last->offset + last->length)
			last->length = end - last->offset;
		last->n_losses = index - last->first_loss + 1;
		return 0;
	}
	if (pmr_grow(&steps->v, steps->n, &steps->alloc, sizeof(*steps->v)))
		return -ENOMEM;
	steps->v[steps->n] = *step;
	steps->v[steps->n].first_loss = index;
	steps->v[steps->n].n_losses = 1;
	steps->n++;
	return 0;
}

/* The logical blocks of a loss, page by page. */
static int add_blocks(struct steps *steps, const struct pmr_loss *loss,
		      const struct pmr_policy *policy, size_t index)
{
	unsigned int block = policy->block ? policy->block : PMR_SECTOR;
	uint64_t from = loss->offset - loss->offset % block, end = loss->offset + loss->length;
	struct pmr_step step = { .method = PMR_METHOD_DEVICE };
	int ret = 0;

	end += (block - end % block) % block;
	for (; !ret && from < end; from = step.offset + step.length) {
		step.offset = from;
		step.length = pmr_page_down(from) + PMR_PAGE - from;
		if (step.length > end - from)
			step.length = end - from;
		/* may wrap around, and comes out right */
		step.device_offset = loss->device_offset + (from - loss->offset);
		ret = add_step(steps, &step, index);
	}
	return ret;
}

int pmr_plan_steps(struct pmr_file *file, const struct pmr_policy *policy,
		   const struct pmr_extent *extents, size_t n_extents, struct pmr_step **v,
		   size_t *n_steps)
{
	struct steps steps = { 0 };
	struct pmr_step step;
	const struct pmr_loss *loss;
	int ret = 0;

	leave_unwritable(file, extents, n_extents);
	for (size_t i = 0; !ret && i < file->n_losses; i++) {
		loss = &file->losses[i];
		if (!pmr_plan_wants(file, loss))
			continue;
		if (pmr_plan_by_device(file, policy, i)) {
			ret = add_blocks(&steps, loss, policy, i);
			continue;
		}
		step = (struct pmr_step){ .method = policy->rest };
		widen(loss, find_extent(extents, n_extents, loss->offset), &step);
		ret = add_step(&steps, &step, i);
	}
	if (ret) {
		free(steps.v);
		return ret;
	}
	*v = steps.v;
	*n_steps = steps.n;
	return 0;
}
