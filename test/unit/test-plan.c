/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From losses to steps: tables, and random files against a judge that looks at every page by itself.
 */
#include <linux/fiemap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "repair.h"

#define K 1024u

#define MAX 8

struct row {
	const char *what;
	uint64_t size;
	bool accept_offlined;
	struct pmr_loss losses[MAX];
	struct pmr_extent extents[MAX];
	struct pmr_step steps[MAX]; /* offset, length, device offset, first loss, number */
	enum pmr_state states[MAX]; /* of the losses afterwards; those wanted keep theirs */
};

static const struct row rows[] = {
	{ "one sector takes its page",
	  16 * K,
	  false,
	  { { .offset = 4608, .length = 512, .device_offset = 104608 } },
	  { { 0, 100000, 16 * K, 0 } },
	  { { 4096, 4096, 104096, 0, 1, 0, 0, 0, 0 } },
	  { PMR_LOST } },
	{ "two sectors of a page are one step",
	  16 * K,
	  false,
	  { { .offset = 4096, .length = 512, .device_offset = 104096 },
	    { .offset = 5120, .length = 512, .device_offset = 105120 } },
	  { { 0, 100000, 16 * K, 0 } },
	  { { 4096, 4096, 104096, 0, 2, 0, 0, 0, 0 } },
	  { PMR_LOST, PMR_LOST } },
	{ "neighbouring pages are one step",
	  16 * K,
	  false,
	  { { .offset = 4096, .length = 512, .device_offset = 104096 },
	    { .offset = 8192, .length = 512, .device_offset = 108192 } },
	  { { 0, 100000, 16 * K, 0 } },
	  { { 4096, 8192, 104096, 0, 2, 0, 0, 0, 0 } },
	  { PMR_LOST, PMR_LOST } },
	{ "neighbours in the file, apart on the device",
	  16 * K,
	  false,
	  { { .offset = 4096, .length = 512, .device_offset = 504096 },
	    { .offset = 8192, .length = 512, .device_offset = 308192 } },
	  { { 0, 500000, 8 * K, 0 }, { 8 * K, 308192, 8 * K, 0 } },
	  { { 4096, 4096, 504096, 0, 1, 0, 0, 0, 0 }, { 8192, 4096, 308192, 1, 1, 0, 0, 0, 0 } },
	  { PMR_LOST, PMR_LOST } },
	{ "never past its extent",
	  16 * K,
	  false,
	  { { .offset = 5120, .length = 512, .device_offset = 900000 } },
	  { { 5120, 900000, 1024, 0 } },
	  { { 5120, 1024, 900000, 0, 1, 0, 0, 0, 0 } },
	  { PMR_LOST } },
	{ "shared blocks are left",
	  16 * K,
	  false,
	  { { .offset = 4096, .length = 512, .device_offset = 104096, .shared = true } },
	  { { 0, 100000, 16 * K, 0 } },
	  { { 0 } },
	  { PMR_SKIPPED } },
	{ "offlined pages are left",
	  16 * K,
	  false,
	  { { .offset = 4096, .length = 512, .device_offset = 104096, .reason = "page-offlined" },
	    { .offset = 4608,
	      .length = 3584,
	      .device_offset = 104608,
	      .reason = "page-offlined" } },
	  { { 0, 100000, 16 * K, 0 } },
	  { { 0 } },
	  { PMR_SKIPPED, PMR_SKIPPED } },
	{ "or taken when asked",
	  16 * K,
	  true,
	  { { .offset = 4096, .length = 512, .device_offset = 104096, .reason = "page-offlined" },
	    { .offset = 4608,
	      .length = 3584,
	      .device_offset = 104608,
	      .reason = "page-offlined" } },
	  { { 0, 100000, 16 * K, 0 } },
	  { { 4096, 4096, 104096, 0, 2, 0, 0, 0, 0 } },
	  { PMR_LOST, PMR_LOST } },
	{ "one part of a page left leaves it all",
	  16 * K,
	  false,
	  { { .offset = 4096, .length = 512, .device_offset = 104096 },
	    { .offset = 4608, .length = 512, .device_offset = 104608, .reason = "page-offlined" } },
	  { { 0, 100000, 16 * K, 0 } },
	  { { 0 } },
	  { PMR_SKIPPED, PMR_SKIPPED } },
	{ "gone from its extent",
	  16 * K,
	  false,
	  { { .offset = 4096, .length = 512, .device_offset = 104096 } },
	  { { 8192, 100000, 8 * K, 0 } },
	  { { 0 } },
	  { PMR_SKIPPED } },
	{ "an address not to be trusted",
	  16 * K,
	  false,
	  { { .offset = 4096, .length = 512, .device_offset = 104096 } },
	  { { 0, 100000, 16 * K, FIEMAP_EXTENT_ENCODED } },
	  { { 0 } },
	  { PMR_SKIPPED } },
	{ "the last page is written past the end",
	  4096 + 700,
	  false,
	  { { .offset = 4608, .length = 188, .device_offset = 104608 },
	    { .offset = 4796, .length = 324, .device_offset = 104796, .state = PMR_PAST_EOF } },
	  { { 0, 100000, 16 * K, 0 } },
	  { { 4096, 4096, 104096, 0, 2, 0, 0, 0, 0 } },
	  { PMR_LOST, PMR_PAST_EOF } },
	{ "past the last page nothing is written",
	  4096,
	  false,
	  { { .offset = 8192, .length = 512, .device_offset = 108192, .state = PMR_PAST_EOF } },
	  { { 0, 100000, 16 * K, 0 } },
	  { { 0 } },
	  { PMR_PAST_EOF } },
	{ "unwritten extents are left as they are",
	  16 * K,
	  false,
	  { { .offset = 4096, .length = 512, .device_offset = 104096, .state = PMR_UNWRITTEN } },
	  { { 0, 100000, 16 * K, FIEMAP_EXTENT_UNWRITTEN } },
	  { { 0 } },
	  { PMR_UNWRITTEN } },
	{ "what the page cache holds is written back",
	  16 * K,
	  false,
	  { { .offset = 4096, .length = 512, .device_offset = 104096, .state = PMR_CACHED } },
	  { { 0, 100000, 16 * K, 0 } },
	  { { 4096, 4096, 104096, 0, 1, 0, 0, 0, 0 } },
	  { PMR_CACHED } },
};

static size_t count_losses(const struct pmr_loss *v)
{
	size_t n = 0;

	while (n < MAX && v[n].length)
		n++;
	return n;
}

static void test_rows(void **state)
{
	struct pmr_loss losses[MAX];
	struct pmr_step *steps;
	size_t n_steps, n_extents, want;

	(void)state;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		const struct row *row = &rows[r];
		struct pmr_file file = { .size = row->size, .dax = true, .losses = losses };

		memcpy(losses, row->losses, sizeof(losses));
		file.n_losses = count_losses(losses);
		for (n_extents = 0; n_extents < MAX && row->extents[n_extents].length;)
			n_extents++;
		for (want = 0; want < MAX && row->steps[want].length;)
			want++;
		struct pmr_policy policy = { .wanted = PMR_METHOD_WRITE,
					     .accept_offlined = row->accept_offlined };

		pmr_plan_policy(&file, &policy);
		assert_int_equal(pmr_plan_steps(&file, &policy, row->extents, n_extents, &steps,
						&n_steps),
				 0);
		if (n_steps != want)
			fail_msg("%s: %zu steps", row->what, n_steps);
		for (size_t i = 0; i < n_steps; i++)
			if (memcmp(&steps[i], &row->steps[i], sizeof(steps[i])))
				fail_msg("%s: step %zu differs", row->what, i);
		for (size_t i = 0; i < file.n_losses; i++)
			if (losses[i].state != row->states[i] ||
			    (losses[i].state == PMR_SKIPPED && !losses[i].reason))
				fail_msg("%s: loss %zu is %s", row->what, i,
					 pmr_state_name(losses[i].state));
		free(steps);
	}
}

/* without DAX a write comes down as the block device's, which an offlined page does not survive */
static void test_offlined_without_dax(void **state)
{
	struct pmr_loss loss = { .length = 512, .reason = "page-offlined" };
	struct pmr_file file = { .size = 4096, .losses = &loss, .n_losses = 1 };
	const struct pmr_policy policy = { .accept_offlined = true };

	(void)state;
	pmr_plan_policy(&file, &policy);
	assert_int_equal(loss.state, PMR_SKIPPED);
	loss.state = PMR_LOST;
	file.dax = true;
	pmr_plan_policy(&file, &policy);
	assert_int_equal(loss.state, PMR_LOST);
}

static void test_split_tail(void **state)
{
	struct pmr_file file = { .size = 4796, .n_losses = 2 };

	(void)state;
	file.losses = calloc(2, sizeof(*file.losses));
	assert_non_null(file.losses);
	file.losses[0] = (struct pmr_loss){ .offset = 4608, .length = 188, .device_offset = 4608 };
	file.losses[1] = (struct pmr_loss){
		.offset = 4796, .length = 8000, .device_offset = 4796, .state = PMR_PAST_EOF
	};
	assert_int_equal(pmr_plan_split_tail(&file), 0);
	assert_int_equal(file.n_losses, 3);
	assert_int_equal(file.losses[1].length, 8192 - 4796);
	assert_int_equal(file.losses[2].offset, 8192);
	assert_int_equal(file.losses[2].device_offset, 8192);
	assert_int_equal(file.losses[2].length, 4796 + 8000 - 8192);
	assert_true(pmr_plan_wants(&file, &file.losses[1]));
	assert_false(pmr_plan_wants(&file, &file.losses[2]));
	assert_int_equal(pmr_plan_split_tail(&file), 0);
	assert_int_equal(file.n_losses, 3);
	free(file.losses);
}

/*
 * Random files of 64 pages, each page in an extent of its own place on the device. The judge asks of every page:
 * is it written exactly when it holds a loss that is wanted and none that is left, and at its own device offset?
 */
#define PAGES 64u

static void random_file(struct pmr_file *file, struct pmr_extent *extents, bool *left, bool *wanted)
{
	uint64_t place = 1;

	file->n_losses = 0;
	for (size_t page = 0; page < PAGES; page++) {
		place += (uint64_t)rand() % 3;
		extents[page] =
			(struct pmr_extent){ page * PMR_PAGE, place * PMR_PAGE, PMR_PAGE, 0 };
		left[page] = false;
		wanted[page] = false;
		for (size_t sector = 0; sector < 8; sector++) {
			struct pmr_loss *loss = &file->losses[file->n_losses];

			if (rand() % 6)
				continue;
			*loss = (struct pmr_loss){
				.offset = page * PMR_PAGE + sector * PMR_SECTOR,
				.length = PMR_SECTOR,
				.device_offset = place * PMR_PAGE + sector * PMR_SECTOR,
				.reason = rand() % 8 ? NULL : "page-offlined",
			};
			if (loss->reason)
				left[page] = true;
			else
				wanted[page] = true;
			file->n_losses++;
		}
		place++;
	}
}

static void judge(const struct pmr_file *file, const struct pmr_extent *extents, const bool *left,
		  const bool *wanted, const struct pmr_step *steps, size_t n_steps)
{
	bool written[PAGES] = { false };

	for (size_t i = 0; i < n_steps; i++)
		for (uint64_t at = 0; at < steps[i].length; at += PMR_PAGE) {
			size_t page = (size_t)((steps[i].offset + at) / PMR_PAGE);

			assert_false(written[page]);
			written[page] = true;
			assert_int_equal(steps[i].device_offset + at, extents[page].physical);
		}
	for (size_t page = 0; page < PAGES; page++)
		assert_int_equal(written[page], wanted[page] && !left[page]);
	for (size_t i = 0; i < file->n_losses; i++)
		assert_int_equal(file->losses[i].state == PMR_SKIPPED,
				 left[file->losses[i].offset / PMR_PAGE]);
}

static void test_random(void **state)
{
	struct pmr_loss losses[PAGES * 8];
	struct pmr_extent extents[PAGES];
	bool left[PAGES], wanted[PAGES];
	struct pmr_step *steps;
	size_t n_steps;

	(void)state;
	for (unsigned int seed = 1; seed <= 500; seed++) {
		struct pmr_file file = { .size = PAGES * PMR_PAGE, .losses = losses };
		const struct pmr_policy policy = { .wanted = PMR_METHOD_AUTO };

		srand(seed);
		random_file(&file, extents, left, wanted);
		pmr_plan_policy(&file, &policy);
		assert_int_equal(pmr_plan_steps(&file, &policy, extents, PAGES, &steps, &n_steps),
				 0);
		judge(&file, extents, left, wanted, steps, n_steps);
		free(steps);
	}
}

/* ---- methods */

#define NONE                                      \
	{                                         \
		PMR_CAPABILITY_NONE, 0, "release" \
	}
#define UNKNOWN                                 \
	{                                       \
		PMR_CAPABILITY_UNKNOWN, 0, NULL \
	}
#define WRITE                                      \
	{                                          \
		PMR_CAPABILITY_WRITE, 0, "release" \
	}
#define FLAG                                             \
	{                                                \
		PMR_CAPABILITY_FLAG, 0x20, "memfd-probe" \
	}

static const struct {
	bool dax;
	bool vanished;
	enum pmr_method wanted;
	struct pmr_recovery recovery;
	enum pmr_method method;
	const char *refused;
} method_rows[] = {
	{ true, false, PMR_METHOD_AUTO, FLAG, PMR_METHOD_FLAG, NULL },
	{ true, false, PMR_METHOD_AUTO, WRITE, PMR_METHOD_WRITE, NULL },
	{ true, false, PMR_METHOD_AUTO, NONE, 0, "no-recovery-write" },
	{ true, false, PMR_METHOD_AUTO, UNKNOWN, 0, "no-recovery-write" },
	{ true, false, PMR_METHOD_FLAG, FLAG, PMR_METHOD_FLAG, NULL },
	{ true, false, PMR_METHOD_FLAG, WRITE, 0, "no-flag" },
	{ true, false, PMR_METHOD_FLAG, NONE, 0, "no-flag" },
	{ true, false, PMR_METHOD_FLAG, UNKNOWN, 0, "no-flag" },
	{ true, false, PMR_METHOD_WRITE, FLAG, PMR_METHOD_WRITE, NULL },
	{ true, false, PMR_METHOD_WRITE, WRITE, PMR_METHOD_WRITE, NULL },
	{ true, false, PMR_METHOD_WRITE, NONE, 0, "no-recovery-write" },
	{ true, false, PMR_METHOD_WRITE, UNKNOWN, PMR_METHOD_WRITE, NULL },
	{ true, false, PMR_METHOD_PUNCH, FLAG, PMR_METHOD_PUNCH, NULL },
	{ true, false, PMR_METHOD_PUNCH, NONE, PMR_METHOD_PUNCH, NULL },
	{ true, true, PMR_METHOD_AUTO, FLAG, PMR_METHOD_WRITE, NULL },
	{ true, true, PMR_METHOD_AUTO, NONE, PMR_METHOD_WRITE, NULL },
	{ true, true, PMR_METHOD_WRITE, NONE, PMR_METHOD_WRITE, NULL },
	{ false, false, PMR_METHOD_AUTO, FLAG, PMR_METHOD_WRITE, NULL },
	{ false, false, PMR_METHOD_AUTO, NONE, PMR_METHOD_WRITE, NULL },
	{ false, false, PMR_METHOD_FLAG, FLAG, 0, "no-flag" },
	{ false, false, PMR_METHOD_WRITE, NONE, PMR_METHOD_WRITE, NULL },
	{ false, false, PMR_METHOD_PUNCH, NONE, PMR_METHOD_PUNCH, NULL },
};

static void test_methods(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(method_rows) / sizeof(method_rows[0]); i++) {
		struct pmr_loss losses[] = {
			{ .offset = 512, .length = 512, .vanished = method_rows[i].vanished },
			/* not wanted, so it does not count */
			{ .offset = 4096, .length = 512, .state = PMR_SKIPPED },
		};
		struct pmr_file file = {
			.size = 8 * K, .dax = method_rows[i].dax, .losses = losses, .n_losses = 2
		};
		enum pmr_method method = PMR_METHOD_AUTO;
		const char *refused;

		refused = pmr_plan_method(&file, method_rows[i].wanted, &method_rows[i].recovery,
					  &method);
		if (method_rows[i].refused) {
			assert_non_null(refused);
			assert_string_equal(refused, method_rows[i].refused);
		} else {
			assert_null(refused);
		}
		assert_int_equal(method, method_rows[i].method);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_offlined_without_dax),
		cmocka_unit_test(test_split_tail),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
