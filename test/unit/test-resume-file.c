/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pieces of an interrupted repair judged: of a device that goes meanwhile, nothing is known. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define pmr_journal_read_bytes fake_journal_read_bytes
#define pmr_media_has_shrunk fake_has_shrunk
#define pmr_media_open fake_open
#define pmr_resume_examine fake_examine
/* what it asks is to be seen alone */
#include "resume/resume-file.c"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static bool is_gone;
static int error; /* of the last piece */

int fake_journal_read_bytes(int fd, uint64_t position, struct pmr_record_header *header,
			    void *bytes, size_t length)
{
	(void)fd, (void)position, (void)header, (void)bytes, (void)length;
	return 0;
}

bool fake_has_shrunk(const struct pmr_media *media)
{
	(void)media;
	return is_gone;
}

int fake_open(struct pmr_ctx *ctx, const struct pmr_device *device, struct pmr_media **media)
{
	(void)ctx, (void)device, (void)media;
	return 0;
}

/* No sector of a piece can be loaded. */
int fake_examine(const struct pmr_resume_look *look, const struct pmr_journal_piece *piece,
		 const char *expected, struct pmr_evidence *evidence)
{
	(void)look, (void)expected;
	*evidence = (struct pmr_evidence){
		.mark = piece->mark, .here = true, .is_file = true, .whole = true
	};
	evidence->lost[PMR_SECTOR_UNREADABLE] = 1;
	evidence->kept[PMR_SECTOR_UNREADABLE] = 7;
	return piece->offset ? error : 0;
}

static void test_gone(void **state)
{
	static const struct {
		bool is_gone;
		int error;
		enum pmr_state states[2];
		const char *reason;
	} rows[] = {
		{ false, 0, { PMR_FAILED, PMR_SKIPPED }, NULL },
		{ true, 0, { PMR_UNKNOWN, PMR_UNKNOWN }, "gone" },
		{ false, -EIO, { PMR_UNKNOWN, PMR_UNKNOWN }, "not-mounted" },
	};
	struct pmr_device device = { .name = (char[]){ "dax0.0" }, .mode = PMR_MODE_DEVDAX };
	struct pmr_filesystem filesystem = { .device = &device };
	struct pmr_journal_piece pieces[] = {
		{ .length = 4096, .method = PMR_METHOD_CLEAR, .mark = PMR_MARK_DONE },
		{ .offset = 8192,
		  .length = 4096,
		  .method = PMR_METHOD_CLEAR,
		  .mark = PMR_MARK_NONE },
	};
	const struct pmr_journal_file was = { .path = (char[]){ "/dev/dax0.0" },
					      .pieces = pieces,
					      .n_pieces = N(pieces),
					      .whole_device = true };
	struct pmr_resume resume = { .journal = -1 };

	(void)state;
	assert_int_equal(pmr_new(&resume.ctx), 0);
	for (size_t i = 0; i < N(rows); i++) {
		enum pmr_verdict verdicts[N(pieces)] = { 0 };
		struct pmr_loss losses[] = {
			{ .length = 512, .state = PMR_LOST, .source = "backup" },
			{ .offset = 8192, .length = 512, .state = PMR_LOST, .source = "backup" },
		};
		struct pmr_file file = { .size = 65536,
					 .losses = losses,
					 .n_losses = N(losses),
					 .filesystem = &filesystem,
					 .whole_device = true,
					 .complete = true };
		struct pmr_resume_file of = { .was = &was, .is_there = true, .verdicts = verdicts };
		struct pmr_file_plan plan = { .file = &file };
		struct pmr_resume_subject s = { .resume = &resume,
						.was = &was,
						.of = &of,
						.plan = &plan,
						.filesystem = &filesystem,
						.fd = -1 };

		is_gone = rows[i].is_gone;
		error = rows[i].error;
		assert_int_equal(judge_file(&s), 0);
		assert_int_equal(plan.n_steps, 0);
		for (size_t k = 0; k < N(losses); k++) {
			assert_int_equal(losses[k].state, rows[i].states[k]);
			if (rows[i].reason)
				assert_string_equal(losses[k].reason, rows[i].reason);
		}
		/* what nothing is known of waits for another resume, and nothing else is said of it */
		assert_int_equal(of.is_missing, rows[i].reason != NULL);
		assert_int_equal(file.complete, rows[i].reason == NULL);
		assert_int_equal(s.reasons[PMR_VERDICT_FAILED] != NULL, rows[i].reason == NULL);
	}
	pmr_unref(resume.ctx);
}

static void test_first_loss(void **state)
{
	static const struct pmr_loss losses[] = { { .offset = 512, .length = 512 },
						  { .offset = 4096, .length = 1024 },
						  { .offset = 5120, .length = 512 } };
	static const struct {
		uint64_t offset;
		size_t first;
	} rows[] = { { 0, 0 },	  { 1023, 0 }, { 1024, 1 }, { 4096, 1 },
		     { 5119, 1 }, { 5120, 2 }, { 5632, 3 }, { UINT64_MAX, 3 } };

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		assert_int_equal(pmr_resume_first_loss(losses, N(losses), rows[i].offset),
				 rows[i].first);
	assert_int_equal(pmr_resume_first_loss(NULL, 0, 0), 0);
}

/* What an earlier resume left of one loss says nothing of the pieces beside it. */
static void test_earlier_verdict(void **state)
{
	static struct pmr_loss losses[] = {
		{ .offset = 512, .length = 512, .state = PMR_REPAIRED },
		{ .offset = 4608, .length = 512, .state = PMR_CONFLICT },
		{ .offset = 8192, .length = 512, .state = PMR_SKIPPED, .reason = "changed" },
		{ .offset = 12288, .length = 512, .state = PMR_SKIPPED },
	};
	static const struct pmr_journal_file was = { .losses = losses, .n_losses = N(losses) };
	static const struct {
		uint64_t offset, length;
		enum pmr_verdict verdict;
	} rows[] = {
		{ 0, 4096, PMR_VERDICT_REDO },	      { 0, 8192, PMR_VERDICT_CONFLICT },
		{ 4096, 4096, PMR_VERDICT_CONFLICT }, { 4096, 512, PMR_VERDICT_REDO },
		{ 8192, 4096, PMR_VERDICT_SKIPPED },  { 8704, 3584, PMR_VERDICT_REDO },
		{ 12288, 4096, PMR_VERDICT_REDO },    { 16384, 4096, PMR_VERDICT_REDO },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const struct pmr_journal_piece piece = { .offset = rows[i].offset,
							 .length = rows[i].length };

		if (earlier_verdict(&was, &piece) != rows[i].verdict)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_first_loss),
		cmocka_unit_test(test_earlier_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
