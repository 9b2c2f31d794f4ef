// SPDX-License-Identifier: GPL-2.0-or-later
/* check.c: is the scan's report exactly the expectation, and did the repair leave exactly what it had to leave? */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tree.h"

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

/* What a scan must say of a piece, or a repair made of it. */
static const char *state_of(const struct wanted *wanted, bool repaired)
{
	if (wanted->lost && !repaired)
		return "lost";
	if (wanted->lost)
		return wanted->lost->shared ? "skipped" : "repaired";
	if (!wanted->quiet->past_eof)
		return "unwritten";
	if (!wanted->quiet->tail || !repaired)
		return "past_eof";
	/* Nobody misses it, but while it is bad the last page cannot be read. */
	return wanted->quiet->shared ? "skipped" : "repaired";
}

static void compare_one(const struct expect *expect, const struct wanted *wanted,
			const struct told *told, bool repaired, unsigned int *faults)
{
	const struct file *file = &expect->files[wanted->file];
	const char *state = state_of(wanted, repaired);

	if (told->length != wanted->length || told->device_offset != wanted->device_offset)
		fault(faults,
		      "%s: at %lu the report has %u bytes at %lu of the device, not %u at %lu",
		      file->path, wanted->offset, told->length, told->device_offset, wanted->length,
		      wanted->device_offset);
	if (strcmp(told->state, state) != 0)
		fault(faults, "%s: at %lu the report says \"%s\" \"%s\", not \"%s\"", file->path,
		      wanted->offset, told->state, told->reason, state);
	else if (strcmp(state, "skipped") == 0 && strcmp(told->reason, "shared") != 0)
		fault(faults, "%s: at %lu skipped because of \"%s\", not \"shared\"", file->path,
		      wanted->offset, told->reason);
	else if (strcmp(state, "repaired") == 0 && wanted->lost &&
		 strcmp(told->source, "backup") != 0)
		fault(faults, "%s: at %lu repaired from \"%s\"", file->path, wanted->offset,
		      told->source);
}

/* Both lists are sorted: walk them side by side. */
static void compare_ranges(const struct expect *expect, const struct report *report, bool repaired,
			   unsigned int *faults)
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
			compare_one(expect, &wanted[w++], told, repaired, faults);
			t++;
		} else if (order < 0) {
			fault(faults, "%s: nothing is said of %lu+%u (%s, sector %lu)",
			      expect->files[wanted[w].file].path, wanted[w].offset,
			      wanted[w].length, state_of(&wanted[w], repaired),
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
	size_t i;

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
static void sum(const struct expect *expect, uint64_t *lost, uint64_t *shared)
{
	size_t i;

	*lost = *shared = 0;
	for (i = 0; i < expect->n_lost; i++)
		*(expect->lost[i].shared ? shared : lost) += expect->lost[i].length;
}

static void compare_sums(const struct report *report, int status, uint64_t lost, uint64_t repaired,
			 unsigned int *faults)
{
	if (report->exit_status != status || !report->complete)
		fault(faults, "exit_status %d, complete %d: not %d and 1", report->exit_status,
		      report->complete, status);
	if (report->lost_bytes != lost || report->repaired_bytes != repaired)
		fault(faults, "the summary says %lu bytes lost and %lu repaired: not %lu and %lu",
		      report->lost_bytes, report->repaired_bytes, lost, repaired);
}

int verb_check_scan(int argc, char **argv)
{
	uint64_t lost = 0;
	struct expect expect;
	struct report report;
	unsigned int faults;
	size_t i;

	(void)argc;
	expect_read(&expect, argv[0]);
	faults = report_read(&report, argv[1], &expect);
	if (report.json) {
		for (i = 0; i < expect.n_lost; i++)
			lost += expect.lost[i].length;
		compare_ranges(&expect, &report, false, &faults);
		compare_owners(&expect, &report, &faults);
		compare_sums(&report, lost ? 4 : 0, lost, 0, &faults);
		report_release(&report);
	}
	printf("scan: bad=%zu lost=%zu lost_bytes=%lu quiet=%zu free=%zu faults=%u\n", expect.n_bad,
	       expect.n_lost, lost, expect.n_quiet, expect.n_free, faults);
	return faults ? 1 : 0;
}

/* ---- after a repair */

struct left {
	uint64_t *sectors; /* that must still be bad; sorted */
	size_t n;
};

static bool is_in(uint64_t sector, const uint64_t *sectors, size_t n)
{
	return n && bsearch(&sector, sectors, n, sizeof(sector), compare_u64);
}

static void list_left(const struct expect *expect, struct left *left)
{
	size_t i;

	left->sectors = must_alloc(expect->n_bad, sizeof(uint64_t));
	for (i = 0; i < expect->n_bad; i++) {
		uint64_t sector = expect->bad[i];
		bool stays = true;
		size_t j;

		for (j = 0; j < expect->n_lost && stays; j++)
			stays = expect->lost[j].sector != sector || expect->lost[j].shared;
		for (j = 0; j < expect->n_quiet && stays; j++)
			stays = expect->quiet[j].sector != sector || !expect->quiet[j].tail ||
				expect->quiet[j].shared;
		if (stays)
			left->sectors[left->n++] = sector;
	}
}

/* The kernel's list now: what had to stay, and nothing else. */
static void check_list(const struct expect *expect, const struct left *left, unsigned int *faults)
{
	size_t n, i;
	uint64_t *sectors = listed_sectors(expect->device, &n);

	for (i = 0; i < n; i++) {
		if (!is_in(sectors[i], left->sectors, left->n))
			fault(faults, "sector %lu is still on the list", sectors[i]);
	}
	if (n != left->n)
		fault(faults, "%zu sectors are on the list, not %zu", n, left->n);
	free(sectors);
}

/* Whether a page of a file holds a sector that was left bad. */
static bool is_page_left(const struct expect *expect, uint32_t file, uint64_t page)
{
	size_t i;

	for (i = 0; i < expect->n_lost; i++) {
		if (expect->lost[i].file == file && expect->lost[i].shared &&
		    expect->lost[i].offset / BLOCK == page)
			return true;
	}
	for (i = 0; i < expect->n_quiet; i++) {
		if (expect->quiet[i].file == file && expect->quiet[i].tail &&
		    expect->quiet[i].shared && expect->quiet[i].offset / BLOCK == page)
			return true;
	}
	return false;
}

static void check_pages(const struct expect *expect, uint32_t index, int fd, int backup,
			unsigned int *faults)
{
	const struct file *file = &expect->files[index];
	unsigned char *ours = must_alloc(2, BLOCK), *theirs = ours + BLOCK;
	uint64_t at;
	ssize_t n;

	for (at = 0; at < file->size; at += BLOCK) {
		size_t length = file->size - at < BLOCK ? file->size - at : BLOCK;

		n = pread(fd, ours, length, (off_t)at);
		if (is_page_left(expect, index, at / BLOCK)) {
			if (n >= 0)
				fault(faults, "%s: the page at %lu was left, and yet can be read",
				      file->path, at);
			continue;
		}
		if (n < 0 || (size_t)n != length) {
			fault(faults, "%s: cannot read at %lu: %s", file->path, at,
			      n < 0 ? strerror(errno) : "short");
			continue;
		}
		must_pread(backup, file->path, theirs, length, at);
		if (memcmp(ours, theirs, length) != 0)
			fault(faults, "%s: differs from the backup at %lu", file->path, at);
	}
	free(ours);
}

static void check_attributes(const struct file *file, const char *path, int fd,
			     unsigned int *faults)
{
	unsigned char capability[64];
	char text[sizeof(capability) * 2 + 1] = "";
	struct stat st;
	ssize_t n, i;

	if (fstat(fd, &st))
		die("%s: %s", path, strerror(errno));
	if ((uint64_t)st.st_size != file->size || (st.st_mode & 07777) != file->mode ||
	    st.st_uid != file->uid)
		fault(faults, "%s: size %ld mode %o owner %u: not %lu %o %u", file->path,
		      st.st_size, st.st_mode & 07777, st.st_uid, file->size, file->mode, file->uid);
	if (st.st_ino != file->inode || st.st_nlink != file->n_links + 1)
		fault(faults, "%s: another file, or other links", file->path);
	n = fgetxattr(fd, "security.capability", capability, sizeof(capability));
	for (i = 0; i < n; i++)
		sprintf(text + 2 * i, "%02x", capability[i]);
	if (strcmp(text, file->capability ? file->capability : "") != 0)
		fault(faults, "%s: security.capability is \"%s\", not \"%s\"", file->path, text,
		      file->capability ? file->capability : "");
}

static void check_file(const struct expect *expect, uint32_t index, const char *backup_root,
		       unsigned int *faults)
{
	const struct file *file = &expect->files[index];
	char *path = must_format("%s/%s", expect->mount, file->path);
	char *backup_path = must_format("%s/%s", backup_root, file->path);
	int fd = must_open(path, O_RDONLY), backup = must_open(backup_path, O_RDONLY);

	check_attributes(file, path, fd, faults);
	check_pages(expect, index, fd, backup, faults);
	close(fd);
	close(backup);
	free(path);
	free(backup_path);
}

/* What was left is left as it was: the bad sectors bad, and their neighbours readable. */
static void check_device(const struct expect *expect, const struct left *left, unsigned int *faults)
{
	int fd = must_open(expect->device, O_RDONLY | O_DIRECT);
	unsigned char *buffer = aligned_alloc(BLOCK, BLOCK);
	uint64_t sector, first;
	ssize_t n;
	size_t i;

	if (!buffer)
		die("out of memory");
	for (i = 0; i < left->n; i++) {
		first = left->sectors[i] - left->sectors[i] % SECTORS_IN_BLOCK;
		for (sector = first; sector < first + SECTORS_IN_BLOCK; sector++) {
			bool bad = is_in(sector, left->sectors, left->n);

			n = pread(fd, buffer, SECTOR, (off_t)(sector * SECTOR));
			if (bad == (n >= 0))
				fault(faults, "sector %lu %s", sector,
				      bad ? "can be read again" : "became bad");
		}
	}
	free(buffer);
	close(fd);
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	sync();
	if (fd < 0 || write(fd, "1", 1) != 1)
		die("cannot drop caches: %s", strerror(errno));
	close(fd);
}

int verb_check_repair(int argc, char **argv)
{
	uint64_t lost, shared;
	struct left left = { 0 };
	struct expect expect;
	struct report report;
	unsigned int faults;
	uint32_t i;

	(void)argc;
	expect_read(&expect, argv[2]);
	if (strcmp(argv[1], expect.mount) != 0)
		die("%s: the tree is at %s", argv[1], expect.mount);
	faults = report_read(&report, argv[3], &expect);
	sum(&expect, &lost, &shared);
	if (report.json) {
		compare_ranges(&expect, &report, true, &faults);
		compare_sums(&report, shared ? 4 : lost ? 1 : 0, shared, lost, &faults);
		report_release(&report);
	}
	list_left(&expect, &left);
	check_list(&expect, &left, &faults);
	drop_caches();
	for (i = 0; i < expect.n_files; i++)
		check_file(&expect, i, argv[0], &faults);
	check_device(&expect, &left, &faults);
	printf("repair: repaired_bytes=%lu left_bytes=%lu left_sectors=%zu faults=%u\n", lost,
	       shared, left.n, faults);
	return faults ? 1 : 0;
}
