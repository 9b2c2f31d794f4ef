/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The records of a journal that are JSON, as they are written; journal-parse.c reads them. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "journal.h"

/**
 * struct telling - an object that is made
 * @object: NULL without memory
 * @failed: something of it could not be added, so that it is not to be had
 */
struct telling {
	struct json_object *object;
	bool failed;
};

static struct telling begin(void)
{
	return (struct telling){ .object = json_object_new_object() };
}

static struct json_object *end(const struct telling *t)
{
	if (!t->failed)
		return t->object;
	json_object_put(t->object);
	return NULL;
}

/* @value: NULL where there was no memory for it */
static void add(struct telling *t, const char *key, struct json_object *value)
{
	if (t->object && value && !json_object_object_add(t->object, key, value))
		return;
	json_object_put(value);
	t->failed = true;
}

/* @text: NULL for none */
static void add_text(struct telling *t, const char *key, const char *text)
{
	if (text)
		add(t, key, json_object_new_string(text));
	else if (!t->object || json_object_object_add(t->object, key, NULL))
		t->failed = true;
}

static void add_number(struct telling *t, const char *key, uint64_t number)
{
	add(t, key, json_object_new_uint64(number));
}

static void add_boolean(struct telling *t, const char *key, bool value)
{
	add(t, key, json_object_new_boolean(value));
}

static void add_boot(struct telling *t)
{
	char *boot = pmr_read_boot_id();

	add_text(t, "boot_id", boot);
	free(boot);
}

/* @list and @value: NULL where there was no memory. Return: the list; NULL, and both are gone */
static struct json_object *append(struct json_object *list, struct json_object *value)
{
	if (list && value && !json_object_array_add(list, value))
		return list;
	json_object_put(value);
	json_object_put(list);
	return NULL;
}

struct json_object *pmr_journal_tell_opening(const char *started, bool zero_fill, size_t n_planned)
{
	struct telling t = begin();
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	add_number(&t, "format_version", PMR_JOURNAL_VERSION);
	add_text(&t, "version", pmr_version());
	add_text(&t, "started_at", started);
	add_text(&t, "host", host);
	add_boot(&t);
	add_number(&t, "pid", (uint64_t)getpid());
	add_boolean(&t, "zero_fill", zero_fill);
	add_number(&t, "files", n_planned);
	return end(&t);
}

static struct json_object *loss_to_json(const struct pmr_loss *loss)
{
	struct telling t = begin();

	add_number(&t, "offset", loss->offset);
	add_number(&t, "length", loss->length);
	add_number(&t, "device_offset", loss->device_offset);
	add_text(&t, "state", pmr_state_name(loss->state));
	add_text(&t, "reason", loss->reason);
	add_text(&t, "source", loss->source);
	add_text(&t, "method", loss->method);
	add_boolean(&t, "vanished", loss->vanished);
	add_boolean(&t, "shared", loss->shared);
	add_boolean(&t, "unwritten", loss->unwritten);
	return end(&t);
}

static struct json_object *losses_to_json(const struct pmr_file *file)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; list && i < file->n_losses; i++)
		list = append(list, loss_to_json(&file->losses[i]));
	return list;
}

static struct json_object *step_to_json(const struct pmr_step *step)
{
	struct telling t = begin();

	add_number(&t, "offset", step->offset);
	add_number(&t, "length", step->length);
	add_number(&t, "device_offset", step->device_offset);
	add_text(&t, "method", pmr_method_name(step->method));
	return end(&t);
}

static struct json_object *steps_to_json(const struct pmr_file_plan *plan)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; list && i < plan->n_steps; i++)
		list = append(list, step_to_json(&plan->steps[i]));
	return list;
}

/* A part of a step, as far as it lies together. @length: then of that part; NULL without memory, or where it lies nowhere */
static struct json_object *part_to_json(const struct pmr_device *device, uint64_t at,
					uint64_t *length)
{
	struct pmr_device *lower;
	struct telling t;
	uint64_t place;

	if (!pmr_device_below(device, at, length, &lower, &place))
		return NULL;
	t = begin();
	add_number(&t, "offset", at);
	add_number(&t, "length", *length);
	add(&t, "device", json_object_new_string(pmr_device_identity(lower)));
	add_number(&t, "device_offset", place);
	return end(&t);
}

/* Where the steps lie below a volume, each part that lies together; all of them, or NULL: what is not told is not looked at. */
static struct json_object *below_to_json(const struct pmr_file_plan *plan)
{
	struct json_object *list = json_object_new_array();
	const struct pmr_device *device = plan->file->filesystem->device;
	uint64_t length;

	for (size_t i = 0; list && i < plan->n_steps; i++) {
		uint64_t at = plan->steps[i].device_offset, end = at + plan->steps[i].length;

		for (; at < end; at += length) {
			length = end - at;
			list = append(list, part_to_json(device, at, &length));
			if (!list)
				return NULL;
		}
	}
	return list;
}

static struct json_object *new_pair(struct json_object *first, struct json_object *second)
{
	struct json_object *pair = append(json_object_new_array_ext(2), first);

	return append(pair, second);
}

/* A pair for each sector. */
static struct json_object *around_to_json(const struct pmr_claim *claim)
{
	struct json_object *list = json_object_new_array();
	const struct pmr_journal_around *around;

	for (size_t i = 0; list && i < claim->n_around; i++) {
		around = &claim->around[i];
		list = append(list, new_pair(json_object_new_uint64(around->offset),
					     json_object_new_uint64(around->crc)));
	}
	return list;
}

/* as hexadecimal digits: it may hold any bytes */
static void add_capability(struct telling *t, const struct pmr_claim *claim)
{
	const unsigned char *bytes = claim->capability;
	char *digits = bytes ? malloc(2 * claim->capability_length + 1) : NULL;

	t->failed |= bytes && !digits;
	for (size_t i = 0; digits && i < claim->capability_length; i++)
		snprintf(digits + 2 * i, 3, "%02x", bytes[i]);
	add_text(t, "capability", digits);
	free(digits);
}

static struct json_object *time_to_json(const struct timespec *time)
{
	return new_pair(json_object_new_int64(time->tv_sec), json_object_new_int64(time->tv_nsec));
}

struct json_object *pmr_journal_tell_file(const struct pmr_file_plan *plan,
					  const struct pmr_claim *claim)
{
	const struct pmr_filesystem *fs = plan->file->filesystem;
	struct telling t = begin();

	add_number(&t, "inode", plan->file->inode);
	add_number(&t, "generation", plan->file->generation);
	add_number(&t, "size", plan->file->size);
	add(&t, "change_time", time_to_json(&claim->change_time));
	add_number(&t, "mode", claim->mode);
	add_capability(&t, claim);
	add_boolean(&t, "dax", plan->file->dax);
	add_boolean(&t, "in_use", plan->in_use);
	add_text(&t, "filesystem_type", fs->type);
	add_text(&t, "filesystem_uuid", fs->uuid);
	add_text(&t, "device", pmr_device_lasting_name(fs->device));
	add_text(&t, "namespace_uuid", fs->device->ns_uuid);
	add(&t, "losses", losses_to_json(plan->file));
	add(&t, "steps", steps_to_json(plan));
	if (fs->device->n_pieces)
		add(&t, "below", below_to_json(plan));
	if (plan->file->whole_device)
		add(&t, "around", around_to_json(claim));
	return end(&t);
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
	struct json_object *list = json_object_new_array_ext((int)n);
	struct telling t = begin();
	struct timespec now;

	/* the clock that change times are taken from */
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	for (size_t i = 0; list && i < n; i++)
		list = append(list, json_object_new_uint64(positions[i]));
	add_number(&t, "file", index);
	add_text(&t, "mark", pmr_mark_name(mark));
	add(&t, "pieces", list);
	add(&t, "time", time_to_json(&now));
	add_boot(&t);
	add(&t, "change_time", time_to_json(change_time));
	return end(&t);
}

struct json_object *pmr_journal_tell_outcome(const struct pmr_file *file, size_t index)
{
	struct telling t = begin();

	add_number(&t, "file", index);
	add(&t, "change_time", time_to_json(&file->change_time));
	add_boot(&t);
	add(&t, "losses", losses_to_json(file));
	return end(&t);
}
