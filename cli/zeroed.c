// SPDX-License-Identifier: GPL-2.0-or-later
/* What is remembered of zeros that a repair wrote, for scan, repair and health. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "zeroed.h"

/* Those of one file follow each other. */
static bool is_same_file(const struct pmr_zeroed *a, const struct pmr_zeroed *b)
{
	size_t length = strcspn(a->id, "@");

	return length == strcspn(b->id, "@") && !strncmp(a->id, b->id, length);
}

static void say_file(struct cli *cli, const struct pmr_zeroed *first, size_t n)
{
	int length = (int)strcspn(first->id, "@");
	char when[TEXT_TIME_SIZE];
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += first[i].length;
	if (!text_format_time(first->zeroed_at, when))
		strcpy(when, "some day");
	if (first->file == PMR_ZEROED_FILE_CHANGED)
		cli_say(cli, PMR_WARNING, "zeroed-changed", first->path,
			"%" PRIu64 " bytes, the first at byte %" PRIu64
			", were overwritten with zeros by a repair (%s), and the file was changed since (other: %s), so that "
			"nobody knows whether they are still there: compare it with a backup, then give 'pmem-recover health "
			"--acknowledge=%.*s'",
			bytes, first->offset, when, first->differences, length, first->id);
	else if (first->file == PMR_ZEROED_FILE_GONE)
		cli_say(cli, PMR_WARNING, "zeroed-gone", first->path,
			"%" PRIu64 " bytes, the first at byte %" PRIu64
			", were overwritten with zeros by a repair (%s), and the file is not there now: it was removed or "
			"renamed, or its filesystem is not mounted there, or its namespace not enabled; when it was seen to, give 'pmem-recover health "
			"--acknowledge=%.*s'",
			bytes, first->offset, when, length, first->id);
	else
		cli_say(cli, PMR_WARNING, "zeroed-remembered", first->path,
			"%" PRIu64 " bytes, the first at byte %" PRIu64
			", are not its data but zeros that a repair wrote (%s): 'pmem-recover repair --from-backup=PATH' of "
			"the file restores them; if they may stay, give 'pmem-recover health --acknowledge=%.*s'",
			bytes, first->offset, when, length, first->id);
}

void zeroed_say(struct cli *cli)
{
	const struct pmr_zeroed *zeroed;
	size_t n = pmr_zeroes_get(cli->report.zeroes, &zeroed), next;

	for (size_t i = 0; i < n; i = next) {
		for (next = i + 1; next < n && is_same_file(&zeroed[i], &zeroed[next]);)
			next++;
		/* a repair has those that are there still among its losses */
		if (cli->report.verb != VERB_REPAIR || zeroed[i].file != PMR_ZEROED_FILE_SAME)
			say_file(cli, &zeroed[i], next - i);
	}
}

int zeroed_health(struct cli *cli)
{
	return cli_step(cli, pmr_zeroes_new(cli->ctx, PMR_STATE_DIRECTORY, &cli->report.zeroes));
}

/* The targets are those of the command line, or the device that the list names. */
static int look(struct cli *cli)
{
	const struct options *options = &cli->options;
	struct report *report = &cli->report;
	const char *targets[1];
	char *path = NULL;
	int rc;

	rc = zeroed_health(cli);
	if (rc)
		return rc;
	if (options->n_args || !cli->file)
		return pmr_zeroes_look(report->zeroes, report->topology,
				       (const char *const *)options->args, options->n_args);
	path = cli_listed_path(cli);
	targets[0] = path;
	rc = path ? pmr_zeroes_look(report->zeroes, report->topology, targets, 1) : -ENOMEM;
	free(path);
	return rc;
}

int zeroed_scan(struct cli *cli)
{
	int rc = look(cli);

	if (!rc)
		zeroed_say(cli);
	return rc;
}

int zeroed_repair(struct cli *cli)
{
	int rc = look(cli);

	if (!rc)
		rc = cli_step(cli,
			      pmr_scan_add_zeroes(cli->ctx, cli->report.scan, cli->report.zeroes));
	if (!rc)
		zeroed_say(cli);
	return rc;
}
