/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A report while it is read, between earlier.c (the whole, its devices) and lost.c (its files).
 */
#ifndef PMR_READER_H
#define PMR_READER_H

#include "earlier.h"

/**
 * struct pmr_earlier_listed - a device of the report
 * @device: its name, of the document
 * @ranges: what was listed
 * @found: what of that only failed to be read
 */
struct pmr_earlier_listed {
	const char *device;
	struct pmr_ranges ranges;
	struct pmr_ranges found;
};

/**
 * struct pmr_earlier_reader - a report that is being read
 * @name: what to call it
 * @directory: where relative paths begin, or NULL
 * @fault: of a report that is none, static storage
 */
struct pmr_earlier_reader {
	struct pmr_ctx *ctx;
	const char *name;
	struct pmr_earlier *earlier;
	char *directory;
	struct pmr_earlier_listed *listed;
	size_t n_listed;
	size_t alloc_listed;
	const char *fault;
};

/** pmr_earlier_fault() - note what is wrong with it, see struct pmr_earlier_reader. Return: -EINVAL. */
int pmr_earlier_fault(struct pmr_earlier_reader *reader, const char *fault);

/** pmr_earlier_listed() - what was listed on a device of the report, or NULL */
const struct pmr_earlier_listed *pmr_earlier_listed(const struct pmr_earlier_reader *reader,
						    const char *device);

/* ---- lost.c */

/** pmr_earlier_read_file() - take a file of the report, if it lost something. Return: 0, -EINVAL with the fault, -ENOMEM. */
int pmr_earlier_read_file(struct pmr_earlier_reader *reader, struct json_object *object);
/** pmr_earlier_release_file() - what is in it, not the file itself */
void pmr_earlier_release_file(struct pmr_earlier_file *file);

#endif
