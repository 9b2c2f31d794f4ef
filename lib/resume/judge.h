/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What may still be done with bytes of an interrupted repair, judged by what is found of them: judge.c, which is pure.
 */
#ifndef PMR_JUDGE_H
#define PMR_JUDGE_H

#include "repair/repair.h"

/** PMR_JUDGE_SECONDS - a write is over, and what belongs to it too, at most so long after it had to begin */
#define PMR_JUDGE_SECONDS 15

/** enum pmr_change - whether somebody else changed a file since a repair was interrupted, by its change time */
enum pmr_change {
	PMR_CHANGE_NONE, /* it is as it was noted */
	PMR_CHANGE_OURS, /* it may have changed, and by our write: only where one may have begun */
	PMR_CHANGE_OTHERS,
};

/**
 * struct pmr_judge_times - what is known of a file's change time
 * @planned: before the first write
 * @noted: the last one noted
 * @noted_here: in this boot
 * @booted: when this boot began, seconds
 * @now: the file's
 */
struct pmr_judge_times {
	struct timespec planned;
	struct timespec noted;
	bool noted_here;
	time_t booted;
	struct timespec now;
};

/**
 * pmr_judge_change() - whose change it was
 * @pieces: of the file; those that are open tell when it may have been changed by us
 * @is_here: whether a piece was opened in this boot alone
 */
enum pmr_change
pmr_judge_change(const struct pmr_judge_times *times, const struct pmr_journal_piece *pieces,
		 size_t n, bool (*is_here)(const void *data, const struct pmr_journal_piece *piece),
		 const void *data);

/** enum pmr_sector - what a sector holds */
enum pmr_sector {
	PMR_SECTOR_EQUAL, /* the journal's bytes */
	PMR_SECTOR_DIFFERENT,
	PMR_SECTOR_UNREADABLE,
	PMR_SECTOR_CLEARED, /* of a device-dax: other bytes, where our clear may have come, which leaves anything, or our zeros are */
};
#define PMR_SECTORS (PMR_SECTOR_CLEARED + 1)

/** enum pmr_spot - where a piece lies */
enum pmr_spot {
	PMR_SPOT_SAME, /* where it lay */
	PMR_SPOT_HOLE, /* nowhere, or in blocks that were never written, in whole or in part */
	PMR_SPOT_MOVED, /* elsewhere */
	PMR_SPOT_SHARED, /* where it lay, and it is not the only owner any more */
};

/**
 * struct pmr_evidence - what is found of a piece
 * @mark: how far it came
 * @here: it was marked in this boot alone
 * @is_file: the file is there and is the one of the journal: filesystem, inode, generation and size
 * @change: of the file
 * @spot: where it lies
 * @punched: its method gives blocks back
 * @device: its method writes the lost sectors alone, and the file may be in use meanwhile
 * @whole: it is of a device-dax, which is cleared first and then stored to, and which has no change time
 * @in_use: that was in use while it was repaired
 * @lost: how many of the sectors that were lost are each enum pmr_sector
 * @kept: how many of the others, which were written back as they were
 */
struct pmr_evidence {
	enum pmr_mark mark;
	bool here;
	bool is_file;
	enum pmr_change change;
	enum pmr_spot spot;
	bool punched;
	bool device;
	bool whole;
	bool in_use;
	size_t lost[PMR_SECTORS];
	size_t kept[PMR_SECTORS];
};

/** enum pmr_verdict - what becomes of a piece */
enum pmr_verdict {
	PMR_VERDICT_REDO, /* write it */
	PMR_VERDICT_SETTLED, /* it is what it should be, or is none of ours any more */
	PMR_VERDICT_SKIPPED, /* nothing of it was written, and nothing will be */
	PMR_VERDICT_CONFLICT, /* a write of it may have begun, and what is there now may be somebody's */
	PMR_VERDICT_FAILED, /* it was right and is not any more */
};

/**
 * pmr_judge() - decide
 * @reason: why, for the loss; static storage; NULL of PMR_VERDICT_REDO
 */
enum pmr_verdict pmr_judge(const struct pmr_evidence *evidence, const char **reason);

#endif
