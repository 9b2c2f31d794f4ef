/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the exported bytes of a journal are: index.json. */

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "journal-export.h"

static void add(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add(object, key, value);
}

/* How many bytes of one character of UTF-8 are here; 0 where there is none. */
static size_t character(const unsigned char *s)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	uint32_t c;

	if (length <= 1)
		return length;
	c = s[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	return c < smallest[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : length;
}

static struct json_object *new_base64(const char *text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t length = strlen(text), used = 0;
	struct json_object *value;
	char *out = malloc((length + 2) / 3 * 4 + 1);

	if (!out)
		return NULL;
	for (size_t i = 0; i < length; i += 3) {
		uint32_t bits = 0;

		for (size_t j = 0; j < 3; j++)
			bits = bits << 8 | (i + j < length ? (unsigned char)text[i + j] : 0);
		for (size_t j = 0; j < 4; j++)
			out[used++] = j > length - i ? '=' : digits[bits >> (18 - 6 * j) & 63];
	}
	out[used] = '\0';
	value = json_object_new_string(out);
	free(out);
	return value;
}

/* As the reports have paths: U+FFFD for what is no UTF-8, and then the exact bytes beside it. */
static void add_path(struct json_object *object, const char *path)
{
	char *text = malloc(3 * strlen(path) + 1), *to = text;
	bool exact = true;
	size_t length;

	if (!text)
		return;
	for (const char *from = path; *from; from += length) {
		length = character((const unsigned char *)from);
		if (length) {
			to = mempcpy(to, from, length);
			continue;
		}
		to = mempcpy(to, "\xef\xbf\xbd", 3);
		length = 1;
		exact = false;
	}
	*to = '\0';
	add(object, "path", json_object_new_string(text));
	if (!exact)
		add(object, "path_base64", new_base64(path));
	free(text);
}

static struct json_object *new_text(const char *text)
{
	return text ? json_object_new_string(text) : NULL;
}

static struct json_object *new_piece(const struct pmr_journal_file *file,
				     const struct pmr_journal_piece *piece, size_t number,
				     bool exported)
{
	struct json_object *object = json_object_new_object();
	char name[PMR_EXPORT_NAME];

	if (!object)
		return NULL;
	pmr_export_name(file, piece, number, name);
	add(object, "name", exported ? json_object_new_string(name) : NULL);
	add(object, "offset", json_object_new_uint64(piece->offset));
	add(object, "length", json_object_new_uint64(piece->length));
	add(object, "device_offset", json_object_new_uint64(piece->device_offset));
	add(object, "method", json_object_new_string(pmr_method_name(piece->method)));
	add(object, "mark", json_object_new_string(pmr_mark_name(piece->mark)));
	return object;
}

static struct json_object *new_losses(const struct pmr_journal_file *file)
{
	struct json_object *list = json_object_new_array(), *object;

	for (size_t i = 0; list && i < file->n_losses; i++) {
		const struct pmr_loss *loss = &file->losses[i];

		object = json_object_new_object();
		if (!object)
			break;
		add(object, "offset", json_object_new_uint64(loss->offset));
		add(object, "length", json_object_new_uint64(loss->length));
		add(object, "device_offset", json_object_new_uint64(loss->device_offset));
		add(object, "state", json_object_new_string(pmr_state_name(loss->state)));
		add(object, "reason", new_text(loss->reason));
		json_object_array_add(list, object);
	}
	return list;
}

static struct json_object *new_file(const struct pmr_journal_file *file, size_t *number,
				    const bool *exported)
{
	struct json_object *object = json_object_new_object(), *pieces = json_object_new_array();

	if (!object || !pieces) {
		json_object_put(object);
		json_object_put(pieces);
		return NULL;
	}
	if (file->path)
		add_path(object, file->path);
	add(object, "inode", json_object_new_uint64(file->inode));
	add(object, "generation", json_object_new_uint64(file->generation));
	add(object, "size", json_object_new_uint64(file->size));
	add(object, "filesystem_type", new_text(file->filesystem_type));
	add(object, "filesystem_uuid", new_text(file->filesystem_uuid));
	add(object, "device", new_text(file->device));
	add(object, "namespace_uuid", new_text(file->namespace_uuid));
	add(object, "outcome", json_object_new_boolean(file->outcome));
	add(object, "losses", new_losses(file));
	for (size_t i = 0; i < file->n_pieces; i++, ++*number)
		json_object_array_add(
			pieces, new_piece(file, &file->pieces[i], *number, exported[*number]));
	add(object, "pieces", pieces);
	return object;
}

int pmr_export_index(const struct pmr_journal_entry *entry, const bool *exported, char **text,
		     size_t *length)
{
	struct json_object *document = json_object_new_object(), *files = json_object_new_array(),
			   *journal = json_object_new_object();
	const char *string = NULL;
	size_t number = 0;
	char *copy = NULL;

	if (!document || !files || !journal) {
		json_object_put(document);
		json_object_put(files);
		json_object_put(journal);
		return -ENOMEM;
	}
	add_path(journal, entry->path);
	add(journal, "state", json_object_new_string(pmr_journal_state_name(entry->state)));
	add(journal, "reason", new_text(entry->reason));
	add(journal, "version", new_text(entry->version));
	add(journal, "started_at", new_text(entry->started_at));
	add(journal, "host", new_text(entry->host));
	add(journal, "zero_fill", json_object_new_boolean(entry->zero_fill));
	for (size_t i = 0; i < entry->n_files; i++)
		json_object_array_add(files, new_file(&entry->files[i], &number, exported));
	add(document, "journal", journal);
	add(document, "files", files);
	string = json_object_to_json_string_length(
		document,
		JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE,
		length);
	if (string)
		copy = strdup(string);
	json_object_put(document);
	if (!copy)
		return -ENOMEM;
	/* in the place of the NUL, which nobody reads */
	copy[(*length)++] = '\n';
	*text = copy;
	return 0;
}
