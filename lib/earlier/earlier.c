/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads an earlier report. It comes from outside, so nothing in it is believed before it was looked at. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "core/document.h"
#include "earlier.h"

#define FORMAT_MAJOR 1
#define NANOSECONDS 1000000000u
/* Far more than a machine has. Each is held against all others. */
#define MAX_DEVICES 1024

/* a device of the report, what was listed on it, and what of that only failed to be read */
struct listed {
	const char *device;
	struct pmr_ranges ranges;
	struct pmr_ranges found;
};

struct reader {
	struct pmr_ctx *ctx;
	const char *name;
	struct pmr_earlier *earlier;
	char *directory; /* where relative paths begin, or NULL */
	struct listed *listed;
	size_t n_listed;
	size_t alloc_listed;
	const char *fault; /* of a report that is none, static storage */
};

static int fail(struct reader *reader, const char *fault)
{
	reader->fault = fault;
	return -EINVAL;
}

/* ---- devices: what was listed */

static int read_list(struct reader *reader, struct json_object *ranges, struct pmr_ranges *list)
{
	struct json_object *range;
	uint64_t offset, length;
	int ret;

	for (size_t i = 0; i < json_object_array_length(ranges); i++) {
		range = json_object_array_get_idx(ranges, i);
		if (!json_object_is_type(range, json_type_object) ||
		    !pmr_document_get_number(range, "offset", &offset) ||
		    !pmr_document_get_number(range, "length", &length))
			return fail(reader, "a device's badblocks have no offset or length");
		ret = pmr_ranges_add(list, offset, length);
		if (ret == -ENOMEM)
			return ret;
		if (ret)
			return fail(reader, "a device has badblocks at an impossible place");
	}
	pmr_ranges_normalize(list);
	return 0;
}

static void release_listed(struct listed *listed)
{
	pmr_ranges_release(&listed->ranges);
	pmr_ranges_release(&listed->found);
}

static const struct listed *find_listed(const struct reader *reader, const char *device)
{
	for (size_t i = 0; i < reader->n_listed; i++)
		if (!strcmp(reader->listed[i].device, device))
			return &reader->listed[i];
	return NULL;
}

/* What --read found is no record that could vanish: where it can be read now, it is right. */
static int read_found(struct reader *reader, struct json_object *device, struct listed *listed)
{
	struct json_object *reading = pmr_document_member(device, "read", json_type_object);
	struct json_object *ranges =
		reading ? pmr_document_member(reading, "ranges", json_type_array) : NULL;

	return ranges ? read_list(reader, ranges, &listed->found) : 0;
}

static int read_device(struct reader *reader, struct json_object *device)
{
	struct json_object *badblocks, *ranges;
	struct listed *listed;
	const char *name;
	int ret;

	if (!json_object_is_type(device, json_type_object))
		return fail(reader, "a device is no JSON object");
	name = pmr_document_get_text(device, "name");
	badblocks = pmr_document_member(device, "badblocks", json_type_object);
	ranges = badblocks ? pmr_document_member(badblocks, "ranges", json_type_array) : NULL;
	if (!name || !ranges)
		return fail(reader, "a device has no name or no badblocks");
	if (reader->n_listed == MAX_DEVICES)
		return fail(reader, "it has more than 1024 devices");
	if (find_listed(reader, name))
		return fail(reader, "two devices have one name");
	ret = pmr_grow(&reader->listed, reader->n_listed, &reader->alloc_listed,
		       sizeof(reader->listed[0]));
	if (ret)
		return ret;
	listed = &reader->listed[reader->n_listed++];
	*listed = (struct listed){ .device = name };
	ret = read_list(reader, ranges, &listed->ranges);
	return ret ? ret : read_found(reader, device, listed);
}

/* ---- files */

/* What a state says of the bytes. Those that are missing here were never lost, or are proven repaired. */
static const struct state {
	enum pmr_state state;
	bool is_written; /* the bytes are not the file's, listed or not */
	bool may_be_cached;
} lost_states[] = {
	{ PMR_LOST, false, false },    { PMR_CACHED, false, true }, { PMR_SKIPPED, false, true },
	{ PMR_CONFLICT, false, true }, { PMR_FAILED, true, true },  { PMR_ZEROED, true, false },
};

/* 1 and the state of lost bytes; 0 for bytes that are not, -EINVAL */
static int find_state(const char *name, const struct state **found)
{
	if (!name)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(lost_states) / sizeof(lost_states[0]); i++) {
		if (!strcmp(name, pmr_state_name(lost_states[i].state))) {
			*found = &lost_states[i];
			return 1;
		}
	}
	for (int i = PMR_LOST; i <= PMR_UNKNOWN; i++)
		if (!strcmp(name, pmr_state_name((enum pmr_state)i)))
			return 0;
	return -EINVAL;
}

static int add_part(struct pmr_earlier_file *file, const struct pmr_earlier_range *whole,
		    uint64_t offset, uint64_t length, bool is_listed, bool was_found)
{
	struct pmr_earlier_range part = *whole;
	int ret;

	ret = pmr_grow(&file->ranges, file->n_ranges, &file->alloc_ranges, sizeof(part));
	if (ret)
		return ret;
	part.offset += offset;
	part.device_offset += offset;
	part.length = length;
	part.is_listed = is_listed;
	part.was_found = was_found;
	file->ranges[file->n_ranges++] = part;
	return 0;
}

/* Whether a list has a byte. @until: lowered to where that changes. */
static bool has_byte(const struct pmr_ranges *ranges, uint64_t offset, uint64_t *until)
{
	size_t i = pmr_ranges_first(ranges, offset);
	const struct pmr_range *r;
	uint64_t edge;
	bool has;

	if (i == ranges->n)
		return false;
	r = &ranges->v[i];
	has = r->offset <= offset;
	edge = has ? r->offset + r->length : r->offset;
	if (edge < *until)
		*until = edge;
	return has;
}

/* A range, cut where it goes from listed to unlisted sectors, or to those that reading found. */
static int add_parts(struct pmr_earlier_file *file, const struct pmr_earlier_range *whole,
		     const struct listed *listed)
{
	uint64_t at = whole->device_offset, end = at + whole->length, until;
	bool is_listed, was_found;
	int ret = 0;

	for (; !ret && at < end; at = until) {
		until = end;
		is_listed = has_byte(&listed->ranges, at, &until);
		was_found = has_byte(&listed->found, at, &until);
		ret = add_part(file, whole, at - whole->device_offset, until - at,
			       is_listed && !was_found, was_found);
	}
	return ret;
}

/* @end: where the range before it ended; then where this one does */
static int read_range(struct reader *reader, struct json_object *object,
		      struct pmr_earlier_file *file, uint64_t *end)
{
	struct pmr_earlier_range range = { 0 };
	const struct state *state = NULL;
	const struct listed *listed;
	uint64_t device_end;
	const char *device;
	int lost;

	if (!json_object_is_type(object, json_type_object) ||
	    !pmr_document_get_number(object, "offset", &range.offset) ||
	    !pmr_document_get_number(object, "length", &range.length))
		return fail(reader, "a range of a file has no offset or length");
	if (!range.length || range.offset < *end ||
	    __builtin_add_overflow(range.offset, range.length, end))
		return fail(reader, "the ranges of a file overlap, or are in no order");
	lost = find_state(pmr_document_get_text(object, "state"), &state);
	if (lost < 0)
		return fail(reader, "a range of a file has no state that is known");
	/* what lies past the end of a file is nobody's */
	if (!lost || range.offset >= file->size)
		return 0;
	if (range.length > file->size - range.offset)
		range.length = file->size - range.offset;
	device = pmr_document_get_text(object, "device");
	listed = device ? find_listed(reader, device) : NULL;
	if (!listed || !pmr_document_get_number(object, "device_offset", &range.device_offset) ||
	    __builtin_add_overflow(range.device_offset, range.length, &device_end))
		return fail(reader, "a range of a file has no place on a device of the report");
	range.shared = pmr_document_is_true(object, "shared");
	range.may_be_cached = state->may_be_cached;
	/* what an earlier report knew and the list did not any more */
	if (state->is_written || pmr_document_is_true(object, "vanished"))
		return add_part(file, &range, 0, range.length, true, false);
	return add_parts(file, &range, listed);
}

static int read_identity(struct reader *reader, struct json_object *object,
			 struct pmr_earlier_file *file)
{
	struct json_object *time = pmr_document_member(object, "change_time", json_type_object);
	struct json_object *seconds =
		time ? pmr_document_member(time, "seconds", json_type_int) : NULL;
	uint64_t generation = 0, nanoseconds;
	const char *uuid = pmr_document_get_text(object, "filesystem_uuid");

	if (!pmr_document_get_number(object, "inode", &file->inode) || !file->inode ||
	    !pmr_document_get_number(object, "size", &file->size))
		return fail(reader, "a file with ranges has no inode or size");
	if ((!pmr_document_get_number(object, "generation", &generation) &&
	     !pmr_document_is_null(object, "generation")) ||
	    generation > UINT32_MAX)
		return fail(reader, "a file with ranges has no generation");
	if (!seconds || !pmr_document_get_number(time, "nanoseconds", &nanoseconds) ||
	    nanoseconds >= NANOSECONDS || json_object_get_int64(seconds) == INT64_MAX ||
	    json_object_get_int64(seconds) == INT64_MIN)
		return fail(reader, "a file with ranges has no change time");
	if (!uuid && !pmr_document_is_null(object, "filesystem_uuid"))
		return fail(reader, "a file with ranges has no filesystem");
	file->generation = (uint32_t)generation;
	file->change_time.tv_sec = (time_t)json_object_get_int64(seconds);
	file->change_time.tv_nsec = (long)nanoseconds;
	file->filesystem_uuid = uuid ? strdup(uuid) : NULL;
	return uuid && !file->filesystem_uuid ? -ENOMEM : 0;
}

/* @file->path, with the directory it is below */
static int read_path(struct reader *reader, struct json_object *object,
		     struct pmr_earlier_file *file)
{
	char *path, *joined;
	int ret;

	ret = pmr_document_get_path(object, "path", &path);
	if (ret == -ENOMEM)
		return ret;
	if (ret)
		return fail(reader, "a file with ranges has no path");
	if (*path != '/' && reader->directory) {
		ret = asprintf(&joined, "%s/%s", reader->directory, path) < 0 ? -ENOMEM : 0;
		free(path);
		if (ret)
			return ret;
		path = joined;
	}
	file->path = path;
	return 0;
}

static void release_file(struct pmr_earlier_file *file)
{
	free(file->path);
	free(file->filesystem_uuid);
	free(file->ranges);
}

static int read_file(struct reader *reader, struct json_object *object)
{
	struct pmr_earlier *earlier = reader->earlier;
	struct json_object *ranges;
	struct pmr_earlier_file file = { 0 };
	uint64_t end = 0;
	int ret;

	if (!json_object_is_type(object, json_type_object))
		return fail(reader, "a file is no JSON object");
	ranges = pmr_document_member(object, "ranges", json_type_array);
	if (!ranges)
		return fail(reader, "a file has no ranges");
	/* it could not be looked at */
	if (!json_object_array_length(ranges))
		return 0;
	if (pmr_document_is_true(object, "whole_device")) {
		earlier->n_whole++;
		return 0;
	}
	ret = read_identity(reader, object, &file);
	if (!ret)
		ret = read_path(reader, object, &file);
	for (size_t i = 0; i < json_object_array_length(ranges) && !ret; i++)
		ret = read_range(reader, json_object_array_get_idx(ranges, i), &file, &end);
	if (!ret && file.n_ranges)
		ret = pmr_grow(&earlier->files, earlier->n_files, &earlier->alloc_files,
			       sizeof(file));
	if (ret || !file.n_ranges)
		release_file(&file);
	else
		earlier->files[earlier->n_files++] = file;
	return ret;
}

/* ---- whose report it is */

static int check_version(struct reader *reader, struct json_object *document)
{
	struct json_object *version =
		pmr_document_member(document, "format_version", json_type_array);
	uint64_t major;

	if (!version || json_object_array_length(version) < 1 ||
	    !pmr_document_number(json_object_array_get_idx(version, 0), &major))
		return fail(reader, "it has no format_version");
	if (major == FORMAT_MAJOR)
		return 0;
	pmr_say(reader->ctx, PMR_ERROR, "ranges-version", reader->name,
		"is a report in format %llu, of which this version knows nothing: use the program that wrote it",
		(unsigned long long)major);
	return -EINVAL;
}

static int check_command(struct reader *reader, struct json_object *document)
{
	const char *command = pmr_document_get_text(document, "command");

	if (!command)
		return fail(reader, "it names no command");
	if (!strcmp(command, "scan") || !strcmp(command, "repair"))
		return 0;
	pmr_say(reader->ctx, PMR_ERROR, "ranges-other-command", reader->name,
		"is a report of '%.32s': only scan and repair say what files have lost", command);
	return -EINVAL;
}

static int check_host(struct reader *reader, struct json_object *document)
{
	const char *host = pmr_document_get_text(document, "host");
	struct utsname here;

	if (!host)
		return fail(reader, "it does not say which host it is of: an old version wrote it");
	if (uname(&here))
		return -errno;
	if (!strcmp(host, here.nodename))
		return 0;
	pmr_say(reader->ctx, PMR_ERROR, "ranges-other-host", reader->name,
		"is a report of the host '%.64s', and this is '%.64s'", host, here.nodename);
	return -EXDEV;
}

static int read_all(struct reader *reader, struct json_object *document,
		    int (*read)(struct reader *reader, struct json_object *object), const char *key,
		    const char *fault)
{
	struct json_object *array = pmr_document_member(document, key, json_type_array);
	int ret = 0;

	if (!array)
		return fail(reader, fault);
	for (size_t i = 0; i < json_object_array_length(array) && !ret; i++)
		ret = read(reader, json_object_array_get_idx(array, i));
	return ret;
}

static int list_paths(struct pmr_earlier *earlier)
{
	earlier->paths = calloc(earlier->n_files + 1, sizeof(*earlier->paths));
	if (!earlier->paths)
		return -ENOMEM;
	for (size_t i = 0; i < earlier->n_files; i++)
		earlier->paths[i] = earlier->files[i].path;
	return 0;
}

static int check_origin(struct reader *reader, struct json_object *document)
{
	int ret;

	ret = check_version(reader, document);
	if (!ret)
		ret = check_command(reader, document);
	if (!ret)
		ret = check_host(reader, document);
	if (!ret && !pmr_document_member(document, "complete", json_type_boolean))
		ret = fail(reader, "it does not say whether it is complete");
	return ret;
}

static int read_directory(struct reader *reader, struct json_object *document)
{
	int ret;

	if (!json_object_object_get_ex(document, "directory", NULL) ||
	    pmr_document_is_null(document, "directory"))
		return 0;
	ret = pmr_document_get_path(document, "directory", &reader->directory);
	return ret == -EINVAL ? fail(reader, "its directory is no path") : ret;
}

static int read_document(struct reader *reader, struct json_object *document)
{
	int ret;

	ret = read_directory(reader, document);
	if (!ret)
		ret = read_all(reader, document, read_device, "devices", "it has no devices");
	if (!ret)
		ret = read_all(reader, document, read_file, "files", "it has no files");
	if (!ret)
		ret = list_paths(reader->earlier);
	reader->earlier->is_complete = pmr_document_is_true(document, "complete");
	return ret;
}

/* What is to be told and freed of it, whoever owns the document. */
static int take_document(struct reader *reader, struct json_object *document,
			 struct pmr_earlier **earlier)
{
	int ret = -ENOMEM;

	reader->earlier = calloc(1, sizeof(*reader->earlier));
	if (reader->earlier)
		reader->earlier->name = strdup(reader->name);
	if (reader->earlier && reader->earlier->name)
		ret = read_document(reader, document);
	for (size_t i = 0; i < reader->n_listed; i++)
		release_listed(&reader->listed[i]);
	free(reader->listed);
	free(reader->directory);
	if (ret)
		pmr_earlier_free(reader->earlier);
	else
		*earlier = reader->earlier;
	return ret;
}

int pmr_earlier_read(struct json_object *document, const char *name, struct pmr_earlier **earlier,
		     const char **fault)
{
	struct reader reader = { .name = name };
	int ret = take_document(&reader, document, earlier);

	if (reader.fault)
		*fault = reader.fault;
	return ret;
}

int pmr_earlier_parse(struct pmr_ctx *ctx, const char *text, size_t length, const char *name,
		      struct pmr_earlier **earlier)
{
	struct reader reader = { .ctx = ctx, .name = name };
	struct json_object *document = NULL;
	int ret;

	ret = pmr_document_parse(text, length, &document, &reader.fault);
	if (!ret)
		ret = check_origin(&reader, document);
	if (!ret)
		ret = take_document(&reader, document, earlier);
	if (reader.fault)
		pmr_say(ctx, PMR_ERROR, "ranges-malformed", name,
			"is not what scan or repair printed: %s", reader.fault);
	json_object_put(document);
	return ret;
}

int pmr_earlier_load(struct pmr_ctx *ctx, const char *path, struct pmr_earlier **earlier)
{
	const char *name = strcmp(path, "-") ? path : "standard input";
	char *text = NULL;
	size_t length;
	int ret;

	ret = pmr_read_text(path, PMR_DOCUMENT_MAX, &text, &length);
	if (ret == -EFBIG)
		pmr_say(ctx, PMR_ERROR, "ranges-malformed", name,
			"has more than 64 MiB, which no report has");
	else if (ret && ret != -ENOMEM)
		pmr_say(ctx, PMR_ERROR, "ranges-unreadable", name, "cannot be read: %s",
			strerror(-ret));
	if (!ret)
		ret = pmr_earlier_parse(ctx, text, length, name, earlier);
	free(text);
	return ret;
}

const char *const *pmr_earlier_paths(const struct pmr_earlier *earlier)
{
	return earlier->paths;
}

bool pmr_earlier_is_complete(const struct pmr_earlier *earlier)
{
	return earlier->is_complete;
}

bool pmr_earlier_has_devices(const struct pmr_earlier *earlier)
{
	return earlier->n_whole;
}

void pmr_earlier_free(struct pmr_earlier *earlier)
{
	if (!earlier)
		return;
	for (size_t i = 0; i < earlier->n_files; i++)
		release_file(&earlier->files[i]);
	free(earlier->files);
	free(earlier->paths);
	free(earlier->name);
	free(earlier);
}
