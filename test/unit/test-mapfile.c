/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ddrescue's mapfiles: what is understood, what is refused and where, and that what is written is understood again. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mapfile.h"

#define OURS                                                                                  \
	"# pmem-recover filesystem: 8dc1e6c0-12f0-4e7c-9d5a-000000000001\n"                   \
	"# pmem-recover inode: 12\n# pmem-recover generation: 7\n# pmem-recover size: 1024\n" \
	"# pmem-recover change time: 1700000000.000000042\n"
#define STATUS "0x0 ? 1\n"

/* Ranges as "offset+length ...", decimal. */
static void ranges_to_text(const struct pmr_ranges *ranges, char *text, size_t size)
{
	size_t n = 0;

	*text = '\0';
	for (size_t i = 0; i < ranges->n && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s%llu+%llu", i ? " " : "",
				      (unsigned long long)ranges->v[i].offset,
				      (unsigned long long)ranges->v[i].length);
}

/* ---- understood */

static const struct good {
	const char *name;
	const char *text;
	uint64_t size;
	const char *rescued;
	const char *bad;
	bool known;
	const char *listed;
} goods[] = {
	{ "ddrescue's own",
	  "# Mapfile. Created by GNU ddrescue version 1.27\n# Command line: ddrescue in out map\n"
	  "# current_pos  current_status  current_pass\n0x00000000     +               1\n"
	  "#      pos        size  status\n0x00000000  0x00000400  +\n0x00000400  0x00000200  -\n",
	  1536, "0+1024", "1024+512", false, "" },
	{ "an old one, without a pass", "0x0 ?\n0x0 0x200 +\n", 512, "0+512", "", false, "" },
	{ "all statuses", STATUS "0 1 ?\n1 1 *\n2 1 /\n3 1 -\n4 1 +\n", 5, "4+1", "3+1", false,
	  "" },
	{ "every current status", "0 G 3\n0 1 +\n", 1, "0+1", "", false, "" },
	{ "decimal, octal, hexadecimal", "16 - 2\n0 010 +\n8 0x8 +\n16 9 -\n", 25, "0+16", "16+9",
	  false, "" },
	{ "neighbours become one", STATUS "0 1 +\n1 1 +\n2 1 ?\n3 1 +\n", 4, "0+2 3+1", "", false,
	  "" },
	{ "comments, blanks, blank lines", "\n # x\n\t0 ? 1 # c\n\n  0\t4  + \r\n#\n4 4 - # d\n#",
	  8, "0+4", "4+4", false, "" },
	{ "no newline at the end", STATUS "0 4 +", 4, "0+4", "", false, "" },
	{ "an empty file", STATUS "0 0 ?\n", 0, "", "", false, "" },
	{ "an empty file, rescued", STATUS "0 0 +\n", 0, "", "", false, "" },
	{ "the largest file", STATUS "0 0x7fffffffffffffff -\n", INT64_MAX, "",
	  "0+9223372036854775807", false, "" },
	{ "ours", OURS STATUS "0 1024 +\n", 1024, "0+1024", "", true, "" },
	{ "ours, with a name", "# pmem-recover file: /a b\n" OURS STATUS "0 1024 ?\n", 1024, "", "",
	  true, "" },
	{ "ours, with the output",
	  OURS "# pmem-recover output inode: 13\n# pmem-recover output generation: 4294967295\n"
	       "# pmem-recover output birth: 1700000000.5\n" STATUS "0 1024 ?\n",
	  1024, "", "", true, "" },
	{ "ours, with what was listed",
	  OURS "# pmem-recover listed: 512 512\n# pmem-recover listed: 0x0 1 \n" STATUS
	       "0 512 +\n512 512 -\n",
	  1024, "0+512", "512+512", true, "0+1 512+512" },
	{ "listed without order, twice, over one another",
	  "# pmem-recover listed: 8 4\n# pmem-recover listed: 0 9\n# pmem-recover listed: 0 9\n" STATUS
	  "0 12 ?\n",
	  12, "", "", false, "0+12" },
	{ "what was listed, behind the status line", STATUS "# pmem-recover listed: x\n0 4 +\n", 4,
	  "0+4", "", false, "" },
	{ "ours, of a later version", "# pmem-recover colour: red\n" OURS STATUS "0 1024 ?\n", 1024,
	  "", "", true, "" },
	{ "ours behind the status line says nothing", STATUS OURS "0 4 +\n", 4, "0+4", "", false,
	  "" },
};

/* Written and read again, it says the same of what was listed, and of the output. */
static void check_kept(const char *name, const struct pmr_mapfile *map, const char *listed)
{
	struct pmr_mapfile back;
	unsigned long line = 0;
	const char *fault = "";
	char again[256], *text;
	size_t length;

	assert_int_equal(pmr_mapfile_format(map, &text, &length), 0);
	assert_int_equal(pmr_mapfile_parse(text, length, &back, &line, &fault), 0);
	ranges_to_text(&back.listed, again, sizeof(again));
	if (strcmp(again, listed))
		fail_msg("%s: listed %s after %s", name, again, listed);
	if (map->identity.known &&
	    (back.output != map->output || back.output_generation != map->output_generation ||
	     !pmr_is_same_time(&back.output_birth, &map->output_birth)))
		fail_msg("%s: another output", name);
	pmr_mapfile_release(&back);
	free(text);
}

static void test_goods(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
		const struct good *g = &goods[i];
		struct pmr_mapfile map;
		unsigned long line = 0;
		const char *fault = "";
		char rescued[256], bad[256], listed[256];
		int ret = pmr_mapfile_parse(g->text, strlen(g->text), &map, &line, &fault);

		if (ret)
			fail_msg("%s: %d, line %lu: %s", g->name, ret, line, fault);
		ranges_to_text(&map.rescued, rescued, sizeof(rescued));
		ranges_to_text(&map.bad, bad, sizeof(bad));
		ranges_to_text(&map.listed, listed, sizeof(listed));
		if (map.size != g->size || strcmp(rescued, g->rescued) || strcmp(bad, g->bad) ||
		    strcmp(listed, g->listed) || map.identity.known != g->known)
			fail_msg("%s: size %llu, rescued %s, bad %s, listed %s", g->name,
				 (unsigned long long)map.size, rescued, bad, listed);
		check_kept(g->name, &map, listed);
		pmr_mapfile_release(&map);
	}
}

static void test_identity(void **state)
{
	static const char text[] = OURS STATUS "0 1024 ?\n";
	struct pmr_mapfile map;
	unsigned long line;
	const char *fault;

	(void)state;
	assert_int_equal(pmr_mapfile_parse(text, strlen(text), &map, &line, &fault), 0);
	assert_string_equal(map.identity.uuid, "8dc1e6c0-12f0-4e7c-9d5a-000000000001");
	assert_int_equal(map.identity.inode, 12);
	assert_int_equal(map.identity.generation, 7);
	assert_int_equal(map.identity.size, 1024);
	assert_int_equal(map.identity.change_time.tv_sec, 1700000000);
	assert_int_equal(map.identity.change_time.tv_nsec, 42);
	pmr_mapfile_release(&map);
}

/* ---- refused */

static const struct fault {
	const char *name;
	const char *text;
	int error;
	unsigned long line;
} faults[] = {
	{ "nothing", "", -EINVAL, 1 },
	{ "comments alone", "# a\n# b\n", -EINVAL, 2 },
	{ "no areas", STATUS, -EINVAL, 1 },
	{ "no status line", "0 4 +\n", -EINVAL, 1 },
	{ "a gap", STATUS "0 4 +\n8 4 +\n", -EINVAL, 3 },
	{ "an overlap", STATUS "0 4 +\n2 4 +\n", -EINVAL, 3 },
	{ "not from 0", STATUS "4 4 +\n", -EINVAL, 2 },
	{ "an empty area", STATUS "0 4 +\n4 0 +\n", -EINVAL, 3 },
	{ "more behind an empty file", STATUS "0 0 +\n0 4 +\n", -EINVAL, 3 },
	{ "an unknown status", STATUS "0 4 F\n", -EINVAL, 2 },
	{ "no status", STATUS "0 4\n", -EINVAL, 2 },
	{ "a long status", STATUS "0 4 ++\n", -EINVAL, 2 },
	{ "no size", STATUS "0\n", -EINVAL, 2 },
	{ "too much", STATUS "0 4 + 1\n", -EINVAL, 2 },
	{ "an unknown current status", "0 x 1\n0 4 +\n", -EINVAL, 1 },
	{ "a pass that is no number", "0 ? x\n0 4 +\n", -EINVAL, 1 },
	{ "a sign", STATUS "0 -4 +\n", -EINVAL, 2 },
	{ "a plus", STATUS "0 +4 +\n", -EINVAL, 2 },
	{ "0x alone", STATUS "0 0x +\n", -EINVAL, 2 },
	{ "octal with an 8", STATUS "0 08 +\n", -EINVAL, 2 },
	{ "letters in a decimal number", STATUS "0 4a +\n", -EINVAL, 2 },
	{ "past INT64_MAX", STATUS "0 0x8000000000000000 +\n", -ERANGE, 2 },
	{ "past UINT64_MAX", STATUS "0 99999999999999999999999 +\n", -ERANGE, 2 },
	{ "a sum past INT64_MAX", STATUS "0 0x7fffffffffffffff +\n0x7fffffffffffffff 1 +\n",
	  -ERANGE, 3 },
	{ "ours, another size", OURS STATUS "0 1025 +\n", -EINVAL, 7 },
	{ "ours, in part", "# pmem-recover inode: 12\n" STATUS "0 4 +\n", -EINVAL, 3 },
	{ "ours, twice", OURS "# pmem-recover inode: 12\n" STATUS "0 1024 +\n", -EINVAL, 6 },
	{ "ours, an inode that is none", "# pmem-recover inode: x\n", -EINVAL, 1 },
	{ "listed, no length", "# pmem-recover listed: 4\n", -EINVAL, 1 },
	{ "listed, nothing", "# pmem-recover listed: \n", -EINVAL, 1 },
	{ "listed, empty", "# pmem-recover listed: 4 0\n", -EINVAL, 1 },
	{ "listed, too much", "# pmem-recover listed: 4 4 4\n", -EINVAL, 1 },
	{ "listed past INT64_MAX", "# pmem-recover listed: 0x7fffffffffffffff 1\n", -ERANGE, 1 },
	{ "listed past the end", "# pmem-recover listed: 1024 1\n" OURS STATUS "0 1024 +\n",
	  -EINVAL, 8 },
	{ "ours, an output generation that is none",
	  "# pmem-recover output generation: 4294967296\n", -ERANGE, 1 },
	{ "ours, an output birth that is none", "# pmem-recover output birth: 1\n", -EINVAL, 1 },
	{ "ours, an output birth twice",
	  "# pmem-recover output birth: 1.0\n# pmem-recover output birth: 1.0\n", -EINVAL, 2 },
	{ "ours, a time that is none", "# pmem-recover change time: 12\n", -EINVAL, 1 },
	{ "ours, a time with too much", "# pmem-recover change time: 1.0000000001x\n", -EINVAL, 1 },
	{ "text", "The quick brown fox\n", -EINVAL, 1 },
	{ "JSON", "{ \"a\": 1 }\n", -EINVAL, 1 },
};

static void test_faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		const struct fault *f = &faults[i];
		struct pmr_mapfile map = { .size = 42 };
		unsigned long line = 0;
		const char *fault = NULL;
		int ret = pmr_mapfile_parse(f->text, strlen(f->text), &map, &line, &fault);

		if (ret != f->error || line != f->line || !fault || map.size != 42)
			fail_msg("%s: %d at line %lu (%s), not %d at %lu", f->name, ret, line,
				 fault ? fault : "-", f->error, f->line);
	}
}

/* No NUL needed, and bytes of any value are no way out. */
static void test_bytes(void **state)
{
	static const char text[] = STATUS "0 4 +\n", nul[] = "# pmem-recover filesystem: \0x\n";
	unsigned long line;
	const char *fault;
	struct pmr_mapfile map;
	char *copy;

	(void)state;
	assert_int_equal(pmr_mapfile_parse(nul, sizeof(nul) - 1, &map, &line, &fault), -EINVAL);
	assert_int_equal(line, 1);
	assert_string_equal(fault, "the filesystem is malformed");
	for (size_t n = 0; n <= strlen(text); n++) {
		/* so that valgrind and the sanitizers see the end */
		copy = malloc(n ? n : 1);
		assert_non_null(copy);
		memcpy(copy, text, n);
		if (!pmr_mapfile_parse(copy, n, &map, &line, &fault))
			pmr_mapfile_release(&map);
		free(copy);
	}
	for (int c = 0; c < 256; c++) {
		char damaged[sizeof(text)];

		for (size_t n = 0; n < strlen(text); n++) {
			memcpy(damaged, text, sizeof(text));
			damaged[n] = (char)c;
			if (!pmr_mapfile_parse(damaged, strlen(text), &map, &line, &fault))
				pmr_mapfile_release(&map);
		}
	}
}

/* ---- written */

static const struct written {
	const char *name;
	uint64_t size;
	struct pmr_range rescued[4];
	size_t n_rescued;
	struct pmr_range bad[4];
	size_t n_bad;
	int error;
	const char *areas;
} writtens[] = {
	{ "nothing tried",
	  4096,
	  {},
	  0,
	  {},
	  0,
	  0,
	  "0x00000000     ?               1\n#      pos        size  status\n0x00000000  0x00001000  ?\n" },
	{ "all rescued",
	  4096,
	  { { 0, 4096 } },
	  1,
	  {},
	  0,
	  0,
	  "0x00000000     +               1\n#      pos        size  status\n0x00000000  0x00001000  +\n" },
	{ "all tried",
	  4096,
	  { { 0, 512 }, { 1024, 3072 } },
	  2,
	  { { 512, 512 } },
	  1,
	  0,
	  "0x00000000     +               1\n#      pos        size  status\n0x00000000  0x00000200  +\n0x00000200  0x00000200  -\n0x00000400  0x00000C00  +\n" },
	{ "stopped",
	  4096,
	  { { 0, 512 } },
	  1,
	  { { 512, 512 } },
	  1,
	  0,
	  "0x00000400     ?               1\n#      pos        size  status\n0x00000000  0x00000200  +\n0x00000200  0x00000200  -\n0x00000400  0x00000C00  ?\n" },
	{ "a gap",
	  4096,
	  { { 1024, 512 } },
	  1,
	  { { 3584, 512 } },
	  1,
	  0,
	  "0x00000000     ?               1\n#      pos        size  status\n0x00000000  0x00000400  ?\n0x00000400  0x00000200  +\n0x00000600  0x00000800  ?\n0x00000E00  0x00000200  -\n" },
	{ "an empty file",
	  0,
	  {},
	  0,
	  {},
	  0,
	  0,
	  "0x00000000     +               1\n#      pos        size  status\n0x00000000  0x00000000  +\n" },
	{ "the largest file",
	  INT64_MAX,
	  { { 0, INT64_MAX } },
	  1,
	  {},
	  0,
	  0,
	  "0x00000000     +               1\n#      pos        size  status\n0x00000000  0x7FFFFFFFFFFFFFFF  +\n" },
	{ "an overlap", 4096, { { 0, 1024 } }, 1, { { 512, 1024 } }, 1, -EINVAL, NULL },
	{ "past the end", 4096, { { 0, 4097 } }, 1, {}, 0, -EINVAL, NULL },
	{ "behind the end", 4096, { { 0, 4096 } }, 1, { { 4096, 1 } }, 1, -EINVAL, NULL },
};

static void test_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(writtens) / sizeof(writtens[0]); i++) {
		const struct written *w = &writtens[i];
		struct pmr_mapfile map = {
			.size = w->size,
			.rescued = { (struct pmr_range *)w->rescued, w->n_rescued, 0 },
			.bad = { (struct pmr_range *)w->bad, w->n_bad, 0 },
		}, back;
		unsigned long line = 0;
		const char *fault = NULL;
		char *text = NULL;
		size_t length = 0;
		int ret = pmr_mapfile_format(&map, &text, &length);

		if (ret != w->error)
			fail_msg("%s: %d", w->name, ret);
		if (ret)
			continue;
		if (!strstr(text, "current_pass\n") ||
		    strcmp(strstr(text, "current_pass\n") + 13, w->areas))
			fail_msg("%s: %s", w->name, text);
		assert_int_equal(length, strlen(text));
		assert_int_equal(pmr_mapfile_parse(text, length, &back, &line, &fault), 0);
		assert_int_equal(back.size, w->size);
		assert_int_equal(back.rescued.n, w->n_rescued);
		assert_int_equal(back.bad.n, w->n_bad);
		assert_false(back.identity.known);
		pmr_mapfile_release(&back);
		free(text);
	}
}

/* What is written of a file is what is held against it later. */
static void test_differs(void **state)
{
	static const struct pmr_mapfile_identity now = {
		.known = true,
		.path = (char *)"/mnt/new\nline\\\x7f",
		.uuid = (char *)"1234-ABCD",
		.inode = UINT64_MAX,
		.generation = UINT32_MAX,
		.size = 8192,
		.change_time = { -5, 999999999 },
	};
	struct pmr_mapfile map = { .identity = now, .size = 8192 }, back;
	struct pmr_mapfile_identity other;
	unsigned long line = 0;
	const char *fault = NULL;
	size_t length;
	char *text;

	(void)state;
	assert_int_equal(pmr_mapfile_format(&map, &text, &length), 0);
	assert_non_null(strstr(text, "# pmem-recover file: /mnt/new\\x0aline\\x5c\\x7f\n"));
	assert_int_equal(pmr_mapfile_parse(text, length, &back, &line, &fault), 0);
	assert_true(back.identity.known);
	assert_null(pmr_mapfile_differs(&back, &now));
	other = now;
	other.uuid = NULL;
	assert_null(pmr_mapfile_differs(&back, &other));
	other.uuid = (char *)"1234-ABCE";
	assert_non_null(pmr_mapfile_differs(&back, &other));
	other = now;
	other.inode--;
	assert_non_null(pmr_mapfile_differs(&back, &other));
	other = now;
	other.generation--;
	assert_non_null(pmr_mapfile_differs(&back, &other));
	other = now;
	other.size--;
	assert_non_null(pmr_mapfile_differs(&back, &other));
	other = now;
	other.change_time.tv_sec--;
	assert_non_null(pmr_mapfile_differs(&back, &other));
	other = now;
	other.change_time.tv_nsec--;
	assert_non_null(pmr_mapfile_differs(&back, &other));
	pmr_mapfile_release(&back);
	free(text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goods),	cmocka_unit_test(test_identity),
		cmocka_unit_test(test_faults),	cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_written), cmocka_unit_test(test_differs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
