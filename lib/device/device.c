/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Buses, regions and namespaces, as libndctl and libdaxctl have them. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>

#include <daxctl/libdaxctl.h>
#include <linux/magic.h>
#include <linux/ndctl.h>
#include <ndctl/libndctl.h>

#include "private.h"
#include "topology.h"

/* ---- namespaces */

struct finder {
	struct pmr_ctx *ctx;
	struct pmr_topology *topology;
};

/* What holds a namespace decides how it is used; at most one is set. */
struct claim {
	struct ndctl_btt *btt;
	struct ndctl_pfn *pfn;
	struct ndctl_dax *dax;
};

/*
 * libndctl looks for a namespace's BTT, then its pfn and its dax device, among all of the region's, and looks
 * modules up for each: it is asked for the one kind that sysfs names alone, or for none.
 */
static int get_claim(struct ndctl_namespace *ndns, struct claim *claim)
{
	char *path, *holder = NULL;
	size_t length;
	int err;

	if (asprintf(&path, "/sys/bus/nd/devices/%s/holder", ndctl_namespace_get_devname(ndns)) < 0)
		return -ENOMEM;
	err = pmr_read_text(path, 4096, &holder, &length);
	free(path);
	if (err == -ENOMEM)
		return err;
	if (err || strncmp(holder, "btt", 3) == 0)
		claim->btt = ndctl_namespace_get_btt(ndns);
	if (err || strncmp(holder, "pfn", 3) == 0)
		claim->pfn = ndctl_namespace_get_pfn(ndns);
	if (err || strncmp(holder, "dax", 3) == 0)
		claim->dax = ndctl_namespace_get_dax(ndns);
	free(holder);
	return 0;
}

static bool is_active(struct ndctl_namespace *ndns, const struct claim *claim)
{
	if (claim->btt)
		return ndctl_btt_is_enabled(claim->btt);
	if (claim->pfn)
		return ndctl_pfn_is_enabled(claim->pfn);
	if (claim->dax)
		return ndctl_dax_is_enabled(claim->dax);
	return ndctl_namespace_is_enabled(ndns) == 1;
}

static enum pmr_mode to_mode(enum ndctl_namespace_mode mode)
{
	switch (mode) {
	case NDCTL_NS_MODE_FSDAX:
		return PMR_MODE_FSDAX;
	case NDCTL_NS_MODE_SECTOR:
		return PMR_MODE_SECTOR;
	case NDCTL_NS_MODE_RAW:
		return PMR_MODE_RAW;
	case NDCTL_NS_MODE_DEVDAX:
		return PMR_MODE_DEVDAX;
	default:
		return PMR_MODE_UNKNOWN;
	}
}

/* The UUID that ndctl shows: of the holder, where there is one. */
static int get_uuid(struct ndctl_namespace *ndns, const struct claim *claim, char **text)
{
	static const unsigned char none[16];
	uuid_t u = { 0 };

	if (claim->btt)
		ndctl_btt_get_uuid(claim->btt, u);
	else if (claim->pfn)
		ndctl_pfn_get_uuid(claim->pfn, u);
	else if (claim->dax)
		ndctl_dax_get_uuid(claim->dax, u);
	else
		ndctl_namespace_get_uuid(ndns, u);
	if (memcmp(u, none, sizeof(none)) == 0)
		return 0;
	if (asprintf(text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		     u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11],
		     u[12], u[13], u[14], u[15]) < 0) {
		*text = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int use_block_device(struct pmr_device *device, const char *name)
{
	struct pmr_block block = { 0 };
	int err;

	err = pmr_block_get(pmr_block_devno(name), &block);
	/* It went away since libndctl looked: as good as disabled. */
	if (err)
		return err == -ENOMEM ? err : 0;
	device->enabled = true;
	device->devno = block.devno;
	device->size = block.size;
	device->logical_block = block.logical_block;
	device->read_only |= block.read_only;
	device->name = strdup(name);
	device->path = pmr_block_path(name);
	if (!device->name || !device->path)
		err = -ENOMEM;
	pmr_block_release(&block);
	return err;
}

static int use_dax_device(struct pmr_device *device, struct ndctl_dax *dax)
{
	struct daxctl_region *region = ndctl_dax_get_daxctl_region(dax);
	struct daxctl_dev *dev = region ? daxctl_dev_get_first(region) : NULL;
	int err;

	/* One device spans a namespace; only volatile memory can be cut into several. */
	if (!dev)
		return 0;
	device->name = strdup(daxctl_dev_get_devname(dev));
	device->path = pmr_block_path(daxctl_dev_get_devname(dev));
	if (!device->name || !device->path)
		return -ENOMEM;
	err = pmr_dax_find(device);
	if (err) {
		/* It went away since libdaxctl looked: as good as disabled. */
		free(device->name);
		free(device->path);
		device->name = device->path = NULL;
		return err == -ENOMEM ? err : 0;
	}
	/* kernels before 5.10 have it of the region alone */
	if (!device->own->dax.align)
		device->own->dax.align = daxctl_region_get_align(region);
	device->enabled = true;
	device->size = device->own->dax.size;
	return 0;
}

static int use_device(struct pmr_device *device, const struct claim *claim)
{
	struct ndctl_namespace *ndns = device->own->ndns;
	const char *block;

	if (!is_active(ndns, claim))
		return 0;
	if (claim->dax)
		return use_dax_device(device, claim->dax);
	if (claim->btt)
		block = ndctl_btt_get_block_device(claim->btt);
	else if (claim->pfn)
		block = ndctl_pfn_get_block_device(claim->pfn);
	else
		block = ndctl_namespace_get_block_device(ndns);
	return block && *block ? use_block_device(device, block) : 0;
}

/* What is not told counts as in the namespace: then its loss means more. */
static enum pmr_page_map get_page_map(const struct claim *claim)
{
	if (claim->pfn)
		return ndctl_pfn_get_location(claim->pfn) == NDCTL_PFN_LOC_RAM ? PMR_PAGE_MAP_MEM
									       : PMR_PAGE_MAP_DEV;
	if (claim->dax)
		return ndctl_dax_get_location(claim->dax) == NDCTL_PFN_LOC_RAM ? PMR_PAGE_MAP_MEM
									       : PMR_PAGE_MAP_DEV;
	return PMR_PAGE_MAP_NONE;
}

static void layout_device(struct finder *finder, struct ndctl_region *ndregion,
			  const struct claim *claim, struct pmr_device *device)
{
	struct pmr_layout layout = {
		.region_resource = device->region->resource,
		.region_size = ndctl_region_get_size(ndregion),
		.ns_resource = ndctl_namespace_get_resource(device->own->ndns),
		.ns_size = device->ns_size,
		.data_resource = PMR_NO_ADDRESS,
	};

	if (device->enabled) {
		const struct pmr_devdax *dax = &device->own->dax;
		size_t i;

		layout.is_mapped = claim->btt;
		layout.has_info = claim->pfn || claim->dax;
		if (claim->pfn)
			layout.data_resource = ndctl_pfn_get_resource(claim->pfn);
		else if (claim->dax && !dax->has_ranges)
			layout.data_resource = ndctl_dax_get_resource(claim->dax);
		/* what can be mapped, whatever the namespace says of itself; PMR_NO_ADDRESS where there is none */
		for (i = 0; i < dax->n; i++) {
			if (dax->ranges[i].address < layout.data_resource)
				layout.data_resource = dax->ranges[i].address;
		}
		device->page_map = get_page_map(claim);
	}
	pmr_layout_device(&layout, device, &device->own->ns_offset);
	if (layout.is_mapped)
		pmr_btt_init(&device->own->btt, device->ns_size,
			     ndctl_btt_get_sector_size(claim->btt), device->size);

	if (layout.ns_resource == PMR_NO_ADDRESS && !finder->topology->own->told_addresses) {
		finder->topology->own->told_addresses = true;
		pmr_say(finder->ctx, PMR_INFO, "permission", device->ns_name,
			"physical addresses are not shown: only root (or CAP_DAC_READ_SEARCH) may read them");
	}
}

static enum pmr_mode get_mode(const struct pmr_device *device)
{
	struct ndctl_namespace *ndns = device->own->ndns;
	enum pmr_mode mode;

	if (device->enabled)
		return to_mode(ndctl_namespace_get_mode(ndns));
	/* Nothing holds it, so the kernel's word speaks of a use it may not have: only its label tells. */
	mode = to_mode(ndctl_namespace_get_enforce_mode(ndns));
	return mode == PMR_MODE_RAW ? PMR_MODE_UNKNOWN : mode;
}

static int fill_device(struct finder *finder, struct ndctl_namespace *ndns,
		       struct pmr_device *device)
{
	struct claim claim = { 0 };
	struct pmr_device_private *own = device->own;
	int err;

	own->ndns = ndns;
	device->read_only = device->region->read_only;
	device->ns_size = ndctl_namespace_get_size(ndns);
	device->ns_name = strdup(ndctl_namespace_get_devname(ndns));
	if (!device->ns_name)
		return -ENOMEM;
	err = get_claim(ndns, &claim);
	if (!err)
		err = get_uuid(ndns, &claim, &device->ns_uuid);
	if (!err)
		err = use_device(device, &claim);
	if (err)
		return err;
	if (!device->name)
		device->name = strdup(device->ns_name);
	if (!device->name)
		return -ENOMEM;
	device->mode = get_mode(device);
	if (device->devno && !claim.btt &&
	    asprintf(&own->attribute, "/sys/block/%s/badblocks", device->name) < 0) {
		own->attribute = NULL;
		return -ENOMEM;
	}
	layout_device(finder, ndctl_namespace_get_region(ndns), &claim, device);
	return pmr_device_read_lists(device);
}

static int add_namespace(struct finder *finder, struct ndctl_namespace *ndns,
			 struct pmr_region *region)
{
	struct pmr_device *device;
	int err;

	/* Every region keeps an empty one ready to be configured. */
	if (!ndctl_namespace_get_size(ndns))
		return 0;
	device = calloc(1, sizeof(*device));
	if (!device)
		return -ENOMEM;
	device->region = region;
	device->own = calloc(1, sizeof(*device->own));
	err = device->own ? 0 : -ENOMEM;
	if (!err) {
		device->own->error = region->own->error;
		err = fill_device(finder, ndns, device);
	}
	if (!err)
		err = pmr_topology_add_device(finder->topology, device);
	if (err)
		pmr_device_free(device);
	else
		pmr_badblocks_say(finder->ctx, device);
	return err;
}

/* ---- regions and buses */

static int add_region(struct finder *finder, struct ndctl_region *ndregion, struct pmr_bus *bus)
{
	struct pmr_topology *topology = finder->topology;
	struct ndctl_namespace *ndns;
	struct pmr_region *region;
	int err;

	if (ndctl_region_get_type(ndregion) != ND_DEVICE_REGION_PMEM)
		return 0;
	err = pmr_grow(&topology->regions, topology->n_regions, &topology->own->alloc_regions,
		       sizeof(*topology->regions));
	if (err)
		return err;
	region = calloc(1, sizeof(*region));
	if (!region)
		return -ENOMEM;
	topology->regions[topology->n_regions++] = region;
	region->own = calloc(1, sizeof(*region->own));
	if (!region->own)
		return -ENOMEM;
	region->own->ndregion = ndregion;
	region->bus = bus;
	region->size = ndctl_region_get_size(ndregion);
	region->resource = ndctl_region_get_resource(ndregion);
	region->read_only = ndctl_region_get_ro(ndregion) == 1;
	region->type = ndctl_region_get_type_name(ndregion);
	region->n_mappings = ndctl_region_get_mappings(ndregion);
	region->name = strdup(ndctl_region_get_devname(ndregion));
	if (!region->name)
		return -ENOMEM;
	err = pmr_region_read(region);
	if (err)
		return err;
	for (ndns = ndctl_namespace_get_first(ndregion); ndns;
	     ndns = ndctl_namespace_get_next(ndns)) {
		err = add_namespace(finder, ndns, region);
		if (err)
			return err;
	}
	return 0;
}

static int add_bus(struct finder *finder, struct ndctl_bus *ndbus)
{
	struct pmr_topology *topology = finder->topology;
	struct ndctl_region *ndregion;
	struct pmr_bus *bus;
	int err;

	err = pmr_grow(&topology->buses, topology->n_buses, &topology->own->alloc_buses,
		       sizeof(*topology->buses));
	if (err)
		return err;
	bus = calloc(1, sizeof(*bus));
	if (!bus)
		return -ENOMEM;
	topology->buses[topology->n_buses++] = bus;
	bus->scrubs = PMR_NO_COUNT;
	bus->can_scrub = ndctl_bus_is_cmd_supported(ndbus, ND_CMD_ARS_START);
	bus->can_clear = ndctl_bus_is_cmd_supported(ndbus, ND_CMD_CLEAR_ERROR);
	bus->name = strdup(ndctl_bus_get_devname(ndbus));
	bus->provider = strdup(ndctl_bus_get_provider(ndbus));
	if (!bus->name || !bus->provider)
		return -ENOMEM;
	for (ndregion = ndctl_region_get_first(ndbus); ndregion;
	     ndregion = ndctl_region_get_next(ndregion)) {
		err = add_region(finder, ndregion, bus);
		if (err)
			return err;
	}
	return 0;
}

/* libndctl and libdaxctl print to standard error unless told otherwise; what matters of it shows in the lists. */
static void ignore_ndctl_log(struct ndctl_ctx *ndctl, int priority, const char *file, int line,
			     const char *fn, const char *format, va_list args)
{
	(void)ndctl, (void)priority, (void)file, (void)line, (void)fn, (void)format, (void)args;
}

static void ignore_daxctl_log(struct daxctl_ctx *daxctl, int priority, const char *file, int line,
			      const char *fn, const char *format, va_list args)
{
	(void)daxctl, (void)priority, (void)file, (void)line, (void)fn, (void)format, (void)args;
}

int pmr_sysfs_check(struct pmr_ctx *ctx, const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs) == 0 && fs.f_type == SYSFS_MAGIC)
		return 0;
	pmr_say(ctx, PMR_ERROR, "no-sysfs", path,
		"has no sysfs mounted, and without it nothing can be known of persistent memory");
	return -ENOENT;
}

int pmr_devices_find(struct pmr_ctx *ctx, struct pmr_topology *topology)
{
	struct finder finder = { .ctx = ctx, .topology = topology };
	struct ndctl_bus *ndbus;
	int err;

	err = pmr_sysfs_check(ctx, "/sys");
	if (err)
		return err;
	err = ndctl_new(&topology->own->ndctl);
	if (err)
		return err;
	ndctl_set_log_fn(topology->own->ndctl, ignore_ndctl_log);
	daxctl_set_log_fn(ndctl_get_daxctl_ctx(topology->own->ndctl), ignore_daxctl_log);
	for (ndbus = ndctl_bus_get_first(topology->own->ndctl); ndbus;
	     ndbus = ndctl_bus_get_next(ndbus)) {
		err = add_bus(&finder, ndbus);
		if (err)
			return err;
	}
	return 0;
}

void pmr_devices_forget(struct pmr_topology *topology)
{
	if (topology->own->ndctl)
		ndctl_unref(topology->own->ndctl);
	topology->own->ndctl = NULL;
}
