/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What has a part of a device: a filesystem, a partition, or what is built on one of these or on the device itself. */

#include "held.h"

bool pmr_is_place_on(const struct pmr_filesystem *filesystem, const struct pmr_device *device)
{
	return filesystem->device == device && !filesystem->held &&
	       (filesystem->type || filesystem->mountpoint || filesystem->start);
}

static bool is_held_on(const struct pmr_filesystem *filesystem, const struct pmr_device *device)
{
	return filesystem->device == device && filesystem->held;
}

/* @counts: whether it is one that is looked for */
static struct pmr_filesystem *
find_at(const struct pmr_topology *topology, const struct pmr_device *device, uint64_t offset,
	bool (*counts)(const struct pmr_filesystem *filesystem, const struct pmr_device *device),
	uint64_t *until)
{
	struct pmr_filesystem *found = NULL;

	for (size_t i = 0; i < topology->n_filesystems; i++) {
		struct pmr_filesystem *f = topology->filesystems[i];

		if (!counts(f, device) || f->start + f->size <= offset)
			continue;
		if (f->start > offset) {
			if (f->start < *until)
				*until = f->start;
		} else {
			found = f;
		}
	}
	if (found && found->start + found->size < *until)
		*until = found->start + found->size;
	return found;
}

struct pmr_filesystem *pmr_filesystem_at(const struct pmr_topology *topology,
					 const struct pmr_device *device, uint64_t offset,
					 uint64_t *until)
{
	return find_at(topology, device, offset, pmr_is_place_on, until);
}

const struct pmr_filesystem *pmr_held_at(const struct pmr_topology *topology,
					 const struct pmr_device *device, uint64_t offset,
					 uint64_t *until)
{
	return find_at(topology, device, offset, is_held_on, until);
}

/* Of the whole device the topology need not know it. */
static bool has_holder(const struct pmr_device *device)
{
	struct pmr_block block = { 0 };
	bool held;

	if (!device->devno || pmr_block_get(device->devno, &block))
		return false;
	held = block.held;
	pmr_block_release(&block);
	return held;
}

bool pmr_is_held_at(const struct pmr_topology *topology, const struct pmr_device *device,
		    uint64_t offset)
{
	uint64_t until = UINT64_MAX;

	return pmr_held_at(topology, device, offset, &until) || has_holder(device);
}

bool pmr_is_held(const struct pmr_topology *topology, const struct pmr_device *device)
{
	for (size_t i = 0; i < topology->n_filesystems; i++) {
		if (is_held_on(topology->filesystems[i], device))
			return true;
	}
	return has_holder(device);
}

/* ---- what that is */

struct visit {
	int (*fn)(void *data, const struct pmr_block *holder);
	void *data;
};

static int visit_partition(void *data, const struct pmr_block *partition)
{
	const struct visit *visit = data;

	return partition->held
		       ? pmr_block_relations(partition->name, "holders", visit->fn, visit->data)
		       : 0;
}

int pmr_holders_visit(const struct pmr_device *device,
		      int (*fn)(void *data, const struct pmr_block *holder), void *data)
{
	struct visit visit = { fn, data };
	int ret;

	if (!device->devno)
		return 0;
	ret = pmr_block_relations(device->name, "holders", fn, data);
	return ret ? ret : pmr_block_partitions(device->name, visit_partition, &visit);
}
