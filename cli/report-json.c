// SPDX-License-Identifier: GPL-2.0-or-later
/* Writes a report as one JSON document: what is common to all commands, files, mappings and plans. */
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "json.h"
#include "report-json.h"

static struct json_object *new_version(struct json *json)
{
	struct json_object *version = json_new_array(json);

	json_append(json, version, json_object_new_int(1));
	json_append(json, version, json_object_new_int(0));
	return version;
}

static void put_time(struct json *json, struct json_object *object, const char *key, time_t when)
{
	char text[sizeof("-2147483648-00-00T00:00:00Z")];
	struct tm tm;

	if (gmtime_r(&when, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		json_put_text(json, object, key, text);
	else
		json_put_null(json, object, key);
}

/* Whose report it is, and where its relative paths begin. */
static void put_origin(struct json *json, struct json_object *document)
{
	struct utsname host;
	char *directory = getcwd(NULL, 0);

	json_put_text(json, document, "host", uname(&host) ? NULL : host.nodename);
	json_put_path(json, document, "directory", directory);
	free(directory);
}

static struct json_object *next_message(struct json *json, struct json_at *at)
{
	static const char *const levels[] = {
		[PMR_ERROR] = "error",
		[PMR_WARNING] = "warning",
		[PMR_INFO] = "info",
		[PMR_DEBUG] = "debug",
	};
	const struct report *report = at->of;
	const struct report_message *message;
	struct json_object *object;

	if (at->position == report->n_messages)
		return NULL;
	message = &report->messages[at->position++];
	object = json_new_object(json);
	json_put_text(json, object, "level", levels[message->level]);
	json_put_text(json, object, "code", message->code);
	json_put_path(json, object, "object", message->object);
	json_put_text(json, object, "text", message->text);
	return object;
}

/* ---- files */

static struct json_object *new_loss(struct json *json, const struct pmr_file *file,
				    const struct pmr_loss *loss)
{
	struct json_object *object = json_new_object(json);

	json_put_number(json, object, "offset", loss->offset);
	json_put_number(json, object, "length", loss->length);
	json_put_text(json, object, "device", file->filesystem->device->name);
	json_put_known(json, object, "device_offset", loss->device_offset, PMR_NO_ADDRESS);
	report_json_put_lower(json, object, file->filesystem->device, loss->device_offset,
			      loss->length);
	json_put_text(json, object, "state", pmr_state_name(loss->state));
	if (loss->reason)
		json_put_text(json, object, "reason", loss->reason);
	if (loss->source)
		json_put_text(json, object, "source", loss->source);
	if (loss->method)
		json_put_text(json, object, "method", loss->method);
	json_put_bool(json, object, "shared", loss->shared);
	json_put_bool(json, object, "vanished", loss->vanished);
	return object;
}

struct json_object *report_json_new_links(struct json *json, const struct pmr_file *file)
{
	struct json_object *links = json_new_array(json);

	for (size_t i = 0; i < file->n_links; i++) {
		struct json_object *link = json_new_object(json);

		json_put_path(json, link, "path", file->links[i]);
		json_append(json, links, link);
	}
	return links;
}

/* Exact: a later repair takes a file for the same one by it. */
static struct json_object *new_change_time(struct json *json, const struct timespec *when)
{
	struct json_object *object = json_new_object(json);

	json_put(json, object, "seconds", json_object_new_int64(when->tv_sec));
	json_put_number(json, object, "nanoseconds", (uint64_t)when->tv_nsec);
	return object;
}

static struct json_object *new_file(struct json *json, const struct pmr_file *file)
{
	struct json_object *object = json_new_object(json);
	struct json_object *ranges = json_new_array(json);

	json_put_path(json, object, "path", file->path);
	json_put(json, object, "links", report_json_new_links(json, file));
	/* what could not even be opened has no inode that is known */
	json_put_known(json, object, "inode", file->inode, 0);
	json_put_known(json, object, "size", file->size,
		       file->inode || file->whole_device ? PMR_NO_ADDRESS : 0);
	json_put_known(json, object, "generation", file->generation, 0);
	json_put(json, object, "change_time", new_change_time(json, &file->change_time));
	json_put_text(json, object, "filesystem_uuid",
		      file->whole_device ? NULL : file->filesystem->uuid);
	json_put_bool(json, object, "dax", file->dax);
	json_put_bool(json, object, "hidden", file->hidden);
	if (file->whole_device)
		json_put_bool(json, object, "whole_device", true);
	json_put_bool(json, object, "complete", file->complete);
	json_put_text(json, object, "error", file->error ? strerror(-file->error) : NULL);
	for (size_t i = 0; i < file->n_losses; i++)
		json_append(json, ranges, new_loss(json, file, &file->losses[i]));
	json_put(json, object, "ranges", ranges);
	return object;
}

static struct json_object *next_file(struct json *json, struct json_at *at)
{
	const struct pmr_scan *scan = at->of;

	return at->position < scan->n_files ? new_file(json, scan->files[at->position++]) : NULL;
}

/* ---- map */

static struct json_object *new_mapping(struct json *json, const struct pmr_map *map,
				       const struct pmr_mapping *mapping)
{
	static const char *const kinds[] = {
		[PMR_EXTENT_DATA] = "data",
		[PMR_EXTENT_HOLE] = "hole",
		[PMR_EXTENT_UNWRITTEN] = "unwritten",
		[PMR_EXTENT_UNTRUSTED] = "untrusted",
	};
	struct json_object *object = json_new_object(json);
	bool known = map->filesystem->device->badblocks.trust != PMR_LIST_UNKNOWN;

	json_put_number(json, object, "offset", mapping->offset);
	json_put_number(json, object, "length", mapping->length);
	json_put_text(json, object, "kind", kinds[mapping->kind]);
	json_put_bool(json, object, "shared", mapping->shared);
	json_put_text(json, object, "device", map->filesystem->device->name);
	json_put_known(json, object, "device_offset", mapping->device_offset, PMR_NO_ADDRESS);
	report_json_put_lower(json, object, map->filesystem->device, mapping->device_offset,
			      mapping->length);
	json_put_known(json, object, "region_offset", mapping->region_offset, PMR_NO_ADDRESS);
	json_put_known(json, object, "address", mapping->address, PMR_NO_ADDRESS);
	if (known && mapping->kind != PMR_EXTENT_UNTRUSTED)
		json_put_number(json, object, "bad_bytes", mapping->bad_bytes);
	else
		json_put_null(json, object, "bad_bytes");
	return object;
}

static struct json_object *next_mapping(struct json *json, struct json_at *at)
{
	const struct pmr_map *map = at->of;

	if (at->position == map->n_mappings)
		return NULL;
	return new_mapping(json, map, &map->mappings[at->position++]);
}

static struct json_object *new_mapped_file(struct json *json, const struct report *report)
{
	const struct pmr_map *map = report->map;
	struct json_object *object = json_new_object(json);

	json_put_path(json, object, "path", report->map_path);
	json_put_number(json, object, "inode", map->inode);
	json_put_number(json, object, "size", map->size);
	json_put_bool(json, object, "complete", map->complete);
	json_put(json, object, "mappings", json_new_flat_list(json, next_mapping, map));
	return object;
}

static struct json_object *new_files(struct json *json, const struct report *report)
{
	struct json_object *files;

	if (report->scan)
		return json_new_list(json, next_file, report->scan, NULL);
	files = json_new_array(json);
	if (report->map)
		json_append(json, files, new_mapped_file(json, report));
	return files;
}

/* ---- repair */

static uint64_t common_bytes(const struct pmr_range *range, uint64_t offset, uint64_t length)
{
	uint64_t range_end = range->offset + range->length;
	uint64_t from = offset > range->offset ? offset : range->offset;
	uint64_t to = offset + length < range_end ? offset + length : range_end;

	return to > from ? to - from : 0;
}

static uint64_t lost_in_step(const struct pmr_file_plan *plan, const struct pmr_step *step)
{
	const struct pmr_range write = { step->offset, step->length };
	uint64_t bytes = 0;

	for (size_t i = step->first_loss; i < step->first_loss + step->n_losses; i++) {
		const struct pmr_loss *loss = &plan->file->losses[i];

		/* what was never data is written along with its page, and replaces nothing */
		if (loss->state != PMR_UNWRITTEN)
			bytes += common_bytes(&write, loss->offset,
					      report_data_bytes(plan->file, loss));
	}
	return bytes;
}

static struct json_object *new_file_plan(struct json *json, const struct pmr_file_plan *plan)
{
	struct json_object *object = json_new_object(json);
	struct json_object *steps = json_new_array(json);

	json_put_path(json, object, "path", plan->file->path);
	json_put_path(json, object, "backup", plan->backup);
	json_put_text(json, object, "refused", plan->refused);
	json_put_text(json, object, "method", plan->n_steps ? pmr_method_name(plan->method) : NULL);
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct pmr_step *step = &plan->steps[i];
		struct json_object *entry = json_new_object(json);

		json_put_number(json, entry, "offset", step->offset);
		json_put_number(json, entry, "length", step->length);
		json_put_number(json, entry, "device_offset", step->device_offset);
		json_put_number(json, entry, "lost_bytes", lost_in_step(plan, step));
		json_put_text(json, entry, "method", pmr_method_name(step->method));
		json_put_bool(json, entry, "follows", step->follows);
		json_append(json, steps, entry);
	}
	json_put(json, object, "steps", steps);
	return object;
}

static struct json_object *next_file_plan(struct json *json, struct json_at *at)
{
	const struct pmr_plan *plan = at->of;

	if (!plan || at->position == plan->n_files)
		return NULL;
	return new_file_plan(json, &plan->files[at->position++]);
}

static void put_freezes(struct json *json, struct json_object *document,
			const struct pmr_plan *plan)
{
	struct json_object *freezes = json_new_object(json);

	json_put_number(json, freezes, "count", plan ? plan->freezes : 0);
	json_put_number(json, freezes, "total_ns", plan ? plan->frozen : 0);
	json_put_number(json, freezes, "longest_ns", plan ? plan->longest_freeze : 0);
	json_put(json, document, "freezes", freezes);
}

static void put_repair(struct json *json, struct json_object *document, const struct report *report)
{
	json_put_bool(json, document, "dry_run", report->dry_run);
	json_put_path(json, document, "journal", report->plan ? report->plan->journal : NULL);
	json_put(json, document, "plan", json_new_list(json, next_file_plan, report->plan, NULL));
	put_freezes(json, document, report->plan);
}

/* ---- summary */

static bool is_in_report(const struct report *report, const struct pmr_device *device)
{
	for (size_t i = 0; i < report->n_devices; i++) {
		if (report->devices[i] == device)
			return true;
	}
	return false;
}

/* A mapped device has no poison of its own: where all that it lies on is in the report, it is counted there. */
static bool is_told_below(const struct report *report, const struct pmr_device *device)
{
	for (size_t i = 0; i < device->n_lowers; i++) {
		if (!is_in_report(report, device->lowers[i]))
			return false;
	}
	return device->n_lowers;
}

/* The sum over all devices is known only where each device's number is, and where they could be looked for at all. */
static void put_badblocks_sums(struct json *json, struct json_object *summary,
			       const struct report *report)
{
	uint64_t count = 0;
	uint64_t bytes = 0;
	bool known = (report->n_devices || !(report->exit_status & STATUS_UNKNOWN)) &&
		     report->verb != VERB_JOURNAL;

	for (size_t i = 0; i < report->n_devices; i++) {
		const struct pmr_badblocks *list = &report->devices[i]->badblocks;

		if (is_told_below(report, report->devices[i]))
			continue;
		known = known && list->trust != PMR_LIST_UNKNOWN;
		count += list->ranges.n;
		bytes += pmr_ranges_bytes(&list->ranges);
	}
	if (known) {
		json_put_number(json, summary, "badblocks", count);
		json_put_number(json, summary, "bad_bytes", bytes);
	} else {
		json_put_null(json, summary, "badblocks");
		json_put_null(json, summary, "bad_bytes");
	}
}

static struct json_object *new_summary(struct json *json, const struct report *report)
{
	struct json_object *summary = json_new_object(json);
	struct report_totals totals;

	json_put_number(json, summary, "devices", report->n_devices);
	put_badblocks_sums(json, summary, report);
	if (report->verb != VERB_SCAN && report->verb != VERB_SALVAGE &&
	    report->verb != VERB_REPAIR)
		return summary;
	report_totals(report->scan, &totals);
	/* without a scan nothing is known of any file */
	json_put_known(json, summary, "files_seen",
		       report->scan ? report->scan->files_seen : UINT64_MAX, UINT64_MAX);
	json_put_known(json, summary, "files_affected", report->scan ? totals.files : UINT64_MAX,
		       UINT64_MAX);
	json_put_known(json, summary, "lost_bytes", report->scan ? totals.lost : UINT64_MAX,
		       UINT64_MAX);
	json_put_known(json, summary, "cached_bytes", report->scan ? totals.cached : UINT64_MAX,
		       UINT64_MAX);
	json_put_number(json, summary, "repaired_bytes", totals.repaired);
	json_put_number(json, summary, "zeroed_bytes", totals.zeroed);
	return summary;
}

static struct json_object *new_document(struct json *json, const struct report *report)
{
	struct json_object *document = json_new_object(json);

	json_put(json, document, "format_version", new_version(json));
	json_put_text(json, document, "version", pmr_version());
	json_put_text(json, document, "command", report_verb_name(report->verb));
	put_origin(json, document);
	put_time(json, document, "started_at", report->started);
	json_put_number(json, document, "exit_status", (uint64_t)report->exit_status);
	json_put_bool(json, document, "complete", !(report->exit_status & STATUS_UNKNOWN));
	report_json_put_recovery(json, document, report->recovery);
	if (report->verb == VERB_LIST || report_has_regions(report))
		report_json_put_regions(json, document, report->topology);
	json_put(json, document, "devices", report_json_new_devices(json, report));
	json_put(json, document, "files", new_files(json, report));
	if (report->verb == VERB_LOCATE)
		report_json_put_places(json, document, report->location);
	if (report->verb == VERB_SALVAGE)
		report_json_put_salvage(json, document, report);
	if (report->verb == VERB_REPAIR)
		put_repair(json, document, report);
	if (report->verb == VERB_HEALTH)
		report_json_put_vanished(json, document, report->memory);
	if (report->verb == VERB_SCAN || report->verb == VERB_SALVAGE ||
	    report->verb == VERB_HEALTH)
		report_json_put_zeroed(json, document, report->zeroes);
	if (report->verb == VERB_JOURNAL)
		report_json_put_journals(json, document, report);
	json_put(json, document, "summary", new_summary(json, report));
	json_put(json, document, "messages", json_new_list(json, next_message, report, NULL));
	return document;
}

int report_write_json(const struct report *report, FILE *out)
{
	struct json json = { 0 };
	struct json_object *document = new_document(&json, report);
	int rc = json_write(&json, document, out);

	json_object_put(document);
	json_release(&json);
	return rc;
}
