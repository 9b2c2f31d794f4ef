/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a byte of a namespace or of a region is: data, info block, page map, or nothing's. Pure. */

#include <stdlib.h>

#include "private.h"
#include "topology.h"

/* Where the info block is, and what it and the room ahead of it take (struct nd_pfn_sb at SZ_4K, SZ_8K in pfn_devs.c). */
#define INFO_BLOCK 4096u
#define INFO_BLOCK_END 8192u

const char *pmr_page_map_name(enum pmr_page_map page_map)
{
	static const char *const names[] = {
		[PMR_PAGE_MAP_NONE] = NULL,
		[PMR_PAGE_MAP_MEM] = "mem",
		[PMR_PAGE_MAP_DEV] = "dev",
	};

	return (size_t)page_map < sizeof(names) / sizeof(names[0]) ? names[page_map] : NULL;
}

static void cut(uint64_t *until, uint64_t at)
{
	if (at < *until)
		*until = at;
}

/* With an info block, or all of it data. */
static enum pmr_part plain_part(const struct pmr_device *device, uint64_t offset, uint64_t *until)
{
	uint64_t data = device->data_offset;

	if (offset >= data && offset - data < device->size) {
		cut(until, data + device->size);
		return PMR_PART_NONE;
	}
	if (offset >= data)
		return PMR_PART_PADDING;
	if (offset < INFO_BLOCK) {
		cut(until, INFO_BLOCK < data ? INFO_BLOCK : data);
		return PMR_PART_PADDING;
	}
	if (offset < INFO_BLOCK_END) {
		cut(until, INFO_BLOCK_END < data ? INFO_BLOCK_END : data);
		return PMR_PART_INFO_BLOCK;
	}
	cut(until, data);
	return device->page_map == PMR_PAGE_MAP_MEM ? PMR_PART_PADDING : PMR_PART_PAGE_MAP;
}

/* Of some namespaces nobody knows where their data begins, or that it lies together. */
static bool is_plain(const struct pmr_device *device)
{
	return device->enabled && device->mode != PMR_MODE_SECTOR &&
	       device->data_offset != PMR_NO_ADDRESS && !pmr_dax_is_scattered(device);
}

enum pmr_part pmr_namespace_part(const struct pmr_device *device, uint64_t offset, uint64_t *until)
{
	*until = device->ns_size;
	if (device->own && device->own->btt.sector)
		return pmr_btt_part(&device->own->btt, offset, until);
	return is_plain(device) ? plain_part(device, offset, until) : PMR_PART_NONE;
}

enum pmr_owner pmr_namespace_owner(const struct pmr_device *device, enum pmr_part part)
{
	const struct pmr_badblocks *list = &device->badblocks;

	switch (part) {
	case PMR_PART_BTT_DATA:
		/* with a bad block only reading makes that list complete, and no block of the device is in it */
		return !device->from_file && list->trust == PMR_LIST_COMPLETE && !list->ranges.n
			       ? PMR_OWNER_FREE
			       : PMR_OWNER_UNKNOWN;
	case PMR_PART_BTT_UNUSED:
		return PMR_OWNER_FREE;
	default:
		return PMR_OWNER_NAMESPACE;
	}
}

int pmr_device_next_metadata(const struct pmr_device *device, uint64_t *position,
			     struct pmr_range *range, enum pmr_part *part)
{
	const struct pmr_ranges *bad = &device->metadata_badblocks.ranges;
	size_t i = pmr_ranges_first(bad, *position);
	uint64_t start, until;

	if (i == bad->n)
		return 0;
	start = bad->v[i].offset > *position ? bad->v[i].offset : *position;
	*part = pmr_namespace_part(device, start, &until);
	if (until <= start)
		until = UINT64_MAX;
	cut(&until, bad->v[i].offset + bad->v[i].length);
	*range = (struct pmr_range){ start, until - start };
	*position = until;
	return 1;
}

uint64_t pmr_namespace_part_bytes(const struct pmr_device *device, enum pmr_part part,
				  uint64_t *first)
{
	uint64_t bytes = 0, position = 0;
	struct pmr_range range;
	enum pmr_part is;

	while (pmr_device_next_metadata(device, &position, &range, &is) == 1) {
		if (is != part)
			continue;
		if (!bytes)
			*first = range.offset;
		bytes += range.length;
	}
	return bytes;
}

struct pmr_device *pmr_region_device(const struct pmr_topology *topology,
				     const struct pmr_region *region, uint64_t offset,
				     uint64_t *until, bool *certain)
{
	struct pmr_device *found = NULL;
	size_t i;

	for (i = 0; i < topology->n_devices; i++) {
		struct pmr_device *device = topology->devices[i];
		uint64_t begin, end;

		if (device->region != region || !device->own)
			continue;
		begin = device->own->ns_offset;
		end = pmr_layout_add(begin, device->ns_size);
		if (end == PMR_NO_ADDRESS) {
			*certain = false;
			continue;
		}
		if (end <= offset)
			continue;
		if (begin <= offset)
			found = device;
		else
			cut(until, begin);
	}
	if (found)
		cut(until, found->own->ns_offset + found->ns_size);
	return found;
}

/* @part: in a namespace, and cut to what has one owner; @until is where the namespace ends, or what is asked about */
static void judge_inside(struct pmr_region_part *part, uint64_t until)
{
	const struct pmr_device *device = part->device;
	uint64_t begin = device->own->ns_offset, end;

	part->part = pmr_namespace_part(device, part->range.offset - begin, &end);
	cut(&until, begin + end);
	part->range.length = until - part->range.offset;
	if (part->part)
		part->owner = pmr_namespace_owner(device, part->part);
	else
		part->owner = is_plain(device) ? PMR_OWNER_NOT_ASKED : PMR_OWNER_UNKNOWN;
}

/* Fills in whose @part is, and cuts it to what one has. */
static void judge(const struct pmr_topology *topology, const struct pmr_region *region,
		  struct pmr_region_part *part)
{
	uint64_t offset = part->range.offset, until = offset + part->range.length;
	bool certain = true;

	part->device = pmr_region_device(topology, region, offset, &until, &certain);
	if (part->device) {
		judge_inside(part, until);
		return;
	}
	part->owner = certain ? PMR_OWNER_FREE : PMR_OWNER_UNKNOWN;
	part->part = certain ? PMR_PART_UNALLOCATED : PMR_PART_NONE;
	part->range.length = until - offset;
}

static uint64_t count_unallocated(const struct pmr_topology *topology,
				  const struct pmr_region *region)
{
	uint64_t left = region->size;
	size_t i;

	for (i = 0; i < topology->n_devices; i++) {
		const struct pmr_device *device = topology->devices[i];

		if (device->region == region)
			left -= device->ns_size < left ? device->ns_size : left;
	}
	return left;
}

bool pmr_region_has_strays(const struct pmr_region *region)
{
	size_t i;

	for (i = 0; i < region->n_parts; i++) {
		if (region->parts[i].owner == PMR_OWNER_UNKNOWN && !region->parts[i].device)
			return true;
	}
	return false;
}

bool pmr_region_is_told(const struct pmr_region *region)
{
	return !region->unallocated ||
	       (region->badblocks.trust == PMR_LIST_COMPLETE && !pmr_region_has_strays(region));
}

int pmr_region_parts_find(const struct pmr_topology *topology, struct pmr_region *region)
{
	const struct pmr_ranges *bad = &region->badblocks.ranges;
	uint64_t offset, end;
	size_t alloc = 0, i;
	int err;

	region->unallocated = count_unallocated(topology, region);
	for (i = 0; i < bad->n; i++) {
		end = bad->v[i].offset + bad->v[i].length;
		for (offset = bad->v[i].offset; offset < end;) {
			struct pmr_region_part part = { .range = { offset, end - offset } };

			judge(topology, region, &part);
			err = pmr_grow(&region->parts, region->n_parts, &alloc,
				       sizeof(*region->parts));
			if (err)
				return err;
			region->parts[region->n_parts++] = part;
			offset += part.range.length;
		}
	}
	return 0;
}
