// SPDX-License-Identifier: GPL-2.0-or-later
/* Regions and DIMMs, which lie below namespaces, for people. */
#include <inttypes.h>

#include "report-human.h"
#include "table.h"
#include "text.h"

#define N_COLUMNS(columns) (sizeof(columns) / sizeof((columns)[0]))

/* ---- tables */

static void print_text(FILE *out, const char *text)
{
	text_print_safe(out, text ? text : "-");
}

static const struct pmr_region *region_of(const void *row)
{
	return row;
}

static void cell_region(FILE *out, const void *row)
{
	print_text(out, region_of(row)->name);
}

static void cell_region_size(FILE *out, const void *row)
{
	text_print_size(out, region_of(row)->size);
}

static void cell_address(FILE *out, const void *row)
{
	if (region_of(row)->resource == PMR_NO_ADDRESS)
		fputs("unknown", out);
	else
		fprintf(out, "0x%" PRIx64, region_of(row)->resource);
}

static void cell_access(FILE *out, const void *row)
{
	fputs(region_of(row)->read_only ? "ro" : "rw", out);
}

static void cell_persistence(FILE *out, const void *row)
{
	fputs(region_of(row)->persistence ? region_of(row)->persistence : "unknown", out);
}

static void cell_dimms(FILE *out, const void *row)
{
	const struct pmr_region *region = region_of(row);

	if (!region->n_mappings)
		fputs("-", out);
	for (size_t i = 0; i < region->n_dimms; i++) {
		if (i)
			fputc(' ', out);
		print_text(out, region->dimms[i]->name);
	}
	if (region->n_dimms < region->n_mappings)
		fprintf(out, "%sunknown", region->n_dimms ? " " : "");
}

static void cell_region_badblocks(FILE *out, const void *row)
{
	report_print_list(out, &region_of(row)->badblocks, false);
}

static void cell_scrubs(FILE *out, const void *row)
{
	const struct pmr_bus *bus = region_of(row)->bus;

	if (bus->scrubs == PMR_NO_COUNT)
		fputs("unknown", out);
	else
		fprintf(out, "%" PRIu64 "%s", bus->scrubs, bus->is_scrubbing ? ", running" : "");
}

static const struct column region_columns[] = {
	{ "REGION", 0, 0, cell_region },
	{ "SIZE", 0, SCOLS_FL_RIGHT, cell_region_size },
	{ "ADDRESS", 0, SCOLS_FL_RIGHT, cell_address },
	{ "ACCESS", 0, 0, cell_access },
	{ "PERSISTENCE", 0, 0, cell_persistence },
	{ "DIMMS", 0, 0, cell_dimms },
	{ "BADBLOCKS", 0, 0, cell_region_badblocks },
	{ "SCRUBS", 0, 0, cell_scrubs },
};

static const struct pmr_dimm *dimm_of(const void *row)
{
	return row;
}

static void cell_dimm(FILE *out, const void *row)
{
	print_text(out, dimm_of(row)->name);
}

static void cell_handle(FILE *out, const void *row)
{
	if (dimm_of(row)->handle == PMR_NO_HANDLE)
		fputs("unknown", out);
	else
		fprintf(out, "0x%" PRIx32, dimm_of(row)->handle);
}

static void cell_id(FILE *out, const void *row)
{
	print_text(out, dimm_of(row)->id);
}

static void cell_state(FILE *out, const void *row)
{
	fputs(dimm_of(row)->enabled ? "enabled" : "disabled", out);
}

static void cell_security(FILE *out, const void *row)
{
	const char *name = pmr_security_name(dimm_of(row)->security);

	fprintf(out, "%s%s", name ? name : "unknown",
		dimm_of(row)->is_frozen && dimm_of(row)->security != PMR_SECURITY_FROZEN
			? ", frozen"
			: "");
}

static void cell_health(FILE *out, const void *row)
{
	const char *name = pmr_health_name(dimm_of(row)->health);

	fputs(name ? name : "unknown", out);
}

static const struct column dimm_columns[] = {
	{ "DIMM", 0, 0, cell_dimm },
	{ "HANDLE", 0, SCOLS_FL_RIGHT, cell_handle },
	{ "ID", 0, 0, cell_id },
	{ "STATE", 0, 0, cell_state },
	{ "SECURITY", 0, 0, cell_security },
	{ "HEALTH", 0, 0, cell_health },
};

/* Bad bytes of one region that one namespace or none has, and that lie on one DIMM or an unknown one. */
struct bad_row {
	const struct pmr_region *region;
	const struct pmr_region_part *part;
	uint64_t bytes;
};

static const struct bad_row *bad_of(const void *row)
{
	return row;
}

static void cell_bad_region(FILE *out, const void *row)
{
	print_text(out, bad_of(row)->region->name);
}

static void cell_bad_bytes(FILE *out, const void *row)
{
	text_print_size(out, bad_of(row)->bytes);
}

static void cell_bad_namespace(FILE *out, const void *row)
{
	const struct pmr_region_part *part = bad_of(row)->part;

	if (part->device)
		print_text(out, part->device->ns_name);
	else
		fputs(part->owner == PMR_OWNER_FREE ? "none" : "unknown", out);
}

static void cell_bad_part(FILE *out, const void *row)
{
	const struct pmr_region_part *part = bad_of(row)->part;

	if (part->part)
		report_print_part_name(out, part->part);
	else
		fputs(part->owner == PMR_OWNER_NOT_ASKED ? "data" : "unknown", out);
}

static void cell_bad_dimm(FILE *out, const void *row)
{
	const struct pmr_region_part *part = bad_of(row)->part;

	fputs(part->dimm ? part->dimm->name : "unknown", out);
}

static const struct column bad_columns[] = {
	{ "BAD-IN", 0, 0, cell_bad_region },	   { "BYTES", 0, SCOLS_FL_RIGHT, cell_bad_bytes },
	{ "NAMESPACE", 0, 0, cell_bad_namespace }, { "PART", 0, 0, cell_bad_part },
	{ "DIMM", 0, 0, cell_bad_dimm },
};

static bool is_alike(const struct pmr_region_part *a, const struct pmr_region_part *b)
{
	return a->device == b->device && a->owner == b->owner && a->part == b->part &&
	       a->dimm == b->dimm;
}

/* All that is like the @i-th part; 0 where an earlier one has it in its sum. */
static uint64_t sum_alike(const struct pmr_region *region, size_t i)
{
	uint64_t bytes = 0;

	for (size_t j = 0; j < region->n_parts; j++) {
		if (!is_alike(&region->parts[i], &region->parts[j]))
			continue;
		if (j < i)
			return 0;
		bytes += region->parts[j].range.length;
	}
	return bytes;
}

static int add_bad(struct libscols_table *table, const struct pmr_region *region)
{
	int rc = 0;

	for (size_t i = 0; i < region->n_parts && !rc; i++) {
		const struct bad_row row = { region, &region->parts[i], sum_alike(region, i) };

		if (row.bytes)
			rc = table_add(table, bad_columns, N_COLUMNS(bad_columns), &row);
	}
	return rc;
}

/* @add: calls table_add() for what it is to have */
static int
write_table(const struct pmr_topology *topology, const struct column *columns, size_t n_columns,
	    int (*add)(struct libscols_table *table, const struct pmr_topology *topology),
	    FILE *out)
{
	struct libscols_table *table = NULL;
	int rc;

	rc = table_new(columns, n_columns, out, &table);
	if (!rc)
		rc = add(table, topology);
	if (!rc)
		rc = table_print(table);
	table_free(table);
	return rc;
}

static int add_regions(struct libscols_table *table, const struct pmr_topology *topology)
{
	int rc = 0;

	for (size_t i = 0; i < topology->n_regions && !rc; i++)
		rc = table_add(table, region_columns, N_COLUMNS(region_columns),
			       topology->regions[i]);
	return rc;
}

static int add_dimms(struct libscols_table *table, const struct pmr_topology *topology)
{
	int rc = 0;

	for (size_t i = 0; i < topology->n_dimms && !rc; i++)
		rc = table_add(table, dimm_columns, N_COLUMNS(dimm_columns), topology->dimms[i]);
	return rc;
}

static int add_all_bad(struct libscols_table *table, const struct pmr_topology *topology)
{
	int rc = 0;

	for (size_t i = 0; i < topology->n_regions && !rc; i++)
		rc = add_bad(table, topology->regions[i]);
	return rc;
}

int report_write_regions(const struct pmr_topology *topology, FILE *out)
{
	int rc;

	rc = write_table(topology, region_columns, N_COLUMNS(region_columns), add_regions, out);
	if (!rc)
		rc = write_table(topology, bad_columns, N_COLUMNS(bad_columns), add_all_bad, out);
	if (!rc)
		rc = write_table(topology, dimm_columns, N_COLUMNS(dimm_columns), add_dimms, out);
	return rc;
}

/* ---- lines of health */

static void begin_line(const char *ahead, const char *name, FILE *out)
{
	fputs(ahead, out);
	text_print_safe(out, name);
	fputs(": ", out);
}

static void write_region_poison(const struct pmr_region *region, const char *ahead, FILE *out)
{
	uint64_t bytes = report_unallocated_bytes(region);

	if (!pmr_region_is_told(region)) {
		begin_line(ahead, region->name, out);
		fputs("badblocks outside of its namespaces unknown\n", out);
	}
	if (bytes) {
		begin_line(ahead, region->name, out);
		text_print_size(out, bytes);
		fputs(" of badblocks in no namespace\n", out);
	}
}

/* Whether one DIMM is known to have bad bytes of a region. */
static void write_bad_dimm(const struct pmr_region *region, const struct pmr_dimm *dimm, FILE *out)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < region->n_parts; i++) {
		if (region->parts[i].dimm == dimm)
			bytes += region->parts[i].range.length;
	}
	if (!bytes)
		return;
	begin_line("", region->name, out);
	text_print_size(out, bytes);
	fprintf(out, " of badblocks on %s\n", dimm->name);
}

static void write_dimm_line(const struct pmr_dimm *dimm, FILE *out)
{
	bool is_shut =
		dimm->security == PMR_SECURITY_LOCKED || dimm->security == PMR_SECURITY_OVERWRITE;

	if (dimm->enabled && !is_shut && dimm->health <= PMR_HEALTH_OK)
		return;
	begin_line("", dimm->name, out);
	cell_state(out, dimm);
	fputs(", security ", out);
	cell_security(out, dimm);
	fputs(", health ", out);
	cell_health(out, dimm);
	fputc('\n', out);
}

void report_write_health_regions(const struct pmr_topology *topology, FILE *out)
{
	for (size_t i = 0; i < topology->n_regions; i++) {
		const struct pmr_region *region = topology->regions[i];

		if (region->read_only) {
			begin_line("", region->name, out);
			fputs("read-only\n", out);
		}
		write_region_poison(region, "", out);
		for (size_t j = 0; j < region->n_dimms; j++)
			write_bad_dimm(region, region->dimms[j], out);
	}
	for (size_t i = 0; i < topology->n_dimms; i++)
		write_dimm_line(topology->dimms[i], out);
	for (size_t i = 0; i < topology->n_buses; i++) {
		if (topology->buses[i]->scrubs == PMR_NO_COUNT || !topology->buses[i]->is_scrubbing)
			continue;
		begin_line("", topology->buses[i]->name, out);
		fputs("a scrub is running\n", out);
	}
}

void report_write_quiet_regions(const struct pmr_topology *topology, FILE *out)
{
	for (size_t i = 0; i < topology->n_regions; i++)
		write_region_poison(topology->regions[i], "pmem-recover: ", out);
}
