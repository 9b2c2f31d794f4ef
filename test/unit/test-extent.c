/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FIEMAP in batches: against kernels that answer in every way, and against this one on a file of its own. */

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "private.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* What the pretended kernel answers with. cmocka runs one test at a time. */
static struct {
	const struct fiemap_extent *v;
	size_t n;
	unsigned int most; /* extents in one answer */
	int error;
	unsigned int calls;
	unsigned int synced;
} kernel;

static int pretend(int fd, struct fiemap *map)
{
	uint64_t end = map->fm_start + map->fm_length;
	uint32_t n = 0;
	size_t i;

	assert_int_equal(fd, 42);
	assert_true(map->fm_length);
	assert_true(end >= map->fm_start);
	kernel.calls++;
	assert_true(kernel.calls < 10000);
	if (map->fm_flags & FIEMAP_FLAG_SYNC)
		kernel.synced++;
	if (kernel.error)
		return kernel.error;
	for (i = 0; i < kernel.n && n < kernel.most && n < map->fm_extent_count; i++) {
		uint64_t stop;

		if (__builtin_add_overflow(kernel.v[i].fe_logical, kernel.v[i].fe_length, &stop))
			stop = UINT64_MAX;
		if (stop <= map->fm_start || kernel.v[i].fe_logical >= end)
			continue;
		map->fm_extents[n++] = kernel.v[i];
	}
	map->fm_mapped_extents = n;
	return 0;
}

static struct fiemap_extent extent_at(uint64_t logical, uint64_t physical, uint64_t length,
				      uint32_t flags)
{
	return (struct fiemap_extent){ .fe_logical = logical,
				       .fe_physical = physical,
				       .fe_length = length,
				       .fe_flags = flags };
}

static void use_kernel(const struct fiemap_extent *v, size_t n, unsigned int most)
{
	memset(&kernel, 0, sizeof(kernel));
	kernel.v = v;
	kernel.n = n;
	kernel.most = most;
}

static struct pmr_extents *open_window(uint64_t offset, uint64_t length)
{
	struct pmr_extents *extents;

	assert_int_equal(pmr_extents_open_with(42, offset, length, true, pretend, &extents), 0);
	return extents;
}

/* Every size of batch gives the same extents, with or without a LAST at the end, synced once. */
static void test_batches(void **state)
{
	enum { EXTENTS = 1500 };
	static const unsigned int most[] = { 1, 2, 7, 511, 512, 1500, 100000 };
	struct fiemap_extent *v = calloc(EXTENTS, sizeof(*v));
	struct pmr_extent extent;
	size_t i, j;

	(void)state;
	assert_non_null(v);
	for (i = 0; i < EXTENTS; i++)
		v[i] = extent_at(i * 8192, (EXTENTS - i) * 4096, 4096,
				 i % 3 ? 0 : FIEMAP_EXTENT_UNWRITTEN);
	for (j = 0; j < 2 * N(most); j++) {
		struct pmr_extents *extents;

		v[EXTENTS - 1].fe_flags = j < N(most) ? FIEMAP_EXTENT_LAST : 0;
		use_kernel(v, EXTENTS, most[j % N(most)]);
		extents = open_window(0, UINT64_MAX);
		for (i = 0; i < EXTENTS; i++) {
			assert_int_equal(pmr_extents_next(extents, &extent), 1);
			assert_int_equal(extent.offset, v[i].fe_logical);
			assert_int_equal(extent.physical, v[i].fe_physical);
			assert_int_equal(extent.length, 4096);
			assert_int_equal(extent.flags, v[i].fe_flags);
		}
		assert_int_equal(pmr_extents_next(extents, &extent), 0);
		assert_int_equal(pmr_extents_next(extents, &extent), 0);
		assert_int_equal(kernel.synced, 1);
		pmr_extents_close(extents);
	}
	free(v);
}

static void test_window(void **state)
{
	const struct fiemap_extent v[] = {
		extent_at(0, 100 * 4096, 8192, 0),
		extent_at(16384, 50 * 4096, 8192, FIEMAP_EXTENT_LAST),
	};
	static const struct {
		uint64_t offset;
		uint64_t length;
		struct pmr_extent want[2];
	} rows[] = {
		{ 0, 0, { { 0 } } },
		{ 0, 100, { { 0, 100 * 4096, 100, 0 } } },
		{ 4096, 4096, { { 4096, 101 * 4096, 4096, 0 } } },
		{ 8192, 8192, { { 0 } } },
		{ 5000,
		  12384,
		  { { 5000, 100 * 4096 + 5000, 3192, 0 },
		    { 16384, 50 * 4096, 1000, FIEMAP_EXTENT_LAST } } },
		{ 20480, UINT64_MAX, { { 20480, 51 * 4096, 4096, FIEMAP_EXTENT_LAST } } },
		{ UINT64_MAX - 1, UINT64_MAX, { { 0 } } },
		{ UINT64_MAX, 1, { { 0 } } },
	};
	struct pmr_extent extent;
	size_t i, j;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_extents *extents;

		use_kernel(v, N(v), 100);
		extents = open_window(rows[i].offset, rows[i].length);
		for (j = 0; j < N(rows[i].want) && rows[i].want[j].length; j++) {
			assert_int_equal(pmr_extents_next(extents, &extent), 1);
			assert_int_equal(extent.offset, rows[i].want[j].offset);
			assert_int_equal(extent.physical, rows[i].want[j].physical);
			assert_int_equal(extent.length, rows[i].want[j].length);
			assert_int_equal(extent.flags, rows[i].want[j].flags);
		}
		assert_int_equal(pmr_extents_next(extents, &extent), 0);
		pmr_extents_close(extents);
	}
}

/* Kernels that make no sense end the listing with an error, not in a loop. */
static void test_nonsense(void **state)
{
	const struct fiemap_extent backwards[] = { extent_at(8192, 0, 4096, 0),
						   extent_at(0, 0, 4096, 0) };
	const struct fiemap_extent twice[] = { extent_at(8192, 0, 4096, 0),
					       extent_at(8192, 0, 4096, 0) };
	const struct fiemap_extent empty[] = { extent_at(8192, 0, 0, 0) };
	const struct fiemap_extent wraps[] = { extent_at(UINT64_MAX - 10, 0, 4096, 0) };
	const struct {
		const struct fiemap_extent *v;
		size_t n;
		int good;
	} rows[] = { { backwards, 2, 1 }, { twice, 2, 1 }, { empty, 1, 0 }, { wraps, 1, 0 } };
	struct pmr_extents *extents;
	struct pmr_extent extent;
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		int good = rows[i].good, ret;

		use_kernel(rows[i].v, rows[i].n, 100);
		extents = open_window(0, UINT64_MAX);
		while ((ret = pmr_extents_next(extents, &extent)) == 1)
			assert_true(good-- > 0);
		assert_int_equal(good, 0);
		assert_int_equal(ret, -EPROTO);
		assert_int_equal(pmr_extents_next(extents, &extent), 0);
		pmr_extents_close(extents);
	}
}

static void test_errors(void **state)
{
	static const struct {
		int kernel;
		int want;
	} rows[] = { { -EOPNOTSUPP, -EOPNOTSUPP }, { -EIO, -EIO }, { -EFBIG, 0 } };
	struct pmr_extents *extents;
	struct pmr_extent extent;
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		use_kernel(NULL, 0, 100);
		kernel.error = rows[i].kernel;
		extents = open_window(0, UINT64_MAX);
		assert_int_equal(pmr_extents_next(extents, &extent), rows[i].want);
		pmr_extents_close(extents);
	}
	pmr_extents_close(NULL);
}

static void test_trust(void **state)
{
	static const struct {
		uint32_t flags;
		bool want;
	} rows[] = {
		{ 0, true },
		{ FIEMAP_EXTENT_LAST | FIEMAP_EXTENT_MERGED | FIEMAP_EXTENT_SHARED |
			  FIEMAP_EXTENT_UNWRITTEN,
		  true },
		{ FIEMAP_EXTENT_UNKNOWN, false },
		{ FIEMAP_EXTENT_DELALLOC, false },
		{ FIEMAP_EXTENT_ENCODED, false },
		{ FIEMAP_EXTENT_DATA_ENCRYPTED, false },
		{ FIEMAP_EXTENT_NOT_ALIGNED, false },
		{ FIEMAP_EXTENT_DATA_INLINE, false },
		{ FIEMAP_EXTENT_DATA_TAIL, false },
		{ FIEMAP_EXTENT_SHARED | FIEMAP_EXTENT_ENCODED, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		struct pmr_extent extent = { .flags = rows[i].flags };

		assert_int_equal(pmr_extent_is_trusted(&extent), rows[i].want);
	}
}

/* Data of this kernel's own filesystem comes in order and covers what was written, and nothing of the hole. */
static void test_real_file(void **state)
{
	char path[] = "test-extent.XXXXXX", block[65536];
	uint64_t end = 0, first = 0, second = 0;
	struct pmr_extents *extents;
	struct pmr_extent extent;
	int fd, ret;

	(void)state;
	memset(block, 'x', sizeof(block));
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pwrite(fd, block, sizeof(block), 0), sizeof(block));
	assert_int_equal(pwrite(fd, block, sizeof(block), 1 << 24), sizeof(block));
	assert_int_equal(pmr_extents_open(fd, 0, UINT64_MAX, true, &extents), 0);
	while ((ret = pmr_extents_next(extents, &extent)) == 1) {
		assert_true(extent.offset >= end);
		end = extent.offset + extent.length;
		if (extent.offset < sizeof(block))
			first += extent.length;
		else if (extent.offset >= 1 << 24)
			second += extent.length;
		else
			fail();
	}
	pmr_extents_close(extents);
	close(fd);
	/* tmpfs, overlayfs over it and the like have no FIEMAP; the pretended kernel has shown the rest. */
	if (ret == -EOPNOTSUPP || ret == -ENOTTY) {
		print_message("no FIEMAP in this directory\n");
		return;
	}
	assert_int_equal(ret, 0);
	assert_int_equal(first, sizeof(block));
	assert_true(second >= sizeof(block));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batches),	 cmocka_unit_test(test_window),
		cmocka_unit_test(test_nonsense), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_trust),	 cmocka_unit_test(test_real_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
