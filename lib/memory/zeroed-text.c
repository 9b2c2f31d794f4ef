/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text of the files in which zeros are remembered: reports of one file each. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/document.h"
#include "zeroed.h"

#define FORMAT_MAJOR 1

void pmr_zeros_release(struct pmr_zeros *zeros)
{
	free(zeros->file.path);
	free(zeros->file.filesystem_uuid);
	free(zeros->device);
	free(zeros->ns_name);
	free(zeros->ns_uuid);
	free(zeros->ranges);
	memset(zeros, 0, sizeof(*zeros));
}

/* ---- reading the text */

static int check_version(struct json_object *document)
{
	struct json_object *version =
		pmr_document_member(document, "format_version", json_type_array);
	uint64_t major;

	if (!version || !json_object_array_length(version) ||
	    !pmr_document_number(json_object_array_get_idx(version, 0), &major))
		return -EBADMSG;
	return major == FORMAT_MAJOR ? 0 : -EPROTONOSUPPORT;
}

static struct json_object *only_member(struct json_object *document, const char *key)
{
	struct json_object *array = pmr_document_member(document, key, json_type_array);
	struct json_object *object;

	if (!array || json_object_array_length(array) != 1)
		return NULL;
	object = json_object_array_get_idx(array, 0);
	return json_object_is_type(object, json_type_object) ? object : NULL;
}

/* A name that may be null. */
static int take_name(struct json_object *object, const char *key, char **name)
{
	const char *text = pmr_document_get_text(object, key);

	if (!text)
		return pmr_document_is_null(object, key) ? 0 : -EBADMSG;
	*name = strdup(text);
	return *name ? 0 : -ENOMEM;
}

static int take_device(struct json_object *document, struct pmr_zeros *zeros)
{
	struct json_object *device = only_member(document, "devices");
	int ret;

	if (!device)
		return -EBADMSG;
	ret = take_name(device, "name", &zeros->device);
	if (!ret)
		ret = take_name(device, "namespace", &zeros->ns_name);
	return ret ? ret : take_name(device, "namespace_uuid", &zeros->ns_uuid);
}

/* Each range of the report is one of zeros, inside its file, and says when it was written. */
static int take_ranges(struct json_object *document, const struct pmr_earlier_file *file,
		       struct pmr_zeros *zeros)
{
	struct json_object *object = only_member(document, "files"), *ranges, *range;
	const char *state;
	uint64_t when;
	int ret = 0;

	ranges = object ? pmr_document_member(object, "ranges", json_type_array) : NULL;
	if (!ranges || json_object_array_length(ranges) != file->n_ranges)
		return -EBADMSG;
	for (size_t i = 0; i < file->n_ranges && !ret; i++) {
		range = json_object_array_get_idx(ranges, i);
		state = pmr_document_get_text(range, "state");
		if (!state || strcmp(state, pmr_state_name(PMR_ZEROED)) != 0 ||
		    !pmr_document_get_number(range, "zeroed_at", &when) || when > INT64_MAX)
			return -EBADMSG;
		ret = pmr_zeros_add(zeros, &(struct pmr_zeros_range){ .at = file->ranges[i],
								      .when = (time_t)when });
	}
	return ret;
}

static int take_document(struct json_object *document, struct pmr_zeros *zeros)
{
	struct pmr_earlier *earlier = NULL;
	struct pmr_earlier_file *file;
	const char *fault;
	int ret;

	ret = check_version(document);
	if (!ret)
		ret = pmr_earlier_read(document, "zeroed", &earlier, &fault);
	file = ret ? NULL : earlier->n_files ? earlier->files : earlier->whole;
	if (!ret && (earlier->n_files + earlier->n_whole != 1 || *file->path != '/'))
		ret = -EBADMSG;
	if (!ret)
		ret = take_device(document, zeros);
	if (!ret)
		ret = take_ranges(document, file, zeros);
	if (!ret) {
		zeros->file = *file;
		zeros->file.ranges = NULL;
		zeros->file.n_ranges = zeros->file.alloc_ranges = 0;
		file->path = file->filesystem_uuid = NULL;
	}
	pmr_earlier_free(earlier);
	return ret;
}

int pmr_zeros_parse(const char *text, size_t length, struct pmr_zeros *zeros)
{
	struct json_object *document = NULL;
	struct pmr_zeros made = { 0 };
	const char *fault;
	int ret;

	ret = pmr_document_parse(text, length, &document, &fault);
	if (!ret)
		ret = take_document(document, &made);
	json_object_put(document);
	if (!ret) {
		*zeros = made;
		return 0;
	}
	pmr_zeros_release(&made);
	return ret == -EINVAL ? -EBADMSG : ret;
}

/* ---- writing it */

static void add(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add(object, key, value);
}

static void add_number(struct json_object *object, const char *key, uint64_t number)
{
	add(object, key, json_object_new_uint64(number));
}

static void add_text(struct json_object *object, const char *key, const char *text)
{
	add(object, key, text ? json_object_new_string(text) : NULL);
}

static char *encode_base64(const char *bytes)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t length = strlen(bytes), used = 0;
	char *text = malloc(length / 3 * 4 + 5);

	for (size_t at = 0; text && at < length; at += 3) {
		size_t n = length - at < 3 ? length - at : 3;
		uint32_t bits = 0;

		for (size_t i = 0; i < 3; i++)
			bits = bits << 8 | (i < n ? (unsigned char)bytes[at + i] : 0);
		for (size_t i = 0; i < 4; i++)
			text[used++] = i > n ? '=' : digits[bits >> (18 - 6 * i) & 63];
	}
	if (text)
		text[used] = '\0';
	return text;
}

/* For people without what is no ASCII; the exact bytes beside it. */
static int add_path(struct json_object *object, const char *path)
{
	char *text = strdup(path), *base64 = NULL;
	bool exact = true;

	for (char *at = text; at && *at; at++) {
		if ((unsigned char)*at < 128)
			continue;
		*at = '?';
		exact = false;
	}
	if (text)
		add_text(object, "path", text);
	if (!exact)
		base64 = encode_base64(path);
	if (base64)
		add_text(object, "path_base64", base64);
	exact = text && (exact || base64);
	free(text);
	free(base64);
	return exact ? 0 : -ENOMEM;
}

static struct json_object *new_range(const struct pmr_zeros *zeros,
				     const struct pmr_zeros_range *range)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	add_number(object, "offset", range->at.offset);
	add_number(object, "length", range->at.length);
	add_text(object, "device", zeros->device);
	add_number(object, "device_offset", range->at.device_offset);
	add_text(object, "state", pmr_state_name(PMR_ZEROED));
	add(object, "shared", json_object_new_boolean(range->at.shared));
	add(object, "vanished", json_object_new_boolean(0));
	add_number(object, "zeroed_at", (uint64_t)range->when);
	return object;
}

static struct json_object *new_time(const struct timespec *time)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	add(object, "seconds", json_object_new_int64(time->tv_sec));
	add_number(object, "nanoseconds", (uint64_t)time->tv_nsec);
	return object;
}

static void add_identity(struct json_object *object, const struct pmr_earlier_file *file)
{
	add_number(object, "inode", file->inode);
	add_number(object, "generation", file->generation);
	add(object, "change_time", new_time(&file->change_time));
	add_text(object, "filesystem_uuid", file->filesystem_uuid);
}

static int add_file(struct json_object *document, const struct pmr_zeros *zeros)
{
	struct json_object *files = json_object_new_array(), *file = json_object_new_object();
	struct json_object *ranges = json_object_new_array();
	int ret = -ENOMEM;

	if (files && file && ranges)
		ret = add_path(file, zeros->file.path);
	if (ret) {
		json_object_put(files);
		json_object_put(file);
		json_object_put(ranges);
		return ret;
	}
	add_number(file, "size", zeros->file.size);
	if (zeros->file.whole_device)
		add(file, "whole_device", json_object_new_boolean(1));
	else
		add_identity(file, &zeros->file);
	for (size_t i = 0; i < zeros->n_ranges; i++)
		json_object_array_add(ranges, new_range(zeros, &zeros->ranges[i]));
	add(file, "ranges", ranges);
	json_object_array_add(files, file);
	add(document, "files", files);
	return 0;
}

static void add_device(struct json_object *document, const struct pmr_zeros *zeros)
{
	struct json_object *devices = json_object_new_array(), *device = json_object_new_object();
	struct json_object *badblocks = json_object_new_object();

	if (badblocks)
		add(badblocks, "ranges", json_object_new_array());
	if (device) {
		add_text(device, "name", zeros->device);
		add_text(device, "namespace", zeros->ns_name);
		add_text(device, "namespace_uuid", zeros->ns_uuid);
		add(device, "badblocks", badblocks);
	}
	if (devices)
		json_object_array_add(devices, device);
	add(document, "devices", devices);
}

static void add_origin(struct json_object *document)
{
	struct json_object *version = json_object_new_array();
	char host[256] = "";

	if (version) {
		json_object_array_add(version, json_object_new_int(FORMAT_MAJOR));
		json_object_array_add(version, json_object_new_int(0));
	}
	gethostname(host, sizeof(host) - 1);
	add(document, "format_version", version);
	add_text(document, "version", pmr_version());
	add_text(document, "command", "repair");
	add_text(document, "host", host);
	add(document, "complete", json_object_new_boolean(1));
}

int pmr_zeros_format(const struct pmr_zeros *zeros, char **text, size_t *length)
{
	struct json_object *document = json_object_new_object();
	struct pmr_zeros again;
	const char *made = NULL;
	char *copy = NULL;
	int ret = -ENOMEM;

	if (!document)
		return ret;
	add_origin(document);
	add_device(document, zeros);
	if (!add_file(document, zeros))
		made = json_object_to_json_string_ext(
			document, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
	if (made && asprintf(&copy, "%s\n", made) < 0)
		copy = NULL;
	json_object_put(document);
	/* json-c makes null of what it has no memory for: what cannot be read back is not written */
	if (copy)
		ret = pmr_zeros_parse(copy, strlen(copy), &again);
	if (ret) {
		free(copy);
		return ret;
	}
	pmr_zeros_release(&again);
	*text = copy;
	*length = strlen(copy);
	return 0;
}
