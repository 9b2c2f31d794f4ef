/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the commands share: one run of the program.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "options.h"
#include "pmem-recover.h"
#include "progress.h"
#include "report.h"

/** CLI_USAGE - what a command returns when it was called wrongly; no document is written then */
#define CLI_USAGE 1

struct cli;

/**
 * struct command - one verb
 * @name: the verb
 * @verb: for the report
 * @args: what follows the options, for help
 * @summary: one line for the list of commands
 * @text: what its own help says besides the options
 * @options: its popt table
 * @min_args, @max_args: how many arguments it takes
 * @writes: it writes to media: no second signal may kill it between a write and looking at what became of it
 * @run: does the work. Returns 0 (look at the report), CLI_USAGE, or a negative errno.
 */
struct command {
	const char *name;
	enum verb verb;
	const char *args;
	const char *summary;
	const char *text;
	const struct poptOption *options;
	size_t min_args;
	size_t max_args;
	bool writes;
	int (*run)(struct cli *cli);
};

/**
 * struct cli - one run of one command
 * @command: which
 * @options: what the user asked for
 * @ctx: the library
 * @progress: the line on stderr
 * @report: the result so far
 * @badblocks: the file of --badblocks, once loaded
 * @file: @badblocks, or NULL where there is none
 * @heard_warning: a warning or an error was said
 * @again: work that was done before is done again, and what was said of it stands
 * @heard_error: an error was said since the last step that succeeded, see cli_step()
 */
struct cli {
	const struct command *command;
	struct options options;
	struct pmr_ctx *ctx;
	struct progress progress;
	struct report report;
	struct pmr_badblocks_file badblocks;
	struct pmr_badblocks_file *file;
	bool heard_warning;
	bool again;
	bool heard_error;
};

#define CLI_PRINTF(text, first) __attribute__((format(printf, text, first)))

/** cli_run() - run a command on what follows the verb. @cancel: see pmr_set_cancel(). Return: the exit status. */
int cli_run(const struct command *command, int argc, char **argv,
	    const volatile sig_atomic_t *cancel);

/** cli_close_output() - after something that was only to be printed. Return: the exit status. */
int cli_close_output(void);

/** cli_say() - say one thing on stderr and in the report, as the library does */
void cli_say(struct cli *cli, enum pmr_level level, const char *code, const char *object,
	     const char *format, ...) CLI_PRINTF(5, 6);

/** cli_note() - an info message that is also said on stderr, unless quiet */
void cli_note(struct cli *cli, const char *code, const char *object, const char *format, ...)
	CLI_PRINTF(4, 5);

/** cli_usage() - say what is wrong with the command line. Return: CLI_USAGE. */
int cli_usage(struct cli *cli, const char *object, const char *text);

/** cli_set_freezer() - let the library freeze filesystems, see guardian.c */
void cli_set_freezer(struct cli *cli);

/**
 * cli_step() - take note of how a step ended
 *
 * What was said during one that succeeded does not explain why a later one fails. Return: @rc.
 */
int cli_step(struct cli *cli, int rc);

/** cli_load_badblocks() - read the file of --badblocks, if any. Return: 0, a negative errno (said). */
int cli_load_badblocks(struct cli *cli);

/** cli_look() - make the report's topology, and say so where there is no PMEM. Return: 0, a negative errno. */
int cli_look(struct cli *cli, unsigned int flags);

/**
 * cli_parse_range() - take an argument of the form OFFSET[+LENGTH]
 * @length: left alone where it has none
 *
 * Return: 0, CLI_USAGE.
 */
int cli_parse_range(struct cli *cli, const char *text, uint64_t *offset, uint64_t *length);

/**
 * cli_device_path() - where a device is, by a name that may be bare
 *
 * A bare name is a namespace's or one below /dev, never a file of the working directory.
 * Return: the path, or the name of what has none, to free(); NULL without memory.
 */
char *cli_device_path(const struct cli *cli, const char *name);

/**
 * cli_listed_path() - where the device is that the file of --badblocks names; it has to name one
 *
 * See cli_device_path(). Return: the path to free(), NULL without memory.
 */
char *cli_listed_path(const struct cli *cli);

/**
 * cli_confirm() - whether a person, or --yes, said yes to writing so many bytes; off a terminal nobody can
 * @more: and to what the lists may show when that is done, see cli_repair()
 */
bool cli_confirm(struct cli *cli, uint64_t bytes, bool more);

/* ---- rounds.c */

/** cli_may_have_more() - whether a list of the scan's devices could not show all at once, so that more may come */
bool cli_may_have_more(const struct cli *cli);

/** cli_is_unfinished() - whether the journal of a plan that was carried out stays for a resume */
bool cli_is_unfinished(const struct pmr_plan *plan);

/**
 * cli_repair() - carry out the report's plan, and where more may come, do all of it again while there is more
 *
 * Each round is a scan, a plan and a repair of its own, with its own journal, joined to the report. The last one is that after
 * which the lists have nothing that they did not have, or that repaired nothing, or whose journal stays for a resume.
 */
int cli_repair(struct cli *cli, const struct pmr_repair_options *repair);

/** cli_take_journals() - the journals that are the arguments into the report; without one, those of the directory */
int cli_take_journals(struct cli *cli);

/** cli_scan() - scan the targets into the report. Return: 0, CLI_USAGE, a negative errno. */
int cli_scan(struct cli *cli);

/* ---- scrub.c */

/** cli_scrub() - scrub the buses that the targets lie on; where that cannot be done the report fails. Return: 0, -ENOMEM. */
int cli_scrub(struct cli *cli);

/* ---- journals.c */

/** cli_journal_option() - " --journal=DIR", where commands to be typed need it, else ""; free() it; NULL without memory */
char *cli_journal_option(const struct cli *cli);

/** cli_journal_planned() - how many files a journal's repair was to write, as far as it tells */
uint64_t cli_journal_planned(const struct pmr_journal_entry *entry);

/**
 * cli_say_journal() - say what a person has to know of a journal; nothing where it needs nobody
 * @level: of one that is unfinished or damaged
 *
 * Takes note in the report that there is one.
 */
void cli_say_journal(struct cli *cli, const struct pmr_journal_entry *entry, enum pmr_level level);

/**
 * cli_say_journals() - the same of all journals of the directory
 * @targets: only those that have to do with filesystems that are looked at; else all of them
 *
 * Return: 0 also where they cannot be known, which was said and noted; -ENOMEM.
 */
int cli_say_journals(struct cli *cli, bool targets, enum pmr_level level);

int cmd_list(struct cli *cli);
int cmd_scan(struct cli *cli);
int cmd_map(struct cli *cli);
int cmd_locate(struct cli *cli);
int cmd_salvage(struct cli *cli);
int cmd_repair(struct cli *cli);
/** cmd_resume() - what cmd_repair() does with --resume */
int cmd_resume(struct cli *cli, const struct pmr_repair_options *repair);
int cmd_health(struct cli *cli);
int cmd_journal(struct cli *cli);

#endif
