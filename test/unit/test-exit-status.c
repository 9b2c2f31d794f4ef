// SPDX-License-Identifier: GPL-2.0-or-later
/* The exit status as a function of what a command found out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../cli/report.h"
#include "memory/zeroed.h"

#define MAX 4

struct world {
	struct report report;
	struct pmr_topology topology;
	struct pmr_device device;
	struct pmr_device *devices[1];
	struct pmr_range bad[1];
	struct pmr_scan scan;
	struct pmr_file file;
	struct pmr_file *files[1];
	struct pmr_loss losses[MAX];
	struct pmr_owned owned[MAX];
	struct pmr_plan plan;
	struct pmr_file_plan file_plan;
	struct pmr_step step;
	struct pmr_filesystem filesystem;
	struct pmr_map map;
	struct pmr_mapping mapping;
};

/* A scan that saw everything and found nothing, on a device with a complete and empty list. */
static void set_up(struct world *world, enum verb verb)
{
	memset(world, 0, sizeof(*world));
	world->device.name = (char *)"pmem0";
	world->device.badblocks.trust = PMR_LIST_COMPLETE;
	world->device.badblocks.ranges.v = world->bad;
	world->device.metadata_badblocks.trust = PMR_LIST_COMPLETE;
	world->device.metadata_badblocks.ranges.v = world->bad;
	world->devices[0] = &world->device;
	world->topology.devices = world->devices;
	world->topology.n_devices = 1;
	world->scan.devices = world->devices;
	world->scan.n_devices = 1;
	world->scan.files = world->files;
	world->scan.owned = world->owned;
	world->scan.complete = true;
	world->files[0] = &world->file;
	world->file.losses = world->losses;
	world->file.size = 8192;
	world->file.complete = true;
	world->file_plan.file = &world->file;
	world->file_plan.steps = &world->step;
	world->plan.files = &world->file_plan;
	world->plan.n_files = 1;
	world->filesystem.device = &world->device;
	world->map.filesystem = &world->filesystem;
	world->map.mappings = &world->mapping;
	world->map.n_mappings = 1;
	world->map.complete = true;
	world->map.size = 4096;
	world->mapping.length = 8192;
	world->report.verb = verb;
	world->report.topology = &world->topology;
	if (verb == VERB_SCAN || verb == VERB_REPAIR)
		world->report.scan = &world->scan;
	if (verb == VERB_MAP)
		world->report.map = &world->map;
}

static int status_of(struct world *world)
{
	report_finish(&world->report);
	return world->report.exit_status;
}

/* ---- losses */

static const struct {
	const char *name;
	enum pmr_state states[MAX + 1];
	size_t n;
	int status;
} loss_rows[] = {
	{ "nothing", { 0 }, 0, 0 },
	{ "lost", { PMR_LOST }, 1, 4 },
	{ "unwritten", { PMR_UNWRITTEN }, 1, 0 },
	{ "past the end", { PMR_PAST_EOF }, 1, 0 },
	{ "cached", { PMR_CACHED }, 1, 4 },
	{ "repaired", { PMR_REPAIRED }, 1, 1 },
	{ "zeroed", { PMR_ZEROED }, 1, 4 },
	{ "failed", { PMR_FAILED }, 1, 4 },
	{ "skipped", { PMR_SKIPPED }, 1, 4 },
	{ "conflict", { PMR_CONFLICT }, 1, 4 },
	{ "unknown", { PMR_UNKNOWN }, 1, 8 },
	{ "repaired, nothing else lost", { PMR_REPAIRED, PMR_UNWRITTEN, PMR_PAST_EOF }, 3, 1 },
	{ "repaired, not all", { PMR_REPAIRED, PMR_FAILED }, 2, 4 },
	{ "repaired and zeroed", { PMR_ZEROED, PMR_REPAIRED }, 2, 4 },
	{ "repaired, rest unknown", { PMR_REPAIRED, PMR_UNKNOWN }, 2, 9 },
	{ "lost, rest unknown", { PMR_LOST, PMR_UNKNOWN }, 2, 12 },
};

static void test_losses(void **state)
{
	struct world world;

	(void)state;
	for (size_t i = 0; i < sizeof(loss_rows) / sizeof(loss_rows[0]); i++) {
		set_up(&world, VERB_REPAIR);
		world.scan.n_files = 1;
		world.file.n_losses = loss_rows[i].n;
		for (size_t j = 0; j < loss_rows[i].n; j++) {
			world.losses[j].state = loss_rows[i].states[j];
			world.losses[j].length = 512;
		}
		if (status_of(&world) != loss_rows[i].status)
			fail_msg("%s: %d instead of %d", loss_rows[i].name,
				 world.report.exit_status, loss_rows[i].status);
	}
}

/* What lies behind the end of its file is nobody's data, and only a write there that failed matters; what crosses it counts in part. */
static void test_behind_the_end(void **state)
{
	static const struct {
		enum pmr_state state;
		uint64_t offset, lost, repaired, zeroed;
		int status;
	} rows[] = {
		{ PMR_LOST, 8192, 0, 0, 0, 0 },	      { PMR_SKIPPED, 8192, 0, 0, 0, 0 },
		{ PMR_FAILED, 12288, 0, 0, 0, 4 },    { PMR_REPAIRED, 8192, 0, 0, 0, 0 },
		{ PMR_ZEROED, 8192, 0, 0, 0, 0 },     { PMR_CONFLICT, 8192, 0, 0, 0, 0 },
		{ PMR_PAST_EOF, 8192, 0, 0, 0, 0 },   { PMR_UNKNOWN, 8192, 0, 0, 0, 8 },
		{ PMR_LOST, 8092, 100, 0, 0, 4 },     { PMR_SKIPPED, 8092, 100, 0, 0, 4 },
		{ PMR_REPAIRED, 8092, 0, 100, 0, 1 }, { PMR_ZEROED, 8092, 0, 0, 100, 4 },
		{ PMR_REPAIRED, 7680, 0, 512, 0, 1 },
	};
	struct report_totals totals;
	struct world world;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_up(&world, VERB_REPAIR);
		world.scan.n_files = 1;
		world.file.n_losses = 1;
		world.losses[0].state = rows[i].state;
		world.losses[0].offset = rows[i].offset;
		world.losses[0].length = 512;
		assert_int_equal(status_of(&world), rows[i].status);
		report_totals(&world.scan, &totals);
		assert_int_equal(totals.lost, rows[i].lost);
		assert_int_equal(totals.repaired, rows[i].repaired);
		assert_int_equal(totals.zeroed, rows[i].zeroed);
		assert_int_equal(totals.files, rows[i].status & ~STATUS_UNKNOWN ? 1 : 0);
	}
}

/* ---- regions */

/* What is in no namespace is in the list of no device. */
static void test_regions(void **state)
{
	static struct pmr_region_part unallocated = { .range = { 512, 512 },
						      .owner = PMR_OWNER_FREE,
						      .part = PMR_PART_UNALLOCATED };
	static struct pmr_region_part stray = { .range = { 512, 512 }, .owner = PMR_OWNER_UNKNOWN };
	static struct pmr_region_part data = { .range = { 512, 512 } };
	static const struct {
		enum verb verb;
		uint64_t unallocated;
		struct pmr_region_part *part;
		enum pmr_trust trust;
		int status;
	} rows[] = {
		{ VERB_HEALTH, 4096, NULL, PMR_LIST_COMPLETE, 0 },
		{ VERB_HEALTH, 4096, &unallocated, PMR_LIST_COMPLETE, 4 },
		{ VERB_HEALTH, 4096, &unallocated, PMR_LIST_INCOMPLETE, 12 },
		{ VERB_HEALTH, 4096, NULL, PMR_LIST_UNKNOWN, 8 },
		{ VERB_HEALTH, 4096, &stray, PMR_LIST_COMPLETE, 12 },
		/* the device tells of it */
		{ VERB_HEALTH, 4096, &data, PMR_LIST_COMPLETE, 0 },
		{ VERB_HEALTH, 0, NULL, PMR_LIST_UNKNOWN, 0 },
		{ VERB_LIST, 4096, &unallocated, PMR_LIST_COMPLETE, 0 },
		{ VERB_LIST, 4096, &stray, PMR_LIST_COMPLETE, 8 },
		{ VERB_LIST, 4096, NULL, PMR_LIST_INCOMPLETE, 8 },
		{ VERB_SCAN, 4096, &stray, PMR_LIST_UNKNOWN, 0 },
	};
	struct pmr_region region = { 0 }, *regions[] = { &region };
	struct world world;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_up(&world, rows[i].verb);
		region.unallocated = rows[i].unallocated;
		region.parts = rows[i].part;
		region.n_parts = rows[i].part ? 1 : 0;
		region.badblocks.trust = rows[i].trust;
		world.topology.regions = regions;
		world.topology.n_regions = 1;
		assert_int_equal(status_of(&world), rows[i].status);
	}
}

/* ---- owners */

static void test_owners(void **state)
{
	static char path[] = "/mnt/file";
	static const struct {
		enum pmr_owner owner;
		uint64_t inode;
		char *path;
		int status;
	} rows[] = {
		{ PMR_OWNER_NOT_ASKED, 0, NULL, 0 },
		{ PMR_OWNER_FILE, 0, NULL, 0 }, /* it is among the files, which tell */
		{ PMR_OWNER_FILE, 12, path, 0 },
		{ PMR_OWNER_FILE, 12, NULL, 4 }, /* it is nowhere else */
		{ PMR_OWNER_UNWRITTEN, 12, NULL, 0 },
		{ PMR_OWNER_FREE, 0, NULL, 0 },
		{ PMR_OWNER_METADATA, 0, NULL, 4 },
		{ PMR_OWNER_METADATA, 12, path, 4 },
		{ PMR_OWNER_LOG, 0, NULL, 4 },
		{ PMR_OWNER_UNKNOWN, 0, NULL, 8 },
		{ PMR_OWNER_NAMESPACE, 0, NULL, 4 },
	};
	struct world world;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_up(&world, VERB_SCAN);
		world.scan.n_owned = 1;
		world.owned[0].device = &world.device;
		world.owned[0].owner = rows[i].owner;
		world.owned[0].inode = rows[i].inode;
		world.owned[0].path = rows[i].path;
		assert_int_equal(status_of(&world), rows[i].status);
	}
}

/* ---- lists */

static const struct {
	const char *name;
	enum pmr_trust trust;
	enum pmr_trust metadata;
	uint64_t data_offset;
	size_t bad;
	size_t metadata_bad;
	bool from_file;
	int list, health, scan;
} list_rows[] = {
	{ "all is well", PMR_LIST_COMPLETE, PMR_LIST_COMPLETE, 4096, 0, 0, false, 0, 0, 0 },
	{ "unknown", PMR_LIST_UNKNOWN, PMR_LIST_COMPLETE, 0, 0, 0, false, 8, 8, 8 },
	{ "incomplete", PMR_LIST_INCOMPLETE, PMR_LIST_COMPLETE, 0, 0, 0, false, 8, 8, 8 },
	{ "incomplete, not empty", PMR_LIST_INCOMPLETE, PMR_LIST_COMPLETE, 0, 1, 0, false, 8, 12,
	  8 },
	{ "bad", PMR_LIST_COMPLETE, PMR_LIST_COMPLETE, 0, 1, 0, false, 0, 4, 0 },
	{ "bad metadata", PMR_LIST_COMPLETE, PMR_LIST_COMPLETE, 4096, 0, 1, false, 0, 4, 0 },
	{ "no metadata", PMR_LIST_COMPLETE, PMR_LIST_UNKNOWN, 0, 0, 0, false, 0, 0, 0 },
	{ "unknown metadata", PMR_LIST_COMPLETE, PMR_LIST_UNKNOWN, 4096, 0, 0, false, 8, 8, 8 },
	{ "list from a file", PMR_LIST_COMPLETE, PMR_LIST_UNKNOWN, 4096, 0, 0, true, 0, 0, 0 },
	{ "incomplete metadata", PMR_LIST_COMPLETE, PMR_LIST_INCOMPLETE, 0, 0, 0, false, 8, 8, 8 },
};

/* What is not known of a namespace's metadata is not known of the volumes on it either, at any depth. */
static void test_below(void **state)
{
	struct pmr_device below = { .metadata_badblocks.trust = PMR_LIST_COMPLETE };
	struct pmr_device middle = { .metadata_badblocks.trust = PMR_LIST_COMPLETE };
	struct pmr_device *on_below[] = { &below }, *on_middle[] = { &middle };
	struct world world;

	(void)state;
	below.data_offset = 4096;
	middle.lowers = on_below;
	middle.n_lowers = 1;
	for (int i = 0; i < 4; i++) {
		set_up(&world, VERB_SCAN);
		world.device.lowers = i % 2 ? on_middle : on_below;
		world.device.n_lowers = 1;
		below.metadata_badblocks.trust = i / 2 ? PMR_LIST_UNKNOWN : PMR_LIST_COMPLETE;
		assert_int_equal(status_of(&world), i / 2 ? 8 : 0);
		world.device.from_file = true;
		assert_int_equal(status_of(&world), 0);
	}
}

static void test_lists(void **state)
{
	struct world world;

	(void)state;
	for (size_t i = 0; i < sizeof(list_rows) / sizeof(list_rows[0]); i++) {
		const int wanted[] = {
			[VERB_LIST] = list_rows[i].list,
			[VERB_HEALTH] = list_rows[i].health,
			[VERB_SCAN] = list_rows[i].scan,
		};
		static const enum verb verbs[] = { VERB_LIST, VERB_HEALTH, VERB_SCAN };

		for (size_t j = 0; j < sizeof(verbs) / sizeof(verbs[0]); j++) {
			set_up(&world, verbs[j]);
			world.device.badblocks.trust = list_rows[i].trust;
			world.device.badblocks.ranges.n = list_rows[i].bad;
			world.device.metadata_badblocks.trust = list_rows[i].metadata;
			world.device.metadata_badblocks.ranges.n = list_rows[i].metadata_bad;
			world.device.data_offset = list_rows[i].data_offset;
			world.device.from_file = list_rows[i].from_file;
			if (status_of(&world) != wanted[verbs[j]])
				fail_msg("%s, %s: %d instead of %d", list_rows[i].name,
					 report_verb_name(verbs[j]), world.report.exit_status,
					 wanted[verbs[j]]);
		}
	}
}

static void test_only_one_device(void **state)
{
	struct pmr_device other = { .badblocks = { .trust = PMR_LIST_COMPLETE } };
	struct world world;

	(void)state;
	set_up(&world, VERB_HEALTH);
	world.device.badblocks.ranges.n = 1;
	world.report.only = &other;
	assert_int_equal(status_of(&world), 0);
}

/* ---- what could not be done */

static void test_failures(void **state)
{
	struct world world;

	(void)state;
	set_up(&world, VERB_SCAN);
	world.scan.complete = false;
	assert_int_equal(status_of(&world), 8);

	set_up(&world, VERB_SCAN);
	world.scan.metadata_lost = true;
	assert_int_equal(status_of(&world), 4);

	set_up(&world, VERB_SCAN);
	world.scan.n_files = 1;
	world.file.complete = false;
	assert_int_equal(status_of(&world), 8);

	set_up(&world, VERB_REPAIR);
	world.report.failed = true;
	world.scan.n_files = 1;
	world.file.n_losses = 1;
	world.losses[0].length = 512;
	assert_int_equal(status_of(&world), 12);

	set_up(&world, VERB_LIST);
	world.report.topology = NULL;
	world.report.failed = true;
	assert_int_equal(status_of(&world), 8);
	world.report.failed = false;
	assert_int_equal(status_of(&world), 0);
}

/* ---- dry runs */

static const struct {
	const char *name;
	uint64_t step_offset, step_length;
	const char *refused;
	bool zero_fill;
	int status;
} dry_rows[] = {
	{ "planned", 0, 4096, NULL, false, 0 },
	{ "planned, with zeros", 0, 4096, NULL, true, 4 },
	{ "refused", 0, 4096, "in-use", false, 4 },
	{ "planned in part", 0, 600, NULL, false, 4 },
	{ "planned elsewhere", 4096, 4096, NULL, false, 4 },
};

static void test_dry_runs(void **state)
{
	struct world world;

	(void)state;
	for (size_t i = 0; i < sizeof(dry_rows) / sizeof(dry_rows[0]); i++) {
		set_up(&world, VERB_REPAIR);
		world.report.dry_run = true;
		world.report.zero_fill = dry_rows[i].zero_fill;
		world.report.plan = &world.plan;
		world.scan.n_files = 1;
		world.file.n_losses = 1;
		world.losses[0].offset = 512;
		world.losses[0].length = 512;
		world.file_plan.n_steps = 1;
		world.file_plan.refused = dry_rows[i].refused;
		world.step.offset = dry_rows[i].step_offset;
		world.step.length = dry_rows[i].step_length;
		if (status_of(&world) != dry_rows[i].status)
			fail_msg("%s: %d instead of %d", dry_rows[i].name, world.report.exit_status,
				 dry_rows[i].status);
	}
}

/* ---- map */

static void test_maps(void **state)
{
	static const struct {
		enum pmr_extent_kind kind;
		uint64_t offset, bad;
		bool complete, sealed;
		int status;
	} rows[] = {
		{ PMR_EXTENT_DATA, 0, 0, true, false, 0 },
		{ PMR_EXTENT_DATA, 0, 512, true, false, 4 },
		{ PMR_EXTENT_DATA, 4096, 512, true, false, 0 },
		{ PMR_EXTENT_DATA, 4096, 512, true, true, 0 },
		{ PMR_EXTENT_DATA, 65536, 512, true, false, 0 },
		{ PMR_EXTENT_DATA, 65536, 512, true, true, 4 },
		{ PMR_EXTENT_DATA, 65536, 0, true, true, 0 },
		{ PMR_EXTENT_UNWRITTEN, 0, 512, true, false, 0 },
		{ PMR_EXTENT_HOLE, 0, 0, true, false, 0 },
		{ PMR_EXTENT_UNTRUSTED, 0, 0, true, false, 8 },
		{ PMR_EXTENT_DATA, 0, 0, false, false, 8 },
		{ PMR_EXTENT_DATA, 0, 512, false, false, 12 },
	};
	struct world world;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_up(&world, VERB_MAP);
		world.mapping.kind = rows[i].kind;
		world.mapping.offset = rows[i].offset;
		world.mapping.length = 4096;
		world.mapping.bad_bytes = rows[i].bad;
		world.map.complete = rows[i].complete;
		world.map.seal = rows[i].sealed ? 65536 : UINT64_MAX;
		assert_int_equal(status_of(&world), rows[i].status);
	}
}

/* ---- locate */

/* Whose bytes are is no matter of lists, nor of what is bad. */
static void test_locations(void **state)
{
	struct pmr_place place = { .length = 1, .bad_bytes = 1 };
	struct pmr_location location = { .places = &place, .n_places = 1 };
	struct world world;

	(void)state;
	for (int i = 0; i < 8; i++) {
		set_up(&world, VERB_LOCATE);
		world.report.location = &location;
		location.complete = i & 1;
		world.device.badblocks.trust = i & 2 ? PMR_LIST_UNKNOWN : PMR_LIST_COMPLETE;
		place.device = i & 4 ? &world.device : NULL;
		assert_int_equal(status_of(&world), i & 1 ? 0 : 8);
		assert_int_equal(world.report.n_devices, i & 4 ? 1 : 0);
	}
	set_up(&world, VERB_LOCATE);
	world.report.failed = true;
	assert_int_equal(status_of(&world), 8);
	assert_int_equal(world.report.n_devices, 0);
}

/* ---- zeros that are remembered */

/* They are no data; what a repair can restore of them is among its losses already. */
static void test_zeroes(void **state)
{
	static const struct {
		enum verb verb;
		enum pmr_zeroed_file file;
		size_t n;
		int error, status;
	} rows[] = {
		{ VERB_SCAN, PMR_ZEROED_FILE_SAME, 0, 0, 0 },
		{ VERB_SCAN, PMR_ZEROED_FILE_SAME, 1, 0, 4 },
		{ VERB_SCAN, PMR_ZEROED_FILE_CHANGED, 1, 0, 4 },
		{ VERB_SCAN, PMR_ZEROED_FILE_GONE, 1, 0, 4 },
		{ VERB_SCAN, PMR_ZEROED_FILE_UNKNOWN, 1, 0, 4 },
		{ VERB_SCAN, PMR_ZEROED_FILE_SAME, 0, -EIO, 8 },
		{ VERB_SCAN, PMR_ZEROED_FILE_SAME, 0, -EACCES, 0 },
		{ VERB_HEALTH, PMR_ZEROED_FILE_UNKNOWN, 0, 0, 0 },
		{ VERB_HEALTH, PMR_ZEROED_FILE_UNKNOWN, 1, 0, 4 },
		{ VERB_REPAIR, PMR_ZEROED_FILE_SAME, 1, 0, 0 },
		{ VERB_REPAIR, PMR_ZEROED_FILE_CHANGED, 1, 0, 4 },
	};
	struct world world;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pmr_zeroed zeroed = { .file = rows[i].file };
		struct pmr_zeroes zeroes = {
			.zeroed = &zeroed,
			.n_zeroed = rows[i].n,
			.error = rows[i].error,
		};

		set_up(&world, rows[i].verb);
		world.report.zeroes = &zeroes;
		assert_int_equal(status_of(&world), rows[i].status);
	}
}

/* ---- bad ranges and their owners */

static void test_parts(void **state)
{
	static const struct {
		struct pmr_range range;
		enum pmr_owner owner;
	} wanted[] = {
		{ { 0, 512 }, PMR_OWNER_NOT_ASKED },	{ { 512, 512 }, PMR_OWNER_FILE },
		{ { 1024, 1024 }, PMR_OWNER_FREE },	{ { 2048, 512 }, PMR_OWNER_NOT_ASKED },
		{ { 8192, 512 }, PMR_OWNER_NOT_ASKED },
	};
	struct pmr_range ranges[] = { { 0, 2560 }, { 8192, 512 } };
	struct pmr_device other = { 0 };
	struct report_part part;
	struct world world;
	uint64_t position = 0;
	size_t n = 0;

	(void)state;
	set_up(&world, VERB_SCAN);
	world.device.badblocks.ranges = (struct pmr_ranges){ ranges, 2, 2 };
	/* another device's, and one that is no longer listed */
	world.owned[0] =
		(struct pmr_owned){ .device = &other, .range = { 0, 512 }, .owner = PMR_OWNER_LOG };
	world.owned[1] = (struct pmr_owned){ .device = &world.device,
					     .range = { 512, 512 },
					     .owner = PMR_OWNER_FILE };
	world.owned[2] = (struct pmr_owned){ .device = &world.device,
					     .range = { 1024, 1024 },
					     .owner = PMR_OWNER_FREE };
	world.owned[3] = (struct pmr_owned){ .device = &world.device,
					     .range = { 4096, 512 },
					     .owner = PMR_OWNER_FILE };
	world.scan.n_owned = 4;
	while (report_next_part(&world.device, &world.scan, &position, &part) == 1) {
		assert_true(n < sizeof(wanted) / sizeof(wanted[0]));
		assert_int_equal(part.range.offset, wanted[n].range.offset);
		assert_int_equal(part.range.length, wanted[n].range.length);
		assert_int_equal(part.owner, wanted[n].owner);
		assert_int_equal(part.owned ? part.owned->owner : PMR_OWNER_NOT_ASKED,
				 wanted[n].owner);
		n++;
	}
	assert_int_equal(n, sizeof(wanted) / sizeof(wanted[0]));
}

/* What health remembers: from one look to the next. */
static void test_memory(void **state)
{
	static const struct {
		size_t n_bad; /* records in the list now */
		const char *acknowledge;
		bool damage; /* what was remembered, before */
		int status;
	} rows[] = {
		{ 0, NULL, false, 0 }, { 1, NULL, false, 4 }, { 0, NULL, false, 8 },
		{ 0, NULL, false, 8 }, { 1, NULL, false, 4 }, { 0, "pmem0", false, 0 },
		{ 0, NULL, false, 0 }, { 1, NULL, false, 4 }, { 1, NULL, true, 12 },
		{ 1, NULL, false, 4 }, { 0, NULL, true, 8 },  { 0, NULL, false, 0 },
	};
	char directory[] = "memory-XXXXXX", path[64], command[64];
	struct world world;
	struct pmr_ctx *ctx;

	(void)state;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(pmr_new(&ctx), 0);
	snprintf(path, sizeof(path), "%s/lists/namespace0.0-0", directory);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_up(&world, VERB_HEALTH);
		world.device.ns_name = (char *)"namespace0.0";
		world.device.enabled = true;
		world.bad[0] = (struct pmr_range){ 4096, 512 };
		world.device.badblocks.ranges.n = rows[i].n_bad;
		if (rows[i].damage)
			assert_int_equal(truncate(path, 10), 0);
		assert_int_equal(
			pmr_memory_new(ctx, &world.topology, directory, &world.report.memory), 0);
		if (rows[i].acknowledge)
			assert_int_equal(
				pmr_memory_acknowledge(world.report.memory, rows[i].acknowledge),
				0);
		if (status_of(&world) != rows[i].status)
			fail_msg("row %zu: exit status %d", i, world.report.exit_status);
		pmr_memory_free(world.report.memory);
	}
	pmr_unref(ctx);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

/* A copy: what the page cache gave is in it, what an earlier run rescued is no loss of it. */
static void test_salvages(void **state)
{
	static const struct {
		const char *what;
		struct pmr_salvage salvage;
		enum pmr_state state; /* of one loss; PMR_UNWRITTEN counts for nothing */
		enum pmr_trust trust;
		int status;
	} rows[] = {
		{ "all of it", { .complete = true }, PMR_UNWRITTEN, PMR_LIST_COMPLETE, 0 },
		{ "lost", { .complete = true, .lost = 512 }, PMR_LOST, PMR_LIST_COMPLETE, 4 },
		{ "lost, in no list",
		  { .complete = true, .lost = 512 },
		  PMR_UNWRITTEN,
		  PMR_LIST_COMPLETE,
		  4 },
		{ "from the page cache", { .complete = true }, PMR_CACHED, PMR_LIST_COMPLETE, 0 },
		{ "stopped", { .remaining = 4096 }, PMR_UNKNOWN, PMR_LIST_COMPLETE, 8 },
		{ "stopped, lost", { .remaining = 1, .lost = 1 }, PMR_LOST, PMR_LIST_COMPLETE, 12 },
		{ "changed", { .complete = false }, PMR_UNWRITTEN, PMR_LIST_COMPLETE, 8 },
		{ "no list", { .complete = true }, PMR_UNWRITTEN, PMR_LIST_UNKNOWN, 8 },
		{ "a list that is cut",
		  { .complete = true },
		  PMR_UNWRITTEN,
		  PMR_LIST_INCOMPLETE,
		  8 },
	};
	struct pmr_salvage salvage;
	struct world world;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_up(&world, VERB_SALVAGE);
		salvage = rows[i].salvage;
		world.report.salvage = &salvage;
		world.report.scan = &world.scan;
		world.scan.n_files = 1;
		world.file.n_losses = 1;
		world.losses[0] = (struct pmr_loss){ .length = 512, .state = rows[i].state };
		world.device.badblocks.trust = rows[i].trust;
		if (status_of(&world) != rows[i].status)
			fail_msg("%s: exit status %d", rows[i].what, world.report.exit_status);
	}
}

/* Which journals somebody has to see to. */
static void test_journals(void **state)
{
	static const struct {
		enum pmr_journal_state state;
		const char *path;
		bool is_open;
	} rows[] = {
		{ PMR_JOURNAL_UNFINISHED, "/j/1.journal", true },
		{ PMR_JOURNAL_RUNNING, "/j/1.journal", false },
		{ PMR_JOURNAL_DAMAGED, "/j/1.journal", true },
		{ PMR_JOURNAL_DAMAGED, "/j/1.done", false },
		{ PMR_JOURNAL_DAMAGED, "/j/1.aside", false },
		{ PMR_JOURNAL_DAMAGED, "/1.journal/x", false },
		{ PMR_JOURNAL_DONE, "/j/1.done", false },
		{ PMR_JOURNAL_ASIDE, "/j/1.aside", false },
	};
	static const enum verb verbs[] = { VERB_SCAN, VERB_HEALTH, VERB_REPAIR, VERB_JOURNAL };
	struct world world;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pmr_journal_entry entry = { .path = (char *)rows[i].path,
							 .state = rows[i].state };

		if (report_is_open_journal(&entry) != rows[i].is_open)
			fail_msg("%s, %s", rows[i].path, pmr_journal_state_name(rows[i].state));
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		set_up(&world, verbs[i]);
		assert_int_equal(status_of(&world), 0);
		world.report.unfinished = true;
		assert_int_equal(status_of(&world), 8);
	}
}

/* How much of it is where. */
static void test_journal_bytes(void **state)
{
	struct pmr_journal_piece pieces[] = {
		{ .length = 4096, .mark = PMR_MARK_DONE },
		{ .length = 512, .mark = PMR_MARK_OPEN },
		{ .length = 8192, .mark = PMR_MARK_DONE },
		{ .length = 16384, .mark = PMR_MARK_NONE },
	};
	struct pmr_journal_file files[] = { { .pieces = pieces, .n_pieces = 2 },
					    { .n_pieces = 0 },
					    { .pieces = pieces + 2, .n_pieces = 2 } };
	const struct pmr_journal_entry entry = { .files = files, .n_files = 3 };
	static const uint64_t bytes[] = {
		[PMR_MARK_NONE] = 16384,
		[PMR_MARK_OPEN] = 512,
		[PMR_MARK_DONE] = 12288,
	};

	(void)state;
	assert_int_equal(report_journal_bytes(&entry, NULL), 4096 + 512 + 8192 + 16384);
	for (enum pmr_mark mark = PMR_MARK_NONE; mark <= PMR_MARK_DONE; mark++)
		assert_int_equal(report_journal_bytes(&entry, &mark), bytes[mark]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_regions),	       cmocka_unit_test(test_losses),
		cmocka_unit_test(test_owners),	       cmocka_unit_test(test_lists),
		cmocka_unit_test(test_below),	       cmocka_unit_test(test_only_one_device),
		cmocka_unit_test(test_failures),       cmocka_unit_test(test_dry_runs),
		cmocka_unit_test(test_maps),	       cmocka_unit_test(test_parts),
		cmocka_unit_test(test_behind_the_end), cmocka_unit_test(test_locations),
		cmocka_unit_test(test_memory),	       cmocka_unit_test(test_salvages),
		cmocka_unit_test(test_zeroes),	       cmocka_unit_test(test_journals),
		cmocka_unit_test(test_journal_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
