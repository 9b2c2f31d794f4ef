// SPDX-License-Identifier: GPL-2.0-or-later
/* The exit status: what is lost, repaired or not known in all that a report holds. */
#include <stddef.h>

#include "report.h"

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
	/* behind the end there is nothing to lose, but what was begun there and went wrong is the file's */
	if (loss->state != PMR_UNKNOWN && loss->state != PMR_FAILED &&
	    !report_data_bytes(file, loss))
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
		    (mapping->offset < map->size || mapping->offset + mapping->length > map->seal))
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
