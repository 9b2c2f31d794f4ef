/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the rooms behind pmr_salvage_new() tell each other:
 *
 *   salvage.c   the order: open, scan, rescue, look again; the result
 *   source.c    the damaged file itself
 *   whole.c     in its place: a device-dax, all of it
 *   rescue.c    which parts of a file to read, and what became of them; all I/O goes through its caller
 *   sectors.c   pages that the file does not give: is it poison, and what the device still gives of them
 *   resumed.c   what an earlier run could not read, and whether it is believed now
 *   tally.c     from what a rescue found to the losses of the result (pure)
 *   pair.c      output and mapfile: where they may be, whether they belong together
 *   output.c    the file that the bytes go to
 *   behind.c    its writes, in the background
 *   keep.c      the mapfile on disk; core/mapfile.c knows its text
 */
#ifndef PMR_SALVAGE_H
#define PMR_SALVAGE_H

#include "core/mapfile.h"

/* ---- rescue.c */

/** PMR_RESCUE_CHUNK - most bytes that are read at once */
#define PMR_RESCUE_CHUNK (1024u * 1024)

/**
 * struct pmr_rescue_io - where bytes come from and go to; each gets the rescue's @data
 * @read: of the file, as pmr_media_recover_file(), in whole pages
 * @cached: as pmr_media_read_cached(); NULL where there is no page cache
 * @device: as pmr_media_salvage(); where the device could not be opened, why
 * @closed: why it could not be opened, a negative errno; 0 where it was
 * @buffer: as pmr_behind_buffer()
 * @write: to the output, as pmr_behind_write(). Return: 0; a negative errno, said.
 * @tick: called ahead of a read. Return: 0; -ECANCELED or another errno, said, to try no more.
 */
struct pmr_rescue_io {
	int (*read)(void *data, uint64_t offset, void *buffer, size_t length, size_t *got);
	int (*cached)(void *data, uint64_t offset, void *buffer, size_t length);
	int (*device)(void *data, uint64_t offset, uint64_t length, const struct pmr_ranges *avoid,
		      void *buffer, struct pmr_ranges *unreadable);
	int (*closed)(void *data);
	void *(*buffer)(void *data);
	int (*write)(void *data, uint64_t offset, const void *buffer, size_t length);
	int (*tick)(void *data);
};

/**
 * struct pmr_rescue - the rescue of one file; release with pmr_rescue_release()
 * @io, @data: how it reads and writes
 * @fd: for FIEMAP
 * @fiemap: in place of the ioctl, for tests; else NULL
 * @filesystem: the file's
 * @size: the file's
 * @fill: byte for what is lost, -1 for none
 * @unplaced: why the device does not hold the file's bytes where FIEMAP says, a reason; NULL where it does
 * @have: file ranges that are in the output already, normal
 * @saved: file ranges that came from the page cache, normal; part of @have
 * @pages: file pages that poison touches, normal: never read through the file
 * @avoid: device ranges never read, normal
 * @known: what is known to be lost, sorted by offset
 * @n_known: how many
 * @noted: file ranges that were listed when an earlier run looked, normal
 * @failed: file ranges that an earlier run could not read, normal
 * @listed: made of @noted and @known: file ranges that are, or were, in the device's list, normal
 * @vanished: made of them: what of @noted is in no list any more, normal: never read, and lost
 * @doubted: made of them: what of @failed no list tells why, normal: read, and called unknown
 * @done: result: file ranges that this run wrote to the output, holes included; in file order
 * @bad: result: file ranges that could not be read, in file order
 * @losses: result: the same, with place and reason, and of what was not tried the known losses as PMR_UNKNOWN
 * @rescued, @lost, @untried: result: bytes of data
 * @in_doubt: result: what of @untried is in the output, but is @doubted
 * @stopped: result: why not all was tried: a negative errno. -EIO: the filesystem fails, -ENODEV: the device does,
 *           -ESTALE: the file changed; what @io returned; 0
 * @no_device: result: bytes are lost because the device may not be read: a negative errno, or 0
 * @unlisted: result: parts of the file could not be listed: what they have is read through the file, or lost (no-extents)
 * @own: the room's own
 */
struct pmr_rescue {
	const struct pmr_rescue_io *io;
	void *data;
	int fd;
	pmr_fiemap_fn fiemap;
	const struct pmr_filesystem *filesystem;
	uint64_t size;
	int fill;
	const char *unplaced;
	struct pmr_ranges have;
	struct pmr_ranges saved;
	struct pmr_ranges pages;
	struct pmr_ranges avoid;
	const struct pmr_loss *known;
	size_t n_known;
	struct pmr_ranges noted;
	struct pmr_ranges failed;
	struct pmr_ranges listed;
	struct pmr_ranges vanished;
	struct pmr_ranges doubted;
	struct pmr_ranges done;
	struct pmr_ranges bad;
	struct pmr_losses losses;
	uint64_t rescued;
	uint64_t lost;
	uint64_t untried;
	uint64_t in_doubt;
	int stopped;
	int no_device;
	bool unlisted;
	struct {
		char *buffer; /* the last one that @io gave */
		char *spare; /* a page */
		size_t chunk;
		uint64_t position; /* what lies before it was dealt with */
		uint64_t good; /* a page that could be read through the file, or PMR_NO_ADDRESS */
	} own;
};

/** pmr_rescue_init() - get memory; to be called once. Return: 0, -ENOMEM. */
int pmr_rescue_init(struct pmr_rescue *rescue);

/**
 * pmr_rescue_learn() - fill @pages, @avoid and @known from what a scan found
 * @file: its losses are used until the next call; NULL where nothing is lost
 * @listed: device offsets, normal
 *
 * Return: 0, -ENOMEM.
 */
int pmr_rescue_learn(struct pmr_rescue *rescue, const struct pmr_file *file,
		     const struct pmr_ranges *listed);

/**
 * pmr_rescue_cached() - save what the page cache has of pages that poison touches, before anything can evict it
 *
 * Return: 0; -ENOMEM; what writing said.
 */
int pmr_rescue_cached(struct pmr_rescue *rescue);

/**
 * pmr_rescue_run() - read all data of the file that the output does not have
 *
 * Return: 0, also where it stopped (see @stopped); -ENOMEM.
 */
int pmr_rescue_run(struct pmr_rescue *rescue);

/** pmr_rescue_release() - free the storage; takes an empty one */
void pmr_rescue_release(struct pmr_rescue *rescue);

/** pmr_rescue_list() - pmr_extents_open() of the file, or the test's, around what cannot be listed. Return: 0, -ENOMEM. */
int pmr_rescue_list(const struct pmr_rescue *rescue, uint64_t offset, uint64_t length,
		    struct pmr_extents **extents);
/** pmr_rescue_take() - bytes go to the output. Return: 0; -ENOMEM; what writing said. */
int pmr_rescue_take(struct pmr_rescue *rescue, uint64_t offset, const void *bytes, uint64_t length);
/**
 * pmr_rescue_lose() - bytes could not be read
 * @device_offset: of the first, or PMR_NO_ADDRESS
 * @reason: of those that were not known to be lost
 *
 * Return: 0; -ENOMEM; what writing said.
 */
int pmr_rescue_lose(struct pmr_rescue *rescue, uint64_t offset, uint64_t length,
		    uint64_t device_offset, const char *reason);

/* ---- sectors.c */

/**
 * pmr_rescue_sectors() - take what can be had of a range of data that cannot be read through the file
 * @error: 0 where poison is listed in it; else what reading it, no more than a page, failed with
 *
 * A file that fails to be read is no proof of poison: a filesystem that has shut down fails everything. So other pages
 * are tried, and the same holds for the device.
 *
 * Return: 0; else why no more can be tried, as @stopped of struct pmr_rescue; -ENOMEM.
 */
int pmr_rescue_sectors(struct pmr_rescue *rescue, uint64_t offset, uint64_t length, int error);

/* ---- resumed.c */

/**
 * pmr_resumed_learn() - make @listed, @vanished and @doubted, and add to @pages what @vanished touches
 * @listed: device offsets, normal
 *
 * What was listed and is not any more may have been cleared, and be zeros; what could not be read and was not listed, too.
 * Return: 0, -ENOMEM.
 */
int pmr_resumed_learn(struct pmr_rescue *rescue, const struct pmr_ranges *listed);
/** pmr_resumed_lose() - a part of @vanished is lost. Return: as pmr_rescue_lose(). */
int pmr_resumed_lose(struct pmr_rescue *rescue, uint64_t offset, uint64_t length);

/* ---- source.c */

/** struct pmr_listing - what FIEMAP said of a file, in short: the same mapping gives the same listing */
struct pmr_listing {
	uint64_t hash;
	uint64_t data; /* bytes that are neither hole nor unwritten */
};

/**
 * struct pmr_source - a damaged file
 * @path: as the user named it; of a device its node
 * @whole: it is no file but a device-dax, all of it; else NULL
 * @fd: open for reading; -1 of a device
 * @direct: the same past the page cache, or -1
 * @st: when its delayed data had been written; what comes later is a change
 * @filesystem: where it lies
 * @listing: of its mapping then
 * @dax: there is no page cache
 * @flagged: bytes were read with RWF_RECOVERY_DATA
 * @unplaced: as struct pmr_rescue's
 * @media: its device, once it was needed
 * @media_error: of opening it; 1 before that was tried
 */
struct pmr_source {
	struct pmr_ctx *ctx;
	const char *path;
	struct pmr_device *whole;
	int fd;
	int direct;
	struct stat st;
	struct pmr_filesystem *filesystem;
	struct pmr_listing listing;
	bool dax;
	bool flagged;
	const char *unplaced;
	struct pmr_media *media;
	int media_error;
};

/** pmr_source_open() - Return: 0, and pmr_source_close() is due; a negative errno, said; -ENOMEM. */
int pmr_source_open(struct pmr_ctx *ctx, struct pmr_topology *topology, const char *path,
		    struct pmr_source *source);
/** pmr_source_close() - takes an empty one, whose descriptors are -1 */
void pmr_source_close(struct pmr_source *source);
/** pmr_source_look_again() - whether size, change time or mapping changed. Return: 0; a negative errno. */
int pmr_source_look_again(struct pmr_source *source, bool *changed);

/**
 * pmr_source_losses() - what its device's list takes of what can be listed of it, from FIEMAP alone
 * @losses: what it has goes
 *
 * Return: 0; -ENOMEM; what FIEMAP said.
 */
int pmr_source_losses(const struct pmr_source *source, struct pmr_losses *losses);

/**
 * pmr_source_is_told() - whether the list is all that the kernel knows to be poison
 *
 * Else RWF_RECOVERY_DATA is not sent: there are kernels whose flagged reads fill poison with zeros, and none of it must be
 * unknown here. Without the flag poison is an error, and what lies around it is read in smaller parts.
 */
bool pmr_source_is_told(const struct pmr_source *source);

/* As the functions of struct pmr_rescue_io. */
int pmr_source_read(struct pmr_source *source, uint64_t offset, void *buffer, size_t length,
		    size_t *got);
int pmr_source_cached(const struct pmr_source *source, uint64_t offset, void *buffer,
		      size_t length);
int pmr_source_closed(const struct pmr_source *source);
int pmr_source_device(struct pmr_source *source, uint64_t offset, uint64_t length,
		      const struct pmr_ranges *avoid, void *buffer, struct pmr_ranges *unreadable);

/* ---- whole.c */

/** pmr_whole_find() - the device-dax that a path or name stands for, or NULL */
struct pmr_device *pmr_whole_find(const struct pmr_topology *topology, const char *path);
/** pmr_whole_open() - open a device-dax in the place of a file. Return: as pmr_source_open(). */
int pmr_whole_open(struct pmr_topology *topology, struct pmr_device *device,
		   struct pmr_source *source);
/** pmr_whole_fiemap() - in the place of FIEMAP: every byte of a device is data, and lies where it is */
int pmr_whole_fiemap(int fd, struct fiemap *map);

/* ---- tally.c */

/**
 * pmr_tally() - make a rescue's losses those of the scan's one file
 *
 * What the page cache saved, what is unwritten and what lies past the end stay in it; what an earlier run rescued goes.
 * Return: 0, -ENOMEM.
 */
int pmr_tally(struct pmr_rescue *rescue, const struct pmr_source *source, struct pmr_scan *scan);

/* ---- behind.c */

struct pmr_behind;

/**
 * pmr_behind_new() - write to a file in the background, in the order of the calls
 * @fd: stays the caller's, and open until pmr_behind_free()
 *
 * Return: 0, -ENOMEM.
 */
int pmr_behind_new(int fd, struct pmr_behind **behind);
/**
 * pmr_behind_buffer() - a page aligned buffer of PMR_RESCUE_CHUNK and a page more
 *
 * It is the caller's to fill until the next call, which may wait for one that is written.
 */
void *pmr_behind_buffer(struct pmr_behind *behind);
/**
 * pmr_behind_write() - have bytes written
 * @bytes: in the last buffer, which must not change any more where they lie; bytes from elsewhere are written at once
 *
 * Return: 0, which says nothing of whether they are written; the errno of an earlier write, and then they are not.
 */
int pmr_behind_write(struct pmr_behind *behind, uint64_t offset, const void *bytes, size_t length);
/**
 * pmr_behind_drain() - wait until all is written
 * @failed_at: on failure, where the first write that failed began: no later call's bytes are in the file
 *
 * Return: 0; the errno of the first write that failed.
 */
int pmr_behind_drain(struct pmr_behind *behind, uint64_t *failed_at);
/** pmr_behind_free() - write what is left, and end; takes NULL */
void pmr_behind_free(struct pmr_behind *behind);

/* ---- output.c */

struct pmr_output;

/**
 * struct pmr_output_place - where something is to be written
 * @directory: open
 * @name: in it
 * @path: as the user named it
 * @st: of what has the name now; st_mode is 0 where nothing has
 */
struct pmr_output_place {
	int directory;
	char *name;
	const char *path;
	struct stat st;
};

/**
 * pmr_output_find() - look where a path leads, without touching what is there
 * @code: of messages
 * @input: the file that must never be written; another name of it is refused, and so is what is no regular file
 * @place: result; release with pmr_output_leave()
 *
 * Return: 0; a negative errno, said.
 */
int pmr_output_find(struct pmr_ctx *ctx, const char *code, const char *path,
		    const struct stat *input, struct pmr_output_place *place);
/**
 * pmr_output_beside() - make a new file beside a place, by a name that no other run has: .pmem-recover-PID.@kind
 * @name, @size: result: its name
 *
 * Return: a descriptor to write to; a negative errno.
 */
int pmr_output_beside(const struct pmr_output_place *place, const char *kind, mode_t mode,
		      char *name, size_t size);
/** pmr_output_leave() - takes an empty place whose @directory is -1 */
void pmr_output_leave(struct pmr_output_place *place);

/**
 * pmr_output_open() - make the output, or open the one of an earlier run
 * @place: where; must outlive the output
 * @end: an earlier run has put bytes into it up to here; PMR_NO_ADDRESS for a new output
 * @map: its size is that of the output, with holes for all that is not written; it says which file that of the earlier run
 *       was, and then which one this is
 * @force: a new one may take the place of one that exists; one that is another file is a copy of that run's
 *
 * Nobody else may read a new one before pmr_output_finish(). It takes the name of one that exists once it is as large as it
 * has to be, and not where another run holds that.
 * Return: 0; a negative errno, said.
 */
int pmr_output_open(struct pmr_ctx *ctx, const struct pmr_output_place *place, uint64_t end,
		    struct pmr_mapfile *map, bool force, struct pmr_output **output);
/**
 * pmr_output_check() - whether pmr_output_open() would refuse what was found there, to know it before there is work to lose
 *
 * Return: 0; a negative errno, said.
 */
int pmr_output_check(struct pmr_ctx *ctx, const struct pmr_output_place *place, uint64_t end,
		     const struct pmr_mapfile *map, bool force);
/** pmr_output_buffer() - see pmr_behind_buffer() */
void *pmr_output_buffer(struct pmr_output *output);
/** pmr_output_write() - see pmr_behind_write(). Return: 0; a negative errno, said the first time. */
int pmr_output_write(struct pmr_output *output, uint64_t offset, const void *bytes, size_t length);
/** pmr_output_drain() - see pmr_behind_drain(). Return: 0; a negative errno, said the first time. */
int pmr_output_drain(struct pmr_output *output, uint64_t *failed_at);
/**
 * pmr_output_sync() - what was written and drained is on stable storage
 *
 * Return: 0; a negative errno, said the first time. Once it failed it fails for ever: what was lost then nobody tells.
 */
int pmr_output_sync(struct pmr_output *output);
/** pmr_output_finish() - give a new output the permissions @mode, as far as the umask lets it. Return: as above. */
int pmr_output_finish(struct pmr_output *output, mode_t mode);
/** pmr_output_close() - takes NULL */
void pmr_output_close(struct pmr_output *output);

/* ---- keep.c */

/**
 * pmr_keep_load() - read a mapfile, where there is one
 * @place: of the mapfile
 * @now: the file at hand: a mapfile of another one is refused
 * @map: result; release with pmr_mapfile_release()
 *
 * Return: 1; 0 where there is none; a negative errno, said.
 */
int pmr_keep_load(struct pmr_ctx *ctx, const struct pmr_output_place *place,
		  const struct pmr_mapfile_identity *now, struct pmr_mapfile *map);

/** pmr_keep_save() - put a mapfile in the place of the one before, whole or not at all. Return: 0; -errno, said. */
int pmr_keep_save(struct pmr_ctx *ctx, const struct pmr_output_place *place,
		  const struct pmr_mapfile *map);

/* ---- pair.c */

/**
 * struct pmr_pair - an output, and the mapfile that goes with it
 * @output_place, @map_place: where they are
 * @map: of which file; its ranges are what an earlier run rescued, could not read, and saw listed
 * @resumed: there was such a run
 */
struct pmr_pair {
	const struct pmr_source *source;
	const struct pmr_salvage_options *options;
	struct pmr_output_place output_place;
	struct pmr_output_place map_place;
	struct pmr_output *output;
	struct pmr_mapfile map;
	bool resumed;
};

/**
 * pmr_pair_find() - look whether output and mapfile may be where they were named, and read the mapfile
 * @pair: result; pmr_pair_close() is due also on failure
 *
 * Writes nothing. Return: 0; a negative errno, said; -ENOMEM.
 */
int pmr_pair_find(const struct pmr_source *source, const struct pmr_salvage_options *options,
		  struct pmr_pair *pair);
/** pmr_pair_open() - make the output, or open the one that the mapfile is of. Return: as pmr_output_open(). */
int pmr_pair_open(struct pmr_pair *pair);
/** pmr_pair_save() - bring the mapfile up to date; what it claims must be synced. Return: 0; a negative errno, said. */
int pmr_pair_save(struct pmr_pair *pair, const struct pmr_rescue *rescue);
/** pmr_pair_close() - takes an empty one, whose directories are -1 */
void pmr_pair_close(struct pmr_pair *pair);

#endif
