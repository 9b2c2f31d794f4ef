/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lies where in a namespace in sector mode, and what of its device is lost with its map. */

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
#define MiB (1ULL << 20)
#define GiB (1ULL << 30)

/* Of Linux 6.1, from /sys/kernel/debug/btt, where offsets count from the first arena, 4096 bytes into the namespace. */
static const struct kernel_row {
	uint64_t ns_size;
	unsigned int lba_size;
	uint64_t device_size;
	uint64_t external_nlba, internal_nlba, internal_lbasize;
	uint64_t dataoff, mapoff, logoff, info2off;
} kernel_rows[] = {
	{ 512 * MiB, 512, 532545536, 0xfdf00, 0xfe000, 512, 0x1000, 0x1fc02000, 0x1fffa000,
	  0x1fffe000 },
	{ 512 * MiB, 520, 473767424, 0xe1e8f, 0xe1f8f, 576, 0x1000, 0x1fc72000, 0x1fffa000,
	  0x1fffe000 },
	{ 512 * MiB, 4096, 535265280, 0x1fe78, 0x1ff78, 4096, 0x1000, 0x1ff7a000, 0x1fffa000,
	  0x1fffe000 },
	{ 512 * MiB, 4160, 527020032, 0x1f69b, 0x1f79b, 4160, 0x1000, 0x1ff7c000, 0x1fffa000,
	  0x1fffe000 },
};

static void test_kernel(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(kernel_rows); i++) {
		const struct kernel_row *row = &kernel_rows[i];
		struct pmr_btt_arena arena;
		struct pmr_btt btt;

		assert_true(pmr_btt_init(&btt, row->ns_size, row->lba_size, row->device_size));
		assert_int_equal(btt.start, 4096);
		assert_int_equal(btt.block, row->internal_lbasize);
		assert_int_equal(btt.sector, row->lba_size < 4096 ? 512 : 4096);
		assert_false(pmr_btt_arena(&btt, 4095, &arena));
		assert_true(pmr_btt_arena(&btt, 4096, &arena));
		assert_int_equal(arena.n_blocks, row->external_nlba);
		assert_int_equal(arena.info, 4096);
		assert_int_equal(arena.data, 4096 + row->dataoff);
		assert_int_equal(arena.data_end - arena.data,
				 row->internal_nlba * row->internal_lbasize);
		assert_int_equal(arena.map, 4096 + row->mapoff);
		assert_int_equal(arena.map_end - arena.map, 4 * row->external_nlba);
		assert_int_equal(arena.log, 4096 + row->logoff);
		assert_int_equal(arena.info2, 4096 + row->info2off);
		assert_int_equal(arena.end, row->ns_size);
		assert_int_equal(arena.device_offset, 0);
	}
}

/* A device of another size, sizes that cannot be, and what may be either version: the layout is not known. */
static void test_unknown(void **state)
{
	static const struct {
		uint64_t ns_size;
		unsigned int lba_size;
		uint64_t device_size;
	} rows[] = {
		{ 512 * MiB, 512, 532545536 + 512 }, { 512 * MiB, 512, 0 },
		{ 512 * MiB, 4096, 532545536 },	     { 512 * MiB, 0, 532545536 },
		{ 512 * MiB, 511, 532545536 },	     { 512 * MiB, UINT32_MAX, 532545536 },
		{ 16 * MiB - 1, 512, 16 * MiB },     { 0, 512, 0 },
		{ UINT64_MAX, 512, 532545536 },	     { 512 * GiB + 8 * MiB, 512, 545493981184 },
	};
	struct pmr_btt btt;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		memset(&btt, 1, sizeof(btt));
		assert_false(
			pmr_btt_init(&btt, rows[i].ns_size, rows[i].lba_size, rows[i].device_size));
		assert_int_equal(btt.sector, 0);
	}
}

/* Version 2.0 has no page ahead of its first arena, and so room for more blocks of 512 bytes. */
static void test_version_2(void **state)
{
	struct pmr_btt_arena arena;
	struct pmr_btt btt;

	(void)state;
	assert_true(pmr_btt_init(&btt, 512 * MiB, 512, 532545536 + 7 * 512));
	assert_int_equal(btt.start, 0);
	assert_true(pmr_btt_arena(&btt, 0, &arena));
	assert_int_equal(arena.info, 0);
	assert_int_equal(arena.data, 4096);
	assert_int_equal(arena.end, 512 * MiB);
}

static uint64_t device_size(uint64_t arenas, uint64_t rest, uint64_t block)
{
	/* blocks of an arena: what is left of it beside two info blocks, the log and a page, less 256 */
	uint64_t whole = (512 * GiB - 2 * 4096 - 16384 - 4096) / (block + 4) - 256;
	uint64_t last = rest ? (rest - 2 * 4096 - 16384 - 4096) / (block + 4) - 256 : 0;

	return (arenas * whole + last) * block;
}

/* Every byte is of something, in order and without gaps; what is too small for an arena is unused. */
static void test_parts(void **state)
{
	static const struct {
		uint64_t ns_size;
		uint64_t arenas, rest;
		unsigned int lba_size;
		size_t n_arenas;
		bool has_tail;
	} rows[] = {
		{ 16 * MiB + 4096, 0, 16 * MiB, 512, 1, false },
		{ 16 * MiB + 4096 + 4095, 0, 16 * MiB, 512, 1, true },
		{ 512 * GiB, 0, 512 * GiB - 4096, 4096, 1, false },
		{ 512 * GiB + 4096 + 16 * MiB + 4095, 1, 16 * MiB, 512, 2, true },
		{ 512 * GiB + 4096 + 16 * MiB, 1, 16 * MiB, 512, 2, false },
		{ 1025 * GiB + 4096, 2, GiB, 4096, 3, false },
		{ 1025 * GiB + 4096, 2, GiB, 512, 3, false },
	};
	static const enum pmr_part order[] = { PMR_PART_BTT_INFO, PMR_PART_BTT_DATA,
					       PMR_PART_BTT_MAP, PMR_PART_BTT_LOG,
					       PMR_PART_BTT_INFO };
	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		uint64_t size = device_size(rows[i].arenas, rows[i].rest, rows[i].lba_size);
		uint64_t at = 0, until, sum = 0;
		size_t n = 0, arenas = 0;
		enum pmr_part part = PMR_PART_NONE;
		struct pmr_btt_arena arena;
		struct pmr_btt btt;

		assert_true(pmr_btt_init(&btt, rows[i].ns_size, rows[i].lba_size, size));
		for (; at < rows[i].ns_size; at = until) {
			part = pmr_btt_part(&btt, at, &until);
			assert_true(until > at && until <= rows[i].ns_size);
			/* the last byte is of the same */
			assert_int_equal(pmr_btt_part(&btt, until - 1, &sum), part);
			assert_int_equal(sum, until);
			if (part == PMR_PART_BTT_UNUSED)
				continue;
			assert_int_equal(part, order[n % N(order)]);
			if (n++ % N(order))
				continue;
			assert_true(pmr_btt_arena(&btt, at, &arena));
			assert_int_equal(arena.info, 4096 + arenas * 512 * GiB);
			arenas++;
			assert_int_equal(arena.device_offset,
					 device_size(arenas - 1, 0, rows[i].lba_size));
		}
		assert_int_equal(arenas, rows[i].n_arenas);
		assert_int_equal(n, arenas * N(order));
		assert_int_equal(part == PMR_PART_BTT_UNUSED, rows[i].has_tail);
	}
}

#define MAP (4096 + 0x1fc02000ULL)
#define LOG (4096 + 0x1fffa000ULL)

static void test_unmapped(void **state)
{
	static const struct {
		struct pmr_range bad[2], lost[2];
	} rows[] = {
		{ { { 0, 4096 } }, { { 0 } } },
		{ { { 8192, 512 } }, { { 0 } } },
		{ { { LOG, 512 } }, { { 0 } } },
		/* 128 blocks for each sector */
		{ { { MAP, 512 } }, { { 0, 65536 } } },
		{ { { MAP + 5120, 512 } }, { { 1280 * 512, 65536 } } },
		{ { { MAP, 512 }, { MAP + 512, 512 } }, { { 0, 2 * 65536 } } },
		{ { { MAP, 512 }, { MAP + 1024, 1024 } },
		  { { 0, 65536 }, { 2 * 65536, 2 * 65536 } } },
		/* the last entries, and what is behind them */
		{ { { MAP + 4 * 0xfdf00 - 512, 1024 } }, { { (0xfdf00 - 128) * 512, 65536 } } },
		{ { { LOG - 512, 1024 } }, { { 0 } } },
		/* from the last blocks into the map */
		{ { { MAP - 512, 1024 } }, { { 0, 65536 } } },
	};
	struct pmr_btt btt;

	(void)state;
	assert_true(pmr_btt_init(&btt, 512 * MiB, 512, 532545536));
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_ranges bad = { 0 }, lost = { 0 };
		size_t n = 0;

		for (size_t j = 0; j < 2 && rows[i].bad[j].length; j++)
			assert_int_equal(
				pmr_ranges_add(&bad, rows[i].bad[j].offset, rows[i].bad[j].length),
				0);
		pmr_ranges_normalize(&bad);
		assert_int_equal(pmr_btt_unmapped(&btt, &bad, &lost), 0);
		for (; n < 2 && rows[i].lost[n].length; n++) {
			assert_true(n < lost.n);
			assert_int_equal(lost.v[n].offset, rows[i].lost[n].offset);
			assert_int_equal(lost.v[n].length, rows[i].lost[n].length);
		}
		assert_int_equal(lost.n, n);
		pmr_ranges_release(&bad);
		pmr_ranges_release(&lost);
	}
}

/* In a second arena the blocks are those behind the first one's. */
static void test_second_arena(void **state)
{
	uint64_t first = device_size(1, 0, 4096);
	struct pmr_ranges bad = { 0 }, lost = { 0 };
	struct pmr_btt_arena arena;
	struct pmr_btt btt;

	(void)state;
	assert_true(pmr_btt_init(&btt, 513 * GiB + 4096, 4096, device_size(1, GiB, 4096)));
	assert_true(pmr_btt_arena(&btt, 513 * GiB, &arena));
	assert_int_equal(arena.device_offset, first);
	assert_int_equal(pmr_ranges_add(&bad, arena.map + 512, 512), 0);
	assert_int_equal(pmr_btt_unmapped(&btt, &bad, &lost), 0);
	assert_int_equal(lost.n, 1);
	assert_int_equal(lost.v[0].offset, first + 128 * 4096);
	assert_int_equal(lost.v[0].length, 128 * 4096);
	pmr_ranges_release(&bad);
	pmr_ranges_release(&lost);
}

/* A namespace's lists: blocks that cannot be found are the device's, and a bad block is in no list that tells which. */
static void test_lists(void **state)
{
	static const struct {
		uint64_t ns_offset;
		struct pmr_range bad;
		enum pmr_trust trust;
		uint64_t offset, length;
	} rows[] = {
		{ 0, { 0, 8192 }, PMR_LIST_COMPLETE, 0, 0 },
		{ 0, { MAP + 512, 512 }, PMR_LIST_COMPLETE, 65536, 65536 },
		{ 0, { LOG, 16384 + 4096 }, PMR_LIST_COMPLETE, 0, 0 },
		{ 0, { 8192, 512 }, PMR_LIST_INCOMPLETE, 0, 0 },
		{ 0, { MAP - 4096 - 512, 4096 + 1024 }, PMR_LIST_INCOMPLETE, 0, 65536 },
		/* behind the last block is none */
		{ 0, { MAP - 512, 512 }, PMR_LIST_COMPLETE, 0, 0 },
		/* the namespace begins further in, and the poison is ahead of it, or in it */
		{ MiB, { 0, MiB }, PMR_LIST_COMPLETE, 0, 0 },
		{ MiB, { MiB + MAP, 512 }, PMR_LIST_COMPLETE, 0, 65536 },
		/* where it begins is not known */
		{ PMR_NO_ADDRESS, { MAP, 512 }, PMR_LIST_INCOMPLETE, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_range bad = rows[i].bad;
		struct pmr_region region = {
			.badblocks = { .trust = PMR_LIST_COMPLETE, .ranges = { &bad, 1, 1 } },
		};
		struct pmr_device_private own = { .ns_offset = rows[i].ns_offset };
		struct pmr_device device = {
			.mode = PMR_MODE_SECTOR,
			.enabled = true,
			.region = &region,
			.size = 532545536,
			.ns_size = 512 * MiB,
			.data_offset = PMR_NO_ADDRESS,
			.region_offset = PMR_NO_ADDRESS,
			.own = &own,
		};

		assert_true(pmr_btt_init(&own.btt, device.ns_size, 512, device.size));
		assert_int_equal(pmr_layout_lists(&device), 0);
		assert_int_equal(device.badblocks.trust, rows[i].trust);
		assert_int_equal(device.badblocks.ranges.n, rows[i].length != 0);
		if (rows[i].length) {
			assert_int_equal(device.badblocks.ranges.v[0].offset, rows[i].offset);
			assert_int_equal(device.badblocks.ranges.v[0].length, rows[i].length);
		}
		pmr_badblocks_release(&device.badblocks);
		pmr_badblocks_release(&device.metadata_badblocks);
	}
}

/* What a write could not change, or what would hang the kernel. */
static void test_refuses(void **state)
{
	static const struct {
		enum pmr_mode mode;
		bool can_clear;
		struct pmr_range bad;
		uint64_t offset, length;
		const char *why;
	} rows[] = {
		{ PMR_MODE_SECTOR, true, { 0, 512 }, 0, 512, NULL },
		{ PMR_MODE_SECTOR, false, { 0, 512 }, 0, 512, "btt-no-clear" },
		{ PMR_MODE_FSDAX, false, { MAP, 512 }, 0, 512, NULL },
		{ PMR_MODE_SECTOR, true, { 4096, 512 }, 0, 512, NULL },
		{ PMR_MODE_SECTOR, true, { 8192, 512 }, 0, 512, NULL },
		{ PMR_MODE_SECTOR, true, { LOG, 512 }, 0, 512, "btt-log" },
		{ PMR_MODE_SECTOR, true, { LOG - 512, 1024 }, 0, 512, "btt-log" },
		{ PMR_MODE_SECTOR, true, { LOG + 16384, 4096 }, 0, 512, NULL },
		{ PMR_MODE_SECTOR, true, { MAP + 512, 512 }, 65536, 512, "btt-map" },
		{ PMR_MODE_SECTOR, true, { MAP + 512, 512 }, 65535, 2, "btt-map" },
		{ PMR_MODE_SECTOR, true, { MAP + 512, 512 }, 0, 65536, NULL },
		{ PMR_MODE_SECTOR, true, { MAP + 512, 512 }, 2 * 65536, 512, NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_range bad = rows[i].bad;
		struct pmr_bus bus = { .can_clear = rows[i].can_clear };
		struct pmr_region region = { .bus = &bus };
		struct pmr_device_private own = { 0 };
		struct pmr_device device = {
			.mode = rows[i].mode,
			.enabled = true,
			.region = &region,
			.size = 532545536,
			.ns_size = 512 * MiB,
			.metadata_badblocks = { .trust = PMR_LIST_COMPLETE,
						.ranges = { &bad, 1, 1 } },
			.own = &own,
		};
		const char *why;

		assert_true(pmr_btt_init(&own.btt, device.ns_size, 512, device.size));
		why = pmr_btt_refuses(&device, rows[i].offset, rows[i].length);
		assert_int_equal(!why, !rows[i].why);
		if (why)
			assert_string_equal(why, rows[i].why);
	}
}

/* What is not known of a BTT may be its map and its log. */
static void test_refuses_unknown(void **state)
{
	static const struct {
		bool is_laid_out, can_clear, has_place;
		enum pmr_trust trust;
		size_t n;
		const char *why;
	} rows[] = {
		{ true, true, true, PMR_LIST_COMPLETE, 1, NULL },
		/* a list that is too long for one look is repaired in rounds */
		{ true, true, true, PMR_LIST_INCOMPLETE, 1, NULL },
		{ true, true, true, PMR_LIST_UNKNOWN, 0, "btt-unknown" },
		{ true, true, false, PMR_LIST_COMPLETE, 0, NULL },
		{ true, true, false, PMR_LIST_INCOMPLETE, 0, "btt-unknown" },
		{ false, true, true, PMR_LIST_COMPLETE, 0, NULL },
		{ false, true, true, PMR_LIST_COMPLETE, 1, "btt-unknown" },
		{ false, true, true, PMR_LIST_INCOMPLETE, 0, "btt-unknown" },
		{ false, true, true, PMR_LIST_UNKNOWN, 0, "btt-unknown" },
		{ false, false, true, PMR_LIST_UNKNOWN, 0, "btt-no-clear" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_range bad = { 8192, 512 };
		struct pmr_bus bus = { .can_clear = rows[i].can_clear };
		struct pmr_region region = { .bus = &bus };
		struct pmr_device_private own = { .ns_offset =
							  rows[i].has_place ? 0 : PMR_NO_ADDRESS };
		struct pmr_device device = {
			.mode = PMR_MODE_SECTOR,
			.enabled = true,
			.region = &region,
			.metadata_badblocks = { .trust = rows[i].trust,
						.ranges = { &bad, rows[i].n, 1 } },
			.own = &own,
		};
		const char *why;

		if (rows[i].is_laid_out)
			assert_true(pmr_btt_init(&own.btt, 512 * MiB, 512, 532545536));
		why = pmr_btt_refuses(&device, 0, 512);
		if (!why != !rows[i].why || (why && strcmp(why, rows[i].why) != 0))
			fail_msg("row %zu: %s", i, why ? why : "none");
	}
}

/* Through volumes: what of a range lies on a BTT is asked about there, and no other part. */
static void test_refuses_above(void **state)
{
	static const struct {
		bool can_clear;
		struct pmr_range bad;
		uint64_t offset, length;
		const char *why;
	} rows[] = {
		/* [0, 1 MiB) on a device that is none, then [65536, ...) of the BTT */
		{ true, { 0, 512 }, 1048576, 512, NULL },
		{ false, { 0, 512 }, 1048576, 512, "btt-no-clear" },
		{ false, { 0, 512 }, 0, 1048576, NULL },
		{ false, { 0, 512 }, 0, 1048577, "btt-no-clear" },
		{ true, { LOG, 512 }, 1048576 + 4096, 512, "btt-log" },
		{ true, { LOG, 512 }, 4096, 512, NULL },
		/* the second sector of the map: [65536, 131072) of the BTT */
		{ true, { MAP + 512, 512 }, 1048576, 512, "btt-map" },
		{ true, { MAP + 512, 512 }, 1048575, 2, "btt-map" },
		{ true, { MAP + 512, 512 }, 1048576 + 65536, 512, NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_range bad = rows[i].bad;
		struct pmr_bus bus = { .can_clear = rows[i].can_clear };
		struct pmr_region region = { .bus = &bus };
		struct pmr_device_private own = { 0 };
		struct pmr_device btt = {
			.mode = PMR_MODE_SECTOR,
			.enabled = true,
			.region = &region,
			.metadata_badblocks = { .trust = PMR_LIST_COMPLETE,
						.ranges = { &bad, 1, 1 } },
			.own = &own,
		};
		struct pmr_device plain = { .mode = PMR_MODE_FSDAX,
					    .enabled = true,
					    .region = &region };
		struct pmr_stripe on_plain = { &plain, 0 }, on_btt = { &btt, 65536 }, on_lower;
		struct pmr_piece pieces[] = { { 0, MiB, 0, &on_plain, 1 },
					      { MiB, MiB, 0, &on_btt, 1 } };
		struct pmr_device *lowers[] = { &btt, &plain }, *lower[1];
		struct pmr_device volume = { .mode = PMR_MODE_MAPPED,
					     .pieces = pieces,
					     .n_pieces = 2,
					     .lowers = lowers,
					     .n_lowers = 2 };
		struct pmr_piece all = { 0, 2 * MiB, 0, &on_lower, 1 };
		struct pmr_device nested = { .mode = PMR_MODE_MAPPED,
					     .pieces = &all,
					     .n_pieces = 1,
					     .lowers = lower,
					     .n_lowers = 1 };

		on_lower = (struct pmr_stripe){ &volume, 0 };
		lower[0] = &volume;
		assert_true(pmr_btt_init(&own.btt, 512 * MiB, 512, 532545536));
		for (size_t j = 0; j < 2; j++) {
			const char *why = pmr_btt_refuses(j ? &nested : &volume, rows[i].offset,
							  rows[i].length);

			if (!why != !rows[i].why || (why && strcmp(why, rows[i].why) != 0))
				fail_msg("row %zu, %zu: %s", i, j, why ? why : "none");
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel),		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_version_2),	cmocka_unit_test(test_parts),
		cmocka_unit_test(test_unmapped),	cmocka_unit_test(test_second_arena),
		cmocka_unit_test(test_lists),		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_refuses_unknown), cmocka_unit_test(test_refuses_above),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
