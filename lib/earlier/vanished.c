/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holds an earlier report against the files as they are, and adds to a scan what they lost and no list knows any more. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fiemap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "earlier.h"
#include "scan/scan.h"
#include "device/topology.h"

struct adder {
	struct pmr_ctx *ctx;
	struct pmr_scan *scan;
	const struct pmr_earlier *earlier;
	size_t alloc_files;
};

/* One file of the report, as it is now. */
struct subject {
	const struct pmr_earlier_file *was;
	int fd;
	struct stat st;
	struct pmr_filesystem *filesystem;
	struct pmr_file *file; /* of the scan, or NULL */
	struct pmr_losses vanished;
};

/* ---- is it still that file? */

static struct pmr_filesystem *find_filesystem(const struct pmr_scan *scan, dev_t devno, int fd)
{
	struct pmr_filesystem *filesystem = NULL;

	for (size_t i = 0; i < scan->topology->n_filesystems && !filesystem; i++)
		if (scan->topology->filesystems[i]->devno == devno &&
		    pmr_file_is_on(fd, scan->topology->filesystems[i]))
			filesystem = scan->topology->filesystems[i];
	for (size_t i = 0; filesystem && i < scan->n_devices; i++)
		if (scan->devices[i] == filesystem->device)
			return filesystem;
	return NULL;
}

static struct pmr_file *find_file(const struct pmr_scan *scan,
				  const struct pmr_filesystem *filesystem, uint64_t inode)
{
	for (size_t i = 0; i < scan->n_files; i++)
		if (scan->files[i]->filesystem == filesystem && scan->files[i]->inode == inode)
			return scan->files[i];
	return NULL;
}

void pmr_earlier_compare(int fd, const struct stat *st, const struct pmr_filesystem *filesystem,
			 const struct pmr_earlier_file *was, char *text)
{
	const char *uuid = filesystem->uuid;
	const struct {
		bool is_other;
		const char *name;
	} rows[] = {
		{ !uuid || !was->filesystem_uuid || strcmp(uuid, was->filesystem_uuid) != 0,
		  "filesystem UUID" },
		{ st->st_ino != was->inode, "inode" },
		{ pmr_file_generation(fd) != was->generation, "generation" },
		{ (uint64_t)st->st_size != was->size, "size" },
		{ !pmr_is_same_time(&st->st_ctim, &was->change_time), "change time" },
	};
	const size_t size = PMR_EARLIER_DIFFERENCES;
	size_t used = 0;

	*text = '\0';
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].is_other && used < size)
			used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
						 rows[i].name);
}

/* NULL where a range lies as it lay; else why not, for a message's code. */
static const char *check_place(const struct subject *subject, const struct pmr_earlier_range *range)
{
	uint64_t at = range->offset, end = range->offset + range->length, device_offset;
	const char *reason = "moved";
	struct pmr_extents *extents;
	struct pmr_extent e;

	if (pmr_extents_open(subject->fd, range->offset, range->length, false, &extents))
		return reason;
	while (at < end && pmr_extents_next(extents, &e) == 1) {
		if (e.offset > at || e.offset + e.length <= at || !pmr_extent_is_trusted(&e) ||
		    e.flags & FIEMAP_EXTENT_UNWRITTEN)
			break;
		if (pmr_filesystem_to_device(subject->filesystem, e.physical + (at - e.offset),
					     &device_offset) ||
		    device_offset != range->device_offset + (at - range->offset))
			break;
		if (e.flags & FIEMAP_EXTENT_SHARED && !range->shared) {
			reason = "shared";
			break;
		}
		at = e.offset + e.length;
	}
	pmr_extents_close(extents);
	return at >= end ? NULL : reason;
}

/* ---- a file of which nothing is taken */

static int new_file(struct adder *adder, struct subject *subject)
{
	struct pmr_scan *scan = adder->scan;
	struct pmr_file *file;
	int ret;

	if (adder->alloc_files < scan->n_files)
		adder->alloc_files = scan->n_files;
	ret = pmr_grow(&scan->files, scan->n_files, &adder->alloc_files, sizeof(scan->files[0]));
	if (ret)
		return ret;
	file = calloc(1, sizeof(*file));
	if (file)
		file->path = strdup(subject->was->path);
	if (!file || !file->path) {
		free(file);
		return -ENOMEM;
	}
	file->inode = subject->st.st_ino;
	file->size = (uint64_t)subject->st.st_size;
	file->generation = pmr_file_generation(subject->fd);
	file->change_time = subject->st.st_ctim;
	file->dax = pmr_file_is_dax(subject->fd, subject->filesystem);
	file->filesystem = subject->filesystem;
	file->complete = true;
	scan->files[scan->n_files++] = file;
	subject->file = file;
	return 0;
}

/* It is in the answer, as one that is not known. Why was said. */
static int leave(struct adder *adder, struct subject *subject)
{
	int ret = subject->file ? 0 : new_file(adder, subject);

	adder->scan->complete = false;
	if (!ret)
		subject->file->complete = false;
	return ret;
}

/* 1 the file is the one of the report, 0 it is not and that was said, -ENOMEM */
static int check_identity(struct adder *adder, struct subject *subject)
{
	const struct pmr_earlier_file *was = subject->was;
	char differences[PMR_EARLIER_DIFFERENCES];
	const char *reason;

	pmr_earlier_compare(subject->fd, &subject->st, subject->filesystem, was, differences);
	if (*differences) {
		pmr_say(adder->ctx, PMR_ERROR, "changed", was->path,
			"is not as it was when %s was written (other: %s), so nothing is taken from there: see whether it "
			"was restored or written to since, and compare it with a backup",
			adder->earlier->name, differences);
		return leave(adder, subject);
	}
	for (size_t i = 0; i < was->n_ranges; i++) {
		reason = check_place(subject, &was->ranges[i]);
		if (!reason)
			continue;
		pmr_say(adder->ctx, PMR_ERROR, reason, was->path,
			"does not lie where it lay when %s was written (byte %" PRIu64
			"%s), so nothing is taken from there: compare it with a backup",
			adder->earlier->name, was->ranges[i].offset,
			strcmp(reason, "shared") ? "" : ", now shared by reflink");
		return leave(adder, subject);
	}
	return 1;
}

/* ---- what is missing in the list */

static int add_loss(struct subject *subject, const struct pmr_earlier_range *range,
		    const struct pmr_range *part, const char *reason)
{
	struct pmr_losses *losses = &subject->vanished;
	int ret = pmr_grow(&losses->v, losses->n, &losses->alloc, sizeof(losses->v[0]));

	if (ret)
		return ret;
	losses->v[losses->n++] = (struct pmr_loss){
		.offset = part->offset,
		.length = part->length,
		.device_offset = range->device_offset + (part->offset - range->offset),
		.state = PMR_LOST,
		.reason = reason,
		/* the next report must not vouch for what was never listed: it may be read again by then */
		.vanished = range->is_listed,
		.shared = range->shared,
	};
	return 0;
}

/* Without DAX, bytes that the page cache had may be there still, or may be what was read of the medium since. */
static bool is_cached(const struct subject *subject, const struct pmr_range *part)
{
	uint64_t at = part->offset, end = part->offset + part->length, next;
	char page[PMR_PAGE];

	for (; at < end; at = next) {
		next = at - at % PMR_PAGE + PMR_PAGE;
		if (next > end)
			next = end;
		if (pmr_media_read_cached(subject->fd, at, page, (size_t)(next - at)) != 0)
			return true;
	}
	return false;
}

/*
 * What was never listed and could not be read: siblings in a page that was taken offline, or in a logical block with
 * a listed sector, or what --read found. Where it can be read now it is right, and newer than any backup.
 */
static int add_failing(struct adder *adder, struct subject *subject,
		       const struct pmr_earlier_range *range, const struct pmr_range *part)
{
	uint64_t device_offset = range->device_offset + (part->offset - range->offset);
	uint64_t from = device_offset - device_offset % PMR_SECTOR;
	uint64_t end = device_offset + part->length + PMR_SECTOR - 1;
	struct pmr_ranges failing = { 0 }, lost = { 0 };
	struct pmr_media *media = NULL;
	int ret;

	end -= end % PMR_SECTOR;
	ret = pmr_media_open(adder->ctx, subject->filesystem->device, &media);
	if (!ret)
		ret = pmr_media_confirm(media, from, end - from, &failing);
	if (!ret)
		ret = pmr_ranges_clip(&lost, &failing, device_offset, part->length);
	for (size_t i = 0; i < lost.n && !ret; i++) {
		const struct pmr_range file_part = {
			part->offset + (lost.v[i].offset - device_offset),
			lost.v[i].length,
		};

		ret = add_loss(subject, range, &file_part,
			       range->was_found ? NULL : "page-offlined");
	}
	if (!ret && pmr_ranges_bytes(&lost) < part->length)
		pmr_say(adder->ctx, PMR_WARNING, "readable", subject->was->path,
			"%" PRIu64 " bytes at byte %" PRIu64
			" were never listed and can be read again: they are kept",
			part->length - pmr_ranges_bytes(&lost), part->offset);
	pmr_ranges_release(&failing);
	pmr_ranges_release(&lost);
	pmr_media_close(media);
	return ret;
}

/* 1 it is in the answer, 0 nothing can be said of it, which was said; -errno */
static int add_part(struct adder *adder, struct subject *subject,
		    const struct pmr_earlier_range *range, const struct pmr_range *part)
{
	const struct pmr_device *device = subject->filesystem->device;
	const char *path = subject->was->path;
	int ret;

	if (pmr_ranges_overlap(&device->badblocks.ranges,
			       range->device_offset + (part->offset - range->offset),
			       part->length)) {
		pmr_say(adder->ctx, PMR_ERROR, "not-scanned", path,
			"has listed poison that this scan did not come to: name it as a target, or scan again");
		return 0;
	}
	if (range->may_be_cached && !pmr_file_is_dax(subject->fd, subject->filesystem) &&
	    is_cached(subject, part)) {
		pmr_say(adder->ctx, PMR_ERROR, "vanished-cached", path,
			"%" PRIu64 " bytes at byte %" PRIu64
			" may be the good ones that only the page cache had, or what was read of the medium since: copy them "
			"elsewhere and compare them with a backup",
			part->length, part->offset);
		return 0;
	}
	if (range->is_listed) {
		ret = add_loss(subject, range, part, NULL);
		return ret ? ret : 1;
	}
	ret = add_failing(adder, subject, range, part);
	if (!ret || ret == -ENOMEM)
		return ret ? ret : 1;
	pmr_say(adder->ctx, PMR_ERROR, "no-device-access", device->name,
		"cannot be read to tell what of %s is still lost: %s", path, strerror(-ret));
	return 0;
}

/* What is in the list is a loss of the scan already. Returns as add_part(). */
static int add_missing(struct adder *adder, struct subject *subject)
{
	const struct pmr_earlier_file *was = subject->was;
	struct pmr_ranges known = { 0 }, all = { 0 }, parts = { 0 };
	int ret = 0, is_known = 1;

	for (size_t i = 0; subject->file && i < subject->file->n_losses && !ret; i++)
		ret = pmr_ranges_add(&known, subject->file->losses[i].offset,
				     subject->file->losses[i].length);
	pmr_ranges_normalize(&known);
	for (size_t i = 0; i < was->n_ranges && !ret; i++) {
		all.n = 0;
		parts.n = 0;
		ret = pmr_ranges_add(&all, was->ranges[i].offset, was->ranges[i].length);
		if (!ret)
			ret = pmr_ranges_subtract(&parts, &all, &known);
		for (size_t j = 0; j < parts.n && ret >= 0; j++) {
			ret = add_part(adder, subject, &was->ranges[i], &parts.v[j]);
			if (!ret)
				is_known = 0;
		}
		if (ret > 0)
			ret = 0;
	}
	pmr_ranges_release(&known);
	pmr_ranges_release(&all);
	pmr_ranges_release(&parts);
	return ret ? ret : is_known;
}

static int compare_losses(const void *a, const void *b)
{
	const struct pmr_loss *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

static int take(struct adder *adder, struct subject *subject)
{
	struct pmr_losses *vanished = &subject->vanished;
	struct pmr_loss *losses;
	struct pmr_file *file;
	int ret;

	if (!vanished->n)
		return 0;
	ret = subject->file ? 0 : new_file(adder, subject);
	if (ret)
		return ret;
	file = subject->file;
	losses = reallocarray(file->losses, file->n_losses + vanished->n, sizeof(*losses));
	if (!losses)
		return -ENOMEM;
	memcpy(losses + file->n_losses, vanished->v, vanished->n * sizeof(*losses));
	file->losses = losses;
	file->n_losses += vanished->n;
	qsort(losses, file->n_losses, sizeof(*losses), compare_losses);
	return 0;
}

/* ---- the whole */

/* 1 there is a file to be looked at, 0 there is none and that was said, -ENOMEM */
static int open_subject(struct adder *adder, struct subject *subject)
{
	const char *path = subject->was->path;

	int error;

	subject->fd = pmr_file_open(AT_FDCWD, path, O_RDONLY);
	error = subject->fd < 0 ? subject->fd : fstat(subject->fd, &subject->st) ? -errno : 0;
	if (error == -ENOENT || error == -ENOTDIR) {
		pmr_say(adder->ctx, PMR_ERROR, "gone", path,
			"is not there, though %s names it: is its filesystem mounted where it was?",
			adder->earlier->name);
		return 0;
	}
	if (error) {
		pmr_say(adder->ctx, PMR_ERROR, "cannot-open", path,
			"is in %s and cannot be opened as a file: %s", adder->earlier->name,
			strerror(-error));
		return 0;
	}
	subject->filesystem = find_filesystem(adder->scan, subject->st.st_dev, subject->fd);
	if (!subject->filesystem) {
		pmr_say(adder->ctx, PMR_ERROR, "not-scanned", path,
			"lies on no filesystem that was looked at, so nothing is taken from %s",
			adder->earlier->name);
		return 0;
	}
	subject->file = find_file(adder->scan, subject->filesystem, subject->st.st_ino);
	return 1;
}

/* Whether the scan knows enough of it; if not it was said. */
static bool is_known(struct adder *adder, const struct subject *subject)
{
	const struct pmr_filesystem *filesystem = subject->filesystem;

	/* without a list nothing can be told to be missing in it */
	if (filesystem->device->badblocks.trust == PMR_LIST_UNKNOWN ||
	    (subject->file && subject->file->error))
		return false;
	return !pmr_filesystem_require(adder->ctx, filesystem, subject->was->path);
}

static int add_file(struct adder *adder, const struct pmr_earlier_file *was)
{
	struct subject subject = { .was = was, .fd = -1 };
	int ret;

	ret = open_subject(adder, &subject);
	if (ret <= 0) {
		adder->scan->complete = false;
		goto out;
	}
	if (!is_known(adder, &subject)) {
		ret = leave(adder, &subject);
		goto out;
	}
	ret = check_identity(adder, &subject);
	if (ret <= 0)
		goto out;
	ret = add_missing(adder, &subject);
	if (ret >= 0 && take(adder, &subject))
		ret = -ENOMEM;
	if (!ret)
		ret = leave(adder, &subject);
out:
	free(subject.vanished.v);
	if (subject.fd >= 0)
		close(subject.fd);
	return ret < 0 ? ret : 0;
}

int pmr_scan_add_earlier(struct pmr_ctx *ctx, struct pmr_scan *scan,
			 const struct pmr_earlier *earlier)
{
	struct adder adder = { .ctx = ctx, .scan = scan, .earlier = earlier };
	int ret = 0;

	if (!earlier->is_complete) {
		scan->complete = false;
		pmr_say(ctx, PMR_WARNING, "ranges-incomplete", earlier->name,
			"says itself that it is not complete: there may be losses that it does not name");
	}
	if (earlier->n_whole) {
		scan->complete = false;
		pmr_say(ctx, PMR_WARNING, "device-dax", earlier->name,
			"names device-dax: nothing tells whether somebody has stored to one since, so only what its list still has "
			"is known to be lost, and is scanned by its name");
	}
	for (size_t i = 0; i < earlier->n_files && !ret; i++)
		if (!earlier->files[i].is_left_out)
			ret = add_file(&adder, &earlier->files[i]);
	return ret;
}
