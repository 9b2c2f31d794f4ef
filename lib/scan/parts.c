/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Says of which inodes metadata is lost, and what that means for each. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"

/* @text: after the number of bytes */
static const struct word {
	enum pmr_part part;
	const char *code;
	const char *text;
} words[] = {
	{ PMR_PART_DIRECTORY, "directory-lost",
	  "of the directory itself are lost: names in it may be gone, and with them files from this answer" },
	{ PMR_PART_SYMLINK, "symlink-lost",
	  "of where this symbolic link leads are lost: make it anew (ln -sfn)" },
	{ PMR_PART_ATTRIBUTES, "attributes-lost",
	  "of its extended attributes are lost, which may be its access control list, its capabilities or its label: "
	  "copy its data to a new file, and restore the attributes from a backup" },
	{ PMR_PART_EXTENTS, "extents-lost",
	  "of the map of where its data lies are lost: what of it cannot be read is lost with them; copy what can be "
	  "read, and restore it from a backup as a whole" },
	{ PMR_PART_INODE, "inode-lost",
	  "of its inode are lost: it may become unreadable as soon as nobody uses it; copy it now, and restore it from a "
	  "backup" },
	{ PMR_PART_VERITY, "verity-lost",
	  "of what fs-verity checks its data by are lost: data that they are for cannot be read any more, perhaps none of "
	  "it; restore it from a backup as a new file" },
};

static int compare_claims(const void *a, const void *b)
{
	const struct pmr_owner_claim *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return (x->part > y->part) - (x->part < y->part);
}

/* None of its own bytes is lost, but the kernel reads whole blocks. */
static void say_unreadable(struct pmr_ctx *ctx, const struct pmr_view *view,
			   const struct pmr_owner_claim *claim)
{
	const char *name = pmr_view_name(view, claim->inode);

	if (name)
		pmr_say(ctx, PMR_ERROR, "inode-lost", name,
			"its inode cannot be read, for it is in one block with lost bytes: what has it open may still copy "
			"it; restore it from a backup");
	else if (view->is_whole)
		pmr_say(ctx, PMR_ERROR, "inode-lost", view->filesystem->mountpoint,
			"inode %" PRIu64
			", for which no name was met, cannot be read, for it is in one block with lost bytes",
			claim->inode);
}

static void say_part(struct pmr_ctx *ctx, const struct pmr_view *view,
		     const struct pmr_owner_claim *claim, uint64_t bytes)
{
	const char *name = pmr_view_name(view, claim->inode);
	const struct word *word = NULL;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].part == claim->part)
			word = &words[i];
	if (!word || (!name && !view->is_whole))
		return;
	if (name)
		pmr_say(ctx, PMR_ERROR, word->code, name, "%" PRIu64 " bytes %s", bytes,
			word->text);
	else
		pmr_say(ctx, PMR_ERROR, word->code, view->filesystem->mountpoint,
			"inode %" PRIu64 ", for which no name was met: %" PRIu64 " bytes %s",
			claim->inode, bytes, word->text);
}

int pmr_parts_say(struct pmr_ctx *ctx, const struct pmr_view *view)
{
	const struct pmr_filesystem *filesystem = view->filesystem;
	const struct pmr_ranges *bad = &filesystem->device->badblocks.ranges;
	struct pmr_claims parts = { 0 };
	uint64_t bytes = 0;
	int ret = 0;

	for (size_t i = 0; i < view->claims.n && !ret; i++)
		if (view->claims.v[i].owner == PMR_OWNER_METADATA && view->claims.v[i].inode)
			ret = pmr_claims_add(&parts, &view->claims.v[i]);
	if (!ret && parts.n)
		qsort(parts.v, parts.n, sizeof(parts.v[0]), compare_claims);
	for (size_t i = 0; i < parts.n && !ret; i++) {
		const struct pmr_owner_claim *claim = &parts.v[i];

		/* claims are made for whole pages, and not all of a page is bad */
		bytes += pmr_ranges_bytes_in(bad, filesystem->start + claim->range.offset,
					     claim->range.length);
		if (i + 1 < parts.n && !compare_claims(claim, claim + 1))
			continue;
		if (bytes)
			say_part(ctx, view, claim, bytes);
		else if (claim->is_unreadable)
			say_unreadable(ctx, view, claim);
		bytes = 0;
	}
	free(parts.v);
	return ret;
}
