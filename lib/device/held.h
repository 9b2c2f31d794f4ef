/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What has a part of a device: a filesystem, a partition, or what is built on one of these or on the device itself.
 */
#ifndef PMR_HELD_H
#define PMR_HELD_H

#include "private.h"
#include "topology.h"

/**
 * pmr_is_place_on() - whether it stands for a part of the device: a filesystem that was found, or a partition
 *
 * A whole disk with partitions on it may have been asked about, and stands for none itself. Nor does what something else
 * is built on.
 */
bool pmr_is_place_on(const struct pmr_filesystem *filesystem, const struct pmr_device *device);

/**
 * pmr_filesystem_at() - the filesystem or partition that has a byte of a device, or NULL
 * @until: lowered to where that, or the next one, begins or ends
 */
struct pmr_filesystem *pmr_filesystem_at(const struct pmr_topology *topology,
					 const struct pmr_device *device, uint64_t offset,
					 uint64_t *until);

/**
 * pmr_held_at() - the partition or disk that has a byte of a device and that something is built on, or NULL
 * @until: as pmr_filesystem_at()
 */
const struct pmr_filesystem *pmr_held_at(const struct pmr_topology *topology,
					 const struct pmr_device *device, uint64_t offset,
					 uint64_t *until);
/** pmr_is_held_at() - whether something is built there, or on the device, as the kernel says now */
bool pmr_is_held_at(const struct pmr_topology *topology, const struct pmr_device *device,
		    uint64_t offset);
/** pmr_is_held() - whether something is built on the device, or on any partition of it */
bool pmr_is_held(const struct pmr_topology *topology, const struct pmr_device *device);

/**
 * pmr_holders_visit() - call @fn for every block device that is built on a device, or on a partition of it
 *
 * A device without a block device has none. Return: 0, what @fn returned, -ENOMEM.
 */
int pmr_holders_visit(const struct pmr_device *device,
		      int (*fn)(void *data, const struct pmr_block *holder), void *data);

#endif
