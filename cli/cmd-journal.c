// SPDX-License-Identifier: GPL-2.0-or-later
/* pmem-recover journal: repairs that were interrupted, what they have, and deciding against them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

static int check_options(struct cli *cli)
{
	const struct options *options = &cli->options;

	if (options->export && !options->n_args)
		return cli_usage(cli, "--export", "name the journals that are meant");
	if (options->set_aside && !options->n_args)
		return cli_usage(cli, "--set-aside", "name the journals that are meant");
	return 0;
}

/* What of a list is to be shown. */
static int show(struct cli *cli, struct pmr_journal_entry *entry)
{
	struct report_journals *journals = &cli->report.journals;
	struct pmr_journal_entry **v;

	for (size_t i = 0; i < journals->n; i++)
		if (journals->v[i] == entry)
			return 0;
	v = reallocarray(journals->v, journals->n + 1, sizeof(struct pmr_journal_entry *));
	if (!v)
		return -ENOMEM;
	journals->v = v;
	v[journals->n++] = entry;
	return 0;
}

/* A list is read once, or a journal that is named twice would be two. */
static int read_list(struct cli *cli, const char *directory, unsigned int flags,
		     struct pmr_journals **list)
{
	struct report_journals *journals = &cli->report.journals;
	struct pmr_journals **lists;
	int rc;

	lists = reallocarray(journals->lists, journals->n_lists + 1, sizeof(struct pmr_journals *));
	if (!lists)
		return -ENOMEM;
	journals->lists = lists;
	rc = pmr_journals_new(cli->ctx, directory, flags, list);
	if (!rc)
		lists[journals->n_lists++] = *list;
	else if (rc != -ENOMEM)
		/* said as a warning, since most commands can do without */
		cli->heard_error = true;
	return rc;
}

static int show_directory(struct cli *cli)
{
	struct pmr_journals *list;
	int rc;

	rc = read_list(cli, cli->options.journal,
		       PMR_JOURNALS_NAMED | (cli->options.all ? PMR_JOURNALS_ALL : 0), &list);
	for (size_t i = 0; !rc && i < list->n; i++)
		rc = show(cli, &list->v[i]);
	return rc;
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static struct pmr_journal_entry *find_in(struct pmr_journals *list, const char *path)
{
	for (size_t i = 0; i < list->n; i++) {
		if (!strcmp(list->v[i].path, path))
			return &list->v[i];
	}
	return NULL;
}

/* Of an argument: its directory, and the path as a list has it. */
static int locate(const struct cli *cli, const char *argument, char **directory, char **path)
{
	const char *name = name_of(argument);
	const char *place = cli->options.journal ? cli->options.journal : PMR_STATE_DIRECTORY;

	if (name == argument)
		*directory = strdup(place);
	else
		*directory =
			strndup(argument, name == argument + 1 ? 1 : (size_t)(name - argument) - 1);
	if (!*directory || asprintf(path, "%s/%s", *directory, name) < 0) {
		*path = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int show_named(struct cli *cli, const char *argument)
{
	struct report_journals *journals = &cli->report.journals;
	struct pmr_journal_entry *entry = NULL;
	char *directory = NULL, *path = NULL;
	struct pmr_journals *list;
	int rc;

	rc = locate(cli, argument, &directory, &path);
	for (size_t i = 0; !rc && !entry && i < journals->n_lists; i++)
		entry = find_in(journals->lists[i], path);
	if (!rc && !entry) {
		rc = read_list(cli, directory, PMR_JOURNALS_ALL, &list);
		if (!rc)
			entry = find_in(list, path);
	}
	if (!rc && !entry) {
		cli_say(cli, PMR_ERROR, "no-journal", argument,
			"there is no such journal: 'pmem-recover journal --all' shows which there are");
		rc = -ENOENT;
	}
	if (!rc)
		rc = show(cli, entry);
	free(directory);
	free(path);
	return rc;
}

/* ---- what is done to them */

/* DIR for one, DIR/NAME for each of several: two may have a file of the same name. */
static int export_one(struct cli *cli, const struct pmr_journal_entry *entry)
{
	const char *name = name_of(entry->path);
	char *directory;
	int rc;

	if (cli->report.journals.n == 1)
		directory = strdup(cli->options.export);
	else if (asprintf(&directory, "%s/%.*s", cli->options.export,
			  (int)(strrchr(name, '.') - name), name) < 0)
		directory = NULL;
	rc = directory ? pmr_journal_export(cli->ctx, entry, directory) : -ENOMEM;
	if (!rc)
		cli_note(cli, "exported", entry->path,
			 "what it was to write is in %s, and index.json there tells what is what",
			 directory);
	free(directory);
	return rc;
}

static int export_all(struct cli *cli)
{
	const struct report_journals *journals = &cli->report.journals;
	int rc = 0, failed;

	if (journals->n > 1 && mkdir(cli->options.export, 0700) && errno != EEXIST) {
		rc = -errno;
		cli_say(cli, PMR_ERROR, "export", cli->options.export, "cannot be made: %s",
			strerror(-rc));
		return rc;
	}
	for (size_t i = 0; i < journals->n; i++) {
		failed = export_one(cli, journals->v[i]);
		rc = rc ? rc : failed;
	}
	return rc;
}

static int set_aside_all(struct cli *cli)
{
	const struct report_journals *journals = &cli->report.journals;
	int rc = 0, failed;

	for (size_t i = 0; i < journals->n; i++) {
		struct pmr_journal_entry *entry = journals->v[i];

		failed = pmr_journal_set_aside(cli->ctx, entry);
		if (!failed)
			cli_note(
				cli, "set-aside", entry->path,
				"is not resumed and not told of any more; the bytes are kept in it, see --export%s",
				entry->written
					? ". What the repair was writing when it was interrupted may be wrong: "
					  "compare the files with a backup"
					: "");
		rc = rc ? rc : failed;
	}
	return rc;
}

int cli_take_journals(struct cli *cli)
{
	const struct options *options = &cli->options;
	int rc = 0;

	if (!options->n_args)
		rc = show_directory(cli);
	for (size_t i = 0; !rc && i < options->n_args; i++)
		rc = show_named(cli, options->args[i]);
	return rc;
}

int cmd_journal(struct cli *cli)
{
	const struct options *options = &cli->options;
	int rc;

	rc = check_options(cli);
	if (!rc)
		rc = cli_take_journals(cli);
	if (!rc && options->export)
		rc = export_all(cli);
	if (!rc && options->set_aside)
		rc = set_aside_all(cli);
	if (rc || options->export || options->set_aside)
		return rc;
	for (size_t i = 0; i < cli->report.journals.n; i++)
		cli_say_journal(cli, cli->report.journals.v[i], PMR_WARNING);
	return 0;
}
