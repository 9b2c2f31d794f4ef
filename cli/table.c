// SPDX-License-Identifier: GPL-2.0-or-later
/* The only use of libsmartcols. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "table.h"

int table_new(const struct column *columns, size_t n_columns, FILE *out,
	      struct libscols_table **table)
{
	struct libscols_table *t = scols_new_table();

	if (!t)
		return -ENOMEM;
	scols_table_set_stream(t, out);
	/* the cells are escaped already, and would be escaped twice */
	if (scols_table_enable_noencoding(t, 1))
		goto out;
	for (size_t i = 0; i < n_columns; i++) {
		if (!scols_table_new_column(t, columns[i].name, columns[i].width, columns[i].flags))
			goto out;
	}
	*table = t;
	return 0;
out:
	scols_unref_table(t);
	return -ENOMEM;
}

static int print_cell(const struct column *column, const void *row, char **cell)
{
	size_t length = 0;
	FILE *out;
	bool bad;

	*cell = NULL;
	out = open_memstream(cell, &length);
	if (!out)
		return -ENOMEM;
	column->print(out, row);
	bad = ferror(out);
	if (fclose(out) || bad) {
		free(*cell);
		*cell = NULL;
		return -ENOMEM;
	}
	return 0;
}

int table_add(struct libscols_table *table, const struct column *columns, size_t n_columns,
	      const void *row)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);

	if (!line)
		return -ENOMEM;
	for (size_t i = 0; i < n_columns; i++) {
		char *cell;
		int rc = print_cell(&columns[i], row, &cell);

		if (rc)
			return rc;
		if (scols_line_refer_data(line, i, cell)) {
			free(cell);
			return -ENOMEM;
		}
	}
	return 0;
}

int table_print(struct libscols_table *table)
{
	if (scols_table_get_nlines(table) == 0)
		return 0;
	return scols_print_table(table);
}

void table_free(struct libscols_table *table)
{
	scols_unref_table(table);
}
