/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Of bytes that could not be read back: which ones a file had before they were written, and has nowhere else now.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdint.h>

#include <cmocka.h>

/* to be seen without a device */
#define pmr_media_salvage fake_salvage
#include "repair/verify.c"

#define AT (2 * PMR_CHUNK) /* of the chunk in its file */
#define END UINT64_MAX

static int salvage_fails;

int fake_salvage(struct pmr_media *media, uint64_t offset, uint64_t length,
		 const struct pmr_ranges *listed, void *buffer, struct pmr_ranges *bad)
{
	(void)media, (void)offset, (void)length, (void)listed, (void)buffer, (void)bad;
	return salvage_fails;
}

static void test_spoiled(void **state)
{
	static const struct {
		const char *what;
		uint64_t place; /* of the chunk on its device */
		struct pmr_loss loss; /* of the file */
		struct pmr_range dead; /* of the chunk, that cannot be read back */
		bool spoiled;
	} rows[] = {
		{ "what was lost", AT, { .offset = AT, .length = 512 }, { 0, 512 }, false },
		{ "beside it", AT, { .offset = AT, .length = 512 }, { 512, 512 }, true },
		{ "a loss that begins before the chunk",
		  AT,
		  { .offset = AT - 512, .length = 1024 },
		  { 0, 512 },
		  false },
		{ "and what is behind it",
		  AT,
		  { .offset = AT - 512, .length = 1024 },
		  { 0, 1024 },
		  true },
		/* as after a punch: what is ahead of the chunk lies elsewhere */
		{ "at the begin of the device",
		  0,
		  { .offset = 0, .length = AT + PMR_CHUNK },
		  { 0, PMR_CHUNK },
		  false },
		{ "near it", PMR_PAGE, { .offset = 0, .length = AT + 512 }, { 512, 512 }, true },
		{ "at the end of all",
		  END - PMR_CHUNK,
		  { .offset = AT, .length = 2 * PMR_CHUNK },
		  { 0, PMR_CHUNK },
		  false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pmr_loss loss = rows[i].loss;
		struct pmr_file file = { .losses = &loss, .n_losses = 1 };
		struct pmr_step step = { .offset = AT,
					 .length = PMR_CHUNK,
					 .device_offset = rows[i].place,
					 .n_losses = 1 };
		struct check k = {
			.step = &step, .offset = AT, .length = PMR_CHUNK, .inside = PMR_CHUNK
		};
		enum pmr_spoiled spoiled = PMR_SPOILED_NOT;
		int ret;

		loss.source = "backup";
		assert_int_equal(pmr_ranges_add(&k.dead, rows[i].place + rows[i].dead.offset,
						rows[i].dead.length),
				 0);
		ret = find_spoiled(&k, &file, &spoiled);
		if (ret || spoiled != (rows[i].spoiled ? PMR_SPOILED_DIFFERENT : PMR_SPOILED_NOT))
			fail_msg("%s: %d, spoiled %d", rows[i].what, ret, spoiled);
		pmr_ranges_release(&k.dead);
	}
}

/* A device that does not answer says nothing of its bytes, and is no matter of what was not written or is nobody's. */
static void test_unread(void **state)
{
	static const struct {
		const char *what;
		const char *method;
		int fails;
		size_t inside, at;
		bool dead; /* as well, beside the loss */
		bool redo;
		enum pmr_spoiled spoiled;
	} rows[] = {
		{ "it answers", "write", 0, PMR_CHUNK, 0, false, false, PMR_SPOILED_NOT },
		{ "it does not", "write", -ENODEV, PMR_CHUNK, 0, false, false, PMR_SPOILED_UNREAD },
		{ "nothing was written", NULL, -ENODEV, PMR_CHUNK, 0, false, false,
		  PMR_SPOILED_NOT },
		{ "but before", NULL, -ENODEV, PMR_CHUNK, 0, false, true, PMR_SPOILED_UNREAD },
		{ "the last page", "write", -ENODEV, 4097, PMR_PAGE, false, false,
		  PMR_SPOILED_UNREAD },
		{ "behind the end", "write", -ENODEV, 4096, PMR_PAGE, false, false,
		  PMR_SPOILED_NOT },
		{ "and more is lost", "write", -EIO, PMR_CHUNK, 0, true, false,
		  PMR_SPOILED_DIFFERENT },
	};
	const struct pmr_compose compose = { 0 };
	const struct pmr_file file = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pmr_step step = {
			.offset = AT, .length = PMR_CHUNK, .device_offset = AT, .redo = rows[i].redo
		};
		struct check k = { .compose = &compose,
				   .step = &step,
				   .offset = AT,
				   .length = PMR_CHUNK,
				   .inside = rows[i].inside,
				   .method = rows[i].method };
		enum pmr_spoiled spoiled = PMR_SPOILED_NOT;
		const char *reason;

		salvage_fails = rows[i].fails;
		assert_int_equal(check_device(&k, rows[i].at, PMR_PAGE, &reason), 0);
		assert_int_equal(reason != NULL, rows[i].fails != 0);
		if (rows[i].dead)
			assert_int_equal(pmr_ranges_add(&k.dead, AT + 512, 512), 0);
		assert_int_equal(find_spoiled(&k, &file, &spoiled), 0);
		if (spoiled != rows[i].spoiled)
			fail_msg("%s: spoiled %d", rows[i].what, spoiled);
		pmr_ranges_release(&k.dead);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spoiled),
		cmocka_unit_test(test_unread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
