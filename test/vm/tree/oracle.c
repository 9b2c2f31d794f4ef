// SPDX-License-Identifier: GPL-2.0-or-later
/* oracle.c: where every sector of every file lies, found by reading: tags seen in files are looked for on the device. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tree.h"

enum { CHUNK = 1 << 20 };

static char *hex(const unsigned char *bytes, size_t n)
{
	char *text = must_alloc(2 * n + 1, 1);
	size_t i;

	for (i = 0; i < n; i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
	return text;
}

static enum kind kind_of(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	enum kind kind;

	for (kind = 0; kind < N_KINDS; kind++) {
		if (kinds[kind].letter == *name)
			return kind;
	}
	die("%s: no file of this tree", path);
}

static void meet(struct oracle *oracle, const char *path, const struct stat *st)
{
	const char *below = path + strlen(oracle->mount) + 1;
	unsigned char capability[64];
	struct file *file;
	ssize_t n;
	size_t i;

	for (i = 0; i < oracle->n_files; i++) {
		file = &oracle->files[i];
		if (file->inode == st->st_ino) {
			file->links =
				realloc(file->links, (file->n_links + 1) * sizeof(*file->links));
			if (!file->links)
				die("out of memory");
			file->links[file->n_links++] = must_format("%s", below);
			return;
		}
	}
	oracle->files =
		must_grow(oracle->files, oracle->n_files, &oracle->files_alloc, sizeof(*file));
	file = &oracle->files[oracle->n_files++];
	*file = (struct file){
		.path = must_format("%s", below),
		.kind = kind_of(below),
		.inode = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
	};
	n = lgetxattr(path, "security.capability", capability, sizeof(capability));
	if (n > 0)
		file->capability = hex(capability, (size_t)n);
}

static int compare_names(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* In an order that no hash of the filesystem's decides, so that a seed chooses the same files again. */
static void walk(struct oracle *oracle)
{
	char *paths[] = { must_format("%s", oracle->mount), NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, compare_names);
	FTSENT *entry;

	errno = 0;
	while (fts && (entry = fts_read(fts))) {
		if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR ||
		    entry->fts_info == FTS_NS)
			die("%s: %s", entry->fts_path, strerror(entry->fts_errno));
		if (entry->fts_info == FTS_F && S_ISREG(entry->fts_statp->st_mode))
			meet(oracle, entry->fts_path, entry->fts_statp);
		errno = 0;
	}
	if (!fts || errno)
		die("%s: cannot walk: %s", oracle->mount, strerror(errno));
	fts_close(fts);
	free(paths[0]);
}

/* The tag at a place, or NULL. */
static const struct tag *tag_at(const struct oracle *oracle, const unsigned char *sector)
{
	const struct tag *tag = (const struct tag *)sector;

	return tag->magic == oracle->note.magic && tag->serial < oracle->note.serials ? tag : NULL;
}

static void read_file(struct oracle *oracle, uint32_t index, int fd, unsigned char *buffer)
{
	const struct file *file = &oracle->files[index];
	const struct tag *tag;
	uint64_t base, at;
	size_t n, length;

	for (base = 0; base < file->size; base += n) {
		n = must_pread(fd, file->path, buffer, CHUNK, base);
		if (!n)
			die("%s: shorter than it was", file->path);
		memset(buffer + n, 0, (SECTOR - n % SECTOR) % SECTOR);
		for (at = 0; at < n; at += SECTOR) {
			tag = tag_at(oracle, buffer + at);
			length = n - at < SECTOR ? n - at : SECTOR;
			if (!tag)
				continue;
			oracle->shown = must_grow(oracle->shown, oracle->n_shown,
						  &oracle->shown_alloc, sizeof(*oracle->shown));
			oracle->shown[oracle->n_shown++] =
				(struct shown){ index, base + at, (uint32_t)length, tag->serial };
			oracle->owners[tag->serial]++;
		}
	}
}

static void read_files(struct oracle *oracle, unsigned char *buffer)
{
	uint32_t i;
	int fd;

	walk(oracle);
	for (i = 0; i < oracle->n_files; i++) {
		char *path = must_format("%s/%s", oracle->mount, oracle->files[i].path);

		fd = must_open(path, O_RDONLY);
		read_file(oracle, i, fd, buffer);
		if (oracle->xfs)
			quiet_learn_xfs(oracle, i, fd);
		close(fd);
		free(path);
	}
}

static void read_device(struct oracle *oracle, int fd, unsigned char *buffer)
{
	const struct tag *tag;
	uint64_t base, at, sector, bytes = oracle->n_sectors * SECTOR;
	size_t n;

	for (base = oracle->start; base < bytes; base += n) {
		n = must_pread(fd, oracle->device, buffer,
			       bytes - base < CHUNK ? bytes - base : CHUNK, base);
		if (!n)
			die("%s: shorter than it was", oracle->device);
		for (at = 0; at < n; at += SECTOR) {
			tag = tag_at(oracle, buffer + at);
			if (!tag)
				continue;
			sector = (base + at) / SECTOR;
			oracle->serial_of[sector] = tag->serial;
			oracle->sector_of[tag->serial] =
				oracle->sector_of[tag->serial] == NO_SECTOR ? sector : AMBIGUOUS;
		}
	}
}

static uint64_t big_endian(const unsigned char *bytes, size_t n)
{
	uint64_t value = 0;

	while (n--)
		value = value << 8 | *bytes++;
	return value;
}

static uint64_t little_endian(const unsigned char *bytes, size_t n)
{
	uint64_t value = 0;

	while (n--)
		value = value << 8 | bytes[n];
	return value;
}

/* The size of a filesystem in blocks is in its superblock: what is behind it need not be read. */
static uint64_t blocks_of_filesystem(const struct oracle *oracle, int device)
{
	unsigned char *super = aligned_alloc(BLOCK, BLOCK);
	uint64_t blocks;

	if (!super || must_pread(device, oracle->device, super, BLOCK, oracle->start) != BLOCK)
		die("%s: no superblock", oracle->device);
	blocks = oracle->xfs ? big_endian(super + 8, 8) : little_endian(super + 1024 + 4, 4);
	free(super);
	return blocks;
}

/* A number that sysfs has of a block device. */
static uint64_t block_number(dev_t device, const char *name)
{
	char *path = must_format("/sys/dev/block/%u:%u/%s", major(device), minor(device), name);
	FILE *f = fopen(path, "re");
	uint64_t number;

	if (!f || fscanf(f, "%lu", &number) != 1)
		die("%s: cannot be read", path);
	fclose(f);
	free(path);
	return number;
}

/* The realtime device of the filesystem, where it was mounted with one; all files of a tree then have their data there. */
static bool find_realtime(const struct oracle *oracle, dev_t *realtime)
{
	FILE *mounts = fopen("/proc/self/mounts", "re");
	char *line = NULL, *dir, *option, *path = NULL;
	size_t alloc = 0;
	struct stat st;

	while (mounts && getline(&line, &alloc, mounts) > 0) {
		if (sscanf(line, "%*s %ms", &dir) != 1)
			continue;
		option = strcmp(dir, oracle->mount) == 0 ? strstr(line, ",rtdev=") : NULL;
		free(dir);
		if (option && sscanf(option, ",rtdev=%m[^, ]", &path) == 1)
			break;
	}
	if (!mounts)
		die("mounts: %s", strerror(errno));
	fclose(mounts);
	free(line);
	if (!path)
		return false;
	if (stat(path, &st))
		die("%s: %s", path, strerror(errno));
	*realtime = st.st_rdev;
	free(path);
	return true;
}

/* Where what has the files' data begins on the whole device, and where it ends. */
static void find_extent(struct oracle *oracle, int device)
{
	struct stat mount, dev;
	struct statfs fs;
	uint64_t bytes, used;
	bool realtime;
	dev_t at;

	if (stat(oracle->mount, &mount) || fstat(device, &dev) || statfs(oracle->mount, &fs))
		die("%s: %s", oracle->mount, strerror(errno));
	oracle->xfs = fs.f_type == XFS_SUPER_MAGIC;
	at = mount.st_dev;
	realtime = find_realtime(oracle, &at);
	if (at != dev.st_rdev)
		oracle->start = block_number(at, "start") * SECTOR;
	if (realtime) {
		oracle->n_sectors = oracle->start / SECTOR + block_number(at, "size");
		return;
	}
	if (ioctl(device, BLKGETSIZE64, &bytes))
		die("%s: no block device: %s", oracle->device, strerror(errno));
	used = oracle->start + blocks_of_filesystem(oracle, device) * BLOCK;
	if (used > bytes || used < oracle->start + (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize)
		die("%s: a superblock that this test does not understand", oracle->device);
	oracle->n_sectors = used / SECTOR;
}

static void learn_frozen(struct oracle *oracle, int device)
{
	unsigned char *buffer = aligned_alloc(BLOCK, CHUNK);
	int buffered = must_open(oracle->device, O_RDONLY);

	if (!buffer)
		die("out of memory");
	read_files(oracle, buffer);
	read_device(oracle, device, buffer);
	if (!oracle->xfs)
		quiet_learn_ext4(oracle, buffered);
	close(buffered);
	free(buffer);
}

static int compare_quiet(const void *a, const void *b)
{
	const struct quiet *x = a, *y = b;

	if (x->sector != y->sector)
		return x->sector < y->sector ? -1 : 1;
	return x->file != y->file ? (x->file < y->file ? -1 : 1)
				  : (x->offset > y->offset) - (x->offset < y->offset);
}

/* The rest of a page whose file ends inside it: allocated, but no part of the file. */
static void learn_tails(struct oracle *oracle)
{
	const struct shown *last;
	const struct file *file;
	struct quiet *tail;
	uint64_t end, sector;
	size_t i;

	for (i = 0; i < oracle->n_shown; i++) {
		last = &oracle->shown[i];
		file = &oracle->files[last->file];
		end = last->offset + last->length;
		if (end != file->size || end % BLOCK == 0)
			continue;
		sector = oracle->sector_of[last->serial];
		if (sector >= AMBIGUOUS)
			continue;
		tail = quiet_add(oracle, last->file, end, sector * SECTOR + (end - last->offset),
				 BLOCK - end % BLOCK);
		for (; tail < oracle->quiet + oracle->n_quiet; tail++) {
			tail->tail = true;
			tail->shared = oracle->owners[last->serial] > 1;
		}
	}
}

void oracle_learn(struct oracle *oracle, const char *mount, const char *device)
{
	int fd = must_open(mount, O_RDONLY | O_DIRECTORY), raw;
	uint64_t i;

	*oracle = (struct oracle){ .mount = mount, .device = device };
	if (fgetxattr(fd, NOTE_NAME, &oracle->note, sizeof(oracle->note)) != sizeof(oracle->note))
		die("%s: no tree was made here", mount);
	/* Frozen, the log is empty and all metadata where it belongs: no sector will be overwritten behind our back. */
	raw = open(device, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (raw < 0)
		die("%s: cannot open: %s", device, strerror(errno));
	find_extent(oracle, raw);
	oracle->sector_of = must_alloc(oracle->note.serials, sizeof(uint64_t));
	oracle->owners = must_alloc(oracle->note.serials, sizeof(uint32_t));
	oracle->serial_of = must_alloc(oracle->n_sectors, sizeof(uint64_t));
	for (i = 0; i < oracle->note.serials; i++)
		oracle->sector_of[i] = NO_SECTOR;
	for (i = 0; i < oracle->n_sectors; i++)
		oracle->serial_of[i] = NO_SECTOR;
	if (ioctl(fd, FIFREEZE, 0))
		die("%s: cannot freeze: %s", mount, strerror(errno));
	learn_frozen(oracle, raw);
	if (ioctl(fd, FITHAW, 0))
		die("%s: cannot thaw: %s", mount, strerror(errno));
	learn_tails(oracle);
	qsort(oracle->quiet, oracle->n_quiet, sizeof(*oracle->quiet), compare_quiet);
	close(raw);
	close(fd);
}
