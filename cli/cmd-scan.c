// SPDX-License-Identifier: GPL-2.0-or-later
/* pmem-recover scan: which bytes of which files are lost. */
#include "cli.h"
#include "zeroed.h"

int cmd_scan(struct cli *cli)
{
	int rc;

	/* for --read of a device-dax, which is refused where it cannot be had */
	pmr_nofault_init();
	rc = cli_scan(cli);
	if (!rc)
		rc = zeroed_scan(cli);
	return rc ? rc : cli_say_journals(cli, true, PMR_WARNING);
}
