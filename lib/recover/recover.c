/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the address of a fault to what can still be read there, by the means of salvage, into memory. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "owner/open-files.h"
#include "recover/recover.h"
#include "salvage/salvage.h"

/* A process with more mappings than its sysctl allows (vm.max_map_count, 65,530) by far. */
#define MAPS_LIMIT ((size_t)256 << 20)
/* How often the range is gone over again because the device's list grew meanwhile. */
#define ROUNDS 3u

struct recovery {
	struct pmr_ctx *ctx;
	struct pmr_source source;
	struct pmr_ranges
		bad; /* the device's list that the rescue goes by, and what the filesystem sees of it */
	struct pmr_losses known;
	struct pmr_file file;
	struct pmr_rescue rescue;
	char *buffer;
	struct pmr_recovered *result;
};

/* ---- what the rescue asks for */

static int read_file(void *data, uint64_t offset, void *buffer, size_t length, size_t *got)
{
	struct recovery *r = data;

	return pmr_source_read(&r->source, offset, buffer, length, got);
}

static int read_cached(void *data, uint64_t offset, void *buffer, size_t length)
{
	const struct recovery *r = data;

	return pmr_source_cached(&r->source, offset, buffer, length);
}

static int read_device(void *data, uint64_t offset, uint64_t length, const struct pmr_ranges *avoid,
		       void *buffer, struct pmr_ranges *unreadable)
{
	struct recovery *r = data;

	return pmr_source_device(&r->source, offset, length, avoid, buffer, unreadable);
}

static int is_closed(void *data)
{
	const struct recovery *r = data;

	return pmr_source_closed(&r->source);
}

static void *get_buffer(void *data)
{
	const struct recovery *r = data;

	return r->buffer;
}

static int keep(void *data, uint64_t offset, const void *buffer, size_t length)
{
	struct recovery *r = data;

	memcpy((char *)r->result->bytes + (offset - r->result->offset), buffer, length);
	return 0;
}

static int tick(void *data)
{
	const struct recovery *r = data;

	return pmr_is_cancelled(r->ctx) ? -ECANCELED : 0;
}

/* ---- the mapping and its file */

/* By the mapping itself, which takes a privilege (CAP_CHECKPOINT_RESTORE, 5.9; before that CAP_SYS_ADMIN), or by name. */
static int open_mapped(struct recovery *r, struct pmr_topology *topology,
		       const struct pmr_mapped *mapped)
{
	char link[96];
	const char *way = r->result->path;
	int fd, ret;

	snprintf(link, sizeof(link), "/proc/self/map_files/%llx-%llx",
		 (unsigned long long)mapped->start, (unsigned long long)mapped->end);
	fd = pmr_open_by_path(link, O_RDONLY);
	if (fd >= 0)
		way = link;
	else if (fd != -EINVAL)
		fd = pmr_open_by_path(way, O_RDONLY);
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? -ESTALE : fd;
	close(fd);
	ret = pmr_source_open(r->ctx, topology, way, &r->source);
	if (ret)
		return ret;
	r->source.path = r->result->path;
	if (way != link &&
	    (r->source.st.st_dev != mapped->devno || r->source.st.st_ino != mapped->inode))
		return -ESTALE;
	return 0;
}

/* The kernel has a line end in a name as \012; what else looks so shows by its inode. */
static char *copy_path(const struct pmr_mapped *mapped)
{
	char *path = strndup(mapped->path, mapped->path_length), *at;

	for (at = path; at && (at = strstr(at, "\\012")) != NULL; at++) {
		*at = '\n';
		memmove(at + 1, at + 4, strlen(at + 4) + 1);
	}
	return path;
}

static int find(struct recovery *r, struct pmr_topology *topology, uint64_t address, uint64_t unit)
{
	struct pmr_recovered *result = r->result;
	struct pmr_mapped mapped;
	struct pmr_range range;
	size_t length;
	char *maps;
	int ret;

	/* not "self": of a process whose first thread has ended that is nothing */
	ret = pmr_read_text("/proc/thread-self/maps", MAPS_LIMIT, &maps, &length);
	if (ret)
		return ret;
	ret = pmr_mapped_find(maps, address, &mapped);
	if (ret != 1)
		ret = ret ? ret : -EFAULT;
	else if (!mapped.inode || !mapped.path_length || mapped.path[0] != '/')
		ret = -EINVAL;
	else
		ret = (result->path = copy_path(&mapped)) ? 0 : -ENOMEM;
	if (!ret)
		ret = open_mapped(r, topology, &mapped);
	if (!ret)
		ret = pmr_mapped_range(&mapped, address, unit, (uint64_t)r->source.st.st_size,
				       &range);
	free(maps);
	if (ret)
		return ret;
	result->filesystem = r->source.filesystem;
	result->fault = mapped.offset + (address - mapped.start);
	result->offset = range.offset;
	result->length = range.length;
	result->bytes = calloc(1, range.length);
	return result->bytes ? 0 : -ENOMEM;
}

/* ---- the rescue */

/* What the list takes of the file, as it is now. */
static int learn(struct recovery *r)
{
	int ret;

	ret = pmr_ranges_copy(&r->bad, &r->source.filesystem->device->badblocks.ranges);
	if (!ret)
		ret = pmr_source_losses(&r->source, &r->known);
	r->file.losses = r->known.v;
	r->file.n_losses = r->known.n;
	return ret ? ret : pmr_rescue_learn(&r->rescue, &r->file, &r->bad);
}

/* All but the range counts as had already. */
static int leave_out(struct recovery *r)
{
	struct pmr_ranges *have = &r->rescue.have;
	uint64_t end = r->result->offset + r->result->length;
	int ret = 0;

	have->n = 0;
	if (r->result->offset)
		ret = pmr_ranges_add(have, 0, r->result->offset);
	if (!ret && end < r->rescue.size)
		ret = pmr_ranges_add(have, end, r->rescue.size - end);
	return ret;
}

/* A kernel whose flagged reads fill poison with zeros may have done so to poison that was listed only then. */
static int has_grown(struct recovery *r)
{
	struct pmr_device *device = r->source.filesystem->device;
	struct pmr_ranges news = { 0 };
	int ret;

	if (!r->source.flagged)
		return 0;
	ret = pmr_device_refresh(r->ctx, device);
	if (!ret)
		ret = pmr_ranges_subtract(&news, &device->badblocks.ranges, &r->bad);
	if (!ret)
		ret = news.n || !pmr_source_is_told(&r->source);
	pmr_ranges_release(&news);
	return ret;
}

static int rescue(struct recovery *r)
{
	int ret = 0;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		memset(r->result->bytes, 0, r->result->length);
		r->rescue.saved.n = 0;
		r->rescue.stopped = 0;
		r->source.flagged = false;
		ret = leave_out(r);
		if (!ret)
			ret = learn(r);
		if (!ret)
			ret = pmr_rescue_cached(&r->rescue);
		if (!ret)
			ret = pmr_rescue_run(&r->rescue);
		if (!ret && !r->rescue.stopped)
			ret = has_grown(r);
		if (ret <= 0)
			return ret;
	}
	r->rescue.stopped = -EAGAIN;
	return 0;
}

/* ---- the result */

static int compare_losses(const void *a, const void *b)
{
	const struct pmr_loss *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

static int add_untried(struct pmr_losses *losses, const struct pmr_range *range)
{
	int ret;

	ret = pmr_grow(&losses->v, losses->n, &losses->alloc, sizeof(losses->v[0]));
	if (!ret)
		losses->v[losses->n++] = (struct pmr_loss){ .offset = range->offset,
							    .length = range->length,
							    .device_offset = PMR_NO_ADDRESS,
							    .state = PMR_UNKNOWN };
	return ret;
}

/* What was not come to is in no list of the rescue, unless it was known to be lost. */
static int tell_untried(struct recovery *r)
{
	struct pmr_rescue *rescue = &r->rescue;
	struct pmr_losses *losses = &rescue->losses;
	struct pmr_ranges told = { 0 }, untold = { 0 };
	struct pmr_ranges whole = {
		.v = &(struct pmr_range){ r->result->offset, r->result->length }, .n = 1
	};
	const struct pmr_ranges *lists[] = { &rescue->done, &rescue->bad, &rescue->saved };
	size_t n = 0;
	int ret = 0;

	for (size_t i = 0; i < losses->n; i++)
		if (losses->v[i].state != PMR_UNKNOWN)
			losses->v[n++] = losses->v[i];
	losses->n = n;
	for (size_t k = 0; k < sizeof(lists) / sizeof(lists[0]); k++)
		for (size_t i = 0; i < lists[k]->n && !ret; i++)
			ret = pmr_ranges_add(&told, lists[k]->v[i].offset, lists[k]->v[i].length);
	pmr_ranges_normalize(&told);
	if (!ret)
		ret = pmr_ranges_subtract(&untold, &whole, &told);
	for (size_t i = 0; i < untold.n && !ret; i++)
		ret = add_untried(losses, &untold.v[i]);
	if (losses->n)
		qsort(losses->v, losses->n, sizeof(losses->v[0]), compare_losses);
	pmr_ranges_release(&told);
	pmr_ranges_release(&untold);
	return ret;
}

static int conclude(struct recovery *r)
{
	struct pmr_recovered *result = r->result;
	bool changed = false;
	int ret = 0;

	if (!r->rescue.stopped)
		r->rescue.stopped = pmr_source_look_again(&r->source, &changed);
	if (changed)
		r->rescue.stopped = -ESTALE;
	if (r->rescue.stopped)
		ret = tell_untried(r);
	result->error = r->rescue.stopped;
	result->no_device = r->rescue.no_device;
	result->lost = r->rescue.lost;
	result->losses = r->rescue.losses.v;
	result->n_losses = r->rescue.losses.n;
	r->rescue.losses = (struct pmr_losses){ 0 };
	return ret;
}

static int run(struct recovery *r, struct pmr_topology *topology, uint64_t address, uint64_t unit)
{
	void *buffer;
	int ret;

	ret = find(r, topology, address, unit);
	/* the list is older than the fault */
	if (!ret)
		ret = pmr_device_refresh(r->ctx, r->source.filesystem->device);
	if (ret)
		return ret;
	r->rescue.fd = r->source.fd;
	r->rescue.filesystem = r->source.filesystem;
	r->rescue.unplaced = r->source.unplaced;
	r->rescue.size = (uint64_t)r->source.st.st_size;
	if (posix_memalign(&buffer, PMR_PAGE, PMR_RESCUE_CHUNK + PMR_PAGE))
		return -ENOMEM;
	r->buffer = buffer;
	ret = pmr_rescue_init(&r->rescue);
	if (!ret)
		ret = rescue(r);
	if (!ret)
		ret = conclude(r);
	return ret;
}

int pmr_recover_at(struct pmr_ctx *ctx, struct pmr_topology *topology, const void *address,
		   unsigned int lsb, struct pmr_recovered **recovered)
{
	static const struct pmr_rescue_io io = {
		.read = read_file,
		.cached = read_cached,
		.device = read_device,
		.closed = is_closed,
		.buffer = get_buffer,
		.write = keep,
		.tick = tick,
	};
	struct recovery r = { .ctx = ctx, .source.fd = -1, .source.direct = -1 };
	uint64_t unit = (uint64_t)sysconf(_SC_PAGESIZE);
	int ret;

	if (lsb >= 48)
		return -EINVAL;
	if (unit < (uint64_t)1 << lsb)
		unit = (uint64_t)1 << lsb;
	r.rescue.io = &io;
	r.rescue.data = &r;
	r.rescue.fill = -1;
	r.result = calloc(1, sizeof(*r.result));
	ret = r.result ? run(&r, topology, (uintptr_t)address, unit) : -ENOMEM;
	pmr_source_close(&r.source);
	pmr_ranges_release(&r.bad);
	pmr_rescue_release(&r.rescue);
	free(r.known.v);
	free(r.buffer);
	if (ret)
		pmr_recovered_free(r.result);
	else
		*recovered = r.result;
	return ret;
}

void pmr_recovered_free(struct pmr_recovered *recovered)
{
	if (!recovered)
		return;
	free(recovered->path);
	free(recovered->bytes);
	free(recovered->losses);
	free(recovered);
}
