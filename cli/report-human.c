// SPDX-License-Identifier: GPL-2.0-or-later
/* Writes a report for people: one table a subject, and a closing sentence. */
#include <inttypes.h>
#include <string.h>

#include "report-human.h"
#include "table.h"
#include "text.h"

#define N_COLUMNS(columns) (sizeof(columns) / sizeof((columns)[0]))

static void print_text(FILE *out, const char *text)
{
	text_print_safe(out, text ? text : "-");
}

void report_print_position(FILE *out, uint64_t bytes)
{
	fprintf(out, "%" PRIu64, bytes);
	if (bytes >= 1024) {
		fputs(" (", out);
		text_print_size(out, bytes);
		fputc(')', out);
	}
}

static void print_known_size(FILE *out, uint64_t bytes)
{
	if (bytes)
		text_print_size(out, bytes);
	else
		fputs("unknown", out);
}

static void print_address(FILE *out, uint64_t address)
{
	if (address == PMR_NO_ADDRESS)
		fputc('-', out);
	else
		fprintf(out, "0x%" PRIx64, address);
}

/* What stands for the table where it has no rows. */
static void write_no_devices(const struct report *report, FILE *out)
{
	if (report->n_devices || report->failed)
		return;
	if (!report->topology || !report->topology->n_regions) {
		fputs("No persistent memory.\n", out);
		return;
	}
	fputs("No namespace on ", out);
	text_print_count(out, report->topology->n_regions, "region");
	fputs(" of persistent memory.\n", out);
}

/* ---- list */

struct device_row {
	const struct pmr_device *device;
	const struct pmr_filesystem *filesystem;
};

static void cell_device(FILE *out, const void *row)
{
	const struct device_row *r = row;
	const char *source = r->filesystem ? r->filesystem->source : NULL;

	print_text(out, source ? source : report_device_label(r->device));
}

static void print_lowers(FILE *out, const struct pmr_device *device)
{
	for (size_t i = 0; i < device->n_lowers; i++) {
		fputs(i ? ", " : "over ", out);
		text_print_safe(out, device->lowers[i]->name);
	}
}

static void cell_namespace(FILE *out, const void *row)
{
	const struct pmr_device *device = ((const struct device_row *)row)->device;

	if (device->n_lowers)
		print_lowers(out, device);
	else
		print_text(out, device->ns_name);
	if (device->ns_name && !device->enabled)
		fputs(" (disabled)", out);
}

static void cell_mode(FILE *out, const void *row)
{
	print_text(out, pmr_mode_name(((const struct device_row *)row)->device->mode));
}

static void cell_size(FILE *out, const void *row)
{
	const struct pmr_device *device = ((const struct device_row *)row)->device;

	print_known_size(out, device->size ? device->size : device->ns_size);
}

static void cell_badblocks(FILE *out, const void *row)
{
	const struct pmr_device *device = ((const struct device_row *)row)->device;

	report_print_list(out, &device->badblocks, false);
	report_print_metadata_list(
		out, device, device->mode == PMR_MODE_SECTOR ? "in its BTT" : "in its metadata",
		false);
	report_print_reading(out, device);
}

static void cell_type(FILE *out, const void *row)
{
	const struct pmr_filesystem *filesystem = ((const struct device_row *)row)->filesystem;

	print_text(out, filesystem ? filesystem->type : NULL);
}

static void cell_dax(FILE *out, const void *row)
{
	static const char *const words[] = {
		[PMR_DAX_UNKNOWN] = "-",
		[PMR_DAX_NO] = "never",
		[PMR_DAX_YES] = "always",
		[PMR_DAX_INODE] = "inode",
	};
	const struct pmr_filesystem *filesystem = ((const struct device_row *)row)->filesystem;

	fputs(words[filesystem ? filesystem->dax : PMR_DAX_UNKNOWN], out);
}

static void cell_mountpoint(FILE *out, const void *row)
{
	const struct pmr_filesystem *filesystem = ((const struct device_row *)row)->filesystem;

	print_text(out, filesystem ? filesystem->mountpoint : NULL);
}

static void cell_region(FILE *out, const void *row)
{
	const struct pmr_region *region = ((const struct device_row *)row)->device->region;

	print_text(out, region ? region->name : NULL);
}

static void cell_bus(FILE *out, const void *row)
{
	const struct pmr_region *region = ((const struct device_row *)row)->device->region;

	print_text(out, region && region->bus ? region->bus->provider : NULL);
}

static const struct column device_columns[] = {
	{ "DEVICE", 0, 0, cell_device },
	{ "NAMESPACE", 0, 0, cell_namespace },
	{ "MODE", 0, 0, cell_mode },
	{ "SIZE", 0, SCOLS_FL_RIGHT, cell_size },
	{ "BADBLOCKS", 0, 0, cell_badblocks },
	{ "FSTYPE", 0, 0, cell_type },
	{ "DAX", 0, 0, cell_dax },
	{ "MOUNTPOINT", 0, 0, cell_mountpoint },
	{ "REGION", 0, 0, cell_region },
	{ "BUS", 0, 0, cell_bus },
};

static int add_device(struct libscols_table *table, const struct pmr_topology *topology,
		      const struct pmr_device *device)
{
	struct device_row row = { .device = device };
	int rc = 0;

	for (size_t i = 0; i < topology->n_filesystems && !rc; i++) {
		const struct pmr_filesystem *filesystem = topology->filesystems[i];

		if (filesystem->device != device || (!filesystem->type && !filesystem->mountpoint))
			continue;
		row.filesystem = filesystem;
		rc = table_add(table, device_columns, N_COLUMNS(device_columns), &row);
	}
	if (!rc && !row.filesystem)
		rc = table_add(table, device_columns, N_COLUMNS(device_columns), &row);
	return rc;
}

static void write_recovery(const struct pmr_recovery *recovery, FILE *out)
{
	char text[128];

	if (!recovery)
		return;
	report_describe_recovery(recovery, text, sizeof(text));
	fprintf(out, "This kernel: %s\n", text);
}

static int write_list(const struct report *report, FILE *out)
{
	struct libscols_table *table = NULL;
	int rc;

	rc = table_new(device_columns, N_COLUMNS(device_columns), out, &table);
	for (size_t i = 0; i < report->n_devices && !rc; i++)
		rc = add_device(table, report->topology, report->devices[i]);
	if (!rc)
		rc = table_print(table);
	table_free(table);
	if (rc)
		return rc;
	write_no_devices(report, out);
	if (report_has_regions(report))
		rc = report_write_regions(report->topology, out);
	if (rc)
		return rc;
	if (report->n_devices)
		write_recovery(report->recovery, out);
	if (report->exit_status & STATUS_UNKNOWN)
		fputs("This is not the whole answer, see the messages.\n", out);
	return 0;
}

/* ---- scan and repair */

struct loss_row {
	const struct pmr_file *file;
	const struct pmr_loss *loss;
};

static void cell_path(FILE *out, const void *row)
{
	const struct pmr_file *file = ((const struct loss_row *)row)->file;

	print_text(out, file->path);
	if (file->n_links) {
		fputs(" (and ", out);
		text_print_count(out, file->n_links, "further name");
		fputc(')', out);
	}
}

static void cell_offset(FILE *out, const void *row)
{
	const struct pmr_loss *loss = ((const struct loss_row *)row)->loss;

	if (loss)
		report_print_position(out, loss->offset);
	else
		fputc('-', out);
}

static void cell_length(FILE *out, const void *row)
{
	const struct pmr_loss *loss = ((const struct loss_row *)row)->loss;

	if (loss)
		text_print_size(out, loss->length);
	else
		fputc('-', out);
}

static void cell_state(FILE *out, const void *row)
{
	const struct loss_row *r = row;

	if (!r->loss) {
		fprintf(out, "unknown: %s",
			r->file->error ? strerror(-r->file->error) : "not seen in full");
		return;
	}
	fputs(pmr_state_name(r->loss->state), out);
	if (r->loss->reason)
		fprintf(out, ": %s", r->loss->reason);
	if (r->loss->vanished)
		fputs(" (vanished)", out);
	if (r->loss->shared)
		fputs(" (shared)", out);
}

static void cell_loss_device(FILE *out, const void *row)
{
	const struct pmr_file *file = ((const struct loss_row *)row)->file;

	print_text(out, file->filesystem ? report_device_label(file->filesystem->device) : NULL);
}

static const struct column loss_columns[] = {
	{ "PATH", 0, 0, cell_path },
	{ "OFFSET", 0, SCOLS_FL_RIGHT, cell_offset },
	{ "LENGTH", 0, SCOLS_FL_RIGHT, cell_length },
	{ "STATE", 0, 0, cell_state },
	{ "DEVICE", 0, 0, cell_loss_device },
};

static int add_file(struct libscols_table *table, const struct pmr_file *file)
{
	struct loss_row row = { .file = file };
	int rc = 0;

	for (size_t i = 0; i < file->n_losses && !rc; i++) {
		row.loss = &file->losses[i];
		rc = table_add(table, loss_columns, N_COLUMNS(loss_columns), &row);
	}
	row.loss = NULL;
	if (!rc && !file->complete)
		rc = table_add(table, loss_columns, N_COLUMNS(loss_columns), &row);
	return rc;
}

int report_write_losses(const struct pmr_scan *scan, FILE *out)
{
	struct libscols_table *table = NULL;
	int rc;

	rc = table_new(loss_columns, N_COLUMNS(loss_columns), out, &table);
	for (size_t i = 0; i < scan->n_files && !rc; i++)
		rc = add_file(table, scan->files[i]);
	if (!rc)
		rc = table_print(table);
	table_free(table);
	return rc;
}

static int write_scan(const struct report *report, FILE *out)
{
	int rc;

	if (!report->scan)
		return 0;
	/* where there was nothing to look at, nothing looked at is no answer */
	if (report->verb == VERB_SCAN && report->scan->complete && !report->n_devices &&
	    !report->topology->n_devices && !report->topology->n_regions) {
		write_no_devices(report, out);
		report_write_zeroed(report->zeroes, "", out);
		return 0;
	}
	rc = report_write_losses(report->scan, out);
	if (!rc)
		rc = report_write_owners(report, out);
	if (!rc && report->verb == VERB_SCAN)
		report_write_ways(report, out);
	if (!rc)
		report_write_readings(report, out);
	if (!rc && report->verb == VERB_SCAN)
		report_write_zeroed(report->zeroes, "", out);
	if (!rc)
		report_write_outcome(report, out);
	return rc;
}

/* ---- map */

struct mapping_row {
	const struct pmr_map *map;
	const struct pmr_mapping *mapping;
};

static void cell_map_offset(FILE *out, const void *row)
{
	report_print_position(out, ((const struct mapping_row *)row)->mapping->offset);
}

static void cell_map_length(FILE *out, const void *row)
{
	text_print_size(out, ((const struct mapping_row *)row)->mapping->length);
}

static void cell_map_kind(FILE *out, const void *row)
{
	static const char *const kinds[] = {
		[PMR_EXTENT_DATA] = "data",
		[PMR_EXTENT_HOLE] = "hole",
		[PMR_EXTENT_UNWRITTEN] = "unwritten",
		[PMR_EXTENT_UNTRUSTED] = "untrusted",
	};
	const struct pmr_mapping *mapping = ((const struct mapping_row *)row)->mapping;

	fprintf(out, "%s%s", kinds[mapping->kind], mapping->shared ? ", shared" : "");
}

static void cell_map_device(FILE *out, const void *row)
{
	print_address(out, ((const struct mapping_row *)row)->mapping->device_offset);
}

/* Of a mapped device, what is below and the offset there. */
static void cell_map_below(FILE *out, const void *row)
{
	const struct mapping_row *r = row;
	const struct pmr_device *device = r->map->filesystem->device;
	uint64_t length = r->mapping->length, offset;
	struct pmr_device *lower;

	if (!device->n_lowers || r->mapping->device_offset == PMR_NO_ADDRESS ||
	    !pmr_device_below(device, r->mapping->device_offset, &length, &lower, &offset)) {
		fputc('-', out);
		return;
	}
	text_print_safe(out, lower->name);
	fprintf(out, "+0x%" PRIx64, offset);
}

static void cell_map_region(FILE *out, const void *row)
{
	print_address(out, ((const struct mapping_row *)row)->mapping->region_offset);
}

static void cell_map_address(FILE *out, const void *row)
{
	print_address(out, ((const struct mapping_row *)row)->mapping->address);
}

static void cell_map_bad(FILE *out, const void *row)
{
	const struct mapping_row *r = row;

	if (r->map->filesystem->device->badblocks.trust == PMR_LIST_UNKNOWN ||
	    r->mapping->kind == PMR_EXTENT_UNTRUSTED)
		fputs("unknown", out);
	else
		text_print_size(out, r->mapping->bad_bytes);
}

static const struct column mapping_columns[] = {
	{ "OFFSET", 0, SCOLS_FL_RIGHT, cell_map_offset },
	{ "LENGTH", 0, SCOLS_FL_RIGHT, cell_map_length },
	{ "KIND", 0, 0, cell_map_kind },
	{ "DEVICE-OFFSET", 0, SCOLS_FL_RIGHT, cell_map_device },
	{ "REGION-OFFSET", 0, SCOLS_FL_RIGHT, cell_map_region },
	{ "ADDRESS", 0, SCOLS_FL_RIGHT, cell_map_address },
	{ "BAD", 0, SCOLS_FL_RIGHT, cell_map_bad },
	{ "BELOW", 0, 0, cell_map_below },
};

static int write_map(const struct report *report, FILE *out)
{
	const struct pmr_map *map = report->map;
	struct libscols_table *table = NULL;
	const struct pmr_device *device;
	size_t n_columns;
	int rc;

	if (!map)
		return 0;
	device = map->filesystem->device;
	/* the last one is of mapped devices */
	n_columns = N_COLUMNS(mapping_columns) - !device->n_lowers;
	text_print_safe(out, report->map_path);
	fprintf(out, ": inode %" PRIu64 ", ", map->inode);
	text_print_size(out, map->size);
	fputs(" on ", out);
	text_print_safe(out, report_device_label(device));
	if (device->ns_name)
		fprintf(out, " (%s%s%s)", device->ns_name, device->region ? ", " : "",
			device->region ? device->region->name : "");
	fputc('\n', out);
	rc = table_new(mapping_columns, n_columns, out, &table);
	for (size_t i = 0; i < map->n_mappings && !rc; i++) {
		const struct mapping_row row = { map, &map->mappings[i] };

		rc = table_add(table, mapping_columns, n_columns, &row);
	}
	if (!rc)
		rc = table_print(table);
	table_free(table);
	return rc;
}

/* ---- health */

static int write_health(const struct report *report, FILE *out)
{
	for (size_t i = 0; i < report->n_devices; i++)
		report_write_health_line(report->devices[i], out);
	if (report_has_regions(report))
		report_write_health_regions(report->topology, out);
	report_write_vanished(report->memory, "", out);
	report_write_zeroed(report->zeroes, "", out);
	write_no_devices(report, out);
	return 0;
}

int report_write_human(const struct report *report, FILE *out)
{
	static int (*const writers[])(const struct report *report, FILE *out) = {
		[VERB_LIST] = write_list,
		[VERB_SCAN] = write_scan,
		[VERB_MAP] = write_map,
		[VERB_LOCATE] = report_write_locate,
		[VERB_REPAIR] = write_scan,
		[VERB_HEALTH] = write_health,
		[VERB_SALVAGE] = report_write_salvage,
		[VERB_JOURNAL] = report_write_journals,
	};

	return writers[report->verb](report, out);
}
