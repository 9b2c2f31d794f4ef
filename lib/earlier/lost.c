/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file of an earlier report: which one it is, and which of its bytes were lost. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"

#define NANOSECONDS 1000000000u

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
		     const struct pmr_earlier_listed *listed)
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
static int read_range(struct pmr_earlier_reader *reader, struct json_object *object,
		      struct pmr_earlier_file *file, uint64_t *end)
{
	struct pmr_earlier_range range = { 0 };
	const struct state *state = NULL;
	const struct pmr_earlier_listed *listed;
	uint64_t device_end;
	const char *device;
	int lost;

	if (!json_object_is_type(object, json_type_object) ||
	    !pmr_document_get_number(object, "offset", &range.offset) ||
	    !pmr_document_get_number(object, "length", &range.length))
		return pmr_earlier_fault(reader, "a range of a file has no offset or length");
	if (!range.length || range.offset < *end ||
	    __builtin_add_overflow(range.offset, range.length, end))
		return pmr_earlier_fault(reader,
					 "the ranges of a file overlap, or are in no order");
	lost = find_state(pmr_document_get_text(object, "state"), &state);
	if (lost < 0)
		return pmr_earlier_fault(reader, "a range of a file has no state that is known");
	/* what lies past the end of a file is nobody's */
	if (!lost || range.offset >= file->size)
		return 0;
	if (range.length > file->size - range.offset)
		range.length = file->size - range.offset;
	device = pmr_document_get_text(object, "device");
	listed = device ? pmr_earlier_listed(reader, device) : NULL;
	if (!listed || !pmr_document_get_number(object, "device_offset", &range.device_offset) ||
	    __builtin_add_overflow(range.device_offset, range.length, &device_end))
		return pmr_earlier_fault(
			reader, "a range of a file has no place on a device of the report");
	range.shared = pmr_document_is_true(object, "shared");
	range.may_be_cached = state->may_be_cached;
	/* what an earlier report knew and the list did not any more */
	if (state->is_written || pmr_document_is_true(object, "vanished"))
		return add_part(file, &range, 0, range.length, true, false);
	return add_parts(file, &range, listed);
}

static int read_identity(struct pmr_earlier_reader *reader, struct json_object *object,
			 struct pmr_earlier_file *file)
{
	struct json_object *time = pmr_document_member(object, "change_time", json_type_object);
	struct json_object *seconds =
		time ? pmr_document_member(time, "seconds", json_type_int) : NULL;
	uint64_t generation = 0, nanoseconds;
	const char *uuid = pmr_document_get_text(object, "filesystem_uuid");

	if (file->whole_device)
		return pmr_document_get_number(object, "size", &file->size)
			       ? 0
			       : pmr_earlier_fault(reader, "a device-dax has no size");
	if (!pmr_document_get_number(object, "inode", &file->inode) || !file->inode ||
	    !pmr_document_get_number(object, "size", &file->size))
		return pmr_earlier_fault(reader, "a file with ranges has no inode or size");
	if ((!pmr_document_get_number(object, "generation", &generation) &&
	     !pmr_document_is_null(object, "generation")) ||
	    generation > UINT32_MAX)
		return pmr_earlier_fault(reader, "a file with ranges has no generation");
	if (!seconds || !pmr_document_get_number(time, "nanoseconds", &nanoseconds) ||
	    nanoseconds >= NANOSECONDS || json_object_get_int64(seconds) == INT64_MAX ||
	    json_object_get_int64(seconds) == INT64_MIN)
		return pmr_earlier_fault(reader, "a file with ranges has no change time");
	if (!uuid && !pmr_document_is_null(object, "filesystem_uuid"))
		return pmr_earlier_fault(reader, "a file with ranges has no filesystem");
	file->generation = (uint32_t)generation;
	file->change_time.tv_sec = (time_t)json_object_get_int64(seconds);
	file->change_time.tv_nsec = (long)nanoseconds;
	file->filesystem_uuid = uuid ? strdup(uuid) : NULL;
	return uuid && !file->filesystem_uuid ? -ENOMEM : 0;
}

/* @file->path, with the directory it is below */
static int read_path(struct pmr_earlier_reader *reader, struct json_object *object,
		     struct pmr_earlier_file *file)
{
	char *path, *joined;
	int ret;

	ret = pmr_document_get_path(object, "path", &path);
	if (ret == -ENOMEM)
		return ret;
	if (ret)
		return pmr_earlier_fault(reader, "a file with ranges has no path");
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

void pmr_earlier_release_file(struct pmr_earlier_file *file)
{
	free(file->path);
	free(file->filesystem_uuid);
	free(file->ranges);
}

static int add_file(struct pmr_earlier *earlier, const struct pmr_earlier_file *file)
{
	int ret;

	if (file->whole_device) {
		ret = pmr_grow(&earlier->whole, earlier->n_whole, &earlier->alloc_whole,
			       sizeof(*file));
		if (!ret)
			earlier->whole[earlier->n_whole++] = *file;
		return ret;
	}
	ret = pmr_grow(&earlier->files, earlier->n_files, &earlier->alloc_files, sizeof(*file));
	if (!ret)
		earlier->files[earlier->n_files++] = *file;
	return ret;
}

int pmr_earlier_read_file(struct pmr_earlier_reader *reader, struct json_object *object)
{
	struct json_object *ranges;
	struct pmr_earlier_file file = { 0 };
	uint64_t end = 0;
	int ret;

	if (!json_object_is_type(object, json_type_object))
		return pmr_earlier_fault(reader, "a file is no JSON object");
	ranges = pmr_document_member(object, "ranges", json_type_array);
	if (!ranges)
		return pmr_earlier_fault(reader, "a file has no ranges");
	/* it could not be looked at */
	if (!json_object_array_length(ranges))
		return 0;
	file.whole_device = pmr_document_is_true(object, "whole_device");
	ret = read_identity(reader, object, &file);
	if (!ret)
		ret = read_path(reader, object, &file);
	for (size_t i = 0; i < json_object_array_length(ranges) && !ret; i++)
		ret = read_range(reader, json_object_array_get_idx(ranges, i), &file, &end);
	if (!ret && file.n_ranges)
		ret = add_file(reader->earlier, &file);
	if (ret || !file.n_ranges)
		pmr_earlier_release_file(&file);
	return ret;
}
