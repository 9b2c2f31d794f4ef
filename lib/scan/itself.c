/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file that was named: what besides its data is bad, of the map of that, its attributes and its inode. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "scan.h"

void pmr_say_untold(struct pmr_scanner *scanner, const struct pmr_view *view, const char *path,
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
		pmr_say_untold(scanner, view, path, &untold);
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
