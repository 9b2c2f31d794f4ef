/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which bytes of a filesystem are metadata of one file, at the cost of that file. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "owner.h"
#include "xfs.h"
#include "device/topology.h"

static int take_inode(const struct pmr_claims *all, uint64_t inode, struct pmr_claims *claims)
{
	int ret = 0;

	for (size_t i = 0; i < all->n && !ret; i++)
		if (all->v[i].owner == PMR_OWNER_METADATA && all->v[i].inode == inode)
			ret = pmr_claims_add(claims, &all->v[i]);
	return ret;
}

/*
 * What a file has besides its data (the map of that, attributes) counts among its blocks. Sizes that do not agree for another
 * reason, as with clusters, are no proof.
 */
static bool may_have_blocks(int fd)
{
	struct pmr_extents *extents;
	struct pmr_extent extent;
	uint64_t bytes = 0;
	struct stat st;
	int ret;

	if (pmr_extents_open(fd, 0, UINT64_MAX, true, &extents))
		return true;
	while ((ret = pmr_extents_next(extents, &extent)) > 0)
		bytes += extent.length;
	pmr_extents_close(extents);
	return ret || fstat(fd, &st) || (uint64_t)st.st_blocks * 512 != bytes;
}

/* ---- XFS */

/* What is the filesystem's own is known without a reverse map, too. */
static int find_rest(const struct pmr_claims *all, int fd, const struct pmr_ranges *wanted,
		     struct pmr_ranges *rest)
{
	struct pmr_ranges told = { 0 }, own = { 0 };
	int ret;

	ret = pmr_claims_rest(all, wanted, &told);
	if (!ret && told.n)
		ret = pmr_xfs_fixed(fd, &own, &own);
	if (!ret)
		ret = pmr_ranges_subtract(rest, &told, &own);
	pmr_ranges_release(&told);
	pmr_ranges_release(&own);
	return ret;
}

/* Blocks that XFS keeps for what is next written to shared ones count among a file's, too, and nobody tells of them. */
static bool may_have_blocks_of_xfs(const struct pmr_xfs_geometry *geometry, int fd, uint64_t number)
{
	struct pmr_xfs_inode inode;

	if (pmr_xfs_inode(fd, number, &inode) && inode.number == number &&
	    pmr_xfs_inode_is_all(geometry, &inode))
		return false;
	return may_have_blocks(fd);
}

/* @rest: what nobody told of, and may be the file's */
static int ask_xfs(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, int fd,
		   uint64_t number, const struct pmr_ranges *wanted, struct pmr_claims *claims,
		   struct pmr_ranges *rest)
{
	struct pmr_owner_claim inode = { .owner = PMR_OWNER_METADATA,
					 .part = PMR_PART_INODE,
					 .inode = number,
					 .is_unreadable = true };
	struct pmr_claims all = { 0 };
	struct pmr_xfs_geometry geometry;
	int ret;

	/* on a realtime device lies data alone */
	if (filesystem->role == PMR_ROLE_REALTIME)
		return 0;
	if (!pmr_xfs_geometry(fd, &geometry))
		return pmr_ranges_copy(rest, wanted);
	ret = pmr_fsmap_claims(ctx, filesystem, fd, wanted, &all);
	if (!ret && pmr_xfs_inode_at(&geometry, number, &inode.range))
		ret = pmr_claims_add_parts(&all, wanted, &inode);
	if (!ret)
		ret = take_inode(&all, number, claims);
	if (!ret)
		ret = find_rest(&all, fd, wanted, rest);
	if (!ret && rest->n && !may_have_blocks_of_xfs(&geometry, fd, number))
		pmr_ranges_release(rest);
	free(all.v);
	return ret;
}

/* ---- ext4 */

/* In which place of which table the inode is, its number alone does not tell. */
static int find_untold(struct pmr_claims *all, int fd, const struct pmr_ranges *wanted,
		       struct pmr_ranges *rest)
{
	bool is_any = may_have_blocks(fd);
	size_t kept = 0;
	int ret = 0;

	for (size_t i = 0; i < all->n && !ret; i++) {
		struct pmr_owner_claim *claim = &all->v[i];

		if (claim->part != PMR_PART_INODE || claim->inode)
			all->v[kept++] = *claim;
		else if (!is_any)
			ret = pmr_ranges_add(rest, claim->range.offset, claim->range.length);
	}
	all->n = kept;
	if (!ret && is_any)
		ret = pmr_claims_rest(all, wanted, rest);
	pmr_ranges_normalize(rest);
	return ret;
}

/* From its own device, whatever goes by the name of that in /dev. */
static int read_inode(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, uint64_t number,
		      const struct pmr_ranges *wanted, struct pmr_claims *claims)
{
	char path[32];
	int fd, ret;

	fd = pmr_block_open(filesystem->source, filesystem->devno);
	if (fd < 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = pmr_ext4_inode_claims(ctx, path, wanted, number, claims);
	close(fd);
	return ret;
}

static int ask_ext4(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, int fd,
		    uint64_t number, const struct pmr_ranges *wanted, struct pmr_claims *claims,
		    struct pmr_ranges *rest)
{
	struct pmr_claims all = { 0 };
	enum pmr_way way = PMR_WAY_INODE_TABLE;
	int ret, err;

	err = read_inode(ctx, filesystem, number, wanted, &all);
	ret = err == -ENOMEM || err == -ECANCELED ? err : 0;
	/* values of attributes in inodes of their own are found by a pass alone */
	if (err == -EOPNOTSUPP) {
		all.n = 0;
		ret = pmr_lookup(ctx, filesystem, fd, wanted, &all, &way);
	} else if (err && !ret) {
		way = PMR_WAY_WALK;
		ret = pmr_fsmap_claims(ctx, filesystem, fd, wanted, &all);
	}
	if (!ret)
		ret = take_inode(&all, number, claims);
	if (!ret && way == PMR_WAY_WALK)
		ret = find_untold(&all, fd, wanted, rest);
	free(all.v);
	return ret;
}

int pmr_lookup_inode(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, int fd,
		     uint64_t inode, const struct pmr_ranges *wanted, struct pmr_claims *claims,
		     struct pmr_ranges *rest)
{
	if (!filesystem->type)
		return pmr_ranges_copy(rest, wanted);
	if (!strcmp(filesystem->type, "xfs"))
		return ask_xfs(ctx, filesystem, fd, inode, wanted, claims, rest);
	return ask_ext4(ctx, filesystem, fd, inode, wanted, claims, rest);
}
