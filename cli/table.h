/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables for people: a table of columns, each with a function that prints its cell.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdio.h>

#include <libsmartcols/libsmartcols.h>

/**
 * struct column - one column of a table
 * @name: heading
 * @width: libsmartcols' hint: below 1 a share of the terminal, else characters
 * @flags: SCOLS_FL_*
 * @print: prints the cell of a row
 */
struct column {
	const char *name;
	double width;
	int flags;
	void (*print)(FILE *out, const void *row);
};

/** table_new() - an empty table that will go to @out. Return: 0, -ENOMEM. */
int table_new(const struct column *columns, size_t n_columns, FILE *out,
	      struct libscols_table **table);
/** table_add() - a row. Return: 0, -ENOMEM. */
int table_add(struct libscols_table *table, const struct column *columns, size_t n_columns,
	      const void *row);
/** table_print() - print it, unless it has no rows. Return: 0, a negative errno. */
int table_print(struct libscols_table *table);
/** table_free() - takes NULL */
void table_free(struct libscols_table *table);

#endif
