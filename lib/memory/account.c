/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes what was repaired out of what is remembered of a list. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"
#include "core/state.h"

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
	if (!err && changed)
		err = pmr_memory_store(fd, name, &remembered);
	pmr_remembered_release(&remembered);
	return err;
}

int pmr_memory_account_in(struct pmr_ctx *ctx, const char *directory,
			  const struct pmr_device *device, const struct pmr_ranges *repaired)
{
	struct pmr_ranges sectors = { 0 };
	char *name = NULL;
	int fd = -1, err;

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
