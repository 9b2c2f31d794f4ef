/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options by number, between the popt tables (options.c) and what their values mean (option-values.c).
 */
#ifndef CLI_OPTION_VALUES_H
#define CLI_OPTION_VALUES_H

#include "options.h"

enum option {
	OPT_HUMAN = 1,
	OPT_FORMAT,
	OPT_QUIET,
	OPT_VERBOSE,
	OPT_HELP,
	OPT_LIST_OPTS,
	OPT_BADBLOCKS,
	OPT_FROM_BACKUP,
	OPT_ZERO_FILL,
	OPT_BACKUP_ROOT,
	OPT_VERIFY_BACKUP,
	OPT_FORCE,
	OPT_ACCEPT_OFFLINED,
	OPT_TRUST_BADBLOCKS,
	OPT_JOURNAL,
	OPT_YES,
	OPT_DRY_RUN,
	OPT_METHOD,
	OPT_RECOVERY_FLAG,
	OPT_RANGES,
	OPT_OUTPUT,
	OPT_MAPFILE,
	OPT_FILL,
	OPT_ADDRESS,
	OPT_ACKNOWLEDGE,
	OPT_ONLINE,
	OPT_RESUME,
	OPT_KEEP,
	OPT_ALL,
	OPT_SET_ASIDE,
	OPT_EXPORT,
	OPT_THREADS,
	OPT_LOOKUP,
	OPT_READ,
	OPT_READ_RATE,
	OPT_SCRUB,
};

/**
 * options_set() - take one option
 * @name: "pmem-recover VERB", for what is said
 * @value: its value, ours to keep or to free; NULL where it has none
 *
 * Return: 0; -EINVAL, and what is wrong was said; -ENOMEM.
 */
int options_set(const char *name, struct options *options, int option, char *value);

/** options_complain() - say on stderr what is wrong with an option or its value, and where help is */
void options_complain(const char *name, const char *object, const char *text);

#endif
