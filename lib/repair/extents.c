/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The extents under what is to be written of a file. */

#include "repair.h"

/* XFS cuts what it lists to the range asked for, so pieces of one extent come in more than one listing */
static int add_extent(struct pmr_extent_list *list, const struct pmr_extent *e)
{
	struct pmr_extent *last = list->n ? &list->v[list->n - 1] : NULL;
	int ret;

	if (last && e->offset < last->offset + last->length) {
		if (e->offset + e->length > last->offset + last->length &&
		    e->physical - last->physical == e->offset - last->offset)
			last->length = e->offset + e->length - last->offset;
		return 0;
	}
	ret = pmr_grow(&list->v, list->n, &list->alloc, sizeof(*list->v));
	if (!ret)
		list->v[list->n++] = *e;
	return ret;
}

/* the extents under [from, to), of a listing that goes on behind it: what reaches further is kept in @e */
static int take_extents(struct pmr_extents *listing, struct pmr_extent *e, uint64_t from,
			uint64_t to, struct pmr_extent_list *list)
{
	int ret;

	for (;;) {
		if (e->offset + e->length <= from) {
			ret = pmr_extents_next(listing, e);
			if (ret != 1)
				return ret;
			continue;
		}
		if (e->offset >= to)
			return 0;
		ret = add_extent(list, e);
		if (ret || e->offset + e->length >= to)
			return ret;
		from = e->offset + e->length;
	}
}

/* Every extent under the pages of the losses that are wanted, sorted by offset; what lies near together is listed at once. */
int pmr_plan_extents(const struct pmr_claim *claim, struct pmr_extent_list *list)
{
	const struct pmr_file *file = claim->file;
	struct pmr_extents *listing = NULL;
	const struct pmr_loss *loss;
	uint64_t from, to, end = 0;
	struct pmr_extent e;
	int ret = 0;

	for (size_t i = 0; !ret && i < file->n_losses; i++) {
		loss = &file->losses[i];
		if (!pmr_plan_wants(file, loss))
			continue;
		from = loss->offset - loss->offset % PMR_PAGE;
		to = loss->offset + loss->length + PMR_PAGE - 1;
		to -= to % PMR_PAGE;
		if (to > end) {
			pmr_extents_close(listing);
			listing = NULL;
			e = (struct pmr_extent){ 0 };
			end = to - from > PMR_PLACES ? to : from + PMR_PLACES;
			ret = pmr_extents_open(claim->fd, from, end - from, true, &listing);
		}
		if (!ret)
			ret = take_extents(listing, &e, from, to, list);
	}
	pmr_extents_close(listing);
	return ret;
}
