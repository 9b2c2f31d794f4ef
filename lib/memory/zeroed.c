/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tells of the zeros that are remembered, until they are restored or acknowledged. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state.h"
#include "zeroed.h"

const char *pmr_zeroed_file_name(enum pmr_zeroed_file file)
{
	static const char *const names[] = {
		[PMR_ZEROED_FILE_UNKNOWN] = NULL,
		[PMR_ZEROED_FILE_SAME] = "same",
		[PMR_ZEROED_FILE_CHANGED] = "changed",
		[PMR_ZEROED_FILE_GONE] = "gone",
	};

	return (size_t)file < sizeof(names) / sizeof(names[0]) ? names[file] : NULL;
}

/* Who has no right to it runs without memory, and that is no news. */
static bool is_forbidden(int error)
{
	return error == -EACCES || error == -EPERM;
}

/* ---- the list */

static void release_zeroed(struct pmr_zeroes *zeroes)
{
	while (zeroes->n_zeroed)
		free(zeroes->zeroed[--zeroes->n_zeroed].id);
}

static int add_zeroed(struct pmr_zeroes *zeroes, const struct pmr_zeros_entry *entry,
		      const struct pmr_zeros_range *range)
{
	struct pmr_zeroed one = {
		.path = entry->zeros.file.path,
		.filesystem_uuid = entry->zeros.file.filesystem_uuid,
		.inode = entry->zeros.file.inode,
		.offset = range->at.offset,
		.length = range->at.length,
		.device = entry->zeros.device,
		.zeroed_at = range->when,
		.file = entry->now,
		.differences = entry->differences,
	};

	if (pmr_grow(&zeroes->zeroed, zeroes->n_zeroed, &zeroes->alloc_zeroed, sizeof(one)))
		return -ENOMEM;
	if (asprintf(&one.id, "%s@%" PRIu64, entry->name, one.offset) < 0)
		return -ENOMEM;
	zeroes->zeroed[zeroes->n_zeroed++] = one;
	return 0;
}

int pmr_zeroes_list(struct pmr_zeroes *zeroes)
{
	int ret = 0;

	release_zeroed(zeroes);
	for (size_t i = 0; i < zeroes->list.n && !ret; i++) {
		const struct pmr_zeros_entry *entry = &zeroes->list.v[i];

		for (size_t j = 0; j < entry->zeros.n_ranges && !entry->is_left_out && !ret; j++)
			ret = add_zeroed(zeroes, entry, &entry->zeros.ranges[j]);
	}
	return ret;
}

/* ---- reading */

static void say_error(const struct pmr_zeroes *zeroes, const struct pmr_zeros_entry *entry)
{
	char *path;

	if (asprintf(&path, "%s/zeroed/%s", zeroes->directory, entry->name) < 0)
		return;
	if (entry->error == -EBADMSG)
		pmr_say(zeroes->ctx, PMR_WARNING, "zeroed-malformed", path,
			"is damaged, so that nobody knows which bytes of inode and filesystem in its name a repair zeroed: "
			"compare that file with a backup, then give 'pmem-recover health --acknowledge=%s'",
			entry->name);
	else
		pmr_say(zeroes->ctx, PMR_WARNING, "zeroed-unreadable", path,
			"which bytes a repair zeroed cannot be read: %s",
			entry->error == -EPROTONOSUPPORT
				? "a later version of this program wrote it"
				: strerror(-entry->error));
	free(path);
}

static int load(struct pmr_zeroes *zeroes)
{
	int fd, ret;

	ret = pmr_zeros_open(zeroes->directory, false, &fd);
	if (!ret) {
		ret = pmr_zeros_load(fd, &zeroes->list);
		close(fd);
	}
	if (ret == -ENOENT)
		return 0;
	if (ret == -ENOMEM)
		return ret;
	zeroes->error = ret;
	if (ret)
		pmr_say(zeroes->ctx, is_forbidden(ret) ? PMR_INFO : PMR_WARNING,
			"zeroed-unreadable", zeroes->directory,
			"whether a repair zeroed bytes of files cannot be known: %s",
			strerror(-ret));
	return 0;
}

int pmr_zeroes_new(struct pmr_ctx *ctx, const char *directory, struct pmr_zeroes **zeroes)
{
	struct pmr_zeroes *made = calloc(1, sizeof(*made));
	int ret;

	if (!made)
		return -ENOMEM;
	made->ctx = ctx;
	made->directory = strdup(directory);
	ret = made->directory ? load(made) : -ENOMEM;
	for (size_t i = 0; i < made->list.n && !ret; i++)
		if (made->list.v[i].error)
			say_error(made, &made->list.v[i]);
	if (!ret)
		ret = pmr_zeroes_list(made);
	if (ret)
		pmr_zeroes_free(made);
	else
		*zeroes = made;
	return ret;
}

size_t pmr_zeroes_get(const struct pmr_zeroes *zeroes, const struct pmr_zeroed **zeroed)
{
	*zeroed = zeroes->zeroed;
	return zeroes->n_zeroed;
}

bool pmr_zeroes_is_known(const struct pmr_zeroes *zeroes)
{
	for (size_t i = 0; i < zeroes->list.n; i++)
		if (zeroes->list.v[i].error)
			return false;
	return !zeroes->error;
}

bool pmr_zeroes_is_lost(const struct pmr_zeroes *zeroes)
{
	return !pmr_zeroes_is_known(zeroes) && !is_forbidden(zeroes->error);
}

void pmr_zeroes_free(struct pmr_zeroes *zeroes)
{
	if (!zeroes)
		return;
	release_zeroed(zeroes);
	free(zeroes->zeroed);
	pmr_zeros_list_release(&zeroes->list);
	free(zeroes->directory);
	free(zeroes);
}

/* ---- acknowledging */

bool pmr_zeros_are_on(const struct pmr_zeros *zeros, const struct pmr_device *device)
{
	if (zeros->ns_uuid && device->ns_uuid)
		return !strcmp(zeros->ns_uuid, device->ns_uuid);
	return !zeros->ns_uuid == !device->ns_uuid &&
	       !strcmp(zeros->device, pmr_device_lasting_name(device));
}

/* By what the device is called now; by what it was called, where nothing else is called so. */
static bool is_on_device(const struct pmr_zeros *zeros, const struct pmr_topology *topology,
			 const char *id)
{
	const struct pmr_device *device = pmr_topology_find(topology, id);
	const char *name = !strncmp(id, "/dev/", 5) ? id + 5 : id;

	if (device)
		return pmr_zeros_are_on(zeros, device);
	return !strcmp(name, zeros->device) || (zeros->ns_name && !strcmp(id, zeros->ns_name));
}

static bool is_called(const struct pmr_zeros_entry *entry, const struct pmr_topology *topology,
		      const char *id)
{
	if (!strcmp(id, entry->name))
		return true;
	return !entry->error &&
	       (!strcmp(id, entry->zeros.file.path) || is_on_device(&entry->zeros, topology, id));
}

/* Whether an id is of one range of an entry. */
static bool is_range(const struct pmr_zeros_entry *entry, const struct pmr_zeros_range *range,
		     const char *id)
{
	size_t length = strlen(entry->name);
	char offset[32];

	snprintf(offset, sizeof(offset), "@%" PRIu64, range->at.offset);
	return !strncmp(id, entry->name, length) && !strcmp(id + length, offset);
}

/* What of an entry goes by that name. */
static int select_ranges(const struct pmr_zeros_entry *entry, const struct pmr_topology *topology,
			 const char *id, struct pmr_ranges *ranges)
{
	bool all = is_called(entry, topology, id);
	int ret = 0;

	ranges->n = 0;
	for (size_t i = 0; i < entry->zeros.n_ranges && !ret; i++) {
		const struct pmr_zeros_range *range = &entry->zeros.ranges[i];

		if (all || is_range(entry, range, id))
			ret = pmr_ranges_add(ranges, range->at.offset, range->at.length);
	}
	pmr_ranges_normalize(ranges);
	return ret;
}

static struct pmr_zeros_entry *find_entry(struct pmr_zeros_list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->v[i].name, name))
			return &list->v[i];
	return NULL;
}

/* What another run wrote meanwhile stays. */
static int forget(int fd, struct pmr_zeros_list *fresh, const struct pmr_zeros_entry *seen,
		  const struct pmr_ranges *ranges)
{
	struct pmr_zeros_entry *entry = find_entry(fresh, seen->name);
	bool changed = false;
	int ret;

	if (!entry)
		return 0;
	if (seen->error)
		return entry->error ? pmr_state_set_aside(fd, entry->name) : -EBUSY;
	if (entry->error)
		return entry->error;
	ret = pmr_zeros_remove(&entry->zeros, ranges, &changed);
	return ret || !changed ? ret : pmr_zeros_store(fd, entry);
}

static int forget_all(struct pmr_zeroes *zeroes, const struct pmr_topology *topology,
		      const char *id, int fd, struct pmr_zeros_list *fresh)
{
	struct pmr_ranges ranges = { 0 };
	bool found = false;
	int ret = 0;

	for (size_t i = 0; i < zeroes->list.n && !ret; i++) {
		const struct pmr_zeros_entry *entry = &zeroes->list.v[i];

		ret = select_ranges(entry, topology, id, &ranges);
		if (ret || (!ranges.n && !(entry->error && !strcmp(id, entry->name))))
			continue;
		found = true;
		ret = forget(fd, fresh, entry, &ranges);
	}
	pmr_ranges_release(&ranges);
	return ret || found ? ret : -ENOENT;
}

int pmr_zeroes_acknowledge(struct pmr_zeroes *zeroes, const struct pmr_topology *topology,
			   const char *id)
{
	struct pmr_zeros_list fresh = { 0 };
	int fd = -1, ret;

	ret = pmr_zeros_open(zeroes->directory, false, &fd);
	if (!ret)
		ret = pmr_state_lock(fd);
	if (!ret)
		ret = pmr_zeros_load(fd, &fresh);
	if (!ret)
		ret = forget_all(zeroes, topology, id, fd, &fresh);
	pmr_zeros_list_release(&fresh);
	if (!ret)
		ret = pmr_zeros_load(fd, &fresh);
	if (fd >= 0)
		close(fd);
	if (ret) {
		pmr_zeros_list_release(&fresh);
		return ret;
	}
	pmr_zeros_list_release(&zeroes->list);
	zeroes->list = fresh;
	return pmr_zeroes_list(zeroes);
}
