/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* May a journal lie here? Not where a power cut takes it, and not on the device that it is to save. */

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "repair/repair.h"

static const struct {
	unsigned long magic;
	const char *name;
} volatile_types[] = {
	{ TMPFS_MAGIC, "tmpfs" },
	{ RAMFS_MAGIC, "ramfs" },
	{ OVERLAYFS_SUPER_MAGIC, "overlay, whose upper layer may be in memory" },
};

int pmr_place_check(struct pmr_ctx *ctx, int directory, const char *name,
		    const struct pmr_plan *plan)
{
	const struct pmr_filesystem *fs;
	struct statfs sf;
	struct stat st;

	if (fstat(directory, &st) < 0 || fstatfs(directory, &sf) < 0) {
		int ret = -errno;

		pmr_say(ctx, PMR_ERROR, "journal", name, "cannot be looked at: %s", strerror(-ret));
		return ret;
	}
	for (size_t i = 0; i < sizeof(volatile_types) / sizeof(volatile_types[0]); i++)
		if ((unsigned long)sf.f_type == volatile_types[i].magic) {
			pmr_say(ctx, PMR_ERROR, "journal-volatile", name,
				"lies on %s: a journal there does not survive a power cut; name a directory on a disk with --journal",
				volatile_types[i].name);
			return -EINVAL;
		}
	for (size_t i = 0; i < plan->n_files; i++) {
		if (!plan->files[i].n_steps)
			continue;
		fs = plan->files[i].file->filesystem;
		if (pmr_place_is_on(&st, fs)) {
			pmr_say(ctx, PMR_ERROR, "journal-on-target", name,
				"lies on the damaged device %s: name a directory on another disk with --journal",
				fs->device->name);
			return -EINVAL;
		}
	}
	return 0;
}
