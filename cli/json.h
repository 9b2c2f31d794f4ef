/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Building a JSON tree without looking at every step's return code: the first failure sticks to the document.
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <json-c/json.h>

struct json_list;

/**
 * struct json - what belongs to a document; zero-initialise, json_release()
 * @failed: something could not be added, for want of memory
 */
struct json {
	bool failed;
	struct json_list *made;
	struct json_list *first;
	struct json_list *last;
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

/** struct json_at - where a list stands: what the list is of, what that is part of, and a position, 0 at first */
struct json_at {
	const void *of;
	const void *in;
	uint64_t position;
};

/** json_next_fn() - the element at @at, which moves on; NULL behind the last one. No lists within elements. */
typedef struct json_object *json_next_fn(struct json *json, struct json_at *at);

/**
 * json_new_list() - an array whose elements are made one by one while the document is written, for what there may be more of
 * than there is memory for their JSON; nothing can be appended to it
 */
struct json_object *json_new_list(struct json *json, json_next_fn *next, const void *of,
				  const void *in);
/** json_new_flat_list() - the same with each element on one line */
struct json_object *json_new_flat_list(struct json *json, json_next_fn *next, const void *of);

/** json_write() - a whole document and a newline. Return: 0, -ENOMEM, -EIO. */
int json_write(struct json *json, struct json_object *document, FILE *out);
void json_release(struct json *json);

#endif
