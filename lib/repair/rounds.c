/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rounds of one repair: what a later one found and did becomes a part of what came before. Pure. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

struct losses {
	struct pmr_loss *v;
	size_t n;
};

static int compare_losses(const void *a, const void *b)
{
	const struct pmr_loss *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* What of an earlier loss no later one tells of, which is a later word on the same bytes. */
static void add_rest(struct losses *losses, const struct pmr_loss *loss,
		     const struct pmr_file *later)
{
	uint64_t at = loss->offset, end = loss->offset + loss->length;
	struct pmr_loss part = *loss;

	for (size_t i = 0; i < later->n_losses && at < end; i++) {
		const struct pmr_loss *over = &later->losses[i];

		if (over->offset + over->length <= at)
			continue;
		if (over->offset >= end)
			break;
		if (over->offset > at) {
			part.offset = at;
			part.length = over->offset - at;
			part.device_offset = loss->device_offset + (at - loss->offset);
			losses->v[losses->n++] = part;
		}
		at = over->offset + over->length;
	}
	if (at >= end)
		return;
	part.offset = at;
	part.length = end - at;
	part.device_offset = loss->device_offset + (at - loss->offset);
	losses->v[losses->n++] = part;
}

/* Each later loss cuts an earlier one in two at most. */
static int join_losses(struct pmr_file *file, const struct pmr_file *later)
{
	struct losses made = { 0 };

	made.v = calloc(file->n_losses + 2 * later->n_losses + 1, sizeof(*made.v));
	if (!made.v)
		return -ENOMEM;
	for (size_t i = 0; i < file->n_losses; i++)
		add_rest(&made, &file->losses[i], later);
	for (size_t i = 0; i < later->n_losses; i++)
		made.v[made.n++] = later->losses[i];
	qsort(made.v, made.n, sizeof(*made.v), compare_losses);
	free(file->losses);
	file->losses = made.v;
	file->n_losses = made.n;
	return 0;
}

/* The steps of a plan find their losses again. */
static void find_losses(struct pmr_file_plan *plan)
{
	const struct pmr_file *file = plan->file;

	for (size_t i = 0; i < plan->n_steps; i++) {
		struct pmr_step *step = &plan->steps[i];
		size_t first = 0, n = 0;

		while (first < file->n_losses &&
		       file->losses[first].offset + file->losses[first].length <= step->offset)
			first++;
		while (first + n < file->n_losses &&
		       file->losses[first + n].offset < step->offset + step->length)
			n++;
		step->first_loss = first;
		step->n_losses = n;
	}
}

static struct pmr_file *find_file(const struct pmr_scan *scan, const struct pmr_file *file)
{
	for (size_t i = 0; i < scan->n_files; i++) {
		struct pmr_file *one = scan->files[i];

		if (one->filesystem == file->filesystem && one->inode == file->inode &&
		    one->generation == file->generation &&
		    (one->inode || !strcmp(one->path, file->path)))
			return one;
	}
	return NULL;
}

static void use_file(struct pmr_plan *plan, const struct pmr_file *from, struct pmr_file *file)
{
	for (size_t i = 0; plan && i < plan->n_files; i++)
		if (plan->files[i].file == from) {
			plan->files[i].file = file;
			find_losses(&plan->files[i]);
		}
}

static int join_file(struct pmr_file *file, struct pmr_plan *plan, struct pmr_file *later,
		     struct pmr_plan *later_plan)
{
	int ret = join_losses(file, later);

	if (ret)
		return ret;
	file->size = later->size;
	file->change_time = later->change_time;
	file->complete &= later->complete;
	if (!file->error)
		file->error = later->error;
	use_file(plan, file, file);
	use_file(later_plan, later, file);
	return 0;
}

/* Files that both have become one; all others go over to @scan. */
static int join_files(struct pmr_scan *scan, struct pmr_plan *plan, struct pmr_scan *later,
		      struct pmr_plan *later_plan)
{
	struct pmr_file **files, *same;
	size_t left = 0;
	int ret = 0;

	files = reallocarray(scan->files, scan->n_files + later->n_files + 1, sizeof(*files));
	if (!files)
		return -ENOMEM;
	scan->files = files;
	for (size_t i = 0; i < later->n_files; i++) {
		struct pmr_file *file = later->files[i];

		same = ret ? NULL : find_file(scan, file);
		if (same)
			ret = join_file(same, plan, file, later_plan);
		if (ret || same)
			later->files[left++] = file;
		else
			files[scan->n_files++] = file;
	}
	later->n_files = left;
	return ret;
}

static int join_plans(struct pmr_plan *plan, struct pmr_plan *later)
{
	struct pmr_file_plan *plans;

	plans = reallocarray(plan->files, plan->n_files + later->n_files + 1, sizeof(*plans));
	if (!plans)
		return -ENOMEM;
	plan->files = plans;
	for (size_t i = 0; i < later->n_files; i++)
		plans[plan->n_files++] = later->files[i];
	later->n_files = 0;
	plan->n_steps += later->n_steps;
	plan->bytes += later->bytes;
	plan->lost_bytes += later->lost_bytes;
	plan->freezes += later->freezes;
	plan->frozen += later->frozen;
	if (later->longest_freeze > plan->longest_freeze)
		plan->longest_freeze = later->longest_freeze;
	if (later->journal) {
		free(plan->journal);
		plan->journal = later->journal;
		later->journal = NULL;
	}
	return 0;
}

static bool has_device(const struct pmr_scan *scan, const struct pmr_device *device)
{
	for (size_t i = 0; i < scan->n_devices; i++)
		if (scan->devices[i] == device)
			return true;
	return false;
}

/* Poison that comes to light later may be under volumes that had none. */
static int join_devices(struct pmr_scan *scan, const struct pmr_scan *later)
{
	struct pmr_device **devices;

	devices = reallocarray(scan->devices, scan->n_devices + later->n_devices + 1,
			       sizeof(*devices));
	if (!devices)
		return -ENOMEM;
	scan->devices = devices;
	for (size_t i = 0; i < later->n_devices; i++)
		if (!has_device(scan, later->devices[i]))
			devices[scan->n_devices++] = later->devices[i];
	pmr_scan_sort_devices(scan);
	return 0;
}

/* What the ranges that are bad by now belong to only the later one knows. Its devices were sorted alike. */
static void join_owned(struct pmr_scan *scan, struct pmr_scan *later)
{
	struct pmr_owned *owned = scan->owned;
	size_t n_owned = scan->n_owned;

	scan->owned = later->owned;
	scan->n_owned = later->n_owned;
	later->owned = owned;
	later->n_owned = n_owned;
}

int pmr_repair_join(struct pmr_scan *scan, struct pmr_plan *plan, struct pmr_scan *later,
		    struct pmr_plan *later_plan)
{
	int ret;

	ret = join_devices(scan, later);
	if (!ret)
		ret = join_files(scan, plan, later, later_plan);
	if (!ret && later_plan)
		ret = join_plans(plan, later_plan);
	if (!ret)
		join_owned(scan, later);
	if (later->files_seen > scan->files_seen)
		scan->files_seen = later->files_seen;
	scan->metadata_lost |= later->metadata_lost;
	scan->complete &= later->complete && !ret;
	pmr_plan_free(later_plan);
	pmr_scan_free(later);
	return ret;
}
