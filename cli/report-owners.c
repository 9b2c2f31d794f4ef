// SPDX-License-Identifier: GPL-2.0-or-later
/* Who has badblocks that are in no file of the report, and how that was found, for people. */
#include <inttypes.h>
#include <string.h>

#include "report-human.h"
#include "table.h"
#include "text.h"

#define N_COLUMNS(columns) (sizeof(columns) / sizeof((columns)[0]))

/* What of an inode, a namespace or a region it is, and what stands between that and the inode. */
static const struct part_words {
	const char *name;
	const char *link;
} part_words[] = {
	[PMR_PART_NONE] = { "", "" },
	[PMR_PART_DIRECTORY] = { "directory", " " },
	[PMR_PART_SYMLINK] = { "symbolic link", " " },
	[PMR_PART_ATTRIBUTES] = { "attributes", " of " },
	[PMR_PART_EXTENTS] = { "extent map", " of " },
	[PMR_PART_INODE] = { "inode", " of " },
	[PMR_PART_VERITY] = { "fs-verity tree", " of " },
	[PMR_PART_BOOT_BLOCK] = { "boot block", " " },
	[PMR_PART_INFO_BLOCK] = { "info block", " " },
	[PMR_PART_PAGE_MAP] = { "page map", " " },
	[PMR_PART_PADDING] = { "padding", " " },
	[PMR_PART_UNALLOCATED] = { "unallocated", " " },
	[PMR_PART_BTT_INFO] = { "info block of its BTT", " of " },
	[PMR_PART_BTT_DATA] = { "a block of its BTT", " of " },
	[PMR_PART_BTT_MAP] = { "map of its BTT", " of " },
	[PMR_PART_BTT_LOG] = { "log of its BTT", " of " },
	[PMR_PART_BTT_UNUSED] = { "unused by its BTT", " of " },
};

void report_print_part_name(FILE *out, enum pmr_part part)
{
	fputs(part_words[part].name, out);
}

void report_print_part(FILE *out, enum pmr_part part, uint64_t inode, const char *path)
{
	const struct part_words *words = &part_words[part];

	if (part == PMR_PART_NONE && !inode && !path)
		return;
	fputs(" (", out);
	if (part == PMR_PART_INODE && inode && !path) {
		fprintf(out, "inode %" PRIu64, inode);
	} else {
		fputs(words->name, out);
		if (inode || path)
			fputs(words->link, out);
		if (path)
			text_print_safe(out, path);
		else if (inode)
			fprintf(out, "inode %" PRIu64, inode);
	}
	fputc(')', out);
}

struct part_row {
	const struct pmr_device *device;
	struct report_part part;
};

static const struct report_part *part_of(const void *row)
{
	return &((const struct part_row *)row)->part;
}

static void cell_device(FILE *out, const void *row)
{
	text_print_safe(out, report_device_label(((const struct part_row *)row)->device));
}

static void cell_offset(FILE *out, const void *row)
{
	report_print_position(out, part_of(row)->range.offset);
}

static void cell_length(FILE *out, const void *row)
{
	text_print_size(out, part_of(row)->range.length);
}

static void cell_owner(FILE *out, const void *row)
{
	const struct report_part *part = part_of(row);

	fputs(pmr_owner_name(part->owner), out);
	if (part->owned)
		report_print_part(out, part->owned->part, part->owned->inode, part->owned->path);
}

static const struct column part_columns[] = {
	{ "DEVICE", 0, 0, cell_device },
	{ "DEVICE-OFFSET", 0, SCOLS_FL_RIGHT, cell_offset },
	{ "LENGTH", 0, SCOLS_FL_RIGHT, cell_length },
	{ "OWNER", 0, 0, cell_owner },
};

/* What belongs to files stands in their table, unless nobody knows a name for them. */
static bool is_shown(const struct report_part *part)
{
	if (part->owner == PMR_OWNER_FILE)
		return report_is_nameless(part->owned);
	return part->owner != PMR_OWNER_NOT_ASKED;
}

int report_write_owners(const struct report *report, FILE *out)
{
	struct libscols_table *table = NULL;
	bool nameless = false;
	int rc;

	rc = table_new(part_columns, N_COLUMNS(part_columns), out, &table);
	for (size_t i = 0; i < report->n_devices && !rc; i++) {
		struct part_row row = { .device = report->devices[i] };
		uint64_t position = 0;

		while (!rc &&
		       report_next_part(row.device, report->scan, &position, &row.part) == 1) {
			if (!is_shown(&row.part))
				continue;
			nameless = nameless || row.part.owner == PMR_OWNER_FILE;
			rc = table_add(table, part_columns, N_COLUMNS(part_columns), &row);
		}
	}
	if (!rc && scols_table_get_nlines(table)) {
		fprintf(out, "Badblocks that are no %sfile's data:\n", nameless ? "named " : "");
		rc = table_print(table);
	}
	table_free(table);
	return rc;
}

/* Where each filesystem's owners come from: it is what the answer rests on. */
void report_write_ways(const struct report *report, FILE *out)
{
	static const char *const texts[] = {
		[PMR_WAY_NONE] = NULL,
		[PMR_WAY_REVERSE_MAP] = "reverse map",
		[PMR_WAY_INODE_TABLE] = "inode table",
		[PMR_WAY_WALK] = "walk of all files",
	};
	const struct pmr_topology *topology = report->topology;

	for (size_t i = 0; topology && i < topology->n_filesystems; i++) {
		const struct pmr_filesystem *filesystem = topology->filesystems[i];

		if (!texts[filesystem->way])
			continue;
		/* of others it knows no files, and is no reverse map */
		fprintf(out, "Looked up by: %s (",
			filesystem->way == PMR_WAY_REVERSE_MAP && filesystem->type &&
					strcmp(filesystem->type, "xfs") != 0
				? "map of blocks"
				: texts[filesystem->way]);
		text_print_safe(out, filesystem->mountpoint && filesystem->role == PMR_ROLE_DATA
					     ? filesystem->mountpoint
					     : filesystem->source);
		fputs(")\n", out);
	}
}
