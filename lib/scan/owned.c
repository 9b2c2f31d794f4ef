/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who owns each bad range: the files that claimed it, else what the filesystem tells, else nobody knows. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"
#include "device/held.h"
#include "device/topology.h"

/* One device's bad ranges while they are given out. */
struct owning {
	struct pmr_scanner *scanner;
	struct pmr_device *device;
	struct pmr_view *view; /* whose claims are being taken */
	const struct pmr_view *cursor_of;
	size_t cursor;
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

/* @doubted: what would be unused, had the log been replayed */
static int collect(struct owning *o, struct pmr_ranges *data, struct pmr_ranges *unused,
		   struct pmr_ranges *doubted)
{
	const struct pmr_scan *scan = o->scanner->scan;
	size_t i, j;
	int ret;

	for (i = 0; i < scan->n_files; i++) {
		const struct pmr_file *file = scan->files[i];

		if (file->filesystem->device != o->device)
			continue;
		for (j = 0; j < file->n_losses; j++) {
			ret = claim(&file->losses[j], data,
				    file->filesystem->unreplayed ? doubted : unused);
			if (ret)
				return ret;
		}
	}
	pmr_ranges_normalize(data);
	pmr_ranges_normalize(unused);
	pmr_ranges_normalize(doubted);
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

/* A file that was looked at and has it no more, or one that no name led to. */
static int take_file(struct owning *o, const struct pmr_owner_claim *claim, uint64_t offset)
{
	struct pmr_filesystem *filesystem = o->view->filesystem;
	const struct pmr_file *file = pmr_scanner_file(o->scanner, filesystem, claim->inode);
	struct pmr_ctx *ctx = o->scanner->ctx;

	if (file && !file->complete)
		return 0;
	o->scanner->scan->complete = false;
	if (file)
		pmr_say(ctx, PMR_ERROR, "owner-moves", file->path,
			"had bad bytes at device offset %" PRIu64
			" and gave them up while it was looked at: scan again when it rests",
			offset);
	else
		pmr_say(ctx, PMR_ERROR, "unnamed-file", filesystem->mountpoint,
			"inode %" PRIu64 " lost data at device offset %" PRIu64
			", but the walk met no file of that number: it is deleted and still open, or below another mount, "
			"or has just moved (scan again)",
			claim->inode, offset);
	return 0;
}

/* Of a tree, what is in it: nobody asked about the rest. */
static bool is_asked(const struct owning *o, const struct pmr_owner_claim *claim)
{
	return o->view->is_whole || (claim->owner == PMR_OWNER_METADATA && claim->inode &&
				     pmr_view_name(o->view, claim->inode));
}

/* What no claim has was not asked for: the scan was stopped, or the filesystem could not be looked at. */
static int take_part(void *data, const struct pmr_owner_claim *claim, const struct pmr_range *part)
{
	struct owning *o = data;
	uint64_t offset = o->view->filesystem->start + part->offset;
	enum pmr_owner owner = PMR_OWNER_NOT_ASKED;
	struct pmr_owned *added;
	const char *name;
	int ret;

	if (!claim)
		owner = o->view->is_whole ? PMR_OWNER_UNKNOWN : PMR_OWNER_NOT_ASKED;
	else if (is_asked(o, claim))
		owner = claim->owner;
	ret = add_owned(o, offset, part->length, owner);
	if (ret || !claim || owner == PMR_OWNER_NOT_ASKED)
		return ret;
	added = &o->scanner->scan->owned[o->scanner->scan->n_owned - 1];
	if (owner == PMR_OWNER_FILE) {
		added->inode = claim->inode;
		return take_file(o, claim, offset);
	}
	if (owner != PMR_OWNER_METADATA)
		return 0;
	added->part = claim->part;
	added->inode = claim->inode;
	name = claim->inode ? pmr_view_name(o->view, claim->inode) : NULL;
	if (name)
		added->path = strdup(name);
	return name && !added->path ? -ENOMEM : 0;
}

/* Files that share with one that was met what it lost, and were not met themselves. */
static void say_unmet(struct owning *o, const struct pmr_ranges *data)
{
	for (size_t i = 0; i < o->view->claims.n; i++) {
		const struct pmr_owner_claim *claim = &o->view->claims.v[i];
		uint64_t offset = o->view->filesystem->start + claim->range.offset;

		if (claim->owner == PMR_OWNER_FILE &&
		    !pmr_scanner_file(o->scanner, o->view->filesystem, claim->inode) &&
		    pmr_ranges_overlap(data, offset, claim->range.length))
			take_file(o, claim, offset);
	}
}

static int ask_filesystem(struct owning *o, uint64_t from, uint64_t to)
{
	const struct pmr_range range = { from - o->view->filesystem->start, to - from };

	if (o->cursor_of != o->view) {
		o->cursor_of = o->view;
		o->cursor = 0;
	}
	return pmr_claims_each(&o->view->claims, &o->cursor, &range, take_part, o);
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

/* Poison in no filesystem and no partition is a partition table's or nothing's, if there are partitions at all. */
static enum pmr_owner owner_outside(const struct owning *o, uint64_t offset, uint64_t *until)
{
	const struct pmr_topology *topology = o->scanner->scan->topology;
	size_t i;

	if (!o->is_whole)
		return PMR_OWNER_NOT_ASKED;
	/* what is built there did not tell of it */
	if (pmr_held_at(topology, o->device, offset, until))
		return PMR_OWNER_UNKNOWN;
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
	enum pmr_owner owner;
	int ret;

	for (; from < end; from = to) {
		to = end;
		filesystem = pmr_filesystem_at(o->scanner->scan->topology, o->device, from, &to);
		o->view = filesystem ? find_view(o->scanner, filesystem) : NULL;
		owner = filesystem ? PMR_OWNER_NOT_ASKED : owner_outside(o, from, &to);
		if (!filesystem)
			ret = add_owned(o, from, to - from, owner);
		else if (o->view)
			ret = ask_filesystem(o, from, to);
		else
			ret = add_owned(o, from, to - from, PMR_OWNER_NOT_ASKED);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- what mapped devices have of it */

/* One owned range of a mapped device: the parts of @rest that it lies on are owned alike. */
static int take_owned(struct owning *o, const struct pmr_owned *upper,
		      const struct pmr_ranges *rest, struct pmr_ranges *claimed)
{
	const struct pmr_ranges one = { .v = (struct pmr_range *)&upper->range, .n = 1 };
	struct pmr_ranges down = { 0 }, parts = { 0 };
	struct pmr_owned *added;
	int ret;

	ret = pmr_pieces_to(upper->device, o->device, &one, &down);
	for (size_t i = 0; i < down.n && !ret; i++)
		ret = pmr_ranges_clip(&parts, rest, down.v[i].offset, down.v[i].length);
	for (size_t i = 0; i < parts.n && !ret; i++) {
		ret = add_owned(o, parts.v[i].offset, parts.v[i].length, upper->owner);
		if (!ret)
			ret = pmr_ranges_add(claimed, parts.v[i].offset, parts.v[i].length);
		if (ret)
			break;
		added = &o->scanner->scan->owned[o->scanner->scan->n_owned - 1];
		added->part = upper->part;
		added->inode = upper->inode;
		added->path = upper->path ? strdup(upper->path) : NULL;
		ret = upper->path && !added->path ? -ENOMEM : 0;
	}
	pmr_ranges_release(&down);
	pmr_ranges_release(&parts);
	return ret;
}

/* @rest: loses what mapped devices of the scan, which come before what is below them, have an answer for. */
static int take_from_above(struct owning *o, struct pmr_ranges *rest)
{
	struct pmr_scan *scan = o->scanner->scan;
	struct pmr_ranges claimed = { 0 }, left = { 0 };
	int ret = 0;

	for (size_t i = 0; i < o->first && rest->n && !ret; i++) {
		const struct pmr_owned upper = scan->owned[i];

		if (pmr_pieces_are_on(upper.device, o->device))
			ret = take_owned(o, &upper, rest, &claimed);
	}
	pmr_ranges_normalize(&claimed);
	if (!ret)
		ret = pmr_ranges_subtract(&left, rest, &claimed);
	if (!ret)
		swap(rest, &left);
	pmr_ranges_release(&claimed);
	pmr_ranges_release(&left);
	return ret;
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

		if (last->owner == next->owner && last->part == next->part &&
		    last->inode == next->inode &&
		    last->range.offset + last->range.length == next->range.offset) {
			last->range.length += next->range.length;
			free(next->path);
		} else {
			scan->owned[++n] = *next;
		}
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
	struct pmr_ranges data = { 0 }, unused = { 0 }, doubted = { 0 }, rest = { 0 };
	size_t i;
	int ret;

	o.is_whole = is_asked_whole(scanner, device);
	ret = pmr_ranges_copy(&rest, &device->badblocks.ranges);
	if (!ret)
		ret = collect(&o, &data, &unused, &doubted);
	if (!ret)
		ret = give(&o, &rest, &data,
			   pmr_device_is_dax(device) ? PMR_OWNER_DEVICE : PMR_OWNER_FILE);
	if (!ret)
		ret = give(&o, &rest, &unused, PMR_OWNER_UNWRITTEN);
	if (!ret)
		ret = give(&o, &rest, &doubted, PMR_OWNER_UNKNOWN);
	if (!ret)
		ret = take_from_above(&o, &rest);
	for (i = 0; i < rest.n && !ret; i++)
		ret = ask_rest(&o, &rest.v[i]);
	for (i = 0; i < scanner->n_views && !ret; i++) {
		o.view = scanner->views[i];
		if (o.view->is_whole && o.view->filesystem->device == device)
			say_unmet(&o, &data);
	}
	if (!ret) {
		sort_and_merge(&o);
		ret = pmr_owned_say(scanner, device, o.first, o.is_whole);
	}
	pmr_ranges_release(&data);
	pmr_ranges_release(&unused);
	pmr_ranges_release(&doubted);
	pmr_ranges_release(&rest);
	return ret;
}

static unsigned int depth_of(const struct pmr_device *device)
{
	unsigned int depth = 0, below;

	for (size_t i = 0; i < device->n_lowers; i++) {
		below = 1 + depth_of(device->lowers[i]);
		depth = below > depth ? below : depth;
	}
	return depth;
}

/* What is mapped comes before what it lies on. */
static int compare_devices(const void *a, const void *b)
{
	const struct pmr_device *x = *(struct pmr_device *const *)a;
	const struct pmr_device *y = *(struct pmr_device *const *)b;
	unsigned int depth_x = depth_of(x), depth_y = depth_of(y);

	if (depth_x != depth_y)
		return depth_x > depth_y ? -1 : 1;
	return strverscmp(x->name, y->name);
}

void pmr_scan_sort_devices(struct pmr_scan *scan)
{
	if (scan->n_devices)
		qsort(scan->devices, scan->n_devices, sizeof(scan->devices[0]), compare_devices);
}

/* What files that were looked at have as metadata, in the place of what else was told there, but for other inodes'. */
int pmr_view_settle(struct pmr_view *view)
{
	struct pmr_claims others = { 0 }, merged = { 0 };
	struct pmr_ranges ranges = { 0 };
	int ret;

	if (!view->own.n)
		return 0;
	ret = pmr_claims_ranges(&view->own, NULL, &ranges);
	for (size_t i = 0; i < view->claims.n && !ret; i++) {
		const struct pmr_owner_claim *claim = &view->claims.v[i];
		bool stays = claim->owner == PMR_OWNER_METADATA && claim->inode;

		ret = pmr_claims_add(stays ? &merged : &others, claim);
	}
	if (!ret)
		ret = pmr_claims_without(&others, &ranges, &merged);
	for (size_t i = 0; i < view->own.n && !ret; i++)
		ret = pmr_claims_add(&merged, &view->own.v[i]);
	pmr_claims_settle(&merged);
	if (!ret) {
		free(view->claims.v);
		view->claims = merged;
		merged = (struct pmr_claims){ 0 };
	}
	free(merged.v);
	free(others.v);
	pmr_ranges_release(&ranges);
	return ret;
}

int pmr_owned_find(struct pmr_scanner *scanner)
{
	struct pmr_scan *scan = scanner->scan;
	size_t i;
	int ret = 0;

	for (i = 0; i < scanner->n_views && !ret; i++)
		ret = pmr_view_settle(scanner->views[i]);
	if (ret)
		return ret;
	pmr_scan_sort_devices(scan);
	for (i = 0; i < scan->n_devices && !ret; i++)
		ret = own_device(scanner, scan->devices[i]);
	return ret;
}
