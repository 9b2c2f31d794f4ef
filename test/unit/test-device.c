/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a namespace lies in its region, what of the region's list is its own, and what a filesystem sees of that. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "private.h"
#include "device/topology.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define NO PMR_NO_ADDRESS
#define MAX_RANGES 4

static void test_layout(void **state)
{
	static const struct {
		struct pmr_layout in;
		uint64_t ns_offset, data_offset, region_offset, resource;
	} rows[] = {
		/* Raw, filling its region; then with a neighbour ahead of it. */
		{ { 1000, 500, 1000, 500, NO, false, false }, 0, 0, 0, 1000 },
		{ { 1000, 500, 1200, 300, NO, false, false }, 200, 0, 200, 1200 },
		/* With an info block and page map of 16 bytes. */
		{ { 1000, 500, 1000, 500, 1016, true, false }, 0, 16, 16, 1016 },
		{ { 1000, 500, 1200, 300, 1216, true, false }, 200, 16, 216, 1216 },
		/* No address may be read: what fills its region still lies at its start. */
		{ { NO, 500, NO, 500, NO, false, false }, 0, 0, 0, NO },
		{ { NO, 500, NO, 500, NO, true, false }, 0, NO, NO, NO },
		{ { NO, 500, NO, 300, NO, false, false }, NO, 0, NO, NO },
		{ { NO, 500, NO, 300, NO, true, false }, NO, NO, NO, NO },
		/* Only one of them is known. */
		{ { NO, 500, 1200, 300, 1216, true, false }, NO, 16, NO, 1216 },
		{ { 1000, 500, 1200, 300, NO, true, false }, 200, NO, NO, NO },
		/* Addresses that cannot be are none. */
		{ { 1000, 500, 900, 300, NO, false, false }, NO, 0, NO, 900 },
		{ { 1000, 500, 1200, 300, 1100, true, false }, 200, NO, NO, 1100 },
		/* A BTT's blocks lie anywhere. */
		{ { 1000, 500, 1200, 300, NO, false, true }, 200, NO, NO, NO },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_device device = { 0 };
		uint64_t ns_offset;

		pmr_layout_device(&rows[i].in, &device, &ns_offset);
		assert_int_equal(ns_offset, rows[i].ns_offset);
		assert_int_equal(device.data_offset, rows[i].data_offset);
		assert_int_equal(device.region_offset, rows[i].region_offset);
		assert_int_equal(device.resource, rows[i].resource);
	}
}

/* The region has poison at 100+10 and 300+20. */
static struct pmr_range poison[] = { { 100, 10 }, { 300, 20 } };

struct list_row {
	enum pmr_trust trust;
	const char *reason;
	struct pmr_range ranges[MAX_RANGES];
};

static void check_list(const struct pmr_badblocks *list, const struct list_row *row)
{
	size_t i;

	assert_int_equal(list->trust, row->trust);
	assert_int_equal(!list->reason, !row->reason);
	if (list->reason)
		assert_string_equal(list->reason, row->reason);
	for (i = 0; i < MAX_RANGES && row->ranges[i].length; i++) {
		assert_true(i < list->ranges.n);
		assert_int_equal(list->ranges.v[i].offset, row->ranges[i].offset);
		assert_int_equal(list->ranges.v[i].length, row->ranges[i].length);
	}
	assert_int_equal(list->ranges.n, i);
}

#define COMPLETE PMR_LIST_COMPLETE
#define INCOMPLETE PMR_LIST_INCOMPLETE
#define UNKNOWN PMR_LIST_UNKNOWN

static void test_region_window(void **state)
{
	static const struct {
		enum pmr_trust trust;
		const char *reason;
		bool is_poisoned;
		uint64_t offset, length;
		struct list_row out;
	} rows[] = {
		{ COMPLETE, NULL, true, 0, 1000, { COMPLETE, NULL, { { 100, 10 }, { 300, 20 } } } },
		{ COMPLETE, NULL, true, 50, 100, { COMPLETE, NULL, { { 50, 10 } } } },
		{ COMPLETE, NULL, true, 105, 200, { COMPLETE, NULL, { { 0, 5 }, { 195, 5 } } } },
		{ COMPLETE, NULL, true, 110, 190, { COMPLETE, NULL, { { 0 } } } },
		{ COMPLETE, NULL, true, 0, 0, { COMPLETE, NULL, { { 0 } } } },
		{ INCOMPLETE,
		  "page-full",
		  true,
		  50,
		  100,
		  { INCOMPLETE, "page-full", { { 50, 10 } } } },
		{ INCOMPLETE, "page-full", true, 500, 100, { INCOMPLETE, "page-full", { { 0 } } } },
		{ UNKNOWN, "cannot-open", false, 0, 1000, { UNKNOWN, "cannot-open", { { 0 } } } },
		/* Where is not known: only a clean region spares it. */
		{ COMPLETE, NULL, true, NO, 1000, { INCOMPLETE, "region-only", { { 0 } } } },
		{ COMPLETE, NULL, true, 0, NO, { INCOMPLETE, "region-only", { { 0 } } } },
		{ COMPLETE, NULL, false, NO, NO, { COMPLETE, NULL, { { 0 } } } },
		{ INCOMPLETE, "cut-line", true, NO, 1000, { INCOMPLETE, "cut-line", { { 0 } } } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_badblocks list, region = {
			.trust = rows[i].trust,
			.reason = rows[i].reason,
			.ranges = { poison, rows[i].is_poisoned ? N(poison) : 0, N(poison) },
		};

		assert_int_equal(
			pmr_layout_badblocks(&region, rows[i].offset, rows[i].length, &list), 0);
		check_list(&list, &rows[i].out);
		pmr_badblocks_release(&list);
	}
}

static void test_device_lists(void **state)
{
	static char attribute[] = "/sys/block/pmem0/badblocks", source[] = "/sys/region/badblocks";
	static const struct {
		enum pmr_mode mode;
		bool enabled, has_attribute;
		enum pmr_trust trust;
		const char *reason;
		bool is_poisoned;
		uint64_t ns_offset, data_offset, region_offset;
		struct list_row list, metadata;
	} rows[] = {
		/* fsdax: the block device has its own list, the region's tells of the info block, and of what is behind. */
		{ PMR_MODE_FSDAX,
		  true,
		  true,
		  COMPLETE,
		  NULL,
		  true,
		  0,
		  105,
		  105,
		  { UNKNOWN, NULL, { { 0 } } },
		  { COMPLETE, NULL, { { 100, 5 }, { 305, 15 } } } },
		{ PMR_MODE_FSDAX,
		  true,
		  true,
		  UNKNOWN,
		  "cannot-open",
		  false,
		  0,
		  105,
		  105,
		  { UNKNOWN, NULL, { { 0 } } },
		  { UNKNOWN, "cannot-open", { { 0 } } } },
		{ PMR_MODE_FSDAX,
		  true,
		  true,
		  COMPLETE,
		  NULL,
		  true,
		  0,
		  NO,
		  NO,
		  { UNKNOWN, NULL, { { 0 } } },
		  { INCOMPLETE, "region-only", { { 0 } } } },
		/* raw: no info block, whatever the region says. */
		{ PMR_MODE_RAW,
		  true,
		  true,
		  UNKNOWN,
		  "cannot-open",
		  false,
		  0,
		  0,
		  0,
		  { UNKNOWN, NULL, { { 0 } } },
		  { COMPLETE, NULL, { { 0 } } } },
		/* devdax */
		{ PMR_MODE_DEVDAX,
		  true,
		  false,
		  COMPLETE,
		  NULL,
		  true,
		  90,
		  15,
		  105,
		  { COMPLETE, NULL, { { 0, 5 }, { 195, 5 } } },
		  { COMPLETE, NULL, { { 10, 5 }, { 215, 15 } } } },
		{ PMR_MODE_DEVDAX,
		  true,
		  false,
		  COMPLETE,
		  NULL,
		  true,
		  NO,
		  NO,
		  NO,
		  { INCOMPLETE, "region-only", { { 0 } } },
		  { INCOMPLETE, "region-only", { { 0 } } } },
		{ PMR_MODE_DEVDAX,
		  true,
		  false,
		  UNKNOWN,
		  "no-attribute",
		  false,
		  90,
		  15,
		  105,
		  { UNKNOWN, "no-attribute", { { 0 } } },
		  { UNKNOWN, "no-attribute", { { 0 } } } },
		/* sector: poison inside the namespace, but nobody knows in which block */
		{ PMR_MODE_SECTOR,
		  true,
		  false,
		  COMPLETE,
		  NULL,
		  true,
		  90,
		  NO,
		  NO,
		  { INCOMPLETE, "region-only", { { 0 } } },
		  { COMPLETE, NULL, { { 10, 10 }, { 210, 20 } } } },
		{ PMR_MODE_SECTOR,
		  true,
		  false,
		  COMPLETE,
		  NULL,
		  true,
		  400,
		  NO,
		  NO,
		  { COMPLETE, NULL, { { 0 } } },
		  { COMPLETE, NULL, { { 0 } } } },
		{ PMR_MODE_SECTOR,
		  true,
		  false,
		  COMPLETE,
		  NULL,
		  true,
		  NO,
		  NO,
		  NO,
		  { INCOMPLETE, "region-only", { { 0 } } },
		  { INCOMPLETE, "region-only", { { 0 } } } },
		{ PMR_MODE_SECTOR,
		  true,
		  false,
		  COMPLETE,
		  NULL,
		  false,
		  NO,
		  NO,
		  NO,
		  { COMPLETE, NULL, { { 0 } } },
		  { COMPLETE, NULL, { { 0 } } } },
		{ PMR_MODE_SECTOR,
		  true,
		  false,
		  INCOMPLETE,
		  "page-full",
		  true,
		  400,
		  NO,
		  NO,
		  { INCOMPLETE, "page-full", { { 0 } } },
		  { INCOMPLETE, "page-full", { { 0 } } } },
		/* disabled: the namespace from its first byte */
		{ PMR_MODE_UNKNOWN,
		  false,
		  false,
		  COMPLETE,
		  NULL,
		  true,
		  90,
		  0,
		  90,
		  { COMPLETE, NULL, { { 10, 10 }, { 210, 20 } } },
		  { COMPLETE, NULL, { { 0 } } } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_region region = {
			.badblocks = {
				.trust = rows[i].trust,
				.reason = rows[i].reason,
				.source = rows[i].trust == UNKNOWN ? NULL : source,
				.ranges = { poison, rows[i].is_poisoned ? N(poison) : 0, N(poison) },
			},
		};
		struct pmr_device_private own = {
			.attribute = rows[i].has_attribute ? attribute : NULL,
			.ns_offset = rows[i].ns_offset,
		};
		struct pmr_device device = {
			.mode = rows[i].mode,
			.enabled = rows[i].enabled,
			.region = &region,
			.size = rows[i].enabled ? 200 : 0,
			.ns_size = 400,
			.data_offset = rows[i].data_offset,
			.region_offset = rows[i].region_offset,
			.own = &own,
		};

		assert_int_equal(pmr_layout_lists(&device), 0);
		check_list(&device.badblocks, &rows[i].list);
		check_list(&device.metadata_badblocks, &rows[i].metadata);
		pmr_badblocks_release(&device.badblocks);
		pmr_badblocks_release(&device.metadata_badblocks);
	}
}

/* ---- device-dax */

#define MAX_PARTS 3

static void test_scattered(void **state)
{
	static const struct {
		uint64_t size;
		struct pmr_dax_range ranges[MAX_PARTS];
		bool fits;
		uint64_t resource;
		enum pmr_trust trust;
		const char *reason;
		bool is_poisoned;
		struct list_row out;
	} rows[] = {
		/* The first half of the device lies behind the second. Addresses are 1000 more than offsets in the region. */
		{ 200,
		  { { 0, 100, 1250 }, { 100, 100, 1050 } },
		  true,
		  1000,
		  COMPLETE,
		  NULL,
		  true,
		  { COMPLETE, NULL, { { 50, 20 }, { 150, 10 } } } },
		/* in the order of sysfs, which is none; poison across two parts that do not touch in the region is one */
		{ 40,
		  { { 15, 25, 1100 }, { 0, 15, 1305 } },
		  true,
		  1000,
		  COMPLETE,
		  NULL,
		  true,
		  { COMPLETE, NULL, { { 0, 25 } } } },
		/* beside it all; a list that is not whole */
		{ 60,
		  { { 0, 30, 1000 }, { 30, 30, 1200 } },
		  true,
		  1000,
		  INCOMPLETE,
		  "page-full",
		  true,
		  { INCOMPLETE, "page-full", { { 0 } } } },
		{ 60,
		  { { 0, 30, 1000 }, { 30, 30, 1200 } },
		  true,
		  1000,
		  UNKNOWN,
		  "cannot-open",
		  false,
		  { UNKNOWN, "cannot-open", { { 0 } } } },
		/* where the region begins is not known, or behind it: only a clean one spares the device */
		{ 60,
		  { { 0, 30, 1100 }, { 30, 30, 1200 } },
		  true,
		  NO,
		  COMPLETE,
		  NULL,
		  true,
		  { INCOMPLETE, "region-only", { { 0 } } } },
		{ 60,
		  { { 0, 30, 1100 }, { 30, 30, 1200 } },
		  true,
		  5000,
		  COMPLETE,
		  NULL,
		  false,
		  { COMPLETE, NULL, { { 0 } } } },
		/* gaps, overlaps, too little and too much are no device */
		{ 60, { { 0, 30, 1100 }, { 40, 20, 1200 } }, .fits = false },
		{ 60, { { 0, 30, 1100 }, { 20, 40, 1200 } }, .fits = false },
		{ 70, { { 0, 30, 1100 }, { 30, 30, 1200 } }, .fits = false },
		{ 50, { { 0, 30, 1100 }, { 30, 30, 1200 } }, .fits = false },
		{ 60, { { 10, 30, 1100 }, { 40, 20, 1200 } }, .fits = false },
		{ 60, { { 0, 60, 1100 }, { 60, UINT64_MAX, 1200 } }, .fits = false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_badblocks list, region = {
			.trust = rows[i].trust,
			.reason = rows[i].reason,
			.ranges = { poison, rows[i].is_poisoned ? N(poison) : 0, N(poison) },
		};
		struct pmr_dax_range ranges[MAX_PARTS];
		struct pmr_devdax dax = { .size = rows[i].size, .ranges = ranges };

		memcpy(ranges, rows[i].ranges, sizeof(ranges));
		while (dax.n < MAX_PARTS && ranges[dax.n].length)
			dax.n++;
		assert_int_equal(pmr_dax_settle(&dax), rows[i].fits);
		if (!rows[i].fits)
			continue;
		assert_int_equal(pmr_layout_scattered(&region, rows[i].resource, &dax, &list), 0);
		check_list(&list, &rows[i].out);
		pmr_badblocks_release(&list);
	}
}

/* Of the device [0, 100) at 1250 and [100, 200) at 1050. */
static void test_dax_ranges(void **state)
{
	static const struct {
		uint64_t address, until, offset, next;
	} rows[] = {
		{ 1000, 2000, NO, 1050 }, { 1049, 1050, NO, 1050 }, { 1050, 2000, 100, 0 },
		{ 1149, 2000, 199, 0 },	  { 1150, 2000, NO, 1250 }, { 1150, 1200, NO, 1200 },
		{ 1250, 2000, 0, 0 },	  { 1349, 2000, 99, 0 },    { 1350, 2000, NO, 2000 },
	};
	struct pmr_dax_range ranges[] = { { 0, 100, 1250 }, { 100, 100, 1050 } };
	const struct pmr_devdax dax = { .size = 200, .ranges = ranges, .n = 2 };
	const struct pmr_dax_range *range;
	uint64_t until;
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		until = rows[i].until;
		range = pmr_dax_at(&dax, rows[i].address, &until);
		assert_int_equal(!range, rows[i].offset == NO);
		if (range)
			assert_int_equal(range->offset + (rows[i].address - range->address),
					 rows[i].offset);
		else
			assert_int_equal(until, rows[i].next);
	}
	assert_ptr_equal(pmr_dax_lies(&dax, 0), &ranges[0]);
	assert_ptr_equal(pmr_dax_lies(&dax, 99), &ranges[0]);
	assert_ptr_equal(pmr_dax_lies(&dax, 100), &ranges[1]);
	assert_null(pmr_dax_lies(&dax, 200));
}

static void write_attribute(const char *directory, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* As sysfs has it: directories of mappings among others, numbers in two ways, offsets in pages. */
static void test_dax_read(void **state)
{
	static const char *const made[] = { "dax", "dax/mapping0", "dax/mapping1", "dax/mappings",
					    "dax/power" };
	char top[] = "/tmp/pmr-dax-XXXXXX", path[256], page[32], command[64];
	const uint64_t size = (uint64_t)sysconf(_SC_PAGESIZE);
	struct pmr_devdax dax;
	size_t i;

	(void)state;
	assert_non_null(mkdtemp(top));
	for (i = 0; i < N(made); i++) {
		snprintf(path, sizeof(path), "%s/%s", top, made[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	snprintf(path, sizeof(path), "%s/dax", top);
	assert_int_equal(pmr_dax_read(path, &dax), -ENOENT);
	snprintf(page, sizeof(page), "%llu\n", 3ull * size);
	write_attribute(path, "size", page);
	write_attribute(path, "dev", "252:7\n");
	assert_int_equal(pmr_dax_read(path, &dax), 0);
	assert_int_equal(dax.n, 0);
	assert_true(dax.has_ranges);
	assert_int_equal(dax.size, 3 * size);
	assert_int_equal(dax.devno, makedev(252, 7));
	assert_int_equal(dax.align, 0);
	assert_null(dax.uuid);
	pmr_dax_release(&dax);

	write_attribute(path, "align", "2097152\n");
	write_attribute(top, "uuid", "a262a16f-af0d-4b35-88eb-45ee4624c350\n");
	write_attribute(path, "mapping0/start", "0x100000\n");
	snprintf(page, sizeof(page), "0x%llx\n", 0x100000 + 2ull * size - 1);
	write_attribute(path, "mapping0/end", page);
	write_attribute(path, "mapping0/page_offset", "0x1\n");
	assert_int_equal(pmr_dax_read(path, &dax), 0);
	assert_int_equal(dax.n, 0);
	pmr_dax_release(&dax);
	write_attribute(path, "mapping1/start", "0x400000\n");
	snprintf(page, sizeof(page), "0x%llx\n", 0x400000 + 1ull * size - 1);
	write_attribute(path, "mapping1/end", page);
	write_attribute(path, "mapping1/page_offset", "0x0\n");
	assert_int_equal(pmr_dax_read(path, &dax), 0);
	assert_int_equal(dax.n, 2);
	assert_int_equal(dax.align, 2097152);
	assert_string_equal(dax.uuid, "a262a16f-af0d-4b35-88eb-45ee4624c350");
	assert_int_equal(dax.ranges[0].address, 0x400000);
	assert_int_equal(dax.ranges[0].offset, 0);
	assert_int_equal(dax.ranges[0].length, size);
	assert_int_equal(dax.ranges[1].address, 0x100000);
	assert_int_equal(dax.ranges[1].offset, size);
	assert_int_equal(dax.ranges[1].length, 2 * size);
	pmr_dax_release(&dax);

	/* what makes no sense is not known */
	write_attribute(path, "mapping1/end", "0x3fffff\n");
	assert_int_equal(pmr_dax_read(path, &dax), 0);
	assert_int_equal(dax.n, 0);
	pmr_dax_release(&dax);
	snprintf(command, sizeof(command), "rm -r %s", top);
	assert_int_equal(system(command), 0);
}

static void test_filesystem_window(void **state)
{
	static const struct {
		uint64_t start, size;
		struct pmr_range ranges[MAX_RANGES];
	} rows[] = {
		{ 0, 1000, { { 100, 10 }, { 300, 20 } } },
		{ 50, 100, { { 50, 10 } } },
		{ 105, 200, { { 0, 5 }, { 195, 5 } } },
		{ 320, 100, { { 0 } } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_device device = { .badblocks = {
						     .ranges = { poison, N(poison), N(poison) } } };
		struct pmr_filesystem fs = { .device = &device,
					     .start = rows[i].start,
					     .size = rows[i].size };
		struct pmr_badblocks seen = { 0 };
		struct list_row row = { .trust = UNKNOWN };
		uint64_t offset = 7;

		/* What was there goes. */
		assert_int_equal(pmr_ranges_add(&seen.ranges, 1, 1), 0);
		memcpy(row.ranges, rows[i].ranges, sizeof(row.ranges));
		assert_int_equal(pmr_filesystem_badblocks(&fs, &seen.ranges), 0);
		check_list(&seen, &row);
		pmr_badblocks_release(&seen);

		assert_int_equal(pmr_filesystem_to_device(&fs, rows[i].size, &offset), -ERANGE);
		assert_int_equal(pmr_filesystem_to_device(&fs, UINT64_MAX, &offset), -ERANGE);
		assert_int_equal(offset, 7);
		assert_int_equal(pmr_filesystem_to_device(&fs, rows[i].size - 1, &offset), 0);
		assert_int_equal(offset, rows[i].start + rows[i].size - 1);
	}
}

static void test_filesystem_check(void **state)
{
	static const struct {
		const char *type;
		int rc;
	} rows[] = {
		{ NULL, 0 },
		{ "ext2", 0 },
		{ "ext3", 0 },
		{ "ext4", 0 },
		{ "xfs", 0 },
		{ "btrfs", -EOPNOTSUPP },
		{ "vfat", -EOPNOTSUPP },
		{ "f2fs", -EOPNOTSUPP },
		{ "bcachefs", -EOPNOTSUPP },
		{ "LVM2_member", -EOPNOTSUPP },
		{ "ext4dev", -EOPNOTSUPP },
	};
	struct pmr_ctx *ctx;
	size_t i;

	(void)state;
	assert_int_equal(pmr_new(&ctx), 0);
	for (i = 0; i < N(rows); i++) {
		char source[] = "/dev/pmem0", *type = rows[i].type ? strdup(rows[i].type) : NULL;
		struct pmr_filesystem fs = { .type = type, .source = source };

		assert_int_equal(pmr_filesystem_check(ctx, &fs, "file"), rows[i].rc);
		/* Nothing may be on a device, but a file is on something. */
		assert_int_equal(pmr_filesystem_require(ctx, &fs, "file"), type ? 0 : -EOPNOTSUPP);
		free(type);
	}
	pmr_unref(ctx);
}

static void hear(void *data, const struct pmr_message *message)
{
	snprintf(data, 64, "%s", message->code);
}

static void test_lookups_say_why(void **state)
{
	struct pmr_topology_private own = { 0 };
	struct pmr_topology topology = { .own = &own };
	struct pmr_filesystem *filesystem;
	struct pmr_ctx *ctx;
	char code[64] = "";

	(void)state;
	assert_int_equal(pmr_new(&ctx), 0);
	pmr_set_message_fn(ctx, hear, code);
	assert_int_equal(pmr_sysfs_check(ctx, "/proc/self"), -ENOENT);
	assert_string_equal(code, "no-sysfs");
	code[0] = 0;
	assert_int_equal(pmr_sysfs_check(ctx, "/nonexistent"), -ENOENT);
	assert_string_equal(code, "no-sysfs");
	assert_int_equal(pmr_topology_resolve(ctx, &topology, makedev(4095, 77), "it", &filesystem),
			 -ENODEV);
	assert_string_equal(code, "device-unknown");
	pmr_unref(ctx);
}

/* A path that is there is what it leads to; one that is not there may still be a name. */
static void test_find_by_path(void **state)
{
	static const struct {
		const char *path;
		bool found;
	} rows[] = { { "/dev/null", false }, { "/dev/no-such-device", true }, { "ns", true } };
	struct pmr_device device = { .ns_name = "ns", .name = "pmem7", .devno = makedev(259, 7) };
	struct pmr_device *devices[] = { &device };
	struct pmr_topology topology = { .devices = devices, .n_devices = 1 };

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		device.path = (char *)rows[i].path;
		assert_ptr_equal(pmr_topology_find(&topology, rows[i].path),
				 rows[i].found ? &device : NULL);
	}
}

static void test_mode_names(void **state)
{
	(void)state;
	assert_string_equal(pmr_mode_name(PMR_MODE_NONE), "none");
	assert_string_equal(pmr_mode_name(PMR_MODE_FSDAX), "fsdax");
	assert_string_equal(pmr_mode_name(PMR_MODE_RAW), "raw");
	assert_string_equal(pmr_mode_name(PMR_MODE_SECTOR), "sector");
	assert_string_equal(pmr_mode_name(PMR_MODE_DEVDAX), "devdax");
	assert_string_equal(pmr_mode_name(PMR_MODE_UNKNOWN), "unknown");
}

static void test_options_journal(void **state)
{
	/* as 6.1 shows them */
	static const struct {
		const char *options;
		bool plain, flagged;
	} rows[] = {
		{ "rw\nnodiscard\ndelalloc\nbarrier\ndata=ordered\ninit_itable=10\n", false,
		  false },
		{ "rw\nnodelalloc\nbarrier\ndata=ordered\ninit_itable=10\n", false, true },
		{ "rw\nnodelalloc\ndata=writeback\n", false, true },
		{ "rw\nnodelalloc\nbarrier\ndata=journal\ninit_itable=10\n", true, true },
		{ "rw\nnodelalloc\ndata=journal", true, true },
		{ "rw\nnodelalloc\ndata=journaling\n", false, true },
		/* without a log */
		{ "rw\nnodelalloc\nbarrier\ninit_itable=10\n", false, false },
		{ "", false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(pmr_options_journal(rows[i].options, false), rows[i].plain);
		assert_int_equal(pmr_options_journal(rows[i].options, true), rows[i].flagged);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),		 cmocka_unit_test(test_region_window),
		cmocka_unit_test(test_device_lists),	 cmocka_unit_test(test_filesystem_window),
		cmocka_unit_test(test_filesystem_check), cmocka_unit_test(test_lookups_say_why),
		cmocka_unit_test(test_mode_names),	 cmocka_unit_test(test_scattered),
		cmocka_unit_test(test_dax_ranges),	 cmocka_unit_test(test_dax_read),
		cmocka_unit_test(test_options_journal),	 cmocka_unit_test(test_find_by_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
