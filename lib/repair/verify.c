/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is a write to be believed? Only what reads back equal, through the file and the device, and left the list.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repair.h"

struct check {
	const struct pmr_compose *compose;
	const struct pmr_step *step;
	uint64_t offset; /* in the file */
	size_t length; /* of the chunk, and of what of it lies inside the file */
	size_t inside;
	const char *expected; /* NULL: only whether it can be read */
	const char *method; /* NULL: nothing was written */
	char *actual; /* page aligned, PMR_CHUNK bytes */
	struct pmr_ranges dead; /* what of the device could not be read back */
	struct pmr_ranges different; /* what could, and is not what was written */
	bool unread; /* nothing could be told of a part of it that lies inside the file */
};

static uint64_t on_device(const struct check *k, uint64_t offset)
{
	return k->step->device_offset + (offset - k->step->offset);
}

/* the smallest read past the page cache */
static size_t block_of(const struct pmr_file *file)
{
	unsigned int block = file->filesystem->device->logical_block;

	return block && block <= PMR_PAGE ? block : PMR_PAGE;
}

/* NULL, or why the page at @at (offset in the chunk) does not read back through the file */
static const char *check_file(const struct check *k, size_t at, size_t length)
{
	const struct pmr_claim *claim = k->compose->claim;
	size_t got, want = at >= k->inside ? 0 : k->inside - at, block = block_of(claim->file);
	uint64_t offset = k->offset + at;
	int ret;

	if (want > length)
		want = length;
	if (!want)
		return NULL;
	/* no more than that: where blocks are smaller than pages, the next one may not be written yet */
	if (claim->file->dax || offset % block)
		ret = pmr_media_read_file(claim->fd, offset, k->actual, want, &got);
	else
		ret = pmr_media_read_file_direct(claim->fd, offset, k->actual,
						 want + (block - want % block) % block, &got);
	if (ret)
		return "read-back-error";
	if (got >= want && (!k->expected || !memcmp(k->actual, k->expected + at, want)))
		return NULL;
	return "read-back-differs";
}

/*
 * Sectors of the page at @at that can be read and do not hold what they should: a clear that stopped short drops the
 * record of bytes that were then never written.
 */
static int add_different(struct check *k, size_t at, size_t length, const struct pmr_ranges *dead)
{
	uint64_t place;
	size_t want;
	int ret = 0;

	for (size_t s = 0; k->expected && !ret && s < length && at + s < k->inside;
	     s += PMR_SECTOR) {
		place = on_device(k, k->offset + at + s);
		want = k->inside - at - s < PMR_SECTOR ? k->inside - at - s : PMR_SECTOR;
		if (!pmr_ranges_overlap(dead, place, PMR_SECTOR) &&
		    memcmp(k->actual + s, k->expected + at + s, want))
			ret = pmr_ranges_add(&k->different, place, PMR_SECTOR);
	}
	return ret;
}

static int check_device(struct check *k, size_t at, size_t length, const char **reason)
{
	static const struct pmr_ranges none;
	struct pmr_ranges dead = { 0 };
	size_t before = k->different.n;
	int ret;

	*reason = NULL;
	ret = pmr_media_salvage(k->compose->media, on_device(k, k->offset + at), length, &none,
				k->actual, &dead);
	if (ret) {
		/* no medium error: the device itself does not answer */
		k->unread |= at < k->inside;
		*reason = "read-back-error";
		ret = ret == -ENOMEM ? ret : 0;
		goto out;
	}
	ret = add_different(k, at, length, &dead);
	for (size_t i = 0; !ret && i < dead.n; i++)
		ret = pmr_ranges_add(&k->dead, dead.v[i].offset, dead.v[i].length);
	if (dead.n)
		*reason = "read-back-error";
	else if (k->different.n != before)
		*reason = "read-back-differs";
out:
	pmr_ranges_release(&dead);
	return ret;
}

static const char *check_list(const struct check *k, size_t at, size_t length)
{
	return pmr_reading_unsettled(k->compose->claim->file->filesystem->device,
				     on_device(k, k->offset + at), length);
}

static bool touches(const struct pmr_loss *loss, uint64_t offset, size_t length)
{
	return loss->offset < offset + length && loss->offset + loss->length > offset;
}

/* the losses of one page take its outcome; a loss that spans pages keeps its first failure */
static void conclude(const struct check *k, struct pmr_file_plan *plan, size_t at, size_t length,
		     const char *reason)
{
	struct pmr_loss *loss;

	for (size_t i = 0; i < k->step->n_losses; i++) {
		loss = &plan->file->losses[k->step->first_loss + i];
		if (!touches(loss, k->offset + at, length) || loss->state == PMR_SKIPPED ||
		    loss->state == PMR_FAILED)
			continue;
		if (k->method)
			loss->method = k->method;
		if (reason) {
			loss->state = PMR_FAILED;
			loss->reason = reason;
		} else {
			loss->state = loss->source && !strcmp(loss->source, "zero") &&
						      loss->state != PMR_PAST_EOF
					      ? PMR_ZEROED
					      : PMR_REPAIRED;
			loss->reason = loss->method ? NULL : "already-equal";
		}
	}
}

/*
 * Whether others may have written since: the file was held for longer than the kernel keeps them waiting. What is there
 * is then theirs, and not a write of ours that went wrong.
 */
static bool is_theirs(const struct check *k)
{
	const struct pmr_claim *claim = k->compose->claim;

	return !claim->in_use && pmr_lease_is_lost(claim->fd);
}

/*
 * What must stay in the list: what was listed before the write and cannot be read after it, and what can be read but
 * was not written, for the next reader would take it for data. Sectors that only fail with their page were not in it.
 */
static int keep_records(struct pmr_ctx *ctx, struct check *k, const struct pmr_ranges *listed)
{
	struct pmr_device *device = k->compose->claim->file->filesystem->device;
	struct pmr_ranges cured = { 0 }, still = { 0 };
	int ret;

	pmr_ranges_normalize(&k->dead);
	ret = pmr_ranges_subtract(&cured, listed, &k->dead);
	if (!ret)
		ret = pmr_ranges_subtract(&still, listed, &cured);
	/* of what is in use it may as well be its owner's */
	if (k->compose->claim->in_use || is_theirs(k))
		k->different.n = 0;
	pmr_ranges_normalize(&k->different);
	if (!ret && (still.n || k->different.n))
		ret = pmr_record_keep(ctx, device, &still, &k->different);
	pmr_ranges_release(&cured);
	pmr_ranges_release(&still);
	return ret;
}

/* Whether the bytes of a loss are nowhere but in its journal; those of a backup are there, and zeros are none. */
static bool is_only_copy(const struct pmr_loss *loss)
{
	return !loss->source || (strcmp(loss->source, "backup") && strcmp(loss->source, "zero"));
}

/*
 * Whether the file lost bytes by the write that it had before. What is in no loss could be read: a clear that stops short
 * leaves it as anything, for a page is cleared whole.
 */
static int find_spoiled(const struct check *k, const struct pmr_file *file,
			enum pmr_spoiled *spoiled)
{
	struct pmr_ranges replaced = { 0 }, inside = { 0 }, more = { 0 };
	const struct pmr_ranges *bad[] = { &k->dead, &k->different };
	const struct pmr_loss *loss;
	uint64_t from, to;
	int ret = 0;

	for (size_t i = 0; !ret && i < k->step->n_losses; i++) {
		loss = &file->losses[k->step->first_loss + i];
		if (!touches(loss, k->offset, k->length) || is_only_copy(loss))
			continue;
		/* what of it is ahead of the chunk may lie elsewhere, and need not have a place where this one has its */
		from = loss->offset > k->offset ? loss->offset : k->offset;
		to = loss->offset + loss->length;
		if (to > k->offset + k->length)
			to = k->offset + k->length;
		ret = pmr_ranges_add(&replaced, on_device(k, from), to - from);
	}
	pmr_ranges_normalize(&replaced);
	for (size_t i = 0; !ret && i < sizeof(bad) / sizeof(bad[0]); i++) {
		inside.n = more.n = 0;
		if (k->inside)
			ret = pmr_ranges_clip(&inside, bad[i], on_device(k, k->offset), k->inside);
		if (!ret)
			ret = pmr_ranges_subtract(&more, &inside, &replaced);
		if (more.n)
			*spoiled = PMR_SPOILED_DIFFERENT;
	}
	/* what was not written is as it was; by an earlier run it may have been */
	if (k->unread && (k->method || k->step->redo) && *spoiled == PMR_SPOILED_NOT)
		*spoiled = PMR_SPOILED_UNREAD;
	pmr_ranges_release(&replaced);
	pmr_ranges_release(&inside);
	pmr_ranges_release(&more);
	return ret;
}

int pmr_verify_chunk(struct pmr_ctx *ctx, const struct pmr_compose *compose,
		     struct pmr_file_plan *plan, const struct pmr_step *step, uint64_t offset,
		     size_t length, const void *expected, const struct pmr_ranges *listed,
		     const char *method, enum pmr_spoiled *spoiled)
{
	struct check k = { .compose = compose, .step = step, .offset = offset, .length = length };
	uint64_t size = plan->file->size;
	const char *reason, *of_device;
	size_t next;
	int ret = 0;

	k.inside = offset >= size ? 0 : length;
	if (k.inside && k.inside > size - offset)
		k.inside = (size_t)(size - offset);
	k.expected = expected;
	k.method = method;
	if (posix_memalign((void **)&k.actual, PMR_PAGE, PMR_CHUNK))
		return -ENOMEM;
	for (size_t at = 0; !ret && at < length; at = next) {
		next = at + PMR_PAGE - (offset + at) % PMR_PAGE;
		if (next > length)
			next = length;
		reason = check_file(&k, at, next - at);
		ret = check_device(&k, at, next - at, &of_device);
		if (ret)
			break;
		if (!reason)
			reason = of_device;
		if (!reason)
			reason = check_list(&k, at, next - at);
		if (reason && is_theirs(&k))
			reason = "changed";
		conclude(&k, plan, at, next - at, reason);
		if (!reason)
			ret = pmr_reading_settle(compose->claim->file->filesystem->device,
						 on_device(&k, offset + at), next - at);
	}
	if (!ret)
		ret = keep_records(ctx, &k, listed);
	/* what others wrote is theirs */
	if (!ret && !is_theirs(&k))
		ret = find_spoiled(&k, plan->file, spoiled);
	pmr_ranges_release(&k.dead);
	pmr_ranges_release(&k.different);
	free(k.actual);
	return ret;
}
