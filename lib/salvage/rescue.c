/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads what can be read of a file: clean parts through the file, pages with poison sector by sector. */

#include <errno.h>
#include <linux/fiemap.h>
#include <stdlib.h>
#include <string.h>

#include "salvage.h"

static uint64_t page_of(uint64_t offset)
{
	return offset - offset % PMR_PAGE;
}

/* the end of the page with the byte ahead of @offset; no file is larger than INT64_MAX */
static uint64_t page_end(uint64_t offset)
{
	return page_of(offset + PMR_PAGE - 1);
}

/* ---- what became of a part */

/* Neighbours become one: parts come in file order. */
static int add_loss(struct pmr_losses *losses, const struct pmr_loss *loss)
{
	struct pmr_loss *last = losses->n ? &losses->v[losses->n - 1] : NULL;
	bool placed = loss->device_offset != PMR_NO_ADDRESS;
	int ret;

	if (last && last->state == loss->state && last->reason == loss->reason &&
	    last->shared == loss->shared && last->offset + last->length == loss->offset &&
	    (placed ? last->device_offset + last->length == loss->device_offset
		    : last->device_offset == PMR_NO_ADDRESS)) {
		last->length += loss->length;
		return 0;
	}
	ret = pmr_grow(&losses->v, losses->n, &losses->alloc, sizeof(losses->v[0]));
	if (!ret)
		losses->v[losses->n++] = *loss;
	return ret;
}

static bool is_lost(const struct pmr_loss *loss)
{
	return loss->state == PMR_LOST || loss->state == PMR_CACHED;
}

/* Index of the first known loss that ends after @offset. */
static size_t first_known(const struct pmr_rescue *r, uint64_t offset)
{
	size_t low = 0, high = r->n_known, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (r->known[middle].offset + r->known[middle].length > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/*
 * Note what of [offset, offset + length) the scan knew to be lost, with its reason and in this state; what lies between
 * gets @between, unless that has no length.
 */
static int note(struct pmr_rescue *r, uint64_t offset, uint64_t length, enum pmr_state state,
		const struct pmr_loss *between)
{
	uint64_t position = offset, end = offset + length, from, to;
	struct pmr_loss part;
	int ret = 0;

	for (size_t i = first_known(r, offset); !ret && position < end; i++) {
		const struct pmr_loss *known = i < r->n_known ? &r->known[i] : NULL;

		if (known && !is_lost(known))
			continue;
		from = known ? pmr_min64(known->offset, end) : end;
		if (from < position)
			from = position;
		if (from > position && between->length) {
			part = *between;
			part.offset = position;
			part.length = from - position;
			if (part.device_offset != PMR_NO_ADDRESS)
				part.device_offset += position - offset;
			ret = add_loss(&r->losses, &part);
		}
		position = from;
		if (ret || from == end)
			break;
		to = pmr_min64(known->offset + known->length, end);
		part = *known;
		part.offset = from;
		part.length = to - from;
		part.device_offset += from - known->offset;
		part.state = state;
		ret = add_loss(&r->losses, &part);
		position = to;
	}
	return ret;
}

static int fill(struct pmr_rescue *r, uint64_t offset, uint64_t length)
{
	size_t n;
	int ret = 0;

	if (r->fill < 0)
		return 0;
	memset(r->own.spare, r->fill, PMR_PAGE);
	for (; length && !ret; length -= n, offset += n) {
		n = (size_t)pmr_min64(length, PMR_PAGE);
		ret = r->io->write(r->data, offset, r->own.spare, n);
	}
	return ret;
}

int pmr_rescue_lose(struct pmr_rescue *r, uint64_t offset, uint64_t length, uint64_t device_offset,
		    const char *reason)
{
	const struct pmr_loss between = { .length = length,
					  .device_offset = device_offset,
					  .state = PMR_LOST,
					  .reason = reason,
					  .vanished = pmr_ranges_overlap(&r->vanished, offset,
									 length) };
	int ret;

	ret = fill(r, offset, length);
	if (!ret)
		ret = pmr_ranges_append(&r->bad, offset, length);
	if (!ret)
		ret = note(r, offset, length, PMR_LOST, &between);
	if (!ret)
		r->lost += length;
	return ret;
}

/* Cut [position, *end) where it goes into a list, or out of it. Return: whether it begins in it. */
static bool cut_by(const struct pmr_ranges *list, uint64_t position, uint64_t *end)
{
	size_t i = pmr_ranges_first(list, position);
	const struct pmr_range *range = i < list->n ? &list->v[i] : NULL;

	if (!range)
		return false;
	if (range->offset > position) {
		*end = pmr_min64(*end, range->offset);
		return false;
	}
	*end = pmr_min64(*end, range->offset + range->length);
	return true;
}

/* It is in the output, and yet not called rescued. */
static int doubt(struct pmr_rescue *r, uint64_t offset, uint64_t length)
{
	const struct pmr_loss loss = { .offset = offset,
				       .length = length,
				       .device_offset = PMR_NO_ADDRESS,
				       .state = PMR_UNKNOWN,
				       .reason = "readable-again" };
	int ret;

	ret = pmr_ranges_append(&r->bad, offset, length);
	if (!ret)
		ret = add_loss(&r->losses, &loss);
	if (ret)
		return ret;
	r->untried += length;
	r->in_doubt += length;
	return 0;
}

int pmr_rescue_take(struct pmr_rescue *r, uint64_t offset, const void *bytes, uint64_t length)
{
	uint64_t end = offset + length, to;
	int ret;

	ret = r->io->write(r->data, offset, bytes, (size_t)length);
	for (; offset < end && !ret; offset = to) {
		to = end;
		if (cut_by(&r->doubted, offset, &to)) {
			ret = doubt(r, offset, to - offset);
			continue;
		}
		ret = pmr_ranges_append(&r->done, offset, to - offset);
		if (!ret)
			r->rescued += to - offset;
	}
	return ret;
}

static int skip(struct pmr_rescue *r, uint64_t offset, uint64_t length)
{
	static const struct pmr_loss nothing;

	r->untried += length;
	return note(r, offset, length, PMR_UNKNOWN, &nothing);
}

/* ---- clean parts */

/*
 * A page that fails although it is in no list is handed over, and where one fails others may: after it single pages are
 * read, and more again as they are good.
 */
static int copy_clean(struct pmr_rescue *r, uint64_t position, uint64_t end)
{
	uint64_t from, until;
	size_t want, got;
	int error, ret;

	while (position < end) {
		ret = r->io->tick(r->data);
		if (ret)
			return ret;
		from = page_of(position);
		want = (size_t)pmr_min64(page_end(end) - from, r->own.chunk);
		r->own.buffer = r->io->buffer(r->data);
		error = r->io->read(r->data, from, r->own.buffer, want, &got);
		until = pmr_min64(from + got, end);
		if (until > position) {
			r->own.good = from;
			ret = pmr_rescue_take(r, position, r->own.buffer + (position - from),
					      until - position);
			if (ret)
				return ret;
			position = until;
		}
		r->own.chunk = (size_t)pmr_min64(r->own.chunk * 4ull, PMR_RESCUE_CHUNK);
		if (error && !pmr_media_is_error(error) && !pmr_is_map_error(error))
			return error;
		if (error && position < end) {
			until = pmr_min64(page_of(position) + PMR_PAGE, end);
			ret = pmr_rescue_sectors(r, position, until - position, error);
			if (ret)
				return ret;
			position = until;
			r->own.chunk = PMR_PAGE;
		} else if (!error && from + got < pmr_min64(from + want, end)) {
			return -ESTALE; /* it has become shorter */
		}
	}
	return 0;
}

/* ---- the whole */

enum kind { KIND_HAVE, KIND_CLEAN, KIND_POISONED, KIND_VANISHED };

/* Cut [position, *end) where it stops being of one kind. */
static enum kind cut(const struct pmr_rescue *r, uint64_t position, uint64_t *end)
{
	const struct pmr_ranges *lists[] = { &r->have, &r->vanished, &r->pages };
	static const enum kind kinds[] = { KIND_HAVE, KIND_VANISHED, KIND_POISONED };

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		if (cut_by(lists[k], position, end))
			return kinds[k];
	return KIND_CLEAN;
}

/* How far into [position, end) anything is known. */
static uint64_t reached(const struct pmr_rescue *r, uint64_t position, uint64_t end)
{
	const struct pmr_ranges *lists[] = { &r->done, &r->bad };

	for (unsigned int k = 0; k < 2; k++) {
		const struct pmr_range *last = lists[k]->n ? &lists[k]->v[lists[k]->n - 1] : NULL;

		if (last && last->offset + last->length > position)
			position = last->offset + last->length;
	}
	return pmr_min64(position, end);
}

/* A part of the file that is all data. What stops the work keeps it from the rest, but the rest is still counted. */
static int run_part(struct pmr_rescue *r, uint64_t position, uint64_t end)
{
	enum kind kind;
	uint64_t to;
	int ret;

	for (; position < end; position = to) {
		to = end;
		ret = 0;
		kind = cut(r, position, &to);
		if (kind == KIND_HAVE)
			r->rescued += to - position;
		else if (r->stopped)
			ret = skip(r, position, to - position);
		else if (kind == KIND_CLEAN)
			ret = copy_clean(r, position, to);
		else if (kind == KIND_VANISHED)
			ret = pmr_resumed_lose(r, position, to - position);
		else
			ret = pmr_rescue_sectors(r, position, to - position, 0);
		if (!ret)
			continue;
		if (ret == -ENOMEM || r->stopped)
			return ret;
		r->stopped = ret;
		to = reached(r, position, to);
	}
	return 0;
}

/* Holes and blocks that were never written are zeros in the output as it is. */
static int pass(struct pmr_rescue *r, uint64_t until)
{
	int ret = 0;

	if (!r->stopped && until > r->own.position)
		ret = pmr_ranges_append(&r->done, r->own.position, until - r->own.position);
	return ret;
}

static int run_data(struct pmr_rescue *r, const struct pmr_range *data)
{
	int ret;

	ret = pass(r, data->offset);
	if (!ret)
		ret = run_part(r, data->offset, data->offset + data->length);
	r->own.position = data->offset + data->length;
	return ret;
}

int pmr_rescue_list(const struct pmr_rescue *r, uint64_t offset, uint64_t length,
		    struct pmr_extents **extents)
{
	int ret;

	ret = r->fiemap ? pmr_extents_open_with(r->fd, offset, length, false, r->fiemap, extents)
			: pmr_extents_open(r->fd, offset, length, false, extents);
	if (!ret)
		pmr_extents_go_around(*extents);
	return ret;
}

/* Extents that follow one another in the file are read as one, wherever they lie. */
static int run_extents(struct pmr_rescue *r, struct pmr_extents *extents)
{
	struct pmr_range data = { 0 };
	struct pmr_extent extent;
	int ret;

	while ((ret = pmr_extents_next(extents, &extent)) > 0) {
		if (extent.flags & FIEMAP_EXTENT_UNWRITTEN)
			continue;
		r->unlisted |= extent.flags & PMR_EXTENT_UNLISTED;
		if (data.length && data.offset + data.length == extent.offset) {
			data.length += extent.length;
			continue;
		}
		ret = data.length ? run_data(r, &data) : 0;
		if (ret)
			return ret;
		data = (struct pmr_range){ extent.offset, extent.length };
	}
	if (!ret && data.length)
		ret = run_data(r, &data);
	return ret ? ret : pass(r, r->size);
}

int pmr_rescue_run(struct pmr_rescue *r)
{
	struct pmr_extents *extents;
	int ret;

	r->done.n = 0;
	r->bad.n = 0;
	r->losses.n = 0;
	r->rescued = 0;
	r->lost = 0;
	r->untried = 0;
	r->in_doubt = 0;
	r->no_device = 0;
	r->unlisted = false;
	r->own.position = 0;
	r->own.good = PMR_NO_ADDRESS;
	if (!r->size)
		return 0;
	ret = pmr_rescue_list(r, 0, r->size, &extents);
	if (ret)
		return ret;
	ret = run_extents(r, extents);
	pmr_extents_close(extents);
	if (ret && ret != -ENOMEM) {
		r->stopped = r->stopped ? r->stopped : ret;
		ret = 0;
	}
	return ret;
}

/* ---- what is known before */

/* Poison past the end takes the last page from whoever reads the file. Of unwritten blocks nobody reads the media. */
static int learn_loss(struct pmr_rescue *r, const struct pmr_loss *loss)
{
	uint64_t from = page_of(loss->offset), end = loss->offset + loss->length;
	int ret = 0;

	if (loss->state == PMR_UNWRITTEN || loss->unwritten || from >= r->size)
		return 0;
	end = pmr_min64(end, page_end(r->size));
	ret = pmr_ranges_add(&r->pages, from, page_end(end) - from);
	if (!ret && loss->state != PMR_PAST_EOF)
		ret = pmr_ranges_add(&r->avoid, loss->device_offset, loss->length);
	return ret;
}

int pmr_rescue_learn(struct pmr_rescue *r, const struct pmr_file *file,
		     const struct pmr_ranges *listed)
{
	int ret;

	r->pages.n = 0;
	r->known = file ? file->losses : NULL;
	r->n_known = file ? file->n_losses : 0;
	ret = pmr_ranges_copy(&r->avoid, listed);
	for (size_t i = 0; i < r->n_known && !ret; i++)
		ret = learn_loss(r, &r->known[i]);
	pmr_ranges_normalize(&r->pages);
	pmr_ranges_normalize(&r->avoid);
	return ret ? ret : pmr_resumed_learn(r, listed);
}

static int save_cached(struct pmr_rescue *r, uint64_t position, uint64_t end)
{
	uint64_t n;
	int ret = 0;

	for (; position < end && !ret; position += n) {
		n = pmr_min64(page_of(position) + PMR_PAGE, end) - position;
		r->own.buffer = r->io->buffer(r->data);
		if (r->io->cached(r->data, position, r->own.buffer, (size_t)n) != 1)
			continue;
		ret = r->io->write(r->data, position, r->own.buffer, (size_t)n);
		if (!ret)
			ret = pmr_ranges_append(&r->saved, position, n);
	}
	return ret;
}

int pmr_rescue_cached(struct pmr_rescue *r)
{
	struct pmr_ranges pages = { 0 }, wanted = { 0 };
	int ret = 0;

	if (!r->io->cached)
		return 0;
	ret = pmr_ranges_subtract(&pages, &r->pages, &r->vanished);
	if (!ret)
		ret = pmr_ranges_subtract(&wanted, &pages, &r->have);
	for (size_t i = 0; i < wanted.n && !ret; i++)
		ret = save_cached(r, wanted.v[i].offset,
				  pmr_min64(wanted.v[i].offset + wanted.v[i].length, r->size));
	for (size_t i = 0; i < r->saved.n && !ret; i++)
		ret = pmr_ranges_add(&r->have, r->saved.v[i].offset, r->saved.v[i].length);
	pmr_ranges_normalize(&r->have);
	pmr_ranges_release(&pages);
	pmr_ranges_release(&wanted);
	return ret;
}

int pmr_rescue_init(struct pmr_rescue *r)
{
	void *spare;

	if (posix_memalign(&spare, PMR_PAGE, PMR_PAGE))
		return -ENOMEM;
	r->own.spare = spare;
	r->own.chunk = PMR_RESCUE_CHUNK;
	return 0;
}

void pmr_rescue_release(struct pmr_rescue *r)
{
	free(r->own.spare);
	r->own.spare = NULL;
	pmr_ranges_release(&r->have);
	pmr_ranges_release(&r->saved);
	pmr_ranges_release(&r->pages);
	pmr_ranges_release(&r->avoid);
	pmr_ranges_release(&r->noted);
	pmr_ranges_release(&r->failed);
	pmr_ranges_release(&r->listed);
	pmr_ranges_release(&r->vanished);
	pmr_ranges_release(&r->doubted);
	pmr_ranges_release(&r->done);
	pmr_ranges_release(&r->bad);
	free(r->losses.v);
	r->losses = (struct pmr_losses){ 0 };
}
