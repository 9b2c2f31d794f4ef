/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads what the targets lie on, where that was asked for, before any list is gone by. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fiemap.h>
#include <string.h>
#include <unistd.h>

#include "scan.h"
#include "device/topology.h"
#include "media/sweep.h"
#include "owner/open-files.h"

/* ---- what is to be read */

/* Also what lies behind the end of the file: poison there takes its last page. */
static int add_extents(struct pmr_scanner *scanner, const struct pmr_filesystem *filesystem, int fd,
		       struct pmr_ranges *ranges)
{
	struct pmr_extents *extents;
	struct pmr_extent e;
	uint64_t place;
	int ret;

	ret = pmr_extents_open(fd, 0, UINT64_MAX, true, &extents);
	if (ret)
		return ret;
	while ((ret = pmr_extents_next(extents, &e)) == 1) {
		/* what has no place the scan tells of; what was never written has nothing to lose */
		if (!pmr_extent_is_trusted(&e) || (e.flags & FIEMAP_EXTENT_UNWRITTEN))
			continue;
		if (e.length > filesystem->size ||
		    pmr_filesystem_to_device(filesystem, e.physical, &place) ||
		    pmr_filesystem_to_device(filesystem, e.physical + e.length - 1, &place)) {
			ret = -ERANGE;
			break;
		}
		ret = pmr_ranges_add(ranges, place - (e.length - 1), e.length);
		if (ret || pmr_is_cancelled(scanner->ctx))
			break;
	}
	pmr_extents_close(extents);
	return ret < 0 ? ret : 0;
}

/* Return: 0; 1 what cannot be read so, and why the scan will say; -ENOMEM. */
static int add_file(struct pmr_scanner *scanner, const struct pmr_target *target,
		    struct pmr_ranges *ranges)
{
	struct stat st;
	int fd, ret = 1;

	fd = pmr_file_open(AT_FDCWD, target->path, O_RDONLY);
	/* a link of /proc leads to what no name does */
	if (fd < 0)
		fd = pmr_open_by_path(target->name, O_RDONLY);
	if (fd < 0)
		return 1;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_dev == target->filesystem->devno &&
	    pmr_file_is_on(fd, target->filesystem))
		ret = add_extents(scanner, target->filesystem, fd, ranges);
	close(fd);
	return ret && ret != -ENOMEM ? 1 : ret;
}

/* Return: as add_file() */
static int add_target(struct pmr_scanner *scanner, const struct pmr_target *target,
		      struct pmr_ranges *ranges)
{
	const struct pmr_filesystem *filesystem = target->filesystem;
	uint64_t offset = 0, length = target->device->size;

	if (target->kind == PMR_TARGET_FILE)
		return add_file(scanner, target, ranges);
	/* of a tree, too: what leads to its files lies anywhere */
	if (target->kind != PMR_TARGET_DEVICE) {
		offset = filesystem->start;
		length = filesystem->size;
	}
	return length ? pmr_ranges_add(ranges, offset, length) : 1;
}

/* What was not read before of what lies on a device. @all: that was all that was asked for. */
static int gather(struct pmr_scanner *scanner, const struct pmr_device *device,
		  struct pmr_ranges *todo, bool *all)
{
	struct pmr_ranges asked = { 0 };
	int ret = 0;

	*all = true;
	for (size_t i = 0; ret >= 0 && i < scanner->n_targets; i++) {
		if (scanner->targets[i].device != device)
			continue;
		ret = add_target(scanner, &scanner->targets[i], &asked);
		if (ret > 0)
			*all = false;
	}
	pmr_ranges_normalize(&asked);
	if (ret >= 0)
		ret = pmr_ranges_subtract(todo, &asked, &device->reading.done);
	pmr_ranges_release(&asked);
	return ret;
}

/* ---- what came of it */

static const char *label(const struct pmr_device *device)
{
	return device->path ? device->path : device->name;
}

static void say_stopped(struct pmr_scanner *scanner, const struct pmr_device *device, int error)
{
	/* an interrupt is said once for all devices */
	if (error == -ECANCELED)
		return;
	if (error == -EIO)
		pmr_say(scanner->ctx, PMR_ERROR, "device-error", label(device),
			"answers every read with an error, which is no sign of poison: it has failed or was taken away, see the "
			"kernel log; nothing that it answered so is called bad");
	else if (error == -ENODEV || error == -ENXIO)
		pmr_say(scanner->ctx, PMR_ERROR, "gone", label(device),
			"was taken away or made smaller while it was read: scan again");
	else
		pmr_say(scanner->ctx, PMR_ERROR, "cannot-read", label(device),
			"could not be read any further: %s", strerror(-error));
}

static void say_closed(struct pmr_scanner *scanner, const struct pmr_device *device, int error)
{
	pmr_say(scanner->ctx, PMR_ERROR, "no-device-access", label(device), "cannot be read%s%s%s",
		error == -ENODEV ? ": it has no block device" : " (",
		error == -ENODEV ? "" : strerror(-error),
		error == -ENODEV		      ? ""
		: error == -EACCES || error == -EPERM ? "): root, or CAP_DAC_OVERRIDE, is needed"
						      : ")");
}

int pmr_read_leave_offlined(struct pmr_device *device)
{
	struct pmr_ranges listed = { 0 }, pages = { 0 };
	uint64_t page, end;
	int ret;

	ret = pmr_ranges_subtract(&listed, &device->badblocks.ranges, &device->reading.found);
	for (size_t i = 0; !ret && i < listed.n; i++) {
		page = listed.v[i].offset - listed.v[i].offset % PMR_PAGE;
		end = listed.v[i].offset + listed.v[i].length;
		for (; !ret && page < end; page += PMR_PAGE)
			if (pmr_ranges_overlap(&device->reading.found, page, PMR_PAGE) &&
			    pmr_ranges_bytes_in(&device->badblocks.ranges, page, PMR_PAGE) ==
				    PMR_PAGE)
				ret = pmr_ranges_add(&pages, page, PMR_PAGE);
	}
	for (size_t i = 0; !ret && i < pages.n; i++)
		ret = pmr_reading_forget(device, pages.v[i].offset, pages.v[i].length);
	pmr_ranges_release(&listed);
	pmr_ranges_release(&pages);
	return ret;
}

static void say_found(struct pmr_scanner *scanner, const struct pmr_device *device,
		      const struct pmr_ranges *found)
{
	if (found->n)
		pmr_say(scanner->ctx, PMR_WARNING, "found-by-reading", label(device),
			"%" PRIu64
			" bytes in %zu place%s cannot be read and were in no list, the first at %" PRIu64,
			pmr_ranges_bytes(found), found->n, found->n == 1 ? "" : "s",
			found->v[0].offset);
}

static int take(struct pmr_scanner *scanner, struct pmr_device *device,
		const struct pmr_sweep_result *result)
{
	int ret;

	ret = pmr_reading_add(device, &result->done, &result->found);
	if (!ret)
		ret = pmr_device_refresh(scanner->ctx, device);
	if (!ret && device->own && !device->from_file)
		ret = pmr_read_leave_offlined(device);
	if (!ret)
		say_found(scanner, device, &result->found);
	return ret;
}

static int sweep(struct pmr_scanner *scanner, struct pmr_device *device,
		 const struct pmr_ranges *todo, uint64_t rate)
{
	const struct pmr_sweep_options options = { .rate = rate, .object = label(device) };
	struct pmr_sweep_result result = { 0 };
	struct pmr_media *media = NULL;
	int ret;

	/* who reads a suspended one waits for ever */
	if (pmr_device_moved(device)) {
		device->reading.complete = false;
		pmr_say(scanner->ctx, PMR_ERROR, "cannot-read", label(device),
			"is not read: its device mapper table has changed since, cannot be read, or is suspended; scan again");
		return pmr_device_refresh(scanner->ctx, device);
	}
	ret = pmr_media_open(scanner->ctx, device, &media);
	if (ret) {
		if (ret != -ENOMEM)
			say_closed(scanner, device, ret);
		device->reading.complete = false;
		return ret == -ENOMEM ? ret : 0;
	}
	ret = pmr_sweep(scanner->ctx, media, todo, &device->badblocks.ranges, &options, &result);
	pmr_media_close(media);
	if (ret == -EINVAL) {
		/* what the topology knew of it is not so any more */
		result.stopped = -ENODEV;
		ret = 0;
	}
	if (!ret && result.stopped) {
		device->reading.complete = false;
		say_stopped(scanner, device, result.stopped);
	}
	if (!ret)
		ret = take(scanner, device, &result);
	pmr_sweep_release(&result);
	return ret;
}

/*
 * What of a volume was read below, in this run, was read: reading poison again can only do harm. What failed there came up
 * with the list, unless that is a file's.
 */
static int take_below(struct pmr_scanner *scanner, struct pmr_device *device)
{
	struct pmr_ranges done = { 0 }, found = { 0 };
	int ret;

	ret = pmr_device_refresh(scanner->ctx, device);
	if (ret || pmr_device_moved(device))
		return ret;
	for (size_t i = 0; !ret && i < device->n_lowers; i++) {
		const struct pmr_device *lower = device->lowers[i];

		ret = pmr_pieces_up(device, lower, &lower->reading.done, &done);
		if (!ret && device->from_file)
			ret = pmr_pieces_up(device, lower, &lower->reading.found, &found);
	}
	if (!ret && done.n)
		ret = pmr_reading_add(device, &done, &found);
	pmr_ranges_release(&done);
	pmr_ranges_release(&found);
	return ret;
}

static int read_device(struct pmr_scanner *scanner, struct pmr_device *device, uint64_t rate)
{
	struct pmr_ranges todo = { 0 };
	bool all;
	int ret = 0;

	if (device->n_lowers)
		ret = take_below(scanner, device);
	if (!ret)
		ret = gather(scanner, device, &todo, &all);
	if (!ret) {
		device->reading.complete =
			all && (!device->reading.asked || device->reading.complete);
		device->reading.asked = true;
		/* of an empty file there is nothing to read, and all of it is known then */
		if (todo.n)
			ret = sweep(scanner, device, &todo, rate);
		else if (!device->reading.done.n)
			ret = pmr_reading_add(device, &todo, &todo);
	}
	if (!device->reading.complete)
		scanner->scan->complete = false;
	pmr_ranges_release(&todo);
	return ret;
}

static bool is_target(const struct pmr_scanner *scanner, const struct pmr_device *device)
{
	for (size_t i = 0; i < scanner->scan->n_devices; i++) {
		if (scanner->scan->devices[i] == device)
			return true;
	}
	return false;
}

/* Reading takes longest by far, and is what is interrupted: who has what it found is soon told. */
static void go_on(struct pmr_scanner *scanner, const struct pmr_device *device)
{
	scanner->scan->complete = false;
	pmr_say(scanner->ctx, PMR_ERROR, "interrupted", label(device),
		"was not read to the end: there may be more losses than are told; who has those that were found until then is "
		"still looked up, and another interrupt ends that, too");
	pmr_ctx_outlast(scanner->ctx, true);
}

int pmr_targets_read(struct pmr_scanner *scanner)
{
	const struct pmr_topology *topology = scanner->scan->topology;
	const struct pmr_device *unread = NULL;
	uint64_t rate;
	int ret = 0;

	if (!pmr_ctx_reading(scanner->ctx, &rate))
		return 0;
	/* what lies below is in the topology ahead of what is built on it */
	for (size_t i = 0; !ret && i < topology->n_devices; i++) {
		if (!is_target(scanner, topology->devices[i]))
			continue;
		ret = read_device(scanner, topology->devices[i], rate);
		if (!unread && pmr_is_cancelled(scanner->ctx))
			unread = topology->devices[i];
	}
	if (!ret && unread)
		go_on(scanner, unread);
	return ret;
}
