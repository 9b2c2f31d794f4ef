/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Puts a record of poison back that the kernel dropped although its bytes are still lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "repair.h"
#include "device/topology.h"

/* Kernels before 6.7 get records of more than this many sectors wrong. */
#define MAX_SECTORS 512u

static int write_record(int fd, uint64_t sector, uint64_t count)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 "\n", sector, count);
	ssize_t n;

	do
		n = write(fd, text, (size_t)length);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == length ? 0 : -EIO;
}

static int put_back(const char *attribute, const struct pmr_ranges *missing)
{
	uint64_t sector, end, count;
	int fd, ret = 0;

	fd = open(attribute, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; !ret && i < missing->n; i++) {
		sector = missing->v[i].offset / PMR_SECTOR;
		end = (missing->v[i].offset + missing->v[i].length + PMR_SECTOR - 1) / PMR_SECTOR;
		for (; !ret && sector < end; sector += count) {
			count = end - sector < MAX_SECTORS ? end - sector : MAX_SECTORS;
			ret = write_record(fd, sector, count);
		}
	}
	close(fd);
	return ret;
}

/* Of a mapped device the lists are those of the devices below. */
static int keep_below(struct pmr_ctx *ctx, struct pmr_device *device, const struct pmr_ranges *dead,
		      const struct pmr_ranges *different)
{
	struct pmr_ranges down = { 0 }, other = { 0 };
	int ret = 0;

	if (pmr_device_moved(device)) {
		pmr_say(ctx, PMR_ERROR, "record-dropped", device->name,
			"its device mapper table changed meanwhile, so that records of %" PRIu64
			" bytes that are still lost cannot be put back; until the next scrub or reboot it may be that no "
			"list names them",
			pmr_ranges_bytes(dead) + pmr_ranges_bytes(different));
		return 0;
	}
	for (size_t i = 0; !ret && i < device->n_lowers; i++) {
		down.n = other.n = 0;
		ret = pmr_pieces_to(device, device->lowers[i], dead, &down);
		if (!ret)
			ret = pmr_pieces_to(device, device->lowers[i], different, &other);
		if (!ret && (down.n || other.n))
			ret = pmr_record_keep(ctx, device->lowers[i], &down, &other);
	}
	pmr_ranges_release(&down);
	pmr_ranges_release(&other);
	return ret ? ret : pmr_device_refresh(ctx, device);
}

int pmr_record_missing(const struct pmr_device *device, const struct pmr_ranges *dead,
		       const struct pmr_ranges *different, struct pmr_ranges *missing)
{
	struct pmr_ranges listed = { 0 }, bad = { 0 };
	int ret;

	/* what was in no list is read as bad again; what can be read now says nothing any more */
	ret = pmr_ranges_subtract(&bad, dead, &device->reading.found);
	for (size_t i = 0; !ret && i < different->n; i++)
		ret = pmr_ranges_add(&bad, different->v[i].offset, different->v[i].length);
	pmr_ranges_normalize(&bad);
	/* under a --badblocks file the kernel's own list was not looked at: recorded twice is recorded once */
	if (!ret && !device->from_file)
		ret = pmr_ranges_subtract(&listed, &device->badblocks.ranges,
					  &device->reading.found);
	if (!ret)
		ret = pmr_ranges_subtract(missing, &bad, &listed);
	pmr_ranges_release(&listed);
	pmr_ranges_release(&bad);
	return ret;
}

int pmr_record_keep(struct pmr_ctx *ctx, struct pmr_device *device, const struct pmr_ranges *dead,
		    const struct pmr_ranges *different)
{
	struct pmr_ranges missing = { 0 };
	char attribute[128];
	int ret;

	if (device->n_lowers) {
		ret = pmr_ranges_subtract(&missing, dead, &device->reading.found);
		if (!ret)
			ret = keep_below(ctx, device, &missing, different);
		pmr_ranges_release(&missing);
		return ret;
	}
	/* other devices keep no list, or only their region does, which cannot be written */
	if (device->mode != PMR_MODE_FSDAX && device->mode != PMR_MODE_RAW)
		return 0;
	ret = pmr_record_missing(device, dead, different, &missing);
	if (ret || !missing.n)
		goto out;
	snprintf(attribute, sizeof(attribute), "/sys/block/%s/badblocks", device->name);
	ret = put_back(attribute, &missing);
	if (!ret)
		ret = pmr_device_refresh(ctx, device);
	if (ret)
		pmr_say(ctx, PMR_ERROR, "record-dropped", device->name,
			"the kernel has no record of %" PRIu64 " bytes at %" PRIu64
			" that are still lost, and it could not be put back: %s; until the next scrub or reboot "
			"no list names them",
			pmr_ranges_bytes(&missing), missing.v[0].offset, strerror(-ret));
	else if (!device->from_file)
		pmr_say(ctx, PMR_WARNING, "record-put-back", device->name,
			"the kernel had no record of %" PRIu64 " bytes at %" PRIu64
			" that are still lost: it was put back",
			pmr_ranges_bytes(&missing), missing.v[0].offset);
out:
	pmr_ranges_release(&missing);
	return ret == -ENOMEM ? ret : 0;
}
