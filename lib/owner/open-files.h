/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has files open: of a lookup, to find what was deleted; of a repair, to name who is in its way. */
#ifndef PMR_OWNER_OPEN_FILES_H
#define PMR_OWNER_OPEN_FILES_H

#include "private.h"

/**
 * struct pmr_open_file - somebody has a file open, or mapped; all of it lives only during the call
 * @devno: st_dev of the file
 * @inode: its number
 * @path: where it can still be opened: "/proc/PID/fd/N", "/proc/PID/map_files/FROM-TO" (what the caller may not open,
 *        others perhaps may); of a process's program, directory: "/proc/PID/exe", "/proc/PID/cwd", "/proc/PID/root";
 *        NULL where the kernel itself has it
 * @pid: of the process, 0 where the kernel itself has it
 * @name: of its program; of the kernel: "/dev/loop0"
 */
struct pmr_open_file {
	dev_t devno;
	uint64_t inode;
	const char *path;
	pid_t pid;
	const char *name;
};

/**
 * pmr_open_files() - meet the files that others have open or mapped, as far as /proc lets us see
 * @devno: of this filesystem alone; 0 for every one
 * @met: called for each, of one process after the other, descriptors first; anything but 0 ends it
 *
 * One reading of /proc for however many inodes; it is not asked twice what a file is, and none is opened. This process
 * itself is left out. What a container's program opened through an overlay is the overlay's, not the layer's.
 *
 * Return: 0, what @met returned.
 */
int pmr_open_files(dev_t devno, int (*met)(void *data, const struct pmr_open_file *file),
		   void *data);

/**
 * pmr_open_nodes() - the same of those that have a character device open or mapped, by whichever node of it
 * @node: what stat(2) says of one; a container has its own, of another filesystem
 */
int pmr_open_nodes(const struct stat *node,
		   int (*met)(void *data, const struct pmr_open_file *file), void *data);

/**
 * pmr_open_file_find() - who has an inode open, first of those that can be copied from
 * @path: result, NULL where there is none (the kernel has it, see @holder); free() it
 * @holder: result: "PID 123 (postgres)", "/dev/loop0"; free() it
 *
 * Return: 1, and the results; 0: nobody that could be seen; -ENOMEM.
 */
int pmr_open_file_find(dev_t devno, uint64_t inode, char **path, char **holder);

/**
 * pmr_open_file_say() - say of a file whose name was not found who has it open, and what to do
 * @object: what to call it: @path, or another name where there is none
 * @path: from pmr_open_file_find()
 * @holder: likewise
 */
void pmr_open_file_say(struct pmr_ctx *ctx, const char *object, const char *path,
		       const char *holder);

/**
 * pmr_open_by_path() - open a regular file that a person named, whatever links lead to it
 * @path: also "/proc/PID/fd/N" and the like, of a file that is deleted, hidden by a mount, or in a container
 * @flags: O_RDONLY, perhaps O_DIRECT
 *
 * As careful as pmr_file_open(). Return: a descriptor; -EINVAL: not a regular file; -ENOMEM; another negative errno.
 */
int pmr_open_by_path(const char *path, int flags);

#endif
