// SPDX-License-Identifier: GPL-2.0-or-later
/* pmem-recover health: how many badblocks there are, from the lists alone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "zeroed.h"

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

/* ---- what is remembered */

#define MOST_NAMED 8

/* The @i-th id of both kinds. */
static const char *get_id(const struct cli *cli, size_t i)
{
	const struct pmr_vanished *vanished;
	const struct pmr_zeroed *zeroed;
	size_t n = pmr_memory_vanished(cli->report.memory, &vanished);

	if (i < n)
		return vanished[i].id;
	i -= n;
	return i < pmr_zeroes_get(cli->report.zeroes, &zeroed) ? zeroed[i].id : NULL;
}

static size_t count_ids(const struct cli *cli)
{
	size_t n = 0;

	while (get_id(cli, n))
		n++;
	return n;
}

/* Says which there are instead of the one that was named. */
static void say_no_such_id(struct cli *cli)
{
	size_t n = count_ids(cli), length = 0;
	char *names = NULL;
	FILE *out = open_memstream(&names, &length);

	for (size_t i = 0; out && i < n && i < MOST_NAMED; i++)
		fprintf(out, "%s%s", i ? ", " : "; there is ", get_id(cli, i));
	if (out && n > MOST_NAMED)
		fprintf(out, " and %zu more", n - MOST_NAMED);
	if (out && fclose(out)) {
		free(names);
		names = NULL;
	}
	cli_say(cli, PMR_ERROR, "not-vanished", cli->options.acknowledge,
		"no record by that name is remembered as vanished, and no bytes as zeroed%s",
		names ? names : "");
	free(names);
}

/* An id is of one kind, and a device may have both. */
static int acknowledge(struct cli *cli)
{
	const char *id = cli->options.acknowledge;
	struct report *report = &cli->report;
	size_t before = count_ids(cli);
	int rc, zeroes_rc;

	rc = pmr_memory_acknowledge(report->memory, id);
	zeroes_rc = pmr_zeroes_acknowledge(report->zeroes, report->topology, id);
	/* what one of them does not know, the other may */
	if (rc == -ENOENT)
		rc = zeroes_rc;
	else if (!rc && zeroes_rc != -ENOENT)
		rc = zeroes_rc;
	if (rc == -ENOENT)
		say_no_such_id(cli);
	else if (rc && rc != -ENOMEM)
		cli_say(cli, PMR_ERROR, "not-acknowledged", id, "cannot be noted: %s",
			strerror(-rc));
	if (!rc)
		cli_note(cli, "acknowledged", id,
			 "what was remembered by that name is forgotten: %zu in all",
			 before - count_ids(cli));
	return rc;
}

/* Once for each device; the report has each record. */
static void say_vanished(struct cli *cli)
{
	const struct pmr_vanished *vanished;
	size_t n = pmr_memory_vanished(cli->report.memory, &vanished), next;

	for (size_t i = 0; i < n; i = next) {
		const struct pmr_device *device = vanished[i].device;

		for (next = i + 1; next < n && vanished[next].device == device;)
			next++;
		cli_say(cli, PMR_WARNING, "records-vanished",
			device->path ? device->path : device->name,
			"%zu %s vanished from its list and no repair accounts for that: what lies there may be wrong; "
			"ask 'pmem-recover scan --badblocks=%s' for the files, compare them with a backup, then give "
			"--acknowledge=%s",
			next - i, next - i == 1 ? "record" : "records", vanished[i].list,
			device->name);
	}
}

static int remember(struct cli *cli)
{
	struct report *report = &cli->report;
	int rc;

	rc = cli_step(cli, pmr_memory_new(cli->ctx, report->topology, PMR_STATE_DIRECTORY,
					  &report->memory));
	if (!rc)
		rc = zeroed_health(cli);
	if (!rc && cli->options.acknowledge)
		rc = acknowledge(cli);
	if (!rc) {
		say_vanished(cli);
		zeroed_say(cli);
	}
	return rc;
}

int cmd_health(struct cli *cli)
{
	struct pmr_device *device = NULL;
	char *path;
	int rc;

	if (cli->options.acknowledge && cli->options.badblocks)
		return cli_usage(cli, "--acknowledge",
				 "means nothing with --badblocks: no list is remembered then");
	rc = cli_load_badblocks(cli);
	if (rc)
		return rc;
	if (cli->file && !cli->file->device)
		return cli_usage(
			cli, cli->options.badblocks,
			"health needs a list that names its device in a line '# device NAME'");
	rc = cli_look(cli, cli->file ? 0 : PMR_TOPOLOGY_DIMMS);
	if (!rc)
		rc = cli_say_journals(cli, false, PMR_WARNING);
	if (rc)
		return rc;
	if (!cli->file)
		return remember(cli);
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
