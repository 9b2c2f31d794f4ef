/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is taken from an earlier report, and which documents are none. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include <cmocka.h>

#include "earlier/earlier.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

/* HOST stands for this host's name */
static const char base[] =
	"{ \"format_version\": [ 1, 0 ], \"version\": \"0.1.0\", \"command\": \"scan\", \"host\": \"HOST\",\n"
	"  \"directory\": \"/root\", \"complete\": true,\n"
	"  \"devices\": [ { \"name\": \"pmem0\", \"badblocks\": { \"ranges\": [ { \"offset\": 1024, \"length\": 512 } ] } } ],\n"
	"  \"files\": [ { \"path\": \"/srv/file\", \"inode\": 12, \"size\": 8000, \"generation\": 7,\n"
	"    \"change_time\": { \"seconds\": 1000, \"nanoseconds\": 999999999 }, \"filesystem_uuid\": \"uuid\",\n"
	"    \"ranges\": [ { \"offset\": 512, \"length\": 512, \"device\": \"pmem0\", \"device_offset\": 1024,\n"
	"      \"state\": \"lost\", \"shared\": false, \"vanished\": false } ] } ],\n"
	"  \"summary\": {}, \"messages\": [] }\n";

#define RANGE \
	"{ \"offset\": 512, \"length\": 512, \"device\": \"pmem0\", \"device_offset\": 1024,\n      \"state\": \"lost\""

struct heard {
	unsigned int n;
	char code[64];
	char text[512];
};

static void hear(void *data, const struct pmr_message *message)
{
	struct heard *heard = data;

	heard->n++;
	snprintf(heard->code, sizeof(heard->code), "%s", message->code);
	snprintf(heard->text, sizeof(heard->text), "%s", message->text);
}

/* @text with the first @old made @new */
static char *replace(const char *text, const char *old, const char *new)
{
	const char *at = strstr(text, old);
	size_t size = strlen(text) + strlen(new) + 1;
	char *out = malloc(size);

	if (!at)
		fail_msg("no %s in the document", old);
	assert_non_null(out);
	snprintf(out, size, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
	return out;
}

static char *new_document(const char *old, const char *new)
{
	struct utsname host;
	char *with_host, *document;

	assert_int_equal(uname(&host), 0);
	with_host = replace(base, "HOST", host.nodename);
	document = replace(with_host, old, new);
	free(with_host);
	return document;
}

/* The text lies at the end of its memory, so that a checker sees reads past it. */
static int parse(const char *text, size_t length, struct heard *heard, struct pmr_earlier **earlier)
{
	char *exact = malloc(length ? length : 1);
	struct pmr_ctx *ctx;
	int ret;

	assert_non_null(exact);
	memcpy(exact, text, length);
	memset(heard, 0, sizeof(*heard));
	assert_int_equal(pmr_new(&ctx), 0);
	pmr_set_message_fn(ctx, hear, heard);
	ret = pmr_earlier_parse(ctx, exact, length, "report", earlier);
	pmr_unref(ctx);
	free(exact);
	return ret;
}

/* ---- what is no report, or not one of this place */

static const struct refused {
	const char *old, *new;
	int ret;
	const char *code;
	const char *says;
} refused_rows[] = {
	/* as text */
	{ "{", "", -EINVAL, "ranges-malformed", "no JSON" },
	{ "{ \"format", "[ \"format", -EINVAL, "ranges-malformed", "no JSON" },
	{ "\"messages\": [] }\n", "\"messages\": [] ", -EINVAL, "ranges-malformed",
	  "in the middle" },
	{ "[] }\n", "[] } {}", -EINVAL, "ranges-malformed", "no JSON" },
	{ "[] }\n", "[], }\n", -EINVAL, "ranges-malformed", "no JSON" },
	{ "\"uuid\"", "\"u\xffid\"", -EINVAL, "ranges-malformed", "no JSON" },
	{ "\"summary\": {}", "\"summary\": /* x */ {}", -EINVAL, "ranges-malformed", "no JSON" },
	{ "\"summary\"", "'summary'", -EINVAL, "ranges-malformed", "no JSON" },
	{ "\"summary\": {}", "\"inode\": 1, \"inode\": 2", -EINVAL, "ranges-malformed", "twice" },
	{ "\"size\"", "\"inode\": 13, \"size\"", -EINVAL, "ranges-malformed", "twice" },
	{ "\"host\"", "\"h\\u006fst\": \"x\", \"host\"", -EINVAL, "ranges-malformed", "twice" },
	/* whose it is */
	{ "[ 1, 0 ]", "[ 2, 0 ]", -EINVAL, "ranges-version", "format 2" },
	{ "[ 1, 0 ]", "[ 0, 9 ]", -EINVAL, "ranges-version", "format 0" },
	{ "[ 1, 0 ]", "[]", -EINVAL, "ranges-malformed", "format_version" },
	{ "[ 1, 0 ]", "[ -1, 0 ]", -EINVAL, "ranges-malformed", "format_version" },
	{ "[ 1, 0 ]", "[ 1.0, 0 ]", -EINVAL, "ranges-malformed", "format_version" },
	{ "[ 1, 0 ]", "1", -EINVAL, "ranges-malformed", "format_version" },
	{ "\"scan\"", "\"list\"", -EINVAL, "ranges-other-command", "'list'" },
	{ "\"scan\"", "\"health\"", -EINVAL, "ranges-other-command", "'health'" },
	{ "\"scan\"", "\"map\"", -EINVAL, "ranges-other-command", "'map'" },
	{ "\"scan\"", "null", -EINVAL, "ranges-malformed", "command" },
	{ "\"scan\"", "\"scan\\u0000\"", -EINVAL, "ranges-malformed", "command" },
	{ "\"host\": \"", "\"host\": \"x", -EXDEV, "ranges-other-host", "of the host 'x" },
	{ "\"host\"", "\"guest\"", -EINVAL, "ranges-malformed", "old version" },
	{ "\"complete\": true", "\"complete\": 1", -EINVAL, "ranges-malformed", "complete" },
	{ "\"/root\"", "\"\"", -EINVAL, "ranges-malformed", "directory" },
	{ "\"/root\"", "7", -EINVAL, "ranges-malformed", "directory" },
	/* devices */
	{ "\"devices\"", "\"device\"", -EINVAL, "ranges-malformed", "no devices" },
	{ "\"devices\": [", "\"devices\": [ 1,", -EINVAL, "ranges-malformed", "a device" },
	{ "\"name\": \"pmem0\"", "\"name\": \"pmem1\"", -EINVAL, "ranges-malformed", "place" },
	{ "\"devices\": [",
	  "\"devices\": [ { \"name\": \"pmem0\", \"badblocks\": { \"ranges\": [] } },", -EINVAL,
	  "ranges-malformed", "one name" },
	{ "\"badblocks\": {", "\"badblocks\": [ {", -EINVAL, "ranges-malformed", "no JSON" },
	{ "{ \"offset\": 1024, \"length\": 512 }", "7", -EINVAL, "ranges-malformed", "offset" },
	{ "1024, \"length\": 512 }", "1024, \"length\": 0 }", -EINVAL, "ranges-malformed",
	  "impossible" },
	{ "1024, \"length\": 512 }", "18446744073709551614, \"length\": 2 }", -EINVAL,
	  "ranges-malformed", "impossible" },
	/* files */
	{ "\"files\"", "\"file\"", -EINVAL, "ranges-malformed", "no files" },
	{ "\"files\": [", "\"files\": [ null,", -EINVAL, "ranges-malformed", "a file" },
	{ "\"path\": \"/srv/file\"", "\"path\": \"\"", -EINVAL, "ranges-malformed", "path" },
	{ "\"path\": \"/srv/file\"", "\"path\": \"/srv\\u0000/file\"", -EINVAL, "ranges-malformed",
	  "path" },
	{ "\"path\": \"/srv/file\", ", "", -EINVAL, "ranges-malformed", "path" },
	{ "\"path\"", "\"path_base64\": \"\", \"path\"", -EINVAL, "ranges-malformed", "path" },
	{ "\"path\"", "\"path_base64\": \"YWJ\", \"path\"", -EINVAL, "ranges-malformed", "path" },
	{ "\"path\"", "\"path_base64\": \"YW=j\", \"path\"", -EINVAL, "ranges-malformed", "path" },
	{ "\"path\"", "\"path_base64\": \"YR==\", \"path\"", -EINVAL, "ranges-malformed", "path" },
	{ "\"path\"", "\"path_base64\": \"YQ==YQ==\", \"path\"", -EINVAL, "ranges-malformed",
	  "path" },
	{ "\"path\"", "\"path_base64\": \"====\", \"path\"", -EINVAL, "ranges-malformed", "path" },
	{ "\"path\"", "\"path_base64\": \"YQBi\", \"path\"", -EINVAL, "ranges-malformed", "path" },
	{ "\"path\"", "\"path_base64\": null, \"path\"", -EINVAL, "ranges-malformed", "path" },
	{ "\"inode\": 12", "\"inode\": 0", -EINVAL, "ranges-malformed", "inode" },
	{ "\"inode\": 12", "\"inode\": -1", -EINVAL, "ranges-malformed", "inode" },
	{ "\"inode\": 12", "\"inode\": 18446744073709551616", -EINVAL, "ranges-malformed",
	  "inode" },
	{ "\"inode\": 12", "\"inode\": 12.0", -EINVAL, "ranges-malformed", "inode" },
	{ "\"inode\": 12", "\"inode\": \"12\"", -EINVAL, "ranges-malformed", "inode" },
	{ "\"size\": 8000", "\"size\": null", -EINVAL, "ranges-malformed", "size" },
	{ "\"generation\": 7", "\"generation\": 4294967296", -EINVAL, "ranges-malformed",
	  "generation" },
	{ "\"generation\": 7,", "", -EINVAL, "ranges-malformed", "generation" },
	{ "\"generation\": 7", "\"generation\": \"7\"", -EINVAL, "ranges-malformed", "generation" },
	{ "\"seconds\": 1000", "\"seconds\": 1000.5", -EINVAL, "ranges-malformed", "change time" },
	{ "\"seconds\": 1000", "\"seconds\": 18446744073709551615", -EINVAL, "ranges-malformed",
	  "change time" },
	{ "999999999", "1000000000", -EINVAL, "ranges-malformed", "change time" },
	{ "\"change_time\"", "\"birth_time\"", -EINVAL, "ranges-malformed", "change time" },
	{ "\"uuid\"", "7", -EINVAL, "ranges-malformed", "filesystem" },
	{ "\"filesystem_uuid\"", "\"uuid\"", -EINVAL, "ranges-malformed", "filesystem" },
	/* ranges */
	{ "\"ranges\": [ " RANGE, "\"ranges\": { \"x\": [ " RANGE, -EINVAL, "ranges-malformed",
	  "no JSON" },
	{ "\"ranges\": [ { \"offset\": 512", "\"ranges\": [ [], { \"offset\": 512", -EINVAL,
	  "ranges-malformed", "range" },
	{ "\"ranges\": [ { \"offset\": 512", "\"extents\": [ { \"offset\": 512", -EINVAL,
	  "ranges-malformed", "ranges" },
	{ "512, \"length\": 512, \"dev", "-512, \"length\": 512, \"dev", -EINVAL,
	  "ranges-malformed", "offset" },
	{ "512, \"length\": 512, \"dev", "512, \"length\": 0, \"dev", -EINVAL, "ranges-malformed",
	  "overlap" },
	{ "512, \"length\": 512, \"dev", "18446744073709551614, \"length\": 2, \"dev", -EINVAL,
	  "ranges-malformed", "overlap" },
	{ RANGE, RANGE " }, " RANGE, -EINVAL, "ranges-malformed", "overlap" },
	{ "\"device_offset\": 1024", "\"device_offset\": null", -EINVAL, "ranges-malformed",
	  "place" },
	{ "\"device_offset\": 1024", "\"device_offset\": 18446744073709551614", -EINVAL,
	  "ranges-malformed", "place" },
	{ "\"state\": \"lost\"", "\"state\": \"misplaced\"", -EINVAL, "ranges-malformed", "state" },
	{ "\"state\": \"lost\", ", "", -EINVAL, "ranges-malformed", "state" },
};

static void test_refused(void **state)
{
	struct pmr_earlier *earlier = NULL;
	struct heard heard;
	char *document;
	int ret;

	(void)state;
	for (size_t i = 0; i < N(refused_rows); i++) {
		const struct refused *row = &refused_rows[i];

		document = new_document(row->old, row->new);
		/* the last blank and brace count where the end is cut */
		ret = parse(document, strlen(document) - (strstr(row->says, "middle") ? 1 : 0),
			    &heard, &earlier);
		if (ret != row->ret || heard.n != 1 || strcmp(heard.code, row->code) ||
		    !strstr(heard.text, row->says))
			fail_msg("row %zu, %s: %d, %u messages, %s: %s", i, row->new, ret, heard.n,
				 heard.code, heard.text);
		assert_null(earlier);
		free(document);
	}
}

/* A report that is cut anywhere is none. */
static void test_cut(void **state)
{
	struct pmr_earlier *earlier = NULL;
	struct heard heard;
	char *document = new_document("/srv/file", "/srv/file");
	size_t length = strlen(document) - 1;

	(void)state;
	for (size_t i = 0; i < length; i++) {
		assert_int_equal(parse(document, i, &heard, &earlier), -EINVAL);
		assert_string_equal(heard.code, "ranges-malformed");
	}
	assert_int_equal(parse(document, length, &heard, &earlier), 0);
	pmr_earlier_free(earlier);
	/* a NUL is no end */
	document[length] = '\0';
	earlier = NULL;
	assert_int_equal(parse(document, length + 1, &heard, &earlier), -EINVAL);
	assert_null(earlier);
	free(document);
}

static void test_deep(void **state)
{
	struct pmr_earlier *earlier = NULL;
	char text[20000];
	struct heard heard;

	(void)state;
	memset(text, '[', sizeof(text));
	assert_int_equal(parse(text, sizeof(text), &heard, &earlier), -EINVAL);
	for (size_t i = 0; i + 5 <= sizeof(text); i += 5)
		memcpy(text + i, "{\"a\":", 5);
	assert_int_equal(parse(text, sizeof(text), &heard, &earlier), -EINVAL);
	assert_null(earlier);
}

/* Devices are held against each other: of very many that would take for ever. */
static void test_many_devices(void **state)
{
	static const struct {
		size_t n; /* besides the one there is */
		int ret;
	} rows[] = { { 1023, 0 }, { 1024, -EINVAL } };
	char *devices = NULL, *document;
	struct pmr_earlier *earlier;
	struct heard heard;
	size_t length;
	FILE *out;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		out = open_memstream(&devices, &length);
		assert_non_null(out);
		fputs("\"devices\": [ ", out);
		for (size_t j = 0; j < rows[i].n; j++)
			fprintf(out,
				"{ \"name\": \"dax%zu\", \"badblocks\": { \"ranges\": [] } }, ", j);
		assert_int_equal(fclose(out), 0);
		document = new_document("\"devices\": [ ", devices);
		earlier = NULL;
		assert_int_equal(parse(document, strlen(document), &heard, &earlier), rows[i].ret);
		assert_int_equal(heard.n, rows[i].ret ? 1 : 0);
		pmr_earlier_free(earlier);
		free(document);
		free(devices);
	}
}

/* ---- what is taken */

static const struct taken {
	const char *old, *new;
	size_t n; /* ranges; 0: the file is not even named */
	struct pmr_earlier_range ranges[3];
} taken_rows[] = {
	{ "\"scan\"", "\"repair\"", 1, { { 512, 512, 1024, false, true, false, false } } },
	{ "[ 1, 0 ]", "[ 1, 7, \"new\" ]", 1, { { 512, 512, 1024, false, true, false, false } } },
	{ "\"summary\": {}",
	  "\"summary\": [ { \"a:\\\"\": \"b:\\\\\" } ]",
	  1,
	  { { 512, 512, 1024, false, true, false, false } } },
	{ "\"shared\": false",
	  "\"shared\": true",
	  1,
	  { { 512, 512, 1024, true, true, false, false } } },
	/* states */
	{ "\"state\": \"lost\"",
	  "\"state\": \"cached\"",
	  1,
	  { { 512, 512, 1024, false, true, true, false } } },
	{ "\"state\": \"lost\"",
	  "\"state\": \"skipped\"",
	  1,
	  { { 512, 512, 1024, false, true, true, false } } },
	{ "\"state\": \"lost\"",
	  "\"state\": \"conflict\"",
	  1,
	  { { 512, 512, 1024, false, true, true, false } } },
	{ "\"state\": \"lost\"",
	  "\"state\": \"failed\"",
	  1,
	  { { 512, 512, 1024, false, true, true, false } } },
	{ "\"state\": \"lost\"",
	  "\"state\": \"zeroed\"",
	  1,
	  { { 512, 512, 1024, false, true, false, false } } },
	{ "\"state\": \"lost\"", "\"state\": \"repaired\"", 0, { { 0 } } },
	{ "\"state\": \"lost\"", "\"state\": \"unwritten\"", 0, { { 0 } } },
	{ "\"state\": \"lost\"", "\"state\": \"past_eof\"", 0, { { 0 } } },
	{ "\"state\": \"lost\"", "\"state\": \"unknown\"", 0, { { 0 } } },
	/* the end of the file */
	{ "\"size\": 8000", "\"size\": 600", 1, { { 512, 88, 1024, false, true, false, false } } },
	{ "\"size\": 8000", "\"size\": 512", 0, { { 0 } } },
	/* what was listed of it */
	{ "\"offset\": 1024, \"length\": 512",
	  "\"offset\": 0, \"length\": 99999",
	  1,
	  { { 512, 512, 1024, false, true, false, false } } },
	{ "\"offset\": 1024, \"length\": 512",
	  "\"offset\": 0, \"length\": 1024",
	  1,
	  { { 512, 512, 1024, false, false, false, false } } },
	{ "\"offset\": 512, \"length\": 512",
	  "\"offset\": 512, \"length\": 2048",
	  2,
	  { { 512, 512, 1024, false, true, false, false },
	    { 1024, 1536, 1536, false, false, false, false } } },
	{ "\"offset\": 512, \"length\": 512, \"device\": \"pmem0\", \"device_offset\": 1024",
	  "\"offset\": 0, \"length\": 1536, \"device\": \"pmem0\", \"device_offset\": 512",
	  3,
	  { { 0, 512, 512, false, false, false, false },
	    { 512, 512, 1024, false, true, false, false },
	    { 1024, 512, 1536, false, false, false, false } } },
	{ "{ \"offset\": 1024, \"length\": 512 }",
	  "",
	  1,
	  { { 512, 512, 1024, false, false, false, false } } },
	/* what only failed to be read may be read again, and is then right */
	{ "\"badblocks\": {",
	  "\"read\": { \"ranges\": [ { \"offset\": 1024, \"length\": 512 } ] }, \"badblocks\": {",
	  1,
	  { { 512, 512, 1024, false, false, false, true } } },
	{ "\"badblocks\": {",
	  "\"read\": { \"ranges\": [ { \"offset\": 1280, \"length\": 9 } ] }, \"badblocks\": {",
	  3,
	  { { 512, 256, 1024, false, true, false, false },
	    { 768, 9, 1280, false, false, false, true },
	    { 777, 247, 1289, false, true, false, false } } },
	/* written to, or known to have been listed: what is listed now says nothing */
	{ "{ \"offset\": 1024, \"length\": 512 } ] } } ],\n  \"files\": [ {",
	  "] } } ],\n  \"files\": [ { \"ranges\": [] }, {",
	  1,
	  { { 512, 512, 1024, false, false, false, false } } },
};

static void test_taken(void **state)
{
	struct pmr_earlier *earlier;
	struct heard heard;
	char *document;

	(void)state;
	for (size_t i = 0; i < N(taken_rows); i++) {
		const struct taken *row = &taken_rows[i];
		const struct pmr_earlier_file *file;

		document = new_document(row->old, row->new);
		if (parse(document, strlen(document), &heard, &earlier))
			fail_msg("row %zu: %s", i, heard.text);
		assert_int_equal(heard.n, 0);
		assert_int_equal(earlier->n_files, row->n > 0);
		assert_true(pmr_earlier_is_complete(earlier));
		file = earlier->files;
		if (row->n && file->n_ranges != row->n)
			fail_msg("row %zu: %zu ranges", i, file->n_ranges);
		for (size_t j = 0; j < row->n; j++) {
			const struct pmr_earlier_range *is = &file->ranges[j];
			const struct pmr_earlier_range *wanted = &row->ranges[j];

			if (is->offset != wanted->offset || is->length != wanted->length ||
			    is->device_offset != wanted->device_offset ||
			    is->shared != wanted->shared || is->is_listed != wanted->is_listed ||
			    is->may_be_cached != wanted->may_be_cached ||
			    is->was_found != wanted->was_found)
				fail_msg("row %zu, range %zu", i, j);
		}
		pmr_earlier_free(earlier);
		free(document);
	}
}

/* Without a list, a state or an earlier report may still say that sectors were listed. */
static void test_listed_once(void **state)
{
	static const struct {
		const char *old, *new;
		bool is_listed;
	} rows[] = {
		{ "\"vanished\": false", "\"vanished\": true", true },
		{ "\"state\": \"lost\"", "\"state\": \"failed\"", true },
		{ "\"state\": \"lost\"", "\"state\": \"zeroed\"", true },
		{ "\"state\": \"lost\"", "\"state\": \"skipped\"", false },
	};
	struct pmr_earlier *earlier;
	char *unlisted, *document;
	struct heard heard;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		unlisted = new_document("{ \"offset\": 1024, \"length\": 512 }", "");
		document = replace(unlisted, rows[i].old, rows[i].new);
		assert_int_equal(parse(document, strlen(document), &heard, &earlier), 0);
		assert_int_equal(earlier->files[0].ranges[0].is_listed, rows[i].is_listed);
		pmr_earlier_free(earlier);
		free(unlisted);
		free(document);
	}
}

static void test_identity(void **state)
{
	static const struct {
		const char *old, *new;
		const char *path, *uuid;
		uint64_t inode;
		uint32_t generation;
		int64_t seconds;
		bool is_complete;
	} rows[] = {
		{ "/srv", "/srv", "/srv/file", "uuid", 12, 7, 1000, true },
		{ "/srv/file", "data/file", "/root/data/file", "uuid", 12, 7, 1000, true },
		{ "\"directory\": \"/root\", ", "", "/srv/file", "uuid", 12, 7, 1000, true },
		{ "\"/root\"", "null", "/srv/file", "uuid", 12, 7, 1000, true },
		{ "\"path\"", "\"path_base64\": \"L/8v4g==\", \"path\"", "/\xff/\xe2", "uuid", 12,
		  7, 1000, true },
		{ "\"path\"", "\"path_base64\": \"YWI=\", \"path\"", "/root/ab", "uuid", 12, 7,
		  1000, true },
		{ "\"path\"", "\"path_base64\": \"L2Fi\", \"path\"", "/ab", "uuid", 12, 7, 1000,
		  true },
		{ "\"path\": \"/srv/file\"", "\"path_base64\": \"L2Fi\"", "/ab", "uuid", 12, 7,
		  1000, true },
		{ "\"uuid\"", "null", "/srv/file", NULL, 12, 7, 1000, true },
		{ "\"generation\": 7", "\"generation\": null", "/srv/file", "uuid", 12, 0, 1000,
		  true },
		{ "12,", "18446744073709551614,", "/srv/file", "uuid", UINT64_MAX - 1, 7, 1000,
		  true },
		{ "\"seconds\": 1000", "\"seconds\": -1000", "/srv/file", "uuid", 12, 7, -1000,
		  true },
		{ "\"complete\": true", "\"complete\": false", "/srv/file", "uuid", 12, 7, 1000,
		  false },
	};
	struct pmr_earlier *earlier;
	struct heard heard;
	char *document;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const struct pmr_earlier_file *file;

		document = new_document(rows[i].old, rows[i].new);
		if (parse(document, strlen(document), &heard, &earlier))
			fail_msg("row %zu: %s", i, heard.text);
		file = earlier->files;
		assert_string_equal(file->path, rows[i].path);
		assert_string_equal(pmr_earlier_paths(earlier)[0], rows[i].path);
		assert_null(pmr_earlier_paths(earlier)[1]);
		if (rows[i].uuid)
			assert_string_equal(file->filesystem_uuid, rows[i].uuid);
		else
			assert_null(file->filesystem_uuid);
		assert_int_equal(file->inode, rows[i].inode);
		assert_int_equal(file->generation, rows[i].generation);
		assert_int_equal(file->size, 8000);
		assert_int_equal(file->change_time.tv_sec, rows[i].seconds);
		assert_int_equal(file->change_time.tv_nsec, 999999999);
		assert_int_equal(pmr_earlier_is_complete(earlier), rows[i].is_complete);
		pmr_earlier_free(earlier);
		free(document);
	}
}

static void test_load(void **state)
{
	struct pmr_earlier *earlier = NULL;
	struct heard heard = { 0 };
	struct pmr_ctx *ctx;

	(void)state;
	assert_int_equal(pmr_new(&ctx), 0);
	pmr_set_message_fn(ctx, hear, &heard);
	assert_int_equal(pmr_earlier_load(ctx, "/nowhere/at/all", &earlier), -ENOENT);
	assert_string_equal(heard.code, "ranges-unreadable");
	assert_int_equal(pmr_earlier_load(ctx, "/", &earlier), -EISDIR);
	assert_string_equal(heard.code, "ranges-unreadable");
	assert_int_equal(pmr_earlier_load(ctx, "/dev/zero", &earlier), -EFBIG);
	assert_string_equal(heard.code, "ranges-malformed");
	assert_int_equal(pmr_earlier_load(ctx, "/dev/null", &earlier), -EINVAL);
	assert_int_equal(heard.n, 4);
	assert_null(earlier);
	pmr_earlier_free(NULL);
	pmr_unref(ctx);
}

/* A device-dax has no inode, and what it had lost its own list tells or nobody does. */
static void test_whole_device(void **state)
{
	static const char whole[] =
		"\"files\": [ { \"path\": \"/dev/dax0.0\", \"inode\": null, \"size\": 8000, \"whole_device\": true,\n"
		"    \"ranges\": [ { \"offset\": 512, \"length\": 512, \"device\": \"pmem0\", \"device_offset\": 512,\n"
		"      \"state\": \"zeroed\" } ] }, {";
	char *document = new_document("\"files\": [ {", whole);
	struct pmr_topology topology = { 0 };
	struct pmr_scan scan = { .topology = &topology, .complete = true };
	struct pmr_earlier *earlier;
	struct heard heard;
	struct pmr_ctx *ctx;

	(void)state;
	assert_int_equal(parse(document, strlen(document), &heard, &earlier), 0);
	assert_int_equal(earlier->n_files, 1);
	assert_int_equal(earlier->n_whole, 1);
	assert_string_equal(earlier->whole[0].path, "/dev/dax0.0");
	assert_int_equal(earlier->whole[0].ranges[0].offset, 512);
	assert_string_equal(pmr_earlier_paths(earlier)[0], "/srv/file");
	assert_null(pmr_earlier_paths(earlier)[1]);
	earlier->files[0].is_left_out = true;
	memset(&heard, 0, sizeof(heard));
	assert_int_equal(pmr_new(&ctx), 0);
	pmr_set_message_fn(ctx, hear, &heard);
	assert_int_equal(pmr_scan_add_earlier(ctx, &scan, earlier), 0);
	assert_int_equal(heard.n, 1);
	assert_string_equal(heard.code, "device-dax");
	assert_false(scan.complete);
	pmr_unref(ctx);
	pmr_earlier_free(earlier);
	free(document);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),	 cmocka_unit_test(test_cut),
		cmocka_unit_test(test_deep),	 cmocka_unit_test(test_many_devices),
		cmocka_unit_test(test_taken),	 cmocka_unit_test(test_listed_once),
		cmocka_unit_test(test_identity), cmocka_unit_test(test_whole_device),
		cmocka_unit_test(test_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
