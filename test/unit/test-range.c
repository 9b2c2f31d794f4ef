/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of ranges: against tables, and against a bitmap where the cases are too many to write down. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "private.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define MAX_RANGES 8
#define SPAN 64

/* Ends at the first range without a length. */
typedef struct pmr_range ranges_row[MAX_RANGES];

static void fill(struct pmr_ranges *ranges, const struct pmr_range *row)
{
	memset(ranges, 0, sizeof(*ranges));
	for (; row->length; row++)
		assert_int_equal(pmr_ranges_add(ranges, row->offset, row->length), 0);
}

static void check(const struct pmr_ranges *ranges, const struct pmr_range *row)
{
	size_t i;

	for (i = 0; row[i].length; i++) {
		assert_true(i < ranges->n);
		assert_int_equal(ranges->v[i].offset, row[i].offset);
		assert_int_equal(ranges->v[i].length, row[i].length);
	}
	assert_int_equal(ranges->n, i);
}

static void test_add(void **state)
{
	static const struct {
		uint64_t offset, length;
		int rc;
	} rows[] = {
		{ 0, 1, 0 },	   { 0, UINT64_MAX, 0 },	  { UINT64_MAX - 1, 1, 0 },
		{ 0, 0, -EINVAL }, { UINT64_MAX, 1, -EOVERFLOW }, { 1, UINT64_MAX, -EOVERFLOW },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_ranges ranges = { 0 };

		assert_int_equal(pmr_ranges_add(&ranges, rows[i].offset, rows[i].length),
				 rows[i].rc);
		assert_int_equal(ranges.n, rows[i].rc == 0);
		pmr_ranges_release(&ranges);
		assert_null(ranges.v);
	}
}

static void test_normalize(void **state)
{
	static const struct {
		ranges_row in, out;
		uint64_t bytes;
	} rows[] = {
		{ { { 0 } }, { { 0 } }, 0 },
		{ { { 5, 2 } }, { { 5, 2 } }, 2 },
		{ { { 5, 2 }, { 1, 2 } }, { { 1, 2 }, { 5, 2 } }, 4 },
		{ { { 1, 2 }, { 3, 2 } }, { { 1, 4 } }, 4 },
		{ { { 1, 4 }, { 3, 4 } }, { { 1, 6 } }, 6 },
		{ { { 1, 9 }, { 3, 2 } }, { { 1, 9 } }, 9 },
		{ { { 3, 2 }, { 1, 9 }, { 3, 2 } }, { { 1, 9 } }, 9 },
		{ { { 1, 1 }, { 1, 1 } }, { { 1, 1 } }, 1 },
		{ { { 8, 1 }, { 0, 1 }, { 4, 5 }, { 1, 1 } }, { { 0, 2 }, { 4, 5 } }, 7 },
		{ { { UINT64_MAX - 1, 1 }, { 0, UINT64_MAX - 1 } },
		  { { 0, UINT64_MAX } },
		  UINT64_MAX },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_ranges ranges;

		fill(&ranges, rows[i].in);
		pmr_ranges_normalize(&ranges);
		check(&ranges, rows[i].out);
		assert_int_equal(pmr_ranges_bytes(&ranges), rows[i].bytes);
		pmr_ranges_release(&ranges);
	}
}

static void test_first_and_overlap(void **state)
{
	static const ranges_row row = { { 10, 10 }, { 30, 1 }, { 40, 20 } };
	static const struct {
		uint64_t offset, length;
		size_t first;
		bool overlap;
	} rows[] = {
		{ 0, 0, 0, false },	     { 0, 10, 0, false },
		{ 0, 11, 0, true },	     { 0, UINT64_MAX, 0, true },
		{ 10, 1, 0, true },	     { 15, 0, 0, false },
		{ 19, 1, 0, true },	     { 20, 10, 1, false },
		{ 20, 11, 1, true },	     { 30, 1, 1, true },
		{ 31, 9, 2, false },	     { 59, 1, 2, true },
		{ 60, 1, 3, false },	     { 60, UINT64_MAX, 3, false },
		{ 59, UINT64_MAX, 2, true }, { UINT64_MAX, 1, 3, false },
	};
	struct pmr_ranges ranges;
	size_t i;

	(void)state;
	fill(&ranges, row);
	for (i = 0; i < N(rows); i++) {
		assert_int_equal(pmr_ranges_first(&ranges, rows[i].offset), rows[i].first);
		assert_int_equal(pmr_ranges_overlap(&ranges, rows[i].offset, rows[i].length),
				 rows[i].overlap);
	}
	pmr_ranges_release(&ranges);
}

static void test_clip(void **state)
{
	static const ranges_row row = { { 10, 10 }, { 30, 1 }, { 40, 20 } };
	static const struct {
		uint64_t offset, length;
		ranges_row out;
	} rows[] = {
		{ 0, UINT64_MAX, { { 10, 10 }, { 30, 1 }, { 40, 20 } } },
		{ 0, 10, { { 0 } } },
		{ 15, 0, { { 0 } } },
		{ 12, 3, { { 12, 3 } } },
		{ 15, 26, { { 15, 5 }, { 30, 1 }, { 40, 1 } } },
		{ 50, UINT64_MAX, { { 50, 10 } } },
		{ 60, 1, { { 0 } } },
	};
	struct pmr_ranges ranges;
	size_t i;

	(void)state;
	fill(&ranges, row);
	for (i = 0; i < N(rows); i++) {
		struct pmr_ranges out = { 0 };

		assert_int_equal(pmr_ranges_clip(&out, &ranges, rows[i].offset, rows[i].length), 0);
		check(&out, rows[i].out);
		pmr_ranges_release(&out);
	}
	pmr_ranges_release(&ranges);
}

static void test_copy(void **state)
{
	static const ranges_row row = { { 1, 2 }, { 5, 6 } };
	struct pmr_ranges from, to = { 0 }, none = { 0 };

	(void)state;
	fill(&from, row);
	assert_int_equal(pmr_ranges_copy(&to, &from), 0);
	pmr_ranges_release(&from);
	check(&to, row);
	/* A copy grows like any other list. */
	assert_int_equal(pmr_ranges_add(&to, 100, 1), 0);
	assert_int_equal(to.n, 3);
	assert_int_equal(pmr_ranges_copy(&to, &to), 0);
	assert_int_equal(to.n, 3);
	assert_int_equal(pmr_ranges_copy(&to, &none), 0);
	assert_int_equal(to.n, 0);
	pmr_ranges_release(&to);
}

/* ---- against a bitmap */

static unsigned int next_random(unsigned int *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 16;
}

static void randomize(struct pmr_ranges *ranges, bool *map, unsigned int *seed)
{
	unsigned int i, n = next_random(seed) % MAX_RANGES;

	memset(ranges, 0, sizeof(*ranges));
	memset(map, 0, SPAN);
	for (i = 0; i < n; i++) {
		unsigned int offset = next_random(seed) % (SPAN - 1);
		unsigned int length = 1 + next_random(seed) % (SPAN - offset) / 4;

		assert_int_equal(pmr_ranges_add(ranges, offset, length), 0);
		memset(map + offset, true, length);
	}
	pmr_ranges_normalize(ranges);
}

static void check_map(const struct pmr_ranges *ranges, const bool *map)
{
	bool seen[SPAN] = { false };
	size_t i;

	for (i = 0; i < ranges->n; i++) {
		memset(seen + ranges->v[i].offset, true, ranges->v[i].length);
		/* Normal: neither overlapping nor touching. */
		if (i)
			assert_true(ranges->v[i].offset >
				    ranges->v[i - 1].offset + ranges->v[i - 1].length);
	}
	assert_memory_equal(seen, map, SPAN);
}

static void test_against_bitmap(void **state)
{
	unsigned int seed = 1, round;

	(void)state;
	for (round = 0; round < 20000; round++) {
		bool in_a[SPAN], in_b[SPAN], want[SPAN];
		struct pmr_ranges a, b, out = { 0 };
		unsigned int i, from = next_random(&seed) % SPAN;
		unsigned int length = next_random(&seed) % (SPAN - from + 1);

		randomize(&a, in_a, &seed);
		randomize(&b, in_b, &seed);
		check_map(&a, in_a);

		for (i = 0; i < SPAN; i++)
			want[i] = in_a[i] && !in_b[i];
		assert_int_equal(pmr_ranges_subtract(&out, &a, &b), 0);
		check_map(&out, want);
		pmr_ranges_release(&out);

		for (i = 0; i < SPAN; i++)
			want[i] = in_a[i] && i >= from && i < from + length;
		assert_int_equal(pmr_ranges_clip(&out, &a, from, length), 0);
		check_map(&out, want);
		assert_int_equal(pmr_ranges_overlap(&a, from, length), out.n > 0);
		pmr_ranges_release(&out);

		pmr_ranges_release(&a);
		pmr_ranges_release(&b);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_normalize),
		cmocka_unit_test(test_first_and_overlap),
		cmocka_unit_test(test_clip),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_against_bitmap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
