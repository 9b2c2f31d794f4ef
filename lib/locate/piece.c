/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a range of a region or a device to pieces with a device, an offset on it and an address each. Pure. */

#include <stdlib.h>

#include "locate.h"
#include "device/topology.h"

struct pmr_place pmr_place_part(const struct pmr_place *place, uint64_t skip, uint64_t length)
{
	struct pmr_place part = *place;

	part.offset += skip;
	part.length = length;
	part.region_offset = pmr_layout_add(place->region_offset, skip);
	part.address = pmr_layout_add(place->address, skip);
	part.file_offset = pmr_layout_add(place->file_offset, skip);
	return part;
}

/* Whether @b goes on where @a ends, and only that tells them apart. */
static bool continues(const struct pmr_place *a, const struct pmr_place *b)
{
	return a->device == b->device && a->base == b->base && a->filesystem == b->filesystem &&
	       a->owner == b->owner && a->part == b->part && a->inode == b->inode &&
	       a->file == b->file && a->path == b->path && a->kind == b->kind &&
	       a->past_eof == b->past_eof && a->shared == b->shared &&
	       a->offset + a->length == b->offset &&
	       pmr_layout_add(a->file_offset, a->length) == b->file_offset;
}

static int compare(const void *a, const void *b)
{
	const struct pmr_place *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	if (x->part != y->part)
		return x->part < y->part ? -1 : 1;
	return (x->file_offset > y->file_offset) - (x->file_offset < y->file_offset);
}

void pmr_places_settle(struct pmr_places *places, size_t first)
{
	size_t n = first, i;

	if (places->n == first)
		return;
	qsort(places->v + first, places->n - first, sizeof(places->v[0]), compare);
	for (i = first + 1; i < places->n; i++) {
		if (continues(&places->v[n], &places->v[i]))
			places->v[n].length += places->v[i].length;
		else
			places->v[++n] = places->v[i];
	}
	places->n = n + 1;
}

int pmr_places_add(struct pmr_places *places, const struct pmr_place *place)
{
	int ret;

	ret = pmr_grow(&places->v, places->n, &places->alloc, sizeof(places->v[0]));
	if (!ret)
		places->v[places->n++] = *place;
	return ret;
}

static uint64_t region_offset(const struct pmr_device *device, uint64_t address)
{
	uint64_t resource = device->region->resource;

	return resource == PMR_NO_ADDRESS || address < resource ? PMR_NO_ADDRESS
								: address - resource;
}

/* Where one byte of a device lies, and how many from there lie together. */
static void lay(const struct pmr_device *device, uint64_t offset, uint64_t *length,
		struct pmr_place *place)
{
	struct pmr_device *lower;
	uint64_t below;

	if (pmr_dax_is_scattered(device)) {
		const struct pmr_dax_range *range = pmr_dax_lies(&device->own->dax, offset);
		uint64_t skip = offset - range->offset;

		*length = pmr_min64(*length, range->length - skip);
		place->address = range->address + skip;
		place->region_offset = region_offset(device, place->address);
	} else if (pmr_device_below(device, offset, length, &lower, &below)) {
		place->region_offset = pmr_layout_add(lower->region_offset, below);
		place->address = pmr_layout_add(lower->resource, below);
	}
}

int pmr_places_of_device(struct pmr_device *device, uint64_t offset, uint64_t length,
			 struct pmr_places *places)
{
	uint64_t end = offset + length;
	int ret = 0;

	/* Of a mapped or a scattered device, as many as lie in one place each. */
	for (; offset < end && !ret; offset += length) {
		struct pmr_place place = {
			.device = device,
			.base = device->enabled ? PMR_BASE_DEVICE : PMR_BASE_NAMESPACE,
			.offset = offset,
			.region_offset = PMR_NO_ADDRESS,
			.address = PMR_NO_ADDRESS,
			.owner = PMR_OWNER_UNKNOWN,
			.file_offset = PMR_NO_ADDRESS,
		};

		length = end - offset;
		lay(device, offset, &length, &place);
		place.length = length;
		ret = pmr_places_add(places, &place);
	}
	return ret;
}

/* Of a namespace whose device lies in more than one place: between them is nobody's. */
static void place_in_ranges(struct pmr_place *place)
{
	uint64_t until = place->address + place->length;
	const struct pmr_dax_range *range =
		pmr_dax_at(&place->device->own->dax, place->address, &until);

	place->owner = range ? PMR_OWNER_UNKNOWN : PMR_OWNER_NAMESPACE;
	if (range) {
		place->base = PMR_BASE_DEVICE;
		place->offset = range->offset + (place->address - range->address);
		until = pmr_min64(until, range->address + range->length);
	}
	place->length = until - place->address;
}

/* Which block of the device lies in a block of the medium only the map tells. */
static void place_in_btt(struct pmr_place *place)
{
	uint64_t until;

	place->part = pmr_namespace_part(place->device, place->offset, &until);
	if (place->part == PMR_PART_NONE)
		return;
	place->owner = pmr_namespace_owner(place->device, place->part);
	/* where no block is bad this may be any block all the same */
	if (place->part == PMR_PART_BTT_DATA)
		place->owner = PMR_OWNER_UNKNOWN;
	place->length = pmr_min64(place->length, until - place->offset);
}

/* @place: of a namespace, and behind nothing but it; cut to what one part of the namespace has. */
static void place_in_namespace(struct pmr_place *place)
{
	struct pmr_device *device = place->device;
	uint64_t data = device->data_offset, until;

	place->base = PMR_BASE_NAMESPACE;
	place->owner = PMR_OWNER_UNKNOWN;
	if (device->enabled && device->mode == PMR_MODE_SECTOR)
		place_in_btt(place);
	if (!device->enabled || device->mode == PMR_MODE_SECTOR || data == PMR_NO_ADDRESS)
		return;
	if (pmr_dax_is_scattered(device)) {
		place_in_ranges(place);
		return;
	}
	place->owner = PMR_OWNER_NAMESPACE;
	place->part = pmr_namespace_part(device, place->offset, &until);
	place->length = pmr_min64(place->length, until - place->offset);
	if (!place->part) {
		place->base = PMR_BASE_DEVICE;
		place->owner = PMR_OWNER_UNKNOWN;
		place->offset -= data;
	}
}

int pmr_places_of_region(const struct pmr_topology *topology, const struct pmr_region *region,
			 uint64_t offset, uint64_t length, struct pmr_places *places, bool *certain)
{
	uint64_t end = offset + length, until;
	int ret = 0;

	for (; offset < end && !ret; offset = until) {
		struct pmr_place place = {
			.offset = offset,
			.base = PMR_BASE_REGION,
			.region_offset = offset,
			.address = pmr_layout_add(region->resource, offset),
			.owner = PMR_OWNER_NOT_ASKED,
			.file_offset = PMR_NO_ADDRESS,
		};

		until = end;
		place.device = pmr_region_device(topology, region, offset, &until, certain);
		place.length = until - offset;
		if (place.device) {
			place.offset -= place.device->own->ns_offset;
			place_in_namespace(&place);
			until = offset + place.length;
		} else if (*certain) {
			place.part = PMR_PART_UNALLOCATED;
		}
		ret = pmr_places_add(places, &place);
	}
	return ret;
}

static uint64_t count(const struct pmr_badblocks *list, uint64_t offset, uint64_t length)
{
	if (list->trust == PMR_LIST_UNKNOWN)
		return PMR_NO_ADDRESS;
	return pmr_ranges_bytes_in(&list->ranges, offset, length);
}

uint64_t pmr_place_bad(const struct pmr_place *place, const struct pmr_region *region)
{
	const struct pmr_device *device = place->device;

	/* A sector namespace's own list may know no places. */
	if (device && (place->base == PMR_BASE_DEVICE || !device->enabled))
		return device->enabled && device->mode == PMR_MODE_SECTOR && !device->from_file &&
				       device->badblocks.trust != PMR_LIST_COMPLETE
			       ? PMR_NO_ADDRESS
			       : count(&device->badblocks, place->offset, place->length);
	if (!region || place->region_offset == PMR_NO_ADDRESS)
		return PMR_NO_ADDRESS;
	return count(&region->badblocks, place->region_offset, place->length);
}
