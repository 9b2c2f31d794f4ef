/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What reading a device's media found, as a part of its list. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ars.h"
#include "topology.h"

bool pmr_device_is_read(const struct pmr_device *device)
{
	const struct pmr_ranges *done = &device->reading.done;

	return device->size && done->n == 1 && !done->v[0].offset &&
	       done->v[0].length >= device->size;
}

/* What is listed in the BTTs that a device is, or lies on; only what was so before the first reading counts. */
static int meet(struct pmr_device *device)
{
	int ret = 0;

	if (device->own && device->mode == PMR_MODE_SECTOR && !device->own->has_met) {
		ret = pmr_ranges_copy(&device->own->met, &device->metadata_badblocks.ranges);
		device->own->has_met = !ret;
	}
	for (size_t i = 0; !ret && i < device->n_lowers; i++)
		ret = meet(device->lowers[i]);
	return ret;
}

/* Which block of its device a bad block of a BTT is tells reading alone, and of none that went bad meanwhile. */
static bool has_met(const struct pmr_device *device)
{
	struct pmr_ranges since = { 0 };
	bool met;

	for (size_t i = 0; i < device->n_lowers; i++)
		if (!has_met(device->lowers[i]))
			return false;
	if (!device->own || !device->enabled || device->mode != PMR_MODE_SECTOR)
		return true;
	met = !pmr_ranges_subtract(&since, &device->metadata_badblocks.ranges, &device->own->met) &&
	      !pmr_btt_has_block(device, &since);
	pmr_ranges_release(&since);
	return met;
}

/* What was read of a volume is not of what its table says now. */
static bool is_remapped(const struct pmr_device *device)
{
	return device->own && device->own->remapped;
}

bool pmr_device_is_told(const struct pmr_device *device)
{
	if (is_remapped(device))
		return false;
	return device->badblocks.trust == PMR_LIST_COMPLETE ||
	       (device->reading.complete && has_met(device));
}

static int unite(struct pmr_ranges *ranges, const struct pmr_ranges *more)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < more->n; i++)
		ret = pmr_ranges_add(ranges, more->v[i].offset, more->v[i].length);
	pmr_ranges_normalize(ranges);
	return ret;
}

/* Where what was found is from. */
static int name_source(const struct pmr_reading *reading, struct pmr_badblocks *list)
{
	static const char ars[] = ", ars";
	size_t length = list->source ? strlen(list->source) : 0;
	char *longer;

	if (!list->source) {
		list->source = strdup("read");
		return list->source ? 0 : -ENOMEM;
	}
	if (!reading->ars_bytes || !reading->found.n ||
	    (length >= strlen(ars) && !strcmp(list->source + length - strlen(ars), ars)))
		return 0;
	if (asprintf(&longer, "%s%s", list->source, ars) < 0)
		return -ENOMEM;
	free(list->source);
	list->source = longer;
	return 0;
}

/* Who has read a device knows it, whatever its list leaves out. */
static int judge(struct pmr_device *device)
{
	struct pmr_badblocks *list = &device->badblocks;

	if (!device->reading.done.n)
		return 0;
	if (name_source(&device->reading, list))
		return -ENOMEM;
	if (pmr_device_is_read(device) && has_met(device)) {
		list->trust = PMR_LIST_COMPLETE;
		list->reason = NULL;
		if (device->own)
			device->own->doubt = device->own->ars_doubt = NULL;
	} else if (list->trust == PMR_LIST_UNKNOWN) {
		list->trust = PMR_LIST_INCOMPLETE;
		list->reason = "read-in-part";
	}
	return 0;
}

int pmr_reading_add(struct pmr_device *device, const struct pmr_ranges *done,
		    const struct pmr_ranges *found)
{
	int ret;

	ret = device->reading.done.n ? 0 : meet(device);
	if (ret)
		return ret;
	device->reading.found_bytes += pmr_ranges_bytes(found);
	ret = unite(&device->reading.done, done);
	if (!ret)
		ret = unite(&device->reading.found, found);
	if (!ret)
		ret = unite(&device->badblocks.ranges, found);
	return ret ? ret : judge(device);
}

void pmr_ars_doubt(struct pmr_device *device, const char *list, const char *metadata)
{
	device->own->ars_doubt = pmr_device_is_read(device) ? NULL : list;
	device->own->ars_metadata_doubt = metadata;
	pmr_badblocks_doubt(&device->badblocks, device->own->ars_doubt);
	pmr_badblocks_doubt(&device->metadata_badblocks, metadata);
}

int pmr_reading_apply(struct pmr_device *device)
{
	struct pmr_badblocks *list = &device->badblocks;
	struct pmr_ranges found = { 0 };
	int ret;

	if (!device->reading.done.n)
		return 0;
	/* what the kernel has learnt meanwhile it also forgets by itself */
	ret = pmr_ranges_subtract(&found, &device->reading.found, &list->ranges);
	if (ret) {
		pmr_ranges_release(&found);
		return ret;
	}
	pmr_ranges_release(&device->reading.found);
	device->reading.found = found;
	ret = unite(&list->ranges, &found);
	return ret ? ret : judge(device);
}

/* A list that was made anew of others', as no kernel keeps it, has nothing of what was found. */
static int restore(struct pmr_device *device)
{
	struct pmr_ranges missing = { 0 };
	int ret;

	if (is_remapped(device))
		return 0;
	ret = pmr_ranges_subtract(&missing, &device->reading.found, &device->badblocks.ranges);
	if (!ret && missing.n)
		ret = unite(&device->badblocks.ranges, &missing);
	pmr_ranges_release(&missing);
	return ret ? ret : judge(device);
}

int pmr_device_refresh(struct pmr_ctx *ctx, struct pmr_device *device)
{
	int ret = pmr_device_reread(ctx, device);

	return ret ? ret : restore(device);
}

bool pmr_reading_explains(const struct pmr_device *device, uint64_t offset, uint64_t length)
{
	struct pmr_ranges here = { 0 }, other = { 0 };
	int ret;

	ret = pmr_ranges_clip(&here, &device->badblocks.ranges, offset, length);
	if (!ret)
		ret = pmr_ranges_subtract(&other, &here, &device->reading.found);
	ret = !ret && !other.n;
	pmr_ranges_release(&here);
	pmr_ranges_release(&other);
	return ret;
}

int pmr_reading_forget(struct pmr_device *device, uint64_t offset, uint64_t length)
{
	struct pmr_ranges gone = { 0 }, found = { 0 }, left = { 0 };
	int ret;

	ret = pmr_ranges_clip(&gone, &device->reading.found, offset, length);
	if (ret || !gone.n)
		goto out;
	ret = pmr_ranges_subtract(&found, &device->reading.found, &gone);
	if (!ret)
		ret = pmr_ranges_subtract(&left, &device->badblocks.ranges, &gone);
	if (ret)
		goto out;
	pmr_ranges_release(&device->reading.found);
	pmr_ranges_release(&device->badblocks.ranges);
	device->reading.found = found;
	device->badblocks.ranges = left;
	found = left = (struct pmr_ranges){ 0 };
out:
	pmr_ranges_release(&gone);
	pmr_ranges_release(&found);
	pmr_ranges_release(&left);
	return ret;
}

/* ---- pages that were taken offline */

/* Those of which nothing can be read, and of which reading found at least a part. */
static int add_pages(const struct pmr_ranges *bad, const struct pmr_ranges *found,
		     struct pmr_ranges *pages)
{
	uint64_t page, end;
	int ret = 0;

	for (size_t i = 0; !ret && i < found->n; i++) {
		page = found->v[i].offset - found->v[i].offset % PMR_PAGE;
		end = found->v[i].offset + found->v[i].length;
		for (; !ret && page < end; page += PMR_PAGE)
			if (pmr_ranges_bytes_in(bad, page, PMR_PAGE) == PMR_PAGE)
				ret = pmr_ranges_add(pages, page, PMR_PAGE);
	}
	pmr_ranges_normalize(pages);
	return ret;
}

static int find_offlined(const struct pmr_device *device, const struct pmr_ranges *bad,
			 const struct pmr_ranges *found, struct pmr_ranges *pages);

/* @bad and @found are of the mapped device, as @pages are; the pages of memory are those of what is below. */
static int find_below(const struct pmr_device *device, const struct pmr_device *lower,
		      const struct pmr_ranges *bad, const struct pmr_ranges *found,
		      struct pmr_ranges *pages)
{
	struct pmr_ranges bad_there = { 0 }, found_there = { 0 }, there = { 0 };
	int ret;

	ret = pmr_pieces_to(device, lower, bad, &bad_there);
	if (!ret)
		ret = pmr_pieces_to(device, lower, found, &found_there);
	if (!ret)
		ret = find_offlined(lower, &bad_there, &found_there, &there);
	if (!ret)
		ret = pmr_pieces_up(device, lower, &there, pages);
	pmr_ranges_release(&bad_there);
	pmr_ranges_release(&found_there);
	pmr_ranges_release(&there);
	return ret;
}

/* @bad and @found: what is known above of the device's bytes, besides its own list */
static int find_offlined(const struct pmr_device *device, const struct pmr_ranges *bad,
			 const struct pmr_ranges *found, struct pmr_ranges *pages)
{
	struct pmr_ranges all_bad = { 0 }, all_found = { 0 };
	int ret;

	/* other storage has no such pages, and a block of a BTT is not where it was once it is written */
	if (!device->own || device->mode == PMR_MODE_SECTOR || device->logical_block >= PMR_PAGE)
		return 0;
	ret = pmr_ranges_copy(&all_bad, bad);
	if (!ret)
		ret = unite(&all_bad, &device->badblocks.ranges);
	if (!ret)
		ret = pmr_ranges_copy(&all_found, found);
	if (!ret)
		ret = unite(&all_found, &device->reading.found);
	if (!ret && !device->n_lowers)
		ret = add_pages(&all_bad, &all_found, pages);
	for (size_t i = 0; !ret && i < device->n_lowers; i++)
		ret = find_below(device, device->lowers[i], &all_bad, &all_found, pages);
	pmr_ranges_release(&all_bad);
	pmr_ranges_release(&all_found);
	return ret;
}

int pmr_reading_offlined(const struct pmr_device *device, struct pmr_ranges *pages)
{
	const struct pmr_ranges none = { 0 };

	return find_offlined(device, &none, &none, pages);
}

/* As pmr_reading_forget(), of one device below. @gone: whether anything was. */
static int forget_below(struct pmr_device *lower, uint64_t offset, uint64_t length, bool *gone)
{
	uint64_t before = pmr_ranges_bytes(&lower->badblocks.ranges);
	int ret = pmr_reading_settle(lower, offset, length);

	*gone |= pmr_ranges_bytes(&lower->badblocks.ranges) != before;
	return ret;
}

int pmr_reading_settle(struct pmr_device *device, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length, place, part;
	struct pmr_device *lower;
	bool gone = false;
	int ret;

	ret = pmr_reading_forget(device, offset, length);
	for (; !ret && device->n_pieces && offset < end; offset += part) {
		part = end - offset;
		if (!pmr_pieces_down(device, offset, &part, &lower, &place))
			break;
		ret = forget_below(lower, place, part, &gone);
	}
	return ret || !gone ? ret : pmr_volume_compose(device);
}

const char *pmr_reading_unsettled(const struct pmr_device *device, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length, place, part;
	struct pmr_device *lower;
	const char *reason = NULL;

	/* what somebody wrote down before does not change by repairing; what is no PMEM has no list to say more than a read */
	if (device->from_file || !pmr_device_is_listed(device))
		return NULL;
	if (device->badblocks.trust == PMR_LIST_UNKNOWN)
		return "list-unknown";
	/* what only reading found was read just now */
	if (pmr_reading_explains(device, offset, length))
		return NULL;
	if (!device->n_pieces)
		return "still-listed";
	for (; !reason && offset < end; offset += part) {
		part = end - offset;
		if (!pmr_pieces_down(device, offset, &part, &lower, &place))
			return "still-listed";
		reason = pmr_reading_unsettled(lower, place, part);
	}
	return reason;
}

int pmr_reading_living(const struct pmr_device *device, struct pmr_ranges *living)
{
	struct pmr_ranges below = { 0 };
	int ret = 0;

	if (device->from_file || device->badblocks.trust == PMR_LIST_UNKNOWN)
		return 0;
	if (!device->n_pieces)
		return unite(living, &device->badblocks.ranges);
	for (size_t i = 0; !ret && i < device->n_lowers; i++) {
		below.n = 0;
		ret = pmr_reading_living(device->lowers[i], &below);
		if (!ret)
			ret = pmr_pieces_up(device, device->lowers[i], &below, living);
	}
	pmr_ranges_release(&below);
	return ret ? ret : unite(living, &device->reading.found);
}
