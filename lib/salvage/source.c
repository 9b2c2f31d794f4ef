/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The damaged file itself: opened with care, listed, and read in three ways. */

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "salvage.h"
#include "owner/open-files.h"
#include "scan/scan.h"
#include "device/topology.h"
#include "uapi.h"

static const struct pmr_failure open_failures[] = {
	{ -ENOENT, "no-target", "is no file" },
	{ -ENOTDIR, "no-target", "is no file" },
	{ -EINVAL, "not-a-file", "is not a regular file: only files are salvaged, one at a time" },
	{ -EACCES, "permission", "may not be read: run as its owner, or as root" },
	{ -EPERM, "permission", "may not be read: run as its owner, or as root" },
	{ -EAGAIN, "in-use", "is leased by another program: stop that program, and try again" },
	{ -EIO, "shut-down",
	  "cannot be opened (Input/output error): the filesystem has probably shut down, see the kernel log; unmount, "
	  "repair and mount it, then try again" },
};

static int fail_open(const struct pmr_source *s, const char *code, const char *what, int error)
{
	if (error != -ENOMEM)
		pmr_failure_say(s->ctx, s->path, open_failures,
				sizeof(open_failures) / sizeof(open_failures[0]), code, what,
				error);
	return error;
}

static int fail_list(const struct pmr_source *s, int error)
{
	if (error != -ENOMEM)
		pmr_listing_say(s->ctx, s->path, error);
	return error;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
	return hash ^ hash >> 29;
}

static void mix_extent(struct pmr_listing *listing, const struct pmr_extent *extent, uint64_t size)
{
	uint64_t end = extent->offset + extent->length;

	if (!extent->length || extent->offset >= size)
		return;
	if (!(extent->flags & FIEMAP_EXTENT_UNWRITTEN))
		listing->data += (end < size ? end : size) - extent->offset;
	listing->hash = mix(listing->hash, extent->offset);
	listing->hash = mix(listing->hash, extent->physical);
	listing->hash = mix(listing->hash, extent->length);
	listing->hash = mix(listing->hash, extent->flags);
}

/* The same mapping gives the same listing, in whatever pieces the kernel tells it. */
static int take_listing(struct pmr_source *s, struct pmr_listing *listing)
{
	const uint32_t telling = FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_UNKNOWN |
				 FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_DATA_INLINE;
	struct pmr_extent whole = { 0 }, extent;
	uint64_t size = (uint64_t)s->st.st_size;
	bool listed = false, unlisted = false;
	struct pmr_extents *extents;
	int ret;

	*listing = (struct pmr_listing){ 0 };
	ret = pmr_extents_open(s->fd, 0, size ? size : 1, true, &extents);
	if (ret)
		return ret;
	pmr_extents_go_around(extents);
	while ((ret = pmr_extents_next(extents, &extent)) > 0) {
		unlisted |= extent.flags & PMR_EXTENT_UNLISTED;
		listed |= !(extent.flags & PMR_EXTENT_UNLISTED);
		extent.flags &= telling;
		if (whole.length && whole.flags == extent.flags &&
		    whole.offset + whole.length == extent.offset &&
		    whole.physical + whole.length == extent.physical) {
			whole.length += extent.length;
			continue;
		}
		mix_extent(listing, &whole, size);
		whole = extent;
	}
	mix_extent(listing, &whole, size);
	pmr_extents_close(extents);
	/* a filesystem that has shut down answers so to everything */
	return !ret && unlisted && !listed ? -EIO : ret;
}

static int resolve(struct pmr_source *s, struct pmr_topology *topology)
{
	int ret;

	ret = pmr_topology_resolve_file(s->ctx, topology, s->fd, s->st.st_dev, s->path,
					&s->filesystem);
	if (!ret)
		ret = pmr_filesystem_require(s->ctx, s->filesystem, s->path);
	return ret;
}

/* Whether the device holds the bytes of the file where FIEMAP says, and if not, why. */
static const char *find_unplaced(const struct pmr_source *s)
{
	struct statx stx;

	if (!statx(s->fd, "", AT_EMPTY_PATH, 0, &stx) && stx.stx_attributes & STATX_ATTR_ENCRYPTED)
		return "encrypted";
	return NULL;
}

static int open_file(struct pmr_source *s, struct pmr_topology *topology)
{
	struct stat st;
	int ret;

	s->fd = pmr_open_by_path(s->path, O_RDONLY);
	if (s->fd < 0)
		return fail_open(s, "cannot-open", "cannot be opened", s->fd);
	if (fstat(s->fd, &s->st))
		return fail_open(s, "cannot-stat", "cannot be looked at", -errno);
	ret = resolve(s, topology);
	if (ret)
		return ret;
	/* no read-ahead: what is read lies beside what must not be read */
	posix_fadvise(s->fd, 0, 0, POSIX_FADV_RANDOM);
	s->dax = pmr_file_is_dax(s->fd, s->filesystem);
	/*
	 * Past the page cache, so that reading drops nothing from it that may be the only copy. It is coherent with the
	 * cache, and what fails is asked of the cache.
	 */
	if (!s->dax)
		s->direct = pmr_open_by_path(s->path, O_RDONLY | O_DIRECT);
	if (s->direct >= 0 &&
	    (fstat(s->direct, &st) || st.st_ino != s->st.st_ino || st.st_dev != s->st.st_dev)) {
		close(s->direct);
		s->direct = -1;
	}
	s->unplaced = find_unplaced(s);
	ret = take_listing(s, &s->listing);
	if (ret)
		return fail_list(s, ret);
	/* listing it had delayed data written */
	if (fstat(s->fd, &s->st))
		return fail_open(s, "cannot-stat", "cannot be looked at", -errno);
	return 0;
}

int pmr_source_open(struct pmr_ctx *ctx, struct pmr_topology *topology, const char *path,
		    struct pmr_source *source)
{
	struct pmr_source s = {
		.ctx = ctx, .path = path, .fd = -1, .direct = -1, .media_error = 1
	};
	struct pmr_device *whole = pmr_whole_find(topology, path);
	int ret;

	ret = whole ? pmr_whole_open(topology, whole, &s) : open_file(&s, topology);
	if (ret)
		pmr_source_close(&s);
	else
		*source = s;
	return ret;
}

void pmr_source_close(struct pmr_source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	if (source->direct >= 0)
		close(source->direct);
	pmr_media_close(source->media);
	*source = (struct pmr_source){ .fd = -1, .direct = -1 };
}

int pmr_source_look_again(struct pmr_source *source, bool *changed)
{
	const struct stat *then = &source->st;
	struct pmr_listing listing;
	struct stat now;
	int ret;

	if (source->whole) {
		*changed = pmr_dax_check(source->whole) != 0;
		return 0;
	}
	if (fstat(source->fd, &now))
		return -errno;
	*changed = now.st_size != then->st_size || !pmr_is_same_time(&now.st_ctim, &then->st_ctim);
	if (*changed)
		return 0;
	ret = take_listing(source, &listing);
	if (!ret)
		*changed = listing.hash != source->listing.hash;
	return ret;
}

int pmr_source_losses(const struct pmr_source *s, struct pmr_losses *losses)
{
	uint64_t size = (uint64_t)s->st.st_size;
	struct pmr_extents *extents = NULL;
	struct pmr_ranges bad = { 0 };
	struct pmr_extent extent;
	int ret;

	losses->n = 0;
	ret = pmr_filesystem_badblocks(s->filesystem, &bad);
	if (!ret)
		ret = pmr_extents_open(s->fd, 0, size ? size : 1, true, &extents);
	if (extents)
		pmr_extents_go_around(extents);
	while (!ret && (ret = pmr_extents_next(extents, &extent)) > 0)
		ret = pmr_extent_is_trusted(&extent)
			      ? pmr_intersect(&bad, &extent, size, s->filesystem->start, losses)
			      : 0;
	pmr_extents_close(extents);
	pmr_ranges_release(&bad);
	return ret;
}

/* ---- reading */

static bool is_from_kernel(const struct pmr_device *device)
{
	bool is = !device->from_file;

	for (size_t i = 0; is && i < device->n_lowers; i++)
		is = is_from_kernel(device->lowers[i]);
	return is;
}

bool pmr_source_is_told(const struct pmr_source *s)
{
	const struct pmr_device *device = s->filesystem->device;

	return is_from_kernel(device) && device->badblocks.trust == PMR_LIST_COMPLETE;
}

int pmr_source_read(struct pmr_source *s, uint64_t offset, void *buffer, size_t length, size_t *got)
{
	uint32_t flag = s->dax && !s->whole && pmr_source_is_told(s) ? pmr_rwf_flag(s->ctx) : 0;
	int ret;

	*got = 0;
	if (s->whole) {
		ret = pmr_media_load(s->media, offset, buffer, length, got);
		*got -= ret ? *got % PMR_PAGE : 0;
		return ret;
	}
	s->flagged = s->flagged || flag;
	if (s->direct >= 0) {
		ret = pmr_media_recover_file(s->direct, 0, offset, buffer, length, got);
		if (ret != -EINVAL)
			return ret;
		/* here O_DIRECT is more than the filesystem can do, or has another unit */
		close(s->direct);
		s->direct = -1;
	}
	/* the last page of the largest file */
	if (length > INT64_MAX - offset)
		length = (size_t)(INT64_MAX - offset);
	return pmr_media_recover_file(s->fd, flag, offset, buffer, length, got);
}

int pmr_source_cached(const struct pmr_source *s, uint64_t offset, void *buffer, size_t length)
{
	return s->dax ? 0 : pmr_media_read_cached(s->fd, offset, buffer, length);
}

int pmr_source_closed(const struct pmr_source *s)
{
	return s->media_error < 0 ? s->media_error : 0;
}

int pmr_source_device(struct pmr_source *s, uint64_t offset, uint64_t length,
		      const struct pmr_ranges *avoid, void *buffer, struct pmr_ranges *unreadable)
{
	if (s->media_error > 0)
		s->media_error = pmr_media_open(s->ctx, s->filesystem->device, &s->media);
	if (s->media_error)
		return s->media_error;
	return pmr_media_salvage(s->media, offset, length, avoid, buffer, unreadable);
}
