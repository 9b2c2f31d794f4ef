/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON that comes from outside: nothing of it is believed before it was looked at.
 */
#ifndef PMR_DOCUMENT_H
#define PMR_DOCUMENT_H

#include <json-c/json.h>

#include "private.h"

/** PMR_DOCUMENT_MAX - longer ones are refused: the tree takes many times the memory of its text */
#define PMR_DOCUMENT_MAX ((size_t)64 << 20)

/**
 * pmr_document_parse() - one JSON object, all of a text
 * @text: need not end in NUL
 * @document: result; release with json_object_put()
 * @fault: what is wrong with the text, for people; static storage
 *
 * Stricter than the parser: at most PMR_DOCUMENT_MAX bytes and 32 levels, no name twice in an object, nothing behind it.
 * Return: 0; -EINVAL with @fault set; -ENOMEM.
 */
int pmr_document_parse(const char *text, size_t length, struct json_object **document,
		       const char **fault);

/** pmr_document_member() - a member of this type, which is not json_type_null; NULL where there is none */
struct json_object *pmr_document_member(struct json_object *object, const char *key,
					enum json_type type);

/** pmr_document_is_null() - whether there is a member and it is null */
bool pmr_document_is_null(struct json_object *object, const char *key);

/** pmr_document_number() - a value that is an integer below UINT64_MAX. Return: whether it is. */
bool pmr_document_number(struct json_object *value, uint64_t *number);

/** pmr_document_get_number() - a member that is one */
bool pmr_document_get_number(struct json_object *object, const char *key, uint64_t *number);

/** pmr_document_is_true() - whether there is a member and it is true */
bool pmr_document_is_true(struct json_object *object, const char *key);

/** pmr_document_get_text() - a member that is a string without NUL, belongs to @object; NULL where there is none */
const char *pmr_document_get_text(struct json_object *object, const char *key);

/**
 * pmr_document_get_path() - the exact bytes of "KEY_base64" where there is one, else the text of "KEY"
 * @path: result, never empty; free() it
 *
 * Return: 0, -EINVAL (neither, or one that is no path), -ENOMEM.
 */
int pmr_document_get_path(struct json_object *object, const char *key, char **path);

#endif
