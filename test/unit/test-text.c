// SPDX-License-Identifier: GPL-2.0-or-later
/* Sizes and paths on their way in and out. */
#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../cli/text.h"
#include "pmem-recover.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t bytes;
		const char *rest;
	} rows[] = {
		{ "0", 0, 0, "" },
		{ "4096", 0, 4096, "" },
		{ "0x1000", 0, 4096, "" },
		{ "0X1f", 0, 31, "" },
		{ "010", 0, 10, "" },
		{ "4K", 0, 4096, "" },
		{ "4k+1", 0, 4096, "+1" },
		{ "0x2M", 0, 2 << 20, "" },
		{ "1G", 0, 1 << 30, "" },
		{ "3T", 0, 3ULL << 40, "" },
		{ "1Kx", 0, 1024, "x" },
		{ "1x", 0, 1, "x" },
		{ "18446744073709551615", 0, UINT64_MAX, "" },
		{ "0xffffffffffffffff", 0, UINT64_MAX, "" },
		{ "16777215T", 0, 16777215ULL << 40, "" },
		{ "18446744073709551616", -ERANGE, 0, NULL },
		{ "16777216T", -ERANGE, 0, NULL },
		{ "18014398509481984K", -ERANGE, 0, NULL },
		{ "", -EINVAL, 0, NULL },
		{ "-1", -EINVAL, 0, NULL },
		{ "+1", -EINVAL, 0, NULL },
		{ " 1", -EINVAL, 0, NULL },
		{ "K", -EINVAL, 0, NULL },
		{ "0x", -EINVAL, 0, NULL },
		{ "0x-1", -EINVAL, 0, NULL },
		{ "0x0x1", 0, 0, "x1" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const char *end = NULL;
		uint64_t bytes = 0;
		int rc = text_parse_size(rows[i].text, &end, &bytes);

		if (rc != rows[i].rc || bytes != rows[i].bytes)
			fail_msg("'%s': %d, %llu", rows[i].text, rc, (unsigned long long)bytes);
		if (!rc)
			assert_string_equal(end, rows[i].rest);
	}
}

static void test_parse_range(void **state)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t offset, length;
	} rows[] = {
		{ "0", 0, 0, 7 },
		{ "4096+512", 0, 4096, 512 },
		{ "0x1000+4K", 0, 4096, 4096 },
		{ "1K+0x10", 0, 1024, 16 },
		{ "", -EINVAL, 0, 7 },
		{ "+1", -EINVAL, 0, 7 },
		{ "1+", -EINVAL, 1, 7 },
		{ "1+0", -EINVAL, 1, 7 },
		{ "1+2+3", -EINVAL, 1, 7 },
		{ "1-2", -EINVAL, 1, 7 },
		{ "1x", -EINVAL, 1, 7 },
		{ "18446744073709551616", -ERANGE, 0, 7 },
		{ "1+18446744073709551616", -ERANGE, 1, 7 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		uint64_t offset = 0, length = 7;
		int rc = text_parse_range(rows[i].text, &offset, &length);

		if (rc != rows[i].rc || offset != rows[i].offset || length != rows[i].length)
			fail_msg("'%s': %d, %llu+%llu", rows[i].text, rc,
				 (unsigned long long)offset, (unsigned long long)length);
	}
}

static char *printed(void (*print)(FILE *out, const char *text), const char *text)
{
	char *result = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&result, &length);

	assert_non_null(out);
	print(out, text);
	assert_int_equal(fclose(out), 0);
	return result;
}

static void print_size(FILE *out, const char *text)
{
	text_print_size(out, strtoull(text, NULL, 10));
}

static void test_sizes(void **state)
{
	static const char *const rows[][2] = {
		{ "0", "0 B" },
		{ "512", "512 B" },
		{ "1023", "1023 B" },
		{ "1024", "1 KiB" },
		{ "1536", "1.5 KiB" },
		{ "4096", "4 KiB" },
		{ "1048575", "1023.9 KiB" },
		{ "1048576", "1 MiB" },
		{ "1048577", "1.0 MiB" },
		{ "1099511627776", "1 TiB" },
		{ "18446744073709551615", "15.9 EiB" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		char *text = printed(print_size, rows[i][0]);

		assert_string_equal(text, rows[i][1]);
		free(text);
	}
}

static void test_safe(void **state)
{
	static const char *const rows[][2] = {
		{ "/mnt/a b", "/mnt/a b" },
		{ "a\nb\033[2J\177", "a\\x0ab\\x1b[2J\\x7f" },
		{ "a\\n", "a\\\\n" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "\xff"
		  "a\xc3",
		  "\\xffa\\xc3" },
		{ "\xc2\x9b"
		  "2J",
		  "\\xc2\\x9b2J" },
		{ "\xe2\x80\xae"
		  "cod",
		  "\\xe2\\x80\\xae"
		  "cod" },
		{ "\xc0\xaf", "\\xc0\\xaf" },
	};

	(void)state;
	assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
	for (size_t i = 0; i < N(rows); i++) {
		char *text = printed(text_print_safe, rows[i][0]);

		assert_string_equal(text, rows[i][1]);
		free(text);
	}
	assert_non_null(setlocale(LC_CTYPE, "C"));
	char *text = printed(text_print_safe, "gr\xc3\xbc");

	assert_string_equal(text, "gr\\xc3\\xbc");
	free(text);
}

static void test_utf8(void **state)
{
	static const struct {
		const char *from, *to;
		bool exact;
	} rows[] = {
		{ "", "", true },
		{ "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
		  "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", true },
		{ "\xff", "\xef\xbf\xbd", false },
		{ "a\xc3", "a\xef\xbf\xbd", false },
		/* a truncated, an overlong, a surrogate and one past the end of Unicode */
		{ "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd", false },
		{ "\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd", false },
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", false },
		{ "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", false },
		{ "\xf5\x80\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", false },
		/* what is U+FFFD already is exact */
		{ "\xef\xbf\xbd", "\xef\xbf\xbd", true },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		bool exact = !rows[i].exact;
		char *text = text_to_utf8(rows[i].from, &exact);

		assert_non_null(text);
		assert_string_equal(text, rows[i].to);
		assert_true(exact == rows[i].exact);
		free(text);
	}
}

static void test_base64(void **state)
{
	static const char *const rows[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xff\xfe\xfb", "//77" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		char *text = text_to_base64(rows[i][0]);

		assert_non_null(text);
		assert_string_equal(text, rows[i][1]);
		free(text);
	}
}

static void test_quote(void **state)
{
	static const char *const rows[][2] = {
		{ "/var/lib/pmem-recover", "/var/lib/pmem-recover" },
		{ "a-b_c.d+e=f:g@h,%", "a-b_c.d+e=f:g@h,%" },
		{ "", "\"\"" },
		{ "j dir", "\"j dir\"" },
		{ "it's", "\"it's\"" },
		{ "~", "\"~\"" },
		{ "$HOME", "'$HOME'" },
		{ "a`b!\\", "'a`b!\\'" },
		{ "'\"'", "''\\''\"'\\'''" },
		{ "\xc3\xa4", "\"\xc3\xa4\"" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		char *text = pmr_quote(rows[i][0]);

		assert_non_null(text);
		assert_string_equal(text, rows[i][1]);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse), cmocka_unit_test(test_parse_range),
		cmocka_unit_test(test_sizes), cmocka_unit_test(test_safe),
		cmocka_unit_test(test_utf8),  cmocka_unit_test(test_base64),
		cmocka_unit_test(test_quote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
