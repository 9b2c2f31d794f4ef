// SPDX-License-Identifier: GPL-2.0-or-later
/* Builds and writes JSON trees; the first failure sticks to the document. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "text.h"

static struct json_object *checked(struct json *json, struct json_object *value)
{
	if (!value)
		json->failed = true;
	return value;
}

struct json_object *json_new_object(struct json *json)
{
	return checked(json, json_object_new_object());
}

struct json_object *json_new_array(struct json *json)
{
	return checked(json, json_object_new_array());
}

void json_append(struct json *json, struct json_object *array, struct json_object *value)
{
	if (array && value && !json_object_array_add(array, value))
		return;
	json->failed = true;
	json_object_put(value);
}

void json_put(struct json *json, struct json_object *object, const char *key,
	      struct json_object *value)
{
	if (object && value && !json_object_object_add(object, key, value))
		return;
	json->failed = true;
	json_object_put(value);
}

void json_put_null(struct json *json, struct json_object *object, const char *key)
{
	if (!object || json_object_object_add(object, key, NULL))
		json->failed = true;
}

void json_put_bool(struct json *json, struct json_object *object, const char *key, bool value)
{
	json_put(json, object, key, json_object_new_boolean(value));
}

void json_put_number(struct json *json, struct json_object *object, const char *key, uint64_t value)
{
	json_put(json, object, key, json_object_new_uint64(value));
}

void json_put_known(struct json *json, struct json_object *object, const char *key, uint64_t value,
		    uint64_t unknown)
{
	if (value == unknown)
		json_put_null(json, object, key);
	else
		json_put_number(json, object, key, value);
}

static bool put_utf8(struct json *json, struct json_object *object, const char *key,
		     const char *value)
{
	bool exact = true;
	char *text;

	if (!value) {
		json_put_null(json, object, key);
		return true;
	}
	text = text_to_utf8(value, &exact);
	json_put(json, object, key, text ? json_object_new_string(text) : NULL);
	free(text);
	return exact;
}

void json_put_text(struct json *json, struct json_object *object, const char *key,
		   const char *value)
{
	put_utf8(json, object, key, value);
}

void json_put_path(struct json *json, struct json_object *object, const char *key, const char *path)
{
	char *base64 = NULL;
	char *base64_key = NULL;

	if (put_utf8(json, object, key, path))
		return;
	base64 = text_to_base64(path);
	if (asprintf(&base64_key, "%s_base64", key) < 0)
		base64_key = NULL;
	if (base64 && base64_key)
		json_put(json, object, base64_key, json_object_new_string(base64));
	else
		json->failed = true;
	free(base64);
	free(base64_key);
}

/* ---- lists, and writing */

/* Stands in the text of a document for a list, in their order; no JSON text can hold it. */
#define PLACE '\1'
#define INDENT 2
#define STYLE (JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)

struct json_list {
	struct json *json;
	json_next_fn *next;
	struct json_at at;
	bool flat;
	int level;
	struct json_list *before; /* the one made before */
	struct json_list *below; /* the one whose place follows */
};

static int print_place(struct json_object *object, struct printbuf *buffer, int level, int flags)
{
	struct json_list *list = json_object_get_userdata(object);
	static const char place = PLACE;

	(void)flags;
	list->level = level;
	*(list->json->last ? &list->json->last->below : &list->json->first) = list;
	list->json->last = list;
	return printbuf_memappend(buffer, &place, 1);
}

struct json_object *json_new_list(struct json *json, json_next_fn *next, const void *of,
				  const void *in)
{
	struct json_object *array = json_new_array(json);
	struct json_list *list = calloc(1, sizeof(*list));

	if (!array || !list) {
		json->failed = true;
		free(list);
		return array;
	}
	*list = (struct json_list){ json, next, { of, in, 0 }, false, 0, json->made, NULL };
	json->made = list;
	json_object_set_serializer(array, print_place, list, NULL);
	return array;
}

struct json_object *json_new_flat_list(struct json *json, json_next_fn *next, const void *of)
{
	struct json_object *array = json_new_list(json, next, of, NULL);

	if (array && !json->failed)
		json->made->flat = true;
	return array;
}

/* As it would look within the document. A long list has many lines: nothing is formatted for them. */
static bool write_element(struct json_object *element, const struct json_list *list, FILE *out)
{
	static const char spaces[] = "                                ";
	const char *text = json_object_to_json_string_ext(
		element, list->flat ? STYLE : STYLE | JSON_C_TO_STRING_PRETTY);
	size_t indent = ((size_t)list->level + 1) * INDENT;
	const char *end;

	if (indent >= sizeof(spaces))
		indent = sizeof(spaces) - 1;
	while (text) {
		end = strchrnul(text, '\n');
		fputc('\n', out);
		fwrite(spaces, 1, indent, out);
		fwrite(text, 1, (size_t)(end - text), out);
		if (!*end)
			return true;
		text = end + 1;
	}
	return false;
}

static void write_list(struct json *json, struct json_list *list, FILE *out)
{
	struct json_object *element;
	bool any = false;

	fputc('[', out);
	while (!json->failed && (element = list->next(json, &list->at))) {
		if (any)
			fputc(',', out);
		any = true;
		if (!write_element(element, list, out))
			json->failed = true;
		json_object_put(element);
	}
	fprintf(out, "\n%*s]", list->level * INDENT, "");
}

int json_write(struct json *json, struct json_object *document, FILE *out)
{
	const char *text = NULL;
	struct json_list *list;
	size_t length;

	json->first = NULL;
	json->last = NULL;
	if (!json->failed)
		text = json_object_to_json_string_ext(document, STYLE | JSON_C_TO_STRING_PRETTY);
	if (!text)
		return -ENOMEM;
	for (list = json->first; list && !json->failed; list = list->below) {
		length = strcspn(text, (const char[]){ PLACE, '\0' });
		fwrite(text, 1, length, out);
		text += length + 1;
		write_list(json, list, out);
	}
	if (json->failed)
		return -ENOMEM;
	fputs(text, out);
	fputc('\n', out);
	return ferror(out) ? -EIO : 0;
}

void json_release(struct json *json)
{
	struct json_list *list;

	while ((list = json->made)) {
		json->made = list->before;
		free(list);
	}
}
