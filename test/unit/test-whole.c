/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device-dax is written part by part: what comes of its ranges where one is left or the run ends early. Its bytes are those of
 * a file that is mapped, its bus and its journal are made up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define pmr_clear fake_clear
#define pmr_dax_check fake_dax_check
#define pmr_device_refresh fake_refresh
#define pmr_journal_look_around fake_look_around
#define pmr_journal_mark fake_mark
#define pmr_journal_read fake_journal_read
#define pmr_media_open_writable fake_open
#define pmr_media_write_block fake_write
#define pmr_whole_users fake_users
/* its parts are to be seen one by one */
#include "repair/repair.c"
#include "repair/whole.c"
#undef pmr_media_write_block
int pmr_media_write_block(struct pmr_media *media, uint64_t offset, const void *buffer,
			  size_t length);

#include "media/loads.h"

#define PARTS 4
#define SIZE (PARTS * PMR_CHUNK)
#define NOWHERE UINT64_MAX /* a step of which the journal has nothing */

/* How a run goes: the call of each kind, from 1 on, that is to be the odd one; 0 for none. */
struct course {
	unsigned int mark_fails, read_fails, refresh_fails, used, spoiled;
	unsigned int gone; /* from that check of the device on */
	int gone_as;
	unsigned int clear_fails, clear_halves, clear_unlists_not, write_spoils;
	int refresh_fails_as; /* else -ENOMEM */
	bool found_by_reading; /* what is bad is in no list of the kernel's */
};

static struct course course;
static unsigned int marks, reads, refreshes, looks, clears, checks, writes;
static bool resumed; /* then what is cleared is what is @dead of it */
static struct pmr_ranges dead;
static struct pmr_device device;
static struct pmr_media *media;
static char bytes[SIZE]; /* that are to be there */
static int memory = -1;

int fake_mark(struct pmr_journal *journal, size_t index, enum pmr_mark mark,
	      const uint64_t *positions, size_t n, const struct timespec *change_time)
{
	(void)journal, (void)index, (void)mark, (void)positions, (void)n, (void)change_time;
	return ++marks == course.mark_fails ? -ENOSPC : 0;
}

int fake_journal_read(struct pmr_journal *journal, uint64_t *position, void *to, size_t length)
{
	(void)journal;
	if (++reads == course.read_fails)
		return -EIO;
	if (*position == NOWHERE)
		return -EBADMSG;
	memcpy(to, bytes + *position, length);
	*position += length;
	return 0;
}

static int around_fails;

int fake_look_around(struct pmr_media *of, const struct pmr_file_plan *plan,
		     struct pmr_claim *claim)
{
	(void)of, (void)plan, (void)claim;
	return around_fails;
}

int fake_refresh(struct pmr_ctx *ctx, struct pmr_device *of)
{
	(void)ctx, (void)of;
	if (++refreshes != course.refresh_fails)
		return 0;
	return course.refresh_fails_as ? course.refresh_fails_as : -ENOMEM;
}

int fake_dax_check(const struct pmr_device *of)
{
	(void)of;
	checks++;
	return course.gone && checks >= course.gone ? course.gone_as : 0;
}

/* Called at each look: the time to do what others do meanwhile. */
void fake_users(const struct pmr_device *of, char *text, size_t size)
{
	(void)of, (void)size;
	strcpy(text, ++looks == course.used ? "another" : "");
	if (looks == course.spoiled)
		assert_int_equal(pwrite(memory, "theirs", 6, 0), 6);
}

int fake_clear(const struct pmr_device *of, uint64_t address, uint64_t length, uint64_t *cleared)
{
	struct pmr_ranges gone = { 0 }, left = { 0 };

	(void)of;
	clears++;
	*cleared = 0;
	if (clears == course.clear_fails)
		return -EIO;
	if (clears == course.clear_halves)
		length /= 2;
	*cleared = length;
	if (course.found_by_reading || clears == course.clear_unlists_not)
		return 0;
	assert_int_equal(pmr_ranges_add(&gone, address, length), 0);
	assert_int_equal(pmr_ranges_subtract(&left, &device.badblocks.ranges, &gone), 0);
	pmr_ranges_release(&gone);
	pmr_ranges_release(&device.badblocks.ranges);
	device.badblocks.ranges = left;
	return clears == course.clear_halves ? -EIO : 0;
}

int fake_write(struct pmr_media *to, uint64_t offset, const void *from, size_t length)
{
	int ret = pmr_media_write_block(to, offset, from, length);

	if (++writes == course.write_spoils)
		assert_int_equal(pwrite(memory, "theirs", 6, (off_t)offset), 6);
	return ret;
}

static const char *fake_look(struct pmr_writer *writer, struct pmr_media *of, uint64_t piece,
			     struct pmr_ranges *found)
{
	(void)writer, (void)of, (void)piece;
	return pmr_ranges_copy(found, &dead) ? "no-memory" : NULL;
}

int fake_open(struct pmr_ctx *ctx, const struct pmr_device *of, struct pmr_media **opened)
{
	(void)ctx, (void)of;
	*opened = media;
	return 0;
}

/* Sets up the device, all of it as it is to be, and @losses of it bad. */
static void reset(struct pmr_loss *losses, size_t n)
{
	marks = reads = refreshes = looks = clears = checks = writes = 0;
	pmr_ranges_release(&device.badblocks.ranges);
	pmr_ranges_release(&device.reading.found);
	device = (struct pmr_device){ .size = SIZE, .badblocks.trust = PMR_LIST_COMPLETE };
	for (size_t i = 0; i < n; i++) {
		losses[i].state = PMR_LOST;
		losses[i].source = "backup";
		assert_int_equal(pmr_ranges_add(&device.badblocks.ranges, losses[i].offset,
						losses[i].length),
				 0);
		if (course.found_by_reading)
			assert_int_equal(pmr_ranges_add(&device.reading.found, losses[i].offset,
							losses[i].length),
					 0);
	}
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * 7 + i / 251 + 1);
	memory = memfd_create("whole", MFD_CLOEXEC);
	assert_true(memory >= 0);
	assert_int_equal(pwrite(memory, bytes, SIZE, 0), SIZE);
	assert_int_equal(pmr_media_open_loads(memory, SIZE, PMR_PAGE, true, &media), 0);
}

static int run_steps(struct pmr_loss *losses, size_t n, struct pmr_step *steps, size_t n_steps,
		     bool *needs_journal)
{
	struct pmr_filesystem filesystem = { .device = &device };
	struct pmr_file file = { .path = (char[]){ "dax" },
				 .size = SIZE,
				 .losses = losses,
				 .n_losses = n,
				 .whole_device = true,
				 .filesystem = &filesystem };
	struct pmr_file_plan plan = { .file = &file, .steps = steps, .n_steps = n_steps };
	struct pmr_writer writer = { 0 };
	int ret;

	if (resumed)
		writer.look_whole = fake_look;
	assert_int_equal(pmr_new(&writer.ctx), 0);
	writer.before = malloc(PMR_CHUNK);
	writer.bytes = malloc(PMR_CHUNK);
	ret = pmr_whole_run(&writer, &plan);
	*needs_journal = writer.needs_journal;
	free(writer.before);
	free(writer.bytes);
	pmr_unref(writer.ctx);
	return ret;
}

static int run(struct pmr_loss *losses, size_t n, struct pmr_step *step, bool *needs_journal)
{
	step->redo = resumed;
	step->n_losses = (unsigned int)n;
	step->journal_offset = step->offset;
	return run_steps(losses, n, step, 1, needs_journal);
}

/* A range in the first part, one of three parts, and one of the last two: what is told of them. */
static void test_parts(void **state)
{
	static const struct {
		const char *what;
		struct course course;
		int ret;
		unsigned int clears;
		const char *reasons[3]; /* NULL: repaired */
	} rows[] = {
		{ "all of it", { 0 }, 0, 4, { NULL } },
		/* of each part two marks: the first part is done, and the second not begun */
		{ "the journal cannot be marked",
		  { .mark_fails = 3 },
		  -ENOSPC,
		  1,
		  { NULL, "journal-error", "journal-error" } },
		{ "nor after the last",
		  { .mark_fails = 8 },
		  -ENOSPC,
		  4,
		  { NULL, NULL, "journal-error" } },
		{ "it cannot be read",
		  { .read_fails = 2 },
		  -EIO,
		  1,
		  { NULL, "journal-error", "journal-error" } },
		/* the one after the clear of the second part */
		{ "the list cannot be read",
		  { .refresh_fails = 4 },
		  -ENOMEM,
		  2,
		  { NULL, "no-memory", "no-memory" } },
		/* and is gone before the third part */
		{ "another program comes", { .used = 2 }, 0, 1, { NULL, "in-use", "in-use" } },
		{ "found by reading", { .found_by_reading = true }, 0, 4, { NULL } },
	};
	bool needs_journal;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pmr_loss losses[] = {
			{ .offset = 0, .length = 512 },
			{ .offset = 1024, .length = 3 * PMR_CHUNK - 2048 },
			{ .offset = 3 * PMR_CHUNK - 512, .length = PMR_CHUNK + 512 },
		};
		struct pmr_step step = { .length = SIZE };

		course = rows[i].course;
		reset(losses, 3);
		assert_int_equal(run(losses, 3, &step, &needs_journal), rows[i].ret);
		if (clears != rows[i].clears)
			fail_msg("%s: %u parts cleared", rows[i].what, clears);
		for (size_t k = 0; k < 3; k++) {
			if (losses[k].state != (rows[i].reasons[k] ? PMR_SKIPPED : PMR_REPAIRED))
				fail_msg("%s: state %d", rows[i].what, losses[k].state);
			if (rows[i].reasons[k])
				assert_string_equal(losses[k].reason, rows[i].reasons[k]);
		}
		/* what was stored in part says how, whatever became of the rest: zeros are remembered by that */
		assert_string_equal(losses[1].method, "clear");
		assert_false(needs_journal);
		/* what reading found and is repaired is bad no more */
		if (!rows[i].ret && clears == PARTS)
			assert_int_equal(device.badblocks.ranges.n, 0);
	}
}

/* What a clear takes with it is stored as it was; not where it is that no more. */
static void test_rest(void **state)
{
	bool needs_journal;

	(void)state;
	for (unsigned int spoiled = 0; spoiled < 2; spoiled++) {
		struct pmr_loss loss = { .offset = 512, .length = 512 };
		struct pmr_step step = { .length = PMR_PAGE };

		course = (struct course){ .spoiled = spoiled };
		reset(&loss, 1);
		assert_int_equal(run(&loss, 1, &step, &needs_journal), 0);
		assert_int_equal(clears, !spoiled);
		assert_int_equal(loss.state, spoiled ? PMR_SKIPPED : PMR_REPAIRED);
		if (spoiled)
			assert_string_equal(loss.reason, "changed");
	}
}

/* What goes away, or becomes another, right before the look, during it, and after it. Nothing is cleared by its address. */
static void test_gone(void **state)
{
	static const struct {
		struct course course;
		enum pmr_state state;
		const char *reason;
	} rows[] = {
		{ { .gone = 1, .gone_as = -ENODEV }, PMR_SKIPPED, "gone" },
		{ { .gone = 1, .gone_as = -ESTALE }, PMR_SKIPPED, "gone" },
		{ { .gone = 1, .gone_as = -EIO }, PMR_SKIPPED, "device-error" },
		{ { .gone = 2, .gone_as = -ENODEV }, PMR_SKIPPED, "gone" },
		{ { .gone = 2, .gone_as = -ENODEV, .spoiled = 1 }, PMR_SKIPPED, "gone" },
		{ { .gone = 3, .gone_as = -ESTALE }, PMR_FAILED, "clear-failed" },
	};
	bool needs_journal;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pmr_loss loss = { .offset = 512, .length = 512 };
		struct pmr_step step = { .length = PMR_PAGE };

		course = rows[i].course;
		reset(&loss, 1);
		assert_int_equal(run(&loss, 1, &step, &needs_journal), 0);
		assert_int_equal(clears, 0);
		if (loss.state != rows[i].state)
			fail_msg("row %zu: state %d", i, loss.state);
		assert_string_equal(loss.reason, rows[i].reason);
		assert_false(needs_journal);
	}
}

/* Of two units the first is good by now, or both are bad; when a repair is resumed, and when it is not. */
static void test_dead(void **state)
{
	static const struct {
		const char *what;
		struct course course;
		bool resumed, both;
		unsigned int clears;
		const char *reason; /* NULL: repaired */
		bool needs_journal;
	} rows[] = {
		{ "one", { 0 }, true, false, 1, NULL, false },
		{ "both", { 0 }, true, true, 2, NULL, false },
		{ "it is not cleared", { .clear_fails = 1 }, true, false, 1, "clear-failed", true },
		{ "the half is", { .clear_halves = 1 }, true, false, 1, "clear-failed", true },
		{ "one of both is not", { .clear_fails = 1 }, true, true, 2, "clear-failed", true },
		{ "it is gone",
		  { .gone = 3, .gone_as = -ENODEV },
		  true,
		  true,
		  0,
		  "clear-failed",
		  true },
		{ "it is listed still",
		  { .clear_unlists_not = 1 },
		  true,
		  false,
		  1,
		  "still-listed",
		  false },
		{ "one is listed still, and the other spoiled",
		  { .clear_unlists_not = 1, .write_spoils = 3 },
		  true,
		  true,
		  2,
		  "read-back-differs",
		  true },
		{ "the list cannot be read again",
		  { .refresh_fails = 2, .refresh_fails_as = -EIO },
		  true,
		  true,
		  2,
		  "unverified",
		  true },
		{ "nor the first time",
		  { .refresh_fails = 2, .refresh_fails_as = -EIO },
		  false,
		  true,
		  1,
		  "unverified",
		  true },
		{ "not cleared the first time",
		  { .clear_fails = 1 },
		  false,
		  true,
		  1,
		  "clear-failed",
		  false },
		{ "the half the first time",
		  { .clear_halves = 1 },
		  false,
		  true,
		  1,
		  "clear-failed",
		  false },
		{ "not cleared, and the list cannot be read",
		  { .clear_fails = 1, .refresh_fails = 2, .refresh_fails_as = -EIO },
		  false,
		  true,
		  1,
		  "clear-failed",
		  false },
	};
	bool needs_journal;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pmr_loss losses[] = {
			{ .offset = 512, .length = 512 },
			{ .offset = 2 * PMR_PAGE, .length = 512 },
		};
		struct pmr_step step = { .length = 3 * PMR_PAGE };

		course = rows[i].course;
		resumed = rows[i].resumed;
		reset(losses, 2);
		dead.n = 0;
		if (rows[i].both)
			assert_int_equal(pmr_ranges_add(&dead, 0, PMR_PAGE), 0);
		assert_int_equal(pmr_ranges_add(&dead, 2 * PMR_PAGE, PMR_PAGE), 0);
		if (!rows[i].both)
			device.badblocks.ranges.v[0] =
				device.badblocks.ranges.v[--device.badblocks.ranges.n];
		assert_int_equal(run(losses, 2, &step, &needs_journal), 0);
		if (clears != rows[i].clears || needs_journal != rows[i].needs_journal)
			fail_msg("%s: %u clears, journal %d", rows[i].what, clears, needs_journal);
		for (size_t k = 0; k < 2; k++) {
			if (losses[k].state != (rows[i].reason ? PMR_FAILED : PMR_REPAIRED))
				fail_msg("%s: state %d", rows[i].what, losses[k].state);
			if (rows[i].reason && strcmp(losses[k].reason, rows[i].reason) != 0)
				fail_msg("%s: %s", rows[i].what, losses[k].reason);
			/* by it what was stored of a loss is remembered */
			if (rows[i].course.clear_fails && !rows[i].resumed && losses[k].method)
				fail_msg("%s: nothing was stored", rows[i].what);
			if (!rows[i].reason && !losses[k].method)
				fail_msg("%s: no method", rows[i].what);
		}
	}
	resumed = false;
	pmr_ranges_release(&dead);
}

/* Over zeros that a repair wrote nothing is cleared; where they are zeros no more, nothing is stored. */
static void test_zeros(void **state)
{
	static const struct {
		bool is_listed, is_spoiled; /* the sector beside them, and they */
		unsigned int clears;
		enum pmr_state states[2];
	} rows[] = {
		{ false, false, 0, { PMR_REPAIRED, PMR_REPAIRED } },
		{ true, false, 1, { PMR_REPAIRED, PMR_REPAIRED } },
		{ true, true, 0, { PMR_SKIPPED, PMR_SKIPPED } },
	};
	static const char zeros[512];
	char now[PMR_PAGE];
	bool needs_journal;
	int kept;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pmr_loss losses[] = { { .offset = 0, .length = 512 },
					     { .offset = 1024, .length = 512 } };
		struct pmr_step step = { .length = PMR_PAGE };

		course = (struct course){ .spoiled = rows[i].is_spoiled };
		reset(losses, rows[i].is_listed ? 2 : 1);
		/* the first is that of the zeros */
		pmr_ranges_release(&device.badblocks.ranges);
		if (rows[i].is_listed)
			assert_int_equal(pmr_ranges_add(&device.badblocks.ranges, 1024, 512), 0);
		losses[0].vanished = true;
		assert_int_equal(pwrite(memory, zeros, 512, 0), 512);
		kept = dup(memory);
		assert_int_equal(run(losses, rows[i].is_listed ? 2 : 1, &step, &needs_journal), 0);
		assert_int_equal(clears, rows[i].clears);
		for (size_t k = 0; k < (rows[i].is_listed ? 2 : 1); k++)
			assert_int_equal(losses[k].state, rows[i].states[k]);
		assert_int_equal(pread(kept, now, PMR_PAGE, 0), PMR_PAGE);
		close(kept);
		if (rows[i].is_spoiled)
			assert_memory_equal(now, "theirs", 6);
		else
			assert_memory_equal(now, bytes, PMR_PAGE);
	}
}

/* A step that was refused when it was composed: of its first chunk, or a later one, the journal has no bytes. */
static void test_refused(void **state)
{
	struct pmr_loss losses[] = { { .offset = 512, .length = 512 },
				     { .offset = PMR_CHUNK, .length = PMR_CHUNK + 512 },
				     { .offset = 3 * PMR_CHUNK, .length = 512 } };
	struct pmr_step steps[] = {
		{ .length = PMR_PAGE, .n_losses = 1, .journal_offset = NOWHERE },
		{ .offset = PMR_CHUNK,
		  .length = PMR_CHUNK + PMR_PAGE,
		  .first_loss = 1,
		  .n_losses = 1,
		  .journal_offset = NOWHERE },
		{ .offset = 3 * PMR_CHUNK,
		  .length = PMR_PAGE,
		  .first_loss = 2,
		  .n_losses = 1,
		  .journal_offset = 3 * PMR_CHUNK },
	};
	bool needs_journal;

	(void)state;
	course = (struct course){ 0 };
	reset(losses, 3);
	for (size_t k = 0; k < 2; k++) {
		losses[k].state = PMR_SKIPPED;
		losses[k].reason = "backup-changed";
	}
	assert_int_equal(run_steps(losses, 3, steps, 3, &needs_journal), 0);
	for (size_t k = 0; k < 2; k++) {
		assert_int_equal(losses[k].state, PMR_SKIPPED);
		assert_string_equal(losses[k].reason, "backup-changed");
	}
	/* which says nothing of the next */
	assert_int_equal(losses[2].state, PMR_REPAIRED);
	assert_int_equal(clears, 1);
	assert_false(needs_journal);
}

/* Nothing was begun, and other devices may still be repaired. */
static void test_around_fails(void **state)
{
	static const struct {
		int fails, ret;
		enum pmr_state state;
	} rows[] = {
		{ -EIO, 0, PMR_SKIPPED },
		{ -ENODEV, 0, PMR_SKIPPED },
		{ -ENOMEM, -ENOMEM, PMR_LOST },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pmr_loss loss = { .offset = 512, .length = 512, .state = PMR_LOST };
		struct pmr_step step = { .length = PMR_PAGE, .n_losses = 1 };
		struct pmr_file file = { .path = (char[]){ "dax" },
					 .losses = &loss,
					 .n_losses = 1,
					 .whole_device = true };
		struct pmr_file_plan plan = { .file = &file, .steps = &step, .n_steps = 1 };
		struct pmr_claim claim = { .fd = -1, .file = &file };
		struct pmr_compose compose = { &claim, NULL, NULL };
		struct repair r = { 0 };

		assert_int_equal(pmr_new(&r.ctx), 0);
		around_fails = rows[i].fails;
		assert_int_equal(repair_steps(&r, &compose, &claim, &plan), rows[i].ret);
		assert_int_equal(loss.state, rows[i].state);
		if (loss.state == PMR_SKIPPED)
			assert_string_equal(loss.reason, "device-error");
		pmr_unref(r.ctx);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),	     cmocka_unit_test(test_rest),
		cmocka_unit_test(test_gone),	     cmocka_unit_test(test_dead),
		cmocka_unit_test(test_zeros),	     cmocka_unit_test(test_refused),
		cmocka_unit_test(test_around_fails),
	};
	int ret;

	/* without what flushes caches nothing is stored, and without the handler nothing is loaded */
	if (!pmr_loads_can_store() || pmr_nofault_init())
		return 77;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	pmr_nofault_release();
	return ret;
}
