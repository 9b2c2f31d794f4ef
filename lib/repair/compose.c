/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of a write: what can be read goes back as it was, only what is lost comes from the source.
 */
#include <errno.h>
#include <string.h>

#include "repair.h"

struct chunk {
	const struct pmr_compose *compose;
	struct pmr_file_plan *plan;
	const struct pmr_step *step;
	uint64_t offset; /* in the file */
	size_t length;
	char *buffer;
	struct pmr_ranges cached; /* file ranges that the page cache gave whole */
};

static int refuse(const char *reason, const char **refused)
{
	*refused = reason;
	return -EINVAL;
}

/* whether the scan found the page of @offset in the page cache, before anything of ours was read */
static bool was_cached(const struct chunk *c, uint64_t offset)
{
	uint64_t page = offset - offset % PMR_PAGE;
	const struct pmr_loss *loss;

	for (size_t i = 0; i < c->step->n_losses; i++) {
		loss = &c->plan->file->losses[c->step->first_loss + i];
		if (loss->state == PMR_CACHED && loss->offset < page + PMR_PAGE &&
		    loss->offset + loss->length > page)
			return true;
	}
	return false;
}

/*
 * Without DAX the page cache may hold the only good copy of a page: then it beats both the device and the backup.
 * Pages are asked one by one: one that is missing must not hide its neighbours.
 */
static int take_cached(struct chunk *c)
{
	const struct pmr_claim *claim = c->compose->claim;
	uint64_t end = c->offset + c->length, size = claim->file->size, offset, next;
	char page[PMR_PAGE];
	size_t length;
	int ret;

	if (claim->file->dax)
		return 0;
	if (end > size)
		end = size;
	for (offset = c->offset; offset < end; offset = next) {
		next = offset - offset % PMR_PAGE + PMR_PAGE;
		length = (size_t)((next < end ? next : end) - offset);
		if (!was_cached(c, offset))
			continue;
		ret = pmr_media_read_cached(claim->fd, offset, page, length);
		if (ret < 0 && !pmr_media_is_error(ret))
			return ret;
		if (ret != 1)
			continue;
		memcpy(c->buffer + (offset - c->offset), page, length);
		ret = pmr_ranges_add(&c->cached, offset, length);
		if (ret)
			return ret;
	}
	pmr_ranges_normalize(&c->cached);
	return 0;
}

/* file ranges of the chunk that neither the device nor the page cache gave */
static int take_readable(struct chunk *c, struct pmr_ranges *missing)
{
	const struct pmr_device *device = c->compose->claim->file->filesystem->device;
	uint64_t from = c->step->device_offset + (c->offset - c->step->offset);
	struct pmr_ranges unreadable = { 0 }, in_file = { 0 };
	int ret;

	memset(c->buffer, 0, c->length);
	ret = pmr_media_salvage(c->compose->media, from, c->length, &device->badblocks.ranges,
				c->buffer, &unreadable);
	if (ret)
		goto out;
	ret = take_cached(c);
	for (size_t i = 0; !ret && i < unreadable.n; i++)
		ret = pmr_ranges_add(&in_file, c->offset + (unreadable.v[i].offset - from),
				     unreadable.v[i].length);
	if (!ret)
		ret = pmr_ranges_subtract(missing, &in_file, &c->cached);
out:
	pmr_ranges_release(&unreadable);
	pmr_ranges_release(&in_file);
	return ret;
}

/* every missing byte inside the file must be one that was planned to be replaced */
static int all_planned(const struct chunk *c, const struct pmr_ranges *missing, bool *planned)
{
	const struct pmr_file *file = c->plan->file;
	struct pmr_ranges lost = { 0 }, inside = { 0 }, more = { 0 };
	const struct pmr_loss *loss;
	int ret = 0;

	for (size_t i = 0; !ret && i < c->step->n_losses; i++) {
		loss = &file->losses[c->step->first_loss + i];
		if (pmr_plan_wants(file, loss))
			ret = pmr_ranges_add(&lost, loss->offset, loss->length);
	}
	pmr_ranges_normalize(&lost);
	if (!ret && file->size)
		ret = pmr_ranges_clip(&inside, missing, 0, file->size);
	if (!ret)
		ret = pmr_ranges_subtract(&more, &inside, &lost);
	*planned = !more.n;
	pmr_ranges_release(&lost);
	pmr_ranges_release(&inside);
	pmr_ranges_release(&more);
	return ret;
}

/* [from, from + length) of the file into the buffer, from the backup or as zeros */
static int fill(struct chunk *c, const struct pmr_range *range, const char **refused)
{
	const struct pmr_backup *backup = c->compose->backup;
	char *at = c->buffer + (range->offset - c->offset);
	int ret;

	if (!backup) {
		memset(at, 0, (size_t)range->length);
		return 0;
	}
	ret = pmr_backup_read(backup, range->offset, at, (size_t)range->length);
	if (ret)
		return refuse(ret == -ERANGE ? "backup-short" : "backup-unreadable", refused);
	/* what was compared is what must be used: no other bytes come into a journal */
	return pmr_backup_has_changed(backup) ? refuse("backup-changed", refused) : 0;
}

/* what is missing of one loss inside the chunk; notes in the loss where its bytes come from */
static int replace(struct chunk *c, struct pmr_loss *loss, const struct pmr_ranges *missing,
		   const char **refused)
{
	uint64_t from = loss->offset > c->offset ? loss->offset : c->offset,
		 end = loss->offset + loss->length;
	struct pmr_ranges parts = { 0 };
	int ret;

	if (end > c->offset + c->length)
		end = c->offset + c->length;
	if (from >= end)
		return 0;
	if (loss->state == PMR_PAST_EOF) {
		loss->source = "zero";
		return 0;
	}
	/*
	 * What can be read there is what the clear left behind, whoever holds it now; or what was written for another owner
	 * of the block, and is to be compared.
	 */
	ret = loss->vanished || c->step->follows
		      ? pmr_ranges_add(&parts, from, end - from)
		      : pmr_ranges_clip(&parts, missing, from, end - from);
	for (size_t i = 0; !ret && i < parts.n; i++)
		ret = fill(c, &parts.v[i], refused);
	if (parts.n)
		loss->source = c->compose->backup ? "backup" : "zero";
	else if (!loss->source)
		loss->source =
			pmr_ranges_overlap(&c->cached, from, end - from) ? "page-cache" : "device";
	pmr_ranges_release(&parts);
	return ret;
}

int pmr_compose_chunk(const struct pmr_compose *compose, struct pmr_file_plan *plan,
		      const struct pmr_step *step, uint64_t offset, size_t length, void *buffer,
		      const char **refused)
{
	struct chunk c = { compose, plan, step, offset, length, buffer, { 0 } };
	uint64_t size = plan->file->size;
	struct pmr_ranges missing = { 0 };
	struct pmr_loss *loss;
	bool planned;
	int ret;

	ret = take_readable(&c, &missing);
	if (!ret)
		ret = all_planned(&c, &missing, &planned);
	if (!ret && !planned)
		ret = refuse("newly-unreadable", refused);
	for (size_t i = 0; !ret && i < step->n_losses; i++) {
		loss = &plan->file->losses[step->first_loss + i];
		if (pmr_plan_wants(plan->file, loss))
			ret = replace(&c, loss, &missing, refused);
	}
	/* what lies past the end of the file must read as zeros if it ever grows */
	if (!ret && offset + length > size) {
		if (offset < size)
			memset((char *)buffer + (size - offset), 0,
			       (size_t)(offset + length - size));
		else
			memset(buffer, 0, length);
	}
	pmr_ranges_release(&missing);
	pmr_ranges_release(&c.cached);
	return ret;
}
