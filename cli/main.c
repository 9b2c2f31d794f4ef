// SPDX-License-Identifier: GPL-2.0-or-later
/* Finds the verb in the real argv[1] and hands over; signals, help and version. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "text.h"

/* As many letters tell any two commands apart. */
#define ALIKE 3

static volatile sig_atomic_t cancelled;

static const struct command commands[] = {
	{
		.name = "list",
		.verb = VERB_LIST,
		.args = "",
		.summary = "devices, namespaces, filesystems and how many badblocks they have",
		.text = "Shows every nvdimm bus, region, DIMM and namespace, the filesystems on them, and their badblocks.\n",
		.options = options_plain,
		.max_args = 0,
		.run = cmd_list,
	},
	{
		.name = "scan",
		.verb = VERB_SCAN,
		.args = "[TARGET...]",
		.summary = "which bytes of which files are lost",
		.text = "A TARGET is a file, a directory, a mountpoint, a block device, a device-dax or a namespace;\n"
			"without one, every mounted filesystem and device-dax on persistent memory. Writes nothing to them.\n",
		.options = options_scan,
		.max_args = SIZE_MAX,
		.run = cmd_scan,
	},
	{
		.name = "map",
		.verb = VERB_MAP,
		.args = "FILE [OFFSET[+LENGTH]]",
		.summary = "where a file lies: device, namespace, region, physical address",
		.text = "OFFSET and LENGTH are bytes: decimal, or hexadecimal after 0x, with K, M, G or T\n"
			"for powers of 1024.\n",
		.options = options_badblocks,
		.min_args = 1,
		.max_args = 2,
		.run = cmd_map,
	},
	{
		.name = "locate",
		.verb = VERB_LOCATE,
		.args = "{DEVICE OFFSET[+LENGTH] | --address=PHYSICAL}",
		.summary =
			"which file owns a place on a device, or a physical address from the kernel's log",
		.text = "The other way round from map. OFFSET and LENGTH are bytes: decimal, or hexadecimal after 0x,\n"
			"with K, M, G or T for powers of 1024. A page's number, as in \"Memory failure: 0x40a28:\",\n"
			"is an address without its last three digits: append 000. Reads no media.\n",
		.options = options_locate,
		.max_args = 2,
		.run = cmd_locate,
	},
	{
		.name = "salvage",
		.verb = VERB_SALVAGE,
		.args = "FILE -o OUT",
		.summary = "copy every byte of a file that can still be read",
		.text = "OUT must lie on another disk. Holes stay holes, and what is lost becomes one, or the byte of --fill.\n"
			"FILE may also be a device-dax, which is copied whole.\n"
			"With --mapfile it goes on where it was stopped, and tries again what was lost. FILE is only read.\n",
		.options = options_salvage,
		.min_args = 1,
		.max_args = 1,
		.run = cmd_salvage,
	},
	{
		.name = "repair",
		.verb = VERB_REPAIR,
		.args = "[TARGET...]",
		.summary = "write what is lost from a backup, and prove it",
		.text = "Needs --from-backup or --zero-fill, and a TARGET unless there is --ranges. Shows what it is about\n"
			"to write and asks; --yes answers, --dry-run writes nothing. Only what was read back equal counts\n"
			"as repaired. With --resume, [JOURNAL...] in place of targets, it finishes interrupted repairs.\n",
		.options = options_repair,
		.max_args = SIZE_MAX,
		.writes = true,
		.run = cmd_repair,
	},
	{
		.name = "health",
		.verb = VERB_HEALTH,
		.args = "",
		.summary =
			"how many badblocks there are, in constant time, for cron and monitoring",
		.text = "Reads the lists alone and remembers them, to tell of records that vanish. With --quiet it is\n"
			"silent when all is well. A list given by --badblocks has to name its device.\n",
		.options = options_health,
		.max_args = 0,
		.run = cmd_health,
	},
	{
		.name = "journal",
		.verb = VERB_JOURNAL,
		.args = "[JOURNAL...]",
		.summary = "repairs that were interrupted, and the bytes that they were to write",
		.text = "A JOURNAL is a path, or a name in the directory. An interrupted repair is finished with\n"
			"'pmem-recover repair --resume'. A journal that is set aside is not resumed and not told of any\n"
			"more; its bytes are kept, and can be exported.\n",
		.options = options_journal,
		.max_args = SIZE_MAX,
		.run = cmd_journal,
	},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	}
	return NULL;
}

/* What was meant by a name that no command has, or NULL: the nearest, or else what begins alike. */
static const char *guess_command(const char *name)
{
	const char *meant = NULL;
	size_t slips = SIZE_MAX;

	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (text_is_slip(name, commands[i].name, &slips))
			meant = commands[i].name;
	}
	if (text_is_slip(name, "help", &slips))
		meant = "help";
	for (size_t i = 0; i < N_COMMANDS && !meant; i++) {
		if (!strncmp(commands[i].name, name, ALIKE))
			meant = commands[i].name;
	}
	return meant || strcmp(name, "version") != 0 ? meant : "--version";
}

static void print_help(FILE *out)
{
	fputs("Usage: pmem-recover COMMAND [OPTION...] [ARGUMENT...]\n"
	      "       pmem-recover help [COMMAND]\n"
	      "       pmem-recover --version\n"
	      "\n"
	      "Finds which bytes of which files poisoned persistent memory took, and repairs them.\n"
	      "\n"
	      "Commands:\n",
	      out);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\n"
	      "Exit status, added up:\n"
	      "  0   nothing is lost in what was asked for\n"
	      "  1   there were losses, and every one was repaired from a backup\n"
	      "  4   file data or metadata is lost, or still lost\n"
	      "  8   the work could not be done, or the answer not be known\n"
	      "  16  wrong usage\n"
	      "\n"
	      "The manual: man pmem-recover; what to do tonight: man 7 pmem-recover\n",
	      out);
}

static int usage_error(const char *object, const char *text)
{
	fputs("pmem-recover: ", stderr);
	text_print_safe(stderr, object);
	fprintf(stderr, ": %s, see 'pmem-recover help'\n", text);
	return STATUS_USAGE;
}

static int command_error(const char *name)
{
	const char *meant = guess_command(name);
	char text[64];

	if (!meant)
		return usage_error(name, "no such command");
	snprintf(text, sizeof(text), "no such command (is it '%s'?)", meant);
	return usage_error(name, text);
}

static int run_help(int argc, char **argv)
{
	static char option[] = "--help";
	char *help[] = { option, NULL };
	const struct command *command;

	if (argc > 1)
		return usage_error(argv[1], "help takes one command");
	if (argc == 1) {
		command = find_command(argv[0]);
		if (!command)
			return command_error(argv[0]);
		return cli_run(command, 1, help, &cancelled);
	}
	print_help(stdout);
	return cli_close_output();
}

static int run_list_cmds(void)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		puts(commands[i].name);
	return cli_close_output();
}

static int run_version(int argc, char **argv)
{
	if (argc)
		return usage_error(argv[0], "--version takes no argument");
	printf("pmem-recover %s\n", pmr_version());
	return cli_close_output();
}

/*
 * A program that starts without descriptors 0 to 2 would be given one of them for the next file it opens,
 * and print its report into a device. What is missing becomes /dev/null in the direction that fails.
 */
static int hold_standard_files(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* not O_CLOEXEC: it stands in for a descriptor that is inherited */
		/* cppcheck-suppress leakReturnValNotUsed; it is @fd, and stays open */
		if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
			return -EBADF;
	}
	return 0;
}

static void on_signal(int signal)
{
	(void)signal;
	/* what an interrupt of reading does not stop, the next one does */
	if (cancelled < SIG_ATOMIC_MAX)
		cancelled++;
}

/*
 * The first signal asks for an end. The second kills, but never a command that writes: it comes to its next safe point
 * by itself. What the caller ignores stays ignored. A reader that goes away is an error of standard output like a full
 * disk, and so is the limit on the size of files (ulimit -f) one of what is written.
 */
static int catch_signals(const struct command *command)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction old;

	if (!command || !command->writes)
		action.sa_flags = (int)SA_RESETHAND;
	if (sigaction(SIGPIPE, &ignore, NULL) || sigaction(SIGXFSZ, &ignore, NULL))
		return -errno;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		if (sigaction(signals[i], NULL, &old))
			return -errno;
		if (old.sa_handler != SIG_IGN && sigaction(signals[i], &action, NULL))
			return -errno;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct command *command = argc < 2 ? NULL : find_command(argv[1]);

	if (hold_standard_files() || catch_signals(command))
		return STATUS_UNKNOWN;
	setlocale(LC_CTYPE, "");
	/* a message is one write, so that those of others do not get into it */
	setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	if (argc < 2) {
		print_help(stderr);
		return STATUS_USAGE;
	}
	if (command)
		return cli_run(command, argc - 2, argv + 2, &cancelled);
	if (!strcmp(argv[1], "help"))
		return run_help(argc - 2, argv + 2);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return run_help(argc - 2, argv + 2);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return run_version(argc - 2, argv + 2);
	if (!strcmp(argv[1], "--list-cmds"))
		return run_list_cmds();
	if (argv[1][0] == '-')
		return usage_error(
			argv[1], "no such option here (those of a command stand behind its name)");
	return command_error(argv[1]);
}
