/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rounds of a repair: what two of them found and did as one. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "private.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define MAX 6

/* Of one file: pages of a step, and losses; offset 0 and length 0 end a list. */
struct word {
	uint64_t offset, length;
	enum pmr_state state;
};

static struct pmr_filesystem filesystem;

static struct pmr_file *new_file(uint64_t inode, const struct word *words)
{
	struct pmr_file *file = calloc(1, sizeof(*file));

	assert_non_null(file);
	file->path = strdup("f");
	file->inode = inode;
	file->filesystem = &filesystem;
	file->complete = true;
	file->losses = calloc(MAX, sizeof(*file->losses));
	for (; words[file->n_losses].length; file->n_losses++)
		file->losses[file->n_losses] = (struct pmr_loss){
			.offset = words[file->n_losses].offset,
			.length = words[file->n_losses].length,
			.device_offset = 1000000 + words[file->n_losses].offset,
			.state = words[file->n_losses].state,
		};
	return file;
}

/* A scan of one file and a plan of one step over its first loss's page. */
static void make(uint64_t inode, const struct word *words, struct pmr_scan **scan,
		 struct pmr_plan **plan)
{
	struct pmr_scan *s = calloc(1, sizeof(*s));
	struct pmr_plan *p = calloc(1, sizeof(*p));

	s->files = calloc(1, sizeof(*s->files));
	s->files[0] = new_file(inode, words);
	s->n_files = 1;
	s->files_seen = 1;
	s->complete = true;
	p->scan = s;
	p->files = calloc(1, sizeof(*p->files));
	p->files[0].file = s->files[0];
	p->files[0].steps = calloc(1, sizeof(*p->files[0].steps));
	p->files[0].steps[0] = (struct pmr_step){ .offset = words[0].offset & ~4095ull,
						  .length = 4096,
						  .n_losses = 1 };
	p->files[0].n_steps = 1;
	p->n_files = 1;
	p->n_steps = 1;
	p->bytes = 4096;
	p->freezes = 1;
	p->longest_freeze = words[0].offset;
	*scan = s;
	*plan = p;
}

static void test_join(void **state)
{
	static const struct {
		struct word first[MAX], second[MAX], both[MAX];
	} rows[] = {
		/* side by side, in the order of the file */
		{ { { 512, 512, PMR_REPAIRED }, { 9000, 100, PMR_REPAIRED } },
		  { { 5000, 100, PMR_REPAIRED } },
		  { { 512, 512, PMR_REPAIRED },
		    { 5000, 100, PMR_REPAIRED },
		    { 9000, 100, PMR_REPAIRED } } },
		/* the later word counts, for better and worse */
		{ { { 512, 512, PMR_FAILED } },
		  { { 512, 512, PMR_REPAIRED } },
		  { { 512, 512, PMR_REPAIRED } } },
		{ { { 512, 512, PMR_REPAIRED } },
		  { { 512, 512, PMR_FAILED } },
		  { { 512, 512, PMR_FAILED } } },
		/* of a part: in the middle, at either end, over several */
		{ { { 512, 1536, PMR_REPAIRED } },
		  { { 1024, 512, PMR_FAILED } },
		  { { 512, 512, PMR_REPAIRED },
		    { 1024, 512, PMR_FAILED },
		    { 1536, 512, PMR_REPAIRED } } },
		{ { { 512, 1024, PMR_REPAIRED } },
		  { { 512, 512, PMR_LOST } },
		  { { 512, 512, PMR_LOST }, { 1024, 512, PMR_REPAIRED } } },
		{ { { 512, 1024, PMR_REPAIRED } },
		  { { 1024, 1024, PMR_LOST } },
		  { { 512, 512, PMR_REPAIRED }, { 1024, 1024, PMR_LOST } } },
		{ { { 0, 512, PMR_REPAIRED },
		    { 1024, 512, PMR_SKIPPED },
		    { 4096, 512, PMR_REPAIRED } },
		  { { 256, 1280, PMR_SKIPPED } },
		  { { 0, 256, PMR_REPAIRED },
		    { 256, 1280, PMR_SKIPPED },
		    { 4096, 512, PMR_REPAIRED } } },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_scan *scan, *later;
		struct pmr_plan *plan, *later_plan;
		const struct pmr_file *file;

		make(7, rows[i].first, &scan, &plan);
		make(7, rows[i].second, &later, &later_plan);
		later->complete = i % 2;
		assert_int_equal(pmr_repair_join(scan, plan, later, later_plan), 0);
		assert_int_equal(scan->n_files, 1);
		assert_int_equal(scan->complete, i % 2);
		file = scan->files[0];
		for (size_t j = 0; j < MAX && (rows[i].both[j].length || j < file->n_losses); j++) {
			const struct word *word = &rows[i].both[j];

			if (j >= file->n_losses || file->losses[j].offset != word->offset ||
			    file->losses[j].length != word->length ||
			    file->losses[j].state != word->state ||
			    file->losses[j].device_offset != 1000000 + word->offset)
				fail_msg("row %zu, loss %zu", i, j);
		}
		/* both plans are there, and their steps find their losses */
		assert_int_equal(plan->n_files, 2);
		assert_int_equal(plan->n_steps, 2);
		assert_int_equal(plan->bytes, 8192);
		assert_int_equal(plan->freezes, 2);
		for (size_t j = 0; j < plan->n_files; j++) {
			const struct pmr_step *step = &plan->files[j].steps[0];

			assert_ptr_equal(plan->files[j].file, file);
			assert_true(step->n_losses);
			for (size_t k = 0; k < step->n_losses; k++) {
				const struct pmr_loss *loss = &file->losses[step->first_loss + k];

				assert_true(loss->offset < step->offset + step->length &&
					    loss->offset + loss->length > step->offset);
			}
		}
		pmr_plan_free(plan);
		pmr_scan_free(scan);
	}
}

static void test_other_file(void **state)
{
	static const struct word words[MAX] = { { 512, 512, PMR_REPAIRED } };
	struct pmr_scan *scan, *later;
	struct pmr_plan *plan, *later_plan;

	(void)state;
	make(7, words, &scan, &plan);
	make(8, words, &later, &later_plan);
	later_plan->journal = strdup("second");
	plan->journal = strdup("first");
	assert_int_equal(pmr_repair_join(scan, plan, later, later_plan), 0);
	assert_int_equal(scan->n_files, 2);
	assert_int_equal(scan->files[1]->inode, 8);
	assert_string_equal(plan->journal, "second");
	/* a round that came to no plan, for it was interrupted */
	make(9, words, &later, &later_plan);
	pmr_plan_free(later_plan);
	later->complete = false;
	assert_int_equal(pmr_repair_join(scan, plan, later, NULL), 0);
	assert_int_equal(scan->n_files, 3);
	assert_int_equal(plan->n_files, 2);
	assert_false(scan->complete);
	pmr_plan_free(plan);
	pmr_scan_free(scan);
}

static struct pmr_device pmem0 = { .name = "pmem0" };
static struct pmr_device *on_pmem0[] = { &pmem0 };
static struct pmr_device dm0 = { .name = "dm-0", .lowers = on_pmem0, .n_lowers = 1 };
static struct pmr_device dm1 = { .name = "dm-1", .lowers = on_pmem0, .n_lowers = 1 };

static void give_devices(struct pmr_scan *scan, struct pmr_device *const *devices)
{
	scan->devices = calloc(MAX, sizeof(*scan->devices));
	scan->owned = calloc(MAX, sizeof(*scan->owned));
	assert_non_null(scan->devices);
	assert_non_null(scan->owned);
	for (; devices[scan->n_devices]; scan->n_devices++) {
		scan->devices[scan->n_devices] = devices[scan->n_devices];
		scan->owned[scan->n_owned++].device = devices[scan->n_devices];
	}
}

/* A volume is a device of the scan only while poison lies under it. */
static void test_devices(void **state)
{
	static struct pmr_device *const rows[][3][MAX] = {
		{ { &dm0, &pmem0 }, { &dm0, &dm1, &pmem0 }, { &dm0, &dm1, &pmem0 } },
		{ { &dm1, &pmem0 }, { &dm0, &pmem0 }, { &dm0, &dm1, &pmem0 } },
		{ { &dm0, &dm1, &pmem0 }, { &pmem0 }, { &dm0, &dm1, &pmem0 } },
		{ { &pmem0 }, { &dm0, &pmem0 }, { &dm0, &pmem0 } },
		{ { &pmem0 }, { &pmem0 }, { &pmem0 } },
		{ { NULL }, { &dm1 }, { &dm1 } },
	};
	static const struct word words[MAX] = { { 512, 512, PMR_REPAIRED } };

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_scan *scan, *later;
		struct pmr_plan *plan, *later_plan;
		size_t n = 0, at = 0;

		make(7, words, &scan, &plan);
		make(7, words, &later, &later_plan);
		give_devices(scan, rows[i][0]);
		give_devices(later, rows[i][1]);
		assert_int_equal(pmr_repair_join(scan, plan, later, later_plan), 0);
		for (; rows[i][2][n]; n++) {
			assert_true(n < scan->n_devices);
			assert_ptr_equal(scan->devices[n], rows[i][2][n]);
		}
		assert_int_equal(scan->n_devices, n);
		/* in the order of the devices */
		for (size_t j = 0; j < scan->n_owned; j++, at++) {
			while (at < n && scan->devices[at] != scan->owned[j].device)
				at++;
			assert_true(at < n);
			assert_ptr_equal(scan->owned[j].device, rows[i][1][j]);
		}
		pmr_plan_free(plan);
		pmr_scan_free(scan);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_other_file),
		cmocka_unit_test(test_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
