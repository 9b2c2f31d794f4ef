// SPDX-License-Identifier: GPL-2.0-or-later
/* Whose bytes of a device are: the part of the report that locate makes, for programs and for people. */
#include <inttypes.h>

#include "report-human.h"
#include "report-json.h"
#include "table.h"
#include "text.h"

#define N_COLUMNS(columns) (sizeof(columns) / sizeof((columns)[0]))

/* What a place's offset counts from. */
static const char *const base_names[] = {
	[PMR_BASE_DEVICE] = "device",
	[PMR_BASE_NAMESPACE] = "namespace",
	[PMR_BASE_REGION] = "region",
};

/* ---- JSON */

static struct json_object *new_filesystem(struct json *json,
					  const struct pmr_filesystem *filesystem)
{
	struct json_object *object = json_new_object(json);

	json_put_text(json, object, "type", filesystem->type);
	json_put_text(json, object, "uuid", filesystem->uuid);
	json_put_path(json, object, "mountpoint", filesystem->mountpoint);
	return object;
}

static void put_file(struct json *json, struct json_object *object, const struct pmr_place *place)
{
	bool is_files = place->owner == PMR_OWNER_FILE;

	if (is_files)
		json_put_text(json, object, "kind",
			      place->kind == PMR_EXTENT_UNWRITTEN ? "unwritten" : "data");
	else
		json_put_null(json, object, "kind");
	json_put_path(json, object, "path", place->file ? place->file->path : place->path);
	json_put(json, object, "links",
		 place->file ? report_json_new_links(json, place->file) : json_new_array(json));
	json_put_known(json, object, "inode", place->inode, 0);
	json_put_known(json, object, "file_offset", place->file_offset, PMR_NO_ADDRESS);
	json_put_bool(json, object, "past_eof", place->past_eof);
	json_put_bool(json, object, "shared", place->shared);
}

/* Places of a mapped device may be in several. */
static const struct pmr_region *region_of(const struct pmr_location *location,
					  const struct pmr_place *place)
{
	uint64_t length = place->length, below;
	struct pmr_device *lower;

	if (location->region || !place->device || place->base != PMR_BASE_DEVICE ||
	    !pmr_device_below(place->device, place->offset, &length, &lower, &below))
		return location->region;
	return lower->region;
}

static struct json_object *new_place(struct json *json, const struct pmr_location *location,
				     const struct pmr_place *place)
{
	const struct pmr_device *device = place->device;
	const struct pmr_region *region = region_of(location, place);
	struct json_object *object = json_new_object(json);

	json_put_text(json, object, "device", device ? device->name : NULL);
	json_put_text(json, object, "namespace", device ? device->ns_name : NULL);
	json_put_text(json, object, "region", region ? region->name : NULL);
	json_put_text(json, object, "base", base_names[place->base]);
	json_put_number(json, object, "offset", place->offset);
	json_put_number(json, object, "length", place->length);
	report_json_put_lower(json, object, device, place->offset, place->length);
	json_put_known(json, object, "region_offset", place->region_offset, PMR_NO_ADDRESS);
	json_put_known(json, object, "address", place->address, PMR_NO_ADDRESS);
	if (place->filesystem)
		json_put(json, object, "filesystem", new_filesystem(json, place->filesystem));
	else
		json_put_null(json, object, "filesystem");
	json_put_text(json, object, "owner", pmr_owner_name(place->owner));
	json_put_text(json, object, "part", pmr_part_name(place->part));
	put_file(json, object, place);
	json_put_known(json, object, "bad_bytes", place->bad_bytes, PMR_NO_ADDRESS);
	return object;
}

void report_json_put_places(struct json *json, struct json_object *document,
			    const struct pmr_location *location)
{
	struct json_object *places = json_new_array(json);

	for (size_t i = 0; location && i < location->n_places; i++)
		json_append(json, places, new_place(json, location, &location->places[i]));
	json_put(json, document, "places", places);
}

/* ---- for people */

struct place_row {
	const struct pmr_location *location;
	const struct pmr_place *place;
};

static const struct pmr_place *place_of(const void *row)
{
	return ((const struct place_row *)row)->place;
}

/* What the offset beside it counts from. */
static void cell_base(FILE *out, const void *row)
{
	const struct place_row *r = row;
	const struct pmr_device *device = r->place->device;

	if (!device)
		text_print_safe(out, r->location->region->name);
	else if (r->place->base == PMR_BASE_NAMESPACE)
		text_print_safe(out, device->ns_name);
	else
		text_print_safe(out, report_device_label(device));
}

static void print_address(FILE *out, uint64_t address)
{
	if (address == PMR_NO_ADDRESS)
		fputc('-', out);
	else
		fprintf(out, "0x%" PRIx64, address);
}

static void cell_offset(FILE *out, const void *row)
{
	print_address(out, place_of(row)->offset);
}

static void cell_length(FILE *out, const void *row)
{
	text_print_size(out, place_of(row)->length);
}

static void cell_address(FILE *out, const void *row)
{
	print_address(out, place_of(row)->address);
}

static void cell_owner(FILE *out, const void *row)
{
	const struct pmr_place *place = place_of(row);

	if (place->owner == PMR_OWNER_NOT_ASKED)
		fputs(place->device ? "no filesystem" : "no namespace", out);
	else if (place->owner == PMR_OWNER_NAMESPACE && place->base == PMR_BASE_DEVICE)
		fputs("outside the partitions", out);
	else if (place->owner == PMR_OWNER_NAMESPACE)
		fputs("namespace metadata", out);
	else
		fputs(pmr_owner_name(place->owner), out);
	/* the inode stands in a column of its own */
	report_print_part(out, place->part, 0, NULL);
	if (place->kind == PMR_EXTENT_UNWRITTEN)
		fputs(", unwritten", out);
	if (place->past_eof)
		fputs(", past its end", out);
	if (place->shared)
		fputs(", shared", out);
}

static void cell_path(FILE *out, const void *row)
{
	const struct pmr_place *place = place_of(row);

	if (place->path)
		text_print_safe(out, place->path);
	else if (!place->file && place->inode)
		fprintf(out, "inode %" PRIu64, place->inode);
	else
		text_print_safe(out, place->file ? place->file->path : "-");
	if (place->file && place->file->n_links) {
		fputs(" (and ", out);
		text_print_count(out, place->file->n_links, "further name");
		fputc(')', out);
	}
}

static void cell_file_offset(FILE *out, const void *row)
{
	uint64_t offset = place_of(row)->file_offset;

	if (offset == PMR_NO_ADDRESS) {
		fputc('-', out);
		return;
	}
	fprintf(out, "%" PRIu64, offset);
	if (offset >= 1024) {
		fputs(" (", out);
		text_print_size(out, offset);
		fputc(')', out);
	}
}

static void cell_bad(FILE *out, const void *row)
{
	uint64_t bytes = place_of(row)->bad_bytes;

	if (bytes == PMR_NO_ADDRESS)
		fputs("unknown", out);
	else
		text_print_size(out, bytes);
}

static const struct column place_columns[] = {
	{ "DEVICE", 0, 0, cell_base },
	{ "DEVICE-OFFSET", 0, SCOLS_FL_RIGHT, cell_offset },
	{ "LENGTH", 0, SCOLS_FL_RIGHT, cell_length },
	{ "ADDRESS", 0, SCOLS_FL_RIGHT, cell_address },
	{ "OWNER", 0, 0, cell_owner },
	{ "PATH", 0, 0, cell_path },
	{ "OFFSET", 0, SCOLS_FL_RIGHT, cell_file_offset },
	{ "BAD", 0, SCOLS_FL_RIGHT, cell_bad },
};

int report_write_locate(const struct report *report, FILE *out)
{
	const struct pmr_location *location = report->location;
	struct libscols_table *table = NULL;
	int rc;

	if (!location)
		return 0;
	rc = table_new(place_columns, N_COLUMNS(place_columns), out, &table);
	for (size_t i = 0; i < location->n_places && !rc; i++) {
		const struct place_row row = { location, &location->places[i] };

		rc = table_add(table, place_columns, N_COLUMNS(place_columns), &row);
	}
	if (!rc)
		rc = table_print(table);
	table_free(table);
	if (!rc)
		report_write_ways(report, out);
	if (!rc && !location->complete)
		fputs("This is not the whole answer, see the messages.\n", out);
	return rc;
}
