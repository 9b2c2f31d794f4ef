/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Remembers the lists of all namespaces from one time to the next, and tells what vanished in between. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"
#include "repair/repair.h"
#include "core/state.h"

/*
 * One namespace.
 * @error: why what was remembered is not known: -EBADMSG (damaged), -ESTALE (of a namespace that was there before),
 *         or what reading it failed with; 0
 * @changed: what is remembered is to be written
 */
struct entry {
	struct pmr_device *device;
	char *name;
	char *path;
	struct pmr_remembered remembered;
	int error;
	bool changed;
};

struct pmr_memory {
	struct pmr_ctx *ctx;
	char *directory;
	int fd; /* -1 while there is no directory */
	struct entry *entries;
	size_t n_entries;
	struct pmr_vanished *vanished;
	size_t n_vanished;
	size_t alloc_vanished;
	int error; /* why nothing that was remembered could be looked at, or 0 */
	int store_error; /* the first time something could not be written, or 0 */
};

static const char *label(const struct pmr_device *device)
{
	return device->path ? device->path : device->name;
}

/* Who has no right to it runs without memory, and that is no news. */
static enum pmr_level level_of(int error)
{
	return error == -EACCES || error == -EPERM || error == -EROFS ? PMR_INFO : PMR_WARNING;
}

/* What is damaged or of another namespace is set aside and then nothing; what cannot be read is left. */
static bool is_left(const struct entry *entry)
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

static int load(const struct pmr_memory *memory, struct entry *entry)
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
static int describe(struct entry *entry)
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

/* Compares what is remembered with the lists as they were read last. */
static int look(const struct pmr_memory *memory, struct entry *entry)
{
	struct pmr_remembered *remembered = &entry->remembered;
	const struct pmr_device *device = entry->device;
	bool was_empty;
	int err;

	err = load(memory, entry);
	entry->changed = entry->error;
	if (err || is_left(entry))
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
		pmr_say(memory->ctx, level_of(error), "memory-not-kept", memory->directory,
			"the lists of badblocks cannot be remembered: %s; records that vanish will not be missed",
			strerror(-error));
	memory->store_error = error;
}

static void say_error(const struct pmr_memory *memory, const struct entry *entry)
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
		pmr_say(memory->ctx, level_of(entry->error), "memory-unreadable", entry->path,
			"what was remembered of the badblocks of %s cannot be read: %s",
			label(entry->device), strerror(-entry->error));
}

/* Under the lock. Return: 0; why it could not be written; -ENOMEM. */
static int store(struct pmr_memory *memory, struct entry *entry)
{
	int err = 0;

	entry->remembered.seen = time(NULL);
	if (entry->error)
		err = pmr_state_set_aside(memory->fd, entry->name);
	return err ? err : pmr_memory_store(memory->fd, entry->name, &entry->remembered);
}

/* Looks again, as the lists and what is remembered are at one moment, and writes what is new. */
static int keep(struct pmr_memory *memory, struct entry *entry)
{
	int err;

	err = pmr_device_refresh(memory->ctx, entry->device);
	if (!err)
		err = look(memory, entry);
	if (err || is_left(entry) || !entry->changed)
		return err;
	err = store(memory, entry);
	if (err && err != -ENOMEM) {
		say_store(memory, err);
		err = 0;
	}
	return err;
}

/* Holds the lock until close(). */
static int open_locked(struct pmr_memory *memory)
{
	int err = 0;

	if (memory->fd < 0)
		err = pmr_memory_open(memory->directory, true, &memory->fd);
	if (!err)
		err = pmr_state_lock(memory->fd);
	return err;
}

static int keep_changed(struct pmr_memory *memory)
{
	int err;

	err = open_locked(memory);
	if (err) {
		say_store(memory, err);
		return 0;
	}
	for (size_t i = 0; i < memory->n_entries && !err; i++)
		if (memory->entries[i].changed && !is_left(&memory->entries[i]))
			err = keep(memory, &memory->entries[i]);
	pmr_state_unlock(memory->fd);
	return err;
}

/* ---- what vanished */

static int add_vanished(struct pmr_memory *memory, const struct entry *entry, bool metadata)
{
	const struct pmr_recall *recall =
		metadata ? &entry->remembered.metadata : &entry->remembered.data;
	const char *name = metadata ? entry->device->ns_name : entry->device->name;
	int err;

	for (size_t i = 0; i < recall->n_gone; i++) {
		struct pmr_vanished one = {
			.device = entry->device,
			.metadata = metadata,
			.range = recall->gone[i].range,
			.seen = recall->gone[i].seen,
			.list = entry->path,
		};

		err = pmr_grow(&memory->vanished, memory->n_vanished, &memory->alloc_vanished,
			       sizeof(*memory->vanished));
		if (err)
			return err;
		if (asprintf(&one.id, "%s@%" PRIu64, name, one.range.offset) < 0)
			return -ENOMEM;
		memory->vanished[memory->n_vanished++] = one;
	}
	return 0;
}

static int collect(struct pmr_memory *memory)
{
	int err = 0;

	while (memory->n_vanished)
		free(memory->vanished[--memory->n_vanished].id);
	for (size_t i = 0; i < memory->n_entries && !err; i++) {
		err = add_vanished(memory, &memory->entries[i], false);
		if (!err)
			err = add_vanished(memory, &memory->entries[i], true);
	}
	return err;
}

/* ---- the whole */

static int add_entry(struct pmr_memory *memory, struct pmr_device *device)
{
	struct entry *entry = &memory->entries[memory->n_entries++];

	entry->device = device;
	entry->name = pmr_memory_name(device);
	if (!entry->name)
		return -ENOMEM;
	entry->path = pmr_memory_path(memory->directory, entry->name);
	return entry->path ? 0 : -ENOMEM;
}

/* A disabled namespace shows neither its UUID nor its own list. */
static bool is_remembered(const struct pmr_device *device)
{
	return device->ns_name && device->enabled && !device->from_file;
}

static int add_entries(struct pmr_memory *memory, const struct pmr_topology *topology)
{
	int err = 0;

	memory->entries = calloc(topology->n_devices + 1, sizeof(*memory->entries));
	if (!memory->entries)
		return -ENOMEM;
	for (size_t i = 0; i < topology->n_devices && !err; i++)
		if (is_remembered(topology->devices[i]))
			err = add_entry(memory, topology->devices[i]);
	return err;
}

static bool is_seen_again(const struct entry *entry)
{
	return !entry->changed && !entry->error &&
	       pmr_badblocks_shows_all(&entry->device->badblocks) &&
	       (entry->remembered.data.listed.n || entry->remembered.metadata.listed.n);
}

static int look_at_all(struct pmr_memory *memory)
{
	bool changed = false;
	int err = 0;

	for (size_t i = 0; i < memory->n_entries && !err; i++) {
		struct entry *entry = &memory->entries[i];

		err = look(memory, entry);
		changed |= !is_left(entry) && entry->changed;
		if (!err && is_seen_again(entry))
			pmr_memory_touch(memory->fd, entry->name);
	}
	if (!err && changed)
		err = keep_changed(memory);
	for (size_t i = 0; i < memory->n_entries && !err; i++)
		say_error(memory, &memory->entries[i]);
	return err ? err : collect(memory);
}

/* Where the directory is there and cannot be opened there is nothing to compare with. */
static int open_memory(struct pmr_memory *memory)
{
	int err;

	if (!memory->n_entries)
		return 0;
	err = pmr_memory_open(memory->directory, false, &memory->fd);
	if (!err || err == -ENOENT)
		return look_at_all(memory);
	pmr_say(memory->ctx, level_of(err), "memory-unreadable", memory->directory,
		"what was remembered of lists of badblocks cannot be read, so that records that vanish are not missed: %s",
		strerror(-err));
	memory->error = err;
	return 0;
}

int pmr_memory_new(struct pmr_ctx *ctx, const struct pmr_topology *topology, const char *directory,
		   struct pmr_memory **memory)
{
	struct pmr_memory *made = calloc(1, sizeof(*made));
	int err;

	if (!made)
		return -ENOMEM;
	made->ctx = ctx;
	made->fd = -1;
	made->directory = strdup(directory);
	err = made->directory ? add_entries(made, topology) : -ENOMEM;
	if (!err)
		err = open_memory(made);
	if (err) {
		pmr_memory_free(made);
		return err;
	}
	*memory = made;
	return 0;
}

size_t pmr_memory_vanished(const struct pmr_memory *memory, const struct pmr_vanished **vanished)
{
	*vanished = memory->vanished;
	return memory->n_vanished;
}

bool pmr_memory_is_known(const struct pmr_memory *memory)
{
	for (size_t i = 0; i < memory->n_entries; i++)
		if (memory->entries[i].error && memory->entries[i].error != -ESTALE)
			return false;
	return !memory->error;
}

/* Want of rights is another matter: there, others look. */
bool pmr_memory_is_lost(const struct pmr_memory *memory)
{
	for (size_t i = 0; i < memory->n_entries; i++) {
		int error = memory->entries[i].error;

		if (error && error != -ESTALE && level_of(error) == PMR_WARNING)
			return true;
	}
	return memory->error && level_of(memory->error) == PMR_WARNING;
}

bool pmr_memory_is_kept(const struct pmr_memory *memory)
{
	for (size_t i = 0; i < memory->n_entries; i++)
		if (is_left(&memory->entries[i]))
			return false;
	return !memory->error && !memory->store_error;
}

void pmr_memory_free(struct pmr_memory *memory)
{
	if (!memory)
		return;
	for (size_t i = 0; i < memory->n_entries; i++) {
		free(memory->entries[i].name);
		free(memory->entries[i].path);
		pmr_remembered_release(&memory->entries[i].remembered);
	}
	free(memory->entries);
	for (size_t i = 0; i < memory->n_vanished; i++)
		free(memory->vanished[i].id);
	free(memory->vanished);
	free(memory->directory);
	if (memory->fd >= 0)
		close(memory->fd);
	free(memory);
}

/* ---- acknowledging */

static bool is_called(const struct pmr_vanished *vanished, const char *id)
{
	const struct pmr_device *device = vanished->device;

	return !strcmp(id, vanished->id) || !strcmp(id, device->name) ||
	       !strcmp(id, device->ns_name) || (device->path && !strcmp(id, device->path));
}

/* What of an entry goes by that name: 0, -ENOMEM. */
static int select_gone(const struct pmr_memory *memory, const struct entry *entry, const char *id,
		       struct pmr_ranges *data, struct pmr_ranges *metadata)
{
	int err = 0;

	for (size_t i = 0; i < memory->n_vanished && !err; i++) {
		const struct pmr_vanished *one = &memory->vanished[i];

		if (one->device == entry->device && is_called(one, id))
			err = pmr_ranges_add(one->metadata ? metadata : data, one->range.offset,
					     one->range.length);
	}
	pmr_ranges_normalize(data);
	pmr_ranges_normalize(metadata);
	return err;
}

/* Under the lock: what another run wrote meanwhile stays, and what is listed again too. */
static int acknowledge_entry(struct pmr_memory *memory, struct entry *entry,
			     const struct pmr_ranges *data, const struct pmr_ranges *metadata)
{
	bool changed;
	int err;

	err = pmr_device_refresh(memory->ctx, entry->device);
	if (!err)
		err = look(memory, entry);
	if (err || entry->error)
		return err ? err : entry->error;
	err = pmr_recall_drop_gone(&entry->remembered.data, data, &changed);
	if (!err)
		err = pmr_recall_drop_gone(&entry->remembered.metadata, metadata, &changed);
	if (!err)
		err = store(memory, entry);
	if (err && err != -ENOMEM)
		look(memory, entry);
	return err;
}

int pmr_memory_acknowledge(struct pmr_memory *memory, const char *id)
{
	struct pmr_ranges data = { 0 }, metadata = { 0 };
	bool found = false;
	int err;

	for (size_t i = 0; i < memory->n_vanished; i++)
		found |= is_called(&memory->vanished[i], id);
	if (!found)
		return -ENOENT;
	err = open_locked(memory);
	for (size_t i = 0; i < memory->n_entries && !err; i++) {
		data.n = metadata.n = 0;
		err = select_gone(memory, &memory->entries[i], id, &data, &metadata);
		if (!err && (data.n || metadata.n))
			err = acknowledge_entry(memory, &memory->entries[i], &data, &metadata);
	}
	if (memory->fd >= 0)
		pmr_state_unlock(memory->fd);
	pmr_ranges_release(&data);
	pmr_ranges_release(&metadata);
	if (err == -ENOMEM)
		return err;
	return collect(memory) ? -ENOMEM : err;
}
