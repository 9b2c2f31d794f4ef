/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of a repair can be told beforehand and without a write: may its journal lie there, does what is lost still fail? */

#include <errno.h>
#include <string.h>

#include "repair.h"

/* Whether something of a step's losses in [offset, offset + length) of the file can be read. Return: 1, 0, -errno. */
static int has_readable(struct pmr_media *media, const struct pmr_file *file,
			const struct pmr_step *step, const struct pmr_range *at)
{
	struct pmr_ranges failing = { 0 };
	const struct pmr_loss *loss;
	uint64_t from, end;
	int ret = 0;

	for (size_t i = 0; !ret && i < step->n_losses; i++) {
		loss = &file->losses[step->first_loss + i];
		from = loss->offset > at->offset ? loss->offset : at->offset;
		end = loss->offset + loss->length;
		if (end > at->offset + at->length)
			end = at->offset + at->length;
		if (loss->vanished || from >= end)
			continue;
		/* the end of the file cuts a sector in two */
		from -= from % PMR_SECTOR;
		end += (PMR_SECTOR - end % PMR_SECTOR) % PMR_SECTOR;
		failing.n = 0;
		ret = pmr_media_confirm(media, step->device_offset + (from - step->offset),
					end - from, &failing);
		pmr_ranges_normalize(&failing);
		if (!ret)
			ret = pmr_ranges_bytes(&failing) < end - from;
	}
	pmr_ranges_release(&failing);
	return ret;
}

/* As a run leaves them: what is readable, and the rest of its step. */
static int check_step(struct pmr_ctx *ctx, struct pmr_media *media, struct pmr_file *file,
		      const struct pmr_step *step)
{
	struct pmr_range at;
	int ret = 0;

	for (uint64_t done = 0; !ret && done < step->length; done += at.length) {
		at = (struct pmr_range){ step->offset + done, pmr_chunk_length(step, done) };
		ret = has_readable(media, file, step, &at);
		if (ret != 1)
			continue;
		pmr_say(ctx, PMR_WARNING, "readable", file->path,
			"is left at byte %llu: a listed sector can be read after all: scan again",
			(unsigned long long)at.offset);
		pmr_plan_leave(file, step, at.offset, "readable");
		break;
	}
	return ret < 0 ? ret : 0;
}

static int check_file(struct pmr_ctx *ctx, struct pmr_file_plan *plan)
{
	const struct pmr_device *device = plan->file->filesystem->device;
	struct pmr_media *media = NULL;
	int ret;

	ret = pmr_media_open(ctx, device, &media);
	for (size_t i = 0; !ret && i < plan->n_steps; i++) {
		if (!plan->steps[i].follows)
			ret = check_step(ctx, media, plan->file, &plan->steps[i]);
	}
	pmr_media_close(media);
	if (ret && ret != -ENOMEM)
		pmr_say(ctx, PMR_ERROR, "device-error", plan->file->path,
			"what is lost of it cannot be tried: %s", strerror(-ret));
	return ret;
}

/* Poison of PMEM that the kernel does not know of would be consumed; what it lists its driver refuses. */
static bool is_safe_to_try(const struct pmr_device *device)
{
	for (size_t i = 0; i < device->n_lowers; i++)
		if (!is_safe_to_try(device->lowers[i]))
			return false;
	return device->mode == PMR_MODE_NONE || device->n_lowers;
}

int pmr_repair_check(struct pmr_ctx *ctx, struct pmr_plan *plan,
		     const struct pmr_repair_options *options)
{
	int ret;

	if (!plan->n_steps)
		return 0;
	ret = pmr_journal_check(ctx, options->journal ? options->journal : PMR_STATE_DIRECTORY,
				plan);
	for (size_t i = 0; !ret && i < plan->n_files; i++) {
		const struct pmr_device *device = plan->files[i].file->filesystem->device;

		if (!plan->files[i].n_steps || (options->trust_badblocks && device->from_file))
			continue;
		if (is_safe_to_try(device))
			ret = check_file(ctx, &plan->files[i]);
		else if (device->from_file)
			pmr_say(ctx, PMR_WARNING, "not-tried", plan->files[i].file->path,
				"lies on persistent memory: whether what the list calls bad still fails to be read is seen right "
				"before it is written, and what can be read is left then");
	}
	return ret;
}
