// SPDX-License-Identifier: GPL-2.0-or-later
/* Collects what a command found out, and computes the exit status from it. */
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

			/* what is unwritten or past the end was never data, whatever became of it */
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

/* ---- exit status */

bool report_has_poison(const struct pmr_device *device)
{
	return device->badblocks.ranges.n || device->metadata_badblocks.ranges.n;
}

bool report_is_metadata_told(const struct pmr_device *device)
{
	if (device->metadata_badblocks.trust == PMR_LIST_INCOMPLETE)
		return false;
	/* without an info block there is nothing to know of it */
	return device->from_file || device->data_offset == 0 ||
	       device->metadata_badblocks.trust == PMR_LIST_COMPLETE;
}

/* A volume is lost with a namespace below that does not come up again. */
static bool is_below_told(const struct pmr_device *device)
{
	bool is_told = true;

	for (size_t i = 0; i < device->n_lowers && is_told && !device->from_file; i++)
		is_told = report_is_metadata_told(device->lowers[i]) &&
			  is_below_told(device->lowers[i]);
	return is_told;
}

bool report_is_told(const struct pmr_device *device)
{
	return pmr_device_is_told(device) && report_is_metadata_told(device) &&
	       is_below_told(device);
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

/* Of what is in no namespace; namespaces have devices. */
static int status_of_regions(const struct report *report)
{
	int status = STATUS_OK;

	for (size_t i = 0; report_has_regions(report) && i < report->topology->n_regions; i++) {
		const struct pmr_region *region = report->topology->regions[i];

		if (!pmr_region_is_told(region))
			status |= STATUS_UNKNOWN;
		if (report->verb == VERB_HEALTH &&
		    (report_unallocated_bytes(region) || pmr_region_has_strays(region)))
			status |= STATUS_LOST;
	}
	return status;
}

static int status_of_devices(const struct report *report)
{
	int status = STATUS_OK;

	/* whose bytes are is no matter of lists */
	if (report->verb == VERB_LOCATE)
		return STATUS_OK;
	for (size_t i = 0; i < report->n_devices; i++) {
		const struct pmr_device *device = report->devices[i];

		if (!report_is_told(device))
			status |= STATUS_UNKNOWN;
		if (report->verb == VERB_HEALTH && report_has_poison(device))
			status |= STATUS_LOST;
	}
	return status;
}

static const struct pmr_file_plan *plan_of(const struct pmr_plan *plan, const struct pmr_file *file)
{
	for (size_t i = 0; plan && i < plan->n_files; i++) {
		if (plan->files[i].file == file)
			return &plan->files[i];
	}
	return NULL;
}

/* Whether the steps of a plan write every byte of a loss. */
static bool is_planned(const struct pmr_file_plan *plan, const struct pmr_loss *loss)
{
	uint64_t position = loss->offset;
	uint64_t end = loss->offset + loss->length;

	if (!plan || plan->refused)
		return false;
	for (size_t i = 0; i < plan->n_steps && position < end; i++) {
		const struct pmr_step *step = &plan->steps[i];

		if (step->offset <= position && step->offset + step->length > position)
			position = step->offset + step->length;
	}
	return position >= end;
}

static int status_of_loss(const struct report *report, const struct pmr_file_plan *plan,
			  const struct pmr_file *file, const struct pmr_loss *loss)
{
	if (loss->state != PMR_UNKNOWN && !report_data_bytes(file, loss))
		return STATUS_OK;
	switch (loss->state) {
	case PMR_UNWRITTEN:
	case PMR_PAST_EOF:
		return STATUS_OK;
	case PMR_REPAIRED:
		/* a dry run may find that an earlier one repaired a part of it */
		return report->dry_run ? STATUS_OK : STATUS_REPAIRED;
	case PMR_UNKNOWN:
		return STATUS_UNKNOWN;
	case PMR_LOST:
	case PMR_CACHED:
		/* the copy has it */
		if (report->salvage && loss->state == PMR_CACHED)
			return STATUS_OK;
		if (report->dry_run && !report->zero_fill && is_planned(plan, loss))
			return STATUS_OK;
		return STATUS_LOST;
	default:
		return STATUS_LOST;
	}
}

bool report_is_nameless(const struct pmr_owned *owned)
{
	return owned && owned->owner == PMR_OWNER_FILE && owned->inode && !owned->path;
}

static int status_of_owners(const struct pmr_scan *scan)
{
	int status = STATUS_OK;

	for (size_t i = 0; i < scan->n_owned; i++) {
		switch (scan->owned[i].owner) {
		case PMR_OWNER_METADATA:
		case PMR_OWNER_LOG:
		case PMR_OWNER_NAMESPACE:
			status |= STATUS_LOST;
			break;
		case PMR_OWNER_UNKNOWN:
			status |= STATUS_UNKNOWN;
			break;
		case PMR_OWNER_FILE:
			/* all others are among the files */
			if (report_is_nameless(&scan->owned[i]))
				status |= STATUS_LOST;
			break;
		default:
			break;
		}
	}
	return status;
}

static int status_of_scan(const struct report *report)
{
	const struct pmr_scan *scan = report->scan;
	int status = scan->complete ? STATUS_OK : STATUS_UNKNOWN;

	if (scan->metadata_lost)
		status |= STATUS_LOST;
	for (size_t i = 0; i < scan->n_files; i++) {
		const struct pmr_file *file = scan->files[i];
		const struct pmr_file_plan *plan = plan_of(report->plan, file);

		if (!file->complete)
			status |= STATUS_UNKNOWN;
		for (size_t j = 0; j < file->n_losses; j++)
			status |= status_of_loss(report, plan, file, &file->losses[j]);
	}
	return status | status_of_owners(scan);
}

static int status_of_map(const struct pmr_map *map)
{
	int status = map->complete ? STATUS_OK : STATUS_UNKNOWN;

	for (size_t i = 0; i < map->n_mappings; i++) {
		const struct pmr_mapping *mapping = &map->mappings[i];

		if (mapping->kind == PMR_EXTENT_UNTRUSTED)
			status |= STATUS_UNKNOWN;
		if (mapping->kind == PMR_EXTENT_DATA && mapping->bad_bytes &&
		    mapping->offset < map->size)
			status |= STATUS_LOST;
	}
	return status;
}

static int status_of_salvage(const struct pmr_salvage *salvage)
{
	return (salvage->complete && !salvage->remaining ? STATUS_OK : STATUS_UNKNOWN) |
	       (salvage->lost ? STATUS_LOST : STATUS_OK);
}

/* What vanished may be silently wrong now. Who may not read the memory is no worse off than without one. */
static int status_of_memory(const struct pmr_memory *memory)
{
	const struct pmr_vanished *vanished;

	if (!memory)
		return STATUS_OK;
	return pmr_memory_vanished(memory, &vanished) || pmr_memory_is_lost(memory) ? STATUS_UNKNOWN
										    : STATUS_OK;
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

/* Zeros are no data until somebody says that they are. A repair has those that it can restore among its losses. */
static int status_of_zeroes(const struct report *report)
{
	const struct pmr_zeroed *zeroed;
	int status = STATUS_OK;
	size_t n;

	if (!report->zeroes)
		return STATUS_OK;
	if (pmr_zeroes_is_lost(report->zeroes))
		status |= STATUS_UNKNOWN;
	n = pmr_zeroes_get(report->zeroes, &zeroed);
	for (size_t i = 0; i < n; i++) {
		if (report->verb != VERB_REPAIR || zeroed[i].file != PMR_ZEROED_FILE_SAME)
			status |= STATUS_LOST;
	}
	return status;
}

int report_exit_status(const struct report *report)
{
	int status = report->failed || report->unfinished ? STATUS_UNKNOWN : STATUS_OK;

	status |= status_of_devices(report);
	status |= status_of_regions(report);
	if (report->scan)
		status |= status_of_scan(report);
	if (report->map)
		status |= status_of_map(report->map);
	if (report->salvage)
		status |= status_of_salvage(report->salvage);
	if (report->location && !report->location->complete)
		status |= STATUS_UNKNOWN;
	status |= status_of_memory(report->memory);
	status |= status_of_zeroes(report);
	/* "every one was repaired" is not said where something else is still lost */
	if (status & STATUS_LOST)
		status &= ~STATUS_REPAIRED;
	return status;
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
