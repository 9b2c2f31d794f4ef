/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who owns bytes of a filesystem, asked of the filesystem itself, at the cost of the bytes and not of the files:
 *
 *   claim.c    pure: claims sorted, joined, and what none of them covers
 *   fsmap.c    GETFSMAP: XFS with rmapbt tells all, every other one free space and metadata
 *   ext4.c     one pass over ext4's inode table, and ext4-free.c: its block bitmaps
 *   lookup.c   both behind one table, by type of filesystem
 *   xfs.c      what an XFS tells of itself
 *   log.c      a device that holds an XFS's log
 *   inode.c    one file asked for, at the cost of that file
 *   handle.c   an inode opened by its number
 *   open-files.c  who has files open that have no name (open-files.h)
 *   root.c     all of a filesystem, and what of it other mounts hide
 *   walk.c     every name of a tree and its inode number, by several threads
 *
 * What they tell was true a moment ago: before it is reported, the live file is asked (see lib/scan/find.c).
 */
#ifndef PMR_OWNER_H
#define PMR_OWNER_H

#include "private.h"
#include "owner/open-files.h"

/* ---- claim.c: pure */

/**
 * struct pmr_owner_claim - what has a range of a filesystem, as the filesystem tells it
 * @range: in offsets from the filesystem's byte 0
 * @owner: PMR_OWNER_FILE, _UNWRITTEN, _FREE, _METADATA, _LOG; PMR_OWNER_UNKNOWN: nobody told
 * @part: of metadata, what of @inode it is
 * @inode: of a file's data, and of metadata that is one inode's; 0 for none
 * @generation: of @inode, as FS_IOC_GETVERSION gives it
 * @is_unreadable: of PMR_PART_INODE: @inode could not be read. Whoever makes the kernel try, by stat(2) even, may have the
 *                 filesystem remounted read-only, or the machine stopped (ext4's errors=remount-ro, errors=panic)
 */
struct pmr_owner_claim {
	struct pmr_range range;
	enum pmr_owner owner;
	enum pmr_part part;
	uint64_t inode;
	uint32_t generation;
	bool is_unreadable;
};

/** struct pmr_claims - a growing list of claims; zero-initialise, free() its v */
struct pmr_claims {
	struct pmr_owner_claim *v;
	size_t n;
	size_t alloc;
};

/** pmr_claims_add() - append. Return: 0, -ENOMEM. */
int pmr_claims_add(struct pmr_claims *claims, const struct pmr_owner_claim *claim);

/**
 * pmr_claims_add_parts() - append a claim for each part of a list that it has
 * @wanted: normal
 * @claim: its range is cut to each part
 *
 * Return: 0, -ENOMEM.
 */
int pmr_claims_add_parts(struct pmr_claims *claims, const struct pmr_ranges *wanted,
			 const struct pmr_owner_claim *claim);

/** pmr_claims_settle() - sort by place, then inode; join what touches and says the same; drop what is there twice */
void pmr_claims_settle(struct pmr_claims *claims);

/**
 * pmr_claims_ranges() - the ranges of claims
 * @takes: of which ones; NULL for all
 * @ranges: gains them, and is normal then
 *
 * Return: 0, -ENOMEM.
 */
int pmr_claims_ranges(const struct pmr_claims *claims,
		      bool (*takes)(const struct pmr_owner_claim *claim),
		      struct pmr_ranges *ranges);

/**
 * pmr_claims_rest() - the parts of a list that no claim but PMR_OWNER_UNKNOWN has
 * @wanted: normal
 * @rest: gains them, normal
 *
 * Return: 0, -ENOMEM.
 */
int pmr_claims_rest(const struct pmr_claims *claims, const struct pmr_ranges *wanted,
		    struct pmr_ranges *rest);

/**
 * pmr_claims_without() - what is left of claims where a list is cut out of them
 * @ranges: normal
 * @left: gains it, unsettled
 *
 * Return: 0, -ENOMEM.
 */
int pmr_claims_without(const struct pmr_claims *claims, const struct pmr_ranges *ranges,
		       struct pmr_claims *left);

/**
 * pmr_claims_each() - call @fn for each part of a range, in order, with the first claim that has it
 * @claims: settled
 * @cursor: 0 at first; kept between calls for ranges in ascending order, it saves the search for the first claim
 * @fn: @claim is NULL for what no claim has
 *
 * Return: 0, what @fn returned.
 */
int pmr_claims_each(const struct pmr_claims *claims, size_t *cursor, const struct pmr_range *range,
		    int (*fn)(void *data, const struct pmr_owner_claim *claim,
			      const struct pmr_range *part),
		    void *data);

/* ---- fsmap.c */

/**
 * pmr_fsmap_claims() - who has ranges of a filesystem, by its own reverse map
 * @filesystem: in the role of a realtime device, that one is asked about
 * @fd: any open file or directory of it
 * @wanted: normal, in offsets from the filesystem's byte 0
 * @claims: gains claims, in any order: all owners of a shared block; none for what is not told; of ext4's inode tables
 *          METADATA with PMR_PART_INODE, without an inode
 *
 * XFS since 4.12, with owners where it was made with rmapbt and for CAP_SYS_ADMIN alone; ext4 since 4.15, without.
 *
 * Return: 0, also where nothing was told; -ECANCELED; -ENOMEM.
 */
int pmr_fsmap_claims(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, int fd,
		     const struct pmr_ranges *wanted, struct pmr_claims *claims);

/* ---- ext4.c */

/**
 * pmr_ext4_claims() - which inodes of an ext2, ext3 or ext4 have ranges of it, by one pass over its inode table
 * @path: its block device, or an image of one
 * @wanted: normal, in offsets from the filesystem's byte 0
 * @threads: how many may work at it
 * @claims: gains claims, in any order: FILE and UNWRITTEN of regular files; METADATA with a part of directories, long
 *          symbolic links, attributes (each inode that shares a block or a value; none where nobody has it), extent trees and
 *          indirect blocks, and PMR_PART_INODE for each inode in use whose own bytes in the table are wanted, which is also
 *          where inline data lies; METADATA without an inode, LOG, for what the reserved inodes have (journal,
 *          resize, quota, orphan file). Deleted files that are still open are among them
 *
 * Reads metadata through the page cache of the block device, which is where a mounted filesystem has it: to be called
 * after syncfs(2). The reserved inodes are asked first, and where they have it all there is no pass. Tells progress as
 * phase "inodes".
 *
 * Return: 0: every inode was looked at; -EUCLEAN: some could not be read or make no sense, and others may have more
 * than @claims tells; -ECANCELED; -EACCES, -EPERM; -EOPNOTSUPP (features that libext2fs does not know); -ENOMEM; other
 * errors of opening it.
 */
int pmr_ext4_claims(struct pmr_ctx *ctx, const char *path, const struct pmr_ranges *wanted,
		    unsigned int threads, struct pmr_claims *claims);

/**
 * pmr_ext4_inode_claims() - what of one inode has ranges of its filesystem, by that inode alone
 * @number: no reserved inode
 *
 * Return: as pmr_ext4_claims(), of that inode; -EOPNOTSUPP also where its attributes may have values in inodes of their own,
 * whose holder is found by a pass alone.
 */
int pmr_ext4_inode_claims(struct pmr_ctx *ctx, const char *path, const struct pmr_ranges *wanted,
			  uint64_t number, struct pmr_claims *claims);

/* ---- ext4-free.c */

/**
 * pmr_ext4_free_claims() - which ranges of an ext2, ext3 or ext4 are free by its block bitmaps
 * @wanted: normal: what a whole pass found no owner for, and GETFSMAP does not call free: blocks that the kernel has set
 *          aside for files that grow
 * @is_sure: a second pass found no owner either, for files whose extents were on the move
 * @claims: gains PMR_OWNER_FREE, also for what lies behind the end of the filesystem; where @is_sure, of clusters that are in
 *          use PMR_OWNER_UNWRITTEN for blocks that nobody has
 * @has_clusters: whether there are blocks of the latter kind
 *
 * Return: 0, also where a bitmap cannot be believed; -ECANCELED; -ENOMEM.
 */
int pmr_ext4_free_claims(struct pmr_ctx *ctx, const char *path, const struct pmr_ranges *wanted,
			 bool is_sure, struct pmr_claims *claims, bool *has_clusters);

/* ---- log.c */

/**
 * pmr_log_claims() - what of a device that holds the log of an XFS is log
 * @filesystem: in the role of a log; @mountpoint and @of tell whose, where that is mounted
 * @claims: gains LOG, and FREE for what lies behind the end of a log that is shorter than its device. Where nobody tells how
 *          long it is, all of it is LOG
 *
 * Return: 0; -ENODEV: its filesystem has its log elsewhere, which is said; -ENOMEM.
 */
int pmr_log_claims(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem,
		   struct pmr_claims *claims);

/* ---- lookup.c */

/**
 * pmr_lookup() - ask a filesystem who has ranges of it
 * @fd: any open file or directory of it
 * @wanted: normal, in offsets from its byte 0
 * @claims: result, settled; covers all of @wanted, with PMR_OWNER_UNKNOWN where nobody told; a shared block has a claim of
 *          each owner
 * @way: how they were found; PMR_WAY_WALK: what is unknown may be a file's, and only a walk can tell. Otherwise what is
 *       unknown is no file's that the filesystem knows of
 *
 * Of a filesystem whose log was not replayed nothing is free or unwritten: that is unknown, too.
 *
 * Return: 0; -ECANCELED; -ENOMEM. What kept it from asking is said.
 */
int pmr_lookup(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, int fd,
	       const struct pmr_ranges *wanted, struct pmr_claims *claims, enum pmr_way *way);

/* ---- inode.c */

/**
 * pmr_lookup_inode() - which ranges of a filesystem are metadata of one file, at the cost of that file
 * @fd: the file, after its extents were listed
 * @wanted: normal, in offsets from the filesystem's byte 0
 * @claims: gains METADATA with a part and @inode, in any order; of XFS's PMR_PART_INODE, all that is read with it
 * @rest: gains what may be the file's metadata and nobody told of, normal
 *
 * Return: 0; -ECANCELED; -ENOMEM.
 */
int pmr_lookup_inode(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, int fd,
		     uint64_t inode, const struct pmr_ranges *wanted, struct pmr_claims *claims,
		     struct pmr_ranges *rest);

/** pmr_may_ask_xfs() - whether this process has CAP_SYS_ADMIN, without which XFS tells nobody of owners */
bool pmr_may_ask_xfs(void);

/* ---- handle.c */

/**
 * pmr_handle_open() - open a regular file or directory by its inode's number, whatever its names are
 * @fd: any open file or directory of its filesystem
 * @generation: of the inode
 *
 * Needs CAP_DAC_READ_SEARCH in the first user namespace. Return: a descriptor; -ESTALE: there is no such inode (any
 * more); -EPERM; -EINVAL: it is neither; other negative errno.
 */
int pmr_handle_open(const struct pmr_filesystem *filesystem, int fd, uint64_t inode,
		    uint32_t generation);

/* ---- root.c */

/**
 * struct pmr_root - a directory of a filesystem, to be walked; descriptors are -1 where there is none
 * @fd: the directory, with nothing hidden below it where @is_bare; for pmr_walk()
 * @kept: the same directory where it is mounted, by which the filesystem stays busy: umount(8) says so
 * @tree: what a bare @fd is in
 * @path: where names begin: as it was given
 * @part: of a filesystem's own mountpoint: NULL where all of it is mounted there, else the directory of the filesystem
 *        that is; what lies outside of that is not below @fd
 * @is_bare: no other mount hides anything from a walk of @fd; what they hide is met, by a path that leads elsewhere
 */
struct pmr_root {
	int fd;
	int kept;
	int tree;
	char *path;
	char *part;
	bool is_bare;
};

/**
 * pmr_root_open() - open a directory of a filesystem for a walk that no mount below it keeps from seeing all
 * @path: the directory; NULL for where the filesystem is mounted
 * @root: result, set in any case; release with pmr_root_close()
 *
 * With CAP_SYS_ADMIN (since 5.2) a copy of the mount alone is walked, which is in no mount namespace and is gone with its
 * descriptors, at the latest with the process. Why it cannot be opened is said ("hidden", "cannot-read-directory").
 *
 * Return: 0; -ENODEV: the filesystem is not there (any more), or not mounted; -ENOMEM; another errno of opening it.
 */
int pmr_root_open(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, const char *path,
		  struct pmr_root *root);
/** pmr_root_say_part() - say of a root with a part what that means ("mounted-in-part"); nothing of one without */
void pmr_root_say_part(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem,
		       const struct pmr_root *root);

/** pmr_root_close() - takes what pmr_root_open() failed to open, too */
void pmr_root_close(struct pmr_root *root);

/**
 * pmr_root_check() - whether the root's path still leads to it, after the walk
 *
 * Says if not ("mount-changed"): what was met is right, but its paths lead elsewhere, and the answer is not complete.
 */
bool pmr_root_check(struct pmr_ctx *ctx, const struct pmr_root *root);

/**
 * pmr_root_hides() - which mount hides a file that was met by a walk of a bare root
 * @path: as the walk told it
 * @by: result: the mountpoint that is in the way; free() it. Untouched where the answer is not 1
 *
 * Goes from directory to directory, however long the path is. Return: 1: a mount is why the path does not lead to the file;
 * 0: none is in the way, or @root is not bare; -ENOMEM.
 */
int pmr_root_hides(const struct pmr_root *root, const char *path, char **by);

/** pmr_root_say_hidden() - say of a file which mount hides it, and what to do; @by from pmr_root_hides() */
void pmr_root_say_hidden(struct pmr_ctx *ctx, const struct pmr_root *root, const char *path,
			 const char *by);

/* ---- walk.c */

/**
 * struct pmr_walk_entry - a name met by a walk; all of it lives only during the call
 * @path: as the walk's path was given, with what lies below it
 * @dirfd: the directory that @name is in; of the walk's own root: the root itself
 * @name: of the root: "."
 * @inode: the number that the directory has for it: of a mountpoint, of what is hidden below the mount
 * @type: DT_REG, DT_DIR, DT_LNK, ...; DT_UNKNOWN where the filesystem does not say
 * @worker: which of the threads met it, from 0
 */
struct pmr_walk_entry {
	const char *path;
	int dirfd;
	const char *name;
	uint64_t inode;
	unsigned char type;
	unsigned int worker;
};

/**
 * struct pmr_walker - what a walk is made for
 * @wants: whether @meet is to be called for an entry; NULL for every one. Called for each name, so to be fast
 * @meet: what to do with it; anything but 0 stops the walk
 * @data: for both, which are called by several threads at a time
 * @threads: how many; 1 is the calling one alone
 */
struct pmr_walker {
	bool (*wants)(void *data, uint64_t inode, unsigned char type);
	int (*meet)(void *data, const struct pmr_walk_entry *entry);
	void *data;
	unsigned int threads;
};

/**
 * pmr_walk() - meet the names of a directory and of all below it, within one filesystem
 * @fd: the directory, open for reading; stays the caller's
 * @path: its path, where names begin
 * @total: of names, for progress; 0 where it is not known
 * @complete: set false where a directory could not be read; said through the context. A walk that @meet stopped is complete
 *
 * Reads directories alone (getdents64), of each no more at a time than a buffer, and asks nothing of what is in them
 * but of subdirectories, which are opened below their parent, by no path: names of any length and depth; and of entries
 * whose type the directory does not say. Follows no symbolic link, goes through no mountpoint, of the same filesystem
 * neither (5.8), and opens nothing that could mount one. Memory is bounded by depth and threads, not by names. Tells
 * progress as phase "names".
 *
 * In a tree that changes meanwhile it meets once each name that nobody touches, if nobody moves a directory that the
 * name is below; one that is made, removed or renamed meanwhile, or below what is moved, it may meet once, twice (under
 * two paths) or not at all. What leads back up is found again; where it is not, that is said ("tree-changed").
 *
 * Return: 0, what @meet returned, -ECANCELED (@complete is then false), -ENOMEM.
 */
int pmr_walk(struct pmr_ctx *ctx, int fd, const char *path, uint64_t total,
	     const struct pmr_walker *walker, bool *complete);

#endif
