/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who owns each bad range: the files that claimed it, else what the filesystem tells, else nobody knows. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "scan.h"

/* One device's bad ranges while they are given out. */
struct owning {
	struct pmr_scanner *scanner;
	struct pmr_device *device;
	struct pmr_view *view; /* whose reverse map is being asked */
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

static int take_part(void *data, const struct pmr_range *part, enum pmr_owner owner, uint64_t inode)
{
	struct owning *o = data;
	struct pmr_filesystem *filesystem = o->view->filesystem;

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

static int ask_filesystem(struct owning *o, uint64_t from, uint64_t to)
{
	const struct pmr_filesystem *filesystem = o->view->filesystem;
	struct pmr_range range = { from - filesystem->start, to - from };
	struct stat st;
	int fd, ret;

	if (!filesystem->mountpoint || o->scanner->is_interrupted)
		return add_owned(o, from, to - from, PMR_OWNER_UNKNOWN);
	fd = open(filesystem->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || st.st_dev != filesystem->devno)
		ret = add_owned(o, from, to - from, PMR_OWNER_UNKNOWN);
	else
		ret = pmr_owner_of(o->scanner->ctx, fd, &range, take_part, o);
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

/* The parts of a filesystem, or of the whole device, that belong to an owner. */
static uint64_t count(const struct owning *o, const struct pmr_filesystem *filesystem,
		      enum pmr_owner owner, uint64_t *first)
{
	const struct pmr_scan *scan = o->scanner->scan;
	uint64_t bytes = 0;
	size_t i;

	for (i = o->first; i < scan->n_owned; i++) {
		const struct pmr_range *range = &scan->owned[i].range;

		if (scan->owned[i].owner != owner ||
		    (filesystem && (range->offset < filesystem->start ||
				    range->offset - filesystem->start >= filesystem->size)))
			continue;
		if (!bytes)
			*first = range->offset;
		bytes += range->length;
	}
	return bytes;
}

/* Of the effective ones; the kernel gives XFS's reverse map to nobody else. */
static bool may_ask_xfs(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return !syscall(SYS_capget, &header, data) && data[0].effective >> CAP_SYS_ADMIN & 1;
}

const char *pmr_owner_advice(const struct pmr_filesystem *filesystem)
{
	if (!filesystem->type || strcmp(filesystem->type, "xfs") != 0)
		return "";
	return may_ask_xfs() ? " (XFS made with rmapbt=1 would tell)"
			     : " (CAP_SYS_ADMIN is needed: XFS tells nobody else)";
}

static void say_of_filesystem(struct owning *o, const struct pmr_view *view)
{
	const struct pmr_filesystem *fs = view->filesystem;
	struct pmr_ctx *ctx = o->scanner->ctx;
	bool xfs = fs->type && !strcmp(fs->type, "xfs");
	uint64_t bytes, first;

	bytes = count(o, fs, PMR_OWNER_METADATA, &first);
	if (bytes)
		pmr_say(ctx, PMR_ERROR, "metadata-lost", fs->mountpoint,
			"%" PRIu64
			" bytes of its metadata are lost, the first at device offset %" PRIu64
			": save what can be "
			"read, unmount it, and run %s",
			bytes, first, xfs ? "xfs_repair" : "e2fsck -f");
	bytes = count(o, fs, PMR_OWNER_LOG, &first);
	if (bytes)
		pmr_say(ctx, PMR_ERROR, "metadata-lost", fs->mountpoint,
			"%" PRIu64 " bytes of its log are lost, the first at device offset %" PRIu64
			": unmount it cleanly, so "
			"that nothing needs the log, and run %s before it is mounted again",
			bytes, first, xfs ? "xfs_repair" : "e2fsck -f");
	bytes = count(o, fs, PMR_OWNER_UNKNOWN, &first);
	if (!bytes || o->scanner->is_interrupted)
		return;
	o->scanner->scan->complete = false;
	pmr_say(ctx, PMR_ERROR, "owner-unknown", fs->mountpoint,
		"%" PRIu64 " bad bytes, the first at device offset %" PRIu64
		", are in no file that was met, and the filesystem "
		"does not tell whose they are: metadata, or a file that could not be looked at%s",
		bytes, first, pmr_owner_advice(fs));
}

/* Who asked about a file or a tree alone is warned, and has lost nothing that was asked about. */
static void say_of_namespace(struct owning *o)
{
	const struct pmr_device *device = o->device;

	if (!device->metadata_badblocks.ranges.n)
		return;
	if (o->is_whole)
		o->scanner->scan->metadata_lost = true;
	pmr_say(o->scanner->ctx, o->is_whole ? PMR_ERROR : PMR_WARNING, "namespace-metadata",
		device->ns_name ? device->ns_name : device->name,
		"has %" PRIu64
		" bad bytes in its info block or page map: it may not come up again once it is disabled; "
		"save its data first",
		pmr_ranges_bytes(&device->metadata_badblocks.ranges));
}

static void say(struct owning *o)
{
	const struct pmr_scanner *scanner = o->scanner;
	const char *object = o->device->path ? o->device->path : o->device->name;
	uint64_t bytes, first;
	size_t i;

	for (i = 0; i < scanner->n_views; i++) {
		const struct pmr_view *view = scanner->views[i];

		if (view->filesystem->device == o->device && view->is_whole &&
		    view->filesystem->mountpoint)
			say_of_filesystem(o, view);
	}
	bytes = count(o, NULL, PMR_OWNER_FREE, &first) +
		count(o, NULL, PMR_OWNER_UNWRITTEN, &first);
	if (bytes)
		pmr_say(scanner->ctx, PMR_WARNING, "poison-in-free-space", object,
			"%" PRIu64
			" bad bytes are in free space, or in parts of files that hold no data: nothing is lost, and "
			"they are cleared when something is written there",
			bytes);
	bytes = count(o, NULL, PMR_OWNER_NAMESPACE, &first);
	if (bytes)
		pmr_say(scanner->ctx, PMR_ERROR, "outside-partitions", object,
			"%" PRIu64 " bad bytes, the first at %" PRIu64
			", are outside of its partitions: save the partition "
			"table (sfdisk --dump) while it can be read",
			bytes, first);
	say_of_namespace(o);
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
		say(&o);
	}
	pmr_ranges_release(&data);
	pmr_ranges_release(&unused);
	pmr_ranges_release(&directories);
	pmr_ranges_release(&rest);
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
