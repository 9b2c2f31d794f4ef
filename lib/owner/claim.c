/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of what a filesystem tells of its ranges. Pure. */

#include <stdlib.h>

#include "owner.h"

int pmr_claims_add(struct pmr_claims *claims, const struct pmr_claim *claim)
{
	int ret;

	ret = pmr_grow(&claims->v, claims->n, &claims->alloc, sizeof(claims->v[0]));
	if (!ret)
		claims->v[claims->n++] = *claim;
	return ret;
}

int pmr_claims_add_parts(struct pmr_claims *claims, const struct pmr_ranges *wanted,
			 const struct pmr_claim *claim)
{
	struct pmr_claim part = *claim;
	struct pmr_ranges mine = { 0 };
	int ret;

	if (!pmr_ranges_overlap(wanted, claim->range.offset, claim->range.length))
		return 0;
	ret = pmr_ranges_clip(&mine, wanted, claim->range.offset, claim->range.length);
	for (size_t i = 0; i < mine.n && !ret; i++) {
		part.range = mine.v[i];
		ret = pmr_claims_add(claims, &part);
	}
	pmr_ranges_release(&mine);
	return ret;
}

#define ORDER(x, y)                                \
	do {                                       \
		if ((x) != (y))                    \
			return (x) < (y) ? -1 : 1; \
	} while (0)

/* What says the same of the same inode stands together, in the order of places. */
static int compare_kind(const void *a, const void *b)
{
	const struct pmr_claim *x = a, *y = b;

	ORDER(x->inode, y->inode);
	ORDER(x->owner, y->owner);
	ORDER(x->part, y->part);
	ORDER(x->range.offset, y->range.offset);
	ORDER(x->range.length, y->range.length);
	return 0;
}

static int compare_place(const void *a, const void *b)
{
	const struct pmr_claim *x = a, *y = b;

	ORDER(x->range.offset, y->range.offset);
	ORDER(x->inode, y->inode);
	ORDER(x->owner, y->owner);
	ORDER(x->part, y->part);
	return 0;
}

static bool continues(const struct pmr_claim *a, const struct pmr_claim *b)
{
	return a->inode == b->inode && a->owner == b->owner && a->part == b->part &&
	       b->range.offset <= a->range.offset + a->range.length;
}

void pmr_claims_settle(struct pmr_claims *claims)
{
	size_t n = 0;

	if (!claims->n)
		return;
	qsort(claims->v, claims->n, sizeof(claims->v[0]), compare_kind);
	for (size_t i = 1; i < claims->n; i++) {
		struct pmr_claim *last = &claims->v[n], *next = &claims->v[i];
		uint64_t end = next->range.offset + next->range.length;

		if (!continues(last, next))
			claims->v[++n] = *next;
		else if (end > last->range.offset + last->range.length)
			last->range.length = end - last->range.offset;
	}
	claims->n = n + 1;
	qsort(claims->v, claims->n, sizeof(claims->v[0]), compare_place);
}

int pmr_claims_rest(const struct pmr_claims *claims, const struct pmr_ranges *wanted,
		    struct pmr_ranges *rest)
{
	struct pmr_ranges claimed = { 0 };
	int ret = 0;

	for (size_t i = 0; i < claims->n && !ret; i++) {
		const struct pmr_claim *claim = &claims->v[i];

		if (claim->owner != PMR_OWNER_UNKNOWN)
			ret = pmr_ranges_add(&claimed, claim->range.offset, claim->range.length);
	}
	pmr_ranges_normalize(&claimed);
	if (!ret)
		ret = pmr_ranges_subtract(rest, wanted, &claimed);
	pmr_ranges_release(&claimed);
	return ret;
}
