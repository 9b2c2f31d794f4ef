/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the library's rooms tell each other. The public face is pmem-recover.h, whose conventions hold here too.
 */
#ifndef PMR_PRIVATE_H
#define PMR_PRIVATE_H

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "pmem-recover.h"

#define PMR_PRINTF(string, first) __attribute__((format(printf, string, first)))

/* ---- context.c */

/* What is said and told through a context may be so by several threads at a time; the functions set hear one by one. */

/** pmr_ctx_lookup() - see pmr_set_lookup() */
enum pmr_lookup_by pmr_ctx_lookup(const struct pmr_ctx *ctx);

/** pmr_ctx_threads() - see pmr_set_threads(); at least 1, at most 64 */
unsigned int pmr_ctx_threads(const struct pmr_ctx *ctx);

/** pmr_ctx_reading() - see pmr_set_reading(); @rate is set where it is true */
bool pmr_ctx_reading(const struct pmr_ctx *ctx, uint64_t *rate);

/** pmr_ctx_outlast() - what the flag of pmr_set_cancel() says now stops nothing, until it says something else, or @outlast is false */
void pmr_ctx_outlast(struct pmr_ctx *ctx, bool outlast);

/** pmr_say() - tell the user one thing; @code is a kebab-case literal, @object and the text as struct pmr_message */
void pmr_say(struct pmr_ctx *ctx, enum pmr_level level, const char *code, const char *object,
	     const char *format, ...) PMR_PRINTF(5, 6);

/** pmr_tell_progress() - see struct pmr_progress; cheap enough for every file and every step */
void pmr_tell_progress(struct pmr_ctx *ctx, const char *phase, const char *object, uint64_t done,
		       uint64_t total);

/** pmr_ctx_rwf() - the context's own record of the kernel, for rwf.c alone */
struct pmr_rwf *pmr_ctx_rwf(struct pmr_ctx *ctx);

/** pmr_ctx_freezer() - see pmr_set_freezer(); NULL where there is none */
const struct pmr_freezer *pmr_ctx_freezer(struct pmr_ctx *ctx);

/* ---- rwf.c: what this kernel means by RWF_RECOVERY_DATA */

/**
 * struct pmr_rwf_kernel - the kernel's ways to answer, or what a test puts in their place
 * @memfd: a new memfd or a negative errno
 * @pwritev2: of the memfd: as the system call, -errno in place of errno
 * @read: one read of a file, see pmr_media_read_once()
 * @release: "6.1.0-13-amd64" into the buffer; 0 or a negative errno
 * @symbols: a descriptor of what /proc/kallsyms holds, or a negative errno
 */
struct pmr_rwf_kernel {
	int (*memfd)(void);
	ssize_t (*pwritev2)(int fd, const void *buffer, size_t length, off_t offset, uint32_t flag);
	ssize_t (*read)(int fd, uint32_t flag, uint64_t offset, void *buffer, size_t length);
	int (*release)(char *buffer, size_t size);
	int (*symbols)(void);
};

/** enum pmr_rwf_probe - what a memfd said about bit 0x20 */
enum pmr_rwf_probe {
	PMR_PROBE_NOT_ASKED,
	PMR_PROBE_SILENT, /* there was no memfd, or an answer that is none of the three */
	PMR_PROBE_ABSENT, /* no such bit (EOPNOTSUPP): up to 6.8 */
	PMR_PROBE_NOAPPEND, /* it is RWF_NOAPPEND (6.9) */
	PMR_PROBE_RECOVERY,
};

/**
 * struct pmr_rwf - what was found out in a context
 * @kernel: who is asked; NULL for the kernel
 * @wanted: see pmr_set_recovery_flag()
 * @probe: what the memfd said; it is asked once, since its question sends the bit
 * @asked: pmr_get_recovery() ran
 * @candidate: a bit that may be the flag and was not yet shown to be; 0 for none
 * @recovery: what is known
 */
struct pmr_rwf {
	const struct pmr_rwf_kernel *kernel;
	uint32_t wanted;
	enum pmr_rwf_probe probe;
	bool asked;
	uint32_t candidate;
	struct pmr_recovery recovery;
};

/** pmr_rwf_flag() - the bit to send to a DAX file, 0 for none */
uint32_t pmr_rwf_flag(struct pmr_ctx *ctx);

/** pmr_rwf_wants_trial() - whether a candidate waits to be shown by pmr_rwf_try() */
bool pmr_rwf_wants_trial(struct pmr_ctx *ctx);

/**
 * pmr_rwf_try() - does a flagged read of known poison behave as recovery?
 * @fd: a DAX file
 * @good: page aligned offset of a readable page of the file
 * @bad: page aligned offset of a page with listed poison, in the same extent, right behind @good's page
 *
 * It does where a plain read of both pages fails without a byte and the flagged one returns the first page (short), or
 * both (filled with zeros). A candidate that the kernel does not know (EOPNOTSUPP, EINVAL) is given up.
 *
 * Return: whether it was shown.
 */
bool pmr_rwf_try(struct pmr_ctx *ctx, int fd, uint64_t good, uint64_t bad);

/**
 * pmr_rwf_learn() - a write told what the kernel can do: "tried" becomes the evidence
 * @capability: PMR_CAPABILITY_FLAG: a flagged write did it; _WRITE: a plain one did (nothing new where the flag works);
 *              _NONE: the best that was thought to work does not. The flag is then given up, and a _WRITE may follow
 */
void pmr_rwf_learn(struct pmr_ctx *ctx, enum pmr_capability capability);

/* ---- range.c */

/**
 * pmr_ranges_append() - add a range to a list that is made in order: what touches the end of the last one makes that longer
 *
 * A range of no length adds nothing. Return: 0; as pmr_ranges_add().
 */
int pmr_ranges_append(struct pmr_ranges *ranges, uint64_t offset, uint64_t length);
/** pmr_ranges_bytes_in() - how many bytes of a normal list are in [offset, offset + length) */
uint64_t pmr_ranges_bytes_in(const struct pmr_ranges *ranges, uint64_t offset, uint64_t length);

/* ---- text.c: small files and growing arrays */

/**
 * pmr_read_text() - read a whole small file, "-" being standard input
 * @limit: -EFBIG past this many bytes
 * @text: result, NUL-terminated; free() it
 * @length: its length without the NUL
 *
 * Return: 0, a negative errno. Never a part of the file.
 */
int pmr_read_text(const char *path, size_t limit, char **text, size_t *length);

/** pmr_read_boot_id() - what tells this boot from all others; free() it, NULL where it cannot be read */
char *pmr_read_boot_id(void);

/* ---- sysfs.c; each leaves its result alone on failure */

/** pmr_sysfs_line() - the first line of an attribute, free() it. Return: 0; -ENOENT: there is none; another errno. */
int pmr_sysfs_line(const char *directory, const char *name, char **line);
/** pmr_sysfs_number() - decimal, or hexadecimal after 0x: sysfs has both. Return: 0; -EINVAL: none; another errno. */
int pmr_sysfs_number(const char *directory, const char *name, uint64_t *number);
/** pmr_sysfs_devno() - the number of the device that a directory is of. Return: 0; -EINVAL; another errno. */
int pmr_sysfs_devno(const char *directory, dev_t *devno);

/** pmr_min64() - the smaller of two */
static inline uint64_t pmr_min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/** pmr_page_down() - the begin of the page that an offset is in */
static inline uint64_t pmr_page_down(uint64_t offset)
{
	return offset - offset % PMR_PAGE;
}

/** pmr_page_up() - the end of the page that what ends at @offset ends in; saturates: no file reaches past INT64_MAX */
static inline uint64_t pmr_page_up(uint64_t offset)
{
	uint64_t up;

	if (__builtin_add_overflow(offset, PMR_PAGE - 1, &up))
		return UINT64_MAX;
	return pmr_page_down(up);
}

/** pmr_is_same_time() - to the nanosecond */
static inline bool pmr_is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/**
 * pmr_grow() - make room for one more element of a growing array
 * @array: address of the array's pointer
 * @n: elements in use
 * @alloc: elements there is room for; updated
 * @size: bytes of an element
 *
 * Return: 0, -ENOMEM (array untouched).
 */
int pmr_grow(void *array, size_t n, size_t *alloc, size_t size);

/* ---- device.c, stack.c, filesystem.c: what topology is made of */

/** pmr_region_badblocks() is read by device.c alone; the rest of the library sees struct pmr_device. */

/** pmr_device_is_dax() - whether a device is a device-dax: its bytes are mapped, and no read or write of it gives them */
bool pmr_device_is_dax(const struct pmr_device *device);

/**
 * pmr_dax_check() - whether a device-dax is still what the topology says
 *
 * Return: 0; -ENODEV: it is gone; -ESTALE: its namespace, size, number or place is another; -ENOMEM.
 */
int pmr_dax_check(const struct pmr_device *device);

/** pmr_badblocks_shows_all() - whether a list was read whole, whatever it had to leave out at another time */
bool pmr_badblocks_shows_all(const struct pmr_badblocks *list);

/**
 * struct pmr_list_doubt - how a namespace's lists were seen
 * @list: its own was cut or full, in this run or, as pmr_device_set_doubt() said, in an earlier one
 * @region: its region's was, where that tells something of it
 * @list_has_room: as it was read last its own was complete
 * @has_room: all of them were
 * @is_region: it has no list but its region's
 */
struct pmr_list_doubt {
	bool list;
	bool region;
	bool list_has_room;
	bool has_room;
	bool is_region;
};

/** pmr_device_get_doubt() - how a namespace's lists were seen; only of a namespace's device */
void pmr_device_get_doubt(const struct pmr_device *device, struct pmr_list_doubt *doubt);

/** pmr_device_set_doubt() - lists were once cut or full: they are incomplete ("was-full"), which is said where it is new */
void pmr_device_set_doubt(struct pmr_ctx *ctx, struct pmr_device *device, bool list, bool region);

/** pmr_device_settle() - what was cut or full counts no more: its lists are read again, and are what they are now */
int pmr_device_settle(struct pmr_ctx *ctx, struct pmr_device *device);

/** pmr_region_get_doubt() - how a region's list was seen; @list also where that was in an earlier run */
void pmr_region_get_doubt(const struct pmr_region *region, struct pmr_list_doubt *doubt);

/** pmr_region_set_doubt() - the list was once cut or full: it is incomplete ("was-full"), which is said where it matters */
void pmr_region_set_doubt(struct pmr_ctx *ctx, struct pmr_region *region);

/** pmr_region_settle() - what was cut or full counts no more: the list is read again, but not those of its namespaces. Return: 0, -ENOMEM. */
int pmr_region_settle(struct pmr_region *region);

/** struct pmr_scrubs - what the kernel tells of a bus's scrubs; @count: how many have ended since it came up */
struct pmr_scrubs {
	unsigned int count;
	bool is_running;
};

/** pmr_device_scrubs() - of a device's bus. Return: 0; -EOPNOTSUPP: it tells of none, as every bus but that of NFIT. */
int pmr_device_scrubs(const struct pmr_device *device, struct pmr_scrubs *scrubs);
/** pmr_region_scrubs() - the same, of a region's bus */
int pmr_region_scrubs(const struct pmr_region *region, struct pmr_scrubs *scrubs);

/**
 * pmr_clear_unit() - the smallest piece of a device that its bus clears, in bytes; such pieces begin at multiples of it of the
 *                    physical address
 *
 * Return: 0; -EOPNOTSUPP: the bus has no such command; a negative errno of asking.
 */
int pmr_clear_unit(const struct pmr_device *device, uint64_t *unit);

/**
 * pmr_clear() - have the bus clear poison; what was there is anything then
 * @address: physical, and @length: multiples of the clear unit, of the device's region
 * @cleared: how many bytes were, from the first on; whatever is returned
 *
 * Return: 0, all of them; -EOPNOTSUPP: no such command; -EIO: fewer; another errno of the command.
 */
int pmr_clear(const struct pmr_device *device, uint64_t address, uint64_t length,
	      uint64_t *cleared);

/** pmr_device_address() - the physical address of a byte of a device, and for how many bytes it goes on; PMR_NO_ADDRESS */
uint64_t pmr_device_address(const struct pmr_device *device, uint64_t offset, uint64_t *length);

/**
 * pmr_topology_device() - the device of a whole block device's number, added as PMR_MODE_NONE or PMR_MODE_MAPPED when new
 * @object: what to call it, or NULL to say nothing
 *
 * Return: 0; as pmr_topology_resolve().
 */
int pmr_topology_device(struct pmr_ctx *ctx, struct pmr_topology *topology, dev_t devno,
			const char *object, struct pmr_device **device);

struct pmr_block;
/** pmr_topology_upper() - as pmr_topology_device(), of what is built on one, with the filesystems that are on it */
int pmr_topology_upper(struct pmr_ctx *ctx, struct pmr_topology *topology,
		       const struct pmr_block *holder, const char *object,
		       struct pmr_device **upper);

/**
 * pmr_device_is_listed() - whether there is a list to ask for: it is PMEM, or has one from a file, or is mapped over such
 */
bool pmr_device_is_listed(const struct pmr_device *device);

/** pmr_device_lasting_name() - of a mapped device the name that stays from boot to boot, device mapper's own; else its name */
static inline const char *pmr_device_lasting_name(const struct pmr_device *device)
{
	return device->volume ? device->volume : device->name;
}

/**
 * pmr_device_identity() - what it is known by wherever it is found again: the UUID of its namespace, or else its name; that of a
 *                         disk may be another one after a boot
 */
static inline const char *pmr_device_identity(const struct pmr_device *device)
{
	return device->ns_uuid ? device->ns_uuid : pmr_device_lasting_name(device);
}

/** pmr_topology_compose() - make the lists of mapped devices anew where those below were judged again. Return: 0, -ENOMEM. */
int pmr_topology_compose(const struct pmr_topology *topology);

/**
 * pmr_device_moved() - whether a device's bytes lie where they did
 *
 * Asks device mapper. Return: NULL; "remapped": its table, or one below, is not the same any more, cannot be read, or is
 * suspended.
 */
const char *pmr_device_moved(const struct pmr_device *device);

/**
 * pmr_topology_resolve_realtime() - the realtime device of a mounted XFS, as a filesystem in that role
 *
 * Return: as pmr_topology_resolve(); -EOPNOTSUPP also where it has none, or its mount options do not lead to it.
 */
int pmr_topology_resolve_realtime(struct pmr_ctx *ctx, struct pmr_topology *topology,
				  const struct pmr_filesystem *filesystem, const char *object,
				  struct pmr_filesystem **realtime);

/**
 * pmr_topology_resolve_file() - pmr_topology_resolve() for the data of an open file: of an XFS it may lie on the realtime
 *                               device
 * @devno: its st_dev
 */
int pmr_topology_resolve_file(struct pmr_ctx *ctx, struct pmr_topology *topology, int fd,
			      dev_t devno, const char *object, struct pmr_filesystem **filesystem);

/** pmr_file_is_realtime() - whether FIEMAP's addresses are of XFS's realtime device, which FIEMAP does not say */
bool pmr_file_is_realtime(int fd);

/** pmr_file_is_on() - whether an open file's data is on the device that a filesystem of this role stands for */
bool pmr_file_is_on(int fd, const struct pmr_filesystem *filesystem);

/**
 * pmr_file_is_journalled() - whether an open file's data goes to the log of its ext4 first, or that cannot be told
 *
 * Until it is written to its place, which before 6.4 neither fsync(2) nor a listing of its extents waits for, the device has
 * older bytes there than the page cache. Never true of a DAX file.
 */
bool pmr_file_is_journalled(int fd, const struct pmr_filesystem *filesystem);
/**
 * pmr_options_journal() - the same by the mount options in effect
 * @options: as in /proc/fs/ext4/DEVICE/options, one a line
 * @flagged: the file has chattr(1)'s j, which counts where allocation is not delayed
 */
bool pmr_options_journal(const char *options, bool flagged);

/**
 * pmr_filesystem_has_device() - whether a filesystem says that a block device is one of its own
 * @fd: any open file or directory of it
 *
 * Return: 1; 0: it says that it is not; a negative errno: it does not say.
 */
int pmr_filesystem_has_device(int fd, dev_t device);

/**
 * pmr_realtime_check() - whether what stands for the realtime device of an XFS is the one that it uses; says if not
 * @filesystem: of any other role it is
 * @fd: any open file or directory of it
 * @object: what to call it
 */
bool pmr_realtime_check(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, int fd,
			const char *object);

/** pmr_kernel_devno() - the kernel's 32-bit dev_t (new_encode_dev()) */
static inline uint32_t pmr_kernel_devno(dev_t dev)
{
	uint32_t major_number = major(dev), minor_number = minor(dev);

	return (minor_number & 0xff) | major_number << 8 | (minor_number & ~0xffu) << 12;
}

/** pmr_device_is_named() - whether "# device NAME" in a list means a device */
bool pmr_device_is_named(const struct pmr_device *device, const char *name);

/**
 * pmr_filesystem_badblocks() - a device's bad ranges as a filesystem on it sees them
 * @bad: result: normal, in offsets from the filesystem's byte 0, clipped to it
 *
 * Return: 0, -ENOMEM.
 */
int pmr_filesystem_badblocks(const struct pmr_filesystem *filesystem, struct pmr_ranges *bad);

/**
 * pmr_filesystem_to_device() - from an offset in the filesystem's block device to one on its device
 *
 * Return: 0, -ERANGE (past the filesystem's end).
 */
int pmr_filesystem_to_device(const struct pmr_filesystem *filesystem, uint64_t offset,
			     uint64_t *device_offset);

/* ---- reading.c: what reading a device found, as a part of its list */

/**
 * pmr_reading_add() - add what was read and what of it failed, both normal, to a device and its list
 *
 * A list that was not complete is, once all of the device was read. Return: 0, -ENOMEM.
 */
int pmr_reading_add(struct pmr_device *device, const struct pmr_ranges *done,
		    const struct pmr_ranges *found);
/** pmr_reading_apply() - put it into a list that was just read anew. Return: 0, -ENOMEM. */
int pmr_reading_apply(struct pmr_device *device);
/** pmr_reading_explains() - whether what a list has in a range was found by reading alone, so that no kernel forgets it */
bool pmr_reading_explains(const struct pmr_device *device, uint64_t offset, uint64_t length);
/** pmr_reading_forget() - take out of a list what was found there by reading: it was written, and can be read. Return: 0, -ENOMEM. */
int pmr_reading_forget(struct pmr_device *device, uint64_t offset, uint64_t length);
/**
 * pmr_reading_offlined() - where whole pages of memory fail, by reading and not by a list alone
 * @pages: gains, normal, ranges of the device; whole pages of it unless a volume cuts them
 *
 * A machine check takes a page, and a bus that keeps no list records nothing of it; a write there oopses the kernel. Poison of
 * a whole page looks alike. Not told where a page is one logical block. Return: 0, -ENOMEM.
 */
int pmr_reading_offlined(const struct pmr_device *device, struct pmr_ranges *pages);
/** pmr_reading_settle() - as pmr_reading_forget(), and of what lies below a mapped device there as well */
int pmr_reading_settle(struct pmr_device *device, uint64_t offset, uint64_t length);
/**
 * pmr_reading_unsettled() - why a list, or those below a mapped device, do not let what was just read there be called repaired
 *
 * Return: the report's word, static storage; NULL where they do: a kernel's list of it is known, and has it no more.
 */
const char *pmr_reading_unsettled(const struct pmr_device *device, uint64_t offset,
				  uint64_t length);
/** pmr_reading_living() - add what of a list came from no file, and so goes when it is repaired. @living: normal. Return: 0, -ENOMEM. */
int pmr_reading_living(const struct pmr_device *device, struct pmr_ranges *living);

/* ---- extent.c: FIEMAP */

/**
 * struct pmr_extent - one extent as FIEMAP gives it
 * @offset: first byte in the file
 * @physical: offset in the filesystem's block device; means nothing where pmr_extent_is_trusted() is false
 * @length: bytes
 * @flags: FIEMAP_EXTENT_*
 */
struct pmr_extent {
	uint64_t offset;
	uint64_t physical;
	uint64_t length;
	uint32_t flags;
};

struct pmr_extents;
struct fiemap;

/** pmr_fiemap_fn - FS_IOC_FIEMAP, or what a test puts in its place. Return: 0, a negative errno. */
typedef int (*pmr_fiemap_fn)(int fd, struct fiemap *map);

/**
 * pmr_extents_open() - begin to list a file's extents
 * @fd: open file; stays the caller's
 * @offset: first byte of interest
 * @length: bytes of interest, UINT64_MAX for all that follows
 * @sync: have delayed data written first (FIEMAP_FLAG_SYNC). On filesystems without DAX this may itself clear
 *        poison: read the device's list again afterwards.
 * @extents: result; release with pmr_extents_close()
 *
 * Extents come in file order and are cut at both ends of the window. Return: 0, -ENOMEM.
 */
int pmr_extents_open(int fd, uint64_t offset, uint64_t length, bool sync,
		     struct pmr_extents **extents);
/** pmr_extents_open_with() - the same with another FIEMAP, for tests */
int pmr_extents_open_with(int fd, uint64_t offset, uint64_t length, bool sync, pmr_fiemap_fn fiemap,
			  struct pmr_extents **extents);
/**
 * pmr_extents_go_around() - from here on a listing goes on behind what cannot be listed: a part of the filesystem's own map
 *
 * Such a range comes as an extent with PMR_EXTENT_UNLISTED. It ends where the file can be listed again, though a shorter part
 * of it that could be listed may be overlooked: ask again for what matters.
 */
void pmr_extents_go_around(struct pmr_extents *extents);
/** PMR_EXTENT_UNLISTED - beside FIEMAP_EXTENT_UNKNOWN: what there is, data or hole, the filesystem does not tell */
#define PMR_EXTENT_UNLISTED (1u << 31)
/** pmr_is_map_error() - whether FIEMAP, or reading a file, fails so where the filesystem cannot read or believe its own map */
static inline bool pmr_is_map_error(int error)
{
	return error == -EIO || error == -EUCLEAN || error == -EBADMSG;
}
/** pmr_extents_next() - Return: 1 and the extent; 0 at the end; a negative errno (-EPROTO: the kernel went backwards) */
int pmr_extents_next(struct pmr_extents *extents, struct pmr_extent *extent);
/** pmr_extents_close() - takes NULL */
void pmr_extents_close(struct pmr_extents *extents);
/**
 * pmr_extent_at() - the extent with the byte at @offset, cut to [offset, offset + length)
 *
 * Allocates nothing and writes nothing back: for a filesystem that stands still. Return: 1; 0: there is none; -errno.
 */
int pmr_extent_at(int fd, uint64_t offset, uint64_t length, struct pmr_extent *extent);
/** pmr_extent_is_trusted() - whether @physical says where the bytes are: none of UNKNOWN DELALLOC ENCODED ... is set */
bool pmr_extent_is_trusted(const struct pmr_extent *extent);

/* ---- intersect.c: pure */

/**
 * struct pmr_losses - a growing list of losses
 */
struct pmr_losses {
	struct pmr_loss *v;
	size_t n;
	size_t alloc;
};

/**
 * pmr_intersect() - append what poison takes of one extent
 * @bad: normal, in offsets from the filesystem's byte 0
 * @extent: a trusted extent
 * @size: the file's size: bytes past it become PMR_PAST_EOF
 * @start: device offset of the filesystem's byte 0
 * @losses: gains one loss for each overlap, two where an overlap spans the end of the file
 *
 * Return: 0, -ENOMEM, -EOVERFLOW (an extent that ends past UINT64_MAX).
 */
int pmr_intersect(const struct pmr_ranges *bad, const struct pmr_extent *extent, uint64_t size,
		  uint64_t start, struct pmr_losses *losses);

/** PMR_SIEVE_BITS - 8 KiB: fine enough to stop nearly all that misses, small enough for the nearest cache */
#define PMR_SIEVE_BITS 65536u

/**
 * struct pmr_sieve - a list made ready for millions of extents, most of which miss
 * @bad: the list; not copied
 * @base: its first byte
 * @span: bytes from there to its end; 0 for an empty list
 * @shift: log2 of the bytes that one bit stands for
 * @bits: bit N is set when a range has a byte in [@base + (N << @shift), @base + (N + 1 << @shift)); a spare word
 *        lets two neighbours be read anywhere
 */
struct pmr_sieve {
	const struct pmr_ranges *bad;
	uint64_t base;
	uint64_t span;
	unsigned int shift;
	uint64_t bits[PMR_SIEVE_BITS / 64 + 1];
};

/** pmr_sieve_init() - make a normal list ready; it must stay as it is while the sieve is used */
void pmr_sieve_init(struct pmr_sieve *sieve, const struct pmr_ranges *bad);

/** pmr_sieve_hits() - whether the list has a byte in [physical, physical + length); likewise fast */
bool pmr_sieve_hits(const struct pmr_sieve *sieve, uint64_t physical, uint64_t length);

/** pmr_sieve_intersect() - pmr_intersect(), a few nanoseconds for an extent that misses */
int pmr_sieve_intersect(const struct pmr_sieve *sieve, const struct pmr_extent *extent,
			uint64_t size, uint64_t start, struct pmr_losses *losses);

/* ---- scan.c */

/**
 * pmr_file_open() - open a regular file the careful way: no link followed, never blocking, close-on-exec
 * @dirfd: directory of @name, or AT_FDCWD
 * @flags: O_RDONLY or O_RDWR
 *
 * Return: a descriptor; -EAGAIN (leased by somebody else), -ELOOP (a symbolic link), -EINVAL (not a regular file),
 * other negative errno.
 */
int pmr_file_open(int dirfd, const char *name, int flags);

/**
 * pmr_file_losses() - the losses of one open file, from FIEMAP alone
 * @bad: normal, in offsets from the filesystem's byte 0
 * @size: the file's size
 * @losses: result, sorted by offset
 * @complete: false when an extent had no trustworthy address
 */
int pmr_file_losses(int fd, const struct pmr_filesystem *filesystem, const struct pmr_ranges *bad,
		    uint64_t size, struct pmr_losses *losses, bool *complete);

/** pmr_scan_sort_devices() - what is mapped comes before what it lies on, and names in their order */
void pmr_scan_sort_devices(struct pmr_scan *scan);

/* ---- place.c */

/**
 * pmr_place_is_on() - whether what lies in a directory lies on a filesystem, on its device, or on what is built on that
 * @st: of the directory, or of a file in it
 */
bool pmr_place_is_on(const struct stat *st, const struct pmr_filesystem *filesystem);

/* ---- media/: the only readers and writers of media */

struct pmr_media;

/**
 * pmr_media_open() - open a device for O_DIRECT reads; a device-dax, for loads of what is mapped of it
 *
 * Loads need a handler of SIGBUS, see pmr_copy_nofault(). Return: 0; -EACCES or -EPERM without the right to read it; -ENODEV
 * where it has no device, or another one by now; other errno. Says nothing: what it means depends on who asks.
 */
int pmr_media_open(struct pmr_ctx *ctx, const struct pmr_device *device, struct pmr_media **media);
/**
 * pmr_media_open_writable() - the same for reading and writing
 *
 * Return: also -EPERM or -EBUSY (a kernel that lets nobody write to a block device that is mounted, 6.8), -EROFS; of a
 * device-dax -EOPNOTSUPP, where there is no libpmem.
 */
int pmr_media_open_writable(struct pmr_ctx *ctx, const struct pmr_device *device,
			    struct pmr_media **media);
/**
 * pmr_media_open_loads() - the same of what can be mapped
 * @fd: becomes the media's, unless it fails
 * @size: bytes
 * @align: of what can be mapped, 0 for any
 * @is_writable: it can be written, too, by stores that outlive the power
 *
 * Return: 0; -EINVAL, -ENOMEM.
 */
int pmr_media_open_loads(int fd, uint64_t size, uint64_t align, bool is_writable,
			 struct pmr_media **media);
/** pmr_media_close() - takes NULL */
void pmr_media_close(struct pmr_media *media);

/**
 * pmr_media_salvage() - read all that can be read of a range of the device
 * @offset: multiple of PMR_SECTOR
 * @length: multiple of PMR_SECTOR
 * @listed: device offsets, normal: never read
 * @buffer: gets the readable bytes in place; the rest is left as it was
 * @unreadable: gains, normal, every range not read, listed or failed: device offsets
 *
 * Reads in the device's logical blocks: a listed sector takes its whole logical block with it.
 * Return: 0 also when nothing could be read; -EINVAL, -ENOMEM.
 */
int pmr_media_salvage(struct pmr_media *media, uint64_t offset, uint64_t length,
		      const struct pmr_ranges *listed, void *buffer, struct pmr_ranges *unreadable);

/**
 * pmr_media_confirm() - which logical blocks of a range fail to be read right now, listed or not
 * @failing: gains, normal, the ranges whose read failed with EIO: device offsets
 *
 * Meant for ranges that are about to be written. Return: 0; -EINVAL, -ENOMEM; another errno that is no media error.
 */
int pmr_media_confirm(struct pmr_media *media, uint64_t offset, uint64_t length,
		      struct pmr_ranges *failing);

/**
 * pmr_media_read_cached() - read bytes of a file only if the page cache has them
 * @length: at most to the end of @offset's page
 *
 * Touches no media (RWF_NOWAIT implies no I/O since 4.14, and pages that are not there are not asked for).
 * Return: 1 all were cached and copied; 0 not; negative errno.
 */
int pmr_media_read_cached(int fd, uint64_t offset, void *buffer, size_t length);

/**
 * pmr_media_read_file() - read a range of a file through the filesystem
 * @got: bytes read before the end of the file or the error
 *
 * Return: 0 (short only at the end of the file), or why it stopped: -EIO and -EFAULT may be poison.
 */
int pmr_media_read_file(int fd, uint64_t offset, void *buffer, size_t length, size_t *got);

/**
 * pmr_media_read_file_direct() - the same past the page cache
 * @offset: multiple of PMR_PAGE
 * @buffer: page aligned
 * @length: multiple of PMR_PAGE; the last page of a file may come back short
 */
int pmr_media_read_file_direct(int fd, uint64_t offset, void *buffer, size_t length, size_t *got);

/**
 * pmr_media_read_once() - one preadv2(2), no matter what it answers
 * @flag: 0 or an RWF bit
 *
 * Return: bytes read, a negative errno.
 */
ssize_t pmr_media_read_once(int fd, uint32_t flag, uint64_t offset, void *buffer, size_t length);

/**
 * pmr_media_recover_file() - read as much of a range of a file as can be read from its start on
 * @flag: pmr_rwf_flag() on a DAX file, else 0
 * @got: bytes read; with a flag some of them may be zeros in the place of poison (a kernel that fills): what is listed
 *       bad is not read, whatever this says
 *
 * With a flag one read takes all that precedes the first bad page; without, a failing read is tried again in halves, down
 * to the page; also where a kernel accepts the flag and then refuses what a plain read returns. Return: 0 (short only at
 * the end of the file), or why it stopped, with @got at the edge of a page.
 */
int pmr_media_recover_file(int fd, uint32_t flag, uint64_t offset, void *buffer, size_t length,
			   size_t *got);

/**
 * pmr_media_write_file() - write a range of a file through the filesystem
 * @flag: pmr_rwf_flag() for a recovery write by RWF_RECOVERY_DATA, else 0
 * @buffer: private memory that is present: pmem_recovery_write() (5.19) drops the poison record even when the copy
 *          from user memory stops
 * @written: bytes written before the error
 *
 * On a DAX file, page aligned at both ends, this clears poison (5.19). What it returns proves nothing: read back.
 */
int pmr_media_write_file(int fd, uint32_t flag, uint64_t offset, const void *buffer, size_t length,
			 size_t *written);

/**
 * pmr_media_punch_file() - give the blocks of whole pages of a file back, keeping its size
 *
 * What was in them is lost to the file: a kernel without recovery writes (before 5.19) then takes new bytes in other
 * blocks. Return: 0, -errno.
 */
int pmr_media_punch_file(int fd, uint64_t offset, uint64_t length);

/**
 * pmr_media_read_block() - read whole logical blocks of a device
 * @buffer: page aligned, or so far from it as a multiple of the block
 *
 * Allocates nothing. Return: 0, all of them; a negative errno.
 */
int pmr_media_read_block(struct pmr_media *media, uint64_t offset, void *buffer, size_t length);

/**
 * pmr_media_load() - read bytes of a device-dax up to the first that cannot be
 * @offset: multiple of PMR_SECTOR
 * @got: how many; where it stopped, at the edge of the sector with that byte. More of the buffer may have changed
 *
 * A sector that stopped one is not loaded again by this @media before it was written. Return: 0, all of them; -EIO: it stopped; -EINVAL; -ENODEV: it is no such device; the errno of mapping it.
 */
int pmr_media_load(struct pmr_media *media, uint64_t offset, void *buffer, size_t length,
		   size_t *got);

/** pmr_media_write_block() - write them. What it returns proves nothing: read back. Return: as pmr_media_read_block(). */
int pmr_media_write_block(struct pmr_media *media, uint64_t offset, const void *buffer,
			  size_t length);

/** pmr_media_is_error() - whether a negative errno is one by which a driver or DAX reports bad media */
bool pmr_media_is_error(int error);

/** pmr_media_block() - the device's logical block size in bytes */
unsigned int pmr_media_block(const struct pmr_media *media);

/** pmr_media_size() - the device's bytes when it was opened */
uint64_t pmr_media_size(const struct pmr_media *media);

/** pmr_media_has_shrunk() - whether the device has fewer bytes than when it was opened, or none any more */
bool pmr_media_has_shrunk(const struct pmr_media *media);

/** enum pmr_page_state - what pmr_media_page_state() finds */
enum pmr_page_state {
	PMR_PAGE_OK, /* unlisted sectors read */
	PMR_PAGE_PARTLY, /* some unlisted sectors fail too */
	PMR_PAGE_OFFLINED, /* there are unlisted sectors and all of them fail */
	PMR_PAGE_UNTOLD, /* no unlisted sector to tell by */
};

/**
 * pmr_media_page_state() - what the siblings of the listed sectors of one page say
 * @page: device offset, page aligned
 * @listed: device offsets, normal
 * @unreadable: gains the unlisted ranges of the page that cannot be read
 */
int pmr_media_page_state(struct pmr_media *media, uint64_t page, const struct pmr_ranges *listed,
			 enum pmr_page_state *state, struct pmr_ranges *unreadable);

/* ---- account.c */

/**
 * pmr_memory_account() - take what was repaired out of what is remembered, so that it does not count as vanished
 * @repaired: device offsets that were written in place and verified; need not be normal or whole sectors
 *
 * To be called before the device's lock is let go of: while it is held, nothing that leaves the list has vanished.
 * Says nothing where nothing is remembered. Return: 0; -ENOMEM; another errno, said through the context.
 */
int pmr_memory_account(struct pmr_ctx *ctx, const struct pmr_device *device,
		       const struct pmr_ranges *repaired);

#endif
