/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A copy of what can be read of a file: open, scan, rescue, look again, and the result. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repair/repair.h"
#include "salvage.h"
#include "scan/scan.h"

/* How much may be lost with the power: the mapfile is brought up to date after so many bytes, or seconds. */
#define CHECKPOINT_BYTES ((uint64_t)64 << 20)
#define CHECKPOINT_SECONDS 5
/* How often a file is gone over again because its device's list grew meanwhile. */
#define ROUNDS 3u

struct salvager {
	struct pmr_ctx *ctx;
	struct pmr_topology *topology;
	const char *path;
	const struct pmr_badblocks_file *badblocks;
	const char *badblocks_path;
	const struct pmr_salvage_options *options;
	struct pmr_salvage *salvage;
	struct pmr_source source;
	struct pmr_pair pair;
	struct pmr_ranges listed; /* the device's list that the rescue goes by */
	struct pmr_losses known; /* where the scan could not list the file to its end */
	struct pmr_rescue rescue;
	struct timespec
		kept_at; /* when the mapfile was brought up to date, and what was rescued then */
	uint64_t kept_bytes;
	bool keeps; /* the mapfile could be written so far */
	bool told; /* why it stopped was said */
	bool changed;
};

/* ---- the mapfile, while it works */

/*
 * A kernel whose flagged reads fill poison with zeros may have done so to poison that was not listed yet when the list
 * was read. Return: 1 if the list grew, or is not all that the kernel knows any more; 0; -ENOMEM.
 */
static int has_grown(struct salvager *s)
{
	struct pmr_device *device = s->source.filesystem->device;
	struct pmr_ranges news = { 0 };
	int ret;

	if (!s->source.flagged)
		return 0;
	ret = pmr_device_refresh(s->ctx, device);
	if (!ret)
		ret = pmr_ranges_subtract(&news, &device->badblocks.ranges, &s->listed);
	if (!ret)
		ret = news.n || !pmr_source_is_told(&s->source);
	pmr_ranges_release(&news);
	return ret;
}

/* The mapfile as it was says nothing of what may be zeros in the place of poison. Return: 1 where it is left so. */
static int keep(struct salvager *s)
{
	int ret = has_grown(s);

	return ret ? ret : pmr_pair_save(&s->pair, &s->rescue);
}

/* Bytes are safe before the mapfile says so. A mapfile that cannot be written is no reason to rescue no more. */
static int checkpoint(struct salvager *s)
{
	uint64_t failed_at;
	int ret;

	s->kept_bytes = s->rescue.rescued;
	clock_gettime(CLOCK_MONOTONIC, &s->kept_at);
	ret = pmr_output_drain(s->pair.output, &failed_at);
	if (!ret)
		ret = pmr_output_sync(s->pair.output);
	if (ret)
		return ret;
	ret = keep(s);
	s->keeps = ret >= 0;
	return ret == -ENOMEM ? ret : 0;
}

static bool is_due(const struct salvager *s)
{
	struct timespec now;

	if (!s->options->mapfile || !s->keeps)
		return false;
	if (s->rescue.rescued - s->kept_bytes >= CHECKPOINT_BYTES)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - s->kept_at.tv_sec >= CHECKPOINT_SECONDS;
}

/* ---- what the rescue asks for */

static int read_file(void *data, uint64_t offset, void *buffer, size_t length, size_t *got)
{
	struct salvager *s = data;

	return pmr_source_read(&s->source, offset, buffer, length, got);
}

static int read_cached(void *data, uint64_t offset, void *buffer, size_t length)
{
	const struct salvager *s = data;

	return pmr_source_cached(&s->source, offset, buffer, length);
}

static int read_device(void *data, uint64_t offset, uint64_t length, const struct pmr_ranges *avoid,
		       void *buffer, struct pmr_ranges *unreadable)
{
	struct salvager *s = data;

	return pmr_source_device(&s->source, offset, length, avoid, buffer, unreadable);
}

static int is_closed(void *data)
{
	const struct salvager *s = data;

	return pmr_source_closed(&s->source);
}

static void *get_buffer(void *data)
{
	struct salvager *s = data;

	return pmr_output_buffer(s->pair.output);
}

static int write_output(void *data, uint64_t offset, const void *buffer, size_t length)
{
	struct salvager *s = data;
	int ret;

	ret = pmr_output_write(s->pair.output, offset, buffer, length);
	s->told = s->told || ret;
	return ret;
}

static int tick(void *data)
{
	struct salvager *s = data;
	int ret = 0;

	pmr_tell_progress(s->ctx, "salvage", s->path, s->rescue.rescued + s->rescue.lost,
			  s->source.listing.data);
	if (pmr_is_cancelled(s->ctx)) {
		pmr_say(s->ctx, PMR_ERROR, "interrupted", s->path, "%s",
			s->options->mapfile
				? "stopped early: go on with the same output and mapfile"
				: "stopped early: without a mapfile nothing can go on from here");
		ret = -ECANCELED;
	} else if (is_due(s)) {
		ret = checkpoint(s);
	}
	s->told = s->told || ret;
	return ret;
}

/* ---- the rounds */

static struct pmr_file *scanned_file(const struct salvager *s)
{
	const struct pmr_scan *scan = s->salvage->scan;

	return scan->n_files ? scan->files[0] : NULL;
}

static int scan(struct salvager *s)
{
	struct pmr_device *device = s->source.filesystem->device;
	struct pmr_file around = { 0 };
	const struct pmr_file *file;
	int ret;

	pmr_scan_free(s->salvage->scan);
	s->salvage->scan = NULL;
	ret = pmr_scan_new(s->ctx, s->topology, &s->path, 1, s->badblocks, s->badblocks_path,
			   &s->salvage->scan);
	if (ret)
		return ret;
	file = scanned_file(s);
	if (file && (file->inode != s->source.st.st_ino || file->size != s->rescue.size))
		s->changed = true;
	/* reading poison to learn what the flag does is for poison that the kernel itself lists */
	if (!device->from_file && !s->source.whole)
		pmr_method_try(s->ctx, s->salvage->scan);
	ret = pmr_ranges_copy(&s->listed, &device->badblocks.ranges);
	if (!ret && file && pmr_is_map_error(file->error)) {
		ret = pmr_source_losses(&s->source, &s->known);
		around.losses = s->known.v;
		around.n_losses = s->known.n;
		file = &around;
	}
	return ret ? ret : pmr_rescue_learn(&s->rescue, file, &s->listed);
}

/* What this run read of pages that are listed now is to be read again, and all of it where not all may be listed. */
static int take_back(struct salvager *s)
{
	struct pmr_rescue *r = &s->rescue;
	struct pmr_ranges good = { 0 };
	int ret;

	if (!pmr_source_is_told(&s->source)) {
		s->source.flagged = false;
		ret = pmr_ranges_copy(&r->have, &s->pair.map.rescued);
		for (size_t i = 0; i < r->saved.n && !ret; i++)
			ret = pmr_ranges_add(&r->have, r->saved.v[i].offset, r->saved.v[i].length);
		pmr_ranges_normalize(&r->have);
		return ret;
	}
	ret = pmr_ranges_subtract(&good, &r->done, &r->pages);
	for (size_t i = 0; i < good.n && !ret; i++)
		ret = pmr_ranges_add(&r->have, good.v[i].offset, good.v[i].length);
	pmr_ranges_normalize(&r->have);
	pmr_ranges_release(&good);
	return ret;
}

/* From the first write that failed on, nothing is in the output: count again without it. */
static int settle_writes(struct salvager *s)
{
	struct pmr_rescue *r = &s->rescue;
	const struct pmr_range *done = r->done.v;
	uint64_t failed_at = 0, end;
	int error, ret = 0;

	error = pmr_output_drain(s->pair.output, &failed_at);
	if (!error)
		return 0;
	for (size_t i = 0; i < r->done.n && !ret && done[i].offset < failed_at; i++) {
		end = done[i].offset + done[i].length;
		ret = pmr_ranges_add(&r->have, done[i].offset,
				     (end < failed_at ? end : failed_at) - done[i].offset);
	}
	pmr_ranges_normalize(&r->have);
	r->stopped = error;
	s->told = true;
	return ret ? ret : pmr_rescue_run(r);
}

/* What the page cache has comes first, and only where all of it is in the output it is not read elsewhere. */
static int rescue_cached(struct salvager *s)
{
	struct pmr_rescue *r = &s->rescue;
	uint64_t failed_at;
	int ret;

	ret = pmr_rescue_cached(r);
	if (ret == -ENOMEM)
		return ret;
	r->stopped = pmr_output_drain(s->pair.output, &failed_at);
	if (!r->stopped)
		r->stopped = ret;
	if (!r->stopped)
		return 0;
	s->told = true;
	r->saved.n = 0;
	return pmr_ranges_copy(&r->have, &s->pair.map.rescued);
}

static int rescue(struct salvager *s)
{
	struct pmr_rescue *r = &s->rescue;
	int ret;

	ret = rescue_cached(s);
	if (ret)
		return ret;
	for (unsigned int round = 1;; round++) {
		ret = pmr_rescue_run(r);
		if (!ret)
			ret = settle_writes(s);
		if (!ret && !r->stopped)
			ret = has_grown(s);
		if (ret <= 0)
			return ret;
		ret = scan(s);
		if (!ret)
			ret = take_back(s);
		if (ret)
			return ret;
		s->kept_bytes = 0;
		if (round < ROUNDS)
			continue;
		pmr_say(s->ctx, PMR_ERROR, "file-changes", s->path,
			"lies on a device whose list of badblocks grew each time: what is new in it was not copied");
		s->told = true;
		r->stopped = -EAGAIN;
	}
}

/* ---- the end */

static const struct stop {
	int error;
	const char *code;
	const char *text;
} stops[] = {
	{ -EIO, "shut-down",
	  "could not be read any further, here or elsewhere, which is no sign of poison: the filesystem has probably shut "
	  "down, see the kernel log; mount it again, then go on with the same mapfile" },
	{ -ENODEV, "device-error",
	  "could not be read any further: its device fails everywhere, which is no sign of poison" },
	{ -ENXIO, "device-error",
	  "could not be read any further: its device was taken away, which is no sign of poison" },
};

static void say_why(const struct salvager *s)
{
	int error = s->rescue.stopped;

	if (!error || s->told)
		return;
	for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
		if (stops[i].error == error) {
			pmr_say(s->ctx, PMR_ERROR, stops[i].code, s->path, "%s", stops[i].text);
			return;
		}
	}
	pmr_say(s->ctx, PMR_ERROR, "failed", s->path, "could not be read any further: %s",
		strerror(-error));
}

/* An earlier run could not read it, and nothing says that what can be read now is what was there. */
static void say_resumed(const struct salvager *s)
{
	uint64_t vanished = pmr_ranges_bytes(&s->rescue.vanished);

	if (vanished)
		pmr_say(s->ctx, PMR_WARNING, "mapfile-vanished", s->path,
			"%" PRIu64
			" bytes were listed as bad when an earlier run looked, and are not any more: they were not read, since "
			"there may be zeros by now, and are lost; to have them read all the same, begin anew with another "
			"output and mapfile",
			vanished);
	if (s->rescue.in_doubt)
		pmr_say(s->ctx, PMR_WARNING, "mapfile-doubt", s->path,
			"%" PRIu64
			" bytes could not be read by an earlier run, and can be now, and no list tells why: they are in the "
			"copy, but there may be zeros by now, so the mapfile still has them as lost; to have them believed, "
			"begin anew with another output and mapfile",
			s->rescue.in_doubt);
}

static void look_again(struct salvager *s)
{
	const struct pmr_device *device = s->source.filesystem->device;
	bool changed = false;
	int ret;

	ret = pmr_source_look_again(&s->source, &changed);
	if (ret && !s->rescue.stopped)
		s->rescue.stopped = ret;
	if (changed || s->rescue.stopped == -ESTALE)
		s->changed = true;
	if (s->changed)
		pmr_say(s->ctx, PMR_ERROR, "changed", s->path,
			"changed while it was copied, so the copy may mix two states of it: stop what writes to it, and "
			"salvage it anew");
	else
		say_why(s);
	say_resumed(s);
	if (s->rescue.unlisted)
		pmr_say(s->ctx, PMR_WARNING, "no-extents", s->path,
			"where the filesystem's map of it is damaged, it was read through the file alone, and is lost where that "
			"failed; keep this copy before anything repairs the filesystem, which may cut the file there");
	if (s->rescue.no_device)
		pmr_say(s->ctx, PMR_WARNING, "no-device-access",
			device->path ? device->path : device->name,
			"cannot be read (%s), so of each page with poison all is lost: try again as root",
			strerror(-s->rescue.no_device));
}

static int conclude(struct salvager *s)
{
	struct pmr_salvage *result = s->salvage;
	bool safe;
	int ret;

	look_again(s);
	safe = !pmr_output_finish(s->pair.output, s->source.st.st_mode);
	safe = !pmr_output_sync(s->pair.output) && safe;
	ret = has_grown(s);
	if (ret < 0)
		return ret;
	if (ret && !s->rescue.stopped)
		pmr_say(s->ctx, PMR_ERROR, "list-grew", s->path,
			"lies on a device whose list of badblocks grew, or was cut, when it had been copied: what is new in it "
			"may be zeros in the copy; salvage it again, into the same output if there is a mapfile");
	safe = safe && !ret;
	if (safe && s->options->mapfile) {
		ret = pmr_pair_save(&s->pair, &s->rescue);
		if (ret == -ENOMEM)
			return ret;
		safe = !ret;
	}
	result->size = s->rescue.size;
	result->rescued = s->rescue.rescued;
	result->lost = s->rescue.lost;
	result->remaining = s->rescue.untried;
	/* where listing it failed, not all of it was met */
	if (s->rescue.stopped && result->rescued + result->lost < s->source.listing.data)
		result->remaining = s->source.listing.data - result->rescued - result->lost;
	result->complete = safe && !s->changed && !s->rescue.stopped && !s->rescue.untried &&
			   !s->rescue.unlisted && result->scan->complete;
	return pmr_tally(&s->rescue, &s->source, result->scan);
}

static int run(struct salvager *s)
{
	int ret;

	ret = pmr_source_open(s->ctx, s->topology, s->path, &s->source);
	if (ret)
		return ret;
	s->path = s->source.path;
	s->rescue.fd = s->source.fd;
	s->rescue.fiemap = s->source.whole ? pmr_whole_fiemap : NULL;
	s->rescue.filesystem = s->source.filesystem;
	s->rescue.unplaced = s->source.unplaced;
	s->rescue.size = (uint64_t)s->source.st.st_size;
	ret = pmr_pair_find(&s->source, s->options, &s->pair);
	s->salvage->resumed = s->pair.resumed;
	if (!ret)
		ret = pmr_ranges_copy(&s->rescue.have, &s->pair.map.rescued);
	if (!ret)
		ret = pmr_ranges_copy(&s->rescue.failed, &s->pair.map.bad);
	if (!ret)
		ret = pmr_ranges_copy(&s->rescue.noted, &s->pair.map.listed);
	if (!ret)
		ret = scan(s);
	if (!ret)
		ret = pmr_rescue_init(&s->rescue);
	if (!ret)
		ret = pmr_pair_open(&s->pair);
	/* from here on there is a result, whatever happens */
	if (!ret && s->options->mapfile)
		ret = checkpoint(s);
	if (!ret)
		ret = rescue(s);
	if (!ret)
		ret = conclude(s);
	return ret;
}

int pmr_salvage_new(struct pmr_ctx *ctx, struct pmr_topology *topology, const char *path,
		    const struct pmr_badblocks_file *badblocks, const char *badblocks_path,
		    const struct pmr_salvage_options *options, struct pmr_salvage **salvage)
{
	static const struct pmr_rescue_io io = {
		.read = read_file,
		.cached = read_cached,
		.device = read_device,
		.closed = is_closed,
		.buffer = get_buffer,
		.write = write_output,
		.tick = tick,
	};
	struct salvager s = {
		.ctx = ctx,
		.topology = topology,
		.path = path,
		.badblocks = badblocks,
		.badblocks_path = badblocks_path,
		.options = options,
		.source.fd = -1,
		.source.direct = -1,
		.pair.output_place.directory = -1,
		.pair.map_place.directory = -1,
		.keeps = true,
	};
	int ret;

	s.rescue.io = &io;
	s.rescue.data = &s;
	s.rescue.fill = options->fill;
	s.salvage = calloc(1, sizeof(*s.salvage));
	ret = s.salvage ? run(&s) : -ENOMEM;
	pmr_pair_close(&s.pair);
	pmr_source_close(&s.source);
	pmr_ranges_release(&s.listed);
	pmr_rescue_release(&s.rescue);
	free(s.known.v);
	if (ret)
		pmr_salvage_free(s.salvage);
	else
		*salvage = s.salvage;
	return ret;
}

void pmr_salvage_free(struct pmr_salvage *salvage)
{
	if (!salvage)
		return;
	pmr_scan_free(salvage->scan);
	free(salvage);
}
