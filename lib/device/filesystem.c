/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The filesystems of the topology, where they are mounted (libmount), and which of them can be followed. */

#include <errno.h>
#include <libmount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "private.h"
#include "topology.h"

/* libblkid's word for the log of an XFS on a device of its own */
#define EXTERNAL_LOG "xfs_external_log"

/* ---- what is mounted */

static int load_mounts(struct pmr_topology *topology, bool again)
{
	if (topology->own->mounts && !again)
		return 0;
	mnt_unref_table(topology->own->mounts);
	topology->own->mounts = mnt_new_table_from_file("/proc/self/mountinfo");
	/* Without /proc nothing is known to be mounted, which an empty table says as well. */
	if (!topology->own->mounts)
		topology->own->mounts = mnt_new_table();
	return topology->own->mounts ? 0 : -ENOMEM;
}

/* Whether a mount on @target hides, or covers, what is at @path. */
static bool is_at_or_above(const char *target, const char *path)
{
	size_t length = target ? strlen(target) : 0;

	if (!length || !path || strncmp(path, target, length) != 0)
		return false;
	return !path[length] || path[length] == '/' || target[length - 1] == '/';
}

/* @on_it: mounts that lie on the mount itself are in the way as well, where they cover its root */
static bool is_hidden(struct libmnt_table *mounts, struct libmnt_fs *mount, bool on_it)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	const char *target = mnt_fs_get_target(mount), *other;
	int parent = mnt_fs_get_parent_id(mount), id = mnt_fs_get_id(mount);
	struct libmnt_fs *next;
	bool hidden = false;

	while (iter && !hidden && mnt_table_next_fs(mounts, iter, &next) == 0) {
		other = mnt_fs_get_target(next);
		if (next == mount || mnt_fs_get_id(next) == parent || !other || !target)
			continue;
		if (mnt_fs_get_parent_id(next) == parent)
			hidden = is_at_or_above(other, target) &&
				 (strcmp(other, target) != 0 || mnt_fs_get_id(next) > id);
		else if (on_it && mnt_fs_get_parent_id(next) == id)
			hidden = strcmp(other, target) == 0;
	}
	mnt_free_iter(iter);
	return hidden;
}

static struct libmnt_fs *find_parent(struct libmnt_table *mounts, struct libmnt_fs *mount)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *next, *parent = NULL;

	while (iter && !parent && mnt_table_next_fs(mounts, iter, &next) == 0) {
		if (next != mount && mnt_fs_get_id(next) == mnt_fs_get_parent_id(mount))
			parent = next;
	}
	mnt_free_iter(iter);
	return parent;
}

/* Whether the path of a mount leads to it: nothing is mounted on it, nor on the way to it. */
static bool is_seen(struct libmnt_table *mounts, struct libmnt_fs *mount)
{
	struct libmnt_fs *above;

	for (above = mount; above; above = find_parent(mounts, above)) {
		if (is_hidden(mounts, above, above == mount))
			return false;
	}
	return true;
}

/* A whole filesystem that nothing hides is better than a part of one, or one under another mount. */
static unsigned int rank_mount(struct libmnt_table *mounts, struct libmnt_fs *mount)
{
	const char *root = mnt_fs_get_root(mount);
	bool is_whole = root && strcmp(root, "/") == 0;

	return 1 + is_whole + 2 * is_seen(mounts, mount);
}

/* The devno of btrfs is no block device's: it is found by the device it was mounted from. */
static bool is_mount_of(struct libmnt_fs *mount, dev_t devno, const char *source)
{
	const char *from = mnt_fs_get_srcpath(mount);

	if (mnt_fs_get_devno(mount) == devno)
		return true;
	return source && from && major(mnt_fs_get_devno(mount)) == 0 && strcmp(from, source) == 0;
}

static struct libmnt_fs *find_mount(struct libmnt_table *mounts, dev_t devno, const char *source)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *mount, *best = NULL;
	unsigned int best_rank = 0;

	while (iter && mnt_table_next_fs(mounts, iter, &mount) == 0) {
		unsigned int rank =
			is_mount_of(mount, devno, source) ? rank_mount(mounts, mount) : 0;

		if (rank > best_rank) {
			best_rank = rank;
			best = mount;
		}
	}
	mnt_free_iter(iter);
	return best;
}

static bool has_option(const char *options, const char *name)
{
	return options && mnt_optstr_get_option(options, name, NULL, NULL) == 0;
}

/* Return: the number of the block device that a mount option names, or 0. */
static dev_t get_device(const char *options, const char *name)
{
	size_t length = 0;
	char *value = NULL, *path;
	struct stat st;
	bool found;

	if (!options || mnt_optstr_get_option(options, name, &value, &length) != 0 || !value)
		return 0;
	path = strndup(value, length);
	found = path && !stat(path, &st) && S_ISBLK(st.st_mode);
	free(path);
	return found ? st.st_rdev : 0;
}

/* Return: what a block device is to an XFS that is mounted somewhere else; PMR_ROLE_DATA: nothing. */
static enum pmr_role get_role(struct libmnt_fs *mount, dev_t devno)
{
	const char *type = mnt_fs_get_fstype(mount), *options = mnt_fs_get_fs_options(mount);

	if (!type || strcmp(type, "xfs") != 0)
		return PMR_ROLE_DATA;
	if (get_device(options, "rtdev") == devno)
		return PMR_ROLE_REALTIME;
	return get_device(options, "logdev") == devno ? PMR_ROLE_LOG : PMR_ROLE_DATA;
}

static struct libmnt_fs *find_mount_beside(struct libmnt_table *mounts, dev_t devno,
					   enum pmr_role *role)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *mount, *best = NULL;
	unsigned int best_rank = 0;

	while (iter && mnt_table_next_fs(mounts, iter, &mount) == 0) {
		enum pmr_role found = get_role(mount, devno);
		unsigned int rank = found == PMR_ROLE_DATA ? 0 : rank_mount(mounts, mount);

		if (rank > best_rank) {
			best_rank = rank;
			best = mount;
			*role = found;
		}
	}
	mnt_free_iter(iter);
	return best;
}

static enum pmr_dax get_dax(struct libmnt_fs *mount, bool device_has_dax)
{
	const char *type = mnt_fs_get_fstype(mount);
	size_t length = 0;
	char *value = NULL;
	unsigned int i;
	static const struct {
		const char *value;
		enum pmr_dax dax;
	} spellings[] = {
		{ "always", PMR_DAX_YES },
		{ "inode", PMR_DAX_INODE },
		{ "never", PMR_DAX_NO },
	};

	if (!device_has_dax || !type)
		return PMR_DAX_NO;
	if (mnt_optstr_get_option(mnt_fs_get_fs_options(mount), "dax", &value, &length) == 0) {
		if (!value || !length)
			return PMR_DAX_YES;
		for (i = 0; i < sizeof(spellings) / sizeof(*spellings); i++) {
			if (strlen(spellings[i].value) == length &&
			    memcmp(spellings[i].value, value, length) == 0)
				return spellings[i].dax;
		}
		return PMR_DAX_UNKNOWN;
	}
	/* Since 5.8 ext4 and XFS go by each file's flag unless told otherwise, and do not show it. */
	if (strcmp(type, "ext4") == 0 || strcmp(type, "xfs") == 0)
		return PMR_DAX_INODE;
	return PMR_DAX_NO;
}

/* ---- filesystems of the topology */

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

static int fill_mounted(struct pmr_filesystem *fs, struct libmnt_fs *mount, bool has_dax)
{
	const char *options = mnt_fs_get_fs_options(mount);
	int err;

	/* The kernel's word counts: an ext3 may be mounted as ext4. */
	err = pmr_replace(&fs->type, mnt_fs_get_fstype(mount));
	if (!err)
		err = pmr_replace(&fs->mountpoint, mnt_fs_get_target(mount));
	fs->devno = mnt_fs_get_devno(mount);
	fs->dax = get_dax(mount, has_dax);
	fs->read_only =
		has_option(mnt_fs_get_vfs_options(mount), "ro") || has_option(options, "ro");
	fs->realtime = has_option(options, "rtdev");
	fs->external_log = has_option(options, "logdev");
	fs->log = get_device(options, "logdev");
	fs->rtdev = get_device(options, "rtdev");
	return err;
}

static int fill_beside(struct pmr_filesystem *fs, struct libmnt_fs *mount, enum pmr_role role,
		       const char *type)
{
	int err;

	fs->role = role;
	fs->of = mnt_fs_get_devno(mount);
	fs->read_only = has_option(mnt_fs_get_vfs_options(mount), "ro") ||
			has_option(mnt_fs_get_fs_options(mount), "ro");
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
	fs->dax = get_dax(mount, has_dax);
	for (size_t i = 0; i < topology->n_filesystems && !err && !fs->uuid; i++) {
		const struct pmr_filesystem *data = topology->filesystems[i];

		if (data->role == PMR_ROLE_DATA && data->devno == fs->of && data->uuid)
			err = pmr_replace(&fs->uuid, data->uuid);
	}
	if (!err && !fs->uuid && fs->of_source)
		err = pmr_probe_uuid(fs->of_source, &fs->uuid);
	return err;
}

/* A log in use has no signature where its first record was written over, so the mount tells, too. */
static int fill_unmounted(struct pmr_topology *topology, const struct pmr_block *block,
			  struct pmr_filesystem *fs)
{
	enum pmr_role role = PMR_ROLE_DATA;
	struct libmnt_fs *mount = find_mount_beside(topology->own->mounts, block->devno, &role);
	bool is_log = fs->type && !strcmp(fs->type, EXTERNAL_LOG);

	if (role == PMR_ROLE_REALTIME)
		return fill_realtime(topology, fs, mount, block->dax);
	if (role == PMR_ROLE_LOG && (is_log || !fs->type))
		return fill_beside(fs, mount, role, EXTERNAL_LOG);
	if (is_log)
		fs->role = PMR_ROLE_LOG;
	return 0;
}

static bool is_followed(const char *type)
{
	static const char *const trusted[] = { "ext4", "xfs", "ext3", "ext2" };
	size_t i;

	for (i = 0; i < sizeof(trusted) / sizeof(*trusted); i++) {
		if (strcmp(trusted[i], type) == 0)
			return true;
	}
	return false;
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
	mount = find_mount(topology->own->mounts, block->devno, fs->source);
	err = mount ? fill_mounted(fs, mount, block->dax) : fill_unmounted(topology, block, fs);
	/* What is built on it may begin where it begins, and then has that filesystem. */
	if (!err && fs->held && !mount && fs->type && is_followed(fs->type))
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

	err = load_mounts(topology, false);
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
	err = load_mounts(topology, true);
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
	err = load_mounts(topology, true);
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

/* ---- what cannot be followed */

static const struct {
	const char *type;
	const char *why;
} strangers[] = {
	{ "btrfs", "whose extent addresses are no offsets on a device" },
	{ "bcachefs", "whose extent addresses are no offsets on a device" },
	{ "zfs", "whose extent addresses are no offsets on a device" },
	{ "tmpfs", "which lies in volatile memory" },
	{ "ramfs", "which lies in volatile memory" },
	{ "nfs", "whose blocks are another machine's" },
	{ "nfs4", "whose blocks are another machine's" },
	{ "cifs", "whose blocks are another machine's" },
	{ "9p", "whose blocks are another machine's" },
	{ "virtiofs", "whose blocks are another machine's" },
};

static const char *find_why(const char *type, const char *otherwise)
{
	size_t i;

	for (i = 0; i < sizeof(strangers) / sizeof(*strangers); i++) {
		if (strcmp(strangers[i].type, type) == 0)
			return strangers[i].why;
	}
	return otherwise;
}

int pmr_filesystem_check(struct pmr_ctx *ctx, const struct pmr_filesystem *fs, const char *object)
{
	/* A log has no extents, and of what is held what holds it tells what is there. */
	if (!fs->type || fs->role == PMR_ROLE_LOG || fs->held || is_followed(fs->type))
		return 0;
	pmr_say(ctx, PMR_ERROR, "unsupported-filesystem", object, "lies on %s (%s), %s", fs->type,
		fs->source,
		find_why(fs->type, "where extents are not known to be offsets on the device"));
	return -EOPNOTSUPP;
}

int pmr_filesystem_require(struct pmr_ctx *ctx, const struct pmr_filesystem *fs, const char *object)
{
	if (fs->type)
		return 0;
	pmr_say(ctx, PMR_ERROR, "filesystem-unknown", object,
		"lies on %s, and neither the mount table nor a superblock that can be read tells of which type its "
		"filesystem is: is /proc mounted?",
		fs->source);
	return -EOPNOTSUPP;
}

/* btrfs gives each subvolume a number of its own that no table has: the path tells. */
static struct libmnt_fs *find_mount_of_path(struct libmnt_table *mounts, const char *path)
{
	char *real = realpath(path, NULL);
	struct libmnt_fs *mount = NULL;

	if (real)
		mount = mnt_table_find_mountpoint(mounts, real, MNT_ITER_BACKWARD);
	free(real);
	return mount;
}

int pmr_filesystem_refuse(struct pmr_ctx *ctx, struct pmr_topology *topology, dev_t devno,
			  const char *object)
{
	const char *type = NULL, *source = NULL;
	struct libmnt_fs *mount;
	int err;

	err = load_mounts(topology, true);
	if (err)
		return err;
	mount = find_mount(topology->own->mounts, devno, NULL);
	if (!mount)
		mount = find_mount_of_path(topology->own->mounts, object);
	if (mount) {
		type = mnt_fs_get_fstype(mount);
		if (type && strcmp(type, "overlay") == 0)
			return pmr_overlay_refuse(ctx, mount, object);
		source = mnt_fs_get_srcpath(mount);
		if (source && *source != '/')
			source = NULL;
	}
	if (!type)
		type = "a filesystem that is not in the mount table";
	pmr_say(ctx, PMR_ERROR, "unsupported-filesystem", object, "lies on %s%s%s%s, %s", type,
		source ? " (" : "", source ? source : "", source ? ")" : "",
		find_why(type, "which lies on no block device"));
	return -EOPNOTSUPP;
}

void pmr_filesystems_forget(struct pmr_topology *topology)
{
	mnt_unref_table(topology->own->mounts);
	topology->own->mounts = NULL;
}
