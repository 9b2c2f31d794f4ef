/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From what a rescue found to the losses of the output, in the place of the scan's. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "salvage.h"
#include "scan/scan.h"

static int compare_losses(const void *a, const void *b)
{
	const struct pmr_loss *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

static int add_loss(struct pmr_losses *losses, const struct pmr_loss *loss, uint64_t offset,
		    uint64_t length)
{
	int ret;

	ret = pmr_grow(&losses->v, losses->n, &losses->alloc, sizeof(losses->v[0]));
	if (ret)
		return ret;
	losses->v[losses->n] = *loss;
	losses->v[losses->n].offset = offset;
	losses->v[losses->n].device_offset += offset - loss->offset;
	losses->v[losses->n++].length = length;
	return 0;
}

/* Beside what is lost: what only looked like it, and what the page cache still had. */
static int add_known(struct pmr_rescue *r)
{
	struct pmr_losses *losses = &r->losses;
	struct pmr_ranges saved = { 0 };
	const struct pmr_loss *loss;
	size_t first;
	int ret = 0;

	for (size_t i = 0; i < r->n_known && !ret; i++) {
		loss = &r->known[i];
		if (loss->state != PMR_LOST && loss->state != PMR_CACHED) {
			ret = add_loss(losses, loss, loss->offset, loss->length);
			continue;
		}
		saved.n = 0;
		ret = pmr_ranges_clip(&saved, &r->saved, loss->offset, loss->length);
		for (size_t j = 0; j < saved.n && !ret; j++) {
			first = losses->n;
			ret = add_loss(losses, loss, saved.v[j].offset, saved.v[j].length);
			if (!ret) {
				losses->v[first].state = PMR_CACHED;
				losses->v[first].source = "page-cache";
			}
		}
	}
	pmr_ranges_release(&saved);
	if (losses->n)
		qsort(losses->v, losses->n, sizeof(losses->v[0]), compare_losses);
	return ret;
}

/* A file of which the scan knew no loss. */
static int add_file(const struct pmr_source *source, struct pmr_scan *scan)
{
	struct pmr_file *file;

	if (!scan->files)
		scan->files = calloc(1, sizeof(struct pmr_file *));
	file = scan->files ? calloc(1, sizeof(*file)) : NULL;
	if (!file)
		return -ENOMEM;
	scan->files[scan->n_files++] = file;
	file->path = strdup(source->path);
	file->inode = source->st.st_ino;
	file->size = (uint64_t)source->st.st_size;
	file->generation = pmr_file_generation(source->fd);
	file->change_time = source->st.st_ctim;
	file->dax = source->dax;
	file->whole_device = source->whole;
	file->filesystem = source->filesystem;
	file->complete = true;
	return file->path ? 0 : -ENOMEM;
}

int pmr_tally(struct pmr_rescue *r, const struct pmr_source *source, struct pmr_scan *scan)
{
	struct pmr_file *file = scan->n_files ? scan->files[0] : NULL;
	int ret;

	ret = add_known(r);
	if (ret || (!file && !r->losses.n))
		return ret;
	if (!file) {
		ret = add_file(source, scan);
		if (ret)
			return ret;
		file = scan->files[0];
	}
	free(file->losses);
	file->losses = r->losses.v;
	file->n_losses = r->losses.n;
	r->losses = (struct pmr_losses){ 0 };
	r->known = NULL;
	r->n_known = 0;
	return 0;
}
