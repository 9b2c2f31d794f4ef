/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who owns each bad range: the files that claimed it, else what the filesystem tells, else nobody knows. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scan.h"

/* One device's bad ranges while they are given out. */
struct owning {
	struct pmr_scanner *scanner;
	struct pmr_device *device;
	struct pmr_view *view; /* whose reverse map is being asked */
	const struct pmr_view *fixed_of; /* whose geometry @fixed is of, or NULL */
	struct pmr_fixed fixed;
	bool is_whole; /* the device itself was asked about, with what lies in no filesystem */
	size_t first; /* of this device in scan->owned */
};

static int add_owned(struct owning *o, uint64_t offset, uint64_t length, enum pmr_owner owner)
{
	struct pmr_scan *scan = o->scanner->scan;
	int ret;

	ret = pmr_grow(&scan->owned, scan->n_owned, &o->scanner->alloc_owned,
		       sizeof(scan->owned[0]));
	if (ret)
		return ret;
	scan->owned[scan->n_owned++] = (struct pmr_owned){ .device = o->device,
							   .range = { offset, length },
							   .owner = owner };
	return 0;
}

/* ---- what files claim */

/* A sector that holds the end of a file is the file's, not half of it unused. */
static int claim(const struct pmr_loss *loss, struct pmr_ranges *data, struct pmr_ranges *unused)
{
	uint64_t from = loss->device_offset, to = from + loss->length;

	if (loss->state == PMR_UNWRITTEN || loss->state == PMR_PAST_EOF)
		return pmr_ranges_add(unused, from, to - from);
	from -= from % PMR_SECTOR;
	if (to % PMR_SECTOR)
		to += PMR_SECTOR - to % PMR_SECTOR;
	return pmr_ranges_add(data, from, to - from);
}

static int collect(struct owning *o, struct pmr_ranges *data, struct pmr_ranges *unused)
{
	const struct pmr_scan *scan = o->scanner->scan;
	size_t i, j;
	int ret;

	for (i = 0; i < scan->n_files; i++) {
		const struct pmr_file *file = scan->files[i];

		if (file->filesystem->device != o->device)
			continue;
		for (j = 0; j < file->n_losses; j++) {
			ret = claim(&file->losses[j], data, unused);
			if (ret)
				return ret;
		}
	}
	pmr_ranges_normalize(data);
	pmr_ranges_normalize(unused);
	return 0;
}

static int collect_directories(struct owning *o, struct pmr_ranges *directories)
{
	size_t i, j;
	int ret;

	for (i = 0; i < o->scanner->n_views; i++) {
		const struct pmr_view *view = o->scanner->views[i];

		if (view->filesystem->device != o->device)
			continue;
		for (j = 0; j < view->directories.n; j++) {
			ret = pmr_ranges_add(directories, view->directories.v[j].offset,
					     view->directories.v[j].length);
			if (ret)
				return ret;
		}
	}
	pmr_ranges_normalize(directories);
	return 0;
}

static void swap(struct pmr_ranges *a, struct pmr_ranges *b)
{
	struct pmr_ranges t = *a;

	*a = *b;
	*b = t;
}

/* @rest: loses what is in @claimed, and that is given to @owner. All three are normal. */
static int give(struct owning *o, struct pmr_ranges *rest, const struct pmr_ranges *claimed,
		enum pmr_owner owner)
{
	struct pmr_ranges left = { 0 }, given = { 0 };
	size_t i;
	int ret;

	ret = pmr_ranges_subtract(&left, rest, claimed);
	if (!ret)
		ret = pmr_ranges_subtract(&given, rest, &left);
	for (i = 0; i < given.n && !ret; i++)
		ret = add_owned(o, given.v[i].offset, given.v[i].length, owner);
	if (!ret)
		swap(rest, &left);
	pmr_ranges_release(&left);
	pmr_ranges_release(&given);
	return ret;
}

/* ---- what filesystems tell of the rest */

static int add_fixed(struct owning *o, struct pmr_ranges *rest, const struct pmr_ranges *fixed,
		     enum pmr_owner owner)
{
	uint64_t start = o->view->filesystem->start;
	struct pmr_ranges left = { 0 }, found = { 0 };
	int ret;

	ret = pmr_ranges_subtract(&left, rest, fixed);
	if (!ret)
		ret = pmr_ranges_subtract(&found, rest, &left);
	for (size_t i = 0; i < found.n && !ret; i++)
		ret = add_owned(o, start + found.v[i].offset, found.v[i].length, owner);
	swap(rest, &left);
	pmr_ranges_release(&left);
	pmr_ranges_release(&found);
	return ret;
}

/* What the reverse map does not know, the geometry may. */
static int add_unknown(struct owning *o, const struct pmr_range *part)
{
	uint64_t start = o->view->filesystem->start;
	struct pmr_ranges rest = { 0 };
	int ret;

	ret = pmr_ranges_add(&rest, part->offset, part->length);
	if (!ret)
		ret = add_fixed(o, &rest, &o->fixed.log, PMR_OWNER_LOG);
	if (!ret)
		ret = add_fixed(o, &rest, &o->fixed.metadata, PMR_OWNER_METADATA);
	for (size_t i = 0; i < rest.n && !ret; i++)
		ret = add_owned(o, start + rest.v[i].offset, rest.v[i].length, PMR_OWNER_UNKNOWN);
	pmr_ranges_release(&rest);
	return ret;
}

static int take_part(void *data, const struct pmr_range *part, enum pmr_owner owner, uint64_t inode)
{
	struct owning *o = data;
	struct pmr_filesystem *filesystem = o->view->filesystem;

	if (owner == PMR_OWNER_UNKNOWN)
		return add_unknown(o, part);
	if (owner == PMR_OWNER_FILE && !pmr_scanner_file(o->scanner, filesystem, inode)) {
		o->scanner->scan->complete = false;
		pmr_say(o->scanner->ctx, PMR_ERROR, "unnamed-file", filesystem->mountpoint,
			"inode %" PRIu64 " lost data at device offset %" PRIu64
			", but the walk met no file of that number: it "
			"is deleted and still open, or below another mount",
			inode, filesystem->start + part->offset);
	}
	return add_owned(o, filesystem->start + part->offset, part->length, owner);
}

/* Once for each filesystem. */
static int find_fixed(struct owning *o, int fd)
{
	if (o->fixed_of == o->view)
		return 0;
	o->fixed_of = o->view;
	pmr_fixed_release(&o->fixed);
	return pmr_fixed_find(o->scanner->ctx, o->view->filesystem, fd, &o->fixed);
}

static int ask_filesystem(struct owning *o, uint64_t from, uint64_t to)
{
	const struct pmr_filesystem *filesystem = o->view->filesystem;
	struct pmr_range range = { from - filesystem->start, to - from };
	struct stat st;
	int fd, ret;

	if (!filesystem->mountpoint || o->scanner->is_interrupted)
		return add_owned(o, from, to - from, PMR_OWNER_UNKNOWN);
	fd = open(filesystem->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || st.st_dev != filesystem->devno) {
		ret = add_owned(o, from, to - from, PMR_OWNER_UNKNOWN);
	} else {
		ret = find_fixed(o, fd);
		if (!ret)
			ret = pmr_owner_of(o->scanner->ctx, fd, &range, take_part, o);
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

static struct pmr_view *find_view(struct pmr_scanner *scanner,
				  const struct pmr_filesystem *filesystem)
{
	size_t i;

	for (i = 0; i < scanner->n_views; i++) {
		if (scanner->views[i]->filesystem == filesystem)
			return scanner->views[i];
	}
	return NULL;
}

bool pmr_is_place_on(const struct pmr_filesystem *filesystem, const struct pmr_device *device)
{
	return filesystem->device == device &&
	       (filesystem->type || filesystem->mountpoint || filesystem->start);
}

struct pmr_filesystem *pmr_filesystem_at(const struct pmr_topology *topology,
					 const struct pmr_device *device, uint64_t offset,
					 uint64_t *until)
{
	struct pmr_filesystem *found = NULL;
	size_t i;

	for (i = 0; i < topology->n_filesystems; i++) {
		struct pmr_filesystem *f = topology->filesystems[i];

		if (!pmr_is_place_on(f, device) || f->start + f->size <= offset)
			continue;
		if (f->start > offset) {
			if (f->start < *until)
				*until = f->start;
		} else {
			found = f;
		}
	}
	if (found && found->start + found->size < *until)
		*until = found->start + found->size;
	return found;
}

/* Poison in no filesystem and no partition is a partition table's or nothing's, if there are partitions at all. */
static enum pmr_owner owner_outside(const struct owning *o)
{
	const struct pmr_topology *topology = o->scanner->scan->topology;
	size_t i;

	if (!o->is_whole)
		return PMR_OWNER_NOT_ASKED;
	for (i = 0; i < topology->n_filesystems; i++) {
		const struct pmr_filesystem *f = topology->filesystems[i];

		if (f->device == o->device && f->start)
			return PMR_OWNER_NAMESPACE;
	}
	return PMR_OWNER_UNKNOWN;
}

static int ask_rest(struct owning *o, const struct pmr_range *range)
{
	uint64_t from = range->offset, end = range->offset + range->length, to;
	const struct pmr_filesystem *filesystem;
	int ret;

	for (; from < end; from = to) {
		to = end;
		filesystem = pmr_filesystem_at(o->scanner->scan->topology, o->device, from, &to);
		o->view = filesystem ? find_view(o->scanner, filesystem) : NULL;
		if (!filesystem)
			ret = add_owned(o, from, to - from, owner_outside(o));
		else if (o->view && o->view->is_whole)
			ret = ask_filesystem(o, from, to);
		else
			ret = add_owned(o, from, to - from, PMR_OWNER_NOT_ASKED);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- one device */

static int compare_owned(const void *a, const void *b)
{
	const struct pmr_owned *x = a, *y = b;

	return (x->range.offset > y->range.offset) - (x->range.offset < y->range.offset);
}

/* Bad ranges never touch, so what touches and has one kind of owner is of one range. */
static void sort_and_merge(struct owning *o)
{
	struct pmr_scan *scan = o->scanner->scan;
	size_t n = o->first, i;

	if (scan->n_owned == o->first)
		return;
	qsort(scan->owned + o->first, scan->n_owned - o->first, sizeof(scan->owned[0]),
	      compare_owned);
	for (i = o->first + 1; i < scan->n_owned; i++) {
		struct pmr_owned *last = &scan->owned[n], *next = &scan->owned[i];

		if (last->owner == next->owner &&
		    last->range.offset + last->range.length == next->range.offset)
			last->range.length += next->range.length;
		else
			scan->owned[++n] = *next;
	}
	scan->n_owned = n + 1;
}

static bool is_asked_whole(const struct pmr_scanner *scanner, const struct pmr_device *device)
{
	size_t i;

	for (i = 0; i < scanner->n_targets; i++) {
		if (scanner->targets[i].kind == PMR_TARGET_DEVICE &&
		    scanner->targets[i].device == device)
			return true;
	}
	return false;
}

static int own_device(struct pmr_scanner *scanner, struct pmr_device *device)
{
	struct owning o = { .scanner = scanner, .device = device, .first = scanner->scan->n_owned };
	struct pmr_ranges data = { 0 }, unused = { 0 }, directories = { 0 }, rest = { 0 };
	size_t i;
	int ret;

	o.is_whole = is_asked_whole(scanner, device);
	ret = pmr_ranges_copy(&rest, &device->badblocks.ranges);
	if (!ret)
		ret = collect(&o, &data, &unused);
	if (!ret)
		ret = collect_directories(&o, &directories);
	if (!ret)
		ret = give(&o, &rest, &data, PMR_OWNER_FILE);
	if (!ret)
		ret = give(&o, &rest, &directories, PMR_OWNER_METADATA);
	if (!ret)
		ret = give(&o, &rest, &unused, PMR_OWNER_UNWRITTEN);
	for (i = 0; i < rest.n && !ret; i++)
		ret = ask_rest(&o, &rest.v[i]);
	if (!ret) {
		sort_and_merge(&o);
		pmr_owned_say(scanner, device, o.first, o.is_whole);
	}
	pmr_ranges_release(&data);
	pmr_ranges_release(&unused);
	pmr_ranges_release(&directories);
	pmr_ranges_release(&rest);
	pmr_fixed_release(&o.fixed);
	return ret;
}

static int compare_devices(const void *a, const void *b)
{
	return strverscmp((*(struct pmr_device *const *)a)->name,
			  (*(struct pmr_device *const *)b)->name);
}

int pmr_owned_find(struct pmr_scanner *scanner)
{
	struct pmr_scan *scan = scanner->scan;
	size_t i;
	int ret = 0;

	if (scan->n_devices)
		qsort(scan->devices, scan->n_devices, sizeof(scan->devices[0]), compare_devices);
	for (i = 0; i < scan->n_devices && !ret; i++)
		ret = own_device(scanner, scan->devices[i]);
	return ret;
}
