/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whom a scan asks what the last scrub found, what of that it reads, and what it says of the rest. Buses and media are made up. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define pmr_ars_ask fake_ask
#define pmr_device_refresh fake_refresh
#define pmr_media_close fake_close
#define pmr_media_open fake_open
#define pmr_read_leave_offlined fake_leave_offlined
#define pmr_sweep fake_sweep
#include "scan/ars.c"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define NEVER (UINT32_C(2) << 16)
#define MIB (UINT64_C(1) << 20)
#define SIZE (256 * MIB)
#define DEVICES 4
#define RECORDS 3

/* Devices 0 and 1 are of the first region, 2 of the second, which is of the same bus, and 3 of the other bus's. */
static const size_t region_of[DEVICES] = { 0, 0, 1, 2 };

/* What a region's bus answers. */
struct answer {
	int error;
	uint32_t status;
	bool is_of_bus;
	struct pmr_range records[RECORDS]; /* from the region on */
};

static struct pmr_bus buses[2];
static struct pmr_region regions[3];
static struct pmr_device_private owns[DEVICES];
static struct pmr_device devices[DEVICES], volume;
static struct pmr_topology topology;
static struct answer answers[3];
static char asked[32], heard[256], said[1024];
static unsigned int sweeps, refreshes;
/* the sweep, from 1 on, that is stopped; at which the user stops all */
static unsigned int stops_at, cancelled_at;
static bool is_well; /* what is read is not bad */
static int open_fails;
static volatile sig_atomic_t is_cancelled;
static struct pmr_ctx *context;

int fake_ask(const struct pmr_device *device, struct pmr_ars_answer *answer)
{
	size_t i = (size_t)(device - devices);
	const struct answer *from = &answers[region_of[i]];

	sprintf(asked + strlen(asked), "%zu", i);
	*answer = (struct pmr_ars_answer){ .error = from->error,
					   .status = from->status,
					   .is_of_bus = from->is_of_bus };
	answer->records = calloc(RECORDS, sizeof(*answer->records));
	assert_non_null(answer->records);
	for (; answer->told < RECORDS && from->records[answer->told].length; answer->told++) {
		answer->records[answer->told] = from->records[answer->told];
		answer->records[answer->told].offset += device->region->resource;
	}
	answer->n_records = (size_t)answer->told;
	return 0;
}

int fake_refresh(struct pmr_ctx *ctx, struct pmr_device *device)
{
	(void)ctx;
	refreshes += device == &volume;
	return 0;
}

int fake_open(struct pmr_ctx *ctx, const struct pmr_device *device, struct pmr_media **media)
{
	(void)ctx, (void)device, (void)media;
	return open_fails;
}

void fake_close(struct pmr_media *media)
{
	assert_null(media);
}

int fake_leave_offlined(struct pmr_device *device)
{
	(void)device;
	return 0;
}

int fake_sweep(struct pmr_ctx *ctx, struct pmr_media *media, const struct pmr_ranges *ranges,
	       const struct pmr_ranges *listed, const struct pmr_sweep_options *options,
	       struct pmr_sweep_result *result)
{
	(void)ctx, (void)media, (void)listed, (void)options;
	sweeps++;
	is_cancelled = sweeps == cancelled_at;
	result->stopped = sweeps == stops_at ? -EIO : 0;
	if (result->stopped)
		return 0;
	assert_int_equal(pmr_ranges_copy(&result->done, ranges), 0);
	return is_well ? 0 : pmr_ranges_copy(&result->found, ranges);
}

static void hear(void *data, const struct pmr_message *message)
{
	(void)data;
	strcat(strcat(heard, " "), message->code);
	strcat(strcat(said, message->text), "\n");
}

static void make_device(size_t i)
{
	struct pmr_region *region = &regions[region_of[i]];

	owns[i] = (struct pmr_device_private){ .attribute = (char *)"its own" };
	devices[i] = (struct pmr_device){
		.name = (char *)"pmem",
		.mode = PMR_MODE_RAW,
		.enabled = true,
		.region = region,
		.size = SIZE,
		.ns_size = SIZE,
		.resource = region->resource + (i == 1 ? SIZE : 0),
		.badblocks = { .trust = PMR_LIST_COMPLETE },
		.metadata_badblocks = { .trust = PMR_LIST_COMPLETE },
		.own = &owns[i],
	};
	owns[i].ns_offset = devices[i].resource - region->resource;
}

static void setup_world(void)
{
	*asked = *heard = *said = '\0';
	sweeps = refreshes = stops_at = cancelled_at = 0;
	is_well = false;
	is_cancelled = 0;
	open_fails = 0;
	memset(answers, 0, sizeof(answers));
	for (size_t i = 0; i < N(buses); i++)
		buses[i].name = (char *)(i ? "ndbus1" : "ndbus0");
	for (size_t i = 0; i < N(regions); i++)
		regions[i] = (struct pmr_region){
			.bus = &buses[i / 2],
			.resource = (i + 1) * 4 * SIZE,
			.size = 2 * SIZE,
			.badblocks = { .trust = PMR_LIST_COMPLETE },
		};
	for (size_t i = 0; i < DEVICES; i++)
		make_device(i);
}

/* A scan of these devices, of all that there are. */
static void scan(struct pmr_device **wanted, size_t n)
{
	struct pmr_device *all[DEVICES + 1];
	struct pmr_scan made = { .devices = wanted, .n_devices = n, .topology = &topology };
	struct pmr_scanner scanner = { .scan = &made };

	for (size_t i = 0; i < DEVICES; i++)
		all[i] = &devices[i];
	all[DEVICES] = &volume;
	topology = (struct pmr_topology){ .devices = all, .n_devices = DEVICES + 1 };
	assert_int_equal(pmr_new(&context), 0);
	pmr_set_message_fn(context, hear, NULL);
	pmr_set_cancel(context, &is_cancelled);
	scanner.ctx = context;
	assert_int_equal(pmr_targets_ask(&scanner), 0);
	pmr_unref(context);
}

static void release_world(void)
{
	for (size_t i = 0; i < DEVICES; i++) {
		pmr_ranges_release(&devices[i].reading.done);
		pmr_ranges_release(&devices[i].reading.found);
		pmr_badblocks_release(&devices[i].badblocks);
	}
}

/* A bus once, unless it knows nothing of a region; and what it said, once. */
static void test_asked(void **state)
{
	static const struct {
		const char *what;
		struct answer answers[3];
		const char *asked, *heard;
	} rows[] = {
		{ "nothing was found",
		  { { .is_of_bus = true }, { 0 }, { .is_of_bus = true } },
		  "03",
		  "" },
		{ "never scrubbed",
		  { { .is_of_bus = true, .status = NEVER },
		    { 0 },
		    { .is_of_bus = true, .status = NEVER } },
		  "03",
		  "" },
		{ "an error of the bus",
		  { { .is_of_bus = true, .status = 2 },
		    { 0 },
		    { .is_of_bus = true, .error = -EIO } },
		  "03",
		  " ars-unread ars-unread" },
		{ "an error of one region",
		  { { .error = -EIO },
		    { .is_of_bus = true, .records = { { 0, 512 } } },
		    { .is_of_bus = true } },
		  "0123",
		  " ars-unread found-by-ars" },
		{ "of each of them",
		  { { .error = -EIO }, { .error = -EIO }, { .error = -EACCES } },
		  "0123",
		  " ars-unread ars-unread" },
		{ "one that is not scrubbed",
		  { { .error = -EOPNOTSUPP },
		    { .is_of_bus = true, .records = { { 0, 512 } } },
		    { .error = -EOPNOTSUPP } },
		  "0123",
		  " found-by-ars" },
	};
	struct pmr_device *wanted[DEVICES] = { &devices[0], &devices[1], &devices[2], &devices[3] };

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		setup_world();
		memcpy(answers, rows[i].answers, sizeof(answers));
		scan(wanted, DEVICES);
		if (strcmp(asked, rows[i].asked) || strcmp(heard, rows[i].heard))
			fail_msg("%s: asked %s, said%s", rows[i].what, asked, heard);
		release_world();
	}
}

static void test_places(void **state)
{
	static const struct {
		const char *what;
		struct pmr_range records[RECORDS];
		unsigned int stops_at, cancelled_at;
		int open_fails;
		bool is_well;
		unsigned int sweeps;
		const char *heard;
		const char *said; /* that the first warning of what is left has, or NULL */
		uint64_t found; /* bytes */
	} rows[] = {
		{ "one", { { 512, 512 } }, .sweeps = 1, .heard = " found-by-ars", .found = 512 },
		{ "cleared since", { { 512, 512 } }, .is_well = true, .sweeps = 1, .heard = "" },
		/* what is too much keeps nobody from what is behind it */
		{ "a long one first",
		  { { 0, 80 * MIB }, { 96 * MIB, 512 }, { 97 * MIB, 512 } },
		  .sweeps = 2,
		  .heard = " found-by-ars ars-unconfirmed",
		  .said = "83886080 bytes, the first at 0,",
		  .found = 1024 },
		{ "all that there is room for",
		  { { 0, 32 * MIB }, { 33 * MIB, 32 * MIB }, { 97 * MIB, 512 } },
		  .sweeps = 2,
		  .heard = " found-by-ars ars-unconfirmed",
		  .said = "(they are more than is read without being asked)",
		  .found = 64 * MIB },
		{ "it stops",
		  { { 0, 512 }, { 4096, 512 }, { 8192, 512 } },
		  .stops_at = 2,
		  .sweeps = 2,
		  .heard = " found-by-ars ars-unconfirmed",
		  .said = "1024 bytes, the first at 4096,",
		  .found = 512 },
		{ "too much, and then it stops",
		  { { 0, 80 * MIB }, { 96 * MIB, 512 }, { 97 * MIB, 512 } },
		  .stops_at = 1,
		  .sweeps = 1,
		  .heard = " ars-unconfirmed",
		  .said = "(Input/output error)" },
		{ "interrupted",
		  { { 0, 512 }, { 4096, 512 } },
		  .cancelled_at = 1,
		  .sweeps = 1,
		  .heard = " found-by-ars ars-unconfirmed",
		  .said = "(interrupted)",
		  .found = 512 },
		{ "it cannot be opened",
		  { { 0, 512 }, { 4096, 512 } },
		  .open_fails = -EACCES,
		  .heard = " ars-unconfirmed",
		  .said = "(Permission denied)" },
	};
	struct pmr_device *wanted = &devices[0];

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		setup_world();
		answers[0].is_of_bus = true;
		memcpy(answers[0].records, rows[i].records, sizeof(rows[i].records));
		stops_at = rows[i].stops_at;
		cancelled_at = rows[i].cancelled_at;
		open_fails = rows[i].open_fails;
		is_well = rows[i].is_well;
		scan(&wanted, 1);
		if (sweeps != rows[i].sweeps || strcmp(heard, rows[i].heard))
			fail_msg("%s: %u sweeps, said%s", rows[i].what, sweeps, heard);
		if (rows[i].said && !strstr(said, rows[i].said))
			fail_msg("%s: said %s", rows[i].what, said);
		if (pmr_ranges_bytes(&devices[0].badblocks.ranges) != rows[i].found)
			fail_msg("%s: another list", rows[i].what);
		/* what is left leaves the list in doubt */
		if ((devices[0].badblocks.trust == PMR_LIST_INCOMPLETE) != !!rows[i].said)
			fail_msg("%s: trust %d", rows[i].what, devices[0].badblocks.trust);
		release_world();
	}
}

/* What lies below a target is read for it, unless a file has its list. */
static void test_wanted(void **state)
{
	static const struct {
		const char *what;
		bool volume_from_file, device_from_file;
		const char *asked;
		unsigned int refreshes;
	} rows[] = {
		{ "a volume", false, false, "0", 1 },
		{ "a volume, with a file", true, false, "", 0 },
		{ "what it is on, with a file", false, true, "", 0 },
	};
	struct pmr_device *lowers[] = { &devices[0] }, *wanted = &volume;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		setup_world();
		answers[0] = (struct answer){ .is_of_bus = true, .records = { { 0, 512 } } };
		volume = (struct pmr_device){ .mode = PMR_MODE_MAPPED,
					      .lowers = lowers,
					      .n_lowers = 1,
					      .from_file = rows[i].volume_from_file };
		devices[0].from_file = rows[i].device_from_file;
		scan(&wanted, 1);
		if (strcmp(asked, rows[i].asked) || refreshes != rows[i].refreshes)
			fail_msg("%s: asked %s, %u refreshes", rows[i].what, asked, refreshes);
		release_world();
		volume = (struct pmr_device){ 0 };
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asked),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
