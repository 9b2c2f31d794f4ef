/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An ext2, ext3 or ext4, mounted or not, opened read-only by libext2fs. */

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "ext4.h"

/* A mounted filesystem's superblock and descriptors may be read while the kernel writes them. */
#define OPEN_TRIES 5

static int errno_of(errcode_t error)
{
	switch (error) {
	case 0:
		return 0;
	case EXT2_ET_NO_MEMORY:
		return -ENOMEM;
	case EXT2_ET_UNSUPP_FEATURE:
	case EXT2_ET_RO_UNSUPP_FEATURE:
	case EXT2_ET_REV_TOO_HIGH:
		return -EOPNOTSUPP;
	case EXT2_ET_SHORT_READ:
		return -EIO;
	default:
		/* what is not its own is an errno */
		return error > 0 && error < 4096 ? -(int)error : -EUCLEAN;
	}
}

int pmr_ext4_read(const struct pmr_ext4 *ext4, int fd, uint64_t offset, void *buffer, size_t length)
{
	size_t got = 0;
	ssize_t n;

	while (got < length) {
		n = ext4->pread(fd, (char *)buffer + got, length - got, (off_t)(offset + got));
		if (n > 0)
			got += (size_t)n;
		else if (!n || errno != EINTR)
			return n ? -errno : -EIO;
	}
	return 0;
}

/* Before libext2fs allocates what a superblock asks for: it must lie on its device. */
static int check_size(const struct pmr_ext4 *ext4)
{
	struct ext2_super_block super;
	uint64_t blocks, bytes;
	off_t end = -1;
	int fd, ret;

	fd = open(ext4->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = pmr_ext4_read(ext4, fd, SUPERBLOCK_OFFSET, &super, sizeof(super));
	if (!ret) {
		end = lseek(fd, 0, SEEK_END);
		if (end < 0)
			ret = -errno;
	}
	close(fd);
	if (ret)
		return ret;
	if (le16toh(super.s_magic) != EXT2_SUPER_MAGIC || le32toh(super.s_log_block_size) > 6)
		return -EUCLEAN;
	blocks = le32toh(super.s_blocks_count);
	if (le32toh(super.s_feature_incompat) & EXT4_FEATURE_INCOMPAT_64BIT)
		blocks |= (uint64_t)le32toh(super.s_blocks_count_hi) << 32;
	if (__builtin_mul_overflow(blocks, UINT64_C(1024) << le32toh(super.s_log_block_size),
				   &bytes) ||
	    bytes > (uint64_t)end)
		return -EUCLEAN;
	return 0;
}

static bool are_descriptors_whole(const struct pmr_ext4 *ext4)
{
	for (dgrp_t group = 0; group < ext4->fs->group_desc_count; group++)
		if (!ext2fs_group_desc_csum_verify(ext4->fs, group))
			return false;
	return true;
}

static int check_geometry(struct pmr_ext4 *ext4)
{
	const struct ext2_super_block *super = ext4->fs->super;
	uint64_t bytes;

	ext4->blocks = ext2fs_blocks_count(ext4->fs->super);
	ext4->inode_size = EXT2_INODE_SIZE(super);
	if (ext4->inode_size < EXT2_GOOD_OLD_INODE_SIZE || ext4->inode_size > ext4->fs->blocksize ||
	    ext4->fs->blocksize % ext4->inode_size || !super->s_inodes_per_group ||
	    super->s_inodes_per_group > 8 * ext4->fs->blocksize || !super->s_inodes_count ||
	    (super->s_inodes_count - 1) / super->s_inodes_per_group >= ext4->fs->group_desc_count)
		return -EUCLEAN;
	/* a group's bitmap is one block */
	if (super->s_blocks_per_group >> ext4->fs->cluster_ratio_bits > 8 * ext4->fs->blocksize ||
	    super->s_clusters_per_group > 8 * ext4->fs->blocksize)
		return -EUCLEAN;
	/* it may be another superblock than the one before */
	if (__builtin_mul_overflow(ext4->blocks, ext4->fs->blocksize, &bytes) || bytes > INT64_MAX)
		return -EUCLEAN;
	return 0;
}

static int open_once(struct pmr_ext4 *ext4)
{
	errcode_t error;
	int ret;

	ret = check_size(ext4);
	if (ret)
		return ret;
	error = ext2fs_open2(ext4->path, NULL, EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES, 0, 0,
			     unix_io_manager, &ext4->fs);
	if (error) {
		ext4->fs = NULL;
		return errno_of(error);
	}
	return check_geometry(ext4);
}

int pmr_ext4_open(struct pmr_ext4 *ext4)
{
	const struct timespec pause = { .tv_nsec = 2 * 1000 * 1000 };
	const struct ext2_super_block *super;
	int ret;

	for (int try = 1;; try++) {
		ret = open_once(ext4);
		if (!ret && are_descriptors_whole(ext4))
			break;
		if ((ret && ret != -EUCLEAN) || try == OPEN_TRIES)
			break;
		pmr_ext4_close(ext4);
		nanosleep(&pause, NULL);
	}
	if (ret)
		return ret;
	ext4->distrust = !are_descriptors_whole(ext4);
	ext4->incomplete = ext4->distrust;
	super = ext4->fs->super;
	if (ext2fs_has_feature_journal(ext4->fs->super))
		ext4->special[0] = super->s_journal_inum;
	if (ext2fs_has_feature_quota(ext4->fs->super)) {
		ext4->special[1] = super->s_usr_quota_inum;
		ext4->special[2] = super->s_grp_quota_inum;
		ext4->special[3] = super->s_prj_quota_inum;
	}
	if (ext2fs_has_feature_orphan_file(ext4->fs->super))
		ext4->special[4] = super->s_orphan_file_inum;
	for (dgrp_t group = 0; group < ext4->fs->group_desc_count; group++)
		ext4->total += pmr_ext4_group_used(ext4, group);
	return 0;
}

void pmr_ext4_close(struct pmr_ext4 *ext4)
{
	if (ext4->fs)
		ext2fs_free(ext4->fs);
	ext4->fs = NULL;
}

/* What a descriptor says of unused inodes counts only where descriptors have checksums. */
uint32_t pmr_ext4_group_used(const struct pmr_ext4 *ext4, dgrp_t group)
{
	const struct ext2_super_block *super = ext4->fs->super;
	uint32_t used = super->s_inodes_per_group, unused;
	uint64_t before = (uint64_t)group * used;

	if (before >= super->s_inodes_count)
		return 0;
	if (used > super->s_inodes_count - before)
		used = (uint32_t)(super->s_inodes_count - before);
	if (!ext2fs_has_group_desc_csum(ext4->fs) || ext4->distrust)
		return used;
	if (ext2fs_bg_flags_test(ext4->fs, group, EXT2_BG_INODE_UNINIT))
		return 0;
	unused = ext2fs_bg_itable_unused(ext4->fs, group);
	return used > unused ? used - unused : 0;
}

bool pmr_ext4_is_special(const struct pmr_ext4 *ext4, uint32_t number)
{
	if (number < EXT2_FIRST_INO(ext4->fs->super))
		return number != EXT2_ROOT_INO;
	for (size_t i = 0; i < PMR_EXT4_SPECIAL; i++)
		if (ext4->special[i] == number)
			return true;
	return false;
}
