// SPDX-License-Identifier: GPL-2.0-or-later
/* What became of a copy: the part of the report that salvage makes, for programs and for people. */
#include "report-human.h"
#include "report-json.h"
#include "text.h"

/* ---- JSON */

void report_json_put_salvage(struct json *json, struct json_object *document,
			     const struct report *report)
{
	const struct pmr_salvage_options *options = &report->salvage_options;
	const struct pmr_salvage *salvage = report->salvage;
	struct json_object *object = json_new_object(json);

	json_put_path(json, object, "path", report->map_path);
	json_put_path(json, object, "output", options->output);
	json_put_path(json, object, "mapfile", options->mapfile);
	/* without a result nothing was written, and nothing is known */
	json_put_known(json, object, "size", salvage ? salvage->size : UINT64_MAX, UINT64_MAX);
	json_put_known(json, object, "rescued_bytes", salvage ? salvage->rescued : UINT64_MAX,
		       UINT64_MAX);
	json_put_known(json, object, "lost_bytes", salvage ? salvage->lost : UINT64_MAX,
		       UINT64_MAX);
	json_put_known(json, object, "remaining_bytes", salvage ? salvage->remaining : UINT64_MAX,
		       UINT64_MAX);
	json_put_bool(json, object, "resumed", salvage && salvage->resumed);
	json_put_known(json, object, "fill",
		       options->fill < 0 ? UINT64_MAX : (uint64_t)options->fill, UINT64_MAX);
	json_put(json, document, "salvage", object);
}

/* ---- for people */

static void write_lost(const struct report *report, FILE *out)
{
	const struct pmr_salvage *salvage = report->salvage;

	if (salvage->lost) {
		fputs(", ", out);
		text_print_size(out, salvage->lost);
		if (report->salvage_options.fill < 0)
			fputs(" lost (holes in the copy)", out);
		else
			fprintf(out, " lost (0x%02x in the copy)", report->salvage_options.fill);
	}
	if (salvage->remaining) {
		fputs(", ", out);
		text_print_size(out, salvage->remaining);
		fputs(" not tried, or in doubt", out);
	}
}

void report_write_salvaged(const struct report *report, FILE *out)
{
	const struct pmr_salvage_options *options = &report->salvage_options;
	const struct pmr_salvage *salvage = report->salvage;

	if (!salvage)
		return;
	text_print_safe(out, report->map_path);
	fputs(" -> ", out);
	text_print_safe(out, options->output);
	fputs(": ", out);
	text_print_size(out, salvage->rescued);
	fputs(" rescued", out);
	if (salvage->resumed)
		fputs(", earlier runs included", out);
	write_lost(report, out);
	if (report_zeroed_bytes(report)) {
		fputs(", ", out);
		text_print_size(out, report_zeroed_bytes(report));
		fputs(" zeroed by a repair", out);
	} else if (report->exit_status == STATUS_OK) {
		fputs(", nothing lost", out);
	}
	if (report->exit_status & STATUS_UNKNOWN)
		fputs("; this is not the whole answer, see the messages", out);
	fputc('\n', out);
	if (!options->mapfile)
		return;
	fputs("Mapfile: ", out);
	text_print_safe(out, options->mapfile);
	fputc('\n', out);
}

int report_write_salvage(const struct report *report, FILE *out)
{
	int rc = 0;

	if (report->scan)
		rc = report_write_losses(report->scan, out);
	if (rc)
		return rc;
	report_write_zeroed(report->zeroes, "", out);
	report_write_salvaged(report, out);
	return 0;
}
