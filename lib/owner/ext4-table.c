/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inode tables, read in place; what is torn because the kernel writes it just now is read again. */

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "ext4.h"

/* What makes no sense is read so often, with pauses of 1, 2, 4 and 8 ms, before it is believed. */
#define TRIES 5

static uint32_t block_size(const struct pmr_ext4_worker *worker)
{
	return worker->ext4->fs->blocksize;
}

static int table_at(const struct pmr_ext4 *ext4, dgrp_t group, uint64_t *offset)
{
	uint64_t per_block = ext4->fs->blocksize / ext4->inode_size;
	uint64_t block = ext2fs_inode_table_loc(ext4->fs, group);
	uint64_t count = (ext4->fs->super->s_inodes_per_group + per_block - 1) / per_block;

	if (block <= ext4->fs->super->s_first_data_block || block >= ext4->blocks ||
	    count > ext4->blocks - block)
		return -EUCLEAN;
	*offset = block * ext4->fs->blocksize;
	return 0;
}

int pmr_ext4_inode_at(const struct pmr_ext4 *ext4, uint32_t number, uint64_t *offset)
{
	uint32_t per_group = ext4->fs->super->s_inodes_per_group;
	uint64_t table;
	int ret;

	if (!number || number > ext4->fs->super->s_inodes_count)
		return -EUCLEAN;
	ret = table_at(ext4, (number - 1) / per_group, &table);
	if (!ret)
		*offset = table + (uint64_t)((number - 1) % per_group) * ext4->inode_size;
	return ret;
}

/* ---- which are in use */

static int read_bitmap(struct pmr_ext4_worker *worker, dgrp_t group)
{
	const struct pmr_ext4 *ext4 = worker->ext4;
	uint64_t block = ext2fs_inode_bitmap_loc(ext4->fs, group);

	if (block <= ext4->fs->super->s_first_data_block || block >= ext4->blocks)
		return -EUCLEAN;
	return pmr_ext4_read(worker->ext4, worker->fd, block * block_size(worker), worker->bitmap,
			     block_size(worker));
}

/* Where nothing can be known, it is. */
static bool is_in_use(struct pmr_ext4_worker *worker, uint32_t number)
{
	uint32_t per_group = worker->ext4->fs->super->s_inodes_per_group;
	dgrp_t group = (number - 1) / per_group;
	uint32_t bit = (number - 1) % per_group;
	int ret;

	if (!worker->bitmap_state || worker->bitmap_group != group) {
		ret = read_bitmap(worker, group);
		worker->bitmap_state = ret ? ret : 1;
		worker->bitmap_group = group;
		if (ret)
			worker->ext4->incomplete = true;
	}
	return worker->bitmap_state < 0 || worker->bitmap[bit / 8] >> bit % 8 & 1;
}

/* ---- one inode */

/* Of what nobody can tell whether it is in use: nothing says that it is, or it was deleted. */
static bool is_unused(struct pmr_ext4_worker *worker, uint32_t number,
		      const struct ext2_inode_large *raw)
{
	if (raw->i_links_count || number == EXT2_BAD_INO)
		return false;
	/* reserved ones are in use from the beginning, most of them without ever being written */
	if (number < EXT2_FIRST_INO(worker->ext4->fs->super) && !raw->i_mode)
		return true;
	return !is_in_use(worker, number);
}

/* Return: 0; -EUCLEAN: it makes no sense; -ECANCELED; -ENOMEM. */
static int look_once(struct pmr_ext4_worker *worker, uint32_t number, struct ext2_inode_large *raw)
{
	int ret;

	if (is_unused(worker, number, raw))
		return 0;
	ret = pmr_ext4_blocks(worker, number, raw);
	if (!ret && !ext2fs_inode_csum_verify(worker->ext4->fs, number, raw))
		ret = -EUCLEAN;
	return ret;
}

static void wait_a_little(int try)
{
	const struct timespec pause = { .tv_nsec = 1000 * 1000L << try };

	nanosleep(&pause, NULL);
}

/*
 * Once something was found to be damaged, nothing is waited for any more: the answer will not be a whole one, and a
 * table full of damage would take forever.
 */
static int look_again(struct pmr_ext4_worker *worker, uint32_t number, uint64_t offset)
{
	int ret = -EUCLEAN;

	for (int try = 0; try < TRIES && ret == -EUCLEAN; try++) {
		if (try && worker->ext4->incomplete)
			break;
		if (try)
			wait_a_little(try - 1);
		worker->claims.n = worker->mark;
		worker->bitmap_state = 0;
		if (pmr_ext4_read(worker->ext4, worker->fd, offset, worker->inode,
				  worker->ext4->inode_size))
			continue;
		ret = look_once(worker, number, (struct ext2_inode_large *)worker->inode);
	}
	if (ret != -EUCLEAN)
		return ret;
	worker->ext4->incomplete = true;
	return 0;
}

static int look_at_inode(struct pmr_ext4_worker *worker, uint32_t number, uint64_t offset,
			 struct ext2_inode_large *raw)
{
	int ret;

	worker->mark = worker->claims.n;
	ret = look_once(worker, number, raw);
	return ret == -EUCLEAN ? look_again(worker, number, offset) : ret;
}

int pmr_ext4_one(struct pmr_ext4_worker *worker, uint32_t number)
{
	struct ext2_inode_large *raw = (struct ext2_inode_large *)worker->inode;
	uint64_t offset;

	if (pmr_ext4_inode_at(worker->ext4, number, &offset) ||
	    pmr_ext4_read(worker->ext4, worker->fd, offset, worker->inode,
			  worker->ext4->inode_size)) {
		worker->ext4->incomplete = true;
		return 0;
	}
	return look_at_inode(worker, number, offset, raw);
}

/* ---- a table */

/* Inodes that are wanted themselves; those of a block that cannot be read as well. */
static int claim_inodes(struct pmr_ext4_worker *worker, uint32_t number, uint64_t offset,
			const unsigned char *inodes, size_t length)
{
	uint32_t size = worker->ext4->inode_size;
	int ret = 0;

	if (!pmr_ranges_overlap(worker->ext4->wanted, offset, length))
		return 0;
	for (size_t at = 0; at < length && !ret; at += size, number++) {
		const struct ext2_inode_large *raw = inodes ? (const void *)(inodes + at) : NULL;

		if (!is_in_use(worker, number) && !(raw && raw->i_mode && raw->i_links_count))
			continue;
		worker->mark = worker->claims.n;
		ret = pmr_ext4_claim_inode(worker, number, offset + at, raw);
	}
	return ret;
}

int pmr_ext4_alone(struct pmr_ext4_worker *worker, uint32_t number)
{
	uint32_t size = block_size(worker);
	const unsigned char *inode = NULL;
	uint64_t offset;
	int ret;

	if (pmr_ext4_inode_at(worker->ext4, number, &offset)) {
		worker->ext4->incomplete = true;
		return 0;
	}
	if (pmr_ext4_read(worker->ext4, worker->fd, offset - offset % size, worker->table, size))
		worker->ext4->incomplete = true;
	else
		inode = worker->table + offset % size;
	ret = claim_inodes(worker, number, offset, inode, worker->ext4->inode_size);
	return ret || !inode ? ret : pmr_ext4_one(worker, number);
}

static int look_for_holders(struct pmr_ext4_worker *worker, uint32_t number,
			    const unsigned char *inodes, size_t length)
{
	uint32_t size = worker->ext4->inode_size;
	int ret = 0;

	for (size_t at = 0; at < length && !ret; at += size, number++)
		ret = pmr_ext4_look_for_values(worker, number, (const void *)(inodes + at));
	return ret;
}

static int look_at_piece(struct pmr_ext4_worker *worker, uint32_t number, uint64_t offset,
			 unsigned char *inodes, size_t length)
{
	uint32_t size = worker->ext4->inode_size;
	int ret;

	if (worker->ext4->n_values)
		return look_for_holders(worker, number, inodes, length);
	ret = claim_inodes(worker, number, offset, inodes, length);
	for (size_t at = 0; at < length && !ret; at += size, number++) {
		/* they were asked first */
		if (number <= EXT2_GOOD_OLD_FIRST_INO - 1 && number != EXT2_ROOT_INO)
			continue;
		ret = look_at_inode(worker, number, offset + at,
				    (struct ext2_inode_large *)(inodes + at));
	}
	return ret;
}

/* A piece that cannot be read is read block by block. */
static int look_at_blocks(struct pmr_ext4_worker *worker, uint32_t number, uint64_t offset,
			  size_t length)
{
	uint32_t size = block_size(worker), step;
	int ret = 0;

	for (size_t at = 0; at < length && !ret; at += step) {
		step = length - at < size ? (uint32_t)(length - at) : size;
		if (!pmr_ext4_read(worker->ext4, worker->fd, offset + at, worker->table, step)) {
			ret = look_at_piece(worker, number, offset + at, worker->table, step);
		} else {
			worker->ext4->incomplete = true;
			if (!worker->ext4->n_values)
				ret = claim_inodes(worker, number, offset + at, NULL, step);
		}
		number += step / worker->ext4->inode_size;
	}
	return ret;
}

int pmr_ext4_group(struct pmr_ext4_worker *worker, dgrp_t group)
{
	struct pmr_ext4 *ext4 = worker->ext4;
	uint32_t used = pmr_ext4_group_used(ext4, group);
	uint32_t number = group * ext4->fs->super->s_inodes_per_group + 1;
	size_t length = (size_t)used * ext4->inode_size, step;
	uint64_t offset, done;
	int ret = 0;

	if (!used)
		return 0;
	if (table_at(ext4, group, &offset)) {
		ext4->incomplete = true;
		return 0;
	}
	for (size_t at = 0; at < length && !ret; at += step) {
		if (pmr_is_cancelled(ext4->ctx))
			return -ECANCELED;
		step = length - at < worker->table_size ? length - at : worker->table_size;
		if (pmr_ext4_read(worker->ext4, worker->fd, offset + at, worker->table, step))
			ret = look_at_blocks(worker, number, offset + at, step);
		else
			ret = look_at_piece(worker, number, offset + at, worker->table, step);
		number += step / ext4->inode_size;
		done = atomic_fetch_add(&ext4->done, step / ext4->inode_size) +
		       step / ext4->inode_size;
		if (!ret)
			pmr_tell_progress(ext4->ctx, "inodes", NULL, done, ext4->total);
	}
	return ret;
}
