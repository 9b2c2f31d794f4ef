// SPDX-License-Identifier: GPL-2.0-or-later
/* pmem-recover health: how many badblocks there are, from the lists alone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

/* The device that a --badblocks file names, PMEM or not. */
static int find_device(struct cli *cli, const char *name, struct pmr_device **device)
{
	struct pmr_topology *topology = cli->report.topology;
	struct pmr_filesystem *filesystem;
	struct stat st;
	int rc;

	*device = pmr_topology_find(topology, name);
	if (*device)
		return 0;
	if (stat(name, &st)) {
		rc = -errno;
		cli_say(cli, PMR_ERROR, "no-device", name,
			"the device that the list is of cannot be found: %s", strerror(-rc));
		return rc;
	}
	if (!S_ISBLK(st.st_mode)) {
		cli_say(cli, PMR_ERROR, "not-a-device", name,
			"the list is said to be of it, but it is no block device");
		return -ENOTBLK;
	}
	rc = pmr_topology_resolve(cli->ctx, topology, st.st_rdev, name, &filesystem);
	if (!rc)
		*device = filesystem->device;
	return rc;
}

int cmd_health(struct cli *cli)
{
	struct pmr_device *device = NULL;
	char *path;
	int rc;

	rc = cli_load_badblocks(cli);
	if (rc)
		return rc;
	if (cli->file && !cli->file->device)
		return cli_usage(
			cli, cli->options.badblocks,
			"health needs a list that names its device in a line '# device NAME'");
	rc = cli_look(cli, 0);
	if (rc || !cli->file)
		return rc;
	path = cli_listed_path(cli);
	rc = path ? find_device(cli, path, &device) : -ENOMEM;
	free(path);
	if (rc)
		return rc;
	rc = pmr_device_use_file(cli->ctx, device, cli->options.badblocks, cli->file);
	if (!rc)
		cli->report.only = device;
	return rc;
}
