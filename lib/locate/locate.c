/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who owns bytes of a device or of physical memory: what map tells, the other way round. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "locate.h"
#include "device/topology.h"

/* ---- what was named */

/* Files and directories are targets of a scan, and have no offsets of this kind. */
static int refuse_files(struct pmr_ctx *ctx, const char *name)
{
	struct stat st;

	if (stat(name, &st) || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return 0;
	pmr_say(ctx, PMR_ERROR, "not-a-device", name,
		"is no block device or namespace: where a file lies, map tells");
	return -ENOTBLK;
}

/* @part: the device, or the part of it that offsets count in. */
static int find_device(struct pmr_locator *l, const char *name, struct pmr_device **device,
		       struct pmr_range *part)
{
	struct pmr_scanner *scanner = &l->scanner;
	const struct pmr_filesystem *filesystem;
	int ret;

	*device = strchr(name, '/') ? NULL : pmr_topology_find(l->topology, name);
	if (!*device) {
		ret = refuse_files(l->ctx, name);
		if (!ret)
			ret = pmr_targets_find(scanner, &name, 1);
		if (ret)
			return ret;
		/* Why it is none was said. */
		if (!scanner->n_targets)
			return -ENODEV;
		*device = scanner->targets[0].device;
		filesystem = scanner->targets[0].filesystem;
		if (filesystem) {
			*part = (struct pmr_range){ filesystem->start, filesystem->size };
			return 0;
		}
	}
	*part = (struct pmr_range){ 0, (*device)->enabled ? (*device)->size : (*device)->ns_size };
	return 0;
}

static bool is_inside(uint64_t size, uint64_t offset, uint64_t length)
{
	return offset < size && length <= size - offset;
}

static int find_region(struct pmr_locator *l, uint64_t address, uint64_t length,
		       struct pmr_region **region)
{
	bool is_hidden = false;
	char object[32];
	size_t i;

	for (i = 0; i < l->topology->n_regions; i++) {
		struct pmr_region *r = l->topology->regions[i];

		if (r->resource == PMR_NO_ADDRESS) {
			is_hidden = true;
		} else if (address >= r->resource &&
			   is_inside(r->size, address - r->resource, length)) {
			*region = r;
			return 0;
		}
	}
	snprintf(object, sizeof(object), "0x%" PRIx64, address);
	if (is_hidden) {
		pmr_say(l->ctx, PMR_ERROR, "permission", object,
			"cannot be looked up: only root (or CAP_DAC_READ_SEARCH) may read at which addresses regions begin");
		return -EACCES;
	}
	pmr_say(l->ctx, PMR_ERROR, "no-such-address", object,
		"is in no region of persistent memory: it is ordinary memory or a device's, see /proc/iomem; of a page's "
		"number, the address is the number with 000 appended");
	return -ERANGE;
}

/* ---- pieces */

/* Pieces that have no device to ask, and why. */
static void say_unasked(struct pmr_locator *l, const struct pmr_place *piece)
{
	const struct pmr_device *device = piece->device;
	const char *object = device->path ? device->path : device->name;

	l->complete = false;
	if (!device->enabled)
		pmr_say(l->ctx, PMR_ERROR, "namespace-disabled", object,
			"is disabled, so that nobody can be asked whose these bytes are: enable it (ndctl "
			"enable-namespace) and ask again");
	else if (device->mode == PMR_MODE_SECTOR)
		pmr_say(l->ctx, PMR_ERROR, "sector-namespace", object,
			"is in sector mode (BTT): its blocks have no fixed place, and which of them lies there is known to "
			"its driver alone; if it is bad, scan --read tells whether anything is lost");
	else
		pmr_say(l->ctx, PMR_ERROR, "namespace-unknown", object,
			"does not tell where its data begins, so that this may be data or its info block");
}

/* Leaves the owners in l->places. */
static int ask_pieces(struct pmr_locator *l, const struct pmr_places *pieces)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < pieces->n && !ret; i++) {
		const struct pmr_place *piece = &pieces->v[i];

		if (piece->owner == PMR_OWNER_UNKNOWN && piece->base == PMR_BASE_DEVICE) {
			ret = pmr_whose(l, piece);
			continue;
		}
		if (piece->owner == PMR_OWNER_UNKNOWN)
			say_unasked(l, piece);
		ret = pmr_places_add(&l->places, piece);
	}
	return ret;
}

static int make_location(struct pmr_locator *l, struct pmr_region *region,
			 struct pmr_location **location)
{
	struct pmr_location *made = calloc(1, sizeof(*made));
	size_t i;

	if (!made)
		return -ENOMEM;
	for (i = 0; i < l->places.n; i++)
		l->places.v[i].bad_bytes = pmr_place_bad(&l->places.v[i], region);
	made->region = region;
	made->places = l->places.v;
	made->n_places = l->places.n;
	made->complete = l->complete;
	made->own = l->scanner.scan;
	l->places = (struct pmr_places){ 0 };
	l->scanner.scan = NULL;
	*location = made;
	return 0;
}

static int start(struct pmr_locator *l)
{
	l->complete = true;
	l->scanner.ctx = l->ctx;
	l->scanner.is_locating = true;
	l->scanner.scan = calloc(1, sizeof(*l->scanner.scan));
	if (!l->scanner.scan)
		return -ENOMEM;
	l->scanner.scan->topology = l->topology;
	l->scanner.scan->complete = true;
	return 0;
}

/* Return: @ret, or what went wrong since. */
static int finish(struct pmr_locator *l, int ret, const struct pmr_places *pieces,
		  struct pmr_region *region, struct pmr_location **location)
{
	if (!ret)
		ret = ask_pieces(l, pieces);
	if (!ret && pmr_scanner_interrupted(&l->scanner))
		l->complete = false;
	if (!ret)
		ret = make_location(l, region, location);
	free(pieces->v);
	free(l->places.v);
	pmr_scanner_release(&l->scanner);
	pmr_scan_free(l->scanner.scan);
	return ret;
}

int pmr_locate_new(struct pmr_ctx *ctx, struct pmr_topology *topology, const char *device,
		   uint64_t offset, uint64_t length, struct pmr_location **location)
{
	struct pmr_locator l = { .ctx = ctx, .topology = topology };
	struct pmr_places pieces = { 0 };
	struct pmr_device *found = NULL;
	struct pmr_range part;
	int ret;

	ret = start(&l);
	if (ret)
		return ret;
	ret = find_device(&l, device, &found, &part);
	if (!ret && !is_inside(part.length, offset, length)) {
		pmr_say(ctx, PMR_ERROR, "past-end", device,
			"ends after %" PRIu64 " bytes, and not all of %" PRIu64 "+%" PRIu64
			" lies before that",
			part.length, offset, length);
		ret = -ERANGE;
	}
	if (!ret)
		ret = pmr_places_of_device(found, part.offset + offset, length, &pieces);
	return finish(&l, ret, &pieces, found ? found->region : NULL, location);
}

int pmr_locate_address_new(struct pmr_ctx *ctx, struct pmr_topology *topology, uint64_t address,
			   uint64_t length, struct pmr_location **location)
{
	struct pmr_locator l = { .ctx = ctx, .topology = topology };
	struct pmr_places pieces = { 0 };
	struct pmr_region *region = NULL;
	bool certain = true;
	int ret;

	ret = start(&l);
	if (ret)
		return ret;
	ret = find_region(&l, address, length, &region);
	if (!ret)
		ret = pmr_places_of_region(topology, region, address - region->resource, length,
					   &pieces, &certain);
	if (!ret && !certain) {
		l.complete = false;
		pmr_say(ctx, PMR_ERROR, "permission", region->name,
			"does not tell where all of its namespaces begin: root (or CAP_DAC_READ_SEARCH) is needed");
	}
	return finish(&l, ret, &pieces, region, location);
}

void pmr_location_free(struct pmr_location *location)
{
	if (!location)
		return;
	pmr_scan_free(location->own);
	free(location->places);
	free(location);
}
