/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads an earlier report. It comes from outside, so nothing in it is believed before it was looked at. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "reader.h"

#define FORMAT_MAJOR 1
/* Far more than a machine has. Each is held against all others. */
#define MAX_DEVICES 1024

int pmr_earlier_fault(struct pmr_earlier_reader *reader, const char *fault)
{
	reader->fault = fault;
	return -EINVAL;
}

const struct pmr_earlier_listed *pmr_earlier_listed(const struct pmr_earlier_reader *reader,
						    const char *device)
{
	for (size_t i = 0; i < reader->n_listed; i++)
		if (!strcmp(reader->listed[i].device, device))
			return &reader->listed[i];
	return NULL;
}

/* ---- devices: what was listed */

static int read_list(struct pmr_earlier_reader *reader, struct json_object *ranges,
		     struct pmr_ranges *list)
{
	struct json_object *range;
	uint64_t offset, length;
	int ret;

	for (size_t i = 0; i < json_object_array_length(ranges); i++) {
		range = json_object_array_get_idx(ranges, i);
		if (!json_object_is_type(range, json_type_object) ||
		    !pmr_document_get_number(range, "offset", &offset) ||
		    !pmr_document_get_number(range, "length", &length))
			return pmr_earlier_fault(reader,
						 "a device's badblocks have no offset or length");
		ret = pmr_ranges_add(list, offset, length);
		if (ret == -ENOMEM)
			return ret;
		if (ret)
			return pmr_earlier_fault(reader,
						 "a device has badblocks at an impossible place");
	}
	pmr_ranges_normalize(list);
	return 0;
}

static void release_listed(struct pmr_earlier_listed *listed)
{
	pmr_ranges_release(&listed->ranges);
	pmr_ranges_release(&listed->found);
}

/* What --read found is no record that could vanish: where it can be read now, it is right. */
static int read_found(struct pmr_earlier_reader *reader, struct json_object *device,
		      struct pmr_earlier_listed *listed)
{
	struct json_object *reading = pmr_document_member(device, "read", json_type_object);
	struct json_object *ranges =
		reading ? pmr_document_member(reading, "ranges", json_type_array) : NULL;

	return ranges ? read_list(reader, ranges, &listed->found) : 0;
}

static int read_device(struct pmr_earlier_reader *reader, struct json_object *device)
{
	struct json_object *badblocks, *ranges;
	struct pmr_earlier_listed *listed;
	const char *name;
	int ret;

	if (!json_object_is_type(device, json_type_object))
		return pmr_earlier_fault(reader, "a device is no JSON object");
	name = pmr_document_get_text(device, "name");
	badblocks = pmr_document_member(device, "badblocks", json_type_object);
	ranges = badblocks ? pmr_document_member(badblocks, "ranges", json_type_array) : NULL;
	if (!name || !ranges)
		return pmr_earlier_fault(reader, "a device has no name or no badblocks");
	if (reader->n_listed == MAX_DEVICES)
		return pmr_earlier_fault(reader, "it has more than 1024 devices");
	if (pmr_earlier_listed(reader, name))
		return pmr_earlier_fault(reader, "two devices have one name");
	ret = pmr_grow(&reader->listed, reader->n_listed, &reader->alloc_listed,
		       sizeof(reader->listed[0]));
	if (ret)
		return ret;
	listed = &reader->listed[reader->n_listed++];
	*listed = (struct pmr_earlier_listed){ .device = name };
	ret = read_list(reader, ranges, &listed->ranges);
	return ret ? ret : read_found(reader, device, listed);
}

/* ---- whose report it is */

static int check_version(struct pmr_earlier_reader *reader, struct json_object *document)
{
	struct json_object *version =
		pmr_document_member(document, "format_version", json_type_array);
	uint64_t major;

	if (!version || json_object_array_length(version) < 1 ||
	    !pmr_document_number(json_object_array_get_idx(version, 0), &major))
		return pmr_earlier_fault(reader, "it has no format_version");
	if (major == FORMAT_MAJOR)
		return 0;
	pmr_say(reader->ctx, PMR_ERROR, "ranges-version", reader->name,
		"is a report in format %llu, of which this version knows nothing: use the program that wrote it",
		(unsigned long long)major);
	return -EINVAL;
}

static int check_command(struct pmr_earlier_reader *reader, struct json_object *document)
{
	const char *command = pmr_document_get_text(document, "command");

	if (!command)
		return pmr_earlier_fault(reader, "it names no command");
	if (!strcmp(command, "scan") || !strcmp(command, "repair"))
		return 0;
	pmr_say(reader->ctx, PMR_ERROR, "ranges-other-command", reader->name,
		"is a report of '%.32s': only scan and repair say what files have lost", command);
	return -EINVAL;
}

static int check_host(struct pmr_earlier_reader *reader, struct json_object *document)
{
	const char *host = pmr_document_get_text(document, "host");
	struct utsname here;

	if (!host)
		return pmr_earlier_fault(
			reader, "it does not say which host it is of: an old version wrote it");
	if (uname(&here))
		return -errno;
	if (!strcmp(host, here.nodename))
		return 0;
	pmr_say(reader->ctx, PMR_ERROR, "ranges-other-host", reader->name,
		"is a report of the host '%.64s', and this is '%.64s'", host, here.nodename);
	return -EXDEV;
}

static int read_all(struct pmr_earlier_reader *reader, struct json_object *document,
		    int (*read)(struct pmr_earlier_reader *reader, struct json_object *object),
		    const char *key, const char *fault)
{
	struct json_object *array = pmr_document_member(document, key, json_type_array);
	int ret = 0;

	if (!array)
		return pmr_earlier_fault(reader, fault);
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

static int check_origin(struct pmr_earlier_reader *reader, struct json_object *document)
{
	int ret;

	ret = check_version(reader, document);
	if (!ret)
		ret = check_command(reader, document);
	if (!ret)
		ret = check_host(reader, document);
	if (!ret && !pmr_document_member(document, "complete", json_type_boolean))
		ret = pmr_earlier_fault(reader, "it does not say whether it is complete");
	return ret;
}

static int read_directory(struct pmr_earlier_reader *reader, struct json_object *document)
{
	int ret;

	if (!json_object_object_get_ex(document, "directory", NULL) ||
	    pmr_document_is_null(document, "directory"))
		return 0;
	ret = pmr_document_get_path(document, "directory", &reader->directory);
	return ret == -EINVAL ? pmr_earlier_fault(reader, "its directory is no path") : ret;
}

static int read_document(struct pmr_earlier_reader *reader, struct json_object *document)
{
	int ret;

	ret = read_directory(reader, document);
	if (!ret)
		ret = read_all(reader, document, read_device, "devices", "it has no devices");
	if (!ret)
		ret = read_all(reader, document, pmr_earlier_read_file, "files", "it has no files");
	if (!ret)
		ret = list_paths(reader->earlier);
	reader->earlier->is_complete = pmr_document_is_true(document, "complete");
	return ret;
}

/* What is to be told and freed of it, whoever owns the document. */
static int take_document(struct pmr_earlier_reader *reader, struct json_object *document,
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
	struct pmr_earlier_reader reader = { .name = name };
	int ret = take_document(&reader, document, earlier);

	if (reader.fault)
		*fault = reader.fault;
	return ret;
}

int pmr_earlier_parse(struct pmr_ctx *ctx, const char *text, size_t length, const char *name,
		      struct pmr_earlier **earlier)
{
	struct pmr_earlier_reader reader = { .ctx = ctx, .name = name };
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
		pmr_earlier_release_file(&earlier->files[i]);
	for (size_t i = 0; i < earlier->n_whole; i++)
		pmr_earlier_release_file(&earlier->whole[i]);
	free(earlier->files);
	free(earlier->whole);
	free(earlier->paths);
	free(earlier->name);
	free(earlier);
}
