/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a bad byte of a namespace or a region is, and what a bus tells of its scrubs. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "private.h"
#include "device/topology.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define NO PMR_NO_ADDRESS
#define DATA PMR_PART_NONE
#define INFO PMR_PART_INFO_BLOCK
#define MAP PMR_PART_PAGE_MAP
#define PAD PMR_PART_PADDING
#define END 1000000u

static void test_namespace_part(void **state)
{
	static const struct {
		uint64_t data_offset, size;
		enum pmr_page_map map;
		uint64_t offset;
		enum pmr_part part;
		uint64_t until;
	} rows[] = {
		/* With a page map in the namespace: 4 KiB of nothing, the block, the map, data, and a rest. */
		{ 65536, 500000, PMR_PAGE_MAP_DEV, 0, PAD, 4096 },
		{ 65536, 500000, PMR_PAGE_MAP_DEV, 4095, PAD, 4096 },
		{ 65536, 500000, PMR_PAGE_MAP_DEV, 4096, INFO, 8192 },
		{ 65536, 500000, PMR_PAGE_MAP_DEV, 8191, INFO, 8192 },
		{ 65536, 500000, PMR_PAGE_MAP_DEV, 8192, MAP, 65536 },
		{ 65536, 500000, PMR_PAGE_MAP_DEV, 65535, MAP, 65536 },
		{ 65536, 500000, PMR_PAGE_MAP_DEV, 65536, DATA, 565536 },
		{ 65536, 500000, PMR_PAGE_MAP_DEV, 565535, DATA, 565536 },
		{ 65536, 500000, PMR_PAGE_MAP_DEV, 565536, PAD, END },
		/* In ordinary memory. */
		{ 65536, 500000, PMR_PAGE_MAP_MEM, 4096, INFO, 8192 },
		{ 65536, 500000, PMR_PAGE_MAP_MEM, 8192, PAD, 65536 },
		/* Without an info block there is nothing but data. */
		{ 0, 500000, PMR_PAGE_MAP_NONE, 0, DATA, 500000 },
		{ 0, 500000, PMR_PAGE_MAP_NONE, 4096, DATA, 500000 },
		{ 0, 500000, PMR_PAGE_MAP_NONE, 500000, PAD, END },
		/* What cannot be is cut where the data begins all the same. */
		{ 6000, 500000, PMR_PAGE_MAP_DEV, 5000, INFO, 6000 },
		{ 100, 500000, PMR_PAGE_MAP_DEV, 0, PAD, 100 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_device device = { .data_offset = rows[i].data_offset,
					     .size = rows[i].size,
					     .ns_size = END,
					     .enabled = true,
					     .mode = PMR_MODE_FSDAX,
					     .page_map = rows[i].map };
		uint64_t until;

		assert_int_equal(pmr_namespace_part(&device, rows[i].offset, &until), rows[i].part);
		assert_int_equal(until, rows[i].until);
	}
}

#define AT_FSDAX 0
#define AT_SECTOR 1
#define AT_DISABLED 2
#define NOWHERE (-1)

struct world {
	struct pmr_device devices[3], *pointers[3];
	struct pmr_device_private own[3];
	struct pmr_region region;
	struct pmr_topology topology;
};

/* 100000 bytes: fsdax with 16384 ahead of its data at 0+50000, sector mode at 50000+10000, disabled at 60000+10000. */
static void set_up(struct world *w, struct pmr_range *bad, size_t n)
{
	static const uint64_t offsets[] = { 0, 50000, 60000 }, sizes[] = { 50000, 10000, 10000 };
	size_t i;

	memset(w, 0, sizeof(*w));
	for (i = 0; i < N(w->devices); i++) {
		w->own[i].ns_offset = offsets[i];
		w->devices[i] = (struct pmr_device){ .own = &w->own[i],
						     .region = &w->region,
						     .ns_size = sizes[i],
						     .enabled = true,
						     .mode = PMR_MODE_FSDAX };
		w->pointers[i] = &w->devices[i];
	}
	w->devices[AT_FSDAX].data_offset = 16384;
	w->devices[AT_FSDAX].size = 30000;
	w->devices[AT_FSDAX].page_map = PMR_PAGE_MAP_DEV;
	w->devices[AT_SECTOR].mode = PMR_MODE_SECTOR;
	w->devices[AT_SECTOR].data_offset = NO;
	w->devices[AT_DISABLED].enabled = false;
	w->topology.devices = w->pointers;
	w->topology.n_devices = N(w->devices);
	w->region.size = 100000;
	w->region.badblocks =
		(struct pmr_badblocks){ .trust = PMR_LIST_COMPLETE, .ranges = { bad, n, n } };
}

static void test_region_parts(void **state)
{
	static struct pmr_range bad[] = { { 0, 20000 }, { 45000, 30000 }, { 90000, 10 } };
	static const struct {
		uint64_t offset, length;
		int at;
		enum pmr_owner owner;
		enum pmr_part part;
	} rows[] = {
		{ 0, 4096, AT_FSDAX, PMR_OWNER_NAMESPACE, PAD },
		{ 4096, 4096, AT_FSDAX, PMR_OWNER_NAMESPACE, INFO },
		{ 8192, 8192, AT_FSDAX, PMR_OWNER_NAMESPACE, MAP },
		{ 16384, 3616, AT_FSDAX, PMR_OWNER_NOT_ASKED, DATA },
		{ 45000, 1384, AT_FSDAX, PMR_OWNER_NOT_ASKED, DATA },
		{ 46384, 3616, AT_FSDAX, PMR_OWNER_NAMESPACE, PAD },
		{ 50000, 10000, AT_SECTOR, PMR_OWNER_UNKNOWN, DATA },
		{ 60000, 10000, AT_DISABLED, PMR_OWNER_UNKNOWN, DATA },
		{ 70000, 5000, NOWHERE, PMR_OWNER_FREE, PMR_PART_UNALLOCATED },
		{ 90000, 10, NOWHERE, PMR_OWNER_FREE, PMR_PART_UNALLOCATED },
	};
	struct world w;
	size_t i;

	(void)state;
	set_up(&w, bad, N(bad));
	assert_int_equal(pmr_region_parts_find(&w.topology, &w.region), 0);
	assert_int_equal(w.region.unallocated, 30000);
	assert_int_equal(w.region.n_parts, N(rows));
	for (i = 0; i < N(rows); i++) {
		const struct pmr_region_part *part = &w.region.parts[i];

		assert_int_equal(part->range.offset, rows[i].offset);
		assert_int_equal(part->range.length, rows[i].length);
		assert_int_equal(part->owner, rows[i].owner);
		assert_int_equal(part->part, rows[i].part);
		assert_ptr_equal(part->device,
				 rows[i].at == NOWHERE ? NULL : w.pointers[rows[i].at]);
		assert_null(part->dimm);
	}
	assert_true(pmr_region_is_told(&w.region));
	free(w.region.parts);
}

/* Where one namespace may lie anywhere, what no other has is not known to be nobody's. */
static void test_region_told(void **state)
{
	static struct pmr_range bad[] = { { 90000, 10 } };
	static const struct {
		enum pmr_trust trust;
		size_t n_bad;
		bool is_hidden;
		uint64_t size;
		bool told;
	} rows[] = {
		{ PMR_LIST_COMPLETE, 1, false, 100000, true },
		{ PMR_LIST_INCOMPLETE, 1, false, 100000, false },
		{ PMR_LIST_UNKNOWN, 0, false, 100000, false },
		{ PMR_LIST_COMPLETE, 1, true, 100000, false },
		{ PMR_LIST_COMPLETE, 0, true, 100000, true },
		/* Namespaces have all of it: they tell. */
		{ PMR_LIST_UNKNOWN, 0, false, 70000, true },
	};
	struct world w;
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		set_up(&w, bad, rows[i].n_bad);
		w.region.badblocks.trust = rows[i].trust;
		w.region.size = rows[i].size;
		if (rows[i].is_hidden)
			w.own[AT_DISABLED].ns_offset = NO;
		assert_int_equal(pmr_region_parts_find(&w.topology, &w.region), 0);
		assert_int_equal(pmr_region_is_told(&w.region), rows[i].told);
		if (rows[i].is_hidden && rows[i].n_bad) {
			assert_int_equal(w.region.parts[0].owner, PMR_OWNER_UNKNOWN);
			assert_int_equal(w.region.parts[0].part, PMR_PART_NONE);
		}
		free(w.region.parts);
	}
}

static void test_metadata(void **state)
{
	static struct pmr_range bad[] = { { 4000, 200 }, { 8000, 400 }, { 46384, 10 } };
	static const struct pmr_range ranges[] = {
		{ 4000, 96 }, { 4096, 104 }, { 8000, 192 }, { 8192, 208 }, { 46384, 10 }
	};
	static const enum pmr_part parts[] = { PAD, INFO, INFO, MAP, PAD };
	uint64_t position = 0, first = 0;
	struct pmr_range range;
	enum pmr_part part;
	struct world w;
	size_t i;

	(void)state;
	set_up(&w, NULL, 0);
	w.devices[AT_FSDAX].metadata_badblocks.ranges = (struct pmr_ranges){ bad, N(bad), N(bad) };
	for (i = 0; i < N(ranges); i++) {
		assert_int_equal(
			pmr_device_next_metadata(&w.devices[AT_FSDAX], &position, &range, &part),
			1);
		assert_memory_equal(&range, &ranges[i], sizeof(range));
		assert_int_equal(part, parts[i]);
	}
	assert_int_equal(pmr_device_next_metadata(&w.devices[AT_FSDAX], &position, &range, &part),
			 0);
	assert_int_equal(pmr_namespace_part_bytes(&w.devices[AT_FSDAX], INFO, &first), 296);
	assert_int_equal(first, 4096);
	assert_int_equal(pmr_namespace_part_bytes(&w.devices[AT_FSDAX], DATA, &first), 0);

	/* Of a sector namespace only its own map tells. */
	w.devices[AT_SECTOR].metadata_badblocks.ranges = (struct pmr_ranges){ bad, 1, 1 };
	position = 0;
	assert_int_equal(pmr_device_next_metadata(&w.devices[AT_SECTOR], &position, &range, &part),
			 1);
	assert_memory_equal(&range, &bad[0], sizeof(range));
	assert_int_equal(part, PMR_PART_NONE);
}

static void test_scrubs(void **state)
{
	static const struct {
		const char *text;
		int ret;
		uint64_t scrubs;
		bool is_running;
	} rows[] = {
		{ "0\n", 0, 0, false },		 { "5\n", 0, 5, false },
		{ "17+\n", 0, 17, true },	 { "", -EINVAL, 0, false },
		{ "\n", -EINVAL, 0, false },	 { "-1\n", -EINVAL, 0, false },
		{ " 1\n", -EINVAL, 0, false },	 { "5", -EINVAL, 0, false },
		{ "5 +\n", -EINVAL, 0, false },	 { "5+", -EINVAL, 0, false },
		{ "idle\n", -EINVAL, 0, false }, { "99999999999999999999\n", -ERANGE, 0, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		uint64_t scrubs = PMR_NO_COUNT;
		bool is_running = false;

		assert_int_equal(pmr_scrub_judge(rows[i].text, &scrubs, &is_running), rows[i].ret);
		assert_true(scrubs == (rows[i].ret ? PMR_NO_COUNT : rows[i].scrubs));
		assert_int_equal(is_running, rows[i].is_running);
	}
}

/* Only what is called as a namespace's block device is. */
static void test_gone(void **state)
{
	static const struct {
		const char *source;
		unsigned int major, minor;
		bool is_gone;
	} rows[] = {
		{ "/dev/pmem0", 259, 1000001, true },
		{ "/dev/pmem0.1s", 259, 1000001, true },
		{ "/dev/pmem0p1", 259, 1000001, true },
		{ "/dev/sda1", 259, 1000001, false },
		/* what has no block device has none that could be gone */
		{ "/dev/pmem0", 0, 45, false },
		{ "pmem0", 259, 1000001, false },
		{ NULL, 259, 1000001, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++)
		assert_int_equal(pmr_is_gone(rows[i].source, makedev(rows[i].major, rows[i].minor)),
				 rows[i].is_gone);
}

static void test_gone_among(void **state)
{
	static const struct {
		unsigned int devices[3][2];
		int gone; /* -1: none */
	} rows[] = {
		{ { { 259, 1000001 } }, 0 },
		{ { { 8, 1000001 }, { 259, 1000001 } }, 1 },
		{ { { 259, 1000002 }, { 259, 1000001 } }, 0 },
		{ { { 8, 1000001 }, { 253, 1000001 } }, -1 },
		{ { { 0, 0 } }, -1 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		dev_t devices[3];

		for (size_t k = 0; k < 3; k++)
			devices[k] = makedev(rows[i].devices[k][0], rows[i].devices[k][1]);
		assert_int_equal(pmr_gone_among(devices, 3),
				 rows[i].gone < 0 ? 0 : devices[rows[i].gone]);
	}
	assert_int_equal(pmr_gone_among(NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namespace_part), cmocka_unit_test(test_region_parts),
		cmocka_unit_test(test_region_told),    cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_scrubs),	       cmocka_unit_test(test_gone),
		cmocka_unit_test(test_gone_among),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
