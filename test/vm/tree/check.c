// SPDX-License-Identifier: GPL-2.0-or-later
/* check.c: is a report exactly the expectation? */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

#include "tree.h"

#define XFS_SUPER_MAGIC 0x58465342

/* A piece of the expectation, lost or quiet, in the order of the report's. */
struct wanted {
	uint32_t file;
	uint64_t offset;
	uint32_t length;
	uint64_t device_offset;
	const struct lost *lost;
	const struct quiet *quiet;
};

static int compare_wanted(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

static struct wanted *list_wanted(const struct expect *expect, size_t *n)
{
	struct wanted *wanted = must_alloc(expect->n_lost + expect->n_quiet, sizeof(*wanted)),
		      *w = wanted;
	size_t i;

	for (i = 0; i < expect->n_lost; i++) {
		const struct lost *lost = &expect->lost[i];

		*w++ = (struct wanted){ lost->file,   lost->offset,
					lost->length, lost->sector * SECTOR,
					lost,	      NULL };
	}
	for (i = 0; i < expect->n_quiet; i++) {
		const struct quiet *quiet = &expect->quiet[i];

		*w++ = (struct wanted){
			quiet->file,   quiet->offset,
			quiet->length, quiet->sector * SECTOR + quiet->offset % SECTOR,
			NULL,	       quiet
		};
	}
	*n = (size_t)(w - wanted);
	qsort(wanted, *n, sizeof(*wanted), compare_wanted);
	return wanted;
}

/* What a scan must say of a piece, or, with an outcome, what a repair made of it. */
static const char *state_of(const struct wanted *wanted, const struct outcome *outcome)
{
	if (wanted->lost && !outcome)
		return "lost";
	if (wanted->lost)
		return wanted->lost->shared ? "skipped" : outcome->state;
	if (!wanted->quiet->past_eof)
		return "unwritten";
	if (!wanted->quiet->tail || !outcome)
		return "past_eof";
	/* Nobody misses it, but while it is bad the last page cannot be read. */
	return wanted->quiet->shared ? "skipped" : outcome->state;
}

static const char *reason_of(const struct wanted *wanted, const struct outcome *outcome)
{
	bool shared = wanted->lost ? wanted->lost->shared : wanted->quiet->shared;

	return shared ? "shared" : outcome->reason;
}

/* XFS of Linux 6.1 writes the page back before it cuts the file, and does not cut it where that fails. */
static bool is_cut_late(const struct expect *expect)
{
	struct utsname system;
	struct statfs fs;

	if (uname(&system) || statfs(expect->mount, &fs))
		die("%s: %s", expect->mount, strerror(errno));
	return fs.f_type == XFS_SUPER_MAGIC && strncmp(system.release, "6.1.", 4) == 0;
}

bool expect_grown(const struct expect *expect, uint32_t file)
{
	uint64_t size = expect->files[file].size;
	size_t i;

	if (!is_cut_late(expect))
		return false;
	for (i = 0; size % BLOCK && i < expect->n_lost; i++) {
		if (expect->lost[i].file == file && expect->lost[i].offset / BLOCK == size / BLOCK)
			return true;
	}
	for (i = 0; size % BLOCK && i < expect->n_quiet; i++) {
		if (expect->quiet[i].file == file && expect->quiet[i].tail)
			return true;
	}
	return false;
}

/*
 * A last page that is partly filled is written whole. Where it cannot be written, and the kernel does not cut the file back to
 * its size, that is said of what was written with it.
 */
static bool is_reason(const struct expect *expect, const struct wanted *wanted,
		      const struct outcome *outcome, const char *reason)
{
	bool last = wanted->offset / BLOCK == expect->files[wanted->file].size / BLOCK;

	if (strcmp(outcome->reason, "read-back-error") == 0 && expect_grown(expect, wanted->file)) {
		if (strcmp(reason, "size") == 0)
			return true;
		if (last)
			return false;
	}
	return strcmp(reason, reason_of(wanted, outcome)) == 0;
}

static void compare_one(const struct expect *expect, const struct wanted *wanted,
			const struct told *told, const struct outcome *outcome,
			unsigned int *faults)
{
	const struct file *file = &expect->files[wanted->file];
	const char *state = state_of(wanted, outcome);
	bool repaired = strcmp(state, "repaired") == 0;
	bool left = strcmp(state, "skipped") == 0 || strcmp(state, "failed") == 0;

	if (told->length != wanted->length || told->device_offset != wanted->device_offset)
		fault(faults,
		      "%s: at %lu the report has %u bytes at %lu of the device, not %u at %lu",
		      file->path, wanted->offset, told->length, told->device_offset, wanted->length,
		      wanted->device_offset);
	if (strcmp(told->state, state) != 0)
		fault(faults, "%s: at %lu the report says \"%s\" \"%s\", not \"%s\"", file->path,
		      wanted->offset, told->state, told->reason, state);
	else if (left && !is_reason(expect, wanted, outcome, told->reason))
		fault(faults, "%s: at %lu %s because of \"%s\", not \"%s\"", file->path,
		      wanted->offset, state, told->reason, reason_of(wanted, outcome));
	else if (repaired && wanted->lost && strcmp(told->source, "backup") != 0)
		fault(faults, "%s: at %lu repaired from \"%s\"", file->path, wanted->offset,
		      told->source);
	else if (repaired && strcmp(told->method, outcome->method) != 0)
		fault(faults, "%s: at %lu repaired by \"%s\", not \"%s\"", file->path,
		      wanted->offset, told->method, outcome->method);
}

/* Both lists are sorted: walk them side by side. */
void compare_ranges(const struct expect *expect, const struct report *report,
		    const struct outcome *outcome, unsigned int *faults)
{
	size_t n_wanted, w = 0, t = 0;
	struct wanted *wanted = list_wanted(expect, &n_wanted);

	while (w < n_wanted || t < report->n_told) {
		const struct told *told = &report->told[t];
		int order = w == n_wanted ? 1 : t == report->n_told ? -1 : 0;

		if (!order)
			order = compare_wanted(
				&wanted[w],
				&(struct wanted){ told->file, told->offset, 0, 0, NULL, NULL });
		if (!order) {
			compare_one(expect, &wanted[w++], told, outcome, faults);
			t++;
		} else if (order < 0) {
			fault(faults, "%s: nothing is said of %lu+%u (%s, sector %lu)",
			      expect->files[wanted[w].file].path, wanted[w].offset,
			      wanted[w].length, state_of(&wanted[w], outcome),
			      wanted[w].device_offset / SECTOR);
			w++;
		} else {
			fault(faults, "%s: %lu+%u is said to be %s, and is not",
			      expect->files[told->file].path, told->offset, told->length,
			      told->state);
			t++;
		}
	}
	free(wanted);
}

static const char *owner_of(const struct expect *expect, uint64_t sector)
{
	const char *aside = aside_owner(expect, sector);
	size_t i;

	if (aside)
		return aside;
	if (bsearch(&sector, expect->free, expect->n_free, sizeof(sector), compare_u64))
		return "free";
	for (i = 0; i < expect->n_lost; i++) {
		if (expect->lost[i].sector == sector)
			return "file";
	}
	return "unwritten";
}

/* The report's list of the device: every sector that was poisoned, once, with its owner. */
static void compare_owners(const struct expect *expect, const struct report *report,
			   unsigned int *faults)
{
	const char *owner;
	size_t i;

	for (i = 0; i < expect->n_bad && i < report->n_owners; i++) {
		if (report->owners[i].sector != expect->bad[i]) {
			fault(faults, "bad sector %zu is %lu, not %lu", i, report->owners[i].sector,
			      expect->bad[i]);
			return;
		}
		owner = owner_of(expect, expect->bad[i]);
		if (strcmp(report->owners[i].owner, owner) != 0)
			fault(faults, "sector %lu belongs to \"%s\", not \"%s\"", expect->bad[i],
			      owner, report->owners[i].owner);
	}
	if (expect->n_bad != report->n_owners)
		fault(faults, "%zu bad sectors are told of, not %zu", report->n_owners,
		      expect->n_bad);
}

/* What lies behind the end of a file is nobody's data and does not count, though it is written with its page. */
void sum_lost(const struct expect *expect, uint64_t *lost, uint64_t *shared)
{
	size_t i;

	*lost = *shared = 0;
	for (i = 0; i < expect->n_lost; i++)
		*(expect->lost[i].shared ? shared : lost) += expect->lost[i].length;
}

void compare_sums(const struct report *report, int status, uint64_t lost, uint64_t repaired,
		  unsigned int *faults)
{
	if (report->exit_status != status || !report->complete)
		fault(faults, "exit_status %d, complete %d: not %d and 1", report->exit_status,
		      report->complete, status);
	if (report->lost_bytes != lost || report->repaired_bytes != repaired)
		fault(faults, "the summary says %lu bytes lost and %lu repaired: not %lu and %lu",
		      report->lost_bytes, report->repaired_bytes, lost, repaired);
}

void compare_recovery(const struct report *report, const char *capability, unsigned int *faults)
{
	if (strcmp(report->capability, capability) != 0)
		fault(faults, "the kernel's capability is said to be \"%s\", not \"%s\"",
		      report->capability, capability);
	if (!*report->evidence || !report->flag != (strcmp(capability, "flag") != 0))
		fault(faults, "recovery: flag %u, evidence \"%s\"", report->flag, report->evidence);
}

int verb_check_scan(int argc, char **argv)
{
	uint64_t lost, shared;
	struct expect expect;
	struct report report;
	unsigned int faults;

	(void)argc;
	expect_read(&expect, argv[0]);
	faults = report_read(&report, argv[1], &expect, true);
	sum_lost(&expect, &lost, &shared);
	lost += shared;
	if (report.json) {
		compare_ranges(&expect, &report, NULL, &faults);
		compare_owners(&expect, &report, &faults);
		compare_sums(&report, lost || expect.n_aside ? 4 : 0, lost, 0, &faults);
		if (getenv("TREE_MAP"))
			compare_lower(&report, getenv("TREE_MAP"), &faults);
		report_release(&report);
	}
	printf("scan: bad=%zu lost=%zu lost_bytes=%lu quiet=%zu free=%zu faults=%u\n", expect.n_bad,
	       expect.n_lost, lost, expect.n_quiet, expect.n_free, faults);
	return faults ? 1 : 0;
}

int verb_check_outcome(int argc, char **argv)
{
	bool repaired = strcmp(argv[2], "repaired") == 0;
	const struct outcome outcome = { argv[2], repaired ? "" : argv[3], argv[3] };
	uint64_t lost, shared, left;
	struct expect expect;
	struct report report;
	unsigned int faults;

	(void)argc;
	expect_read(&expect, argv[0]);
	faults = report_read(&report, argv[1], &expect, true);
	sum_lost(&expect, &lost, &shared);
	left = repaired ? shared : lost + shared;
	if (report.json) {
		compare_ranges(&expect, &report, &outcome, &faults);
		compare_sums(&report, left ? 4 : 1, left, repaired ? lost : 0, &faults);
		report_release(&report);
	}
	printf("repair: %s=%s lost_bytes=%lu left_bytes=%lu faults=%u\n", argv[2], argv[3],
	       lost + shared, left, faults);
	return faults ? 1 : 0;
}
