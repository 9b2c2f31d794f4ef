/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A journal's records, between the rooms that write them (journal.c), read them (journal-read.c) and keep the
 * directory (journal-directory.c). journal(5), pmem-recover-journal(5), describes the format.
 */
#ifndef PMR_JOURNAL_H
#define PMR_JOURNAL_H

#include <json-c/json.h>

#include "repair/repair.h"

#define PMR_RECORD_MAGIC 0x4a524d50u /* "PMRJ" */
#define PMR_JOURNAL_VERSION 2

/** PMR_RECORD_MAX - most bytes of a payload that is JSON or a name; that of a BYTES is at most PMR_CHUNK */
#define PMR_RECORD_MAX (64u * 1024 * 1024)

/** enum pmr_record - what a record is */
enum pmr_record {
	PMR_RECORD_JOURNAL = 1, /* JSON: who, where, when */
	PMR_RECORD_FILE = 2, /* JSON: the file, its losses and steps */
	PMR_RECORD_PATH = 3, /* the file's name, as it is */
	PMR_RECORD_BYTES = 4, /* what is to be written at @position in the file */
	PMR_RECORD_OUTCOME = 5, /* JSON: what became of the losses */
	PMR_RECORD_END = 6, /* every file has its outcome */
	PMR_RECORD_MARK = 7, /* JSON: how far pieces came */
};

/** struct pmr_record_header - ahead of each payload, little endian */
struct pmr_record_header {
	uint32_t magic;
	uint32_t type;
	uint64_t length; /* of the payload */
	uint64_t position; /* BYTES: offset in the file; else 0 */
	uint32_t payload_crc; /* CRC-32 as zlib's */
	uint32_t header_crc; /* of the fields above */
};

/* ---- journal-record.c: pure */

/** pmr_record_crc() - CRC-32 of bytes */
uint32_t pmr_record_crc(const void *bytes, size_t length);
/** pmr_record_seal() - the header of a record */
struct pmr_record_header pmr_record_seal(enum pmr_record type, uint64_t position,
					 const void *payload, size_t length);
/** pmr_record_is_header() - whether these are a header: magic and checksum are right */
bool pmr_record_is_header(const struct pmr_record_header *header);

/* ---- journal-tell.c: the JSON of records. Return: an object, json_object_put() it; NULL without memory. */

/** pmr_journal_tell_opening() - who, where, and when; @started: RFC 3339; @n_planned: files that are to be written */
struct json_object *pmr_journal_tell_opening(const char *started, bool zero_fill, size_t n_planned);
/** pmr_journal_tell_file() - a file, its losses and its steps; NULL also where a step lies nowhere below its volume */
struct json_object *pmr_journal_tell_file(const struct pmr_file_plan *plan,
					  const struct pmr_claim *claim);
/** pmr_journal_tell_mark() - how far pieces came, and what time it is */
struct json_object *pmr_journal_tell_mark(size_t index, enum pmr_mark mark,
					  const uint64_t *positions, size_t n,
					  const struct timespec *change_time);
/** pmr_journal_tell_outcome() - what became of the losses of a file */
struct json_object *pmr_journal_tell_outcome(const struct pmr_file *file, size_t index);
/** pmr_mark_name() - "none", "open", "done" */
const char *pmr_mark_name(enum pmr_mark mark);

/* ---- journal-parse.c: pure. Return: 0; -EBADMSG: it is not what it should be; -ENOMEM. What they took is the entry's. */

/** pmr_journal_parse_opening() - what a JOURNAL record says */
int pmr_journal_parse_opening(struct json_object *object, struct pmr_journal_entry *entry,
			      uint64_t *version);
/** pmr_journal_parse_file() - what a FILE record says. @steps: result, free() it; sorted, none overlaps another */
int pmr_journal_parse_file(struct json_object *object, struct pmr_journal_file *file,
			   struct pmr_step **steps, size_t *n_steps);
/** pmr_journal_parse_outcome() - what an OUTCOME record says */
int pmr_journal_parse_outcome(struct json_object *object, struct pmr_journal_entry *entry);
/** pmr_journal_parse_mark() - what a MARK record says: every piece that it names must be there */
int pmr_journal_parse_mark(struct json_object *object, struct pmr_journal_entry *entry);
/** pmr_journal_parse_mark_word() - which mark a MARK record is. Return: whether it is one. */
bool pmr_journal_parse_mark_word(struct json_object *object, enum pmr_mark *mark);

/** pmr_journal_find_piece() - the piece of a file whose record is at a place of the journal, or NULL */
struct pmr_journal_piece *pmr_journal_find_piece(const struct pmr_journal_file *file,
						 uint64_t position);

/* ---- journal-around.c; its first half is in repair.h */

/**
 * pmr_journal_is_around_changed() - whether sectors around a piece, and those that it touches, are not what they were
 * @listed: what must not be read
 * @changed: result; false also where none can be compared
 *
 * Return: 0; -ENOMEM; another errno of the device.
 */
int pmr_journal_is_around_changed(struct pmr_media *media, const struct pmr_journal_file *was,
				  const struct pmr_journal_piece *piece,
				  const struct pmr_ranges *listed, bool *changed);

/* ---- journal-directory.c */

/** pmr_journal_file_is_on() - whether a file of a journal lay on a filesystem, see pmr_journal_is_of() */
bool pmr_journal_file_is_on(const struct pmr_journal_file *file,
			    const struct pmr_filesystem *filesystem);

/* ---- journal-read.c */

/**
 * pmr_journal_read_bytes() - the bytes of a BYTES record, checked
 * @fd: the journal
 * @position: of the record's header
 * @header: result, or NULL
 * @length: what the record must have, at most PMR_CHUNK
 *
 * Return: 0; -EBADMSG: it is no such record, or not whole; -errno.
 */
int pmr_journal_read_bytes(int fd, uint64_t position, struct pmr_record_header *header, void *bytes,
			   size_t length);

/**
 * pmr_journal_parse() - read all records of a journal
 * @fd: open for reading; stays the caller's
 * @entry: zero-initialised but for @path; result, release with pmr_journal_entry_release(). Its @state becomes
 *         PMR_JOURNAL_UNFINISHED, _DONE where there is an END, or _DAMAGED with a @reason: "not-a-journal", "version",
 *         "checksum" (something is wrong ahead of records that are right), "malformed", "too-large"
 *
 * A last record that is cut off or whose checksum is wrong was torn: it does not count.
 * Return: 0; -ENOMEM; another errno of reading.
 */
int pmr_journal_parse(int fd, struct pmr_journal_entry *entry);
/** pmr_journal_file_release() - free what it holds */
void pmr_journal_file_release(struct pmr_journal_file *file);
/** pmr_journal_entry_release() - free what it holds */
void pmr_journal_entry_release(struct pmr_journal_entry *entry);

#endif
