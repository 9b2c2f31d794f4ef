/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is remembered of zeros: the text of the files, what a repair changes in them, and what is told and forgotten. */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
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

#include "memory/zeroed.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define MAX 4
#define UUID "5d7a5ebb-c082-427a-8f7e-aef1f8c765c0"

/* ---- the text */

static const char base[] =
	"{ \"format_version\": [ 1, 0 ], \"command\": \"repair\", \"host\": \"any\", \"complete\": true,\n"
	"  \"devices\": [ { \"name\": \"pmem0\", \"namespace\": \"namespace0.0\", \"namespace_uuid\": null,\n"
	"    \"badblocks\": { \"ranges\": [] } } ],\n"
	"  \"files\": [ { \"path\": \"/srv/file\", \"inode\": 12, \"size\": 8000, \"generation\": 7,\n"
	"    \"change_time\": { \"seconds\": 1000, \"nanoseconds\": 999999999 }, \"filesystem_uuid\": \"" UUID
	"\",\n"
	"    \"ranges\": [ { \"offset\": 512, \"length\": 512, \"device\": \"pmem0\", \"device_offset\": 1024,\n"
	"      \"state\": \"zeroed\", \"shared\": true, \"vanished\": false, \"zeroed_at\": 1763781164 } ] } ] }\n";

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

/* The text lies at the end of its memory, so that a checker sees reads past it. */
static int parse(const char *text, struct pmr_zeros *zeros)
{
	size_t length = strlen(text);
	char *exact = malloc(length ? length : 1);
	int ret;

	assert_non_null(exact);
	memcpy(exact, text, length);
	ret = pmr_zeros_parse(exact, length, zeros);
	free(exact);
	return ret;
}

static void test_refused(void **state)
{
	static const struct {
		const char *old, *new;
		int ret;
	} rows[] = {
		{ "] } ] }\n", "] } ] ", -EBADMSG }, /* cut */
		{ "{ \"format", "\"format", -EBADMSG },
		{ "[ 1, 0 ]", "[ 2, 0 ]", -EPROTONOSUPPORT },
		{ "[ 1, 0 ]", "[]", -EBADMSG },
		{ "\"files\": [ {", "\"files\": [], \"other\": [ {", -EBADMSG },
		{ "\"devices\": [ {", "\"devices\": [], \"other\": [ {", -EBADMSG },
		{ "\"zeroed\"", "\"lost\"", -EBADMSG },
		{ "\"zeroed\"", "\"repaired\"", -EBADMSG },
		{ "1763781164", "-1", -EBADMSG },
		{ "1763781164", "9223372036854775808", -EBADMSG },
		{ "\"zeroed_at\": 1763781164", "\"other\": 1", -EBADMSG },
		{ "/srv/file", "srv/file", -EBADMSG }, /* and no directory to begin at */
		{ "\"name\": \"pmem0\"", "\"name\": \"pmem1\"", -EBADMSG },
		{ "\"namespace\": \"namespace0.0\"", "\"namespace\": 7", -EBADMSG },
		{ "\"offset\": 512", "\"offset\": 8000", -EBADMSG }, /* behind the end */
		{ "\"inode\": 12", "\"inode\": 0", -EBADMSG },
	};
	struct pmr_zeros zeros;
	char *text;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		text = replace(base, rows[i].old, rows[i].new);
		memset(&zeros, 0x5a, sizeof(zeros));
		if (parse(text, &zeros) != rows[i].ret)
			fail_msg("row %zu: %s", i, rows[i].new);
		for (size_t j = 0; j < sizeof(zeros); j++)
			assert_int_equal(((unsigned char *)&zeros)[j], 0x5a);
		free(text);
	}
}

static void check_base(const struct pmr_zeros *zeros, const char *path)
{
	assert_string_equal(zeros->file.path, path);
	assert_string_equal(zeros->file.filesystem_uuid, UUID);
	assert_int_equal(zeros->file.inode, 12);
	assert_int_equal(zeros->file.generation, 7);
	assert_int_equal(zeros->file.size, 8000);
	assert_int_equal(zeros->file.change_time.tv_sec, 1000);
	assert_int_equal(zeros->file.change_time.tv_nsec, 999999999);
	assert_string_equal(zeros->device, "pmem0");
	assert_string_equal(zeros->ns_name, "namespace0.0");
	assert_null(zeros->ns_uuid);
	assert_int_equal(zeros->n_ranges, 1);
	assert_int_equal(zeros->ranges[0].at.offset, 512);
	assert_int_equal(zeros->ranges[0].at.length, 512);
	assert_int_equal(zeros->ranges[0].at.device_offset, 1024);
	assert_true(zeros->ranges[0].at.shared && zeros->ranges[0].at.is_listed);
	assert_int_equal(zeros->ranges[0].when, 1763781164);
}

/* What is written is read back, whatever the path: also by who takes it for a report. */
static void test_round_trip(void **state)
{
	static const char *const paths[] = { "/srv/file",	"/srv/\"\\\n\x01", "/srv/f\xc3\xbc",
					     "/srv/\xff\xfe/f", "/\xff",	   "/" };
	struct pmr_zeros zeros, again;
	struct pmr_earlier *earlier;
	struct pmr_ctx *ctx;
	size_t length;
	char *text;

	(void)state;
	assert_int_equal(pmr_new(&ctx), 0);
	assert_int_equal(parse(base, &zeros), 0);
	check_base(&zeros, "/srv/file");
	for (size_t i = 0; i < N(paths); i++) {
		free(zeros.file.path);
		zeros.file.path = strdup(paths[i]);
		assert_int_equal(pmr_zeros_format(&zeros, &text, &length), 0);
		assert_int_equal(strlen(text), length);
		assert_int_equal(parse(text, &again), 0);
		check_base(&again, paths[i]);
		pmr_zeros_release(&again);
		assert_int_equal(pmr_earlier_parse(ctx, text, length, "it", &earlier), 0);
		assert_string_equal(pmr_earlier_paths(earlier)[0], paths[i]);
		assert_int_equal(earlier->files[0].ranges[0].offset, 512);
		pmr_earlier_free(earlier);
		free(text);
	}
	pmr_zeros_release(&zeros);
	pmr_unref(ctx);
}

/* A device-dax has nothing that tells it from another but what tells its namespace. */
static void test_whole_round_trip(void **state)
{
	char *other = replace(base, "\"inode\": 12", "\"whole_device\": true"), *text;
	struct pmr_zeros zeros, again;
	size_t length;

	(void)state;
	assert_int_equal(parse(other, &zeros), 0);
	assert_true(zeros.file.whole_device);
	assert_int_equal(pmr_zeros_format(&zeros, &text, &length), 0);
	assert_int_equal(parse(text, &again), 0);
	assert_true(again.file.whole_device && !again.file.inode && !again.file.filesystem_uuid);
	assert_int_equal(again.file.size, 8000);
	assert_string_equal(again.device, "pmem0");
	assert_int_equal(again.n_ranges, 1);
	assert_int_equal(again.ranges[0].at.offset, 512);
	pmr_zeros_release(&zeros);
	pmr_zeros_release(&again);
	free(other);
	free(text);
}

static void test_names(void **state)
{
	static const struct {
		const char *uuid, *device;
		unsigned int n;
		const char *name;
	} rows[] = {
		{ UUID, "pmem0", 1, "5d7a5ebb-12" },	 { UUID, "pmem0", 2, "5d7a5ebb-12.2" },
		{ "AB-CD", "pmem0", 1, "AB_CD-12" },	 { NULL, "pmem0", 1, "pmem0-12" },
		{ "../../x", "pmem0", 1, "______x-12" }, { NULL, ".bad", 1, "_bad-12" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const struct pmr_zeros zeros = {
			.file = { .filesystem_uuid = (char *)rows[i].uuid, .inode = 12 },
			.device = (char *)rows[i].device,
		};
		char *name = pmr_zeros_name(&zeros, rows[i].n);

		assert_string_equal(name, rows[i].name);
		free(name);
	}
}

/* ---- what a repair changes, in a directory */

struct world {
	char top[64];
	char directory[80];
	struct pmr_ctx *ctx;
	struct pmr_device device;
	struct pmr_device *devices[1];
	struct pmr_topology topology;
	struct pmr_filesystem filesystem;
	struct pmr_file file;
	struct pmr_loss losses[MAX];
	struct pmr_file_plan file_plan;
	struct pmr_plan plan;
	char heard[512]; /* codes of warnings, each behind a blank */
};

static void hear(void *data, const struct pmr_message *message)
{
	struct world *world = data;

	if (message->level <= PMR_WARNING)
		strcat(strcat(world->heard, " "), message->code);
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	strcpy(world->top, "zeroed-XXXXXX");
	if (!mkdtemp(world->top) || pmr_new(&world->ctx))
		return -1;
	sprintf(world->directory, "%s/state", world->top);
	pmr_set_message_fn(world->ctx, hear, world);
	world->device.name = (char *)"pmr-test";
	world->device.path = (char *)"/dev/pmr-test";
	world->device.ns_name = (char *)"namespace7.0";
	world->device.ns_uuid = (char *)"01234567-89ab-cdef-0123-456789abcdef";
	world->devices[0] = &world->device;
	world->topology.devices = world->devices;
	world->topology.n_devices = 1;
	world->filesystem.device = &world->device;
	world->filesystem.uuid = (char *)UUID;
	world->file.path = (char *)"/not/there";
	world->file.inode = 12;
	world->file.generation = 7;
	world->file.size = 8000;
	world->file.filesystem = &world->filesystem;
	world->file.losses = world->losses;
	world->file_plan.file = &world->file;
	world->file_plan.n_steps = 1;
	world->plan.files = &world->file_plan;
	world->plan.n_files = 1;
	*state = world;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct world *world = *state;

	pmr_unref(world->ctx);
	nftw(world->top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(world);
	return 0;
}

struct loss {
	uint64_t offset, length;
	enum pmr_state state;
	const char *source, *reason;
	bool unwritten;
};

/* One repair of the file; its change time goes from @from to @to. */
static void repair(struct world *world, time_t from, time_t to, const struct loss *losses)
{
	struct timespec *before;

	memset(world->losses, 0, sizeof(world->losses));
	world->file.n_losses = 0;
	for (size_t i = 0; i < MAX && losses[i].length; i++, world->file.n_losses++)
		world->losses[i] =
			(struct pmr_loss){ .offset = losses[i].offset,
					   .length = losses[i].length,
					   .device_offset = 65536 + losses[i].offset,
					   .state = losses[i].state,
					   .source = losses[i].source,
					   .reason = losses[i].reason,
					   .method = losses[i].unwritten ? NULL : "write" };
	world->file.change_time.tv_sec = from;
	before = pmr_zeros_before(&world->plan);
	assert_non_null(before);
	world->file.change_time.tv_sec = to;
	assert_int_equal(pmr_zeros_account_in(world->ctx, world->directory, &world->plan, before),
			 0);
	free(before);
}

/* All that is told, as "id+length ..." */
static void check_told(struct world *world, const char *wanted)
{
	bool whole = world->file.whole_device;
	const struct pmr_zeroed *zeroed;
	struct pmr_zeroes *zeroes;
	char told[512] = "";
	size_t n;

	assert_int_equal(pmr_zeroes_new(world->ctx, world->directory, &zeroes), 0);
	assert_true(pmr_zeroes_is_known(zeroes));
	n = pmr_zeroes_get(zeroes, &zeroed);
	for (size_t i = 0; i < n; i++) {
		sprintf(told + strlen(told), "%s%s+%u", i ? " " : "", zeroed[i].id,
			(unsigned int)zeroed[i].length);
		assert_string_equal(zeroed[i].path, "/not/there");
		if (!whole)
			assert_string_equal(zeroed[i].filesystem_uuid, UUID);
		assert_int_equal(zeroed[i].inode, whole ? 0 : 12);
		assert_true(zeroed[i].zeroed_at > 1700000000);
	}
	assert_string_equal(told, wanted);
	pmr_zeroes_free(zeroes);
}

#define ZEROED(offset, length)                                  \
	{                                                       \
		offset, length, PMR_ZEROED, "zero", NULL, false \
	}
#define RESTORED(offset, length)                                    \
	{                                                           \
		offset, length, PMR_REPAIRED, "backup", NULL, false \
	}
#define LOSSES(...) ((const struct loss[MAX]){ __VA_ARGS__ })

static void test_account(void **state)
{
	struct world *world = *state;
	struct stat st;
	char path[160];

	/* nothing to remember, nothing is made */
	repair(world, 1, 2, LOSSES(RESTORED(0, 512)));
	assert_int_equal(access(world->directory, F_OK), -1);
	check_told(world, "");

	/* the last bytes of the file, of a sector that goes past its end */
	repair(world, 1, 2, LOSSES(ZEROED(512, 1024), ZEROED(7680, 512)));
	check_told(world, "5d7a5ebb-12@512+1024 5d7a5ebb-12@7680+320");
	sprintf(path, "%s/zeroed", world->directory);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	strcat(path, "/5d7a5ebb-12");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);

	/* more of the same file, and a part is restored: the repairs' own changes are no news */
	repair(world, 2, 3, LOSSES(ZEROED(4096, 512), RESTORED(1024, 512)));
	check_told(world, "5d7a5ebb-12@512+512 5d7a5ebb-12@4096+512 5d7a5ebb-12@7680+320");

	/* zeros from elsewhere are none, and neither is what failed and is listed still */
	repair(world, 3, 4,
	       LOSSES({ 512, 512, PMR_REPAIRED, "page-cache", NULL, false },
		      { 2048, 512, PMR_FAILED, "zero", "still-listed", false },
		      { 3072, 512, PMR_FAILED, "zero", "sync", false }));
	check_told(
		world,
		"5d7a5ebb-12@512+512 5d7a5ebb-12@3072+512 5d7a5ebb-12@4096+512 5d7a5ebb-12@7680+320");

	/* changed by somebody else: what is zeroed now is another matter, what is restored is restored */
	repair(world, 9, 10, LOSSES(ZEROED(512, 512), RESTORED(3072, 512)));
	check_told(world, "5d7a5ebb-12@4096+512 5d7a5ebb-12@7680+320 5d7a5ebb-12.2@512+512");

	/* all of it restored: no file is left */
	repair(world, 10, 11, LOSSES(RESTORED(512, 512), RESTORED(4096, 512), RESTORED(7680, 512)));
	check_told(world, "");
	assert_int_equal(access(path, F_OK), -1);
	assert_string_equal(world->heard, "");
}

/* Another file of that inode number, of another time or place, is another file. */
static void test_other_files(void **state)
{
	struct world *world = *state;

	repair(world, 1, 2, LOSSES(ZEROED(512, 512)));
	world->file.generation = 8;
	repair(world, 2, 3, LOSSES(RESTORED(512, 512)));
	check_told(world, "5d7a5ebb-12@512+512");
	world->file.generation = 7;
	world->filesystem.uuid = (char *)"5d7a5ebb-0000-0000-0000-000000000000";
	repair(world, 2, 3, LOSSES(RESTORED(512, 512)));
	check_told(world, "5d7a5ebb-12@512+512");
	/* one whose name would be the same gets one of its own */
	repair(world, 2, 3, LOSSES(ZEROED(1024, 512)));
	world->filesystem.uuid = (char *)UUID;
	repair(world, 2, 3, LOSSES(RESTORED(512, 512)));
	world->filesystem.uuid = (char *)"5d7a5ebb-0000-0000-0000-000000000000";
	repair(world, 3, 4, LOSSES(RESTORED(1024, 512)));
	check_told(world, "");
}

/* Of a device-dax all that was stored counts, also of a loss whose rest was left. */
static void test_whole_account(void **state)
{
	struct world *world = *state;

	world->file.whole_device = true;
	world->file.inode = world->file.generation = 0;
	world->filesystem.uuid = NULL;
	repair(world, 1, 1,
	       LOSSES({ 0, 512, PMR_FAILED, "zero", "clear-failed", false },
		      { 1024, 512, PMR_SKIPPED, "zero", "in-use", false },
		      { 2048, 512, PMR_SKIPPED, "zero", "in-use", true },
		      { 3072, 512, PMR_FAILED, "backup", "clear-failed", false }));
	check_told(world, "pmr_test-0@0+512 pmr_test-0@1024+512");
	/* another namespace's is another device */
	world->device.ns_uuid = (char *)"fedcba98-89ab-cdef-0123-456789abcdef";
	repair(world, 1, 1, LOSSES(RESTORED(0, 512)));
	check_told(world, "pmr_test-0@0+512 pmr_test-0@1024+512");
	world->device.ns_uuid = (char *)"01234567-89ab-cdef-0123-456789abcdef";
	repair(world, 1, 1, LOSSES(RESTORED(0, 512)));
	check_told(world, "pmr_test-0@1024+512");
	repair(world, 1, 1, LOSSES(RESTORED(1024, 512)));
	check_told(world, "");
}

/* ---- acknowledged */

static int acknowledge(struct world *world, const char *id)
{
	struct pmr_zeroes *zeroes;
	int ret;

	assert_int_equal(pmr_zeroes_new(world->ctx, world->directory, &zeroes), 0);
	ret = pmr_zeroes_acknowledge(zeroes, &world->topology, id);
	pmr_zeroes_free(zeroes);
	return ret;
}

static void test_acknowledge(void **state)
{
	static const struct {
		const char *id, *left;
	} rows[] = {
		{ "5d7a5ebb-12@512", "5d7a5ebb-12@4096+512" },
		{ "5d7a5ebb-12", "" },
		{ "/not/there", "" },
		{ "pmr-test", "" },
		{ "/dev/pmr-test", "" },
		{ "namespace7.0", "" },
		{ "5d7a5ebb-12@", NULL },
		{ "5d7a5ebb-12@5", NULL },
		{ "5d7a5ebb-12@5120", NULL },
		{ "5d7a5ebb-1", NULL },
		{ "pmr-tes", NULL },
		{ "", NULL },
	};
	struct world *world = *state;

	assert_int_equal(acknowledge(world, "5d7a5ebb-12"), -ENOENT);
	for (size_t i = 0; i < N(rows); i++) {
		acknowledge(world, "5d7a5ebb-12");
		repair(world, 1, 2, LOSSES(ZEROED(512, 512), ZEROED(4096, 512)));
		assert_int_equal(acknowledge(world, rows[i].id), rows[i].left ? 0 : -ENOENT);
		check_told(world, rows[i].left ? rows[i].left
					       : "5d7a5ebb-12@512+512 5d7a5ebb-12@4096+512");
	}
	/* another namespace is called so now */
	world->device.ns_uuid = (char *)"fedcba98-89ab-cdef-0123-456789abcdef";
	assert_int_equal(acknowledge(world, "pmr-test"), -ENOENT);
	assert_int_equal(acknowledge(world, "namespace7.0"), -ENOENT);
	world->topology.n_devices = 0;
	assert_int_equal(acknowledge(world, "namespace7.0"), 0);
	check_told(world, "");
}

/* ---- damaged, and not to be written */

static void write_text(const struct world *world, const char *name, const char *text)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/zeroed/%s", world->directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void test_damaged(void **state)
{
	struct world *world = *state;
	const struct pmr_zeroed *zeroed;
	struct pmr_zeroes *zeroes;

	repair(world, 1, 2, LOSSES(ZEROED(512, 512)));
	write_text(world, "5d7a5ebb-13", "{");
	write_text(world, "5d7a5ebb-14.bad", "{");
	write_text(world, ".5d7a5ebb-15.new", "{");
	assert_int_equal(pmr_zeroes_new(world->ctx, world->directory, &zeroes), 0);
	assert_false(pmr_zeroes_is_known(zeroes));
	assert_true(pmr_zeroes_is_lost(zeroes));
	assert_int_equal(pmr_zeroes_get(zeroes, &zeroed), 1);
	assert_string_equal(world->heard, " zeroed-malformed");
	pmr_zeroes_free(zeroes);
	assert_int_equal(acknowledge(world, "5d7a5ebb-13"), 0);
	check_told(world, "5d7a5ebb-12@512+512");
	/* a repair neither reads nor replaces what it does not understand */
	write_text(world, "5d7a5ebb-12", "{ \"format_version\": [ 2, 0 ] }");
	repair(world, 2, 3, LOSSES(ZEROED(512, 512)));
	*world->heard = '\0';
	assert_int_equal(pmr_zeroes_new(world->ctx, world->directory, &zeroes), 0);
	assert_string_equal(world->heard, " zeroed-unreadable");
	assert_int_equal(pmr_zeroes_get(zeroes, &zeroed), 1);
	assert_string_equal(zeroed[0].id, "5d7a5ebb-12.2@512");
	pmr_zeroes_free(zeroes);
}

static void test_no_directory(void **state)
{
	struct world *world = *state;
	struct timespec before = { 0 };
	struct pmr_zeroes *zeroes;
	FILE *file = fopen(world->directory, "w");

	assert_non_null(file);
	fclose(file);
	world->losses[0] =
		(struct pmr_loss){ .length = 512, .state = PMR_ZEROED, .source = "zero" };
	world->file.n_losses = 1;
	assert_int_equal(pmr_zeros_account_in(world->ctx, world->directory, &world->plan, &before),
			 -ENOTDIR);
	assert_string_equal(world->heard, " zeroed-not-kept");
	*world->heard = '\0';
	assert_int_equal(pmr_zeroes_new(world->ctx, world->directory, &zeroes), 0);
	assert_true(pmr_zeroes_is_lost(zeroes));
	assert_string_equal(world->heard, " zeroed-unreadable");
	pmr_zeroes_free(zeroes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_whole_round_trip),
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_account, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whole_account, setup, teardown),
		cmocka_unit_test_setup_teardown(test_acknowledge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_directory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
