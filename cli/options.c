// SPDX-License-Identifier: GPL-2.0-or-later
/* The popt tables, and the only use of popt. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "option-values.h"
#include "text.h"

#define TABLE(table, title)                                                         \
	{                                                                           \
		NULL, '\0', POPT_ARG_INCLUDE_TABLE, (void *)(table), 0, title, NULL \
	}
#define FLAG(name, letter, option, text)                              \
	{                                                             \
		name, letter, POPT_ARG_NONE, NULL, option, text, NULL \
	}
#define VALUE(name, option, text, what)                               \
	{                                                             \
		name, '\0', POPT_ARG_STRING, NULL, option, text, what \
	}

static const struct poptOption common_table[] = {
	FLAG("human", 'u', OPT_HUMAN, "print for people, same as --format=human"),
	VALUE("format", OPT_FORMAT, "how to print the report; json is the default", "json|human"),
	FLAG("quiet", 'q', OPT_QUIET, "print no report, only problems, on stderr"),
	FLAG("verbose", 'v', OPT_VERBOSE, "tell more on stderr; twice for everything"),
	FLAG("help", 'h', OPT_HELP, "print this help"),
	{ "list-opts", '\0', POPT_ARG_NONE | POPT_ARGFLAG_DOC_HIDDEN, NULL, OPT_LIST_OPTS, NULL,
	  NULL },
	POPT_TABLEEND
};

static const struct poptOption badblocks_table[] = {
	VALUE("badblocks", OPT_BADBLOCKS,
	      "take the device's badblocks from \"sector count\" lines in FILE, - for standard input",
	      "FILE"),
	POPT_TABLEEND
};

static const struct poptOption lookup_table[] = {
	VALUE("threads", OPT_THREADS,
	      "how many threads look for owners; one for each processor is the default", "N"),
	VALUE("lookup", OPT_LOOKUP,
	      "auto, the default, asks the filesystem who owns what is bad; walk asks each of its files",
	      "auto|walk"),
	POPT_TABLEEND
};

static const struct poptOption read_table[] = {
	FLAG("read", '\0', OPT_READ,
	     "read what is asked for, for bad sectors that are in no list yet"),
	VALUE("read-rate", OPT_READ_RATE,
	      "read no more than so many bytes a second, as 100M; without it as fast as it gets",
	      "SIZE"),
	POPT_TABLEEND
};

static const struct poptOption scrub_table[] = {
	FLAG("scrub", '\0', OPT_SCRUB,
	     "first have the kernel look for poison that is in no list yet, and wait for it"),
	POPT_TABLEEND
};

static const struct poptOption flag_table[] = {
	VALUE("recovery-flag", OPT_RECOVERY_FLAG,
	      "the bit that means RWF_RECOVERY_DATA; auto, the default, asks the kernel",
	      "auto|never|BIT"),
	POPT_TABLEEND
};

static const struct poptOption locate_table[] = {
	VALUE("address", OPT_ADDRESS,
	      "a physical address in hexadecimal, as the kernel's log prints it, in place of DEVICE and OFFSET",
	      "PHYSICAL"),
	POPT_TABLEEND
};

static const struct poptOption salvage_table[] = {
	{ "output", 'o', POPT_ARG_STRING, NULL, OPT_OUTPUT, "the file to make", "OUT" },
	VALUE("mapfile", OPT_MAPFILE,
	      "keep a map of what was rescued, in GNU ddrescue's format, and resume from it",
	      "MAP"),
	VALUE("fill", OPT_FILL, "write this byte where bytes are lost; without it they are holes",
	      "BYTE"),
	FLAG("force", '\0', OPT_FORCE,
	     "replace an output that exists, and allow one on the damaged filesystem"),
	POPT_TABLEEND
};

static const struct poptOption health_table[] = {
	VALUE("acknowledge", OPT_ACKNOWLEDGE,
	      "no longer tell of what vanished or was zeroed: an ID as the report shows it, or a device",
	      "ID"),
	POPT_TABLEEND
};

static const struct poptOption repair_table[] = {
	VALUE("from-backup", OPT_FROM_BACKUP, "take what is lost from this file or directory",
	      "PATH"),
	VALUE("backup-root", OPT_BACKUP_ROOT, "the directory that the top of the backup stands for",
	      "DIR"),
	VALUE("verify-backup", OPT_VERIFY_BACKUP,
	      "how much of the readable file must agree with the backup; window is the default",
	      "window|full|none"),
	FLAG("force", '\0', OPT_FORCE,
	     "allow --verify-backup=none, and a salvaged copy that still lacks what is lost; with --resume, a journal of another host"),
	FLAG("zero-fill", '\0', OPT_ZERO_FILL, "write zeros over what is lost"),
	FLAG("accept-offlined", '\0', OPT_ACCEPT_OFFLINED,
	     "replace whole pages that a machine check took offline"),
	FLAG("trust-badblocks", '\0', OPT_TRUST_BADBLOCKS,
	     "write listed sectors even where they can be read; loop devices only"),
	VALUE("method", OPT_METHOD,
	      "how to write; auto, the default, is the best that works in place",
	      "auto|flag|write|punch|device"),
	FLAG("online", '\0', OPT_ONLINE, "repair files that are in use, too, by --method=device"),
	VALUE("ranges", OPT_RANGES,
	      "also repair what this earlier report says is lost and no list knows any more",
	      "REPORT"),
	VALUE("journal", OPT_JOURNAL,
	      "where to keep the journal; /var/lib/pmem-recover is the default", "DIR"),
	VALUE("keep", OPT_KEEP,
	      "remove journals of finished repairs after so many days; 90 is the default",
	      "DAYS|forever"),
	FLAG("resume", '\0', OPT_RESUME,
	     "finish interrupted repairs from their journals, which are then the arguments; without one, all"),
	FLAG("yes", 'y', OPT_YES, "do not ask"),
	FLAG("dry-run", 'n', OPT_DRY_RUN, "show what would be written, and write nothing"),
	POPT_TABLEEND
};

static const struct poptOption directory_table[] = {
	VALUE("journal", OPT_JOURNAL,
	      "the directory of the journals; /var/lib/pmem-recover is the default", "DIR"),
	POPT_TABLEEND
};

static const struct poptOption journal_table[] = {
	FLAG("all", '\0', OPT_ALL,
	     "also those of repairs that came to their end, or were set aside"),
	VALUE("export", OPT_EXPORT, "write the bytes that they hold to files in this directory",
	      "DIR"),
	FLAG("set-aside", '\0', OPT_SET_ASIDE,
	     "decide that they are not to be resumed; they are kept"),
	POPT_TABLEEND
};

const struct poptOption options_plain[] = { TABLE(common_table, "Options:"), POPT_TABLEEND };

const struct poptOption options_locate[] = {
	TABLE(locate_table, "Locate options:"), TABLE(badblocks_table, "Options:"),
	TABLE(lookup_table, NULL), TABLE(common_table, "Common options:"), POPT_TABLEEND
};

const struct poptOption options_salvage[] = { TABLE(salvage_table, "Salvage options:"),
					      TABLE(badblocks_table, "Options:"),
					      TABLE(read_table, NULL),
					      TABLE(flag_table, NULL),
					      TABLE(directory_table, NULL),
					      TABLE(common_table, "Common options:"),
					      POPT_TABLEEND };

const struct poptOption options_health[] = {
	TABLE(health_table, "Health options:"), TABLE(badblocks_table, "Options:"),
	TABLE(directory_table, NULL), TABLE(common_table, "Common options:"), POPT_TABLEEND
};

const struct poptOption options_journal[] = { TABLE(journal_table, "Journal options:"),
					      TABLE(directory_table, NULL),
					      TABLE(common_table, "Common options:"),
					      POPT_TABLEEND };

const struct poptOption options_scan[] = { TABLE(scrub_table, "Scan options:"),
					   TABLE(badblocks_table, "Options:"),
					   TABLE(read_table, NULL),
					   TABLE(lookup_table, NULL),
					   TABLE(directory_table, NULL),
					   TABLE(common_table, "Common options:"),
					   POPT_TABLEEND };

const struct poptOption options_badblocks[] = { TABLE(badblocks_table, "Options:"),
						TABLE(common_table, "Common options:"),
						POPT_TABLEEND };

const struct poptOption options_repair[] = { TABLE(repair_table, "Repair options:"),
					     TABLE(badblocks_table, "Options:"),
					     TABLE(read_table, NULL),
					     TABLE(lookup_table, NULL),
					     TABLE(flag_table, NULL),
					     TABLE(common_table, "Common options:"),
					     POPT_TABLEEND };

static int copy_args(struct options *options, const char **args)
{
	size_t n = 0;

	while (args && args[n])
		n++;
	options->args = calloc(n + 1, sizeof(*options->args));
	if (!options->args)
		return -ENOMEM;
	for (; options->n_args < n; options->n_args++) {
		options->args[options->n_args] = strdup(args[options->n_args]);
		if (!options->args[options->n_args])
			return -ENOMEM;
	}
	return 0;
}

/*
 * popt prints the word before the first argument as the program's name, and frees the arguments that are
 * left together with its context: hence the vector of our own and copy_args().
 */
static int open_popt(const char *name, const struct poptOption *table, int argc, char **argv,
		     const char ***vector, poptContext *popt)
{
	*vector = calloc((size_t)argc + 2, sizeof(**vector));
	if (!*vector)
		return -ENOMEM;
	(*vector)[0] = name;
	for (int i = 0; i < argc; i++)
		(*vector)[i + 1] = argv[i];
	*popt = poptGetContext(NULL, argc + 1, *vector, table, POPT_CONTEXT_NO_EXEC);
	return *popt ? 0 : -ENOMEM;
}

/* @typed: as popt has it: "--threed=4", "-x". @meant: the nearest option of the table, or untouched */
static void guess_option(const struct poptOption *table, const char *typed, size_t length,
			 size_t *slips, const char **meant)
{
	char word[32];

	if (length >= sizeof(word))
		return;
	snprintf(word, sizeof(word), "%.*s", (int)length, typed);
	for (; table->longName || table->shortName || table->arg; table++) {
		if ((table->argInfo & POPT_ARG_MASK) == POPT_ARG_INCLUDE_TABLE)
			guess_option(table->arg, typed, length, slips, meant);
		else if (!(table->argInfo & POPT_ARGFLAG_DOC_HIDDEN) && table->longName &&
			 text_is_slip(word, table->longName, slips))
			*meant = table->longName;
	}
}

static void complain(const char *name, const struct poptOption *table, const char *typed, int error)
{
	const char *meant = NULL;
	size_t slips = SIZE_MAX;
	char text[96];

	if (error == POPT_ERROR_BADOPT && !strncmp(typed, "--", 2))
		guess_option(table, typed + 2, strcspn(typed + 2, "="), &slips, &meant);
	if (meant)
		snprintf(text, sizeof(text), "%s (is it '--%s'?)", poptStrerror(error), meant);
	options_complain(name, typed, meant ? text : poptStrerror(error));
}

int options_parse(const char *name, const struct poptOption *table, int argc, char **argv,
		  struct options *options)
{
	const char **vector = NULL;
	poptContext popt = NULL;
	int option = 0;
	int rc;

	rc = open_popt(name, table, argc, argv, &vector, &popt);
	while (!rc && (option = poptGetNextOpt(popt)) > 0)
		rc = options_set(name, options, option, poptGetOptArg(popt));
	if (!rc && option < -1) {
		complain(name, table, poptBadOption(popt, 0), option);
		rc = -EINVAL;
	}
	if (!rc)
		rc = copy_args(options, poptGetArgs(popt));
	poptFreeContext(popt);
	free(vector);
	return rc;
}

void options_release(struct options *options)
{
	for (size_t i = 0; i < options->n_args; i++)
		free(options->args[i]);
	free(options->args);
	free(options->badblocks);
	free(options->from_backup);
	free(options->backup_root);
	free(options->journal);
	free(options->ranges);
	free(options->output);
	free(options->mapfile);
	free(options->acknowledge);
	free(options->export);
	*options = (struct options){ 0 };
}

int options_print_help(const char *name, const char *args, const struct poptOption *table,
		       FILE *out)
{
	const char **vector = NULL;
	poptContext popt = NULL;
	char *usage = NULL;
	int rc;

	rc = open_popt(name, table, 0, NULL, &vector, &popt);
	if (!rc && asprintf(&usage, "[OPTION...]%s%s", *args ? " " : "", args) < 0) {
		usage = NULL;
		rc = -ENOMEM;
	}
	if (!rc) {
		poptSetOtherOptionHelp(popt, usage);
		poptPrintHelp(popt, out, 0);
	}
	poptFreeContext(popt);
	free(vector);
	free(usage);
	return rc;
}

void options_print_list(const struct poptOption *table, FILE *out)
{
	for (; table->longName || table->shortName || table->arg; table++) {
		if ((table->argInfo & POPT_ARG_MASK) == POPT_ARG_INCLUDE_TABLE) {
			options_print_list(table->arg, out);
			continue;
		}
		if (table->argInfo & POPT_ARGFLAG_DOC_HIDDEN)
			continue;
		if (table->shortName)
			fprintf(out, "-%c\n", table->shortName);
		fprintf(out, "--%s%s%s\n", table->longName, table->argDescrip ? "=" : "",
			table->argDescrip ? table->argDescrip : "");
	}
}
