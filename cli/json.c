// SPDX-License-Identifier: GPL-2.0-or-later
/* Builds JSON trees; the first failure sticks to the document. */
#include <stdio.h>
#include <stdlib.h>

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
