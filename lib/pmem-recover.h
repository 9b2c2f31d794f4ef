/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libpmem-recover: find and repair poisoned persistent memory.
 *
 * Data flows one way:
 *
 *   target -> device -> badblocks -+
 *                                  +-> scan -> plan -> journal -> repair -> verify
 *   target -> files  -> extents ---+
 *
 * topology   what PMEM this machine has, and which filesystems lie on it
 * badblocks  the lists of media errors, and how far each can be trusted
 * scan       badblocks x extents: which bytes of which files are lost
 * plan       what to write where, and where the replacement bytes come from
 * repair     journal, write, read back, compare, list again
 *
 * Each room is a directory, lib/NAME/, and calls those before it here, and none behind it:
 *
 *   rooms: core nofault media device extent owner scan locate earlier memory journal repair resume salvage recover
 *
 * Beside all that stands what a program needs that maps files itself: nofault, a copy that survives poison, and recover, from the
 * address of a fault to the bytes that can still be read there.
 *
 * Conventions that hold for every function here:
 *
 * - Addresses and lengths are bytes in uint64_t; a range is half open, [offset, offset + length).
 * - Functions return 0 (or 1 where a "next" found something) or a negative errno. Results go through
 *   pointers and are untouched on failure.
 * - Nothing here prints, exits, forks or installs a signal handler (but pmr_nofault_init(), which is for that). What a
 *   person should hear goes through the context's message function, once; the same thing is then not said again by an
 *   error's text.
 * - "Unknown" is a value. A list that could not be read is PMR_LIST_UNKNOWN, never an empty list.
 * - A context and all that was made from it belong to one thread at a time.
 */
#ifndef PMEM_RECOVER_H
#define PMEM_RECOVER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/** PMR_SECTOR - the unit of the kernel's badblocks lists, whatever the device's logical block size */
#define PMR_SECTOR 512u
/** PMR_PAGE - the unit in which DAX refuses reads, clears by write and offlines memory (x86-64, and 4 KiB arm64) */
#define PMR_PAGE 4096u

/* ---- context ----------------------------------------------------------------------------------- */

struct pmr_ctx;
struct pmr_resume;
struct pmr_device_private;
struct pmr_region_part;
struct pmr_topology_private;

enum pmr_level {
	PMR_ERROR, /* something asked for could not be done or known */
	PMR_WARNING, /* it was done, but the user should look */
	PMR_INFO,
	PMR_DEBUG,
};

/**
 * struct pmr_message - one thing a person should hear
 * @level: how loud
 * @code: stable kebab-case word for programs, e.g. "badblocks-truncated"; static storage
 * @object: what it is about: a path, a device, a namespace; never NULL
 * @text: one sentence without the object's name and without a full stop: what, why, what to do next
 */
struct pmr_message {
	enum pmr_level level;
	const char *code;
	const char *object;
	const char *text;
};

/**
 * struct pmr_progress - how far long work has come
 * @phase: static word: "scrub", "read", "scan", "inodes", "names", "salvage", "repair"
 * @object: what is being worked on, or NULL
 * @done: units done: seconds for "scrub", files for "scan", inodes, names, else bytes
 * @total: units in all, or about so many; 0 when not known
 */
struct pmr_progress {
	const char *phase;
	const char *object;
	uint64_t done;
	uint64_t total;
};

typedef void (*pmr_message_fn)(void *data, const struct pmr_message *message);
typedef void (*pmr_progress_fn)(void *data, const struct pmr_progress *progress);

/**
 * pmr_new() - make a context
 * @ctx: where to put it; release with pmr_unref()
 *
 * Return: 0, -ENOMEM.
 */
int pmr_new(struct pmr_ctx **ctx);

/** pmr_unref() - release a context; takes NULL. Everything made from it must be gone. */
void pmr_unref(struct pmr_ctx *ctx);

/**
 * pmr_set_message_fn() - who hears messages; NULL for nobody (the default)
 *
 * Like the one for progress it is called by one thread at a time, which may be one of the library's own, with all signals
 * blocked. Others wait meanwhile, so it is not to ask the library for anything.
 */
void pmr_set_message_fn(struct pmr_ctx *ctx, pmr_message_fn fn, void *data);

/** pmr_set_progress_fn() - who is told of progress; NULL for nobody (the default) */
void pmr_set_progress_fn(struct pmr_ctx *ctx, pmr_progress_fn fn, void *data);

/**
 * pmr_set_cancel() - a flag that stops long work at the next safe point
 * @flag: nonzero means stop; may be set from a signal handler. NULL for none. Must outlive the context.
 *
 * Work that was stopped returns what it has, with its "complete" false; it is no error. Where media is read (see
 * pmr_set_reading()) the flag stops that, and what was found until then still gets its files; another value of the flag stops
 * that, too.
 */
void pmr_set_cancel(struct pmr_ctx *ctx, const volatile sig_atomic_t *flag);

/** pmr_is_cancelled() - whether the flag of pmr_set_cancel() is set, to stop what goes on now */
bool pmr_is_cancelled(const struct pmr_ctx *ctx);

/** enum pmr_lookup_by - how the owners of bad bytes are found */
enum pmr_lookup_by {
	PMR_LOOKUP_AUTO, /* the filesystem is asked, and its files are walked where it does not tell (the default) */
	PMR_LOOKUP_WALK, /* every file is asked for its extents */
};

/** pmr_set_lookup() - how owners are found; both ways give the same answer, at different costs */
void pmr_set_lookup(struct pmr_ctx *ctx, enum pmr_lookup_by lookup);

/** pmr_set_threads() - how many threads may look for owners, at most 64; 0 for one for each processor (the default) */
void pmr_set_threads(struct pmr_ctx *ctx, unsigned int threads);

/**
 * pmr_set_reading() - whether scans read the media of their targets for poison that is in no list yet; false by default
 * @rate: bytes a second and no more, 0 for as fast as it gets
 *
 * Of a file its extents, of a directory and a filesystem all of that, of a device all of it. What a list has is not read.
 * It comes before everything else that the scan does, once for each part of a device in a topology.
 */
void pmr_set_reading(struct pmr_ctx *ctx, bool reading, uint64_t rate);

/** pmr_version() - this library's version, e.g. "0.1.0"; static storage */
const char *pmr_version(void);

/**
 * pmr_quote() - a name as a shell takes it, for messages that say what to type (pure)
 *
 * As it is where that can be, else in quotes: double ones where these do, since such a command stands in single ones itself.
 * Return: to free(); NULL without memory.
 */
char *pmr_quote(const char *name);

/* ---- ranges (pure) ------------------------------------------------------------------------------ */

/**
 * struct pmr_range - bytes [offset, offset + length)
 * @offset: first byte
 * @length: number of bytes, at least 1; offset + length never exceeds UINT64_MAX
 */
struct pmr_range {
	uint64_t offset;
	uint64_t length;
};

/**
 * struct pmr_ranges - a growing list of ranges; zero-initialise, release with pmr_ranges_release()
 * @v: the ranges
 * @n: how many
 * @alloc: room for how many
 *
 * "Normal" means sorted by offset, with no two ranges overlapping or touching. pmr_ranges_add() keeps no order;
 * call pmr_ranges_normalize() before a function that asks for a normal list.
 */
struct pmr_ranges {
	struct pmr_range *v;
	size_t n;
	size_t alloc;
};

/** pmr_ranges_add() - append. Return: 0, -EINVAL (no length), -EOVERFLOW (ends past UINT64_MAX), -ENOMEM. */
int pmr_ranges_add(struct pmr_ranges *ranges, uint64_t offset, uint64_t length);
/** pmr_ranges_normalize() - sort by offset and merge what overlaps or touches */
void pmr_ranges_normalize(struct pmr_ranges *ranges);
/** pmr_ranges_release() - free the storage; the list is then empty and usable again */
void pmr_ranges_release(struct pmr_ranges *ranges);
/** pmr_ranges_copy() - replace @to by a copy of @from. Return: 0, -ENOMEM (@to untouched). */
int pmr_ranges_copy(struct pmr_ranges *to, const struct pmr_ranges *from);
/** pmr_ranges_bytes() - sum of lengths of a normal list */
uint64_t pmr_ranges_bytes(const struct pmr_ranges *ranges);
/** pmr_ranges_first() - index of the first range of a normal list that ends after @offset; n when there is none */
size_t pmr_ranges_first(const struct pmr_ranges *ranges, uint64_t offset);
/** pmr_ranges_overlap() - whether a normal list has a byte in [offset, offset + length) */
bool pmr_ranges_overlap(const struct pmr_ranges *ranges, uint64_t offset, uint64_t length);
/** pmr_ranges_clip() - append to @out the parts of normal @in inside the window, in order. Return: 0, -ENOMEM. */
int pmr_ranges_clip(struct pmr_ranges *out, const struct pmr_ranges *in, uint64_t offset,
		    uint64_t length);
/** pmr_ranges_subtract() - append to @out the bytes of normal @a that are not in normal @b. Return: 0, -ENOMEM. */
int pmr_ranges_subtract(struct pmr_ranges *out, const struct pmr_ranges *a,
			const struct pmr_ranges *b);

/* ---- recovery ----------------------------------------------------------------------------------- */

/** enum pmr_capability - how this kernel lets poison under a DAX file be overwritten in place */
enum pmr_capability {
	PMR_CAPABILITY_UNKNOWN, /* it could not be asked */
	PMR_CAPABILITY_NONE, /* not at all (before 5.19): only rewriting elsewhere after a punch */
	PMR_CAPABILITY_WRITE, /* a plain write of whole pages does it (5.19) */
	PMR_CAPABILITY_FLAG, /* pwritev2(2) with RWF_RECOVERY_DATA does it */
};

/** pmr_capability_name() - the report's word: "unknown", "none", "write", "flag" */
const char *pmr_capability_name(enum pmr_capability capability);

/**
 * struct pmr_recovery - what is known of this kernel's recovery reads and writes
 * @capability: the best that it offers
 * @flag: the bit of RWF_RECOVERY_DATA where it is real, else 0: it is then sent to nothing
 * @evidence: how that is known: "memfd-probe", "flagged-read" (a flagged read of known poison behaved as recovery),
 *            "symbol" (the kernel has dax_recovery_write), "release" (the kernel's version), "tried" (a write told);
 *            NULL when unknown; static storage
 */
struct pmr_recovery {
	enum pmr_capability capability;
	uint32_t flag;
	const char *evidence;
};

/** PMR_FLAG_AUTO, PMR_FLAG_NEVER - for pmr_set_recovery_flag(): find out, or do without */
#define PMR_FLAG_AUTO 0u
#define PMR_FLAG_NEVER UINT32_MAX

/**
 * pmr_set_recovery_flag() - say which bit of preadv2(2) and pwritev2(2) is RWF_RECOVERY_DATA
 * @flag: PMR_FLAG_AUTO (the default: the bit of the headers this was built with, else 0x20, and only if the kernel
 *        shows that it means recovery), PMR_FLAG_NEVER, or one bit, which counts only after a flagged read of known
 *        poison behaved as recovery (0x20: also where the memfd probe says so)
 *
 * Return: 0; -EINVAL: not one bit, or one that the kernel gave another meaning; said through the context.
 */
int pmr_set_recovery_flag(struct pmr_ctx *ctx, uint32_t flag);

/**
 * pmr_get_recovery() - what this kernel offers; asked once in a context
 *
 * Touches no disk: a memfd decides about bit 0x20, which is RWF_NOAPPEND since 6.9. May grow better founded while the
 * context works ("flagged-read", "tried").
 */
const struct pmr_recovery *pmr_get_recovery(struct pmr_ctx *ctx);

/* ---- badblocks ---------------------------------------------------------------------------------- */

/** enum pmr_trust - how far a list of badblocks can be trusted */
enum pmr_trust {
	PMR_LIST_UNKNOWN, /* could not be read, or this kind of device has none */
	PMR_LIST_INCOMPLETE, /* what is in it is bad, but there may be more */
	PMR_LIST_COMPLETE, /* all that the kernel knows */
};

/**
 * struct pmr_badblocks - the media errors of one device; zero-initialised it is an unknown list
 * @trust: how far to believe @ranges
 * @source: where it was read: a sysfs path, or the file of --badblocks; "read" where it is only what reading the media
 *          found; of a mapped device, all of them, with ", " in between; then ", ars" where the last scrub of its bus had
 *          found more, which reading proved; NULL when unknown
 * @reason: why it is not complete: "no-attribute", "cannot-open", "page-full", "cut-line", "record-limit",
 *          "was-full" (it was one of these three, see struct pmr_doubts),
 *          "region-only" (known only for the region, and not where on this device), "changing" (two ways of reading
 *          it never agreed), "malformed", "noted" (a file says so of itself), "read-in-part" (there is none, and a part
 *          of the device was read), "part-unknown" (of a mapped device: of some of what lies below no list is known),
 *          "remapped" (its table is not the same any more, or it is suspended), "ars-unconfirmed" (the last scrub of its bus
 *          found what the list lacks, and it could not be read), "ars-cut" (that scrub ended early, as it found more than it
 *          can tell); static storage, NULL when complete
 * @ranges: normal; offsets from the device's first byte; whole sectors
 */
struct pmr_badblocks {
	enum pmr_trust trust;
	char *source;
	const char *reason;
	struct pmr_ranges ranges;
};

/** pmr_badblocks_release() - free the storage; the list is then unknown */
void pmr_badblocks_release(struct pmr_badblocks *list);

/**
 * struct pmr_badblocks_file - what a --badblocks file says
 * @device: the device named by a line "# device NAME" before the first record, or NULL
 * @size: the size in bytes of a line "# size BYTES", or 0
 * @list: the records
 */
struct pmr_badblocks_file {
	char *device;
	uint64_t size;
	struct pmr_badblocks list;
};

/**
 * pmr_badblocks_parse() - parse "sector count" lines, in 512-byte sectors
 * @text: the text; need not end in NUL
 * @length: its length in bytes
 * @file: result; release with pmr_badblocks_file_release()
 * @line: line number of the first fault, from 1; set on -EINVAL, -ERANGE, and to the last line where the list is
 *        incomplete
 *
 * Empty lines and lines that begin with '#' are comments, but for "# device NAME", "# size BYTES" and "# incomplete"
 * ahead of the first record. Records may be in any order and overlap. An empty text is a complete, empty list. A copy of a kernel's
 * list that was full is incomplete: as long as a page shows ("page-full"), longer than that without a last newline
 * ("cut-line"; a cut line is left out in both cases), or with as many records as the kernel keeps ("record-limit").
 *
 * Return: 0; -EINVAL (not two unsigned decimal numbers, or a count of 0); -ERANGE (overflow, or past "# size");
 * -ENOMEM.
 */
int pmr_badblocks_parse(const char *text, size_t length, struct pmr_badblocks_file *file,
			unsigned int *line);
/** pmr_badblocks_file_release() - free the storage */
void pmr_badblocks_file_release(struct pmr_badblocks_file *file);
/**
 * pmr_badblocks_load() - read and parse a --badblocks file
 * @path: the file, "-" for standard input
 *
 * Return: 0; as pmr_badblocks_parse(), with the number of the line, or the errno of reading it; all but -ENOMEM said through
 * the context.
 */
int pmr_badblocks_load(struct pmr_ctx *ctx, const char *path, struct pmr_badblocks_file *file);

/* ---- topology ----------------------------------------------------------------------------------- */

/**
 * enum pmr_mode - what a namespace is; PMR_MODE_NONE for a block device that is no PMEM, PMR_MODE_MAPPED for one that device
 * mapper makes of others, which may be PMEM or not
 */
enum pmr_mode {
	PMR_MODE_NONE,
	PMR_MODE_FSDAX,
	PMR_MODE_RAW,
	PMR_MODE_SECTOR,
	PMR_MODE_DEVDAX,
	PMR_MODE_UNKNOWN,
	PMR_MODE_MAPPED,
};

/** pmr_mode_name() - ndctl's word: "fsdax", "raw", "sector", "devdax", "unknown", "none"; "mapped" */
const char *pmr_mode_name(enum pmr_mode mode);

/** enum pmr_page_map - where the kernel keeps its struct pages of a namespace, "map" in ndctl's words */
enum pmr_page_map {
	PMR_PAGE_MAP_NONE, /* it has no info block, or is disabled */
	PMR_PAGE_MAP_MEM, /* in ordinary memory */
	PMR_PAGE_MAP_DEV, /* in the namespace, ahead of its data */
};
/** pmr_page_map_name() - ndctl's word: "mem", "dev"; NULL for PMR_PAGE_MAP_NONE */
const char *pmr_page_map_name(enum pmr_page_map page_map);

/** PMR_NO_ADDRESS - a physical address or offset that is not known (only root may read "resource") */
#define PMR_NO_ADDRESS UINT64_MAX

/**
 * struct pmr_bus - an nvdimm bus
 * @name: "ndbus0"
 * @provider: e.g. "ACPI.NFIT", "e820"
 * @can_scrub: it has ARS commands
 * @can_clear: it has a clear-error command; without it the kernel only pretends to clear
 * @scrubs: how many scrubs came to their end since the machine started, or PMR_NO_COUNT; when they did, no kernel tells
 * @is_scrubbing: one is running; where @scrubs is known
 *
 * The last two are looked at with PMR_TOPOLOGY_DIMMS alone.
 */
struct pmr_bus {
	char *name;
	char *provider;
	bool can_scrub;
	bool can_clear;
	uint64_t scrubs;
	bool is_scrubbing;
};

/** PMR_NO_COUNT - a number that is not known */
#define PMR_NO_COUNT UINT64_MAX

/** enum pmr_security - what passphrases do to a DIMM now */
enum pmr_security {
	PMR_SECURITY_UNKNOWN, /* it has none of it, or it could not be asked */
	PMR_SECURITY_DISABLED, /* no passphrase is set */
	PMR_SECURITY_UNLOCKED,
	PMR_SECURITY_LOCKED, /* nothing on it can be read or written */
	PMR_SECURITY_FROZEN, /* kernels before 5.9 tell no more than that */
	PMR_SECURITY_OVERWRITE, /* it is being overwritten */
};
/** pmr_security_name() - the report's word; NULL for PMR_SECURITY_UNKNOWN */
const char *pmr_security_name(enum pmr_security security);

/** enum pmr_health - what a DIMM says of itself */
enum pmr_health {
	PMR_HEALTH_UNKNOWN, /* it has no such command, or it did not answer (only root may ask) */
	PMR_HEALTH_OK,
	PMR_HEALTH_NON_CRITICAL, /* it needs looking after */
	PMR_HEALTH_CRITICAL,
	PMR_HEALTH_FATAL,
};
/** pmr_health_name() - the report's word; NULL for PMR_HEALTH_UNKNOWN */
const char *pmr_health_name(enum pmr_health health);

/** PMR_NO_HANDLE - a DIMM's handle that is not known */
#define PMR_NO_HANDLE UINT32_MAX

/**
 * struct pmr_dimm - a memory module, as firmware tells of it
 * @name: "nmem0"
 * @bus: its bus
 * @id: of vendor, place and time of making and serial number, or NULL
 * @handle: where it is plugged in, as the NFIT numbers it, or PMR_NO_HANDLE
 * @enabled: the kernel's driver has it
 * @security: see there
 * @is_frozen: its security cannot be changed before the next reset; where @security is known
 * @health: see there
 */
struct pmr_dimm {
	char *name;
	struct pmr_bus *bus;
	char *id;
	uint32_t handle;
	bool enabled;
	enum pmr_security security;
	bool is_frozen;
	enum pmr_health health;
};

/**
 * struct pmr_region - a PMEM region
 * @name: "region0"
 * @bus: its bus
 * @size: bytes
 * @resource: physical address of its first byte, or PMR_NO_ADDRESS
 * @read_only: the region refuses writes
 * @badblocks: the region's own list, offsets from the region's first byte
 * @type: libndctl's word: "pmem"; static storage
 * @persistence: down to where what was stored survives a power cut: "cpu_cache", "memory_controller", "none"; NULL where
 *               the kernel does not tell; static storage
 * @n_mappings: over how many DIMMs it is interleaved; 0 where firmware tells of none
 * @dimms: those of them that are known, with PMR_TOPOLOGY_DIMMS
 * @n_dimms: how many
 * @unallocated: bytes of it that no namespace has, with PMR_TOPOLOGY_DIMMS
 * @parts: its badblocks by who has them, with PMR_TOPOLOGY_DIMMS; sorted by offset
 * @n_parts: how many
 * @own: the library's own
 */
struct pmr_region {
	char *name;
	struct pmr_bus *bus;
	uint64_t size;
	uint64_t resource;
	bool read_only;
	struct pmr_badblocks badblocks;
	const char *type;
	const char *persistence;
	unsigned int n_mappings;
	struct pmr_dimm **dimms;
	size_t n_dimms;
	uint64_t unallocated;
	struct pmr_region_part *parts;
	size_t n_parts;
	struct pmr_region_private *own;
};

struct pmr_device;

/**
 * struct pmr_stripe - where a piece of a mapped device lies, or every so many chunks of it
 * @lower: a whole device, which may be mapped itself
 * @offset: on @lower, of the first byte
 */
struct pmr_stripe {
	struct pmr_device *lower;
	uint64_t offset;
};

/**
 * struct pmr_piece - a part of a mapped device, by one rule
 * @offset: of its first byte on the mapped device
 * @length: bytes
 * @chunk: bytes that lie together where there are several stripes, which take turns; else 0
 * @stripes: where it lies
 * @n_stripes: how many, at least 1
 */
struct pmr_piece {
	uint64_t offset;
	uint64_t length;
	uint64_t chunk;
	struct pmr_stripe *stripes;
	size_t n_stripes;
};

/**
 * struct pmr_reading - what was read of a device's media, see pmr_set_reading()
 * @asked: something was to be read
 * @complete: all that was to be read was
 * @done: normal: what was read, with what is listed in it
 * @found: normal: what failed, while the device answered, and is in no other list, nor repaired since
 * @found_bytes: what failed and was in no list when it was read
 * @ars_bytes: of that, what was read since the last scrub of its bus had found it
 */
struct pmr_reading {
	bool asked;
	bool complete;
	struct pmr_ranges done;
	struct pmr_ranges found;
	uint64_t found_bytes;
	uint64_t ars_bytes;
};

/**
 * struct pmr_device - where poison lies: a namespace's block device or device-dax, or any other whole block device
 * @name: "pmem0", "pmem0s", "dax0.0", "loop0"; the namespace's name where it has no device (disabled)
 * @path: "/dev/pmem0", or NULL where there is no device
 * @devno: the whole block device's number, 0 when there is none
 * @size: bytes of the device, 0 when it is disabled
 * @logical_block: smallest O_DIRECT read in bytes (512 or 4096), 0 when there is no block device
 * @mode: what kind of namespace
 * @ns_name: "namespace0.0", or NULL for a device that is no PMEM
 * @ns_uuid: the namespace's UUID as text, or NULL
 * @ns_size: bytes of the namespace, its info block included
 * @enabled: whether the namespace is active
 * @region: its region, or NULL
 * @region_offset: region offset of the device's byte 0 (so past the info block and page map), or PMR_NO_ADDRESS
 * @data_offset: bytes of info block and page map ahead of the device's byte 0
 * @resource: physical address of the device's byte 0, or PMR_NO_ADDRESS
 * @page_map: where the struct pages of a namespace with an info block are kept
 * @read_only: the device refuses writes
 * @badblocks: its list, offsets from its byte 0, with what reading found
 * @reading: what was read of it
 * @metadata_badblocks: poison in the namespace's info block and page map, offsets from the namespace's first byte;
 *                      known only from the region's list. In a sector namespace: all poison inside the namespace,
 *                      since its blocks have no fixed place
 * @from_file: @badblocks came from a --badblocks file
 * @volume: of a mapped device, device mapper's own name, e.g. "vg-lv"; else NULL
 * @pieces: of a mapped device, sorted, and covering it; begin and end with pages of the devices below
 * @n_pieces: how many; 0 where @mode is not PMR_MODE_MAPPED
 * @lowers: the devices that @pieces lie on, each once
 * @n_lowers: how many
 * @own: the library's own
 *
 * The list of a mapped device is what its lower devices' lists have of it: as far to be believed as the least of them, and
 * unknown once its table is not the one any more that the pieces were made of.
 *
 * A disabled namespace is listed as a device that begins at the namespace's first byte, info block included.
 */
struct pmr_device {
	char *name;
	char *path;
	dev_t devno;
	uint64_t size;
	unsigned int logical_block;
	enum pmr_mode mode;
	char *ns_name;
	char *ns_uuid;
	uint64_t ns_size;
	bool enabled;
	struct pmr_region *region;
	uint64_t region_offset;
	uint64_t data_offset;
	uint64_t resource;
	enum pmr_page_map page_map;
	bool read_only;
	struct pmr_badblocks badblocks;
	struct pmr_reading reading;
	struct pmr_badblocks metadata_badblocks;
	bool from_file;
	char *volume;
	struct pmr_piece *pieces;
	size_t n_pieces;
	struct pmr_device **lowers;
	size_t n_lowers;
	struct pmr_device_private *own;
};

/** enum pmr_dax - whether a filesystem bypasses the page cache */
enum pmr_dax {
	PMR_DAX_UNKNOWN,
	PMR_DAX_NO,
	PMR_DAX_YES, /* mounted -o dax or dax=always */
	PMR_DAX_INODE, /* dax=inode: file by file, see statx STATX_ATTR_DAX */
};

/** enum pmr_way - how the owners of a filesystem's bad bytes were found */
enum pmr_way {
	PMR_WAY_NONE, /* not looked for */
	PMR_WAY_REVERSE_MAP, /* XFS with rmapbt was asked (GETFSMAP) */
	PMR_WAY_INODE_TABLE, /* one pass over ext4's inodes */
	PMR_WAY_WALK, /* every file was asked for its extents (FIEMAP) */
};
/** pmr_way_name() - the report's word; NULL for PMR_WAY_NONE */
const char *pmr_way_name(enum pmr_way way);

/** enum pmr_role - what a block device is to its filesystem */
enum pmr_role {
	PMR_ROLE_DATA, /* its superblock, its metadata and its files: all there is of most filesystems */
	PMR_ROLE_LOG, /* the log of an XFS (logdev=), ext4 or ext3, and nothing else */
	PMR_ROLE_REALTIME, /* of an XFS (rtdev=): data of files that it was told to keep there */
};
/** pmr_role_name() - the report's word: "data", "log", "realtime" */
const char *pmr_role_name(enum pmr_role role);

/**
 * struct pmr_filesystem - a filesystem on one device, or what of it lies on a device of its own
 * @role: what @source is to it
 * @type: libblkid's or, mounted, the kernel's word: "xfs", "ext4", ...; of a log "xfs_external_log" or "jbd"
 * @uuid: or NULL
 * @label: or NULL
 * @source: its block device: "/dev/pmem0p1"
 * @devno: st_dev of its files; of a log its own number
 * @of: of a log or realtime device: st_dev of the files of the filesystem, 0 where that is not mounted here
 * @of_source: of a log or realtime device: the block device that the filesystem was mounted from, or NULL
 * @mountpoint: first place it is mounted at in this mount namespace, or NULL
 * @dax: how it is mounted
 * @read_only: mounted read-only
 * @unreplayed: mounted without its log having been replayed (norecovery, noload), and not known to have had nothing in it: what
 *              it tells of its blocks, sizes and files may be from before
 * @realtime: an XFS mounted with a realtime device (rtdev=), where some of its files lie; that one is a filesystem of its own
 *            here, in its role
 * @rtdev: number of that device, 0 where it is not known
 * @external_log: mounted with its log on another device (logdev= of an XFS; of an ext4 or ext3 the superblock tells)
 * @log: number of that device, 0 where it is not known
 * @device: the device below
 * @start: offset of its byte 0 on @device (a partition's start)
 * @size: bytes of its block device
 * @held: something is built on its block device (device mapper, md, ...), and that alone says what lies there
 * @way: how a scan of all of it, or a location, found owners the last time
 */
struct pmr_filesystem {
	enum pmr_role role;
	char *type;
	char *uuid;
	char *label;
	char *source;
	dev_t devno;
	dev_t of;
	char *of_source;
	char *mountpoint;
	enum pmr_dax dax;
	bool read_only;
	bool unreplayed;
	bool realtime;
	bool external_log;
	dev_t log;
	dev_t rtdev;
	struct pmr_device *device;
	uint64_t start;
	uint64_t size;
	bool held;
	enum pmr_way way;
};

/**
 * struct pmr_topology - all PMEM of this machine
 *
 * Arrays of pointers, so that devices and filesystems keep their address while others are added. @own is the
 * library's own.
 */
struct pmr_topology {
	struct pmr_bus **buses;
	size_t n_buses;
	struct pmr_region **regions;
	size_t n_regions;
	struct pmr_dimm **dimms;
	size_t n_dimms;
	struct pmr_device **devices;
	size_t n_devices;
	struct pmr_filesystem **filesystems;
	size_t n_filesystems;
	struct pmr_topology_private *own;
};

/** PMR_TOPOLOGY_FILESYSTEMS - also find the filesystems on the devices and where they are mounted */
#define PMR_TOPOLOGY_FILESYSTEMS 0x1u
/** PMR_TOPOLOGY_DIMMS - also ask buses for their scrubs and DIMMs, and of each region's badblocks who has them */
#define PMR_TOPOLOGY_DIMMS 0x2u

/**
 * pmr_topology_new() - look at every bus, region and namespace, and read their badblocks lists
 * @flags: PMR_TOPOLOGY_FILESYSTEMS and PMR_TOPOLOGY_DIMMS, or'ed; 0 for neither
 * @topology: result; release with pmr_topology_free(). Machines without PMEM give empty arrays.
 *
 * Opens no file or directory of any filesystem but sysfs, /dev and /proc. What could not be read is unknown in
 * the result and said through the context.
 *
 * Return: 0; -ENOENT: /sys is no sysfs, so nothing can be known (said through the context); -ENOMEM, or what libndctl
 * could not be started with.
 */
int pmr_topology_new(struct pmr_ctx *ctx, unsigned int flags, struct pmr_topology **topology);
/** pmr_topology_free() - release; takes NULL */
void pmr_topology_free(struct pmr_topology *topology);

/** pmr_region_has_strays() - whether it has badblocks of which it is not known whether they are in a namespace; with PMR_TOPOLOGY_DIMMS */
bool pmr_region_has_strays(const struct pmr_region *region);

/** pmr_region_is_told() - whether all badblocks of a region that are in no namespace are known; with PMR_TOPOLOGY_DIMMS */
bool pmr_region_is_told(const struct pmr_region *region);

/**
 * pmr_topology_find() - a device by what a person calls it
 * @name: a namespace ("namespace0.0"), a device's name ("pmem0") or path ("/dev/pmem0", or a link to it)
 *
 * Return: the device, or NULL. A partition is not found here; see pmr_topology_resolve().
 */
struct pmr_device *pmr_topology_find(const struct pmr_topology *topology, const char *name);

/**
 * pmr_topology_resolve() - the filesystem that a block device number stands for, down to its device
 * @devno: st_dev of a file, or st_rdev of a block device or partition
 * @object: what to call it in messages
 * @filesystem: result; belongs to the topology, which it is added to when new. Its @type and @mountpoint may be
 *              NULL when there is no filesystem or it is not mounted.
 *
 * Partitions are followed to their whole disk, linear and striped targets of device mapper to what is below. A block device
 * that is no PMEM is added to the topology as a device of PMR_MODE_NONE with an unknown list, or of PMR_MODE_MAPPED.
 *
 * Return: 0; -EOPNOTSUPP: a layer is not understood (other targets of device mapper, md, bcache, or no block device at all
 * as with btrfs, overlay and tmpfs); -ENODEV: no such device; another errno of looking it up; -ENOMEM. All but the last are said
 * through the context.
 */
int pmr_topology_resolve(struct pmr_ctx *ctx, struct pmr_topology *topology, dev_t devno,
			 const char *object, struct pmr_filesystem **filesystem);

/**
 * pmr_device_below() - where a place of a device lies in the end: through mapped devices, on one that is not
 * @offset: on @device, inside it
 * @length: of the place; becomes how many of its bytes, from the first one on, lie together
 * @lower: result; @device itself where that is not mapped
 * @lower_offset: result
 *
 * Return: whether it lies anywhere; always, where @offset is inside the device.
 */
bool pmr_device_below(const struct pmr_device *device, uint64_t offset, uint64_t *length,
		      struct pmr_device **lower, uint64_t *lower_offset);

/**
 * pmr_device_refresh() - read a device's badblocks lists again
 *
 * Leaves a list from a --badblocks file alone. Once incomplete, a list stays so within one topology.
 * Return: 0 also when the list is now unknown; -ENOMEM.
 */
int pmr_device_refresh(struct pmr_ctx *ctx, struct pmr_device *device);

/**
 * pmr_device_scrub() - have the kernel look for poison on all of a device's bus, and wait until it has
 * @device: of a region
 *
 * One that runs already is waited for. Cancelling ends the waiting alone. Then the lists of all devices on the bus are read
 * again. Return: 0; -EOPNOTSUPP: its bus cannot; -ECANCELED; another errno; all of these were said. -ENOMEM.
 */
int pmr_device_scrub(struct pmr_ctx *ctx, const struct pmr_topology *topology,
		     const struct pmr_device *device);

/** pmr_device_was_full() - whether its list is, or once was, too long for the kernel to keep or show it all; not of a --badblocks file */
bool pmr_device_was_full(const struct pmr_device *device);

/**
 * pmr_device_use_file() - take a device's badblocks from a --badblocks file instead
 *
 * Return: 0; -ERANGE: records past the device's end, or a "# size" that differs; -EXDEV: a "# device" that is another
 * device (both said through the context); -ENOMEM.
 */
int pmr_device_use_file(struct pmr_ctx *ctx, struct pmr_device *device, const char *path,
			const struct pmr_badblocks_file *file);

/** pmr_device_is_read() - whether all of a device was read, but for what is listed: then its list is complete, see pmr_set_reading() */
bool pmr_device_is_read(const struct pmr_device *device);

/** pmr_device_is_told() - whether what is bad is known of all that was asked about: its list is complete, or that was read */
bool pmr_device_is_told(const struct pmr_device *device);

/* ---- scan --------------------------------------------------------------------------------------- */

/** enum pmr_state - what became of a range of a file */
enum pmr_state {
	PMR_LOST,
	PMR_UNWRITTEN, /* allocated, never written: reads as zeros, nothing is lost */
	PMR_PAST_EOF, /* allocated past the end of the file: nothing is lost */
	PMR_CACHED, /* listed bad, but the page cache still holds the bytes (filesystems without DAX) */
	PMR_REPAIRED, /* written from a source that was checked, and read back equal */
	PMR_ZEROED, /* written with zeros by request, and read back equal */
	PMR_FAILED, /* written or tried, and not read back equal */
	PMR_SKIPPED, /* left alone, for the reason given */
	PMR_CONFLICT, /* the same bytes would have to become two different things */
	PMR_UNKNOWN,
};
/** pmr_state_name() - the report's word: "lost", "unwritten", "past_eof", ... */
const char *pmr_state_name(enum pmr_state state);

/**
 * struct pmr_loss - one range of a file over poison
 * @offset: first byte in the file
 * @length: bytes; exactly what cannot be read, not rounded to pages
 * @device_offset: where it lies on the file's device
 * @state: what it is, or what became of it
 * @reason: why, for programs ("page-offlined", "stale-backup", "in-use", ...), static storage; or NULL
 * @source: where the bytes came from: "backup", "zero", "page-cache"; NULL before a repair
 * @method: how they were written: "flag", "write", "punch", "device", "clear"; NULL before a repair
 * @vanished: it is in no list any more: an earlier report said so, and file, size and place still match it
 * @shared: the block belongs to more than one owner (FIEMAP's SHARED)
 * @unwritten: the block was never written (FIEMAP's UNWRITTEN), inside the file or past its end
 */
struct pmr_loss {
	uint64_t offset;
	uint64_t length;
	uint64_t device_offset;
	enum pmr_state state;
	const char *reason;
	const char *source;
	const char *method;
	bool vanished;
	bool shared;
	bool unwritten;
};

/**
 * struct pmr_file - a file that poison touches, or that could not be looked at
 * @path: as the target was given, with what lies below it; any bytes but NUL
 * @links: further names of the same inode that the walk met
 * @n_links: how many
 * @inode: st_ino
 * @size: st_size when it was scanned
 * @generation: FS_IOC_GETVERSION, 0 where there is none
 * @change_time: st_ctim when it was scanned; after a repair, as its last write left it
 * @dax: the file's effective DAX state (statx STATX_ATTR_DAX), else the filesystem's
 * @filesystem: where it lies
 * @losses: sorted by offset, no two overlap
 * @n_losses: how many
 * @complete: false when a part could not be known (an extent without a trustworthy address, an error)
 * @error: negative errno that made it incomplete, or 0
 * @hidden: another mount hides it: @path is where it lies in its filesystem, and leads nobody to it
 * @whole_device: it is no file but a device-dax, all of it: @path is its node, offsets are the device's, and @filesystem one
 *                of no type
 */
struct pmr_file {
	char *path;
	char **links;
	size_t n_links;
	uint64_t inode;
	uint64_t size;
	uint32_t generation;
	struct timespec change_time;
	bool dax;
	struct pmr_filesystem *filesystem;
	struct pmr_loss *losses;
	size_t n_losses;
	bool complete;
	int error;
	bool hidden;
	bool whole_device;
};

/** enum pmr_owner - what a bad range of a device belongs to */
enum pmr_owner {
	PMR_OWNER_NOT_ASKED, /* the targets did not cover the whole filesystem */
	PMR_OWNER_FILE,
	PMR_OWNER_UNWRITTEN, /* a file's, but nothing is lost: unwritten or past its end */
	PMR_OWNER_FREE,
	PMR_OWNER_METADATA,
	PMR_OWNER_LOG,
	PMR_OWNER_NAMESPACE, /* info block, page map, partition table */
	PMR_OWNER_DEVICE, /* data of a device-dax: of the program that uses it */
	PMR_OWNER_UNKNOWN,
};
/** pmr_owner_name() - the report's word; NULL for PMR_OWNER_NOT_ASKED */
const char *pmr_owner_name(enum pmr_owner owner);

/** enum pmr_part - what of an inode, a filesystem, a namespace or a region lies there */
enum pmr_part {
	PMR_PART_NONE, /* no inode's, or the filesystem does not tell */
	PMR_PART_DIRECTORY, /* names in a directory */
	PMR_PART_SYMLINK, /* the target of a long symbolic link */
	PMR_PART_ATTRIBUTES, /* extended attributes */
	PMR_PART_EXTENTS, /* where its data lies: extent tree, indirect blocks */
	PMR_PART_INODE, /* the inode itself, and data that lies in it */
	PMR_PART_VERITY, /* what fs-verity checks its data by */
	PMR_PART_BOOT_BLOCK, /* of a filesystem: what lies ahead of its first block, for a boot loader */
	PMR_PART_INFO_BLOCK, /* of a namespace: what it is, and where its data begins */
	PMR_PART_PAGE_MAP, /* of a namespace: the kernel's struct pages of it, made anew each time it is enabled */
	PMR_PART_PADDING, /* of a namespace: what nothing is kept in */
	PMR_PART_UNALLOCATED, /* of a region: in no namespace */
	/* of a namespace in sector mode */
	PMR_PART_BTT_INFO, /* the info block of an arena, or its copy */
	PMR_PART_BTT_DATA, /* a block: free, or of the device; which, only the map tells */
	PMR_PART_BTT_MAP, /* where blocks of the device lie */
	PMR_PART_BTT_LOG, /* what was moved last, and which blocks are free */
	PMR_PART_BTT_UNUSED, /* nothing's */
};
/** pmr_part_name() - the report's word; NULL for PMR_PART_NONE */
const char *pmr_part_name(enum pmr_part part);

/**
 * pmr_namespace_part() - what a byte of a namespace is of
 * @device: of the namespace
 * @offset: from the namespace's first byte, and inside it
 * @until: result: where that ends, behind @offset
 *
 * In the page map's part lies all that the kernel may use for it; how much it does use, it does not tell.
 *
 * Return: PMR_PART_NONE for data that has a fixed place, and where it is not known.
 */
enum pmr_part pmr_namespace_part(const struct pmr_device *device, uint64_t offset, uint64_t *until);

/**
 * pmr_namespace_owner() - whose bad bytes in a part of a namespace are
 *
 * Of PMR_PART_BTT_DATA that is known where all of the device was read and none of it failed: then free.
 *
 * Return: PMR_OWNER_NAMESPACE, _FREE or _UNKNOWN.
 */
enum pmr_owner pmr_namespace_owner(const struct pmr_device *device, enum pmr_part part);

/**
 * pmr_device_next_metadata() - cut a device's list of metadata where one part of its namespace ends
 * @position: offset in the namespace to go on from; 0 first, then left alone
 * @range: result, in the namespace
 * @part: result; PMR_PART_NONE where it is not known what of the namespace it is
 *
 * Return: 1 and the next, 0 at the end.
 */
int pmr_device_next_metadata(const struct pmr_device *device, uint64_t *position,
			     struct pmr_range *range, enum pmr_part *part);

/**
 * struct pmr_region_part - a bad range of a region, or the part of one that has one place and one DIMM
 * @range: offsets in the region
 * @device: of the namespace that has it, or NULL
 * @owner: PMR_OWNER_NOT_ASKED: it is data, see the device; PMR_OWNER_NAMESPACE, with @part; PMR_OWNER_FREE: no namespace
 *         has it; PMR_OWNER_UNKNOWN: it is not known which namespace, or what of it
 * @part: what it is, if no data
 * @dimm: the one that all of it lies on; NULL where that is not known, or not one alone
 */
struct pmr_region_part {
	struct pmr_range range;
	struct pmr_device *device;
	enum pmr_owner owner;
	enum pmr_part part;
	struct pmr_dimm *dimm;
};

/**
 * struct pmr_owned - a bad range, or the part of one that has one kind of owner
 * @part: of PMR_OWNER_METADATA
 * @inode: of metadata that is one inode's, and of a file that no name was found for; else 0. Of several the first
 * @path: of @inode, or NULL
 */
struct pmr_owned {
	struct pmr_device *device;
	struct pmr_range range;
	enum pmr_owner owner;
	enum pmr_part part;
	uint64_t inode;
	char *path;
};

/**
 * struct pmr_scan - the answer to "what is lost?"
 * @topology: what it was asked of; not owned by the scan
 * @files: files with losses, or that could not be looked at; in the order met
 * @n_files: how many
 * @owned: every bad range of every device asked about, sorted by device and offset
 * @n_owned: how many
 * @devices: devices asked about
 * @n_devices: how many
 * @files_seen: regular files whose extents were looked at
 * @metadata_lost: a device that was asked about whole has poison in its namespace's info block or page map; the exit
 *                 status then has 4
 * @complete: false when anything was unknown, unreadable or interrupted; the exit status then has 8
 */
struct pmr_scan {
	struct pmr_topology *topology;
	struct pmr_file **files;
	size_t n_files;
	struct pmr_owned *owned;
	size_t n_owned;
	struct pmr_device **devices;
	size_t n_devices;
	uint64_t files_seen;
	bool metadata_lost;
	bool complete;
};

/**
 * pmr_scan_new() - find what poison took from the targets
 * @topology: made with PMR_TOPOLOGY_FILESYSTEMS
 * @targets: files, directories, mountpoints, block devices, device-dax or namespace names
 * @n_targets: 0 for every mounted filesystem on PMEM, and every device-dax
 * @badblocks: a --badblocks file for the one device all targets lie on, or NULL
 * @badblocks_path: its name for messages and the report
 * @scan: result; release with pmr_scan_free()
 *
 * A target that does not exist, is not on PMEM or lies on a stack that is not understood is said through the
 * context and leaves the scan incomplete; the other targets are still scanned. A device-dax with badblocks is one of the
 * files, as a whole. Directories are walked within one
 * filesystem, and only when their device has badblocks. Listed sectors are never read; unlisted sectors of the
 * same page are, to recognise pages that were offlined.
 *
 * Return: 0 (look at @complete), -ENOMEM, or the error of using @badblocks.
 */
int pmr_scan_new(struct pmr_ctx *ctx, struct pmr_topology *topology, const char *const *targets,
		 size_t n_targets, const struct pmr_badblocks_file *badblocks,
		 const char *badblocks_path, struct pmr_scan **scan);
/** pmr_scan_free() - release; takes NULL */
void pmr_scan_free(struct pmr_scan *scan);

/* ---- map ---------------------------------------------------------------------------------------- */

/** enum pmr_extent_kind - what bytes of a file lie in */
enum pmr_extent_kind {
	PMR_EXTENT_DATA,
	PMR_EXTENT_HOLE,
	PMR_EXTENT_UNWRITTEN,
	PMR_EXTENT_UNTRUSTED, /* inline, encoded, delayed: no trustworthy address */
};

/**
 * struct pmr_mapping - where a range of a file lies
 * @offset: first byte in the file
 * @length: bytes
 * @kind: what it is; the fields below are PMR_NO_ADDRESS for holes and untrusted extents
 * @shared: FIEMAP's SHARED
 * @device_offset: offset on the device; of a mapped one, all of it lies together below: see pmr_device_below()
 * @region_offset: offset in the region
 * @address: physical address
 * @bad_bytes: how many of its bytes are listed bad
 */
struct pmr_mapping {
	uint64_t offset;
	uint64_t length;
	enum pmr_extent_kind kind;
	bool shared;
	uint64_t device_offset;
	uint64_t region_offset;
	uint64_t address;
	uint64_t bad_bytes;
};

/**
 * struct pmr_map - where a file lies, holes included, sorted by offset
 *
 * @seal: where what fs-verity checks its data by begins, behind the end; UINT64_MAX: it is not sealed
 *
 * An extent that reaches past the end of the file and has poison there is two mappings, cut at the end.
 */
struct pmr_map {
	struct pmr_filesystem *filesystem;
	uint64_t inode;
	uint64_t size;
	uint64_t seal;
	struct pmr_mapping *mappings;
	size_t n_mappings;
	bool complete;
};

/**
 * pmr_map_new() - where a range of a file lies
 * @path: a regular file
 * @offset: first byte
 * @length: bytes; UINT64_MAX for all that follows
 * @map: result; release with pmr_map_free() before the topology
 *
 * Reads nothing of the file. Return: 0 (look at @complete); -EINVAL: no regular file; -EOPNOTSUPP: its filesystem, or what is
 * below, is not understood, or tells of no extents; another errno of opening it; all said through the context; -ENOMEM.
 */
int pmr_map_new(struct pmr_ctx *ctx, struct pmr_topology *topology, const char *path,
		uint64_t offset, uint64_t length, struct pmr_map **map);
/** pmr_map_free() - release; takes NULL */
void pmr_map_free(struct pmr_map *map);

/* ---- locate ------------------------------------------------------------------------------------- */

/** enum pmr_base - what the offset of a place counts from */
enum pmr_base {
	PMR_BASE_DEVICE, /* the device's first byte */
	PMR_BASE_NAMESPACE, /* the namespace's: where it has no device, and what lies ahead of or behind the device */
	PMR_BASE_REGION, /* the region's: what lies in no namespace */
};

/**
 * struct pmr_place - a part of what pmr_locate_new() was asked for that has one owner
 * @device: the device, or NULL where no namespace has the bytes
 * @base: what @offset counts from
 * @offset: of the first byte
 * @length: bytes
 * @region_offset: offset in the region, or PMR_NO_ADDRESS
 * @address: physical address, or PMR_NO_ADDRESS
 * @filesystem: what lies there, or NULL
 * @owner: PMR_OWNER_FILE: see @file; PMR_OWNER_NAMESPACE: info block, page map or partition table; PMR_OWNER_DEVICE: data of
 *         a device-dax;
 *         PMR_OWNER_NOT_ASKED: outside every namespace or filesystem
 * @part: of PMR_OWNER_METADATA, what of @inode
 * @inode: of the file, 0 where it is not known; known without @file for a file that no walk can meet
 * @file: the file, without losses; belongs to the location, or NULL; a block that several own is as many places
 * @path: of metadata that is one inode's, a name of that; belongs to the location, or NULL
 * @file_offset: first byte in @file, or PMR_NO_ADDRESS
 * @kind: data, or unwritten
 * @past_eof: behind the end of @file
 * @shared: FIEMAP's SHARED
 * @bad_bytes: how many of the bytes are listed bad, or PMR_NO_ADDRESS where the list is unknown
 */
struct pmr_place {
	struct pmr_device *device;
	enum pmr_base base;
	uint64_t offset;
	uint64_t length;
	uint64_t region_offset;
	uint64_t address;
	struct pmr_filesystem *filesystem;
	enum pmr_owner owner;
	enum pmr_part part;
	uint64_t inode;
	struct pmr_file *file;
	const char *path;
	uint64_t file_offset;
	enum pmr_extent_kind kind;
	bool past_eof;
	bool shared;
	uint64_t bad_bytes;
};

/**
 * struct pmr_location - who owns bytes of a device: the inverse of struct pmr_map
 * @region: the region, or NULL for a device that is no PMEM, or mapped
 * @places: sorted by place, covering all that was asked for; what mapped devices have of it names these, and
 *          pmr_device_below() leads back
 * @n_places: how many
 * @complete: false when an owner could not be found for certain
 * @own: the library's own
 */
struct pmr_location {
	struct pmr_region *region;
	struct pmr_place *places;
	size_t n_places;
	bool complete;
	void *own;
};

/**
 * pmr_locate_new() - who owns a range of a device
 * @topology: made with PMR_TOPOLOGY_FILESYSTEMS
 * @device: a namespace, a block device or a partition, in whose own offsets @offset is
 * @offset: first byte
 * @length: bytes, at least 1
 * @location: result; release with pmr_location_free() before the topology
 *
 * Reads no media, whatever is listed. Return: 0 (look at @complete); -ENODEV, -EOPNOTSUPP as pmr_topology_resolve();
 * -ERANGE: past the device's end; other errno; all said through the context. -ENOMEM.
 */
int pmr_locate_new(struct pmr_ctx *ctx, struct pmr_topology *topology, const char *device,
		   uint64_t offset, uint64_t length, struct pmr_location **location);

/**
 * pmr_locate_address_new() - the same for a physical address, as the kernel's log prints it
 *
 * Return: as pmr_locate_new(); -ERANGE: in no PMEM region; -EACCES: the regions' addresses may not be read (root only).
 */
int pmr_locate_address_new(struct pmr_ctx *ctx, struct pmr_topology *topology, uint64_t address,
			   uint64_t length, struct pmr_location **location);
/** pmr_location_free() - release; takes NULL */
void pmr_location_free(struct pmr_location *location);

/* ---- salvage ------------------------------------------------------------------------------------ */

/**
 * struct pmr_salvage_options - how to copy what can be read
 * @output: the file to make
 * @mapfile: where to keep a GNU ddrescue mapfile, and resume from it where it exists; NULL for none
 * @fill: a byte (0-255) to write where bytes are lost; -1 leaves holes
 * @force: allow an output on the damaged filesystem, and replace one that exists
 */
struct pmr_salvage_options {
	const char *output;
	const char *mapfile;
	int fill;
	bool force;
};

/**
 * struct pmr_salvage - what became of it
 * @scan: of the one file; its losses say exactly what is lost in the output, and why
 * @size: of the file
 * @rescued: bytes of data that are in the output, earlier runs included; holes are none
 * @lost: bytes that could not be read
 * @remaining: bytes not tried: the run was stopped
 * @resumed: it went on from a mapfile
 * @complete: every byte was tried, and everything about it is known
 */
struct pmr_salvage {
	struct pmr_scan *scan;
	uint64_t size;
	uint64_t rescued;
	uint64_t lost;
	uint64_t remaining;
	bool resumed;
	bool complete;
};

/**
 * pmr_salvage_new() - copy every readable byte of a file, or of a device-dax
 * @topology: made with PMR_TOPOLOGY_FILESYSTEMS
 * @path: a regular file; or a device-dax by its node, its name or its namespace's, which is read by loads: SIGBUS must have a
 *        handler that knows pmr_copy_nofault()
 * @badblocks, @badblocks_path: as pmr_scan_new()
 * @salvage: result, also where it did not get to the end; release with pmr_salvage_free()
 *
 * Holes and unwritten extents stay holes. Of a page with poison the good sectors are read through the block device;
 * without the right to do so the whole page is lost, which is said. Writes nothing but output and mapfile.
 *
 * Return: 0 (look at @complete and @lost); a negative errno, said through the context.
 */
int pmr_salvage_new(struct pmr_ctx *ctx, struct pmr_topology *topology, const char *path,
		    const struct pmr_badblocks_file *badblocks, const char *badblocks_path,
		    const struct pmr_salvage_options *options, struct pmr_salvage **salvage);
/** pmr_salvage_free() - release; takes NULL */
void pmr_salvage_free(struct pmr_salvage *salvage);

/* ---- earlier reports ---------------------------------------------------------------------------- */

struct pmr_earlier;

/**
 * pmr_earlier_parse() - take the lost ranges of files from a report that scan or repair wrote before
 * @text: one JSON document, need not end in NUL
 * @length: its length in bytes
 * @name: what to call it in messages
 * @earlier: result; release with pmr_earlier_free()
 *
 * Return: 0; -EINVAL: not such a report; -EXDEV: of another host; both said through the context; -ENOMEM.
 */
int pmr_earlier_parse(struct pmr_ctx *ctx, const char *text, size_t length, const char *name,
		      struct pmr_earlier **earlier);
/** pmr_earlier_load() - read and parse one, "-" for standard input. Return: as pmr_earlier_parse(), or of reading. */
int pmr_earlier_load(struct pmr_ctx *ctx, const char *path, struct pmr_earlier **earlier);
/** pmr_earlier_paths() - the files that it says lost something; NULL-terminated, belongs to @earlier */
const char *const *pmr_earlier_paths(const struct pmr_earlier *earlier);
/** pmr_earlier_is_complete() - whether it says that it names all that was lost */
bool pmr_earlier_is_complete(const struct pmr_earlier *earlier);
/** pmr_earlier_has_devices() - whether it names device-dax besides, of which nothing is taken from it */
bool pmr_earlier_has_devices(const struct pmr_earlier *earlier);
/**
 * pmr_earlier_select() - leave out the files that are not at or below one of the targets
 * @topology: the one that the targets were scanned with
 *
 * Return: 0; -ENOMEM. How many are left out is said.
 */
int pmr_earlier_select(struct pmr_ctx *ctx, struct pmr_earlier *earlier,
		       const struct pmr_topology *topology, const char *const *targets,
		       size_t n_targets);
/** pmr_earlier_free() - release; takes NULL */
void pmr_earlier_free(struct pmr_earlier *earlier);

/**
 * pmr_scan_add_earlier() - add to a scan's files what an earlier report says they lost and no list knows any more
 * @scan: of the same targets; files that it does not name are taken in
 *
 * Only where the file still is the one of the report: filesystem UUID, inode, generation, size, change time, and for
 * each range its place on the device. A file that is not becomes one that is not complete, and why is said. Losses
 * that were added are @vanished, but for what was never listed and still cannot be read.
 *
 * Return: 0; -ENOMEM.
 */
int pmr_scan_add_earlier(struct pmr_ctx *ctx, struct pmr_scan *scan,
			 const struct pmr_earlier *earlier);

/* ---- memory ------------------------------------------------------------------------------------- */

/**
 * struct pmr_vanished - records that were in a device's list, are not any more, and no repair accounts for
 * @device: the device
 * @metadata: it was in the list of the namespace's metadata
 * @range: device offsets; of @metadata: offsets from the namespace's first byte
 * @id: for pmr_memory_acknowledge(), e.g. "pmem0@1048576"; of @metadata "namespace0.0@4096"
 * @seen: when a list last had it
 * @list: the file that remembers it, with all that is remembered of the device: good for --badblocks
 */
struct pmr_vanished {
	struct pmr_device *device;
	bool metadata;
	struct pmr_range range;
	char *id;
	time_t seen;
	const char *list;
};

struct pmr_memory;

/** PMR_STATE_DIRECTORY - where journals and the memory are kept */
#define PMR_STATE_DIRECTORY "/var/lib/pmem-recover"

/**
 * pmr_memory_new() - compare the lists of all namespaces with those seen last, and remember them
 * @directory: the state directory
 * @memory: result; release with pmr_memory_free() before the topology
 *
 * Namespaces are known by their UUID, else by name and size. Lists that are not complete only add to what is
 * remembered, unknown ones change nothing, and what is disabled or not there keeps its memory. Where nothing changed
 * nothing is written, but that a file takes the time at which its records were seen again. Where something did, the
 * lists are read once more, since a repair may have been at work. Where the directory cannot be written the comparison
 * is still made, and pmr_memory_is_kept() says so.
 *
 * Return: 0; -ENOMEM. What is wrong with the directory is said through the context.
 */
int pmr_memory_new(struct pmr_ctx *ctx, const struct pmr_topology *topology, const char *directory,
		   struct pmr_memory **memory);
/** pmr_memory_vanished() - what vanished, sorted by device and offset. Return: how many. */
size_t pmr_memory_vanished(const struct pmr_memory *memory, const struct pmr_vanished **vanished);
/** pmr_memory_is_known() - whether all that was remembered could be read, so that pmr_memory_vanished() is the answer */
bool pmr_memory_is_known(const struct pmr_memory *memory);
/** pmr_memory_is_lost() - whether it was there and was damaged, so that records may have vanished and nobody knows */
bool pmr_memory_is_lost(const struct pmr_memory *memory);
/** pmr_memory_is_kept() - whether the lists could be remembered */
bool pmr_memory_is_kept(const struct pmr_memory *memory);
/**
 * pmr_memory_acknowledge() - forget what vanished
 * @id: of one record, or a device's name, path or namespace for all of its
 *
 * Return: 0; -ENOENT: nothing such vanished; other errno of writing: nothing was forgotten. Says nothing.
 */
int pmr_memory_acknowledge(struct pmr_memory *memory, const char *id);
/** pmr_memory_free() - release; takes NULL */
void pmr_memory_free(struct pmr_memory *memory);

/* ---- lists that were cut or full ----------------------------------------------------------------- */

/**
 * struct pmr_doubts - which lists were once cut or full, in this run or an earlier one
 *
 * The kernel keeps 512 records of a device and drops what comes after; it shows what fits into a page. Of what was dropped
 * an emptied list says nothing, so that it stays incomplete ("was-full") until something has gone over all of it: a scrub
 * that ended after the list was seen with room again, the scrub of a later boot, or a run that read all of the device and
 * found nothing bad that is not listed. A bus that tells of no scrubs, as all but that of an NFIT, leaves only the last.
 * Regions have lists of their own, also of what no namespace has, which nothing but a scrub settles.
 */
struct pmr_doubts;

/**
 * pmr_doubts_new() - judge a topology's lists by what was seen earlier, and remember what is seen now
 * @directory: the state directory; it is written to only where there is something new to remember
 * @doubts: result; release with pmr_doubts_free() before the topology
 *
 * Namespaces are known as to pmr_memory_new(). Lists that were complete may become incomplete, which is said.
 * Return: 0; -ENOMEM; the error of reading lists. What is wrong with the directory is said through the context.
 */
int pmr_doubts_new(struct pmr_ctx *ctx, const struct pmr_topology *topology, const char *directory,
		   struct pmr_doubts **doubts);
/**
 * pmr_doubts_update() - the same once more, with the lists as they were read last: at the end, or after a scrub
 *
 * Return: as pmr_doubts_new().
 */
int pmr_doubts_update(struct pmr_doubts *doubts);
/** pmr_doubts_free() - release; takes NULL */
void pmr_doubts_free(struct pmr_doubts *doubts);

/** enum pmr_zeroed_file - what became of a file in which a repair wrote zeros */
enum pmr_zeroed_file {
	PMR_ZEROED_FILE_UNKNOWN, /* it was not looked at, or could not be */
	PMR_ZEROED_FILE_SAME, /* as the repair left it: the zeros are there */
	PMR_ZEROED_FILE_CHANGED, /* it was changed since: whether they are still there, nobody knows */
	PMR_ZEROED_FILE_GONE, /* it is not there: removed, renamed, or its filesystem is not mounted where it was */
};
/** pmr_zeroed_file_name() - the report's word: "same", "changed", "gone"; NULL for PMR_ZEROED_FILE_UNKNOWN */
const char *pmr_zeroed_file_name(enum pmr_zeroed_file file);

/**
 * struct pmr_zeroed - bytes of a file that a repair overwrote with zeros, by request, and that were not restored since
 * @id: for pmr_zeroes_acknowledge(), e.g. "5d7a5ebb-132@8704": begin of the filesystem's UUID, inode, and offset
 * @path: of the file then; any bytes but NUL
 * @filesystem_uuid: or NULL
 * @inode: of the file; 0 of a device-dax
 * @offset: in the file
 * @length: bytes
 * @device: the name then of the device on which it lies
 * @zeroed_at: when
 * @file: what became of the file
 * @differences: of PMR_ZEROED_FILE_CHANGED: what tells it, e.g. "size, change time"; else empty
 */
struct pmr_zeroed {
	char *id;
	const char *path;
	const char *filesystem_uuid;
	uint64_t inode;
	uint64_t offset;
	uint64_t length;
	const char *device;
	time_t zeroed_at;
	enum pmr_zeroed_file file;
	const char *differences;
};

struct pmr_zeroes;

/**
 * pmr_zeroes_new() - read what is remembered of zeros
 * @directory: the state directory
 * @zeroes: result; release with pmr_zeroes_free()
 *
 * Looks at no file and no device, and writes nothing. Return: 0; -ENOMEM. What cannot be read is said through the context.
 */
int pmr_zeroes_new(struct pmr_ctx *ctx, const char *directory, struct pmr_zeroes **zeroes);
/** pmr_zeroes_get() - them, by file and offset. Return: how many. */
size_t pmr_zeroes_get(const struct pmr_zeroes *zeroes, const struct pmr_zeroed **zeroed);
/** pmr_zeroes_is_known() - whether all that is remembered could be read, so that pmr_zeroes_get() is the answer */
bool pmr_zeroes_is_known(const struct pmr_zeroes *zeroes);
/** pmr_zeroes_is_lost() - whether a part of it is damaged or unreadable for more than want of rights */
bool pmr_zeroes_is_lost(const struct pmr_zeroes *zeroes);
/**
 * pmr_zeroes_look() - see what became of the files, and leave out those that are not at or below one of the targets
 * @topology: made with PMR_TOPOLOGY_FILESYSTEMS, the one that the targets were scanned with
 * @n_targets: 0 for all
 *
 * Opens the files, reads nothing of them, and says nothing. Return: 0; -ENOMEM.
 */
int pmr_zeroes_look(struct pmr_zeroes *zeroes, const struct pmr_topology *topology,
		    const char *const *targets, size_t n_targets);
/**
 * pmr_scan_add_zeroes() - add to a scan's files, as lost, what is remembered as zeros, so that a repair restores it
 * @zeroes: after pmr_zeroes_look() with the scan's targets
 *
 * Only of files that are as the repair left them; see pmr_scan_add_earlier(). Return: 0; -ENOMEM.
 */
int pmr_scan_add_zeroes(struct pmr_ctx *ctx, struct pmr_scan *scan,
			const struct pmr_zeroes *zeroes);
/**
 * pmr_zeroes_acknowledge() - forget zeros
 * @topology: for what devices are called now
 * @id: of one range, without its "@" and what follows all of that file; the file's path; or a device's name, path or
 *      namespace for all that lie on it. Of a damaged file of the memory its name: it is set aside
 *
 * Return: 0; -ENOENT: nothing such is remembered; other errno of writing: nothing more was forgotten. Says nothing.
 */
int pmr_zeroes_acknowledge(struct pmr_zeroes *zeroes, const struct pmr_topology *topology,
			   const char *id);
/** pmr_zeroes_free() - release; takes NULL */
void pmr_zeroes_free(struct pmr_zeroes *zeroes);

/* ---- freezing ----------------------------------------------------------------------------------- */

/**
 * struct pmr_freeze - work to be done on a filesystem that stands still (FIFREEZE)
 * @fd: an open file or directory of it
 * @devno: st_dev of its files
 * @limit: milliseconds that it may stand still; @work looks at the clock itself and ends in time
 * @work: called while it is frozen, in a process of its own. Reads and writes the block device and asks for extents;
 *        allocates nothing, says nothing, opens nothing, and leaves the filesystem's files alone
 * @data: for @work: memory that both processes share
 * @began: CLOCK_MONOTONIC nanoseconds when it came to stand still, set before @work
 * @frozen: result: nanoseconds that the filesystem stood still
 */
struct pmr_freeze {
	int fd;
	dev_t devno;
	unsigned int limit;
	void (*work)(void *data);
	void *data;
	uint64_t began;
	uint64_t frozen;
};

/**
 * struct pmr_freezer - who freezes: the library makes no process, and a freeze outlives who made it
 * @refuses: why a filesystem must not be frozen by this program, e.g. "output-on-target"; NULL where it may. Static storage
 * @run: freeze, call @work in a guardian, thaw. Whichever of the two processes dies, the other one thaws, and only when no
 *       write of the dead one can follow. Return: 0: @work came to its end; -EBUSY: it is frozen already, nothing was
 *       done; -EPERM, -EOPNOTSUPP: it cannot be frozen, nothing was done; -ETIMEDOUT, -ECHILD: the guardian was too slow and
 *       killed, or died, the filesystem is thawed, and what @work did is unknown; -EAGAIN: somebody else thawed it meanwhile, so that what @work
 *       wrote last may have come too late; -EIO: the filesystem may still be
 *       frozen, which was said
 * @data: for both
 */
struct pmr_freezer {
	const char *(*refuses)(void *data, dev_t devno);
	int (*run)(void *data, struct pmr_freeze *freeze);
	void *data;
};

/** pmr_set_freezer() - how filesystems are frozen; NULL (the default): not at all, so PMR_METHOD_DEVICE is refused */
void pmr_set_freezer(struct pmr_ctx *ctx, const struct pmr_freezer *freezer);

/* ---- repair ------------------------------------------------------------------------------------- */

/** enum pmr_verify_backup - how closely a backup is compared with what can still be read of the file */
enum pmr_verify_backup {
	PMR_VERIFY_WINDOW, /* affected pages and 64 KiB either side */
	PMR_VERIFY_FULL, /* every readable byte */
	PMR_VERIFY_NONE,
};

/** enum pmr_method - how to overwrite poison under a file */
enum pmr_method {
	PMR_METHOD_AUTO, /* the best that works in place: device for shared blocks, else flag, else write */
	PMR_METHOD_FLAG, /* pwritev2(2) with RWF_RECOVERY_DATA */
	PMR_METHOD_WRITE, /* plain writes of whole pages */
	PMR_METHOD_PUNCH, /* punch a hole and write again: moves the block and leaves the poison in free space */
	PMR_METHOD_DEVICE, /* the lost sectors alone, through the block device, while the filesystem stands still */
	PMR_METHOD_CLEAR, /* of a device-dax, and never asked for: its bus clears them, then bytes are stored */
};
/** pmr_method_name() - the word of --method and of a loss's @method; "auto", "flag", "write", "punch", "device", "clear" */
const char *pmr_method_name(enum pmr_method method);

/**
 * struct pmr_repair_options - what a repair may do
 * @backup: file or directory of replacement bytes; NULL with @zero_fill
 * @backup_root: for a directory @backup: the directory that its top stands for; NULL to go by the target
 * @zero_fill: write zeros over what is lost
 * @accept_offlined: take whole offlined pages from the source
 * @trust_badblocks: believe the list where a read succeeds; refused except on loop devices
 * @verify_backup: how closely to compare
 * @accept_unmended: also from a copy that was salvaged and, by the mapfile beside it, still lacks what is lost
 * @method: how to write
 * @online: repair files that are in use, too, by PMR_METHOD_DEVICE
 * @journal: directory of the journal; NULL for PMR_STATE_DIRECTORY
 * @keep_days: age at which journals that are done or set aside are removed; PMR_KEEP_FOREVER for never
 */
struct pmr_repair_options {
	const char *backup;
	const char *backup_root;
	bool zero_fill;
	bool accept_offlined;
	bool trust_badblocks;
	enum pmr_verify_backup verify_backup;
	bool accept_unmended;
	enum pmr_method method;
	bool online;
	const char *journal;
	unsigned int keep_days;
};

/** PMR_KEEP_DAYS - how long journals are kept where nobody says otherwise */
#define PMR_KEEP_DAYS 90u
/** PMR_KEEP_FOREVER - for @keep_days */
#define PMR_KEEP_FOREVER UINT32_MAX

/**
 * struct pmr_step - one write inside one extent of a file: whole pages, by PMR_METHOD_DEVICE logical blocks
 * @method: how it is to be written, never PMR_METHOD_AUTO
 * @follows: PMR_METHOD_DEVICE: another owner of the same shared blocks writes them; here they are only verified
 * @offset: aligned file offset of the write
 * @length: bytes, aligned likewise
 * @device_offset: where it lies
 * @first_loss: index of the first loss it covers
 * @n_losses: how many
 * @journal_offset: where its bytes lie in the journal, once written
 * @redo: an earlier run may have begun to write it
 */
struct pmr_step {
	uint64_t offset;
	uint64_t length;
	uint64_t device_offset;
	size_t first_loss;
	size_t n_losses;
	uint64_t journal_offset;
	enum pmr_method method;
	bool follows;
	bool redo;
};

/**
 * struct pmr_file_plan - what is to be done to one file
 * @file: the file; its losses take the outcome
 * @backup: path of its backup, or NULL (zero fill)
 * @backup_inode: st_ino of the backup when it was compared
 * @backup_change_time: st_ctim of the backup when it was compared
 * @method: how its steps are to be written that are none of PMR_METHOD_DEVICE, never PMR_METHOD_AUTO; without DAX always
 *          PMR_METHOD_WRITE or _PUNCH
 * @in_use: somebody else has it open, and it is repaired all the same (@online)
 * @refused: why nothing will be written, static storage, or NULL. Each loss then has the state and reason.
 * @steps: in file order
 * @n_steps: how many; 0 when refused
 */
struct pmr_file_plan {
	struct pmr_file *file;
	char *backup;
	uint64_t backup_inode;
	struct timespec backup_change_time;
	enum pmr_method method;
	bool in_use;
	const char *refused;
	struct pmr_step *steps;
	size_t n_steps;
};

/** struct pmr_plan - everything a repair would do; made without writing anything anywhere */
struct pmr_plan {
	struct pmr_scan *scan;
	struct pmr_file_plan *files;
	size_t n_files;
	size_t n_steps;
	uint64_t bytes; /* to be written, whole pages */
	uint64_t lost_bytes; /* to be replaced */
	char *journal; /* path of the journal that pmr_repair_run() wrote, NULL while there is none */
	uint64_t freezes; /* how often a filesystem was frozen */
	uint64_t frozen; /* nanoseconds of all of them */
	uint64_t longest_freeze; /* nanoseconds of the longest */
	struct pmr_resume *resume; /* the library's own, of pmr_resume_new() */
	void (*release_resume)(struct pmr_resume *resume); /* likewise */
};

/**
 * pmr_plan_check_backup() - whether a backup may be that of these targets, which need not have been scanned yet
 * @targets: as the user named them; none where it is not known yet which they are
 *
 * What can be told of it at once, ahead of a scan that may take long; pmr_plan_new() looks again.
 *
 * Return: 0, also without a backup; -EINVAL, or the error of looking at it, said.
 */
int pmr_plan_check_backup(struct pmr_ctx *ctx, const char *const *targets, size_t n_targets,
			  const struct pmr_repair_options *options);

/**
 * pmr_plan_new() - decide what a repair would do
 * @scan: result of pmr_scan_new() for the same targets
 * @targets: the targets, for where a backup directory's paths begin
 * @options: what may be done
 * @plan: result; release with pmr_plan_free()
 *
 * Finds each file's backup, checks that it is no alias of the target and agrees with what can still be read, and
 * refuses what is not safe, by name: the reasons stand in the losses. Reads, never writes.
 *
 * Return: 0, -EINVAL (options that contradict each other), -ENOMEM, or the error of opening @options->backup.
 */
int pmr_plan_new(struct pmr_ctx *ctx, struct pmr_scan *scan, const char *const *targets,
		 size_t n_targets, const struct pmr_repair_options *options,
		 struct pmr_plan **plan);
/** pmr_plan_free() - release; takes NULL */
void pmr_plan_free(struct pmr_plan *plan);

/**
 * pmr_repair_check() - what pmr_repair_run() would refuse, as far as that can be told without a write
 *
 * Looks at the place of the journal, and makes nothing; reads what is lost, but not on PMEM, and leaves what can be read.
 * Return: 0 (look at the losses); a negative errno, said; -ENOMEM.
 */
int pmr_repair_check(struct pmr_ctx *ctx, struct pmr_plan *plan,
		     const struct pmr_repair_options *options);

/**
 * pmr_repair_run() - carry out a plan
 *
 * Takes each device's lock and each file's write lease, writes the journal and syncs it before the first write,
 * then step by step: looks again, writes, reads back through the file and the device, compares, reads the list
 * again. The outcome of every range is its loss's state.
 *
 * Return: 0 when every step was tried (look at the losses); when none was: -EBUSY: another run is at work on a device, or a
 * journal of the same files is unfinished; another errno of locks or journal; all said through the context; -ENOMEM.
 */
int pmr_repair_run(struct pmr_ctx *ctx, struct pmr_plan *plan,
		   const struct pmr_repair_options *options);

/**
 * pmr_repair_join() - make one report of two rounds of a repair, the later one made after the other was carried out
 * @scan, @plan: of what came before; they take the devices, files, losses, plans and sums of the later ones
 * @later, @later_plan: released in any case; the plan may be NULL
 *
 * Where both tell of the same bytes of a file, the later one's word counts; what bad ranges belong to is the later one's.
 * Return: 0, -ENOMEM: @scan is then not complete.
 */
int pmr_repair_join(struct pmr_scan *scan, struct pmr_plan *plan, struct pmr_scan *later,
		    struct pmr_plan *later_plan);

/* ---- journals ----------------------------------------------------------------------------------- */

/** enum pmr_journal_state - what a journal in the journal directory is */
enum pmr_journal_state {
	PMR_JOURNAL_UNFINISHED, /* a repair was interrupted: resume it or set it aside */
	PMR_JOURNAL_RUNNING, /* a repair or a resume is at work on it now */
	PMR_JOURNAL_DONE, /* NAME.done: it came to its end */
	PMR_JOURNAL_ASIDE, /* NAME.aside: somebody decided not to resume it */
	PMR_JOURNAL_DAMAGED, /* not to be believed: not a journal, changed, or of a later version */
};
/** pmr_journal_state_name() - the report's word: "unfinished", "running", "done", "aside", "damaged" */
const char *pmr_journal_state_name(enum pmr_journal_state state);

/** enum pmr_mark - how far a piece of a journal came */
enum pmr_mark {
	PMR_MARK_NONE, /* nothing of it was written */
	PMR_MARK_OPEN, /* its write may have begun: medium and list may say anything */
	PMR_MARK_DONE, /* it was written, read back equal, and left the list */
};

/**
 * struct pmr_journal_piece - bytes that were to be written to a file
 * @offset: in the file
 * @length: bytes, at most PMR_CHUNK of the library
 * @device_offset: where they lay
 * @method: how they were to be written
 * @position: where their record is in the journal
 * @mark: how far it came
 * @marked: CLOCK_REALTIME of its last mark
 * @boot: of struct pmr_journal_entry: in which boot it was marked; PMR_BOOT_MIXED where it was open across a reboot
 */
struct pmr_journal_piece {
	uint64_t offset;
	uint64_t length;
	uint64_t device_offset;
	enum pmr_method method;
	uint64_t position;
	enum pmr_mark mark;
	struct timespec marked;
	size_t boot;
};

/** PMR_BOOT_MIXED - for @boot of a piece: what it holds was not written in one boot */
#define PMR_BOOT_MIXED SIZE_MAX

/** struct pmr_journal_around - a sector that is not written: @offset of its first byte, and CRC-32 of all as they were */
struct pmr_journal_around {
	uint64_t offset;
	uint32_t crc;
};

/**
 * struct pmr_journal_below - where a part of a volume lay on what is below it
 * @offset: of the volume
 * @length: bytes
 * @device: what is below, of several volumes the last: the UUID of its namespace, or its name where it has none
 * @device_offset: there
 */
struct pmr_journal_below {
	uint64_t offset;
	uint64_t length;
	char *device;
	uint64_t device_offset;
};

/**
 * struct pmr_journal_file - a file of a journal
 * @path: as the repair had it, made absolute; any bytes but NUL
 * @filesystem_type, @filesystem_uuid, @device, @namespace_uuid: where it lay; NULL where that was not known
 * @inode, @generation, @size: as in struct pmr_file
 * @planned_time: st_ctim before the first write
 * @change_time: the same; then as the last mark says
 * @boot: of struct pmr_journal_entry: in which boot that was said
 * @mode: permission and set-id bits to put back
 * @capability: security.capability to put back, @capability_length bytes; NULL for none
 * @dax: its DAX state then
 * @whole_device: it is a device-dax, all of it
 * @in_use: somebody had it open or mapped when its repair was planned
 * @losses: what was lost; with an outcome, what became of it
 * @n_losses: how many
 * @around: of a device-dax, sectors around what was to be written, by offset
 * @n_around: how many
 * @below: of a file on a volume, what its steps lay on
 * @n_below: how many
 * @pieces: what was to be written, in file order; those of all files come in the order of their records
 * @n_pieces: how many
 * @outcome: what became of its losses was noted, at the end of its repair or of a resume; a signal ends one, too, so the
 *           marks of @pieces alone tell what is left
 */
struct pmr_journal_file {
	char *path;
	char *filesystem_type;
	char *filesystem_uuid;
	char *device;
	char *namespace_uuid;
	uint64_t inode;
	uint32_t generation;
	uint64_t size;
	struct timespec planned_time;
	struct timespec change_time;
	size_t boot;
	mode_t mode;
	void *capability;
	size_t capability_length;
	bool dax;
	bool whole_device;
	bool in_use;
	struct pmr_loss *losses;
	size_t n_losses;
	struct pmr_journal_around *around;
	size_t n_around;
	struct pmr_journal_below *below;
	size_t n_below;
	struct pmr_journal_piece *pieces;
	size_t n_pieces;
	bool outcome;
};

/**
 * struct pmr_journal_entry - one journal, as far as it can be read
 * @path: where it is
 * @state: what it is
 * @reason: why it is PMR_JOURNAL_DAMAGED, static storage; else NULL
 * @version: of the program that wrote it, or NULL
 * @started_at: RFC 3339, or NULL
 * @host: uname -n of the machine that wrote it, or NULL
 * @boot_id: /proc/sys/kernel/random/boot_id then, or NULL
 * @same_host, @same_boot: whether those are of here and now
 * @boots: boots in which it was gone on with: number 1 is the first of them, 0 is @boot_id
 * @n_boots: how many
 * @zero_fill: the source was zeros, no backup
 * @has_planned: it says how many files the repair was to write
 * @n_planned: how many; those that are not among @files the repair had not come to, or could not begin with
 * @torn: its last record was cut off, as by a power cut, and does not count
 * @written: at least one write may have begun
 * @files: what it was to repair
 * @n_files: how many
 * @end: byte behind its last whole record
 */
struct pmr_journal_entry {
	char *path;
	enum pmr_journal_state state;
	const char *reason;
	char *version;
	char *started_at;
	char *host;
	char *boot_id;
	bool same_host;
	bool same_boot;
	char **boots;
	size_t n_boots;
	bool zero_fill;
	bool has_planned;
	uint64_t n_planned;
	bool torn;
	bool written;
	struct pmr_journal_file *files;
	size_t n_files;
	uint64_t end;
};

/** struct pmr_journals - the journals of a directory, oldest first */
struct pmr_journals {
	struct pmr_journal_entry *v;
	size_t n;
};

/** PMR_JOURNALS_ALL - also those that are done or set aside; without it only names that end in ".journal" are opened */
#define PMR_JOURNALS_ALL 0x1u
/** PMR_JOURNALS_NAMED - somebody named the directory, so that it should be there; one that is not may be a slip of the pen */
#define PMR_JOURNALS_NAMED 0x2u

/**
 * pmr_journals_new() - read the journals of a directory
 * @directory: NULL for PMR_STATE_DIRECTORY; one that does not exist has no journals, but see PMR_JOURNALS_NAMED
 * @flags: PMR_JOURNALS_...
 * @journals: result; release with pmr_journals_free()
 *
 * Bytes are checked, not kept. What cannot be opened is an entry that is PMR_JOURNAL_DAMAGED with "cannot-open".
 * Return: 0; -ENOMEM; another errno of the directory, said through the context.
 */
int pmr_journals_new(struct pmr_ctx *ctx, const char *directory, unsigned int flags,
		     struct pmr_journals **journals);
/** pmr_journals_free() - release; takes NULL */
void pmr_journals_free(struct pmr_journals *journals);

/**
 * pmr_journal_is_of() - whether a journal has to do with a filesystem
 *
 * By the filesystem's UUID, where one of them has none by device. One that is damaged has to do with every filesystem.
 */
bool pmr_journal_is_of(const struct pmr_journal_entry *entry,
		       const struct pmr_filesystem *filesystem);

/**
 * pmr_journal_export() - write the bytes of a journal to files, for a person to use
 * @directory: made if missing, 0700; must not lie on a filesystem of the journal
 *
 * One file for each piece, "NUMBER-NAME@OFFSET+LENGTH" without what no name may have, and an index.json that tells which
 * bytes of which file each is. Nothing that exists is overwritten. Return: 0; a negative errno, said.
 */
int pmr_journal_export(struct pmr_ctx *ctx, const struct pmr_journal_entry *entry,
		       const char *directory);

/**
 * pmr_journal_set_aside() - decide that a journal is not to be resumed: it is renamed and kept
 *
 * Return: 0; -EBUSY: somebody is at work on it; -EINVAL: it is not unfinished or damaged; other errno; all said.
 */
int pmr_journal_set_aside(struct pmr_ctx *ctx, struct pmr_journal_entry *entry);

/**
 * pmr_journals_prune() - remove journals that are done or set aside and older than so many days
 * @directory: NULL for PMR_STATE_DIRECTORY
 * @days: 0 for all of them; PMR_KEEP_FOREVER for none
 *
 * Return: 0; a negative errno, said through the context as a warning.
 */
int pmr_journals_prune(struct pmr_ctx *ctx, const char *directory, unsigned int days);

/**
 * pmr_resume_new() - decide how an interrupted repair can be finished from its journal alone
 * @topology: made with PMR_TOPOLOGY_FILESYSTEMS
 * @entry: an unfinished journal; must outlive the plan
 * @force: also one of another host
 * @scan: result: the journal's files as they are now, with what the journal had to repair as losses; pmr_scan_free()
 * @plan: result: what is left to be written, and what is in conflict; pmr_plan_free() before the scan
 *
 * Reads, never writes. A piece whose write may have begun is taken up only where inode, generation and place are what
 * they were and the file was not changed after our write; else it is PMR_CONFLICT. What was not begun is taken up where
 * the file did not change at all; else it is PMR_SKIPPED, "changed". Of a device-dax, which has no change time, its bytes tell.
 *
 * Return: 0; -EXDEV: of another host; -EBADMSG: damaged; -EBUSY: running; all said through the context; -ENOMEM.
 */
int pmr_resume_new(struct pmr_ctx *ctx, struct pmr_topology *topology,
		   const struct pmr_journal_entry *entry, bool force, struct pmr_scan **scan,
		   struct pmr_plan **plan);

/**
 * pmr_resume_run() - finish it: what is left is looked at once more, written, verified, and marked in the same journal
 *
 * Idempotent. With every piece at its end and none in conflict the journal becomes one that is done. Return: as
 * pmr_repair_run().
 */
int pmr_resume_run(struct pmr_ctx *ctx, struct pmr_plan *plan,
		   const struct pmr_journal_entry *entry, const struct pmr_repair_options *options);

/**
 * pmr_resume_join() - make one report of two
 * @scan, @plan: gain what is in the others, which are released; after both were run, for none can be after it
 *
 * Return: 0; -ENOMEM, and the others are as they were.
 */
int pmr_resume_join(struct pmr_scan *scan, struct pmr_plan *plan, struct pmr_scan *other_scan,
		    struct pmr_plan *other_plan);

/* ---- nofault: loads that may meet poison --------------------------------------------------------- */

/**
 * pmr_copy_nofault() - copy from a mapping that may have poison in it, without dying of SIGBUS
 * @to: private memory; must not overlap @from
 * @from: in a mapping: of a file on DAX, of a device-dax, or of any other file
 * @length: bytes; nothing past it is touched
 *
 * As memcpy(), but at the first load that the kernel answers with SIGBUS (poison, a mapping that reaches past the end
 * of its file, a page that cannot be read in) it stops. Needs a handler: pmr_nofault_init()'s, or one that calls
 * pmr_nofault_handle(). Without one, and in a thread that has SIGBUS blocked, the kernel ends the process, as ever. Not
 * for addresses that nothing is mapped at: those are SIGSEGV, and a fault of the program.
 *
 * What is returned is exact: @to holds that many bytes of @from, and the next one could not be read. How much of what
 * follows could be, it does not say: the kernel withholds whole pages from a mapping, also where a sector of 512 bytes is
 * bad; only poison that nobody knew of stops a load at its own cache line. To go on behind it, copy again from the next
 * page; a byte that was returned is never read twice, nor is one that failed.
 *
 * A store that fails with SIGBUS, to a @to that is a mapping of a file itself, ends the copy as well. On aarch64 some bytes
 * more than are counted may then have been stored.
 *
 * Any number of threads may copy at a time, signal handlers among them. Of x86-64 and aarch64; 0 elsewhere.
 *
 * Return: bytes copied; less than @length where it was stopped.
 */
size_t pmr_copy_nofault(void *to, const void *from, size_t length);

/**
 * pmr_nofault_init() - install the handler of SIGBUS that pmr_copy_nofault() needs
 *
 * Counted: each call that succeeds wants its pmr_nofault_release(). What is no fault of a copy goes to the handler that was
 * there before, with its own mask, as if it were called by the kernel; where there was none, the process ends by SIGBUS.
 * The handler runs on the stack for signals (sigaltstack(2)) unless the one before does not, takes no lock and allocates
 * nothing. SIGBUS must not be blocked in threads that copy.
 *
 * A handler that is installed later takes the place of this one: it has to call pmr_nofault_handle() first, or to pass on
 * to the one it replaced. Nothing else may change the handler of SIGBUS while this call or the last release runs.
 *
 * Return: 0; -EOPNOTSUPP: on this architecture there is no copy that can be stopped, and pmr_copy_nofault() returns 0;
 * the errno of sigaction(2).
 */
int pmr_nofault_init(void);

/**
 * pmr_nofault_release() - with the last one the previous handler is back
 *
 * A handler that was installed above stays, and so does ours beneath it, since it may be called from there. The library
 * must then remain loaded.
 */
void pmr_nofault_release(void);

/**
 * pmr_nofault_handle() - for an application's own handler of SIGBUS, installed with SA_SIGINFO: was it pmr_copy_nofault()?
 * @signal, @info, @ucontext: as the handler got them
 *
 * Where it was, @ucontext is changed so that the copy ends when the handler returns, which it should do then. To be called
 * first: what the handler does before it happens once for each bad page that is copied from. Needs no pmr_nofault_init().
 * Async-signal-safe; any thread.
 *
 * Return: whether it was. False for SIGBUS that kill(2) sends, wherever the thread is at.
 */
bool pmr_nofault_handle(int signal, siginfo_t *info, void *ucontext);

/* ---- recover: from the address of a fault to bytes ----------------------------------------------- */

/**
 * struct pmr_recovered - what could be had of the bytes around a fault
 * @path: the file, as the kernel names it in /proc/self/maps: " (deleted)" follows where it has no name any more
 * @filesystem: where it lies; belongs to the topology
 * @fault: offset in the file of the address
 * @offset: first byte of the range that was read
 * @length: its bytes
 * @bytes: these, with zeros where they are lost or not known, and in holes
 * @losses: what of the range is not in @bytes, sorted by offset: PMR_LOST, with device offset and reason as in a scan, and
 *          PMR_UNKNOWN, what was not come to. None: everything was read
 * @n_losses: how many
 * @lost: bytes that could not be read
 * @no_device: more may be had as root: a page with poison is all lost because the device may not be read: a negative
 *             errno; or 0
 * @error: why not all was tried, or does not belong together: -EIO: the filesystem fails, -ENODEV: the device does, both of
 *         which is no sign of poison; -ESTALE: the file changed meanwhile; -EAGAIN: the device's list grew each time;
 *         -ECANCELED; or 0
 */
struct pmr_recovered {
	char *path;
	struct pmr_filesystem *filesystem;
	uint64_t fault;
	uint64_t offset;
	uint64_t length;
	void *bytes;
	struct pmr_loss *losses;
	size_t n_losses;
	uint64_t lost;
	int no_device;
	int error;
};

/**
 * pmr_recover_at() - read what a mapping of a file refused to give
 * @topology: made with PMR_TOPOLOGY_FILESYSTEMS; the device's list is read again
 * @address: si_addr of the SIGBUS, or where pmr_copy_nofault() stopped: @from and what it returned
 * @lsb: si_addr_lsb of a SIGBUS that is BUS_MCEERR_AR; 0 where nobody said: Linux before 6.5 has BUS_ADRERR for poison that
 *       is listed
 * @recovered: result; release with pmr_recovered_free() before the topology
 *
 * Finds the file that this process has mapped there, and reads the page around the address, or the 1 << @lsb bytes, as far
 * as they are mapped and the file has them: through the file, past what is listed; of a page with poison each sector that
 * the block device still gives (as root); without DAX what the page cache has, before all. Listed sectors are never read.
 * Of a private mapping it reads the file, not what the program has changed. Writes nothing.
 *
 * Without DAX, or of a page that a private mapping has changed, a SIGBUS with an @lsb is ordinary memory that failed: what was
 * stored there and had not been written is gone with it, and the kernel does not tell. The bytes are then older, and there
 * are no @losses.
 *
 * Not async-signal-safe. A handler is to note the address and siglongjmp(3) out of what it interrupted, if that can be left
 * like that, or to wake a thread that calls this; whoever reads by pmr_copy_nofault() calls it where that returns.
 *
 * Return: 0 (look at @losses and @error); -EFAULT: nothing is mapped there; -EINVAL: no regular file is, or no such @lsb;
 * -ERANGE: the file ends before it, so the fault is none of poison; -ESTALE: its name is gone or leads to another file, and
 * one needs to be root to open it without; -ENOMEM; another errno of opening it. -EOPNOTSUPP of a filesystem that is not
 * understood, and what is wrong with its list, is said through the context.
 */
int pmr_recover_at(struct pmr_ctx *ctx, struct pmr_topology *topology, const void *address,
		   unsigned int lsb, struct pmr_recovered **recovered);
/** pmr_recovered_free() - release; takes NULL */
void pmr_recovered_free(struct pmr_recovered *recovered);

#ifdef __cplusplus
}
#endif

#endif
