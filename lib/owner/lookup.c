/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has ranges of a filesystem, asked of it in the way that its type has: one table, one row for each. */

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "owner.h"
#include "xfs.h"
#include "device/topology.h"

/* For each question ext4's GETFSMAP goes through all groups; its inodes are one pass, however many questions there are. */
#define MANY_RANGES 16u

/*
 * @block: its block device, where that was needed, which @path leads to
 * @wanted: what is not told yet
 */
struct lookup {
	struct pmr_ctx *ctx;
	const struct pmr_filesystem *filesystem;
	int fd;
	int block;
	char path[32];
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
	/* On a realtime device lies data alone. */
	if (l->filesystem->role == PMR_ROLE_REALTIME)
		return 0;
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

/* libext2fs opens by name. What goes by the name in /dev may be another device, so it is given what was looked at. */
static int open_block(struct lookup *l)
{
	if (l->block < 0)
		l->block = pmr_block_open(l->filesystem->source, l->filesystem->devno);
	if (l->block < 0)
		return l->block;
	snprintf(l->path, sizeof(l->path), "/proc/self/fd/%d", l->block);
	return 0;
}

static int ask_ext4(struct lookup *l, enum pmr_way *way)
{
	const char *object = object_of(l->filesystem);
	int ret;

	*way = PMR_WAY_WALK;
	ret = open_block(l);
	/* What was not written yet is not in the table. */
	if (!ret && syncfs(l->fd))
		ret = -errno;
	if (!ret)
		ret = pmr_ext4_claims(l->ctx, l->path, l->wanted, pmr_ctx_threads(l->ctx),
				      l->claims);
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
	else if (ret == -ENODEV)
		pmr_say(l->ctx, PMR_WARNING, "lookup-by-walk", object,
			"has its inodes on a device whose name, %s, is another's here: every file is asked for its extents "
			"instead, which takes longer the more files there are",
			l->filesystem->source);
	else
		pmr_say(l->ctx, PMR_WARNING, "lookup-by-walk", object,
			"cannot be asked by its inodes (%s): every file is asked for its extents instead, which takes "
			"longer the more files there are",
			strerror(-ret));
	return 0;
}

/*
 * @ask: who has what is not told yet
 * @claim_free: once its inodes were read, what of the rest is free; NULL where it does not tell
 * @has_table: of inodes, which one pass reads for any number of questions
 */
static const struct source {
	const char *type;
	int (*ask)(struct lookup *l, enum pmr_way *way);
	int (*claim_free)(struct pmr_ctx *ctx, const char *path, const struct pmr_ranges *wanted,
			  bool is_sure, struct pmr_claims *claims, bool *has_clusters);
	bool has_table;
} sources[] = {
	{ "xfs", ask_xfs, NULL, false },
	{ "ext4", ask_ext4, pmr_ext4_free_claims, true },
	{ "ext3", ask_ext4, pmr_ext4_free_claims, true },
	{ "ext2", ask_ext4, pmr_ext4_free_claims, true },
};

static const struct source *find_source(const struct pmr_filesystem *filesystem)
{
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		if (filesystem->type && !strcmp(filesystem->type, sources[i].type))
			return &sources[i];
	return NULL;
}

static bool is_table(const struct pmr_owner_claim *claim)
{
	return claim->part == PMR_PART_INODE && !claim->inode;
}

/* Which inode of a table has the bytes, and whose data may lie in them, is what the pass tells. Return: whether any was. */
static bool drop_tables(struct pmr_claims *claims)
{
	size_t kept = 0, before = claims->n;

	for (size_t i = 0; i < claims->n; i++)
		if (!is_table(&claims->v[i]))
			claims->v[kept++] = claims->v[i];
	claims->n = kept;
	return kept < before;
}

/* What is of no inode that is in use is metadata and no more. */
static void forget_tables(struct pmr_claims *claims)
{
	for (size_t i = 0; i < claims->n; i++)
		if (is_table(&claims->v[i]))
			claims->v[i].part = PMR_PART_NONE;
}

static int ask_again(struct lookup *l, struct pmr_ranges *rest)
{
	int ret = pmr_fsmap_claims(l->ctx, l->filesystem, l->fd, rest, l->claims);

	if (ret)
		return ret;
	forget_tables(l->claims);
	pmr_ranges_release(rest);
	return 0;
}

static int find_rest(const struct lookup *l, const struct pmr_ranges *wanted,
		     struct pmr_ranges *rest)
{
	pmr_ranges_release(rest);
	return pmr_claims_rest(l->claims, wanted, rest);
}

/* @rest: loses what is free of what a whole pass told nothing of */
static int ask_free(struct lookup *l, const struct source *source, const struct pmr_ranges *wanted,
		    struct pmr_ranges *rest, bool is_sure, bool *has_clusters)
{
	int ret;

	if (!rest->n || !source->claim_free)
		return 0;
	ret = source->claim_free(l->ctx, l->path, rest, is_sure, l->claims, has_clusters);
	return ret ? ret : find_rest(l, wanted, rest);
}

/* @rest: gains what nobody told */
static int ask(struct lookup *l, const struct pmr_ranges *wanted, struct pmr_ranges *rest,
	       enum pmr_way *way)
{
	const struct source *source = find_source(l->filesystem);
	bool is_open = source && source->has_table && wanted->n > MANY_RANGES;
	bool has_clusters = false;
	int ret = 0;

	*way = PMR_WAY_REVERSE_MAP;
	if (!is_open) {
		ret = pmr_fsmap_claims(l->ctx, l->filesystem, l->fd, wanted, l->claims);
		is_open = drop_tables(l->claims);
	}
	if (!ret)
		ret = pmr_claims_rest(l->claims, wanted, rest);
	if (ret || !rest->n)
		return ret;
	*way = PMR_WAY_WALK;
	if (!source)
		return 0;
	l->wanted = rest;
	ret = source->ask(l, way);
	if (!ret)
		ret = find_rest(l, wanted, rest);
	if (!ret && rest->n && is_open) {
		ret = ask_again(l, rest);
		if (!ret)
			ret = pmr_claims_rest(l->claims, wanted, rest);
	}
	if (!ret && *way == PMR_WAY_INODE_TABLE)
		ret = ask_free(l, source, wanted, rest, false, &has_clusters);
	if (ret || !rest->n || !has_clusters)
		return ret;
	/* What no file has of a cluster holds nothing. A file whose extents were on the move is met by another pass. */
	ret = source->ask(l, way);
	if (!ret)
		ret = find_rest(l, wanted, rest);
	if (!ret && *way == PMR_WAY_INODE_TABLE)
		ret = ask_free(l, source, wanted, rest, true, &has_clusters);
	return ret;
}

/* What has no data by what is on the device may have some by the log. */
static void doubt(struct pmr_claims *claims)
{
	for (size_t i = 0; i < claims->n; i++)
		if (claims->v[i].owner == PMR_OWNER_FREE ||
		    claims->v[i].owner == PMR_OWNER_UNWRITTEN)
			claims->v[i] = (struct pmr_owner_claim){ .range = claims->v[i].range,
								 .owner = PMR_OWNER_UNKNOWN };
}

int pmr_lookup(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, int fd,
	       const struct pmr_ranges *wanted, struct pmr_claims *claims, enum pmr_way *way)
{
	struct lookup l = {
		.ctx = ctx, .filesystem = filesystem, .fd = fd, .block = -1, .claims = claims
	};
	struct pmr_ranges rest = { 0 };
	int ret;

	ret = ask(&l, wanted, &rest, way);
	if (l.block >= 0)
		close(l.block);
	if (filesystem->unreplayed)
		doubt(claims);
	for (size_t i = 0; i < rest.n && !ret; i++) {
		struct pmr_owner_claim claim = { .range = rest.v[i], .owner = PMR_OWNER_UNKNOWN };

		ret = pmr_claims_add(claims, &claim);
	}
	pmr_ranges_release(&rest);
	pmr_claims_settle(claims);
	return ret;
}
