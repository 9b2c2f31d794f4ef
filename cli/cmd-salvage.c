// SPDX-License-Identifier: GPL-2.0-or-later
/* pmem-recover salvage: copy what can be read of a file. */
#include <signal.h>
#include <string.h>

#include "cli.h"
#include "zeroed.h"

int cmd_salvage(struct cli *cli)
{
	const struct options *options = &cli->options;
	struct report *report = &cli->report;
	int rc;

	if (!options->output)
		return cli_usage(cli, "salvage", "needs --output=OUT");
	for (size_t i = 0; i < 2; i++) {
		const char *const names[] = { options->output, options->mapfile };

		if (names[i] && !strcmp(names[i], "-"))
			return cli_usage(
				cli, "-",
				"standard output is the report's: name a file (one of this name is ./-)");
	}
	report->map_path = options->args[0];
	report->salvage_options = (struct pmr_salvage_options){
		.output = options->output,
		.mapfile = options->mapfile,
		.fill = options->has_fill ? options->fill : -1,
		.force = options->force,
	};
	/* where it cannot be had, a device-dax is refused */
	pmr_nofault_init();
	/* a limit on the size of files is an error of writing the output, and no reason to die */
	signal(SIGXFSZ, SIG_IGN);
	rc = cli_load_badblocks(cli);
	if (rc)
		return rc;
	rc = cli_look(cli, PMR_TOPOLOGY_FILESYSTEMS);
	if (rc)
		return rc;
	rc = cli_step(cli, pmr_salvage_new(cli->ctx, report->topology, options->args[0], cli->file,
					   options->badblocks, &report->salvage_options,
					   &report->salvage));
	if (rc)
		return rc;
	report->scan = report->salvage->scan;
	report->salvage->scan = NULL;
	/* what can be read need not be its data */
	rc = zeroed_scan(cli);
	return rc ? rc : cli_say_journals(cli, true, PMR_WARNING);
}
