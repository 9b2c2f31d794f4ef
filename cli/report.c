// SPDX-License-Identifier: GPL-2.0-or-later
/* Collects what a command found out, and adds it up. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

const char *report_verb_name(enum verb verb)
{
	static const char *const names[] = {
		[VERB_LIST] = "list",	  [VERB_SCAN] = "scan",	      [VERB_MAP] = "map",
		[VERB_LOCATE] = "locate", [VERB_SALVAGE] = "salvage", [VERB_REPAIR] = "repair",
		[VERB_HEALTH] = "health", [VERB_JOURNAL] = "journal",
	};

	return names[verb];
}

static void release_message(struct report_message *message)
{
	free(message->code);
	free(message->object);
	free(message->text);
}

int report_add_message(struct report *report, const struct pmr_message *message)
{
	struct report_message *m;

	if (report->n_messages == report->alloc_messages) {
		size_t more = report->alloc_messages ? report->alloc_messages * 2 : 16;

		m = reallocarray(report->messages, more, sizeof(*m));
		if (!m)
			goto lost;
		report->messages = m;
		report->alloc_messages = more;
	}
	m = &report->messages[report->n_messages];
	m->level = message->level;
	m->code = strdup(message->code);
	m->object = strdup(message->object);
	m->text = strdup(message->text);
	if (!m->code || !m->object || !m->text) {
		release_message(m);
		goto lost;
	}
	report->n_messages++;
	return 0;
lost:
	report->lost_message = true;
	return -ENOMEM;
}

bool report_has_message(const struct report *report, const struct pmr_message *message)
{
	for (size_t i = 0; i < report->n_messages; i++) {
		const struct report_message *m = &report->messages[i];

		if (!strcmp(m->code, message->code) && !strcmp(m->object, message->object) &&
		    !strcmp(m->text, message->text))
			return true;
	}
	return false;
}

void report_release(struct report *report)
{
	for (size_t i = 0; i < report->n_messages; i++)
		release_message(&report->messages[i]);
	free(report->messages);
	pmr_plan_free(report->plan);
	pmr_scan_free(report->scan);
	pmr_map_free(report->map);
	pmr_salvage_free(report->salvage);
	pmr_memory_free(report->memory);
	pmr_doubts_free(report->doubts);
	pmr_zeroes_free(report->zeroes);
	for (size_t i = 0; i < report->journals.n_lists; i++)
		pmr_journals_free(report->journals.lists[i]);
	free(report->journals.lists);
	free(report->journals.v);
	pmr_location_free(report->location);
	pmr_topology_free(report->topology);
	*report = (struct report){ 0 };
}

uint64_t report_data_bytes(const struct pmr_file *file, const struct pmr_loss *loss)
{
	if (loss->offset >= file->size)
		return 0;
	return loss->length < file->size - loss->offset ? loss->length : file->size - loss->offset;
}

void report_totals(const struct pmr_scan *scan, struct report_totals *totals)
{
	*totals = (struct report_totals){ 0 };
	for (size_t i = 0; scan && i < scan->n_files; i++) {
		const struct pmr_file *file = scan->files[i];
		bool affected = false;

		for (size_t j = 0; j < file->n_losses; j++) {
			const struct pmr_loss *loss = &file->losses[j];
			uint64_t bytes = report_data_bytes(file, loss);
			uint64_t *sums[] = {
				[PMR_LOST] = &totals->lost,
				[PMR_FAILED] = &totals->lost,
				[PMR_SKIPPED] = &totals->lost,
				[PMR_CONFLICT] = &totals->lost,
				[PMR_CACHED] = &totals->cached,
				[PMR_ZEROED] = &totals->zeroed,
				[PMR_REPAIRED] = &totals->repaired,
				[PMR_UNKNOWN] = &totals->unknown,
			};

			/* what is unwritten or past the end was never data; a write there that went wrong is the file's */
			affected |= loss->state == PMR_FAILED;
			if (!sums[loss->state] || !bytes)
				continue;
			*sums[loss->state] += bytes;
			affected = true;
		}
		totals->files += affected;
	}
}

/* ---- bad ranges and their owners */

/* The first owned range of @device that ends after @position, or NULL. */
static const struct pmr_owned *owned_after(const struct pmr_device *device,
					   const struct pmr_scan *scan, uint64_t position)
{
	size_t low = 0;
	size_t high = scan ? scan->n_owned : 0;
	size_t n = high;

	/* sorted by device, but by which key only the scan knows: find the device's run first */
	while (low < high && scan->owned[low].device != device)
		low++;
	while (high > low && scan->owned[high - 1].device != device)
		high--;
	n = high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct pmr_range *range = &scan->owned[middle].range;

		if (range->offset + range->length > position)
			high = middle;
		else
			low = middle + 1;
	}
	return low < n ? &scan->owned[low] : NULL;
}

int report_next_part(const struct pmr_device *device, const struct pmr_scan *scan,
		     uint64_t *position, struct report_part *part)
{
	const struct pmr_ranges *ranges = &device->badblocks.ranges;
	size_t i = pmr_ranges_first(ranges, *position);
	const struct pmr_owned *owned;
	uint64_t start, end;

	if (i >= ranges->n)
		return 0;
	start = ranges->v[i].offset > *position ? ranges->v[i].offset : *position;
	end = ranges->v[i].offset + ranges->v[i].length;
	part->owner = PMR_OWNER_NOT_ASKED;
	part->owned = NULL;
	owned = owned_after(device, scan, start);
	if (owned && owned->range.offset <= start) {
		part->owner = owned->owner;
		part->owned = owned;
		if (owned->range.offset + owned->range.length < end)
			end = owned->range.offset + owned->range.length;
	} else if (owned && owned->range.offset < end) {
		end = owned->range.offset;
	}
	part->range = (struct pmr_range){ start, end - start };
	*position = end;
	return 1;
}

bool report_has_poison(const struct pmr_device *device)
{
	return device->badblocks.ranges.n || device->metadata_badblocks.ranges.n;
}

bool report_has_regions(const struct report *report)
{
	return report->topology && !report->failed && !report->only &&
	       (report->verb == VERB_LIST || report->verb == VERB_HEALTH);
}

uint64_t report_unallocated_bytes(const struct pmr_region *region)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < region->n_parts; i++) {
		if (region->parts[i].part == PMR_PART_UNALLOCATED)
			bytes += region->parts[i].range.length;
	}
	return bytes;
}

bool report_is_nameless(const struct pmr_owned *owned)
{
	return owned && owned->owner == PMR_OWNER_FILE && owned->inode && !owned->path;
}

uint64_t report_zeroed_bytes(const struct report *report)
{
	const struct pmr_zeroed *zeroed;
	size_t n = report->zeroes ? pmr_zeroes_get(report->zeroes, &zeroed) : 0;
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++) {
		if (report->verb != VERB_REPAIR || zeroed[i].file != PMR_ZEROED_FILE_SAME)
			bytes += zeroed[i].length;
	}
	return bytes;
}

/* What was set aside is nobody's concern any more, damaged or not. */
bool report_is_open_journal(const struct pmr_journal_entry *entry)
{
	size_t length = strlen(entry->path), suffix = strlen(".journal");

	return entry->state == PMR_JOURNAL_UNFINISHED ||
	       (entry->state == PMR_JOURNAL_DAMAGED && length > suffix &&
		!strcmp(entry->path + length - suffix, ".journal"));
}

uint64_t report_journal_bytes(const struct pmr_journal_entry *entry, const enum pmr_mark *mark)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < entry->n_files; i++) {
		const struct pmr_journal_file *file = &entry->files[i];

		for (size_t j = 0; j < file->n_pieces; j++) {
			if (!mark || file->pieces[j].mark == *mark)
				bytes += file->pieces[j].length;
		}
	}
	return bytes;
}

/* All that was asked of locate lies on one device, if on any: an address may lie in no namespace. */
static struct pmr_device **device_of(struct pmr_location *location)
{
	for (size_t i = 0; i < location->n_places; i++) {
		if (location->places[i].device)
			return &location->places[i].device;
	}
	return NULL;
}

void report_finish(struct report *report)
{
	if (report->only) {
		report->devices = &report->only;
		report->n_devices = 1;
	} else if (report->verb == VERB_LIST || report->verb == VERB_HEALTH) {
		/* what fails here was asked about a device that was not found */
		bool any = report->topology && !report->failed;

		report->devices = any ? report->topology->devices : NULL;
		report->n_devices = any ? report->topology->n_devices : 0;
	} else if (report->scan) {
		report->devices = report->scan->devices;
		report->n_devices = report->scan->n_devices;
	} else if (report->map) {
		report->devices = &report->map->filesystem->device;
		report->n_devices = 1;
	} else if (report->location) {
		report->devices = device_of(report->location);
		report->n_devices = report->devices ? 1 : 0;
	}
	report->exit_status = report_exit_status(report);
}
