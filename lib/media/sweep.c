/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads media for poison that is in no list yet: in large pieces, and where one fails, on behind the block that it stopped at,
 * or where nothing tells that, in halves down to the logical block.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "media.h"
#include "sweep.h"

/* Blocks all over the device that are asked whether it still answers, where none has been read yet. */
#define WITNESSES 16u
/* So many blocks that fail with none between that can be read, and it is asked whether the device still answers. */
#define DOUBT 16u
/* Nanoseconds after which an interrupt is looked for. */
#define NAP UINT64_C(50000000)

struct sweep {
	struct pmr_ctx *ctx;
	const struct pmr_sweep_io *io;
	const struct pmr_sweep_options *options;
	const struct pmr_ranges *listed;
	struct pmr_sweep_result *result;
	struct pmr_pace pace;
	struct pmr_ranges failed; /* of the piece that is looked at, in the order met */
	size_t proven; /* so many of them the device answered after */
	char *buffer;
	uint64_t good; /* a block that could be read */
	bool has_good;
	uint64_t done; /* bytes, for progress */
	uint64_t total;
};

/* pmr_ranges_add(), for what comes in order: a terabyte of pieces is one range */
static int append(struct pmr_ranges *ranges, uint64_t offset, uint64_t length)
{
	struct pmr_range *last = ranges->n ? &ranges->v[ranges->n - 1] : NULL;

	if (!last || last->offset + last->length != offset)
		return pmr_ranges_add(ranges, offset, length);
	last->length += length;
	return 0;
}

static bool is_cancelled(const struct sweep *s)
{
	return pmr_is_cancelled(s->ctx);
}

/* Return: -ECANCELED, 0. */
static int wait_for_turn(struct sweep *s)
{
	uint64_t left;

	while (!is_cancelled(s)) {
		left = pmr_pace_wait(&s->pace, s->io->now(s->io->data));
		if (!left)
			return 0;
		s->io->sleep(s->io->data, left < NAP ? left : NAP);
	}
	return -ECANCELED;
}

/* @got: bytes that could be read; of a read that fails and tells nothing 0 */
static int read_blocks(struct sweep *s, uint64_t offset, size_t length, size_t *got)
{
	size_t tried = length;
	int ret = wait_for_turn(s);

	*got = 0;
	if (ret)
		return ret;
	ret = s->io->read(s->io->data, offset, s->buffer, length, got);
	if (!ret)
		*got = length;
	else if (!s->io->stops)
		*got = 0;
	else if (pmr_media_is_error(ret))
		tried = *got + s->io->block;
	pmr_pace_add(&s->pace, tried);
	s->result->bytes += tried;
	if (*got) {
		s->good = offset;
		s->has_good = true;
		s->proven = s->failed.n;
	}
	return ret;
}

/* ---- is it the medium, or the device? */

/* Return: 1 it can be read, 0 it cannot, or why the device is gone. */
static int ask(struct sweep *s, uint64_t offset)
{
	size_t got;
	int ret = read_blocks(s, offset, s->io->block, &got);

	if (pmr_media_is_error(ret))
		return 0;
	return ret ? ret : 1;
}

/* Whether anything can be read of the device at all. Return: as ask(). */
static int ask_around(struct sweep *s)
{
	uint64_t blocks = s->io->size / s->io->block, at;
	int ret = 0;

	if (s->has_good)
		ret = ask(s, s->good);
	for (unsigned int i = 0; !ret && i < WITNESSES; i++) {
		/* the first and the last one, and those between */
		at = i ? (blocks - 1) / (WITNESSES - 1) * i : 0;
		at = (i + 1 == WITNESSES ? blocks - 1 : at) * s->io->block;
		if (!pmr_ranges_overlap(s->listed, at, s->io->block) &&
		    !pmr_ranges_overlap(&s->failed, at, s->io->block) &&
		    !pmr_ranges_overlap(&s->result->found, at, s->io->block))
			ret = ask(s, at);
	}
	return ret;
}

/* Return: 0 it answers; -EIO it answers nothing; why it is gone. */
static int check_alive(struct sweep *s)
{
	int ret = ask_around(s);

	return ret == 1 ? 0 : ret ? ret : -EIO;
}

/* ---- one piece */

/* Many that fail with nothing between may be the end of the device. */
static int fail_block(struct sweep *s, uint64_t offset)
{
	int ret = pmr_ranges_add(&s->failed, offset, s->io->block);

	if (!ret && s->failed.n - s->proven >= DOUBT)
		ret = check_alive(s);
	return ret;
}

/*
 * Each load of poison is a machine check, so that none is repeated: the block that stopped it is the one that fails, and what
 * follows is read from behind it.
 */
static int step_over(struct sweep *s, uint64_t offset, size_t length)
{
	size_t done = 0, got;
	int ret = 0;

	while (!ret && done < length) {
		ret = read_blocks(s, offset + done, length - done, &got);
		done += got;
		if (!pmr_media_is_error(ret))
			continue;
		ret = fail_block(s, offset + done);
		done += s->io->block;
	}
	return ret;
}

/*
 * Whole blocks, at most a piece. @fails: something in them is known to, so that only the parts need to be read; a single
 * block always is. Return: 1 something failed, 0 nothing, -errno.
 */
static int split(struct sweep *s, uint64_t offset, size_t length, bool fails)
{
	size_t block = s->io->block, half = length / 2 / block * block, got;
	int first, ret = 0;

	if (!fails || length == block)
		ret = read_blocks(s, offset, length, &got);
	if (ret && !pmr_media_is_error(ret))
		return ret;
	if (!ret && (!fails || length == block))
		return 0;
	if (length == block) {
		ret = fail_block(s, offset);
		return ret ? ret : 1;
	}
	first = split(s, offset, half, false);
	if (first < 0)
		return first;
	ret = split(s, offset + half, length - half, !first);
	return ret < 0 ? ret : first || ret;
}

static int halve(struct sweep *s, uint64_t offset, size_t length)
{
	size_t got;
	int ret;

	ret = read_blocks(s, offset, length, &got);
	if (!pmr_media_is_error(ret))
		return ret;
	ret = check_alive(s);
	if (!ret)
		ret = split(s, offset, length, true);
	return ret > 0 ? 0 : ret;
}

/* What the device did not answer after may be its own end, and no poison. */
static int believe(struct sweep *s)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < s->proven; i++)
		ret = append(&s->result->found, s->failed.v[i].offset, s->failed.v[i].length);
	return ret;
}

static int read_piece(struct sweep *s, uint64_t offset, size_t length)
{
	int ret, error;

	s->failed.n = 0;
	s->proven = 0;
	ret = s->io->stops ? step_over(s, offset, length) : halve(s, offset, length);
	if (!ret && s->proven < s->failed.n)
		ret = check_alive(s);
	error = believe(s);
	ret = ret ? ret : error;
	if (ret)
		return ret;
	s->done += length;
	pmr_tell_progress(s->ctx, "read", s->options->object, s->done, s->total);
	return append(&s->result->done, offset, length);
}

/* Pieces end at multiples of their size, where they can: what holds the pages below likes that. */
static int read_range(struct sweep *s, const struct pmr_range *range)
{
	uint64_t offset = range->offset, end = range->offset + range->length;
	size_t piece = pmr_pace_piece(&s->pace, PMR_SWEEP_PIECE, s->io->block);
	uint64_t length;
	int ret = 0;

	for (; !ret && offset < end; offset += length) {
		length = piece - offset % piece;
		if (length > end - offset)
			length = end - offset;
		ret = read_piece(s, offset, (size_t)length);
	}
	return ret;
}

/* ---- what is to be read */

/* Whole logical blocks. */
static int widen(const struct pmr_sweep_io *io, const struct pmr_ranges *ranges,
		 struct pmr_ranges *out)
{
	uint64_t from, end;
	int ret = 0;

	for (size_t i = 0; !ret && i < ranges->n; i++) {
		from = ranges->v[i].offset;
		end = from + ranges->v[i].length;
		if (end > io->size)
			return -EINVAL;
		from -= from % io->block;
		end += (io->block - end % io->block) % io->block;
		ret = pmr_ranges_add(out, from, end - from);
	}
	pmr_ranges_normalize(out);
	return ret;
}

static int read_all(struct sweep *s, const struct pmr_ranges *todo)
{
	int ret = 0;

	s->total = pmr_ranges_bytes(todo);
	for (size_t i = 0; !ret && i < todo->n; i++)
		ret = read_range(s, &todo->v[i]);
	/* the last bytes take their time as well; an interrupt comes too late */
	if (!ret)
		wait_for_turn(s);
	if (ret == -ENOMEM)
		return ret;
	s->result->stopped = ret;
	return 0;
}

int pmr_sweep_with(struct pmr_ctx *ctx, const struct pmr_sweep_io *io,
		   const struct pmr_ranges *ranges, const struct pmr_ranges *listed,
		   const struct pmr_sweep_options *options, struct pmr_sweep_result *result)
{
	struct pmr_ranges asked = { 0 }, avoid = { 0 }, todo = { 0 };
	struct sweep s = {
		.ctx = ctx,
		.io = io,
		.options = options,
		.listed = &avoid,
		.result = result,
		.pace.rate = options->rate,
	};
	int ret;

	if (posix_memalign((void **)&s.buffer, PMR_SWEEP_PIECE, PMR_SWEEP_PIECE))
		return -ENOMEM;
	ret = widen(io, ranges, &asked);
	if (!ret)
		ret = widen(io, listed, &avoid);
	if (!ret)
		ret = pmr_ranges_subtract(&todo, &asked, &avoid);
	if (!ret)
		ret = read_all(&s, &todo);
	/* what is listed needs no proof */
	for (size_t i = 0; !ret && i < asked.n; i++)
		ret = pmr_ranges_clip(&result->done, &avoid, asked.v[i].offset, asked.v[i].length);
	pmr_ranges_normalize(&result->done);
	pmr_ranges_normalize(&result->found);
	pmr_ranges_release(&asked);
	pmr_ranges_release(&avoid);
	pmr_ranges_release(&todo);
	pmr_ranges_release(&s.failed);
	free(s.buffer);
	return ret;
}

void pmr_sweep_release(struct pmr_sweep_result *result)
{
	pmr_ranges_release(&result->done);
	pmr_ranges_release(&result->found);
	memset(result, 0, sizeof(*result));
}

/* ---- media */

/* What was cut off a device cannot be read either, and is no poison. */
static int explain(const struct pmr_media *media, int error)
{
	return pmr_media_is_error(error) && pmr_media_has_shrunk(media) ? -ENODEV : error;
}

/* Of a disk nothing tells where it failed: a driver may fail a request for any of its sectors. */
static int read_media(void *data, uint64_t offset, void *buffer, size_t length, size_t *got)
{
	(void)got;
	return explain(data, pmr_media_read_block(data, offset, buffer, length));
}

static int load_media(void *data, uint64_t offset, void *buffer, size_t length, size_t *got)
{
	return explain(data, pmr_media_load(data, offset, buffer, length, got));
}

static uint64_t now(void *data)
{
	struct timespec time;

	(void)data;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void sleep_for(void *data, uint64_t nanoseconds)
{
	const struct timespec time = { (time_t)(nanoseconds / 1000000000u),
				       (long)(nanoseconds % 1000000000u) };

	(void)data;
	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

int pmr_sweep(struct pmr_ctx *ctx, struct pmr_media *media, const struct pmr_ranges *ranges,
	      const struct pmr_ranges *listed, const struct pmr_sweep_options *options,
	      struct pmr_sweep_result *result)
{
	const struct pmr_sweep_io io = {
		.read = media->loads ? load_media : read_media,
		.now = now,
		.sleep = sleep_for,
		.data = media,
		.block = pmr_media_block(media),
		.size = pmr_media_size(media),
		.stops = media->loads != NULL,
	};

	return pmr_sweep_with(ctx, &io, ranges, listed, options, result);
}
