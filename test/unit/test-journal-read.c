/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading a journal back: all that was written, the torn end of one, and nothing of one that was changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>
#include <cmocka.h>

#include "core/document.h"
#include "journal/journal.h"

#define PIECES 3

struct fixture {
	struct pmr_ctx *ctx;
	struct pmr_journal *journal;
	char directory[64];
	uint64_t positions[PIECES];
	off_t opened; /* where the mark before the writes begins and ends */
	off_t open_end;
};

static char bytes[PIECES][512];

static off_t size_of(const struct fixture *f)
{
	struct stat st;

	assert_int_equal(stat(pmr_journal_path(f->journal), &st), 0);
	return st.st_size;
}

/* One file: two steps of which the second has two pieces. */
static int write_journal(struct fixture *f)
{
	struct pmr_device device = { .name = "pmem7" };
	struct pmr_filesystem filesystem = { .type = "xfs", .uuid = "1-2", .device = &device };
	struct pmr_loss losses[2] = {
		{ .offset = 0, .length = 512, .device_offset = 8192, .state = PMR_LOST },
		{ .offset = 4096,
		  .length = 700,
		  .device_offset = 65536,
		  .state = PMR_LOST,
		  .shared = true },
	};
	struct pmr_step steps[2] = {
		{ .offset = 0, .length = 512, .device_offset = 8192, .method = PMR_METHOD_WRITE },
		{ .offset = 4096,
		  .length = 1024,
		  .device_offset = 65536,
		  .method = PMR_METHOD_DEVICE },
	};
	static char path[] = "/no where/\xff\n";
	struct pmr_file file = { .path = path,
				 .inode = 77,
				 .generation = 5,
				 .size = 4796,
				 .filesystem = &filesystem,
				 .losses = losses,
				 .n_losses = 2 };
	struct pmr_file_plan plan = {
		.file = &file, .method = PMR_METHOD_WRITE, .steps = steps, .n_steps = 2
	};
	struct pmr_claim claim = { .file = &file,
				   .mode = 04755,
				   .change_time = { 1700000000, 9 },
				   .capability = (void *)(uintptr_t) "\x01\xfe",
				   .capability_length = 2 };
	static const uint64_t offsets[PIECES] = { 0, 4096, 4608 };
	size_t index;
	int ret;

	ret = pmr_journal_file(f->journal, &plan, &claim, &index);
	for (size_t i = 0; !ret && i < PIECES; i++) {
		memset(bytes[i], 'a' + (int)i, sizeof(bytes[i]));
		ret = pmr_journal_bytes(f->journal, offsets[i], bytes[i], sizeof(bytes[i]),
					&f->positions[i]);
	}
	if (!ret)
		ret = pmr_journal_sync(f->journal);
	f->opened = size_of(f);
	if (!ret)
		ret = pmr_journal_mark(f->journal, index, PMR_MARK_OPEN, f->positions, PIECES,
				       &claim.change_time);
	f->open_end = size_of(f);
	claim.change_time.tv_nsec++;
	if (!ret)
		ret = pmr_journal_mark(f->journal, index, PMR_MARK_DONE, f->positions, 1,
				       &claim.change_time);
	if (!ret)
		ret = pmr_journal_mark(f->journal, index, PMR_MARK_NONE, f->positions + 2, 1,
				       &claim.change_time);
	return ret;
}

/* in the build directory: a journal is refused on tmpfs */
static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct pmr_scan scan = { 0 };
	struct pmr_plan plan = { .scan = &scan };

	strcpy(f->directory, "journal-XXXXXX");
	*state = f;
	if (!mkdtemp(f->directory) || pmr_new(&f->ctx))
		return -1;
	return pmr_journal_open(f->ctx, f->directory, &plan, false, &f->journal) ||
	       write_journal(f);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	pmr_journal_close(f->journal);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->directory);
	assert_int_equal(system(command), 0);
	pmr_unref(f->ctx);
	free(f);
	return 0;
}

static int parse(const struct fixture *f, struct pmr_journal_entry *entry)
{
	int fd = open(pmr_journal_path(f->journal), O_RDONLY), ret;

	assert_true(fd >= 0);
	*entry = (struct pmr_journal_entry){ 0 };
	ret = pmr_journal_parse(fd, entry);
	close(fd);
	return ret;
}

static void test_whole(void **state)
{
	const struct fixture *f = *state;
	const struct pmr_journal_file *file;
	struct pmr_journal_entry entry;

	assert_int_equal(parse(f, &entry), 0);
	assert_int_equal(entry.state, PMR_JOURNAL_UNFINISHED);
	assert_true(entry.written && !entry.torn && !entry.zero_fill);
	assert_int_equal(entry.end, size_of(f));
	assert_int_equal(entry.n_files, 1);
	assert_true(entry.has_planned && entry.n_planned == 0);
	file = &entry.files[0];
	assert_string_equal(file->path, "/no where/\xff\n");
	assert_int_equal(file->inode, 77);
	assert_int_equal(file->generation, 5);
	assert_int_equal(file->size, 4796);
	assert_int_equal(file->mode, 04755);
	assert_int_equal(file->change_time.tv_nsec, 10);
	assert_int_equal(file->capability_length, 2);
	assert_memory_equal(file->capability, "\x01\xfe", 2);
	assert_string_equal(file->device, "pmem7");
	assert_null(file->namespace_uuid);
	assert_int_equal(file->n_losses, 2);
	assert_true(file->losses[1].shared && file->losses[1].length == 700);
	assert_int_equal(file->n_pieces, PIECES);
	assert_int_equal(file->pieces[0].mark, PMR_MARK_DONE);
	assert_int_equal(file->pieces[1].mark, PMR_MARK_OPEN);
	assert_int_equal(file->pieces[2].mark, PMR_MARK_NONE);
	assert_int_equal(file->pieces[2].offset, 4608);
	assert_int_equal(file->pieces[2].device_offset, 65536 + 512);
	assert_int_equal(file->pieces[2].method, PMR_METHOD_DEVICE);
	assert_true(time(NULL) - file->pieces[1].marked.tv_sec < 600);
	pmr_journal_entry_release(&entry);
}

/* Wherever it is cut, what is whole counts; and no write had begun where the mark before it is not whole. */
static void test_cut(void **state)
{
	const struct fixture *f = *state;
	struct pmr_journal_entry entry;

	for (off_t size = size_of(f) - 1; size >= 0; size--) {
		assert_int_equal(truncate(pmr_journal_path(f->journal), size), 0);
		assert_int_equal(parse(f, &entry), 0);
		if (entry.state == PMR_JOURNAL_DAMAGED) {
			/* not even the first record is there */
			assert_string_equal(entry.reason, "not-a-journal");
			assert_true(size < 400);
		} else {
			assert_int_equal(entry.torn, entry.end != (uint64_t)size);
			assert_int_equal(entry.written, size >= f->open_end);
		}
		pmr_journal_entry_release(&entry);
	}
}

static void test_flipped(void **state)
{
	const struct fixture *f = *state;
	int fd = open(pmr_journal_path(f->journal), O_RDWR);
	struct pmr_journal_entry entry;
	char c;

	assert_true(fd >= 0);
	for (off_t at = 0; at < size_of(f); at++) {
		assert_int_equal(pread(fd, &c, 1, at), 1);
		c ^= 0x04;
		assert_int_equal(pwrite(fd, &c, 1, at), 1);
		assert_int_equal(parse(f, &entry), 0);
		if (at < f->opened)
			assert_int_equal(entry.state, PMR_JOURNAL_DAMAGED);
		else
			assert_true(entry.torn && entry.end <= (uint64_t)at);
		pmr_journal_entry_release(&entry);
		c ^= 0x04;
		assert_int_equal(pwrite(fd, &c, 1, at), 1);
	}
	close(fd);
}

static void test_reopen(void **state)
{
	struct fixture *f = *state;
	struct pmr_scan scan = { 0 };
	struct pmr_plan plan = { .scan = &scan };
	struct pmr_journal_entry entry, again;
	struct pmr_journal *journal = NULL;
	struct timespec time = { 1, 2 };

	assert_int_equal(parse(f, &entry), 0);
	entry.path = strdup(pmr_journal_path(f->journal));
	assert_int_equal(pmr_journal_reopen(f->ctx, &entry, &plan, &journal), -EBUSY);
	pmr_journal_close(f->journal);
	/* half of a mark */
	assert_int_equal(truncate(entry.path, (off_t)entry.end - 5), 0);
	assert_int_equal(pmr_journal_reopen(f->ctx, &entry, &plan, &journal), -ESTALE);
	pmr_journal_entry_release(&entry);
	f->journal = NULL;
	struct pmr_journals *journals;
	assert_int_equal(pmr_journals_new(f->ctx, f->directory, 0, &journals), 0);
	assert_int_equal(journals->n, 1);
	assert_int_equal(journals->v[0].state, PMR_JOURNAL_UNFINISHED);
	assert_true(journals->v[0].torn && journals->v[0].same_boot && journals->v[0].same_host);
	assert_int_equal(journals->v[0].files[0].pieces[2].mark, PMR_MARK_OPEN);
	assert_int_equal(pmr_journal_reopen(f->ctx, &journals->v[0], &plan, &f->journal), 0);
	assert_int_equal(
		pmr_journal_mark(f->journal, 0, PMR_MARK_DONE, f->positions, PIECES, &time), 0);
	assert_int_equal(parse(f, &again), 0);
	assert_false(again.torn);
	assert_int_equal(again.files[0].pieces[2].mark, PMR_MARK_DONE);
	pmr_journal_entry_release(&again);
	assert_int_equal(pmr_journal_finish(f->journal), 0);
	assert_int_equal(parse(f, &again), 0);
	assert_int_equal(again.state, PMR_JOURNAL_DONE);
	pmr_journal_entry_release(&again);
	pmr_journals_free(journals);
}

static void count(struct fixture *f, unsigned int flags, size_t n)
{
	struct pmr_journals *journals;

	assert_int_equal(pmr_journals_new(f->ctx, f->directory, flags, &journals), 0);
	assert_int_equal(journals->n, n);
	pmr_journals_free(journals);
}

static void test_directory(void **state)
{
	struct fixture *f = *state;
	struct utimbuf old = { 1000, time(NULL) - 91 * 86400 };
	struct pmr_journals *journals;
	char path[256];

	assert_int_equal(pmr_journals_new(f->ctx, "no such directory", 0, &journals), 0);
	assert_int_equal(journals->n, 0);
	pmr_journals_free(journals);
	assert_int_equal(pmr_journals_new(f->ctx, f->directory, 0, &journals), 0);
	assert_int_equal(journals->v[0].state, PMR_JOURNAL_RUNNING);
	assert_int_equal(pmr_journal_set_aside(f->ctx, &journals->v[0]), -EBUSY);
	pmr_journal_close(f->journal);
	f->journal = NULL;
	assert_int_equal(pmr_journal_set_aside(f->ctx, &journals->v[0]), 0);
	assert_int_equal(journals->v[0].state, PMR_JOURNAL_ASIDE);
	assert_int_equal(pmr_journal_set_aside(f->ctx, &journals->v[0]), -EINVAL);
	snprintf(path, sizeof(path), "%s", journals->v[0].path);
	pmr_journals_free(journals);
	count(f, 0, 0);
	count(f, PMR_JOURNALS_ALL, 1);
	assert_int_equal(pmr_journals_prune(f->ctx, f->directory, 90), 0);
	count(f, PMR_JOURNALS_ALL, 1);
	assert_int_equal(utime(path, &old), 0);
	assert_int_equal(pmr_journals_prune(f->ctx, f->directory, PMR_KEEP_FOREVER), 0);
	count(f, PMR_JOURNALS_ALL, 1);
	assert_int_equal(pmr_journals_prune(f->ctx, f->directory, 90), 0);
	count(f, PMR_JOURNALS_ALL, 0);
}

/* What lies around the steps of a device-dax, told and read back; and held against what is there later. */
static void test_around(void **state)
{
	static const uint64_t end = 16384 + 3 * PMR_CHUNK;
	static const uint64_t wanted[] = { 0,	       1024,	   1536,       2048,
					   2560,       3072,	   3584,       8192,
					   15872,      end + 512,  end + 1024, end + 1536,
					   end + 2048, end + 2560, end + 3072, end + 3584 };
	static const struct {
		uint64_t stored_to;
		bool changed[6]; /* around each of the pieces: the last four touch each other */
	} rows[] = {
		{ 0, { true } },
		{ 600, { false } },
		{ 2048, { true } },
		{ 3600, { true, true } },
		{ 5000, { false } },
		{ 8300, { false, true } },
		{ 9000, { false } },
		{ 16000, { false, false, true, true, true, true } },
		{ 16384 + PMR_CHUNK, { false } },
		{ 16384 + 3 * PMR_CHUNK + 600, { false, false, true, true, true, true } },
		{ 16384 + 3 * PMR_CHUNK + 5000, { false } },
	};
	static char sectors[16384 + 4 * PMR_CHUNK];
	static char path[] = "dax";
	struct pmr_device device = { .name = "dax0.0", .badblocks.trust = PMR_LIST_COMPLETE };
	struct pmr_filesystem filesystem = { .device = &device };
	struct pmr_loss losses[] = { { .offset = 512, .length = 512 },
				     { .offset = 4096, .length = 4096 },
				     { .offset = 16384, .length = 3 * PMR_CHUNK + 512 } };
	struct pmr_step steps[] = {
		{ .offset = 512, .length = 512, .device_offset = 512, .method = PMR_METHOD_CLEAR },
		{ .offset = 4096,
		  .length = 4096,
		  .device_offset = 4096,
		  .method = PMR_METHOD_CLEAR },
		{ .offset = 16384,
		  .length = 3 * PMR_CHUNK + 512,
		  .device_offset = 16384,
		  .method = PMR_METHOD_CLEAR },
	};
	struct pmr_journal_piece pieces[] = {
		{ .offset = 512, .length = 512 },
		{ .offset = 4096, .length = 4096 },
		{ .offset = 16384, .length = PMR_CHUNK },
		{ .offset = 16384 + PMR_CHUNK, .length = PMR_CHUNK },
		{ .offset = 16384 + 2 * PMR_CHUNK, .length = PMR_CHUNK },
		{ .offset = 16384 + 3 * PMR_CHUNK, .length = 512 },
	};
	struct pmr_file file = { .path = path,
				 .size = sizeof(sectors),
				 .filesystem = &filesystem,
				 .losses = losses,
				 .n_losses = 3,
				 .whole_device = true };
	struct pmr_file_plan plan = { .file = &file, .steps = steps, .n_steps = 3 };
	struct pmr_claim claim = { .fd = -1, .file = &file };
	struct pmr_journal_file read = { 0 };
	struct pmr_media *media = NULL;
	struct pmr_step *read_steps;
	struct json_object *object;
	int memory = memfd_create("dax", MFD_CLOEXEC);
	size_t n_steps;
	bool changed;

	(void)state;
	assert_int_equal(pmr_nofault_init(), 0);
	assert_int_equal(write(memory, sectors, sizeof(sectors)), sizeof(sectors));
	assert_int_equal(pmr_media_open_loads(memory, sizeof(sectors), PMR_PAGE, false, &media), 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pmr_ranges_add(&device.badblocks.ranges, losses[i].offset,
						losses[i].length),
				 0);
	assert_int_equal(pmr_journal_look_around(media, &plan, &claim), 0);
	object = pmr_journal_tell_file(&plan, &claim);
	assert_int_equal(pmr_journal_parse_file(object, &read, &read_steps, &n_steps), 0);
	json_object_put(object);
	free(read_steps);
	assert_true(read.whole_device && !read.in_use && n_steps == 3);
	assert_int_equal(read.n_around, sizeof(wanted) / sizeof(wanted[0]));
	for (size_t i = 0; i < read.n_around; i++)
		assert_int_equal(read.around[i].offset, wanted[i]);
	read.pieces = pieces;
	read.n_pieces = sizeof(pieces) / sizeof(pieces[0]);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(pwrite(memory, "x", 1, (off_t)rows[i].stored_to), 1);
		for (size_t k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++) {
			assert_int_equal(pmr_journal_is_around_changed(media, &read, &pieces[k],
								       &device.badblocks.ranges,
								       &changed),
					 0);
			assert_int_equal(changed, rows[i].changed[k]);
		}
		assert_int_equal(pwrite(memory, "", 1, (off_t)rows[i].stored_to), 1);
	}
	read.pieces = NULL;
	pmr_ranges_release(&device.badblocks.ranges);
	pmr_journal_file_release(&read);
	pmr_claim_release(&claim);
	pmr_media_close(media);
	pmr_nofault_release();
}

/* What the steps of a file on a volume lie on, told and read back: a piece of it, and two chunks of a stripe. */
static void test_below(void **state)
{
	static char name_a[] = "pmem0", name_b[] = "pmem1",
		    uuid[] = "11111111-2222-3333-4444-555555555555";
	struct pmr_device a = { .name = name_a, .ns_uuid = uuid }, b = { .name = name_b };
	struct pmr_stripe first = { .lower = &b, .offset = 65536 };
	struct pmr_stripe second[] = { { .lower = &a, .offset = 4096 }, { .lower = &b } };
	struct pmr_piece pieces[] = {
		{ .length = 8192, .stripes = &first, .n_stripes = 1 },
		{ .offset = 8192,
		  .length = 16384,
		  .chunk = 4096,
		  .stripes = second,
		  .n_stripes = 2 },
	};
	struct pmr_device volume = { .mode = PMR_MODE_MAPPED, .pieces = pieces, .n_pieces = 2 };
	struct pmr_filesystem filesystem = { .device = &volume };
	struct pmr_step steps[] = {
		{ .length = 4096, .device_offset = 4096, .method = PMR_METHOD_WRITE },
		{ .offset = 4096,
		  .length = 8192,
		  .device_offset = 8192 + 4096,
		  .method = PMR_METHOD_WRITE },
	};
	struct pmr_file file = { .size = 65536, .filesystem = &filesystem };
	struct pmr_file_plan plan = { .file = &file, .steps = steps, .n_steps = 2 };
	struct pmr_claim claim = { .fd = -1, .file = &file };
	static const struct {
		uint64_t offset, length, device_offset;
		const char *device;
	} wanted[] = {
		{ 4096, 4096, 65536 + 4096, "pmem1" },
		{ 12288, 4096, 0, "pmem1" },
		{ 16384, 4096, 8192, "11111111-2222-3333-4444-555555555555" },
	};
	struct pmr_journal_file read = { 0 };
	struct pmr_step *read_steps = NULL;
	struct json_object *object = pmr_journal_tell_file(&plan, &claim), *list;
	size_t n_steps;

	(void)state;
	assert_int_equal(pmr_journal_parse_file(object, &read, &read_steps, &n_steps), 0);
	assert_int_equal(read.n_below, sizeof(wanted) / sizeof(wanted[0]));
	for (size_t i = 0; i < read.n_below; i++) {
		assert_int_equal(read.below[i].offset, wanted[i].offset);
		assert_int_equal(read.below[i].length, wanted[i].length);
		assert_int_equal(read.below[i].device_offset, wanted[i].device_offset);
		assert_string_equal(read.below[i].device, wanted[i].device);
	}
	free(read_steps);
	pmr_journal_file_release(&read);
	/* nothing of it is left out */
	list = pmr_document_member(object, "below", json_type_array);
	json_object_object_del(json_object_array_get_idx(list, 1), "device");
	assert_int_equal(pmr_journal_parse_file(object, &read, &read_steps, &n_steps), -EBADMSG);
	pmr_journal_file_release(&read);
	json_object_put(object);
}

/* What no journal says. */
static void test_around_malformed(void **state)
{
	static const char *const arounds[] = {
		"[[512]]",
		"[[512, -1]]",
		"[[512, 4294967296]]",
		"[512, 1]",
		"[[512, 1], [0, 1]]",
		"[[512, 1], [512, 1]]",
		"[[100, 1]]",
		"[[9223372036854775296, 1]]",
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(arounds) / sizeof(arounds[0]); i++) {
		struct pmr_journal_file file = { 0 };
		struct pmr_step *steps = NULL;
		struct json_object *object;
		size_t n;

		snprintf(
			text, sizeof(text),
			"{\"inode\": 0, \"generation\": 0, \"size\": 4096, \"mode\": 0, \"change_time\": [0, 0], "
			"\"losses\": [], \"steps\": [], \"around\": %s}",
			arounds[i]);
		object = json_tokener_parse(text);
		assert_non_null(object);
		if (pmr_journal_parse_file(object, &file, &steps, &n) != -EBADMSG)
			fail_msg("%s", arounds[i]);
		pmr_journal_file_release(&file);
		json_object_put(object);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flipped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reopen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directory, setup, teardown),
		cmocka_unit_test(test_around),
		cmocka_unit_test(test_below),
		cmocka_unit_test(test_around_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
