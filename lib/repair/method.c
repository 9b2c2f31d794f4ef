/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * By which method the files of a plan are written; a bit that may be the flag is first made to show it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repair.h"

/* Pairs of pages that are tried before the flag is given up: each may turn out to tell nothing. */
#define MAX_TRIALS 8u

/* whether two pages from @offset on lie in one written extent */
static bool is_one_extent(int fd, uint64_t offset)
{
	struct pmr_extents *extents = NULL;
	struct pmr_extent e;
	bool one;

	if (pmr_extents_open(fd, offset, 2 * PMR_PAGE, true, &extents))
		return false;
	one = pmr_extents_next(extents, &e) == 1 && pmr_extent_is_trusted(&e) &&
	      !(e.flags & FIEMAP_EXTENT_UNWRITTEN) && e.offset <= offset &&
	      e.offset + e.length >= offset + 2 * PMR_PAGE;
	pmr_extents_close(extents);
	return one;
}

/* whether loss @i is listed poison, and the page before its own one without any */
static bool is_behind_good(const struct pmr_file *file, size_t i)
{
	const struct pmr_loss *loss = &file->losses[i], *before = i ? loss - 1 : NULL;
	uint64_t page = loss->offset - loss->offset % PMR_PAGE;

	if (loss->state != PMR_LOST || loss->reason || loss->vanished || page < PMR_PAGE)
		return false;
	return !before || before->offset + before->length <= page - PMR_PAGE;
}

static bool try_file(struct pmr_ctx *ctx, const struct pmr_file *file, unsigned int *trials)
{
	struct stat st;
	uint64_t page;
	bool shown = false;
	int fd;

	fd = pmr_file_open(AT_FDCWD, file->path, O_RDONLY);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) < 0 || st.st_ino != file->inode || st.st_dev != file->filesystem->devno)
		goto out;
	for (size_t i = 0; !shown && i < file->n_losses && *trials < MAX_TRIALS; i++) {
		page = file->losses[i].offset - file->losses[i].offset % PMR_PAGE;
		if (!is_behind_good(file, i) || !is_one_extent(fd, page - PMR_PAGE))
			continue;
		++*trials;
		shown = pmr_rwf_try(ctx, fd, page - PMR_PAGE, page);
		/* given up */
		if (!pmr_rwf_wants_trial(ctx))
			break;
	}
out:
	close(fd);
	return shown;
}

void pmr_method_try(struct pmr_ctx *ctx, const struct pmr_scan *scan)
{
	unsigned int trials = 0;
	bool shown = false;

	if (!pmr_rwf_wants_trial(ctx))
		return;
	for (size_t i = 0; i < scan->n_files && trials < MAX_TRIALS; i++) {
		if (!scan->files[i]->dax)
			continue;
		shown = try_file(ctx, scan->files[i], &trials);
		if (shown || !pmr_rwf_wants_trial(ctx))
			break;
	}
	if (shown)
		pmr_say(ctx, PMR_INFO, "flag-shown", "this kernel",
			"a flagged read stopped at poison as recovery does: the flag is used");
	else
		pmr_say(ctx, PMR_WARNING, "flag-not-shown", "this kernel",
			trials ? "the bit given for RWF_RECOVERY_DATA made no recovery of a read of poison: it is not used"
			       : "no file has poison right behind a good page to try the bit given for RWF_RECOVERY_DATA "
				 "on: it is not used");
}

int pmr_method_choose(struct pmr_ctx *ctx, struct pmr_file_plan *plan, enum pmr_method wanted,
		      const char **refused)
{
	const struct pmr_file *file = plan->file;
	const char *reason;

	reason = pmr_plan_method(file, wanted, pmr_get_recovery(ctx), &plan->method);
	if (!reason)
		return 0;
	*refused = reason;
	if (wanted != PMR_METHOD_FLAG)
		pmr_say(ctx, PMR_ERROR, reason, file->path,
			"cannot be repaired in place: this kernel is not known to write over poison under a DAX file; "
			"%s",
			PMR_PUNCH_HELP);
	else if (file->dax)
		pmr_say(ctx, PMR_ERROR, reason, file->path,
			"cannot be written by flag: this kernel is not known to have RWF_RECOVERY_DATA; see "
			"--recovery-flag, or leave the method to auto");
	else
		pmr_say(ctx, PMR_ERROR, reason, file->path,
			"cannot be written by flag: its filesystem is not mounted DAX, so leave the method to auto");
	return -EINVAL;
}
