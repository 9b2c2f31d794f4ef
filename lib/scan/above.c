/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Poison under what is built on a device: the mapped devices that have it become targets, what no one has is said. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "scan.h"
#include "device/held.h"
#include "device/topology.h"

struct above {
	struct pmr_scanner *scanner;
	struct pmr_device *device;
	struct pmr_ranges rest; /* bad, and nobody's yet */
	bool is_speaking; /* of what cannot be followed */
	unsigned int refused;
};

/* What lies in a filesystem, or a partition that nothing is built on, was looked at there. */
static int leave_out_places(struct above *a)
{
	const struct pmr_topology *topology = a->scanner->scan->topology;
	struct pmr_ranges places = { 0 }, rest = { 0 };
	int ret = 0;

	for (size_t i = 0; i < topology->n_filesystems && !ret; i++) {
		const struct pmr_filesystem *fs = topology->filesystems[i];

		if (pmr_is_place_on(fs, a->device) && fs->size)
			ret = pmr_ranges_add(&places, fs->start, fs->size);
	}
	pmr_ranges_normalize(&places);
	if (!ret)
		ret = pmr_ranges_subtract(&rest, &a->rest, &places);
	pmr_ranges_release(&places);
	pmr_ranges_release(&a->rest);
	a->rest = rest;
	return ret;
}

static int follow(struct above *a, struct pmr_device *upper)
{
	struct pmr_ranges up = { 0 }, down = { 0 }, rest = { 0 };
	int ret;

	/* Its list may have been made before the one below was taken from a file. */
	ret = pmr_device_refresh(a->scanner->ctx, upper);
	if (!ret)
		ret = pmr_pieces_up(upper, a->device, &a->rest, &up);
	if (!ret && up.n)
		ret = pmr_target_add_device(a->scanner, upper);
	if (!ret)
		ret = pmr_pieces_to(upper, a->device, &up, &down);
	if (!ret)
		ret = pmr_ranges_subtract(&rest, &a->rest, &down);
	if (ret) {
		pmr_ranges_release(&rest);
	} else {
		pmr_ranges_release(&a->rest);
		a->rest = rest;
	}
	pmr_ranges_release(&up);
	pmr_ranges_release(&down);
	return ret;
}

static int meet_holder(void *data, const struct pmr_block *holder)
{
	struct above *a = data;
	struct pmr_topology *topology = a->scanner->scan->topology;
	struct pmr_device *upper = NULL;
	char *path = NULL;
	int ret;

	if (a->is_speaking) {
		path = pmr_block_path(holder->name);
		if (!path)
			return -ENOMEM;
	}
	ret = pmr_topology_upper(a->scanner->ctx, topology, holder, path, &upper);
	free(path);
	if (ret == -ENOMEM)
		return ret;
	a->refused += ret != 0;
	if (ret || a->is_speaking || upper->mode != PMR_MODE_MAPPED)
		return 0;
	return follow(a, upper);
}

/* Of what is held, what no volume has that could be followed. */
static int say_rest(struct above *a, const char *object)
{
	struct pmr_scanner *scanner = a->scanner;
	int ret;

	scanner->scan->complete = false;
	a->is_speaking = true;
	a->refused = 0;
	ret = pmr_holders_visit(a->device, meet_holder, a);
	if (ret)
		return ret;
	pmr_say(scanner->ctx, PMR_ERROR, "no-filesystem", object,
		"has %" PRIu64 " bad bytes, the first at device offset %" PRIu64
		", that are in no filesystem and no volume that could be followed: %s",
		pmr_ranges_bytes(&a->rest), a->rest.v[0].offset,
		a->refused ? "only what is built on it can tell what is lost"
			   : "free space of the volume group, or what its manager keeps for itself "
			     "(of LVM, 'pvs --segments' shows what is in use)");
	return 0;
}

/* What lies around partitions is said with what is no file's. */
static int keep_held(struct above *a)
{
	const struct pmr_topology *topology = a->scanner->scan->topology;
	struct pmr_ranges kept = { 0 };
	int ret = 0;

	for (size_t i = 0; i < a->rest.n; i++) {
		uint64_t from = a->rest.v[i].offset, end = from + a->rest.v[i].length, to;

		for (; from < end && !ret; from = to) {
			to = end;
			if (pmr_held_at(topology, a->device, from, &to) ||
			    pmr_is_held_at(topology, a->device, from))
				ret = pmr_ranges_add(&kept, from, to - from);
		}
	}
	pmr_ranges_normalize(&kept);
	pmr_ranges_release(&a->rest);
	a->rest = kept;
	return ret;
}

int pmr_scan_above(struct pmr_scanner *scanner, struct pmr_device *device, uint64_t offset,
		   uint64_t length, const char *object)
{
	struct above a = { .scanner = scanner, .device = device };
	int ret;

	ret = pmr_ranges_clip(&a.rest, &device->badblocks.ranges, offset, length);
	if (!ret)
		ret = leave_out_places(&a);
	if (!ret && a.rest.n)
		ret = pmr_holders_visit(device, meet_holder, &a);
	if (!ret)
		ret = keep_held(&a);
	if (!ret && a.rest.n)
		ret = say_rest(&a, object);
	pmr_ranges_release(&a.rest);
	return ret;
}
