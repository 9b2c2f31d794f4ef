/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has a place of a filesystem, by the filesystem's own reverse map (GETFSMAP: XFS since 4.12, ext4 since 4.15). */

#include <errno.h>
#include <linux/fsmap.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "owner.h"
#include "xfs.h"

#define RECORDS 1024u
/* Questions are whole blocks of any filesystem's size: kernels differ in how they round sectors inside a block. */
#define ALIGN (UINT64_C(64) << 10)
/* How far before a place the first question begins that also wants the records which began ahead of it. */
#define FIRST_STEP_BACK (UINT64_C(256) << 10)

/* Owners of XFS and ext4 that need a word of their own; all other special owners are metadata. */
#define OWNER_XFS_EXT4_LOG FMR_OWNER('X', 2)
#define OWNER_XFS_COW_STAGING FMR_OWNER('X', 7)
/* Of XFS the same number is a tree of inodes. */
#define OWNER_EXT4_INODES FMR_OWNER('X', 5)

/*
 * @covered: what has an owner, or is known to be told by nobody
 * @shared: what has several
 * @shows_earlier: records that begin before a question are part of the answer (6.5)
 */
struct question {
	const struct pmr_ctx *ctx;
	int fd;
	uint32_t device;
	const struct pmr_ranges *wanted;
	struct pmr_claims *claims;
	struct fsmap_head *head;
	struct pmr_ranges covered;
	struct pmr_ranges shared;
	bool shows_earlier;
	bool is_ext4;
};

static void describe(const struct fsmap *record, bool is_ext4, struct pmr_owner_claim *claim)
{
	uint32_t flags = record->fmr_flags;

	if (!(flags & FMR_OF_SPECIAL_OWNER)) {
		claim->inode = record->fmr_owner;
		claim->owner = flags & (FMR_OF_ATTR_FORK | FMR_OF_EXTENT_MAP) ? PMR_OWNER_METADATA
			       : flags & FMR_OF_PREALLOC		      ? PMR_OWNER_UNWRITTEN
									      : PMR_OWNER_FILE;
		if (claim->owner == PMR_OWNER_METADATA)
			claim->part =
				flags & FMR_OF_ATTR_FORK ? PMR_PART_ATTRIBUTES : PMR_PART_EXTENTS;
		return;
	}
	switch (record->fmr_owner) {
	case FMR_OWN_FREE:
		claim->owner = PMR_OWNER_FREE;
		break;
	case FMR_OWN_UNKNOWN:
		claim->owner = PMR_OWNER_UNKNOWN;
		break;
	case OWNER_XFS_EXT4_LOG:
		claim->owner = PMR_OWNER_LOG;
		break;
	case OWNER_XFS_COW_STAGING:
		/* Room for a copy that no file refers to yet. */
		claim->owner = PMR_OWNER_UNWRITTEN;
		break;
	default:
		claim->owner = PMR_OWNER_METADATA;
		if (is_ext4 && record->fmr_owner == OWNER_EXT4_INODES)
			claim->part = PMR_PART_INODE;
	}
}

static int take_record(struct question *q, const struct fsmap *record)
{
	struct pmr_owner_claim claim = { .range = { record->fmr_physical, record->fmr_length } };
	int ret;

	if (record->fmr_device != q->device ||
	    !pmr_ranges_overlap(q->wanted, record->fmr_physical, record->fmr_length))
		return 0;
	describe(record, q->is_ext4, &claim);
	ret = pmr_ranges_clip(&q->covered, q->wanted, record->fmr_physical, record->fmr_length);
	if (!ret && record->fmr_flags & FMR_OF_SHARED)
		ret = pmr_ranges_clip(&q->shared, q->wanted, record->fmr_physical,
				      record->fmr_length);
	if (!ret && claim.owner != PMR_OWNER_UNKNOWN)
		ret = pmr_claims_add_parts(q->claims, q->wanted, &claim);
	return ret;
}

/* All records between two places, end excluded. Return: 0, or why the filesystem does not answer. */
static int ask(struct question *q, uint64_t from, uint64_t to)
{
	struct fsmap_head *head = q->head;
	struct fsmap before;
	int ret;

	memset(head, 0, sizeof(*head));
	head->fmh_count = RECORDS;
	head->fmh_keys[0].fmr_device = q->device;
	head->fmh_keys[0].fmr_physical = from;
	head->fmh_keys[1] = (struct fsmap){
		.fmr_device = q->device,
		.fmr_flags = UINT32_MAX,
		.fmr_physical = to - 1,
		.fmr_owner = UINT64_MAX,
		.fmr_offset = UINT64_MAX,
	};
	for (;;) {
		if (pmr_is_cancelled(q->ctx))
			return -ECANCELED;
		if (ioctl(q->fd, FS_IOC_GETFSMAP, head))
			return -errno;
		if (!(head->fmh_oflags & FMH_OF_DEV_T) || head->fmh_entries > RECORDS)
			return -EPROTO;
		if (!head->fmh_entries)
			return 0;
		for (uint32_t i = 0; i < head->fmh_entries; i++) {
			if (head->fmh_recs[i].fmr_physical < from)
				q->shows_earlier = true;
			ret = take_record(q, &head->fmh_recs[i]);
			if (ret)
				return ret;
		}
		before = head->fmh_keys[0];
		fsmap_advance(head);
		if (head->fmh_keys[0].fmr_flags & FMR_OF_LAST ||
		    !memcmp(&before, &head->fmh_keys[0], sizeof(before)))
			return 0;
	}
}

/* XFS before 6.11 leaves the last block of a question out of free space: that one is nobody's business. */
static uint64_t end_question(uint64_t end)
{
	return __builtin_add_overflow(end, ALIGN + (ALIGN - end % ALIGN) % ALIGN, &end) ? UINT64_MAX
											: end;
}

/* Ranges that lie near each other are one question. */
static int ask_all(struct question *q, const struct pmr_ranges *ranges, uint64_t back)
{
	struct pmr_ranges questions = { 0 };
	int ret = 0;

	for (size_t i = 0; i < ranges->n && !ret; i++) {
		const struct pmr_range *range = &ranges->v[i];
		uint64_t from = range->offset > back ? range->offset - back : 0;

		from -= from % ALIGN;
		ret = pmr_ranges_add(&questions, from,
				     end_question(range->offset + range->length) - from);
	}
	pmr_ranges_normalize(&questions);
	for (size_t i = 0; i < questions.n && !ret; i++)
		ret = ask(q, questions.v[i].offset, questions.v[i].offset + questions.v[i].length);
	pmr_ranges_release(&questions);
	return ret;
}

static int find_open(const struct question *q, struct pmr_ranges *open)
{
	open->n = 0;
	return pmr_ranges_subtract(open, q->wanted, &q->covered);
}

/*
 * Up to 6.4 the kernel leaves out a record that begins before the question does. So what stays without an owner is
 * asked for again from further and further back: no more records are read than about twice those in between.
 */
static int ask_backwards(struct question *q)
{
	struct pmr_ranges open = { 0 };
	uint64_t back = 0;
	int ret;

	ret = pmr_ranges_copy(&open, q->wanted);
	while (!ret && open.n) {
		ret = ask_all(q, &open, back);
		pmr_ranges_normalize(&q->covered);
		if (!ret)
			ret = find_open(q, &open);
		if (!open.n || back > open.v[open.n - 1].offset)
			break;
		back = back ? back * 8 : FIRST_STEP_BACK;
	}
	pmr_ranges_release(&open);
	return ret;
}

/* For the same reason another owner of a shared block may be missing: it is in the same allocation group. */
static int ask_groups(struct question *q)
{
	struct pmr_ranges shared = { 0 };
	struct pmr_xfs_geometry geometry;
	uint64_t group_size;
	int ret = 0;

	if (!q->shared.n || q->shows_earlier)
		return 0;
	if (!pmr_xfs_geometry(q->fd, &geometry))
		return -EOPNOTSUPP;
	group_size = (uint64_t)geometry.group_blocks * geometry.block_size;
	/* each answer tells of what is shared anew */
	ret = pmr_ranges_copy(&shared, &q->shared);
	pmr_ranges_normalize(&shared);
	for (size_t i = 0, end; i < shared.n && !ret; i = end) {
		uint64_t begin = shared.v[i].offset - shared.v[i].offset % group_size;
		uint64_t to = shared.v[i].offset + shared.v[i].length;

		for (end = i + 1; end < shared.n && shared.v[end].offset - begin < group_size;
		     end++)
			to = shared.v[end].offset + shared.v[end].length;
		ret = ask(q, begin, end_question(to));
	}
	pmr_ranges_release(&shared);
	return ret;
}

/* Where it did not answer to its end, a shared block may have more owners than were told: then nobody was. */
static void forget_shared(struct question *q, size_t first)
{
	struct pmr_claims *claims = q->claims;
	size_t kept = first;

	pmr_ranges_normalize(&q->shared);
	for (size_t i = first; i < claims->n; i++)
		if (!pmr_ranges_overlap(&q->shared, claims->v[i].range.offset,
					claims->v[i].range.length))
			claims->v[kept++] = claims->v[i];
	claims->n = kept;
}

/* As inodes of XFS's own are, and those that are free. */
static bool is_refused(const struct question *q, uint64_t number)
{
	struct pmr_xfs_inode inode;

	return !pmr_xfs_inode(q->fd, number, &inode) && errno == EINVAL;
}

/*
 * An inode of XFS's own, such as those of quota, is refused, and has its blocks all the same when they are asked for again: of
 * a file that was deleted meanwhile they would be free. Return: 1: it is one; 0; -ECANCELED; -ENOMEM.
 */
static int is_internal(const struct question *q, const struct pmr_owner_claim *claim)
{
	struct pmr_range range = claim->range;
	const struct pmr_ranges wanted = { &range, 1, 1 };
	struct pmr_claims claims = { 0 };
	struct question again = { .ctx = q->ctx,
				  .fd = q->fd,
				  .device = q->device,
				  .wanted = &wanted,
				  .claims = &claims,
				  .head = q->head };
	bool is_owner = false;
	int ret;

	ret = ask_backwards(&again);
	for (size_t i = 0; i < claims.n; i++)
		is_owner |= claims.v[i].inode == claim->inode;
	pmr_ranges_release(&again.covered);
	pmr_ranges_release(&again.shared);
	free(claims.v);
	if (ret)
		return ret == -ENOMEM || ret == -ECANCELED ? ret : 0;
	return is_owner && is_refused(q, claim->inode);
}

/* The blocks of directories and long symbolic links are owned by inodes too. Told by XFS alone, and to root. */
static int tell_inodes(struct question *q, size_t first)
{
	struct pmr_xfs_inode inode = { 0 };
	uint64_t internal = 0;
	int ret;

	for (size_t i = first; i < q->claims->n; i++) {
		struct pmr_owner_claim *claim = &q->claims->v[i];

		if (!claim->inode)
			continue;
		if (claim->inode != inode.number && !pmr_xfs_inode(q->fd, claim->inode, &inode)) {
			inode = (struct pmr_xfs_inode){ 0 };
			ret = claim->inode == internal;
			if (!ret && is_refused(q, claim->inode))
				ret = is_internal(q, claim);
			if (ret < 0)
				return ret;
			if (ret) {
				internal = claim->inode;
				*claim = (struct pmr_owner_claim){ .range = claim->range,
								   .owner = PMR_OWNER_METADATA };
			}
			continue;
		}
		claim->generation = inode.generation;
		if (claim->part || S_ISREG(inode.mode))
			continue;
		claim->owner = PMR_OWNER_METADATA;
		claim->part = S_ISDIR(inode.mode)   ? PMR_PART_DIRECTORY
			      : S_ISLNK(inode.mode) ? PMR_PART_SYMLINK
						    : PMR_PART_NONE;
	}
	return 0;
}

int pmr_fsmap_claims(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, int fd,
		     const struct pmr_ranges *wanted, struct pmr_claims *claims)
{
	struct question q = { .ctx = ctx, .fd = fd, .wanted = wanted, .claims = claims };
	size_t first = claims->n;
	struct stat st, device;
	struct statfs statistics;
	int ret;

	if (fstat(fd, &st) || fstatfs(fd, &statistics))
		return 0;
	q.is_ext4 = statistics.f_type == EXT4_SUPER_MAGIC;
	q.device = pmr_kernel_devno(st.st_dev);
	if (filesystem->role == PMR_ROLE_REALTIME) {
		if (stat(filesystem->source, &device))
			return 0;
		q.device = pmr_kernel_devno(device.st_rdev);
	}
	/* Zeros: valgrind does not know what this ioctl fills. */
	q.head = calloc(1, fsmap_sizeof(RECORDS));
	if (!q.head)
		return -ENOMEM;
	ret = ask_backwards(&q);
	if (!ret)
		ret = ask_groups(&q);
	/* Whatever else went wrong: what has no answer is unknown. */
	if (ret && ret != -ENOMEM && ret != -ECANCELED) {
		forget_shared(&q, first);
		ret = 0;
	}
	if (!ret)
		ret = tell_inodes(&q, first);
	pmr_ranges_release(&q.covered);
	pmr_ranges_release(&q.shared);
	free(q.head);
	return ret;
}
