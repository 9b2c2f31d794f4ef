// SPDX-License-Identifier: GPL-2.0-or-later
/* report.c: read pmem-recover's report and turn its ranges into sectors of the expectation's files. */
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tree.h"

void fault(unsigned int *faults, const char *format, ...)
{
	va_list args;

	if (++*faults > 12)
		return;
	fputs("    ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

struct json_object *json_get(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value;
}

const char *json_text(struct json_object *object, const char *key)
{
	struct json_object *value = json_get(object, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

/* Every number of the report is one that must be there. */
uint64_t json_number(struct json_object *object, const char *key, unsigned int *faults)
{
	struct json_object *value = json_get(object, key);

	if (!json_object_is_type(value, json_type_int)) {
		fault(faults, "no number \"%s\" in %.200s", key,
		      json_object_to_json_string(object));
		return 0;
	}
	return json_object_get_uint64(value);
}

size_t json_length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static char *decode_base64(const char *text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *bytes = must_alloc(strlen(text) + 1, 1), *out = bytes;
	unsigned int bits = 0, value = 0;
	const char *digit;

	for (; *text && *text != '='; text++) {
		digit = strchr(digits, *text);
		if (!digit)
			continue;
		value = value << 6 | (unsigned int)(digit - digits);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*out++ = (char)(value >> bits);
		}
	}
	return bytes;
}

/* The exact path of an object with "path" and perhaps "path_base64", below the mountpoint; NULL when it is elsewhere. */
static char *get_path(struct json_object *object, const char *mount)
{
	const char *base64 = json_text(object, "path_base64");
	char *path = *base64 ? decode_base64(base64) : must_format("%s", json_text(object, "path"));
	size_t n = strlen(mount);
	char *below = NULL;

	if (strncmp(path, mount, n) == 0 && path[n] == '/')
		below = must_format("%s", path + n + 1);
	free(path);
	return below;
}

static bool has_name(const struct file *file, const char *path)
{
	size_t i;

	if (strcmp(file->path, path) == 0)
		return true;
	for (i = 0; i < file->n_links; i++) {
		if (strcmp(file->links[i], path) == 0)
			return true;
	}
	return false;
}

/* All of a file's names where all were looked for, each once, and none that it has not. */
static bool has_names(const struct file *file, const char *path, struct json_object *links,
		      const char *mount, bool all)
{
	size_t n = json_length(links), i;
	bool right = all ? n == file->n_links : n <= file->n_links;
	char *link, *seen = must_format("%s", path);

	for (i = 0; i < n && right; i++) {
		link = get_path(json_object_array_get_idx(links, i), mount);
		right = link && has_name(file, link) && strcmp(link, seen) != 0;
		free(seen);
		seen = link;
	}
	free(seen);
	return right;
}

static const struct file *find_file(const struct expect *expect, const char *path)
{
	size_t i;

	for (i = 0; i < expect->n_files; i++) {
		if (has_name(&expect->files[i], path))
			return &expect->files[i];
	}
	return NULL;
}

static void read_range(struct report *report, const struct file *file, uint32_t index,
		       struct json_object *range, unsigned int *faults)
{
	uint64_t offset = json_number(range, "offset", faults),
		 end = offset + json_number(range, "length", faults);
	uint64_t at = json_number(range, "device_offset", faults), next;

	if (offset >= end)
		fault(faults, "%s: a range without length at %lu", file->path, offset);
	for (; offset < end; at += next - offset, offset = next) {
		next = offset - offset % SECTOR + SECTOR;
		if (next > end)
			next = end;
		/* A sector that the end of the file divides has two parts, whether or not they are two ranges. */
		if (offset < file->size && file->size < next)
			next = file->size;
		report->told = must_grow(report->told, report->n_told, &report->told_alloc,
					 sizeof(*report->told));
		report->told[report->n_told++] = (struct told){
			.file = index,
			.offset = offset,
			.length = (uint32_t)(next - offset),
			.device_offset = at,
			.state = json_text(range, "state"),
			.reason = json_text(range, "reason"),
			.source = json_text(range, "source"),
			.method = json_text(range, "method"),
		};
	}
}

/* A device-dax is none's, and null stands for that. */
static bool has_inode(const struct file *file, struct json_object *object, unsigned int *faults)
{
	return file->inode ? json_number(object, "inode", faults) == file->inode
			   : json_object_object_get_ex(object, "inode", NULL) &&
				     !json_get(object, "inode");
}

static void read_told_file(struct report *report, const struct expect *expect,
			   struct json_object *object, bool all_names, unsigned int *faults)
{
	struct json_object *ranges = json_get(object, "ranges");
	char *path = get_path(object, expect->mount);
	const struct file *file = path ? find_file(expect, path) : NULL;
	size_t i;

	if (!file) {
		fault(faults, "a file that is not of the tree: %.200s",
		      json_object_to_json_string(object));
		return;
	}
	if (!has_inode(file, object, faults) || json_number(object, "size", faults) != file->size)
		fault(faults, "%s: wrong inode number or size", path);
	if (!has_names(file, path, json_get(object, "links"), expect->mount, all_names))
		fault(faults, "%s: it has %zu other names, not %s", path, file->n_links,
		      json_object_to_json_string(json_get(object, "links")));
	for (i = 0; i < json_length(ranges); i++)
		read_range(report, file, (uint32_t)(file - expect->files),
			   json_object_array_get_idx(ranges, i), faults);
	free(path);
}

static int compare_told(const void *a, const void *b)
{
	const struct told *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* The bad sectors of a device, with their owners. */
static void read_device(struct report *report, const struct expect *expect,
			struct json_object *device, unsigned int *faults)
{
	struct json_object *badblocks = json_get(device, "badblocks"),
			   *ranges = json_get(badblocks, "ranges"), *range;
	uint64_t at, end;
	size_t i;

	if (strcmp(json_text(device, "path"), expect->device) != 0) {
		fault(faults, "another device: \"%s\"", json_text(device, "path"));
		return;
	}
	for (i = 0; i < json_length(ranges); i++) {
		range = json_object_array_get_idx(ranges, i);
		at = json_number(range, "offset", faults);
		end = at + json_number(range, "length", faults);
		/* A sector may be told in two parts: the first decides. */
		for (at = (at + SECTOR - 1) / SECTOR; at < (end + SECTOR - 1) / SECTOR; at++) {
			report->owners = must_grow(report->owners, report->n_owners,
						   &report->owners_alloc, sizeof(*report->owners));
			report->owners[report->n_owners++] =
				(struct told_owner){ at, json_text(range, "owner") };
		}
	}
}

unsigned int report_read(struct report *report, const char *path, const struct expect *expect,
			 bool all_names)
{
	struct json_object *json = json_object_from_file(path), *files, *devices, *summary,
			   *recovery;
	unsigned int faults = 0;
	size_t i;

	*report = (struct report){ .json = json };
	if (!json) {
		fault(&faults, "%s: no JSON: %s", path, json_util_get_last_err());
		return faults;
	}
	files = json_get(json, "files");
	devices = json_get(json, "devices");
	summary = json_get(json, "summary");
	recovery = json_get(json, "recovery");
	report->command = json_text(json, "command");
	report->capability = json_text(recovery, "capability");
	report->evidence = json_text(recovery, "evidence");
	report->flag = (uint32_t)json_object_get_uint64(json_get(recovery, "flag"));
	report->exit_status = (int)json_number(json, "exit_status", &faults);
	report->complete = json_object_get_boolean(json_get(json, "complete"));
	report->lost_bytes = json_number(summary, "lost_bytes", &faults);
	report->repaired_bytes = json_number(summary, "repaired_bytes", &faults);
	for (i = 0; i < json_length(files); i++)
		read_told_file(report, expect, json_object_array_get_idx(files, i), all_names,
			       &faults);
	for (i = 0; i < json_length(devices); i++)
		read_device(report, expect, json_object_array_get_idx(devices, i), &faults);
	if (report->n_told)
		qsort(report->told, report->n_told, sizeof(*report->told), compare_told);
	return faults;
}

void report_release(struct report *report)
{
	json_object_put(report->json);
	free(report->told);
	free(report->owners);
}
