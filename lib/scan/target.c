/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the user named -> files, trees, filesystems and devices, and looking at each of them. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"
#include "device/topology.h"
#include "owner/open-files.h"

static int add_device(struct pmr_scanner *scanner, struct pmr_device *device)
{
	struct pmr_scan *scan = scanner->scan;
	size_t i;
	int ret;

	for (i = 0; i < scan->n_devices; i++) {
		if (scan->devices[i] == device)
			return 0;
	}
	ret = pmr_grow(&scan->devices, scan->n_devices, &scanner->alloc_devices,
		       sizeof(scan->devices[0]));
	if (!ret)
		scan->devices[scan->n_devices++] = device;
	return ret;
}

/* @path: a copy is made; NULL for the name itself */
static int add_target(struct pmr_scanner *scanner, enum pmr_target_kind kind, const char *name,
		      const char *path, struct pmr_device *device,
		      struct pmr_filesystem *filesystem)
{
	struct pmr_target *target;
	int ret;

	ret = pmr_grow(&scanner->targets, scanner->n_targets, &scanner->alloc_targets,
		       sizeof(scanner->targets[0]));
	if (!ret)
		ret = add_device(scanner, device);
	if (ret)
		return ret;
	target = &scanner->targets[scanner->n_targets];
	*target = (struct pmr_target){ .kind = kind, .device = device, .filesystem = filesystem };
	target->name = strdup(name);
	target->path = strdup(path ? path : name);
	scanner->n_targets++;
	return target->name && target->path ? 0 : -ENOMEM;
}

int pmr_target_add_device(struct pmr_scanner *scanner, struct pmr_device *device)
{
	for (size_t i = 0; i < scanner->n_targets; i++) {
		if (scanner->targets[i].kind == PMR_TARGET_DEVICE &&
		    scanner->targets[i].device == device)
			return 0;
	}
	return add_target(scanner, PMR_TARGET_DEVICE, device->path ? device->path : device->name,
			  NULL, device, NULL);
}

/* The scan goes on with the other targets, and is not complete. */
static int give_up(struct pmr_scanner *scanner)
{
	scanner->scan->complete = false;
	return 0;
}

struct partitions {
	struct pmr_scanner *scanner;
	const char *name;
};

static int resolve_partition(void *data, const struct pmr_block *partition)
{
	struct partitions *partitions = data;
	struct pmr_filesystem *filesystem;
	int ret;

	ret = pmr_topology_resolve(partitions->scanner->ctx, partitions->scanner->scan->topology,
				   partition->devno, partitions->name, &filesystem);
	return ret == -ENOMEM ? ret : 0;
}

static int find_block_device(struct pmr_scanner *scanner, const char *name, dev_t devno)
{
	struct partitions partitions = { .scanner = scanner, .name = name };
	struct pmr_filesystem *filesystem;
	int ret;

	ret = pmr_topology_resolve(scanner->ctx, scanner->scan->topology, devno, name, &filesystem);
	if (ret)
		return ret == -ENOMEM ? ret : give_up(scanner);
	if (filesystem->device->devno != devno)
		return add_target(scanner, PMR_TARGET_FILESYSTEM, name, NULL, filesystem->device,
				  filesystem);
	/* The topology knows what is on every namespace, but of other disks only what it was asked. */
	ret = pmr_block_partitions(filesystem->device->name, resolve_partition, &partitions);
	if (ret)
		return ret;
	return add_target(scanner, PMR_TARGET_DEVICE, name, NULL, filesystem->device, NULL);
}

/* NULL where no path leads to it: deleted and still open, hidden by a mount, in a container. A link of /proc does. */
static char *find_real(const char *name, const struct stat *st)
{
	char *path = realpath(name, NULL);
	struct stat there;

	if (path && !stat(path, &there) && there.st_dev == st->st_dev && there.st_ino == st->st_ino)
		return path;
	if (path) {
		free(path);
		errno = ENOENT;
	}
	return NULL;
}

static bool is_root_of(const struct stat *st, const struct pmr_filesystem *filesystem)
{
	struct stat root;

	return filesystem->mountpoint && !stat(filesystem->mountpoint, &root) &&
	       root.st_dev == st->st_dev && root.st_ino == st->st_ino;
}

static void say_no_log(struct pmr_scanner *scanner, const char *name)
{
	scanner->scan->complete = false;
	pmr_say(scanner->ctx, PMR_ERROR, "external-log", name,
		"is an XFS with its log on another device, which cannot be looked up: what its mount options call logdev is "
		"no block device here");
}

/* Of all of a filesystem that keeps its log elsewhere, that is a part. */
static int find_log(struct pmr_scanner *scanner, const struct pmr_filesystem *filesystem,
		    const char *name)
{
	struct pmr_filesystem *log;
	int ret;

	if (!filesystem->log) {
		say_no_log(scanner, name);
		return 0;
	}
	ret = pmr_topology_resolve(scanner->ctx, scanner->scan->topology, filesystem->log, name,
				   &log);
	if (ret)
		return ret == -ENOMEM ? ret : give_up(scanner);
	if (log->role != PMR_ROLE_LOG || log->of != filesystem->devno) {
		say_no_log(scanner, name);
		return 0;
	}
	ret = add_target(scanner, PMR_TARGET_FILESYSTEM, name, NULL, log->device, log);
	if (!ret)
		scanner->targets[scanner->n_targets - 1].is_beside = true;
	return ret;
}

/* Of a tree, too, files may lie there. */
static int find_realtime(struct pmr_scanner *scanner, const struct pmr_filesystem *filesystem,
			 const char *name)
{
	struct pmr_filesystem *realtime;
	int ret;

	ret = pmr_topology_resolve_realtime(scanner->ctx, scanner->scan->topology, filesystem, name,
					    &realtime);
	if (ret)
		return ret == -ENOMEM ? ret : give_up(scanner);
	ret = add_target(scanner, PMR_TARGET_TREE, name, NULL, realtime->device, realtime);
	if (!ret)
		scanner->targets[scanner->n_targets - 1].is_beside = true;
	return ret;
}

static int find_tree(struct pmr_scanner *scanner, const char *name, const struct stat *st,
		     struct pmr_filesystem *filesystem)
{
	int ret;

	ret = add_target(scanner, PMR_TARGET_TREE, name, NULL, filesystem->device, filesystem);
	if (!ret && filesystem->realtime)
		ret = find_realtime(scanner, filesystem, name);
	if (!ret && filesystem->external_log && is_root_of(st, filesystem))
		ret = find_log(scanner, filesystem, name);
	return ret;
}

/* What cannot be opened now will be said when it is looked at. */
static int find_file(struct pmr_scanner *scanner, const char *name, const char *path,
		     struct pmr_filesystem *filesystem)
{
	int fd = filesystem->realtime ? pmr_open_by_path(path, O_RDONLY) : -1, ret = 0;
	struct stat st;

	if (fd >= 0 && !fstat(fd, &st) && st.st_dev == filesystem->devno)
		ret = pmr_topology_resolve_file(scanner->ctx, scanner->scan->topology, fd,
						st.st_dev, name, &filesystem);
	if (fd >= 0)
		close(fd);
	if (ret)
		return ret == -ENOMEM ? ret : give_up(scanner);
	return add_target(scanner, PMR_TARGET_FILE, name, path, filesystem->device, filesystem);
}

static int find_path(struct pmr_scanner *scanner, const char *name, const struct stat *st)
{
	struct pmr_filesystem *filesystem;
	char *path;
	int ret;

	ret = pmr_topology_resolve(scanner->ctx, scanner->scan->topology, st->st_dev, name,
				   &filesystem);
	if (!ret)
		ret = pmr_filesystem_require(scanner->ctx, filesystem, name);
	if (ret)
		return ret == -ENOMEM ? ret : give_up(scanner);
	if (!S_ISREG(st->st_mode))
		return find_tree(scanner, name, st, filesystem);
	path = find_real(name, st);
	if (!path && errno == ENOMEM)
		return -ENOMEM;
	ret = find_file(scanner, name, path ? path : name, filesystem);
	free(path);
	return ret;
}

/* A name that is no path may still be a namespace's, whose device has another name or none. */
static int find_name(struct pmr_scanner *scanner, const char *name, int err)
{
	struct pmr_device *device =
		strchr(name, '/') ? NULL : pmr_topology_find(scanner->scan->topology, name);

	if (device)
		return add_target(scanner, PMR_TARGET_DEVICE, name, NULL, device, NULL);
	if (err == -ENOENT || err == -ENOTDIR)
		pmr_say(scanner->ctx, PMR_ERROR, "no-target", name,
			"is no file, directory, block device or namespace");
	else if (err == -EACCES)
		pmr_say(scanner->ctx, PMR_ERROR, "permission", name,
			"may not be looked at: root, or CAP_DAC_READ_SEARCH, is needed");
	else if (err == -EIO)
		pmr_say(scanner->ctx, PMR_ERROR, "shut-down", name,
			"Input/output error: its filesystem has probably shut down, see the kernel log; "
			"unmount, repair and mount it, then scan again");
	else
		pmr_say(scanner->ctx, PMR_ERROR, "cannot-stat", name, "%s", strerror(-err));
	return give_up(scanner);
}

static int find_target(struct pmr_scanner *scanner, const char *name)
{
	struct pmr_device *device;
	struct stat st;

	if (stat(name, &st))
		return find_name(scanner, name, -errno);
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return find_path(scanner, name, &st);
	device = S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode)
			 ? pmr_topology_find(scanner->scan->topology, name)
			 : NULL;
	if (device)
		return add_target(scanner, PMR_TARGET_DEVICE, name, NULL, device, NULL);
	if (S_ISBLK(st.st_mode))
		return find_block_device(scanner, name, st.st_rdev);
	pmr_say(scanner->ctx, PMR_ERROR, "no-target", name,
		"is neither a file, a directory nor a block device");
	return give_up(scanner);
}

/* Nobody can be asked about one that is disabled, and it may well be a mounted filesystem that it was disabled under. */
static void look_at_disabled(struct pmr_scanner *scanner, const struct pmr_device *device)
{
	if (!device->badblocks.ranges.n)
		return;
	scanner->scan->complete = false;
	pmr_say(scanner->ctx, PMR_ERROR, "namespace-disabled", device->name,
		"is disabled and has badblocks: which files they are in cannot be known; enable it (ndctl "
		"enable-namespace), mount what it holds, and scan again");
}

static int find_all(struct pmr_scanner *scanner)
{
	const struct pmr_topology *topology = scanner->scan->topology;
	bool is_any_gone = false;
	size_t i;
	int ret;

	ret = pmr_gone_say(scanner->ctx, &is_any_gone);
	if (ret)
		return ret;
	if (is_any_gone)
		scanner->scan->complete = false;

	for (i = 0; i < topology->n_devices; i++) {
		struct pmr_device *device = topology->devices[i];

		/* One whose list is unknown stays: what cannot be asked is not clean. */
		if (device->mode == PMR_MODE_NONE)
			continue;
		if (!device->enabled) {
			look_at_disabled(scanner, device);
			continue;
		}
		ret = add_target(scanner, PMR_TARGET_DEVICE,
				 device->path ? device->path : device->name, NULL, device, NULL);
		if (ret)
			return ret;
	}
	return 0;
}

int pmr_targets_find(struct pmr_scanner *scanner, const char *const *names, size_t n)
{
	size_t i;
	int ret = 0;

	if (!n)
		return find_all(scanner);
	for (i = 0; i < n && !ret; i++)
		ret = find_target(scanner, names[i]);
	return ret;
}

/* ---- running */

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
	return give_up(scanner);
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
	int ret;

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
	return ret == -ENODEV ? give_up(scanner) : ret;
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
		return ret == -ENOMEM ? ret : give_up(scanner);
	}
	if (!pmr_realtime_check(scanner->ctx, view->filesystem, root.kept, path)) {
		pmr_root_close(&root);
		return give_up(scanner);
	}
	is_whole = is_root_of(&st, view->filesystem);
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
		return ret == -ENOMEM ? ret : give_up(scanner);
	if (filesystem->mountpoint)
		return run_tree(scanner, view, filesystem->mountpoint);
	if (pmr_elsewhere_say(scanner->ctx, filesystem, object, "scan"))
		return give_up(scanner);
	if (filesystem->type)
		pmr_say(scanner->ctx, PMR_ERROR, "not-mounted", object,
			"has badblocks, but its %s is not mounted: to learn which files they are in, mount it (read-only: "
			"-o ro, on XFS -o ro,norecovery, on ext4 -o ro,noload) and scan again",
			filesystem->type);
	else
		pmr_say(scanner->ctx, PMR_ERROR, "no-filesystem", object,
			"has badblocks, but no filesystem that is known: only the program that uses it can tell what is lost");
	return give_up(scanner);
}

/* Partitions that something is built on are no places of their own, and stand for what is there. */
static bool has_held(const struct pmr_topology *topology, const struct pmr_device *device)
{
	for (size_t i = 0; i < topology->n_filesystems; i++) {
		if (topology->filesystems[i]->held && topology->filesystems[i]->device == device)
			return true;
	}
	return false;
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
		if (ret || found || pmr_is_held_at(topology, device, 0) ||
		    has_held(topology, device))
			return ret;
	}
	if (found)
		return 0;
	pmr_say(scanner->ctx, PMR_ERROR, "no-filesystem", target->name,
		"has badblocks, but no filesystem that is known: only the program that uses it can tell what is lost");
	return give_up(scanner);
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
