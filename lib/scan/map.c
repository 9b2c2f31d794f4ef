/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a file lies: its extents and holes, down to the device, the region and the physical address. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fiemap.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scan.h"
#include "device/topology.h"
#include "owner/open-files.h"

struct mapper {
	struct pmr_ctx *ctx;
	const char *path;
	struct pmr_map *map;
	size_t alloc;
	struct pmr_ranges bad; /* in offsets from the filesystem's byte 0 */
	uint64_t position; /* what lies before it is mapped */
};

static int add_mapping(struct mapper *m, const struct pmr_mapping *mapping)
{
	struct pmr_map *map = m->map;
	int ret;

	ret = pmr_grow(&map->mappings, map->n_mappings, &m->alloc, sizeof(map->mappings[0]));
	if (!ret)
		map->mappings[map->n_mappings++] = *mapping;
	return ret;
}

static struct pmr_mapping make_mapping(uint64_t offset, uint64_t length, enum pmr_extent_kind kind)
{
	return (struct pmr_mapping){
		.offset = offset,
		.length = length,
		.kind = kind,
		.device_offset = PMR_NO_ADDRESS,
		.region_offset = PMR_NO_ADDRESS,
		.address = PMR_NO_ADDRESS,
	};
}

static int add_hole(struct mapper *m, uint64_t until)
{
	struct pmr_mapping hole;

	if (until <= m->position)
		return 0;
	hole = make_mapping(m->position, until - m->position, PMR_EXTENT_HOLE);
	return add_mapping(m, &hole);
}

/* Where it lies in its region, and physically. */
static void place(const struct pmr_device *device, uint64_t offset, struct pmr_mapping *mapping)
{
	mapping->region_offset = pmr_layout_add(device->region_offset, offset);
	mapping->address = pmr_layout_add(device->resource, offset);
}

/* An extent of a mapped device lies in as many places as its pieces say. */
static int add_places(struct mapper *m, const struct pmr_extent *extent, struct pmr_mapping mapping)
{
	const struct pmr_filesystem *filesystem = m->map->filesystem;
	uint64_t done, below, start = filesystem->start + extent->physical;
	struct pmr_device *lower;
	int ret = 0;

	for (done = 0; done < extent->length && !ret; done += mapping.length) {
		mapping.offset = extent->offset + done;
		mapping.length = extent->length - done;
		mapping.device_offset = start + done;
		if (pmr_device_below(filesystem->device, mapping.device_offset, &mapping.length,
				     &lower, &below))
			place(lower, below, &mapping);
		mapping.bad_bytes =
			pmr_ranges_bytes_in(&m->bad, extent->physical + done, mapping.length);
		ret = add_mapping(m, &mapping);
	}
	return ret;
}

static int add_piece(struct mapper *m, const struct pmr_extent *extent)
{
	struct pmr_mapping mapping = make_mapping(extent->offset, extent->length, PMR_EXTENT_DATA);
	uint64_t last;
	int ret;

	ret = add_hole(m, extent->offset);
	if (ret)
		return ret;
	m->position = extent->offset + extent->length;
	mapping.shared = extent->flags & FIEMAP_EXTENT_SHARED;
	if (extent->flags & FIEMAP_EXTENT_UNWRITTEN)
		mapping.kind = PMR_EXTENT_UNWRITTEN;
	if (pmr_extent_is_trusted(extent) &&
	    !__builtin_add_overflow(extent->physical, extent->length - 1, &last) &&
	    !pmr_filesystem_to_device(m->map->filesystem, last, &last))
		return add_places(m, extent, mapping);
	mapping.kind = PMR_EXTENT_UNTRUSTED;
	m->map->complete = false;
	return add_mapping(m, &mapping);
}

/* Poison behind the end of the file takes nothing of it, so it gets a mapping of its own. */
static int add_extent(struct mapper *m, const struct pmr_extent *extent)
{
	struct pmr_extent inside = *extent, behind = *extent;
	uint64_t size = m->map->size;
	int ret;

	if (extent->offset >= size || extent->length <= size - extent->offset ||
	    !pmr_extent_is_trusted(extent))
		return add_piece(m, extent);
	inside.length = size - extent->offset;
	behind.offset = size;
	behind.length = extent->length - inside.length;
	if (__builtin_add_overflow(extent->physical, inside.length, &behind.physical) ||
	    !pmr_ranges_overlap(&m->bad, behind.physical, behind.length))
		return add_piece(m, extent);
	ret = add_piece(m, &inside);
	return ret ? ret : add_piece(m, &behind);
}

static int list_extents(struct mapper *m, int fd, uint64_t offset, uint64_t length)
{
	uint64_t end = m->map->size;
	struct pmr_extents *extents;
	struct pmr_extent extent;
	int ret;

	m->position = offset;
	ret = pmr_extents_open(fd, offset, length, true, &extents);
	if (ret)
		return ret;
	while ((ret = pmr_extents_next(extents, &extent)) > 0) {
		if (pmr_is_cancelled(m->ctx)) {
			m->map->complete = false;
			pmr_say(m->ctx, PMR_ERROR, "interrupted", m->path,
				"stopped early: the map ends before the file");
			ret = 0;
			goto out;
		}
		ret = add_extent(m, &extent);
		if (ret)
			goto out;
	}
	if (length < UINT64_MAX - offset && offset + length < end)
		end = offset + length;
	if (!ret)
		ret = add_hole(m, end);
out:
	pmr_extents_close(extents);
	return ret;
}

/* Without a length, all of an empty file is nothing. Blocks behind the end of the file are mapped as well. */
static void say_past_end(struct mapper *m, uint64_t offset, uint64_t length)
{
	const struct pmr_map *map = m->map;
	uint64_t end = map->size, last;

	if (map->n_mappings) {
		const struct pmr_mapping *mapping = &map->mappings[map->n_mappings - 1];

		if (mapping->offset + mapping->length > end)
			end = mapping->offset + mapping->length;
	}
	if (length == UINT64_MAX ? !offset || offset < end
				 : !__builtin_add_overflow(offset, length, &last) && last <= end)
		return;
	m->map->complete = false;
	if (length == UINT64_MAX)
		pmr_say(m->ctx, PMR_ERROR, "past-end", m->path,
			"ends after %" PRIu64 " bytes, and %" PRIu64 " does not lie before that",
			end, offset);
	else
		pmr_say(m->ctx, PMR_ERROR, "past-end", m->path,
			"ends after %" PRIu64 " bytes, and not all of %" PRIu64 "+%" PRIu64
			" lies before that",
			end, offset, length);
}

static int say_error(struct mapper *m, int error)
{
	if (error == -ENOMEM)
		return error;
	if (error == -EACCES || error == -EPERM)
		pmr_say(m->ctx, PMR_ERROR, "permission", m->path,
			"may not be opened: root, or CAP_DAC_READ_SEARCH, is needed");
	else if (error == -EAGAIN)
		pmr_say(m->ctx, PMR_ERROR, "in-use", m->path,
			"is leased by another program: stop that program, or try again later");
	else if (error == -ENOENT)
		pmr_say(m->ctx, PMR_ERROR, "no-target", m->path, "does not exist");
	else if (error == -EINVAL || error == -EISDIR)
		pmr_say(m->ctx, PMR_ERROR, "not-a-file", m->path, "is no regular file");
	else if (error == -EOPNOTSUPP || error == -ENOTTY)
		pmr_say(m->ctx, PMR_ERROR, "no-extents", m->path,
			"its filesystem does not tell where files lie (no FIEMAP)");
	else
		pmr_say(m->ctx, PMR_ERROR, "cannot-map", m->path, "cannot be mapped: %s",
			strerror(-error));
	return error;
}

static int map_open(struct mapper *m, struct pmr_topology *topology, int fd, uint64_t offset,
		    uint64_t length)
{
	struct pmr_map *map = m->map;
	const struct pmr_device *device;
	struct stat st;
	int ret;

	if (fstat(fd, &st))
		return say_error(m, -errno);
	map->inode = st.st_ino;
	map->size = (uint64_t)st.st_size;
	map->seal = pmr_file_is_sealed(fd) ? pmr_seal_offset(map->size) : UINT64_MAX;
	map->complete = true;
	ret = pmr_topology_resolve_file(m->ctx, topology, fd, st.st_dev, m->path, &map->filesystem);
	if (!ret)
		ret = pmr_filesystem_require(m->ctx, map->filesystem, m->path);
	if (ret)
		return ret;
	ret = pmr_filesystem_badblocks(map->filesystem, &m->bad);
	if (!ret)
		ret = list_extents(m, fd, offset, length);
	if (ret)
		return say_error(m, ret);
	if (!pmr_is_cancelled(m->ctx))
		say_past_end(m, offset, length);
	device = map->filesystem->device;
	if (!pmr_device_is_listed(device))
		pmr_say(m->ctx, PMR_WARNING, "not-pmem", m->path,
			"lies on %s, which is no persistent memory: its list of badblocks is not known",
			device->path ? device->path : device->name);
	if (device->badblocks.trust != PMR_LIST_COMPLETE)
		map->complete = false;
	/* it may lie elsewhere since */
	if (map->filesystem->unreplayed && m->bad.n) {
		map->complete = false;
		pmr_filesystem_say_unreplayed(m->ctx, map->filesystem);
	}
	return 0;
}

int pmr_map_new(struct pmr_ctx *ctx, struct pmr_topology *topology, const char *path,
		uint64_t offset, uint64_t length, struct pmr_map **map)
{
	struct mapper m = { .ctx = ctx, .path = path };
	int fd, ret;

	m.map = calloc(1, sizeof(*m.map));
	if (!m.map)
		return -ENOMEM;
	fd = pmr_open_by_path(path, O_RDONLY);
	ret = fd < 0 ? say_error(&m, fd) : map_open(&m, topology, fd, offset, length);
	if (fd >= 0)
		close(fd);
	pmr_ranges_release(&m.bad);
	if (ret)
		pmr_map_free(m.map);
	else
		*map = m.map;
	return ret;
}

void pmr_map_free(struct pmr_map *map)
{
	if (!map)
		return;
	free(map->mappings);
	free(map);
}
