// SPDX-License-Identifier: GPL-2.0-or-later
/* Writes what takes no table: a list, a line a device, a plan, the outcome, and what --quiet still says. */
#include <string.h>

#include "report-human.h"
#include "text.h"

const char *report_device_label(const struct pmr_device *device)
{
	return device->path ? device->path : device->name;
}

static void print_reason(FILE *out, const struct pmr_badblocks *list)
{
	if (list->reason)
		fprintf(out, ": %s", list->reason);
}

void report_print_list(FILE *out, const struct pmr_badblocks *list, bool words)
{
	if (list->trust == PMR_LIST_UNKNOWN) {
		fputs(words ? "badblocks unknown" : "unknown", out);
		print_reason(out, list);
		return;
	}
	if (list->ranges.n == 0) {
		fputs(words ? "no badblocks" : "none", out);
	} else {
		if (words)
			text_print_count(out, list->ranges.n, "badblock");
		else
			fprintf(out, "%zu", list->ranges.n);
		fputs(", ", out);
		text_print_size(out, pmr_ranges_bytes(&list->ranges));
	}
	if (list->trust == PMR_LIST_INCOMPLETE) {
		fputs(", and perhaps more", out);
		print_reason(out, list);
	}
}

void report_print_metadata_list(FILE *out, const struct pmr_device *device, const char *where,
				bool words)
{
	const struct pmr_badblocks *list = &device->metadata_badblocks;

	if (!list->ranges.n && report_is_metadata_told(device))
		return;
	fprintf(out, "; %s: ", where);
	report_print_list(out, list, words);
}

void report_print_reading(FILE *out, const struct pmr_device *device)
{
	const struct pmr_reading *reading = &device->reading;

	if (!reading->asked)
		return;
	fputs("; read ", out);
	text_print_size(out, pmr_ranges_bytes(&reading->done));
	if (!reading->complete)
		fputs(", not all", out);
	if (!reading->found_bytes)
		return;
	fputs(", found ", out);
	text_print_size(out, reading->found_bytes);
}

void report_write_readings(const struct report *report, FILE *out)
{
	for (size_t i = 0; i < report->n_devices; i++) {
		const struct pmr_device *device = report->devices[i];
		const struct pmr_reading *reading = &device->reading;

		if (!reading->asked)
			continue;
		text_print_safe(out, report_device_label(device));
		fputs(": read ", out);
		text_print_size(out, pmr_ranges_bytes(&reading->done));
		fputs(reading->complete ? "" : ", which is not all that was asked for", out);
		fputs(reading->found_bytes ? ", of which "
					   : "; nothing in it failed that was in no list\n",
		      out);
		if (!reading->found_bytes)
			continue;
		text_print_size(out, reading->found_bytes);
		fputs(" failed and were in no list\n", out);
	}
}

/* " (namespace0.0, disabled, fsdax, 512 MiB)", without the name where that is the label already */
static void write_namespace(const struct pmr_device *device, FILE *out)
{
	uint64_t size = device->size ? device->size : device->ns_size;

	fputs(" (", out);
	if (strcmp(report_device_label(device), device->ns_name))
		fprintf(out, "%s, ", device->ns_name);
	fprintf(out, "%s%s", device->enabled ? "" : "disabled, ", pmr_mode_name(device->mode));
	if (size) {
		fputs(", ", out);
		text_print_size(out, size);
	}
	fputc(')', out);
}

void report_write_health_line(const struct pmr_device *device, FILE *out)
{
	text_print_safe(out, report_device_label(device));
	if (device->ns_name)
		write_namespace(device, out);
	fputs(": ", out);
	report_print_list(out, &device->badblocks, true);
	report_print_metadata_list(out, device,
				   device->mode == PMR_MODE_SECTOR ? "in the namespace's BTT"
								   : "in the namespace's metadata",
				   true);
	report_print_reading(out, device);
	fputc('\n', out);
}

/* ---- the outcome of a scan or a repair */

static void write_part(FILE *out, const char **separator, const char *what, uint64_t bytes)
{
	if (bytes == 0)
		return;
	fputs(*separator, out);
	text_print_size(out, bytes);
	fprintf(out, " %s", what);
	*separator = ", ";
}

static void write_devices(const struct report *report, FILE *out)
{
	const char *separator = " on ";

	/* a sentence is no list */
	if (report->n_devices > 4) {
		fputs(" on ", out);
		text_print_count(out, report->n_devices, "device");
		return;
	}
	for (size_t i = 0; i < report->n_devices; i++) {
		fputs(separator, out);
		text_print_safe(out, report_device_label(report->devices[i]));
		separator = ", ";
	}
}

static uint64_t owned_bytes(const struct pmr_scan *scan, enum pmr_owner owner)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < scan->n_owned; i++) {
		/* all other data of files is told with the files */
		if (scan->owned[i].owner == owner &&
		    (owner != PMR_OWNER_FILE || report_is_nameless(&scan->owned[i])))
			bytes += scan->owned[i].range.length;
	}
	return bytes;
}

/* What is lost, or was, and is in no file that was told. */
static void write_rest(const struct report *report, uint64_t zeroed, const char *separator,
		       FILE *out)
{
	static const struct {
		enum pmr_owner owner;
		const char *text;
	} rows[] = {
		{ PMR_OWNER_FILE, "of files without a name lost" },
		{ PMR_OWNER_METADATA, "of metadata lost" },
		{ PMR_OWNER_LOG, "of a log lost" },
		{ PMR_OWNER_NAMESPACE, "of a namespace's own lost" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		write_part(out, &separator, rows[i].text, owned_bytes(report->scan, rows[i].owner));
	if (report->scan->metadata_lost) {
		fprintf(out, "%smetadata of a namespace lost", separator);
		separator = ", ";
	}
	write_part(out, &separator, "zeroed", zeroed);
}

void report_write_outcome(const struct report *report, FILE *out)
{
	struct report_totals totals;
	const char *separator = ": ";

	if (!report->scan)
		return;
	report_totals(report->scan, &totals);
	if (totals.files == 0) {
		fprintf(out, "No file is known to have lost data (");
		text_print_count(out, report->scan->files_seen, "file");
		fputs(" looked at", out);
		write_devices(report, out);
		fputc(')', out);
		separator = "; ";
	} else {
		text_print_count(out, totals.files, "file");
		fputs(" affected", out);
		write_devices(report, out);
		write_part(out, &separator, "lost", totals.lost);
		write_part(out, &separator, "only in the page cache", totals.cached);
		write_part(out, &separator, "repaired", totals.repaired);
		write_part(out, &separator, "unknown", totals.unknown);
	}
	write_rest(report, totals.zeroed + report_zeroed_bytes(report), separator, out);
	if (report->failed)
		fputs("; the work was not done, see the messages", out);
	else if (report->exit_status & STATUS_UNKNOWN)
		fputs("; this is not the whole answer, see the messages", out);
	fputc('\n', out);
	if (report->plan && report->plan->freezes) {
		fputs("The filesystem stood still ", out);
		text_print_count(out, report->plan->freezes, "time");
		fprintf(out, ", at most %llu ms.\n",
			(unsigned long long)(report->plan->longest_freeze / 1000000 + 1));
	}
	if (report->plan && report->plan->journal) {
		fputs("Journal: ", out);
		text_print_safe(out, report->plan->journal);
		fputc('\n', out);
	}
}

/* ---- the plan of a repair */

/* Of how many writes each, where they are of two kinds. */
static void write_methods(const struct pmr_file_plan *plan, FILE *out)
{
	size_t device = 0, follow = 0;

	for (size_t i = 0; i < plan->n_steps; i++) {
		device += plan->steps[i].method == PMR_METHOD_DEVICE;
		follow += plan->steps[i].follows;
	}
	fputs(", method ", out);
	if (device < plan->n_steps)
		fputs(pmr_method_name(plan->method), out);
	if (device && device < plan->n_steps)
		fprintf(out, ", %zu of them ", device);
	if (device)
		fputs(pmr_method_name(PMR_METHOD_DEVICE), out);
	if (follow)
		fprintf(out, " (%zu through another file that has the same block)", follow);
}

/* Of a resume: nothing is to be written, or nothing may be. */
static void write_stepless(const struct pmr_file *file, FILE *out)
{
	for (size_t i = 0; i < file->n_losses; i++) {
		const struct pmr_loss *loss = &file->losses[i];

		if (loss->state == PMR_REPAIRED || loss->state == PMR_ZEROED ||
		    loss->state == PMR_UNWRITTEN || loss->state == PMR_PAST_EOF)
			continue;
		fprintf(out, ": left alone (%s%s%s)\n", pmr_state_name(loss->state),
			loss->reason ? ": " : "", loss->reason ? loss->reason : "");
		return;
	}
	fputs(": nothing is left to be written\n", out);
}

static void write_file_plan(const struct pmr_file_plan *plan, FILE *out)
{
	uint64_t bytes = 0, vanished = 0;

	fputs("  ", out);
	text_print_safe(out, plan->file->path);
	if (plan->refused) {
		fprintf(out, ": left alone (%s)\n", plan->refused);
		return;
	}
	if (!plan->n_steps) {
		write_stepless(plan->file, out);
		return;
	}
	for (size_t i = 0; i < plan->n_steps; i++)
		bytes += plan->steps[i].length;
	for (size_t i = 0; i < plan->file->n_losses; i++)
		if (plan->file->losses[i].vanished && plan->file->losses[i].state == PMR_LOST)
			vanished += plan->file->losses[i].length;
	fputs(" <- ", out);
	text_print_safe(out, plan->backup ? plan->backup : "zeros");
	fputs(": ", out);
	text_print_size(out, bytes);
	fputs(" in ", out);
	text_print_count(out, plan->n_steps, "write");
	if (vanished) {
		fputs(" (", out);
		text_print_size(out, vanished);
		fputs(" is in no list any more)", out);
	}
	write_methods(plan, out);
	if (plan->in_use)
		fputs(", in use", out);
	if (plan->method == PMR_METHOD_PUNCH)
		fputs(": moves its blocks, may fragment it, and leaves the poison in free space",
		      out);
	fputc('\n', out);
}

void report_write_plan(const struct pmr_plan *plan, FILE *out)
{
	fputs("Plan: write ", out);
	if (plan->n_steps) {
		text_print_size(out, plan->bytes);
		fputs(", of which ", out);
		text_print_size(out, plan->lost_bytes);
		fputs(" replace what is lost:\n", out);
	} else {
		fputs("nothing:\n", out);
	}
	for (size_t i = 0; i < plan->n_files; i++)
		write_file_plan(&plan->files[i], out);
	fflush(out);
}

/* ---- quiet */

static void write_file_line(const struct pmr_file *file, FILE *out)
{
	const char *separator = ": ";
	struct report_totals totals;
	struct pmr_scan one = { .files = (struct pmr_file *[]){ (struct pmr_file *)file },
				.n_files = 1 };

	report_totals(&one, &totals);
	if (totals.files == 0)
		return;
	fputs("pmem-recover: ", out);
	text_print_safe(out, file->path);
	write_part(out, &separator, "lost", totals.lost);
	write_part(out, &separator, "only in the page cache", totals.cached);
	write_part(out, &separator, "repaired", totals.repaired);
	write_part(out, &separator, "zeroed", totals.zeroed);
	write_part(out, &separator, "unknown", totals.unknown);
	fputc('\n', out);
}

void report_write_quiet(const struct report *report, FILE *out)
{
	if (report->exit_status == STATUS_OK)
		return;
	for (size_t i = 0; report->scan && i < report->scan->n_files; i++)
		write_file_line(report->scan->files[i], out);
	for (size_t i = 0; i < report->n_devices; i++) {
		const struct pmr_device *device = report->devices[i];

		if (report_is_told(device) && !report_has_poison(device))
			continue;
		fputs("pmem-recover: ", out);
		report_write_health_line(device, out);
	}
	if (report_has_regions(report))
		report_write_quiet_regions(report->topology, out);
	report_write_vanished(report->memory, "pmem-recover: ", out);
	if (report->verb == VERB_SCAN || report->verb == VERB_SALVAGE ||
	    report->verb == VERB_HEALTH)
		report_write_zeroed(report->zeroes, "pmem-recover: ", out);
	fflush(out);
}
