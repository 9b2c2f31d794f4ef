/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who has ranges of an ext4: images of all kinds against libext2fs' own iterator, and damaged ones. */

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <ext2fs/ext2fs.h>

#include "owner/ext4.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static struct pmr_ctx *ctx;
static char directory[64], image[96];

/* ---- a tree */

static void __attribute__((format(printf, 1, 2))) run(const char *format, ...)
{
	char command[1024];
	va_list arguments;

	va_start(arguments, format);
	assert_true(vsnprintf(command, sizeof(command), format, arguments) < (int)sizeof(command));
	va_end(arguments);
	if (system(command))
		fail_msg("failed: %s", command);
}

static void put(const char *name, const void *bytes, size_t length, off_t offset)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, length, offset), (ssize_t)length);
	assert_false(close(fd));
}

/* Files, one of them of many pieces and one that ends far behind, links of all lengths, a directory of many names. */
static void make_tree(void)
{
	static const char script[] = "ea_set -f value /file-3 user.value\n"
				     "ea_set -f value /names user.value\n"
				     "ea_set -f value /link-0 user.value\n"
				     "ea_set /file-5 user.small abc\n"
				     "rm /file-21\n";
	static char bytes[20000];
	char name[1000];

	memset(bytes, 'x', sizeof(bytes));
	assert_false(mkdir("tree", 0755));
	assert_false(mkdir("tree/names", 0755));
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "tree/file-%d", i);
		put(name, bytes, (size_t)i * i * 20, 0);
	}
	for (int i = 0; i < 500; i++)
		put("tree/pieces", bytes, 4096, i * 8192L);
	put("tree/far", bytes, 1, 0);
	put("tree/far", bytes, 5000, 300 << 10);
	put("tree/far", bytes, 5000, 5 << 20);
	put("tree/far", bytes, 5000, 70 << 20);
	for (int i = 0; i < 150; i++) {
		snprintf(name, sizeof(name), "tree/names/%0*d", 20 + i % 100, i);
		put(name, "", 0, 0);
	}
	memset(name, 'l', sizeof(name));
	for (int i = 0; i < 4; i++) {
		char link[32];

		name[(const int[]){ 900, 60, 59, 5 }[i]] = 0;
		snprintf(link, sizeof(link), "tree/link-%d", i);
		assert_false(symlink(name, link));
	}
	assert_false(link("tree/file-9", "tree/names/file-9"));
	put("script", script, sizeof(script) - 1, 0);
	put("value", bytes, 900, 0);
	put("large-value", bytes, 9000, 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	/* what makes images waits for disks */
	snprintf(directory, sizeof(directory), "%s/test-ext4-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	assert_non_null(mkdtemp(directory));
	snprintf(image, sizeof(image), "%s/image", directory);
	assert_false(chdir(directory));
	make_tree();
	return pmr_new(&ctx);
}

static int teardown(void **state)
{
	(void)state;
	pmr_unref(ctx);
	return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- images */

static ext2_filsys open_image(int flags)
{
	ext2_filsys fs;

	assert_int_equal(
		ext2fs_open2(image, NULL, EXT2_FLAG_64BITS | flags, 0, 0, unix_io_manager, &fs), 0);
	return fs;
}

static ext2_ino_t number_of(ext2_filsys fs, const char *path)
{
	ext2_ino_t number;

	assert_int_equal(ext2fs_namei(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path, &number), 0);
	return number;
}

/* A block of attributes that two share, and a file that is deleted and still open. */
static void edit_inodes(bool mmp)
{
	ext2_filsys fs = open_image(EXT2_FLAG_RW);
	struct ext2_inode inode, other;

	assert_int_equal(ext2fs_read_inode(fs, number_of(fs, "/file-3"), &inode), 0);
	assert_int_equal(ext2fs_read_inode(fs, number_of(fs, "/file-4"), &other), 0);
	ext2fs_file_acl_block_set(fs, &other, ext2fs_file_acl_block(fs, &inode));
	other.i_generation = 77;
	assert_int_equal(ext2fs_write_inode(fs, number_of(fs, "/file-4"), &other), 0);
	assert_int_equal(ext2fs_read_inode(fs, number_of(fs, "/file-20"), &inode), 0);
	inode.i_links_count = 0;
	assert_int_equal(ext2fs_write_inode(fs, number_of(fs, "/file-20"), &inode), 0);
	/* mke2fs would make those that write to it afterwards wait for 11 s each */
	if (mmp) {
		ext2fs_set_feature_mmp(fs->super);
		fs->super->s_mmp_block = ext2fs_blocks_count(fs->super) - 1;
		fs->flags |= EXT2_FLAG_SKIP_MMP;
		ext2fs_mark_super_dirty(fs);
	}
	assert_int_equal(ext2fs_close(fs), 0);
}

static void make_image(const char *options)
{
	bool extents = !strstr(options, "ext2") && !strstr(options, "ext3");

	unlink(image);
	run("PATH=$PATH:/sbin:/usr/sbin; mke2fs -q -F %s -d tree image 64M >log 2>&1", options);
	run("PATH=$PATH:/sbin:/usr/sbin; debugfs -w -f script image >log 2>&1");
	if (extents)
		run("PATH=$PATH:/sbin:/usr/sbin; debugfs -w -R 'fallocate /file-12 8 60' image >log 2>&1");
	if (strstr(options, "ea_inode"))
		run("PATH=$PATH:/sbin:/usr/sbin; "
		    "debugfs -w -R 'ea_set -f large-value /file-6 user.large' image >log 2>&1");
	edit_inodes(strstr(options, "orphan_file"));
}

/* The same image again and again, but for what was done to it. */
static void fresh_image(const char *options)
{
	static char last[128];

	if (strcmp(options, last)) {
		make_image(options);
		snprintf(last, sizeof(last), "%s", options);
		run("cp --sparse=always image whole");
	} else {
		run("cp --sparse=always whole image");
	}
}

/* ---- what libext2fs says */

/* All that the inodes of a filesystem have. */
struct truth {
	ext2_filsys fs;
	struct pmr_claims all;
	ext2_ino_t number;
	struct ext2_inode inode;
	uint64_t bytes;
	unsigned int found[PMR_OWNER_UNKNOWN + 1], parts[PMR_PART_INODE + 1];
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
	const struct pmr_owner_claim claim = {
		.range = { offset, length },
		.owner = owner,
		.part = reserved ? PMR_PART_NONE : part,
		.inode = reserved ? 0 : truth->number,
		.generation = reserved ? 0 : truth->inode.i_generation,
	};

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
	bool is_value;

	assert_int_equal(ext2fs_read_inode(fs, truth->number, inode), 0);
	is_value = inode->i_flags & EXT4_EA_INODE_FL;
	add(truth,
	    ext2fs_inode_table_loc(fs, group) * fs->blocksize +
		    (uint64_t)((truth->number - 1) % per_group) * EXT2_INODE_SIZE(fs->super),
	    EXT2_INODE_SIZE(fs->super), PMR_OWNER_METADATA,
	    is_value ? PMR_PART_ATTRIBUTES : PMR_PART_INODE);
	if (ext2fs_file_acl_block(fs, inode))
		add(truth, ext2fs_file_acl_block(fs, inode) * fs->blocksize, fs->blocksize,
		    PMR_OWNER_METADATA, PMR_PART_ATTRIBUTES);
	if (ext2fs_inode_has_valid_blocks2(fs, inode) && !(inode->i_flags & EXT4_INLINE_DATA_FL))
		assert_int_equal(ext2fs_block_iterate3(fs, truth->number, BLOCK_FLAG_READ_ONLY,
						       NULL, meet_block, truth),
				 0);
}

static void truth_init(struct truth *truth)
{
	memset(truth, 0, sizeof(*truth));
	truth->fs = open_image(0);
	truth->bytes = ext2fs_blocks_count(truth->fs->super) * truth->fs->blocksize;
	assert_int_equal(ext2fs_read_inode_bitmap(truth->fs), 0);
	for (truth->number = 1; truth->number <= truth->fs->super->s_inodes_count; truth->number++)
		if (ext2fs_test_inode_bitmap2(truth->fs->inode_map, truth->number))
			add_inode(truth);
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
		assert_true(truth.parts[PMR_PART_EXTENTS] && truth.parts[PMR_PART_INODE] > 100);
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

/* ---- damage */

static uint64_t size_of_image(void)
{
	struct stat st;

	assert_false(stat(image, &st));
	return (uint64_t)st.st_size;
}

static int ask_all(unsigned int threads, struct pmr_claims *claims)
{
	struct pmr_range all = { 0, size_of_image() };
	const struct pmr_ranges wanted = { &all, 1, 1 };

	memset(claims, 0, sizeof(*claims));
	return pmr_ext4_claims(ctx, image, &wanted, threads, claims);
}

static void get(void *bytes, size_t length, uint64_t offset)
{
	int fd = open(image, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, bytes, length, (off_t)offset), (ssize_t)length);
	close(fd);
}

struct spot {
	uint64_t inode, node, table;
	ext2_ino_t number;
	uint32_t block_size, inode_size;
};

/* Where the inode of a file is, and the first node below it. */
static void find_spot(const char *path, struct spot *spot)
{
	ext2_filsys fs = open_image(0);
	uint32_t per_group = fs->super->s_inodes_per_group, block;
	struct ext2_inode inode;

	spot->number = number_of(fs, path);
	spot->block_size = fs->blocksize;
	spot->inode_size = EXT2_INODE_SIZE(fs->super);
	spot->table = ext2fs_inode_table_loc(fs, (spot->number - 1) / per_group) * fs->blocksize;
	spot->inode = spot->table + (uint64_t)((spot->number - 1) % per_group) * spot->inode_size;
	assert_int_equal(ext2fs_read_inode(fs, spot->number, &inode), 0);
	block = inode.i_flags & EXT4_EXTENTS_FL ? inode.i_block[4] : inode.i_block[EXT2_DIND_BLOCK];
	spot->node = (uint64_t)block * fs->blocksize;
	ext2fs_free(fs);
}

enum where { IN_INODE, IN_NODE, IN_TABLE, IN_SUPER };

/* What was written over is told of, and what other files have is told all the same. */
static void test_damage(void **state)
{
	static const struct {
		const char *options, *path;
		enum where where;
		uint32_t at, value;
		size_t length;
		int ret;
	} rows[] = {
#define CSUM "-t ext4 -b 1024 -O metadata_csum,64bit"
#define PLAIN "-t ext4 -b 1024 -O ^metadata_csum,^uninit_bg"
		{ CSUM, "/file-9", IN_INODE, 100, 5, 4,
		  -EUCLEAN }, /* generation: the sum is wrong */
		{ PLAIN, "/file-9", IN_INODE, 100, 5, 4, 0 },
		{ PLAIN, "/file-9", IN_INODE, 0, 0, 2, -EUCLEAN }, /* no type */
		{ PLAIN, "/file-9", IN_INODE, 0, 0x3000, 2, -EUCLEAN },
		{ PLAIN, "/file-9", IN_INODE, 0, 0, 128, -EUCLEAN }, /* gone, though in use */
		{ PLAIN, "/file-9", IN_INODE, 40, 0, 2, -EUCLEAN }, /* header: magic */
		{ PLAIN, "/file-9", IN_INODE, 42, 5, 2, -EUCLEAN }, /* entries */
		{ PLAIN, "/file-9", IN_INODE, 44, 300, 2, -EUCLEAN }, /* max */
		{ PLAIN, "/file-9", IN_INODE, 46, 1, 2, -EUCLEAN }, /* depth */
		{ PLAIN, "/file-9", IN_INODE, 46, 6, 2, -EUCLEAN },
		{ PLAIN, "/file-9", IN_INODE, 56, 0, 2, -EUCLEAN }, /* an extent's length */
		{ PLAIN, "/file-9", IN_INODE, 58, 0xffff, 2, -EUCLEAN }, /* where it begins */
		{ PLAIN, "/file-9", IN_INODE, 60, 0, 4, -EUCLEAN },
		{ PLAIN, "/file-9", IN_INODE, 60, 65535, 4, -EUCLEAN }, /* beyond the last block */
		{ PLAIN, "/file-9", IN_INODE, 104, 65537, 4, -EUCLEAN }, /* attributes */
		{ PLAIN, "/pieces", IN_NODE, 0, 0, 4, -EUCLEAN },
		{ PLAIN, "/pieces", IN_NODE, 2, 0, 2, -EUCLEAN }, /* an index without entries */
		{ PLAIN, "/pieces", IN_NODE, 6, 2, 2, -EUCLEAN },
		{ CSUM, "/pieces", IN_NODE, 8, 99, 4, -EUCLEAN }, /* generation: the sum is wrong */
		{ PLAIN, "/pieces", IN_NODE, 8, 99, 4, 0 },
		{ PLAIN, "/pieces", IN_NODE, 12 + 12, 0, 4, -EUCLEAN }, /* order */
		{ CSUM, "/pieces", IN_TABLE, 0, 0, 1024, -EUCLEAN },
		{ "-t ext3 -b 1024", "/far", IN_INODE, 40 + 48, 99999, 4, -EUCLEAN },
		{ "-t ext3 -b 1024", "/far", IN_INODE, 40 + 56, 1, 4, -EUCLEAN }, /* no node */
		{ "-t ext3 -b 1024", "/far", IN_NODE, 0, UINT32_MAX, 4, -EUCLEAN },
		{ CSUM, "/far", IN_SUPER, 0, 0, 1024, -EUCLEAN },
		{ CSUM, "/far", IN_SUPER, 4, 65537, 4, -EUCLEAN }, /* more blocks than there are */
		{ CSUM, "/far", IN_SUPER, 40, 7, 4, -EUCLEAN },
		{ PLAIN, "/far", IN_SUPER, 96, 0x40000042, 4, -EOPNOTSUPP },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		uint64_t at[4];
		struct pmr_claims claims;
		static const char zeros[1024];
		struct spot spot;
		int ret;

		fresh_image(rows[i].options);
		find_spot(rows[i].path, &spot);
		at[IN_INODE] = spot.inode;
		at[IN_NODE] = spot.node;
		at[IN_TABLE] = spot.inode / spot.block_size * spot.block_size;
		at[IN_SUPER] = 1024;
		if (rows[i].length <= 4) {
			uint32_t value = htole32(rows[i].value);

			put(image, &value, rows[i].length, (off_t)(at[rows[i].where] + rows[i].at));
		} else {
			put(image, zeros, rows[i].length, (off_t)(at[rows[i].where] + rows[i].at));
		}
		ret = ask_all(1, &claims);
		if (ret != rows[i].ret)
			fail_msg("row %zu: %d, not %d", i, ret, rows[i].ret);
		assert_true(rows[i].where == IN_SUPER || claims.n > 100);
		free(claims.v);
	}
}

/* Whatever is on the disk: nothing but wanted bytes is claimed, and it ends. */
static void test_noise(void **state)
{
	static const char *const kinds[] = { CSUM, PLAIN, "-t ext3 -b 1024",
					     "-t ext4 -b 1024 -O inline_data,ea_inode" };
	uint64_t size;

	(void)state;
	srandom(2);
	for (size_t kind = 0; kind < N(kinds); kind++) {
		unsigned int found = 0;

		fresh_image(kinds[kind]);
		size = size_of_image();
		for (int i = 0; i < 40; i++) {
			struct pmr_range range = { (uint64_t)random() % size / 512 * 512, 65536 };
			const struct pmr_ranges wanted = { &range, 1, 1 };
			struct pmr_claims claims = { 0 };
			struct spot spot;
			int ret;

			fresh_image(kinds[kind]);
			find_spot(i % 2 ? "/pieces" : "/far", &spot);
			for (int n = 0; n < 1 + i; n++) {
				unsigned char byte = (unsigned char)random();
				uint64_t at = n % 2 ? spot.node + (uint64_t)random() % 64
						    : spot.table + (uint64_t)random() % 32768;

				put(image, &byte, 1, (off_t)at);
			}
			ret = pmr_ext4_claims(ctx, image, &wanted, 2, &claims);
			assert_true(!ret || ret == -EUCLEAN);
			found += ret == -EUCLEAN;
			for (size_t c = 0; c < claims.n; c++)
				assert_true(claims.v[c].range.length &&
					    claims.v[c].range.offset >= range.offset &&
					    claims.v[c].range.offset + claims.v[c].range.length <=
						    range.offset + range.length);
			free(claims.v);
		}
		assert_true(found > 30);
	}
}

/* A tree that leads back to itself: a node as its own child, and a block of pointers to itself. */
static void test_circles(void **state)
{
	struct pmr_claims claims;
	struct spot spot;
	uint32_t node[256];

	(void)state;
	fresh_image("-t ext3 -b 1024");
	find_spot("/far", &spot);
	for (size_t i = 0; i < N(node); i++)
		node[i] = htole32((uint32_t)(spot.node / 1024));
	put(image, node, sizeof(node), (off_t)spot.node);
	put(image, node, 4, (off_t)spot.inode + 40 + 56);
	assert_int_equal(ask_all(1, &claims), -EUCLEAN);
	free(claims.v);

	fresh_image(PLAIN);
	find_spot("/pieces", &spot);
	get(node, sizeof(node), spot.node);
	/* its first entry, whatever the level is */
	node[4] = htole32((uint32_t)(spot.node / 1024));
	put(image, node, sizeof(node), (off_t)spot.node);
	assert_int_equal(ask_all(1, &claims), -EUCLEAN);
	free(claims.v);
}

/* ---- what cannot be read */

static struct pmr_range unreadable[2];

static ssize_t read_around(int fd, void *buffer, size_t length, off_t offset)
{
	uint64_t from = (uint64_t)offset;

	for (size_t i = 0; i < N(unreadable); i++) {
		if (from + length <= unreadable[i].offset ||
		    from >= unreadable[i].offset + unreadable[i].length)
			continue;
		if (from >= unreadable[i].offset) {
			errno = EIO;
			return -1;
		}
		length = unreadable[i].offset - from;
	}
	return pread(fd, buffer, length, offset);
}

static size_t count(const struct pmr_claims *claims, uint64_t inode, enum pmr_owner owner,
		    enum pmr_part part)
{
	size_t n = 0;

	for (size_t i = 0; i < claims->n; i++)
		n += claims->v[i].inode == inode && claims->v[i].owner == owner &&
		     claims->v[i].part == part;
	return n;
}

/* A bad block of the table takes its own inodes alone, and names those in use; the same with its bitmap bad as well. */
static void test_unreadable(void **state)
{
	struct pmr_range all = { 0, 64 << 20 };
	const struct pmr_ranges wanted = { &all, 1, 1 };

	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		struct pmr_claims claims = { 0 }, before;
		struct spot lost, other;
		ext2_filsys fs;
		uint64_t first;

		fresh_image(kind ? "-t ext4 -b 4096 -O metadata_csum" : CSUM);
		find_spot("/file-9", &lost);
		find_spot("/pieces", &other);
		fs = open_image(0);
		unreadable[0].offset = lost.inode / lost.block_size * lost.block_size;
		unreadable[0].length = lost.block_size;
		unreadable[1].offset = 0;
		unreadable[1].length = 0;
		first = lost.number - (lost.inode - unreadable[0].offset) / lost.inode_size;
		assert_true(other.inode < unreadable[0].offset ||
			    other.inode >= unreadable[0].offset + lost.block_size);
		assert_int_equal(ask_all(1, &before), 0);
		assert_int_equal(count(&before, lost.number, PMR_OWNER_FILE, PMR_PART_NONE), 1);
		for (int bitmap = 0; bitmap < 2; bitmap++) {
			if (bitmap) {
				unreadable[1].offset =
					ext2fs_inode_bitmap_loc(fs, 0) * fs->blocksize;
				unreadable[1].length = fs->blocksize;
			}
			claims.n = 0;
			assert_int_equal(
				pmr_ext4_claims_with(ctx, image, &wanted, 2, read_around, &claims),
				-EUCLEAN);
			for (uint64_t i = first; i < first + lost.block_size / 256; i++) {
				assert_int_equal(count(&claims, i, PMR_OWNER_FILE, PMR_PART_NONE),
						 0);
				assert_int_equal(
					count(&claims, i, PMR_OWNER_METADATA, PMR_PART_INODE), 1);
			}
			assert_int_equal(
				count(&claims, other.number, PMR_OWNER_FILE, PMR_PART_NONE),
				count(&before, other.number, PMR_OWNER_FILE, PMR_PART_NONE));
			assert_int_equal(
				count(&claims, other.number, PMR_OWNER_METADATA, PMR_PART_INODE),
				1);
		}
		/* a node */
		unreadable[0].offset = other.node;
		unreadable[1].length = 0;
		claims.n = 0;
		assert_int_equal(pmr_ext4_claims_with(ctx, image, &wanted, 1, read_around, &claims),
				 -EUCLEAN);
		assert_int_equal(count(&claims, lost.number, PMR_OWNER_FILE, PMR_PART_NONE), 1);
		assert_true(count(&claims, other.number, PMR_OWNER_METADATA, PMR_PART_EXTENTS));
		ext2fs_free(fs);
		free(before.v);
		free(claims.v);
	}
}

static void test_refused(void **state)
{
	volatile sig_atomic_t cancelled = 1;
	struct pmr_range range = { 1 << 20, 512 };
	const struct pmr_ranges wanted = { &range, 1, 1 };
	struct pmr_claims claims = { 0 };

	(void)state;
	assert_int_equal(pmr_ext4_claims(ctx, "none", &wanted, 1, &claims), -ENOENT);
	assert_int_equal(pmr_ext4_claims(ctx, "/dev/null", &wanted, 1, &claims), -EIO);
	assert_int_equal(pmr_ext4_claims(ctx, "tree/pieces", &wanted, 1, &claims), -EUCLEAN);
	fresh_image("-t ext4 -b 4096");
	pmr_set_cancel(ctx, &cancelled);
	assert_int_equal(pmr_ext4_claims(ctx, image, &wanted, 1, &claims), -ECANCELED);
	assert_int_equal(pmr_ext4_claims(ctx, image, &wanted, 3, &claims), -ECANCELED);
	pmr_set_cancel(ctx, NULL);
	assert_int_equal(claims.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),	   cmocka_unit_test(test_damage),
		cmocka_unit_test(test_noise),	   cmocka_unit_test(test_circles),
		cmocka_unit_test(test_unreadable), cmocka_unit_test(test_refused),
	};

	if (system("PATH=$PATH:/sbin:/usr/sbin; command -v mke2fs >/dev/null")) {
		fprintf(stderr, "no mke2fs and debugfs (Debian: e2fsprogs)\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
