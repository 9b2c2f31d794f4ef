/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What ext4's block bitmaps have as free. Blocks that the kernel has only set aside are, too, and GETFSMAP hides them. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "ext4.h"

/*
 * @bitmap: of @group
 * @is_read: it holds what may be believed
 * @is_sure, @has_clusters: as pmr_ext4_free_claims() has them
 */
struct bitmaps {
	struct pmr_ext4 *ext4;
	int fd;
	unsigned char *bitmap;
	dgrp_t group;
	bool is_any;
	bool is_read;
	bool is_sure;
	bool *has_clusters;
};

/* A group without a bitmap yet has nothing set aside. */
static bool read_bitmap(struct bitmaps *b, dgrp_t group)
{
	ext2_filsys fs = b->ext4->fs;
	uint64_t block = ext2fs_block_bitmap_loc(fs, group);

	if (ext2fs_bg_flags_test(fs, group, EXT2_BG_BLOCK_UNINIT) ||
	    block <= fs->super->s_first_data_block || block >= b->ext4->blocks)
		return false;
	if (pmr_ext4_read(b->ext4, b->fd, block * fs->blocksize, b->bitmap, fs->blocksize))
		return false;
	return ext2fs_block_bitmap_csum_verify(fs, group, (char *)b->bitmap,
					       (int)(EXT2_CLUSTERS_PER_GROUP(fs->super) / 8));
}

static enum pmr_owner owner_of(struct bitmaps *b, uint64_t block)
{
	ext2_filsys fs = b->ext4->fs;
	uint64_t bit;
	dgrp_t group;

	/* its device may be larger */
	if (block >= b->ext4->blocks)
		return PMR_OWNER_FREE;
	if (block < fs->super->s_first_data_block)
		return PMR_OWNER_UNKNOWN;
	group = ext2fs_group_of_blk2(fs, block);
	if (!b->is_any || b->group != group) {
		b->is_any = true;
		b->group = group;
		b->is_read = read_bitmap(b, group);
	}
	bit = (block - ext2fs_group_first_block2(fs, group)) >> fs->cluster_ratio_bits;
	if (!b->is_read)
		return PMR_OWNER_UNKNOWN;
	if (!(b->bitmap[bit / 8] >> bit % 8 & 1))
		return PMR_OWNER_FREE;
	if (!fs->cluster_ratio_bits)
		return PMR_OWNER_UNKNOWN;
	*b->has_clusters = true;
	return b->is_sure ? PMR_OWNER_UNWRITTEN : PMR_OWNER_UNKNOWN;
}

static int claim_range(struct bitmaps *b, const struct pmr_range *range, struct pmr_claims *claims)
{
	uint64_t size = b->ext4->fs->blocksize, end = range->offset + range->length, to;
	int ret = 0;

	for (uint64_t from = range->offset; from < end && !ret; from = to) {
		struct pmr_owner_claim claim = { .owner = owner_of(b, from / size) };

		to = from - from % size + size;
		to = to < end ? to : end;
		claim.range = (struct pmr_range){ from, to - from };
		if (claim.owner != PMR_OWNER_UNKNOWN)
			ret = pmr_claims_add(claims, &claim);
	}
	return ret;
}

static int claim_all(struct bitmaps *b, const struct pmr_ranges *wanted, struct pmr_claims *claims)
{
	int ret;

	ret = pmr_ext4_open(b->ext4);
	if (ret)
		return ret;
	b->bitmap = malloc(b->ext4->fs->blocksize);
	if (!b->bitmap)
		return -ENOMEM;
	b->fd = open(b->ext4->path, O_RDONLY | O_CLOEXEC);
	if (b->fd < 0)
		return -errno;
	for (size_t i = 0; i < wanted->n && !ret; i++)
		ret = pmr_is_cancelled(b->ext4->ctx) ? -ECANCELED
						     : claim_range(b, &wanted->v[i], claims);
	return ret;
}

int pmr_ext4_free_claims(struct pmr_ctx *ctx, const char *path, const struct pmr_ranges *wanted,
			 bool is_sure, struct pmr_claims *claims, bool *has_clusters)
{
	struct bitmaps b = { .ext4 = calloc(1, sizeof(*b.ext4)),
			     .fd = -1,
			     .is_sure = is_sure,
			     .has_clusters = has_clusters };
	int ret;

	*has_clusters = false;

	if (!b.ext4)
		return -ENOMEM;
	b.ext4->ctx = ctx;
	b.ext4->path = path;
	b.ext4->pread = pread;
	ret = claim_all(&b, wanted, claims);
	if (b.fd >= 0)
		close(b.fd);
	free(b.bitmap);
	pmr_ext4_close(b.ext4);
	free(b.ext4);
	return ret == -ENOMEM || ret == -ECANCELED ? ret : 0;
}
