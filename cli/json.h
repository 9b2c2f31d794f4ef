/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Building a JSON tree without looking at every step's return code: the first failure sticks to the document.
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json.h>

/** struct json - whether anything could not be added, for want of memory */
struct json {
	bool failed;
};

/*
 * Each puts a value under a key. @object may be NULL after a failure. A key or word must be static UTF-8 text;
 * everything that comes from outside goes through json_put_text() or json_put_path().
 */
void json_put_null(struct json *json, struct json_object *object, const char *key);
void json_put_bool(struct json *json, struct json_object *object, const char *key, bool value);
void json_put_number(struct json *json, struct json_object *object, const char *key,
		     uint64_t value);
/** json_put_known() - a number, or null where @value is what stands for unknown */
void json_put_known(struct json *json, struct json_object *object, const char *key, uint64_t value,
		    uint64_t unknown);
/** json_put_text() - a string, U+FFFD for what is no UTF-8; null for NULL */
void json_put_text(struct json *json, struct json_object *object, const char *key,
		   const char *value);
/** json_put_path() - as json_put_text(), with the exact bytes in "KEY_base64" where the text had to be changed */
void json_put_path(struct json *json, struct json_object *object, const char *key,
		   const char *path);
/** json_put() - any value, which is the object's from here on, also on failure */
void json_put(struct json *json, struct json_object *object, const char *key,
	      struct json_object *value);

/** json_new_object(), json_new_array() - empty; NULL sticks */
struct json_object *json_new_object(struct json *json);
struct json_object *json_new_array(struct json *json);
/** json_append() - a value at the end of an array, which is the array's from here on */
void json_append(struct json *json, struct json_object *array, struct json_object *value);

#endif
