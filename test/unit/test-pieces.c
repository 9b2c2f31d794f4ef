/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Places and ranges through the pieces of mapped devices, held against a walk over every byte. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "private.h"
#include "device/topology.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static struct pmr_device a = { .name = "a" }, b = { .name = "b" };
static struct pmr_stripe on_a_100[] = { { &a, 100 } }, on_b_0[] = { { &b, 0 } };
static struct pmr_stripe on_both[] = { { &a, 500 }, { &b, 300 } };
static struct pmr_stripe on_a_twice[] = { { &a, 500 }, { &a, 1000 }, { &b, 7 } };
static struct pmr_device *both[] = { &a, &b };

/* [0, 50) on a; [50, 80) on b; [80, 200) by turns of 10 on a and b; [200, 290) of 10, two of three on a. */
static struct pmr_piece pieces[] = {
	{ 0, 50, 0, on_a_100, 1 },
	{ 50, 30, 0, on_b_0, 1 },
	{ 80, 120, 10, on_both, 2 },
	{ 200, 90, 10, on_a_twice, 3 },
};
static struct pmr_device mapped = {
	.name = "dm-0",
	.mode = PMR_MODE_MAPPED,
	.pieces = pieces,
	.n_pieces = N(pieces),
	.lowers = both,
	.n_lowers = N(both),
};

static void test_down(void **state)
{
	static const struct {
		uint64_t offset, length;
		const struct pmr_device *lower;
		uint64_t lower_offset, together;
	} rows[] = {
		{ 0, 10, &a, 100, 10 },	       { 0, 1000, &a, 100, 50 },  { 49, 2, &a, 149, 1 },
		{ 50, 100, &b, 0, 30 },	       { 79, 9, &b, 29, 1 },	  { 80, 100, &a, 500, 10 },
		{ 89, 100, &a, 509, 1 },       { 90, 100, &b, 300, 10 },  { 103, 4, &a, 513, 4 },
		{ 199, 100, &b, 359, 1 },      { 200, 100, &a, 500, 10 }, { 210, 3, &a, 1000, 3 },
		{ 225, 100, &b, 12, 5 },       { 289, 100, &b, 36, 1 },	  { 290, 1, NULL, 0, 0 },
		{ UINT64_MAX, 1, NULL, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		uint64_t length = rows[i].length, offset = 0;
		struct pmr_device *lower = NULL;

		assert_int_equal(pmr_pieces_down(&mapped, rows[i].offset, &length, &lower, &offset),
				 rows[i].lower != NULL);
		if (!rows[i].lower)
			continue;
		assert_ptr_equal(lower, rows[i].lower);
		assert_int_equal(offset, rows[i].lower_offset);
		assert_int_equal(length, rows[i].together);
	}
}

static void test_up(void **state)
{
	static const struct {
		const struct pmr_device *lower;
		struct pmr_range range;
		size_t n;
		struct pmr_range up[4];
	} rows[] = {
		/* Ahead of all, across the border of a piece, and in none. */
		{ &a, { 0, 100 }, 0, { { 0, 0 } } },
		{ &a, { 90, 20 }, 1, { { 0, 10 } } },
		{ &a, { 140, 100 }, 1, { { 40, 10 } } },
		{ &a, { 2000, 5 }, 0, { { 0, 0 } } },
		/* What two pieces have of it, and what lies together below and not above. */
		{ &a, { 505, 2 }, 2, { { 85, 2 }, { 205, 2 } } },
		{ &a, { 509, 2 }, 4, { { 89, 1 }, { 100, 1 }, { 209, 1 }, { 230, 1 } } },
		{ &b, { 300, 20 }, 2, { { 90, 10 }, { 110, 10 } } },
		/* A row of chunks on both sides joins above. */
		{ &b, { 9, 8 }, 2, { { 59, 8 }, { 222, 8 } } },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const struct pmr_ranges one = { .v = (struct pmr_range *)&rows[i].range, .n = 1 };
		struct pmr_ranges up = { 0 };

		assert_int_equal(pmr_pieces_up(&mapped, rows[i].lower, &one, &up), 0);
		assert_int_equal(up.n, rows[i].n);
		for (size_t j = 0; j < up.n; j++) {
			assert_int_equal(up.v[j].offset, rows[i].up[j].offset);
			assert_int_equal(up.v[j].length, rows[i].up[j].length);
		}
		pmr_ranges_release(&up);
	}
}

/* ---- at random, against a table of every byte */

enum { BYTES = 1200, LOWER = 4000, PIECES = 6, STRIPES = 4, ROUNDS = 400 };

struct spot {
	int lower;
	int offset;
};

struct random_device {
	struct pmr_device device;
	struct pmr_device lowers[2];
	struct pmr_device *pointers[2];
	struct pmr_piece pieces[PIECES];
	struct pmr_stripe stripes[PIECES][STRIPES];
	struct spot spots[BYTES];
	int bytes;
};

static uint64_t seed;

static unsigned int draw(unsigned int below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(seed >> 33) % below;
}

/* Deals the bytes out one by one, a chunk to a stripe, as the kernel's documentation tells it. */
static void deal(struct random_device *d, const struct pmr_piece *piece, int first)
{
	int taken[STRIPES] = { 0 }, turn = 0, in_chunk = 0;

	for (uint64_t i = 0; i < piece->length; i++) {
		struct spot *spot = &d->spots[first + (int)i];

		if (piece->chunk && in_chunk == (int)piece->chunk) {
			in_chunk = 0;
			turn = turn + 1 == (int)piece->n_stripes ? 0 : turn + 1;
		}
		spot->lower = piece->stripes[turn].lower == &d->lowers[1];
		spot->offset = (int)piece->stripes[turn].offset + taken[turn]++;
		in_chunk++;
	}
}

static void make(struct random_device *d)
{
	memset(d, 0, sizeof(*d));
	d->pointers[0] = &d->lowers[0];
	d->pointers[1] = &d->lowers[1];
	d->device = (struct pmr_device){ .mode = PMR_MODE_MAPPED,
					 .pieces = d->pieces,
					 .n_pieces = 1 + draw(PIECES),
					 .lowers = d->pointers,
					 .n_lowers = 2 };
	for (size_t i = 0; i < d->device.n_pieces; i++) {
		struct pmr_piece *piece = &d->pieces[i];

		piece->offset = (uint64_t)d->bytes;
		piece->stripes = d->stripes[i];
		piece->n_stripes = 1 + draw(STRIPES);
		piece->chunk = piece->n_stripes > 1 ? 1 + draw(9) : 0;
		piece->length = piece->chunk ? piece->chunk * piece->n_stripes * (1 + draw(5))
					     : 1 + draw(100);
		for (size_t j = 0; j < piece->n_stripes; j++)
			piece->stripes[j] =
				(struct pmr_stripe){ d->pointers[draw(2)], draw(LOWER / 2) };
		deal(d, piece, d->bytes);
		d->bytes += (int)piece->length;
	}
}

static bool is_in(const struct pmr_ranges *ranges, uint64_t offset)
{
	for (size_t i = 0; i < ranges->n; i++) {
		if (offset >= ranges->v[i].offset &&
		    offset - ranges->v[i].offset < ranges->v[i].length)
			return true;
	}
	return false;
}

static void check_normal(const struct pmr_ranges *ranges)
{
	for (size_t i = 1; i < ranges->n; i++)
		assert_true(ranges->v[i - 1].offset + ranges->v[i - 1].length <
			    ranges->v[i].offset);
}

static void check_down(struct random_device *d)
{
	for (int at = 0; at < d->bytes; at++) {
		uint64_t length = 1 + draw(40), asked = length, offset;
		struct pmr_device *lower;

		assert_true(pmr_device_below(&d->device, (uint64_t)at, &length, &lower, &offset));
		assert_true(length >= 1 && length <= asked);
		for (int i = 0; i < (int)length; i++) {
			assert_ptr_equal(lower, &d->lowers[d->spots[at + i].lower]);
			assert_int_equal(offset + (uint64_t)i, d->spots[at + i].offset);
		}
	}
}

static void check_both_ways(struct random_device *d)
{
	struct pmr_ranges below[2] = { { 0 }, { 0 } }, up = { 0 }, again = { 0 };

	for (int side = 0; side < 2; side++) {
		for (unsigned int n = draw(8); n; n--)
			assert_int_equal(pmr_ranges_add(&below[side], draw(LOWER), 1 + draw(60)),
					 0);
		pmr_ranges_normalize(&below[side]);
		assert_int_equal(pmr_pieces_up(&d->device, &d->lowers[side], &below[side], &up), 0);
	}
	check_normal(&up);
	for (int at = 0; at < d->bytes + 10; at++)
		assert_int_equal(is_in(&up, (uint64_t)at),
				 at < d->bytes && is_in(&below[d->spots[at].lower],
							(uint64_t)d->spots[at].offset));
	for (int side = 0; side < 2; side++) {
		again.n = 0;
		assert_int_equal(pmr_pieces_to(&d->device, &d->lowers[side], &up, &again), 0);
		check_normal(&again);
		for (uint64_t at = 0; at < LOWER; at++) {
			bool wanted = false;

			for (int i = 0; i < d->bytes; i++)
				wanted |= d->spots[i].lower == side &&
					  (uint64_t)d->spots[i].offset == at &&
					  is_in(&up, (uint64_t)i);
			if (wanted != is_in(&again, at))
				fail_msg("byte %d of lower device %d", (int)at, side);
		}
	}
	pmr_ranges_release(&below[0]);
	pmr_ranges_release(&below[1]);
	pmr_ranges_release(&up);
	pmr_ranges_release(&again);
}

static void test_random(void **state)
{
	static struct random_device d;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		seed = (uint64_t)round + 1;
		make(&d);
		check_down(&d);
		/* The walk over all pairs of bytes takes its time. */
		if (round % 8 == 0)
			check_both_ways(&d);
	}
}

/* ---- lists */

static void test_compose(void **state)
{
	static const struct {
		enum pmr_trust trust_a, trust_b;
		const char *reason_a, *reason_b;
		bool remapped;
		enum pmr_trust trust;
		const char *reason;
		size_t n;
	} rows[] = {
		{ PMR_LIST_COMPLETE, PMR_LIST_COMPLETE, NULL, NULL, false, PMR_LIST_COMPLETE, NULL,
		  3 },
		{ PMR_LIST_INCOMPLETE, PMR_LIST_COMPLETE, "page-full", NULL, false,
		  PMR_LIST_INCOMPLETE, "page-full", 3 },
		{ PMR_LIST_COMPLETE, PMR_LIST_INCOMPLETE, NULL, "cut-line", false,
		  PMR_LIST_INCOMPLETE, "cut-line", 3 },
		/* What is known of one is worth being told, and is not all. */
		{ PMR_LIST_COMPLETE, PMR_LIST_UNKNOWN, NULL, "no-attribute", false,
		  PMR_LIST_INCOMPLETE, "part-unknown", 1 },
		{ PMR_LIST_UNKNOWN, PMR_LIST_UNKNOWN, "cannot-open", "cannot-open", false,
		  PMR_LIST_UNKNOWN, "cannot-open", 0 },
		{ PMR_LIST_COMPLETE, PMR_LIST_COMPLETE, NULL, NULL, true, PMR_LIST_UNKNOWN,
		  "remapped", 0 },
	};
	struct pmr_range bad_a = { 120, 2 }, bad_b = { 29, 2 };
	struct pmr_device_private own = { 0 };

	(void)state;
	mapped.own = &own;
	for (size_t i = 0; i < N(rows); i++) {
		own.remapped = rows[i].remapped;
		a.badblocks = (struct pmr_badblocks){ .trust = rows[i].trust_a,
						      .source = (char *)"list a",
						      .reason = rows[i].reason_a,
						      .ranges = { &bad_a, 1, 1 } };
		b.badblocks = (struct pmr_badblocks){ .trust = rows[i].trust_b,
						      .source = (char *)"list b",
						      .reason = rows[i].reason_b,
						      .ranges = { &bad_b, 1, 1 } };
		assert_int_equal(pmr_volume_compose(&mapped), 0);
		assert_int_equal(mapped.badblocks.trust, rows[i].trust);
		assert_int_equal(!mapped.badblocks.reason, !rows[i].reason);
		if (rows[i].reason)
			assert_string_equal(mapped.badblocks.reason, rows[i].reason);
		assert_int_equal(mapped.badblocks.ranges.n, rows[i].n);
		if (rows[i].n == 3) {
			assert_string_equal(mapped.badblocks.source, "list a, list b");
			assert_int_equal(mapped.badblocks.ranges.v[0].offset, 20);
			assert_int_equal(mapped.badblocks.ranges.v[1].offset, 79);
			assert_int_equal(mapped.badblocks.ranges.v[2].offset, 282);
		}
	}
	pmr_badblocks_release(&mapped.badblocks);
	a.badblocks = b.badblocks = (struct pmr_badblocks){ 0 };
	mapped.own = NULL;
}

/* 120 and 121 of a are 20 and 21 of the volume, 505 is 85 and 205; 29 of b is 79 and 282. */
static void reset_lists(struct pmr_device_private *own)
{
	struct pmr_device *all[] = { &a, &b, &mapped };

	for (size_t i = 0; i < N(all); i++) {
		pmr_badblocks_release(&all[i]->badblocks);
		pmr_ranges_release(&all[i]->reading.found);
		pmr_ranges_release(&all[i]->reading.done);
		all[i]->badblocks.trust = PMR_LIST_COMPLETE;
		all[i]->from_file = false;
	}
	a.mode = b.mode = PMR_MODE_FSDAX;
	mapped.own = own;
	assert_int_equal(pmr_ranges_add(&a.badblocks.ranges, 120, 2), 0);
	assert_int_equal(pmr_ranges_add(&a.badblocks.ranges, 505, 1), 0);
	assert_int_equal(pmr_ranges_add(&b.badblocks.ranges, 29, 1), 0);
}

static bool has(const struct pmr_device *device, uint64_t offset)
{
	return pmr_ranges_overlap(&device->badblocks.ranges, offset, 1);
}

/* What was written through a volume and reads back is repaired where no kernel below still lists it. */
static void test_unsettled(void **state)
{
	/* of a, b and the volume: lists from a file; of a: 120 was found by reading it */
	static const struct {
		bool from_file[3];
		bool found, unknown;
		uint64_t offset, length;
		const char *reason;
	} rows[] = {
		{ { false }, false, false, 20, 2, "still-listed" },
		{ { false }, false, false, 22, 5, NULL },
		{ { false }, false, false, 0, 80, "still-listed" },
		{ { true, false }, false, false, 20, 2, NULL },
		{ { true, false }, false, false, 79, 1, "still-listed" },
		{ { true, false }, false, false, 20, 60, "still-listed" },
		{ { false, true }, false, false, 79, 1, NULL },
		{ { false, true }, false, false, 20, 60, "still-listed" },
		{ { true, true }, false, false, 20, 60, NULL },
		{ { false, false, true }, false, false, 20, 60, NULL },
		{ { false }, true, false, 20, 2, NULL },
		{ { false }, true, false, 20, 60, "still-listed" },
		{ { false, true }, true, false, 20, 60, NULL },
		{ { false }, false, true, 20, 2, "list-unknown" },
	};
	const struct pmr_range found = { 120, 2 };
	struct pmr_device_private own = { 0 };

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const char *reason;

		reset_lists(&own);
		if (rows[i].found)
			assert_int_equal(
				pmr_ranges_add(&a.reading.found, found.offset, found.length), 0);
		a.from_file = rows[i].from_file[0];
		b.from_file = rows[i].from_file[1];
		assert_int_equal(pmr_volume_compose(&mapped), 0);
		mapped.from_file = rows[i].from_file[2];
		if (rows[i].unknown)
			mapped.badblocks.trust = PMR_LIST_UNKNOWN;
		reason = pmr_reading_unsettled(&mapped, rows[i].offset, rows[i].length);
		assert_int_equal(!reason, !rows[i].reason);
		if (reason)
			assert_string_equal(reason, rows[i].reason);
	}
	reset_lists(&own);
	mapped.own = NULL;
}

/* What reading found below goes from both lists, and nothing else does. */
static void test_settle(void **state)
{
	struct pmr_device_private own = { 0 };
	struct pmr_ranges living = { 0 };

	(void)state;
	reset_lists(&own);
	assert_int_equal(pmr_ranges_add(&a.reading.found, 120, 2), 0);
	assert_int_equal(pmr_ranges_add(&a.reading.found, 505, 1), 0);
	assert_int_equal(pmr_volume_compose(&mapped), 0);
	assert_true(has(&mapped, 20) && has(&mapped, 79) && has(&mapped, 85) && has(&mapped, 205));
	assert_int_equal(pmr_reading_settle(&mapped, 0, 21), 0);
	assert_true(!has(&mapped, 20) && !has(&a, 120) && has(&mapped, 21) && has(&a, 121));
	assert_int_equal(pmr_reading_settle(&mapped, 21, 60), 0);
	assert_true(!has(&mapped, 21) && !has(&a, 121) && has(&mapped, 79) && has(&b, 29));
	assert_int_equal(pmr_reading_settle(&mapped, 200, 10), 0);
	assert_true(!has(&mapped, 85) && !has(&mapped, 205) && !has(&a, 505));
	assert_int_equal(a.reading.found.n, 0);

	/* of what is listed, what goes when it is repaired is that of b alone, and what reading the volume found */
	reset_lists(&own);
	a.from_file = true;
	assert_int_equal(pmr_volume_compose(&mapped), 0);
	assert_int_equal(pmr_ranges_add(&mapped.reading.found, 10, 1), 0);
	assert_int_equal(pmr_reading_living(&mapped, &living), 0);
	assert_int_equal(living.n, 3);
	assert_int_equal(living.v[0].offset, 10);
	assert_int_equal(living.v[1].offset, 79);
	assert_int_equal(living.v[2].offset, 282);
	pmr_ranges_release(&living);
	mapped.from_file = true;
	assert_int_equal(pmr_reading_living(&mapped, &living), 0);
	assert_int_equal(living.n, 0);
	reset_lists(&own);
	pmr_badblocks_release(&a.badblocks);
	pmr_badblocks_release(&b.badblocks);
	mapped.from_file = false;
	mapped.own = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_down),	  cmocka_unit_test(test_up),
		cmocka_unit_test(test_random),	  cmocka_unit_test(test_compose),
		cmocka_unit_test(test_unsettled), cmocka_unit_test(test_settle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
