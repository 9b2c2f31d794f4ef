/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device-dax of an interrupted repair: where it is, what is found of its pieces, and what is left of them written. It has no
 * change time: who stored to it since is told by its bytes alone.
 */
#include <errno.h>
#include <string.h>

#include "resume.h"
#include "device/topology.h"
#include "journal/journal.h"
#include "media/loads.h"

/* ---- which device it is */

static bool is_device(const struct pmr_journal_file *was, const struct pmr_device *device)
{
	if (was->namespace_uuid && device->ns_uuid)
		return !strcmp(was->namespace_uuid, device->ns_uuid);
	return !was->namespace_uuid && was->device &&
	       !strcmp(was->device, pmr_device_lasting_name(device));
}

static struct pmr_device *find_device(const struct pmr_resume_subject *s)
{
	struct pmr_device *device;

	for (size_t i = 0; i < s->topology->n_devices; i++) {
		device = s->topology->devices[i];
		if (device->name && pmr_device_is_dax(device) && is_device(s->was, device))
			return device;
	}
	return NULL;
}

static void say_missing(const struct pmr_resume_subject *s)
{
	const struct pmr_journal_file *was = s->was;

	pmr_say(s->resume->ctx, PMR_ERROR, "gone", was->path,
		"its namespace %s is not there in devdax mode: nothing of it can be finished; the journal stays as it is, so "
		"enable that and resume again",
		was->namespace_uuid ? was->namespace_uuid : "without a UUID");
}

void pmr_resume_find_whole(struct pmr_resume_subject *s)
{
	struct pmr_device *device = find_device(s);

	if (!device || pmr_filesystem_whole(s->topology, device, &s->filesystem)) {
		s->of->is_missing = true;
		say_missing(s);
		return;
	}
	s->of->size = device->size;
	s->of->change = PMR_CHANGE_NONE;
	if (pmr_clear_unit(device, &s->of->unit))
		s->of->unit = 0;
	if (device->badblocks.trust == PMR_LIST_UNKNOWN || device->from_file) {
		s->of->is_missing = true;
		s->unknown = "list-unknown";
		pmr_say(s->resume->ctx, PMR_ERROR, s->unknown, s->was->path,
			"cannot be looked at for what is left to do: what its region lists as bad is not known");
		return;
	}
	s->of->is_there = true;
	s->of->is_same = device->size == s->was->size;
}

const char *pmr_resume_refuse_whole(const struct pmr_resume_subject *s)
{
	const struct pmr_device *device = s->filesystem->device;
	struct pmr_ctx *ctx = s->resume->ctx;

	if (device->read_only || (device->region && device->region->read_only)) {
		pmr_say(ctx, PMR_ERROR, "device-not-writable", s->was->path,
			"lies in a region that is read-only: make it writable and resume again");
		return "device-not-writable";
	}
	if (!pmr_loads_can_store()) {
		pmr_say(ctx, PMR_ERROR, "no-libpmem", s->was->path,
			"is not finished by this program, which was built without libpmem or does not find it: what it stored might "
			"stay in the processor's caches");
		return "no-libpmem";
	}
	return NULL;
}

/* ---- what is found of a piece */

static bool is_zero(const char *bytes)
{
	return !bytes[0] && !memcmp(bytes, bytes + 1, PMR_SECTOR - 1);
}

/*
 * One unit of the bus's: [from, to) of the piece. One that still has a sector which was lost and cannot be loaded was not
 * cleared. What differs in any other may be what our clear left, where one had begun.
 */
static void count(const struct pmr_resume_look *look, const struct pmr_journal_piece *piece,
		  const char *expected, const struct pmr_ranges *failing, size_t from, size_t to,
		  struct pmr_evidence *e)
{
	bool is_cleared = e->mark == PMR_MARK_OPEN;
	const struct pmr_loss *loss;
	enum pmr_sector sector;

	for (size_t at = from; at < to && is_cleared; at += PMR_SECTOR)
		if (pmr_resume_loss_at(look->of->was, piece->offset + at) &&
		    pmr_ranges_overlap(failing, piece->offset + at, PMR_SECTOR))
			is_cleared = false;
	for (size_t at = from; at < to; at += PMR_SECTOR) {
		loss = pmr_resume_loss_at(look->of->was, piece->offset + at);
		if (pmr_ranges_overlap(failing, piece->offset + at, PMR_SECTOR))
			sector = PMR_SECTOR_UNREADABLE;
		else if (!memcmp(look->resume->actual + at, expected + at, PMR_SECTOR))
			sector = PMR_SECTOR_EQUAL;
		else if (loss && loss->vanished && is_zero(look->resume->actual + at))
			/* the zeros of an earlier repair's, which it was to replace */
			sector = PMR_SECTOR_CLEARED;
		else
			sector = is_cleared ? PMR_SECTOR_CLEARED : PMR_SECTOR_DIFFERENT;
		if (loss)
			e->lost[sector]++;
		else
			e->kept[sector]++;
	}
}

/* The bus's units begin at multiples of them in physical memory; where a piece is no whole number of them, sectors. */
static uint64_t unit_of(const struct pmr_resume_look *look, const struct pmr_journal_piece *piece)
{
	uint64_t length, address, unit = look->of->unit;

	address = pmr_device_address(look->filesystem->device, piece->offset, &length);
	if (!unit || address == PMR_NO_ADDRESS || address % unit || piece->length % unit)
		return PMR_SECTOR;
	return unit;
}

int pmr_resume_examine_whole(const struct pmr_resume_look *look,
			     const struct pmr_journal_piece *piece, const char *expected,
			     struct pmr_evidence *evidence, struct pmr_ranges *dead)
{
	const struct pmr_resume_file *of = look->of;
	const uint64_t unit = unit_of(look, piece);
	struct pmr_ranges failing = { 0 };
	bool is_changed = false;
	int ret;

	*evidence = (struct pmr_evidence){
		.mark = piece->mark,
		.here = pmr_resume_is_here(look->resume, piece),
		.is_file = of->is_there && of->is_same,
		.change = of->change,
		.whole = true,
		.in_use = of->was->in_use,
	};
	if (!evidence->is_file)
		return 0;
	if (piece->offset % PMR_SECTOR || piece->length % PMR_SECTOR)
		return -EINVAL;
	ret = pmr_media_salvage(look->media, piece->offset, piece->length, look->listed,
				look->resume->actual, &failing);
	for (uint64_t at = 0; !ret && at < piece->length; at += unit) {
		count(look, piece, expected, &failing, (size_t)at, (size_t)(at + unit), evidence);
		if (dead && pmr_ranges_overlap(&failing, piece->offset + at, unit))
			ret = pmr_ranges_add(dead, piece->offset + at, unit);
	}
	if (!ret && evidence->lost[PMR_SECTOR_CLEARED] + evidence->kept[PMR_SECTOR_CLEARED] +
			    evidence->kept[PMR_SECTOR_UNREADABLE]) {
		ret = pmr_journal_is_around_changed(look->media, of->was, piece, look->listed,
						    &is_changed);
		if (is_changed)
			evidence->change = PMR_CHANGE_OTHERS;
	}
	if (dead)
		pmr_ranges_normalize(dead);
	pmr_ranges_release(&failing);
	return ret;
}

/* ---- right before a write */

/* NULL, or why what is to be cleared cannot be. */
static const char *check_clear(const struct pmr_resume_look *look,
			       const struct pmr_journal_piece *piece)
{
	if (!look->of->unit)
		return "no-clear-error";
	return look->of->unit > PMR_SECTOR && unit_of(look, piece) == PMR_SECTOR ? "clear-unit"
										 : NULL;
}

/* NULL where a piece may be written; else why not. The place of what a repair looks at. */
static const char *look_again(struct pmr_writer *writer, struct pmr_media *media, uint64_t position,
			      struct pmr_ranges *dead)
{
	const struct pmr_resume_look *before = writer->look_data;
	const struct pmr_device *device = before->filesystem->device;
	const struct pmr_journal_piece *piece = pmr_journal_find_piece(before->of->was, position);
	struct pmr_resume_look look = *before;
	struct pmr_evidence evidence;
	enum pmr_verdict verdict;
	const char *reason;
	int ret;

	if (!piece)
		return "changed";
	if (device->badblocks.trust == PMR_LIST_UNKNOWN)
		return "list-unknown";
	look.media = media;
	look.listed = &device->badblocks.ranges;
	ret = pmr_resume_examine_whole(&look, piece, writer->bytes, &evidence, dead);
	if (ret)
		return ret == -ENOMEM ? "no-memory" : "device-error";
	verdict = pmr_judge(&evidence, &reason);
	if (verdict != PMR_VERDICT_REDO && verdict != PMR_VERDICT_SETTLED)
		return reason;
	return dead->n ? check_clear(&look, piece) : NULL;
}

/* ---- the whole */

static bool is_used(const struct pmr_writer *writer, const struct pmr_file *file)
{
	char who[256];

	pmr_whole_users(file->filesystem->device, who, sizeof(who));
	if (!*who)
		return false;
	pmr_say(writer->ctx, PMR_ERROR, "in-use", file->path,
		"is open or mapped by %s, and is left as it is: stop them, and resume again", who);
	return true;
}

int pmr_resume_run_whole(struct pmr_writer *writer, const struct pmr_resume *resume,
			 const struct pmr_resume_file *of, struct pmr_file_plan *plan, bool *left)
{
	const struct pmr_resume_look look = {
		.resume = resume,
		.fd = -1,
		.filesystem = plan->file->filesystem,
		.of = of,
	};
	int ret;

	writer->device = plan->file->filesystem->device;
	if (is_used(writer, plan->file)) {
		plan->refused = "in-use";
		pmr_plan_skip(plan->file, plan->refused);
		*left = true;
		return 0;
	}
	writer->look_whole = look_again;
	writer->look_data = &look;
	ret = pmr_whole_run(writer, plan);
	writer->look_whole = NULL;
	writer->look_data = NULL;
	return ret;
}
