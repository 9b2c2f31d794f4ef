// SPDX-License-Identifier: GPL-2.0-or-later
/* pmem-recover locate: who owns bytes of a device, or a physical address. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli.h"

static int check_options(struct cli *cli)
{
	const struct options *options = &cli->options;

	if (options->has_address && options->n_args)
		return cli_usage(cli, options->args[0],
				 "--address stands in the place of DEVICE and OFFSET");
	if (!options->has_address && options->n_args < 2)
		return cli_usage(cli, "locate", "needs DEVICE and OFFSET, or --address=PHYSICAL");
	return 0;
}

/* @path: the device that the list is of, or a partition of it */
static int use_badblocks(struct cli *cli, const char *path)
{
	struct pmr_topology *topology = cli->report.topology;
	struct pmr_device *device = pmr_topology_find(topology, path);
	struct pmr_filesystem *filesystem;
	struct stat st;
	int rc;

	if (!device && (stat(path, &st) || !S_ISBLK(st.st_mode))) {
		cli_say(cli, PMR_ERROR, "no-device", path, "is no block device or namespace");
		return -ENODEV;
	}
	if (!device) {
		rc = cli_step(cli, pmr_topology_resolve(cli->ctx, topology, st.st_rdev, path,
							&filesystem));
		if (rc)
			return rc;
		device = filesystem->device;
	}
	return pmr_device_use_file(cli->ctx, device, cli->options.badblocks, cli->file);
}

static int locate_offset(struct cli *cli, uint64_t offset, uint64_t length)
{
	char *path = cli_device_path(cli, cli->options.args[0]);
	int rc = path ? 0 : -ENOMEM;

	if (!rc && cli->file)
		rc = use_badblocks(cli, path);
	if (!rc)
		rc = pmr_locate_new(cli->ctx, cli->report.topology, path, offset, length,
				    &cli->report.location);
	free(path);
	return rc;
}

static int locate_address(struct cli *cli)
{
	char *path;
	int rc = 0;

	if (cli->file) {
		path = cli_listed_path(cli);
		rc = path ? use_badblocks(cli, path) : -ENOMEM;
		free(path);
	}
	if (rc)
		return rc;
	return pmr_locate_address_new(cli->ctx, cli->report.topology, cli->options.address, 1,
				      &cli->report.location);
}

int cmd_locate(struct cli *cli)
{
	const struct options *options = &cli->options;
	uint64_t offset = 0;
	uint64_t length = 1;
	int rc;

	rc = check_options(cli);
	if (!rc && !options->has_address)
		rc = cli_parse_range(cli, options->args[1], &offset, &length);
	if (!rc)
		rc = cli_load_badblocks(cli);
	if (!rc && options->has_address && cli->file && !cli->file->device)
		rc = cli_usage(
			cli, options->badblocks,
			"with --address, the list has to name its device in a line '# device NAME'");
	if (!rc)
		rc = cli_look(cli, PMR_TOPOLOGY_FILESYSTEMS);
	if (rc)
		return rc;
	return options->has_address ? locate_address(cli) : locate_offset(cli, offset, length);
}
