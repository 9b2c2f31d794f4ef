/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Without memory for a part of a record there is no record, and least of all one that lacks it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <json-c/json.h>

static unsigned int left; /* calls until one fails; it is the only one */

static int fails(void)
{
	return left && !--left;
}

#define json_object_new_object() (fails() ? NULL : json_object_new_object())
#define json_object_new_array() (fails() ? NULL : json_object_new_array())
#define json_object_new_array_ext(n) (fails() ? NULL : json_object_new_array_ext(n))
#define json_object_new_string(text) (fails() ? NULL : json_object_new_string(text))
#define json_object_new_uint64(number) (fails() ? NULL : json_object_new_uint64(number))
#define json_object_new_int64(number) (fails() ? NULL : json_object_new_int64(number))
#define json_object_new_boolean(value) (fails() ? NULL : json_object_new_boolean(value))
#define json_object_object_add(to, key, value) \
	(fails() ? -1 : json_object_object_add(to, key, value))
#define json_object_array_add(to, value) (fails() ? -1 : json_object_array_add(to, value))

/* what it calls is to fail */
#include "journal/journal-tell.c"

static struct pmr_device a = { .name = (char[]){ "a" }, .ns_uuid = (char[]){ "uuid-a" } };
static struct pmr_stripe on_a[] = { { &a, 40960 } };
static struct pmr_piece pieces[] = { { 0, 81920, 81920, on_a, 1 } };
static struct pmr_device volume = {
	.name = (char[]){ "dm-0" },
	.path = (char[]){ "/dev/dm-0" },
	.volume = (char[]){ "volume" },
	.mode = PMR_MODE_MAPPED,
	.pieces = pieces,
	.n_pieces = 1,
};
static struct pmr_filesystem filesystem = { .device = &volume, .type = (char[]){ "ext4" } };
static struct pmr_loss losses[] = { { .offset = 512, .length = 512, .source = "backup" },
				    { .offset = 4096, .length = 1024 } };
static struct pmr_file file = {
	.filesystem = &filesystem,
	.losses = losses,
	.n_losses = 2,
	.whole_device = true,
};
static struct pmr_step steps[] = { { .offset = 0, .length = 8192, .device_offset = 4096 } };
static struct pmr_file_plan plan = { .file = &file, .steps = steps, .n_steps = 1 };
static struct pmr_journal_around around[] = { { 512, 1 }, { 1024, 2 } };
static const struct pmr_claim claim = {
	.capability = (char[]){ 1, 2, 3 },
	.capability_length = 3,
	.around = around,
	.n_around = 2,
};

static struct json_object *tell_opening(void)
{
	return pmr_journal_tell_opening("2026-01-01T00:00:00Z", false, 1);
}

static struct json_object *tell_file(void)
{
	return pmr_journal_tell_file(&plan, &claim);
}

static struct json_object *tell_mark(void)
{
	const uint64_t positions[] = { 100, 200, 300 };

	return pmr_journal_tell_mark(0, PMR_MARK_OPEN, positions, 3, &claim.change_time);
}

static struct json_object *tell_outcome(void)
{
	return pmr_journal_tell_outcome(&file, 0);
}

static void test_all_or_nothing(void **state)
{
	static const struct {
		struct json_object *(*tell)(void);
		unsigned int calls; /* at least */
	} rows[] = {
		{ tell_opening, 16 },
		{ tell_file, 80 },
		{ tell_mark, 20 },
		{ tell_outcome, 40 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct json_object *object = NULL;
		unsigned int call;

		for (call = 1; call < 1000; call++) {
			left = call;
			object = rows[i].tell();
			if (left)
				break;
			if (object)
				fail_msg("row %zu: a record, although call %u failed", i, call);
		}
		left = 0;
		assert_non_null(object);
		assert_in_range(call, rows[i].calls, 999);
		json_object_put(object);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
