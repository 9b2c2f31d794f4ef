/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of byte ranges. Pure. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

static uint64_t range_end(const struct pmr_range *range)
{
	return range->offset + range->length;
}

/* The end of a window, which may be "all that follows". */
static uint64_t window_end(uint64_t offset, uint64_t length)
{
	uint64_t end;

	return __builtin_add_overflow(offset, length, &end) ? UINT64_MAX : end;
}

int pmr_ranges_add(struct pmr_ranges *ranges, uint64_t offset, uint64_t length)
{
	uint64_t end;
	int err;

	if (!length)
		return -EINVAL;
	if (__builtin_add_overflow(offset, length, &end))
		return -EOVERFLOW;
	err = pmr_grow(&ranges->v, ranges->n, &ranges->alloc, sizeof(*ranges->v));
	if (err)
		return err;
	ranges->v[ranges->n].offset = offset;
	ranges->v[ranges->n].length = length;
	ranges->n++;
	return 0;
}

int pmr_ranges_append(struct pmr_ranges *ranges, uint64_t offset, uint64_t length)
{
	struct pmr_range *last = ranges->n ? &ranges->v[ranges->n - 1] : NULL;

	if (last && last->offset + last->length == offset) {
		last->length += length;
		return 0;
	}
	return length ? pmr_ranges_add(ranges, offset, length) : 0;
}

static int compare_offsets(const void *a, const void *b)
{
	const struct pmr_range *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

void pmr_ranges_normalize(struct pmr_ranges *ranges)
{
	struct pmr_range *v = ranges->v;
	size_t i, last = 0;

	if (ranges->n < 2)
		return;
	qsort(v, ranges->n, sizeof(*v), compare_offsets);
	for (i = 1; i < ranges->n; i++) {
		if (v[i].offset > range_end(&v[last]))
			v[++last] = v[i];
		else if (range_end(&v[i]) > range_end(&v[last]))
			v[last].length = range_end(&v[i]) - v[last].offset;
	}
	ranges->n = last + 1;
}

void pmr_ranges_release(struct pmr_ranges *ranges)
{
	free(ranges->v);
	memset(ranges, 0, sizeof(*ranges));
}

int pmr_ranges_copy(struct pmr_ranges *to, const struct pmr_ranges *from)
{
	struct pmr_ranges copy = { 0 };

	if (from->n) {
		copy.v = calloc(from->n, sizeof(*copy.v));
		if (!copy.v)
			return -ENOMEM;
		memcpy(copy.v, from->v, from->n * sizeof(*copy.v));
		copy.n = copy.alloc = from->n;
	}
	pmr_ranges_release(to);
	*to = copy;
	return 0;
}

uint64_t pmr_ranges_bytes(const struct pmr_ranges *ranges)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < ranges->n; i++)
		bytes += ranges->v[i].length;
	return bytes;
}

uint64_t pmr_ranges_bytes_in(const struct pmr_ranges *ranges, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length, bytes = 0;
	size_t i;

	for (i = pmr_ranges_first(ranges, offset); i < ranges->n && ranges->v[i].offset < end;
	     i++) {
		uint64_t from = ranges->v[i].offset, to = from + ranges->v[i].length;

		bytes += (to < end ? to : end) - (from > offset ? from : offset);
	}
	return bytes;
}

size_t pmr_ranges_first(const struct pmr_ranges *ranges, uint64_t offset)
{
	size_t low = 0, high = ranges->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (range_end(&ranges->v[middle]) > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

bool pmr_ranges_overlap(const struct pmr_ranges *ranges, uint64_t offset, uint64_t length)
{
	size_t i = pmr_ranges_first(ranges, offset);

	return length && i < ranges->n && ranges->v[i].offset < window_end(offset, length);
}

int pmr_ranges_clip(struct pmr_ranges *out, const struct pmr_ranges *in, uint64_t offset,
		    uint64_t length)
{
	uint64_t end = window_end(offset, length);
	size_t i;
	int err;

	if (!length)
		return 0;
	for (i = pmr_ranges_first(in, offset); i < in->n && in->v[i].offset < end; i++) {
		uint64_t from = in->v[i].offset > offset ? in->v[i].offset : offset;
		uint64_t to = range_end(&in->v[i]) < end ? range_end(&in->v[i]) : end;

		err = pmr_ranges_add(out, from, to - from);
		if (err)
			return err;
	}
	return 0;
}

int pmr_ranges_subtract(struct pmr_ranges *out, const struct pmr_ranges *a,
			const struct pmr_ranges *b)
{
	size_t i, j = a->n ? pmr_ranges_first(b, a->v[0].offset) : 0;
	int err;

	for (i = 0; i < a->n; i++) {
		uint64_t at = a->v[i].offset, end = range_end(&a->v[i]);

		while (j < b->n && range_end(&b->v[j]) <= at)
			j++;
		/* A range of b may reach into the next of a: j stays on it. */
		while (j < b->n && b->v[j].offset < end) {
			if (b->v[j].offset > at) {
				err = pmr_ranges_add(out, at, b->v[j].offset - at);
				if (err)
					return err;
			}
			at = range_end(&b->v[j]);
			if (at >= end)
				break;
			j++;
		}
		if (at < end) {
			err = pmr_ranges_add(out, at, end - at);
			if (err)
				return err;
		}
	}
	return 0;
}
