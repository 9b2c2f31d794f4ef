/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mount table, for the rooms that know libmount.
 */
#ifndef PMR_MOUNTS_H
#define PMR_MOUNTS_H

#include <libmount.h>

#include "private.h"

/** pmr_mounts_load() - read it into @topology, where that was not done yet or is to be done @again. Return: 0, -ENOMEM. */
int pmr_mounts_load(struct pmr_topology *topology, bool again);

/**
 * pmr_mounts_find() - where a filesystem is mounted, best all of it and in sight; NULL: nowhere
 * @devno: of its block device
 * @source: path of its block device, or NULL
 */
struct libmnt_fs *pmr_mounts_find(struct libmnt_table *mounts, dev_t devno, const char *source);

/**
 * pmr_mounts_find_beside() - the mounted filesystem that a block device is the log or realtime device of
 * @is_journal: what is written on it says that it holds the log of an ext4
 * @role: result, which of the two
 */
struct libmnt_fs *pmr_mounts_find_beside(struct libmnt_table *mounts, dev_t devno, bool is_journal,
					 enum pmr_role *role);

/** pmr_mount_dax() - what a mount does with DAX; @device_has_dax: the device takes DAX mappings */
enum pmr_dax pmr_mount_dax(struct libmnt_fs *mount, bool device_has_dax);

/** pmr_mount_is_journalled() - whether a type of filesystem has a log that its superblock tells of, and no option */
bool pmr_mount_is_journalled(const char *type);

/** pmr_mount_has_option() - whether @options, NULL for none, have one of this name */
bool pmr_mount_has_option(const char *options, const char *name);

/** pmr_mount_device() - the number of the block device that a mount option names, or 0 */
dev_t pmr_mount_device(const char *options, const char *name);

#endif
