/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scrubs of a bus, as the kernel tells of them: it looks for poison itself, and lists what was found. */

#include <errno.h>
#include <limits.h>

#include <ndctl/libndctl.h>

#include "private.h"
#include "topology.h"

static struct ndctl_bus *bus_of(const struct pmr_device *device)
{
	return device->own && device->own->ndns
		       ? ndctl_region_get_bus(ndctl_namespace_get_region(device->own->ndns))
		       : NULL;
}

int pmr_device_scrubs(const struct pmr_device *device, struct pmr_scrubs *scrubs)
{
	struct ndctl_bus *bus = bus_of(device);
	unsigned int count;
	int state;

	if (!bus)
		return -EOPNOTSUPP;
	/* in this order one that ends in between is counted, and is still taken to be at work */
	state = ndctl_bus_get_scrub_state(bus);
	count = state < 0 ? UINT_MAX : ndctl_bus_get_scrub_count(bus);
	if (count == UINT_MAX)
		return -EOPNOTSUPP;
	*scrubs = (struct pmr_scrubs){ .count = count, .is_running = state > 0 };
	return 0;
}
