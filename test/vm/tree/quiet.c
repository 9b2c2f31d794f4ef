// SPDX-License-Identifier: GPL-2.0-or-later
/* quiet.c: ranges that are allocated to a file and hold no data of it: unwritten, and past its end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tree.h"

/* Sector by sector, so that every piece has one answer; the end of the file may cut a sector in two. */
struct quiet *quiet_add(struct oracle *oracle, uint32_t file, uint64_t offset, uint64_t physical,
			uint64_t length)
{
	uint64_t size = oracle->files[file].size, end = offset + length, next;
	size_t first = oracle->n_quiet;

	for (; offset < end; physical += next - offset, offset = next) {
		next = offset - offset % SECTOR + SECTOR;
		if (offset < size && size < next)
			next = size;
		oracle->quiet = must_grow(oracle->quiet, oracle->n_quiet, &oracle->quiet_alloc,
					  sizeof(*oracle->quiet));
		oracle->quiet[oracle->n_quiet++] = (struct quiet){
			.file = file,
			.offset = offset,
			.length = (uint32_t)(next - offset),
			.sector = physical / SECTOR,
			.past_eof = offset >= size,
		};
	}
	return &oracle->quiet[first];
}

/* ---- XFS: its own ioctl, which is older than FIEMAP and knows nothing of it */

struct getbmapx {
	int64_t bmv_offset; /* all three in sectors */
	int64_t bmv_block; /* -1: a hole */
	int64_t bmv_length;
	int32_t bmv_count;
	int32_t bmv_entries;
	int32_t bmv_iflags;
	int32_t bmv_oflags;
	int32_t bmv_unused[2];
};

struct getbmap {
	int64_t bmv_offset, bmv_block, bmv_length;
	int32_t bmv_count, bmv_entries;
};

/* The number was given when the structure was still the short one. */
#define XFS_IOC_GETBMAPX _IOWR('X', 56, struct getbmap)
#define BMV_IF_PREALLOC 0x4
#define BMV_OF_PREALLOC 0x1

void quiet_learn_xfs(struct oracle *oracle, uint32_t file, int fd)
{
	enum { ENTRIES = 512 };
	struct getbmapx *map = must_alloc(ENTRIES, sizeof(*map));
	int i;

	map[0].bmv_length = -1;
	map[0].bmv_count = ENTRIES;
	map[0].bmv_iflags = BMV_IF_PREALLOC;
	if (ioctl(fd, XFS_IOC_GETBMAPX, map))
		die("%s: GETBMAPX: %s", oracle->files[file].path, strerror(errno));
	if (map[0].bmv_entries >= ENTRIES - 1)
		die("%s: too many extents for this test", oracle->files[file].path);
	for (i = 1; i <= map[0].bmv_entries; i++) {
		if (!(map[i].bmv_oflags & BMV_OF_PREALLOC) || map[i].bmv_block < 0)
			continue;
		quiet_add(oracle, file, (uint64_t)map[i].bmv_offset * SECTOR,
			  oracle->start + (uint64_t)map[i].bmv_block * SECTOR,
			  (uint64_t)map[i].bmv_length * SECTOR);
	}
	free(map);
}

/* ---- ext4: from the disk's own structures */

static uint32_t le16(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const unsigned char *p)
{
	return le16(p) | le16(p + 2) << 16;
}

struct ext4 {
	struct oracle *oracle;
	int device;
	uint32_t inodes_per_group, inode_size, descriptor_size;
};

enum {
	EXT4_MAGIC = 0xef53,
	EXT4_META_BG = 0x10,
	EXT4_64BIT = 0x80,
	EXT4_EXTENTS = 0x80000,
	EXT4_EXTENT_MAGIC = 0xf30a,
	EXT4_WRITTEN_MAX = 32768, /* a longer extent is unwritten, and that much shorter */
};

static void read_ext4(const struct ext4 *fs, void *buffer, size_t length, uint64_t at)
{
	if (must_pread(fs->device, fs->oracle->device, buffer, length, fs->oracle->start + at) !=
	    length)
		die("%s: ext4 points past its end", fs->oracle->device);
}

static void learn_node(const struct ext4 *fs, uint32_t file, const unsigned char *node)
{
	uint32_t entries = le16(node + 2), depth = le16(node + 6), i, length;
	const unsigned char *entry = node + 12;
	unsigned char child[BLOCK];
	uint64_t block;

	if (le16(node) != EXT4_EXTENT_MAGIC || depth > 5)
		die("%s: no extent tree", fs->oracle->files[file].path);
	for (i = 0; i < entries; i++, entry += 12) {
		if (depth) {
			read_ext4(fs, child, sizeof(child),
				  ((uint64_t)le16(entry + 8) << 32 | le32(entry + 4)) * BLOCK);
			learn_node(fs, file, child);
			continue;
		}
		length = le16(entry + 4);
		block = (uint64_t)le16(entry + 6) << 32 | le32(entry + 8);
		if (length > EXT4_WRITTEN_MAX)
			quiet_add(fs->oracle, file, (uint64_t)le32(entry) * BLOCK,
				  fs->oracle->start + block * BLOCK,
				  (uint64_t)(length - EXT4_WRITTEN_MAX) * BLOCK);
	}
}

void quiet_learn_ext4(struct oracle *oracle, int device)
{
	struct ext4 fs = { .oracle = oracle, .device = device };
	unsigned char super[1024], descriptor[64] = { 0 }, inode[128];
	uint64_t table, number;
	uint32_t i;

	read_ext4(&fs, super, sizeof(super), 1024);
	if (le16(super + 0x38) != EXT4_MAGIC || le32(super + 0x18) != 2 ||
	    le32(super + 0x60) & EXT4_META_BG)
		die("%s: no ext4 that this test understands", oracle->device);
	fs.inodes_per_group = le32(super + 0x28);
	fs.inode_size = le16(super + 0x58);
	fs.descriptor_size = le32(super + 0x60) & EXT4_64BIT ? le16(super + 0xfe) : 32;
	for (i = 0; i < oracle->n_files; i++) {
		number = oracle->files[i].inode - 1;
		/* The descriptors begin in the block after the superblock's. */
		read_ext4(&fs, descriptor, fs.descriptor_size < 64 ? 32 : 64,
			  BLOCK + number / fs.inodes_per_group * fs.descriptor_size);
		table = le32(descriptor + 0x8);
		if (fs.descriptor_size >= 64)
			table |= (uint64_t)le32(descriptor + 0x28) << 32;
		read_ext4(&fs, inode, sizeof(inode),
			  table * BLOCK + number % fs.inodes_per_group * fs.inode_size);
		if (!(le32(inode + 0x20) & EXT4_EXTENTS))
			die("%s: no extents", oracle->files[i].path);
		learn_node(&fs, i, inode + 0x28);
	}
}
