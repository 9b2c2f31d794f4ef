/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who owns a place of a filesystem, by the filesystem's own reverse map (GETFSMAP: XFS since 4.12, ext4 since 4.15). */

#include <errno.h>
#include <linux/fsmap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "private.h"

#define RECORDS 128u
/* Questions are whole blocks of any filesystem's size: kernels differ in how they round sectors inside a block. */
#define ALIGN (UINT64_C(64) << 10)
/* How far before a place the first question begins that also wants the records which began ahead of it. */
#define FIRST_STEP_BACK (UINT64_C(256) << 10)

/* XFS_IOC_FSBULKSTAT_SINGLE of xfs_fs.h, since before git: what is known of one inode, by number. */
struct bulk_request {
	uint64_t *inode;
	int32_t n;
	void *answer;
	int32_t *answered;
};
#define BULKSTAT_SINGLE _IOWR('X', 102, struct bulk_request)

/* The begin of struct xfs_bstat, and more room than it ever took. */
struct bulk_answer {
	uint64_t inode;
	uint16_t mode;
	unsigned char rest[500];
};

/* Owners of XFS and ext4 that need a word of their own; all other special owners are metadata. */
#define OWNER_XFS_EXT4_LOG FMR_OWNER('X', 2)
#define OWNER_XFS_COW_STAGING FMR_OWNER('X', 7)

struct part {
	struct pmr_range range;
	enum pmr_owner owner;
	uint64_t inode;
};

struct question {
	const struct pmr_ctx *ctx;
	int fd;
	uint32_t device;
	struct fsmap_head *head;
	struct pmr_ranges open; /* normal: what has no owner yet */
	struct part *parts;
	size_t n;
	size_t alloc;
};

/* The kernel's 32-bit dev_t (new_encode_dev()). */
static uint32_t encode_device(dev_t dev)
{
	uint32_t major = major(dev), minor = minor(dev);

	return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

static enum pmr_owner owner_of(const struct fsmap *record)
{
	if (!(record->fmr_flags & FMR_OF_SPECIAL_OWNER)) {
		if (record->fmr_flags & (FMR_OF_ATTR_FORK | FMR_OF_EXTENT_MAP))
			return PMR_OWNER_METADATA;
		return record->fmr_flags & FMR_OF_PREALLOC ? PMR_OWNER_UNWRITTEN : PMR_OWNER_FILE;
	}
	switch (record->fmr_owner) {
	case FMR_OWN_FREE:
		return PMR_OWNER_FREE;
	case FMR_OWN_UNKNOWN:
		return PMR_OWNER_UNKNOWN;
	case OWNER_XFS_EXT4_LOG:
		return PMR_OWNER_LOG;
	case OWNER_XFS_COW_STAGING:
		/* Room for a copy that no file refers to yet. */
		return PMR_OWNER_UNWRITTEN;
	default:
		return PMR_OWNER_METADATA;
	}
}

/* The blocks of directories and long symbolic links are owned by inodes too. Told by XFS alone, and to root. */
static bool is_metadata_inode(int fd, uint64_t inode)
{
	struct bulk_answer answer = { 0 };
	int32_t answered = 0;
	struct bulk_request request = {
		.inode = &inode, .n = 1, .answer = &answer, .answered = &answered
	};

	return !ioctl(fd, BULKSTAT_SINGLE, &request) && !S_ISREG(answer.mode);
}

static int add_part(struct question *q, const struct pmr_range *range, enum pmr_owner owner,
		    uint64_t inode)
{
	int ret;

	ret = pmr_grow(&q->parts, q->n, &q->alloc, sizeof(q->parts[0]));
	if (ret)
		return ret;
	q->parts[q->n++] = (struct part){ .range = *range, .owner = owner, .inode = inode };
	return 0;
}

static int take_record(struct question *q, const struct fsmap *record)
{
	struct pmr_ranges here = { 0 }, rest = { 0 }, mine = { 0 };
	enum pmr_owner owner = owner_of(record);
	bool named = owner == PMR_OWNER_FILE || owner == PMR_OWNER_UNWRITTEN;
	size_t i;
	int ret;

	if (record->fmr_device != q->device ||
	    !pmr_ranges_overlap(&q->open, record->fmr_physical, record->fmr_length))
		return 0;
	ret = pmr_ranges_add(&here, record->fmr_physical, record->fmr_length);
	if (!ret)
		ret = pmr_ranges_clip(&mine, &q->open, record->fmr_physical, record->fmr_length);
	if (!ret)
		ret = pmr_ranges_subtract(&rest, &q->open, &here);
	for (i = 0; i < mine.n && !ret; i++)
		ret = add_part(q, &mine.v[i], owner,
			       named && !(record->fmr_flags & FMR_OF_SPECIAL_OWNER)
				       ? record->fmr_owner
				       : 0);
	if (!ret) {
		struct pmr_ranges old = q->open;

		q->open = rest;
		rest = old;
	}
	pmr_ranges_release(&here);
	pmr_ranges_release(&mine);
	pmr_ranges_release(&rest);
	return ret;
}

/* All records between two places, end excluded. Return: 0, or why the filesystem does not answer. */
static int ask(struct question *q, uint64_t from, uint64_t to)
{
	struct fsmap_head *head = q->head;
	struct fsmap before;
	uint32_t i;
	int ret;

	memset(head, 0, fsmap_sizeof(RECORDS));
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
		for (i = 0; i < head->fmh_entries; i++) {
			ret = take_record(q, &head->fmh_recs[i]);
			if (ret)
				return ret;
		}
		before = head->fmh_keys[0];
		fsmap_advance(head);
		if (head->fmh_keys[0].fmr_flags & FMR_OF_LAST || !q->open.n ||
		    !memcmp(&before, &head->fmh_keys[0], sizeof(before)))
			return 0;
	}
}

/*
 * Up to 6.4 the kernel leaves out a record that begins before the question does. So what stays without an owner is
 * asked for again from further and further back: no more records are read than about twice those in between.
 */
static int ask_backwards(struct question *q, const struct pmr_range *range)
{
	uint64_t back = 0, from, to;
	int ret;

	while (q->open.n) {
		from = range->offset > back ? range->offset - back : 0;
		from -= from % ALIGN;
		to = q->open.v[q->open.n - 1].offset + q->open.v[q->open.n - 1].length;
		/* XFS before 6.11 leaves the last block of a question out of free space: that one is nobody's business. */
		if (__builtin_add_overflow(to, ALIGN + (ALIGN - to % ALIGN) % ALIGN, &to))
			to = UINT64_MAX;
		ret = ask(q, from, to);
		if (ret)
			return ret;
		if (!from)
			break;
		back = back ? back * 8 : FIRST_STEP_BACK;
	}
	return 0;
}

static int compare_parts(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return (x->range.offset > y->range.offset) - (x->range.offset < y->range.offset);
}

int pmr_owner_of(struct pmr_ctx *ctx, int fd, const struct pmr_range *range,
		 int (*found)(void *data, const struct pmr_range *part, enum pmr_owner owner,
			      uint64_t inode),
		 void *data)
{
	struct question q = { .ctx = ctx, .fd = fd };
	struct stat st;
	size_t i;
	int ret;

	ret = pmr_ranges_add(&q.open, range->offset, range->length);
	if (ret)
		return ret;
	q.head = malloc(fsmap_sizeof(RECORDS));
	if (!q.head) {
		ret = -ENOMEM;
		goto out;
	}
	if (!fstat(fd, &st)) {
		q.device = encode_device(st.st_dev);
		ret = ask_backwards(&q, range);
		if (ret == -ENOMEM)
			goto out;
	}
	for (i = 0; i < q.n; i++) {
		if (q.parts[i].inode && is_metadata_inode(fd, q.parts[i].inode))
			q.parts[i].owner = PMR_OWNER_METADATA;
	}
	/* Whatever else went wrong: what has no answer is unknown. */
	ret = 0;
	for (i = 0; i < q.open.n && !ret; i++)
		ret = add_part(&q, &q.open.v[i], PMR_OWNER_UNKNOWN, 0);
	if (!ret && q.n)
		qsort(q.parts, q.n, sizeof(q.parts[0]), compare_parts);
	for (i = 0; i < q.n && !ret; i++)
		ret = found(data, &q.parts[i].range, q.parts[i].owner, q.parts[i].inode);
out:
	pmr_ranges_release(&q.open);
	free(q.parts);
	free(q.head);
	return ret;
}
