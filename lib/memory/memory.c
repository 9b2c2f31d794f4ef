/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Remembers the lists of all namespaces from one time to the next, and tells what vanished in between. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"
#include "state.h"

/* ---- what vanished */

static int add_vanished(struct pmr_memory *memory, const struct pmr_memory_entry *entry,
			bool metadata)
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
	struct pmr_memory_entry *entry = &memory->entries[memory->n_entries++];

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

static bool is_seen_again(const struct pmr_memory_entry *entry)
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
		struct pmr_memory_entry *entry = &memory->entries[i];

		err = pmr_memory_look(memory, entry);
		changed |= !pmr_memory_is_left(entry) && entry->changed;
		if (!err && is_seen_again(entry))
			pmr_memory_touch(memory->fd, entry->name);
	}
	if (!err && changed)
		err = pmr_memory_keep(memory);
	for (size_t i = 0; i < memory->n_entries && !err; i++)
		pmr_memory_say(memory, &memory->entries[i]);
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
	pmr_say(memory->ctx, pmr_memory_level(err), "memory-unreadable", memory->directory,
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

		if (error && error != -ESTALE && pmr_memory_level(error) == PMR_WARNING)
			return true;
	}
	return memory->error && pmr_memory_level(memory->error) == PMR_WARNING;
}

bool pmr_memory_is_kept(const struct pmr_memory *memory)
{
	for (size_t i = 0; i < memory->n_entries; i++)
		if (pmr_memory_is_left(&memory->entries[i]))
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
static int select_gone(const struct pmr_memory *memory, const struct pmr_memory_entry *entry,
		       const char *id, struct pmr_ranges *data, struct pmr_ranges *metadata)
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
static int acknowledge_entry(struct pmr_memory *memory, struct pmr_memory_entry *entry,
			     const struct pmr_ranges *data, const struct pmr_ranges *metadata)
{
	bool changed;
	int err;

	err = pmr_device_refresh(memory->ctx, entry->device);
	if (!err)
		err = pmr_memory_look(memory, entry);
	if (err || entry->error)
		return err ? err : entry->error;
	err = pmr_recall_drop_gone(&entry->remembered.data, data, &changed);
	if (!err)
		err = pmr_recall_drop_gone(&entry->remembered.metadata, metadata, &changed);
	if (!err)
		err = pmr_memory_put(memory, entry);
	if (err && err != -ENOMEM)
		pmr_memory_look(memory, entry);
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
	err = pmr_memory_lock(memory);
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
