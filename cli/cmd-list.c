// SPDX-License-Identifier: GPL-2.0-or-later
/* pmem-recover list: the whole topology. */
#include "cli.h"

int cmd_list(struct cli *cli)
{
	return cli_look(cli, PMR_TOPOLOGY_FILESYSTEMS | PMR_TOPOLOGY_DIMMS);
}
