/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A directory of a test's own, with images of ext2, ext3 and ext4 of one tree. To be included once, after cmocka.h.
 */
#ifndef EXT4_IMAGE_H
#define EXT4_IMAGE_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ext2fs/ext2fs.h>

#include "owner/ext4.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static struct pmr_ctx *ctx;
static char directory[64], image[96];

/* ---- a tree */

static inline void __attribute__((format(printf, 1, 2))) run(const char *format, ...)
{
	char command[1024];
	va_list arguments;

	va_start(arguments, format);
	assert_true(vsnprintf(command, sizeof(command), format, arguments) < (int)sizeof(command));
	va_end(arguments);
	if (system(command))
		fail_msg("failed: %s", command);
}

static inline void put(const char *name, const void *bytes, size_t length, off_t offset)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, length, offset), (ssize_t)length);
	assert_false(close(fd));
}

/* Files, one of them of many pieces and one that ends far behind, links of all lengths, a directory of many names. */
static inline void make_tree(void)
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

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
	(void)state;
	pmr_unref(ctx);
	return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- images */

static inline ext2_filsys open_image(int flags)
{
	ext2_filsys fs;

	assert_int_equal(
		ext2fs_open2(image, NULL, EXT2_FLAG_64BITS | flags, 0, 0, unix_io_manager, &fs), 0);
	return fs;
}

static inline ext2_ino_t number_of(ext2_filsys fs, const char *path)
{
	ext2_ino_t number;

	assert_int_equal(ext2fs_namei(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path, &number), 0);
	return number;
}

/* A block of attributes that two share, and a file that is deleted and still open. */
static inline void edit_inodes(bool mmp)
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

static inline void make_image(const char *options)
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
static inline void fresh_image(const char *options)
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

static inline int run_on_images(const struct CMUnitTest *tests, size_t n)
{
	if (system("PATH=$PATH:/sbin:/usr/sbin; command -v mke2fs >/dev/null")) {
		fprintf(stderr, "no mke2fs (Debian: e2fsprogs)\n");
		return 77;
	}
	return _cmocka_run_group_tests("ext4", tests, n, setup, teardown);
}

#endif
