/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lists that were once cut or full, remembered from run to run: doubt.c judges and does no I/O, doubts.c keeps it for a whole
 * topology.
 */
#ifndef PMR_DOUBT_H
#define PMR_DOUBT_H

#include "private.h"

/** PMR_BOOT_ID - room for the text that tells a boot from all others */
#define PMR_BOOT_ID 64

/**
 * struct pmr_doubt - what is remembered of a namespace; zero-initialised it is nothing
 * @list: its own list was cut or full
 * @region: its region's was
 * @boot: in which boot one of them was seen so last; "" where that cannot be known
 * @has_room: since then, in that boot, all of them were seen with room for more
 * @room: where they were: how many scrubs had ended by then, or were to end that had begun before
 */
struct pmr_doubt {
	bool list;
	bool region;
	char boot[PMR_BOOT_ID];
	bool has_room;
	uint64_t room;
};

/**
 * struct pmr_doubt_now - how things stand
 * @boot: this boot, "" where it cannot be known
 * @has_room: the lists as they were read, which was before @scrubs was asked for, have room for more
 * @can_scrub: the bus tells of scrubs
 * @scrubs: see pmr_device_scrubs()
 */
struct pmr_doubt_now {
	const char *boot;
	bool has_room;
	bool can_scrub;
	struct pmr_scrubs scrubs;
};

/** pmr_doubt_is() - whether anything is in doubt */
bool pmr_doubt_is(const struct pmr_doubt *doubt);

/**
 * pmr_doubt_is_settled() - whether a scrub has gone over everything since the lists had room for what it found
 *
 * At the end of a scrub the kernel puts all that its bus knows into the lists again. One that found them full changed
 * nothing. After a boot they begin empty, and its own scrub counts. Where the bus tells of none nothing settles it.
 */
bool pmr_doubt_is_settled(const struct pmr_doubt *doubt, const struct pmr_doubt_now *now);

/**
 * pmr_doubt_see() - take note of how the lists are now
 *
 * One that was full in between two looks, and has room again, counts from the next look on. Return: whether that changed
 * anything.
 */
bool pmr_doubt_see(struct pmr_doubt *doubt, const struct pmr_doubt_now *now);

/** pmr_doubt_parse() - what a file says. Return: 0; -EBADMSG: not whole, or not such a file. */
int pmr_doubt_parse(const char *text, size_t length, struct pmr_doubt *doubt);

/** pmr_doubt_format() - the text of a file. Return: it, to free(); NULL without memory. */
char *pmr_doubt_format(const struct pmr_doubt *doubt, const char *device);

#endif
