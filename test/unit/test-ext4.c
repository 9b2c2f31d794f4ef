/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who has ranges of an ext4: images of all kinds against libext2fs' own iterator. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ext4-image.h"

/* ---- what libext2fs says */

/* All that the inodes of a filesystem have. */
struct truth {
	ext2_filsys fs;
	struct pmr_claims all;
	ext2_ino_t number, holder; /* of the large value */
	struct ext2_inode inode;
	uint64_t bytes;
	unsigned int values, found[PMR_OWNER_UNKNOWN + 1], parts[PMR_PART_BOOT_BLOCK + 1];
};

static bool is_reserved(const struct truth *truth, ext2_ino_t number)
{
	const struct ext2_super_block *super = truth->fs->super;

	return (number < 11 && number != EXT2_ROOT_INO) || number == super->s_journal_inum ||
	       number == super->s_prj_quota_inum || number == super->s_orphan_file_inum;
}

static void add(struct truth *truth, uint64_t offset, uint64_t length, enum pmr_owner owner,
		enum pmr_part part)
{
	bool reserved = is_reserved(truth, truth->number);
	bool value = truth->inode.i_flags & EXT4_EA_INODE_FL;
	const struct pmr_owner_claim claim = {
		.range = { offset, length },
		.owner = owner,
		.part = reserved ? PMR_PART_NONE
			: value	 ? PMR_PART_ATTRIBUTES
				 : part,
		.inode = reserved ? 0
			 : value  ? truth->holder
				  : truth->number,
		.generation = reserved || value ? 0 : truth->inode.i_generation,
	};

	truth->values += value;
	truth->found[claim.owner]++;
	truth->parts[claim.part]++;
	assert_false(pmr_claims_add(&truth->all, &claim));
}

static int meet_block(ext2_filsys fs, blk64_t *block, e2_blkcnt_t count, blk64_t ref, int offset,
		      void *data)
{
	struct truth *truth = data;
	enum pmr_owner owner = PMR_OWNER_METADATA;
	enum pmr_part part = PMR_PART_NONE;
	int flags = 0;
	blk64_t same;

	(void)ref, (void)offset;
	if (count < 0) {
		part = PMR_PART_EXTENTS;
	} else if (truth->number == fs->super->s_journal_inum) {
		owner = PMR_OWNER_LOG;
	} else if (truth->inode.i_flags & EXT4_EA_INODE_FL) {
		part = PMR_PART_ATTRIBUTES;
	} else if (LINUX_S_ISDIR(truth->inode.i_mode)) {
		part = PMR_PART_DIRECTORY;
	} else if (LINUX_S_ISLNK(truth->inode.i_mode)) {
		part = PMR_PART_SYMLINK;
	} else if (!is_reserved(truth, truth->number)) {
		assert_int_equal(ext2fs_bmap2(fs, truth->number, &truth->inode, NULL, 0,
					      (blk64_t)count, &flags, &same),
				 0);
		owner = flags & BMAP_RET_UNINIT ? PMR_OWNER_UNWRITTEN : PMR_OWNER_FILE;
	}
	add(truth, *block * fs->blocksize, fs->blocksize, owner, part);
	return 0;
}

static void add_inode(struct truth *truth)
{
	ext2_filsys fs = truth->fs;
	struct ext2_inode *inode = &truth->inode;
	uint32_t per_group = fs->super->s_inodes_per_group;
	dgrp_t group = (truth->number - 1) / per_group;

	assert_int_equal(ext2fs_read_inode(fs, truth->number, inode), 0);
	add(truth,
	    ext2fs_inode_table_loc(fs, group) * fs->blocksize +
		    (uint64_t)((truth->number - 1) % per_group) * EXT2_INODE_SIZE(fs->super),
	    EXT2_INODE_SIZE(fs->super), PMR_OWNER_METADATA, PMR_PART_INODE);
	if (ext2fs_file_acl_block(fs, inode))
		add(truth, ext2fs_file_acl_block(fs, inode) * fs->blocksize, fs->blocksize,
		    PMR_OWNER_METADATA, PMR_PART_ATTRIBUTES);
	if (ext2fs_inode_has_valid_blocks2(fs, inode) && !(inode->i_flags & EXT4_INLINE_DATA_FL))
		assert_int_equal(ext2fs_block_iterate3(fs, truth->number, BLOCK_FLAG_READ_ONLY,
						       NULL, meet_block, truth),
				 0);
}

/* Of no inode. */
static void add_boot_block(struct truth *truth)
{
	const struct pmr_owner_claim claim = {
		.range.length =
			(uint64_t)truth->fs->super->s_first_data_block * truth->fs->blocksize,
		.owner = PMR_OWNER_METADATA,
		.part = PMR_PART_BOOT_BLOCK,
	};

	truth->parts[claim.part]++;
	assert_false(pmr_claims_add(&truth->all, &claim));
}

static void truth_init(struct truth *truth)
{
	memset(truth, 0, sizeof(*truth));
	truth->fs = open_image(0);
	truth->bytes = ext2fs_blocks_count(truth->fs->super) * truth->fs->blocksize;
	assert_int_equal(ext2fs_read_inode_bitmap(truth->fs), 0);
	if (ext2fs_has_feature_ea_inode(truth->fs->super))
		truth->holder = number_of(truth->fs, "/file-6");
	for (truth->number = 1; truth->number <= truth->fs->super->s_inodes_count; truth->number++)
		if (ext2fs_test_inode_bitmap2(truth->fs->inode_map, truth->number))
			add_inode(truth);
	if (truth->fs->super->s_first_data_block)
		add_boot_block(truth);
	if (ext2fs_has_feature_mmp(truth->fs->super)) {
		truth->number = 1;
		add(truth, truth->fs->super->s_mmp_block * truth->fs->blocksize,
		    truth->fs->blocksize, PMR_OWNER_METADATA, PMR_PART_NONE);
	}
}

static void truth_release(struct truth *truth)
{
	free(truth->all.v);
	ext2fs_free(truth->fs);
}

/* ---- and what we say */

static void print_claims(const char *who, const struct pmr_claims *claims, size_t from)
{
	print_message("%s, from %zu on:\n", who, from);
	for (size_t i = from; i < claims->n && i < from + 5; i++)
		print_message("  %lu+%lu owner %d part %d inode %lu generation %u\n",
			      claims->v[i].range.offset, claims->v[i].range.length,
			      (int)claims->v[i].owner, (int)claims->v[i].part, claims->v[i].inode,
			      claims->v[i].generation);
}

static void assert_same_claims(const struct pmr_claims *expected, const struct pmr_claims *claims)
{
	size_t i;

	for (i = 0; i < expected->n && i < claims->n; i++) {
		const struct pmr_owner_claim *x = &expected->v[i], *y = &claims->v[i];

		if (x->range.offset != y->range.offset || x->range.length != y->range.length ||
		    x->owner != y->owner || x->part != y->part || x->inode != y->inode ||
		    x->generation != y->generation)
			break;
	}
	if (i == expected->n && i == claims->n)
		return;
	print_claims("expected", expected, i);
	print_claims("found", claims, i);
	fail_msg("%zu of %zu claims are other ones", i, expected->n);
}

static void compare(const struct truth *truth, const struct pmr_ranges *wanted,
		    unsigned int threads)
{
	struct pmr_claims expected = { 0 }, claims = { 0 };

	for (size_t i = 0; i < truth->all.n; i++)
		assert_false(pmr_claims_add_parts(&expected, wanted, &truth->all.v[i]));
	assert_int_equal(pmr_ext4_claims(ctx, image, wanted, threads, &claims), 0);
	pmr_claims_settle(&expected);
	pmr_claims_settle(&claims);
	assert_same_claims(&expected, &claims);
	free(expected.v);
	free(claims.v);
}

static void test_kinds(void **state)
{
	static const char *const kinds[] = {
		"-t ext4 -b 4096 -O metadata_csum,64bit",
		"-t ext4 -b 1024 -O metadata_csum,64bit,extra_isize -g 1024",
		"-t ext4 -b 2048 -O ^metadata_csum,uninit_bg,^64bit -I 128",
		"-t ext4 -b 4096 -O ^metadata_csum,^uninit_bg,^flex_bg -I 1024",
		"-t ext3 -b 1024",
		"-t ext2 -b 4096",
		"-t ext2 -b 1024 -r 0",
		"-t ext4 -b 4096 -O inline_data -I 512",
		"-t ext4 -b 1024 -O inline_data,metadata_csum -I 1024",
		"-t ext4 -b 1024 -O bigalloc -C 8192",
		"-t ext4 -b 1024 -O meta_bg,^resize_inode,metadata_csum -g 512",
		"-t ext4 -b 4096 -O ea_inode,metadata_csum",
		"-t ext4 -b 4096 -O orphan_file,metadata_csum",
		"-t ext4 -b 4096 -O quota,project,sparse_super2,metadata_csum -E quotatype=prjquota",
		"-t ext4 -b 1024 -O ^has_journal -N 40000",
	};

	(void)state;
	srandom(1);
	for (size_t kind = 0; kind < N(kinds); kind++) {
		struct pmr_ranges wanted = { 0 };
		struct truth truth;

		make_image(kinds[kind]);
		truth_init(&truth);
		print_message("%s: %zu claims\n", kinds[kind], truth.all.n);
		/* what is not there is not tested */
		assert_true(truth.found[PMR_OWNER_FILE] > 100);
		assert_true(truth.found[PMR_OWNER_UNWRITTEN] || strstr(kinds[kind], "ext2") ||
			    strstr(kinds[kind], "ext3"));
		assert_true(truth.parts[PMR_PART_DIRECTORY] && truth.parts[PMR_PART_SYMLINK]);
		assert_true(truth.parts[PMR_PART_ATTRIBUTES] || strstr(kinds[kind], "-r 0"));
		assert_true(truth.parts[PMR_PART_BOOT_BLOCK] || !strstr(kinds[kind], "-b 1024") ||
			    strstr(kinds[kind], "bigalloc"));
		assert_true(truth.parts[PMR_PART_EXTENTS] && truth.parts[PMR_PART_INODE] > 100);
		assert_true(truth.values || !strstr(kinds[kind], "ea_inode"));
		compare(&truth, &wanted, 1);
		assert_false(pmr_ranges_add(&wanted, 0, truth.bytes));
		for (unsigned int threads = 0; threads < 4; threads++)
			compare(&truth, &wanted, threads);
		compare(&truth, &wanted, 64);
		for (int i = 0; i < 40; i++) {
			wanted.n = 0;
			for (long n = 1 + random() % (i % 4 ? 60 : 4); n; n--)
				assert_false(pmr_ranges_add(
					&wanted, (uint64_t)random() % (truth.bytes / 512) * 512,
					512 * (1 + (uint64_t)random() % (i % 3 ? 2 : 3000))));
			pmr_ranges_normalize(&wanted);
			compare(&truth, &wanted, 1 + (unsigned int)i % 3);
		}
		pmr_ranges_release(&wanted);
		truth_release(&truth);
	}
}

/* What libext2fs keeps of inodes is neither for several threads nor for a filesystem that changes. */
static void test_nothing_kept(void **state)
{
	struct pmr_ranges wanted = { 0 };
	struct pmr_ext4 ext4 = { .ctx = ctx, .path = image, .pread = pread, .wanted = &wanted };
	struct pmr_ext4_worker worker = { .ext4 = &ext4 };
	ext2_ino_t number;

	(void)state;
	make_image("-t ext4 -b 1024 -O metadata_csum");
	assert_false(pmr_ranges_add(&wanted, 0, 64 << 20));
	pmr_sieve_init(&ext4.sieve, &wanted);
	assert_int_equal(pmr_ext4_open(&ext4), 0);
	worker.fd = open(image, O_RDONLY | O_CLOEXEC);
	worker.inode = calloc(1, ext4.inode_size);
	worker.bitmap = malloc(ext4.fs->blocksize);
	assert_true(worker.fd >= 0 && worker.inode && worker.bitmap);
	number = number_of(ext4.fs, "/pieces");
	ext2fs_free_inode_cache(ext4.fs->icache);
	ext4.fs->icache = NULL;
	assert_int_equal(pmr_ext4_one(&worker, number), 0);
	assert_true(worker.nodes[0] && worker.claims.n && !ext4.incomplete);
	assert_null(ext4.fs->icache);
	for (int i = 0; i < PMR_EXT4_DEPTH; i++)
		free(worker.nodes[i]);
	free(worker.claims.v);
	free(worker.hits.v);
	free(worker.inode);
	free(worker.bitmap);
	pmr_ranges_release(&wanted);
	close(worker.fd);
	pmr_ext4_close(&ext4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_nothing_kept),
	};

	return run_on_images(tests, N(tests));
}
