/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One regular file: opening it so that nothing can go wrong by it, and its losses from FIEMAP. */

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "extent.h"

/* How often a listing is taken again while it still shows data without a place. */
#define LISTINGS 4
#define CANCEL_EVERY 512u

int pmr_file_open(int dirfd, const char *name, int flags)
{
	struct stat st;
	int fd;

	/* Opening a device or a FIFO can do things: look before. */
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT))
		return -errno;
	if (S_ISLNK(st.st_mode))
		return -ELOOP;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	do {
		fd = openat(dirfd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return -errno;
	/* The name may have come to mean something else meanwhile. */
	if (fstat(fd, &st)) {
		int err = -errno;

		close(fd);
		return err;
	}
	if (!S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

/* An address outside of the filesystem's device means that the device was taken for the wrong one. */
static bool is_on_device(const struct pmr_filesystem *filesystem, const struct pmr_extent *extent)
{
	return !filesystem->size || (extent->physical < filesystem->size &&
				     extent->length <= filesystem->size - extent->physical);
}

static int take_listing(const struct pmr_ctx *ctx, int fd, const struct pmr_filesystem *filesystem,
			const struct pmr_sieve *sieve, uint64_t size, struct pmr_losses *losses,
			uint32_t *untrusted)
{
	struct pmr_extents *extents;
	struct pmr_extent extent;
	unsigned int n = 0;
	int ret;

	ret = pmr_extents_open(fd, 0, UINT64_MAX, true, &extents);
	if (ret)
		return ret;
	while ((ret = pmr_extents_next(extents, &extent)) > 0) {
		if (ctx && n++ % CANCEL_EVERY == 0 && pmr_is_cancelled(ctx)) {
			ret = -ECANCELED;
			break;
		}
		if (!pmr_extent_is_trusted(&extent)) {
			/* Space promised beyond the end of the file has no bytes to lose. */
			if (extent.offset < size)
				*untrusted |= extent.flags;
			continue;
		}
		if (!is_on_device(filesystem, &extent)) {
			ret = -ERANGE;
			break;
		}
		ret = pmr_sieve_intersect(sieve, &extent, size, filesystem->start, losses);
		if (ret)
			break;
	}
	pmr_extents_close(extents);
	return ret;
}

int pmr_file_list(const struct pmr_ctx *ctx, int fd, const struct pmr_filesystem *filesystem,
		  const struct pmr_sieve *sieve, uint64_t size, struct pmr_losses *losses,
		  uint32_t *untrusted)
{
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
	size_t before = losses->n;
	uint32_t flags;
	int i, ret = 0;

	for (i = 0; i < LISTINGS; i++) {
		if (i)
			nanosleep(&pause, NULL);
		losses->n = before;
		flags = 0;
		ret = take_listing(ctx, fd, filesystem, sieve, size, losses, &flags);
		/* The listing syncs, so what is still delayed was written since, by somebody else. */
		if (ret || !(flags & FIEMAP_EXTENT_DELALLOC))
			break;
	}
	*untrusted = flags;
	return ret;
}

int pmr_file_losses(int fd, const struct pmr_filesystem *filesystem, const struct pmr_ranges *bad,
		    uint64_t size, struct pmr_losses *losses, bool *complete)
{
	struct pmr_sieve sieve;
	uint32_t untrusted;
	int ret;

	pmr_sieve_init(&sieve, bad);
	ret = pmr_file_list(NULL, fd, filesystem, &sieve, size, losses, &untrusted);
	if (!ret && untrusted)
		*complete = false;
	return ret;
}

const char *pmr_untrusted_name(uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {
		{ FIEMAP_EXTENT_DATA_INLINE, "inline data" },
		{ FIEMAP_EXTENT_DATA_TAIL, "packed tail" },
		{ FIEMAP_EXTENT_DATA_ENCRYPTED, "encrypted" },
		{ FIEMAP_EXTENT_ENCODED, "encoded" },
		{ FIEMAP_EXTENT_DELALLOC, "delayed allocation" },
		{ FIEMAP_EXTENT_NOT_ALIGNED, "not aligned" },
		{ FIEMAP_EXTENT_UNKNOWN, "unknown place" },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (flags & names[i].flag)
			return names[i].name;
	}
	return "unknown";
}
