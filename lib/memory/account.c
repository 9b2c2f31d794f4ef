/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes what was repaired out of what is remembered of a list. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"
#include "state.h"
#include "device/topology.h"

/* A sector of which any byte was written was written whole. */
static int to_sectors(const struct pmr_ranges *ranges, struct pmr_ranges *sectors)
{
	int err = 0;

	for (size_t i = 0; i < ranges->n && !err; i++) {
		const struct pmr_range *range = &ranges->v[i];
		uint64_t first = range->offset / PMR_SECTOR;
		uint64_t end = (range->offset + range->length - 1) / PMR_SECTOR + 1;

		err = pmr_ranges_add(sectors, first * PMR_SECTOR, (end - first) * PMR_SECTOR);
	}
	pmr_ranges_normalize(sectors);
	return err;
}

/*
 * A BTT has a bad block cleared once nothing is in it any more: as soon as a repair has written what was there to another,
 * which lies where only its map says. Of its blocks, nothing that went meanwhile is missed.
 */
static int forget_blocks(struct pmr_recall *recall, const struct pmr_device *device, bool *changed)
{
	const struct pmr_badblocks *list = &device->metadata_badblocks;
	struct pmr_ranges gone = { 0 }, blocks = { 0 };
	int err = 0;

	if (device->enabled && device->mode == PMR_MODE_SECTOR && list->trust == PMR_LIST_COMPLETE)
		err = pmr_ranges_subtract(&gone, &recall->listed, &list->ranges);
	for (size_t i = 0; i < gone.n && !err; i++) {
		uint64_t at = gone.v[i].offset, end = at + gone.v[i].length, until;

		for (; at < end && at < device->ns_size && !err; at = until) {
			bool is_block = pmr_namespace_part(device, at, &until) == PMR_PART_BTT_DATA;

			if (until > end)
				until = end;
			if (is_block)
				err = pmr_ranges_add(&blocks, at, until - at);
		}
	}
	pmr_ranges_normalize(&blocks);
	if (!err && blocks.n)
		err = pmr_recall_forget(recall, &blocks, changed);
	pmr_ranges_release(&gone);
	pmr_ranges_release(&blocks);
	return err;
}

/* Under the lock. What cannot be read or is of another namespace is for pmr_memory_new() to say. */
static int forget(int fd, const char *name, const struct pmr_device *device,
		  const struct pmr_ranges *sectors)
{
	struct pmr_remembered remembered = { 0 };
	bool changed = false;
	int err;

	err = pmr_memory_load(fd, name, &remembered);
	if (err)
		return err == -ENOMEM ? err : 0;
	if (pmr_remembered_is_of(&remembered, device))
		err = pmr_recall_forget(&remembered.data, sectors, &changed);
	if (!err && pmr_remembered_is_of(&remembered, device))
		err = forget_blocks(&remembered.metadata, device, &changed);
	if (!err && changed)
		err = pmr_memory_store(fd, name, &remembered);
	pmr_remembered_release(&remembered);
	return err;
}

/* The lists that are remembered are those of the devices below. */
static int account_below(struct pmr_ctx *ctx, const char *directory,
			 const struct pmr_device *device, const struct pmr_ranges *repaired)
{
	struct pmr_ranges down = { 0 };
	int err = 0;

	/* Which of their records they were is not known any more. */
	if (pmr_device_moved(device))
		return 0;
	for (size_t i = 0; i < device->n_lowers && !err; i++) {
		down.n = 0;
		err = pmr_pieces_to(device, device->lowers[i], repaired, &down);
		if (!err)
			err = pmr_memory_account_in(ctx, directory, device->lowers[i], &down);
	}
	pmr_ranges_release(&down);
	return err;
}

int pmr_memory_account_in(struct pmr_ctx *ctx, const char *directory,
			  const struct pmr_device *device, const struct pmr_ranges *repaired)
{
	struct pmr_ranges sectors = { 0 };
	char *name = NULL;
	int fd = -1, err;

	if (device->n_lowers)
		return account_below(ctx, directory, device, repaired);
	if (!device->ns_name || !repaired->n)
		return 0;
	err = pmr_memory_open(directory, false, &fd);
	if (err == -ENOENT)
		return 0;
	if (!err)
		err = pmr_state_lock(fd);
	if (!err)
		err = to_sectors(repaired, &sectors);
	name = err ? NULL : pmr_memory_name(device);
	if (!err)
		err = name ? forget(fd, name, device, &sectors) : -ENOMEM;
	if (err && err != -ENOMEM)
		pmr_say(ctx, PMR_WARNING, "memory-not-kept", directory,
			"that %s was repaired cannot be noted: %s; health will tell of records that vanished",
			device->name, strerror(-err));
	free(name);
	pmr_ranges_release(&sectors);
	if (fd >= 0)
		close(fd);
	return err;
}

int pmr_memory_account(struct pmr_ctx *ctx, const struct pmr_device *device,
		       const struct pmr_ranges *repaired)
{
	return pmr_memory_account_in(ctx, PMR_STATE_DIRECTORY, device, repaired);
}
