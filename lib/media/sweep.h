/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading media for poison that is in no list yet: sweep.c reads and bisects, pace.c says how long to wait (pure).
 */
#ifndef PMR_SWEEP_H
#define PMR_SWEEP_H

#include "private.h"

/* ---- pace.c: pure */

/** PMR_PACE_SLACK - nanoseconds: what was not read in time is caught up with for so long, and no longer */
#define PMR_PACE_SLACK UINT64_C(250000000)

/**
 * struct pmr_pace - so many bytes a second, and no more
 * @rate: bytes a second; 0 for as fast as it gets
 * @due: when the next byte may be read, in nanoseconds of the caller's clock
 * @begun: @due means something
 */
struct pmr_pace {
	uint64_t rate;
	uint64_t due;
	bool begun;
};

/** pmr_pace_wait() - how long to wait before the next read, in nanoseconds */
uint64_t pmr_pace_wait(struct pmr_pace *pace, uint64_t now);
/** pmr_pace_add() - bytes were read, or tried to be */
void pmr_pace_add(struct pmr_pace *pace, uint64_t bytes);
/** pmr_pace_piece() - bytes to read at once, so that a low rate comes in small steps; a multiple of @block */
size_t pmr_pace_piece(const struct pmr_pace *pace, size_t most, size_t block);

/* ---- sweep.c */

/** PMR_SWEEP_PIECE - bytes read at once, as far as they follow each other and nothing fails */
#define PMR_SWEEP_PIECE ((size_t)1 << 20)

/**
 * struct pmr_sweep_io - what is read, or what a test puts in its place
 * @read: whole logical blocks; 0 or a negative errno. Where it @stops, *@got is how many bytes of them precede the block that
 *        could not be read, which none of the others was asked for
 * @now: nanoseconds of a clock that only goes forward
 * @sleep: may come back early
 * @block: logical block in bytes
 * @size: bytes of the device, a multiple of @block
 * @stops: what is read is read in order, up to the first block that fails
 */
struct pmr_sweep_io {
	int (*read)(void *data, uint64_t offset, void *buffer, size_t length, size_t *got);
	uint64_t (*now)(void *data);
	void (*sleep)(void *data, uint64_t nanoseconds);
	void *data;
	unsigned int block;
	uint64_t size;
	bool stops;
};

/**
 * struct pmr_sweep_options - how to read
 * @rate: bytes a second, 0 for as fast as it gets
 * @object: what progress is told of
 */
struct pmr_sweep_options {
	uint64_t rate;
	const char *object;
};

/**
 * struct pmr_sweep_result - what came of it; zero-initialise, release with pmr_sweep_release()
 * @done: normal: what was to be read and was, or is listed; whole logical blocks
 * @found: normal: logical blocks that failed by themselves while others could be read
 * @bytes: that were read, or tried to be, each time they were
 * @stopped: 0 all was read; -ECANCELED; -EIO: the device answers every read with an error, so that none of them tells of
 *           poison; another errno by which it said that it is gone
 */
struct pmr_sweep_result {
	struct pmr_ranges done;
	struct pmr_ranges found;
	uint64_t bytes;
	int stopped;
};

/**
 * pmr_sweep() - read ranges of a device for blocks that cannot be read
 * @ranges: normal, device offsets; widened to whole logical blocks
 * @listed: normal, device offsets: known to be bad, and never read
 *
 * What fails is halved down to the logical block; where a read tells at which block it stopped, that is stepped over, and is
 * not read again. A block counts as found only when one that could be read before, or one of a few all over the device, can be
 * read after it: else it is the device that fails. Progress is told as "read".
 *
 * Return: 0 also when it was stopped; -EINVAL (past the end of the device), -ENOMEM.
 */
int pmr_sweep(struct pmr_ctx *ctx, struct pmr_media *media, const struct pmr_ranges *ranges,
	      const struct pmr_ranges *listed, const struct pmr_sweep_options *options,
	      struct pmr_sweep_result *result);
/** pmr_sweep_with() - the same of anything that can be read */
int pmr_sweep_with(struct pmr_ctx *ctx, const struct pmr_sweep_io *io,
		   const struct pmr_ranges *ranges, const struct pmr_ranges *listed,
		   const struct pmr_sweep_options *options, struct pmr_sweep_result *result);
/** pmr_sweep_release() - free the storage */
void pmr_sweep_release(struct pmr_sweep_result *result);

#endif
