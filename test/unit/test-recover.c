/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From an address to the file below: lines of /proc/PID/maps, and what is no file. test/cli/recover.sh has the rest. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "recover/recover.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const char maps[] =
	"00400000-00401000 r-xp 00001000 fe:01 77                                 /bin/a b\n"
	"00401000-00402000 rw-p 00000000 00:00 0 \n"
	"00402000-00405000 rw-s 7fffffff000 103:00 18446744073709551615           /mnt/x\\012y (deleted)\n"
	"7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]\n"
	"ffffffffff600000-fffffffffffff000 --xp 00000000 00:00 0                  [vsyscall]\n";

static void test_find(void **state)
{
	static const struct {
		uint64_t address;
		int ret;
		uint64_t offset;
		uint64_t inode;
		const char *path;
	} rows[] = {
		{ 0, 0, 0, 0, NULL },
		{ 0x3fffff, 0, 0, 0, NULL },
		{ 0x400000, 1, 0x1000, 77, "/bin/a b" },
		{ 0x400fff, 1, 0x1000, 77, "/bin/a b" },
		{ 0x401000, 1, 0, 0, "" },
		{ 0x404fff, 1, 0x7fffffff000, UINT64_MAX, "/mnt/x\\012y (deleted)" },
		{ 0x405000, 0, 0, 0, NULL },
		{ 0x7ffd00000001, 1, 0, 0, "[stack]" },
		{ 0xffffffffffffefff, 1, 0, 0, "[vsyscall]" },
		{ UINT64_MAX, 0, 0, 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_mapped mapped;

		assert_int_equal(pmr_mapped_find(maps, rows[i].address, &mapped), rows[i].ret);
		if (!rows[i].ret)
			continue;
		assert_int_equal(mapped.offset, rows[i].offset);
		assert_int_equal(mapped.inode, rows[i].inode);
		assert_int_equal(mapped.path_length, strlen(rows[i].path));
		assert_memory_equal(mapped.path, rows[i].path, mapped.path_length);
		if (rows[i].inode == UINT64_MAX)
			assert_true(mapped.devno == makedev(0x103, 0));
	}
}

static void test_malformed(void **state)
{
	static const char *const rows[] = {
		"\n",
		"1000-2000",
		"1000-2000 r--p 0 00:00 5 /x", /* cut */
		"2000-1000 r--p 0 00:00 5 /x\n",
		"1000-2000 r--p -1 00:00 5 /x\n",
		"1000-2000 r--p 0 00 5 /x\n",
		"1000-20000000000000000 r--p 0 00:00 5 /x\n",
		"1000-2000 r--p 0 00:00 /x\n",
	};
	struct pmr_mapped mapped;

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		assert_int_equal(pmr_mapped_find(rows[i], 0x1800, &mapped), -EPROTO);
	assert_int_equal(pmr_mapped_find("", 0x1800, &mapped), 0);
}

static void test_range(void **state)
{
	static const struct {
		uint64_t address;
		uint64_t unit;
		uint64_t size;
		int ret;
		struct pmr_range range;
	} rows[] = {
		{ 0x400000, 4096, 0x100000, 0, { 0x10000, 4096 } },
		{ 0x400fff, 4096, 0x100000, 0, { 0x10000, 4096 } },
		{ 0x402800, 4096, 0x100000, 0, { 0x12000, 4096 } },
		/* around it, but no more than is mapped and the file has */
		{ 0x402800, 1 << 21, 0x100000, 0, { 0x10000, 0x5000 } },
		{ 0x402800, (uint64_t)1 << 47, 0x100000, 0, { 0x10000, 0x5000 } },
		{ 0x402800, 0x2000, 0x100000, 0, { 0x12000, 0x2000 } },
		{ 0x402800, 0x2000, 0x12801, 0, { 0x12000, 0x801 } },
		{ 0x402800, 0x2000, 0x12800, -ERANGE, { 0, 0 } },
		{ 0x402800, 4096, 0, -ERANGE, { 0, 0 } },
	};
	static const struct pmr_mapped mapped = { .start = 0x400000,
						  .end = 0x405000,
						  .offset = 0x10000 };

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_range range = { 0 };

		assert_int_equal(pmr_mapped_range(&mapped, rows[i].address, rows[i].unit,
						  rows[i].size, &range),
				 rows[i].ret);
		assert_int_equal(range.offset, rows[i].range.offset);
		assert_int_equal(range.length, rows[i].range.length);
	}
}

static void test_no_file(void **state)
{
	struct pmr_recovered *recovered = NULL;
	struct pmr_ctx *ctx;
	char *map;

	(void)state;
	assert_int_equal(pmr_new(&ctx), 0);
	map = mmap(NULL, PMR_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(pmr_recover_at(ctx, NULL, map, 0, &recovered), -EINVAL);
	assert_int_equal(pmr_recover_at(ctx, NULL, map, 48, &recovered), -EINVAL);
	munmap(map, PMR_PAGE);
	assert_int_equal(pmr_recover_at(ctx, NULL, NULL, 12, &recovered), -EFAULT);
	assert_true(!recovered);
	pmr_recovered_free(NULL);
	pmr_unref(ctx);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
