/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Small files in the state directory: read whole, replaced as a whole, safe from a crash. Nothing here says anything.
 */
#ifndef PMR_STATE_H
#define PMR_STATE_H

#include "private.h"

/**
 * pmr_state_open() - open a directory below the state directory
 * @directory: the state directory
 * @name: of the one in it
 * @make: make what is missing, readable by its owner alone
 * @fd: result; closing it is the release, also of the lock
 *
 * Return: 0; -ENOENT (without @make); another errno.
 */
int pmr_state_open(const char *directory, const char *name, bool make, int *fd);

/** pmr_state_lock() - keep other writers out. Return: 0; -EBUSY: somebody does not let go; another errno. */
int pmr_state_lock(int fd);
/** pmr_state_unlock() - let them in again */
void pmr_state_unlock(int fd);

/**
 * pmr_state_read() - read one file
 * @limit: no file of ours has more bytes
 * @text: result, need not end in NUL; free() it
 * @when: when it was written, or noted as seen again; or NULL
 *
 * Return: 0; -ENOENT; -EBADMSG: nothing that was written by this; -ENOMEM; another errno.
 */
int pmr_state_read(int fd, const char *name, size_t limit, char **text, size_t *length,
		   time_t *when);

/**
 * pmr_state_replace() - write one file, or write it anew
 * @when: see pmr_state_read()
 *
 * After a crash there is the old one or the new one. Return: 0, -errno.
 */
int pmr_state_replace(int fd, const char *name, const char *text, size_t length, time_t when);

/** pmr_state_remove() - remove one file, if there is one. Return: 0, -errno. */
int pmr_state_remove(int fd, const char *name);

/** pmr_state_set_aside() - rename a file to NAME.bad, so that it can be looked at. Return: 0, -errno. */
int pmr_state_set_aside(int fd, const char *name);

#endif
