/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of a filesystem its geometry alone tells, where the reverse map does not: the log, and the heads of groups. */

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "scan.h"

/* ---- XFS: XFS_IOC_FSGEOMETRY_V1 of xfs_fs.h, since before git */

struct xfs_geometry {
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
	uint32_t more[7];
};
#define XFS_GEOMETRY _IOR('X', 100, struct xfs_geometry)
/* Superblock, free space, inodes, and the list of free blocks. */
#define XFS_HEAD_SECTORS 4

static int find_xfs(int fd, const struct pmr_filesystem *filesystem, struct pmr_fixed *fixed)
{
	struct xfs_geometry g = { 0 };
	uint64_t group_size, log_group, log_block;
	unsigned int bits = 0;
	int ret = 0;

	if (ioctl(fd, XFS_GEOMETRY, &g) || !g.block_size || !g.group_blocks)
		return 0;
	group_size = (uint64_t)g.group_blocks * g.block_size;
	/* an address is the number of a group and of a block in it, in as many bits as that takes */
	while (bits < 32 && (UINT64_C(1) << bits) < g.group_blocks)
		bits++;
	log_group = g.log_start >> bits;
	log_block = g.log_start & ((UINT64_C(1) << bits) - 1);
	/* one that starts at 0 is on another device */
	if (g.log_start && g.log_blocks && log_group < g.groups && log_block < g.group_blocks)
		ret = pmr_ranges_add(&fixed->log, log_group * group_size + log_block * g.block_size,
				     (uint64_t)g.log_blocks * g.block_size);
	for (uint32_t i = 0; i < g.groups && i * group_size < filesystem->size && !ret; i++)
		ret = pmr_ranges_add(&fixed->metadata, i * group_size,
				     (uint64_t)XFS_HEAD_SECTORS * g.sector_size);
	return ret;
}

/* ---- ext4: its superblock has a copy of where the journal's inode lies */

#define EXT4_SUPERBLOCK 1024u
#define EXT4_MAGIC 0xef53
#define EXT4_HAS_JOURNAL 0x4u
#define EXT4_JOURNAL_INODE 8u
#define EXT4_COPY_OF_BLOCKS 1
#define EXT4_NODE_MAGIC 0xf30a
#define EXT4_NODE_HEAD 12u
#define EXT4_NODE_ENTRY 12u
/* In an inode: as many bytes as 15 block numbers. */
#define EXT4_ROOT_SIZE 60u
/* Of a journal of 1 TiB. */
#define EXT4_MAX_DEPTH 2
#define EXT4_UNWRITTEN 32768u

struct ext4_reader {
	const struct pmr_filesystem *filesystem;
	struct pmr_media *media;
	uint32_t block_size;
	struct pmr_fixed *fixed;
};

static uint16_t get16(const unsigned char *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return le16toh(value);
}

static uint32_t get32(const unsigned char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

/* 1 all of it was read, 0 not; -ENOMEM. Listed sectors are never read. */
static int read_part(const struct ext4_reader *reader, uint64_t offset, uint32_t length,
		     void *buffer)
{
	const struct pmr_filesystem *filesystem = reader->filesystem;
	struct pmr_ranges unreadable = { 0 };
	int ret;

	if (offset > filesystem->size || length > filesystem->size - offset)
		return 0;
	ret = pmr_media_salvage(reader->media, filesystem->start + offset, length,
				&filesystem->device->badblocks.ranges, buffer, &unreadable);
	if (!ret)
		ret = !unreadable.n;
	else if (ret != -ENOMEM)
		ret = 0;
	pmr_ranges_release(&unreadable);
	return ret;
}

static int take_node(const struct ext4_reader *reader, const unsigned char *node, uint32_t size,
		     int max_depth);

/* A node below; it is metadata itself. */
static int take_below(const struct ext4_reader *reader, uint64_t block, int max_depth)
{
	uint64_t offset = block * reader->block_size;
	unsigned char *node = malloc(reader->block_size);
	int ret = -ENOMEM;

	if (node)
		ret = read_part(reader, offset, reader->block_size, node);
	if (ret == 1)
		ret = pmr_ranges_add(&reader->fixed->metadata, offset, reader->block_size)
			      ? -ENOMEM
			      : take_node(reader, node, reader->block_size, max_depth);
	free(node);
	return ret;
}

/* 1 all of it is understood, 0 not, -ENOMEM */
static int take_node(const struct ext4_reader *reader, const unsigned char *node, uint32_t size,
		     int max_depth)
{
	unsigned int n = get16(node + 2), depth = get16(node + 6), length;
	uint64_t block;
	int ret = 1;

	if (get16(node) != EXT4_NODE_MAGIC || (int)depth > max_depth ||
	    n > (size - EXT4_NODE_HEAD) / EXT4_NODE_ENTRY)
		return 0;
	for (unsigned int i = 0; i < n && ret == 1; i++) {
		const unsigned char *entry = node + EXT4_NODE_HEAD + i * EXT4_NODE_ENTRY;

		if (depth) {
			block = (uint64_t)get16(entry + 8) << 32 | get32(entry + 4);
			ret = take_below(reader, block, (int)depth - 1);
			continue;
		}
		length = get16(entry + 4);
		if (length > EXT4_UNWRITTEN)
			length -= EXT4_UNWRITTEN;
		block = (uint64_t)get16(entry + 6) << 32 | get32(entry + 8);
		ret = length ? pmr_ranges_add(&reader->fixed->log, block * reader->block_size,
					      (uint64_t)length * reader->block_size)
			     : -EINVAL;
		ret = ret == -ENOMEM ? ret : !ret;
	}
	return ret;
}

/* As take_node(). Journals of ext3, which have no extents, are not understood. */
static int take_superblock(struct ext4_reader *reader, const unsigned char *super)
{
	const unsigned char *copy = super + 0x10c;
	uint64_t size =
		(uint64_t)get32(copy + EXT4_ROOT_SIZE) << 32 | get32(copy + EXT4_ROOT_SIZE + 4);
	int ret;

	if (get16(super + 0x38) != EXT4_MAGIC || !(get32(super + 0x5c) & EXT4_HAS_JOURNAL) ||
	    get32(super + 0xe0) != EXT4_JOURNAL_INODE || super[0xfd] != EXT4_COPY_OF_BLOCKS ||
	    get32(super + 0x18) > 6)
		return 0;
	reader->block_size = 1024u << get32(super + 0x18);
	ret = take_node(reader, copy, EXT4_ROOT_SIZE, EXT4_MAX_DEPTH);
	pmr_ranges_normalize(&reader->fixed->log);
	return ret == 1 ? pmr_ranges_bytes(&reader->fixed->log) == size : ret;
}

static int find_ext4(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem,
		     struct pmr_fixed *fixed)
{
	struct ext4_reader reader = { .filesystem = filesystem, .fixed = fixed };
	unsigned char *page = malloc(PMR_PAGE);
	int ret = page ? 0 : -ENOMEM;

	if (!ret && !pmr_media_open(ctx, filesystem->device, &reader.media)) {
		ret = read_part(&reader, 0, PMR_PAGE, page);
		if (ret == 1)
			ret = take_superblock(&reader, page + EXT4_SUPERBLOCK);
		/* half a journal may be anything */
		if (ret != 1) {
			fixed->log.n = 0;
			fixed->metadata.n = 0;
		}
	}
	pmr_media_close(reader.media);
	free(page);
	return ret < 0 ? ret : 0;
}

/* ---- the whole */

int pmr_fixed_find(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, int fd,
		   struct pmr_fixed *fixed)
{
	int ret = 0;

	if (filesystem->type && !strcmp(filesystem->type, "xfs"))
		ret = find_xfs(fd, filesystem, fixed);
	else if (filesystem->type && !strcmp(filesystem->type, "ext4"))
		ret = find_ext4(ctx, filesystem, fixed);
	pmr_ranges_normalize(&fixed->log);
	pmr_ranges_normalize(&fixed->metadata);
	return ret;
}

void pmr_fixed_release(struct pmr_fixed *fixed)
{
	pmr_ranges_release(&fixed->log);
	pmr_ranges_release(&fixed->metadata);
}
