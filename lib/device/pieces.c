/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Places and ranges through the pieces of a mapped device, down and up. Pure. */

#include <errno.h>

#include "private.h"
#include "topology.h"

uint64_t pmr_piece_stripe_length(const struct pmr_piece *piece)
{
	return piece->length / piece->n_stripes;
}

static const struct pmr_piece *find(const struct pmr_device *device, uint64_t offset)
{
	size_t low = 0, high = device->n_pieces;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct pmr_piece *piece = &device->pieces[middle];

		if (offset < piece->offset)
			high = middle;
		else if (offset - piece->offset >= piece->length)
			low = middle + 1;
		else
			return piece;
	}
	return NULL;
}

bool pmr_pieces_down(const struct pmr_device *device, uint64_t offset, uint64_t *length,
		     struct pmr_device **lower, uint64_t *lower_offset)
{
	const struct pmr_piece *piece = find(device, offset);
	uint64_t into, chunk, within;

	if (!piece)
		return false;
	into = offset - piece->offset;
	if (!piece->chunk) {
		*lower = piece->stripes[0].lower;
		*lower_offset = piece->stripes[0].offset + into;
		*length = pmr_min64(*length, piece->length - into);
		return true;
	}
	chunk = into / piece->chunk;
	within = into % piece->chunk;
	*lower = piece->stripes[chunk % piece->n_stripes].lower;
	*lower_offset = piece->stripes[chunk % piece->n_stripes].offset +
			chunk / piece->n_stripes * piece->chunk + within;
	*length = pmr_min64(*length, piece->chunk - within);
	return true;
}

/* @part: of the lower device, inside what the @turn-th stripe of a piece has of that */
static int add_up(const struct pmr_piece *piece, size_t turn, const struct pmr_range *part,
		  struct pmr_ranges *up)
{
	uint64_t at = part->offset - piece->stripes[turn].offset, end = at + part->length, next;
	int err = 0;

	if (!piece->chunk)
		return pmr_ranges_add(up, piece->offset + at, part->length);
	for (; at < end && !err; at = next) {
		uint64_t chunk = at / piece->chunk, within = at % piece->chunk;

		next = pmr_min64(end, at + piece->chunk - within);
		err = pmr_ranges_add(
			up,
			piece->offset + (chunk * piece->n_stripes + turn) * piece->chunk + within,
			next - at);
	}
	return err;
}

int pmr_pieces_up(const struct pmr_device *device, const struct pmr_device *lower,
		  const struct pmr_ranges *ranges, struct pmr_ranges *up)
{
	struct pmr_ranges parts = { 0 };
	int err = 0;

	for (size_t i = 0; i < device->n_pieces && !err; i++) {
		const struct pmr_piece *piece = &device->pieces[i];

		for (size_t turn = 0; turn < piece->n_stripes && !err; turn++) {
			if (piece->stripes[turn].lower != lower)
				continue;
			parts.n = 0;
			err = pmr_ranges_clip(&parts, ranges, piece->stripes[turn].offset,
					      pmr_piece_stripe_length(piece));
			for (size_t j = 0; j < parts.n && !err; j++)
				err = add_up(piece, turn, &parts.v[j], up);
		}
	}
	pmr_ranges_release(&parts);
	pmr_ranges_normalize(up);
	return err;
}

int pmr_pieces_to(const struct pmr_device *device, const struct pmr_device *lower,
		  const struct pmr_ranges *ranges, struct pmr_ranges *down)
{
	struct pmr_device *below;
	uint64_t place, length;
	int err = 0;

	for (size_t i = 0; i < ranges->n && !err; i++) {
		uint64_t at = ranges->v[i].offset, end = at + ranges->v[i].length;

		for (; at < end && !err; at += length) {
			length = end - at;
			if (!pmr_pieces_down(device, at, &length, &below, &place))
				break;
			if (below == lower)
				err = pmr_ranges_add(down, place, length);
		}
	}
	pmr_ranges_normalize(down);
	return err;
}

bool pmr_pieces_are_on(const struct pmr_device *device, const struct pmr_device *lower)
{
	for (size_t i = 0; i < device->n_lowers; i++) {
		if (device->lowers[i] == lower)
			return true;
	}
	return false;
}

/* Depth is bounded: what is below was there before what is made of it. */
bool pmr_device_below(const struct pmr_device *device, uint64_t offset, uint64_t *length,
		      struct pmr_device **lower, uint64_t *lower_offset)
{
	struct pmr_device *at = (struct pmr_device *)device;
	uint64_t place = offset, rest = *length;

	while (at->n_pieces) {
		if (!pmr_pieces_down(at, place, &rest, &at, &place))
			return false;
	}
	*length = rest;
	*lower = at;
	*lower_offset = place;
	return true;
}
