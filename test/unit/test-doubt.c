/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What settles the doubt of lists that were once cut or full, and how it is remembered. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/topology.h"
#include "memory/doubt.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define FIRST "# pmem-recover doubt 1\n"
#define LAST "# end\n"

/* A doubt of boot "one", with room seen when so many scrubs had ended; -1 where none was seen. */
static void test_settled(void **state)
{
	static const struct {
		const char *noted, *boot;
		int room;
		bool has_room, can_scrub;
		struct pmr_scrubs scrubs;
		bool settled;
	} rows[] = {
		/* a scrub since there was room */
		{ "one", "one", 3, true, true, { 4, false }, true },
		{ "one", "one", 3, true, true, { 9, true }, true },
		/* none; or one that is not over */
		{ "one", "one", 3, true, true, { 3, false }, false },
		{ "one", "one", 3, true, true, { 3, true }, false },
		/* room was not seen before it, so it may have come too early */
		{ "one", "one", -1, true, true, { 4, false }, false },
		/* and now there is none again */
		{ "one", "one", 3, false, true, { 4, false }, false },
		/* another boot, and its scrub; or none yet */
		{ "one", "two", -1, true, true, { 1, false }, true },
		{ "one", "two", 3, true, true, { 2, false }, true },
		{ "one", "two", 3, true, true, { 0, true }, false },
		{ "one", "two", 3, false, true, { 1, false }, false },
		/* which boot it is cannot be known */
		{ "one", "", 3, true, true, { 4, false }, false },
		{ "", "one", -1, true, true, { 4, false }, false },
		{ "", "", 3, true, true, { 4, false }, false },
		/* a bus that tells of no scrubs */
		{ "one", "one", 3, true, false, { 0 }, false },
		{ "one", "two", 3, true, false, { 0 }, false },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_doubt doubt = { .list = true };
		const struct pmr_doubt_now now = { rows[i].boot, rows[i].has_room,
						   rows[i].can_scrub, rows[i].scrubs };

		strcpy(doubt.boot, rows[i].noted);
		doubt.has_room = rows[i].room >= 0;
		doubt.room = doubt.has_room ? (uint64_t)rows[i].room : 0;
		if (pmr_doubt_is_settled(&doubt, &now) != rows[i].settled)
			fail_msg("row %zu", i);
	}
}

static void see(struct pmr_doubt *doubt, const char *boot, bool has_room, unsigned int count,
		bool is_running, bool changed)
{
	const struct pmr_doubt_now now = { boot, has_room, true, { count, is_running } };

	assert_int_equal(pmr_doubt_see(doubt, &now), changed);
}

/* What a list goes through. */
static void test_see(void **state)
{
	struct pmr_doubt doubt = { .list = true };
	const struct pmr_doubt_now none = { "one", true, false, { 0 } };

	(void)state;
	see(&doubt, "one", false, 5, false, true);
	assert_string_equal(doubt.boot, "one");
	assert_false(doubt.has_room);
	see(&doubt, "one", false, 6, false, false);
	/* no bus that tells: nothing to remember but that there was doubt */
	assert_false(pmr_doubt_see(&doubt, &none));
	/* room: scrubs count from here */
	see(&doubt, "one", true, 6, false, true);
	assert_true(doubt.has_room && doubt.room == 6);
	see(&doubt, "one", true, 7, false, false);
	assert_int_equal(doubt.room, 6);
	/* full again */
	see(&doubt, "one", false, 7, false, true);
	assert_false(doubt.has_room);
	/* one that runs may be past it */
	see(&doubt, "one", true, 7, true, true);
	assert_int_equal(doubt.room, 8);
	/* another boot: its first scrub is what counts, until a list is full in it */
	see(&doubt, "two", true, 0, true, false);
	assert_string_equal(doubt.boot, "one");
	see(&doubt, "two", false, 0, true, true);
	assert_string_equal(doubt.boot, "two");
	assert_false(doubt.has_room);
	/* full and with room again before anybody looked: from the next look on scrubs count */
	doubt = (struct pmr_doubt){ .list = true };
	see(&doubt, "one", true, 6, false, true);
	assert_string_equal(doubt.boot, "one");
	assert_false(doubt.has_room);
	see(&doubt, "one", true, 7, false, true);
	assert_true(doubt.has_room && doubt.room == 7);
}

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		int rc;
		struct pmr_doubt doubt;
	} rows[] = {
		{ FIRST "# list\n" LAST, 0, { .list = true } },
		{ FIRST "# device pmem0\n# list\n# region\n# boot a-b\n# room 12\n" LAST,
		  0,
		  { true, true, "a-b", true, 12 } },
		{ FIRST "# something of later\n# region\n" LAST, 0, { .region = true } },
		/* nothing is in doubt */
		{ FIRST LAST, -EBADMSG, { 0 } },
		{ FIRST "# boot a\n" LAST, -EBADMSG, { 0 } },
		/* not whole, or something else */
		{ "", -EBADMSG, { 0 } },
		{ FIRST "# list\n", -EBADMSG, { 0 } },
		{ FIRST "# list\n# end", -EBADMSG, { 0 } },
		{ "# pmem-recover doubt 2\n# list\n" LAST, -EBADMSG, { 0 } },
		{ FIRST "list\n" LAST, -EBADMSG, { 0 } },
		{ FIRST "\n# list\n" LAST, -EBADMSG, { 0 } },
		{ FIRST "# list\n# room\n" LAST, -EBADMSG, { 0 } },
		{ FIRST "# list\n# room -1\n" LAST, -EBADMSG, { 0 } },
		{ FIRST "# list\n# room 18446744073709551616\n" LAST, -EBADMSG, { 0 } },
		{ FIRST "# list\n# boot \n" LAST, -EBADMSG, { 0 } },
		{ FIRST "# list\n# boot a b\n" LAST, -EBADMSG, { 0 } },
		{ FIRST
		  "# list\n# boot 0123456789012345678901234567890123456789012345678901234567890123\n" LAST,
		  -EBADMSG,
		  { 0 } },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_doubt doubt = { 0 }, again = { 0 };
		char *text;

		if (pmr_doubt_parse(rows[i].text, strlen(rows[i].text), &doubt) != rows[i].rc ||
		    doubt.list != rows[i].doubt.list || doubt.region != rows[i].doubt.region ||
		    strcmp(doubt.boot, rows[i].doubt.boot) != 0 ||
		    doubt.has_room != rows[i].doubt.has_room || doubt.room != rows[i].doubt.room)
			fail_msg("row %zu", i);
		if (rows[i].rc)
			continue;
		text = pmr_doubt_format(&doubt, "pmem0");
		assert_non_null(text);
		assert_int_equal(pmr_doubt_parse(text, strlen(text), &again), 0);
		assert_true(again.list == doubt.list && again.region == doubt.region &&
			    again.has_room == doubt.has_room && again.room == doubt.room);
		assert_string_equal(again.boot, doubt.boot);
		free(text);
	}
	assert_int_equal(pmr_doubt_parse(FIRST "# l\0ist\n" LAST, sizeof(FIRST LAST) + 7,
					 &(struct pmr_doubt){ 0 }),
			 -EBADMSG);
}

/* ---- over several runs */

#define UUID "00112233-4455-6677-8899-aabbccddeeff"

struct heard {
	int n;
	char codes[200];
};

static void hear(void *data, const struct pmr_message *message)
{
	struct heard *heard = data;

	heard->n++;
	snprintf(heard->codes, sizeof(heard->codes), "%s", message->code);
}

/* Places that reading finds and no list has. */
static size_t unlisted;

/* A run that reads a list which is as @latest says; then, if @settle, all of the device. What the list is in the end. */
static const char *one_run(const char *directory, const char *latest, bool settle, const char *says)
{
	struct pmr_device_private own = { .doubt = latest, .latest = latest };
	struct pmr_region region = { .badblocks = { .trust = PMR_LIST_COMPLETE } };
	struct pmr_bus bus = { 0 };
	struct pmr_device device = {
		.name = (char *)"pmem7",
		.path = (char *)"/dev/pmem7",
		.ns_name = (char *)"namespace7.0",
		.ns_uuid = (char *)UUID,
		.enabled = true,
		.region = &region,
		.size = 65536,
		.badblocks = { .trust = latest ? PMR_LIST_INCOMPLETE : PMR_LIST_COMPLETE,
			       .reason = latest },
		.metadata_badblocks = { .trust = PMR_LIST_COMPLETE },
		.own = &own,
	};
	struct pmr_device *devices[] = { &device };
	struct pmr_topology topology = { .devices = devices, .n_devices = 1 };
	struct heard heard = { 0 };
	struct pmr_doubts *doubts = NULL;
	struct pmr_ctx *ctx;

	own.attribute = (char *)"its own";
	region.bus = &bus;
	assert_int_equal(pmr_new(&ctx), 0);
	pmr_set_message_fn(ctx, hear, &heard);
	assert_int_equal(pmr_doubts_new(ctx, &topology, directory, &doubts), 0);
	assert_string_equal(heard.codes, says);
	if (settle) {
		const struct pmr_range all = { 0, 65536 };

		assert_int_equal(
			pmr_reading_add(&device,
					&(struct pmr_ranges){ (struct pmr_range *)&all, 1, 1 },
					&(struct pmr_ranges){ 0 }),
			0);
		device.reading.found.n = unlisted;
	}
	assert_int_equal(pmr_doubts_update(doubts), 0);
	pmr_doubts_free(doubts);
	device.reading.found.n = 0;
	pmr_ranges_release(&device.reading.done);
	pmr_ranges_release(&device.reading.found);
	free(device.badblocks.source);
	pmr_unref(ctx);
	return device.badblocks.reason;
}

static void test_runs(void **state)
{
	char top[] = "/tmp/test-doubt.XXXXXX", directory[64], path[128], command[128];
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(top));
	snprintf(directory, sizeof(directory), "%s/state", top);
	snprintf(path, sizeof(path), "%s/doubts/" UUID, directory);
	/* nothing to remember: nothing is written */
	assert_null(one_run(directory, NULL, false, ""));
	assert_int_equal(access(directory, F_OK), -1);
	assert_null(one_run(directory, NULL, true, ""));
	/* what says nothing of its length is no matter of ours */
	assert_string_equal(one_run(directory, "changing", false, ""), "changing");
	assert_int_equal(access(directory, F_OK), -1);
	/* full, and from then on incomplete */
	assert_string_equal(one_run(directory, "page-full", false, ""), "page-full");
	assert_int_equal(access(path, F_OK), 0);
	assert_string_equal(one_run(directory, NULL, false, "badblocks-incomplete"), "was-full");
	assert_string_equal(one_run(directory, NULL, false, "badblocks-incomplete"), "was-full");
	/* all of it was read, and something was found that the kernel does not know: the next run will not either */
	unlisted = 1;
	assert_null(one_run(directory, NULL, true, "badblocks-incomplete"));
	unlisted = 0;
	assert_string_equal(one_run(directory, NULL, false, "badblocks-incomplete"), "was-full");
	/* read while it is full: this run knows */
	assert_null(one_run(directory, "record-limit", true, ""));
	assert_string_equal(one_run(directory, NULL, false, "badblocks-incomplete"), "was-full");
	/* until all of it was read */
	assert_null(one_run(directory, NULL, true, "badblocks-incomplete"));
	assert_int_equal(access(path, F_OK), -1);
	assert_null(one_run(directory, NULL, false, ""));
	/* what is damaged may have said so, and is written anew */
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("what", file);
	fclose(file);
	assert_string_equal(one_run(directory, NULL, false, "badblocks-incomplete"), "was-full");
	assert_string_equal(one_run(directory, NULL, false, "badblocks-incomplete"), "was-full");
	assert_null(one_run(directory, NULL, true, "badblocks-incomplete"));
	/* where it cannot be kept this run still knows */
	snprintf(command, sizeof(command), "rm -rf '%s'/state && touch '%s'/state", top, top);
	assert_int_equal(system(command), 0);
	assert_string_equal(one_run(directory, NULL, false, "badblocks-incomplete"), "was-full");
	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	assert_int_equal(system(command), 0);
	snprintf(directory, sizeof(directory), "%s/no/such", top);
	assert_string_equal(one_run(directory, "record-limit", false, "memory-not-kept"),
			    "record-limit");
}

/* A run in which all lists are empty, and the region's was full before: with a list of its own, or without; then, if @settle, all is read. */
static const char *run_in_doubt(const char *directory, bool has_list, bool settle)
{
	struct pmr_device_private own = { .attribute = has_list ? (char *)"its own" : NULL };
	struct pmr_region_private region_own = { .was_full = true };
	struct pmr_bus bus = { 0 };
	struct pmr_region region = {
		.name = (char *)"region7",
		.bus = &bus,
		.badblocks = { .trust = PMR_LIST_INCOMPLETE, .reason = "was-full" },
		.own = &region_own,
	};
	struct pmr_device device = {
		.name = (char *)"dax7.0",
		.ns_name = (char *)"namespace7.0",
		.ns_uuid = (char *)UUID,
		.enabled = true,
		.region = &region,
		.size = 65536,
		.data_offset = 4096,
		.badblocks = { .trust = PMR_LIST_COMPLETE },
		.metadata_badblocks = { .trust = PMR_LIST_COMPLETE },
		.own = &own,
	};
	struct pmr_device *devices[] = { &device };
	struct pmr_topology topology = { .devices = devices, .n_devices = 1 };
	const struct pmr_range all = { 0, 65536 };
	struct pmr_doubts *doubts = NULL;
	struct pmr_ctx *ctx;

	assert_int_equal(pmr_new(&ctx), 0);
	assert_int_equal(pmr_doubts_new(ctx, &topology, directory, &doubts), 0);
	if (settle)
		assert_int_equal(
			pmr_reading_add(&device,
					&(struct pmr_ranges){ (struct pmr_range *)&all, 1, 1 },
					&(struct pmr_ranges){ 0 }),
			0);
	assert_int_equal(pmr_doubts_update(doubts), 0);
	assert_string_equal(device.metadata_badblocks.reason, "was-full");
	pmr_doubts_free(doubts);
	pmr_ranges_release(&device.reading.done);
	free(device.badblocks.source);
	pmr_unref(ctx);
	return device.badblocks.reason;
}

/* What was made in a region whose list is in doubt, and has no other. */
static void test_no_list(void **state)
{
	char top[] = "/tmp/test-doubt.XXXXXX", directory[64], command[128];

	(void)state;
	assert_non_null(mkdtemp(top));
	snprintf(directory, sizeof(directory), "%s/state", top);
	assert_null(run_in_doubt(directory, true, false));
	snprintf(command, sizeof(command), "rm -rf '%s'/state", top);
	assert_int_equal(system(command), 0);
	assert_string_equal(run_in_doubt(directory, false, false), "was-full");
	assert_string_equal(run_in_doubt(directory, false, false), "was-full");
	/* who has read all of it knows, and is asked no more: its info block and page map nobody can read */
	assert_null(run_in_doubt(directory, false, true));
	assert_null(run_in_doubt(directory, false, false));
	/* also where nothing can be kept */
	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	assert_int_equal(system(command), 0);
	snprintf(directory, sizeof(directory), "%s/no/such", top);
	assert_string_equal(run_in_doubt(directory, false, false), "was-full");
	assert_null(run_in_doubt(directory, false, true));
}

/* A run that reads the list of a region without a namespace, which is as @latest says. What the list is in the end. */
static const char *region_run(const char *directory, const char *latest, uint64_t resource,
			      const char *says)
{
	struct pmr_region_private own = { .latest = latest };
	struct pmr_bus bus = { 0 };
	struct pmr_region region = {
		.name = (char *)"region7",
		.bus = &bus,
		.size = 65536,
		.resource = resource,
		.unallocated = 65536,
		.badblocks = { .trust = latest ? PMR_LIST_INCOMPLETE : PMR_LIST_COMPLETE,
			       .reason = latest },
		.own = &own,
	};
	struct pmr_region *regions[] = { &region };
	const struct pmr_topology topology = { .regions = regions, .n_regions = 1 };
	struct heard heard = { 0 };
	struct pmr_doubts *doubts = NULL;
	struct pmr_ctx *ctx;

	assert_int_equal(pmr_new(&ctx), 0);
	pmr_set_message_fn(ctx, hear, &heard);
	assert_int_equal(pmr_doubts_new(ctx, &topology, directory, &doubts), 0);
	assert_int_equal(pmr_doubts_update(doubts), 0);
	assert_string_equal(heard.codes, says);
	pmr_doubts_free(doubts);
	pmr_unref(ctx);
	return region.badblocks.reason;
}

static void test_regions(void **state)
{
	char top[] = "/tmp/test-doubt.XXXXXX", directory[64], path[128], command[128];

	(void)state;
	assert_non_null(mkdtemp(top));
	snprintf(directory, sizeof(directory), "%s/state", top);
	snprintf(path, sizeof(path), "%s/doubts/region-140000000-65536", directory);
	/* nothing to remember: nothing is written */
	assert_null(region_run(directory, NULL, 0x140000000, ""));
	assert_string_equal(region_run(directory, "changing", 0x140000000, ""), "changing");
	assert_int_equal(access(directory, F_OK), -1);
	/* full, and from then on incomplete; another region is not */
	assert_string_equal(region_run(directory, "record-limit", 0x140000000, ""), "record-limit");
	assert_int_equal(access(path, F_OK), 0);
	assert_string_equal(region_run(directory, NULL, 0x140000000, "badblocks-incomplete"),
			    "was-full");
	assert_string_equal(region_run(directory, NULL, 0x140000000, "badblocks-incomplete"),
			    "was-full");
	assert_null(region_run(directory, NULL, 0x240000000, ""));
	/* unknown says nothing new */
	assert_string_equal(region_run(directory, "cannot-open", 0x140000000, ""), "cannot-open");
	/* where it lies is not known to all */
	assert_string_equal(region_run(directory, "page-full", PMR_NO_ADDRESS, ""), "page-full");
	assert_string_equal(region_run(directory, NULL, PMR_NO_ADDRESS, "badblocks-incomplete"),
			    "was-full");
	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	assert_int_equal(system(command), 0);
}

/* Who has the lock. Return: 0: nothing was written by others meanwhile. */
static int hold(const char *directory, const char *path, int ready)
{
	const struct timespec while_held = { .tv_nsec = 200 * 1000 * 1000 };
	int fd = open(directory, O_RDONLY | O_DIRECTORY), ret = 2;

	if (fd < 0)
		return ret;
	if (!flock(fd, LOCK_EX) && write(ready, "", 1) == 1) {
		nanosleep(&while_held, NULL);
		ret = access(path, F_OK) != -1;
	}
	close(fd);
	return ret;
}

static void test_two_at_once(void **state)
{
	char top[] = "/tmp/test-doubt.XXXXXX", directory[64], doubts[80], path[128], command[128];
	int ready[2], status;
	pid_t child;

	(void)state;
	assert_non_null(mkdtemp(top));
	snprintf(directory, sizeof(directory), "%s/state", top);
	assert_string_equal(region_run(directory, "record-limit", 0x140000000, ""), "record-limit");
	snprintf(doubts, sizeof(doubts), "%s/doubts", directory);
	snprintf(path, sizeof(path), "%s/region-180000000-65536", doubts);
	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_int_not_equal(child, -1);
	if (!child)
		_exit(hold(doubts, path, ready[1]));
	assert_int_equal(read(ready[0], command, 1), 1);
	assert_string_equal(region_run(directory, "record-limit", 0x180000000, ""), "record-limit");
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(access(path, F_OK), 0);
	close(ready[0]);
	close(ready[1]);
	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settled),	    cmocka_unit_test(test_see),
		cmocka_unit_test(test_parse),	    cmocka_unit_test(test_runs),
		cmocka_unit_test(test_no_list),	    cmocka_unit_test(test_regions),
		cmocka_unit_test(test_two_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
