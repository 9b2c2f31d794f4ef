/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of badblocks from a file, in place of the kernel's. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "private.h"
#include "topology.h"

/* 64 MiB of records is more than any device has; a wrong file is refused instead of read for ever. */
#define FILE_LIMIT ((size_t)64 << 20)

void pmr_badblocks_file_release(struct pmr_badblocks_file *file)
{
	free(file->device);
	pmr_badblocks_release(&file->list);
	memset(file, 0, sizeof(*file));
}

static void say_file_incomplete(struct pmr_ctx *ctx, const char *object, const char *reason,
				unsigned int line)
{
	if (strcmp(reason, "record-limit") == 0)
		pmr_say(ctx, PMR_WARNING, "badblocks-incomplete", object,
			"has %u records up to line %u, just as many as the kernel keeps: there may be more bad sectors",
			PMR_RECORD_LIMIT, line);
	else if (strcmp(reason, "noted") == 0)
		pmr_say(ctx, PMR_WARNING, "badblocks-incomplete", object,
			"says of itself that it is incomplete: there may be more bad sectors");
	else
		pmr_say(ctx, PMR_WARNING, "badblocks-incomplete", object,
			"ends in line %u where the page ends in which the kernel shows a list%s: there may be more "
			"bad sectors",
			line,
			strcmp(reason, "cut-line") == 0 ? ", and that line was left out" : "");
}

int pmr_badblocks_load(struct pmr_ctx *ctx, const char *path, struct pmr_badblocks_file *file)
{
	const char *object = strcmp(path, "-") == 0 ? "standard input" : path;
	struct pmr_badblocks_file made = { 0 };
	unsigned int line = 0;
	char *text = NULL;
	size_t length;
	int err;

	err = pmr_read_text(path, FILE_LIMIT, &text, &length);
	if (err) {
		pmr_say(ctx, PMR_ERROR, "badblocks-unreadable", object,
			"the list of badblocks cannot be read: %s", strerror(-err));
		return err;
	}
	err = pmr_badblocks_parse(text, length, &made, &line);
	if (err == -EINVAL)
		pmr_say(ctx, PMR_ERROR, "badblocks-malformed", object,
			"line %u is no record: expected a sector and a count above 0, both unsigned decimal, in "
			"%u-byte sectors",
			line, PMR_SECTOR);
	else if (err == -ERANGE)
		pmr_say(ctx, PMR_ERROR, "badblocks-malformed", object,
			"line %u lies past the end of the device, or its numbers are too large",
			line);
	if (err)
		goto out;
	/* a healthy device's list has no byte, and neither has what a program wrote that failed */
	if (!length && strcmp(path, "-") == 0)
		pmr_say(ctx, PMR_WARNING, "badblocks-empty", object,
			"gave nothing, so the list of badblocks is taken for empty: see that what should have written "
			"it did not fail");
	if (made.list.reason)
		say_file_incomplete(ctx, object, made.list.reason, line);
	made.list.source = strdup(object);
	if (!made.list.source) {
		err = -ENOMEM;
		goto out;
	}
	*file = made;
	memset(&made, 0, sizeof(made));
out:
	pmr_badblocks_file_release(&made);
	free(text);
	return err;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool pmr_device_is_named(const struct pmr_device *device, const char *name)
{
	struct stat st;

	if (device->devno && strchr(name, '/') && stat(name, &st) == 0 && S_ISBLK(st.st_mode))
		return st.st_rdev == device->devno;
	return strcmp(base_name(name), device->name) == 0 ||
	       (device->path && strcmp(name, device->path) == 0) ||
	       (device->ns_name && strcmp(name, device->ns_name) == 0) ||
	       (device->volume && strcmp(base_name(name), device->volume) == 0);
}

static int check_file(struct pmr_ctx *ctx, const struct pmr_device *device, const char *path,
		      const struct pmr_badblocks_file *file)
{
	const struct pmr_ranges *ranges = &file->list.ranges;
	const struct pmr_range *last = ranges->n ? &ranges->v[ranges->n - 1] : NULL;

	if (file->device && !pmr_device_is_named(device, file->device)) {
		pmr_say(ctx, PMR_ERROR, "badblocks-other-device", path,
			"was taken from %s, but the target lies on %s", file->device, device->name);
		return -EXDEV;
	}
	/* A disabled namespace has no size to compare with. */
	if (!device->size)
		return 0;
	if (file->size && file->size != device->size) {
		pmr_say(ctx, PMR_ERROR, "badblocks-other-size", path,
			"was taken from a device of %" PRIu64 " bytes, but %s has %" PRIu64,
			file->size, device->name, device->size);
		return -ERANGE;
	}
	if (last && last->offset + last->length > device->size) {
		pmr_say(ctx, PMR_ERROR, "badblocks-past-end", path,
			"the record \"%" PRIu64 " %" PRIu64
			"\" reaches past the end of %s, which has %" PRIu64 " sectors",
			last->offset / PMR_SECTOR, last->length / PMR_SECTOR, device->name,
			device->size / PMR_SECTOR);
		return -ERANGE;
	}
	return 0;
}

/* A list may be of a device that a mapped one lies on. */
static struct pmr_device *find_below(const struct pmr_device *device, const char *name)
{
	struct pmr_device *found = NULL;

	for (size_t i = 0; i < device->n_lowers && !found; i++) {
		found = find_below(device->lowers[i], name);
		if (!found && pmr_device_is_named(device->lowers[i], name))
			found = device->lowers[i];
	}
	return found;
}

int pmr_device_use_file(struct pmr_ctx *ctx, struct pmr_device *device, const char *path,
			const struct pmr_badblocks_file *file)
{
	struct pmr_badblocks made = { .trust = file->list.trust, .reason = file->list.reason };
	struct pmr_device *below = file->device ? find_below(device, file->device) : NULL;
	int err;

	if (below) {
		err = pmr_device_use_file(ctx, below, path, file);
		return err ? err : pmr_device_refresh(ctx, device);
	}
	err = check_file(ctx, device, path, file);
	if (err)
		return err;
	err = pmr_ranges_copy(&made.ranges, &file->list.ranges);
	if (err)
		return err;
	made.source = strdup(path);
	if (!made.source) {
		pmr_badblocks_release(&made);
		return -ENOMEM;
	}
	pmr_badblocks_release(&device->badblocks);
	device->badblocks = made;
	device->from_file = true;
	return 0;
}
