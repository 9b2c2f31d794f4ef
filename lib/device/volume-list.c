/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The list of a mapped device, made of the lists below it, as long as its table stays what it was. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"
#include "topology.h"

bool pmr_device_is_listed(const struct pmr_device *device)
{
	size_t i;

	if (device->from_file)
		return true;
	if (device->mode != PMR_MODE_MAPPED)
		return device->mode != PMR_MODE_NONE;
	for (i = 0; i < device->n_lowers; i++) {
		if (pmr_device_is_listed(device->lowers[i]))
			return true;
	}
	return false;
}

static int add_source(char **sources, const char *source)
{
	char *longer;

	if (!source)
		return 0;
	if (asprintf(&longer, "%s%s%s", *sources ? *sources : "", *sources ? ", " : "", source) < 0)
		return -ENOMEM;
	free(*sources);
	*sources = longer;
	return 0;
}

/* What one device below adds: its ranges, its source, and its doubts. */
static int compose_lower(const struct pmr_device *device, const struct pmr_device *lower,
			 struct pmr_badblocks *made)
{
	const struct pmr_badblocks *list = &lower->badblocks;
	int err;

	if (list->trust == PMR_LIST_UNKNOWN)
		return 0;
	if (list->trust == PMR_LIST_INCOMPLETE) {
		made->trust = PMR_LIST_INCOMPLETE;
		if (!made->reason)
			made->reason = list->reason;
	}
	err = pmr_pieces_up(device, lower, &list->ranges, &made->ranges);
	return err ? err : add_source(&made->source, list->source);
}

static int compose(struct pmr_device *device, struct pmr_badblocks *made)
{
	const struct pmr_badblocks *unknown = NULL;
	size_t n_unknown = 0;
	int err = 0;

	made->trust = PMR_LIST_COMPLETE;
	for (size_t i = 0; i < device->n_lowers && !err; i++) {
		const struct pmr_device *lower = device->lowers[i];

		if (lower->badblocks.trust == PMR_LIST_UNKNOWN) {
			unknown = &lower->badblocks;
			device->own->error = lower->own ? lower->own->error : 0;
			n_unknown++;
		}
		err = compose_lower(device, lower, made);
	}
	if (err || !unknown)
		return err;
	/* What is known of the others is known, and there may be more. */
	made->trust = n_unknown == device->n_lowers ? PMR_LIST_UNKNOWN : PMR_LIST_INCOMPLETE;
	made->reason = n_unknown == device->n_lowers ? unknown->reason : "part-unknown";
	return 0;
}

int pmr_volume_compose(struct pmr_device *device)
{
	struct pmr_badblocks made = { 0 };
	int err = 0;

	if (device->from_file)
		return 0;
	if (device->own->remapped)
		made.reason = "remapped";
	else
		err = compose(device, &made);
	if (err) {
		pmr_badblocks_release(&made);
		return err;
	}
	pmr_badblocks_release(&device->badblocks);
	device->badblocks = made;
	return device->own->remapped ? 0 : pmr_reading_apply(device);
}

int pmr_topology_compose(const struct pmr_topology *topology)
{
	int err = 0;

	/* What is below was there first. */
	for (size_t i = 0; i < topology->n_devices && !err; i++) {
		if (topology->devices[i]->mode == PMR_MODE_MAPPED)
			err = pmr_volume_compose(topology->devices[i]);
	}
	return err;
}

const char *pmr_device_moved(const struct pmr_device *device)
{
	struct pmr_dm_table table = { 0 };
	bool same;

	if (device->mode != PMR_MODE_MAPPED)
		return NULL;
	if (device->own->remapped || pmr_dm_read(device->devno, &table))
		return "remapped";
	same = !table.suspended && strcmp(table.text, device->own->table) == 0;
	pmr_dm_release(&table);
	if (!same)
		return "remapped";
	for (size_t i = 0; i < device->n_lowers; i++) {
		if (pmr_device_moved(device->lowers[i]))
			return "remapped";
	}
	return NULL;
}

int pmr_volume_refresh(struct pmr_ctx *ctx, struct pmr_device *device)
{
	int err = 0;

	/* Once it was another one, what was learnt by it is not true any more, even if it comes back. */
	if (pmr_device_moved(device))
		device->own->remapped = true;
	for (size_t i = 0; i < device->n_lowers && !err; i++)
		err = pmr_device_refresh(ctx, device->lowers[i]);
	return err ? err : pmr_volume_compose(device);
}
