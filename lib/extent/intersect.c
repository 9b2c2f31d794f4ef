/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Badblocks x extents -> losses, and losses x what was found in their pages -> exact losses. Pure. */

#include <errno.h>
#include <linux/fiemap.h>
#include <stdlib.h>
#include <string.h>

#include "extent.h"

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * The last range that begins at or before @offset, or the first range. Almost every extent misses almost every range,
 * in no order a branch predictor could learn: the loop has no branch on data.
 */
static const struct pmr_range *last_before(const struct pmr_ranges *bad, uint64_t offset)
{
	const struct pmr_range *base = bad->v;
	size_t n = bad->n, half;

	while (n > 1) {
		half = n / 2;
		base += half & -(size_t)(base[half].offset <= offset);
		n -= half;
	}
	return base;
}

static int add_loss(struct pmr_losses *losses, const struct pmr_loss *loss)
{
	int ret;

	if (losses->n == losses->alloc) {
		ret = pmr_grow(&losses->v, losses->n, &losses->alloc, sizeof(losses->v[0]));
		if (ret)
			return ret;
	}
	losses->v[losses->n++] = *loss;
	return 0;
}

/* One overlap: what lies past the end of the file is nobody's loss, and the end may lie inside a sector. */
static int add_overlap(const struct pmr_extent *extent, uint64_t from, uint64_t to, uint64_t size,
		       uint64_t start, struct pmr_losses *losses)
{
	struct pmr_loss loss = {
		.offset = extent->offset + (from - extent->physical),
		.length = to - from,
		.device_offset = start + from,
		.shared = extent->flags & FIEMAP_EXTENT_SHARED,
		.unwritten = extent->flags & FIEMAP_EXTENT_UNWRITTEN,
	};
	uint64_t inside;
	int ret;

	inside = loss.offset < size ? pmr_min64(size - loss.offset, loss.length) : 0;
	if (inside) {
		struct pmr_loss head = loss;

		head.length = inside;
		head.state = loss.unwritten ? PMR_UNWRITTEN : PMR_LOST;
		ret = add_loss(losses, &head);
		if (ret)
			return ret;
	}
	if (inside == loss.length)
		return 0;
	loss.offset += inside;
	loss.device_offset += inside;
	loss.length -= inside;
	loss.state = PMR_PAST_EOF;
	return add_loss(losses, &loss);
}

int pmr_intersect(const struct pmr_ranges *bad, const struct pmr_extent *extent, uint64_t size,
		  uint64_t start, struct pmr_losses *losses)
{
	const struct pmr_range *range, *stop;
	uint64_t end, unused;
	int ret;

	if (__builtin_add_overflow(extent->physical, extent->length, &end) ||
	    __builtin_add_overflow(extent->offset, extent->length, &unused) ||
	    __builtin_add_overflow(start, end, &unused))
		return -EOVERFLOW;
	if (!bad->n)
		return 0;
	stop = bad->v + bad->n;
	if (end <= bad->v[0].offset || extent->physical >= stop[-1].offset + stop[-1].length)
		return 0;
	for (range = last_before(bad, extent->physical); range < stop && range->offset < end;
	     range++) {
		uint64_t range_end = range->offset + range->length;

		if (range_end <= extent->physical)
			continue;
		ret = add_overlap(extent, max64(range->offset, extent->physical),
				  pmr_min64(range_end, end), size, start, losses);
		if (ret)
			return ret;
	}
	return 0;
}

void pmr_sieve_init(struct pmr_sieve *sieve, const struct pmr_ranges *bad)
{
	const struct pmr_range *last;
	uint64_t bit, stop;
	size_t i;

	memset(sieve, 0, sizeof(*sieve));
	sieve->bad = bad;
	if (!bad->n)
		return;
	last = &bad->v[bad->n - 1];
	sieve->base = bad->v[0].offset;
	sieve->span = last->offset + last->length - sieve->base;
	while ((sieve->span - 1) >> sieve->shift >= PMR_SIEVE_BITS)
		sieve->shift++;
	for (i = 0; i < bad->n; i++) {
		bit = (bad->v[i].offset - sieve->base) >> sieve->shift;
		stop = (bad->v[i].offset - sieve->base + bad->v[i].length - 1) >> sieve->shift;
		for (; bit <= stop; bit++)
			sieve->bits[bit / 64] |= UINT64_C(1) << (bit % 64);
	}
}

/* Whether any of the bits [first, last] is set; "perhaps" for more than a word of them. */
static bool any_bit(const struct pmr_sieve *sieve, uint64_t first, uint64_t last)
{
	const uint64_t *word = &sieve->bits[first / 64];
	uint64_t window;

	if (last - first <= 1)
		return ((sieve->bits[first / 64] >> first % 64) |
			(sieve->bits[last / 64] >> last % 64)) &
		       1;
	if (last - first >= 63)
		return true;
	window = word[0] >> first % 64 | (word[1] << 1) << (63 - first % 64);
	return window & ((UINT64_C(2) << (last - first)) - 1);
}

/* False for nearly all that misses. */
static bool passes(const struct pmr_sieve *sieve, uint64_t physical, uint64_t length)
{
	/* Wraps for what begins ahead of the first range, which the comparisons then let through to the search. */
	uint64_t first = physical - sieve->base, last = first + length - 1;

	/* begins behind the last range */
	if (first >= sieve->span && physical >= sieve->base)
		return false;
	return first > last || last >= sieve->span ||
	       any_bit(sieve, first >> sieve->shift, last >> sieve->shift);
}

bool pmr_sieve_hits(const struct pmr_sieve *sieve, uint64_t physical, uint64_t length)
{
	return passes(sieve, physical, length) && pmr_ranges_overlap(sieve->bad, physical, length);
}

int pmr_sieve_intersect(const struct pmr_sieve *sieve, const struct pmr_extent *extent,
			uint64_t size, uint64_t start, struct pmr_losses *losses)
{
	if (!passes(sieve, extent->physical, extent->length))
		return 0;
	return pmr_intersect(sieve->bad, extent, size, start, losses);
}

/* ---- pages */

static uint64_t page_of(uint64_t offset)
{
	return offset & ~(uint64_t)(PMR_PAGE - 1);
}

uint8_t pmr_page_mask(uint64_t page, const struct pmr_range *range)
{
	uint64_t from = max64(range->offset, page);
	uint64_t to = pmr_min64(range->offset + range->length, page + PMR_PAGE);
	unsigned int first, end;

	if (from >= to)
		return 0;
	first = (unsigned int)(from - page) / PMR_SECTOR;
	end = (unsigned int)(to - page + PMR_SECTOR - 1) / PMR_SECTOR;
	return (uint8_t)(((1u << end) - 1) & ~((1u << first) - 1));
}

static uint8_t block_mask(uint8_t listed, unsigned int logical_block)
{
	unsigned int per_block = logical_block / PMR_SECTOR, i, of_block;
	uint8_t mask = listed;

	if (per_block >= PMR_PAGE_SECTORS)
		return 0xff;
	if (per_block < 2)
		return listed;
	of_block = (1u << per_block) - 1;
	for (i = 0; i < PMR_PAGE_SECTORS; i += per_block) {
		if (listed & (of_block << i))
			mask |= (uint8_t)(of_block << i);
	}
	return mask;
}

/* Two ranges may share a page; ranges come in order, so the page is then the last one added. */
static int add_page(struct pmr_pages *pages, uint64_t page, const struct pmr_range *range)
{
	int ret;

	if (!pages->n || pages->v[pages->n - 1].offset != page) {
		ret = pmr_grow(&pages->v, pages->n, &pages->alloc, sizeof(pages->v[0]));
		if (ret)
			return ret;
		pages->v[pages->n++] =
			(struct pmr_page){ .offset = page, .state = PMR_PAGE_UNTOLD };
	}
	pages->v[pages->n - 1].listed |= pmr_page_mask(page, range);
	return 0;
}

int pmr_pages_init(const struct pmr_ranges *listed, unsigned int logical_block,
		   struct pmr_pages *pages)
{
	struct pmr_pages made = { 0 };
	size_t i;
	int ret;

	for (i = 0; i < listed->n; i++) {
		uint64_t from = listed->v[i].offset, to = from + listed->v[i].length;
		uint64_t head = page_of(from), tail = page_of(to);

		if (from != head) {
			ret = add_page(&made, head, &listed->v[i]);
			if (ret)
				goto fail;
		}
		if (to != tail && (from == head || head != tail)) {
			ret = add_page(&made, tail, &listed->v[i]);
			if (ret)
				goto fail;
		}
	}
	for (i = 0; i < made.n; i++)
		made.v[i].block = block_mask(made.v[i].listed, logical_block);
	*pages = made;
	return 0;
fail:
	free(made.v);
	return ret;
}

static int push_page(struct pmr_pages *pages, const struct pmr_page *page)
{
	int ret = pmr_grow(&pages->v, pages->n, &pages->alloc, sizeof(pages->v[0]));

	if (!ret)
		pages->v[pages->n++] = *page;
	return ret;
}

int pmr_pages_offline(struct pmr_pages *pages, const struct pmr_ranges *offlined)
{
	struct pmr_pages made = { 0 };
	size_t i, k = 0;
	int ret = 0;

	for (i = 0; i < offlined->n && !ret; i++) {
		uint64_t offset = page_of(offlined->v[i].offset);
		uint64_t end = offlined->v[i].offset + offlined->v[i].length;

		for (; offset < end && !ret; offset += PMR_PAGE) {
			/* what is in no page listed in part is in one listed whole */
			struct pmr_page page = { .offset = offset, .listed = 0xff, .block = 0xff };

			if (made.n && made.v[made.n - 1].offset >= offset)
				continue;
			while (k < pages->n && pages->v[k].offset < offset && !ret)
				ret = push_page(&made, &pages->v[k++]);
			if (k < pages->n && pages->v[k].offset == offset)
				page = pages->v[k++];
			page.examined = true;
			page.state = PMR_PAGE_OFFLINED;
			if (!ret)
				ret = push_page(&made, &page);
		}
	}
	while (k < pages->n && !ret)
		ret = push_page(&made, &pages->v[k++]);
	if (ret) {
		free(made.v);
		return ret;
	}
	free(pages->v);
	*pages = made;
	return 0;
}

size_t pmr_pages_first(const struct pmr_pages *pages, uint64_t offset)
{
	size_t low = 0, high = pages->n, middle;
	uint64_t page = page_of(offset);

	while (low < high) {
		middle = low + (high - low) / 2;
		if (pages->v[middle].offset < page)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int pmr_widen(const struct pmr_ranges *listed, uint64_t start, uint64_t size,
	      struct pmr_ranges *wide)
{
	struct pmr_ranges pages = { 0 }, cut = { 0 };
	size_t i;
	int ret = 0;

	for (i = 0; i < listed->n && !ret; i++) {
		uint64_t from = page_of(listed->v[i].offset),
			 to = listed->v[i].offset + listed->v[i].length;

		if (to % PMR_PAGE && __builtin_add_overflow(to, PMR_PAGE - to % PMR_PAGE, &to))
			to = UINT64_MAX;
		ret = pmr_ranges_add(&pages, from, to - from);
	}
	pmr_ranges_normalize(&pages);
	if (!ret)
		ret = pmr_ranges_clip(&cut, &pages, start, size);
	pmr_ranges_release(&pages);
	if (ret) {
		pmr_ranges_release(&cut);
		return ret;
	}
	for (i = 0; i < cut.n; i++)
		cut.v[i].offset -= start;
	pmr_ranges_release(wide);
	*wide = cut;
	return 0;
}

/* ---- refine */

/* What refining one loss has come to. */
struct refining {
	const struct pmr_loss *wide;
	struct pmr_losses *losses;
	size_t first; /* where this loss's parts begin */
	bool listed; /* whether the last part is in the list, or only lost with it */
};

/* Neighbours that say the same become one. */
static int add_part(struct refining *r, uint64_t from, uint64_t to, bool listed, const char *reason)
{
	struct pmr_losses *losses = r->losses;
	struct pmr_loss part = *r->wide;
	struct pmr_loss *last = losses->n > r->first ? &losses->v[losses->n - 1] : NULL;

	if (last && last->device_offset + last->length == from && last->reason == reason &&
	    r->listed == listed) {
		last->length += to - from;
		return 0;
	}
	r->listed = listed;
	part.offset += from - r->wide->device_offset;
	part.device_offset = from;
	part.length = to - from;
	part.reason = reason;
	return add_loss(losses, &part);
}

/* Whether a sector of a page is lost, and why if the list alone does not tell. */
static bool sector_is_lost(const struct pmr_page *page, unsigned int sector, bool written,
			   const char **reason)
{
	uint8_t bit = (uint8_t)(1u << sector);
	bool offlined = written && page->examined && page->state == PMR_PAGE_OFFLINED;

	*reason = offlined ? "page-offlined" : NULL;
	if (page->listed & bit)
		return true;
	if (!written)
		return false;
	if (page->block & bit) {
		if (!offlined)
			*reason = "logical-block";
		return true;
	}
	if (!offlined)
		*reason = "unlisted";
	return page->dead & bit;
}

int pmr_refine(const struct pmr_pages *pages, const struct pmr_loss *wide,
	       struct pmr_losses *losses)
{
	uint64_t position = wide->device_offset, end = position + wide->length;
	bool written = wide->state == PMR_LOST;
	struct refining r = { .wide = wide, .losses = losses, .first = losses->n };
	size_t i = pmr_pages_first(pages, position);
	unsigned int sector;
	int ret;

	while (position < end) {
		const struct pmr_page *page = i < pages->n ? &pages->v[i] : NULL;
		uint64_t whole_until = page ? pmr_min64(page->offset, end) : end;

		/* What is in no page listed in part is in pages listed whole. */
		if (position < whole_until) {
			ret = add_part(&r, position, whole_until, true, NULL);
			if (ret)
				return ret;
			position = whole_until;
			continue;
		}
		for (sector = 0; sector < PMR_PAGE_SECTORS; sector++) {
			uint64_t from =
				max64(position, page->offset + (uint64_t)sector * PMR_SECTOR);
			uint64_t to = pmr_min64(end, page->offset + (sector + 1ull) * PMR_SECTOR);
			const char *reason;

			if (from >= to || !sector_is_lost(page, sector, written, &reason))
				continue;
			ret = add_part(&r, from, to, page->listed >> sector & 1, reason);
			if (ret)
				return ret;
		}
		position = pmr_min64(page->offset + PMR_PAGE, end);
		i++;
	}
	return 0;
}
