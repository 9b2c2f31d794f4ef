/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Badblocks x extents -> losses, and losses refined by what was found in their pages. */

#include <errno.h>
#include <linux/fiemap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "extent/extent.h"

#define NO_EOF UINT64_MAX

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void add_ranges(struct pmr_ranges *ranges, const struct pmr_range *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		assert_int_equal(pmr_ranges_add(ranges, v[i].offset, v[i].length), 0);
	pmr_ranges_normalize(ranges);
}

static void assert_loss(const struct pmr_loss *got, const struct pmr_loss *want)
{
	assert_int_equal(got->offset, want->offset);
	assert_int_equal(got->length, want->length);
	assert_int_equal(got->device_offset, want->device_offset);
	assert_int_equal(got->state, want->state);
	assert_int_equal(got->shared, want->shared);
	if (want->reason)
		assert_string_equal(got->reason, want->reason);
	else
		assert_null(got->reason);
}

/* ---- intersect */

struct intersect_row {
	const char *name;
	struct pmr_range bad[4];
	struct pmr_extent extents[4];
	uint64_t size;
	uint64_t start;
	struct pmr_loss want[6];
};

/* Lists end at the first length of 0. */
static const struct intersect_row intersect_rows[] = {
	{ "nothing bad", { { 0 } }, { { 0, 4096, 4096, 0 } }, NO_EOF, 0, { { 0 } } },
	{ "before the extent", { { 0, 4096 } }, { { 0, 4096, 4096, 0 } }, NO_EOF, 0, { { 0 } } },
	{ "after the extent", { { 8192, 512 } }, { { 0, 4096, 4096, 0 } }, NO_EOF, 0, { { 0 } } },
	{ "first sector",
	  { { 4096, 512 } },
	  { { 0, 4096, 4096, 0 } },
	  NO_EOF,
	  0,
	  { { .offset = 0, .length = 512, .device_offset = 4096 } } },
	{ "last sector, in a partition",
	  { { 7680, 512 } },
	  { { 65536, 4096, 4096, 0 } },
	  NO_EOF,
	  1048576,
	  { { .offset = 69120, .length = 512, .device_offset = 1056256 } } },
	{ "range wider than the extent",
	  { { 0, 65536 } },
	  { { 8192, 4096, 8192, 0 } },
	  NO_EOF,
	  0,
	  { { .offset = 8192, .length = 8192, .device_offset = 4096 } } },
	{ "one range over two extents that lie the other way round",
	  { { 7680, 1024 } },
	  { { 0, 8192, 4096, 0 }, { 4096, 4096, 4096, 0 } },
	  NO_EOF,
	  0,
	  { { .offset = 0, .length = 512, .device_offset = 8192 },
	    { .offset = 7680, .length = 512, .device_offset = 7680 } } },
	{ "one extent, three ranges, the middle one long",
	  { { 4096, 512 }, { 5120, 1024 }, { 7680, 9999 } },
	  { { 0, 4096, 4096, 0 } },
	  NO_EOF,
	  0,
	  { { .offset = 0, .length = 512, .device_offset = 4096 },
	    { .offset = 1024, .length = 1024, .device_offset = 5120 },
	    { .offset = 3584, .length = 512, .device_offset = 7680 } } },
	{ "the same block twice in one file",
	  { { 4608, 512 } },
	  { { 0, 4096, 4096, FIEMAP_EXTENT_SHARED }, { 40960, 4096, 4096, FIEMAP_EXTENT_SHARED } },
	  NO_EOF,
	  0,
	  { { .offset = 512, .length = 512, .device_offset = 4608, .shared = true },
	    { .offset = 41472, .length = 512, .device_offset = 4608, .shared = true } } },
	{ "unwritten",
	  { { 4096, 512 } },
	  { { 0, 4096, 4096, FIEMAP_EXTENT_UNWRITTEN } },
	  NO_EOF,
	  0,
	  { { .offset = 0, .length = 512, .device_offset = 4096, .state = PMR_UNWRITTEN } } },
	{ "past the end",
	  { { 4608, 512 } },
	  { { 0, 4096, 4096, 0 } },
	  512,
	  0,
	  { { .offset = 512, .length = 512, .device_offset = 4608, .state = PMR_PAST_EOF } } },
	{ "the end inside a sector",
	  { { 4096, 1024 } },
	  { { 0, 4096, 4096, 0 } },
	  700,
	  0,
	  { { .offset = 0, .length = 700, .device_offset = 4096 },
	    { .offset = 700, .length = 324, .device_offset = 4796, .state = PMR_PAST_EOF } } },
	{ "unwritten over the end",
	  { { 4096, 1024 } },
	  { { 0, 4096, 4096, FIEMAP_EXTENT_UNWRITTEN } },
	  1,
	  0,
	  { { .offset = 0, .length = 1, .device_offset = 4096, .state = PMR_UNWRITTEN },
	    { .offset = 1, .length = 1023, .device_offset = 4097, .state = PMR_PAST_EOF } } },
	{ "an empty file with preallocated blocks",
	  { { 4096, 512 } },
	  { { 0, 4096, 4096, 0 } },
	  0,
	  0,
	  { { .offset = 0, .length = 512, .device_offset = 4096, .state = PMR_PAST_EOF } } },
	{ "the end of the address space",
	  { { UINT64_MAX - 512, 512 } },
	  { { 0, UINT64_MAX - 4096, 4096, 0 } },
	  NO_EOF,
	  0,
	  { { .offset = 3584, .length = 512, .device_offset = UINT64_MAX - 512 } } },
};

static void test_intersect(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < N(intersect_rows); i++) {
		const struct intersect_row *row = &intersect_rows[i];
		struct pmr_losses plain = { 0 }, sieved = { 0 };
		struct pmr_ranges bad = { 0 };
		struct pmr_sieve sieve;

		print_message("%s\n", row->name);
		for (j = 0; j < N(row->bad) && row->bad[j].length; j++)
			add_ranges(&bad, &row->bad[j], 1);
		pmr_sieve_init(&sieve, &bad);
		for (j = 0; j < N(row->extents) && row->extents[j].length; j++) {
			assert_int_equal(pmr_intersect(&bad, &row->extents[j], row->size,
						       row->start, &plain),
					 0);
			assert_int_equal(pmr_sieve_intersect(&sieve, &row->extents[j], row->size,
							     row->start, &sieved),
					 0);
		}
		for (j = 0; j < N(row->want) && row->want[j].length; j++) {
			assert_true(j < plain.n && j < sieved.n);
			assert_loss(&plain.v[j], &row->want[j]);
			assert_loss(&sieved.v[j], &row->want[j]);
		}
		assert_int_equal(plain.n, j);
		assert_int_equal(sieved.n, j);
		free(plain.v);
		free(sieved.v);
		pmr_ranges_release(&bad);
	}
}

static void test_intersect_overflow(void **state)
{
	static const struct {
		struct pmr_extent extent;
		uint64_t start;
	} rows[] = {
		{ { 0, UINT64_MAX - 100, 4096, 0 }, 0 },
		{ { UINT64_MAX - 100, 0, 4096, 0 }, 0 },
		{ { 0, UINT64_MAX - 8192, 4096, 0 }, 8192 },
	};
	const struct pmr_range one = { 0, UINT64_MAX };
	struct pmr_losses losses = { 0 };
	struct pmr_ranges bad = { 0 };
	struct pmr_sieve sieve;
	size_t i;

	(void)state;
	add_ranges(&bad, &one, 1);
	pmr_sieve_init(&sieve, &bad);
	for (i = 0; i < N(rows); i++) {
		assert_int_equal(
			pmr_intersect(&bad, &rows[i].extent, NO_EOF, rows[i].start, &losses),
			-EOVERFLOW);
		assert_int_equal(pmr_sieve_intersect(&sieve, &rows[i].extent, NO_EOF, rows[i].start,
						     &losses),
				 -EOVERFLOW);
	}
	assert_int_equal(losses.n, 0);
	assert_null(losses.v);
	pmr_ranges_release(&bad);
}

/* ---- against a model that looks at every sector */

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void compare_with_model(uint32_t seed, uint64_t scale)
{
	enum { SECTORS = 4096 };
	bool model[SECTORS] = { false }, got[SECTORS] = { false };
	struct pmr_losses plain = { 0 }, sieved = { 0 };
	struct pmr_ranges bad = { 0 };
	struct pmr_sieve sieve;
	size_t i, j, n = next_random(&seed) % 200;

	for (i = 0; i < n; i++) {
		uint64_t at = next_random(&seed) % SECTORS, length = 1 + next_random(&seed) % 9;

		if (at + length > SECTORS)
			length = SECTORS - at;
		assert_int_equal(pmr_ranges_add(&bad, at * scale, length * scale), 0);
		for (j = at; j < at + length; j++)
			model[j] = true;
	}
	pmr_ranges_normalize(&bad);
	pmr_sieve_init(&sieve, &bad);
	/* Extents of every length cover the device, so that each sector is asked about once. */
	for (i = 0; i < SECTORS;) {
		struct pmr_extent extent = { .offset = i * scale, .physical = i * scale };
		size_t length = 1 + next_random(&seed) % (next_random(&seed) % 20 ? 8 : 900);

		if (length > SECTORS - i)
			length = SECTORS - i;
		extent.length = length * scale;
		assert_int_equal(pmr_intersect(&bad, &extent, NO_EOF, 0, &plain), 0);
		assert_int_equal(pmr_sieve_intersect(&sieve, &extent, NO_EOF, 0, &sieved), 0);
		i += length;
	}
	assert_int_equal(plain.n, sieved.n);
	for (i = 0; i < plain.n; i++) {
		assert_loss(&sieved.v[i], &plain.v[i]);
		assert_int_equal(plain.v[i].offset, plain.v[i].device_offset);
		assert_int_equal(plain.v[i].offset % scale, 0);
		for (j = 0; j < plain.v[i].length / scale; j++)
			got[plain.v[i].offset / scale + j] = true;
	}
	assert_memory_equal(model, got, sizeof(model));
	free(plain.v);
	free(sieved.v);
	pmr_ranges_release(&bad);
}

static void test_model(void **state)
{
	static const uint64_t scales[] = { 512, 4096, 65536, 1ull << 30, 1ull << 44 };
	uint32_t seed;
	size_t i;

	(void)state;
	for (i = 0; i < N(scales); i++) {
		for (seed = 1; seed <= 100; seed++)
			compare_with_model(seed, scales[i]);
	}
}

/* ---- pages */

static void test_pages(void **state)
{
	/* Page 0 in two parts, 1 and 2 whole, 3 to its middle, 5 in its middle, 6 untouched, 7 its last sector. */
	static const struct pmr_range listed[] = {
		{ 0, 512 }, { 1024, 512 }, { 4096, 10240 }, { 20480 + 512, 512 }, { 32256, 512 }
	};
	static const struct {
		uint64_t offset;
		uint8_t listed;
		uint8_t block_2k;
	} want[] = {
		{ 0, 0x05, 0x0f },
		{ 12288, 0x0f, 0x0f },
		{ 20480, 0x02, 0x0f },
		{ 28672, 0x80, 0xf0 },
	};
	static const struct {
		uint64_t offset;
		size_t want;
	} firsts[] = { { 0, 0 },     { 4095, 0 },  { 4096, 1 }, { 12288, 1 },
		       { 16383, 1 }, { 16384, 2 }, { 40000, 4 } };
	struct pmr_pages pages = { 0 }, pages_2k = { 0 }, pages_4k = { 0 };
	struct pmr_ranges ranges = { 0 };
	size_t i;

	(void)state;
	add_ranges(&ranges, listed, N(listed));
	assert_int_equal(pmr_pages_init(&ranges, 0, &pages), 0);
	assert_int_equal(pmr_pages_init(&ranges, 2048, &pages_2k), 0);
	assert_int_equal(pmr_pages_init(&ranges, 4096, &pages_4k), 0);
	assert_int_equal(pages.n, N(want));
	assert_int_equal(pages_2k.n, N(want));
	for (i = 0; i < N(want); i++) {
		assert_int_equal(pages.v[i].offset, want[i].offset);
		assert_int_equal(pages.v[i].listed, want[i].listed);
		assert_int_equal(pages.v[i].block, want[i].listed);
		assert_int_equal(pages_2k.v[i].block, want[i].block_2k);
		assert_int_equal(pages_4k.v[i].block, 0xff);
		assert_false(pages.v[i].examined);
	}
	for (i = 0; i < N(firsts); i++)
		assert_int_equal(pmr_pages_first(&pages, firsts[i].offset), firsts[i].want);
	free(pages.v);
	free(pages_2k.v);
	free(pages_4k.v);
	pmr_ranges_release(&ranges);
}

static void test_widen(void **state)
{
	/* A filesystem that begins and ends inside a page, bad on both sides of either border. */
	static const struct pmr_range listed[] = {
		{ 512, 512 }, { 8192, 512 }, { 12800, 512 }, { 40960 - 512, 512 }
	};
	static const struct pmr_range want[] = { { 0, 1024 }, { 5120, 8192 }, { 33792, 1024 } };
	struct pmr_ranges ranges = { 0 }, wide = { 0 };
	size_t i;

	(void)state;
	add_ranges(&ranges, listed, N(listed));
	assert_int_equal(pmr_widen(&ranges, 3072, 34816, &wide), 0);
	assert_int_equal(wide.n, N(want));
	for (i = 0; i < N(want); i++) {
		assert_int_equal(wide.v[i].offset, want[i].offset);
		assert_int_equal(wide.v[i].length, want[i].length);
	}
	pmr_ranges_release(&ranges);
	pmr_ranges_release(&wide);
}

/* ---- refine */

struct refine_row {
	const char *name;
	struct pmr_range listed[3];
	unsigned int logical_block;
	/* Of the first page listed in part. */
	bool examined;
	enum pmr_page_state state;
	uint8_t dead;
	struct pmr_loss wide;
	struct pmr_loss want[5];
};

/* Device offsets of these rows are file offsets + 1 MiB. */
#define AT(offset_, length_, reason_)                                                           \
	{                                                                                       \
		.offset = (offset_), .length = (length_), .device_offset = 1048576 + (offset_), \
		.reason = (reason_)                                                             \
	}

static const struct refine_row refine_rows[] = {
	{ "siblings read",
	  { { 1048576 + 1024, 512 } },
	  512,
	  true,
	  PMR_PAGE_OK,
	  0,
	  AT(0, 4096, NULL),
	  { AT(1024, 512, NULL) } },
	{ "nobody could look",
	  { { 1048576 + 1024, 512 } },
	  512,
	  false,
	  PMR_PAGE_UNTOLD,
	  0,
	  AT(0, 4096, NULL),
	  { AT(1024, 512, NULL) } },
	{ "offlined",
	  { { 1048576 + 1024, 512 } },
	  512,
	  true,
	  PMR_PAGE_OFFLINED,
	  0xfb,
	  AT(0, 4096, NULL),
	  { AT(0, 1024, "page-offlined"), AT(1024, 512, "page-offlined"),
	    AT(1536, 2560, "page-offlined") } },
	{ "offlined, next to a page that is listed whole",
	  { { 1048576 + 1024, 512 }, { 1048576 + 4096, 4096 } },
	  512,
	  true,
	  PMR_PAGE_OFFLINED,
	  0xfb,
	  AT(0, 8192, NULL),
	  { AT(0, 1024, "page-offlined"), AT(1024, 512, "page-offlined"),
	    AT(1536, 2560, "page-offlined"), AT(4096, 4096, NULL) } },
	{ "one sibling fails",
	  { { 1048576 + 1024, 512 } },
	  512,
	  true,
	  PMR_PAGE_PARTLY,
	  0x08,
	  AT(0, 4096, NULL),
	  { AT(1024, 512, NULL), AT(1536, 512, "unlisted") } },
	{ "the file begins and ends inside the page",
	  { { 1048576 + 1024, 512 } },
	  512,
	  true,
	  PMR_PAGE_OFFLINED,
	  0xfb,
	  AT(1024, 700, NULL),
	  { AT(1024, 512, "page-offlined"), AT(1536, 188, "page-offlined") } },
	{ "only siblings belong to the file, and read",
	  { { 1048576 + 1024, 512 } },
	  512,
	  true,
	  PMR_PAGE_OK,
	  0,
	  AT(2048, 2048, NULL),
	  { { 0 } } },
	{ "only siblings belong to the file, and are offlined",
	  { { 1048576 + 1024, 512 } },
	  512,
	  true,
	  PMR_PAGE_OFFLINED,
	  0xfb,
	  AT(2048, 2048, NULL),
	  { AT(2048, 2048, "page-offlined") } },
	{ "logical blocks of 4096 bytes",
	  { { 1048576 + 1024, 512 } },
	  4096,
	  true,
	  PMR_PAGE_UNTOLD,
	  0,
	  AT(0, 4096, NULL),
	  { AT(0, 1024, "logical-block"), AT(1024, 512, NULL), AT(1536, 2560, "logical-block") } },
	{ "logical blocks of 1024 bytes, and the others fail",
	  { { 1048576 + 1024, 512 } },
	  1024,
	  true,
	  PMR_PAGE_PARTLY,
	  0x80,
	  AT(0, 4096, NULL),
	  { AT(1024, 512, NULL), AT(1536, 512, "logical-block"), AT(3584, 512, "unlisted") } },
	{ "pages listed whole",
	  { { 1048576, 8192 } },
	  512,
	  false,
	  PMR_PAGE_UNTOLD,
	  0,
	  AT(100, 8000, NULL),
	  { AT(100, 8000, NULL) } },
	{ "unwritten is listed or nothing",
	  { { 1048576 + 1024, 512 } },
	  4096,
	  true,
	  PMR_PAGE_OFFLINED,
	  0xfb,
	  { .offset = 0, .length = 4096, .device_offset = 1048576, .state = PMR_UNWRITTEN },
	  { { .offset = 1024, .length = 512, .device_offset = 1049600, .state = PMR_UNWRITTEN } } },
};

/* Pages that reading found to be offline, whole ones and one that a volume cuts. */
static void test_offline(void **state)
{
	static const struct pmr_range listed[] = {
		{ 4096 + 512, 512 }, { 8192, 8192 }, { 20480 + 2048, 2048 }, { 28672, 1024 }
	};
	static const struct pmr_range offlined[] = { { 12288, 4096 },
						     { 22528, 512 },
						     { 23552, 1024 } };
	static const uint64_t offsets[] = { 4096, 12288, 20480, 28672 };
	static const struct pmr_range wide[] = { { 4096, 12288 },
						 { 20480, 4096 },
						 { 28672, 4096 } };
	static const struct {
		struct pmr_range range;
		const char *reason;
	} want[] = { { { 4608, 512 }, NULL },
		     { { 8192, 4096 }, NULL },
		     { { 12288, 4096 }, "page-offlined" },
		     { { 22528, 2048 }, "page-offlined" },
		     { { 28672, 1024 }, NULL } };
	struct pmr_ranges bad = { 0 }, off = { 0 };
	struct pmr_losses losses = { 0 };
	struct pmr_pages pages;
	size_t i;

	(void)state;
	add_ranges(&bad, listed, N(listed));
	add_ranges(&off, offlined, N(offlined));
	assert_int_equal(pmr_pages_init(&bad, 512, &pages), 0);
	assert_int_equal(pmr_pages_offline(&pages, &off), 0);
	assert_int_equal(pages.n, N(offsets));
	for (i = 0; i < pages.n; i++)
		assert_int_equal(pages.v[i].offset, offsets[i]);
	for (i = 0; i < N(wide); i++) {
		const struct pmr_loss loss = { .offset = wide[i].offset,
					       .length = wide[i].length,
					       .device_offset = wide[i].offset };

		assert_int_equal(pmr_refine(&pages, &loss, &losses), 0);
	}
	assert_int_equal(losses.n, N(want));
	for (i = 0; i < N(want); i++) {
		assert_int_equal(losses.v[i].device_offset, want[i].range.offset);
		assert_int_equal(losses.v[i].length, want[i].range.length);
		assert_int_equal(!losses.v[i].reason, !want[i].reason);
		if (want[i].reason)
			assert_string_equal(losses.v[i].reason, want[i].reason);
	}
	free(losses.v);
	free(pages.v);
	pmr_ranges_release(&bad);
	pmr_ranges_release(&off);
}

static void test_refine(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < N(refine_rows); i++) {
		const struct refine_row *row = &refine_rows[i];
		struct pmr_losses losses = { 0 };
		struct pmr_ranges listed = { 0 };
		struct pmr_pages pages;

		print_message("%s\n", row->name);
		for (j = 0; j < N(row->listed) && row->listed[j].length; j++)
			add_ranges(&listed, &row->listed[j], 1);
		assert_int_equal(pmr_pages_init(&listed, row->logical_block, &pages), 0);
		if (pages.n) {
			pages.v[0].examined = row->examined;
			pages.v[0].state = row->state;
			pages.v[0].dead = row->dead;
		}
		assert_int_equal(pmr_refine(&pages, &row->wide, &losses), 0);
		for (j = 0; j < N(row->want) && row->want[j].length; j++) {
			assert_true(j < losses.n);
			assert_loss(&losses.v[j], &row->want[j]);
		}
		assert_int_equal(losses.n, j);
		free(losses.v);
		free(pages.v);
		pmr_ranges_release(&listed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_intersect), cmocka_unit_test(test_intersect_overflow),
		cmocka_unit_test(test_model),	  cmocka_unit_test(test_pages),
		cmocka_unit_test(test_widen),	  cmocka_unit_test(test_offline),
		cmocka_unit_test(test_refine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
