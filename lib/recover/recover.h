/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the two files behind pmr_recover_at() tell each other:
 *
 *   mapped.c    which file is mapped at an address (pure), and what of it a fault took
 *   recover.c   the order: the mapping, the file, its list, a rescue of the range into memory
 */
#ifndef PMR_RECOVER_H
#define PMR_RECOVER_H

#include "private.h"

/**
 * struct pmr_mapped - a line of /proc/PID/maps
 * @start, @end: addresses, half open
 * @offset: in the file, of @start
 * @devno, @inode: the file; @inode is 0 where there is none
 * @path: the rest of the line, points into the text and is not NUL-terminated
 * @path_length: its bytes
 */
struct pmr_mapped {
	uint64_t start;
	uint64_t end;
	uint64_t offset;
	dev_t devno;
	uint64_t inode;
	const char *path;
	size_t path_length;
};

/**
 * pmr_mapped_find() - what is mapped at an address
 * @maps: the text of /proc/PID/maps, NUL-terminated
 *
 * Return: 1; 0: nothing; -EPROTO: a line is none of the kernel's.
 */
int pmr_mapped_find(const char *maps, uint64_t address, struct pmr_mapped *mapped);

/**
 * pmr_mapped_range() - the bytes of the file that a fault is about
 * @address: inside of @mapped
 * @unit: a power of two: what lies around @address in memory, but no more than is mapped
 * @size: of the file
 * @range: result, in the file
 *
 * Return: 0; -ERANGE: the file ends at or before @address.
 */
int pmr_mapped_range(const struct pmr_mapped *mapped, uint64_t address, uint64_t unit,
		     uint64_t size, struct pmr_range *range);

#endif
