/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Of bytes that could not be read back: which ones a file had before they were written, and has nowhere else now.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* to be seen without a device */
#include "repair/verify.c"

#define AT (2 * PMR_CHUNK) /* of the chunk in its file */
#define END UINT64_MAX

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
		bool spoiled = false;
		int ret;

		loss.source = "backup";
		assert_int_equal(pmr_ranges_add(&k.dead, rows[i].place + rows[i].dead.offset,
						rows[i].dead.length),
				 0);
		ret = find_spoiled(&k, &file, &spoiled);
		if (ret || spoiled != rows[i].spoiled)
			fail_msg("%s: %d, spoiled %d", rows[i].what, ret, spoiled);
		pmr_ranges_release(&k.dead);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spoiled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
