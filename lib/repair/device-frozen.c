/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a guardian does while a filesystem stands still: look once more, and write sectors that are lost through the device.
 * It allocates nothing, opens nothing and says nothing: whoever waits for this filesystem might be in the way.
 */
#include <errno.h>
#include <linux/fiemap.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "repair.h"

/* Nanoseconds since it is frozen after which no further page is begun, and none is written any more. */
#define ENOUGH (500u * UINT64_C(1000000))
#define TOO_LATE (900u * UINT64_C(1000000))

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* The state goes first into the memory that the parent sees, then what it stands for is done. */
static void set_state(struct pmr_frozen_chunk *chunk, enum pmr_frozen_state state)
{
	__atomic_store_n(&chunk->state, state, __ATOMIC_SEQ_CST);
}

/* Who was stopped, and goes on when others have thawed, must not write. */
static bool is_late(const struct pmr_frozen *frozen)
{
	return now() - frozen->freeze.began > TOO_LATE;
}

static const char *check_file(const struct pmr_frozen *frozen)
{
	const struct pmr_claim *claim = frozen->claim;
	struct stat st;

	if (fstat(claim->fd, &st) < 0 || st.st_ino != claim->file->inode ||
	    (uint64_t)st.st_size < claim->file->size)
		return "changed";
	/* who has it in use may write to it, and append, but where it lies is looked at */
	if (!claim->in_use && ((uint64_t)st.st_size != claim->file->size ||
			       !pmr_is_same_time(&st.st_ctim, &claim->change_time)))
		return "changed";
	return NULL;
}

static const char *check_place(const struct pmr_frozen *frozen,
			       const struct pmr_frozen_chunk *chunk)
{
	const struct pmr_claim *claim = frozen->claim;
	struct pmr_extent extent;
	uint64_t place;

	if (pmr_extent_at(claim->fd, chunk->offset, chunk->length, &extent) != 1 ||
	    !pmr_extent_is_trusted(&extent) || (extent.flags & FIEMAP_EXTENT_UNWRITTEN) ||
	    extent.offset != chunk->offset || extent.length != chunk->length ||
	    pmr_filesystem_to_device(claim->file->filesystem, extent.physical, &place) ||
	    place != chunk->device_offset)
		return "moved";
	return NULL;
}

/* Whether what is lost still is: its owner may have written it anew. */
static const char *check_lost(struct pmr_frozen *frozen, const struct pmr_frozen_chunk *chunk)
{
	unsigned int block = pmr_media_block(frozen->media);
	int ret;

	for (size_t at = 0; at < chunk->length; at += block) {
		ret = pmr_media_read_block(frozen->media, chunk->device_offset + at, frozen->buffer,
					   block);
		/* what can be read is what it was at the last look, or somebody wrote it */
		if (!ret && chunk->may_read & 1u << at / block &&
		    (!memcmp(frozen->buffer, chunk->before + at, block) ||
		     !memcmp(frozen->buffer, chunk->bytes + at, block)))
			continue;
		if (!ret)
			return "readable";
		if (!pmr_media_is_error(ret))
			return "device-error";
	}
	return NULL;
}

/* A write to a page that is not mapped oopses the kernel: one of its other sectors must be readable right now. */
static const char *check_mapped(struct pmr_frozen *frozen, const struct pmr_frozen_chunk *chunk)
{
	uint64_t page = chunk->device_offset - chunk->device_offset % PMR_PAGE;
	unsigned int block = pmr_media_block(frozen->media);

	for (size_t at = 0; at < PMR_PAGE; at += block)
		if (chunk->siblings & 1u << at / block &&
		    !pmr_media_read_block(frozen->media, page + at, frozen->buffer, block))
			return NULL;
	return "page-offlined";
}

static const char *check(struct pmr_frozen *frozen, const struct pmr_frozen_chunk *chunk)
{
	const char *reason = check_file(frozen);

	if (!reason)
		reason = check_place(frozen, chunk);
	if (!reason)
		reason = check_lost(frozen, chunk);
	return reason ? reason : check_mapped(frozen, chunk);
}

static void write_chunk(struct pmr_frozen *frozen, struct pmr_frozen_chunk *chunk)
{
	unsigned int block = pmr_media_block(frozen->media);
	bool equal = true;

	set_state(chunk, PMR_FROZEN_WRITING);
	for (size_t at = 0; at < chunk->length; at += block) {
		uint64_t place = chunk->device_offset + at;

		if (is_late(frozen))
			break;

		/* by itself, so that a clear that fails is of one block */
		equal &= !pmr_media_write_block(frozen->media, place, chunk->bytes + at, block) &&
			 !pmr_media_read_block(frozen->media, place, frozen->buffer, block) &&
			 !memcmp(frozen->buffer, chunk->bytes + at, block);
	}
	/* written in part, or not at all: what is there is looked at when it is thawed */
	if (!is_late(frozen))
		set_state(chunk, equal ? PMR_FROZEN_WRITTEN : PMR_FROZEN_FAILED);
}

/* Chunks [from, to) are all those of one page: written all, or left all, since the page is read whole. */
static void do_page(struct pmr_frozen *frozen, size_t from, size_t to)
{
	const char *reason = NULL;

	for (size_t i = from; !reason && i < to; i++)
		reason = check(frozen, &frozen->chunks[i]);
	for (size_t i = from; i < to; i++) {
		if (!reason) {
			write_chunk(frozen, &frozen->chunks[i]);
			continue;
		}
		frozen->chunks[i].reason = reason;
		set_state(&frozen->chunks[i], PMR_FROZEN_LEFT);
	}
}

void pmr_frozen_work(void *data)
{
	struct pmr_frozen *frozen = data;
	size_t to;

	for (size_t from = 0; from < frozen->n; from = to) {
		if (now() - frozen->freeze.began > ENOUGH)
			return;
		for (to = from + 1;
		     to < frozen->n && frozen->chunks[to].device_offset / PMR_PAGE ==
					       frozen->chunks[from].device_offset / PMR_PAGE;)
			to++;
		do_page(frozen, from, to);
	}
}
