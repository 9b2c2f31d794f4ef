/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a repair would do to a device-dax: which of its bytes are cleared and stored, or why none may be. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "repair.h"

/* ---- steps */

struct steps {
	struct pmr_step *v;
	size_t n;
	size_t alloc;
};

/* The units of physical memory that a loss lies in, as a range of the device. False where they reach past its place there. */
static bool widen(const struct pmr_device *device, const struct pmr_loss *loss, uint64_t unit,
		  struct pmr_step *step)
{
	uint64_t length, address = pmr_device_address(device, loss->offset, &length), before, after;

	if (address == PMR_NO_ADDRESS || length < loss->length)
		return false;
	before = address % unit;
	after = (unit - (address + loss->length) % unit) % unit;
	if (before > loss->offset || after > length - loss->length)
		return false;
	step->offset = loss->offset - before;
	step->length = before + loss->length + after;
	/* that the bytes ahead of it lie ahead of it there, too */
	return pmr_device_address(device, step->offset, &length) == address - before &&
	       length >= step->length;
}

static int add_step(struct steps *steps, const struct pmr_step *step, size_t index)
{
	struct pmr_step *last = steps->n ? &steps->v[steps->n - 1] : NULL;

	if (last && step->offset < last->offset + last->length) {
		if (step->offset + step->length > last->offset + last->length)
			last->length = step->offset + step->length - last->offset;
		last->n_losses = index - last->first_loss + 1;
		return 0;
	}
	if (pmr_grow(&steps->v, steps->n, &steps->alloc, sizeof(*steps->v)))
		return -ENOMEM;
	steps->v[steps->n] = *step;
	steps->v[steps->n].device_offset = step->offset;
	steps->v[steps->n].method = PMR_METHOD_CLEAR;
	steps->v[steps->n].first_loss = index;
	steps->v[steps->n].n_losses = 1;
	steps->n++;
	return 0;
}

/* No sector of its page loads: its good ones would come from a source that nothing of the page can be compared with. */
static bool is_offlined(const struct pmr_loss *loss)
{
	return loss->reason && !strcmp(loss->reason, "page-offlined");
}

int pmr_whole_steps(struct pmr_file *file, uint64_t unit, bool accept_offlined, struct pmr_step **v,
		    size_t *n_steps)
{
	const struct pmr_device *device = file->filesystem->device;
	struct steps steps = { 0 };
	int ret = 0;

	for (size_t i = 0; i < file->n_losses && !ret; i++) {
		struct pmr_loss *loss = &file->losses[i];
		struct pmr_step step = { 0 };

		if (!pmr_plan_wants(file, loss))
			continue;
		if (!accept_offlined && is_offlined(loss)) {
			loss->state = PMR_SKIPPED;
			loss->reason = "page-offlined";
		} else if (widen(device, loss, unit, &step)) {
			loss->reason = NULL;
			ret = add_step(&steps, &step, i);
		} else {
			loss->state = PMR_SKIPPED;
			loss->reason = "clear-unit";
		}
	}
	if (ret) {
		free(steps.v);
		return ret;
	}
	*v = steps.v;
	*n_steps = steps.n;
	return 0;
}

/* ---- what is refused */

void pmr_whole_users(const struct pmr_device *device, char *text, size_t size)
{
	struct stat st;

	*text = '\0';
	if (!stat(device->path, &st) && S_ISCHR(st.st_mode))
		pmr_node_holders(&st, text, size);
}

static int refuse(struct pmr_ctx *ctx, struct pmr_file_plan *plan, const char *reason,
		  const char *text)
{
	pmr_say(ctx, PMR_ERROR, reason, plan->file->path, "%s", text);
	plan->refused = reason;
	return -EINVAL;
}

static int check_users(struct pmr_ctx *ctx, const struct pmr_repair_options *options,
		       struct pmr_file_plan *plan)
{
	char who[256];

	pmr_whole_users(plan->file->filesystem->device, who, sizeof(who));
	if (!*who)
		return 0;
	if (options->online) {
		plan->in_use = true;
		return 0;
	}
	pmr_say(ctx, PMR_ERROR, "in-use", plan->file->path,
		"is open or mapped by %s: stop them, and repair again; with --online it is repaired all the same, and what they "
		"store to the same %u bytes meanwhile is lost",
		who, PMR_SECTOR);
	plan->refused = "in-use";
	return -EINVAL;
}

static int check_device(struct pmr_ctx *ctx, const struct pmr_repair_options *options,
			struct pmr_file_plan *plan)
{
	const struct pmr_device *device = plan->file->filesystem->device;

	if (options->method != PMR_METHOD_AUTO)
		return refuse(
			ctx, plan, "device-dax",
			"is device-dax, which has no method but to be cleared by its bus: leave --method to auto");
	if (device->from_file)
		return refuse(
			ctx, plan, "trust-badblocks",
			"is device-dax, of which nothing is read to see whether it is bad: a list from a file is not believed");
	if (!device->region->bus->can_clear)
		return refuse(
			ctx, plan, "no-clear-error",
			"lies on a bus that has no command to clear poison, so that what is written would stay bad: save what can "
			"be read, and move to other memory");
	if (device->read_only || device->region->read_only)
		return refuse(ctx, plan, "device-not-writable",
			      "lies in a region that is read-only");
	return check_users(ctx, options, plan);
}

/* ---- the plan */

static int find_unit(struct pmr_ctx *ctx, struct pmr_file_plan *plan, uint64_t *unit)
{
	int ret = pmr_clear_unit(plan->file->filesystem->device, unit);

	if (ret == -ENOMEM)
		return ret;
	if (ret == -EACCES || ret == -EPERM)
		return refuse(ctx, plan, "permission",
			      "may not be cleared: only root may do so, and know where it lies");
	if (ret) {
		pmr_say(ctx, PMR_ERROR, "no-clear-error", plan->file->path,
			"cannot be cleared, for its bus does not tell by how much at a time: %s",
			strerror(-ret));
		plan->refused = "no-clear-error";
		return -EINVAL;
	}
	if (*unit > PMR_CHUNK)
		return refuse(ctx, plan, "clear-unit",
			      "lies on a bus that clears more at a time than is repaired at once");
	/* with what is lost it takes sectors that others may store to between the look and the clear */
	if (*unit > PMR_SECTOR && plan->in_use)
		return refuse(
			ctx, plan, "clear-unit",
			"is in use, and lies on a bus that clears more than a sector at a time, so that what others store around "
			"the loss meanwhile would be undone: stop them, and repair again without --online");
	return 0;
}

static int open_media(struct pmr_ctx *ctx, struct pmr_file_plan *plan, struct pmr_media **media)
{
	int ret = pmr_media_open_writable(ctx, plan->file->filesystem->device, media);

	if (!ret || ret == -ENOMEM)
		return ret;
	if (ret == -EOPNOTSUPP)
		return refuse(
			ctx, plan, "no-libpmem",
			"is not repaired by this program, which was built without libpmem or does not find it: what it stored might "
			"stay in the processor's caches");
	pmr_say(ctx, PMR_ERROR, "device-not-writable", plan->file->path, "cannot be opened: %s",
		strerror(-ret));
	plan->refused = "device-not-writable";
	return -EINVAL;
}

static int check_backup(struct pmr_ctx *ctx, const char *const *targets, size_t n_targets,
			const struct pmr_repair_options *options, struct pmr_media *media,
			struct pmr_file_plan *plan)
{
	const struct pmr_claim claim = { .fd = -1, .file = plan->file };
	struct pmr_backup backup = { .fd = -1 };
	int ret;

	ret = pmr_backup_path(plan->file, targets, n_targets, options, &plan->backup);
	if (ret == -ENOMEM)
		return ret;
	if (ret)
		return refuse(
			ctx, plan, "no-backup",
			"has no backup in that directory: name the image of it, or with --backup-root=/dev the directory that has "
			"one of its name");
	ret = pmr_backup_open(ctx, plan->backup, &claim, &backup, &plan->refused);
	if (!ret)
		ret = pmr_backup_verify(ctx, &backup, &claim, media, plan, options, &plan->refused);
	plan->backup_inode = backup.inode;
	plan->backup_change_time = backup.change_time;
	pmr_backup_close(&backup);
	return ret;
}

/* Once for each reason. */
static void say_left(struct pmr_ctx *ctx, const struct pmr_file *file)
{
	static const struct {
		const char *reason, *text;
	} texts[] = {
		{ "clear-unit", "its bus clears more at a time than lies in the device there" },
		{ "page-offlined",
		  "no sector of a page loads, though no record lists them all: reboot to get its good sectors back, or take the whole "
		  "page from the backup with --accept-offlined" },
	};

	for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++)
		for (size_t i = 0; i < file->n_losses; i++)
			if (file->losses[i].state == PMR_SKIPPED &&
			    !strcmp(file->losses[i].reason, texts[t].reason)) {
				pmr_say(ctx, PMR_WARNING, texts[t].reason, file->path,
					"is left at byte %llu: %s",
					(unsigned long long)file->losses[i].offset, texts[t].text);
				break;
			}
}

int pmr_whole_prepare(struct pmr_ctx *ctx, const char *const *targets, size_t n_targets,
		      const struct pmr_repair_options *options, struct pmr_file_plan *plan)
{
	struct pmr_media *media = NULL;
	uint64_t unit;
	int ret;

	plan->method = PMR_METHOD_CLEAR;
	ret = check_device(ctx, options, plan);
	if (!ret)
		ret = find_unit(ctx, plan, &unit);
	if (!ret)
		ret = open_media(ctx, plan, &media);
	if (!ret)
		ret = pmr_whole_steps(plan->file, unit, options->accept_offlined, &plan->steps,
				      &plan->n_steps);
	if (!ret)
		say_left(ctx, plan->file);
	if (!ret && plan->n_steps && options->backup)
		ret = check_backup(ctx, targets, n_targets, options, media, plan);
	pmr_media_close(media);
	return ret;
}
