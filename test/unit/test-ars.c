/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a bus's answer about its last scrub is worth, and what of it is in a device and in no list. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/ars.h"
#include "device/topology.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define EXTENDED(n) ((uint32_t)(n) << 16)
#define MOST 4

static void test_state(void **state)
{
	static const struct {
		int error;
		uint32_t status;
		bool is_cut;
		enum pmr_ars_state state;
		int why;
	} rows[] = {
		{ 0, 0, false, PMR_ARS_WHOLE, 0 },
		{ 0, 0, true, PMR_ARS_CUT, 0 },
		/* stopped early; for want of room or not */
		{ 0, EXTENDED(3), false, PMR_ARS_WHOLE, 0 },
		{ 0, EXTENDED(3), true, PMR_ARS_CUT, 0 },
		{ 0, EXTENDED(1), false, PMR_ARS_RUNNING, 0 },
		{ 0, EXTENDED(1), true, PMR_ARS_RUNNING, 0 },
		{ 0, EXTENDED(2), false, PMR_ARS_NONE, 0 },
		/* what nobody knows is no answer */
		{ 0, EXTENDED(4), false, PMR_ARS_FAILED, -EIO },
		{ 0, EXTENDED(0xffff), false, PMR_ARS_FAILED, -EIO },
		/* an error, however far it is said to be */
		{ 0, 1, false, PMR_ARS_FAILED, -EIO },
		{ 0, EXTENDED(1) | 2, false, PMR_ARS_FAILED, -EIO },
		{ 0, 0xffff, true, PMR_ARS_FAILED, -EIO },
		{ -EOPNOTSUPP, 0, false, PMR_ARS_NONE, -EOPNOTSUPP },
		{ -ENOTTY, 0, false, PMR_ARS_NONE, -ENOTTY },
		{ -EACCES, 0, false, PMR_ARS_REFUSED, -EACCES },
		{ -EPERM, 0, false, PMR_ARS_REFUSED, -EPERM },
		{ -EBUSY, 0, false, PMR_ARS_RUNNING, -EBUSY },
		{ -EIO, 0, false, PMR_ARS_FAILED, -EIO },
		{ -ENXIO, 0, true, PMR_ARS_FAILED, -ENXIO },
		{ -EPROTO, 0, false, PMR_ARS_FAILED, -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_range record = { 4096, 512 };
		const struct pmr_ars_answer answer = {
			.error = rows[i].error,
			.status = rows[i].status,
			.is_cut = rows[i].is_cut,
			.told = 1,
			.records = &record,
			.n_records = 1,
		};
		bool counts = rows[i].state == PMR_ARS_WHOLE || rows[i].state == PMR_ARS_CUT;
		struct pmr_ars ars = { 0 };

		assert_int_equal(pmr_ars_judge(&answer, &ars), 0);
		if (ars.state != rows[i].state || ars.error != rows[i].why ||
		    ars.records.n != (counts ? 1 : 0) || ars.odd)
			fail_msg("row %zu: state %d, error %d, %zu records", i, ars.state,
				 ars.error, ars.records.n);
		pmr_ars_release(&ars);
	}
}

static void test_records(void **state)
{
	static const struct {
		uint64_t told;
		struct pmr_range records[MOST];
		size_t n;
		struct pmr_range made[MOST];
		size_t n_made;
		uint64_t odd;
		bool is_cut;
	} rows[] = {
		{ 0 },
		{ 1, { { 512, 512 } }, 1, { { 512, 512 } }, 1, 0, false },
		/* whole sectors */
		{ 1, { { 1000, 64 } }, 1, { { 512, 1024 } }, 1, 0, false },
		{ 1, { { 1023, 1 } }, 1, { { 512, 512 } }, 1, 0, false },
		{ 1, { { 1024, 1 } }, 1, { { 1024, 512 } }, 1, 0, false },
		/* unsorted, overlapping, twice, side by side */
		{ 2, { { 8192, 512 }, { 0, 512 } }, 2, { { 0, 512 }, { 8192, 512 } }, 2, 0, false },
		{ 3,
		  { { 512, 1024 }, { 1024, 1024 }, { 512, 1024 } },
		  3,
		  { { 512, 1536 } },
		  1,
		  0,
		  false },
		{ 2, { { 512, 64 }, { 1024, 64 } }, 2, { { 512, 1024 } }, 1, 0, false },
		/* no length */
		{ 2, { { 512, 0 }, { 4096, 512 } }, 2, { { 4096, 512 } }, 1, 1, false },
		/* past the end of all addresses */
		{ 1, { { UINT64_MAX - 511, 1024 } }, 1, { { 0 } }, 0, 1, false },
		{ 1, { { 512, UINT64_MAX } }, 1, { { 0 } }, 0, 1, false },
		{ 1, { { UINT64_MAX - 1, 1 } }, 1, { { 0 } }, 0, 1, false },
		{ 1, { { UINT64_MAX, UINT64_MAX } }, 1, { { 0 } }, 0, 1, false },
		/* one less, rounded up, is the last that there can be */
		{ 1,
		  { { UINT64_MAX - 1023, 512 } },
		  1,
		  { { UINT64_MAX - 1023, 512 } },
		  1,
		  0,
		  false },
		/* more are told of than are there */
		{ 5, { { 512, 512 } }, 1, { { 512, 512 } }, 1, 0, true },
		{ UINT64_MAX, { { 512, 0 } }, 0, { { 0 } }, 0, 0, true },
		{ 3, { { 512, 512 }, { 1024, 0 } }, 2, { { 512, 512 } }, 1, 1, true },
		/* the last of them never came */
		{ 3, { { 512, 512 }, { 0 }, { 0 } }, 3, { { 512, 512 } }, 1, 0, true },
		{ 1, { { 0 } }, 1, { { 0 } }, 0, 0, true },
		{ 2, { { 0 }, { 512, 512 } }, 2, { { 512, 512 } }, 1, 1, false },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const struct pmr_ars_answer answer = {
			.told = rows[i].told,
			.records = (struct pmr_range *)rows[i].records,
			.n_records = rows[i].n,
		};
		struct pmr_ars ars = { 0 };

		assert_int_equal(pmr_ars_judge(&answer, &ars), 0);
		assert_int_equal(ars.state, rows[i].is_cut ? PMR_ARS_CUT : PMR_ARS_WHOLE);
		if (ars.odd != rows[i].odd || ars.records.n != rows[i].n_made ||
		    (ars.records.n && memcmp(ars.records.v, rows[i].made,
					     ars.records.n * sizeof(*ars.records.v)) != 0))
			fail_msg("row %zu: %zu records, %llu odd", i, ars.records.n,
				 (unsigned long long)ars.odd);
		pmr_ars_release(&ars);
	}
}

#define REGION 0x100000u
#define NS 0x1000u /* in its region */
#define DATA 0x4000u /* in its namespace */
#define SIZE 0x10000u

static void test_unlisted(void **state)
{
	static const struct {
		enum pmr_mode mode;
		struct pmr_range record; /* address */
		struct pmr_range listed, listed_metadata;
		struct pmr_range data, hidden;
		bool unknown; /* where it lies */
	} rows[] = {
		{ .mode = PMR_MODE_FSDAX,
		  .record = { REGION + NS + DATA + 512, 512 },
		  .data = { 512, 512 } },
		/* listed; in part */
		{ .mode = PMR_MODE_FSDAX,
		  .record = { REGION + NS + DATA + 512, 512 },
		  .listed = { 0, 4096 } },
		{ .mode = PMR_MODE_FSDAX,
		  .record = { REGION + NS + DATA + 512, 1024 },
		  .listed = { 512, 512 },
		  .data = { 1024, 512 } },
		/* before, after, and over the end */
		{ .mode = PMR_MODE_FSDAX, .record = { REGION, NS } },
		{ .mode = PMR_MODE_FSDAX, .record = { REGION + NS + DATA + SIZE, 4096 } },
		{ .mode = PMR_MODE_FSDAX,
		  .record = { REGION + NS + DATA + SIZE - 512, 4096 },
		  .data = { SIZE - 512, 512 } },
		{ .mode = PMR_MODE_FSDAX, .record = { 0, 512 } },
		/* the info block, but not the page map behind it */
		{ .mode = PMR_MODE_FSDAX,
		  .record = { REGION + NS + 4096, 512 },
		  .hidden = { 4096, 512 } },
		{ .mode = PMR_MODE_FSDAX,
		  .record = { REGION + NS + 4096, 512 },
		  .listed_metadata = { 4096, 512 } },
		{ .mode = PMR_MODE_FSDAX, .record = { REGION + NS + 8192, 512 } },
		{ .mode = PMR_MODE_FSDAX,
		  .record = { REGION, DATA * 8 },
		  .data = { 0, SIZE },
		  .hidden = { 0, 8192 } },
		/* blocks of a sector namespace have no place */
		{ .mode = PMR_MODE_SECTOR,
		  .record = { REGION + NS + DATA + 512, 512 },
		  .hidden = { DATA + 512, 512 } },
		{ .mode = PMR_MODE_SECTOR,
		  .record = { REGION + NS + DATA + 512, 512 },
		  .listed_metadata = { 0, DATA * 2 } },
		{ .mode = PMR_MODE_SECTOR,
		  .record = { REGION + NS + DATA + 512, 512 },
		  .unknown = true },
		/* raw: no info block */
		{ .mode = PMR_MODE_RAW, .record = { REGION + NS, 512 }, .data = { 0, 512 } },
		{ .mode = PMR_MODE_RAW, .record = { REGION + NS, 512 }, .unknown = true },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		bool is_sector = rows[i].mode == PMR_MODE_SECTOR,
		     is_raw = rows[i].mode == PMR_MODE_RAW;
		struct pmr_range record = rows[i].record, listed = rows[i].listed,
				 metadata = rows[i].listed_metadata;
		struct pmr_region region = { .resource =
						     rows[i].unknown ? PMR_NO_ADDRESS : REGION };
		struct pmr_device_private own = { .ns_offset = NS };
		struct pmr_device device = {
			.mode = rows[i].mode,
			.enabled = true,
			.region = &region,
			.size = SIZE,
			.ns_size = DATA + SIZE,
			.data_offset = is_sector ? PMR_NO_ADDRESS
				       : is_raw	 ? 0
						 : DATA,
			.resource = is_sector || rows[i].unknown ? PMR_NO_ADDRESS
				    : is_raw			 ? REGION + NS
								 : REGION + NS + DATA,
			.badblocks.ranges = { &listed, listed.length ? 1 : 0, 1 },
			.metadata_badblocks.ranges = { &metadata, metadata.length ? 1 : 0, 1 },
			.own = &own,
		};
		const struct pmr_ars ars = { .state = PMR_ARS_WHOLE, .records = { &record, 1, 1 } };
		struct pmr_ranges data = { 0 }, hidden = { 0 };

		assert_int_equal(pmr_ars_unlisted(&ars, &device, &data, &hidden), 0);
		if (data.n != (rows[i].data.length ? 1 : 0) ||
		    (data.n && memcmp(data.v, &rows[i].data, sizeof(*data.v)) != 0))
			fail_msg("row %zu: data", i);
		if (hidden.n != (rows[i].hidden.length ? 1 : 0) ||
		    (hidden.n && memcmp(hidden.v, &rows[i].hidden, sizeof(*hidden.v)) != 0))
			fail_msg("row %zu: hidden", i);
		pmr_ranges_release(&data);
		pmr_ranges_release(&hidden);
	}
}

/* A device-dax of two places, the second one ahead of the first in memory. */
static void test_scattered(void **state)
{
	struct pmr_dax_range places[] = { { 0, 8192, REGION + 65536 }, { 8192, 4096, REGION } };
	struct pmr_device_private own = { .ns_offset = 0, .dax = { .ranges = places, .n = 2 } };
	struct pmr_region region = { .resource = REGION };
	struct pmr_device device = {
		.mode = PMR_MODE_DEVDAX,
		.enabled = true,
		.region = &region,
		.size = 12288,
		.data_offset = PMR_NO_ADDRESS,
		.resource = PMR_NO_ADDRESS,
		.own = &own,
	};
	struct pmr_range records[] = { { REGION + 512, 512 },
				       { REGION + 65536 + 8192 - 512, 4096 } };
	const struct pmr_ars ars = { .state = PMR_ARS_WHOLE, .records = { records, 2, 2 } };
	struct pmr_ranges data = { 0 }, hidden = { 0 };

	(void)state;
	assert_int_equal(pmr_ars_unlisted(&ars, &device, &data, &hidden), 0);
	assert_int_equal(data.n, 2);
	assert_int_equal(data.v[0].offset, 8192 - 512);
	assert_int_equal(data.v[0].length, 512);
	assert_int_equal(data.v[1].offset, 8192 + 512);
	assert_int_equal(data.v[1].length, 512);
	assert_int_equal(hidden.n, 0);
	pmr_ranges_release(&data);
}

/* In doubt until the device is read. */
static void test_doubt(void **state)
{
	struct pmr_device_private own = { .attribute = (char *)"its own" };
	struct pmr_region region = { .badblocks = { .trust = PMR_LIST_COMPLETE } };
	struct pmr_device device = {
		.mode = PMR_MODE_FSDAX,
		.enabled = true,
		.region = &region,
		.size = 65536,
		.data_offset = 4096,
		.badblocks = { .trust = PMR_LIST_COMPLETE },
		.metadata_badblocks = { .trust = PMR_LIST_COMPLETE },
		.own = &own,
	};
	struct pmr_range all = { 0, 65536 }, bad = { 512, 512 };

	(void)state;
	pmr_ars_doubt(&device, NULL, NULL);
	assert_int_equal(device.badblocks.trust, PMR_LIST_COMPLETE);
	assert_int_equal(device.metadata_badblocks.trust, PMR_LIST_COMPLETE);
	pmr_ars_doubt(&device, "ars-cut", "ars-unconfirmed");
	assert_string_equal(device.badblocks.reason, "ars-cut");
	assert_string_equal(device.metadata_badblocks.reason, "ars-unconfirmed");
	device.badblocks.source = strdup("list");
	device.reading.ars_bytes = 512;
	assert_int_equal(pmr_reading_add(&device, &(struct pmr_ranges){ &bad, 1, 1 },
					 &(struct pmr_ranges){ &bad, 1, 1 }),
			 0);
	assert_string_equal(device.badblocks.source, "list, ars");
	assert_string_equal(device.badblocks.reason, "ars-cut");
	assert_int_equal(pmr_reading_add(&device, &(struct pmr_ranges){ &all, 1, 1 },
					 &(struct pmr_ranges){ 0 }),
			 0);
	assert_string_equal(device.badblocks.source, "list, ars");
	assert_int_equal(device.badblocks.trust, PMR_LIST_COMPLETE);
	/* who has read it knows; of what cannot be read, nobody does */
	pmr_ars_doubt(&device, "ars-unconfirmed", "ars-unconfirmed");
	assert_int_equal(device.badblocks.trust, PMR_LIST_COMPLETE);
	assert_string_equal(device.metadata_badblocks.reason, "ars-unconfirmed");
	pmr_ranges_release(&device.reading.done);
	pmr_ranges_release(&device.reading.found);
	pmr_badblocks_release(&device.badblocks);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state),	 cmocka_unit_test(test_records),
		cmocka_unit_test(test_unlisted), cmocka_unit_test(test_scattered),
		cmocka_unit_test(test_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
