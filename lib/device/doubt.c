/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in doubt of a device's lists since they were seen cut or full. */

#include "private.h"
#include "topology.h"

/* Whether its region's list tells anything of it. */
static bool needs_region(const struct pmr_device *device)
{
	return device->data_offset || !device->own->attribute;
}

void pmr_device_get_doubt(const struct pmr_device *device, struct pmr_list_doubt *doubt)
{
	const struct pmr_device_private *own = device->own;
	bool region = needs_region(device);

	*doubt = (struct pmr_list_doubt){
		.list = pmr_badblocks_is_short(own->doubt),
		.region = region && (pmr_badblocks_is_short(own->region_doubt) ||
				     pmr_badblocks_is_short(device->region->badblocks.reason)),
		.list_has_room = !own->latest,
		.has_room = !own->latest && (!region || !device->region->own->latest),
		.is_region = !own->attribute,
	};
}

bool pmr_device_was_full(const struct pmr_device *device)
{
	return !device->from_file && pmr_badblocks_is_short(device->badblocks.reason);
}

void pmr_device_set_doubt(struct pmr_ctx *ctx, struct pmr_device *device, bool list, bool region)
{
	struct pmr_device_private *own = device->own;
	enum pmr_trust before = device->badblocks.trust;
	enum pmr_trust metadata_before = device->metadata_badblocks.trust;

	/* who has read all of it need not ask its list */
	if (list && !own->doubt && !pmr_device_is_read(device))
		own->doubt = "was-full";
	if (region && needs_region(device) && !own->region_doubt)
		own->region_doubt = "was-full";
	pmr_badblocks_doubt(&device->badblocks, own->doubt);
	pmr_badblocks_doubt(&device->metadata_badblocks, own->region_doubt);
	if (device->badblocks.trust < before || device->metadata_badblocks.trust < metadata_before)
		pmr_badblocks_say(ctx, device);
}

int pmr_device_settle(struct pmr_ctx *ctx, struct pmr_device *device)
{
	struct pmr_device_private *own = device->own;

	if (pmr_badblocks_is_short(own->doubt))
		own->doubt = NULL;
	own->region_doubt = NULL;
	pmr_badblocks_release(&device->region->badblocks);
	/* it is read again, and nothing but that counts */
	return pmr_device_refresh(ctx, device);
}

/* ---- regions */

void pmr_region_get_doubt(const struct pmr_region *region, struct pmr_list_doubt *doubt)
{
	*doubt = (struct pmr_list_doubt){
		.list = pmr_badblocks_is_short(region->badblocks.reason),
		.list_has_room = !region->own->latest,
		.has_room = !region->own->latest,
	};
}

void pmr_region_set_doubt(struct pmr_ctx *ctx, struct pmr_region *region)
{
	enum pmr_trust before = region->badblocks.trust;

	region->own->was_full = true;
	pmr_badblocks_doubt(&region->badblocks, "was-full");
	if (region->badblocks.trust < before)
		pmr_region_say(ctx, region);
}

int pmr_region_settle(struct pmr_region *region)
{
	region->own->was_full = false;
	pmr_badblocks_release(&region->badblocks);
	return pmr_region_read(region);
}
