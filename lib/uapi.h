/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel has and older headers lack, each with the version that brought it. Include it after the headers
 * that define these names where they are new enough.
 */
#ifndef PMR_UAPI_H
#define PMR_UAPI_H

#include <linux/types.h>
#include <sys/syscall.h>

/* linux/fs.h: preadv2(2), pwritev2(2) */
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008 /* 4.14 */
#endif
#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x00000020 /* 6.9 */
#endif
/*
 * Proposed in 2021, never in a released kernel: a header that has it is a vendor's, and knows the bit. The proposal's own
 * bit is RWF_NOAPPEND since 6.9, so in any case ask the kernel which of the two it means.
 */
#ifndef RWF_RECOVERY_DATA
#define RWF_RECOVERY_DATA 0x00000020
#endif

/* linux/mman.h: cachestat(2), 6.5; one number everywhere but on Alpha */
#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif
struct pmr_cachestat_range {
	__u64 off;
	__u64 len;
};
struct pmr_cachestat {
	__u64 nr_cache;
	__u64 nr_dirty;
	__u64 nr_writeback;
	__u64 nr_evicted;
	__u64 nr_recently_evicted;
};

/* linux/memfd.h: memfd_create(2) */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* 6.3 */
#endif

/* linux/mount.h: open_tree(2) */
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1 /* 5.2 */
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif

/* linux/stat.h: statx(2) */
#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x00002000 /* 5.8 */
#endif
#ifndef STATX_ATTR_VERITY
#define STATX_ATTR_VERITY 0x00100000 /* 5.5 */
#endif
#ifndef STATX_ATTR_DAX
#define STATX_ATTR_DAX 0x00200000 /* 5.8 */
#endif

/* linux/fs.h: FS_IOC_FSGETXATTR */
#ifndef FS_XFLAG_REALTIME
#define FS_XFLAG_REALTIME 0x00000001 /* 4.5 */
#endif
#ifndef FS_XFLAG_DAX
#define FS_XFLAG_DAX 0x00008000 /* 4.5 */
#endif

#endif
