// SPDX-License-Identifier: GPL-2.0-or-later
/* What a command that fails, or finds little, says and writes: made-up commands and machines. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../cli/cli.h"

/* ---- commands: a run ends with stdout closed, so each is a process of its own */

static const volatile sig_atomic_t never;

/* Runs in a child; what it wrote to descriptor @fd comes to @text. Return: the exit status. */
static int run_command(int (*run)(struct cli *cli), int fd, char *text, size_t size)
{
	const struct command command = {
		.name = "health", .verb = VERB_HEALTH, .options = options_plain, .run = run
	};
	char *argv[] = { NULL };
	size_t used = 0;
	int ends[2];
	int status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* the other one is not looked at */
		if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr) ||
		    dup2(ends[1], fd) < 0)
			_exit(99);
		close(ends[0]);
		_exit(cli_run(&command, 0, argv, &never));
	}
	close(ends[1]);
	while (used < size - 1 && (n = read(ends[0], text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int fail_at_once(struct cli *cli)
{
	(void)cli;
	return -EXDEV;
}

static int fail_and_say(struct cli *cli)
{
	cli_say(cli, PMR_ERROR, "failed", "something", "is wrong");
	return -EXDEV;
}

/* What was said belongs to a step that succeeded all the same. */
static int say_and_fail_later(struct cli *cli)
{
	cli_say(cli, PMR_ERROR, "failed", "something", "is wrong");
	return cli_step(cli, 0) ? 0 : cli_step(cli, -EXDEV);
}

static int run_out_of_memory(struct cli *cli)
{
	cli_say(cli, PMR_ERROR, "failed", "something", "is wrong");
	return -ENOMEM;
}

static struct pmr_device untold = {
	.name = (char *)"pmem0",
	.path = (char *)"/dev/pmem0",
	.ns_name = (char *)"namespace0.0",
	.data_offset = 4096,
	.enabled = true,
	.badblocks = { .trust = PMR_LIST_COMPLETE },
};

static int look_at_untold(struct cli *cli)
{
	cli->report.only = &untold;
	return 0;
}

static void test_words(void **state)
{
	static const struct {
		const char *name;
		int (*run)(struct cli *cli);
		const char *said;
		const char *not_said;
	} rows[] = {
		{ "nothing was said", fail_at_once, "health: cannot go on: ", NULL },
		{ "said already", fail_and_say, "something: is wrong", "cannot go on" },
		{ "said of something else", say_and_fail_later, "health: cannot go on: ", NULL },
		{ "no memory", run_out_of_memory, "health: cannot go on: ", NULL },
		{ "untold metadata", look_at_untold, "/dev/pmem0: ", "cannot go on" },
	};
	char text[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int status = run_command(rows[i].run, STDERR_FILENO, text, sizeof(text));

		if (status != STATUS_UNKNOWN)
			fail_msg("%s: status %d", rows[i].name, status);
		if (!strstr(text, rows[i].said) ||
		    (rows[i].not_said && strstr(text, rows[i].not_said)))
			fail_msg("%s: said \"%s\"", rows[i].name, text);
	}
}

/* ---- documents */

typedef int (*writer)(const struct report *report, FILE *out);

static char *written(writer write, const struct report *report)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	assert_non_null(out);
	assert_int_equal(write(report, out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void expect(writer write, struct report *report, const char *wanted)
{
	char *text;

	report_finish(report);
	text = written(write, report);
	if (!strstr(text, wanted))
		fail_msg("%s: no \"%s\" in: %s", report_verb_name(report->verb), wanted, text);
	free(text);
}

static void test_no_devices(void **state)
{
	static const enum verb verbs[] = { VERB_LIST, VERB_HEALTH };

	(void)state;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		static char name[] = "region0";
		struct pmr_bus bus = { .scrubs = PMR_NO_COUNT };
		struct pmr_region region = { .name = name, .bus = &bus };
		struct pmr_region *regions[] = { &region, &region };
		struct pmr_topology topology = { .regions = regions };
		struct report report = { .verb = verbs[i], .topology = &topology };

		expect(report_write_human, &report, "No persistent memory.");
		topology.n_regions = 2;
		expect(report_write_human, &report, "No namespace on 2 regions");
	}
}

/* 0 is a number: nothing that could not be looked at has one. */
static void test_numbers_of_failures(void **state)
{
	static const enum verb verbs[] = { VERB_LIST, VERB_SCAN, VERB_MAP, VERB_REPAIR,
					   VERB_HEALTH };

	(void)state;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		struct pmr_device *devices[] = { &untold };
		struct pmr_topology topology = { .devices = devices, .n_devices = 1 };
		struct report report = { .verb = verbs[i], .failed = true };

		expect(report_write_json, &report, "\"badblocks\": null");
		expect(report_write_json, &report, "\"bad_bytes\": null");
		report.topology = &topology;
		expect(report_write_json, &report, "\"badblocks\": null");
		if (verbs[i] != VERB_LIST && verbs[i] != VERB_HEALTH)
			continue;
		report.failed = false;
		expect(report_write_json, &report, "\"badblocks\": 0");
	}
}

static void test_untold_metadata(void **state)
{
	struct pmr_device *devices[] = { &untold };
	struct pmr_topology topology = { .devices = devices, .n_devices = 1 };
	struct report report = { .verb = VERB_LIST, .topology = &topology };

	(void)state;
	expect(report_write_human, &report, "in its metadata: unknown");
	expect(report_write_human, &report, "not the whole answer");
}

static void test_recovery(void **state)
{
	static const struct {
		struct pmr_recovery recovery;
		const char *json;
		const char *human;
	} rows[] = {
		{ { PMR_CAPABILITY_UNKNOWN, 0, NULL },
		  "\"capability\": \"unknown\",\n    \"flag\": null,\n    \"evidence\": null",
		  "This kernel: it is not known how poison under a file can be overwritten (could not be asked)\n" },
		{ { PMR_CAPABILITY_NONE, 0, "release" },
		  "\"capability\": \"none\",\n    \"flag\": null,\n    \"evidence\": \"release\"",
		  "This kernel: poison under a DAX file cannot be overwritten in place (release)\n" },
		{ { PMR_CAPABILITY_WRITE, 0, "tried" },
		  "\"capability\": \"write\",\n    \"flag\": null,\n    \"evidence\": \"tried\"",
		  "This kernel: a plain write of whole pages overwrites poison under a DAX file (tried)\n" },
		{ { PMR_CAPABILITY_FLAG, 1u << 30, "flagged-read" },
		  "\"capability\": \"flag\",\n    \"flag\": 1073741824,\n    \"evidence\": \"flagged-read\"",
		  "This kernel: RWF_RECOVERY_DATA overwrites poison under a DAX file (bit 0x40000000, flagged-read)\n" },
	};
	struct pmr_device *devices[] = { &untold };
	struct pmr_topology topology = { .devices = devices, .n_devices = 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct report report = { .verb = VERB_LIST, .topology = &topology };

		report.recovery = &rows[i].recovery;
		expect(report_write_json, &report, rows[i].json);
		expect(report_write_human, &report, rows[i].human);
	}
}

/* What lost bytes of metadata were, and of a file without a name. */
static void test_owned(void **state)
{
	static char path[] = "/mnt/a", odd[] = "/mnt/\xff";
	static const struct {
		struct pmr_owned owned;
		const char *json;
		const char *human;
	} rows[] = {
		{ { .owner = PMR_OWNER_METADATA },
		  "\"owner\": \"metadata\"\n",
		  "512 B metadata\n" },
		{ { .owner = PMR_OWNER_METADATA, .inode = 12 },
		  "\"owner\": \"metadata\",\n            \"inode\": 12\n",
		  " metadata (inode 12)\n" },
		{ { .owner = PMR_OWNER_METADATA, .inode = 12, .path = path },
		  "\"inode\": 12,\n            \"path\": \"/mnt/a\"\n",
		  " metadata (/mnt/a)\n" },
		{ { .owner = PMR_OWNER_METADATA,
		    .part = PMR_PART_DIRECTORY,
		    .inode = 12,
		    .path = path },
		  "\"part\": \"directory\",\n            \"inode\": 12,\n            \"path\": \"/mnt/a\"\n",
		  " metadata (directory /mnt/a)\n" },
		{ { .owner = PMR_OWNER_METADATA, .part = PMR_PART_SYMLINK, .inode = 12 },
		  "\"part\": \"symlink\"",
		  " metadata (symbolic link inode 12)\n" },
		{ { .owner = PMR_OWNER_METADATA,
		    .part = PMR_PART_ATTRIBUTES,
		    .inode = 12,
		    .path = odd },
		  "\"path_base64\": \"L21udC//\"\n",
		  " metadata (attributes of /mnt/\\xff)\n" },
		{ { .owner = PMR_OWNER_METADATA, .part = PMR_PART_EXTENTS, .inode = 12 },
		  "\"part\": \"extents\"",
		  " metadata (extent map of inode 12)\n" },
		{ { .owner = PMR_OWNER_METADATA, .part = PMR_PART_INODE, .inode = 12 },
		  "\"part\": \"inode\"",
		  " metadata (inode 12)\n" },
		{ { .owner = PMR_OWNER_METADATA,
		    .part = PMR_PART_INODE,
		    .inode = 12,
		    .path = path },
		  "\"part\": \"inode\"",
		  " metadata (inode of /mnt/a)\n" },
		{ { .owner = PMR_OWNER_FILE, .inode = 12 },
		  "\"owner\": \"file\",\n            \"inode\": 12\n",
		  "no named file's data:\nDEVICE     DEVICE-OFFSET LENGTH OWNER\n"
		  "/dev/pmem0             0  512 B file (inode 12)\n" },
	};
	struct pmr_range range = { 0, 512 };
	struct pmr_device device = {
		.name = (char *)"pmem0",
		.path = (char *)"/dev/pmem0",
		.badblocks = { .trust = PMR_LIST_COMPLETE, .ranges = { &range, 1, 1 } },
	};
	struct pmr_device *devices[] = { &device };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pmr_owned owned = rows[i].owned;
		struct pmr_scan scan = { .owned = &owned,
					 .n_owned = 1,
					 .devices = devices,
					 .n_devices = 1,
					 .complete = true };
		struct pmr_topology topology = { 0 };
		struct report report = { .verb = VERB_SCAN, .topology = &topology };

		owned.device = &device;
		owned.range = range;
		report.scan = &scan;
		expect(report_write_json, &report, rows[i].json);
		expect(report_write_human, &report, rows[i].human);
	}
}

static void test_ways(void **state)
{
	static const struct {
		const char *type;
		enum pmr_way way;
		const char *json;
		const char *human;
	} rows[] = {
		{ "ext4", PMR_WAY_NONE, "\"size\": null\n", "" },
		{ "xfs", PMR_WAY_REVERSE_MAP, "\"lookup\": \"reverse-map\"\n",
		  "Looked up by: reverse map (/mnt)\n" },
		{ "ext4", PMR_WAY_REVERSE_MAP, "\"lookup\": \"reverse-map\"\n",
		  "Looked up by: map of blocks (/mnt)\n" },
		{ "ext4", PMR_WAY_INODE_TABLE, "\"lookup\": \"inode-table\"\n",
		  "Looked up by: inode table (/mnt)\n" },
		{ "xfs", PMR_WAY_WALK, "\"lookup\": \"walk\"\n",
		  "Looked up by: walk of all files (/mnt)\n" },
	};
	struct pmr_device device = { .name = (char *)"pmem0",
				     .badblocks = { .trust = PMR_LIST_COMPLETE } };
	struct pmr_filesystem filesystem = { .mountpoint = (char *)"/mnt", .device = &device };
	struct pmr_filesystem *filesystems[] = { &filesystem };
	struct pmr_topology topology = { .filesystems = filesystems, .n_filesystems = 1 };
	struct pmr_device *devices[] = { &device };
	struct pmr_scan scan = { .devices = devices, .n_devices = 1, .complete = true };
	struct pmr_place place = { .device = &device };
	struct pmr_location location = { .places = &place, .n_places = 1, .complete = true };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct report scanned = { .verb = VERB_SCAN, .topology = &topology };
		struct report located = { .verb = VERB_LOCATE, .topology = &topology };

		filesystem.type = (char *)(uintptr_t)rows[i].type;
		filesystem.way = rows[i].way;
		scanned.scan = &scan;
		located.location = &location;
		expect(report_write_json, &scanned, rows[i].json);
		expect(report_write_human, &scanned, rows[i].human);
		expect(report_write_json, &located, rows[i].json);
		expect(report_write_human, &located, rows[i].human);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_no_devices),
		cmocka_unit_test(test_numbers_of_failures),
		cmocka_unit_test(test_untold_metadata),
		cmocka_unit_test(test_recovery),
		cmocka_unit_test(test_owned),
		cmocka_unit_test(test_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
