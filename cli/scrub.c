// SPDX-License-Identifier: GPL-2.0-or-later
/* Scrubs ahead of a scan. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli.h"

/* The device of a region that a target lies on, or NULL. */
static struct pmr_device *find_device(const struct cli *cli, const char *target)
{
	const struct pmr_topology *topology = cli->report.topology;
	struct pmr_device *device = pmr_topology_find(topology, target);
	struct stat st;
	dev_t devno;

	if (device)
		return device->region ? device : NULL;
	if (stat(target, &st))
		return NULL;
	devno = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	for (size_t i = 0; i < topology->n_filesystems; i++)
		if (topology->filesystems[i]->devno == devno)
			return topology->filesystems[i]->device->region
				       ? topology->filesystems[i]->device
				       : NULL;
	return NULL;
}

/* Each bus once, whatever lies on it. */
struct buses {
	const struct pmr_bus **v;
	size_t n;
};

static bool is_done(const struct buses *buses, const struct pmr_bus *bus)
{
	for (size_t i = 0; i < buses->n; i++)
		if (buses->v[i] == bus)
			return true;
	return false;
}

static int scrub_device(struct cli *cli, struct buses *buses, const struct pmr_device *device)
{
	int rc;

	if (is_done(buses, device->region->bus) || pmr_is_cancelled(cli->ctx))
		return 0;
	buses->v[buses->n++] = device->region->bus;
	rc = pmr_device_scrub(cli->ctx, cli->report.topology, device);
	/* the scan still says what the list has */
	if (rc)
		cli->report.failed = true;
	return rc == -ENOMEM ? rc : 0;
}

static int scrub_target(struct cli *cli, struct buses *buses, const char *target)
{
	const struct pmr_device *device = find_device(cli, target);
	struct stat st;

	if (device)
		return scrub_device(cli, buses, device);
	/* what is not there the scan will say */
	if (stat(target, &st))
		return 0;
	cli_say(cli, PMR_ERROR, "scrub-unsupported", target,
		"lies on no persistent memory whose bus could scrub it: read it instead (pmem-recover scan --read)");
	cli->report.failed = true;
	return 0;
}

int cli_scrub(struct cli *cli)
{
	const struct pmr_topology *topology = cli->report.topology;
	const struct options *options = &cli->options;
	struct buses buses = { 0 };
	int rc = 0;

	buses.v = calloc(topology->n_buses + 1, sizeof(*buses.v));
	if (!buses.v)
		return -ENOMEM;
	for (size_t i = 0; i < options->n_args && !rc; i++)
		rc = scrub_target(cli, &buses, options->args[i]);
	for (size_t i = 0; i < topology->n_devices && !options->n_args && !rc; i++)
		if (topology->devices[i]->region && topology->devices[i]->enabled)
			rc = scrub_device(cli, &buses, topology->devices[i]);
	free(buses.v);
	return rc ? rc : cli_step(cli, pmr_doubts_update(cli->report.doubts));
}
