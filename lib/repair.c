/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Carries out a plan: journal first, then look again, write, and let verify say what became of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repair.h"

struct repair {
	struct pmr_ctx *ctx;
	struct pmr_plan *plan;
	const struct pmr_repair_options *options;
	struct pmr_journal *journal;
	uint64_t done; /* bytes, for progress */
};

static size_t chunk_length(const struct pmr_step *step, uint64_t done)
{
	return step->length - done < PMR_CHUNK ? (size_t)(step->length - done) : PMR_CHUNK;
}

/* What of a step was not written from @offset on; a loss that was written in part is not whole, so it is left too. */
static void leave(struct pmr_file *file, const struct pmr_step *step, uint64_t offset,
		  const char *reason)
{
	struct pmr_loss *loss;

	for (size_t i = 0; i < step->n_losses; i++) {
		loss = &file->losses[step->first_loss + i];
		if (loss->offset + loss->length <= offset || loss->state == PMR_FAILED ||
		    loss->state == PMR_SKIPPED)
			continue;
		loss->state = PMR_SKIPPED;
		loss->reason = reason;
	}
}

/* Bytes of one step into the journal. A step that cannot be composed is left. */
static int journal_step(struct repair *r, const struct pmr_compose *compose,
			struct pmr_file_plan *plan, struct pmr_step *step, void *buffer)
{
	const char *refused = NULL;
	uint64_t position;
	size_t length;
	int ret = 0;

	for (uint64_t done = 0; done < step->length; done += length) {
		length = chunk_length(step, done);
		ret = pmr_compose_chunk(compose, plan, step, step->offset + done, length, buffer,
					&refused);
		if (ret)
			break;
		ret = pmr_journal_bytes(r->journal, step->offset + done, buffer, length, &position);
		if (ret)
			return ret;
		if (!done)
			step->journal_offset = position;
	}
	if (!ret || ret == -ENOMEM)
		return ret;
	if (!refused)
		refused = "device-error";
	pmr_say(r->ctx, PMR_ERROR, refused, plan->file->path, "cannot be repaired at byte %llu: %s",
		(unsigned long long)step->offset,
		!strcmp(refused, "newly-unreadable")
			? "more of it has become unreadable since the scan; scan again"
			: "its source cannot be read");
	leave(plan->file, step, step->offset, refused);
	return 0;
}

static bool is_left(const struct pmr_file *file, const struct pmr_step *step)
{
	for (size_t i = 0; i < step->n_losses; i++)
		if (file->losses[step->first_loss + i].state != PMR_SKIPPED)
			return false;
	return true;
}

static bool trusts_list(const struct repair *r, const struct pmr_device *device)
{
	return r->options->trust_badblocks && device->from_file;
}

/* NULL when every loss of the chunk fails to be read right now; else why it must not be written */
static const char *still_failing(const struct repair *r, const struct pmr_compose *compose,
				 const struct pmr_file_plan *plan, const struct pmr_step *step,
				 uint64_t offset, size_t length)
{
	uint64_t from = step->device_offset + (offset - step->offset), at, end;
	struct pmr_ranges failing = { 0 }, readable = { 0 }, wanted = { 0 };
	const char *reason = "device-error";
	const struct pmr_loss *loss;

	if (trusts_list(r, plan->file->filesystem->device))
		return NULL;
	if (pmr_media_confirm(compose->media, from, length, &failing))
		goto out;
	for (size_t i = 0; i < step->n_losses; i++) {
		loss = &plan->file->losses[step->first_loss + i];
		at = loss->device_offset > from ? loss->device_offset : from;
		end = loss->device_offset + loss->length;
		if (end > from + length)
			end = from + length;
		if (at < end && pmr_ranges_add(&wanted, at, end - at))
			goto out;
	}
	pmr_ranges_normalize(&wanted);
	if (!pmr_ranges_subtract(&readable, &wanted, &failing))
		reason = readable.n ? "readable" : NULL;
out:
	pmr_ranges_release(&failing);
	pmr_ranges_release(&readable);
	pmr_ranges_release(&wanted);
	return reason;
}

/*
 * One chunk into the file. On DAX page by page: what a clear that fails takes with it is then one page, and the others
 * are still written. The first error wins.
 */
static int write_pages(const struct pmr_claim *claim, uint64_t offset, size_t length,
		       const char *buffer)
{
	size_t piece = claim->file->dax ? PMR_PAGE : length, written;
	int ret, first = 0;

	for (size_t at = 0; at < length; at += piece) {
		if (piece > length - at)
			piece = length - at;
		ret = pmr_media_write_file(claim->fd, 0, offset + at, buffer + at, piece, &written);
		if (!first)
			first = ret;
	}
	/* without DAX the write clears when it is written back, and that is where it fails */
	if (!claim->file->dax && fsync(claim->fd) < 0 && !first)
		first = -errno;
	return first;
}

/* The last page of a file is written whole and the file then cut to its size again. */
static int restore_size(const struct pmr_claim *claim)
{
	struct stat st;

	if (fstat(claim->fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size == claim->file->size)
		return 0;
	if (ftruncate(claim->fd, (off_t)claim->file->size) < 0)
		return -errno;
	return !claim->file->dax && fsync(claim->fd) < 0 ? -errno : 0;
}

/* What a loss came to after its bytes had been verified, but not its file. */
static void fail_step(struct pmr_file *file, const struct pmr_step *step, const char *reason)
{
	struct pmr_loss *loss;

	for (size_t i = 0; i < step->n_losses; i++) {
		loss = &file->losses[step->first_loss + i];
		if (loss->state != PMR_SKIPPED && loss->state != PMR_FAILED) {
			loss->state = PMR_FAILED;
			loss->reason = reason;
		}
	}
}

/* said for each reason not to write after all */
static const char *explain(const char *reason)
{
	static const struct {
		const char *reason, *text;
	} texts[] = {
		{ "readable", "a listed sector can be read after all: scan again" },
		{ "interrupted", "interrupted" },
		{ "in-use", "another program wants to open the file: stop it and repair again" },
		{ "shared", "its blocks have come to be shared (reflink)" },
		{ "device-error",
		  "the device cannot be read, and not for poison: see the kernel log" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!strcmp(texts[i].reason, reason))
			return texts[i].text;
	return "the file or its place changed since it was planned: scan again";
}

/* What is listed of a chunk right now: after the write the kernel may have dropped too much of it. */
static int list_chunk(struct repair *r, const struct pmr_step *step, struct pmr_device *device,
		      uint64_t offset, size_t length, struct pmr_ranges *listed)
{
	int ret = pmr_device_refresh(r->ctx, device);

	if (ret)
		return ret;
	return pmr_ranges_clip(listed, &device->badblocks.ranges,
			       step->device_offset + (offset - step->offset), length);
}

/* Size, mode and capability are the file's as much as its bytes are. */
static void restore_file(struct repair *r, struct pmr_claim *claim, struct pmr_file_plan *plan,
			 const struct pmr_step *step, int size_error)
{
	int ret;

	if (size_error) {
		pmr_say(r->ctx, PMR_ERROR, "size", plan->file->path,
			"has grown to a whole page and cannot be cut back to %llu bytes: %s; truncate it by hand",
			(unsigned long long)plan->file->size, strerror(-size_error));
		fail_step(plan->file, step, "size");
	}
	ret = pmr_claim_settle(claim);
	if (!ret)
		return;
	pmr_say(r->ctx, PMR_ERROR, "attributes", plan->file->path,
		"its mode %04o or file capability could not be put back after the write: %s; see chmod(1), setcap(8)",
		(unsigned int)claim->mode, strerror(-ret));
	r->plan->scan->complete = false;
}

static int write_and_verify(struct repair *r, const struct pmr_compose *compose,
			    struct pmr_claim *claim, struct pmr_file_plan *plan,
			    const struct pmr_step *step, uint64_t offset, size_t length,
			    const void *buffer)
{
	struct pmr_ranges listed = { 0 };
	int ret, error, size_error;

	ret = list_chunk(r, step, plan->file->filesystem->device, offset, length, &listed);
	if (ret)
		return ret;
	error = write_pages(claim, offset, length, buffer);
	size_error = restore_size(claim);
	ret = pmr_verify_chunk(r->ctx, compose, plan, step, offset, length, buffer, &listed);
	pmr_ranges_release(&listed);
	restore_file(r, claim, plan, step, size_error);
	if (ret)
		fail_step(plan->file, step, "unverified");
	else if (error)
		pmr_say(r->ctx, PMR_WARNING, "write-error", plan->file->path,
			"writing %zu bytes at byte %llu: %s", length, (unsigned long long)offset,
			strerror(-error));
	return ret;
}

/* 1 written and verified, whatever the outcome; 0 not written: the rest of the step is left; or why nothing goes on */
static int repair_chunk(struct repair *r, const struct pmr_compose *compose,
			struct pmr_claim *claim, struct pmr_file_plan *plan,
			const struct pmr_step *step, uint64_t offset, size_t length, void *buffer)
{
	const char *reason;
	int ret;

	reason = pmr_is_cancelled(r->ctx) ? "interrupted" : pmr_claim_check(claim, step);
	if (!reason)
		reason = still_failing(r, compose, plan, step, offset, length);
	if (reason) {
		pmr_say(r->ctx, PMR_WARNING, reason, plan->file->path, "is left at byte %llu: %s",
			(unsigned long long)offset, explain(reason));
		leave(plan->file, step, offset, reason);
		return 0;
	}
	ret = write_and_verify(r, compose, claim, plan, step, offset, length, buffer);
	if (ret)
		return ret;
	r->done += length;
	pmr_tell_progress(r->ctx, "repair", plan->file->path, r->done, r->plan->bytes);
	return 1;
}

static int repair_step(struct repair *r, const struct pmr_compose *compose, struct pmr_claim *claim,
		       struct pmr_file_plan *plan, const struct pmr_step *step, void *buffer)
{
	uint64_t position = step->journal_offset;
	size_t length;
	int ret;

	for (uint64_t done = 0; done < step->length; done += length) {
		length = chunk_length(step, done);
		ret = pmr_journal_read(r->journal, &position, buffer, length);
		if (ret) {
			leave(plan->file, step, step->offset + done, "journal-error");
			return ret;
		}
		ret = repair_chunk(r, compose, claim, plan, step, step->offset + done, length,
				   buffer);
		if (ret < 0)
			leave(plan->file, step, step->offset + done, "no-memory");
		if (ret <= 0)
			return ret;
	}
	return 0;
}

/* all bytes of a file are in the journal and synced, then its steps are carried out */
static int repair_steps(struct repair *r, const struct pmr_compose *compose,
			struct pmr_claim *claim, struct pmr_file_plan *plan, void *buffer)
{
	int ret;

	ret = pmr_journal_file(r->journal, plan);
	for (size_t i = 0; !ret && i < plan->n_steps; i++)
		ret = journal_step(r, compose, plan, &plan->steps[i], buffer);
	if (!ret)
		ret = pmr_journal_sync(r->journal);
	for (size_t i = 0; !ret && i < plan->n_steps; i++)
		if (!is_left(plan->file, &plan->steps[i]))
			ret = repair_step(r, compose, claim, plan, &plan->steps[i], buffer);
	if (fsync(claim->fd) < 0) {
		pmr_say(r->ctx, PMR_ERROR, "sync", plan->file->path,
			"cannot be synced, so what was written may not last: %s", strerror(errno));
		for (size_t i = 0; i < plan->n_steps; i++)
			fail_step(plan->file, &plan->steps[i], "sync");
	}
	if (!ret)
		ret = pmr_journal_outcome(r->journal, plan);
	return ret;
}

/* what of a file could not be read back is said once */
static void say_failures(struct pmr_ctx *ctx, const struct pmr_file *file)
{
	for (size_t i = 0; i < file->n_losses; i++)
		if (file->losses[i].state == PMR_FAILED) {
			pmr_say(ctx, PMR_ERROR, "not-repaired", file->path,
				"byte %llu was written but is not repaired (%s): if a machine check took its page offline, "
				"reboot and repair again; else the device cannot clear it, so restore the file to "
				"other blocks from the backup",
				(unsigned long long)file->losses[i].offset, file->losses[i].reason);
			return;
		}
}

static int open_sources(struct repair *r, const struct pmr_file_plan *plan,
			const struct pmr_claim *claim, struct pmr_media **media,
			struct pmr_backup *backup, const char **refused)
{
	int ret;

	ret = pmr_media_open(r->ctx, plan->file->filesystem->device, media);
	if (ret) {
		pmr_say(r->ctx, PMR_ERROR, "no-device-access", plan->file->filesystem->device->name,
			"cannot be read: %s", strerror(-ret));
		*refused = "no-device-access";
		return ret;
	}
	if (!plan->backup)
		return 0;
	ret = pmr_backup_open(r->ctx, plan->backup, claim, backup, refused);
	if (ret)
		return ret;
	/* what was compared is what must be used */
	if (backup->inode != plan->backup_inode ||
	    backup->change_time.tv_sec != plan->backup_change_time.tv_sec ||
	    backup->change_time.tv_nsec != plan->backup_change_time.tv_nsec) {
		pmr_say(r->ctx, PMR_ERROR, "backup-changed", plan->backup,
			"changed since it was compared with %s: repair again", plan->file->path);
		*refused = "backup-changed";
		return -EINVAL;
	}
	return 0;
}

static int repair_file(struct repair *r, struct pmr_file_plan *plan, void *buffer)
{
	struct pmr_backup backup = { .fd = -1 };
	struct pmr_claim claim = { .fd = -1 };
	struct pmr_media *media = NULL;
	const char *refused = NULL;
	int ret;

	ret = pmr_claim_take(r->ctx, plan->file, &claim, &refused);
	if (!ret)
		ret = open_sources(r, plan, &claim, &media, &backup, &refused);
	if (!ret) {
		struct pmr_compose compose = { &claim, media, plan->backup ? &backup : NULL };

		/* where it fails, so will the writes that it was for */
		pmr_cow_drop(&claim);
		ret = repair_steps(r, &compose, &claim, plan, buffer);
	}
	pmr_backup_close(&backup);
	pmr_media_close(media);
	pmr_claim_release(&claim);
	if (refused) {
		plan->refused = refused;
		pmr_plan_skip(plan->file, refused);
		ret = 0;
	}
	say_failures(r->ctx, plan->file);
	return ret;
}

static int repair_files(struct repair *r)
{
	struct pmr_file_plan *plan;
	void *buffer;
	int ret = 0;

	if (posix_memalign(&buffer, PMR_PAGE, PMR_CHUNK))
		return -ENOMEM;
	for (size_t i = 0; i < r->plan->n_files; i++) {
		plan = &r->plan->files[i];
		if (!plan->n_steps)
			continue;
		if (!ret && !pmr_is_cancelled(r->ctx))
			ret = repair_file(r, plan, buffer);
		/* whatever was not reached was not written */
		pmr_plan_skip(plan->file,
			      pmr_is_cancelled(r->ctx) ? "interrupted" : "journal-error");
	}
	if (pmr_is_cancelled(r->ctx))
		r->plan->scan->complete = false;
	free(buffer);
	return ret;
}

static int lock_devices(struct repair *r, int *locks, size_t *n_locks)
{
	const struct pmr_device *device;
	bool wanted;
	int ret = 0;

	for (size_t d = 0; !ret && d < r->plan->scan->n_devices; d++) {
		device = r->plan->scan->devices[d];
		wanted = false;
		for (size_t i = 0; i < r->plan->n_files; i++)
			wanted |= r->plan->files[i].n_steps &&
				  r->plan->files[i].file->filesystem->device == device;
		if (wanted)
			ret = pmr_lock_device(r->ctx, device, &locks[*n_locks]);
		if (wanted && !ret)
			++*n_locks;
	}
	return ret;
}

int pmr_repair_run(struct pmr_ctx *ctx, struct pmr_plan *plan,
		   const struct pmr_repair_options *options)
{
	struct repair r = { .ctx = ctx, .plan = plan, .options = options };
	size_t n_locks = 0;
	int *locks, ret;

	if (!plan->n_steps)
		return 0;
	locks = calloc(plan->scan->n_devices + 1, sizeof(*locks));
	if (!locks)
		return -ENOMEM;
	ret = lock_devices(&r, locks, &n_locks);
	if (!ret)
		ret = pmr_journal_open(ctx,
				       options->journal ? options->journal : PMR_STATE_DIRECTORY,
				       plan, &r.journal);
	if (ret)
		goto out;
	ret = repair_files(&r);
	if (!ret && !pmr_is_cancelled(ctx))
		ret = pmr_journal_finish(r.journal);
	free(plan->journal);
	plan->journal = strdup(pmr_journal_path(r.journal));
	if (ret)
		plan->scan->complete = false;
	ret = 0;
out:
	pmr_journal_close(r.journal);
	while (n_locks)
		close(locks[--n_locks]);
	free(locks);
	return ret;
}
