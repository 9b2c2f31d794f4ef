/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An earlier report, between the rooms that read it and choose from it (earlier.c, below.c) and the one that holds it
 * against the files as they are (vanished.c).
 */
#ifndef PMR_EARLIER_H
#define PMR_EARLIER_H

#include "core/document.h"
#include "private.h"

/** PMR_EARLIER_DIFFERENCES - room for all that can tell a file from what it was, as a text */
#define PMR_EARLIER_DIFFERENCES 128

/**
 * struct pmr_earlier_range - a range of a file whose bytes were lost and are not proven repaired
 * @offset: in the file; @offset + @length is no more than the file's size
 * @length: bytes
 * @device_offset: where it lay
 * @shared: the block had more than one owner
 * @is_listed: its sectors were in the list, or written to without success: whatever can be read there now is not the
 *             file's. Else it only could not be read, as the siblings in a page that was taken offline: where it can be
 *             read again, it is right
 * @may_be_cached: it was not simply lost: without DAX the page cache may have had its bytes
 * @was_found: it is not listed, and a scan that read the medium found that it cannot be read
 */
struct pmr_earlier_range {
	uint64_t offset;
	uint64_t length;
	uint64_t device_offset;
	bool shared;
	bool is_listed;
	bool may_be_cached;
	bool was_found;
};

/**
 * struct pmr_earlier_file - a file as it was, and what it had lost
 * @path: absolute, where the report says what its paths begin at
 * @filesystem_uuid: or NULL
 * @inode, @generation, @size, @change_time: as in struct pmr_file
 * @ranges: sorted by offset, no two overlap
 * @n_ranges: how many; at least one
 * @alloc_ranges: room for how many
 * @is_left_out: it is not among the targets
 * @whole_device: it is a device-dax, all of it, of which nothing is known but path, size and ranges
 */
struct pmr_earlier_file {
	char *path;
	char *filesystem_uuid;
	uint64_t inode;
	uint32_t generation;
	uint64_t size;
	struct timespec change_time;
	struct pmr_earlier_range *ranges;
	size_t n_ranges;
	size_t alloc_ranges;
	bool is_left_out;
	bool whole_device;
};

/**
 * struct pmr_earlier - what an earlier report says
 * @name: of the report, for messages
 * @is_complete: it says that it names all that was lost
 * @files: those that lost something
 * @paths: theirs, NULL-terminated
 * @whole: device-dax that lost something
 * @n_whole: how many
 */
struct pmr_earlier {
	char *name;
	bool is_complete;
	struct pmr_earlier_file *files;
	size_t n_files;
	size_t alloc_files;
	const char **paths;
	struct pmr_earlier_file *whole;
	size_t n_whole;
	size_t alloc_whole;
};

/* ---- earlier.c */

/**
 * pmr_earlier_read() - take the files from a document that is of this host, whatever that was called then
 * @name: what to call it in messages
 * @earlier: result; release with pmr_earlier_free()
 * @fault: set on -EINVAL: what is wrong with it; static storage
 *
 * Looks at neither version, command nor host, and says nothing. Return: 0, -EINVAL, -ENOMEM.
 */
int pmr_earlier_read(struct json_object *document, const char *name, struct pmr_earlier **earlier,
		     const char **fault);

/* ---- below.c */

/** pmr_earlier_lies_at() - whether a file is a target, or lies below it or on it. Return: 1, 0, -ENOMEM. */
int pmr_earlier_lies_at(const struct pmr_topology *topology, const char *target,
			const struct pmr_earlier_file *file);

/* ---- vanished.c */

/**
 * pmr_earlier_compare() - what tells an open file from what it was, e.g. "size, change time"
 * @filesystem: where it lies
 * @text: result, empty where nothing does; PMR_EARLIER_DIFFERENCES bytes
 */
void pmr_earlier_compare(int fd, const struct stat *st, const struct pmr_filesystem *filesystem,
			 const struct pmr_earlier_file *was, char *text);

#endif
