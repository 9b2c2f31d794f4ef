/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Has a bus clear poison, by its own command: what a device-dax has in the place of a write over it. */

#include <errno.h>

#include <linux/ndctl.h>
#include <ndctl/libndctl.h>

#include "private.h"
#include "topology.h"

/* Where a bus does not say: the smallest that a list can tell. */
#define LEAST_UNIT PMR_SECTOR

static int ask(const struct pmr_device *device, struct ndctl_cmd **capability)
{
	return device->region->bus->can_clear ? pmr_capability_ask(device, capability)
					      : -EOPNOTSUPP;
}

int pmr_clear_unit(const struct pmr_device *device, uint64_t *unit)
{
	struct ndctl_cmd *capability;
	uint64_t told;
	int ret;

	ret = ask(device, &capability);
	if (ret)
		return ret;
	told = ndctl_cmd_ars_cap_get_clear_unit(capability);
	ndctl_cmd_unref(capability);
	if (told & (told - 1))
		return -EPROTO;
	*unit = told > LEAST_UNIT ? told : LEAST_UNIT;
	return 0;
}

int pmr_clear(const struct pmr_device *device, uint64_t address, uint64_t length, uint64_t *cleared)
{
	struct ndctl_cmd *capability, *cmd;
	int ret;

	*cleared = 0;
	ret = ask(device, &capability);
	if (ret)
		return ret;
	cmd = ndctl_bus_cmd_new_clear_error(address, length, capability);
	ret = cmd ? ndctl_cmd_submit(cmd) : -EINVAL;
	/* A command that failed may have cleared a part, and one that went well less than all. */
	if (cmd)
		*cleared = ndctl_cmd_clear_error_get_cleared(cmd);
	if (*cleared > length)
		*cleared = 0;
	if (ret >= 0)
		ret = *cleared == length ? 0 : -EIO;
	if (cmd)
		ndctl_cmd_unref(cmd);
	ndctl_cmd_unref(capability);
	return ret;
}
