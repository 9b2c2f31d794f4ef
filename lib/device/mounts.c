/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is mounted (libmount): where a device is, what it is to a filesystem of others, and with which options. */

#include <errno.h>
#include <libmount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "mounts.h"
#include "private.h"
#include "topology.h"

int pmr_mounts_load(struct pmr_topology *topology, bool again)
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

struct libmnt_fs *pmr_mounts_find(struct libmnt_table *mounts, dev_t devno, const char *source)
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

bool pmr_mount_has_option(const char *options, const char *name)
{
	return options && mnt_optstr_get_option(options, name, NULL, NULL) == 0;
}

/* Return: the number of the block device that a mount option names, or 0. */
dev_t pmr_mount_device(const char *options, const char *name)
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

bool pmr_mount_is_journalled(const char *type)
{
	return type && (!strcmp(type, "ext4") || !strcmp(type, "ext3"));
}

/* Return: what a block device is to what is mounted somewhere else; PMR_ROLE_DATA: nothing. */
static enum pmr_role get_role(struct libmnt_fs *mount, dev_t devno, bool is_journal)
{
	const char *type = mnt_fs_get_fstype(mount), *options = mnt_fs_get_fs_options(mount);
	const char *source = mnt_fs_get_srcpath(mount);
	struct pmr_ext4_log log;

	if (is_journal)
		return pmr_mount_is_journalled(type) && source &&
				       pmr_probe_ext4_log(source, mnt_fs_get_devno(mount), &log) &&
				       log.is_elsewhere && log.device == devno
			       ? PMR_ROLE_LOG
			       : PMR_ROLE_DATA;
	if (!type || strcmp(type, "xfs") != 0)
		return PMR_ROLE_DATA;
	if (pmr_mount_device(options, "rtdev") == devno)
		return PMR_ROLE_REALTIME;
	return pmr_mount_device(options, "logdev") == devno ? PMR_ROLE_LOG : PMR_ROLE_DATA;
}

struct libmnt_fs *pmr_mounts_find_beside(struct libmnt_table *mounts, dev_t devno, bool is_journal,
					 enum pmr_role *role)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *mount, *best = NULL;
	unsigned int best_rank = 0;

	while (iter && mnt_table_next_fs(mounts, iter, &mount) == 0) {
		enum pmr_role found = get_role(mount, devno, is_journal);
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

enum pmr_dax pmr_mount_dax(struct libmnt_fs *mount, bool device_has_dax)
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

void pmr_mounts_forget(struct pmr_topology *topology)
{
	mnt_unref_table(topology->own->mounts);
	topology->own->mounts = NULL;
}
