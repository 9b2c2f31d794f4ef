/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal: what is written reads back, what was changed behind its back does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "repair/repair.h"
#include "device/topology.h"
#include "journal/journal.h"

struct fixture {
	struct pmr_ctx *ctx;
	struct pmr_scan scan;
	struct pmr_plan plan;
	struct pmr_journal *journal;
	char directory[64];
};

/* in the build directory: a journal is refused on tmpfs */
static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->directory, "journal-XXXXXX");
	if (!mkdtemp(f->directory) || pmr_new(&f->ctx))
		return -1;
	f->plan.scan = &f->scan;
	*state = f;
	return pmr_journal_open(f->ctx, f->directory, &f->plan, false, &f->journal);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char path[256];

	snprintf(path, sizeof(path), "%s", pmr_journal_path(f->journal));
	pmr_journal_close(f->journal);
	unlink(path);
	rmdir(f->directory);
	pmr_unref(f->ctx);
	free(f);
	return 0;
}

static void test_mode(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(stat(pmr_journal_path(f->journal), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_round_trip(void **state)
{
	struct fixture *f = *state;
	uint64_t first, second, position;
	char a[4096], b[512], back[4096];

	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	assert_int_equal(pmr_journal_bytes(f->journal, 8192, a, sizeof(a), &first), 0);
	assert_int_equal(pmr_journal_bytes(f->journal, 12288, b, sizeof(b), &second), 0);
	assert_int_equal(pmr_journal_sync(f->journal), 0);
	position = first;
	assert_int_equal(pmr_journal_read(f->journal, &position, back, sizeof(a)), 0);
	assert_memory_equal(back, a, sizeof(a));
	assert_int_equal(position, second);
	assert_int_equal(pmr_journal_read(f->journal, &position, back, sizeof(b)), 0);
	assert_memory_equal(back, b, sizeof(b));
	/* not the length that was written */
	assert_int_equal(pmr_journal_read(f->journal, &first, back, sizeof(b)), -EBADMSG);
}

/* any single byte that changes in a record is found */
static void test_flipped_byte(void **state)
{
	struct fixture *f = *state;
	uint64_t start, position;
	char bytes[64], back[64], c;
	struct stat st;
	int fd;

	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(pmr_journal_bytes(f->journal, 0, bytes, sizeof(bytes), &start), 0);
	assert_int_equal(pmr_journal_sync(f->journal), 0);
	fd = open(pmr_journal_path(f->journal), O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal((uint64_t)st.st_size - start, 32 + sizeof(bytes));
	for (off_t at = (off_t)start; at < st.st_size; at++) {
		assert_int_equal(pread(fd, &c, 1, at), 1);
		c ^= 0x10;
		assert_int_equal(pwrite(fd, &c, 1, at), 1);
		position = start;
		assert_int_equal(pmr_journal_read(f->journal, &position, back, sizeof(back)),
				 -EBADMSG);
		c ^= 0x10;
		assert_int_equal(pwrite(fd, &c, 1, at), 1);
	}
	position = start;
	assert_int_equal(pmr_journal_read(f->journal, &position, back, sizeof(back)), 0);
	assert_int_equal(ftruncate(fd, st.st_size - 1), 0);
	position = start;
	assert_int_equal(pmr_journal_read(f->journal, &position, back, sizeof(back)), -EBADMSG);
	close(fd);
}

/* The next byte of the file, by which it is seen that nothing was added. */
static uint64_t next_byte(struct fixture *f)
{
	uint64_t position;

	assert_int_equal(pmr_journal_bytes(f->journal, 0, "", 1, &position), 0);
	return position + 33;
}

/* What could not be read back, or would not say where all of it lies, is not begun. */
static void test_refused_file(void **state)
{
	struct pmr_device lower = { .name = (char[]){ "pmem0" } };
	struct pmr_stripe on_lower = { &lower, 0 };
	struct pmr_piece piece = { 0, 8192, 0, &on_lower, 1 };
	struct pmr_device volume = { .name = (char[]){ "dm-0" }, .pieces = &piece, .n_pieces = 1 };
	struct pmr_filesystem filesystem = { .type = (char[]){ "ext4" }, .device = &volume };
	struct pmr_file file = { .path = (char[]){ "f" }, .size = 4096, .filesystem = &filesystem };
	struct pmr_step step = { .length = 4096, .device_offset = 4096 };
	const struct pmr_file_plan plan = { .file = &file, .steps = &step, .n_steps = 1 };
	const struct pmr_claim claim = { .file = &file };
	struct fixture *f = *state;
	size_t index = 7;
	uint64_t next;

	next = next_byte(f);
	step.device_offset = 8192;
	assert_int_equal(pmr_journal_file(f->journal, &plan, &claim, &index), -ENOMEM);
	step.device_offset = 4096;
	filesystem.uuid = malloc(PMR_RECORD_MAX);
	assert_non_null(filesystem.uuid);
	memset(filesystem.uuid, 'u', PMR_RECORD_MAX - 1);
	filesystem.uuid[PMR_RECORD_MAX - 1] = 0;
	assert_int_equal(pmr_journal_file(f->journal, &plan, &claim, &index), -EFBIG);
	assert_int_equal(index, 7);
	assert_int_equal(next_byte(f), next + 33);
	filesystem.uuid[36] = 0;
	assert_int_equal(pmr_journal_file(f->journal, &plan, &claim, &index), 0);
	assert_int_equal(index, 0);
	free(filesystem.uuid);
}

static void test_finish(void **state)
{
	struct fixture *f = *state;
	char before[256];

	snprintf(before, sizeof(before), "%s", pmr_journal_path(f->journal));
	assert_int_equal(pmr_journal_finish(f->journal), 0);
	assert_int_equal(access(before, F_OK), -1);
	assert_int_equal(access(pmr_journal_path(f->journal), F_OK), 0);
	assert_non_null(strstr(pmr_journal_path(f->journal), ".done"));
}

static void test_full_disk(void **state)
{
	struct fixture *f = *state;
	uint64_t position = 7, small;
	static char bytes[PMR_CHUNK];
	int full = open("/dev/full", O_RDWR), fd;

	/* the journal's own descriptor comes to mean a full disk */
	fd = open(pmr_journal_path(f->journal), O_RDONLY);
	assert_true(full >= 0 && fd >= 0);
	for (int i = 3; i < full; i++) {
		struct stat a, b;

		if (!fstat(i, &a) && !fstat(fd, &b) && a.st_ino == b.st_ino && a.st_dev == b.st_dev)
			assert_int_equal(dup2(full, i), i);
	}
	assert_int_equal(pmr_journal_bytes(f->journal, 0, bytes, sizeof(bytes), &position),
			 -ENOSPC);
	assert_int_equal(position, 7);
	/* what is small waits for the others, and is told of when it must be there */
	if (!pmr_journal_bytes(f->journal, 0, bytes, 4096, &small))
		assert_int_equal(pmr_journal_sync(f->journal), -ENOSPC);
	assert_int_equal(pmr_journal_sync(f->journal), -ENOSPC);
	close(full);
	close(fd);
}

static void test_volatile_place(void **state)
{
	struct fixture *f = *state;
	struct pmr_journal *journal = NULL;

	assert_int_equal(pmr_journal_open(f->ctx, "/dev/shm", &f->plan, false, &journal), -EINVAL);
	assert_null(journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flipped_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_finish, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_volatile_place, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
