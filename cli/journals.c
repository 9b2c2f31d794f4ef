// SPDX-License-Identifier: GPL-2.0-or-later
/* Journals of repairs that were interrupted, as every command speaks of them. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

char *cli_journal_option(const struct cli *cli)
{
	char *text = NULL, *place;

	if (!cli->options.journal)
		return strdup("");
	place = pmr_quote(cli->options.journal);
	if (place && asprintf(&text, " --journal=%s", place) < 0)
		text = NULL;
	free(place);
	return text;
}

uint64_t cli_journal_planned(const struct pmr_journal_entry *entry)
{
	return entry->has_planned && entry->n_planned > entry->n_files ? entry->n_planned
								       : entry->n_files;
}

static void say_unfinished(struct cli *cli, const struct pmr_journal_entry *entry,
			   enum pmr_level level)
{
	const char *name = strrchr(entry->path, '/');
	char *place = cli_journal_option(cli);
	char *quoted = pmr_quote(name ? name + 1 : entry->path);
	uint64_t planned = cli_journal_planned(entry);

	cli_say(cli, level, "unfinished-journal", entry->path,
		"a repair of %" PRIu64
		" %s was interrupted%s%s%s%s%s, %s: finish it with 'pmem-recover repair --resume%s', or "
		"decide against it with 'pmem-recover journal%s --set-aside %s'",
		planned, planned == 1 ? "file" : "files", entry->started_at ? " (begun " : "",
		entry->started_at ? entry->started_at : "", entry->started_at ? ")" : "",
		entry->same_host || !entry->host ? "" : " on host ",
		entry->same_host || !entry->host ? "" : entry->host,
		entry->written ? "and what it was writing may be wrong now"
			       : "before it wrote anything",
		place ? place : "", place ? place : "", quoted ? quoted : entry->path);
	free(quoted);
	free(place);
}

void cli_say_journal(struct cli *cli, const struct pmr_journal_entry *entry, enum pmr_level level)
{
	if (entry->state == PMR_JOURNAL_RUNNING)
		cli_say(cli, PMR_INFO, "journal-running", entry->path,
			"a repair is at work on it now");
	if (!report_is_open_journal(entry))
		return;
	cli->report.unfinished = true;
	if (entry->state == PMR_JOURNAL_UNFINISHED)
		say_unfinished(cli, entry, level);
	else
		cli_say(cli, level, "damaged-journal", entry->path,
			"is not to be believed (%s), so it is not known what the repair that wrote it has left: see what "
			"is in it with 'pmem-recover journal', compare the files with a backup, then set it aside with "
			"--set-aside",
			entry->reason ? entry->reason : "unknown");
}

static bool is_target(const struct cli *cli, const char *target, const struct pmr_filesystem *fs)
{
	struct stat st;

	if (stat(target, &st))
		return pmr_topology_find(cli->report.topology, target) == fs->device;
	if (S_ISCHR(st.st_mode))
		return pmr_topology_find(cli->report.topology, target) == fs->device;
	if (S_ISBLK(st.st_mode))
		return fs->devno == st.st_rdev || fs->device->devno == st.st_rdev;
	return fs->devno == st.st_dev;
}

/* Whether a filesystem is one of those that were asked about. */
static bool is_looked_at(const struct cli *cli, const struct pmr_filesystem *fs)
{
	const struct pmr_scan *scan = cli->report.scan;
	bool found = false;

	for (size_t i = 0; i < scan->n_files && !found; i++)
		found = scan->files[i]->filesystem == fs;
	for (size_t i = 0; i < cli->options.n_args && !found; i++)
		found = is_target(cli, cli->options.args[i], fs);
	for (size_t i = 0; i < scan->n_devices && !found && !cli->options.n_args; i++)
		found = scan->devices[i] == fs->device;
	return found;
}

static bool is_of_targets(const struct cli *cli, const struct pmr_journal_entry *entry)
{
	const struct pmr_topology *topology = cli->report.topology;

	for (size_t i = 0; i < topology->n_filesystems; i++) {
		if (is_looked_at(cli, topology->filesystems[i]) &&
		    pmr_journal_is_of(entry, topology->filesystems[i]))
			return true;
	}
	return false;
}

int cli_say_journals(struct cli *cli, bool targets, enum pmr_level level)
{
	/* a repair makes the directory that it keeps its own in */
	unsigned int flags = cli->report.verb == VERB_REPAIR ? 0 : PMR_JOURNALS_NAMED;
	struct pmr_journals *journals = NULL;
	int rc;

	rc = pmr_journals_new(cli->ctx, cli->options.journal, flags, &journals);
	if (rc)
		cli->report.unfinished = true;
	for (size_t i = 0; !rc && i < journals->n; i++) {
		if (!targets || is_of_targets(cli, &journals->v[i]))
			cli_say_journal(cli, &journals->v[i], level);
	}
	pmr_journals_free(journals);
	return rc == -ENOMEM ? rc : 0;
}
