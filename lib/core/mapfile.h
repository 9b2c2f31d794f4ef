/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GNU ddrescue's mapfile: which parts of a file were rescued. Pure: text in, ranges out, and back.
 *
 * Comments at its head, which ddrescue ignores (and drops when it writes the file itself), say which file it is of, and
 * what of it was listed as bad.
 */
#ifndef PMR_MAPFILE_H
#define PMR_MAPFILE_H

#include "private.h"

/** PMR_MAPFILE_LIMIT - no mapfile longer than this is read or written: some millions of areas */
#define PMR_MAPFILE_LIMIT ((size_t)128 << 20)

/**
 * struct pmr_mapfile_identity - the file that a mapfile is of, in the state it was in
 * @known: the mapfile says so; the rest means nothing without it
 * @path: what it was called, for people; NULL when read from a mapfile
 * @uuid: of the filesystem, or NULL where it could not be known
 * @inode: st_ino
 * @generation: FS_IOC_GETVERSION, 0 where there is none
 * @size: st_size
 * @change_time: st_ctim
 */
struct pmr_mapfile_identity {
	bool known;
	char *path;
	char *uuid;
	uint64_t inode;
	uint32_t generation;
	uint64_t size;
	struct timespec change_time;
};

/**
 * struct pmr_mapfile - what a mapfile says; zero-initialised it is of an empty file
 * @identity: of which file
 * @output: inode of the file that bytes were rescued to; 0 where that is not known
 * @output_generation: its FS_IOC_GETVERSION, 0 where there is none: an inode's number alone is soon another file's, and
 *                     on another disk at once
 * @output_birth: when it was made, by statx(2); 0 where that is not known
 * @size: where its last area ends; it begins at 0
 * @rescued: areas with status '+', normal
 * @bad: areas with status '-', normal; all other areas still have to be tried
 * @listed: what was in the device's list when a run looked, whatever the status, normal
 */
struct pmr_mapfile {
	struct pmr_mapfile_identity identity;
	uint64_t output;
	uint32_t output_generation;
	struct timespec output_birth;
	uint64_t size;
	struct pmr_ranges rescued;
	struct pmr_ranges bad;
	struct pmr_ranges listed;
};

/**
 * pmr_mapfile_parse() - understand a mapfile, of ddrescue or of this program
 * @text: need not end in NUL
 * @map: result; release with pmr_mapfile_release()
 * @line: the line with the first fault, from 1; set on -EINVAL and -ERANGE
 * @fault: what is wrong there; static storage
 *
 * The areas have to begin at 0, follow one another without gap, and end at or before INT64_MAX. Numbers are C's:
 * decimal, octal or hexadecimal.
 *
 * Return: 0; -EINVAL: not a mapfile, or damaged; -ERANGE: a number too large; -ENOMEM.
 */
int pmr_mapfile_parse(const char *text, size_t length, struct pmr_mapfile *map, unsigned long *line,
		      const char **fault);

/**
 * pmr_mapfile_format() - write one; what is neither rescued nor bad was not tried
 * @text: result, free() it
 *
 * Return: 0; -EINVAL: @rescued and @bad overlap, or these or @listed reach past @size; -EFBIG: longer than PMR_MAPFILE_LIMIT; -ENOMEM.
 */
int pmr_mapfile_format(const struct pmr_mapfile *map, char **text, size_t *length);

/**
 * pmr_mapfile_differs() - whether a mapfile is of another file than the one at hand, or of another state of it
 * @map: with a known identity
 * @now: the file at hand
 *
 * Return: NULL when it is of this file; else what differs, for people; static storage.
 */
const char *pmr_mapfile_differs(const struct pmr_mapfile *map,
				const struct pmr_mapfile_identity *now);

/** pmr_mapfile_release() - free the storage; the mapfile is then empty */
void pmr_mapfile_release(struct pmr_mapfile *map);

#endif
