/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Values out of a JSON document that may hold anything. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document.h"

#define MAX_DEPTH 32

struct json_object *pmr_document_member(struct json_object *object, const char *key,
					enum json_type type)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, type))
		return NULL;
	return value;
}

bool pmr_document_is_null(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) && !value;
}

bool pmr_document_number(struct json_object *value, uint64_t *number)
{
	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0)
		return false;
	*number = json_object_get_uint64(value);
	/* json-c makes this of all that is more (0.16) */
	return *number != UINT64_MAX;
}

bool pmr_document_get_number(struct json_object *object, const char *key, uint64_t *number)
{
	return pmr_document_number(pmr_document_member(object, key, json_type_int), number);
}

/* NULL too for a text with a NUL in it, which no name has */
const char *pmr_document_get_text(struct json_object *object, const char *key)
{
	struct json_object *value = pmr_document_member(object, key, json_type_string);
	const char *text = value ? json_object_get_string(value) : NULL;

	return text && strlen(text) == (size_t)json_object_get_string_len(value) ? text : NULL;
}

bool pmr_document_is_true(struct json_object *object, const char *key)
{
	struct json_object *value = pmr_document_member(object, key, json_type_boolean);

	return value && json_object_get_boolean(value);
}

static int base64_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Four characters to as many bytes as they stand for; 0 when they stand for none. */
static size_t decode_four(const char *four, char *bytes)
{
	size_t n = four[3] != '=' ? 3 : four[2] != '=' ? 2 : 1;
	uint32_t bits = 0;
	int digit;

	for (size_t i = 0; i < 4; i++) {
		digit = i > n ? 0 : base64_digit(four[i]);
		if (digit < 0)
			return 0;
		bits = bits << 6 | (uint32_t)digit;
	}
	/* bits that are left over have to be zero, or one name would have several spellings */
	if (bits & ((1u << (8 * (3 - n))) - 1))
		return 0;
	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)(bits >> (16 - 8 * i));
	return n;
}

/* The name that a text stands for; free() it. Return: 0, -EINVAL, -ENOMEM. */
static int decode_base64(const char *text, char **name)
{
	size_t length = strlen(text), used = 0, n;
	char *out;

	if (!length || length % 4)
		return -EINVAL;
	out = malloc(length / 4 * 3 + 1);
	if (!out)
		return -ENOMEM;
	for (size_t at = 0; at < length; at += 4) {
		n = decode_four(text + at, out + used);
		if (!n || (n < 3 && at + 4 < length) || memchr(out + used, '\0', n)) {
			free(out);
			return -EINVAL;
		}
		used += n;
	}
	out[used] = '\0';
	*name = out;
	return 0;
}

static int get_exact_path(struct json_object *object, const char *base64_key, char **path)
{
	const char *text = pmr_document_get_text(object, base64_key);

	return text ? decode_base64(text, path) : -EINVAL;
}

int pmr_document_get_path(struct json_object *object, const char *key, char **path)
{
	const char *text = pmr_document_get_text(object, key);
	char *base64_key;
	int ret;

	if (asprintf(&base64_key, "%s_base64", key) < 0)
		return -ENOMEM;
	if (json_object_object_get_ex(object, base64_key, NULL)) {
		ret = get_exact_path(object, base64_key, path);
	} else if (!text || !*text) {
		ret = -EINVAL;
	} else {
		*path = strdup(text);
		ret = *path ? 0 : -ENOMEM;
	}
	free(base64_key);
	return ret;
}

/* ---- the text as a whole */

/* Members of all objects. The parser has bounded the depth. */
static size_t count_members(struct json_object *value)
{
	size_t n = 0;

	if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			n += count_members(json_object_array_get_idx(value, i));
	} else if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach(value, key, entry)
		{
			(void)key;
			n += 1 + count_members(entry);
		}
	}
	return n;
}

/*
 * Colons outside of strings: in a text that is JSON, one for each member that was written. SIZE_MAX for names in single
 * quotes, which json-c lets pass (0.16).
 */
static size_t count_colons(const char *text, size_t length)
{
	bool in_string = false;
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '"')
			in_string = !in_string;
		else if (in_string && text[i] == '\\')
			i++;
		else if (!in_string && text[i] == '\'')
			return SIZE_MAX;
		else if (!in_string && text[i] == ':')
			n++;
	}
	return n;
}

static int fail(struct json_object *parsed, const char *text, const char **fault)
{
	json_object_put(parsed);
	*fault = text;
	return -EINVAL;
}

int pmr_document_parse(const char *text, size_t length, struct json_object **document,
		       const char **fault)
{
	struct json_tokener *tokener;
	enum json_tokener_error error;
	struct json_object *parsed;
	size_t colons;

	if (length > PMR_DOCUMENT_MAX)
		return fail(NULL, "it has more than 64 MiB", fault);
	/* to the parser a NUL is an end */
	if (memchr(text, '\0', length))
		return fail(NULL, "it has a NUL byte", fault);
	tokener = json_tokener_new_ex(MAX_DEPTH);
	if (!tokener)
		return -ENOMEM;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	parsed = json_tokener_parse_ex(tokener, text, (int)length);
	error = json_tokener_get_error(tokener);
	json_tokener_free(tokener);
	if (error == json_tokener_continue)
		return fail(parsed, "it ends in the middle", fault);
	colons = count_colons(text, length);
	if (error != json_tokener_success || colons == SIZE_MAX)
		return fail(parsed, "it is no JSON; what --human prints cannot be read back",
			    fault);
	if (!json_object_is_type(parsed, json_type_object))
		return fail(parsed, "it is no JSON object", fault);
	/* of two values under one name the parser keeps the last, which is as good as none */
	if (count_members(parsed) != colons)
		return fail(parsed, "a name stands in it twice", fault);
	*document = parsed;
	return 0;
}
