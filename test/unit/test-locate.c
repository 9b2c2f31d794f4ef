/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a range of a region or a device to pieces: which namespace, which part of it, which offset and address. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "locate/locate.h"
#include "device/topology.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define NO PMR_NO_ADDRESS
#define MAX_PIECES 6
#define BASE 0x40000000

/*
 * A region of 10000 bytes: fsdax at 1000+3000 (500 of info block and page map, 2400 of data, 100 behind), raw at
 * 4000+1000, a gap, sector mode at 6000+1000, disabled at 7000+1000, and one whose data begins nobody knows where at
 * 8000+1000.
 */
enum { FSDAX, RAW, SECTOR, DISABLED, BLURRED, N_DEVICES };

struct world {
	struct pmr_region region;
	struct pmr_region other;
	struct pmr_device devices[N_DEVICES];
	struct pmr_device_private own[N_DEVICES];
	struct pmr_device plain;
	struct pmr_device *pointers[N_DEVICES + 1];
	struct pmr_topology topology;
	struct pmr_range region_bad[2];
	struct pmr_range device_bad[1];
};

static void set_device(struct world *w, size_t i, enum pmr_mode mode, uint64_t ns_offset,
		       uint64_t ns_size, uint64_t data_offset, uint64_t size)
{
	struct pmr_device *device = &w->devices[i];

	device->mode = mode;
	device->enabled = size != 0;
	device->region = &w->region;
	device->own = &w->own[i];
	device->own->ns_offset = ns_offset;
	device->ns_size = ns_size;
	device->data_offset = data_offset;
	device->size = size;
	device->region_offset = data_offset == NO ? NO : ns_offset + data_offset;
	device->resource = data_offset == NO ? NO : BASE + ns_offset + data_offset;
	w->pointers[i] = device;
}

static void set_up(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->region.resource = BASE;
	w->region.size = 10000;
	w->region_bad[0] = (struct pmr_range){ 1490, 20 };
	w->region_bad[1] = (struct pmr_range){ 6500, 10 };
	w->region.badblocks = (struct pmr_badblocks){ .trust = PMR_LIST_COMPLETE,
						      .ranges = { w->region_bad, 2, 2 } };
	set_device(w, FSDAX, PMR_MODE_FSDAX, 1000, 3000, 500, 2400);
	set_device(w, RAW, PMR_MODE_RAW, 4000, 1000, 0, 1000);
	set_device(w, SECTOR, PMR_MODE_SECTOR, 6000, 1000, NO, 900);
	set_device(w, DISABLED, PMR_MODE_UNKNOWN, 7000, 1000, 0, 0);
	set_device(w, BLURRED, PMR_MODE_FSDAX, 8000, 1000, NO, 900);
	w->device_bad[0] = (struct pmr_range){ 0, 10 };
	w->devices[FSDAX].badblocks = (struct pmr_badblocks){ .trust = PMR_LIST_COMPLETE,
							      .ranges = { w->device_bad, 1, 1 } };
	/* of another region, and of none: neither has any of these bytes */
	w->plain.enabled = true;
	w->pointers[N_DEVICES] = &w->plain;
	w->topology.devices = w->pointers;
	w->topology.n_devices = N_DEVICES + 1;
}

struct piece {
	int device; /* -1: none */
	enum pmr_base base;
	enum pmr_owner owner;
	uint64_t offset, length, region_offset, bad;
};

#define DEVICE PMR_BASE_DEVICE
#define NAMESPACE PMR_BASE_NAMESPACE
#define REGION PMR_BASE_REGION
#define UNKNOWN PMR_OWNER_UNKNOWN
#define METADATA PMR_OWNER_NAMESPACE
#define NOBODY PMR_OWNER_NOT_ASKED

static void check(struct world *w, const struct pmr_places *places, const struct piece *wanted,
		  bool has_address)
{
	size_t i;

	for (i = 0; i < MAX_PIECES && wanted[i].length; i++) {
		struct pmr_place *place = &places->v[i];

		assert_true(i < places->n);
		assert_ptr_equal(place->device,
				 wanted[i].device < 0 ? NULL : &w->devices[wanted[i].device]);
		assert_int_equal(place->base, wanted[i].base);
		assert_int_equal(place->owner, wanted[i].owner);
		assert_int_equal(place->offset, wanted[i].offset);
		assert_int_equal(place->length, wanted[i].length);
		assert_int_equal(place->region_offset, wanted[i].region_offset);
		assert_int_equal(place->address, has_address && wanted[i].region_offset != NO
							 ? BASE + wanted[i].region_offset
							 : NO);
		assert_int_equal(place->file_offset, NO);
		assert_int_equal(pmr_place_bad(place, &w->region), wanted[i].bad);
	}
	assert_int_equal(places->n, i);
}

static void test_regions(void **state)
{
	static const struct {
		uint64_t offset, length;
		struct piece pieces[MAX_PIECES];
	} rows[] = {
		/* gaps, at the begin, in between and at the end */
		{ 0, 1, { { -1, REGION, NOBODY, 0, 1, 0, 0 } } },
		{ 999, 1, { { -1, REGION, NOBODY, 999, 1, 999, 0 } } },
		{ 5500, 10, { { -1, REGION, NOBODY, 5500, 10, 5500, 0 } } },
		{ 9999, 1, { { -1, REGION, NOBODY, 9999, 1, 9999, 0 } } },
		/* fsdax: first and last byte of each part; of the two lists each counts where it is meant to */
		{ 1000, 1, { { FSDAX, NAMESPACE, METADATA, 0, 1, 1000, 0 } } },
		{ 1499, 1, { { FSDAX, NAMESPACE, METADATA, 499, 1, 1499, 1 } } },
		{ 1500, 1, { { FSDAX, DEVICE, UNKNOWN, 0, 1, 1500, 1 } } },
		{ 3899, 1, { { FSDAX, DEVICE, UNKNOWN, 2399, 1, 3899, 0 } } },
		{ 3900, 100, { { FSDAX, NAMESPACE, METADATA, 2900, 100, 3900, 0 } } },
		{ 4000, 1, { { RAW, DEVICE, UNKNOWN, 0, 1, 4000, NO } } },
		{ 4999, 1, { { RAW, DEVICE, UNKNOWN, 999, 1, 4999, NO } } },
		{ 5000, 1, { { -1, REGION, NOBODY, 5000, 1, 5000, 0 } } },
		/* what does not say which byte of a device it is */
		{ 6400, 200, { { SECTOR, NAMESPACE, UNKNOWN, 400, 200, 6400, 10 } } },
		{ 7000, 5, { { DISABLED, NAMESPACE, UNKNOWN, 0, 5, 7000, NO } } },
		{ 8900, 5, { { BLURRED, NAMESPACE, UNKNOWN, 900, 5, 8900, 0 } } },
		/* all of it in one */
		{ 900,
		  3200,
		  { { -1, REGION, NOBODY, 900, 100, 900, 0 },
		    { FSDAX, NAMESPACE, METADATA, 0, 500, 1000, 10 },
		    { FSDAX, DEVICE, UNKNOWN, 0, 2400, 1500, 10 },
		    { FSDAX, NAMESPACE, METADATA, 2900, 100, 3900, 0 },
		    { RAW, DEVICE, UNKNOWN, 0, 100, 4000, NO } } },
	};
	struct world w;
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_places places = { 0 };
		bool certain = true;

		set_up(&w);
		assert_int_equal(pmr_places_of_region(&w.topology, &w.region, rows[i].offset,
						      rows[i].length, &places, &certain),
				 0);
		assert_true(certain);
		check(&w, &places, rows[i].pieces, true);
		free(places.v);
	}
}

/* A namespace whose place is not known may have any byte that no other has. */
static void test_uncertain(void **state)
{
	static const struct piece wanted[MAX_PIECES] = { { -1, REGION, NOBODY, 1000, 1, 1000, 0 } };
	struct pmr_places places = { 0 };
	bool certain = true;
	struct world w;

	(void)state;
	set_up(&w);
	w.own[FSDAX].ns_offset = NO;
	assert_int_equal(pmr_places_of_region(&w.topology, &w.region, 1000, 1, &places, &certain),
			 0);
	assert_false(certain);
	check(&w, &places, wanted, true);
	free(places.v);
}

static void test_devices(void **state)
{
	static const struct {
		int device;
		uint64_t offset, length;
		struct piece pieces[MAX_PIECES];
	} rows[] = {
		{ FSDAX, 0, 20, { { FSDAX, DEVICE, UNKNOWN, 0, 20, 1500, 10 } } },
		{ FSDAX, 2399, 1, { { FSDAX, DEVICE, UNKNOWN, 2399, 1, 3899, 0 } } },
		{ RAW, 10, 1, { { RAW, DEVICE, UNKNOWN, 10, 1, 4010, NO } } },
		/* the blocks of a sector namespace have no fixed place, and no list of their own */
		{ SECTOR, 10, 1, { { SECTOR, DEVICE, UNKNOWN, 10, 1, NO, NO } } },
		{ DISABLED, 10, 1, { { DISABLED, NAMESPACE, UNKNOWN, 10, 1, 7010, NO } } },
	};
	struct world w;
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_places places = { 0 };

		set_up(&w);
		assert_int_equal(pmr_places_of_device(&w.devices[rows[i].device], rows[i].offset,
						      rows[i].length, &places),
				 0);
		check(&w, &places, rows[i].pieces, true);
		free(places.v);
	}
}

/* A device-dax in two places: [0, 300) of it lies behind [300, 400), and what is between them is the namespace's own. */
static void test_scattered(void **state)
{
	static const struct piece of_device[MAX_PIECES] = {
		{ RAW, DEVICE, UNKNOWN, 250, 50, 4750, NO },
		{ RAW, DEVICE, UNKNOWN, 300, 50, 4100, NO },
	};
	static const struct piece of_region[MAX_PIECES] = {
		{ RAW, NAMESPACE, METADATA, 50, 50, 4050, 0 },
		{ RAW, DEVICE, UNKNOWN, 300, 100, 4100, NO },
		{ RAW, NAMESPACE, METADATA, 200, 300, 4200, 0 },
		{ RAW, DEVICE, UNKNOWN, 0, 150, 4500, NO },
	};
	struct pmr_dax_range ranges[] = { { 0, 300, BASE + 4500 }, { 300, 100, BASE + 4100 } };
	struct pmr_places places = { 0 };
	bool certain = true;
	struct world w;

	(void)state;
	set_up(&w);
	w.own[RAW].dax = (struct pmr_devdax){ .devno = 1, .size = 400, .ranges = ranges, .n = 2 };
	w.devices[RAW].mode = PMR_MODE_DEVDAX;
	w.devices[RAW].size = 400;
	w.devices[RAW].data_offset = 100;
	w.devices[RAW].region_offset = w.devices[RAW].resource = NO;
	assert_int_equal(pmr_places_of_device(&w.devices[RAW], 250, 100, &places), 0);
	check(&w, &places, of_device, true);
	places.n = 0;
	assert_int_equal(pmr_places_of_region(&w.topology, &w.region, 4050, 600, &places, &certain),
			 0);
	check(&w, &places, of_region, true);
	free(places.v);
}

/* What nobody may read stays unknown, however far one counts from there. */
static void test_no_address(void **state)
{
	static const struct piece wanted[MAX_PIECES] = { { RAW, DEVICE, UNKNOWN, 10, 5, 4010,
							   NO } };
	struct pmr_places places = { 0 };
	struct pmr_place part;
	struct world w;

	(void)state;
	set_up(&w);
	w.devices[RAW].resource = NO;
	assert_int_equal(pmr_places_of_device(&w.devices[RAW], 10, 5, &places), 0);
	check(&w, &places, wanted, false);
	part = pmr_place_part(&places.v[0], 3, 2);
	assert_int_equal(part.offset, 13);
	assert_int_equal(part.length, 2);
	assert_int_equal(part.region_offset, 4013);
	assert_int_equal(part.address, NO);
	free(places.v);
}

/* Places come in the order in which they were found, and cut as the filesystem cuts them. */
static void test_settle(void **state)
{
	struct pmr_file a = { .inode = 1 }, b = { .inode = 2 };
	const struct pmr_place found[] = {
		{ .offset = 0, .length = 9, .base = REGION, .owner = NOBODY, .file_offset = NO },
		{ .offset = 30, .length = 10, .owner = PMR_OWNER_FREE, .file_offset = NO },
		{ .offset = 20, .length = 10, .owner = PMR_OWNER_FREE, .file_offset = NO },
		{ .offset = 5, .length = 5, .owner = PMR_OWNER_FILE, .inode = 2, .file = &b },
		{ .offset = 5, .length = 5, .owner = PMR_OWNER_FILE, .inode = 1, .file = &a },
		/* goes on in the file as it goes on on the device */
		{ .offset = 10,
		  .length = 5,
		  .owner = PMR_OWNER_FILE,
		  .inode = 2,
		  .file = &b,
		  .file_offset = 5 },
		/* does not */
		{ .offset = 15,
		  .length = 5,
		  .owner = PMR_OWNER_FILE,
		  .inode = 2,
		  .file = &b,
		  .file_offset = 50 },
		{ .offset = 40, .length = 1, .owner = PMR_OWNER_LOG, .file_offset = NO },
	};
	static const struct {
		uint64_t offset, length, inode;
	} wanted[] = {
		{ 0, 9, 0 }, { 5, 5, 1 }, { 5, 10, 2 }, { 15, 5, 2 }, { 20, 20, 0 }, { 40, 1, 0 },
	};
	struct pmr_places places = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < N(found); i++)
		assert_int_equal(pmr_places_add(&places, &found[i]), 0);
	pmr_places_settle(&places, 1);
	assert_int_equal(places.n, N(wanted));
	for (i = 0; i < N(wanted); i++) {
		assert_int_equal(places.v[i].offset, wanted[i].offset);
		assert_int_equal(places.v[i].length, wanted[i].length);
		assert_int_equal(places.v[i].inode, wanted[i].inode);
	}
	/* nothing there */
	pmr_places_settle(&places, places.n);
	assert_int_equal(places.n, N(wanted));
	free(places.v);
}

/* Something that cannot be followed is built on the partition at [100, 300) of a disk; around it nothing is. */
static void test_held(void **state)
{
	static const struct {
		uint64_t offset, length;
		bool complete;
		struct {
			uint64_t offset, length;
			enum pmr_owner owner;
		} wanted[3];
	} rows[] = {
		{ 0, 100, true, { { 0, 100, METADATA } } },
		{ 100, 200, false, { { 100, 200, UNKNOWN } } },
		{ 300, 50, true, { { 300, 50, METADATA } } },
		/* what begins in a gap does not stay there */
		{ 0, 101, false, { { 0, 100, METADATA }, { 100, 1, UNKNOWN } } },
		{ 0,
		  400,
		  false,
		  { { 0, 100, METADATA }, { 100, 200, UNKNOWN }, { 300, 100, METADATA } } },
		{ 299, 2, false, { { 299, 1, UNKNOWN }, { 300, 1, METADATA } } },
	};
	struct pmr_device disk = { .name = "test-locate-disk", .enabled = true, .size = 400 };
	struct pmr_filesystem partition = { .device = &disk,
					    .source = "/dev/test-locate-disk1",
					    .start = 100,
					    .size = 200,
					    .held = true };
	struct pmr_filesystem *filesystems[] = { &partition };
	struct pmr_topology topology = { .filesystems = filesystems, .n_filesystems = 1 };
	struct pmr_ctx *ctx;

	(void)state;
	assert_int_equal(pmr_new(&ctx), 0);
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_locator l = { .ctx = ctx, .topology = &topology, .complete = true };
		struct pmr_place piece = { .device = &disk,
					   .offset = rows[i].offset,
					   .length = rows[i].length,
					   .base = DEVICE,
					   .region_offset = NO,
					   .address = NO,
					   .file_offset = NO };
		size_t n = 0;

		assert_int_equal(pmr_whose(&l, &piece), 0);
		assert_int_equal(l.complete, rows[i].complete);
		for (; n < N(rows[i].wanted) && rows[i].wanted[n].length; n++) {
			assert_true(n < l.places.n);
			assert_int_equal(l.places.v[n].offset, rows[i].wanted[n].offset);
			assert_int_equal(l.places.v[n].length, rows[i].wanted[n].length);
			assert_int_equal(l.places.v[n].owner, rows[i].wanted[n].owner);
		}
		assert_int_equal(l.places.n, n);
		free(l.places.v);
	}
	pmr_unref(ctx);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_regions),	  cmocka_unit_test(test_uncertain),
		cmocka_unit_test(test_devices),	  cmocka_unit_test(test_no_address),
		cmocka_unit_test(test_scattered), cmocka_unit_test(test_settle),
		cmocka_unit_test(test_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
