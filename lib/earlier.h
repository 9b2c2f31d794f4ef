/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An earlier report, between the rooms that read it and choose from it (earlier.c, below.c) and the one that holds it
 * against the files as they are (vanished.c).
 */
#ifndef PMR_EARLIER_H
#define PMR_EARLIER_H

#include "private.h"

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
 */
struct pmr_earlier_range {
	uint64_t offset;
	uint64_t length;
	uint64_t device_offset;
	bool shared;
	bool is_listed;
	bool may_be_cached;
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
};

/**
 * struct pmr_earlier - what an earlier report says
 * @name: of the report, for messages
 * @is_complete: it says that it names all that was lost
 * @files: those that lost something
 * @paths: theirs, NULL-terminated
 */
struct pmr_earlier {
	char *name;
	bool is_complete;
	struct pmr_earlier_file *files;
	size_t n_files;
	size_t alloc_files;
	const char **paths;
};

#endif
