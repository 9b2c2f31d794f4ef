/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is lost: targets, files and owners in their order, and the lists as they change underneath. */

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"

/* ---- views of a list */

static int list_pages(const struct pmr_device *device, struct pmr_pages *pages)
{
	struct pmr_ranges offlined = { 0 };
	int ret;

	ret = pmr_pages_init(&device->badblocks.ranges, device->logical_block, pages);
	if (ret)
		return ret;
	ret = pmr_reading_offlined(device, &offlined);
	if (!ret && offlined.n)
		ret = pmr_pages_offline(pages, &offlined);
	pmr_ranges_release(&offlined);
	if (ret)
		free(pages->v);
	return ret;
}

static int get_exam(struct pmr_scanner *scanner, struct pmr_device *device, struct pmr_exam **exam)
{
	struct pmr_exam *made;
	size_t i;
	int ret;

	for (i = 0; i < scanner->n_exams; i++) {
		if (scanner->exams[i]->device == device) {
			*exam = scanner->exams[i];
			return 0;
		}
	}
	ret = pmr_grow(&scanner->exams, scanner->n_exams, &scanner->alloc_exams,
		       sizeof(scanner->exams[0]));
	if (ret)
		return ret;
	made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	made->device = device;
	ret = list_pages(device, &made->pages);
	if (ret) {
		free(made);
		return ret;
	}
	scanner->exams[scanner->n_exams++] = made;
	*exam = made;
	return 0;
}

static int fill_view(struct pmr_view *view)
{
	const struct pmr_filesystem *filesystem = view->filesystem;
	int ret;

	ret = pmr_widen(&filesystem->device->badblocks.ranges, filesystem->start, filesystem->size,
			&view->wide);
	if (!ret)
		pmr_sieve_init(&view->sieve, &view->wide);
	return ret;
}

int pmr_scanner_view(struct pmr_scanner *scanner, struct pmr_filesystem *filesystem,
		     struct pmr_view **view)
{
	struct pmr_view *made;
	size_t i;
	int ret;

	for (i = 0; i < scanner->n_views; i++) {
		if (scanner->views[i]->filesystem == filesystem) {
			*view = scanner->views[i];
			return 0;
		}
	}
	ret = pmr_grow(&scanner->views, scanner->n_views, &scanner->alloc_views,
		       sizeof(scanner->views[0]));
	if (ret)
		return ret;
	made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	made->filesystem = filesystem;
	ret = get_exam(scanner, filesystem->device, &made->exam);
	if (!ret)
		ret = fill_view(made);
	if (ret) {
		free(made);
		return ret;
	}
	scanner->views[scanner->n_views++] = made;
	*view = made;
	return 0;
}

void pmr_view_release(struct pmr_view *view)
{
	for (size_t i = 0; i < view->n_names; i++)
		free(view->names[i].path);
	free(view->names);
	free(view->claims.v);
	free(view->own.v);
	pmr_ranges_release(&view->wide);
	pmr_ranges_release(&view->met);
}

/* Index of the first name of this inode, or of one with a larger number. */
static size_t find_name(const struct pmr_view *view, uint64_t inode)
{
	size_t low = 0, high = view->n_names, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (view->names[middle].inode < inode)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const char *pmr_view_name(const struct pmr_view *view, uint64_t inode)
{
	size_t i = find_name(view, inode);

	return i < view->n_names && view->names[i].inode == inode ? view->names[i].path : NULL;
}

int pmr_view_add_name(struct pmr_view *view, uint64_t inode, const char *path)
{
	size_t at = find_name(view, inode);
	char *copy;
	int ret;

	if (at < view->n_names && view->names[at].inode == inode)
		return 0;
	ret = pmr_grow(&view->names, view->n_names, &view->alloc_names, sizeof(view->names[0]));
	if (ret)
		return ret;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	/* they are met in the order of their numbers, mostly */
	memmove(&view->names[at + 1], &view->names[at],
		(view->n_names - at) * sizeof(view->names[0]));
	view->names[at].inode = inode;
	view->names[at].path = copy;
	view->n_names++;
	return 0;
}

static bool is_same(const struct pmr_ranges *a, const struct pmr_ranges *b)
{
	return a->n == b->n && (!a->n || !memcmp(a->v, b->v, a->n * sizeof(a->v[0])));
}

/* What was learnt of pages goes with the list it was learnt for. */
static int make_anew(struct pmr_scanner *scanner, struct pmr_exam *exam)
{
	struct pmr_pages pages;
	size_t i;
	int ret;

	ret = list_pages(exam->device, &pages);
	if (ret)
		return ret;
	free(exam->pages.v);
	exam->pages = pages;
	for (i = 0; i < scanner->n_views && !ret; i++) {
		if (scanner->views[i]->exam == exam)
			ret = fill_view(scanner->views[i]);
	}
	return ret;
}

int pmr_scanner_refresh(struct pmr_scanner *scanner, struct pmr_exam *exam, bool *changed)
{
	struct pmr_device *device = exam->device;
	struct pmr_ranges before = { 0 };
	int ret;

	*changed = false;
	if (device->from_file)
		return 0;
	ret = pmr_ranges_copy(&before, &device->badblocks.ranges);
	if (ret)
		return ret;
	ret = pmr_device_refresh(scanner->ctx, device);
	if (!ret && !pmr_device_is_told(device))
		scanner->scan->complete = false;
	if (!ret && !is_same(&before, &device->badblocks.ranges)) {
		*changed = true;
		ret = make_anew(scanner, exam);
	}
	pmr_ranges_release(&before);
	return ret;
}

bool pmr_scanner_interrupted(struct pmr_scanner *scanner)
{
	if (!pmr_is_cancelled(scanner->ctx))
		return false;
	scanner->scan->complete = false;
	if (!scanner->is_interrupted)
		pmr_say(scanner->ctx, PMR_ERROR, "interrupted",
			scanner->is_locating ? "locate" : "scan",
			"stopped early: there may be more %s than shown",
			scanner->is_locating ? "owners" : "losses");
	scanner->is_interrupted = true;
	return true;
}

/* ---- the whole */

/* A list speaks of one device. One that says of which may be that of a device which a target has a part on. */
static int use_badblocks(struct pmr_scanner *scanner, const struct pmr_badblocks_file *badblocks,
			 const char *path)
{
	const struct pmr_target *chosen = scanner->targets;
	size_t i;

	for (i = 1; i < scanner->n_targets; i++) {
		const struct pmr_target *target = &scanner->targets[i];

		if (target->device == scanner->targets[0].device)
			continue;
		if (target->is_beside) {
			if (badblocks->device &&
			    pmr_device_is_named(target->device, badblocks->device))
				chosen = target;
			continue;
		}
		pmr_say(scanner->ctx, PMR_ERROR, "several-devices", path,
			"is the list of one device, but the targets lie on %s and %s",
			scanner->targets[0].device->name, target->device->name);
		return -EINVAL;
	}
	if (!scanner->n_targets)
		return 0;
	return pmr_device_use_file(scanner->ctx, chosen->device, path, badblocks);
}

static void keep_inode(void *file)
{
	(void)file; /* the scan's */
}

void pmr_scanner_release(struct pmr_scanner *scanner)
{
	size_t i;

	for (i = 0; i < scanner->n_targets; i++) {
		free(scanner->targets[i].name);
		free(scanner->targets[i].path);
	}
	for (i = 0; i < scanner->n_views; i++) {
		pmr_view_release(scanner->views[i]);
		free(scanner->views[i]);
	}
	for (i = 0; i < scanner->n_exams; i++) {
		pmr_media_close(scanner->exams[i]->media);
		free(scanner->exams[i]->pages.v);
		free(scanner->exams[i]);
	}
	for (i = 0; i < scanner->n_untold; i++) {
		free(scanner->untold[i].path);
		pmr_ranges_release(&scanner->untold[i].ranges);
	}
	free(scanner->untold);
	free(scanner->targets);
	free(scanner->views);
	free(scanner->exams);
	tdestroy(scanner->inodes, keep_inode);
}

int pmr_scan_new(struct pmr_ctx *ctx, struct pmr_topology *topology, const char *const *targets,
		 size_t n_targets, const struct pmr_badblocks_file *badblocks,
		 const char *badblocks_path, struct pmr_scan **scan)
{
	struct pmr_scanner scanner = { .ctx = ctx };
	int ret;

	scanner.scan = calloc(1, sizeof(*scanner.scan));
	if (!scanner.scan)
		return -ENOMEM;
	scanner.scan->topology = topology;
	scanner.scan->complete = true;
	ret = pmr_targets_find(&scanner, targets, n_targets);
	if (!ret && badblocks)
		ret = use_badblocks(&scanner, badblocks, badblocks_path);
	if (!ret)
		ret = pmr_targets_ask(&scanner);
	if (!ret)
		ret = pmr_targets_read(&scanner);
	if (!ret)
		ret = pmr_targets_run(&scanner);
	/* Stopped work gives what it has. */
	if (ret == -ECANCELED)
		ret = 0;
	pmr_scanner_interrupted(&scanner);
	if (!ret)
		ret = pmr_say_untold(&scanner);
	if (!ret)
		ret = pmr_owned_find(&scanner);
	pmr_scanner_interrupted(&scanner);
	pmr_ctx_outlast(ctx, false);
	pmr_scanner_release(&scanner);
	if (ret)
		pmr_scan_free(scanner.scan);
	else
		*scan = scanner.scan;
	return ret;
}

static void free_file(struct pmr_file *file)
{
	size_t i;

	for (i = 0; i < file->n_links; i++)
		free(file->links[i]);
	free(file->links);
	free(file->losses);
	free(file->path);
	free(file);
}

void pmr_scan_free(struct pmr_scan *scan)
{
	size_t i;

	if (!scan)
		return;
	for (i = 0; i < scan->n_files; i++)
		free_file(scan->files[i]);
	free(scan->files);
	for (i = 0; i < scan->n_owned; i++)
		free(scan->owned[i].path);
	free(scan->owned);
	free(scan->devices);
	free(scan);
}

/* ---- the report's words */
