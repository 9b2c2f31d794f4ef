/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is remembered of lists: the text of the files, what counts as vanished, and what is done about it. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/topology.h"
#include "memory/memory.h"
#include "repair/repair.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define MAX_RANGES 4
#define S PMR_SECTOR
#define BIG (1000000 * S)

#define COMPLETE PMR_LIST_COMPLETE
#define INCOMPLETE PMR_LIST_INCOMPLETE
#define UNKNOWN PMR_LIST_UNKNOWN

/* In sectors; ends at the first without a count. */
typedef struct pmr_range sectors_row[MAX_RANGES];

static void put_sectors(struct pmr_ranges *ranges, const struct pmr_range *row)
{
	ranges->n = 0;
	for (size_t i = 0; i < MAX_RANGES && row[i].length; i++)
		assert_int_equal(pmr_ranges_add(ranges, row[i].offset * S, row[i].length * S), 0);
	pmr_ranges_normalize(ranges);
}

static void check_sectors(const struct pmr_ranges *ranges, const struct pmr_range *row)
{
	size_t i;

	for (i = 0; i < MAX_RANGES && row[i].length; i++) {
		assert_true(i < ranges->n);
		assert_int_equal(ranges->v[i].offset, row[i].offset * S);
		assert_int_equal(ranges->v[i].length, row[i].length * S);
	}
	assert_int_equal(ranges->n, i);
}

static void check_gone(const struct pmr_recall *recall, const struct pmr_range *row)
{
	size_t i;

	for (i = 0; i < MAX_RANGES && row[i].length; i++) {
		assert_true(i < recall->n_gone);
		assert_int_equal(recall->gone[i].range.offset, row[i].offset * S);
		assert_int_equal(recall->gone[i].range.length, row[i].length * S);
	}
	assert_int_equal(recall->n_gone, i);
}

/* ---- the text */

#define FIRST "# pmem-recover list 1\n"
#define LAST "# end\n"
#define WHEN " 2026-11-22T03:12:44Z\n"

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		int err;
		sectors_row data, data_gone, metadata, metadata_gone;
	} rows[] = {
		{ FIRST LAST, 0, { { 0 } }, { { 0 } }, { { 0 } }, { { 0 } } },
		{ FIRST "8 1\n20 2\n" LAST,
		  0,
		  { { 8, 1 }, { 20, 2 } },
		  { { 0 } },
		  { { 0 } },
		  { { 0 } } },
		{ FIRST "# vanished 9 1" WHEN "8 2\n" LAST,
		  0,
		  { { 8, 1 } },
		  { { 9, 1 } },
		  { { 0 } },
		  { { 0 } } },
		/* What is gone need not be among the records. */
		{ FIRST "# vanished 9 1" WHEN LAST,
		  0,
		  { { 0 } },
		  { { 9, 1 } },
		  { { 0 } },
		  { { 0 } } },
		{ FIRST "# vanished 90 1" WHEN "# vanished 9 1" WHEN LAST,
		  0,
		  { { 0 } },
		  { { 9, 1 }, { 90, 1 } },
		  { { 0 } },
		  { { 0 } } },
		{ FIRST "# metadata 3 2\n# metadata 1 1\n# vanished-metadata 7 1" WHEN LAST,
		  0,
		  { { 0 } },
		  { { 0 } },
		  { { 1, 1 }, { 3, 2 } },
		  { { 7, 1 } } },
		{ FIRST "# words, or of a later time 7\n#\n" LAST,
		  0,
		  { { 0 } },
		  { { 0 } },
		  { { 0 } },
		  { { 0 } } },
		/* Not whole. */
		{ "", -EBADMSG, .data = { { 0 } } },
		{ FIRST, -EBADMSG, .data = { { 0 } } },
		{ "# end\n", -EBADMSG, .data = { { 0 } } },
		{ FIRST "8 1\n", -EBADMSG, .data = { { 0 } } },
		{ FIRST "8 1\n# end", -EBADMSG, .data = { { 0 } } },
		{ FIRST "8 1\n# en", -EBADMSG, .data = { { 0 } } },
		{ FIRST LAST "8 1\n", -EBADMSG, .data = { { 0 } } },
		{ "8 1\n" FIRST LAST, -EBADMSG, .data = { { 0 } } },
		/* Of another version. */
		{ "# pmem-recover list 2\nwhatever\n", -EPROTONOSUPPORT, .data = { { 0 } } },
		{ "# pmem-recover list 99999999999999999999999\n" LAST, -EPROTONOSUPPORT,
		  .data = { { 0 } } },
		{ "# pmem-recover list 0\n" LAST, -EBADMSG, .data = { { 0 } } },
		{ "# pmem-recover list\n" LAST, -EBADMSG, .data = { { 0 } } },
		{ "# pmem-recover list 1 and\n" LAST, -EBADMSG, .data = { { 0 } } },
		{ "# pmem-recover list -1\n" LAST, -EBADMSG, .data = { { 0 } } },
		/* Malformed lines. */
		{ FIRST "8\n" LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "8 0\n" LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "99999999999999999999 1\n" LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "# size 512\n8 1\n" LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "# size 512\n# vanished 8 1" WHEN LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "# vanished 8 1\n" LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "# vanished 8" WHEN LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "# vanished 8 0" WHEN LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "# vanished 8 -1" WHEN LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "# vanished 8 1 yesterday\n" LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "# vanished 8 1 2026-11-22T03:12:44Z more\n" LAST, -EBADMSG,
		  .data = { { 0 } } },
		{ FIRST "# vanished 8 1 9999-12-31T23:59:60Z\n" LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "# incomplete\r\n" LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "# vanished 8 2" WHEN "# vanished 9 1" WHEN LAST, -EBADMSG,
		  .data = { { 0 } } },
		{ FIRST "# vanished 36028797018963968 1" WHEN LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "# vanished 36028797018963967 1" WHEN LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "# metadata 8\n" LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "# data-offset x\n" LAST, -EBADMSG, .data = { { 0 } } },
		{ FIRST "# data-offset\n" LAST, -EBADMSG, .data = { { 0 } } },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_remembered remembered = { 0 };
		int err = pmr_remembered_parse(rows[i].text, strlen(rows[i].text), &remembered);

		if (err != rows[i].err)
			print_error("row %zu: %s", i, rows[i].text);
		assert_int_equal(err, rows[i].err);
		if (err) {
			assert_true(pmr_remembered_is_empty(&remembered));
			continue;
		}
		check_sectors(&remembered.data.listed, rows[i].data);
		check_gone(&remembered.data, rows[i].data_gone);
		check_sectors(&remembered.metadata.listed, rows[i].metadata);
		check_gone(&remembered.metadata, rows[i].metadata_gone);
		pmr_remembered_release(&remembered);
	}
}

static void test_parse_bytes(void **state)
{
	static const char nul[] = FIRST "# \0 \n8 1\n" LAST;
	static const char *const texts[] = {
		FIRST "# vanished 9 1" WHEN "9 1\n" LAST,
		"# pmem-recover list 100000000000",
	};
	struct pmr_remembered remembered = { 0 };
	char *text, cut[sizeof(FIRST) + 600];

	(void)state;
	assert_int_equal(pmr_remembered_parse(nul, sizeof(nul) - 1, &remembered), -EBADMSG);
	/* a line without end */
	memset(cut, 'x', sizeof(cut));
	memcpy(cut, FIRST "#", sizeof(FIRST));
	memcpy(cut + sizeof(cut) - 7, "\n" LAST, 7);
	assert_int_equal(pmr_remembered_parse(cut, sizeof(cut), &remembered), -EBADMSG);
	/* no byte behind the text is looked at, wherever it ends */
	for (size_t i = 0; i < N(texts); i++) {
		for (size_t n = 0; n < strlen(texts[i]); n++) {
			text = malloc(n + !n);
			assert_non_null(text);
			memcpy(text, texts[i], n);
			assert_int_equal(pmr_remembered_parse(text, n, &remembered), -EBADMSG);
			free(text);
		}
	}
}

static void test_format(void **state)
{
	static const char wanted[] =
		FIRST "# device pmr-test\n"
		      "# size 512000000\n"
		      "# data-offset 4096\n"
		      "# incomplete\n"
		      "# metadata 1 1\n"
		      "# vanished 9 1" WHEN "# vanished-metadata 5 2" WHEN "8 2\n"
		      "100 8\n" LAST;
	struct pmr_remembered remembered = { 0 };
	struct pmr_badblocks_file file = { 0 };
	size_t length = 0;
	unsigned int line;
	char *text = NULL;

	(void)state;
	assert_int_equal(pmr_remembered_parse(wanted, strlen(wanted), &remembered), 0);
	assert_string_equal(remembered.device, "pmr-test");
	assert_int_equal(remembered.size, BIG);
	assert_int_equal(remembered.data_offset, 4096);
	assert_true(remembered.incomplete);
	assert_int_equal(remembered.data.gone[0].seen, 1795317164);
	assert_int_equal(pmr_remembered_format(&remembered, &text, &length), 0);
	assert_int_equal(length, strlen(wanted));
	assert_string_equal(text, wanted);

	/* it is a file for --badblocks, with what is gone */
	assert_int_equal(pmr_badblocks_parse(text, length, &file, &line), 0);
	check_sectors(&file.list.ranges, (sectors_row){ { 8, 2 }, { 100, 8 } });
	assert_string_equal(file.device, "pmr-test");
	assert_int_equal(file.size, BIG);
	pmr_badblocks_file_release(&file);
	pmr_remembered_release(&remembered);
	free(text);
}

/* ---- what is gone */

static void test_update(void **state)
{
	static const struct {
		sectors_row listed, gone;
		enum pmr_trust trust;
		sectors_row list;
		sectors_row listed_now, gone_now;
		bool changed;
	} rows[] = {
		/* Nothing, and nothing new. */
		{ { { 0 } }, { { 0 } }, COMPLETE, { { 0 } }, { { 0 } }, { { 0 } }, false },
		{ { { 8, 1 } }, { { 0 } }, COMPLETE, { { 8, 1 } }, { { 8, 1 } }, { { 0 } }, false },
		{ { { 0 } }, { { 8, 1 } }, COMPLETE, { { 0 } }, { { 0 } }, { { 8, 1 } }, false },
		/* More. */
		{ { { 0 } }, { { 0 } }, COMPLETE, { { 8, 1 } }, { { 8, 1 } }, { { 0 } }, true },
		{ { { 8, 1 } }, { { 0 } }, COMPLETE, { { 8, 2 } }, { { 8, 2 } }, { { 0 } }, true },
		/* Less: all of it, an end, the middle. */
		{ { { 8, 1 } }, { { 0 } }, COMPLETE, { { 0 } }, { { 0 } }, { { 8, 1 } }, true },
		{ { { 8, 4 } },
		  { { 0 } },
		  COMPLETE,
		  { { 8, 3 } },
		  { { 8, 3 } },
		  { { 11, 1 } },
		  true },
		{ { { 8, 4 } },
		  { { 0 } },
		  COMPLETE,
		  { { 8, 1 }, { 11, 1 } },
		  { { 8, 1 }, { 11, 1 } },
		  { { 9, 2 } },
		  true },
		/* Another. */
		{ { { 8, 1 } },
		  { { 0 } },
		  COMPLETE,
		  { { 9, 1 } },
		  { { 9, 1 } },
		  { { 8, 1 } },
		  true },
		{ { { 20, 1 } },
		  { { 8, 1 } },
		  COMPLETE,
		  { { 0 } },
		  { { 0 } },
		  { { 8, 1 }, { 20, 1 } },
		  true },
		/* Listed again, whole and in part. */
		{ { { 0 } }, { { 8, 1 } }, COMPLETE, { { 8, 1 } }, { { 8, 1 } }, { { 0 } }, true },
		{ { { 0 } },
		  { { 8, 4 } },
		  COMPLETE,
		  { { 9, 1 } },
		  { { 9, 1 } },
		  { { 8, 1 }, { 10, 2 } },
		  true },
		{ { { 0 } },
		  { { 8, 1 } },
		  INCOMPLETE,
		  { { 8, 1 } },
		  { { 8, 1 } },
		  { { 0 } },
		  true },
		/* A list that may have more only adds. */
		{ { { 8, 1 } }, { { 0 } }, INCOMPLETE, { { 0 } }, { { 8, 1 } }, { { 0 } }, false },
		{ { { 8, 1 } },
		  { { 30, 1 } },
		  INCOMPLETE,
		  { { 20, 1 } },
		  { { 8, 1 }, { 20, 1 } },
		  { { 30, 1 } },
		  true },
		/* One that is not known says nothing. */
		{ { { 8, 1 } },
		  { { 9, 1 } },
		  UNKNOWN,
		  { { 0 } },
		  { { 8, 1 } },
		  { { 9, 1 } },
		  false },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_badblocks list = { .trust = rows[i].trust };
		struct pmr_ranges missing = { 0 }, none = { 0 }, gone = { 0 };
		struct pmr_recall recall = { 0 };
		bool changed = false;

		put_sectors(&gone, rows[i].gone);
		assert_int_equal(pmr_recall_update(&recall,
						   &(struct pmr_badblocks){ .trust = COMPLETE },
						   &gone, UINT64_MAX, 1, &changed),
				 0);
		put_sectors(&recall.listed, rows[i].listed);
		put_sectors(&list.ranges, rows[i].list);
		changed = false;
		assert_int_equal(pmr_recall_missing(&recall, &list, &missing), 0);
		assert_int_equal(
			pmr_recall_update(&recall, &list, &missing, UINT64_MAX, 2, &changed), 0);
		if (changed != rows[i].changed)
			print_error("row %zu\n", i);
		check_sectors(&recall.listed, rows[i].listed_now);
		check_gone(&recall, rows[i].gone_now);
		assert_int_equal(changed, rows[i].changed);
		/* the same again is no change */
		changed = false;
		assert_int_equal(pmr_recall_update(&recall, &list, &none, UINT64_MAX, 3, &changed),
				 0);
		assert_false(changed);
		pmr_ranges_release(&missing);
		pmr_ranges_release(&gone);
		pmr_ranges_release(&list.ranges);
		pmr_ranges_release(&recall.listed);
		free(recall.gone);
	}
}

/* ---- the whole, in a directory */

struct world {
	char top[64];
	char directory[80];
	char path[160]; /* of the one file */
	struct pmr_ctx *ctx;
	struct pmr_device device;
	struct pmr_device *devices[1];
	struct pmr_topology topology;
	struct pmr_memory *memory;
	char heard[512]; /* codes of warnings, each behind a blank */
	char whispered[512]; /* of what is less than that */
};

static void hear(void *data, const struct pmr_message *message)
{
	struct world *world = data;
	char *codes = message->level <= PMR_WARNING ? world->heard : world->whispered;

	strcat(strcat(codes, " "), message->code);
}

#define UUID "01234567-89ab-cdef-0123-456789abcdef"

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	strcpy(world->top, "memory-XXXXXX");
	if (!mkdtemp(world->top) || pmr_new(&world->ctx))
		return -1;
	sprintf(world->directory, "%s/state", world->top);
	sprintf(world->path, "%s/lists/" UUID, world->directory);
	pmr_set_message_fn(world->ctx, hear, world);
	world->device = (struct pmr_device){
		.name = (char *)"pmr-test",
		.path = (char *)"/dev/pmr-test",
		.ns_name = (char *)"namespace7.0",
		.ns_uuid = (char *)UUID,
		.ns_size = BIG + 4096,
		.size = BIG,
		.data_offset = 4096,
		.mode = PMR_MODE_FSDAX,
		.enabled = true,
		.badblocks.trust = COMPLETE,
		.metadata_badblocks.trust = COMPLETE,
	};
	world->devices[0] = &world->device;
	world->topology.devices = world->devices;
	world->topology.n_devices = 1;
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	char command[160];

	pmr_memory_free(world->memory);
	pmr_ranges_release(&world->device.badblocks.ranges);
	pmr_ranges_release(&world->device.metadata_badblocks.ranges);
	pmr_unref(world->ctx);
	sprintf(command, "chmod -R u+w %s; rm -rf %s", world->top, world->top);
	if (system(command))
		return -1;
	free(world);
	return 0;
}

/* The lists are these now; then health runs. */
static void see(struct world *world, enum pmr_trust trust, const struct pmr_range *sectors)
{
	pmr_memory_free(world->memory);
	world->memory = NULL;
	*world->heard = *world->whispered = '\0';
	world->device.badblocks.trust = trust;
	put_sectors(&world->device.badblocks.ranges, sectors);
	assert_int_equal(
		pmr_memory_new(world->ctx, &world->topology, world->directory, &world->memory), 0);
}

#define SEE(world, trust, ...) see(world, trust, (sectors_row){ __VA_ARGS__, { 0 } })
#define NONE      \
	{         \
		0 \
	}

static void check_vanished(const struct world *world, const struct pmr_range *sectors)
{
	const struct pmr_vanished *vanished;
	size_t n = pmr_memory_vanished(world->memory, &vanished), i;
	char id[64];

	for (i = 0; i < MAX_RANGES && sectors[i].length; i++) {
		assert_true(i < n);
		assert_ptr_equal(vanished[i].device, &world->device);
		assert_int_equal(vanished[i].range.offset, sectors[i].offset * S);
		assert_int_equal(vanished[i].range.length, sectors[i].length * S);
		sprintf(id, "%s@%llu", vanished[i].metadata ? "namespace7.0" : "pmr-test",
			(unsigned long long)sectors[i].offset * S);
		assert_string_equal(vanished[i].id, id);
		assert_string_equal(vanished[i].list, world->path);
	}
	assert_int_equal(n, i);
	assert_true(pmr_memory_is_known(world->memory));
	assert_true(pmr_memory_is_kept(world->memory));
}

#define VANISHED(world, ...) check_vanished(world, (sectors_row){ __VA_ARGS__, { 0 } })

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void test_vanish(void **state)
{
	struct world *world = *state;
	const struct pmr_vanished *vanished;
	struct stat before, after;

	/* without badblocks there is not even a directory */
	SEE(world, COMPLETE, NONE);
	VANISHED(world, NONE);
	assert_false(is_there(world->directory));

	SEE(world, COMPLETE, { 8, 1 }, { 100, 8 });
	VANISHED(world, NONE);
	assert_int_equal(stat(world->directory, &before), 0);
	assert_int_equal(before.st_mode & 07777, 0700);
	assert_int_equal(stat(world->path, &before), 0);
	assert_int_equal(before.st_mode & 07777, 0600);

	/* nothing new: the same file, but for its time */
	assert_int_equal(utimensat(AT_FDCWD, world->path,
				   (struct timespec[]){ { 1000, 0 }, { 1000, 0 } }, 0),
			 0);
	SEE(world, COMPLETE, { 8, 1 }, { 100, 8 });
	assert_int_equal(stat(world->path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_not_equal(after.st_mtime, 1000);

	assert_int_equal(utimensat(AT_FDCWD, world->path,
				   (struct timespec[]){ { 1000, 0 }, { 1000, 0 } }, 0),
			 0);
	SEE(world, COMPLETE, { 100, 7 });
	VANISHED(world, { 8, 1 }, { 107, 1 });
	assert_int_equal(pmr_memory_vanished(world->memory, &vanished), 2);
	assert_int_equal(vanished[0].seen, 1000);
	/* for good */
	SEE(world, COMPLETE, { 100, 7 });
	VANISHED(world, { 8, 1 }, { 107, 1 });
	assert_int_equal(pmr_memory_vanished(world->memory, &vanished), 2);
	assert_int_equal(vanished[0].seen, 1000);
	/* listed again */
	SEE(world, COMPLETE, { 8, 1 }, { 100, 7 });
	VANISHED(world, { 107, 1 });
	SEE(world, COMPLETE, { 8, 1 }, { 100, 8 });
	VANISHED(world, NONE);
	assert_string_equal(world->heard, "");
}

static void test_trust(void **state)
{
	struct world *world = *state;

	SEE(world, COMPLETE, { 8, 1 });
	SEE(world, INCOMPLETE, { 100, 1 });
	VANISHED(world, NONE);
	SEE(world, UNKNOWN, NONE);
	VANISHED(world, NONE);
	/* disabled, it shows another list of another namespace */
	world->device.enabled = false;
	SEE(world, COMPLETE, NONE);
	VANISHED(world, NONE);
	world->device.enabled = true;
	/* and under --badblocks, a made-up one */
	world->device.from_file = true;
	SEE(world, COMPLETE, NONE);
	VANISHED(world, NONE);
	world->device.from_file = false;
	SEE(world, COMPLETE, { 100, 1 });
	VANISHED(world, { 8, 1 });
	SEE(world, INCOMPLETE, { 100, 1 });
	VANISHED(world, { 8, 1 });
	SEE(world, UNKNOWN, NONE);
	VANISHED(world, { 8, 1 });
}

static void test_metadata(void **state)
{
	struct world *world = *state;
	const struct pmr_vanished *vanished;

	put_sectors(&world->device.metadata_badblocks.ranges, (sectors_row){ { 2, 1 } });
	SEE(world, COMPLETE, { 2, 1 });
	put_sectors(&world->device.metadata_badblocks.ranges, (sectors_row){ { 0 } });
	SEE(world, COMPLETE, NONE);
	VANISHED(world, { 2, 1 }, { 2, 1 });
	pmr_memory_vanished(world->memory, &vanished);
	assert_false(vanished[0].metadata);
	assert_true(vanished[1].metadata);
	/* one does not stand for the other */
	assert_int_equal(pmr_memory_acknowledge(world->memory, "pmr-test@1024"), 0);
	VANISHED(world, { 2, 1 });
	pmr_memory_vanished(world->memory, &vanished);
	assert_true(vanished[0].metadata);
	assert_int_equal(pmr_memory_acknowledge(world->memory, "namespace7.0@1024"), 0);
	VANISHED(world, NONE);
	assert_false(is_there(world->path));

	/* in the page map, which the kernel makes anew */
	put_sectors(&world->device.metadata_badblocks.ranges, (sectors_row){ { 15, 2 } });
	SEE(world, COMPLETE, NONE);
	put_sectors(&world->device.metadata_badblocks.ranges, (sectors_row){ { 0 } });
	SEE(world, COMPLETE, NONE);
	VANISHED(world, { 15, 1 });
	/* a sector namespace has none, and all of its poison is in this list */
	world->device.mode = PMR_MODE_SECTOR;
	put_sectors(&world->device.metadata_badblocks.ranges, (sectors_row){ { 5000, 2 } });
	SEE(world, COMPLETE, NONE);
	put_sectors(&world->device.metadata_badblocks.ranges, (sectors_row){ { 0 } });
	SEE(world, COMPLETE, NONE);
	VANISHED(world, { 15, 1 }, { 5000, 2 });
}

static void test_acknowledge(void **state)
{
	static const char *const names[] = { "pmr-test", "/dev/pmr-test", "namespace7.0" };
	struct world *world = *state;

	SEE(world, COMPLETE, { 8, 1 }, { 100, 8 }, { 200, 1 });
	assert_int_equal(pmr_memory_acknowledge(world->memory, "pmr-test"), -ENOENT);
	SEE(world, COMPLETE, { 200, 1 });
	VANISHED(world, { 8, 1 }, { 100, 8 });
	/* what is listed has not vanished */
	assert_int_equal(pmr_memory_acknowledge(world->memory, "pmr-test@102400"), -ENOENT);
	assert_int_equal(pmr_memory_acknowledge(world->memory, "pmr-test@4097"), -ENOENT);
	assert_int_equal(pmr_memory_acknowledge(world->memory, "pmem8"), -ENOENT);
	assert_int_equal(pmr_memory_acknowledge(world->memory, ""), -ENOENT);
	VANISHED(world, { 8, 1 }, { 100, 8 });
	assert_int_equal(pmr_memory_acknowledge(world->memory, "pmr-test@4096"), 0);
	VANISHED(world, { 100, 8 });
	SEE(world, COMPLETE, { 200, 1 });
	VANISHED(world, { 100, 8 });
	for (size_t i = 0; i < N(names); i++) {
		SEE(world, COMPLETE, { 8, 1 }, { 100, 8 }, { 200, 1 });
		VANISHED(world, NONE);
		SEE(world, COMPLETE, { 200, 1 });
		VANISHED(world, { 8, 1 }, { 100, 8 });
		assert_int_equal(pmr_memory_acknowledge(world->memory, names[i]), 0);
		VANISHED(world, NONE);
		SEE(world, COMPLETE, { 200, 1 });
		VANISHED(world, NONE);
	}
	SEE(world, COMPLETE, NONE);
	VANISHED(world, { 200, 1 });
}

static void test_account(void **state)
{
	struct world *world = *state;
	struct pmr_ranges repaired = { 0 };

	assert_int_equal(pmr_ranges_add(&repaired, 100 * S, 4 * S), 0);
	assert_int_equal(pmr_ranges_add(&repaired, 8 * S, 100), 0); /* the tail of a file */
	assert_int_equal(pmr_ranges_add(&repaired, 104 * S, 4 * S), 0);
	/* nothing is remembered, and nothing made */
	assert_int_equal(
		pmr_memory_account_in(world->ctx, world->directory, &world->device, &repaired), 0);
	assert_false(is_there(world->directory));

	SEE(world, COMPLETE, { 8, 1 }, { 100, 8 }, { 200, 1 });
	assert_int_equal(
		pmr_memory_account_in(world->ctx, world->directory, &world->device, &repaired), 0);
	SEE(world, COMPLETE, NONE);
	VANISHED(world, { 200, 1 });

	/* what vanished before, too */
	SEE(world, COMPLETE, { 7, 2 });
	SEE(world, COMPLETE, NONE);
	VANISHED(world, { 7, 2 }, { 200, 1 });
	assert_int_equal(
		pmr_memory_account_in(world->ctx, world->directory, &world->device, &repaired), 0);
	SEE(world, COMPLETE, NONE);
	VANISHED(world, { 7, 1 }, { 200, 1 });

	/* of another namespace */
	world->device.size -= 4096;
	put_sectors(&repaired, (sectors_row){ { 7, 1 } });
	assert_int_equal(
		pmr_memory_account_in(world->ctx, world->directory, &world->device, &repaired), 0);
	world->device.size += 4096;
	SEE(world, COMPLETE, NONE);
	VANISHED(world, { 7, 1 }, { 200, 1 });
	put_sectors(&repaired, (sectors_row){ { 0, 300 } });
	assert_int_equal(
		pmr_memory_account_in(world->ctx, world->directory, &world->device, &repaired), 0);
	assert_false(is_there(world->path));
	assert_string_equal(world->heard, "");
	pmr_ranges_release(&repaired);
}

/* What a repair writes to a BTT the kernel moves, and clears the place of: which place that was nobody tells. */
static void test_account_btt(void **state)
{
	struct pmr_device_private own = { 0 };
	struct pmr_ranges repaired = { 0 };
	struct world *world = *state;
	struct pmr_device *device = &world->device;

	assert_true(pmr_btt_init(&own.btt, 512 << 20, 512, 532545536));
	device->own = &own;
	device->mode = PMR_MODE_SECTOR;
	device->ns_size = 512 << 20;
	/* an info block, and blocks */
	put_sectors(&device->metadata_badblocks.ranges,
		    (sectors_row){ { 15, 2 }, { 5000, 2 }, { 9000, 1 } });
	SEE(world, COMPLETE, NONE);
	put_sectors(&device->metadata_badblocks.ranges, (sectors_row){ { 5001, 1 } });
	/* by nobody's repair */
	assert_int_equal(pmr_memory_account_in(world->ctx, world->directory, device, &repaired), 0);
	assert_int_equal(pmr_ranges_add(&repaired, 100 * S, S), 0);
	/* where the list is not known nothing is taken for moved */
	device->metadata_badblocks.trust = UNKNOWN;
	assert_int_equal(pmr_memory_account_in(world->ctx, world->directory, device, &repaired), 0);
	device->metadata_badblocks.trust = COMPLETE;
	SEE(world, COMPLETE, NONE);
	VANISHED(world, { 15, 2 }, { 5000, 1 }, { 9000, 1 });

	put_sectors(&device->metadata_badblocks.ranges,
		    (sectors_row){ { 15, 2 }, { 5000, 2 }, { 9000, 1 } });
	SEE(world, COMPLETE, NONE);
	VANISHED(world, NONE);
	put_sectors(&device->metadata_badblocks.ranges, (sectors_row){ { 5001, 1 } });
	assert_int_equal(pmr_memory_account_in(world->ctx, world->directory, device, &repaired), 0);
	SEE(world, COMPLETE, NONE);
	VANISHED(world, { 15, 1 });
	device->own = NULL;
	pmr_ranges_release(&repaired);
}

static void test_repair_at_work(void **state)
{
	struct world *world = *state;
	const struct pmr_device *devices[] = { &world->device, &world->device };
	struct pmr_locks locks = { 0 };

	SEE(world, COMPLETE, { 8, 1 }, { 100, 8 });
	/* only root may take a device's lock */
	if (pmr_lock_devices(world->ctx, devices, 2, &locks))
		skip();
	assert_int_equal(locks.n, 1);
	assert_true(pmr_lock_is_held(&world->device));
	SEE(world, COMPLETE, { 300, 1 });
	VANISHED(world, NONE);
	pmr_locks_release(&locks);
	assert_false(pmr_lock_is_held(&world->device));
	SEE(world, COMPLETE, { 300, 1 });
	VANISHED(world, { 8, 1 }, { 100, 8 });
	unlink("/run/pmem-recover/pmr-test.lock");
}

/* What another namespace left, or what cannot be: said, set aside, and not believed. */
static void test_not_believed(void **state)
{
	struct world *world = *state;
	char aside[200], target[32];

	sprintf(aside, "%s.bad", world->path);
	SEE(world, COMPLETE, { 8, 1 });
	world->device.size -= 4096;
	SEE(world, COMPLETE, { 9, 1 });
	VANISHED(world, NONE);
	assert_string_equal(world->heard, " memory-void");
	assert_true(is_there(aside));
	assert_false(pmr_memory_is_lost(world->memory));
	world->device.data_offset += 4096;
	SEE(world, COMPLETE, NONE);
	VANISHED(world, NONE);
	assert_string_equal(world->heard, " memory-void");
	assert_false(is_there(world->path));
	/* what is not known now does not differ */
	SEE(world, COMPLETE, { 8, 1 });
	world->device.data_offset = PMR_NO_ADDRESS;
	SEE(world, COMPLETE, NONE);
	VANISHED(world, { 8, 1 });

	write_text(world->path, FIRST "8 1\n# vanished 9 9\n" LAST);
	unlink(aside);
	SEE(world, COMPLETE, { 300, 1 });
	assert_string_equal(world->heard, " memory-malformed");
	assert_false(pmr_memory_is_known(world->memory));
	assert_true(pmr_memory_is_lost(world->memory));
	assert_true(pmr_memory_is_kept(world->memory));
	assert_true(is_there(aside));
	SEE(world, COMPLETE, NONE);
	VANISHED(world, { 300, 1 });
	assert_string_equal(world->heard, "");

	/* nothing that is no file is opened for ever or followed */
	unlink(world->path);
	assert_int_equal(mkfifo(world->path, 0600), 0);
	SEE(world, COMPLETE, NONE);
	assert_string_equal(world->heard, " memory-malformed");
	assert_int_equal(symlink("/dev/zero", world->path), 0);
	SEE(world, COMPLETE, NONE);
	assert_string_equal(world->heard, " memory-malformed");
	assert_int_equal(readlink(aside, target, sizeof(target)), strlen("/dev/zero"));

	/* a later version's is left alone */
	write_text(world->path, "# pmem-recover list 2\nwhatever\n");
	SEE(world, COMPLETE, { 8, 1 });
	assert_string_equal(world->heard, " memory-unreadable");
	assert_true(pmr_memory_is_lost(world->memory));
	assert_false(pmr_memory_is_kept(world->memory));
	SEE(world, COMPLETE, { 8, 1 });
	assert_string_equal(world->heard, " memory-unreadable");
}

static void test_no_uuid(void **state)
{
	struct world *world = *state;

	world->device.ns_uuid = NULL;
	sprintf(world->path, "%s/lists/namespace7.0-%llu", world->directory,
		(unsigned long long)world->device.ns_size);
	SEE(world, COMPLETE, { 8, 1 });
	assert_true(is_there(world->path));
	SEE(world, COMPLETE, NONE);
	VANISHED(world, { 8, 1 });
	world->device.ns_size += 4096;
	SEE(world, COMPLETE, NONE);
	VANISHED(world, NONE);
}

/* A device that is called something else now. */
static void test_renamed(void **state)
{
	struct world *world = *state;
	struct pmr_badblocks_file file = { 0 };

	SEE(world, COMPLETE, { 8, 1 });
	world->device.name = (char *)"pmem9";
	SEE(world, COMPLETE, { 8, 1 });
	assert_int_equal(pmr_badblocks_load(world->ctx, world->path, &file), 0);
	assert_string_equal(file.device, "pmem9");
	pmr_badblocks_file_release(&file);
}

static void test_cannot_be_kept(void **state)
{
	struct world *world = *state;
	const struct pmr_vanished *vanished;
	char lists[128];

	sprintf(lists, "%s/lists", world->directory);
	SEE(world, COMPLETE, { 8, 1 });
	/* root may write all the same; what it cannot is to replace a directory by a file */
	sprintf(lists, "%s/lists/." UUID ".new", world->directory);
	assert_int_equal(mkdir(lists, 0700), 0);
	SEE(world, COMPLETE, { 9, 1 });
	assert_false(pmr_memory_is_kept(world->memory));
	assert_string_equal(world->heard, " memory-not-kept");
	assert_int_equal(pmr_memory_vanished(world->memory, &vanished), 1);
	assert_int_equal(pmr_memory_acknowledge(world->memory, "pmr-test"), -EISDIR);
	assert_int_equal(pmr_memory_vanished(world->memory, &vanished), 1);
	rmdir(lists);
	SEE(world, COMPLETE, { 9, 1 });
	VANISHED(world, { 8, 1 });

	/* no directory at all */
	sprintf(world->directory, "%s/no/such", world->top);
	SEE(world, COMPLETE, { 9, 1 });
	assert_false(pmr_memory_is_kept(world->memory));
	assert_string_equal(world->heard, " memory-not-kept");
	/* something else in its place */
	sprintf(world->directory, "%s/file", world->top);
	write_text(world->directory, "");
	SEE(world, COMPLETE, { 9, 1 });
	assert_string_equal(world->heard, " memory-unreadable");
	assert_true(pmr_memory_is_lost(world->memory));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_bytes),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_update),
		cmocka_unit_test_setup_teardown(test_vanish, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trust, setup, teardown),
		cmocka_unit_test_setup_teardown(test_metadata, setup, teardown),
		cmocka_unit_test_setup_teardown(test_acknowledge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_account, setup, teardown),
		cmocka_unit_test_setup_teardown(test_account_btt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_repair_at_work, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_believed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_uuid, setup, teardown),
		cmocka_unit_test_setup_teardown(test_renamed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cannot_be_kept, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
