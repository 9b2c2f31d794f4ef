/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * May bytes of an interrupted repair be written again? Decides, and does no I/O.
 */
#include "judge.h"

/* ---- the change time */

static int compare_times(const struct timespec *a, const struct timespec *b)
{
	if (a->tv_sec != b->tv_sec)
		return a->tv_sec < b->tv_sec ? -1 : 1;
	return (a->tv_nsec > b->tv_nsec) - (a->tv_nsec < b->tv_nsec);
}

/* Whether a change lies where our write of an open piece may have made it. What a power cut stopped ended with its boot. */
static bool is_in_window(const struct pmr_judge_times *times, const struct pmr_journal_piece *piece,
			 bool is_here)
{
	struct timespec end = { piece->marked.tv_sec + PMR_MARK_SECONDS + PMR_JUDGE_SECONDS,
				piece->marked.tv_nsec };
	/* who has the file in use may change it at any time before that, too */
	const struct timespec *from =
		piece->method == PMR_METHOD_DEVICE ? &times->planned : &piece->marked;

	if (piece->mark != PMR_MARK_OPEN || compare_times(&times->now, from) < 0 ||
	    compare_times(&times->now, &end) > 0)
		return false;
	return is_here || times->now.tv_sec < times->booted;
}

enum pmr_change
pmr_judge_change(const struct pmr_judge_times *times, const struct pmr_journal_piece *pieces,
		 size_t n, bool (*is_here)(const void *data, const struct pmr_journal_piece *piece),
		 const void *data)
{
	if (!compare_times(&times->now, &times->noted))
		return PMR_CHANGE_NONE;
	/* a power cut takes what was not on the medium yet: the file is then as it was at an earlier write */
	if (!times->noted_here && compare_times(&times->now, &times->planned) >= 0 &&
	    compare_times(&times->now, &times->noted) < 0)
		return PMR_CHANGE_NONE;
	for (size_t i = 0; i < n; i++)
		if (is_in_window(times, &pieces[i], is_here(data, &pieces[i])))
			return PMR_CHANGE_OURS;
	return PMR_CHANGE_OTHERS;
}

/* ---- a piece */

static size_t count(const struct pmr_evidence *e, enum pmr_sector sector)
{
	return e->lost[sector] + e->kept[sector];
}

static bool is_equal(const struct pmr_evidence *e)
{
	return e->spot != PMR_SPOT_HOLE && !count(e, PMR_SECTOR_DIFFERENT) &&
	       !count(e, PMR_SECTOR_UNREADABLE) && !count(e, PMR_SECTOR_CLEARED);
}

static enum pmr_verdict say(enum pmr_verdict verdict, const char *word, const char **reason)
{
	*reason = word;
	return verdict;
}

/* why a piece is not where its write was to go, or NULL */
static const char *of_spot(const struct pmr_evidence *e)
{
	if (e->spot == PMR_SPOT_SHARED)
		return "shared";
	return e->spot == PMR_SPOT_SAME ? NULL : "moved";
}

/* Nothing but what cannot be read is written, whatever else was done to the file meanwhile. */
static bool is_harmless(const struct pmr_evidence *e)
{
	return e->device && e->spot == PMR_SPOT_SAME && !count(e, PMR_SECTOR_DIFFERENT) &&
	       !e->kept[PMR_SECTOR_UNREADABLE];
}

static enum pmr_verdict judge_begun_not(const struct pmr_evidence *e, const char **reason)
{
	size_t readable = e->lost[PMR_SECTOR_EQUAL] + e->lost[PMR_SECTOR_DIFFERENT];

	if (!e->is_file || (e->change == PMR_CHANGE_OTHERS && !is_harmless(e)))
		return say(PMR_VERDICT_SKIPPED, "changed", reason);
	if (of_spot(e))
		return say(PMR_VERDICT_SKIPPED, of_spot(e), reason);
	if (is_equal(e))
		return say(PMR_VERDICT_SETTLED, "already-equal", reason);
	if (e->kept[PMR_SECTOR_DIFFERENT])
		return say(PMR_VERDICT_SKIPPED, "changed", reason);
	if (!readable)
		return PMR_VERDICT_REDO;
	/* within a boot no list forgets poison but by a write: somebody made it good */
	if (e->here)
		return say(PMR_VERDICT_SKIPPED, "readable", reason);
	if (e->change == PMR_CHANGE_NONE)
		return PMR_VERDICT_REDO;
	return say(PMR_VERDICT_CONFLICT, "readable", reason);
}

static enum pmr_verdict judge_punched(const struct pmr_evidence *e, const char **reason)
{
	if (e->spot == PMR_SPOT_HOLE || !e->here || !count(e, PMR_SECTOR_DIFFERENT))
		return PMR_VERDICT_REDO;
	return say(PMR_VERDICT_CONFLICT, "changed", reason);
}

static enum pmr_verdict judge_begun(const struct pmr_evidence *e, const char **reason)
{
	if (!e->is_file)
		return say(PMR_VERDICT_CONFLICT, "changed", reason);
	if (is_equal(e) && (e->spot == PMR_SPOT_SAME || e->punched))
		return say(PMR_VERDICT_SETTLED, "already-equal", reason);
	if (e->change == PMR_CHANGE_OTHERS && !is_harmless(e))
		return say(PMR_VERDICT_CONFLICT, "changed", reason);
	if (e->punched && (e->spot == PMR_SPOT_HOLE || e->spot == PMR_SPOT_MOVED))
		return judge_punched(e, reason);
	if (of_spot(e))
		return say(PMR_VERDICT_CONFLICT, of_spot(e), reason);
	/* what a power cut left of it may be anything, beside what was lost too */
	if (e->here && count(e, PMR_SECTOR_DIFFERENT))
		return say(PMR_VERDICT_CONFLICT, "changed", reason);
	return PMR_VERDICT_REDO;
}

static enum pmr_verdict judge_done(const struct pmr_evidence *e, const char **reason)
{
	bool is_ours = e->is_file && e->change != PMR_CHANGE_OTHERS &&
		       (e->spot == PMR_SPOT_SAME || e->punched);

	if (!is_ours)
		return say(PMR_VERDICT_SETTLED, "changed-since", reason);
	if (is_equal(e))
		return say(PMR_VERDICT_SETTLED, "already-equal", reason);
	if (count(e, PMR_SECTOR_UNREADABLE))
		return say(PMR_VERDICT_FAILED, "poison-returned", reason);
	return say(PMR_VERDICT_FAILED, "read-back-differs", reason);
}

/* ---- a piece of a device-dax */

static enum pmr_verdict judge_whole_begun_not(const struct pmr_evidence *e, const char **reason)
{
	if (!e->is_file)
		return say(PMR_VERDICT_SKIPPED, "changed", reason);
	if (is_equal(e))
		return say(PMR_VERDICT_SETTLED, "already-equal", reason);
	if (e->kept[PMR_SECTOR_DIFFERENT])
		return say(PMR_VERDICT_SKIPPED, "changed", reason);
	if (e->kept[PMR_SECTOR_UNREADABLE])
		return say(PMR_VERDICT_SKIPPED, "newly-unreadable", reason);
	if (!e->lost[PMR_SECTOR_DIFFERENT])
		return PMR_VERDICT_REDO;
	/* a boot may forget poison, and nothing tells whether what can be read instead is somebody's */
	return say(e->here ? PMR_VERDICT_SKIPPED : PMR_VERDICT_CONFLICT, "readable", reason);
}

/* What is equal is stored again: what killed the repair may have come ahead of the flush. */
static enum pmr_verdict judge_whole_begun(const struct pmr_evidence *e, const char **reason)
{
	bool is_others = e->in_use || e->change == PMR_CHANGE_OTHERS;

	/* what has gone bad since may have been stored to before that */
	if (!e->is_file || count(e, PMR_SECTOR_DIFFERENT) ||
	    (is_others && (count(e, PMR_SECTOR_CLEARED) || e->kept[PMR_SECTOR_UNREADABLE])))
		return say(PMR_VERDICT_CONFLICT, "changed", reason);
	return PMR_VERDICT_REDO;
}

static enum pmr_verdict judge_whole_done(const struct pmr_evidence *e, const char **reason)
{
	if (!e->is_file)
		return say(PMR_VERDICT_SETTLED, "changed-since", reason);
	if (is_equal(e))
		return say(PMR_VERDICT_SETTLED, "already-equal", reason);
	if (count(e, PMR_SECTOR_UNREADABLE))
		return say(PMR_VERDICT_FAILED, "poison-returned", reason);
	return say(PMR_VERDICT_SETTLED, "changed-since", reason);
}

/* ---- by how far it came */

enum pmr_verdict pmr_judge(const struct pmr_evidence *evidence, const char **reason)
{
	bool whole = evidence->whole;

	*reason = NULL;
	switch (evidence->mark) {
	case PMR_MARK_NONE:
		return whole ? judge_whole_begun_not(evidence, reason)
			     : judge_begun_not(evidence, reason);
	case PMR_MARK_OPEN:
		return whole ? judge_whole_begun(evidence, reason) : judge_begun(evidence, reason);
	default:
		return whole ? judge_whole_done(evidence, reason) : judge_done(evidence, reason);
	}
}
