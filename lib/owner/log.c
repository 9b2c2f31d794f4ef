/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device that holds the log of a filesystem and nothing else: how far that reaches, an XFS tells. */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "owner.h"
#include "xfs.h"

/* Return: the length of the log, or of the whole device; 0: it is none. */
static uint64_t ask(const struct pmr_filesystem *filesystem, int fd)
{
	struct pmr_xfs_geometry geometry;
	struct stat data, device;
	uint64_t length;

	/* Another filesystem may be mounted on top, which knows nothing of it. */
	if (fstat(fd, &data) || data.st_dev != filesystem->of)
		return filesystem->size;
	if (stat(filesystem->source, &device) || !pmr_filesystem_has_device(fd, device.st_rdev))
		return 0;
	if (!pmr_xfs_geometry(fd, &geometry))
		return filesystem->size;
	length = (uint64_t)geometry.log_blocks * geometry.block_size;
	return length && length < filesystem->size ? length : filesystem->size;
}

static uint64_t get_length(const struct pmr_filesystem *filesystem)
{
	uint64_t length;
	int fd;

	if (!filesystem->mountpoint || !filesystem->of)
		return filesystem->size;
	fd = open(filesystem->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return filesystem->size;
	length = ask(filesystem, fd);
	close(fd);
	return length;
}

int pmr_log_claims(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem,
		   struct pmr_claims *claims)
{
	uint64_t length = get_length(filesystem);
	const struct pmr_owner_claim log = { .range = { 0, length }, .owner = PMR_OWNER_LOG };
	const struct pmr_owner_claim rest = { .range = { length, filesystem->size - length },
					      .owner = PMR_OWNER_FREE };
	int ret;

	if (!length) {
		pmr_say(ctx, PMR_ERROR, "external-log", filesystem->mountpoint,
			"has its log on another device, and its mount options or superblock call that %s, which it is not (any "
			"more): look it up (lsblk), and scan that device by its name",
			filesystem->source);
		return -ENODEV;
	}
	ret = pmr_claims_add(claims, &log);
	return ret || length == filesystem->size ? ret : pmr_claims_add(claims, &rest);
}
