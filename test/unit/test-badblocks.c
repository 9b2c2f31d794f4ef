/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of badblocks: the text of files, the text of the kernel, and which device they are for. */

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

#include "private.h"
#include "device/topology.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define MAX_RANGES 4
#define PAGE 4096

/* In sectors; ends at the first without a count. */
typedef struct pmr_range sectors_row[MAX_RANGES];

static void check_sectors(const struct pmr_ranges *ranges, const struct pmr_range *row)
{
	size_t i;

	for (i = 0; i < MAX_RANGES && row[i].length; i++) {
		assert_true(i < ranges->n);
		assert_int_equal(ranges->v[i].offset, row[i].offset * PMR_SECTOR);
		assert_int_equal(ranges->v[i].length, row[i].length * PMR_SECTOR);
	}
	assert_int_equal(ranges->n, i);
}

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		sectors_row sectors;
		const char *device;
		uint64_t size;
	} rows[] = {
		{ "", { { 0 } }, NULL, 0 },
		{ "\n\n", { { 0 } }, NULL, 0 },
		{ "8 1\n", { { 8, 1 } }, NULL, 0 },
		{ "8 1", { { 8, 1 } }, NULL, 0 },
		{ "8 1\r\n10 2\r\n", { { 8, 1 }, { 10, 2 } }, NULL, 0 },
		{ " \t8 \t 1 \t\n", { { 8, 1 } }, NULL, 0 },
		{ "010 01\n", { { 10, 1 } }, NULL, 0 },
		{ "0 1\n", { { 0, 1 } }, NULL, 0 },
		{ "20 2\n8 1\n21 3\n9 1\n", { { 8, 2 }, { 20, 4 } }, NULL, 0 },
		{ "# words\n#\n8 1\n", { { 8, 1 } }, NULL, 0 },
		{ "# device pmem0\n# size 4096\n7 1\n", { { 7, 1 } }, "pmem0", 4096 },
		{ "#device /dev/pmem0\n#size 8192\n", { { 0 } }, "/dev/pmem0", 8192 },
		{ "# device pmem0\r\n# device pmem0\r\n", { { 0 } }, "pmem0", 0 },
		{ "# devices are many\n# sized 7\n", { { 0 } }, NULL, 0 },
		{ "8 1\n# device pmem0\n# size 1\n", { { 8, 1 } }, NULL, 0 },
		{ "36028797018963966 1\n", { { 36028797018963966, 1 } }, NULL, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_badblocks_file file;
		unsigned int line = 0;

		assert_int_equal(
			pmr_badblocks_parse(rows[i].text, strlen(rows[i].text), &file, &line), 0);
		assert_int_equal(file.list.trust, PMR_LIST_COMPLETE);
		assert_null(file.list.reason);
		check_sectors(&file.list.ranges, rows[i].sectors);
		assert_int_equal(file.size, rows[i].size);
		assert_int_equal(!file.device, !rows[i].device);
		if (file.device)
			assert_string_equal(file.device, rows[i].device);
		pmr_badblocks_file_release(&file);
	}
}

static void test_parse_faults(void **state)
{
	static const struct {
		const char *text;
		int rc;
		unsigned int line;
	} rows[] = {
		{ "8\n", -EINVAL, 1 },
		{ "8 \n", -EINVAL, 1 },
		{ "8 0\n", -EINVAL, 1 },
		{ "8 1 1\n", -EINVAL, 1 },
		{ "8 1x\n", -EINVAL, 1 },
		{ "8x 1\n", -EINVAL, 1 },
		{ "8,1\n", -EINVAL, 1 },
		{ "-8 1\n", -EINVAL, 1 },
		{ "8 -1\n", -EINVAL, 1 },
		{ "+8 1\n", -EINVAL, 1 },
		{ "0x8 1\n", -EINVAL, 1 },
		{ "8 1.0\n", -EINVAL, 1 },
		{ "8 1 # why\n", -EINVAL, 1 },
		{ "8 1\r\r\n", -EINVAL, 1 },
		{ "\xef\xbb\xbf"
		  "8 1\n",
		  -EINVAL, 1 },
		{ "8 1\n\n# x\nsector\n", -EINVAL, 4 },
		{ "18446744073709551616 1\n", -ERANGE, 1 },
		{ "1 99999999999999999999\n", -ERANGE, 1 },
		{ "36028797018963968 1\n", -ERANGE, 1 },
		{ "36028797018963967 1\n", -ERANGE, 1 },
		{ "1 36028797018963968\n", -ERANGE, 1 },
		{ "36028797018963960 8\n", -ERANGE, 1 },
		{ "# size 4096\n7 1\n7 2\n", -ERANGE, 3 },
		{ "# size 4095\n7 1\n", -ERANGE, 2 },
		{ "# size 0\n", -EINVAL, 1 },
		{ "# size\n", -EINVAL, 1 },
		{ "# size 4 MiB\n", -EINVAL, 1 },
		{ "# size 1\n# size 2\n", -EINVAL, 2 },
		{ "# device\n", -EINVAL, 1 },
		{ "# device pmem0 pmem1\n", -EINVAL, 1 },
		{ "# device pmem0\n# device pmem1\n", -EINVAL, 2 },
		{ "# device pmem0\r\r\n", -EINVAL, 1 },
		{ "# device pm\x1b[mem0\n", -EINVAL, 1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_badblocks_file file = { .size = 77 };
		unsigned int line = 0;

		assert_int_equal(
			pmr_badblocks_parse(rows[i].text, strlen(rows[i].text), &file, &line),
			rows[i].rc);
		assert_int_equal(line, rows[i].line);
		assert_int_equal(file.size, 77);
	}
}

static void test_parse_bytes(void **state)
{
	static const char nul[] = "8 1\0\n9 1\n";
	struct pmr_badblocks_file file;
	unsigned int line = 0;

	(void)state;
	assert_int_equal(pmr_badblocks_parse(nul, sizeof(nul) - 1, &file, &line), -EINVAL);
	assert_int_equal(line, 1);
	/* Nothing past the length is looked at. */
	assert_int_equal(pmr_badblocks_parse("8 12", 3, &file, &line), 0);
	assert_int_equal(file.list.ranges.v[0].length, PMR_SECTOR);
	pmr_badblocks_file_release(&file);
}

/* ---- the kernel's text */

static void test_judge(void **state)
{
	static const struct {
		const char *text;
		int error;
		enum pmr_trust trust;
		const char *reason;
		sectors_row sectors;
	} rows[] = {
		{ "", 0, PMR_LIST_COMPLETE, NULL, { { 0 } } },
		{ "\n", 0, PMR_LIST_UNKNOWN, "no-attribute", { { 0 } } },
		{ "8 1\n", 0, PMR_LIST_COMPLETE, NULL, { { 8, 1 } } },
		/* As the kernel orders them, which is not always by sector. */
		{ "1512 512\n1000 512\n",
		  0,
		  PMR_LIST_COMPLETE,
		  NULL,
		  { { 1512, 512 }, { 1000, 512 } } },
		{ "8 1\n10", 0, PMR_LIST_INCOMPLETE, "cut-line", { { 8, 1 } } },
		{ "8 1\n10 1", 0, PMR_LIST_INCOMPLETE, "cut-line", { { 8, 1 } } },
		{ "8 1", 0, PMR_LIST_INCOMPLETE, "cut-line", { { 0 } } },
		{ "8 1\nwhat\n10 1\n",
		  0,
		  PMR_LIST_INCOMPLETE,
		  "malformed",
		  { { 8, 1 }, { 10, 1 } } },
		{ NULL, -ENOENT, PMR_LIST_UNKNOWN, "no-attribute", { { 0 } } },
		{ NULL, -EACCES, PMR_LIST_UNKNOWN, "cannot-open", { { 0 } } },
		{ NULL, -ENXIO, PMR_LIST_UNKNOWN, "cannot-open", { { 0 } } },
		{ NULL, -EMFILE, PMR_LIST_UNKNOWN, "cannot-open", { { 0 } } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		size_t length = rows[i].text ? strlen(rows[i].text) : 0;
		struct pmr_badblocks list;

		assert_int_equal(
			pmr_badblocks_judge(rows[i].text, length, rows[i].error, PAGE, &list), 0);
		assert_int_equal(list.trust, rows[i].trust);
		assert_int_equal(!list.reason, !rows[i].reason);
		if (list.reason)
			assert_string_equal(list.reason, rows[i].reason);
		check_sectors(&list.ranges, rows[i].sectors);
		pmr_badblocks_release(&list);
	}
}

/* Whole lines of @width bytes, cut after @length bytes. */
static void judge_lines(unsigned int lines, int width, size_t length, size_t page,
			struct pmr_badblocks *list)
{
	char *text = malloc((size_t)lines * width + 1);
	unsigned int i;

	assert_non_null(text);
	for (i = 0; i < lines; i++)
		sprintf(text + (size_t)i * width, "%0*u 1\n", width - 3, i * 8);
	if (!length || length > (size_t)lines * width)
		length = (size_t)lines * width;
	assert_int_equal(pmr_badblocks_judge(text, length, 0, page, list), 0);
	free(text);
}

static void test_judge_limits(void **state)
{
	static const struct {
		unsigned int lines;
		int width;
		size_t length, page;
		const char *reason;
		size_t records;
	} rows[] = {
		{ 511, 7, 0, PAGE, NULL, 511 },
		{ 512, 7, 0, PAGE, "record-limit", 512 },
		/* 4094 bytes ended before the page did; 4095 may go on. */
		{ 455, 9, 4095, PAGE, "page-full", 455 },
		{ 600, 9, 4095, PAGE, "page-full", 455 },
		{ 600, 10, 4095, PAGE, "page-full", 409 },
		{ 178, 23, 4094, PAGE, NULL, 178 },
		/* A kernel with larger pages shows all it has. */
		{ 511, 10, 0, 65536, NULL, 511 },
		{ 512, 10, 0, 65536, "record-limit", 512 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_badblocks list;

		judge_lines(rows[i].lines, rows[i].width, rows[i].length, rows[i].page, &list);
		assert_int_equal(list.trust,
				 rows[i].reason ? PMR_LIST_INCOMPLETE : PMR_LIST_COMPLETE);
		assert_int_equal(!list.reason, !rows[i].reason);
		if (list.reason)
			assert_string_equal(list.reason, rows[i].reason);
		assert_int_equal(list.ranges.n, rows[i].records);
		pmr_badblocks_release(&list);
	}
}

/* The same as text of a file, with something ahead of it. */
static void test_parse_limits(void **state)
{
	static const struct {
		const char *ahead;
		unsigned int lines;
		int width;
		size_t length; /* of the records; 0 for all */
		const char *count, *reason;
		size_t records;
		unsigned int line;
	} rows[] = {
		{ "", 1, 4, 3, "1", NULL, 1, 0 },
		{ "", 455, 9, 4094, "1", NULL, 455, 0 },
		/* The page ended with a line, in a count, in a sector, and with all but the newline. */
		{ "", 455, 9, 0, "1", "page-full", 455, 455 },
		{ "", 600, 10, 4095, "1", "page-full", 409, 410 },
		{ "", 600, 16, 4095, "1", "page-full", 255, 256 },
		{ "# device pmem0\n# size 8388608\n", 600, 10, 4095, "1", "page-full", 409, 412 },
		{ "# device pmem0\n\n", 455, 9, 0, "1", "page-full", 455, 457 },
		{ "", 1700, 10, 16383, "1", "page-full", 1638, 1639 },
		/* Longer, and cut all the same. */
		{ "", 600, 10, 4096, "1", "cut-line", 409, 410 },
		{ "", 600, 10, 5999, "1", "cut-line", 599, 600 },
		{ "", 511, 7, 0, "1", NULL, 511, 0 },
		{ "", 512, 7, 0, "1", "record-limit", 512, 512 },
		{ "# size 8388608\n", 512, 10, 0, "1", "record-limit", 512, 513 },
		/* It says so itself. */
		{ "# incomplete\n", 1, 4, 0, "1", "noted", 1, 2 },
		{ "# incompletely copied\n", 1, 4, 0, "1", NULL, 1, 0 },
		/* Nothing that the kernel keeps. */
		{ "", 513, 7, 0, "1", NULL, 513, 0 },
		{ "", 512, 9, 0, "513", NULL, 1, 0 },
		{ "", 1000, 10, 0, "1", NULL, 1000, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		size_t ahead = strlen(rows[i].ahead), all = (size_t)rows[i].lines * rows[i].width;
		char *text = malloc(ahead + all + 1);
		struct pmr_badblocks_file file;
		unsigned int j, line = 0;

		assert_non_null(text);
		strcpy(text, rows[i].ahead);
		for (j = 0; j < rows[i].lines; j++)
			sprintf(text + ahead + (size_t)j * rows[i].width, "%0*u %s\n",
				rows[i].width - 2 - (int)strlen(rows[i].count), j * 8 % 128,
				rows[i].count);
		assert_int_equal(
			pmr_badblocks_parse(text, ahead + (rows[i].length ? rows[i].length : all),
					    &file, &line),
			0);
		assert_int_equal(file.list.trust,
				 rows[i].reason ? PMR_LIST_INCOMPLETE : PMR_LIST_COMPLETE);
		assert_int_equal(!file.list.reason, !rows[i].reason);
		if (rows[i].reason)
			assert_string_equal(file.list.reason, rows[i].reason);
		assert_int_equal(line, rows[i].line);
		assert_int_equal(file.list.ranges.n, rows[i].records < 16 ? rows[i].records : 16);
		pmr_badblocks_file_release(&file);
		free(text);
	}
}

static void test_agree(void **state)
{
	static const struct {
		const char *text;
		sectors_row records;
		bool agree;
		size_t united;
	} rows[] = {
		{ "", { { 0 } }, true, 0 },
		{ "8 1\n", { { 8, 1 } }, true, 1 },
		{ "8 1\n", { { 0 } }, false, 1 },
		{ "8 1\n", { { 9, 1 } }, false, 1 },
		{ "8 1\n", { { 8, 2 } }, false, 1 },
		{ "8 1\n", { { 8, 1 }, { 20, 1 } }, false, 2 },
		{ "", { { 8, 1 } }, false, 1 },
		{ "30 1\n8 1\n", { { 30, 1 }, { 8, 1 } }, true, 2 },
		{ "30 1\n8 1\n", { { 8, 1 }, { 30, 1 } }, false, 2 },
		/* A cut line: libndctl drops it, or takes it for a shorter number. */
		{ "8 1\n10", { { 8, 1 } }, true, 1 },
		{ "8 1\n20 1", { { 8, 1 }, { 20, 1 } }, true, 2 },
		{ "8 1\n20 1", { { 20, 1 } }, false, 2 },
		/* Where lines make no sense, libndctl stops. */
		{ "8 1\nwhat\n10 1\n", { { 8, 1 } }, true, 2 },
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_ranges records = { 0 };
		struct pmr_badblocks list;

		assert_int_equal(
			pmr_badblocks_judge(rows[i].text, strlen(rows[i].text), 0, PAGE, &list), 0);
		for (j = 0; j < MAX_RANGES && rows[i].records[j].length; j++)
			assert_int_equal(pmr_ranges_add(&records,
							rows[i].records[j].offset * PMR_SECTOR,
							rows[i].records[j].length * PMR_SECTOR),
					 0);
		assert_int_equal(pmr_badblocks_agree(&list, &records), rows[i].agree);
		assert_int_equal(pmr_badblocks_unite(&list, &records), 0);
		pmr_ranges_normalize(&list.ranges);
		assert_int_equal(list.ranges.n, rows[i].united);
		assert_int_equal(list.trust, PMR_LIST_INCOMPLETE);
		assert_string_equal(list.reason, "changing");
		pmr_badblocks_release(&list);
		pmr_ranges_release(&records);
	}
}

static void test_read(void **state)
{
	struct pmr_badblocks list;
	int error = 0;

	(void)state;
	assert_int_equal(pmr_badblocks_read("/nonexistent/badblocks", &list, &error), 0);
	assert_int_equal(error, -ENOENT);
	assert_int_equal(list.trust, PMR_LIST_UNKNOWN);
	assert_string_equal(list.reason, "no-attribute");
	assert_int_equal(pmr_badblocks_read("/", &list, &error), 0);
	assert_int_equal(error, -EISDIR);
	assert_string_equal(list.reason, "cannot-open");
	assert_int_equal(pmr_badblocks_read("/dev/null", &list, &error), 0);
	assert_int_equal(error, 0);
	assert_int_equal(list.trust, PMR_LIST_COMPLETE);
}

/* ---- files and devices */

struct heard {
	unsigned int n;
	char code[64];
	char object[256];
	char text[1024];
};

static void hear(void *data, const struct pmr_message *message)
{
	struct heard *heard = data;

	heard->n++;
	snprintf(heard->code, sizeof(heard->code), "%s", message->code);
	snprintf(heard->object, sizeof(heard->object), "%s", message->object);
	snprintf(heard->text, sizeof(heard->text), "%s", message->text);
}

static void load(const char *text, struct pmr_ctx *ctx, int rc, struct pmr_badblocks_file *file)
{
	char path[] = "/tmp/pmr-badblocks-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
	assert_int_equal(pmr_badblocks_load(ctx, path, file), rc);
	if (!rc)
		assert_string_equal(file->list.source, path);
	unlink(path);
}

static void test_load(void **state)
{
	struct pmr_badblocks_file file;
	struct heard heard = { 0 };
	struct pmr_ctx *ctx;
	char full[PAGE] = "";

	(void)state;
	assert_int_equal(pmr_new(&ctx), 0);
	pmr_set_message_fn(ctx, hear, &heard);
	load("# device pmem0\n8 1\n", ctx, 0, &file);
	assert_int_equal(heard.n, 0);
	pmr_badblocks_file_release(&file);

	load("8 1\n9 -1\n", ctx, -EINVAL, &file);
	assert_int_equal(heard.n, 1);
	assert_string_equal(heard.code, "badblocks-malformed");
	assert_non_null(strstr(heard.text, "line 2"));

	load("8 99999999999999999999\n", ctx, -ERANGE, &file);
	assert_int_equal(heard.n, 2);
	assert_non_null(strstr(heard.text, "line 1"));

	memset(full, ' ', sizeof(full) - 1);
	memcpy(full, "8 1", 3);
	memcpy(full + 4090, "\n9 11", 5);
	load(full, ctx, 0, &file);
	assert_int_equal(file.list.ranges.n, 1);
	assert_int_equal(heard.n, 3);
	assert_string_equal(heard.code, "badblocks-incomplete");
	assert_non_null(strstr(heard.text, "line 2"));
	pmr_badblocks_file_release(&file);
	heard.n = 2;

	assert_int_equal(pmr_badblocks_load(ctx, "/nonexistent/list", &file), -ENOENT);
	assert_int_equal(heard.n, 3);
	assert_string_equal(heard.code, "badblocks-unreadable");
	assert_string_equal(heard.object, "/nonexistent/list");

	assert_int_equal(pmr_badblocks_load(ctx, "/", &file), -EISDIR);
	pmr_unref(ctx);
}

static void test_use_file(void **state)
{
	static char name[] = "pmem0", path[] = "/dev/pmem0", ns_name[] = "namespace0.0";
	static const struct {
		const char *text;
		int rc;
		const char *code;
		const char *says;
	} rows[] = {
		{ "", 0, NULL, NULL },
		{ "2047 1\n", 0, NULL, NULL },
		{ "# device pmem0\n# size 1048576\n", 0, NULL, NULL },
		{ "# device namespace0.0\n", 0, NULL, NULL },
		{ "# device /elsewhere/pmem0\n", 0, NULL, NULL },
		{ "# device pmem1\n", -EXDEV, "badblocks-other-device", "pmem1" },
		{ "# device pmem0p1\n", -EXDEV, "badblocks-other-device", "pmem0p1" },
		{ "# size 1048575\n", -ERANGE, "badblocks-other-size", "1048575" },
		{ "2048 1\n", -ERANGE, "badblocks-past-end", "2048 1" },
		{ "5 1\n2047 2\n", -ERANGE, "badblocks-past-end", "2047 2" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_device device = {
			.name = name, .path = path, .ns_name = ns_name, .size = 1048576
		};
		struct pmr_badblocks_file file;
		struct heard heard = { 0 };
		unsigned int line;
		struct pmr_ctx *ctx;

		assert_int_equal(pmr_new(&ctx), 0);
		pmr_set_message_fn(ctx, hear, &heard);
		assert_int_equal(
			pmr_badblocks_parse(rows[i].text, strlen(rows[i].text), &file, &line), 0);
		assert_int_equal(pmr_device_use_file(ctx, &device, "list", &file), rows[i].rc);
		assert_int_equal(device.from_file, !rows[i].rc);
		assert_int_equal(device.badblocks.trust,
				 rows[i].rc ? PMR_LIST_UNKNOWN : PMR_LIST_COMPLETE);
		assert_int_equal(heard.n, rows[i].rc != 0);
		if (rows[i].rc) {
			assert_string_equal(heard.code, rows[i].code);
			assert_string_equal(heard.object, "list");
			assert_non_null(strstr(heard.text, rows[i].says));
		} else {
			assert_string_equal(device.badblocks.source, "list");
			assert_int_equal(device.badblocks.ranges.n, file.list.ranges.n);
		}
		pmr_badblocks_release(&device.badblocks);
		pmr_badblocks_file_release(&file);
		pmr_unref(ctx);
	}
}

/* Whatever makes an exit status 8 is said, once. */
static void test_say(void **state)
{
	static char name[] = "pmem0";
	static const struct {
		enum pmr_trust list;
		const char *reason;
		enum pmr_trust metadata;
		uint64_t data_offset;
		const char *code;
		const char *says;
	} rows[] = {
		{ PMR_LIST_COMPLETE, NULL, PMR_LIST_COMPLETE, 4096, NULL, NULL },
		{ PMR_LIST_COMPLETE, NULL, PMR_LIST_UNKNOWN, 0, NULL, NULL },
		{ PMR_LIST_COMPLETE, NULL, PMR_LIST_UNKNOWN, 4096, "badblocks-unknown",
		  "info block" },
		{ PMR_LIST_COMPLETE, NULL, PMR_LIST_INCOMPLETE, 0, "badblocks-incomplete",
		  "info block" },
		{ PMR_LIST_INCOMPLETE, "page-full", PMR_LIST_INCOMPLETE, 4096,
		  "badblocks-incomplete", "fills the page" },
		{ PMR_LIST_UNKNOWN, "no-attribute", PMR_LIST_UNKNOWN, 4096, "badblocks-unknown",
		  "no list" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_device device = { .name = name,
					     .enabled = true,
					     .data_offset = rows[i].data_offset,
					     .badblocks = { .trust = rows[i].list,
							    .reason = rows[i].reason },
					     .metadata_badblocks = { .trust = rows[i].metadata } };
		struct heard heard = { 0 };
		struct pmr_ctx *ctx;

		assert_int_equal(pmr_new(&ctx), 0);
		pmr_set_message_fn(ctx, hear, &heard);
		pmr_badblocks_say(ctx, &device);
		assert_int_equal(heard.n, rows[i].code != NULL);
		if (rows[i].code) {
			assert_string_equal(heard.code, rows[i].code);
			assert_non_null(strstr(heard.text, rows[i].says));
		}
		pmr_unref(ctx);
	}
}

/* One that was too short dropped something, whatever else is said of it before or after. */
static void test_lasting(void **state)
{
	static const struct {
		const char *before, *now, *lasts;
	} rows[] = {
		{ NULL, NULL, NULL },
		{ NULL, "changing", "changing" },
		{ "changing", NULL, "changing" },
		{ "changing", "malformed", "changing" },
		{ "changing", "record-limit", "record-limit" },
		{ "record-limit", "changing", "record-limit" },
		{ "page-full", "record-limit", "page-full" },
		{ "region-only", "was-full", "was-full" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *lasts = pmr_badblocks_lasting(rows[i].before, rows[i].now);

		if (!rows[i].lasts != !lasts || (lasts && strcmp(lasts, rows[i].lasts)))
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lasting),	     cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_faults), cmocka_unit_test(test_parse_bytes),
		cmocka_unit_test(test_judge),	     cmocka_unit_test(test_judge_limits),
		cmocka_unit_test(test_agree),	     cmocka_unit_test(test_read),
		cmocka_unit_test(test_load),	     cmocka_unit_test(test_use_file),
		cmocka_unit_test(test_parse_limits), cmocka_unit_test(test_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
