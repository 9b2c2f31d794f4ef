/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is remembered of zeros, for the commands: read into the report, and said.
 */
#ifndef CLI_ZEROED_H
#define CLI_ZEROED_H

#include "cli.h"

/** zeroed_health() - read all of it into the report; looks at no file. Return: 0, -ENOMEM. */
int zeroed_health(struct cli *cli);

/** zeroed_scan() - read into the report what was zeroed of the scan's targets, and say it. Return: 0, -ENOMEM. */
int zeroed_scan(struct cli *cli);

/** zeroed_repair() - have a repair from a backup restore it too, and say what it cannot restore. Return: 0, -ENOMEM. */
int zeroed_repair(struct cli *cli);

/** zeroed_say() - say what the report has of it, once for each file */
void zeroed_say(struct cli *cli);

#endif
