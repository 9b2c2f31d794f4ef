/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An inode opened by its number: a file handle made by hand, as the kernel's filesystems have read them for NFS. */

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "owner.h"

/*
 * Handles are the business of each filesystem, but NFS clients keep them over reboots and upgrades, so their layout is
 * as fixed as one on disk:
 *
 *   ext2, ext3, ext4   type 1: inode and generation, 32 bits each (exportfs' generic handle, linux/exportfs.h). A generation
 *                      of 0 matches every one. Reserved inodes, but for the root directory, are refused
 *   XFS                type 0x81: the same with 64 bits for the inode and no padding (fs/xfs/xfs_export.c); it is
 *                      taken whatever the inode's number, and the generation always has to be right
 *
 * The kernel looks an inode up in its own cache, then in the inode tables, and answers ESTALE for one that is free or has
 * another generation. A deleted file that is open is neither. No path is walked, so that no mount can hide anything: the
 * file is opened on the mount of the descriptor that was given (read-only if that is).
 */
#define TYPE_32 1
#define TYPE_64 0x81

#define LARGEST 12

union handle {
	struct file_handle head;
	unsigned char room[sizeof(struct file_handle) + LARGEST];
};

static int fill(const char *type, uint64_t inode, uint32_t generation, union handle *handle)
{
	unsigned char *bytes = handle->head.f_handle;
	uint32_t narrow = (uint32_t)inode;

	memset(handle, 0, sizeof(*handle));
	if (!type)
		return -EOPNOTSUPP;
	if (!strcmp(type, "xfs")) {
		memcpy(bytes, &inode, sizeof(inode));
		memcpy(bytes + sizeof(inode), &generation, sizeof(generation));
		handle->head.handle_type = TYPE_64;
		handle->head.handle_bytes = sizeof(inode) + sizeof(generation);
		return 0;
	}
	if (strcmp(type, "ext4") != 0 && strcmp(type, "ext3") != 0 && strcmp(type, "ext2") != 0)
		return -EOPNOTSUPP;
	if (narrow != inode)
		return -ESTALE;
	memcpy(bytes, &narrow, sizeof(narrow));
	memcpy(bytes + sizeof(narrow), &generation, sizeof(generation));
	handle->head.handle_type = TYPE_32;
	handle->head.handle_bytes = sizeof(narrow) + sizeof(generation);
	return 0;
}

static int open_as(int fd, union handle *handle, int flags)
{
	int opened;

	do
		opened = open_by_handle_at(fd, &handle->head, flags | O_CLOEXEC | O_NOFOLLOW);
	while (opened < 0 && errno == EINTR);
	if (opened < 0)
		return -errno;
	return opened;
}

int pmr_handle_open(const struct pmr_filesystem *filesystem, int fd, uint64_t inode,
		    uint32_t generation)
{
	union handle handle;
	int looked, opened, ret;
	struct stat st;

	ret = fill(filesystem->type, inode, generation, &handle);
	if (ret)
		return ret;
	/*
	 * A FIFO or a device does something when it is really opened, so the inode is looked at first. While the O_PATH
	 * descriptor is there it cannot be freed, and so not become anything else.
	 */
	looked = open_as(fd, &handle, O_PATH);
	if (looked < 0)
		return looked;
	if (fstat(looked, &st))
		ret = -errno;
	else if (st.st_ino != inode || st.st_dev != filesystem->devno)
		ret = -ESTALE;
	else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		ret = -EINVAL;
	opened = ret ? ret : open_as(fd, &handle, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	close(looked);
	return opened;
}
