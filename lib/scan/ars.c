/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads what the last scrub of a bus found and no list has: what fails is bad, the rest was cleared since. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"
#include "device/ars.h"
#include "device/topology.h"
#include "media/sweep.h"

/* Much more than a device with so much poison lives to see; all of it is read where that was asked for (--read). */
#define MOST_READ (UINT64_C(64) << 20)

/* Each bus is asked once; where it has nothing to say of a region, it is asked of the next. */
struct asker {
	struct pmr_scanner *scanner;
	const struct pmr_bus *bus;
	struct pmr_ars ars;
	bool is_of_bus; /* the answer */
	bool told; /* why there is none of this bus */
	bool changed; /* lists that a volume's are made of */
};

static const char *label(const struct pmr_device *device)
{
	return device->path ? device->path : device->name;
}

/* ---- asking */

static void say_failed(struct pmr_ctx *ctx, const struct pmr_bus *bus, const struct pmr_ars *ars)
{
	if (ars->status)
		pmr_say(ctx, PMR_WARNING, "ars-unread", bus->name,
			"what its last scrub found cannot be read: its firmware answers with status %#" PRIx32
			"; the lists are believed without it",
			ars->status);
	else
		pmr_say(ctx, PMR_WARNING, "ars-unread", bus->name,
			"what its last scrub found cannot be read: %s; the lists are believed without it",
			strerror(-ars->error));
}

static void say_answer(struct pmr_ctx *ctx, const struct pmr_bus *bus, const struct pmr_ars *ars)
{
	if (ars->state == PMR_ARS_REFUSED)
		pmr_say(ctx, PMR_INFO, "ars-unread", bus->name,
			"what its last scrub found is not looked at: only root may ask");
	else if (ars->state == PMR_ARS_RUNNING)
		pmr_say(ctx, PMR_INFO, "ars-running", bus->name,
			"a scrub is running, or the bus is busy: what its last one found is not to be had meanwhile");
	else if (ars->state == PMR_ARS_FAILED)
		say_failed(ctx, bus, ars);
	else if (ars->state == PMR_ARS_CUT)
		pmr_say(ctx, PMR_WARNING, "ars-cut", bus->name,
			"its last scrub found more than it told of: there may be more poison; scrub it again (scan --scrub)");
	if (ars->odd)
		pmr_say(ctx, PMR_WARNING, "ars-malformed", bus->name,
			"of the records of its last scrub %" PRIu64
			" make no sense and are left out",
			ars->odd);
}

static int ask(struct asker *asker, const struct pmr_device *device)
{
	struct pmr_ars_answer answer = { 0 };
	int ret;

	if (asker->bus != device->region->bus)
		asker->told = asker->is_of_bus = false;
	if (asker->is_of_bus)
		return 0;
	pmr_ars_release(&asker->ars);
	ret = pmr_ars_ask(device, &answer);
	if (!ret)
		ret = pmr_ars_judge(&answer, &asker->ars);
	free(answer.records);
	if (ret)
		return ret;
	asker->bus = device->region->bus;
	asker->is_of_bus = answer.is_of_bus;
	if (asker->is_of_bus || !asker->told)
		say_answer(asker->scanner->ctx, asker->bus, &asker->ars);
	asker->told |= asker->ars.state != PMR_ARS_NONE;
	return 0;
}

/* ---- reading */

/*
 * One place. The kernel may put what fails into its list, and then all else that its bus knows, as an NFIT's does: no more than
 * is needed is read.
 */
static int read_place(struct asker *asker, struct pmr_device *device, struct pmr_media *media,
		      const struct pmr_ranges *place, int *stopped)
{
	const struct pmr_sweep_options options = { .object = label(device) };
	struct pmr_sweep_result result = { 0 };
	int ret;

	ret = pmr_sweep(asker->scanner->ctx, media, place, &device->badblocks.ranges, &options,
			&result);
	*stopped = ret == -EINVAL ? -ENODEV : result.stopped;
	if (ret == -EINVAL)
		ret = 0;
	device->reading.ars_bytes += pmr_ranges_bytes(&result.found);
	if (!ret && result.done.n)
		ret = pmr_reading_add(device, &result.done, &result.found);
	if (!ret && result.found.n)
		ret = pmr_device_refresh(asker->scanner->ctx, device);
	if (!ret && result.found.n)
		ret = pmr_read_leave_offlined(device);
	pmr_sweep_release(&result);
	return ret;
}

/* What of a place is not known by now. */
static int leave_known(const struct pmr_device *device, const struct pmr_range *place,
		       struct pmr_ranges *todo)
{
	struct pmr_ranges all = { 0 }, unlisted = { 0 };
	int ret;

	todo->n = 0;
	ret = pmr_ranges_add(&all, place->offset, place->length);
	if (!ret)
		ret = pmr_ranges_subtract(&unlisted, &all, &device->badblocks.ranges);
	if (!ret)
		ret = pmr_ranges_subtract(todo, &unlisted, &device->reading.done);
	pmr_ranges_release(&all);
	pmr_ranges_release(&unlisted);
	return ret;
}

/*
 * @left: gains, normal, what was not read
 * @why: negative errno why not; -EFBIG: it is too much
 */
static int read_places(struct asker *asker, struct pmr_device *device, struct pmr_media *media,
		       const struct pmr_ranges *places, struct pmr_ranges *left, int *why)
{
	struct pmr_ranges todo = { 0 };
	uint64_t bytes = 0;
	int ret = 0, no;

	for (size_t i = 0; i < places->n && !ret; i++) {
		ret = leave_known(device, &places->v[i], &todo);
		if (ret || !todo.n)
			continue;
		no = *why == -EFBIG ? 0 : *why;
		if (!no && pmr_is_cancelled(asker->scanner->ctx))
			no = -ECANCELED;
		/* what is too much says nothing of smaller ones behind it */
		if (!no && pmr_ranges_bytes(&todo) > MOST_READ - bytes)
			no = -EFBIG;
		bytes += no ? 0 : pmr_ranges_bytes(&todo);
		if (!no)
			ret = read_place(asker, device, media, &todo, &no);
		if (!ret && no)
			ret = leave_known(device, &places->v[i], &todo);
		for (size_t j = 0; no && j < todo.n && !ret; j++)
			ret = pmr_ranges_add(left, todo.v[j].offset, todo.v[j].length);
		*why = no ? no : *why;
	}
	pmr_ranges_normalize(left);
	pmr_ranges_release(&todo);
	return ret;
}

/* ---- what came of it */

static void say_found(struct asker *asker, const struct pmr_device *device,
		      const struct pmr_ranges *found)
{
	pmr_say(asker->scanner->ctx, PMR_WARNING, "found-by-ars", label(device),
		"%" PRIu64
		" bytes in %zu place%s that the last scrub of its bus (%s) found are in no list, and cannot be "
		"read; the first is at %" PRIu64,
		pmr_ranges_bytes(found), found->n, found->n == 1 ? "" : "s", asker->bus->name,
		found->v[0].offset);
}

static void say_unread(struct asker *asker, const struct pmr_device *device,
		       const struct pmr_ranges *left, int why)
{
	const char *reason = why == -EFBIG	 ? "they are more than is read without being asked"
			     : why == -ECANCELED ? "interrupted"
						 : strerror(-why);

	pmr_say(asker->scanner->ctx, PMR_WARNING, "ars-unconfirmed", label(device),
		"%" PRIu64 " bytes, the first at %" PRIu64
		", that the last scrub of its bus (%s) found are in no list, and were not read (%s): scrub it "
		"again (scan --scrub) or read it (scan --read)",
		pmr_ranges_bytes(left), left->v[0].offset, asker->bus->name, reason);
}

static void say_hidden(struct asker *asker, const struct pmr_device *device,
		       const struct pmr_ranges *hidden)
{
	pmr_say(asker->scanner->ctx, PMR_WARNING, "ars-unconfirmed", label(device),
		"%" PRIu64 " bytes of its namespace, the first at %" PRIu64
		", that the last scrub of its bus (%s) found are in no list, and cannot be read from here: if they were "
		"cleared since, another scrub says so (scan --scrub)",
		pmr_ranges_bytes(hidden), hidden->v[0].offset, asker->bus->name);
}

/* What of @places the device's list has now, and did not before. */
static int find_new(const struct pmr_device *device, const struct pmr_ranges *before,
		    const struct pmr_ranges *places, struct pmr_ranges *found)
{
	struct pmr_ranges fresh = { 0 }, elsewhere = { 0 };
	int ret;

	ret = pmr_ranges_subtract(&fresh, &device->badblocks.ranges, before);
	if (!ret)
		ret = pmr_ranges_subtract(&elsewhere, &fresh, places);
	if (!ret)
		ret = pmr_ranges_subtract(found, &fresh, &elsewhere);
	pmr_ranges_release(&fresh);
	pmr_ranges_release(&elsewhere);
	return ret;
}

static int confirm(struct asker *asker, struct pmr_device *device, const struct pmr_ranges *places,
		   struct pmr_ranges *left)
{
	struct pmr_ranges before = { 0 }, found = { 0 };
	struct pmr_media *media = NULL;
	int ret, why;

	why = pmr_media_open(asker->scanner->ctx, device, &media);
	if (why == -ENOMEM)
		return why;
	ret = pmr_ranges_copy(&before, &device->badblocks.ranges);
	if (!ret)
		ret = read_places(asker, device, media, places, left, &why);
	pmr_media_close(media);
	if (!ret)
		ret = find_new(device, &before, places, &found);
	asker->changed |= found.n || left->n;
	if (!ret && found.n)
		say_found(asker, device, &found);
	if (!ret && left->n)
		say_unread(asker, device, left, why);
	pmr_ranges_release(&before);
	pmr_ranges_release(&found);
	return ret;
}

/* ---- the whole */

static int look_at(struct asker *asker, struct pmr_device *device)
{
	struct pmr_ranges data = { 0 }, hidden = { 0 }, left = { 0 };
	bool is_cut, was_in_doubt = device->own->ars_doubt || device->own->ars_metadata_doubt;
	int ret;

	ret = ask(asker, device);
	if (ret)
		return ret;
	is_cut = asker->ars.state == PMR_ARS_CUT;
	pmr_ars_doubt(device, NULL, NULL);
	if (was_in_doubt)
		ret = pmr_device_refresh(asker->scanner->ctx, device);
	if (!ret)
		ret = pmr_ars_unlisted(&asker->ars, device, &data, &hidden);
	/* of a list that is not known there is nothing to add to */
	if (!ret && data.n && device->badblocks.trust != PMR_LIST_UNKNOWN)
		ret = confirm(asker, device, &data, &left);
	asker->changed |= is_cut || was_in_doubt;
	if (!ret && hidden.n)
		say_hidden(asker, device, &hidden);
	if (!ret)
		pmr_ars_doubt(device,
			      left.n   ? "ars-unconfirmed"
			      : is_cut ? "ars-cut"
				       : NULL,
			      hidden.n ? "ars-unconfirmed"
			      : is_cut ? "ars-cut"
				       : NULL);
	pmr_ranges_release(&data);
	pmr_ranges_release(&hidden);
	pmr_ranges_release(&left);
	return ret;
}

/* A volume whose list is a file's needs nobody else's. */
static bool is_on(const struct pmr_device *device, const struct pmr_device *lower)
{
	bool is = device == lower;

	for (size_t i = 0; i < device->n_lowers && !is && !device->from_file; i++)
		is = is_on(device->lowers[i], lower);
	return is;
}

static bool is_wanted(const struct pmr_scan *scan, const struct pmr_device *device)
{
	for (size_t i = 0; i < scan->n_devices; i++)
		if (is_on(scan->devices[i], device))
			return true;
	return false;
}

int pmr_targets_ask(struct pmr_scanner *scanner)
{
	const struct pmr_topology *topology = scanner->scan->topology;
	struct asker asker = { .scanner = scanner };
	int ret = 0;

	/* what lies below is in the topology ahead of what is built on it */
	for (size_t i = 0; i < topology->n_devices && !ret; i++) {
		struct pmr_device *device = topology->devices[i];

		if (device->from_file || !is_wanted(scanner->scan, device))
			continue;
		if (device->n_lowers && asker.changed)
			ret = pmr_device_refresh(scanner->ctx, device);
		else if (device->region && device->enabled)
			ret = look_at(&asker, device);
	}
	pmr_ars_release(&asker.ars);
	return ret;
}
