/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scrubs of a bus, as the kernel tells of them: it looks for poison itself, and lists what was found. */

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <ndctl/libndctl.h>

#include "private.h"
#include "topology.h"

static int get_scrubs(struct ndctl_bus *bus, struct pmr_scrubs *scrubs)
{
	unsigned int count;
	int state;

	/* in this order one that ends in between is counted, and is still taken to be at work */
	state = ndctl_bus_get_scrub_state(bus);
	count = state < 0 ? UINT_MAX : ndctl_bus_get_scrub_count(bus);
	if (count == UINT_MAX)
		return -EOPNOTSUPP;
	*scrubs = (struct pmr_scrubs){ .count = count, .is_running = state > 0 };
	return 0;
}

int pmr_device_scrubs(const struct pmr_device *device, struct pmr_scrubs *scrubs)
{
	struct ndctl_bus *bus = pmr_bus_of(device);

	return bus ? get_scrubs(bus, scrubs) : -EOPNOTSUPP;
}

int pmr_region_scrubs(const struct pmr_region *region, struct pmr_scrubs *scrubs)
{
	return region->own->ndregion
		       ? get_scrubs(ndctl_region_get_bus(region->own->ndregion), scrubs)
		       : -EOPNOTSUPP;
}

/* Seconds between two looks at a scrub, which also ends when the kernel tells of it. */
#define LOOK_SECONDS 1

static void say_not_started(struct pmr_ctx *ctx, const struct pmr_device *device, int error)
{
	const char *object = device->path ? device->path : device->name;

	if (error == -EOPNOTSUPP || error == -ENOENT || error == -ENOTTY)
		pmr_say(ctx, PMR_ERROR, "scrub-unsupported", object,
			"its bus (%s) takes no order to scrub: read the whole device instead (pmem-recover scan --read)",
			device->region->bus->provider);
	else if (error == -EACCES || error == -EPERM)
		pmr_say(ctx, PMR_ERROR, "scrub-refused", object,
			"a scrub of its bus cannot be started: only root may do that");
	else
		pmr_say(ctx, PMR_ERROR, "scrub-refused", object,
			"a scrub of its bus (%s) cannot be started: %s",
			device->region->bus->provider, strerror(-error));
}

static int start_scrub(struct pmr_ctx *ctx, const struct pmr_device *device)
{
	struct pmr_scrubs scrubs;
	int err;

	/* libndctl takes an attribute that is not there for one that may not be written */
	err = pmr_device_scrubs(device, &scrubs);
	if (!err)
		err = ndctl_bus_start_scrub(pmr_bus_of(device));
	if (err == -EBUSY)
		pmr_say(ctx, PMR_INFO, "scrub-running", device->region->bus->provider,
			"a scrub is running already, and is waited for");
	else if (err)
		say_not_started(ctx, device, err);
	return err == -EBUSY ? 0 : err;
}

static int wait_for_scrub(struct pmr_ctx *ctx, const struct pmr_device *device)
{
	struct pmr_scrubs scrubs = { .is_running = true };
	uint64_t seconds = 0;
	int err = 0;

	while (!err && !pmr_is_cancelled(ctx)) {
		pmr_tell_progress(ctx, "scrub", device->region->bus->provider, seconds, 0);
		/* what it says is of no use: a signal, a time that is over, or a scrub that is */
		ndctl_bus_poll_scrub_completion(pmr_bus_of(device), LOOK_SECONDS, LOOK_SECONDS);
		err = pmr_device_scrubs(device, &scrubs);
		if (!err && !scrubs.is_running)
			return 0;
		seconds += LOOK_SECONDS;
	}
	pmr_say(ctx, PMR_ERROR, "scrub-unfinished", device->path ? device->path : device->name,
		err ? "whether the scrub of its bus has ended cannot be known any more: scan again"
		    : "the scrub of its bus is not over: it goes on in the kernel, and what it is still to find is not in this "
		      "report; scan again when it has ended (ndctl wait-scrub)");
	return err ? err : -ECANCELED;
}

int pmr_device_scrub(struct pmr_ctx *ctx, const struct pmr_topology *topology,
		     const struct pmr_device *device)
{
	const struct pmr_bus *bus = device->region->bus;
	int err, refreshed = 0;

	err = start_scrub(ctx, device);
	if (err)
		return err;
	err = wait_for_scrub(ctx, device);
	for (size_t i = 0; i < topology->n_devices && !refreshed; i++)
		if (topology->devices[i]->region && topology->devices[i]->region->bus == bus)
			refreshed = pmr_device_refresh(ctx, topology->devices[i]);
	return err ? err : refreshed;
}
