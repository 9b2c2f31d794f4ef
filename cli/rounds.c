// SPDX-License-Identifier: GPL-2.0-or-later
/* Rounds of a repair: lists that cannot show all at once are read again when what they showed is repaired. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* More than any list that shrinks by a page at a time has. */
#define MOST_ROUNDS 16

/* The lists of a scan's devices, as they were when it ended; which ones these are differs from round to round. */
struct seen {
	struct pmr_device **devices;
	struct pmr_ranges *v;
	size_t n;
};

static void release(struct seen *seen)
{
	for (size_t i = 0; i < seen->n; i++)
		pmr_ranges_release(&seen->v[i]);
	free(seen->v);
	free(seen->devices);
	*seen = (struct seen){ 0 };
}

static int see(const struct pmr_scan *scan, struct seen *seen)
{
	int rc = 0;

	seen->v = calloc(scan->n_devices + 1, sizeof(*seen->v));
	seen->devices = calloc(scan->n_devices + 1, sizeof(struct pmr_device *));
	if (!seen->v || !seen->devices)
		return -ENOMEM;
	seen->n = scan->n_devices;
	for (size_t i = 0; i < seen->n && !rc; i++) {
		seen->devices[i] = scan->devices[i];
		rc = pmr_ranges_copy(&seen->v[i], &scan->devices[i]->badblocks.ranges);
	}
	return rc;
}

bool cli_may_have_more(const struct cli *cli)
{
	const struct pmr_scan *scan = cli->report.scan;

	for (size_t i = 0; i < scan->n_devices; i++)
		if (pmr_device_was_full(scan->devices[i]))
			return true;
	return false;
}

/* Reads the lists again. @more: one has what it did not have. */
static int look(struct cli *cli, const struct seen *seen, bool *more)
{
	struct pmr_ranges new = { 0 };
	int rc = 0;

	for (size_t i = 0; i < seen->n && !rc; i++) {
		rc = cli_step(cli, pmr_device_refresh(cli->ctx, seen->devices[i]));
		if (!rc)
			rc = pmr_ranges_subtract(&new, &seen->devices[i]->badblocks.ranges,
						 &seen->v[i]);
	}
	*more = new.n > 0;
	pmr_ranges_release(&new);
	return rc;
}

static bool has_state(const struct pmr_scan *scan, enum pmr_state state)
{
	for (size_t i = 0; i < scan->n_files; i++)
		for (size_t j = 0; j < scan->files[i]->n_losses; j++)
			if (scan->files[i]->losses[j].state == state)
				return true;
	return false;
}

static bool is_repaired(const struct pmr_scan *scan)
{
	return has_state(scan, PMR_REPAIRED) || has_state(scan, PMR_ZEROED);
}

bool cli_is_unfinished(const struct pmr_plan *plan)
{
	const char *end = plan->journal ? strrchr(plan->journal, '.') : NULL;

	return end && !strcmp(end, ".journal");
}

/* Another round would meet the journal of this one, and write nothing. */
static void say_kept(struct cli *cli)
{
	char *place = cli_journal_option(cli);

	cli_say(cli, PMR_ERROR, "repair-rounds", cli->report.plan->journal,
		"stays, as something failed, and the list has more now: finish it with 'pmem-recover repair --resume%s', then "
		"repair again for what has come to light",
		place ? place : "");
	free(place);
	cli->report.failed = true;
}

/* One more scan, plan and repair, joined to the report. @progress: it repaired something. */
static int one_round(struct cli *cli, unsigned int number, const struct pmr_repair_options *repair,
		     struct seen *seen, bool *progress)
{
	const char *const *targets = (const char *const *)cli->options.args;
	struct pmr_repair_options options = *repair;
	struct report *report = &cli->report;
	struct pmr_scan *scan = NULL;
	struct pmr_plan *plan = NULL;
	int joined, rc;

	cli_note(cli, "repair-round", "repair",
		 "the list has more now that what it showed is repaired: round %u", number);
	/* the journal of what failed in an earlier one may be wanted */
	if (has_state(report->scan, PMR_FAILED))
		options.keep_days = PMR_KEEP_FOREVER;
	rc = cli_step(cli, pmr_scan_new(cli->ctx, report->topology, targets, cli->options.n_args,
					NULL, NULL, &scan));
	if (rc)
		return rc;
	release(seen);
	rc = see(scan, seen);
	if (!rc && !pmr_is_cancelled(cli->ctx))
		rc = cli_step(cli, pmr_plan_new(cli->ctx, scan, targets, cli->options.n_args,
						&options, &plan));
	if (!rc && plan && !pmr_is_cancelled(cli->ctx)) {
		progress_erase(&cli->progress);
		if (plan->n_files && (!cli->options.quiet || !cli->options.yes))
			report_write_plan(plan, stderr);
		rc = pmr_repair_run(cli->ctx, plan, &options);
	}
	*progress = is_repaired(scan);
	joined = pmr_repair_join(report->scan, report->plan, scan, plan);
	return rc ? rc : joined;
}

static int next_rounds(struct cli *cli, const struct pmr_repair_options *repair, struct seen *seen)
{
	bool progress = is_repaired(cli->report.scan), more = true;
	int rc = 0;

	for (unsigned int n = 2; !rc && progress && more && !pmr_is_cancelled(cli->ctx); n++) {
		rc = look(cli, seen, &more);
		if (rc || !more)
			break;
		if (cli_is_unfinished(cli->report.plan)) {
			say_kept(cli);
			break;
		}
		if (n > MOST_ROUNDS) {
			cli_say(cli, PMR_WARNING, "repair-rounds", "repair",
				"stopped after %d rounds, and the list still has more: repair again",
				MOST_ROUNDS);
			cli->report.failed = true;
			break;
		}
		cli->again = true;
		rc = one_round(cli, n, repair, seen, &progress);
		cli->again = false;
	}
	return rc;
}

int cli_repair(struct cli *cli, const struct pmr_repair_options *repair)
{
	struct seen seen = { 0 };
	int rc;

	rc = see(cli->report.scan, &seen);
	if (!rc)
		rc = pmr_repair_run(cli->ctx, cli->report.plan, repair);
	if (!rc && cli_may_have_more(cli))
		rc = next_rounds(cli, repair, &seen);
	release(&seen);
	return rc;
}
