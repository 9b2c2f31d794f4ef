/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an XFS tells of itself and of an inode, and what its geometry alone tells of places. */

#include <errno.h>
#include <sys/ioctl.h>

#include "xfs.h"

#define GEOMETRY _IOR('X', 100, struct pmr_xfs_geometry)

/* XFS_IOC_FSBULKSTAT_SINGLE */
struct bulk_request {
	uint64_t *inode;
	int32_t n;
	int32_t unused; /* the kernel is given no byte that nobody set */
	void *answer;
	int32_t *answered;
};
#define BULKSTAT_SINGLE _IOWR('X', 102, struct bulk_request)

struct bulk_time {
	long seconds;
	int32_t nanoseconds;
};

/* struct xfs_bstat, and more room than it ever took. */
struct bulk_answer {
	uint64_t inode;
	uint16_t mode;
	uint16_t links;
	uint32_t user;
	uint32_t group;
	uint32_t device;
	int32_t block_size;
	int64_t size;
	struct bulk_time times[3];
	int64_t blocks;
	uint32_t flags;
	int32_t extent_size;
	int32_t extents;
	uint32_t generation;
	uint16_t project_low;
	uint16_t
		fork_offset; /* of the attributes in the inode, in bytes behind its core; 0 without any */
	uint16_t project_high;
	uint16_t sick;
	uint16_t checked;
	uint16_t unused;
	uint32_t cow_extent_size;
	uint32_t event_mask;
	uint16_t event_state;
	uint16_t attribute_extents;
	unsigned char rest[384];
};

/* Inodes are read in clusters of so many, and in whole blocks (XFS_INODE_BIG_CLUSTER_SIZE grows with the inode). */
#define CLUSTER_INODES 32u

/* struct xfs_dinode up to its forks, where it is longest, and what tells of one extent there. */
#define INODE_CORE 176u
#define INODE_EXTENT 16u

/* Superblock, free space, inodes, and the list of free blocks. */
#define HEAD_SECTORS 4

bool pmr_xfs_geometry(int fd, struct pmr_xfs_geometry *geometry)
{
	*geometry = (struct pmr_xfs_geometry){ 0 };
	return !ioctl(fd, GEOMETRY, geometry) && geometry->block_size && geometry->group_blocks;
}

bool pmr_xfs_inode(int fd, uint64_t number, struct pmr_xfs_inode *inode)
{
	struct bulk_answer answer = { 0 };
	int32_t answered = 0;
	struct bulk_request request = {
		.inode = &number, .n = 1, .answer = &answer, .answered = &answered
	};

	if (ioctl(fd, BULKSTAT_SINGLE, &request))
		return false;
	*inode = (struct pmr_xfs_inode){ answer.inode,	    answer.mode,
					 answer.generation, answer.fork_offset,
					 answer.extents,    answer.attribute_extents };
	return true;
}

bool pmr_xfs_inode_is_all(const struct pmr_xfs_geometry *geometry,
			  const struct pmr_xfs_inode *inode)
{
	uint32_t room = inode->fork_offset;

	if (geometry->inode_size <= INODE_CORE)
		return false;
	if (!room || room > geometry->inode_size - INODE_CORE)
		room = geometry->inode_size - INODE_CORE;
	return !inode->attribute_extents && inode->extents <= room / INODE_EXTENT;
}

/* How many bits it takes to tell so many apart. */
static unsigned int bits_of(uint64_t n)
{
	unsigned int bits = 0;

	while (bits < 63 && (UINT64_C(1) << bits) < n)
		bits++;
	return bits;
}

bool pmr_xfs_inode_at(const struct pmr_xfs_geometry *g, uint64_t number, struct pmr_range *range)
{
	unsigned int in_block, in_group;
	uint64_t group, offset, cluster;

	if (!g->inode_size || g->inode_size > g->block_size)
		return false;
	in_block = bits_of(g->block_size / g->inode_size);
	in_group = bits_of(g->group_blocks) + in_block;
	if (in_group > 63)
		return false;
	group = number >> in_group;
	if (group >= g->groups)
		return false;
	offset = (number & ((UINT64_C(1) << in_group) - 1)) * g->inode_size;
	cluster = (uint64_t)CLUSTER_INODES * g->inode_size;
	if (cluster < g->block_size)
		cluster = g->block_size;
	offset -= offset % cluster;
	*range = (struct pmr_range){ group * g->group_blocks * g->block_size + offset, cluster };
	return true;
}

int pmr_xfs_fixed(int fd, struct pmr_ranges *log, struct pmr_ranges *metadata)
{
	uint64_t group_size, log_group, log_block;
	struct pmr_xfs_geometry g;
	unsigned int bits = 0;
	int ret = 0;

	if (!pmr_xfs_geometry(fd, &g))
		return 0;
	group_size = (uint64_t)g.group_blocks * g.block_size;
	/* an address is the number of a group and of a block in it, in as many bits as that takes */
	while (bits < 32 && (UINT64_C(1) << bits) < g.group_blocks)
		bits++;
	log_group = g.log_start >> bits;
	log_block = g.log_start & ((UINT64_C(1) << bits) - 1);
	if (g.log_start && g.log_blocks && log_group < g.groups && log_block < g.group_blocks)
		ret = pmr_ranges_add(log, log_group * group_size + log_block * g.block_size,
				     (uint64_t)g.log_blocks * g.block_size);
	for (uint32_t i = 0; i < g.groups && !ret; i++)
		ret = pmr_ranges_add(metadata, i * group_size,
				     (uint64_t)HEAD_SECTORS * g.sector_size);
	pmr_ranges_normalize(log);
	pmr_ranges_normalize(metadata);
	return ret;
}
