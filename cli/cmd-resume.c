// SPDX-License-Identifier: GPL-2.0-or-later
/* pmem-recover repair --resume: finish interrupted repairs from their journals. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

/* one journal that can be gone on with */
struct resume {
	const struct pmr_journal_entry *entry;
	struct pmr_scan *scan;
	struct pmr_plan *plan;
};

struct resumes {
	struct resume *v;
	size_t n;
};

static int check_options(struct cli *cli)
{
	const struct options *options = &cli->options;
	const struct {
		bool given;
		const char *name;
	} rows[] = {
		{ options->from_backup, "--from-backup" },
		{ options->backup_root, "--backup-root" },
		{ options->zero_fill, "--zero-fill" },
		{ options->accept_offlined, "--accept-offlined" },
		{ options->ranges, "--ranges" },
		{ options->method != PMR_METHOD_AUTO, "--method" },
		{ options->online, "--online" },
		{ options->read, "--read" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].given)
			return cli_usage(cli, rows[i].name,
					 "contradicts --resume: the journal says what is written");
	return 0;
}

/* A list speaks of one device, and that must be known before anything is looked at. */
static int use_badblocks(struct cli *cli)
{
	const struct report_journals *journals = &cli->report.journals;
	struct pmr_filesystem *filesystem;
	struct pmr_device *device = NULL;
	const char *path;
	struct stat st;
	int rc;

	for (size_t i = 0; i < journals->n; i++)
		for (size_t j = 0; j < journals->v[i]->n_files; j++) {
			path = journals->v[i]->files[j].path;
			if (stat(path, &st))
				continue;
			rc = pmr_topology_resolve(cli->ctx, cli->report.topology, st.st_dev, path,
						  &filesystem);
			if (rc)
				return rc;
			if (!device)
				device = filesystem->device;
			if (device != filesystem->device) {
				cli_say(cli, PMR_ERROR, "several-devices", cli->options.badblocks,
					"is the list of one device, but the files lie on %s and %s",
					device->name, filesystem->device->name);
				return -EINVAL;
			}
		}
	return device ? cli_step(cli, pmr_device_use_file(cli->ctx, device, cli->options.badblocks,
							  cli->file))
		      : 0;
}

static int add(struct cli *cli, const struct pmr_journal_entry *entry, struct resumes *resumes)
{
	struct resume *v = reallocarray(resumes->v, resumes->n + 1, sizeof(*v)), *one;
	int rc;

	if (!v)
		return -ENOMEM;
	resumes->v = v;
	one = &v[resumes->n];
	*one = (struct resume){ .entry = entry };
	rc = pmr_resume_new(cli->ctx, cli->report.topology, entry, cli->options.force, &one->scan,
			    &one->plan);
	if (rc == -ENOMEM)
		return rc;
	if (rc) {
		/* said; the others are still looked at */
		cli->report.failed = true;
		return 0;
	}
	cli->report.zero_fill |= entry->zero_fill;
	resumes->n++;
	return 0;
}

/* What is not in the journal nobody finishes by it. */
static void say_not_reached(struct cli *cli, const struct pmr_journal_entry *entry)
{
	uint64_t planned = cli_journal_planned(entry);

	if (entry->state != PMR_JOURNAL_UNFINISHED ||
	    (entry->has_planned && planned == entry->n_files))
		return;
	cli->report.unfinished = true;
	if (entry->has_planned)
		cli_say(cli, PMR_WARNING, "not-reached", entry->path,
			"the repair had not come to %" PRIu64 " of its %" PRIu64
			" files, which are as they were: repair again when this is done",
			planned - entry->n_files, planned);
	else
		cli_say(cli, PMR_WARNING, "not-reached", entry->path,
			"does not tell whether the repair had come to all of its files: scan again when this is done");
}

static int run(struct cli *cli, const struct pmr_repair_options *repair, struct resumes *resumes)
{
	uint64_t bytes = 0;
	int rc = 0;

	progress_erase(&cli->progress);
	for (size_t i = 0; i < resumes->n; i++) {
		if (!cli->options.quiet || !cli->options.yes)
			report_write_plan(resumes->v[i].plan, stderr);
		bytes += resumes->v[i].plan->bytes;
		say_not_reached(cli, resumes->v[i].entry);
	}
	if (cli->options.dry_run) {
		cli_note(cli, "dry-run", "repair", "nothing was written: this was a dry run");
		return 0;
	}
	if (pmr_is_cancelled(cli->ctx) || (bytes && !cli_confirm(cli, bytes, false))) {
		cli->report.failed = true;
		return 0;
	}
	for (size_t i = 0; rc != -ENOMEM && i < resumes->n; i++) {
		rc = pmr_resume_run(cli->ctx, resumes->v[i].plan, resumes->v[i].entry, repair);
		if (rc)
			cli->report.failed = true;
	}
	return rc == -ENOMEM ? rc : 0;
}

/* All of them are one report. */
static int join(struct cli *cli, struct resumes *resumes)
{
	struct report *report = &cli->report;
	int rc = 0;

	for (size_t i = 0; i < resumes->n; i++) {
		struct resume *one = &resumes->v[i];

		if (!report->plan) {
			report->scan = one->scan;
			report->plan = one->plan;
			continue;
		}
		rc = rc ? rc : pmr_resume_join(report->scan, report->plan, one->scan, one->plan);
		if (rc) {
			pmr_plan_free(one->plan);
			pmr_scan_free(one->scan);
		}
	}
	free(resumes->v);
	return rc;
}

int cmd_resume(struct cli *cli, const struct pmr_repair_options *repair)
{
	const struct report_journals *journals = &cli->report.journals;
	struct resumes resumes = { 0 };
	int joined, rc;

	rc = check_options(cli);
	if (!rc)
		rc = cli_load_badblocks(cli);
	if (!rc)
		rc = cli_look(cli, PMR_TOPOLOGY_FILESYSTEMS);
	if (!rc)
		rc = cli_take_journals(cli);
	if (rc)
		return rc;
	if (!journals->n) {
		cli_note(cli, "nothing-to-resume", "repair",
			 "nothing to resume: no journal of an interrupted repair is there");
		return 0;
	}
	if (cli->file)
		rc = use_badblocks(cli);
	for (size_t i = 0; !rc && i < journals->n; i++)
		rc = add(cli, journals->v[i], &resumes);
	if (!rc && resumes.n)
		rc = run(cli, repair, &resumes);
	joined = join(cli, &resumes);
	return rc ? rc : joined;
}
