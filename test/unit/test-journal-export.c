// SPDX-License-Identifier: GPL-2.0-or-later
/* The names of exported pieces, and the index that tells what they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "journal/journal-export.h"

static void test_names(void **state)
{
	static const struct {
		const char *path;
		size_t number;
		uint64_t offset, length;
		const char *name;
	} rows[] = {
		{ "/mnt/file", 0, 4096, 512, "000000-file@4096+512" },
		{ "file", 7, 0, 1, "000007-file@0+1" },
		{ "/mnt/accounts.db-wal_2", 12, 1, 2, "000012-accounts.db-wal_2@1+2" },
		{ "/a\n b/x\n y;$(z)", 1, 0, 1, "000001-x__y___z_@0+1" },
		{ "/mnt/gr\xc3\xb6\xc3\x9f"
		  "e\xff",
		  1, 0, 1, "000001-gr____e_@0+1" },
		{ "/mnt/..", 1, 0, 1, "000001-..@0+1" },
		{ "/mnt/-rf", 1, 0, 1, "000001--rf@0+1" },
		{ "/mnt/", 1, 0, 1, "000001-@0+1" },
		{ NULL, 1, 0, 1, "000001-@0+1" },
		{ "/f", 12345678, UINT64_MAX, UINT64_MAX,
		  "12345678-f@18446744073709551615+18446744073709551615" },
	};
	char name[PMR_EXPORT_NAME];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pmr_journal_file file = { .path = (char *)rows[i].path };
		const struct pmr_journal_piece piece = { .offset = rows[i].offset,
							 .length = rows[i].length };

		pmr_export_name(&file, &piece, rows[i].number, name);
		assert_string_equal(name, rows[i].name);
	}
}

/* The longest of all fits, and is cut where nothing that tells it from others is lost. */
static void test_long_name(void **state)
{
	const struct pmr_journal_piece piece = { .offset = UINT64_MAX, .length = UINT64_MAX };
	struct pmr_journal_file file = { 0 };
	char path[600], name[PMR_EXPORT_NAME];

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	file.path = path;
	pmr_export_name(&file, &piece, SIZE_MAX, name);
	assert_true(strlen(name) < PMR_EXPORT_NAME - 1);
	assert_non_null(strstr(name, "@18446744073709551615+18446744073709551615"));
}

/* ---- the index */

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) ? json_object_get_string(value)
							      : NULL;
}

static struct json_object *index_of(const struct pmr_journal_entry *entry, const bool *exported)
{
	struct json_object *document;
	char *text = NULL, *copy;
	size_t length = 0;

	assert_int_equal(pmr_export_index(entry, exported, &text, &length), 0);
	assert_int_equal(text[length - 1], '\n');
	copy = strndup(text, length);
	assert_non_null(copy);
	document = json_tokener_parse(copy);
	assert_non_null(document);
	free(copy);
	free(text);
	return document;
}

static struct json_object *get(struct json_object *object, const char *key, size_t i)
{
	struct json_object *array;

	assert_true(json_object_object_get_ex(object, key, &array));
	assert_true(i < json_object_array_length(array));
	return json_object_array_get_idx(array, i);
}

static void test_index(void **state)
{
	struct pmr_journal_piece pieces[] = {
		{ .offset = 4096, .length = 4096 },
		{ .offset = 8192, .length = 512, .mark = PMR_MARK_OPEN }
	};
	struct pmr_loss loss = { .offset = 4096, .length = 512, .reason = "in-use" };
	struct pmr_journal_file files[] = {
		{ .path = (char *)"/mnt/gr\xc3\xb6\xc3\x9f",
		  .inode = 12,
		  .losses = &loss,
		  .n_losses = 1,
		  .pieces = pieces,
		  .n_pieces = 2,
		  .outcome = true },
		{ .path = (char *)"/mnt/\xff\xc0\xaf\xed\xa0\x80",
		  .pieces = pieces,
		  .n_pieces = 1 },
	};
	const struct pmr_journal_entry entry = {
		.path = (char *)"/j/1.journal", .host = (char *)"here", .files = files, .n_files = 2
	};
	static const bool exported[] = { true, false, true };
	struct json_object *document = index_of(&entry, exported), *file;

	(void)state;
	file = get(document, "files", 0);
	assert_string_equal(text_of(file, "path"), files[0].path);
	assert_null(text_of(file, "path_base64"));
	assert_string_equal(text_of(file, "inode"), "12");
	assert_string_equal(text_of(get(file, "losses", 0), "reason"), "in-use");
	assert_string_equal(text_of(get(file, "pieces", 0), "name"), "000000-gr____@4096+4096");
	assert_string_equal(text_of(get(file, "pieces", 0), "mark"), "none");
	/* what could not be exported is named all the same */
	assert_null(text_of(get(file, "pieces", 1), "name"));
	assert_string_equal(text_of(get(file, "pieces", 1), "mark"), "open");
	file = get(document, "files", 1);
	/* overlong forms and surrogates are no UTF-8 */
	assert_string_equal(
		text_of(file, "path"),
		"/mnt/\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	assert_string_equal(text_of(file, "path_base64"), "L21udC//wK/toIA=");
	assert_string_equal(text_of(get(file, "pieces", 0), "name"), "000002-______@4096+4096");
	json_object_put(document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
