// SPDX-License-Identifier: GPL-2.0-or-later
/* pmem-recover map: where a file, or a part of it, lies. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "text.h"

/* "OFFSET" or "OFFSET+LENGTH" */
static int parse_range(const char *text, uint64_t *offset, uint64_t *length)
{
	const char *end;
	int rc;

	*length = UINT64_MAX;
	rc = text_parse_size(text, &end, offset);
	if (rc || !*end)
		return rc;
	if (*end != '+')
		return -EINVAL;
	rc = text_parse_size(end + 1, &end, length);
	if (rc)
		return rc;
	return *end || *length == 0 ? -EINVAL : 0;
}

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
		rc = parse_range(cli->options.args[1], &offset, &length);
		if (rc == -ERANGE)
			return cli_usage(cli, cli->options.args[1], "the number is too large");
		if (rc)
			return cli_usage(cli, cli->options.args[1],
					 "not of the form OFFSET[+LENGTH]");
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
