// SPDX-License-Identifier: GPL-2.0-or-later
/* When a repair goes on for another round, and which journals that one may remove. Lists and rounds are made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define pmr_device_refresh fake_refresh
#define pmr_device_was_full fake_was_full
#define pmr_is_cancelled fake_is_cancelled
#define pmr_plan_new fake_plan_new
#define pmr_repair_join fake_join
#define pmr_repair_run fake_run
#define pmr_scan_new fake_scan_new
#include "../../cli/rounds.c"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define ROUNDS 3 /* each but the last brings something to light */

/* What becomes of one round: its two losses, and its journal. */
struct course {
	enum pmr_state states[2];
	const char *journal;
};

static const struct course *course;
static unsigned int runs, keeps[ROUNDS];
static char said[64];
static struct pmr_device device;
static struct pmr_loss losses[ROUNDS * 2];
static struct pmr_file file, later_file;
static struct pmr_file *files[] = { &file }, *later_files[] = { &later_file };
static struct pmr_device *devices[] = { &device };
static struct pmr_scan scan, later_scan;
static struct pmr_plan plan, later_plan;

int cli_step(struct cli *cli, int rc)
{
	(void)cli;
	return rc;
}

void cli_note(struct cli *cli, const char *code, const char *object, const char *format, ...)
{
	(void)cli, (void)code, (void)object, (void)format;
}

void cli_say(struct cli *cli, enum pmr_level level, const char *code, const char *object,
	     const char *format, ...)
{
	(void)cli, (void)level, (void)format;
	snprintf(said, sizeof(said), "%s %s", code, object);
}

char *cli_journal_option(const struct cli *cli)
{
	(void)cli;
	return NULL;
}

void progress_erase(struct progress *progress)
{
	(void)progress;
}

void report_write_plan(const struct pmr_plan *of, FILE *out)
{
	(void)of, (void)out;
}

bool fake_was_full(const struct pmr_device *of)
{
	(void)of;
	return true;
}

bool fake_is_cancelled(const struct pmr_ctx *ctx)
{
	(void)ctx;
	return false;
}

int fake_refresh(struct pmr_ctx *ctx, struct pmr_device *of)
{
	(void)ctx;
	return runs < ROUNDS ? pmr_ranges_add(&of->badblocks.ranges, runs * 8192, 512) : 0;
}

int fake_scan_new(struct pmr_ctx *ctx, struct pmr_topology *topology, const char *const *targets,
		  size_t n_targets, const struct pmr_badblocks_file *badblocks,
		  const char *badblocks_path, struct pmr_scan **new)
{
	(void)ctx, (void)topology, (void)targets, (void)n_targets, (void)badblocks,
		(void)badblocks_path;
	*new = &later_scan;
	return 0;
}

int fake_plan_new(struct pmr_ctx *ctx, struct pmr_scan *of, const char *const *targets,
		  size_t n_targets, const struct pmr_repair_options *options, struct pmr_plan **new)
{
	(void)ctx, (void)of, (void)targets, (void)n_targets, (void)options;
	*new = &later_plan;
	return 0;
}

int fake_run(struct pmr_ctx *ctx, struct pmr_plan *of, const struct pmr_repair_options *options)
{
	(void)ctx;
	for (size_t i = 0; i < 2; i++)
		losses[runs * 2 + i].state = course[runs].states[i];
	of->journal = (char *)course[runs].journal;
	keeps[runs++] = options->keep_days;
	return 0;
}

/* All that was lost in a round is another's by the next. */
int fake_join(struct pmr_scan *to, struct pmr_plan *to_plan, struct pmr_scan *later,
	      struct pmr_plan *later_of)
{
	(void)to, (void)later, (void)later_of;
	file.n_losses = runs * 2;
	later_file.losses = losses + file.n_losses;
	to_plan->journal = later_plan.journal;
	return 0;
}

static void test_rounds(void **state)
{
	static const struct {
		const char *what;
		struct course course[ROUNDS];
		unsigned int runs, keeps[ROUNDS];
		const char *said;
	} rows[] = {
		{ "all is repaired",
		  { { { PMR_REPAIRED, PMR_REPAIRED }, NULL },
		    { { PMR_REPAIRED, PMR_ZEROED }, NULL },
		    { { PMR_REPAIRED, PMR_REPAIRED }, NULL } },
		  3,
		  { 0, 0, 0 },
		  "" },
		{ "nothing is repaired",
		  { { { PMR_SKIPPED, PMR_FAILED }, "a.done" } },
		  1,
		  { 0 },
		  "" },
		{ "its journal stays",
		  { { { PMR_REPAIRED, PMR_FAILED }, "/j.x/a.journal" } },
		  1,
		  { 0 },
		  "repair-rounds /j.x/a.journal" },
		{ "that of the second stays",
		  { { { PMR_REPAIRED, PMR_REPAIRED }, NULL },
		    { { PMR_REPAIRED, PMR_FAILED }, "b.journal" } },
		  2,
		  { 0, 0 },
		  "repair-rounds b.journal" },
		/* and no later one may remove that of the first */
		{ "one failed",
		  { { { PMR_REPAIRED, PMR_FAILED }, "a.done" },
		    { { PMR_REPAIRED, PMR_REPAIRED }, "b.done" },
		    { { PMR_REPAIRED, PMR_REPAIRED }, "c.done" } },
		  3,
		  { 0, PMR_KEEP_FOREVER, PMR_KEEP_FOREVER },
		  "" },
	};
	const struct pmr_repair_options repair = { .keep_days = 0 };

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct cli cli = { .options.quiet = true, .options.yes = true };

		course = rows[i].course;
		runs = 0;
		*said = '\0';
		plan.journal = later_plan.journal = NULL;
		file = (struct pmr_file){ .losses = losses, .n_losses = 2 };
		later_file = (struct pmr_file){ .losses = losses + 2, .n_losses = 2 };
		scan = (struct pmr_scan){ .files = files, .n_files = 1 };
		later_scan = (struct pmr_scan){ .files = later_files, .n_files = 1 };
		scan.devices = later_scan.devices = devices;
		scan.n_devices = later_scan.n_devices = 1;
		cli.report.scan = &scan;
		cli.report.plan = &plan;
		pmr_ranges_release(&device.badblocks.ranges);
		assert_int_equal(cli_repair(&cli, &repair), 0);
		if (runs != rows[i].runs || strcmp(said, rows[i].said))
			fail_msg("%s: %u rounds, said: %s", rows[i].what, runs, said);
		for (unsigned int n = 0; n < runs; n++)
			if (keeps[n] != rows[i].keeps[n])
				fail_msg("%s: round %u keeps %u days", rows[i].what, n + 1,
					 keeps[n]);
		/* what came to light and was not looked at is no success */
		assert_int_equal(cli.report.failed, *said != '\0');
	}
	pmr_ranges_release(&device.badblocks.ranges);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
