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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_below_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
