// SPDX-License-Identifier: GPL-2.0-or-later
/* Scrubs ahead of a scan. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli.h"

/* The device that a target lies on, or NULL. */
static const struct pmr_device *find_device(const struct cli *cli, const char *target)
{
	const struct pmr_topology *topology = cli->report.topology;
	const struct pmr_device *device = pmr_topology_find(topology, target);
	struct stat st;
	dev_t devno;

	if (device || stat(target, &st))
		return device;
	devno = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	for (size_t i = 0; i < topology->n_filesystems; i++)
		if (topology->filesystems[i]->devno == devno)
			return topology->filesystems[i]->device;
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

/* @any: set where there is something that a bus could scrub; of a volume all that is below it */
static int scrub_below(struct cli *cli, struct buses *buses, const struct pmr_device *device,
		       bool *any)
{
	int rc = 0;

	if (device->region) {
		*any = true;
		return scrub_device(cli, buses, device);
	}
	for (size_t i = 0; i < device->n_lowers && !rc; i++)
		rc = scrub_below(cli, buses, device->lowers[i], any);
	return rc;
}

static int scrub_target(struct cli *cli, struct buses *buses, const char *target)
{
	const struct pmr_device *device = find_device(cli, target);
	bool any = false;
	struct stat st;
	int rc = 0;

	if (device)
		rc = scrub_below(cli, buses, device, &any);
	/* what is not there the scan will say */
	if (any || (!device && stat(target, &st)))
		return rc;
	cli_say(cli, PMR_ERROR, "scrub-unsupported", target,
		"lies on no persistent memory whose bus could scrub it: read it instead (pmem-recover scan --read)");
	cli->report.failed = true;
	return rc;
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
