/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What reading a device found, as a part of its list: how far that is believed then, and when it leaves the list. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/topology.h"
#include "repair/repair.h"

#define SIZE 1048576u

static struct pmr_device device;
static struct pmr_device_private own;

/* Sets up @device. @reason: why its list is not complete, or NULL */
static void reset(enum pmr_trust trust, const char *reason)
{
	pmr_ranges_release(&device.reading.done);
	pmr_ranges_release(&device.reading.found);
	pmr_badblocks_release(&device.badblocks);
	memset(&device, 0, sizeof(device));
	memset(&own, 0, sizeof(own));
	device.size = SIZE;
	device.own = &own;
	own.doubt = reason;
	device.badblocks.trust = trust;
	device.badblocks.reason = reason;
}

static void add(struct pmr_ranges *ranges, uint64_t offset, uint64_t length)
{
	assert_int_equal(pmr_ranges_add(ranges, offset, length), 0);
	pmr_ranges_normalize(ranges);
}

/* @length bytes at @offset were read, and a sector at @found failed, if it is in them. */
static void read_part(uint64_t offset, uint64_t length, uint64_t found)
{
	struct pmr_ranges done = { 0 }, failed = { 0 };

	add(&done, offset, length);
	if (found - offset < length)
		add(&failed, found, 512);
	assert_int_equal(pmr_reading_add(&device, &done, &failed), 0);
	pmr_ranges_release(&done);
	pmr_ranges_release(&failed);
}

static void test_trust(void **state)
{
	static const struct {
		enum pmr_trust trust;
		const char *reason;
		uint64_t offset, length;
		enum pmr_trust after;
		const char *reason_after;
	} rows[] = {
		{ PMR_LIST_UNKNOWN, "no-attribute", 0, SIZE, PMR_LIST_COMPLETE, NULL },
		{ PMR_LIST_UNKNOWN, "cannot-open", 0, SIZE, PMR_LIST_COMPLETE, NULL },
		{ PMR_LIST_INCOMPLETE, "page-full", 0, SIZE, PMR_LIST_COMPLETE, NULL },
		{ PMR_LIST_COMPLETE, NULL, 0, SIZE, PMR_LIST_COMPLETE, NULL },
		{ PMR_LIST_COMPLETE, NULL, 4096, 512, PMR_LIST_COMPLETE, NULL },
		/* all but the first or the last sector */
		{ PMR_LIST_UNKNOWN, "no-attribute", 512, SIZE - 512, PMR_LIST_INCOMPLETE,
		  "read-in-part" },
		{ PMR_LIST_UNKNOWN, "no-attribute", 0, SIZE - 512, PMR_LIST_INCOMPLETE,
		  "read-in-part" },
		{ PMR_LIST_INCOMPLETE, "page-full", 0, SIZE - 512, PMR_LIST_INCOMPLETE,
		  "page-full" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		reset(rows[i].trust, rows[i].reason);
		read_part(rows[i].offset, rows[i].length, 5 * 512);
		assert_int_equal(device.badblocks.trust, rows[i].after);
		if (rows[i].reason_after)
			assert_string_equal(device.badblocks.reason, rows[i].reason_after);
		else
			assert_null(device.badblocks.reason);
		assert_int_equal(pmr_device_is_read(&device), rows[i].length == SIZE);
		/* the doubt goes with the whole device alone */
		if (rows[i].length == SIZE)
			assert_null(own.doubt);
		else
			assert_ptr_equal(own.doubt, rows[i].reason);
		assert_int_equal(pmr_device_is_told(&device), rows[i].after == PMR_LIST_COMPLETE);
		device.reading.complete = true;
		assert_true(pmr_device_is_told(&device));
	}
	/* in two halves; nothing at all */
	reset(PMR_LIST_UNKNOWN, "no-attribute");
	read_part(0, SIZE / 2, 0);
	assert_false(pmr_device_is_read(&device));
	read_part(SIZE / 2, SIZE / 2, SIZE - 512);
	assert_true(pmr_device_is_read(&device));
	assert_int_equal(device.badblocks.trust, PMR_LIST_COMPLETE);
	assert_int_equal(device.badblocks.ranges.n, 2);
	reset(PMR_LIST_UNKNOWN, "no-attribute");
	assert_int_equal(pmr_reading_apply(&device), 0);
	assert_int_equal(device.badblocks.trust, PMR_LIST_UNKNOWN);
	device.size = 0;
	assert_false(pmr_device_is_read(&device));
	reset(PMR_LIST_UNKNOWN, NULL);
}

/* The kernel's list is read anew, and has these sectors. */
static void relist(const uint64_t *sectors, size_t n)
{
	pmr_badblocks_release(&device.badblocks);
	device.badblocks.trust = PMR_LIST_INCOMPLETE;
	device.badblocks.reason = "page-full";
	for (size_t i = 0; i < n; i++)
		add(&device.badblocks.ranges, sectors[i] * 512, 512);
	assert_int_equal(pmr_reading_apply(&device), 0);
}

static void test_lists_come_and_go(void **state)
{
	static const uint64_t both[] = { 5, 9 }, other[] = { 9 };

	(void)state;
	reset(PMR_LIST_COMPLETE, NULL);
	add(&device.badblocks.ranges, 9 * 512, 512);
	read_part(0, SIZE, 5 * 512);
	assert_int_equal(device.badblocks.ranges.n, 2);
	/* what was found stays, though the kernel does not list it; what it does, it forgets by itself */
	assert_true(pmr_reading_explains(&device, 4096 * 0, 6 * 512));
	assert_false(pmr_reading_explains(&device, 0, 4096 * 2));
	relist(other, 1);
	assert_int_equal(device.badblocks.ranges.n, 2);
	assert_int_equal(device.badblocks.trust, PMR_LIST_COMPLETE);
	relist(both, 2);
	assert_int_equal(device.reading.found.n, 0);
	assert_false(pmr_reading_explains(&device, 5 * 512, 512));
	relist(other, 1);
	assert_int_equal(device.badblocks.ranges.n, 1);
	reset(PMR_LIST_UNKNOWN, NULL);
}

static void test_forget(void **state)
{
	(void)state;
	reset(PMR_LIST_COMPLETE, NULL);
	add(&device.badblocks.ranges, 9 * 512, 512);
	read_part(0, SIZE, 5 * 512);
	read_part(0, SIZE, 8 * 512);
	/* the page of 8 and 9: only what was found goes, for the other is the kernel's to forget */
	assert_int_equal(pmr_reading_forget(&device, 4096, 4096), 0);
	assert_int_equal(device.reading.found.n, 1);
	assert_int_equal(device.badblocks.ranges.n, 2);
	assert_int_equal(device.badblocks.ranges.v[0].offset, 5 * 512);
	assert_int_equal(device.badblocks.ranges.v[1].offset, 9 * 512);
	assert_int_equal(device.badblocks.ranges.v[1].length, 512);
	assert_int_equal(pmr_reading_forget(&device, 0, 512), 0);
	assert_int_equal(device.badblocks.ranges.n, 2);
	assert_int_equal(pmr_reading_forget(&device, 0, 4096), 0);
	assert_int_equal(device.badblocks.ranges.n, 1);
	assert_int_equal(device.reading.found.n, 0);
	reset(PMR_LIST_UNKNOWN, NULL);
}

/* The list as it is read anew. */
static void list_anew(void)
{
	pmr_ranges_release(&device.badblocks.ranges);
	device.badblocks.trust = PMR_LIST_INCOMPLETE;
	device.badblocks.reason = "region-only";
	assert_int_equal(pmr_reading_apply(&device), 0);
}

static void check_block(enum pmr_trust trust, bool told, enum pmr_owner owner)
{
	list_anew();
	assert_int_equal(device.badblocks.trust, trust);
	assert_int_equal(pmr_device_is_told(&device), told);
	assert_int_equal(pmr_namespace_owner(&device, PMR_PART_BTT_DATA), owner);
}

/* Reading tells which blocks of a BTT are bad, but not of poison that is listed since. */
static void test_btt(void **state)
{
	const uint64_t size = 532545536, data = 8192;

	(void)state;
	reset(PMR_LIST_INCOMPLETE, "region-only");
	device.enabled = true;
	device.mode = PMR_MODE_SECTOR;
	device.size = size;
	device.ns_size = 512 << 20;
	assert_true(pmr_btt_init(&own.btt, device.ns_size, 512, size));
	add(&device.metadata_badblocks.ranges, data + 5120, 512);
	check_block(PMR_LIST_INCOMPLETE, false, PMR_OWNER_UNKNOWN);
	/* a part, and that was all that was asked for */
	read_part(0, size / 2, UINT64_MAX);
	device.reading.complete = true;
	check_block(PMR_LIST_INCOMPLETE, true, PMR_OWNER_UNKNOWN);
	read_part(size / 2, size / 2, UINT64_MAX);
	check_block(PMR_LIST_COMPLETE, true, PMR_OWNER_FREE);
	/* an info block is none that reading meets */
	add(&device.metadata_badblocks.ranges, 4096, 512);
	check_block(PMR_LIST_COMPLETE, true, PMR_OWNER_FREE);
	add(&device.metadata_badblocks.ranges, data + 10240, 512);
	check_block(PMR_LIST_INCOMPLETE, false, PMR_OWNER_UNKNOWN);
	pmr_ranges_release(&device.metadata_badblocks.ranges);
	add(&device.metadata_badblocks.ranges, data + 5120, 512);
	read_part(0, size, 5120);
	/* one of them failed: whether the bad one is that or a free one is not known */
	check_block(PMR_LIST_COMPLETE, true, PMR_OWNER_UNKNOWN);
	/* what was read says nothing of poison that came in between */
	add(&device.metadata_badblocks.ranges, data + 20480, 512);
	read_part(0, size, UINT64_MAX);
	check_block(PMR_LIST_INCOMPLETE, false, PMR_OWNER_UNKNOWN);
	pmr_ranges_release(&device.metadata_badblocks.ranges);
	pmr_ranges_release(&own.met);
	reset(PMR_LIST_UNKNOWN, NULL);
}

/* Nor does reading a volume tell of what went bad since in a BTT below it, whichever of them was read first. */
static void test_above_btt(void **state)
{
	const uint64_t size = 532545536, data = 8192;
	struct pmr_device_private own_btt = { 0 };
	struct pmr_device btt = {
		.enabled = true,
		.mode = PMR_MODE_SECTOR,
		.size = size,
		.ns_size = 512 << 20,
		.own = &own_btt,
	};
	struct pmr_device *lowers[] = { &btt };

	(void)state;
	assert_true(pmr_btt_init(&own_btt.btt, btt.ns_size, 512, size));
	add(&btt.metadata_badblocks.ranges, data + 5120, 512);
	reset(PMR_LIST_INCOMPLETE, "region-only");
	device.mode = PMR_MODE_MAPPED;
	device.lowers = lowers;
	device.n_lowers = 1;
	read_part(0, SIZE, UINT64_MAX);
	device.reading.complete = true;
	assert_int_equal(device.badblocks.trust, PMR_LIST_COMPLETE);
	assert_true(pmr_device_is_told(&device));
	/* an info block is none that reading meets */
	add(&btt.metadata_badblocks.ranges, 4096, 512);
	assert_true(pmr_device_is_told(&device));
	add(&btt.metadata_badblocks.ranges, data + 10240, 512);
	for (int i = 0; i < 2; i++) {
		device.badblocks.trust = PMR_LIST_INCOMPLETE;
		assert_false(pmr_device_is_told(&device));
		assert_int_equal(pmr_reading_apply(&device), 0);
		assert_int_equal(device.badblocks.trust, PMR_LIST_INCOMPLETE);
		assert_false(pmr_device_is_told(&device));
		if (i)
			continue;
		/* what the BTT's own reading met later is not what the volume's did */
		assert_int_equal(pmr_reading_add(&btt, &device.reading.done, &btt.reading.found),
				 0);
	}
	pmr_ranges_release(&btt.reading.done);
	pmr_ranges_release(&btt.metadata_badblocks.ranges);
	pmr_ranges_release(&own_btt.met);
	pmr_badblocks_release(&btt.badblocks);
	reset(PMR_LIST_UNKNOWN, NULL);
}

/* A list that is made anew of others' has nothing of what was found, each time. */
static void test_made_anew(void **state)
{
	(void)state;
	reset(PMR_LIST_INCOMPLETE, "page-full");
	device.own = NULL;
	read_part(0, SIZE, 5 * 512);
	for (int i = 0; i < 2; i++) {
		pmr_badblocks_release(&device.badblocks);
		device.badblocks.trust = PMR_LIST_INCOMPLETE;
		add(&device.badblocks.ranges, 9 * 512, 512);
		for (int j = 0; j < 2; j++) {
			assert_int_equal(pmr_device_refresh(NULL, &device), 0);
			assert_int_equal(device.badblocks.ranges.n, 2);
			assert_int_equal(device.reading.found.n, 1);
			assert_int_equal(device.badblocks.trust, PMR_LIST_COMPLETE);
		}
	}
	reset(PMR_LIST_UNKNOWN, NULL);
}

/* A volume whose table changed is not what was read. */
static void test_remapped(void **state)
{
	struct pmr_ctx *ctx;

	(void)state;
	assert_int_equal(pmr_new(&ctx), 0);
	reset(PMR_LIST_INCOMPLETE, "page-full");
	device.mode = PMR_MODE_MAPPED;
	device.name = (char *)"dm-0";
	read_part(0, SIZE, 5 * 512);
	device.reading.complete = true;
	assert_true(pmr_device_is_told(&device));
	own.remapped = true;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pmr_device_refresh(ctx, &device), 0);
		assert_int_equal(device.badblocks.trust, PMR_LIST_UNKNOWN);
		assert_string_equal(device.badblocks.reason, "remapped");
		assert_int_equal(device.badblocks.ranges.n, 0);
		assert_false(pmr_device_is_told(&device));
	}
	pmr_unref(ctx);
	reset(PMR_LIST_UNKNOWN, NULL);
}

static void check_offlined(const struct pmr_device *of, uint64_t offset, uint64_t length)
{
	struct pmr_ranges pages = { 0 };

	assert_int_equal(pmr_reading_offlined(of, &pages), 0);
	assert_int_equal(pages.n, length ? 1 : 0);
	if (length) {
		assert_int_equal(pages.v[0].offset, offset);
		assert_int_equal(pages.v[0].length, length);
	}
	pmr_ranges_release(&pages);
}

/* Where nothing of a page can be read, and no list alone says so, a machine check may have taken it. */
static void test_offlined(void **state)
{
	static const struct {
		uint64_t listed, n_listed, found, n_found; /* sectors */
		unsigned int logical_block;
		enum pmr_mode mode;
		uint64_t offset, length; /* want */
	} rows[] = {
		{ 0, 0, 8, 8, 512, PMR_MODE_FSDAX, 4096, 4096 },
		{ 0, 0, 8, 8, 0, PMR_MODE_DEVDAX, 4096, 4096 },
		{ 0, 0, 8, 7, 512, PMR_MODE_FSDAX, 0, 0 },
		{ 0, 0, 9, 7, 512, PMR_MODE_FSDAX, 0, 0 },
		{ 0, 0, 7, 18, 512, PMR_MODE_RAW, 4096, 8192 },
		/* a list from a file has one of it; a list has it all */
		{ 10, 1, 8, 8, 512, PMR_MODE_FSDAX, 4096, 4096 },
		{ 8, 4, 12, 4, 512, PMR_MODE_FSDAX, 4096, 4096 },
		{ 8, 8, 16, 1, 512, PMR_MODE_FSDAX, 0, 0 },
		/* where one bad sector takes the page, or it is none of memory */
		{ 0, 0, 8, 8, 4096, PMR_MODE_FSDAX, 0, 0 },
		{ 0, 0, 8, 8, 512, PMR_MODE_SECTOR, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		reset(PMR_LIST_COMPLETE, NULL);
		device.logical_block = rows[i].logical_block;
		device.mode = rows[i].mode;
		if (rows[i].n_listed)
			add(&device.badblocks.ranges, rows[i].listed * 512, rows[i].n_listed * 512);
		add(&device.badblocks.ranges, rows[i].found * 512, rows[i].n_found * 512);
		add(&device.reading.found, rows[i].found * 512, rows[i].n_found * 512);
		check_offlined(&device, rows[i].offset, rows[i].length);
	}
	device.mode = PMR_MODE_UNKNOWN;
	device.own = NULL;
	check_offlined(&device, 0, 0);
	reset(PMR_LIST_UNKNOWN, NULL);
}

/* The pages are those of the memory below, wherever the volume has them, and whoever was read. */
static void test_offlined_below(void **state)
{
	struct pmr_device *lowers[] = { &device };
	struct pmr_stripe stripe = { .lower = &device, .offset = 1536 };
	struct pmr_piece piece = { .length = SIZE - 4096, .stripes = &stripe, .n_stripes = 1 };
	struct pmr_device_private volume_own = { 0 };
	struct pmr_device volume = {
		.mode = PMR_MODE_MAPPED,
		.size = SIZE - 4096,
		.logical_block = 512,
		.pieces = &piece,
		.n_pieces = 1,
		.lowers = lowers,
		.n_lowers = 1,
		.own = &volume_own,
	};

	(void)state;
	for (int i = 0; i < 2; i++) {
		reset(PMR_LIST_COMPLETE, NULL);
		device.mode = PMR_MODE_FSDAX;
		add(&volume.badblocks.ranges, 8192 - 1536, 4096);
		if (i) {
			add(&device.badblocks.ranges, 8192, 4096);
			add(&device.reading.found, 8192, 4096);
		} else {
			add(&volume.reading.found, 8192 - 1536, 4096);
		}
		check_offlined(&volume, 8192 - 1536, 4096);
		volume.logical_block = 4096;
		check_offlined(&volume, 0, 0);
		volume.logical_block = 512;
		pmr_ranges_release(&volume.badblocks.ranges);
		pmr_ranges_release(&volume.reading.found);
	}
	/* a page of the volume, and none of the memory */
	add(&volume.badblocks.ranges, 8192, 4096);
	add(&volume.reading.found, 8192, 4096);
	reset(PMR_LIST_COMPLETE, NULL);
	check_offlined(&volume, 0, 0);
	pmr_ranges_release(&volume.badblocks.ranges);
	pmr_ranges_release(&volume.reading.found);
	reset(PMR_LIST_UNKNOWN, NULL);
}

/* What a write left bad, and the kernel has no record of: sector 4 is in its list, 6 was found by reading. */
static void test_record(void **state)
{
	static const struct {
		uint64_t dead, different; /* sectors, or 0 */
		bool from_file;
		uint64_t missing;
	} rows[] = {
		{ 4, 0, false, 0 },
		{ 0, 4, false, 0 },
		{ 5, 0, false, 5 },
		{ 0, 5, false, 5 },
		/* nobody forgets what is read as bad again; what can be read tells nothing */
		{ 6, 0, false, 0 },
		{ 0, 6, false, 6 },
		/* the list is not the kernel's */
		{ 4, 0, true, 4 },
		{ 6, 0, true, 0 },
		{ 0, 6, true, 6 },
	};
	struct pmr_ranges dead, different, missing;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		dead = different = missing = (struct pmr_ranges){ 0 };
		reset(PMR_LIST_COMPLETE, NULL);
		add(&device.badblocks.ranges, 4 * 512, 512);
		read_part(0, SIZE, 6 * 512);
		device.from_file = rows[i].from_file;
		if (rows[i].dead)
			add(&dead, rows[i].dead * 512, 512);
		if (rows[i].different)
			add(&different, rows[i].different * 512, 512);
		assert_int_equal(pmr_record_missing(&device, &dead, &different, &missing), 0);
		assert_int_equal(missing.n, rows[i].missing ? 1 : 0);
		if (missing.n) {
			assert_int_equal(missing.v[0].offset, rows[i].missing * 512);
			assert_int_equal(missing.v[0].length, 512);
		}
		pmr_ranges_release(&dead);
		pmr_ranges_release(&different);
		pmr_ranges_release(&missing);
	}
	reset(PMR_LIST_UNKNOWN, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trust),	  cmocka_unit_test(test_lists_come_and_go),
		cmocka_unit_test(test_forget),	  cmocka_unit_test(test_btt),
		cmocka_unit_test(test_made_anew), cmocka_unit_test(test_above_btt),
		cmocka_unit_test(test_remapped),  cmocka_unit_test(test_offlined),
		cmocka_unit_test(test_record),	  cmocka_unit_test(test_offlined_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
