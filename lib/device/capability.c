/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bus of a device, and what that can do with the device's region: what its scrubs and its clear command begin with. */

#include <errno.h>

#include <linux/ndctl.h>
#include <ndctl/libndctl.h>

#include "topology.h"

struct ndctl_bus *pmr_bus_of(const struct pmr_device *device)
{
	return device->own && device->own->ndns
		       ? ndctl_region_get_bus(ndctl_namespace_get_region(device->own->ndns))
		       : NULL;
}

int pmr_capability_ask(const struct pmr_device *device, struct ndctl_cmd **capability)
{
	const struct pmr_region *region = device->region;
	struct ndctl_bus *bus = pmr_bus_of(device);
	struct ndctl_cmd *cmd;
	int ret;

	if (!ndctl_bus_is_cmd_supported(bus, ND_CMD_ARS_CAP))
		return -EOPNOTSUPP;
	if (region->resource == PMR_NO_ADDRESS)
		return -EACCES;
	cmd = ndctl_bus_cmd_new_ars_cap(bus, region->resource, region->size);
	if (!cmd)
		return -ENOMEM;
	ret = ndctl_cmd_submit(cmd);
	if (ret < 0) {
		ndctl_cmd_unref(cmd);
		return ret;
	}
	*capability = cmd;
	return 0;
}
