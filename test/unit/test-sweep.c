/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading made-up media: what fails is found to the block, what is listed is left alone, and a device that fails is no poison. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "media/sweep.h"

#define MIB UINT64_C(1048576)
#define SIZE (8 * MIB)
#define SECOND UINT64_C(1000000000)
#define NEVER UINT64_MAX

static struct {
	struct pmr_ctx *ctx;
	unsigned int block;
	uint64_t size;
	bool bad[SIZE / PMR_SECTOR];
	bool forbidden[SIZE / PMR_SECTOR]; /* listed: must not be read */
	bool stops; /* it tells where it stopped, as loads do */
	bool takes_pages; /* with what is bad its page goes, once it was met */
	unsigned int met[SIZE / PMR_SECTOR]; /* how often what is bad was read, where it stops */
	unsigned int reads;
	uint64_t dies_after; /* so many reads */
	int death; /* what it then answers */
	int error; /* what a bad block is */
	uint64_t now;
	uint64_t took; /* nanoseconds of a read */
	volatile sig_atomic_t cancel;
	uint64_t cancel_after; /* so many reads */
} dev;

static void take_page(uint64_t sector)
{
	uint64_t first = sector - sector % (PMR_PAGE / PMR_SECTOR);

	for (uint64_t s = first; dev.takes_pages && s < first + PMR_PAGE / PMR_SECTOR; s++)
		dev.bad[s] = true;
}

static int read_blocks(void *data, uint64_t offset, void *buffer, size_t length, size_t *got)
{
	int ret = 0;

	(void)data;
	(void)buffer;
	assert_true(length > 0 && length <= PMR_SWEEP_PIECE);
	assert_int_equal(offset % dev.block, 0);
	assert_int_equal(length % dev.block, 0);
	assert_true(offset + length <= dev.size);
	dev.reads++;
	dev.now += dev.took;
	if (dev.reads > dev.cancel_after)
		dev.cancel = 1;
	if (dev.reads > dev.dies_after)
		return dev.death;
	for (uint64_t s = offset / PMR_SECTOR; s < (offset + length) / PMR_SECTOR; s++) {
		assert_false(dev.forbidden[s]);
		if (!dev.bad[s])
			continue;
		ret = dev.error;
		if (!dev.stops)
			continue;
		dev.met[s]++;
		*got = (size_t)(s * PMR_SECTOR / dev.block * dev.block - offset);
		take_page(s);
		break;
	}
	return ret;
}

static uint64_t now(void *data)
{
	(void)data;
	return dev.now;
}

/* Comes back early, and never in no time. */
static void sleep_for(void *data, uint64_t nanoseconds)
{
	(void)data;
	dev.now += nanoseconds / 2 + 1;
}

static void reset(unsigned int block)
{
	struct pmr_ctx *ctx = dev.ctx;

	memset(&dev, 0, sizeof(dev));
	dev.ctx = ctx;
	dev.block = block;
	dev.size = SIZE;
	dev.dies_after = NEVER;
	dev.cancel_after = NEVER;
	dev.death = -EIO;
	dev.error = -EIO;
	pmr_set_cancel(ctx, &dev.cancel);
}

static int sweep_at(const struct pmr_ranges *ranges, const struct pmr_ranges *listed, uint64_t rate,
		    struct pmr_sweep_result *result)
{
	const struct pmr_sweep_io io = {
		.read = read_blocks,
		.now = now,
		.sleep = sleep_for,
		.block = dev.block,
		.size = dev.size,
		.stops = dev.stops,
	};
	const struct pmr_sweep_options options = { .rate = rate, .object = "dev" };

	return pmr_sweep_with(dev.ctx, &io, ranges, listed, &options, result);
}

static int sweep(const struct pmr_ranges *ranges, const struct pmr_ranges *listed,
		 struct pmr_sweep_result *result)
{
	return sweep_at(ranges, listed, 0, result);
}

static void add(struct pmr_ranges *ranges, uint64_t sector, uint64_t count)
{
	assert_int_equal(pmr_ranges_add(ranges, sector * PMR_SECTOR, count * PMR_SECTOR), 0);
	pmr_ranges_normalize(ranges);
}

static bool has(const struct pmr_ranges *ranges, uint64_t sector)
{
	return pmr_ranges_overlap(ranges, sector * PMR_SECTOR, PMR_SECTOR);
}

static uint64_t random_below(uint64_t limit)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x % limit;
}

/* ---- against an oracle */

/* Whether any sector of the block that has @sector is in @bits. */
static bool in_block(const bool *bits, uint64_t sector)
{
	uint64_t per_block = dev.block / PMR_SECTOR, first = sector - sector % per_block;

	for (uint64_t s = first; s < first + per_block; s++)
		if (bits[s])
			return true;
	return false;
}

static bool in_block_of(const struct pmr_ranges *ranges, uint64_t sector)
{
	uint64_t from = sector * PMR_SECTOR / dev.block * dev.block;

	return pmr_ranges_overlap(ranges, from, dev.block);
}

static void check(const struct pmr_ranges *asked, const struct pmr_ranges *listed)
{
	static const unsigned int log_piece = 11; /* a piece has 2^11 sectors */
	struct pmr_sweep_result result = { 0 };
	uint64_t blocks = 0, pieces = 0;

	assert_int_equal(sweep(asked, listed, &result), 0);
	assert_int_equal(result.stopped, 0);
	for (uint64_t s = 0; s < dev.size / PMR_SECTOR; s++) {
		bool wanted =
			in_block_of(asked, s) && !in_block_of(listed, s) && in_block(dev.bad, s);

		assert_int_equal(has(&result.found, s), wanted);
		assert_int_equal(has(&result.done, s), in_block_of(asked, s));
	}
	for (size_t i = 0; i < result.found.n; i++)
		blocks += result.found.v[i].length / dev.block;
	/* what is listed, and where ranges begin and end, cuts pieces */
	pieces = dev.size / PMR_SWEEP_PIECE + 2 * (listed->n + asked->n);
	assert_true(dev.reads <= pieces * 3 + blocks * 2 * (log_piece + 1) + blocks / 8 + 16);
	pmr_sweep_release(&result);
}

static void test_random(void **state)
{
	static const struct {
		unsigned int block, bad, run, listed;
	} rows[] = {
		{ 512, 0, 1, 0 },     { 512, 1, 1, 0 },	   { 512, 20, 1, 5 },
		{ 512, 300, 1, 300 }, { 512, 5, 700, 3 },  { 512, 40, 9, 512 },
		{ 4096, 1, 1, 1 },    { 4096, 30, 3, 30 }, { 4096, 3, 5000, 2 },
		{ 512, 2000, 1, 9 },  { 512, 3, 5000, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pmr_ranges asked = { 0 }, listed = { 0 };

		reset(rows[i].block);
		if (i % 2)
			add(&asked, 0, SIZE / PMR_SECTOR);
		for (unsigned int n = 0; !(i % 2) && n < 5; n++)
			add(&asked, random_below(10000), random_below(3000) + 1);
		for (unsigned int n = 0; n < rows[i].bad; n++) {
			uint64_t from = random_below(SIZE / PMR_SECTOR - rows[i].run);

			for (uint64_t s = from; s < from + rows[i].run; s++)
				dev.bad[s] = true;
		}
		for (unsigned int n = 0; n < rows[i].listed; n++) {
			uint64_t s = random_below(SIZE / PMR_SECTOR);

			add(&listed, s, 1);
			dev.bad[s] = true;
		}
		for (uint64_t s = 0; s < SIZE / PMR_SECTOR; s++)
			dev.forbidden[s] = in_block_of(&listed, s);
		/* one block must always be there to tell that the device answers */
		memset(dev.bad, 0, 8 * sizeof(dev.bad[0]));
		if (!in_block_of(&listed, 0))
			check(&asked, &listed);
		pmr_ranges_release(&asked);
		pmr_ranges_release(&listed);
	}
}

/* ---- what tells where it stopped */

/*
 * Each load of poison is a machine check. So a bad sector is met once; once more only where it is one of those that are asked
 * whether the device still answers, before any other of it could be read.
 */
static void test_stops(void **state)
{
	static const struct {
		unsigned int bad, run;
		bool takes_pages;
		unsigned int first; /* so many at the very beginning are bad, too */
		unsigned int most; /* times that one may be met */
	} rows[] = {
		{ 0, 1, false, 0, 1 },
		{ 1, 1, false, 0, 1 },
		{ 60, 1, false, 0, 1 },
		{ 60, 1, true, 0, 1 },
		{ 2000, 1, false, 0, 1 },
		{ 3, 5000, false, 0, 1 },
		{ 400, 3, true, 0, 1 },
		{ 5, 9, true, 1, 1 },
		{ 3, 700, true, 15, 1 },
		{ 9, 1, false, 3000, 2 },
		{ 0, 1, true, SIZE / PMR_SECTOR - 8, 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static bool oracle[SIZE / PMR_SECTOR];
		struct pmr_sweep_result result = { 0 };
		struct pmr_ranges asked = { 0 }, none = { 0 };
		uint64_t blocks = 0, pieces = SIZE / PMR_SWEEP_PIECE;
		unsigned int twice = 0;

		reset(512);
		dev.stops = true;
		dev.takes_pages = rows[i].takes_pages;
		memset(oracle, 0, sizeof(oracle));
		for (uint64_t s = 0; s < rows[i].first; s++)
			dev.bad[s] = true;
		for (unsigned int n = 0; n < rows[i].bad; n++) {
			uint64_t from = 8 + random_below(SIZE / PMR_SECTOR - 8 - rows[i].run);

			for (uint64_t s = from; s < from + rows[i].run; s++)
				dev.bad[s] = true;
		}
		for (uint64_t s = 0; s < SIZE / PMR_SECTOR; s++) {
			uint64_t first = rows[i].takes_pages ? s - s % 8 : s;

			oracle[s] = dev.bad[s];
			/* those of its page that were read before it stay good for this run */
			for (uint64_t other = first; other < s; other++)
				oracle[s] = oracle[s] || dev.bad[other];
		}
		add(&asked, 0, SIZE / PMR_SECTOR);
		assert_int_equal(sweep(&asked, &none, &result), 0);
		assert_int_equal(result.stopped, 0);
		assert_int_equal(pmr_ranges_bytes(&result.done), SIZE);
		for (uint64_t s = 0; s < SIZE / PMR_SECTOR; s++) {
			assert_int_equal(has(&result.found, s), oracle[s]);
			blocks += oracle[s];
			assert_true(dev.met[s] <= rows[i].most);
			twice += dev.met[s] > 1;
		}
		assert_true(twice <= 16);
		/* one read for each piece and each bad sector, one of 16 asks whether the device answers, and each piece may */
		assert_true(dev.reads <= pieces + blocks + blocks / 16 + pieces + 16);
		assert_true(result.bytes <= SIZE + (blocks / 16 + pieces + 16) * PMR_SECTOR);
		pmr_ranges_release(&asked);
		pmr_sweep_release(&result);
	}
}

static void test_bad_ranges(void **state)
{
	struct pmr_sweep_result result = { 0 };
	struct pmr_ranges asked = { 0 }, none = { 0 };

	(void)state;
	reset(512);
	assert_int_equal(sweep(&none, &none, &result), 0);
	assert_int_equal(dev.reads, 0);
	add(&asked, SIZE / PMR_SECTOR - 1, 2);
	assert_int_equal(sweep(&asked, &none, &result), -EINVAL);
	assert_int_equal(dev.reads, 0);
	pmr_ranges_release(&asked);
	pmr_sweep_release(&result);
}

/* ---- the device itself */

static void test_device_fails(void **state)
{
	static const struct {
		uint64_t dies_after;
		int death, stopped;
		uint64_t bad; /* sector */
		uint64_t done; /* bytes */
		unsigned int found;
		bool stops;
	} rows[] = {
		/* from the start, and in the middle: nothing is called poison */
		{ 0, -EIO, -EIO, NEVER, 0, 0, false },
		{ 0, -ENODATA, -EIO, NEVER, 0, 0, false },
		{ 3, -EIO, -EIO, NEVER, 3 * MIB, 0, false },
		{ 3, -ENXIO, -ENXIO, NEVER, 3 * MIB, 0, false },
		{ 3, -ENODEV, -ENODEV, NEVER, 3 * MIB, 0, false },
		/* while a piece is halved: the third piece fails, a witness answers, and then nothing does */
		{ 4, -EIO, -EIO, 2 * 2048 + 5, 2 * MIB, 0, false },
		{ 9, -EIO, -EIO, 2 * 2048 + 5, 2 * MIB, 0, false },
		{ 9, -ENODEV, -ENODEV, 2 * 2048 + 5, 2 * MIB, 0, false },
		/* what was found before, and answered after, stays */
		{ 16, -EIO, -EIO, 5, 7 * MIB, 1, false },
		/* the same of what tells where it stopped, which is asked in other places */
		{ 0, -EIO, -EIO, NEVER, 0, 0, true },
		{ 3, -EIO, -EIO, NEVER, 3 * MIB, 0, true },
		{ 3, -ENODEV, -ENODEV, NEVER, 3 * MIB, 0, true },
		{ 2, -EIO, -EIO, 5, 0, 1, true },
		{ 3, -EIO, -EIO, 2 * 2048 + 5, 2 * MIB, 0, true },
		{ 3, -ENODEV, -ENODEV, 2 * 2048 + 5, 2 * MIB, 0, true },
		{ 4, -ENODEV, -ENODEV, 2 * 2048 + 5, 3 * MIB, 1, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pmr_sweep_result result = { 0 };
		struct pmr_ranges asked = { 0 }, none = { 0 };

		reset(512);
		dev.stops = rows[i].stops;
		add(&asked, 0, SIZE / PMR_SECTOR);
		dev.dies_after = rows[i].dies_after;
		dev.death = rows[i].death;
		if (rows[i].bad != NEVER)
			dev.bad[rows[i].bad] = true;
		assert_int_equal(sweep(&asked, &none, &result), 0);
		assert_int_equal(result.stopped, rows[i].stopped);
		assert_int_equal(result.found.n, rows[i].found);
		if (rows[i].found == 0)
			assert_int_equal(pmr_ranges_bytes(&result.done), rows[i].done);
		/* a device that is dead is not asked for each of its blocks */
		assert_true(dev.reads <= dev.dies_after + 64);
		pmr_ranges_release(&asked);
		pmr_sweep_release(&result);
	}
}

static void test_all_but_one(void **state)
{
	struct pmr_sweep_result result = { 0 };
	struct pmr_ranges asked = { 0 }, none = { 0 };

	(void)state;
	/* one MiB is bad, and all that tells that it is not the device lies elsewhere */
	reset(512);
	dev.error = -ENODATA;
	memset(dev.bad, 1, 2048 * sizeof(dev.bad[0]));
	add(&asked, 0, 2048);
	assert_int_equal(sweep(&asked, &none, &result), 0);
	assert_int_equal(result.stopped, 0);
	assert_int_equal(result.found.n, 1);
	assert_int_equal(result.found.v[0].length, MIB);
	pmr_sweep_release(&result);
	pmr_ranges_release(&asked);
}

/* ---- interrupts */

static void test_cancel(void **state)
{
	struct pmr_sweep_result result = { 0 };
	struct pmr_ranges asked = { 0 }, none = { 0 };

	(void)state;
	add(&asked, 0, SIZE / PMR_SECTOR);
	reset(512);
	dev.cancel_after = 2;
	assert_int_equal(sweep(&asked, &none, &result), 0);
	assert_int_equal(result.stopped, -ECANCELED);
	assert_int_equal(pmr_ranges_bytes(&result.done), 3 * MIB);
	pmr_sweep_release(&result);
	/* what was found of a piece that was not finished is told, and the piece is not done */
	for (int stops = 0; stops < 2; stops++) {
		reset(512);
		dev.stops = stops;
		dev.bad[0] = dev.bad[2000] = true;
		dev.cancel_after = stops ? 1 : 20;
		assert_int_equal(sweep(&asked, &none, &result), 0);
		assert_int_equal(result.stopped, -ECANCELED);
		assert_int_equal(result.done.n, 0);
		assert_int_equal(result.found.n, 1);
		assert_int_equal(result.found.v[0].offset, 0);
		assert_int_equal(result.found.v[0].length, 512);
		pmr_sweep_release(&result);
	}
	pmr_ranges_release(&asked);
}

/* ---- the rate */

static void test_rate(void **state)
{
	static const struct {
		uint64_t rate, took;
		unsigned int bad;
	} rows[] = {
		{ 100 * MIB, 0, 0 },	  { 100 * MIB, 1000000, 0 }, { 1 * MIB, 0, 0 },
		{ 1 * MIB, 9000000, 50 }, { 777777, 3, 3 },	     { 40 * MIB, 25000, 200 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pmr_sweep_result result = { 0 };
		struct pmr_ranges asked = { 0 }, none = { 0 };
		double rate;

		reset(512);
		dev.now = 5 * SECOND;
		dev.took = rows[i].took;
		for (unsigned int n = 0; n < rows[i].bad; n++)
			dev.bad[random_below(SIZE / PMR_SECTOR - 8) + 8] = true;
		add(&asked, 0, SIZE / PMR_SECTOR);
		assert_int_equal(sweep_at(&asked, &none, rows[i].rate, &result), 0);
		rate = (double)result.bytes * (double)SECOND / (double)(dev.now - 5 * SECOND);
		/* all that is read counts, also what is read again */
		assert_true(result.bytes >= SIZE);
		assert_true(rate < (double)rows[i].rate * 1.1);
		assert_true(rate > (double)rows[i].rate * 0.9);
		pmr_ranges_release(&asked);
		pmr_sweep_release(&result);
	}
}

static void test_pace(void **state)
{
	struct pmr_pace pace = { .rate = 1000 }, none = { 0 }, fast = { .rate = UINT64_MAX };

	(void)state;
	assert_int_equal(pmr_pace_wait(&pace, 7 * SECOND), 0);
	pmr_pace_add(&pace, 500);
	assert_int_equal(pmr_pace_wait(&pace, 7 * SECOND), SECOND / 2);
	assert_int_equal(pmr_pace_wait(&pace, 7 * SECOND + SECOND / 2), 0);
	/* after a halt of an hour no more than the slack comes at once */
	pmr_pace_add(&pace, 1000);
	assert_int_equal(pmr_pace_wait(&pace, 3600 * SECOND), 0);
	pmr_pace_add(&pace, 1000);
	assert_int_equal(pmr_pace_wait(&pace, 3600 * SECOND), SECOND - PMR_PACE_SLACK);
	/* a petabyte, and an exabyte */
	pmr_pace_add(&pace, UINT64_C(1) << 50);
	assert_true(pmr_pace_wait(&pace, 3600 * SECOND) > 1125899906842 * SECOND);
	pmr_pace_add(&none, UINT64_MAX);
	assert_int_equal(pmr_pace_wait(&none, SECOND), 0);
	assert_int_equal(pmr_pace_wait(&fast, SECOND), 0);
	pmr_pace_add(&fast, 4096);
	assert_true(pmr_pace_wait(&fast, SECOND) < 1000);
	/* pieces are whole blocks, and small ones where a second has few */
	assert_int_equal(pmr_pace_piece(&none, MIB, 512), MIB);
	assert_int_equal(pmr_pace_piece(&fast, MIB, 512), MIB);
	assert_int_equal(pmr_pace_piece(&pace, MIB, 4096), 4096);
	pace.rate = 100000;
	assert_int_equal(pmr_pace_piece(&pace, MIB, 512), 4608);
}

static int set_up(void **state)
{
	(void)state;
	return pmr_new(&dev.ctx);
}

static int tear_down(void **state)
{
	(void)state;
	pmr_unref(dev.ctx);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),	    cmocka_unit_test(test_stops),
		cmocka_unit_test(test_bad_ranges),  cmocka_unit_test(test_device_fails),
		cmocka_unit_test(test_all_but_one), cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_rate),	    cmocka_unit_test(test_pace),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
