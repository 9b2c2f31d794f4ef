/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Filesystems that are still mounted while their persistent memory is not there any more. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <libmount.h>

#include "private.h"
#include "topology.h"

/* What it is numbered by who has no number of its own: PMEM, and its partitions, among others. */
#define EXTENDED_MAJOR 259

/* Nothing is built on itself, but tables may change while they are looked at. */
#define MAX_DEPTH 32

static bool is_there(dev_t devno, const char *attribute)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u%s", major(devno), minor(devno),
		 attribute);
	return access(path, F_OK) == 0 || errno != ENOENT;
}

bool pmr_is_gone(const char *source, dev_t devno)
{
	/* what is called so is a namespace's, or a partition of it */
	if (!source || strncmp(source, "/dev/pmem", strlen("/dev/pmem")) != 0 || major(devno) == 0)
		return false;
	return !is_there(devno, "");
}

/* ---- below a volume */

dev_t pmr_gone_among(const dev_t *devices, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (major(devices[i]) == EXTENDED_MAJOR && !is_there(devices[i], ""))
			return devices[i];
	}
	return 0;
}

/* Whatever its targets are: sysfs has no name any more for what is gone, device mapper has its number. */
static int look_below(dev_t devno, unsigned int depth, dev_t *gone)
{
	dev_t *below = NULL;
	size_t n = 0;
	int err;

	if (depth >= MAX_DEPTH || !is_there(devno, "/dm"))
		return 0;
	err = pmr_dm_below(devno, &below, &n);
	/* who may not ask has no volumes in the topology either */
	if (err)
		return err == -ENOMEM ? err : 0;
	*gone = pmr_gone_among(below, n);
	for (size_t i = 0; i < n && !*gone && !err; i++)
		err = look_below(below[i], depth + 1, gone);
	free(below);
	return err;
}

/* ---- what is mounted */

static int say_volume(struct pmr_ctx *ctx, const char *source, const char *target, dev_t devno,
		      bool *any)
{
	dev_t gone = 0;
	int err = look_below(devno, 0, &gone);

	if (err || !gone)
		return err;
	*any = true;
	pmr_say(ctx, PMR_ERROR, "device-gone", target,
		"is mounted from %s, which lies on block device %u:%u, which is not there any more: where that was a "
		"namespace that was disabled or destroyed, what is lost cannot be known; unmount it, and see 'ndctl list -Ni'",
		source ? source : "a volume", major(gone), minor(gone));
	return 0;
}

int pmr_gone_say(struct pmr_ctx *ctx, bool *any)
{
	struct libmnt_table *mounts = mnt_new_table_from_file("/proc/self/mountinfo");
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *mount;
	int err = iter ? 0 : -ENOMEM;

	/* without /proc nothing is known to be mounted */
	while (!err && mounts && mnt_table_next_fs(mounts, iter, &mount) == 0) {
		const char *source = mnt_fs_get_srcpath(mount), *target = mnt_fs_get_target(mount);

		if (target && major(mnt_fs_get_devno(mount)))
			err = say_volume(ctx, source, target, mnt_fs_get_devno(mount), any);
		if (err || !target || !pmr_is_gone(source, mnt_fs_get_devno(mount)))
			continue;
		*any = true;
		pmr_say(ctx, PMR_ERROR, "device-gone", target,
			"is mounted from %s, which is not there any more, for its namespace was disabled or destroyed: what "
			"is lost cannot be known; unmount it, and see 'ndctl list -Ni'",
			source);
	}
	mnt_free_iter(iter);
	mnt_unref_table(mounts);
	return err;
}
