// SPDX-License-Identifier: GPL-2.0-or-later
/* make.c: decide what the tree holds: names, kinds, sizes, and in which order whose blocks are written. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "make.h"

enum { FILES = 200, DOOMED = 24, BATCH = 28, MAX_DIRS = 24 };

/* How many files of each kind; where blocks cannot be shared, REFLINKED and TWICE become SHUFFLED and SPARSE. */
static const unsigned int counts[N_KINDS] = {
	[KIND_PLAIN] = 34,     [KIND_SHUFFLED] = 34, [KIND_INTERLEAVED] = 32, [KIND_SPARSE] = 22,
	[KIND_UNWRITTEN] = 18, [KIND_AHEAD] = 14,    [KIND_REFLINKED] = 20,   [KIND_TWICE] = 8,
	[KIND_LINKED] = 12,    [KIND_EMPTY] = 6,
};

/* Ends of names. Not UTF-8, control characters, what a shell or JSON would have to quote. */
static const char *const odd_ends[] = {
	"\xff\xfe",	"new\nline", "\"double\"",   "it's",
	"back\\slash",	"sp ace ",   "tab\tbed",     "\xc3\xa9t\xc3\xa9",
	"\x01\x1b[31m", "half-\xc3", "*?[",	     "%41",
	"\x7f",		"-n",	     "\xed\xa0\x80",
};

static const unsigned int modes[] = {
	0644, 0644, 0644, 0600, 0755, 0444, 04755, 02755, 06711, 01644
};

static void add_op(struct work *work, enum op_kind kind, uint32_t block, uint32_t count)
{
	if (!count)
		return;
	work->ops = must_grow(work->ops, work->n_ops, &work->ops_alloc, sizeof(*work->ops));
	work->ops[work->n_ops++] = (struct op){ kind, block, count };
}

static void make_dirs(struct maker *maker)
{
	const char *parent = "";
	char *path;
	size_t i;
	int top;

	maker->dirs = must_alloc(MAX_DIRS, sizeof(*maker->dirs));
	maker->dirs[maker->n_dirs++] = must_format("%s", "");
	for (i = 1; i < MAX_DIRS; i++) {
		/* Half of them one below the other, so that some lie deep. */
		if (i > MAX_DIRS / 2)
			parent = maker->dirs[prng_below(&maker->prng, maker->n_dirs)];
		path = must_format("%sd%zu%s/", parent, i,
				   prng_below(&maker->prng, 4) ? "" : odd_ends[i % 15]);
		for (top = 0; top < 2; top++) {
			char *full = must_format("%s/%s", top ? maker->backup : maker->mount, path);

			if (mkdir(full, 0755) && errno != EEXIST)
				die("%s: cannot make: %s", full, strerror(errno));
			free(full);
		}
		maker->dirs[maker->n_dirs++] = path;
		parent = path;
	}
}

/* A last page that is partly filled, a whole number of sectors, or a whole number of pages. */
static uint64_t random_size(struct prng *prng, uint32_t blocks)
{
	uint64_t whole = (uint64_t)(blocks - 1) * BLOCK;

	switch (prng_below(prng, 4)) {
	case 0:
		return whole + BLOCK;
	case 1:
		return whole + SECTOR * prng_between(prng, 1, SECTORS_IN_BLOCK - 1);
	default:
		return whole + SECTOR * prng_below(prng, SECTORS_IN_BLOCK) +
		       prng_between(prng, TAG_BYTES, SECTOR - 1);
	}
}

static void plan_runs(struct maker *maker, struct work *work, uint32_t first, uint32_t end,
		      uint32_t longest)
{
	uint32_t count;

	for (; first < end; first += count) {
		count = (uint32_t)prng_between(&maker->prng, 1, longest);
		if (count > end - first)
			count = end - first;
		add_op(work, OP_WRITE, first, count);
	}
}

static void plan_sparse(struct maker *maker, struct work *work)
{
	uint32_t block = (uint32_t)prng_below(&maker->prng, 4), blocks = blocks_of(work), count;

	while (block < blocks) {
		count = (uint32_t)prng_between(&maker->prng, 1, 3);
		add_op(work, OP_WRITE, block, count < blocks - block ? count : blocks - block);
		block += count + (uint32_t)prng_between(&maker->prng, 1, 9);
	}
	prng_shuffle(&maker->prng, work->ops, work->n_ops, sizeof(*work->ops));
}

/* Some of the blocks stay unwritten: at the start, in the middle, at the end. */
static void plan_unwritten(struct maker *maker, struct work *work)
{
	uint32_t blocks = blocks_of(work), block, count;

	add_op(work, OP_ALLOCATE, 0, blocks);
	for (block = (uint32_t)prng_below(&maker->prng, 3); block < blocks; block += count) {
		count = (uint32_t)prng_between(&maker->prng, 1, 3);
		if (prng_below(&maker->prng, 3) == 0)
			add_op(work, OP_WRITE, block,
			       count < blocks - block ? count : blocks - block);
	}
}

static void plan_clone(struct maker *maker, struct work *work)
{
	struct work *source = work - 1;
	uint32_t blocks = blocks_of(source);

	work->clone_of = source;
	if (prng_below(&maker->prng, 2)) {
		/* All of it, the partly filled last page too. */
		work->size = source->size;
		work->clone_count = blocks;
	} else {
		/* A part of it, into a file that has data of its own. */
		work->clone_from = (uint32_t)prng_below(&maker->prng, blocks - 2);
		work->clone_count =
			(uint32_t)prng_between(&maker->prng, 1, blocks - 2 - work->clone_from);
		work->clone_to = (uint32_t)prng_between(&maker->prng, 1, 4);
		work->size = random_size(&maker->prng, work->clone_to + work->clone_count + 3);
		plan_runs(maker, work, 0, work->clone_to, 4);
		plan_runs(maker, work, work->clone_to + work->clone_count, blocks_of(work), 4);
	}
	work->overwrite = (uint32_t)prng_below(&maker->prng, 3);
}

static void plan_twice(struct maker *maker, struct work *work)
{
	uint32_t blocks = blocks_of(work), half = blocks / 2;

	work->clone_of = work;
	work->clone_count = (uint32_t)prng_between(&maker->prng, 1, half - 1);
	work->clone_from = (uint32_t)prng_below(&maker->prng, half - work->clone_count);
	work->clone_to = half + (uint32_t)prng_below(&maker->prng, half - work->clone_count);
	plan_runs(maker, work, 0, half, 4);
	plan_runs(maker, work, work->clone_to + work->clone_count, blocks, 4);
}

static void plan_ops(struct maker *maker, struct work *work)
{
	struct prng *prng = &maker->prng;

	switch (work->kind) {
	case KIND_SHUFFLED:
		work->size = random_size(prng, (uint32_t)prng_between(prng, 3, 8));
		plan_runs(maker, work, 0, blocks_of(work), 1);
		prng_shuffle(prng, work->ops, work->n_ops, sizeof(*work->ops));
		break;
	case KIND_INTERLEAVED:
		work->size = random_size(prng, (uint32_t)prng_between(prng, 3, 7));
		plan_runs(maker, work, 0, blocks_of(work), 2);
		break;
	case KIND_SPARSE:
		work->size = random_size(prng, (uint32_t)prng_between(prng, 12, 32));
		plan_sparse(maker, work);
		break;
	case KIND_UNWRITTEN:
		work->size = random_size(prng, (uint32_t)prng_between(prng, 5, 10));
		plan_unwritten(maker, work);
		break;
	case KIND_AHEAD:
		work->size = random_size(prng, (uint32_t)prng_between(prng, 2, 6));
		plan_runs(maker, work, 0, blocks_of(work), 8);
		add_op(work, OP_ALLOCATE_AHEAD, blocks_of(work),
		       (uint32_t)prng_between(prng, 1, 6));
		break;
	case KIND_REFLINKED:
		work->size = random_size(prng, (uint32_t)prng_between(prng, 4, 12));
		plan_runs(maker, work, 0, blocks_of(work), 6);
		break;
	case KIND_TWICE:
		work->size = random_size(prng, 2 * (uint32_t)prng_between(prng, 3, 6));
		plan_twice(maker, work);
		break;
	case KIND_EMPTY:
		break;
	default:
		work->size = random_size(prng, (uint32_t)prng_between(prng, 1, 10));
		plan_runs(maker, work, 0, blocks_of(work), 16);
		break;
	}
}

static char *random_name(struct maker *maker, char letter, size_t number)
{
	const char *odd = prng_below(&maker->prng, 4) ? "" : odd_ends[prng_below(&maker->prng, 15)];

	return must_format("%s%c%zu%s", maker->dirs[prng_below(&maker->prng, maker->n_dirs)],
			   letter, number, odd);
}

static void plan_file(struct maker *maker, struct work *work, enum kind kind, bool second)
{
	size_t number = (size_t)(work - maker->works);

	*work = (struct work){ .kind = kind, .fd = -1 };
	work->name = random_name(maker, kinds[kind].letter, number);
	if (kind == KIND_LINKED)
		work->link = random_name(maker, kinds[kind].letter, number + FILES + DOOMED);
	if (second)
		plan_clone(maker, work);
	else
		plan_ops(maker, work);
	work->mode = modes[prng_below(&maker->prng, sizeof(modes) / sizeof(modes[0]))];
	work->capable = prng_below(&maker->prng, 6) == 0;
	work->image = must_alloc(blocks_of(work) + 1, BLOCK);
}

static void plan_files(struct maker *maker)
{
	unsigned int left[N_KINDS], sum = FILES;
	enum kind list[FILES + DOOMED];
	size_t n = 0, i;
	enum kind kind;

	memcpy(left, counts, sizeof(left));
	if (!maker->reflink) {
		left[KIND_SHUFFLED] += left[KIND_REFLINKED];
		left[KIND_SPARSE] += left[KIND_TWICE];
		left[KIND_REFLINKED] = 0;
		left[KIND_TWICE] = 0;
	}
	/* A clone comes right after its source, so they count once here. */
	sum -= left[KIND_REFLINKED] / 2;
	left[KIND_REFLINKED] /= 2;
	for (kind = 0; kind < N_KINDS; kind++) {
		while (left[kind]--)
			list[n++] = kind;
	}
	if (n != sum)
		die("the kinds do not add up to %d files", FILES);
	/* N_KINDS stands for a file that will be deleted. */
	for (i = 0; i < DOOMED; i++)
		list[n++] = N_KINDS;
	prng_shuffle(&maker->prng, list, n, sizeof(*list));
	maker->works = must_alloc(FILES + DOOMED, sizeof(*maker->works));
	for (i = 0; i < n; i++) {
		plan_file(maker, &maker->works[maker->n_works],
			  list[i] == N_KINDS ? KIND_SHUFFLED : list[i], false);
		maker->works[maker->n_works++].doomed = list[i] == N_KINDS;
		if (list[i] == KIND_REFLINKED) {
			plan_file(maker, &maker->works[maker->n_works], list[i], true);
			maker->n_works++;
		}
	}
}

/* The files of a batch take turns at random, so that their blocks lie between each other's. */
static void build_batch(struct maker *maker, struct work *works, size_t n)
{
	struct work **busy = must_alloc(n, sizeof(*busy)), *work;
	size_t n_busy = 0, i;

	for (i = 0; i < n; i++) {
		build_open(maker, &works[i]);
		if (works[i].n_ops)
			busy[n_busy++] = &works[i];
	}
	while (n_busy) {
		i = prng_below(&maker->prng, n_busy);
		work = busy[i];
		build_step(maker, work);
		if (work->next_op == work->n_ops)
			busy[i] = busy[--n_busy];
	}
	free(busy);
}

static void print_counts(const struct maker *maker)
{
	unsigned int n[N_KINDS] = { 0 }, blocks = 0;
	enum kind kind;
	size_t i;

	for (i = 0; i < maker->n_works; i++) {
		n[maker->works[i].kind] += !maker->works[i].doomed;
		blocks += blocks_of(&maker->works[i]);
	}
	printf("made files=%d deleted=%d blocks=%u", FILES, DOOMED, blocks);
	for (kind = 0; kind < N_KINDS; kind++)
		printf(" %s=%u", kinds[kind].name, n[kind]);
	printf("\n");
}

/* ext4 keeps blocks ready for each CPU: on one alone, the same seed gives the same layout again. */
static void stay_here(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot stay on one CPU: %s", strerror(errno));
}

static int clear_away(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int verb_make(int argc, char **argv)
{
	struct maker maker = { .mount = argv[1], .backup = argv[2] };
	size_t i;

	(void)argc;
	stay_here();
	maker.prng.state = strtoull(argv[0], NULL, 0);
	/* Not from the seed: a device keeps the tags of earlier runs. */
	if (getentropy(&maker.note.magic, sizeof(maker.note.magic)))
		die("no random number: %s", strerror(errno));
	/* Another tree's, if it is there. */
	if ((nftw(maker.backup, clear_away, 32, FTW_DEPTH | FTW_PHYS) && errno != ENOENT) ||
	    mkdir(maker.backup, 0755))
		die("%s: cannot make: %s", maker.backup, strerror(errno));
	maker.reflink = build_can_reflink(maker.mount);
	build_tune_ext4(maker.mount);
	make_dirs(&maker);
	plan_files(&maker);
	for (i = 0; i < maker.n_works; i += BATCH)
		build_batch(&maker, maker.works + i,
			    maker.n_works - i < BATCH ? maker.n_works - i : BATCH);
	build_finish(&maker);
	if (setxattr(maker.mount, NOTE_NAME, &maker.note, sizeof(maker.note), 0))
		die("%s: cannot set an attribute: %s", maker.mount, strerror(errno));
	print_counts(&maker);
	return 0;
}
