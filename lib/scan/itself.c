/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What besides data is bad of a file or directory that was named: the map of that, attributes, inodes. */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "owner/xfs.h"
#include "scan.h"

int pmr_add_untold(struct pmr_scanner *scanner, struct pmr_view *view, const char *path,
		   const struct pmr_ranges *ranges)
{
	struct pmr_untold untold = { .view = view };
	int ret;

	if (!ranges->n)
		return 0;
	ret = pmr_grow(&scanner->untold, scanner->n_untold, &scanner->alloc_untold,
		       sizeof(scanner->untold[0]));
	if (!ret)
		ret = pmr_ranges_copy(&untold.ranges, ranges);
	untold.path = ret ? NULL : strdup(path);
	if (!untold.path) {
		pmr_ranges_release(&untold.ranges);
		return -ENOMEM;
	}
	scanner->untold[scanner->n_untold++] = untold;
	return 0;
}

static void say_untold(struct pmr_scanner *scanner, const struct pmr_view *view, const char *path,
		       const struct pmr_ranges *untold)
{
	const struct pmr_filesystem *filesystem = view->filesystem;
	const struct pmr_ranges *bad = &filesystem->device->badblocks.ranges;
	uint64_t bytes = 0, first = 0, in;

	for (size_t i = 0; i < untold->n; i++) {
		in = pmr_ranges_bytes_in(bad, filesystem->start + untold->v[i].offset,
					 untold->v[i].length);
		if (!bytes)
			first = filesystem->start + untold->v[i].offset;
		bytes += in;
	}
	if (!bytes)
		return;
	scanner->scan->complete = false;
	pmr_say(scanner->ctx, PMR_ERROR, "owner-unknown", path,
		"%" PRIu64 " bad bytes, the first in the page at device offset %" PRIu64
		", are in no file that was met here and may be metadata of it (the map of where data lies, attributes, a "
		"directory, an inode): the filesystem does not tell%s",
		bytes, first, pmr_owner_advice(filesystem));
}

int pmr_say_untold(struct pmr_scanner *scanner)
{
	int ret = 0;

	for (size_t i = 0; i < scanner->n_untold && !ret; i++) {
		const struct pmr_untold *untold = &scanner->untold[i];
		struct pmr_ranges told = { 0 }, left = { 0 };

		ret = pmr_ranges_copy(&told, &untold->view->met);
		if (!ret)
			ret = pmr_claims_ranges(&untold->view->own, NULL, &told);
		if (!ret)
			ret = pmr_ranges_subtract(&left, &untold->ranges, &told);
		if (!ret)
			say_untold(scanner, untold->view, untold->path, &left);
		pmr_ranges_release(&told);
		pmr_ranges_release(&left);
	}
	return ret;
}

/* ---- inodes of a tree */

struct inodes {
	struct pmr_view *view;
	struct pmr_xfs_geometry geometry;
	struct pmr_ranges left;
	pthread_mutex_t lock;
};

static bool wants(void *data, uint64_t inode, unsigned char type)
{
	const struct inodes *inodes = data;
	struct pmr_range range;

	(void)type;
	return pmr_xfs_inode_at(&inodes->geometry, inode, &range) &&
	       pmr_ranges_overlap(&inodes->left, range.offset, range.length);
}

static int meet(void *data, const struct pmr_walk_entry *entry)
{
	struct pmr_owner_claim claim = { .owner = PMR_OWNER_METADATA,
					 .part = PMR_PART_INODE,
					 .inode = entry->inode,
					 .is_unreadable = true };
	struct inodes *inodes = data;
	int ret;

	if (!pmr_xfs_inode_at(&inodes->geometry, entry->inode, &claim.range))
		return 0;
	pthread_mutex_lock(&inodes->lock);
	ret = pmr_claims_add_parts(&inodes->view->own, &inodes->left, &claim);
	if (!ret)
		ret = pmr_view_add_name(inodes->view, entry->inode, entry->path);
	pthread_mutex_unlock(&inodes->lock);
	return ret;
}

bool pmr_may_be_inodes(const struct pmr_owner_claim *claim)
{
	return claim->owner == PMR_OWNER_UNKNOWN ||
	       (claim->owner == PMR_OWNER_METADATA && !claim->inode);
}

int pmr_look_at_inodes(struct pmr_scanner *scanner, struct pmr_view *view,
		       const struct pmr_root *root)
{
	struct inodes inodes = { .view = view, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct pmr_ranges wanted = { 0 };
	const struct pmr_walker walker = { wants, meet, &inodes, pmr_ctx_threads(scanner->ctx) };
	bool complete = true;
	int ret;

	if (view->filesystem->role == PMR_ROLE_REALTIME ||
	    !pmr_xfs_geometry(root->fd, &inodes.geometry))
		return 0;
	pmr_ranges_normalize(&view->met);
	ret = pmr_claims_ranges(&view->claims, pmr_may_be_inodes, &wanted);
	if (!ret)
		ret = pmr_ranges_subtract(&inodes.left, &wanted, &view->met);
	if (!ret && inodes.left.n)
		ret = pmr_walk(scanner->ctx, root->fd, root->path, 0, &walker, &complete);
	if (!complete)
		scanner->scan->complete = false;
	pmr_ranges_release(&wanted);
	pmr_ranges_release(&inodes.left);
	return ret;
}

/* ---- a file */

static int ask(struct pmr_scanner *scanner, struct pmr_view *view, int fd, const char *path,
	       const struct pmr_ranges *left)
{
	struct pmr_ranges untold = { 0 };
	size_t before = view->own.n;
	struct stat st;
	int ret;

	if (fstat(fd, &st))
		return 0;
	ret = pmr_lookup_inode(scanner->ctx, view->filesystem, fd, st.st_ino, left, &view->own,
			       &untold);
	if (!ret && view->own.n > before)
		ret = pmr_view_add_name(view, st.st_ino, path);
	if (!ret)
		ret = pmr_add_untold(scanner, view, path, &untold);
	pmr_ranges_release(&untold);
	return ret;
}

int pmr_look_at_itself(struct pmr_scanner *scanner, struct pmr_view *view, int fd, const char *path)
{
	struct pmr_ranges left = { 0 };
	int ret;

	pmr_ranges_normalize(&view->met);
	ret = pmr_ranges_subtract(&left, &view->wide, &view->met);
	if (!ret && left.n)
		ret = ask(scanner, view, fd, path, &left);
	pmr_ranges_release(&left);
	return ret;
}
