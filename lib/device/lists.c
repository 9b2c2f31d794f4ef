/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lists of regions and namespaces: what libndctl has of them, and the kernel's attribute beside it. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ndctl/libndctl.h>

#include "private.h"
#include "topology.h"

#define READ_ATTEMPTS 5

/* A list that libndctl iterates, of a namespace or of a region, and the attribute it reads for that. */
struct source {
	const char *path;
	struct ndctl_namespace *ndns;
	struct ndctl_region *ndregion;
};

static struct badblock *get_record(const struct source *source, bool first)
{
	if (source->ndns)
		return first ? ndctl_namespace_get_first_badblock(source->ndns)
			     : ndctl_namespace_get_next_badblock(source->ndns);
	return first ? ndctl_region_get_first_badblock(source->ndregion)
		     : ndctl_region_get_next_badblock(source->ndregion);
}

static int iterate(const struct source *source, struct pmr_ranges *records)
{
	struct badblock *bb;
	int err;

	for (bb = get_record(source, true); bb; bb = get_record(source, false)) {
		uint64_t offset;

		if (__builtin_mul_overflow(bb->offset, PMR_SECTOR, &offset))
			continue;
		err = pmr_ranges_add(records, offset, (uint64_t)bb->len * PMR_SECTOR);
		if (err == -ENOMEM)
			return err;
	}
	return 0;
}

/*
 * libndctl answers NULL for "none" as for "could not be read", and never says that a line was cut: the attribute
 * is read beside it, and where the two differ the list changed in between.
 *
 * Return: 0; 1: they never agreed; a negative errno.
 */
static int read_both(const struct source *source, struct pmr_badblocks *list,
		     struct pmr_ranges *records, int *error)
{
	unsigned int attempt;
	int err;

	for (attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
		pmr_badblocks_release(list);
		pmr_ranges_release(records);
		err = pmr_badblocks_read(source->path, list, error);
		if (err)
			return err;
		/* An empty list leaves libndctl nothing to iterate, and asking it is dear. */
		if (list->trust == PMR_LIST_UNKNOWN ||
		    (list->trust == PMR_LIST_COMPLETE && !list->ranges.n))
			return 0;
		err = iterate(source, records);
		if (err || pmr_badblocks_agree(list, records))
			return err;
	}
	return 1;
}

static int read_list(const struct source *source, struct pmr_badblocks *list, int *error)
{
	struct pmr_badblocks made = { 0 };
	struct pmr_ranges records = { 0 };
	int err;

	err = read_both(source, &made, &records, error);
	if (err > 0)
		err = pmr_badblocks_unite(&made, &records);
	pmr_ranges_release(&records);
	if (!err && made.trust != PMR_LIST_UNKNOWN) {
		made.source = strdup(source->path);
		err = made.source ? 0 : -ENOMEM;
	}
	if (err) {
		pmr_badblocks_release(&made);
		return err;
	}
	pmr_ranges_normalize(&made.ranges);
	pmr_badblocks_release(list);
	*list = made;
	return 0;
}

/* Its list is in doubt from an earlier run alone. */
static bool is_remembered(const struct pmr_region *region)
{
	return region->own->was_full && region->badblocks.trust == PMR_LIST_INCOMPLETE &&
	       strcmp(region->badblocks.reason, "was-full") == 0;
}

int pmr_region_read(struct pmr_region *region)
{
	struct source source = { .ndregion = region->own->ndregion };
	const char *doubt = NULL;
	char *path;
	int err;

	if (region->badblocks.trust == PMR_LIST_INCOMPLETE && !is_remembered(region))
		doubt = region->badblocks.reason;
	if (asprintf(&path, "/sys/bus/nd/devices/%s/badblocks", region->name) < 0)
		return -ENOMEM;
	source.path = path;
	region->own->error = 0;
	err = read_list(&source, &region->badblocks, &region->own->error);
	free(path);
	if (err)
		return err;
	region->own->latest = region->badblocks.reason;
	if (region->badblocks.trust == PMR_LIST_INCOMPLETE)
		region->badblocks.reason = pmr_badblocks_lasting(doubt, region->badblocks.reason);
	pmr_badblocks_doubt(&region->badblocks, doubt);
	if (region->own->was_full)
		pmr_badblocks_doubt(&region->badblocks, "was-full");
	return 0;
}

/* What was in doubt of a region in an earlier run is so of its namespaces only where that is remembered of them, too. */
static int layout_lists(struct pmr_device *device)
{
	struct pmr_badblocks *list = &device->region->badblocks;
	bool is_hidden = is_remembered(device->region);
	int err;

	if (is_hidden) {
		list->trust = PMR_LIST_COMPLETE;
		list->reason = NULL;
	}
	err = pmr_layout_lists(device);
	if (is_hidden)
		pmr_badblocks_doubt(list, "was-full");
	return err;
}

int pmr_device_read_lists(struct pmr_device *device)
{
	struct pmr_device_private *own = device->own;
	struct pmr_badblocks *list = &device->badblocks;
	struct source source = { .path = own->attribute, .ndns = own->ndns };
	int err;

	err = layout_lists(device);
	if (err)
		return err;
	pmr_badblocks_doubt(&device->metadata_badblocks, own->region_doubt);
	pmr_badblocks_doubt(&device->metadata_badblocks, own->ars_metadata_doubt);
	if (device->from_file)
		return 0;
	if (own->attribute)
		err = read_list(&source, list, &own->error);
	if (err)
		return err;
	/* one that is the region's has what was ever in doubt there */
	own->latest = own->attribute ? list->reason : device->region->own->latest;
	if (list->trust == PMR_LIST_INCOMPLETE)
		own->doubt = pmr_badblocks_lasting(own->doubt, list->reason);
	pmr_badblocks_doubt(list, own->doubt);
	pmr_badblocks_doubt(list, own->ars_doubt);
	return 0;
}

int pmr_device_reread(struct pmr_ctx *ctx, struct pmr_device *device)
{
	enum pmr_trust before = device->badblocks.trust;
	int err;

	if (device->mode == PMR_MODE_MAPPED) {
		err = pmr_volume_refresh(ctx, device);
		goto out;
	}
	if (!device->own || !device->own->ndns)
		return 0;
	err = pmr_region_read(device->region);
	device->own->error = device->region->own->error;
	if (!err)
		err = pmr_device_read_lists(device);
	if (!err && !device->from_file)
		err = pmr_reading_apply(device);
out:
	if (!err && device->badblocks.trust < before)
		pmr_badblocks_say(ctx, device);
	return err;
}
