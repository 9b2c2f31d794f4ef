/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between the files that the bytes of a journal are exported to, and the index that tells what they are.
 */
#ifndef PMR_JOURNAL_EXPORT_H
#define PMR_JOURNAL_EXPORT_H

#include "journal.h"

/** PMR_EXPORT_NAME - bytes of the longest name, with its NUL */
#define PMR_EXPORT_NAME 192

/**
 * pmr_export_name() - "NUMBER-NAME@OFFSET+LENGTH" (pure)
 * @number: of the piece, over all files of the journal
 * @name: PMR_EXPORT_NAME bytes
 *
 * NAME is the file's, cut, with _ for all that is not a letter, a digit or one of "._-" in ASCII: whatever filesystem
 * it is exported to, it can be a name there, and typed.
 */
void pmr_export_name(const struct pmr_journal_file *file, const struct pmr_journal_piece *piece,
		     size_t number, char *name);

/* ---- journal-index.c */

/**
 * pmr_export_index() - the text of index.json (pure)
 * @exported: of each piece, over all files, whether there is a file with its bytes
 * @text: result, @length bytes, without a NUL; free() it
 *
 * Return: 0, -ENOMEM.
 */
int pmr_export_index(const struct pmr_journal_entry *entry, const bool *exported, char **text,
		     size_t *length);

#endif
