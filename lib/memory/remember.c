/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a list had and has no more, and what to remember of it. Pure. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

static void release_recall(struct pmr_recall *recall)
{
	pmr_ranges_release(&recall->listed);
	free(recall->gone);
}

void pmr_remembered_release(struct pmr_remembered *remembered)
{
	free(remembered->device);
	release_recall(&remembered->data);
	release_recall(&remembered->metadata);
	memset(remembered, 0, sizeof(*remembered));
}

bool pmr_remembered_is_empty(const struct pmr_remembered *remembered)
{
	return !remembered->data.listed.n && !remembered->data.n_gone &&
	       !remembered->metadata.listed.n && !remembered->metadata.n_gone;
}

static bool differ(uint64_t a, uint64_t b, uint64_t unknown)
{
	return a != b && a != unknown && b != unknown;
}

bool pmr_remembered_is_of(const struct pmr_remembered *remembered, const struct pmr_device *device)
{
	return !differ(remembered->size, device->size, 0) &&
	       !differ(remembered->data_offset, device->data_offset, PMR_NO_ADDRESS);
}

int pmr_recall_missing(const struct pmr_recall *recall, const struct pmr_badblocks *list,
		       struct pmr_ranges *out)
{
	if (!pmr_badblocks_shows_all(list))
		return 0;
	return pmr_ranges_subtract(out, &recall->listed, &list->ranges);
}

static int add_gone(struct pmr_recall *recall, const struct pmr_range *range, time_t seen)
{
	int err =
		pmr_grow(&recall->gone, recall->n_gone, &recall->alloc_gone, sizeof(*recall->gone));

	if (!err)
		recall->gone[recall->n_gone++] = (struct pmr_gone){ *range, seen };
	return err;
}

int pmr_recall_drop_gone(struct pmr_recall *recall, const struct pmr_ranges *ranges, bool *changed)
{
	struct pmr_recall made = { 0 };
	struct pmr_ranges left = { 0 };
	int err = 0;

	for (size_t i = 0; i < recall->n_gone && !err; i++) {
		struct pmr_range *range = &recall->gone[i].range;
		const struct pmr_ranges one = { range, 1, 1 };

		left.n = 0;
		err = pmr_ranges_subtract(&left, &one, ranges);
		if (!err && (left.n != 1 || memcmp(left.v, range, sizeof(*range)) != 0))
			*changed = true;
		for (size_t j = 0; j < left.n && !err; j++)
			err = add_gone(&made, &left.v[j], recall->gone[i].seen);
	}
	pmr_ranges_release(&left);
	if (err) {
		free(made.gone);
		return err;
	}
	free(recall->gone);
	recall->gone = made.gone;
	recall->n_gone = made.n_gone;
	recall->alloc_gone = made.alloc_gone;
	return 0;
}

static int compare_gone(const void *a, const void *b)
{
	const struct pmr_gone *x = a, *y = b;

	return (x->range.offset > y->range.offset) - (x->range.offset < y->range.offset);
}

void pmr_recall_sort(struct pmr_recall *recall)
{
	if (recall->n_gone)
		qsort(recall->gone, recall->n_gone, sizeof(*recall->gone), compare_gone);
}

/* Takes @listed over. */
static void replace_listed(struct pmr_recall *recall, struct pmr_ranges *listed, bool *changed)
{
	const struct pmr_ranges *old = &recall->listed;

	if (old->n != listed->n || (old->n && memcmp(old->v, listed->v, old->n * sizeof(*old->v))))
		*changed = true;
	pmr_ranges_release(&recall->listed);
	recall->listed = *listed;
}

int pmr_recall_update(struct pmr_recall *recall, const struct pmr_badblocks *list,
		      const struct pmr_ranges *missing, uint64_t lasting, time_t seen,
		      bool *changed)
{
	struct pmr_ranges listed = { 0 }, gone = { 0 };
	int err;

	if (list->trust == PMR_LIST_UNKNOWN)
		return 0;
	err = pmr_ranges_subtract(&listed, &recall->listed, missing);
	for (size_t i = 0; i < list->ranges.n && !err; i++)
		err = pmr_ranges_add(&listed, list->ranges.v[i].offset, list->ranges.v[i].length);
	if (!err)
		err = pmr_recall_drop_gone(recall, &list->ranges, changed);
	if (!err)
		err = pmr_ranges_clip(&gone, missing, 0, lasting);
	for (size_t i = 0; i < gone.n && !err; i++)
		err = add_gone(recall, &gone.v[i], seen);
	pmr_ranges_release(&gone);
	if (err) {
		pmr_ranges_release(&listed);
		return err;
	}
	pmr_recall_sort(recall);
	pmr_ranges_normalize(&listed);
	replace_listed(recall, &listed, changed);
	return 0;
}

int pmr_recall_forget(struct pmr_recall *recall, const struct pmr_ranges *ranges, bool *changed)
{
	struct pmr_ranges listed = { 0 };
	int err;

	err = pmr_ranges_subtract(&listed, &recall->listed, ranges);
	if (!err)
		err = pmr_recall_drop_gone(recall, ranges, changed);
	if (err) {
		pmr_ranges_release(&listed);
		return err;
	}
	replace_listed(recall, &listed, changed);
	return 0;
}
