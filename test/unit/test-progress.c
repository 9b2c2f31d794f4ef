// SPDX-License-Identifier: GPL-2.0-or-later
/* Rates and estimates from samples, and the line that shows them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../cli/progress.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define NOT_TOLD UINT64_MAX

/* Samples, up to the first at time 0 but the first of all; then what is told with @done of @total. */
static void test_samples(void **state)
{
	static const struct {
		const char *name;
		struct rate_sample v[8];
		uint64_t total;
		uint64_t per_second;
		uint64_t left;
	} rows[] = {
		{ "nothing", { { 0, 0 } }, 100, NOT_TOLD, NOT_TOLD },
		{ "one", { { 0, 5 } }, 100, NOT_TOLD, NOT_TOLD },
		{ "too short", { { 0, 0 }, { 999, 50 } }, 100, NOT_TOLD, NOT_TOLD },
		{ "a rate, no estimate yet", { { 0, 0 }, { 1000, 50 } }, 100, 50, NOT_TOLD },
		{ "both", { { 0, 0 }, { 2000, 100 } }, 200, 50, 2 },
		{ "no total", { { 0, 0 }, { 2000, 100 } }, 0, 50, NOT_TOLD },
		{ "all done", { { 0, 0 }, { 2000, 100 } }, 100, 50, NOT_TOLD },
		{ "more than there was to be", { { 0, 0 }, { 2000, 100 } }, 99, 50, NOT_TOLD },
		{ "less than a second left", { { 0, 0 }, { 2000, 100 } }, 149, 50, NOT_TOLD },
		{ "just a second", { { 0, 0 }, { 2000, 100 } }, 150, 50, 1 },
		{ "stands still", { { 1, 7 }, { 1000, 7 }, { 3000, 7 } }, 100, NOT_TOLD, NOT_TOLD },
		{ "begins in the middle", { { 1, 1000 }, { 2001, 1100 } }, 1200, 50, 2 },
		{ "less than one in a second", { { 1, 0 }, { 4001, 1 } }, 3, 0, 8 },
		{ "a year", { { 1, 0 }, { 4001, 1 } }, 8000000, 0, NOT_TOLD },
		/* what came before the window does not count */
		{ "slower now",
		  { { 1, 0 }, { 1001, 100000 }, { 3001, 100002 }, { 6001, 100005 } },
		  100015,
		  1,
		  10 },
		/* but where it is all there is */
		{ "far apart", { { 1, 0 }, { 20001, 100 } }, 200, 5, 20 },
		{ "far apart again", { { 1, 0 }, { 20001, 100 }, { 40001, 300 } }, 400, 10, 10 },
		/* other work */
		{ "begins again",
		  { { 1, 0 }, { 2001, 100 }, { 2201, 0 } },
		  100,
		  NOT_TOLD,
		  NOT_TOLD },
		{ "and goes on",
		  { { 1, 10 }, { 2001, 100 }, { 2201, 0 }, { 4201, 20 } },
		  100,
		  10,
		  8 },
		/* several threads tell, the last one late */
		{ "a step back", { { 1, 0 }, { 2001, 102 }, { 2201, 100 } }, 200, 45, 2 },
		/* a clock that went back all the same */
		{ "a clock", { { 5000, 0 }, { 1000, 10 }, { 2000, 20 } }, 100, 10, NOT_TOLD },
		{ "large", { { 1, 0 }, { 2001, UINT64_MAX / 2 } }, UINT64_MAX, UINT64_MAX / 4, 2 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct rate rate = { 0 };
		uint64_t per_second = NOT_TOLD, left = NOT_TOLD, done = 0;

		for (size_t j = 0; j < N(rows[i].v) && (!j || rows[i].v[j].time); j++) {
			done = rows[i].v[j].done;
			rate_add(&rate, rows[i].v[j].time, done);
		}
		if (!rate_get(&rate, &per_second))
			assert_int_equal(per_second, NOT_TOLD);
		if (!rate_left(&rate, done, rows[i].total, &left))
			assert_int_equal(left, NOT_TOLD);
		if (per_second != rows[i].per_second || left != rows[i].left)
			fail_msg("%s: %lu in a second, %lu s left", rows[i].name,
				 (unsigned long)per_second, (unsigned long)left);
	}
}

/* However often it is asked for, no more samples are kept than there is room for, and they cover the window. */
static void test_many(void **state)
{
	struct rate rate = { 0 };
	uint64_t per_second = 0;

	(void)state;
	for (uint64_t time = 0; time < 100000; time += 200)
		rate_add(&rate, time, time < 50000 ? 0 : time - 50000);
	assert_true(rate.n <= RATE_SAMPLES);
	assert_true(rate.v[rate.n - 1].time - rate.v[0].time >= RATE_WINDOW);
	assert_true(rate_get(&rate, &per_second));
	assert_int_equal(per_second, 1000);
	for (uint64_t time = 100000; time < 101000; time++)
		rate_add(&rate, time, time);
	assert_true(rate.n <= RATE_SAMPLES);
}

static void test_text(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} rows[] = {
		{ 1, "about 1 s left" },
		{ 10, "about 10 s left" },
		{ 11, "about 15 s left" },
		{ 55, "about 55 s left" },
		{ 56, "about 1 min left" },
		{ 89, "about 1 min left" },
		{ 90, "about 2 min left" },
		{ 5969, "about 99 min left" },
		{ 5970, "about 2 h left" },
		{ 9000, "about 3 h left" },
		{ 170999, "about 47 h left" },
		{ 171000, "about 2 days left" },
		{ 99 * 86400, "about 99 days left" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		char text[64];

		assert_string_equal(rate_format_left(rows[i].seconds, text, sizeof(text)),
				    rows[i].text);
	}
}

/* The second line of a phase, two seconds after one of nothing done. */
static void test_line(void **state)
{
	static const struct {
		struct pmr_progress how_far;
		const char *line;
	} rows[] = {
		{ { "scan", "/mnt/a", 100, 0 }, "scan: 100 files (50/s), /mnt/a" },
		{ { "scan", "/mnt/a", 1, 0 }, "scan: 1 file, /mnt/a" },
		{ { "scan", NULL, 100, 500 }, "scan: 100 files of 500 (50/s), about 8 s left" },
		{ { "inodes", "/dev/pmem0", 200000, 500000 },
		  "inode table: 200000 inodes of 500000 (100000/s), about 3 s left, /dev/pmem0" },
		{ { "names", "/mnt", 100, 30100 },
		  "looking for names: 100 names of 30100 (50/s), about 10 min left, /mnt" },
		/* an estimated total that was too small */
		{ { "names", "/mnt", 101, 100 }, "looking for names: 101 names (50/s), /mnt" },
		{ { "names", "/mnt", 100, 100 },
		  "looking for names: 100 names of 100 (50/s), /mnt" },
		{ { "names", "/mnt", 0, 100 }, "looking for names: 0 names of 100, /mnt" },
		{ { "salvage", "/mnt/a", 8 << 20, 1 << 30 },
		  "salvage: 8 MiB of 1 GiB (4 MiB/s), about 4 min left, /mnt/a" },
		{ { "repair", "/mnt/\033[2J", 4096, 4096 },
		  "repair: 4 KiB of 4 KiB (2 KiB/s), /mnt/\\x1b[2J" },
		{ { "later", NULL, 4096, 0 }, "later: 4 KiB (2 KiB/s)" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_progress start = rows[i].how_far;
		struct progress progress = { 0 };
		char *line = NULL;
		size_t size;
		FILE *out = open_memstream(&line, &size);

		assert_non_null(out);
		start.done = 0;
		progress_print(&progress, &start, 1000, out);
		rewind(out);
		progress_print(&progress, &rows[i].how_far, 3000, out);
		assert_int_equal(fclose(out), 0);
		assert_string_equal(line, rows[i].line);
		free(line);
	}
}

/* The line was of another phase, so many milliseconds ago. */
static void test_turn(void **state)
{
	static const struct {
		const char *shown;
		struct pmr_progress how_far;
		uint64_t ago;
		uint64_t sure; /* when there was last one with an end that is known */
		bool turn;
	} rows[] = {
		{ NULL, { "scan", NULL, 1, 0 }, 200, 0, true },
		{ "scan", { "scan", NULL, 1, 0 }, 200, 0, true },
		{ "names", { "scan", NULL, 1, 0 }, 200, 0, false },
		{ "names", { "scan", NULL, 1, 0 }, 1999, 0, false },
		{ "names", { "scan", NULL, 1, 0 }, 2000, 0, true },
		{ "names", { "names", NULL, 1, 0 }, 200, 0, true },
		/* whose end is known is worth more */
		{ "scan", { "names", NULL, 1, 100 }, 200, 10200, true },
		{ "inodes", { "names", NULL, 1, 100 }, 200, 10200, true },
		{ NULL, { "scan", NULL, 1, 0 }, 200, 10100, false },
		{ "scan", { "scan", NULL, 1, 0 }, 200, 10100, false },
		{ "scan", { "scan", NULL, 1, 0 }, 200, 8201, false },
		{ "scan", { "scan", NULL, 1, 0 }, 200, 8200, true },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const struct pmr_progress before = { rows[i].shown, NULL, 1, 0 };
		struct progress progress = { .last = 10000,
					     .shown = rows[i].shown,
					     .sure = rows[i].sure };

		if (rows[i].shown)
			progress.phase = progress_phase(&before);
		assert_int_equal(progress_is_turn(&progress, &rows[i].how_far, 10000 + rows[i].ago),
				 rows[i].turn);
	}
}

/* Two phases that take turns do not spoil each other's rate. */
static void test_turns(void **state)
{
	struct pmr_progress names = { "names", NULL, 0, 0 }, scan = { "scan", NULL, 0, 0 };
	struct progress progress = { 0 };
	char *line = NULL;
	size_t size;
	FILE *out = open_memstream(&line, &size);

	(void)state;
	assert_non_null(out);
	for (uint64_t now = 0; now < 4000; now += 400) {
		scan.done += 40;
		names.done += 4000;
		progress_print(&progress, &scan, now, out);
		progress_print(&progress, &names, now + 200, out);
	}
	assert_int_equal(fclose(out), 0);
	assert_non_null(strstr(line, "scan: 400 files (100/s)"));
	assert_non_null(strstr(line, "names: 40000 names (10000/s)"));
	free(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples), cmocka_unit_test(test_many),
		cmocka_unit_test(test_text),	cmocka_unit_test(test_line),
		cmocka_unit_test(test_turn),	cmocka_unit_test(test_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
