/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which filesystems can be followed down to the device, and why others cannot. */

#include <errno.h>
#include <libmount.h>
#include <stdlib.h>
#include <string.h>

#include "mounts.h"
#include "private.h"
#include "topology.h"

bool pmr_filesystem_is_followed(const char *type)
{
	static const char *const trusted[] = { "ext4", "xfs", "ext3", "ext2" };
	size_t i;

	for (i = 0; i < sizeof(trusted) / sizeof(*trusted); i++) {
		if (strcmp(trusted[i], type) == 0)
			return true;
	}
	return false;
}

void pmr_filesystem_say_unreplayed(struct pmr_ctx *ctx, const struct pmr_filesystem *fs)
{
	pmr_say(ctx, PMR_ERROR, "log-not-replayed", fs->mountpoint ? fs->mountpoint : fs->source,
		"is mounted without its log having been replayed (norecovery, noload): what was written last is not seen, "
		"and a bad block that passes for free, or for unwritten, may be that of a file; unmount it, mount it with -o ro "
		"alone, and ask again; where that fails, save its files: no answer about it is whole");
}

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
	if (!fs->type || fs->role == PMR_ROLE_LOG || fs->held ||
	    pmr_filesystem_is_followed(fs->type))
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

	err = pmr_mounts_load(topology, true);
	if (err)
		return err;
	mount = pmr_mounts_find(topology->own->mounts, devno, NULL);
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
