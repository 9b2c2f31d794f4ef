/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a namespace's bytes lie in its region, and what of the region's list that is. Pure. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"
#include "topology.h"

/* PMR_NO_ADDRESS where either is unknown, or where they do not fit together. */
static uint64_t distance(uint64_t from, uint64_t to)
{
	if (from == PMR_NO_ADDRESS || to == PMR_NO_ADDRESS || to < from)
		return PMR_NO_ADDRESS;
	return to - from;
}

uint64_t pmr_layout_add(uint64_t a, uint64_t b)
{
	uint64_t both;

	if (a == PMR_NO_ADDRESS || b == PMR_NO_ADDRESS || __builtin_add_overflow(a, b, &both))
		return PMR_NO_ADDRESS;
	return both;
}

void pmr_layout_device(const struct pmr_layout *layout, struct pmr_device *device,
		       uint64_t *ns_offset)
{
	*ns_offset = distance(layout->region_resource, layout->ns_resource);
	/* Addresses are root's to read, but what fills its region begins where it begins. */
	if (*ns_offset == PMR_NO_ADDRESS && layout->ns_size == layout->region_size)
		*ns_offset = 0;

	if (layout->is_mapped) {
		device->data_offset = PMR_NO_ADDRESS;
		device->region_offset = PMR_NO_ADDRESS;
		device->resource = PMR_NO_ADDRESS;
	} else if (layout->has_info) {
		device->data_offset = distance(layout->ns_resource, layout->data_resource);
		device->region_offset = pmr_layout_add(*ns_offset, device->data_offset);
		device->resource = layout->data_resource;
		/* the first of several places says nothing of the others */
		if (pmr_dax_is_scattered(device))
			device->region_offset = device->resource = PMR_NO_ADDRESS;
	} else {
		device->data_offset = 0;
		device->region_offset = *ns_offset;
		device->resource = layout->ns_resource;
	}
}

int pmr_layout_badblocks(const struct pmr_badblocks *region, uint64_t offset, uint64_t length,
			 struct pmr_badblocks *list)
{
	struct pmr_badblocks made = { .trust = region->trust, .reason = region->reason };
	size_t i;
	int err;

	if (region->trust == PMR_LIST_UNKNOWN)
		goto out;
	if (offset == PMR_NO_ADDRESS || length == PMR_NO_ADDRESS) {
		if (region->ranges.n && region->trust == PMR_LIST_COMPLETE) {
			made.trust = PMR_LIST_INCOMPLETE;
			made.reason = "region-only";
		}
		goto out;
	}
	err = pmr_ranges_clip(&made.ranges, &region->ranges, offset, length);
	if (err) {
		pmr_ranges_release(&made.ranges);
		return err;
	}
	for (i = 0; i < made.ranges.n; i++)
		made.ranges.v[i].offset -= offset;
out:
	*list = made;
	return 0;
}

/* ---- device-dax */

const struct pmr_dax_range *pmr_dax_lies(const struct pmr_devdax *dax, uint64_t offset)
{
	size_t i;

	for (i = 0; i < dax->n; i++) {
		if (offset >= dax->ranges[i].offset &&
		    offset - dax->ranges[i].offset < dax->ranges[i].length)
			return &dax->ranges[i];
	}
	return NULL;
}

const struct pmr_dax_range *pmr_dax_at(const struct pmr_devdax *dax, uint64_t address,
				       uint64_t *until)
{
	size_t i;

	for (i = 0; i < dax->n; i++) {
		const struct pmr_dax_range *range = &dax->ranges[i];

		if (address >= range->address && address - range->address < range->length)
			return range;
		if (range->address > address && range->address < *until)
			*until = range->address;
	}
	return NULL;
}

uint64_t pmr_device_address(const struct pmr_device *device, uint64_t offset, uint64_t *length)
{
	const struct pmr_dax_range *range;

	if (offset >= device->size)
		return PMR_NO_ADDRESS;
	*length = device->size - offset;
	if (!pmr_dax_is_scattered(device))
		return pmr_layout_add(device->resource, offset);
	range = pmr_dax_lies(&device->own->dax, offset);
	if (!range)
		return PMR_NO_ADDRESS;
	*length = range->length - (offset - range->offset);
	return range->address + (offset - range->offset);
}

/* Return: 0; -ERANGE: it is not known where in the region the range lies; -ENOMEM. */
static int add_range(const struct pmr_badblocks *region, uint64_t resource,
		     const struct pmr_dax_range *range, struct pmr_ranges *ranges)
{
	uint64_t offset = distance(resource, range->address);
	size_t first = ranges->n, i;
	int err;

	if (offset == PMR_NO_ADDRESS)
		return -ERANGE;
	err = pmr_ranges_clip(ranges, &region->ranges, offset, range->length);
	for (i = first; i < ranges->n && !err; i++)
		ranges->v[i].offset += range->offset - offset;
	return err;
}

int pmr_layout_scattered(const struct pmr_badblocks *region, uint64_t resource,
			 const struct pmr_devdax *dax, struct pmr_badblocks *list)
{
	struct pmr_badblocks made = { .trust = region->trust, .reason = region->reason };
	int err = 0;
	size_t i;

	for (i = 0; region->trust != PMR_LIST_UNKNOWN && i < dax->n && !err; i++)
		err = add_range(region, resource, &dax->ranges[i], &made.ranges);
	if (err == -ERANGE && region->ranges.n && region->trust == PMR_LIST_COMPLETE) {
		made.trust = PMR_LIST_INCOMPLETE;
		made.reason = "region-only";
	}
	if (err == -ENOMEM) {
		pmr_ranges_release(&made.ranges);
		return err;
	}
	pmr_ranges_normalize(&made.ranges);
	*list = made;
	return 0;
}

/* ---- lists */

/* What was made of a region's list takes the place of the one before, with the region's source. */
static int take_list(const struct pmr_region *region, struct pmr_badblocks *made,
		     struct pmr_badblocks *list)
{
	if (region->badblocks.source) {
		made->source = strdup(region->badblocks.source);
		if (!made->source) {
			pmr_badblocks_release(made);
			return -ENOMEM;
		}
	}
	pmr_badblocks_release(list);
	*list = *made;
	return 0;
}

static int layout_list(const struct pmr_region *region, uint64_t offset, uint64_t length,
		       struct pmr_badblocks *list)
{
	struct pmr_badblocks made = { 0 };
	int err;

	err = pmr_layout_badblocks(&region->badblocks, offset, length, &made);
	return err ? err : take_list(region, &made, list);
}

static int layout_scattered(struct pmr_device *device)
{
	const struct pmr_region *region = device->region;
	struct pmr_badblocks made = { 0 };
	int err;

	err = pmr_layout_scattered(&region->badblocks, region->resource, &device->own->dax, &made);
	return err ? err : take_list(region, &made, &device->badblocks);
}

/* What a namespace has behind the device's last byte, so that its end is one of a larger page. */
static int layout_tail(struct pmr_device *device)
{
	struct pmr_ranges *list = &device->metadata_badblocks.ranges;
	uint64_t begin = device->own->ns_offset;
	uint64_t end = pmr_layout_add(device->data_offset, device->size);
	uint64_t from = pmr_layout_add(begin, end);
	size_t i = list->n;
	int err;

	if (!device->size || from == PMR_NO_ADDRESS || end >= device->ns_size)
		return 0;
	err = pmr_ranges_clip(list, &device->region->badblocks.ranges, from, device->ns_size - end);
	for (; i < list->n; i++)
		list->v[i].offset -= begin;
	return err;
}

/* Poison ahead of the device's first byte; all of it where a BTT hides which block it hit. */
static int layout_metadata(struct pmr_device *device)
{
	bool is_mapped = device->enabled && device->mode == PMR_MODE_SECTOR;
	int err;

	if (!is_mapped && device->data_offset == 0) {
		pmr_badblocks_release(&device->metadata_badblocks);
		device->metadata_badblocks.trust = PMR_LIST_COMPLETE;
		return 0;
	}
	err = layout_list(device->region, device->own->ns_offset,
			  is_mapped ? device->ns_size : device->data_offset,
			  &device->metadata_badblocks);
	return err || is_mapped ? err : layout_tail(device);
}

bool pmr_btt_has_block(const struct pmr_device *device, const struct pmr_ranges *bad)
{
	for (size_t i = 0; i < bad->n; i++) {
		uint64_t at = bad->v[i].offset, end = at + bad->v[i].length;
		uint64_t until;

		for (; at < end; at = until) {
			enum pmr_part part = pmr_namespace_part(device, at, &until);

			if (part == PMR_PART_NONE || part == PMR_PART_BTT_DATA)
				return true;
		}
	}
	return false;
}

/* Which block of the device it is only the map tells. */
static bool is_any_block_bad(const struct pmr_device *device)
{
	const struct pmr_badblocks *inside = &device->metadata_badblocks;

	return inside->trust != PMR_LIST_COMPLETE || pmr_btt_has_block(device, &inside->ranges);
}

/* Blocks that are bad themselves are not known; those that cannot be found are. */
static int layout_sector(struct pmr_device *device)
{
	int err;

	err = layout_list(device->region, 0, 0, &device->badblocks);
	if (!err && device->own->btt.sector)
		err = pmr_btt_unmapped(&device->own->btt, &device->metadata_badblocks.ranges,
				       &device->badblocks.ranges);
	if (err)
		return err;
	if (device->badblocks.trust == PMR_LIST_COMPLETE && is_any_block_bad(device)) {
		device->badblocks.trust = PMR_LIST_INCOMPLETE;
		device->badblocks.reason = "region-only";
	}
	return 0;
}

int pmr_layout_lists(struct pmr_device *device)
{
	int err;

	err = layout_metadata(device);
	if (err || device->from_file || device->own->attribute)
		return err;
	if (device->enabled && device->mode == PMR_MODE_SECTOR)
		return layout_sector(device);
	if (pmr_dax_is_scattered(device))
		return layout_scattered(device);
	return layout_list(device->region, device->region_offset,
			   device->enabled ? device->size : device->ns_size, &device->badblocks);
}
