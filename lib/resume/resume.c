/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the journal of an interrupted repair to a plan of what is left of it. Reads, and writes nothing. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "resume.h"

bool pmr_resume_is_boot(const struct pmr_resume *resume, size_t boot)
{
	const struct pmr_journal_entry *entry = resume->entry;

	if (!boot)
		return entry->same_boot;
	return boot <= entry->n_boots && resume->boot &&
	       !strcmp(entry->boots[boot - 1], resume->boot);
}

bool pmr_resume_is_here(const struct pmr_resume *resume, const struct pmr_journal_piece *piece)
{
	return pmr_resume_is_boot(resume, piece->boot);
}

static bool has_suffix(const char *path, const char *suffix)
{
	size_t length = strlen(path), n = strlen(suffix);

	return length > n && !strcmp(path + length - n, suffix);
}

/* Return: 0, or why this journal is not gone on with, said. */
static int check_entry(struct pmr_ctx *ctx, const struct pmr_journal_entry *entry, bool force)
{
	switch (entry->state) {
	case PMR_JOURNAL_UNFINISHED:
		break;
	case PMR_JOURNAL_RUNNING:
		pmr_say(ctx, PMR_ERROR, "journal-running", entry->path,
			"a repair is at work on it: wait for it to end");
		return -EBUSY;
	case PMR_JOURNAL_DAMAGED:
		pmr_say(ctx, PMR_ERROR, "damaged-journal", entry->path,
			"is not to be believed (%s), so nothing is done by it: look at the files that it names and compare "
			"them with a backup, then put it away with 'pmem-recover journal --set-aside'",
			entry->reason ? entry->reason : "damaged");
		return -EBADMSG;
	case PMR_JOURNAL_DONE:
		/* killed when all that was left was to rename it */
		if (has_suffix(entry->path, ".journal"))
			break;
		/* fall through */
	default:
		pmr_say(ctx, PMR_ERROR, "journal-finished", entry->path,
			"is not one of an interrupted repair: it was finished or set aside");
		return -EBADMSG;
	}
	if (entry->same_host || force)
		return 0;
	pmr_say(ctx, PMR_ERROR, "journal-foreign", entry->path,
		"was written on host %s: resume it there, or with --force where its PMEM is here now",
		entry->host ? entry->host : "without a name");
	return -EXDEV;
}

/* When this boot began, as far as the clock is to be believed. */
static time_t read_booted(void)
{
	char *text = NULL, *line;
	size_t length;
	long long seconds = 0;

	if (!pmr_read_text("/proc/stat", (size_t)1 << 20, &text, &length)) {
		line = strstr(text, "\nbtime ");
		if (line)
			seconds = strtoll(line + strlen("\nbtime "), NULL, 10);
	}
	free(text);
	return (time_t)seconds;
}

static int new_resume(struct pmr_ctx *ctx, const struct pmr_journal_entry *entry,
		      struct pmr_resume **resume)
{
	struct pmr_resume *r = calloc(1, sizeof(*r));
	int ret;

	if (!r)
		return -ENOMEM;
	*resume = r;
	r->ctx = ctx;
	r->entry = entry;
	r->booted = read_booted();
	r->boot = pmr_read_boot_id();
	r->journal = open(entry->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (r->journal < 0) {
		ret = -errno;
		pmr_say(ctx, PMR_ERROR, "journal", entry->path, "cannot be opened: %s",
			strerror(-ret));
		return ret;
	}
	r->files = calloc(entry->n_files + 1, sizeof(*r->files));
	if (!r->files || posix_memalign((void **)&r->expected, PMR_PAGE, PMR_CHUNK) ||
	    posix_memalign((void **)&r->actual, PMR_PAGE, PMR_CHUNK))
		return -ENOMEM;
	return 0;
}

void pmr_resume_free(struct pmr_resume *resume)
{
	if (!resume)
		return;
	for (size_t i = 0; resume->files && i < resume->n_files; i++)
		free(resume->files[i].verdicts);
	if (resume->journal >= 0)
		close(resume->journal);
	free(resume->files);
	free(resume->boot);
	free(resume->expected);
	free(resume->actual);
	free(resume);
}

static int add_device(struct pmr_scan *scan, struct pmr_device *device)
{
	struct pmr_device **grown;

	for (size_t i = 0; i < scan->n_devices; i++)
		if (scan->devices[i] == device)
			return 0;
	grown = reallocarray(scan->devices, scan->n_devices + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	scan->devices = grown;
	grown[scan->n_devices++] = device;
	return 0;
}

static void add_up(struct pmr_plan *plan, const struct pmr_file_plan *file_plan)
{
	const struct pmr_file *file = file_plan->file;

	plan->n_steps += file_plan->n_steps;
	for (size_t i = 0; i < file_plan->n_steps; i++)
		plan->bytes += file_plan->steps[i].length;
	for (size_t i = 0; i < file->n_losses; i++)
		if (file->losses[i].state == PMR_LOST)
			plan->lost_bytes += file->losses[i].length;
}

static int take_file(struct pmr_resume *resume, struct pmr_topology *topology, size_t index,
		     struct pmr_scan *scan, struct pmr_plan *plan)
{
	struct pmr_resume_file *of = &resume->files[resume->n_files];
	struct pmr_file_plan *file_plan = &plan->files[plan->n_files];
	int ret;

	ret = pmr_resume_file(resume, topology, index, of, file_plan);
	resume->is_missing |= of->is_missing;
	if (of->is_missing)
		scan->complete = false;
	if (!file_plan->file) {
		free(of->verdicts);
		*of = (struct pmr_resume_file){ 0 };
		return ret;
	}
	resume->n_files++;
	plan->n_files++;
	scan->files[scan->n_files++] = file_plan->file;
	if (ret)
		return ret;
	scan->files_seen++;
	add_up(plan, file_plan);
	return add_device(scan, file_plan->file->filesystem->device);
}

int pmr_resume_new(struct pmr_ctx *ctx, struct pmr_topology *topology,
		   const struct pmr_journal_entry *entry, bool force, struct pmr_scan **scan,
		   struct pmr_plan **plan)
{
	struct pmr_resume *resume = NULL;
	struct pmr_scan *s = NULL;
	struct pmr_plan *p = NULL;
	int ret;

	ret = check_entry(ctx, entry, force);
	if (ret)
		return ret;
	ret = new_resume(ctx, entry, &resume);
	if (ret)
		goto fail;
	ret = -ENOMEM;
	s = calloc(1, sizeof(*s));
	p = calloc(1, sizeof(*p));
	if (!s || !p)
		goto fail;
	s->topology = topology;
	s->complete = true;
	s->files = calloc(entry->n_files + 1, sizeof(*s->files));
	p->scan = s;
	p->files = calloc(entry->n_files + 1, sizeof(*p->files));
	if (!s->files || !p->files)
		goto fail;
	p->journal = strdup(entry->path);
	ret = p->journal ? 0 : -ENOMEM;
	for (size_t i = 0; !ret && i < entry->n_files && entry->state != PMR_JOURNAL_DONE; i++)
		ret = take_file(resume, topology, i, s, p);
	if (ret)
		goto fail;
	p->resume = resume;
	p->release_resume = pmr_resume_free;
	*scan = s;
	*plan = p;
	return 0;
fail:
	pmr_resume_free(resume);
	pmr_plan_free(p);
	pmr_scan_free(s);
	return ret;
}

/* ---- several in one report */

static int join_devices(struct pmr_scan *scan, const struct pmr_scan *other)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < other->n_devices; i++)
		ret = add_device(scan, other->devices[i]);
	return ret;
}

int pmr_resume_join(struct pmr_scan *scan, struct pmr_plan *plan, struct pmr_scan *other_scan,
		    struct pmr_plan *other_plan)
{
	struct pmr_file_plan *plans;
	struct pmr_file **files;
	int ret;

	files = reallocarray(scan->files, scan->n_files + other_scan->n_files + 1, sizeof(*files));
	if (!files)
		return -ENOMEM;
	scan->files = files;
	plans = reallocarray(plan->files, plan->n_files + other_plan->n_files + 1, sizeof(*plans));
	if (!plans)
		return -ENOMEM;
	plan->files = plans;
	ret = join_devices(scan, other_scan);
	if (ret)
		return ret;
	for (size_t i = 0; i < other_scan->n_files; i++)
		files[scan->n_files++] = other_scan->files[i];
	for (size_t i = 0; i < other_plan->n_files; i++)
		plans[plan->n_files++] = other_plan->files[i];
	scan->files_seen += other_scan->files_seen;
	scan->complete &= other_scan->complete;
	plan->n_steps += other_plan->n_steps;
	plan->bytes += other_plan->bytes;
	plan->lost_bytes += other_plan->lost_bytes;
	plan->freezes += other_plan->freezes;
	plan->frozen += other_plan->frozen;
	if (other_plan->longest_freeze > plan->longest_freeze)
		plan->longest_freeze = other_plan->longest_freeze;
	other_scan->n_files = 0;
	other_plan->n_files = 0;
	pmr_plan_free(other_plan);
	pmr_scan_free(other_scan);
	return 0;
}
