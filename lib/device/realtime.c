/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The realtime device of an XFS: whose data lies on it, and whether what stands for it is the one in use. */

#include <errno.h>
#include <linux/fs.h>
#include <linux/fsmap.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "private.h"
#include "uapi.h"

/* of the question, whole blocks of any filesystem's size */
#define LENGTH (UINT64_C(64) << 10)

bool pmr_file_is_realtime(int fd)
{
	struct fsxattr attributes = { 0 };

	return !ioctl(fd, FS_IOC_FSGETXATTR, &attributes) &&
	       attributes.fsx_xflags & FS_XFLAG_REALTIME;
}

bool pmr_file_is_on(int fd, const struct pmr_filesystem *filesystem)
{
	if (!filesystem->type || strcmp(filesystem->type, "xfs") != 0)
		return true;
	return pmr_file_is_realtime(fd) == (filesystem->role == PMR_ROLE_REALTIME);
}

int pmr_filesystem_has_device(int fd, dev_t device)
{
	struct fsmap_head head = { 0 };

	/* Without room for records, their number is all the answer. */
	head.fmh_keys[0].fmr_device = pmr_kernel_devno(device);
	head.fmh_keys[1] = (struct fsmap){
		.fmr_device = pmr_kernel_devno(device),
		.fmr_flags = UINT32_MAX,
		.fmr_physical = LENGTH,
		.fmr_owner = UINT64_MAX,
		.fmr_offset = UINT64_MAX,
	};
	if (!ioctl(fd, FS_IOC_GETFSMAP, &head))
		return 1;
	return errno == EINVAL ? 0 : -errno;
}

bool pmr_realtime_check(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, int fd,
			const char *object)
{
	struct stat st;

	if (filesystem->role != PMR_ROLE_REALTIME ||
	    (!stat(filesystem->source, &st) && pmr_filesystem_has_device(fd, st.st_rdev)))
		return true;
	pmr_say(ctx, PMR_ERROR, "realtime-file", object,
		"is of an XFS with a realtime device, and its mount options call that %s, which it is not (any more): look "
		"it up (lsblk), and scan that device by its name",
		filesystem->source);
	return false;
}
