/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a repair changes in what is remembered of zeros: what it zeroed is remembered, what it restored is forgotten. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "state.h"
#include "zeroed.h"

/*
 * One file of a plan.
 * @before: its change time before the repair
 * @zeroed: normal, offsets in the file: zeros now, for all that is known
 * @restored: normal: written from a backup and read back equal
 */
struct change {
	struct pmr_file *file;
	const struct timespec *before;
	struct pmr_ranges zeroed;
	struct pmr_ranges restored;
};

struct timespec *pmr_zeros_before(const struct pmr_plan *plan)
{
	struct timespec *before = calloc(plan->n_files + 1, sizeof(*before));

	for (size_t i = 0; before && i < plan->n_files; i++)
		before[i] = plan->files[i].file->change_time;
	return before;
}

/* ---- what became of the losses */

/* Written, though it was not proved that this lasts: the list may have forgotten it all the same. */
static bool may_be_written(const struct pmr_loss *loss)
{
	static const char *const reasons[] = { "sync", "size", "unverified", "list-unknown" };

	if (loss->state != PMR_FAILED || !loss->method || !loss->reason)
		return false;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (!strcmp(loss->reason, reasons[i]))
			return true;
	return false;
}

static bool is_from(const struct pmr_loss *loss, const char *source)
{
	return loss->source && !strcmp(loss->source, source);
}

/* Of a device-dax what was cleared is stored, also where another part of the loss was left: those zeros are in no list. */
static bool is_stored_in_part(const struct pmr_file *file, const struct pmr_loss *loss)
{
	return file->whole_device && loss->method &&
	       (loss->state == PMR_FAILED || loss->state == PMR_SKIPPED);
}

static bool is_zeroed(const struct pmr_file *file, const struct pmr_loss *loss)
{
	if (loss->state == PMR_ZEROED)
		return true;
	return is_from(loss, "zero") && (may_be_written(loss) || is_stored_in_part(file, loss));
}

static int collect(struct change *change)
{
	const struct pmr_file *file = change->file;
	int ret = 0;

	for (size_t i = 0; i < file->n_losses && !ret; i++) {
		const struct pmr_loss *loss = &file->losses[i];
		uint64_t length = loss->length;

		/* what lies behind the end of a file is zero by rights */
		if (loss->offset >= file->size)
			continue;
		if (length > file->size - loss->offset)
			length = file->size - loss->offset;
		if (is_zeroed(file, loss))
			ret = pmr_ranges_add(&change->zeroed, loss->offset, length);
		else if (loss->state == PMR_REPAIRED && is_from(loss, "backup"))
			ret = pmr_ranges_add(&change->restored, loss->offset, length);
	}
	pmr_ranges_normalize(&change->zeroed);
	pmr_ranges_normalize(&change->restored);
	return ret;
}

/* ---- where zeros lie that a punch put elsewhere */

static int add_zeros(struct pmr_zeros *zeros, const struct pmr_loss *loss, uint64_t offset,
		     uint64_t length, uint64_t device_offset)
{
	const struct pmr_zeros_range range = {
		.at = { .offset = offset,
			.length = length,
			.device_offset = device_offset,
			.shared = loss->shared,
			.is_listed = true },
		.when = time(NULL),
	};

	return pmr_zeros_add(zeros, &range);
}

/* Return: 0 all of it was placed; 1 it cannot be told, and nothing was added behind @at; -ENOMEM. */
static int place_extents(int fd, const struct pmr_filesystem *filesystem, struct pmr_zeros *zeros,
			 const struct pmr_loss *loss, uint64_t *at, uint64_t end)
{
	struct pmr_extents *extents;
	uint64_t to, device_offset;
	struct pmr_extent e;
	int ret = 0;

	if (pmr_extents_open(fd, *at, end - *at, false, &extents))
		return 1;
	while (!ret && *at < end && pmr_extents_next(extents, &e) == 1) {
		to = e.offset + e.length < end ? e.offset + e.length : end;
		if (e.offset > *at || to <= *at || !pmr_extent_is_trusted(&e) ||
		    pmr_filesystem_to_device(filesystem, e.physical + (*at - e.offset),
					     &device_offset))
			break;
		ret = add_zeros(zeros, loss, *at, to - *at, device_offset);
		*at = to;
	}
	pmr_extents_close(extents);
	return ret ? ret : *at < end;
}

static int add_loss(const struct pmr_file *file, const struct pmr_loss *loss,
		    struct pmr_zeros *zeros)
{
	uint64_t at = loss->offset, end = loss->offset + loss->length;
	int fd = -1, ret = 1;

	if (end > file->size)
		end = file->size;
	if (loss->method && !strcmp(loss->method, "punch"))
		fd = pmr_file_open(AT_FDCWD, file->path, O_RDONLY);
	if (fd >= 0) {
		ret = place_extents(fd, file->filesystem, zeros, loss, &at, end);
		close(fd);
	}
	return ret == 1 ? add_zeros(zeros, loss, at, end - at,
				    loss->device_offset + (at - loss->offset))
			: ret;
}

/* ---- one file of the plan, and all that is remembered */

static bool is_same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool is_of(const struct pmr_zeros *zeros, const struct pmr_file *file)
{
	if (zeros->file.whole_device || file->whole_device)
		return zeros->file.whole_device && file->whole_device &&
		       pmr_zeros_are_on(zeros, file->filesystem->device);
	return zeros->file.inode == file->inode && zeros->file.generation == file->generation &&
	       is_same_text(zeros->file.filesystem_uuid, file->filesystem->uuid) &&
	       (file->filesystem->uuid ||
		is_same_text(zeros->device, pmr_device_lasting_name(file->filesystem->device)));
}

static int copy_text(const char *from, char **to)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

/* Where the file is: repairs may be told by names that mean nothing elsewhere. */
static int absolute_path(const char *path, char **absolute)
{
	char *directory;

	*absolute = realpath(path, NULL);
	if (*absolute)
		return 0;
	if (*path == '/')
		return copy_text(path, absolute);
	directory = getcwd(NULL, 0);
	if (!directory || asprintf(absolute, "%s/%s", directory, path) < 0)
		*absolute = NULL;
	free(directory);
	return *absolute ? 0 : -ENOMEM;
}

static int describe(struct pmr_zeros *zeros, const struct pmr_file *file)
{
	const struct pmr_device *device = file->filesystem->device;
	int ret;

	zeros->file.inode = file->inode;
	zeros->file.generation = file->generation;
	zeros->file.whole_device = file->whole_device;
	ret = absolute_path(file->path, &zeros->file.path);
	if (!ret && !file->whole_device)
		ret = copy_text(file->filesystem->uuid, &zeros->file.filesystem_uuid);
	if (!ret)
		ret = copy_text(pmr_device_lasting_name(device), &zeros->device);
	if (!ret)
		ret = copy_text(device->ns_name, &zeros->ns_name);
	return ret ? ret : copy_text(device->ns_uuid, &zeros->ns_uuid);
}

static bool is_taken(const struct pmr_zeros_list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->v[i].name, name))
			return true;
	return false;
}

/* A file that was not remembered, or was changed since then. */
static int add_entry(struct pmr_zeros_list *list, const struct pmr_file *file,
		     struct pmr_zeros_entry **entry)
{
	struct pmr_zeros zeros = { 0 };
	char *name = NULL;
	int ret;

	ret = describe(&zeros, file);
	for (unsigned int n = 1; !ret && !name; n++) {
		name = pmr_zeros_name(&zeros, n);
		if (!name)
			ret = -ENOMEM;
		else if (is_taken(list, name)) {
			free(name);
			name = NULL;
		}
	}
	if (!ret)
		ret = pmr_zeros_append(list, name, entry);
	if (ret)
		pmr_zeros_release(&zeros);
	else
		(*entry)->zeros = zeros;
	return ret;
}

/* Bytes that were just written are what they are, whatever happened to the rest of the file. */
static int forget(struct pmr_zeros_entry *entry, const struct change *change)
{
	int ret = pmr_zeros_remove(&entry->zeros, &change->restored, &entry->changed);

	return ret ? ret : pmr_zeros_remove(&entry->zeros, &change->zeroed, &entry->changed);
}

static int apply(struct pmr_zeros_list *list, const struct change *change)
{
	const struct pmr_file *file = change->file;
	struct pmr_zeros_entry *entry = NULL;
	int ret = 0;

	for (size_t i = 0; i < list->n && !ret; i++) {
		struct pmr_zeros_entry *old = &list->v[i];

		if (old->error || !is_of(&old->zeros, file))
			continue;
		ret = forget(old, change);
		/* the repair's own writes are no news */
		if (!pmr_is_same_time(&old->zeros.file.change_time, change->before))
			continue;
		entry = old;
		entry->changed |=
			!pmr_is_same_time(&entry->zeros.file.change_time, &file->change_time);
		entry->zeros.file.change_time = file->change_time;
	}
	if (ret || !change->zeroed.n)
		return ret;
	if (!entry)
		ret = add_entry(list, file, &entry);
	if (ret)
		return ret;
	entry->changed = true;
	entry->zeros.file.size = file->size;
	entry->zeros.file.change_time = file->change_time;
	for (size_t i = 0; i < file->n_losses && !ret; i++)
		if (is_zeroed(file, &file->losses[i]) && file->losses[i].offset < file->size)
			ret = add_loss(file, &file->losses[i], &entry->zeros);
	return ret;
}

/* ---- the whole */

static int keep(const char *directory, const struct change *changes, size_t n, bool make)
{
	struct pmr_zeros_list list = { 0 };
	int fd = -1, ret, error = 0;

	ret = pmr_zeros_open(directory, make, &fd);
	if (ret == -ENOENT && !make)
		return 0;
	if (!ret)
		ret = pmr_state_lock(fd);
	if (!ret)
		ret = pmr_zeros_load(fd, &list);
	for (size_t i = 0; i < n && !ret; i++)
		ret = apply(&list, &changes[i]);
	/* one that cannot be written says nothing of the next */
	for (size_t i = 0; i < list.n && !ret; i++)
		if (list.v[i].changed && !error)
			error = pmr_zeros_store(fd, &list.v[i]);
	pmr_zeros_list_release(&list);
	if (fd >= 0)
		close(fd);
	return ret ? ret : error;
}

static void say_not_kept(struct pmr_ctx *ctx, const char *directory, const struct change *changes,
			 size_t n, int error)
{
	const char *how;
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (!changes[i].zeroed.n)
			continue;
		any = true;
		/* by a report nobody can tell whether the bytes of a device-dax are somebody's by now */
		how = changes[i].file->whole_device
			      ? "write these bytes yourself, from an image"
			      : "'repair --ranges=REPORT --from-backup=PATH' restores them";
		pmr_say(ctx, PMR_WARNING, "zeroed-not-kept", changes[i].file->path,
			"%" PRIu64 " bytes are zeros now, the first at byte %" PRIu64
			", and that could not be noted in %s: %s; keep this report, which alone says where: %s",
			pmr_ranges_bytes(&changes[i].zeroed), changes[i].zeroed.v[0].offset,
			directory, strerror(-error), how);
	}
	if (!any)
		pmr_say(ctx, PMR_WARNING, "zeroed-not-kept", directory,
			"what was restored could not be noted: %s; scan and health may go on telling of zeros that are not there "
			"any more",
			strerror(-error));
}

int pmr_zeros_account_in(struct pmr_ctx *ctx, const char *directory, const struct pmr_plan *plan,
			 const struct timespec *before)
{
	struct change *changes = calloc(plan->n_files + 1, sizeof(*changes));
	bool make = false;
	size_t n = 0;
	int ret = changes ? 0 : -ENOMEM;

	for (size_t i = 0; i < plan->n_files && !ret; i++) {
		changes[n].file = plan->files[i].file;
		changes[n].before = &before[i];
		ret = collect(&changes[n]);
		make |= changes[n].zeroed.n;
		/* of what a resume found to be there already there are no steps */
		if (ret || plan->files[i].n_steps || changes[n].zeroed.n || changes[n].restored.n)
			n++;
	}
	if (!ret && n)
		ret = keep(directory, changes, n, make);
	if (ret && changes)
		say_not_kept(ctx, directory, changes, n, ret);
	while (n) {
		n--;
		pmr_ranges_release(&changes[n].zeroed);
		pmr_ranges_release(&changes[n].restored);
	}
	free(changes);
	return ret;
}

void pmr_zeros_account(struct pmr_ctx *ctx, const struct pmr_plan *plan,
		       const struct timespec *before)
{
	if (before)
		pmr_zeros_account_in(ctx, PMR_STATE_DIRECTORY, plan, before);
}
