/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Can a backup be believed? It is compared with what can still be read of the file around the damage.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/fiemap.h>
#include <stdlib.h>
#include <string.h>

#include "repair.h"

#define WINDOW (64u * 1024)

struct compare {
	const struct pmr_backup *backup;
	const struct pmr_claim *claim;
	struct pmr_media *media;
	const struct pmr_file_plan *plan;
	char *ours; /* PMR_CHUNK bytes each */
	char *theirs;
	uint64_t compared; /* bytes found equal */
	struct pmr_ranges
		blank; /* losses that would be replaced by nothing but one byte again and again */
	unsigned char fill; /* that of the first of them */
	struct pmr_ranges lost; /* every loss that would be replaced */
	struct pmr_ranges plain; /* sectors of them that would be by such bytes */
	uint64_t differs_at; /* file offset of the first difference */
};

/* 0 equal, 1 different, or why the backup cannot be read */
static int compare_bytes(struct compare *c, uint64_t offset, const char *ours, size_t length)
{
	int ret;

	if (offset >= c->backup->size)
		return 0;
	if (length > c->backup->size - offset)
		length = (size_t)(c->backup->size - offset);
	ret = pmr_backup_read(c->backup, offset, c->theirs, length);
	if (ret)
		return ret;
	if (memcmp(ours, c->theirs, length)) {
		size_t i = 0;

		while (ours[i] == c->theirs[i])
			i++;
		c->differs_at = offset + i;
		return 1;
	}
	c->compared += length;
	return 0;
}

/* Through the filesystem, or where there is none by loads. */
static int read_good(struct compare *c, uint64_t offset, size_t length, size_t *got)
{
	return c->claim->file->whole_device
		       ? pmr_media_load(c->media, offset, c->ours, length, got)
		       : pmr_media_read_file(c->claim->fd, offset, c->ours, length, got);
}

/* a part of the file without damage */
static int compare_good(struct compare *c, const struct pmr_range *range)
{
	uint64_t offset = range->offset, end = range->offset + range->length;
	size_t length, got;
	int ret, error;

	while (offset < end) {
		length = end - offset < PMR_CHUNK ? (size_t)(end - offset) : PMR_CHUNK;
		error = read_good(c, offset, length, &got);
		if (error && !pmr_media_is_error(error))
			return error;
		ret = compare_bytes(c, offset, c->ours, got);
		if (ret)
			return ret;
		/* a page that fails although it is in no list has nothing to compare with; go on behind it */
		offset += error ? got - got % PMR_PAGE + PMR_PAGE : length;
	}
	return 0;
}

/* What vanished from the list can be read, and yet is not what the file had there. */
static int add_vanished(const struct pmr_file *file, struct pmr_ranges *unreadable)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < file->n_losses; i++)
		if (file->losses[i].vanished)
			ret = pmr_ranges_add(unreadable, file->losses[i].device_offset,
					     file->losses[i].length);
	pmr_ranges_normalize(unreadable);
	return ret;
}

/* the pages to be written, of which the device still gives the good sectors */
static int compare_step(struct compare *c, const struct pmr_step *step, uint64_t offset,
			size_t length)
{
	const struct pmr_filesystem *fs = c->claim->file->filesystem;
	struct pmr_ranges whole = { 0 }, unreadable = { 0 }, readable = { 0 };
	uint64_t from = step->device_offset + (offset - step->offset), size = c->claim->file->size;
	uint64_t at, bytes;
	int ret;

	ret = pmr_media_salvage(c->media, from, length, &fs->device->badblocks.ranges, c->ours,
				&unreadable);
	if (!ret)
		ret = pmr_ranges_add(&whole, from, length);
	if (!ret)
		ret = add_vanished(c->claim->file, &unreadable);
	if (!ret)
		ret = pmr_ranges_subtract(&readable, &whole, &unreadable);
	for (size_t i = 0; !ret && i < readable.n; i++) {
		at = offset + (readable.v[i].offset - from);
		bytes = readable.v[i].length;
		if (at >= size)
			break;
		if (bytes > size - at)
			bytes = size - at;
		ret = compare_bytes(c, at, c->ours + (readable.v[i].offset - from), (size_t)bytes);
	}
	pmr_ranges_release(&whole);
	pmr_ranges_release(&unreadable);
	pmr_ranges_release(&readable);
	return ret;
}

/* Also the rest of a page of which only what is lost is written: on DAX a page is one block. */
static struct pmr_step whole_page(const struct pmr_step *step)
{
	struct pmr_step page = *step;
	uint64_t before = step->offset % PMR_PAGE;

	if (step->method != PMR_METHOD_DEVICE || step->device_offset % PMR_PAGE != before)
		return page;
	page.offset -= before;
	page.device_offset -= before;
	page.length = PMR_PAGE;
	return page;
}

static int compare_steps(struct compare *c)
{
	struct pmr_step step;
	uint64_t done;
	size_t length;
	int ret;

	for (size_t i = 0; i < c->plan->n_steps; i++) {
		step = whole_page(&c->plan->steps[i]);
		for (done = 0; done < step.length; done += length) {
			length = step.length - done < PMR_CHUNK ? (size_t)(step.length - done)
								: PMR_CHUNK;
			ret = compare_step(c, &step, step.offset + done, length);
			if (ret)
				return ret;
		}
	}
	return 0;
}

/* every page that poison touches: never read through the file */
static int damaged_pages(const struct pmr_file *file, struct pmr_ranges *pages)
{
	uint64_t from, to;
	int ret = 0;

	for (size_t i = 0; !ret && i < file->n_losses; i++) {
		if (file->losses[i].state == PMR_UNWRITTEN)
			continue;
		from = file->losses[i].offset / PMR_PAGE * PMR_PAGE;
		to = (file->losses[i].offset + file->losses[i].length + PMR_PAGE - 1) / PMR_PAGE *
		     PMR_PAGE;
		ret = pmr_ranges_add(pages, from, to - from);
	}
	pmr_ranges_normalize(pages);
	return ret;
}

static int window_of_steps(const struct pmr_file_plan *plan, struct pmr_ranges *windows)
{
	uint64_t from, to;
	int ret = 0;

	for (size_t i = 0; !ret && i < plan->n_steps; i++) {
		from = plan->steps[i].offset > WINDOW ? plan->steps[i].offset - WINDOW : 0;
		to = plan->steps[i].offset + plan->steps[i].length + WINDOW;
		ret = pmr_ranges_add(windows, from, to - from);
	}
	return ret;
}

/* everything but holes, so that a sparse file costs what it holds */
static int window_of_file(const struct pmr_claim *claim, struct pmr_ranges *windows)
{
	struct pmr_extents *extents;
	struct pmr_extent e;
	int ret;

	if (claim->file->whole_device)
		return pmr_ranges_add(windows, 0, claim->file->size);
	ret = pmr_extents_open(claim->fd, 0, UINT64_MAX, true, &extents);
	if (ret)
		return ret;
	while ((ret = pmr_extents_next(extents, &e)) == 1) {
		ret = pmr_ranges_add(windows, e.offset, e.length);
		if (ret)
			break;
	}
	pmr_extents_close(extents);
	return ret;
}

static int compare_windows(struct compare *c, enum pmr_verify_backup how)
{
	const struct pmr_file *file = c->claim->file;
	struct pmr_ranges windows = { 0 }, inside = { 0 }, pages = { 0 }, good = { 0 };
	int ret;

	ret = how == PMR_VERIFY_FULL ? window_of_file(c->claim, &windows)
				     : window_of_steps(c->plan, &windows);
	if (ret)
		goto out;
	pmr_ranges_normalize(&windows);
	ret = pmr_ranges_clip(&inside, &windows, 0, file->size);
	if (!ret)
		ret = damaged_pages(file, &pages);
	if (!ret)
		ret = pmr_ranges_subtract(&good, &inside, &pages);
	for (size_t i = 0; !ret && i < good.n; i++)
		ret = compare_good(c, &good.v[i]);
out:
	pmr_ranges_release(&windows);
	pmr_ranges_release(&inside);
	pmr_ranges_release(&pages);
	pmr_ranges_release(&good);
	return ret;
}

static bool is_one_byte(const char *bytes, size_t length, char byte)
{
	return bytes[0] == byte && !memcmp(bytes, bytes + 1, length - 1);
}

static int add_blank(struct compare *c, const struct pmr_loss *loss, char byte)
{
	if (!c->blank.n)
		c->fill = (unsigned char)byte;
	return pmr_ranges_add(&c->blank, loss->offset, loss->length);
}

/* By sector: a loss may have grown since the copy was made that lacks a part of it. */
static int add_plain(struct compare *c, uint64_t offset, size_t length)
{
	size_t bytes;
	int ret = 0;

	for (size_t done = 0; done < length && !ret; done += bytes) {
		bytes = length - done < PMR_SECTOR ? length - done : PMR_SECTOR;
		if (is_one_byte(c->theirs + done, bytes, c->theirs[done]))
			ret = pmr_ranges_append(&c->plain, offset + done, bytes);
	}
	return ret;
}

static int read_replacement(struct compare *c, const struct pmr_loss *loss)
{
	bool blank = true;
	char first = 0;
	size_t length;
	int ret;

	ret = pmr_ranges_add(&c->lost, loss->offset, loss->length);
	if (ret)
		return ret;
	for (uint64_t done = 0; done < loss->length; done += length) {
		length =
			loss->length - done < PMR_CHUNK ? (size_t)(loss->length - done) : PMR_CHUNK;
		ret = pmr_backup_read(c->backup, loss->offset + done, c->theirs, length);
		if (!ret)
			ret = add_plain(c, loss->offset + done, length);
		if (ret)
			return ret;
		if (!done)
			first = c->theirs[0];
		blank = blank && is_one_byte(c->theirs, length, first);
	}
	return blank ? add_blank(c, loss, first) : 0;
}

/* Every byte that is to be taken from the backup can be read from it. */
static int read_replacements(struct compare *c)
{
	const struct pmr_file *file = c->claim->file;
	int ret = 0;

	for (size_t i = 0; i < file->n_losses && !ret; i++)
		if (file->losses[i].state == PMR_LOST)
			ret = read_replacement(c, &file->losses[i]);
	pmr_ranges_normalize(&c->blank);
	pmr_ranges_normalize(&c->lost);
	pmr_ranges_normalize(&c->plain);
	return ret;
}

/* What would be replaced by bytes that look like none. */
static int judge_blank(struct pmr_ctx *ctx, const struct compare *c, bool accept,
		       const char **refused)
{
	const struct pmr_file *file = c->claim->file;
	char *mapfile = NULL;
	uint64_t offset = 0;
	int ret;

	if (!c->plain.n)
		return 0;
	ret = accept ? 0 : pmr_backup_unmended(c->backup, &c->lost, &c->plain, &mapfile, &offset);
	if (ret < 0)
		return ret;
	if (ret) {
		pmr_say(ctx, PMR_ERROR, "backup-unmended", c->backup->path,
			"is a copy that was salvaged, and still lacks byte %" PRIu64
			" and more of what %s lost, by %s beside it: put the right bytes there first, or insist with --force",
			offset, file->path, mapfile);
		free(mapfile);
		*refused = "backup-unmended";
		return -EINVAL;
	}
	if (!c->blank.n)
		return 0;
	if (c->fill)
		pmr_say(ctx, PMR_WARNING, "backup-zeros", c->backup->path,
			"has nothing but 0x%02x where %s lost bytes: is it a copy that was made after the damage, with that "
			"byte for what is lost?",
			c->fill, file->path);
	else
		pmr_say(ctx, PMR_WARNING, "backup-zeros", c->backup->path,
			"has only zeros where %s lost bytes: is it a copy that was made after the damage?",
			file->path);
	return 0;
}

static int judge(struct pmr_ctx *ctx, const struct compare *c,
		 const struct pmr_repair_options *options, int result, const char **refused)
{
	const struct pmr_file *file = c->claim->file;

	if (result == 1) {
		pmr_say(ctx, PMR_ERROR, "stale-backup", c->backup->path,
			"differs from %s at byte %" PRIu64
			", which can still be read there: the backup is of another time",
			file->path, c->differs_at);
		*refused = "stale-backup";
		return -EINVAL;
	}
	if (result == -ENOMEM)
		return result;
	if (result == -ERANGE) {
		pmr_say(ctx, PMR_ERROR, "backup-short", c->backup->path,
			"ends before the bytes that %s has lost", file->path);
		*refused = "backup-short";
		return -EINVAL;
	}
	if (result < 0) {
		pmr_say(ctx, PMR_ERROR, "backup-unreadable", c->backup->path,
			"cannot be compared with %s: %s", file->path, strerror(-result));
		*refused = "backup-unreadable";
		return -EINVAL;
	}
	result = judge_blank(ctx, c, options->accept_unmended, refused);
	if (result)
		return result;
	if (!c->compared && options->verify_backup != PMR_VERIFY_NONE)
		pmr_say(ctx, PMR_WARNING, "backup-unchecked", c->backup->path,
			"nothing of %s around the damage can still be read to compare it with",
			file->path);
	return 0;
}

int pmr_backup_verify(struct pmr_ctx *ctx, const struct pmr_backup *backup,
		      const struct pmr_claim *claim, struct pmr_media *media,
		      const struct pmr_file_plan *plan, const struct pmr_repair_options *options,
		      const char **refused)
{
	enum pmr_verify_backup how = options->verify_backup;
	struct compare c = { .backup = backup, .claim = claim, .media = media, .plan = plan };
	int ret = -ENOMEM;

	if (backup->size != claim->file->size)
		pmr_say(ctx, PMR_WARNING, "backup-size", backup->path,
			"is %" PRIu64 " bytes long and %s %" PRIu64 ": is it the right backup?",
			backup->size, claim->file->path, claim->file->size);
	c.theirs = malloc(PMR_CHUNK);
	if (!c.theirs || posix_memalign((void **)&c.ours, PMR_PAGE, PMR_CHUNK)) {
		c.ours = NULL;
		goto out;
	}
	ret = read_replacements(&c);
	if (!ret && how != PMR_VERIFY_NONE)
		ret = compare_steps(&c);
	if (!ret && how != PMR_VERIFY_NONE)
		ret = compare_windows(&c, how);
	ret = judge(ctx, &c, options, ret, refused);
out:
	pmr_ranges_release(&c.blank);
	pmr_ranges_release(&c.lost);
	pmr_ranges_release(&c.plain);
	free(c.ours);
	free(c.theirs);
	return ret;
}
