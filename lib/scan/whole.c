/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device-dax, which holds no filesystem: all that is bad of it is lost, and it is one of the files as a whole. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"
#include "device/topology.h"

static void add_losses(struct pmr_file *file, const struct pmr_ranges *bad, const char *reason)
{
	for (size_t i = 0; i < bad->n; i++)
		file->losses[file->n_losses++] = (struct pmr_loss){
			.offset = bad->v[i].offset,
			.length = bad->v[i].length,
			.device_offset = bad->v[i].offset,
			.state = PMR_LOST,
			.reason = reason,
		};
}

static int compare(const void *a, const void *b)
{
	const struct pmr_loss *one = a, *other = b;

	return (one->offset > other->offset) - (one->offset < other->offset);
}

static int find_losses(struct pmr_file *file, const struct pmr_device *device)
{
	struct pmr_ranges offlined = { 0 }, bad = { 0 };
	int ret;

	ret = pmr_reading_offlined(device, &offlined);
	if (!ret)
		ret = pmr_ranges_subtract(&bad, &device->badblocks.ranges, &offlined);
	if (!ret)
		file->losses = calloc(bad.n + offlined.n, sizeof(*file->losses));
	if (!ret && !file->losses)
		ret = -ENOMEM;
	if (!ret) {
		add_losses(file, &bad, NULL);
		add_losses(file, &offlined, "page-offlined");
		qsort(file->losses, file->n_losses, sizeof(*file->losses), compare);
	}
	pmr_ranges_release(&offlined);
	pmr_ranges_release(&bad);
	return ret;
}

static int make_file(struct pmr_filesystem *whole, struct pmr_file **file)
{
	struct pmr_device *device = whole->device;
	struct pmr_file *made = calloc(1, sizeof(*made));
	int ret;

	if (!made)
		return -ENOMEM;
	made->whole_device = true;
	made->size = device->size;
	made->dax = true;
	made->complete = true;
	made->path = strdup(device->path);
	made->filesystem = whole;
	ret = made->path ? find_losses(made, device) : -ENOMEM;
	if (ret) {
		free(made->path);
		free(made);
	} else {
		*file = made;
	}
	return ret;
}

static struct pmr_file *find_file(const struct pmr_scan *scan, const struct pmr_device *device)
{
	for (size_t i = 0; i < scan->n_files; i++)
		if (scan->files[i]->whole_device && scan->files[i]->filesystem->device == device)
			return scan->files[i];
	return NULL;
}

int pmr_scan_whole(struct pmr_scanner *scanner, struct pmr_device *device)
{
	const struct pmr_ranges *bad = &device->badblocks.ranges;
	struct pmr_scan *scan = scanner->scan;
	struct pmr_filesystem *whole;
	struct pmr_file *file;
	int ret;

	/* what stands for it is wanted where its list is empty, too: a repair of it may have been interrupted */
	ret = pmr_filesystem_whole(scan->topology, device, &whole);
	if (ret || !bad->n)
		return ret;
	/* it may have been named twice */
	if (find_file(scan, device))
		return 0;
	ret = pmr_grow(&scan->files, scan->n_files, &scanner->alloc_files, sizeof(scan->files[0]));
	if (!ret)
		ret = make_file(whole, &file);
	if (ret)
		return ret;
	scan->files[scan->n_files++] = file;
	pmr_say(scanner->ctx, PMR_WARNING, "device-data-lost", device->path,
		"has %" PRIu64 " bad bytes, the first at %" PRIu64
		": it is device-dax, and only the program that uses it can tell what was there; stop that, copy what can "
		"be read with 'pmem-recover salvage', and write the rest from an image with 'pmem-recover repair'",
		pmr_ranges_bytes(bad), bad->v[0].offset);
	return 0;
}

/* Where nothing of it is listed it is none of the files yet. */
static int need_file(struct pmr_scan *scan, struct pmr_device *device, struct pmr_file **file)
{
	struct pmr_filesystem *whole;
	struct pmr_file **grown;
	int ret;

	*file = find_file(scan, device);
	if (*file)
		return 0;
	ret = pmr_filesystem_whole(scan->topology, device, &whole);
	if (ret)
		return ret;
	grown = reallocarray(scan->files, scan->n_files + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	scan->files = grown;
	ret = make_file(whole, file);
	if (!ret)
		grown[scan->n_files++] = *file;
	return ret;
}

int pmr_scan_whole_zeros(struct pmr_scan *scan, struct pmr_device *device,
			 const struct pmr_ranges *zeros)
{
	struct pmr_ranges readable = { 0 };
	struct pmr_file *file = NULL;
	struct pmr_loss *grown;
	int ret;

	ret = pmr_ranges_subtract(&readable, zeros, &device->badblocks.ranges);
	if (ret || !readable.n)
		goto out;
	ret = need_file(scan, device, &file);
	if (ret)
		goto out;
	ret = -ENOMEM;
	grown = reallocarray(file->losses, file->n_losses + readable.n, sizeof(*grown));
	if (!grown)
		goto out;
	file->losses = grown;
	for (size_t i = 0; i < readable.n; i++)
		grown[file->n_losses + i] = (struct pmr_loss){
			.offset = readable.v[i].offset,
			.length = readable.v[i].length,
			.device_offset = readable.v[i].offset,
			.state = PMR_LOST,
			.vanished = true,
		};
	file->n_losses += readable.n;
	qsort(grown, file->n_losses, sizeof(*grown), compare);
	ret = 0;
out:
	pmr_ranges_release(&readable);
	return ret;
}
