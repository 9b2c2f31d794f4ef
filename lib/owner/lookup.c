/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has ranges of a filesystem, asked of it in the way that its type has: one table, one row for each. */

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "owner.h"
#include "xfs.h"

/* @wanted: what GETFSMAP did not tell */
struct lookup {
	struct pmr_ctx *ctx;
	const struct pmr_filesystem *filesystem;
	int fd;
	const struct pmr_ranges *wanted;
	struct pmr_claims *claims;
};

static const char *object_of(const struct pmr_filesystem *filesystem)
{
	return filesystem->mountpoint ? filesystem->mountpoint : filesystem->source;
}

bool pmr_may_ask_xfs(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return !syscall(SYS_capget, &header, data) && data[0].effective >> CAP_SYS_ADMIN & 1;
}

static int claim_all(struct lookup *l, const struct pmr_ranges *ranges, enum pmr_owner owner)
{
	int ret = 0;

	for (size_t i = 0; i < ranges->n && !ret; i++) {
		struct pmr_owner_claim claim = { .range = ranges->v[i], .owner = owner };

		ret = pmr_claims_add_parts(l->claims, l->wanted, &claim);
	}
	return ret;
}

/* Without rmapbt, and for who may not ask, it is the log and the heads of groups that are known. */
static int ask_xfs(struct lookup *l, enum pmr_way *way)
{
	struct pmr_ranges log = { 0 }, metadata = { 0 };
	struct pmr_xfs_geometry geometry;
	int ret;

	*way = PMR_WAY_WALK;
	ret = pmr_xfs_fixed(l->fd, &log, &metadata);
	if (!ret)
		ret = claim_all(l, &log, PMR_OWNER_LOG);
	if (!ret)
		ret = claim_all(l, &metadata, PMR_OWNER_METADATA);
	pmr_ranges_release(&log);
	pmr_ranges_release(&metadata);
	if (!ret && pmr_xfs_geometry(l->fd, &geometry) && geometry.flags & PMR_XFS_RMAPBT &&
	    !pmr_may_ask_xfs())
		pmr_say(l->ctx, PMR_WARNING, "lookup-by-walk", object_of(l->filesystem),
			"has a reverse map, which is told to CAP_SYS_ADMIN alone: every file is asked for its extents "
			"instead, which takes longer the more files there are");
	return ret;
}

static int ask_ext4(struct lookup *l, enum pmr_way *way)
{
	const char *object = object_of(l->filesystem);
	int ret;

	*way = PMR_WAY_WALK;
	/* What was not written yet is not in the table. */
	if (syncfs(l->fd))
		ret = -errno;
	else
		ret = pmr_ext4_claims(l->ctx, l->filesystem->source, l->wanted,
				      pmr_ctx_threads(l->ctx), l->claims);
	if (ret == -ENOMEM || ret == -ECANCELED)
		return ret;
	if (!ret)
		*way = PMR_WAY_INODE_TABLE;
	else if (ret == -EUCLEAN)
		pmr_say(l->ctx, PMR_WARNING, "inode-table-damaged", object,
			"has inodes or extent trees that cannot be read or make no sense: every file is asked for its "
			"extents as well; unmount it and run e2fsck when its files are saved");
	else if (ret == -EACCES || ret == -EPERM)
		pmr_say(l->ctx, PMR_WARNING, "lookup-by-walk", object,
			"has its inodes on %s, which may not be read: every file is asked for its extents instead, "
			"which takes longer the more files there are; root (or CAP_DAC_OVERRIDE) would do",
			l->filesystem->source);
	else
		pmr_say(l->ctx, PMR_WARNING, "lookup-by-walk", object,
			"cannot be asked by its inodes (%s): every file is asked for its extents instead, which takes "
			"longer the more files there are",
			strerror(-ret));
	return 0;
}

static const struct source {
	const char *type;
	int (*ask)(struct lookup *l, enum pmr_way *way);
} sources[] = {
	{ "xfs", ask_xfs },
	{ "ext4", ask_ext4 },
	{ "ext3", ask_ext4 },
	{ "ext2", ask_ext4 },
};

static int ask_by_type(struct lookup *l, enum pmr_way *way)
{
	*way = PMR_WAY_WALK;
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		if (l->filesystem->type && !strcmp(l->filesystem->type, sources[i].type))
			return sources[i].ask(l, way);
	return 0;
}

int pmr_lookup(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, int fd,
	       const struct pmr_ranges *wanted, struct pmr_claims *claims, enum pmr_way *way)
{
	struct pmr_ranges rest = { 0 };
	struct lookup l = { ctx, filesystem, fd, &rest, claims };
	int ret;

	*way = PMR_WAY_REVERSE_MAP;
	ret = pmr_fsmap_claims(ctx, fd, wanted, claims);
	if (!ret)
		ret = pmr_claims_rest(claims, wanted, &rest);
	if (!ret && rest.n) {
		ret = ask_by_type(&l, way);
		pmr_ranges_release(&rest);
		if (!ret)
			ret = pmr_claims_rest(claims, wanted, &rest);
	}
	for (size_t i = 0; i < rest.n && !ret; i++) {
		struct pmr_owner_claim claim = { .range = rest.v[i], .owner = PMR_OWNER_UNKNOWN };

		ret = pmr_claims_add(claims, &claim);
	}
	pmr_ranges_release(&rest);
	pmr_claims_settle(claims);
	return ret;
}
