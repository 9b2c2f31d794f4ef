/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the rooms of a repair tell each other, in the order of its flow:
 *
 *   claim -> method, plan -> backup -> compose -> journal -> batch -> write, punch, device-write -> verify
 *   journal -> resume -------------------------------------> batch
 *
 * plan and judge decide and do no I/O; the others do I/O and decide nothing but whether it went well.
 */
#ifndef PMR_REPAIR_H
#define PMR_REPAIR_H

#include "private.h"
#include "device/lock.h"

/** PMR_CHUNK - most bytes that are composed, written and verified at once */
#define PMR_CHUNK (256u * 1024)

/** pmr_chunk_length() - how much of a step is one chunk, from @done on */
static inline size_t pmr_chunk_length(const struct pmr_step *step, uint64_t done)
{
	return step->length - done < PMR_CHUNK ? (size_t)(step->length - done) : PMR_CHUNK;
}

/* ---- lease.c, holders.c */

/**
 * pmr_lease_take() - make sure that nobody else has a file open, and hear of who wants in
 * @fd: the only descriptor of the file in this process, open for reading and writing
 *
 * A write lease. Who opens the file waits (45 s by default, /proc/sys/fs/lease-break-time). The kernel's note of it
 * is sent as SIGURG, which is ignored unless the program chose otherwise, and not SIGIO, which kills.
 *
 * Return: 0; -EAGAIN: somebody has it open or mapped; -EACCES: not the owner and no CAP_LEASE; -EINVAL or
 * -EOPNOTSUPP: a filesystem without leases.
 */
int pmr_lease_take(int fd);
/** pmr_lease_is_wanted() - whether somebody waits for us to let go (or the lease is lost) */
bool pmr_lease_is_wanted(int fd);
/**
 * pmr_lease_is_lost() - whether the kernel took the lease away, since we kept others waiting for too long
 *
 * They may then have written anything, and every place of the file may be another file's.
 */
bool pmr_lease_is_lost(int fd);
/** pmr_lease_release() - let go */
void pmr_lease_release(int fd);

/**
 * pmr_holders() - name the programs that have a file open or mapped
 * @text: result, e.g. "postgres (812), tail (4031)"; empty when none could be seen. Always terminated.
 * @size: bytes of @text
 */
void pmr_holders(dev_t devno, uint64_t inode, char *text, size_t size);

/** pmr_node_holders() - the same of a character device, by whichever node of it. @node: what stat(2) says of one */
void pmr_node_holders(const struct stat *node, char *text, size_t size);

/* ---- claim.c */

/**
 * struct pmr_claim - a file that is ours while it is repaired
 * @fd: open for reading and writing, under a write lease; @in_use: for reading, without one
 * @in_use: somebody else has it open, so nothing may be written but by PMR_METHOD_DEVICE
 * @grown: the size that our write of its last page may have given it, and it was not cut back since; else 0
 * @file: what the scan said of it
 * @change_time: st_ctim as our own last write left it
 * @mode: permission and set-id bits to put back
 * @drops_set_id: set-id bits of @mode that are gone may be our write's doing; else they are somebody's chmod
 * @capability: security.capability to put back, @capability_length bytes; NULL for none
 * @around: of a device-dax, by pmr_journal_look_around()
 * @n_around: how many
 */
struct pmr_claim {
	int fd;
	bool in_use;
	uint64_t grown;
	const struct pmr_file *file;
	struct timespec change_time;
	mode_t mode;
	bool drops_set_id;
	void *capability;
	size_t capability_length;
	struct pmr_journal_around *around;
	size_t n_around;
};

/**
 * pmr_claim_take() - open a file for repair, or refuse it by name
 * @online: also where somebody else has it open or mapped, or wrote to it since the scan: the claim is then @in_use
 * @claim: result; release with pmr_claim_release()
 * @refused: why not, for the loss's reason; static storage
 *
 * Refused, and said through the context: immutable, append-only, verity, encrypted, swap and running files, those whose data
 * goes to a log first, read-only filesystems, files that changed since the scan, files that somebody else has open.
 *
 * Return: 0; -EBUSY with @refused set; -ENOMEM.
 */
int pmr_claim_take(struct pmr_ctx *ctx, const struct pmr_file *file, bool online,
		   struct pmr_claim *claim, const char **refused);

/**
 * pmr_claim_drops_set_id() - whether a write of this process drops a file's set-id bits, as it does without CAP_FSETID
 *
 * Where it does not, it is somebody's chmod if one is gone.
 */
bool pmr_claim_drops_set_id(void);

/**
 * pmr_claim_check() - look again: is it still the file that was planned for?
 *
 * A file that is @in_use may change and grow. Return: NULL, "changed" or "in-use"; static.
 */
const char *pmr_claim_check(const struct pmr_claim *claim);

/** PMR_PLACES - how much of a file's mapping is listed at once */
#define PMR_PLACES ((uint64_t)16 << 20)

/**
 * struct pmr_places - where parts of a file lie, one after the other; zero-initialise, pmr_places_release()
 * @extents: a listing of what lies before @end
 * @extent: its last one
 * @end: file offset; 0 without a listing
 */
struct pmr_places {
	struct pmr_extents *extents;
	struct pmr_extent extent;
	uint64_t end;
};

/**
 * pmr_places_check() - look again: does a step lie where it was planned for?
 * @step: whose mapping is looked at. Of steps in file order that lie near to each other it is listed once
 *
 * Return: NULL when it does; else why not: "moved", or "shared", which does not matter to PMR_METHOD_DEVICE. Static
 * storage.
 */
const char *pmr_places_check(struct pmr_places *places, const struct pmr_claim *claim,
			     const struct pmr_step *step);
/** pmr_places_release() - the next check lists anew */
void pmr_places_release(struct pmr_places *places);

/** pmr_claim_settle() - put mode and capability back, and take the change time as our own. Return: 0, -errno. */
int pmr_claim_settle(struct pmr_claim *claim);
/** pmr_claim_release() - let go of the lease and close; takes an empty claim */
void pmr_claim_release(struct pmr_claim *claim);

/* ---- cow.c */

/**
 * pmr_cow_drop() - have XFS give up the blocks it keeps for copy-on-write
 *
 * XFS takes more than it needs when it copies a shared block. For some minutes a write to the neighbours, shared or
 * not, then goes to those blocks and not to its own: that reads the poison it should replace, and fails with EIO.
 *
 * Return: 0, also on other filesystems; a negative errno. A write may work all the same.
 */
int pmr_cow_drop(const struct pmr_claim *claim);

/* ---- plan.c: pure */

/**
 * pmr_plan_split_tail() - cut losses past the end of a file where its last page ends
 *
 * What shares the last page must be written for the page to be readable; what lies past it is nobody's.
 * Return: 0, -ENOMEM.
 */
int pmr_plan_split_tail(struct pmr_file *file);

/**
 * pmr_plan_method() - how the steps of a file are to be written
 * @wanted: what was asked for
 * @recovery: what the kernel offers
 * @method: result: never PMR_METHOD_AUTO
 *
 * Without DAX the block layer clears what it writes, on every kernel. Of a DAX file the losses that are in no list any
 * more need no more than a write either.
 *
 * Return: NULL; or why it cannot be done: "no-flag", "no-recovery-write". Static storage.
 */
const char *pmr_plan_method(const struct pmr_file *file, enum pmr_method wanted,
			    const struct pmr_recovery *recovery, enum pmr_method *method);

/** pmr_plan_wants() - whether a loss is to be written: lost, cached, or past the end inside the last page */
bool pmr_plan_wants(const struct pmr_file *file, const struct pmr_loss *loss);

/** pmr_plan_skip() - leave what is still wanted of a file, for one reason */
void pmr_plan_skip(struct pmr_file *file, const char *reason);

/** pmr_plan_leave() - leave what reaches behind @offset of a step's losses, unless it failed already */
void pmr_plan_leave(struct pmr_file *file, const struct pmr_step *step, uint64_t offset,
		    const char *reason);
/** pmr_plan_is_left() - whether all losses of a step were left: the journal may not have its bytes */
bool pmr_plan_is_left(const struct pmr_file *file, const struct pmr_step *step);

/**
 * struct pmr_policy - what of a file may be written, and how
 * @wanted: the method that was asked for
 * @rest: how that is written which does not go by PMR_METHOD_DEVICE
 * @accept_offlined: take whole pages that are offlined
 * @in_use: nothing may be written but by PMR_METHOD_DEVICE
 * @block: the device's logical block in bytes
 * @no_device: why PMR_METHOD_DEVICE cannot be, static storage; NULL where it can
 */
struct pmr_policy {
	enum pmr_method wanted;
	enum pmr_method rest;
	bool accept_offlined;
	bool in_use;
	unsigned int block;
	const char *no_device;
};

/** pmr_plan_by_device() - whether a wanted loss goes by PMR_METHOD_DEVICE; one of a page takes all of the page with it */
bool pmr_plan_by_device(const struct pmr_file *file, const struct pmr_policy *policy, size_t i);

/**
 * pmr_plan_policy() - leave what is not safe or not allowed
 *
 * Shared blocks and what is in use are written by PMR_METHOD_DEVICE or not at all. That oopses the kernel where the page
 * is not mapped, so it takes a sector of the page that can be read: an offlined page has none, nor one that is listed
 * whole. Without DAX every write comes down as one of the block device, so there an offlined page is left whatever was
 * asked.
 */
void pmr_plan_policy(struct pmr_file *file, const struct pmr_policy *policy);

/**
 * pmr_plan_steps() - from losses to writes
 * @file: losses sorted by offset; those wanted become steps
 * @policy: as it was for pmr_plan_policy()
 * @extents: every extent under the pages of the losses wanted, sorted by offset
 * @steps: result, free() it; losses that cannot be written whole become PMR_SKIPPED
 *
 * A step is widened to pages, never past its extent; one by PMR_METHOD_DEVICE to logical blocks, never past its page.
 * Return: 0, -ENOMEM.
 */
int pmr_plan_steps(struct pmr_file *file, const struct pmr_policy *policy,
		   const struct pmr_extent *extents, size_t n_extents, struct pmr_step **steps,
		   size_t *n_steps);

/* ---- whole-plan.c: a device-dax, all of it */

/**
 * pmr_whole_steps() - from losses to what is cleared and stored (pure)
 * @unit: of the bus's clear command
 * @accept_offlined: also losses that are "page-offlined", which else become PMR_SKIPPED
 * @steps: result, free() it; losses that cannot be cleared without more than the device become PMR_SKIPPED, "clear-unit"
 *
 * A step is a loss, widened to whole units of physical memory, and no more; those that touch then are one.
 * Return: 0, -ENOMEM.
 */
int pmr_whole_steps(struct pmr_file *file, uint64_t unit, bool accept_offlined,
		    struct pmr_step **steps, size_t *n_steps);

/**
 * pmr_whole_prepare() - the plan of a device-dax, or why there is none
 * @plan: gets steps and backup, or is @refused
 * @targets, @n_targets: for where a backup directory's paths begin
 *
 * Refused, by name: a bus that cannot clear, a device that is read-only or that others have open or mapped (but for
 * @options->online), a list from a file.
 * Return: 0; -EINVAL with @refused set; -ENOMEM.
 */
int pmr_whole_prepare(struct pmr_ctx *ctx, const char *const *targets, size_t n_targets,
		      const struct pmr_repair_options *options, struct pmr_file_plan *plan);

/** pmr_whole_users() - name the programs that have a device-dax open or mapped, as pmr_node_holders() */
void pmr_whole_users(const struct pmr_device *device, char *text, size_t size);

/* ---- owners.c */

/**
 * pmr_plan_owners() - blocks that more than one file of a plan would write
 *
 * Where their replacement bytes are the same, the first writes and the others follow; else all of the page's losses
 * are PMR_CONFLICT, "backups-differ", and its steps are taken out of the plan.
 *
 * Return: 0, -ENOMEM.
 */
int pmr_plan_owners(struct pmr_ctx *ctx, struct pmr_plan *plan);

/* ---- method.c */

/**
 * pmr_method_try() - have a bit that may be RWF_RECOVERY_DATA show that it is, on a file of this scan
 *
 * Does nothing where no bit waits to be shown. What came of it is said.
 */
void pmr_method_try(struct pmr_ctx *ctx, const struct pmr_scan *scan);

/**
 * pmr_method_choose() - how the steps of a file are to be written, or why they cannot be
 * @plan: gets the method
 * @refused: why not; static storage; said through the context, with what would help
 *
 * Return: 0; -EINVAL with @refused set.
 */
int pmr_method_choose(struct pmr_ctx *ctx, struct pmr_file_plan *plan, enum pmr_method wanted,
		      const char **refused);

/* ---- policy.c */

/**
 * pmr_policy_apply() - what of a file may be written; leaves the rest, and says why
 * @claim: taken, or of a file that is not in use
 * @policy: result, without @rest
 */
void pmr_policy_apply(struct pmr_ctx *ctx, struct pmr_file *file, const struct pmr_claim *claim,
		      const struct pmr_repair_options *options, struct pmr_policy *policy);

/**
 * pmr_policy_choose() - how that is written which does not go by PMR_METHOD_DEVICE
 * @plan: gets the method
 * @wanted: what was asked for
 * @policy: gets @rest
 *
 * Where there is no way, and other losses go by device, those alone are left. Return: as pmr_method_choose().
 */
int pmr_policy_choose(struct pmr_ctx *ctx, struct pmr_file_plan *plan, enum pmr_method wanted,
		      struct pmr_policy *policy);

/* ---- extents.c */

/** struct pmr_extent_list - extents sorted by offset; free() its v */
struct pmr_extent_list {
	struct pmr_extent *v;
	size_t n;
	size_t alloc;
};

/**
 * pmr_plan_extents() - every extent under the pages of the losses of a file that are wanted
 * @list: result
 *
 * Return: 0; what FIEMAP said; -ENOMEM.
 */
int pmr_plan_extents(const struct pmr_claim *claim, struct pmr_extent_list *list);

/* ---- backup.c */

/**
 * struct pmr_backup - where a file's replacement bytes come from
 * @fd: the open backup
 * @path: its name
 * @size: its size
 * @inode: st_ino
 * @change_time: st_ctim
 */
struct pmr_backup {
	int fd;
	char *path;
	uint64_t size;
	uint64_t inode;
	struct timespec change_time;
};

/**
 * pmr_backup_path() - the backup of a file below a backup directory
 * @path: result, free() it
 *
 * Below a directory target: the same path below @options->backup. For a file, a device or no target: the path below
 * the mountpoint. With a backup root: the path below that.
 *
 * Return: 0; -ENOENT: the file does not lie below the root; -ENOMEM; other errno of resolving names.
 */
int pmr_backup_path(const struct pmr_file *file, const char *const *targets, size_t n_targets,
		    const struct pmr_repair_options *options, char **path);

/**
 * pmr_backup_open() - open a backup and refuse one that is the file itself
 * @claim: the file to be repaired
 * @refused: why not; static storage; said through the context
 *
 * Return: 0; -EINVAL with @refused set.
 */
int pmr_backup_open(struct pmr_ctx *ctx, const char *path, const struct pmr_claim *claim,
		    struct pmr_backup *backup, const char **refused);

/** pmr_backup_read() - exactly @length bytes. Return: 0; -ERANGE: it is too short; other errno. */
int pmr_backup_read(const struct pmr_backup *backup, uint64_t offset, void *buffer, size_t length);

/**
 * pmr_backup_verify() - compare a backup with what can still be read of the file
 * @media: the file's device
 * @plan: the file's steps
 * @options: which bytes, and whether a copy that was salvaged may lack them
 * @refused: why it is not to be believed; static storage; said through the context
 *
 * Return: 0; -EINVAL with @refused set; -ENOMEM.
 */
int pmr_backup_verify(struct pmr_ctx *ctx, const struct pmr_backup *backup,
		      const struct pmr_claim *claim, struct pmr_media *media,
		      const struct pmr_file_plan *plan, const struct pmr_repair_options *options,
		      const char **refused);

/**
 * pmr_backup_has_changed() - whether it may hold other bytes by now than when it was opened
 *
 * Asked behind the last read: a write notes the change time before its first byte can be read.
 */
bool pmr_backup_has_changed(const struct pmr_backup *backup);

/**
 * pmr_backup_unmended() - whether a mapfile beside a backup says that bytes are missing in it, as in a copy that was salvaged
 * @lost: offsets of what would be taken from the backup; normal
 * @plain: those of sectors of it that are, in the backup, nothing but one byte again and again; normal
 * @mapfile: result: its name there, free() it
 * @offset: result: of the first range of @lost that was not rescued and is plain, all of it
 *
 * Mapfiles are looked for by their names: what begins with the backup's, or ends in "map" or "mapfile". One counts that
 * was made with the backup, by its inode, or is named after it and was not made with a file here that more of its name stands for
 * and that is younger than the backup.
 * Return: 1; 0 where there is none, or none that says so; -ENOMEM.
 */
int pmr_backup_unmended(const struct pmr_backup *backup, const struct pmr_ranges *lost,
			const struct pmr_ranges *plain, char **mapfile, uint64_t *offset);

/** pmr_backup_close() - takes an empty one */
void pmr_backup_close(struct pmr_backup *backup);

/* ---- compose.c */

/**
 * struct pmr_compose - what the bytes of a step are made of
 * @claim: the file
 * @media: its device
 * @backup: replacement bytes, or NULL for zeros
 */
struct pmr_compose {
	const struct pmr_claim *claim;
	struct pmr_media *media;
	const struct pmr_backup *backup;
};

/**
 * pmr_compose_chunk() - the bytes to be written: what is readable as it is, what is lost from the source
 * @plan: the file's plan; the sources are noted in its losses
 * @step: the step
 * @offset: file offset of the chunk, inside the step
 * @length: at most PMR_CHUNK
 * @buffer: result, page aligned
 * @refused: why it cannot be composed: "newly-unreadable", "backup-unreadable", "backup-short", "backup-changed"; static
 *           storage
 *
 * Return: 0; -EINVAL with @refused set; -ENOMEM.
 */
int pmr_compose_chunk(const struct pmr_compose *compose, struct pmr_file_plan *plan,
		      const struct pmr_step *step, uint64_t offset, size_t length, void *buffer,
		      const char **refused);

/* ---- journal-place.c, journal-ahead.c, journal.c */

/**
 * pmr_place_check() - whether a journal may lie in a directory
 * @directory: open
 * @name: its name for messages
 * @plan: whose devices are ruled out, and what is stacked on them
 *
 * Return: 0; -EINVAL: it may not, and why was said; other errno, said.
 */
int pmr_place_check(struct pmr_ctx *ctx, int directory, const char *name,
		    const struct pmr_plan *plan);

/**
 * pmr_journals_check() - whether there is an interrupted repair of what is about to be written
 * @directory: NULL for PMR_STATE_DIRECTORY
 * @plan: what is about to be written; its devices are locked, so that none can be interrupted from now on
 *
 * Return: 0; -EBUSY: there is; another errno of looking; all said.
 */
int pmr_journals_check(struct pmr_ctx *ctx, const char *directory, const struct pmr_plan *plan);

struct pmr_journal;

/**
 * pmr_journal_check() - whether a journal may be made in a directory, which itself is made where it is missing
 *
 * Makes nothing. Return: 0; -errno, said.
 */
int pmr_journal_check(struct pmr_ctx *ctx, const char *directory, const struct pmr_plan *plan);

/**
 * pmr_journal_open() - begin a journal
 * @directory: made with mode 0700 when missing
 * @plan: whose devices and filesystems the journal must not lie on
 * @zero_fill: the source is zeros
 * @journal: result; end with pmr_journal_finish() or pmr_journal_close()
 *
 * The journal is locked (flock(2)) while it is open, so that nobody takes it for an interrupted one.
 * Return: 0; -errno, said through the context: not a place that survives a power cut, on the damaged device, full.
 */
int pmr_journal_open(struct pmr_ctx *ctx, const char *directory, const struct pmr_plan *plan,
		     bool zero_fill, struct pmr_journal **journal);
/**
 * pmr_journal_reopen() - go on with one that was interrupted
 * @entry: it is read once more, and must still be just that; what was torn off its end is cut off
 * @plan: as pmr_journal_open()
 *
 * Return: 0; -EBUSY: somebody is at work on it; -ESTALE: it is not what it was; other errno; all said.
 */
int pmr_journal_reopen(struct pmr_ctx *ctx, const struct pmr_journal_entry *entry,
		       const struct pmr_plan *plan, struct pmr_journal **journal);
/** pmr_journal_path() - where it is */
const char *pmr_journal_path(const struct pmr_journal *journal);
/**
 * pmr_journal_look_around() - what lies around the steps of a device-dax, for its journal
 * @claim: gains @around, what of it can be read and is in no step
 *
 * Return: 0; -ENOMEM; another errno of the device.
 */
int pmr_journal_look_around(struct pmr_media *media, const struct pmr_file_plan *plan,
			    struct pmr_claim *claim);
/**
 * pmr_journal_file() - add a file's plan, ahead of its bytes
 * @claim: its mode and capability
 * @index: result: for marks and outcome. In one that was reopened, the files have their places in struct
 *         pmr_journal_entry
 *
 * Return: 0, -errno.
 */
int pmr_journal_file(struct pmr_journal *journal, const struct pmr_file_plan *plan,
		     const struct pmr_claim *claim, size_t *index);
/**
 * pmr_journal_bytes() - add bytes to be written
 * @position: where they can be read back
 *
 * Return: 0; -errno, of them or of what was added before: small records are written together.
 */
int pmr_journal_bytes(struct pmr_journal *journal, uint64_t file_offset, const void *bytes,
		      size_t length, uint64_t *position);
/**
 * pmr_journal_read() - read bytes back and check them
 * @position: of the record; then of the one behind it, and so the end of the bytes
 *
 * Return: 0; -EBADMSG (checksum, or another length); -errno.
 */
int pmr_journal_read(struct pmr_journal *journal, uint64_t *position, void *bytes, size_t length);
/**
 * pmr_journal_mark() - note how far pieces of a file came
 * @index: of the file
 * @mark: PMR_MARK_OPEN: right before their writes; on stable storage when this returns. PMR_MARK_DONE: verified.
 *        PMR_MARK_NONE: nothing of them was written after all. The latter two are seen by whoever reads the file, and lost
 *        only with the power
 * @positions: of their records
 * @change_time: st_ctim of the file now, as our own last write left it
 *
 * Return: 0, -errno.
 */
int pmr_journal_mark(struct pmr_journal *journal, size_t index, enum pmr_mark mark,
		     const uint64_t *positions, size_t n, const struct timespec *change_time);
/** pmr_journal_sync() - all that was added is on stable storage. Return: 0, -errno. */
int pmr_journal_sync(struct pmr_journal *journal);
/** pmr_journal_outcome() - add what became of a file. Return: 0, -errno. */
int pmr_journal_outcome(struct pmr_journal *journal, const struct pmr_file_plan *plan,
			size_t index);
/** pmr_journal_finish() - every file has its outcome: sync, rename to .done. Return: 0, -errno. */
int pmr_journal_finish(struct pmr_journal *journal);
/**
 * pmr_journal_give_up() - in place of pmr_journal_finish(), where something in the way of the repair ended it
 *
 * @resumable: what was not begun is to be taken up later, see pmr_resume_run()
 *
 * Where no write was ever begun, nobody needs it: it is removed. Where every file that was begun has its outcome, the rest
 * is cut off and it is finished, unless @resumable. Else it stays to be resumed. Return: 1 it was removed, 0, -errno.
 */
int pmr_journal_give_up(struct pmr_journal *journal, bool resumable);
/** pmr_journal_close() - release; an unfinished journal stays on disk as such. Takes NULL. */
void pmr_journal_close(struct pmr_journal *journal);

/* ---- record.c */

/**
 * pmr_record_missing() - what of lost bytes the kernel's list must be given, lest nobody hears of it again
 * @dead: normal, device offsets: listed before, or found by reading, and unreadable now
 * @different: likewise: readable, and not what was written
 * @missing: result, normal
 *
 * What only reading found is no record: while it fails, the next reading finds it again. Pure. Return: 0, -ENOMEM.
 */
int pmr_record_missing(const struct pmr_device *device, const struct pmr_ranges *dead,
		       const struct pmr_ranges *different, struct pmr_ranges *missing);

/**
 * pmr_record_keep() - put records back that the kernel dropped although the bytes are still lost
 * @dead, @different: as of pmr_record_missing()
 *
 * A write to poison can drop the record and leave the page unreadable (6.1 and 6.12, a page that was offlined while
 * no program had it mapped), or clear more than it then writes. Without the record nobody would hear of it again, and
 * a later repair would take what is there for data.
 *
 * Return: 0 also when it could not be done, which was said; -ENOMEM.
 */
int pmr_record_keep(struct pmr_ctx *ctx, struct pmr_device *device, const struct pmr_ranges *dead,
		    const struct pmr_ranges *different);

/* ---- batch.c, write-look.c, write.c, punch.c: from the journal onto the medium */

/** PMR_PUNCH_HELP - what is left where nothing can be written in place, and what it costs */
#define PMR_PUNCH_HELP                                                                                             \
	"--method=device writes the lost sectors in place while the filesystem is frozen; "                        \
	"--method=punch repairs it, and moves the damaged blocks: the file may fragment, and the poison stays in " \
	"free space until those blocks are written"

/** PMR_REFUSALS - after so many pages in a row that the kernel would not write, the others are not tried */
#define PMR_REFUSALS 3u

/** PMR_BATCH - most chunks that are looked at, written and verified together; of a punch, one */
#define PMR_BATCH 64u

/** PMR_MARK_SECONDS - a write begins at most so long after the mark before it, which is then made anew */
#define PMR_MARK_SECONDS 5

struct pmr_chunk;

/**
 * struct pmr_writer - what all of a run's files have in common
 * @scan: incomplete where a file could not be put back as it was
 * @journal: where the bytes are
 * @wanted: what was asked for; under PMR_METHOD_AUTO a plain write is tried where a flagged one fails
 * @trust_badblocks: see struct pmr_repair_options
 * @done, @total: bytes, for progress
 * @device: of the current file
 * @refusals: pages of @device in a row, of DAX files, that were not written and left as they were
 * @has_recovered: a page over poison of a DAX file was written: the kernel can
 * @told: that was said of the current file
 * @told_unread: that it cannot be read back was said of it
 * @needs_journal: bytes were taken from a file that are now in the journal alone, or it waits to be cut to its size
 * @bytes: PMR_CHUNK bytes, page aligned: what is to be written. Private memory that is present: pmem_recovery_write()
 *         (5.19) drops the poison record even when the copy from user memory stops
 * @before: PMR_CHUNK bytes: what the device holds before the write
 * @given: device ranges of the current file that were listed bad and given back by a punch
 * @index: of the current file in the journal
 * @look: whether a chunk may be written: pmr_write_look(), or of what is resumed another
 * @look_whole: of a device-dax that is resumed: whether a piece may be written, and what of it, whole units, is to be cleared
 *              for that; NULL where it is all
 * @look_data: for @look and @look_whole
 * @plan: takes how long filesystems were frozen
 * @not_again: the device whose filesystem is not frozen again in this run, or NULL
 * @why_not: why
 */
struct pmr_writer {
	struct pmr_ctx *ctx;
	struct pmr_scan *scan;
	struct pmr_plan *plan;
	struct pmr_journal *journal;
	size_t index;
	const char *(*look)(struct pmr_writer *writer, struct pmr_places *places,
			    struct pmr_chunk *chunk);
	const char *(*look_whole)(struct pmr_writer *writer, struct pmr_media *media,
				  uint64_t piece, struct pmr_ranges *dead);
	const void *look_data;
	enum pmr_method wanted;
	bool trust_badblocks;
	uint64_t done;
	uint64_t total;
	const struct pmr_device *device;
	unsigned int refusals;
	const struct pmr_device *not_again;
	const char *why_not;
	bool has_recovered;
	bool told;
	bool told_unread;
	bool needs_journal;
	char *bytes;
	char *before;
	struct pmr_ranges given;
};

/** enum pmr_how - what was done to a page; the methods have the words that they have in the report */
enum pmr_how {
	PMR_HOW_LEFT, /* nothing, and its losses say why */
	PMR_HOW_EQUAL, /* nothing: it seems to hold already what it should */
	PMR_HOW_WRITE,
	PMR_HOW_FLAG,
};

/**
 * struct pmr_chunk - bytes that go into a file, of one step
 * @step: a part of the planned one, with all of its losses: offset, length and place are the chunk's
 * @length: of the step, at most PMR_CHUNK
 * @bytes: what is to be written
 * @before: what was there, where it could be read
 * @journal_offset: byte of the journal with the first of them
 * @piece: where their record is
 * @touched: something of it was written or given back, or found to be there already
 * @redo: an earlier run may have begun to write it, and it was judged that it is ours to write again: what it holds now
 *        may be anything
 * @failing: device ranges that could not be read right before the write, normal
 * @listed: device ranges that were listed right before the write, normal
 * @how: of each page
 */
struct pmr_chunk {
	const struct pmr_compose *compose;
	struct pmr_claim *claim;
	struct pmr_file_plan *plan;
	struct pmr_step step;
	size_t length;
	const char *bytes;
	char *before;
	uint64_t journal_offset;
	uint64_t piece;
	bool touched;
	bool redo;
	struct pmr_ranges failing;
	struct pmr_ranges listed;
	unsigned char how[PMR_CHUNK / PMR_PAGE + 1];
};

/**
 * pmr_batch_run() - carry out the steps of a file whose bytes are in the journal
 * @compose: what they were made of
 *
 * Return: 0, whatever became of them; a negative errno where nothing goes on. What was not written says why.
 */
int pmr_batch_run(struct pmr_writer *writer, const struct pmr_compose *compose,
		  struct pmr_claim *claim, struct pmr_file_plan *plan);

/**
 * pmr_batch_reopen() - what was verified of a file, and may not last, is open again: a resume compares and syncs it
 *
 * Return: 0; -ENOMEM; another negative errno, said, where the journal cannot have it.
 */
int pmr_batch_reopen(struct pmr_writer *writer, const struct pmr_claim *claim,
		     const struct pmr_file_plan *plan);

/** pmr_chunk_loss() - loss @i of a chunk's where it touches [at, at + length) of the chunk, else NULL */
struct pmr_loss *pmr_chunk_loss(const struct pmr_chunk *chunk, size_t i, size_t at, size_t length);

/** pmr_chunk_is_left() - whether nothing of a chunk is to be written any more */
bool pmr_chunk_is_left(const struct pmr_chunk *chunk);

/**
 * pmr_write_look() - look once more, right before a write: may the chunk be written?
 * @chunk: gets @listed, from the device's list as it is, @before and @failing: its losses must all fail to be read now,
 *         but for those that vanished from the list
 *
 * Return: NULL; or why it must be left: what pmr_places_check() says, "readable", "device-error", "no-recovery-write",
 * "no-space", "no-memory". Static storage.
 */
const char *pmr_write_look(struct pmr_writer *writer, struct pmr_places *places,
			   struct pmr_chunk *chunk);

/** pmr_chunk_needs_recovery() - whether it takes a recovery write: what vanished from the list has no poison in the way */
bool pmr_chunk_needs_recovery(const struct pmr_chunk *chunk, size_t at, size_t length);

/** pmr_write_chunk() - write a chunk that was looked at, in place, by the method of the file's plan */
void pmr_write_chunk(struct pmr_writer *writer, struct pmr_chunk *chunk);

/**
 * pmr_write_verify() - put the file back as it was and verify what was written to it
 * @chunks: all that was written since the last time
 *
 * Return: 0, whatever became of them; -ENOMEM, and they failed.
 */
int pmr_write_verify(struct pmr_writer *writer, struct pmr_chunk *chunks, size_t n);

/** pmr_write_leave() - what of a chunk touches [at, at + length) of it is left, unless it failed already */
void pmr_write_leave(const struct pmr_chunk *chunk, size_t at, size_t length, const char *reason);
/** pmr_write_fail() - what of a chunk was not left has failed */
void pmr_write_fail(const struct pmr_chunk *chunk, const char *reason);
/** enum pmr_spoiled - whether a file may have lost bytes by a write that it had before, so that its journal must stay */
enum pmr_spoiled {
	PMR_SPOILED_NOT,
	PMR_SPOILED_UNREAD, /* the device does not answer: it may */
	PMR_SPOILED_DIFFERENT, /* it has: the journal alone has them */
};

/**
 * pmr_write_spoiled() - [at, at + length) of a chunk may be nowhere but in the journal now: it is kept, and said where in it
 * @how: what is said of it: PMR_SPOILED_UNREAD once a file; nothing is done of PMR_SPOILED_NOT
 */
void pmr_write_spoiled(struct pmr_writer *writer, const struct pmr_chunk *chunk, size_t at,
		       size_t length, enum pmr_spoiled how);

/**
 * pmr_write_settle() - cut the file to its size and put back what writes drop
 *
 * Return: 0, or why the file is longer than it was; that and all else that cannot be done was said.
 */
int pmr_write_settle(struct pmr_writer *writer, struct pmr_claim *claim);

/** pmr_punch_look() - NULL, or why a chunk must not be punched: "no-space". Static storage. */
const char *pmr_punch_look(const struct pmr_chunk *chunk);

/**
 * pmr_punch_chunk() - give the blocks of a chunk that was looked at back, write its bytes anew, and verify them
 *
 * Bytes past the end of the file are not written. Return: 0, whatever became of it; -ENOMEM.
 */
int pmr_punch_chunk(struct pmr_writer *writer, struct pmr_chunk *chunk);

/**
 * pmr_punch_conclude() - after a file: say how much poison it left in free space, and note there whose it is now
 *
 * Return: 0, -ENOMEM.
 */
int pmr_punch_conclude(struct pmr_writer *writer, const struct pmr_file *file);

/* ---- device-write.c, device-frozen.c */

/**
 * pmr_device_write() - write chunks of PMR_METHOD_DEVICE that were looked at, in one freeze, and verify them
 * @chunks: in file order, all chunks of a page together
 * @n: how many
 * @done: result: how many came to their end; the freeze may be over before the rest. At least one, unless it fails
 *
 * Return: 0, whatever became of them; -ENOMEM.
 */
int pmr_device_write(struct pmr_writer *writer, struct pmr_chunk *chunks, size_t n, size_t *done);

/** enum pmr_frozen_state - how far a chunk came while the filesystem stood still; it says so before it goes on */
enum pmr_frozen_state {
	PMR_FROZEN_PENDING,
	PMR_FROZEN_LEFT, /* and why */
	PMR_FROZEN_WRITING, /* what is there now is unknown */
	PMR_FROZEN_FAILED, /* it was not taken, or does not read back as it was written */
	PMR_FROZEN_WRITTEN, /* it reads back as it was written */
};

/**
 * struct pmr_frozen_chunk - a chunk, for the guardian; all but the last two are read only
 * @index: which of the parent's it is
 * @offset: in the file
 * @length: bytes, inside one page
 * @device_offset: where it has to lie
 * @bytes: what is to be written, page aligned
 * @before: what was there at the last look, where it could be read
 * @may_read: bit N: block N of the chunk need not fail to be read, if it is what it was
 * @siblings: device offsets, in blocks of the page, of those that tell whether the page is mapped: bit N
 * @state: how far it came
 * @reason: why it was left, static storage
 */
struct pmr_frozen_chunk {
	size_t index;
	uint64_t offset;
	size_t length;
	uint64_t device_offset;
	const char *bytes;
	const char *before;
	unsigned int may_read;
	unsigned int siblings;
	enum pmr_frozen_state state;
	const char *reason;
};

/**
 * struct pmr_frozen - what a guardian does, in memory that it shares with its parent
 * @freeze: what it is made for; tells when the filesystem came to stand still
 * @claim: the file
 * @media: open for writing
 * @buffer: page aligned, PMR_PAGE bytes
 * @chunks: in file order
 * @n: how many
 */
struct pmr_frozen {
	struct pmr_freeze freeze;
	const struct pmr_claim *claim;
	struct pmr_media *media;
	char buffer[PMR_PAGE] __attribute__((aligned(4096)));
	struct pmr_frozen_chunk chunks[PMR_BATCH];
	size_t n;
};

/** pmr_frozen_work() - what is done while it stands still. @data: struct pmr_frozen */
void pmr_frozen_work(void *data);

/* ---- whole.c */

/**
 * pmr_whole_run() - carry out the steps of a device-dax whose bytes are in the journal
 *
 * Return: as pmr_batch_run().
 */
int pmr_whole_run(struct pmr_writer *writer, struct pmr_file_plan *plan);

/* ---- verify.c */

/**
 * pmr_verify_chunk() - does the medium hold what was written, and is the poison gone?
 * @expected: the bytes; past the end of the file they do not count. NULL where they were compared while nobody else could
 *            write, and since then somebody may have: then it only has to be readable
 * @listed: what of the chunk was listed before the write, device offsets
 * @plan: whose losses inside the chunk take the outcome: repaired, zeroed, or failed with its reason
 * @method: how it was written, for the losses; NULL where it was not, since the medium seemed to hold it already
 * @spoiled: result, PMR_SPOILED_NOT before: what became of bytes that could be read before the write, or were in the page
 *           cache alone
 *
 * Reads back through the file and the device, page by page. The device's list must have been read after the write.
 * Return: 0, -ENOMEM.
 */
int pmr_verify_chunk(struct pmr_ctx *ctx, const struct pmr_compose *compose,
		     struct pmr_file_plan *plan, const struct pmr_step *step, uint64_t offset,
		     size_t length, const void *expected, const struct pmr_ranges *listed,
		     const char *method, enum pmr_spoiled *spoiled);

/* ---- repair.c: what a resume does, too */

/** pmr_repair_say_failures() - what of a file could not be read back is said, once */
void pmr_repair_say_failures(struct pmr_ctx *ctx, const struct pmr_file *file);

/** pmr_repair_account() - what left the lists by our own doing is no news to whoever remembers them */
void pmr_repair_account(struct pmr_ctx *ctx, const struct pmr_plan *plan);

#endif
