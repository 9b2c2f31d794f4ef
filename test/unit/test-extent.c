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
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "private.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* What the pretended kernel answers with. cmocka runs one test at a time. */
static struct {
	const struct fiemap_extent *v;
	size_t n;
	unsigned int most; /* extents in one answer */
	int fd;
	int error;
	uint64_t broken; /* mappings from here on cannot be read; 0 for none */
	uint64_t mended; /* and from here on they can again; 0 for never */
	int sync_error; /* of what could not be written back */
	unsigned int calls;
	unsigned int synced;
} kernel;

static int pretend(int fd, struct fiemap *map)
{
	uint64_t end = map->fm_start + map->fm_length, fails = UINT64_MAX;
	uint32_t n = 0;
	size_t i;

	assert_int_equal(fd, kernel.fd);
	assert_true(map->fm_length);
	assert_true(end >= map->fm_start);
	kernel.calls++;
	assert_true(kernel.calls < 10000);
	if (map->fm_flags & FIEMAP_FLAG_SYNC)
		kernel.synced++;
	if (kernel.error)
		return kernel.error;
	if (kernel.sync_error && map->fm_flags & FIEMAP_FLAG_SYNC)
		return kernel.sync_error;
	if (kernel.broken && end > kernel.broken &&
	    (!kernel.mended || map->fm_start < kernel.mended))
		fails = map->fm_start > kernel.broken ? map->fm_start : kernel.broken;
	for (i = 0; i < kernel.n && n < kernel.most && n < map->fm_extent_count; i++) {
		uint64_t stop;

		if (__builtin_add_overflow(kernel.v[i].fe_logical, kernel.v[i].fe_length, &stop))
			stop = UINT64_MAX;
		if (stop <= map->fm_start || kernel.v[i].fe_logical >= end)
			continue;
		if (kernel.v[i].fe_logical >= fails || fails == map->fm_start)
			break;
		map->fm_extents[n++] = kernel.v[i];
	}
	map->fm_mapped_extents = n;
	if (fails == UINT64_MAX || n == map->fm_extent_count || n == kernel.most)
		return 0;
	/* as iomap_fiemap() does since 5.15 */
	if (!n)
		return -EUCLEAN;
	map->fm_extents[n - 1].fe_flags |= FIEMAP_EXTENT_LAST;
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
	kernel.fd = -1; /* of no file: its size cannot be told */
}

static struct pmr_extents *open_window(uint64_t offset, uint64_t length)
{
	struct pmr_extents *extents;

	assert_int_equal(pmr_extents_open_with(-1, offset, length, true, pretend, &extents), 0);
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

/* LAST is the end where the file ends. Short of that a mapping that cannot be read may be hidden behind it. */
static void test_last(void **state)
{
	enum { EXTENTS = 100 };
	static const struct {
		uint64_t broken;
		uint64_t size; /* of the file; 0 where it cannot be told */
		uint64_t length; /* of the window */
		unsigned int most;
		unsigned int extents;
		int ret;
		unsigned int calls;
	} rows[] = {
		/* nothing is wrong: one call more only where there is a hole at the end, or no size */
		{ 0, 99 * 8192 + 4096, UINT64_MAX, 512, 100, 0, 1 },
		{ 0, 99 * 8192 + 1, UINT64_MAX, 512, 100, 0, 1 },
		{ 0, 99 * 8192 + 4096, UINT64_MAX, 50, 100, 0, 2 },
		{ 0, 50, UINT64_MAX, 512, 100, 0, 1 },
		{ 0, 100 * 8192, UINT64_MAX, 512, 100, 0, 2 },
		{ 0, 0, UINT64_MAX, 512, 100, 0, 2 },
		{ 0, 0, 99 * 8192 + 4096, 512, 100, 0, 1 },
		/* with or without a hole ahead of what is broken */
		{ 40 * 8192, 99 * 8192 + 4096, UINT64_MAX, 512, 40, -EUCLEAN, 2 },
		{ 39 * 8192 + 4096, 99 * 8192 + 4096, UINT64_MAX, 512, 40, -EUCLEAN, 2 },
		{ 40 * 8192, 99 * 8192 + 4096, UINT64_MAX, 40, 40, -EUCLEAN, 2 },
		{ 40 * 8192, 99 * 8192 + 4096, UINT64_MAX, 7, 40, -EUCLEAN, 7 },
		{ 99 * 8192, 99 * 8192 + 1, UINT64_MAX, 512, 99, -EUCLEAN, 2 },
		{ 40 * 8192, 0, UINT64_MAX, 512, 40, -EUCLEAN, 2 },
		{ 1, 99 * 8192 + 4096, UINT64_MAX, 512, 1, -EUCLEAN, 2 },
		/* in a window, and behind it */
		{ 40 * 8192, 99 * 8192 + 4096, 50 * 8192, 512, 40, -EUCLEAN, 2 },
		{ 40 * 8192, 99 * 8192 + 4096, 40 * 8192, 512, 40, 0, 2 },
		{ 40 * 8192, 99 * 8192 + 4096, 39 * 8192 + 4096, 512, 40, 0, 1 },
		/* behind the end it is nobody's */
		{ 40 * 8192, 39 * 8192 + 4096, UINT64_MAX, 512, 40, 0, 1 },
	};
	struct fiemap_extent *v = calloc(EXTENTS, sizeof(*v));
	struct pmr_extent extent;

	(void)state;
	assert_non_null(v);
	for (size_t i = 0; i < EXTENTS; i++)
		v[i] = extent_at(i * 8192, (EXTENTS - i) * 4096, 4096,
				 i == EXTENTS - 1 ? FIEMAP_EXTENT_LAST : 0);
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_extents *extents;
		unsigned int n = 0;
		int fd = -1, ret;

		use_kernel(v, EXTENTS, rows[i].most);
		kernel.broken = rows[i].broken;
		if (rows[i].size) {
			fd = memfd_create("test-extent", MFD_CLOEXEC);
			assert_true(fd >= 0);
			assert_int_equal(ftruncate(fd, (off_t)rows[i].size), 0);
		}
		kernel.fd = fd;
		assert_int_equal(
			pmr_extents_open_with(fd, 0, rows[i].length, true, pretend, &extents), 0);
		while ((ret = pmr_extents_next(extents, &extent)) == 1)
			assert_int_equal(extent.offset, n++ * 8192);
		if (ret != rows[i].ret || n != rows[i].extents || kernel.calls != rows[i].calls)
			fail_msg("row %zu: %d, %u extents, %u calls", i, ret, n, kernel.calls);
		pmr_extents_close(extents);
		if (fd >= 0)
			close(fd);
	}
	free(v);
}

/* What cannot be listed comes as one extent, to the sector, and the rest as it is. */
static void test_around(void **state)
{
	enum { EXTENTS = 100 };
	static const uint64_t far = (uint64_t)1 << 45;
	static const struct {
		uint64_t broken;
		uint64_t mended;
		uint64_t end; /* of the unlisted range; 0 where it is @mended */
		uint64_t length; /* of the window */
		unsigned int most;
		int sync_error;
		unsigned int before; /* extents, and in all */
		unsigned int extents;
	} rows[] = {
		{ 0, 0, 0, UINT64_MAX, 512, 0, 101, 101 },
		{ 40 * 8192, 60 * 8192, 0, UINT64_MAX, 512, 0, 40, 82 },
		{ 40 * 8192, 60 * 8192, 0, UINT64_MAX, 7, 0, 40, 82 },
		{ 40 * 8192, 60 * 8192, 0, UINT64_MAX, 512, -EIO, 40, 82 },
		{ 39 * 8192 + 4608, 40 * 8192 + 1024, 0, UINT64_MAX, 512, 0, 40, 102 },
		{ 4608, 5120, 0, UINT64_MAX, 512, 0, 1, 102 },
		{ 100 * 8192, (1ull << 45) - 4096, 0, UINT64_MAX, 512, 0, 100, 102 },
		{ 99 * 8192, 0, (1ull << 45) + 1, UINT64_MAX, 512, 0, 99, 100 },
		{ 40 * 8192, 60 * 8192, 50 * 8192, 50 * 8192, 512, 0, 40, 41 },
		{ 40 * 8192, 60 * 8192, 0, 40 * 8192, 512, 0, 40, 40 },
		{ 0, 0, 0, UINT64_MAX, 512, -EUCLEAN, 101, 101 },
		/* behind the end of the file */
		{ (1ull << 45) + 4096, 0, 0, UINT64_MAX, 512, 0, 101, 101 },
	};
	struct fiemap_extent *v = calloc(EXTENTS + 1, sizeof(*v));
	struct pmr_extent extent;
	int fd;

	(void)state;
	assert_non_null(v);
	fd = memfd_create("test-extent", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)far + 1), 0);
	for (size_t i = 0; i < EXTENTS; i++)
		v[i] = extent_at(i * 8192, (EXTENTS - i) * 4096, 4096, 0);
	v[EXTENTS] = extent_at(far, 0, 4096, FIEMAP_EXTENT_LAST);
	for (size_t i = 0; i < N(rows); i++) {
		uint64_t end = rows[i].end ? rows[i].end : rows[i].mended, at = 0;
		struct pmr_extents *extents;
		unsigned int n = 0;
		int ret;

		use_kernel(v, EXTENTS + 1, rows[i].most);
		kernel.fd = fd;
		kernel.broken = rows[i].broken;
		kernel.mended = rows[i].mended;
		kernel.sync_error = rows[i].sync_error;
		assert_int_equal(
			pmr_extents_open_with(fd, 0, rows[i].length, true, pretend, &extents), 0);
		pmr_extents_go_around(extents);
		while ((ret = pmr_extents_next(extents, &extent)) == 1) {
			assert_true(extent.offset >= at && extent.length);
			at = extent.offset + extent.length;
			assert_int_equal(!!(extent.flags & PMR_EXTENT_UNLISTED),
					 n == rows[i].before);
			if (n++ != rows[i].before)
				continue;
			assert_false(pmr_extent_is_trusted(&extent));
			assert_int_equal(extent.offset, rows[i].broken);
			assert_int_equal(at, end);
		}
		if (ret || n != rows[i].extents || kernel.calls > 400)
			fail_msg("row %zu: %d, %u extents, %u calls", i, ret, n, kernel.calls);
		pmr_extents_close(extents);
	}
	close(fd);
	free(v);
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
		cmocka_unit_test(test_last),	 cmocka_unit_test(test_trust),
		cmocka_unit_test(test_around),	 cmocka_unit_test(test_real_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
