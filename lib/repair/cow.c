/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XFS keeps blocks ready for copy-on-write around what was once shared; while they are there, a write goes to them.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "repair.h"

/* xfs_fs.h, 3.8; the copy-on-write blocks came under it with 4.10 */
struct xfs_fs_eofblocks {
	uint32_t eof_version;
	uint32_t eof_flags;
	uint32_t eof_uid;
	uint32_t eof_gid;
	uint32_t eof_prid;
	uint32_t pad32;
	uint64_t eof_min_file_size;
	uint64_t pad64[12];
};

#define XFS_EOFBLOCKS_VERSION 1
#define XFS_EOF_FLAGS_SYNC (1u << 0)
#define XFS_EOF_FLAGS_UID (1u << 1)
#define XFS_EOF_FLAGS_MINFILESIZE (1u << 4)
#define XFS_IOC_FREE_EOFBLOCKS _IOR('X', 58, struct xfs_fs_eofblocks)

int pmr_cow_drop(const struct pmr_claim *claim)
{
	struct xfs_fs_eofblocks eof = { .eof_version = XFS_EOFBLOCKS_VERSION };
	const char *type = claim->file->filesystem->type;
	struct stat st;

	if (!type || strcmp(type, "xfs"))
		return 0;
	if (fstat(claim->fd, &st) < 0)
		return -errno;
	/* there is no filter by inode: owner and size leave few others */
	eof.eof_flags = XFS_EOF_FLAGS_SYNC | XFS_EOF_FLAGS_UID | XFS_EOF_FLAGS_MINFILESIZE;
	eof.eof_uid = st.st_uid;
	eof.eof_min_file_size = (uint64_t)st.st_size;
	return ioctl(claim->fd, XFS_IOC_FREE_EOFBLOCKS, &eof) < 0 ? -errno : 0;
}
