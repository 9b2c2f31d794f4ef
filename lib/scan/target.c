/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the user named -> files, trees, filesystems and devices. */

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
		return ret == -ENOMEM ? ret : pmr_target_give_up(scanner);
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

bool pmr_target_is_root(const struct stat *st, const struct pmr_filesystem *filesystem)
{
	struct stat root;

	return filesystem->mountpoint && !stat(filesystem->mountpoint, &root) &&
	       root.st_dev == st->st_dev && root.st_ino == st->st_ino;
}

static void say_no_log(struct pmr_scanner *scanner, const char *name)
{
	scanner->scan->complete = false;
	pmr_say(scanner->ctx, PMR_ERROR, "external-log", name,
		"has its log on another device, which cannot be looked up: what its mount options (logdev, of an XFS) or its "
		"superblock (of an ext4) call that is no block device here, or holds no log");
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
		return ret == -ENOMEM ? ret : pmr_target_give_up(scanner);
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
		return ret == -ENOMEM ? ret : pmr_target_give_up(scanner);
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
	if (!ret && filesystem->external_log && pmr_target_is_root(st, filesystem))
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
		return ret == -ENOMEM ? ret : pmr_target_give_up(scanner);
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
		return ret == -ENOMEM ? ret : pmr_target_give_up(scanner);
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
	return pmr_target_give_up(scanner);
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
	return pmr_target_give_up(scanner);
}

/* Nobody can be asked about one that is disabled, and it may well be a mounted filesystem that it was disabled under. */
static void look_at_disabled(struct pmr_scanner *scanner, const struct pmr_device *device)
{
	/* what is wrong with its list was said when it was read */
	if (device->badblocks.trust != PMR_LIST_COMPLETE)
		scanner->scan->complete = false;
	if (!device->badblocks.ranges.n)
		return;
	scanner->scan->complete = false;
	pmr_say(scanner->ctx, PMR_ERROR, "namespace-disabled", device->name,
		"is disabled and has badblocks: which files they are in cannot be known; enable it (ndctl "
		"enable-namespace), mount what it holds, and scan again");
}

/* A region that is disabled shows neither its namespaces nor its list. */
static void look_at_region(struct pmr_scanner *scanner, const struct pmr_region *region)
{
	const struct pmr_topology *topology = scanner->scan->topology;

	if (region->badblocks.trust != PMR_LIST_UNKNOWN)
		return;
	for (size_t i = 0; i < topology->n_devices; i++)
		if (topology->devices[i]->region == region)
			return;
	scanner->scan->complete = false;
	pmr_say(scanner->ctx, PMR_ERROR, "badblocks-unknown", region->name,
		"shows no namespace, and its list of badblocks cannot be read: whether anything in it is lost is not known; "
		"enable it (ndctl enable-region), mount what it holds, and scan again");
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

	for (i = 0; i < topology->n_regions; i++)
		look_at_region(scanner, topology->regions[i]);
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
