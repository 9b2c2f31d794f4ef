/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one inode has: its blocks, those that tell where they are, and that of its attributes. */

#include <endian.h>
#include <errno.h>
#include <linux/fiemap.h>
#include <stdlib.h>
#include <string.h>

#include "ext4.h"

/* Logical blocks have 32 bits. */
#define LOGICAL_END (UINT64_C(1) << 32)

/* What is claimed for an inode; @data goes without a part where it is a file's. @generation: as the disk has it */
struct owner {
	struct pmr_ext4_worker *worker;
	uint32_t number;
	uint32_t generation;
	struct pmr_owner_claim data;
	struct pmr_owner_claim tree;
	struct pmr_owner_claim attributes;
	uint64_t budget;
};

/* ---- claims */

/* Blocks of one file are mostly neighbours. */
static bool joins_last(struct pmr_ext4_worker *worker, const struct pmr_owner_claim *claim)
{
	struct pmr_owner_claim *last;

	if (worker->claims.n <= worker->mark)
		return false;
	last = &worker->claims.v[worker->claims.n - 1];
	if (last->range.offset + last->range.length != claim->range.offset ||
	    last->inode != claim->inode || last->owner != claim->owner || last->part != claim->part)
		return false;
	last->range.length += claim->range.length;
	return true;
}

/* Almost nothing is wanted: the sieve says so in a few nanoseconds. */
static int claim_bytes(struct pmr_ext4_worker *worker, const struct pmr_owner_claim *like,
		       uint64_t offset, uint64_t length)
{
	const struct pmr_extent extent = { .physical = offset, .length = length };
	struct pmr_owner_claim claim = *like;
	int ret;

	worker->hits.n = 0;
	ret = pmr_sieve_intersect(&worker->ext4->sieve, &extent, UINT64_MAX, 0, &worker->hits);
	for (size_t i = 0; i < worker->hits.n && !ret; i++) {
		claim.range.offset = worker->hits.v[i].device_offset;
		claim.range.length = worker->hits.v[i].length;
		if (!joins_last(worker, &claim))
			ret = pmr_claims_add(&worker->claims, &claim);
	}
	return ret;
}

static int claim_blocks(const struct owner *owner, const struct pmr_owner_claim *like,
			uint64_t block, uint64_t count)
{
	const struct pmr_ext4 *ext4 = owner->worker->ext4;

	/* the first block is the superblock's */
	if (block <= ext4->fs->super->s_first_data_block || block >= ext4->blocks ||
	    count > ext4->blocks - block)
		return -EUCLEAN;
	return claim_bytes(owner->worker, like, block * ext4->fs->blocksize,
			   count * ext4->fs->blocksize);
}

/* A block of the tree: claimed, then read to a place of its level's own. */
static int read_node(struct owner *owner, uint64_t block, unsigned int level,
		     const unsigned char **node)
{
	struct pmr_ext4_worker *worker = owner->worker;
	uint32_t size = worker->ext4->fs->blocksize;
	int ret;

	ret = claim_blocks(owner, &owner->tree, block, 1);
	if (ret)
		return ret;
	if (pmr_is_cancelled(worker->ext4->ctx))
		return -ECANCELED;
	if (!worker->nodes[level])
		worker->nodes[level] = malloc(size);
	if (!worker->nodes[level])
		return -ENOMEM;
	if (pmr_ext4_read(worker->ext4, worker->fd, block * size, worker->nodes[level], size))
		return -EUCLEAN;
	*node = worker->nodes[level];
	return 0;
}

/* What is damaged is told of, and what lies beside it is looked at all the same. */
static bool is_fatal(int ret, int *first)
{
	if (ret && !*first)
		*first = ret;
	if (ret && ret != -EUCLEAN)
		*first = ret;
	return ret && ret != -EUCLEAN;
}

/* ---- extents */

/* libext2fs's own reads the inode for each node, through caches that threads must not share, and that grow old. */
static bool is_node_whole(const struct owner *owner, const struct ext3_extent_header *header)
{
	const size_t length =
		sizeof(*header) + le16toh(header->eh_max) * sizeof(struct ext3_extent);
	const ext2_filsys fs = owner->worker->ext4->fs;
	const uint32_t number = htole32(owner->number);
	uint32_t sum, told;

	if (!ext2fs_has_feature_metadata_csum(fs->super))
		return true;
	memcpy(&told, (const char *)header + length, sizeof(told));
	sum = ext2fs_crc32c_le(fs->csum_seed, (const void *)&number, sizeof(number));
	sum = ext2fs_crc32c_le(sum, (const void *)&owner->generation, sizeof(owner->generation));
	sum = ext2fs_crc32c_le(sum, (const void *)header, length);
	return sum == le32toh(told);
}

static int look_at_node(struct owner *owner, const unsigned char *node, size_t size,
			unsigned int depth, uint64_t low, uint64_t high);

static int look_at_leaf(struct owner *owner, const struct ext3_extent *extent, unsigned int entries,
			uint64_t low, uint64_t high)
{
	int ret, first = 0;

	for (; entries; entries--, extent++) {
		uint64_t logical = le32toh(extent->ee_block);
		uint64_t block = le32toh(extent->ee_start) | (uint64_t)le16toh(extent->ee_start_hi)
								     << 32;
		uint32_t length = le16toh(extent->ee_len);
		struct pmr_owner_claim like = owner->data;

		if (length > EXT_INIT_MAX_LEN) {
			length -= EXT_INIT_MAX_LEN;
			if (like.owner == PMR_OWNER_FILE)
				like.owner = PMR_OWNER_UNWRITTEN;
		}
		if (!length || logical < low || logical + length > high) {
			first = first ? first : -EUCLEAN;
			continue;
		}
		low = logical + length;
		ret = claim_blocks(owner, &like, block, length);
		if (is_fatal(ret, &first))
			break;
	}
	return first;
}

/*
 * An entry's blocks lie between its own first one and that of the next. Whatever the disk says, no node is then read
 * twice for one inode, and the tree ends.
 */
static int look_at_index(struct owner *owner, const struct ext3_extent_idx *index,
			 unsigned int entries, unsigned int depth, uint64_t low, uint64_t high)
{
	int ret, first = 0;

	for (; entries; entries--, index++) {
		uint64_t logical = le32toh(index->ei_block);
		uint64_t next = entries > 1 ? le32toh(index[1].ei_block) : high;
		uint64_t block = le32toh(index->ei_leaf) | (uint64_t)le16toh(index->ei_leaf_hi)
								   << 32;
		const unsigned char *node;

		if (logical < low || next <= logical || next > high) {
			first = first ? first : -EUCLEAN;
			continue;
		}
		low = next;
		ret = read_node(owner, block, depth - 1, &node);
		if (!ret)
			ret = look_at_node(owner, node, owner->worker->ext4->fs->blocksize,
					   depth - 1, logical, next);
		if (is_fatal(ret, &first))
			break;
	}
	return first;
}

static int look_at_node(struct owner *owner, const unsigned char *node, size_t size,
			unsigned int depth, uint64_t low, uint64_t high)
{
	const struct ext3_extent_header *header = (const void *)node;
	unsigned int entries = le16toh(header->eh_entries), max = le16toh(header->eh_max);
	const void *first = node + sizeof(*header);
	int ret;

	if (le16toh(header->eh_magic) != EXT3_EXT_MAGIC || le16toh(header->eh_depth) != depth ||
	    entries > max || max > (size - sizeof(*header)) / sizeof(struct ext3_extent))
		return -EUCLEAN;
	if (!depth)
		ret = look_at_leaf(owner, first, entries, low, high);
	else if (!entries)
		ret = -EUCLEAN;
	else
		ret = look_at_index(owner, first, entries, depth, low, high);
	/* the root's sum is the inode's */
	if (size != sizeof(((struct ext2_inode *)0)->i_block) && !is_node_whole(owner, header))
		ret = ret ? ret : -EUCLEAN;
	return ret;
}

static int look_at_extents(struct owner *owner, const struct ext2_inode_large *raw)
{
	const struct ext3_extent_header *header = (const void *)raw->i_block;
	unsigned int depth = le16toh(header->eh_depth);

	if (depth > PMR_EXT4_DEPTH)
		return -EUCLEAN;
	return look_at_node(owner, (const void *)raw->i_block, sizeof(raw->i_block), depth, 0,
			    LOGICAL_END);
}

/* ---- indirect blocks */

/* @level: of indirection; 0 for data. A tree that has more blocks than the filesystem bites its own tail. */
static int look_at_pointer(struct owner *owner, uint32_t block, unsigned int level)
{
	uint32_t n = owner->worker->ext4->fs->blocksize / sizeof(uint32_t);
	const unsigned char *node;
	const uint32_t *pointers;
	int ret, first = 0;

	if (!block)
		return 0;
	if (!owner->budget)
		return -EUCLEAN;
	owner->budget--;
	if (!level)
		return claim_blocks(owner, &owner->data, block, 1);
	ret = read_node(owner, block, level - 1, &node);
	if (ret)
		return ret;
	pointers = (const void *)node;
	for (uint32_t i = 0; i < n; i++) {
		if (!pointers[i])
			continue;
		ret = look_at_pointer(owner, le32toh(pointers[i]), level - 1);
		if (is_fatal(ret, &first) || !owner->budget)
			break;
	}
	return first;
}

static int look_at_pointers(struct owner *owner, const struct ext2_inode_large *raw)
{
	int ret, first = 0;

	owner->budget = owner->worker->ext4->blocks;
	for (unsigned int i = 0; i < EXT2_N_BLOCKS; i++) {
		ret = look_at_pointer(owner, le32toh(raw->i_block[i]),
				      i < EXT2_NDIR_BLOCKS ? 0 : i - EXT2_NDIR_BLOCKS + 1);
		if (is_fatal(ret, &first))
			break;
	}
	return first;
}

/* ---- inode */

/* As the kernel decides it: by its blocks, and by its size where values of attributes in inodes count as blocks. */
static bool is_fast_symlink(const struct pmr_ext4 *ext4, const struct ext2_inode_large *raw)
{
	uint32_t for_attributes = 0;

	if (ext2fs_has_feature_ea_inode(ext4->fs->super))
		return raw->i_size && le32toh(raw->i_size) < sizeof(raw->i_block);
	if (raw->i_file_acl || raw->osd2.linux2.l_i_file_acl_high)
		for_attributes = (uint32_t)EXT2_CLUSTER_SIZE(ext4->fs->super) / 512;
	return le32toh(raw->i_blocks) == for_attributes;
}

static void set_owner(struct owner *owner, const struct ext2_inode_large *raw)
{
	const struct pmr_ext4 *ext4 = owner->worker->ext4;
	struct pmr_owner_claim like = { .owner = PMR_OWNER_METADATA };
	uint32_t mode = le16toh(raw->i_mode);

	if (pmr_ext4_is_special(ext4, owner->number)) {
		owner->data = owner->tree = owner->attributes = like;
		if (owner->number == ext4->special[0])
			owner->data.owner = PMR_OWNER_LOG;
		return;
	}
	if (le32toh(raw->i_flags) & EXT4_EA_INODE_FL) {
		like.part = PMR_PART_ATTRIBUTES;
		like.inode = owner->number | PMR_EXT4_VALUE;
		owner->data = owner->tree = owner->attributes = like;
		return;
	}
	like.inode = owner->number;
	like.generation = le32toh(raw->i_generation);
	owner->data = owner->tree = owner->attributes = like;
	owner->tree.part = PMR_PART_EXTENTS;
	owner->attributes.part = PMR_PART_ATTRIBUTES;
	if (LINUX_S_ISDIR(mode))
		owner->data.part = PMR_PART_DIRECTORY;
	else if (LINUX_S_ISLNK(mode))
		owner->data.part = PMR_PART_SYMLINK;
	else
		owner->data.owner = PMR_OWNER_FILE;
}

static bool has_blocks(const struct owner *owner, const struct ext2_inode_large *raw)
{
	uint32_t mode = le16toh(raw->i_mode), flags = le32toh(raw->i_flags);

	if (flags & EXT4_INLINE_DATA_FL)
		return false;
	/* the bad blocks' and the old boot loader's have no type */
	if (LINUX_S_ISREG(mode) || LINUX_S_ISDIR(mode) ||
	    owner->number < EXT2_FIRST_INO(owner->worker->ext4->fs->super))
		return true;
	return LINUX_S_ISLNK(mode) && !is_fast_symlink(owner->worker->ext4, raw);
}

static bool has_type(uint32_t mode)
{
	return LINUX_S_ISREG(mode) || LINUX_S_ISDIR(mode) || LINUX_S_ISLNK(mode) ||
	       LINUX_S_ISCHR(mode) || LINUX_S_ISBLK(mode) || LINUX_S_ISFIFO(mode) ||
	       LINUX_S_ISSOCK(mode);
}

uint64_t pmr_ext4_attributes_at(const struct pmr_ext4 *ext4, const struct ext2_inode_large *raw)
{
	uint64_t block = le32toh(raw->i_file_acl);

	if (ext2fs_has_feature_64bit(ext4->fs->super))
		block |= (uint64_t)le16toh(raw->osd2.linux2.l_i_file_acl_high) << 32;
	return block;
}

int pmr_ext4_blocks(struct pmr_ext4_worker *worker, uint32_t number,
		    const struct ext2_inode_large *raw)
{
	struct owner owner = { .worker = worker,
			       .number = number,
			       .generation = raw->i_generation };
	const struct pmr_ext4 *ext4 = worker->ext4;
	uint64_t attributes = pmr_ext4_attributes_at(ext4, raw);
	int ret, first = 0;

	set_owner(&owner, raw);
	if (attributes) {
		ret = claim_blocks(&owner, &owner.attributes, attributes, 1);
		if (is_fatal(ret, &first))
			return first;
	}
	/* the kernel does not mind the flag where no data is, and goes by the blocks */
	if (le32toh(raw->i_flags) & EXT4_INLINE_DATA_FL &&
	    !ext2fs_has_feature_inline_data(ext4->fs->super))
		return -EUCLEAN;
	if (has_blocks(&owner, raw)) {
		ret = le32toh(raw->i_flags) & EXT4_EXTENTS_FL ? look_at_extents(&owner, raw)
							      : look_at_pointers(&owner, raw);
		is_fatal(ret, &first);
	} else if (!has_type(le16toh(raw->i_mode))) {
		first = first ? first : -EUCLEAN;
	}
	return first;
}

int pmr_ext4_claim_inode(struct pmr_ext4_worker *worker, uint32_t number, uint64_t offset,
			 const struct ext2_inode_large *raw)
{
	struct pmr_owner_claim like = { .owner = PMR_OWNER_METADATA };

	if (raw && le32toh(raw->i_flags) & EXT4_EA_INODE_FL) {
		like.part = PMR_PART_ATTRIBUTES;
		like.inode = number | PMR_EXT4_VALUE;
	} else if (!pmr_ext4_is_special(worker->ext4, number)) {
		like.part = PMR_PART_INODE;
		like.inode = number;
		like.is_unreadable = !raw;
		if (raw)
			like.generation = le32toh(raw->i_generation);
	}
	return claim_bytes(worker, &like, offset, worker->ext4->inode_size);
}
