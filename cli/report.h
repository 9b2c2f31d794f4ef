/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a command found out, handed to one writer. Commands fill it, writers print it and decide nothing.
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "pmem-recover.h"

/* The exit status: or'ed, as fsck's. */
#define STATUS_OK 0
#define STATUS_REPAIRED 1 /* there were losses, and every one was repaired from a backup */
#define STATUS_LOST 4 /* file data or metadata is lost, or still lost */
#define STATUS_UNKNOWN 8 /* the work could not be done, or the answer not be known */
#define STATUS_USAGE 16

/** enum verb - the commands that make a report */
enum verb {
	VERB_LIST,
	VERB_SCAN,
	VERB_MAP,
	VERB_LOCATE,
	VERB_SALVAGE,
	VERB_REPAIR,
	VERB_HEALTH,
	VERB_JOURNAL,
};

/** struct report_message - a copy of a message, all strings its own */
struct report_message {
	enum pmr_level level;
	char *code;
	char *object;
	char *text;
};

/**
 * struct report_journals - the journals that were asked for
 * @lists: of each directory that was looked into; its own
 * @n_lists: how many
 * @v: entries of @lists, in the order in which they are to be shown
 * @n: how many
 */
struct report_journals {
	struct pmr_journals **lists;
	size_t n_lists;
	struct pmr_journal_entry **v;
	size_t n;
};

/**
 * struct report - the result of a command; zero-initialise, release with report_release()
 * @verb: which command
 * @started: when it began
 * @failed: the work could not be done, or was not allowed to be
 * @dry_run: a repair that writes nothing
 * @zero_fill: a repair with zeros
 * @recovery: what the kernel offers against poison, see pmr_get_recovery(); NULL before it was asked
 * @topology: the machine, or NULL when it could not be looked at
 * @only: where the answer is about one device alone, this one
 * @scan: of scan and repair, or NULL
 * @map: of map, or NULL
 * @map_path: the file that map or salvage was asked about; belongs to the caller
 * @location: of locate, or NULL
 * @salvage: of salvage, or NULL; its scan became @scan
 * @salvage_options: what salvage was asked for
 * @memory: of health, or NULL
 * @doubts: which of the topology's lists were once cut or full, or NULL
 * @zeroes: of scan, salvage, repair from a backup, and health, or NULL
 * @journals: of journal
 * @unfinished: a repair was interrupted, or it is not known whether one was
 * @plan: of repair, or NULL
 * @messages: everything that was said
 * @lost_message: a message was dropped for want of memory
 * @devices: set by report_finish(): the devices the answer is about
 * @exit_status: set by report_finish()
 */
struct report {
	enum verb verb;
	time_t started;
	bool failed;
	bool dry_run;
	bool zero_fill;
	const struct pmr_recovery *recovery;
	struct pmr_topology *topology;
	struct pmr_device *only;
	struct pmr_scan *scan;
	struct pmr_map *map;
	const char *map_path;
	struct pmr_location *location;
	struct pmr_salvage *salvage;
	struct pmr_salvage_options salvage_options;
	struct pmr_memory *memory;
	struct pmr_doubts *doubts;
	struct pmr_zeroes *zeroes;
	struct report_journals journals;
	bool unfinished;
	struct pmr_plan *plan;
	struct report_message *messages;
	size_t n_messages;
	size_t alloc_messages;
	bool lost_message;
	struct pmr_device **devices;
	size_t n_devices;
	int exit_status;
};

/** report_add_message() - keep a copy of a message. Return: 0, -ENOMEM. */
int report_add_message(struct report *report, const struct pmr_message *message);

/** report_has_message() - whether the same was said before, word by word */
bool report_has_message(const struct report *report, const struct pmr_message *message);

/** report_finish() - nothing more will be added: choose the devices and compute the exit status */
void report_finish(struct report *report);

/** report_release() - free everything the report holds, the library's results included */
void report_release(struct report *report);

/** report_exit_status() - the exit status of a finished report's devices, scan, map and plan (pure) */
int report_exit_status(const struct report *report);

/** report_has_poison() - whether anything is listed for a device, its namespace's metadata included */
bool report_has_poison(const struct pmr_device *device);

/** report_is_told() - whether the lists say all that there is to know of a device */
bool report_is_told(const struct pmr_device *device);

/** report_is_metadata_told() - the same of its namespace's metadata alone */
bool report_is_metadata_told(const struct pmr_device *device);

/** report_has_regions() - whether the answer is about regions and DIMMs too */
bool report_has_regions(const struct report *report);

/** report_unallocated_bytes() - how many bad bytes of a region are in no namespace */
uint64_t report_unallocated_bytes(const struct pmr_region *region);

/** report_zeroed_bytes() - how many bytes are remembered as zeros of a repair; of a repair without those among its losses */
uint64_t report_zeroed_bytes(const struct report *report);

/** report_is_open_journal() - whether somebody has to see to a journal: it is unfinished, or damaged and not set aside */
bool report_is_open_journal(const struct pmr_journal_entry *entry);

/** report_journal_bytes() - sum of all bytes that a journal has to write; those at @mark alone where it is no NULL */
uint64_t report_journal_bytes(const struct pmr_journal_entry *entry, const enum pmr_mark *mark);

/** report_verb_name() - "list", "scan", ... */
const char *report_verb_name(enum verb verb);

/**
 * struct report_totals - sums over all files of a scan or repair
 * @files: files that lost something, or had lost it
 * @lost: bytes that are lost and not repaired: failed, skipped and conflicting ones included. Here as below only bytes
 *        inside their file: what lies past its end is nobody's data, also when it was written along with its page
 * @cached: bytes that only the page cache still has
 * @repaired: bytes repaired
 * @zeroed: bytes zeroed
 * @unknown: bytes of which nothing is known
 */
struct report_totals {
	uint64_t files;
	uint64_t lost;
	uint64_t cached;
	uint64_t repaired;
	uint64_t zeroed;
	uint64_t unknown;
};

/** report_data_bytes() - how many bytes of a loss lie inside the file */
uint64_t report_data_bytes(const struct pmr_file *file, const struct pmr_loss *loss);

/** report_totals() - add up a scan's losses; all zero for NULL */
void report_totals(const struct pmr_scan *scan, struct report_totals *totals);

/**
 * struct report_part - a part of a bad range that has one owner
 * @owned: what the scan knows of it; NULL where it was not asked
 */
struct report_part {
	struct pmr_range range;
	enum pmr_owner owner;
	const struct pmr_owned *owned;
};

/** report_is_nameless() - whether it is data of a file that no name was found for */
bool report_is_nameless(const struct pmr_owned *owned);

/**
 * report_next_part() - cut a device's bad ranges at the borders of their owners
 * @scan: what knows the owners, or NULL
 * @position: device offset to go on from; 0 first, then left alone
 *
 * Return: 1 and the next part, 0 at the end.
 */
int report_next_part(const struct pmr_device *device, const struct pmr_scan *scan,
		     uint64_t *position, struct report_part *part);

/* ---- writers: 0, -ENOMEM, -EIO; errors of @out stay in @out */

/** report_write_json() - one document */
int report_write_json(const struct report *report, FILE *out);
/** report_write_human() - tables and sentences */
int report_write_human(const struct report *report, FILE *out);
/** report_write_journals() - the same of journal alone */
int report_write_journals(const struct report *report, FILE *out);
/** report_write_locate() - the same of locate alone */
int report_write_locate(const struct report *report, FILE *out);
/** report_write_quiet() - one line for each thing that is wrong, nothing otherwise */
void report_write_quiet(const struct report *report, FILE *out);
/** report_write_plan() - what a repair is about to do, for the person who has to say yes */
void report_write_plan(const struct pmr_plan *plan, FILE *out);
/** report_write_salvage() - what is lost, and what became of the copy */
int report_write_salvage(const struct report *report, FILE *out);
/** report_write_salvaged() - what became of the copy, in one sentence; nothing where none was made */
void report_write_salvaged(const struct report *report, FILE *out);
/** report_write_outcome() - what a repair did, in one sentence */
void report_write_outcome(const struct report *report, FILE *out);

#endif
