/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the pass over ext4's inode table share:
 *
 *   ext4-open.c   superblock and group descriptors, by libext2fs
 *   ext4-blocks.c what one inode has: extents, indirect blocks
 *   ext4-table.c  a group's inodes, one after the other
 *   ext4-values.c whose large attributes are
 *   ext4.c        the pass: threads, reserved inodes
 *   ext4-free.c   what is free by the block bitmaps
 *
 * libext2fs decides what is a filesystem, where its tables are and whether checksums hold; inodes and extent trees are read in
 * place, since its own reader allocates and copies for each of them.
 */
#ifndef PMR_EXT4_H
#define PMR_EXT4_H

#include <ext2fs/ext2fs.h>
#include <pthread.h>
#include <stdatomic.h>

#include "owner.h"

/** PMR_EXT4_DEPTH - of extent trees: the kernel's own limit */
#define PMR_EXT4_DEPTH 5

/** PMR_EXT4_SPECIAL - inodes that the superblock names */
#define PMR_EXT4_SPECIAL 5

/**
 * PMR_EXT4_VALUE - in a claim's inode, as long as it is not known whose attribute's value the inode holds
 *
 * Such an inode has no name, and the kernel takes it for damage when somebody asks for it by its number.
 */
#define PMR_EXT4_VALUE (UINT64_C(1) << 32)

/** pmr_ext4_pread_fn - pread(2), or what a test puts in its place */
typedef ssize_t (*pmr_ext4_pread_fn)(int fd, void *buffer, size_t length, off_t offset);

/**
 * struct pmr_ext4 - a filesystem, and what its threads share
 * @sieve: of @wanted
 * @blocks: of the filesystem; their bytes fit into its device
 * @special: numbers of inodes that are the filesystem's own wherever they are; 0 for none. The journal is the first
 * @distrust: a descriptor's checksum is wrong
 * @total: inodes in the used parts of all tables
 * @values: inodes of values, sorted, whose holders are looked for; none in the first pass
 * @next_group: the first group that no thread has taken yet
 * @done: inodes looked at
 * @incomplete: something could not be read or makes no sense
 * @stop: a thread failed, or was cancelled
 */
struct pmr_ext4 {
	struct pmr_ctx *ctx;
	const char *path;
	pmr_ext4_pread_fn pread;
	const struct pmr_ranges *wanted;
	struct pmr_sieve sieve;
	ext2_filsys fs;
	uint64_t blocks;
	uint32_t inode_size;
	uint32_t special[PMR_EXT4_SPECIAL];
	bool distrust;
	uint64_t total;
	uint32_t *values;
	size_t n_values;
	size_t alloc_values;
	atomic_uint next_group;
	atomic_ullong done;
	atomic_bool incomplete;
	atomic_bool stop;
};

/** struct pmr_ext4_holder - @value is of an attribute of inode @number */
struct pmr_ext4_holder {
	uint32_t value;
	uint32_t number;
	uint32_t generation;
};

/**
 * struct pmr_ext4_worker - what one thread has for itself
 * @fd: of the device, so that each has its own readahead
 * @claims: what it found
 * @mark: claims from here on are of the inode that is being looked at
 * @hits: for the sieve
 * @table: a piece of an inode table
 * @table_size: bytes there is room for: a multiple of the block size
 * @inode: one inode, read again
 * @nodes: a block for each level below an inode, NULL until it is needed
 * @bitmap: which inodes of @bitmap_group are in use
 * @bitmap_state: 1: it was read; 0: not yet; a negative errno
 * @holders: of @values, as far as it met them
 * @ret: how the thread ended
 */
struct pmr_ext4_worker {
	struct pmr_ext4 *ext4;
	pthread_t thread;
	int fd;
	struct pmr_claims claims;
	size_t mark;
	struct pmr_losses hits;
	unsigned char *table;
	size_t table_size;
	unsigned char *inode;
	unsigned char *nodes[PMR_EXT4_DEPTH];
	unsigned char *bitmap;
	dgrp_t bitmap_group;
	int bitmap_state;
	struct pmr_ext4_holder *holders;
	size_t n_holders;
	size_t alloc_holders;
	int ret;
};

/* ---- ext4-open.c */

/**
 * pmr_ext4_open() - read superblock and descriptors, as often as it takes where they are being written
 * @ext4: result: fs and what follows from it; pmr_ext4_close() also after a failure
 */
int pmr_ext4_open(struct pmr_ext4 *ext4);
void pmr_ext4_close(struct pmr_ext4 *ext4);
/** pmr_ext4_read() - Return: 0, all of it; -EIO also for less; a negative errno */
int pmr_ext4_read(const struct pmr_ext4 *ext4, int fd, uint64_t offset, void *buffer,
		  size_t length);
/** pmr_ext4_group_used() - how many inodes of a group may be in use: the first ones of its table */
uint32_t pmr_ext4_group_used(const struct pmr_ext4 *ext4, dgrp_t group);
/** pmr_ext4_is_special() - whether an inode is the filesystem's own, and no user's */
bool pmr_ext4_is_special(const struct pmr_ext4 *ext4, uint32_t number);

/* ---- ext4-blocks.c */

/**
 * pmr_ext4_blocks() - claim the blocks of an inode
 * @raw: as it is on disk
 *
 * Return: 0; -EUCLEAN: some of it makes no sense or could not be read, the rest is claimed; -ECANCELED; -ENOMEM.
 */
int pmr_ext4_blocks(struct pmr_ext4_worker *worker, uint32_t number,
		    const struct ext2_inode_large *raw);
/** pmr_ext4_claim_inode() - claim an inode's own bytes; @raw: NULL where they could not be read */
int pmr_ext4_claim_inode(struct pmr_ext4_worker *worker, uint32_t number, uint64_t offset,
			 const struct ext2_inode_large *raw);
/** pmr_ext4_attributes_at() - the block of an inode's attributes, as the disk has it; 0 for none */
uint64_t pmr_ext4_attributes_at(const struct pmr_ext4 *ext4, const struct ext2_inode_large *raw);

/* ---- ext4-values.c */

/** pmr_ext4_values_init() - take note of what was claimed for values. Return: 0, -ENOMEM. */
int pmr_ext4_values_init(struct pmr_ext4 *ext4, const struct pmr_claims *claims);
/** pmr_ext4_values_sort() - to be called before @values are looked for */
void pmr_ext4_values_sort(struct pmr_ext4 *ext4);
/** pmr_ext4_look_for_values() - does an inode hold any of @values? Return: 0, -ENOMEM. */
int pmr_ext4_look_for_values(struct pmr_ext4_worker *worker, uint32_t number,
			     const struct ext2_inode_large *raw);
/** pmr_ext4_add_claim() - append a claim; of a value, one for each holder, or one without an inode. Return: 0, -ENOMEM. */
int pmr_ext4_add_claim(struct pmr_claims *claims, const struct pmr_owner_claim *claim,
		       const struct pmr_ext4_worker *workers, unsigned int n);

/* ---- ext4-table.c */

/** pmr_ext4_inode_at() - where an inode is. Return: 0, -EUCLEAN (outside of the filesystem). */
int pmr_ext4_inode_at(const struct pmr_ext4 *ext4, uint32_t number, uint64_t *offset);
/** pmr_ext4_one() - look at one inode. Return: 0 also where it makes no sense (@incomplete tells); -ECANCELED; -ENOMEM. */
int pmr_ext4_one(struct pmr_ext4_worker *worker, uint32_t number);
/** pmr_ext4_alone() - the same with the inode's own bytes, for which no group was looked at. Return: as pmr_ext4_one(). */
int pmr_ext4_alone(struct pmr_ext4_worker *worker, uint32_t number);
/** pmr_ext4_group() - look at all of a group's inodes but reserved ones. Return: as pmr_ext4_one(). */
int pmr_ext4_group(struct pmr_ext4_worker *worker, dgrp_t group);

/* ---- ext4.c */

/** pmr_ext4_claims_with() - pmr_ext4_claims() with another pread(2), for tests */
int pmr_ext4_claims_with(struct pmr_ctx *ctx, const char *path, const struct pmr_ranges *wanted,
			 unsigned int threads, pmr_ext4_pread_fn pread_fn,
			 struct pmr_claims *claims);

#endif
