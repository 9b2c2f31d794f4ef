// SPDX-License-Identifier: GPL-2.0-or-later
/* after.c: did the repair leave exactly what it had to leave, in its report, in the files and on the device? */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tree.h"

/* What became of each bad sector's record. */
enum fate {
	STAYS,
	GOES, /* written in place */
	MAY_GO, /* it lies in free space now, and went if somebody was given its block */
};

struct left {
	uint64_t *sectors; /* that are still bad; sorted */
	size_t n;
};

static bool is_in(uint64_t sector, const uint64_t *sectors, size_t n)
{
	return n && bsearch(&sector, sectors, n, sizeof(sector), compare_u64);
}

static enum fate fate_of(const struct expect *expect, uint64_t sector, bool punched)
{
	bool owned = false, stays = false;
	size_t i;

	if (aside_owner(expect, sector))
		return STAYS;
	for (i = 0; i < expect->n_lost; i++) {
		if (expect->lost[i].sector == sector) {
			owned = true;
			stays |= expect->lost[i].shared;
		}
	}
	for (i = 0; i < expect->n_quiet; i++) {
		if (expect->quiet[i].sector == sector) {
			owned = true;
			stays |= !expect->quiet[i].tail || expect->quiet[i].shared;
		}
	}
	if (owned ? stays : !punched)
		return STAYS;
	return punched ? MAY_GO : GOES;
}

/* The kernel's list now: what had to stay, and nothing that had to go. */
static void check_list(const struct expect *expect, struct left *left, bool punched,
		       unsigned int *faults)
{
	enum fate fate;
	bool listed;
	size_t i;

	left->sectors = listed_sectors(expect->device, &left->n);
	if (left->n)
		qsort(left->sectors, left->n, sizeof(uint64_t), compare_u64);
	for (i = 0; i < left->n; i++) {
		if (!is_in(left->sectors[i], expect->bad, expect->n_bad))
			fault(faults, "sector %lu has come to the list", left->sectors[i]);
	}
	for (i = 0; i < expect->n_bad; i++) {
		fate = fate_of(expect, expect->bad[i], punched);
		listed = is_in(expect->bad[i], left->sectors, left->n);
		if (fate != MAY_GO && listed != (fate == STAYS))
			fault(faults, "sector %lu is %s the list", expect->bad[i],
			      listed ? "still on" : "no longer on");
	}
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

static bool has_page_left(const struct expect *expect, uint32_t file)
{
	uint64_t page;

	for (page = 0; page * BLOCK < expect->files[file].size; page++) {
		if (is_page_left(expect, file, page))
			return true;
	}
	return false;
}

static void check_page(const struct file *file, uint64_t at, int fd, const unsigned char *theirs,
		       size_t length, bool left, unsigned int *faults)
{
	unsigned char ours[BLOCK] __attribute__((aligned(BLOCK)));
	ssize_t n = pread(fd, ours, BLOCK, (off_t)at);

	if (left) {
		if (n >= 0)
			fault(faults, "%s: the page at %lu was left, and yet can be read",
			      file->path, at);
	} else if (n < 0 || (size_t)n != length) {
		fault(faults, "%s: cannot read at %lu: %s", file->path, at,
		      n < 0 ? strerror(errno) : "short");
	} else if (memcmp(ours, theirs, length) != 0) {
		fault(faults, "%s: differs from the backup at %lu", file->path, at);
	}
}

/* Where pages were left past the page cache, which fails whole folios, of many pages. */
static void check_pages(const struct expect *expect, uint32_t index, const char *path,
			const unsigned char *theirs, bool left, unsigned int *faults)
{
	const struct file *file = &expect->files[index];
	int fd = must_open(path, O_RDONLY | (left ? O_DIRECT : 0));
	uint64_t at;

	for (at = 0; at < file->size; at += BLOCK)
		check_page(file, at, fd, theirs + at,
			   file->size - at < BLOCK ? file->size - at : BLOCK,
			   is_page_left(expect, index, at / BLOCK), faults);
	close(fd);
}

static void check_bytes(const struct expect *expect, uint32_t index, const char *path, int fd,
			int backup, unsigned int *faults)
{
	const struct file *file = &expect->files[index];
	unsigned char *theirs = must_alloc(2, file->size), *ours = theirs + file->size;
	bool left = has_page_left(expect, index);

	if (must_pread(backup, file->path, theirs, file->size, 0) != file->size)
		die("%s: the backup is shorter", file->path);
	/* One read for all, and a page at a time where that must not do, or does not. */
	if (left || pread(fd, ours, file->size, 0) != (ssize_t)file->size ||
	    memcmp(ours, theirs, file->size) != 0)
		check_pages(expect, index, path, theirs, left, faults);
	free(theirs);
}

/* HAS_GROWN: it may be a whole number of pages long, see expect_grown(). */
static void check_attributes(const struct file *file, const char *path, int fd, bool has_grown,
			     unsigned int *faults)
{
	uint64_t whole = (file->size + BLOCK - 1) / BLOCK * BLOCK;
	unsigned char capability[64];
	char text[sizeof(capability) * 2 + 1] = "";
	struct stat st;
	ssize_t n, i;

	if (fstat(fd, &st))
		die("%s: %s", path, strerror(errno));
	if (((uint64_t)st.st_size != file->size && !(has_grown && (uint64_t)st.st_size == whole)) ||
	    (st.st_mode & 07777) != file->mode || st.st_uid != file->uid)
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

	check_attributes(file, path, fd, false, faults);
	check_bytes(expect, index, path, fd, backup, faults);
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
	const char *method = argv[4], *capability = argv[5];
	bool punched = strcmp(method, "punch") == 0;
	uint64_t lost, shared;
	struct left left = { 0 };
	struct expect expect;
	struct report report;
	unsigned int faults;
	uint32_t i;
	bool stays;

	(void)argc;
	expect_read(&expect, argv[2]);
	if (strcmp(argv[1], expect.mount) != 0)
		die("%s: the tree is at %s", argv[1], expect.mount);
	/* The best that the kernel offers. */
	if (strcmp(method, "auto") == 0)
		method = capability;
	faults = report_read(&report, argv[3], &expect, true);
	sum_lost(&expect, &lost, &shared);
	if (report.json) {
		compare_ranges(&expect, &report, &(struct outcome){ "repaired", "", method },
			       &faults);
		stays = shared || expect.n_aside;
		compare_sums(&report, stays ? 4 : lost ? 1 : 0, shared, lost, &faults);
		compare_recovery(&report, capability, &faults);
		report_release(&report);
	}
	/* What is still to be written may go to blocks that were given back, and take them off the list. */
	drop_caches();
	check_list(&expect, &left, punched, &faults);
	for (i = 0; i < expect.n_files; i++)
		check_file(&expect, i, argv[0], &faults);
	check_device(&expect, &left, &faults);
	printf("repair: method=%s repaired_bytes=%lu left_bytes=%lu left_sectors=%zu faults=%u\n",
	       method, lost, shared, left.n, faults);
	return faults ? 1 : 0;
}

/* All but what was lost, which may be anything now. */
static void check_rest(const struct expect *expect, uint32_t index, const char *backup_root,
		       unsigned int *faults)
{
	const struct file *file = &expect->files[index];
	char *path = must_format("%s/%s", expect->mount, file->path);
	char *backup_path = must_format("%s/%s", backup_root, file->path);
	unsigned char *ours = must_alloc(2, file->size + 1), *theirs = ours + file->size;
	int fd = must_open(path, O_RDONLY), backup = must_open(backup_path, O_RDONLY);
	size_t i;

	if (must_pread(fd, path, ours, file->size, 0) != file->size ||
	    must_pread(backup, backup_path, theirs, file->size, 0) != file->size)
		die("%s: another size", path);
	for (i = 0; i < expect->n_lost; i++) {
		const struct lost *lost = &expect->lost[i];

		if (lost->file == index)
			memcpy(ours + lost->offset, theirs + lost->offset, lost->length);
	}
	if (memcmp(ours, theirs, file->size) != 0)
		fault(faults, "%s: was harmed", file->path);
	check_attributes(file, path, fd, expect_grown(expect, index), faults);
	close(fd);
	close(backup);
	free(ours);
	free(path);
	free(backup_path);
}

int verb_check_rest(int argc, char **argv)
{
	unsigned int faults = 0;
	struct expect expect;
	uint32_t i;

	(void)argc;
	expect_read(&expect, argv[1]);
	for (i = 0; i < expect.n_files; i++)
		check_rest(&expect, i, argv[0], &faults);
	return faults ? 1 : 0;
}
