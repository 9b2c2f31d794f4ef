/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may be done with bytes of an interrupted repair: tables of what is found, and what follows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "resume/judge.h"

#define NONE PMR_MARK_NONE
#define OPEN PMR_MARK_OPEN
#define DONE PMR_MARK_DONE

/* what a piece of eight sectors, two of them lost, holds: how many are equal, different, unreadable */
#define ALL_EQUAL .lost = { 2, 0, 0 }, .kept = { 6, 0, 0 }
#define LOST .lost = { 0, 0, 2 }, .kept = { 6, 0, 0 }
#define HALF_LOST .lost = { 1, 0, 1 }, .kept = { 6, 0, 0 }
#define OFFLINED .lost = { 0, 0, 2 }, .kept = { 0, 0, 6 }
#define LOST_READABLE .lost = { 0, 2, 0 }, .kept = { 6, 0, 0 }
#define KEPT_CHANGED .lost = { 0, 0, 2 }, .kept = { 5, 1, 0 }
#define SCRIBBLED .lost = { 0, 2, 0 }, .kept = { 0, 6, 0 }

#define CLEARED .lost = { 1, 0, 0, 1 }, .kept = { 6 }
#define ALL_CLEARED .lost = { 0, 0, 0, 2 }, .kept = { 0, 0, 0, 6 }

#define WHOLE .here = true, .is_file = true, .whole = true
#define WHOLE_REBOOTED .is_file = true, .whole = true
#define HERE .here = true, .is_file = true
#define REBOOTED .here = false, .is_file = true

static const struct {
	const char *what;
	struct pmr_evidence evidence;
	enum pmr_verdict verdict;
	const char *reason;
} rows[] = {
	/* nothing of it was written */
	{ "as it was", { NONE, HERE, LOST }, PMR_VERDICT_REDO, NULL },
	{ "its page was taken offline since", { NONE, HERE, OFFLINED }, PMR_VERDICT_REDO, NULL },
	{ "the same after a reboot", { NONE, REBOOTED, LOST }, PMR_VERDICT_REDO, NULL },
	{ "the reboot forgot the poison",
	  { NONE, REBOOTED, LOST_READABLE },
	  PMR_VERDICT_REDO,
	  NULL },
	{ "the poison was made good",
	  { NONE, HERE, LOST_READABLE },
	  PMR_VERDICT_SKIPPED,
	  "readable" },
	{ "somebody repaired it", { NONE, HERE, ALL_EQUAL }, PMR_VERDICT_SETTLED, "already-equal" },
	{ "a part of it was made good",
	  { NONE, HERE, HALF_LOST },
	  PMR_VERDICT_SKIPPED,
	  "readable" },
	{ "what lies beside it was changed, unnoticed",
	  { NONE, HERE, KEPT_CHANGED },
	  PMR_VERDICT_SKIPPED,
	  "changed" },
	{ "its file was changed",
	  { NONE, HERE, LOST, .change = PMR_CHANGE_OTHERS },
	  PMR_VERDICT_SKIPPED,
	  "changed" },
	{ "its file is another", { NONE, .here = true, LOST }, PMR_VERDICT_SKIPPED, "changed" },
	{ "it moved", { NONE, HERE, LOST, .spot = PMR_SPOT_MOVED }, PMR_VERDICT_SKIPPED, "moved" },
	{ "it was punched", { NONE, HERE, .spot = PMR_SPOT_HOLE }, PMR_VERDICT_SKIPPED, "moved" },
	{ "it came to be shared",
	  { NONE, HERE, LOST, .spot = PMR_SPOT_SHARED },
	  PMR_VERDICT_SKIPPED,
	  "shared" },
	{ "forgotten, and the file may have been written to",
	  { NONE, REBOOTED, LOST_READABLE, .change = PMR_CHANGE_OURS },
	  PMR_VERDICT_CONFLICT,
	  "readable" },
	{ "by the device, the file in use",
	  { NONE, HERE, .lost = { 0, 0, 2 }, .change = PMR_CHANGE_OTHERS, .device = true },
	  PMR_VERDICT_REDO,
	  NULL },
	{ "by the device, and the owner wrote there",
	  { NONE, HERE, .lost = { 0, 2, 0 }, .change = PMR_CHANGE_OTHERS, .device = true },
	  PMR_VERDICT_SKIPPED,
	  "changed" },

	/* its write may have begun, in this boot */
	{ "begun, and not come to it", { OPEN, HERE, LOST }, PMR_VERDICT_REDO, NULL },
	{ "begun and come through",
	  { OPEN, HERE, ALL_EQUAL },
	  PMR_VERDICT_SETTLED,
	  "already-equal" },
	{ "come through, and another part of the file was changed",
	  { OPEN, HERE, ALL_EQUAL, .change = PMR_CHANGE_OTHERS },
	  PMR_VERDICT_SETTLED,
	  "already-equal" },
	{ "some pages of it come through", { OPEN, HERE, HALF_LOST }, PMR_VERDICT_REDO, NULL },
	{ "its page taken offline", { OPEN, HERE, OFFLINED }, PMR_VERDICT_REDO, NULL },
	{ "the owner wrote what was lost",
	  { OPEN, HERE, LOST_READABLE },
	  PMR_VERDICT_CONFLICT,
	  "changed" },
	{ "the owner wrote beside it",
	  { OPEN, HERE, KEPT_CHANGED },
	  PMR_VERDICT_CONFLICT,
	  "changed" },
	{ "the file was changed",
	  { OPEN, HERE, LOST, .change = PMR_CHANGE_OTHERS },
	  PMR_VERDICT_CONFLICT,
	  "changed" },
	{ "the file is another",
	  { OPEN, .here = true, ALL_EQUAL },
	  PMR_VERDICT_CONFLICT,
	  "changed" },
	{ "begun, and it moved",
	  { OPEN, HERE, .spot = PMR_SPOT_MOVED },
	  PMR_VERDICT_CONFLICT,
	  "moved" },
	{ "begun, and somebody punched it",
	  { OPEN, HERE, .spot = PMR_SPOT_HOLE },
	  PMR_VERDICT_CONFLICT,
	  "moved" },
	{ "begun, and it came to be shared",
	  { OPEN, HERE, LOST, .spot = PMR_SPOT_SHARED },
	  PMR_VERDICT_CONFLICT,
	  "shared" },

	/* the same, and then the power went */
	{ "cut, between clear and copy", { OPEN, REBOOTED, SCRIBBLED }, PMR_VERDICT_REDO, NULL },
	{ "cut, before the clear", { OPEN, REBOOTED, LOST }, PMR_VERDICT_REDO, NULL },
	{ "cut, after the copy",
	  { OPEN, REBOOTED, ALL_EQUAL, .change = PMR_CHANGE_OURS },
	  PMR_VERDICT_SETTLED,
	  "already-equal" },
	{ "cut, and changed since",
	  { OPEN, REBOOTED, SCRIBBLED, .change = PMR_CHANGE_OTHERS },
	  PMR_VERDICT_CONFLICT,
	  "changed" },
	{ "cut, and moved since",
	  { OPEN, REBOOTED, .spot = PMR_SPOT_MOVED },
	  PMR_VERDICT_CONFLICT,
	  "moved" },
	{ "cut, by the device, the file in use",
	  { OPEN, REBOOTED, .lost = { 0, 2, 0 }, .change = PMR_CHANGE_OURS, .device = true },
	  PMR_VERDICT_REDO,
	  NULL },
	{ "by the device, not come to it, and the file in use",
	  { OPEN, HERE, .lost = { 0, 0, 2 }, .change = PMR_CHANGE_OTHERS, .device = true },
	  PMR_VERDICT_REDO,
	  NULL },

	/* punched */
	{ "given back and not written",
	  { OPEN, HERE, .spot = PMR_SPOT_HOLE, .punched = true },
	  PMR_VERDICT_REDO,
	  NULL },
	{ "given back and written",
	  { OPEN, HERE, ALL_EQUAL, .spot = PMR_SPOT_MOVED, .punched = true },
	  PMR_VERDICT_SETTLED,
	  "already-equal" },
	{ "given back, and somebody else wrote",
	  { OPEN, HERE, SCRIBBLED, .spot = PMR_SPOT_MOVED, .punched = true },
	  PMR_VERDICT_CONFLICT,
	  "changed" },
	{ "given back, and cut while it was written",
	  { OPEN, REBOOTED, SCRIBBLED, .spot = PMR_SPOT_MOVED, .punched = true },
	  PMR_VERDICT_REDO,
	  NULL },
	{ "given back and written, and the file changed since",
	  { OPEN, HERE, SCRIBBLED, .spot = PMR_SPOT_MOVED, .punched = true,
	    .change = PMR_CHANGE_OTHERS },
	  PMR_VERDICT_CONFLICT,
	  "changed" },

	/* written and verified */
	{ "done", { DONE, HERE, ALL_EQUAL }, PMR_VERDICT_SETTLED, "already-equal" },
	{ "done, and moved by a punch",
	  { DONE, HERE, ALL_EQUAL, .spot = PMR_SPOT_MOVED, .punched = true },
	  PMR_VERDICT_SETTLED,
	  "already-equal" },
	{ "done, and its owner's since",
	  { DONE, HERE, SCRIBBLED, .change = PMR_CHANGE_OTHERS },
	  PMR_VERDICT_SETTLED,
	  "changed-since" },
	{ "done, and the file is another",
	  { DONE, .here = true },
	  PMR_VERDICT_SETTLED,
	  "changed-since" },
	{ "done, and poison came back",
	  { DONE, HERE, LOST },
	  PMR_VERDICT_FAILED,
	  "poison-returned" },
	{ "done, and not any more",
	  { DONE, HERE, LOST_READABLE },
	  PMR_VERDICT_FAILED,
	  "read-back-differs" },

	/* of a device-dax, not begun */
	{ "whole, as it was", { NONE, WHOLE, LOST }, PMR_VERDICT_REDO, NULL },
	{ "whole, as it was, after a reboot",
	  { NONE, WHOLE_REBOOTED, LOST },
	  PMR_VERDICT_REDO,
	  NULL },
	{ "whole, somebody repaired it",
	  { NONE, WHOLE, ALL_EQUAL },
	  PMR_VERDICT_SETTLED,
	  "already-equal" },
	{ "whole, a part of it is right already",
	  { NONE, WHOLE, HALF_LOST },
	  PMR_VERDICT_REDO,
	  NULL },
	{ "whole, somebody cleared it",
	  { NONE, WHOLE, LOST_READABLE },
	  PMR_VERDICT_SKIPPED,
	  "readable" },
	{ "whole, cleared by somebody or forgotten by the boot",
	  { NONE, WHOLE_REBOOTED, LOST_READABLE },
	  PMR_VERDICT_CONFLICT,
	  "readable" },
	{ "whole, what lies beside it in the unit was stored to",
	  { NONE, WHOLE, KEPT_CHANGED },
	  PMR_VERDICT_SKIPPED,
	  "changed" },
	{ "whole, more of the unit is bad",
	  { NONE, WHOLE, OFFLINED },
	  PMR_VERDICT_SKIPPED,
	  "newly-unreadable" },
	{ "whole, more of the unit is bad, and stored to",
	  { NONE, WHOLE, .lost = { 0, 0, 2 }, .kept = { 4, 1, 1 } },
	  PMR_VERDICT_SKIPPED,
	  "changed" },
	{ "whole, another device", { NONE, .whole = true, LOST }, PMR_VERDICT_SKIPPED, "changed" },

	/* begun */
	{ "whole, not come to the clear", { OPEN, WHOLE, LOST }, PMR_VERDICT_REDO, NULL },
	{ "whole, cleared", { OPEN, WHOLE, CLEARED }, PMR_VERDICT_REDO, NULL },
	{ "whole, cleared with its unit", { OPEN, WHOLE, ALL_CLEARED }, PMR_VERDICT_REDO, NULL },
	{ "whole, cleared, after a reboot",
	  { OPEN, WHOLE_REBOOTED, ALL_CLEARED },
	  PMR_VERDICT_REDO,
	  NULL },
	{ "whole, stored, and perhaps not flushed",
	  { OPEN, WHOLE, ALL_EQUAL },
	  PMR_VERDICT_REDO,
	  NULL },
	{ "whole, more of the unit went bad", { OPEN, WHOLE, OFFLINED }, PMR_VERDICT_REDO, NULL },
	{ "whole, more of the unit went bad, and stored to around it",
	  { OPEN, WHOLE, OFFLINED, .change = PMR_CHANGE_OTHERS },
	  PMR_VERDICT_CONFLICT,
	  "changed" },
	{ "whole, not cleared, and stored to beside it",
	  { OPEN, WHOLE, KEPT_CHANGED },
	  PMR_VERDICT_CONFLICT,
	  "changed" },
	{ "whole, cleared while in use",
	  { OPEN, WHOLE, CLEARED, .in_use = true },
	  PMR_VERDICT_CONFLICT,
	  "changed" },
	{ "whole, in use, and not come to the clear",
	  { OPEN, WHOLE, LOST, .in_use = true },
	  PMR_VERDICT_REDO,
	  NULL },
	{ "whole, cleared, and stored to around it",
	  { OPEN, WHOLE, CLEARED, .change = PMR_CHANGE_OTHERS },
	  PMR_VERDICT_CONFLICT,
	  "changed" },
	{ "whole, not come to the clear, and stored to around it",
	  { OPEN, WHOLE, LOST, .change = PMR_CHANGE_OTHERS },
	  PMR_VERDICT_REDO,
	  NULL },
	{ "whole, begun, and another device",
	  { OPEN, .whole = true, CLEARED },
	  PMR_VERDICT_CONFLICT,
	  "changed" },

	/* done */
	{ "whole, done", { DONE, WHOLE, ALL_EQUAL }, PMR_VERDICT_SETTLED, "already-equal" },
	{ "whole, done, and its program's since",
	  { DONE, WHOLE, LOST_READABLE },
	  PMR_VERDICT_SETTLED,
	  "changed-since" },
	{ "whole, done, and poison came back",
	  { DONE, WHOLE, LOST },
	  PMR_VERDICT_FAILED,
	  "poison-returned" },
	{ "whole, done, and another device",
	  { DONE, .whole = true, LOST },
	  PMR_VERDICT_SETTLED,
	  "changed-since" },
};

static void test_judge(void **state)
{
	enum pmr_verdict verdict;
	const char *reason;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		verdict = pmr_judge(&rows[i].evidence, &reason);
		if (verdict != rows[i].verdict)
			fail_msg("%s: verdict %d instead of %d", rows[i].what, verdict,
				 rows[i].verdict);
		if ((reason || rows[i].reason) &&
		    (!reason || !rows[i].reason || strcmp(reason, rows[i].reason) != 0))
			fail_msg("%s: reason %s instead of %s", rows[i].what,
				 reason ? reason : "none",
				 rows[i].reason ? rows[i].reason : "none");
	}
}

/* Whatever is found: what may be somebody's is never written. */
static void test_never(void **state)
{
	struct pmr_evidence e = { 0 };
	const char *reason;

	(void)state;
	for (unsigned int bits = 0; bits < 1u << 15; bits++) {
		e = (struct pmr_evidence){
			.mark = (enum pmr_mark)(bits % 3),
			.here = bits & 4,
			.is_file = bits & 8,
			.change = (enum pmr_change)(bits >> 4 & 3),
			.spot = (enum pmr_spot)(bits >> 6 & 3),
			.punched = bits >> 8 & 1,
			.device = bits >> 9 & 1,
			.lost = { bits >> 10 & 1, bits >> 11 & 1, bits >> 12 & 1 },
			.kept = { 1, bits >> 13 & 1, bits >> 14 & 1 },
		};
		if (e.change > PMR_CHANGE_OTHERS || (e.punched && e.device))
			continue;
		if (pmr_judge(&e, &reason) != PMR_VERDICT_REDO) {
			assert_non_null(reason);
			continue;
		}
		assert_null(reason);
		assert_true(e.is_file);
		assert_true(e.mark != DONE);
		assert_true(e.change != PMR_CHANGE_OTHERS || e.device);
		if (e.lost[PMR_SECTOR_DIFFERENT] + e.kept[PMR_SECTOR_DIFFERENT])
			assert_true(!e.here || e.spot == PMR_SPOT_HOLE);
		assert_true(e.spot == PMR_SPOT_SAME || (e.punched && e.spot != PMR_SPOT_SHARED));
	}
}

/* ---- change times */

static bool is_here(const void *data, const struct pmr_journal_piece *piece)
{
	(void)piece;
	return *(const bool *)data;
}

static const struct {
	const char *what;
	struct timespec now;
	time_t booted;
	bool noted_here;
	bool opened_here;
	enum pmr_mark mark; /* of a piece marked at 1100.5 */
	enum pmr_method method;
	enum pmr_change change;
} times[] = {
	/* planned at 1000, noted at 1050.5 */
	{ "as noted", { 1050, 500 }, 900, true, true, NONE, PMR_METHOD_WRITE, PMR_CHANGE_NONE },
	{ "as noted, open",
	  { 1050, 500 },
	  900,
	  true,
	  true,
	  OPEN,
	  PMR_METHOD_WRITE,
	  PMR_CHANGE_NONE },
	{ "a nanosecond later",
	  { 1050, 501 },
	  900,
	  true,
	  true,
	  NONE,
	  PMR_METHOD_WRITE,
	  PMR_CHANGE_OTHERS },
	{ "earlier, here",
	  { 1020, 0 },
	  900,
	  true,
	  true,
	  NONE,
	  PMR_METHOD_WRITE,
	  PMR_CHANGE_OTHERS },
	{ "earlier, after a power cut",
	  { 1020, 0 },
	  2000,
	  false,
	  false,
	  NONE,
	  PMR_METHOD_WRITE,
	  PMR_CHANGE_NONE },
	{ "as planned, after a power cut",
	  { 1000, 0 },
	  2000,
	  false,
	  false,
	  NONE,
	  PMR_METHOD_WRITE,
	  PMR_CHANGE_NONE },
	{ "before the plan",
	  { 999, 0 },
	  2000,
	  false,
	  false,
	  OPEN,
	  PMR_METHOD_WRITE,
	  PMR_CHANGE_OTHERS },
	{ "after the mark, but it is done",
	  { 1101, 0 },
	  900,
	  true,
	  true,
	  DONE,
	  PMR_METHOD_WRITE,
	  PMR_CHANGE_OTHERS },
	{ "with the mark",
	  { 1100, 500 },
	  900,
	  true,
	  true,
	  OPEN,
	  PMR_METHOD_WRITE,
	  PMR_CHANGE_OURS },
	{ "between note and mark",
	  { 1060, 0 },
	  900,
	  true,
	  true,
	  OPEN,
	  PMR_METHOD_WRITE,
	  PMR_CHANGE_OTHERS },
	{ "the same of a file in use",
	  { 1060, 0 },
	  900,
	  true,
	  true,
	  OPEN,
	  PMR_METHOD_DEVICE,
	  PMR_CHANGE_OURS },
	{ "after the mark", { 1110, 0 }, 900, true, true, OPEN, PMR_METHOD_WRITE, PMR_CHANGE_OURS },
	{ "at the end of the window",
	  { 1120, 500 },
	  900,
	  true,
	  true,
	  OPEN,
	  PMR_METHOD_WRITE,
	  PMR_CHANGE_OURS },
	{ "behind the window",
	  { 1120, 501 },
	  900,
	  true,
	  true,
	  OPEN,
	  PMR_METHOD_WRITE,
	  PMR_CHANGE_OTHERS },
	{ "behind it, in use",
	  { 1120, 501 },
	  900,
	  true,
	  true,
	  OPEN,
	  PMR_METHOD_DEVICE,
	  PMR_CHANGE_OTHERS },
	{ "after the mark, before the cut",
	  { 1110, 0 },
	  1111,
	  false,
	  false,
	  OPEN,
	  PMR_METHOD_WRITE,
	  PMR_CHANGE_OURS },
	{ "after the cut",
	  { 1110, 0 },
	  1110,
	  false,
	  false,
	  OPEN,
	  PMR_METHOD_WRITE,
	  PMR_CHANGE_OTHERS },
};

static void test_change(void **state)
{
	struct pmr_journal_piece piece = { .marked = { 1100, 500 } };
	struct pmr_judge_times judged;
	enum pmr_change change;

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		judged = (struct pmr_judge_times){
			.planned = { 1000, 0 },
			.noted = { 1050, 500 },
			.noted_here = times[i].noted_here,
			.booted = times[i].booted,
			.now = times[i].now,
		};
		piece.mark = times[i].mark;
		piece.method = times[i].method;
		change = pmr_judge_change(&judged, &piece, 1, is_here, &times[i].opened_here);
		if (change != times[i].change)
			fail_msg("%s: %d instead of %d", times[i].what, change, times[i].change);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
