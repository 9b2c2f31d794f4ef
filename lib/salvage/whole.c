/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device-dax in the place of a damaged file: one extent, all of it data, read by loads. */

#include <errno.h>
#include <linux/fiemap.h>
#include <string.h>
#include <sys/stat.h>

#include "salvage.h"
#include "device/topology.h"
#include "repair/repair.h"

struct pmr_device *pmr_whole_find(const struct pmr_topology *topology, const char *path)
{
	struct pmr_device *device;
	struct stat st;

	/* a file of that name is a file */
	if (!stat(path, &st) && !S_ISCHR(st.st_mode))
		return NULL;
	device = pmr_topology_find(topology, path);
	return device && pmr_device_is_dax(device) ? device : NULL;
}

static int fail(const struct pmr_source *s, int error)
{
	switch (error) {
	case -ENOMEM:
		break;
	case -EACCES:
	case -EPERM:
		pmr_say(s->ctx, PMR_ERROR, "permission", s->path, "may not be read: run as root");
		break;
	case -ENODEV:
		pmr_say(s->ctx, PMR_ERROR, "device-error", s->path,
			"is gone, or has come to be another device: look with 'pmem-recover list', and try again");
		break;
	case -ENOENT:
	case -ENXIO:
		pmr_say(s->ctx, PMR_ERROR, "cannot-open", s->path,
			"cannot be opened: %s; is its driver there (modprobe device_dax), and is it not in use as ordinary memory "
			"(daxctl reconfigure-device --mode=devdax)?",
			strerror(-error));
		break;
	default:
		pmr_say(s->ctx, PMR_ERROR, "cannot-open", s->path, "cannot be opened: %s",
			strerror(-error));
	}
	return error;
}

/* Nothing tells afterwards whether they wrote to it meanwhile. */
static void say_users(const struct pmr_source *s, const struct stat *st)
{
	char who[256];

	pmr_node_holders(st, who, sizeof(who));
	if (*who)
		pmr_say(s->ctx, PMR_WARNING, "in-use", s->path,
			"is open or mapped by %s: what they write meanwhile may be in the copy in part, and nobody could tell; "
			"stop them, and salvage it anew",
			who);
}

int pmr_whole_open(struct pmr_topology *topology, struct pmr_device *device, struct pmr_source *s)
{
	struct stat st;
	int ret;

	s->whole = device;
	s->path = device->path;
	s->media_error = pmr_media_open(s->ctx, device, &s->media);
	if (s->media_error)
		return fail(s, s->media_error);
	if (stat(s->path, &st))
		return fail(s, -errno);
	say_users(s, &st);
	ret = pmr_filesystem_whole(topology, device, &s->filesystem);
	if (ret)
		return ret;
	/* no inode and no time of its node says anything of it */
	s->st = (struct stat){ .st_mode = st.st_mode, .st_size = (off_t)device->size };
	s->dax = true;
	s->listing.data = device->size;
	return 0;
}

int pmr_whole_fiemap(int fd, struct fiemap *map)
{
	(void)fd;
	map->fm_mapped_extents = map->fm_extent_count ? 1 : 0;
	if (map->fm_extent_count)
		map->fm_extents[0] = (struct fiemap_extent){
			.fe_logical = map->fm_start,
			.fe_physical = map->fm_start,
			.fe_length = map->fm_length,
			.fe_flags = FIEMAP_EXTENT_LAST,
		};
	return 0;
}
