/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the rooms of a resume tell each other:
 *
 *   resume.c         a journal -> its files as they are, what is left to do with them, and what is in conflict
 *   resume-find.c    one file of it -> where it is, and whether it is the same
 *   resume-file.c    its pieces judged
 *   resume-losses.c  its losses and steps
 *   resume-look.c    one piece -> what is found of it: evidence for judge.c
 *   resume-whole.c   a device-dax in the place of a file: all of these, and how it is written
 *   resume-run.c     what is left, through the batches that a repair uses, into the same journal
 */
#ifndef PMR_RESUME_H
#define PMR_RESUME_H

#include <sys/stat.h>

#include "judge.h"

/**
 * struct pmr_resume_file - a file of a journal, as it is now
 * @was: as the journal has it
 * @index: in the journal
 * @is_there: a file of this name is the one of the journal: filesystem, inode and generation
 * @is_same: its size, too, is what it was, or what our write may have made of it
 * @is_grown: our write of its last page made it longer
 * @is_missing: nothing can be said of it: not mounted, or it cannot be opened
 * @begun: a write of it may have begun that did not come to its end
 * @size: its size now
 * @change: whose change its change time tells of
 * @unit: of a device-dax, what its bus clears at a time; 0 where it does not tell
 * @verdicts: of each piece
 */
struct pmr_resume_file {
	const struct pmr_journal_file *was;
	size_t index;
	bool is_there;
	bool is_same;
	bool is_grown;
	bool is_missing;
	bool begun;
	uint64_t size;
	enum pmr_change change;
	uint64_t unit;
	enum pmr_verdict *verdicts;
};

/**
 * struct pmr_resume - what was found out of a journal, between pmr_resume_new() and pmr_resume_run()
 * @entry: the journal
 * @journal: it, open for reading
 * @boot: this boot's boot_id, or NULL
 * @booted: when this boot began
 * @files: those whose filesystem is known, in the order of the plan's files
 * @n_files: how many
 * @is_missing: something of it could not be looked at
 * @expected, @actual: PMR_CHUNK bytes each, page aligned
 */
struct pmr_resume {
	struct pmr_ctx *ctx;
	const struct pmr_journal_entry *entry;
	int journal;
	char *boot;
	time_t booted;
	struct pmr_resume_file *files;
	size_t n_files;
	bool is_missing;
	char *expected;
	char *actual;
};

/** pmr_resume_free() - takes NULL */
void pmr_resume_free(struct pmr_resume *resume);

/** pmr_resume_is_boot() - whether a boot of the journal, by its number, is this one */
bool pmr_resume_is_boot(const struct pmr_resume *resume, size_t boot);

/** pmr_resume_is_here() - whether a piece was marked in this boot alone */
bool pmr_resume_is_here(const struct pmr_resume *resume, const struct pmr_journal_piece *piece);

/* ---- resume-look.c */

/**
 * struct pmr_resume_look - where to look for pieces of a file
 * @fd: the file, open
 * @media: its device
 * @filesystem: its filesystem
 * @of: the file
 * @listed: what must not be read, device offsets; empty right before a write
 */
struct pmr_resume_look {
	const struct pmr_resume *resume;
	int fd;
	struct pmr_media *media;
	const struct pmr_filesystem *filesystem;
	const struct pmr_resume_file *of;
	const struct pmr_ranges *listed;
};

/**
 * pmr_resume_examine() - what is found of a piece
 * @expected: its bytes
 * @evidence: result
 *
 * Return: 0; -ENOMEM; another errno of the device that is no media error.
 */
int pmr_resume_examine(const struct pmr_resume_look *look, const struct pmr_journal_piece *piece,
		       const char *expected, struct pmr_evidence *evidence);

/** pmr_resume_loss_at() - the loss of a journal that a sector of the file is of, or NULL; they are sorted */
const struct pmr_loss *pmr_resume_loss_at(const struct pmr_journal_file *was, uint64_t offset);

/* ---- what is found out of one file, while it is looked at */

/**
 * struct pmr_resume_subject - one file
 * @resume, @topology: what it is looked for in
 * @was: as the journal has it
 * @of: as it is now
 * @plan: what is to be done
 * @filesystem: where it lies; NULL where that is not known
 * @fd: it, open for reading, or -1
 * @st: what fstat(2) says of it
 * @reasons: the first of each verdict
 * @first: and its offset
 * @unknown: why nothing can be said of it, for its losses
 */
struct pmr_resume_subject {
	struct pmr_resume *resume;
	struct pmr_topology *topology;
	const struct pmr_journal_file *was;
	struct pmr_resume_file *of;
	struct pmr_file_plan *plan;
	struct pmr_filesystem *filesystem;
	int fd;
	struct stat st;
	const char *reasons[PMR_VERDICT_FAILED + 1];
	uint64_t first[PMR_VERDICT_FAILED + 1];
	const char *unknown;
};

/* ---- resume-find.c */

/** pmr_resume_find_file() - open it and see whether it is the same; what is wrong was said */
void pmr_resume_find_file(struct pmr_resume_subject *s);

/* ---- resume-losses.c */

/** pmr_resume_first_loss() - index of the first one that ends after @offset, @n for none. @losses: in file order, none overlaps */
size_t pmr_resume_first_loss(const struct pmr_loss *losses, size_t n, uint64_t offset);
/** pmr_resume_take_losses() - those of the journal, cut where its pieces begin and end. Return: 0, -ENOMEM. */
int pmr_resume_take_losses(struct pmr_resume_subject *s, struct pmr_losses *losses);
/** pmr_resume_conclude() - the losses of a piece take what was decided of it, where it is not written */
void pmr_resume_conclude(struct pmr_resume_subject *s, const struct pmr_journal_piece *piece,
			 enum pmr_verdict verdict, const char *reason);
/** pmr_resume_add_step() - a piece is to be written. @alloc: room for how many steps. Return: 0, -ENOMEM. */
int pmr_resume_add_step(struct pmr_resume_subject *s, const struct pmr_journal_piece *piece,
			size_t *alloc);

/* ---- resume-whole.c */

/** pmr_resume_find_whole() - pmr_resume_find_file() of a device-dax */
void pmr_resume_find_whole(struct pmr_resume_subject *s);

/** pmr_resume_refuse_whole() - why nothing of it can be written, said; static storage; NULL where it can */
const char *pmr_resume_refuse_whole(const struct pmr_resume_subject *s);

/**
 * pmr_resume_examine_whole() - pmr_resume_examine() of a piece of it
 * @dead: gains, normal, what of the piece has to be cleared: whole units, device offsets; or NULL
 */
int pmr_resume_examine_whole(const struct pmr_resume_look *look,
			     const struct pmr_journal_piece *piece, const char *expected,
			     struct pmr_evidence *evidence, struct pmr_ranges *dead);

/**
 * pmr_resume_run_whole() - write what is left of it
 * @left: set true where something waits for another resume
 *
 * Return: as pmr_whole_run().
 */
int pmr_resume_run_whole(struct pmr_writer *writer, const struct pmr_resume *resume,
			 const struct pmr_resume_file *of, struct pmr_file_plan *plan, bool *left);

/* ---- resume-file.c */

/**
 * pmr_resume_file() - a file of a journal as it is now, and what is to be done to it
 * @topology: where filesystems are looked for
 * @index: of the file in the journal
 * @of: result, but what is in it already; release its verdicts
 * @plan: result: the file, its losses and steps; its @file is NULL where the filesystem is not known
 *
 * What is wrong with it is said. Return: 0; -ENOMEM.
 */
int pmr_resume_file(struct pmr_resume *resume, struct pmr_topology *topology, size_t index,
		    struct pmr_resume_file *of, struct pmr_file_plan *plan);

#endif
