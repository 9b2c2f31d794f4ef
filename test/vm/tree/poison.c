// SPDX-License-Identifier: GPL-2.0-or-later
/* poison.c: choose the sectors to poison so that every layout is hit, and write down what each takes from whom. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tree.h"

/* What a poisoned sector can hit. One sector may hit several. */
enum hit {
	HIT_PLAIN,
	HIT_SHUFFLED, /* the file's next or previous block lies the wrong way round */
	HIT_INTERLEAVED, /* the next block on the device is another file's */
	HIT_SPARSE,
	HIT_REFLINKED,
	HIT_TWICE,
	HIT_HARDLINK,
	HIT_LAST_PAGE, /* partly filled */
	HIT_LAST_SECTOR, /* cut in two by the end of the file */
	HIT_ODD_NAME,
	HIT_DEEP,
	HIT_SET_ID,
	HIT_CAPABILITY,
	HIT_UNWRITTEN,
	HIT_PAST_EOF,
	HIT_FREE,
	HIT_RUN, /* consecutive bad sectors across the border of two extents */
	HIT_PAGE, /* a whole page */
	N_HITS,
};

static const struct {
	const char *name;
	unsigned int quota; /* sectors to choose for it, or runs */
	bool reflink; /* only where blocks can be shared */
} hits[N_HITS] = {
	[HIT_PLAIN] = { "plain", 6, false },
	[HIT_SHUFFLED] = { "shuffled", 8, false },
	[HIT_INTERLEAVED] = { "interleaved", 6, false },
	[HIT_SPARSE] = { "sparse", 6, false },
	[HIT_REFLINKED] = { "reflinked", 5, true },
	[HIT_TWICE] = { "twice", 3, true },
	[HIT_HARDLINK] = { "hardlink", 4, false },
	[HIT_LAST_PAGE] = { "last_page", 4, false },
	[HIT_LAST_SECTOR] = { "last_sector", 3, false },
	[HIT_ODD_NAME] = { "odd_name", 3, false },
	[HIT_DEEP] = { "deep", 2, false },
	[HIT_SET_ID] = { "set_id", 2, false },
	[HIT_CAPABILITY] = { "capability", 2, false },
	[HIT_UNWRITTEN] = { "unwritten", 6, false },
	[HIT_PAST_EOF] = { "past_eof", 5, false },
	[HIT_FREE] = { "free", 5, false },
	[HIT_RUN] = { "run", 4, false },
	[HIT_PAGE] = { "page", 2, false },
};

/* A file's name as told apart by depth, in directories below the mountpoint. */
enum { DEEP = 5, RUN_MAX = 20, TRIES = 20000 };

struct chooser {
	struct oracle *oracle;
	struct prng prng;
	struct shown **at; /* by device sector: who shows it, first of several */
	bool *quiet; /* by device sector */
	bool *bad; /* by device sector */
	unsigned int n_bad;
	unsigned int count[N_HITS];
	bool reflink;
	uint64_t *
		below; /* by serial: where else each lies, NO_SECTOR where that is not one place; or NULL */
};

/* Whether a sector may be poisoned: a file's, or shown to belong to nobody. Never metadata. */
static bool is_safe(const struct chooser *chooser, uint64_t sector)
{
	const struct oracle *oracle = chooser->oracle;
	uint64_t serial;

	if (sector >= oracle->n_sectors)
		return false;
	serial = oracle->serial_of[sector];
	if (chooser->below)
		return chooser->at[sector] && serial != NO_SECTOR &&
		       chooser->below[serial] < AMBIGUOUS;
	if (chooser->quiet[sector])
		return true;
	return serial != NO_SECTOR && oracle->sector_of[serial] == sector;
}

static bool is_free(const struct chooser *chooser, uint64_t sector)
{
	return is_safe(chooser, sector) && !chooser->quiet[sector] && !chooser->at[sector];
}

static uint64_t sector_of(const struct chooser *chooser, const struct shown *shown)
{
	return chooser->oracle->sector_of[shown->serial];
}

/* The sector a number of bytes further in the same file, if it holds data. */
static const struct shown *in_file(const struct chooser *chooser, const struct shown *shown,
				   int64_t by)
{
	const struct oracle *oracle = chooser->oracle;
	const struct shown *other;
	ptrdiff_t step = by < 0 ? -1 : 1;

	for (other = shown + step;
	     other >= oracle->shown && other < oracle->shown + oracle->n_shown; other += step) {
		if (other->file != shown->file)
			break;
		if ((int64_t)(other->offset - shown->offset) == by)
			return other;
		if (llabs((int64_t)(other->offset - shown->offset)) > llabs(by))
			break;
	}
	return NULL;
}

static bool is_shuffled(const struct chooser *chooser, const struct shown *shown)
{
	const struct shown *next = in_file(chooser, shown, BLOCK),
			   *previous = in_file(chooser, shown, -(int64_t)BLOCK);
	uint64_t sector = sector_of(chooser, shown);

	return (next && sector_of(chooser, next) < sector) ||
	       (previous && sector_of(chooser, previous) > sector);
}

static bool is_interleaved(const struct chooser *chooser, const struct shown *shown)
{
	uint64_t next = sector_of(chooser, shown) + SECTORS_IN_BLOCK;

	return next < chooser->oracle->n_sectors && chooser->at[next] &&
	       chooser->at[next]->file != shown->file;
}

static bool is_odd(const char *path)
{
	for (; *path; path++) {
		if ((unsigned char)*path < 0x20 || (unsigned char)*path > 0x7e ||
		    strchr("\"\\'", *path))
			return true;
	}
	return false;
}

static unsigned int depth(const char *path)
{
	unsigned int n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

/* Which of the hits one sector with data is, as bits. */
static unsigned int classify(const struct chooser *chooser, const struct shown *shown)
{
	const struct oracle *oracle = chooser->oracle;
	const struct file *file = &oracle->files[shown->file];
	uint64_t in_last = file->size - file->size % BLOCK;
	unsigned int bits = 0;

	if (oracle->owners[shown->serial] > 1)
		bits |= 1u << (file->kind == KIND_TWICE ? HIT_TWICE : HIT_REFLINKED);
	if (file->kind == KIND_PLAIN)
		bits |= 1u << HIT_PLAIN;
	if (file->kind == KIND_SPARSE)
		bits |= 1u << HIT_SPARSE;
	if (file->n_links)
		bits |= 1u << HIT_HARDLINK;
	if (file->size % BLOCK && shown->offset >= in_last)
		bits |= 1u << HIT_LAST_PAGE;
	if (shown->length < SECTOR)
		bits |= 1u << HIT_LAST_SECTOR;
	if (is_shuffled(chooser, shown))
		bits |= 1u << HIT_SHUFFLED;
	if (is_interleaved(chooser, shown))
		bits |= 1u << HIT_INTERLEAVED;
	if (is_odd(file->path))
		bits |= 1u << HIT_ODD_NAME;
	if (depth(file->path) >= DEEP)
		bits |= 1u << HIT_DEEP;
	if (file->mode & 06000)
		bits |= 1u << HIT_SET_ID;
	if (file->capability)
		bits |= 1u << HIT_CAPABILITY;
	return bits;
}

static void take(struct chooser *chooser, uint64_t sector)
{
	if (!chooser->bad[sector]) {
		chooser->bad[sector] = true;
		chooser->n_bad++;
	}
}

static const struct shown *any_shown(struct chooser *chooser)
{
	return &chooser->oracle->shown[prng_below(&chooser->prng, chooser->oracle->n_shown)];
}

static void choose_shown(struct chooser *chooser, enum hit hit)
{
	unsigned int n = 0, tries;
	const struct shown *shown;
	uint64_t sector;

	for (tries = 0; n < hits[hit].quota && tries < TRIES; tries++) {
		shown = any_shown(chooser);
		sector = sector_of(chooser, shown);
		if (!is_safe(chooser, sector) || chooser->bad[sector] ||
		    !(classify(chooser, shown) & 1u << hit))
			continue;
		/* Shared blocks stay bad after a repair: no more of them than were asked for. */
		if (hit != HIT_REFLINKED && hit != HIT_TWICE &&
		    chooser->oracle->owners[shown->serial] > 1)
			continue;
		take(chooser, sector);
		n++;
	}
}

static void choose_quiet(struct chooser *chooser, bool past_eof, unsigned int quota)
{
	const struct oracle *oracle = chooser->oracle;
	unsigned int n = 0, tries;

	for (tries = 0; oracle->n_quiet && n < quota && tries < TRIES; tries++) {
		const struct quiet *quiet =
			&oracle->quiet[prng_below(&chooser->prng, oracle->n_quiet)];

		if (quiet->past_eof != past_eof || chooser->bad[quiet->sector])
			continue;
		take(chooser, quiet->sector);
		n++;
	}
}

static void choose_free(struct chooser *chooser, unsigned int quota)
{
	unsigned int n = 0, tries;
	uint64_t sector;

	for (tries = 0; n < quota && tries < TRIES; tries++) {
		/* Any tag that was written, whether or not a file still shows it. */
		sector = chooser->oracle->sector_of[prng_below(&chooser->prng,
							       chooser->oracle->note.serials)];
		if (sector >= AMBIGUOUS || chooser->bad[sector] || !is_free(chooser, sector))
			continue;
		take(chooser, sector);
		n++;
	}
}

/* Whether the border before this sector, the first of a block, divides two extents, both of files. */
static bool is_border(const struct chooser *chooser, uint64_t sector)
{
	const struct shown *before, *after;

	if (sector % SECTORS_IN_BLOCK || !sector || !chooser->at[sector] ||
	    !chooser->at[sector - 1])
		return false;
	before = chooser->at[sector - 1];
	after = chooser->at[sector];
	return before->file != after->file || before->offset + SECTOR != after->offset;
}

static void choose_runs(struct chooser *chooser, unsigned int quota)
{
	unsigned int n = 0, tries, left;
	uint64_t border, sector;

	for (tries = 0; n < quota && tries < TRIES; tries++) {
		border = sector_of(chooser, any_shown(chooser));
		if (border >= AMBIGUOUS || !is_border(chooser, border))
			continue;
		sector = border - prng_between(&chooser->prng, 1, 4);
		left = (unsigned int)prng_between(&chooser->prng, 5, RUN_MAX);
		for (; left-- && is_safe(chooser, sector); sector++)
			take(chooser, sector);
		n++;
	}
}

static void choose_pages(struct chooser *chooser, unsigned int quota)
{
	unsigned int n = 0, tries, i;
	const struct shown *shown;
	uint64_t sector;

	for (tries = 0; n < quota && tries < TRIES; tries++) {
		shown = any_shown(chooser);
		sector = sector_of(chooser, shown);
		if (sector >= AMBIGUOUS || shown->offset % BLOCK ||
		    chooser->oracle->owners[shown->serial] > 1)
			continue;
		for (i = 0; i < SECTORS_IN_BLOCK && is_safe(chooser, sector + i); i++)
			take(chooser, sector + i);
		n += i == SECTORS_IN_BLOCK;
	}
}

/* Whether a kind of hit is one of this tree. Where no sector lies at its place, those without a tag cannot be found. */
static bool has_hit(const struct chooser *chooser, enum hit hit)
{
	if (chooser->below && (hit == HIT_UNWRITTEN || hit == HIT_PAST_EOF || hit == HIT_FREE))
		return false;
	return chooser->reflink || !hits[hit].reflink;
}

static void choose(struct chooser *chooser, unsigned int wanted)
{
	unsigned int tries;
	enum hit hit;

	for (hit = 0; hit < HIT_UNWRITTEN; hit++) {
		if (chooser->reflink || !hits[hit].reflink)
			choose_shown(chooser, hit);
	}
	if (!chooser->below) {
		choose_quiet(chooser, false, hits[HIT_UNWRITTEN].quota);
		choose_quiet(chooser, true, hits[HIT_PAST_EOF].quota);
		choose_free(chooser, hits[HIT_FREE].quota);
	}
	choose_runs(chooser, hits[HIT_RUN].quota);
	choose_pages(chooser, hits[HIT_PAGE].quota);
	for (tries = 0; chooser->n_bad < wanted && tries < TRIES; tries++) {
		const struct shown *shown = any_shown(chooser);

		if (is_safe(chooser, sector_of(chooser, shown)) &&
		    chooser->oracle->owners[shown->serial] == 1)
			take(chooser, sector_of(chooser, shown));
	}
}

/* ---- what was chosen, in terms of files */

static void count_runs(struct chooser *chooser)
{
	uint64_t sector, in_page = 0;

	for (sector = 1; sector < chooser->oracle->n_sectors; sector++) {
		if (sector % SECTORS_IN_BLOCK == 0)
			in_page = 0;
		in_page += chooser->bad[sector];
		chooser->count[HIT_PAGE] += in_page == SECTORS_IN_BLOCK;
		if (chooser->bad[sector] && chooser->bad[sector - 1])
			chooser->count[HIT_RUN] += is_border(chooser, sector);
	}
}

static void expect_files(struct chooser *chooser, struct expect *expect)
{
	const struct oracle *oracle = chooser->oracle;
	unsigned int bits;
	enum hit hit;
	size_t i;

	for (i = 0; i < oracle->n_shown; i++) {
		const struct shown *shown = &oracle->shown[i];
		uint64_t sector = sector_of(chooser, shown);

		if (sector >= AMBIGUOUS || !chooser->bad[sector])
			continue;
		bits = classify(chooser, shown);
		for (hit = 0; hit < N_HITS; hit++)
			chooser->count[hit] += bits >> hit & 1;
		expect->lost = must_grow(expect->lost, expect->n_lost, &expect->lost_alloc,
					 sizeof(*expect->lost));
		expect->lost[expect->n_lost++] =
			(struct lost){ shown->file, shown->offset, shown->length, sector,
				       oracle->owners[shown->serial] > 1 };
	}
	for (i = 0; i < oracle->n_quiet; i++) {
		const struct quiet *quiet = &oracle->quiet[i];

		if (!chooser->bad[quiet->sector])
			continue;
		chooser->count[quiet->past_eof ? HIT_PAST_EOF : HIT_UNWRITTEN]++;
		expect->quiet = must_grow(expect->quiet, expect->n_quiet, &expect->quiet_alloc,
					  sizeof(*quiet));
		expect->quiet[expect->n_quiet++] = *quiet;
	}
}

static void expect_sectors(struct chooser *chooser, struct expect *expect)
{
	uint64_t sector;

	for (sector = 0; sector < chooser->oracle->n_sectors; sector++) {
		if (!chooser->bad[sector])
			continue;
		expect->bad =
			must_grow(expect->bad, expect->n_bad, &expect->bad_alloc, sizeof(uint64_t));
		expect->bad[expect->n_bad++] = sector;
		if (!is_free(chooser, sector))
			continue;
		chooser->count[HIT_FREE]++;
		expect->free = must_grow(expect->free, expect->n_free, &expect->free_alloc,
					 sizeof(uint64_t));
		expect->free[expect->n_free++] = sector;
	}
}

static void print_list(const struct expect *expect, const struct chooser *chooser,
		       const char *expect_path)
{
	unsigned int records = 0;
	enum hit hit;
	size_t i, n;

	for (i = 0; i < expect->n_bad; i += n, records++) {
		for (n = 1; i + n < expect->n_bad && expect->bad[i + n] == expect->bad[i] + n; n++)
			;
		printf("%lu %zu\n", expect->bad[i], n);
	}
	printf("# bad=%zu records=%u", expect->n_bad, records);
	for (hit = 0; hit < N_HITS; hit++) {
		if (has_hit(chooser, hit))
			printf(" %s=%u", hits[hit].name, chooser->count[hit]);
	}
	printf("\n");
	for (hit = 0; hit < N_HITS; hit++) {
		if (!chooser->count[hit] && has_hit(chooser, hit))
			die("%s: no sector hits \"%s\"", expect_path, hits[hit].name);
	}
	/* sysfs shows 4095 bytes, and the kernel keeps 512 records. */
	if (records > 300)
		die("%s: %u records are too many for sysfs", expect_path, records);
}

static void start(struct chooser *chooser, struct oracle *oracle)
{
	uint64_t sector;
	size_t i;

	chooser->oracle = oracle;
	chooser->at = must_alloc(oracle->n_sectors, sizeof(*chooser->at));
	chooser->quiet = must_alloc(oracle->n_sectors, sizeof(bool));
	chooser->bad = must_alloc(oracle->n_sectors, sizeof(bool));
	for (i = 0; i < oracle->n_files; i++)
		chooser->reflink |= oracle->files[i].kind == KIND_REFLINKED;
	for (i = 0; i < oracle->n_shown; i++) {
		sector = sector_of(chooser, &oracle->shown[i]);
		if (sector == NO_SECTOR)
			die("%s: its data at %lu is nowhere on %s",
			    oracle->files[oracle->shown[i].file].path, oracle->shown[i].offset,
			    oracle->device);
		if (sector != AMBIGUOUS && !chooser->at[sector])
			chooser->at[sector] = &oracle->shown[i];
	}
	for (i = 0; i < oracle->n_quiet; i++) {
		if (oracle->quiet[i].sector < oracle->n_sectors)
			chooser->quiet[oracle->quiet[i].sector] |=
				oracle->quiet[i].offset % SECTOR == 0;
	}
	for (i = 0; i < oracle->n_quiet; i++) {
		sector = oracle->quiet[i].sector;
		if (oracle->quiet[i].offset < oracle->files[oracle->quiet[i].file].size &&
		    chooser->at[sector])
			die("%s: unwritten at %lu, yet it shows data",
			    oracle->files[oracle->quiet[i].file].path, oracle->quiet[i].offset);
	}
}

/* Lines "SERIAL SECTOR", see tree tags. */
static void read_below(struct chooser *chooser, const char *path)
{
	uint64_t serial, sector, i;
	FILE *f = fopen(path, "re");

	if (!f)
		die("%s: cannot open: %s", path, strerror(errno));
	chooser->below = must_alloc(chooser->oracle->note.serials, sizeof(uint64_t));
	for (i = 0; i < chooser->oracle->note.serials; i++)
		chooser->below[i] = NO_SECTOR;
	while (fscanf(f, "%lu %lu", &serial, &sector) == 2) {
		if (serial < chooser->oracle->note.serials)
			chooser->below[serial] = sector;
	}
	fclose(f);
}

/* What was chosen, as sectors below. */
static void write_below(const struct chooser *chooser, const char *path)
{
	FILE *f = fopen(path, "we");
	uint64_t i;

	for (i = 0; f && i < chooser->oracle->n_sectors; i++) {
		if (chooser->bad[i])
			fprintf(f, "%lu 1\n", chooser->below[chooser->oracle->serial_of[i]]);
	}
	if (!f || fclose(f))
		die("%s: cannot write: %s", path, strerror(errno));
}

/* A device of larger sectors loses whole ones. */
static void widen(struct chooser *chooser)
{
	int fd = must_open(chooser->oracle->device, O_RDONLY), size;
	uint64_t i, first, n;

	if (ioctl(fd, BLKSSZGET, &size))
		die("%s: no block device: %s", chooser->oracle->device, strerror(errno));
	close(fd);
	n = (unsigned int)size / SECTOR;
	for (i = 0; i < chooser->oracle->n_sectors; i++) {
		if (!chooser->bad[i])
			continue;
		for (first = i - i % n, i = first; i < first + n; i++)
			chooser->bad[i] = true;
		i--;
	}
}

int verb_poison(int argc, char **argv)
{
	const char *tags = getenv("TREE_TAGS");

	struct chooser chooser = { .prng.state = strtoull(argv[0], NULL, 0) ^ 0x7e57 };
	struct expect expect = { .mount = argv[1], .device = argv[2] };
	struct oracle oracle;

	(void)argc;
	oracle_learn(&oracle, argv[1], argv[2]);
	start(&chooser, &oracle);
	if (tags)
		read_below(&chooser, tags);
	choose(&chooser, (unsigned int)strtoul(argv[3], NULL, 0));
	if (tags) {
		write_below(&chooser, must_format("%s.below", argv[4]));
		widen(&chooser);
	}
	expect.xfs = oracle.xfs;
	expect.files = oracle.files;
	expect.n_files = oracle.n_files;
	expect_files(&chooser, &expect);
	expect_sectors(&chooser, &expect);
	count_runs(&chooser);
	expect_write(&expect, argv[4]);
	/* What is written elsewhere each time cannot be overwritten. */
	if (!tags)
		scramble(argv[2], expect.bad, expect.n_bad);
	print_list(&expect, &chooser, argv[4]);
	return 0;
}
