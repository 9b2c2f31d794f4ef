// SPDX-License-Identifier: GPL-2.0-or-later
/* Writes what the journals of repairs are, for programs and for people. */
#include <inttypes.h>
#include <string.h>

#include "report-human.h"
#include "report-json.h"
#include "table.h"
#include "text.h"

#define N_COLUMNS(columns) (sizeof(columns) / sizeof((columns)[0]))

static size_t count(const struct pmr_journal_file *file, enum pmr_mark mark)
{
	size_t n = 0;

	for (size_t i = 0; i < file->n_pieces; i++)
		n += file->pieces[i].mark == mark;
	return n;
}

/* ---- JSON */

static struct json_object *new_file(struct json *json, const struct pmr_journal_file *file)
{
	struct json_object *object = json_new_object(json), *pieces = json_new_object(json);

	json_put_path(json, object, "path", file->path);
	json_put_number(json, object, "inode", file->inode);
	json_put_text(json, object, "filesystem_uuid", file->filesystem_uuid);
	json_put_text(json, object, "device", file->device);
	json_put_number(json, pieces, "total", file->n_pieces);
	json_put_number(json, pieces, "done", count(file, PMR_MARK_DONE));
	json_put_number(json, pieces, "open", count(file, PMR_MARK_OPEN));
	json_put_number(json, pieces, "none", count(file, PMR_MARK_NONE));
	json_put(json, object, "pieces", pieces);
	json_put_bool(json, object, "outcome", file->outcome);
	return object;
}

static struct json_object *new_journal(struct json *json, const struct pmr_journal_entry *entry)
{
	struct json_object *object = json_new_object(json), *files = json_new_array(json);

	json_put_path(json, object, "path", entry->path);
	json_put_text(json, object, "state", pmr_journal_state_name(entry->state));
	json_put_text(json, object, "reason", entry->reason);
	json_put_text(json, object, "version", entry->version);
	json_put_text(json, object, "started_at", entry->started_at);
	json_put_text(json, object, "host", entry->host);
	json_put_bool(json, object, "same_host", entry->same_host);
	json_put_bool(json, object, "same_boot", entry->same_boot);
	json_put_bool(json, object, "written", entry->written);
	json_put_bool(json, object, "torn", entry->torn);
	json_put_bool(json, object, "zero_fill", entry->zero_fill);
	json_put_known(json, object, "planned_files",
		       entry->has_planned ? entry->n_planned : UINT64_MAX, UINT64_MAX);
	json_put_number(json, object, "bytes", report_journal_bytes(entry, NULL));
	for (size_t i = 0; i < entry->n_files; i++)
		json_append(json, files, new_file(json, &entry->files[i]));
	json_put(json, object, "files", files);
	return object;
}

void report_json_put_journals(struct json *json, struct json_object *document,
			      const struct report *report)
{
	struct json_object *array = json_new_array(json);

	for (size_t i = 0; i < report->journals.n; i++)
		json_append(json, array, new_journal(json, report->journals.v[i]));
	json_put(json, document, "journals", array);
}

/* ---- for people */

static void cell_path(FILE *out, const void *row)
{
	text_print_safe(out, ((const struct pmr_journal_entry *)row)->path);
}

static void cell_state(FILE *out, const void *row)
{
	const struct pmr_journal_entry *entry = row;

	fputs(pmr_journal_state_name(entry->state), out);
	if (entry->reason)
		fprintf(out, ": %s", entry->reason);
	else if (entry->host && !entry->same_host)
		fputs(", of another host", out);
	else if (entry->state == PMR_JOURNAL_UNFINISHED && !entry->written)
		fputs(", nothing written", out);
}

static void cell_started(FILE *out, const void *row)
{
	const struct pmr_journal_entry *entry = row;

	text_print_safe(out, entry->started_at ? entry->started_at : "-");
}

static void cell_host(FILE *out, const void *row)
{
	const struct pmr_journal_entry *entry = row;

	text_print_safe(out, entry->host ? entry->host : "-");
}

static void cell_files(FILE *out, const void *row)
{
	fprintf(out, "%zu", ((const struct pmr_journal_entry *)row)->n_files);
}

static void cell_bytes(FILE *out, const void *row)
{
	text_print_size(out, report_journal_bytes(row, NULL));
}

static void cell_done(FILE *out, const void *row)
{
	const enum pmr_mark done = PMR_MARK_DONE;

	text_print_size(out, report_journal_bytes(row, &done));
}

static const struct column journal_columns[] = {
	{ "JOURNAL", 0, 0, cell_path },
	{ "STATE", 0, 0, cell_state },
	{ "STARTED", 0, 0, cell_started },
	{ "HOST", 0, 0, cell_host },
	{ "FILES", 0, SCOLS_FL_RIGHT, cell_files },
	{ "BYTES", 0, SCOLS_FL_RIGHT, cell_bytes },
	{ "DONE", 0, SCOLS_FL_RIGHT, cell_done },
};

static void cell_file(FILE *out, const void *row)
{
	const struct pmr_journal_file *file = row;

	text_print_safe(out, file->path ? file->path : "-");
}

static void cell_device(FILE *out, const void *row)
{
	const struct pmr_journal_file *file = row;

	text_print_safe(out, file->device ? file->device : "-");
}

static void cell_pieces(FILE *out, const void *row)
{
	fprintf(out, "%zu", ((const struct pmr_journal_file *)row)->n_pieces);
}

static void cell_pieces_done(FILE *out, const void *row)
{
	fprintf(out, "%zu", count(row, PMR_MARK_DONE));
}

static void cell_pieces_open(FILE *out, const void *row)
{
	fprintf(out, "%zu", count(row, PMR_MARK_OPEN));
}

static const struct column file_columns[] = {
	{ "FILE", 0, 0, cell_file },
	{ "DEVICE", 0, 0, cell_device },
	{ "PIECES", 0, SCOLS_FL_RIGHT, cell_pieces },
	{ "DONE", 0, SCOLS_FL_RIGHT, cell_pieces_done },
	{ "BEGUN", 0, SCOLS_FL_RIGHT, cell_pieces_open },
};

static int write_table(const struct report *report, FILE *out)
{
	const struct report_journals *journals = &report->journals;
	struct libscols_table *table = NULL;
	int rc;

	rc = table_new(journal_columns, N_COLUMNS(journal_columns), out, &table);
	for (size_t i = 0; i < journals->n && !rc; i++)
		rc = table_add(table, journal_columns, N_COLUMNS(journal_columns), journals->v[i]);
	if (!rc)
		rc = table_print(table);
	table_free(table);
	return rc;
}

static int write_files(const struct pmr_journal_entry *entry, FILE *out)
{
	struct libscols_table *table = NULL;
	int rc;

	if (!entry->n_files)
		return 0;
	fputs("Files of ", out);
	text_print_safe(out, entry->path);
	fputs(":\n", out);
	rc = table_new(file_columns, N_COLUMNS(file_columns), out, &table);
	for (size_t i = 0; i < entry->n_files && !rc; i++)
		rc = table_add(table, file_columns, N_COLUMNS(file_columns), &entry->files[i]);
	if (!rc)
		rc = table_print(table);
	table_free(table);
	return rc;
}

int report_write_journals(const struct report *report, FILE *out)
{
	const struct report_journals *journals = &report->journals;
	int rc;

	rc = write_table(report, out);
	for (size_t i = 0; i < journals->n && !rc; i++) {
		/* what is done with has one line */
		if (report_is_open_journal(journals->v[i]) ||
		    journals->v[i]->state == PMR_JOURNAL_RUNNING)
			rc = write_files(journals->v[i], out);
	}
	if (!rc && !journals->n && !report->failed)
		fputs("No journal of an interrupted repair.\n", out);
	return rc;
}
