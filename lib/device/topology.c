/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All PMEM of this machine, and the way from a number or a name to it. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "private.h"
#include "topology.h"

const char *pmr_mode_name(enum pmr_mode mode)
{
	static const char *const names[] = {
		[PMR_MODE_NONE] = "none",     [PMR_MODE_FSDAX] = "fsdax",
		[PMR_MODE_RAW] = "raw",	      [PMR_MODE_SECTOR] = "sector",
		[PMR_MODE_DEVDAX] = "devdax", [PMR_MODE_UNKNOWN] = "unknown",
		[PMR_MODE_MAPPED] = "mapped",
	};

	return names[mode];
}

const char *pmr_role_name(enum pmr_role role)
{
	static const char *const names[] = {
		[PMR_ROLE_DATA] = "data",
		[PMR_ROLE_LOG] = "log",
		[PMR_ROLE_REALTIME] = "realtime",
	};

	return names[role];
}

static int compare_buses(const void *a, const void *b)
{
	return strverscmp((*(struct pmr_bus *const *)a)->name, (*(struct pmr_bus *const *)b)->name);
}

static int compare_regions(const void *a, const void *b)
{
	return strverscmp((*(struct pmr_region *const *)a)->name,
			  (*(struct pmr_region *const *)b)->name);
}

static int compare_devices(const void *a, const void *b)
{
	return strverscmp((*(struct pmr_device *const *)a)->ns_name,
			  (*(struct pmr_device *const *)b)->ns_name);
}

/* sysfs lists in no order that a person would know. */
static void sort(struct pmr_topology *topology)
{
	if (topology->n_buses)
		qsort(topology->buses, topology->n_buses, sizeof(*topology->buses), compare_buses);
	if (topology->n_regions)
		qsort(topology->regions, topology->n_regions, sizeof(*topology->regions),
		      compare_regions);
	if (topology->n_devices)
		qsort(topology->devices, topology->n_devices, sizeof(*topology->devices),
		      compare_devices);
}

int pmr_topology_new(struct pmr_ctx *ctx, unsigned int flags, struct pmr_topology **topology)
{
	struct pmr_topology *made = calloc(1, sizeof(*made));
	int err;

	if (!made)
		return -ENOMEM;
	made->own = calloc(1, sizeof(*made->own));
	err = made->own ? pmr_devices_find(ctx, made) : -ENOMEM;
	if (!err)
		sort(made);
	if (!err && flags & PMR_TOPOLOGY_DIMMS)
		err = pmr_dimms_find(ctx, made);
	if (!err && flags & PMR_TOPOLOGY_FILESYSTEMS)
		err = pmr_volumes_find(ctx, made);
	if (!err && flags & PMR_TOPOLOGY_FILESYSTEMS)
		err = pmr_filesystems_find(ctx, made);
	if (err) {
		pmr_topology_free(made);
		return err;
	}
	*topology = made;
	return 0;
}

void pmr_device_free(struct pmr_device *device)
{
	if (!device)
		return;
	free(device->name);
	free(device->path);
	free(device->ns_name);
	free(device->ns_uuid);
	pmr_ranges_release(&device->reading.done);
	pmr_ranges_release(&device->reading.found);
	pmr_badblocks_release(&device->badblocks);
	pmr_badblocks_release(&device->metadata_badblocks);
	pmr_volume_release(device);
	if (device->own) {
		pmr_ranges_release(&device->own->met);
		free(device->own->attribute);
		free(device->own->table);
		pmr_dax_release(&device->own->dax);
	}
	free(device->own);
	free(device);
}

static void free_region(struct pmr_region *region)
{
	free(region->name);
	free(region->dimms);
	free(region->parts);
	free(region->own);
	pmr_badblocks_release(&region->badblocks);
	free(region);
}

static void free_bus(struct pmr_bus *bus)
{
	free(bus->name);
	free(bus->provider);
	free(bus);
}

void pmr_topology_free(struct pmr_topology *topology)
{
	size_t i;

	if (!topology)
		return;
	for (i = 0; i < topology->n_filesystems; i++)
		pmr_filesystem_free(topology->filesystems[i]);
	for (i = 0; i < topology->n_devices; i++)
		pmr_device_free(topology->devices[i]);
	for (i = 0; i < topology->n_regions; i++)
		free_region(topology->regions[i]);
	for (i = 0; i < topology->n_dimms; i++)
		pmr_dimm_free(topology->dimms[i]);
	for (i = 0; i < topology->n_buses; i++)
		free_bus(topology->buses[i]);
	free(topology->filesystems);
	free(topology->devices);
	free(topology->regions);
	free(topology->dimms);
	free(topology->buses);
	if (topology->own) {
		pmr_mounts_forget(topology);
		pmr_devices_forget(topology);
	}
	free(topology->own);
	free(topology);
}

int pmr_topology_add_device(struct pmr_topology *topology, struct pmr_device *device)
{
	int err = pmr_grow(&topology->devices, topology->n_devices, &topology->own->alloc_devices,
			   sizeof(*topology->devices));

	if (!err)
		topology->devices[topology->n_devices++] = device;
	return err;
}

static bool is_same(const char *a, const char *b)
{
	return a && strcmp(a, b) == 0;
}

static bool is_node_of(const struct pmr_device *device, const struct stat *st)
{
	if (S_ISBLK(st->st_mode))
		return device->devno && device->devno == st->st_rdev;
	return S_ISCHR(st->st_mode) && pmr_device_is_dax(device) &&
	       device->own->dax.devno == st->st_rdev;
}

/* A path that is there is what it leads to, whoever should have that name. */
static bool is_path_of(const struct pmr_device *device, const char *name)
{
	struct stat st;

	return is_same(device->path, name) && (stat(name, &st) || is_node_of(device, &st));
}

struct pmr_device *pmr_topology_find(const struct pmr_topology *topology, const char *name)
{
	struct stat st;
	size_t i;

	for (i = 0; i < topology->n_devices; i++) {
		struct pmr_device *device = topology->devices[i];

		if (is_same(device->ns_name, name) || is_same(device->name, name) ||
		    is_path_of(device, name))
			return device;
	}
	/* stat() follows links, and opens nothing. */
	if (!strchr(name, '/') || stat(name, &st))
		return NULL;
	for (i = 0; i < topology->n_devices; i++) {
		if (is_node_of(topology->devices[i], &st))
			return topology->devices[i];
	}
	return NULL;
}

struct pmr_device *pmr_topology_at(const struct pmr_topology *topology, dev_t devno)
{
	size_t i;

	for (i = 0; i < topology->n_devices && devno; i++) {
		if (topology->devices[i]->devno == devno)
			return topology->devices[i];
	}
	return NULL;
}

int pmr_device_new(const struct pmr_block *block, struct pmr_device **device)
{
	struct pmr_device *made = calloc(1, sizeof(*made));

	if (!made)
		return -ENOMEM;
	made->mode = PMR_MODE_NONE;
	made->enabled = true;
	made->devno = block->disk;
	made->size = block->disk_size;
	made->logical_block = block->logical_block;
	made->read_only = block->read_only;
	made->region_offset = PMR_NO_ADDRESS;
	made->resource = PMR_NO_ADDRESS;
	made->metadata_badblocks.trust = PMR_LIST_COMPLETE;
	made->name = strdup(block->disk_name);
	if (!made->name) {
		free(made);
		return -ENOMEM;
	}
	*device = made;
	return 0;
}

static int add_plain(struct pmr_topology *topology, const struct pmr_block *block,
		     struct pmr_device **device)
{
	struct pmr_device *made;
	int err = pmr_device_new(block, &made);

	if (err)
		return err;
	made->badblocks.reason = "no-attribute";
	made->path = pmr_block_path(block->disk_name);
	err = made->path ? pmr_topology_add_device(topology, made) : -ENOMEM;
	if (err) {
		pmr_device_free(made);
		return err;
	}
	*device = made;
	return 0;
}

/* Return: @error */
static int say_unfound(struct pmr_ctx *ctx, dev_t devno, const char *object, int error)
{
	if (error != -ENOMEM)
		pmr_say(ctx, PMR_ERROR, "device-unknown", object,
			"lies on block device %u:%u, which cannot be looked up below /sys: %s",
			major(devno), minor(devno), strerror(-error));
	return error;
}

int pmr_topology_device(struct pmr_ctx *ctx, struct pmr_topology *topology, dev_t devno,
			const char *object, struct pmr_device **device)
{
	struct pmr_device *known = pmr_topology_at(topology, devno);
	struct pmr_block block = { 0 };
	int err;

	if (known) {
		*device = known;
		return 0;
	}
	err = pmr_block_get(devno, &block);
	if (err)
		return object ? say_unfound(ctx, devno, object, err) : err;
	if (pmr_block_is_mapped(&block))
		err = pmr_volume_add(ctx, topology, &block, object, device);
	else
		err = pmr_stack_check(ctx, &block, object);
	if (!err && !pmr_block_is_mapped(&block))
		err = add_plain(topology, &block, device);
	pmr_block_release(&block);
	return err;
}

int pmr_topology_upper(struct pmr_ctx *ctx, struct pmr_topology *topology,
		       const struct pmr_block *holder, const char *object,
		       struct pmr_device **upper)
{
	int err = pmr_topology_device(ctx, topology, holder->disk, object, upper);

	return err ? err : pmr_filesystems_find_on(ctx, topology, *upper);
}

/* The numbers of btrfs's files and of its block device differ, so the place is asked as well. */
static struct pmr_filesystem *find_filesystem(const struct pmr_topology *topology, dev_t devno,
					      const struct pmr_block *block)
{
	size_t i;

	for (i = 0; i < topology->n_filesystems; i++) {
		struct pmr_filesystem *fs = topology->filesystems[i];

		if (fs->devno == devno && fs->role != PMR_ROLE_REALTIME)
			return fs;
		if (block && fs->device->devno == block->disk && fs->start == block->start &&
		    fs->size == block->size)
			return fs;
	}
	return NULL;
}

static int resolve_block(struct pmr_ctx *ctx, struct pmr_topology *topology, dev_t devno,
			 const char *object, struct pmr_filesystem **filesystem)
{
	struct pmr_block block = { 0 };
	struct pmr_device *device;
	int err;

	err = pmr_block_get(devno, &block);
	if (err)
		return say_unfound(ctx, devno, object, err);
	*filesystem = find_filesystem(topology, devno, &block);
	if (!*filesystem) {
		err = pmr_topology_device(ctx, topology, block.disk, object, &device);
		if (!err)
			err = pmr_filesystem_add(ctx, topology, &block, device, filesystem);
	}
	pmr_block_release(&block);
	return err;
}

int pmr_topology_resolve(struct pmr_ctx *ctx, struct pmr_topology *topology, dev_t devno,
			 const char *object, struct pmr_filesystem **filesystem)
{
	struct pmr_filesystem *found = find_filesystem(topology, devno, NULL);
	int err = 0;

	/* Major 0 numbers what has no block device: btrfs, overlay, tmpfs, network filesystems. */
	if (!found && major(devno) == 0)
		return pmr_filesystem_refuse(ctx, topology, devno, object);
	if (!found)
		err = resolve_block(ctx, topology, devno, object, &found);
	if (!err)
		err = pmr_filesystem_check(ctx, found, object);
	if (!err)
		*filesystem = found;
	return err;
}

int pmr_topology_resolve_realtime(struct pmr_ctx *ctx, struct pmr_topology *topology,
				  const struct pmr_filesystem *filesystem, const char *object,
				  struct pmr_filesystem **realtime)
{
	struct pmr_filesystem *found;
	int err;

	if (!filesystem->rtdev) {
		pmr_say(ctx, PMR_ERROR, "realtime-file", object,
			"has data on the realtime device of its XFS, which cannot be looked up: %s",
			filesystem->realtime
				? "what its mount options call rtdev is no block device here"
				: "it is mounted without one (rtdev=)");
		return -EOPNOTSUPP;
	}
	err = pmr_topology_resolve(ctx, topology, filesystem->rtdev, object, &found);
	if (err)
		return err;
	if (found->role != PMR_ROLE_REALTIME || found->of != filesystem->devno) {
		pmr_say(ctx, PMR_ERROR, "realtime-file", object,
			"has data on the realtime device of its XFS, and %s, which its mount options call that, is another's "
			"device",
			found->source);
		return -EOPNOTSUPP;
	}
	*realtime = found;
	return 0;
}

int pmr_topology_resolve_file(struct pmr_ctx *ctx, struct pmr_topology *topology, int fd,
			      dev_t devno, const char *object, struct pmr_filesystem **filesystem)
{
	struct pmr_filesystem *found;
	int err;

	err = pmr_topology_resolve(ctx, topology, devno, object, &found);
	if (err)
		return err;
	if (found->type && !strcmp(found->type, "xfs") && pmr_file_is_realtime(fd)) {
		err = pmr_topology_resolve_realtime(ctx, topology, found, object, &found);
		if (!err && !pmr_realtime_check(ctx, found, fd, object))
			err = -EOPNOTSUPP;
	}
	if (!err)
		*filesystem = found;
	return err;
}

int pmr_filesystem_badblocks(const struct pmr_filesystem *filesystem, struct pmr_ranges *bad)
{
	struct pmr_ranges made = { 0 };
	size_t i;
	int err;

	err = pmr_ranges_clip(&made, &filesystem->device->badblocks.ranges, filesystem->start,
			      filesystem->size);
	if (err) {
		pmr_ranges_release(&made);
		return err;
	}
	for (i = 0; i < made.n; i++)
		made.v[i].offset -= filesystem->start;
	pmr_ranges_release(bad);
	*bad = made;
	return 0;
}

int pmr_filesystem_to_device(const struct pmr_filesystem *filesystem, uint64_t offset,
			     uint64_t *device_offset)
{
	uint64_t sum;

	if (offset >= filesystem->size || __builtin_add_overflow(filesystem->start, offset, &sum))
		return -ERANGE;
	*device_offset = sum;
	return 0;
}
