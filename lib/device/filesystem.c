/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The filesystems of the topology: on which devices they lie, what they are, and where they are mounted. */

#include <errno.h>
#include <libmount.h>
#include <stdlib.h>
#include <string.h>

#include "mounts.h"
#include "private.h"
#include "topology.h"

/* libblkid's word for the log of an XFS on a device of its own */
#define EXTERNAL_LOG "xfs_external_log"
/* ... and of an ext4 or ext3 */
#define EXTERNAL_JOURNAL "jbd"

static void say_unprobed(struct pmr_ctx *ctx, struct pmr_topology *topology,
			 const struct pmr_filesystem *fs, int why)
{
	/* Said when all of the topology was looked at, then asked for once more by a target. */
	if (topology->own->found_filesystems && fs->device->own)
		return;
	if (why == -EACCES || why == -EPERM) {
		if (!topology->own->told_filesystems)
			pmr_say(ctx, PMR_INFO, "permission", fs->source,
				"may not be opened (%s): its filesystem is known from udev or the mount table "
				"alone; run as root or in the group of the device",
				strerror(-why));
		topology->own->told_filesystems = true;
	} else if (why > 0 && !fs->mountpoint) {
		pmr_say(ctx, PMR_WARNING, "filesystem-unknown", fs->source,
			"has signatures of more than one filesystem: see wipefs -n");
	} else if (why < 0 && !fs->type) {
		pmr_say(ctx, PMR_WARNING, "filesystem-unknown", fs->source,
			"could not be looked at for a filesystem: %s", strerror(-why));
	}
}

/* Both ext4 and XFS show this word, and not noload. An XFS does not tell whether anything was in its log. */
static bool is_unreplayed(struct libmnt_fs *mount)
{
	return pmr_mount_has_option(mnt_fs_get_fs_options(mount), "norecovery");
}

static void fill_log(struct pmr_filesystem *fs, struct libmnt_fs *mount)
{
	const char *options = mnt_fs_get_fs_options(mount);
	struct pmr_ext4_log log;

	fs->unreplayed = is_unreplayed(mount);
	fs->external_log = pmr_mount_has_option(options, "logdev");
	fs->log = pmr_mount_device(options, "logdev");
	if (!pmr_mount_is_journalled(fs->type) || !pmr_probe_ext4_log(fs->source, fs->devno, &log))
		return;
	fs->unreplayed = fs->unreplayed && !log.is_recovered;
	fs->external_log = log.is_elsewhere;
	fs->log = log.device;
}

static int fill_mounted(struct pmr_filesystem *fs, struct libmnt_fs *mount, bool has_dax)
{
	const char *options = mnt_fs_get_fs_options(mount);
	int err;

	/* The kernel's word counts: an ext3 may be mounted as ext4. */
	err = pmr_replace(&fs->type, mnt_fs_get_fstype(mount));
	if (!err)
		err = pmr_replace(&fs->mountpoint, mnt_fs_get_target(mount));
	fs->devno = mnt_fs_get_devno(mount);
	fs->dax = pmr_mount_dax(mount, has_dax);
	fs->read_only = pmr_mount_has_option(mnt_fs_get_vfs_options(mount), "ro") ||
			pmr_mount_has_option(options, "ro");
	fill_log(fs, mount);
	fs->realtime = pmr_mount_has_option(options, "rtdev");
	fs->rtdev = pmr_mount_device(options, "rtdev");
	return err;
}

static int fill_beside(struct pmr_filesystem *fs, struct libmnt_fs *mount, enum pmr_role role,
		       const char *type)
{
	int err;

	fs->role = role;
	fs->of = mnt_fs_get_devno(mount);
	fs->read_only = pmr_mount_has_option(mnt_fs_get_vfs_options(mount), "ro") ||
			pmr_mount_has_option(mnt_fs_get_fs_options(mount), "ro");
	err = pmr_replace(&fs->type, type);
	if (!err)
		err = pmr_replace(&fs->of_source, mnt_fs_get_srcpath(mount));
	return err ? err : pmr_replace(&fs->mountpoint, mnt_fs_get_target(mount));
}

/* The device has no superblock, and whatever signature is left there is none of its own. */
static int fill_realtime(struct pmr_topology *topology, struct pmr_filesystem *fs,
			 struct libmnt_fs *mount, bool has_dax)
{
	int err;

	err = fill_beside(fs, mount, PMR_ROLE_REALTIME, mnt_fs_get_fstype(mount));
	if (!err)
		err = pmr_replace(&fs->label, NULL);
	if (!err)
		err = pmr_replace(&fs->uuid, NULL);
	fs->devno = fs->of;
	fs->dax = pmr_mount_dax(mount, has_dax);
	fs->unreplayed = is_unreplayed(mount);
	for (size_t i = 0; i < topology->n_filesystems && !err && !fs->uuid; i++) {
		const struct pmr_filesystem *data = topology->filesystems[i];

		if (data->role == PMR_ROLE_DATA && data->devno == fs->of && data->uuid)
			err = pmr_replace(&fs->uuid, data->uuid);
	}
	if (!err && !fs->uuid && fs->of_source)
		err = pmr_probe_uuid(fs->of_source, fs->of, &fs->uuid);
	return err;
}

/* A log in use has no signature where its first record was written over, so the mount tells, too. */
static int fill_unmounted(struct pmr_topology *topology, const struct pmr_block *block,
			  struct pmr_filesystem *fs)
{
	enum pmr_role role = PMR_ROLE_DATA;
	bool is_journal = fs->type && !strcmp(fs->type, EXTERNAL_JOURNAL);
	bool is_log = is_journal || (fs->type && !strcmp(fs->type, EXTERNAL_LOG));
	struct libmnt_fs *mount =
		pmr_mounts_find_beside(topology->own->mounts, block->devno, is_journal, &role);

	if (role == PMR_ROLE_REALTIME)
		return fill_realtime(topology, fs, mount, block->dax);
	if (role == PMR_ROLE_LOG && (is_log || !fs->type))
		return fill_beside(fs, mount, role, is_journal ? EXTERNAL_JOURNAL : EXTERNAL_LOG);
	if (is_log)
		fs->role = PMR_ROLE_LOG;
	return 0;
}

static void forget_probe(struct pmr_filesystem *fs)
{
	free(fs->type);
	free(fs->uuid);
	free(fs->label);
	fs->type = fs->uuid = fs->label = NULL;
}

static int fill_filesystem(struct pmr_ctx *ctx, struct pmr_topology *topology,
			   const struct pmr_block *block, struct pmr_filesystem *fs)
{
	struct libmnt_fs *mount;
	int err, why;

	/* Of a mapped device the name that stays. */
	fs->source = block->devno == fs->device->devno && fs->device->volume
			     ? strdup(fs->device->path)
			     : pmr_block_path(block->name);
	fs->held = block->held;
	if (!fs->source)
		return -ENOMEM;
	err = pmr_probe(ctx, block->devno, fs, &why);
	if (err)
		return err;
	mount = pmr_mounts_find(topology->own->mounts, block->devno, fs->source);
	err = mount ? fill_mounted(fs, mount, block->dax) : fill_unmounted(topology, block, fs);
	/* What is built on it may begin where it begins, and then has that filesystem. */
	if (!err && fs->held && !mount && fs->type && pmr_filesystem_is_followed(fs->type))
		forget_probe(fs);
	if (!err && !fs->held)
		say_unprobed(ctx, topology, fs, why);
	return err;
}

void pmr_filesystem_free(struct pmr_filesystem *fs)
{
	if (!fs)
		return;
	free(fs->type);
	free(fs->uuid);
	free(fs->label);
	free(fs->source);
	free(fs->of_source);
	free(fs->mountpoint);
	free(fs);
}

static int append(struct pmr_topology *topology, struct pmr_filesystem *fs)
{
	int err = pmr_grow(&topology->filesystems, topology->n_filesystems,
			   &topology->own->alloc_filesystems, sizeof(*topology->filesystems));

	if (!err)
		topology->filesystems[topology->n_filesystems++] = fs;
	return err;
}

/* @always: add it even if nothing is on it. */
static int add(struct pmr_ctx *ctx, struct pmr_topology *topology, const struct pmr_block *block,
	       struct pmr_device *device, bool always, struct pmr_filesystem **filesystem)
{
	struct pmr_filesystem *fs;
	int err;

	err = pmr_mounts_load(topology, false);
	if (err)
		return err;
	fs = calloc(1, sizeof(*fs));
	if (!fs)
		return -ENOMEM;
	fs->device = device;
	fs->devno = block->devno;
	fs->start = block->start;
	fs->size = block->size;
	err = fill_filesystem(ctx, topology, block, fs);
	if (!err && (always || fs->type)) {
		err = append(topology, fs);
		if (!err) {
			*filesystem = fs;
			return 0;
		}
	}
	pmr_filesystem_free(fs);
	return err;
}

int pmr_filesystem_add(struct pmr_ctx *ctx, struct pmr_topology *topology,
		       const struct pmr_block *block, struct pmr_device *device,
		       struct pmr_filesystem **filesystem)
{
	int err;

	/* It may have been mounted since the table was read. */
	err = pmr_mounts_load(topology, true);
	return err ? err : add(ctx, topology, block, device, true, filesystem);
}

int pmr_filesystem_whole(struct pmr_topology *topology, struct pmr_device *device,
			 struct pmr_filesystem **filesystem)
{
	struct pmr_filesystem *fs;
	size_t i;
	int err;

	for (i = 0; i < topology->n_filesystems; i++) {
		if (topology->filesystems[i]->device == device) {
			*filesystem = topology->filesystems[i];
			return 0;
		}
	}
	fs = calloc(1, sizeof(*fs));
	if (!fs)
		return -ENOMEM;
	fs->device = device;
	fs->size = device->size;
	fs->source = strdup(device->path);
	/* what tells this one from another of its name is what tells its namespace */
	fs->uuid = device->ns_uuid ? strdup(device->ns_uuid) : NULL;
	err = fs->source && (fs->uuid || !device->ns_uuid) ? append(topology, fs) : -ENOMEM;
	if (err)
		pmr_filesystem_free(fs);
	else
		*filesystem = fs;
	return err;
}

/* ---- what is on every device */

struct finder {
	struct pmr_ctx *ctx;
	struct pmr_topology *topology;
	struct pmr_device *device;
	unsigned int partitions;
};

static int find_on(void *data, const struct pmr_block *block)
{
	struct finder *finder = data;
	struct pmr_filesystem *fs;

	finder->partitions++;
	/* What lies in a partition is somebody's, whether or not it is known whose. */
	return add(finder->ctx, finder->topology, block, finder->device, block->start, &fs);
}

static int find_on_disk(struct finder *finder)
{
	struct pmr_block block = { 0 };
	int err;

	finder->partitions = 0;
	err = pmr_block_get(finder->device->devno, &block);
	if (err)
		return err == -ENOMEM ? err : 0;
	err = pmr_block_partitions(block.name, find_on, finder);
	/* On a partitioned disk the signature of its last partition can pass for the disk's. */
	if (!err && !finder->partitions)
		err = find_on(finder, &block);
	pmr_block_release(&block);
	return err;
}

int pmr_filesystems_find_on(struct pmr_ctx *ctx, struct pmr_topology *topology,
			    struct pmr_device *device)
{
	struct finder finder = { .ctx = ctx, .topology = topology, .device = device };
	int err;

	for (size_t i = 0; i < topology->n_filesystems; i++) {
		if (topology->filesystems[i]->device == device)
			return 0;
	}
	/* It may have been mounted since the table was read. */
	err = pmr_mounts_load(topology, true);
	return err ? err : find_on_disk(&finder);
}

static int compare_sources(const void *a, const void *b)
{
	return strverscmp((*(struct pmr_filesystem *const *)a)->source,
			  (*(struct pmr_filesystem *const *)b)->source);
}

int pmr_filesystems_find(struct pmr_ctx *ctx, struct pmr_topology *topology)
{
	struct finder finder = { .ctx = ctx, .topology = topology };
	size_t i;
	int err;

	for (i = 0; i < topology->n_devices; i++) {
		finder.device = topology->devices[i];
		if (!finder.device->devno)
			continue;
		err = find_on_disk(&finder);
		if (err)
			return err;
	}
	topology->own->found_filesystems = true;
	if (topology->n_filesystems)
		qsort(topology->filesystems, topology->n_filesystems,
		      sizeof(*topology->filesystems), compare_sources);
	return 0;
}
