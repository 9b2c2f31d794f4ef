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

bool pmr_is_gone(const char *source, dev_t devno)
{
	char path[64];

	/* what is called so is a namespace's, or a partition of it */
	if (!source || strncmp(source, "/dev/pmem", strlen("/dev/pmem")) != 0 || major(devno) == 0)
		return false;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(devno), minor(devno));
	return access(path, F_OK) && errno == ENOENT;
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

		if (!target || !pmr_is_gone(source, mnt_fs_get_devno(mount)))
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
