/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an XFS tells of itself and of an inode: ioctls of xfs_fs.h, since before git. */
#ifndef PMR_OWNER_XFS_H
#define PMR_OWNER_XFS_H

#include "private.h"

/**
 * struct pmr_xfs_geometry - XFS_IOC_FSGEOMETRY_V1
 * @log_start: its group and the block in it, as pmr_xfs_fixed() reads them; 0 for a log on another device
 * @flags: PMR_XFS_*
 */
struct pmr_xfs_geometry {
	uint32_t block_size;
	uint32_t rt_extent_size;
	uint32_t group_blocks;
	uint32_t groups;
	uint32_t log_blocks;
	uint32_t sector_size;
	uint32_t inode_size;
	uint32_t inode_percent;
	uint64_t data_blocks;
	uint64_t rt_blocks;
	uint64_t rt_extents;
	uint64_t log_start;
	unsigned char uuid[16];
	uint32_t stripe_unit;
	uint32_t stripe_width;
	int32_t version;
	uint32_t flags;
	uint32_t log_sector_size;
	uint32_t rt_sector_size;
	uint32_t directory_block_size;
};

#define PMR_XFS_RMAPBT (UINT32_C(1) << 19)
#define PMR_XFS_REFLINK (UINT32_C(1) << 20)

/** pmr_xfs_geometry() - of the filesystem of an open file. Return: whether it is XFS and makes sense. */
bool pmr_xfs_geometry(int fd, struct pmr_xfs_geometry *geometry);

/** struct pmr_xfs_inode - what is known of one inode, by number */
struct pmr_xfs_inode {
	uint64_t number;
	uint32_t mode;
	uint32_t generation;
	uint32_t
		fork_offset; /* where its attributes begin, in bytes behind what all inodes have; 0 without any */
	uint32_t extents;
	uint32_t attribute_extents;
};

/** pmr_xfs_inode() - look at an inode. Needs CAP_SYS_ADMIN. Return: whether there is one. */
bool pmr_xfs_inode(int fd, uint64_t number, struct pmr_xfs_inode *inode);

/**
 * pmr_xfs_inode_is_all() - whether an inode has no blocks but its data's: all extents are told in it, and so are its attributes
 *
 * XFS goes back to that (xfs_bmap_btree_to_extents) as soon as there is room for all of them again.
 */
bool pmr_xfs_inode_is_all(const struct pmr_xfs_geometry *geometry,
			  const struct pmr_xfs_inode *inode);

/**
 * pmr_xfs_inode_at() - where the inodes are that are read with one of them, and without which that one is not
 * @range: result, in offsets from the filesystem's byte 0
 *
 * Return: whether there can be such an inode.
 */
bool pmr_xfs_inode_at(const struct pmr_xfs_geometry *geometry, uint64_t number,
		      struct pmr_range *range);

/**
 * pmr_xfs_fixed() - where the log lies, and the heads of groups, which never move
 * @log: gains it, normal, in offsets from the filesystem's byte 0
 * @metadata: gains them, likewise
 *
 * What GETFSMAP does not tell without rmapbt. Return: 0, -ENOMEM.
 */
int pmr_xfs_fixed(int fd, struct pmr_ranges *log, struct pmr_ranges *metadata);

#endif
