// SPDX-License-Identifier: GPL-2.0-or-later
/* pmem-recover scan: which bytes of which files are lost. */
#include "cli.h"

int cmd_scan(struct cli *cli)
{
	return cli_scan(cli);
}
