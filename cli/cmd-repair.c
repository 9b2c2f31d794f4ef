// SPDX-License-Identifier: GPL-2.0-or-later
/* pmem-recover repair: scan, plan, ask, write. */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "text.h"
#include "zeroed.h"

static int check_options(struct cli *cli)
{
	const struct options *options = &cli->options;

	if (!options->n_args && !options->ranges)
		return cli_usage(cli, "repair", "needs a TARGET, --ranges or --resume");
	if (options->ranges && options->badblocks && !strcmp(options->ranges, "-") &&
	    !strcmp(options->badblocks, "-"))
		return cli_usage(cli, "--ranges", "standard input is the list of --badblocks");
	if (!options->from_backup && !options->zero_fill)
		return cli_usage(cli, "repair", "needs --from-backup=PATH or --zero-fill");
	if (options->from_backup && options->zero_fill)
		return cli_usage(cli, "--zero-fill", "contradicts --from-backup");
	if (options->backup_root && !options->from_backup)
		return cli_usage(cli, "--backup-root", "means nothing without --from-backup");
	if (options->verify_backup == PMR_VERIFY_NONE && !options->force)
		return cli_usage(
			cli, "--verify-backup=none",
			"nothing would tell a stale backup from a good one; --force if you mean it");
	return 0;
}

/*
 * Wait until there is an answer to read. Between a look at the cancel flag and a read that blocks a signal would be
 * lost, so signals are let in by ppoll() alone.
 */
static bool wait_for_answer(struct cli *cli)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	sigset_t all, before;
	bool ready;

	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, &before))
		return false;
	ready = !pmr_is_cancelled(cli->ctx) && ppoll(&input, 1, NULL, &before) == 1;
	if (sigprocmask(SIG_SETMASK, &before, NULL))
		return false;
	return ready && !pmr_is_cancelled(cli->ctx);
}

bool cli_confirm(struct cli *cli, uint64_t bytes, bool more)
{
	char answer[16] = "";

	if (cli->options.yes)
		return true;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		cli_say(cli, PMR_ERROR, "not-confirmed", "repair",
			"nothing was written: there is no terminal to ask on, so say --yes, or --dry-run to look first");
		return false;
	}
	fputs("Write ", stderr);
	text_print_size(stderr, bytes);
	fputs(more ? " as shown, and then what else the list shows? [y/N] " : " as shown? [y/N] ",
	      stderr);
	fflush(stderr);
	if (wait_for_answer(cli) && fgets(answer, sizeof(answer), stdin) &&
	    tolower((unsigned char)answer[0]) == 'y')
		return true;
	cli_say(cli, PMR_ERROR, "not-confirmed", "repair",
		"nothing was written: the answer was not yes");
	return false;
}

/* Also what lies behind the end of a file: it is nobody's data, but the plan may want to rewrite its page. */
static bool has_ranges(const struct pmr_scan *scan)
{
	for (size_t i = 0; i < scan->n_files; i++)
		if (scan->files[i]->n_losses)
			return true;
	return false;
}

static void say_nothing_to_do(struct cli *cli)
{
	struct report_totals totals;

	report_totals(cli->report.scan, &totals);
	if (totals.files || (cli->options.ranges && !cli->report.scan->complete))
		cli_note(cli, "nothing-to-write", "repair",
			 "nothing was written: no loss can be repaired safely");
	else
		cli_note(cli, "nothing-to-repair", "repair",
			 "nothing to repair: no file of the targets is known to have lost data");
}

static void say_interrupted(struct cli *cli)
{
	char *place = cli_journal_option(cli);

	if (cli_is_unfinished(cli->report.plan))
		cli_say(cli, PMR_ERROR, "interrupted", "repair",
			"was interrupted: finish what it had begun with 'pmem-recover repair --resume%s', then repair "
			"again for what it had not come to",
			place ? place : "");
	else
		cli_say(cli, PMR_ERROR, "interrupted", "repair",
			"was interrupted, and has left nothing half done: repair again for what it had not come to");
	free(place);
}

static int write_plan(struct cli *cli, const struct pmr_repair_options *repair)
{
	struct report *report = &cli->report;
	bool more;
	int rc;

	progress_erase(&cli->progress);
	if (report->plan->n_files && (!cli->options.quiet || !cli->options.yes))
		report_write_plan(report->plan, stderr);
	if (report->plan->n_steps == 0) {
		say_nothing_to_do(cli);
		return 0;
	}
	more = cli_may_have_more(cli);
	if (more)
		cli_note(
			cli, "more-may-come", "repair",
			"the list cannot show all at once: what comes to light when this is repaired is repaired "
			"in the same way, round by round");
	if (cli->options.dry_run) {
		rc = cli_step(cli, pmr_repair_check(cli->ctx, report->plan, repair));
		cli_note(cli, "dry-run", "repair", "nothing was written: this was a dry run");
		return rc;
	}
	/* what was interrupted comes first: its journal may have the only copy of what lies around */
	if (report->unfinished || !cli_confirm(cli, report->plan->bytes, more)) {
		report->failed = true;
		return 0;
	}
	rc = cli_repair(cli, repair);
	if (!rc && pmr_is_cancelled(cli->ctx))
		say_interrupted(cli);
	return rc;
}

/* Without targets the files of the report are the targets. */
static int take_targets(struct cli *cli, const struct pmr_earlier *earlier)
{
	const char *const *paths = pmr_earlier_paths(earlier);
	struct options *options = &cli->options;
	struct stat st;
	size_t n = 0;

	while (paths[n])
		n++;
	free(options->args);
	options->args = calloc(n + 1, sizeof(*options->args));
	if (!options->args)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		/* what is gone will be said of the report's file, not of a target that nobody named */
		if (lstat(paths[i], &st) && errno == ENOENT)
			continue;
		options->args[options->n_args] = strdup(paths[i]);
		if (!options->args[options->n_args++])
			return -ENOMEM;
	}
	if (options->n_args || !n)
		return 0;
	cli_say(cli, PMR_ERROR, "gone", options->ranges,
		"not one of the files that it names is there: are their filesystems mounted where they were?");
	return -ENOENT;
}

static int load_earlier(struct cli *cli, struct pmr_earlier **earlier)
{
	int rc;

	rc = cli_step(cli, pmr_earlier_load(cli->ctx, cli->options.ranges, earlier));
	if (rc || cli->options.n_args)
		return rc;
	rc = take_targets(cli, *earlier);
	if (rc || cli->options.n_args)
		return rc;
	cli->report.failed =
		!pmr_earlier_is_complete(*earlier) || pmr_earlier_has_devices(*earlier);
	if (pmr_earlier_has_devices(*earlier))
		cli_say(cli, PMR_ERROR, "device-dax", cli->options.ranges,
			"names device-dax and no file that has lost data: nothing tells whether somebody has stored to one since, "
			"so what is still listed of it is repaired by its name, without --ranges");
	else if (cli->report.failed)
		cli_say(cli, PMR_ERROR, "ranges-incomplete", cli->options.ranges,
			"names no file that has lost data, but says itself that it is not complete");
	else
		cli_note(cli, "nothing-to-repair", "repair",
			 "nothing to repair: the report names no file that has lost data");
	return 0;
}

static int add_earlier(struct cli *cli, struct pmr_earlier *earlier, bool has_targets)
{
	const struct options *options = &cli->options;
	struct report *report = &cli->report;
	int rc = 0;

	if (has_targets)
		rc = pmr_earlier_select(cli->ctx, earlier, report->topology,
					(const char *const *)options->args, options->n_args);
	if (!rc)
		rc = pmr_scan_add_earlier(cli->ctx, report->scan, earlier);
	return cli_step(cli, rc);
}

/* The scan, and what an earlier report knows besides. No scan: there is nothing to scan. */
static int scan_all(struct cli *cli)
{
	bool has_targets = cli->options.n_args > 0;
	struct pmr_earlier *earlier = NULL;
	int rc = 0;

	if (cli->options.ranges)
		rc = load_earlier(cli, &earlier);
	if (!rc && cli->options.n_args)
		rc = cli_scan(cli);
	if (!rc && earlier && cli->report.scan)
		rc = add_earlier(cli, earlier, has_targets);
	if (!rc && cli->report.scan && cli->options.from_backup)
		rc = zeroed_repair(cli);
	pmr_earlier_free(earlier);
	return rc;
}

int cmd_repair(struct cli *cli)
{
	const struct options *options = &cli->options;
	struct report *report = &cli->report;
	const struct pmr_repair_options repair = {
		.backup = options->from_backup,
		.backup_root = options->backup_root,
		.zero_fill = options->zero_fill,
		.accept_offlined = options->accept_offlined,
		.trust_badblocks = options->trust_badblocks,
		.verify_backup = options->verify_backup,
		.accept_unmended = options->force,
		.method = options->method,
		.online = options->online,
		.journal = options->journal,
		.keep_days = options->has_keep ? options->keep_days : PMR_KEEP_DAYS,
	};
	int rc;

	rc = options->resume ? 0 : check_options(cli);
	if (rc)
		return rc;
	cli_set_freezer(cli);
	/* where it cannot be had, a device-dax is refused */
	pmr_nofault_init();
	report->dry_run = options->dry_run;
	if (options->resume)
		return cmd_resume(cli, &repair);
	report->zero_fill = options->zero_fill;
	/* a slip of the pen is told before all is read, and where there turns out to be nothing to repair */
	rc = cli_step(cli, pmr_plan_check_backup(cli->ctx, (const char *const *)options->args,
						 options->n_args, &repair));
	if (!rc)
		rc = scan_all(cli);
	if (rc || !report->scan)
		return rc;
	rc = cli_say_journals(cli, true, report->dry_run ? PMR_WARNING : PMR_ERROR);
	if (rc)
		return rc;
	if (!has_ranges(report->scan)) {
		say_nothing_to_do(cli);
		return 0;
	}
	/* the report then shows what is lost, which is what an interrupted scan has to tell */
	if (pmr_is_cancelled(cli->ctx))
		return 0;
	rc = cli_step(cli, pmr_plan_new(cli->ctx, report->scan, (const char *const *)options->args,
					options->n_args, &repair, &report->plan));
	if (rc)
		return rc;
	if (pmr_is_cancelled(cli->ctx)) {
		say_interrupted(cli);
		report->failed = true;
		return 0;
	}
	return write_plan(cli, &repair);
}
