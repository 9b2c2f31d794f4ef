/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each target looked at by what it is: a file, a tree, a filesystem, the log of one, a device. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "scan.h"
#include "device/held.h"
#include "device/topology.h"
#include "owner/open-files.h"

/* Whether there is a list to go by. What is wrong with a namespace's list was said when it was read. */
static bool has_list(struct pmr_scanner *scanner, const struct pmr_target *target)
{
	const struct pmr_device *device = target->device;

	if (!pmr_device_is_listed(device) && !device->reading.asked &&
	    device->badblocks.trust == PMR_LIST_UNKNOWN) {
		pmr_say(scanner->ctx, PMR_ERROR, "not-pmem", target->name,
			"%s %s, which is no persistent memory: its list of badblocks is not known (see --badblocks, and --read)",
			target->kind == PMR_TARGET_DEVICE ? "is" : "lies on",
			device->path ? device->path : device->name);
		scanner->scan->complete = false;
		return false;
	}
	if (!pmr_device_is_told(device))
		scanner->scan->complete = false;
	/* what was to be read and could not be is looked at all the same, for why will be said */
	return device->badblocks.trust != PMR_LIST_UNKNOWN || device->reading.asked;
}

static int fail_gone(struct pmr_scanner *scanner, const struct pmr_target *target)
{
	pmr_say(scanner->ctx, PMR_ERROR, "gone", target->name,
		"vanished or was replaced: scan again");
	return pmr_target_give_up(scanner);
}

static int run_link(struct pmr_scanner *scanner, struct pmr_view *view,
		    const struct pmr_target *target)
{
	int fd = pmr_open_by_path(target->name, O_RDONLY), ret;
	struct stat st;

	if (fd < 0)
		return fail_gone(scanner, target);
	if (fstat(fd, &st) || st.st_dev != view->filesystem->devno)
		ret = fail_gone(scanner, target);
	else {
		scanner->is_named = true;
		ret = pmr_look_at_nameless(scanner, view, fd, target->name, &st);
		scanner->is_named = false;
		if (!ret)
			ret = pmr_look_at_itself(scanner, view, fd, target->name);
	}
	close(fd);
	return ret;
}

static int run_file(struct pmr_scanner *scanner, struct pmr_view *view,
		    const struct pmr_target *target)
{
	const char *name = target->name;
	bool is_link;
	struct stat st;
	int fd, ret;

	is_link = !fstatat(AT_FDCWD, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISLNK(st.st_mode);
	if (is_link && strcmp(target->path, name) == 0)
		return run_link(scanner, view, target);
	/* A repair follows no link, so what a link was named for goes by its own name from here on. */
	if (is_link)
		name = target->path;

	/* It was there when the targets were found. */
	if (fstatat(AT_FDCWD, target->path, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode) ||
	    st.st_dev != view->filesystem->devno)
		return fail_gone(scanner, target);
	scanner->is_named = true;
	ret = pmr_look_at(scanner, view, AT_FDCWD, target->path, name, &st);
	scanner->is_named = false;
	/* that it cannot be opened was said */
	fd = ret ? -1 : pmr_file_open(AT_FDCWD, target->path, O_RDONLY);
	if (fd < 0)
		return ret;
	ret = pmr_look_at_itself(scanner, view, fd, name);
	close(fd);
	return ret;
}

/* Also of one whose list is empty it has to be shown that it is the right device. */
static int run_log(struct pmr_scanner *scanner, struct pmr_view *view)
{
	int ret;

	if (view->claims.n)
		return 0;
	ret = pmr_log_claims(scanner->ctx, view->filesystem, &view->claims);
	pmr_claims_settle(&view->claims);
	return ret == -ENODEV ? pmr_target_give_up(scanner) : ret;
}

static int run_tree(struct pmr_scanner *scanner, struct pmr_view *view, const char *path)
{
	struct pmr_root root;
	struct stat st;
	bool is_whole;
	int ret;

	ret = pmr_root_open(scanner->ctx, view->filesystem, path, &root);
	if (!ret && fstat(root.kept, &st))
		ret = -errno;
	if (ret) {
		pmr_root_close(&root);
		return ret == -ENOMEM ? ret : pmr_target_give_up(scanner);
	}
	if (!pmr_realtime_check(scanner->ctx, view->filesystem, root.kept, path)) {
		pmr_root_close(&root);
		return pmr_target_give_up(scanner);
	}
	is_whole = pmr_target_is_root(&st, view->filesystem);
	view->is_whole |= is_whole;
	if (view->wide.n && !view->is_found) {
		ret = pmr_find(scanner, view, &root, is_whole);
		view->is_found = !ret && is_whole;
	}
	pmr_root_close(&root);
	return ret;
}

static int run_filesystem(struct pmr_scanner *scanner, struct pmr_filesystem *filesystem,
			  const char *object)
{
	struct pmr_view *view;
	int ret;

	if (filesystem->held)
		return pmr_scan_above(scanner, filesystem->device, filesystem->start,
				      filesystem->size, object);
	ret = pmr_scanner_view(scanner, filesystem, &view);
	if (ret)
		return ret;
	view->is_whole = true;
	if (filesystem->role == PMR_ROLE_LOG)
		return run_log(scanner, view);
	if (!view->wide.n)
		return 0;
	/* Named by its device, it has not been asked yet whether its extents mean anything. */
	if (filesystem->role == PMR_ROLE_DATA)
		ret = pmr_topology_resolve(scanner->ctx, scanner->scan->topology, filesystem->devno,
					   object, &filesystem);
	if (ret)
		return ret == -ENOMEM ? ret : pmr_target_give_up(scanner);
	if (filesystem->mountpoint)
		return run_tree(scanner, view, filesystem->mountpoint);
	if (pmr_elsewhere_say(scanner->ctx, filesystem, object, "scan"))
		return pmr_target_give_up(scanner);
	if (filesystem->type)
		pmr_say(scanner->ctx, PMR_ERROR, "not-mounted", object,
			"has badblocks, but its %s is not mounted: to learn which files they are in, mount it (read-only: "
			"-o ro) and scan again; where that fails, -o ro,norecovery shows some of its files, and no answer is whole",
			filesystem->type);
	else
		pmr_say(scanner->ctx, PMR_ERROR, "no-filesystem", object,
			"has badblocks, but no filesystem that is known: only the program that uses it can tell what is lost");
	return pmr_target_give_up(scanner);
}

static int run_device(struct pmr_scanner *scanner, const struct pmr_target *target)
{
	const struct pmr_topology *topology = scanner->scan->topology;
	struct pmr_device *device = target->device;
	bool found = false;
	size_t i;
	int ret;

	if (pmr_device_is_dax(device))
		return pmr_scan_whole(scanner, device);
	for (i = 0; i < topology->n_filesystems; i++) {
		struct pmr_filesystem *filesystem = topology->filesystems[i];

		if (!pmr_is_place_on(filesystem, device))
			continue;
		found = true;
		ret = run_filesystem(scanner, filesystem, filesystem->source);
		if (ret)
			return ret;
	}
	if (!device->badblocks.ranges.n)
		return 0;
	if (device->devno) {
		ret = pmr_scan_above(scanner, device, 0, device->size, target->name);
		if (ret || found || pmr_is_held(topology, device))
			return ret;
	}
	if (found)
		return 0;
	pmr_say(scanner->ctx, PMR_ERROR, "no-filesystem", target->name,
		"has badblocks, but no filesystem that is known: only the program that uses it can tell what is lost");
	return pmr_target_give_up(scanner);
}

static int run_target(struct pmr_scanner *scanner, const struct pmr_target *target)
{
	struct pmr_view *view;
	int ret;

	if (!has_list(scanner, target))
		return 0;
	if (target->kind == PMR_TARGET_DEVICE)
		return run_device(scanner, target);
	if (target->kind == PMR_TARGET_FILESYSTEM)
		return run_filesystem(scanner, target->filesystem, target->name);
	ret = pmr_scanner_view(scanner, target->filesystem, &view);
	if (ret)
		return ret;
	if (target->kind == PMR_TARGET_FILE)
		return run_file(scanner, view, target);
	return run_tree(scanner, view, target->path);
}

int pmr_targets_run(struct pmr_scanner *scanner)
{
	size_t i;
	int ret = 0;

	/* What is built on one of them is added behind them. */
	for (i = 0; i < scanner->n_targets && !ret; i++) {
		struct pmr_target target = scanner->targets[i];

		if (pmr_scanner_interrupted(scanner))
			return -ECANCELED;
		ret = run_target(scanner, &target);
	}
	return ret;
}
