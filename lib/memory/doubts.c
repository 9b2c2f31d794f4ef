/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Remembers which lists were once cut or full, until something has gone over all that they speak of. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "doubt.h"
#include "memory.h"
#include "state.h"

#define DOUBTS "doubts"
#define FILE_LIMIT 4096

/* Of a namespace's device, or of a region; the other is NULL. */
struct entry {
	struct pmr_device *device;
	struct pmr_region *region;
	char *name;
	struct pmr_doubt doubt;
};

struct pmr_doubts {
	struct pmr_ctx *ctx;
	const struct pmr_topology *topology;
	char *directory;
	char *boot; /* NULL where it cannot be known */
	struct entry *entries;
	size_t n_entries;
	int fd; /* -1 while there is no directory */
	bool is_locked; /* nobody else writes there */
	int lock_error; /* why not */
	bool told; /* that it cannot be read, or not be kept */
};

/* Who has no right to it runs without, and that is no news. */
static enum pmr_level level_of(int error)
{
	return error == -EACCES || error == -EPERM || error == -EROFS ? PMR_INFO : PMR_WARNING;
}

static void say_unreadable(struct pmr_doubts *doubts, int error)
{
	if (!doubts->told)
		pmr_say(doubts->ctx, level_of(error), "memory-unreadable", doubts->directory,
			"which lists of badblocks were once cut or full cannot be read: %s",
			strerror(-error));
	doubts->told = true;
}

static void say_not_kept(struct pmr_doubts *doubts, int error)
{
	if (!doubts->told)
		pmr_say(doubts->ctx, level_of(error), "memory-not-kept", doubts->directory,
			"which lists of badblocks were cut or full cannot be remembered: %s; later runs will not know that "
			"there may be more",
			strerror(-error));
	doubts->told = true;
}

/* Two at once would write into one file, and each undo what the other found. Return: 0; why it cannot be had. */
static int lock(struct pmr_doubts *doubts)
{
	if (!doubts->is_locked && !doubts->lock_error)
		doubts->lock_error = pmr_state_lock(doubts->fd);
	doubts->is_locked = !doubts->lock_error;
	return doubts->lock_error;
}

static void unlock(struct pmr_doubts *doubts)
{
	if (doubts->is_locked)
		pmr_state_unlock(doubts->fd);
	doubts->is_locked = false;
	doubts->lock_error = 0;
}

/* ---- one namespace, or one region */

static void get_now(const struct pmr_doubts *doubts, const struct entry *entry,
		    struct pmr_list_doubt *lists, struct pmr_doubt_now *now)
{
	*now = (struct pmr_doubt_now){ .boot = doubts->boot ? doubts->boot : "" };
	if (entry->device) {
		pmr_device_get_doubt(entry->device, lists);
		now->can_scrub = !pmr_device_scrubs(entry->device, &now->scrubs);
	} else {
		pmr_region_get_doubt(entry->region, lists);
		now->can_scrub = !pmr_region_scrubs(entry->region, &now->scrubs);
	}
	now->has_room = lists->has_room;
}

/* What cannot be known may be. */
static struct pmr_doubt assume(const struct pmr_doubts *doubts)
{
	struct pmr_doubt doubt = { .list = true, .region = true };

	snprintf(doubt.boot, sizeof(doubt.boot), "%s", doubts->boot ? doubts->boot : "");
	return doubt;
}

/* What is damaged says of nothing that it is not in doubt. Return: 0, -ENOMEM; what is unreadable was said. */
static int load(struct pmr_doubts *doubts, const struct entry *entry, struct pmr_doubt *doubt)
{
	size_t length = 0;
	char *text = NULL;
	int err;

	if (doubts->fd < 0)
		return 0;
	err = pmr_state_read(doubts->fd, entry->name, FILE_LIMIT, &text, &length, NULL);
	if (!err)
		err = pmr_doubt_parse(text, length, doubt);
	free(text);
	if (!err || err == -ENOENT || err == -ENOMEM)
		return err == -ENOMEM ? err : 0;
	if (err != -EBADMSG)
		say_unreadable(doubts, err);
	if (level_of(err) == PMR_WARNING)
		*doubt = assume(doubts);
	return 0;
}

/* Return: 0; why it could not be kept; -ENOMEM. */
static int store(struct pmr_doubts *doubts, const struct entry *entry)
{
	char *text = NULL;
	int err = 0;

	if (!pmr_doubt_is(&entry->doubt)) {
		err = doubts->fd < 0 ? 0 : lock(doubts);
		return err || doubts->fd < 0 ? err : pmr_state_remove(doubts->fd, entry->name);
	}
	text = pmr_doubt_format(&entry->doubt,
				entry->device ? entry->device->name : entry->region->name);
	if (!text)
		return -ENOMEM;
	if (doubts->fd < 0)
		err = pmr_state_open(doubts->directory, DOUBTS, true, &doubts->fd);
	if (!err)
		err = lock(doubts);
	if (!err)
		err = pmr_state_replace(doubts->fd, entry->name, text, strlen(text), time(NULL));
	free(text);
	return err;
}

static int keep(struct pmr_doubts *doubts, const struct entry *entry)
{
	int err = store(doubts, entry);

	if (err && err != -ENOMEM) {
		say_not_kept(doubts, err);
		err = 0;
	}
	return err;
}

/* The lists as they are now, after a scrub. */
static int settle(struct pmr_doubts *doubts, struct entry *entry)
{
	struct pmr_list_doubt lists;
	struct pmr_doubt_now now;
	int err;

	err = entry->device ? pmr_device_settle(doubts->ctx, entry->device)
			    : pmr_region_settle(entry->region);
	if (err)
		return err;
	get_now(doubts, entry, &lists, &now);
	entry->doubt = (struct pmr_doubt){ .list = lists.list, .region = lists.region };
	return keep(doubts, entry);
}

/* All of it was read, and what is bad in it is in the kernel's list: of what is not, the next run would not know. */
static bool is_read(const struct entry *entry, const struct pmr_list_doubt *lists)
{
	return entry->device && lists->list_has_room && pmr_device_is_read(entry->device) &&
	       !entry->device->reading.found.n;
}

static void set_doubt(const struct pmr_doubts *doubts, const struct entry *entry)
{
	if (entry->device)
		pmr_device_set_doubt(doubts->ctx, entry->device, entry->doubt.list,
				     entry->doubt.region);
	else if (pmr_doubt_is(&entry->doubt))
		pmr_region_set_doubt(doubts->ctx, entry->region);
}

static int update(struct pmr_doubts *doubts, struct entry *entry)
{
	struct pmr_doubt was = { 0 }, *doubt = &entry->doubt;
	struct pmr_list_doubt lists;
	struct pmr_doubt_now now;
	bool changed, had;
	int err;

	err = load(doubts, entry, &was);
	if (err)
		return err;
	if (pmr_doubt_is(&was))
		*doubt = was;
	get_now(doubts, entry, &lists, &now);
	if (pmr_doubt_is(doubt) && pmr_doubt_is_settled(doubt, &now))
		return settle(doubts, entry);
	had = pmr_doubt_is(doubt);
	changed = (lists.list && !doubt->list) || (lists.region && !doubt->region);
	/* what was in doubt of its region's list before it was made is so of one that has no other */
	doubt->list |= lists.list || (lists.region && !doubt->region && lists.is_region);
	doubt->region |= lists.region;
	if (doubt->list && is_read(entry, &lists)) {
		doubt->list = false;
		changed = had;
	}
	if (pmr_doubt_is(doubt))
		changed |= pmr_doubt_see(doubt, &now);
	set_doubt(doubts, entry);
	changed |= pmr_doubt_is(doubt) && !pmr_doubt_is(&was);
	return changed ? keep(doubts, entry) : 0;
}

/* ---- the whole */

/* By where it lies: numbers are given in the order in which regions are met. */
static char *name_region(const struct pmr_region *region)
{
	char *name;
	int length = region->resource == PMR_NO_ADDRESS
			     ? asprintf(&name, "%s-%" PRIu64, region->name, region->size)
			     : asprintf(&name, "region-%" PRIx64 "-%" PRIu64, region->resource,
					region->size);

	return length < 0 ? NULL : name;
}

/* Regions come first: a namespace goes by what is known of its region's list. */
static int add_entries(struct pmr_doubts *doubts, const struct pmr_topology *topology)
{
	doubts->entries =
		calloc(topology->n_regions + topology->n_devices + 1, sizeof(*doubts->entries));
	if (!doubts->entries)
		return -ENOMEM;
	for (size_t i = 0; i < topology->n_regions; i++) {
		struct entry *entry = &doubts->entries[doubts->n_entries];

		entry->region = topology->regions[i];
		entry->name = name_region(entry->region);
		if (!entry->name)
			return -ENOMEM;
		doubts->n_entries++;
	}
	for (size_t i = 0; i < topology->n_devices; i++) {
		struct entry *entry = &doubts->entries[doubts->n_entries];
		struct pmr_device *device = topology->devices[i];

		/* a disabled namespace shows neither its UUID nor its own list */
		if (!device->own || !device->ns_name || !device->enabled)
			continue;
		entry->device = device;
		entry->name = pmr_memory_name(device);
		if (!entry->name)
			return -ENOMEM;
		doubts->n_entries++;
	}
	return 0;
}

static int open_doubts(struct pmr_doubts *doubts)
{
	int err = pmr_state_open(doubts->directory, DOUBTS, false, &doubts->fd);

	if (!err || err == -ENOENT)
		return 0;
	say_unreadable(doubts, err);
	for (size_t i = 0; i < doubts->n_entries && level_of(err) == PMR_WARNING; i++)
		doubts->entries[i].doubt = assume(doubts);
	return 0;
}

int pmr_doubts_new(struct pmr_ctx *ctx, const struct pmr_topology *topology, const char *directory,
		   struct pmr_doubts **doubts)
{
	struct pmr_doubts *made = calloc(1, sizeof(*made));
	int err;

	if (!made)
		return -ENOMEM;
	made->ctx = ctx;
	made->topology = topology;
	made->fd = -1;
	made->boot = pmr_read_boot_id();
	made->directory = strdup(directory);
	err = made->directory ? add_entries(made, topology) : -ENOMEM;
	if (!err && made->n_entries)
		err = open_doubts(made);
	if (!err)
		err = pmr_doubts_update(made);
	if (err) {
		pmr_doubts_free(made);
		return err;
	}
	*doubts = made;
	return 0;
}

int pmr_doubts_update(struct pmr_doubts *doubts)
{
	int err = 0;

	/* from what is read to what is written; where it cannot be had, only what is to be written is told of */
	if (doubts->fd >= 0)
		lock(doubts);
	for (size_t i = 0; i < doubts->n_entries && !err; i++)
		if (!doubts->entries[i].device || !doubts->entries[i].device->from_file)
			err = update(doubts, &doubts->entries[i]);
	unlock(doubts);
	return err ? err : pmr_topology_compose(doubts->topology);
}

void pmr_doubts_free(struct pmr_doubts *doubts)
{
	if (!doubts)
		return;
	for (size_t i = 0; i < doubts->n_entries; i++)
		free(doubts->entries[i].name);
	free(doubts->entries);
	free(doubts->directory);
	free(doubts->boot);
	if (doubts->fd >= 0)
		close(doubts->fd);
	free(doubts);
}
