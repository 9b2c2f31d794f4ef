// SPDX-License-Identifier: GPL-2.0-or-later
/* One run of a command: messages, the report's way out, the exit status. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "report-human.h"
#include "text.h"

static void print_message(struct cli *cli, const char *object, const char *text)
{
	progress_erase(&cli->progress);
	fputs("pmem-recover: ", stderr);
	text_print_safe(stderr, object);
	fputs(": ", stderr);
	text_print_safe(stderr, text);
	fputc('\n', stderr);
	fflush(stderr);
}

static bool is_printed(const struct cli *cli, enum pmr_level level)
{
	return level <= PMR_WARNING || (level == PMR_INFO && cli->options.verbose >= 1) ||
	       cli->options.verbose >= 2;
}

static void hear(void *data, const struct pmr_message *message)
{
	struct cli *cli = data;

	if (message->level == PMR_ERROR)
		cli->heard_error = true;
	if (message->level <= PMR_WARNING)
		cli->heard_warning = true;
	if (cli->again && report_has_message(&cli->report, message))
		return;
	if (is_printed(cli, message->level))
		print_message(cli, message->object, message->text);
	/* debugging text is for eyes, unless it was asked for */
	if (message->level != PMR_DEBUG || cli->options.verbose >= 2)
		report_add_message(&cli->report, message);
}

static void say(struct cli *cli, enum pmr_level level, const char *code, const char *object,
		const char *format, va_list args, bool print)
{
	struct pmr_message message = { level, code, object, NULL };
	char *text = NULL;

	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	message.text = text ? text : format;
	hear(cli, &message);
	if (print && !is_printed(cli, level))
		print_message(cli, object, message.text);
	free(text);
}

void cli_say(struct cli *cli, enum pmr_level level, const char *code, const char *object,
	     const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(cli, level, code, object, format, args, false);
	va_end(args);
}

void cli_note(struct cli *cli, const char *code, const char *object, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(cli, PMR_INFO, code, object, format, args, !cli->options.quiet);
	va_end(args);
}

int cli_usage(struct cli *cli, const char *object, const char *text)
{
	fputs("pmem-recover: ", stderr);
	text_print_safe(stderr, object);
	fprintf(stderr, ": %s, see 'pmem-recover %s --help'\n", text, cli->command->name);
	return CLI_USAGE;
}

int cli_step(struct cli *cli, int rc)
{
	if (!rc)
		cli->heard_error = false;
	return rc;
}

int cli_load_badblocks(struct cli *cli)
{
	int rc;

	if (!cli->options.badblocks)
		return 0;
	rc = cli_step(cli, pmr_badblocks_load(cli->ctx, cli->options.badblocks, &cli->badblocks));
	if (!rc)
		cli->file = &cli->badblocks;
	return rc;
}

int cli_look(struct cli *cli, unsigned int flags)
{
	struct report *report = &cli->report;
	int rc = cli_step(cli, pmr_topology_new(cli->ctx, flags, &report->topology));

	if (rc)
		return rc;
	/* somebody who names a target or a list knows that it need not be PMEM */
	if (report->topology->n_devices == 0 && report->topology->n_regions == 0 &&
	    cli->options.n_args == 0 && !cli->file)
		cli_note(cli, "no-pmem", "this machine",
			 "has no persistent memory: no nvdimm region or namespace was found");
	return cli_step(cli, pmr_doubts_new(cli->ctx, report->topology, PMR_STATE_DIRECTORY,
					    &report->doubts));
}

int cli_parse_range(struct cli *cli, const char *text, uint64_t *offset, uint64_t *length)
{
	int rc = text_parse_range(text, offset, length);

	if (rc == -ERANGE)
		return cli_usage(cli, text, "the number is too large");
	return rc ? cli_usage(cli, text, "not of the form OFFSET[+LENGTH]") : 0;
}

char *cli_device_path(const struct cli *cli, const char *name)
{
	const struct pmr_device *device;
	char *path;

	if (strchr(name, '/'))
		return strdup(name);
	device = pmr_topology_find(cli->report.topology, name);
	if (device)
		return strdup(device->path ? device->path : name);
	return asprintf(&path, "/dev/%s", name) < 0 ? NULL : path;
}

char *cli_listed_path(const struct cli *cli)
{
	return cli_device_path(cli, cli->file->device);
}

/*
 * A bare name that is no file's is a device's, as everywhere. It becomes a path, so that all who look at the targets mean the
 * same.
 */
static int find_bare_targets(struct cli *cli)
{
	struct options *options = &cli->options;
	struct stat st;
	char *path;

	for (size_t i = 0; i < options->n_args; i++) {
		if (strchr(options->args[i], '/') || !stat(options->args[i], &st) ||
		    errno != ENOENT || pmr_topology_find(cli->report.topology, options->args[i]))
			continue;
		path = cli_device_path(cli, options->args[i]);
		if (!path)
			return -ENOMEM;
		if (stat(path, &st) || !S_ISBLK(st.st_mode)) {
			free(path);
			continue;
		}
		free(options->args[i]);
		options->args[i] = path;
	}
	return 0;
}

static int scan_targets(struct cli *cli, const char *const *targets, size_t n_targets)
{
	struct report *report = &cli->report;

	return cli_step(cli, pmr_scan_new(cli->ctx, report->topology, targets, n_targets, cli->file,
					  cli->options.badblocks, &report->scan));
}

static int scan_listed(struct cli *cli)
{
	char *path = cli_listed_path(cli);
	const char *const targets[] = { path };
	int rc;

	rc = path ? scan_targets(cli, targets, 1) : -ENOMEM;
	free(path);
	return rc;
}

int cli_scan(struct cli *cli)
{
	const struct options *options = &cli->options;
	bool is_listed;
	int rc;

	rc = cli_load_badblocks(cli);
	if (rc)
		return rc;
	is_listed = cli->file && options->n_args == 0;
	if (is_listed && !cli->file->device)
		return cli_usage(cli, options->badblocks,
				 "the list names no device, so give a target");
	if (cli->file && options->scrub)
		return cli_usage(
			cli, "--scrub",
			"means nothing with --badblocks: the kernel's list is not asked then");
	rc = cli_look(cli, PMR_TOPOLOGY_FILESYSTEMS);
	if (!rc)
		rc = find_bare_targets(cli);
	if (!rc && options->scrub)
		rc = cli_scrub(cli);
	if (rc)
		return rc;
	return is_listed ? scan_listed(cli)
			 : scan_targets(cli, (const char *const *)options->args, options->n_args);
}

/* ---- the way out */

static void fail(struct cli *cli, int rc)
{
	cli->report.failed = true;
	/* the library said what it was, unless it had not even the memory for that */
	if (rc == -ENOMEM || !cli->heard_error)
		cli_say(cli, PMR_ERROR, rc == -ENOMEM ? "no-memory" : "failed", cli->command->name,
			"cannot go on: %s", strerror(-rc));
}

/* No exit status has 8 without a word why. */
static void say_untold(struct cli *cli)
{
	const struct report *report = &cli->report;

	if (!(report->exit_status & STATUS_UNKNOWN) || cli->heard_warning)
		return;
	for (size_t i = 0; i < report->n_devices; i++) {
		const struct pmr_device *device = report->devices[i];

		if (!report_is_told(device))
			cli_say(cli, PMR_WARNING, "badblocks-unknown",
				device->path ? device->path : device->name, "%s",
				device->mode == PMR_MODE_NONE
					? "is no persistent memory and has no list of bad blocks of its own: give one by "
					  "--badblocks=FILE"
				: geteuid()
					? "not all that its lists of badblocks hold can be known: try again as root"
					: "not all that its lists of badblocks hold can be known");
	}
}

/* At the end, when all that could be learned of it was. */
static void say_recovery(struct cli *cli)
{
	char text[128];

	if (!cli->report.recovery || !cli->options.verbose)
		return;
	report_describe_recovery(cli->report.recovery, text, sizeof(text));
	cli_say(cli, PMR_INFO, "recovery", "this kernel", "%s", text);
}

static int write_report(const struct cli *cli)
{
	if (cli->options.quiet)
		return 0;
	if (cli->options.human)
		return report_write_human(&cli->report, stdout);
	return report_write_json(&cli->report, stdout);
}

/* Returns the exit status. Errors of stdout show at the latest when it is closed. */
static int finish(struct cli *cli)
{
	struct report *report = &cli->report;
	int rc;

	progress_erase(&cli->progress);
	report_finish(report);
	say_recovery(cli);
	say_untold(cli);
	if (cli->options.quiet)
		report_write_quiet(report, stderr);
	errno = 0;
	rc = write_report(cli);
	if (ferror(stdout))
		rc = errno ? -errno : -EIO;
	if (fclose(stdout) && !rc && !cli->options.quiet)
		rc = errno ? -errno : -EIO;
	if (!rc && !report->lost_message)
		return report->exit_status;
	print_message(cli, "report", rc ? strerror(-rc) : "messages were lost for want of memory");
	/* what was done to the media must be said in any case */
	if (rc && report->plan) {
		fputs("pmem-recover: repair: ", stderr);
		report_write_outcome(report, stderr);
	}
	return report->exit_status | STATUS_UNKNOWN;
}

static int start(struct cli *cli, const volatile sig_atomic_t *cancel)
{
	int rc = pmr_new(&cli->ctx);

	if (rc)
		return rc;
	pmr_set_message_fn(cli->ctx, hear, cli);
	pmr_set_progress_fn(cli->ctx, progress_update, &cli->progress);
	pmr_set_cancel(cli->ctx, cancel);
	pmr_set_threads(cli->ctx, cli->options.threads);
	pmr_set_lookup(cli->ctx, cli->options.lookup);
	pmr_set_reading(cli->ctx, cli->options.read, cli->options.read_rate);
	if (pmr_set_recovery_flag(cli->ctx, cli->options.recovery_flag))
		return CLI_USAGE;
	cli->report.recovery = pmr_get_recovery(cli->ctx);
	return cli->command->run(cli);
}

static int run_parsed(struct cli *cli, const volatile sig_atomic_t *cancel)
{
	char text[64];
	int rc;

	if (cli->options.n_args < cli->command->min_args) {
		snprintf(text, sizeof(text), "needs %s", cli->command->args);
		cli_usage(cli, cli->command->name, text);
		return STATUS_USAGE;
	}
	if (cli->options.n_args > cli->command->max_args) {
		cli_usage(cli, cli->options.args[cli->command->max_args], "one argument too many");
		return STATUS_USAGE;
	}
	if (cli->options.read_rate && !cli->options.read) {
		cli_usage(cli, "--read-rate", "means nothing without --read");
		return STATUS_USAGE;
	}
	progress_init(&cli->progress, cli->options.quiet);
	cli->report.verb = cli->command->verb;
	cli->report.started = time(NULL);
	rc = start(cli, cancel);
	if (rc == CLI_USAGE)
		return STATUS_USAGE;
	if (rc < 0)
		fail(cli, rc);
	/* lists may have been cut or full since they were read first, or have room again */
	if (cli->report.doubts && rc != -ENOMEM) {
		rc = pmr_doubts_update(cli->report.doubts);
		if (rc < 0)
			fail(cli, rc);
	}
	return finish(cli);
}

int cli_close_output(void)
{
	bool bad = ferror(stdout);

	if (!fclose(stdout) && !bad)
		return STATUS_OK;
	fprintf(stderr, "pmem-recover: standard output: %s\n", strerror(errno));
	return STATUS_UNKNOWN;
}

static int print_help(const struct command *command, const char *name)
{
	int rc = options_print_help(name, command->args, command->options, stdout);

	printf("\n%s\nThe manual: man pmem-recover-%s\n", command->text, command->name);
	if (rc)
		fprintf(stderr, "pmem-recover: help: %s\n", strerror(-rc));
	return cli_close_output() | (rc ? STATUS_UNKNOWN : STATUS_OK);
}

int cli_run(const struct command *command, int argc, char **argv,
	    const volatile sig_atomic_t *cancel)
{
	struct cli cli = { .command = command };
	char name[64];
	int status;
	int rc;

	snprintf(name, sizeof(name), "pmem-recover %s", command->name);
	rc = options_parse(name, command->options, argc, argv, &cli.options);
	if (rc == -ENOMEM) {
		fprintf(stderr, "%s: %s\n", name, strerror(-rc));
		status = STATUS_UNKNOWN;
	} else if (rc) {
		status = STATUS_USAGE;
	} else if (cli.options.help) {
		status = print_help(command, name);
	} else if (cli.options.list_opts) {
		options_print_list(command->options, stdout);
		status = cli_close_output();
	} else {
		status = run_parsed(&cli, cancel);
	}
	report_release(&cli.report);
	pmr_badblocks_file_release(&cli.badblocks);
	pmr_unref(cli.ctx);
	options_release(&cli.options);
	return status;
}
