/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the rooms behind struct pmr_topology tell each other: topology.c joins them, device.c, lists.c, capability.c, scrub.c,
 * clear.c, ars.c and dimm.c know libndctl and libdaxctl, stack.c the block devices of sysfs, volume.c, volume-list.c, pieces.c
 * and dm.c what device mapper makes of them, probe.c libblkid, mounts.c libmount, and badblocks.c the lists.
 */
#ifndef PMR_TOPOLOGY_H
#define PMR_TOPOLOGY_H

#include "private.h"

struct ndctl_bus;
struct ndctl_cmd;
struct ndctl_ctx;
struct ndctl_namespace;
struct ndctl_region;
struct libmnt_fs;
struct libmnt_table;

/**
 * struct pmr_topology_private - what a topology keeps to itself
 * @ndctl: libndctl's context, which every ndctl_* object below lives in
 * @mounts: the mount table, NULL until it was needed
 * @alloc_buses: room in the arrays of struct pmr_topology
 * @told_addresses: the user was told why addresses are unknown
 * @told_filesystems: the user was told that filesystems could not be probed
 * @found_filesystems: every device was looked at for filesystems
 */
struct pmr_topology_private {
	struct ndctl_ctx *ndctl;
	struct libmnt_table *mounts;
	size_t alloc_buses;
	size_t alloc_regions;
	size_t alloc_dimms;
	size_t alloc_devices;
	size_t alloc_filesystems;
	bool told_addresses;
	bool told_filesystems;
	bool found_filesystems;
};

/**
 * struct pmr_btt - how a namespace in sector mode is laid out; see btt-layout.c
 * @start: namespace offset of the first arena
 * @ns_size: bytes of the namespace
 * @block: bytes that a block takes on the medium
 * @sector: bytes of a block as the device has it, 512 or 4096; 0: nothing is known
 */
struct pmr_btt {
	uint64_t start;
	uint64_t ns_size;
	uint32_t block;
	uint32_t sector;
};

/**
 * struct pmr_dax_range - bytes of a device-dax instance that lie together in physical memory
 * @offset: device offset
 * @length: bytes
 * @address: physical address
 */
struct pmr_dax_range {
	uint64_t offset;
	uint64_t length;
	uint64_t address;
};

/**
 * struct pmr_devdax - what sysfs tells of a device-dax instance
 * @devno: of its character device
 * @size: bytes
 * @align: what is mapped of it begins and ends at multiples of this; 0 where that is not told
 * @ranges: where its bytes lie, sorted, covering all of them; none where that could not be read
 * @n: how many
 * @has_ranges: the kernel tells them (5.10), to root
 * @uuid: of its namespace, or NULL
 */
struct pmr_devdax {
	dev_t devno;
	uint64_t size;
	uint64_t align;
	struct pmr_dax_range *ranges;
	size_t n;
	bool has_ranges;
	char *uuid;
};

/**
 * struct pmr_region_private - what a region keeps to itself
 * @ndregion: libndctl's
 * @error: negative errno of reading its list, or 0
 * @latest: why the list was incomplete or unknown as it was read last, whatever was before; NULL where it was complete
 * @was_full: it was cut or full in an earlier run, see pmr_region_set_doubt()
 */
struct pmr_region_private {
	struct ndctl_region *ndregion;
	int error;
	const char *latest;
	bool was_full;
};

/**
 * struct pmr_device_private - what a device of a namespace, or a mapped one, keeps to itself; other devices have none
 * @ndns: its namespace
 * @attribute: path of its own badblocks attribute; NULL where the region's list is all there is
 * @ns_offset: region offset of the namespace's first byte, or PMR_NO_ADDRESS
 * @dax: of a device-dax; its @devno is 0 for others
 * @btt: of an enabled namespace in sector mode, where what lies where in it; zeroed where that is not known
 * @met: normal; of a namespace in sector mode, the poison that was listed before any of its device, or of a volume over it,
 *       was read
 * @has_met: that was noted
 * @error: negative errno of reading the list, or 0
 * @doubt: why the list was once incomplete, or NULL; static storage, as those that follow
 * @latest: why it was incomplete or unknown as it was read last, whatever was before; NULL where it was complete
 * @region_doubt: why the region's list was once incomplete, from before this topology was made; or NULL
 * @doubt: why the list was once incomplete, or NULL; static storage
 * @ars_doubt: why its bus's last scrub leaves the list in doubt, see pmr_ars_doubt(); or NULL
 * @ars_metadata_doubt: likewise, of the list of its info block and page map
 * @table: the table that a mapped device's pieces were made of, as text
 * @remapped: it was found to be another one, or not to be in use
 */
struct pmr_device_private {
	struct ndctl_namespace *ndns;
	char *attribute;
	uint64_t ns_offset;
	struct pmr_devdax dax;
	struct pmr_btt btt;
	struct pmr_ranges met;
	bool has_met;
	int error;
	const char *doubt;
	const char *latest;
	const char *region_doubt;
	const char *ars_doubt;
	const char *ars_metadata_doubt;
	char *table;
	bool remapped;
};

/* ---- badblocks-text.c: pure */

/** PMR_RECORD_LIMIT - the kernel keeps no more records than this for one device, and drops what comes after (MAX_BADBLOCKS) */
#define PMR_RECORD_LIMIT 512

/**
 * pmr_badblocks_judge() - what the text of a kernel's badblocks attribute says, and how far it can be believed
 * @text: all that one open and reading to the end gave
 * @length: its length
 * @error: negative errno of opening or reading it, or 0; @text then means nothing
 * @page: the kernel's page size: sysfs gives at most one byte less
 * @list: result: trust, reason and the whole records *in the attribute's order, not normal*
 *
 * Pure. Return: 0, -ENOMEM.
 */
int pmr_badblocks_judge(const char *text, size_t length, int error, size_t page,
			struct pmr_badblocks *list);

/* ---- badblocks.c */

/**
 * pmr_badblocks_read() - read a kernel's badblocks attribute and judge it
 * @error: negative errno of opening or reading it, or 0
 *
 * Return: 0 also when it could not be read, which is an unknown list; -ENOMEM.
 */
int pmr_badblocks_read(const char *path, struct pmr_badblocks *list, int *error);

/**
 * pmr_badblocks_agree() - whether a judged attribute and the records that libndctl made of it are one list
 * @list: from pmr_badblocks_judge(), not normalised
 * @records: libndctl's, in its order
 */
bool pmr_badblocks_agree(const struct pmr_badblocks *list, const struct pmr_ranges *records);

/** pmr_badblocks_unite() - add records that never agreed; the list is then incomplete. Return: 0, -ENOMEM. */
int pmr_badblocks_unite(struct pmr_badblocks *list, const struct pmr_ranges *records);

/** pmr_badblocks_doubt() - a list that is complete is not any more, for this reason; NULL for none */
void pmr_badblocks_doubt(struct pmr_badblocks *list, const char *reason);

/** pmr_badblocks_is_short() - whether a reason says that there was more than could be kept or shown; NULL is none */
bool pmr_badblocks_is_short(const char *reason);

/** pmr_badblocks_lasting() - which of two reasons of one list lasts: the first, but that one was too short outlasts the others */
const char *pmr_badblocks_lasting(const char *before, const char *now);

/** pmr_badblocks_say() - tell the user where a namespace's list is not to be believed, and what to do */
void pmr_badblocks_say(struct pmr_ctx *ctx, const struct pmr_device *device);

/* ---- device.c */

/** pmr_sysfs_check() - whether sysfs is mounted at @path, without which libndctl sees a machine without PMEM. Return: 0, -ENOENT. */
int pmr_sysfs_check(struct pmr_ctx *ctx, const char *path);
/** pmr_devices_find() - fill buses, regions and devices with what libndctl sees. Return: 0 or a negative errno. */
int pmr_devices_find(struct pmr_ctx *ctx, struct pmr_topology *topology);
/** pmr_devices_forget() - release what device.c holds; after the devices */
void pmr_devices_forget(struct pmr_topology *topology);

/* ---- media/dax.c */

/**
 * pmr_dax_read() - what sysfs tells of a device-dax instance now
 * @directory: "/sys/bus/dax/devices/dax0.0"
 * @dax: result; release with pmr_dax_release()
 *
 * Return: 0; -ENOENT and the like: there is none; -ENOMEM.
 */
int pmr_dax_read(const char *directory, struct pmr_devdax *dax);
/** pmr_dax_release() - takes a zeroed one too */
void pmr_dax_release(struct pmr_devdax *dax);
/** pmr_dax_settle() - sort the ranges. Return: whether they cover the device, each byte once; also where there are none. */
bool pmr_dax_settle(struct pmr_devdax *dax);
/** pmr_dax_find() - fill @own->dax of a device that has its name. Return: as pmr_dax_read(). */
int pmr_dax_find(struct pmr_device *device);

/* ---- lists.c */

/** pmr_region_read() - read a region's list. Once incomplete it stays so. Return: 0, -ENOMEM. */
int pmr_region_read(struct pmr_region *region);
/** pmr_device_read_lists() - fill in the lists of a namespace's device, after its region's was read. Return: 0, -ENOMEM. */
int pmr_device_read_lists(struct pmr_device *device);
/** pmr_device_reread() - what pmr_device_refresh() does but for what reading the media found; for reading.c alone */
int pmr_device_reread(struct pmr_ctx *ctx, struct pmr_device *device);

/* ---- layout.c: pure */

/**
 * struct pmr_layout - where a namespace says it lies
 * @region_resource: physical address of the region, or PMR_NO_ADDRESS
 * @region_size: bytes
 * @ns_resource: physical address of the namespace, or PMR_NO_ADDRESS
 * @ns_size: bytes
 * @data_resource: physical address of the first data byte where there is an info block, or PMR_NO_ADDRESS
 * @has_info: it begins with an info block, whose length only @data_resource tells
 * @is_mapped: it is a BTT: its blocks have no fixed place
 */
struct pmr_layout {
	uint64_t region_resource;
	uint64_t region_size;
	uint64_t ns_resource;
	uint64_t ns_size;
	uint64_t data_resource;
	bool has_info;
	bool is_mapped;
};

/** pmr_layout_add() - a sum of addresses or offsets: PMR_NO_ADDRESS where either is, or where they do not fit */
uint64_t pmr_layout_add(uint64_t a, uint64_t b);

/** pmr_dax_lies() - the range of a device that has a byte of it, or NULL */
const struct pmr_dax_range *pmr_dax_lies(const struct pmr_devdax *dax, uint64_t offset);

/**
 * pmr_dax_at() - the range of a device that has a physical address, or NULL
 * @until: where there is none, lowered to where the next one begins
 */
const struct pmr_dax_range *pmr_dax_at(const struct pmr_devdax *dax, uint64_t address,
				       uint64_t *until);

/** pmr_dax_is_scattered() - whether a device lies in more than one place, so that no one offset leads to its region */
static inline bool pmr_dax_is_scattered(const struct pmr_device *device)
{
	return device->own && device->own->dax.n > 1;
}

/** pmr_layout_device() - fill region_offset, data_offset and resource of @device; what cannot be known stays unknown */
void pmr_layout_device(const struct pmr_layout *layout, struct pmr_device *device,
		       uint64_t *ns_offset);

/**
 * pmr_layout_badblocks() - the part of a region's list inside a window, moved to the window's start
 * @region: the region's list, normal
 * @offset: of the window, or PMR_NO_ADDRESS
 * @length: of the window, or PMR_NO_ADDRESS
 * @list: result, without a source. Where the window is unknown, only an empty region is known to spare it.
 *
 * Return: 0, -ENOMEM.
 */
int pmr_layout_badblocks(const struct pmr_badblocks *region, uint64_t offset, uint64_t length,
			 struct pmr_badblocks *list);

/**
 * pmr_layout_scattered() - the part of a region's list that lies under ranges of a device, moved to their offsets there
 * @region: the region's list, normal
 * @resource: physical address of the region, or PMR_NO_ADDRESS
 *
 * Return: as pmr_layout_badblocks().
 */
int pmr_layout_scattered(const struct pmr_badblocks *region, uint64_t resource,
			 const struct pmr_devdax *dax, struct pmr_badblocks *list);

/**
 * pmr_layout_lists() - fill a device's lists from its region's
 *
 * @metadata_badblocks always; @badblocks where the device has no attribute of its own and no --badblocks file.
 *
 * Return: 0, -ENOMEM.
 */
int pmr_layout_lists(struct pmr_device *device);

/* ---- btt-layout.c: pure */

/**
 * struct pmr_btt_arena - one of the parts of at most 512 GiB that have a map and a log each
 *
 * All but the last two are offsets from the namespace's first byte.
 *
 * @info: its info block, that the namespace is known by
 * @data: its blocks, in the order of the medium
 * @data_end: one past the last block
 * @map: which block of the medium has which block of the device, four bytes each
 * @map_end: one past the last entry
 * @log: what each lane (of which each processor uses one) has moved last, and which free block it has
 * @info2: a copy of the info block, which the kernel writes once and never reads
 * @end: one past the copy
 * @n_blocks: how many blocks of the device it has
 * @device_offset: of the first of these
 */
struct pmr_btt_arena {
	uint64_t info;
	uint64_t data;
	uint64_t data_end;
	uint64_t map;
	uint64_t map_end;
	uint64_t log;
	uint64_t info2;
	uint64_t end;
	uint64_t n_blocks;
	uint64_t device_offset;
};

/**
 * pmr_btt_init() - find out how a namespace in sector mode is laid out
 * @ns_size: bytes of the namespace
 * @lba_size: bytes of its sectors, data that goes with them included: 512, 520, 528, 4096, 4104, 4160 or 4224
 * @size: bytes of its device
 *
 * The info block that has it in writing is out of reach while the namespace is in use. What Linux makes of these sizes is
 * computed instead, and believed where a device of that size comes out.
 *
 * Return: whether it is known; @btt is zeroed where not.
 */
bool pmr_btt_init(struct pmr_btt *btt, uint64_t ns_size, unsigned int lba_size, uint64_t size);

/** pmr_btt_arena() - the arena that has a byte of the namespace. Return: whether one has. */
bool pmr_btt_arena(const struct pmr_btt *btt, uint64_t offset, struct pmr_btt_arena *arena);

/** pmr_btt_has_block() - whether poison in a namespace in sector mode (normal) may be in a block, or what it is in is not known */
bool pmr_btt_has_block(const struct pmr_device *device, const struct pmr_ranges *bad);

/** pmr_btt_part() - what a byte of the namespace is of; see pmr_namespace_part() */
enum pmr_part pmr_btt_part(const struct pmr_btt *btt, uint64_t offset, uint64_t *until);

/**
 * pmr_btt_unmapped() - what of the device cannot be had since the map is lost
 * @bad: normal; offsets from the namespace's first byte
 * @lost: result, normal; offsets on the device: the blocks whose entry in a map has bad bytes
 *
 * Return: 0, -ENOMEM.
 */
int pmr_btt_unmapped(const struct pmr_btt *btt, const struct pmr_ranges *bad,
		     struct pmr_ranges *lost);

/**
 * pmr_btt_refuses() - why a range of a device must not be written
 * @device: any; of those that are no BTT, and lie on none, none refuses
 *
 * Return: the report's word, static storage; NULL where it may.
 */
const char *pmr_btt_refuses(const struct pmr_device *device, uint64_t offset, uint64_t length);
/* ---- part.c: pure */

/** pmr_namespace_part_bytes() - how many bytes of a namespace's metadata list are in one of its parts, and the first offset */
uint64_t pmr_namespace_part_bytes(const struct pmr_device *device, enum pmr_part part,
				  uint64_t *first);

/**
 * pmr_region_device() - the device of the namespace of a region that has a byte of it, or NULL
 * @until: lowered to where that ends, or where the next one begins
 * @certain: set false where the place of one of its namespaces is not known, so that it may have any of the bytes
 */
struct pmr_device *pmr_region_device(const struct pmr_topology *topology,
				     const struct pmr_region *region, uint64_t offset,
				     uint64_t *until, bool *certain);

/** pmr_region_parts_find() - fill in a region's unallocated bytes and its parts, without DIMMs. Return: 0, -ENOMEM. */
int pmr_region_parts_find(const struct pmr_topology *topology, struct pmr_region *region);

/* ---- dimm.c */

/**
 * pmr_scrub_judge() - what the text of a bus's scrub attribute says
 *
 * Return: 0; -EINVAL, -ERANGE: nothing that is known, and the results stay as they were.
 */
int pmr_scrub_judge(const char *text, uint64_t *scrubs, bool *is_running);

/** pmr_dimms_find() - fill in scrubs and DIMMs, of regions also their parts, and say what of it is amiss. Return: 0, -ENOMEM. */
int pmr_dimms_find(struct pmr_ctx *ctx, struct pmr_topology *topology);
/** pmr_region_say() - tell the user where a region's list is not to be believed, and that matters */
void pmr_region_say(struct pmr_ctx *ctx, const struct pmr_region *region);
/** pmr_dimm_free() - takes NULL */
void pmr_dimm_free(struct pmr_dimm *dimm);

/* ---- capability.c: libndctl */

/** pmr_bus_of() - libndctl's bus of a namespace's device, or NULL */
struct ndctl_bus *pmr_bus_of(const struct pmr_device *device);

/**
 * pmr_capability_ask() - what the bus can do with the device's region: its clear unit, how its scrubs are asked about
 * @device: of a namespace
 * @capability: result, a command that has ended; release with ndctl_cmd_unref()
 *
 * Return: 0; -EOPNOTSUPP: the bus has no such command; -EACCES: the region's address is not known; -ENOMEM; another errno.
 */
int pmr_capability_ask(const struct pmr_device *device, struct ndctl_cmd **capability);

/* ---- stack.c */

/**
 * struct pmr_block - a block device as sysfs shows it
 * @devno: its number
 * @disk: number of the whole disk
 * @name: the kernel's name, e.g. "pmem0p1"
 * @disk_name: the whole disk's name
 * @start: offset on the disk in bytes
 * @size: bytes
 * @disk_size: bytes of the whole disk
 * @logical_block: bytes
 * @read_only: it refuses writes
 * @dax: the disk takes DAX mappings
 * @held: something else is built on it
 */
struct pmr_block {
	dev_t devno;
	dev_t disk;
	char *name;
	char *disk_name;
	uint64_t start;
	uint64_t size;
	uint64_t disk_size;
	unsigned int logical_block;
	bool read_only;
	bool dax;
	bool held;
};

/** pmr_block_get() - look a block device up by number. Return: 0, -ENODEV, -ENOMEM, another errno of reading sysfs. */
int pmr_block_get(dev_t devno, struct pmr_block *block);
/** pmr_block_release() - takes a zeroed one too */
void pmr_block_release(struct pmr_block *block);
/** pmr_block_devno() - the number of a whole disk by name, 0 when there is none */
dev_t pmr_block_devno(const char *name);
/** pmr_block_path() - "/dev/NAME" in new storage, or NULL without memory */
char *pmr_block_path(const char *name);

/**
 * pmr_block_partitions() - call @fn for every partition of a disk
 *
 * Return: 0, what @fn returned, -ENOMEM.
 */
int pmr_block_partitions(const char *disk, int (*fn)(void *data, const struct pmr_block *partition),
			 void *data);

/**
 * pmr_stack_check() - refuse what is built of other block devices, and not by device mapper
 * @object: what to call it, or NULL to say nothing
 *
 * Return: 0; -EOPNOTSUPP, and the layer was named.
 */
int pmr_stack_check(struct pmr_ctx *ctx, const struct pmr_block *block, const char *object);

/** pmr_block_below() - the names of the devices that a disk is built of: "pmem0, pmem1"; free() it, NULL without memory */
char *pmr_block_below(const char *disk);

/**
 * pmr_block_relations() - call @fn for every block device that another one is built of, or that are built of it
 * @name: of a disk or a partition
 * @which: "slaves" or "holders"
 *
 * Return: 0, what @fn returned, -ENOMEM.
 */
int pmr_block_relations(const char *name, const char *which,
			int (*fn)(void *data, const struct pmr_block *block), void *data);

/** pmr_block_each() - call @fn for every block device whose name begins with @prefix, sorted. Return: likewise. */
int pmr_block_each(const char *prefix, int (*fn)(void *data, const struct pmr_block *block),
		   void *data);

/* ---- pieces.c: pure */

/** pmr_piece_stripe_length() - bytes of a piece that each of its stripes has */
uint64_t pmr_piece_stripe_length(const struct pmr_piece *piece);

/**
 * pmr_pieces_down() - where a place of a mapped device lies on the device below, which may be mapped itself
 *
 * As pmr_device_below(), but one step.
 */
bool pmr_pieces_down(const struct pmr_device *device, uint64_t offset, uint64_t *length,
		     struct pmr_device **lower, uint64_t *lower_offset);

/**
 * pmr_pieces_up() - what a mapped device has of ranges of a device right below it
 * @ranges: normal, of @lower
 * @up: gains, normal, ranges of @device; what does not touch below may do so here
 *
 * Return: 0, -ENOMEM.
 */
int pmr_pieces_up(const struct pmr_device *device, const struct pmr_device *lower,
		  const struct pmr_ranges *ranges, struct pmr_ranges *up);

/** pmr_pieces_to() - the other way: what ranges of a mapped device have of @lower, right below it; normal likewise */
int pmr_pieces_to(const struct pmr_device *device, const struct pmr_device *lower,
		  const struct pmr_ranges *ranges, struct pmr_ranges *down);

/** pmr_pieces_are_on() - whether a mapped device has anything of @lower, right below it */
bool pmr_pieces_are_on(const struct pmr_device *device, const struct pmr_device *lower);

/* ---- dm.c: libdevmapper */

/** struct pmr_dm_target - one line of a table; @start and @length in sectors */
struct pmr_dm_target {
	uint64_t start;
	uint64_t length;
	char *type;
	char *params;
};

/**
 * struct pmr_dm_table - the table in use of a device
 * @name: device mapper's own
 * @targets: as the kernel has them
 * @text: the same, to be compared
 * @suspended: whoever reads from it waits until it is resumed
 */
struct pmr_dm_table {
	char *name;
	struct pmr_dm_target *targets;
	size_t n_targets;
	char *text;
	bool suspended;
};

/**
 * pmr_dm_read() - read the table of a device
 *
 * Waits for nothing, also where the device is suspended. Return: 0; -ENOSYS: built without libdevmapper; -EACCES or -EPERM:
 * only root may; -ENODEV: there is none; -ENOMEM; other errno.
 */
int pmr_dm_read(dev_t devno, struct pmr_dm_table *table);
/**
 * pmr_dm_below() - the numbers of the devices that the table in use of a device has open, whatever its targets
 * @devices: result; free() it
 *
 * Those that are not there any more are among them. Return: as pmr_dm_read().
 */
int pmr_dm_below(dev_t devno, dev_t **devices, size_t *n);
/** pmr_dm_release() - takes a zeroed one too */
void pmr_dm_release(struct pmr_dm_table *table);

/* ---- topology.c */

/**
 * pmr_device_new() - a device that no namespace has, in no topology yet; its path and its list are to come
 * @block: its disk is what is meant
 *
 * Return: 0, -ENOMEM; release with pmr_device_free().
 */
int pmr_device_new(const struct pmr_block *block, struct pmr_device **device);

/* ---- volume.c */

/** pmr_block_is_mapped() - whether a disk is device mapper's */
bool pmr_block_is_mapped(const struct pmr_block *block);

/**
 * pmr_volume_add() - follow a device of device mapper down to what it lies on, and add it
 * @block: of the whole device
 * @object: what to call it in messages, or NULL to say nothing
 *
 * Return: 0; -EOPNOTSUPP: there is a target, or a device below, that is not understood, or the device is suspended;
 * -EACCES: only root may; -ENODEV; said unless @object is NULL; -ENOMEM.
 */
int pmr_volume_add(struct pmr_ctx *ctx, struct pmr_topology *topology,
		   const struct pmr_block *block, const char *object, struct pmr_device **device);

/** pmr_volumes_find() - add those over devices of the topology that can be followed. Return: 0, -ENOMEM. */
int pmr_volumes_find(struct pmr_ctx *ctx, struct pmr_topology *topology);

/** pmr_volume_release() - free what is a mapped device's alone */
void pmr_volume_release(struct pmr_device *device);

/* ---- volume-list.c */

/** pmr_volume_compose() - make the list of a mapped device from those below as they are. Return: 0, -ENOMEM. */
int pmr_volume_compose(struct pmr_device *device);

/** pmr_volume_refresh() - pmr_device_refresh() of a mapped device, without a word. Return: 0, -ENOMEM. */
int pmr_volume_refresh(struct pmr_ctx *ctx, struct pmr_device *device);

/* ---- probe.c */

/** pmr_replace() - free a string and put a copy of @value there, or NULL. Return: 0, -ENOMEM (untouched). */
int pmr_replace(char **where, const char *value);

/**
 * pmr_probe() - what lies on a block device: type, UUID and label
 * @devno: its number
 * @fs: with source, device, start and size filled in
 * @why: 0; 1 where there are signatures of two filesystems; the negative errno why it could not be looked at, and
 *       what is in @fs comes from udev's database alone
 *
 * Return: 0, -ENOMEM.
 */
int pmr_probe(struct pmr_ctx *ctx, dev_t devno, struct pmr_filesystem *fs, int *why);

/** pmr_probe_uuid() - the UUID of what lies on a block device, NULL where that cannot be told. Return: 0, -ENOMEM. */
int pmr_probe_uuid(const char *path, dev_t devno, char **uuid);

/**
 * struct pmr_ext4_log - what the superblock of an ext4 or ext3 says of its log
 * @is_recovered: nothing is left in it to be replayed
 * @is_elsewhere: it is on a device of its own
 * @device: then, the number that this one had when it was last mounted; 0 where there is none
 */
struct pmr_ext4_log {
	bool is_recovered;
	bool is_elsewhere;
	dev_t device;
};

/** pmr_probe_ext4_log() - read that. Return: whether it could be read. */
bool pmr_probe_ext4_log(const char *path, dev_t devno, struct pmr_ext4_log *log);

/**
 * pmr_block_open() - open a block device for reading, by the name that it should have
 * @devno: its number
 *
 * Return: a descriptor; -ENODEV: the name is another's, as in a container, or /dev was made by hand; another negative errno.
 */
int pmr_block_open(const char *path, dev_t devno);

/* ---- filesystem.c */

/** pmr_filesystems_find() - find the filesystems on every device of the topology. Return: 0, -ENOMEM. */
int pmr_filesystems_find(struct pmr_ctx *ctx, struct pmr_topology *topology);

/**
 * pmr_filesystem_add() - add a block device to the topology's filesystems, whatever is on it
 * @device: of @block->disk
 */
int pmr_filesystem_add(struct pmr_ctx *ctx, struct pmr_topology *topology,
		       const struct pmr_block *block, struct pmr_device *device,
		       struct pmr_filesystem **filesystem);

/** pmr_filesystems_find_on() - look at one more device for filesystems, unless some are known there. Return: 0, -ENOMEM. */
int pmr_filesystems_find_on(struct pmr_ctx *ctx, struct pmr_topology *topology,
			    struct pmr_device *device);

/**
 * pmr_filesystem_whole() - what stands for all of a device-dax, which holds no filesystem: one of no type, not mounted
 * @filesystem: result; belongs to the topology. It has no number: no file lies on it; its UUID is the namespace's
 *
 * Return: 0, -ENOMEM.
 */
int pmr_filesystem_whole(struct pmr_topology *topology, struct pmr_device *device,
			 struct pmr_filesystem **filesystem);

/** pmr_filesystem_free() - takes NULL */
void pmr_filesystem_free(struct pmr_filesystem *filesystem);

/* ---- followed.c */

/** pmr_filesystem_say_unreplayed() - say of one that is @unreplayed what that means ("log-not-replayed") */
void pmr_filesystem_say_unreplayed(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem);

/** pmr_filesystem_is_followed() - whether extents of this type of filesystem are offsets on its device */
bool pmr_filesystem_is_followed(const char *type);

/**
 * pmr_filesystem_check() - refuse filesystems whose extents are no offsets on their device
 *
 * A block device with nothing known on it passes: see pmr_filesystem_require(). Return: 0, -EOPNOTSUPP.
 */
int pmr_filesystem_check(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem,
			 const char *object);

/** pmr_filesystem_require() - refuse what may be any filesystem, where a file of it was named. Return: 0, -EOPNOTSUPP. */
int pmr_filesystem_require(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem,
			   const char *object);

/** pmr_filesystem_refuse() - name the filesystem behind a number that is no block device. Return: -EOPNOTSUPP, -ENOMEM. */
int pmr_filesystem_refuse(struct pmr_ctx *ctx, struct pmr_topology *topology, dev_t devno,
			  const char *object);

/* ---- gone.c */

/** pmr_is_gone() - whether a mount's source is persistent memory whose block device is not there any more */
bool pmr_is_gone(const char *source, dev_t devno);
/** pmr_gone_among() - the first that is not there any more, and may have been persistent memory; 0 where none is */
dev_t pmr_gone_among(const dev_t *devices, size_t n);
/** pmr_gone_say() - name every mount of that kind, and of volumes on one ("device-gone"). @any: set true where there is one. Return: 0, -ENOMEM. */
int pmr_gone_say(struct pmr_ctx *ctx, bool *any);

/* ---- overlay.c */

/**
 * pmr_overlay_refuse() - name an overlay's layers, and which of them an object really lies in
 * @mount: of the overlay
 * @object: path of a file or directory of it
 *
 * Return: -EOPNOTSUPP, -ENOMEM.
 */
int pmr_overlay_refuse(struct pmr_ctx *ctx, struct libmnt_fs *mount, const char *object);

/* ---- elsewhere.c */

/**
 * pmr_elsewhere_say() - say of a filesystem that is not mounted here where else it is, and what to do
 * @object: what to call it
 * @command: what to run there: "scan"; what is to follow, but for "scan", is left to the reader
 *
 * Looks at one process of each other mount namespace; those of others only with CAP_SYS_PTRACE. Return: whether it is, and it
 * was said ("mounted-elsewhere").
 */
bool pmr_elsewhere_say(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem,
		       const char *object, const char *command);

/* ---- mounts.c, see mounts.h, too */

/** pmr_mounts_forget() - release the mount table */
void pmr_mounts_forget(struct pmr_topology *topology);

/* ---- topology.c */

/** pmr_device_free() - takes NULL */
void pmr_device_free(struct pmr_device *device);

/** pmr_topology_at() - the device of a whole disk's number, or NULL */
struct pmr_device *pmr_topology_at(const struct pmr_topology *topology, dev_t devno);

/** pmr_topology_add_device() - append; on failure @device stays the caller's. Return: 0, -ENOMEM. */
int pmr_topology_add_device(struct pmr_topology *topology, struct pmr_device *device);

#endif
