/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The records of a journal that are JSON, as they are written; journal-parse.c reads them. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "journal.h"

static void add(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add(object, key, value);
}

static struct json_object *new_text(const char *text)
{
	return text ? json_object_new_string(text) : NULL;
}

static void add_boot(struct json_object *object)
{
	char *boot = pmr_read_boot_id();

	add(object, "boot_id", new_text(boot));
	free(boot);
}

struct json_object *pmr_journal_tell_opening(const char *started, bool zero_fill, size_t n_planned)
{
	struct json_object *object = json_object_new_object();
	char host[256] = "";

	if (!object)
		return NULL;
	gethostname(host, sizeof(host) - 1);
	add(object, "format_version", json_object_new_int(PMR_JOURNAL_VERSION));
	add(object, "version", json_object_new_string(pmr_version()));
	add(object, "started_at", json_object_new_string(started));
	add(object, "host", json_object_new_string(host));
	add_boot(object);
	add(object, "pid", json_object_new_int64(getpid()));
	add(object, "zero_fill", json_object_new_boolean(zero_fill));
	add(object, "files", json_object_new_uint64(n_planned));
	return object;
}

static struct json_object *losses_to_json(const struct pmr_file *file)
{
	struct json_object *list = json_object_new_array(), *one;
	const struct pmr_loss *loss;

	for (size_t i = 0; list && i < file->n_losses; i++) {
		loss = &file->losses[i];
		one = json_object_new_object();
		if (!one)
			break;
		add(one, "offset", json_object_new_uint64(loss->offset));
		add(one, "length", json_object_new_uint64(loss->length));
		add(one, "device_offset", json_object_new_uint64(loss->device_offset));
		add(one, "state", json_object_new_string(pmr_state_name(loss->state)));
		add(one, "reason", new_text(loss->reason));
		add(one, "source", new_text(loss->source));
		add(one, "method", new_text(loss->method));
		add(one, "vanished", json_object_new_boolean(loss->vanished));
		add(one, "shared", json_object_new_boolean(loss->shared));
		add(one, "unwritten", json_object_new_boolean(loss->unwritten));
		json_object_array_add(list, one);
	}
	return list;
}

static struct json_object *steps_to_json(const struct pmr_file_plan *plan)
{
	struct json_object *list = json_object_new_array(), *one;

	for (size_t i = 0; list && i < plan->n_steps; i++) {
		one = json_object_new_object();
		if (!one)
			break;
		add(one, "offset", json_object_new_uint64(plan->steps[i].offset));
		add(one, "length", json_object_new_uint64(plan->steps[i].length));
		add(one, "device_offset", json_object_new_uint64(plan->steps[i].device_offset));
		add(one, "method", json_object_new_string(pmr_method_name(plan->steps[i].method)));
		json_object_array_add(list, one);
	}
	return list;
}

/* A part of a step, as far as it lies together. @length: then of that part; NULL without memory, or where it lies nowhere */
static struct json_object *part_to_json(const struct pmr_device *device, uint64_t at,
					uint64_t *length)
{
	struct json_object *one, *name;
	struct pmr_device *lower;
	uint64_t place;

	if (!pmr_device_below(device, at, length, &lower, &place))
		return NULL;
	one = json_object_new_object();
	name = new_text(pmr_device_identity(lower));
	if (!one || !name) {
		json_object_put(name);
		json_object_put(one);
		return NULL;
	}
	add(one, "offset", json_object_new_uint64(at));
	add(one, "length", json_object_new_uint64(*length));
	add(one, "device", name);
	add(one, "device_offset", json_object_new_uint64(place));
	return one;
}

/* Where the steps lie below a volume, each part that lies together; all of them, or NULL: what is not told is not looked at. */
static struct json_object *below_to_json(const struct pmr_file_plan *plan)
{
	struct json_object *list = json_object_new_array(), *one;
	const struct pmr_device *device = plan->file->filesystem->device;
	uint64_t length;

	for (size_t i = 0; list && i < plan->n_steps; i++) {
		uint64_t at = plan->steps[i].device_offset, end = at + plan->steps[i].length;

		for (; at < end; at += length) {
			length = end - at;
			one = part_to_json(device, at, &length);
			if (!one || json_object_array_add(list, one) < 0) {
				json_object_put(one);
				json_object_put(list);
				return NULL;
			}
		}
	}
	return list;
}

/* A pair for each sector. */
static struct json_object *around_to_json(const struct pmr_claim *claim)
{
	struct json_object *list = json_object_new_array(), *pair;

	for (size_t i = 0; list && i < claim->n_around; i++) {
		pair = json_object_new_array_ext(2);
		if (!pair)
			break;
		json_object_array_add(pair, json_object_new_uint64(claim->around[i].offset));
		json_object_array_add(pair, json_object_new_uint64(claim->around[i].crc));
		json_object_array_add(list, pair);
	}
	return list;
}

/* as hexadecimal digits: it may hold any bytes */
static struct json_object *capability_to_json(const struct pmr_claim *claim)
{
	const unsigned char *bytes = claim->capability;
	struct json_object *text;
	char *digits;

	if (!bytes)
		return NULL;
	digits = malloc(2 * claim->capability_length + 1);
	if (!digits)
		return NULL;
	for (size_t i = 0; i < claim->capability_length; i++)
		snprintf(digits + 2 * i, 3, "%02x", bytes[i]);
	text = json_object_new_string(digits);
	free(digits);
	return text;
}

static struct json_object *time_to_json(const struct timespec *time)
{
	struct json_object *pair = json_object_new_array_ext(2);

	if (pair) {
		json_object_array_add(pair, json_object_new_int64(time->tv_sec));
		json_object_array_add(pair, json_object_new_int64(time->tv_nsec));
	}
	return pair;
}

struct json_object *pmr_journal_tell_file(const struct pmr_file_plan *plan,
					  const struct pmr_claim *claim)
{
	const struct pmr_filesystem *fs = plan->file->filesystem;
	struct json_object *object = json_object_new_object(), *below = NULL;

	if (!object)
		return NULL;
	if (fs->device->n_pieces) {
		below = below_to_json(plan);
		if (!below) {
			json_object_put(object);
			return NULL;
		}
	}
	add(object, "inode", json_object_new_uint64(plan->file->inode));
	add(object, "generation", json_object_new_uint64(plan->file->generation));
	add(object, "size", json_object_new_uint64(plan->file->size));
	add(object, "change_time", time_to_json(&claim->change_time));
	add(object, "mode", json_object_new_int64(claim->mode));
	add(object, "capability", capability_to_json(claim));
	add(object, "dax", json_object_new_boolean(plan->file->dax));
	add(object, "in_use", json_object_new_boolean(plan->in_use));
	add(object, "filesystem_type", new_text(fs->type));
	add(object, "filesystem_uuid", new_text(fs->uuid));
	add(object, "device", new_text(pmr_device_lasting_name(fs->device)));
	add(object, "namespace_uuid", new_text(fs->device->ns_uuid));
	add(object, "losses", losses_to_json(plan->file));
	add(object, "steps", steps_to_json(plan));
	if (below)
		add(object, "below", below);
	if (plan->file->whole_device)
		add(object, "around", around_to_json(claim));
	return object;
}

const char *pmr_mark_name(enum pmr_mark mark)
{
	static const char *const names[] = {
		[PMR_MARK_NONE] = "none",
		[PMR_MARK_OPEN] = "open",
		[PMR_MARK_DONE] = "done",
	};

	return names[mark];
}

struct json_object *pmr_journal_tell_mark(size_t index, enum pmr_mark mark,
					  const uint64_t *positions, size_t n,
					  const struct timespec *change_time)
{
	struct json_object *object = json_object_new_object();
	struct json_object *list = json_object_new_array_ext((int)n);
	struct timespec now;

	if (!object || !list) {
		json_object_put(object);
		json_object_put(list);
		return NULL;
	}
	/* the clock that change times are taken from */
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	for (size_t i = 0; i < n; i++)
		json_object_array_add(list, json_object_new_uint64(positions[i]));
	add(object, "file", json_object_new_uint64(index));
	add(object, "mark", json_object_new_string(pmr_mark_name(mark)));
	add(object, "pieces", list);
	add(object, "time", time_to_json(&now));
	add_boot(object);
	add(object, "change_time", time_to_json(change_time));
	return object;
}

struct json_object *pmr_journal_tell_outcome(const struct pmr_file *file, size_t index)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	add(object, "file", json_object_new_uint64(index));
	add(object, "change_time", time_to_json(&file->change_time));
	add_boot(object);
	add(object, "losses", losses_to_json(file));
	return object;
}
