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
#include "memory/zeroed.h"

#define BACKUP_CHANGED "backup-changed"

struct repair {
	struct pmr_ctx *ctx;
	struct pmr_plan *plan;
	const struct pmr_repair_options *options;
	struct pmr_journal *journal;
	struct pmr_writer writer;
};

/* Bytes of one step into the journal. A step that cannot be composed is left. */
static int journal_step(struct repair *r, const struct pmr_compose *compose,
			struct pmr_file_plan *plan, struct pmr_step *step)
{
	char *buffer = r->writer.bytes;
	const char *refused = NULL;
	uint64_t position;
	size_t length;
	int ret = 0;

	for (uint64_t done = 0; done < step->length; done += length) {
		length = pmr_chunk_length(step, done);
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
	/* that is said once, and of all steps, by leave_changed() */
	if (strcmp(refused, BACKUP_CHANGED))
		pmr_say(r->ctx, PMR_ERROR, refused, plan->file->path,
			"cannot be repaired at byte %llu: %s", (unsigned long long)step->offset,
			!strcmp(refused, "newly-unreadable")
				? "more of it has become unreadable since the scan; scan again"
				: "its source cannot be read");
	pmr_plan_leave(plan->file, step, step->offset, refused);
	return 0;
}

/* What was verified may not last: the journal has it until it does, as not done. */
static int fail_sync(struct repair *r, const struct pmr_claim *claim,
		     const struct pmr_file_plan *plan, int error)
{
	struct pmr_file *file = plan->file;
	struct pmr_loss *loss;
	int ret;

	pmr_say(r->ctx, PMR_ERROR, "sync", file->path,
		"cannot be synced, so what was written may not last: %s", strerror(error));
	ret = pmr_batch_reopen(&r->writer, claim, plan);
	for (size_t i = 0; i < file->n_losses; i++) {
		loss = &file->losses[i];
		if (loss->state != PMR_REPAIRED && loss->state != PMR_ZEROED)
			continue;
		loss->state = PMR_FAILED;
		loss->reason = "sync";
		r->writer.needs_journal = true;
	}
	return ret;
}

/* What lies around the steps cannot be looked at: nothing was begun, and it says nothing of other devices. */
static int leave_steps(struct repair *r, struct pmr_file_plan *plan, int error)
{
	pmr_say(r->ctx, PMR_ERROR, "device-error", plan->file->path,
		"is left as it is: what lies around the losses cannot be loaded: %s",
		strerror(-error));
	for (size_t i = 0; i < plan->n_steps; i++)
		pmr_plan_leave(plan->file, &plan->steps[i], plan->steps[i].offset, "device-error");
	return 0;
}

static void say_backup_changed(struct repair *r, const struct pmr_file_plan *plan)
{
	pmr_say(r->ctx, PMR_ERROR, BACKUP_CHANGED, plan->backup,
		"changed since it was compared with %s: repair again", plan->file->path);
}

/* A backup that somebody writes to meanwhile has no state that was compared: nothing is taken from it. */
static void leave_changed(struct repair *r, const struct pmr_backup *backup,
			  struct pmr_file_plan *plan)
{
	if (!backup || !pmr_backup_has_changed(backup))
		return;
	say_backup_changed(r, plan);
	for (size_t i = 0; i < plan->n_steps; i++)
		pmr_plan_leave(plan->file, &plan->steps[i], plan->steps[i].offset, BACKUP_CHANGED);
}

/* all bytes of a file are in the journal and synced, then its steps are carried out */
static int repair_steps(struct repair *r, const struct pmr_compose *compose,
			struct pmr_claim *claim, struct pmr_file_plan *plan)
{
	int ret = 0, error = 0;

	if (plan->file->whole_device)
		ret = pmr_journal_look_around(compose->media, plan, claim);
	if (ret && ret != -ENOMEM)
		return leave_steps(r, plan, ret);
	if (!ret)
		ret = pmr_journal_file(r->journal, plan, claim, &r->writer.index);
	for (size_t i = 0; !ret && i < plan->n_steps; i++)
		ret = journal_step(r, compose, plan, &plan->steps[i]);
	if (!ret) {
		leave_changed(r, compose->backup, plan);
		ret = pmr_journal_sync(r->journal);
	}
	if (!ret && plan->file->whole_device)
		ret = pmr_whole_run(&r->writer, plan);
	else if (!ret)
		ret = pmr_batch_run(&r->writer, compose, claim, plan);
	if (!plan->file->whole_device && fsync(claim->fd) < 0)
		error = fail_sync(r, claim, plan, errno);
	ret = ret ? ret : error;
	plan->file->change_time = claim->change_time;
	if (!ret)
		ret = pmr_journal_outcome(r->journal, plan, r->writer.index);
	return ret;
}

/* The kernel clears what its list has. */
static bool is_in_no_list(const struct pmr_file *file, const struct pmr_loss *loss)
{
	const struct pmr_device *device = file->filesystem->device;

	return pmr_device_is_listed(device) && !device->from_file &&
	       pmr_ranges_overlap(&device->reading.found, loss->device_offset, loss->length) &&
	       pmr_reading_explains(device, loss->device_offset, loss->length);
}

/* what to do about bytes that were written and are not repaired */
static const char *help(const struct pmr_file *file, const struct pmr_loss *loss)
{
	static const struct {
		const char *reason, *text;
	} texts[] = {
		{ "changed",
		  "another program wrote to the file while it was repaired, so it is left to that: scan it again" },
		{ "size",
		  "cut it to its size, with 'pmem-recover repair --resume', then scan it again" },
		{ "list-unknown",
		  "its bytes read back right, but the device's list of bad blocks cannot be read: scan it again" },
		{ "sync",
		  "it reads back right and may not last: see the kernel log, then look at it again with 'pmem-recover repair "
		  "--resume'" },
		{ "unverified", "it could not be read back: scan it again" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!strcmp(texts[i].reason, loss->reason))
			return texts[i].text;
	if (is_in_no_list(file, loss))
		return "it is in no list of the kernel's, which clears nothing else: have it found, by 'pmem-recover scan --scrub' or, "
		       "where the bus has no scrub, by a reboot, and repair again; if it is in no list then, restore the file to "
		       "other blocks from the backup";
	return "if a machine check took its page offline, reboot and repair again; else the device cannot clear it, so "
	       "restore the file to other blocks from the backup";
}

void pmr_repair_say_failures(struct pmr_ctx *ctx, const struct pmr_file *file)
{
	const struct pmr_loss *loss;

	for (size_t i = 0; i < file->n_losses; i++) {
		loss = &file->losses[i];
		/* of what was punched it was said where its bytes are */
		if (loss->state != PMR_FAILED || (loss->method && !strcmp(loss->method, "punch")))
			continue;
		pmr_say(ctx, PMR_ERROR, "not-repaired", file->path,
			"byte %llu was written but is not repaired (%s): %s",
			(unsigned long long)loss->offset, loss->reason, help(file, loss));
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
	    !pmr_is_same_time(&backup->change_time, &plan->backup_change_time)) {
		say_backup_changed(r, plan);
		*refused = BACKUP_CHANGED;
		return -EINVAL;
	}
	return 0;
}

static int repair_file(struct repair *r, struct pmr_file_plan *plan)
{
	struct pmr_backup backup = { .fd = -1 };
	struct pmr_claim claim = { .fd = -1 };
	struct pmr_media *media = NULL;
	const char *refused = NULL;
	int ret = 0;

	/* what keeps others off a file does not keep them off a device: they are looked for before each write */
	if (plan->file->whole_device)
		claim.file = plan->file;
	else
		ret = pmr_claim_take(r->ctx, plan->file, plan->in_use, &claim, &refused);
	if (!ret)
		ret = open_sources(r, plan, &claim, &media, &backup, &refused);
	if (!ret) {
		struct pmr_compose compose = { &claim, media, plan->backup ? &backup : NULL };

		/* where it fails, so will the writes that it was for; what is frozen by somebody else it waits for */
		if (plan->method != PMR_METHOD_DEVICE && plan->method != PMR_METHOD_CLEAR)
			pmr_cow_drop(&claim);
		r->writer.told = r->writer.told_unread = false;
		/* one device that cannot clear says nothing of the next */
		if (r->writer.device != plan->file->filesystem->device)
			r->writer.refusals = 0;
		r->writer.device = plan->file->filesystem->device;
		ret = repair_steps(r, &compose, &claim, plan);
		if (pmr_punch_conclude(&r->writer, plan->file))
			ret = -ENOMEM;
		/* for whoever takes up later what is left */
		plan->file->change_time = claim.change_time;
	}
	pmr_backup_close(&backup);
	pmr_media_close(media);
	pmr_claim_release(&claim);
	if (refused) {
		plan->refused = refused;
		pmr_plan_skip(plan->file, refused);
		ret = 0;
	}
	if (!plan->file->whole_device)
		pmr_repair_say_failures(r->ctx, plan->file);
	return ret;
}

static int repair_files(struct repair *r)
{
	struct pmr_file_plan *plan;
	int ret = 0;

	r->writer.journal = r->journal;
	r->writer.before = calloc(1, PMR_CHUNK);
	if (!r->writer.before || posix_memalign((void **)&r->writer.bytes, PMR_PAGE, PMR_CHUNK)) {
		free(r->writer.before);
		return -ENOMEM;
	}
	for (size_t i = 0; i < r->plan->n_files; i++) {
		plan = &r->plan->files[i];
		if (!plan->n_steps)
			continue;
		if (!ret && !pmr_is_cancelled(r->ctx))
			ret = repair_file(r, plan);
		/* whatever was not reached was not written */
		pmr_plan_skip(plan->file,
			      pmr_is_cancelled(r->ctx) ? "interrupted" : "journal-error");
	}
	if (pmr_is_cancelled(r->ctx))
		r->plan->scan->complete = false;
	free(r->writer.before);
	free(r->writer.bytes);
	return ret;
}

static void account(struct pmr_ctx *ctx, const struct pmr_plan *plan,
		    const struct pmr_device *device)
{
	struct pmr_ranges repaired = { 0 };
	const struct pmr_loss *loss;
	const struct pmr_file *file;
	int ret = 0;

	for (size_t i = 0; i < plan->n_files; i++) {
		file = plan->files[i].file;
		for (size_t j = 0; !ret && j < file->n_losses; j++) {
			loss = &file->losses[j];
			/* what was punched is as poisoned as it was, unless it was in no list to begin with */
			if (file->filesystem->device == device &&
			    (loss->state == PMR_REPAIRED || loss->state == PMR_ZEROED) &&
			    (!loss->method || loss->vanished || strcmp(loss->method, "punch")))
				ret = pmr_ranges_add(&repaired, loss->device_offset, loss->length);
		}
	}
	pmr_ranges_normalize(&repaired);
	/* one that fails was said, and undoes no repair */
	if (!ret && repaired.n)
		pmr_memory_account(ctx, device, &repaired);
	pmr_ranges_release(&repaired);
}

void pmr_repair_account(struct pmr_ctx *ctx, const struct pmr_plan *plan)
{
	for (size_t d = 0; d < plan->scan->n_devices; d++)
		account(ctx, plan, plan->scan->devices[d]);
}

static int lock_devices(struct repair *r, struct pmr_locks *locks)
{
	const struct pmr_scan *scan = r->plan->scan;
	const struct pmr_device **wanted = calloc(scan->n_devices + 1, sizeof(*wanted));
	size_t n = 0;
	int ret;

	if (!wanted)
		return -ENOMEM;
	for (size_t d = 0; d < scan->n_devices; d++) {
		bool is_wanted = false;

		for (size_t i = 0; i < r->plan->n_files; i++)
			is_wanted |= r->plan->files[i].n_steps &&
				     r->plan->files[i].file->filesystem->device == scan->devices[d];
		if (is_wanted)
			wanted[n++] = scan->devices[d];
	}
	ret = pmr_lock_devices(r->ctx, wanted, n, locks);
	free(wanted);
	return ret;
}

static bool has_failed(const struct pmr_plan *plan)
{
	for (size_t i = 0; i < plan->n_files; i++)
		for (size_t j = 0; j < plan->files[i].file->n_losses; j++)
			if (plan->files[i].file->losses[j].state == PMR_FAILED)
				return true;
	return false;
}

/* What becomes of the journal. Return: its path, NULL where there is none any more. */
static char *end_journal(const struct repair *r, int *ret)
{
	bool cancelled = pmr_is_cancelled(r->ctx);
	int gone = 0;

	/* bytes that are nowhere else keep their journal unfinished */
	if (!*ret && !cancelled && !r->writer.needs_journal) {
		*ret = pmr_journal_finish(r->journal);
		/* what was to be written may be wanted; what cannot be removed was said, and is no matter of this repair */
		if (!*ret && !has_failed(r->plan))
			pmr_journals_prune(r->ctx, r->options->journal, r->options->keep_days);
	} else if (!r->writer.needs_journal) {
		gone = pmr_journal_give_up(r->journal, cancelled);
	}
	/* it may be among those that are not kept */
	if (access(pmr_journal_path(r->journal), F_OK) < 0 && errno == ENOENT)
		gone = 1;
	return gone == 1 ? NULL : strdup(pmr_journal_path(r->journal));
}

int pmr_repair_run(struct pmr_ctx *ctx, struct pmr_plan *plan,
		   const struct pmr_repair_options *options)
{
	struct repair r = {
		.ctx = ctx,
		.plan = plan,
		.options = options,
		.writer = { .ctx = ctx,
			    .scan = plan->scan,
			    .plan = plan,
			    .look = pmr_write_look,
			    .wanted = options->method,
			    .trust_badblocks = options->trust_badblocks,
			    .total = plan->bytes },
	};
	struct timespec *before = NULL;
	struct pmr_locks locks = { 0 };
	int ret;

	if (!plan->n_steps)
		return 0;
	before = pmr_zeros_before(plan);
	if (!before)
		return -ENOMEM;
	ret = lock_devices(&r, &locks);
	if (!ret)
		ret = pmr_journals_check(ctx, options->journal, plan);
	if (!ret)
		ret = pmr_journal_open(ctx,
				       options->journal ? options->journal : PMR_STATE_DIRECTORY,
				       plan, options->zero_fill, &r.journal);
	if (ret)
		goto out;
	ret = repair_files(&r);
	pmr_zeros_account(ctx, plan, before);
	free(plan->journal);
	plan->journal = end_journal(&r, &ret);
	pmr_repair_account(ctx, plan);
	if (ret)
		plan->scan->complete = false;
	ret = 0;
out:
	pmr_journal_close(r.journal);
	pmr_locks_release(&locks);
	free(before);
	return ret;
}
