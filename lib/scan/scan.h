/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the rooms behind pmr_scan_new() tell each other:
 *
 *   target.c     what the user named -> files, trees, filesystems, devices
 *   read.c       reads what the targets lie on, where that was asked for
 *   above.c      poison under what is built on a device: mapped devices become targets too
 *   run.c        each of them looked at by what it is
 *   look.c       one file -> its losses, or why they cannot be known
 *   itself.c     the metadata of a file or directory that was named
 *   examine.c    the pages under these losses -> which unlisted sectors are lost too, and what the cache still has
 *   owned.c      the device's list minus what files claimed -> who owns the rest
 *   advise.c     what to do about what no file owns
 *   find.c       what has the bad bytes of a whole filesystem or tree, see find.h
 *   whole.c      a device-dax, which has no filesystem
 *   scan.c       the order of all this, and the result
 */
#ifndef PMR_SCAN_H
#define PMR_SCAN_H

#include "extent/extent.h"
#include "owner/owner.h"
#include "private.h"

/* ---- scan.c */

/**
 * struct pmr_exam - what was learnt of one device's pages
 * @device: the device
 * @pages: listed in part
 * @media: open when it was needed and could be opened
 * @tried: opening it was tried
 */
struct pmr_exam {
	struct pmr_device *device;
	struct pmr_pages pages;
	struct pmr_media *media;
	bool tried;
};

/** struct pmr_inode_name - a name of an inode whose metadata is bad */
struct pmr_inode_name {
	uint64_t inode;
	char *path;
};

/**
 * struct pmr_view - one filesystem, and its device's list as it sees it
 * @filesystem: the filesystem
 * @exam: its device
 * @wide: pmr_widen() of the list
 * @sieve: @wide made ready
 * @met: what of @wide files that were looked at have; in offsets from the filesystem's byte 0, in any order
 * @claims: settled: what has @wide, as the filesystem tells it; what no claim covers was not asked for
 * @own: metadata of files that were looked at, in any order; it is theirs whatever @claims has there
 * @names: of inodes of @claims, by number
 * @is_whole: all of it was asked for
 * @is_found: pmr_find() did all of it
 * @is_by_files: no pass over its inodes told anything, so that metadata of no inode may be a table of some
 */
struct pmr_view {
	struct pmr_filesystem *filesystem;
	struct pmr_exam *exam;
	struct pmr_ranges wide;
	struct pmr_sieve sieve;
	struct pmr_ranges met;
	struct pmr_claims claims;
	struct pmr_claims own;
	struct pmr_inode_name *names;
	size_t n_names;
	size_t alloc_names;
	bool is_whole;
	bool is_found;
	bool is_by_files;
};

/** enum pmr_target_kind - what the user named */
enum pmr_target_kind {
	PMR_TARGET_FILE,
	PMR_TARGET_TREE,
	PMR_TARGET_FILESYSTEM, /* by its block device */
	PMR_TARGET_DEVICE, /* a whole device: every filesystem on it */
};

/**
 * struct pmr_target - one of the things asked about
 * @kind: what it is
 * @name: what messages call it, and where paths begin
 * @path: where a file or tree really is: no symbolic link at its end
 * @device: where it lies
 * @filesystem: NULL for a device
 * @is_implied: no target was named: a device with nothing on it and nothing in its list needs no word
 * @is_beside: it was not named: what was named has a part of it there
 */
struct pmr_target {
	enum pmr_target_kind kind;
	char *name;
	char *path;
	struct pmr_device *device;
	struct pmr_filesystem *filesystem;
	bool is_implied;
	bool is_beside;
};

/** struct pmr_untold - bad bytes of a view that may be metadata of a target of this path, see pmr_add_untold() */
struct pmr_untold {
	struct pmr_view *view;
	char *path;
	struct pmr_ranges ranges;
};

/**
 * struct pmr_scanner - a scan being made
 * @inodes: tsearch() tree of the files in @scan
 * @is_interrupted: cancelled, and said so
 * @is_named: the file that is looked at was named itself
 * @is_locating: the lists of its views are bytes asked about, and no poison: no media is read for them, and nothing is
 *               said of losses. The views are the caller's, and have no exam.
 */
struct pmr_scanner {
	struct pmr_ctx *ctx;
	struct pmr_scan *scan;
	struct pmr_target *targets;
	size_t n_targets;
	size_t alloc_targets;
	struct pmr_view **views;
	size_t n_views;
	size_t alloc_views;
	struct pmr_exam **exams;
	size_t n_exams;
	size_t alloc_exams;
	struct pmr_untold *untold;
	size_t n_untold;
	size_t alloc_untold;
	size_t alloc_files;
	size_t alloc_devices;
	size_t alloc_owned;
	void *inodes;
	bool is_interrupted;
	bool is_named;
	bool is_locating;
};

/** pmr_scanner_release() - free all but the scan */
void pmr_scanner_release(struct pmr_scanner *scanner);

/** pmr_scanner_view() - the view of a filesystem, made when it is new. Return: 0, -ENOMEM. */
int pmr_scanner_view(struct pmr_scanner *scanner, struct pmr_filesystem *filesystem,
		     struct pmr_view **view);

/** pmr_view_release() - free what it holds, but not the view */
void pmr_view_release(struct pmr_view *view);

/** pmr_view_settle() - give @claims of a view what its files have as metadata (@own). Return: 0, -ENOMEM. */
int pmr_view_settle(struct pmr_view *view);

/** pmr_view_add_name() - remember the first name met of an inode; a copy is made. Return: 0, -ENOMEM. */
int pmr_view_add_name(struct pmr_view *view, uint64_t inode, const char *path);

/** pmr_view_name() - the name of an inode, or NULL */
const char *pmr_view_name(const struct pmr_view *view, uint64_t inode);

/** pmr_scanner_refresh() - read a device's list again; @changed: and made its views anew. Return: 0, -ENOMEM. */
int pmr_scanner_refresh(struct pmr_scanner *scanner, struct pmr_exam *exam, bool *changed);

/** pmr_scanner_interrupted() - whether to stop now; says so once and leaves the scan incomplete */
bool pmr_scanner_interrupted(struct pmr_scanner *scanner);

/* ---- look.c: one file */

/** pmr_file_generation() - FS_IOC_GETVERSION of an open file; 0 where there is none, and for no file */
uint32_t pmr_file_generation(int fd);

/** pmr_file_is_dax() - whether an open file bypasses the page cache; its filesystem tells where statx(2) does not */
bool pmr_file_is_dax(int fd, const struct pmr_filesystem *filesystem);

/** pmr_file_is_sealed() - whether fs-verity checks what is read of an open file, by what ext4 keeps behind its end */
bool pmr_file_is_sealed(int fd);
/** pmr_seal_offset() - where in a sealed file of a size it begins */
uint64_t pmr_seal_offset(uint64_t size);

/** pmr_scanner_file() - the file of an inode, if it is in the answer, else NULL */
struct pmr_file *pmr_scanner_file(struct pmr_scanner *scanner, struct pmr_filesystem *filesystem,
				  uint64_t inode);

/**
 * pmr_look_at() - what poison took of one file
 * @dirfd: directory of @name
 * @path: what to call it
 * @st: of it, taken without following a link
 *
 * Return: 0, whatever became of the file; -ECANCELED; -ENOMEM.
 */
int pmr_look_at(struct pmr_scanner *scanner, struct pmr_view *view, int dirfd, const char *name,
		const char *path, const struct stat *st);

/**
 * pmr_look_at_nameless() - the same of an open file that no name leads to
 * @path: what a directory called it, where it was hidden by another file; else NULL
 *
 * A deleted file goes by the name that /proc has for it; one that has no name at all is not in the answer, though
 * what it has is met.
 */
int pmr_look_at_nameless(struct pmr_scanner *scanner, struct pmr_view *view, int fd,
			 const char *path, const struct stat *st);

/** pmr_look_failed() - an entry of a directory cannot be looked at: said, and the scan is not complete. Return: 0. */
int pmr_look_failed(struct pmr_scanner *scanner, const char *path, int error);

/**
 * pmr_look_at_directory() - whether the blocks of a directory itself are bad
 * @claims: gains what of it is
 *
 * Filesystems that do not tell where a directory lies (XFS) leave that to pmr_lookup().
 * Return: 0, -ECANCELED, -ENOMEM.
 */
int pmr_look_at_directory(struct pmr_scanner *scanner, struct pmr_view *view, int dirfd,
			  const char *name, const char *path, struct pmr_claims *claims);

/* ---- itself.c */

/**
 * pmr_look_at_itself() - what of the bad bytes that no file was found to have is metadata of a file that was named
 * @fd: the file, which was looked at
 * @path: what to call it
 *
 * The view gains claims. Where nobody tells, that is said, and the scan is not complete. Return: 0, -ECANCELED, -ENOMEM.
 */
int pmr_look_at_itself(struct pmr_scanner *scanner, struct pmr_view *view, int fd,
		       const char *path);

/** pmr_may_be_inodes() - whether there may be inodes of a file: what is told to be something else has none */
bool pmr_may_be_inodes(const struct pmr_owner_claim *claim);

/**
 * pmr_look_at_inodes() - which inodes below a directory of an XFS lie in bad bytes that no file was found to have
 * @root: the directory
 *
 * Their numbers tell. The view gains claims and names. Return: 0, -ECANCELED, -ENOMEM.
 */
int pmr_look_at_inodes(struct pmr_scanner *scanner, struct pmr_view *view,
		       const struct pmr_root *root);

/**
 * pmr_add_untold() - bad bytes may be metadata of a file or tree, as nobody tells; a target looked at later may have them
 * @ranges: normal, in offsets from the filesystem's byte 0; widened; a copy is made
 *
 * Return: 0, -ENOMEM.
 */
int pmr_add_untold(struct pmr_scanner *scanner, struct pmr_view *view, const char *path,
		   const struct pmr_ranges *ranges);

/** pmr_say_untold() - say what of that no target has; then the scan is not complete. Return: 0, -ENOMEM. */
int pmr_say_untold(struct pmr_scanner *scanner);

/* ---- find.c */

/**
 * pmr_find() - what has the bad bytes of a filesystem, or of a tree in it
 * @root: its root, or the tree's; stays the caller's
 * @is_whole: it is the filesystem's
 *
 * The scan gains files, sorted by path, and the view claims. Return: 0, -ECANCELED, -ENOMEM.
 */
int pmr_find(struct pmr_scanner *scanner, struct pmr_view *view, const struct pmr_root *root,
	     bool is_whole);

/* ---- examine.c */

/**
 * pmr_examine() - from losses taken with the widened list to exact ones
 * @wide: in file order
 * @exact: gains the exact losses, in file order
 *
 * Examines each page below a @wide loss of written data that nobody examined yet.
 * Return: 0, -ENOMEM.
 */
int pmr_examine(struct pmr_scanner *scanner, struct pmr_exam *exam, const struct pmr_losses *wide,
		struct pmr_losses *exact);

/**
 * pmr_examine_ahead() - examine by several threads what pmr_examine() would one page at a time
 * @ranges: normal, device offsets; to be called where most of them will be asked for, while nobody else uses @exam
 *
 * Return: 0, also where nothing could be examined; -ENOMEM.
 */
int pmr_examine_ahead(struct pmr_scanner *scanner, struct pmr_exam *exam,
		      const struct pmr_ranges *ranges);

/**
 * pmr_examine_cache() - make PMR_CACHED what the page cache still has of lost ranges
 * @losses: replaced, split at pages where that tells them apart
 *
 * Return: 0, -ENOMEM.
 */
int pmr_examine_cache(int fd, uint64_t size, struct pmr_losses *losses);

/* ---- target.c */

/** pmr_targets_find() - fill the scanner's targets and devices; what is none is said. Return: 0, -ENOMEM. */
int pmr_targets_find(struct pmr_scanner *scanner, const char *const *names, size_t n);

/** pmr_target_add_device() - add a device as a target, unless it is one. Return: 0, -ENOMEM. */
int pmr_target_add_device(struct pmr_scanner *scanner, struct pmr_device *device);

/** pmr_target_give_up() - the scan goes on with other targets, and is not complete. Return: 0. */
static inline int pmr_target_give_up(struct pmr_scanner *scanner)
{
	scanner->scan->complete = false;
	return 0;
}

/** pmr_target_is_root() - whether it is a filesystem's uppermost directory */
bool pmr_target_is_root(const struct stat *st, const struct pmr_filesystem *filesystem);

/* ---- run.c */

/** pmr_targets_run() - look at all of them, one after the other. Return: 0, -ENOMEM. */
int pmr_targets_run(struct pmr_scanner *scanner);

/* ---- read.c */

/**
 * pmr_targets_read() - read what the targets lie on, see pmr_set_reading(), and put what fails into the devices' lists
 *
 * Why something could not be read is said, and leaves the scan incomplete. Return: 0, -ENOMEM.
 */
int pmr_targets_read(struct pmr_scanner *scanner);

/**
 * pmr_read_leave_offlined() - take the siblings of a listed sector, where all of their page fails, out of what was found
 *
 * A machine check takes a page: with the sector that it puts into the list, its siblings fail. They are what the scan
 * tells of as "page-offlined", and may come back, so they are no poison of their own. Return: 0, -ENOMEM.
 */
int pmr_read_leave_offlined(struct pmr_device *device);

/* ---- ars.c */

/**
 * pmr_targets_ask() - look at what the last scrub of a bus found of what the targets lie on, and no list has
 *
 * It is read: what fails goes into the devices' lists, and what cannot be read leaves them incomplete; both are said.
 * Return: 0, -ENOMEM.
 */
int pmr_targets_ask(struct pmr_scanner *scanner);

/* ---- whole.c */

/** pmr_scan_whole() - add a device-dax as a whole to the files, where it has badblocks. Return: 0, -ENOMEM. */
int pmr_scan_whole(struct pmr_scanner *scanner, struct pmr_device *device);
/**
 * pmr_scan_whole_zeros() - add bytes of a device-dax in which there are zeros that a repair wrote
 * @zeros: normal; what of them is listed by now is a loss anyway
 *
 * Return: 0, -ENOMEM.
 */
int pmr_scan_whole_zeros(struct pmr_scan *scan, struct pmr_device *device,
			 const struct pmr_ranges *zeros);

/* ---- above.c */

/**
 * pmr_scan_above() - add as targets the mapped devices that have the poison of a part of a device
 * @offset, @length: the part
 * @object: what to call it
 *
 * Says what is left where something is built that cannot be followed, and then the scan is not complete.
 * Return: 0, -ENOMEM.
 */
int pmr_scan_above(struct pmr_scanner *scanner, struct pmr_device *device, uint64_t offset,
		   uint64_t length, const char *object);

/* ---- owned.c */

/** pmr_owned_find() - say who owns each bad range of each device of the scan. Return: 0, -ENOMEM. */
int pmr_owned_find(struct pmr_scanner *scanner);

/* ---- advise.c */

/**
 * pmr_owned_say() - say what a device's bad ranges are that no file owns, and what helps
 * @first: index of the device's first range in the scan's
 * @is_whole: the device itself was asked about, with what lies in no filesystem
 *
 * Return: 0, -ENOMEM.
 */
int pmr_owned_say(struct pmr_scanner *scanner, const struct pmr_device *device, size_t first,
		  bool is_whole);

/**
 * pmr_parts_say() - say of which inodes metadata is lost
 *
 * Where a tree alone was asked about, of those that were met in it. Return: 0, -ENOMEM.
 */
int pmr_parts_say(struct pmr_ctx *ctx, const struct pmr_view *view);

/** pmr_owner_advice() - what would make a filesystem tell owners, as the end of a sentence; "" where nothing would */
const char *pmr_owner_advice(const struct pmr_filesystem *filesystem);

#endif
