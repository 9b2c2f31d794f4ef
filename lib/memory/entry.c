/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compares what is remembered of one namespace with its lists as they are now, and writes what is new. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "memory.h"
#include "device/lock.h"
#include "state.h"

static const char *label(const struct pmr_device *device)
{
	return device->path ? device->path : device->name;
}

enum pmr_level pmr_memory_level(int error)
{
	return error == -EACCES || error == -EPERM || error == -EROFS ? PMR_INFO : PMR_WARNING;
}

bool pmr_memory_is_left(const struct pmr_memory_entry *entry)
{
	return entry->error && entry->error != -EBADMSG && entry->error != -ESTALE;
}

/* ---- comparing */

/*
 * What of the metadata is worth missing. When a namespace is enabled the kernel clears the poison in its page map, which
 * it then makes anew (nd_pfn_clear_memmap_errors()); ahead of that lies the info block.
 */
static uint64_t lasting_metadata(const struct pmr_device *device)
{
	return device->mode == PMR_MODE_FSDAX || device->mode == PMR_MODE_DEVDAX ? 8192
										 : UINT64_MAX;
}

static int look_at_list(const struct pmr_device *device, struct pmr_recall *recall,
			const struct pmr_badblocks *list, uint64_t lasting, time_t seen,
			bool *changed)
{
	struct pmr_ranges missing = { 0 };
	int err;

	err = pmr_recall_missing(recall, list, &missing);
	/* what a repair that is at work writes, it accounts for at its end */
	if (!err && missing.n && pmr_lock_is_held(device))
		missing.n = 0;
	if (!err)
		err = pmr_recall_update(recall, list, &missing, lasting, seen, changed);
	pmr_ranges_release(&missing);
	return err;
}

static int load(const struct pmr_memory *memory, struct pmr_memory_entry *entry)
{
	struct pmr_remembered *remembered = &entry->remembered;
	int err;

	pmr_remembered_release(remembered);
	entry->error = 0;
	err = memory->fd < 0 ? -ENOENT : pmr_memory_load(memory->fd, entry->name, remembered);
	if (err == -ENOMEM)
		return err;
	if (err && err != -ENOENT)
		entry->error = err;
	if (!err && !pmr_remembered_is_of(remembered, entry->device)) {
		pmr_remembered_release(remembered);
		entry->error = -ESTALE;
	}
	if (err || entry->error)
		remembered->data_offset = PMR_NO_ADDRESS;
	return 0;
}

/* What the device is called and where it lies; what is not known now stays as it was. */
static int describe(struct pmr_memory_entry *entry)
{
	const struct pmr_device *device = entry->device;
	struct pmr_remembered *remembered = &entry->remembered;
	bool incomplete = device->badblocks.trust == PMR_LIST_INCOMPLETE;
	char *name;

	if (device->badblocks.trust != PMR_LIST_UNKNOWN && remembered->incomplete != incomplete) {
		remembered->incomplete = incomplete;
		entry->changed = true;
	}
	if (device->size)
		remembered->size = device->size;
	if (device->data_offset != PMR_NO_ADDRESS)
		remembered->data_offset = device->data_offset;
	if (remembered->device && strcmp(remembered->device, device->name) == 0)
		return 0;
	name = strdup(device->name);
	if (!name)
		return -ENOMEM;
	free(remembered->device);
	remembered->device = name;
	entry->changed = true;
	return 0;
}

int pmr_memory_look(const struct pmr_memory *memory, struct pmr_memory_entry *entry)
{
	struct pmr_remembered *remembered = &entry->remembered;
	const struct pmr_device *device = entry->device;
	bool was_empty;
	int err;

	err = load(memory, entry);
	entry->changed = entry->error;
	if (err || pmr_memory_is_left(entry))
		return err;
	was_empty = pmr_remembered_is_empty(remembered);
	err = look_at_list(device, &remembered->data, &device->badblocks, UINT64_MAX,
			   remembered->seen, &entry->changed);
	if (!err)
		err = look_at_list(device, &remembered->metadata, &device->metadata_badblocks,
				   lasting_metadata(device), remembered->seen, &entry->changed);
	if (!err)
		err = describe(entry);
	/* of nothing there is no file */
	if (was_empty && pmr_remembered_is_empty(remembered) && !entry->error)
		entry->changed = false;
	return err;
}

/* ---- keeping */

static void say_store(struct pmr_memory *memory, int error)
{
	if (!memory->store_error)
		pmr_say(memory->ctx, pmr_memory_level(error), "memory-not-kept", memory->directory,
			"the lists of badblocks cannot be remembered: %s; records that vanish will not be missed",
			strerror(-error));
	memory->store_error = error;
}

void pmr_memory_say(const struct pmr_memory *memory, const struct pmr_memory_entry *entry)
{
	if (entry->error == -EBADMSG)
		pmr_say(memory->ctx, PMR_WARNING, "memory-malformed", entry->path,
			"what was remembered of the badblocks of %s is damaged, so that nobody knows whether records "
			"vanished; it is set aside as %s.bad",
			label(entry->device), entry->name);
	else if (entry->error == -ESTALE)
		pmr_say(memory->ctx, PMR_WARNING, "memory-void", entry->path,
			"%s has another size or data offset than when its badblocks were remembered: what was remembered "
			"does not count and is set aside as %s.bad",
			label(entry->device), entry->name);
	else if (entry->error == -EPROTONOSUPPORT)
		pmr_say(memory->ctx, PMR_WARNING, "memory-unreadable", entry->path,
			"was written by a later version of this program");
	else if (entry->error)
		pmr_say(memory->ctx, pmr_memory_level(entry->error), "memory-unreadable",
			entry->path,
			"what was remembered of the badblocks of %s cannot be read: %s",
			label(entry->device), strerror(-entry->error));
}

int pmr_memory_put(struct pmr_memory *memory, struct pmr_memory_entry *entry)
{
	int err = 0;

	entry->remembered.seen = time(NULL);
	if (entry->error)
		err = pmr_state_set_aside(memory->fd, entry->name);
	return err ? err : pmr_memory_store(memory->fd, entry->name, &entry->remembered);
}

/* Looks again, as the lists and what is remembered are at one moment, and writes what is new. */
static int keep(struct pmr_memory *memory, struct pmr_memory_entry *entry)
{
	int err;

	err = pmr_device_refresh(memory->ctx, entry->device);
	if (!err)
		err = pmr_memory_look(memory, entry);
	if (err || pmr_memory_is_left(entry) || !entry->changed)
		return err;
	err = pmr_memory_put(memory, entry);
	if (err && err != -ENOMEM) {
		say_store(memory, err);
		err = 0;
	}
	return err;
}

int pmr_memory_lock(struct pmr_memory *memory)
{
	int err = 0;

	if (memory->fd < 0)
		err = pmr_memory_open(memory->directory, true, &memory->fd);
	if (!err)
		err = pmr_state_lock(memory->fd);
	return err;
}

int pmr_memory_keep(struct pmr_memory *memory)
{
	int err;

	err = pmr_memory_lock(memory);
	if (err) {
		say_store(memory, err);
		return 0;
	}
	for (size_t i = 0; i < memory->n_entries && !err; i++)
		if (memory->entries[i].changed && !pmr_memory_is_left(&memory->entries[i]))
			err = keep(memory, &memory->entries[i]);
	pmr_state_unlock(memory->fd);
	return err;
}
