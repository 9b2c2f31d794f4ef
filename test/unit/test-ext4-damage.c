/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who has ranges of an ext4 that is damaged, or cannot be read, or is none. */

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ext4-image.h"

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
		{ PLAIN, "/file-9", IN_INODE, 32, 0x10080000, 4, -EUCLEAN }, /* inline data */
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

/* libext2fs takes groups whose bitmap would be larger than the block that it has. */
static void test_large_groups(void **state)
{
	struct pmr_range range = { 60 << 20, 1 << 20 };
	const struct pmr_ranges wanted = { &range, 1, 1 };
	struct pmr_claims claims = { 0 };
	uint32_t inodes, sizes[3];
	bool has_clusters;

	(void)state;
	fresh_image(PLAIN ",^resize_inode");
	get(&inodes, sizeof(inodes), 1024);
	sizes[0] = sizes[1] = htole32(65528);
	sizes[2] = htole32(le32toh(inodes) / 2);
	put(image, sizes, sizeof(sizes), 1024 + 32);
	ext2fs_free(open_image(0));
	assert_int_equal(pmr_ext4_claims(ctx, image, &wanted, 1, &claims), -EUCLEAN);
	assert_int_equal(pmr_ext4_free_claims(ctx, image, &wanted, true, &claims, &has_clusters),
			 0);
	assert_false(has_clusters);
	assert_int_equal(claims.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damage),	cmocka_unit_test(test_noise),
		cmocka_unit_test(test_circles), cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_large_groups),
	};

	return run_on_images(tests, N(tests));
}
