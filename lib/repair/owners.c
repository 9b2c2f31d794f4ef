/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One block, more than one owner in a plan (reflink): who writes it, and whether their backups agree on what.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repair.h"

/* a step through the device, and whose */
struct one {
	struct pmr_file_plan *plan;
	struct pmr_step *step;
	size_t order;
	bool conflict;
};

static const struct pmr_device *device_of(const struct one *one)
{
	return one->plan->file->filesystem->device;
}

static uint64_t page_of(const struct one *one)
{
	return one->step->device_offset / PMR_PAGE;
}

static int compare_ones(const void *a, const void *b)
{
	const struct one *x = a, *y = b;

	if (device_of(x) != device_of(y))
		return (uintptr_t)device_of(x) < (uintptr_t)device_of(y) ? -1 : 1;
	if (page_of(x) != page_of(y))
		return page_of(x) < page_of(y) ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

/* Bytes of the backup, or that it is not what was compared any more. */
static int read_backup(const struct pmr_file_plan *plan, uint64_t offset, void *buffer,
		       size_t length)
{
	struct pmr_backup backup = { .fd = -1 };
	struct stat st;
	int ret;

	if (!plan->backup) {
		memset(buffer, 0, length);
		return 0;
	}
	backup.fd = open(plan->backup, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ret = backup.fd < 0 ? -errno : -ESTALE;
	if (backup.fd >= 0 && !fstat(backup.fd, &st) && st.st_ino == plan->backup_inode &&
	    pmr_is_same_time(&st.st_ctim, &plan->backup_change_time))
		ret = pmr_backup_read(&backup, offset, buffer, length);
	pmr_backup_close(&backup);
	return ret;
}

/* Whether both would write the same to what both have inside their files. What cannot be read is not the same. */
static bool is_same_source(const struct one *a, const struct one *b)
{
	uint64_t from = a->step->device_offset, to = from + a->step->length, at_a, at_b, left;
	char ours[PMR_PAGE], theirs[PMR_PAGE];
	size_t length;

	if (from < b->step->device_offset)
		from = b->step->device_offset;
	if (to > b->step->device_offset + b->step->length)
		to = b->step->device_offset + b->step->length;
	if (from >= to)
		return true;
	at_a = a->step->offset + (from - a->step->device_offset);
	at_b = b->step->offset + (from - b->step->device_offset);
	if (at_a >= a->plan->file->size || at_b >= b->plan->file->size)
		return true;
	left = a->plan->file->size - at_a;
	if (left > b->plan->file->size - at_b)
		left = b->plan->file->size - at_b;
	length = (size_t)(to - from < left ? to - from : left);
	return !read_backup(a->plan, at_a, ours, length) &&
	       !read_backup(b->plan, at_b, theirs, length) && !memcmp(ours, theirs, length);
}

/* Steps [from, to) are all those of one page. */
static void judge_page(struct one *v, size_t from, size_t to)
{
	bool conflict = false;

	for (size_t i = from; i < to; i++)
		for (size_t k = from; k < i; k++) {
			/* whom one of them follows has been compared with it */
			if (v[k].step->follows)
				continue;
			if (!is_same_source(&v[k], &v[i]))
				conflict = true;
			if (v[k].step->device_offset == v[i].step->device_offset &&
			    v[k].step->length == v[i].step->length)
				v[i].step->follows = true;
		}
	for (size_t i = from; conflict && i < to; i++)
		v[i].conflict = true;
}

static void mark_losses(const struct one *one)
{
	struct pmr_loss *loss;

	for (size_t i = 0; i < one->step->n_losses; i++) {
		loss = &one->plan->file->losses[one->step->first_loss + i];
		loss->state = PMR_CONFLICT;
		loss->reason = "backups-differ";
	}
}

/* Takes the steps out whose losses are in conflict, also in part: what spans pages is written whole or not at all. */
static bool drop_steps(struct pmr_file_plan *plan)
{
	const struct pmr_step *step;
	size_t kept = 0;
	bool conflict;

	for (size_t i = 0; i < plan->n_steps; i++) {
		step = &plan->steps[i];
		conflict = false;
		for (size_t k = 0; k < step->n_losses; k++)
			conflict |= plan->file->losses[step->first_loss + k].state == PMR_CONFLICT;
		if (!conflict)
			plan->steps[kept++] = *step;
	}
	if (kept == plan->n_steps)
		return false;
	plan->n_steps = kept;
	if (!kept)
		plan->refused = "backups-differ";
	return true;
}

static int list_steps(const struct pmr_plan *plan, struct one **v, size_t *n)
{
	size_t alloc = 0;

	for (size_t i = 0; i < plan->n_files; i++)
		for (size_t k = 0; k < plan->files[i].n_steps; k++) {
			if (plan->files[i].steps[k].method != PMR_METHOD_DEVICE)
				continue;
			if (pmr_grow(v, *n, &alloc, sizeof(**v)))
				return -ENOMEM;
			(*v)[*n] = (struct one){ &plan->files[i], &plan->files[i].steps[k], *n,
						 false };
			++*n;
		}
	return 0;
}

int pmr_plan_owners(struct pmr_ctx *ctx, struct pmr_plan *plan)
{
	struct one *v = NULL;
	bool conflict = false;
	size_t n = 0, to;
	int ret;

	ret = list_steps(plan, &v, &n);
	if (ret || !n)
		goto out;
	qsort(v, n, sizeof(*v), compare_ones);
	for (size_t from = 0; from < n; from = to) {
		for (to = from + 1; to < n && device_of(&v[to]) == device_of(&v[from]) &&
				    page_of(&v[to]) == page_of(&v[from]);)
			to++;
		judge_page(v, from, to);
	}
	for (size_t i = 0; i < n; i++) {
		conflict |= v[i].conflict;
		if (v[i].conflict)
			mark_losses(&v[i]);
	}
	for (size_t i = 0; conflict && i < plan->n_files; i++) {
		if (!drop_steps(&plan->files[i]))
			continue;
		pmr_say(ctx, PMR_ERROR, "backups-differ", plan->files[i].file->path,
			"shares damaged blocks (reflink) with another file whose backup has other bytes for them: repair from "
			"a backup in which both are as they were at the same time");
	}
out:
	free(v);
	return ret;
}
