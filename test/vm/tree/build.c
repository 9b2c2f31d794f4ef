// SPDX-License-Identifier: GPL-2.0-or-later
/* build.c: write the files of the tree, each sector with its tag, and the copy that a repair gets its bytes from. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "make.h"

bool build_can_reflink(const char *mount)
{
	char *a = must_format("%s/probe-a", mount), *b = must_format("%s/probe-b", mount);
	int from = must_open(a, O_CREAT | O_RDWR), to = must_open(b, O_CREAT | O_RDWR);
	bool can = ioctl(to, FICLONE, from) == 0;

	close(from);
	close(to);
	unlink(a);
	unlink(b);
	free(a);
	free(b);
	return can;
}

void build_tune_ext4(const char *mount)
{
	char *link, *knob, name[256] = "";
	struct stat st;
	ssize_t n;
	int fd;

	if (stat(mount, &st))
		die("%s: %s", mount, strerror(errno));
	link = must_format("/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
	n = readlink(link, name, sizeof(name) - 1);
	knob = must_format("/sys/fs/ext4/%s/mb_stream_req",
			   n > 0 ? strrchr(name, '/') + 1 : "none");
	fd = open(knob, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, "100000", 6) != 6)
			die("%s: cannot write: %s", knob, strerror(errno));
		close(fd);
	}
	free(link);
	free(knob);
}

static bool is_dax(int fd)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx))
		die("statx: %s", strerror(errno));
	return stx.stx_attributes & STATX_ATTR_DAX;
}

void build_open(struct maker *maker, struct work *work)
{
	char *path = must_format("%s/%s", maker->mount, work->name);

	work->fd = must_open(path, O_CREAT | O_EXCL | O_RDWR);
	maker->dax = is_dax(work->fd);
	if (!maker->dax) {
		/* With delayed allocation the order of writes decides nothing. */
		close(work->fd);
		work->fd = must_open(path, O_RDWR | O_DSYNC);
	}
	if (ftruncate(work->fd, (off_t)work->size))
		die("%s: cannot set the size: %s", path, strerror(errno));
	free(path);
}

/* Cheap, and different in every sector: nothing of one can be taken for a part of another. */
static void fill_sector(struct maker *maker, unsigned char *sector)
{
	struct tag tag = { maker->note.magic, maker->note.serials++ };
	uint64_t x = tag.serial * 0x9e3779b97f4a7c15u + 1;
	size_t i;

	memcpy(sector, &tag, sizeof(tag));
	for (i = sizeof(tag); i < SECTOR; i += sizeof(x)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(sector + i, &x, sizeof(x));
	}
}

static void write_blocks(struct maker *maker, struct work *work, uint32_t block, uint32_t count)
{
	uint64_t from = (uint64_t)block * BLOCK, end = from + (uint64_t)count * BLOCK, at;
	ssize_t n;

	if (end > work->size)
		end = work->size;
	for (at = from; at < end; at += SECTOR)
		fill_sector(maker, work->image + at);
	/* What lies past the end of the file is no part of it. */
	memset(work->image + end, 0, (BLOCK - end % BLOCK) % BLOCK);
	n = pwrite(work->fd, work->image + from, end - from, (off_t)from);
	if (n < 0 || (uint64_t)n != end - from)
		die("%s: cannot write: %s", work->name, n < 0 ? strerror(errno) : "short");
}

void build_step(struct maker *maker, struct work *work)
{
	const struct op *op = &work->ops[work->next_op++];
	int mode = op->kind == OP_ALLOCATE_AHEAD ? FALLOC_FL_KEEP_SIZE : 0;
	uint64_t from = (uint64_t)op->block * BLOCK, length = (uint64_t)op->count * BLOCK;

	if (op->kind == OP_WRITE) {
		write_blocks(maker, work, op->block, op->count);
		return;
	}
	if (!mode && from + length > work->size)
		length = work->size - from;
	if (fallocate(work->fd, mode, (off_t)from, (off_t)length))
		die("%s: cannot allocate: %s", work->name, strerror(errno));
}

static void clone_blocks(struct maker *maker, struct work *work)
{
	struct work *source = work->clone_of;
	uint64_t from = (uint64_t)work->clone_from * BLOCK, to = (uint64_t)work->clone_to * BLOCK;
	uint64_t length = (uint64_t)work->clone_count * BLOCK;
	struct file_clone_range range = { .src_fd = source->fd,
					  .src_offset = from,
					  .dest_offset = to };
	uint32_t i;

	if (from + length > source->size)
		length = source->size - from;
	range.src_length = length;
	if (ioctl(work->fd, FICLONERANGE, &range))
		die("%s: cannot clone: %s", work->name, strerror(errno));
	memcpy(work->image + to, source->image + from, length);
	for (i = 0; i < work->overwrite; i++)
		write_blocks(maker, work, (uint32_t)prng_below(&maker->prng, blocks_of(work)), 1);
}

static void set_capability(const struct work *work)
{
	/* struct vfs_cap_data of revision 2, little endian: cap_net_bind_service=ep */
	static const unsigned char data[20] = { 0x01, 0, 0, 0x02, 0, 0x04 };

	if (fsetxattr(work->fd, "security.capability", data, sizeof(data), 0))
		die("%s: cannot set security.capability: %s", work->name, strerror(errno));
}

static void copy_file(const struct maker *maker, const struct work *work, const char *name)
{
	static const unsigned char zeros[BLOCK];
	char *path = must_format("%s/%s", maker->backup, name);
	int fd = must_open(path, O_CREAT | O_TRUNC | O_WRONLY);
	uint64_t at, end;
	ssize_t n;

	if (ftruncate(fd, (off_t)work->size))
		die("%s: cannot set the size: %s", path, strerror(errno));
	for (at = 0; at < work->size; at = end) {
		/* Runs of blocks with data, each with one write. */
		end = at + BLOCK;
		if (memcmp(work->image + at, zeros, BLOCK) == 0)
			continue;
		while (end < work->size && memcmp(work->image + end, zeros, BLOCK) != 0)
			end += BLOCK;
		if (end > work->size)
			end = work->size;
		n = pwrite(fd, work->image + at, end - at, (off_t)at);
		if (n < 0 || (uint64_t)n != end - at)
			die("%s: cannot write: %s", path, n < 0 ? strerror(errno) : "short");
	}
	if (close(fd))
		die("%s: cannot close: %s", path, strerror(errno));
	free(path);
}

static void finish_file(struct maker *maker, struct work *work)
{
	char *path = must_format("%s/%s", maker->mount, work->name), *link_path;

	if (work->doomed) {
		if (unlink(path))
			die("%s: cannot delete: %s", path, strerror(errno));
	} else {
		copy_file(maker, work, work->name);
		if (work->link) {
			link_path = must_format("%s/%s", maker->mount, work->link);
			if (link(path, link_path))
				die("%s: cannot link: %s", link_path, strerror(errno));
			copy_file(maker, work, work->link);
			free(link_path);
		}
		if (fchmod(work->fd, work->mode))
			die("%s: cannot set the mode: %s", path, strerror(errno));
		if (work->capable)
			set_capability(work);
	}
	if (close(work->fd))
		die("%s: cannot close: %s", path, strerror(errno));
	free(path);
}

void build_finish(struct maker *maker)
{
	size_t i;
	int fd;

	for (i = 0; i < maker->n_works; i++) {
		if (maker->works[i].clone_of)
			clone_blocks(maker, &maker->works[i]);
	}
	for (i = 0; i < maker->n_works; i++)
		finish_file(maker, &maker->works[i]);
	fd = must_open(maker->mount, O_RDONLY | O_DIRECTORY);
	if (syncfs(fd))
		die("%s: cannot sync: %s", maker->mount, strerror(errno));
	close(fd);
}
