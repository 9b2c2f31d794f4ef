/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From losses to steps: tables, and random files against a judge that looks at every page by itself.
 */
#include <linux/fiemap.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "repair/repair.h"

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
		assert_int_equal(
			pmr_plan_steps(&file, &policy, row->extents, n_extents, &steps, &n_steps),
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

/* ---- through the device */

#define AT(file_offset, bytes) \
	.offset = (file_offset), .length = (bytes), .device_offset = 100 * K + (file_offset)

/* at the same place as AT() */
#define STEP(file_offset, bytes, first, n, how)                                                   \
	{                                                                                         \
		.offset = (file_offset), .length = (bytes),                                       \
		.device_offset = 100 * K + (file_offset), .first_loss = (first), .n_losses = (n), \
		.method = PMR_METHOD_##how                                                        \
	}

static const struct device_row {
	const char *what;
	uint64_t size;
	struct pmr_policy policy;
	struct pmr_loss losses[MAX];
	struct pmr_step steps[MAX];
	const char *reasons[MAX]; /* of the losses that are left */
} device_rows[] = {
	{ "a shared sector goes by itself",
	  16 * K,
	  { .wanted = PMR_METHOD_AUTO, .rest = PMR_METHOD_FLAG },
	  { { AT(4608, 512), .shared = true } },
	  { STEP(4608, 512, 0, 1, DEVICE) },
	  { NULL } },
	{ "others go as ever",
	  16 * K,
	  { .wanted = PMR_METHOD_AUTO, .rest = PMR_METHOD_FLAG },
	  { { AT(512, 512) }, { AT(4608, 512), .shared = true } },
	  { STEP(0, 4096, 0, 1, FLAG), STEP(4608, 512, 1, 1, DEVICE) },
	  { NULL } },
	{ "what is shared takes its page with it",
	  16 * K,
	  { .wanted = PMR_METHOD_AUTO, .rest = PMR_METHOD_WRITE },
	  { { AT(4096, 512) }, { AT(5120, 512), .shared = true } },
	  { STEP(4096, 512, 0, 1, DEVICE), STEP(5120, 512, 1, 1, DEVICE) },
	  { NULL } },
	{ "not by a method that was named",
	  16 * K,
	  { .wanted = PMR_METHOD_WRITE, .rest = PMR_METHOD_WRITE },
	  { { AT(4608, 512), .shared = true } },
	  { { 0 } },
	  { "shared" } },
	{ "good sectors between two are not written, neighbours are one write",
	  16 * K,
	  { .wanted = PMR_METHOD_DEVICE },
	  { { AT(4096, 1024) }, { AT(5120, 512) }, { AT(6144, 512) } },
	  { STEP(4096, 1536, 0, 2, DEVICE), STEP(6144, 512, 2, 1, DEVICE) },
	  { NULL } },
	{ "never past a page",
	  16 * K,
	  { .wanted = PMR_METHOD_DEVICE },
	  { { AT(7680, 1024) } },
	  { STEP(7680, 512, 0, 1, DEVICE), STEP(8192, 512, 0, 1, DEVICE) },
	  { NULL } },
	{ "the end of a file is one sector, whose rest is zeros",
	  4096 + 700,
	  { .wanted = PMR_METHOD_DEVICE },
	  { { AT(4608, 188) }, { AT(4796, 324), .state = PMR_PAST_EOF } },
	  { STEP(4608, 512, 0, 2, DEVICE) },
	  { NULL } },
	{ "in logical blocks",
	  16 * K,
	  { .wanted = PMR_METHOD_DEVICE, .block = 1024 },
	  { { AT(4608, 512) }, { AT(6144, 512) } },
	  { STEP(4096, 1024, 0, 1, DEVICE), STEP(6144, 1024, 1, 1, DEVICE) },
	  { NULL } },
	{ "a page that is one block",
	  16 * K,
	  { .wanted = PMR_METHOD_DEVICE, .block = 4096 },
	  { { AT(4608, 512) } },
	  { { 0 } },
	  { "no-sibling" } },
	{ "a page that is lost throughout, and what else its loss has",
	  16 * K,
	  { .wanted = PMR_METHOD_DEVICE },
	  { { AT(4096, 4608) }, { AT(12800, 512) } },
	  { STEP(12800, 512, 1, 1, DEVICE) },
	  { "no-sibling" } },
	{ "a page that is lost throughout in pieces",
	  16 * K,
	  { .wanted = PMR_METHOD_DEVICE },
	  { { AT(4096, 2048) }, { AT(6144, 2048), .reason = "unlisted" } },
	  { { 0 } },
	  { "no-sibling", "no-sibling" } },
	{ "an offlined page, whatever is accepted",
	  16 * K,
	  { .wanted = PMR_METHOD_DEVICE, .accept_offlined = true },
	  { { AT(4096, 512), .reason = "page-offlined" },
	    { AT(4608, 3584), .reason = "page-offlined" } },
	  { { 0 } },
	  { "page-offlined", "page-offlined" } },
	{ "in use: all of it",
	  16 * K,
	  { .wanted = PMR_METHOD_WRITE, .rest = PMR_METHOD_DEVICE, .in_use = true },
	  { { AT(512, 512) }, { AT(4608, 512), .shared = true } },
	  { STEP(512, 512, 0, 1, DEVICE), STEP(4608, 512, 1, 1, DEVICE) },
	  { NULL } },
	{ "in use: not what no list vouches for",
	  16 * K,
	  { .wanted = PMR_METHOD_AUTO, .in_use = true },
	  { { AT(512, 512), .vanished = true } },
	  { { 0 } },
	  { "in-use" } },
	{ "where the device cannot be written",
	  16 * K,
	  { .wanted = PMR_METHOD_AUTO, .rest = PMR_METHOD_FLAG, .no_device = "root-filesystem" },
	  { { AT(512, 512) }, { AT(4608, 512), .shared = true } },
	  { STEP(0, 4096, 0, 1, FLAG) },
	  { NULL, "root-filesystem" } },
};

static void check_row(const struct device_row *row)
{
	const struct pmr_extent extent = { 0, 100 * K, 16 * K, 0 };
	struct pmr_loss losses[MAX];
	struct pmr_file file = { .size = row->size, .dax = true, .losses = losses };
	struct pmr_step *steps;
	size_t n_steps, want = 0;

	memcpy(losses, row->losses, sizeof(losses));
	file.n_losses = count_losses(losses);
	while (want < MAX && row->steps[want].length)
		want++;
	pmr_plan_policy(&file, &row->policy);
	assert_int_equal(pmr_plan_steps(&file, &row->policy, &extent, 1, &steps, &n_steps), 0);
	for (size_t i = 0; i < file.n_losses; i++) {
		const char *reason = losses[i].state == PMR_SKIPPED ? losses[i].reason : NULL;

		if (!reason != !row->reasons[i] || (reason && strcmp(reason, row->reasons[i])))
			fail_msg("%s: loss %zu: %s", row->what, i, reason ? reason : "not left");
	}
	if (n_steps != want)
		fail_msg("%s: %zu steps", row->what, n_steps);
	for (size_t i = 0; i < n_steps; i++)
		if (steps[i].offset != row->steps[i].offset ||
		    steps[i].length != row->steps[i].length ||
		    steps[i].device_offset != row->steps[i].device_offset ||
		    steps[i].first_loss != row->steps[i].first_loss ||
		    steps[i].n_losses != row->steps[i].n_losses ||
		    steps[i].method != row->steps[i].method)
			fail_msg("%s: step %zu differs", row->what, i);
	free(steps);
}

static void test_device(void **state)
{
	(void)state;
	for (size_t r = 0; r < sizeof(device_rows) / sizeof(device_rows[0]); r++)
		check_row(&device_rows[r]);
}

/* Three files have one block, with zeros for all of them: the first writes, the others follow; another block is one's own. */
static void test_owners(void **state)
{
	struct pmr_device device = { .name = (char *)(uintptr_t) "pmem0" };
	struct pmr_filesystem filesystem = { .device = &device };
	struct pmr_loss losses[3][2] = { 0 };
	struct pmr_file_plan plans[3] = { 0 };
	struct pmr_plan plan = { .files = plans, .n_files = 3 };
	struct pmr_step steps[3][2] = { 0 };
	struct pmr_file files[3] = { 0 };
	struct pmr_ctx *ctx;

	(void)state;
	assert_int_equal(pmr_new(&ctx), 0);
	for (size_t i = 0; i < 3; i++) {
		files[i] = (struct pmr_file){ .size = 64 * K,
					      .filesystem = &filesystem,
					      .losses = losses[i],
					      .n_losses = 2 };
		steps[i][0] = (struct pmr_step){ .offset = 4096 * (2 - i),
						 .length = 512,
						 .device_offset = 8192,
						 .n_losses = 1,
						 .method = PMR_METHOD_DEVICE };
		steps[i][1] = (struct pmr_step){ .offset = 32 * K,
						 .length = 512,
						 .device_offset = 64 * K * (i + 1),
						 .first_loss = 1,
						 .n_losses = 1,
						 .method = PMR_METHOD_DEVICE };
		plans[i] = (struct pmr_file_plan){ .file = &files[i],
						   .steps = steps[i],
						   .n_steps = 2 };
	}
	assert_int_equal(pmr_plan_owners(ctx, &plan), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(plans[i].n_steps, 2);
		assert_int_equal(steps[i][0].follows, i > 0);
		assert_false(steps[i][1].follows);
	}
	/* a backup that cannot be read is no reason to write zeros over it */
	for (size_t i = 0; i < 3; i++)
		steps[i][0].follows = false;
	plans[1].backup = (char *)(uintptr_t) "/nowhere/at/all";
	files[1].path = files[0].path = files[2].path = (char *)(uintptr_t) "file";
	assert_int_equal(pmr_plan_owners(ctx, &plan), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(plans[i].n_steps, 1);
		assert_int_equal(losses[i][0].state, PMR_CONFLICT);
		assert_string_equal(losses[i][0].reason, "backups-differ");
		assert_int_equal(losses[i][1].state, PMR_LOST);
	}
	pmr_unref(ctx);
}

/* ---- a device-dax: losses widened to what its bus clears, by where they lie in physical memory */

static void test_whole(void **state)
{
	static const struct {
		const char *what;
		uint64_t unit;
		uint64_t resource;
		struct pmr_range losses[4];
		struct pmr_range steps[4];
		unsigned int first[4], n[4];
		bool skipped[4];
	} devices[] = {
		{ "sectors, as they are",
		  512,
		  1 << 20,
		  { { 512, 512 }, { 1536, 1024 } },
		  { { 512, 512 }, { 1536, 1024 } },
		  { 0, 1 },
		  { 1, 1 },
		  { false } },
		{ "two in a unit are one step",
		  4096,
		  1 << 20,
		  { { 512, 512 }, { 1536, 512 }, { 8192, 512 } },
		  { { 0, 4096 }, { 8192, 4096 } },
		  { 0, 2 },
		  { 2, 1 },
		  { false } },
		{ "a loss of three units ends one and begins another",
		  1024,
		  1 << 20,
		  { { 512, 1536 }, { 2048, 512 } },
		  { { 0, 2048 }, { 2048, 1024 } },
		  { 0, 1 },
		  { 1, 1 },
		  { false } },
		/* the device begins in the middle of a unit, and ends so */
		{ "a unit that begins ahead of the device",
		  4096,
		  (1 << 20) + 2048,
		  { { 1024, 512 }, { 2048, 512 } },
		  { { 2048, 4096 } },
		  { 1 },
		  { 1 },
		  { true, false } },
		{ "a unit that ends behind it",
		  4096,
		  (1 << 20) + 2048,
		  { { 16384 - 512, 512 } },
		  { { 0 } },
		  { 0 },
		  { 0 },
		  { true } },
		{ "nobody knows where it lies",
		  512,
		  PMR_NO_ADDRESS,
		  { { 512, 512 } },
		  { { 0 } },
		  { 0 },
		  { 0 },
		  { true } },
	};
	struct pmr_device device = { .size = 16384 };
	struct pmr_filesystem filesystem = { .device = &device };

	(void)state;
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		struct pmr_loss losses[4] = { { 0 } };
		struct pmr_file file = { .size = device.size,
					 .losses = losses,
					 .filesystem = &filesystem };
		struct pmr_step *steps = NULL;
		size_t n = 0, k;

		device.resource = devices[i].resource;
		for (k = 0; k < 4 && devices[i].losses[k].length; k++)
			losses[k] = (struct pmr_loss){ .offset = devices[i].losses[k].offset,
						       .length = devices[i].losses[k].length };
		file.n_losses = k;
		assert_int_equal(pmr_whole_steps(&file, devices[i].unit, false, &steps, &n), 0);
		for (k = 0; k < 4 && devices[i].steps[k].length; k++) {
			if (k >= n)
				fail_msg("%s: %zu steps", devices[i].what, n);
			assert_int_equal(steps[k].offset, devices[i].steps[k].offset);
			assert_int_equal(steps[k].length, devices[i].steps[k].length);
			assert_int_equal(steps[k].device_offset, steps[k].offset);
			assert_int_equal(steps[k].method, PMR_METHOD_CLEAR);
			assert_int_equal(steps[k].first_loss, devices[i].first[k]);
			assert_int_equal(steps[k].n_losses, devices[i].n[k]);
		}
		assert_int_equal(n, k);
		for (k = 0; k < file.n_losses; k++)
			assert_int_equal(losses[k].state,
					 devices[i].skipped[k] ? PMR_SKIPPED : PMR_LOST);
		free(steps);
	}
}

/* A page that a machine check took, between others: only where it is accepted. */
static void test_whole_offlined(void **state)
{
	struct pmr_device device = { .size = 16384, .resource = 1 << 20 };
	struct pmr_filesystem filesystem = { .device = &device };

	(void)state;
	for (int accept = 0; accept < 2; accept++) {
		struct pmr_loss losses[] = {
			{ .offset = 3584, .length = 512 },
			{ .offset = 4096, .length = 4096, .reason = "page-offlined" },
			{ .offset = 8192, .length = 512 },
		};
		struct pmr_file file = { .size = device.size,
					 .losses = losses,
					 .n_losses = 3,
					 .filesystem = &filesystem };
		struct pmr_step *steps = NULL;
		size_t n = 0;

		assert_int_equal(pmr_whole_steps(&file, 512, accept, &steps, &n), 0);
		assert_int_equal(n, accept ? 3 : 2);
		assert_int_equal(steps[0].offset, 3584);
		assert_int_equal(steps[1].offset, accept ? 4096 : 8192);
		assert_int_equal(losses[0].state, PMR_LOST);
		assert_int_equal(losses[1].state, accept ? PMR_LOST : PMR_SKIPPED);
		if (!accept)
			assert_string_equal(losses[1].reason, "page-offlined");
		assert_int_equal(losses[2].state, PMR_LOST);
		free(steps);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_whole_offlined),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_offlined_without_dax),
		cmocka_unit_test(test_split_tail),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_owners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
