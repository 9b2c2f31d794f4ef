/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lies on a block device: libblkid's answer, on a copy of what can be read where poison is in its way. */

#include <blkid.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "private.h"
#include "topology.h"

/* The signatures of all that is known lie in here: the log of an XFS has one anywhere in its first 512 sectors. */
#define HEAD_LENGTH ((uint64_t)256 << 10)

/* Of ext4's superblock, whose format has not changed since ext2. */
#define EXT4_SUPER 1024
#define EXT4_SUPER_LENGTH 1024
#define EXT4_MAGIC_AT 0x38
#define EXT4_COMPAT_AT 0x5c
#define EXT4_INCOMPAT_AT 0x60
#define EXT4_JOURNAL_INODE_AT 0xe0
#define EXT4_JOURNAL_DEVICE_AT 0xe4
#define EXT4_HAS_JOURNAL 0x4u
#define EXT4_NEEDS_RECOVERY 0x4u

int pmr_replace(char **where, const char *value)
{
	char *made = NULL;

	if (value) {
		made = strdup(value);
		if (!made)
			return -ENOMEM;
	}
	free(*where);
	*where = made;
	return 0;
}

static int take_probed(blkid_probe probe, struct pmr_filesystem *fs)
{
	const struct {
		const char *name;
		char **where;
	} values[] = {
		{ "TYPE", &fs->type },
		{ "UUID", &fs->uuid },
		{ "LABEL", &fs->label },
	};
	const char *value;
	unsigned int i;
	int err = 0;

	for (i = 0; i < sizeof(values) / sizeof(*values) && !err; i++) {
		if (blkid_probe_lookup_value(probe, values[i].name, &value, NULL) == 0)
			err = pmr_replace(values[i].where, value);
	}
	return err;
}

/* Return: 0 (looked, whatever was found), 1 (two signatures), a negative errno (could not look). */
static int probe_descriptor(int fd, struct pmr_filesystem *fs)
{
	blkid_probe probe = blkid_new_probe();
	int found, err = -EIO;

	if (!probe)
		return -ENOMEM;
	if (blkid_probe_set_device(probe, fd, 0, 0) || blkid_probe_enable_superblocks(probe, 1) ||
	    blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_UUID |
							     BLKID_SUBLKS_LABEL))
		goto out;
	found = blkid_do_safeprobe(probe);
	if (found == 0)
		err = take_probed(probe, fs);
	else if (found == 1)
		err = 0;
	else if (found == -2)
		err = 1;
out:
	blkid_free_probe(probe);
	return err;
}

/*
 * libblkid reads through the page cache and gives up at the first error, though the sector that it wants may be
 * good, or is not the one that decides. It is given a copy instead, as long as the device, with zeros for what cannot
 * be read.
 */
static int probe_copy(struct pmr_ctx *ctx, struct pmr_filesystem *fs)
{
	uint64_t length = fs->size < HEAD_LENGTH ? fs->size : HEAD_LENGTH;
	struct pmr_ranges unreadable = { 0 };
	struct pmr_media *media = NULL;
	char *head = calloc(1, HEAD_LENGTH);
	int fd = -1, err = -ENOMEM;

	if (!head)
		goto out;
	err = pmr_media_open(ctx, fs->device, &media);
	if (!err)
		err = pmr_media_salvage(media, fs->start, length, &fs->device->badblocks.ranges,
					head, &unreadable);
	if (err)
		goto out;
	fd = memfd_create("superblock", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, fs->size) || pwrite(fd, head, length, 0) != (ssize_t)length) {
		err = -EIO;
		goto out;
	}
	err = probe_descriptor(fd, fs);
out:
	if (fd >= 0)
		close(fd);
	pmr_ranges_release(&unreadable);
	pmr_media_close(media);
	free(head);
	return err;
}

int pmr_block_open(const char *path, dev_t devno)
{
	struct stat st;
	int fd, err;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		err = -errno;
	else if (S_ISBLK(st.st_mode) && st.st_rdev == devno)
		return fd;
	else
		err = -ENODEV;
	close(fd);
	return err;
}

static int probe_device(struct pmr_ctx *ctx, dev_t devno, struct pmr_filesystem *fs)
{
	int fd, err;

	fd = pmr_block_open(fs->source, devno);
	if (fd < 0)
		return fd;
	err = probe_descriptor(fd, fs);
	close(fd);
	/* Not every error of reading makes it to us. */
	if (!err && !fs->type &&
	    pmr_ranges_overlap(&fs->device->badblocks.ranges, fs->start, HEAD_LENGTH))
		return probe_copy(ctx, fs) == -ENOMEM ? -ENOMEM : 0;
	/* A copy without a known signature proves nothing: it may have been what could not be read. */
	if (err == -EIO && (probe_copy(ctx, fs) < 0 || !fs->type))
		return -EIO;
	return err == -EIO ? 0 : err;
}

int pmr_probe_uuid(const char *path, dev_t devno, char **uuid)
{
	struct pmr_filesystem found = { 0 };
	int fd, err;

	fd = pmr_block_open(path, devno);
	if (fd < 0)
		return 0;
	err = probe_descriptor(fd, &found);
	close(fd);
	free(found.type);
	free(found.label);
	*uuid = found.uuid;
	return err == -ENOMEM ? err : 0;
}

static uint32_t get_word(const unsigned char *super, size_t offset)
{
	uint32_t word;

	memcpy(&word, super + offset, sizeof(word));
	return le32toh(word);
}

bool pmr_probe_ext4_log(const char *path, dev_t devno, struct pmr_ext4_log *log)
{
	unsigned char super[EXT4_SUPER_LENGTH];
	uint32_t device;
	ssize_t n;
	int fd;

	fd = pmr_block_open(path, devno);
	if (fd < 0)
		return false;
	n = pread(fd, super, sizeof(super), EXT4_SUPER);
	close(fd);
	if (n != (ssize_t)sizeof(super) ||
	    (get_word(super, EXT4_MAGIC_AT) & UINT16_MAX) != EXT4_SUPER_MAGIC)
		return false;
	device = get_word(super, EXT4_JOURNAL_DEVICE_AT);
	*log = (struct pmr_ext4_log){
		.is_recovered = !(get_word(super, EXT4_INCOMPAT_AT) & EXT4_NEEDS_RECOVERY),
		.is_elsewhere = get_word(super, EXT4_COMPAT_AT) & EXT4_HAS_JOURNAL &&
				!get_word(super, EXT4_JOURNAL_INODE_AT),
	};
	/* as the kernel's new_decode_dev() has it */
	if (log->is_elsewhere)
		log->device =
			makedev(device >> 8 & 0xfff, (device & 0xff) | (device >> 12 & 0xfff00));
	return true;
}

/* What udev's own probe found, which everybody may read. */
static int ask_udev(struct pmr_filesystem *fs, dev_t devno)
{
	const struct {
		const char *key;
		char **where;
	} keys[] = {
		{ "E:ID_FS_TYPE=", &fs->type },
		{ "E:ID_FS_UUID=", &fs->uuid },
		{ "E:ID_FS_LABEL=", &fs->label },
	};
	char *path, *text, *line, *save = NULL;
	size_t length;
	unsigned int i;
	int err;

	if (asprintf(&path, "/run/udev/data/b%u:%u", major(devno), minor(devno)) < 0)
		return -ENOMEM;
	err = pmr_read_text(path, 1 << 20, &text, &length);
	free(path);
	if (err)
		return err == -ENOMEM ? err : 0;
	for (line = strtok_r(text, "\n", &save); line && !err; line = strtok_r(NULL, "\n", &save)) {
		for (i = 0; i < sizeof(keys) / sizeof(*keys) && !err; i++) {
			size_t key = strlen(keys[i].key);

			if (strncmp(line, keys[i].key, key) == 0)
				err = pmr_replace(keys[i].where, line + key);
		}
	}
	free(text);
	return err;
}

int pmr_probe(struct pmr_ctx *ctx, dev_t devno, struct pmr_filesystem *fs, int *why)
{
	int found = probe_device(ctx, devno, fs);

	if (found == -ENOMEM)
		return found;
	*why = found;
	return found ? ask_udev(fs, devno) : 0;
}
