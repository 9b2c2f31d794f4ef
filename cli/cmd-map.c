// SPDX-License-Identifier: GPL-2.0-or-later
/* pmem-recover map: where a file, or a part of it, lies. */
#include <sys/stat.h>

#include "cli.h"

static int use_badblocks(struct cli *cli, const char *path)
{
	struct pmr_filesystem *filesystem;
	struct stat st;
	int rc;

	if (!cli->file)
		return 0;
	/* what is wrong with the file itself is said where it is mapped */
	if (stat(path, &st))
		return 0;
	rc = cli_step(cli, pmr_topology_resolve(cli->ctx, cli->report.topology, st.st_dev, path,
						&filesystem));
	if (rc)
		return rc;
	return pmr_device_use_file(cli->ctx, filesystem->device, cli->options.badblocks, cli->file);
}

int cmd_map(struct cli *cli)
{
	struct report *report = &cli->report;
	const char *path = cli->options.args[0];
	uint64_t length = UINT64_MAX;
	uint64_t offset = 0;
	int rc;

	if (cli->options.n_args == 2) {
		rc = cli_parse_range(cli, cli->options.args[1], &offset, &length);
		if (rc)
			return rc;
	}
	report->map_path = path;
	rc = cli_load_badblocks(cli);
	if (rc)
		return rc;
	rc = cli_look(cli, PMR_TOPOLOGY_FILESYSTEMS);
	if (rc)
		return rc;
	rc = use_badblocks(cli, path);
	if (rc)
		return rc;
	return pmr_map_new(cli->ctx, report->topology, path, offset, length, &report->map);
}
