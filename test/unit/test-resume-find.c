/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the rest of an interrupted repair lies, below a volume, where it did: whatever ended that. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* what it asks is to be seen alone */
#include "resume/resume-find.c"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

#define NONE PMR_MARK_NONE
#define OPEN PMR_MARK_OPEN
#define DONE PMR_MARK_DONE

static struct pmr_device a = { .name = "a", .ns_uuid = (char[]){ "uuid-a" } };
static struct pmr_device b = { .name = "b" };
static struct pmr_stripe on_both[] = { { &a, 40960 }, { &b, 0 } };
/* by turns of a page on a and b */
static struct pmr_piece pieces[] = { { 0, 81920, 4096, on_both, 2 } };
static struct pmr_device volume = {
	.name = "dm-0",
	.volume = (char[]){ "volume" },
	.mode = PMR_MODE_MAPPED,
	.pieces = pieces,
	.n_pieces = 1,
};
static struct pmr_filesystem filesystem = { .device = &volume };

/* Two pages of the file, each on another leg. */
static void test_below_same(void **state)
{
	static const struct {
		const char *device[2];
		uint64_t place[2];
		enum pmr_mark marks[2];
		bool outcome;
		bool same;
	} rows[] = {
		{ { "uuid-a", "b" }, { 45056, 4096 }, { DONE, OPEN }, false, true },
		{ { "uuid-a", "b" }, { 45056, 4096 }, { NONE, NONE }, true, true },
		/* a leg lies elsewhere: killed, or ended by a signal, which leaves an outcome */
		{ { "uuid-a", "b" }, { 45056, 8192 }, { DONE, OPEN }, false, false },
		{ { "uuid-a", "b" }, { 45056, 8192 }, { DONE, OPEN }, true, false },
		{ { "uuid-a", "b" }, { 45056, 8192 }, { DONE, NONE }, true, false },
		{ { "uuid-a", "b" }, { 0, 4096 }, { NONE, DONE }, true, false },
		/* on another device */
		{ { "a", "b" }, { 45056, 4096 }, { NONE, NONE }, true, false },
		{ { "uuid-a", "c" }, { 45056, 4096 }, { OPEN, OPEN }, false, false },
		/* nothing of it is left */
		{ { "uuid-a", "c" }, { 0, 8192 }, { DONE, DONE }, true, true },
		{ { "uuid-a", "c" }, { 0, 8192 }, { DONE, DONE }, false, true },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_journal_below below[2];
		struct pmr_journal_piece left[2];
		struct pmr_journal_file was = { .below = below,
						.n_below = 2,
						.pieces = left,
						.n_pieces = 2,
						.outcome = rows[i].outcome };
		const struct pmr_resume_subject s = { .was = &was, .filesystem = &filesystem };

		for (size_t k = 0; k < 2; k++) {
			below[k] = (struct pmr_journal_below){
				.offset = (2 + k) * 4096,
				.length = 4096,
				.device = (char *)rows[i].device[k],
				.device_offset = rows[i].place[k],
			};
			left[k] = (struct pmr_journal_piece){
				.offset = k * 4096,
				.length = 4096,
				.device_offset = (2 + k) * 4096,
				.mark = rows[i].marks[k],
			};
		}
		if (is_below_same(&s) != rows[i].same)
			fail_msg("row %zu", i);
	}
}

/* A file of 4796 bytes: its last page ends at 8192, its blocks of 1024 at 5120. */
static void test_end_of_write(void **state)
{
	static const struct {
		struct pmr_journal_piece pieces[3];
		uint64_t end;
		bool is_end;
	} rows[] = {
		{ { { 0, 512, .mark = OPEN }, { 4096, 4096, .mark = OPEN } }, 8192, true },
		{ { { 0, 512, .mark = OPEN }, { 4096, 1024, .mark = OPEN } }, 5120, true },
		{ { { 0, 512, .mark = OPEN }, { 4096, 1024, .mark = OPEN } }, 8192, false },
		{ { { 0, 512, .mark = OPEN }, { 4096, 1024, .mark = OPEN } }, 5000, false },
		/* two blocks of the last page, in two places */
		{ { { 4096, 1024, .mark = OPEN }, { 5120, 1024, .mark = OPEN } }, 5120, true },
		{ { { 4096, 1024, .mark = OPEN }, { 5120, 1024, .mark = OPEN } }, 6144, true },
		/* of what was not begun, or had been cut again, it is somebody else's */
		{ { { 0, 512, .mark = OPEN }, { 4096, 4096, .mark = NONE } }, 8192, false },
		{ { { 0, 512, .mark = OPEN }, { 4096, 4096, .mark = DONE } }, 8192, false },
		{ { { 0 } }, 8192, false },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_journal_piece left[3];
		const struct pmr_journal_file was = { .size = 4796, .pieces = left, .n_pieces = 2 };

		memcpy(left, rows[i].pieces, sizeof(left));
		if (is_end_of_write(&was, rows[i].end) != rows[i].is_end)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_below_same),
		cmocka_unit_test(test_end_of_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
