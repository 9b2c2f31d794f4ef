/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The repair of a device-dax is killed at each thing that it does to bus, journal and device, and resumed; so is the resume. The
 * device is a file that is mapped; its bus clears, and leaves other bytes in all that it clears.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define pmr_clear fake_clear
#define pmr_dax_check fake_dax_check
#define pmr_device_refresh fake_refresh
#define pmr_journal_mark fake_mark
#define pmr_journal_read fake_journal_read
#define pmr_media_open_writable fake_open
#define pmr_media_write_block fake_write
#define pmr_whole_users fake_users
/* what is done to them is to be seen one by one */
#include "repair/whole.c"
#include "resume/resume-whole.c"
#undef pmr_media_write_block
int pmr_media_write_block(struct pmr_media *media, uint64_t offset, const void *buffer,
			  size_t length);

#define SIZE (64u * 1024)
#define SECTORS (SIZE / PMR_SECTOR)
#define LOSSES 3
#define KILLED 77

/* What outlives who is killed. */
static struct world {
	bool bad[SECTORS];
	enum pmr_mark marks[LOSSES];
} * world;

static const uint64_t lost[LOSSES][2] = { { 1, 1 }, { 20, 2 }, { 40, 8 } }; /* sectors */
static char bytes[SIZE]; /* that are to be there */
static struct pmr_device device;
static struct pmr_filesystem filesystem = { .device = &device };
static struct pmr_file file = { .path = (char[]){ "dax" },
				.size = SIZE,
				.n_losses = LOSSES,
				.whole_device = true,
				.filesystem = &filesystem };
static struct pmr_loss losses[LOSSES];
static struct pmr_step *steps;
static size_t n_steps;
static uint64_t unit;
static int memory = -1;
static unsigned int left_to_live; /* points until it is killed; 0: it is not */

static void point(void)
{
	if (left_to_live && !--left_to_live)
		_exit(KILLED);
}

int fake_clear(const struct pmr_device *of, uint64_t address, uint64_t length, uint64_t *cleared)
{
	char garbage[SIZE];

	(void)of;
	point();
	assert_true(!(address % unit) && !(length % unit));
	memset(garbage, 0xc1, sizeof(garbage));
	assert_int_equal(pwrite(memory, garbage, length, (off_t)address), length);
	memset(&world->bad[address / PMR_SECTOR], 0, length / PMR_SECTOR);
	*cleared = length;
	point();
	return 0;
}

int fake_dax_check(const struct pmr_device *of)
{
	(void)of;
	return 0;
}

int fake_refresh(struct pmr_ctx *ctx, struct pmr_device *of)
{
	(void)ctx;
	of->badblocks.ranges.n = 0;
	for (size_t i = 0; i < SECTORS; i++)
		if (world->bad[i] &&
		    pmr_ranges_add(&of->badblocks.ranges, i * PMR_SECTOR, PMR_SECTOR))
			return -ENOMEM;
	pmr_ranges_normalize(&of->badblocks.ranges);
	point();
	return 0;
}

/* A piece's place in the journal is its place in the device, and so is its step's; but none is 0. */
static size_t step_of(uint64_t position)
{
	for (size_t i = 0; i < n_steps; i++)
		if (steps[i].offset == position - 1)
			return i;
	fail();
	return 0;
}

int fake_mark(struct pmr_journal *journal, size_t index, enum pmr_mark mark,
	      const uint64_t *positions, size_t n, const struct timespec *change_time)
{
	(void)journal, (void)index, (void)change_time;
	point();
	for (size_t i = 0; i < n; i++)
		world->marks[step_of(positions[i])] = mark;
	point();
	return 0;
}

int fake_journal_read(struct pmr_journal *journal, uint64_t *position, void *to, size_t length)
{
	(void)journal;
	memcpy(to, bytes + *position - 1, length);
	return 0;
}

int fake_open(struct pmr_ctx *ctx, const struct pmr_device *of, struct pmr_media **opened)
{
	(void)ctx, (void)of;
	return pmr_media_open_loads(dup(memory), SIZE, PMR_PAGE, true, opened);
}

/* It may end in the middle of a sector. */
int fake_write(struct pmr_media *media, uint64_t offset, const void *from, size_t length)
{
	assert_int_equal(pwrite(memory, from, 100, (off_t)offset), 100);
	point();
	return pmr_media_write_block(media, offset, from, length);
}

void fake_users(const struct pmr_device *of, char *text, size_t size)
{
	(void)of, (void)size;
	*text = '\0';
}

/* All right but for what is bad of it, and the steps of its repair. */
static void reset(void)
{
	char garbage[SIZE];

	memset(world, 0, sizeof(*world));
	memset(garbage, 0x5a, sizeof(garbage));
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * 7 + i / 251 + 1);
	assert_int_equal(pwrite(memory, bytes, SIZE, 0), SIZE);
	for (size_t i = 0; i < LOSSES; i++) {
		uint64_t at = lost[i][0] * PMR_SECTOR, length = lost[i][1] * PMR_SECTOR;

		losses[i] = (struct pmr_loss){ .offset = at,
					       .length = length,
					       .device_offset = at,
					       .state = PMR_LOST,
					       .source = "backup" };
		memset(&world->bad[lost[i][0]], 1, lost[i][1]);
		assert_int_equal(pwrite(memory, garbage, length, (off_t)at), length);
	}
	file.losses = losses;
	free(steps);
	steps = NULL;
	assert_int_equal(pmr_whole_steps(&file, unit, false, &steps, &n_steps), 0);
	assert_int_equal(n_steps, LOSSES);
	for (size_t i = 0; i < n_steps; i++)
		steps[i].journal_offset = steps[i].offset + 1;
}

static void begin(struct pmr_writer *writer)
{
	*writer = (struct pmr_writer){ 0 };
	assert_int_equal(pmr_new(&writer->ctx), 0);
	writer->before = malloc(PMR_CHUNK);
	assert_int_equal(posix_memalign((void **)&writer->bytes, PMR_PAGE, PMR_CHUNK), 0);
}

static void end(struct pmr_writer *writer)
{
	free(writer->before);
	free(writer->bytes);
	pmr_unref(writer->ctx);
}

static void repair(void)
{
	struct pmr_file_plan plan = { .file = &file, .steps = steps, .n_steps = n_steps };
	struct pmr_writer writer;

	begin(&writer);
	assert_int_equal(fake_refresh(NULL, &device), 0);
	assert_int_equal(pmr_whole_run(&writer, &plan), 0);
	end(&writer);
}

/* What is judged to be left of it. @expected: bytes that nobody stored but the repair */
static void resume(void)
{
	struct pmr_journal_piece pieces[LOSSES];
	struct pmr_journal_file was = { .size = SIZE,
					.whole_device = true,
					.losses = losses,
					.n_losses = LOSSES,
					.pieces = pieces,
					.n_pieces = LOSSES };
	struct pmr_journal_entry entry = { .same_boot = true, .files = &was, .n_files = 1 };
	struct pmr_resume_file of = {
		.was = &was, .is_there = true, .is_same = true, .size = SIZE, .unit = unit
	};
	struct pmr_resume r = { .entry = &entry };
	struct pmr_resume_look look = { .resume = &r,
					.fd = -1,
					.filesystem = &filesystem,
					.of = &of,
					.listed = &device.badblocks.ranges };
	struct pmr_step left[LOSSES];
	struct pmr_file_plan plan = { .file = &file, .steps = left };
	struct pmr_evidence evidence;
	struct pmr_writer writer;
	enum pmr_verdict verdict;
	const char *reason;
	bool waits = false;

	begin(&writer);
	r.actual = malloc(PMR_CHUNK);
	assert_int_equal(fake_refresh(NULL, &device), 0);
	assert_int_equal(fake_open(NULL, &device, &look.media), 0);
	for (size_t i = 0; i < n_steps; i++)
		pieces[i] = (struct pmr_journal_piece){ .offset = steps[i].offset,
							.length = steps[i].length,
							.device_offset = steps[i].offset,
							.method = PMR_METHOD_CLEAR,
							.position = steps[i].offset + 1,
							.mark = world->marks[i] };
	was.n_pieces = n_steps;
	for (size_t i = 0; i < n_steps; i++) {
		assert_int_equal(pmr_resume_examine_whole(&look, &pieces[i],
							  bytes + steps[i].offset, &evidence, NULL),
				 0);
		verdict = pmr_judge(&evidence, &reason);
		losses[i].state = PMR_LOST;
		if (verdict == PMR_VERDICT_REDO) {
			left[plan.n_steps] = steps[i];
			left[plan.n_steps++].redo = world->marks[i] == PMR_MARK_OPEN;
		} else if (verdict != PMR_VERDICT_SETTLED) {
			fail_msg("piece %zu: %d, %s", i, (int)verdict, reason);
		}
	}
	pmr_media_close(look.media);
	assert_int_equal(pmr_resume_run_whole(&writer, &r, &of, &plan, &waits), 0);
	assert_false(waits);
	free(r.actual);
	end(&writer);
}

/* Return: whether it was killed. */
static bool killed(void (*run)(void), unsigned int at)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		left_to_live = at;
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == KILLED || !WEXITSTATUS(status));
	return WEXITSTATUS(status) == KILLED;
}

static void check_whole(unsigned int at, unsigned int again)
{
	char now[SIZE];

	assert_int_equal(pread(memory, now, SIZE, 0), SIZE);
	for (size_t i = 0; i < SIZE; i++)
		if (now[i] != bytes[i])
			fail_msg("killed at %u and %u: byte %zu", at, again, i);
	for (size_t i = 0; i < SECTORS; i++)
		if (world->bad[i])
			fail_msg("killed at %u and %u: sector %zu is listed", at, again, i);
	for (size_t i = 0; i < n_steps; i++)
		if (world->marks[i] == PMR_MARK_OPEN)
			fail_msg("killed at %u and %u: step %zu is open", at, again, i);
}

static void test_kill_points(void **state)
{
	static const uint64_t units[] = { PMR_SECTOR, PMR_PAGE };
	unsigned int at, again, points = 0;

	(void)state;
	for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
		unit = units[u];
		for (at = 1;; at++) {
			/* the resume at a point of its own for each */
			again = 1 + at * 5 % 17;
			reset();
			if (!killed(repair, at))
				break;
			killed(resume, again);
			resume();
			check_whole(at, again);
			points++;
		}
		check_whole(at, 0);
	}
	assert_true(points > 40);
}

/* Of what was cleared the sectors beside it are stored to meanwhile: it is not stored over. */
static void test_stored_to(void **state)
{
	static const struct {
		enum pmr_mark mark;
		bool is_listed; /* still */
		enum pmr_verdict verdict;
	} rows[] = {
		{ PMR_MARK_NONE, true, PMR_VERDICT_SKIPPED },
		{ PMR_MARK_OPEN, true, PMR_VERDICT_CONFLICT },
		/* the clear may have done that */
		{ PMR_MARK_OPEN, false, PMR_VERDICT_REDO },
		{ PMR_MARK_DONE, false, PMR_VERDICT_SETTLED },
	};
	const char *reason;

	(void)state;
	unit = PMR_PAGE;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pmr_journal_piece piece = { .length = PMR_PAGE, .mark = rows[i].mark };
		const struct pmr_journal_file was = {
			.size = SIZE, .whole_device = true, .losses = losses, .n_losses = LOSSES
		};
		const struct pmr_journal_entry entry = { .same_boot = true };
		const struct pmr_resume_file of = {
			.was = &was, .is_there = true, .is_same = true, .size = SIZE, .unit = unit
		};
		struct pmr_resume r = { .entry = &entry, .actual = malloc(PMR_CHUNK) };
		struct pmr_resume_look look = { .resume = &r,
						.filesystem = &filesystem,
						.of = &of,
						.listed = &device.badblocks.ranges };
		struct pmr_ranges dead = { 0 };
		struct pmr_evidence evidence;

		reset();
		memset(world->bad, rows[i].is_listed, 2);
		world->bad[0] = false;
		assert_int_equal(pwrite(memory, "theirs", 6, 2 * PMR_SECTOR), 6);
		assert_int_equal(fake_refresh(NULL, &device), 0);
		assert_int_equal(fake_open(NULL, &device, &look.media), 0);
		assert_int_equal(pmr_resume_examine_whole(&look, &piece, bytes, &evidence, &dead),
				 0);
		assert_int_equal(pmr_judge(&evidence, &reason), rows[i].verdict);
		/* whole units are cleared, and only those that are bad */
		assert_int_equal(dead.n, rows[i].is_listed);
		assert_true(!dead.n || (!dead.v[0].offset && dead.v[0].length == PMR_PAGE));
		pmr_ranges_release(&dead);
		pmr_media_close(look.media);
		free(r.actual);
	}
}

/* What was good of a unit has gone bad since: that it was not stored to before that, only what lies around can tell. */
static void test_gone_bad(void **state)
{
	static const struct {
		bool is_bad, is_stored_to;
		enum pmr_verdict verdict;
	} rows[] = {
		{ false, false, PMR_VERDICT_REDO },
		/* it was not cleared, and what was stored around it is not touched */
		{ false, true, PMR_VERDICT_REDO },
		{ true, false, PMR_VERDICT_REDO },
		{ true, true, PMR_VERDICT_CONFLICT },
	};
	const char *reason;

	(void)state;
	unit = PMR_PAGE;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pmr_journal_piece piece = { .length = PMR_PAGE,
							 .mark = PMR_MARK_OPEN };
		struct pmr_journal_around around = { .offset = PMR_PAGE };
		const struct pmr_journal_file was = { .size = SIZE,
						      .whole_device = true,
						      .losses = losses,
						      .n_losses = LOSSES,
						      .around = &around,
						      .n_around = 1 };
		const struct pmr_journal_entry entry = { .same_boot = true };
		const struct pmr_resume_file of = {
			.was = &was, .is_there = true, .is_same = true, .size = SIZE, .unit = unit
		};
		struct pmr_resume r = { .entry = &entry, .actual = malloc(PMR_CHUNK) };
		struct pmr_resume_look look = { .resume = &r,
						.filesystem = &filesystem,
						.of = &of,
						.listed = &device.badblocks.ranges };
		struct pmr_evidence evidence;

		reset();
		around.crc = pmr_record_crc(bytes + PMR_PAGE, PMR_SECTOR);
		world->bad[3] = rows[i].is_bad;
		if (rows[i].is_stored_to)
			assert_int_equal(pwrite(memory, "theirs", 6, PMR_PAGE), 6);
		assert_int_equal(fake_refresh(NULL, &device), 0);
		assert_int_equal(fake_open(NULL, &device, &look.media), 0);
		assert_int_equal(pmr_resume_examine_whole(&look, &piece, bytes, &evidence, NULL),
				 0);
		if (pmr_judge(&evidence, &reason) != rows[i].verdict)
			fail_msg("row %zu", i);
		pmr_media_close(look.media);
		free(r.actual);
	}
}

/* A bus that clears otherwise than it did, or not at all any more: only where something has to be cleared. */
static void test_clear_unit(void **state)
{
	static const struct {
		uint64_t unit;
		bool is_bad;
		const char *reason;
	} rows[] = {
		{ PMR_SECTOR, true, NULL },	      { PMR_PAGE, true, NULL },
		{ 2 * PMR_PAGE, true, "clear-unit" }, { 0, true, "no-clear-error" },
		{ 2 * PMR_PAGE, false, NULL },	      { 0, false, NULL },
	};

	(void)state;
	unit = PMR_PAGE;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pmr_journal_piece piece = { .length = PMR_PAGE,
						   .position = 1,
						   .mark = PMR_MARK_OPEN };
		const struct pmr_journal_file was = { .size = SIZE,
						      .whole_device = true,
						      .losses = losses,
						      .n_losses = LOSSES,
						      .pieces = &piece,
						      .n_pieces = 1 };
		const struct pmr_journal_entry entry = { .same_boot = true };
		const struct pmr_resume_file of = { .was = &was,
						    .is_there = true,
						    .is_same = true,
						    .size = SIZE,
						    .unit = rows[i].unit };
		struct pmr_resume r = { .entry = &entry, .actual = malloc(PMR_CHUNK) };
		struct pmr_resume_look look = { .resume = &r,
						.filesystem = &filesystem,
						.of = &of };
		struct pmr_writer writer = { .bytes = bytes, .look_data = &look };
		struct pmr_ranges dead = { 0 };
		struct pmr_media *media;
		const char *reason;

		reset();
		world->bad[1] = rows[i].is_bad;
		assert_int_equal(fake_refresh(NULL, &device), 0);
		assert_int_equal(fake_open(NULL, &device, &media), 0);
		reason = look_again(&writer, media, 1, &dead);
		if ((reason || rows[i].reason) &&
		    (!reason || !rows[i].reason || strcmp(reason, rows[i].reason) != 0))
			fail_msg("row %zu: %s", i, reason ? reason : "none");
		assert_int_equal(dead.n, rows[i].is_bad);
		pmr_ranges_release(&dead);
		pmr_media_close(media);
		free(r.actual);
	}
}

/* Zeros are a repair's where the journal says so from the first on, not where a loss is in no list when it is resumed. */
static void test_unlisted(void **state)
{
	static const struct {
		const char *what;
		bool is_whole, vanished, is_listed;
		bool taken; /* as vanished */
	} rows[] = {
		{ "a device-dax", true, false, true, false },
		{ "a device-dax, in no list", true, false, false, false },
		{ "a device-dax, its zeros", true, true, false, true },
		{ "a file", false, false, true, false },
		{ "a file, in no list", false, false, false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pmr_loss loss = { .offset = 512,
					 .length = 512,
					 .device_offset = 512,
					 .state = PMR_SKIPPED,
					 .source = "backup",
					 .vanished = rows[i].vanished };
		struct pmr_journal_piece piece = { .length = PMR_PAGE };
		const struct pmr_journal_file was = { .size = SIZE,
						      .whole_device = rows[i].is_whole,
						      .losses = &loss,
						      .n_losses = 1,
						      .pieces = &piece,
						      .n_pieces = 1 };
		struct pmr_resume_subject s = { .was = &was, .filesystem = &filesystem };
		struct pmr_losses taken = { 0 };

		device.badblocks.ranges.n = 0;
		if (rows[i].is_listed)
			assert_int_equal(pmr_ranges_add(&device.badblocks.ranges, 512, 512), 0);
		assert_int_equal(pmr_resume_take_losses(&s, &taken), 0);
		assert_int_equal(taken.n, 1);
		if (taken.v[0].vanished != rows[i].taken)
			fail_msg("%s", rows[i].what);
		free(taken.v);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_points), cmocka_unit_test(test_stored_to),
		cmocka_unit_test(test_gone_bad),    cmocka_unit_test(test_clear_unit),
		cmocka_unit_test(test_unlisted),
	};
	int ret;

	/* without what flushes caches nothing is stored, and without the handler nothing is loaded */
	if (!pmr_loads_can_store() || pmr_nofault_init())
		return 77;
	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	memory = memfd_create("whole", MFD_CLOEXEC);
	if (world == MAP_FAILED || memory < 0 || ftruncate(memory, SIZE))
		return 99;
	device = (struct pmr_device){ .size = SIZE, .badblocks.trust = PMR_LIST_COMPLETE };
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	pmr_ranges_release(&device.badblocks.ranges);
	free(steps);
	close(memory);
	pmr_nofault_release();
	return ret;
}
