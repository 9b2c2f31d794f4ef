/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rooms of a search for what has the bad bytes of a filesystem, behind pmr_find():
 *
 *   find.c    the order: the filesystem is asked, names are found, live files confirm, what moved is asked again
 *   named.c   the inodes that the filesystem told of: names for them, and the live files
 *   files.c   every file asked for its extents, by several threads, for what the filesystem did not tell
 *   opened.c  files that have no name and are open
 */
#ifndef PMR_FIND_H
#define PMR_FIND_H

#include <pthread.h>

#include "owner/owner.h"
#include "scan.h"

/**
 * struct pmr_finding - a search
 * @root: the directory that was asked about
 * @lock: shared by who reads the view's sieve, alone for who looks at a file
 */
struct pmr_finding {
	struct pmr_scanner *scanner;
	struct pmr_view *view;
	const struct pmr_root *root;
	bool is_whole;
	pthread_rwlock_t lock;
};

/**
 * pmr_find_named() - names for the inodes of claims, and what the live files say
 * @moved: gains ranges, in offsets from the filesystem's byte 0, that their files have no more
 *
 * Return: 0, -ECANCELED, -ENOMEM.
 */
int pmr_find_named(struct pmr_finding *finding, const struct pmr_claims *claims,
		   struct pmr_ranges *moved);

/**
 * pmr_find_replace() - what is told of ranges takes the place of what was told of them before
 * @ranges: normal, in offsets from the filesystem's byte 0
 *
 * Return: 0, -ENOMEM.
 */
int pmr_find_replace(struct pmr_view *view, const struct pmr_ranges *ranges,
		     const struct pmr_claims *claims);

/**
 * pmr_find_in_files() - ask every file for its extents
 * @unknown: what is looked for: normal, in offsets from the filesystem's byte 0
 *
 * Ends early when all of it was found, unless a file met later may have it, too. Return: 0, -ECANCELED, -ENOMEM.
 */
int pmr_find_in_files(struct pmr_finding *finding, const struct pmr_ranges *unknown);

/**
 * pmr_find_opened() - ask files for their extents that are deleted and still open, as far as /proc lets us see
 *
 * What the kernel alone has open is not among them. Return: 0, -ECANCELED, -ENOMEM.
 */
int pmr_find_opened(struct pmr_finding *finding);

#endif
