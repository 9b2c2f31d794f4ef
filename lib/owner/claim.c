/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of what a filesystem tells of its ranges. Pure. */

#include <stdlib.h>

#include "owner.h"

int pmr_claims_add(struct pmr_claims *claims, const struct pmr_owner_claim *claim)
{
	int ret;

	ret = pmr_grow(&claims->v, claims->n, &claims->alloc, sizeof(claims->v[0]));
	if (!ret)
		claims->v[claims->n++] = *claim;
	return ret;
}

int pmr_claims_add_parts(struct pmr_claims *claims, const struct pmr_ranges *wanted,
			 const struct pmr_owner_claim *claim)
{
	struct pmr_owner_claim part = *claim;
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
	const struct pmr_owner_claim *x = a, *y = b;

	ORDER(x->inode, y->inode);
	ORDER(x->owner, y->owner);
	ORDER(x->part, y->part);
	ORDER(x->range.offset, y->range.offset);
	ORDER(x->range.length, y->range.length);
	return 0;
}

static int compare_place(const void *a, const void *b)
{
	const struct pmr_owner_claim *x = a, *y = b;

	ORDER(x->range.offset, y->range.offset);
	ORDER(x->inode, y->inode);
	ORDER(x->owner, y->owner);
	ORDER(x->part, y->part);
	return 0;
}

static bool continues(const struct pmr_owner_claim *a, const struct pmr_owner_claim *b)
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
		struct pmr_owner_claim *last = &claims->v[n], *next = &claims->v[i];
		uint64_t end = next->range.offset + next->range.length;

		if (!continues(last, next))
			claims->v[++n] = *next;
		else if (end > last->range.offset + last->range.length)
			last->range.length = end - last->range.offset;
	}
	claims->n = n + 1;
	qsort(claims->v, claims->n, sizeof(claims->v[0]), compare_place);
}

int pmr_claims_ranges(const struct pmr_claims *claims,
		      bool (*takes)(const struct pmr_owner_claim *claim), struct pmr_ranges *ranges)
{
	int ret = 0;

	for (size_t i = 0; i < claims->n && !ret; i++) {
		const struct pmr_owner_claim *claim = &claims->v[i];

		if (!takes || takes(claim))
			ret = pmr_ranges_add(ranges, claim->range.offset, claim->range.length);
	}
	pmr_ranges_normalize(ranges);
	return ret;
}

static bool is_told(const struct pmr_owner_claim *claim)
{
	return claim->owner != PMR_OWNER_UNKNOWN;
}

int pmr_claims_rest(const struct pmr_claims *claims, const struct pmr_ranges *wanted,
		    struct pmr_ranges *rest)
{
	struct pmr_ranges claimed = { 0 };
	int ret;

	ret = pmr_claims_ranges(claims, is_told, &claimed);
	if (!ret)
		ret = pmr_ranges_subtract(rest, wanted, &claimed);
	pmr_ranges_release(&claimed);
	return ret;
}

int pmr_claims_without(const struct pmr_claims *claims, const struct pmr_ranges *ranges,
		       struct pmr_claims *left)
{
	struct pmr_ranges one = { 0 }, rest = { 0 };
	int ret = 0;

	for (size_t i = 0; i < claims->n && !ret; i++) {
		struct pmr_owner_claim claim = claims->v[i];

		one.n = rest.n = 0;
		ret = pmr_ranges_add(&one, claim.range.offset, claim.range.length);
		if (!ret)
			ret = pmr_ranges_subtract(&rest, &one, ranges);
		for (size_t j = 0; j < rest.n && !ret; j++) {
			claim.range = rest.v[j];
			ret = pmr_claims_add(left, &claim);
		}
	}
	pmr_ranges_release(&one);
	pmr_ranges_release(&rest);
	return ret;
}

static uint64_t end_of(const struct pmr_range *range)
{
	return range->offset + range->length;
}

int pmr_claims_each(const struct pmr_claims *claims, size_t *cursor, const struct pmr_range *range,
		    int (*fn)(void *data, const struct pmr_owner_claim *claim,
			      const struct pmr_range *part),
		    void *data)
{
	uint64_t from = range->offset, to = end_of(range);
	struct pmr_range part;
	int ret = 0;

	while (*cursor < claims->n && end_of(&claims->v[*cursor].range) <= from)
		(*cursor)++;
	for (size_t i = *cursor; i < claims->n && from < to && !ret; i++) {
		const struct pmr_owner_claim *claim = &claims->v[i];

		if (end_of(&claim->range) <= from)
			continue;
		if (claim->range.offset >= to)
			break;
		if (claim->range.offset > from) {
			part = (struct pmr_range){ from, claim->range.offset - from };
			ret = fn(data, NULL, &part);
			from = claim->range.offset;
		}
		part = (struct pmr_range){
			from, (end_of(&claim->range) < to ? end_of(&claim->range) : to) - from
		};
		if (!ret)
			ret = fn(data, claim, &part);
		from = end_of(&part);
	}
	part = (struct pmr_range){ from, to - from };
	return ret || from >= to ? ret : fn(data, NULL, &part);
}
